#include "kernels/columns.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/columns.cc"
#include "base/executor.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// A leaf of zeros, to measure norms against.
alignas(64) constexpr float kZeros[kReductionLeaf] = {};

size_t DistanceCount(const DistanceArgs& args) {
  return args.pairs ? args.row_count * (args.row_count - 1) / 2 : args.row_count;
}

// The statistic of one column, as far sorted as it needs.
float OfSortedColumn(const float* sorted, const ColumnArgs& args) {
  const size_t n = args.row_count;
  const float median =
      n % 2 == 1 ? sorted[n / 2]
                 : static_cast<float>((double{sorted[n / 2 - 1]} + double{sorted[n / 2]}) * 0.5);
  if (args.statistic == ColumnStatistic::kMedian) return median;
  size_t begin = args.parameter, keep = n - 2 * args.parameter;
  if (args.statistic == ColumnStatistic::kClosestMean) {
    begin = 0;
    keep = args.parameter;
    float least = std::numeric_limits<float>::infinity();
    for (size_t s = 0; s + keep <= n; ++s) {
      const float reach = std::max(median - sorted[s], sorted[s + keep - 1] - median);
      if (!(reach < least)) continue;
      least = reach;
      begin = s;
    }
  }
  double sum = 0;
  for (size_t r = begin; r < begin + keep; ++r) sum += double{sorted[r]};
  return static_cast<float>(sum / static_cast<double>(keep));
}

// Columns of one task: their rows stay in the second-level cache.
constexpr size_t kTaskColumns = 4096;

// Calls body(first column, columns, worker).
template <class Body>
void ForEachTask(Executor* executor, size_t n, const Body& body) {
  const size_t tasks = (n + kTaskColumns - 1) / kTaskColumns;
  const auto run = [&](size_t task, size_t worker) {
    body(task * kTaskColumns, HWY_MIN(kTaskColumns, n - task * kTaskColumns), worker);
  };
  if (executor == nullptr || tasks == 1) {
    for (size_t task = 0; task < tasks; ++task) run(task, 0);
  } else {
    executor->Run(tasks, run);
  }
}

// More rows than a network is worth: each column by itself, only as far sorted as the statistic
// asks.
void SelectColumns(const ColumnArgs& args, size_t first, size_t n, float* column) {
  const size_t rows = args.row_count;
  for (size_t i = first; i < first + n; ++i) {
    for (size_t r = 0; r < rows; ++r)
      column[r] = args.rows[(args.which == nullptr ? r : args.which[r]) * args.stride + i] + 0.0f;
    float* const end = column + rows;
    if (args.statistic == ColumnStatistic::kClosestMean) {
      std::sort(column, end);
    } else {
      const bool median = args.statistic == ColumnStatistic::kMedian;
      const size_t trim = median ? (rows - 1) / 2 : args.parameter;
      std::nth_element(column, column + trim, end);
      std::nth_element(column + trim, end - trim - 1, end);
      std::sort(column + trim, end - trim);
    }
    args.out[i] = OfSortedColumn(column, args);
  }
}

void ColumnStatistics(const ColumnArgs& args) {
  ForEachTask(args.executor, args.n, [&](size_t first, size_t n, size_t worker) HWY_ATTR {
    if (args.row_count > kNetworkRows) {
      SelectColumns(args, first, n, args.scratch + worker * args.row_count);
    } else {
      SortedColumns(args, first, n);
    }
  });
}

// Adds the columns [first, first + n), which end before or at the end of a leaf, to the lanes.
void PartOfLeaf(const DistanceArgs& args, size_t first, size_t n) {
  const size_t head = HWY_MIN(n, (kLanes - (args.at + first) % kLanes) % kLanes);
  const size_t whole = (n - head) / kLanes * kLanes;
  const float* to = args.pairs ? nullptr : args.to == nullptr ? kZeros : args.to + first;
  ForEachDistanceTile(args, to, first, [&](const DistanceRows& tile) HWY_ATTR {
    double* lanes[kTileA * kTileB];
    DistanceRows shifted = tile;
    for (size_t p = 0; p < tile.a_count * tile.b_count; ++p) {
      lanes[p] = args.lanes + kLanes * tile.pairs[p];
      const float* a = tile.a[p / tile.b_count];
      const float* b = tile.b[p % tile.b_count];
      for (size_t i = 0; i < head; ++i) {
        const double d = double{a[i] - b[i]};
        lanes[p][(args.at + first + i) % kLanes] += d * d;
      }
    }
    for (size_t r = 0; r < tile.a_count; ++r) shifted.a[r] += head;
    for (size_t r = 0; r < tile.b_count; ++r) shifted.b[r] += head;
    RunTile(shifted, whole, lanes);
    for (size_t p = 0; p < tile.a_count * tile.b_count; ++p) {
      const float* a = tile.a[p / tile.b_count];
      const float* b = tile.b[p % tile.b_count];
      for (size_t i = head + whole; i < n; ++i) {
        const double d = double{a[i] - b[i]};
        lanes[p][(args.at + first + i) % kLanes] += d * d;
      }
    }
  });
  if ((args.at + first + n) % kReductionLeaf != 0) return;
  for (size_t p = 0; p < DistanceCount(args); ++p) {
    args.sums[p] += AddLanes(args.lanes + kLanes * p);
    std::fill_n(args.lanes + kLanes * p, kLanes, 0.0);
  }
}

