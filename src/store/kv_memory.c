/* SPDX-License-Identifier: Apache-2.0
 * kv_memory.c - the engine in memory, with fixed views, failures and crashes.
 * Called by: tests, the simulator, nodes without a disk; through kv.h, any thread.
 * May touch: its maps, under its lock. Never: a file, a clock, chance. */
#include <string.h>

#include "alloc.h"
#include "kv.h"
#include "log.h"
#include "memmap.h"

/* Each batch has the next number. A version is kept while it is the newest, while a
 * view looks at it, or while a crash could bring it back: that is, while what
 * replaced it is not durable yet. */
struct view { /* readers that must go on seeing the state at `seq` */
    struct view *prev, *next;
    wf_kv **user; /* of an iterator: whom it is counted with; NULL: a snapshot */
    uint64_t seq;
    bool alive; /* false: a crash or close ended it */
};

struct listed { /* a node that has versions to free later, or to take back */
    struct wf_mem_node *node;
    enum wf_cf cf;
};

struct memory {
    wf_kv base;
    wf_rwlock *lock; /* guards all that follows */
    struct wf_memmap maps[WF_CF_COUNT];
    uint64_t seq, durable;
    struct view *oldest, *newest;
    struct listed *list;
    size_t listed, list_room;
    uint64_t kept;          /* work that the last sweep could not do away with */
    struct listed *touched; /* by the write in progress */
    size_t touched_len, touched_room;
    wf_batch *limbo; /* of a write that failed: a crash may bring it back */
    bool in_limbo;
    uint64_t fail_in;
    weft_err fail_err, sticky;
    bool fail_persistent;
};

struct snapshot {
    struct view view;
};

struct iter {
    wf_kv_iter base;
    struct memory *m;
    struct view view;
    enum wf_cf cf;
    struct wf_mem_node *node;   /* has a value in the view; NULL: not valid */
    struct wf_tree_place place; /* of the node */
    size_t prefix_len;
    uint8_t prefix[];
};

static struct memory *memory_of(wf_kv *kv) { return (struct memory *)kv; }

static const struct snapshot *snapshot_of(const wf_kv_snapshot *snap)
{
    return (const struct snapshot *)snap;
}

/* -- Versions -------------------------------------------------------------------- */

static bool version_needed(void *arg, uint64_t seq, uint64_t newer)
{
    const struct memory *m = arg;
    if (newer > m->durable) return true;
    for (const struct view *v = m->newest; v != NULL && v->seq >= seq; v = v->prev)
        if (v->seq < newer) return true;
    return false;
}

/* Frees what nobody can see any more. True when the node still needs the list. */
static bool tidy(struct memory *m, enum wf_cf cf, struct wf_mem_node *node)
{
    wf_memmap_trim(&m->maps[cf], node, version_needed, m);
    if (node->older == NULL && node->seq <= m->durable) {
        node->listed = false;
        if (node->deleted) wf_memmap_remove(&m->maps[cf], node);
        return false;
    }
    return true;
}

/* What a sweep has to look at: nodes, and versions behind them. */
static uint64_t work(const struct memory *m)
{
    uint64_t all = m->listed;
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) all += m->maps[cf].older;
    return all;
}

/* Amortised: it runs when the work has doubled since the last time. */
static void sweep(struct memory *m)
{
    if (m->listed == 0 || work(m) < 2 * m->kept + 64) return;
    size_t kept = 0;
    for (size_t i = 0; i < m->listed; i++) {
        struct listed item = m->list[i];
        if (tidy(m, item.cf, item.node)) m->list[kept++] = item;
    }
    m->listed = kept;
    m->kept = work(m);
}

static void view_add(struct memory *m, struct view *view, uint64_t seq)
{
    struct view *at = m->newest;
    while (at != NULL && at->seq > seq) at = at->prev;
    view->seq = seq;
    view->alive = true;
    view->prev = at;
    view->next = at == NULL ? m->oldest : at->next;
    *(view->prev == NULL ? &m->oldest : &view->prev->next) = view;
    *(view->next == NULL ? &m->newest : &view->next->prev) = view;
}

static void view_remove(struct memory *m, struct view *view)
{
    if (!view->alive) return;
    *(view->prev == NULL ? &m->oldest : &view->prev->next) = view->next;
    *(view->next == NULL ? &m->newest : &view->next->prev) = view->prev;
    view->alive = false;
    sweep(m);
}

