#include "data/batches.h"

#include <numeric>
#include <set>

#include "base/random.h"
#include "data/partition.h"
#include "gtest/gtest.h"

namespace linnet {
namespace {

// Row i has the features {i, i + 0.5}, and the label i % 3 or the target -i.
std::shared_ptr<Dataset> Rows(size_t rows, bool labelled) {
  auto data = std::make_shared<Dataset>();
  data->shape = {2};
  for (size_t i = 0; i < rows; ++i) {
    data->f32.push_back(float(i));
    data->f32.push_back(float(i) + 0.5f);
    if (labelled) {
      data->labels.push_back(int32_t(i % 3));
    } else {
      data->targets.push_back(-float(i));
    }
  }
  data->classes = labelled ? 3 : 0;
  SetScaling(*data, Scaling::kNone);
  return data;
}

std::shared_ptr<Dataset> Text(std::string_view text, uint32_t context, size_t step) {
  auto data = std::make_shared<Dataset>();
  data->shape = {context};
  data->classes = 256;
  data->u8.assign(text.begin(), text.end());
  data->text_step = step;
  SetScaling(*data, Scaling::kStandard);
  return data;
}

TEST(BatchesTest, APassGivesEveryRowOnceWithItsLabel) {
  for (const size_t batch : {1u, 3u, 7u, 20u}) {
    Batches batches(WholeView(Rows(7, true)), batch, SeedFromInt(1));
    std::vector<std::vector<int>> orders;
    for (uint64_t pass = 0; pass < 2; ++pass) {
      std::vector<int> order;
      while (batches.pass() == pass) {
        const Batch b = batches.Next();
        EXPECT_LE(b.size, batch);
        for (size_t i = 0; i < b.size; ++i) {
          const int row = int(b.x[2 * i]);
          EXPECT_EQ(b.x[2 * i + 1], float(row) + 0.5f);
          EXPECT_EQ(b.labels[i], row % 3);
          EXPECT_EQ(b.targets[2 * i], b.x[2 * i]) << "without targets: the input itself";
          order.push_back(row);
        }
      }
      EXPECT_EQ(std::set(order.begin(), order.end()).size(), 7u);
      EXPECT_EQ(order.size(), 7u);
      orders.push_back(order);
    }
    EXPECT_NE(orders[0], orders[1]) << "another order in each pass";
  }
}

TEST(BatchesTest, WithoutASeedRowsComeInTheirOrderWithTheirTargets) {
  Batches batches(WholeView(Rows(5, false)), 2, std::nullopt);
  for (const int row : {0, 2, 4, 0}) {
    const Batch b = batches.Next();
    EXPECT_EQ(b.labels, nullptr);
    for (size_t i = 0; i < b.size; ++i) EXPECT_EQ(b.targets[i], -float(row + int(i)));
  }
}

TEST(DatasetTest, ATextGivesWindowsAndTheBytesBehindEachPosition) {
  const auto text = Text("abcdefgh", 3, 2);
  ASSERT_EQ(text->size(), 3u);  // abc, cde, efg: the last with the label h
  EXPECT_EQ(text->LabelsPerRow(), 3u);
  Batches batches(WholeView(text), 3, std::nullopt);
  const Batch b = batches.Next();
  const std::string windows = "abccdeefg", next = "bcddeffgh";
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(b.x[i], float(windows[i])) << "unscaled";
    EXPECT_EQ(b.labels[i], int32_t(next[i]));
  }
  EXPECT_EQ(Text("abc", 3, 1)->size(), 0u);
  EXPECT_EQ(Text("abcd", 3, 1)->size(), 1u);
  const float one = 1;
  EXPECT_EQ(SetFixedScaling(*text, {&one, 1}, {&one, 1}).error().code, Code::kInvalid);
}

TEST(PartitionTest, DataWithoutLabelsIsDividedIidOnly) {
  EXPECT_EQ(Partition(Rows(6, false), "iid", 2, SeedFromInt(1)).value().size(), 2u);
  for (const std::string spec : {"shards:2", "dirichlet:0.5"}) {
    const auto parts = Partition(Text("abcdefghi", 2, 1), spec, 2, SeedFromInt(1));
    ASSERT_FALSE(parts);
    EXPECT_TRUE(parts.error().message.contains("has none; iid is wanted")) << parts.error().message;
  }
}

}  // namespace
}  // namespace linnet
