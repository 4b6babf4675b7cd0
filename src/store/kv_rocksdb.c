/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb.c - the engine on disk: RocksDB 7.8 or later through its C interface.
 * Called by: weft.c (open), the store through kv.h; any thread reads, one writes.
 * May touch: RocksDB, one directory. Never: knows what a key means. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "kv_rocksdb_logs.h"
#include "kv_rocksdb_room.h"
#include "kv_rocksdb_state.h"
#include "log.h"
#include "store_dir.h"

#define LOG_WORTH_A_WORD (UINT64_C(1) << 20)

/* -- Errors: texts without codes, so they are told apart by their beginnings ------- */

static weft_err classify(const char *text)
{
    if (strstr(text, "No space left") != NULL || strncmp(text, "IO error: No space", 18) == 0 ||
        strstr(text, "Disk quota exceeded") != NULL)
        return WEFT_NO_SPACE;
    if (strstr(text, "lock hold by current process") != NULL ||
        strstr(text, "While lock file") != NULL)
        return WEFT_LOCKED;
    if (strncmp(text, "Corruption", 10) == 0) return WEFT_CORRUPT;
    if (strncmp(text, "Invalid argument: Column famil", 30) == 0) return WEFT_VERSION;
    return WEFT_IO;
}

/* A table or manifest that is gone from a directory that is there: no later try finds it. The engine
 * takes the one for damage when it opens, and both for a disk that fails when it reads. */
static bool tells_of_lost_file(const struct wf_rocks *r, const char *text)
{
    if (strstr(text, "No such file or directory") == NULL) return false;
    bool ours = strstr(text, ".ldb") != NULL || strstr(text, ".sst") != NULL ||
                strstr(text, "/MANIFEST-") != NULL;
    return ours && wf_store_dir_has_current(r->dir);
}

/* FNV-1a, of 64 bits; 0 stands for nothing. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++) hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return hash | 1;
}

static bool was_said(struct wf_rocks *r, const char *text)
{
    uint64_t hash = hash_of(text);
    bool said = wf_counter_get(&r->said) == hash;
    wf_counter_set(&r->said, hash);
    return said;
}

weft_err wf_rocks_fail(struct wf_rocks *r, const char *what, char *text)
{
    weft_err err = classify(text);
    if (err == WEFT_IO && tells_of_lost_file(r, text)) err = WEFT_CORRUPT;
    if (err == WEFT_CORRUPT && was_said(r, text)) (void)wf_fail_again(err, "%s: %s", what, text);
    else (void)wf_fail(err, "store", "%s: %s", what, text);
    if (err == WEFT_CORRUPT && r->db != NULL && !r->read_only &&
        wf_counter_add(&r->corrupt, 1) == 1)
        wf_store_dir_note_damage(r->dir);
    rocksdb_free(text);
    return err;
}

/* -- Checkpoint, close ---------------------------------------------------------- */

static weft_err rocks_checkpoint(wf_kv *kv, const char *dir)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    char *text = NULL;
    rocksdb_checkpoint_t *point = rocksdb_checkpoint_object_create(r->db, &text);
    if (text != NULL) return wf_rocks_fail(r, "checkpoint", text);
    rocksdb_checkpoint_create(point, dir, 0, &text);
    rocksdb_checkpoint_object_destroy(point);
    if (text != NULL) return wf_rocks_fail(r, "checkpoint", text);
    return wf_store_dir_mark(dir);
}

/* So that the next open has no log to replay. A disk that failed is left alone: the
 * log has everything. */
static void flush(struct wf_rocks *r)
{
    if (r->read_only || wf_rocks_stuck(r) != WEFT_OK ||
        wf_store_dir_is_full(r->dir, r->floor_bytes))
        return;
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    for (unsigned i = 0; i < WF_ROCKS_FAMILIES; i++) {
        char *text = NULL;
        rocksdb_flush_cf(r->db, options, r->handles[i], &text);
        if (text != NULL) {
            wf_rocks_fail(r, "flush", text);
            break;
        }
    }
    rocksdb_flushoptions_destroy(options);
}

static void db_close(struct wf_rocks *r)
{
    rocksdb_column_family_handle_t *none = r->handles[WF_CF_COUNT];
    for (unsigned i = 0; i < WF_CF_COUNT; i++)
        if (r->handles[i] != none) rocksdb_column_family_handle_destroy(r->handles[i]);
    rocksdb_column_family_handle_destroy(none);
    rocksdb_close(r->db);
    r->db = NULL;
}

