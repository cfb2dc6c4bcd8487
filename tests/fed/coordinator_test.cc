#include "fed/coordinator.h"

#include <cmath>

#include "fed/room.h"

namespace linnet {
namespace {

using testing::Must;
using testing::Room;

constexpr char kThree[] = R"({"name": "three", "model": {"builtin": "softmax-regression"},
  "round": {"cohort": 3, "minimum": 2, "maxRounds": 3, "deadlineMs": 10000},
  "limits": {"maxAbs": 4, "maxExamples": 1000},
  "upload": {"codec": "f32"}, "evaluate": {"federated": false}})";

Model CommittedModel(const Room& room) { return Must(LoadModel(*room.coordinator->model())); }

TEST(CoordinatorTest, CommitsTheWeightedMeanOfWhatWasUploaded) {
  Room room(kThree);
  const float before = CommittedModel(room).parameters[5];
  for (int who : {0, 1, 2}) room.Join(who);
  room.Deliver(0, 0.5f, 10);
  room.Deliver(1, -0.25f, 20);
  room.Deliver(2, 1.0f, 10);
  EXPECT_EQ(room.coordinator->Status().round, 1u);
  // (10 * 0.5 - 20 * 0.25 + 10 * 1) / 40 = 0.25
  EXPECT_FLOAT_EQ(CommittedModel(room).parameters[5], before + 0.25f);
  for (int who : {0, 1, 2}) {
    auto verdict = room.Take<UpdateVerdict>(who);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->verdict, Verdict::kCounted);
    EXPECT_TRUE(room.Take<RoundClosed>(who));
  }
}

TEST(CoordinatorTest, CountedIsSaidOnlyAfterTheCommitIsDurable) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  room.hold_store = true;
  for (int who : {0, 1, 2}) room.Deliver(who, 0.1f);
  ASSERT_EQ(room.held.size(), 1u);  // the round's commit
  for (int who : {0, 1, 2}) EXPECT_FALSE(room.Take<UpdateVerdict>(who));
  EXPECT_EQ(room.coordinator->Status().round, 0u);
  room.hold_store = false;
  room.ReleaseStore();
  for (int who : {0, 1, 2}) EXPECT_TRUE(room.Take<UpdateVerdict>(who));
  EXPECT_EQ(room.coordinator->Status().round, 1u);
}

TEST(CoordinatorTest, AFullDiskLosesNothingAndIsTriedAgain) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  room.hold_store = true;
  for (int who : {0, 1, 2}) room.Deliver(who, 0.1f);
  room.ReleaseStore(Fail(Code::kIo, "no space left on device"));
  EXPECT_EQ(room.coordinator->Status().round, 0u);
  EXPECT_EQ(room.notices.back().kind, Notice::Kind::kFailed);
  room.Pass(6000);
  ASSERT_EQ(room.held.size(), 1u);
  room.hold_store = false;
  room.ReleaseStore();
  EXPECT_EQ(room.coordinator->Status().round, 1u);
  EXPECT_EQ(room.Take<UpdateVerdict>(0)->verdict, Verdict::kCounted);
}

TEST(CoordinatorTest, AResendOfACountedUpdateIsAnsweredAlreadyCounted) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  Invite first;
  for (int who : {0, 1, 2}) {
    const Invite invite = room.Deliver(who, 0.1f);
    if (who == 0) first = invite;
  }
  const SharedBytes after = room.coordinator->model();
  room.Take<UpdateVerdict>(0);
  room.Send(0, room.MakeBegin(first));
  EXPECT_EQ(room.Take<UpdateVerdict>(0)->verdict, Verdict::kAlreadyCounted);
  room.Send(0, AssignmentQuery{first.assignment});
  EXPECT_EQ(room.Take<UpdateVerdict>(0)->verdict, Verdict::kAlreadyCounted);
  EXPECT_EQ(*room.coordinator->model(), *after);
}

TEST(CoordinatorTest, LateUpdateIsRefusedAfterTheDeadline) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  room.Deliver(0, 0.1f);
  room.Deliver(1, 0.1f);
  auto invite = room.Take<Invite>(2);
  ASSERT_TRUE(invite);
  room.Send(2, Accept{invite->assignment});
  EXPECT_EQ(room.coordinator->Status().round, 0u);
  room.Pass(10001);
  EXPECT_EQ(room.coordinator->Status().round, 1u);  // two are the minimum
  EXPECT_EQ(room.Take<UpdateVerdict>(2)->verdict, Verdict::kLate);
  room.Send(2, room.MakeBegin(*invite));
  EXPECT_EQ(room.Take<UpdateVerdict>(2)->verdict, Verdict::kLate);
}

