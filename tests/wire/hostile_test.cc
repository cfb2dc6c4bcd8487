#include <functional>

#include "gtest/gtest.h"
#include "wire/messages.h"
#include "wire/samples.h"

namespace linnet {
namespace {

// Where things lie in a frame of one segment: table, root pointer, envelope (data, pointer),
// message.
constexpr size_t kWordsAt = 4, kRootAt = 8, kWhichAt = 16, kEnvelopePointerAt = 24, kMessageAt = 32;

template <typename T>
Bytes Patched(Bytes frame, size_t at, T value) {
  StoreLE(frame.data() + at, value);
  return frame;
}

// Puts `to` for the bytes of `from`, which must occur exactly once.
template <typename T>
Bytes Replaced(Bytes frame, T from, T to) {
  size_t found = 0, at = 0;
  for (size_t i = 0; i + sizeof(T) <= frame.size(); ++i) {
    if (LoadLE<T>(frame.data() + i) == from) ++found, at = i;
  }
  EXPECT_EQ(found, 1u);
  return Patched(std::move(frame), at, to);
}
template <typename T>
Bytes Replaced(const Message& message, T from, T to) {
  return Replaced(EncodeMessage(message), from, to);
}

// The second half of a pointer to `bytes` bytes.
uint32_t ByteList(uint32_t bytes) { return bytes << 3 | 2; }

// The bits of a float that stands in one place of a message.
constexpr float kMark = 1234.5f;
constexpr double kWideMark = 12345.6789;

Bytes InviteWith(float TrainSettings::* field, float value) {
  Invite invite;
  invite.train.*field = kMark;
  return Replaced(invite, kMark, value);
}

// A frame whose second pointer holds `data`, read as a decline: its reason is then any bytes at
// all.
Bytes DeclineWithReason(Bytes data) {
  return Patched<uint16_t>(EncodeMessage(UpdateChunk{.data = std::move(data)}), kWhichAt, 13);
}

struct Row {
  std::string name;
  Bytes frame;
  Code code;
  std::string wanted;  // a part of the message
};

class HostileFrameTest : public testing::TestWithParam<Row> {};

TEST_P(HostileFrameTest, IsRefusedWithItsReason) {
  auto message = DecodeMessage(GetParam().frame);
  ASSERT_FALSE(message) << "decoded as " << MessageName(*message);
  EXPECT_EQ(CodeName(message.error().code), CodeName(GetParam().code));
  EXPECT_NE(message.error().message.find(GetParam().wanted), std::string::npos)
      << message.error().message;
}

std::vector<Row> Rows() {
  const float inf = INFINITY, nan = NAN;
  const double wide_inf = INFINITY;
  const Bytes ping = EncodeMessage(Ping{});
  const Bytes challenge = EncodeMessage(Challenge{.nonce = Counting<32>(1)});
  const Bytes verdict = EncodeMessage(UpdateVerdict{});
  const Bytes begin = EncodeMessage(UpdateBegin{.codec = {.kind = 3, .bits = 1}});
  const Bytes hello = EncodeMessage(Hello{});
  Bytes trailing = ping;
  trailing.resize(ping.size() + 8);
  Bytes long_bye = EncodeMessage(Bye{.reason = std::string(100, 'r')});
  long_bye = Patched<uint32_t>(long_bye, kMessageAt, 0x00010001);  // versions 1 to 1
  Bytes text(5000, 'a');
  text.back() = 0;
  Bytes broken_text = {'a', 0xc3, 0};
  // Pointers: offset in words from the end of the pointer << 2 | kind, then sizes.
  Bytes tagged_list = EncodeMessage(Hello{.properties = {{"key", "value"}}});

  return {
      {"nothing", {}, Code::kData, "an empty frame"},
      {"one byte", {0}, Code::kData, "1 bytes is no message: not a multiple of 8"},
      {"odd size", Bytes(41, 0), Code::kData, "41 bytes is no message: not a multiple of 8"},
      {"no words", Bytes(8, 0), Code::kData, "Message did not contain a root pointer"},
      {"no root", Patched<uint32_t>(Bytes(16, 0), kWordsAt, 1), Code::kData,
       "hello: versions 0 to 0 are no range"},
      {"ones", Bytes(64, 0xff), Code::kData, "4294967296 segments, at most 16"},
      {"too long", Bytes(kMaxFrame + 8, 0), Code::kLimit, "1048584 bytes, at most 1048576"},
      {"17 segments", Patched<uint32_t>(Bytes(1024, 0), 0, 16), Code::kData, "17 segments"},
      {"table cut off", Patched<uint32_t>(Bytes(8, 0), 0, 3), Code::kData, "the segment table"},
      {"segment cut off", Patched<uint32_t>(ping, kWordsAt, 100), Code::kData,
       "segment 0 of 100 words is cut off after 4"},
      {"segment of 2^32 - 1 words", Patched<uint32_t>(ping, kWordsAt, 0xffffffff), Code::kData,
       "segment 0 of 4294967295 words is cut off"},
      {"bytes after it", trailing, Code::kData, "8 bytes follow the message"},

      {"root points out", Patched<uint32_t>(ping, kRootAt, 0x7ffffffc), Code::kData,
       "does not decode"},
      {"root points to itself", Patched<uint32_t>(ping, kRootAt, 0xfffffffc), Code::kUnsupported,
       "a message of type 65532"},
      {"message points to itself", Patched<uint32_t>(challenge, kEnvelopePointerAt, 0xfffffffc),
       Code::kData, "challenge does not decode"},
      {"root is a list", Patched<uint32_t>(ping, kRootAt, 1), Code::kData, "does not decode"},
      {"root is a far pointer", Patched<uint32_t>(ping, kRootAt, 2), Code::kData,
       "does not decode"},
      {"root is a capability", Patched<uint32_t>(ping, kRootAt, 3), Code::kData, "does not decode"},
      {"message points out", Patched<uint32_t>(challenge, kEnvelopePointerAt, 0x1000), Code::kData,
       "challenge does not decode"},
      {"data points out", Patched<uint32_t>(challenge, kMessageAt + 4, ByteList(1 << 28)),
       Code::kData, "challenge does not decode"},
      {"data is a struct", Patched<uint32_t>(challenge, kMessageAt, 0), Code::kData,
       "challenge does not decode"},
      {"list of 2^29 empty structs",
       Patched<uint64_t>(
           Replaced<uint64_t>(tagged_list, uint64_t{0x20000} << 32 | 1 << 2, uint64_t{1 << 30}),
           kWhichAt, 0),
       Code::kData, "hello"},

      {"a reserved message", Patched<uint16_t>(ping, kWhichAt, 26), Code::kUnsupported,
       "a message of type 26, which version 1 does not have"},
      {"the last reserved one", Patched<uint16_t>(ping, kWhichAt, 34), Code::kUnsupported,
       "type 34"},
      {"a message of the future", Patched<uint16_t>(ping, kWhichAt, 35), Code::kUnsupported,
       "type 35"},
      {"the farthest future", Patched<uint16_t>(ping, kWhichAt, 0xffff), Code::kUnsupported,
       "type 65535"},

      {"digest of 31 bytes", Patched<uint32_t>(challenge, kMessageAt + 4, ByteList(31)),
       Code::kData, "challenge: nonce has 31 bytes, wanted 32"},
      {"digest of none", Patched<uint64_t>(challenge, kMessageAt, 0), Code::kData,
       "challenge: nonce has 0 bytes, wanted 32"},
      {"key of 64 bytes", Patched<uint16_t>(EncodeMessage(Proof{}), kWhichAt, 1), Code::kData,
       "challenge: nonce has 64 bytes, wanted 32"},
      {"id of 32 bytes", Patched<uint16_t>(challenge, kWhichAt, 12), Code::kData,
       "accept: assignment has 32 bytes, wanted 16"},
      {"another message's bytes", Patched<uint16_t>(ping, kWhichAt, 11), Code::kData,
       "invite: maxAbs is 0, wanted more"},

      {"no data",
       Replaced<uint32_t>(EncodeMessage(UpdateChunk{.data = Bytes(99, 1)}), ByteList(99),
                          ByteList(0)),
       Code::kData, "update.chunk: data has 0 bytes, wanted 1 to 262144"},

      {"text without end", DeclineWithReason({'a', 'b'}), Code::kData, "decline does not decode"},
      {"text not UTF-8", DeclineWithReason(broken_text), Code::kData,
       "decline: reason is not UTF-8 without control characters"},
      {"text with an escape", DeclineWithReason({0x1b, '[', 0}), Code::kData,
       "decline: reason is not UTF-8 without control characters"},
      {"text with a zero", DeclineWithReason({'a', 0, 'b', 0}), Code::kData,
       "decline: reason is not UTF-8 without control characters"},
      {"long text", DeclineWithReason(text), Code::kData,
       "decline: reason has 4999 bytes, wanted at most 4096"},
      {"long label", Patched<uint16_t>(long_bye, kWhichAt, 0), Code::kData,
       "hello: federation has 100 bytes, wanted at most 64"},
      {"long hello",
       Patched<uint16_t>(EncodeMessage(Welcome{.federation_json = std::string(4096, ' ')}),
                         kWhichAt, 0),
       Code::kData, "hello"},

      {"version 0", Patched<uint32_t>(hello, kMessageAt, 0x00010000), Code::kData,
       "hello: versions 0 to 1 are no range"},
      {"versions reversed", Patched<uint32_t>(hello, kMessageAt, 0x00010002), Code::kData,
       "hello: versions 2 to 1 are no range"},
      {"welcome to version 0",
       Replaced<uint64_t>(EncodeMessage(Welcome{.version = 7, .ping_interval_ms = 9}),
                          uint64_t{9} << 32 | 7, uint64_t{9} << 32),
       Code::kData, "welcome: version is 0, wanted at least 1"},
      {"no ping",
       Replaced<uint64_t>(EncodeMessage(Welcome{.version = 7, .ping_interval_ms = 9}),
                          uint64_t{9} << 32 | 7, 7),
       Code::kData, "welcome: pingIntervalMs is 0, wanted at least 1"},

      {"verdict 5", Patched<uint16_t>(verdict, kMessageAt, 5), Code::kData,
       "update.verdict: verdict is 5, wanted 0 to 4"},
      {"code 11", Patched<uint16_t>(verdict, kMessageAt + 2, 11), Code::kData,
       "update.verdict: code is 11, wanted 0 to 10"},
      {"codec 4", Replaced<uint32_t>(begin, 0x00010003, 0x00010004), Code::kData,
       "update.begin: codec.kind is 4, wanted 0 to 3"},
      {"eden of 5 bits", Replaced<uint32_t>(begin, 0x00010003, 0x00050003), Code::kData,
       "update.begin: codec.bits is 5, wanted 1 to 4 with codec.kind 3"},
      {"f32 of 1 bit", Replaced<uint32_t>(begin, 0x00010003, 0x00010000), Code::kData,
       "update.begin: codec.bits is 1, wanted 32 to 32 with codec.kind 0"},

      {"learning rate NaN", InviteWith(&TrainSettings::learning_rate, nan), Code::kData,
       "invite: train.learningRate is nan, wanted a finite number, 0 or more"},
      {"learning rate below 0", InviteWith(&TrainSettings::learning_rate, -1), Code::kData,
       "invite: train.learningRate is -1, wanted a finite number, 0 or more"},
      {"momentum infinite", InviteWith(&TrainSettings::momentum, inf), Code::kData,
       "invite: train.momentum is inf"},
      {"decay NaN", InviteWith(&TrainSettings::weight_decay, nan), Code::kData,
       "invite: train.weightDecay is nan"},
      {"clip NaN", InviteWith(&TrainSettings::clip_norm, nan), Code::kData,
       "invite: train.clipNorm is nan"},
      {"batches of none", Replaced<uint32_t>(Invite{.train = {.batch_size = 777777}}, 777777, 0),
       Code::kData, "invite: train.batchSize is 0, wanted at least 1"},
      {"cap NaN", Replaced(Invite{.max_abs = kMark}, kMark, nan), Code::kData,
       "invite: maxAbs is nan"},
      {"cap 0", Replaced(Invite{.max_abs = kMark}, kMark, 0.0f), Code::kData,
       "invite: maxAbs is 0, wanted more"},
      {"no deadline", Replaced<uint32_t>(Invite{.deadline_ms = 777777}, 777777, 0), Code::kData,
       "invite: deadlineMs is 0, wanted at least 1"},
      {"accuracy infinite", Replaced(RoundClosed{.accuracy = kWideMark}, kWideMark, wide_inf),
       Code::kData, "round.closed: accuracy is inf, wanted a finite number or NaN"},
      {"loss infinite",
       Replaced(UpdateBegin{.codec = {0, 32}, .loss_after = kWideMark}, kWideMark, -wide_inf),
       Code::kData, "update.begin: lossAfter is -inf"},
      {"loss sum NaN",
       Replaced(EvaluateReport{.examples = 1, .loss_sum = kWideMark}, kWideMark, std::nan("")),
       Code::kData, "evaluate.report: lossSum is nan, wanted a finite number"},
      {"examples 0", Replaced<uint64_t>(EvaluateReport{.examples = 777777}, 777777, 0), Code::kData,
       "evaluate.report: examples is 0, wanted at least 1"},
      {"more correct than examples",
       Replaced<uint64_t>(EvaluateReport{.examples = 777777, .correct = 666}, 777777, 665),
       Code::kData, "evaluate.report: correct is 666, wanted at most examples, 665"},
  };
}

INSTANTIATE_TEST_SUITE_P(Table, HostileFrameTest, testing::ValuesIn(Rows()), [](const auto& row) {
  std::string name;
  for (char c : row.param.name) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

TEST(WireLimitTest, TheCallersLimitIsNamed) {
  const Bytes frame = EncodeMessage(Bye{.reason = std::string(4096, 'r')});
  auto message = DecodeMessage(frame, kMaxFrameBeforeWelcome);
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, Code::kLimit);
  EXPECT_EQ(message.error().message,
            StrCat("a frame of ", frame.size(), " bytes, at most ", kMaxFrameBeforeWelcome));
}

// A hello may have grown by fields of the future, but not without bound.
TEST(WireLimitTest, AHelloBeyondItsLimitIsRefusedWhateverTheCallersLimit) {
  Bytes frame = EncodeMessage(Hello{});
  const auto grown = [&](size_t words) {
    Bytes more = frame;
    more.resize(frame.size() + 8 * words);
    return Patched(std::move(more), kWordsAt,
                   static_cast<uint32_t>(LoadLE<uint32_t>(frame.data() + kWordsAt) + words));
  };
  EXPECT_TRUE(DecodeMessage(grown((kMaxFrameBeforeWelcome - frame.size()) / 8)));
  auto message = DecodeMessage(grown((kMaxFrameBeforeWelcome - frame.size()) / 8 + 1));
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, Code::kLimit);
  EXPECT_EQ(message.error().message, "a hello of 4104 bytes, at most 4096");
}

// Two segments, as other implementations may write: the root pointer is far, to the second segment.
TEST(WireLimitTest, AMessageInTwoSegmentsIsRead) {
  const Bytes ping = EncodeMessage(Ping{.nonce = 42});
  Bytes frame;
  for (uint32_t number : {1u, 1u, static_cast<uint32_t>(ping.size() / 8 - 1), 0u}) {
    AppendLE(frame, number);
  }
  AppendLE(frame, uint32_t{2});  // far, landing pad at word 0
  AppendLE(frame, uint32_t{1});  // of segment 1
  frame.insert(frame.end(), ping.begin() + 8, ping.end());
  auto message = DecodeMessage(frame);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(std::get<Ping>(*message).nonce, 42u);
}

// ---- Any bytes: the decoder answers, and what it takes is a message that can be sent again.

void ExpectSound(ByteSpan frame) {
  auto message = DecodeMessage(frame);
  if (!message) {
    EXPECT_FALSE(message.error().message.empty());
    return;
  }
  const Bytes again = EncodeMessage(*message);
  auto twice = DecodeMessage(again);
  ASSERT_TRUE(twice) << twice.error().message;
  EXPECT_EQ(EncodeMessage(*twice), again);
}

TEST(WireRobustnessTest, TruncatedAtEveryByteNoFrameDecodes) {
  for (const Message& message : TypicalMessages()) {
    SCOPED_TRACE(MessageName(message));
    const Bytes frame = EncodeMessage(message);
    for (size_t size = 0; size < frame.size(); ++size) {
      // A copy of its own, so that the sanitizer sees a byte read too far.
      const Bytes cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_FALSE(DecodeMessage(cut)) << size << " of " << frame.size();
    }
  }
}

TEST(WireRobustnessTest, EveryFlippedBitIsRefusedOrMakesAnotherMessage) {
  for (const Message& message : TypicalMessages()) {
    SCOPED_TRACE(MessageName(message));
    Bytes frame = EncodeMessage(message);
    for (size_t bit = 0; bit < 8 * frame.size(); ++bit) {
      frame[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      ExpectSound(frame);
      frame[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
  }
}

TEST(WireRobustnessTest, EveryWordReplacedByAnotherIsRefusedOrMakesAnotherMessage) {
  constexpr uint64_t kWords[] = {0,
                                 ~uint64_t{0},
                                 0x00000001'00000000,
                                 0x7fffffff'7fffffff,
                                 0x00000002'00000002,
                                 0xffffffff'00000001,
                                 0x00010001'fffffffc};
  for (const Message& message : TypicalMessages()) {
    SCOPED_TRACE(MessageName(message));
    const Bytes frame = EncodeMessage(message);
    for (size_t at = 0; at < frame.size(); at += 8) {
      for (uint64_t word : kWords) ExpectSound(Patched(frame, at, word));
    }
  }
}

}  // namespace
}  // namespace linnet
