// A small federation for tests: data, strategy table, simulation options.
#ifndef LINNET_TESTS_SUPPORT_FEDERATION_H_
#define LINNET_TESTS_SUPPORT_FEDERATION_H_

#include <memory>
#include <string>

#include "data/dataset.h"
#include "data/partition.h"
#include "data/strokes.h"
#include "fed/aggregation_host.h"
#include "fed/federation.h"
#include "fed/plugin_table.h"
#include "gtest/gtest.h"
#include "model/model.h"
#include "plugins/builtin.h"
#include "sim/simulation.h"

namespace linnet::testing {

template <typename T>
T Must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return std::move(*result);
}

inline const PluginTable& BuiltinTable() {
  static const PluginTable* table = [] {
    auto* made = new PluginTable;
    for (const BuiltinPlugin& plugin : BuiltinPlugins()) {
      const Status added = made->Add(plugin.entry, "built in");
      EXPECT_TRUE(added.has_value());
    }
    return made;
  }();
  return *table;
}

// Strokes of `writers` writers, one client each, and test data of others.
inline SimulationOptions StrokesSimulation(const std::string& federation_json, uint32_t writers,
                                           uint32_t per_writer, uint64_t seed) {
  SimulationOptions options;
  options.federation = Must(ParseFederation(federation_json));
  options.seed = SeedFromInt(seed);
  options.initial =
      Must(BuiltinModel(options.federation.model.builtin, DeriveSeed(options.seed, "model")));
  const Federation::Strategy& strategy = options.federation.strategy;
  options.strategy =
      Must(FindStrategy(BuiltinTable(), strategy.id, strategy.config, strategy.chain));
  for (uint32_t writer = 0; writer < writers; ++writer) {
    auto data = std::make_shared<Dataset>(MakeStrokes(
        {.seed = 1, .first_writer = writer, .last_writer = writer, .per_writer = per_writer}));
    options.clients.push_back(WholeView(data));
  }
  options.evaluation = std::make_shared<Dataset>(
      MakeStrokes({.seed = 1, .first_writer = 1000, .last_writer = 1019, .per_writer = 20}));
  return options;
}

}  // namespace linnet::testing

#endif  // LINNET_TESTS_SUPPORT_FEDERATION_H_
