#include "data/strokes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "data/fixed_math.h"
#include "data/glyphs.h"
#include "data/hand.h"
#include "data/pen.h"

namespace linnet {
namespace {

constexpr size_t kPixels = kImageSide * kImageSide;
// Points of the drawn curve per piece between two skeleton points.
constexpr int kSamples = 6;
constexpr size_t kMaxPath = kMaxGlyphPoints * kSamples + kMaxGlyphPoints;
// MNIST's frame: a digit fits 20 x 20 pixels, and its centre of mass is put in the middle of 28
// x 28.
constexpr double kBox = 20;
constexpr double kCentre = 14.5;

// From image to image, for a writer of carelessness 1.
constexpr double kPointJitter = 0.9;  // glyph units
constexpr double kSlantJitter = 0.05;
constexpr double kRotationJitter = 0.045;  // radians
constexpr double kWidthJitter = 0.07;
constexpr double kProportionJitter = 0.06;
constexpr double kBowJitter = 0.035;
constexpr double kNarrowingJitter = 0.12;
constexpr double kRadiusJitter = 0.08;
constexpr double kSizeJitter = 0.03;
constexpr double kShiftJitter = 0.66;  // pixels
constexpr double kOtherGlyph = 0.05;   // how often a habit is left

// A curve under way: the pen's places, before and after it is laid on the paper.
struct Path {
  std::array<PenPoint, kMaxPath> points;
  size_t size = 0;
  void Add(const PenPoint& point) { points[size++] = point; }
  std::span<PenPoint> span() { return {points.data(), size}; }
};

// Smooth noise along a path: values between knots by a cubic, deviation about 1 at the knots.
class Wobble {
 public:
  explicit Wobble(RandomStream& random) {
    for (double& knot : knots_) knot = random.Normal();
  }
  // 0 <= t <= 1.
  double At(double t) const {
    const double place = t * (kKnots - 1);
    const int i = std::min(static_cast<int>(place), kKnots - 2);
    const double f = place - i;
    const double s = f * f * (3 - 2 * f);
    return knots_[i] + s * (knots_[i + 1] - knots_[i]);
  }

