#include "sim/memory_store.h"

namespace linnet {

void MemoryStore::Apply(const std::vector<JournalRecord>& records) {
  for (const JournalRecord& record : records) {
    if (const auto* opened = std::get_if<AttemptOpened>(&record)) {
      recovered_.open_round = opened->round;
      recovered_.open_attempt = opened->attempt;
      recovered_.open_assignments = opened->assignments;
    } else if (const auto* committed = std::get_if<RoundCommitted>(&record)) {
      LINNET_CHECK_MSG(committed->round == recovered_.round + 1, "round ", committed->round,
                       " committed after ", recovered_.round);
      recovered_.round = committed->round;
      recovered_.model = committed->model;
      recovered_.strategy_state = committed->strategy_state;
      recovered_.open_round = 0;
      recovered_.open_assignments.clear();
      recovered_.history.push_back(committed->metrics);
      claims_.insert(claims_.end(), committed->claims.begin(), committed->claims.end());
      recovered_.claims = claims_;
    } else if (const auto* evaluated = std::get_if<RoundEvaluated>(&record)) {
      for (RoundMetrics& metrics : recovered_.history)
        if (metrics.round == evaluated->metrics.round) metrics = evaluated->metrics;
      if (evaluated->best) best_ = recovered_.model;
    }
  }
}

}  // namespace linnet