// The distances within one whole leaf.
void WholeLeaf(const DistanceArgs& args, size_t first, double* distances) {
  const float* to = args.pairs ? nullptr : args.to == nullptr ? kZeros : args.to + first;
  ForEachDistanceTile(args, to, first, [&](const DistanceRows& tile) HWY_ATTR {
    double sums[kTileA * kTileB][kLanes] = {};
    double* lanes[kTileA * kTileB];
    for (size_t p = 0; p < kTileA * kTileB; ++p) lanes[p] = sums[p];
    RunTile(tile, kReductionLeaf, lanes);
    for (size_t p = 0; p < tile.a_count * tile.b_count; ++p)
      distances[tile.pairs[p]] = AddLanes(sums[p]);
  });
}

void Distances(const DistanceArgs& args) {
  const size_t head = HWY_MIN(args.n, (kReductionLeaf - args.at % kReductionLeaf) % kReductionLeaf);
  const size_t leaves = (args.n - head) / kReductionLeaf;
  const size_t count = DistanceCount(args);
  if (head > 0) PartOfLeaf(args, 0, head);
  const auto leaf = [&](size_t i, size_t) {
    WholeLeaf(args, head + i * kReductionLeaf, args.scratch + i * count);
  };
  if (args.executor == nullptr || leaves < 2) {
    for (size_t i = 0; i < leaves; ++i) leaf(i, 0);
  } else {
    args.executor->Run(leaves, leaf);
  }
  for (size_t i = 0; i < leaves; ++i)
    for (size_t p = 0; p < count; ++p) args.sums[p] += args.scratch[i * count + p];
  const size_t done = head + leaves * kReductionLeaf;
  if (done < args.n) PartOfLeaf(args, done, args.n - done);
}

void Combine(const CombineArgs& args) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> dhalf;
  ForEachTask(args.executor, args.n, [&](size_t first, size_t n, size_t) HWY_ATTR {
    ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
      auto sum = hn::Zero(d);
      for (size_t r = 0; r < args.row_count; ++r) {
        const auto x =
            hn::PromoteTo(d, memory.Load(dhalf, args.rows + r * args.stride + first + i));
        sum = hn::Add(sum, hn::Mul(hn::Set(d, args.weights[r]), x));
      }
      memory.Store(hn::DemoteTo(dhalf, sum), dhalf, args.out + first + i);
    });
  });
}

void FoldWeighted(const float* rows, size_t stride, const double* weights, size_t row_count,
                  int grid_exp, double* acc, size_t n) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> dhalf;
  const auto magic = hn::Set(d, std::ldexp(1.5, 52 + grid_exp));
  ForEachVector(d, n, [&](size_t i, auto memory) HWY_ATTR {
    auto sum = memory.Load(d, acc + i);
    for (size_t r = 0; r < row_count; ++r) {
      const auto x = hn::PromoteTo(d, memory.Load(dhalf, rows + r * stride + i));
      const auto product = hn::Mul(hn::Set(d, weights[r]), x);
      sum = hn::Add(sum, hn::Sub(hn::Add(product, magic), magic));
    }
    memory.Store(sum, d, acc + i);
  });
}

}  // namespace

void FillColumns(ColumnKernels& table) {
  table = {&ColumnStatistics, &Combine, &Distances, &FoldWeighted};
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const ColumnKernels& ColumnKernelsOf(const Kernels& kernels) {
  struct Tables {
    std::array<ColumnKernels, 16> tables{};
    Tables() {
      // In the order of AllKernels().
      size_t count = 0;
      for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1)
        LINNET_FOR_TARGET(FillColumns, left & -left)(tables[count++]);
    }
  };
  static const Tables all;
  for (size_t i = 0; i < AllKernels().size(); ++i)
    if (AllKernels()[i] == &kernels) return all.tables[i];
  return all.tables[0];
}

}  // namespace linnet
#endif  // HWY_ONCE
