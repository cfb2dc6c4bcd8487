#include "kernels/pool.h"

#include <algorithm>
#include <thread>

#include "kernels/dispatch.h"

#if !defined(__EMSCRIPTEN__) || defined(__EMSCRIPTEN_PTHREADS__)
#include "hwy/contrib/thread_pool/thread_pool.h"
#define LINNET_HAS_THREADS 1
#else
#define LINNET_HAS_THREADS 0
#endif

namespace linnet {

#if LINNET_HAS_THREADS
namespace {

class PoolExecutor final : public Executor {
 public:
  explicit PoolExecutor(size_t threads) : pool_(threads) {}

  size_t Workers() const override { return pool_.NumWorkers(); }
  void Run(size_t tasks, const std::function<void(size_t, size_t)>& body) override {
    pool_.Run(0, tasks,
              [&body](uint64_t task, size_t worker) { body(static_cast<size_t>(task), worker); });
  }

 private:
  hwy::ThreadPool pool_;
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
