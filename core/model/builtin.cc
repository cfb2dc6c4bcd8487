#include "model/builtin.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "model/model.h"
#include "model/ops.h"

namespace linnet {
namespace {

constexpr uint32_t kMaxWidth = 65536;

struct Builtin {
  std::string_view name;
  // What it takes: anything, [height, width, channels] with sides of at least min_side, or ids
  // [context].
  enum class Input : uint8_t { kAny, kImage, kSymbols } input;
  uint32_t min_side;
  std::string_view widths;  // what may stand behind a colon, for people
  size_t min_widths, max_widths;
  builtin::Build build;
};
using Input = Builtin::Input;
constexpr std::array kBuiltins = {
    Builtin{"mlp-2nn", Input::kAny, 0, "", 0, 0, builtin::Mlp2nn},
    Builtin{"mlp-256-128", Input::kAny, 0, "", 0, 0, builtin::Mlp256128},
    Builtin{"cnn-small", Input::kImage, 6, "", 0, 0, builtin::CnnSmall},
    Builtin{"softmax-regression", Input::kAny, 0, "", 0, 0, builtin::SoftmaxRegression},
    Builtin{"cnn-mnist", Input::kImage, 4, "", 0, 0, builtin::CnnMnist},
    Builtin{"dscnn-small", Input::kImage, 4, "", 0, 0, builtin::DscnnSmall},
    Builtin{"lenet-niid", Input::kImage, 16, "", 0, 0, builtin::LenetNiid},
    Builtin{"autoencoder", Input::kAny, 0, "19-20-8-20-19", 3, 16, builtin::Autoencoder},
    Builtin{"gru-char", Input::kSymbols, 0, "", 0, 0, builtin::GruChar},
    Builtin{"transformer-tiny", Input::kSymbols, 0, "LAYERS-HEADS-WIDTH", 3, 3,
            builtin::TransformerTiny},
};

struct Named {
  const Builtin* builtin;
  std::vector<uint32_t> widths;
};

Result<Named> FindBuiltin(std::string_view name) {
  const size_t colon = name.find(':');
  const auto found = std::ranges::find(kBuiltins, name.substr(0, colon), &Builtin::name);
  if (found == kBuiltins.end()) {
    std::string known;
    for (const Builtin& builtin : kBuiltins)
      known += StrCat(known.empty() ? "" : ", ", builtin.name);
    return Fail(Code::kNotFound, "no builtin model is called ", name.substr(0, 64), "; there are ",
                known);
  }
  Named named{&*found, {}};
  if (colon == std::string_view::npos) return named;
  std::string_view rest = name.substr(colon + 1);
  const auto unwanted = [&]() -> std::unexpected<Error> {
    if (found->max_widths == 0)
      return Fail(Code::kInvalid, found->name, " takes nothing behind its name");
    return Fail(Code::kInvalid, found->name, ":", name.substr(colon + 1, 64), ": ",
                found->min_widths, " to ", found->max_widths, " numbers in 1..", kMaxWidth,
                " are wanted, as in ", found->name, ":", found->widths);
  };
  for (bool more = true; more;) {
    uint32_t width = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), width);
    if (error != std::errc() || width == 0 || width > kMaxWidth ||
        named.widths.size() == found->max_widths)
      return unwanted();
    named.widths.push_back(width);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    more = rest.starts_with('-');
    if (more) rest.remove_prefix(1);
  }
  if (!rest.empty() || named.widths.size() < found->min_widths) return unwanted();
  return named;
}

Status CheckInput(const Builtin& builtin, const Shape& shape) {
  if (builtin.input == Input::kImage &&
      (shape.size() != 3 || shape[0] < builtin.min_side || shape[1] < builtin.min_side)) {
    return Fail(Code::kInvalid, builtin.name, " was asked to take ", ShapeText(shape),
                ", wanted [height, width, channels] of at least ", builtin.min_side, " x ",
                builtin.min_side);
  }
  if (builtin.input == Input::kSymbols && shape.size() != 1) {
    return Fail(Code::kInvalid, builtin.name, " was asked to take ", ShapeText(shape),
                ", wanted [context], the ids of a text's symbols");
  }
  // Before any product of sizes is used: the graph itself is checked only when it stands.
  if (shape.empty() || ElementCount(shape) > kMaxElements) {
    return Fail(Code::kInvalid, builtin.name, " was asked to take ", ShapeText(shape),
                ", wanted a shape of at most ", kMaxElements, " elements");
  }
  return {};
}

Result<Model> BuildModel(const Named& named, std::string_view name, const Seed& seed, Shape shape,
                         uint32_t classes) {
  LINNET_TRY_STATUS(CheckInput(*named.builtin, shape));
  GraphBuilder builder(name, std::move(shape), classes);
  if (const Status built = named.builtin->build(builder, classes, named.widths); !built)
    return Annotate(built.error(), name);
  Result<Model> model = builder.Build(seed);
  if (!model) return Annotate(model.error(), name);
  return model;
}

}  // namespace

std::vector<std::string> BuiltinModelNames() {
  std::vector<std::string> names;
  for (const Builtin& builtin : kBuiltins) names.emplace_back(builtin.name);
  return names;
}

Result<Model> BuiltinModel(std::string_view name, const Seed& seed) {
  LINNET_TRY(const Named named, FindBuiltin(name));
  if (named.builtin->input == Input::kSymbols) return BuildModel(named, name, seed, {64}, 65);
  const bool by_widths = named.builtin->input == Input::kAny && !named.widths.empty();
  return BuildModel(named, name, seed, by_widths ? Shape{named.widths[0]} : Shape{28, 28, 1}, 10);
}

Result<Model> BuiltinModel(std::string_view name, const Seed& seed,
                           std::vector<uint32_t> input_shape, uint32_t classes) {
  LINNET_TRY(const Named named, FindBuiltin(name));
  return BuildModel(named, name, seed, std::move(input_shape), classes);
}

}  // namespace linnet
