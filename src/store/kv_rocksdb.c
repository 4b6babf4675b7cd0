/* SPDX-License-Identifier: Apache-2.0
 * kv_rocksdb.c - the engine on disk: RocksDB 7.8 or later through its C interface.
 * Called by: weft.c (open), the store through kv.h; any thread reads, one writes.
 * May touch: RocksDB, one directory. Never: knows what a key means. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "kv.h"
#include "kv_rocksdb_dir.h"
#include "kv_rocksdb_logs.h"
#include "kv_rocksdb_order.h"
#include "lock.h"
#include "log.h"

#define MEMORY_DEFAULT (UINT64_C(96) << 20)
#define MEMORY_MIN (UINT64_C(8) << 20)
#define FREE_FLOOR_BYTES (UINT64_C(64) << 20)
#define FAMILIES (WF_CF_COUNT + 1) /* RocksDB insists on its own "default" */
#define MULTI_GET_CHUNK 64u
#define LOG_WORTH_A_WORD (UINT64_C(1) << 20)

struct rocks {
    wf_kv base;
    char *dir;
    rocksdb_t *db;
    rocksdb_cache_t *cache;
    rocksdb_options_t *options[FAMILIES];
    rocksdb_column_family_handle_t *handles[FAMILIES];
    rocksdb_writeoptions_t *synced, *unsynced;
    rocksdb_readoptions_t *read;
    rocksdb_writebatch_t *batch; /* the writer's, reused */
    struct wf_op_order order;    /* of the batch being written */
    uint64_t floor_bytes;
    bool read_only, salvage;
    bool full;           /* the floor refused the last write, which was said once    */
    wf_counter sticky;   /* -err of the first failed write since the opening, 0: none */
    weft_err closed_err; /* db is NULL: why it could not be opened again              */
};

struct snapshot {
    const rocksdb_snapshot_t *rocks;
    rocksdb_readoptions_t *read;
};

struct iter {
    wf_kv_iter base;
    rocksdb_iterator_t *rocks;
    rocksdb_readoptions_t *read;
    size_t prefix_len, upper_len;
    uint8_t *upper; /* the first key after the prefix; inside bytes */
    uint8_t bytes[];
};

static struct rocks *rocks_of(wf_kv *kv) { return (struct rocks *)kv; }

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

/* Logs and frees RocksDB's text. */
static weft_err fail(const char *what, char *text)
{
    weft_err err = wf_fail(classify(text), "store", "%s: %s", what, text);
    rocksdb_free(text);
    return err;
}

/* -- Reading ------------------------------------------------------------------------ */

static weft_err value_out(rocksdb_pinnableslice_t *slice, wf_value *out)
{
    if (slice == NULL) return WEFT_NOT_FOUND;
    size_t len;
    const char *data = rocksdb_pinnableslice_value(slice, &len);
    *out = (wf_value){.data = (const uint8_t *)data, .len = len, .pin = slice};
    return WEFT_OK;
}

static const rocksdb_readoptions_t *read_options(struct rocks *r, const wf_kv_snapshot *snap)
{
    return snap == NULL ? r->read : ((const struct snapshot *)snap)->read;
}

static weft_err rocks_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                          size_t key_len, wf_value *out)
{
    struct rocks *r = rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    char *text = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(r->db, read_options(r, snap),
                                                           r->handles[cf], key, key_len, &text);
    if (text != NULL) return fail("read", text);
    return value_out(slice, out);
}

static weft_err rocks_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                                const void *keys, size_t key_len, size_t count, wf_value *out,
                                weft_err *errs)
{
    struct rocks *r = rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    for (size_t from = 0; from < count; from += MULTI_GET_CHUNK) {
        size_t n = count - from < MULTI_GET_CHUNK ? count - from : MULTI_GET_CHUNK;
        const char *key_list[MULTI_GET_CHUNK];
        size_t sizes[MULTI_GET_CHUNK];
        rocksdb_pinnableslice_t *slices[MULTI_GET_CHUNK] = {NULL};
        char *texts[MULTI_GET_CHUNK] = {NULL};
        for (size_t i = 0; i < n; i++) {
            key_list[i] = (const char *)keys + (from + i) * key_len;
            sizes[i] = key_len;
        }
        rocksdb_batched_multi_get_cf(r->db, read_options(r, snap), r->handles[cf], n, key_list,
                                     sizes, slices, texts, false);
        for (size_t i = 0; i < n; i++) {
            errs[from + i] = texts[i] == NULL ? value_out(slices[i], &out[from + i])
                                              : fail("read", texts[i]);
        }
    }
    return WEFT_OK;
}

