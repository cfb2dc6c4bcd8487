#include "codec/codec.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codec/vectors.h"
#include "gtest/gtest.h"

namespace linnet {
namespace {

constexpr CodecSpec kAll[] = {
    {CodecKind::kF32, 32}, {CodecKind::kBf16, 16}, {CodecKind::kInt8, 8}, {CodecKind::kEden, 1},
    {CodecKind::kEden, 2}, {CodecKind::kEden, 3},  {CodecKind::kEden, 4},
};
const CodecSeed kSeed = MakeCodecSeed(SeedFromInt(9), AsBytes("participant"));
constexpr size_t kMlp2nn = 199210;

Bytes MustEncode(const CodecSpec& spec, std::span<const float> x,
                 const Kernels& kernels = BestKernels()) {
  Bytes bytes;
  const Status status = Encode(spec, kSeed, x, kernels, bytes);
  EXPECT_TRUE(status) << (status ? "" : status.error().message);
  return bytes;
}
std::vector<float> MustDecode(const CodecSpec& spec, ByteSpan bytes, size_t n, size_t window,
                              const Kernels& kernels = BestKernels()) {
  std::vector<float> out(n);
  for (size_t first = 0; first < n; first += window) {
    const Status status =
        DecodeWindow(spec, kSeed, bytes, n, first,
                     std::span(out).subspan(first, std::min(window, n - first)), kernels);
    EXPECT_TRUE(status) << (status ? "" : status.error().message);
  }
  return out;
}

TEST(CodecTest, UnknownNamesAndBitsAreRefusedWithWhatIsKnown) {
  const struct {
    const char* name;
    int bits;
    const char* wanted;
  } rows[] = {
      {"edne", 1, "did you mean \"eden\""},     {"", 1, "Known: f32"},
      {"eden", 0, "has 0 bits, wanted 1 to 4"}, {"eden", 5, "has 5 bits, wanted 1 to 4"},
      {"int8", 4, "has 4 bits, wanted 8"},      {"f32", 16, "has 16 bits, wanted 32"},
  };
  for (const auto& row : rows) {
    const auto spec = ParseCodec(row.name, row.bits);
    ASSERT_FALSE(spec) << row.name;
    EXPECT_EQ(spec.error().code, Code::kInvalid);
    EXPECT_TRUE(spec.error().message.contains(row.wanted)) << spec.error().message;
  }
}

TEST(CodecTest, NamesAreReadBack) {
  EXPECT_EQ(*ParseCodec("eden", 1), (CodecSpec{CodecKind::kEden, 1}));
  EXPECT_EQ(*ParseCodec("bf16", 16), (CodecSpec{CodecKind::kBf16, 16}));
  EXPECT_EQ(CodecName({CodecKind::kEden, 1}), "eden/1");
  EXPECT_EQ(CodecName({CodecKind::kF32, 32}), "f32");
}

TEST(CodecTest, SizesAreThoseOfTheFormat) {
  EXPECT_EQ(EncodedBytes({CodecKind::kEden, 1}, kMlp2nn), 49u * (8 + 512));  // 25,480: 31x less
  EXPECT_GE(4.0 * kMlp2nn / static_cast<double>(EncodedBytes({CodecKind::kEden, 1}, kMlp2nn)), 30);
  EXPECT_EQ(EncodedBytes({CodecKind::kEden, 4}, 4096), 8u + 2048);
  EXPECT_EQ(EncodedBytes({CodecKind::kEden, 3}, 1), 8u + 24);
  EXPECT_EQ(EncodedBytes({CodecKind::kEden, 1}, 4096 + 65), 8u + 512 + 8 + 16);
  EXPECT_EQ(EncodedBytes({CodecKind::kInt8, 8}, 5000), 2u * 4 + 5000);
  EXPECT_EQ(EncodedBytes({CodecKind::kBf16, 16}, 5000), 10000u);
  EXPECT_EQ(EncodedBytes({CodecKind::kF32, 32}, 5000), 20000u);
}

TEST(CodecTest, AnotherSizeThanTheDeclaredOneIsRefused) {
  for (const CodecSpec& spec : kAll) {
    const size_t n = 5000, size = EncodedBytes(spec, n);
    for (const size_t found : {size_t{0}, size_t{1}, size - 1, size + 1, 2 * size}) {
      std::vector<float> out(4096);
      const Status status = DecodeWindow(spec, kSeed, Bytes(found), n, 0, out, BestKernels());
      ASSERT_FALSE(status) << CodecName(spec);
      EXPECT_EQ(status.error().code, Code::kData);
      EXPECT_TRUE(status.error().message.contains(StrCat("wanted ", size)))
          << status.error().message;
    }
  }
}

TEST(CodecTest, ValuesThatAreNotFiniteAreRefusedAtTheSender) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const CodecSpec& spec : kAll) {
    for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
      std::vector<float> x = NormalVector(1, 5000);
      x[4321] = bad;
      Bytes bytes;
      const Status status = Encode(spec, kSeed, x, BestKernels(), bytes);
      ASSERT_FALSE(status) << CodecName(spec);
      EXPECT_EQ(status.error().code, Code::kData);
      EXPECT_TRUE(status.error().message.contains("element 4321")) << status.error().message;
    }
  }
}

