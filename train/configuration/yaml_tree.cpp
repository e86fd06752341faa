#include "train/configuration/yaml_tree.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "data/utf8.h"

namespace locus {

namespace {

/// Builds the tree from the parser's events, which show what the library's own tree hides: anchors, tags and duplicate keys.
class TreeBuilder : public YAML::EventHandler {
public:
    TreeBuilder(Place base, Mistakes& mistakes) : base_(std::move(base)), mistakes_(mistakes) {}

    YamlNode take_root() { return std::move(root_); }
    Place place(const YAML::Mark& mark) const {
        if (base_.line == 0) return base_;
        return {base_.source, mark.line + 1, mark.column + 1};
    }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
        anchor_name_ = name;
        mistakes_.add(place(mark),
                      fmt::format("the anchor &{} is not read here; write the value where it is used", name));
    }
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        value(node(mark, YamlNode::Kind::null, anchor));
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        mistakes_.add(place(mark),
                      fmt::format("the alias *{} is not read here; write the value itself", anchors_[anchor]));
        value(node(mark, YamlNode::Kind::null, 0));
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override {
        check_tag(mark, tag);
        YamlNode scalar = node(mark, YamlNode::Kind::scalar, anchor);
        scalar.text = text;
        value(std::move(scalar));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        check_tag(mark, tag);
        open(node(mark, YamlNode::Kind::sequence, anchor));
    }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        check_tag(mark, tag);
        open(node(mark, YamlNode::Kind::mapping, anchor));
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override { close(); }

private:
    /// A list or mapping that has not ended; a mapping between a key and its value remembers the key.
    struct Open {
        YamlNode node;
        std::string key;
        Place key_place;
        bool has_key = false;
        std::map<std::string, int> line_of_key;
    };

    YamlNode node(const YAML::Mark& mark, YamlNode::Kind kind, YAML::anchor_t anchor) {
        if (anchor != 0) anchors_[anchor] = anchor_name_;
        YamlNode made;
        made.kind = kind;
        made.place = place(mark);
        return made;
    }

    void check_tag(const YAML::Mark& mark, const std::string& tag) {
        // "?" and "!" are how the library marks plain and quoted text without a tag.
        if (tag.empty() || tag == "?" || tag == "!") return;
        mistakes_.add(place(mark), fmt::format("the tag {} is not read here; the key decides what a value is", tag));
    }

    void open(YamlNode made) {
        open_.emplace_back();
        open_.back().node = std::move(made);
    }

    void close() {
        YamlNode done = std::move(open_.back().node);
        open_.pop_back();
        value(std::move(done));
    }

    void value(YamlNode made) {
        if (open_.empty()) {
            root_ = std::move(made);
        } else if (open_.back().node.kind == YamlNode::Kind::sequence) {
            open_.back().node.items.push_back(std::move(made));
        } else if (!open_.back().has_key) {
            key(open_.back(), made);
        } else {
            entry(open_.back(), std::move(made));
        }
    }

    void key(Open& mapping, const YamlNode& made) {
        mapping.has_key = true;
        mapping.key = made.text;
        mapping.key_place = made.place;
        if (made.kind != YamlNode::Kind::scalar) {
            mistakes_.add(made.place, fmt::format("a key must be a name, not {}", made.kind_name()));
        }
    }

    void entry(Open& mapping, YamlNode made) {
        mapping.has_key = false;
        const auto [earlier, is_new] = mapping.line_of_key.emplace(mapping.key, mapping.key_place.line);
        if (!is_new) {
            mistakes_.add(mapping.key_place,
                          fmt::format("{} is given twice; the first is on line {}", mapping.key, earlier->second));
            return;
        }
        mapping.node.entries.push_back({mapping.key, mapping.key_place, std::move(made)});
    }

    Place base_;
    Mistakes& mistakes_;
    YamlNode root_;
    std::vector<Open> open_;
    std::map<YAML::anchor_t, std::string> anchors_;
    std::string anchor_name_;
};

/// Tabs as indentation: the library's message for them does not name them.
bool check_tabs(const std::string& text, const std::string& source, Mistakes& mistakes) {
    bool found = false;
    int line = 1;
    std::size_t begin = 0;
    while (begin < text.size()) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::size_t content = std::min(text.find_first_not_of(" \t\r", begin), end);
        const std::size_t tab = text.find('\t', begin);
        if (tab < content && content < end && text[content] != '#') {
            mistakes.add({source, line, static_cast<int>(tab - begin) + 1},
                         "a tab in the indentation; YAML is indented with spaces only");
            found = true;
        }
        begin = end + 1;
        ++line;
    }
    return found;
}

/// A configuration that is a program, an archive, or text in another encoding: the library's messages would quote its bytes.
bool check_text(const std::string& text, const std::string& source, Mistakes& mistakes) {
    const std::size_t bad = std::min(first_invalid_utf8(text), text.find('\0'));
    if (bad >= text.size()) return false;
    const auto begin = text.begin(), end = begin + static_cast<std::ptrdiff_t>(bad);
    const std::size_t line_begin = bad == 0 ? 0 : text.rfind('\n', bad - 1) + 1;
    mistakes.add({source, static_cast<int>(std::count(begin, end, '\n')) + 1, static_cast<int>(bad - line_begin) + 1},
                 "not UTF-8 text; a configuration is a YAML file");
    return true;
}

YamlNode parse(const std::string& text, const Place& base, Mistakes& mistakes) {
    TreeBuilder builder(base, mistakes);
    try {
        std::istringstream stream(text);
        YAML::Parser parser(stream);
        parser.HandleNextDocument(builder);
        YamlNode root = builder.take_root();
        if (parser.HandleNextDocument(builder)) {
            mistakes.add({base.source, base.line, base.column},
                         "more than one YAML document (---) in one configuration");
        }
        return root;
    } catch (const YAML::Exception& error) {
        mistakes.add(builder.place(error.mark), fmt::format("not YAML: {}", error.msg));
        return {};
    }
}

}  // namespace

YamlNode* YamlNode::find(const std::string& key) {
    for (YamlEntry& entry : entries) {
        if (entry.key == key) return &entry.value;
    }
    return nullptr;
}

const char* YamlNode::kind_name() const {
    switch (kind) {
        case Kind::null: return "nothing";
        case Kind::scalar: return "a single value";
        case Kind::sequence: return "a list";
        case Kind::mapping: return "a mapping";
    }
    return "";
}

YamlNode parse_yaml(const std::string& text, const std::string& source, Mistakes& mistakes) {
    const Place base{source, 1, 1};
    if (check_text(text, source, mistakes) || check_tabs(text, source, mistakes)) {
        YamlNode nothing;
        nothing.place = base;
        return nothing;
    }
    YamlNode root = parse(text, base, mistakes);
    if (root.place.line == 0) root.place = base;
    return root;
}

YamlNode parse_override_value(const std::string& text, const Place& place, Mistakes& mistakes) {
    YamlNode root = parse(text, place, mistakes);
    root.place = place;
    return root;
}

}  // namespace locus
