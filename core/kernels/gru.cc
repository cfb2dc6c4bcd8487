// The elementwise part of a gated recurrent unit's step (layers.h has the equations).
#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gru.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

VF One() { return hn::Set(DF(), 1.0f); }

// The state before the step at column j of a row; null: zero.
template <class Memory>
HWY_INLINE VF StateAt(const float* h, size_t j, const Memory& memory) {
  return h == nullptr ? hn::Zero(DF()) : memory.Load(DF(), h + j);
}
// Row r of the states before the step, or null.
HWY_INLINE const float* StateRow(const float* h, size_t r, size_t stride) {
  return h == nullptr ? nullptr : h + r * stride;
}

void Step(const GruStep& s) {
  const DF d;
  const size_t n = s.hidden;
  for (size_t row = 0; row < s.rows; ++row) {
    float* gates = s.gates + row * s.gates_stride;
    const float* product = s.product + row * s.product_stride;
    const float* h = StateRow(s.h, row, s.h_stride);
    float* next = s.next + row * s.next_stride;
    ForEachVector(d, n, [&](size_t j, auto memory) HWY_ATTR {
      const auto sum = [&](size_t at) HWY_ATTR {
        return hn::Add(memory.Load(d, gates + at), memory.Load(d, product + at));
      };
      const VF reset = Sigmoid(d, sum(j));
      const VF update = Sigmoid(d, sum(n + j));
      const VF fresh = Tanh(d, FastMulAdd(reset, memory.Load(d, product + 2 * n + j),
                                          memory.Load(d, gates + 2 * n + j)));
      memory.Store(reset, d, gates + j);
      memory.Store(update, d, gates + n + j);
      memory.Store(fresh, d, gates + 2 * n + j);
      const VF from = hn::Sub(StateAt(h, j, memory), fresh);
      memory.Store(FastMulAdd(update, from, fresh), d, next + j);
    });
  }
}

void Gates(const GruStep& s, float* reset_h) {
  const DF d;
  const size_t n = s.hidden;
  for (size_t row = 0; row < s.rows; ++row, reset_h += n) {
    float* gates = s.gates + row * s.gates_stride;
    const float* product = s.product + row * s.product_stride;
    const float* h = StateRow(s.h, row, s.h_stride);
    ForEachVector(d, n, [&](size_t j, auto memory) HWY_ATTR {
      const auto gate = [&](size_t at) HWY_ATTR {
        const VF sum = hn::Add(memory.Load(d, gates + at), memory.Load(d, product + at));
        const VF value = Sigmoid(d, sum);
        memory.Store(value, d, gates + at);
        return value;
      };
      const VF reset = gate(j);
      gate(n + j);
      memory.Store(hn::Mul(reset, StateAt(h, j, memory)), d, reset_h + j);
    });
  }
}

void Output(const GruStep& s) {
  const DF d;
  const size_t n = s.hidden;
  for (size_t row = 0; row < s.rows; ++row) {
    float* gates = s.gates + row * s.gates_stride;
    const float* product = s.product + row * s.product_stride;
    const float* h = StateRow(s.h, row, s.h_stride);
    float* next = s.next + row * s.next_stride;
    ForEachVector(d, n, [&](size_t j, auto memory) HWY_ATTR {
      const VF fresh =
          Tanh(d, hn::Add(memory.Load(d, gates + 2 * n + j), memory.Load(d, product + 2 * n + j)));
      memory.Store(fresh, d, gates + 2 * n + j);
      const VF from = hn::Sub(StateAt(h, j, memory), fresh);
      memory.Store(FastMulAdd(memory.Load(d, gates + n + j), from, fresh), d, next + j);
    });
  }
}

// What both forms share, at one place: the gradients of Xu and Xn, and what of dh' goes to h.
struct OutputGradient {
  VF update, fresh, h;
};
HWY_INLINE OutputGradient GradientOfOutput(VF dnext, VF update, VF fresh, VF h) {
  const VF rest = hn::Sub(One(), update);
  const VF slope = hn::Mul(hn::Sub(One(), fresh), hn::Add(One(), fresh));
  return {hn::Mul(hn::Mul(dnext, hn::Sub(h, fresh)), hn::Mul(update, rest)),
          hn::Mul(hn::Mul(dnext, rest), slope), hn::Mul(dnext, update)};
}

