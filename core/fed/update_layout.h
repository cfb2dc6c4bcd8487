// What an update consists of, beside and inside its codec, the same for both sides of the wire.
//
// The weights of the model that travel (neither buffers nor personal layers) are one flat vector in
// layout order: the codec's. Behind the encoded weights stand the extras, f32 little-endian: the
// scalars the strategy asks for, the deltas of the buffers, then for each tensor it asks for one
// value per weight.
#ifndef LINNET_FED_UPDATE_LAYOUT_H_
#define LINNET_FED_UPDATE_LAYOUT_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "codec/codec.h"
#include "model/model.h"

namespace linnet {

// One entry of `uplink` or `downlink` in a strategy's description.
struct LinkedValue {
  std::string name;
  bool like_parameters = false;  // else a scalar
  friend bool operator==(const LinkedValue&, const LinkedValue&) = default;
};
// [{"name": "c", "like": "parameters" | "scalar"}, ...], null for none; scalars are moved to the
// front. kInvalid names what is wrong; at most 16 entries.
Result<std::vector<LinkedValue>> ParseLinks(const Json* list, std::string_view where);

struct UpdateLayout {
  // A tensor of the model, at `offset` among the weights or among the buffers.
  struct Tensor {
    std::string name;
    std::vector<uint32_t> shape;
    uint64_t offset = 0, count = 0;
    uint64_t model_offset = 0;  // in Model::parameters
    bool not_negative = false;  // a variance
  };
  std::vector<Tensor> weights, buffers;
  size_t weight_count = 0, buffer_count = 0, model_count = 0;
  std::vector<LinkedValue> uplink;
  size_t scalar_count = 0, tensor_count = 0;  // of uplink

  size_t ExtraCount() const { return scalar_count + buffer_count + tensor_count * weight_count; }
  size_t UpdateBytes(const CodecSpec& codec) const {
    return EncodedBytes(codec, weight_count) + ExtraCount() * sizeof(float);
  }
  // The travelling weights, or the buffers, of a whole parameter vector, and back into one.
  static void Gather(std::span<const Tensor> tensors, std::span<const float> model,
                     std::span<float> out);
  static void Scatter(std::span<const Tensor> tensors, std::span<const float> values,
                      std::span<float> model);
};

// Every tensor travels as a weight, the buffers too.
UpdateLayout MakeUpdateLayout(std::span<const ParamInfo> params,
                              std::span<const LinkedValue> uplink = {});
// Tensors that are `personal` stay with the participant: with "norm" every parameter and buffer of
// a normalisation layer (FedBN, Li 2021), with a name, or a prefix that ends in '*', those tensors
// (FedRep's head, Collins 2021). kInvalid names a pattern that matches nothing, or that no weight
// is left.
Result<UpdateLayout> MakeUpdateLayout(const Graph& graph, std::span<const LinkedValue> uplink,
                                      std::span<const std::string> personal);

}  // namespace linnet

#endif  // LINNET_FED_UPDATE_LAYOUT_H_
