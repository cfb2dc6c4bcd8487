// What each strategy computes: other people's numbers (adap/flower@fdef7afb and the papers), the
// micro-cases of two quadratics, and hand-derived ones with their derivation.
#include <cmath>
#include <functional>

#include "abi/federation.h"

namespace linnet::testing {
namespace {

template <typename T>
std::vector<Upload<T>> Uploads(const std::vector<std::vector<T>>& models) {
  std::vector<Upload<T>> uploads;
  for (const auto& y : models) uploads.push_back({.y = y});
  return uploads;
}

void ExpectNear(const std::vector<float>& found, const std::vector<double>& wanted,
                double tolerance = 1e-6) {
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], wanted[i], tolerance) << i;
}

// ---- The FedOpt family

TEST(FedAdagradTest, IsTheStepOfFlowersTest) {
  // D = .5, v = .25: .1 + .1 * .5 / (.5 + .5).
  Federation<float> server("fedadagrad", R"({"serverLearningRate":0.1,"tau":0.5})", {0.1f, 0.1f});
  ExpectNear(server.Round(Uploads<float>({{0.2f, 0.2f}, {1, 1}})), {0.15, 0.15});
  // The same D: v = .5.
  const float w = server.model()[0];
  ExpectNear(server.Round(Uploads<float>({{w + 0.5f, w + 0.5f}})),
             std::vector<double>(2, w + 0.1 * 0.5 / (std::sqrt(0.5) + 0.5)));
}

TEST(FedYogiTest, IsTheAlgorithmOfThePaper) {
  // D = .5, m = .05, v = 0 + .01 * .25: .1 + .01 * .05 / (.05 + .001).
  Federation<float> server("fedyogi", "{}", {0.1f});
  ExpectNear(server.Round(Uploads<float>({{0.2f}, {1}})), {0.10980392157});
  // D = .01: D^2 = .0001 is below v = .0025, so v falls to .0025 - .01 * .0001 = .002499;
  // m = .9 * .05 + .1 * .01 = .046.
  const float w = server.model()[0];
  ExpectNear(server.Round(Uploads<float>({{w + 0.01f}})),
             {w + 0.01 * 0.046 / (std::sqrt(0.002499) + 0.001)});
}

TEST(FedOptTest, AnUploadOfAnotherShapeIsRefused) {
  for (const char* id : {"fedadagrad", "fedadam", "fedyogi"}) {
    Federation<float> server(id, "{}", {0, 0, 0});
    EXPECT_EQ(server.Try({{.y = {1, 2}}}), LNT_E_STATE) << id << ": no broadcasting";
  }
}

// ---- Two participants with f_k(w) = h_k / 2 (w - a_k)^2, rate .1, equal weights, from 0: h = (1,
// 4), a = (0, 1). The participant's side is played here.

struct Quadratic {
  double h, a;
  double Gradient(double y) const { return h * (y - a); }
};
constexpr Quadratic kPair[] = {{1, 0}, {4, 1}};
constexpr double kRate = 0.1;

// The participants' memory between rounds, and how each of them trains.
template <typename T>
struct Site {
  double c[2] = {0, 0};  // control variates, or FedDyn's h_k
  bool correct = true;   // false: the participant's side of the strategy is switched off
  Upload<T> Sgd(const Quadratic& f, double w, int steps) const {
    double y = w;
    for (int i = 0; i < steps; ++i) y -= kRate * f.Gradient(y);
    return {.y = {static_cast<T>(y)}, .extra = correct ? double(steps) : 1.0};
  }
  Upload<T> Prox(const Quadratic& f, double w, int steps) const {
    double y = w;
    const double mu = correct ? 1 : 0;
    for (int i = 0; i < steps; ++i) y -= kRate * (f.Gradient(y) + mu * (y - w));
    return {.y = {static_cast<T>(y)}};
  }
  Upload<T> Scaffold(int k, double w, int steps, double c_all) {
    if (!correct) {
      Upload<T> plain = Sgd(kPair[k], w, steps);
      plain.control = {T{0}};
      return plain;
    }
    double y = w;
    for (int i = 0; i < steps; ++i) y -= kRate * (kPair[k].Gradient(y) - c[k] + c_all);
    const double next = c[k] - c_all + (w - y) / (steps * kRate);
    Upload<T> upload = {.y = {static_cast<T>(y)}, .control = {static_cast<T>(next - c[k])}};
    c[k] = next;
    return upload;
  }
  Upload<T> Dyn(int k, double w, int steps) {
    if (!correct) return Sgd(kPair[k], w, steps);
    double y = w;
    for (int i = 0; i < steps; ++i) y -= kRate * (kPair[k].Gradient(y) - c[k] + (y - w));
    c[k] -= y - w;
    return {.y = {static_cast<T>(y)}};
  }
};

