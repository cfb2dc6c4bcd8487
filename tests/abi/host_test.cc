// The aggregation host: decoding and folding, its gate, states and errors.
#include "abi/host.h"

#include <cmath>
#include <limits>

#include "kernels/kernels.h"

namespace linnet::testing {
namespace {

TEST(GridTest, ExponentsFollowFromTheCaps) {
  EXPECT_EQ(*GridExponent(1, 600, 10), -38);
  EXPECT_EQ(*GridExponent(64, 65536, 12), -25);
  EXPECT_EQ(*GridExponent(0.5, 1, 1), -51);
}

TEST(GridTest, CapsThatRuinTheGridAreRefused) {
  const struct {
    double max_abs;
    uint64_t max_weight, invited;
  } rows[] = {{1e3, 1u << 20, 1000},
              {1e6, (1u << 29) - 1, 1000},
              {0, 1, 1},
              {-1, 1, 1},
              {NAN, 1, 1},
              {HUGE_VAL, 1, 1},
              {1, 0, 1},
              {1, 1u << 29, 1},
              {1, 1, 0}};
  for (const auto& row : rows) {
    const auto grid = GridExponent(row.max_abs, row.max_weight, row.invited);
    ASSERT_FALSE(grid) << row.max_abs << " " << row.max_weight << " " << row.invited;
    EXPECT_EQ(grid.error().code, Code::kInvalid);
  }
  EXPECT_TRUE(GridExponent(1e3, 1u << 20, 1000)
                  .error()
                  .message.contains("needs a grid of 2^-11, wanted 2^-16"));
}

TEST(CheckUpdateTest, NamesTheFirstBadElement) {
  const struct {
    const char* name;
    float value;
    Code code;
    const char* message;
  } rows[] = {
      {"NaN", std::nanf(""), Code::kData, "element 9000 is "},
      {"infinity", HUGE_VALF, Code::kData, "element 9000 is "},
      {"above the cap", 1.5f, Code::kLimit,
       "element 9000 is 1.5, wanted at most 1 (limits.maxAbs)"},
      {"below the cap", -1.5f, Code::kLimit, "element 9000 is -1.5, wanted at most 1"},
  };
  for (const auto& row : rows) {
    std::vector<float> x(kCount, 0.25f);
    x[9000] = row.value;
    Bytes bytes(4 * kCount);
    std::memcpy(bytes.data(), x.data(), bytes.size());
    const auto stats = CheckUpdate(kF32, {}, bytes, kCount, 1, BestKernels());
    ASSERT_FALSE(stats) << row.name;
    EXPECT_EQ(stats.error().code, row.code) << row.name;
    EXPECT_TRUE(stats.error().message.contains(row.message)) << stats.error().message;
  }
  const auto stats = CheckUpdate(kF32, {}, Bytes(100), kCount, 1, BestKernels());
  EXPECT_EQ(stats.error().code, Code::kData);
  EXPECT_TRUE(stats.error().message.contains("found 100 bytes of f32, wanted 48020"))
      << stats.error().message;
}

TEST(CheckUpdateTest, NormAndLargestAreTheSameOnEveryTarget) {
  for (const CodecSpec& codec :
       {kF32, CodecSpec{CodecKind::kEden, 1}, CodecSpec{CodecKind::kInt8, 8}}) {
    const Uploads uploads = MakeUploads(codec, 1);
    const auto best =
        CheckUpdate(codec, {SeedFromInt(0)}, uploads.bytes[0], kCount, 1, BestKernels());
    ASSERT_TRUE(best);
    double squares = 0;
    float largest = 0;
    for (const float v : uploads.decoded[0]) {
      squares += double{v} * v;
      largest = std::max(largest, std::fabs(v));
    }
    EXPECT_NEAR(best->l2_norm, std::sqrt(squares), 1e-9 * best->l2_norm);
    EXPECT_EQ(best->max_abs, largest);
    for (const Kernels* kernels : AllKernels()) {
      const auto other =
          CheckUpdate(codec, {SeedFromInt(0)}, uploads.bytes[0], kCount, 1, *kernels);
      ASSERT_TRUE(other);
      EXPECT_EQ(best->l2_norm, other->l2_norm) << kernels->target;
      EXPECT_EQ(best->max_abs, other->max_abs) << kernels->target;
    }
  }
}

TEST(AggregationHostTest, TheMeanOfDecodedUpdatesIsAddedToTheBase) {
  for (const CodecSpec& codec :
       {kF32, CodecSpec{CodecKind::kBf16, 16}, CodecSpec{CodecKind::kInt8, 8},
        CodecSpec{CodecKind::kEden, 1}, CodecSpec{CodecKind::kEden, 3}}) {
    const Uploads uploads = MakeUploads(codec);
    const auto host = Make(Entry("fedavg"));
    ASSERT_TRUE(host->BeginRound(Round()));
    ASSERT_EQ(*host->Fold(uploads.updates), 10u);
    EXPECT_EQ(host->folded(), 10u);
    std::vector<float> base(kCount);
    for (size_t i = 0; i < kCount; ++i) base[i] = static_cast<float>(i % 7);
    const auto result = host->Finish(base);
    ASSERT_TRUE(result) << result.error().message;
    for (size_t i = 0; i < kCount; ++i) {
      double sum = 0, weight = 0;
      for (size_t k = 0; k < 10; ++k) {
        sum += double{uploads.decoded[k][i]} * (100 + 17 * static_cast<double>(k));
        weight += 100 + 17 * static_cast<double>(k);
      }
      ASSERT_NEAR((*result)[i], base[i] + sum / weight, 1e-6) << CodecName(codec) << " " << i;
    }
    EXPECT_EQ(host->metrics().Dump(), R"({"updates":10,"weight":1765})");
  }
}

TEST(AggregationHostTest, GroupsOrderAndTargetsGiveTheSameBits) {
  const CodecSpec codec = {CodecKind::kEden, 1};
  const Uploads uploads = MakeUploads(codec, 20);
  const std::vector<float> base(kCount, 0.5f);
  const auto whole = Make(Entry("fedavg"));
  ASSERT_TRUE(whole->BeginRound(Round(20)));
  ASSERT_TRUE(whole->Fold(uploads.updates));
  const Bytes partial = *whole->ReadPartial();
  const std::vector<float> result = *whole->Finish(base);
  for (const Kernels* kernels : AllKernels()) {
    const auto host = Make(Entry("fedavg"), "{}", *kernels);
    ASSERT_TRUE(host->BeginRound(Round(20)));
    std::vector<EncodedUpdate> reversed(uploads.updates.rbegin(), uploads.updates.rend());
    for (size_t at = 0; at < 20; at += 3) {
      ASSERT_TRUE(host->Fold(std::span(reversed).subspan(at, std::min<size_t>(3, 20 - at))));
    }
    EXPECT_EQ(*host->ReadPartial(), partial) << kernels->target;
    EXPECT_EQ(*host->Finish(base), result) << kernels->target;
  }
}

TEST(AggregationHostTest, RawFloatsGiveTheSameBitsWhereverTheyLie) {
  const Uploads uploads = MakeUploads(kF32);
  std::vector<Bytes> moved;
  std::vector<EncodedUpdate> unaligned = uploads.updates;
  for (size_t k = 0; k < unaligned.size(); ++k) {
    moved.emplace_back(1);
    moved.back().insert(moved.back().end(), uploads.bytes[k].begin(), uploads.bytes[k].end());
  }
  for (size_t k = 0; k < unaligned.size(); ++k)
    unaligned[k].encoded = ByteSpan(moved[k]).subspan(1);
  const auto aligned_host = Make(Entry("fedavg")), unaligned_host = Make(Entry("fedavg"));
  ASSERT_TRUE(aligned_host->BeginRound(Round()));
  ASSERT_TRUE(unaligned_host->BeginRound(Round()));
  ASSERT_EQ(*aligned_host->Fold(uploads.updates), 10u);
  ASSERT_EQ(*unaligned_host->Fold(unaligned), 10u);
  EXPECT_EQ(*aligned_host->ReadPartial(), *unaligned_host->ReadPartial());
}

TEST(AggregationHostTest, EdgesAndRootGiveTheBitsOfOneHost) {
  const Uploads uploads = MakeUploads({CodecKind::kEden, 2});
  const auto one = Make(Entry("fedavgm")), edge = Make(Entry("fedavgm")),
             root = Make(Entry("fedavgm"));
  for (const auto& host : {one.get(), edge.get(), root.get()})
    ASSERT_TRUE(host->BeginRound(Round()));
  ASSERT_TRUE(one->Fold(uploads.updates));
  ASSERT_TRUE(edge->Fold(std::span(uploads.updates).subspan(4)));
  ASSERT_TRUE(root->Fold(std::span(uploads.updates).first(4)));
  const Status merged = root->MergePartial(*edge->ReadPartial());
  ASSERT_TRUE(merged) << merged.error().message;
  EXPECT_EQ(*one->ReadPartial(), *root->ReadPartial());
  const std::vector<float> base(kCount, 1.0f);
  EXPECT_EQ(*one->Finish(base), *root->Finish(base));
}

TEST(AggregationHostTest, ARefusedPartialLeavesTheRoundAsItWas) {
  const Uploads uploads = MakeUploads(kF32);
  const auto host = Make(Entry("fedavg"));
  ASSERT_TRUE(host->BeginRound(Round()));
  ASSERT_TRUE(host->Fold(uploads.updates));
  const Bytes partial = *host->ReadPartial();
  EXPECT_EQ(host->MergePartial({}).error().code, Code::kData);
  EXPECT_EQ(host->MergePartial(ByteSpan(partial).first(50)).error().code, Code::kData);
  Bytes newer = partial;
  newer[4] = 9;
  EXPECT_EQ(host->MergePartial(newer).error().code, Code::kVersion);
  EXPECT_TRUE(
      host->MergePartial(newer).error().message.contains("found a partial of version 9, wanted 1"));
  EXPECT_EQ(*host->ReadPartial(), partial);
  EXPECT_TRUE(host->Finish(std::vector<float>(kCount)));
}

TEST(AggregationHostTest, CallsInTheWrongOrderAreRefused) {
  const auto host = Make(Entry("fedavg"));
  const Uploads uploads = MakeUploads(kF32, 1);
  EXPECT_EQ(host->Fold(uploads.updates).error().code, Code::kState);
  EXPECT_EQ(host->ReadPartial().error().code, Code::kState);
  EXPECT_EQ(host->Finish(std::vector<float>(kCount)).error().code, Code::kState);
  ASSERT_TRUE(host->BeginRound(Round()));
  const auto empty = host->Finish(std::vector<float>(kCount));
  EXPECT_EQ(empty.error().code, Code::kState);
  EXPECT_TRUE(empty.error().message.contains("found no update, wanted at least 1"))
      << empty.error().message;
  EXPECT_EQ(host->BeginRound(Round()).error().code, Code::kState) << "until its state is restored";
  ASSERT_TRUE(host->RestoreState({}));
  ASSERT_TRUE(host->BeginRound(Round()));
  ASSERT_TRUE(host->Fold(uploads.updates));
  EXPECT_TRUE(host->Finish(std::vector<float>(kCount)));
}

TEST(AggregationHostTest, UpdatesOutOfBoundsAreRefusedBeforeAnythingIsFolded) {
  const auto host = Make(Entry("fedavg"));
  Uploads uploads = MakeUploads(kF32, 2);
  ASSERT_TRUE(host->BeginRound(Round()));
  for (const uint32_t weight : {0u, 1u << 29, 0xffffffffu}) {
    uploads.updates[1].meta.weight = weight;
    const auto folded = host->Fold(uploads.updates);
    ASSERT_FALSE(folded);
    EXPECT_EQ(folded.error().code, Code::kLimit);
    EXPECT_TRUE(folded.error().message.contains(StrCat("update 1 has weight ", weight)))
        << folded.error().message;
  }
  uploads.updates[1].meta.weight = 1;
  uploads.updates[1].encoded = uploads.updates[1].encoded.first(100);
  EXPECT_EQ(host->Fold(uploads.updates).error().code, Code::kData);
  EXPECT_EQ(host->folded(), 0u);
  uploads.updates.pop_back();
  EXPECT_TRUE(host->Fold(uploads.updates)) << "the round goes on";
}

TEST(AggregationHostTest, ARoundThatIsGivenUpLeavesNoTrace) {
  const Uploads uploads = MakeUploads(kF32);
  const std::vector<float> base(kCount, 0.25f);
  for (const char* id : {"fedavg", "fedavgm", "fedadam"}) {
    const auto calm = Make(Entry(id)), interrupted = Make(Entry(id));
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(interrupted->BeginRound(Round()));
      ASSERT_TRUE(interrupted->Fold(std::span(uploads.updates).first(3)));
      for (const auto& host : {calm.get(), interrupted.get()}) {
        ASSERT_TRUE(host->BeginRound(Round()));
        ASSERT_TRUE(host->Fold(uploads.updates));
      }
      EXPECT_EQ(*calm->Finish(base), *interrupted->Finish(base)) << id;
      EXPECT_EQ(*calm->SaveState(), *interrupted->SaveState()) << id;
    }
  }
}

TEST(AggregationHostTest, AStateSavedAfterEachRoundContinuesWithTheSameBits) {
  const Uploads uploads = MakeUploads({CodecKind::kInt8, 8});
  for (const char* id : {"fedavg", "fedavgm", "fedadam"}) {
    const char* config = id == std::string_view("fedadam") ? R"({"biasCorrection":true})" : "{}";
    const auto calm = Make(Entry(id), config);
    std::vector<float> model(kCount), restarted(kCount);
    Bytes state;
    for (int round = 0; round < 4; ++round) {
      const auto again = Make(Entry(id), config);
      const Status restored = again->RestoreState(state);
      ASSERT_TRUE(restored) << restored.error().message;
      const auto part = std::span(uploads.updates).subspan(static_cast<size_t>(round), 4);
      for (AggregationHost* host : {calm.get(), again.get()}) {
        ASSERT_TRUE(host->BeginRound(Round()));
        ASSERT_TRUE(host->Fold(part));
      }
      model = *calm->Finish(model);
      restarted = *again->Finish(restarted);
      EXPECT_EQ(model, restarted) << id << " round " << round;
      state = *again->SaveState();
      EXPECT_EQ(*calm->SaveState(), state) << id;
      EXPECT_EQ(state.empty(), (calm->caps() & LNT_CAP_STATE) == 0) << id;
    }
  }
}

TEST(AggregationHostTest, StatesThatDoNotFitAreRefused) {
  const auto momentum = Make(Entry("fedavgm")), adam = Make(Entry("fedadam")),
             plain = Make(Entry("fedavg"));
  const Bytes good = *momentum->SaveState();
  Bytes newer = good, cut = good, nan = good;
  newer[4] = 7;
  cut.pop_back();
  StoreLE(nan.data() + nan.size() - 8, std::nan(""));
  EXPECT_EQ(momentum->RestoreState(newer).error().code, Code::kVersion);
  EXPECT_TRUE(momentum->RestoreState(newer).error().message.contains(
      "found a state of version 7, wanted 1"));
  EXPECT_EQ(momentum->RestoreState(cut).error().code, Code::kData);
  EXPECT_EQ(momentum->RestoreState(nan).error().code, Code::kData);
  EXPECT_EQ(momentum->RestoreState(*adam->SaveState()).error().code, Code::kData);
  EXPECT_EQ(momentum->BeginRound(Round()).error().code, Code::kState) << "nothing was restored";
  EXPECT_TRUE(momentum->RestoreState(good));
  EXPECT_FALSE(plain->RestoreState(good)) << "fedavg has no state";
}

}  // namespace
}  // namespace linnet::testing
