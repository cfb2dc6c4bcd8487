// The `linnet` program.
#include "native/cli/command_line.h"

int main(int argc, char** argv) { return linnet::RunCommandLine(argc, argv); }
