#include "data/duplicates.h"

#include "data/fingerprint.h"

namespace locus {

void Duplicates::add(std::string_view paragraph) {
    const std::uint64_t hash = fingerprint(paragraph);
    const auto kept = [&](std::uint64_t h) { return (h & ((std::uint64_t{1} << zeros_) - 1)) == 0; };
    if (!kept(hash)) return;
    ++times_[hash];
    while (times_.size() > most_) {
        ++zeros_;
        for (auto entry = times_.begin(); entry != times_.end();) {
            entry = kept(entry->first) ? std::next(entry) : times_.erase(entry);
        }
    }
}

std::int64_t Duplicates::count() const {
    std::int64_t repeated = 0;
    for (const auto& [hash, times] : times_) repeated += times - 1;
    return repeated << zeros_;
}

}  // namespace locus