 private:
  static constexpr int kKnots = 8;
  std::array<double, kKnots> knots_;
};

// The Catmull-Rom curve through `run` (its ends repeated), without its last point.
void AddSmooth(std::span<const Point> run, Path& path) {
  const auto n = static_cast<int>(run.size());
  for (int i = 0; i + 1 < n; ++i) {
    const Point& a = run[std::max(i - 1, 0)];
    const Point& b = run[i];
    const Point& c = run[i + 1];
    const Point& d = run[std::min(i + 2, n - 1)];
    for (int k = 0; k < kSamples; ++k) {
      const double t = static_cast<double>(k) / kSamples;
      const auto curve = [t](double p, double q, double r, double s) {
        return 0.5 * (2 * q + t * ((r - p) +
                                   t * ((2 * p - 5 * q + 4 * r - s) + t * (3 * (q - r) + s - p))));
      };
      path.Add({.x = curve(a.x, b.x, c.x, d.x), .y = curve(a.y, b.y, c.y, d.y)});
    }
  }
}

// The glyph as this writer puts it this time, as a curve in glyph units.
void Trace(const Glyph& glyph, const Hand& hand, int digit, RandomStream& random, Path& path) {
  const double jitter = kPointJitter * hand.carelessness;
  std::array<Point, kMaxGlyphPoints> run;
  size_t length = 0;
  for (size_t i = 0; i < glyph.points.size(); ++i) {
    const GlyphPoint& point = glyph.points[i];
    const Point& own = hand.offsets[digit][i];
    run[length++] = {point.x + own.x + jitter * random.Normal(),
                     point.y + own.y + jitter * random.Normal()};
    if (point.pen == Pen::kSmooth) continue;
    AddSmooth({run.data(), length}, path);
    const Point last = run[length - 1];
    length = 0;
    if (point.pen == Pen::kCorner) {
      run[length++] = last;
    } else {
      path.Add({.x = last.x, .y = last.y, .up = true});
    }
  }
}

// Proportions, wobble, width, slant and rotation: glyph units become units of the digit's height.
void Shape(const Hand& hand, int digit, RandomStream& random, Path& path) {
  const double care = hand.carelessness;
  const double bend_x = 4 * (hand.proportion.x + kProportionJitter * care * random.Normal());
  const double bend_y = 4 * (hand.proportion.y + kProportionJitter * care * random.Normal());
  const double bow = 4 * kBowJitter * care * random.Normal();
  const double narrowing = kNarrowingJitter * care * random.Normal();
  const double width =
      hand.width * hand.own_width[digit] * FixedExp(kWidthJitter * care * random.Normal());
  const double slant = hand.slant + kSlantJitter * care * random.Normal();
  const double angle =
      std::clamp(hand.rotation + kRotationJitter * care * random.Normal(), -0.5, 0.5);
  const double sine = FixedSin(angle);
  const double cosine = FixedCos(angle);
  const Wobble wobble_x(random);
  const Wobble wobble_y(random);
  for (size_t i = 0; i < path.size; ++i) {
    PenPoint& point = path.points[i];
    const double t = static_cast<double>(i) / static_cast<double>(path.size);
    double x = (point.x + hand.tremor * wobble_x.At(t)) / 100;
    double y = (point.y + hand.tremor * wobble_y.At(t)) / 100;
    x += bend_x * x * (1 - x);
    y += bend_y * y * (1 - y);
    x = (x - 0.5 + bow * y * (1 - y)) * (1 + narrowing * (y - 0.5)) * width;
    y -= 0.5;
    x -= slant * y;
    point.x = cosine * x - sine * y;
    point.y = sine * x + cosine * y;
  }
}

// The line's width and darkness along the path.
void Press(const Hand& hand, RandomStream& random, Path& path) {
  const double base = hand.radius * FixedExp(kRadiusJitter * hand.carelessness * random.Normal());
  const double ink = std::clamp(1.08 + 0.08 * random.Normal(), 0.8, 1.2);
  const Wobble pressure(random);
  size_t first = 0, last = 0;  // of the stroke that point i belongs to
  for (size_t i = 0; i < path.size; ++i) {
    PenPoint& point = path.points[i];
    if (i == first) {
      for (last = i; !path.points[last].up;) ++last;
    }
    // 0 at the ends of a stroke, 1 from its third on.
    const double from_end = static_cast<double>(std::min(i - first, last - i)) /
                            static_cast<double>(std::max<size_t>(last - first, 1));
    const double fade = 1 - hand.taper * std::max(0.0, 1 - 3 * from_end);
    const double press =
        1 + hand.pressure * pressure.At(static_cast<double>(i) / static_cast<double>(path.size));
    point.radius = base * fade * std::clamp(press, 0.55, 1.5);
    point.darkness = std::clamp(ink * (0.75 + 0.25 * press), 0.5, 1.0);
    if (point.up) first = i + 1;
  }
}

// Lays the path on the paper as MNIST's digits were: the box first, then the centre of mass.
void Place(const Hand& hand, RandomStream& random, Path& path) {
  double left = 1e9, right = -1e9, top = 1e9, bottom = -1e9, reach = 0;
  for (const PenPoint& point : path.span()) {
    left = std::min(left, point.x);
    right = std::max(right, point.x);
    top = std::min(top, point.y);
    bottom = std::max(bottom, point.y);
    reach = std::max(reach, point.radius);
  }
  const double size =
      kBox *
      std::clamp(1 + kSizeJitter * hand.carelessness * random.Normal() - kSizeJitter, 0.85, 1.05);
  const double scale = (size - 2 * reach) / std::max({right - left, bottom - top, 0.1});
  double mass = 1e-9, moment_x = 0, moment_y = 0;
  for (size_t i = 0; i < path.size; ++i) {
    PenPoint& point = path.points[i];
    point.x *= scale;
    point.y *= scale;
    if (i == 0 || path.points[i - 1].up) continue;
    const PenPoint& before = path.points[i - 1];
    const double dx = point.x - before.x;
    const double dy = point.y - before.y;
    const double weight = std::sqrt(dx * dx + dy * dy) * point.radius;
    mass += weight;
    moment_x += weight * (point.x + before.x) / 2;
    moment_y += weight * (point.y + before.y) / 2;
  }
  const double shift = kShiftJitter * hand.carelessness;
  const double move_x = kCentre - moment_x / mass + shift * random.Normal();
  const double move_y = kCentre - moment_y / mass + shift * random.Normal();
  for (PenPoint& point : path.span()) {
    point.x += move_x;
    point.y += move_y;
  }
}

RandomStream ImageStream(const Hand& hand, uint32_t index) {
  return RandomStream(hand.seed, uint64_t{1} + index);
}

void Draw(const Hand& hand, int digit, RandomStream& random, uint8_t* out) {
  const auto ways = GlyphsOf(digit);
  size_t way = hand.habit[digit];
  if (random.UniformDouble() < kOtherGlyph * hand.carelessness) {
    way = static_cast<size_t>(ChooseGlyph(digit, random));
  }
  Path path;
  Trace(ways[way], hand, digit, random, path);
  Shape(hand, digit, random, path);
  Press(hand, random, path);
  Place(hand, random, path);
  DrawPath(path.span(), hand.softness, out);
}

int32_t DrawIndex(const Hand& hand, uint32_t index, uint8_t* out) {
  RandomStream random = ImageStream(hand, index);
  const auto digit = static_cast<int32_t>(random.Below(kDigits));
  Draw(hand, digit, random, out);
  return digit;
}

}  // namespace

int32_t DrawStroke(uint64_t seed, uint32_t writer, uint32_t index, uint8_t* out) {
  return DrawIndex(MakeHand(seed, writer), index, out);
}

void DrawDigit(uint64_t seed, uint32_t writer, uint32_t index, int digit, uint8_t* out) {
  const Hand hand = MakeHand(seed, writer);
  RandomStream random = ImageStream(hand, index);
  random.Below(kDigits);
  Draw(hand, digit, random, out);
}

Dataset MakeStrokes(const StrokesOptions& options) {
  LINNET_CHECK(options.last_writer >= options.first_writer);
  const size_t writers = size_t{options.last_writer} - options.first_writer + 1;
  const size_t rows = writers * options.per_writer;
  Dataset data;
  data.shape = {kImageSide, kImageSide, 1};
  data.classes = kDigits;
  data.u8.resize(rows * kPixels);
  data.labels.resize(rows);
  data.source = StrCat("strokes (writers ", options.first_writer, "-", options.last_writer, ", ",
                       options.per_writer, " each, seed ", options.seed, ")");
  size_t row = 0;
  for (size_t w = 0; w < writers; ++w) {
    const Hand hand = MakeHand(options.seed, static_cast<uint32_t>(options.first_writer + w));
    for (uint32_t i = 0; i < options.per_writer; ++i, ++row) {
      data.labels[row] = DrawIndex(hand, options.first_index + i, data.u8.data() + row * kPixels);
    }
  }
  SetScaling(data, Scaling::kUnit);
  return data;
}

}  // namespace linnet
