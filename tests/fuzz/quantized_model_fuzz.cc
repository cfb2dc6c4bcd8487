// LoadQuantizedModel takes any bytes; what it takes is a valid model with exactly these bytes, and
// it runs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"
#include "model/quantize.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  const ByteSpan bytes(data, size);
  const Result<QuantizedModel> model = LoadQuantizedModel(bytes);
  if (!model) {
    LINNET_CHECK(!model.error().message.empty());
    return 0;
  }
  LINNET_CHECK(ValidateQuantizedModel(*model).has_value());
  LINNET_CHECK(std::ranges::equal(SaveQuantizedModel(*model), bytes));

  // Executed only when small: a few bytes may describe a huge image.
  uint64_t work = 0, outputs = 0;
  for (const auto& shape : InferShapes(model->graph).value()) {
    outputs = 1;
    for (const uint32_t dimension : shape) outputs *= dimension;
    work += outputs;
  }
  if (work * model->graph.ParamCount() > 1'000'000) return 0;
  auto predictor = QuantizedPredictor::Create(*model, 2, BestKernels());
  if (!predictor) return 0;
  const std::vector<float> x(2 * model->graph.InputCount(), 0.5f);
  std::vector<float> y(2 * outputs);
  (*predictor)->Run(x.data(), 2, y.data());
  return 0;
}
