// Threads that carry out tasks in the order given.
#ifndef LINNET_NATIVE_DRIVER_TASK_QUEUE_H_
#define LINNET_NATIVE_DRIVER_TASK_QUEUE_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace linnet {

class TaskQueue {
 public:
  // `threads` >= 1; with one thread, tasks run one after another in order.
  explicit TaskQueue(size_t threads);
  // Finishes what was added, then joins.
  ~TaskQueue();
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  // Any thread.
  void Add(std::function<void()> task);
  // Forgets tasks that have not begun.
  void Clear();

 private:
  void Work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_DRIVER_TASK_QUEUE_H_
