// A coordinator on a table: scripted participants on one side, a store and a clock in the test's
// hand.
#ifndef LINNET_TESTS_FED_ROOM_H_
#define LINNET_TESTS_FED_ROOM_H_

#include <deque>
#include <limits>
#include <map>
#include <vector>

#include "fed/coordinator.h"
#include "sim/memory_store.h"
#include "support/federation.h"
#include "wire/messages.h"

namespace linnet::testing {

class Room {
 public:
  explicit Room(const std::string& federation_json, Recovered recovered = {},
                uint64_t inflight_budget = 64 << 20) {
    CoordinatorOptions options;
    options.federation = Must(ParseFederation(federation_json));
    options.initial = Must(BuiltinModel("softmax-regression", SeedFromInt(1)));
    options.strategy = *Must(BuiltinTable().Find(options.federation.strategy.id));
    options.recovered = std::move(recovered);
    options.secret = SeedFromInt(42);
    options.tokens = {"another-token", "the-token"};
    options.inflight_budget = inflight_budget;
    model_size = options.initial.parameters.size();
    codec = options.federation.upload;
    coordinator = Must(Coordinator::Create(std::move(options)));
    Do(coordinator->Start(now_ms));
  }

  // ---- The participants: connection id = index + 1.
  void Handle(const Event& event) { Do(coordinator->Handle(event, now_ms)); }
  void Connect(int who) { Handle(Connected{uint64_t(who) + 1}); }
  void Disconnect(int who) { Handle(Disconnected{uint64_t(who) + 1}); }
  void Send(int who, const Message& message) { SendBytes(who, EncodeMessage(message)); }
  void SendBytes(int who, const Bytes& frame) { Handle(FrameReceived{uint64_t(who) + 1, frame}); }
  static SigningKey Key(int who) {
    return SigningKey::FromSeed(DeriveSeed(SeedFromInt(9), "key", uint64_t(who)));
  }
  static Hello MakeHello(int who) {
    Hello hello;
    hello.device_key = Key(who).public_key;
    hello.name = StrCat("p", who);
    hello.examples = 10;
    return hello;
  }
  // Hello and a proof; false when no challenge came.
  bool Greet(int who, const Hello& hello, bool honest = true) {
    const Bytes frame = EncodeMessage(hello);
    SendBytes(who, frame);
    auto challenge = Take<Challenge>(who);
    if (!challenge) return false;
    Bytes text;
    for (char c : std::string_view("linnet.v1 challenge")) text.push_back(uint8_t(c));
    text.insert(text.end(), challenge->nonce.begin(), challenge->nonce.end());
    const Digest digest = Blake2b(frame);
    text.insert(text.end(), digest.begin(), digest.end());
    Proof proof{Key(honest ? who : who + 1000).Sign(text)};
    Send(who, proof);
    return true;
  }
  void Join(int who) {
    Connect(who);
    ASSERT_TRUE(Greet(who, MakeHello(who)));
    ASSERT_TRUE(Take<Welcome>(who).has_value());
  }
  // Everything up to the point where the update flows; `value` in all elements.
  UpdateBegin MakeBegin(const Invite& invite, uint64_t examples = 10) const {
    UpdateBegin begin;
    begin.assignment = invite.assignment;
    begin.bytes = EncodedBytes(codec, model_size);
    begin.codec = {uint8_t(codec.kind), codec.bits};
    begin.elements = model_size;
    begin.examples = examples;
    begin.loss_before = begin.loss_after = begin.train_seconds =
        std::numeric_limits<double>::quiet_NaN();
    return begin;
  }
  Bytes MakeUpdate(int who, const Invite& invite, float value) const {
    const std::vector<float> x(model_size, value);
    Bytes encoded;
    EXPECT_TRUE(Encode(codec, MakeCodecSeed(invite.round_seed, Key(who).public_key), x,
                       BestKernels(), encoded));
    return encoded;
  }
  void Upload(int who, const Invite& invite, const Bytes& encoded) {
    for (size_t at = 0; at < encoded.size(); at += kMaxChunk) {
      const size_t size = std::min(kMaxChunk, encoded.size() - at);
      UpdateChunk chunk{invite.assignment, at, {}};
      chunk.data.assign(encoded.begin() + ptrdiff_t(at), encoded.begin() + ptrdiff_t(at + size));
      Send(who, chunk);
    }
    Send(who, UpdateEnd{invite.assignment, Blake2b(encoded)});
  }
  // Accepts, announces, uploads; the invitation must have come.
  Invite Deliver(int who, float value, uint64_t examples = 10) {
    auto invite = Take<Invite>(who);
    EXPECT_TRUE(invite.has_value()) << "participant " << who << " was not invited";
    if (!invite) return {};
    Send(who, Accept{invite->assignment});
    EXPECT_TRUE(Take<Begin>(who).has_value());
    Send(who, MakeBegin(*invite, examples));
    if (Take<UpdateGo>(who)) Upload(who, *invite, MakeUpdate(who, *invite, value));
    return *invite;
  }

