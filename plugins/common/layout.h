// Where the tensors of a layout lie in a strategy's own vectors.
#ifndef LINNET_PLUGINS_COMMON_LAYOUT_H_
#define LINNET_PLUGINS_COMMON_LAYOUT_H_

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "linnet/plugin.hpp"

namespace linnet {
namespace plugin {

// All tensors of one dtype (f32 or f64), in layout order; the scalars that come with an update take
// no room.
class Layout {
 public:
  static constexpr size_t kNowhere = ~size_t{0};

  // Empty, or what is wrong with the tensors.
  std::string Set(const std::vector<Tensor>& tensors) {
    starts_.assign(1, 0);
    scalars_.clear();
    dtype_ = tensors.empty() ? uint32_t{LNT_F32} : tensors[0].dtype;
    uint64_t count = 0;
    parameters_ = 0;
    for (const Tensor& tensor : tensors) {
      if (tensor.dtype != dtype_ || (dtype_ != LNT_F32 && dtype_ != LNT_F64)) {
        return "tensor " + tensor.name + " has dtype " + std::to_string(tensor.dtype) +
               ", wanted 1 (f32) or 2 (f64) for all";
      }
      const bool scalar = tensor.role == LNT_ROLE_CONTROL && tensor.dims.empty();
      scalars_.push_back(scalar);
      count += scalar ? 0 : tensor.count;
      if (tensor.role == LNT_ROLE_PARAM) parameters_ += static_cast<size_t>(tensor.count);
      starts_.push_back(count);
    }
    if (count == 0 || count > (uint64_t{1} << 32)) {
      return "found " + std::to_string(count) + " elements, wanted 1 to 2^32";
    }
    return {};
  }

  uint32_t dtype() const { return dtype_; }
  // Of all tensors but the scalars.
  size_t size() const { return static_cast<size_t>(starts_.back()); }
  // Of the tensors with role PARAM, which come first.
  size_t parameters() const { return parameters_; }
  bool IsScalar(uint32_t tensor) const { return tensor < scalars_.size() && scalars_[tensor]; }

  // Of an element, when the window [offset, offset + count) lies in the tensor; else kNowhere.
  size_t Position(uint32_t tensor, uint64_t offset, uint32_t count) const {
    if (tensor + size_t{1} >= starts_.size()) return kNowhere;
    const uint64_t room = starts_[tensor + 1] - starts_[tensor];
    if (offset > room || count > room - offset) return kNowhere;
    return static_cast<size_t>(starts_[tensor] + offset);
  }

  // The scalar at `data`.
  double Scalar(const void* data) const {
    if (dtype_ == LNT_F64) return Read<double>(data);
    return static_cast<double>(Read<float>(data));
  }
  // out[i] = base[i] + step[i], the step rounded to the dtype first; out may be base.
  void Add(const void* base, const double* step, void* out, size_t at, uint32_t count) const {
    if (dtype_ == LNT_F64) return AddAs<double>(base, step, out, at, count);
    AddAs<float>(base, step, out, at, count);
  }

 private:
  template <typename T>
  static T Read(const void* data) {
    T value;
    std::memcpy(&value, data, sizeof(T));
    return value;
  }
  template <typename T>
  static void AddAs(const void* base, const double* step, void* out, size_t at, uint32_t count) {
    const T* from = static_cast<const T*>(base) + at;
    T* to = static_cast<T*>(out) + at;
    for (uint32_t i = 0; i < count; ++i) to[i] = from[i] + static_cast<T>(step[i]);
  }

  uint32_t dtype_ = LNT_F32;
  size_t parameters_ = 0;
  std::vector<uint64_t> starts_;  // of each tensor, and the end
  std::vector<bool> scalars_;
};

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_LAYOUT_H_
