/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb_write.c - batches become writes of RocksDB, and what a failure leaves.
 * Called by: kv_rocksdb.c (its table); one thread. May touch: RocksDB.
 * Never: writes after a failure, or where the disk is nearly full. */
#include "kv_rocksdb_state.h"
#include "log.h"
#include "store_dir.h"

static weft_err add_op(void *arg, const wf_batch_op *op)
{
    struct wf_rocks *r = arg;
    if (op->is_delete)
        rocksdb_writebatch_delete_cf(r->batch, r->handles[op->cf], (const char *)op->key,
                                     op->key_len);
    else
        rocksdb_writebatch_put_cf(r->batch, r->handles[op->cf], (const char *)op->key, op->key_len,
                                  (const char *)op->value, op->value_len);
    return WEFT_OK;
}

/* After a failed write nobody knows what is on disk, so the first failure stays. */
static weft_err stick(struct wf_rocks *r, weft_err err)
{
    wf_counter_set(&r->sticky, (uint64_t) - (int64_t)err);
    return err;
}

weft_err wf_rocks_stuck(struct wf_rocks *r) { return (weft_err) - (int)wf_counter_get(&r->sticky); }

weft_err wf_rocks_failed(wf_kv *kv) { return wf_rocks_stuck(wf_rocks_of(kv)); }

/* Nothing was touched, so the next write is tried as if this one had not been. */
weft_err wf_rocks_refuse_full(struct wf_rocks *r)
{
    bool said = r->full;
    r->full = true;
    if (said) return WEFT_NO_SPACE;
    return wf_fail(WEFT_NO_SPACE, "store", "path=%s is nearly full: writes are refused", r->dir);
}

weft_err wf_rocks_write(wf_kv *kv, const wf_batch *batch, bool sync)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    weft_err err = wf_rocks_stuck(r);
    if (err == WEFT_OK && r->read_only) err = WEFT_INVALID;
    if (err == WEFT_OK) err = wf_batch_err(batch);
    if (err != WEFT_OK) return err;
    const bool makes_room = wf_batch_makes_room(batch);
    if (wf_store_dir_refuses(r->dir, r->floor_bytes, makes_room)) return wf_rocks_refuse_full(r);
    if (!makes_room) r->full = false; /* else that is not known */
    rocksdb_writebatch_clear(r->batch);
    /* The memtable begins the search for a key where the one before ended. */
    (void)wf_batch_each_ordered(batch, &r->order, add_op, r);
    char *text = NULL;
    rocksdb_write(r->db, sync ? r->synced : r->unsynced, r->batch, &text);
    return text == NULL ? WEFT_OK : stick(r, wf_rocks_fail(r, "write", text));
}

weft_err wf_rocks_sync(wf_kv *kv)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    weft_err err = wf_rocks_stuck(r);
    if (err != WEFT_OK) return err;
    char *text = NULL;
    rocksdb_flush_wal(r->db, 1, &text);
    return text == NULL ? WEFT_OK : stick(r, wf_rocks_fail(r, "sync", text));
}

/* A family that is dropped takes its tables along unread, and one of its name begins anew. Where
 * that fails the next opening makes it, as it makes each family that is not there. */
weft_err wf_rocks_clear(wf_kv *kv, enum wf_cf cf)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    weft_err err = r->db == NULL ? r->closed_err : wf_rocks_stuck(r);
    if (err == WEFT_OK && r->read_only) err = WEFT_INVALID;
    if (err != WEFT_OK) return err;
    char *text = NULL;
    rocksdb_drop_column_family(r->db, r->handles[cf], &text);
    if (text != NULL) return stick(r, wf_rocks_fail(r, "drop", text));
    rocksdb_column_family_handle_destroy(r->handles[cf]);
    r->handles[cf] = rocksdb_create_column_family(r->db, r->options[cf], wf_cf_names[cf], &text);
    if (text == NULL) return WEFT_OK;
    r->handles[cf] = r->handles[WF_CF_COUNT]; /* which is empty, and nothing is written any more */
    return stick(r, wf_rocks_fail(r, "create", text));
}

/* What is in no table yet, and files that others share, stays; that this failed is no harm. */
void wf_rocks_drop_files(wf_kv *kv, enum wf_cf cf, const void *from, size_t from_len,
                         const void *to, size_t to_len)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db == NULL || r->read_only || wf_rocks_stuck(r) != WEFT_OK) return;
    char *text = NULL;
    rocksdb_delete_file_in_range_cf(r->db, r->handles[cf], from, from_len, to, to_len, &text);
    if (text == NULL) return;
    wf_log(WEFT_LOG_DEBUG, "store", "files could not be dropped: %s", text);
    rocksdb_free(text);
}

/* What is in memory goes to tables, the bodies last, and then the logs go that held it: on a disk
 * that is nearly full that room is had soonest. False: there is not even room for that. */
static bool give_logs_back(struct wf_rocks *r)
{
    if (wf_store_dir_is_full(r->dir, wf_rocks_memtables(r))) return false;
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    char *text = NULL;
    for (unsigned i = WF_ROCKS_FAMILIES; i-- > 0 && text == NULL;)
        rocksdb_flush_cf(r->db, options, r->handles[i], &text);
    rocksdb_flushoptions_destroy(options);
    if (text != NULL) wf_log(WEFT_LOG_DEBUG, "store", "logs could not be given back: %s", text);
    if (text != NULL) rocksdb_free(text);
    return text == NULL;
}

/* A compaction of just this range, beside those that the engine begins by itself. It needs some
 * room first, of which a disk that is nearly full has half the floor. */
void wf_rocks_reclaim(wf_kv *kv, enum wf_cf cf, const void *from, size_t from_len, const void *to,
                      size_t to_len)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db == NULL || r->read_only || wf_rocks_stuck(r) != WEFT_OK ||
        wf_store_dir_refuses(r->dir, r->floor_bytes, true))
        return;
    if (wf_store_dir_is_full(r->dir, r->floor_bytes) && !give_logs_back(r)) return;
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    rocksdb_compact_range_cf_opt(r->db, r->handles[cf], options, from, from_len, to, to_len);
    rocksdb_compactoptions_destroy(options);
}

void wf_rocks_reclaim_stop(wf_kv *kv)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db != NULL) rocksdb_disable_manual_compaction(r->db);
}
