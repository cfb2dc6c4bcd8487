// A graph as bytes: the section that every kind of `.linnet` file has.
#ifndef LINNET_MODEL_GRAPH_BYTES_H_
#define LINNET_MODEL_GRAPH_BYTES_H_

#include "model/model.h"

namespace linnet {

// The section as format.cc describes it; its size is a multiple of 4.
Bytes EncodeGraph(const Graph& graph);
// kData for malformed bytes. The graph is not validated, offsets and counts of tensors are set.
Result<Graph> DecodeGraph(ByteSpan bytes);

}  // namespace linnet

#endif  // LINNET_MODEL_GRAPH_BYTES_H_