static void rocks_release(wf_kv *kv, wf_value *value)
{
    (void)kv;
    if (value->pin != NULL) rocksdb_pinnableslice_destroy(value->pin);
    *value = (wf_value){0};
}

/* -- Writing ------------------------------------------------------------------------ */

static void add_op(struct rocks *r, const wf_batch_op *op)
{
    if (op->is_delete)
        rocksdb_writebatch_delete_cf(r->batch, r->handles[op->cf], (const char *)op->key,
                                     op->key_len);
    else
        rocksdb_writebatch_put_cf(r->batch, r->handles[op->cf], (const char *)op->key, op->key_len,
                                  (const char *)op->value, op->value_len);
}

/* In this family a key is a hash. The others ascend by themselves. */
static bool is_random(enum wf_cf cf) { return cf == WF_CF_META; }

static void add_kept(struct rocks *r)
{
    wf_op_order_sort(&r->order);
    for (uint32_t i = 0; i < r->order.count; i++) add_op(r, &r->order.items[i].op);
    r->order.count = 0;
}

static weft_err fill_op(void *arg, const wf_batch_op *op)
{
    struct rocks *r = arg;
    if (is_random(op->cf) && wf_op_order_keep(&r->order, op)) return WEFT_OK;
    if (is_random(op->cf)) add_kept(r); /* no room: what is kept is older, so it goes first */
    add_op(r, op);
    return WEFT_OK;
}

/* After a failed write nobody knows what is on disk, so the first failure stays. */
static weft_err stick(struct rocks *r, weft_err err)
{
    wf_counter_set(&r->sticky, (uint64_t) - (int64_t)err);
    return err;
}

static weft_err stuck(struct rocks *r) { return (weft_err) - (int)wf_counter_get(&r->sticky); }

static weft_err rocks_failed(wf_kv *kv) { return stuck(rocks_of(kv)); }

/* Nothing was touched, so the next write is tried as if this one had not been. */
static weft_err refuse_full(struct rocks *r)
{
    bool said = r->full;
    r->full = true;
    if (said) return WEFT_NO_SPACE;
    return wf_fail(WEFT_NO_SPACE, "store", "path=%s is nearly full: writes are refused", r->dir);
}

static weft_err rocks_write(wf_kv *kv, const wf_batch *batch, bool sync)
{
    struct rocks *r = rocks_of(kv);
    weft_err err = stuck(r);
    if (err == WEFT_OK && r->read_only) err = WEFT_INVALID;
    if (err == WEFT_OK) err = wf_batch_err(batch);
    if (err != WEFT_OK) return err;
    if (wf_store_dir_is_full(r->dir, r->floor_bytes)) return refuse_full(r);
    r->full = false;
    rocksdb_writebatch_clear(r->batch);
    wf_batch_each(batch, fill_op, r);
    add_kept(r);
    char *text = NULL;
    rocksdb_write(r->db, sync ? r->synced : r->unsynced, r->batch, &text);
    return text == NULL ? WEFT_OK : stick(r, fail("write", text));
}

static weft_err rocks_sync(wf_kv *kv)
{
    struct rocks *r = rocks_of(kv);
    weft_err err = stuck(r);
    if (err != WEFT_OK) return err;
    char *text = NULL;
    rocksdb_flush_wal(r->db, 1, &text);
    return text == NULL ? WEFT_OK : stick(r, fail("sync", text));
}

/* -- Snapshots and iterators ---------------------------------------------------------- */

static rocksdb_readoptions_t *read_options_create(bool fill_cache)
{
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(read, 1);
    rocksdb_readoptions_set_fill_cache(read, fill_cache);
    return read;
}

static weft_err rocks_snapshot_create(wf_kv *kv, wf_kv_snapshot **out)
{
    struct rocks *r = rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    struct snapshot *snap = wf_calloc(1, sizeof *snap);
    if (snap == NULL) return WEFT_NO_MEMORY;
    snap->rocks = rocksdb_create_snapshot(r->db);
    snap->read = read_options_create(true);
    rocksdb_readoptions_set_snapshot(snap->read, snap->rocks);
    *out = (wf_kv_snapshot *)snap;
    return WEFT_OK;
}

