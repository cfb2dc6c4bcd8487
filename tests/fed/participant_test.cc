#include "fed/participant.h"

#include <cmath>

#include "fed/desk.h"

namespace linnet {
namespace {

using testing::Desk;

TEST(ParticipantTest, ProvesItsDeviceKey) {
  Desk desk;
  desk.Connect();
  auto hello = desk.Take<Hello>();
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->device_key, desk.key);
  EXPECT_EQ(hello->examples, 30u);
  Challenge challenge;
  challenge.nonce.fill(9);
  desk.Send(challenge);
  auto proof = desk.Take<Proof>();
  ASSERT_TRUE(proof);
  Bytes text;
  for (char c : std::string_view("linnet.v1 challenge")) text.push_back(uint8_t(c));
  text.insert(text.end(), challenge.nonce.begin(), challenge.nonce.end());
  const Digest digest = Blake2b(EncodeMessage(*hello));
  text.insert(text.end(), digest.begin(), digest.end());
  EXPECT_TRUE(VerifySignature(desk.key, text, proof->signature));
}

TEST(ParticipantTest, TrainsAnInvitationAndUploadsADelta) {
  Desk desk;
  desk.Greet();
  const Invite invite = desk.MakeInvite(1);
  auto begin = desk.Train(invite);
  ASSERT_TRUE(begin);
  EXPECT_EQ(begin->examples, 30u);
  EXPECT_EQ(begin->steps, 3u);
  EXPECT_EQ(begin->elements, desk.model.parameters.size());
  EXPECT_GT(begin->loss_before, 0.5);
  const Bytes encoded = desk.Receive(invite.assignment);
  EXPECT_EQ(encoded.size(), begin->bytes);
  auto end = desk.Take<UpdateEnd>();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->digest, Blake2b(encoded));
  bool moved = false;
  for (size_t i = 0; i + 4 <= encoded.size(); i += 4)
    moved |= LoadLE<float>(encoded.data() + i) != 0;
  EXPECT_TRUE(moved);
}

TEST(ParticipantTest, StagedStateBecomesRealOnlyWhenCounted) {
  struct Row {
    Verdict verdict;
    uint64_t rounds;
  };
  for (const Row& row :
       {Row{Verdict::kCounted, 1}, Row{Verdict::kAlreadyCounted, 1}, Row{Verdict::kRefused, 0},
        Row{Verdict::kLate, 0}, Row{Verdict::kVoid, 0}}) {
    Desk desk;
    desk.Greet();
    const Invite invite = desk.MakeInvite(1);
    ASSERT_TRUE(desk.Train(invite));
    EXPECT_EQ(desk.Persisted().staged_examples, 30u);  // before it was announced
    EXPECT_EQ(desk.Persisted().rounds_counted, 0u);
    desk.Receive(invite.assignment);
    desk.Answer(invite.assignment, row.verdict);
    EXPECT_EQ(desk.Persisted().staged_examples, 0u);
    EXPECT_EQ(desk.Persisted().rounds_counted, row.rounds) << int(row.verdict);
    EXPECT_EQ(desk.Persisted().examples_counted, row.rounds * 30);
  }
}

TEST(ParticipantTest, AnUploadIsKeptUntilAnsweredAndSentAgainAfterTheWelcome) {
  Desk desk;
  desk.Greet();
  const Invite invite = desk.MakeInvite(1);
  ASSERT_TRUE(desk.Train(invite));
  const Bytes encoded = desk.Receive(invite.assignment);
  desk.Disconnect();
  desk.sent.clear();
  desk.Greet();
  auto query = desk.Take<AssignmentQuery>();
  ASSERT_TRUE(query);
  EXPECT_EQ(query->assignment, invite.assignment);
  EXPECT_FALSE(desk.Take<UpdateBegin>());  // asks first
  desk.Send(AssignmentOpen{invite.assignment});
  ASSERT_TRUE(desk.Take<UpdateBegin>());
  const Bytes rest = desk.Receive(invite.assignment, 100);
  EXPECT_EQ(rest, Bytes(encoded.begin() + 100, encoded.end()));
}

