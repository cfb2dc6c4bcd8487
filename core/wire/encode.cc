// Messages to frames. What is checked here is our own doing; texts for people are made fit instead.
#include <capnp/message.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "wire/linnet.capnp.h"
#include "wire/messages.h"
#include "wire/text.h"

namespace linnet {
namespace {

using Envelope = schema::Envelope::Builder;

capnp::Data::Reader Data(ByteSpan bytes) { return {bytes.data(), bytes.size()}; }

capnp::Text::Reader Text(const std::string& text) { return {text.c_str(), text.size()}; }

// A text with a meaning for machines.
capnp::Text::Reader Checked(const std::string& text, size_t max_bytes, TextKind kind) {
  LINNET_CHECK_MSG(text.size() <= max_bytes, "a text of ", text.size(), " bytes, at most ",
                   max_bytes);
  LINNET_CHECK(IsClean(text, kind));
  return Text(text);
}
capnp::Text::Reader Label(const std::string& text) {
  return Checked(text, kMaxLabel, TextKind::kLabel);
}
std::string LabelForPeople(const std::string& text) {
  return MakeClean(text, kMaxLabel, TextKind::kLabel);
}
std::string TextForPeople(const std::string& text) {
  return MakeClean(text, kMaxText, TextKind::kText);
}

capnp::Data::Reader Chunk(const Bytes& data) {
  LINNET_CHECK(!data.empty() && data.size() <= kMaxChunk);
  return Data(data);
}

float Finite(float value, float minimum) {
  LINNET_CHECK(std::isfinite(value) && value >= minimum);
  return value;
}

// "NaN = unknown": a diverged loss is as unknown as one that was not measured.
double Measure(double value) {
  return std::isfinite(value) ? value : std::numeric_limits<double>::quiet_NaN();
}

schema::Code ToSchema(Code code) {
  LINNET_CHECK(code >= Code::kInvalid && code <= Code::kInternal);
  return static_cast<schema::Code>(static_cast<int>(code) - 1);
}

void Write(const CodecSettings& m, schema::CodecSettings::Builder b) {
  LINNET_CHECK(m.kind <= static_cast<uint8_t>(schema::Codec::EDEN));
  b.setKind(static_cast<schema::Codec>(m.kind));
  b.setBits(m.bits);
}

void Write(const TrainSettings& m, schema::TrainSettings::Builder b) {
  LINNET_CHECK(m.batch_size > 0);
  b.setOptimizer(Label(m.optimizer));
  b.setLearningRate(Finite(m.learning_rate, 0));
  b.setMomentum(Finite(m.momentum, 0));
  b.setWeightDecay(Finite(m.weight_decay, 0));
  b.setClipNorm(Finite(m.clip_norm, 0));
  b.setBatchSize(m.batch_size);
  b.setEpochs(m.epochs);
  b.setMaxSteps(m.max_steps);
  b.setClient(Label(m.client));
  b.setClientConfig(Checked(m.client_config, kMaxText, TextKind::kText));
  b.setClipValue(Finite(m.clip_value, 0));
  b.setProximal(Finite(m.proximal, 0));
  b.setBeta1(Finite(m.beta1, 0));
  b.setBeta2(Finite(m.beta2, 0));
  b.setEpsilon(Finite(m.epsilon, 0));
  b.setDecayWeightsOnly(m.decay_weights_only);
  b.setSchedule(Checked(m.schedule, kMaxText, TextKind::kText));
}

// ---- Session

// Its fields are checked by CheckHello.
void Write(const Hello& m, Envelope envelope) {
  auto b = envelope.initHello();
  b.setVersionMin(m.version_min);
  b.setVersionMax(m.version_max);
  b.setFederation(Text(m.federation));
  b.setDeviceKey(Data(m.device_key));
  b.setToken(Text(m.token));
  b.setName(Text(LabelForPeople(m.name)));
  b.setRuntime(Text(LabelForPeople(m.runtime)));
  b.setExamples(m.examples);
  auto properties = b.initProperties(m.properties.size());
  for (size_t i = 0; i < m.properties.size(); ++i) {
    properties[i].setKey(Text(m.properties[i].first));
    properties[i].setValue(Text(m.properties[i].second));
  }
}
void Write(const Challenge& m, Envelope envelope) {
  envelope.initChallenge().setNonce(Data(m.nonce));
}
void Write(const Proof& m, Envelope envelope) {
  envelope.initProof().setSignature(Data(m.signature));
}
void Write(const Welcome& m, Envelope envelope) {
  LINNET_CHECK(m.version >= 1 && m.ping_interval_ms >= 1);
  auto b = envelope.initWelcome();
  b.setVersion(m.version);
  b.setFederation(Label(m.federation));
  b.setModelName(Text(LabelForPeople(m.model_name)));
  b.setRound(m.round);
  b.setModel(Data(m.model));
  b.setModelBytes(m.model_bytes);
  b.setFederationJson(Checked(m.federation_json, kMaxText, TextKind::kText));
  b.setPingIntervalMs(m.ping_interval_ms);
}
void Write(const Ping& m, Envelope envelope) { envelope.initPing().setNonce(m.nonce); }
void Write(const Pong& m, Envelope envelope) { envelope.initPong().setNonce(m.nonce); }
void Write(const Bye& m, Envelope envelope) {
  auto b = envelope.initBye();
  b.setReason(Text(TextForPeople(m.reason)));
  b.setFinished(m.finished);
}
void Write(const WireError& m, Envelope envelope) {
  LINNET_CHECK(m.version_min >= 1 && m.version_min <= m.version_max);
  auto b = envelope.initError();
  b.setCode(ToSchema(m.code));
  b.setMessage(Text(TextForPeople(m.message)));
  b.setVersionMin(m.version_min);
  b.setVersionMax(m.version_max);
}

// ---- Model

void Write(const ModelWant& m, Envelope envelope) {
  auto b = envelope.initModelWant();
  b.setDigest(Data(m.digest));
  b.setOffset(m.offset);
}
void Write(const ModelOffer& m, Envelope envelope) {
  auto b = envelope.initModelOffer();
  b.setDigest(Data(m.digest));
  b.setBytes(m.bytes);
}
void Write(const ModelChunk& m, Envelope envelope) {
  auto b = envelope.initModelChunk();
  b.setDigest(Data(m.digest));
  b.setOffset(m.offset);
  b.setData(Chunk(m.data));
}

// ---- Round

void Write(const Invite& m, Envelope envelope) {
  LINNET_CHECK(m.max_abs > 0 && m.deadline_ms >= 1);
  auto b = envelope.initInvite();
  b.setAssignment(Data(m.assignment));
  b.setRound(m.round);
  b.setAttempt(m.attempt);
  b.setBase(Data(m.base));
  b.setBaseBytes(m.base_bytes);
  b.setRoundSeed(Data(m.round_seed));
  Write(m.train, b.initTrain());
  Write(m.codec, b.initCodec());
  b.setMaxAbs(Finite(m.max_abs, 0));
  b.setMaxExamples(m.max_examples);
  b.setDeadlineMs(m.deadline_ms);
}
void Write(const Accept& m, Envelope envelope) {
  envelope.initAccept().setAssignment(Data(m.assignment));
}
void Write(const Decline& m, Envelope envelope) {
  auto b = envelope.initDecline();
  b.setAssignment(Data(m.assignment));
  b.setReason(Text(TextForPeople(m.reason)));
}
void Write(const Begin& m, Envelope envelope) {
  envelope.initBegin().setAssignment(Data(m.assignment));
}
void Write(const Abort& m, Envelope envelope) {
  auto b = envelope.initAbort();
  b.setAssignment(Data(m.assignment));
  b.setReason(Text(TextForPeople(m.reason)));
}
void Write(const RoundClosed& m, Envelope envelope) {
  auto b = envelope.initRoundClosed();
  b.setRound(m.round);
  b.setModel(Data(m.model));
  b.setModelBytes(m.model_bytes);
  b.setCounted(m.counted);
  b.setInvited(m.invited);
  b.setAccuracy(Measure(m.accuracy));
  b.setLoss(Measure(m.loss));
  b.setTrainLoss(Measure(m.train_loss));
  b.setUplinkBytes(m.uplink_bytes);
  b.setDownlinkBytes(m.downlink_bytes);
  b.setSeconds(Measure(m.seconds));
  b.setConnected(m.connected);
  b.setTargetReached(m.target_reached);
  b.setLast(m.last);
}

// ---- Update

void Write(const UpdateBegin& m, Envelope envelope) {
  auto b = envelope.initUpdateBegin();
  b.setAssignment(Data(m.assignment));
  b.setBytes(m.bytes);
  Write(m.codec, b.initCodec());
  b.setElements(m.elements);
  b.setExamples(m.examples);
  b.setSteps(m.steps);
  b.setLossBefore(Measure(m.loss_before));
  b.setLossAfter(Measure(m.loss_after));
  b.setTrainSeconds(Measure(m.train_seconds));
}
void Write(const UpdateGo& m, Envelope envelope) {
  auto b = envelope.initUpdateGo();
  b.setAssignment(Data(m.assignment));
  b.setOffset(m.offset);
}
void Write(const UpdateChunk& m, Envelope envelope) {
  auto b = envelope.initUpdateChunk();
  b.setAssignment(Data(m.assignment));
  b.setOffset(m.offset);
  b.setData(Chunk(m.data));
}
void Write(const UpdateEnd& m, Envelope envelope) {
  auto b = envelope.initUpdateEnd();
  b.setAssignment(Data(m.assignment));
  b.setDigest(Data(m.digest));
}
void Write(const UpdateVerdict& m, Envelope envelope) {
  LINNET_CHECK(m.verdict <= Verdict::kVoid);
  auto b = envelope.initUpdateVerdict();
  b.setAssignment(Data(m.assignment));
  b.setVerdict(static_cast<schema::Verdict>(m.verdict));
  b.setCode(ToSchema(m.code));
  b.setMessage(Text(TextForPeople(m.message)));
  b.setRound(m.round);
}
void Write(const AssignmentQuery& m, Envelope envelope) {
  envelope.initAssignmentQuery().setAssignment(Data(m.assignment));
}
void Write(const AssignmentOpen& m, Envelope envelope) {
  envelope.initAssignmentOpen().setAssignment(Data(m.assignment));
}

// ---- Evaluation

void Write(const EvaluateRequest& m, Envelope envelope) {
  LINNET_CHECK(m.deadline_ms >= 1);
  auto b = envelope.initEvaluateRequest();
  b.setRound(m.round);
  b.setModel(Data(m.model));
  b.setModelBytes(m.model_bytes);
  b.setDeadlineMs(m.deadline_ms);
}
void Write(const EvaluateReport& m, Envelope envelope) {
  LINNET_CHECK(m.examples >= 1 && m.correct <= m.examples);
  auto b = envelope.initEvaluateReport();
  b.setRound(m.round);
  b.setModel(Data(m.model));
  b.setExamples(m.examples);
  b.setCorrect(m.correct);
  b.setLossSum(std::isfinite(m.loss_sum) ? m.loss_sum : std::numeric_limits<double>::max());
}

// ---- Frames

// Words that structs, digests and ids of any message take, generously (the longest, invite, has
// 33).
constexpr size_t kFixedWords = 64;

// Words of the segment at most: so that it is one allocation, made before it is filled.
size_t SegmentWords(const Message& message) {
  size_t words = kFixedWords;
  const auto add = [&](size_t bytes) { words += bytes / sizeof(capnp::word) + 1; };
  std::visit(
      [&](const auto& m) {
        using T = std::decay_t<decltype(m)>;
        if constexpr (requires { m.data; }) add(m.data.size());
        if constexpr (requires { m.reason; }) add(m.reason.size());
        if constexpr (requires { m.message; }) add(m.message.size());
        if constexpr (requires { m.federation; }) add(m.federation.size());
        if constexpr (requires { m.train; }) {
          add(m.train.optimizer.size());
          add(m.train.client.size());
          add(m.train.client_config.size());
          add(m.train.schedule.size());
        }
        if constexpr (std::is_same_v<T, Welcome>) {
          add(m.model_name.size());
          add(m.federation_json.size());
        }
        if constexpr (std::is_same_v<T, Hello>) {
          add(m.token.size());
          add(m.name.size());
          add(m.runtime.size());
          for (const auto& [key, value] : m.properties) {
            words += 2;  // the two pointers
            add(key.size());
            add(value.size());
          }
        }
      },
      message);
  return words;
}

Bytes Frame(const Message& message) {
  constexpr size_t kTableBytes = 8;  // u32 segments - 1, u32 words of the only segment
  Bytes frame(kTableBytes + SegmentWords(message) * sizeof(capnp::word));
  capnp::FlatMessageBuilder builder(
      kj::arrayPtr(reinterpret_cast<capnp::word*>(frame.data() + kTableBytes),
                   (frame.size() - kTableBytes) / sizeof(capnp::word)));
  auto envelope = builder.initRoot<schema::Envelope>();
  std::visit([&](const auto& m) { Write(m, envelope); }, message);
  const size_t words = builder.getSegmentsForOutput()[0].size();
  StoreLE<uint32_t>(frame.data(), 0);
  StoreLE<uint32_t>(frame.data() + 4, static_cast<uint32_t>(words));
  frame.resize(kTableBytes + words * sizeof(capnp::word));
  return frame;
}

Status CheckField(std::string_view field, std::string_view text, size_t max_bytes, TextKind kind) {
  if (text.size() > max_bytes) {
    return Fail(Code::kInvalid, field, " has ", text.size(), " bytes, wanted at most ", max_bytes);
  }
  if (IsClean(text, kind)) return {};
  return Fail(Code::kInvalid, field, " is not UTF-8 without control characters");
}

}  // namespace

Status CheckHello(const Hello& m) {
  if (m.version_min == 0 || m.version_min > m.version_max) {
    return Fail(Code::kInvalid, "versions ", m.version_min, " to ", m.version_max, " are no range");
  }
  LINNET_TRY_STATUS(CheckField("the federation's name", m.federation, kMaxLabel, TextKind::kLabel));
  LINNET_TRY_STATUS(CheckField("the token", m.token, kMaxTokenBytes, TextKind::kLabel));
  if (m.properties.size() > kMaxProperties) {
    return Fail(Code::kInvalid, "found ", m.properties.size(), " properties, wanted at most ",
                kMaxProperties);
  }
  for (const auto& [key, value] : m.properties) {
    if (key.empty()) return Fail(Code::kInvalid, "a property's key is empty");
    LINNET_TRY_STATUS(CheckField("a property's key", key, kMaxLabel, TextKind::kLabel));
    LINNET_TRY_STATUS(CheckField("the property " + key, value, kMaxPropertyValue, TextKind::kText));
  }
  const size_t bytes = Frame(m).size();
  if (bytes <= kMaxFrameBeforeWelcome) return {};
  return Fail(Code::kInvalid, "token and properties make a hello of ", bytes,
              " bytes, wanted at most ", kMaxFrameBeforeWelcome);
}

Bytes EncodeMessage(const Message& message) {
  if (const Hello* hello = std::get_if<Hello>(&message)) {
    const Status status = CheckHello(*hello);
    LINNET_CHECK_MSG(status.has_value(), status ? "" : status.error().message);
  }
  return Frame(message);
}

}  // namespace linnet