/* An iterator that a simulated kill left behind is never destroyed: it counts no more. */
static void end_views(struct memory *m)
{
    for (struct view *v = m->oldest; v != NULL; v = v->next) {
        v->alive = false;
        if (v->user == NULL || *v->user == NULL) continue;
        wf_counter_sub(&m->base.users, 1);
        *v->user = NULL;
    }
    m->oldest = NULL;
    m->newest = NULL;
}

/* -- Reading --------------------------------------------------------------------- */

static weft_err get_locked(struct memory *m, uint64_t seq, enum wf_cf cf, const void *key,
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

static weft_err memory_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                                 const void *keys, size_t key_len, size_t count, wf_value *out,
                                 weft_err *errs)
{
    struct memory *m = memory_of(kv);
    const uint8_t *key = keys;
    wf_rwlock_read(m->lock);
    bool dead = snap != NULL && !snapshot_of(snap)->view.alive;
    uint64_t seq = snap == NULL ? m->seq : snapshot_of(snap)->view.seq;
    for (size_t i = 0; i < count; i++, key += key_len)
        errs[i] = dead ? WEFT_IO : get_locked(m, seq, cf, key, key_len, &out[i]);
    wf_rwlock_give(m->lock);
    return WEFT_OK;
}

static weft_err memory_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                           size_t key_len, wf_value *out)
{
    weft_err err;
    memory_multi_get(kv, snap, cf, key, key_len, 1, out, &err);
    return err;
}

static void memory_release(wf_kv *kv, wf_value *value)
{
    (void)kv;
    wf_mem_value_unref(value->pin);
    *value = (wf_value){0};
}

/* -- Writing --------------------------------------------------------------------- */

static bool reserve(struct listed **list, size_t *room, size_t need)
{
    if (*room >= need) return true;
    size_t more = need < 256 ? 256 : need + need / 2;
    struct listed *grown = wf_realloc(*list, more * sizeof **list);
    if (grown == NULL) return false;
    *list = grown;
    *room = more;
    return true;
}

static weft_err apply_op(void *arg, const wf_batch_op *op)
{
    struct memory *m = arg;
    struct wf_mem_node *node;
    weft_err err = wf_memmap_push(&m->maps[op->cf], op->key, op->key_len, op->value, op->value_len,
                                  op->is_delete, m->seq + 1, &node);
    if (err != WEFT_OK || node == NULL) return err;
    m->touched[m->touched_len++] = (struct listed){node, op->cf};
    return WEFT_OK;
}

/* Takes back one operation of a batch that was half applied; by its key, because a
 * node that the batch touched twice is gone after the first visit. */
static weft_err unapply_op(void *arg, const wf_batch_op *op)
{
    struct memory *m = arg;
    struct wf_memmap *map = &m->maps[op->cf];
    struct wf_mem_node *node = wf_memtree_get(&map->tree, op->key, op->key_len);
    if (node == NULL) return WEFT_OK;
    if (!wf_memmap_pop(map, node, m->seq)) wf_memmap_remove(map, node);
    return WEFT_OK;
}

