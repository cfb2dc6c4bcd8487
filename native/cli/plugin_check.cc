#include <algorithm>
#include <filesystem>
#include <map>

#include "native/cli/command_line.h"
#include "native/cli/output.h"
#include "native/cli/plugin.h"
#include "plugins/conformance/conformance.h"

namespace linnet {
namespace {

using conformance::Row;

constexpr const char* kOutcomes[] = {"passed", "failed", "skipped"};

std::string Marked(const Output& output, Row::Outcome outcome) {
  const std::string word = PadRight(kOutcomes[static_cast<int>(outcome)], 7);
  return outcome == Row::Outcome::kPassed   ? output.Green(word)
         : outcome == Row::Outcome::kFailed ? output.Red(word)
                                            : output.Dim(word);
}

void Show(Output& output, const PluginSubject& subject, const Row& row) {
  output.Object(Json(Json::Object{{"strategy", subject.entry.id},
                                  {"form", subject.form},
                                  {"rule", row.name},
                                  {"outcome", kOutcomes[static_cast<int>(row.outcome)]},
                                  {"detail", row.detail}}));
  output.Line(StrCat("  ", Marked(output, row.outcome), "  ", row.name,
                     row.detail.empty() ? "" : output.Dim(": " + row.detail)));
}

// A .so and the .wasm beside it are forms of one strategy.
std::vector<std::string> WithSiblings(const std::vector<std::string>& given) {
  std::vector<std::string> all = given;
  for (const std::string& file : given) {
    std::filesystem::path other = file;
    if (other.extension() != ".so") continue;
    other.replace_extension(".wasm");
    if (std::filesystem::exists(other) &&
        std::find(all.begin(), all.end(), other.string()) == all.end()) {
      all.push_back(other.string());
    }
  }
  return all;
}

}  // namespace

Result<int> Run(const PluginCheckCommand& command) {
  Output output(command.json);
  std::map<std::string, std::pair<std::string, conformance::Blob>> traces;  // by id: form, bytes
  uint32_t failed = 0, passed = 0;
  for (const std::string& file : WithSiblings(command.subjects)) {
    LINNET_TRY(const std::vector<PluginSubject> subjects,
               OpenSubjects(file, command.config, command.limits));
    for (const PluginSubject& subject : subjects) {
      output.Line(StrCat(output.Bold(subject.entry.id), " ",
                         subject.entry.description.Find("version")->as_string(), " (", subject.form,
                         ") ", file == subject.entry.id ? "" : file));
      const auto count = [&](const Row& row) {
        failed += row.outcome == Row::Outcome::kFailed ? 1 : 0;
        passed += row.outcome == Row::Outcome::kPassed ? 1 : 0;
        Show(output, subject, row);
      };
      const conformance::Subject tested = {subject.entry.table, subject.entry.index, subject.config,
                                           subject.enter, &PluginHost()};
      conformance::RunKit(tested, count);
      std::string error;
      conformance::Blob trace = conformance::Trace(tested, error);
      const auto [first, is_first] =
          traces.try_emplace(subject.entry.id, subject.form, std::move(trace));
      if (is_first) continue;
      const bool same = error.empty() && first->second.second == trace;
      count({StrCat("the same bits as ", first->second.first),
             same ? Row::Outcome::kPassed : Row::Outcome::kFailed,
             same            ? ""
             : error.empty() ? "they differ"
                             : error});
    }
  }
  output.Object(Json(Json::Object{{"done", true}, {"passed", passed}, {"failed", failed}}));
  output.Line(StrCat(passed, " passed, ", failed, " failed"));
  return failed == 0 ? kExitGood : kExitMissed;
}

}  // namespace linnet
