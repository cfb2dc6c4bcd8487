#include "fed/plugin_instance.h"

#include <algorithm>
#include <cmath>

namespace linnet {
namespace {

constexpr uint32_t kMaxText = 64 << 10;
constexpr uint32_t kPage = 1 << 20;

Code CodeOf(lnt_status status) {
  switch (status) {
    case LNT_E_INVALID:
    case LNT_E_CONFIG:
    case LNT_E_LAYOUT:
      return Code::kInvalid;
    case LNT_E_UNSUPPORTED:
      return Code::kUnsupported;
    case LNT_E_NOMEM:
    case LNT_E_QUOTA:
      return Code::kLimit;
    case LNT_E_STATE:
    case LNT_E_TOO_FEW:
      return Code::kState;
    case LNT_E_DATA:
      return Code::kData;
    case LNT_E_VERSION:
      return Code::kVersion;
    case LNT_E_CANCELLED:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

}  // namespace

PluginInstance::PluginInstance(const PluginEntry& plugin, Json config,
                               std::vector<LayoutTensor> layout, const PluginServices& services)
    : plugin_(plugin),
      config_(std::move(config)),
      layout_(std::move(layout)),
      services_(services) {}

PluginInstance::~PluginInstance() { Close(); }

Result<std::unique_ptr<PluginInstance>> PluginInstance::Create(const PluginEntry& plugin,
                                                               Json config,
                                                               std::vector<LayoutTensor> layout,
                                                               const PluginServices& services) {
  std::unique_ptr<PluginInstance> instance(
      new PluginInstance(plugin, std::move(config), std::move(layout), services));
  LINNET_TRY_STATUS(instance->Open());
  return instance;
}

Status PluginInstance::Reset() {
  Close();
  return Open();
}

Status PluginInstance::Open() {
  const PluginCall call(services_, round_seed_);
  const std::string text = config_.Dump();
  caps_ = {};
  caps_.struct_size = sizeof(caps_);
  LINNET_TRY_STATUS(
      Check(plugin_.table->create(plugin_.index, text.data(), static_cast<uint32_t>(text.size()),
                                  &handle_, &caps_),
            "create"));
  if (handle_ == 0)
    return Fail(Code::kInternal, "strategy ", plugin_.id, ": create gave no instance");
  std::string names;
  std::vector<lnt_tensor> tensors(layout_.size());
  uint64_t offset = 0;
  for (size_t i = 0; i < layout_.size(); ++i) {
    const LayoutTensor& from = layout_[i];
    lnt_tensor& tensor = tensors[i];
    tensor = {};
    tensor.struct_size = sizeof(lnt_tensor);
    tensor.name_off = static_cast<uint32_t>(names.size());
    tensor.name_len = static_cast<uint32_t>(from.name.size());
    tensor.role = from.role;
    tensor.dtype = LNT_F32;
    tensor.rank = static_cast<uint32_t>(std::min(from.shape.size(), std::size(tensor.dims)));
    std::copy_n(from.shape.begin(), tensor.rank, tensor.dims);
    tensor.elem_off = offset;
    tensor.elem_count = from.count;
    offset += from.count;
    names += from.name;
  }
  return Check(
      plugin_.table->set_layout(handle_, tensors.data(), static_cast<uint32_t>(tensors.size()),
                                names.data(), static_cast<uint32_t>(names.size())),
      "set_layout");
}

void PluginInstance::Close() {
  if (handle_ == 0) return;
  const PluginCall call(services_, round_seed_);
  plugin_.table->destroy(handle_);
  handle_ = 0;
}

Status PluginInstance::Check(lnt_status status, std::string_view function) const {
  if (status >= 0) return {};
  std::string text(1000, '\0');
  uint32_t size = 0;
  if (!LNT_HAS(plugin_.table, last_error) ||
      plugin_.table->last_error(handle_, text.data(), static_cast<uint32_t>(text.size()), &size) <
          0) {
    size = 0;
  }
  text.resize(std::min<size_t>(size, text.size()));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 32; }, ' ');
  if (text.empty()) text = StrCat("status ", status);
  return Fail(CodeOf(status), "strategy ", plugin_.id, ": ", function, ": ", text);
}

Result<Bytes> PluginInstance::ReadBlob(uint32_t kind, uint64_t limit) {
  const lnt_plugin& table = *plugin_.table;
  if (!LNT_HAS(&table, blob_size) || !LNT_HAS(&table, blob_read)) return Bytes{};
  const PluginCall call(services_, round_seed_);
  uint64_t size = 0;
  LINNET_TRY_STATUS(Check(table.blob_size(handle_, kind, &size), "blob_size"));
  if (size > limit) {
    return Fail(Code::kLimit, "strategy ", plugin_.id, " has a blob ", kind, " of ", size,
                " bytes, wanted at most ", limit);
  }
  Bytes bytes(size);
  for (uint64_t at = 0; at < size; at += kPage) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kPage, size - at));
    LINNET_TRY_STATUS(Check(table.blob_read(handle_, kind, at, bytes.data() + at, n), "blob_read"));
  }
  return bytes;
}

Status PluginInstance::WriteBlob(uint32_t kind, ByteSpan bytes) {
  const lnt_plugin& table = *plugin_.table;
  if (!LNT_HAS(&table, blob_write)) return Check(LNT_E_UNSUPPORTED, "blob_write");
  const PluginCall call(services_, round_seed_);
  for (uint64_t at = 0; at < bytes.size(); at += kPage) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kPage, bytes.size() - at));
    LINNET_TRY_STATUS(Check(table.blob_write(handle_, kind, bytes.size(), at, bytes.data() + at, n),
                            "blob_write"));
  }
  return {};
}

Result<Json> PluginInstance::EndRound() {
  if (!LNT_HAS(plugin_.table, round_end)) return Json(Json::Object{});
  const PluginCall call(services_, round_seed_);
  std::string text(kMaxText, '\0');
  uint32_t size = 0;
  LINNET_TRY_STATUS(
      Check(plugin_.table->round_end(handle_, text.data(), kMaxText, &size), "round_end"));
  if (size > kMaxText) {
    return Fail(Code::kLimit, "strategy ", plugin_.id, " has ", size,
                " bytes of metrics, wanted at most ", kMaxText);
  }
  text.resize(size);
  auto json = Json::Parse(text);
  if (!json) return Annotate(json.error(), StrCat("metrics of strategy ", plugin_.id));
  const bool flat =
      json->is_object() &&
      std::all_of(json->as_object().begin(), json->as_object().end(), [](const Json::Member& m) {
        return m.second.is_number() && std::isfinite(m.second.as_double());
      });
  if (!flat)
    return Fail(Code::kData, "metrics of strategy ", plugin_.id,
                " are no object of finite numbers");
  return json;
}

}  // namespace linnet
