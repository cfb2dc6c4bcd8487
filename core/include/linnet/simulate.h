/* Whole federations in one process: the machines of production over an in-memory network, under a
 * virtual clock, from one seed. Rules as in linnet.h; nothing here opens a file or a socket. */
#ifndef LINNET_SIMULATE_H_
#define LINNET_SIMULATE_H_

#include "linnet/linnet.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_simulation linnet_simulation;
/* The entry of a strategy (lnt_entry_fn of linnet/plugin.h). */
struct lnt_plugin;
struct lnt_host;
typedef const struct lnt_plugin* (*linnet_strategy)(const struct lnt_host* host);

/* options_json: {"federation": {...} as a federation file, "participants": 10, "partition": "iid",
 * "data": "strokes?writers=0-99", "seed": 1}. Data and evaluation are drawn here ("strokes?...");
 * without "evaluate.data" participants evaluate on what they hold out. `strategies`: those that the
 * federation may name; the modules must outlive the process. NULL on error. */
LINNET_API linnet_simulation* linnet_create_simulation(const char* options_json,
                                                       const linnet_strategy* strategies,
                                                       size_t count);
LINNET_API void linnet_destroy_simulation(linnet_simulation* simulation);
/* Lets up to max_events happen, with the computing that they wait for. Returns 1 while there is
 * more, 0 at the end, < 0 on error. */
LINNET_API linnet_status linnet_run_simulation(linnet_simulation* simulation, uint32_t max_events);
/* What was not told yet, oldest first, else NULL: {"round", "accuracy" and "loss" or null,
 * "invited", "counted", "uplinkBytes", "downlinkBytes", "virtualSeconds", "model"}, or a line of
 * the strategy's log {"level", "line"}. */
LINNET_API const char* linnet_next_simulation_event(linnet_simulation* simulation);
/* After the end, once: {"rounds", "accuracy", "loss", "targetReached", "uplinkBytes",
 * "downlinkBytes", "virtualSeconds", "model"}. NULL on error: no round could be closed, or the
 * strategy kept failing, and why. */
LINNET_API const char* linnet_finish_simulation(linnet_simulation* simulation);
/* After linnet_finish_simulation: the last model (a copy, destroy it). NULL on error. */
LINNET_API linnet_model* linnet_simulation_model(linnet_simulation* simulation);

#ifdef __cplusplus
}
#endif
#endif /* LINNET_SIMULATE_H_ */
