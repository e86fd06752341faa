#pragma once

namespace locus {

/// Reads the command line and runs the command that it asks for. Returns its exit code; throws ConfigurationError for a wrong command line, and
/// what the command throws.
int run_command_line(int count, char** arguments);

}  // namespace locus
