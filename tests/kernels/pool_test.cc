#include "kernels/pool.h"

#include <atomic>
#include <thread>

#include "kernels/guarded.h"

namespace linnet {
namespace {

TEST(PoolTest, EveryTaskRunsOnceOnAWorkerInRange) {
  for (const size_t threads : {0, 1, 2, 4}) {
    const std::unique_ptr<Executor> pool = MakePool(threads);
    ASSERT_GE(pool->Workers(), 1u);
    for (const size_t tasks : {0, 1, 2, 3, 100, 1000}) {
      std::vector<std::atomic<int>> runs(tasks);
      std::atomic<size_t> out_of_range{0};
      pool->Run(tasks, [&](size_t task, size_t worker) {
        if (worker >= pool->Workers()) ++out_of_range;
        ++runs[task];
      });
      EXPECT_EQ(out_of_range, 0u);
      for (size_t i = 0; i < tasks; ++i) ASSERT_EQ(runs[i], 1) << "task " << i << " of " << tasks;
    }
  }
}

TEST(PoolTest, OneWorkerIsTheCallingThread) {
  const std::unique_ptr<Executor> pool = MakePool(1);
  EXPECT_EQ(pool->Workers(), 1u);
  const std::thread::id caller = std::this_thread::get_id();
  pool->Run(5, [&](size_t, size_t) { EXPECT_EQ(std::this_thread::get_id(), caller); });
}

TEST(PoolTest, WorkersCanWorkInTheirOwnMemory) {
  const std::unique_ptr<Executor> pool = MakePool(2);
  std::vector<size_t> sums(pool->Workers());
  for (int round = 0; round < 50; ++round)
    pool->Run(100, [&](size_t task, size_t worker) { sums[worker] += task; });
  size_t sum = 0;
  for (const size_t part : sums) sum += part;
  EXPECT_EQ(sum, 50u * 4950u);
}

TEST(KernelsTableTest, TheBestTableIsTheFirstAndAllAreComplete) {
  ASSERT_FALSE(AllKernels().empty());
  EXPECT_EQ(AllKernels()[0], &BestKernels());
  for (const Kernels* table : AllKernels()) {
    // The name, then function pointers only.
    const auto* members = reinterpret_cast<const uintptr_t*>(table);
    for (size_t i = 0; i < sizeof(Kernels) / sizeof(uintptr_t); ++i) {
      EXPECT_NE(members[i], 0u) << "member " << i << " of " << table->target;
    }
  }
}

}  // namespace
}  // namespace linnet
