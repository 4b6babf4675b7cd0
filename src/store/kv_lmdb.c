/* SPDX-License-Identifier: Apache-2.0
 * kv_lmdb.c - the second engine on disk: LMDB 0.9, a B+ tree in one file that is read through
 * memory. Called by: kv_disk.c (open), the store through kv.h; any thread reads, one writes.
 * May touch: LMDB, one directory through kv_lmdb_dir.c. Never: knows what a key means;
 * MDB_NOSYNC, after which a power cut may leave pages of two commits. */
#include "kv_lmdb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "kv_lmdb_dir.h"
#include "log.h"
#include "store_dir.h"

/* Addresses, not room: the file is as long as what is in it. */
#define MAP_BYTES_DEFAULT (sizeof(void *) > 4 ? WEFT_STORE_LMDB_BYTES_MAX : UINT64_C(1) << 30)
#define NEW_MAP_BYTES (16 << 20) /* of a database without anything in it */
/* Asked of LMDB, which takes the table's room instead where that is more: it always is. */
#define READERS_ASKED (WEFT_STORE_LMDB_READERS / 2)
#define LOOK_FOR_DEAD_EVERY 1024u
#define PATH_BYTES_MAX 4096

/* -- Errors ------------------------------------------------------------------------- */

static weft_err classify(int rc)
{
    switch (rc) {
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT: return WEFT_NO_SPACE;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_TXN: /* of what reads: it has met a damaged page before */
    case MDB_INVALID:
    case MDB_INCOMPATIBLE: return WEFT_CORRUPT;
    case MDB_VERSION_MISMATCH: return WEFT_VERSION;
    case MDB_READERS_FULL: return WEFT_LIMIT;
    case MDB_BAD_VALSIZE: return WEFT_INVALID;
    case ENOMEM: return WEFT_NO_MEMORY;
    default: return WEFT_IO;
    }
}

weft_err wf_lmdb_fail(const struct wf_lmdb *l, const char *what, int rc)
{
    return wf_fail(classify(rc), "store", "%s: path=%s: %s", what, l->dir, mdb_strerror(rc));
}

/* -- Writing ------------------------------------------------------------------------ */

/* After a failed commit nobody knows what is on disk, so the first failure stays. */
static weft_err stick(struct wf_lmdb *l, weft_err err)
{
    wf_counter_set(&l->sticky, (uint64_t) - (int64_t)err);
    return err;
}

static weft_err stuck(struct wf_lmdb *l)
{
    weft_err err = (weft_err) - (int)wf_counter_get(&l->sticky);
    return err == WEFT_OK && l->env == NULL ? l->closed_err : err;
}

static weft_err lmdb_failed(wf_kv *kv) { return stuck(wf_lmdb_of(kv)); }

static weft_err refuse_full(struct wf_lmdb *l)
{
    bool said = l->full;
    l->full = true;
    if (said) return WEFT_NO_SPACE;
    return wf_fail(WEFT_NO_SPACE, "store", "path=%s is nearly full: writes are refused", l->dir);
}

struct filling {
    struct wf_lmdb *l;
    MDB_txn *txn;
    int rc;
};

static weft_err fill_op(void *arg, const wf_batch_op *op)
{
    struct filling *f = arg;
    MDB_val key = {.mv_size = op->key_len, .mv_data = (void *)(uintptr_t)op->key};
    MDB_val value = {.mv_size = op->value_len, .mv_data = (void *)(uintptr_t)op->value};
    MDB_dbi family = f->l->families[op->cf];
    f->rc = op->is_delete ? mdb_del(f->txn, family, &key, NULL)
                          : mdb_put(f->txn, family, &key, &value, 0);
    if (f->rc == MDB_NOTFOUND) f->rc = 0; /* nothing to delete */
    return f->rc == 0 ? WEFT_OK : WEFT_INTERNAL;
}

/* Nothing reached the file. What lies in the batch or in memory concerns only this write; what
 * LMDB says of its file concerns all. */
static weft_err not_written(struct wf_lmdb *l, int rc)
{
    weft_err err = wf_lmdb_fail(l, "write", rc);
    bool once = err == WEFT_NO_SPACE || err == WEFT_NO_MEMORY || err == WEFT_INVALID;
    return once ? err : stick(l, err);
}

