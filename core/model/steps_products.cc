// Products with weights and of values: dense, matmul.
#include "model/steps_families.h"

namespace linnet {
namespace {

GemmArgs Product(const StepRun& r, size_t m, size_t n, size_t k) {
  return {.m = m,
          .n = n,
          .k = k,
          .a = nullptr,
          .lda = 0,
          .trans_a = false,
          .b = nullptr,
          .ldb = 0,
          .trans_b = false,
          .c = r.Out(),
          .ldc = n,
          .accumulate = false,
          .bias = nullptr,
          .relu = false,
          .workspace = r.workspace,
          .executor = r.executor};
}

// Rows of dy that a thread adds up at once: some 64k elements.
size_t BiasGradPart(size_t rows, size_t cols) {
  return std::min(rows, std::max<size_t>(1, 65536 / std::max<size_t>(1, cols)));
}

// Matmul for the gradient by one input of another.
Step MatmulStep(uint32_t a, uint32_t b, const MatmulShape& shape) {
  return {.op = StepOp::kMatmul, .inputs = {a, b}, .outputs = {}, .shape = shape};
}

}  // namespace

void RunDense(const StepRun& r) {
  const auto& s = r.ShapeAs<DenseShape>();
  GemmArgs args = Product(r, r.batch * s.rows, s.out, s.in);
  args.a = r.In(0);
  args.lda = s.in;
  args.b = r.In(1);
  args.ldb = s.out;
  args.packed_b = r.step.packed;
  args.bias = r.step.inputs.size() > 2 ? r.In(2) : nullptr;
  args.relu = r.step.relu;
  r.k.gemm(args);
}

void RunDenseGradInput(const StepRun& r) {
  const auto& s = r.ShapeAs<DenseShape>();
  GemmArgs args = Product(r, r.batch * s.rows, s.in, s.out);
  args.a = r.In(1);
  args.lda = s.out;
  args.b = r.In(0);
  args.ldb = s.out;
  args.trans_b = true;
  r.k.gemm(args);
}

void RunDenseGradWeights(const StepRun& r) {
  const auto& s = r.ShapeAs<DenseShape>();
  GemmArgs args = Product(r, s.in, s.out, r.batch * s.rows);
  args.a = r.In(0);
  args.lda = s.in;
  args.trans_a = true;
  args.b = r.In(1);
  args.ldb = s.out;
  args.accumulate = r.Accumulate();
  r.k.gemm(args);
}

// The sums of some parts of the rows, then the sum of these.
void RunBiasGrad(const StepRun& r) {
  const auto& s = r.ShapeAs<RowsShape>();
  const size_t rows = s.rows * r.batch, part = BiasGradPart(rows, s.cols);
  if (part == rows) return r.k.column_sums(r.In(0), rows, s.cols, r.Accumulate(), r.Out());
  const auto add_part = [&](size_t index, size_t) {
    const size_t begin = index * part;
    r.k.column_sums(r.In(0) + begin * s.cols, std::min(part, rows - begin), s.cols, false,
                    r.workspace + index * s.cols);
  };
  const size_t parts = (rows + part - 1) / part;
  if (r.executor != nullptr) {
    r.executor->Run(parts, std::ref(add_part));
  } else {
    for (size_t index = 0; index < parts; ++index) add_part(index, 0);
  }
  r.k.column_sums(r.workspace, parts, s.cols, r.Accumulate(), r.Out());
}

uint64_t BiasGradWorkspace(const Step& step, size_t batch, size_t) {
  const auto& s = std::get<RowsShape>(step.shape);
  const size_t rows = s.rows * batch, part = BiasGradPart(rows, s.cols);
  return part == rows ? 0 : (rows + part - 1) / part * s.cols;
}

void RunMatmul(const StepRun& r) {
  const auto& s = r.ShapeAs<MatmulShape>();
  GemmArgs args = Product(r, s.m, s.n, s.k);
  args.lda = s.trans_a ? s.m : s.k;
  args.trans_a = s.trans_a;
  args.ldb = s.trans_b ? s.k : s.n;
  args.trans_b = s.trans_b;
  for (size_t i = 0; i < r.batch * s.count; ++i) {
    args.a = r.In(0) + i * s.m * s.k;
    args.b = r.In(1) + i * s.k * s.n;
    args.c = r.Out() + i * s.m * s.n;
    r.k.gemm(args);
  }
}

void RunPackDense(const StepRun& r) {
  const auto& s = r.ShapeAs<DenseShape>();
  r.k.pack_b(r.In(0), s.out, false, s.in, s.out, r.Out());
}

uint64_t DenseWorkspace(const Step& step, size_t batch, size_t) {
  if (step.packed) return 0;
  const auto& s = std::get<DenseShape>(step.shape);
  switch (step.op) {
    case StepOp::kDenseGradInput:
      return GemmWorkspace(batch * s.rows, s.in, s.out);
    case StepOp::kDenseGradWeights:
      return GemmWorkspace(s.in, s.out, batch * s.rows);
    default:
      return GemmWorkspace(batch * s.rows, s.out, s.in);
  }
}

uint64_t MatmulWorkspace(const Step& step, size_t, size_t) {
  const auto& s = std::get<MatmulShape>(step.shape);
  return GemmWorkspace(s.m, s.n, s.k);
}

// dx comes first: afterwards the parameters are read no more, and may be updated in place.
void DenseGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const auto& s = std::get<DenseShape>(step.shape);
  const uint32_t x = step.inputs[0], weights = step.inputs[1];
  d.EmitFor(
      x,
      {.op = StepOp::kDenseGradInput, .inputs = {weights, dy}, .outputs = {}, .shape = step.shape});
  d.EmitParameter(
      weights,
      {.op = StepOp::kDenseGradWeights, .inputs = {x, dy}, .outputs = {}, .shape = step.shape});
  if (step.inputs.size() > 2) d.EmitParameter(step.inputs[2], BiasGradStep(dy, s.rows, s.out));
}

void MatmulGradient(Differentiator& d, const Step& step, uint32_t dy) {
  const auto& s = std::get<MatmulShape>(step.shape);
  const uint32_t a = step.inputs[0], b = step.inputs[1];
  // y = A B with A = op(a), B = op(b): dA = dy B^T, dB = A^T dy, each transposed as it is stored.
  if (!s.trans_a) {
    d.EmitFor(a, MatmulStep(dy, b, {s.count, s.m, s.k, s.n, false, !s.trans_b}));
  } else {
    d.EmitFor(a, MatmulStep(b, dy, {s.count, s.k, s.m, s.n, s.trans_b, true}));
  }
  if (!s.trans_b) {
    d.EmitFor(b, MatmulStep(a, dy, {s.count, s.k, s.n, s.m, !s.trans_a, false}));
  } else {
    d.EmitFor(b, MatmulStep(dy, a, {s.count, s.n, s.k, s.m, true, s.trans_a}));
  }
}

Step BiasGradStep(uint32_t dy, size_t rows, size_t cols) {
  return {.op = StepOp::kBiasGrad,
          .inputs = {dy},
          .outputs = {},
          .shape = RowsShape{.rows = rows, .cols = cols}};
}

}  // namespace linnet
