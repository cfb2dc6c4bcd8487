#include "model/int8_program.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "model/ops.h"
#include "model/quantize_parts.h"

namespace linnet {
namespace {

class Maker {
 public:
  Maker(const QuantizedModel& model, size_t max_batch, const Kernels& kernels)
      : model_(model), k_(kernels), max_batch_(max_batch) {}

  Int8Program Make() {
    Result<std::vector<Shape>> shapes = InferShapes(model_.graph);
    LINNET_CHECK(shapes.has_value());
    shapes_ = std::move(*shapes);
    for (const Shape& shape : shapes_) program_.counts.push_back(ElementCount(shape));
    AddSteps();
    PlaceValues();
    for (const Int8Step& step : program_.steps) {
      if (!step.is_image || !step.image.IsPadded()) continue;
      program_.border_bytes =
          std::max(program_.border_bytes, RoundUpToLine(step.image.bytes() + kInt8Slack));
    }
    program_.ends_in_f32 = !program_.steps.empty() && program_.steps.back().to_f32;
    return std::move(program_);
  }

 private:
  void AddSteps() {
    const Graph& graph = model_.graph;
    const std::vector<uint32_t> stands = RectifiedValues(graph);
    alias_.resize(shapes_.size());
    for (uint32_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      const uint32_t y = stands[i + 1];
      alias_[i + 1] = i + 1;
      const uint32_t from = alias_[node.inputs[0]];
      const bool is_fused =
          (node.op == Op::kRelu || node.op == Op::kClip) && stands[node.inputs[0]] == i + 1;
      if (is_fused) continue;
      if (KeepsCodes(node.op) && node.op != Op::kMaxPool) {
        alias_[i + 1] = from;
        continue;
      }
      Int8Step step;
      step.x = from;
      step.y = y;
      const ActivationCode in = model_.activations[node.inputs[0]], out = model_.activations[y];
      step.border = in.zero_point;
      step.out = Clamp(out, y != i + 1 ? &graph.nodes[y - 1] : nullptr);
      switch (node.op) {
        case Op::kDense:
        case Op::kLinear:
        case Op::kConv2d:
          step.to_f32 = y + 1 == shapes_.size();
          AddProduct(node, i + 1, in, out, step);
          break;
        case Op::kMaxPool:
        case Op::kAvgPool:
        case Op::kGlobalAvgPool:
          SetPool(node, in, out, step);
          break;
        case Op::kAdd: {
          const ActivationCode other = model_.activations[node.inputs[1]];
          step.x2 = alias_[node.inputs[1]];
          step.scale = in.scale / out.scale;
          step.scale2 = other.scale / out.scale;
          step.out.offset -= static_cast<float>(in.zero_point) * step.scale +
                             static_cast<float>(other.zero_point) * step.scale2;
          break;
        }
        case Op::kRelu:
        case Op::kClip:  // of a value that others read too: an addition of nothing, clamped
          step.x2 = from;
          step.scale = in.scale / out.scale;
          step.out = Clamp(out, &node);
          step.out.offset -= static_cast<float>(in.zero_point) * step.scale;
          break;
        default:
          LINNET_CHECK(false);  // CheckInt8Operators
      }
      program_.steps.push_back(std::move(step));
    }
  }

  // The codes of what comes out, and what a rectifier leaves of them.
  static Requantize Clamp(const ActivationCode& code, const Node* rectifier) {
    const auto zero = static_cast<float>(code.zero_point);
    Requantize out = {.offset = zero};
    if (rectifier == nullptr) return out;
    if (rectifier->op == Op::kRelu) {
      out.low = zero;
      return out;
    }
    out.low =
        std::clamp(zero + FloatAttribute(rectifier->attributes[0]) / code.scale, 0.0f, out.high);
    out.high =
        std::clamp(zero + FloatAttribute(rectifier->attributes[1]) / code.scale, out.low, out.high);
    return out;
  }

  static void SetWindows(Int8Step& step, const Shape& x, std::span<const uint32_t> pads,
                         std::span<const uint32_t> strides, const Shape& y) {
    step.is_image = true;
    step.image = {.height = x[0],
                  .width = x[1],
                  .channels = x[2],
                  .top = pads[0],
                  .left = pads[1],
                  .bottom = pads[2],
                  .right = pads[3],
                  .out_height = y[0],
                  .out_width = y[1],
                  .stride_h = strides[0],
                  .stride_w = strides[1]};
  }
  // Every tap of a kernel on its own.
  static void SetTaps(Int8Step& step, size_t kernel_h, size_t kernel_w, size_t dilation_h,
                      size_t dilation_w, size_t run) {
    for (size_t i = 0; i < kernel_h; ++i) {
      for (size_t j = 0; j < kernel_w; ++j) {
        step.offsets.push_back(static_cast<uint32_t>(i * dilation_h * step.image.row() +
                                                     j * dilation_w * step.image.channels));
      }
    }
    step.run = run;
  }

