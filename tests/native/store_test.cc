#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "native/folder.h"
#include "native/store/round_store.h"
#include "native/store/state_folder.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

AssignmentId Assignment(uint64_t number) {
  AssignmentId id{};
  StoreLE(id.data(), number);
  return id;
}

PublicKey Person(uint64_t number) {
  PublicKey key{};
  StoreLE(key.data(), number);
  return key;
}

SharedBytes ModelOf(uint64_t round, size_t bytes = 1000) {
  return std::make_shared<const Bytes>(bytes, uint8_t(round));
}

RoundCommitted Commit(uint64_t round, size_t model_bytes = 1000) {
  RoundCommitted record;
  record.round = round;
  record.attempt = 1;
  record.model = ModelOf(round, model_bytes);
  record.strategy_state = {1, 2, uint8_t(round)};
  record.claims = {{Assignment(round * 10), Person(1), 5, 50},
                   {Assignment(round * 10 + 1), Person(2), 6, 60}};
  record.metrics.round = round;
  record.metrics.attempt = 1;
  record.metrics.invited = 3;
  record.metrics.counted = 2;
  record.metrics.accuracy = record.metrics.loss = record.metrics.accuracy_mean = std::nan("");
  record.metrics.train_loss = 0.5;
  record.metrics.uplink_bytes = 110;
  record.metrics.seconds = 0.25;
  record.metrics.model = Blake2b(*record.model);
  return record;
}

RoundEvaluated Evaluate(uint64_t round, double accuracy, bool best) {
  RoundEvaluated record;
  record.metrics = Commit(round).metrics;
  record.metrics.accuracy = accuracy;
  record.metrics.loss = 1 - accuracy;
  record.best = best;
  return record;
}

class StoreTest : public testing::Test {
 protected:
  StoreOptions Options() const {
    StoreOptions options;
    options.folder = folder_.path();
    options.identity.federation = "digits";
    options.identity.layout = Blake2b(AsBytes("a layout"));
    return options;
  }
  std::unique_ptr<RoundStore> Open() {
    auto store = OpenRoundStore(Options());
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  Recovered Load() { return *Open()->Load(); }
  std::string Database() const { return folder_.path() + "/rounds.db"; }

  TestFolder folder_;
};

// ---- What must not work

TEST_F(StoreTest, AFolderOfAnotherFederationIsRefusedNamingBoth) {
  Open();
  StoreOptions options = Options();
  options.identity.federation = "letters";
  const auto store = OpenRoundStore(options);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kInvalid);
  EXPECT_NE(store.error().message.find("\"digits\""), std::string::npos) << store.error().message;
  EXPECT_NE(store.error().message.find("\"letters\""), std::string::npos) << store.error().message;
}

TEST_F(StoreTest, AFolderWithAnotherModelIsRefused) {
  Open();
  StoreOptions options = Options();
  options.identity.layout = Blake2b(AsBytes("another layout"));
  const auto store = OpenRoundStore(options);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kInvalid);
  EXPECT_NE(store.error().message.find("another model"), std::string::npos);
}

TEST_F(StoreTest, ASecondCoordinatorIsRefusedAndToldWhoHoldsTheFolder) {
  const auto first = Open();
  const auto second = OpenRoundStore(Options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kState);
  EXPECT_NE(second.error().message.find(std::to_string(getpid())), std::string::npos)
      << second.error().message;
}

TEST_F(StoreTest, ASchemaOfAnotherVersionIsRefused) {
  Open();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(Database().c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version=99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto store = OpenRoundStore(Options());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kVersion);
  EXPECT_NE(store.error().message.find("99"), std::string::npos) << store.error().message;
}

TEST_F(StoreTest, AForeignDatabaseIsRefused) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(Database().c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "CREATE TABLE recipe (name)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto store = OpenRoundStore(Options());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kData);
}

TEST_F(StoreTest, AFileOfGarbageIsRefusedAndKept) {
  const std::string garbage(5000, 'x');
  std::ofstream(Database()) << garbage;
  const auto store = OpenRoundStore(Options());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kData);
  EXPECT_NE(store.error().message.find("--fresh"), std::string::npos) << store.error().message;
  EXPECT_EQ(fs::file_size(Database()), garbage.size());
}

