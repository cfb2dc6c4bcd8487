#include "model/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/half.h"
#include "model/ops.h"
#include "model/quantize_parts.h"

namespace linnet {
namespace {

// A tensor as a matrix whose columns are its last axis.
struct Matrix {
  size_t rows, columns;
  explicit Matrix(const ParamInfo& param)
      : rows(param.count / param.shape.back()), columns(param.shape.back()) {}
  size_t groups() const { return (rows + kInt4Group - 1) / kInt4Group; }
};

bool IsMatrix(const ParamInfo& param) {
  return param.shape.size() >= 2 && param.role == ParamRole::kWeight;
}

// ---- 4 bits

int Code4(float value, float inverse) {
  return std::clamp(static_cast<int>(std::nearbyint(value * inverse)) + 8, 0, 15);
}

double SquaredError4(std::span<const float> values, float scale) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  double sum = 0;
  for (const float value : values) {
    const double error = value - static_cast<float>(Code4(value, inverse) - 8) * scale;
    sum += error * error;
  }
  return sum;
}

// The half-precision scale with the least squared error: the value that is largest in magnitude
// becomes -8 (all 16 codes are used) or slightly less.
uint16_t BestScale4(std::span<const float> values) {
  float extreme = 0;
  for (const float value : values) {
    if (std::abs(value) > std::abs(extreme)) extreme = value;
  }
  uint16_t best = 0;
  double least = INFINITY;
  for (int step = 0; step <= 8; ++step) {
    for (const float end : {-8.0f, 7.0f}) {
      const uint16_t scale = FloatToHalf(extreme / end * (1.0f - 0.05f * static_cast<float>(step)));
      const double error = SquaredError4(values, HalfToFloat(scale));
      if (error < least) {
        least = error;
        best = scale;
      }
    }
  }
  return best;
}

QuantizedTensor Quantize4(const ParamInfo& param, const float* values) {
  const Matrix m(param);
  QuantizedTensor tensor;
  tensor.format = WeightFormat::kInt4;
  tensor.int4.resize((m.rows + 1) / 2 * m.columns);
  tensor.scales4.resize(m.groups() * m.columns);
  for (size_t j = 0; j < m.columns; ++j) {
    for (size_t group = 0; group < m.groups(); ++group) {
      std::array<float, kInt4Group> column;
      const size_t first = group * kInt4Group, size = std::min(kInt4Group, m.rows - first);
      for (size_t i = 0; i < size; ++i) column[i] = values[(first + i) * m.columns + j];
      const uint16_t scale = BestScale4({column.data(), size});
      tensor.scales4[group * m.columns + j] = scale;
      const float inverse = scale << 1 == 0 ? 0 : 1 / HalfToFloat(scale);
      for (size_t i = 0; i < size; ++i) {
        const size_t row = first + i;
        const int code = Code4(column[i], inverse);
        tensor.int4[row / 2 * m.columns + j] |= static_cast<uint8_t>(code << (row % 2 * 4));
      }
    }
  }
  return tensor;
}

// ---- 8 bits

QuantizedTensor Quantize8(const ParamInfo& param, const float* values,
                          std::span<const float> least_scales) {
  const Matrix m(param);
  QuantizedTensor tensor;
  tensor.format = WeightFormat::kInt8;
  tensor.values.assign(m.columns, 0.0f);
  tensor.int8.resize(param.count);
  for (size_t i = 0; i < param.count; ++i) {
    float& largest = tensor.values[i % m.columns];
    largest = std::max(largest, std::abs(values[i]));
  }
  for (size_t j = 0; j < m.columns; ++j) {
    float& scale = tensor.values[j];
    scale /= 127;
    if (!least_scales.empty()) scale = std::max(scale, least_scales[j]);
    if (scale < 0x1p-100f) scale = 1;  // nothing but zeros
  }
  for (size_t i = 0; i < param.count; ++i) {
    const float code = std::nearbyint(values[i] / tensor.values[i % m.columns]);
    tensor.int8[i] = static_cast<int8_t>(std::clamp(code, -127.0f, 127.0f));
  }
  return tensor;
}

Status CheckTensor(const ParamInfo& param, const QuantizedTensor& tensor) {
  const Matrix m(param);
  size_t values = 0, int8 = 0, int4 = 0, scales4 = 0;
  switch (tensor.format) {
    case WeightFormat::kF32:
      values = param.count;
      break;
    case WeightFormat::kInt8:
      values = m.columns;
      int8 = param.count;
      break;
    case WeightFormat::kInt4:
      int4 = (m.rows + 1) / 2 * m.columns;
      scales4 = m.groups() * m.columns;
      break;
  }
  if (tensor.values.size() != values || tensor.int8.size() != int8 || tensor.int4.size() != int4 ||
      tensor.scales4.size() != scales4) {
    return Fail(Code::kInvalid, "tensor ", param.name, " has not the sizes of its shape ",
                ShapeText(param.shape));
  }
  for (const float value : tensor.values) {
    if (!std::isfinite(value) || (tensor.format == WeightFormat::kInt8 && value <= 0)) {
      return Fail(Code::kInvalid, "tensor ", param.name, " has a value or scale of ", value);
    }
  }
  if (std::ranges::find(tensor.int8, int8_t{-128}) != tensor.int8.end()) {
    return Fail(Code::kInvalid, "tensor ", param.name, " has the code -128, wanted -127 to 127");
  }
  for (const uint16_t scale : tensor.scales4) {
    if ((scale >> 10 & 31) == 31) {
      return Fail(Code::kInvalid, "tensor ", param.name, " has a scale that is not finite");
    }
  }
  return {};
}

}  // namespace

