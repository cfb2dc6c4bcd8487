// Builtin models of convolutions, for images.
#include "model/builtin.h"

namespace linnet::builtin {

Status CnnSmall(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t>) {
  builder.Conv2d({.kernel = 3, .outputs = 32}).Relu();
  builder.Conv2d({.kernel = 3, .outputs = 64}).Relu().MaxPool(2);
  builder.Add(Op::kFlatten).Dense(128).Relu().Dense(classes);
  return {};
}

// McMahan et al. (2017), section 3; its 1,663,370 parameters mean "same" padding.
Status CnnMnist(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t>) {
  builder.Conv2d({.kernel = 5, .outputs = 32, .pad = 2}).Relu().MaxPool(2);
  builder.Conv2d({.kernel = 5, .outputs = 64, .pad = 2}).Relu().MaxPool(2);
  builder.Add(Op::kFlatten).Dense(512).Relu().Dense(classes);
  return {};
}

// Depthwise separable convolutions (Howard et al. 2017, section 3.1) at a tenth of the operations
// of cnn-mnist.
Status DscnnSmall(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t>) {
  constexpr struct {
    uint32_t inputs, outputs, stride;
  } kBlocks[] = {{32, 64, 1}, {64, 64, 2}, {64, 128, 1}};
  builder.Conv2d({.kernel = 3, .outputs = 32, .stride = 2, .pad = 1}).BatchNorm().Relu();
  for (const auto& [inputs, outputs, stride] : kBlocks) {
    builder.Conv2d({.kernel = 3, .outputs = inputs, .stride = stride, .pad = 1, .groups = inputs});
    builder.BatchNorm().Relu();
    builder.Conv2d({.kernel = 1, .outputs = outputs}).BatchNorm().Relu();
  }
  builder.Add(Op::kGlobalAvgPool).Dense(classes);
  return {};
}

// Li, Diao, Chen and He (2022), "Federated Learning on Non-IID Data Silos", section 5.
Status LenetNiid(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t>) {
  builder.Conv2d({.kernel = 5, .outputs = 6}).Relu().MaxPool(2);
  builder.Conv2d({.kernel = 5, .outputs = 16}).Relu().MaxPool(2);
  builder.Add(Op::kFlatten).Dense(120).Relu().Dense(84).Relu().Dense(classes);
  return {};
}

}  // namespace linnet::builtin
