// Native plugins from files: what is refused, and that the .so files have the bits of the static
// entries.
#include "native/plugin/plugin_loader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "abi/harness.h"

namespace linnet::testing {
namespace {

const std::string kFolder = std::string(LINNET_BINARY_DIR) + "/plugins/";

Bytes ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
PluginFile Pinned(const std::string& path) { return {path, Sha256(ReadFile(path))}; }

// A file that is gone after the test.
class TempFile {
 public:
  explicit TempFile(ByteSpan bytes, const char* name = "plugin.so")
      : path_(std::filesystem::temp_directory_path() / StrCat("linnet-", getpid(), "-", name)) {
    std::ofstream file(path_, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  ~TempFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(PluginLoaderTest, ArgumentsThatAreNoPathAndHashAreRefused) {
  const std::string hash(64, 'a');
  const std::string rows[] = {"",
                              "plugin.so",
                              "#" + hash,
                              "plugin.so#",
                              "plugin.so#1234",
                              "plugin.so#" + hash + "a",
                              "plugin.so#" + std::string(64, 'g')};
  for (const std::string& row : rows) {
    const auto file = ParsePluginFile(row);
    ASSERT_FALSE(file) << row;
    EXPECT_EQ(file.error().code, Code::kInvalid) << row;
    EXPECT_FALSE(file.error().message.contains('\n'));
  }
  const auto file = ParsePluginFile("a#b/c.so#" + hash);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->path, "a#b/c.so");
  EXPECT_EQ(Hex(file->sha256), hash);
}

TEST(PluginLoaderTest, FilesThatAreNoPluginAreRefusedWithFoundAndWanted) {
  const Bytes good = ReadFile(kFolder + "fedavg.so");
  ASSERT_FALSE(good.empty()) << kFolder;
  Bytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(good.size() / 3));
  Bytes machine = good;
  machine[18] ^= 0x55;
  // The entry's name misspelt everywhere: a shared object without the symbol.
  Bytes renamed = good;
  const std::string_view symbol = LNT_ENTRY_SYMBOL;
  for (auto at = renamed.begin();
       (at = std::search(at, renamed.end(), symbol.begin(), symbol.end())) != renamed.end();) {
    *at++ = 'L';
  }
  const struct {
    const char* name;
    Bytes bytes;
    Code code;
    const char* message;
  } rows[] = {
      {"empty", {}, Code::kInvalid, "cannot be loaded"},
      {"text", Bytes(100, 'x'), Code::kInvalid, "cannot be loaded"},
      {"cut", cut, Code::kInvalid, "it is cut short"},
      {"another machine", machine, Code::kInvalid, "cannot be loaded"},
      {"no entry", renamed, Code::kInvalid, "found no symbol linnet_plugin_v1"},
  };
  for (const auto& row : rows) {
    const TempFile file(row.bytes);
    PluginTable table;
    const Status status = LoadPlugin(Pinned(file.path()), table);
    ASSERT_FALSE(status) << row.name;
    EXPECT_EQ(status.error().code, row.code) << row.name << ": " << status.error().message;
    EXPECT_TRUE(status.error().message.contains(row.message)) << status.error().message;
    EXPECT_TRUE(status.error().message.starts_with("plugin " + file.path()))
        << status.error().message;
    EXPECT_FALSE(status.error().message.contains("/proc/self/fd")) << status.error().message;
    EXPECT_TRUE(table.entries().empty());
  }
}

TEST(PluginLoaderTest, AnotherHashIsRefusedNamingBoth) {
  PluginFile file = Pinned(kFolder + "fedavg.so");
  const std::string found = Hex(file.sha256);
  file.sha256[0] ^= 1;
  PluginTable table;
  const Status status = LoadPlugin(file, table);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kPermission);
  EXPECT_TRUE(status.error().message.contains(
      StrCat("found SHA-256 ", found, ", wanted ", Hex(file.sha256))))
      << status.error().message;
}

TEST(PluginLoaderTest, FilesThatCannotBeReadAreRefused) {
  PluginTable table;
  EXPECT_EQ(LoadPlugin({kFolder + "nothing.so", {}}, table).error().code, Code::kNotFound);
  EXPECT_EQ(LoadPlugin({kFolder, {}}, table).error().code, Code::kInvalid);
  EXPECT_TRUE(LoadPlugin({kFolder, {}}, table).error().message.contains("no regular file"));
  EXPECT_FALSE(LoadPlugin({"/dev/zero", {}}, table));
}

TEST(PluginLoaderTest, AnotherMajorIsRefused) {
  const std::string path = std::string(LINNET_BINARY_DIR) + "/tests/other-major.so";
  PluginTable table;
  const Status status = LoadPlugin(Pinned(path), table);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kVersion) << status.error().message;
  EXPECT_TRUE(status.error().message.contains("it has plugin ABI 2.0, wanted 1.x"))
      << status.error().message;
}

TEST(PluginLoaderTest, SharedObjectsGiveTheGoldenBits) {
  for (const char* name : {"fedavg", "fedavgm", "fedadam", "template-mean"}) {
    PluginTable table;
    const Status status = LoadPlugin(Pinned(StrCat(kFolder, name, ".so")), table);
    ASSERT_TRUE(status) << status.error().message;
    const auto entry = table.Find(name);
    ASSERT_TRUE(entry) << name;
    EXPECT_EQ((*entry)->origin, StrCat(kFolder, name, ".so"));
    ExpectGolden(name, RunGolden((*entry)->table, (*entry)->index));
  }
}

TEST(PluginLoaderTest, AFileThatIsRewrittenAfterLoadingChangesNothing) {
  const Bytes good = ReadFile(kFolder + "fedavg.so");
  const TempFile file(good, "rewritten.so");
  PluginTable table;
  ASSERT_TRUE(LoadPlugin(Pinned(file.path()), table));
  std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << std::string(good.size(), '\0');
  ExpectGolden("fedavg", RunGolden((*table.Find("fedavg"))->table));
}

TEST(PluginLoaderTest, SeveralFilesAreSeveralModules) {
  PluginTable table;
  for (const char* name : {"fedavg", "fedavgm", "template-mean"}) {
    const Status status = LoadPlugin(Pinned(StrCat(kFolder, name, ".so")), table);
    ASSERT_TRUE(status) << status.error().message;
  }
  EXPECT_EQ(table.entries().size(), 3u);
  EXPECT_NE((*table.Find("fedavg"))->table, (*table.Find("fedavgm"))->table);
  const Status again = LoadPlugin(Pinned(kFolder + "fedavg.so"), table);
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().message.contains("already there")) << again.error().message;
}

}  // namespace
}  // namespace linnet::testing
