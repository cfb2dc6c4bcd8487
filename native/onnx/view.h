// How an ONNX value lies in a value of our graph, and the graph while it is built.
#ifndef LINNET_NATIVE_ONNX_VIEW_H_
#define LINNET_NATIVE_ONNX_VIEW_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "model/ops.h"
#include "native/onnx/tensor.h"

namespace linnet::onnx {

// An ONNX value of any layout, seen in a graph's value. The stored axes are the batch (0) and those
// of the graph's value (1 and up). Each ONNX axis is the stored axes it merges, slowest first: an
// image that ONNX sees as [n, c, h, w] and the graph stores as [h, w, c] has the axes {0}, {3},
// {1}, {2}, and flattened {0}, {3, 1, 2}. So Transpose, Flatten and most Reshapes move no data and
// leave no node. A stored axis of size 1 may stand in no list.
struct View {
  using Axis = std::vector<uint32_t>;

  uint32_t id = 0;  // of the value
  Shape stored;     // of one example
  std::vector<Axis> axes;
  bool sole = false;  // nothing else reads the value

  size_t rank() const { return axes.size(); }
  int64_t size(size_t axis) const;  // contains kBatch where the batch is merged into it
  Dims dims() const;
  bool is_batch(size_t axis) const;  // the batch and nothing else
  // The axes but the batch, in the order in which they lie.
  std::vector<size_t> StoredOrder() const;
};

class GraphBuilder {
 public:
  Graph graph;
  std::vector<float> parameters;

  // The view of a value that ONNX sees as it is stored.
  static View Plain(uint32_t id, Shape stored);
  // kInvalid from the operator's shape inference, kLimit for too many nodes.
  Result<View> Emit(Op op, const std::vector<const View*>& inputs,
                    std::vector<uint32_t> params = {}, std::vector<uint32_t> attributes = {});
  // Elementwise: the layout stays.
  Result<View> EmitUnary(Op op, const View& x, std::vector<uint32_t> params = {},
                         std::vector<uint32_t> attributes = {});
  Node& node(uint32_t id) { return graph.nodes[id - 1]; }

  // A new parameter; the name is made printable and unique. kData when a value is not finite.
  Result<uint32_t> AddParam(std::string name, Shape shape, std::vector<float> values,
                            ParamRole role = ParamRole::kWeight, bool frozen = false);

  // The value with the ONNX axes `order` as its stored ones, behind the batch. All axes but the
  // batch must be named once.
  Result<View> Arrange(const View& view, const std::vector<size_t>& order);
  // All axes but the batch, in the file's order.
  Result<View> InOrder(const View& view);
  // ONNX axis `axis` as the last stored one.
  Result<View> MoveLast(const View& view, size_t axis);
  // The stored axes in this sequence (behind the batch); those of size 1 may be left out.
  Result<View> Permuted(const View& view, const View::Axis& sequence);
  // ONNX's Reshape to `dims`, in which the batch's size is kBatch.
  Result<View> Reshaped(const View& view, const Dims& dims);

  // Removes what nothing reads; the value `id` becomes the output.
  void Finish(uint32_t id);

 private:
  // The same elements in another stored shape; axes are the caller's.
  Result<uint32_t> EmitReshape(uint32_t id, const Shape& from, const Shape& to);

  std::map<std::string, int> names_;
};

}  // namespace linnet::onnx

#endif  // LINNET_NATIVE_ONNX_VIEW_H_
