#include "native/plugin/sandbox_child.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <iterator>

namespace linnet {
namespace {

// Refuses to open sockets or rings (which can open sockets), to look into other processes or take
// their descriptors, and to make namespaces in which it would be allowed again.
bool FilterSystemCalls() {
#if defined(__x86_64__)
  constexpr uint32_t kMachine = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  constexpr uint32_t kMachine = AUDIT_ARCH_AARCH64;
#else
  return false;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
  static constexpr uint32_t kRefused[] = {SYS_socket,
                                          SYS_socketpair,
                                          SYS_connect,
                                          SYS_bind,
                                          SYS_io_uring_setup,
                                          SYS_ptrace,
                                          SYS_process_vm_readv,
                                          SYS_process_vm_writev,
                                          438 /* pidfd_getfd */,
                                          SYS_unshare,
                                          SYS_setns,
                                          SYS_mount,
                                          SYS_bpf,
                                          SYS_perf_event_open,
                                          SYS_keyctl};
  constexpr size_t kCount = std::size(kRefused);
  sock_filter program[6 + kCount + 2];
  size_t n = 0;
  program[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  program[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kMachine, 1, 0);
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  program[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  // The other numbering of x86-64 (x32).
  program[n++] = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  for (size_t i = 0; i < kCount; ++i) {
    program[n++] =
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRefused[i], static_cast<uint8_t>(kCount - i), 0);
  }
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  program[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  const sock_fprog filter = {static_cast<unsigned short>(n), program};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
#endif
}

void Limit(int what, rlim_t value) {
  const rlimit limit = {value, value};
  setrlimit(static_cast<__rlimit_resource>(what), &limit);
}

}  // namespace

void BecomeSandbox(const SandboxChild& child) {
  SandboxReport report;
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != child.parent) _exit(126);
  const bool space = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_DATA, child.data_bytes);
  // Above the numbers that they will have, so that none is overwritten.
  int moved[5];
  for (int i = 0; i < 5; ++i) moved[i] = fcntl(child.descriptors[i], F_DUPFD_CLOEXEC, 64);
  const int report_to = fcntl(child.report_to, F_DUPFD_CLOEXEC, 64);
  for (int i = 0; i < 5; ++i) dup2(moved[i], i);
  Limit(RLIMIT_NOFILE, 128);  // now that no number of the parent's stands in the way
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (chdir("/") != 0) _exit(126);
  const bool filtered = FilterSystemCalls();
  report.isolation = static_cast<char>((space ? 1 : 0) | (filtered ? 2 : 0));
  if (report.isolation == 0) report.failed = 1;
  if (write(report_to, &report, sizeof(report)) != sizeof(report)) _exit(126);
  if (report.failed != 0) _exit(126);
  // Whatever else the parent had open is closed by exec.
  syscall(SYS_close_range, 5u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
  execve(child.arguments[0], child.arguments, child.environment);
  report.failed = 1;
  report.error = errno;
  if (write(report_to, &report, sizeof(report)) < 0) _exit(127);
  _exit(127);
}

}  // namespace linnet
