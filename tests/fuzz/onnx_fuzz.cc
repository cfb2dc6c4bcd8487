// ImportOnnx takes any bytes; what it takes is a valid model that can be saved and written again.
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "model/model.h"
#include "native/onnx/onnx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  const auto imported = ImportOnnx({data, size});
  if (!imported) {
    LINNET_CHECK(!imported.error().message.empty());
    return 0;
  }
  const Model& model = imported->model;
  LINNET_CHECK(ValidateGraph(model.graph).has_value());
  LINNET_CHECK(model.parameters.size() == model.graph.ParamCount());
  LINNET_CHECK(LoadModel(SaveModel(model)).has_value());
  LINNET_CHECK(ExportOnnx(model).has_value());
  return 0;
}