TEST(CoordinatorTest, TooFewAtTheDeadlineVoidsTheAttemptAndNothingOfItIsFolded) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  const Bytes before = *room.coordinator->model();
  room.Deliver(0, 4.0f);
  room.Pass(10001);
  EXPECT_EQ(room.Take<UpdateVerdict>(0)->verdict, Verdict::kVoid);
  EXPECT_EQ(*room.coordinator->model(), before);
  for (int who : {1, 2}) EXPECT_EQ(room.Take<UpdateVerdict>(who)->verdict, Verdict::kVoid);
  room.Pass(5000);  // the next attempt
  for (int who : {0, 1, 2}) room.Deliver(who, 0.5f);
  EXPECT_EQ(room.coordinator->Status().round, 1u);
  const float base = Must(LoadModel(before)).parameters[0];
  EXPECT_FLOAT_EQ(CommittedModel(room).parameters[0], base + 0.5f);
}

TEST(CoordinatorTest, AParticipantThatReturnsGoesOnWhereItsUploadStopped) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  room.Deliver(1, 0.1f);
  room.Deliver(2, 0.1f);
  auto invite = room.Take<Invite>(0);
  room.Send(0, Accept{invite->assignment});
  room.Send(0, room.MakeBegin(*invite));
  EXPECT_EQ(room.Take<UpdateGo>(0)->offset, 0u);
  const Bytes encoded = room.MakeUpdate(0, *invite, 0.1f);
  UpdateChunk half{invite->assignment, 0, Bytes(encoded.begin(), encoded.begin() + 1000)};
  room.Send(0, half);
  room.Disconnect(0);
  room.Join(0);
  room.Send(0, AssignmentQuery{invite->assignment});
  EXPECT_TRUE(room.Take<AssignmentOpen>(0));
  room.Send(0, room.MakeBegin(*invite));
  EXPECT_EQ(room.Take<UpdateGo>(0)->offset, 1000u);
  UpdateChunk rest{invite->assignment, 1000, Bytes(encoded.begin() + 1000, encoded.end())};
  room.Send(0, rest);
  room.Send(0, UpdateEnd{invite->assignment, Blake2b(encoded)});
  EXPECT_EQ(room.Take<UpdateVerdict>(0)->verdict, Verdict::kCounted);
}

TEST(CoordinatorTest, AParticipantThatDoesNotReturnCostsOnlyItsOwnUpdate) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  room.Deliver(0, 0.1f);
  room.Deliver(1, 0.1f);
  room.Disconnect(2);
  EXPECT_EQ(room.coordinator->Status().round, 0u);
  room.Pass(5001);  // the grace, long before the deadline
  EXPECT_EQ(room.coordinator->Status().round, 1u);
}

TEST(CoordinatorTest, AfterARestartTheOpenRoundStartsItsNextAttemptEmpty) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  const Invite old = room.Deliver(0, 3.0f);
  Room again(kThree, room.store.Load());
  for (int who : {0, 1, 2}) again.Join(who);
  auto invite = again.Take<Invite>(0);
  ASSERT_TRUE(invite);
  EXPECT_EQ(invite->round, old.round);
  EXPECT_EQ(invite->attempt, old.attempt + 1);
  EXPECT_NE(invite->assignment, old.assignment);
  EXPECT_EQ(invite->round_seed, old.round_seed);  // a kept update is still good
  again.Send(0, AssignmentQuery{old.assignment});
  EXPECT_EQ(again.Take<UpdateVerdict>(0)->verdict, Verdict::kVoid);
}

TEST(CoordinatorTest, AfterARestartACommittedUpdateIsStillAlreadyCounted) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  Invite old;
  for (int who : {0, 1, 2}) old = room.Deliver(who, 0.1f);
  Room again(kThree, room.store.Load());
  EXPECT_EQ(*again.coordinator->model(), *room.coordinator->model());
  again.Join(2);
  again.Send(2, AssignmentQuery{old.assignment});
  EXPECT_EQ(again.Take<UpdateVerdict>(2)->verdict, Verdict::kAlreadyCounted);
}

