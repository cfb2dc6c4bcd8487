// What a plugin may call: log, cancelled, random, and the extension "org.linnet.kernels/1".
#include <algorithm>
#include <array>
#include <cstring>

#include "fed/plugin_table.h"
#include "kernels/kernels.h"

namespace linnet {
namespace {

// The call that runs on this thread; host functions are entered from inside a plugin's function
// only.
thread_local const PluginCall* current = nullptr;

constexpr size_t kMaxLine = 1000;

void Log(void*, uint32_t level, const char* text, uint32_t size) {
  if (current == nullptr || !current->services.log || text == nullptr) return;
  std::string line(text, std::min<size_t>(size, kMaxLine));
  std::replace_if(
      line.begin(), line.end(),
      [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }, ' ');
  current->services.log(std::min(level, 3u), line);
}

int32_t Cancelled(void*) {
  return current != nullptr && current->services.cancelled != nullptr &&
                 current->services.cancelled->load()
             ? 1
             : 0;
}

lnt_status Random(void*, uint64_t stream, uint64_t offset, void* to, uint32_t size) {
  if (current == nullptr) return LNT_E_STATE;
  constexpr uint64_t kEnd = uint64_t{1} << 38;
  if (offset > kEnd || size > kEnd - offset) return LNT_E_INVALID;
  ChaCha20Stream(current->round_seed, stream, offset, {static_cast<uint8_t*>(to), size});
  return LNT_OK;
}

void FoldExact(const void* ctx, const float* rows, uint32_t row_stride_bytes,
               const uint32_t* weights, uint32_t n, int32_t grid_exp, double* acc, uint32_t count) {
  static_cast<const Kernels*>(ctx)->fold_exact(rows, row_stride_bytes / sizeof(float), weights, n,
                                               grid_exp, acc, count);
}

// Not the kernel table's axpy, which may fuse: a plugin's own loop has to have the same bits.
void Axpy(const void*, float a, const float* x, float* y, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) y[i] += a * x[i];
}

double Dot(const void*, const float* x, const float* y, uint32_t count) {
  constexpr uint32_t kLanes = 16;
  double sum = 0;
  for (uint32_t first = 0; first < count; first += kReductionLeaf) {
    const uint32_t n = std::min<uint32_t>(kReductionLeaf, count - first);
    std::array<double, kLanes> lanes{};
    uint32_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (uint32_t l = 0; l < kLanes; ++l) {
        lanes[l] += static_cast<double>(x[first + i + l]) * static_cast<double>(y[first + i + l]);
      }
    }
    for (; i < n; ++i)
      lanes[i % kLanes] += static_cast<double>(x[first + i]) * static_cast<double>(y[first + i]);
    for (uint32_t half = kLanes / 2; half > 0; half /= 2) {
      for (uint32_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    }
    sum += lanes[0];
  }
  return sum;
}

const void* Extension(void*, const char* id, uint32_t size) {
  static const lnt_kernels_v1 kernels = [] {
    lnt_kernels_v1 table{};
    table.struct_size = offsetof(lnt_kernels_v1, fold_weighted);
    table.ctx = &BestKernels();
    table.fold_exact = &FoldExact;
    table.axpy = &Axpy;
    table.dot = &Dot;
    return table;
  }();
  return std::string_view(id, size) == LNT_KERNELS_V1 ? &kernels : nullptr;
}

}  // namespace

const lnt_host& PluginHost() {
  static constexpr lnt_host host = {sizeof(lnt_host), LNT_ABI_VERSION, nullptr,   &Log,
                                    &Cancelled,       &Random,         &Extension};
  return host;
}

PluginCall::PluginCall(const PluginServices& call_services, const Seed& seed)
    : services(call_services), round_seed(seed), outer_(current) {
  current = this;
}
PluginCall::~PluginCall() { current = outer_; }

}  // namespace linnet
