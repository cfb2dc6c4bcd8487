#include "fed/update_layout.h"

#include <algorithm>
#include <cstring>

namespace linnet {
namespace {

constexpr size_t kMaxLinks = 16;

bool IsNorm(Op op) { return op == Op::kBatchNorm || op == Op::kLayerNorm || op == Op::kGroupNorm; }

bool MatchesName(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return pattern == name;
  pattern.remove_suffix(1);
  return name.starts_with(pattern);
}

UpdateLayout Make(std::span<const ParamInfo> params, std::span<const LinkedValue> uplink,
                  const std::vector<bool>& stays, const std::vector<bool>& variance) {
  UpdateLayout layout;
  for (size_t i = 0; i < params.size(); ++i) {
    const ParamInfo& param = params[i];
    LINNET_CHECK(param.offset == layout.model_count);
    layout.model_count += param.count;
    if (stays[i]) continue;
    const bool buffer = param.role == ParamRole::kBuffer;
    size_t& count = buffer ? layout.buffer_count : layout.weight_count;
    (buffer ? layout.buffers : layout.weights)
        .push_back({param.name, param.shape, count, param.count, param.offset, variance[i]});
    count += param.count;
  }
  layout.uplink.assign(uplink.begin(), uplink.end());
  for (const LinkedValue& value : layout.uplink)
    ++(value.like_parameters ? layout.tensor_count : layout.scalar_count);
  return layout;
}

}  // namespace

Result<std::vector<LinkedValue>> ParseLinks(const Json* list, std::string_view where) {
  std::vector<LinkedValue> links;
  if (list == nullptr || list->is_null()) return links;
  if (!list->is_array() || list->as_array().size() > kMaxLinks)
    return Fail(Code::kInvalid, where, ": found ", list->TypeName(), ", wanted a list of at most ",
                kMaxLinks);
  for (const Json& item : list->as_array()) {
    const Json* name = item.is_object() ? item.Find("name") : nullptr;
    const Json* like = item.is_object() ? item.Find("like") : nullptr;
    const bool named = name != nullptr && name->is_string() && !name->as_string().empty() &&
                       name->as_string().size() <= 64;
    const bool known = like != nullptr && like->is_string() &&
                       (like->as_string() == "parameters" || like->as_string() == "scalar");
    if (!named || !known)
      return Fail(Code::kInvalid, where, ": found ", item.Dump(),
                  ", wanted {\"name\": a text, \"like\": \"parameters\" or \"scalar\"}");
    for (const LinkedValue& other : links)
      if (other.name == name->as_string())
        return Fail(Code::kInvalid, where, ": \"", other.name, "\" stands there twice");
    links.push_back({name->as_string(), like->as_string() == "parameters"});
  }
  std::vector<LinkedValue> ordered;
  for (const bool tensors : {false, true}) {
    for (const LinkedValue& value : links)
      if (value.like_parameters == tensors) ordered.push_back(value);
  }
  return ordered;
}

void UpdateLayout::Gather(std::span<const Tensor> tensors, std::span<const float> model,
                          std::span<float> out) {
  for (const Tensor& t : tensors)
    std::ranges::copy(model.subspan(t.model_offset, t.count),
                      out.subspan(t.offset, t.count).begin());
}

void UpdateLayout::Scatter(std::span<const Tensor> tensors, std::span<const float> values,
                           std::span<float> model) {
  for (const Tensor& t : tensors)
    std::ranges::copy(values.subspan(t.offset, t.count),
                      model.subspan(t.model_offset, t.count).begin());
}

UpdateLayout MakeUpdateLayout(std::span<const ParamInfo> params,
                              std::span<const LinkedValue> uplink) {
  const std::vector<bool> none(params.size());
  std::vector<ParamInfo> weights(params.begin(), params.end());
  for (ParamInfo& param : weights) param.role = ParamRole::kWeight;
  return Make(weights, uplink, none, none);
}

Result<UpdateLayout> MakeUpdateLayout(const Graph& graph, std::span<const LinkedValue> uplink,
                                      std::span<const std::string> personal) {
  std::vector<bool> norm(graph.params.size()), stays(graph.params.size()),
      variance(graph.params.size());
  for (const Node& node : graph.nodes) {
    if (!IsNorm(node.op)) continue;
    for (const uint32_t param : node.params) norm[param] = true;
    if (node.op == Op::kBatchNorm) variance[node.params[3]] = true;
  }
  for (const std::string& pattern : personal) {
    bool matched = false;
    for (size_t i = 0; i < graph.params.size(); ++i) {
      if (!(pattern == "norm" ? norm[i] : MatchesName(pattern, graph.params[i].name))) continue;
      stays[i] = true;
      matched = true;
    }
    if (!matched) {
      std::string names;
      for (const ParamInfo& param : graph.params)
        names += StrCat(names.empty() ? "" : ", ", param.name);
      return Fail(
          Code::kInvalid, "train.personal: \"", pattern,
          "\" matches no tensor of the model, wanted \"norm\", a name or a prefix with * of ",
          names);
    }
  }
  UpdateLayout layout = Make(graph.params, uplink, stays, variance);
  if (layout.weight_count == 0)
    return Fail(Code::kInvalid, "train.personal: no weight of the model is left to be shared");
  return layout;
}

}  // namespace linnet
