// Size negotiation, handles, and what happens to members that one side does not know.
#include "abi/harness.h"
#include "plugins/builtin.h"

namespace linnet::testing {
namespace {

TEST(SizesTest, StructsOfANewerHostAreReadUpToWhatThePluginKnows) {
  const Cohort cohort = MakeCohort(1, 3);
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    Instance plain(table, "{}", cohort.counts);
    plain.Begin(cohort.grid_exp);
    plain.Fold(cohort, InOrder(3));

    // Each struct has 24 bytes that this plugin has never heard of.
    struct NewRound {
      lnt_round known;
      uint8_t unknown[24];
    } round{};
    struct NewUpdate {
      lnt_update known;
      uint8_t unknown[24];
    } updates[3];
    struct NewTensor {
      lnt_tensor known;
      uint8_t unknown[24];
    } tensors[3] = {};
    struct NewCaps {
      lnt_caps known;
      uint8_t unknown[24];
    } caps{};
    lnt_handle handle = 0;
    std::memset(&caps, 0xee, sizeof(caps));
    caps.known.struct_size = sizeof(caps);
    ASSERT_EQ(table->create(0, "{}", 2, &handle, &caps.known), LNT_OK);
    EXPECT_EQ(caps.known.struct_size, sizeof(lnt_caps)) << "what the plugin filled in";
    EXPECT_EQ(caps.unknown[0], 0xee) << "never written";
    uint64_t offset = 0;
    for (size_t i = 0; i < 3; ++i) {
      tensors[i].known.struct_size = sizeof(NewTensor);
      tensors[i].known.dtype = LNT_F32;
      tensors[i].known.elem_off = offset;
      tensors[i].known.elem_count = cohort.counts[i];
      offset += cohort.counts[i];
    }
    ASSERT_EQ(table->set_layout(handle, &tensors[0].known, 3, "", 0), LNT_OK);
    round.known.struct_size = sizeof(round);
    round.known.grid_exp = cohort.grid_exp;
    ASSERT_EQ(table->round_begin(handle, &round.known, sizeof(round)), LNT_OK);
    for (size_t i = 0; i < 3; ++i) {
      updates[i].known = MakeUpdate(i, cohort.weights[i]);
      updates[i].known.struct_size = sizeof(NewUpdate);
      std::memset(updates[i].unknown, 0xee, sizeof(updates[i].unknown));
    }
    ASSERT_EQ(table->updates_begin(handle, &updates[0].known, sizeof(NewUpdate), 3), LNT_OK);
    size_t at = 0;
    for (uint32_t tensor = 0; tensor < 3; ++tensor) {
      std::vector<float> rows;
      for (const auto& x : cohort.updates) {
        rows.insert(rows.end(), x.begin() + static_cast<ptrdiff_t>(at),
                    x.begin() + static_cast<ptrdiff_t>(at + cohort.counts[tensor]));
      }
      at += cohort.counts[tensor];
      ASSERT_EQ(table->updates_chunk(handle, tensor, 0, rows.data(), cohort.counts[tensor] * 4,
                                     cohort.counts[tensor]),
                LNT_OK);
    }
    ASSERT_EQ(table->updates_end(handle), LNT_OK);
    Bytes partial(plain.Partial().size());
    ASSERT_EQ(table->blob_read(handle, LNT_BLOB_PARTIAL, 0, partial.data(),
                               static_cast<uint32_t>(partial.size())),
              LNT_OK);
    EXPECT_EQ(partial, plain.Partial()) << plugin.name;
    table->destroy(handle);
  }
}

TEST(SizesTest, StructsOfAnOlderHostAreFilledUpWithZeros) {
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    Instance instance(table, "{}", {4});
    // A host whose lnt_round ends before the seed, and whose lnt_update ends after the weight.
    struct alignas(8) {
      uint8_t bytes[72];
    } old_round;
    lnt_round round{};
    round.struct_size = sizeof(old_round);
    round.grid_exp = -20;
    std::memcpy(&old_round, &round, sizeof(old_round));
    EXPECT_EQ(table->round_begin(instance.handle(), reinterpret_cast<const lnt_round*>(&old_round),
                                 sizeof(old_round)),
              LNT_OK);
    uint8_t old_updates[2][56];
    for (auto& old : old_updates) {
      lnt_update update = MakeUpdate(0, 2);
      update.struct_size = 56;
      std::memcpy(old, &update, 56);
    }
    EXPECT_EQ(table->updates_begin(instance.handle(),
                                   reinterpret_cast<const lnt_update*>(old_updates), 56, 2),
              LNT_OK);
    const float rows[8] = {1, 2, 3, 4, 3, 4, 5, 6};
    EXPECT_EQ(table->updates_chunk(instance.handle(), 0, 0, rows, 16, 4), LNT_OK);
    EXPECT_EQ(table->updates_end(instance.handle()), LNT_OK);
    uint64_t weight = 0;
    const Bytes partial = instance.Partial();
    std::memcpy(&weight, partial.data() + 24, 8);
    EXPECT_EQ(weight, 4u);
    // One that ends before the weight: a weight of 0, which is refused.
    EXPECT_EQ(table->updates_begin(instance.handle(),
                                   reinterpret_cast<const lnt_update*>(old_updates), 48, 1),
              LNT_E_DATA);
    // Room for half of lnt_caps.
    lnt_caps caps;
    std::memset(&caps, 0xee, sizeof(caps));
    caps.struct_size = 16;
    lnt_handle handle = 0;
    EXPECT_EQ(table->create(0, "{}", 2, &handle, &caps), LNT_OK);
    EXPECT_EQ(caps.modes, LNT_MODE_STREAM);
    EXPECT_EQ(caps.state_bytes_hint, 0xeeeeeeeeeeeeeeeeu) << "written past what the host has";
    table->destroy(handle);
  }
}

