// Operators of one example in double, straight from their definitions in model.h.
#ifndef LINNET_TESTS_MODEL_REFERENCE_OPS_H_
#define LINNET_TESTS_MODEL_REFERENCE_OPS_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "model/model.h"

namespace linnet {

using Doubles = std::vector<double>;
using Dims = std::vector<uint32_t>;

// What an operator is applied to.
struct ReferenceArgs {
  const Node& node;
  Dims in, out;  // shapes of the first input and of the output
  std::vector<const Doubles*> inputs;
  std::function<const double*(size_t)> param;
  std::function<Dims(size_t)> param_shape;

  const Doubles& x() const { return *inputs[0]; }
  size_t At(size_t i) const { return node.attributes[i]; }
  double Float(size_t i) const { return std::bit_cast<float>(node.attributes[i]); }
};

inline size_t CountOf(const Dims& shape, size_t first = 0, size_t last = 99) {
  size_t count = 1;
  for (size_t i = first; i < std::min(last, shape.size()); ++i) count *= shape[i];
  return count;
}

inline double Logistic(double x) { return 1 / (1 + std::exp(-x)); }

inline double ReferenceActivation(const ReferenceArgs& a, double x) {
  switch (a.node.op) {
    case Op::kGelu:
      return a.At(0) == 0
                 ? 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)))
                 : 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case Op::kSilu:
      return x * Logistic(x);
    case Op::kSigmoid:
      return Logistic(x);
    case Op::kTanh:
      return std::tanh(x);
    case Op::kLeakyRelu:
      return x > 0 ? x : a.Float(0) * x;
    case Op::kClip:
      return std::clamp(x, a.Float(0), a.Float(1));
    default:
      return a.Float(0) * x;  // scale
  }
}

// Calls visit(x index, y index, position in the window) for what the windows of a pool hold, with
// x index -1 for padding.
template <typename Visit>
void VisitWindows(const ReferenceArgs& a, const Visit& visit) {
  const int height = int(a.in[0]), width = int(a.in[1]), channels = int(a.in[2]);
  for (int y = 0; y < int(CountOf(a.out)); ++y) {
    const int c = y % channels, col = y / channels % int(a.out[1]),
              row = y / channels / int(a.out[1]);
    for (int i = 0; i < int(a.At(0)); ++i)
      for (int j = 0; j < int(a.At(1)); ++j) {
        const int r = row * int(a.At(2)) + i - int(a.At(4));
        const int s = col * int(a.At(3)) + j - int(a.At(5));
        const bool inside = r >= 0 && s >= 0 && r < height && s < width;
        visit(inside ? (r * width + s) * channels + c : -1, y);
      }
  }
}

inline Doubles ReferencePool(const ReferenceArgs& a) {
  Doubles y(CountOf(a.out), a.node.op == Op::kMaxPool ? -1e300 : 0), count(y.size());
  VisitWindows(a, [&](int from, int to) {
    if (a.node.op == Op::kMaxPool) {
      if (from >= 0) y[to] = std::max(y[to], a.x()[from]);
    } else {
      if (from >= 0) y[to] += a.x()[from];
      count[to] += from >= 0 || a.At(8) != 0;
    }
  });
  if (a.node.op == Op::kAvgPool) {
    for (size_t i = 0; i < y.size(); ++i) y[i] /= count[i];
  }
  return y;
}

// Normalizes the elements of x that have one group: group(i) < groups.
inline Doubles NormalizeGroups(const Doubles& x, size_t groups, double epsilon,
                               const std::function<size_t(size_t)>& group,
                               const std::function<size_t(size_t)>& channel, const double* scale,
                               const double* shift) {
  Doubles mean(groups), variance(groups), count(groups), y(x.size());
  for (size_t i = 0; i < x.size(); ++i) mean[group(i)] += x[i], ++count[group(i)];
  for (size_t g = 0; g < groups; ++g) mean[g] /= count[g];
  for (size_t i = 0; i < x.size(); ++i) {
    variance[group(i)] += (x[i] - mean[group(i)]) * (x[i] - mean[group(i)]) / count[group(i)];
  }
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t g = group(i), c = channel(i);
    y[i] = (x[i] - mean[g]) / std::sqrt(variance[g] + epsilon) * scale[c] + shift[c];
  }
  return y;
}

