// linnet join: a participant daemon.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>

#include "data/partition.h"
#include "native/cli/command_line.h"
#include "native/cli/output.h"
#include "native/data/source.h"
#include "native/driver/participant_driver.h"
#include "native/http/address.h"
#include "native/store/state_folder.h"
#include "wire/messages.h"

namespace linnet {
namespace {

constexpr size_t kMaxStateBytes = 1u << 20;
constexpr int kDefaultFolders = 1000;

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 && name[0] != 0 ? name : "participant";
}

// The folder named, or the first of NAME, NAME-2, ... that no other process uses: several
// participants on one host are several devices.
Result<StateFolder> OpenState(const JoinCommand& command, const std::string& name) {
  if (!command.state.empty()) return StateFolder::Open(command.state);
  for (int i = 1; i <= kDefaultFolders; ++i) {
    const std::string numbered = i == 1 ? name : StrCat(name, "-", i);
    auto folder = StateFolder::Open(DefaultStateFolder("join", numbered));
    if (folder || folder.error().code != Code::kState) return folder;
  }
  return Fail(Code::kLimit, "more than ", kDefaultFolders, " participants of this name run here");
}

Result<ParticipantState> LoadState(const std::string& path) {
  const auto bytes = ReadFile(path, kMaxStateBytes);
  if (!bytes && bytes.error().code == Code::kNotFound) return ParticipantState::New();
  if (!bytes) return std::unexpected(bytes.error());
  auto state = ParticipantState::Load(*bytes);
  if (!state) {
    return Fail(state.error().code, path, ": ", state.error().message,
                "; move it away to begin as a new device");
  }
  return state;
}

// "2/8": the part with index 2 of 8 equal ones, the same split in every process.
Result<DataView> TakePart(std::shared_ptr<const Dataset> data, const JoinCommand& command) {
  if (command.part.empty()) return WholeView(std::move(data));
  const std::string& text = command.part;
  unsigned index = 0, count = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, index);
  const bool slash = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  const auto second = slash ? std::from_chars(first.ptr + 1, end, count) : first;
  if (!slash || second.ec != std::errc() || second.ptr != end || index >= count) {
    return Fail(Code::kInvalid, "--part \"", text,
                "\" is not INDEX/COUNT with INDEX below COUNT, e.g. 0/8");
  }
  LINNET_TRY(auto parts, Partition(std::move(data), command.partition, count, SeedFromInt(1)));
  return std::move(parts[index]);
}

Code CodeFromName(std::string_view name) {
  for (int code = int(Code::kInvalid); code <= int(Code::kInternal); ++code) {
    if (CodeName(Code(code)) == name) return Code(code);
  }
  return Code::kInternal;
}

class Join {
 public:
  explicit Join(const JoinCommand& command) : command_(command), output_(command.json) {}
  Result<int> Run();

 private:
  Status Prepare();
  void OnNotice(const ParticipantNotice& notice);
  void Leave(const std::string& reason);

  const JoinCommand& command_;
  Output output_;
  Address address_;
  std::optional<StateFolder> folder_;
  Loop loop_;
  std::unique_ptr<ParticipantDriver> driver_;
  bool finished_ = false, leaving_ = false;
  std::optional<Error> refused_;
};