static void rocks_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *opaque)
{
    struct snapshot *snap = (struct snapshot *)opaque;
    rocksdb_readoptions_destroy(snap->read);
    rocksdb_release_snapshot(rocks_of(kv)->db, snap->rocks);
    wf_free(snap);
}

/* A long walk must not empty the cache; a short one should find its block there. */
static bool walks_are_long(enum wf_cf cf, size_t prefix_len)
{
    return prefix_len == 0 || cf == WF_CF_GEN || cf == WF_CF_ARR;
}

/* The first key after all that begin with `prefix`: its last byte that can grow,
 * grown by one. Length 0: there is none. */
static size_t make_upper(uint8_t *upper, const void *prefix, size_t len)
{
    if (len > 0) memcpy(upper, prefix, len);
    while (len > 0 && upper[len - 1] == 0xff) len--;
    if (len > 0) upper[len - 1]++;
    return len;
}

static weft_err rocks_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                                  const void *prefix, size_t prefix_len, wf_kv_iter **out)
{
    struct rocks *r = rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    struct iter *it = wf_calloc(1, sizeof *it + 2 * prefix_len);
    if (it == NULL) return WEFT_NO_MEMORY;
    it->base.ops = kv->ops;
    it->prefix_len = prefix_len;
    if (prefix_len > 0) memcpy(it->bytes, prefix, prefix_len);
    it->upper = it->bytes + prefix_len;
    it->upper_len = make_upper(it->upper, prefix, prefix_len);
    it->read = read_options_create(!walks_are_long(cf, prefix_len));
    if (snap != NULL)
        rocksdb_readoptions_set_snapshot(it->read, ((const struct snapshot *)snap)->rocks);
    if (it->prefix_len > 0)
        rocksdb_readoptions_set_iterate_lower_bound(it->read, (const char *)it->bytes, prefix_len);
    if (it->upper_len > 0)
        rocksdb_readoptions_set_iterate_upper_bound(it->read, (const char *)it->upper,
                                                    it->upper_len);
    it->rocks = rocksdb_create_iterator_cf(r->db, it->read, r->handles[cf]);
    *out = &it->base;
    return WEFT_OK;
}

static void rocks_iter_destroy(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    rocksdb_iter_destroy(it->rocks);
    rocksdb_readoptions_destroy(it->read);
    wf_free(it);
}

static void rocks_iter_first(wf_kv_iter *base)
{
    rocksdb_iter_seek_to_first(((struct iter *)base)->rocks);
}

static void rocks_iter_last(wf_kv_iter *base)
{
    rocksdb_iter_seek_to_last(((struct iter *)base)->rocks);
}

static void rocks_iter_seek(wf_kv_iter *base, const void *key, size_t key_len)
{
    rocksdb_iter_seek(((struct iter *)base)->rocks, key, key_len);
}

static void rocks_iter_seek_back(wf_kv_iter *base, const void *key, size_t key_len)
{
    struct iter *it = (struct iter *)base;
    size_t common = key_len < it->upper_len ? key_len : it->upper_len;
    int order = common == 0 ? 0 : memcmp(key, it->upper, common);
    bool past = it->upper_len > 0 && (order > 0 || (order == 0 && key_len >= it->upper_len));
    if (past) rocksdb_iter_seek_to_last(it->rocks);
    else rocksdb_iter_seek_for_prev(it->rocks, key, key_len);
}

static void rocks_iter_next(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (rocksdb_iter_valid(it->rocks)) rocksdb_iter_next(it->rocks);
}

static void rocks_iter_prev(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (rocksdb_iter_valid(it->rocks)) rocksdb_iter_prev(it->rocks);
}

static bool rocks_iter_valid(const wf_kv_iter *base)
{
    return rocksdb_iter_valid(((const struct iter *)base)->rocks) != 0;
}

static const uint8_t *rocks_iter_key(const wf_kv_iter *base, size_t *len)
{
    return (const uint8_t *)rocksdb_iter_key(((const struct iter *)base)->rocks, len);
}

static const uint8_t *rocks_iter_value(const wf_kv_iter *base, size_t *len)
{
    return (const uint8_t *)rocksdb_iter_value(((const struct iter *)base)->rocks, len);
}