struct MicroCase {
  std::string name, id, config;
  int steps[2];
  std::vector<double> rounds;  // 1, 2, 3
  double limit;                // NaN: not asked for
};
void PrintTo(const MicroCase& row, std::ostream* to) { *to << row.name; }
const MicroCase kMicroCases[] = {
    {"FedAvg22", "fedavg", "{}", {2, 2}, {0.32, 0.5072, 0.616712}, 0.7710843373},
    {"FedAvg55", "fedavg", "{}", {5, 5}, {0.46112, 0.61519172, 0.666670933445}, 0.6925023465},
    {"FedProx22", "fedprox", R"({"mu":1})", {2, 2}, {0.3, 0.483, 0.59463}, 0.7692307692},
    {"FedAvg25", "fedavg", "{}", {2, 5}, {0.46112, 0.6658019456, 0.756656167613}, 0.8291735597},
    {"FedNova25",
     "fednova",
     "{}",
     {2, 5},
     {0.322784, 0.487715649344, 0.571990114483},
     0.6600440869},
    {"Scaffold22", "scaffold", "{}", {2, 2}, {0.32, 0.5312, 0.652352}, 0.8},
    {"Scaffold55", "scaffold", "{}", {5, 5}, {0.46112, 0.697709144, 0.785305408756}, 0.8},
    {"FedDyn22", "feddyn", R"({"alpha":1})", {2, 2}, {0.6, 0.942, 1.03518}, 0.8},
};

// The model after each round.
template <typename T>
std::vector<double> Play(const MicroCase& row, int rounds, bool correct) {
  Federation<T> server(row.id, row.config, {T{0}}, 2, 1);
  Site<T> site;
  site.correct = correct;
  std::vector<double> models;
  for (int round = 0; round < rounds; ++round) {
    const double w = static_cast<double>(server.model()[0]);
    const double c_all = row.id == "scaffold" ? server.StateVector()[0] / 2 : 0;
    std::vector<Upload<T>> uploads;
    for (int k = 0; k < 2; ++k) {
      uploads.push_back(row.id == "fedprox"    ? site.Prox(kPair[k], w, row.steps[k])
                        : row.id == "scaffold" ? site.Scaffold(k, w, row.steps[k], c_all)
                        : row.id == "feddyn"   ? site.Dyn(k, w, row.steps[k])
                                               : site.Sgd(kPair[k], w, row.steps[k]));
    }
    models.push_back(static_cast<double>(server.Round(uploads)[0]));
  }
  return models;
}

class MicroCaseTest : public ::testing::TestWithParam<MicroCase> {};
INSTANTIATE_TEST_SUITE_P(TwoQuadratics, MicroCaseTest, ::testing::ValuesIn(kMicroCases),
                         [](const auto& row) { return row.param.name; });

TEST_P(MicroCaseTest, HoldsTo1e9InALayoutOfF64) {
  const MicroCase& row = GetParam();
  const std::vector<double> models = Play<double>(row, 400, true);
  for (size_t i = 0; i < row.rounds.size(); ++i) EXPECT_NEAR(models[i], row.rounds[i], 1e-9) << i;
  EXPECT_NEAR(models.back(), row.limit, 1e-9);
}

TEST_P(MicroCaseTest, HoldsTo1e6ThroughF32) {
  const MicroCase& row = GetParam();
  const std::vector<double> models = Play<float>(row, 3, true);
  for (size_t i = 0; i < row.rounds.size(); ++i) EXPECT_NEAR(models[i], row.rounds[i], 1e-6) << i;
}

