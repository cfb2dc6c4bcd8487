// What several commands make from the same arguments.
#ifndef LINNET_NATIVE_CLI_SETUP_H_
#define LINNET_NATIVE_CLI_SETUP_H_

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/crypto.h"
#include "data/dataset.h"
#include "fed/federation.h"
#include "fed/plugin_table.h"
#include "model/model.h"
#include "model/quantize.h"
#include "native/data/source.h"
#include "native/plugin/sandbox_process.h"

namespace linnet {

// Reads and parses a federation file; a relative model.file is taken from the file's own folder.
Result<Federation> LoadFederation(const std::string& path);

// The built-in strategies and the files named by --plugin.
Result<PluginTable> MakePluginTable(const std::vector<std::string>& plugin_arguments,
                                    const SandboxLimits& limits = {});

// Opens a source, both parts scaled as the federation says (by the training part).
Result<TrainTest> OpenScaled(const std::string& source, const Federation& federation);

// The part that evaluates: the test part where there is one, else all of it; null for an empty
// source.
Result<std::shared_ptr<const Dataset>> OpenEvaluation(const std::string& source,
                                                      const Federation& federation);

// The weights a federation begins with: from `init`, from model.file, or built in, drawn from
// `seed`. A built-in model takes the input shape and classes of `like` when that is not null.
Result<Model> InitialModel(const Federation& federation, const std::string& init, const Seed& seed,
                           const Dataset* like);

// "none", "unit" or "standard".
Scaling ParseScaling(std::string_view name);

// Reads a .linnet file.
Result<Model> LoadModelFile(const std::string& path);
// What can be run: a model, or one that linnet model quantize made.
using AnyModel = std::variant<Model, QuantizedModel>;
const Graph& GraphOf(const AnyModel& model);
// Reads a .linnet file of either kind.
Result<AnyModel> LoadAnyModelFile(const std::string& path);
// A builtin model by its name, with weights of seed 1, or else a .linnet file.
Result<Model> OpenModel(const std::string& name_or_path);
Result<AnyModel> OpenAnyModel(const std::string& name_or_path);

// Blake2b of the model's canonical bytes with all weights zero: what a state folder belongs to.
Digest LayoutDigest(const Model& model);

// "mlp-2nn, 199210 parameters".
std::string DescribeModel(const Graph& graph);

}  // namespace linnet

#endif  // LINNET_NATIVE_CLI_SETUP_H_
