// Linnet as a contestant: natively one JSON line in and one out, in WASM a function for JavaScript.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/json.h"
#include "base/random.h"
#include "kernels/kernels.h"
#include "kernels/pool.h"
#include "model/quantize.h"
#include "model/train.h"
#include "tests/bench/peers/timing.h"

namespace linnet {
namespace {

using Call = std::function<void()>;

// Where the work runs; null: this thread.
std::unique_ptr<Executor> pool;

std::string ModelName(const Work& work) { return work.net == "mlp" ? "mlp-256-128" : "cnn-small"; }

std::vector<float> Uniform(size_t count) {
  RandomStream random(SeedFromInt(1), 0);
  std::vector<float> values(count);
  for (float& value : values) value = random.Uniform();
  return values;
}

Call PrepareTrain(const Work& work) {
  const Model model = BuiltinModel(ModelName(work), SeedFromInt(1)).value();
  const size_t batch = work.numbers.at(0);
  struct State {
    std::unique_ptr<Trainer> trainer;
    std::vector<float> x;
    std::vector<int32_t> y;
  };
  auto state = std::make_shared<State>();
  state->trainer =
      Trainer::Create(model.graph, {.learning_rate = 1e-4f}, batch, BestKernels(), pool.get())
          .value();
  std::ranges::copy(model.parameters, state->trainer->parameters().begin());
  state->x = Uniform(batch * model.graph.InputCount());
  for (size_t i = 0; i < batch; ++i) state->y.push_back(static_cast<int32_t>(i % 10));
  return [state, batch] { state->trainer->Step(state->x.data(), state->y.data(), batch); };
}

Call PrepareInfer(const Work& work) {
  struct State {
    Model model;
    std::unique_ptr<Predictor> predictor;
    std::vector<float> x, logits;
  };
  auto state = std::make_shared<State>();
  const size_t batch = work.numbers.at(0);
  state->model = BuiltinModel(ModelName(work), SeedFromInt(1)).value();
  state->predictor =
      Predictor::Create(state->model.graph, batch, BestKernels(), pool.get()).value();
  state->predictor->SetParameters(state->model.parameters);
  state->x = Uniform(batch * state->model.graph.InputCount());
  state->logits.resize(batch * 10);
  return [state, batch] { state->predictor->Run(state->x.data(), batch, state->logits.data()); };
}

Call PrepareGemm(const Work& work) {
  struct State {
    AlignedBuffer<float> a, b, c, workspace;
  };
  const size_t m = work.numbers.at(0), n = work.numbers.at(1), k = work.numbers.at(2);
  auto state = std::make_shared<State>(
      State{AlignedBuffer<float>(m * k), AlignedBuffer<float>(k * n), AlignedBuffer<float>(m * n),
            AlignedBuffer<float>(GemmWorkspace(m, n, k))});
  std::ranges::copy(Uniform(m * k), state->a.data());
  std::ranges::copy(Uniform(k * n), state->b.data());
  return [state, m, n, k] {
    BestKernels().gemm({.m = m,
                        .n = n,
                        .k = k,
                        .a = state->a.data(),
                        .lda = k,
                        .trans_a = false,
                        .b = state->b.data(),
                        .ldb = n,
                        .trans_b = false,
                        .c = state->c.data(),
                        .ldc = n,
                        .accumulate = false,
                        .bias = nullptr,
                        .relu = false,
                        .workspace = state->workspace.data()});
  };
}

Call PrepareInt8(const Work& work) {
  struct State {
    std::unique_ptr<QuantizedPredictor> predictor;
    std::vector<float> x, logits;
  };
  auto state = std::make_shared<State>();
  const size_t batch = work.numbers.at(0);
  const Model model = BuiltinModel(ModelName(work), SeedFromInt(1)).value();
  state->x = Uniform(batch * model.graph.InputCount());
  state->logits.resize(batch * 10);
  const QuantizedModel quantized =
      QuantizeInt8(model, state->x, Calibration::kPercentile, BestKernels()).value();
  state->predictor = QuantizedPredictor::Create(quantized, batch, BestKernels()).value();
  return [state, batch] { state->predictor->Run(state->x.data(), batch, state->logits.data()); };
}

Call PrepareU8s8(const Work& work) {
  struct State {
    AlignedBuffer<uint8_t> a, packed, c;
    uint32_t offset = 0;
  };
  const size_t m = work.numbers.at(0), n = work.numbers.at(1), k = work.numbers.at(2);
  auto state = std::make_shared<State>(State{AlignedBuffer<uint8_t>(m * k + kInt8Slack),
                                             AlignedBuffer<uint8_t>(Int8PackedBytes(1, k, n)),
                                             AlignedBuffer<uint8_t>(m * n)});
  const std::vector<int8_t> weights(k * n, 1);
  const std::vector<int32_t> bias(n);
  const std::vector<float> scale(n, 0.01f);
  BestKernels().int8.pack(weights.data(), bias.data(), scale.data(), 1, k, n, state->packed.data());
  return [state, m, n, k] {
    BestKernels().int8.product({state->a.data(), 1, m, 0, k, &state->offset, 1, k},
                               state->packed.data(), n, {}, false, state->c.data(), n);
  };
}

// Empty for a work that this contestant does not do.
Call Prepare(const Work& work) {
  if (work.kind == "train") return PrepareTrain(work);
  if (work.kind == "infer") return PrepareInfer(work);
  if (work.kind == "int8") return PrepareInt8(work);
  if (work.kind == "gemm") return PrepareGemm(work);
  if (work.kind == "u8s8") return PrepareU8s8(work);
  return {};
}

}  // namespace

// The times as a JSON array, or "null" when the work is not done here.
std::string RunWork(const std::string& name, double milliseconds) {
  static std::map<std::string, Call> prepared;
  const auto found = prepared.find(name);
  const bool warm = found != prepared.end();
  Call& call = warm ? found->second : (prepared[name] = Prepare(ParseWork(name)));
  return call ? Times(call, milliseconds, warm) : "null";
}

}  // namespace linnet

#ifdef __EMSCRIPTEN__
#include <emscripten.h>
extern "C" EMSCRIPTEN_KEEPALIVE void linnet_peer_threads(int threads) {
  linnet::pool = linnet::MakePool(static_cast<size_t>(threads));
}
extern "C" EMSCRIPTEN_KEEPALIVE const char* linnet_peer_run(const char* work, double milliseconds) {
  static std::string answer;
  answer = linnet::RunWork(work, milliseconds);
  return answer.c_str();
}
#else
#include <iostream>
int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::stoi(argv[1]) : 1;
  if (threads > 1) linnet::pool = linnet::MakePool(static_cast<size_t>(threads));
  for (std::string line; std::getline(std::cin, line);) {
    const linnet::Json request = linnet::Json::Parse(line).value();
    std::cout << "{\"times\":"
              << linnet::RunWork(request.Find("work")->as_string(), request.Find("ms")->as_double())
              << "}" << std::endl;
  }
}
#endif
