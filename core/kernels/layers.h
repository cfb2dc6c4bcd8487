// The kernels of layers that are no matrix products: forward and gradient, one table for each kind.
//
// They are members of `Kernels` (kernels.h), which says what holds for all. Further, unless said
// otherwise: matrices [rows, cols] are dense; an output may be any input of the same shape and size
// (in place) but nothing else may overlap; `accumulate` adds to the gradient of a parameter instead
// of writing it. Kernels over elements or rows may be cut up by the caller: each row has the same
// bits wherever it stands. Those with an Executor* cut themselves into tasks that depend on the
// shapes alone (null: this thread), so that results have the same bits for any number of workers.
#ifndef LINNET_KERNELS_LAYERS_H_
#define LINNET_KERNELS_LAYERS_H_

#include <cstddef>
#include <cstdint>

#include "base/executor.h"

namespace linnet {

// activation.cc. y = f(x), and dx = dy f'(.) from x or from y, whichever is kept without cost:
// what is computed from y lets the forward pass overwrite x.
struct ActivationKernels {
  void (*gelu)(const float* x, float* y, size_t n);  // x/2 (1 + erf(x / sqrt(2)))
  void (*gelu_tanh)(const float* x, float* y,
                    size_t n);                       // x/2 (1 + tanh(sqrt(2/pi)(x + .044715x^3)))
  void (*silu)(const float* x, float* y, size_t n);  // x sigmoid(x)
  void (*sigmoid)(const float* x, float* y, size_t n);
  void (*tanh)(const float* x, float* y, size_t n);
  void (*leaky_relu)(float slope, const float* x, float* y, size_t n);  // x > 0 ? x : slope x
  void (*clip)(float low, float high, const float* x, float* y,
               size_t n);  // min(max(x, low), high)
  // From x.
  void (*gelu_grad)(const float* x, const float* dy, float* dx, size_t n);
  void (*gelu_tanh_grad)(const float* x, const float* dy, float* dx, size_t n);
  void (*silu_grad)(const float* x, const float* dy, float* dx, size_t n);
  // From y. leaky_relu: slope >= 0. clip: dy where low < y < high, else 0.
  void (*sigmoid_grad)(const float* y, const float* dy, float* dx, size_t n);
  void (*tanh_grad)(const float* y, const float* dy, float* dx, size_t n);
  void (*leaky_relu_grad)(float slope, const float* y, const float* dy, float* dx, size_t n);
  void (*clip_grad)(float low, float high, const float* y, const float* dy, float* dx, size_t n);
};

// arithmetic.cc: elementwise, and with a parameter p[cols] for each row.
struct ArithmeticKernels {
  void (*multiply)(const float* a, const float* b, float* out, size_t n);
  void (*scale)(float factor, const float* x, float* out, size_t n);
  // out = x + p, out = x * p, out = x * scale + shift (then max(0, .) if relu), all [rows, cols].
  void (*add_rows)(const float* x, const float* p, size_t rows, size_t cols, float* out);
  void (*multiply_rows)(const float* x, const float* p, size_t rows, size_t cols, float* out);
  void (*affine_rows)(const float* x, const float* scale, const float* shift, size_t rows,
                      size_t cols, bool relu, float* out);
  // out[i] = kept(i) ? x[i] / (1 - rate) : 0 for elements first + i of a tensor, 0 <= rate < 1.
  // What is kept follows from (key, first + i) alone [exact], so the gradient is the same call with
  // dy for x, and no mask is stored. first + n <= 2^32. A new key for each step.
  void (*dropout)(uint64_t key, size_t first, float rate, const float* x, float* out, size_t n);
};

// batch_norm.cc, group_norm.cc, layer_norm.cc. Statistics are the mean and the biased variance; y =
// (x - mean) / sqrt(variance + epsilon) * scale + shift. Gradients take the forward pass's x, mean
// and variance; dx may be dy, or null where it is not wanted.
struct NormKernels {
  // Batch norm (Ioffe and Szegedy 2015) over the rows of x[rows, channels], rows >= 1; workspace of
  // BatchNormWorkspace(rows, channels) floats.
  void (*batch_norm)(const float* x, size_t rows, size_t channels, float epsilon,
                     const float* scale, const float* shift, float* y, float* mean, float* variance,
                     float* workspace, Executor* executor);
  void (*batch_norm_grad)(const float* x, size_t rows, size_t channels, float epsilon,
                          const float* scale, const float* mean, const float* variance,
                          const float* dy, float* dx, bool accumulate, float* dscale, float* dshift,
                          float* workspace, Executor* executor);
  // running = (1 - momentum) running + momentum * batch, with the unbiased variance, as PyTorch.
  void (*batch_norm_update)(const float* mean, const float* variance, size_t rows, size_t channels,
                            float momentum, float* running_mean, float* running_variance);
  // Inference as arithmetic.affine_rows: multiplier = scale / sqrt(variance + epsilon), offset =
  // shift - mean * multiplier. All [channels].
  void (*batch_norm_fold)(const float* mean, const float* variance, size_t channels, float epsilon,
                          const float* scale, const float* shift, float* multiplier, float* offset);
  // Layer norm (Ba et al. 2016) of each row of x[rows, cols]; scale, shift [cols]; mean, variance
  // [rows], null in inference. The gradient's workspace: LayerNormWorkspace(rows, cols) floats.
  void (*layer_norm)(const float* x, size_t rows, size_t cols, float epsilon, const float* scale,
                     const float* shift, float* y, float* mean, float* variance);
  void (*layer_norm_grad)(const float* x, size_t rows, size_t cols, float epsilon,
                          const float* scale, const float* mean, const float* variance,
                          const float* dy, float* dx, bool accumulate, float* dscale, float* dshift,
                          float* workspace, Executor* executor);
  // Group norm (Wu and He 2018) of x[batch, pixels, channels] over the pixels and the channels of
  // each of `groups` groups (a divisor of channels); scale, shift [channels]; mean, variance
  // [batch, groups], null in inference. Workspace: GroupNormWorkspace(batch, channels) floats.
  void (*group_norm)(const float* x, size_t batch, size_t pixels, size_t channels, size_t groups,
                     float epsilon, const float* scale, const float* shift, float* y, float* mean,
                     float* variance, float* workspace, Executor* executor);
  void (*group_norm_grad)(const float* x, size_t batch, size_t pixels, size_t channels,
                          size_t groups, float epsilon, const float* scale, const float* mean,
                          const float* variance, const float* dy, float* dx, bool accumulate,
                          float* dscale, float* dshift, float* workspace, Executor* executor);
};
size_t BatchNormWorkspace(size_t rows, size_t channels);
size_t LayerNormWorkspace(size_t rows, size_t cols);
size_t GroupNormWorkspace(size_t batch, size_t channels);

// Input [batch, height, width, channels], windows of size_h x size_w at every stride, the edges
// widened by the pads (each smaller than the size); a remainder that fills no window is dropped.
struct WindowShape {
  size_t batch, height, width, channels;
  size_t size_h, size_w, stride_h, stride_w;
  size_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  size_t OutHeight() const { return Windows(height + pad_top + pad_bottom, size_h, stride_h); }
  size_t OutWidth() const { return Windows(width + pad_left + pad_right, size_w, stride_w); }

