#include "native/data/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "base/nearest.h"
#include "native/data/file.h"

namespace linnet {
namespace {

constexpr size_t kMaxColumns = 65536;
constexpr size_t kMaxClasses = 65536;
constexpr size_t kMaxNumbers = size_t{1} << 28;
constexpr size_t kQuotedBytes = 40;

// Hostile text in a message stays on its line and short.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kQuotedBytes)) out += c >= ' ' && c != 0x7f ? c : '?';
  return out + (text.size() > kQuotedBytes ? "...\"" : "\"");
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Lines of a text, with the name and number that messages begin with.
class Lines {
 public:
  Lines(std::string_view text, const std::string& name) : rest_(text), name_(name) {
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
  }
  // The next line that is not empty, split into trimmed fields; false at the end.
  Result<bool> Next(std::vector<std::string>& fields) {
    while (!rest_.empty()) {
      const size_t end = rest_.find('\n');
      std::string_view line = rest_.substr(0, end);
      rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
      ++number_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (Trimmed(line).empty()) continue;
      LINNET_TRY_STATUS(Split(line, fields));
      return true;
    }
    return false;
  }
  std::string Place() const { return StrCat(name_, ": line ", number_, ": "); }
  uint32_t Number() const { return number_; }

 private:
  Status Split(std::string_view line, std::vector<std::string>& fields) {
    size_t count = 0;
    for (;;) {
      if (count == kMaxColumns) {
        return Fail(Code::kLimit, Place(), "more than ", kMaxColumns, " columns");
      }
      if (fields.size() == count) fields.emplace_back();
      std::string& field = fields[count++];
      const size_t start = line.find_first_not_of(" \t");
      if (start != std::string_view::npos && line[start] == '"') {
        line.remove_prefix(start + 1);
        LINNET_TRY_STATUS(TakeQuoted(line, field));
      } else {
        const size_t comma = line.find(',');
        field = Trimmed(line.substr(0, comma));
        line = comma == std::string_view::npos ? std::string_view() : line.substr(comma);
      }
      if (line.empty()) break;
      line.remove_prefix(1);
    }
    fields.resize(count);
    return {};
  }
  // From behind the opening quote to the comma or end behind the closing one.
  Status TakeQuoted(std::string_view& line, std::string& field) {
    field.clear();
    for (;;) {
      const size_t quote = line.find('"');
      if (quote == std::string_view::npos) {
        return Fail(Code::kData, Place(), "a quoted field does not end on its line");
      }
      field += line.substr(0, quote);
      line.remove_prefix(quote + 1);
      if (!line.starts_with('"')) break;
      field += '"';
      line.remove_prefix(1);
    }
    line = Trimmed(line);
    if (!line.empty() && line.front() != ',') {
      return Fail(Code::kData, Place(), Quoted(line),
                  " follows a closing quote, a comma is wanted");
    }
    return {};
  }

  std::string_view rest_;
  const std::string& name_;
  uint32_t number_ = 0;
};

Result<float> ParseNumber(const Lines& lines, std::string_view column, std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool whole = end == digits.data() + digits.size() && !digits.empty();
  if (error == std::errc::invalid_argument || !whole) {
    return Fail(Code::kData, lines.Place(), "column ", Quoted(column), " holds ", Quoted(text),
                ", a number is wanted");
  }
  if (error != std::errc() || !std::isfinite(value) ||
      std::abs(value) > std::numeric_limits<float>::max()) {
    return Fail(Code::kData, lines.Place(), "column ", Quoted(column), " holds ", Quoted(text),
                ", a finite number in the range of 32-bit floats is wanted");
  }
  return static_cast<float>(value);
}

// A whole number in 0..65535.
std::optional<int32_t> WholeLabel(std::string_view text) {
  int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < 0 || value >= static_cast<int32_t>(kMaxClasses)) return std::nullopt;
  return value;
}

// What is read before labels have numbers.
struct Table {
  std::vector<std::string> columns;  // of the features
  std::vector<float> values;         // rows x columns
  std::vector<uint32_t> labels;      // index into names
  std::vector<uint32_t> first_line;  // of each name, for messages
  std::vector<std::string> names;    // distinct labels in order of appearance
};

// The place in a row of each feature column and of the label. `wanted` null: all columns as they
// come.
struct Columns {
  std::vector<size_t> features;
  size_t label = 0;
  size_t count = 0;
};
Result<Columns> FindColumns(const Lines& lines, const std::vector<std::string>& header,
                            std::string_view label, const std::vector<std::string>* wanted) {
  std::map<std::string_view, size_t> places;
  for (size_t i = 0; i < header.size(); ++i) {
    if (!places.emplace(header[i], i).second) {
      return Fail(Code::kData, lines.Place(), "two columns are named ", Quoted(header[i]));
    }
  }
  const auto find = [&](std::string_view name) -> Result<size_t> {
    const auto found = places.find(name);
    if (found != places.end()) return found->second;
    const std::vector<std::string_view> known(header.begin(), header.end());
    return Fail(Code::kData, lines.Place(), "no column is named ", Quoted(name),
                " (nearest: ", Quoted(NearestName(name, known)), ")");
  };
  Columns columns;
  columns.count = header.size();
  LINNET_TRY(columns.label, find(label));
  if (wanted != nullptr) {
    for (const std::string& name : *wanted) {
      LINNET_TRY(const size_t place, find(name));
      columns.features.push_back(place);
    }
    return columns;
  }
  for (size_t i = 0; i < header.size(); ++i) {
    if (i != columns.label) columns.features.push_back(i);
  }
  if (columns.features.empty()) {
    return Fail(Code::kData, lines.Place(), "no column beside the label ", Quoted(label),
                ", at least one feature is wanted");
  }
  return columns;
}

Result<Table> ReadTable(std::string_view text, const std::string& name, std::string_view label,
                        const std::vector<std::string>* wanted) {
  Lines lines(text, name);
  std::vector<std::string> fields;
  LINNET_TRY(const bool has_header, lines.Next(fields));
  if (!has_header) return Fail(Code::kData, name, ": empty, a header row is wanted");
  LINNET_TRY(const Columns columns, FindColumns(lines, fields, label, wanted));
  Table table;
  for (const size_t place : columns.features) table.columns.push_back(fields[place]);
  std::map<std::string, uint32_t, std::less<>> known;
  for (;;) {
    LINNET_TRY(const bool more, lines.Next(fields));
    if (!more) break;
    if (fields.size() != columns.count) {
      return Fail(Code::kData, lines.Place(), fields.size(), " fields, the header has ",
                  columns.count);
    }
    if (table.values.size() + columns.features.size() > kMaxNumbers) {
      return Fail(Code::kLimit, lines.Place(), "more than ", kMaxNumbers, " numbers");
    }
    for (size_t j = 0; j < columns.features.size(); ++j) {
      LINNET_TRY(const float value,
                 ParseNumber(lines, table.columns[j], fields[columns.features[j]]));
      table.values.push_back(value);
    }
    const std::string& text_label = fields[columns.label];
    if (text_label.empty()) return Fail(Code::kData, lines.Place(), "the label is empty");
    const auto [entry, is_new] =
        known.emplace(text_label, static_cast<uint32_t>(table.names.size()));
    if (is_new) {
      if (table.names.size() == kMaxClasses) {
        return Fail(Code::kLimit, lines.Place(), "more than ", kMaxClasses, " different labels");
      }
      table.names.push_back(text_label);
      table.first_line.push_back(lines.Number());
    }
    table.labels.push_back(entry->second);
  }
  if (table.labels.empty()) {
    return Fail(Code::kData, name, ": no row under the header, at least 1 is wanted");
  }
  return table;
}

// From a label's text to its number.
struct Classes {
  bool whole_numbers = false;
  std::map<std::string, int32_t, std::less<>> by_name;
  uint32_t count = 0;

