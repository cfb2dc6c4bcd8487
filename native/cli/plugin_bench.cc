// How fast a strategy takes updates in, beside the memory's own speed and fedavg.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>

#include "fed/aggregation_host.h"
#include "native/cli/command_line.h"
#include "native/cli/output.h"
#include "native/cli/plugin.h"
#include "plugins/conformance/conformance.h"

namespace linnet {
namespace {

constexpr uint32_t kWindow = 4096;  // elements, as the aggregation host hands them over

// The fastest of several runs, in seconds; about half a second in all.
Result<double> Fastest(const std::function<Status()>& run) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9, all = 0;
  for (int i = 0; i < 3 || (all < 0.5 && i < 50); ++i) {
    const auto begin = Clock::now();
    LINNET_TRY_STATUS(run());
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::min(best, seconds);
    all += seconds;
  }
  return best;
}

// One pass of all updates through the strategy: STREAM folds them, BLOCK shows them as often as it
// asks for.
Status TakeIn(const PluginSubject& subject, conformance::Drive& drive,
              const std::vector<float>& updates, const std::vector<lnt_update>& metas,
              uint32_t elements) {
  const lnt_plugin& table = *subject.entry.table;
  const uint32_t n = static_cast<uint32_t>(metas.size());
  const auto check = [&](lnt_status status, const char* function) -> Status {
    if (status >= 0) return {};
    return Fail(Code::kInternal, "strategy ", subject.entry.id, ": ", function, " answered ",
                status, ": ", drive.LastError());
  };
  if (!drive.Begin(1)) return Fail(Code::kInternal, drive.error());
  const auto each = [&](uint32_t rows, const std::function<lnt_status(uint64_t, uint32_t)>& body,
                        const char* function) -> Status {
    for (uint32_t at = 0; at < elements; at += kWindow) {
      (void)rows;
      LINNET_TRY_STATUS(check(body(at, std::min(kWindow, elements - at)), function));
    }
    return {};
  };
  if (drive.streams()) {
    // One at a time where they lie, as f32 updates are folded.
    for (uint32_t k = 0; k < n; ++k) {
      LINNET_TRY_STATUS(check(table.updates_begin(drive.handle(), &metas[k], sizeof(lnt_update), 1),
                              "updates_begin"));
      const float* x = updates.data() + size_t{k} * elements;
      LINNET_TRY_STATUS(each(
          1,
          [&](uint64_t at, uint32_t count) {
            return table.updates_chunk(drive.handle(), 0, at, x + at, elements * 4, count);
          },
          "updates_chunk"));
      const lnt_status status = table.updates_end(drive.handle());
      LINNET_TRY_STATUS(check(status, "updates_end"));
      if (status == LNT_FLUSH && k + 1 < n && !drive.Begin(1))
        return Fail(Code::kInternal, drive.error());
    }
    return {};
  }
  std::vector<float> out(kWindow);
  lnt_status status = LNT_MORE;
  for (uint32_t pass = 0; status == LNT_MORE && pass < 64; ++pass) {
    LINNET_TRY_STATUS(check(
        table.pass_begin(drive.handle(), pass, metas.data(), sizeof(lnt_update), n), "pass_begin"));
    LINNET_TRY_STATUS(each(
        n,
        [&](uint64_t at, uint32_t count) {
          return table.pass_block(drive.handle(), 0, at, updates.data() + at, elements * 4, count,
                                  out.data());
        },
        "pass_block"));
    status = table.pass_end(drive.handle());
    LINNET_TRY_STATUS(check(status, "pass_end"));
  }
  return {};
}

Result<double> Measure(const PluginSubject& subject, const std::vector<float>& updates,
                       const std::vector<lnt_update>& metas, uint32_t elements) {
  std::string error;
  conformance::Shape shape = conformance::ShapeOf(subject.entry.table, subject.entry.index, error);
  if (shape.scalars + shape.controls > 0) {
    return Fail(Code::kUnsupported, "strategy ", subject.entry.id,
                " wants more than updates of the participants (uplink), which is not measured");
  }
  shape.counts = {elements};
  conformance::Drive drive(subject.entry.table, subject.entry.index, subject.config, shape);
  if (drive.failed()) return Fail(Code::kInternal, drive.error());
  return Fastest([&] { return TakeIn(subject, drive, updates, metas, elements); });
}

// The same strategy as native code: the .so beside a .wasm, or the built-in one.
std::optional<PluginSubject> NativeForm(const std::string& file, const PluginSubject& subject) {
  std::filesystem::path beside = file;
  beside.replace_extension(".so");
  for (const std::string& name : {beside.string(), subject.entry.id}) {
    const auto found = OpenSubjects(name, subject.config);
    if (!found) continue;
    for (const PluginSubject& one : *found) {
      if (one.entry.id == subject.entry.id) return one;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<int> Run(const PluginBenchCommand& command) {
  LINNET_TRY(std::vector<PluginSubject> subjects,
             OpenSubjects(command.subject, command.config, command.limits));
  LINNET_TRY(const std::vector<PluginSubject> fedavg, OpenSubjects("fedavg", ""));
  const size_t total = size_t{command.updates} * command.elements;
  std::vector<float> updates(total);
  conformance::Numbers numbers(1);
  for (float& value : updates) value = numbers.Value();
  std::vector<lnt_update> metas(command.updates);
  for (uint32_t k = 0; k < command.updates; ++k) {
    metas[k] = MakeUpdate(k, 1 + 17 * k);
    metas[k].struct_size = sizeof(lnt_update);
    metas[k].loss_before = 1;
    metas[k].l2_norm = 1;
  }

  const double bytes = 4.0 * static_cast<double>(total),
               millions = static_cast<double>(total) / 1e6;
  Output output(command.json);
  // Four sums, so that the additions do not wait for one another.
  volatile uint64_t sink = 0;
  LINNET_TRY(const double memory, Fastest([&]() -> Status {
               uint64_t sums[8] = {};
               for (size_t i = 0; i + 16 <= updates.size(); i += 16) {
                 uint64_t words[8];
                 std::memcpy(words, updates.data() + i, sizeof(words));
                 for (int l = 0; l < 8; ++l) sums[l] += words[l];
               }
               sink = sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
               return {};
             }));
  LINNET_TRY(const double mean, Measure(fedavg[0], updates, metas, command.elements));
  output.Line(StrCat(command.updates, " updates of ", command.elements, " f32 (",
                     HumanBytes(static_cast<uint64_t>(bytes)), "), the fastest of several runs"));
  output.Line(
      StrCat(PadRight("", 28), "  ms per 1M f32    GB/s   to memory   to fedavg   to native"));
  const auto show = [&](const std::string& name, double seconds, double native) {
    Json line(Json::Object{{"name", name},
                           {"msPerMillion", 1e3 * seconds / millions},
                           {"gigabytesPerSecond", bytes / seconds / 1e9},
                           {"toMemory", seconds / memory},
                           {"toFedavg", seconds / mean}});
    if (native > 0) line.Set("toNative", seconds / native);
    output.Object(line);
    output.Line(StrCat(PadRight(name, 28), PadLeft(Fixed(1e3 * seconds / millions, 3), 15),
                       PadLeft(Fixed(bytes / seconds / 1e9, 1), 8),
                       PadLeft(Fixed(seconds / memory, 2), 12),
                       PadLeft(Fixed(seconds / mean, 2), 12),
                       PadLeft(native > 0 ? Fixed(seconds / native, 2) : "", 12)));
  };
  show("reading memory", memory, 0);
  show("fedavg, built in", mean, 0);
  for (const PluginSubject& subject : subjects) {
    double native = 0;
    if (subject.form == "WASM") {
      if (const auto twin = NativeForm(command.subject, subject)) {
        LINNET_TRY(native, Measure(*twin, updates, metas, command.elements));
        show(StrCat(twin->entry.id, ", ", twin->form), native, native);
      }
    }
    LINNET_TRY(const double seconds, Measure(subject, updates, metas, command.elements));
    show(StrCat(subject.entry.id, ", ", subject.form), seconds, native);
  }
  return kExitGood;
}

}  // namespace linnet
