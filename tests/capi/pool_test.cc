#include <gtest/gtest.h>

#include <vector>

#include "linnet/linnet.h"

namespace linnet {
namespace {

constexpr size_t kImages = 64;

// Parameters after one pass, then the logits of the same images.
std::vector<float> Train(linnet_pool* pool) {
  std::vector<float> x(kImages * 784);
  std::vector<int32_t> y(kImages);
  EXPECT_EQ(linnet_draw_strokes(1, 2000, 0, kImages, x.data(), y.data()), LINNET_OK);
  linnet_model* model = linnet_create_builtin_model("cnn-small", 7);
  linnet_set_model_pool(model, pool);
  EXPECT_EQ(linnet_train_model(model, R"({"learningRate": 0.05, "batchSize": 32})", x.data(),
                               y.data(), kImages, nullptr),
            LINNET_OK);
  size_t count = 0;
  const float* parameters = linnet_model_parameters(model, &count);
  std::vector<float> results(parameters, parameters + count);
  results.resize(count + kImages * 10);
  EXPECT_EQ(linnet_infer(model, x.data(), kImages, results.data() + count), LINNET_OK);
  linnet_destroy_model(model);
  return results;
}

TEST(PoolTest, AModelTrainsToTheSameBitsOnAnyPool) {
  const std::vector<float> alone = Train(nullptr);
  for (const uint32_t threads : {0u, 1u, 2u, 3u}) {
    linnet_pool* pool = linnet_create_pool(threads);
    EXPECT_LE(linnet_pool_threads(pool), threads == 0 ? 1 : threads);
    EXPECT_EQ(Train(pool), alone) << threads;
    linnet_destroy_pool(pool);
  }
}

TEST(PoolTest, ASessionThatHasStartedKeepsItsPool) {
  linnet_pool* pool = linnet_create_pool(2);
  linnet_session* session = linnet_create_session("{}", nullptr, 0);
  EXPECT_EQ(linnet_set_session_pool(session, pool), LINNET_OK);
  EXPECT_EQ(linnet_start(session, 0), LINNET_OK);
  EXPECT_LT(linnet_set_session_pool(session, nullptr), 0);
  EXPECT_STREQ(linnet_last_error(), "the pool is set before linnet_start");
  linnet_destroy_session(session);
  linnet_destroy_pool(pool);
}

}  // namespace
}  // namespace linnet
