// Frames to messages: any bytes at all come in here.
#include <capnp/message.h>
#include <kj/exception.h>

#include <cmath>
#include <exception>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "wire/linnet.capnp.h"
#include "wire/messages.h"
#include "wire/text.h"

namespace linnet {
namespace {

// By schema::Envelope::Which, which is the order of Message too.
constexpr std::string_view kNames[] = {"hello",
                                       "challenge",
                                       "proof",
                                       "welcome",
                                       "ping",
                                       "pong",
                                       "bye",
                                       "error",
                                       "model.want",
                                       "model.offer",
                                       "model.chunk",
                                       "invite",
                                       "accept",
                                       "decline",
                                       "begin",
                                       "abort",
                                       "round.closed",
                                       "update.begin",
                                       "update.go",
                                       "update.chunk",
                                       "update.end",
                                       "update.verdict",
                                       "assignment.query",
                                       "assignment.open",
                                       "evaluate.request",
                                       "evaluate.report"};
static_assert(std::size(kNames) == std::variant_size_v<Message>);
static_assert(schema::Envelope::EVALUATE_REPORT + 1 == std::variant_size_v<Message>);

constexpr size_t kWord = sizeof(capnp::word);
constexpr uint32_t kMaxSegments = 16;

// Thrown by the readers below, caught in DecodeMessage: it does not leave this file.
struct Refusal {
  Error error;
};
template <typename... Args>
[[noreturn]] void Refuse(const Args&... args) {
  throw Refusal{{Code::kData, StrCat(args...)}};
}

template <size_t kBytes>
std::array<uint8_t, kBytes> Exact(capnp::Data::Reader data, const char* field) {
  if (data.size() != kBytes) Refuse(field, " has ", data.size(), " bytes, wanted ", kBytes);
  std::array<uint8_t, kBytes> out;
  std::memcpy(out.data(), data.begin(), kBytes);
  return out;
}
Digest DigestOf(capnp::Data::Reader data, const char* field = "digest") {
  return Exact<32>(data, field);
}
AssignmentId IdOf(capnp::Data::Reader data) { return Exact<16>(data, "assignment"); }

std::string TextOf(capnp::Text::Reader text, const char* field, size_t max_bytes = kMaxText,
                   TextKind kind = TextKind::kText) {
  if (text.size() > max_bytes) {
    Refuse(field, " has ", text.size(), " bytes, wanted at most ", max_bytes);
  }
  const std::string_view view(text.begin(), text.size());
  if (!IsClean(view, kind)) Refuse(field, " is not UTF-8 without control characters");
  return std::string(view);
}
std::string LabelOf(capnp::Text::Reader text, const char* field) {
  return TextOf(text, field, kMaxLabel, TextKind::kLabel);
}

Bytes ChunkOf(capnp::Data::Reader data) {
  if (data.size() == 0 || data.size() > kMaxChunk) {
    Refuse("data has ", data.size(), " bytes, wanted 1 to ", kMaxChunk);
  }
  return Bytes(data.begin(), data.end());
}

float NotNegative(float value, const char* field) {
  if (!std::isfinite(value) || value < 0) {
    Refuse(field, " is ", value, ", wanted a finite number, 0 or more");
  }
  return value;
}

// NaN = unknown; any NaN becomes the one, so that a message has one encoding.
double MeasureOf(double value, const char* field) {
  if (std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();
  if (std::isinf(value)) Refuse(field, " is ", value, ", wanted a finite number or NaN");
  return value;
}

uint32_t Positive(uint32_t value, const char* field) {
  if (value == 0) Refuse(field, " is 0, wanted at least 1");
  return value;
}

void CheckVersions(uint16_t min, uint16_t max) {
  if (min == 0 || min > max) Refuse("versions ", min, " to ", max, " are no range");
}

// A value of an enumeration of n enumerants, of a sender that may know more.
template <typename Enum>
int EnumOf(Enum value, Enum last, const char* field) {
  const int number = static_cast<int>(value);
  if (number > static_cast<int>(last)) {
    Refuse(field, " is ", number, ", wanted 0 to ", static_cast<int>(last));
  }
  return number;
}
Code CodeOf(schema::Code code) {
  return static_cast<Code>(EnumOf(code, schema::Code::INTERNAL, "code") + 1);
}

CodecSettings Read(schema::CodecSettings::Reader r) {
  const int kind = EnumOf(r.getKind(), schema::Codec::EDEN, "codec.kind");
  struct Range {
    uint8_t min, max;
  };
  constexpr Range kBits[] = {{32, 32}, {16, 16}, {8, 8}, {1, 4}};  // by schema::Codec
  const uint8_t bits = r.getBits();
  if (bits < kBits[kind].min || bits > kBits[kind].max) {
    Refuse("codec.bits is ", bits, ", wanted ", kBits[kind].min, " to ", kBits[kind].max,
           " with codec.kind ", kind);
  }
  return {.kind = static_cast<uint8_t>(kind), .bits = bits};
}

TrainSettings Read(schema::TrainSettings::Reader r) {
  return {.optimizer = LabelOf(r.getOptimizer(), "train.optimizer"),
          .learning_rate = NotNegative(r.getLearningRate(), "train.learningRate"),
          .momentum = NotNegative(r.getMomentum(), "train.momentum"),
          .weight_decay = NotNegative(r.getWeightDecay(), "train.weightDecay"),
          .clip_norm = NotNegative(r.getClipNorm(), "train.clipNorm"),
          .batch_size = Positive(r.getBatchSize(), "train.batchSize"),
          .epochs = r.getEpochs(),
          .max_steps = r.getMaxSteps(),
          .client = LabelOf(r.getClient(), "train.client"),
          .client_config = TextOf(r.getClientConfig(), "train.clientConfig"),
          .clip_value = NotNegative(r.getClipValue(), "train.clipValue"),
          .proximal = NotNegative(r.getProximal(), "train.proximal"),
          .beta1 = NotNegative(r.getBeta1(), "train.beta1"),
          .beta2 = NotNegative(r.getBeta2(), "train.beta2"),
          .epsilon = NotNegative(r.getEpsilon(), "train.epsilon"),
          .decay_weights_only = r.getDecayWeightsOnly(),
          .schedule = TextOf(r.getSchedule(), "train.schedule")};
}

// ---- Session

Hello Read(schema::Hello::Reader r) {
  CheckVersions(r.getVersionMin(), r.getVersionMax());
  const auto properties = r.getProperties();
  if (properties.size() > kMaxProperties) {
    Refuse(properties.size(), " properties, wanted at most ", kMaxProperties);
  }
  Hello m{.version_min = r.getVersionMin(),
          .version_max = r.getVersionMax(),
          .federation = LabelOf(r.getFederation(), "federation"),
          .device_key = Exact<32>(r.getDeviceKey(), "deviceKey"),
          .token = TextOf(r.getToken(), "token", kMaxTokenBytes, TextKind::kLabel),
          .name = LabelOf(r.getName(), "name"),
          .runtime = LabelOf(r.getRuntime(), "runtime"),
          .examples = r.getExamples(),
          .properties = {}};
  for (const auto property : properties) {
    std::string key = LabelOf(property.getKey(), "a property's key");
    if (key.empty()) Refuse("a property's key is empty");
    m.properties.emplace_back(std::move(key),
                              TextOf(property.getValue(), "a property's value", kMaxPropertyValue));
  }
  return m;
}
Challenge Read(schema::Challenge::Reader r) { return {.nonce = Exact<32>(r.getNonce(), "nonce")}; }
Proof Read(schema::Proof::Reader r) {
  return {.signature = Exact<64>(r.getSignature(), "signature")};
}
Welcome Read(schema::Welcome::Reader r) {
  return {.version = static_cast<uint16_t>(Positive(r.getVersion(), "version")),
          .federation = LabelOf(r.getFederation(), "federation"),
          .model_name = LabelOf(r.getModelName(), "modelName"),
          .round = r.getRound(),
          .model = DigestOf(r.getModel(), "model"),
          .model_bytes = r.getModelBytes(),
          .federation_json = TextOf(r.getFederationJson(), "federationJson"),
          .ping_interval_ms = Positive(r.getPingIntervalMs(), "pingIntervalMs")};
}
Ping Read(schema::Ping::Reader r) { return {.nonce = r.getNonce()}; }
Pong Read(schema::Pong::Reader r) { return {.nonce = r.getNonce()}; }
Bye Read(schema::Bye::Reader r) {
  return {.reason = TextOf(r.getReason(), "reason"), .finished = r.getFinished()};
}
WireError Read(schema::Error::Reader r) {
  CheckVersions(r.getVersionMin(), r.getVersionMax());
  return {.code = CodeOf(r.getCode()),
          .message = TextOf(r.getMessage(), "message"),
          .version_min = r.getVersionMin(),
          .version_max = r.getVersionMax()};
}

// ---- Model

ModelWant Read(schema::ModelWant::Reader r) {
  return {.digest = DigestOf(r.getDigest()), .offset = r.getOffset()};
}
ModelOffer Read(schema::ModelOffer::Reader r) {
  return {.digest = DigestOf(r.getDigest()), .bytes = r.getBytes()};
}
ModelChunk Read(schema::ModelChunk::Reader r) {
  return {.digest = DigestOf(r.getDigest()), .offset = r.getOffset(), .data = ChunkOf(r.getData())};
}

// ---- Round

Invite Read(schema::Invite::Reader r) {
  if (r.getMaxAbs() == 0) Refuse("maxAbs is 0, wanted more");
  return {.assignment = IdOf(r.getAssignment()),
          .round = r.getRound(),
          .attempt = r.getAttempt(),
          .base = DigestOf(r.getBase(), "base"),
          .base_bytes = r.getBaseBytes(),
          .round_seed = Exact<32>(r.getRoundSeed(), "roundSeed"),
          .train = Read(r.getTrain()),
          .codec = Read(r.getCodec()),
          .max_abs = NotNegative(r.getMaxAbs(), "maxAbs"),
          .max_examples = r.getMaxExamples(),
          .deadline_ms = Positive(r.getDeadlineMs(), "deadlineMs")};
}
Accept Read(schema::Accept::Reader r) { return {.assignment = IdOf(r.getAssignment())}; }
Decline Read(schema::Decline::Reader r) {
  return {.assignment = IdOf(r.getAssignment()), .reason = TextOf(r.getReason(), "reason")};
}
Begin Read(schema::Begin::Reader r) { return {.assignment = IdOf(r.getAssignment())}; }
Abort Read(schema::Abort::Reader r) {
  return {.assignment = IdOf(r.getAssignment()), .reason = TextOf(r.getReason(), "reason")};
}
RoundClosed Read(schema::RoundClosed::Reader r) {
  return {.round = r.getRound(),
          .model = DigestOf(r.getModel(), "model"),
          .model_bytes = r.getModelBytes(),
          .counted = r.getCounted(),
          .invited = r.getInvited(),
          .accuracy = MeasureOf(r.getAccuracy(), "accuracy"),
          .loss = MeasureOf(r.getLoss(), "loss"),
          .train_loss = MeasureOf(r.getTrainLoss(), "trainLoss"),
          .uplink_bytes = r.getUplinkBytes(),
          .downlink_bytes = r.getDownlinkBytes(),
          .seconds = MeasureOf(r.getSeconds(), "seconds"),
          .connected = r.getConnected(),
          .target_reached = r.getTargetReached(),
          .last = r.getLast()};
}

// ---- Update

UpdateBegin Read(schema::UpdateBegin::Reader r) {
  return {.assignment = IdOf(r.getAssignment()),
          .bytes = r.getBytes(),
          .codec = Read(r.getCodec()),
          .elements = r.getElements(),
          .examples = r.getExamples(),
          .steps = r.getSteps(),
          .loss_before = MeasureOf(r.getLossBefore(), "lossBefore"),
          .loss_after = MeasureOf(r.getLossAfter(), "lossAfter"),
          .train_seconds = MeasureOf(r.getTrainSeconds(), "trainSeconds")};
}
UpdateGo Read(schema::UpdateGo::Reader r) {
  return {.assignment = IdOf(r.getAssignment()), .offset = r.getOffset()};
}
UpdateChunk Read(schema::UpdateChunk::Reader r) {
  return {
      .assignment = IdOf(r.getAssignment()), .offset = r.getOffset(), .data = ChunkOf(r.getData())};
}
UpdateEnd Read(schema::UpdateEnd::Reader r) {
  return {.assignment = IdOf(r.getAssignment()), .digest = DigestOf(r.getDigest())};
}
UpdateVerdict Read(schema::UpdateVerdict::Reader r) {
  return {.assignment = IdOf(r.getAssignment()),
          .verdict = static_cast<Verdict>(EnumOf(r.getVerdict(), schema::Verdict::VOID, "verdict")),
          .code = CodeOf(r.getCode()),
          .message = TextOf(r.getMessage(), "message"),
          .round = r.getRound()};
}
AssignmentQuery Read(schema::AssignmentQuery::Reader r) {
  return {.assignment = IdOf(r.getAssignment())};
}
AssignmentOpen Read(schema::AssignmentOpen::Reader r) {
  return {.assignment = IdOf(r.getAssignment())};
}

// ---- Evaluation

EvaluateRequest Read(schema::EvaluateRequest::Reader r) {
  return {.round = r.getRound(),
          .model = DigestOf(r.getModel(), "model"),
          .model_bytes = r.getModelBytes(),
          .deadline_ms = Positive(r.getDeadlineMs(), "deadlineMs")};
}
EvaluateReport Read(schema::EvaluateReport::Reader r) {
  if (r.getExamples() == 0) Refuse("examples is 0, wanted at least 1");
  if (r.getCorrect() > r.getExamples()) {
    Refuse("correct is ", r.getCorrect(), ", wanted at most examples, ", r.getExamples());
  }
  if (!std::isfinite(r.getLossSum())) {
    Refuse("lossSum is ", r.getLossSum(), ", wanted a finite number");
  }
  return {.round = r.getRound(),
          .model = DigestOf(r.getModel(), "model"),
          .examples = r.getExamples(),
          .correct = r.getCorrect(),
          .loss_sum = r.getLossSum()};
}

// ---- Frames

// Cap'n Proto's own reader of the table adds sizes in size_t, which is 32 bits in WASM and wraps;
// so the table is read here.
std::vector<kj::ArrayPtr<const capnp::word>> Segments(std::span<const capnp::word> words) {
  const auto number = [&](size_t i) {
    return LoadLE<uint32_t>(reinterpret_cast<const uint8_t*>(words.data()) + 4 * i);
  };
  if (words.empty()) Refuse("an empty frame");
  if (number(0) >= kMaxSegments) {
    Refuse("a frame of ", uint64_t{number(0)} + 1, " segments, at most ", kMaxSegments);
  }
  const uint32_t count = number(0) + 1;
  size_t at = count / 2 + 1;
  if (at > words.size()) Refuse("the segment table is cut off");
  std::vector<kj::ArrayPtr<const capnp::word>> segments;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t size = number(1 + i);
    if (size > words.size() - at) {
      Refuse("segment ", i, " of ", size, " words is cut off after ", words.size() - at);
    }
    segments.push_back(kj::arrayPtr(words.data() + at, size));
    at += size;
  }
  if (at != words.size()) Refuse((words.size() - at) * kWord, " bytes follow the message");
  return segments;
}

// The one message switch.
Message Read(schema::Envelope::Reader envelope) {
  using E = schema::Envelope;
  switch (envelope.which()) {
    case E::HELLO:
      return Read(envelope.getHello());
    case E::CHALLENGE:
      return Read(envelope.getChallenge());
    case E::PROOF:
      return Read(envelope.getProof());
    case E::WELCOME:
      return Read(envelope.getWelcome());
    case E::PING:
      return Read(envelope.getPing());
    case E::PONG:
      return Read(envelope.getPong());
    case E::BYE:
      return Read(envelope.getBye());
    case E::ERROR:
      return Read(envelope.getError());
    case E::MODEL_WANT:
      return Read(envelope.getModelWant());
    case E::MODEL_OFFER:
      return Read(envelope.getModelOffer());
    case E::MODEL_CHUNK:
      return Read(envelope.getModelChunk());
    case E::INVITE:
      return Read(envelope.getInvite());
    case E::ACCEPT:
      return Read(envelope.getAccept());
    case E::DECLINE:
      return Read(envelope.getDecline());
    case E::BEGIN:
      return Read(envelope.getBegin());
    case E::ABORT:
      return Read(envelope.getAbort());
    case E::ROUND_CLOSED:
      return Read(envelope.getRoundClosed());
    case E::UPDATE_BEGIN:
      return Read(envelope.getUpdateBegin());
    case E::UPDATE_GO:
      return Read(envelope.getUpdateGo());
    case E::UPDATE_CHUNK:
      return Read(envelope.getUpdateChunk());
    case E::UPDATE_END:
      return Read(envelope.getUpdateEnd());
    case E::UPDATE_VERDICT:
      return Read(envelope.getUpdateVerdict());
    case E::ASSIGNMENT_QUERY:
      return Read(envelope.getAssignmentQuery());
    case E::ASSIGNMENT_OPEN:
      return Read(envelope.getAssignmentOpen());
    case E::EVALUATE_REQUEST:
      return Read(envelope.getEvaluateRequest());
    case E::EVALUATE_REPORT:
      return Read(envelope.getEvaluateReport());
    case E::SECURE_ADVERTISE:
    case E::SECURE_SHARES:
    case E::SECURE_MASKED:
    case E::SECURE_UNMASK:
    case E::RELEASE_OFFER:
    case E::RELEASE_REPORT:
    case E::EDGE_LEASE:
    case E::EDGE_PARTIAL:
    case E::EDGE_COMMITTED:
      break;
  }
  throw Refusal{
      {Code::kUnsupported, StrCat("a message of type ", static_cast<int>(envelope.which()),
                                  ", which version ", kProtocolVersion, " does not have")}};
}

}  // namespace

std::string_view MessageName(const Message& message) { return kNames[message.index()]; }

Result<Message> DecodeMessage(ByteSpan frame, size_t max_frame) {
  if (frame.size() > max_frame) {
    return Fail(Code::kLimit, "a frame of ", frame.size(), " bytes, at most ", max_frame);
  }
  if (frame.size() % kWord != 0) {
    return Fail(Code::kData, "a frame of ", frame.size(),
                " bytes is no message: not a multiple of ", kWord);
  }
  const size_t words = frame.size() / kWord;
  AlignedBuffer<uint8_t> aligned;
  if (reinterpret_cast<uintptr_t>(frame.data()) % kWord != 0) {
    aligned = AlignedBuffer<uint8_t>(frame.size());
    std::memcpy(aligned.data(), frame.data(), frame.size());
    frame = aligned.span();
  }
  std::string_view name = "a frame";
  try {
    const auto segments = Segments({reinterpret_cast<const capnp::word*>(frame.data()), words});
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 3 * words + 1024;
    options.nestingLimit = 8;
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments.data(), segments.size()),
                                            options);
    const auto envelope = reader.getRoot<schema::Envelope>();
    if (const size_t which = envelope.which(); which < std::size(kNames)) name = kNames[which];
    Message message = Read(envelope);
    if (std::holds_alternative<Hello>(message) && frame.size() > kMaxFrameBeforeWelcome) {
      return Fail(Code::kLimit, "a hello of ", frame.size(), " bytes, at most ",
                  kMaxFrameBeforeWelcome);
    }
    return message;
  } catch (const Refusal& refusal) {
    return Annotate(refusal.error, name);
  } catch (const kj::Exception& exception) {
    // "expected <expression of the library>; words": the words are for people.
    std::string_view text = exception.getDescription().cStr();
    if (const size_t at = text.rfind("; "); at != text.npos) {
      text.remove_prefix(at + 2);
    }
    return Fail(Code::kData, name, " does not decode: ", text);
  } catch (const std::exception& exception) {
    return Fail(Code::kData, name, " does not decode: ", exception.what());
  }
}

}  // namespace linnet
