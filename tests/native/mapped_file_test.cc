#include "native/store/mapped_file.h"

#include <gtest/gtest.h>

#include "native/folder.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

TEST(MappedFileTest, WhatCannotBeMappedIsNamed) {
  const TestFolder folder;
  EXPECT_EQ(MappedFile::Open(folder.path() + "/missing", 10).error().code, Code::kNotFound);
  EXPECT_EQ(MappedFile::Open(folder.path(), 10).error().code, Code::kIo);
  ASSERT_TRUE(ReplaceFile(folder.path() + "/large", Bytes(11, 1)));
  const auto large = MappedFile::Open(folder.path() + "/large", 10);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Code::kLimit);
  EXPECT_TRUE(large.error().message.contains("11 bytes, wanted at most 10"));
}

TEST(MappedFileTest, BytesStandAlsoWhenTheFileIsReplaced) {
  const TestFolder folder;
  const std::string path = folder.path() + "/file";
  ASSERT_TRUE(ReplaceFile(path, {}));
  EXPECT_TRUE(MappedFile::Open(path, 10).value().bytes().empty());
  const Bytes bytes = {1, 2, 3};
  ASSERT_TRUE(ReplaceFile(path, bytes));
  MappedFile file = MappedFile::Open(path, 10).value();
  ASSERT_TRUE(ReplaceFile(path, Bytes(3, 9)));
  const MappedFile moved = std::move(file);
  EXPECT_EQ(Bytes(moved.bytes().begin(), moved.bytes().end()), bytes);
}

}  // namespace
}  // namespace linnet
