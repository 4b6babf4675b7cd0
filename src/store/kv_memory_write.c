/* SPDX-License-Identifier: Apache-2.0
 * kv_memory_write.c - batches become versions, whole or not at all; the failures that a test
 * asks for. Called by: kv_memory.c (its table); one thread. May touch: the maps, under
 * the lock. Never: a view. */
#include "alloc.h"
#include "kv_memory_state.h"

static bool reserve(struct wf_mem_listed **list, size_t *room, size_t need)
{
    if (*room >= need) return true;
    size_t more = need < 256 ? 256 : need + need / 2;
    struct wf_mem_listed *grown = wf_realloc(*list, more * sizeof **list);
    if (grown == NULL) return false;
    *list = grown;
    *room = more;
    return true;
}

static weft_err apply_op(void *arg, const wf_batch_op *op)
{
    struct wf_memory *m = arg;
    struct wf_mem_node *node;
    weft_err err = wf_memmap_push(&m->maps[op->cf], op->key, op->key_len, op->value, op->value_len,
                                  op->is_delete, m->seq + 1, &node);
    if (err != WEFT_OK || node == NULL) return err;
    m->touched[m->touched_len++] = (struct wf_mem_listed){node, op->cf};
    return WEFT_OK;
}

/* Takes back one operation of a batch that was half applied; by its key, because a
 * node that the batch touched twice is gone after the first visit. */
static weft_err unapply_op(void *arg, const wf_batch_op *op)
{
    struct wf_memory *m = arg;
    struct wf_memmap *map = &m->maps[op->cf];
    struct wf_mem_node *node = wf_memtree_get(&map->tree, op->key, op->key_len);
    if (node == NULL) return WEFT_OK;
    if (!wf_memmap_pop(map, node, m->seq)) wf_memmap_remove(map, node);
    return WEFT_OK;
}

weft_err wf_mem_apply(struct wf_memory *m, const wf_batch *batch, bool sync)
{
    size_t count = wf_batch_count(batch);
    m->touched_len = 0;
    if (!reserve(&m->touched, &m->touched_room, count) ||
        !reserve(&m->list, &m->list_room, m->listed + count))
        return WEFT_NO_MEMORY;
    weft_err err = wf_batch_each_ordered(batch, &m->order, apply_op, m);
    if (err != WEFT_OK) {
        wf_batch_each(batch, unapply_op, m);
        return err;
    }
    m->seq++;
    if (sync) m->durable = m->seq;
    for (size_t i = 0; i < m->touched_len; i++) {
        struct wf_mem_listed item = m->touched[i];
        struct wf_mem_node *node = item.node;
        if (node->listed) continue; /* touched twice: is looked at once */
        if (sync && node->older == NULL && !node->deleted) continue; /* no work is left */
        node->listed = true;
        m->list[m->listed++] = item;
    }
    wf_mem_sweep(m);
    return WEFT_OK;
}

static weft_err copy_op(void *arg, const wf_batch_op *op)
{
    wf_batch *batch = arg;
    if (op->is_delete) wf_batch_delete(batch, op->cf, op->key, op->key_len);
    else wf_batch_put(batch, op->cf, op->key, op->key_len, op->value, op->value_len);
    return wf_batch_err(batch);
}

/* The failure that a test asked for. A disk that fails may have kept the write all
 * the same: a crash decides. */
static weft_err injected(struct wf_memory *m, const wf_batch *batch)
{
    if (m->sticky != WEFT_OK) return m->sticky;
    if (m->fail_in == 0 || --m->fail_in > 0) return WEFT_OK;
    if (m->fail_persistent) {
        m->sticky = m->fail_err;
        if (batch != NULL) {
            wf_batch_clear(m->limbo);
            m->in_limbo = wf_batch_each(batch, copy_op, m->limbo) == WEFT_OK;
        }
    }
    return m->fail_err;
}

weft_err wf_memory_write(wf_kv *kv, const wf_batch *batch, bool sync)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_rwlock_write(m->lock);
    weft_err err = injected(m, batch);
    if (err == WEFT_OK) err = wf_batch_err(batch);
    if (err == WEFT_OK && m->full && !wf_batch_makes_room(batch)) err = WEFT_NO_SPACE;
    else if (err == WEFT_OK) {
        err = wf_mem_apply(m, batch, sync);
        if (err != WEFT_OK) m->sticky = err;
    }
    wf_rwlock_give(m->lock);
    return err;
}

weft_err wf_memory_sync(wf_kv *kv)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_rwlock_write(m->lock);
    weft_err err = injected(m, NULL);
    if (err == WEFT_OK) {
        m->durable = m->seq;
        wf_mem_sweep(m);
    }
    wf_rwlock_give(m->lock);
    return err;
}

weft_err wf_memory_failed(wf_kv *kv)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_rwlock_read(m->lock);
    weft_err err = m->sticky;
    wf_rwlock_give(m->lock);
    return err;
}

/* What was written is all there, and of a write that failed the most that may be. */
weft_err wf_memory_reopen(wf_kv *kv)
{
    struct wf_memory *m = wf_memory_of(kv);
    wf_rwlock_write(m->lock);
    weft_err err = m->fail_persistent && m->fail_in == 0 ? m->fail_err : WEFT_OK;
    if (err == WEFT_OK) {
        m->durable = m->seq;
        if (m->in_limbo) err = wf_mem_apply(m, m->limbo, true);
        else wf_mem_sweep(m);
    }
    if (err == WEFT_OK) {
        m->in_limbo = false;
        m->sticky = WEFT_OK;
    }
    wf_rwlock_give(m->lock);
    return err;
}
