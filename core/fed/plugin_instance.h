// One instance of a strategy plugin with its layout: its calls, its blobs, and what its errors say.
#ifndef LINNET_FED_PLUGIN_INSTANCE_H_
#define LINNET_FED_PLUGIN_INSTANCE_H_

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "fed/plugin_table.h"

namespace linnet {

// A row of the layout that a plugin is given.
struct LayoutTensor {
  std::string name;
  uint32_t role = LNT_ROLE_PARAM;
  std::vector<uint32_t> shape;  // empty: a scalar
  uint64_t count = 1;
};

// One owner, one thread at a time (but for pass_block where the plugin permits more).
class PluginInstance {
 public:
  // `config` as CheckConfig gave it. The plugin's table must outlive the instance.
  static Result<std::unique_ptr<PluginInstance>> Create(const PluginEntry& plugin, Json config,
                                                        std::vector<LayoutTensor> layout,
                                                        const PluginServices& services);
  ~PluginInstance();
  PluginInstance(const PluginInstance&) = delete;
  PluginInstance& operator=(const PluginInstance&) = delete;

  // A new instance in its place, with nothing of what was.
  Status Reset();

  const PluginEntry& plugin() const { return plugin_; }
  const Json& config() const { return config_; }
  const lnt_plugin& table() const { return *plugin_.table; }
  lnt_handle handle() const { return handle_; }
  uint32_t caps() const { return caps_.caps; }
  uint32_t modes() const { return caps_.modes; }
  const PluginServices& services() const { return services_; }
  // The seed that `random` draws from during calls.
  Seed& round_seed() { return round_seed_; }

  // Passes a good status on, and makes an error of a bad one: "strategy ID: FUNCTION: what it
  // says".
  Status Check(lnt_status status, std::string_view function) const;
  // Empty when the plugin has no such blob; kLimit beyond `limit` bytes.
  Result<Bytes> ReadBlob(uint32_t kind, uint64_t limit);
  Status WriteBlob(uint32_t kind, ByteSpan bytes);
  // Of the round that ends: a flat object of finite numbers.
  Result<Json> EndRound();

 private:
  PluginInstance(const PluginEntry& plugin, Json config, std::vector<LayoutTensor> layout,
                 const PluginServices& services);
  Status Open();
  void Close();

  PluginEntry plugin_;
  Json config_;
  std::vector<LayoutTensor> layout_;
  PluginServices services_;
  Seed round_seed_{};
  lnt_handle handle_ = 0;
  lnt_caps caps_{};
};

}  // namespace linnet

#endif  // LINNET_FED_PLUGIN_INSTANCE_H_
