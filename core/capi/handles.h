// What stands behind the handles of linnet.h, and how errors get out.
#ifndef LINNET_CAPI_HANDLES_H_
#define LINNET_CAPI_HANDLES_H_

#include <memory>
#include <string>

#include "base/executor.h"
#include "base/json.h"
#include "base/result.h"
#include "linnet/linnet.h"
#include "model/model.h"
#include "model/train.h"

namespace linnet {

// Keeps the words for linnet_last_error of this thread; returns minus the code.
linnet_status Report(const Error& error);
template <typename... Args>
linnet_status Report(Code code, const Args&... args) {
  return Report(Error{code, StrCat(args...)});
}
inline linnet_status Report(const Status& status) {
  return status ? LINNET_OK : Report(status.error());
}

// Inference with a plan that is made at the first use and kept.
class Reader {
 public:
  // logits[n, classes] for x[n, inputs]; the executor is that of the first use.
  Status Run(const Model& model, const float* x, size_t n, float* logits, Executor* executor);

 private:
  std::unique_ptr<Predictor> predictor_;
};

// The object linnet_describe_model prints.
Json DescribeModel(const Model& model);
// The settings of linnet_train_model: the members of a federation's "train".
Result<TrainOptions> ParseTrainSettings(const char* json, uint32_t& batch_size);

}  // namespace linnet

struct linnet_pool {
  std::unique_ptr<linnet::Executor> executor;
};

struct linnet_model {
  linnet::Model model;
  linnet::Reader reader;
  linnet::Bytes saved;
  std::string description;
  linnet::Executor* executor = nullptr;
};

#endif  // LINNET_CAPI_HANDLES_H_
