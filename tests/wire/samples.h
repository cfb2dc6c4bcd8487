// Messages for the tests of core/wire.
#ifndef LINNET_TESTS_WIRE_SAMPLES_H_
#define LINNET_TESTS_WIRE_SAMPLES_H_

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "wire/messages.h"

namespace linnet {

// kBytes bytes that count up from `first`.
template <size_t kBytes>
std::array<uint8_t, kBytes> Counting(uint8_t first) {
  std::array<uint8_t, kBytes> bytes;
  for (size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<uint8_t>(first + i);
  return bytes;
}

// One of each, in the order of Message: what the golden files hold. Every field is set, to a value
// that is neither its default nor another field's.
inline std::vector<Message> TypicalMessages() {
  const auto id = Counting<16>(0x10);
  const auto digest = Counting<32>(0x80);
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  return {
      Hello{.version_min = 1,
            .version_max = 3,
            .federation = "digits",
            .device_key = Counting<32>(0x40),
            .token = "t0k-en",
            .name = "Möwe 7",
            .runtime = "wasm/relaxed",
            .examples = 600,
            .properties = {{"region", "north"}, {"cores", "2"}}},
      Challenge{.nonce = Counting<32>(0x20)},
      Proof{.signature = Counting<64>(0x30)},
      Welcome{.version = 2,
              .federation = "digits",
              .model_name = "mlp-2nn",
              .round = 17,
              .model = digest,
              .model_bytes = 797184,
              .federation_json = R"({"name":"digits","data":{"scale":"unit"}})",
              .ping_interval_ms = 15000},
      Ping{.nonce = 0x0123456789abcdef},
      Pong{.nonce = 0xfedcba9876543210},
      Bye{.reason = "the target was reached", .finished = true},
      WireError{.code = Code::kVersion,
                .message = "found versions 4 to 5, wanted one of 2 to 3",
                .version_min = 2,
                .version_max = 3},
      ModelWant{.digest = digest, .offset = 262144},
      ModelOffer{.digest = digest, .bytes = 797184},
      ModelChunk{.digest = digest, .offset = 524288, .data = {1, 2, 3, 5, 8, 13, 21}},
      Invite{.assignment = id,
             .round = 18,
             .attempt = 2,
             .base = digest,
             .base_bytes = 797184,
             .round_seed = Counting<32>(0x60),
             .train = {.optimizer = "nesterov",
                       .learning_rate = 0.05f,
                       .momentum = 0.75f,
                       .weight_decay = 1e-4f,
                       .clip_norm = 2.5f,
                       .batch_size = 32,
                       .epochs = 3,
                       .max_steps = 1000,
                       .client = "prox",
                       .client_config = R"({"mu":0.01})",
                       .clip_value = 0.5f,
                       .proximal = 0.125f,
                       .beta1 = 0.75f,
                       .beta2 = 0.875f,
                       .epsilon = 1e-6f,
                       .decay_weights_only = true,
                       .schedule = "step:every=10,factor=0.5"},
             .codec = {.kind = 3, .bits = 2},
             .max_abs = 8,
             .max_examples = 4096,
             .deadline_ms = 45000},
      Accept{.assignment = id},
      Decline{.assignment = id, .reason = "on battery"},
      Begin{.assignment = id},
      Abort{.assignment = id, .reason = "the deadline is over"},
      RoundClosed{.round = 18,
                  .model = digest,
                  .model_bytes = 797184,
                  .counted = 8,
                  .invited = 10,
                  .accuracy = 0.953125,
                  .loss = 0.171875,
                  .train_loss = unknown,
                  .uplink_bytes = 204000,
                  .downlink_bytes = 7971840,
                  .seconds = 1.25,
                  .connected = 12,
                  .target_reached = true,
                  .last = true},
      UpdateBegin{.assignment = id,
                  .bytes = 25486,
                  .codec = {.kind = 2, .bits = 8},
                  .elements = 199210,
                  .examples = 600,
                  .steps = 60,
                  .loss_before = 2.25,
                  .loss_after = 0.5,
                  .train_seconds = unknown},
      UpdateGo{.assignment = id, .offset = 4096},
      UpdateChunk{.assignment = id, .offset = 8192, .data = {34, 55, 89, 144, 233}},
      UpdateEnd{.assignment = id, .digest = digest},
      UpdateVerdict{.assignment = id,
                    .verdict = Verdict::kRefused,
                    .code = Code::kLimit,
                    .message = "element 7 is 65.5, wanted at most 64",
                    .round = 18},
      AssignmentQuery{.assignment = id},
      AssignmentOpen{.assignment = id},
      EvaluateRequest{.round = 19, .model = digest, .model_bytes = 797184, .deadline_ms = 20000},
      EvaluateReport{
          .round = 19, .model = digest, .examples = 120, .correct = 114, .loss_sum = 20.625},
  };
}

// Values at the ends of what is admitted; none is NaN, so that they can be compared.
inline std::vector<Message> ExtremeMessages() {
  constexpr uint64_t k64 = std::numeric_limits<uint64_t>::max();
  constexpr uint32_t k32 = std::numeric_limits<uint32_t>::max();
  constexpr uint16_t k16 = std::numeric_limits<uint16_t>::max();
  constexpr double kLargest = std::numeric_limits<double>::max();
  constexpr double kTiny = std::numeric_limits<double>::denorm_min();
  constexpr float kLargestFloat = std::numeric_limits<float>::max();
  constexpr float kTinyFloat = std::numeric_limits<float>::denorm_min();
  AssignmentId id;
  id.fill(0xff);
  Digest ones;
  ones.fill(0xff);
  const std::string label(64, 'x');
  const std::string text(kMaxText, '~');
  std::vector<Message> messages = {
      Hello{},
      Hello{.version_min = k16, .version_max = k16, .device_key = ones, .examples = k64},
      Hello{.federation = label,
            .token = std::string(kMaxTokenBytes, 't'),
            .name = label,
            .runtime = label,
            .properties = {kMaxProperties, {"k", ""}}},
      Hello{.properties = {{label, std::string(256, 'v')}, {"\xf4\x8f\xbf\xbf", "\n\t"}}},
      Proof{},
      Welcome{},
      Welcome{.version = k16,
              .federation = label,
              .model_name = label,
              .round = k64,
              .model = ones,
              .model_bytes = k64,
              .federation_json = text,
              .ping_interval_ms = k32},
      Ping{},
      Ping{k64},
      Bye{},
      Bye{.reason = text, .finished = true},
      WireError{},
      WireError{.code = Code::kInternal, .message = text, .version_max = k16},
      ModelWant{.digest = ones, .offset = k64},
      ModelChunk{.digest = ones, .offset = k64, .data = Bytes(kMaxChunk, 0xff)},
      ModelChunk{.data = {0}},
      Invite{.assignment = id,
             .round = k64,
             .attempt = k32,
             .base = ones,
             .base_bytes = k64,
             .round_seed = ones,
             .train = {.optimizer = label,
                       .learning_rate = kLargestFloat,
                       .momentum = kTinyFloat,
                       .weight_decay = kLargestFloat,
                       .clip_norm = kLargestFloat,
                       .batch_size = k32,
                       .epochs = k32,
                       .max_steps = k32,
                       .client = label,
                       .client_config = text,
                       .clip_value = kLargestFloat,
                       .proximal = kTinyFloat,
                       .beta1 = kLargestFloat,
                       .beta2 = kLargestFloat,
                       .epsilon = kTinyFloat,
                       .decay_weights_only = true,
                       .schedule = text},
             .codec = {.kind = 0, .bits = 32},
             .max_abs = kLargestFloat,
             .max_examples = k64,
             .deadline_ms = k32},
      Invite{.train = {.optimizer = "", .learning_rate = 0, .epochs = 0, .client = ""},
             .codec = {.kind = 3, .bits = 1},
             .max_abs = kTinyFloat,
             .max_examples = 0,
             .deadline_ms = 1},
      Decline{.assignment = id, .reason = text},
      Abort{.assignment = id, .reason = text},
      RoundClosed{.round = k64,
                  .model = ones,
                  .model_bytes = k64,
                  .counted = k32,
                  .invited = k32,
                  .accuracy = kLargest,
                  .loss = -kLargest,
                  .train_loss = kTiny,
                  .uplink_bytes = k64,
                  .downlink_bytes = k64,
                  .seconds = kLargest,
                  .connected = k32,
                  .target_reached = true,
                  .last = false},
      RoundClosed{.last = true},
      UpdateBegin{.assignment = id,
                  .bytes = k64,
                  .codec = {.kind = 1, .bits = 16},
                  .elements = k64,
                  .examples = k64,
                  .steps = k64,
                  .loss_before = kLargest,
                  .loss_after = kTiny,
                  .train_seconds = kLargest},
      UpdateBegin{.codec = {.kind = 3, .bits = 4}},
      UpdateGo{.assignment = id, .offset = k64},
      UpdateChunk{.assignment = id, .offset = k64, .data = Bytes(kMaxChunk, 0xff)},
      UpdateEnd{.assignment = id, .digest = ones},
      UpdateVerdict{.assignment = id,
                    .verdict = Verdict::kVoid,
                    .code = Code::kInternal,
                    .message = text,
                    .round = k64},
      EvaluateRequest{.round = k64, .model = ones, .model_bytes = k64, .deadline_ms = k32},
      EvaluateReport{
          .round = k64, .model = ones, .examples = k64, .correct = k64, .loss_sum = -kLargest},
      EvaluateReport{.examples = 1},
  };
  for (Verdict verdict : {Verdict::kCounted, Verdict::kAlreadyCounted, Verdict::kLate}) {
    messages.push_back(UpdateVerdict{.verdict = verdict});
  }
  for (int code = 1; code <= static_cast<int>(Code::kInternal); ++code) {
    messages.push_back(WireError{.code = static_cast<Code>(code)});
  }
  return messages;
}

}  // namespace linnet

#endif  // LINNET_TESTS_WIRE_SAMPLES_H_
