#pragma once
// The configuration of one model of a comparison, put together out of a base and what differs.

#include <string>

#include "train/configuration/yaml_tree.h"

namespace locus {

/// `over` laid on `under`: sections key by key, everything else replaced. An encoding or a probe is replaced whole, since its options mean nothing
/// to another one.
YamlNode laid_over(const YamlNode& under, const YamlNode& over, const std::string& path = {});

/// Tells keys of a base that the comparison decides.
void check_base(const YamlNode& base, Mistakes& mistakes);

/// Tells keys by which the runs of a block may not differ. `path` names the run in messages.
void check_what_differs(const YamlNode& run, const std::string& path, Mistakes& mistakes);

}  // namespace locus