TEST(CoordinatorTest, UploadsFlowWithinTheBudgetAndAtLeastOneAlways) {
  const uint64_t update = EncodedBytes({CodecKind::kF32, 32}, 7850);
  Room room(kThree, {}, update + 100);  // room for one
  for (int who : {0, 1, 2}) room.Join(who);
  std::vector<Invite> invites;
  for (int who : {0, 1, 2}) {
    invites.push_back(*room.Take<Invite>(who));
    room.Send(who, Accept{invites.back().assignment});
    room.Send(who, room.MakeBegin(invites.back()));
  }
  EXPECT_TRUE(room.Take<UpdateGo>(0));
  EXPECT_FALSE(room.Take<UpdateGo>(1));
  EXPECT_LE(room.coordinator->Status().inflight_bytes, update + 100);
  room.Upload(0, invites[0], room.MakeUpdate(0, invites[0], 0.1f));
  EXPECT_TRUE(room.Take<UpdateGo>(1));
  EXPECT_FALSE(room.Take<UpdateGo>(2));
}

TEST(CoordinatorTest, RoundsKeepTheirInterval) {
  Room room(R"({"name": "slow", "model": {"builtin": "softmax-regression"},
    "round": {"cohort": 1, "minimum": 1, "maxRounds": 3, "intervalMs": 2000},
    "upload": {"codec": "f32"}, "evaluate": {"federated": false}})");
  room.Join(0);
  room.Deliver(0, 0.1f);
  EXPECT_EQ(room.coordinator->Status().round, 1u);
  EXPECT_EQ(room.coordinator->Status().phase, "pausing");
  room.Pass(1999);
  EXPECT_FALSE(room.Take<Invite>(0));
  room.Pass(2);
  EXPECT_TRUE(room.Take<Invite>(0));
}

// ---- What a fleet of strangers will send.

struct BadUpload {
  const char* name;
  std::function<void(UpdateBegin&)> spoil;
  std::function<void(std::vector<float>&)> values;
  const char* says;
};
class CoordinatorRefuses : public ::testing::TestWithParam<BadUpload> {};

