// IDX, the format of MNIST: big-endian u32 header, then bytes.
#ifndef LINNET_NATIVE_DATA_IDX_H_
#define LINNET_NATIVE_DATA_IDX_H_

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "native/data/source.h"

namespace linnet {

// Images (magic 2051, count, rows, columns, pixels) and labels (magic 2049, count, one byte each
// below `classes`) of equal count; the names are for messages. kData says what was found and what
// was wanted.
Result<Dataset> ParseIdx(ByteSpan images, std::string_view images_name, ByteSpan labels,
                         std::string_view labels_name, uint32_t classes);

// {train,t10k}-{images-idx3,labels-idx1}-ubyte of `folder`, each plain or with ".gz". 10 classes.
// The test part is null when both its files are missing.
Result<TrainTest> OpenMnist(const std::string& folder);

}  // namespace linnet

#endif  // LINNET_NATIVE_DATA_IDX_H_
