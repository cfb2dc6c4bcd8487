#include "data/glyphs.h"

#include "base/result.h"

namespace linnet {
namespace {

constexpr Pen kCorner = Pen::kCorner;
constexpr Pen kUp = Pen::kUp;

// 0: an oval that closes with a small overlap; one that starts with a hook; slashed.
constexpr GlyphPoint kZeroOval[] = {{60, 5},  {38, 5},  {20, 30}, {18, 66}, {36, 95},
                                    {62, 95}, {80, 68}, {80, 30}, {64, 6},  {46, 5, kUp}};
constexpr GlyphPoint kZeroHook[] = {{70, 16}, {48, 3},  {24, 22}, {15, 58}, {30, 92},     {56, 97},
                                    {78, 76}, {84, 42}, {74, 14}, {58, 8},  {44, 16, kUp}};
constexpr GlyphPoint kZeroSlashed[] = {{60, 5},  {38, 5},      {20, 30}, {18, 66},
                                       {36, 95}, {62, 95},     {80, 68}, {80, 30},
                                       {64, 6},  {46, 5, kUp}, {84, 8},  {16, 94, kUp}};

// 1: a bar; slightly bent; with a flag; with flag and foot.
constexpr GlyphPoint kOneBar[] = {{51, 2}, {50, 34}, {50, 66}, {49, 98, kUp}};
constexpr GlyphPoint kOneBent[] = {{46, 2}, {52, 30}, {53, 66}, {49, 98, kUp}};
constexpr GlyphPoint kOneFlag[] = {{32, 24}, {44, 14}, {54, 2, kCorner},
                                   {53, 36}, {52, 68}, {51, 98, kUp}};
constexpr GlyphPoint kOneFoot[] = {{30, 22}, {42, 14}, {53, 2, kCorner},
                                   {52, 36}, {51, 68}, {51, 97, kUp},
                                   {24, 98}, {50, 97}, {78, 96, kUp}};

// 2: pointed, looped, with a wavy base, and with a tight head.
constexpr GlyphPoint kTwoPointed[] = {{20, 26}, {34, 7},           {58, 3},  {76, 22},     {68, 48},
                                      {44, 72}, {17, 95, kCorner}, {50, 95}, {85, 94, kUp}};
constexpr GlyphPoint kTwoLoop[] = {{18, 24}, {36, 6},  {62, 5},  {74, 26}, {62, 56}, {36, 86},
                                   {18, 92}, {15, 80}, {30, 74}, {48, 86}, {66, 96}, {87, 90, kUp}};
constexpr GlyphPoint kTwoWavy[] = {{16, 20},          {36, 4},  {64, 7},  {74, 30}, {56, 60},
                                   {16, 96, kCorner}, {34, 87}, {56, 94}, {74, 98}, {90, 90, kUp}};
constexpr GlyphPoint kTwoTight[] = {{28, 34}, {24, 16},          {42, 3},  {66, 8},      {72, 28},
                                    {56, 58}, {22, 94, kCorner}, {48, 96}, {80, 97, kUp}};

// 3: round, with a flat head, with a small knot in the middle.
constexpr GlyphPoint kThreeRound[] = {{22, 16}, {42, 3},  {68, 12}, {66, 34}, {40, 47, kCorner},
                                      {68, 54}, {79, 74}, {60, 95}, {34, 97}, {16, 84, kUp}};
constexpr GlyphPoint kThreeFlat[] = {{22, 5},           {48, 5},      {74, 4, kCorner}, {58, 24},
                                     {42, 41, kCorner}, {68, 48},     {80, 70},         {62, 95},
                                     {36, 98},          {18, 86, kUp}};
constexpr GlyphPoint kThreeKnot[] = {{20, 12}, {46, 2},  {68, 16}, {60, 38},
                                     {40, 48}, {36, 43}, {46, 43}, {68, 56},
                                     {76, 78}, {54, 97}, {28, 95}, {14, 82, kUp}};

// 4: open with corners, closed, open and round, one-stroke closed.
constexpr GlyphPoint kFourOpen[] = {{28, 5},       {24, 30}, {19, 54, kCorner}, {50, 55},
                                    {84, 51, kUp}, {70, 8},  {67, 52},          {63, 98, kUp}};
constexpr GlyphPoint kFourClosed[] = {{62, 3},       {40, 34}, {14, 65, kCorner}, {50, 66},
                                      {88, 64, kUp}, {64, 2},  {63, 50},          {61, 98, kUp}};
constexpr GlyphPoint kFourRound[] = {{24, 8},       {20, 36}, {34, 53}, {56, 48},
                                     {72, 32, kUp}, {75, 4},  {71, 50}, {66, 98, kUp}};
constexpr GlyphPoint kFourOneStroke[] = {{20, 50},      {52, 50}, {86, 46, kUp}, {30, 6},
                                         {20, 48, kUp}, {74, 4},  {68, 40},      {58, 98, kUp}};

// 5: with a hat drawn last, in one stroke, round like an S, with a flat belly.
constexpr GlyphPoint kFiveHat[] = {{34, 7},       {30, 26}, {27, 45, kCorner}, {50, 38},
                                   {76, 52},      {78, 76}, {56, 96},          {30, 95},
                                   {15, 84, kUp}, {34, 7},  {58, 6},           {82, 3, kUp}};
constexpr GlyphPoint kFiveOne[] = {{82, 5},           {58, 6},  {34, 8, kCorner}, {31, 26},
                                   {27, 46, kCorner}, {52, 39}, {77, 54},         {76, 80},
                                   {52, 97},          {26, 94}, {14, 84, kUp}};
constexpr GlyphPoint kFiveRound[] = {{84, 6},  {56, 5},  {36, 14}, {32, 34},     {50, 46},
                                     {70, 60}, {68, 84}, {44, 97}, {16, 90, kUp}};
constexpr GlyphPoint kFiveLow[] = {{36, 6},  {31, 30}, {26, 55, kCorner}, {50, 48},
                                   {72, 58}, {70, 82}, {48, 97},          {18, 95, kUp},
                                   {36, 6},  {60, 7},  {86, 8, kUp}};

// 6: a curved stem, a straight one, one with a hook on top.
constexpr GlyphPoint kSixCurved[] = {{64, 4},  {42, 20}, {24, 50}, {22, 80}, {42, 97},
                                     {68, 90}, {75, 70}, {58, 56}, {36, 63}, {25, 80, kUp}};
constexpr GlyphPoint kSixStraight[] = {{58, 2},  {40, 30}, {26, 62}, {28, 88}, {48, 98},
                                       {68, 86}, {68, 66}, {50, 58}, {32, 70}, {28, 84, kUp}};
constexpr GlyphPoint kSixHook[] = {{76, 14}, {58, 4},  {36, 16}, {20, 46}, {20, 78},     {40, 97},
                                   {68, 92}, {80, 70}, {62, 50}, {38, 56}, {22, 74, kUp}};

// 7: plain, with a bar, with a serif, with a wavy roof.
constexpr GlyphPoint kSevenPlain[] = {{17, 9},  {48, 7},  {80, 6, kCorner},
                                      {64, 36}, {52, 66}, {44, 98, kUp}};
constexpr GlyphPoint kSevenBar[] = {{17, 9},  {48, 7},  {80, 6, kCorner},
                                    {64, 36}, {52, 66}, {44, 98, kUp},
                                    {32, 54}, {54, 51}, {76, 47, kUp}};
constexpr GlyphPoint kSevenSerif[] = {{16, 26}, {18, 7, kCorner}, {48, 7},      {80, 5, kCorner},
                                      {66, 34}, {56, 64},         {50, 98, kUp}};
constexpr GlyphPoint kSevenWavy[] = {{14, 18}, {30, 8},  {54, 12},     {82, 6, kCorner},
                                     {62, 34}, {46, 66}, {36, 98, kUp}};

// 8: drawn as an S that returns, as two rings, from the middle.
constexpr GlyphPoint kEightS[] = {{72, 16}, {50, 3},  {28, 14}, {34, 36}, {62, 54}, {76, 78},
                                  {54, 98}, {26, 86}, {32, 64}, {58, 44}, {74, 26}, {68, 10, kUp}};
constexpr GlyphPoint kEightRings[] = {{50, 47}, {28, 32},      {34, 8},  {58, 4},
                                      {72, 24}, {50, 47, kUp}, {50, 47}, {24, 64},
                                      {28, 92}, {56, 99},      {77, 78}, {50, 47, kUp}};
constexpr GlyphPoint kEightMiddle[] = {{54, 48}, {34, 36}, {30, 14}, {52, 2},
                                       {70, 18}, {58, 42}, {34, 62}, {26, 86},
                                       {48, 99}, {72, 86}, {68, 62}, {46, 44, kUp}};

// 9: a straight stem, a curved tail, a slanted tail in one go.
constexpr GlyphPoint kNineStraight[] = {{72, 18},          {54, 4},  {30, 14},
                                        {24, 36},          {42, 50}, {64, 40},
                                        {74, 12, kCorner}, {72, 50}, {68, 98, kUp}};
constexpr GlyphPoint kNineCurved[] = {{74, 22}, {58, 4},  {32, 10},          {24, 34},
                                      {42, 51}, {66, 40}, {75, 14, kCorner}, {76, 48},
                                      {66, 84}, {42, 98}, {22, 88, kUp}};
constexpr GlyphPoint kNineSlanted[] = {{70, 12}, {48, 4},  {26, 20}, {30, 44}, {54, 44},
                                       {72, 22}, {72, 14}, {66, 48}, {54, 72}, {42, 98, kUp}};

constexpr Glyph kZero[] = {{kZeroOval, 62}, {kZeroHook, 35}, {kZeroSlashed, 3}};
constexpr Glyph kOne[] = {{kOneBar, 60}, {kOneBent, 16}, {kOneFlag, 16}, {kOneFoot, 8}};
constexpr Glyph kTwo[] = {{kTwoPointed, 32}, {kTwoLoop, 34}, {kTwoWavy, 18}, {kTwoTight, 16}};
constexpr Glyph kThree[] = {{kThreeRound, 52}, {kThreeFlat, 14}, {kThreeKnot, 34}};
constexpr Glyph kFour[] = {
    {kFourOpen, 38}, {kFourClosed, 16}, {kFourRound, 30}, {kFourOneStroke, 16}};
constexpr Glyph kFive[] = {{kFiveHat, 36}, {kFiveOne, 26}, {kFiveRound, 20}, {kFiveLow, 18}};
constexpr Glyph kSix[] = {{kSixCurved, 44}, {kSixStraight, 32}, {kSixHook, 24}};
constexpr Glyph kSeven[] = {
    {kSevenPlain, 46}, {kSevenBar, 22}, {kSevenSerif, 16}, {kSevenWavy, 16}};
constexpr Glyph kEight[] = {{kEightS, 50}, {kEightRings, 18}, {kEightMiddle, 32}};
constexpr Glyph kNine[] = {{kNineStraight, 42}, {kNineCurved, 24}, {kNineSlanted, 34}};

constexpr std::span<const Glyph> kGlyphs[kDigits] = {kZero, kOne, kTwo,   kThree, kFour,
                                                     kFive, kSix, kSeven, kEight, kNine};

// Every way fits the writers' tables and every habit has its share.
constexpr bool WellFormed() {
  for (const auto& ways : kGlyphs) {
    int weights = 0;
    for (const Glyph& glyph : ways) {
      weights += glyph.weight;
      if (glyph.points.size() < 2 || glyph.points.size() > kMaxGlyphPoints) return false;
      if (glyph.points.back().pen != kUp) return false;
    }
    if (weights != 100) return false;
  }
  return true;
}
static_assert(WellFormed());

}  // namespace

std::span<const Glyph> GlyphsOf(int digit) {
  LINNET_CHECK(digit >= 0 && digit < kDigits);
  return kGlyphs[digit];
}

}  // namespace linnet