TEST_P(MicroCaseTest, FailsWithoutTheParticipantsSide) {
  const MicroCase& row = GetParam();
  if (row.id == "fedavg") GTEST_SKIP() << "fedavg has no side of its own at the participant";
  EXPECT_GT(std::fabs(Play<double>(row, 3, false)[2] - row.rounds[2]), 1e-3);
}

TEST(FedNovaTest, RemovesMostOfTheBiasOfUnequalSteps) {
  // h = (1, 1), steps (2, 5): the optimum is .5; FedNova ends at .4629795028, FedAvg at
  // .6830745109.
  for (const auto& [id, limit] : {std::pair{"fednova", 0.4629795028}, {"fedavg", 0.6830745109}}) {
    Federation<double> server(id, "{}", {0}, 2, 1);
    const Site<double> site;
    for (int round = 0; round < 400; ++round) {
      const double w = server.model()[0];
      server.Round({site.Sgd({1, 0}, w, 2), site.Sgd({1, 1}, w, 5)});
    }
    EXPECT_NEAR(server.model()[0], limit, 1e-9) << id;
  }
}

TEST(FedNovaTest, RefusesStepsThatNobodyTakes) {
  Federation<float> server("fednova", R"({"maxSteps":50})", {0});
  for (const double a : {0.0, 0.5, 51.0, std::nan(""), HUGE_VAL, -3.0}) {
    EXPECT_EQ(server.Try({{.y = {1}, .extra = a}}), LNT_E_DATA) << a;
    EXPECT_NE(server.error().find("wanted 1 to 50"), std::string::npos) << server.error();
  }
}

TEST(FedDynTest, TheExactLocalSolutionEndsAtOnce) {
  // alpha 1: y = argmin f_k(y) - h_k y + 1/2 (y - w)^2 = (h a + h_k + w) / (h + 1).
  Federation<double> server("feddyn", R"({"alpha":1})", {0}, 2);
  server.Round({{.y = {0.0}}, {.y = {4.0 / 5}}});
  EXPECT_NEAR(server.model()[0], 0.8, 1e-9);
}

TEST(ScaffoldTest, ControlsAreTheMeanOverAllParticipantsNotTheCohort) {
  // The state is the sum.
  // 2 of 10 send dc = 1 and 3: c = (1 + 3) / 10; then one of 10 sends 5: c = .9.
  Federation<float> server("scaffold", "{}", {0, 0}, 10);
  server.Round({{.y = {1, 1}, .weight = 5, .control = {1, 10}},
                {.y = {3, 3}, .weight = 1, .control = {3, 30}}});
  EXPECT_EQ(server.model(), (std::vector<float>{2, 2})) << "the plain mean";
  EXPECT_EQ(server.StateVector(), (std::vector<double>{4, 40}));
  server.Round({{.y = {2, 2}, .control = {5, 50}}});
  EXPECT_EQ(server.StateVector()[0], 9);
  const Bytes downlink = server.Blob(LNT_BLOB_DOWNLINK);
  ASSERT_EQ(downlink.size(), 8u);
  EXPECT_FLOAT_EQ(LoadLE<float>(downlink.data() + 4), 9);
}

TEST(ScaffoldTest, ControlsStayTheMeanWhenParticipantsJoinAndWhenNotAllAreKnownYet) {
  Federation<float> server("scaffold", "{}", {0}, 4);
  const auto c = [&] { return LoadLE<float>(server.Blob(LNT_BLOB_DOWNLINK).data()); };
  server.Round({{.y = {1}, .control = {8}}});
  EXPECT_EQ(c(), 2);
  server.set_population(8);
  server.Round({{.y = {1}, .control = {8}}});
  EXPECT_EQ(c(), 2);
  server.set_population(1);
  server.Round({{.y = {1}, .control = {8}}});
  EXPECT_EQ(c(), 3);
}

TEST(ScaffoldTest, RefusesMoreUpdatesThanThereAreParticipants) {
  for (const char* id : {"scaffold", "feddyn"}) {
    Federation<float> server(id, "{}", {0}, 1);
    EXPECT_EQ(server.Try({{.y = {1}, .control = {0}}, {.y = {1}, .control = {0}}}), LNT_E_DATA);
    EXPECT_NE(server.error().find("a population of 1"), std::string::npos) << server.error();
  }
}

