// Connections, greetings and models on request.
#include <algorithm>

#include "fed/coordinator_machine.h"

namespace linnet {
namespace {

constexpr std::string_view kChallengeLabel = "linnet.v1 challenge";
constexpr size_t kChunksPerWant = 16;
constexpr size_t kMaxNameBytes = 64;

// A stranger's text for logs and pages: printable ASCII, at most kMaxNameBytes.
std::string Plain(const std::string& text) {
  std::string out;
  for (char c : text.substr(0, kMaxNameBytes))
    out += (c >= ' ' && c < 127 && c != '<' && c != '>' && c != '&' && c != '"') ? c : '?';
  return out;
}

// Takes as long for the first token as for the last, and for none.
bool Admitted(const std::string& token, const std::vector<std::string>& tokens) {
  const Digest digest = Blake2b(AsBytes(token));
  bool admitted = false;
  for (const std::string& known : tokens)
    admitted |= ConstantTimeEqual(digest, Blake2b(AsBytes(known)));
  return admitted;
}

}  // namespace

void CoordinatorMachine::OnConnected(ConnectionId connection) {
  Session& session = sessions_[connection];
  session.handshake = Arm(options_.handshake_ms, [this, connection] {
    if (auto it = sessions_.find(connection); it != sessions_.end()) it->second.handshake = 0;
    Refuse(connection, Code::kLimit,
           StrCat("no valid hello and proof within ", options_.handshake_ms, " ms"));
  });
}

void CoordinatorMachine::OnDisconnected(ConnectionId connection) {
  auto it = sessions_.find(connection);
  if (it == sessions_.end()) return;
  Session session = std::move(it->second);
  sessions_.erase(it);
  Disarm(session.handshake);
  if (session.state != Session::State::kWelcomed) return;
  const PublicKey key = session.hello.device_key;
  Person& person = people_[key];
  if (person.connection != connection) return;  // it has come back on another one
  person.connection = 0;
  Tell(Notice::Kind::kLeft, StrCat(person.name, " left"));
  for (auto& [id, assignment] : open_) {
    using P = Assignment::Phase;
    if (assignment.participant != key || assignment.phase == P::kClaimed ||
        assignment.phase == P::kChecking || assignment.phase == P::kEnded)
      continue;
    Disarm(assignment.grace);
    Disarm(assignment.stall);
    assignment.grace = Arm(options_.return_grace_ms, [this, gone = id] {
      Gone(gone, "it disconnected and did not return in time");
    });
  }
  if (asked_.erase(key) > 0 && asked_.empty()) FinishFederatedEvaluation();
}

void CoordinatorMachine::Refuse(ConnectionId connection, Code code, std::string message) {
  if (!sessions_.contains(connection)) return;
  WireError error;
  error.code = code;
  error.message = message.substr(0, kMaxText);
  SendTo(connection, error);
  actions_.push_back(Close{connection, std::move(message)});
}

void CoordinatorMachine::OnFrame(ConnectionId connection, ByteSpan frame) {
  auto it = sessions_.find(connection);
  if (it == sessions_.end()) return;
  Session& session = it->second;
  uplink_ += frame.size();
  const bool welcomed = session.state == Session::State::kWelcomed;
  if (!welcomed) {
    session.early_bytes += frame.size();
    if (session.early_bytes > kMaxFrameBeforeWelcome)
      return Refuse(connection, Code::kLimit,
                    StrCat("found ", session.early_bytes,
                           " bytes before the welcome, the limit is ", kMaxFrameBeforeWelcome));
  } else {
    people_[session.hello.device_key].uplink_bytes += frame.size();
  }
  auto message = DecodeMessage(frame, welcomed ? kMaxFrame : kMaxFrameBeforeWelcome);
  if (!message) {
    if (message.error().code == Code::kUnsupported) return;  // of a newer version: ignored forward
    return Refuse(connection, message.error().code, message.error().message);
  }
  if (!welcomed) {
    if (auto* hello = std::get_if<Hello>(&*message); hello && session.state == Session::State::kNew)
      return OnHello(connection, session, std::move(*hello), frame);
    if (const auto* proof = std::get_if<Proof>(&*message);
        proof && session.state == Session::State::kChallenged)
      return OnProof(connection, session, *proof);
    return Refuse(connection, Code::kState,
                  StrCat("found ", MessageName(*message), " before the welcome, wanted ",
                         session.state == Session::State::kNew ? "hello" : "proof"));
  }
  const PublicKey key = session.hello.device_key;
  if (const auto* ping = std::get_if<Ping>(&*message)) {
    SendTo(connection, Pong{ping->nonce});
  } else if (std::get_if<Bye>(&*message)) {
    actions_.push_back(Close{connection, "bye"});
  } else if (const auto* want = std::get_if<ModelWant>(&*message)) {
    OnModelWant(connection, *want);
  } else if (const auto* accept = std::get_if<Accept>(&*message)) {
    OnAccept(key, accept->assignment);
  } else if (const auto* decline = std::get_if<Decline>(&*message)) {
    OnDecline(key, *decline);
  } else if (const auto* query = std::get_if<AssignmentQuery>(&*message)) {
    OnQuery(key, query->assignment);
  } else if (const auto* begin = std::get_if<UpdateBegin>(&*message)) {
    OnUpdateBegin(key, *begin);
  } else if (const auto* chunk = std::get_if<UpdateChunk>(&*message)) {
    OnUpdateChunk(key, *chunk);
  } else if (const auto* end = std::get_if<UpdateEnd>(&*message)) {
    OnUpdateEnd(key, *end);
  } else if (const auto* report = std::get_if<EvaluateReport>(&*message)) {
    OnReport(key, *report);
  }
}

void CoordinatorMachine::OnHello(ConnectionId connection, Session& session, Hello hello,
                                 ByteSpan frame) {
  if (hello.version_min > kProtocolVersion || hello.version_max < kProtocolVersion)
    return Refuse(connection, Code::kVersion,
                  StrCat("the participant speaks protocol ", hello.version_min, " to ",
                         hello.version_max, ", this coordinator speaks ", kProtocolVersion));
  if (!hello.federation.empty() && hello.federation != options_.federation.name)
    return Refuse(connection, Code::kNotFound,
                  StrCat("no federation \"", Plain(hello.federation), "\" here, this is \"",
                         options_.federation.name, "\""));
  if (options_.federation.admission.mode == Federation::Admission::Mode::kToken &&
      !Admitted(hello.token, options_.tokens))
    return Refuse(connection, Code::kPermission,
                  hello.token.empty() ? "this federation wants an enrolment token"
                                      : "the enrolment token is not valid");
  if (!people_.contains(hello.device_key) && people_.size() >= options_.max_participants)
    return Refuse(connection, Code::kUnavailable,
                  StrCat("full: ", people_.size(), " participants are known, the limit is ",
                         options_.max_participants));
  session.hello_digest = Blake2b(frame);
  session.hello = std::move(hello);
  session.state = Session::State::kChallenged;
  // Only has to be new, and unknown before it is sent.
  SystemRandom(session.nonce);
  SendTo(connection, Challenge{session.nonce});
}

void CoordinatorMachine::OnProof(ConnectionId connection, Session& session, const Proof& proof) {
  Bytes signed_bytes(kChallengeLabel.begin(), kChallengeLabel.end());
  signed_bytes.insert(signed_bytes.end(), session.nonce.begin(), session.nonce.end());
  signed_bytes.insert(signed_bytes.end(), session.hello_digest.begin(), session.hello_digest.end());
  const PublicKey key = session.hello.device_key;
  if (!VerifySignature(key, signed_bytes, proof.signature))
    return Refuse(connection, Code::kPermission, "the proof is not a signature by the device key");
  Disarm(session.handshake);
  session.state = Session::State::kWelcomed;
  const bool known = people_.contains(key);
  Person& person = people_[key];
  if (person.connection != 0 && person.connection != connection) {
    const ConnectionId old = person.connection;
    person.connection = 0;
    Refuse(old, Code::kUnavailable, "the same device has connected again");
  }
  person.connection = connection;
  person.name = Plain(session.hello.name);
  if (person.name.empty()) person.name = Hex(std::span(key).first(4));
  person.runtime = Plain(session.hello.runtime);
  person.examples = session.hello.examples;
  for (auto& [id, assignment] : open_)
    if (assignment.participant == key) Disarm(assignment.grace);

  Welcome welcome;
  welcome.federation = options_.federation.name;
  welcome.model_name = model_->graph.name;
  welcome.round = committed_;
  welcome.model = digest_;
  welcome.model_bytes = model_bytes_->size();
  welcome.federation_json = PublicFederation(options_.federation).Dump();
  SendTo(connection, welcome);
  Tell(Notice::Kind::kJoined,
       StrCat(person.name, " joined (", person.runtime, ", ", person.examples, " examples)"));
  if (Asynchronous() && known) Returned(key);
  MaybeOpen();
}

void CoordinatorMachine::OnModelWant(ConnectionId connection, const ModelWant& want) {
  // The model, the one before, or the values that the strategy has for the participants.
  const bool values = task_.values != nullptr && want.digest == task_.task.values;
  const bool before = !values && previous_.bytes != nullptr && want.digest == previous_.digest;
  const SharedBytes& bytes = values ? task_.values : before ? previous_.bytes : model_bytes_;
  const bool known = values || before || want.digest == digest_;
  if (!known && Asynchronous()) {
    // It was to begin from a model that is not served any more.
    const PublicKey key = sessions_.at(connection).hello.device_key;
    for (const auto& [id, assignment] : open_) {
      if (assignment.participant != key || assignment.phase > Assignment::Phase::kBegun) continue;
      GiveUp(id, "the model it was to begin from is not served any more", true, false);
      break;
    }
  }
  if (!known || want.offset >= bytes->size()) return SendTo(connection, ModelOffer{want.digest, 0});
  SendTo(connection, ModelOffer{want.digest, bytes->size()});
  // The same frames for everybody: a transport prepares each once.
  std::vector<SharedBytes>& frames = values   ? value_frames_
                                     : before ? previous_.frames
                                              : chunk_frames_;
  const size_t chunks = (bytes->size() + kMaxChunk - 1) / kMaxChunk;
  if (frames.empty()) frames.resize(chunks);
  auto make = [&](uint64_t offset, uint64_t end) {
    ModelChunk chunk;
    chunk.digest = want.digest;
    chunk.offset = offset;
    chunk.data.assign(bytes->begin() + ptrdiff_t(offset), bytes->begin() + ptrdiff_t(end));
    return std::make_shared<const Bytes>(EncodeMessage(chunk));
  };
  uint64_t offset = want.offset;
  for (size_t sent = 0; sent < kChunksPerWant && offset < bytes->size(); ++sent) {
    const size_t index = offset / kMaxChunk;
    const uint64_t end = std::min<uint64_t>((index + 1) * kMaxChunk, bytes->size());
    if (offset % kMaxChunk != 0) {  // resumed inside a chunk
      SendFrame(connection, make(offset, end));
    } else {
      SharedBytes& frame = frames[index];
      if (!frame) frame = make(offset, end);
      SendFrame(connection, frame);
    }
    offset = end;
  }
}

}  // namespace linnet
