// Operators on images: pools, padding, normalization.
#include <algorithm>

#include "native/onnx/importer.h"
#include "native/onnx/window.h"

namespace linnet::onnx {

Result<Image> OpenImage(Call& call, const View& x) {
  if (x.rank() != 3 && x.rank() != 4) {
    return Fail(Code::kUnsupported, "its input is ", DimsText(x.dims()),
                ", supported are [batch, channels, height, width] and [batch, channels, length]");
  }
  Image image{.view = x, .spatial = x.rank() - 2};
  if (image.spatial == 1) image.view.axes.insert(image.view.axes.begin() + 2, View::Axis{});
  LINNET_TRY(image.view, call.builder.Arrange(image.view, {2, 3, 1}));
  return image;
}

View CloseImage(View y, size_t spatial) {
  y.axes = {{0}, {3}, {1}, {2}};
  if (spatial == 1) y.axes.erase(y.axes.begin() + 2);
  return y;
}

Result<Window> ReadWindow(Call& call, const Image& image, std::array<int64_t, 2> size,
                          bool dilations) {
  const size_t spatial = image.spatial;
  const auto read = [&](std::string_view name, size_t count, int64_t otherwise,
                        int64_t least) -> Result<std::vector<int64_t>> {
    std::vector<int64_t> values = call.Ints(name, std::vector<int64_t>(count, otherwise));
    constexpr int64_t kMost = 1 << 20;
    if (values.size() != count ||
        std::ranges::any_of(values, [&](int64_t v) { return v < least || v > kMost; })) {
      return Fail(Code::kUnsupported, "its ", name, " has ", values.size(), " values, wanted ",
                  count, " in ", least, " to ", kMost);
    }
    return values;
  };
  LINNET_TRY(std::vector<int64_t> strides, read("strides", spatial, 1, 1));
  LINNET_TRY(std::vector<int64_t> dilation, read("dilations", spatial, 1, 1));
  LINNET_TRY(std::vector<int64_t> pads, read("pads", 2 * spatial, 0, 0));
  if (spatial == 1) {
    strides.insert(strides.begin(), 1);
    dilation.insert(dilation.begin(), 1);
    pads = {0, pads[0], 0, pads[1]};
  }
  if (!dilations && (dilation[0] != 1 || dilation[1] != 1)) {
    return Fail(Code::kUnsupported, "it has dilations, supported is 1");
  }
  const std::string auto_pad = call.Text("auto_pad", "NOTSET");
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    for (size_t i = 0; i < 2; ++i) {
      const int64_t extent = image.view.stored[i], reach = (size[i] - 1) * dilation[i] + 1;
      const int64_t outputs = (extent + strides[i] - 1) / strides[i];
      const int64_t total = std::max<int64_t>((outputs - 1) * strides[i] + reach - extent, 0);
      const int64_t small = total / 2, large = total - small;
      pads[i] = auto_pad == "SAME_UPPER" ? small : large;
      pads[i + 2] = auto_pad == "SAME_UPPER" ? large : small;
    }
  } else if (auto_pad != "NOTSET" && auto_pad != "VALID") {
    return Fail(Code::kUnsupported, "its auto_pad is ", auto_pad);
  }
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  return Window{.stride = {u32(strides[0]), u32(strides[1])},
                .dilation = {u32(dilation[0]), u32(dilation[1])},
                .pads = {u32(pads[0]), u32(pads[1]), u32(pads[2]), u32(pads[3])}};
}

namespace {

Status ReadPool(Call& call, Op op) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Image image, OpenImage(call, *x));
  std::vector<int64_t> size = call.Ints("kernel_shape");
  if (size.size() != image.spatial ||
      std::ranges::any_of(size, [](int64_t s) { return s < 1 || s > 1 << 20; })) {
    return Fail(Code::kInvalid, "its kernel_shape has ", size.size(), " values, wanted ",
                image.spatial, " of 1 or more");
  }
  if (image.spatial == 1) size.insert(size.begin(), 1);
  if (call.node.output_size() > 1 && !call.node.output(1).empty()) {
    return Fail(Code::kUnsupported, "its indices are wanted, supported is the pooled image");
  }
  LINNET_TRY(const Window window, ReadWindow(call, image, {size[0], size[1]}, false));
  if (call.Int("ceil_mode", 0) != 0) {
    for (size_t i = 0; i < 2; ++i) {
      const int64_t room =
          int64_t{image.view.stored[i]} + window.pads[i] + window.pads[i + 2] - size[i];
      if (room % window.stride[i] != 0) {
        return Fail(Code::kUnsupported,
                    "its ceil_mode makes windows that do not fit, supported are those that fit");
      }
    }
  }
  std::vector<uint32_t> attributes = {static_cast<uint32_t>(size[0]),
                                      static_cast<uint32_t>(size[1]), window.stride[0],
                                      window.stride[1]};
  attributes.insert(attributes.end(), window.pads.begin(), window.pads.end());
  if (op == Op::kAvgPool) attributes.push_back(call.Int("count_include_pad", 0) != 0);
  LINNET_TRY(View y, call.builder.Emit(op, {&image.view}, {}, std::move(attributes)));
  return call.Return(CloseImage(std::move(y), image.spatial));
}
Status ReadMaxPool(Call& call) { return ReadPool(call, Op::kMaxPool); }
Status ReadAveragePool(Call& call) { return ReadPool(call, Op::kAvgPool); }

