// Plugins that do what no plugin may (abi/hostile.c), through the sandbox and the aggregation host:
// each fails with words that say why, or changes nothing; none takes the process with it, leaves
// anything behind, or changes a bit of what an honest neighbour computes at the same time.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "abi/host.h"
#include "fed/aggregation_work.h"
#include "native/plugin/plugin_loader.h"
#include "native/plugin/sandbox_files.h"

namespace linnet::testing {
namespace {

// A module compiled for the case: its file, or "" without a compiler for it.
std::string Compile(const std::string& name, const std::string& flags) {
#ifdef LINNET_WASM_CLANG
  const std::string file = ::testing::TempDir() + "/hostile-" + name + ".wasm";
  const std::string command = StrCat(
      LINNET_WASM_CLANG
      " --target=wasm32 -std=c11 -ffreestanding -nostdlib -fno-builtin -O1"
      " -Wno-infinite-recursion -I" LINNET_SOURCE_DIR
      "/core/include -Wl,--no-entry -Wl,--stack-first -Wl,-z,stack-size=65536 " LINNET_SOURCE_DIR
      "/tests/abi/hostile.c -DMISDEED=",
      flags, " -o ", file);
  return std::system(command.c_str()) == 0 ? file : "";
#else
  return "";
#endif
}

std::set<pid_t> Children() {
  std::set<pid_t> children;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream list(task.path() / "children");
    for (pid_t pid; list >> pid;) children.insert(pid);
  }
  return children;
}
size_t OpenFiles() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

// A strategy of a file with its host.
struct Loaded {
  PluginTable table;
  std::vector<std::string> lines;  // of its log
  std::unique_ptr<AggregationHost> host;
};

Status Load(const std::string& file, const SandboxLimits& limits, Loaded& loaded) {
  std::ifstream from(file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(from)), {});
  const Bytes bytes(text.begin(), text.end());
  for (const BuiltinPlugin& plugin : BuiltinPlugins())
    LINNET_TRY_STATUS(loaded.table.Add(plugin.entry, "built in"));
  LINNET_TRY_STATUS(LoadPlugin({file, Sha256(bytes)}, loaded.table, nullptr, limits));
  AggregationOptions options;
  options.max_step_norm = 1000;
  options.services.log = [&loaded](uint32_t level, std::string_view line) {
    loaded.lines.push_back(StrCat(level, " ", line));
  };
  LINNET_TRY(loaded.host,
             AggregationHost::Create(StrategyChain(loaded.table.entries().back()),
                                     MakeUpdateLayout(Params()), BestKernels(), options));
  LINNET_TRY([[maybe_unused]] const StrategyTask task, ReadStrategyTask(*loaded.host));
  return {};
}

const Uploads& ThreeUploads() {
  static const Uploads uploads = MakeUploads(kF32, 3);
  return uploads;
}
std::vector<float> Base() {
  std::vector<float> base(kCount);
  for (size_t i = 0; i < kCount; ++i) base[i] = static_cast<float>(i % 7);
  return base;
}

// A whole round, as AggregationWork runs it.
Result<std::vector<float>> RunRound(AggregationHost& host) {
  LINNET_TRY_STATUS(host.BeginRound(Round(), Base()));
  LINNET_TRY([[maybe_unused]] const size_t folded, host.Fold(ThreeUploads().updates));
  if ((host.caps() & LNT_CAP_MERGE) != 0) {
    LINNET_TRY([[maybe_unused]] const Bytes partial, host.ReadPartial());
  }
  LINNET_TRY(std::vector<float> result, host.Finish(Base()));
  LINNET_TRY([[maybe_unused]] const Bytes state, host.SaveState());
  LINNET_TRY([[maybe_unused]] const StrategyTask task, ReadStrategyTask(host));
  return result;
}

class HostileTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto files = FindSandboxFiles();
    why_not_ = files ? "" : files.error().message;
    const std::string honest = Compile("honest", "NONE"),
                      block = Compile("honest-block", "NONE -DBLOCK");
    if (honest.empty() || block.empty()) why_not_ = "there is no clang that compiles for wasm32";
    if (!why_not_.empty()) return;
    neighbour_ = new Loaded;
    Loaded in_blocks;
    ASSERT_TRUE(Load(honest, {}, *neighbour_));
    ASSERT_TRUE(Load(block, {}, in_blocks));
    mean_ = *RunRound(*neighbour_->host);
    block_mean_ = *RunRound(*in_blocks.host);
    neighbours_ = Children();
  }
  static void TearDownTestSuite() {
    delete neighbour_;
    neighbour_ = nullptr;
  }
  void SetUp() override {
    if (!why_not_.empty()) GTEST_SKIP() << why_not_;
  }
  // What a case left running: one process, which is killed here.
  void TearDown() override {
    for (const pid_t pid : Children()) {
      if (neighbours_.contains(pid)) continue;
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }

  // The honest module in a process of its own, alive all the time; the bits of its round, and of
  // the same in blocks.
  static inline Loaded* neighbour_ = nullptr;
  static inline std::set<pid_t> neighbours_;
  static inline std::vector<float> mean_, block_mean_;
  static inline std::string why_not_;
};

constexpr const char* kStands = nullptr;  // the round closes with the honest bits

