// linnet infer on lines: rows of numbers and texts.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iostream>

#include "base/random.h"
#include "fed/learning.h"
#include "kernels/kernels.h"
#include "native/cli/command_line.h"
#include "native/cli/infer.h"
#include "native/cli/predict.h"
#include "native/cli/setup.h"

namespace linnet {
namespace {

constexpr uint32_t kSymbols = 256;

bool IsTextModel(const Graph& graph) {
  return graph.input_shape.size() == 1 && graph.classes == kSymbols &&
         OutputCount(graph) == uint64_t{graph.input_shape[0]} * kSymbols;
}

// Bytes of a text, one by one. The model sees the last `context` of them: as no position looks
// ahead, what stands behind the newest changes nothing.
class Generator {
 public:
  static Result<Generator> Create(const AnyModel& model, const InferCommand& command) {
    if (!IsTextModel(GraphOf(model))) {
      return Fail(Code::kInvalid, GraphOf(model).name,
                  " is no model of a text's bytes (inputs [context], ", kSymbols,
                  " logits for each)");
    }
    Generator generator(GraphOf(model), command);
    LINNET_TRY(generator.run_, MakeRun(model, 1));
    return generator;
  }
  // What follows `text`, `length` bytes.
  std::string Continue(std::string text, size_t length) {
    const size_t begin = text.size();
    if (text.empty()) text = "\n";
    for (size_t i = 0; i < length; ++i) text += Next(text);
    return text.substr(std::max<size_t>(begin, text.size() - length));
  }

 private:
  Generator(const Graph& graph, const InferCommand& command)
      : temperature_(command.temperature),
        random_(SeedFromInt(command.seed), 0),
        window_(graph.input_shape[0]),
        logits_(window_.size() * kSymbols) {}

  char Next(std::string_view text) {
    const std::string_view seen = text.substr(text.size() - std::min(text.size(), window_.size()));
    std::ranges::fill(window_, 0.0f);
    for (size_t i = 0; i < seen.size(); ++i) window_[i] = float(uint8_t(seen[i]));
    run_(window_.data(), 1, logits_.data());
    std::vector<float> last(logits_.begin() + ptrdiff_t((seen.size() - 1) * kSymbols),
                            logits_.begin() + ptrdiff_t(seen.size() * kSymbols));
    if (temperature_ > 0) {
      for (float& logit : last) logit = float(double(logit) / temperature_);
    }
    const std::vector<Ranked> ranked = Rank(last);
    if (temperature_ == 0) return char(ranked[0].index);
    double left = random_.UniformDouble();
    for (const Ranked& symbol : ranked) {
      left -= symbol.probability;
      if (left < 0) return char(symbol.index);
    }
    return char(ranked[0].index);
  }

  double temperature_;
  RandomStream random_;
  RunModel run_;
  std::vector<float> window_, logits_;
};

// JSON holds UTF-8 alone: a byte that is none becomes a question mark.
std::string Ascii(std::string text) {
  for (char& c : text) {
    if (static_cast<uint8_t>(c) >= 0x80) c = '?';
  }
  return text;
}

// False: not numbers separated by commas.
bool ParseRow(std::string_view line, std::vector<float>& row) {
  row.clear();
  for (;;) {
    const size_t comma = line.find(',');
    std::string_view field = line.substr(0, comma);
    while (field.starts_with(' ')) field.remove_prefix(1);
    while (field.ends_with(' ')) field.remove_suffix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size() || !std::isfinite(value))
      return false;
    row.push_back(float(value));
    if (comma == std::string_view::npos) return true;
    line.remove_prefix(comma + 1);
  }
}

// Rows of numbers to predictions.
class RowReader {
 public:
  static Result<RowReader> Create(const AnyModel& model, const InferCommand& command) {
    const Graph& graph = GraphOf(model);
    if (OutputCount(graph) != graph.classes)
      return Fail(Code::kInvalid, graph.name, " gives no single prediction for a row");
    RowReader reader(graph, command);
    LINNET_TRY(reader.run_, MakeRun(model, 1));
    if (!command.like.empty()) {
      Federation as;
      as.scale = ParseScaling(command.scale.empty() ? "unit" : command.scale);
      LINNET_TRY(const TrainTest parts, OpenScaled(command.like, as));
      if (parts.train->features() != graph.InputCount())
        return Fail(Code::kInvalid, "--like ", command.like, " has ", parts.train->features(),
                    " features, the model wants ", graph.InputCount());
      reader.scale_ = parts.train->scale;
      reader.offset_ = parts.train->offset;
    }
    return reader;
  }

