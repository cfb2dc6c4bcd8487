#include <array>
#include <cmath>

#include "kernels/guarded.h"

namespace linnet {
namespace {

using GruTest = KernelsTest;
LINNET_TEST_ALL_TARGETS(GruTest);

double SigmoidTwin(double x) { return 1 / (1 + std::exp(-x)); }

// The arguments of one unit's step. Not reset_after, Hn is a product of r h: here (r h) * weight +
// bias, so that what goes through it can be tested too.
struct Unit {
  double xr, xu, xn, hr, hu, hn, h, weight;
};
double NextTwin(const Unit& v, bool reset_after) {
  const double r = SigmoidTwin(v.xr + v.hr), u = SigmoidTwin(v.xu + v.hu);
  const double n = std::tanh(v.xn + (reset_after ? r * v.hn : v.weight * (r * v.h) + v.hn));
  return n + u * (v.h - n);
}

struct SmallValue {
  Random& random;
  float operator()(size_t) const { return Spread(random, -4, 0); }
};

// What one step has: values of all units, with room between the rows.
struct Room {
  Room(size_t rows, size_t hidden, Random& random)
      : rows(rows),
        hidden(hidden),
        x_stride(3 * hidden + 1),
        stride(hidden + 2),
        weight(0.5f),
        x(rows * x_stride, 1, SmallValue{random}),
        gates(rows * x_stride, 1),
        product(rows * 3 * hidden, 2, SmallValue{random}),
        h(rows * stride, 3, SmallValue{random}),
        next(rows * stride, 1),
        dnext(rows * stride, 2, SmallValue{random}),
        dgates(rows * x_stride, 3),
        dproduct(rows * 3 * hidden, 1),
        dh(rows * stride, 5),
        reset_h(rows * hidden, 1) {
    for (size_t i = 0; i < rows * x_stride; ++i) gates[i] = x[i];
  }
  GruStep Step(bool with_state) {
    return {.rows = rows,
            .hidden = hidden,
            .gates = gates.data(),
            .gates_stride = x_stride,
            .product = product.data(),
            .product_stride = 3 * hidden,
            .h = with_state ? h.data() : nullptr,
            .h_stride = stride,
            .next = next.data(),
            .next_stride = stride};
  }
  GruStepGrad Grad(bool with_state) {
    return {.rows = rows,
            .hidden = hidden,
            .gates = gates.data(),
            .gates_stride = x_stride,
            .new_product = product.data() + 2 * hidden,
            .new_product_stride = 3 * hidden,
            .h = with_state ? h.data() : nullptr,
            .h_stride = stride,
            .dnext = dnext.data(),
            .dnext_stride = stride,
            .dgates = dgates.data(),
            .dgates_stride = x_stride,
            .dproduct = dproduct.data(),
            .dproduct_stride = 3 * hidden,
            .dh = dh.data(),
            .dh_stride = stride};
  }
  Unit At(size_t row, size_t j, bool with_state) {
    const size_t at = row * x_stride + j, p = row * 3 * hidden + j;
    return {x[at],
            x[at + hidden],
            x[at + 2 * hidden],
            product[p],
            product[p + hidden],
            product[p + 2 * hidden],
            with_state ? h[row * stride + j] : 0.0,
            weight};
  }

