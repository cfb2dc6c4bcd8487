// Asynchronous rounds, event by event.
#include <cmath>

#include "fed/room.h"

namespace linnet::testing {
namespace {

std::string Buffered(const std::string& round) {
  return R"({"name": "a", "model": {"builtin": "softmax-regression"}, "strategy": {"id": "fedbuff"},
    "upload": {"codec": "f32"}, "evaluate": {"federated": false},
    "round": {"mode": "asynchronous", )" +
         round + "}}";
}
constexpr uint64_t kBatchMs = 200, kRestMs = 5000;

float First(const Room& room) { return Must(LoadModel(*room.coordinator->model())).parameters[0]; }
size_t Told(const Room& room, std::string_view text) {
  size_t count = 0;
  for (const Notice& notice : room.notices) count += notice.text.contains(text);
  return count;
}

TEST(AsynchronousRoundTest, NobodyIsInvitedBeforeTheJournalKnowsOfIt) {
  Room room(Buffered(R"("buffer": 2)"));
  room.hold_store = true;
  room.Join(0);
  EXPECT_FALSE(room.Take<Invite>(0));
  room.ReleaseStore();
  EXPECT_TRUE(room.Take<Invite>(0));
}

TEST(AsynchronousRoundTest, CountedIsSaidWhenTheBatchIsCommittedAndTheNextAssignmentFollows) {
  Room room(Buffered(R"("buffer": 3)"));
  room.Join(0);
  room.hold_store = true;
  const Invite first = room.Deliver(0, 1.0f);
  room.Pass(kBatchMs - 1);
  EXPECT_TRUE(room.held.empty()) << "others may come with it";
  room.Pass(1);
  ASSERT_EQ(room.held.size(), 1u);
  EXPECT_FALSE(room.Take<UpdateVerdict>(0));
  room.ReleaseStore();
  room.ReleaseStore();  // the next assignment's record
  const auto verdict = room.Take<UpdateVerdict>(0);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->verdict, Verdict::kCounted);
  const auto second = room.Take<Invite>(0);
  ASSERT_TRUE(second);
  EXPECT_NE(second->assignment, first.assignment);
  EXPECT_EQ(second->base, first.base) << "the buffer is not full";
  EXPECT_NE(second->round_seed, first.round_seed) << "it would train the same again";
  EXPECT_EQ(room.coordinator->Status().round, 0u);
}

TEST(AsynchronousRoundTest, AFullBufferMakesAModelAndOlderUpdatesWeighLess) {
  Room room(Buffered(R"("buffer": 1, "concurrency": 2)"));
  const float start = First(room);
  room.Join(0);
  room.Join(1);
  room.Deliver(0, 1.0f);
  EXPECT_EQ(room.coordinator->Status().round, 1u);
  EXPECT_FLOAT_EQ(First(room), start + 1.0f);
  room.Deliver(1, 1.0f);  // from version 0
  EXPECT_EQ(room.coordinator->Status().round, 2u);
  EXPECT_FLOAT_EQ(First(room), start + 1.0f + float(std::sqrt(0.5)));
  const auto history = room.coordinator->Status().history;
  EXPECT_EQ(history[0].staleness, 0);
  EXPECT_EQ(history[1].staleness, 1);
  const auto next = room.Take<Invite>(0);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->round, 2u);
}

TEST(AsynchronousRoundTest, WhatIsTooOldIsVoidAsSoonAsThatIsKnown) {
  Room room(Buffered(R"("buffer": 1, "concurrency": 3, "maxStaleness": 1)"));
  for (const int who : {0, 1, 2}) room.Join(who);
  const auto old = room.Take<Invite>(0);
  ASSERT_TRUE(old);
  room.Send(0, Accept{old->assignment});
  room.Deliver(1, 1.0f);
  EXPECT_FALSE(room.Take<UpdateVerdict>(0)) << "one version is admitted";
  room.Deliver(2, 1.0f);
  const auto verdict = room.Take<UpdateVerdict>(0);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->verdict, Verdict::kVoid);
  EXPECT_EQ(verdict->message,
            "it began from version 0, the model is at version 2 now, round.maxStaleness admits 1 "
            "in between");
  // Whoever uploads all the same is told the same.
  room.Send(0, room.MakeBegin(*old));
  EXPECT_EQ(room.Take<UpdateVerdict>(0)->verdict, Verdict::kVoid);
  EXPECT_EQ(room.coordinator->Status().round, 2u);
}

TEST(AsynchronousRoundTest, AnAssignmentIsItsParticipantsAlone) {
  Room room(Buffered(R"("buffer": 2)"));
  room.Join(0);
  room.Join(1);
  const auto mine = room.Take<Invite>(0);
  ASSERT_TRUE(mine);
  room.Send(1, room.MakeBegin(*mine));
  EXPECT_EQ(room.Take<UpdateVerdict>(1)->verdict, Verdict::kVoid);
  Invite unknown = *mine;
  unknown.assignment.fill(7);
  room.Send(1, room.MakeBegin(unknown));
  EXPECT_EQ(room.Take<UpdateVerdict>(1)->verdict, Verdict::kVoid);
  EXPECT_EQ(room.coordinator->Status().received, 0u);
}

