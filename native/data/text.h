// Texts for models of symbols.
#ifndef LINNET_NATIVE_DATA_TEXT_H_
#define LINNET_NATIVE_DATA_TEXT_H_

#include <string>
#include <string_view>

#include "native/data/source.h"

namespace linnet {

struct TextOptions {
  uint32_t context = 64;  // bytes of one example, 1..4096
  uint32_t step = 64;     // from one example's begin to the next's, 1..2^20
};

// A text's symbols are its bytes: 256 classes, the same for everybody, whatever the language. The
// first 90 % of the bytes are the training part, the rest is the test part; each must hold one
// example. At most 2^28 bytes. kData names what is too short, kLimit what is too long.
Result<TrainTest> ParseText(std::string_view text, const std::string& name,
                            const TextOptions& options);

// "text:FILE?context=64&step=64": step is context unless given. The file may be gzipped.
Result<TrainTest> OpenText(std::string_view rest);

}  // namespace linnet

#endif  // LINNET_NATIVE_DATA_TEXT_H_
