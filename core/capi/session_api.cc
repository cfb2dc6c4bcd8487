// The functions of linnet.h on sessions.
#include <cmath>
#include <vector>

#include "base/bytes.h"
#include "capi/session.h"
#include "data/strokes.h"

using linnet::Code;
using linnet::Json;
using linnet::Report;

namespace linnet {
namespace {

Status CheckData(const float* x, const int32_t* y, size_t n, size_t features, uint32_t classes,
                 float source_max) {
  if (features == 0 || features > (1u << 28) || classes == 0)
    return Fail(Code::kInvalid, "the data has ", features, " features and ", classes, " classes");
  if (!(source_max >= 0) || !std::isfinite(source_max))
    return Fail(Code::kInvalid, "source_max is ", source_max, ", wanted 0 or the largest value");
  for (size_t i = 0; i < n * features; ++i)
    if (!std::isfinite(x[i]))
      return Fail(Code::kData, "feature ", i % features, " of example ", i / features,
                  " is not finite");
  for (size_t i = 0; i < n; ++i)
    if (y[i] < 0 || uint32_t(y[i]) >= classes)
      return Fail(Code::kInvalid, "label ", i, " is ", y[i], ", wanted 0 to ", classes - 1);
  return {};
}

std::string NoticeJson(const ParticipantNotice& notice) {
  Json out = Json::Object{{"kind", KindName(notice.kind)}, {"text", notice.text}};
  if (notice.detail.is_object())
    for (const auto& [key, value] : notice.detail.as_object()) out.Set(key, value);
  return out.Dump();
}

void Point(linnet_action& out, ByteSpan bytes) {
  out.data = bytes.data();
  out.size = bytes.size();
}

}  // namespace
}  // namespace linnet

linnet_session* linnet_create_session(const char* options_json, const void* state,
                                      size_t state_size) {
  auto options = linnet::ParseSessionOptions(options_json && *options_json ? options_json : "{}");
  if (!options) {
    Report(options.error());
    return nullptr;
  }
  if (state) {
    auto loaded = linnet::ParticipantState::Load({static_cast<const uint8_t*>(state), state_size});
    if (!loaded) {
      Report(loaded.error());
      return nullptr;
    }
    options->state = std::move(*loaded);
  } else {
    options->state = linnet::ParticipantState::New();
  }
  const linnet::Seed device_seed = options->state.device.seed;
  auto* session = new linnet_session(std::move(*options));
  session->device_seed = device_seed;
  return session;
}

void linnet_destroy_session(linnet_session* session) { delete session; }

linnet_status linnet_set_session_pool(linnet_session* session, linnet_pool* pool) {
  if (session->participant) return Report(Code::kState, "the pool is set before linnet_start");
  session->executor = pool ? pool->executor.get() : nullptr;
  return LINNET_OK;
}

linnet_status linnet_set_data(linnet_session* session, const float* x, const int32_t* y, size_t n,
                              size_t features, uint32_t classes, float source_max) {
  if (auto good = linnet::CheckData(x, y, n, features, classes, source_max); !good)
    return Report(good);
  linnet::SessionData data;
  data.source_max = source_max;
  if (n > 0) {
    data.raw = std::make_shared<linnet::Dataset>();
    data.raw->shape = {uint32_t(features)};
    data.raw->classes = classes;
    data.raw->f32.assign(x, x + n * features);
    data.raw->labels.assign(y, y + n);
    data.raw->source = "the caller's arrays";
  }
  return Report(session->SetData(std::move(data)));
}

linnet_status linnet_set_strokes(linnet_session* session, uint64_t seed, uint32_t first_writer,
                                 uint32_t last_writer, uint32_t per_writer) {
  if (last_writer < first_writer || last_writer >= (1u << 20) || per_writer == 0 ||
      per_writer > 10000)
    return Report(Code::kInvalid, "writers ", first_writer, " to ", last_writer, ", ", per_writer,
                  " images each: wanted an ascending range below 1048576 and 1 to 10000 images");
  linnet::StrokesOptions options;
  options.seed = seed;
  options.first_writer = first_writer;
  options.last_writer = last_writer;
  options.per_writer = per_writer;
  linnet::SessionData data;
  data.raw = std::make_shared<linnet::Dataset>(linnet::MakeStrokes(options));
  data.source_max = 255;
  return Report(session->SetData(std::move(data)));
}

linnet_status linnet_set_callbacks(linnet_session* session, linnet_train_callback train,
                                   linnet_evaluate_callback evaluate, void* user,
                                   uint64_t examples) {
  if (session->participant) return Report(Code::kState, "callbacks are set before linnet_start");
  session->train = train;
  session->evaluate = evaluate;
  session->user = user;
  session->options.examples = examples;
  return LINNET_OK;
}

