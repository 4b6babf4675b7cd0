/* SPDX-License-Identifier: Apache-2.0
 * kv.c - calls through the table of an engine, and what all engines share.
 * Called by: the store and its tools, any thread. May touch: the tables.
 * Never: knows an engine by name, or what a key means. */
#include "kv.h"

const char *const wf_cf_names[WF_CF_COUNT] = {
    [WF_CF_ENTRY] = "entry", [WF_CF_META] = "meta",     [WF_CF_GEN] = "gen",
    [WF_CF_ARR] = "arr",     [WF_CF_CHILD] = "child",   [WF_CF_TIP] = "tip",
    [WF_CF_PEER] = "peer",   [WF_CF_TREE] = "tree",     [WF_CF_POLICY] = "policy",
    [WF_CF_TRIE] = "trie",   [WF_CF_SKETCH] = "sketch", [WF_CF_SUB] = "sub",
    [WF_CF_DOM] = "dom",
};

/* -- Who uses the engine, and when it may be opened again --------------------------------- */

/* The counters are sequentially consistent, so one of the two sees the other: a reader that
 * was not counted yet when the reopen looked finds `closing` set, and waits at the gate until
 * the engine is open again or the try was given up. The reopen waits for nobody: it looks a
 * number of times, in which those who only read a value are done, and else gives up. So a
 * thread that holds an iterator and asks for a value gets on. */
#define LOOKS 2000u

static void enter(wf_kv *kv)
{
    while (wf_counter_add(&kv->users, 1), wf_counter_get(&kv->closing) != 0) {
        wf_counter_sub(&kv->users, 1);
        wf_lock_take(kv->gate);
        wf_lock_give(kv->gate);
    }
}

static void leave(wf_kv *kv) { wf_counter_sub(&kv->users, 1); }

weft_err wf_kv_failed(wf_kv *kv) { return kv->ops->failed == NULL ? WEFT_OK : kv->ops->failed(kv); }

/* True: nobody has anything of the engine, and nobody gets anything before let_in. */
static bool shut_out(wf_kv *kv)
{
    wf_lock_take(kv->gate);
    wf_counter_set(&kv->closing, 1);
    for (unsigned i = 0; i < LOOKS; i++)
        if (wf_counter_get(&kv->users) == 0) return true;
    return false;
}

static void let_in(wf_kv *kv)
{
    wf_counter_set(&kv->closing, 0);
    wf_lock_give(kv->gate);
}

weft_err wf_kv_reopen(wf_kv *kv)
{
    if (kv->ops->reopen == NULL) return WEFT_UNSUPPORTED;
    if (kv->gate == NULL) return kv->ops->reopen(kv); /* it stands before one that has a gate */
    weft_err err = shut_out(kv) ? kv->ops->reopen(kv) : WEFT_AGAIN;
    let_in(kv);
    return err;
}

weft_err wf_kv_clear(wf_kv *kv, enum wf_cf cf)
{
    if (kv->ops->clear == NULL) return WEFT_UNSUPPORTED;
    weft_err err = shut_out(kv) ? kv->ops->clear(kv, cf) : WEFT_AGAIN;
    let_in(kv);
    return err;
}

/* -- Calls ---------------------------------------------------------------------------------- */

weft_err wf_kv_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                   size_t key_len, wf_value *out)
{
    enter(kv);
    weft_err err = kv->ops->get(kv, snap, cf, key, key_len, out);
    if (err != WEFT_OK) leave(kv); /* else wf_value_release does */
    return err;
}

static weft_err get_one_by_one(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                               const void *keys, size_t key_len, size_t count, wf_value *out,
                               weft_err *errs)
{
    const uint8_t *key = keys;
    for (size_t i = 0; i < count; i++, key += key_len)
        errs[i] = kv->ops->get(kv, snap, cf, key, key_len, &out[i]);
    return WEFT_OK;
}

weft_err wf_kv_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                         size_t key_len, size_t count, wf_value *out, weft_err *errs)
{
    enter(kv);
    weft_err err = kv->ops->multi_get == NULL
                       ? get_one_by_one(kv, snap, cf, keys, key_len, count, out, errs)
                       : kv->ops->multi_get(kv, snap, cf, keys, key_len, count, out, errs);
    uint64_t hits = 0;
    for (size_t i = 0; err == WEFT_OK && i < count; i++) hits += errs[i] == WEFT_OK;
    wf_counter_add(&kv->users, hits);
    leave(kv);
    return err;
}

void wf_value_release(wf_kv *kv, wf_value *value)
{
    kv->ops->release(kv, value);
    leave(kv);
}

weft_err wf_kv_write(wf_kv *kv, const wf_batch *batch, bool sync)
{
    return kv->ops->write(kv, batch, sync);
}

void wf_kv_drop_files(wf_kv *kv, enum wf_cf cf, const void *from, size_t from_len, const void *to,
                      size_t to_len)
{
    if (kv->ops->drop_files != NULL) kv->ops->drop_files(kv, cf, from, from_len, to, to_len);
}

