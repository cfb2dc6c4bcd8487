/* A module of the next major version: its table is refused. */
#include "linnet/plugin.h"

static const lnt_plugin kTable = {.struct_size = sizeof(lnt_plugin),
                                  .abi_version = (LNT_ABI_MAJOR + 1) << 16};

const lnt_plugin* LNT_ENTRY(const lnt_host* host) { return host != NULL ? &kTable : NULL; }
