/* SPDX-License-Identifier: Apache-2.0
 * kv_memory_read.c - values, snapshots and iterators of the engine in memory.
 * Called by: kv_memory.c (its table); any thread. May touch: the maps, reading, under the
 * lock. Never: copies a value. */
#include <string.h>

#include "alloc.h"
#include "kv_memory_state.h"

struct snapshot {
    struct wf_mem_view view;
};

struct iter {
    wf_kv_iter base;
    struct wf_memory *m;
    struct wf_mem_view view;
    enum wf_cf cf;
    struct wf_mem_node *node;   /* has a value in the view; NULL: not valid */
    struct wf_tree_place place; /* of the node */
    size_t prefix_len;
    uint8_t prefix[];
};

static const struct snapshot *snapshot_of(const wf_kv_snapshot *snap)
{
    return (const struct snapshot *)snap;
}

/* -- Reading --------------------------------------------------------------------- */

static weft_err get_locked(struct wf_memory *m, uint64_t seq, enum wf_cf cf, const void *key,
                           size_t key_len, wf_value *out)
{
    struct wf_mem_node *node = wf_memtree_get(&m->maps[cf].tree, key, key_len);
    struct wf_mem_value *value = NULL;
    if (node == NULL || !wf_mem_read(node, seq, &value)) return WEFT_NOT_FOUND;
    if (value != NULL) wf_counter_add(&value->refs, 1);
    *out = (wf_value){.data = value == NULL ? (const uint8_t *)"" : value->data,
                      .len = value == NULL ? 0 : value->len,
                      .pin = value};
    return WEFT_OK;
}

weft_err wf_memory_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                             size_t key_len, size_t count, wf_value *out, weft_err *errs)
{
    struct wf_memory *m = wf_memory_of(kv);
    const uint8_t *key = keys;
    wf_rwlock_read(m->lock);
    bool dead = snap != NULL && !snapshot_of(snap)->view.alive;
    uint64_t seq = snap == NULL ? m->seq : snapshot_of(snap)->view.seq;
    for (size_t i = 0; i < count; i++, key += key_len)
        errs[i] = dead ? WEFT_IO : get_locked(m, seq, cf, key, key_len, &out[i]);
    wf_rwlock_give(m->lock);
    return WEFT_OK;
}

weft_err wf_memory_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                       size_t key_len, wf_value *out)
{
    weft_err err;
    wf_memory_multi_get(kv, snap, cf, key, key_len, 1, out, &err);
    return err;
}

void wf_memory_release(wf_kv *kv, wf_value *value)
{
    (void)kv;
    wf_mem_value_unref(value->pin);
    *value = (wf_value){0};
}

/* -- Snapshots and iterators ------------------------------------------------------- */

weft_err wf_memory_snapshot_create(wf_kv *kv, wf_kv_snapshot **out)
{
    struct wf_memory *m = wf_memory_of(kv);
    struct snapshot *snap = wf_calloc(1, sizeof *snap);
    if (snap == NULL) return WEFT_NO_MEMORY;
    wf_rwlock_write(m->lock);
    wf_mem_view_add(m, &snap->view, m->seq);
    wf_rwlock_give(m->lock);
    *out = (wf_kv_snapshot *)snap;
    return WEFT_OK;
}

void wf_memory_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *opaque)
{
    struct wf_memory *m = wf_memory_of(kv);
    struct snapshot *snap = (struct snapshot *)opaque;
    wf_rwlock_write(m->lock);
    wf_mem_view_remove(m, &snap->view);
    wf_rwlock_give(m->lock);
    wf_free(snap);
}

weft_err wf_memory_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                               const void *prefix, size_t prefix_len, wf_kv_iter **out)
{
    struct wf_memory *m = wf_memory_of(kv);
    struct iter *it = wf_calloc(1, sizeof *it + prefix_len);
    if (it == NULL) return WEFT_NO_MEMORY;
    it->base.ops = kv->ops;
    it->m = m;
    it->view.user = &it->base.kv;
    it->cf = cf;
    it->prefix_len = prefix_len;
    if (prefix_len > 0) memcpy(it->prefix, prefix, prefix_len);
    wf_rwlock_write(m->lock);
    if (snap == NULL || snapshot_of(snap)->view.alive)
        wf_mem_view_add(m, &it->view, snap == NULL ? m->seq : snapshot_of(snap)->view.seq);
    wf_rwlock_give(m->lock);
    *out = &it->base;
    return WEFT_OK;
}

void wf_memory_iter_destroy(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (it->view.alive) { /* else the engine may be gone */
        wf_rwlock_write(it->m->lock);
        wf_mem_view_remove(it->m, &it->view);
        wf_rwlock_give(it->m->lock);
    }
    wf_free(it);
}

