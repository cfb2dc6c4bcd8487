// FedOpt (Reddi 2021): D = mean Delta; m = beta1 m + (1 - beta1) D; v = SecondMoment(v, D^2);
// w += serverLearningRate m / (sqrt v + tau). m and v start at 0.
#ifndef LINNET_PLUGINS_COMMON_FEDOPT_H_
#define LINNET_PLUGINS_COMMON_FEDOPT_H_

#include <cmath>
#include <vector>

#include "common/stateful_mean.h"

namespace linnet {
namespace plugin {

// SecondMoment: a struct with kMagic (of the state) and
//   static double Next(double v, double square, double beta2).
template <typename SecondMoment>
class FedOpt : public StatefulMean<2> {
 public:
  FedOpt(const Config& config, double rate, double beta1)
      : StatefulMean(SecondMoment::kMagic),
        rate_(config.Number("serverLearningRate", rate)),
        beta1_(config.Number("beta1", beta1)),
        beta2_(config.Number("beta2", 0.99)),
        tau_(config.Number("tau", 0.001)),
        correct_(config.Bool("biasCorrection", false)) {}

  lnt_status SetLayout(const std::vector<Tensor>& tensors) override {
    const lnt_status status = StatefulMean::SetLayout(tensors);
    if (status != LNT_OK) return status;
    // beta^(t + 1), kept as products: pow has other bits on other targets.
    state().numbers()[0] = beta1_;
    state().numbers()[1] = beta2_;
    return LNT_OK;
  }

 protected:
  lnt_status BeginStep() override {
    double* power = state().numbers();
    power[0] *= beta1_;
    power[1] *= beta2_;
    step_ = correct_ ? rate_ * (std::sqrt(1 - power[1]) / (1 - power[0])) : rate_;
    return StatefulMean::BeginStep();
  }

  void Step(size_t at, double* step, uint32_t count) override {
    double* m = vector(0) + at;
    double* v = vector(1) + at;
    for (uint32_t i = 0; i < count; ++i) {
      const double mean = Mean(at + i);
      m[i] = beta1_ * m[i] + (1 - beta1_) * mean;
      v[i] = SecondMoment::Next(v[i], mean * mean, beta2_);
      step[i] = step_ * m[i] / (std::sqrt(v[i]) + tau_);
    }
  }

 private:
  double rate_, beta1_, beta2_, tau_, step_ = 0;
  bool correct_;
};

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_FEDOPT_H_