static weft_err rocks_iter_err(const wf_kv_iter *base)
{
    char *text = NULL;
    rocksdb_iter_get_error(((const struct iter *)base)->rocks, &text);
    return text == NULL ? WEFT_OK : fail("walk", text);
}

/* -- Checkpoint, memory, close ---------------------------------------------------------- */

static weft_err rocks_checkpoint(wf_kv *kv, const char *dir)
{
    struct rocks *r = rocks_of(kv);
    if (r->db == NULL) return r->closed_err;
    char *text = NULL;
    rocksdb_checkpoint_t *point = rocksdb_checkpoint_object_create(r->db, &text);
    if (text != NULL) return fail("checkpoint", text);
    rocksdb_checkpoint_create(point, dir, 0, &text);
    rocksdb_checkpoint_object_destroy(point);
    if (text != NULL) return fail("checkpoint", text);
    return wf_store_dir_mark(dir);
}

static uint64_t rocks_memory(wf_kv *kv)
{
    struct rocks *r = rocks_of(kv);
    uint64_t bytes = rocksdb_cache_get_usage(r->cache);
    for (unsigned i = 0; r->db != NULL && i < FAMILIES; i++) {
        uint64_t memtables = 0;
        rocksdb_property_int_cf(r->db, r->handles[i], "rocksdb.cur-size-all-mem-tables",
                                &memtables);
        bytes += memtables;
    }
    return bytes;
}

/* So that the next open has no log to replay. A disk that failed is left alone: the
 * log has everything. */
static void flush(struct rocks *r)
{
    if (r->read_only || stuck(r) != WEFT_OK || wf_store_dir_is_full(r->dir, r->floor_bytes)) return;
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    for (unsigned i = 0; i < FAMILIES; i++) {
        char *text = NULL;
        rocksdb_flush_cf(r->db, options, r->handles[i], &text);
        if (text != NULL) {
            fail("flush", text);
            break;
        }
    }
    rocksdb_flushoptions_destroy(options);
}

static void db_close(struct rocks *r)
{
    for (unsigned i = 0; i < FAMILIES; i++) rocksdb_column_family_handle_destroy(r->handles[i]);
    rocksdb_close(r->db);
    r->db = NULL;
}

static void rocks_close(wf_kv *kv)
{
    struct rocks *r = rocks_of(kv);
    if (r->db != NULL) {
        flush(r);
        db_close(r);
    }
    for (unsigned i = 0; i < FAMILIES; i++)
        if (r->options[i] != NULL) rocksdb_options_destroy(r->options[i]);
    if (r->batch != NULL) rocksdb_writebatch_destroy(r->batch);
    if (r->synced != NULL) rocksdb_writeoptions_destroy(r->synced);
    if (r->unsynced != NULL) rocksdb_writeoptions_destroy(r->unsynced);
    if (r->read != NULL) rocksdb_readoptions_destroy(r->read);
    if (r->cache != NULL) rocksdb_cache_destroy(r->cache);
    wf_op_order_fini(&r->order);
    wf_lock_destroy(r->base.gate);
    wf_free(r->dir);
    wf_free(r);
}

static weft_err rocks_reopen(wf_kv *kv);

static const struct wf_kv_ops rocks_ops = {
    .name = "rocksdb",
    .get = rocks_get,
    .multi_get = rocks_multi_get,
    .release = rocks_release,
    .write = rocks_write,
    .sync = rocks_sync,
    .snapshot_create = rocks_snapshot_create,
    .snapshot_destroy = rocks_snapshot_destroy,
    .checkpoint = rocks_checkpoint,
    .memory = rocks_memory,
    .close = rocks_close,
    .iter_create = rocks_iter_create,
    .iter_destroy = rocks_iter_destroy,
    .iter_first = rocks_iter_first,
    .iter_last = rocks_iter_last,
    .iter_seek = rocks_iter_seek,
    .iter_seek_back = rocks_iter_seek_back,
    .iter_next = rocks_iter_next,
    .iter_prev = rocks_iter_prev,
    .iter_valid = rocks_iter_valid,
    .iter_key = rocks_iter_key,
    .iter_value = rocks_iter_value,
    .iter_err = rocks_iter_err,
    .failed = rocks_failed,
    .reopen = rocks_reopen,
};

/* -- Opening ------------------------------------------------------------------------------ */