// The rows of a gradient's arrays.
struct GradRow {
  GradRow(const GruStepGrad& s, size_t row)
      : gates(s.gates + row * s.gates_stride),
        h(StateRow(s.h, row, s.h_stride)),
        dnext(s.dnext + row * s.dnext_stride),
        dgates(s.dgates + row * s.dgates_stride),
        dproduct(s.dproduct + row * s.dproduct_stride),
        dh(s.dh + row * s.dh_stride) {}
  const float *gates, *h, *dnext;
  float *dgates, *dproduct, *dh;
};

void StepGrad(const GruStepGrad& s) {
  const DF d;
  const size_t n = s.hidden;
  for (size_t row = 0; row < s.rows; ++row) {
    const GradRow p(s, row);
    const float* new_product = s.new_product + row * s.new_product_stride;
    ForEachVector(d, n, [&](size_t j, auto memory) HWY_ATTR {
      const VF reset = memory.Load(d, p.gates + j);
      const OutputGradient g =
          GradientOfOutput(memory.Load(d, p.dnext + j), memory.Load(d, p.gates + n + j),
                           memory.Load(d, p.gates + 2 * n + j), StateAt(p.h, j, memory));
      const VF slope = hn::Mul(reset, hn::Sub(One(), reset));
      const VF dreset = hn::Mul(hn::Mul(g.fresh, memory.Load(d, new_product + j)), slope);
      memory.Store(dreset, d, p.dgates + j);
      memory.Store(g.update, d, p.dgates + n + j);
      memory.Store(g.fresh, d, p.dgates + 2 * n + j);
      memory.Store(dreset, d, p.dproduct + j);
      memory.Store(g.update, d, p.dproduct + n + j);
      memory.Store(hn::Mul(g.fresh, reset), d, p.dproduct + 2 * n + j);
      memory.Store(g.h, d, p.dh + j);
    });
  }
}

void OutputGrad(const GruStepGrad& s) {
  const DF d;
  const size_t n = s.hidden;
  for (size_t row = 0; row < s.rows; ++row) {
    const GradRow p(s, row);
    ForEachVector(d, n, [&](size_t j, auto memory) HWY_ATTR {
      const OutputGradient g =
          GradientOfOutput(memory.Load(d, p.dnext + j), memory.Load(d, p.gates + n + j),
                           memory.Load(d, p.gates + 2 * n + j), StateAt(p.h, j, memory));
      memory.Store(g.update, d, p.dgates + n + j);
      memory.Store(g.fresh, d, p.dgates + 2 * n + j);
      memory.Store(g.update, d, p.dproduct + n + j);
      memory.Store(g.fresh, d, p.dproduct + 2 * n + j);
      memory.Store(g.h, d, p.dh + j);
    });
  }
}

void GatesGrad(const GruStepGrad& s, const float* dreset_h) {
  const DF d;
  const size_t n = s.hidden;
  for (size_t row = 0; row < s.rows; ++row, dreset_h += n) {
    const GradRow p(s, row);
    ForEachVector(d, n, [&](size_t j, auto memory) HWY_ATTR {
      const VF reset = memory.Load(d, p.gates + j);
      const VF gradient = memory.Load(d, dreset_h + j);
      const VF slope = hn::Mul(reset, hn::Sub(One(), reset));
      const VF dreset = hn::Mul(hn::Mul(gradient, StateAt(p.h, j, memory)), slope);
      memory.Store(dreset, d, p.dgates + j);
      memory.Store(dreset, d, p.dproduct + j);
      memory.Store(FastMulAdd(gradient, reset, memory.Load(d, p.dh + j)), d, p.dh + j);
    });
  }
}

}  // namespace

void FillGru(Kernels& table) {
  table.gru = {.step = Step,
               .step_grad = StepGrad,
               .gates = Gates,
               .output = Output,
               .output_grad = OutputGrad,
               .gates_grad = GatesGrad};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

void FillGru(int64_t target, Kernels& table) { LINNET_FOR_TARGET(FillGru, target)(table); }

}  // namespace linnet
#endif  // HWY_ONCE
