// What is done to an update before it is folded: its caps, its grid, the first pass over its bytes.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "fed/aggregation_host.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxWeight = (1u << 29) - 1;
constexpr int kCoarsestGrid = -16;

Status CheckValues(std::span<const float> values, size_t first, std::string_view what,
                   double max_abs, const Kernels& kernels, float& largest) {
  const bool finite = kernels.max_abs(values.data(), values.size(), &largest);
  if (finite && largest <= max_abs) return {};
  const auto bad = std::find_if(values.begin(), values.end(), [&](float v) {
    return !std::isfinite(v) || std::fabs(v) > max_abs;
  });
  const size_t at = first + static_cast<size_t>(bad - values.begin());
  if (!std::isfinite(*bad))
    return Fail(Code::kData, what, at, " is ", *bad, ", wanted a finite number");
  return Fail(Code::kLimit, what, at, " is ", *bad, ", wanted at most ", max_abs,
              " (limits.maxAbs)");
}

}  // namespace

lnt_update MakeUpdate(uint64_t ordinal, uint32_t weight) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  lnt_update update{};
  update.struct_size = sizeof(update);
  update.ordinal = ordinal;
  update.weight = weight;
  update.num_examples = update.num_steps = update.l2_norm = kUnknown;
  update.loss_before = update.loss_after = update.train_seconds = kUnknown;
  return update;
}

Result<int> GridExponent(double max_abs, uint64_t max_weight, uint64_t invited) {
  if (!(max_abs > 0) || !std::isfinite(max_abs) || max_weight == 0 || max_weight > kMaxWeight ||
      invited == 0) {
    return Fail(Code::kInvalid, "found limits of |x| <= ", max_abs, ", weight <= ", max_weight,
                " and ", invited, " invited, wanted positive ones with weights below 2^29");
  }
  const double product = max_abs * static_cast<double>(max_weight) * static_cast<double>(invited);
  const int grid_exp = std::isfinite(product) ? std::ilogb(product) - 50 : 1024;
  if (grid_exp > kCoarsestGrid) {
    return Fail(Code::kInvalid, "limits.maxAbs ", max_abs, " times limits.maxExamples ", max_weight,
                " times ", invited, " invited needs a grid of 2^", grid_exp, ", wanted 2^",
                kCoarsestGrid, " or finer: lower one of the limits");
  }
  return grid_exp;
}

Result<UpdateStats> CheckUpdate(const CodecSpec& codec, const CodecSeed& seed, ByteSpan encoded,
                                size_t n, double max_abs, const Kernels& kernels, size_t extras,
                                size_t scalars) {
  const size_t wanted = EncodedBytes(codec, n) + extras * sizeof(float);
  if (encoded.size() != wanted) {
    return Fail(Code::kData, "found ", encoded.size(), " bytes of ", CodecName(codec), ", wanted ",
                wanted, " for ", n, " parameters",
                extras > 0 ? StrCat(" and ", extras, " further values") : std::string());
  }
  const ByteSpan weights = encoded.first(EncodedBytes(codec, n));
  alignas(64) std::array<float, kCodecBlock> window;
  UpdateStats stats;
  double squares = 0;
  for (size_t first = 0; first < n; first += kCodecBlock) {
    const std::span<float> values(window.data(), std::min(kCodecBlock, n - first));
    LINNET_TRY_STATUS(DecodeWindow(codec, seed, weights, n, first, values, kernels));
    float largest = 0;
    LINNET_TRY_STATUS(CheckValues(values, first, "element ", max_abs, kernels, largest));
    stats.max_abs = std::max(stats.max_abs, largest);
    squares += kernels.sum_squares(values.data(), values.size());
  }
  stats.l2_norm = std::sqrt(squares);
  for (size_t first = 0; first < extras;) {
    const bool scalar = first < scalars;
    const size_t end = scalar ? scalars : extras;
    const std::span<float> values(window.data(), std::min(kCodecBlock, end - first));
    std::memcpy(values.data(), encoded.data() + weights.size() + first * sizeof(float),
                values.size() * sizeof(float));
    float largest = 0;
    LINNET_TRY_STATUS(CheckValues(values, first, "further value ", scalar ? kMaxScalar : max_abs,
                                  kernels, largest));
    first += values.size();
  }
  return stats;
}

}  // namespace linnet
