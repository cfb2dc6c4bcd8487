// Participants of a simulation that do not play fair.
#ifndef LINNET_SIM_ADVERSARY_H_
#define LINNET_SIM_ADVERSARY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/random.h"
#include "base/result.h"
#include "fed/work.h"

namespace linnet {

// What a hostile participant sends in place of the update x that it has honestly trained. It knows
// the honest updates of its round, as far as they are trained when it sends its own.
struct Attack {
  enum class Kind : uint8_t {
    kScale,         // value * x
    kGaussian,      // each element normal with deviation `value`
    kAlie,          // mean - value * deviation of the honest updates (Baruch 2019)
    kInnerProduct,  // -value * mean of the honest updates (Xie 2020)
    kMimic,         // the first honest update once more (Karimireddy 2022)
    kLabelFlip,     // x of a training with labels classes - 1 - y
  } kind = Kind::kScale;
  double value = -4;
};
// "scale:-4", "sign-flip" (which is scale:-1), "gaussian:0.3", "alie:1.5", "inner-product:0.1",
// "mimic", "label-flip"; without a number those shown. kInvalid: what was found, what was wanted.
Result<Attack> ParseAttack(std::string_view text);
std::string AttackText(const Attack& attack);

struct Hostility {
  size_t count = 0;  // 0: everybody is honest
  // Exactly `count` of those invited to a round, drawn anew for each; or `count` of all
  // participants, drawn once.
  bool every_round = true;
  Attack attack;
};
// kInvalid: more hostile participants than there are, or an attack that the data does not admit.
Status CheckHostility(const Hostility& hostility, std::span<const DataView> participants,
                      size_t invited);

// Decides who is hostile, and corrupts what those have trained. A function of the seed and of the
// order of calls.
class Adversary {
 public:
  // Of `participants`, `invited` train in a round.
  Adversary(const Hostility& hostility, size_t participants, size_t invited, const Seed& seed);

  // Before participant `index` trains; its work then stops short of Finish.
  void Enlist(size_t index, TrainWork& work);
  // Works that were enlisted and have trained, together; Finish is due next.
  void Corrupt(std::span<TrainWork* const> works);
  // Assignments that were trained by hostile participants.
  const std::set<AssignmentId>& assignments() const { return assignments_; }

 private:
  // A round as the hostile see it.
  struct Round {
    std::map<size_t, bool> hostile;  // of those enlisted
    size_t chosen = 0;
    uint64_t honest = 0;              // updates in the sums
    std::vector<double> sum, square;  // of the honest updates
    std::vector<float> first;         // of them
  };
  bool Hostile(size_t index, Round& round);
  void Watch(const TrainWork& work, Round& round) const;
  void Send(const Round& round, TrainWork& work);

  Hostility hostility_;
  size_t invited_;
  Seed seed_;
  RandomStream draws_;
  std::set<size_t> always_;
  std::map<uint64_t, Round> rounds_;  // the newest few
  std::set<AssignmentId> assignments_;
  std::map<const Dataset*, std::shared_ptr<const Dataset>> flipped_;
};

}  // namespace linnet

#endif  // LINNET_SIM_ADVERSARY_H_
