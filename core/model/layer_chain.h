// Dense layers one behind the other, with weights that take less room than f32.
#ifndef LINNET_MODEL_LAYER_CHAIN_H_
#define LINNET_MODEL_LAYER_CHAIN_H_

#include <optional>
#include <vector>

#include "base/aligned.h"
#include "kernels/kernels.h"
#include "model/quantize.h"

namespace linnet {

// One dense or linear layer of a chain, with the rectifier behind it.
struct ChainLayer {
  enum class Kind : uint8_t { kDense, kInt4, kSparse, kBlock, kTwoOfFour } kind = Kind::kDense;
  size_t depth = 0, n = 0;
  bool relu = false;
  uint32_t weights = 0;  // the parameter
  std::vector<float> bias;
  // What the kind's kernel takes (compressed.h).
  std::vector<float> values;
  std::vector<uint32_t> starts, indices;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> scales;
  size_t bytes() const;
};

// A model in two parts, where it ends in a chain of dense layers: `head` gives what `chain` takes.
struct DenseTail {
  Model head, chain;
  std::vector<uint32_t> params;  // of each parameter of the chain, its index in the model
};
// Nothing where the whole model is such a chain or it ends in none.
std::optional<DenseTail> CutDenseTail(const Model& model);

class LayerChain {
 public:
  // Nothing unless the graph is a chain of dense, linear, relu, flatten, reshape and dropout with a
  // dense or linear first. The layers come without weights.
  static std::optional<LayerChain> Make(const Model& model, size_t max_batch,
                                        const Kernels& kernels);
  std::vector<ChainLayer>& layers() { return layers_; }
  // Puts weights[depth, n] into a layer: in a form (not kInt4; kTwoOfFour wants the pattern), or in
  // the one that is fastest for their zeros and the largest batch.
  static void SetForm(const float* weights, ChainLayer::Kind form, ChainLayer& layer);
  void SetFastest(const float* weights, ChainLayer& layer) const;
  static void SetInt4(const QuantizedTensor& tensor, ChainLayer& layer);
  // Call when the layers have their weights; afterwards Run allocates nothing.
  void Allocate();
  void Run(const float* x, size_t batch, float* y);
  size_t weight_bytes() const;
  size_t arena_bytes() const { return arena_.size() * sizeof(float); }

 private:
  LayerChain(size_t max_batch, const Kernels& kernels) : max_batch_(max_batch), k_(&kernels) {}
  void RunLayer(const ChainLayer& layer, const float* x, size_t batch, float* y);

  size_t max_batch_;
  const Kernels* k_;
  std::vector<ChainLayer> layers_;
  AlignedBuffer<float> arena_;  // two values, then the workspace
  size_t widest_ = 0;
};

}  // namespace linnet

#endif  // LINNET_MODEL_LAYER_CHAIN_H_