inline Doubles ReferenceNorm(const ReferenceArgs& a) {
  const size_t c = a.in.back();
  if (a.node.op == Op::kBatchNorm) {  // inference
    Doubles y = a.x();
    for (size_t i = 0; i < y.size(); ++i) {
      const double deviation = std::sqrt(a.param(3)[i % c] + a.Float(0));
      y[i] = (y[i] - a.param(2)[i % c]) / deviation * a.param(0)[i % c] + a.param(1)[i % c];
    }
    return y;
  }
  const auto channel = [=](size_t i) { return i % c; };
  if (a.node.op == Op::kLayerNorm) {
    return NormalizeGroups(
        a.x(), a.x().size() / c, a.Float(0), [=](size_t i) { return i / c; }, channel, a.param(0),
        a.param(1));
  }
  const size_t width = c / a.At(0);
  return NormalizeGroups(
      a.x(), a.At(0), a.Float(1), [=](size_t i) { return i % c / width; }, channel, a.param(0),
      a.param(1));
}

inline Doubles ReferenceSoftmaxRows(Doubles x, size_t cols) {
  for (size_t row = 0; row < x.size(); row += cols) {
    double sum = 0;
    for (size_t i = row; i < row + cols; ++i) sum += x[i] = std::exp(x[i]);
    for (size_t i = row; i < row + cols; ++i) x[i] /= sum;
  }
  return x;
}

inline Doubles ReferenceMatmul(const ReferenceArgs& a) {
  const size_t rank = a.out.size(), m = a.out[rank - 2], n = a.out[rank - 1];
  const bool ta = a.At(0) != 0, tb = a.At(1) != 0;
  const size_t k = a.in[rank - (ta ? 2 : 1)];
  Doubles y(CountOf(a.out));
  for (size_t at = 0; at < y.size(); ++at) {
    const size_t j = at % n, i = at / n % m, batch = at / n / m;
    const double* p = a.inputs[0]->data() + batch * m * k;
    const double* q = a.inputs[1]->data() + batch * k * n;
    for (size_t t = 0; t < k; ++t) {
      y[at] += (ta ? p[t * m + i] : p[i * k + t]) * (tb ? q[j * k + t] : q[t * n + j]);
    }
  }
  return y;
}

inline Doubles ReferenceGru(const ReferenceArgs& a) {
  const size_t steps = a.in[0], in = a.in[1], h = a.param_shape(1)[0];
  const bool whole = a.At(0) != 0, reset_after = a.At(1) != 0, reverse = a.At(2) != 0;
  Doubles state(h), all(steps * h);
  // Of one gate's unit: what a vector gives by its weights.
  const auto product = [&](const double* w, const double* v, size_t n, size_t column) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += v[i] * w[i * 3 * h + column];
    return sum;
  };
  for (size_t t = 0; t < steps; ++t) {
    const size_t at = reverse ? steps - 1 - t : t;
    const double* x = a.x().data() + at * in;
    const auto from_x = [&](size_t c) { return product(a.param(0), x, in, c) + a.param(2)[c]; };
    const auto from_h = [&](const Doubles& v, size_t c) {
      return product(a.param(1), v.data(), h, c) + a.param(3)[c];
    };
    Doubles reset(h), update(h), reset_state(h), next(h);
    for (size_t i = 0; i < h; ++i) {
      reset[i] = Logistic(from_x(i) + from_h(state, i));
      update[i] = Logistic(from_x(h + i) + from_h(state, h + i));
      reset_state[i] = reset[i] * state[i];
    }
    for (size_t i = 0; i < h; ++i) {
      const size_t c = 2 * h + i;
      const double fresh = std::tanh(
          from_x(c) + (reset_after ? reset[i] * from_h(state, c) : from_h(reset_state, c)));
      next[i] = fresh + update[i] * (state[i] - fresh);
    }
    state = next;
    std::copy(state.begin(), state.end(), all.begin() + std::ptrdiff_t(at * h));
  }
  return whole ? all : state;
}

