#include "model/position/t5_buckets.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "model/error.h"

namespace locus {

void T5Buckets::check(const char* encoding) const {
    const std::string of_encoding = std::string(" of ") + encoding;
    if (buckets < 4 || buckets % 4 != 0)
        throw ModelError("model.position.buckets" + of_encoding + " must be a multiple of 4");
    if (max_distance <= buckets / 4) {
        throw ModelError("model.position.max_distance" + of_encoding + " must be above buckets / 4 = " +
                         std::to_string(buckets / 4) + ", up to where distances have buckets of their own");
    }
}

std::int64_t T5Buckets::of(std::int64_t key_minus_query) const {
    const std::int64_t one_side = buckets / 2, exact = one_side / 2;
    const std::int64_t side = key_minus_query > 0 ? one_side : 0, distance = std::abs(key_minus_query);
    if (distance < exact) return side + distance;
    const double relative = std::log(static_cast<double>(distance) / static_cast<double>(exact)) /
                            std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
    const auto step = static_cast<std::int64_t>(relative * static_cast<double>(one_side - exact));
    return side + std::min(one_side - 1, exact + step);
}

std::vector<bool> T5Buckets::reached(std::int64_t length) const {
    std::vector<bool> result(static_cast<std::size_t>(buckets));
    for (std::int64_t d = 1 - length; d < length; ++d) result[static_cast<std::size_t>(of(d))] = true;
    result[static_cast<std::size_t>(buckets / 2)] = true;
    return result;
}

Tensor T5Buckets::by_distance(Tape& tape, std::int64_t reach) const {
    const Tensor buckets_by_distance = tape.host_tensor({2 * reach + 1}, DType::int32);
    for (std::int64_t r = -reach; r <= reach; ++r)
        buckets_by_distance.as<std::int32_t>()[r + reach] = static_cast<std::int32_t>(of(-r));
    return buckets_by_distance;
}

}  // namespace locus