 private:
  static size_t Windows(size_t extent, size_t size, size_t stride) {
    return extent < size ? 0 : (extent - size) / stride + 1;
  }
};

// pooling.cc. x and dx are the input's shape, y and dy [batch, OutHeight(), OutWidth(), channels];
// nothing in place.
struct PoolKernels {
  // The largest in each window (padding is never it) and its position, row * size_w + column; the
  // first wins ties. size_h * size_w <= 256. argmax may be null.
  void (*max)(const WindowShape& s, const float* x, float* y, uint8_t* argmax);
  void (*max_grad)(const WindowShape& s, const float* dy, const uint8_t* argmax, float* dx);
  // The mean of each window; padding counts as zeros if count_include_pad, else not at all.
  void (*average)(const WindowShape& s, bool count_include_pad, const float* x, float* y);
  void (*average_grad)(const WindowShape& s, bool count_include_pad, const float* dy, float* dx);
};

// softmax.cc, with what of it stands in kernels.h.
struct LossKernels {
  // From y = softmax(x): dx = y (dy - sum(y dy)) for each row.
  void (*softmax_grad)(const float* y, const float* dy, size_t rows, size_t cols, float* dx);
  // Returns the SUM of (x - target)^2 and, unless null, writes grad = 2 (x - target) * grad_scale.
  double (*squared_error)(const float* x, const float* target, size_t n, float grad_scale,
                          float* grad);
};

// reduce.cc, with column_sums of kernels.h.
struct ReduceKernels {
  // out[j] (=|+=) sum over rows of a * b: the gradient of multiply_rows by p.
  void (*column_dots)(const float* a, const float* b, size_t rows, size_t cols, bool accumulate,
                      float* out);
  // On x[outer, axis, inner]:
  // y[outer, inner] = factor * sum over the axis (1: the sum; 1 / axis: the mean, as global average
  // pooling: outer = batch, axis = pixels, inner = channels).
  void (*sum)(const float* x, size_t outer, size_t axis, size_t inner, float factor, float* y);
  // x[o, a, i] = factor * y[o, i]: the gradient of sum.
  void (*spread)(const float* y, size_t outer, size_t axis, size_t inner, float factor, float* x);
};

// shape.cc. Not in place.
struct ShapeKernels {
  // y[i0, i1, ...] = x with x's axis perm[k] as y's axis k; dims are x's; rank <= 8.
  void (*transpose)(const float* x, const size_t* dims, const size_t* perm, size_t rank, float* y);
  // rows of cols elements between strides (in elements): concat, slice and their gradients.
  void (*copy_rows)(const float* x, size_t x_stride, float* y, size_t y_stride, size_t rows,
                    size_t cols);
  // x[batch, height, width, channels] within zeros, and its gradient: y without its edges.
  void (*pad)(const float* x, size_t batch, size_t height, size_t width, size_t channels,
              size_t top, size_t left, size_t bottom, size_t right, float* y);
  void (*crop)(const float* y, size_t batch, size_t height, size_t width, size_t channels,
               size_t top, size_t left, size_t bottom, size_t right, float* x);
};

// embedding.cc. ids are whole numbers in f32; one outside of [0, vocabulary) counts as the nearest
// inside (NaN as 0), so that no input can reach other memory.
struct EmbeddingKernels {
  // y[i] = table[ids[i]], rows of `dim`.
  void (*gather)(const float* ids, size_t count, const float* table, size_t vocabulary, size_t dim,
                 float* y);
  // dtable (=|+=) dy[i] at ids[i], in ascending order of i.
  void (*gather_grad)(const float* ids, size_t count, const float* dy, size_t vocabulary,
                      size_t dim, bool accumulate, float* dtable);
};

// gru.cc: one step of a gated recurrent unit (Cho et al. 2014; gates side by side in PyTorch's
// order reset, update, new) for rows of hidden states; the products are the caller's. Strides in
// elements. With X = x W_input + b_input [rows, 3 hidden], H = h W_hidden + b_hidden:
//   r = sigmoid(Xr + Hr), u = sigmoid(Xu + Hu), h' = n + u (h - n), and
//   reset_after:      n = tanh(Xn + r Hn)
//   not reset_after:  n = tanh(Xn + Hn) with Hn = (r h) W_hidden,n + b_hidden,n
struct GruStep {
  size_t rows, hidden;
  float* gates;  // X; becomes r, u, n, which the gradient needs
  size_t gates_stride;
  const float* product;  // H [rows, 3 hidden]
  size_t product_stride;
  const float* h;  // null: zeros
  size_t h_stride;
  float* next;  // h'; may be h
  size_t next_stride;
};
// The gradient of that step. `gates`, `h` as the step left them.
struct GruStepGrad {
  size_t rows, hidden;
  const float* gates;
  size_t gates_stride;
  const float* new_product;  // reset_after: Hn [rows, hidden]
  size_t new_product_stride;
  const float* h;  // null: zeros
  size_t h_stride;
  const float* dnext;  // of h' [rows, hidden]
  size_t dnext_stride;
  float* dgates;  // of X [rows, 3 hidden]; may be gates
  size_t dgates_stride;
  float* dproduct;  // of H [rows, 3 hidden]: equal to dgates but for n
  size_t dproduct_stride;
  float* dh;  // the part that does not pass H; may be dnext
  size_t dh_stride;
};
struct GruKernels {
  void (*step)(const GruStep& s);
  void (*step_grad)(const GruStepGrad& s);
  // Not reset_after, first half: r and u in place of Xr and Xu; reset_h[rows, hidden] = r h, dense.
  // Of `product` the first two thirds are read.
  void (*gates)(const GruStep& s, float* reset_h);
  // Second half: n in place of Xn, and h'. Of `product` the last third is read.
  void (*output)(const GruStep& s);
  // The gradients of the halves, second half first: output_grad writes dgates u and n, dproduct u
  // and n, and dh; the caller makes dreset_h[rows, hidden] = dproduct,n W_hidden,n^T; gates_grad
  // writes dgates r, dproduct r and adds r dreset_h to dh. dgates must not be gates.
  void (*output_grad)(const GruStepGrad& s);
  void (*gates_grad)(const GruStepGrad& s, const float* dreset_h);
};

// attention.cc: multi-head attention (Vaswani et al. 2017) on qkv[batch, tokens, 3 d], d = heads *
// head_size, in the order q, k, v, each heads x head_size: out[batch, tokens, d] = softmax(q k^T /
// sqrt(head_size)) v for each head; causal: a token sees itself and those before it.
struct AttentionShape {
  size_t batch, tokens, heads, head_size;
  bool causal;
};
struct AttentionKernels {
  // log_sums[batch, heads, tokens]: the logarithm of each softmax's sum, for the gradient; null in
  // inference. Workspace: AttentionWorkspace(s) floats for each worker, 64-byte aligned.
  void (*forward)(const AttentionShape& s, const float* qkv, float* out, float* log_sums,
                  float* workspace, Executor* executor);
  // dqkv from dout and what forward saw and gave; the scores are computed again.
  void (*gradient)(const AttentionShape& s, const float* qkv, const float* out,
                   const float* log_sums, const float* dout, float* dqkv, float* workspace,
                   Executor* executor);
};
size_t AttentionWorkspace(const AttentionShape& s);

// optimizer.cc.
struct AdamArgs {
  float lr, beta1, beta2, epsilon;
  float weight_decay;  // decoupled (AdamW, Loshchilov and Hutter 2019): w -= lr * weight_decay * w
  uint64_t step;       // 1 for the first
};
struct OptimizerKernels {
  // Kingma and Ba 2015, algorithm 1: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2,
  // w -= lr * (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + epsilon).
  void (*adam)(const AdamArgs& args, const float* g, float* m, float* v, float* w, size_t n);
  // FedProx (Li et al. 2020): g += mu (w - w0).
  void (*proximal)(float mu, const float* w, const float* w0, float* g, size_t n);
};

}  // namespace linnet

#endif  // LINNET_KERNELS_LAYERS_H_
