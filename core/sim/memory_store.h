// A RoundStore in memory with the semantics of the durable one: what was stored is what a restart
// sees.
#ifndef LINNET_SIM_MEMORY_STORE_H_
#define LINNET_SIM_MEMORY_STORE_H_

#include <vector>

#include "fed/journal.h"

namespace linnet {

class MemoryStore {
 public:
  // All of them or (a driver that dies before the call) none.
  void Apply(const std::vector<JournalRecord>& records);
  Recovered Load() const { return recovered_; }
  // Of all rounds, in commit order.
  const std::vector<ClaimRecord>& claims() const { return claims_; }
  const SharedBytes& best_model() const { return best_; }

 private:
  void CloseAssignment(const AssignmentId& id);

  Recovered recovered_;
  std::vector<ClaimRecord> claims_;
  SharedBytes best_;
};

}  // namespace linnet

#endif  // LINNET_SIM_MEMORY_STORE_H_
