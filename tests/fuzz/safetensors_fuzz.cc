// ReadSafetensors takes any bytes; what it takes are finite parameters of the model asked for.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "model/model.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace linnet;
  static const Graph graph =
      BuiltinModel("softmax-regression", SeedFromInt(1), {2, 3}, 4).value().graph;
  for (const TensorLayout layout : {TensorLayout::kLinnet, TensorLayout::kPytorch}) {
    const auto model = ReadSafetensors({data, size}, graph, {.layout = layout, .renames = {}});
    if (!model) {
      LINNET_CHECK(!model.error().message.empty());
      continue;
    }
    LINNET_CHECK(model->graph == graph && model->parameters.size() == graph.ParamCount());
    for (const float value : model->parameters) LINNET_CHECK(std::isfinite(value));
    const auto again =
        ReadSafetensors(WriteSafetensors(*model, layout), graph, {.layout = layout, .renames = {}});
    LINNET_CHECK(again.has_value() && again->parameters == model->parameters);
  }
  return 0;
}
