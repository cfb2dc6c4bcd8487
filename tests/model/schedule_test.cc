#include "model/schedule.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace linnet {
namespace {

TEST(ScheduleTest, WhatIsWrongIsNamedWithWhatIsWanted) {
  struct Row {
    std::string text, found;
  };
  const std::vector<Row> rows = {
      {"", "found \"\", wanted constant"},
      {"cosinus", "found \"cosinus\""},
      {"step", "step has no every"},
      {"step:every=10", "has no factor"},
      {"step:every=0,factor=0.5", "every=0: a whole number in 1..1000000000"},
      {"step:every=10,factor=1.5", "factor=1.5: a number in 0..1"},
      {"step:every=10,factor=nan", "factor=nan"},
      {"step:every=10,factor=-0.5", "factor=-0.5"},
      {"step:every=1x,factor=0.5", "every=1x"},
      {"cosine", "cosine has no steps"},
      {"cosine:steps=10,factor=0.5", "cosine has no \"factor\""},
      {"cosine:steps=10,warmup=10", "more than the warm-up's 10"},
      {"constant:every=3", "constant has no \"every\""},
      {"constant:by=week", "by=week: step or round"},
      {"constant:warmup", "warmup="},
  };
  for (const Row& row : rows) {
    const auto schedule = ParseSchedule(row.text);
    ASSERT_FALSE(schedule) << row.text;
    EXPECT_EQ(schedule.error().code, Code::kInvalid);
    EXPECT_TRUE(schedule.error().message.contains(row.found)) << schedule.error().message;
  }
}

TEST(ScheduleTest, TheCanonicalTextIsReadAsTheSameValue) {
  for (const std::string text :
       {"constant:warmup=5", "step:every=100,factor=0.5", "constant:by=round",
        "exponential:every=1,factor=0.99,by=round", "cosine:steps=2000,end=0.1,warmup=100"}) {
    const auto schedule = ParseSchedule(text);
    ASSERT_TRUE(schedule) << schedule.error().message;
    EXPECT_EQ(ScheduleText(*schedule), text);
  }
  EXPECT_EQ(ParseSchedule("constant").value(), Schedule());
  EXPECT_EQ(ScheduleText(Schedule()), "");
  EXPECT_EQ(ParseSchedule("cosine:steps=9").value().factor, 0.0f);
}

TEST(ScheduleTest, FactorsAreThoseOfTheFormulas) {
  struct Row {
    std::string text;
    std::vector<float> factors;  // of steps 0, 1, 2, ...
  };
  const std::vector<Row> rows = {
      {"constant", {1, 1, 1}},
      {"constant:warmup=3", {0.25f, 0.5f, 0.75f, 1, 1}},
      {"step:every=2,factor=0.5", {1, 1, 0.5f, 0.5f, 0.25f}},
      {"step:every=2,factor=0.5,warmup=1", {0.5f, 1, 1, 0.5f, 0.5f, 0.25f}},
      {"exponential:every=2,factor=0.25", {1, 0.5f, 0.25f, 0.125f}},
      // 0.5 + 0.5 * (1 + cos(pi t / 4)) / 2
      {"cosine:steps=4,end=0.5", {1, 0.9267767f, 0.75f, 0.5732233f, 0.5f, 0.5f}},
      {"cosine:steps=3,warmup=1", {0.5f, 1, 0.5f, 0, 0}},
  };
  for (const Row& row : rows) {
    const Schedule schedule = ParseSchedule(row.text).value();
    for (size_t t = 0; t < row.factors.size(); ++t) {
      EXPECT_NEAR(schedule.At(t), row.factors[t], 1e-7) << row.text << " at " << t;
    }
  }
}

}  // namespace
}  // namespace linnet