  explicit Classes(const Table& table) {
    whole_numbers = std::all_of(table.names.begin(), table.names.end(),
                                [](const std::string& name) { return WholeLabel(name); });
    for (const std::string& name : table.names) {
      by_name.emplace(name, 0);
      if (whole_numbers) count = std::max(count, static_cast<uint32_t>(*WholeLabel(name)) + 1);
    }
    if (whole_numbers) return;
    for (auto& [name, number] : by_name) number = static_cast<int32_t>(count++);
  }
  std::optional<int32_t> Find(std::string_view name) const {
    if (whole_numbers) {
      const auto number = WholeLabel(name);
      return number && static_cast<uint32_t>(*number) < count ? number : std::nullopt;
    }
    const auto found = by_name.find(name);
    return found == by_name.end() ? std::nullopt : std::optional(found->second);
  }
};

Result<std::shared_ptr<Dataset>> ToDataset(Table table, const std::string& name,
                                           const Classes& classes) {
  std::vector<int32_t> numbers(table.names.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto number = classes.Find(table.names[i]);
    if (!number) {
      return Fail(Code::kData, name, ": line ", table.first_line[i], ": the label ",
                  Quoted(table.names[i]), " is not one of the ", classes.count,
                  " classes of the training part");
    }
    numbers[i] = *number;
  }
  auto data = std::make_shared<Dataset>();
  data->shape = {static_cast<uint32_t>(table.columns.size())};
  data->classes = classes.count;
  data->f32 = std::move(table.values);
  data->labels.reserve(table.labels.size());
  for (const uint32_t label : table.labels) data->labels.push_back(numbers[label]);
  data->source = StrCat("csv:", name);
  return data;
}

}  // namespace

Result<TrainTest> ParseCsv(std::string_view train, const std::string& train_name,
                           std::string_view label, const std::string_view* test,
                           const std::string& test_name) {
  LINNET_TRY(Table table, ReadTable(train, train_name, label, nullptr));
  const std::vector<std::string> columns = table.columns;
  const Classes classes(table);
  TrainTest parts;
  LINNET_TRY(parts.train, ToDataset(std::move(table), train_name, classes));
  SetScaling(*parts.train, Scaling::kUnit);
  if (test == nullptr) return parts;
  LINNET_TRY(Table test_table, ReadTable(*test, test_name, label, &columns));
  LINNET_TRY(parts.test, ToDataset(std::move(test_table), test_name, classes));
  CopyScaling(*parts.train, *parts.test);
  return parts;
}

Result<TrainTest> OpenCsvFiles(const std::string& train_path, std::string_view label,
                               const std::string& test_path) {
  LINNET_TRY(const Bytes train, ReadDataFile(train_path));
  if (test_path.empty()) return ParseCsv(AsText(train), train_path, label, nullptr, {});
  LINNET_TRY(const Bytes test, ReadDataFile(test_path));
  const std::string_view test_text = AsText(test);
  return ParseCsv(AsText(train), train_path, label, &test_text, test_path);
}

}  // namespace linnet