  // ---- What came out. Takes the first message of this type; earlier ones of other types are
  // dropped.
  template <typename T>
  std::optional<T> Take(int who) {
    auto& queue = sent[uint64_t(who) + 1];
    while (!queue.empty()) {
      Message message = std::move(queue.front());
      queue.pop_front();
      if (auto* wanted = std::get_if<T>(&message)) return std::move(*wanted);
    }
    return std::nullopt;
  }
  bool Closed(int who) const { return closed.contains(uint64_t(who) + 1); }
  // Lets `ms` pass and fires what is due.
  void Pass(uint64_t ms) {
    const uint64_t until = now_ms + ms;
    while (true) {
      auto due = timers.end();
      for (auto it = timers.begin(); it != timers.end(); ++it)
        if (it->second <= until && (due == timers.end() || it->second < due->second)) due = it;
      if (due == timers.end()) break;
      now_ms = due->second;
      const TimerId timer = due->first;
      timers.erase(due);
      Handle(TimerFired{timer});
    }
    now_ms = until;
  }
  // With hold_store, commits wait here until this is called.
  void ReleaseStore(Status status = {}) {
    auto waiting = std::exchange(held, {});
    for (auto& [ticket, records] : waiting) {
      if (status) store.Apply(records);
      Handle(Stored{ticket, status});
    }
  }

  std::unique_ptr<Coordinator> coordinator;
  MemoryStore store;
  uint64_t now_ms = 1000;
  bool hold_store = false;
  std::vector<std::pair<uint64_t, std::vector<JournalRecord>>> held;
  std::map<ConnectionId, std::deque<Message>> sent;
  std::map<ConnectionId, std::string> closed;
  std::map<TimerId, uint64_t> timers;
  std::vector<Notice> notices;
  size_t model_size = 0;
  CodecSpec codec;

 private:
  void Do(std::vector<Coordinator::Action> actions) {
    for (Coordinator::Action& action : actions) {
      if (auto* send = std::get_if<::linnet::Send>(&action)) {
        auto message = DecodeMessage(*send->frame);
        ASSERT_TRUE(message) << message.error().message;
        sent[send->connection].push_back(std::move(*message));
      } else if (auto* set = std::get_if<SetTimer>(&action)) {
        timers[set->timer] = now_ms + set->delay_ms;
      } else if (auto* cancel = std::get_if<CancelTimer>(&action)) {
        timers.erase(cancel->timer);
      } else if (auto* persist = std::get_if<Persist>(&action)) {
        if (hold_store) {
          held.emplace_back(persist->ticket, std::move(persist->records));
        } else {
          store.Apply(persist->records);
          Handle(Stored{persist->ticket, {}});
        }
      } else if (auto* compute = std::get_if<Compute>(&action)) {
        while (compute->work->Run(1000)) {
        }
        Handle(Computed{compute->work});
      } else if (auto* close = std::get_if<Close>(&action)) {
        closed[close->connection] = close->reason;
        Handle(Disconnected{close->connection});
      } else if (auto* notice = std::get_if<Notice>(&action)) {
        notices.push_back(std::move(*notice));
      }
    }
  }
};

}  // namespace linnet::testing

#endif  // LINNET_TESTS_FED_ROOM_H_
