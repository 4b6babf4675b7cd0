/* SPDX-License-Identifier: Apache-2.0
 * kv.h - the key-value engine under the store: one of the three tables behind
 * which everything that blocks is kept. Engines: memory (with a crash model), RocksDB and
 * LMDB. test/store/test_kv.c is the conformance suite that each must pass.
 *
 * Threads: get, iterators, snapshots, sync and checkpoint from any thread; write, reopen and
 * close from one thread at a time. Order of keys is by unsigned bytes. */
#ifndef WF_KV_H
#define WF_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#include "lock.h"

enum wf_cf { /* column families; the numbers are part of the store's format */
             WF_CF_ENTRY,
             WF_CF_META,
             WF_CF_GEN,
             WF_CF_ARR,
             WF_CF_CHILD,
             WF_CF_TIP,
             WF_CF_PEER,
             WF_CF_TREE,
             WF_CF_POLICY,
             WF_CF_TRIE,
             WF_CF_SKETCH,
             WF_CF_SUB,
             WF_CF_DOM,
             WF_CF_COUNT
};
extern const char *const wf_cf_names[WF_CF_COUNT];

typedef struct wf_kv wf_kv;
typedef struct wf_kv_iter wf_kv_iter;
typedef struct wf_kv_snapshot wf_kv_snapshot;

/* A value that the engine keeps in place until it is released. */
typedef struct wf_value {
    const uint8_t *data;
    size_t len;
    void *pin;
} wf_value;

/* -- Batches: engine-neutral, reusable, applied in order, all or nothing ------- */
typedef struct wf_batch wf_batch;
weft_err wf_batch_create(wf_batch **out);
void wf_batch_destroy(wf_batch *batch); /* NULL is fine */
void wf_batch_clear(wf_batch *batch);   /* keeps the memory */
size_t wf_batch_bytes(const wf_batch *batch);
size_t wf_batch_count(const wf_batch *batch);
size_t wf_batch_room(const wf_batch *batch); /* bytes of memory that it keeps */
/* It is written so that room comes back: the free-space floor lets it through, down to half of that
 * room. Until it is cleared. */
void wf_batch_make_room(wf_batch *batch);
bool wf_batch_makes_room(const wf_batch *batch);
/* A failed put leaves a sticky error, which wf_kv_write returns: NO_MEMORY. */
void wf_batch_put(wf_batch *batch, enum wf_cf cf, const void *key, size_t key_len,
                  const void *value, size_t value_len);
void wf_batch_delete(wf_batch *batch, enum wf_cf cf, const void *key, size_t key_len);
weft_err wf_batch_err(const wf_batch *batch);
/* Walks the operations in order; for engines. WEFT_OK from fn goes on. */
typedef struct wf_batch_op {
    enum wf_cf cf;
    bool is_delete;
    const uint8_t *key, *value;
    size_t key_len, value_len;
} wf_batch_op;
weft_err wf_batch_each(const wf_batch *batch, weft_err (*fn)(void *arg, const wf_batch_op *op),
                       void *arg);

/* -- Operations ------------------------------------------------------------------ */
/* NOT_FOUND, IO, CORRUPT. On OK release *out. `snap` may be NULL: now. */
weft_err wf_kv_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                   size_t key_len, wf_value *out);
/* `count` keys of equal length one after another; errs[i] is OK, NOT_FOUND, ... */
weft_err wf_kv_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                         size_t key_len, size_t count, wf_value *out, weft_err *errs);
void wf_value_release(wf_kv *kv, wf_value *value);
/* Applies a batch atomically; `sync`: durable when it returns. After a failure (IO,
 * NO_SPACE, CORRUPT, NO_MEMORY) the outcome is unknown and every later write answers
 * the same error until wf_kv_reopen, unless wf_kv_failed says otherwise. Does not
 * clear the batch. */
weft_err wf_kv_write(wf_kv *kv, const wf_batch *batch, bool sync);
/* Why writes are refused until wf_kv_reopen; OK: they are not. NO_SPACE from wf_kv_write
 * while this says OK: the free-space floor refused before anything was touched; nothing
 * was written, the next write is tried as if nothing had been. */
weft_err wf_kv_failed(wf_kv *kv);
/* After a failed write: closes the engine and opens it again. Reads go on until then and
 * wait meanwhile. OK: writes are taken again; whether the failed batch is there is for the
 * caller to read. AGAIN: something is still out, nothing was done. NO_SPACE: too little
 * room to open, nothing was done. UNSUPPORTED: the engine never reopens. IO, CORRUPT,
 * LOCKED...: it is closed now, reads answer that; call again. */
weft_err wf_kv_reopen(wf_kv *kv);
/* Empties a family without reading it, durably; by the writer, beside no write. OK, or AGAIN:
 * something is out, nothing was done. UNSUPPORTED: the engine reads what it deletes, so that can
 * be done from outside. IO, NO_SPACE, CORRUPT: as of a failed write. */
