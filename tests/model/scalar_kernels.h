// The scalar twin of the kernels that models use: plain loops with sums in double, written from the
// contracts in kernels.h. Slow and easy to read; tests hold the tables of this machine against it.
#ifndef LINNET_TESTS_MODEL_SCALAR_KERNELS_H_
#define LINNET_TESTS_MODEL_SCALAR_KERNELS_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/kernels.h"

namespace linnet {
namespace scalar {

// A packed B is op(B) transposed.
inline void PackB(const float* b, size_t ldb, bool trans_b, size_t k, size_t n, float* packed) {
  for (size_t j = 0; j < n; ++j) {
    for (size_t p = 0; p < k; ++p) packed[j * k + p] = trans_b ? b[j * ldb + p] : b[p * ldb + j];
  }
}

inline void Gemm(const GemmArgs& args) {
  GemmArgs g = args;
  if (g.packed_b) {
    g.ldb = g.k;
    g.trans_b = true;
  }
  for (size_t i = 0; i < g.m; ++i) {
    for (size_t j = 0; j < g.n; ++j) {
      double sum = g.accumulate ? g.c[i * g.ldc + j] : 0.0;
      for (size_t p = 0; p < g.k; ++p) {
        const double a = g.trans_a ? g.a[p * g.lda + i] : g.a[i * g.lda + p];
        const double b = g.trans_b ? g.b[j * g.ldb + p] : g.b[p * g.ldb + j];
        sum += a * b;
      }
      if (g.bias != nullptr) sum += g.bias[j];
      g.c[i * g.ldc + j] = static_cast<float>(g.relu ? std::max(0.0, sum) : sum);
    }
  }
}

inline void Axpy(float a, const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] += a * x[i];
}
inline void Scale(float a, float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) x[i] *= a;
}
inline void Subtract(const float* a, const float* b, float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = a[i] - b[i];
}
inline void Add(const float* a, const float* b, float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}
inline void ColumnSums(const float* x, size_t rows, size_t cols, bool accumulate, float* out) {
  for (size_t j = 0; j < cols; ++j) {
    double sum = accumulate ? out[j] : 0.0;
    for (size_t i = 0; i < rows; ++i) sum += x[i * cols + j];
    out[j] = static_cast<float>(sum);
  }
}
inline void Relu(const float* x, float* y, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] = std::max(0.0f, x[i]);
}
inline void ReluGrad(const float* y, const float* dy, float* dx, size_t n) {
  for (size_t i = 0; i < n; ++i) dx[i] = y[i] > 0 ? dy[i] : 0.0f;
}

inline void Softmax(const float* logits, size_t rows, size_t cols, float* probabilities) {
  for (size_t i = 0; i < rows; ++i, logits += cols, probabilities += cols) {
    const double largest = *std::max_element(logits, logits + cols);
    double sum = 0;
    for (size_t j = 0; j < cols; ++j) sum += std::exp(logits[j] - largest);
    for (size_t j = 0; j < cols; ++j) {
      probabilities[j] = static_cast<float>(std::exp(logits[j] - largest) / sum);
    }
  }
}

inline double SoftmaxCrossEntropy(const float* logits, const int32_t* labels, size_t rows,
                                  size_t cols, float grad_scale, float* grad) {
  double loss = 0;
  std::vector<double> p(cols);
  for (size_t i = 0; i < rows; ++i, logits += cols) {
    const double largest = *std::max_element(logits, logits + cols);
    double sum = 0;
    for (size_t j = 0; j < cols; ++j) sum += p[j] = std::exp(logits[j] - largest);
    loss += std::log(sum) - (logits[labels[i]] - largest);
    if (grad == nullptr) continue;
    for (size_t j = 0; j < cols; ++j) {
      const double one_hot = j == static_cast<size_t>(labels[i]) ? 1.0 : 0.0;
      grad[i * cols + j] = static_cast<float>((p[j] / sum - one_hot) * grad_scale);
    }
  }
  return loss;
}

inline void ArgmaxRows(const float* x, size_t rows, size_t cols, int32_t* out) {
  for (size_t i = 0; i < rows; ++i, x += cols) {
    out[i] = static_cast<int32_t>(std::max_element(x, x + cols) - x);
  }
}

// Calls visit(x index, weight index, y index) for every product of a convolution.
template <typename Visit>
void ForEachProduct(const Conv2dShape& s, Visit visit) {
  const size_t out_h = s.OutHeight(), out_w = s.OutWidth();
  const size_t in = s.in_channels / s.groups, out = s.out_channels / s.groups;
  for (size_t b = 0; b < s.batch; ++b)
    for (size_t oy = 0; oy < out_h; ++oy)
      for (size_t ox = 0; ox < out_w; ++ox)
        for (size_t ky = 0; ky < s.kernel_h; ++ky)
          for (size_t kx = 0; kx < s.kernel_w; ++kx) {
            const size_t y = oy * s.stride_h + ky * s.dilation_h - s.pad_top;
            const size_t x = ox * s.stride_w + kx * s.dilation_w - s.pad_left;
            if (y >= s.height || x >= s.width) continue;  // padding; negative wraps round
            for (size_t c = 0; c < in; ++c)
              for (size_t o = 0; o < s.out_channels; ++o)
                visit(((b * s.height + y) * s.width + x) * s.in_channels + o / out * in + c,
                      ((ky * s.kernel_w + kx) * in + c) * s.out_channels + o,
                      ((b * out_h + oy) * out_w + ox) * s.out_channels + o);
          }
}

