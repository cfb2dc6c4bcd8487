// A graph written down layer by layer, with what each tensor of parameters begins as.
#ifndef LINNET_MODEL_GRAPH_BUILDER_H_
#define LINNET_MODEL_GRAPH_BUILDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "model/model.h"
#include "model/ops.h"

namespace linnet {

// How the values of one tensor are drawn.
struct Initializer {
  enum class Kind : uint8_t { kConstant, kUniform, kNormal } kind = Kind::kConstant;
  float scale = 0;  // the constant, the interval's half width, or the deviation
};

// Appends nodes, each to the output of the one before unless an input is named. The first error
// stays; what follows it does nothing. Tensors are named after their layer: "conv1.weight".
class GraphBuilder {
 public:
  GraphBuilder(std::string_view name, Shape input_shape, uint32_t classes);

  struct Conv {
    uint32_t kernel, outputs;
    uint32_t stride = 1, pad = 0, groups = 1;
  };
  GraphBuilder& Dense(uint32_t outputs);
  GraphBuilder& Conv2d(const Conv& conv);
  GraphBuilder& BatchNorm();
  // The weights before it are drawn anew for a rectifier (through a batch norm too).
  GraphBuilder& Relu();
  GraphBuilder& MaxPool(uint32_t size);

  // On the last axis, weights and biases under the given name.
  GraphBuilder& Linear(std::string_view name, uint32_t outputs, Initializer weights);
  GraphBuilder& LayerNorm(std::string_view name);
  GraphBuilder& Embedding(std::string_view name, uint32_t vocabulary, uint32_t width,
                          Initializer table);
  // Returns the whole sequence of states.
  GraphBuilder& Gru(std::string_view name, uint32_t states);
  // One value for each element of an example.
  GraphBuilder& AddPositions(std::string_view name, Initializer positions);
  GraphBuilder& Add(Op op, std::vector<uint32_t> attributes = {});
  // The last output and an earlier value.
  GraphBuilder& AddResidual(uint32_t value);

  uint32_t value() const { return static_cast<uint32_t>(graph_.nodes.size()); }
  const Shape& shape() const { return shapes_.back(); }
  void SetLoss(Loss loss, uint32_t classes);

  // kInvalid names the node and what was wanted. Weights are drawn from the seed, one stream for
  // each tensor, by correctly rounded operations alone: the same bits on every target.
  Result<Model> Build(const Seed& seed);

 private:
  uint32_t AddParam(std::string name, Shape shape, Initializer initializer,
                    ParamRole role = ParamRole::kWeight);
  GraphBuilder& Append(Op op, std::vector<uint32_t> inputs, std::vector<uint32_t> params = {},
                       std::vector<uint32_t> attributes = {});
  std::string Numbered(std::string_view kind) { return StrCat(kind, ++layers_[std::string(kind)]); }

  Graph graph_;
  std::vector<Shape> shapes_;  // of each value
  std::vector<Initializer> initializers_;
  std::map<std::string, int> layers_;
  uint32_t last_weights_ = 0;
  Status status_;
};

}  // namespace linnet

#endif  // LINNET_MODEL_GRAPH_BUILDER_H_
