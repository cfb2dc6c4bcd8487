// Sums over an axis, and what moves elements.
#include "model/steps_families.h"

namespace linnet {
namespace {

void EmitLike(Differentiator& d, const Step& step, StepOp op, uint32_t dy) {
  d.EmitFor(step.inputs[0], {.op = op, .inputs = {dy}, .outputs = {}, .shape = step.shape});
}

}  // namespace

void RunReduce(const StepRun& r) {
  const auto& s = r.ShapeAs<ReduceShape>();
  r.k.reduce.sum(r.In(0), r.batch * s.outer, s.axis, s.inner, s.factor, r.Out());
}

void RunSpread(const StepRun& r) {
  const auto& s = r.ShapeAs<ReduceShape>();
  r.k.reduce.spread(r.In(0), r.batch * s.outer, s.axis, s.inner, s.factor, r.Out());
}

void RunTranspose(const StepRun& r) {
  auto s = r.ShapeAs<TransposeShape>();
  s.dims[0] = r.batch;
  r.k.shape.transpose(r.In(0), s.dims.data(), s.permutation.data(), s.rank, r.Out());
}

void RunConcat(const StepRun& r) {
  const auto& s = r.ShapeAs<SliceShape>();
  const size_t rows = s.rows * r.batch;
  float* y = r.Out();
  for (size_t i = 0; i < r.step.inputs.size(); ++i) {
    const size_t width = r.Count(r.step.inputs[i]) / rows;
    r.k.shape.copy_rows(r.In(i), width, y, s.stride, rows, width);
    y += width;
  }
}

void RunSlice(const StepRun& r) {
  const auto& s = r.ShapeAs<SliceShape>();
  r.k.shape.copy_rows(r.In(0) + s.offset, s.stride, r.Out(), s.width, s.rows * r.batch, s.width);
}

void RunSliceGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<SliceShape>();
  std::fill_n(r.Out(), r.Count(r.step.outputs[0]), 0.0f);
  r.k.shape.copy_rows(r.In(0), s.width, r.Out() + s.offset, s.stride, s.rows * r.batch, s.width);
}

void ReduceGradient(Differentiator& d, const Step& step, uint32_t dy) {
  EmitLike(d, step, StepOp::kSpread, dy);
}

void TransposeGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const auto& s = std::get<TransposeShape>(step.shape);
  TransposeShape inverse = s;
  for (size_t i = 0; i < s.rank; ++i) {
    inverse.dims[i] = s.dims[s.permutation[i]];
    inverse.permutation[s.permutation[i]] = i;
  }
  d.EmitFor(step.inputs[0],
            {.op = StepOp::kTranspose, .inputs = {dy}, .outputs = {}, .shape = inverse});
}

void ConcatGradient(Differentiator& d, const Step& step, uint32_t dy) {
  SliceShape part = std::get<SliceShape>(step.shape);
  for (const uint32_t input : step.inputs) {
    part.width = static_cast<size_t>(d.ValueOf(input).count) / part.rows;
    d.EmitFor(input, {.op = StepOp::kSlice, .inputs = {dy}, .outputs = {}, .shape = part});
    part.offset += part.width;
  }
}

void SliceGradient(Differentiator& d, const Step& step, uint32_t dy) {
  EmitLike(d, step, StepOp::kSliceGrad, dy);
}

}  // namespace linnet
