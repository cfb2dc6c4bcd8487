// What the strategies compute, against other people's numbers and hand-derived ones.
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "abi/harness.h"
#include "plugins/builtin.h"

namespace linnet::testing {
namespace {

// A strategy in the hands of a coordinator: uploads of whole models, deltas on the wire as f32.
class Server {
 public:
  Server(std::string_view strategy, std::string_view config, std::vector<float> model)
      : model_(std::move(model)) {
    PluginTable table;
    for (const BuiltinPlugin& plugin : BuiltinPlugins())
      EXPECT_TRUE(table.Add(plugin.entry, "built in"));
    const uint32_t n = static_cast<uint32_t>(model_.size());
    const std::vector<ParamInfo> params = {{"w", {n}, 0, n}};
    auto host = AggregationHost::Create(**table.Find(strategy), *Json::Parse(config), params,
                                        BestKernels());
    EXPECT_TRUE(host) << host.error().message;
    host_ = std::move(*host);
  }
  const std::vector<float>& Round(const std::vector<std::vector<float>>& uploads,
                                  const std::vector<uint32_t>& weights) {
    std::vector<Bytes> bytes;
    std::vector<EncodedUpdate> updates;
    for (const auto& upload : uploads) {
      std::vector<float> delta(model_.size());
      for (size_t i = 0; i < delta.size(); ++i) delta[i] = upload[i] - model_[i];
      bytes.emplace_back();
      EXPECT_TRUE(Encode(kF32, {}, delta, BestKernels(), bytes.back()));
    }
    for (size_t k = 0; k < uploads.size(); ++k)
      updates.push_back({bytes[k], kF32, {}, MakeUpdate(k, weights[k])});
    EXPECT_TRUE(host_->BeginRound({.grid_exp = *GridExponent(64, 65536, 12)}));
    EXPECT_TRUE(host_->Fold(updates));
    auto result = host_->Finish(model_);
    EXPECT_TRUE(result) << result.error().message;
    model_ = *result;
    return model_;
  }
  const std::vector<float>& model() const { return model_; }

 private:
  static constexpr CodecSpec kF32 = {CodecKind::kF32, 32};
  std::vector<float> model_;
  std::unique_ptr<AggregationHost> host_;
};

void ExpectNear(const std::vector<float>& found, const std::vector<double>& wanted,
                double tolerance = 1e-6) {
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], wanted[i], tolerance) << i;
}

TEST(FedAvgTest, IsTheWeightedMeanOfUploads) {
  // adap/flower@fdef7afb, strategy/aggregate_test.py.
  Server server("fedavg", "{}", {0, 0, 0, 0, 0, 0});
  ExpectNear(server.Round({{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}}, {1, 2}), {1, 2, 3, 4, 5, 6});
  ExpectNear(server.Round({{0, 0, 0, 0, 0, 0}, {3, 3, 3, 6, 6, 6}}, {1, 2}), {2, 2, 2, 4, 4, 4});
}

TEST(FedAvgMTest, WithoutMomentumIsTheMean) {
  // adap/flower@fdef7afb, fedavgm_test.py: server rates 1 and 1 + 1e-9, momentum 0 and 1e-9, from
  // 0.
  const std::vector<float> a = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
                           b = {29, 23, 19, 17, 13, 11, 7, 5, 3, 2};
  std::vector<double> wanted;
  for (size_t i = 0; i < a.size(); ++i) wanted.push_back((a[i] + 2.0 * b[i]) / 3);
  for (const char* config :
       {R"({"momentum":0})", R"({"momentum":0,"serverLearningRate":1.000000001})",
        R"({"momentum":1e-9})", R"({"momentum":1e-9,"serverLearningRate":1.000000001})"}) {
    Server server("fedavgm", config, std::vector<float>(10));
    ExpectNear(server.Round({a, b}, {1, 2}), wanted, 1e-5);
  }
}

TEST(FedAvgMTest, MomentumAddsUpFromTheFirstMean) {
  // Each round's mean delta is 1: v = 1, 1.9, 2.71; w = 1, 2.9, 5.61.
  Server server("fedavgm", "{}", {0});
  ExpectNear(server.Round({{1}}, {5}), {1});
  ExpectNear(server.Round({{2}}, {5}), {2.9});
  ExpectNear(server.Round({{3.9f}}, {5}), {5.61});
  // With rate .5: w = .5, 1.45.
  Server slow("fedavgm", R"({"serverLearningRate":0.5})", {0});
  ExpectNear(slow.Round({{1}}, {5}), {0.5});
  ExpectNear(slow.Round({{1.5f}}, {5}), {1.45});
}

