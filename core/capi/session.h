// One participant behind a linnet_session: options until it starts, then events in and actions out.
#ifndef LINNET_CAPI_SESSION_H_
#define LINNET_CAPI_SESSION_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "capi/handles.h"
#include "data/dataset.h"
#include "fed/federation.h"
#include "fed/participant.h"

namespace linnet {

// What the caller holds: raw values and how far they may go.
struct SessionData {
  std::shared_ptr<Dataset> raw;  // null = none
  float source_max = 0;          // 0 = each feature's own range
};

// {"federation", "token", ...} of linnet_create_session; unknown keys are refused.
Result<ParticipantOptions> ParseSessionOptions(std::string_view json);

// Work that is done outside, between linnet_next_task and linnet_finish_*.
struct OutsideTask {
  uint64_t id = 0;
  bool handed_out = false;
  std::shared_ptr<Work> work;
};

// The JSON that goes with it.
std::string TaskSettings(const Work& work);
// What came back; a bad result becomes the work's status.
void Fill(TrainWork& work, const linnet_train_result& result);
Status Fill(EvaluateWork& work, const linnet_evaluate_result& result);

}  // namespace linnet

struct linnet_session {
  explicit linnet_session(linnet::ParticipantOptions given) : options(std::move(given)) {}

  linnet::Status SetData(linnet::SessionData given);
  // Scales the raw data as the federation says (unit until it is known) and splits off the holdout.
  void UseData();
  linnet::Status Start(uint64_t now_ms);
  // Queues actions; computations go to `works` or `tasks`, notices are looked at on their way.
  void Take(std::vector<linnet::Participant::Action> actions);
  linnet::Status Deliver(const linnet::Event& event, uint64_t now_ms);
  // One slice of the oldest work; true while there is more.
  bool Compute(uint32_t max_steps, uint64_t now_ms);
  void Call(linnet::TrainWork& work);
  void Call(linnet::EvaluateWork& work);
  // Raw x, scaled as the training data is (without data: divided by 255 for "unit").
  linnet::Status Infer(const linnet::Model& model, const float* x, size_t n, float* logits);
  linnet::Result<std::shared_ptr<linnet::Work>> TakeTask(uint64_t id, linnet::Work::Kind kind);

  linnet::Executor* executor = nullptr;
  linnet::ParticipantOptions options;  // moved into the participant by Start
  std::unique_ptr<linnet::Participant> participant;
  linnet::SessionData data;
  linnet::Federation told;                        // the federation's public part
  std::shared_ptr<const linnet::Dataset> scaled;  // gives scale and offset for inference
  size_t held_out = 0;
  linnet::Seed device_seed{};

  linnet_train_callback train = nullptr;
  linnet_evaluate_callback evaluate = nullptr;
  void* user = nullptr;
  bool train_outside = false, evaluate_outside = false;

  linnet::ConnectionId connection = 0;
  bool connected = false;
  std::deque<linnet::Participant::Action> actions;
  linnet::Participant::Action current;  // keeps what linnet_next_action handed out
  std::string text;                     // the same for JSON
  std::deque<std::shared_ptr<linnet::Work>> works;
  uint64_t work_since_ms = 0;  // when the oldest work began, 0 = not yet
  std::vector<linnet::OutsideTask> tasks;
  uint64_t last_task = 0;

  linnet::Reader reader;
  std::shared_ptr<const linnet::Model> read_model;  // the one `reader` was planned for
};

#endif  // LINNET_CAPI_SESSION_H_
