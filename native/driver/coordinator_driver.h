// A coordinator that serves real sockets: the machine on the loop's thread, its computation on a
// worker pool, its journal on a thread of its own.
#ifndef LINNET_NATIVE_DRIVER_COORDINATOR_DRIVER_H_
#define LINNET_NATIVE_DRIVER_COORDINATOR_DRIVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "fed/coordinator.h"
#include "native/driver/task_queue.h"
#include "native/http/routes.h"
#include "native/store/round_store.h"
#include "native/transport/loop.h"
#include "native/transport/server.h"

namespace linnet {

struct CoordinatorDriverOptions {
  CoordinatorOptions coordinator;  // `recovered` and `secret` come from the store
  ServerOptions server;            // subprotocol and message limits are set here
  std::string page_folder;
  size_t threads = 0;  // workers; 0 = one per core
  // Called on the loop's thread, between events.
  std::function<void(const Notice&)> on_notice;
};

class CoordinatorDriver {
 public:
  // Listens (kIo: the port is in use, ...). `loop` and `store` outlive the driver.
  static Result<std::unique_ptr<CoordinatorDriver>> Create(Loop& loop, RoundStore& store,
                                                           CoordinatorDriverOptions options);
  ~CoordinatorDriver();

  // Starts the machine; then Loop::Run.
  void Start();
  // Tells everybody that the coordinator stops, closes, finishes what is being stored; then `done`.
  void Shutdown(bool finished, std::function<void()> done);

  const Coordinator& coordinator() const { return *coordinator_; }
  uint16_t port() const { return server_->port(); }

 private:
  CoordinatorDriver(Loop& loop, RoundStore& store, CoordinatorDriverOptions options,
                    std::unique_ptr<Coordinator> coordinator);
  Status Listen(ServerOptions options);
  void Happen(const Event& event);
  void Perform(std::vector<Coordinator::Action> actions);
  void Do(Send& action);
  void Do(SetTimer& action);
  void Do(CancelTimer& action);
  void Do(Persist& action);
  void Do(Compute& action);
  void Do(Close& action);
  void Do(Notice& action);

  Loop& loop_;
  RoundStore& store_;
  std::function<void(const Notice&)> on_notice_;
  std::unique_ptr<Coordinator> coordinator_;
  Routes routes_;
  std::unique_ptr<Server> server_;
  std::unordered_map<ConnectionId, bool> welcomed_;  // of every open connection
  bool stopping_ = false;
  std::atomic<bool> cancelled_ = false;
  // Last, so that their threads end before what they use.
  TaskQueue tidier_{1}, storer_{1}, workers_;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_DRIVER_COORDINATOR_DRIVER_H_