TEST_F(StoreTest, AModelThatIsNotTheOneCommittedIsNotGivenOut) {
  RoundCommitted wrong = Commit(1);
  wrong.metrics.model[0] ^= 1;
  ASSERT_TRUE(Open()->Write({wrong}));
  const auto recovered = Open()->Load();
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().code, Code::kData);
}

TEST_F(StoreTest, AFolderThatCannotBeMadeIsAnError) {
  std::ofstream(folder_.path() + "/file") << "in the way";
  StoreOptions options = Options();
  options.folder = folder_.path() + "/file/below";
  const auto store = OpenRoundStore(options);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kIo);
}

TEST_F(StoreTest, AClaimThatIsInACommittedRoundIsRefusedAndTheRoundWithIt) {
  const auto store = Open();
  ASSERT_TRUE(store->Write({Commit(1)}));
  RoundCommitted twice = Commit(2);
  twice.claims.back() = Commit(1).claims.front();
  const Status status = store->Write({twice});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kState);
  EXPECT_EQ(store->Load()->round, 1u);
  EXPECT_EQ(store->Load()->claims.size(), 2u);
}

TEST_F(StoreTest, ARoundIsCommittedOnce) {
  const auto store = Open();
  ASSERT_TRUE(store->Write({Commit(1)}));
  RoundCommitted again = Commit(1);
  again.claims.clear();
  EXPECT_EQ(store->Write({again}).error().code, Code::kState);
}

TEST_F(StoreTest, AnEvaluationWithoutItsRoundIsRefused) {
  EXPECT_EQ(Open()->Write({Evaluate(7, 0.5, false)}).error().code, Code::kState);
}

TEST_F(StoreTest, OneBadRecordTakesItsWholeTransactionAlong) {
  const auto store = Open();
  ASSERT_FALSE(store->Write({Commit(1), Evaluate(9, 0.5, false)}));
  EXPECT_EQ(store->Load()->round, 0u);
  EXPECT_TRUE(store->Write({Commit(1)}));
}

// ---- What must

TEST_F(StoreTest, ANewStoreIsEmptyAndHasASecretOfItsOwn) {
  const auto store = Open();
  const auto recovered = store->Load();
  ASSERT_TRUE(recovered);
  EXPECT_EQ(recovered->round, 0u);
  EXPECT_EQ(recovered->model, nullptr);
  EXPECT_TRUE(recovered->history.empty());
  TestFolder other;
  StoreOptions options = Options();
  options.folder = other.path();
  EXPECT_NE((*OpenRoundStore(options))->secret(), store->secret());
}