static int compare_prefix(const struct iter *it, const void *key, size_t len)
{
    size_t common = len < it->prefix_len ? len : it->prefix_len;
    int order = common == 0 ? 0 : memcmp(key, it->prefix, common);
    return order != 0 ? order : (len < it->prefix_len ? -1 : 0);
}

static struct wf_mem_node *neighbour(struct iter *it, const struct wf_mem_node *node, bool forward)
{
    const struct wf_memtree *tree = &it->m->maps[it->cf].tree;
    return forward ? wf_memtree_next(tree, node, &it->place)
                   : wf_memtree_prev(tree, node, &it->place);
}

/* Goes on from `node` until a key has a value in the view. */
static void settle(struct iter *it, struct wf_mem_node *node, bool forward)
{
    struct wf_mem_value *ignored;
    while (node != NULL && !wf_mem_read(node, it->view.seq, &ignored))
        node = neighbour(it, node, forward);
    if (node != NULL && compare_prefix(it, wf_mem_key(node), node->key_len) != 0) node = NULL;
    it->node = node;
}

void wf_memory_iter_seek(wf_kv_iter *base, const void *key, size_t key_len)
{
    struct iter *it = (struct iter *)base;
    it->node = NULL;
    if (!it->view.alive) return;
    if (compare_prefix(it, key, key_len) < 0) {
        key = it->prefix;
        key_len = it->prefix_len;
    }
    wf_rwlock_read(it->m->lock);
    settle(it, wf_memtree_at_or_after(&it->m->maps[it->cf].tree, key, key_len, &it->place), true);
    wf_rwlock_give(it->m->lock);
}

void wf_memory_iter_first(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    wf_memory_iter_seek(base, it->prefix, it->prefix_len);
}

/* The last key of the prefix is before the first key that follows all of them: the
 * prefix with its last byte that can grow grown by one. */
static struct wf_mem_node *last_of_prefix(struct iter *it)
{
    const struct wf_memtree *tree = &it->m->maps[it->cf].tree;
    size_t len = it->prefix_len;
    while (len > 0 && it->prefix[len - 1] == 0xff) len--;
    if (len == 0) return wf_memtree_last(tree, &it->place);
    it->prefix[len - 1]++;
    struct wf_mem_node *node = wf_memtree_at_or_before(tree, it->prefix, len, true, &it->place);
    it->prefix[len - 1]--;
    return node;
}

void wf_memory_iter_last(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    it->node = NULL;
    if (!it->view.alive) return;
    wf_rwlock_read(it->m->lock);
    settle(it, last_of_prefix(it), false);
    wf_rwlock_give(it->m->lock);
}

void wf_memory_iter_seek_back(wf_kv_iter *base, const void *key, size_t key_len)
{
    struct iter *it = (struct iter *)base;
    if (compare_prefix(it, key, key_len) > 0) {
        wf_memory_iter_last(base);
        return;
    }
    it->node = NULL;
    if (!it->view.alive) return;
    wf_rwlock_read(it->m->lock);
    settle(it, wf_memtree_at_or_before(&it->m->maps[it->cf].tree, key, key_len, false, &it->place),
           false);
    wf_rwlock_give(it->m->lock);
}

static void step(wf_kv_iter *base, bool forward)
{
    struct iter *it = (struct iter *)base;
    if (!it->view.alive) it->node = NULL;
    if (it->node == NULL) return;
    wf_rwlock_read(it->m->lock);
    settle(it, neighbour(it, it->node, forward), forward);
    wf_rwlock_give(it->m->lock);
}

void wf_memory_iter_next(wf_kv_iter *base) { step(base, true); }

void wf_memory_iter_prev(wf_kv_iter *base) { step(base, false); }

bool wf_memory_iter_valid(const wf_kv_iter *base)
{
    const struct iter *it = (const struct iter *)base;
    return it->node != NULL && it->view.alive;
}

const uint8_t *wf_memory_iter_key(const wf_kv_iter *base, size_t *len)
{
    const struct iter *it = (const struct iter *)base;
    *len = it->node->key_len;
    return wf_mem_key(it->node);
}

const uint8_t *wf_memory_iter_value(const wf_kv_iter *base, size_t *len)
{
    const struct iter *it = (const struct iter *)base;
    struct wf_mem_value *value = NULL;
    wf_rwlock_read(it->m->lock);
    wf_mem_read(it->node, it->view.seq, &value);
    wf_rwlock_give(it->m->lock);
    *len = value == NULL ? 0 : value->len;
    return value == NULL ? (const uint8_t *)"" : value->data;
}

weft_err wf_memory_iter_err(const wf_kv_iter *base)
{
    const struct iter *it = (const struct iter *)base;
    return it->view.alive ? WEFT_OK : WEFT_IO;
}
