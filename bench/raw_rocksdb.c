/* SPDX-License-Identifier: Apache-2.0
 * raw_rocksdb.c - what RocksDB does by itself with what weft gives it.
 * Called by: store_raw.c. May touch: a directory of its own. Never: weft's engine. */
#include "raw_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rocksdb/c.h>
#include <sodium.h>

#include "store_history.h"

#define CACHE_BYTES (64u << 20)

struct raw {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *handles[WF_CF_COUNT];
    rocksdb_writeoptions_t *synced, *unsynced;
    rocksdb_readoptions_t *read;
    rocksdb_writebatch_t *batch;
};

static void no_error(char *text, const char *what)
{
    if (text == NULL) return;
    fprintf(stderr, "%s: %s\n", what, text);
    exit(1);
}

/* Families are matched by name: RocksDB keeps "default" besides. */
static void open_like(struct raw *raw, const char *dir, rocksdb_options_t *options, size_t count,
                      char **names, rocksdb_options_t **family_options)
{
    char *text = NULL;
    rocksdb_column_family_handle_t **handles = calloc(count, sizeof *handles);
    must(handles == NULL ? WEFT_NO_MEMORY : WEFT_OK, "raw engine");
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    raw->db = rocksdb_open_column_families(options, dir, (int)count, (const char *const *)names,
                                           (const rocksdb_options_t *const *)family_options,
                                           handles, &text);
    no_error(text, "raw open");
    for (size_t i = 0; i < count; i++) {
        for (int cf = 0; cf < WF_CF_COUNT; cf++)
            if (strcmp(names[i], wf_cf_names[cf]) == 0) raw->handles[cf] = handles[i];
        if (strcmp(names[i], "default") == 0) rocksdb_column_family_handle_destroy(handles[i]);
    }
    free(handles);
}

static struct raw *open_new(const char *dir, const char *like)
{
    char *text = NULL, **names = NULL;
    size_t count = 0;
    rocksdb_options_t *options = NULL, **family_options = NULL;
    struct raw *raw = calloc(1, sizeof *raw);
    must(raw == NULL ? WEFT_NO_MEMORY : WEFT_OK, "raw engine");
    rocksdb_env_t *env = rocksdb_create_default_env();
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(CACHE_BYTES);
    rocksdb_load_latest_options(like, env, true, cache, &options, &count, &names, &family_options,
                                &text);
    no_error(text, "options of the store");
    open_like(raw, dir, options, count, names, family_options);
    rocksdb_load_latest_options_destroy(options, names, family_options, count);
    rocksdb_cache_destroy(cache); /* the database keeps what it uses */
    rocksdb_env_destroy(env);
    raw->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(raw->synced, 1);
    raw->unsynced = rocksdb_writeoptions_create();
    raw->read = rocksdb_readoptions_create();
    raw->batch = rocksdb_writebatch_create();
    return raw;
}

static void close_db(struct raw *raw)
{
    for (int cf = 0; cf < WF_CF_COUNT; cf++)
        if (raw->handles[cf] != NULL) rocksdb_column_family_handle_destroy(raw->handles[cf]);
    rocksdb_close(raw->db);
    rocksdb_writeoptions_destroy(raw->synced);
    rocksdb_writeoptions_destroy(raw->unsynced);
    rocksdb_readoptions_destroy(raw->read);
    rocksdb_writebatch_destroy(raw->batch);
    free(raw);
}

static weft_err add(void *arg, const wf_batch_op *op)
{
    struct raw *raw = arg;
    if (op->is_delete)
        rocksdb_writebatch_delete_cf(raw->batch, raw->handles[op->cf], (const char *)op->key,
                                     op->key_len);
    else
        rocksdb_writebatch_put_cf(raw->batch, raw->handles[op->cf], (const char *)op->key,
                                  op->key_len, (const char *)op->value, op->value_len);
    return WEFT_OK;
}

static void write_batch(struct raw *raw, const wf_batch *batch, bool sync)
{
    char *text = NULL;
    rocksdb_writebatch_clear(raw->batch);
    must(wf_batch_each(batch, add, raw), "raw batch");
    rocksdb_write(raw->db, sync ? raw->synced : raw->unsynced, raw->batch, &text);
    no_error(text, "raw write");
}

static void read_nothing(struct raw *raw) { (void)raw; }

static size_t get(struct raw *raw, enum wf_cf cf, const void *key, size_t key_len, uint8_t *hash)
{
    char *text = NULL;
    size_t len = 0;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(raw->db, raw->read, raw->handles[cf],
                                                           key, key_len, &text);
    no_error(text, "raw read");
    if (slice == NULL) return 0;
    const char *value = rocksdb_pinnableslice_value(slice, &len);
    if (hash != NULL)
        (void)crypto_generichash(hash, 32, (const unsigned char *)value, len, NULL, 0);
    rocksdb_pinnableslice_destroy(slice);
    return len;
}

const struct raw_engine raw_rocksdb = {.name = "rocksdb",
                                       .open = open_new,
                                       .close = close_db,
                                       .write = write_batch,
                                       .read_begin = read_nothing,
                                       .read_end = read_nothing,
                                       .get = get};
