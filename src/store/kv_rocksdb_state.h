/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_state.h - what the rooms of the engine on disk share: kv_rocksdb.c (opening,
 * closing, errors), kv_rocksdb_options.c (how each family is kept), kv_rocksdb_read.c and
 * kv_rocksdb_write.c. Never: included by anybody else. */
#ifndef WF_KV_ROCKSDB_STATE_H
#define WF_KV_ROCKSDB_STATE_H

#include <rocksdb/c.h>

#include "batch_order.h"
#include "held_dirs.h"

#define WF_ROCKS_FAMILIES (WF_CF_COUNT + 1) /* RocksDB insists on its own "default" */

struct wf_rocks {
    wf_kv base;
    char *dir;
    struct wf_held_dir *held; /* NULL: it only reads */
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_options_t *options[WF_ROCKS_FAMILIES];
    rocksdb_column_family_handle_t *handles[WF_ROCKS_FAMILIES];
    rocksdb_writeoptions_t *synced, *unsynced;
    rocksdb_readoptions_t *read;
    rocksdb_writebatch_t *batch; /* the writer's, reused */
    struct wf_batch_order order; /* of the batch being written */
    uint64_t floor_bytes;
    bool read_only, salvage;
    bool small;          /* the whole volume is                                      */
    bool full;           /* the floor refused the last write, which was said once    */
    wf_counter corrupt;  /* blocks that could not be read since the opening          */
    wf_counter said;     /* which damage was logged last: a scan meets a block at each step */
    wf_counter sticky;   /* -err of the first failed write since the opening, 0: none */
    weft_err closed_err; /* db is NULL: why it could not be opened again              */
};

static inline struct wf_rocks *wf_rocks_of(wf_kv *kv) { return (struct wf_rocks *)kv; }

/* -- kv_rocksdb.c -- */
/* Logs and frees RocksDB's text. Damage that is met once the engine is open is noted beside it:
 * of what lies in a table no opening would know. */
weft_err wf_rocks_fail(struct wf_rocks *r, const char *what, char *text);

/* -- kv_rocksdb_options.c -- */
/* Makes all that an opening needs, once for the life of the engine. What it made when it
 * failed is in `r`, for its closing. IO: RocksDB does not take these options. */
weft_err wf_rocks_prepare(struct wf_rocks *r, uint64_t memory_bytes, bool create);
rocksdb_readoptions_t *wf_rocks_read_options(bool fill_cache);

/* -- kv_rocksdb_write.c -- */
/* The first failure of a write since the opening; OK: there was none. */
weft_err wf_rocks_stuck(struct wf_rocks *r);
/* NO_SPACE, which is said once. Nothing was touched. */
weft_err wf_rocks_refuse_full(struct wf_rocks *r);
weft_err wf_rocks_write(wf_kv *kv, const wf_batch *batch, bool sync);
weft_err wf_rocks_sync(wf_kv *kv);
weft_err wf_rocks_failed(wf_kv *kv);
weft_err wf_rocks_clear(wf_kv *kv, enum wf_cf cf);
void wf_rocks_drop_files(wf_kv *kv, enum wf_cf cf, const void *from, size_t from_len,
                         const void *to, size_t to_len);
uint64_t wf_rocks_memtables(struct wf_rocks *r); /* bytes that are in no table yet, about */
void wf_rocks_reclaim(wf_kv *kv, enum wf_cf cf, const void *from, size_t from_len, const void *to,
                      size_t to_len);
void wf_rocks_reclaim_stop(wf_kv *kv);

/* -- kv_rocksdb_stats.c: as in the table of kv.h -- */
uint64_t wf_rocks_memory(wf_kv *kv);
void wf_rocks_stats(wf_kv *kv, wf_kv_stats *out);
size_t wf_rocks_text(wf_kv *kv, char *out, size_t room);

/* -- kv_rocksdb_read.c: as in the table of kv.h -- */
weft_err wf_rocks_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                      size_t key_len, wf_value *out);
weft_err wf_rocks_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                            size_t key_len, size_t count, wf_value *out, weft_err *errs);
void wf_rocks_release(wf_kv *kv, wf_value *value);
weft_err wf_rocks_snapshot_create(wf_kv *kv, wf_kv_snapshot **out);
void wf_rocks_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *opaque);
weft_err wf_rocks_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                              const void *prefix, size_t prefix_len, wf_kv_iter **out);
void wf_rocks_iter_destroy(wf_kv_iter *base);
void wf_rocks_iter_first(wf_kv_iter *base);
void wf_rocks_iter_last(wf_kv_iter *base);
void wf_rocks_iter_seek(wf_kv_iter *base, const void *key, size_t key_len);
void wf_rocks_iter_seek_back(wf_kv_iter *base, const void *key, size_t key_len);
void wf_rocks_iter_next(wf_kv_iter *base);
void wf_rocks_iter_prev(wf_kv_iter *base);
bool wf_rocks_iter_valid(const wf_kv_iter *base);
const uint8_t *wf_rocks_iter_key(const wf_kv_iter *base, size_t *len);
const uint8_t *wf_rocks_iter_value(const wf_kv_iter *base, size_t *len);
weft_err wf_rocks_iter_err(const wf_kv_iter *base);

#endif