static weft_err apply(struct memory *m, const wf_batch *batch, bool sync)
{
    size_t count = wf_batch_count(batch);
    m->touched_len = 0;
    if (!reserve(&m->touched, &m->touched_room, count) ||
        !reserve(&m->list, &m->list_room, m->listed + count))
        return WEFT_NO_MEMORY;
    weft_err err = wf_batch_each(batch, apply_op, m);
    if (err != WEFT_OK) {
        wf_batch_each(batch, unapply_op, m);
        return err;
    }
    m->seq++;
    if (sync) m->durable = m->seq;
    for (size_t i = 0; i < m->touched_len; i++) {
        struct listed item = m->touched[i];
        struct wf_mem_node *node = item.node;
        if (node->listed) continue; /* touched twice: is looked at once */
        if (sync && node->older == NULL && !node->deleted) continue; /* no work is left */
        node->listed = true;
        m->list[m->listed++] = item;
    }
    sweep(m);
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
static weft_err injected(struct memory *m, const wf_batch *batch)
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

static weft_err memory_write(wf_kv *kv, const wf_batch *batch, bool sync)
{
    struct memory *m = memory_of(kv);
    wf_rwlock_write(m->lock);
    weft_err err = injected(m, batch);
    if (err == WEFT_OK) err = wf_batch_err(batch);
    if (err == WEFT_OK) {
        err = apply(m, batch, sync);
        if (err != WEFT_OK) m->sticky = err;
    }
    wf_rwlock_give(m->lock);
    return err;
}

static weft_err memory_sync(wf_kv *kv)
{
    struct memory *m = memory_of(kv);
    wf_rwlock_write(m->lock);
    weft_err err = injected(m, NULL);
    if (err == WEFT_OK) {
        m->durable = m->seq;
        sweep(m);
    }
    wf_rwlock_give(m->lock);
    return err;
}

static weft_err memory_failed(wf_kv *kv)
{
    struct memory *m = memory_of(kv);
    wf_rwlock_read(m->lock);
    weft_err err = m->sticky;
    wf_rwlock_give(m->lock);
    return err;
}

/* What was written is all there, and of a write that failed the most that may be. */
static weft_err memory_reopen(wf_kv *kv)
{
    struct memory *m = memory_of(kv);
    wf_rwlock_write(m->lock);
    weft_err err = m->fail_persistent && m->fail_in == 0 ? m->fail_err : WEFT_OK;
    if (err == WEFT_OK) {
        m->durable = m->seq;
        if (m->in_limbo) err = apply(m, m->limbo, true);
        else sweep(m);
    }
    if (err == WEFT_OK) {
        m->in_limbo = false;
        m->sticky = WEFT_OK;
    }
    wf_rwlock_give(m->lock);
    return err;
}

/* -- Snapshots and iterators ------------------------------------------------------- */

static weft_err memory_snapshot_create(wf_kv *kv, wf_kv_snapshot **out)
{
    struct memory *m = memory_of(kv);
    struct snapshot *snap = wf_calloc(1, sizeof *snap);
    if (snap == NULL) return WEFT_NO_MEMORY;
    wf_rwlock_write(m->lock);
    view_add(m, &snap->view, m->seq);
    wf_rwlock_give(m->lock);
    *out = (wf_kv_snapshot *)snap;
    return WEFT_OK;
}

static void memory_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *opaque)
{
    struct memory *m = memory_of(kv);
    struct snapshot *snap = (struct snapshot *)opaque;
    wf_rwlock_write(m->lock);
    view_remove(m, &snap->view);
    wf_rwlock_give(m->lock);
    wf_free(snap);
}

static weft_err memory_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                                   const void *prefix, size_t prefix_len, wf_kv_iter **out)
{
    struct memory *m = memory_of(kv);
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
        view_add(m, &it->view, snap == NULL ? m->seq : snapshot_of(snap)->view.seq);
    wf_rwlock_give(m->lock);
    *out = &it->base;
    return WEFT_OK;
}