Status ReadGlobalAveragePool(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Image image, OpenImage(call, *x));
  LINNET_TRY(View y, call.builder.Emit(Op::kGlobalAvgPool, {&image.view}));
  y.axes.resize(2 + image.spatial);
  return call.Return(std::move(y));
}

Status ReadGlobalMaxPool(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Image image, OpenImage(call, *x));
  const uint32_t height = image.view.stored[0], width = image.view.stored[1];
  LINNET_TRY(View y,
             call.builder.Emit(Op::kMaxPool, {&image.view}, {}, {height, width, 1, 1, 0, 0, 0, 0}));
  return call.Return(CloseImage(std::move(y), image.spatial));
}

Status ReadPad(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(std::vector<int64_t> pads, call.IntsOrInput("pads", 1));
  float value = call.Float("value", 0);
  if (call.has(2)) {
    LINNET_TRY(const Tensor* constant, call.Constant(2, "value"));
    if (constant->stored() > 0) value = constant->Float(0);
  }
  if (call.has(3)) return Fail(Code::kUnsupported, "it has axes, supported are pads of every axis");
  if (pads.size() != 2 * x->rank()) {
    return Fail(Code::kInvalid, "its pads have ", pads.size(), " values, wanted ", 2 * x->rank());
  }
  if (std::ranges::all_of(pads, [](int64_t pad) { return pad == 0; })) return call.Return(*x);
  const size_t rank = x->rank();
  // The two axes that grow are height and width, the third is the channels.
  std::vector<size_t> grown, other;
  for (size_t i = 0; i < rank; ++i) {
    const bool grows = pads[i] != 0 || pads[rank + i] != 0;
    if (pads[i] < 0 || pads[rank + i] < 0 || pads[i] > 1 << 20 || pads[rank + i] > 1 << 20) {
      return Fail(Code::kUnsupported, "it crops or its pads are too large, supported are 0 to ",
                  1 << 20);
    }
    if (grows && x->is_batch(i)) return Fail(Code::kUnsupported, "it pads the batch");
    if (!x->is_batch(i)) (grows ? grown : other).push_back(i);
  }
  if (call.Text("mode", "constant") != "constant" || value != 0 || rank != 4 || grown.size() > 2) {
    return Fail(Code::kUnsupported, "its mode is ", call.Text("mode", "constant"),
                " with the value ", value, " on ", DimsText(x->dims()),
                ", supported are zeros around the height and width of an image");
  }
  while (grown.size() < 2) {
    // Height comes before width; the channels are the axis that is stored last.
    const auto axis = std::ranges::min_element(
        other, {}, [&](size_t i) { return x->axes[i].empty() ? 0 : x->axes[i].front(); });
    grown.push_back(*axis);
    other.erase(axis);
  }
  std::ranges::sort(grown);
  LINNET_TRY(const View image, call.builder.Arrange(*x, {grown[0], grown[1], other[0]}));
  const auto pad = [&](size_t i) { return static_cast<uint32_t>(pads[i]); };
  LINNET_TRY(View y, call.builder.EmitUnary(Op::kPad, image, {},
                                            {pad(grown[0]), pad(grown[1]), pad(rank + grown[0]),
                                             pad(rank + grown[1])}));
  return call.Return(std::move(y));
}

uint32_t Bits(float value) { return std::bit_cast<uint32_t>(value); }

Status ReadBatchNorm(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  if (x->rank() < 2) return Fail(Code::kUnsupported, "its input is ", DimsText(x->dims()));
  LINNET_TRY(const View at, call.builder.MoveLast(*x, 1));
  const int64_t channels = at.size(1);
  std::vector<uint32_t> params;
  for (size_t i = 1; i <= 4; ++i) {
    constexpr std::string_view kWhat[] = {"", "scale", "shift", "mean", "variance"};
    LINNET_TRY(
        const uint32_t param,
        call.VectorParam(i, kWhat[i], channels, i > 2 ? ParamRole::kBuffer : ParamRole::kWeight));
    params.push_back(param);
  }
  // ONNX keeps this share of the running statistics, we take that of the batch.
  const float momentum = std::clamp(1 - call.Float("momentum", 0.9f), 0.0f, 1.0f);
  LINNET_TRY(View y, call.builder.EmitUnary(Op::kBatchNorm, at, std::move(params),
                                            {Bits(call.Float("epsilon", 1e-5f)), Bits(momentum)}));
  return call.Return(std::move(y));
}

