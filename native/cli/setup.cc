#include "native/cli/setup.h"

#include <algorithm>
#include <filesystem>

#include "native/plugin/plugin_loader.h"
#include "native/store/mapped_file.h"
#include "native/store/state_folder.h"
#include "plugins/builtin.h"

namespace linnet {
namespace {

constexpr size_t kMaxFederationBytes = 1u << 20;
constexpr size_t kMaxModelBytes = size_t{1} << 31;

}  // namespace

Result<Federation> LoadFederation(const std::string& path) {
  LINNET_TRY(const Bytes bytes, ReadFile(path, kMaxFederationBytes));
  auto federation = ParseFederation(AsText(bytes));
  if (!federation) return Annotate(federation.error(), path);
  std::string& file = federation->model.file;
  if (!file.empty()) {
    file = (std::filesystem::path(path).parent_path() / file).string();  // an absolute one stands
  }
  return federation;
}

Result<PluginTable> MakePluginTable(const std::vector<std::string>& plugin_arguments,
                                    const SandboxLimits& limits) {
  PluginTable table;
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) {
    LINNET_TRY_STATUS(table.Add(plugin.entry, "built in"));
  }
  for (const std::string& argument : plugin_arguments) {
    LINNET_TRY(const PluginFile file, ParsePluginFile(argument));
    LINNET_TRY_STATUS(LoadPlugin(file, table, nullptr, limits));
  }
  return table;
}

Result<TrainTest> OpenScaled(const std::string& source, const Federation& federation) {
  LINNET_TRY(TrainTest parts, OpenSource(source));
  if (Status scaled = ScaleAsTold(federation, *parts.train); !scaled)
    return Annotate(scaled.error(), source);
  if (parts.test) CopyScaling(*parts.train, *parts.test);
  return parts;
}

Result<std::shared_ptr<const Dataset>> OpenEvaluation(const std::string& source,
                                                      const Federation& federation) {
  if (source.empty()) return std::shared_ptr<const Dataset>();
  LINNET_TRY(const TrainTest parts, OpenScaled(source, federation));
  return std::shared_ptr<const Dataset>(parts.test ? parts.test : parts.train);
}

Scaling ParseScaling(std::string_view name) {
  if (name == "none") return Scaling::kNone;
  LINNET_CHECK(name == "unit" || name == "standard");
  return name == "unit" ? Scaling::kUnit : Scaling::kStandard;
}

Result<Model> LoadModelFile(const std::string& path) {
  LINNET_TRY(const MappedFile file, MappedFile::Open(path, kMaxModelBytes));
  auto model = LoadModel(file.bytes());
  if (!model) return Annotate(model.error(), path);
  return model;
}

Result<AnyModel> LoadAnyModelFile(const std::string& path) {
  LINNET_TRY(const MappedFile file, MappedFile::Open(path, kMaxModelBytes));
  if (!IsQuantizedModel(file.bytes())) {
    LINNET_TRY(Model model, LoadModelFile(path));
    return AnyModel(std::move(model));
  }
  auto model = LoadQuantizedModel(file.bytes());
  if (!model) return Annotate(model.error(), path);
  return AnyModel(*std::move(model));
}

const Graph& GraphOf(const AnyModel& model) {
  return std::visit([](const auto& m) -> const Graph& { return m.graph; }, model);
}

namespace {

template <typename AModel>
Result<AModel> OpenBy(Result<AModel> (*load)(const std::string&), const std::string& name_or_path) {
  const std::vector<std::string> names = BuiltinModelNames();
  if (std::ranges::find(names, name_or_path) != names.end()) {
    return BuiltinModel(name_or_path, SeedFromInt(1));
  }
  Result<AModel> model = load(name_or_path);
  if (model || model.error().code != Code::kNotFound) return model;
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  return Fail(Code::kNotFound, model.error().message, "; builtin models are ", known);
}

}  // namespace

Result<Model> OpenModel(const std::string& name_or_path) {
  return OpenBy(&LoadModelFile, name_or_path);
}

Result<AnyModel> OpenAnyModel(const std::string& name_or_path) {
  return OpenBy(&LoadAnyModelFile, name_or_path);
}

Result<Model> InitialModel(const Federation& federation, const std::string& init, const Seed& seed,
                           const Dataset* like) {
  if (!init.empty()) return LoadModelFile(init);
  if (!federation.model.file.empty()) return LoadModelFile(federation.model.file);
  const Seed weights = DeriveSeed(seed, "weights");
  if (like == nullptr) return BuiltinModel(federation.model.builtin, weights);
  return BuiltinModel(federation.model.builtin, weights, like->shape, like->classes);
}

Digest LayoutDigest(const Model& model) {
  Model blank = model;
  std::fill(blank.parameters.begin(), blank.parameters.end(), 0.0f);
  return Blake2b(SaveModel(blank));
}

std::string DescribeModel(const Graph& graph) {
  return StrCat(graph.name, ", ", graph.ParamCount(), " parameters");
}

}  // namespace linnet