TEST(ParticipantTest, AVoidUpdateIsGoodForTheNextAttemptOfItsRoundWithoutTrainingAgain) {
  Desk desk;
  desk.Greet();
  const Invite first = desk.MakeInvite(1);
  ASSERT_TRUE(desk.Train(first));
  const Bytes encoded = desk.Receive(first.assignment);
  desk.Answer(first.assignment, Verdict::kVoid);
  desk.hold_work = true;  // training would wait here
  Invite second = desk.MakeInvite(2);
  second.attempt = 1;
  desk.Send(second);
  desk.Send(Begin{second.assignment});
  ASSERT_TRUE(desk.Take<UpdateBegin>());
  EXPECT_EQ(desk.Receive(second.assignment), encoded);
  EXPECT_EQ(desk.Persisted().staged_assignment, second.assignment);
  desk.Answer(second.assignment, Verdict::kVoid);
  // Another round is another task.
  desk.Send(desk.MakeInvite(3, 2));
  desk.Send(Begin{desk.MakeInvite(3, 2).assignment});
  EXPECT_EQ(desk.held_work.size(), 1u);
}

TEST(ParticipantTest, AResultForARoundThatIsOverIsDropped) {
  Desk desk;
  desk.hold_work = true;
  desk.Greet();
  const Invite invite = desk.MakeInvite(1);
  desk.Train(invite);
  ASSERT_EQ(desk.held_work.size(), 1u);
  desk.Answer(invite.assignment, Verdict::kLate);
  while (desk.held_work[0]->Run(100)) {
  }
  desk.Handle(Computed{desk.held_work[0]});
  EXPECT_FALSE(desk.Take<UpdateBegin>());
  EXPECT_EQ(desk.Persisted().staged_examples, 0u);
}

struct DeclineRow {
  const char* name;
  std::function<void(Desk&)> before;
  std::function<void(Invite&)> spoil;
  const char* says;
};
class ParticipantDeclines : public ::testing::TestWithParam<DeclineRow> {};

