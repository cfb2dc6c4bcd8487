// What tests of ONNX files compute with imported models.
#ifndef LINNET_TESTS_NATIVE_ONNX_RUN_H_
#define LINNET_TESTS_NATIVE_ONNX_RUN_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "model/train.h"

namespace linnet {

inline std::vector<float> Counting(size_t count, int modulus = 5) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = float(int(i * 7) % modulus - modulus / 2);
  return values;
}

inline std::vector<float> Outputs(const Model& model, const std::vector<float>& x, size_t batch) {
  auto predictor = Predictor::Create(model.graph, batch, BestKernels());
  EXPECT_TRUE(predictor) << predictor.error().message;
  const std::vector<std::vector<uint32_t>> shapes = InferShapes(model.graph).value();
  size_t outputs = batch;
  for (const uint32_t size : shapes.back()) outputs *= size;
  std::vector<float> y(outputs);
  if (predictor) (*predictor)->Run(model.parameters, x.data(), batch, y.data());
  return y;
}

inline std::vector<std::string> Operators(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.emplace_back(OpName(node.op));
  return names;
}

}  // namespace linnet

#endif  // LINNET_TESTS_NATIVE_ONNX_RUN_H_