TEST_P(CoordinatorRefuses, AndSaysWhyAndLivesOn) {
  const BadUpload& row = GetParam();
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  auto invite = room.Take<Invite>(0);
  room.Send(0, Accept{invite->assignment});
  room.Take<Begin>(0);
  UpdateBegin begin = room.MakeBegin(*invite);
  if (row.spoil) row.spoil(begin);
  room.Send(0, begin);
  if (row.values) {
    std::vector<float> x(room.model_size, 0.5f);
    row.values(x);
    Bytes encoded(x.size() * sizeof(float));
    std::memcpy(encoded.data(), x.data(), encoded.size());
    ASSERT_TRUE(room.Take<UpdateGo>(0));
    room.Upload(0, *invite, encoded);
  }
  auto verdict = room.Take<UpdateVerdict>(0);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->verdict, Verdict::kRefused);
  EXPECT_NE(verdict->message.find(row.says), std::string::npos) << verdict->message;
  room.Deliver(1, 0.1f);
  room.Deliver(2, 0.1f);
  EXPECT_EQ(room.coordinator->Status().round, 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, CoordinatorRefuses,
    ::testing::Values(
        BadUpload{"WrongShape", [](UpdateBegin& b) { b.elements = 7849; }, nullptr, "7849"},
        BadUpload{"WrongSize", [](UpdateBegin& b) { b.bytes += 1; }, nullptr, "bytes"},
        BadUpload{"WrongCodec", [](UpdateBegin& b) { b.codec = {3, 1}; }, nullptr, "upload.codec"},
        BadUpload{"NoExamples", [](UpdateBegin& b) { b.examples = 0; }, nullptr, "maxExamples"},
        BadUpload{"TooManyExamples", [](UpdateBegin& b) { b.examples = 1001; }, nullptr,
                  "limits.maxExamples"},
        BadUpload{"NaN", nullptr,
                  [](std::vector<float>& x) { x[77] = std::numeric_limits<float>::quiet_NaN(); },
                  "77"},
        BadUpload{"Infinite", nullptr,
                  [](std::vector<float>& x) { x[7849] = std::numeric_limits<float>::infinity(); },
                  "7849"},
        BadUpload{"BeyondTheCap", nullptr, [](std::vector<float>& x) { x[5] = 4.5f; }, "5"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(CoordinatorTest, AnAssignmentIsBoundToItsDevice) {
  Room room(kThree);
  for (int who : {0, 1, 2}) room.Join(who);
  auto invite = room.Take<Invite>(0);
  room.Send(1, room.MakeBegin(*invite));
  EXPECT_EQ(room.Take<UpdateVerdict>(1)->verdict, Verdict::kVoid);
  room.Send(0, Accept{invite->assignment});
  EXPECT_TRUE(room.Take<Begin>(0));
}

TEST(CoordinatorTest, AForgedProofIsRefused) {
  Room room(kThree);
  room.Connect(0);
  ASSERT_TRUE(room.Greet(0, Room::MakeHello(0), false));
  auto error = room.Take<WireError>(0);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Code::kPermission);
  EXPECT_TRUE(room.Closed(0));
}

TEST(CoordinatorTest, StrangersAreRefusedWithTheReason) {
  Room room(R"({"name": "locked", "model": {"builtin": "softmax-regression"},
    "admission": {"mode": "token", "tokenFile": "tokens"}})");
  Hello old = Room::MakeHello(0);
  old.version_min = old.version_max = 9;
  Hello other = Room::MakeHello(1);
  other.federation = "elsewhere";
  const Hello without = Room::MakeHello(2);
  Hello wrong = Room::MakeHello(3);
  wrong.token = "guess";
  const std::vector<std::pair<Hello, Code>> rows = {{old, Code::kVersion},
                                                    {other, Code::kNotFound},
                                                    {without, Code::kPermission},
                                                    {wrong, Code::kPermission}};
  for (size_t i = 0; i < rows.size(); ++i) {
    const int who = int(i);
    room.Connect(who);
    EXPECT_FALSE(room.Greet(who, rows[i].first)) << i;
    EXPECT_TRUE(room.Closed(who)) << i;
  }
  Hello right = Room::MakeHello(5);
  right.token = "the-token";
  room.Connect(5);
  ASSERT_TRUE(room.Greet(5, right));
  EXPECT_TRUE(room.Take<Welcome>(5));
}

TEST(CoordinatorTest, SilentAndTalkativeStrangersAreClosed) {
  Room room(kThree);
  room.Connect(0);
  room.Pass(5001);
  EXPECT_TRUE(room.Closed(0));
  room.Connect(1);
  room.SendBytes(1, Bytes(8192, 0));
  EXPECT_EQ(room.Take<WireError>(1)->code, Code::kLimit);
  EXPECT_TRUE(room.Closed(1));
  room.Connect(2);
  room.Send(2, Ping{1});
  EXPECT_TRUE(room.Closed(2));
  room.Join(3);
  room.SendBytes(3, Bytes{1, 2, 3});
  EXPECT_TRUE(room.Closed(3));
}

TEST(CoordinatorTest, TheModelComesInChunksFromAnyOffset) {
  Room room(kThree);
  room.Join(0);
  const SharedBytes model = room.coordinator->model();
  const Digest digest = Blake2b(*model);
  room.Send(0, ModelWant{digest, 0});
  EXPECT_EQ(room.Take<ModelOffer>(0)->bytes, model->size());
  EXPECT_EQ(room.Take<ModelChunk>(0)->data, *model);
  room.Send(0, ModelWant{digest, 1000});
  auto chunk = room.Take<ModelChunk>(0);
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->offset, 1000u);
  EXPECT_EQ(chunk->data, Bytes(model->begin() + 1000, model->end()));
  room.Send(0, ModelWant{Digest{}, 0});
  EXPECT_EQ(room.Take<ModelOffer>(0)->bytes, 0u);  // not held
}

TEST(CoordinatorTest, TheSameDeviceOnASecondConnectionReplacesTheFirst) {
  Room room(kThree);
  room.Join(0);
  room.Connect(8);
  ASSERT_TRUE(room.Greet(8, Room::MakeHello(8)));
  Hello same = Room::MakeHello(0);
  room.Connect(9);
  const Bytes frame = EncodeMessage(same);
  room.SendBytes(9, frame);
  auto challenge = room.Take<Challenge>(9);
  Bytes text;
  for (char c : std::string_view("linnet.v1 challenge")) text.push_back(uint8_t(c));
  text.insert(text.end(), challenge->nonce.begin(), challenge->nonce.end());
  const Digest digest = Blake2b(frame);
  text.insert(text.end(), digest.begin(), digest.end());
  room.Send(9, Proof{Room::Key(0).Sign(text)});
  EXPECT_TRUE(room.Take<Welcome>(9));
  EXPECT_TRUE(room.Closed(0));
  EXPECT_FALSE(room.Closed(8));
}

TEST(CoordinatorTest, ConfigurationThatCannotWorkIsRefusedAtTheStart) {
  CoordinatorOptions options;
  options.federation = Must(ParseFederation(kThree));
  options.federation.strategy.config = Must(Json::Parse(R"({"bogus": 1})"));
  options.initial = Must(BuiltinModel("softmax-regression", SeedFromInt(1)));
  options.strategy = *Must(testing::BuiltinTable().Find("fedavg"));
  auto made = Coordinator::Create(options);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("bogus"), std::string::npos) << made.error().message;
}

}  // namespace
}  // namespace linnet
