// Builtin models of dense layers.
#include "model/builtin.h"

namespace linnet::builtin {

// McMahan et al. (2017), section 3.
Status Mlp2nn(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t>) {
  builder.Dense(200).Relu().Dense(200).Relu().Dense(classes);
  return {};
}

Status Mlp256128(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t>) {
  builder.Dense(256).Relu().Dense(128).Relu().Dense(classes);
  return {};
}

Status SoftmaxRegression(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t>) {
  builder.Dense(classes);
  return {};
}

// Tanh between, the squared error of its own input as loss.
Status Autoencoder(GraphBuilder& builder, uint32_t, std::span<const uint32_t> widths) {
  const uint64_t features = ElementCount(builder.shape());
  const uint32_t ends = static_cast<uint32_t>(features);
  const std::vector<uint32_t> usual = {ends, 64, 16, 64, ends};
  if (widths.empty()) widths = usual;
  if (widths.front() != features || widths.back() != features) {
    return Fail(Code::kInvalid, "the first width is ", widths.front(), " and the last ",
                widths.back(), ", wanted the ", features, " features of the input in both");
  }
  for (size_t i = 1; i < widths.size(); ++i) {
    if (i > 1) builder.Add(Op::kTanh);
    builder.Dense(widths[i]);
  }
  builder.SetLoss(Loss::kMse, ends);
  return {};
}

}  // namespace linnet::builtin
