#include "data/unigram_entropy.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace locus {

double unigram_entropy(const TokenShards& shards) {
    constexpr std::int64_t most = 50'000'000, chunk = 1'000'000;
    const std::int64_t tokens = std::min(shards.tokens(), most);
    std::vector<std::int64_t> counts;
    std::vector<std::int32_t> ids;
    for (std::int64_t begin = 0; begin < tokens; begin += chunk) {
        ids.clear();
        shards.read(begin, std::min(begin + chunk, tokens), ids);
        for (const std::int32_t id : ids) {
            const auto place = static_cast<std::size_t>(id);
            if (place >= counts.size()) counts.resize(place + 1);
            ++counts[place];
        }
    }
    double entropy = 0;
    for (const std::int64_t count : counts) {
        if (count == 0) continue;
        const double share = static_cast<double>(count) / static_cast<double>(tokens);
        entropy -= share * std::log(share);
    }
    return entropy;
}

}  // namespace locus