void wf_kv_reclaim(wf_kv *kv, enum wf_cf cf, const void *from, size_t from_len, const void *to,
                   size_t to_len)
{
    if (kv->ops->reclaim == NULL) return;
    enter(kv);
    kv->ops->reclaim(kv, cf, from, from_len, to, to_len);
    leave(kv);
}

bool wf_kv_keeps_room(const wf_kv *kv) { return kv->ops->reclaim != NULL; }

void wf_kv_reclaim_stop(wf_kv *kv)
{
    if (kv->ops->reclaim_stop == NULL) return;
    enter(kv);
    kv->ops->reclaim_stop(kv);
    leave(kv);
}

weft_err wf_kv_sync(wf_kv *kv)
{
    enter(kv); /* beside a write it may be on another thread: a reopen may not come in between */
    weft_err err = kv->ops->sync(kv);
    leave(kv);
    return err;
}

weft_err wf_kv_snapshot_create(wf_kv *kv, wf_kv_snapshot **out)
{
    enter(kv);
    weft_err err = kv->ops->snapshot_create(kv, out);
    if (err == WEFT_OK) wf_counter_add(&kv->snapshots, 1);
    else leave(kv);
    return err;
}

void wf_kv_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *snap)
{
    if (snap == NULL) return;
    kv->ops->snapshot_destroy(kv, snap);
    wf_counter_sub(&kv->snapshots, 1);
    leave(kv);
}

weft_err wf_kv_checkpoint(wf_kv *kv, const char *dir)
{
    enter(kv);
    weft_err err = kv->ops->checkpoint(kv, dir);
    leave(kv);
    return err;
}

uint64_t wf_kv_memory(wf_kv *kv)
{
    enter(kv);
    uint64_t bytes = kv->ops->memory(kv);
    leave(kv);
    return bytes;
}

void wf_kv_stats_read(wf_kv *kv, wf_kv_stats *out)
{
    *out = (wf_kv_stats){0};
    enter(kv);
    if (kv->ops->stats != NULL) kv->ops->stats(kv, out);
    else out->memtable_bytes = kv->ops->memory(kv);
    leave(kv);
    uint64_t users = wf_counter_get(&kv->users);
    out->iterators = wf_counter_get(&kv->iterators);
    out->snapshots = wf_counter_get(&kv->snapshots);
    uint64_t others = out->iterators + out->snapshots;
    out->values = users > others ? users - others : 0; /* they move meanwhile */
}

size_t wf_kv_text(wf_kv *kv, char *out, size_t room)
{
    if (kv->ops->text == NULL) {
        if (room > 0) out[0] = '\0';
        return 0;
    }
    enter(kv);
    size_t len = kv->ops->text(kv, out, room);
    leave(kv);
    return len;
}

void wf_kv_close(wf_kv *kv)
{
    if (kv != NULL) kv->ops->close(kv);
}

/* -- Iterators ------------------------------------------------------------------------------ */

weft_err wf_kv_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *prefix,
                           size_t prefix_len, wf_kv_iter **out)
{
    wf_kv_iter *it;
    enter(kv);
    weft_err err = kv->ops->iter_create(kv, snap, cf, prefix, prefix_len, &it);
    if (err != WEFT_OK) {
        leave(kv);
        return err;
    }
    it->kv = kv;
    wf_counter_add(&kv->iterators, 1);
    *out = it;
    return WEFT_OK;
}

void wf_kv_iter_destroy(wf_kv_iter *it)
{
    if (it == NULL) return;
    wf_kv *kv = it->kv; /* NULL: the engine ended the iterator and counts it no more */
    it->ops->iter_destroy(it);
    if (kv == NULL) return;
    wf_counter_sub(&kv->iterators, 1);
    leave(kv);
}

void wf_kv_iter_first(wf_kv_iter *it) { it->ops->iter_first(it); }

void wf_kv_iter_last(wf_kv_iter *it) { it->ops->iter_last(it); }

void wf_kv_iter_seek(wf_kv_iter *it, const void *key, size_t key_len)
{
    it->ops->iter_seek(it, key, key_len);
}

void wf_kv_iter_seek_back(wf_kv_iter *it, const void *key, size_t key_len)
{
    it->ops->iter_seek_back(it, key, key_len);
}

void wf_kv_iter_next(wf_kv_iter *it) { it->ops->iter_next(it); }

void wf_kv_iter_prev(wf_kv_iter *it) { it->ops->iter_prev(it); }

bool wf_kv_iter_valid(const wf_kv_iter *it) { return it->ops->iter_valid(it); }

const uint8_t *wf_kv_iter_key(const wf_kv_iter *it, size_t *len)
{
    return it->ops->iter_key(it, len);
}

const uint8_t *wf_kv_iter_value(const wf_kv_iter *it, size_t *len)
{
    return it->ops->iter_value(it, len);
}

weft_err wf_kv_iter_err(const wf_kv_iter *it) { return it->ops->iter_err(it); }