struct Case {
  friend void PrintTo(const Case& c, std::ostream* to) { *to << c.flags; }
  const char* name;
  const char* flags;              // MISDEED, and IN or BLOCK
  const char* message = kStands;  // what the error says
  SandboxLimits limits = {.memory_mib = 64};
};
constexpr SandboxLimits kShort = {.memory_mib = 64, .start_ms = 4000, .call_ms = 300};
constexpr const char* kLate = "did not answer within 300 ms and was killed";
constexpr const char* kOutside = "trapped: memory access out of bounds";
const Case kCases[] = {
    {"LoopInInitialize", "LOOP -DIN=AT_INITIALIZE", "did not answer within 4000 ms", kShort},
    {"LoopInCount", "LOOP -DIN=AT_COUNT", kLate, kShort},
    {"LoopInDescribe", "LOOP -DIN=AT_DESCRIBE", kLate, kShort},
    {"LoopInCreate", "LOOP -DIN=AT_CREATE", kLate, kShort},
    {"LoopInSetLayout", "LOOP -DIN=AT_SET_LAYOUT", kLate, kShort},
    {"LoopInRoundBegin", "LOOP -DIN=AT_ROUND_BEGIN", kLate, kShort},
    {"LoopInUpdatesBegin", "LOOP -DIN=AT_UPDATES_BEGIN", kLate, kShort},
    {"LoopInUpdatesChunk", "LOOP -DIN=AT_UPDATES_CHUNK", kLate, kShort},
    {"LoopInUpdatesEnd", "LOOP -DIN=AT_UPDATES_END", kLate, kShort},
    {"LoopInFinalize", "LOOP -DIN=AT_FINALIZE", kLate, kShort},
    {"LoopInResultChunk", "LOOP -DIN=AT_RESULT_CHUNK", kLate, kShort},
    {"LoopInRoundEnd", "LOOP -DIN=AT_ROUND_END", kLate, kShort},
    {"LoopInBlobSize", "LOOP -DIN=AT_BLOB_SIZE", kLate, kShort},
    {"LoopInBlobRead", "LOOP -DIN=AT_BLOB_READ", kLate, kShort},
    {"LoopBeyondTheRoundsTime",
     "LOOP -DIN=AT_FINALIZE",
     "its calls of one round took more than 500 ms and it was killed",
     {.memory_mib = 64, .round_ms = 500}},
    {"Trap", "TRAP -DIN=AT_UPDATES_CHUNK", "trapped: unreachable"},
    {"FunctionThatIsNone", "POINTER -DIN=AT_FINALIZE", "trapped: table index is out of bounds"},
    {"WriteOutside", "OUTSIDE -DIN=AT_UPDATES_CHUNK", kOutside},
    {"WriteOutsideOnLoading", "OUTSIDE -DIN=AT_INITIALIZE", kOutside},
    {"RecursionWithoutEnd", "RECURSION -DIN=AT_RESULT_CHUNK", "trapped: "},
    {"MemoryBombStopsAtTheCap", "BOMB -DIN=AT_UPDATES_CHUNK", kStands},
    {"StatusThatIsNone", "STATUS -DIN=AT_FINALIZE", "finalize: no words"},
    {"FloodOfLines", "FLOOD -DIN=AT_UPDATES_CHUNK", kStands},
    {"ForbiddenImport", "IMPORT", "asks for env.open (function), which no plugin gets"},
    {"BufferOutsideOfItsMemory", "LATE_BUFFER", "the plugin named bytes 4294901760"},
    {"NoBuffer", "NO_BUFFER", "the plugin has no 2097152 bytes left"},
    {"DescriptionWithoutEnd", "LENGTH", "description of strategy 0 has 4294967280 bytes"},
    {"ManyStrategies", "MANY", "it offers 100000 strategies"},
    {"NoStrategy", "EMPTY", "it offers 0 strategies"},
    {"DescriptionThatChanges", "CHANGING", kStands},
    {"MarkupAsId", "MARKUP_ID", "has id \"<img src=x>\", wanted lower-case letters"},
    {"IdOfAnother", "TAKEN_ID", "offers the strategy \"fedavg\", which is already there"},
    {"DescriptionThatIsNoJson", "NO_JSON", "the description of strategy 0"},
    {"RelaxedSimd", "RELAXED -mrelaxed-simd -msimd128", "uses relaxed SIMD instructions"},
    {"Threads", "ATOMICS -matomics -mbulk-memory", "uses atomic instructions (threads)"},
    {"PartialWithoutEnd", "BLOB", "has a blob 1 of 18446744073709551615 bytes, wanted at most"},
    {"MarkupInMetrics", "METRICS", "metrics of strategy hostile are no object of finite numbers"},
    {"InfiniteMetric", "METRICS_INFINITE", "metrics"},
    {"SettingsLowerTheClipNorm", "SETTINGS_CLIP", "client.clipNorm"},
    {"SettingsNameACodec", "SETTINGS_CODEC", "client.codec"},
    {"SettingsBeyondTheirBounds", "SETTINGS_BOUND", "client.mu is 1"},
    {"ResultWithNaN", "NAN_RESULT", "finite"},
    {"InfiniteResult", "INFINITE_RESULT", "finite"},
    {"ModelOf1e30", "HUGE_RESULT", "strategy.maxStepNorm admits 1000"},
    {"WritesBesideItsColumns", "COLUMNS", kStands},
    {"WritesBesideItsColumnsInBlocks", "COLUMNS -DBLOCK", kStands},
    {"PassesWithoutEnd", "AGAIN -DBLOCK", "passes"},
    {"NoMode", "MODES", "neither streams exact sums nor takes passes"},
    {"SizeOfTheHostsStruct", "SIZE", kStands},
};

class EachMisdeed : public HostileTest, public ::testing::WithParamInterface<Case> {};