linnet_status linnet_train_outside(linnet_session* session, int32_t train, int32_t evaluate,
                                   uint64_t examples) {
  if (session->participant)
    return Report(Code::kState, "what is done outside is said before linnet_start");
  session->train_outside = train != 0;
  session->evaluate_outside = evaluate != 0;
  session->options.examples = examples;
  return LINNET_OK;
}

// ---- Events

linnet_status linnet_start(linnet_session* session, uint64_t now_ms) {
  return Report(session->Start(now_ms));
}

linnet_status linnet_on_connected(linnet_session* session, uint64_t now_ms) {
  session->connected = true;
  return Report(session->Deliver(linnet::Connected{++session->connection}, now_ms));
}

linnet_status linnet_on_disconnected(linnet_session* session, uint64_t now_ms) {
  session->connected = false;
  return Report(session->Deliver(linnet::Disconnected{session->connection}, now_ms));
}

linnet_status linnet_on_frame(linnet_session* session, const void* frame, size_t size,
                              uint64_t now_ms) {
  const linnet::ByteSpan bytes{static_cast<const uint8_t*>(frame), size};
  return Report(session->Deliver(linnet::FrameReceived{session->connection, bytes}, now_ms));
}

linnet_status linnet_on_timer(linnet_session* session, uint64_t timer, uint64_t now_ms) {
  return Report(session->Deliver(linnet::TimerFired{timer}, now_ms));
}

linnet_status linnet_on_stored(linnet_session* session, uint64_t ticket, int32_t ok,
                               uint64_t now_ms) {
  linnet::Stored stored{ticket, {}};
  if (!ok) stored.status = linnet::Fail(Code::kIo, "the caller could not store it");
  return Report(session->Deliver(stored, now_ms));
}

linnet_status linnet_run(linnet_session* session, uint32_t max_steps, uint64_t now_ms) {
  return session->Compute(max_steps, now_ms) ? 1 : 0;
}

linnet_status linnet_leave(linnet_session* session, const char* reason) {
  if (!session->participant) return Report(Code::kState, "linnet_start comes first");
  session->Take(session->participant->Leave(reason ? reason : ""));
  return LINNET_OK;
}

linnet_status linnet_pause(linnet_session* session, int32_t paused) {
  if (!session->participant) return Report(Code::kState, "linnet_start comes first");
  session->participant->set_paused(paused != 0);
  return LINNET_OK;
}

// ---- Actions

linnet_status linnet_next_action(linnet_session* session, linnet_action* out) {
  *out = {};
  const auto current = [&](linnet::ConnectionId connection) {
    return session->connected && connection == session->connection;
  };
  while (!session->actions.empty()) {
    session->current = std::move(session->actions.front());
    session->actions.pop_front();
    const auto& action = session->current;
    if (const auto* send = std::get_if<linnet::Send>(&action)) {
      if (!current(send->connection)) continue;  // that connection is gone
      out->kind = LINNET_ACTION_SEND;
      linnet::Point(*out, *send->frame);
    } else if (const auto* close = std::get_if<linnet::Close>(&action)) {
      if (!current(close->connection) && close->connection != 0) continue;
      out->kind = LINNET_ACTION_CLOSE;
      linnet::Point(*out, linnet::AsBytes(close->reason));
    } else if (const auto* timer = std::get_if<linnet::SetTimer>(&action)) {
      out->kind = LINNET_ACTION_SET_TIMER;
      out->id = timer->timer;
      out->delay_ms = timer->delay_ms;
    } else if (const auto* cancel = std::get_if<linnet::CancelTimer>(&action)) {
      out->kind = LINNET_ACTION_CANCEL_TIMER;
      out->id = cancel->timer;
    } else if (const auto* persist = std::get_if<linnet::Participant::Persist>(&action)) {
      out->kind = LINNET_ACTION_PERSIST;
      out->id = persist->ticket;
      linnet::Point(*out, persist->state);
    } else if (std::holds_alternative<linnet::Connect>(action)) {
      out->kind = LINNET_ACTION_CONNECT;
    } else if (const auto* notice = std::get_if<linnet::ParticipantNotice>(&action)) {
      out->kind = LINNET_ACTION_NOTICE;
      session->text = linnet::NoticeJson(*notice);
      linnet::Point(*out, linnet::AsBytes(session->text));
    }
    return LINNET_OK;
  }
  return LINNET_OK;
}

// ---- Tasks

