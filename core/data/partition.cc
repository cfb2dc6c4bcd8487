#include "data/partition.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "base/nearest.h"
#include "base/random.h"
#include "data/fixed_math.h"

namespace linnet {
namespace {

using Rows = std::vector<uint32_t>;
using Parts = std::vector<Rows>;

constexpr int kDirichletTries = 100;
constexpr double kMinAlpha = 1e-3;
constexpr double kMaxAlpha = 1e6;
constexpr std::array<std::string_view, 3> kKinds = {"iid", "shards", "dirichlet"};

Result<uint64_t> ParseShards(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > 1000000) {
    return Fail(Code::kInvalid, "partition \"shards:", text,
                "\": a number of shards in 1..1000000 is wanted, as in shards:2");
  }
  return value;
}

// A decimal fraction such as 0.5, read exactly enough without a libc whose locale matters.
Result<double> ParseAlpha(std::string_view text) {
  double value = 0, unit = 1;
  size_t digits = 0;
  bool fraction = false, good = text.size() <= 16;
  for (const char c : text) {
    if (c == '.' && !fraction) {
      fraction = true;
    } else if (c >= '0' && c <= '9') {
      value = value * 10 + (c - '0');
      if (fraction) unit *= 10;
      ++digits;
    } else {
      good = false;
    }
  }
  value /= unit;
  if (!good || digits == 0 || !(value >= kMinAlpha && value <= kMaxAlpha)) {
    return Fail(Code::kInvalid, "partition \"dirichlet:", text,
                "\": a decimal number in 0.001..1000000 is wanted, as in dirichlet:0.5");
  }
  return value;
}

Rows Shuffled(size_t count, RandomStream& random) {
  Rows rows(count);
  std::iota(rows.begin(), rows.end(), 0u);
  random.Shuffle(std::span<uint32_t>(rows));
  return rows;
}

// `total` divided into `parts` as equally as can be: where part i begins.
size_t Cut(size_t total, size_t parts, size_t i) {
  return total / parts * i + std::min(i, total % parts);
}

Parts SplitEqually(const Rows& rows, size_t clients) {
  Parts parts(clients);
  for (size_t c = 0; c < clients; ++c) {
    parts[c].assign(rows.begin() + static_cast<ptrdiff_t>(Cut(rows.size(), clients, c)),
                    rows.begin() + static_cast<ptrdiff_t>(Cut(rows.size(), clients, c + 1)));
  }
  return parts;
}

// Each label's rows in random order.
std::vector<Rows> ShuffledByLabel(const Dataset& data, RandomStream& random) {
  std::vector<Rows> by_label(data.classes);
  for (const uint32_t row : Shuffled(data.size(), random)) {
    by_label[static_cast<size_t>(data.labels[row])].push_back(row);
  }
  return by_label;
}

Parts SplitByShards(const Dataset& data, size_t per_client, size_t clients, RandomStream& random) {
  Rows rows;
  for (const Rows& label : ShuffledByLabel(data, random)) {
    rows.insert(rows.end(), label.begin(), label.end());
  }
  const size_t shards = per_client * clients;
  const Rows order = Shuffled(shards, random);
  Parts parts(clients);
  for (size_t i = 0; i < shards; ++i) {
    Rows& part = parts[i / per_client];
    for (size_t r = Cut(rows.size(), shards, order[i]); r < Cut(rows.size(), shards, order[i] + 1);
         ++r) {
      part.push_back(rows[r]);
    }
  }
  return parts;
}

// Proportions over clients by a symmetric Dirichlet draw; they sum to 1.
std::vector<double> DirichletDraw(double alpha, size_t clients, RandomStream& random) {
  std::vector<double> draw(clients);
  for (double& value : draw) value = FixedLogGammaDraw(random, alpha);
  const double largest = *std::max_element(draw.begin(), draw.end());
  double sum = 0;
  for (double& value : draw) {
    value = FixedExp(value - largest);
    sum += value;
  }
  for (double& value : draw) value /= sum;
  return draw;
}

Parts SplitByDirichlet(const Dataset& data, double alpha, size_t clients, RandomStream& random) {
  Parts parts(clients);
  for (const Rows& rows : ShuffledByLabel(data, random)) {
    const std::vector<double> draw = DirichletDraw(alpha, clients, random);
    double reached = 0;
    size_t begin = 0;
    for (size_t c = 0; c < clients; ++c) {
      reached += draw[c];
      const size_t end =
          c + 1 == clients
              ? rows.size()
              : std::min(rows.size(),
                         static_cast<size_t>(static_cast<double>(rows.size()) * reached));
      for (; begin < end; ++begin) parts[c].push_back(rows[begin]);
    }
  }
  return parts;
}

}  // namespace

Result<std::vector<DataView>> Partition(std::shared_ptr<const Dataset> data, std::string_view spec,
                                        size_t clients, const Seed& seed) {
  if (clients == 0) return Fail(Code::kInvalid, "a partition over 0 clients: at least 1 is wanted");
  if (data->size() < clients) {
    return Fail(Code::kInvalid, data->source, " has ", data->size(), " rows, not one for each of ",
                clients, " clients");
  }
  const size_t colon = spec.find(':');
  const std::string_view kind = spec.substr(0, colon);
  const std::string_view argument =
      colon == std::string_view::npos ? std::string_view() : spec.substr(colon + 1);
  RandomStream random(DeriveSeed(seed, "partition"), 0);
  Parts parts;
  if (spec == "iid") {
    parts = SplitEqually(Shuffled(data->size(), random), clients);
  } else if ((kind == "shards" || kind == "dirichlet") && data->labels.empty()) {
    return Fail(Code::kInvalid, "partition \"", spec, "\" goes by labels, ", data->source,
                " has none; iid is wanted");
  } else if (kind == "shards") {
    LINNET_TRY(const uint64_t per_client, ParseShards(argument));
    if (per_client > data->size() / clients) {
      return Fail(Code::kInvalid, "partition \"", spec, "\" over ", clients, " clients wants ",
                  per_client * clients, " shards, ", data->source, " has ", data->size(), " rows");
    }
    parts = SplitByShards(*data, per_client, clients, random);
  } else if (kind == "dirichlet") {
    LINNET_TRY(const double alpha, ParseAlpha(argument));
    const auto holds_nothing = [](const Rows& rows) { return rows.empty(); };
    for (int tries = 0; tries < kDirichletTries; ++tries) {
      parts = SplitByDirichlet(*data, alpha, clients, random);
      if (std::none_of(parts.begin(), parts.end(), holds_nothing)) break;
      parts.clear();
    }
    if (parts.empty()) {
      return Fail(Code::kInvalid, "partition \"", spec, "\": ", kDirichletTries,
                  " draws left one of ", clients, " clients without a row of ", data->source,
                  "; a larger ALPHA or fewer clients are wanted");
    }
  } else {
    return Fail(Code::kInvalid, "partition \"", spec,
                "\" is not known (nearest: ", NearestName(kind, kKinds),
                "); iid, shards:S or dirichlet:ALPHA is wanted");
  }
  std::vector<DataView> views;
  views.reserve(clients);
  for (Rows& rows : parts) views.push_back({data, std::move(rows)});
  return views;
}

}  // namespace linnet