TEST_P(EachMisdeed, IsContained) {
  const Case& c = GetParam();
  const std::string file = Compile(c.name, c.flags);
  ASSERT_NE(file, "");
  // A round of the neighbour is open meanwhile.
  AggregationHost& honest = *neighbour_->host;
  ASSERT_TRUE(honest.BeginRound(Round(), Base()));
  const std::span<const EncodedUpdate> updates = ThreeUploads().updates;
  ASSERT_TRUE(honest.Fold(updates.first(1)));

  Loaded loaded;
  Status status = Load(file, c.limits, loaded);
  const bool in_blocks = std::string_view(c.flags).contains("BLOCK");
  size_t files = 0;
  for (int cycle = 0; cycle < 3 && loaded.host != nullptr; ++cycle) {
    if (cycle > 0) {
      ASSERT_TRUE(loaded.host->RestoreState({})) << "a fresh instance";
    }
    const auto result = RunRound(*loaded.host);
    status = result ? Status() : Status(std::unexpected(result.error()));
    if (result) {
      EXPECT_TRUE(*result == (in_blocks ? block_mean_ : mean_)) << "other bits";
    }
    // After its end nothing of it is used.
    if (!result && std::string_view(c.flags).starts_with("TRAP")) {
      EXPECT_FALSE(loaded.host->BeginRound(Round(), Base()));
    }
    if (cycle == 0) files = OpenFiles();
    EXPECT_LE(Children().size(), neighbours_.size() + 1);
  }
  if (files > 0) {
    EXPECT_LE(OpenFiles(), files) << "descriptors are left open";
  }
  EXPECT_LE(waitpid(-1, nullptr, WNOHANG), 0) << "a process that nobody waited for";
  if (c.message == kStands) {
    EXPECT_TRUE(status) << status.error().message;
  } else {
    ASSERT_FALSE(status);
    EXPECT_TRUE(status.error().message.contains(c.message)) << status.error().message;
  }
  EXPECT_LE(loaded.lines.size(), 3 * 102u);

  ASSERT_TRUE(honest.Fold(updates.subspan(1)));
  const auto result = honest.Finish(Base());
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(*result == mean_) << "the neighbour has other bits";
}

INSTANTIATE_TEST_SUITE_P(Hostile, EachMisdeed, ::testing::ValuesIn(kCases),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_F(HostileTest, LinesAreCleanedAndLimited) {
  Loaded loaded;
  ASSERT_TRUE(Load(Compile("flood", "FLOOD -DIN=AT_FINALIZE"), {}, loaded));
  ASSERT_TRUE(RunRound(*loaded.host));
  ASSERT_TRUE(loaded.host->BeginRound(Round(), Base()));
  ASSERT_EQ(loaded.lines.size(), 101u);
  EXPECT_EQ(loaded.lines[0], "3 a [31m line of man") << "no control characters, a known level";
  EXPECT_EQ(loaded.lines[100], "2 19900 more lines of the round were left out");
}

TEST_F(HostileTest, AfterATrapAFreshInstanceGoesOnWithTheSameBits) {
  Loaded loaded;
  ASSERT_TRUE(Load(Compile("counting", "COUNTING"), {}, loaded));
  for (int round = 1; round <= 6; ++round) {
    const auto result = RunRound(*loaded.host);
    if (round == 3) {
      EXPECT_FALSE(result);
      ASSERT_TRUE(loaded.host->RestoreState({}));
      continue;
    }
    if (round == 6) break;  // the third of the new instance
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_TRUE(*result == mean_) << "round " << round;
  }
}

TEST_F(HostileTest, AKilledChildFailsTheCallThatIsUnderWay) {
  Loaded loaded;
  ASSERT_TRUE(Load(Compile("kill", "LOOP -DIN=AT_FINALIZE"), {}, loaded));
  pid_t child = 0;
  for (const pid_t pid : Children()) {
    if (!neighbours_.contains(pid)) child = pid;
  }
  ASSERT_TRUE(loaded.host->BeginRound(Round(), Base()));
  ASSERT_TRUE(loaded.host->Fold(ThreeUploads().updates));
  // By another process, so that this one may wait in the call already.
  const pid_t killer = fork();
  if (killer == 0) {
    usleep(100000);
    kill(child, SIGKILL);
    _exit(0);
  }
  const auto result = loaded.host->Finish(Base());
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message.contains("was ended by signal 9")) << result.error().message;
  EXPECT_EQ(waitpid(killer, nullptr, 0), killer);
}

}  // namespace
}  // namespace linnet::testing
