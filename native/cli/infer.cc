// linnet infer: a model on data, on one image, on lines.
#include "native/cli/infer.h"

#include <algorithm>
#include <utility>

#include "fed/learning.h"
#include "kernels/kernels.h"
#include "model/train.h"
#include "native/cli/command_line.h"
#include "native/cli/image.h"
#include "native/cli/output.h"
#include "native/cli/predict.h"
#include "native/cli/setup.h"
#include "native/http/address.h"
#include "native/transport/http_client.h"

namespace linnet {
namespace {

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

Result<int> InferImage(const AnyModel& model, const InferCommand& command, Output& output) {
  const Graph& graph = GraphOf(model);
  if (OutputCount(graph) != graph.classes || graph.loss == Loss::kMse)
    return Fail(Code::kInvalid, graph.name, " tells no classes of images apart");
  LINNET_TRY(const Dataset image, LoadPgm(command.image, graph));
  LINNET_TRY(const RunModel run, MakeRun(model, 1));
  std::vector<float> x(image.features()), logits(graph.classes);
  int32_t unused = 0;
  const uint32_t row = 0;
  image.Gather({&row, 1}, x.data(), &unused);
  run(x.data(), 1, logits.data());
  const std::vector<Ranked> ranked = Rank(logits);
  std::vector<double> by_class(ranked.size());
  for (const Ranked& one : ranked) by_class[one.index] = one.probability;
  const auto show = [&](size_t index) {
    const double p = by_class[index];
    std::string bar;
    for (int i = 0; i < int(p * 40 + 0.5); ++i) bar += "█";
    output.Line(StrCat(PadLeft(std::to_string(index), 4), "  ", PadLeft(Percent(p), 8), "  ", bar));
  };
  if (command.top > 1) {
    for (size_t i = 0; i < std::min<size_t>(command.top, ranked.size()); ++i) show(ranked[i].index);
  } else {
    for (size_t i = 0; i < by_class.size(); ++i) show(i);
  }
  output.Object(Json::Object{{"class", ranked[0].index},
                             {"probabilities", Json::Array(by_class.begin(), by_class.end())}});
  output.Line(StrCat(command.image, " reads as ", output.Bold(std::to_string(ranked[0].index))));
  return kExitGood;
}

}  // namespace

Result<int> Run(const InferCommand& command) {
  Output output(command.json);
  const int inputs = !command.data.empty() + !command.image.empty() + !command.input.empty() +
                     command.text.has_value();
  if (inputs != 1) {
    return Fail(Code::kInvalid,
                "one of --data SOURCE, --image FILE.pgm, --input FILE and --text TEXT is wanted, ",
                inputs, " were given");
  }
  std::string scale = command.scale;
  const bool remote = command.model.starts_with("http://");
  AnyModel model;
  if (remote) {
    LINNET_TRY(model, FetchModel(command.model, scale));
  } else {
    LINNET_TRY(model, LoadAnyModelFile(command.model));
  }
  if (!command.image.empty()) return InferImage(model, command, output);
  if (!command.input.empty()) return InferLines(model, command, output);
  if (command.text) return InferText(model, command, output);
  Federation as;  // the scaling as a federation would tell it
  as.scale = ParseScaling(scale.empty() ? "unit" : scale);
  LINNET_TRY(const TrainTest parts, OpenScaled(command.data, as));
  const auto& part = parts.test && !command.train_part ? parts.test : parts.train;
  const Dataset& data = *part;
  LINNET_TRY(const Outcome outcome, Predict(model, part));
  for (size_t i = 0; i < std::min<size_t>(command.rows, outcome.predicted.size()); ++i) {
    output.Object(Json::Object{{"row", i},
                               {"label", data.labels[i]},
                               {"class", outcome.predicted[i]},
                               {"confidence", outcome.confidence[i]}});
    output.Line(StrCat("row ", i, ": reads ", outcome.predicted[i], " (",
                       Percent(outcome.confidence[i]), "), is ", data.labels[i],
                       outcome.predicted[i] == data.labels[i] ? "" : output.Red("  wrong")));
  }
  PrintScore(output, GraphOf(model), data, outcome);
  return kExitGood;
}

}  // namespace linnet
