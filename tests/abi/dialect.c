/* The plugin headers in every dialect, and the layout of what crosses by content: golden offsets
 * that hold on LP64 and on wasm32. Compiled with -fsyntax-only by abi.cmake, as C and (with -x c++)
 * as C++. */
#include "linnet/plugin.h"
#include "linnet/version.h"

#ifdef __cplusplus
#define EXPECT(condition) static_assert(condition, #condition)
#else
#define EXPECT(condition) _Static_assert(condition, #condition)
#endif
#define AT(type, member, offset) EXPECT(offsetof(type, member) == (offset))

EXPECT(sizeof(lnt_tensor) == 80);
AT(lnt_tensor, struct_size, 0);
AT(lnt_tensor, name_off, 4);
AT(lnt_tensor, name_len, 8);
AT(lnt_tensor, role, 12);
AT(lnt_tensor, dtype, 16);
AT(lnt_tensor, rank, 20);
AT(lnt_tensor, dims, 24);
AT(lnt_tensor, mod_bits, 56);
AT(lnt_tensor, flags, 60);
AT(lnt_tensor, elem_off, 64);
AT(lnt_tensor, elem_count, 72);

EXPECT(sizeof(lnt_update) == 104);
AT(lnt_update, struct_size, 0);
AT(lnt_update, flags, 4);
AT(lnt_update, ordinal, 8);
AT(lnt_update, client_tag_lo, 16);
AT(lnt_update, client_tag_hi, 24);
AT(lnt_update, base_version, 32);
AT(lnt_update, server_version, 40);
AT(lnt_update, weight, 48);
AT(lnt_update, reserved, 52);
AT(lnt_update, num_examples, 56);
AT(lnt_update, num_steps, 64);
AT(lnt_update, l2_norm, 72);
AT(lnt_update, loss_before, 80);
AT(lnt_update, loss_after, 88);
AT(lnt_update, train_seconds, 96);

EXPECT(sizeof(lnt_round) == 104);
AT(lnt_round, struct_size, 0);
AT(lnt_round, flags, 4);
AT(lnt_round, run_lo, 8);
AT(lnt_round, run_hi, 16);
AT(lnt_round, round, 24);
AT(lnt_round, server_version, 32);
AT(lnt_round, population, 40);
AT(lnt_round, cohort, 48);
AT(lnt_round, expected_updates, 56);
AT(lnt_round, grid_exp, 64);
AT(lnt_round, weight_unit_exp, 68);
AT(lnt_round, seed, 72);

EXPECT(sizeof(lnt_caps) == 32);
AT(lnt_caps, struct_size, 0);
AT(lnt_caps, abi_version, 4);
AT(lnt_caps, modes, 8);
AT(lnt_caps, caps, 12);
AT(lnt_caps, state_bytes_hint, 16);
AT(lnt_caps, scratch_bytes_hint, 24);

EXPECT(sizeof(lnt_status) == 4);
EXPECT(sizeof(lnt_handle) == 4);

/* Tables: two words of 32 bits, then pointers in this order for ever. */
#define SLOT(type, member, slot) AT(type, member, 8 + (slot) * sizeof(void*))
SLOT(lnt_plugin, count, 0);
SLOT(lnt_plugin, describe, 1);
SLOT(lnt_plugin, create, 2);
SLOT(lnt_plugin, destroy, 3);
SLOT(lnt_plugin, set_layout, 4);
SLOT(lnt_plugin, round_begin, 5);
SLOT(lnt_plugin, base_chunk, 6);
SLOT(lnt_plugin, updates_begin, 7);
SLOT(lnt_plugin, updates_chunk, 8);
SLOT(lnt_plugin, updates_end, 9);
SLOT(lnt_plugin, pass_begin, 10);
SLOT(lnt_plugin, pass_block, 11);
SLOT(lnt_plugin, pass_end, 12);
SLOT(lnt_plugin, finalize, 13);
SLOT(lnt_plugin, result_chunk, 14);
SLOT(lnt_plugin, round_end, 15);
SLOT(lnt_plugin, blob_size, 16);
SLOT(lnt_plugin, blob_read, 17);
SLOT(lnt_plugin, blob_write, 18);
SLOT(lnt_plugin, last_error, 19);
SLOT(lnt_plugin, extension, 20);
SLOT(lnt_host, ctx, 0);
SLOT(lnt_host, log, 1);
SLOT(lnt_host, cancelled, 2);
SLOT(lnt_host, random, 3);
SLOT(lnt_host, extension, 4);
SLOT(lnt_kernels_v1, ctx, 0);
SLOT(lnt_kernels_v1, fold_exact, 1);
SLOT(lnt_kernels_v1, axpy, 2);
SLOT(lnt_kernels_v1, dot, 3);
SLOT(lnt_kernels_v1, fold_weighted, 4);
SLOT(lnt_kernels_v1, combine, 5);
SLOT(lnt_kernels_v1, column_median, 6);
SLOT(lnt_kernels_v1, column_trimmed_mean, 7);
SLOT(lnt_kernels_v1, column_closest_mean, 8);
SLOT(lnt_kernels_v1, pair_distances, 9);
SLOT(lnt_kernels_v1, row_distances, 10);

EXPECT(LNT_ABI_VERSION == 0x10000);
