#include "sim/adversary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/json.h"

namespace linnet {
namespace {

using Kind = Attack::Kind;

constexpr size_t kRounds = 8;  // that may overlap, where rounds do not wait

struct Named {
  std::string_view name;
  Kind kind;
  double value;
  bool has_value;
};
constexpr std::array kAttacks = {
    Named{"scale", Kind::kScale, -4, true},
    Named{"sign-flip", Kind::kScale, -1, false},
    Named{"gaussian", Kind::kGaussian, 0.3, true},
    Named{"alie", Kind::kAlie, 1.5, true},
    Named{"inner-product", Kind::kInnerProduct, 0.1, true},
    Named{"mimic", Kind::kMimic, 0, false},
    Named{"label-flip", Kind::kLabelFlip, 0, false},
};

bool NeedsHonest(Kind kind) {
  return kind == Kind::kAlie || kind == Kind::kInnerProduct || kind == Kind::kMimic;
}

std::shared_ptr<const Dataset> FlipLabels(const Dataset& data) {
  auto flipped = std::make_shared<Dataset>(data);
  for (int32_t& label : flipped->labels) label = int32_t(data.classes) - 1 - label;
  return flipped;
}

}  // namespace

Result<Attack> ParseAttack(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto* found = std::ranges::find(kAttacks, name, &Named::name);
  if (found == kAttacks.end()) {
    std::string names;
    for (const Named& attack : kAttacks)
      names += StrCat(names.empty() ? "" : ", ", attack.name, attack.has_value ? ":NUMBER" : "");
    return Fail(Code::kInvalid, "attack \"", text, "\": wanted one of ", names);
  }
  Attack attack{found->kind, found->value};
  if (colon == std::string_view::npos) return attack;
  const auto number = Json::Parse(text.substr(colon + 1));
  constexpr double kLimit = 1e6;
  if (!found->has_value || !number || !number->is_number() ||
      !(std::abs(number->as_double()) <= kLimit)) {
    return Fail(Code::kInvalid, "attack \"", text, "\": wanted ", name,
                found->has_value ? ":NUMBER of at most 1e6" : " without a number");
  }
  attack.value = number->as_double();
  return attack;
}

std::string AttackText(const Attack& attack) {
  const auto* found = std::ranges::find(kAttacks, attack.kind, &Named::kind);
  if (!found->has_value) return std::string(found->name);
  return StrCat(found->name, ":", attack.value);
}

Status CheckHostility(const Hostility& hostility, std::span<const DataView> participants,
                      size_t invited) {
  const size_t of =
      hostility.every_round ? std::min(invited, participants.size()) : participants.size();
  if (hostility.count > of)
    return Fail(Code::kInvalid, "found ", hostility.count, " hostile participants, wanted at most ",
                of, hostility.every_round ? ", who are invited to a round" : "");
  if (hostility.attack.kind == Kind::kLabelFlip && hostility.count > 0) {
    for (const DataView& view : participants)
      if (view.data && view.data->labels.empty())
        return Fail(Code::kInvalid, "attack \"label-flip\": ", view.data->source, " has no labels");
  }
  return {};
}

Adversary::Adversary(const Hostility& hostility, size_t participants, size_t invited,
                     const Seed& seed)
    : hostility_(hostility),
      invited_(std::min(invited, participants)),
      seed_(seed),
      draws_(seed, 0) {
  if (hostility_.every_round) return;
  std::vector<size_t> all(participants);
  std::iota(all.begin(), all.end(), size_t{0});
  draws_.Shuffle(std::span(all));
  always_.insert(all.begin(), all.begin() + ptrdiff_t(hostility_.count));
}

bool Adversary::Hostile(size_t index, Round& round) {
  if (!hostility_.every_round) return always_.contains(index);
  const auto known = round.hostile.find(index);
  if (known != round.hostile.end()) return known->second;
  // Each of those invited is as likely as any other, and `count` are chosen of them in the end.
  const size_t left = invited_ - std::min(round.hostile.size(), invited_);
  const size_t wanted = hostility_.count - round.chosen;
  const bool chosen = left > 0 && draws_.Below(left) < wanted;
  round.chosen += chosen;
  return round.hostile[index] = chosen;
}

void Adversary::Enlist(size_t index, TrainWork& work) {
  work.hold = true;
  Round& round = rounds_[work.round];
  if (rounds_.size() > kRounds) rounds_.erase(rounds_.begin());
  if (!Hostile(index, round)) return;
  assignments_.insert(work.assignment);
  if (hostility_.attack.kind != Kind::kLabelFlip) return;
  std::shared_ptr<const Dataset>& flipped = flipped_[work.train.data.get()];
  if (!flipped) flipped = FlipLabels(*work.train.data);
  work.train.data = flipped;
}

void Adversary::Watch(const TrainWork& work, Round& round) const {
  const std::vector<float>& base = work.base->parameters;
  round.sum.resize(base.size());
  round.square.resize(base.size());
  if (round.honest == 0) round.first.resize(base.size());
  for (size_t i = 0; i < base.size(); ++i) {
    const float x = work.parameters[i] - base[i];
    if (round.honest == 0) round.first[i] = x;
    round.sum[i] += double{x};
    round.square[i] += double{x} * double{x};
  }
  ++round.honest;
}

void Adversary::Send(const Round& round, TrainWork& work) {
  const std::vector<float>& base = work.base->parameters;
  std::vector<float>& y = work.parameters;
  const double value = hostility_.attack.value, n = double(round.honest);
  const auto replace = [&](const auto& x) {
    for (size_t i = 0; i < base.size(); ++i) y[i] = base[i] + static_cast<float>(x(i));
  };
  switch (hostility_.attack.kind) {
    case Kind::kScale:
      return replace([&](size_t i) { return value * double{y[i] - base[i]}; });
    case Kind::kGaussian: {
      uint64_t stream;
      std::memcpy(&stream, work.assignment.data(), sizeof(stream));
      RandomStream noise(DeriveSeed(seed_, "noise", work.round), stream);
      return replace([&](size_t) { return value * noise.Normal(); });
    }
    case Kind::kAlie:
      return replace([&](size_t i) {
        const double mean = round.sum[i] / n;
        const double variance = std::max(0.0, round.square[i] / n - mean * mean);
        return mean - value * std::sqrt(variance);
      });
    case Kind::kInnerProduct:
      return replace([&](size_t i) { return -value * (round.sum[i] / n); });
    case Kind::kMimic:
      return replace([&](size_t i) { return double{round.first[i]}; });
    case Kind::kLabelFlip:
      return;
  }
}

void Adversary::Corrupt(std::span<TrainWork* const> works) {
  const auto trained = [](const TrainWork& work) {
    return work.status && work.parameters.size() == work.base->parameters.size();
  };
  const bool needs_honest = NeedsHonest(hostility_.attack.kind);
  for (const TrainWork* work : works)
    if (needs_honest && trained(*work) && !assignments_.contains(work->assignment))
      Watch(*work, rounds_[work->round]);
  for (TrainWork* work : works) {
    if (!trained(*work) || !assignments_.contains(work->assignment)) continue;
    const Round& round = rounds_[work->round];
    // Nobody to look at: what it has trained itself will do.
    if (needs_honest && round.honest == 0) continue;
    Send(round, *work);
  }
}

}  // namespace linnet