static weft_err lmdb_write(wf_kv *kv, const wf_batch *batch, bool sync)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    weft_err err = stuck(l);
    if (err == WEFT_OK && l->read_only) err = WEFT_INVALID;
    if (err == WEFT_OK) err = wf_batch_err(batch);
    if (err != WEFT_OK) return err;
    const bool makes_room = wf_batch_makes_room(batch);
    if (wf_store_dir_refuses(l->dir, l->floor_bytes, makes_room)) return refuse_full(l);
    if (!makes_room) l->full = false; /* else that is not known */
    /* A process that was killed while it read would keep old pages from being used again. */
    if (++l->writes % LOOK_FOR_DEAD_EVERY == 0) (void)mdb_reader_check(l->env, NULL);
    struct filling f = {.l = l};
    int rc = mdb_txn_begin(l->env, NULL, 0, &f.txn);
    if (rc != 0) return not_written(l, rc);
    if (wf_batch_each_ordered(batch, &l->order, fill_op, &f) != WEFT_OK) {
        mdb_txn_abort(f.txn);
        return not_written(l, f.rc);
    }
    /* Without the sync the pages are synced all the same, and only the root that names them is
     * not: a power cut takes the newest commit and never the file. */
    if (!sync) (void)mdb_env_set_flags(l->env, MDB_NOMETASYNC, 1);
    rc = mdb_txn_commit(f.txn);
    if (!sync) (void)mdb_env_set_flags(l->env, MDB_NOMETASYNC, 0);
    return rc == 0 ? WEFT_OK : stick(l, wf_lmdb_fail(l, "commit", rc));
}

/* One at a time: of two syncs of a file the system tells only one that the disk has failed. */
static weft_err lmdb_sync(wf_kv *kv)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    wf_lock_take(l->syncing);
    weft_err err = stuck(l);
    if (err == WEFT_OK && !l->read_only) {
        int rc = mdb_env_sync(l->env, 1);
        if (rc != 0) err = stick(l, wf_lmdb_fail(l, "sync", rc));
    }
    wf_lock_give(l->syncing);
    return err;
}

/* -- Checkpoint, memory, close -------------------------------------------------------- */

static weft_err lmdb_checkpoint(wf_kv *kv, const char *dir)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    if (l->env == NULL) return l->closed_err;
    weft_err err = wf_lmdb_dir_create_copy(dir);
    if (err != WEFT_OK) return err;
    int rc = mdb_env_copy2(l->env, dir, 0);
    return rc == 0 ? wf_lmdb_dir_finish_copy(dir) : wf_lmdb_fail(l, "checkpoint", rc);
}

/* The pages of the file: as far as they are in memory at all, they are the system's cache of
 * files, which it takes back when it likes. */
static uint64_t lmdb_memory(wf_kv *kv)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    MDB_envinfo info;
    MDB_stat stat;
    if (l->env == NULL || mdb_env_info(l->env, &info) != 0 || mdb_env_stat(l->env, &stat) != 0)
        return 0;
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

static void lmdb_stats(wf_kv *kv, wf_kv_stats *out)
{
    out->cache_bytes = lmdb_memory(kv);
    out->memtable_bytes = 0;
    out->disk_bytes = wf_store_dir_bytes(wf_lmdb_of(kv)->dir);
}

static void env_close(struct wf_lmdb *l)
{
    if (l->env == NULL) return;
    wf_lmdb_forget_readers(l);
    mdb_env_close(l->env);
    l->env = NULL;
}

static void lmdb_close(wf_kv *kv)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    /* A failed sync is told by nothing but this line: what was promised is synced already. */
    if (l->env != NULL && !l->read_only && stuck(l) == WEFT_OK) (void)lmdb_sync(kv);
    env_close(l);
    wf_lmdb_dir_unlock(l->lock_fd);
    wf_lock_destroy(l->lock);
    wf_lock_destroy(l->syncing);
    wf_lock_destroy(l->base.gate);
    wf_batch_order_fini(&l->order);
    wf_free(l->dir);
    wf_free(l);
}

/* -- Opening -------------------------------------------------------------------------- */

static bool is_family(const MDB_val *name)
{
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++)
        if (name->mv_size == strlen(wf_cf_names[cf]) &&
            memcmp(name->mv_data, wf_cf_names[cf], name->mv_size) == 0)
            return true;
    return false;
}

