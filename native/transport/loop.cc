#include "native/transport/loop.h"

#include <chrono>
#include <csignal>
#include <exception>
#include <utility>

#include "native/transport/loop_impl.h"

namespace linnet {

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::Run(const std::function<void(const std::string&)>& failed) {
  for (;;) {
    try {
      impl_->io.run();
      return;
    } catch (const std::exception& error) {
      if (failed) failed(error.what());
    }
  }
}

void Loop::Stop() { impl_->io.stop(); }

void Loop::Post(std::function<void()> task) { asio::post(impl_->io, std::move(task)); }

uint64_t Loop::NowMs() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return uint64_t(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
}

void Loop::SetTimer(const void* owner, uint64_t timer, uint64_t delay_ms,
                    std::function<void()> fired) {
  const std::pair key(owner, timer);
  auto& slot = impl_->timers[key];
  slot = std::make_unique<asio::steady_timer>(impl_->io, std::chrono::milliseconds(delay_ms));
  slot->async_wait([impl = impl_.get(), key, which = slot.get(),
                    fired = std::move(fired)](const asio::error_code& error) {
    // A timer that was moved when it had already fired is another object by now.
    const auto found = impl->timers.find(key);
    if (error || found == impl->timers.end() || found->second.get() != which) return;
    impl->timers.erase(found);
    fired();
  });
}

void Loop::CancelTimer(const void* owner, uint64_t timer) { impl_->timers.erase({owner, timer}); }

void Loop::CancelTimers(const void* owner) {
  auto& timers = impl_->timers;
  timers.erase(timers.lower_bound({owner, 0}), timers.upper_bound({owner, ~uint64_t{0}}));
}

void Loop::OnSignal(std::function<void(int)> caught) {
  impl_->caught = std::move(caught);
  impl_->signals = std::make_unique<asio::signal_set>(impl_->io, SIGINT, SIGTERM);
  impl_->WaitForSignal();
}

void Loop::Impl::WaitForSignal() {
  signals->async_wait([this](const asio::error_code& error, int signal) {
    if (error) return;
    WaitForSignal();
    caught(signal);
  });
}

}  // namespace linnet
