// oneDNN's and OpenBLAS's matrix products as contestants: "gemm-M-N-K" (f32; oneDNN with its own
// layout of B, packed beforehand) and "u8s8-M-N-K" (u8 x s8 to s32, oneDNN). One JSON line in, one
// out.
#include <cblas.h>

#include <iostream>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

#include "base/json.h"
#include "tests/bench/peers/timing.h"

extern "C" void openblas_set_num_threads(int threads);

namespace linnet {
namespace {

using Call = std::function<void()>;

Call OpenBlas(const Work& work) {
  if (work.kind != "gemm") return {};
  const auto m = static_cast<int>(work.numbers.at(0)), n = static_cast<int>(work.numbers.at(1)),
             k = static_cast<int>(work.numbers.at(2));
  struct State {
    std::vector<float> a, b, c;
  };
  auto state = std::make_shared<State>(State{std::vector<float>(static_cast<size_t>(m * k), 0.5f),
                                             std::vector<float>(static_cast<size_t>(k * n), 0.5f),
                                             std::vector<float>(static_cast<size_t>(m * n))});
  return [=] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0f, state->a.data(), k,
                state->b.data(), n, 0.0f, state->c.data(), n);
  };
}

Call OneDnn(const Work& work) {
  using dnnl::memory;
  const bool int8 = work.kind == "u8s8";
  if (!int8 && work.kind != "gemm") return {};
  const auto m = static_cast<memory::dim>(work.numbers.at(0)),
             n = static_cast<memory::dim>(work.numbers.at(1)),
             k = static_cast<memory::dim>(work.numbers.at(2));
  const auto type = [&](memory::data_type narrow) {
    return int8 ? narrow : memory::data_type::f32;
  };
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  static dnnl::stream stream(engine);
  const memory::desc a({m, k}, type(memory::data_type::u8), memory::format_tag::ab);
  const memory::desc b({k, n}, type(memory::data_type::s8), memory::format_tag::any);
  const memory::desc c({m, n}, type(memory::data_type::s32), memory::format_tag::ab);
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), engine);
  struct State {
    dnnl::matmul product;
    std::unordered_map<int, memory> arguments;
  };
  auto state =
      std::make_shared<State>(State{dnnl::matmul(description),
                                    {{DNNL_ARG_SRC, memory(description.src_desc(), engine)},
                                     {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), engine)},
                                     {DNNL_ARG_DST, memory(description.dst_desc(), engine)}}});
  for (auto& [argument, data] : state->arguments) {
    std::fill_n(static_cast<uint8_t*>(data.get_data_handle()), data.get_desc().get_size(),
                uint8_t{1});
  }
  return [state] {
    state->product.execute(stream, state->arguments);
    stream.wait();
  };
}

}  // namespace
}  // namespace linnet

int main(int argc, char** argv) {
  openblas_set_num_threads(1);
  const bool blas = argc > 1 && std::string(argv[1]) == "openblas";
  std::map<std::string, linnet::Call> prepared;
  for (std::string line; std::getline(std::cin, line);) {
    const linnet::Json request = linnet::Json::Parse(line).value();
    const std::string& name = request.Find("work")->as_string();
    const bool warm = prepared.contains(name);
    if (!warm) {
      const linnet::Work work = linnet::ParseWork(name);
      prepared[name] = blas ? linnet::OpenBlas(work) : linnet::OneDnn(work);
    }
    const linnet::Call& call = prepared[name];
    std::cout << "{\"times\":"
              << (call ? linnet::Times(call, request.Find("ms")->as_double(), warm) : "null") << "}"
              << std::endl;
  }
}
