// Builtin models of sequences: ids [context] to logits [context, vocabulary], each position's for
// the symbol behind it.
#include <cmath>

#include "model/builtin.h"

namespace linnet::builtin {

Status GruChar(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t>) {
  constexpr uint32_t kWidth = 64, kStates = 224;
  const auto normal = [](uint32_t inputs) {
    return Initializer{Initializer::Kind::kNormal,
                       static_cast<float>(1 / std::sqrt(double(inputs)))};
  };
  builder.Embedding("symbols", classes, kWidth, normal(kWidth));
  builder.Gru("gru", kStates).Linear("head", classes, normal(kStates));
  return {};
}

// Pre-norm blocks with learned positions; weights begin as in GPT-2 (Radford et al. 2019, section
// 2.3): deviation 0.02, smaller by the square root of the number of residual layers where one ends.
Status TransformerTiny(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths) {
  const uint32_t layers = widths.empty() ? 4 : widths[0];
  const uint32_t heads = widths.empty() ? 4 : widths[1];
  const uint32_t width = widths.empty() ? 64 : widths[2];
  if (layers > 64 || width > 4096 || width % heads != 0) {
    return Fail(Code::kInvalid, layers, " layers, ", heads, " heads, width ", width,
                ": at most 64 layers and width 4096 are wanted, and heads that divide the width");
  }
  const Initializer normal{Initializer::Kind::kNormal, 0.02f};
  const Initializer ending{Initializer::Kind::kNormal,
                           static_cast<float>(0.02 / std::sqrt(2.0 * layers))};
  builder.Embedding("symbols", classes, width, normal).AddPositions("positions", normal);
  for (uint32_t layer = 1; layer <= layers; ++layer) {
    const std::string block = StrCat("block", layer, ".");
    uint32_t residual = builder.value();
    builder.LayerNorm(block + "norm1").Linear(block + "qkv", 3 * width, normal);
    builder.Add(Op::kAttention, {heads, 1}).Linear(block + "projection", width, ending);
    builder.AddResidual(residual);
    residual = builder.value();
    builder.LayerNorm(block + "norm2").Linear(block + "wide", 4 * width, normal);
    builder.Add(Op::kGelu, {1}).Linear(block + "narrow", width, ending);
    builder.AddResidual(residual);
  }
  builder.LayerNorm("norm").Linear("head", classes, normal);
  return {};
}

}  // namespace linnet::builtin