TEST(ClientSettingsTest, SayHowParticipantsTrain) {
  const struct {
    const char *id, *config, *settings;
  } rows[] = {{"fedprox", R"({"mu":0.25})", R"({"mu":0.25,"client":"prox"})"},
              {"feddyn", R"({"alpha":0.5})", R"({"alpha":0.5,"client":"dyn"})"},
              {"fedavg", "{}", ""}};
  for (const auto& row : rows) {
    Federation<float> server(row.id, row.config, {0}, 4);
    const Bytes settings = server.Blob(LNT_BLOB_CLIENT);
    EXPECT_EQ(std::string(AsText(settings)), row.settings);
  }
}

// ---- Weights that are no integers

TEST(FedBuffTest, OlderUpdatesWeighLess) {
  // 1 at age 0 and .5 at age 3, which weighs 1 / sqrt 4: (1 + .25) / 2.
  Federation<float> server("fedbuff", R"({"bufferSize":2})", {0});
  EXPECT_EQ(server.Try({{.y = {1}, .weight = 9}, {.y = {0.5f}, .age = 3}}), LNT_FLUSH);
  EXPECT_EQ(server.Finish(), (std::vector<float>{0.625f}));
}

TEST(FedBuffTest, TheDivisorIsWhatWasFolded) {
  Federation<float> server("fedbuff", R"({"bufferSize":10,"serverLearningRate":2})", {0});
  EXPECT_EQ(server.Try({{.y = {1}}, {.y = {2}}, {.y = {6}}}), LNT_OK) << "not full";
  EXPECT_EQ(server.Finish(), (std::vector<float>{6}));
}

TEST(FedBuffTest, RefusesUpdatesBeyondTheAgeLimitAndFromTheFuture) {
  for (const int age : {4, -1}) {
    Federation<float> server("fedbuff", R"({"maxAge":3})", {0});
    EXPECT_EQ(server.Try({{.y = {1}, .age = age}}), LNT_E_DATA);
    EXPECT_NE(server.error().find("wanted an age of 0 to 3"), std::string::npos) << server.error();
  }
}

TEST(QFedAvgTest, IsTheStepOfFlowersInputs) {
  // q .1, rate .1, w 1, uploads .5 (loss 2) and 0 (loss 1): u = L (w - y) = 5 and 10.
  // F^q = 1.0717734625, 1; numerator 5 * 1.0717734625 + 10 = 15.3588673126;
  // h = .1 * 2^-.9 * 25 + 10 * 1.0717734625 = 12.0574514531, .1 * 100 + 10 = 20.
  Federation<float> server("qfedavg", R"({"q":0.1,"learningRate":0.1})", {1});
  server.Round({{.y = {0.5f}, .loss = 2}, {.y = {0}, .loss = 1}});
  ExpectNear(server.model(), {0.52089556041});
}

TEST(QFedAvgTest, WithoutQIsThePlainMean) {
  Federation<float> server("qfedavg", R"({"q":0})", {0});
  ExpectNear(server.Round({{.y = {1}, .weight = 100, .loss = 5}, {.y = {4}, .loss = 1}}), {2.5});
}

TEST(QFedAvgTest, RefusesUnknownLosses) {
  Federation<float> server("qfedavg", "{}", {0});
  for (const double loss : {std::nan(""), -1.0}) {
    EXPECT_EQ(server.Try({{.y = {1}, .loss = loss}}), LNT_E_DATA);
    EXPECT_NE(server.error().find("no loss"), std::string::npos) << server.error();
  }
}

TEST(NormClipTest, ScalesLongUpdatesToTheNorm) {
  // (3, 4) has norm 5 and becomes (.6, .8); (0, .5) stays; examples do not count.
  Federation<float> server("norm-clip", "{}", {0, 0});
  ExpectNear(server.Round({{.y = {3, 4}, .weight = 1000}, {.y = {0, 0.5f}}}), {0.3, 0.65});
  EXPECT_EQ(server.metrics(), R"({"updates":2,"clipNorm":1.000000,"clipped":0.500000})");
}