inline void Store(const std::vector<double>& sums, bool accumulate, float* out) {
  for (size_t i = 0; i < sums.size(); ++i) {
    out[i] = static_cast<float>(sums[i] + (accumulate ? out[i] : 0.0));
  }
}

// Packed weights are the weights from the last to the first.
inline void PackConv2d(const Conv2dShape& s, const float* w, float* packed) {
  std::reverse_copy(w, w + s.WindowSize() * s.out_channels, packed);
}

inline void Conv2d(const Conv2dArgs& g) {
  const Conv2dShape& s = g.shape;
  const size_t last = s.WindowSize() * s.out_channels - 1;
  std::vector<double> sums(s.batch * s.OutHeight() * s.OutWidth() * s.out_channels);
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = g.bias ? g.bias[i % s.out_channels] : 0;
  ForEachProduct(s, [&](size_t xi, size_t wi, size_t yi) {
    sums[yi] += double(g.x[xi]) * g.w[g.packed_w ? last - wi : wi];
  });
  if (g.relu) {
    for (double& sum : sums) sum = std::max(0.0, sum);
  }
  Store(sums, false, g.y);
}
inline void Conv2dGradWeights(const Conv2dGradWeightsArgs& g) {
  std::vector<double> sums(g.shape.WindowSize() * g.shape.out_channels);
  ForEachProduct(g.shape,
                 [&](size_t xi, size_t wi, size_t yi) { sums[wi] += double(g.x[xi]) * g.dy[yi]; });
  Store(sums, g.accumulate, g.dw);
}
inline void Conv2dGradInput(const Conv2dGradInputArgs& g) {
  const Conv2dShape& s = g.shape;
  std::vector<double> sums(s.batch * s.height * s.width * s.in_channels);
  ForEachProduct(s,
                 [&](size_t xi, size_t wi, size_t yi) { sums[xi] += double(g.w[wi]) * g.dy[yi]; });
  Store(sums, false, g.dx);
}

// Calls visit(output index, input index of the window's cell, cell) for every cell of every window.
template <typename Visit>
void ForEachCell(const PoolShape& s, Visit visit) {
  const size_t out_h = s.height / s.size, out_w = s.width / s.size;
  for (size_t b = 0; b < s.batch; ++b)
    for (size_t oy = 0; oy < out_h; ++oy)
      for (size_t ox = 0; ox < out_w; ++ox)
        for (size_t c = 0; c < s.channels; ++c)
          for (size_t cell = 0; cell < s.size * s.size; ++cell)
            visit(((b * out_h + oy) * out_w + ox) * s.channels + c,
                  ((b * s.height + oy * s.size + cell / s.size) * s.width + ox * s.size +
                   cell % s.size) *
                          s.channels +
                      c,
                  cell);
}

inline void MaxPool(const PoolShape& s, const float* x, float* y, uint8_t* argmax) {
  ForEachCell(s, [&](size_t yi, size_t xi, size_t cell) {
    if (cell == 0 || x[xi] > y[yi]) {
      y[yi] = x[xi];
      argmax[yi] = static_cast<uint8_t>(cell);
    }
  });
}
inline void MaxPoolGrad(const PoolShape& s, const float* dy, const uint8_t* argmax, float* dx) {
  std::fill(dx, dx + s.batch * s.height * s.width * s.channels, 0.0f);
  ForEachCell(s, [&](size_t yi, size_t xi, size_t cell) {
    if (argmax[yi] == cell) dx[xi] = dy[yi];
  });
}

inline void SgdStep(float lr, const float* g, float* w, size_t n) {
  for (size_t i = 0; i < n; ++i) w[i] -= lr * g[i];
}
inline void MomentumStep(float lr, float mu, bool nesterov, const float* g, float* v, float* w,
                         size_t n) {
  for (size_t i = 0; i < n; ++i) {
    v[i] = mu * v[i] + g[i];
    w[i] -= lr * (nesterov ? g[i] + mu * v[i] : v[i]);
  }
}
inline double SumSquares(const float* x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += double(x[i]) * x[i];
  return sum;
}

}  // namespace scalar

// The functions a model's plan, Score and Optimizer call; the others are null.
inline const Kernels& ScalarKernels() {
  static const Kernels kernels = [] {
    Kernels k = BestKernels();  // what has no twin here has one in the tests of the kernels
    k.target = "scalar";
    k.gemm = scalar::Gemm;
    k.pack_b = scalar::PackB;
    k.pack_conv2d = scalar::PackConv2d;
    k.axpy = scalar::Axpy;
    k.scale = scalar::Scale;
    k.subtract = scalar::Subtract;
    k.add = scalar::Add;
    k.column_sums = scalar::ColumnSums;
    k.relu = scalar::Relu;
    k.relu_grad = scalar::ReluGrad;
    k.softmax = scalar::Softmax;
    k.softmax_cross_entropy = scalar::SoftmaxCrossEntropy;
    k.argmax_rows = scalar::ArgmaxRows;
    k.conv2d = scalar::Conv2d;
    k.conv2d_grad_weights = scalar::Conv2dGradWeights;
    k.conv2d_grad_input = scalar::Conv2dGradInput;
    k.max_pool = scalar::MaxPool;
    k.max_pool_grad = scalar::MaxPoolGrad;
    k.sgd_step = scalar::SgdStep;
    k.momentum_step = scalar::MomentumStep;
    k.sum_squares = scalar::SumSquares;
    return k;
  }();
  return kernels;
}

}  // namespace linnet

#endif  // LINNET_TESTS_MODEL_SCALAR_KERNELS_H_