  size_t rows, hidden, x_stride, stride;
  float weight;
  Guarded<float> x, gates, product, h, next, dnext, dgates, dproduct, dh, reset_h;
};

void RunForward(const Kernels& k, Room& room, bool reset_after, bool with_state) {
  const GruStep step = room.Step(with_state);
  if (reset_after) return k.gru.step(step);
  k.gru.gates(step, room.reset_h.data());
  // The product of r h, with a diagonal matrix.
  std::vector<float> bias = room.product.Values();
  for (size_t row = 0; row < room.rows; ++row) {
    for (size_t j = 0; j < room.hidden; ++j) {
      room.product[(row * 3 + 2) * room.hidden + j] +=
          room.weight * room.reset_h[row * room.hidden + j];
    }
  }
  k.gru.output(step);
  for (size_t i = 0; i < bias.size(); ++i) room.product[i] = bias[i];
}

TEST_P(GruTest, AStepAndItsGradientMatchTheEquationsAndFiniteDifferences) {
  for (size_t hidden = 1; hidden <= 70; ++hidden) {
    for (const bool reset_after : {false, true}) {
      for (const bool with_state : {false, true}) {
        SCOPED_TRACE(testing::Message() << hidden << (reset_after ? " reset after" : "")
                                        << (with_state ? " with a state" : ""));
        Room room(3, hidden, random);
        RunForward(k, room, reset_after, with_state);
        const GruStepGrad grad = room.Grad(with_state);
        if (reset_after) {
          k.gru.step_grad(grad);
        } else {
          k.gru.output_grad(grad);
          std::vector<float> dreset_h(room.rows * hidden);
          for (size_t row = 0; row < room.rows; ++row) {
            for (size_t j = 0; j < hidden; ++j) {
              dreset_h[row * hidden + j] = room.weight * room.dproduct[(row * 3 + 2) * hidden + j];
            }
          }
          k.gru.gates_grad(grad, dreset_h.data());
        }
        for (size_t row = 0; row < room.rows; ++row) {
          for (size_t j = 0; j < hidden; ++j) {
            const Unit unit = room.At(row, j, with_state);
            ASSERT_NEAR(room.next[row * room.stride + j], NextTwin(unit, reset_after), 1e-6);
            const auto slope = [&](double Unit::* variable) {
              constexpr double kStep = 1e-5;
              Unit above = unit, below = unit;
              above.*variable += kStep;
              below.*variable -= kStep;
              return (NextTwin(above, reset_after) - NextTwin(below, reset_after)) / (2 * kStep) *
                     room.dnext[row * room.stride + j];
            };
            const size_t at = row * room.x_stride + j, p = row * 3 * hidden + j;
            ASSERT_NEAR(room.dgates[at], slope(&Unit::xr), 1e-6);
            ASSERT_NEAR(room.dgates[at + hidden], slope(&Unit::xu), 1e-6);
            ASSERT_NEAR(room.dgates[at + 2 * hidden], slope(&Unit::xn), 1e-6);
            ASSERT_NEAR(room.dproduct[p], slope(&Unit::hr), 1e-6);
            ASSERT_NEAR(room.dproduct[p + hidden], slope(&Unit::hu), 1e-6);
            ASSERT_NEAR(room.dproduct[p + 2 * hidden], slope(&Unit::hn), 1e-6);
            ASSERT_NEAR(room.dh[row * room.stride + j], slope(&Unit::h), 1e-6);
          }
        }
      }
    }
  }
}

TEST_P(GruTest, TheNextStateAndTheGradientMayLieOnTheirInputs) {
  Room apart(2, 37, random);
  RunForward(k, apart, true, true);
  k.gru.step_grad(apart.Grad(true));
  const std::vector<float> next = apart.next.Values(), dgates = apart.dgates.Values();
  const std::vector<float> dh = apart.dh.Values();

  GruStepGrad grad = apart.Grad(true);
  grad.dgates = apart.gates.data();
  grad.dh = apart.dnext.data();
  k.gru.step_grad(grad);
  for (size_t row = 0; row < 2; ++row) {
    for (size_t j = 0; j < 37; ++j) {
      ASSERT_EQ(apart.dnext[row * apart.stride + j], dh[row * apart.stride + j]);
      for (size_t gate = 0; gate < 3; ++gate) {
        const size_t at = row * apart.x_stride + gate * 37 + j;
        ASSERT_EQ(apart.gates[at], dgates[at]);
      }
    }
  }
  for (size_t i = 0; i < 2 * apart.x_stride; ++i) apart.gates[i] = apart.x[i];
  GruStep step = apart.Step(true);
  step.next = apart.h.data();
  k.gru.step(step);
  for (size_t row = 0; row < 2; ++row) {
    for (size_t j = 0; j < 37; ++j) {
      ASSERT_EQ(apart.h[row * apart.stride + j], next[row * apart.stride + j]);
    }
  }
}

}  // namespace
}  // namespace linnet
