// The child process of .wasm plugins: what it may, and what becomes of it.
#include "native/plugin/sandbox.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "abi/harness.h"
#include "native/plugin/plugin_loader.h"
#include "native/plugin/sandbox_module.h"

namespace linnet::testing {
namespace {

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {(std::istreambuf_iterator<char>(file)), {}};
}
Bytes ReadPlugin(const std::string& name) {
  const std::string text = ReadText(std::string(LINNET_BINARY_DIR) + "/plugins/" + name + ".wasm");
  return Bytes(text.begin(), text.end());
}

class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    bytes_ = ReadPlugin("fedavgm");
    if (bytes_.empty()) GTEST_SKIP() << "fedavgm.wasm is not built (no Emscripten)";
    const auto files = FindSandboxFiles();
    if (!files) GTEST_SKIP() << files.error().message;
    files_ = *files;
    path_ = ::testing::TempDir() + "/sandbox-module.wasm";
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes_.data()),
               static_cast<std::streamsize>(bytes_.size()));
    module_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(module_, 0);
  }
  void TearDown() override {
    if (module_ >= 0) close(module_);
  }
  lnt_handle Make(SandboxModule& module) {
    lnt_caps caps{};
    caps.struct_size = sizeof(caps);
    lnt_handle handle = 0;
    EXPECT_EQ(module.Create(0, "{}", 2, &handle, &caps), LNT_OK);
    lnt_tensor tensor{};
    tensor.struct_size = sizeof(tensor);
    tensor.dtype = LNT_F32;
    tensor.elem_count = 3;
    EXPECT_EQ(module.SetLayout(handle, &tensor, 1, "", 0), LNT_OK);
    return handle;
  }

  Bytes bytes_;
  SandboxFiles files_;
  std::string path_;
  int module_ = -1;
};

TEST_F(SandboxTest, HasNoNetworkOfItsHost) {
  auto process = SandboxProcess::Start(files_, {}, module_);
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_NE((*process)->isolation(), "");
  const std::string folder = StrCat("/proc/", (*process)->pid());
  const std::string status = ReadText(folder + "/status");
  if ((*process)->isolation().contains("filter")) {
    EXPECT_TRUE(status.contains("Seccomp:\t2")) << status;
    EXPECT_TRUE(status.contains("NoNewPrivs:\t1")) << status;
  }
  if ((*process)->isolation().contains("namespace")) {
    // Only the loopback, and that is down.
    const std::string devices = ReadText(folder + "/net/dev");
    EXPECT_EQ(std::count(devices.begin(), devices.end(), '\n'), 3) << devices;
  }
}

// This process and its children are refused unshare, and where `filters` is false filters too.
void RefuseIsolation(bool filters) {
  const sock_filter refused[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(filters ? ~0 : SYS_prctl), 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)};
  const sock_fprog program = {std::size(refused), const_cast<sock_filter*>(refused)};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) std::exit(3);
}

TEST_F(SandboxTest, AFilterAloneIsEnoughWhereThereAreNoNamespaces) {
  const auto start = [&] {
    RefuseIsolation(true);
    const auto process = SandboxProcess::Start(files_, {}, module_);
    std::cerr << (process ? (*process)->isolation() : process.error().message);
    std::exit(0);
  };
  EXPECT_EXIT(start(), ::testing::ExitedWithCode(0), "^system call filter$");
}

TEST_F(SandboxTest, WithoutAnyIsolationNoPluginRuns) {
  const auto start = [&] {
    RefuseIsolation(false);
    const auto process = SandboxProcess::Start(files_, {}, module_);
    std::cerr << (process ? (*process)->isolation() : process.error().message);
    std::exit(!process && process.error().code == Code::kUnsupported ? 0 : 1);
  };
  EXPECT_EXIT(start(), ::testing::ExitedWithCode(0),
              "neither a network namespace nor a filter for system calls.*are not run");
}

TEST_F(SandboxTest, StartsInAProcessWithManyOpenFiles) {
  std::vector<int> files;
  for (int i = 0; i < 300; ++i) files.push_back(dup(module_));
  const auto process = SandboxProcess::Start(files_, {}, module_);
  EXPECT_TRUE(process) << process.error().message;
  for (const int file : files) close(file);
}

TEST_F(SandboxTest, ADeadChildLosesItsInstancesAndTheNextOneStartsFromState) {
  SandboxModule module(files_, {}, module_);
  ASSERT_TRUE(module.Load());
  const lnt_handle old = Make(module);
  kill(module.pid(), SIGKILL);
  lnt_round round{};
  round.struct_size = sizeof(round);
  round.grid_exp = -20;
  EXPECT_EQ(module.RoundBegin(old, &round, sizeof(round)), LNT_E_TRAP);
  char text[200];
  uint32_t size = 0;
  module.LastError(old, text, sizeof(text), &size);
  EXPECT_TRUE(std::string_view(text, size).contains("was ended by signal 9"))
      << std::string(text, size);
  EXPECT_EQ(module.Simple(SandboxFunction::kFinalize, old), LNT_E_TRAP) << "it stays lost";
  module.Destroy(old);
  EXPECT_EQ(module.Simple(SandboxFunction::kFinalize, old), LNT_E_INVALID);
  const lnt_handle next = Make(module);
  EXPECT_NE(next, old);
  EXPECT_EQ(module.RoundBegin(next, &round, sizeof(round)), LNT_OK);
}

TEST_F(SandboxTest, AMissingProgramIsAClearError) {
  files_.node = "/nowhere/node";
  const auto process = SandboxProcess::Start(files_, {}, module_);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, Code::kUnavailable);
  EXPECT_TRUE(process.error().message.contains("cannot run /nowhere/node: No such file"))
      << process.error().message;
}

TEST_F(SandboxTest, AModuleThatIsNoneIsRefused) {
  std::ofstream(path_, std::ios::binary | std::ios::trunc) << std::string("\0asm\1\0\0\0zz", 10);
  const auto process = SandboxProcess::Start(files_, {}, module_);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, Code::kInvalid) << process.error().message;
  EXPECT_TRUE(process.error().message.contains("it cannot be loaded")) << process.error().message;
}

}  // namespace
}  // namespace linnet::testing
