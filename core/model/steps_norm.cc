// Normalization and softmax.
#include "model/steps_families.h"

namespace linnet {
namespace {

// The gradient of a normalization: dx, and those of scale and shift. The latter two come by way of
// the arena, as updates in place would change the scale that dx is made of.
void NormGradient(Differentiator& d, const Step& step, uint32_t dy, StepOp op) {
  const uint32_t x = step.inputs[0], scale = step.inputs[1], shift = step.inputs[2];
  const uint64_t cols = d.ValueOf(scale).count;
  const uint32_t dx = d.AddValue({.count = d.ValueOf(x).count});
  const uint32_t dscale = d.AddValue({.count = cols, .per_example = false});
  const uint32_t dshift = d.AddValue({.count = cols, .per_example = false});
  d.Append({.op = op,
            .inputs = {x, scale, step.outputs[1], step.outputs[2], dy},
            .outputs = {dx, dscale, dshift},
            .shape = step.shape});
  d.Contribute(x, dx);
  d.EmitParameter(scale, {.op = StepOp::kGradientAdd, .inputs = {dscale}, .outputs = {}});
  d.EmitParameter(shift, {.op = StepOp::kGradientAdd, .inputs = {dshift}, .outputs = {}});
}

// Statistics are kept in training only.
float* Kept(const StepRun& r, size_t output) {
  return r.step.outputs.size() > output ? r.Out(output) : nullptr;
}

void RunOutputLoss(const StepRun& r) {
  r.run.loss_sum = (*r.run.output_loss)(r.In(0), r.batch, r.run.loss_grad, r.Out());
}

}  // namespace

uint64_t NormalizationWorkspace(const Step& step, size_t batch, size_t) {
  const auto& s = std::get<NormShape>(step.shape);
  switch (step.op) {
    case StepOp::kLayerNormGrad:
      return LayerNormWorkspace(s.rows * batch, s.cols);
    case StepOp::kGroupNorm:
    case StepOp::kGroupNormGrad:
      return GroupNormWorkspace(batch, s.cols);
    default:
      return BatchNormWorkspace(s.rows * batch, s.cols);
  }
}

void RunBatchNorm(const StepRun& r) {
  const auto& s = r.ShapeAs<NormShape>();
  r.k.norm.batch_norm(r.In(0), s.rows * r.batch, s.cols, s.epsilon, r.In(1), r.In(2), r.Out(0),
                      r.Out(1), r.Out(2), r.workspace, r.executor);
}

void RunBatchNormGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<NormShape>();
  r.k.norm.batch_norm_grad(r.In(0), s.rows * r.batch, s.cols, s.epsilon, r.In(1), r.In(2), r.In(3),
                           r.In(4), r.Out(0), false, r.Out(1), r.Out(2), r.workspace, r.executor);
}

void RunBatchNormUpdate(const StepRun& r) {
  if (!r.run.update_buffers) return;
  const auto& s = r.ShapeAs<NormShape>();
  r.k.norm.batch_norm_update(r.In(0), r.In(1), s.rows * r.batch, s.cols, s.momentum,
                             r.At<float>(r.step.inputs[2]), r.At<float>(r.step.inputs[3]));
}

void RunBatchNormFold(const StepRun& r) {
  const auto& s = r.ShapeAs<NormShape>();
  r.k.norm.batch_norm_fold(r.In(2), r.In(3), s.cols, s.epsilon, r.In(0), r.In(1), r.Out(0),
                           r.Out(1));
}

void RunLayerNorm(const StepRun& r) {
  const auto& s = r.ShapeAs<NormShape>();
  float *mean = Kept(r, 1), *variance = Kept(r, 2);
  r.ForParts(s.rows * r.batch, s.cols, [&](size_t begin, size_t end) {
    r.k.norm.layer_norm(r.In(0) + begin * s.cols, end - begin, s.cols, s.epsilon, r.In(1), r.In(2),
                        r.Out() + begin * s.cols, mean == nullptr ? nullptr : mean + begin,
                        variance == nullptr ? nullptr : variance + begin);
  });
}

void RunLayerNormGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<NormShape>();
  r.k.norm.layer_norm_grad(r.In(0), s.rows * r.batch, s.cols, s.epsilon, r.In(1), r.In(2), r.In(3),
                           r.In(4), r.Out(0), false, r.Out(1), r.Out(2), r.workspace, r.executor);
}

void RunGroupNorm(const StepRun& r) {
  const auto& s = r.ShapeAs<NormShape>();
  r.k.norm.group_norm(r.In(0), r.batch, s.rows, s.cols, s.groups, s.epsilon, r.In(1), r.In(2),
                      r.Out(), Kept(r, 1), Kept(r, 2), r.workspace, r.executor);
}

void RunGroupNormGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<NormShape>();
  r.k.norm.group_norm_grad(r.In(0), r.batch, s.rows, s.cols, s.groups, s.epsilon, r.In(1), r.In(2),
                           r.In(3), r.In(4), r.Out(0), false, r.Out(1), r.Out(2), r.workspace,
                           r.executor);
}

void BatchNormGradient(Differentiator& d, const Step& step, uint32_t dy) {
  NormGradient(d, step, dy, StepOp::kBatchNormGrad);
}
void LayerNormGradient(Differentiator& d, const Step& step, uint32_t dy) {
  NormGradient(d, step, dy, StepOp::kLayerNormGrad);
}
void GroupNormGradient(Differentiator& d, const Step& step, uint32_t dy) {
  NormGradient(d, step, dy, StepOp::kGroupNormGrad);
}

void RunSoftmax(const StepRun& r) {
  r.ForRows([&](size_t at, size_t rows, size_t cols) {
    r.k.softmax(r.In(0) + at, rows, cols, r.Out() + at);
  });
}

void RunSoftmaxGrad(const StepRun& r) {
  r.ForRows([&](size_t at, size_t rows, size_t cols) {
    r.k.loss.softmax_grad(r.In(0) + at, r.In(1) + at, rows, cols, r.Out() + at);
  });
}

void SoftmaxGradient(Differentiator& d, const Step& step, uint32_t dy) {
  d.EmitFor(step.inputs[0], {.op = StepOp::kSoftmaxGrad,
                             .inputs = {step.outputs[0], dy},
                             .outputs = {},
                             .shape = step.shape});
}

// The loss of an example is the mean over its rows; loss_grad is the gradient by that mean.
void RunCrossEntropy(const StepRun& r) {
  if (r.run.output_loss != nullptr) return RunOutputLoss(r);
  const auto& s = r.ShapeAs<RowsShape>();
  const float rows = static_cast<float>(s.rows);
  r.run.loss_sum =
      r.k.softmax_cross_entropy(r.In(0), r.At<int32_t>(r.step.inputs[1]), r.batch * s.rows, s.cols,
                                r.run.loss_grad / rows, r.Out()) /
      rows;
}

void RunSquaredError(const StepRun& r) {
  if (r.run.output_loss != nullptr) return RunOutputLoss(r);
  const auto& s = r.ShapeAs<RowsShape>();
  const float rows = static_cast<float>(s.rows);
  r.run.loss_sum =
      r.k.loss.squared_error(r.In(0), r.In(1), r.batch * s.rows, r.run.loss_grad / rows, r.Out()) /
      rows;
}

}  // namespace linnet
