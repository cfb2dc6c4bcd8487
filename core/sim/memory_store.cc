#include "sim/memory_store.h"

#include <algorithm>

namespace linnet {

void MemoryStore::CloseAssignment(const AssignmentId& id) {
  std::erase_if(recovered_.open_assignments,
                [&](const AssignmentRecord& open) { return open.id == id; });
}

void MemoryStore::Apply(const std::vector<JournalRecord>& records) {
  for (const JournalRecord& record : records) {
    if (const auto* opened = std::get_if<AttemptOpened>(&record)) {
      recovered_.open_round = opened->round;
      recovered_.open_attempt = opened->attempt;
      recovered_.open_assignments = opened->assignments;
    } else if (const auto* changed = std::get_if<AssignmentsChanged>(&record)) {
      for (const AssignmentId& id : changed->ended) CloseAssignment(id);
      for (const AssignmentRecord& opened_one : changed->opened) {
        recovered_.open_assignments.push_back(opened_one);
        recovered_.buffer.next_ordinal =
            std::max(recovered_.buffer.next_ordinal, opened_one.ordinal + 1);
      }
    } else if (const auto* batch = std::get_if<BufferCommitted>(&record)) {
      LINNET_CHECK(batch->round == recovered_.round + 1);
      recovered_.buffer.partial = batch->partial;
      for (const ClaimRecord& claim : batch->claims) {
        CloseAssignment(claim.id);
        recovered_.buffer.claims.push_back(claim);
      }
      claims_.insert(claims_.end(), batch->claims.begin(), batch->claims.end());
      recovered_.claims = claims_;
    } else if (const auto* voided = std::get_if<BufferVoided>(&record)) {
      recovered_.buffer.partial.clear();
      recovered_.buffer.claims.clear();
      recovered_.buffer.attempt = voided->attempt;
    } else if (const auto* committed = std::get_if<RoundCommitted>(&record)) {
      LINNET_CHECK_MSG(committed->round == recovered_.round + 1, "round ", committed->round,
                       " committed after ", recovered_.round);
      recovered_.round = committed->round;
      recovered_.model = committed->model;
      recovered_.strategy_state = committed->strategy_state;
      if (recovered_.open_round != 0) recovered_.open_assignments.clear();
      recovered_.open_round = 0;
      for (const ClaimRecord& claim : committed->claims) CloseAssignment(claim.id);
      recovered_.buffer.partial.clear();
      recovered_.buffer.claims.clear();
      recovered_.buffer.attempt = 0;
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
