#pragma once
// The vocabulary of the English documents (synthetic_english.cpp): nouns and verbs with their forms, topics, and lists of words by what
// they can do in a sentence.

#include <array>
#include <string>
#include <vector>

namespace locus::english {

struct Noun {
    std::string one, many;
    const std::string& in(bool plural) const { return plural ? many : one; }
};

struct Verb {
    std::string base, third, past, participle;
    const std::string& present(bool plural) const { return plural ? base : third; }
};

struct Topic {
    std::vector<Noun> things, people, places;
    std::vector<Verb> verbs;  // what its people do to its things
};

struct Words {
    // In the order in which they stand before a noun: opinion, size, age, colour, material.
    std::array<std::vector<std::string>, 5> adjectives;
    std::vector<std::string> character;
    std::vector<std::string> state;
    std::vector<std::string> more;
    std::vector<std::string> women;
    std::vector<std::string> men;
    std::vector<std::string> surnames;
    std::vector<std::string> towns;
    std::vector<std::string> buildings;
    std::vector<std::string> building_verbs;
    std::vector<std::string> near;
    std::vector<std::string> where;
    std::vector<std::string> furniture;
    std::vector<std::string> animals;
    std::vector<std::string> rested;
    std::vector<std::string> days;
    std::vector<std::string> often;
    std::vector<std::string> quickly;
    std::vector<Verb> meeting;
    std::vector<Verb> moving;
    std::vector<std::string> saying;
    std::vector<std::string> numbers;
    std::vector<std::string> tens;
};

const std::vector<Topic>& topics();
const Words& words();

/// 0 to 99 in words.
std::string number_word(int number);

}  // namespace locus::english
