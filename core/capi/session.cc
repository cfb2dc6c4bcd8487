#include "capi/session.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>

#include "base/nearest.h"
#include "fed/federation.h"
#include "wire/text.h"

namespace linnet {
namespace {

constexpr std::array<std::string_view, 8> kOptionNames = {
    "federation",       "token",        "name", "runtime", "properties", "followModel",
    "maxStepsPerRound", "maxModelBytes"};

std::unexpected<Error> Unwanted(std::string_view key, const Json& found, std::string_view wanted) {
  return Fail(Code::kInvalid, "option ", key, ": found ", found.TypeName(), ", wanted ", wanted);
}

Status ReadText(std::string_view key, const Json& value, size_t limit, TextKind kind,
                std::string& out) {
  if (!value.is_string() || value.as_string().size() > limit || !IsClean(value.as_string(), kind))
    return Unwanted(key, value, StrCat("a text of at most ", limit, " bytes"));
  out = value.as_string();
  return {};
}

Status ReadCount(std::string_view key, const Json& value, uint64_t& out) {
  if (!value.is_int() || value.as_int() < 1) return Unwanted(key, value, "an integer from 1");
  out = uint64_t(value.as_int());
  return {};
}

Status ReadOption(std::string_view key, const Json& value, ParticipantOptions& out) {
  if (key == "federation") return ReadText(key, value, kMaxLabel, TextKind::kLabel, out.federation);
  if (key == "token") return ReadText(key, value, kMaxTokenBytes, TextKind::kText, out.token);
  if (key == "name") return ReadText(key, value, kMaxLabel, TextKind::kLabel, out.name);
  if (key == "runtime") return ReadText(key, value, kMaxLabel, TextKind::kLabel, out.runtime);
  if (key == "maxStepsPerRound") return ReadCount(key, value, out.max_steps_per_round);
  if (key == "maxModelBytes") return ReadCount(key, value, out.max_model_bytes);
  if (key == "followModel") {
    if (!value.is_bool()) return Unwanted(key, value, "true or false");
    out.follow_model = value.as_bool();
    return {};
  }
  if (key == "properties") {
    if (!value.is_object() || value.as_object().size() > kMaxProperties)
      return Unwanted(key, value, StrCat("an object of at most ", kMaxProperties, " texts"));
    for (const auto& [name, property] : value.as_object()) {
      if (name.size() > kMaxLabel || !IsClean(name, TextKind::kLabel))
        return Fail(Code::kInvalid, "option properties: a name is longer than ", kMaxLabel,
                    " bytes or no clean text");
      LINNET_TRY_STATUS(ReadText(StrCat("properties.", name), property, kMaxPropertyValue,
                                 TextKind::kText, out.properties.emplace_back(name, "").second));
    }
    return {};
  }
  return Fail(Code::kInvalid, "there is no option \"", key, "\"; the nearest is \"",
              NearestName(key, kOptionNames), "\"");
}

// Divides by source_max where the federation wants unit scale and the source is known.
Status ScaleAs(const Federation& told, float source_max, Dataset& data) {
  if (told.scale != Scaling::kUnit || source_max <= 0) return ScaleAsTold(told, data);
  data.scale = {1 / source_max};
  data.offset = {0};
  return {};
}

// The same keys and numbers as the federation file's "train", and what the round adds.
std::string SettingsOf(const TrainWork& work) {
  Federation federation;
  federation.train = work.settings;
  const Json all = FederationToJson(federation);
  Json settings = *all.Find("train");
  settings.Set("client", work.settings.client);
  settings.Set("clientConfig", work.settings.client_config);
  settings.Set("maxExamples", work.max_examples);
  settings.Set("round", work.round);
  return settings.Dump();
}

}  // namespace

Result<ParticipantOptions> ParseSessionOptions(std::string_view json) {
  ParticipantOptions options;
  options.runtime = "c";
  options.data_is_scaled = true;  // the session scales, because inference must do the same
  LINNET_TRY(const Json parsed, Json::Parse(json));
  if (!parsed.is_object())
    return Fail(Code::kInvalid, "options: found ", parsed.TypeName(), ", wanted an object");
  for (const auto& [key, value] : parsed.as_object())
    LINNET_TRY_STATUS(ReadOption(key, value, options));
  SystemRandom(options.jitter);
  return options;
}

std::string TaskSettings(const Work& work) {
  if (work.kind() == Work::Kind::kTrain) return SettingsOf(static_cast<const TrainWork&>(work));
  return Json(Json::Object{{"round", static_cast<const EvaluateWork&>(work).round}}).Dump();
}

void Fill(TrainWork& work, const linnet_train_result& result) {
  work.examples = result.examples;
  work.steps = result.steps;
  work.loss_before = result.loss_before;
  work.loss_after = result.loss_after;
  work.Finish();
}

Status Fill(EvaluateWork& work, const linnet_evaluate_result& result) {
  if (result.correct > result.examples || !std::isfinite(result.loss_sum))
    return work.status =
               Fail(Code::kInvalid, "an evaluation of ", result.examples, " examples reports ",
                    result.correct, " correct and a loss of ", result.loss_sum);
  work.metrics = {result.examples, result.correct, result.loss_sum};
  return {};
}

}  // namespace linnet

