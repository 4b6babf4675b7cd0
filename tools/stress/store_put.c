/* SPDX-License-Identifier: Apache-2.0
 * store_put.c - put: commits, as many as the store takes, from several writers.
 * Called by: actor_run.c. May touch: its node, by the rooms of store_load.h.
 * Never: commits what was not announced. */
#include "store_load.h"

static bool put(struct producer *p)
{
    weft_id id;
    return store_commit(p, UINT64_MAX, &id);
}

static void start_put(struct work *w)
{
    struct store_load *s = w->own = kit_alloc(1, sizeof *s);
    s->step = put;
    s->filled = true;
    if (store_prepare(w, s) && store_open(s)) store_start(s);
}

static void judge_put(struct work *w)
{
    struct store_load *s = w->own;
    store_join(s);
    store_note_batches(s);
    store_judge(s);
}

const struct load load_put = {.name = "put",
                              .unit = "commits",
                              .about = "durable commits, each producer with a writer of its own",
                              .stores = true,
                              .shape = {.producers = 8, .payload = 512},
                              .start = start_put,
                              .pending = store_pending,
                              .judge = judge_put,
                              .end = store_end};
