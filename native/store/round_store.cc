#include "native/store/round_store.h"

#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "native/store/round_schema.h"
#include "native/store/sqlite.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

constexpr char kMetrics[] =
    "round, attempt, invited, counted, refused, late, accuracy, loss, accuracy_mean, train_loss, "
    "uplink_bytes, downlink_bytes, seconds, model, staleness";

class SqliteStore final : public RoundStore {
 public:
  SqliteStore(StateFolder folder, StoreOptions options)
      : folder_(std::move(folder)), options_(std::move(options)) {}

  Status Open() {
    const std::string path = folder_.File("rounds.db");
    if (options_.fresh) {
      for (const char* end : {"", "-wal", "-shm"}) std::remove((path + end).c_str());
    }
    LINNET_TRY(db_, Database::Open(path));
    chmod(path.c_str(), 0600);
    LINNET_TRY(const int64_t application, db_.Number("PRAGMA application_id"));
    LINNET_TRY(const int64_t version, db_.Number("PRAGMA user_version"));
    LINNET_TRY(const int64_t tables, db_.Number("SELECT count(*) FROM sqlite_schema"));
    const bool empty = tables == 0 && application == 0 && version == 0;
    if (!empty && application != kStoreApplicationId) {
      return Fail(Code::kData, path, " is a database, but not a store of Linnet");
    }
    if (empty) LINNET_TRY_STATUS(db_.Run("PRAGMA page_size=16384"));
    LINNET_TRY_STATUS(
        db_.Run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0"));
    LINNET_TRY_STATUS(empty ? Create() : UpgradeStore(db_, version, path));
    LINNET_TRY_STATUS(CheckIdentity());
    LINNET_TRY_STATUS(PrepareAll());
    LINNET_TRY(tidier_, Database::Open(path));
    // A connection that has read nothing does not know of the journal and tidies nothing.
    LINNET_TRY([[maybe_unused]] const int64_t rows,
               tidier_.Number("SELECT count(*) FROM identity"));
    return {};
  }

  Status Write(const std::vector<JournalRecord>& records) override {
    LINNET_TRY_STATUS(db_.Run("BEGIN IMMEDIATE"));
    Status status;
    for (const JournalRecord& record : records) {
      status = std::visit([this](const auto& value) { return Put(value); }, record);
      if (!status) break;
    }
    if (status) status = db_.Run("COMMIT");
    if (status) untidied_ += written_;
    written_ = 0;
    // A failed COMMIT may leave the transaction open; SQLite itself ends it after some errors.
    if (!status && sqlite3_get_autocommit(db_.handle()) == 0)
      static_cast<void>(db_.Run("ROLLBACK"));
    return status;
  }

  void Tidy() override {
    if (untidied_.load() < options_.tidy_bytes) return;
    untidied_ = 0;
    sqlite3_wal_checkpoint_v2(tidier_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr,
                              nullptr);
  }

  Result<Recovered> Load() override {
    Recovered out;
    LINNET_TRY(Statement rounds,
               db_.Prepare(StrCat("SELECT ", kMetrics, " FROM round ORDER BY round")));
    for (;;) {
      LINNET_TRY(const bool row, rounds.Next());
      if (!row) break;
      LINNET_TRY(RoundMetrics metrics, ReadMetrics(rounds));
      out.round = metrics.round;
      out.history.push_back(std::move(metrics));
    }
    LINNET_TRY(Statement checkpoint,
               db_.Prepare("SELECT strategy_state, model FROM checkpoint WHERE round = ?"));
    checkpoint.Query(out.round);
    LINNET_TRY(const bool kept, checkpoint.Next());
    if (kept) {
      out.strategy_state = ToBytes(checkpoint.Blob(0));
      out.model = std::make_shared<const Bytes>(ToBytes(checkpoint.Blob(1)));
      if (Blake2b(*out.model) != out.history.back().model) {
        return Fail(Code::kData, folder(), ": the model of round ", out.round,
                    " is not the one that was committed; bring back a copy of the folder, or begin "
                    "anew with --fresh");
      }
    } else if (out.round != 0) {
      return Fail(Code::kData, folder(), ": the model of round ", out.round, " is missing");
    }
    LINNET_TRY(Statement best, db_.Prepare("SELECT model FROM checkpoint WHERE best = 1"));
    LINNET_TRY(const bool known, best.Next());
    if (known) out.best_model = std::make_shared<const Bytes>(ToBytes(best.Blob(0)));
    LINNET_TRY(Statement claims,
               db_.Prepare("SELECT id, participant, examples, bytes, age, buffered FROM claim "
                           "ORDER BY round, id"));
    for (;;) {
      LINNET_TRY(const bool row, claims.Next());
      if (!row) break;
      ClaimRecord claim;
      LINNET_TRY_STATUS(claims.Fixed(0, claim.id));
      LINNET_TRY_STATUS(claims.Fixed(1, claim.participant));
      claim.examples = uint64_t(claims.Integer(2));
      claim.bytes = uint64_t(claims.Integer(3));
      claim.age = uint64_t(claims.Integer(4));
      out.claims.push_back(claim);
      if (claims.Integer(5) != 0) out.buffer.claims.push_back(claim);
    }
    LINNET_TRY(Statement attempt, db_.Prepare("SELECT round, attempt FROM attempt"));
    LINNET_TRY(const bool open, attempt.Next());
    if (open) {
      out.open_round = uint64_t(attempt.Integer(0));
      out.open_attempt = uint32_t(attempt.Integer(1));
    }
    LINNET_TRY(Statement buffer, db_.Prepare("SELECT next_ordinal, attempt, partial FROM buffer"));
    LINNET_TRY(const bool buffered, buffer.Next());
    if (buffered) {
      out.buffer.next_ordinal = uint64_t(buffer.Integer(0));
      out.buffer.attempt = uint32_t(buffer.Integer(1));
      out.buffer.partial = ToBytes(buffer.Blob(2));
    }
    LINNET_TRY(
        Statement assignments,
        db_.Prepare(
            "SELECT id, participant, ordinal, base_version FROM assignment ORDER BY ordinal"));
    for (;;) {
      LINNET_TRY(const bool row, assignments.Next());
      if (!row) break;
      AssignmentRecord assignment;
      LINNET_TRY_STATUS(assignments.Fixed(0, assignment.id));
      LINNET_TRY_STATUS(assignments.Fixed(1, assignment.participant));
      assignment.ordinal = uint64_t(assignments.Integer(2));
      assignment.base_version = uint64_t(assignments.Integer(3));
      out.open_assignments.push_back(assignment);
    }
    return out;
  }

  const Seed& secret() const override { return secret_; }
  const std::string& folder() const override { return folder_.path(); }

 private:
  static Bytes ToBytes(ByteSpan bytes) { return Bytes(bytes.begin(), bytes.end()); }

  Status Create() {
    Seed secret;
    SystemRandom(secret);
    LINNET_TRY_STATUS(db_.Run("BEGIN IMMEDIATE"));
    LINNET_TRY_STATUS(db_.Run(kStoreSchema));
    {
      LINNET_TRY(Statement identity, db_.Prepare("INSERT INTO identity VALUES (?, ?, ?)"));
      LINNET_TRY_STATUS(
          identity.Run(options_.identity.federation, options_.identity.layout, secret));
    }
    return db_.Run(StrCat("PRAGMA application_id=", kStoreApplicationId,
                          "; PRAGMA user_version=", kStoreSchemaVersion, "; COMMIT"));
  }

  Status CheckIdentity() {
    LINNET_TRY(Statement identity, db_.Prepare("SELECT federation, layout, secret FROM identity"));
    LINNET_TRY(const bool row, identity.Next());
    if (!row) return Fail(Code::kData, folder(), ": the store has no identity");
    const std::string federation = identity.Text(0);
    if (federation != options_.identity.federation) {
      return Fail(Code::kInvalid, folder(), " holds the federation \"", federation, "\", not \"",
                  options_.identity.federation, "\": name another folder with --state");
    }
    Digest layout{};
    LINNET_TRY_STATUS(identity.Fixed(1, layout));
    if (layout != options_.identity.layout) {
      return Fail(Code::kInvalid, folder(), " holds \"", federation,
                  "\" with another model (layout ", Hex(layout).substr(0, 12), ", not ",
                  Hex(options_.identity.layout).substr(0, 12),
                  "): name another folder with --state, or begin anew with --fresh");
    }
    return identity.Fixed(2, secret_);
  }

  Status PrepareAll() {
    const auto prepare = [this](std::optional<Statement>& out, std::string_view sql) -> Status {
      LINNET_TRY(Statement statement, db_.Prepare(sql));
      out.emplace(std::move(statement));
      return {};
    };
    LINNET_TRY_STATUS(prepare(delete_attempt_, "DELETE FROM attempt"));
    LINNET_TRY_STATUS(prepare(delete_assignments_, "DELETE FROM assignment"));
    LINNET_TRY_STATUS(prepare(put_attempt_, "INSERT INTO attempt VALUES (?, ?)"));
    LINNET_TRY_STATUS(prepare(put_assignment_, "INSERT INTO assignment VALUES (?, ?, ?, ?)"));
    LINNET_TRY_STATUS(prepare(put_claim_, "INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, ?)"));
    LINNET_TRY_STATUS(prepare(delete_assignment_, "DELETE FROM assignment WHERE id = ?"));
    LINNET_TRY_STATUS(
        prepare(set_ordinal_, "UPDATE buffer SET next_ordinal = max(next_ordinal, ?)"));
    LINNET_TRY_STATUS(prepare(set_partial_, "UPDATE buffer SET partial = ?"));
    LINNET_TRY_STATUS(prepare(empty_buffer_, "UPDATE buffer SET attempt = ?, partial = x''"));
    LINNET_TRY_STATUS(prepare(close_claims_, "UPDATE claim SET buffered = 0 WHERE buffered = 1"));
    LINNET_TRY_STATUS(prepare(delete_claims_, "DELETE FROM claim WHERE round <= ?"));
    LINNET_TRY_STATUS(prepare(put_round_, StrCat("INSERT INTO round (", kMetrics,
                                                 ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")));
    LINNET_TRY_STATUS(
        prepare(update_round_,
                "UPDATE round SET accuracy = ?, loss = ?, accuracy_mean = ?, train_loss = ?, "
                "uplink_bytes = ?, downlink_bytes = ?, seconds = ? WHERE round = ?"));
    LINNET_TRY_STATUS(
        prepare(delete_checkpoints_, "DELETE FROM checkpoint WHERE round < ? AND best = 0"));
    LINNET_TRY_STATUS(prepare(put_checkpoint_, "INSERT INTO checkpoint VALUES (?, 0, ?, ?)"));
    return prepare(set_best_, "UPDATE checkpoint SET best = (round = ?)");
  }

  // Of synchronous rounds; without one the assignments are those of asynchronous rounds, which go
  // on.
  Status CloseAttempt() {
    LINNET_TRY_STATUS(delete_attempt_->Run());
    return sqlite3_changes(db_.handle()) > 0 ? delete_assignments_->Run() : Status();
  }

  Status Put(const AttemptOpened& record) {
    LINNET_TRY_STATUS(CloseAttempt());
    LINNET_TRY_STATUS(delete_assignments_->Run());
    LINNET_TRY_STATUS(put_attempt_->Run(record.round, record.attempt));
    int64_t ordinal = 0;
    for (const AssignmentRecord& assignment : record.assignments) {
      LINNET_TRY_STATUS(put_assignment_->Run(ordinal++, assignment.id, assignment.participant,
                                             assignment.base_version));
    }
    return {};
  }

  Status PutClaims(uint64_t round, const std::vector<ClaimRecord>& claims, bool buffered) {
    for (const ClaimRecord& claim : claims) {
      const Status put = put_claim_->Run(claim.id, round, claim.participant, claim.examples,
                                         claim.bytes, claim.age, buffered);
      if (!put && put.error().code == Code::kState) {
        return Fail(Code::kState, "assignment ", Hex(claim.id), " is part of a committed round");
      }
      LINNET_TRY_STATUS(put);
      LINNET_TRY_STATUS(delete_assignment_->Run(claim.id));
    }
    return {};
  }

  Status Put(const AssignmentsChanged& record) {
    for (const AssignmentId& id : record.ended) LINNET_TRY_STATUS(delete_assignment_->Run(id));
    for (const AssignmentRecord& opened : record.opened) {
      LINNET_TRY_STATUS(
          put_assignment_->Run(opened.ordinal, opened.id, opened.participant, opened.base_version));
      LINNET_TRY_STATUS(set_ordinal_->Run(opened.ordinal + 1));
    }
    return {};
  }

  Status Put(const BufferCommitted& record) {
    written_ += record.partial.size();
    LINNET_TRY_STATUS(set_partial_->Run(record.partial));
    return PutClaims(record.round, record.claims, true);
  }

  Status Put(const BufferVoided& record) {
    LINNET_TRY_STATUS(close_claims_->Run());
    return empty_buffer_->Run(record.attempt);
  }

  Status Put(const RoundCommitted& record) {
    LINNET_TRY_STATUS(CloseAttempt());
    LINNET_TRY_STATUS(PutClaims(record.round, record.claims, false));
    LINNET_TRY_STATUS(close_claims_->Run());
    LINNET_TRY_STATUS(empty_buffer_->Run(0));
    if (record.round > options_.claim_rounds) {
      LINNET_TRY_STATUS(delete_claims_->Run(record.round - options_.claim_rounds));
    }
    const RoundMetrics& m = record.metrics;
    const Status put =
        put_round_->Run(record.round, record.attempt, m.invited, m.counted, m.refused, m.late,
                        m.accuracy, m.loss, m.accuracy_mean, m.train_loss, m.uplink_bytes,
                        m.downlink_bytes, m.seconds, m.model, m.staleness);
    if (!put && put.error().code == Code::kState) {
      return Fail(Code::kState, "round ", record.round, " is committed already");
    }
    LINNET_TRY_STATUS(put);
    LINNET_TRY_STATUS(delete_checkpoints_->Run(record.round));
    written_ += record.model->size() + record.strategy_state.size();
    return put_checkpoint_->Run(record.round, record.strategy_state, *record.model);
  }

  Status Put(const RoundEvaluated& record) {
    const RoundMetrics& m = record.metrics;
    LINNET_TRY_STATUS(update_round_->Run(m.accuracy, m.loss, m.accuracy_mean, m.train_loss,
                                         m.uplink_bytes, m.downlink_bytes, m.seconds, m.round));
    if (sqlite3_changes(db_.handle()) == 0) {
      return Fail(Code::kState, "round ", m.round, " was evaluated but never committed");
    }
    if (!record.best) return {};
    LINNET_TRY_STATUS(set_best_->Run(m.round));
    return delete_checkpoints_->Run(m.round);
  }

  static Result<RoundMetrics> ReadMetrics(const Statement& row) {
    RoundMetrics m;
    m.round = uint64_t(row.Integer(0));
    m.attempt = uint32_t(row.Integer(1));
    m.invited = uint32_t(row.Integer(2));
    m.counted = uint32_t(row.Integer(3));
    m.refused = uint32_t(row.Integer(4));
    m.late = uint32_t(row.Integer(5));
    m.accuracy = row.Real(6);
    m.loss = row.Real(7);
    m.accuracy_mean = row.Real(8);
    m.train_loss = row.Real(9);
    m.uplink_bytes = uint64_t(row.Integer(10));
    m.downlink_bytes = uint64_t(row.Integer(11));
    m.seconds = row.Real(12);
    LINNET_TRY_STATUS(row.Fixed(13, m.model));
    m.staleness = row.Real(14);
    return m;
  }

  StateFolder folder_;
  StoreOptions options_;
  Seed secret_{};
  Database db_, tidier_;
  uint64_t written_ = 0;                // by the open transaction, about
  std::atomic<uint64_t> untidied_ = 0;  // since the last Tidy
  std::optional<Statement> delete_attempt_, delete_assignments_, delete_assignment_, set_ordinal_,
      set_partial_, empty_buffer_, close_claims_, put_attempt_, put_assignment_, put_claim_,
      delete_claims_, put_round_, update_round_, delete_checkpoints_, put_checkpoint_, set_best_;
};

}  // namespace

Result<std::unique_ptr<RoundStore>> OpenRoundStore(const StoreOptions& options) {
  LINNET_TRY(StateFolder folder, StateFolder::Open(options.folder));
  auto store = std::make_unique<SqliteStore>(std::move(folder), options);
  LINNET_TRY_STATUS(store->Open());
  return std::unique_ptr<RoundStore>(std::move(store));
}

}  // namespace linnet
