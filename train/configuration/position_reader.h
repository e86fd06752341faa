#pragma once
// model.position: a name, a mapping with `encoding` and that encoding's options, or a list of these.

#include "model/settings.h"
#include "train/configuration/given.h"
#include "train/configuration/yaml_tree.h"

namespace locus {

/// Every option of the result has a value. False, with the mistakes told, when something is wrong.
bool read_position(const YamlNode& node, std::vector<PositionSettings>& positions, GivenKeys& given,
                   Mistakes& mistakes);

}  // namespace locus
