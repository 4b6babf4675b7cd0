/* SPDX-License-Identifier: Apache-2.0
 * node_engine.c - the engine under a node's store: which one, and what becomes of a damaged one.
 * Called by: weft.c, before a node has a thread. May touch: the directory of the store.
 * Never: renews a store that was not asked to be, or that somebody has open. */
#include "fork.h"
#include "log.h"
#include "node_internal.h"
#include "renew.h"
#include "store_dir.h"

/* The engine on disk has threads for the whole process, and a child has none of them. */
static bool engine_was_left_behind(void)
{
    static wf_counter first; /* 1 + the forks before the first opening */
    uint64_t here = wf_fork_count() + 1;
    if (wf_counter_get(&first) == 0) wf_counter_set(&first, here);
    return wf_counter_get(&first) != here;
}

static weft_err open_disk(const weft_node_options *o, wf_kv **out)
{
    static const enum wf_engine engines[] = {[WEFT_ENGINE_AUTO] = WF_ENGINE_AUTO,
                                             [WEFT_ENGINE_ROCKSDB] = WF_ENGINE_ROCKSDB,
                                             [WEFT_ENGINE_LMDB] = WF_ENGINE_LMDB};
    if ((size_t)o->engine >= sizeof engines / sizeof *engines) return WEFT_INVALID;
    wf_kv_disk_options options = {
        .engine = engines[o->engine], .memory_bytes = o->store_memory_bytes, .create = true};
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
