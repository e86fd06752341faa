// English documents from a grammar.
//
//   document     a topic (its things, people, places and verbs), two or three people, three to nine paragraphs of three to eight sentences
//   sentence     one of the productions in the table at the end of this file, each with an example
//   what position is needed for
//                verbs agree with the head of the subject, over prepositional phrases and relative clauses with nouns of the other
//                number; "it" and "them" agree with an object that was named before; adjectives stand in the order opinion, size, age,
//                colour, material; names, birthplaces and belongings come back paragraphs later; sums of two numbers

#include <array>
#include <cctype>

#include "data/synthetic_choices.h"
#include "data/synthetic_english_words.h"

namespace locus {
namespace {

using namespace english;

// ---- one document ----

struct Person {
    std::string first, last, town;
    bool woman = false;
    const Noun* profession = nullptr;
    std::string belonging;  // "small red lamp"
    const char* they() const { return woman ? "she" : "he"; }
    const char* their() const { return woman ? "her" : "his"; }
    const char* self() const { return woman ? "herself" : "himself"; }
};

class EnglishWriter {
public:
    EnglishWriter(std::uint32_t seed, std::uint32_t index)
        : draw_(seed, 0, index), topic_(draw_.of(topics())), people_(static_cast<std::size_t>(draw_.between(2, 3))) {
        for (std::size_t i = 0; i < people_.size(); ++i) people_[i] = new_person(i);
    }

    std::string write();

private:
    // Text: words with single spaces, "a" or "an" by the word that follows, a capital at the start of a sentence.

    void word(std::string_view text) {
        if (text == "a") {
            article_ = true;
            return;
        }
        if (article_) append(std::string("aeiouAEIOU").find(text.front()) == std::string::npos ? "a" : "an");
        article_ = false;
        append(text);
    }
    void append(std::string_view text) {
        if (!out_.empty() && !glue_ && out_.back() != '\n') out_ += ' ';
        glue_ = false;
        out_ += text;
        if (capital_) {
            char& first = out_[out_.size() - text.size()];
            first = static_cast<char>(std::toupper(static_cast<unsigned char>(first)));
        }
        capital_ = false;
    }
    void mark(const char* punctuation) { out_ += punctuation; }
    void open_quote() {
        append("\"");
        glue_ = capital_ = true;
    }
    /// A phrase written with spaces.
    void phrase(const char* text) {
        for (const std::string& part : split(text)) word(part);
    }

    // Parts of sentences.

    Person new_person(std::size_t place);
    const Person& person() { return draw_.of(people_); }
    const Noun& thing() { return draw_.of(topic_.things); }
    const Noun& someone() { return draw_.of(topic_.people); }
    bool some_number() { return draw_.percent(45); }
    const char* are(bool plural) const { return plural ? "are" : "is"; }
    const char* were(bool plural) const { return plural ? "were" : "was"; }