weft_err wf_kv_clear(wf_kv *kv, enum wf_cf cf);
/* A hint: files that hold nothing but keys from `from` to `to` may go as a whole, unread. What is
 * left of such keys, or seen again, is for the caller to delete. By the writer. */
void wf_kv_drop_files(wf_kv *kv, enum wf_cf cf, const void *from, size_t from_len, const void *to,
                      size_t to_len);
/* Gives the room of keys from `from` to `to` that were deleted back to the disk, if the engine keeps
 * it (wf_kv_keeps_room). May take long; any thread, beside writes. */
void wf_kv_reclaim(wf_kv *kv, enum wf_cf cf, const void *from, size_t from_len, const void *to,
                   size_t to_len);
bool wf_kv_keeps_room(const wf_kv *kv);
/* What is under way ends soon, and no more begins. Any thread. */
void wf_kv_reclaim_stop(wf_kv *kv);
/* Makes everything durable that was written before it began; writes go on meanwhile. */
weft_err wf_kv_sync(wf_kv *kv);
weft_err wf_kv_snapshot_create(wf_kv *kv, wf_kv_snapshot **out);
void wf_kv_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *snap);
/* A consistent copy in a directory that must not exist. UNSUPPORTED: memory. */
weft_err wf_kv_checkpoint(wf_kv *kv, const char *dir);
/* Approximate bytes of memory that the engine holds. */
uint64_t wf_kv_memory(wf_kv *kv);
/* Of now; 0 where the engine cannot tell. Values include calls under way. */
typedef struct wf_kv_stats {
    uint64_t iterators, snapshots, values; /* that are out               */
    uint64_t cache_bytes, memtable_bytes;  /* together: wf_kv_memory     */
    uint64_t disk_bytes;                   /* of its files               */
} wf_kv_stats;
void wf_kv_stats_read(wf_kv *kv, wf_kv_stats *out);
/* Its own statistics for people: writes at most `room` bytes, a final zero among them, and
 * returns how long the whole is; 0: there are none. */
size_t wf_kv_text(wf_kv *kv, char *out, size_t room);
/* Flushes what is in memory to tables so that the next open is quick, and closes.
 * NULL is fine. */
void wf_kv_close(wf_kv *kv);

/* -- Iterators: a fixed view taken at creation ------------------------------------ */
/* Keys k of `cf` with prefix `prefix` only. */
weft_err wf_kv_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *prefix,
                           size_t prefix_len, wf_kv_iter **out);
void wf_kv_iter_destroy(wf_kv_iter *it);
void wf_kv_iter_first(wf_kv_iter *it);
void wf_kv_iter_last(wf_kv_iter *it);
void wf_kv_iter_seek(wf_kv_iter *it, const void *key, size_t key_len);      /* first >= key */
void wf_kv_iter_seek_back(wf_kv_iter *it, const void *key, size_t key_len); /* last <= key */
void wf_kv_iter_next(wf_kv_iter *it);
void wf_kv_iter_prev(wf_kv_iter *it);
bool wf_kv_iter_valid(const wf_kv_iter *it);
const uint8_t *wf_kv_iter_key(const wf_kv_iter *it, size_t *len);
const uint8_t *wf_kv_iter_value(const wf_kv_iter *it, size_t *len);
weft_err wf_kv_iter_err(const wf_kv_iter *it); /* why it became invalid: OK or IO.. */

/* -- The table that an engine fills ------------------------------------------------- */
struct wf_kv_ops {
    const char *name;
    weft_err (*get)(wf_kv *, const wf_kv_snapshot *, enum wf_cf, const void *, size_t, wf_value *);
    weft_err (*multi_get)(wf_kv *, const wf_kv_snapshot *, enum wf_cf, const void *, size_t, size_t,
                          wf_value *, weft_err *); /* NULL: gets one by one */
    void (*release)(wf_kv *, wf_value *);
    weft_err (*write)(wf_kv *, const wf_batch *, bool sync);
    weft_err (*sync)(wf_kv *);
    weft_err (*snapshot_create)(wf_kv *, wf_kv_snapshot **);
    void (*snapshot_destroy)(wf_kv *, wf_kv_snapshot *);
    weft_err (*checkpoint)(wf_kv *, const char *);
    uint64_t (*memory)(wf_kv *);
    void (*close)(wf_kv *);
    weft_err (*iter_create)(wf_kv *, const wf_kv_snapshot *, enum wf_cf, const void *, size_t,
                            wf_kv_iter **);
    void (*iter_destroy)(wf_kv_iter *);
    void (*iter_first)(wf_kv_iter *);
    void (*iter_last)(wf_kv_iter *);
    void (*iter_seek)(wf_kv_iter *, const void *, size_t);
    void (*iter_seek_back)(wf_kv_iter *, const void *, size_t);
    void (*iter_next)(wf_kv_iter *);
    void (*iter_prev)(wf_kv_iter *);
    bool (*iter_valid)(const wf_kv_iter *);
    const uint8_t *(*iter_key)(const wf_kv_iter *, size_t *);
    const uint8_t *(*iter_value)(const wf_kv_iter *, size_t *);
    weft_err (*iter_err)(const wf_kv_iter *);
    weft_err (*failed)(wf_kv *);            /* NULL: never */
    weft_err (*reopen)(wf_kv *);            /* NULL: UNSUPPORTED */
    weft_err (*clear)(wf_kv *, enum wf_cf); /* NULL: UNSUPPORTED */
    void (*drop_files)(wf_kv *, enum wf_cf, const void *, size_t, const void *,
                       size_t); /* NULL: it has none to drop */
    void (*reclaim)(wf_kv *, enum wf_cf, const void *, size_t, const void *,
                    size_t); /* NULL: it keeps no room of what was deleted, or uses it again */
    void (*reclaim_stop)(wf_kv *);           /* NULL likewise */
    void (*stats)(wf_kv *, wf_kv_stats *);   /* fills the bytes; NULL: `memory` is memtables */
    size_t (*text)(wf_kv *, char *, size_t); /* NULL: none */
};
struct wf_kv { /* the engine's own struct begins with this */
    const struct wf_kv_ops *ops;
    wf_counter users;                /* values, iterators and snapshots that are out  */
    wf_counter closing;              /* 1: a reopen looks whether users is 0          */
    wf_counter iterators, snapshots; /* of the users                                */
    wf_lock *gate;                   /* NULL: the engine never reopens                */
};
struct wf_kv_iter {
    const struct wf_kv_ops *ops;
    wf_kv *kv; /* set by wf_kv_iter_create; NULL: the engine has ended it */
};

