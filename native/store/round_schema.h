// The tables of a coordinator's store, and the step from older ones.
#ifndef LINNET_NATIVE_STORE_ROUND_SCHEMA_H_
#define LINNET_NATIVE_STORE_ROUND_SCHEMA_H_

#include <string>

#include "native/store/sqlite.h"

namespace linnet {

inline constexpr int64_t kStoreApplicationId = 0x4c4e4e54;  // "LNNT"
// 2: asynchronous rounds.
inline constexpr int64_t kStoreSchemaVersion = 2;
extern const char kStoreSchema[];

// Of a store that was written by an earlier version, in one transaction. kVersion: not known here.
Status UpgradeStore(Database& database, int64_t version, const std::string& path);

}  // namespace linnet

#endif  // LINNET_NATIVE_STORE_ROUND_SCHEMA_H_
