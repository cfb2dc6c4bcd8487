#include "data/partition.h"

#include <algorithm>
#include <set>

#include "gtest/gtest.h"

namespace linnet {
namespace {

constexpr uint32_t kClasses = 10;

// Rows of one feature whose labels are not in order.
std::shared_ptr<Dataset> Labelled(size_t rows) {
  auto data = std::make_shared<Dataset>();
  data->shape = {1};
  data->classes = kClasses;
  data->f32.resize(rows);
  data->labels.resize(rows);
  for (size_t i = 0; i < rows; ++i) data->labels[i] = static_cast<int32_t>(i * 7 % kClasses);
  data->source = "rows";
  return data;
}

std::vector<DataView> Split(size_t rows, std::string_view spec, size_t clients, uint64_t seed = 1) {
  auto views = Partition(Labelled(rows), spec, clients, SeedFromInt(seed));
  EXPECT_TRUE(views) << spec << ": " << views.error().message;
  return views ? *std::move(views) : std::vector<DataView>();
}

size_t LabelsOf(const DataView& view) {
  std::set<int32_t> labels;
  for (const uint32_t row : view.rows) labels.insert(view.data->labels[row]);
  return labels.size();
}

TEST(PartitionTest, WhatCannotBeSplitIsRefusedWithWhatWasWanted) {
  struct Row {
    const char* spec;
    size_t rows, clients;
    const char* words;
  };
  const Row rows[] = {
      {.spec = "iid", .rows = 5, .clients = 0, .words = "0 clients"},
      {.spec = "iid", .rows = 5, .clients = 6, .words = "rows has 5 rows, not one for each of 6"},
      {.spec = "", .rows = 5, .clients = 2, .words = "is not known"},
      {.spec = "idd", .rows = 5, .clients = 2, .words = "nearest: iid"},
      {.spec = "iid:2", .rows = 5, .clients = 2, .words = "\"iid:2\" is not known"},
      {.spec = "shard:2", .rows = 5, .clients = 2, .words = "nearest: shards"},
      {.spec = "shards", .rows = 5, .clients = 2, .words = "as in shards:2"},
      {.spec = "shards:0", .rows = 5, .clients = 2, .words = "1..1000000"},
      {.spec = "shards:-1", .rows = 5, .clients = 2, .words = "1..1000000"},
      {.spec = "shards:2x", .rows = 5, .clients = 2, .words = "1..1000000"},
      {.spec = "shards:99999999999999999999", .rows = 5, .clients = 2, .words = "1..1000000"},
      {.spec = "shards:3", .rows = 5, .clients = 2, .words = "wants 6 shards, rows has 5 rows"},
      {.spec = "dirichlet:", .rows = 50, .clients = 2, .words = "as in dirichlet:0.5"},
      {.spec = "dirichlet:0", .rows = 50, .clients = 2, .words = "0.001..1000000"},
      {.spec = "dirichlet:-1", .rows = 50, .clients = 2, .words = "0.001..1000000"},
      {.spec = "dirichlet:nan", .rows = 50, .clients = 2, .words = "0.001..1000000"},
      {.spec = "dirichlet:1e3", .rows = 50, .clients = 2, .words = "0.001..1000000"},
      {.spec = "dirichlet:0.5.1", .rows = 50, .clients = 2, .words = "0.001..1000000"},
      {.spec = "dirichlet:.", .rows = 50, .clients = 2, .words = "0.001..1000000"},
      {.spec = "dirichlet:0.01", .rows = 50, .clients = 40, .words = "100 draws left one of 40"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.spec);
    const auto views = Partition(Labelled(row.rows), row.spec, row.clients, SeedFromInt(1));
    ASSERT_FALSE(views);
    EXPECT_EQ(views.error().code, Code::kInvalid);
    EXPECT_NE(views.error().message.find(row.words), std::string::npos) << views.error().message;
  }
}

TEST(PartitionTest, EveryRowGoesToExactlyOneClientAndEveryClientHasOne) {
  for (const char* spec :
       {"iid", "shards:1", "shards:2", "shards:7", "dirichlet:0.5", "dirichlet:100"}) {
    for (const size_t clients : {1, 3, 20}) {
      SCOPED_TRACE(StrCat(spec, " over ", clients));
      std::vector<uint32_t> seen;
      for (const DataView& view : Split(1003, spec, clients)) {
        EXPECT_GT(view.size(), 0u);
        seen.insert(seen.end(), view.rows.begin(), view.rows.end());
      }
      std::sort(seen.begin(), seen.end());
      ASSERT_EQ(seen.size(), 1003u);
      for (uint32_t i = 0; i < 1003; ++i) ASSERT_EQ(seen[i], i);
    }
  }
}

TEST(PartitionTest, IidPartsAreEqualInSizeAndMixed) {
  for (const DataView& view : Split(1003, "iid", 10)) {
    EXPECT_TRUE(view.size() == 100 || view.size() == 101) << view.size();
    EXPECT_EQ(LabelsOf(view), kClasses);
  }
}

TEST(PartitionTest, ShardsHoldFewLabels) {
  for (const DataView& view : Split(1000, "shards:2", 50)) {
    EXPECT_EQ(view.size(), 20u);
    // 100 shards of 10 rows, 100 rows a label: no shard reaches over two labels.
    EXPECT_LE(LabelsOf(view), 2u);
  }
}

TEST(PartitionTest, ASmallAlphaGivesUnequalLabelsAndALargeOneEqual) {
  const auto largest_share = [](const std::vector<DataView>& views) {
    double share = 0;
    for (const DataView& view : views) {
      size_t counts[kClasses] = {};
      for (const uint32_t row : view.rows) ++counts[view.data->labels[row]];
      share += static_cast<double>(*std::max_element(counts, counts + kClasses)) /
               static_cast<double>(view.size());
    }
    return share / static_cast<double>(views.size());
  };
  EXPECT_GT(largest_share(Split(10000, "dirichlet:0.1", 10)), 0.35);
  EXPECT_LT(largest_share(Split(10000, "dirichlet:1000", 10)), 0.13);
}

TEST(PartitionTest, TheSeedAloneDecides) {
  for (const char* spec : {"iid", "shards:2", "dirichlet:0.5"}) {
    const auto one = Split(500, spec, 5);
    const auto two = Split(500, spec, 5);
    const auto other = Split(500, spec, 5, 2);
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(one[i].rows, two[i].rows);
    EXPECT_NE(one[0].rows, other[0].rows);
  }
}

TEST(PartitionTest, TheRowsAreTheSameOnEveryTarget) {
  Blake2bHasher hasher;
  for (const char* spec : {"iid", "shards:2", "dirichlet:0.1", "dirichlet:0.5", "dirichlet:7.25"}) {
    for (const DataView& view : Split(2000, spec, 7)) {
      for (const uint32_t row : view.rows) {
        uint8_t bytes[4];
        StoreLE(bytes, row);
        hasher.Add(bytes);
      }
    }
  }
  EXPECT_EQ(Hex(hasher.Finish()),
            "b67f8af0eb6bba3c1a821e8e22a0b3e77e47c9522580da00f81ce971188b8be4");
}

}  // namespace
}  // namespace linnet
