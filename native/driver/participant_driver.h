// A participant daemon: the machine on the loop's thread, training on a thread of its own, its
// state in a file.
#ifndef LINNET_NATIVE_DRIVER_PARTICIPANT_DRIVER_H_
#define LINNET_NATIVE_DRIVER_PARTICIPANT_DRIVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "fed/participant.h"
#include "native/driver/task_queue.h"
#include "native/transport/client.h"
#include "native/transport/loop.h"

namespace linnet {

struct ParticipantDriverOptions {
  ParticipantOptions participant;
  ClientOptions client;    // subprotocol and message limit are set here
  std::string state_file;  // replaced whole with each Persist
  // Called on the loop's thread, between events.
  std::function<void(const ParticipantNotice&)> on_notice;
  // The participant has ended for good (Participant::ended()).
  std::function<void()> on_end;
};

class ParticipantDriver {
 public:
  // `loop` outlives the driver.
  ParticipantDriver(Loop& loop, ParticipantDriverOptions options);
  ~ParticipantDriver();

  // Starts the machine; then Loop::Run.
  void Start();
  // Says bye, waits until the connection is closed and the state is stored; then `done`.
  void Leave(std::string reason, std::function<void()> done);

  const Participant& participant() const { return *participant_; }
  // Why the last connection ended or could not be made, for people.
  const std::string& last_reason() const { return last_reason_; }

 private:
  void Happen(const Event& event);
  void Perform(std::vector<Participant::Action> actions);
  void Do(Send& action);
  void Do(SetTimer& action);
  void Do(CancelTimer& action);
  void Do(Participant::Persist& action);
  void Do(Compute& action);
  void Do(Close& action);
  void Do(Connect& action);
  void Do(ParticipantNotice& action);
  void Finish();

  Loop& loop_;
  ParticipantDriverOptions options_;
  std::unique_ptr<Participant> participant_;
  std::unique_ptr<Client> client_;
  ConnectionId connection_ = 0;  // of the connection that is open or being made
  bool connecting_ = false;      // between Connect and the end of the connection
  bool ended_told_ = false;
  std::string last_reason_;
  std::function<void()> left_;
  std::atomic<bool> cancelled_ = false;
  std::atomic<const Work*> training_ = nullptr;  // the newest; an older one is for nothing
  // Last, so that their threads end before what they use.
  TaskQueue storer_{1}, worker_{1};
};

}  // namespace linnet

#endif  // LINNET_NATIVE_DRIVER_PARTICIPANT_DRIVER_H_
