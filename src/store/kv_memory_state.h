/* SPDX-License-Identifier: Apache-2.0
 * kv_memory_state.h - what the rooms of the engine in memory share: kv_memory.c (opening,
 * closing, the crash), kv_memory_view.c, kv_memory_read.c, kv_memory_write.c.
 * Never: included by anybody else. */
#ifndef WF_KV_MEMORY_STATE_H
#define WF_KV_MEMORY_STATE_H

#include "batch_order.h"
#include "memmap.h"

/* Each batch has the next number. A version is kept while it is the newest, while a
 * view looks at it, or while a crash could bring it back: that is, while what
 * replaced it is not durable yet. */
struct wf_mem_view { /* readers that must go on seeing the state at `seq` */
    struct wf_mem_view *prev, *next;
    wf_kv **user; /* of an iterator: whom it is counted with; NULL: a snapshot */
    uint64_t seq;
    bool alive; /* false: a crash or close ended it */
};

struct wf_mem_listed { /* a node that has versions to free later, or to take back */
    struct wf_mem_node *node;
    enum wf_cf cf;
};

struct wf_memory {
    wf_kv base;
    wf_rwlock *lock; /* guards all that follows */
    struct wf_memmap maps[WF_CF_COUNT];
    uint64_t seq, durable;
    struct wf_mem_view *oldest, *newest;
    struct wf_mem_listed *list;
    size_t listed, list_room;
    uint64_t kept;                 /* work that the last sweep could not do away with */
    struct wf_mem_listed *touched; /* by the write in progress */
    size_t touched_len, touched_room;
    struct wf_batch_order order; /* of the batch being written */
    wf_batch *limbo;             /* of a write that failed: a crash may bring it back */
    bool in_limbo;
    uint64_t fail_in;
    weft_err fail_err, sticky;
    bool fail_persistent;
    bool full; /* only what makes room is taken */
};

static inline struct wf_memory *wf_memory_of(wf_kv *kv) { return (struct wf_memory *)kv; }

/* -- kv_memory_view.c: under the lock -- */
/* Frees what nobody can see any more. True when the node still needs the list. */
bool wf_mem_tidy(struct wf_memory *m, enum wf_cf cf, struct wf_mem_node *node);
/* Tidies the list. Amortised: it runs when the work has doubled since the last time. */
void wf_mem_sweep(struct wf_memory *m);
void wf_mem_view_add(struct wf_memory *m, struct wf_mem_view *view, uint64_t seq);
void wf_mem_view_remove(struct wf_memory *m, struct wf_mem_view *view);
/* Of a crash or the close: whoever looks on gets IO. */
void wf_mem_views_end(struct wf_memory *m);

/* -- kv_memory_write.c -- */
/* Under the lock. On a failure nothing changed: NO_MEMORY. */
weft_err wf_mem_apply(struct wf_memory *m, const wf_batch *batch, bool sync);
weft_err wf_memory_write(wf_kv *kv, const wf_batch *batch, bool sync);
weft_err wf_memory_sync(wf_kv *kv);
weft_err wf_memory_failed(wf_kv *kv);
weft_err wf_memory_reopen(wf_kv *kv);

/* -- kv_memory_read.c: as in the table of kv.h -- */
weft_err wf_memory_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                       size_t key_len, wf_value *out);
weft_err wf_memory_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                             size_t key_len, size_t count, wf_value *out, weft_err *errs);
void wf_memory_release(wf_kv *kv, wf_value *value);
weft_err wf_memory_snapshot_create(wf_kv *kv, wf_kv_snapshot **out);
void wf_memory_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *opaque);
weft_err wf_memory_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                               const void *prefix, size_t prefix_len, wf_kv_iter **out);
void wf_memory_iter_destroy(wf_kv_iter *base);
void wf_memory_iter_first(wf_kv_iter *base);
void wf_memory_iter_last(wf_kv_iter *base);
void wf_memory_iter_seek(wf_kv_iter *base, const void *key, size_t key_len);
void wf_memory_iter_seek_back(wf_kv_iter *base, const void *key, size_t key_len);
void wf_memory_iter_next(wf_kv_iter *base);
void wf_memory_iter_prev(wf_kv_iter *base);
bool wf_memory_iter_valid(const wf_kv_iter *base);
const uint8_t *wf_memory_iter_key(const wf_kv_iter *base, size_t *len);
const uint8_t *wf_memory_iter_value(const wf_kv_iter *base, size_t *len);
weft_err wf_memory_iter_err(const wf_kv_iter *base);

#endif
