#include "base/crypto.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace linnet {
namespace {

Seed CountingSeed() {
  Seed seed;
  for (size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<uint8_t>(i);
  return seed;
}

TEST(CryptoTest, DigestsAreThosePublished) {
  // RFC 7693 (with a 32-byte digest) and FIPS 180-4.
  EXPECT_EQ(Hex(Blake2b({})), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  EXPECT_EQ(Hex(Blake2b(AsBytes("abc"))),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_EQ(Hex(Sha256(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(CryptoTest, AHasherDoesNotCareHowTheBytesCame) {
  Bytes data(1000);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * 7);
  for (const size_t piece : {1, 63, 64, 128, 129, 999}) {
    Blake2bHasher hasher;
    for (size_t at = 0; at < data.size(); at += piece) {
      hasher.Add(ByteSpan(data).subspan(at, std::min(piece, data.size() - at)));
    }
    EXPECT_EQ(hasher.Finish(), Blake2b(data)) << piece;
  }
}

TEST(CryptoTest, ACopiedHasherGoesItsOwnWay) {
  Blake2bHasher one;
  one.Add(AsBytes("ab"));
  Blake2bHasher other = one;
  other.Add(AsBytes("x"));
  one.Add(AsBytes("c"));
  EXPECT_EQ(one.Finish(), Blake2b(AsBytes("abc")));
  EXPECT_EQ(other.Finish(), Blake2b(AsBytes("abx")));
}

TEST(CryptoTest, TheKeystreamIsThatOfRfc8439) {
  // Section 2.3.2: nonce 00000009 0000004a 00000000, block 1.
  uint8_t block[64];
  ChaCha20Stream(CountingSeed(), 0x4a00000009000000u, 64, block);
  EXPECT_EQ(Hex(block),
            "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
            "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e");
}

TEST(CryptoTest, TheKeystreamIsTheSameFromAnyOffset) {
  Bytes whole(512);
  ChaCha20Stream(CountingSeed(), 5, 0, whole);
  for (size_t offset = 0; offset < 200; ++offset) {
    for (const size_t size : {0, 1, 63, 64, 65, 200}) {
      Bytes part(size);
      ChaCha20Stream(CountingSeed(), 5, offset, part);
      ASSERT_EQ(part, Bytes(whole.begin() + static_cast<ptrdiff_t>(offset),
                            whole.begin() + static_cast<ptrdiff_t>(offset + size)))
          << offset << " " << size;
    }
  }
  Bytes end(10);
  ChaCha20Stream(CountingSeed(), 5, (uint64_t{1} << 38) - 10, end);
  EXPECT_NE(Hex(end), Hex(Bytes(10)));
}

TEST(CryptoTest, SignaturesAreThoseOfRfc8032AndGuardEveryBit) {
  Seed seed;
  const Bytes bytes =
      FromHex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").value();
  std::copy(bytes.begin(), bytes.end(), seed.begin());
  const SigningKey key = SigningKey::FromSeed(seed);
  EXPECT_EQ(Hex(key.public_key),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  Signature signature = key.Sign({});
  EXPECT_EQ(
      Hex(signature),
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
      "cf9b46bd25bf5f0595bbe24655141438e7a100b");
  EXPECT_TRUE(VerifySignature(key.public_key, {}, signature));
  EXPECT_FALSE(VerifySignature(key.public_key, AsBytes("x"), signature));
  EXPECT_FALSE(VerifySignature(SigningKey::Generate().public_key, {}, signature));
  for (uint8_t& byte : signature) {
    byte ^= 4;
    EXPECT_FALSE(VerifySignature(key.public_key, {}, signature));
    byte ^= 4;
  }
}

TEST(CryptoTest, DerivedSeedsDifferInEveryPart) {
  const Seed seed = SeedFromInt(1);
  const Seed seeds[] = {seed,
                        SeedFromInt(2),
                        DeriveSeed(seed, "a"),
                        DeriveSeed(seed, "a", 1),
                        DeriveSeed(seed, "b"),
                        DeriveSeed(SeedFromInt(2), "a"),
                        DeriveSeed(seed, AsBytes("a"))};
  for (size_t i = 0; i < std::size(seeds); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(seeds[i], seeds[j]) << i << " " << j;
  }
  EXPECT_EQ(DeriveSeed(seed, "a", 1), DeriveSeed(SeedFromInt(1), "a", 1));
}

TEST(CryptoTest, ByteStringsAreEqualOnlyInLengthAndContents) {
  EXPECT_TRUE(ConstantTimeEqual({}, {}));
  EXPECT_TRUE(ConstantTimeEqual(AsBytes("ab"), AsBytes("ab")));
  EXPECT_FALSE(ConstantTimeEqual(AsBytes("ab"), AsBytes("ac")));
  EXPECT_FALSE(ConstantTimeEqual(AsBytes("ab"), AsBytes("a")));
}

TEST(CryptoTest, SystemRandomnessDoesNotRepeat) {
  Seed a{}, b{};
  SystemRandom(a);
  SystemRandom(b);
  EXPECT_NE(a, b);
}

TEST(RandomTest, NumbersAreConsecutiveBytesOfTheKeystream) {
  Bytes keystream(4096);
  ChaCha20Stream(CountingSeed(), 9, 0, keystream);
  RandomStream random(CountingSeed(), 9);
  // 12 bytes at a time, so that numbers lie across the ends of blocks.
  for (size_t at = 0; at + 12 <= keystream.size(); at += 12) {
    ASSERT_EQ(random.NextU32(), LoadLE<uint32_t>(keystream.data() + at));
    ASSERT_EQ(random.NextU64(), LoadLE<uint64_t>(keystream.data() + at + 4));
  }
}

TEST(RandomTest, StreamsOfOneSeedDiffer) {
  EXPECT_NE(RandomStream(CountingSeed(), 0).NextU64(), RandomStream(CountingSeed(), 1).NextU64());
}

TEST(RandomTest, BelowIsUniformAndBelow) {
  RandomStream random(SeedFromInt(3), 0);
  int counts[7] = {};
  for (int i = 0; i < 7000; ++i) ++counts[random.Below(7)];
  // 1000 expected, deviation 29.
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
  EXPECT_EQ(random.Below(1), 0u);
  const uint64_t large = (uint64_t{1} << 63) + 1;
  for (int i = 0; i < 100; ++i) EXPECT_LT(random.Below(large), large);
}

TEST(RandomTest, UniformAndNormalDrawsHaveTheirMoments) {
  RandomStream random(SeedFromInt(4), 0);
  double uniform = 0, fine = 0, normal = 0, square = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const float u = random.Uniform();
    const double d = random.UniformDouble();
    const double n = random.Normal();
    ASSERT_TRUE(u >= 0 && u < 1 && d >= 0 && d < 1 && n > -6 && n < 6);
    uniform += u;
    fine += d;
    normal += n;
    square += n * n;
  }
  // Five deviations of the means.
  EXPECT_NEAR(uniform / kDraws, 0.5, 0.011);
  EXPECT_NEAR(fine / kDraws, 0.5, 0.011);
  EXPECT_NEAR(normal / kDraws, 0, 0.036);
  EXPECT_NEAR(square / kDraws, 1, 0.05);
}

TEST(RandomTest, AShuffleKeepsEveryValueAndFollowsTheSeed) {
  std::vector<int> values(100);
  for (int i = 0; i < 100; ++i) values[i] = i;
  std::vector<int> one = values, two = values, other = values;
  RandomStream(SeedFromInt(1), 0).Shuffle(std::span<int>(one));
  RandomStream(SeedFromInt(1), 0).Shuffle(std::span<int>(two));
  RandomStream(SeedFromInt(1), 1).Shuffle(std::span<int>(other));
  EXPECT_EQ(one, two);
  EXPECT_NE(one, other);
  EXPECT_NE(one, values);
  std::sort(one.begin(), one.end());
  EXPECT_EQ(one, values);
}

}  // namespace
}  // namespace linnet