/* Each key of the unnamed database is the name of a family. */
static weft_err check_names(struct wf_lmdb *l, MDB_txn *txn)
{
    MDB_dbi names;
    MDB_cursor *cursor = NULL;
    MDB_val name, value;
    weft_err err = WEFT_OK;
    int rc = mdb_dbi_open(txn, NULL, 0, &names);
    if (rc == 0) rc = mdb_cursor_open(txn, names, &cursor);
    while (err == WEFT_OK && rc == 0 && (rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) == 0)
        if (!is_family(&name))
            err = wf_fail(WEFT_VERSION, "store", "path=%s has a family of another version", l->dir);
    if (cursor != NULL) mdb_cursor_close(cursor);
    if (err == WEFT_OK && rc != 0 && rc != MDB_NOTFOUND) err = wf_lmdb_fail(l, "open", rc);
    return err;
}

static int open_families(struct wf_lmdb *l, MDB_txn *txn)
{
    int rc = 0;
    for (unsigned cf = 0; rc == 0 && cf < WF_CF_COUNT; cf++) {
        rc = mdb_dbi_open(txn, wf_cf_names[cf], l->read_only ? 0 : MDB_CREATE, &l->families[cf]);
        l->has[cf] = rc == 0;
        if (rc == MDB_NOTFOUND && l->read_only) rc = 0; /* an older store: it is empty */
    }
    return rc;
}

static weft_err begin_families(struct wf_lmdb *l)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(l->env, NULL, l->read_only ? MDB_RDONLY : 0, &txn);
    if (rc != 0) return wf_lmdb_fail(l, "open", rc);
    weft_err err = check_names(l, txn);
    if (err == WEFT_OK && (rc = open_families(l, txn)) != 0) err = wf_lmdb_fail(l, "open", rc);
    if (err != WEFT_OK) {
        mdb_txn_abort(txn);
        return err;
    }
    rc = mdb_txn_commit(txn); /* of one that only read, too: else its handles are gone */
    return rc == 0 ? WEFT_OK : wf_lmdb_fail(l, "open", rc);
}

static int env_open(MDB_env **env, const char *path, uint64_t map_bytes, unsigned flags)
{
    int rc = mdb_env_create(env);
    if (rc != 0) return rc;
    rc = mdb_env_set_mapsize(*env, (size_t)map_bytes);
    if (rc == 0) rc = mdb_env_set_maxreaders(*env, READERS_ASKED);
    if (rc == 0) rc = mdb_env_set_maxdbs(*env, WF_CF_COUNT);
    if (rc == 0) rc = mdb_env_open(*env, path, flags, 0600);
    if (rc == 0) return 0;
    mdb_env_close(*env);
    *env = NULL;
    return rc;
}

/* Under a name of its own until it is whole and on the disk: a directory with a data.mdb has
 * been a store. */
static weft_err create_database(struct wf_lmdb *l)
{
    char path[PATH_BYTES_MAX];
    int len = snprintf(path, sizeof path, "%s/" WF_LMDB_DATA_NEW, l->dir);
    if (len < 0 || (size_t)len >= sizeof path) return WEFT_INVALID;
    weft_err err = wf_lmdb_dir_remove_new(l->dir);
    if (err != WEFT_OK) return err;
    int rc = env_open(&l->env, path, NEW_MAP_BYTES, MDB_NOSUBDIR | MDB_NOLOCK);
    if (rc != 0) return wf_lmdb_fail(l, "create", rc);
    err = begin_families(l);
    if (err == WEFT_OK && (rc = mdb_env_sync(l->env, 1)) != 0) err = wf_lmdb_fail(l, "sync", rc);
    env_close(l);
    return err == WEFT_OK ? wf_lmdb_dir_publish_new(l->dir) : err;
}

static weft_err open_database(struct wf_lmdb *l)
{
    bool has_table;
    MDB_envinfo info;
    MDB_stat stat;
    weft_err err = wf_lmdb_dir_prepare(l->dir, !l->read_only, &has_table);
    if (err != WEFT_OK) return err;
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
    if (l->read_only) flags |= MDB_RDONLY;
    if (!has_table) flags |= MDB_NOLOCK; /* a copy that nobody has opened: none is made of it */
    int rc = env_open(&l->env, l->dir, l->map_bytes, flags);
    if (rc != 0) return wf_lmdb_fail(l, "open", rc);
    rc = mdb_env_info(l->env, &info);
    if (rc == 0) rc = mdb_env_stat(l->env, &stat);
    if (rc != 0) err = wf_lmdb_fail(l, "open", rc);
    if (err == WEFT_OK && !l->read_only)
        err = wf_lmdb_dir_extend(l->dir, ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize);
    if (err == WEFT_OK && has_table) (void)mdb_reader_check(l->env, NULL);
    if (err == WEFT_OK) err = begin_families(l);
    if (err != WEFT_OK) env_close(l);
    return err;
}

