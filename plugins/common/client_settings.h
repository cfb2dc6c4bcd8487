// What a strategy tells its participants (blob 3).
#ifndef LINNET_PLUGINS_COMMON_CLIENT_SETTINGS_H_
#define LINNET_PLUGINS_COMMON_CLIENT_SETTINGS_H_

#include <cstdio>
#include <string>

namespace linnet {
namespace plugin {

// {"KEY":VALUE,"client":"NAME"} with the keys in their canonical order (KEY before "client").
inline std::string ClientSettings(const char* client, const char* key, double value) {
  char text[96];
  std::snprintf(text, sizeof(text), "{\"%s\":%.17g,\"client\":\"%s\"}", key, value, client);
  return text;
}

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_CLIENT_SETTINGS_H_
