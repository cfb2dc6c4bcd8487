// The strategy of a federation file, looked up among the plugins of the process.
#include <cmath>

#include "fed/aggregation_host.h"

namespace linnet {
namespace {

constexpr double kMaxClipNorm = 1e9;

std::string At(size_t i) { return StrCat("strategy.chain[", i, "]"); }

// {"clip": {"norm": N}}
Result<double> ReadClip(const Json& stage, const std::string& where) {
  const Json* norm = stage.Find("clip")->Find("norm");
  if (stage.as_object().size() != 1 || norm == nullptr)
    return Fail(Code::kInvalid, where, " is ", stage.Dump(), ", wanted {\"clip\": {\"norm\": N}}");
  if (!norm->is_number() || !(norm->as_double() > 0) || norm->as_double() > kMaxClipNorm)
    return Fail(Code::kInvalid, where, ".clip.norm is ", norm->Dump(),
                ", wanted a number above 0 and of at most ", kMaxClipNorm);
  return norm->as_double();
}

// {"id": NAME, "config": {...}}
Result<PluginEntry> ReadStage(const PluginTable& table, const Json& stage, const std::string& where,
                              Json& config) {
  const Json* id = stage.Find("id");
  if (id == nullptr || !id->is_string())
    return Fail(Code::kInvalid, where, " is ", stage.Dump(),
                ", wanted {\"id\": a strategy, \"config\": {...}}");
  for (const auto& [key, value] : stage.as_object()) {
    if (key != "id" && key != "config")
      return Fail(Code::kInvalid, where, ".", key, " is not known, wanted id or config");
  }
  if (const Json* settings = stage.Find("config")) config = *settings;
  auto found = table.Find(id->as_string());
  if (!found) return Annotate(found.error(), where);
  return **found;
}

}  // namespace

Result<StrategyChain> FindStrategy(const PluginTable& table, const std::string& id,
                                   const Json& config, const Json& chain) {
  StrategyChain found;
  if (chain.is_null()) {
    LINNET_TRY(const PluginEntry* plugin, table.Find(id));
    found.reducer = *plugin;
    found.reducer_config = config;
    return found;
  }
  if (!chain.is_array())
    return Fail(Code::kInvalid, "strategy.chain is ", chain.TypeName(), ", wanted a list");
  const Json::Array& stages = chain.as_array();
  for (size_t i = 0; i < stages.size(); ++i) {
    if (!stages[i].is_object())
      return Fail(Code::kInvalid, At(i), " is ", stages[i].Dump(), ", wanted an object");
  }
  size_t next = 0;
  if (!stages.empty() && stages[0].Find("clip") != nullptr && stages[0].Find("clip")->is_object()) {
    LINNET_TRY(found.clip_norm, ReadClip(stages[0], At(0)));
    ++next;
  }
  if (next >= stages.size() || stages.size() > next + 2)
    return Fail(Code::kInvalid, "strategy.chain has ", stages.size(),
                " stages, wanted a clip or none, one reducer, a server optimizer or none");
  LINNET_TRY(found.reducer, ReadStage(table, stages[next], At(next), found.reducer_config));
  if (++next < stages.size()) {
    LINNET_TRY(found.optimizer, ReadStage(table, stages[next], At(next), found.optimizer_config));
  }
  return found;
}

}  // namespace linnet