TEST(SizesTest, AHostSeesOnlyTheMembersThatATableReaches) {
  lnt_plugin table = *BuiltinPlugins()[0].entry(&PluginHost());
  EXPECT_TRUE(LNT_HAS(&table, last_error));
  EXPECT_FALSE(LNT_HAS(&table, extension)) << "NULL";
  EXPECT_FALSE(LNT_HAS(&table, pass_block)) << "not overridden";
  EXPECT_FALSE(LNT_HAS(&table, base_chunk)) << "not overridden";
  table.struct_size = offsetof(lnt_plugin, last_error);
  EXPECT_FALSE(LNT_HAS(&table, last_error));
  EXPECT_TRUE(LNT_HAS(&table, blob_write));
  table.struct_size = offsetof(lnt_plugin, last_error) + sizeof(void*) - 1;
  EXPECT_FALSE(LNT_HAS(&table, last_error)) << "half a member";
  table.struct_size = sizeof(lnt_plugin) + 64;
  EXPECT_TRUE(LNT_HAS(&table, last_error)) << "a newer plugin";
}

TEST(SizesTest, ForgedAndOldHandlesAreRefused) {
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    lnt_caps caps{};
    caps.struct_size = sizeof(caps);
    lnt_handle handle = 0;
    ASSERT_EQ(table->create(0, "{}", 2, &handle, &caps), LNT_OK);
    ASSERT_NE(handle, 0u);
    table->destroy(handle);
    for (const lnt_handle forged :
         {lnt_handle{0}, handle, lnt_handle{0xffffffffu}, handle + 1, handle ^ 0x80000000u}) {
      EXPECT_EQ(table->finalize(forged), LNT_E_INVALID) << forged;
      EXPECT_EQ(table->updates_end(forged), LNT_E_INVALID);
      table->destroy(forged);
      uint64_t size = 0;
      EXPECT_EQ(table->blob_size(forged, 1, &size), LNT_E_INVALID);
    }
  }
}

TEST(SizesTest, TextsLongerThanTheRoomSayHowLongTheyAre) {
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    const lnt_plugin* table = plugin.entry(&PluginHost());
    uint32_t size = 0;
    ASSERT_EQ(table->describe(0, nullptr, 0, &size), LNT_OK);
    ASSERT_GT(size, 20u);
    std::string text(size, '\0'), part(10, '#');
    uint32_t again = 0;
    ASSERT_EQ(table->describe(0, text.data(), size, &again), LNT_OK);
    EXPECT_EQ(again, size);
    ASSERT_EQ(table->describe(0, part.data(), 4, &again), LNT_OK);
    EXPECT_EQ(again, size);
    EXPECT_EQ(part, text.substr(0, 4) + "######");
    EXPECT_LT(table->describe(1, text.data(), size, &again), 0) << "no such strategy";
  }
}

TEST(SizesTest, AHostOfAnotherMajorGetsNoTable) {
  for (const BuiltinPlugin& plugin : ExactMeans()) {
    lnt_host host = PluginHost();
    for (const uint32_t version : {0u, 2u << 16, 0xffffu << 16}) {
      host.abi_version = version;
      EXPECT_EQ(plugin.entry(&host), nullptr) << version;
    }
    EXPECT_EQ(plugin.entry(nullptr), nullptr);
    host.abi_version = LNT_ABI_VERSION + 7;  // a newer minor
    EXPECT_NE(plugin.entry(&host), nullptr);
    plugin.entry(&PluginHost());
  }
}

}  // namespace
}  // namespace linnet::testing
