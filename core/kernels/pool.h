// An Executor of threads. Made by programs, tests and benchmarks, and by core/capi for its callers;
// everything else gets an Executor handed down.
#ifndef LINNET_KERNELS_POOL_H_
#define LINNET_KERNELS_POOL_H_

#include <memory>

#include "base/executor.h"

namespace linnet {

// `threads` = workers in all, the caller included (1 = no thread is made; 0 = one per core).
std::unique_ptr<Executor> MakePool(size_t threads);

}  // namespace linnet

#endif  // LINNET_KERNELS_POOL_H_
