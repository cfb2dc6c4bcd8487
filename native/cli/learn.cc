// The options of train, eval, infer and bench.
#include "native/cli/learn.h"

#include <CLI/CLI.hpp>

#include "model/model.h"
#include "native/cli/command_line.h"
#include "native/cli/infer.h"

namespace linnet {
namespace {

std::string Builtins() {
  std::string names;
  for (const std::string& name : BuiltinModelNames()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

void AddThreads(CLI::App* sub, uint32_t& threads) {
  sub->add_option("--threads", threads, "Threads of the engine, 0 = one per core; changes no bit")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

constexpr char kSources[] =
    "mnist:DIR, strokes?writers=0-99, csv:FILE?label=NAME, npy:X.npy,Y.npy or text:FILE?context=64";

}  // namespace

void AddTrain(CLI::App& app, TrainCommand& c) {
  CLI::App* sub = app.add_subcommand("train", "Train a model on this machine");
  sub->add_option("MODEL", c.model, "A .linnet file, or a builtin model: " + Builtins())
      ->required();
  sub->add_option("--data", c.data, std::string("Data source: ") + kSources)->required();
  sub->add_option("--validate", c.validate,
                  "Data source to validate on (default: the test part, else a tenth is held back)");
  sub->add_option("--scale", c.scale, "How features are scaled, by the training part")
      ->check(CLI::IsMember({"none", "unit", "standard"}))
      ->capture_default_str();
  sub->add_option("--epochs", c.epochs, "Passes over the training data")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  sub->add_option("--steps", c.steps, "Steps in all, instead of --epochs");
  sub->add_option("--every", c.every, "Validate after so many steps (default: after each pass)");
  sub->add_option("--batch", c.batch, "Examples per step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  sub->add_option("--optimizer", c.optimizer, "sgd, momentum, nesterov, adam or adamw")
      ->check(CLI::IsMember({"sgd", "momentum", "nesterov", "adam", "adamw"}))
      ->capture_default_str();
  sub->add_option("--lr", c.learning_rate,
                  "Learning rate (default: 0.1 for sgd, 0.01 with momentum, 0.001 for adam)");
  sub->add_option("--schedule", c.schedule,
                  "Of the learning rate: constant, step:every=N,factor=F, "
                  "exponential:every=N,factor=F or cosine:steps=N,end=F, also with warmup=N")
      ->capture_default_str();
  sub->add_option("--momentum", c.momentum, "For momentum and nesterov")->capture_default_str();
  sub->add_option("--beta1", c.beta1, "For adam and adamw")->capture_default_str();
  sub->add_option("--beta2", c.beta2, "For adam and adamw")->capture_default_str();
  sub->add_option("--decay", c.weight_decay, "Weight decay, not of biases and norms")
      ->capture_default_str();
  sub->add_option("--clip", c.clip_norm, "Norm that the gradient is clipped to, 0 = off")
      ->capture_default_str();
  sub->add_option("--clip-value", c.clip_value, "The same for each element of it");
  sub->add_option("--seed", c.seed, "The same seed gives the same bits")->capture_default_str();
  sub->add_option(
      "--save", c.save,
      "Keep the best model so far in this .linnet file, and what --resume needs beside it in "
      "FILE.state");
  sub->add_flag(
      "--resume", c.resume,
      "Go on where the training into the file of --save stopped, if it is there: with the "
      "same data, --seed, --batch and --optimizer to the same bits");
  sub->add_option("--target", c.target, "Stop when this validation accuracy is reached, e.g. 0.97")
      ->check(CLI::Range(0.0, 1.0));
  sub->add_option("--target-loss", c.target_loss,
                  "Stop when the validation loss is as low as this");
  AddThreads(sub, c.threads);
  sub->add_flag("--json", c.json, "One JSON object a line instead of text");
  sub->footer(CommandFooter(
      "linnet train mlp-2nn --data 'strokes?writers=0-99' --epochs 5 --save digits.linnet"));
}

void AddEval(CLI::App& app, EvalCommand& c) {
  CLI::App* sub = app.add_subcommand("eval", "Score a model on data");
  sub->add_option("MODEL", c.model, "A .linnet file")->required();
  sub->add_option("--data", c.data, std::string("Data source: ") + kSources)->required();
  sub->add_option("--scale", c.scale, "How features are scaled, by the training part")
      ->check(CLI::IsMember({"none", "unit", "standard"}))
      ->capture_default_str();
  sub->add_flag("--train-part", c.train_part, "Use the training part where the source has two");
  AddThreads(sub, c.threads);
  sub->add_flag("--json", c.json, "One JSON object instead of text");
  sub->footer(CommandFooter("linnet eval digits.linnet --data 'strokes?writers=1000-1019'"));
}

void AddInfer(CLI::App& app, InferCommand& c) {
  CLI::App* sub = app.add_subcommand("infer", "Run a model on data, an image, rows or a text");
  sub->add_option("MODEL", c.model, "A .linnet file, or http://HOST:PORT of a coordinator")
      ->required();
  auto* data =
      sub->add_option("--data", c.data, "Data source: prints accuracy and confusion matrix");
  auto* image =
      sub->add_option("--image", c.image, "One binary PGM image (P5): prints the probabilities");
  data->excludes(image);
  sub->add_option(
      "--input", c.input,
      "A file, or - for stdin: for each line of comma-separated features one prediction, "
      "or for a model of texts what follows the line");
  sub->add_option("--text", c.text, "For a model of texts: prints how it goes on");
  sub->add_option("--like", c.like,
                  "Data source whose training part says how the rows of --input are scaled "
                  "(default: they are taken as they are)");
  sub->add_option("--top", c.top, "So many classes, the most likely first")
      ->check(CLI::Range(1, 65536));
  sub->add_option("--length", c.length, "Bytes of text")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  sub->add_option("--temperature", c.temperature, "0: always the most likely byte")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  sub->add_option("--seed", c.seed, "The same seed draws the same text")->capture_default_str();
  sub->add_option("--rows", c.rows, "Also print the predictions of the first N rows");
  sub->add_option("--scale", c.scale,
                  "How features are scaled, as data.scale of the federation (default: the "
                  "coordinator's, else unit)")
      ->check(CLI::IsMember({"none", "unit", "standard"}));
  sub->add_flag("--train-part", c.train_part, "Use the training part where the source has two");
  sub->add_flag("--json", c.json, "One JSON object a line instead of text");
  sub->footer(CommandFooter("linnet infer digits.linnet --data 'strokes?writers=1000-1019'"));
}

void AddBench(CLI::App& app, BenchCommand& c) {
  CLI::App* sub =
      app.add_subcommand("bench", "Time training steps and inference of models on this machine");
  sub->add_option("MODEL", c.models, "Builtin models or .linnet files (default: all builtin ones)");
  sub->add_option("--batch", c.batch, "Examples of a training step and of a large inference")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  sub->add_option("--seconds", c.seconds, "Of each of the three measurements of a model")
      ->check(CLI::Range(0.01, 60.0))
      ->capture_default_str();
  AddThreads(sub, c.threads);
  sub->add_flag("--json", c.json, "One JSON object for each model instead of a table");
  sub->footer(CommandFooter("linnet bench mlp-256-128 cnn-small"));
}

}  // namespace linnet
