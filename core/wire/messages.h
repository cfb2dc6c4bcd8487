// The protocol's messages as plain structs. linnet.capnp is their encoding; this header knows
// nothing of it. One message is one binary WebSocket frame, subprotocol "linnet.v1".
#ifndef LINNET_WIRE_MESSAGES_H_
#define LINNET_WIRE_MESSAGES_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"

namespace linnet {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr const char* kSubprotocol = "linnet.v1";
inline constexpr size_t kMaxChunk = 256 * 1024;         // bytes of payload in one chunk
inline constexpr size_t kMaxFrame = 1024 * 1024;        // bytes of one frame
inline constexpr size_t kMaxFrameBeforeWelcome = 4096;  // bytes, all that a stranger gets
inline constexpr size_t kMaxText = 4096;                // bytes of one text field
inline constexpr size_t kMaxTokenBytes = 1024;
inline constexpr size_t kMaxProperties = 32;

// ---- Session. Order: hello, challenge, proof, welcome; then anything.

// participant -> coordinator, first message of a connection.
struct Hello {
  uint16_t version_min = kProtocolVersion, version_max = kProtocolVersion;
  std::string federation{};  // name wanted; empty = the coordinator's only one
  PublicKey device_key{};    // Ed25519; names the participant
  std::string token{};       // enrolment token, empty in an open federation
  std::string name{};        // for people; at most 64 bytes
  std::string runtime{};     // "native/avx3", "wasm/relaxed", "python"
  uint64_t examples = 0;     // how many training examples it holds, 0 = not told
  std::vector<std::pair<std::string, std::string>> properties{};  // for `select`
  friend bool operator==(const Hello&, const Hello&) = default;
};
// coordinator -> participant: sign this.
struct Challenge {
  std::array<uint8_t, 32> nonce{};
  friend bool operator==(const Challenge&, const Challenge&) = default;
};
// participant -> coordinator: Ed25519 over "linnet.v1 challenge" || nonce || BLAKE2b(hello frame).
struct Proof {
  Signature signature{};
  friend bool operator==(const Proof&, const Proof&) = default;
};
// coordinator -> participant: taken.
struct Welcome {
  uint16_t version = kProtocolVersion;
  std::string federation{};
  std::string model_name{};
  uint64_t round = 0;  // last finished round
  Digest model{};      // digest of the current model's canonical bytes
  uint64_t model_bytes = 0;
  std::string
      federation_json{};  // what participants may know of the federation file (canonical JSON)
  uint32_t ping_interval_ms = 20000;
  friend bool operator==(const Welcome&, const Welcome&) = default;
};
struct Ping {
  uint64_t nonce = 0;
  friend bool operator==(const Ping&, const Ping&) = default;
};
struct Pong {
  uint64_t nonce = 0;
  friend bool operator==(const Pong&, const Pong&) = default;
};
// Either side: leaving on purpose.
struct Bye {
  std::string reason{};
  bool finished = false;  // coordinator: the federation has reached its end
  friend bool operator==(const Bye&, const Bye&) = default;
};
// Either side: the connection ends after this; code as CodeName.
struct WireError {
  Code code = Code::kInvalid;
  std::string message{};
  uint16_t version_min = kProtocolVersion, version_max = kProtocolVersion;  // with kVersion
  friend bool operator==(const WireError&, const WireError&) = default;
};

// ---- Model: content-addressed, in chunks, resumable by (digest, offset).

struct ModelWant {
  Digest digest{};
  uint64_t offset = 0;
  friend bool operator==(const ModelWant&, const ModelWant&) = default;
};
struct ModelOffer {
  Digest digest{};
  uint64_t bytes = 0;
  friend bool operator==(const ModelOffer&, const ModelOffer&) = default;
};
struct ModelChunk {
  Digest digest{};
  uint64_t offset = 0;
  Bytes data{};  // 1..kMaxChunk bytes
  friend bool operator==(const ModelChunk&, const ModelChunk&) = default;
};

// ---- Round

// How to train; the same for all participants of a round.
struct TrainSettings {
  std::string optimizer = "sgd";  // sgd, momentum, nesterov, adam, adamw
  float learning_rate = 0.1f, momentum = 0.9f, weight_decay = 0, clip_norm = 0;
  uint32_t batch_size = 10, epochs = 1;
  uint32_t max_steps = 0;       // 0 = no limit
  std::string client = "sgd";   // org.linnet.client/1: sgd, prox, ...
  std::string client_config{};  // blob 3 of the strategy, canonical JSON or empty
  float clip_value = 0, proximal = 0, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  bool decay_weights_only = false;
  std::string schedule{};  // of the learning rate, as ParseSchedule reads it; empty = constant
  friend bool operator==(const TrainSettings&, const TrainSettings&) = default;
};
struct CodecSettings {
  uint8_t kind = 0, bits = 32;  // CodecKind, bits
  friend bool operator==(const CodecSettings&, const CodecSettings&) = default;
};
// coordinator -> participant: an assignment, good for one update.
struct Invite {
  AssignmentId assignment{};
  uint64_t round = 0;
  uint32_t attempt = 0;
  Digest base{};  // digest of the model to start from
  uint64_t base_bytes = 0;
  Seed round_seed{};  // codec signs, shuffling
  TrainSettings train{};
  CodecSettings codec{};
  float max_abs = 64;             // limits.maxAbs: no update element beyond
  uint64_t max_examples = 65536;  // limits.maxExamples
  uint32_t deadline_ms = 60000;   // from now, for the update
  friend bool operator==(const Invite&, const Invite&) = default;
};
struct Accept {
  AssignmentId assignment{};
  friend bool operator==(const Accept&, const Accept&) = default;
};
struct Decline {
  AssignmentId assignment{};
  std::string reason{};
  friend bool operator==(const Decline&, const Decline&) = default;
};
// coordinator -> participant: go ahead.
struct Begin {
  AssignmentId assignment{};
  friend bool operator==(const Begin&, const Begin&) = default;
};
// coordinator -> participant: stop working on this; nothing of it will be counted.
struct Abort {
  AssignmentId assignment{};
  std::string reason{};
  friend bool operator==(const Abort&, const Abort&) = default;
};
// coordinator -> all: a round is over and this is the model now.
struct RoundClosed {
  uint64_t round = 0;
  Digest model{};
  uint64_t model_bytes = 0;
  uint32_t counted = 0, invited = 0;
  double accuracy = 0, loss = 0;                  // NaN = not evaluated this round
  double train_loss = 0;                          // mean over counted updates, NaN = unknown
  uint64_t uplink_bytes = 0, downlink_bytes = 0;  // of this round, all participants
  double seconds = 0;
  uint32_t connected = 0;
  bool target_reached = false, last = false;
  friend bool operator==(const RoundClosed&, const RoundClosed&) = default;
};

// ---- Update

// participant -> coordinator: this is coming; flows after go.
struct UpdateBegin {
  AssignmentId assignment{};
  uint64_t bytes = 0;  // encoded
  CodecSettings codec{};
  uint64_t elements = 0;                                      // parameters of the PARAM role
  uint64_t examples = 0;                                      // n_k, becomes the weight
  uint64_t steps = 0;                                         // tau_k
  double loss_before = 0, loss_after = 0, train_seconds = 0;  // NaN = unknown
  friend bool operator==(const UpdateBegin&, const UpdateBegin&) = default;
};
// coordinator -> participant: send from `offset` on.
struct UpdateGo {
  AssignmentId assignment{};
  uint64_t offset = 0;
  friend bool operator==(const UpdateGo&, const UpdateGo&) = default;
};
struct UpdateChunk {
  AssignmentId assignment{};
  uint64_t offset = 0;
  Bytes data{};  // 1..kMaxChunk bytes
  friend bool operator==(const UpdateChunk&, const UpdateChunk&) = default;
};
struct UpdateEnd {
  AssignmentId assignment{};
  Digest digest{};  // Blake2b of the encoded bytes
  friend bool operator==(const UpdateEnd&, const UpdateEnd&) = default;
};
// coordinator -> participant: the end of an assignment.
enum class Verdict : uint8_t {
  kCounted = 0,         // in exactly one committed partial
  kAlreadyCounted = 1,  // a resend of a counted one
  kRefused = 2,         // wrong; `code`, `message` say why
  kLate = 3,            // the round had all it wanted, or was over
  kVoid = 4,            // the attempt was given up; nothing of it is folded
};
struct UpdateVerdict {
  AssignmentId assignment{};
  Verdict verdict = Verdict::kCounted;
  Code code = Code::kInvalid;
  std::string message{};
  uint64_t round = 0;
  friend bool operator==(const UpdateVerdict&, const UpdateVerdict&) = default;
};
// participant -> coordinator after a reconnect: what became of this?
struct AssignmentQuery {
  AssignmentId assignment{};
  friend bool operator==(const AssignmentQuery&, const AssignmentQuery&) = default;
};
// coordinator -> participant: still open (train on, or upload again with update.begin).
struct AssignmentOpen {
  AssignmentId assignment{};
  friend bool operator==(const AssignmentOpen&, const AssignmentOpen&) = default;
};

// ---- Evaluation on the participants' held-out split.
struct EvaluateRequest {
  uint64_t round = 0;
  Digest model{};
  uint64_t model_bytes = 0;
  uint32_t deadline_ms = 30000;
  friend bool operator==(const EvaluateRequest&, const EvaluateRequest&) = default;
};
struct EvaluateReport {
  uint64_t round = 0;
  Digest model{};
  uint64_t examples = 0, correct = 0;
  double loss_sum = 0;
  friend bool operator==(const EvaluateReport&, const EvaluateReport&) = default;
};

using Message =
    std::variant<Hello, Challenge, Proof, Welcome, Ping, Pong, Bye, WireError, ModelWant,
                 ModelOffer, ModelChunk, Invite, Accept, Decline, Begin, Abort, RoundClosed,
                 UpdateBegin, UpdateGo, UpdateChunk, UpdateEnd, UpdateVerdict, AssignmentQuery,
                 AssignmentOpen, EvaluateRequest, EvaluateReport>;

// "hello", "update.begin", ...: for logs and errors.
std::string_view MessageName(const Message& message);

// Whether a hello is within its limits, for those who make one of what users gave them: kInvalid
// names the field, what was found and what is wanted.
Status CheckHello(const Hello& hello);

// One frame. Checked: every limit above (our own mistake otherwise).
Bytes EncodeMessage(const Message& message);

// Any bytes. kData: not a message (size not a multiple of 8, bad pointers, truncated, over a limit,
// a number that is not finite where one is needed); kLimit: longer than `max_frame`; kUnsupported:
// a union member of a newer version (ignore it). Allocates at most a small multiple of the frame.
Result<Message> DecodeMessage(ByteSpan frame, size_t max_frame = kMaxFrame);

}  // namespace linnet

#endif  // LINNET_WIRE_MESSAGES_H_