/* -- Memory engine --------------------------------------------------------------------- */
/* wf_kv_reopen keeps all that was written, a batch that failed too, and makes it durable;
 * while a persistent failure is met it answers that and does nothing. */
weft_err wf_kv_memory_open(wf_kv **out);
/* The crash model: forgets what was not synced, except a prefix of `keep` of the
 * unsynced batches (torn: the batch after them is lost whole). The handle goes on
 * with what is left, as after a reopen, and nothing is out any more: whoever held an
 * iterator is taken to be gone. For tests and the simulator. */
void wf_kv_memory_crash(wf_kv *kv, size_t keep);
size_t wf_kv_memory_unsynced(wf_kv *kv); /* batches since the last sync */
/* The n-th write from now fails with `err` (0: none); sticky if `persistent`,
 * until wf_kv_memory_crash. One that is not persistent refuses that batch as the floor
 * of a disk does, before anything is touched. */
void wf_kv_memory_fail_at(wf_kv *kv, uint64_t nth, weft_err err, bool persistent);
/* As on a disk that is nearly full: batches are refused, but for those that make room. */
void wf_kv_memory_full(wf_kv *kv, bool full);

/* -- RocksDB engine ------------------------------------------------------------------------ */
typedef struct wf_kv_rocksdb_options {
    uint64_t memory_bytes; /* block cache and write buffers together; 0: 96 MiB  */
    bool create;           /* create the directory and store if it is not there  */
    bool read_only;
    bool salvage; /* with read_only: skips damaged records of the log and checks as
                   * little as it can                                            */
} wf_kv_rocksdb_options;
/* NOT_STORE (exists and is something else, or !create and nothing there), LOCKED,
 * CORRUPT, IO, NO_SPACE, BUSY (others open theirs on a nearly full disk, WEFT_ROOM_WAIT_NS). */
weft_err wf_kv_rocksdb_open(const char *dir, const wf_kv_rocksdb_options *options, wf_kv **out);
/* Of one that is only read: has it the families that every format has? */
bool wf_kv_rocksdb_has_families(wf_kv *kv);

/* -- LMDB engine ------------------------------------------------------------------------------ */
typedef struct wf_kv_lmdb_options {
    uint64_t map_bytes; /* that the store may come to; 0: 256 GiB. Addresses, not room */
    bool create, read_only;
} wf_kv_lmdb_options;
/* As RocksDB's. LOCKED also when it is only read while this process has it open. Keys are 1 to
 * 511 bytes long. UNSUPPORTED: this build has no LMDB. */
weft_err wf_kv_lmdb_open(const char *dir, const wf_kv_lmdb_options *options, wf_kv **out);
bool wf_kv_lmdb_is_built(void);

/* -- Whichever of both ------------------------------------------------------------------------- */
enum wf_engine {
    WF_ENGINE_AUTO, /* the one that is there; RocksDB where nothing is */
    WF_ENGINE_ROCKSDB,
    WF_ENGINE_LMDB
};
typedef struct wf_kv_disk_options {
    enum wf_engine engine;
    uint64_t memory_bytes; /* of RocksDB */
    bool create, read_only;
    bool salvage; /* of RocksDB: LMDB has nothing to skip */
} wf_kv_disk_options;
/* NOT_STORE: the directory has another engine than the one that was asked for. */
weft_err wf_kv_disk_open(const char *dir, const wf_kv_disk_options *options, wf_kv **out);

#endif
