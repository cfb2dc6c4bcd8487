#include "fed/federation.h"

#include <cctype>
#include <fstream>
#include <iterator>

#include "fed/work.h"
#include "gtest/gtest.h"

namespace linnet {
namespace {

Federation Parsed(std::string_view json) {
  auto federation = ParseFederation(json);
  if (federation) return *federation;
  ADD_FAILURE() << federation.error().message << "\n" << json;
  return {};
}

// A small federation with one more section: Small(R"("round": {"cohort": 3})").
std::string Small(std::string_view more) {
  return StrCat(R"({"name": "f", "model": {"builtin": "mlp-2nn"}, )", more, "}");
}

// ---- What is refused, and in which words.

struct Refused {
  std::string name, json, message;
  Code code = Code::kInvalid;
};

class FederationErrorTest : public testing::TestWithParam<Refused> {};

TEST_P(FederationErrorTest, SaysWhatWasFoundAndWhatWasWanted) {
  auto federation = ParseFederation(GetParam().json);
  ASSERT_FALSE(federation);
  EXPECT_EQ(CodeName(federation.error().code), CodeName(GetParam().code));
  EXPECT_EQ(federation.error().message, GetParam().message);
}

const Refused kRefused[] = {
    {"Array", "[]", "the federation: found an array, wanted an object"},
    {"NameMissing", R"({"model": {"builtin": "mlp-2nn"}})",
     "name: missing, wanted 1 to 64 of A-Z a-z 0-9 . _ -"},
    {"NameEmpty", R"({"name": ""})", R"(name: found "", wanted 1 to 64 of A-Z a-z 0-9 . _ -)"},
    {"NameWithSlash", R"({"name": "a/b"})",
     R"(name: found "a/b", wanted 1 to 64 of A-Z a-z 0-9 . _ -)"},
    {"ModelMissing", R"({"name": "f"})",
     "model: found neither of model.builtin and model.file, wanted one of them"},
    {"ModelTwice", R"({"name": "f", "model": {"builtin": "a", "file": "b"}})",
     "model: found both of model.builtin and model.file, wanted one of them"},
    {"SectionIsNumber", Small(R"("round": 10)"), "round: found 10, wanted an object"},
    {"SectionIsNull", Small(R"("train": null)"), "train: found null, wanted an object"},
    {"KeyIsObject", Small(R"("round": {"cohort": {}})"),
     "round.cohort: found an object, wanted an integer in 1..100000"},

    {"UnknownSection", Small(R"("rounds": {"cohort": 3})"),
     "rounds: unknown key; the nearest known one is round (here: name, model, train, data, "
     "strategy, "
     "gate, round, limits, evaluate, upload, privacy, admission)"},
    {"UnknownKey", Small(R"("train": {"learningrate": 0.1})"),
     "train.learningrate: unknown key; the nearest known one is train.learningRate (here: "
     "optimizer, "
     "learningRate, schedule, momentum, beta1, beta2, epsilon, weightDecay, decayWeightsOnly, "
     "clipNorm, clipValue, proximal, batchSize, epochs, maxSteps, personal, "
     "personalEpochs, ditto)"},
    {"UnknownDeepKey", Small(R"("round": {"target": {"metrik": "loss"}})"),
     "round.target.metrik: unknown key; the nearest known one is round.target.metric (here: "
     "metric, "
     "value)"},
    {"KeyInTheWrongPlace", Small(R"("cohort": 10)"),
     "cohort: unknown key; the nearest known one is round.cohort (here: name, model, train, data, "
     "strategy, gate, round, limits, evaluate, upload, privacy, admission)"},
    {"KeyAsPath", Small(R"("round.cohort": 10)"),
     "round.cohort: unknown key; the nearest known one is round.cohort (here: name, model, train, "
     "data, strategy, gate, round, limits, evaluate, upload, privacy, admission)"},
    {"UnknownKeyIsEscaped", Small("\"ro\\nund\": 1"),
     "ro\\nund: unknown key; the nearest known one is round (here: name, model, train, data, "
     "strategy, gate, round, limits, evaluate, upload, privacy, admission)"},

    {"TextForInteger", Small(R"("round": {"cohort": "ten"})"),
     R"(round.cohort: found "ten", wanted an integer in 1..100000)"},
    {"BelowRange", Small(R"("round": {"cohort": -1})"),
     "round.cohort: found -1, wanted an integer in 1..100000"},
    {"FractionForInteger", Small(R"("round": {"cohort": 2.5})"),
     "round.cohort: found 2.5, wanted an integer in 1..100000"},
    {"BeyondInt64", Small(R"("train": {"maxSteps": 99999999999999999999})"),
     "train.maxSteps: found 1e+20, wanted an integer in 0..1000000000"},
    {"NegativeRate", Small(R"("train": {"learningRate": -0.1})"),
     "train.learningRate: found -0.1, wanted a number in 0..1000"},
    {"TextForNumber", Small(R"("train": {"learningRate": "0.1"})"),
     R"(train.learningRate: found "0.1", wanted a number in 0..1000)"},
    {"UnknownOptimizer", Small(R"("train": {"optimizer": "lion"})"),
     R"(train.optimizer: found "lion", wanted one of sgd, momentum, nesterov, adam, adamw)"},
    {"ScheduleIsNoText", Small(R"("train": {"schedule": 3})"),
     "train.schedule: found 3, wanted a text such as cosine:steps=100,end=0.1,by=round"},
    {"UnknownSchedule", Small(R"("train": {"schedule": "cosin"})"),
     "train.schedule: found \"cosin\", wanted constant, step:every=100,factor=0.5, "
     "exponential:every=100,factor=0.9 or "
     "cosine:steps=2000,end=0.1, each also with warmup=N and by=round"},
    {"ScheduleWithoutItsSteps", Small(R"("train": {"schedule": "cosine:by=round"})"),
     "train.schedule: cosine:by=round has no steps; wanted is constant, step:every=100,factor=0.5, "
     "exponential:every=100,factor=0.9 or "
     "cosine:steps=2000,end=0.1, each also with warmup=N and by=round"},
    {"BetaOfOne", Small(R"("train": {"optimizer": "adam", "beta1": 1})"),
     "train.beta1: found 1, wanted a number in 0..0.99999"},
    {"UnknownScale", Small(R"("data": {"scale": "standart"})"),
     R"(data.scale: found "standart", wanted one of none, unit, standard)"},
    {"MeanIsEmpty", Small(R"("data": {"scale": "standard", "mean": []})"),
     "data.mean: found an array, wanted a list of 1 to 64 numbers"},
    {"MeanWithoutDeviation", Small(R"("data": {"scale": "standard", "mean": [1]})"),
     "data.mean, data.deviation: found 1 and 0 values, wanted as many in both"},
    {"MeanWithoutStandard", Small(R"("data": {"mean": [1], "deviation": [2]})"),
     "data.mean: given, but data.scale is not standard"},
    {"DeviationOfZero", Small(R"("data": {"scale": "standard", "mean": [1], "deviation": [0]})"),
     "data.deviation: found a value that is not above 0"},
    {"NumberForFlag", Small(R"("evaluate": {"federated": 1})"),
     "evaluate.federated: found 1, wanted true or false"},
    {"NumberForText", Small(R"("evaluate": {"data": 7})"),
     "evaluate.data: found 7, wanted a text of at most 4096 bytes without control characters"},
    {"ChainIsEmpty", Small(R"("strategy": {"chain": []})"),
     "strategy.chain: found an array, wanted a list: {\"clip\": {\"norm\": N}}, a reducer, a "
     "server "
     "optimizer"},
    {"ChainBesideId", Small(R"("strategy": {"id": "median", "chain": [{"id": "median"}]})"),
     "strategy.chain: found beside strategy.id or strategy.config, wanted one or the other"},
    {"PersonalIsEmptyText", Small(R"("train": {"personal": [""]})"),
     "train.personal: found \"\", wanted at most 8 of \"norm\", names, prefixes with *, each of at "
     "most 48 bytes"},
    {"MaxStepNormIsNegative", Small(R"("strategy": {"maxStepNorm": -1})"),
     "strategy.maxStepNorm: found -1, wanted a number in 0..1e+09"},
    {"ConfigIsArray", Small(R"("strategy": {"config": []})"),
     "strategy.config: found an array, wanted an object"},
    {"OverSelectBelowOne", Small(R"("round": {"overSelect": 0.9})"),
     "round.overSelect: found 0.9, wanted a number in 1..10"},
    {"TooManyExamples", Small(R"("limits": {"maxExamples": 536870912})"),
     "limits.maxExamples: found 536870912, wanted an integer in 1..536870911"},

    {"UnknownMode", Small(R"("round": {"mode": "later"})"),
     R"(round.mode: found "later", wanted one of synchronous, asynchronous)"},
    {"CohortOfAsynchronousRounds", Small(R"("round": {"mode": "asynchronous", "cohort": 5})"),
     "round.cohort: given, but round.mode is asynchronous, which has round.buffer, "
     "round.concurrency and round.maxStaleness"},
    {"BufferOfSynchronousRounds", Small(R"("round": {"buffer": 5})"),
     "round.buffer: given, but round.mode is synchronous, which has round.cohort, round.minimum "
     "and round.overSelect (round.mode \"asynchronous\" has this key)"},
    {"EmptyBuffer", Small(R"("round": {"mode": "asynchronous", "buffer": 0})"),
     "round.buffer: found 0, wanted an integer in 1..100000"},
    {"NegativeStaleness", Small(R"("round": {"mode": "asynchronous", "maxStaleness": -1})"),
     "round.maxStaleness: found -1, wanted an integer in 0..1000000"},
    {"GateBeyondOne", Small(R"("gate": {"maxDrop": 1.5})"),
     "gate.maxDrop: found 1.5, wanted a number in 0..1"},
    {"MinimumAboveCohort", Small(R"("round": {"cohort": 4, "minimum": 5})"),
     "round.minimum: found 5, wanted at most round.cohort, which is 4"},
    {"TargetWithoutValue", Small(R"("round": {"target": {"metric": "loss"}})"),
     "round.target.value: missing, round.target.metric wants one"},
    {"TargetAboveOne", Small(R"("round": {"target": {"value": 97}})"),
     "round.target.value: found 97, wanted an accuracy in 0..1"},
    {"TargetNotMeasured",
     Small(R"("round": {"target": {"value": 0.9}}, "evaluate": {"federated": false})"),
     "round.target: nothing measures it: give evaluate.data or set evaluate.federated to true"},
    {"TokenWithoutFile", Small(R"("admission": {"mode": "token"})"),
     "admission.tokenFile: missing, admission.mode token wants one"},
    {"OpenWithFile", Small(R"("admission": {"tokenFile": "t"})"),
     "admission.tokenFile: given, but admission.mode is open"},

    {"Noise", Small(R"("privacy": {"noiseMultiplier": 1.1})"),
     "privacy.noiseMultiplier: found 1.1, wanted 0: differential privacy and secure aggregation "
     "are "
     "not supported by this version",
     Code::kUnsupported},
    {"Masks", Small(R"("privacy": {"secureAggregation": true})"),
     "privacy.secureAggregation: found true, wanted false: differential privacy and secure "
     "aggregation are not supported by this version",
     Code::kUnsupported},
};

INSTANTIATE_TEST_SUITE_P(Table, FederationErrorTest, testing::ValuesIn(kRefused),
                         [](const auto& row) { return row.param.name; });

TEST(FederationTest, SyntaxErrorsNameTheLine) {
  auto federation = ParseFederation("{\"name\": \"f\",\n \"model\": }");
  ASSERT_FALSE(federation);
  EXPECT_EQ(federation.error().code, Code::kInvalid);
  EXPECT_NE(federation.error().message.find("line 2"), std::string::npos)
      << federation.error().message;
}

TEST(FederationTest, WrongCodecsAreRefusedByTheCodecTable) {
  for (const char* upload : {R"({"codec": "edan"})", R"({"codec": "eden", "bits": 5})",
                             R"({"codec": "f32", "bits": 16})", R"({"bits": 8})"}) {
    auto federation = ParseFederation(Small(StrCat(R"("upload": )", upload)));
    ASSERT_FALSE(federation) << upload;
    EXPECT_TRUE(federation.error().message.starts_with("upload: ")) << federation.error().message;
  }
}

TEST(FederationTest, CapsThatRuinTheExactMeanAreRefused) {
  const auto with = [](const char* abs, const char* examples, int cohort) {
    return ParseFederation(Small(StrCat(R"("limits": {"maxAbs": )", abs, R"(, "maxExamples": )",
                                        examples, R"(}, "round": {"cohort": )", cohort, "}")));
  };
  // ilogb(2^10 * 2^20 * 31) - 50 = -16 is the coarsest grid admitted; with 32 it is -15.
  EXPECT_TRUE(with("1024", "1048576", 31));
  auto refused = with("1024", "1048576", 32);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_TRUE(refused.error().message.starts_with("limits.maxAbs ")) << refused.error().message;
  EXPECT_NE(refused.error().message.find("-15"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(with("1e6", "536870911", 1000));
}

// ---- What is read.

TEST(FederationTest, EverythingButNameAndModelHasADefault) {
  const Federation f = Parsed(R"({"name": "f", "model": {"file": "m.linnet"}})");
  EXPECT_EQ(f.name, "f");
  EXPECT_EQ(f.model.file, "m.linnet");
  EXPECT_EQ(f.model.builtin, "");
  EXPECT_EQ(f.train, TrainSettings());
  EXPECT_EQ(f.scale, Scaling::kUnit);
  EXPECT_EQ(f.strategy.id, "fedavg");
  EXPECT_EQ(f.round.cohort, 10u);
  EXPECT_EQ(f.round.minimum, 8u);
  EXPECT_EQ(f.round.Invited(), 10u);
  EXPECT_FALSE(f.round.target_value);
  EXPECT_TRUE(f.evaluate.federated);
  EXPECT_EQ(f.upload, (CodecSpec{CodecKind::kEden, 1}));
  EXPECT_EQ(f.admission.mode, Federation::Admission::Mode::kOpen);
}

constexpr const char* kFull = R"({
  "admission": {"mode": "token", "tokenFile": "tokens.txt"},
  "upload": {"bits": 3, "codec": "eden"},
  "name": "digits",
  "model": {"builtin": "cnn-small"},
  "train": {"optimizer": "nesterov", "learningRate": 0.05, "momentum": 0.8, "weightDecay": 1e-4,
            "clipNorm": 5, "batchSize": 32, "epochs": 2, "maxSteps": 100, "clipValue": 2,
            "proximal": 0.5, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-6, "decayWeightsOnly": true,
            "schedule": "cosine:steps=50,by=round"},
  "data": {"scale": "standard"},
  "strategy": {"id": "fedadam", "config": {"beta1": 0.9, "deep": {"x": [1]}}},
  "round": {"cohort": 20, "minimum": 15, "overSelect": 1.1, "deadlineMs": 5000, "maxRounds": 7,
            "target": {"metric": "loss", "value": 0.25}},
  "limits": {"maxAbs": 0.5, "maxExamples": 1000},
  "evaluate": {"data": "strokes?writers=1000-1099", "every": 3, "federated": true},
  "privacy": {"clipNorm": 0, "noiseMultiplier": 0.0, "delta": 1e-6, "secureAggregation": false}
})";

TEST(FederationTest, EveryKeyReachesItsField) {
  const Federation f = Parsed(kFull);
  EXPECT_EQ(f.model.builtin, "cnn-small");
  EXPECT_EQ(f.train, (TrainSettings{.optimizer = "nesterov",
                                    .learning_rate = 0.05f,
                                    .momentum = 0.8f,
                                    .weight_decay = 1e-4f,
                                    .clip_norm = 5,
                                    .batch_size = 32,
                                    .epochs = 2,
                                    .max_steps = 100,
                                    .clip_value = 2,
                                    .proximal = 0.5f,
                                    .beta1 = 0.8f,
                                    .beta2 = 0.9f,
                                    .epsilon = 1e-6f,
                                    .decay_weights_only = true,
                                    .schedule = "cosine:steps=50,end=0,by=round"}));
  EXPECT_EQ(f.scale, Scaling::kStandard);
  EXPECT_EQ(f.strategy.id, "fedadam");
  EXPECT_EQ(f.strategy.config.Dump(), R"({"beta1":0.9,"deep":{"x":[1]}})");
  EXPECT_EQ(f.round.cohort, 20u);
  EXPECT_EQ(f.round.minimum, 15u);
  EXPECT_EQ(f.round.over_select, 1.1);
  EXPECT_EQ(f.round.Invited(), 22u);
  EXPECT_EQ(f.round.deadline_ms, 5000u);
  EXPECT_EQ(f.round.max_rounds, 7u);
  EXPECT_EQ(f.round.target_metric, "loss");
  EXPECT_EQ(f.round.target_value, 0.25);
  EXPECT_EQ(f.limits.max_abs, 0.5f);
  EXPECT_EQ(f.limits.max_examples, 1000u);
  EXPECT_EQ(f.evaluate.data, "strokes?writers=1000-1099");
  EXPECT_EQ(f.evaluate.every, 3u);
  EXPECT_TRUE(f.evaluate.federated);
  EXPECT_EQ(f.upload, (CodecSpec{CodecKind::kEden, 3}));
  EXPECT_EQ(f.admission.mode, Federation::Admission::Mode::kToken);
  EXPECT_EQ(f.admission.token_file, "tokens.txt");
}

TEST(FederationTest, DefaultsFollowTheKeysTheyDependOn) {
  struct Row {
    uint32_t cohort, minimum;
  };
  for (const Row row : {Row{1, 1}, Row{2, 2}, Row{3, 3}, Row{5, 4}, Row{8, 7}, Row{100, 80}}) {
    const Federation f = Parsed(Small(StrCat(R"("round": {"cohort": )", row.cohort, "}")));
    EXPECT_EQ(f.round.minimum, row.minimum) << row.cohort;
  }
  EXPECT_FALSE(Parsed(Small(R"("evaluate": {"data": "strokes"})")).evaluate.federated);
  EXPECT_EQ(Parsed(Small(R"("upload": {"codec": "f32"})")).upload,
            (CodecSpec{CodecKind::kF32, 32}));
  EXPECT_EQ(Parsed(Small(R"("upload": {"codec": "bf16"})")).upload,
            (CodecSpec{CodecKind::kBf16, 16}));
  EXPECT_EQ(Parsed(Small(R"("upload": {"codec": "int8"})")).upload,
            (CodecSpec{CodecKind::kInt8, 8}));
  EXPECT_EQ(Parsed(Small(R"("upload": {"bits": 2})")).upload, (CodecSpec{CodecKind::kEden, 2}));
}

TEST(FederationTest, InvitedIsRoundedUpButNotByABinaryFraction) {
  struct Row {
    uint32_t cohort;
    double over_select;
    uint32_t invited;
  };
  for (const Row row : {Row{10, 1, 10}, Row{10, 1.2, 12}, Row{9, 1.2, 11}, Row{100, 1.1, 110},
                        Row{1, 1.01, 2}, Row{100000, 10, 1000000}}) {
    const Federation::Round round{.cohort = row.cohort, .over_select = row.over_select};
    EXPECT_EQ(round.Invited(), row.invited) << row.cohort << " * " << row.over_select;
  }
}

// ---- What is written.

TEST(FederationTest, TheCanonicalFileHasEveryDefaultAndReadsAsTheSame) {
  const Json json = FederationToJson(Parsed(R"({"name": "f", "model": {"builtin": "mlp-2nn"}})"));
  EXPECT_EQ(
      json.Dump(),
      R"({"name":"f","model":{"builtin":"mlp-2nn"},"train":{"optimizer":"sgd",)"
      R"("learningRate":0.1,"momentum":0.9,"beta1":0.9,"beta2":0.999,"epsilon":1e-08,)"
      R"("weightDecay":0.0,"decayWeightsOnly":false,"clipNorm":0.0,"clipValue":0.0,)"
      R"("proximal":0.0,"batchSize":10,)"
      R"("epochs":1,"maxSteps":0},"data":{"scale":"unit"},"strategy":{"id":"fedavg",)"
      R"("config":{},"maxStepNorm":0.0},"round":{"mode":"synchronous","cohort":10,"minimum":8,"overSelect":1.0,"deadlineMs":60000,"intervalMs":0,)"
      R"("maxRounds":200},"limits":{"maxAbs":64.0,"maxExamples":65536},"evaluate":{"every":1,)"
      R"("federated":true},"upload":{"codec":"eden","bits":1},"privacy":{"clipNorm":0,)"
      R"("noiseMultiplier":0,"delta":1e-06,"secureAggregation":false},)"
      R"("admission":{"mode":"open"}})");
  for (const std::string& text : {json.Dump(), std::string(kFull)}) {
    const std::string canonical = FederationToJson(Parsed(text)).Dump();
    EXPECT_EQ(FederationToJson(Parsed(canonical)).Dump(), canonical);
  }
}

TEST(FederationTest, AScheduleByRoundIsAppliedByTheCoordinatorAndOneByStepIsPassedOn) {
  const TrainSettings by_round{.learning_rate = 0.5f,
                               .schedule = "step:every=2,factor=0.5,by=round"};
  for (const auto& [round, rate] : {std::pair{1, 0.5f}, {2, 0.5f}, {3, 0.25f}, {5, 0.125f}}) {
    const TrainSettings told = TrainOfRound(by_round, uint64_t(round));
    EXPECT_EQ(told.learning_rate, rate) << round;
    EXPECT_EQ(told.schedule, "");
  }
  const TrainSettings by_step{.learning_rate = 0.5f, .schedule = "step:every=2,factor=0.5"};
  EXPECT_EQ(TrainOfRound(by_step, 9), by_step);
  EXPECT_EQ(MakeTrainOptions(by_step).value().schedule,
            (Schedule{.kind = Schedule::Kind::kStep, .steps = 2, .factor = 0.5f}));
}

TEST(FederationTest, AsynchronousRoundsHaveKeysOfTheirOwn) {
  const Federation f = Parsed(Small(
      R"("round": {"mode": "asynchronous", "buffer": 4, "maxStaleness": 3}, "gate": {"maxDrop": 0.1})"));
  EXPECT_TRUE(f.round.asynchronous());
  EXPECT_EQ(f.round.cohort, 4u) << "the buffer's updates are its cohort";
  EXPECT_EQ(f.round.Invited(), 4u) << "and no more are in a sum";
  EXPECT_EQ(f.gate.max_drop, 0.1);
  const Json json = FederationToJson(f);
  EXPECT_EQ(json.Find("round")->Dump(),
            R"({"mode":"asynchronous","buffer":4,"concurrency":20,"maxStaleness":3,)"
            R"("deadlineMs":60000,"maxRounds":200})");
  EXPECT_EQ(json.Find("gate")->Dump(), R"({"maxDrop":0.1})");
  EXPECT_EQ(FederationToJson(Parsed(json.Dump())).Dump(), json.Dump());
}

TEST(FederationTest, ParticipantsSeeWhatTheyNeedAndNothingOfTheServer) {
  Federation f = Parsed(kFull);
  f.model = {.builtin = "", .file = "/home/me/models/start.linnet"};
  const Json shown = PublicFederation(f);
  EXPECT_EQ(
      shown.Dump(),
      R"({"name":"digits","model":{"file":"start.linnet"},"train":{"optimizer":"nesterov",)"
      R"("learningRate":0.05,"schedule":"cosine:steps=50,end=0,by=round","momentum":0.8,)"
      R"("beta1":0.8,"beta2":0.9,"epsilon":1e-06,"weightDecay":0.0001,"decayWeightsOnly":true,)"
      R"("clipNorm":5.0,"clipValue":2.0,"proximal":0.5,)"
      R"("batchSize":32,"epochs":2,"maxSteps":100},"data":{"scale":"standard"},)"
      R"("strategy":{"id":"fedadam"},"round":{"mode":"synchronous","cohort":20,"minimum":15,"overSelect":1.1,)"
      R"("deadlineMs":5000,"intervalMs":0,"maxRounds":7,"target":{"metric":"loss","value":0.25}},)"
      R"("limits":{"maxAbs":0.5,"maxExamples":1000},"upload":{"codec":"eden","bits":3}})");
  const Federation read = Parsed(shown.Dump());
  EXPECT_EQ(read.scale, Scaling::kStandard);
  EXPECT_EQ(PublicFederation(read).Dump(), shown.Dump());
}

TEST(FederationTest, TheLongestPublicFederationFitsAWelcome) {
  Federation f = Parsed(kFull);
  f.name = std::string(64, 'n');
  f.model = {.builtin = "", .file = std::string(1024, '"')};
  f.strategy.id = std::string(128, '\\');
  f.scale = Scaling::kStandard;
  f.personal.assign(8, std::string(48, '"'));
  f.mean.assign(64, -1.2345678e-30f);
  f.deviation.assign(64, 1.2345678e-30f);
  const std::string shown = PublicFederation(f).Dump();
  Parsed(shown);
  EXPECT_LE(shown.size(), kMaxText);
}

TEST(FederationTest, HelpNamesEveryKeyOfTheCanonicalFile) {
  const std::string help = FederationHelp();
  const Json json = FederationToJson(Parsed(kFull));
  for (const auto& [section, member] : json.as_object()) {
    if (!member.is_object()) {
      EXPECT_NE(help.find("\n" + section + " "), std::string::npos) << section;
      continue;
    }
    for (const auto& [word, value] : member.as_object()) {
      const std::string path =
          StrCat("\n", section, ".", word, value.is_object() && word == "target" ? "." : " ");
      EXPECT_NE(help.find(path), std::string::npos) << path;
    }
  }
  EXPECT_NE(help.find("an integer in 1..100000"), std::string::npos);
}

// ---- The example files

TEST(FederationTest, TheExamplesParse) {
  for (const char* name :
       {"demo", "strokes", "mnist", "mnist-noniid", "csv", "fedavgm", "fedadam", "cnn"}) {
    SCOPED_TRACE(name);
    std::ifstream file(StrCat(LINNET_SOURCE_DIR "/native/examples/", name, ".json"));
    ASSERT_TRUE(file.good());
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    EXPECT_EQ(Parsed(text).name, name);
  }
}

}  // namespace
}  // namespace linnet