TEST(CodecTest, ABadScaleOfInt8IsRefusedAtTheReceiver) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(), -1.0f}) {
    Bytes bytes = MustEncode({CodecKind::kInt8, 8}, NormalVector(1, 5000));
    StoreLE(bytes.data() + 4 + 4096, bad);
    std::vector<float> out(904);
    const Status status =
        DecodeWindow({CodecKind::kInt8, 8}, kSeed, bytes, 5000, 4096, out, BestKernels());
    ASSERT_FALSE(status);
    EXPECT_TRUE(status.error().message.contains("block 1")) << status.error().message;
  }
}

TEST(CodecTest, Bf16RefusesWhatWouldRoundToInfinity) {
  Bytes bytes;
  EXPECT_FALSE(
      Encode({CodecKind::kBf16, 16}, kSeed, std::vector<float>{3.4e38f}, BestKernels(), bytes));
  EXPECT_TRUE(
      Encode({CodecKind::kBf16, 16}, kSeed, std::vector<float>{3.38e38f}, BestKernels(), bytes));
}

TEST(CodecTest, WindowsOfAnySizeGiveTheSameBits) {
  for (const CodecSpec& spec : kAll) {
    for (const size_t n : {size_t{1}, size_t{4096}, size_t{4097}, size_t{3 * 4096 + 100}}) {
      const Bytes bytes = MustEncode(spec, NormalVector(n, n, 0.01));
      EXPECT_EQ(bytes.size(), EncodedBytes(spec, n));
      const std::vector<float> whole = MustDecode(spec, bytes, n, 4 * 4096);
      EXPECT_TRUE(SameBits(whole, MustDecode(spec, bytes, n, 4096))) << CodecName(spec);
      EXPECT_TRUE(SameBits(whole, MustDecode(spec, bytes, n, 2 * 4096))) << CodecName(spec);
    }
  }
}

TEST(CodecTest, BytesAndValuesAreTheSameOnEveryTarget) {
  for (const CodecSpec& spec : kAll) {
    const std::vector<float> x = NormalVector(4, 9000, 0.01);
    const Bytes bytes = MustEncode(spec, x);
    const std::vector<float> values = MustDecode(spec, bytes, x.size(), 4096);
    for (const Kernels* kernels : AllKernels()) {
      EXPECT_EQ(bytes, MustEncode(spec, x, *kernels)) << CodecName(spec) << " " << kernels->target;
      EXPECT_TRUE(SameBits(values, MustDecode(spec, bytes, x.size(), 4096, *kernels)))
          << CodecName(spec) << " " << kernels->target;
    }
  }
}

