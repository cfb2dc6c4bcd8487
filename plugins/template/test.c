/* Loads a plugin and runs two rounds of two updates: the weighted mean of (1, 2, 3) with weight 1
 * and (4, 5, 6) with weight 3 is (3.25, 4.25, 5.25). */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "linnet/plugin.h"

#define WANT(condition)                                     \
  do {                                                      \
    if (!(condition)) {                                     \
      printf("line %d: wanted %s\n", __LINE__, #condition); \
      return 1;                                             \
    }                                                       \
  } while (0)

int main(int argc, char** argv) {
  WANT(argc == 2);
  void* module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) printf("%s\n", dlerror());
  WANT(module != NULL);
  lnt_entry_fn entry = NULL;
  void* symbol = dlsym(module, LNT_ENTRY_SYMBOL);
  WANT(symbol != NULL);
  memcpy(&entry, &symbol, sizeof(entry));

  const lnt_host host = {.struct_size = sizeof(lnt_host), .abi_version = LNT_ABI_VERSION};
  const lnt_host other = {.struct_size = sizeof(lnt_host), .abi_version = 9u << 16};
  WANT(entry(&other) == NULL);
  const lnt_plugin* plugin = entry(&host);
  WANT(plugin != NULL && plugin->count() == 1);

  const char config[] = "{\"rate\":1}";
  lnt_handle h = 0;
  lnt_caps caps = {.struct_size = sizeof(lnt_caps)};
  WANT(plugin->create(0, config, sizeof(config) - 1, &h, &caps) == LNT_OK && h != 0);
  const lnt_tensor tensor = {.struct_size = sizeof(lnt_tensor),
                             .name_len = 1,
                             .dtype = LNT_F32,
                             .rank = 1,
                             .dims = {3},
                             .elem_count = 3};
  WANT(plugin->set_layout(h, &tensor, 1, "w", 1) == LNT_OK);
  float model[3] = {0, 10, 20};
  for (int round = 1; round <= 2; ++round) {
    const lnt_round parameters = {
        .struct_size = sizeof(lnt_round), .round = (uint64_t)round, .grid_exp = -25};
    WANT(plugin->round_begin(h, &parameters, sizeof(parameters)) == LNT_OK);
    const lnt_update updates[2] = {{.struct_size = sizeof(lnt_update), .weight = 1},
                                   {.struct_size = sizeof(lnt_update), .ordinal = 1, .weight = 3}};
    const float rows[2][3] = {{1, 2, 3}, {4, 5, 6}};
    WANT(plugin->updates_begin(h, updates, sizeof(lnt_update), 2) == LNT_OK);
    WANT(plugin->updates_chunk(h, 0, 0, rows, sizeof(rows[0]), 3) == LNT_OK);
    WANT(plugin->updates_end(h) == LNT_OK);
    WANT(plugin->finalize(h) == LNT_OK);
    WANT(plugin->result_chunk(h, 0, 0, model, model, 3) == LNT_OK);
    char metrics[100];
    uint32_t size = 0;
    WANT(plugin->round_end(h, metrics, sizeof(metrics), &size) == LNT_OK &&
         size <= sizeof(metrics));
    WANT(model[0] == 3.25f * (float)round);
    WANT(model[1] == 10 + 4.25f * (float)round && model[2] == 20 + 5.25f * (float)round);
  }
  plugin->destroy(h);
  printf("two rounds, as they should be\n");
  return 0;
}