  void SetPool(const Node& node, const ActivationCode& in, const ActivationCode& out,
               Int8Step& step) {
    const Shape& x = shapes_[node.inputs[0]];
    const std::span at(node.attributes);
    const bool global = node.op == Op::kGlobalAvgPool;
    const size_t size_h = global ? x[0] : at[0], size_w = global ? x[1] : at[1];
    if (global) {
      const std::array<uint32_t, 4> none = {}, one = {1, 1, 1, 1};
      SetWindows(step, x, none, one, {1, 1});
    } else {
      SetWindows(step, x, at.subspan(4, 4), at.subspan(2, 2), shapes_[step.y]);
    }
    SetTaps(step, size_h, size_w, 1, 1, x[2]);
    if (node.op == Op::kMaxPool) {
      step.kind = Int8Step::Kind::kMaxPool;
      step.border = 0;
      return;
    }
    step.kind = Int8Step::Kind::kSumPool;
    const auto count = static_cast<float>(size_h * size_w);
    step.scale = in.scale / (out.scale * count);
    step.out.offset -= static_cast<float>(in.zero_point) * (in.scale / out.scale);
  }

  // `value` is what the node makes, before a rectifier.
  void AddProduct(const Node& node, uint32_t value, const ActivationCode& in,
                  const ActivationCode& out, Int8Step& step) {
    const ParamInfo& info = model_.graph.params[node.params[0]];
    const QuantizedTensor& tensor = model_.tensors[node.params[0]];
    const Shape& x = shapes_[node.inputs[0]];
    const size_t n = info.shape.back(), depth = info.count / n;
    step.kind = Int8Step::Kind::kProduct;
    if (node.op == Op::kConv2d) {
      const std::span at(node.attributes);
      const size_t groups = at[8], kernel_h = info.shape[0], kernel_w = info.shape[1];
      SetWindows(step, x, at.subspan(2, 4), at.first(2), shapes_[value]);
      if (groups == x[2] && n == groups) {
        step.kind = Int8Step::Kind::kDepthwise;
        SetTaps(step, kernel_h, kernel_w, at[6], at[7], n);
      } else if (groups == 1 && at[7] == 1) {
        SetTaps(step, kernel_h, 1, at[6], 1, kernel_w * x[2]);
      } else {
        SetTaps(step, kernel_h, kernel_w, at[6], at[7], x[2] / groups);
        step.groups = groups;
      }
      const Int8Image& image = step.image;
      if (kernel_h * kernel_w * groups == 1 && !image.IsPadded() &&
          image.stride_h * image.stride_w == 1) {
        step.is_image = false;
        step.rows = image.height * image.width;
      }
    } else {
      step.offsets = {0};
      step.run = depth;
      step.rows = ElementCount(x) / depth;
    }
    step.outputs = n / step.groups;
    // Bias and zero point as whole numbers of input scale times weight scale.
    std::vector<int32_t> bias(n);
    std::vector<float> scale(n);
    for (size_t j = 0; j < n; ++j) {
      int64_t sum = 0;
      for (size_t i = 0; i < depth; ++i) sum += tensor.int8[i * n + j];
      const float unit = in.scale * tensor.values[j];
      const double added = node.params.size() > 1 ? model_.tensors[node.params[1]].values[j] : 0;
      const double whole = std::nearbyint(added / static_cast<double>(unit)) -
                           static_cast<double>(in.zero_point * sum);
      bias[j] = static_cast<int32_t>(std::clamp(whole, -0x1p30, 0x1p30));
      scale[j] = step.to_f32 ? unit : unit / out.scale;
    }
    if (step.to_f32) {
      const float most = std::numeric_limits<float>::max();
      const auto zero = static_cast<float>(out.zero_point);
      // The clamp of the codes, where there is a rectifier, in values.
      const bool rectified = step.y != value;
      step.out = rectified ? Requantize{.offset = 0,
                                        .low = (step.out.low - zero) * out.scale,
                                        .high = step.out.high < kMaxInt8Activation
                                                    ? (step.out.high - zero) * out.scale
                                                    : most}
                           : Requantize{.offset = 0, .low = -most, .high = most};
    }
    Pack(tensor, bias, scale, depth, step);
  }

