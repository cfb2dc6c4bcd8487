#include "wasm/remote_plugin.h"

#include <emscripten/em_js.h>

#include <utility>

EM_JS(int32_t, linnet_remote_call, (uint32_t slot, uint32_t member, const uint64_t* words),
      { return Module['remoteCall'](slot, member, words); });
EM_JS(int32_t, linnet_remote_has, (uint32_t slot, uint32_t member),
      { return Module['remoteHas'](slot, member) ? 1 : 0; });

namespace linnet {
namespace {

uint64_t Word(const volatile void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }
uint64_t Word(uint64_t value) { return value; }

// Tables of functions have no context, so each slot and member has a function of its own.
template <uint32_t kSlot, uint32_t kMember, typename Result, typename... Arguments>
Result Call(Arguments... arguments) {
  const uint64_t words[sizeof...(Arguments) + 1] = {Word(arguments)..., 0};
  return static_cast<Result>(linnet_remote_call(kSlot, kMember, words));
}

template <uint32_t kSlot, uint32_t kMember, typename Result, typename... Arguments>
void Offer(Result (*&member)(Arguments...)) {
  member = linnet_remote_has(kSlot, kMember) != 0 ? &Call<kSlot, kMember, Result, Arguments...>
                                                  : nullptr;
}

template <uint32_t kSlot>
const lnt_plugin* Enter(const lnt_host* host) {
  static lnt_plugin table;
  if (host == nullptr || host->abi_version >> 16 != LNT_ABI_MAJOR) return nullptr;
  table = {};
  table.struct_size = sizeof(table);
  table.abi_version = LNT_ABI_VERSION;
  Offer<kSlot, 0>(table.count);
  Offer<kSlot, 1>(table.describe);
  Offer<kSlot, 2>(table.create);
  Offer<kSlot, 3>(table.destroy);
  Offer<kSlot, 4>(table.set_layout);
  Offer<kSlot, 5>(table.round_begin);
  Offer<kSlot, 6>(table.base_chunk);
  Offer<kSlot, 7>(table.updates_begin);
  Offer<kSlot, 8>(table.updates_chunk);
  Offer<kSlot, 9>(table.updates_end);
  Offer<kSlot, 10>(table.pass_begin);
  Offer<kSlot, 11>(table.pass_block);
  Offer<kSlot, 12>(table.pass_end);
  Offer<kSlot, 13>(table.finalize);
  Offer<kSlot, 14>(table.result_chunk);
  Offer<kSlot, 15>(table.round_end);
  Offer<kSlot, 16>(table.blob_size);
  Offer<kSlot, 17>(table.blob_read);
  Offer<kSlot, 18>(table.blob_write);
  Offer<kSlot, 19>(table.last_error);
  return &table;
}

template <uint32_t... kSlots>
lnt_entry_fn EnterSlot(uint32_t slot, std::integer_sequence<uint32_t, kSlots...>) {
  static constexpr lnt_entry_fn kEntries[] = {&Enter<kSlots>...};
  return kEntries[slot];
}

}  // namespace

lnt_entry_fn RemotePlugin(uint32_t slot) {
  return EnterSlot(slot, std::make_integer_sequence<uint32_t, kRemotePlugins>());
}

}  // namespace linnet