TEST(NormClipTest, FollowsAQuantileOfTheNorms) {
  // google-parfait/tensorflow-federated quantile_test.py: geometric, rate ln 2.
  const struct {
    const char* config;
    std::vector<float> norms;
    std::vector<double> clips;
  } rows[] = {{R"({"adaptive":true,"clipNorm":16,"quantile":0,"rate":0.6931471805599453})",
               {5, 2.5f},
               {8, 4, 2.8284271247461903, 2, 2}},
              {R"({"adaptive":true,"clipNorm":0.5,"quantile":1,"rate":0.6931471805599453})",
               {1.5f, 3},
               {1, 2, 2.8284271247461903, 4, 4}}};
  for (const auto& row : rows) {
    Federation<float> server("norm-clip", row.config, {0});
    for (const double wanted : row.clips) {
      const float w = server.model()[0];
      server.Round({{.y = {w + row.norms[0]}}, {.y = {w + row.norms[1]}}});
      const Bytes state = server.Blob(LNT_BLOB_STATE);
      EXPECT_NEAR(LoadLE<double>(state.data() + 24), wanted, 1e-6);
    }
  }
}

// ---- Rules that look at all updates

TEST(MedianTest, IsTheMedianOfFlowersRows) {
  Federation<float> rows("median", "{}", {0, 0, 0, 0});
  ExpectNear(rows.Round(Uploads<float>(
                 {{1, 0.2f, 0.5f, 1}, {0.2f, 0.5f, 1, 0.2f}, {0.5f, 1, 0.2f, 0.5f}})),
             {0.5, 0.5, 0.5, 0.5});
  Federation<float> scalars("median", "{}", {0});
  ExpectNear(scalars.Round(Uploads<float>({{1}, {3}, {2}})), {2});
  Federation<float> even("median", "{}", {0});
  ExpectNear(even.Round(Uploads<float>({{1}, {30}, {2}, {-7}})), {1.5});
  Federation<float> one("median", "{}", {1});
  ExpectNear(one.Round(Uploads<float>({{4}})), {4});
}

TEST(TrimmedMeanTest, CutsWholeUpdatesAtBothEnds) {
  Federation<float> flower("trimmed-mean", R"({"beta":0.25})", {0});
  ExpectNear(flower.Round(Uploads<float>({{0.5f}, {1}, {2}, {100}})), {1.5});
  // floor(.2 * 9) = 1 of -100, 1, 2, ..., 7, 100.
  Federation<float> nine("trimmed-mean", R"({"beta":0.2})", {0});
  ExpectNear(nine.Round(Uploads<float>({{-100}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {100}})), {4});
  // .29 of 100 is 29: of 0, ..., 99 remain 29, ..., 70, and with 28 cut the outlier would count.
  Federation<float> hundred("trimmed-mean", R"({"beta":0.29})", {0});
  std::vector<std::vector<float>> uploads;
  for (int i = 0; i < 100; ++i) uploads.push_back({i < 71 ? float(i) : 1e6f});
  ExpectNear(hundred.Round(Uploads(uploads)), {49.5});
}

TEST(KrumTest, TakesTheUploadNearestToItsNeighboursAndTiesByOrdinal) {
  Federation<float> flower("krum", R"({"hostile":1,"allowFew":true})", {0, 0, 0, 0});
  ExpectNear(flower.Round(Uploads<float>(
                 {{0.2f, 0.2f, 0.2f, 0.2f}, {0.7f, 0.7f, 0.7f, 0.7f}, {1, 1, 1, 1}})),
             {0.7, 0.7, 0.7, 0.7});
  // n 7, f 2: the 3 nearest. 0: 1 + 4 + 9; 1, 2, 3: 1 + 1 + 4; 4: 1 + 4 + 9. The first of 1, 2, 3
  // wins.
  Federation<float> first("krum", R"({"hostile":2})", {0});
  ExpectNear(first.Round(Uploads<float>({{3}, {0}, {1}, {2}, {4}, {100}, {101}})), {3});
  Federation<float> second("krum", R"({"hostile":2})", {0});
  ExpectNear(second.Round(Uploads<float>({{101}, {4}, {2}, {100}, {1}, {0}, {3}})), {2});
  EXPECT_EQ(second.metrics(), R"({"updates":7,"chosen":1,"ordinal":2})");
}