Status ReadLayerNorm(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const size_t axis, call.Axis(call.Int("axis", -1), x->rank()));
  if (axis + 1 != x->rank()) {
    return Fail(Code::kUnsupported, "its axis is ", axis, " of ", DimsText(x->dims()),
                ", supported is the last");
  }
  LINNET_TRY(const View at, call.builder.MoveLast(*x, axis));
  const int64_t width = at.size(axis);
  LINNET_TRY(const uint32_t scale, call.VectorParam(1, "scale", width));
  uint32_t shift = 0;
  if (call.has(2)) {
    LINNET_TRY(shift, call.VectorParam(2, "bias", width));
  } else {
    LINNET_TRY(shift, call.FilledParam("shift", static_cast<uint32_t>(width), 0));
  }
  LINNET_TRY(View y, call.builder.EmitUnary(Op::kLayerNorm, at, {scale, shift},
                                            {Bits(call.Float("epsilon", 1e-5f))}));
  return call.Return(std::move(y));
}

// One value for each channel, or one for each group as opset 18 has it.
Result<uint32_t> ChannelParam(Call& call, const Tensor* tensor, std::string_view what,
                              int64_t channels, int64_t groups, float otherwise) {
  const auto width = static_cast<uint32_t>(channels);
  if (tensor == nullptr) return call.FilledParam(what, width, otherwise);
  const int64_t count = tensor->count();
  if (count != channels && count != groups) {
    return Fail(Code::kInvalid, "its ", what, " is ", DimsText(tensor->dims), ", wanted ", channels,
                " values");
  }
  std::vector<float> values(width);
  for (size_t i = 0; i < width; ++i)
    values[i] = tensor->Float(i / (width / static_cast<size_t>(count)));
  return call.Param(*tensor, what, {width}, std::move(values));
}

Status ReadInstanceNorm(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Tensor* scale, call.Constant(1, "scale"));
  LINNET_TRY(const Tensor* shift, call.Constant(2, "bias"));
  const int64_t channels = x->rank() < 2 ? 0 : x->size(1);
  return ReturnGroupNorm(call, *x, channels, call.Float("epsilon", 1e-5f), scale, shift);
}

Status ReadGroupNorm(Call& call) {
  LINNET_TRY(const View* x, call.Activation(0));
  LINNET_TRY(const Tensor* scale, call.Constant(1, "scale"));
  LINNET_TRY(const Tensor* shift, call.Constant(2, "bias"));
  return ReturnGroupNorm(call, *x, call.Int("num_groups", 0), call.Float("epsilon", 1e-5f), scale,
                         shift);
}

constexpr OpRow kOps[] = {{"MaxPool", ReadMaxPool},
                          {"AveragePool", ReadAveragePool},
                          {"GlobalAveragePool", ReadGlobalAveragePool},
                          {"GlobalMaxPool", ReadGlobalMaxPool},
                          {"Pad", ReadPad},
                          {"BatchNormalization", ReadBatchNorm},
                          {"LayerNormalization", ReadLayerNorm},
                          {"InstanceNormalization", ReadInstanceNorm},
                          {"GroupNormalization", ReadGroupNorm}};

}  // namespace

Status ReturnGroupNorm(Call& call, const View& x, int64_t groups, float epsilon,
                       const Tensor* scale, const Tensor* shift) {
  LINNET_TRY(const Image image, OpenImage(call, x));
  const int64_t channels = image.view.stored[2];
  if (groups < 1 || channels % groups != 0) {
    return Fail(Code::kInvalid, "it has ", groups, " groups for ", channels, " channels");
  }
  LINNET_TRY(const uint32_t scales, ChannelParam(call, scale, "scale", channels, groups, 1));
  LINNET_TRY(const uint32_t shifts, ChannelParam(call, shift, "shift", channels, groups, 0));
  LINNET_TRY(View y, call.builder.Emit(Op::kGroupNorm, {&image.view}, {scales, shifts},
                                       {static_cast<uint32_t>(groups), Bits(epsilon)}));
  return call.Return(CloseImage(std::move(y), image.spatial));
}

std::span<const OpRow> ImageOps() { return kOps; }

}  // namespace linnet::onnx
