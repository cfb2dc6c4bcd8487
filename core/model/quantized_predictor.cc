#include <algorithm>
#include <cstring>

#include "model/int8_program.h"
#include "model/layer_chain.h"
#include "model/ops.h"
#include "model/quantize_parts.h"
#include "model/train.h"

namespace linnet {
namespace {

class Int8Predictor final : public QuantizedPredictor {
 public:
  Int8Predictor(const QuantizedModel& model, size_t max_batch, const Kernels& kernels,
                Executor* executor)
      : k_(kernels),
        executor_(executor),
        max_batch_(max_batch),
        program_(MakeInt8Program(model, max_batch, kernels)),
        input_(model.activations.front()),
        output_(model.activations.back()),
        arena_(program_.codes_bytes +
               program_.border_bytes * (executor == nullptr ? 1 : executor->Workers())) {}

  void Run(const float* x, size_t batch, float* output) override {
    LINNET_CHECK(batch >= 1 && batch <= max_batch_);
    batch_ = batch;
    y_ = output;
    k_.int8.quantize(x, 1 / input_.scale, {.offset = static_cast<float>(input_.zero_point)},
                     Codes(0), Count(0) * batch);
    for (const Int8Step& step : program_.steps) RunStep(step);
    if (program_.ends_in_f32) return;
    const auto last = static_cast<uint32_t>(program_.counts.size() - 1);
    k_.from_u8(Codes(last), output_.scale, -static_cast<float>(output_.zero_point) * output_.scale,
               output, Count(last) * batch);
  }
  size_t weight_bytes() const override {
    size_t bytes = 0;
    for (const Int8Step& step : program_.steps) bytes += step.weights.size();
    return bytes;
  }
  size_t arena_bytes() const override { return arena_.size(); }

 private:
  size_t Count(uint32_t value) const { return program_.counts[value]; }
  uint8_t* Codes(uint32_t value) { return arena_.data() + program_.places[value]; }

  void RunStep(const Int8Step& step) {
    if (step.kind == Int8Step::Kind::kAdd) {
      k_.int8.add(Codes(step.x), step.scale, Codes(step.x2), step.scale2, step.out, Codes(step.y),
                  Count(step.y) * batch_);
      return;
    }
    if (!step.is_image) {
      const size_t depth = step.run;
      Window(step, {Codes(step.x), 1, step.rows * batch_, 0, depth, step.offsets.data(), 1, depth},
             0);
      return;
    }
    if (executor_ == nullptr || batch_ == 1) {
      for (size_t image = 0; image < batch_; ++image) RunImage(step, image, 0);
    } else {
      executor_->Run(batch_, [&](size_t image, size_t worker) { RunImage(step, image, worker); });
    }
  }

  void RunImage(const Int8Step& step, size_t image_index, size_t worker) {
    const Int8Image& image = step.image;
    const uint8_t* x = Codes(step.x) + image_index * image.height * image.width * image.channels;
    if (image.IsPadded()) {
      uint8_t* padded = arena_.data() + program_.codes_bytes + worker * program_.border_bytes;
      Pad(image, x, step.border, padded);
      x = padded;
    }
    Window(step,
           {x, image.out_height, image.out_width, image.stride_h * image.row(),
            image.stride_w * image.channels, step.offsets.data(), step.offsets.size(), step.run},
           image_index);
  }

  static void Pad(const Int8Image& image, const uint8_t* x, uint8_t border, uint8_t* padded) {
    const size_t inner = image.width * image.channels, row = image.row();
    std::memset(padded, border, image.top * row);
    padded += image.top * row;
    for (size_t i = 0; i < image.height; ++i, padded += row) {
      std::memset(padded, border, image.left * image.channels);
      std::memcpy(padded + image.left * image.channels, x + i * inner, inner);
      std::memset(padded + image.left * image.channels + inner, border,
                  image.right * image.channels);
    }
    std::memset(padded, border, image.bottom * row);
  }

  void Window(const Int8Step& step, Int8Windows windows, size_t image) {
    const size_t first = image * Count(step.y);
    const uint8_t* weights = step.weights.data();
    switch (step.kind) {
      case Int8Step::Kind::kProduct:
        for (size_t g = 0; g < step.groups; ++g) {
          void* y = step.to_f32 ? static_cast<void*>(y_ + first + g * step.outputs)
                                : Codes(step.y) + first + g * step.outputs;
          k_.int8.product(windows, weights + g * step.group_bytes, step.outputs, step.out,
                          step.to_f32, y, step.outputs * step.groups);
          windows.x += windows.run;
        }
        return;
      case Int8Step::Kind::kDepthwise: {
        const uint8_t* bias = weights + step.group_bytes;
        const uint8_t* scale = bias + RoundUpToLine(4 * windows.run);
        k_.int8.depthwise(windows, reinterpret_cast<const int8_t*>(weights),
                          reinterpret_cast<const int32_t*>(bias),
                          reinterpret_cast<const float*>(scale), step.out, Codes(step.y) + first);
        return;
      }
      case Int8Step::Kind::kMaxPool:
        k_.int8.max_pool(windows, Codes(step.y) + first);
        return;
      case Int8Step::Kind::kSumPool:
        k_.int8.sum_pool(windows, step.scale, step.out, Codes(step.y) + first);
        return;
      case Int8Step::Kind::kAdd:
        return;
    }
  }

  const Kernels& k_;
  Executor* const executor_;
  const size_t max_batch_;
  const Int8Program program_;
  const ActivationCode input_, output_;
  AlignedBuffer<uint8_t> arena_;
  // Of the call under way.
  size_t batch_ = 0;
  float* y_ = nullptr;
};

// Dense layers with their weights in 4 bits or as they are.
class ChainPredictor final : public QuantizedPredictor {
 public:
  explicit ChainPredictor(LayerChain chain) : chain_(std::move(chain)) {}
  void Run(const float* x, size_t batch, float* output) override { chain_.Run(x, batch, output); }
  size_t weight_bytes() const override { return chain_.weight_bytes(); }
  size_t arena_bytes() const override { return chain_.arena_bytes(); }

