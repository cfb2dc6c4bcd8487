// One grey image from a file, as a data set of one row.
#ifndef LINNET_NATIVE_CLI_IMAGE_H_
#define LINNET_NATIVE_CLI_IMAGE_H_

#include <string>

#include "data/dataset.h"
#include "model/model.h"

namespace linnet {

// A binary PGM ("P5", one byte a pixel) of exactly the model's input size, 0 = background; scaled
// to 0..1. kData: not such a file; kInvalid: another size than the model wants.
Result<Dataset> LoadPgm(const std::string& path, const Graph& graph);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_IMAGE_H_
