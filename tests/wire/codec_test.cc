#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "gtest/gtest.h"
#include "wire/messages.h"
#include "wire/samples.h"

namespace linnet {
namespace {

Message Decoded(ByteSpan frame) {
  auto message = DecodeMessage(frame);
  if (message) return *message;
  ADD_FAILURE() << message.error().message;
  return Pong{};
}

TEST(WireTest, EveryMessageComesBackEqual) {
  for (const Message& message : ExtremeMessages()) {
    SCOPED_TRACE(MessageName(message));
    const Bytes frame = EncodeMessage(message);
    EXPECT_EQ(frame.size() % 8, 0u);
    EXPECT_LE(frame.size(), kMaxFrame);
    EXPECT_TRUE(Decoded(frame) == message);
  }
}

// NaN is unequal to itself: the samples that have one are compared by their encoding.
TEST(WireTest, TypicalMessagesComeBackWithTheSameEncoding) {
  for (const Message& message : TypicalMessages()) {
    SCOPED_TRACE(MessageName(message));
    const Bytes frame = EncodeMessage(message);
    EXPECT_EQ(Decoded(frame).index(), message.index());
    EXPECT_EQ(EncodeMessage(Decoded(frame)), frame);
  }
}

TEST(WireTest, UnknownMeasuresStayUnknown) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = -std::numeric_limits<double>::quiet_NaN();
  const auto closed = std::get<RoundClosed>(Decoded(EncodeMessage(
      RoundClosed{.accuracy = nan, .loss = inf, .train_loss = -inf, .seconds = nan})));
  EXPECT_TRUE(std::isnan(closed.accuracy) && std::isnan(closed.loss));
  EXPECT_TRUE(std::isnan(closed.train_loss) && std::isnan(closed.seconds));
  const auto begin =
      std::get<UpdateBegin>(Decoded(EncodeMessage(UpdateBegin{.codec = {.kind = 0, .bits = 32},
                                                              .loss_before = nan,
                                                              .loss_after = inf,
                                                              .train_seconds = nan})));
  EXPECT_TRUE(std::isnan(begin.loss_before) && std::isnan(begin.loss_after));
  EXPECT_TRUE(std::isnan(begin.train_seconds));
  for (double diverged : {nan, inf, -inf}) {
    const auto report = std::get<EvaluateReport>(
        Decoded(EncodeMessage(EvaluateReport{.examples = 1, .loss_sum = diverged})));
    EXPECT_EQ(report.loss_sum, std::numeric_limits<double>::max());
  }
}

TEST(WireTest, TextForPeopleIsMadeFitToTravel) {
  struct Row {
    std::string name, given, wanted;
  };
  const std::string a4095(4095, 'a');
  const Row rows[] = {
      {"clean", "Möwe\n\t€ 𝄞", "Möwe\n\t€ 𝄞"},
      {"cut at a character", a4095 + "ö", a4095},
      {"cut at the limit", a4095 + "bc", a4095 + "b"},
      {"control characters", std::string("a\0b\x1b[31m\r", 8), "a?b?[31m"},
      {"stray bytes",
       "\xff"
       "a\x80\xc3",
       "?a??"},
      {"overlong", "\xc0\xaf\xe0\x80\x80\xf0\x80\x80\x80", "?????????"},
      {"surrogate", "\xed\xa0\x80z", "???z"},
      {"beyond Unicode", "\xf4\x90\x80\x80", "????"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(std::get<Bye>(Decoded(EncodeMessage(Bye{.reason = row.given}))).reason, row.wanted);
  }
  const auto hello =
      std::get<Hello>(Decoded(EncodeMessage(Hello{.name = std::string(63, 'n') + "ö\n"})));
  EXPECT_EQ(hello.name, std::string(63, 'n'));
}

TEST(WireTest, AFullChunkIsOneSegmentOfLittleMoreThanItself) {
  for (const Message& message : {Message(ModelChunk{.data = Bytes(kMaxChunk, 7)}),
                                 Message(UpdateChunk{.data = Bytes(kMaxChunk, 7)})}) {
    const Bytes frame = EncodeMessage(message);
    EXPECT_EQ(LoadLE<uint32_t>(frame.data()), 0u) << "segments - 1";
    EXPECT_EQ(LoadLE<uint32_t>(frame.data() + 4), frame.size() / 8 - 1) << "words of the segment";
    EXPECT_LE(frame.size(), kMaxChunk + 128);
    // The frame was never moved to a larger place: its memory is what was asked for at the start.
    EXPECT_LE(frame.capacity(), kMaxChunk + 1024);
  }
}

TEST(WireTest, AFrameIsReadAtAnyAddress) {
  for (const Message& message : TypicalMessages()) {
    const Bytes frame = EncodeMessage(message);
    for (size_t shift = 1; shift < 8; ++shift) {
      Bytes moved(frame.size() + shift);
      std::ranges::copy(frame, moved.begin() + static_cast<ptrdiff_t>(shift));
      EXPECT_EQ(EncodeMessage(Decoded(ByteSpan(moved).subspan(shift))), frame);
    }
  }
}

TEST(WireTest, VersionsThatDoNotOverlapCanBeTold) {
  // What a coordinator of versions 2 to 3 reads from a participant of 7 to 9, and answers.
  const auto hello = std::get<Hello>(
      Decoded(EncodeMessage(Hello{.version_min = 7, .version_max = 9, .federation = "digits"})));
  EXPECT_EQ(hello.version_min, 7);
  EXPECT_EQ(hello.version_max, 9);
  const WireError answer{.code = Code::kVersion,
                         .message = "found versions 7 to 9, wanted one of 2 to 3",
                         .version_min = 2,
                         .version_max = 3};
  EXPECT_EQ(std::get<WireError>(Decoded(EncodeMessage(answer))), answer);
}

TEST(WireTest, AHelloOfWrongSettingsIsRefusedBeforeItIsSent) {
  struct Row {
    Hello hello;
    std::string message;
  };
  const Row rows[] = {
      {{.version_min = 0}, "versions 0 to 1 are no range"},
      {{.version_min = 2}, "versions 2 to 1 are no range"},
      {{.federation = std::string(65, 'f')},
       "the federation's name has 65 bytes, wanted at most 64"},
      {{.federation = "a\nb"}, "the federation's name is not UTF-8 without control characters"},
      {{.token = std::string(1025, 't')}, "the token has 1025 bytes, wanted at most 1024"},
      {{.token = "t\n"}, "the token is not UTF-8 without control characters"},
      {{.properties = {kMaxProperties + 1, {"k", "v"}}}, "found 33 properties, wanted at most 32"},
      {{.properties = {{"", "v"}}}, "a property's key is empty"},
      {{.properties = {{"k", std::string(257, 'v')}}},
       "the property k has 257 bytes, wanted at most 256"},
      {{.properties = {kMaxProperties, {"k", std::string(200, 'v')}}},
       "token and properties make a hello of 7592 bytes, wanted at most 4096"},
  };
  for (const Row& row : rows) {
    const Status status = CheckHello(row.hello);
    ASSERT_FALSE(status) << row.message;
    EXPECT_EQ(status.error().message, row.message);
    EXPECT_EQ(status.error().code, Code::kInvalid);
  }
  for (const Message& message : ExtremeMessages()) {
    if (const Hello* hello = std::get_if<Hello>(&message)) {
      EXPECT_TRUE(CheckHello(*hello));
    }
  }
}

TEST(WireTest, NamesAreDifferentAndTyped) {
  std::set<std::string_view> names;
  for (const Message& message : TypicalMessages()) names.insert(MessageName(message));
  EXPECT_EQ(names.size(), std::variant_size_v<Message>);
  EXPECT_EQ(MessageName(Hello{}), "hello");
  EXPECT_EQ(MessageName(WireError{}), "error");
  EXPECT_EQ(MessageName(UpdateBegin{}), "update.begin");
  EXPECT_EQ(MessageName(EvaluateReport{}), "evaluate.report");
}

// ---- Golden files. LINNET_UPDATE_GOLDEN=1 writes them: only for messages that are new, since a
// frame of an older version must go on being read.

std::string GoldenPath(const Message& message) {
  return std::string(LINNET_SOURCE_DIR "/tests/wire/golden/") + std::string(MessageName(message)) +
         ".bin";
}

TEST(WireGoldenTest, EveryMessageHasAGoldenFileAndItsBytes) {
  const std::vector<Message> messages = TypicalMessages();
  ASSERT_EQ(messages.size(), std::variant_size_v<Message>);
  for (size_t i = 0; i < messages.size(); ++i) {
    SCOPED_TRACE(MessageName(messages[i]));
    EXPECT_EQ(messages[i].index(), i) << "one of each, in order";
    const Bytes frame = EncodeMessage(messages[i]);
    if (std::getenv("LINNET_UPDATE_GOLDEN") != nullptr) {
      std::ofstream(GoldenPath(messages[i]), std::ios::binary)
          .write(reinterpret_cast<const char*>(frame.data()),
                 static_cast<std::streamsize>(frame.size()));
    }
    std::ifstream file(GoldenPath(messages[i]), std::ios::binary);
    ASSERT_TRUE(file.good()) << GoldenPath(messages[i]) << " is missing";
    const Bytes golden{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    EXPECT_EQ(Hex(golden), Hex(frame));
    EXPECT_EQ(EncodeMessage(Decoded(golden)), golden);
  }
}

// golden/older holds frames from before fields were added to their messages.
TEST(WireGoldenTest, AnInvitationFromBeforeTheOptimizersIsReadWithTheirDefaults) {
  std::ifstream file(LINNET_SOURCE_DIR "/tests/wire/golden/older/invite.bin", std::ios::binary);
  ASSERT_TRUE(file.good());
  const Bytes frame{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const Message message = Decoded(frame);
  const TrainSettings& train = std::get<Invite>(message).train;
  EXPECT_EQ(train.optimizer, "nesterov");
  EXPECT_EQ(train.client_config, R"({"mu":0.01})");
  const TrainSettings usual;
  EXPECT_EQ(train.beta1, usual.beta1);
  EXPECT_EQ(train.beta2, usual.beta2);
  EXPECT_EQ(train.epsilon, usual.epsilon);
  EXPECT_EQ(train.clip_value, 0);
  EXPECT_EQ(train.proximal, 0);
  EXPECT_FALSE(train.decay_weights_only);
  EXPECT_EQ(train.schedule, "");
}

#if GTEST_HAS_DEATH_TEST
TEST(WireDeathTest, OurOwnMistakesAreNotSent) {
  EXPECT_DEATH(EncodeMessage(UpdateChunk{.data = Bytes(kMaxChunk + 1)}), "check failed");
  EXPECT_DEATH(EncodeMessage(UpdateChunk{}), "check failed");
  EXPECT_DEATH(EncodeMessage(Hello{.federation = std::string(65, 'f')}),
               "65 bytes, wanted at most 64");
  EXPECT_DEATH(EncodeMessage(Welcome{.federation_json = std::string(kMaxText + 1, ' ')}),
               "4097 bytes, at most 4096");
  EXPECT_DEATH(EncodeMessage(Invite{.max_abs = NAN}), "check failed");
  EXPECT_DEATH(EncodeMessage(Invite{.train = {.learning_rate = INFINITY}}), "check failed");
  EXPECT_DEATH(EncodeMessage(EvaluateReport{.examples = 1, .correct = 2}), "check failed");
}
#endif

}  // namespace
}  // namespace linnet
