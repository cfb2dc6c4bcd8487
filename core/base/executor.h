// Where parallel work runs. Core makes no threads: an Executor is handed in.
#ifndef LINNET_BASE_EXECUTOR_H_
#define LINNET_BASE_EXECUTOR_H_

#include <cstddef>
#include <functional>

namespace linnet {

class Executor {
 public:
  virtual ~Executor() = default;
  // The number of workers, at least 1. Worker indices are below it.
  virtual size_t Workers() const = 0;
  // Calls body(task, worker) once for each task in [0, tasks), possibly at the same time on
  // different workers, and returns when all have returned. Never called from inside a body.
  virtual void Run(size_t tasks, const std::function<void(size_t task, size_t worker)>& body) = 0;
};

// Runs everything on the calling thread, in order.
class InlineExecutor final : public Executor {
 public:
  size_t Workers() const override { return 1; }
  void Run(size_t tasks, const std::function<void(size_t, size_t)>& body) override {
    for (size_t task = 0; task < tasks; ++task) body(task, 0);
  }
};

}  // namespace linnet

#endif  // LINNET_BASE_EXECUTOR_H_
