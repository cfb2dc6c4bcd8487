#include "native/store/round_store.h"

#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "native/store/sqlite.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kApplicationId = 0x4c4e4e54;  // "LNNT"

constexpr char kSchema[] = R"sql(
CREATE TABLE identity (federation BLOB NOT NULL, layout BLOB NOT NULL, secret BLOB NOT NULL);
-- Every committed round, for good.
CREATE TABLE round (
  round INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, invited INTEGER NOT NULL,
  counted INTEGER NOT NULL, refused INTEGER NOT NULL, late INTEGER NOT NULL,
  accuracy REAL, loss REAL, accuracy_mean REAL, train_loss REAL,
  uplink_bytes INTEGER NOT NULL, downlink_bytes INTEGER NOT NULL, seconds REAL, model BLOB NOT NULL);
-- The last committed model, and the best.
CREATE TABLE checkpoint (
  round INTEGER PRIMARY KEY, best INTEGER NOT NULL, strategy_state BLOB NOT NULL, model BLOB NOT NULL);
-- Updates that are part of a committed model, of recent rounds.
CREATE TABLE claim (
  id BLOB PRIMARY KEY, round INTEGER NOT NULL, participant BLOB NOT NULL,
  examples INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX claim_by_round ON claim (round);
-- The attempt that is open, and whom it invited.
CREATE TABLE attempt (round INTEGER NOT NULL, attempt INTEGER NOT NULL);
CREATE TABLE assignment (ordinal INTEGER PRIMARY KEY, id BLOB NOT NULL, participant BLOB NOT NULL);
)sql";

