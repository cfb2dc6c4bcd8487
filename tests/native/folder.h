// A folder of a test's own, gone with the test.
#ifndef LINNET_TESTS_NATIVE_FOLDER_H_
#define LINNET_TESTS_NATIVE_FOLDER_H_

#include <cstdlib>
#include <filesystem>
#include <string>

namespace linnet {

class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "linnet-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace linnet

#endif  // LINNET_TESTS_NATIVE_FOLDER_H_
