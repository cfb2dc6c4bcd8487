// linnet serve: the coordinator.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <memory>
#include <utility>

#include "kernels/pool.h"
#include "native/cli/command_line.h"
#include "native/cli/log.h"
#include "native/cli/output.h"
#include "native/cli/report.h"
#include "native/cli/setup.h"
#include "native/driver/coordinator_driver.h"
#include "native/http/address.h"
#include "native/http/page_files.h"
#include "native/http/status_json.h"
#include "native/store/file_spool.h"
#include "native/store/state_folder.h"
#include "wire/messages.h"

namespace linnet {
namespace {

constexpr size_t kReservedFiles = 64;  // database, page, log, standard streams

// One token a line; empty lines count for nothing.
Result<std::vector<std::string>> ReadTokens(const std::string& path) {
  LINNET_TRY(const Bytes bytes, ReadFile(path, 1 << 20));
  std::vector<std::string> tokens;
  std::string_view rest = AsText(bytes);
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    while (!line.empty() && std::string_view(" \t\r").contains(line.back())) line.remove_suffix(1);
    while (!line.empty() && std::string_view(" \t").contains(line.front())) line.remove_prefix(1);
    if (line.empty()) continue;
    if (line.size() > kMaxTokenBytes) {
      return Fail(Code::kLimit, path, ": a token has ", line.size(), " bytes, at most ",
                  kMaxTokenBytes, " are admitted");
    }
    tokens.emplace_back(line);
  }
  if (tokens.empty()) return Fail(Code::kInvalid, path, " holds no token, wanted one a line");
  return tokens;
}

// One run of the command, from its first line to its summary.
class Serve {
 public:
  explicit Serve(const ServeCommand& command) : command_(command), output_(command.json) {}
  Result<int> Run();

 private:
  Status Prepare();
  void Announce();
  void OnNotice(const Notice& notice);
  void OnRoundClosed(const RoundMetrics& metrics);
  void Finish();
  void Summarize();
  void Save();
  void Stop(bool finished);
  std::string Host() const;

