// A real coordinator process and participants that train nothing: what is left is Linnet's own
// cost.
#ifndef LINNET_TESTS_BENCH_IDLE_H_
#define LINNET_TESTS_BENCH_IDLE_H_

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "fed/participant.h"
#include "native/driver/allocator.h"
#include "native/transport/client.h"
#include "native/transport/loop.h"
#include "wire/messages.h"

namespace linnet {

// A participant whose training returns the base with a small change, at once. Several share a loop.
class IdleParticipant {
 public:
  IdleParticipant(Loop& loop, uint16_t port, const std::string& name) : loop_(loop) {
    ParticipantOptions options;
    options.name = name;
    options.runtime = "idle";
    options.state = ParticipantState::New();
    options.examples = 1;
    options.own_training = true;
    SystemRandom(options.jitter);
    participant_ = Participant::Create(std::move(options));
    ClientOptions client;
    client.host = "127.0.0.1";
    client.port = port;
    client.subprotocol = kSubprotocol;
    ClientHandlers handlers;
    handlers.connected = [this] { Happen(Connected{connection_}); };
    handlers.disconnected = [this](const std::string&) {
      const ConnectionId gone = connection_++;
      Happen(Disconnected{gone});
    };
    handlers.frame = [this](const uint8_t* data, size_t size) {
      Happen(FrameReceived{connection_, {data, size}});
    };
    client_ = Client::Create(loop_, client, std::move(handlers));
  }
  ~IdleParticipant() { loop_.CancelTimers(this); }
  void Start() { Perform(participant_->Start(Loop::NowMs())); }

 private:
  void Happen(const Event& event) { Perform(participant_->Handle(event, Loop::NowMs())); }
  void Perform(std::vector<Participant::Action> actions) {
    for (auto& action : actions) std::visit([this](auto& value) { Do(value); }, action);
  }
  void Do(Send& action) { client_->Send(action.frame); }
  void Do(SetTimer& action) {
    loop_.SetTimer(this, action.timer, action.delay_ms,
                   [this, timer = action.timer] { Happen(TimerFired{timer}); });
  }
  void Do(CancelTimer& action) { loop_.CancelTimer(this, action.timer); }
  void Do(Participant::Persist& action) {
    loop_.Post([this, ticket = action.ticket] { Happen(Stored{ticket, {}}); });
  }
  void Do(Compute& action) {
    if (auto train = std::dynamic_pointer_cast<TrainWork>(action.work)) {
      train->parameters = train->base->parameters;
      for (size_t i = 0; i < train->parameters.size(); ++i) {
        train->parameters[i] += i % 2 == 0 ? 1e-4f : -1e-4f;
      }
      train->examples = train->steps = 1;
      train->Finish();
    } else {
      while (action.work->Run(1000)) {
      }
    }
    loop_.Post([this, work = action.work] { Happen(Computed{work}); });
  }
  void Do(Close& action) { client_->Close(action.reason); }
  void Do(Connect&) { client_->Connect(); }
  void Do(ParticipantNotice&) {}

  Loop& loop_;
  std::unique_ptr<Participant> participant_;
  std::unique_ptr<Client> client_;
  ConnectionId connection_ = 1;
};

// Runs `count` idle participants in a process of their own until it is killed.
inline pid_t StartIdle(uint16_t port, int count, int first) {
  const pid_t child = fork();
  if (child != 0) return child;
  KeepLargeBlocks();  // as in the program's main
  Loop loop;
  std::vector<std::unique_ptr<IdleParticipant>> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(
        std::make_unique<IdleParticipant>(loop, port, "idle-" + std::to_string(first + i)));
    all.back()->Start();
  }
  loop.Run();
  _exit(0);
}

// `linnet serve --json` with this federation, in a folder of its own.
class ServeProcess {
 public:
  ServeProcess(const Json& federation, const std::vector<std::string>& more) {
    std::string name = (std::filesystem::temp_directory_path() / "linnet-bench-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    std::ofstream(folder_ + "/fed.json") << federation.Dump();
    const auto self = std::filesystem::read_symlink("/proc/self/exe");
    const char* named = std::getenv("LINNET");
    const std::string program =
        named != nullptr ? named : (self.parent_path().parent_path() / "linnet").string();
    std::vector<std::string> arguments = {
        program,       "serve",   folder_ + "/fed.json", "--listen",
        "127.0.0.1:0", "--state", folder_ + "/state",    "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    int pipes[2];
    if (pipe(pipes) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      dup2(pipes[1], STDOUT_FILENO);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(program.c_str(), argv.data());
      std::perror(program.c_str());
      _exit(127);
    }
    close(pipes[1]);
    lines_ = fdopen(pipes[0], "r");
    const auto listening = Next("listening");
    if (!listening) std::exit(1);
    const std::string address = listening->Find("address")->as_string();
    port_ = uint16_t(std::stoi(address.substr(address.rfind(':') + 1)));
  }
  ~ServeProcess() {
    kill(pid_, SIGKILL);
    for (const pid_t child : children_) kill(child, SIGKILL);
    while (waitpid(-1, nullptr, 0) > 0) {
    }
    std::fclose(lines_);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  ServeProcess(const ServeProcess&) = delete;
  ServeProcess& operator=(const ServeProcess&) = delete;

  // The next line with this "event"; nothing when the process ended before.
  std::optional<Json> Next(std::string_view event) {
    char* line = nullptr;
    size_t capacity = 0;
    std::optional<Json> found;
    while (!found && getline(&line, &capacity, lines_) > 0) {
      auto json = Json::Parse(line);
      const Json* name = json ? json->Find("event") : nullptr;
      if (name != nullptr && name->as_string() == event) found = std::move(*json);
    }
    std::free(line);
    return found;
  }
  void AddIdle(int processes, int each) {
    for (int i = 0; i < processes; ++i) children_.push_back(StartIdle(port_, each, i * each));
  }
  // "VmHWM" (peak resident memory) or "VmRSS" of the coordinator, in KiB.
  uint64_t MemoryKiB(const std::string& key) const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind(key + ":", 0) == 0) return std::stoull(line.substr(key.size() + 1));
    }
    return 0;
  }

 private:
  std::string folder_;
  pid_t pid_ = 0;
  FILE* lines_ = nullptr;
  uint16_t port_ = 0;
  std::vector<pid_t> children_;
};

}  // namespace linnet

#endif  // LINNET_TESTS_BENCH_IDLE_H_
