// Every SIMD kernel behind one table of plain functions.
//
// A Kernels table holds the same functions compiled for one SIMD target. Whoever computes takes the
// table once, at construction (`const Kernels& k = BestKernels();`), and calls through it: dispatch
// happens once, and tests walk AllKernels(). Nothing here allocates; workspaces are the caller's.
// Matrices are row-major with a leading dimension in elements; activations are NHWC.
// Functions marked [exact] give the same bits on every target.
#ifndef LINNET_KERNELS_KERNELS_H_
#define LINNET_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/executor.h"
#include "kernels/compressed.h"
#include "kernels/layers.h"

namespace linnet {

// C[m,n] (=|+=) op(A)[m,k] op(B)[k,n], then + bias[n] (unless null), then max(0, .) if relu.
// op(X) = X, or its transpose: then X is stored [k,m] or [n,k]. Sizes may be 0 (k = 0 gives bias).
struct GemmArgs {
  size_t m, n, k;
  const float* a;
  size_t lda;
  bool trans_a;
  const float* b;
  size_t ldb;
  bool trans_b;
  bool packed_b = false;  // b is what pack_b of the same table made of op(B); ldb, trans_b unused
  float* c;
  size_t ldc;
  bool accumulate;
  const float* bias;
  bool relu;
  float* workspace;              // GemmWorkspace(m, n, k) floats, 64-byte aligned; none if packed_b
  Executor* executor = nullptr;  // null: this thread
};
// Floats of workspace that any target needs for a product of this size.
size_t GemmWorkspace(size_t m, size_t n, size_t k);
// Floats of a packed B, on any target. What they hold differs between targets.
size_t GemmPackedSize(size_t k, size_t n);

// Input [batch, height, width, in_channels], weights [kernel_h, kernel_w, in_channels / groups,
// out_channels], output [batch, OutHeight(), OutWidth(), out_channels]; zero padding. Output
// channel o sees the in_channels / groups input channels of group o / (out_channels / groups); both
// channel counts are multiples of groups. Strides, dilations, groups >= 1; the padded input is no
// smaller than the dilated kernel.
struct Conv2dShape {
  size_t batch, height, width, in_channels, kernel_h, kernel_w, out_channels;
  size_t stride_h = 1, stride_w = 1;
  size_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  size_t dilation_h = 1, dilation_w = 1;
  size_t groups = 1;
  size_t OutHeight() const {
    return (height + pad_top + pad_bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1;
  }
  size_t OutWidth() const {
    return (width + pad_left + pad_right - dilation_w * (kernel_w - 1) - 1) / stride_w + 1;
  }
  // Multiplications of one output channel at one position, without regard to padding.
  size_t WindowSize() const { return kernel_h * kernel_w * (in_channels / groups); }
  bool IsDepthwise() const { return groups == in_channels && out_channels == in_channels; }
};
// Floats of workspace for forward and both gradients, on an executor with so many workers at most.
size_t Conv2dWorkspace(const Conv2dShape& shape, size_t workers = 1);
// Floats of workspace for forward with packed weights.
size_t Conv2dPackedWorkspace(const Conv2dShape& shape, size_t workers = 1);
// Floats of packed weights.
size_t Conv2dPackedSize(const Conv2dShape& shape);

struct Conv2dArgs {
  Conv2dShape shape;
  const float* x;
  const float* w;
  bool packed_w = false;  // w is what pack_conv2d of the same table made for this shape
  const float* bias;      // null: none
  bool relu;              // y = max(0, .)
  float* y;
  // 64-byte aligned: Conv2dWorkspace(shape, workers) floats, so below; Conv2dPackedWorkspace if
  // packed_w.
  float* workspace;
  Executor* executor = nullptr;
};
// dw (=|+=) the gradient of the weights; that of the bias is the caller's, as column_sums of dy.
struct Conv2dGradWeightsArgs {
  Conv2dShape shape;
  const float* x;
  const float* dy;
  bool accumulate;
  float* dw;
  float* workspace;
  Executor* executor = nullptr;
};
struct Conv2dGradInputArgs {
  Conv2dShape shape;
  const float* w;
  const float* dy;
  float* dx;
  float* workspace;
  Executor* executor = nullptr;
};

// Input [batch, height, width, channels], windows of size x size, stride = size, no padding
// (a remainder at the right and bottom is dropped).
struct PoolShape {
  size_t batch, height, width, channels, size;
};

// The fixed number of elements in a leaf of an order-independent reduction (DESIGN section 6).
inline constexpr size_t kReductionLeaf = 4096;
// Rows that fold_exact takes at once.
inline constexpr size_t kMaxFoldRows = 16;

struct Kernels {
  const char* target;  // Highway's name: "AVX3_ZEN4", "SSE2", "WASM", ...

  // ---- Layers that are no matrix products (layers.h)
  ActivationKernels activation;
  ArithmeticKernels arithmetic;
  NormKernels norm;
  PoolKernels pool;
  LossKernels loss;
  ReduceKernels reduce;
  ShapeKernels shape;
  EmbeddingKernels embedding;
  GruKernels gru;
  AttentionKernels attention;
  OptimizerKernels optimizer;

  // ---- Linear algebra
  // Results have the same bits with any executor.
  void (*gemm)(const GemmArgs& args);
  // Arranges op(B)[k,n] (GemmArgs) as packed_b wants it: GemmPackedSize(k, n) floats, 64-byte
  // aligned. Worth it where B is used more than once.
  void (*pack_b)(const float* b, size_t ldb, bool trans_b, size_t k, size_t n, float* packed);
  // y[i] += a * x[i]
  void (*axpy)(float a, const float* x, float* y, size_t n);
  // x[i] *= a
  void (*scale)(float a, float* x, size_t n);
  // out[i] = a[i] - b[i], out[i] = a[i] + b[i] [exact]; out may be a or b.
  void (*subtract)(const float* a, const float* b, float* out, size_t n);
  void (*add)(const float* a, const float* b, float* out, size_t n);
  // out[j] (=|+=) sum over rows of x[rows, cols]: the gradient of a bias.
  void (*column_sums)(const float* x, size_t rows, size_t cols, bool accumulate, float* out);