    /// Up to two adjectives, in their fixed order.
    void adjectives() {
        for (const auto& kind : words().adjectives) {
            if (draw_.percent(14)) word(draw_.of(kind));
        }
    }
    void the(const Noun& noun, bool plural) {
        word("the");
        adjectives();
        word(noun.in(plural));
    }
    void the_person(const Noun& noun, bool plural) {
        word("the");
        if (draw_.percent(20)) word(draw_.of(words().character));
        if (draw_.percent(15)) word(draw_.percent(50) ? "young" : "old");
        word(noun.in(plural));
    }
    void the_place() {
        word("the");
        for (const std::size_t kind : {0, 1, 2}) {
            if (draw_.percent(14)) word(draw_.of(words().adjectives[kind]));
        }
        word(draw_.of(topic_.places).one);
    }
    void some(const Noun& noun, bool plural) {
        word(plural ? number_word(draw_.between(2, 20)) : "a");
        adjectives();
        word(noun.in(plural));
    }
    // Of any number. Each draws in statements of its own: the order of evaluation of arguments is the compiler's choice.
    void the_people() {
        const Noun& who = someone();
        the_person(who, some_number());
    }
    void the_things() {
        const Noun& what = thing();
        the(what, some_number());
    }
    void some_things() {
        const Noun& what = thing();
        some(what, some_number());
    }
    void in_place() {
        word(draw_.percent(50) ? "in" : draw_.of(words().near));
        the_place();
    }
    /// A phrase between head and verb whose noun has, mostly, the other number.
    void distract(bool plural) {
        const bool other = draw_.percent(70) ? !plural : plural;
        word(draw_.of(words().near));
        the(thing(), other);
        if (draw_.percent(20)) in_place();
    }
    /// "who knows the sailors" or "whom the sailors know".
    void who_clause(bool plural) {
        const Verb& verb = draw_.of(words().meeting);
        const bool other = draw_.percent(70) ? !plural : plural;
        if (draw_.percent(60)) {
            word("who");
            word(verb.present(plural));
            the_person(someone(), other);
        } else {
            word("whom");
            the_person(someone(), other);
            word(verb.present(other));
        }
    }
    void that_clause(bool plural) {
        const bool other = draw_.percent(70) ? !plural : plural;
        word("that");
        the_person(someone(), other);
        if (draw_.percent(30)) who_clause(other);
        word(draw_.of(topic_.verbs).present(other));
    }
    /// "carries the baskets", "is tired", "waits in the market".
    void person_does(bool plural) {
        if (draw_.percent(60)) {
            if (draw_.percent(30)) word(draw_.of(words().often));
            word(draw_.of(topic_.verbs).present(plural));
            the_things();
        } else if (draw_.percent(50)) {
            word(are(plural));
            word(draw_.of(words().character));
        } else {
            word(draw_.of(words().moving).present(plural));
            in_place();
        }
    }

    // Productions; the table below has an example of each.

    void agreement_over_phrase();
    void agreement_over_clause();
    void agreement_over_object_clause();
    void building_opened();
    void animal_rested();
    void person_acted();
    void person_said();
    void direct_speech();
    void sum_of_numbers();
    void year_and_number();
    void there_is();
    void comparison();
    void when_clause();
    void asked_oneself();
    void handed_on();
    void question_and_answer();
    void two_subjects();
    void passive();
    void still_had();
    void came_from();

    void introduce(const Person& who);
    void sentence();
    void paragraph();

    struct Production {
        std::uint32_t weight;
        void (EnglishWriter::*write)();
    };
    static const std::array<Production, 20> productions;