TEST_F(StoreTest, TheSecretSurvivesAndNobodyElseCanReadIt) {
  const Seed secret = Open()->secret();
  EXPECT_EQ(Open()->secret(), secret);
  struct stat info{};
  ASSERT_EQ(stat(Database().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0077, 0u);
}

TEST_F(StoreTest, ACommittedRoundComesBackWhole) {
  ASSERT_TRUE(Open()->Write({Commit(1)}));
  const Recovered recovered = Load();
  const RoundCommitted wanted = Commit(1);
  EXPECT_EQ(recovered.round, 1u);
  ASSERT_NE(recovered.model, nullptr);
  EXPECT_EQ(*recovered.model, *wanted.model);
  EXPECT_EQ(recovered.strategy_state, wanted.strategy_state);
  ASSERT_EQ(recovered.claims.size(), 2u);
  EXPECT_EQ(recovered.claims[0].id, wanted.claims[0].id);
  EXPECT_EQ(recovered.claims[1].participant, wanted.claims[1].participant);
  EXPECT_EQ(recovered.claims[1].examples, 6u);
  EXPECT_EQ(recovered.claims[1].bytes, 60u);
  ASSERT_EQ(recovered.history.size(), 1u);
  EXPECT_TRUE(std::isnan(recovered.history[0].accuracy));
  EXPECT_EQ(recovered.history[0].train_loss, 0.5);
  EXPECT_EQ(recovered.history[0].uplink_bytes, 110u);
  EXPECT_EQ(recovered.history[0].seconds, 0.25);
  EXPECT_EQ(recovered.history[0].model, Blake2b(*wanted.model));
  EXPECT_EQ(recovered.open_round, 0u);
}

TEST_F(StoreTest, AnOpenAttemptComesBackAndTheCommitEndsIt) {
  const auto store = Open();
  ASSERT_TRUE(store->Write({AttemptOpened{1, 0, {{Assignment(1), Person(1)}}}}));
  ASSERT_TRUE(store->Write(
      {AttemptOpened{1, 1, {{Assignment(2), Person(1)}, {Assignment(3), Person(2)}}}}));
  const auto open = store->Load();
  EXPECT_EQ(open->open_round, 1u);
  EXPECT_EQ(open->open_attempt, 1u);
  ASSERT_EQ(open->open_assignments.size(), 2u);
  EXPECT_EQ(open->open_assignments[1].id, Assignment(3));
  EXPECT_EQ(open->open_assignments[1].participant, Person(2));
  ASSERT_TRUE(store->Write({Commit(1)}));
  EXPECT_EQ(store->Load()->open_round, 0u);
  EXPECT_TRUE(store->Load()->open_assignments.empty());
}

TEST_F(StoreTest, TheLastAndTheBestCheckpointAreKeptAndNoOther) {
  const auto store = Open();
  for (uint64_t round = 1; round <= 6; ++round) {
    ASSERT_TRUE(store->Write({Commit(round)}));
    ASSERT_TRUE(store->Write({Evaluate(round, round == 3 ? 0.9 : 0.5, round == 1 || round == 3)}));
  }
  const auto recovered = store->Load();
  EXPECT_EQ(*recovered->model, *ModelOf(6));
  ASSERT_NE(recovered->best_model, nullptr);
  EXPECT_EQ(*recovered->best_model, *ModelOf(3));
  EXPECT_EQ(recovered->history.size(), 6u);
  EXPECT_EQ(recovered->history[2].accuracy, 0.9);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(Database().c_str(), &db), SQLITE_OK);
  sqlite3_stmt* count = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(db, "SELECT count(*) FROM checkpoint", -1, &count, nullptr),
            SQLITE_OK);
  ASSERT_EQ(sqlite3_step(count), SQLITE_ROW);
  EXPECT_EQ(sqlite3_column_int(count, 0), 2);
  sqlite3_finalize(count);
  sqlite3_close(db);
}

TEST_F(StoreTest, ClaimsOfOldRoundsAreForgottenAndMetricsAreNot) {
  StoreOptions options = Options();
  options.claim_rounds = 16;
  const auto store = std::move(*OpenRoundStore(options));
  for (uint64_t round = 1; round <= 40; ++round) ASSERT_TRUE(store->Write({Commit(round)}));
  const auto recovered = store->Load();
  EXPECT_EQ(recovered->claims.size(), 32u);
  EXPECT_EQ(recovered->claims.front().id, Assignment(250));
  EXPECT_EQ(recovered->history.size(), 40u);
}

TEST_F(StoreTest, FreshBeginsAnewWithAnotherSecret) {
  const auto before = Open()->secret();
  ASSERT_TRUE(Open()->Write({Commit(1)}));
  StoreOptions options = Options();
  options.fresh = true;
  const auto store = std::move(*OpenRoundStore(options));
  EXPECT_EQ(store->Load()->round, 0u);
  EXPECT_NE(store->secret(), before);
}

TEST_F(StoreTest, TidyKeepsEverythingAndShrinksTheJournal) {
  StoreOptions options = Options();
  options.tidy_bytes = 1 << 20;
  const auto store = std::move(*OpenRoundStore(options));
  for (uint64_t round = 1; round <= 20; ++round) {
    ASSERT_TRUE(store->Write({Commit(round, 200000)}));
    store->Tidy();
  }
  EXPECT_LT(fs::file_size(Database() + "-wal"), 20u * 200000);
  EXPECT_EQ(*store->Load()->model, *ModelOf(20, 200000));
}

// ---- The process dies