using linnet::Code;
using linnet::EvaluateWork;
using linnet::Participant;
using linnet::ParticipantNotice;
using linnet::Status;
using linnet::TrainWork;
using linnet::Work;

Status linnet_session::SetData(linnet::SessionData given) {
  data = std::move(given);
  UseData();
  return {};
}

void linnet_session::UseData() {
  linnet::DataView train_view, holdout;
  if (data.raw) {
    auto copy = std::make_shared<linnet::Dataset>(*data.raw);
    if (Status possible = linnet::ScaleAs(told, data.source_max, *copy); possible) {
      scaled = std::move(copy);
      linnet::SplitHoldout(linnet::WholeView(scaled), device_seed, train_view, holdout);
    } else {  // data of another task: nothing is trained with it
      actions.push_back(
          ParticipantNotice{ParticipantNotice::Kind::kError, possible.error().message, {}});
    }
  } else if (evaluate != nullptr || evaluate_outside) {
    // A participant without held-out rows is not asked to evaluate; the row itself is never read.
    auto stand_in = std::make_shared<linnet::Dataset>();
    stand_in->shape = {1};
    stand_in->classes = 1;
    stand_in->f32 = {0};
    stand_in->labels = {0};
    holdout = linnet::WholeView(stand_in);
  }
  held_out = data.raw ? holdout.size() : 0;
  if (participant) {
    participant->set_data(std::move(train_view), std::move(holdout));
  } else {
    options.train = std::move(train_view);
    options.holdout = std::move(holdout);
  }
}

Status linnet_session::Start(uint64_t now_ms) {
  if (participant) return linnet::Fail(Code::kState, "the session was started before");
  options.own_training = train != nullptr || train_outside;
  UseData();
  participant = Participant::Create(std::move(options));
  Take(participant->Start(now_ms));
  return {};
}

void linnet_session::Take(std::vector<Participant::Action> taken) {
  for (auto& action : taken) {
    if (auto* compute = std::get_if<linnet::Compute>(&action)) {
      const bool training = compute->work->kind() == Work::Kind::kTrain;
      if (training ? train_outside : evaluate_outside) {
        // A participant has one task of a kind; an older one is of a round that is over.
        std::erase_if(tasks, [&](const linnet::OutsideTask& task) {
          return task.work->kind() == compute->work->kind();
        });
        tasks.push_back({++last_task, false, std::move(compute->work)});
      } else {
        if (training) {
          static_cast<TrainWork&>(*compute->work).executor = executor;
        } else {
          static_cast<EvaluateWork&>(*compute->work).executor = executor;
        }
        works.push_back(std::move(compute->work));
      }
      continue;
    }
    if (const auto* notice = std::get_if<ParticipantNotice>(&action);
        notice && notice->kind == ParticipantNotice::Kind::kWelcomed) {
      const linnet::Json* about = notice->detail.Find("public");
      auto federation = linnet::ParseFederation(about ? about->Dump() : "{}");
      if (federation) {
        const bool same = federation->scale == told.scale && federation->mean == told.mean &&
                          federation->deviation == told.deviation;
        told = std::move(*federation);
        if (!same) UseData();
      }
    }
    actions.push_back(std::move(action));
  }
}

