// SQLite with our error type: statements as values, the only place that includes sqlite3.h.
#ifndef LINNET_NATIVE_STORE_SQLITE_H_
#define LINNET_NATIVE_STORE_SQLITE_H_

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace linnet {

class Statement;

// One connection; one thread at a time.
class Database {
 public:
  static Result<Database> Open(const std::string& path);

  // Without results.
  Status Run(const std::string& sql);
  Result<Statement> Prepare(std::string_view sql);
  Result<int64_t> Number(std::string_view sql);

  std::unexpected<Error> Failed(int code) const;
  sqlite3* handle() const { return handle_.get(); }

 private:
  struct Closer {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Closer> handle_;
  std::string path_;
};

// Parameters are bound in order, then rows are stepped through; Reset makes it ready again.
class Statement {
 public:
  template <typename... Values>
  Status Run(const Values&... values) {
    Reset();
    int index = 0;
    (Bind(++index, values), ...);
    LINNET_TRY(const bool row, Next());
    static_cast<void>(row);
    Reset();
    return {};
  }
  template <typename... Values>
  void Query(const Values&... values) {
    Reset();
    int index = 0;
    (Bind(++index, values), ...);
  }
  // True = a row is there.
  Result<bool> Next();
  void Reset() { sqlite3_reset(statement_.get()); }

  int64_t Integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  // NULL is NaN.
  double Real(int column) const;
  ByteSpan Blob(int column) const;
  std::string Text(int column) const { return std::string(AsText(Blob(column))); }
  // kData when the blob has another size.
  template <size_t N>
  Status Fixed(int column, std::array<uint8_t, N>& out) const {
    const ByteSpan blob = Blob(column);
    if (blob.size() != N) {
      return Fail(Code::kData, "a stored value has ", blob.size(), " bytes instead of ", N);
    }
    std::memcpy(out.data(), blob.data(), N);
    return {};
  }

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Statement(const Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  // The caller's bytes stay as they are until Reset.
  void Bind(int index, ByteSpan bytes) {
    static const uint8_t kNothing = 0;
    sqlite3_bind_blob64(statement_.get(), index, bytes.empty() ? &kNothing : bytes.data(),
                        bytes.size(), SQLITE_STATIC);
  }
  template <size_t N>
  void Bind(int index, const std::array<uint8_t, N>& bytes) {
    Bind(index, ByteSpan(bytes));
  }
  void Bind(int index, const Bytes& bytes) { Bind(index, ByteSpan(bytes)); }
  void Bind(int index, const std::string& text) { Bind(index, AsBytes(text)); }
  void Bind(int index, double value);
  template <typename T>
    requires std::is_integral_v<T>
  void Bind(int index, T value) {
    sqlite3_bind_int64(statement_.get(), index, static_cast<int64_t>(value));
  }

  const Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

}  // namespace linnet

#endif  // LINNET_NATIVE_STORE_SQLITE_H_
