// NumPy's array files.
#ifndef LINNET_NATIVE_DATA_NPY_H_
#define LINNET_NATIVE_DATA_NPY_H_

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "native/data/source.h"

namespace linnet {

// Two arrays, little-endian and in C order, format 1 to 3: x[rows, ...] of u1, f4 or f8, and
// y[rows] of integers (labels from 0; classes = the largest + 1) or y[rows] or y[rows, values] of
// f4 or f8 (targets of a regression). At most 2^28 numbers each. kData says what was found and what
// is wanted; the names are for messages.
Result<Dataset> ParseNpy(ByteSpan x, const std::string& x_name, ByteSpan y,
                         const std::string& y_name);

// "npy:X.npy,Y.npy"; no test part.
Result<TrainTest> OpenNpy(std::string_view rest);

}  // namespace linnet

#endif  // LINNET_NATIVE_DATA_NPY_H_
