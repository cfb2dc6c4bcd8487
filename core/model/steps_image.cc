// Convolution, pooling and padding of images.
#include "model/steps_families.h"

namespace linnet {
namespace {

void EmitLike(Differentiator& d, const Step& step, StepOp op, std::vector<uint32_t> inputs) {
  d.EmitFor(step.inputs[0],
            {.op = op, .inputs = std::move(inputs), .outputs = {}, .shape = step.shape});
}

// Calls body(shape of some images, the first one's index) for parts of the batch.
template <typename Body>
void ForImages(const StepRun& r, WindowShape shape, const Body& body) {
  r.ForParts(r.batch, shape.height * shape.width * shape.channels, [&](size_t begin, size_t end) {
    WindowShape part = shape;
    part.batch = end - begin;
    body(part, begin);
  });
}

size_t InCount(const WindowShape& s) { return s.height * s.width * s.channels; }
size_t OutCount(const WindowShape& s) { return s.OutHeight() * s.OutWidth() * s.channels; }

}  // namespace

void RunMaxPool(const StepRun& r) {
  uint8_t* const argmax = r.step.outputs.size() > 1 ? r.At<uint8_t>(r.step.outputs[1]) : nullptr;
  ForImages(r, r.ShapeAs<WindowShape>(), [&](const WindowShape& s, size_t first) {
    const size_t at = first * OutCount(s);
    r.k.pool.max(s, r.In(0) + first * InCount(s), r.Out() + at,
                 argmax == nullptr ? nullptr : argmax + at);
  });
}

void RunMaxPoolGrad(const StepRun& r) {
  ForImages(r, r.ShapeAs<WindowShape>(), [&](const WindowShape& s, size_t first) {
    const size_t at = first * OutCount(s);
    r.k.pool.max_grad(s, r.In(0) + at, r.At<uint8_t>(r.step.inputs[1]) + at,
                      r.Out() + first * InCount(s));
  });
}

void RunAvgPool(const StepRun& r) {
  const auto& shape = r.ShapeAs<AveragePoolShape>();
  ForImages(r, shape.window, [&](const WindowShape& s, size_t first) {
    r.k.pool.average(s, shape.count_include_pad, r.In(0) + first * InCount(s),
                     r.Out() + first * OutCount(s));
  });
}

void RunAvgPoolGrad(const StepRun& r) {
  const auto& shape = r.ShapeAs<AveragePoolShape>();
  ForImages(r, shape.window, [&](const WindowShape& s, size_t first) {
    r.k.pool.average_grad(s, shape.count_include_pad, r.In(0) + first * OutCount(s),
                          r.Out() + first * InCount(s));
  });
}

void RunPad(const StepRun& r) {
  const auto& s = r.ShapeAs<PadShape>();
  r.k.shape.pad(r.In(0), r.batch, s.height, s.width, s.channels, s.top, s.left, s.bottom, s.right,
                r.Out());
}

void RunCrop(const StepRun& r) {
  const auto& s = r.ShapeAs<PadShape>();
  r.k.shape.crop(r.In(0), r.batch, s.height, s.width, s.channels, s.top, s.left, s.bottom, s.right,
                 r.Out());
}

uint64_t ConvWorkspace(const Step& step, size_t batch, size_t workers) {
  Conv2dShape shape = std::get<Conv2dShape>(step.shape);
  shape.batch = batch;
  return step.packed ? Conv2dPackedWorkspace(shape, workers) : Conv2dWorkspace(shape, workers);
}

// dx comes first, as in DenseGradient.
void ConvGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const auto& s = std::get<Conv2dShape>(step.shape);
  const uint32_t x = step.inputs[0], weights = step.inputs[1], bias = step.inputs[2];
  EmitLike(d, step, StepOp::kConv2dGradInput, {weights, dy});
  d.EmitParameter(
      weights,
      {.op = StepOp::kConv2dGradWeights, .inputs = {x, dy}, .outputs = {}, .shape = step.shape});
  d.EmitParameter(bias, BiasGradStep(dy, s.OutHeight() * s.OutWidth(), s.out_channels));
}

// A maximum is positive where the element that it was is: behind a relu, fewer elements are looked
// at on this side.
void MaxPoolGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const uint32_t y = step.outputs[0];
  if (d.TakeOverRelu(step.inputs[0])) {
    dy = d.Emit({.op = StepOp::kReluGrad, .inputs = {y, dy}, .outputs = {}}, y);
  }
  EmitLike(d, step, StepOp::kMaxPoolGrad, {dy, step.outputs[1]});
}
void AvgPoolGradient(Differentiator& d, const Step& step, uint32_t dy) {
  EmitLike(d, step, StepOp::kAvgPoolGrad, {dy});
}
void PadGradient(Differentiator& d, const Step& step, uint32_t dy) {
  EmitLike(d, step, StepOp::kCrop, {dy});
}

void RunConv2d(const StepRun& r) {
  r.k.conv2d({.shape = r.Batched<Conv2dShape>(),
              .x = r.In(0),
              .w = r.In(1),
              .packed_w = r.step.packed,
              .bias = r.In(2),
              .relu = r.step.relu,
              .y = r.Out(),
              .workspace = r.workspace,
              .executor = r.executor});
}

void RunPackConv2d(const StepRun& r) {
  r.k.pack_conv2d(r.ShapeAs<Conv2dShape>(), r.In(0), r.Out());
}

void RunConv2dGradInput(const StepRun& r) {
  r.k.conv2d_grad_input({.shape = r.Batched<Conv2dShape>(),
                         .w = r.In(0),
                         .dy = r.In(1),
                         .dx = r.Out(),
                         .workspace = r.workspace,
                         .executor = r.executor});
}

void RunConv2dGradWeights(const StepRun& r) {
  r.k.conv2d_grad_weights({.shape = r.Batched<Conv2dShape>(),
                           .x = r.In(0),
                           .dy = r.In(1),
                           .accumulate = r.Accumulate(),
                           .dw = r.Out(),
                           .workspace = r.workspace,
                           .executor = r.executor});
}

}  // namespace linnet
