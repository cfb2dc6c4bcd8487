#include "native/store/round_schema.h"

namespace linnet {

const char kStoreSchema[] = R"sql(
CREATE TABLE identity (federation BLOB NOT NULL, layout BLOB NOT NULL, secret BLOB NOT NULL);
-- Every committed round, for good. Staleness: asynchronous, the mean age of its updates.
CREATE TABLE round (
  round INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, invited INTEGER NOT NULL,
  counted INTEGER NOT NULL, refused INTEGER NOT NULL, late INTEGER NOT NULL,
  accuracy REAL, loss REAL, accuracy_mean REAL, train_loss REAL,
  uplink_bytes INTEGER NOT NULL, downlink_bytes INTEGER NOT NULL, seconds REAL, model BLOB NOT NULL,
  staleness REAL);
-- The last committed model, and the best.
CREATE TABLE checkpoint (
  round INTEGER PRIMARY KEY, best INTEGER NOT NULL, strategy_state BLOB NOT NULL, model BLOB NOT NULL);
-- Updates that are part of a committed model or of the open buffer, of recent rounds.
CREATE TABLE claim (
  id BLOB PRIMARY KEY, round INTEGER NOT NULL, participant BLOB NOT NULL,
  examples INTEGER NOT NULL, bytes INTEGER NOT NULL, age INTEGER NOT NULL DEFAULT 0,
  buffered INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX claim_by_round ON claim (round);
-- The attempt that is open, and whom it invited; asynchronous, who is at work.
CREATE TABLE attempt (round INTEGER NOT NULL, attempt INTEGER NOT NULL);
CREATE TABLE assignment (
  ordinal INTEGER PRIMARY KEY, id BLOB NOT NULL, participant BLOB NOT NULL,
  base_version INTEGER NOT NULL DEFAULT 0);
-- Asynchronous: the open buffer, and the ordinal of the next assignment.
CREATE TABLE buffer (next_ordinal INTEGER NOT NULL, attempt INTEGER NOT NULL, partial BLOB NOT NULL);
INSERT INTO buffer VALUES (0, 0, x'');
)sql";

Status UpgradeStore(Database& database, int64_t version, const std::string& path) {
  if (version == kStoreSchemaVersion) return {};
  if (version != 1) {
    return Fail(Code::kVersion, path, " has the layout of version ", version, ", this program ",
                "knows 1 to ", kStoreSchemaVersion, ": use the program that wrote it, or --fresh");
  }
  return database.Run(StrCat(R"sql(
BEGIN IMMEDIATE;
ALTER TABLE round ADD COLUMN staleness REAL;
ALTER TABLE claim ADD COLUMN age INTEGER NOT NULL DEFAULT 0;
ALTER TABLE claim ADD COLUMN buffered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE assignment ADD COLUMN base_version INTEGER NOT NULL DEFAULT 0;
CREATE TABLE buffer (next_ordinal INTEGER NOT NULL, attempt INTEGER NOT NULL, partial BLOB NOT NULL);
INSERT INTO buffer VALUES (0, 0, x'');
PRAGMA user_version=)sql",
                             kStoreSchemaVersion, "; COMMIT"));
}

}  // namespace linnet
