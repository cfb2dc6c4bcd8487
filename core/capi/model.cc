// Models: load, describe, run, train.
#include <algorithm>

#include "capi/handles.h"
#include "fed/federation.h"
#include "fed/work.h"

namespace linnet {
namespace {

// Wide enough for full register tiles, small enough that a tab's arena stays small.
constexpr size_t kBatch = 128;

}  // namespace

Status Reader::Run(const Model& model, const float* x, size_t n, float* logits,
                   Executor* executor) {
  if (!predictor_) {
    LINNET_TRY(predictor_, Predictor::Create(model.graph, kBatch, BestKernels(), executor));
  }
  predictor_->SetParameters(model.parameters);
  for (size_t at = 0; at < n; at += kBatch) {
    const size_t batch = std::min(kBatch, n - at);
    predictor_->Run(x + at * model.graph.InputCount(), batch, logits + at * model.graph.classes);
  }
  return {};
}

Json DescribeModel(const Model& model) {
  const auto list = [](const std::vector<uint32_t>& values) {
    return Json::Array(values.begin(), values.end());
  };
  Json::Array layers;
  for (const ParamInfo& param : model.graph.params)
    layers.push_back(Json::Object{{"name", param.name},
                                  {"shape", list(param.shape)},
                                  {"offset", param.offset},
                                  {"count", param.count}});
  return Json::Object{{"name", model.graph.name},
                      {"inputShape", list(model.graph.input_shape)},
                      {"classes", model.graph.classes},
                      {"parameters", model.graph.ParamCount()},
                      {"layers", std::move(layers)}};
}

Result<TrainOptions> ParseTrainSettings(const char* json, uint32_t& batch_size) {
  const std::string_view text = json && *json ? json : "{}";
  // The table of keys knows a "train" inside a federation only.
  auto federation =
      ParseFederation(StrCat(R"({"name":"-","model":{"builtin":"mlp-2nn"},"train":)", text, "}"));
  if (!federation) return std::unexpected(federation.error());
  batch_size = federation->train.batch_size;
  return MakeTrainOptions(federation->train);
}

namespace {

linnet_model* Wrap(Result<Model> model) {
  if (!model) {
    Report(model.error());
    return nullptr;
  }
  return new linnet_model{std::move(*model), {}, {}, {}, nullptr};
}

Status CheckLabels(const int32_t* y, size_t n, uint32_t classes) {
  for (size_t i = 0; i < n; ++i)
    if (y[i] < 0 || uint32_t(y[i]) >= classes)
      return Fail(Code::kInvalid, "y[", i, "] is ", y[i], ", the model has ", classes, " classes");
  return {};
}

}  // namespace
}  // namespace linnet

using linnet::Code;

linnet_model* linnet_create_builtin_model(const char* name, uint64_t seed) {
  return linnet::Wrap(linnet::BuiltinModel(name ? name : "", linnet::SeedFromInt(seed)));
}

const char* linnet_builtin_names(void) {
  static const std::string names = [] {
    std::string joined;
    for (const std::string& name : linnet::BuiltinModelNames())
      joined += (joined.empty() ? "" : ",") + name;
    return joined;
  }();
  return names.c_str();
}

linnet_model* linnet_load_model(const void* bytes, size_t size) {
  return linnet::Wrap(linnet::LoadModel({static_cast<const uint8_t*>(bytes), size}));
}

void linnet_destroy_model(linnet_model* model) { delete model; }

void linnet_set_model_pool(linnet_model* model, linnet_pool* pool) {
  model->executor = pool ? pool->executor.get() : nullptr;
  model->reader = {};  // planned for so many workers
}

linnet_status linnet_save_model(linnet_model* model, const uint8_t** bytes, size_t* size) {
  model->saved = linnet::SaveModel(model->model);
  *bytes = model->saved.data();
  *size = model->saved.size();
  return LINNET_OK;
}

linnet_status linnet_model_digest(linnet_model* model, uint8_t out[32]) {
  const linnet::Digest digest = linnet::Blake2b(linnet::SaveModel(model->model));
  std::ranges::copy(digest, out);
  return LINNET_OK;
}

const char* linnet_describe_model(linnet_model* model) {
  model->description = linnet::DescribeModel(model->model).Dump();
  return model->description.c_str();
}

float* linnet_model_parameters(linnet_model* model, size_t* count) {
  *count = model->model.parameters.size();
  return model->model.parameters.data();
}

linnet_status linnet_infer(linnet_model* model, const float* x, size_t n, float* logits) {
  return linnet::Report(model->reader.Run(model->model, x, n, logits, model->executor));
}

linnet_status linnet_train_model(linnet_model* model, const char* settings_json, const float* x,
                                 const int32_t* y, size_t n, double* loss) {
  linnet::Model& value = model->model;
  if (n == 0) return linnet::Report(Code::kInvalid, "there are no examples to train on");
  if (auto labels = linnet::CheckLabels(y, n, value.graph.classes); !labels)
    return linnet::Report(labels);
  uint32_t batch_size = 0;
  const auto options = linnet::ParseTrainSettings(settings_json, batch_size);
  if (!options) return linnet::Report(options.error());
  const size_t batch = std::min<size_t>(batch_size, n);
  auto trainer =
      linnet::Trainer::Create(value.graph, *options, batch, linnet::BestKernels(), model->executor);
  if (!trainer) return linnet::Report(trainer.error());
  std::ranges::copy(value.parameters, (*trainer)->parameters().begin());
  double sum = 0;
  for (size_t at = 0; at < n; at += batch) {
    const size_t size = std::min(batch, n - at);
    sum += (*trainer)->Step(x + at * value.graph.InputCount(), y + at, size) * double(size);
  }
  std::ranges::copy((*trainer)->parameters(), value.parameters.begin());
  if (loss) *loss = sum / double(n);
  return LINNET_OK;
}

linnet_status linnet_evaluate_model(linnet_model* model, const float* x, const int32_t* y, size_t n,
                                    double* accuracy, double* loss) {
  const linnet::Graph& graph = model->model.graph;
  if (auto labels = linnet::CheckLabels(y, n, graph.classes); !labels)
    return linnet::Report(labels);
  std::vector<float> logits(n * graph.classes);
  if (auto run = model->reader.Run(model->model, x, n, logits.data(), model->executor); !run)
    return linnet::Report(run);
  linnet::Metrics metrics;
  linnet::Score(linnet::BestKernels(), logits.data(), y, n, graph.classes, metrics);
  if (accuracy) *accuracy = metrics.accuracy();
  if (loss) *loss = metrics.loss();
  return LINNET_OK;
}