    Choices draw_;
    const Topic& topic_;
    std::vector<Person> people_;
    std::string out_;
    bool article_ = false, capital_ = true, glue_ = false;
};

/// The people of a document have different first names.
Person EnglishWriter::new_person(std::size_t place) {
    Person who;
    who.woman = place % 2 == 0;
    do {
        who.first = draw_.of(who.woman ? words().women : words().men);
    } while (place == 2 && who.first == people_[0].first);
    who.last = draw_.of(words().surnames);
    who.town = draw_.of(words().towns);
    who.profession = &someone();
    who.belonging = draw_.of(words().adjectives[1]);
    who.belonging += " " + draw_.of(words().adjectives[3]);
    who.belonging += " " + thing().one;
    return who;
}

void EnglishWriter::agreement_over_phrase() {
    const bool plural = some_number();
    the(thing(), plural);
    distract(plural);
    word(are(plural));
    word(draw_.of(words().state));
}

void EnglishWriter::agreement_over_clause() {
    const bool plural = some_number();
    the_person(someone(), plural);
    who_clause(plural);
    person_does(plural);
}

void EnglishWriter::agreement_over_object_clause() {
    const bool plural = some_number();
    the(thing(), plural);
    that_clause(plural);
    word(are(plural));
    word(draw_.of(words().state));
}

void EnglishWriter::building_opened() {
    const std::string& age = draw_.of(words().adjectives[2]);
    const auto kinds = static_cast<std::uint32_t>(words().buildings.size());
    const std::uint32_t first = draw_.below(kinds), second = (first + 1 + draw_.below(kinds - 1)) % kinds;
    word(draw_.percent(80) ? "a" : "the");
    word(age);
    word(words().buildings[first]);
    word(draw_.of(words().building_verbs));
    word(draw_.of(words().near));
    word("the");
    word(draw_.percent(60) ? age : draw_.of(words().adjectives[2]));
    word(words().buildings[second]);
    if (draw_.percent(30)) {
        word("last");
        word(draw_.of(words().days));
    }
}

void EnglishWriter::animal_rested() {
    word("the");
    if (draw_.percent(40)) word(draw_.of(words().adjectives[draw_.percent(50) ? 1 : 3]));
    word(draw_.of(words().animals));
    word(draw_.of(words().rested));
    word(draw_.of(words().where));
    word("the");
    word(draw_.of(words().furniture));
}

void EnglishWriter::person_acted() {
    if (draw_.percent(25)) {
        word("on");
        word(draw_.of(words().days));
        mark(",");
    }
    word(person().first);
    if (draw_.percent(25)) word(draw_.of(words().quickly));
    word(draw_.of(topic_.verbs).past);
    some_things();
    if (draw_.percent(40)) {
        word("for");
        the_people();
    }
    if (draw_.percent(40)) in_place();
}

void EnglishWriter::person_said() {
    const bool plural = some_number();
    word(person().first);
    word(draw_.of(words().saying));
    word("that");
    the(thing(), plural);
    if (draw_.percent(50)) distract(plural);
    word(were(plural));
    word(draw_.of(words().state));
}

void EnglishWriter::direct_speech() {
    const bool plural = some_number();
    const Person& speaker = person();
    open_quote();
    the(thing(), plural);
    word(are(plural));
    word(draw_.of(words().state));
    mark(",\"");
    word("said");
    word(speaker.first);
    if (draw_.percent(40)) {
        word("to");
        the_people();
    }
}

void EnglishWriter::sum_of_numbers() {
    const int first = draw_.between(2, 30), second = draw_.between(2, 30);
    word(person().first);
    word("counted");
    word(number_word(first));
    word(thing().many);
    word("and");
    word(number_word(second));
    word(thing().many);
    mark(",");
    word(number_word(first + second));
    phrase("things in all");
}

void EnglishWriter::year_and_number() {
    const int year = draw_.between(1850, 1999), years = draw_.between(2, 20);
    word("in");
    word(std::to_string(year));
    word("the");
    word(draw_.of(topic_.places).one);
    phrase("had");
    word(number_word(draw_.between(2, 99)));
    word(topic_.people[0].many);
    mark(",");
    word("and");
    word(number_word(years));
    phrase("years later, in");
    word(std::to_string(year + years));
    mark(",");
    phrase("it had");
    word(number_word(draw_.between(2, 99)));
}

void EnglishWriter::there_is() {
    const bool plural = some_number();
    word("there");
    const bool past = draw_.percent(50);
    word(past ? were(plural) : are(plural));
    some(thing(), plural);
    in_place();
}

void EnglishWriter::comparison() {
    const bool plural = some_number(), other = some_number();
    the(thing(), plural);
    if (draw_.percent(50)) distract(plural);
    word(were(plural));
    word(draw_.of(words().more));
    word("than");
    the(thing(), other);
}

void EnglishWriter::when_clause() {
    const bool first = some_number(), second = some_number();
    word("when");
    the_person(someone(), first);
    if (draw_.percent(40)) who_clause(first);
    word(draw_.of(words().moving).present(first));
    mark(",");
    the_person(someone(), second);
    person_does(second);
}

void EnglishWriter::asked_oneself() {
    const Person& who = person();
    const bool plural = some_number();
    word(who.first);
    word("asked");
    word(who.self());
    phrase("whether");
    the(thing(), plural);
    if (draw_.percent(40)) that_clause(plural);
    word(were(plural));
    word(draw_.of(words().state));
}

void EnglishWriter::handed_on() {
    const bool plural = some_number();
    const Person& giver = person();
    const Noun& receiver = someone();
    word(giver.first);
    word("gave");
    the(thing(), plural);
    phrase("to the");
    word(receiver.one);
    mark(",");
    phrase("and the");
    word(receiver.one);
    word(draw_.of(topic_.verbs).past);
    word(plural ? "them" : "it");
    if (draw_.percent(60)) in_place();
}

void EnglishWriter::question_and_answer() {
    const bool plural = some_number();
    word("where");
    word(are(plural));
    the(thing(), plural);
    if (draw_.percent(40)) that_clause(plural);
    mark("?");
    capital_ = true;
    word(plural ? "they" : "it");
    word(are(plural));
    in_place();
}

void EnglishWriter::two_subjects() {
    const bool and_not_or = draw_.percent(60);
    if (!and_not_or) word("either");
    word("the");
    word(someone().one);
    word(and_not_or ? "and" : "or");
    word("the");
    word(someone().one);
    person_does(and_not_or);
}

void EnglishWriter::passive() {
    const bool plural = some_number();
    the(thing(), plural);
    if (draw_.percent(40)) distract(plural);
    word(were(plural));
    word(draw_.of(topic_.verbs).participle);
    word("by");
    if (draw_.percent(50)) {
        word(person().first);
    } else {
        the_people();
    }
}

void EnglishWriter::still_had() {
    const Person& who = person();
    word(who.first);
    word(draw_.percent(50) ? "still had" : "never sold");
    word(who.their());
    phrase(who.belonging.c_str());
}

void EnglishWriter::came_from() {
    const Person& who = person();
    word(draw_.percent(50) ? who.first : who.first + " " + who.last);
    mark(",");
    word("who");
    phrase("came from");
    word(who.town);
    mark(",");
    phrase(draw_.percent(50) ? "was still a" : "worked as a");
    word(who.profession->one);
}

/// The table: a production's share of the sentences, and what it gives.
const std::array<EnglishWriter::Production, 20> EnglishWriter::productions = {{
    {10, &EnglishWriter::agreement_over_phrase},        // The keys near the old cabinet are missing.
    {10, &EnglishWriter::agreement_over_clause},        // The baker who knows the sailors carries the baskets.
    {7, &EnglishWriter::agreement_over_object_clause},  // The baskets that the baker sells are cheap.
    {6, &EnglishWriter::building_opened},               // A new store opened beside the new mall.
    {5, &EnglishWriter::animal_rested},                 // The cat sat on the mat.
    {12, &EnglishWriter::person_acted},                 // On Monday, Mara sold three small red lamps for the sailor.
    {7, &EnglishWriter::person_said},                   // Mara said that the lamps near the chair were broken.
    {6, &EnglishWriter::direct_speech},                 // "The lamps are broken," said Mara to the sailor.
    {3, &EnglishWriter::sum_of_numbers},                // Mara counted six lamps and four chairs, ten things in all.
    {3, &EnglishWriter::
            year_and_number},       // In 1912 the market had ten merchants, and two years later, in 1914, it had nine.
    {5, &EnglishWriter::there_is},  // There are three lamps in the old market.
    {4, &EnglishWriter::comparison},           // The lamps near the chair were heavier than the table.
    {6, &EnglishWriter::when_clause},          // When the sailors arrive, the baker waits in the market.
    {4, &EnglishWriter::asked_oneself},        // Mara asked herself whether the lamps were safe.
    {5, &EnglishWriter::handed_on},            // Mara gave the lamps to the sailor, and the sailor mended them.
    {4, &EnglishWriter::question_and_answer},  // Where are the lamps? They are in the market.
    {4, &EnglishWriter::
            two_subjects},  // The baker and the sailor carry the lamps. Either the baker or the sailor carries ...
    {5, &EnglishWriter::passive},    // The lamps were mended by Mara.
    {5, &EnglishWriter::still_had},  // Mara still had her small red lamp.
    {4, &EnglishWriter::came_from},  // Mara, who came from Ashford, worked as a baker.
}};

/// "Mara Ellison, a young baker from Ashford, had a small red lamp."
void EnglishWriter::introduce(const Person& who) {
    word(who.first + " " + who.last);
    mark(",");
    word("a");
    word(draw_.of(words().character));
    word(who.profession->one);
    word("from");
    word(who.town);
    mark(",");
    word("had");
    word("a");
    phrase(who.belonging.c_str());
}

void EnglishWriter::sentence() {
    (this->*productions[draw_.weighted(productions)].write)();
    mark(".");
    capital_ = true;
}

void EnglishWriter::paragraph() {
    for (int left = draw_.between(3, 8); left > 0; --left) sentence();
}

std::string EnglishWriter::write() {
    for (const Person& who : people_) {
        introduce(who);
        mark(".");
        capital_ = true;
    }
    for (int left = draw_.between(3, 9); left > 0; --left) {
        paragraph();
        if (left > 1) mark("\n");
    }
    return std::move(out_);
}

}  // namespace

std::string english_document(std::uint32_t seed, std::uint32_t index) { return EnglishWriter(seed, index).write(); }

}  // namespace locus