TEST(AsynchronousRoundTest, SilenceEndsAtTheDeadlineAndIsAskedAgainAfterARest) {
  Room room(Buffered(R"("buffer": 2, "deadlineMs": 1000)"));
  room.Join(0);
  const auto first = room.Take<Invite>(0);
  ASSERT_TRUE(first);
  room.Pass(999);
  EXPECT_FALSE(room.Take<UpdateVerdict>(0));
  room.Pass(1);
  const auto verdict = room.Take<UpdateVerdict>(0);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->verdict, Verdict::kVoid);
  EXPECT_EQ(verdict->message, "nothing came within 1000 ms");
  EXPECT_FALSE(room.Take<Invite>(0));
  room.Pass(kRestMs);
  const auto second = room.Take<Invite>(0);
  ASSERT_TRUE(second);
  EXPECT_NE(second->assignment, first->assignment);
}

TEST(AsynchronousRoundTest, WhoDeclinesLeavesItsPlaceToOthers) {
  Room room(Buffered(R"("buffer": 2, "concurrency": 1)"));
  room.Join(0);
  const auto invite = room.Take<Invite>(0);
  ASSERT_TRUE(invite);
  room.Join(1);
  EXPECT_FALSE(room.Take<Invite>(1)) << "one at a time";
  room.Send(0, Decline{invite->assignment, "paused"});
  EXPECT_TRUE(room.Take<Invite>(1));
  EXPECT_FALSE(room.Take<Invite>(0));
}

TEST(AsynchronousRoundTest, ARestartGoesOnWithTheBufferAndWithWhoeverIsAtWork) {
  const std::string federation = Buffered(R"("buffer": 2, "concurrency": 2)");
  Room before(federation);
  const float start = First(before);
  before.Join(0);
  before.Join(1);
  const Invite counted = before.Deliver(0, 1.0f);
  before.Pass(kBatchMs);
  EXPECT_EQ(before.Take<UpdateVerdict>(0)->verdict, Verdict::kCounted);
  const auto open = before.Take<Invite>(1);
  ASSERT_TRUE(open);

  Room after(federation, before.store.Load());
  EXPECT_EQ(after.coordinator->Status().received, 1u);
  after.Join(0);
  after.Send(0, after.MakeBegin(counted));
  EXPECT_EQ(after.Take<UpdateVerdict>(0)->verdict, Verdict::kAlreadyCounted);
  after.Join(1);
  after.Send(1, AssignmentQuery{open->assignment});
  EXPECT_TRUE(after.Take<AssignmentOpen>(1));
  after.Send(1, after.MakeBegin(*open));
  ASSERT_TRUE(after.Take<UpdateGo>(1));
  after.Upload(1, *open, after.MakeUpdate(1, *open, 3.0f));
  EXPECT_EQ(after.Take<UpdateVerdict>(1)->verdict, Verdict::kCounted);
  EXPECT_EQ(after.coordinator->Status().round, 1u);
  EXPECT_FLOAT_EQ(First(after), start + 2.0f);
}

TEST(AsynchronousRoundTest, WhoLostItsInvitationOrItsWorkGetsItAgain) {
  Room room(Buffered(R"("buffer": 2)"));
  room.Join(0);
  const auto invite = room.Take<Invite>(0);
  ASSERT_TRUE(invite);
  room.Send(0, Accept{invite->assignment});
  room.Disconnect(0);
  room.Join(0);
  const auto again = room.Take<Invite>(0);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->assignment, invite->assignment);
  room.Send(0, Accept{again->assignment});
  EXPECT_TRUE(room.Take<Begin>(0));
}

TEST(AsynchronousRoundTest, ABaseThatIsNotServedAnyMoreIsReplacedByANewAssignment) {
  Room room(Buffered(R"("buffer": 1, "concurrency": 3, "maxStaleness": 9)"));
  for (const int who : {0, 1, 2}) room.Join(who);
  const auto slow = room.Take<Invite>(0);
  ASSERT_TRUE(slow);
  room.Send(0, Accept{slow->assignment});
  room.Deliver(1, 1.0f);
  room.Send(0, ModelWant{slow->base, 0});
  EXPECT_TRUE(room.Take<ModelChunk>(0)) << "the model before is still served";
  room.Deliver(2, 1.0f);
  room.Send(0, ModelWant{slow->base, 0});
  const auto verdict = room.Take<UpdateVerdict>(0);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->verdict, Verdict::kVoid);
  const auto next = room.Take<Invite>(0);
  ASSERT_TRUE(next);
  EXPECT_NE(next->base, slow->base);
  EXPECT_EQ(Told(room, "is not served any more"), 1u);
}

TEST(AsynchronousRoundTest, TheLastRoundEndsWhatIsOnItsWay) {
  Room room(Buffered(R"("buffer": 1, "concurrency": 2, "maxRounds": 1)"));
  room.Join(0);
  room.Join(1);
  const auto open = room.Take<Invite>(1);
  ASSERT_TRUE(open);
  room.Deliver(0, 1.0f);
  EXPECT_TRUE(room.coordinator->finished());
  EXPECT_EQ(room.Take<UpdateVerdict>(1)->verdict, Verdict::kLate);
  EXPECT_FALSE(room.Take<Invite>(0));
}

}  // namespace
}  // namespace linnet::testing
