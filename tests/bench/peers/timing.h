// How a contestant in C++ times its calls; contestant.mjs does the same in JavaScript.
#ifndef LINNET_TESTS_BENCH_PEERS_TIMING_H_
#define LINNET_TESTS_BENCH_PEERS_TIMING_H_

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace linnet {

struct Work {
  std::string kind, net;
  std::vector<size_t> numbers;  // the batch, or m, n, k
};

// "train-mlp-32", "gemm-32-256-784"
inline Work ParseWork(std::string_view text) {
  Work work;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find('-'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    size_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error == std::errc() && end == part.data() + part.size()) {
      work.numbers.push_back(number);
    } else {
      (work.kind.empty() ? work.kind : work.net) = part;
    }
  }
  return work;
}

// A JSON array of microseconds per call, one figure for each sample of at least half a millisecond.
// A call that is not `warm` is made for a while first.
inline std::string Times(const std::function<void()>& call, double milliseconds, bool warm) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  if (!warm) {
    const auto start = Clock::now();
    for (int i = 0; i < 3 || since(start) < 200; ++i) call();
  }
  size_t batch = 1;
  for (; batch <= 4096; batch *= 2) {
    const auto start = Clock::now();
    for (size_t i = 0; i < batch; ++i) call();
    if (since(start) >= 0.5) break;
  }
  std::string json = "[";
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    for (size_t i = 0; i < batch; ++i) call();
    const double microseconds = since(start) * 1e3 / static_cast<double>(batch);
    json += (json.size() > 1 ? "," : "") + std::to_string(microseconds);
  } while (since(begin) < milliseconds);
  return json + "]";
}

}  // namespace linnet

#endif  // LINNET_TESTS_BENCH_PEERS_TIMING_H_
