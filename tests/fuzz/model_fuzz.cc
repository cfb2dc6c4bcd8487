// LoadModel takes any bytes; what it takes is a valid model with exactly these bytes, and it runs.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "model/train.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  const ByteSpan bytes(data, size);
  const Result<Model> model = LoadModel(bytes);
  if (!model) {
    LINNET_CHECK(!model.error().message.empty());
    return 0;
  }
  LINNET_CHECK(ValidateGraph(model->graph).has_value());
  const Bytes saved = SaveModel(*model);
  LINNET_CHECK(std::ranges::equal(saved, bytes));

  // Executed only when small: a few bytes may describe a huge image.
  uint64_t work = 0;
  for (const auto& shape : InferShapes(model->graph).value()) {
    uint64_t count = 1;
    for (const uint32_t dimension : shape) count *= dimension;
    work += count;
  }
  if (work * model->parameters.size() > 1'000'000) return 0;
  auto trainer = Trainer::Create(model->graph, {}, 2, BestKernels());
  auto predictor = Predictor::Create(model->graph, 2, BestKernels());
  if (!trainer || !predictor) return 0;
  const std::vector<float> x(2 * model->graph.InputCount(), 0.5f);
  const auto last = InferShapes(model->graph).value().back();
  size_t outputs = 2;
  for (const uint32_t side : last) outputs *= side;
  const std::vector<int32_t> y(outputs, static_cast<int32_t>(model->graph.classes) - 1);
  std::vector<float> logits(outputs);
  (*predictor)->Run(model->parameters, x.data(), 2, logits.data());
  std::ranges::copy(model->parameters, (*trainer)->parameters().begin());
  if (model->graph.loss == Loss::kMse) {
    (*trainer)->StepValues(x.data(), logits.data(), 2);
  } else {
    (*trainer)->Step(x.data(), y.data(), 2);
  }
  return 0;
}