static void rocks_close(wf_kv *kv)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    if (r->db != NULL) {
        flush(r);
        db_close(r);
    }
    for (unsigned i = 0; i < WF_ROCKS_FAMILIES; i++)
        if (r->options[i] != NULL) rocksdb_options_destroy(r->options[i]);
    if (r->batch != NULL) rocksdb_writebatch_destroy(r->batch);
    if (r->synced != NULL) rocksdb_writeoptions_destroy(r->synced);
    if (r->unsynced != NULL) rocksdb_writeoptions_destroy(r->unsynced);
    if (r->read != NULL) rocksdb_readoptions_destroy(r->read);
    if (r->cache != NULL) rocksdb_cache_destroy(r->cache);
    wf_batch_order_fini(&r->order);
    wf_lock_destroy(r->base.gate);
    wf_dir_let_go(r->held);
    wf_free(r->dir);
    wf_free(r);
}

static weft_err rocks_reopen(wf_kv *kv);

static const struct wf_kv_ops rocks_ops = {
    .name = "rocksdb",
    .get = wf_rocks_get,
    .multi_get = wf_rocks_multi_get,
    .release = wf_rocks_release,
    .write = wf_rocks_write,
    .sync = wf_rocks_sync,
    .snapshot_create = wf_rocks_snapshot_create,
    .snapshot_destroy = wf_rocks_snapshot_destroy,
    .checkpoint = rocks_checkpoint,
    .memory = wf_rocks_memory,
    .close = rocks_close,
    .iter_create = wf_rocks_iter_create,
    .iter_destroy = wf_rocks_iter_destroy,
    .iter_first = wf_rocks_iter_first,
    .iter_last = wf_rocks_iter_last,
    .iter_seek = wf_rocks_iter_seek,
    .iter_seek_back = wf_rocks_iter_seek_back,
    .iter_next = wf_rocks_iter_next,
    .iter_prev = wf_rocks_iter_prev,
    .iter_valid = wf_rocks_iter_valid,
    .iter_key = wf_rocks_iter_key,
    .iter_value = wf_rocks_iter_value,
    .iter_err = wf_rocks_iter_err,
    .failed = wf_rocks_failed,
    .reopen = rocks_reopen,
    .clear = wf_rocks_clear,
    .drop_files = wf_rocks_drop_files,
    .reclaim = wf_rocks_reclaim,
    .reclaim_stop = wf_rocks_reclaim_stop,
    .stats = wf_rocks_stats,
    .text = wf_rocks_text,
};

/* -- Opening ------------------------------------------------------------------------------ */

static weft_err open_failed(struct wf_rocks *r, char *text)
{
    weft_err err = classify(text);
    if (err != WEFT_LOCKED) return wf_rocks_fail(r, "open", text);
    bool here = strstr(text, "current process") != NULL;
    rocksdb_free(text);
    int holder = here ? 0 : wf_store_dir_holder(r->dir);
    if (here) return wf_fail(err, "store", "path=%s is open in this process already", r->dir);
    if (holder == 0) return wf_fail(err, "store", "path=%s is in use", r->dir);
    return wf_fail(err, "store", "path=%s is in use by process %d", r->dir, holder);
}

static void name_families(const char *names[WF_ROCKS_FAMILIES])
{
    memcpy(names, wf_cf_names, sizeof wf_cf_names);
    names[WF_CF_COUNT] = "default";
}

static bool is_listed(const char *name, char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0) return true;
    return false;
}

static void open_to_write(struct wf_rocks *r, char **text)
{
    const char *names[WF_ROCKS_FAMILIES];
    name_families(names);
    r->db = rocksdb_open_column_families(r->options[0], r->dir, WF_ROCKS_FAMILIES, names,
                                         (const rocksdb_options_t *const *)r->options, r->handles,
                                         text);
}

/* A store of an older format lacks families. Who only reads finds them empty: "default", into
 * which nothing is ever put, stands for them. */
static void open_to_read(struct wf_rocks *r, char **text)
{
    const char *names[WF_ROCKS_FAMILIES], *here[WF_ROCKS_FAMILIES];
    const rocksdb_options_t *options[WF_ROCKS_FAMILIES];
    rocksdb_column_family_handle_t *handles[WF_ROCKS_FAMILIES];
    unsigned place[WF_ROCKS_FAMILIES], count = 0;
    size_t listed = 0;
    name_families(names);
    char *unread = NULL;
    char **list = rocksdb_list_column_families(r->options[0], r->dir, &listed, &unread);
    for (unsigned i = 0; i < WF_ROCKS_FAMILIES; i++) {
        if (unread == NULL && !is_listed(names[i], list, listed)) continue;
        here[count] = names[i];
        options[count] = r->options[i];
        place[count++] = i;
    }
    if (list != NULL) rocksdb_list_column_families_destroy(list, listed); /* also an empty one */
    rocksdb_free(unread); /* the opening says what is wrong */
    r->db = rocksdb_open_for_read_only_column_families(r->options[0], r->dir, (int)count, here,
                                                       options, handles, 0, text);
    if (*text != NULL) return;
    for (unsigned i = 0; i < WF_ROCKS_FAMILIES; i++) r->handles[i] = handles[count - 1];
    for (unsigned i = 0; i < count; i++) r->handles[place[i]] = handles[i];
}