/* May the file be let go of to be opened again? */
static weft_err can_reopen(struct wf_lmdb *l)
{
    struct wf_store_dir found;
    weft_err err = wf_store_dir_look(l->dir, &found);
    if (err != WEFT_OK) return err;
    if (!found.complete)
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s has no store any more", l->dir);
    if (l->read_only) return WEFT_OK;
    if (wf_store_dir_is_full(l->dir, l->floor_bytes)) return refuse_full(l);
    return wf_store_dir_has_room(l->dir);
}

static weft_err lmdb_reopen(wf_kv *kv)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    weft_err err = can_reopen(l);
    if (err != WEFT_OK) return err;
    env_close(l);
    l->closed_err = open_database(l);
    if (l->closed_err == WEFT_OK) wf_counter_set(&l->sticky, 0);
    return l->closed_err;
}

static const struct wf_kv_ops lmdb_ops = {
    .name = "lmdb",
    .get = wf_lmdb_get,
    .multi_get = wf_lmdb_multi_get,
    .release = wf_lmdb_release,
    .write = lmdb_write,
    .sync = lmdb_sync,
    .snapshot_create = wf_lmdb_snapshot_create,
    .snapshot_destroy = wf_lmdb_snapshot_destroy,
    .checkpoint = lmdb_checkpoint,
    .memory = lmdb_memory,
    .close = lmdb_close,
    .iter_create = wf_lmdb_iter_create,
    .iter_destroy = wf_lmdb_iter_destroy,
    .iter_first = wf_lmdb_iter_first,
    .iter_last = wf_lmdb_iter_last,
    .iter_seek = wf_lmdb_iter_seek,
    .iter_seek_back = wf_lmdb_iter_seek_back,
    .iter_next = wf_lmdb_iter_next,
    .iter_prev = wf_lmdb_iter_prev,
    .iter_valid = wf_lmdb_iter_valid,
    .iter_key = wf_lmdb_iter_key,
    .iter_value = wf_lmdb_iter_value,
    .iter_err = wf_lmdb_iter_err,
    .failed = lmdb_failed,
    .reopen = lmdb_reopen,
    .stats = lmdb_stats,
};

/* The directory is there and is ours, or may become it. */
static weft_err begin(struct wf_lmdb *l)
{
    weft_err err = l->read_only ? wf_lmdb_dir_may_read(l->dir)
                                : wf_lmdb_dir_lock(l->dir, &l->lock_fd);
    /* Another process may have made it since we looked. */
    if (err == WEFT_OK && !wf_lmdb_dir_has_database(l->dir)) err = create_database(l);
    return err == WEFT_OK ? open_database(l) : err;
}

weft_err wf_kv_lmdb_open(const char *dir, const wf_kv_lmdb_options *options, wf_kv **out)
{
    wf_kv_lmdb_options plain = {0};
    if (options == NULL) options = &plain;
    struct wf_store_dir found;
    weft_err err = wf_store_dir_look(dir, &found);
    if (err != WEFT_OK) return err;
    if (found.engine == WF_ENGINE_ROCKSDB)
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s is a store of RocksDB", dir);
    if (!found.complete && (!options->create || options->read_only))
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s has no store", dir);
    if (!options->read_only) err = wf_store_dir_has_room(dir);
    if (err == WEFT_OK && !found.is_store) err = wf_store_dir_create(dir);
    if (err != WEFT_OK) return err;

    struct wf_lmdb *l = wf_calloc(1, sizeof *l);
    if (l == NULL) return WEFT_NO_MEMORY;
    l->base.ops = &lmdb_ops;
    l->lock_fd = -1;
    l->read_only = options->read_only;
    l->map_bytes = options->map_bytes == 0 ? MAP_BYTES_DEFAULT : options->map_bytes;
    l->floor_bytes = WEFT_STORE_FREE_FLOOR_BYTES;
    l->dir = wf_strdup(dir);
    l->lock = wf_lock_create();
    l->syncing = wf_lock_create();
    l->base.gate = wf_lock_create();
    bool whole = l->dir != NULL && l->lock != NULL && l->syncing != NULL && l->base.gate != NULL;
    err = whole ? begin(l) : WEFT_NO_MEMORY;
    if (err == WEFT_OK) {
        *out = &l->base;
        l = NULL;
    }
    if (l != NULL) lmdb_close(&l->base);
    return err;
}

bool wf_kv_lmdb_is_built(void) { return true; }
