#pragma once
// data.probe: a name, or a mapping with `name`, `seed` and that probe's options.

#include "data/settings.h"
#include "train/configuration/mistakes.h"
#include "train/configuration/yaml_tree.h"

namespace locus {

/// Every option of the result has a value; ranges are checked later, by check_probe(). False, with the mistakes told, when something is wrong.
bool read_probe(const YamlNode& node, ProbeSettings& settings, Mistakes& mistakes);

}  // namespace locus
