// Whole files into memory, unpacked where they are gzipped.
#ifndef LINNET_NATIVE_DATA_FILE_H_
#define LINNET_NATIVE_DATA_FILE_H_

#include <cstddef>
#include <string>

#include "base/bytes.h"

namespace linnet {

// What a data file may unpack to.
inline constexpr size_t kMaxDataFileBytes = size_t{1} << 30;

// The contents of `path`, unpacked by zlib if they begin as gzip does. Memory grows with what is
// really there. kNotFound, kIo, kData (a broken or truncated gzip stream) or kLimit (more than
// `limit` bytes), each naming the file.
Result<Bytes> ReadDataFile(const std::string& path, size_t limit = kMaxDataFileBytes);

}  // namespace linnet

#endif  // LINNET_NATIVE_DATA_FILE_H_
