/* SPDX-License-Identifier: Apache-2.0
 * kv_lmdb.h - what the rooms of the LMDB engine share: its handle and its readers.
 * Called by: kv_lmdb.c, kv_lmdb_read.c. Never: anybody else, not even a test. */
#ifndef WF_KV_LMDB_H
#define WF_KV_LMDB_H

#include <lmdb.h>

#include <weft/limits.h>

#include "batch_order.h"

/* A read transaction: what a value, an iterator or a snapshot stands on. Several may stand on
 * one; whoever lets go last gives it back. */
struct wf_lmdb_reader {
    MDB_txn *txn;
    wf_counter refs;
    wf_lock *lock; /* of a snapshot's: one thread at a time may be inside the transaction */
    bool shared;   /* it is a snapshot's                                                  */
    bool broken;   /* it met an error, and is not used again                              */
    struct wf_lmdb_reader *next; /* in the list of those that nobody uses */
};

struct wf_lmdb {
    wf_kv base;
    char *dir;
    int lock_fd; /* -1: none, it only reads */
    MDB_env *env;
    MDB_dbi families[WF_CF_COUNT];
    bool has[WF_CF_COUNT]; /* false only in a store of an older version that is only read */
    wf_lock *lock;         /* of the list */
    wf_lock *syncing;
    struct wf_lmdb_reader *idle;
    uint32_t idle_count;
    uint64_t map_bytes, floor_bytes, writes;
    struct wf_batch_order order; /* of the batch being written */
    bool read_only;
    bool full;           /* the floor refused the last write, which was said once      */
    wf_counter sticky;   /* -err of the first failed write since the opening, 0: none   */
    weft_err closed_err; /* env is NULL: why it could not be opened again               */
};

static inline struct wf_lmdb *wf_lmdb_of(wf_kv *kv) { return (struct wf_lmdb *)kv; }

/* Logs a failure of LMDB and says what it is in weft's words. */
weft_err wf_lmdb_fail(const struct wf_lmdb *l, const char *what, int rc);

/* kv_lmdb_read.c: the part of the table that reads. */
weft_err wf_lmdb_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                     size_t key_len, wf_value *out);
weft_err wf_lmdb_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                           size_t key_len, size_t count, wf_value *out, weft_err *errs);
void wf_lmdb_release(wf_kv *kv, wf_value *value);
weft_err wf_lmdb_snapshot_create(wf_kv *kv, wf_kv_snapshot **out);
void wf_lmdb_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *snap);
weft_err wf_lmdb_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                             const void *prefix, size_t prefix_len, wf_kv_iter **out);
void wf_lmdb_iter_destroy(wf_kv_iter *it);
void wf_lmdb_iter_first(wf_kv_iter *it);
void wf_lmdb_iter_last(wf_kv_iter *it);
void wf_lmdb_iter_seek(wf_kv_iter *it, const void *key, size_t key_len);
void wf_lmdb_iter_seek_back(wf_kv_iter *it, const void *key, size_t key_len);
void wf_lmdb_iter_next(wf_kv_iter *it);
void wf_lmdb_iter_prev(wf_kv_iter *it);
bool wf_lmdb_iter_valid(const wf_kv_iter *it);
const uint8_t *wf_lmdb_iter_key(const wf_kv_iter *it, size_t *len);
const uint8_t *wf_lmdb_iter_value(const wf_kv_iter *it, size_t *len);
weft_err wf_lmdb_iter_err(const wf_kv_iter *it);
/* Ends the transactions that nobody uses; nobody uses any. */
void wf_lmdb_forget_readers(struct wf_lmdb *l);

#endif
