/* SPDX-License-Identifier: Apache-2.0
 * store_history.h - a signed history in memory, made before anything is measured.
 * Called by: the benchmarks of the store. Never: a clock. */
#ifndef WF_BENCH_STORE_HISTORY_H
#define WF_BENCH_STORE_HISTORY_H

#include <weft/entry.h>

struct history {
    uint32_t count;
    weft_buf **bufs;
    weft_id *ids;
};

/* A root, and `count - 1` entries of 200 bytes of payload by `writers` writers in turn, each with
 * its own newest entry as parent; with `joins` every eighth entry joins another's besides. Ends
 * the process with a sentence if that fails. */
void history_build(struct history *h, uint32_t count, uint32_t writers, bool joins);
/* The same with who follows whom by name: chain; wide: 16 writers with joins; scattered: each
 * follows one by chance; star: all follow the root. False: there is no such shape. */
bool history_build_shape(struct history *h, uint32_t count, const char *shape);
void history_free(struct history *h);

/* Ends the process with `what` and the error unless `err` is OK. */
void must(weft_err err, const char *what);

#endif