  void Predict(std::vector<float>& row, Output& output) {
    for (size_t j = 0; j < row.size(); ++j) {
      const size_t at = scale_.size() == 1 ? 0 : j;
      row[j] = row[j] * scale_[at] + offset_[at];
    }
    run_(row.data(), 1, logits_.data());
    if (graph_.loss == Loss::kMse) {
      double error = 0;
      std::string values;
      Json::Array list;
      for (size_t j = 0; j < logits_.size(); ++j) {
        values += StrCat(j ? "," : "", logits_[j]);
        list.push_back(logits_[j]);
        if (j < row.size()) error += std::pow(double(logits_[j]) - double(row[j]), 2);
      }
      Json line = Json::Object{{"values", std::move(list)}};
      // The score of an anomaly.
      if (logits_.size() == row.size()) line.Set("error", error / double(row.size()));
      output.Object(line);
      return output.Line(values);
    }
    const std::vector<Ranked> ranked = Rank(logits_);
    Json::Array list;
    std::string text;
    for (size_t i = 0; i < std::min<size_t>(top_, ranked.size()); ++i) {
      list.push_back(
          Json::Object{{"class", ranked[i].index}, {"probability", ranked[i].probability}});
      text += StrCat(i ? "  " : "", ranked[i].index, " ", Percent(ranked[i].probability));
    }
    output.Object(Json::Object{{"class", ranked[0].index}, {"top", std::move(list)}});
    output.Line(text);
  }

 private:
  RowReader(const Graph& graph, const InferCommand& command)
      : graph_(graph), top_(command.top), logits_(graph.classes) {}

  const Graph& graph_;
  uint32_t top_;
  RunModel run_;
  std::vector<float> scale_ = {1}, offset_ = {0}, logits_;
};

Status PredictRows(const AnyModel& model, const InferCommand& command, std::istream& in,
                   Output& output) {
  LINNET_TRY(RowReader reader, RowReader::Create(model, command));
  const std::string name = command.input == "-" ? "stdin" : command.input;
  std::string line;
  std::vector<float> row;
  for (uint64_t number = 1; std::getline(in, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    const bool numbers = ParseRow(line, row);
    if (!numbers && number == 1) continue;
    if (!numbers || row.size() != GraphOf(model).InputCount()) {
      return Fail(Code::kData, name, ": line ", number, ": ",
                  numbers ? StrCat(row.size(), " numbers") : "something else than numbers",
                  ", wanted ", GraphOf(model).InputCount(), " numbers separated by commas");
    }
    reader.Predict(row, output);
  }
  return {};
}

Status ContinueLines(const AnyModel& model, const InferCommand& command, std::istream& in,
                     Output& output) {
  LINNET_TRY(Generator generator, Generator::Create(model, command));
  std::string line;
  while (std::getline(in, line)) {
    const std::string text = generator.Continue(line, command.length);
    output.Object(Json::Object{{"prompt", Ascii(line)}, {"text", Ascii(text)}});
    output.Line(line + text);
  }
  return {};
}

}  // namespace

Result<int> InferLines(const AnyModel& model, const InferCommand& command, Output& output) {
  std::ifstream file;
  if (command.input != "-") {
    file.open(command.input);
    if (!file) return Fail(Code::kNotFound, command.input, ": cannot be read");
  }
  std::istream& in = command.input == "-" ? std::cin : file;
  const bool text = IsTextModel(GraphOf(model));
  LINNET_TRY_STATUS(text ? ContinueLines(model, command, in, output)
                         : PredictRows(model, command, in, output));
  return kExitGood;
}

Result<int> InferText(const AnyModel& model, const InferCommand& command, Output& output) {
  LINNET_TRY(Generator generator, Generator::Create(model, command));
  const std::string text = generator.Continue(*command.text, command.length);
  output.Object(Json::Object{{"prompt", Ascii(*command.text)}, {"text", Ascii(text)}});
  output.Line(output.Bold(*command.text) + text);
  return kExitGood;
}

}  // namespace linnet
