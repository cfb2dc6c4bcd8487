// What robust rules need: order statistics of the columns of a few rows, combinations of rows, and
// distances between rows. A table of their own, for the few who aggregate; see kernels.h.
//
// All of it is [exact]: values are sorted, sums run in a fixed order in f64, and the square of an
// f32 is exact in f64, so that a fused multiply-add changes nothing. Work is cut into tasks that
// depend on the shapes alone.
#ifndef LINNET_KERNELS_COLUMNS_H_
#define LINNET_KERNELS_COLUMNS_H_

#include <cstddef>
#include <cstdint>

#include "base/executor.h"
#include "kernels/kernels.h"

namespace linnet {

// A statistic of each of n columns of the rows which[0], ... (null: rows 0, 1, ...); row r begins
// at rows + r * stride. Values are finite; -0 counts as +0.
enum class ColumnStatistic : uint8_t {
  kMedian,       // for an even number the mean of the middle two, in f64
  kTrimmedMean,  // without the `parameter` lowest and highest, 2 parameter < row_count
  kClosestMean,  // of the `parameter` nearest the median (see lnt_kernels_v1::column_closest_mean)
};
// Above this many rows a column is sorted by selection, below by a network.
inline constexpr size_t kNetworkRows = 256;
struct ColumnArgs {
  const float* rows;
  size_t stride;
  const uint32_t* which;
  size_t row_count;
  ColumnStatistic statistic;
  size_t parameter;
  float* out;
  size_t n;
  float* scratch;  // above kNetworkRows: row_count floats for each worker
  Executor* executor;
};
// out[i] = (float)(sum over rows, ascending from 0, of weights[r] * (double)rows[r * stride + i]).
struct CombineArgs {
  const float* rows;
  size_t stride;
  const double* weights;
  size_t row_count;
  float* out;
  size_t n;
  Executor* executor;
};
// Squared distances between all pairs r < s of the rows, (0,1), (0,2), ..., or of each row to `to`
// (null: zeros): continued over windows as lnt_kernels_v1 says, `at` the position of the window.
struct DistanceArgs {
  const float* rows;
  size_t stride;
  size_t row_count;
  bool pairs;
  const float* to;
  uint64_t at;
  size_t n;
  double* lanes;    // 16 for each distance
  double* sums;     // one for each distance
  double* scratch;  // n / kReductionLeaf for each distance
  Executor* executor;
};

struct ColumnKernels {
  void (*statistic)(const ColumnArgs& args);
  void (*combine)(const CombineArgs& args);
  void (*distances)(const DistanceArgs& args);
  // Kernels::fold_exact with weights of any kind: the product is rounded to f64, then to the grid.
  void (*fold_weighted)(const float* rows, size_t stride, const double* weights, size_t row_count,
                        int grid_exp, double* acc, size_t n);
};
// Those of the same target.
const ColumnKernels& ColumnKernelsOf(const Kernels& kernels);

}  // namespace linnet

#endif  // LINNET_KERNELS_COLUMNS_H_