Status linnet_session::Deliver(const linnet::Event& event, uint64_t now_ms) {
  if (!participant) return linnet::Fail(Code::kState, "linnet_start comes first");
  Take(participant->Handle(event, now_ms));
  return {};
}

void linnet_session::Call(TrainWork& work) {
  work.status = work.Prepare();
  if (!work.status) return;
  work.parameters.assign(work.start().begin(), work.start().end());
  linnet_train_result result{0, 0, std::nan(""), std::nan("")};
  const linnet_status status = train(user, linnet::TaskSettings(work).c_str(),
                                     work.parameters.data(), work.parameters.size(), &result);
  if (status != LINNET_OK) {
    work.status = linnet::Fail(Code::kInternal, "the train callback returned ", status);
    return;
  }
  linnet::Fill(work, result);
}

void linnet_session::Call(EvaluateWork& work) {
  linnet_evaluate_result result{};
  const linnet_status status =
      evaluate(user, work.model->parameters.data(), work.model->parameters.size(), &result);
  if (status == LINNET_OK) {
    linnet::Fill(work, result);
  } else {
    work.status = linnet::Fail(Code::kInternal, "the evaluate callback returned ", status);
  }
}

bool linnet_session::Compute(uint32_t max_steps, uint64_t now_ms) {
  if (works.empty()) return false;
  if (work_since_ms == 0) work_since_ms = now_ms;
  const std::shared_ptr<Work> work = works.front();
  auto* training =
      work->kind() == Work::Kind::kTrain ? static_cast<TrainWork*>(work.get()) : nullptr;
  if (training && train) {
    Call(*training);
  } else if (!training && evaluate) {
    Call(*static_cast<EvaluateWork*>(work.get()));
  } else if (work->Run(std::max<uint32_t>(max_steps, 1))) {
    return true;
  }
  if (training) {
    // Only a work of several slices has seen the clock move.
    training->train_seconds = now_ms > work_since_ms ? double(now_ms - work_since_ms) / 1000
                                                     : std::numeric_limits<double>::quiet_NaN();
  }
  works.pop_front();
  work_since_ms = 0;
  Take(participant->Handle(linnet::Computed{work}, now_ms));
  return !works.empty();
}

Status linnet_session::Infer(const linnet::Model& model, const float* x, size_t n, float* logits) {
  const size_t features = model.graph.InputCount();
  std::vector<float> input(x, x + n * features);
  if (scaled && scaled->features() == features) {
    const auto& [scale, offset] = std::tie(scaled->scale, scaled->offset);
    for (size_t i = 0; i < input.size(); ++i) {
      const size_t j = scale.size() == 1 ? 0 : i % features;
      input[i] = input[i] * scale[j] + offset[j];
    }
  } else if (told.scale == linnet::Scaling::kUnit) {
    for (float& value : input) value *= 1.0f / 255;
  } else if (told.scale == linnet::Scaling::kStandard) {
    return linnet::Fail(Code::kState, "the federation standardizes its data: this participant ",
                        "needs data of its own to know how");
  }
  return reader.Run(model, input.data(), n, logits, executor);
}

linnet::Result<std::shared_ptr<Work>> linnet_session::TakeTask(uint64_t id, Work::Kind kind) {
  const auto at = std::ranges::find(tasks, id, &linnet::OutsideTask::id);
  if (at == tasks.end())
    return linnet::Fail(Code::kState, "task ", id, " is not open: its round is over");
  if (at->work->kind() != kind)
    return linnet::Fail(Code::kInvalid, "task ", id, " is of the other kind");
  std::shared_ptr<Work> work = std::move(at->work);
  tasks.erase(at);
  return work;
}