TEST(MultiKrumTest, IsTheMeanOfTheLowestScores) {
  Federation<float> flower("multi-krum", R"({"hostile":1,"keep":2,"allowFew":true})", {0});
  ExpectNear(flower.Round(Uploads<float>({{0.2f}, {0.5f}, {1}})), {0.35});
  // The scores of KrumTest: 0 to 4 are kept.
  Federation<float> all("multi-krum", R"({"hostile":2})", {0});
  ExpectNear(all.Round(Uploads<float>({{3}, {0}, {1}, {2}, {4}, {100}, {101}})), {2});
  // f 0 and keep 0 is the mean.
  Federation<float> mean("multi-krum", "{}", {0});
  ExpectNear(mean.Round(Uploads<float>({{3}, {0}, {6}})), {3});
}

TEST(BulyanTest, ReselectsAndJoinsWhatIsNearTheMedian) {
  Federation<float> flower("bulyan", "{}", {0});
  ExpectNear(flower.Round(Uploads<float>({{0.2f}, {0.5f}, {0.7f}, {12}, {0.1f}, {0.1f}})),
             {2.2666666666666666});
  // 0, ..., 5, 100 and f 1: Krum takes 2 (10 = 3's), then 3 (9), 1 (10 = 4's), 4 (1 = 5's),
  // 0 (25 = 5's). Of 0, 1, 2, 3, 4 the 5 - 2 nearest to 2 are 1, 2, 3.
  Federation<float> seven("bulyan", R"({"hostile":1})", {0});
  ExpectNear(seven.Round(Uploads<float>({{0}, {1}, {2}, {3}, {4}, {5}, {100}})), {2});
}

TEST(GeometricMedianTest, GoesFromTheMeanToThePointOfLeastDistances) {
  // 0, 0, 3: from the mean 1, b = 1, 1, 1/2: z = 1.5 / 2.5.
  Federation<float> once("geometric-median", R"({"passes":1})", {0});
  ExpectNear(once.Round(Uploads<float>({{0}, {0}, {3}})), {0.6});
  // From .6: b = 1 / .6, 1 / .6, 1 / 2.4: z = 1.25 / 3.75.
  Federation<float> twice("geometric-median", R"({"passes":2})", {0});
  ExpectNear(twice.Round(Uploads<float>({{0}, {0}, {3}})), {1.0 / 3});
  // On a line it is the median; in an equilateral triangle the middle.
  Federation<float> line("geometric-median", R"({"passes":1000,"nu":1e-9})", {0});
  ExpectNear(line.Round(Uploads<float>({{0}, {1}, {50}})), {1}, 1e-3);
  Federation<float> triangle("geometric-median", "{}", {0, 0});
  ExpectNear(triangle.Round(Uploads<float>({{0, 0}, {2, 0}, {1, 1.7320508f}})), {1, 0.57735027});
  // By examples: the mean of 0 (weight 3) and 4 is 1: b = 3, 1/3, z = 4/3 / (10/3).
  Federation<float> weighted("geometric-median", R"({"passes":1,"weighted":true})", {0});
  ExpectNear(weighted.Round({{.y = {0}, .weight = 3}, {.y = {4}, .weight = 1}}), {0.4});
}

TEST(CenteredClippingTest, MovesThePreviousAggregateByClippedDifferences) {
  // T 1, deltas .5 and 3 from v 0: v = (.5 + 1) / 2 = .75; then -.25 and +1: v = 1.125.
  Federation<float> server("centered-clipping", R"({"radius":1})", {10});
  ExpectNear(server.Round(Uploads<float>({{10.5f}, {13}})), {10.75});
  ExpectNear(server.Round(Uploads<float>({{11.25f}, {13.75f}})), {11.875});
  // Two passes in one round are the same two steps.
  Federation<float> twice("centered-clipping", R"({"radius":1,"passes":2})", {10});
  ExpectNear(twice.Round(Uploads<float>({{10.5f}, {13}})), {11.125});
  // With a radius that reaches everything it is the mean.
  Federation<float> wide("centered-clipping", R"({"radius":1000})", {0, 0});
  ExpectNear(wide.Round(Uploads<float>({{1, 2}, {3, 8}})), {2, 5});
}