static weft_err open_database(struct wf_rocks *r)
{
    char *text = NULL;
    uint64_t log = wf_store_dir_log_bytes(r->dir);
    if (log >= LOG_WORTH_A_WORD)
        wf_log(WEFT_LOG_INFO, "store", "path=%s: reading %llu KiB of log again", r->dir,
               (unsigned long long)(log >> 10));
    if (r->read_only) open_to_read(r, &text);
    else open_to_write(r, &text);
    if (text != NULL) return open_failed(r, text);
    if (log >= LOG_WORTH_A_WORD) wf_log(WEFT_LOG_INFO, "store", "path=%s: the log is read", r->dir);
    return WEFT_OK;
}

/* May the directory be let go of to be opened again? */
static weft_err can_reopen(struct wf_rocks *r)
{
    struct wf_store_dir found;
    weft_err err = wf_store_dir_look(r->dir, &found);
    if (err != WEFT_OK) return err;
    if (!found.complete) /* the engine would begin a new store there */
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s has no store any more", r->dir);
    if (r->read_only) return WEFT_OK;
    return wf_store_dir_is_full(r->dir, r->floor_bytes) ? wf_rocks_refuse_full(r) : WEFT_OK;
}

static weft_err rocks_reopen(wf_kv *kv)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    int room = -1;
    weft_err err = can_reopen(r);
    /* Readers wait for this, so it waits for nobody. */
    if (err == WEFT_OK && !r->read_only) err = wf_room_take(r->dir, 0, &room);
    if (err != WEFT_OK) return err;
    if (r->db != NULL) db_close(r);
    /* Not before: while it is open it writes its logs. */
    r->closed_err = r->salvage ? WEFT_OK : wf_store_dir_check_logs(r->dir);
    if (r->closed_err == WEFT_OK) r->closed_err = open_database(r);
    if (r->closed_err == WEFT_OK) wf_counter_set(&r->sticky, 0);
    wf_room_give(room);
    return r->closed_err;
}

bool wf_kv_rocksdb_has_families(wf_kv *kv)
{
    struct wf_rocks *r = wf_rocks_of(kv);
    bool all = r->db != NULL;
    for (unsigned i = 0; all && i <= WF_CF_POLICY; i++)
        all = r->handles[i] != r->handles[WF_CF_COUNT];
    return all;
}

weft_err wf_kv_rocksdb_open(const char *dir, const wf_kv_rocksdb_options *options, wf_kv **out)
{
    wf_kv_rocksdb_options plain = {0};
    if (options == NULL) options = &plain;
    bool create = options->create && !options->read_only;
    struct wf_store_dir found;
    weft_err err = wf_store_dir_look(dir, &found);
    if (err != WEFT_OK) return err;
    if (found.engine == WF_ENGINE_LMDB)
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s is a store of LMDB", dir);
    if (!found.complete && !create)
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s has no store", dir);
    if (found.complete && !options->salvage) err = wf_store_dir_check_logs(dir);
    if (err != WEFT_OK) return err;

    int room = -1;
    struct wf_rocks *r = wf_calloc(1, sizeof *r);
    if (r == NULL) return WEFT_NO_MEMORY;
    r->base.ops = &rocks_ops;
    r->read_only = options->read_only;
    r->salvage = options->read_only && options->salvage;
    r->dir = wf_strdup(dir);
    r->base.gate = wf_lock_create();
    err = r->dir == NULL || r->base.gate == NULL
              ? WEFT_NO_MEMORY
              : wf_rocks_prepare(r, options->memory_bytes, !r->read_only);
    if (err == WEFT_OK && !r->read_only) err = wf_room_take(dir, WEFT_ROOM_WAIT_NS, &room);
    if (err == WEFT_OK && !found.is_store) err = wf_store_dir_create(dir);
    if (err == WEFT_OK && !r->read_only) err = wf_dir_hold(dir, &r->held);
    if (err == WEFT_OK) err = open_database(r);
    wf_room_give(room);
    if (err == WEFT_OK) {
        *out = &r->base;
        r = NULL;
    }
    if (r != NULL) rocks_close(&r->base);
    return err;
}
