// The event loop: one thread that owns sockets, timers and machines.
#ifndef LINNET_NATIVE_TRANSPORT_LOOP_H_
#define LINNET_NATIVE_TRANSPORT_LOOP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace linnet {

// Run makes the calling thread the loop's thread. Everything but Post, Stop and NowMs belongs to
// that thread, or to the time before Run.
class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Returns after Stop. `failed` hears of exceptions out of handlers; the loop goes on.
  void Run(const std::function<void(const std::string&)>& failed = {});
  // Any thread.
  void Stop();
  // Any thread: runs `task` on the loop's thread, in the order posted.
  void Post(std::function<void()> task);
  // Any thread: milliseconds of a clock that only grows.
  static uint64_t NowMs();

  // Calls `fired` once after `delay_ms`. Each owner (any address) has timers of its own; setting
  // one that is set moves it.
  void SetTimer(const void* owner, uint64_t timer, uint64_t delay_ms, std::function<void()> fired);
  void CancelTimer(const void* owner, uint64_t timer);
  // All of them; to be called before an owner whose timers may be set is gone.
  void CancelTimers(const void* owner);
  // Calls `caught` for each SIGINT and SIGTERM.
  void OnSignal(std::function<void(int)> caught);

  struct Impl;  // of the transport's own files
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_TRANSPORT_LOOP_H_
