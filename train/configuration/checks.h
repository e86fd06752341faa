#pragma once
// What no single key shows: combinations that cannot be, and defaults that depend on other keys.

#include <string>

#include "train/configuration/given.h"
#include "train/settings.h"

namespace locus {

/// Fills in the defaults that follow from other keys and tells every combination that cannot be, naming all keys of it.
/// `stem` is the run's name when none is given.
void check_and_complete(Settings& settings, const std::string& stem, const GivenKeys& given, Mistakes& mistakes);

/// With train.init_from: architecture keys that are not given come from that model; those given must agree with it. A configuration that
/// gives them all is not compared here but when the weights are loaded. Throws FileError when the model cannot be found.
void adopt_initial_model(Settings& settings, const GivenKeys& given, Mistakes& mistakes);

}  // namespace locus
