// Force-included before every file that sees Cap'n Proto older than 1.0 under clang. Its headers
// compare `const char*` with kj::StringPtr, which the rewritten operators of C++20 make ambiguous
// there.
#ifndef LINNET_CORE_WIRE_CAPNP_SHIM_H_
#define LINNET_CORE_WIRE_CAPNP_SHIM_H_

#if defined(__cplusplus) && __cplusplus >= 202002L && defined(__clang__)
#include <kj/string.h>

namespace kj {

inline bool operator==(const char* a, const StringPtr& b) { return b.operator==(a); }
inline bool operator!=(const char* a, const StringPtr& b) { return !b.operator==(a); }

}  // namespace kj
#endif

#endif  // LINNET_CORE_WIRE_CAPNP_SHIM_H_