TEST(FedAdamTest, IsTheAlgorithmOfThePaper) {
  // Previous .1, uploads .2 and 1.0 with equal weights: D = .5, m = .05, v = .0025,
  // w = .1 + .1 * .05 / (.05 + .001).
  Server server("fedadam", "{}", {0.1f});
  ExpectNear(server.Round({{0.2f}, {1.0f}}, {5, 5}), {0.19803921569});
  // The same D again: m = .095, v = .004975.
  const float w = server.model()[0];
  ExpectNear(server.Round({{w + 0.5f}}, {3}), {w + 0.1 * 0.095 / (std::sqrt(0.004975) + 0.001)});
}

TEST(FedAdamTest, CorrectsTheBiasAsFlowerDoesWhenAsked) {
  // eta sqrt(1 - b2^(t+1)) / (1 - b1^(t+1)), t from 1: .17279017533 in round 1
  // (adap/flower@fdef7afb).
  Server server("fedadam", R"({"biasCorrection":true})", {0.1f});
  ExpectNear(server.Round({{0.2f}, {1.0f}}, {5, 5}), {0.17279017533});
  const float w = server.model()[0];
  const double rate = 0.1 * std::sqrt(1 - std::pow(0.99, 3)) / (1 - std::pow(0.9, 3));
  ExpectNear(server.Round({{w + 0.5f}}, {3}), {w + rate * 0.095 / (std::sqrt(0.004975) + 0.001)});
}

TEST(FedAdamTest, WithoutFirstMomentAndDecayIsOneStepOfAdagrad) {
  // FedAdagrad's first step of vectors/05 (eta .1, tau .5, b1 0): v = D^2 = .25 for b2 = 0 as well.
  Server server("fedadam", R"({"beta1":0,"beta2":0,"tau":0.5})", {0.1f, 0.1f});
  ExpectNear(server.Round({{0.2f, 0.2f}, {1.0f, 1.0f}}, {5, 5}), {0.15, 0.15});
}

// Two participants with f_k(w) = h_k / 2 (w - a_k)^2, h = (1, 4), a = (0, 1), rate .1, equal
// weights, from 0.
TEST(FedAvgTest, FollowsTheMicroCaseOfTwoQuadratics) {
  const struct {
    int steps;
    std::vector<double> wanted;
  } rows[] = {{2, {0.32, 0.5072, 0.616712}}, {5, {0.46112, 0.61519172, 0.666670933445}}};
  for (const auto& row : rows) {
    Server server("fedavg", "{}", {0});
    for (const double wanted : row.wanted) {
      std::vector<std::vector<float>> uploads;
      for (const auto& [h, a] : {std::pair{1.0, 0.0}, std::pair{4.0, 1.0}}) {
        double y = server.model()[0];
        for (int step = 0; step < row.steps; ++step) y -= 0.1 * h * (y - a);
        uploads.push_back({static_cast<float>(y)});
      }
      ExpectNear(server.Round(uploads, {1, 1}), {wanted});
    }
  }
}

// The cases of the shared file that these strategies have; without the file the numbers above stand
// alone.
TEST(StrategyTest, AgreesWithTheVectorsOfFlower) {
  const char* shared = std::getenv("LINNET_SHARED");
  const std::filesystem::path path =
      std::filesystem::path(shared != nullptr ? shared
                                              : std::string(LINNET_SOURCE_DIR) + "/../shared") /
      "vectors/05_aggregation_flower.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here (set LINNET_SHARED)";
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto json = Json::Parse(text);
  ASSERT_TRUE(json);
  const auto numbers = [](const Json& value, size_t dim) {
    std::vector<float> x;
    if (value.is_number()) x.assign(dim, static_cast<float>(value.as_double()));
    if (value.is_array()) {
      for (const Json& v : value.as_array()) x.push_back(static_cast<float>(v.as_double()));
    }
    return x;
  };
  size_t cases = 0;
  for (const Json& item : json->Find("cases")->as_array()) {
    const std::string& name = item.Find("strategy")->as_string();
    if (name != "FedAvg" && name != "FedAvgM") continue;
    std::vector<std::vector<float>> uploads;
    std::vector<uint32_t> weights;
    for (const Json& input : item.Find("inputs")->as_array()) uploads.push_back(numbers(input, 1));
    for (const Json& w : item.Find("weights")->as_array())
      weights.push_back(static_cast<uint32_t>(w.as_int()));
    std::string config = "{}", strategy = "fedavg";
    if (name == "FedAvgM") {
      strategy = "fedavgm";
      config = StrCat(R"({"momentum":)", item.Find("momentum")->as_double(),
                      R"(,"serverLearningRate":)", item.Find("server_lr")->as_double(), "}");
    }
    Server server(strategy, config, std::vector<float>(uploads[0].size()));
    const std::vector<float> wanted = numbers(*item.Find("expected"), 1);
    ExpectNear(server.Round(uploads, weights), {wanted.begin(), wanted.end()});
    ++cases;
  }
  EXPECT_EQ(cases, 2u);
}

}  // namespace
}  // namespace linnet::testing
