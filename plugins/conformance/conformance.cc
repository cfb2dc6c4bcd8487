#include "plugins/conformance/conformance.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>

namespace linnet::conformance {
namespace {

constexpr size_t kUpdates = 9;  // fewer than most buffers hold, enough for most robust rules
constexpr uint64_t kRounds = 3;

// A rule of the kit: empty = passed, "-" and a reason = skipped, else what is wrong.
using Rule = std::function<std::string(const Subject&, const Shape&)>;

std::string Skipped(const std::string& why) { return "-" + why; }

uint32_t CountOf(std::string_view text, std::string_view what) {
  uint32_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// Three rounds, and all bytes that came out.
struct Course {
  Manner manner;
  uint32_t page = 1000;
  bool restore = false;  // a new instance from the saved state before each round
  bool give_up = false;  // a round that is begun, half filled, and begun again
};
std::string Run(const Subject& subject, const Shape& shape, const Course& course, Blob& out) {
  out.clear();
  const auto make = [&] {
    return std::make_unique<Drive>(subject.table, subject.index, subject.config, shape,
                                   course.manner.unknown_bytes);
  };
  const auto keep = [&out](const Blob& blob) { out.insert(out.end(), blob.begin(), blob.end()); };
  auto drive = make();
  std::vector<float> model(shape.parameters(), 0.25f);
  for (uint64_t round = 1; round <= kRounds; ++round) {
    const std::vector<Update> updates = MakeUpdates(shape, static_cast<uint32_t>(round), kUpdates);
    if (course.give_up) {
      const std::vector<Update> other = MakeUpdates(shape, 77, kUpdates);
      drive->Begin(round);
      drive->Give(other);
    }
    Blob partial;
    drive->Begin(round, course.manner);
    drive->Give(updates, course.manner);
    drive->Read(LNT_BLOB_PARTIAL, partial, course.page);
    std::vector<float> result;
    drive->Finish(model, result, course.manner);
    if (drive->failed()) return "round " + std::to_string(round) + ": " + drive->error();
    model = result;
    Blob state, client, downlink;
    drive->Read(LNT_BLOB_STATE, state, course.page);
    drive->Read(LNT_BLOB_CLIENT, client, course.page);
    drive->Read(LNT_BLOB_DOWNLINK, downlink, course.page);
    if (drive->failed()) return "round " + std::to_string(round) + ": " + drive->error();
    Blob bytes(model.size() * sizeof(float));
    std::memcpy(bytes.data(), model.data(), bytes.size());
    for (const Blob* blob : {&partial, &bytes, &state, &client, &downlink}) keep(*blob);
    const std::string& metrics = drive->metrics();
    out.insert(out.end(), metrics.begin(), metrics.end());
    if (!course.restore) continue;
    drive = make();
    if (!state.empty() && drive->Write(LNT_BLOB_STATE, state, course.page) < 0) {
      return "the saved state of round " + std::to_string(round) +
             " was refused: " + drive->LastError();
    }
  }
  return {};
}

std::string Same(const Subject& subject, const Shape& shape, const Course& course,
                 const std::string& what) {
  Blob plain, other;
  std::string error = Run(subject, shape, {}, plain);
  if (error.empty()) error = Run(subject, shape, course, other);
  if (!error.empty()) return error;
  return plain == other ? std::string{} : "other bits with " + what;
}

std::string Description(const Subject& s, std::string& text) {
  uint32_t size = 0, again = 0;
  lnt_status status = s.table->describe(s.index, nullptr, 0, &size);
  if (status < 0) return "describe with no room answered " + std::to_string(status);
  text.assign(size + 8, '#');
  status = s.table->describe(s.index, text.data(), size, &again);
  if (status < 0 || again != size) return "describe does not repeat itself";
  if (text.substr(size) != "########") return "describe wrote past its room";
  text.resize(size);
  return {};
}

std::string CheckMembers(const Subject& s, const Shape&) {
  std::string missing;
#define LINNET_WANT(member) \
  if (!LNT_HAS(s.table, member)) missing += std::string(missing.empty() ? "" : ", ") + #member
  LINNET_WANT(count);
  LINNET_WANT(describe);
  LINNET_WANT(create);
  LINNET_WANT(destroy);
  LINNET_WANT(set_layout);
  LINNET_WANT(round_begin);
  LINNET_WANT(result_chunk);
  LINNET_WANT(last_error);
#undef LINNET_WANT
  if (!missing.empty()) return "its table lacks " + missing;
  if (s.table->abi_version >> 16 != LNT_ABI_MAJOR) return "another major version of the ABI";
  const uint32_t count = s.table->count();
  return s.index < count ? std::string{} : "count() is " + std::to_string(count);
}

std::string CheckDescription(const Subject& s, const Shape&) {
  std::string text;
  std::string wrong = Description(s, text);
  if (!wrong.empty()) return wrong;
  for (const char* key : {"id", "version", "licence"}) {
    const char* value = nullptr;
    uint32_t size = 0;
    if (!lnt_json_string(text.data(), static_cast<uint32_t>(text.size()), key, &value, &size) ||
        size == 0) {
      return std::string("describe lacks the string \"") + key + "\"";
    }
  }
  uint32_t size = 0;
  std::string part(12, '#');
  if (s.table->describe(s.index, part.data(), 4, &size) < 0 || size != text.size() ||
      part != text.substr(0, 4) + "########") {
    return "describe with little room does not answer the beginning and the whole length";
  }
  return s.table->describe(s.table->count(), part.data(), 4, &size) < 0
             ? std::string{}
             : "describe of a strategy that is not there gave no error";
}

std::string CheckNewer(const Subject& s, const Shape& shape) {
  Course course;
  course.manner.unknown_bytes = 24;
  return Same(s, shape, course, "structs of a newer host");
}

// A host whose structs end earlier: the rest is zeros to the plugin, so a round of one update must
// go well or end with an error that says why.
std::string CheckOlder(const Subject& s, const Shape& shape) {
  struct alignas(8) Room {
    uint8_t bytes[sizeof(lnt_caps)];
  } room;
  std::memset(&room, 0xee, sizeof(room));
  const uint32_t half = 16;
  std::memcpy(room.bytes, &half, sizeof(half));
  lnt_handle handle = 0;
  const lnt_status created =
      s.table->create(s.index, s.config.data(), static_cast<uint32_t>(s.config.size()), &handle,
                      reinterpret_cast<lnt_caps*>(room.bytes));
  if (created < 0) return "create with 16 bytes for lnt_caps answered " + std::to_string(created);
  s.table->destroy(handle);
  for (size_t i = half; i < sizeof(room.bytes); ++i) {
    if (room.bytes[i] != 0xee)
      return "create wrote past the 16 bytes that the host has for lnt_caps";
  }
  Drive drive(s.table, s.index, s.config, shape);
  if (drive.failed()) return drive.error();
  struct alignas(8) OldRound {
    uint8_t bytes[72];
  } old;
  lnt_round round{};
  round.struct_size = sizeof(old);
  round.population = 1000;
  round.grid_exp = Drive::kGrid;
  std::memcpy(old.bytes, &round, sizeof(old));
  const lnt_status begun = s.table->round_begin(
      drive.handle(), reinterpret_cast<const lnt_round*>(old.bytes), sizeof(old));
  if (begun < 0) return "round_begin without a seed answered " + std::to_string(begun);
  return {};
}

std::string CheckWindows(const Subject& s, const Shape& shape) {
  Shape small = shape;
  small.counts = {5, 0, 300, 97};
  for (const uint32_t chunk : {1u, 7u, 4096u, 1u << 30}) {
    Course course;
    course.manner.chunk = chunk;
    std::string wrong = Same(s, chunk == 1 ? small : shape, course,
                             "windows of " + std::to_string(chunk) + " elements");
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string CheckPages(const Subject& s, const Shape& shape) {
  Course course;
  course.restore = true;
  course.page = 7;
  return Same(s, shape, course, "blobs in pages of 7 bytes");
}

std::string CheckRows(const Subject& s, const Shape& shape) {
  if (!Drive(s.table, s.index, s.config, shape).streams()) return Skipped("BLOCK shows all rows");
  for (const uint32_t rows : {1u, 16u}) {
    Course course;
    course.manner.rows = rows;
    std::string wrong = Same(s, shape, course, std::to_string(rows) + " updates at once");
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string CheckOrder(const Subject& s, const Shape& shape) {
  if (!Drive(s.table, s.index, s.config, shape).streams())
    return Skipped("BLOCK is shown ordinal order");
  Course course;
  course.manner.reversed = true;
  return Same(s, shape, course, "the updates in reverse");
}

std::string CheckMerge(const Subject& s, const Shape& shape) {
  {
    Drive probe(s.table, s.index, s.config, shape);
    if ((probe.caps().caps & LNT_CAP_MERGE) == 0) return Skipped("offers no partials");
  }
  const std::vector<Update> all = MakeUpdates(shape, 5, kUpdates);
  const auto part = [&](size_t from, size_t to) {
    return std::vector<Update>(all.begin() + static_cast<ptrdiff_t>(from),
                               all.begin() + static_cast<ptrdiff_t>(to));
  };
  std::string error;
  const auto fold = [&](const std::vector<Update>& updates, const std::vector<Blob>& partials) {
    Drive drive(s.table, s.index, s.config, shape);
    Blob blob;
    drive.Begin(1);
    drive.Give(updates);
    for (const Blob& partial : partials) {
      if (drive.Write(LNT_BLOB_PARTIAL, partial) < 0)
        error = "a partial was refused: " + drive.LastError();
    }
    drive.Read(LNT_BLOB_PARTIAL, blob);
    if (drive.failed()) error = drive.error();
    return blob;
  };
  const Blob whole = fold(all, {});
  const Blob a = fold(part(0, 2), {}), b = fold(part(2, 6), {}), c = fold(part(6, kUpdates), {});
  if (!error.empty()) return error;
  if (whole.empty()) return "the partial of an open round is empty";
  if (fold(part(0, 2), {b, c}) != whole) return "(a + b) + c is not the whole";
  if (fold(part(6, kUpdates), {b, a}) != whole) return "(c + b) + a is not the whole";
  if (fold(part(0, 2), {fold(part(2, 6), {c})}) != whole) return "a + (b + c) is not the whole";
  if (fold({}, {a, b, c}) != whole) return "a round of partials alone is not the whole";
  if (!error.empty()) return error;

  // A refused one changes nothing.
  Drive drive(s.table, s.index, s.config, shape);
  drive.Begin(1);
  drive.Give(all);
  const Blob cut(whole.begin(), whole.end() - 8);
  if (drive.Write(LNT_BLOB_PARTIAL, cut) >= 0) return "a partial that is cut short was merged";
  Drive other(s.table, s.index, s.config, shape);
  Blob elsewhere, after;
  other.Begin(1, {}, Drive::kGrid + 1);
  other.Give(part(0, 2));
  other.Read(LNT_BLOB_PARTIAL, elsewhere);
  if (drive.Write(LNT_BLOB_PARTIAL, elsewhere) >= 0) return "a partial on another grid was merged";
  drive.Read(LNT_BLOB_PARTIAL, after);
  if (drive.failed()) return drive.error();
  return after == whole ? std::string{} : "a refused partial changed the accumulator";
}

std::string CheckRestore(const Subject& s, const Shape& shape) {
  Course course;
  course.restore = true;
  return Same(s, shape, course, "the state saved and restored between rounds");
}

std::string CheckBadState(const Subject& s, const Shape& shape) {
  Drive drive(s.table, s.index, s.config, shape);
  if ((drive.caps().caps & LNT_CAP_STATE) == 0) return Skipped("keeps no state");
  std::vector<float> model(shape.parameters(), 0.0f);
  Blob state, after;
  drive.Round(1, MakeUpdates(shape, 1, kUpdates), model);
  drive.Read(LNT_BLOB_STATE, state);
  if (drive.failed()) return drive.error();
  if (state.empty()) return "offers LNT_CAP_STATE, but its state is empty";
  const Blob cut(state.begin(), state.end() - 1);
  if (drive.Write(LNT_BLOB_STATE, cut) >= 0) return "a state that is cut short was taken";
  if (drive.LastError().empty()) return "a refused state leaves no message";
  drive.Read(LNT_BLOB_STATE, after);
  return after == state ? std::string{} : "a refused state changed the strategy";
}

std::string CheckGivenUp(const Subject& s, const Shape& shape) {
  Course course;
  course.give_up = true;
  return Same(s, shape, course, "a round that was given up before");
}

// Refused, or finite.
std::string Survives(const Subject& s, const Shape& shape, const std::vector<Update>& updates,
                     const std::string& what) {
  Drive drive(s.table, s.index, s.config, shape);
  if (drive.failed()) return drive.error();
  std::vector<float> model(shape.parameters(), 0.5f);
  if (!drive.Round(1, updates, model)) {
    return drive.LastError().empty() ? what + " is refused without a message" : std::string{};
  }
  const bool finite =
      std::all_of(model.begin(), model.end(), [](float x) { return std::isfinite(x); });
  return finite ? std::string{} : what + " gives a model that is not finite";
}

std::string CheckValues(const Subject& s, const Shape& shape) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity(), 1e30f, -3e38f}) {
    std::vector<Update> updates = MakeUpdates(shape, 1, kUpdates);
    updates[4].values[shape.scalars + 7] = value;
    Measure(shape, updates[4]);
    std::string wrong = Survives(s, shape, updates, "an element of " + std::to_string(value));
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string CheckUnknown(const Subject& s, const Shape& shape) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<Update> updates = MakeUpdates(shape, 1, kUpdates);
  for (Update& update : updates) {
    update.meta.num_examples = update.meta.num_steps = nan;
    update.meta.loss_before = update.meta.loss_after = nan;
    update.meta.l2_norm = nan;
    for (uint32_t i = 0; i < shape.scalars; ++i) update.values[i] = 0;
  }
  return Survives(s, shape, updates, "an update of which nothing is known");
}

std::string CheckFew(const Subject& s, const Shape& shape) {
  for (const size_t n : {size_t{0}, size_t{1}}) {
    std::string wrong = Survives(s, shape, MakeUpdates(shape, 1, n),
                                 "a round of " + std::to_string(n) + " updates");
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string CheckMany(const Subject& s, const Shape& shape) {
  Shape small = shape;
  small.counts = {40};
  Drive drive(s.table, s.index, s.config, small);
  if ((drive.caps().caps & LNT_CAP_ASYNC) != 0)
    return Skipped("closes a round when its buffer is full");
  const size_t n = drive.streams() ? 3000 : 300;
  std::vector<float> model(small.parameters(), 0.0f);
  // A grid for so many.
  std::vector<float> result;
  if (!drive.Begin(1, {}, Drive::kGrid + 12) || !drive.Give(MakeUpdates(small, 3, n)) ||
      !drive.Finish(model, result)) {
    return std::to_string(n) + " updates: " + drive.error();
  }
  return {};
}

std::string CheckMetrics(const Subject& s, const Shape& shape) {
  Drive drive(s.table, s.index, s.config, shape);
  std::vector<float> model(shape.parameters(), 0.0f);
  if (!drive.Round(1, MakeUpdates(shape, 1, kUpdates), model)) return drive.error();
  const std::string& text = drive.metrics();
  if (text.empty()) return Skipped("has no metrics");
  const std::string_view allowed = "{}:,.+-_eE\" ";
  const bool plain =
      text.front() == '{' && text.back() == '}' && CountOf(text, "{") == 1 &&
      std::all_of(text.begin(), text.end(), [&](unsigned char c) {
        return std::isalnum(c) != 0 || allowed.find(static_cast<char>(c)) != allowed.npos;
      });
  return plain ? std::string{} : "metrics are no flat object of numbers: " + text.substr(0, 100);
}

std::string CheckReducer(const Subject& s, const Shape& shape) {
  const std::vector<Update> updates = MakeUpdates(shape, 1, kUpdates);
  std::vector<float> zero(shape.parameters(), 0.0f), base(shape.parameters());
  Numbers numbers(9);
  for (float& value : base) value = numbers.Value();
  std::vector<float> moved = base;
  Drive first(s.table, s.index, s.config, shape), second(s.table, s.index, s.config, shape);
  if (!first.Round(1, updates, zero)) return first.error();
  if (!second.Round(1, updates, moved)) return second.error();
  for (size_t i = 0; i < base.size(); ++i) {
    if (moved[i] != base[i] + zero[i])
      return Skipped("result(base) is not base + result(0): it cannot be followed by another one");
  }
  return {};
}

std::string CheckHandles(const Subject& s, const Shape& shape) {
  lnt_handle old = 0;
  {
    Drive drive(s.table, s.index, s.config, shape);
    old = drive.handle();
  }
  for (const lnt_handle forged : {lnt_handle{0}, old, lnt_handle{0xffffffffu}, old ^ 0x80000000u}) {
    lnt_round round{};
    round.struct_size = sizeof(round);
    if (s.table->round_begin(forged, &round, sizeof(round)) >= 0)
      return "round_begin took the handle " + std::to_string(forged) + ", which is none";
    s.table->destroy(forged);
  }
  return {};
}

std::string CheckLeaks(const Subject& s, const Shape& shape) {
  // 5,000 instances, more than any table of handles; and 200 rounds of 8 MB accumulators, which a
  // module with a memory cap cannot leak.
  for (int i = 0; i < 5000; ++i) {
    lnt_caps caps{};
    caps.struct_size = sizeof(caps);
    lnt_handle handle = 0;
    if (s.table->create(s.index, s.config.data(), static_cast<uint32_t>(s.config.size()), &handle,
                        &caps) < 0) {
      return "no instance after " + std::to_string(i) + " were made and destroyed";
    }
    s.table->destroy(handle);
  }
  Shape large = shape;
  large.counts = {1u << 20};
  for (int i = 0; i < 50; ++i) {
    Drive drive(s.table, s.index, s.config, large);
    if (drive.failed()) return "instance " + std::to_string(i) + ": " + drive.error();
  }
  return {};
}

const lnt_plugin* Again(const Subject& s, const lnt_host& host) { return s.entry(&host); }

std::string CheckHosts(const Subject& s, const Shape& shape) {
  if (s.entry == nullptr || s.host == nullptr) return Skipped("has no entry of its own here");
  Blob plain, other;
  std::string wrong = Run(s, shape, {}, plain);
  if (!wrong.empty()) return wrong;
  // Each service missing in turn, all of them, and a table that ends before them.
  lnt_host hosts[6];
  for (lnt_host& host : hosts) host = *s.host;
  hosts[0].log = nullptr;
  hosts[1].cancelled = nullptr;
  hosts[2].random = nullptr;
  hosts[3].extension = nullptr;
  hosts[4].log = nullptr;
  hosts[4].cancelled = nullptr;
  hosts[4].random = nullptr;
  hosts[4].extension = nullptr;
  hosts[5].abi_version += 3;  // a newer minor
  static const char* const kNames[] = {"log",       "cancelled",    "random",
                                       "extension", "all services", "an older minor version"};
  for (int i = 0; i < 6 && wrong.empty(); ++i) {
    const lnt_plugin* table = Again(s, hosts[i]);
    if (table == nullptr) {
      wrong = std::string("no table for a host without ") + kNames[i];
      break;
    }
    Subject lesser = s;
    lesser.table = table;
    wrong = Run(lesser, shape, {}, other);
    if (wrong.empty() && other != plain)
      wrong = std::string("other bits in a host without ") + kNames[i];
    else if (!wrong.empty())
      wrong = std::string("in a host without ") + kNames[i] + ": " + wrong;
  }
  lnt_host stranger = *s.host;
  stranger.abi_version = 0xffffu << 16;
  if (wrong.empty() && s.entry(&stranger) != nullptr) wrong = "a table for a host of another major";
  s.entry(s.host);
  return wrong;
}

}  // namespace

Shape ShapeOf(const lnt_plugin* table, uint32_t index, std::string& error) {
  Shape shape;
  std::string text;
  Subject subject{table, index};
  error = Description(subject, text);
  if (!error.empty()) return shape;
  uint32_t left = 0;
  const char* uplink =
      lnt_json_find(text.data(), static_cast<uint32_t>(text.size()), "uplink", &left);
  if (uplink == nullptr) return shape;
  std::string_view list(uplink, left);
  list = list.substr(0, list.find(']'));
  shape.scalars = CountOf(list, "\"scalar\"");
  shape.controls = CountOf(list, "\"parameters\"");
  return shape;
}

Blob Trace(const Subject& subject, std::string& error) {
  Blob bytes;
  const Shape shape = ShapeOf(subject.table, subject.index, error);
  if (error.empty()) error = Run(subject, shape, {}, bytes);
  if (!error.empty()) bytes.clear();
  return bytes;
}

std::string Digest(const Blob& bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(hash >> shift) & 15];
  return text;
}

std::vector<Row> RunKit(const Subject& subject, const std::function<void(const Row&)>& on_row) {
  static const struct {
    const char* name;
    Rule rule;
  } kRules[] = {
      {"the table has what a host needs", CheckMembers},
      {"describe answers in pieces of any size", CheckDescription},
      {"structs of a newer host", CheckNewer},
      {"structs of an older host", CheckOlder},
      {"every service of the host missing in turn", CheckHosts},
      {"windows of 1, 7, 4096 and all elements", CheckWindows},
      {"1, 7 and 16 updates at once", CheckRows},
      {"updates in any order", CheckOrder},
      {"partials merge in any order and tree", CheckMerge},
      {"state saved and restored at every round", CheckRestore},
      {"state and partials in pages of 7 bytes", CheckPages},
      {"a broken state is refused and changes nothing", CheckBadState},
      {"a round that is given up leaves no trace", CheckGivenUp},
      {"NaN, infinity and huge values", CheckValues},
      {"updates of which nothing is known", CheckUnknown},
      {"rounds of no and of one update", CheckFew},
      {"a huge cohort", CheckMany},
      {"metrics are finite numbers", CheckMetrics},
      {"result(base) = base + result(0)", CheckReducer},
      {"forged and old handles", CheckHandles},
      {"instances and memory are given back", CheckLeaks},
  };
  std::string error;
  const Shape shape = ShapeOf(subject.table, subject.index, error);
  std::vector<Row> rows;
  for (const auto& [name, rule] : kRules) {
    std::string found = error.empty() ? rule(subject, shape) : error;
    Row row{name, Row::Outcome::kPassed, {}};
    if (!found.empty() && found[0] == '-') {
      row.outcome = Row::Outcome::kSkipped;
      row.detail = found.substr(1);
    } else if (!found.empty()) {
      row.outcome = Row::Outcome::kFailed;
      row.detail = found;
    }
    if (on_row) on_row(row);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace linnet::conformance