static void set_tables(struct rocks *r, rocksdb_options_t *options, bool bloom)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, r->cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_block_size(table, 8 << 10);
    rocksdb_block_based_options_set_format_version(table, 5);
    if (bloom) /* the table takes the policy over */
        rocksdb_block_based_options_set_filter_policy(table,
                                                      rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
}

/* What is asked by key and is often not there: only `meta`. */
static bool wants_bloom(unsigned family) { return family == WF_CF_META; }

static void set_sizes(rocksdb_options_t *options, uint64_t write_buffers)
{
    rocksdb_options_set_db_write_buffer_size(options, write_buffers);
    rocksdb_options_set_write_buffer_size(options, write_buffers / 2);
    rocksdb_options_set_max_write_buffer_number(options, 3);
    rocksdb_options_set_arena_block_size(options, 256 << 10);
    rocksdb_options_set_max_total_wal_size(options, 2 * write_buffers);
    rocksdb_options_set_max_open_files(options, 256);
    rocksdb_options_set_target_file_size_base(options, 16 << 20);
    rocksdb_options_set_max_bytes_for_level_base(options, 64 << 20);
    rocksdb_options_set_bytes_per_sync(options, 1 << 20);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, 8);
}

/* Rules learned by experiment: a torn tail of the log is tolerated and nothing else;
 * RocksDB's own log may abort the process on a full disk, so it is off but for fatal
 * errors; checks are on wherever there are any. Only a salvage wants what is left. */
static rocksdb_options_t *make_options(struct rocks *r, unsigned family, uint64_t write_buffers,
                                       bool create, char **text)
{
    static const char strict[] = "track_and_verify_wals_in_manifest=true;"
                                 "paranoid_file_checks=true;max_bgerror_resume_count=3";
    static const char lenient[] = "track_and_verify_wals_in_manifest=false";
    rocksdb_options_t *base = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(base, create);
    rocksdb_options_set_create_missing_column_families(base, create);
    rocksdb_options_set_wal_recovery_mode(base, r->salvage ? 3 : 0);
    rocksdb_options_set_paranoid_checks(base, !r->salvage);
    rocksdb_options_set_info_log_level(base, 4);
    rocksdb_options_set_max_log_file_size(base, 1 << 20);
    rocksdb_options_set_keep_log_file_num(base, 2);
    rocksdb_options_set_stats_dump_period_sec(base, 0);
    rocksdb_options_set_stats_persist_period_sec(base, 0);
    rocksdb_options_set_compression(base, rocksdb_no_compression);
    rocksdb_options_set_allow_concurrent_memtable_write(base, 0); /* there is one writer */
    rocksdb_options_set_enable_write_thread_adaptive_yield(base, 0);
    set_sizes(base, write_buffers);
    if (family == WF_CF_META) { /* asked for every entry that arrives */
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(base, 0.05);
        rocksdb_options_set_memtable_whole_key_filtering(base, 1);
    }
    set_tables(r, base, wants_bloom(family));
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_get_options_from_string(base, r->salvage ? lenient : strict, options, text);
    rocksdb_options_destroy(base);
    return options;
}

static weft_err prepare(struct rocks *r, uint64_t memory_bytes, bool create)
{
    if (memory_bytes == 0) memory_bytes = MEMORY_DEFAULT;
    if (memory_bytes < MEMORY_MIN) memory_bytes = MEMORY_MIN;
    uint64_t write_buffers = memory_bytes / 3;
    r->floor_bytes = 4 * (write_buffers / 2);
    if (r->floor_bytes < FREE_FLOOR_BYTES) r->floor_bytes = FREE_FLOOR_BYTES;
    /* Not with a strict limit: a shard of such a cache is smaller than the largest entry,
     * and then not only its reads fail but also the flush that checks the new table. */
    r->cache = rocksdb_cache_create_lru(memory_bytes - write_buffers);
    r->read = read_options_create(true);
    r->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->synced, 1);
    r->unsynced = rocksdb_writeoptions_create();
    r->batch = rocksdb_writebatch_create();
    for (unsigned i = 0; i < FAMILIES; i++) {
        char *text = NULL;
        r->options[i] = make_options(r, i, write_buffers, create, &text);
        if (text != NULL) return fail("options", text);
    }
    return WEFT_OK;
}