Status Join::Prepare() {
  LINNET_TRY(address_, ParseAddress(command_.address));
  if (!address_.scheme.empty() && address_.scheme != "ws" && address_.scheme != "wss") {
    return Fail(Code::kInvalid, "\"", command_.address, "\" begins with ", address_.scheme,
                "://, wanted is ws:// or wss://");
  }
  ParticipantDriverOptions options;
  ParticipantOptions& participant = options.participant;
  participant.name = command_.name.empty() ? HostName() : command_.name;
  participant.federation = command_.federation;
  if (!command_.token_file.empty()) {
    LINNET_TRY(const Bytes token, ReadFile(command_.token_file, 2 * kMaxTokenBytes));
    participant.token = AsText(token);
    const size_t end = participant.token.find_last_not_of(" \t\r\n");
    participant.token.resize(end == std::string::npos ? 0 : end + 1);
    if (participant.token.empty() || participant.token.size() > kMaxTokenBytes) {
      return Fail(Code::kInvalid, command_.token_file, " holds ", participant.token.size(),
                  " bytes, a token has 1 to ", kMaxTokenBytes);
    }
  }
  LINNET_TRY(const TrainTest data, OpenSource(command_.data));
  LINNET_TRY(const DataView rows, TakePart(data.train, command_));

  LINNET_TRY(StateFolder folder, OpenState(command_, participant.name));
  folder_.emplace(std::move(folder));
  options.state_file = folder_->File("participant");
  LINNET_TRY(participant.state, LoadState(options.state_file));
  SplitHoldout(rows, participant.state.device.seed, participant.train, participant.holdout);
  SystemRandom(participant.jitter);
  const Kernels& kernels = BestKernels();
  participant.runtime = StrCat("native/", kernels.target);
  std::transform(participant.runtime.begin(), participant.runtime.end(),
                 participant.runtime.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });

  options.client.secure = address_.scheme == "wss";
  options.client.host = address_.host;
  options.client.port = address_.port;
  options.client.path = address_.path;
  options.on_notice = [this](const ParticipantNotice& notice) { OnNotice(notice); };
  options.on_end = [this] { Leave("ended"); };
  output_.Object(Json::Object{{"event", "device"},
                              {"device", Hex(participant.state.device.public_key)},
                              {"name", participant.name},
                              {"examples", participant.train.size()},
                              {"state", folder_->path()}});
  output_.Line(StrCat(output_.Bold(participant.name), ": device ",
                      Hex(participant.state.device.public_key).substr(0, 8), ", ",
                      participant.train.size(), " examples to train on, ",
                      participant.holdout.size(), " held out, state in ", folder_->path()));
  driver_ = std::make_unique<ParticipantDriver>(loop_, std::move(options));
  return {};
}

void Join::OnNotice(const ParticipantNotice& notice) {
  using Kind = ParticipantNotice::Kind;
  std::string text = notice.text;
  if (notice.kind == Kind::kConnecting && driver_ && !driver_->last_reason().empty()) {
    text = StrCat(address_.HostPort(), ": ", driver_->last_reason(), "; ", notice.text);
  }
  if (output_.json()) {
    Json line = Json::Object{{"event", KindName(notice.kind)}, {"text", text}};
    if (notice.detail.is_object()) {
      for (const auto& member : notice.detail.as_object()) line.Set(member.first, member.second);
    }
    output_.Object(line);
  }
  switch (notice.kind) {
    case Kind::kConnecting:
    case Kind::kWelcomed:
    case Kind::kDisconnected:
    case Kind::kVerdict:
    case Kind::kRoundClosed:
    case Kind::kFinished:
      output_.Line(text);
      break;
    case Kind::kError: {
      output_.Line(output_.Red(text));
      const Json* code = notice.detail.Find("code");
      refused_ = Error{
          code != nullptr && code->is_string() ? CodeFromName(code->as_string()) : Code::kInternal,
          text};
      break;
    }
    case Kind::kInvited:
    case Kind::kModelReady:
    case Kind::kTraining:
    case Kind::kUploading:
    case Kind::kEvaluated:
      output_.Live(text);
      break;
  }
  if (notice.kind == Kind::kFinished) {
    finished_ = true;
    if (command_.once) loop_.Post([this] { Leave("the federation has finished"); });
  }
}

void Join::Leave(const std::string& reason) {
  if (leaving_) return;
  leaving_ = true;
  driver_->Leave(reason, [this] { loop_.Stop(); });
}

Result<int> Join::Run() {
  std::signal(SIGPIPE, SIG_IGN);  // whoever reads the output may go away
  LINNET_TRY_STATUS(Prepare());
  loop_.OnSignal([this](int) {
    if (leaving_) return loop_.Stop();
    Leave("interrupted");
  });
  driver_->Start();
  loop_.Run([this](const std::string& error) { output_.Line(error); });
  const std::string ended = driver_->participant().ended();
  driver_.reset();
  // The coordinator sent it away for a reason that waiting does not mend.
  if (!finished_ && !ended.empty() && refused_) return std::unexpected(*refused_);
  return kExitGood;
}

}  // namespace

Result<int> Run(const JoinCommand& command) { return Join(command).Run(); }

}  // namespace linnet
