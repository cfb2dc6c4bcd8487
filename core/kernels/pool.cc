#include "kernels/pool.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "kernels/dispatch.h"

#if !defined(__EMSCRIPTEN__) || defined(__EMSCRIPTEN_PTHREADS__)
#include "hwy/cache_control.h"
#ifdef __EMSCRIPTEN__
#include <emscripten/threading.h>
#endif
#define LINNET_HAS_THREADS 1
#else
#define LINNET_HAS_THREADS 0
#endif

namespace linnet {

#if LINNET_HAS_THREADS
namespace {

#ifdef __EMSCRIPTEN__
// The instructions themselves: libc++ sleeps for growing times here instead of waiting. A pause is
// nothing in WASM, so that more of them are as long.
constexpr int kSpins = 40000;
int* Address(const std::atomic<uint32_t>& word) {
  return reinterpret_cast<int*>(const_cast<std::atomic<uint32_t>*>(&word));
}
void Sleep(const std::atomic<uint32_t>& word, uint32_t old) {
  if (emscripten_is_main_browser_thread()) return;  // may not sleep: stays awake
  __builtin_wasm_memory_atomic_wait32(Address(word), static_cast<int>(old), -1);
}
void WakeAll(const std::atomic<uint32_t>& word) {
  __builtin_wasm_memory_atomic_notify(Address(word), ~0u);
}
#else
constexpr int kSpins = 2000;
void Sleep(const std::atomic<uint32_t>& word, uint32_t old) {
  word.wait(old, std::memory_order_acquire);
}
void WakeAll(std::atomic<uint32_t>& word) { word.notify_all(); }
#endif

// Returns when `word` is no longer `old`. Some ten microseconds awake, then asleep: a training step
// has dozens of parallel parts, and waking a thread takes as long as a small one of them. Highway's
// pool either sleeps at once or never.
void WaitForChange(const std::atomic<uint32_t>& word, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (word.load(std::memory_order_acquire) != old) return;
    hwy::Pause();
  }
  while (word.load(std::memory_order_acquire) == old) Sleep(word, old);
}

class PoolExecutor final : public Executor {
 public:
  explicit PoolExecutor(size_t threads) : shares_(threads) {
    for (size_t worker = 1; worker < threads; ++worker) {
      threads_.emplace_back([this, worker] { Serve(worker); });
    }
  }
  ~PoolExecutor() override {
    body_ = nullptr;
    run_.fetch_add(1, std::memory_order_release);
    WakeAll(run_);
    for (std::thread& thread : threads_) thread.join();
  }

  size_t Workers() const override { return threads_.size() + 1; }
  void Run(size_t tasks, const std::function<void(size_t, size_t)>& body) override {
    body_ = &body;
    for (size_t i = 0; i < shares_.size(); ++i) {
      shares_[i].next.store(tasks * i / shares_.size(), std::memory_order_relaxed);
      shares_[i].end = tasks * (i + 1) / shares_.size();
    }
    const auto others = static_cast<uint32_t>(threads_.size());
    busy_.store(others, std::memory_order_relaxed);
    run_.fetch_add(1, std::memory_order_release);
    WakeAll(run_);
    Work(0);
    for (uint32_t busy; (busy = busy_.load(std::memory_order_acquire)) != 0;) {
      WaitForChange(busy_, busy);
    }
  }

 private:
  // A worker's part of the tasks. Those of one call lie where those of the call before did: with
  // what they read in the caches of the core that wrote it.
  struct alignas(64) Share {
    std::atomic<size_t> next{0};
    size_t end = 0;
  };

  // The worker's own share, then what is left of the others.
  void Work(size_t worker) {
    for (size_t i = 0; i < shares_.size(); ++i) {
      Share& share = shares_[(worker + i) % shares_.size()];
      for (;;) {
        const size_t task = share.next.fetch_add(1, std::memory_order_relaxed);
        if (task >= share.end) break;
        (*body_)(task, worker);
      }
    }
  }
  void Serve(size_t worker) {
    for (uint32_t run = 0;; ++run) {
      WaitForChange(run_, run);
      if (body_ == nullptr) return;
      Work(worker);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) WakeAll(busy_);
    }
  }

  // Written by Run while no other thread works: handed over by run_, and back by busy_.
  const std::function<void(size_t, size_t)>* body_ = nullptr;
  std::vector<Share> shares_;
  alignas(64) std::atomic<uint32_t> run_{0};  // counts the calls of Run
  alignas(64) std::atomic<uint32_t> busy_{0};
  std::vector<std::thread> threads_;
};

}  // namespace
#endif

std::unique_ptr<Executor> MakePool(size_t threads) {
#if LINNET_HAS_THREADS
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  if (threads > 1) return std::make_unique<PoolExecutor>(threads);
#else
  (void)threads;
#endif
  return std::make_unique<InlineExecutor>();
}

}  // namespace linnet