QuantizedTensor QuantizeTensor(const ParamInfo& param, WeightFormat format, const float* values,
                               std::span<const float> least_scales) {
  if (!IsMatrix(param)) format = WeightFormat::kF32;
  switch (format) {
    case WeightFormat::kInt8:
      return Quantize8(param, values, least_scales);
    case WeightFormat::kInt4:
      return Quantize4(param, values);
    case WeightFormat::kF32:
      break;
  }
  QuantizedTensor tensor;
  tensor.values.assign(values, values + param.count);
  return tensor;
}

void DequantizeTensor(const ParamInfo& param, const QuantizedTensor& tensor, float* values) {
  const Matrix m(param);
  for (size_t i = 0; i < param.count; ++i) {
    const size_t row = i / m.columns, j = i % m.columns;
    switch (tensor.format) {
      case WeightFormat::kF32:
        values[i] = tensor.values[i];
        break;
      case WeightFormat::kInt8:
        values[i] = static_cast<float>(tensor.int8[i]) * tensor.values[j];
        break;
      case WeightFormat::kInt4: {
        const int code = tensor.int4[row / 2 * m.columns + j] >> (row % 2 * 4) & 15;
        const float scale = HalfToFloat(tensor.scales4[row / kInt4Group * m.columns + j]);
        values[i] = static_cast<float>(code - 8) * scale;
        break;
      }
    }
  }
}

Model Dequantize(const QuantizedModel& model) {
  Model out{.graph = model.graph, .parameters = {}};
  out.parameters.resize(model.graph.ParamCount());
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const ParamInfo& param = model.graph.params[i];
    DequantizeTensor(param, model.tensors[i], out.parameters.data() + param.offset);
  }
  return out;
}

void FakeQuantize(const Graph& graph, WeightFormat format, std::span<const float> parameters,
                  std::span<float> out) {
  LINNET_CHECK(parameters.size() == graph.ParamCount() && out.size() == parameters.size());
  for (const ParamInfo& param : graph.params) {
    const QuantizedTensor tensor =
        QuantizeTensor(param, format, parameters.data() + param.offset, {});
    DequantizeTensor(param, tensor, out.data() + param.offset);
  }
}

bool HasInt8Activations(const QuantizedModel& model) {
  return std::ranges::any_of(model.activations,
                             [](const ActivationCode& code) { return code.scale != 0; });
}

Status ValidateQuantizedModel(const QuantizedModel& model) {
  LINNET_TRY_STATUS(ValidateGraph(model.graph));
  const bool int8 = HasInt8Activations(model);
  if (int8) LINNET_TRY_STATUS(CheckInt8Operators(model.graph));
  if (model.tensors.size() != model.graph.params.size()) {
    return Fail(Code::kInvalid, "the model has ", model.tensors.size(), " tensors for ",
                model.graph.params.size(), " parameters");
  }
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const ParamInfo& param = model.graph.params[i];
    const QuantizedTensor& tensor = model.tensors[i];
    LINNET_TRY_STATUS(CheckTensor(param, tensor));
    const WeightFormat wanted = !IsMatrix(param) ? WeightFormat::kF32
                                : int8           ? WeightFormat::kInt8
                                                 : WeightFormat::kInt4;
    if (tensor.format != wanted) {
      return Fail(Code::kInvalid, "tensor ", param.name, " has format ",
                  static_cast<int>(tensor.format), ", wanted ", static_cast<int>(wanted));
    }
  }
  if (model.activations.size() != model.graph.nodes.size() + 1) {
    return Fail(Code::kInvalid, "the model has ", model.activations.size(), " codes for ",
                model.graph.nodes.size() + 1, " values");
  }
  for (size_t i = 0; i < model.activations.size(); ++i) {
    const ActivationCode& code = model.activations[i];
    const bool good = int8 ? code.scale >= 0x1p-120f && code.scale <= 0x1p+120f &&
                                 code.zero_point <= kMaxInt8Activation
                           : code == ActivationCode{};
    if (good) continue;
    return Fail(Code::kInvalid, "value ", i, " has scale ", code.scale, " and zero point ",
                static_cast<int>(code.zero_point), ", wanted a positive scale and 0 to ",
                kMaxInt8Activation);
  }
  return {};
}

Result<QuantizedModel> QuantizeInt4(const Model& model) {
  LINNET_TRY_STATUS(ValidateGraph(model.graph));
  QuantizedModel out{.graph = model.graph, .tensors = {}, .activations = {}};
  for (const ParamInfo& param : model.graph.params) {
    out.tensors.push_back(
        QuantizeTensor(param, WeightFormat::kInt4, model.parameters.data() + param.offset, {}));
  }
  out.activations.resize(model.graph.nodes.size() + 1);
  return out;
}

}  // namespace linnet
