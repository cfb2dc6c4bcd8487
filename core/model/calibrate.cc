// Post-training quantization to 8 bits: the ranges of activations on examples.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "model/ops.h"
#include "model/quantize_parts.h"
#include "model/train.h"

namespace linnet {
namespace {

// Examples that are run at once.
constexpr size_t kBatch = 32;
constexpr size_t kBins = 2048;
constexpr double kTail = 0.001;

// Calls body(values) for the values on each batch of examples.
template <class Body>
Status ForEachBatch(const Model& model, std::span<const float> x, const Kernels& kernels,
                    const Body& body) {
  LINNET_TRY(const auto predictor, Predictor::Create(model.graph, kBatch, kernels));
  predictor->SetParameters(model.parameters);
  const size_t features = model.graph.InputCount(), outputs = model.graph.classes;
  std::vector<float> y(kBatch * outputs);
  for (size_t at = 0; at < x.size(); at += kBatch * features) {
    const size_t batch = std::min(kBatch, (x.size() - at) / features);
    predictor->Run(x.data() + at, batch, y.data());
    body(std::span<const float>(y.data(), batch * outputs));
  }
  return {};
}

struct Range {
  float low = 0, high = 0;
};

struct Histogram {
  Range range;
  std::array<uint64_t, kBins> bins{};
  uint64_t total = 0;
  float width() const { return (range.high - range.low) / kBins; }
  float Middle(size_t bin) const { return range.low + (static_cast<float>(bin) + 0.5f) * width(); }
  void Add(std::span<const float> values) {
    const float inverse = width() > 0 ? 1 / width() : 0;
    for (const float value : values) {
      const float bin = (value - range.low) * inverse;
      ++bins[static_cast<size_t>(std::clamp(bin, 0.0f, static_cast<float>(kBins - 1)))];
    }
    total += values.size();
  }
};

// The narrowest range, with zero, that leaves out at most kTail of the values, half at each end.
Range PercentileRange(const Histogram& h) {
  const auto limit = static_cast<uint64_t>(static_cast<double>(h.total) * kTail / 2);
  size_t first = 0, last = kBins;
  for (uint64_t left_out = 0; first < last; ++first) {
    left_out += h.bins[first];
    if (left_out > limit) break;
  }
  for (uint64_t left_out = 0; last > first + 1; --last) {
    left_out += h.bins[last - 1];
    if (left_out > limit) break;
  }
  return {std::min(0.0f, h.range.low + static_cast<float>(first) * h.width()),
          std::max(0.0f, h.range.low + static_cast<float>(last) * h.width())};
}

Range LeastErrorRange(const Histogram& h) {
  Range best = h.range;
  double least = std::numeric_limits<double>::infinity();
  for (int step = 0; step < 40; ++step) {
    const float factor = 1 - 0.02f * static_cast<float>(step);
    const Range range = {h.range.low * factor, h.range.high * factor};
    const ActivationCode code = CodeForRange(range.low, range.high);
    double error = 0;
    for (size_t bin = 0; bin < kBins; ++bin) {
      if (h.bins[bin] == 0) continue;
      const float value = h.Middle(bin);
      const auto zero = static_cast<float>(code.zero_point);
      const float q = std::clamp(std::nearbyint(value / code.scale) + zero, 0.0f, 127.0f);
      const double off = value - (q - zero) * code.scale;
      error += off * off * static_cast<double>(h.bins[bin]);
    }
    if (error < least) {
      least = error;
      best = range;
    }
  }
  return best;
}

// Of one of the model's values; `shape` is that value's.
Result<Histogram> HistogramOf(const Model& model, uint32_t value, const Shape& shape,
                              std::span<const float> x, const Kernels& kernels) {
  Histogram h;
  const auto widen = [&](std::span<const float> values) {
    const auto [low, high] = std::ranges::minmax(values);
    h.range = {std::min(h.range.low, low), std::max(h.range.high, high)};
  };
  const auto add = [&](std::span<const float> values) { h.Add(values); };
  const Model prefix = value == 0 ? Model{} : UpTo(model, value, shape);
  if (value == 0) {
    widen(x);
  } else {
    LINNET_TRY_STATUS(ForEachBatch(prefix, x, kernels, widen));
  }
  if (!std::isfinite(h.range.high - h.range.low)) {
    return Fail(Code::kData, "value ", value, " of the graph is not finite on the examples");
  }
  if (value == 0) {
    add(x);
  } else {
    LINNET_TRY_STATUS(ForEachBatch(prefix, x, kernels, add));
  }
  return h;
}

// Tensors for the codes: the scale of a column is at least so large that its bias, in units of
// input scale times weight scale, stays small enough to be added to 32-bit sums.
void QuantizeTensors(const Model& model, QuantizedModel& out) {
  const Graph& graph = model.graph;
  std::vector<std::vector<float>> least(graph.params.size());
  for (const Node& node : graph.nodes) {
    if (node.params.size() != 2) continue;
    const float input_scale = out.activations[node.inputs[0]].scale;
    const ParamInfo& bias = graph.params[node.params[1]];
    std::vector<float>& scales = least[node.params[0]];
    scales.resize(bias.count);
    for (size_t j = 0; j < bias.count; ++j) {
      scales[j] = std::max(scales[j],
                           std::abs(model.parameters[bias.offset + j]) / (input_scale * 0x1p+28f));
    }
  }
  out.tensors.clear();
  for (size_t i = 0; i < graph.params.size(); ++i) {
    out.tensors.push_back(QuantizeTensor(graph.params[i], WeightFormat::kInt8,
                                         model.parameters.data() + graph.params[i].offset,
                                         least[i]));
  }
}

// The sum of the squared differences of the outputs from those in f32.
Result<double> OutputError(const Model& model, const QuantizedModel& quantized,
                           std::span<const float> x, const Kernels& kernels) {
  LINNET_TRY(const auto exact, Predictor::Create(model.graph, kBatch, kernels));
  exact->SetParameters(model.parameters);
  LINNET_TRY(const auto coarse, QuantizedPredictor::Create(quantized, kBatch, kernels));
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(model.graph));
  const size_t features = model.graph.InputCount(), outputs = ElementCount(shapes.back());
  std::vector<float> a(kBatch * outputs), b(kBatch * outputs);
  double sum = 0;
  for (size_t at = 0; at < x.size(); at += kBatch * features) {
    const size_t batch = std::min(kBatch, (x.size() - at) / features);
    exact->Run(x.data() + at, batch, a.data());
    coarse->Run(x.data() + at, batch, b.data());
    for (size_t i = 0; i < batch * outputs; ++i) {
      const double off = a[i] - b[i];
      sum += off * off;
    }
  }
  return sum;
}

}  // namespace

