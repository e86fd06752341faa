#include "train/too_long.h"

#include <fmt/format.h>

namespace locus {

bool is_too_long(const MaskedLanguageModel& model, std::int64_t length) {
    const std::int64_t longest = model.longest_sequence();
    return longest > 0 && length > longest;
}

std::string explain_too_long(const MaskedLanguageModel& model, const std::string& what) {
    return fmt::format(
        "{}: the model takes {} tokens at most, the rows of its position table. Three ways out: shorter sequences; an "
        "encoding "
        "option that says what stands beyond the table (model.position.beyond); an encoding without a table",
        what, model.longest_sequence());
}

}  // namespace locus
