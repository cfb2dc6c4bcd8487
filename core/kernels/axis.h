// The geometry of convolutions along one axis: which taps of which positions lie inside the image.
#ifndef LINNET_KERNELS_AXIS_H_
#define LINNET_KERNELS_AXIS_H_

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "kernels/kernels.h"
#include "kernels/tile.h"

namespace linnet {

inline size_t InSize(const Conv2dShape& s) { return s.height * s.width * s.in_channels; }
inline size_t OutSize(const Conv2dShape& s) {
  return s.OutHeight() * s.OutWidth() * s.out_channels;
}
inline size_t WeightsSize(const Conv2dShape& s) { return s.WindowSize() * s.out_channels; }

// One axis of a convolution or of its gradient: tap t of position p reads the source at
// p * source_step + t * tap_step + source_first, unless that is outside of [0, source_size).
struct Axis {
  size_t positions, taps;
  size_t source_step, tap_step;
  ptrdiff_t source_first;
  size_t source_size;
  // Where positions go, and which of the kernel's taps these are.
  size_t to_first = 0, to_step = 1;
  ptrdiff_t kernel_first = 0, kernel_step = 1;

  // The taps [first, end) of position p that are inside.
  size_t FirstTap(size_t p) const {
    const ptrdiff_t at = static_cast<ptrdiff_t>(p * source_step) + source_first;
    return at >= 0 ? 0 : std::min(taps, DivideUp(static_cast<size_t>(-at), tap_step));
  }
  size_t EndTap(size_t p) const {
    const ptrdiff_t left = static_cast<ptrdiff_t>(source_size) - source_first -
                           static_cast<ptrdiff_t>(p * source_step);
    return left <= 0 ? 0 : std::min(taps, DivideUp(static_cast<size_t>(left), tap_step));
  }
  // After the last position whose last tap is inside.
  size_t EndOfWhole() const {
    const ptrdiff_t left = static_cast<ptrdiff_t>(source_size) - source_first -
                           static_cast<ptrdiff_t>((std::max(taps, size_t{1}) - 1) * tap_step);
    return left <= 0 ? 0 : DivideUp(static_cast<size_t>(left), source_step);
  }
  size_t KernelTap(size_t tap) const {
    return static_cast<size_t>(kernel_first + static_cast<ptrdiff_t>(tap) * kernel_step);
  }
  // May be negative; then it is only the start of an address whose tap is inside.
  ptrdiff_t Source(size_t p, size_t tap) const {
    return static_cast<ptrdiff_t>(p * source_step + tap * tap_step) + source_first;
  }
};

// Neighbouring positions with the same taps inside.
struct Run {
  size_t position, count;
  size_t tap, taps;
};

// Calls body(run) for the runs of positions in [begin, end).
template <class Body>
void ForEachRun(const Axis& axis, size_t begin, size_t end, const Body& body) {
  const size_t whole = axis.EndOfWhole();
  for (size_t p = begin; p < end;) {
    const size_t tap = axis.FirstTap(p), end_tap = axis.EndTap(p);
    size_t q = p + 1;
    if (tap == 0 && end_tap == axis.taps) q = std::clamp(whole, q, end);
    while (q < end && axis.FirstTap(q) == tap && axis.EndTap(q) == end_tap) ++q;
    body(Run{p, q - p, tap, end_tap > tap ? end_tap - tap : 0});
    p = q;
  }
}

// The positions whose tap `tap` is inside.
inline Run PositionsOfTap(const Axis& axis, size_t tap) {
  const auto inside = [&](size_t p) { return axis.FirstTap(p) <= tap && tap < axis.EndTap(p); };
  size_t first = 0, end = axis.positions;
  while (first < end && !inside(first)) ++first;
  while (first < end && !inside(end - 1)) --end;
  return {first, end - first, tap, 1};
}

inline Axis ForwardRows(const Conv2dShape& s) {
  return {.positions = s.OutHeight(),
          .taps = s.kernel_h,
          .source_step = s.stride_h,
          .tap_step = s.dilation_h,
          .source_first = -static_cast<ptrdiff_t>(s.pad_top),
          .source_size = s.height};
}
inline Axis ForwardColumns(const Conv2dShape& s) {
  return {.positions = s.OutWidth(),
          .taps = s.kernel_w,
          .source_step = s.stride_w,
          .tap_step = s.dilation_w,
          .source_first = -static_cast<ptrdiff_t>(s.pad_left),
          .source_size = s.width};
}

// The input positions i with (i + pad) % stride = phase, as positions of a convolution over dy.
// i + pad = o * stride + t * dilation leaves every (stride / gcd)-th tap of the kernel, and makes
// o grow by 1 with each such position and shrink by dilation / gcd with each such tap; taken from
// the last to the first they are the taps of a convolution without stride.
inline Axis GradientAxis(size_t size, size_t kernel, size_t stride, size_t pad, size_t dilation,
                         size_t out_size, size_t phase) {
  const size_t common = std::gcd(stride, dilation);
  const size_t skip = stride / common;
  const size_t first = (phase + stride - pad % stride) % stride;
  size_t taps = 0, last = 0;
  for (size_t t = 0; t < kernel; ++t) {
    if (t * dilation % stride == phase) last = t, ++taps;
  }
  Axis axis{.positions = first < size ? DivideUp(size - first, stride) : 0,
            .taps = taps,
            .source_step = 1,
            .tap_step = dilation / common,
            .source_first = 0,
            .source_size = out_size,
            .to_first = first,
            .to_step = stride,
            .kernel_first = static_cast<ptrdiff_t>(last),
            .kernel_step = -static_cast<ptrdiff_t>(skip)};
  if (taps > 0) {
    axis.source_first =
        (static_cast<ptrdiff_t>(first + pad) - static_cast<ptrdiff_t>(last * dilation)) /
        static_cast<ptrdiff_t>(stride);
  }
  return axis;
}
inline Axis GradientRows(const Conv2dShape& s, size_t phase) {
  return GradientAxis(s.height, s.kernel_h, s.stride_h, s.pad_top, s.dilation_h, s.OutHeight(),
                      phase);
}
inline Axis GradientColumns(const Conv2dShape& s, size_t phase) {
  return GradientAxis(s.width, s.kernel_w, s.stride_w, s.pad_left, s.dilation_w, s.OutWidth(),
                      phase);
}

}  // namespace linnet

#endif  // LINNET_KERNELS_AXIS_H_
