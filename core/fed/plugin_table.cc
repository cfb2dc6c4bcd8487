#include "fed/plugin_table.h"

#include <algorithm>

#include "base/nearest.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxStrategies = 256;
constexpr uint32_t kMaxDescription = 1 << 20;

std::string VersionText(uint32_t version) { return StrCat(version >> 16, ".", version & 0xffff); }

// The functions that no host can do without.
Status CheckTable(const lnt_plugin& table) {
  if (table.struct_size < offsetof(lnt_plugin, count)) {
    return Fail(Code::kInvalid, "its table has ", table.struct_size, " bytes, wanted ",
                sizeof(lnt_plugin));
  }
  if (table.abi_version >> 16 != LNT_ABI_MAJOR) {
    return Fail(Code::kVersion, "it has plugin ABI ", VersionText(table.abi_version), ", wanted ",
                LNT_ABI_MAJOR, ".x");
  }
  std::string missing;
#define LINNET_WANT(member) \
  if (!LNT_HAS(&table, member)) missing += missing.empty() ? #member : ", " #member
  LINNET_WANT(count);
  LINNET_WANT(describe);
  LINNET_WANT(create);
  LINNET_WANT(destroy);
  LINNET_WANT(set_layout);
  LINNET_WANT(round_begin);
  LINNET_WANT(result_chunk);
  if (!LNT_HAS(&table, pass_block)) {
    LINNET_WANT(updates_begin);
    LINNET_WANT(updates_chunk);
    LINNET_WANT(updates_end);
  }
#undef LINNET_WANT
  if (!missing.empty()) return Fail(Code::kInvalid, "its table lacks ", missing);
  return {};
}

bool IsId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<Json> Describe(const lnt_plugin& table, uint32_t index) {
  uint32_t size = 0;
  std::string text(4096, '\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    const lnt_status status =
        table.describe(index, text.data(), static_cast<uint32_t>(text.size()), &size);
    if (status < 0)
      return Fail(Code::kInternal, "describe of strategy ", index, " answered ", status);
    if (size > kMaxDescription) {
      return Fail(Code::kLimit, "the description of strategy ", index, " has ", size,
                  " bytes, wanted at most ", kMaxDescription);
    }
    const bool whole = size <= text.size();
    text.resize(size);
    if (whole) break;
  }
  auto json = Json::Parse(text);
  if (!json) return Annotate(json.error(), StrCat("the description of strategy ", index));
  for (const char* key : {"id", "version", "licence"}) {
    const Json* member = json->Find(key);
    if (member == nullptr || !member->is_string()) {
      return Fail(Code::kInvalid, "the description of strategy ", index, " lacks the string \"",
                  key, "\"");
    }
  }
  if (!IsId(json->Find("id")->as_string())) {
    return Fail(Code::kInvalid, "strategy ", index, " has id ", json->Find("id")->Dump(),
                ", wanted lower-case letters, digits and hyphens");
  }
  if (const Json* config = json->Find("config"); config != nullptr && !config->is_object()) {
    return Fail(Code::kInvalid, "the description of strategy ", index, " has ", config->TypeName(),
                " as \"config\", wanted a JSON Schema");
  }
  return json;
}

}  // namespace

Status PluginTable::Add(lnt_entry_fn entry, std::string_view origin) {
  const auto add = [&]() -> Status {
    const lnt_plugin* table = entry(&PluginHost());
    if (table == nullptr) {
      return Fail(Code::kVersion, "it does not understand plugin ABI ",
                  VersionText(LNT_ABI_VERSION), ", which this program has");
    }
    LINNET_TRY_STATUS(CheckTable(*table));
    const uint32_t count = table->count();
    if (count < 1 || count > kMaxStrategies) {
      return Fail(Code::kInvalid, "it offers ", count, " strategies, wanted 1 to ", kMaxStrategies);
    }
    std::vector<PluginEntry> added;
    for (uint32_t index = 0; index < count; ++index) {
      LINNET_TRY(Json description, Describe(*table, index));
      const std::string id = description.Find("id")->as_string();
      for (const std::vector<PluginEntry>* list : {&entries_, &added}) {
        for (const PluginEntry& other : *list) {
          if (other.id == id) {
            return Fail(Code::kInvalid, "it offers the strategy \"", id,
                        "\", which is already there (", other.origin, ")");
          }
        }
      }
      added.push_back({id, std::string(origin), table, index, std::move(description)});
    }
    for (PluginEntry& plugin : added) entries_.push_back(std::move(plugin));
    return {};
  };
  const Status status = add();
  if (!status) return Annotate(status.error(), StrCat("plugin ", origin));
  return {};
}

Result<const PluginEntry*> PluginTable::Find(std::string_view id) const {
  std::vector<std::string_view> names;
  std::string all;
  for (const PluginEntry& plugin : entries_) {
    if (plugin.id == id) return &plugin;
    names.push_back(plugin.id);
    all += StrCat(all.empty() ? "" : ", ", plugin.id);
  }
  if (names.empty())
    return Fail(Code::kNotFound, "strategy \"", id, "\" is not known: there are no strategies");
  return Fail(Code::kNotFound, "strategy \"", id, "\" is not known, did you mean \"",
              NearestName(id, names), "\"? Known: ", all);
}

}  // namespace linnet
