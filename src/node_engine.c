/* SPDX-License-Identifier: Apache-2.0
 * node_engine.c - the engine under a node's store: which one, and what becomes of a damaged one.
 * Called by: weft.c, before a node has a thread. May touch: the directory of the store.
 * Never: renews a store that was not asked to be, or that somebody has open. */
#include "block.h"
#include "fork.h"
#include "log.h"
#include "node_internal.h"
#include "renew.h"
#include "replay.h"
#include "store_dir.h"

#define LOG_WORTH_TELLING (UINT64_C(1) << 20)

/* The engine on disk has threads for the whole process, and a child has none of them. */
static bool engine_was_left_behind(void)
{
    static wf_counter first; /* 1 + the forks before the first opening */
    uint64_t here = wf_fork_count() + 1;
    if (wf_counter_get(&first) == 0) wf_counter_set(&first, here);
    return wf_counter_get(&first) != here;
}

/* RocksDB reads its logs again within one call, so somebody else has to look how far it is. */
struct opening {
    const weft_node_options *o;
    const wf_kv_disk_options *options;
    uint64_t of_all; /* bytes of logs */
    wf_kv *kv;
    weft_err err;
};

static void open_aside(void *arg)
{
    struct opening *opening = arg;
    opening->err = wf_kv_disk_open(opening->o->dir, opening->options, &opening->kv);
}

static void tell(void *arg)
{
    const struct opening *opening = arg;
    uint64_t done = wf_replay_bytes(opening->o->dir);
    opening->o->on_progress(opening->o->progress_arg,
                            done < opening->of_all ? done : opening->of_all, opening->of_all);
}

static weft_err open_telling(const weft_node_options *o, const wf_kv_disk_options *options,
                             uint64_t of_all, wf_kv **out)
{
    struct opening opening = {.o = o, .options = options, .of_all = of_all};
    o->on_progress(o->progress_arg, 0, of_all);
    wf_run_aside(open_aside, &opening, WEFT_SEC, tell, &opening);
    if (opening.err != WEFT_OK) return opening.err;
    o->on_progress(o->progress_arg, of_all, of_all);
    *out = opening.kv;
    return WEFT_OK;
}

static weft_err open_disk(const weft_node_options *o, wf_kv **out)
{
    static const enum wf_engine engines[] = {[WEFT_ENGINE_AUTO] = WF_ENGINE_AUTO,
                                             [WEFT_ENGINE_ROCKSDB] = WF_ENGINE_ROCKSDB,
                                             [WEFT_ENGINE_LMDB] = WF_ENGINE_LMDB};
    if ((size_t)o->engine >= sizeof engines / sizeof *engines) return WEFT_INVALID;
    wf_kv_disk_options options = {
        .engine = engines[o->engine], .memory_bytes = o->store_memory_bytes, .create = true};
    uint64_t logs = o->on_progress == NULL ? 0 : wf_store_dir_log_bytes(o->dir);
    if (logs >= LOG_WORTH_TELLING) return open_telling(o, &options, logs, out);
    return wf_kv_disk_open(o->dir, &options, out);
}

weft_err wf_node_renew(const weft_node_options *o, bool opens)
{
    const wf_renew_options how = {.memory_bytes = o->store_memory_bytes, .opens = opens};
    weft_rt *rt = o->rt;
    weft_err err = rt == NULL ? weft_rt_create(&rt) : WEFT_OK;
    if (err == WEFT_OK) err = wf_renew(o->dir, rt, &how, NULL);
    if (o->rt == NULL && rt != NULL) (void)weft_rt_destroy(rt);
    return err;
}

/* A block was bad while it was open last: it opens, and stops when a compaction meets that. Where
 * it cannot be renewed (no room) it goes on as it is; but not once the new one is there, because what is
 * written to the old one then would leave with it (store_dir.h). */
static weft_err open_marked(const weft_node_options *o, wf_kv **kv)
{
    wf_kv_close(*kv);
    *kv = NULL;
    weft_err err = wf_node_renew(o, true);
    if (err != WEFT_OK)
        wf_log(WEFT_LOG_WARN, "store", "path=%s is damaged and could not be renewed: %s", o->dir,
               weft_errname(err));
    return open_disk(o, kv);
}

weft_err wf_node_engine_open(const weft_node_options *o, wf_kv **out)
{
    wf_kv *kv = NULL;
    if (o->dir == NULL) return wf_kv_memory_open(out);
    if (engine_was_left_behind())
        return wf_fail(WEFT_FORKED, "weft", "path=%s: the engine's threads are the parent's",
                       o->dir);
    weft_err err = wf_renew_resume(o->dir);
    if (err == WEFT_OK) err = open_disk(o, &kv);
    if (err == WEFT_OK && o->renew && wf_store_dir_is_damaged(o->dir)) err = open_marked(o, &kv);
    if (err == WEFT_OK) *out = kv;
    return err;
}
