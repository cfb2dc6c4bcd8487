// linnet infer: a model on data, or on one image.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/kernels.h"
#include "model/train.h"
#include "native/cli/command_line.h"
#include "native/cli/image.h"
#include "native/cli/output.h"
#include "native/cli/setup.h"
#include "native/http/address.h"
#include "native/transport/http_client.h"

namespace linnet {
namespace {

constexpr size_t kBatch = 64;

Result<Json> Get(const Address& at, const std::string& target, std::string* raw = nullptr) {
  HttpResponse answer = HttpGet(at.host, at.port, target);
  if (answer.status != 200) {
    return Fail(Code::kUnavailable, "http://", at.HostPort(), target, ": ",
                answer.status == 0 ? answer.body : StrCat("HTTP ", answer.status));
  }
  if (raw == nullptr) return Json::Parse(answer.body);
  *raw = std::move(answer.body);
  return Json();
}

std::string Text(const Json* value) {
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

// The coordinator's current model, checked against its digest, and how its data is scaled.
Result<Model> FetchModel(const std::string& address, std::string& scale) {
  LINNET_TRY(const Address at, ParseAddress(address));
  LINNET_TRY(const Json status, Get(at, "/v1/status"));
  const std::string digest = Text(status.Find("model"));
  if (digest.empty()) {
    return Fail(Code::kData, "http://", at.HostPort(), "/v1/status names no model");
  }
  if (scale.empty()) {
    LINNET_TRY(const Json federation, Get(at, "/v1/federation"));
    if (const Json* data = federation.Find("data")) scale = Text(data->Find("scale"));
  }
  std::string bytes;
  LINNET_TRY([[maybe_unused]] const Json none, Get(at, "/v1/models/" + digest, &bytes));
  if (Hex(Blake2b(AsBytes(bytes))) != digest) {
    return Fail(Code::kData, "the model from http://", at.HostPort(), " does not have the digest ",
                digest);
  }
  return LoadModel(AsBytes(bytes));
}

// Predictions of the whole set, and its metrics.
struct Outcome {
  std::vector<int32_t> predicted;
  std::vector<float> confidence;
  Metrics metrics;
};

Result<Outcome> Predict(const Model& model, const Dataset& data) {
  const size_t inputs = model.graph.InputCount(), classes = model.graph.classes;
  if (data.features() != inputs || data.classes > classes) {
    return Fail(Code::kInvalid, data.source, " has ", data.features(), " features and ",
                data.classes, " classes, the model wants ", inputs, " and at most ", classes);
  }
  const Kernels& kernels = BestKernels();
  LINNET_TRY(const auto predictor, Predictor::Create(model.graph, kBatch, kernels));
  Outcome out;
  std::vector<float> x(kBatch * inputs), logits(kBatch * classes);
  std::vector<int32_t> y(kBatch);
  std::vector<uint32_t> rows(data.size());
  std::iota(rows.begin(), rows.end(), 0u);
  for (size_t from = 0; from < rows.size(); from += kBatch) {
    const size_t n = std::min(kBatch, rows.size() - from);
    data.Gather(std::span(rows).subspan(from, n), x.data(), y.data());
    predictor->Run(model.parameters, x.data(), n, logits.data());
    Score(kernels, logits.data(), y.data(), n, classes, out.metrics);
    for (size_t i = 0; i < n; ++i) {
      const float* row = logits.data() + i * classes;
      const float* best = std::max_element(row, row + classes);
      double sum = 0;
      for (size_t c = 0; c < classes; ++c) sum += std::exp(double(row[c] - *best));
      out.predicted.push_back(int32_t(best - row));
      out.confidence.push_back(float(1 / sum));
    }
  }
  return out;
}

void PrintConfusion(Output& output, const Dataset& data, const Outcome& outcome, size_t classes) {
  std::vector<uint64_t> counts(classes * classes);
  for (size_t i = 0; i < data.size(); ++i) {
    ++counts[size_t(data.labels[i]) * classes + size_t(outcome.predicted[i])];
  }
  Json::Array rows;
  for (size_t label = 0; label < classes; ++label) {
    Json::Array row;
    for (size_t guess = 0; guess < classes; ++guess) row.push_back(counts[label * classes + guess]);
    rows.push_back(std::move(row));
  }
  output.Object(Json::Object{{"examples", outcome.metrics.examples},
                             {"accuracy", outcome.metrics.accuracy()},
                             {"loss", outcome.metrics.loss()},
                             {"confusion", std::move(rows)}});
  output.Line(StrCat(data.source, ": accuracy ", Percent(outcome.metrics.accuracy()), ", loss ",
                     Fixed(outcome.metrics.loss(), 4), " over ", outcome.metrics.examples,
                     " examples"));
  if (classes > 20) return;
  std::string head = "  true\\read";
  for (size_t guess = 0; guess < classes; ++guess) head += PadLeft(std::to_string(guess), 6);
  output.Line(head);
  for (size_t label = 0; label < classes; ++label) {
    std::string line = PadLeft(std::to_string(label), 11);
    for (size_t guess = 0; guess < classes; ++guess) {
      const uint64_t count = counts[label * classes + guess];
      const std::string cell = PadLeft(count == 0 ? "." : std::to_string(count), 6);
      line += label == guess ? output.Bold(cell) : count == 0 ? output.Dim(cell) : cell;
    }
    output.Line(line);
  }
}

Result<int> InferImage(const Model& model, const InferCommand& command, Output& output) {
  LINNET_TRY(const Dataset image, LoadPgm(command.image, model.graph));
  const Kernels& kernels = BestKernels();
  LINNET_TRY(const auto predictor, Predictor::Create(model.graph, 1, kernels));
  std::vector<float> x(image.features()), logits(model.graph.classes);
  int32_t unused = 0;
  const uint32_t row = 0;
  image.Gather({&row, 1}, x.data(), &unused);
  predictor->Run(model.parameters, x.data(), 1, logits.data());
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double(logit - most));
  Json::Array probabilities;
  for (size_t c = 0; c < logits.size(); ++c) {
    const double p = std::exp(double(logits[c] - most)) / sum;
    probabilities.push_back(p);
    std::string bar;
    for (int i = 0; i < int(p * 40 + 0.5); ++i) bar += "█";
    output.Line(StrCat(PadLeft(std::to_string(c), 4), "  ", PadLeft(Percent(p), 8), "  ", bar));
  }
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  output.Object(Json::Object{{"class", best}, {"probabilities", std::move(probabilities)}});
  output.Line(StrCat(command.image, " reads as ", output.Bold(std::to_string(best))));
  return kExitGood;
}

}  // namespace

Result<int> Run(const InferCommand& command) {
  Output output(command.json);
  if (command.data.empty() && command.image.empty()) {
    return Fail(Code::kInvalid, "nothing to read: give --data SOURCE or --image FILE.pgm");
  }
  std::string scale = command.scale;
  const bool remote = command.model.starts_with("http://");
  LINNET_TRY(const Model model,
             remote ? FetchModel(command.model, scale) : LoadModelFile(command.model));
  if (!command.image.empty()) return InferImage(model, command, output);
  Federation as;  // the scaling as a federation would tell it
  as.scale = scale == "none"       ? Scaling::kNone
             : scale == "standard" ? Scaling::kStandard
                                   : Scaling::kUnit;
  LINNET_TRY(const TrainTest parts, OpenScaled(command.data, as));
  const Dataset& data = parts.test && !command.train_part ? *parts.test : *parts.train;
  LINNET_TRY(const Outcome outcome, Predict(model, data));
  for (size_t i = 0; i < std::min<size_t>(command.rows, data.size()); ++i) {
    output.Object(Json::Object{{"row", i},
                               {"label", data.labels[i]},
                               {"class", outcome.predicted[i]},
                               {"confidence", outcome.confidence[i]}});
    output.Line(StrCat("row ", i, ": reads ", outcome.predicted[i], " (",
                       Percent(outcome.confidence[i]), "), is ", data.labels[i],
                       outcome.predicted[i] == data.labels[i] ? "" : output.Red("  wrong")));
  }
  PrintConfusion(output, data, outcome, model.graph.classes);
  return kExitGood;
}

}  // namespace linnet