// Runs `body` in a child; returns its wait status.
template <typename Body>
int InChild(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(StoreTest, WhatWasAcknowledgedBeforeAKillIsThereAfterIt) {
  for (const int kill_after : {1, 7, 20}) {
    TestFolder folder;
    StoreOptions options = Options();
    options.folder = folder.path();
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto store = OpenRoundStore(options);
      for (uint64_t round = 1; store && round < 100000; ++round) {
        static_cast<void>(
            (*store)->Write({AttemptOpened{round, 0, {{Assignment(round), Person(1)}}}}));
        if (!(*store)->Write({Commit(round, 300000)})) _exit(1);
        if (write(pipes[1], &round, sizeof(round)) != sizeof(round)) _exit(2);
        if (round % 3 == 0) (*store)->Tidy();
      }
      _exit(3);
    }
    close(pipes[1]);
    uint64_t acknowledged = 0;
    while (acknowledged < uint64_t(kill_after)) {
      ASSERT_EQ(read(pipes[0], &acknowledged, sizeof(acknowledged)), ssize_t(sizeof(acknowledged)));
    }
    ASSERT_EQ(kill(child, SIGKILL), 0);  // somewhere in the rounds after
    uint64_t more = 0;
    while (read(pipes[0], &more, sizeof(more)) == ssize_t(sizeof(more))) acknowledged = more;
    close(pipes[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));

    auto store = OpenRoundStore(options);
    ASSERT_TRUE(store) << store.error().message;
    const auto recovered = (*store)->Load();
    ASSERT_TRUE(recovered) << recovered.error().message;
    EXPECT_GE(recovered->round, acknowledged);
    EXPECT_LE(recovered->round, acknowledged + 1);  // committed, but its word did not get out
    EXPECT_EQ(*recovered->model, *ModelOf(recovered->round, 300000));
    EXPECT_EQ(recovered->history.size(), recovered->round);
    EXPECT_TRUE((*store)->Write({Commit(recovered->round + 1)}));
  }
}

TEST_F(StoreTest, ADiskThatIsFullIsSaidAndLosesNothing) {
  ASSERT_TRUE(Open()->Write({Commit(1)}));
  const int status = InChild([this] {
    auto store = OpenRoundStore(Options());
    if (!store) _exit(1);
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{300000, 300000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status written = (*store)->Write({Commit(2, 1000000)});
    if (written) _exit(2);
    if (written.error().code != Code::kIo) _exit(3);
    if (written.error().message.find("nothing was lost") == std::string::npos) _exit(4);
    if (!(*store)->Write({Commit(2, 1000)})) _exit(5);  // goes on when there is room
    _exit(0);
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(Load().round, 2u);
  EXPECT_EQ(*Load().model, *ModelOf(2));
}

TEST_F(StoreTest, TheLockDiesWithItsProcess) {
  InChild([this] {
    auto store = OpenRoundStore(Options());
    if (store) static_cast<void>((*store)->Write({Commit(1)}));
    kill(getpid(), SIGKILL);
  });
  EXPECT_EQ(Load().round, 1u);
}

// ---- Folders and files

TEST(StateFolderTest, NamesOfStrangersStayInsideTheirFolder) {
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(DefaultStateFolder("serve", "digits"), "/state/linnet/serve/digits");
  EXPECT_EQ(DefaultStateFolder("serve", "../../etc"), "/state/linnet/serve/_.._.._etc");
  EXPECT_EQ(DefaultStateFolder("join", ""), "/state/linnet/join/_");
  unsetenv("XDG_STATE_HOME");
}

TEST(StateFolderTest, AReplacedFileIsNewOrOldAndAnErrorKeepsTheOld) {
  TestFolder folder;
  const std::string path = folder.path() + "/participant";
  EXPECT_EQ(ReadFile(path, 100).error().code, Code::kNotFound);
  ASSERT_TRUE(ReplaceFile(path, AsBytes("first")));
  ASSERT_TRUE(ReplaceFile(path, AsBytes("second")));
  EXPECT_EQ(AsText(*ReadFile(path, 100)), "second");
  EXPECT_EQ(ReadFile(path, 3).error().code, Code::kLimit);
  EXPECT_FALSE(fs::exists(path + ".new"));
  ASSERT_EQ(mkdir((path + ".new").c_str(), 0700), 0);
  EXPECT_EQ(ReplaceFile(path, AsBytes("third")).error().code, Code::kIo);
  EXPECT_EQ(AsText(*ReadFile(path, 100)), "second");
}

}  // namespace
}  // namespace linnet
