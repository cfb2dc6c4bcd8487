// What a plugin may call: log, cancelled, random, and the extension "org.linnet.kernels/1".
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "fed/plugin_table.h"
#include "kernels/columns.h"

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

const Kernels& KernelsOf(const void* ctx) { return *static_cast<const Kernels*>(ctx); }
const ColumnKernels& ColumnsOf(const void* ctx) { return ColumnKernelsOf(KernelsOf(ctx)); }
// The workers of the call that runs on this thread.
Executor* Workers() { return current != nullptr ? current->services.executor : nullptr; }

// Columns that a worker folds, while the rows are in its cache.
constexpr uint32_t kFoldColumns = 4096;

template <typename Fold>
void InColumns(uint32_t count, const Fold& fold) {
  Executor* executor = Workers();
  const uint32_t tasks = (count + kFoldColumns - 1) / kFoldColumns;
  if (executor == nullptr || tasks < 2) return fold(0, count);
  executor->Run(tasks, [&](size_t task, size_t) {
    const uint32_t first = static_cast<uint32_t>(task) * kFoldColumns;
    fold(first, std::min(kFoldColumns, count - first));
  });
}

void FoldExact(const void* ctx, const float* rows, uint32_t row_stride_bytes,
               const uint32_t* weights, uint32_t n, int32_t grid_exp, double* acc, uint32_t count) {
  InColumns(count, [&](uint32_t first, uint32_t columns) {
    KernelsOf(ctx).fold_exact(rows + first, row_stride_bytes / sizeof(float), weights, n, grid_exp,
                              acc + first, columns);
  });
}

void FoldWeighted(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                  const double* weights, uint32_t n, int32_t grid_exp, double* acc,
                  uint32_t count) {
  InColumns(count, [&](uint32_t first, uint32_t columns) {
    ColumnsOf(ctx).fold_weighted(rows + first, row_stride_bytes / sizeof(float), weights, n,
                                 grid_exp, acc + first, columns);
  });
}

void CombineRows(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                 const double* weights, uint32_t n, float* out, uint32_t count) {
  ColumnsOf(ctx).combine(
      {rows, row_stride_bytes / sizeof(float), weights, n, out, count, Workers()});
}

template <ColumnStatistic kStatistic>
void Column(const void* ctx, const float* rows, uint32_t row_stride_bytes, const uint32_t* which,
            uint32_t n, uint32_t parameter, float* out, uint32_t count) {
  Executor* executor = Workers();
  std::vector<float> scratch;
  if (n > kNetworkRows) scratch.resize(n * (executor != nullptr ? executor->Workers() : 1));
  ColumnsOf(ctx).statistic({rows, row_stride_bytes / sizeof(float), which, n, kStatistic, parameter,
                            out, count, scratch.data(), executor});
}
void ColumnMedian(const void* ctx, const float* rows, uint32_t row_stride_bytes,
                  const uint32_t* which, uint32_t n, float* out, uint32_t count) {
  Column<ColumnStatistic::kMedian>(ctx, rows, row_stride_bytes, which, n, 0, out, count);
}

void AddDistances(const void* ctx, const float* rows, uint32_t row_stride_bytes, uint32_t n,
                  bool pairs, const float* to, uint64_t at, uint32_t count, double* lanes,
                  double* sums) {
  const size_t distances = pairs ? size_t{n} * (n - 1) / 2 : n;
  std::vector<double> scratch(distances * (count / kReductionLeaf));
  ColumnsOf(ctx).distances({rows, row_stride_bytes / sizeof(float), n, pairs, to, at, count, lanes,
                            sums, scratch.data(), Workers()});
}
void PairDistances(const void* ctx, const float* rows, uint32_t row_stride_bytes, uint32_t n,
                   uint64_t at, uint32_t count, double* lanes, double* sums) {
  AddDistances(ctx, rows, row_stride_bytes, n, true, nullptr, at, count, lanes, sums);
}
void RowDistances(const void* ctx, const float* rows, uint32_t row_stride_bytes, uint32_t n,
                  const float* to, uint64_t at, uint32_t count, double* lanes, double* sums) {
  AddDistances(ctx, rows, row_stride_bytes, n, false, to, at, count, lanes, sums);
}

const void* Extension(void*, const char* id, uint32_t size) {
  static const lnt_kernels_v1 kernels = {sizeof(lnt_kernels_v1),
                                         0,
                                         &BestKernels(),
                                         &FoldExact,
                                         &Axpy,
                                         &Dot,
                                         &FoldWeighted,
                                         &CombineRows,
                                         &ColumnMedian,
                                         &Column<ColumnStatistic::kTrimmedMean>,
                                         &Column<ColumnStatistic::kClosestMean>,
                                         &PairDistances,
                                         &RowDistances};
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