linnet_status linnet_next_task(linnet_session* session, linnet_task* out) {
  *out = {};
  for (linnet::OutsideTask& task : session->tasks) {
    if (task.handed_out) continue;
    task.handed_out = true;
    out->id = task.id;
    session->text = linnet::TaskSettings(*task.work);
    out->settings_json = session->text.c_str();
    if (task.work->kind() == linnet::Work::Kind::kTrain) {
      auto& work = static_cast<linnet::TrainWork&>(*task.work);
      // Only a strategy that wants more than sgd can be missing something, and was declined.
      LINNET_CHECK(work.Prepare().has_value());
      work.parameters.assign(work.start().begin(), work.start().end());
      out->kind = LINNET_TASK_TRAIN;
      out->parameters = work.parameters.data();
      out->count = work.parameters.size();
    } else {
      const auto& work = static_cast<const linnet::EvaluateWork&>(*task.work);
      out->kind = LINNET_TASK_EVALUATE;
      out->parameters = const_cast<float*>(work.model->parameters.data());
      out->count = work.model->parameters.size();
    }
    return LINNET_OK;
  }
  return LINNET_OK;
}

linnet_status linnet_finish_training(linnet_session* session, uint64_t task,
                                     const linnet_train_result* result, uint64_t now_ms) {
  auto work = session->TakeTask(task, linnet::Work::Kind::kTrain);
  if (!work) return Report(work.error());
  auto& training = static_cast<linnet::TrainWork&>(**work);
  linnet::Fill(training, *result);
  const auto status = training.status;
  session->Take(session->participant->Handle(linnet::Computed{*work}, now_ms));
  return Report(status);
}

linnet_status linnet_finish_evaluation(linnet_session* session, uint64_t task,
                                       const linnet_evaluate_result* result, uint64_t now_ms) {
  auto work = session->TakeTask(task, linnet::Work::Kind::kEvaluate);
  if (!work) return Report(work.error());
  const auto status = linnet::Fill(static_cast<linnet::EvaluateWork&>(**work), *result);
  session->Take(session->participant->Handle(linnet::Computed{*work}, now_ms));
  return Report(status);
}

linnet_status linnet_fail_task(linnet_session* session, uint64_t task, const char* reason,
                               uint64_t now_ms) {
  const auto failed = linnet::Fail(Code::kInternal, reason ? reason : "own training gave up");
  if (auto work = session->TakeTask(task, linnet::Work::Kind::kTrain)) {
    static_cast<linnet::TrainWork&>(**work).status = failed;
    session->Take(session->participant->Handle(linnet::Computed{*work}, now_ms));
    return LINNET_OK;
  }
  auto work = session->TakeTask(task, linnet::Work::Kind::kEvaluate);
  if (!work) return Report(work.error());
  static_cast<linnet::EvaluateWork&>(**work).status = failed;
  session->Take(session->participant->Handle(linnet::Computed{*work}, now_ms));
  return LINNET_OK;
}

// ---- The model, the state

linnet_model* linnet_session_model(linnet_session* session) {
  const auto model = session->participant ? session->participant->model() : nullptr;
  if (model) return new linnet_model{*model, {}, {}, {}, nullptr};
  Report(Code::kState, "no model has arrived yet");
  return nullptr;
}

linnet_status linnet_session_infer(linnet_session* session, const float* x, size_t n, float* logits,
                                   size_t classes) {
  const auto model = session->participant ? session->participant->model() : nullptr;
  if (!model) return Report(Code::kState, "no model has arrived yet");
  if (classes != model->graph.classes)
    return Report(Code::kInvalid, "found room for ", classes, " classes, the model has ",
                  model->graph.classes);
  if (!session->read_model || !(session->read_model->graph == model->graph)) session->reader = {};
  session->read_model = model;
  return Report(session->Infer(*model, x, n, logits));
}

const char* linnet_describe_session(linnet_session* session) {
  const auto& participant = session->participant;
  const linnet::ParticipantState& state =
      participant ? participant->state() : session->options.state;
  Json progress, model;
  if (!session->works.empty() && session->works.front()->kind() == linnet::Work::Kind::kTrain)
    progress = static_cast<const linnet::TrainWork&>(*session->works.front()).progress();
  if (participant && participant->model()) model = linnet::DescribeModel(*participant->model());
  session->text = Json(Json::Object{{"device", linnet::Hex(state.device.public_key)},
                                    {"roundsCounted", state.rounds_counted},
                                    {"examplesCounted", state.examples_counted},
                                    {"examples", session->data.raw ? session->data.raw->size() : 0},
                                    {"heldOut", session->held_out},
                                    {"ended", participant ? participant->ended() : ""},
                                    {"progress", std::move(progress)},
                                    {"model", std::move(model)}})
                      .Dump();
  return session->text.c_str();
}
