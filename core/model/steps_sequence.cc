// Embeddings, recurrence and attention.
#include "model/steps_families.h"

namespace linnet {
namespace {

// Rows of one step of a sequence lie `steps` rows apart in [batch, steps, ...].
GemmArgs StridedProduct(const StepRun& r, size_t n, size_t k, const float* a, size_t lda,
                        const float* b, size_t ldb, bool trans_b, float* c, size_t ldc) {
  return {.m = r.batch,
          .n = n,
          .k = k,
          .a = a,
          .lda = lda,
          .trans_a = false,
          .b = b,
          .ldb = ldb,
          .trans_b = trans_b,
          .c = c,
          .ldc = ldc,
          .accumulate = false,
          .bias = nullptr,
          .relu = false,
          .workspace = r.workspace,
          .executor = r.executor};
}

// Positions of a unit's sequence, in the order in which it runs.
struct Order {
  explicit Order(const GruShape& s) : steps(s.steps), reverse(s.reverse) {}
  size_t At(size_t i) const { return reverse ? steps - 1 - i : i; }
  size_t steps;
  bool reverse;
};

// The first part of the workspace is the products', the rest [batch, hidden] matrices.
uint64_t ProductFloats(const GruShape& s, size_t batch) {
  const uint64_t floats = std::max({GemmWorkspace(batch, 3 * s.hidden, s.hidden),
                                    GemmWorkspace(batch, s.hidden, 3 * s.hidden),
                                    GemmWorkspace(batch, s.hidden, s.hidden)});
  return (floats + 15) / 16 * 16;
}

}  // namespace

void RunEmbedding(const StepRun& r) {
  const auto& s = r.ShapeAs<EmbeddingShape>();
  r.ForParts(s.rows * r.batch, s.dim, [&](size_t begin, size_t end) {
    r.k.embedding.gather(r.In(0) + begin, end - begin, r.In(1), s.vocabulary, s.dim,
                         r.Out() + begin * s.dim);
  });
}

void RunEmbeddingGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<EmbeddingShape>();
  r.k.embedding.gather_grad(r.In(0), s.rows * r.batch, r.In(1), s.vocabulary, s.dim, r.Accumulate(),
                            r.Out());
}

void EmbeddingGradient(Differentiator& d, const Step& step, uint32_t dy) {
  d.EmitParameter(step.inputs[1], {.op = StepOp::kEmbeddingGrad,
                                   .inputs = {step.inputs[0], dy},
                                   .outputs = {},
                                   .shape = step.shape});
}

void RunAttention(const StepRun& r) {
  r.k.attention.forward(r.Batched<AttentionShape>(), r.In(0), r.Out(),
                        r.step.outputs.size() > 1 ? r.Out(1) : nullptr, r.workspace, r.executor);
}

void RunAttentionGrad(const StepRun& r) {
  r.k.attention.gradient(r.Batched<AttentionShape>(), r.In(0), r.In(1), r.In(2), r.In(3), r.Out(),
                         r.workspace, r.executor);
}

uint64_t AttentionStepWorkspace(const Step& step, size_t batch, size_t workers) {
  AttentionShape shape = std::get<AttentionShape>(step.shape);
  shape.batch = batch;
  return AttentionWorkspace(shape) * workers;
}

void AttentionGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const uint32_t qkv = step.inputs[0];
  d.EmitFor(qkv, {.op = StepOp::kAttentionGrad,
                  .inputs = {qkv, step.outputs[0], step.outputs[1], dy},
                  .outputs = {},
                  .shape = step.shape});
}

// ---- The gated recurrent unit: x's product for all positions is a dense step before it.
//
// States are [batch, steps, hidden], gates [batch, steps, 3 hidden] and take the place of x's
// product. `kept` is what else the gradient needs: with reset_after the hidden product [batch,
// steps, 3 hidden], else the reset states [batch, steps, hidden].

void RunGru(const StepRun& r) {
  const auto& s = r.ShapeAs<GruShape>();
  const size_t h = s.hidden, state_stride = s.steps * h, gate_stride = 3 * state_stride;
  const float *x_product = r.In(0), *w = r.In(1), *bias = r.In(2);
  float *states = r.Out(0), *gates = r.Out(1), *kept = r.Out(2);
  if (gates != x_product) std::copy_n(x_product, r.batch * gate_stride, gates);
  float* const reset_h = r.workspace + ProductFloats(s, r.batch);
  float* const product = reset_h + r.batch * h;
  const Order order(s);
  for (size_t i = 0; i < s.steps; ++i) {
    const size_t at = order.At(i);
    const float* previous = i == 0 ? nullptr : states + order.At(i - 1) * h;
    // With reset_after the product is kept, else it is gone after the step.
    float* const out = s.reset_after ? kept + at * 3 * h : product;
    const size_t out_stride = s.reset_after ? gate_stride : 3 * h;
    // out[:, first .. first + n) = a w[:, first .. first + n) + bias
    const auto multiply = [&](const float* a, size_t lda, size_t first, size_t n) {
      GemmArgs args = StridedProduct(r, n, a == nullptr ? 0 : h, a, lda, w + first, 3 * h, false,
                                     out + first, out_stride);
      args.bias = bias + first;
      r.k.gemm(args);
    };
    const GruStep step = {.rows = r.batch,
                          .hidden = h,
                          .gates = gates + at * 3 * h,
                          .gates_stride = gate_stride,
                          .product = out,
                          .product_stride = out_stride,
                          .h = previous,
                          .h_stride = state_stride,
                          .next = states + at * h,
                          .next_stride = state_stride};
    if (s.reset_after) {
      multiply(previous, state_stride, 0, 3 * h);
      r.k.gru.step(step);
    } else {
      multiply(previous, state_stride, 0, 2 * h);
      r.k.gru.gates(step, reset_h);
      multiply(reset_h, h, 2 * h, h);
      r.k.gru.output(step);
      r.k.shape.copy_rows(reset_h, h, kept + at * h, state_stride, r.batch, h);
    }
  }
}

void RunGruGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<GruShape>();
  const size_t h = s.hidden, state_stride = s.steps * h, gate_stride = 3 * state_stride;
  const float *w = r.In(0), *states = r.In(1), *gates = r.In(2), *kept = r.In(3), *dy = r.In(4);
  float *dgates = r.Out(0), *dproduct = r.Out(1);
  float* const dstate = r.workspace + ProductFloats(s, r.batch);  // what later steps say
  float* const through = dstate + r.batch * h;                    // a product's part of it
  const Order order(s);
  std::fill_n(dstate, r.batch * h, 0.0f);
  for (size_t i = s.steps; i-- > 0;) {
    const size_t at = order.At(i);
    const float* previous = i == 0 ? nullptr : states + order.At(i - 1) * h;
    for (size_t b = 0; b < r.batch; ++b) {
      r.k.add(dstate + b * h, dy + b * state_stride + at * h, dstate + b * h, h);
    }
    float* const dp = dproduct + at * 3 * h;
    const GruStepGrad step = {.rows = r.batch,
                              .hidden = h,
                              .gates = gates + at * 3 * h,
                              .gates_stride = gate_stride,
                              .new_product = s.reset_after ? kept + at * 3 * h + 2 * h : nullptr,
                              .new_product_stride = gate_stride,
                              .h = previous,
                              .h_stride = state_stride,
                              .dnext = dstate,
                              .dnext_stride = h,
                              .dgates = dgates + at * 3 * h,
                              .dgates_stride = gate_stride,
                              .dproduct = dp,
                              .dproduct_stride = gate_stride,
                              .dh = dstate,
                              .dh_stride = h};
    // through = dproduct[:, first .. first + n) w[:, first .. first + n)^T
    const auto multiply = [&](size_t first, size_t n) {
      r.k.gemm(
          StridedProduct(r, h, n, dp + first, gate_stride, w + first, 3 * h, true, through, h));
    };
    if (s.reset_after) {
      r.k.gru.step_grad(step);
      multiply(0, 3 * h);
    } else {
      r.k.gru.output_grad(step);
      multiply(2 * h, h);
      r.k.gru.gates_grad(step, through);
      multiply(0, 2 * h);
    }
    r.k.add(dstate, through, dstate, r.batch * h);
  }
}

void RunGruGradWeights(const StepRun& r) {
  const auto& s = r.ShapeAs<GruShape>();
  const size_t h = s.hidden, rows = r.batch * s.steps;
  const float *states = r.In(0), *kept = r.In(1), *dproduct = r.In(2);
  // The state before each position, zeros before the first.
  float* const previous = r.workspace;
  float* const products = r.workspace + (rows * h + 15) / 16 * 16;
  if (s.reverse) {
    std::copy_n(states + h, (rows - 1) * h, previous);
  } else {
    std::copy_n(states, (rows - 1) * h, previous + h);
  }
  for (size_t b = 0; b < r.batch; ++b) {
    std::fill_n(previous + (b * s.steps + (s.reverse ? s.steps - 1 : 0)) * h, h, 0.0f);
  }
  // dw[:, first .. first + n) = a^T dproduct[:, first .. first + n)
  const auto multiply = [&](const float* a, size_t first, size_t n) {
    r.k.gemm({.m = h,
              .n = n,
              .k = rows,
              .a = a,
              .lda = h,
              .trans_a = true,
              .b = dproduct + first,
              .ldb = 3 * h,
              .trans_b = false,
              .c = r.Out() + first,
              .ldc = 3 * h,
              .accumulate = r.Accumulate(),
              .bias = nullptr,
              .relu = false,
              .workspace = products,
              .executor = r.executor});
  };
  if (s.reset_after) {
    multiply(previous, 0, 3 * h);
  } else {
    multiply(previous, 0, 2 * h);
    multiply(kept, 2 * h, h);
  }
}

uint64_t GruWorkspace(const Step& step, size_t batch, size_t) {
  const auto& s = std::get<GruShape>(step.shape);
  return ProductFloats(s, batch) + uint64_t{4} * batch * s.hidden;
}

uint64_t GruGradWeightsWorkspace(const Step& step, size_t batch, size_t) {
  const auto& s = std::get<GruShape>(step.shape);
  const size_t rows = batch * s.steps, h = s.hidden;
  return (rows * h + 15) / 16 * 16 +
         std::max({GemmWorkspace(h, 3 * h, rows), GemmWorkspace(h, 2 * h, rows),
                   GemmWorkspace(h, h, rows)});
}

void GruGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const uint32_t x_product = step.inputs[0], w = step.inputs[1], bias = step.inputs[2];
  const uint32_t states = step.outputs[0], gates = step.outputs[1], kept = step.outputs[2];
  const auto& s = std::get<GruShape>(step.shape);
  const uint64_t count = d.ValueOf(x_product).count;
  const uint32_t dx_product = d.AddValue({.count = count});
  const uint32_t dproduct = d.AddValue({.count = count});
  d.Append({.op = StepOp::kGruGrad,
            .inputs = {w, states, gates, kept, dy},
            .outputs = {dx_product, dproduct},
            .shape = step.shape});
  d.Contribute(x_product, dx_product);
  d.EmitParameter(w, {.op = StepOp::kGruGradWeights,
                      .inputs = {states, kept, dproduct},
                      .outputs = {},
                      .shape = step.shape});
  d.EmitParameter(bias, BiasGradStep(dproduct, s.steps, 3 * s.hidden));
}

}  // namespace linnet
