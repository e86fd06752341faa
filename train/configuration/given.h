#pragma once
// Which keys a configuration gives, and where: for checks that look at several keys, and for defaults that depend on others.

#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "train/configuration/mistakes.h"

namespace locus {

struct GivenKeys {
    std::map<std::string, Place> places;                  // of keys and sections, by path
    std::set<std::string> unusable;                       // keys whose value could not be read
    std::vector<Place> encodings;                         // of each position encoding
    std::vector<std::set<std::string>> encoding_options;  // that each position encoding gives
    Place whole;                                          // the configuration itself

    bool has(const std::string& path) const { return places.count(path) > 0; }
    /// False when a check of these keys would only repeat a mistake that was already found.
    bool usable(std::initializer_list<const char*> paths) const {
        for (const char* path : paths) {
            if (unusable.count(path) > 0) return false;
        }
        return true;
    }
    /// The first of these that is given; else the configuration itself.
    Place place(std::initializer_list<const char*> paths) const {
        for (const char* path : paths) {
            const auto found = places.find(path);
            if (found != places.end()) return found->second;
        }
        return whole;
    }
};

}  // namespace locus
