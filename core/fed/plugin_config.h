// Configuration of a strategy against the JSON Schema that its plugin describes.
#ifndef LINNET_FED_PLUGIN_CONFIG_H_
#define LINNET_FED_PLUGIN_CONFIG_H_

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace linnet {

// The subset: type (object, array, number, integer, boolean, string), properties, items, required,
// default, enum, minimum, maximum. An absent or empty schema admits an empty object only.
//
// Returns `value` with defaults filled in and keys sorted. kInvalid names the field by its path
// from `where`, what was found and what is admitted; an unknown key is refused with the nearest
// known one.
Result<Json> CheckConfig(const Json& schema, const Json& value, std::string_view where);

}  // namespace linnet

#endif  // LINNET_FED_PLUGIN_CONFIG_H_
