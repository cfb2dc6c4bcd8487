// The functions of linnet.h on pools.
#include "kernels/pool.h"

#include <algorithm>

#include "capi/handles.h"

linnet_pool* linnet_create_pool(uint32_t threads) {
  return new linnet_pool{linnet::MakePool(std::max(threads, 1u))};
}

uint32_t linnet_pool_threads(const linnet_pool* pool) {
  return static_cast<uint32_t>(pool->executor->Workers());
}

void linnet_destroy_pool(linnet_pool* pool) { delete pool; }