  void Pack(const QuantizedTensor& tensor, const std::vector<int32_t>& bias,
            const std::vector<float>& scale, size_t depth, Int8Step& step) {
    const size_t n = bias.size(), parts = step.offsets.size(), outputs = step.outputs;
    if (step.kind == Int8Step::Kind::kDepthwise) {
      const size_t numbers = RoundUpToLine(4 * n);
      step.group_bytes = RoundUpToLine(parts * n);
      step.weights = AlignedBuffer<uint8_t>(step.group_bytes + 2 * numbers);
      uint8_t* to = step.weights.data();
      std::memcpy(to, tensor.int8.data(), parts * n);
      std::memcpy(to + step.group_bytes, bias.data(), 4 * n);
      std::memcpy(to + step.group_bytes + numbers, scale.data(), 4 * n);
      return;
    }
    step.group_bytes = RoundUpToLine(Int8PackedBytes(parts, step.run, outputs));
    step.weights = AlignedBuffer<uint8_t>(step.groups * step.group_bytes);
    std::vector<int8_t> codes(depth * outputs);
    for (size_t g = 0; g < step.groups; ++g) {
      for (size_t i = 0; i < depth; ++i) {
        std::memcpy(&codes[i * outputs], &tensor.int8[i * n + g * outputs], outputs);
      }
      k_.int8.pack(codes.data(), &bias[g * outputs], &scale[g * outputs], parts, step.run, outputs,
                   step.weights.data() + g * step.group_bytes);
    }
  }

  // Values that are alive at the same time get memory of their own; first fit in order of time.
  void PlaceValues() {
    struct Block {
      size_t offset, bytes, last;
    };
    std::vector<size_t> last(shapes_.size());
    for (size_t i = 0; i < program_.steps.size(); ++i) {
      last[program_.steps[i].x] = i;
      if (program_.steps[i].kind == Int8Step::Kind::kAdd) last[program_.steps[i].x2] = i;
    }
    last[alias_.back()] = program_.steps.size();
    program_.places.resize(shapes_.size());
    std::vector<Block> blocks;
    const auto place = [&](uint32_t value, size_t now) {
      std::erase_if(blocks, [&](const Block& block) { return block.last < now; });
      std::ranges::sort(blocks, {}, &Block::offset);
      const size_t bytes = RoundUpToLine(program_.counts[value] * max_batch_ + kInt8Slack);
      size_t offset = 0, at = 0;
      for (; at < blocks.size() && blocks[at].offset < offset + bytes; ++at) {
        offset = blocks[at].offset + blocks[at].bytes;
      }
      blocks.push_back({offset, bytes, std::max(now, last[value])});
      program_.places[value] = offset;
      program_.codes_bytes = std::max(program_.codes_bytes, offset + bytes);
    };
    place(0, 0);
    for (size_t i = 0; i < program_.steps.size(); ++i) {
      if (!program_.steps[i].to_f32) place(program_.steps[i].y, i);
    }
    for (size_t value = 0; value < alias_.size(); ++value)
      program_.places[value] = program_.places[alias_[value]];
  }

  const QuantizedModel& model_;
  const Kernels& k_;
  const size_t max_batch_;
  std::vector<Shape> shapes_;
  std::vector<uint32_t> alias_;  // the value whose codes a value has
  Int8Program program_;
};

}  // namespace

Status CheckInt8Operators(const Graph& graph) {
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(graph));
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    switch (node.op) {
      case Op::kDense:
      case Op::kLinear:
      case Op::kConv2d: {
        const ParamInfo& weights = graph.params[node.params[0]];
        const uint64_t depth = weights.count / weights.shape.back();
        if (depth <= kMaxInt8Depth) break;
        return Fail(Code::kUnsupported, NodeText(graph, i), " adds ", depth,
                    " products, in 8 bits wanted at most ", kMaxInt8Depth);
      }
      case Op::kAvgPool:
        if (node.attributes[8] == 1 ||
            std::ranges::count(std::span(node.attributes).subspan(4, 4), 0u) == 4) {
          break;
        }
        return Fail(Code::kUnsupported, NodeText(graph, i),
                    " does not count its padding, which 8 bits cannot");
      case Op::kRelu:
      case Op::kClip:
      case Op::kMaxPool:
      case Op::kGlobalAvgPool:
      case Op::kFlatten:
      case Op::kReshape:
      case Op::kAdd:
      case Op::kDropout:
        break;
      default:
        return Fail(Code::kUnsupported, NodeText(graph, i),
                    " is not computed in 8 bits; these are: dense, linear, conv2d, relu, clip, "
                    "max_pool, avg_pool, global_avg_pool, flatten, reshape, add, dropout and a "
                    "batch_norm that alone reads a dense, linear or conv2d");
    }
  }
  return {};
}

Int8Program MakeInt8Program(const QuantizedModel& model, size_t max_batch, const Kernels& kernels) {
  return Maker(model, max_batch, kernels).Make();
}

}  // namespace linnet