  const ServeCommand& command_;
  Output output_;
  Federation federation_;
  PluginTable plugins_;
  Address address_;
  std::string page_folder_;
  std::unique_ptr<RoundStore> store_;
  Loop loop_;
  std::unique_ptr<Executor> pool_;  // of the aggregation
  std::unique_ptr<CoordinatorDriver> driver_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  RoundMetrics open_;
  bool round_open_ = false, summarized_ = false, stopping_ = false;
  int exit_ = kExitGood;
};

Status Serve::Prepare() {
  LINNET_TRY(federation_, LoadFederation(command_.federation_file));
  if (!command_.evaluate.empty()) federation_.evaluate.data = command_.evaluate;
  LINNET_TRY(address_, ParseAddress(command_.listen));
  const bool open = federation_.admission.mode == Federation::Admission::Mode::kOpen;
  if (open && !IsLoopback(address_.host)) {
    return Fail(Code::kPermission,
                "admission.mode is \"open\", which is for loopback only, but --listen ",
                address_.host, " can be reached by others: set admission.mode to \"token\" in ",
                command_.federation_file, ", or listen on 127.0.0.1");
  }
  page_folder_ = command_.page_folder.empty() ? FindPageFolder() : command_.page_folder;
  if (!command_.page_folder.empty()) {
    LINNET_TRY_STATUS(ReadFile(page_folder_ + "/index.html", 16 << 20));
  }
  LINNET_TRY(plugins_, MakePluginTable(command_.plugins, command_.limits));

  CoordinatorDriverOptions options;
  CoordinatorOptions& coordinator = options.coordinator;
  coordinator.strategy_log = LogStrategy;
  LINNET_TRY(coordinator.strategy,
             FindStrategy(plugins_, federation_.strategy.id, federation_.strategy.config,
                          federation_.strategy.chain));
  if (!open) {
    LINNET_TRY(coordinator.tokens, ReadTokens(federation_.admission.token_file));
  }
  LINNET_TRY(coordinator.evaluation, OpenEvaluation(federation_.evaluate.data, federation_));
  // The weights follow from the store's secret, and the store from the layout: draw them twice.
  const Dataset* like = coordinator.evaluation.get();
  LINNET_TRY(const Model blank, InitialModel(federation_, command_.init, Seed{}, like));

  StoreOptions store;
  store.folder =
      command_.state.empty() ? DefaultStateFolder("serve", federation_.name) : command_.state;
  store.fresh = command_.fresh;
  store.identity = {federation_.name, LayoutDigest(blank)};
  LINNET_TRY(store_, OpenRoundStore(store));
  if (!command_.init.empty()) {
    LINNET_TRY(const Recovered kept, store_->Load());
    if (kept.round > 0) {
      return Fail(Code::kInvalid, "--init ", command_.init, ": ", store_->folder(), " holds round ",
                  kept.round,
                  " already; leave --init away to go on from it, or "
                  "begin anew with --fresh");
    }
  }
  LINNET_TRY(coordinator.initial, InitialModel(federation_, command_.init, store_->secret(), like));
  coordinator.federation = federation_;
  pool_ = MakePool(command_.threads);
  coordinator.executor = pool_.get();
  coordinator.spool = MakeFileSpool(store_->folder());
  coordinator.expect = command_.expect;

  const size_t files = RaiseFileLimit();
  options.server.host = address_.host;
  options.server.port = address_.port;
  options.server.allowed_origins = command_.allowed_origins;
  options.server.max_connections =
      std::min(options.server.max_connections,
               files > 2 * kReservedFiles ? files - kReservedFiles : files / 2);
  options.page_folder = page_folder_;
  options.threads = command_.threads;
  options.on_notice = [this](const Notice& notice) { OnNotice(notice); };
  LINNET_TRY(driver_, CoordinatorDriver::Create(loop_, *store_, std::move(options)));
  address_.port = driver_->port();
  return {};
}

// Where people go: a wildcard address is shown as this machine's loopback.
std::string Serve::Host() const {
  Address shown = address_;
  if (shown.host == "0.0.0.0") shown.host = "127.0.0.1";
  if (shown.host == "::") shown.host = "::1";
  return shown.HostPort();
}

void Serve::Announce() {
  const Coordinator& coordinator = driver_->coordinator();
  const CoordinatorStatus status = coordinator.Status();
  const auto model = LoadModel(*coordinator.model());
  const std::string about = model ? DescribeModel(model->graph) : federation_.model.builtin;
  output_.Object(
      Json::Object{{"event", "listening"},
                   {"federation", federation_.name},
                   {"address", "ws://" + Host()},
                   {"page", page_folder_.empty() ? Json() : Json("http://" + Host() + "/")},
                   {"state", store_->folder()},
                   {"round", status.round},
                   {"modelBytes", status.model_bytes}});
  output_.Line(StrCat(output_.Bold(federation_.name), ": ", about, ", ",
                      DescribeStrategy(federation_), ", uploads as ",
                      CodecName(federation_.upload)));
  output_.Line(StrCat("  daemons join   linnet join ws://", Host(), " --data SOURCE"));
  if (page_folder_.empty()) {
    output_.Line(StrCat("  status         http://", Host(),
                        "/v1/status (no page was found beside the "
                        "program; --web names one)"));
  } else {
    output_.Line(StrCat("  tabs join      ", output_.Bold("http://" + Host() + "/")));
  }
  output_.Line(
      StrCat("  state          ", store_->folder(),
             status.round > 0 ? StrCat(", goes on after round ", status.round) : std::string()));
  output_.Line(StrCat("  target         ", DescribeTarget(federation_), ", at most ",
                      federation_.round.max_rounds, " rounds"));
}

void Serve::OnNotice(const Notice& notice) {
  using Kind = Notice::Kind;
  output_.ClearLive();
  switch (notice.kind) {
    case Kind::kJoined:
    case Kind::kLeft:
      if (output_.json()) {
        output_.Object(Json::Object{{"event", notice.kind == Kind::kJoined ? "joined" : "left"},
                                    {"text", notice.text}});
      } else {
        LogInfo(notice.text);
      }
      break;
    case Kind::kRoundOpened:
      open_ = notice.metrics;
      round_open_ = true;
      output_.Object(Json::Object{{"event", "opened"},
                                  {"round", open_.round},
                                  {"attempt", open_.attempt},
                                  {"invited", open_.invited}});
      output_.Live(notice.text);
      break;
    case Kind::kUpdateCounted:
      ++open_.counted;
      output_.Live(
          StrCat("round ", open_.round, ": ", open_.counted, " of ", open_.invited, " updates"));
      break;
    case Kind::kUpdateRefused:
    case Kind::kAttemptVoid:
      output_.Object(Json::Object{{"event", notice.kind == Kind::kAttemptVoid ? "void" : "refused"},
                                  {"text", notice.text}});
      if (!output_.json()) LogWarning(notice.text);
      break;
    case Kind::kRoundClosed:
      OnRoundClosed(notice.metrics);
      break;
    case Kind::kWaiting:
      output_.Object(Json::Object{{"event", "waiting"}, {"text", notice.text}});
      output_.Live(notice.text);
      if (!output_.terminal() && !output_.json()) LogInfo(notice.text);
      break;
    case Kind::kFailed:
      output_.Object(Json::Object{{"event", "failed"}, {"text", notice.text}});
      LogError(notice.text);
      loop_.Post([this] { Finish(); });
      break;
    case Kind::kFinished:
      loop_.Post([this] { Finish(); });
      break;
  }
}

void Serve::OnRoundClosed(const RoundMetrics& metrics) {
  round_open_ = false;
  output_.Line(RoundLine(metrics));
  Json line = Json::Object{{"event", "round"}};
  for (auto& member : MetricsJson(metrics).as_object()) line.Set(member.first, member.second);
  output_.Object(line);
}

// The federation is over, well or badly; a store that only stumbled goes on.
void Serve::Finish() {
  const bool failed = driver_->coordinator().Status().phase == "failed";
  if (!driver_->coordinator().finished() && !failed) return;
  if (!summarized_) {
    summarized_ = true;
    Summarize();
    Save();
  }
  if (command_.once) return Stop(!failed);
  output_.Line(output_.Dim("still serving the model; Ctrl-C ends it"));
}

void Serve::Summarize() {
  const Coordinator& coordinator = driver_->coordinator();
  const CoordinatorStatus status = coordinator.Status();
  const bool failed = status.phase == "failed";
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  const bool wanted = federation_.round.target_value.has_value();
  const bool good = !failed && (!wanted || coordinator.target_reached());
  if (!good) exit_ = kExitMissed;
  const double accuracy = status.history.empty() ? std::nan("") : status.history.back().accuracy;
  Json::Array people;
  for (const auto& member : StatusJson(federation_, coordinator).as_object()) {
    if (member.first == "participants") people = member.second.as_array();
  }
  output_.Object(Json::Object{{"done", true},
                              {"federation", federation_.name},
                              {"rounds", status.round},
                              {"accuracy", accuracy},
                              {"targetReached", coordinator.target_reached()},
                              {"failed", failed},
                              {"uplinkBytes", status.uplink_bytes},
                              {"downlinkBytes", status.downlink_bytes},
                              {"seconds", seconds},
                              {"participants", std::move(people)}});
  const std::string verdict = failed    ? output_.Red("the federation failed")
                              : !wanted ? output_.Green("all rounds are done")
                              : good    ? output_.Green("the target is reached")
                                        : output_.Red("the target was missed");
  output_.Line("");
  output_.Line(StrCat(output_.Bold(federation_.name), ": ", verdict, ": ",
                      status.history.empty() ? "no score" : ScoreText(status.history.back()),
                      " after ", status.round, " rounds, ", HumanSeconds(seconds)));
  PrintAccuracy(output_, status.history);
  PrintParticipants(output_, status.participants);
  output_.Line(StrCat("  in all: up ", HumanBytes(status.uplink_bytes), ", down ",
                      HumanBytes(status.downlink_bytes)));
}

void Serve::Save() {
  if (command_.save.empty()) return;
  const SharedBytes best = driver_->coordinator().best_model();
  if (const Status saved = ReplaceFile(command_.save, *best); !saved) {
    LogError(saved.error().message);
    exit_ = kExitSystem;
    return;
  }
  output_.Object(
      Json::Object{{"event", "saved"}, {"file", command_.save}, {"model", Hex(Blake2b(*best))}});
  output_.Line(StrCat("  the best model is in ", command_.save));
}

void Serve::Stop(bool finished) {
  if (stopping_) return;
  stopping_ = true;
  driver_->Shutdown(finished, [this] { loop_.Stop(); });
}

Result<int> Serve::Run() {
  std::signal(SIGPIPE, SIG_IGN);  // whoever reads the output may go away
  LINNET_TRY_STATUS(Prepare());
  loop_.OnSignal([this](int) {
    if (stopping_) return loop_.Stop();  // the second one does not wait
    output_.Line("stopping: the state is kept, the next start goes on from here");
    if (!summarized_) Save();
    Stop(false);
  });
  Announce();  // from here on others may send signals
  driver_->Start();
  loop_.Run([](const std::string& error) { LogError(error); });
  driver_.reset();
  return exit_;
}

}  // namespace

Result<int> Run(const ServeCommand& command) { return Serve(command).Run(); }

}  // namespace linnet
