#include "model/distill.h"

#include <algorithm>
#include <cmath>

#include "model/ops.h"

namespace linnet {
namespace {

// log of the sum of exp(x[i] / temperature).
double LogSumExp(const float* x, size_t n, double temperature) {
  const double largest = *std::max_element(x, x + n) / temperature;
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += std::exp(x[i] / temperature - largest);
  return largest + std::log(sum);
}

}  // namespace

double DistillationLoss(const DistillOptions& options, const float* teacher, const float* student,
                        const int32_t* labels, size_t rows, size_t classes, float scale,
                        float* gradient) {
  const double t = options.temperature, a = labels == nullptr ? 0 : options.label_weight;
  double loss = 0;
  for (size_t row = 0; row < rows; ++row) {
    const double teacher_sum = LogSumExp(teacher, classes, t);
    const double soft_sum = LogSumExp(student, classes, t);
    const double hard_sum = a > 0 ? LogSumExp(student, classes, 1) : 0;
    for (size_t i = 0; i < classes; ++i) {
      const double log_p = teacher[i] / t - teacher_sum, log_q = student[i] / t - soft_sum;
      const double p = std::exp(log_p);
      loss += (1 - a) * t * t * p * (log_p - log_q);
      double slope = (1 - a) * t * (std::exp(log_q) - p);
      if (a > 0) {
        const bool is_label = static_cast<int32_t>(i) == labels[row];
        slope += a * (std::exp(student[i] - hard_sum) - (is_label ? 1 : 0));
        if (is_label) loss += a * (hard_sum - student[i]);
      }
      gradient[i] = static_cast<float>(slope) * scale;
    }
    teacher += classes;
    student += classes;
    gradient += classes;
  }
  return loss;
}

Result<std::unique_ptr<Distiller>> Distiller::Create(const Model& teacher, const Model& student,
                                                     const DistillOptions& distill,
                                                     const TrainOptions& options, size_t max_batch,
                                                     const Kernels& kernels) {
  if (!(distill.temperature > 0 && distill.temperature <= 1000)) {
    return Fail(Code::kInvalid, "the temperature is ", distill.temperature,
                ", wanted more than 0 and at most 1000");
  }
  if (!(distill.label_weight >= 0 && distill.label_weight <= 1)) {
    return Fail(Code::kInvalid, "the weight of the labels is ", distill.label_weight,
                ", wanted 0 to 1");
  }
  for (const Model* model : {&teacher, &student}) {
    const std::string_view who = model == &teacher ? "the teacher" : "the student";
    LINNET_TRY(const std::vector<Shape> shapes, InferShapes(model->graph));
    if (model->graph.loss != Loss::kCrossEntropy || shapes.back().size() != 1) {
      return Fail(Code::kInvalid, who, " gives ", ShapeText(shapes.back()),
                  ", wanted one class for each example");
    }
  }
  if (teacher.graph.InputCount() != student.graph.InputCount() ||
      teacher.graph.classes != student.graph.classes) {
    return Fail(Code::kInvalid, "the teacher takes ", ShapeText(teacher.graph.input_shape),
                " and gives ", teacher.graph.classes, " classes, the student takes ",
                ShapeText(student.graph.input_shape), " and gives ", student.graph.classes,
                ", wanted the same");
  }
  LINNET_TRY(auto predictor, Predictor::Create(teacher.graph, max_batch, kernels));
  LINNET_TRY(auto trainer, Trainer::Create(student.graph, options, max_batch, kernels));
  std::ranges::copy(student.parameters, trainer->parameters().begin());
  return std::unique_ptr<Distiller>(new Distiller(
      teacher, student.graph, distill, std::move(predictor), std::move(trainer), max_batch));
}

Distiller::Distiller(const Model& teacher, const Graph& student, const DistillOptions& options,
                     std::unique_ptr<Predictor> predictor, std::unique_ptr<Trainer> trainer,
                     size_t max_batch)
    : teacher_(teacher),
      graph_(student),
      options_(options),
      predictor_(std::move(predictor)),
      trainer_(std::move(trainer)),
      outputs_(max_batch * student.classes) {
  predictor_->SetParameters(teacher_.parameters);
}

double Distiller::Step(const float* x, const int32_t* y, size_t batch) {
  predictor_->Run(x, batch, outputs_.data());
  return trainer_->StepWith(
      x, batch, [this, y](const float* outputs, size_t rows, float scale, float* gradient) {
        return DistillationLoss(options_, outputs_.data(), outputs, y, rows, graph_.classes, scale,
                                gradient);
      });
}

Model Distiller::student() const {
  const std::span<const float> parameters = trainer_->parameters();
  return {.graph = graph_, .parameters = {parameters.begin(), parameters.end()}};
}

}  // namespace linnet