TEST_P(ParticipantDeclines, AndSaysWhy) {
  Desk desk;
  desk.Greet();
  if (GetParam().before) GetParam().before(desk);
  Invite invite = desk.MakeInvite(1);
  if (GetParam().spoil) GetParam().spoil(invite);
  desk.Send(invite);
  auto decline = desk.Take<Decline>();
  ASSERT_TRUE(decline);
  EXPECT_EQ(decline->assignment, invite.assignment);
  EXPECT_NE(decline->reason.find(GetParam().says), std::string::npos) << decline->reason;
  EXPECT_FALSE(desk.Take<Accept>());
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ParticipantDeclines,
    ::testing::Values(
        DeclineRow{"Paused", [](Desk& d) { d.machine->set_paused(true); }, nullptr, "paused"},
        DeclineRow{"Busy",
                   [](Desk& d) {
                     d.Send(d.MakeInvite(9));
                     d.sent.clear();
                   },
                   nullptr, "busy"},
        DeclineRow{"NoData", [](Desk& d) { d.machine->set_data({}, {}); }, nullptr, "no training"},
        DeclineRow{"TooLarge", nullptr, [](Invite& i) { i.base_bytes = 1ull << 40; }, "limit"},
        DeclineRow{"TooManySteps", nullptr, [](Invite& i) { i.train.epochs = 1000000; }, "steps"},
        DeclineRow{"UnknownClient", nullptr, [](Invite& i) { i.train.client = "scaffold"; },
                   "scaffold"},
        DeclineRow{"UnknownOptimizer", nullptr, [](Invite& i) { i.train.optimizer = "lion"; },
                   "lion"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(ParticipantTest, DivergedTrainingDeclinesInsteadOfUploading) {
  Desk desk;
  desk.Greet();
  Invite invite = desk.MakeInvite(1);
  invite.train.learning_rate = 1e20f;
  EXPECT_FALSE(desk.Train(invite));
  auto decline = desk.Take<Decline>();
  ASSERT_TRUE(decline);
  EXPECT_NE(decline->reason.find("limits.maxAbs"), std::string::npos) << decline->reason;
}

TEST(TrainWorkTest, WhatAnOwnTrainingGivesIsChecked) {
  struct Row {
    std::function<void(TrainWork&)> spoil;
    const char* says;
  };
  Desk desk;
  for (const Row& row : {Row{[](TrainWork& w) { w.parameters[3] = std::nanf(""); }, "not finite"},
                         Row{[](TrainWork& w) { w.parameters[3] += 100; }, "limits.maxAbs"},
                         Row{[](TrainWork& w) { w.parameters.pop_back(); }, "wanted 7850"},
                         Row{[](TrainWork& w) { w.examples = 0; }, "no examples"}}) {
    TrainWork work;
    work.base = std::make_shared<const Model>(desk.model);
    work.parameters = desk.model.parameters;
    work.examples = 10;
    row.spoil(work);
    work.Finish();
    ASSERT_FALSE(work.status);
    EXPECT_NE(work.status.error().message.find(row.says), std::string::npos)
        << work.status.error().message;
    EXPECT_TRUE(work.encoded.empty());
  }
}

TEST(ParticipantTest, AModelDownloadGoesOnAfterAReconnectWhereItStopped) {
  Desk desk;
  desk.Greet();
  const Invite invite = desk.MakeInvite(1);
  desk.Send(invite);
  ASSERT_TRUE(desk.Take<ModelWant>());
  desk.Send(ModelOffer{desk.digest, desk.model_bytes.size()});
  desk.Send(
      ModelChunk{desk.digest, 0, Bytes(desk.model_bytes.begin(), desk.model_bytes.begin() + 5000)});
  desk.Disconnect();
  desk.sent.clear();
  desk.Greet();
  auto want = desk.Take<ModelWant>();
  ASSERT_TRUE(want);
  EXPECT_EQ(want->offset, 5000u);
  desk.Send(ModelOffer{desk.digest, desk.model_bytes.size()});
  desk.Send(ModelChunk{desk.digest, 5000,
                       Bytes(desk.model_bytes.begin() + 5000, desk.model_bytes.end())});
  desk.Send(AssignmentOpen{invite.assignment});
  EXPECT_TRUE(desk.Take<UpdateBegin>());
}

TEST(ParticipantTest, AModelWithAnotherDigestIsNotTaken) {
  Desk desk;
  desk.Greet();
  desk.Send(desk.MakeInvite(1));
  Bytes wrong = desk.model_bytes;
  wrong.back() ^= 1;
  desk.Send(ModelOffer{desk.digest, wrong.size()});
  desk.Send(ModelChunk{desk.digest, 0, wrong});
  EXPECT_NE(desk.closed.find("digest"), std::string::npos);
  EXPECT_EQ(desk.machine->model(), nullptr);
}

TEST(ParticipantTest, BacksOffLongerEachTimeAndSaysSo) {
  Desk desk;
  uint64_t total_early = 0, total_late = 0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    desk.connection = 0;
    desk.Handle(Disconnected{0});
    ASSERT_EQ(desk.timers.count(1), 1u);
    (attempt < 4 ? total_early : total_late) += desk.timers[1];
    EXPECT_LE(desk.timers[1], 30000u);
    EXPECT_NE(desk.notices.back().text.find("trying again"), std::string::npos);
    desk.timers.erase(1);
    desk.Handle(TimerFired{1});
    EXPECT_EQ(desk.connects, attempt + 2);
  }
  EXPECT_GT(total_late, 2 * total_early);
}

TEST(ParticipantTest, WhatWaitingCannotMendEndsTheParticipation) {
  for (Code code : {Code::kVersion, Code::kPermission, Code::kNotFound}) {
    Desk desk;
    desk.Connect();
    desk.Send(WireError{code, "no", 1, 1});
    EXPECT_EQ(desk.machine->ended(), "no");
    desk.Disconnect();
    EXPECT_EQ(desk.connects, 1);
    EXPECT_EQ(desk.timers.count(1), 0u);
  }
}

TEST(ParticipantTest, AHelloThatCannotBeSaidEndsTheParticipationWithAReason) {
  ParticipantOptions options;
  options.state = Desk::MakeState();
  options.federation = std::string(1000, 'x');
  auto participant = Participant::Create(std::move(options));
  const auto actions = participant->Start(0);
  EXPECT_FALSE(participant->ended().empty());
  for (const auto& action : actions) EXPECT_FALSE(std::get_if<Connect>(&action));
}

TEST(ParticipantTest, AnEvaluationThatCannotBeIsNotReported) {
  struct Row {
    uint64_t examples, correct;
    bool reported;
  };
  for (const Row& row : {Row{10, 7, true}, Row{0, 0, false}, Row{10, 11, false}}) {
    Desk desk;
    desk.Greet();
    auto work = std::make_shared<EvaluateWork>();
    work->metrics.examples = row.examples;
    work->metrics.correct = row.correct;
    desk.Handle(Computed{work});
    EXPECT_EQ(desk.Take<EvaluateReport>().has_value(), row.reported) << row.examples;
  }
}

TEST(ParticipantTest, ScalingIsWhatTheFederationSays) {
  Desk desk;
  auto data = std::make_shared<Dataset>();
  data->shape = {2};
  data->classes = 2;
  data->f32 = {1, 10, 3, 30};
  data->labels = {0, 1};
  desk.machine->set_data(WholeView(data), {});
  desk.Connect();
  desk.Send(Challenge{});
  Welcome welcome;
  welcome.federation_json = R"({"name": "f", "model": {"builtin": "softmax-regression"},
    "data": {"scale": "standard", "mean": [1, 20, 5], "deviation": [2, 10, 1]}})";
  desk.Send(welcome);
  // Three features are told, the data has two: its training would be of another task.
  EXPECT_NE(desk.machine->ended().find("wanted 1 or 2"), std::string::npos)
      << desk.machine->ended();
}

