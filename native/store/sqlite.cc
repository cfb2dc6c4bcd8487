#include "native/store/sqlite.h"

#include <cmath>
#include <limits>

namespace linnet {

Result<Database> Database::Open(const std::string& path) {
  Database database;
  database.path_ = path;
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database.handle_.reset(handle);
  if (code != SQLITE_OK) return database.Failed(code);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 5000);
  return database;
}

std::unexpected<Error> Database::Failed(int code) const {
  const std::string words = handle_ ? sqlite3_errmsg(handle_.get()) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return Fail(Code::kIo, path_, ": the disk is full; make room, nothing was lost");
    case SQLITE_CONSTRAINT:
      return Fail(Code::kState, path_, ": ", words);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Fail(Code::kData, path_, ": damaged or not a store of Linnet (", words,
                  "); bring back a copy, or begin anew with --fresh");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Fail(Code::kState, path_, ": another program has it open for writing");
    default:
      return Fail(Code::kIo, path_, ": ", words, "; nothing was lost");
  }
}

Status Database::Run(const std::string& sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Failed(code);
  return {};
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), int(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return Failed(code);
  return Statement(this, statement);
}

Result<int64_t> Database::Number(std::string_view sql) {
  LINNET_TRY(Statement statement, Prepare(sql));
  LINNET_TRY(const bool row, statement.Next());
  return row ? statement.Integer(0) : 0;
}

Result<bool> Statement::Next() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  auto failed = database_->Failed(code);
  Reset();
  return failed;
}

double Statement::Real(int column) const {
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return sqlite3_column_double(statement_.get(), column);
}

ByteSpan Statement::Blob(int column) const {
  const auto* data = static_cast<const uint8_t*>(sqlite3_column_blob(statement_.get(), column));
  return {data, size_t(sqlite3_column_bytes(statement_.get(), column))};
}

void Statement::Bind(int index, double value) {
  if (std::isnan(value)) {
    sqlite3_bind_null(statement_.get(), index);
  } else {
    sqlite3_bind_double(statement_.get(), index, value);
  }
}

}  // namespace linnet
