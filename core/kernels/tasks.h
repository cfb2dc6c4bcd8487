// Work cut into tasks by its size alone, so that results do not depend on who runs them.
#ifndef LINNET_KERNELS_TASKS_H_
#define LINNET_KERNELS_TASKS_H_

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "base/executor.h"

namespace linnet {

// `units` of about `unit_flops` floating-point operations each, as tasks of neighbouring units.
struct Tasks {
  // A task outweighs handing it to another thread (microseconds), and there are no more of them
  // than balance many threads.
  static constexpr size_t kLeastFlops = size_t{1} << 20, kMost = 64;

  Tasks(size_t count, size_t unit_flops)
      : units(count),
        per_task(std::max({size_t{1}, kLeastFlops / std::max(unit_flops, size_t{1}),
                           (count + kMost - 1) / kMost})) {}
  size_t Count() const { return (units + per_task - 1) / per_task; }

  size_t units, per_task;
};

inline bool IsParallel(Executor* executor, size_t tasks) {
  return executor != nullptr && tasks > 1 && executor->Workers() > 1;
}

// Calls body(first unit, end unit), or body(first unit, end unit, worker), once for each task, on
// the executor's workers, or here where that is null.
template <class Body>
void RunTasks(Executor* executor, const Tasks& tasks, const Body& body) {
  const auto run = [&tasks, &body](size_t task, size_t worker) {
    const size_t first = task * tasks.per_task;
    const size_t end = std::min(first + tasks.per_task, tasks.units);
    if constexpr (std::is_invocable_v<Body, size_t, size_t, size_t>) {
      body(first, end, worker);
    } else {
      body(first, end);
    }
  };
  if (IsParallel(executor, tasks.Count())) {
    // One reference fits into a std::function without allocation.
    executor->Run(tasks.Count(), [&run](size_t task, size_t worker) { run(task, worker); });
  } else {
    for (size_t task = 0; task < tasks.Count(); ++task) run(task, 0);
  }
}

}  // namespace linnet

#endif  // LINNET_KERNELS_TASKS_H_
