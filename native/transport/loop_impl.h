// What the transport's own files know of the loop.
#ifndef LINNET_NATIVE_TRANSPORT_LOOP_IMPL_H_
#define LINNET_NATIVE_TRANSPORT_LOOP_IMPL_H_

#include <asio.hpp>
#include <map>
#include <memory>
#include <utility>

#include "native/transport/loop.h"

namespace linnet {

struct Loop::Impl {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(io);
  std::map<std::pair<const void*, uint64_t>, std::unique_ptr<asio::steady_timer>> timers;
  std::unique_ptr<asio::signal_set> signals;
  std::function<void(int)> caught;

  void WaitForSignal();
};

}  // namespace linnet

#endif  // LINNET_NATIVE_TRANSPORT_LOOP_IMPL_H_