// The format is a contract: bytes and decoded values are the same natively and in WASM, today and
// later.
TEST(CodecTest, BytesAndValuesAreTheGoldenOnes) {
  const struct {
    const char* bytes;
    const char* values;
  } golden[] = {
      {"6c50264a5dceb634ddb5615a69662e05046161d97b9e8d78a8521431d3d453e9",
       "6c50264a5dceb634ddb5615a69662e05046161d97b9e8d78a8521431d3d453e9"},
      {"80dbb851ace296187d5c66ca38483d72ea954ace855f783fc3b4b214c80a2a3c",
       "859cd450f7eaec3dde4f60633ffdf468d787670e3b7d95d4ff007994e91eeb68"},
      {"2cc5b8a88f275e40ccc6c31fb38cd0d24aaba18fe36531bf820f45f94ea750ca",
       "bd4ad7fd404cbf3428f126b944b377c32574798d504032abc871d89806be5a48"},
      {"0f521c1607be58c7f2557501ee29c61bcd334c693fdc712a2010a24d30c3f8c8",
       "6f81c0cbd71b98fe563799a12420a6d1422369f3c22859acf573f2bd3f506c75"},
      {"9d4c00536d98c7816e178df0388aeb1503a812b2f4cd6657e1decd0d091f32df",
       "e189e6222149a9ce3b6480b188da5af77aa6290b6befcd8d4fe6f0fe90f5b486"},
      {"7102b0b24a10fbdb53e0a1fba4746a34c3436a028c466d71a1c1a4a72c3e00dc",
       "8c078d4298780b8c398ae20f09df51bf2cc220cd83eb79fa1c8a9fa563b3f849"},
      {"f77a2c9d4e31c8d03aebce9e4a1c8c482eca5f3b2b41c56a9a2f9079906dedc3",
       "1e23b8625c8aef12281c1b49f1f1b168848d4d8436639263e917a2fe30d90329"},
  };
  std::vector<float> x = NormalVector(42, 10000, 0.01);
  std::fill(x.begin() + 4096, x.begin() + 8192, 0.0f);
  x[5000] = 1;  // a spike: two rotations
  for (size_t i = 0; i < std::size(kAll); ++i) {
    const Bytes bytes = MustEncode(kAll[i], x);
    const std::vector<float> values = MustDecode(kAll[i], bytes, x.size(), 4096);
    EXPECT_EQ(Hex(Blake2b(bytes)), golden[i].bytes) << CodecName(kAll[i]);
    EXPECT_EQ(Hex(Blake2b({reinterpret_cast<const uint8_t*>(values.data()), 4 * values.size()})),
              golden[i].values)
        << CodecName(kAll[i]);
  }
}

TEST(CodecTest, F32IsTheInput) {
  const std::vector<float> x = NormalVector(2, 5000);
  EXPECT_EQ(MustDecode(kAll[0], MustEncode(kAll[0], x), x.size(), 4096), x);
}

TEST(CodecTest, Bf16IsWithinHalfAStepOfEightBits) {
  const std::vector<float> x = NormalVector(2, 5000);
  const std::vector<float> decoded = MustDecode(kAll[1], MustEncode(kAll[1], x), x.size(), 4096);
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_LE(std::fabs(decoded[i] - x[i]), std::fabs(x[i]) * 0x1p-8f);
}

TEST(CodecTest, Int8IsWithinOneStepAndUnbiased) {
  const std::vector<float> x = NormalVector(2, 4096);
  float largest = 0;
  for (const float v : x) largest = std::max(largest, std::fabs(v));
  const double step = largest / 127;
  constexpr uint64_t kDraws = 300;
  std::vector<double> mean(x.size());
  for (uint64_t draw = 0; draw < kDraws; ++draw) {
    const CodecSeed seed{SeedFromInt(draw)};
    Bytes bytes;
    ASSERT_TRUE(Encode(kAll[2], seed, x, BestKernels(), bytes));
    std::vector<float> out(x.size());
    ASSERT_TRUE(DecodeWindow(kAll[2], seed, bytes, x.size(), 0, out, BestKernels()));
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_LE(std::fabs(out[i] - x[i]), step * 1.001);
      mean[i] += out[i] / double{kDraws};
    }
  }
  // The error of one draw has at most a deviation of step / 2; over all elements the mean of the
  // errors has that divided by sqrt(draws * n).
  double bias = 0;
  for (size_t i = 0; i < x.size(); ++i) bias += (mean[i] - x[i]) / 4096;
  EXPECT_LE(std::fabs(bias), 5 * step / 2 / std::sqrt(kDraws * 4096.0));
  // And element by element.
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_LE(std::fabs(mean[i] - x[i]), 6 * step / 2 / std::sqrt(double{kDraws}));
  }
}

TEST(CodecTest, Int8OfZerosIsZeros) {
  const std::vector<float> x(100, -0.0f);
  EXPECT_EQ(MustDecode(kAll[2], MustEncode(kAll[2], x), 100, 4096), x);
}

TEST(CodecTest, SeedsDependOnRoundAndParticipant) {
  const Seed a = MakeCodecSeed(SeedFromInt(1), AsBytes("a")).seed;
  EXPECT_NE(a, MakeCodecSeed(SeedFromInt(2), AsBytes("a")).seed);
  EXPECT_NE(a, MakeCodecSeed(SeedFromInt(1), AsBytes("b")).seed);
}

}  // namespace
}  // namespace linnet