inline Doubles ReferenceAttention(const ReferenceArgs& a) {
  const size_t tokens = a.in[0], d = a.in[1] / 3, heads = a.At(0), size = d / heads;
  Doubles y(tokens * d);
  for (size_t head = 0; head < heads; ++head)
    for (size_t t = 0; t < tokens; ++t) {
      const double* q = a.x().data() + t * 3 * d + head * size;
      const size_t seen = a.At(1) != 0 ? t + 1 : tokens;
      Doubles scores(seen);
      for (size_t s = 0; s < seen; ++s) {
        const double* k = a.x().data() + s * 3 * d + d + head * size;
        for (size_t i = 0; i < size; ++i) scores[s] += q[i] * k[i] / std::sqrt(double(size));
      }
      scores = ReferenceSoftmaxRows(scores, seen);
      for (size_t s = 0; s < seen; ++s) {
        const double* v = a.x().data() + s * 3 * d + 2 * d + head * size;
        for (size_t i = 0; i < size; ++i) y[t * d + head * size + i] += scores[s] * v[i];
      }
    }
  return y;
}

// The element of the first input that each output element of a moving operator is; -1: zero.
inline int SourceOf(const ReferenceArgs& a, size_t at) {
  Dims position(a.out.size());
  for (size_t i = a.out.size(); i-- > 0; at /= a.out[i]) position[i] = uint32_t(at % a.out[i]);
  Dims source(a.in.size());
  for (size_t i = 0; i < a.in.size(); ++i) {
    switch (a.node.op) {
      case Op::kTranspose:
        source[a.At(i)] = position[i];
        break;
      case Op::kSlice:
        source[i] = position[i] + (i == a.At(0) ? uint32_t(a.At(1)) : 0);
        break;
      default:  // pad
        source[i] = position[i] - (i < 2 ? uint32_t(a.At(i)) : 0);
    }
  }
  size_t index = 0;
  for (size_t i = 0; i < a.in.size(); ++i) {
    if (source[i] >= a.in[i]) return -1;
    index = index * a.in[i] + source[i];
  }
  return int(index);
}

inline Doubles ReferenceConcat(const ReferenceArgs& a) {
  const size_t axis = a.At(0), rows = CountOf(a.out, 0, axis);
  Doubles y;
  for (size_t row = 0; row < rows; ++row)
    for (const Doubles* input : a.inputs) {
      const size_t width = input->size() / rows;
      const auto first = input->begin() + std::ptrdiff_t(row * width);
      y.insert(y.end(), first, first + std::ptrdiff_t(width));
    }
  return y;
}

inline Doubles ReferenceReduce(const ReferenceArgs& a) {
  const bool global = a.node.op == Op::kGlobalAvgPool;
  const size_t axis = global ? 0 : a.At(0);
  const size_t length = global ? size_t{a.in[0]} * a.in[1] : a.in[axis];
  const size_t inner = global ? a.in[2] : CountOf(a.in, axis + 1);
  Doubles y(CountOf(a.out));
  for (size_t i = 0; i < a.x().size(); ++i) {
    y[i / (length * inner) * inner + i % inner] += a.x()[i];
  }
  if (a.node.op != Op::kReduceSum) {
    for (double& value : y) value /= double(length);
  }
  return y;
}

}  // namespace linnet

#endif  // LINNET_TESTS_MODEL_REFERENCE_OPS_H_