ActivationCode CodeForRange(float low, float high) {
  constexpr float kSteps = kMaxInt8Activation;
  // A value that is always zero gets any scale.
  const float scale = high - low > 0x1p-100f ? (high - low) / kSteps : 1.0f / kSteps;
  return {scale, static_cast<uint8_t>(std::clamp(std::nearbyint(-low / scale), 0.0f, kSteps))};
}

bool KeepsCodes(Op op) {
  return op == Op::kFlatten || op == Op::kReshape || op == Op::kDropout || op == Op::kMaxPool;
}

Result<QuantizedModel> QuantizeInt8(const Model& original, std::span<const float> x,
                                    Calibration calibration, const Kernels& kernels) {
  LINNET_TRY_STATUS(ValidateGraph(original.graph));
  LINNET_CHECK(original.parameters.size() == original.graph.ParamCount());
  if (x.empty() || x.size() % original.graph.InputCount() != 0) {
    return Fail(Code::kInvalid, "calibration has ", x.size(),
                " values, wanted one or more examples of ", original.graph.InputCount());
  }
  const Model model = FoldBatchNorm(original);
  const Graph& graph = model.graph;
  LINNET_TRY_STATUS(CheckInt8Operators(graph));
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(graph));
  const std::vector<uint32_t> stands = RectifiedValues(graph);
  QuantizedModel percentile{.graph = graph, .tensors = {}, .activations = {}};
  percentile.activations.resize(shapes.size());
  QuantizedModel least_error = percentile;
  for (uint32_t value = 0; value < shapes.size(); ++value) {
    if (value > 0 && KeepsCodes(graph.nodes[value - 1].op)) {
      const uint32_t x_value = graph.nodes[value - 1].inputs[0];
      for (QuantizedModel* made : {&percentile, &least_error}) {
        made->activations[value] = made->activations[x_value];
      }
      continue;
    }
    if (stands[value] != value) continue;
    LINNET_TRY(const Histogram h, HistogramOf(model, value, shapes[value], x, kernels));
    const Range a = PercentileRange(h), b = LeastErrorRange(h);
    percentile.activations[value] = CodeForRange(a.low, a.high);
    least_error.activations[value] = CodeForRange(b.low, b.high);
  }
  for (QuantizedModel* made : {&percentile, &least_error}) {
    for (uint32_t value = 0; value < shapes.size(); ++value) {
      made->activations[value] = made->activations[stands[value]];
    }
    QuantizeTensors(model, *made);
  }
  if (calibration == Calibration::kPercentile) return percentile;
  if (calibration == Calibration::kMinError) return least_error;
  LINNET_TRY(const double a, OutputError(model, percentile, x, kernels));
  LINNET_TRY(const double b, OutputError(model, least_error, x, kernels));
  return a < b ? percentile : least_error;
}

}  // namespace linnet