  // ---- Layers
  void (*relu)(const float* x, float* y, size_t n);                         // y = max(0, x)
  void (*relu_grad)(const float* y, const float* dy, float* dx, size_t n);  // dx = y > 0 ? dy : 0
  // probabilities[rows, cols] = softmax of each row of logits; may be in place.
  void (*softmax)(const float* logits, size_t rows, size_t cols, float* probabilities);
  // Softmax cross-entropy against labels[rows] in [0, cols): returns the SUM of the rows' losses
  // (nats) and, unless null, writes grad[rows, cols] = (softmax - onehot) * grad_scale.
  double (*softmax_cross_entropy)(const float* logits, const int32_t* labels, size_t rows,
                                  size_t cols, float grad_scale, float* grad);
  // Index of the largest of each row (the lowest index wins ties) [exact].
  void (*argmax_rows)(const float* x, size_t rows, size_t cols, int32_t* out);
  // Results have the same bits with any executor.
  void (*conv2d)(const Conv2dArgs& args);
  void (*conv2d_grad_weights)(const Conv2dGradWeightsArgs& args);
  void (*conv2d_grad_input)(const Conv2dGradInputArgs& args);
  // Arranges weights as packed_w wants them: Conv2dPackedSize(shape) floats, 64-byte aligned; the
  // batch of the shape does not matter.
  void (*pack_conv2d)(const Conv2dShape& shape, const float* w, float* packed);
  // y and the position of each maximum inside its window (row * size + col; the first wins ties).
  void (*max_pool)(const PoolShape& s, const float* x, float* y, uint8_t* argmax);
  void (*max_pool_grad)(const PoolShape& s, const float* dy, const uint8_t* argmax, float* dx);

  // ---- Optimizers. w -= lr * g; with momentum: v = mu * v + g, w -= lr * (nesterov ? g + mu v :
  // v)
  void (*sgd_step)(float lr, const float* g, float* w, size_t n);
  void (*momentum_step)(float lr, float mu, bool nesterov, const float* g, float* v, float* w,
                        size_t n);

  // ---- Exact aggregation (FACTS section 8, PLUGIN_ABI "Exact mean") [exact]
  // acc[i] += sum over r of round_to_grid(weights[r] * (double)rows[r * stride + i]), terms rounded
  // to multiples of 2^grid_exp: acc += (w * x + M) - M with M = 1.5 * 2^(52 + grid_exp). 1 <=
  // row_count <= kMaxFoldRows; weights are integers below 2^29; stride in floats.
  void (*fold_exact)(const float* rows, size_t stride, const uint32_t* weights, size_t row_count,
                     int grid_exp, double* acc, size_t n);
  // out[i] = base[i] + (float)(acc[i] / total); base may be null (zeros). total > 0.
  void (*mean_exact)(const double* acc, double total, const float* base, float* out, size_t n);

  // ---- Reductions over fixed leaves [exact]
  // Sum of squares in f64: within each leaf of kReductionLeaf elements 16 virtual lanes (lane = i %
  // 16) are summed in order and added pairwise (lane l + lane l + 8, then 4, 2, 1); leaves are
  // added in ascending order. To continue a vector in windows, windows start at multiples of the
  // leaf.
  double (*sum_squares)(const float* x, size_t n);
  // Largest |x[i]|, and whether all are finite (NaN or infinity: false, and the maximum is
  // unspecified).
  bool (*max_abs)(const float* x, size_t n, float* out);

  // ---- Codec parts [exact]
  // In-place unnormalised Walsh-Hadamard transform; n a power of two, 1 <= n <= 65536.
  void (*hadamard)(float* x, size_t n);
  // x[i] = sign bit i of `signs` set ? -x[i] : x[i]  (bit i = byte i / 8, bit i % 8).
  void (*flip_signs)(const uint8_t* signs, float* x, size_t n);
  // bits[i / 8] bit i % 8 = sign bit of x[i] (negative zero counts as negative); n a multiple of 8.
  void (*pack_signs)(const float* x, uint8_t* bits, size_t n);
  // out[i] = bit i set ? -magnitude : +magnitude; n a multiple of 8.
  void (*unpack_signs)(const uint8_t* bits, float magnitude, float* out, size_t n);
  // bf16: round to nearest even; NaN stays NaN.
  void (*to_bf16)(const float* x, uint16_t* out, size_t n);
  void (*from_bf16)(const uint16_t* x, float* out, size_t n);
  // u8 -> f32: out[i] = x[i] * scale + offset as one multiply and one add (no FMA).
  void (*from_u8)(const uint8_t* x, float scale, float offset, float* out, size_t n);
  // int8 codes to f32: out[i] = (float)x[i] * scale.
  void (*from_i8)(const int8_t* x, float scale, float* out, size_t n);

  // ---- Weights of fewer bits (compressed.h)
  Int8Kernels int8;  // [exact]
  CompressedKernels compressed;
};

// The best table for this machine; the choice is made once.
const Kernels& BestKernels();
// Every table this machine can run, best first (one in a WASM build).
std::span<const Kernels* const> AllKernels();

}  // namespace linnet

#endif  // LINNET_KERNELS_KERNELS_H_
