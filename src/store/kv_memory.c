/* SPDX-License-Identifier: Apache-2.0
 * kv_memory.c - the engine in memory, with fixed views, failures and crashes.
 * Called by: tests, the simulator, nodes without a disk; through kv.h, any thread.
 * May touch: its maps, under its lock. Never: a file, a clock, chance. */
#include "alloc.h"
#include "kv_memory_state.h"
#include "log.h"

static weft_err memory_checkpoint(wf_kv *kv, const char *dir)
{
    (void)kv;
    (void)dir;
    return WEFT_UNSUPPORTED;
}

static uint64_t memory_bytes(wf_kv *kv)
{
    struct wf_memory *m = wf_memory_of(kv);
    uint64_t bytes = (m->list_room + m->touched_room) * sizeof *m->list;
    wf_rwlock_read(m->lock);
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) bytes += wf_memmap_bytes(&m->maps[cf]);
    wf_rwlock_give(m->lock);
    return bytes;
}

static void memory_close(wf_kv *kv)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_mem_views_end(m);
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) wf_memmap_fini(&m->maps[cf]);
    wf_rwlock_destroy(m->lock);
    wf_lock_destroy(m->base.gate);
    wf_batch_destroy(m->limbo);
    wf_batch_order_fini(&m->order);
    wf_free(m->list);
    wf_free(m->touched);
    wf_free(m);
}

static const struct wf_kv_ops memory_ops = {
    .name = "memory",
    .get = wf_memory_get,
    .multi_get = wf_memory_multi_get,
    .release = wf_memory_release,
    .write = wf_memory_write,
    .sync = wf_memory_sync,
    .snapshot_create = wf_memory_snapshot_create,
    .snapshot_destroy = wf_memory_snapshot_destroy,
    .checkpoint = memory_checkpoint,
    .memory = memory_bytes,
    .close = memory_close,
    .iter_create = wf_memory_iter_create,
    .iter_destroy = wf_memory_iter_destroy,
    .iter_first = wf_memory_iter_first,
    .iter_last = wf_memory_iter_last,
    .iter_seek = wf_memory_iter_seek,
    .iter_seek_back = wf_memory_iter_seek_back,
    .iter_next = wf_memory_iter_next,
    .iter_prev = wf_memory_iter_prev,
    .iter_valid = wf_memory_iter_valid,
    .iter_key = wf_memory_iter_key,
    .iter_value = wf_memory_iter_value,
    .iter_err = wf_memory_iter_err,
    .failed = wf_memory_failed,
    .reopen = wf_memory_reopen,
};

weft_err wf_kv_memory_open(wf_kv **out)
{
    struct wf_memory *m = wf_calloc(1, sizeof *m);
    if (m == NULL) return WEFT_NO_MEMORY;
    m->base.ops = &memory_ops;
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) wf_memmap_init(&m->maps[cf]);
    m->lock = wf_rwlock_create();
    m->base.gate = wf_lock_create();
    weft_err err = wf_batch_create(&m->limbo);
    if (err != WEFT_OK || m->lock == NULL || m->base.gate == NULL) {
        memory_close(&m->base);
        return WEFT_NO_MEMORY;
    }
    *out = &m->base;
    return WEFT_OK;
}

void wf_kv_memory_crash(wf_kv *kv, size_t keep)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_rwlock_write(m->lock);
    wf_mem_views_end(m);
    uint64_t unsynced = m->seq - m->durable;
    bool revive = m->in_limbo && keep > unsynced;
    m->seq = m->durable + (keep < unsynced ? keep : unsynced);
    m->durable = m->seq;
    for (size_t i = 0; i < m->listed; i++) {
        struct wf_mem_listed item = m->list[i];
        if (!wf_memmap_pop(&m->maps[item.cf], item.node, m->seq))
            wf_memmap_remove(&m->maps[item.cf], item.node);
        else (void)wf_mem_tidy(m, item.cf, item.node); /* frees the rest: no view is left */
    }
    m->listed = 0;
    m->kept = 0;
    m->sticky = WEFT_OK;
    m->fail_in = 0;
    m->fail_persistent = false;
    m->in_limbo = false;
    if (revive) WF_ASSERT(wf_mem_apply(m, m->limbo, true) == WEFT_OK);
    wf_rwlock_give(m->lock);
}

size_t wf_kv_memory_unsynced(wf_kv *kv)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_rwlock_read(m->lock);
    size_t count = m->seq - m->durable + m->in_limbo;
    wf_rwlock_give(m->lock);
    return count;
}

void wf_kv_memory_full(wf_kv *kv, bool full)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_rwlock_write(m->lock);
    m->full = full;
    wf_rwlock_give(m->lock);
}

void wf_kv_memory_fail_at(wf_kv *kv, uint64_t nth, weft_err err, bool persistent)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_rwlock_write(m->lock);
    m->fail_in = nth;
    m->fail_err = err;
    m->fail_persistent = persistent;
    if (nth == 0) m->sticky = WEFT_OK;
    wf_rwlock_give(m->lock);
}