 private:
  LayerChain chain_;
};

// Other layers, in f32, before a chain of dense ones.
class TailPredictor final : public QuantizedPredictor {
 public:
  TailPredictor(Model head, std::unique_ptr<Predictor> predictor, LayerChain chain,
                size_t max_batch)
      : head_(std::move(head)),
        predictor_(std::move(predictor)),
        chain_(std::move(chain)),
        between_(max_batch * head_.graph.classes) {
    predictor_->SetParameters(head_.parameters);
  }
  void Run(const float* x, size_t batch, float* output) override {
    predictor_->Run(x, batch, between_.data());
    chain_.Run(between_.data(), batch, output);
  }
  size_t weight_bytes() const override {
    return head_.parameters.size() * sizeof(float) + chain_.weight_bytes();
  }
  size_t arena_bytes() const override {
    return predictor_->arena_bytes() + chain_.arena_bytes() + between_.size() * sizeof(float);
  }

 private:
  const Model head_;
  const std::unique_ptr<Predictor> predictor_;
  LayerChain chain_;
  AlignedBuffer<float> between_;
};

// Weights of 4 bits in another graph: unpacked, and computed with in f32.
class WeightOnlyPredictor final : public QuantizedPredictor {
 public:
  WeightOnlyPredictor(Model model, std::unique_ptr<Predictor> predictor)
      : model_(std::move(model)), predictor_(std::move(predictor)) {
    predictor_->SetParameters(model_.parameters);
  }
  void Run(const float* x, size_t batch, float* output) override {
    predictor_->Run(x, batch, output);
  }
  size_t weight_bytes() const override { return model_.parameters.size() * sizeof(float); }
  size_t arena_bytes() const override { return predictor_->arena_bytes(); }

 private:
  const Model model_;
  const std::unique_ptr<Predictor> predictor_;
};

constexpr uint64_t kMaxArenaBytes = uint64_t{1} << 30;

// A predictor whose dense layers are given their weights by set(chain, layer, parameter's index):
// those of the whole model where it is a chain of them, else those at its end.
template <class SetLayer>
Result<std::unique_ptr<QuantizedPredictor>> PredictByLayers(const Model& model, size_t max_batch,
                                                            const Kernels& kernels,
                                                            Executor* executor,
                                                            const SetLayer& set) {
  const auto fill = [&](LayerChain& chain, const std::vector<uint32_t>* params) {
    for (ChainLayer& layer : chain.layers()) {
      set(chain, layer, params == nullptr ? layer.weights : (*params)[layer.weights]);
    }
    chain.Allocate();
  };
  if (auto chain = LayerChain::Make(model, max_batch, kernels)) {
    fill(*chain, nullptr);
    return std::make_unique<ChainPredictor>(std::move(*chain));
  }
  if (auto tail = CutDenseTail(model); tail && !tail->head.graph.params.empty()) {
    if (auto chain = LayerChain::Make(tail->chain, max_batch, kernels)) {
      fill(*chain, &tail->params);
      LINNET_TRY(auto predictor, Predictor::Create(tail->head.graph, max_batch, kernels, executor));
      return std::make_unique<TailPredictor>(std::move(tail->head), std::move(predictor),
                                             std::move(*chain), max_batch);
    }
  }
  LINNET_TRY(auto predictor, Predictor::Create(model.graph, max_batch, kernels, executor));
  return std::make_unique<WeightOnlyPredictor>(model, std::move(predictor));
}

}  // namespace

Result<std::unique_ptr<QuantizedPredictor>> QuantizedPredictor::Create(const QuantizedModel& model,
                                                                       size_t max_batch,
                                                                       const Kernels& kernels,
                                                                       Executor* executor) {
  LINNET_TRY_STATUS(ValidateQuantizedModel(model));
  if (max_batch == 0) return Fail(Code::kInvalid, "the largest batch is 0, wanted 1 or more");
  if (!HasInt8Activations(model)) {
    return PredictByLayers(Dequantize(model), max_batch, kernels, executor,
                           [&](const LayerChain&, ChainLayer& layer, uint32_t param) {
                             LayerChain::SetInt4(model.tensors[param], layer);
                           });
  }
  LINNET_TRY(const std::vector<Shape> shapes, InferShapes(model.graph));
  uint64_t total = 0;
  for (const Shape& shape : shapes) total += ElementCount(shape);
  if (total > kMaxArenaBytes / max_batch) {
    return Fail(Code::kLimit, "the arena for a batch of ", max_batch, " has up to ",
                total * max_batch, " bytes, wanted at most ", kMaxArenaBytes);
  }
  return std::make_unique<Int8Predictor>(model, max_batch, kernels, executor);
}

Result<std::unique_ptr<QuantizedPredictor>> QuantizedPredictor::CreateSparse(
    const Model& model, size_t max_batch, const Kernels& kernels) {
  LINNET_TRY_STATUS(ValidateGraph(model.graph));
  LINNET_CHECK(model.parameters.size() == model.graph.ParamCount());
  if (max_batch == 0) return Fail(Code::kInvalid, "the largest batch is 0, wanted 1 or more");
  return PredictByLayers(model, max_batch, kernels, nullptr,
                         [&](const LayerChain& chain, ChainLayer& layer, uint32_t param) {
                           const ParamInfo& info = model.graph.params[param];
                           chain.SetFastest(model.parameters.data() + info.offset, layer);
                         });
}

}  // namespace linnet