static void memory_iter_destroy(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (it->view.alive) { /* else the engine may be gone */
        wf_rwlock_write(it->m->lock);
        view_remove(it->m, &it->view);
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

static void memory_iter_seek(wf_kv_iter *base, const void *key, size_t key_len)
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

static void memory_iter_first(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    memory_iter_seek(base, it->prefix, it->prefix_len);
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

static void memory_iter_last(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    it->node = NULL;
    if (!it->view.alive) return;
    wf_rwlock_read(it->m->lock);
    settle(it, last_of_prefix(it), false);
    wf_rwlock_give(it->m->lock);
}

static void memory_iter_seek_back(wf_kv_iter *base, const void *key, size_t key_len)
{
    struct iter *it = (struct iter *)base;
    if (compare_prefix(it, key, key_len) > 0) {
        memory_iter_last(base);
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

static void memory_iter_next(wf_kv_iter *base) { step(base, true); }

static void memory_iter_prev(wf_kv_iter *base) { step(base, false); }

static bool memory_iter_valid(const wf_kv_iter *base)
{
    const struct iter *it = (const struct iter *)base;
    return it->node != NULL && it->view.alive;
}

static const uint8_t *memory_iter_key(const wf_kv_iter *base, size_t *len)
{
    const struct iter *it = (const struct iter *)base;
    *len = it->node->key_len;
    return wf_mem_key(it->node);
}

static const uint8_t *memory_iter_value(const wf_kv_iter *base, size_t *len)
{
    const struct iter *it = (const struct iter *)base;
    struct wf_mem_value *value = NULL;
    wf_rwlock_read(it->m->lock);
    wf_mem_read(it->node, it->view.seq, &value);
    wf_rwlock_give(it->m->lock);
    *len = value == NULL ? 0 : value->len;
    return value == NULL ? (const uint8_t *)"" : value->data;
}

static weft_err memory_iter_err(const wf_kv_iter *base)
{
    const struct iter *it = (const struct iter *)base;
    return it->view.alive ? WEFT_OK : WEFT_IO;
}

/* -- The rest ---------------------------------------------------------------------- */

static weft_err memory_checkpoint(wf_kv *kv, const char *dir)
{
    (void)kv;
    (void)dir;
    return WEFT_UNSUPPORTED;
}

static uint64_t memory_bytes(wf_kv *kv)
{
    struct memory *m = memory_of(kv);
    uint64_t bytes = (m->list_room + m->touched_room) * sizeof *m->list;
    wf_rwlock_read(m->lock);
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) bytes += wf_memmap_bytes(&m->maps[cf]);
    wf_rwlock_give(m->lock);
    return bytes;
}

static void memory_close(wf_kv *kv)
{
    struct memory *m = memory_of(kv);
    end_views(m);
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) wf_memmap_fini(&m->maps[cf]);
    wf_rwlock_destroy(m->lock);
    wf_lock_destroy(m->base.gate);
    wf_batch_destroy(m->limbo);
    wf_free(m->list);
    wf_free(m->touched);
    wf_free(m);
}

static const struct wf_kv_ops memory_ops = {
    .name = "memory",
    .get = memory_get,
    .multi_get = memory_multi_get,
    .release = memory_release,
    .write = memory_write,
    .sync = memory_sync,
    .snapshot_create = memory_snapshot_create,
    .snapshot_destroy = memory_snapshot_destroy,
    .checkpoint = memory_checkpoint,
    .memory = memory_bytes,
    .close = memory_close,
    .iter_create = memory_iter_create,
    .iter_destroy = memory_iter_destroy,
    .iter_first = memory_iter_first,
    .iter_last = memory_iter_last,
    .iter_seek = memory_iter_seek,
    .iter_seek_back = memory_iter_seek_back,
    .iter_next = memory_iter_next,
    .iter_prev = memory_iter_prev,
    .iter_valid = memory_iter_valid,
    .iter_key = memory_iter_key,
    .iter_value = memory_iter_value,
    .iter_err = memory_iter_err,
    .failed = memory_failed,
    .reopen = memory_reopen,
};

weft_err wf_kv_memory_open(wf_kv **out)
{
    struct memory *m = wf_calloc(1, sizeof *m);
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
    struct memory *m = memory_of(kv);
    wf_rwlock_write(m->lock);
    end_views(m);
    uint64_t unsynced = m->seq - m->durable;
    bool revive = m->in_limbo && keep > unsynced;
    m->seq = m->durable + (keep < unsynced ? keep : unsynced);
    m->durable = m->seq;
    for (size_t i = 0; i < m->listed; i++) {
        struct listed item = m->list[i];
        if (!wf_memmap_pop(&m->maps[item.cf], item.node, m->seq))
            wf_memmap_remove(&m->maps[item.cf], item.node);
        else (void)tidy(m, item.cf, item.node); /* frees the rest: no view is left */
    }
    m->listed = 0;
    m->kept = 0;
    m->sticky = WEFT_OK;
    m->fail_in = 0;
    m->fail_persistent = false;
    m->in_limbo = false;
    if (revive) WF_ASSERT(apply(m, m->limbo, true) == WEFT_OK);
    wf_rwlock_give(m->lock);
}

size_t wf_kv_memory_unsynced(wf_kv *kv)
{
    struct memory *m = memory_of(kv);
    wf_rwlock_read(m->lock);
    size_t count = m->seq - m->durable + m->in_limbo;
    wf_rwlock_give(m->lock);
    return count;
}

void wf_kv_memory_fail_at(wf_kv *kv, uint64_t nth, weft_err err, bool persistent)
{
    struct memory *m = memory_of(kv);
    wf_rwlock_write(m->lock);
    m->fail_in = nth;
    m->fail_err = err;
    m->fail_persistent = persistent;
    if (nth == 0) m->sticky = WEFT_OK;
    wf_rwlock_give(m->lock);
}
