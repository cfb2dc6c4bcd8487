#include "plugins/conformance/drive.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace linnet::conformance {
namespace {

constexpr uint32_t kMaxPasses = 64, kMaxText = 65536;

}  // namespace

float Numbers::Value() {
  const uint32_t a = Next(), b = Next();
  const uint32_t exponent = 127 - 24 + (a >> 8) % 24;
  const uint32_t bits = (a & 0x80000000u) | (exponent << 23) | (b >> 9);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

size_t Shape::parameters() const {
  return std::accumulate(counts.begin(), counts.end(), size_t{0});
}

void Measure(const Shape& shape, Update& update) {
  double sum = 0;
  for (size_t i = 0; i < shape.parameters(); ++i) {
    const double x = static_cast<double>(update.values[shape.scalars + i]);
    sum += x * x;
  }
  update.meta.l2_norm = std::sqrt(sum);
}

std::vector<Update> MakeUpdates(const Shape& shape, uint32_t seed, size_t n) {
  Numbers numbers(seed);
  std::vector<Update> updates(n);
  for (size_t k = 0; k < n; ++k) {
    lnt_update& meta = updates[k].meta;
    meta.struct_size = sizeof(meta);
    meta.ordinal = k;
    meta.client_tag_lo = 1 + k;
    meta.server_version = 5;
    meta.base_version = 5 - numbers.Below(3);
    meta.weight = k == 0 ? 1 : k == 1 ? 65536 : 1 + numbers.Below(65536);
    meta.num_examples = meta.weight;
    meta.num_steps = 1 + numbers.Below(20);
    meta.loss_before = 0.25 * (1 + numbers.Below(8));
    meta.loss_after = 0.125;
    meta.train_seconds = std::numeric_limits<double>::quiet_NaN();
    updates[k].values.resize(shape.elements());
    for (float& value : updates[k].values) value = numbers.Value();
    for (uint32_t i = 0; i < shape.scalars; ++i)
      updates[k].values[i] = static_cast<float>(meta.num_steps);
    Measure(shape, updates[k]);
  }
  return updates;
}

Drive::Drive(const lnt_plugin* table, uint32_t index, const std::string& config, const Shape& shape,
             uint32_t unknown_bytes)
    : table_(table), shape_(shape) {
  std::vector<uint8_t> caps(sizeof(lnt_caps) + unknown_bytes, 0xee);
  const uint32_t caps_size = static_cast<uint32_t>(caps.size());
  std::memcpy(caps.data(), &caps_size, sizeof(caps_size));
  if (!Check("create", table_->create(index, config.data(), static_cast<uint32_t>(config.size()),
                                      &handle_, reinterpret_cast<lnt_caps*>(caps.data())))) {
    return;
  }
  std::memcpy(&caps_, caps.data(), sizeof(caps_));
  if (std::any_of(caps.begin() + sizeof(lnt_caps), caps.end(), [](uint8_t b) { return b != 0xee; }))
    error_ = "create wrote past what it knows of lnt_caps";
  if (handle_ == 0) error_ = "create gave the handle 0";

  const uint32_t stride = sizeof(lnt_tensor) + unknown_bytes;
  const size_t model = shape.counts.size();
  const size_t n = shape.scalars + model * (1 + shape.controls);
  std::vector<uint8_t> rows(n * stride, 0xee);
  std::string names;
  uint64_t offset = 0;
  for (size_t i = 0; i < n; ++i) {
    const bool scalar = i < shape.scalars;
    const size_t at = scalar ? 0 : (i - shape.scalars) % model;
    const bool control = !scalar && i - shape.scalars >= model;
    const std::string name = scalar    ? "s" + std::to_string(i)
                             : control ? "c/t" + std::to_string(at)
                                       : "t" + std::to_string(at);
    counts_.push_back(scalar ? 1 : shape.counts[at]);
    lnt_tensor tensor{};
    tensor.struct_size = stride;
    tensor.name_off = static_cast<uint32_t>(names.size());
    tensor.name_len = static_cast<uint32_t>(name.size());
    tensor.role = scalar || control ? LNT_ROLE_CONTROL : LNT_ROLE_PARAM;
    tensor.dtype = LNT_F32;
    tensor.rank = scalar ? 0 : 1;
    tensor.dims[0] = scalar ? 0 : counts_.back();
    tensor.elem_off = offset;
    tensor.elem_count = counts_.back();
    offset += counts_.back();
    names += name;
    std::memcpy(rows.data() + i * stride, &tensor, sizeof(tensor));
  }
  Check("set_layout", table_->set_layout(handle_, reinterpret_cast<const lnt_tensor*>(rows.data()),
                                         static_cast<uint32_t>(n), names.data(),
                                         static_cast<uint32_t>(names.size())));
}

Drive::~Drive() {
  if (handle_ != 0) table_->destroy(handle_);
}

std::string Drive::LastError() const {
  if (!LNT_HAS(table_, last_error)) return {};
  std::string text(1000, '\0');
  uint32_t size = 0;
  if (table_->last_error(handle_, text.data(), static_cast<uint32_t>(text.size()), &size) < 0)
    return {};
  text.resize(std::min<size_t>(size, text.size()));
  return text;
}

bool Drive::Check(const char* function, lnt_status status) {
  if (failed()) return false;
  if (status >= 0) return true;
  status_ = status;
  error_ = std::string(function) + " answered " + std::to_string(status);
  const std::string text = LastError();
  if (!text.empty()) error_ += ": " + text;
  return false;
}

template <typename Body>
bool Drive::EachWindow(uint32_t chunk, const Body& body) {
  size_t at = 0;
  for (uint32_t tensor = 0; tensor < counts_.size(); ++tensor) {
    for (uint32_t offset = 0; offset < counts_[tensor];) {
      const uint32_t count = std::min(chunk, counts_[tensor] - offset);
      if (!body(tensor, offset, at, count)) return false;
      at += count;
      offset += count;
    }
  }
  return true;
}

std::vector<uint8_t> Drive::Widened(const std::vector<Update>& updates, size_t first, size_t n,
                                    uint32_t unknown) {
  const size_t stride = sizeof(lnt_update) + unknown;
  std::vector<uint8_t> bytes(n * stride, 0xee);
  for (size_t r = 0; r < n; ++r) {
    lnt_update meta = updates[first + r].meta;
    meta.struct_size = static_cast<uint32_t>(stride);
    std::memcpy(bytes.data() + r * stride, &meta, sizeof(meta));
  }
  return bytes;
}

bool Drive::Begin(uint64_t round, const Manner& manner, int grid_exp) {
  lnt_round head{};
  const uint32_t size = sizeof(head) + manner.unknown_bytes;
  head.struct_size = size;
  head.run_lo = 17;
  head.round = round;
  head.server_version = 5;
  head.population = 100000;
  head.cohort = head.expected_updates = 16;
  head.grid_exp = grid_exp;
  head.seed[0] = static_cast<uint8_t>(round);
  std::vector<uint8_t> bytes(size, 0xee);
  std::memcpy(bytes.data(), &head, sizeof(head));
  if (!Check("round_begin", table_->round_begin(
                                handle_, reinterpret_cast<const lnt_round*>(bytes.data()), size))) {
    return false;
  }
  if ((caps_.caps & LNT_NEED_BASE) == 0 || !LNT_HAS(table_, base_chunk)) return true;
  const std::vector<float> zeros(4096, 0.0f);
  return EachWindow(
      std::min(manner.chunk, 4096u), [&](uint32_t tensor, uint64_t offset, size_t, uint32_t n) {
        return Check("base_chunk", table_->base_chunk(handle_, tensor, offset, zeros.data(), n));
      });
}

bool Drive::Give(const std::vector<Update>& updates, const Manner& manner) {
  if (failed()) return false;
  aggregated_.clear();
  if (!streams()) return Pass(updates, manner);
  std::vector<Update> order = updates;
  if (manner.reversed) std::reverse(order.begin(), order.end());
  const size_t rows = (caps_.caps & LNT_CAP_ASYNC) != 0 ? 1 : manner.rows;
  for (size_t first = 0; first < order.size(); first += rows) {
    const size_t n = std::min(rows, order.size() - first);
    const auto metas = Widened(order, first, n, manner.unknown_bytes);
    if (!Check("updates_begin",
               table_->updates_begin(handle_, reinterpret_cast<const lnt_update*>(metas.data()),
                                     static_cast<uint32_t>(metas.size() / n),
                                     static_cast<uint32_t>(n)))) {
      return false;
    }
    std::vector<float> window;
    if (!EachWindow(manner.chunk, [&](uint32_t tensor, uint64_t offset, size_t at, uint32_t count) {
          window.resize(n * count);
          for (size_t r = 0; r < n; ++r) {
            std::memcpy(window.data() + r * count, order[first + r].values.data() + at,
                        count * sizeof(float));
          }
          return Check("updates_chunk",
                       table_->updates_chunk(handle_, tensor, offset, window.data(),
                                             static_cast<uint32_t>(count * sizeof(float)), count));
        })) {
      return false;
    }
    if (!Check("updates_end", table_->updates_end(handle_))) return false;
  }
  if (manner.partial != nullptr)
    return Check("blob_write", Write(LNT_BLOB_PARTIAL, *manner.partial));
  return true;
}

bool Drive::Pass(const std::vector<Update>& updates, const Manner& manner) {
  const size_t n = updates.size();
  const auto metas = Widened(updates, 0, n, manner.unknown_bytes);
  lnt_status status = LNT_MORE;
  for (uint32_t pass = 0; status == LNT_MORE; ++pass) {
    if (pass == kMaxPasses) {
      error_ = "pass_end asks for more than 64 passes";
      return false;
    }
    status =
        table_->pass_begin(handle_, pass, reinterpret_cast<const lnt_update*>(metas.data()),
                           sizeof(lnt_update) + manner.unknown_bytes, static_cast<uint32_t>(n));
    if (!Check("pass_begin", status)) return false;
    aggregated_.assign(shape_.elements(), 0.0f);
    std::vector<float> window;
    if (!EachWindow(manner.chunk, [&](uint32_t tensor, uint64_t offset, size_t at, uint32_t count) {
          window.resize(n * count);
          for (size_t r = 0; r < n; ++r) {
            std::memcpy(window.data() + r * count, updates[r].values.data() + at,
                        count * sizeof(float));
          }
          return Check("pass_block",
                       table_->pass_block(handle_, tensor, offset, window.data(),
                                          static_cast<uint32_t>(count * sizeof(float)), count,
                                          aggregated_.data() + at));
        })) {
      return false;
    }
    status = table_->pass_end(handle_);
    if (!Check("pass_end", status)) return false;
  }
  return true;
}

bool Drive::Finish(const std::vector<float>& base, std::vector<float>& result,
                   const Manner& manner) {
  if (failed()) return false;
  if (LNT_HAS(table_, finalize) && !Check("finalize", table_->finalize(handle_))) return false;
  std::vector<float> from(shape_.elements(), 0.0f);
  std::copy(base.begin(), base.end(), from.begin() + shape_.scalars);
  std::vector<float> to = aggregated_;
  to.resize(shape_.elements());
  if (!EachWindow(manner.chunk, [&](uint32_t tensor, uint64_t offset, size_t at, uint32_t count) {
        return Check("result_chunk", table_->result_chunk(handle_, tensor, offset, from.data() + at,
                                                          to.data() + at, count));
      })) {
    return false;
  }
  metrics_.clear();
  if (LNT_HAS(table_, round_end)) {
    std::string text(kMaxText, '\0');
    uint32_t size = 0;
    if (!Check("round_end", table_->round_end(handle_, text.data(), kMaxText, &size))) return false;
    text.resize(std::min(size, kMaxText));
    metrics_ = text;
  }
  result.assign(to.begin() + shape_.scalars,
                to.begin() + static_cast<ptrdiff_t>(shape_.scalars + shape_.parameters()));
  return true;
}

bool Drive::Round(uint64_t round, const std::vector<Update>& updates, std::vector<float>& model,
                  const Manner& manner) {
  std::vector<float> result;
  if (!Begin(round, manner) || !Give(updates, manner) || !Finish(model, result, manner))
    return false;
  model = std::move(result);
  return true;
}

bool Drive::Read(uint32_t kind, Blob& blob, uint32_t page) {
  blob.clear();
  if (failed()) return false;
  if (!LNT_HAS(table_, blob_size) || !LNT_HAS(table_, blob_read)) return true;
  uint64_t size = 0;
  if (!Check("blob_size", table_->blob_size(handle_, kind, &size))) return false;
  if (size > (uint64_t{1} << 32)) {
    error_ = "blob_size answered " + std::to_string(size) + " bytes";
    return false;
  }
  blob.resize(static_cast<size_t>(size));
  for (uint64_t at = 0; at < size; at += page) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(page, size - at));
    if (!Check("blob_read", table_->blob_read(handle_, kind, at, blob.data() + at, n)))
      return false;
  }
  return true;
}

lnt_status Drive::Write(uint32_t kind, const Blob& blob, uint32_t page) {
  if (!LNT_HAS(table_, blob_write)) return LNT_E_UNSUPPORTED;
  lnt_status status = LNT_OK;
  for (size_t at = 0; at < blob.size() && status >= 0; at += page) {
    status = table_->blob_write(handle_, kind, blob.size(), at, blob.data() + at,
                                static_cast<uint32_t>(std::min<size_t>(page, blob.size() - at)));
  }
  return status;
}

}  // namespace linnet::conformance
