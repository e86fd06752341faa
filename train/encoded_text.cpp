#include "train/encoded_text.h"

#include "train/run_settings.h"

namespace locus {

TokenBatch encode_text(const std::string& text, const Tokenizer& tokenizer, bool cls_sep) {
    const SpecialTokens& special = tokenizer.special();
    TokenBatch batch;
    if (cls_sep) batch.ids.push_back(special.cls);
    tokenizer.encode_with_specials(text, batch.ids);
    if (cls_sep) batch.ids.push_back(special.sep);
    batch.offsets = {0, static_cast<std::int32_t>(batch.ids.size())};
    for (std::size_t row = 0; row < batch.ids.size(); ++row) {
        if (batch.ids[row] == special.mask) batch.masked_rows.push_back(static_cast<std::int32_t>(row));
    }
    batch.targets.assign(batch.masked_rows.size(), special.mask);
    return batch;
}

bool uses_cls_sep(const LoadedModel& loaded) {
    return settings_of_run(loaded.folder).value_or(Settings()).data.boundary == "cls_sep";
}

}  // namespace locus