TEST(RobustRulesTest, RefuseCohortsThatAreTooSmall) {
  const struct {
    const char *id, *config;
    size_t wanted;
  } rows[] = {{"median", R"({"hostile":3})", 7},
              {"geometric-median", R"({"hostile":2})", 5},
              {"krum", R"({"hostile":3})", 9},
              {"multi-krum", R"({"hostile":3})", 9},
              {"multi-krum", R"({"hostile":1,"keep":9})", 10},
              {"bulyan", R"({"hostile":2})", 11},
              {"krum", "{}", 3},
              {"centered-clipping", "{}", 1}};
  for (const auto& row : rows) {
    Federation<float> server(row.id, row.config, {0});
    std::vector<Upload<float>> uploads(row.wanted - 1, {.y = {1}});
    EXPECT_EQ(server.Try(uploads), LNT_E_TOO_FEW) << row.id;
    EXPECT_NE(server.error().find(
                  StrCat("found ", row.wanted - 1, " updates, wanted at least ", row.wanted)),
              std::string::npos)
        << server.error();
    uploads.push_back({.y = {1}});
    EXPECT_EQ(server.Try(uploads), LNT_OK) << row.id;
  }
}

TEST(RobustRulesTest, RefuseWhatIsNotFinite) {
  for (const char* id : {"median", "trimmed-mean", "krum", "multi-krum", "bulyan",
                         "geometric-median", "centered-clipping"}) {
    for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
      Federation<float> server(id, "{}", {0, 0});
      EXPECT_EQ(server.Try(Uploads<float>({{1, 1}, {1, value}, {1, 1}})), LNT_E_DATA) << id;
      EXPECT_NE(server.error().find("update 1"), std::string::npos) << server.error();
    }
  }
}

TEST(RobustRulesTest, HoldAgainstOneUploadThatTheMeanDoesNot) {
  std::vector<std::vector<float>> uploads;
  for (int i = 0; i < 8; ++i) uploads.push_back({1 + 0.01f * float(i), 2 - 0.01f * float(i)});
  uploads.push_back({-1e6f, 1e6f});
  for (const auto& [id, config] : {std::pair{"median", R"({"hostile":1})"},
                                   {"trimmed-mean", R"({"beta":0.2})"},
                                   {"krum", R"({"hostile":1})"},
                                   {"multi-krum", R"({"hostile":1})"},
                                   {"bulyan", R"({"hostile":1})"},
                                   {"geometric-median", R"({"hostile":1,"passes":200})"},
                                   {"norm-clip", R"({"clipNorm":2.3})"}}) {
    Federation<float> server(id, config, {0, 0});
    ExpectNear(server.Round(Uploads(uploads)), {1.03, 1.97}, 0.5);
  }
  Federation<float> mean("fedavg", "{}", {0, 0});
  EXPECT_LT(mean.Round(Uploads(uploads))[0], -1e5f);
}

// ---- All of them

TEST(ConfigurationTest, EveryFieldOutOfItsRangeIsRefusedByNameValueAndRange) {
  size_t fields = 0;
  for (const BuiltinPlugin& plugin : BuiltinPlugins()) {
    const PluginEntry entry = EntryOf(plugin.name);
    const Json& schema = *entry.description.Find("config");
    for (const auto& [name, field] : schema.Find("properties")->as_object()) {
      EXPECT_NE(field.Find("default"), nullptr) << plugin.name << "." << name;
      const bool number = field.Find("type")->as_string() != "boolean";
      std::vector<Json> bad = {Json("text"), Json(Json::Array{})};
      if (number) {
        bad.push_back(Json(field.Find("minimum")->as_double() - 1));
        bad.push_back(Json(field.Find("maximum")->as_double() + 1));
      }
      for (const Json& value : bad) {
        const auto checked =
            CheckConfig(schema, Json(Json::Object{{name, value}}), "strategy.config");
        ASSERT_FALSE(checked) << plugin.name << "." << name << " " << value.Dump();
        const std::string& message = checked.error().message;
        EXPECT_TRUE(
            message.contains("strategy.config." + name + " is " + value.Dump() + ", wanted"))
            << message;
        if (number) EXPECT_TRUE(message.contains(field.Find("maximum")->Dump())) << message;
        ++fields;
      }
    }
  }
  EXPECT_GT(fields, 80u);
}

}  // namespace
}  // namespace linnet::testing
