// What the child of a sandbox does between fork and exec: it gives up what it must not have.
#ifndef LINNET_NATIVE_PLUGIN_SANDBOX_CHILD_H_
#define LINNET_NATIVE_PLUGIN_SANDBOX_CHILD_H_

#include <sys/types.h>

#include <cstdint>

namespace linnet {

// What the parent reads of it, once before exec, and again (with `failed`) when exec failed.
struct SandboxReport {
  char isolation = 0;  // bit 0: network namespace, bit 1: system call filter
  char failed = 0;
  int error = 0;
};

struct SandboxChild {
  char* const* arguments;    // of the program, its path first
  char* const* environment;  // both end with null
  pid_t parent;              // whose death is the child's
  int descriptors[5];        // become 0 to 4; all others are closed
  int report_to;
  uint64_t data_bytes;  // of memory that it may write, of all kinds
};

// System calls only. Becomes the program in a process group of its own, without network, core
// files, new privileges or open files of the parent; without isolation it ends instead.
[[noreturn]] void BecomeSandbox(const SandboxChild& child);

}  // namespace linnet

#endif  // LINNET_NATIVE_PLUGIN_SANDBOX_CHILD_H_
