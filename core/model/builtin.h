// The builtin models' layers, by kind of data.
#ifndef LINNET_MODEL_BUILTIN_H_
#define LINNET_MODEL_BUILTIN_H_

#include <cstdint>
#include <span>

#include "model/graph_builder.h"

namespace linnet::builtin {

// Appends the layers. `widths` are the numbers behind the name's colon, of a count that the table
// in builtin.cc admits.
using Build = Status (*)(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);

Status Mlp2nn(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);
Status Mlp256128(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);
Status SoftmaxRegression(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);
Status Autoencoder(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);

Status CnnSmall(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);
Status CnnMnist(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);
Status DscnnSmall(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);
Status LenetNiid(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);

Status GruChar(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);
Status TransformerTiny(GraphBuilder& builder, uint32_t classes, std::span<const uint32_t> widths);

}  // namespace linnet::builtin

#endif  // LINNET_MODEL_BUILTIN_H_