TEST(ParticipantTest, ASilentCoordinatorIsLeft) {
  Desk desk;
  desk.Greet();
  desk.Handle(TimerFired{3});  // ping: something was heard
  EXPECT_TRUE(desk.Take<Ping>());
  desk.Handle(TimerFired{3});  // nothing since
  EXPECT_FALSE(desk.closed.empty());
}

TEST(ParticipantStateTest, SurvivesARoundTripAndRefusesDamage) {
  ParticipantState state = Desk::MakeState();
  state.rounds_counted = 7;
  state.examples_counted = 420;
  AssignmentId id;
  id.fill(3);
  state.Stage(id, 60);
  const Bytes bytes = state.Save();
  auto back = ParticipantState::Load(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->device.public_key, state.device.public_key);
  EXPECT_EQ(back->Save(), bytes);
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes damaged = bytes;
    damaged[i] ^= 0x40;
    EXPECT_FALSE(ParticipantState::Load(damaged)) << i;
    EXPECT_FALSE(ParticipantState::Load(ByteSpan(bytes).first(i))) << i;
  }
}

TEST(ParticipantStateTest, OnlyTheStagedAssignmentCommits) {
  ParticipantState state = Desk::MakeState();
  AssignmentId one, two;
  one.fill(1);
  two.fill(2);
  state.Stage(one, 60);
  EXPECT_FALSE(state.Commit(two));
  EXPECT_TRUE(state.Commit(one));
  EXPECT_FALSE(state.Commit(one));
  EXPECT_EQ(state.rounds_counted, 1u);
}

}  // namespace
}  // namespace linnet
