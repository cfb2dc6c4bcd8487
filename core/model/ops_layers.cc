#include <algorithm>

#include "model/ops_infer.h"

namespace linnet {

Result<Shape> InferDense(const OpArguments& arguments) {
  const uint64_t in = ElementCount(*arguments.inputs[0]);
  const Shape& weights = *arguments.params[0];
  if (weights.size() != 2 || weights[0] != in) {
    return Fail(Code::kInvalid, "the weights are ", ShapeText(weights), ", wanted [", in,
                ", outputs] for an input of ", ShapeText(*arguments.inputs[0]));
  }
  LINNET_TRY_STATUS(CheckVector("the bias", *arguments.params[1], weights[1]));
  return Shape{weights[1]};
}

Result<Shape> InferLinear(const OpArguments& arguments) {
  Shape shape = *arguments.inputs[0];
  const Shape& weights = *arguments.params[0];
  if (weights.size() != 2 || weights[0] != shape.back()) {
    return Fail(Code::kInvalid, "the weights are ", ShapeText(weights), ", wanted [", shape.back(),
                ", outputs] for an input of ", ShapeText(shape));
  }
  if (arguments.params.size() == 2) {
    LINNET_TRY_STATUS(CheckVector("the bias", *arguments.params[1], weights[1]));
  }
  shape.back() = weights[1];
  return shape;
}

Result<Shape> InferEmbedding(const OpArguments& arguments) {
  const Shape& table = *arguments.params[0];
  if (table.size() != 2) {
    return Fail(Code::kInvalid, "the table is ", ShapeText(table),
                ", wanted [vocabulary, dimensions]");
  }
  Shape shape = *arguments.inputs[0];
  shape.push_back(table[1]);
  return shape;
}

Result<Shape> InferGru(const OpArguments& arguments) {
  const Shape& x = *arguments.inputs[0];
  if (x.size() != 2) {
    return Fail(Code::kInvalid, "the input is ", ShapeText(x), ", wanted [steps, features]");
  }
  const Shape& w_hidden = *arguments.params[1];
  if (w_hidden.size() != 2 || w_hidden[1] != uint64_t{3} * w_hidden[0]) {
    return Fail(Code::kInvalid, "the hidden weights are ", ShapeText(w_hidden),
                ", wanted [hidden, 3 x hidden]");
  }
  const uint32_t hidden = w_hidden[0], gates = w_hidden[1];
  if (const Shape& w_input = *arguments.params[0]; w_input != Shape{x[1], gates}) {
    return Fail(Code::kInvalid, "the input weights are ", ShapeText(w_input), ", wanted ",
                ShapeText(Shape{x[1], gates}), " for an input of ", ShapeText(x), " and ", hidden,
                " hidden units");
  }
  LINNET_TRY_STATUS(CheckVector("the input bias", *arguments.params[2], gates));
  LINNET_TRY_STATUS(CheckVector("the hidden bias", *arguments.params[3], gates));
  LINNET_TRY_STATUS(CheckFlag("return_sequence", arguments.attributes[0]));
  LINNET_TRY_STATUS(CheckFlag("reset_after", arguments.attributes[1]));
  LINNET_TRY_STATUS(CheckFlag("reverse", arguments.attributes[2]));
  return arguments.attributes[0] != 0 ? Shape{x[0], hidden} : Shape{hidden};
}

Result<Shape> InferAttention(const OpArguments& arguments) {
  const Shape& qkv = *arguments.inputs[0];
  if (qkv.size() != 2 || qkv[1] % 3 != 0) {
    return Fail(Code::kInvalid, "the input is ", ShapeText(qkv),
                ", wanted [positions, 3 x dimensions]");
  }
  const uint32_t dimensions = qkv[1] / 3, heads = arguments.attributes[0];
  if (heads == 0 || dimensions % heads != 0) {
    return Fail(Code::kInvalid, "the heads are ", heads, ", wanted a divisor of the ", dimensions,
                " dimensions");
  }
  LINNET_TRY_STATUS(CheckFlag("causal", arguments.attributes[1]));
  return Shape{qkv[0], dimensions};
}

Result<Shape> InferMatmul(const OpArguments& arguments) {
  const Shape &a = *arguments.inputs[0], &b = *arguments.inputs[1];
  LINNET_TRY_STATUS(CheckFlag("transpose_a", arguments.attributes[0]));
  LINNET_TRY_STATUS(CheckFlag("transpose_b", arguments.attributes[1]));
  const size_t rank = a.size();
  const auto refuse = [&](std::string_view wanted) {
    return Fail(Code::kInvalid, "the inputs are ", ShapeText(a), " and ", ShapeText(b), ", wanted ",
                wanted);
  };
  if (rank < 2 || b.size() != rank) return refuse("two of one rank, at least 2");
  if (!std::equal(a.begin(), a.end() - 2, b.begin())) return refuse("equal leading axes");
  const bool trans_a = arguments.attributes[0] != 0, trans_b = arguments.attributes[1] != 0;
  const uint32_t inner = a[rank - (trans_a ? 2 : 1)];
  if (b[rank - (trans_b ? 1 : 2)] != inner) return refuse("one inner size");
  Shape shape = a;
  shape[rank - 2] = a[rank - (trans_a ? 1 : 2)];
  shape[rank - 1] = b[rank - (trans_b ? 2 : 1)];
  return shape;
}

}  // namespace linnet
