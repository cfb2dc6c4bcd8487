// The `linnet` program.
#include "native/cli/command_line.h"
#include "native/driver/allocator.h"

int main(int argc, char** argv) {
  linnet::KeepLargeBlocks();
  return linnet::RunCommandLine(argc, argv);
}