static weft_err open_failed(struct rocks *r, char *text)
{
    weft_err err = classify(text);
    if (err != WEFT_LOCKED) return fail("open", text);
    bool here = strstr(text, "current process") != NULL;
    rocksdb_free(text);
    int holder = here ? 0 : wf_store_dir_holder(r->dir);
    if (here) return wf_fail(err, "store", "path=%s is open in this process already", r->dir);
    if (holder == 0) return wf_fail(err, "store", "path=%s is in use", r->dir);
    return wf_fail(err, "store", "path=%s is in use by process %d", r->dir, holder);
}

static weft_err open_database(struct rocks *r)
{
    const char *names[FAMILIES];
    memcpy(names, wf_cf_names, sizeof wf_cf_names);
    names[WF_CF_COUNT] = "default";
    const rocksdb_options_t *const *options = (const rocksdb_options_t *const *)r->options;
    char *text = NULL;
    uint64_t log = wf_store_dir_log_bytes(r->dir);
    if (log >= LOG_WORTH_A_WORD)
        wf_log(WEFT_LOG_INFO, "store", "path=%s: reading %llu KiB of log again", r->dir,
               (unsigned long long)(log >> 10));
    if (r->read_only)
        r->db = rocksdb_open_for_read_only_column_families(r->options[0], r->dir, FAMILIES, names,
                                                           options, r->handles, 0, &text);
    else
        r->db = rocksdb_open_column_families(r->options[0], r->dir, FAMILIES, names, options,
                                             r->handles, &text);
    if (text != NULL) return open_failed(r, text);
    if (log >= LOG_WORTH_A_WORD) wf_log(WEFT_LOG_INFO, "store", "path=%s: the log is read", r->dir);
    return WEFT_OK;
}

/* May the directory be let go of to be opened again? */
static weft_err can_reopen(struct rocks *r)
{
    struct wf_store_dir found;
    weft_err err = wf_store_dir_look(r->dir, &found);
    if (err != WEFT_OK) return err;
    if (!found.complete) /* the engine would begin a new store there */
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s has no store any more", r->dir);
    if (r->read_only) return WEFT_OK;
    if (wf_store_dir_is_full(r->dir, r->floor_bytes)) return refuse_full(r);
    return wf_store_dir_has_room(r->dir);
}

static weft_err rocks_reopen(wf_kv *kv)
{
    struct rocks *r = rocks_of(kv);
    weft_err err = can_reopen(r);
    if (err != WEFT_OK) return err;
    if (r->db != NULL) db_close(r);
    /* Not before: while it is open it writes its logs. */
    r->closed_err = r->salvage ? WEFT_OK : wf_store_dir_check_logs(r->dir);
    if (r->closed_err == WEFT_OK) r->closed_err = open_database(r);
    if (r->closed_err == WEFT_OK) wf_counter_set(&r->sticky, 0);
    return r->closed_err;
}

weft_err wf_kv_rocksdb_open(const char *dir, const wf_kv_rocksdb_options *options, wf_kv **out)
{
    wf_kv_rocksdb_options plain = {0};
    if (options == NULL) options = &plain;
    bool create = options->create && !options->read_only;
    struct wf_store_dir found;
    weft_err err = wf_store_dir_look(dir, &found);
    if (err != WEFT_OK) return err;
    if (!found.complete && !create)
        return wf_fail(WEFT_NOT_STORE, "store", "path=%s has no store", dir);
    if (found.complete && !options->salvage) err = wf_store_dir_check_logs(dir);
    if (err == WEFT_OK && !options->read_only) err = wf_store_dir_has_room(dir);
    if (err == WEFT_OK && !found.is_store) err = wf_store_dir_create(dir);
    if (err != WEFT_OK) return err;

    struct rocks *r = wf_calloc(1, sizeof *r);
    if (r == NULL) return WEFT_NO_MEMORY;
    r->base.ops = &rocks_ops;
    r->read_only = options->read_only;
    r->salvage = options->read_only && options->salvage;
    r->dir = wf_strdup(dir);
    r->base.gate = wf_lock_create();
    err = r->dir == NULL || r->base.gate == NULL ? WEFT_NO_MEMORY
                                                 : prepare(r, options->memory_bytes, !r->read_only);
    if (err == WEFT_OK) err = open_database(r);
    if (err == WEFT_OK) {
        *out = &r->base;
        r = NULL;
    }
    if (r != NULL) rocks_close(&r->base);
    return err;
}