constexpr char kMetrics[] =
    "round, attempt, invited, counted, refused, late, accuracy, loss, accuracy_mean, train_loss, "
    "uplink_bytes, downlink_bytes, seconds, model";

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
    if (!empty && application != kApplicationId) {
      return Fail(Code::kData, path, " is a database, but not a store of Linnet");
    }
    if (!empty && version != kSchemaVersion) {
      return Fail(Code::kVersion, path, " has the layout of version ", version, ", this program ",
                  "knows ", kSchemaVersion, ": use the program that wrote it, or --fresh");
    }
    if (empty) LINNET_TRY_STATUS(db_.Run("PRAGMA page_size=16384"));
    LINNET_TRY_STATUS(
        db_.Run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0"));
    if (empty) LINNET_TRY_STATUS(Create());
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
    LINNET_TRY(
        Statement claims,
        db_.Prepare("SELECT id, participant, examples, bytes FROM claim ORDER BY round, id"));
    for (;;) {
      LINNET_TRY(const bool row, claims.Next());
      if (!row) break;
      ClaimRecord claim;
      LINNET_TRY_STATUS(claims.Fixed(0, claim.id));
      LINNET_TRY_STATUS(claims.Fixed(1, claim.participant));
      claim.examples = uint64_t(claims.Integer(2));
      claim.bytes = uint64_t(claims.Integer(3));
      out.claims.push_back(claim);
    }
    LINNET_TRY(Statement attempt, db_.Prepare("SELECT round, attempt FROM attempt"));
    LINNET_TRY(const bool open, attempt.Next());
    if (!open) return out;
    out.open_round = uint64_t(attempt.Integer(0));
    out.open_attempt = uint32_t(attempt.Integer(1));
    LINNET_TRY(Statement assignments,
               db_.Prepare("SELECT id, participant FROM assignment ORDER BY ordinal"));
    for (;;) {
      LINNET_TRY(const bool row, assignments.Next());
      if (!row) break;
      AssignmentRecord assignment;
      LINNET_TRY_STATUS(assignments.Fixed(0, assignment.id));
      LINNET_TRY_STATUS(assignments.Fixed(1, assignment.participant));
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
    LINNET_TRY_STATUS(db_.Run(kSchema));
    {
      LINNET_TRY(Statement identity, db_.Prepare("INSERT INTO identity VALUES (?, ?, ?)"));
      LINNET_TRY_STATUS(
          identity.Run(options_.identity.federation, options_.identity.layout, secret));
    }
    return db_.Run(StrCat("PRAGMA application_id=", kApplicationId,
                          "; PRAGMA user_version=", kSchemaVersion, "; COMMIT"));
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
    LINNET_TRY_STATUS(prepare(put_assignment_, "INSERT INTO assignment VALUES (?, ?, ?)"));
    LINNET_TRY_STATUS(prepare(put_claim_, "INSERT INTO claim VALUES (?, ?, ?, ?, ?)"));
    LINNET_TRY_STATUS(prepare(delete_claims_, "DELETE FROM claim WHERE round <= ?"));
    LINNET_TRY_STATUS(prepare(put_round_, StrCat("INSERT INTO round (", kMetrics,
                                                 ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)")));
    LINNET_TRY_STATUS(
        prepare(update_round_,
                "UPDATE round SET accuracy = ?, loss = ?, accuracy_mean = ?, train_loss = ?, "
                "uplink_bytes = ?, downlink_bytes = ?, seconds = ? WHERE round = ?"));
    LINNET_TRY_STATUS(
        prepare(delete_checkpoints_, "DELETE FROM checkpoint WHERE round < ? AND best = 0"));
    LINNET_TRY_STATUS(prepare(put_checkpoint_, "INSERT INTO checkpoint VALUES (?, 0, ?, ?)"));
    return prepare(set_best_, "UPDATE checkpoint SET best = (round = ?)");
  }

  Status CloseAttempt() {
    LINNET_TRY_STATUS(delete_attempt_->Run());
    return delete_assignments_->Run();
  }

  Status Put(const AttemptOpened& record) {
    LINNET_TRY_STATUS(CloseAttempt());
    LINNET_TRY_STATUS(put_attempt_->Run(record.round, record.attempt));
    int64_t ordinal = 0;
    for (const AssignmentRecord& assignment : record.assignments) {
      LINNET_TRY_STATUS(put_assignment_->Run(ordinal++, assignment.id, assignment.participant));
    }
    return {};
  }

  Status Put(const RoundCommitted& record) {
    LINNET_TRY_STATUS(CloseAttempt());
    for (const ClaimRecord& claim : record.claims) {
      const Status put =
          put_claim_->Run(claim.id, record.round, claim.participant, claim.examples, claim.bytes);
      if (!put && put.error().code == Code::kState) {
        return Fail(Code::kState, "assignment ", Hex(claim.id), " is part of a committed round");
      }
      LINNET_TRY_STATUS(put);
    }
    if (record.round > options_.claim_rounds) {
      LINNET_TRY_STATUS(delete_claims_->Run(record.round - options_.claim_rounds));
    }
    const RoundMetrics& m = record.metrics;
    const Status put = put_round_->Run(
        record.round, record.attempt, m.invited, m.counted, m.refused, m.late, m.accuracy, m.loss,
        m.accuracy_mean, m.train_loss, m.uplink_bytes, m.downlink_bytes, m.seconds, m.model);
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
    return m;
  }

  StateFolder folder_;
  StoreOptions options_;
  Seed secret_{};
  Database db_, tidier_;
  uint64_t written_ = 0;                // by the open transaction, about
  std::atomic<uint64_t> untidied_ = 0;  // since the last Tidy
  std::optional<Statement> delete_attempt_, delete_assignments_, put_attempt_, put_assignment_,
      put_claim_, delete_claims_, put_round_, update_round_, delete_checkpoints_, put_checkpoint_,
      set_best_;
};

}  // namespace

Result<std::unique_ptr<RoundStore>> OpenRoundStore(const StoreOptions& options) {
  LINNET_TRY(StateFolder folder, StateFolder::Open(options.folder));
  auto store = std::make_unique<SqliteStore>(std::move(folder), options);
  LINNET_TRY_STATUS(store->Open());
  return std::unique_ptr<RoundStore>(std::move(store));
}

}  // namespace linnet
