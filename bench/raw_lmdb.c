/* SPDX-License-Identifier: Apache-2.0
 * raw_lmdb.c - what LMDB does by itself with what weft gives it.
 * Called by: store_raw.c. May touch: a directory of its own. Never: weft's engine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lmdb.h>
#include <sodium.h>

#include "raw_engine.h"
#include "store_history.h"

#define MAP_BYTES ((size_t)64 << 30) /* addresses, not room */

struct raw {
    MDB_env *env;
    MDB_dbi families[WF_CF_COUNT];
    MDB_txn *writing, *reading; /* the reader is kept and renewed */
};

static void no_error(int rc, const char *what)
{
    if (rc == 0) return;
    fprintf(stderr, "%s: %s\n", what, mdb_strerror(rc));
    exit(1);
}

static struct raw *open_new(const char *dir, const char *like)
{
    MDB_txn *txn;
    struct raw *raw = calloc(1, sizeof *raw);
    (void)like; /* LMDB keeps no options beside its data */
    must(raw == NULL ? WEFT_NO_MEMORY : WEFT_OK, "raw engine");
    must(mkdir(dir, 0700) != 0 ? WEFT_IO : WEFT_OK, dir);
    no_error(mdb_env_create(&raw->env), "raw engine");
    no_error(mdb_env_set_mapsize(raw->env, MAP_BYTES), "raw engine");
    no_error(mdb_env_set_maxdbs(raw->env, WF_CF_COUNT), "raw engine");
    no_error(mdb_env_open(raw->env, dir, MDB_NOTLS | MDB_NORDAHEAD, 0600), "raw open");
    no_error(mdb_txn_begin(raw->env, NULL, 0, &txn), "raw open");
    for (int cf = 0; cf < WF_CF_COUNT; cf++)
        no_error(mdb_dbi_open(txn, wf_cf_names[cf], MDB_CREATE, &raw->families[cf]), "family");
    no_error(mdb_txn_commit(txn), "raw open");
    no_error(mdb_txn_begin(raw->env, NULL, MDB_RDONLY, &raw->reading), "raw reader");
    mdb_txn_reset(raw->reading);
    return raw;
}

static void close_env(struct raw *raw)
{
    mdb_txn_abort(raw->reading);
    mdb_env_close(raw->env);
    free(raw);
}

static weft_err add(void *arg, const wf_batch_op *op)
{
    struct raw *raw = arg;
    MDB_val key = {.mv_size = op->key_len, .mv_data = (void *)(uintptr_t)op->key};
    MDB_val value = {.mv_size = op->value_len, .mv_data = (void *)(uintptr_t)op->value};
    int rc = op->is_delete ? mdb_del(raw->writing, raw->families[op->cf], &key, NULL)
                           : mdb_put(raw->writing, raw->families[op->cf], &key, &value, 0);
    if (rc != MDB_NOTFOUND) no_error(rc, "raw batch"); /* that one had nothing to delete */
    return WEFT_OK;
}

static void write_batch(struct raw *raw, const wf_batch *batch, bool sync)
{
    no_error(mdb_txn_begin(raw->env, NULL, 0, &raw->writing), "raw write");
    must(wf_batch_each(batch, add, raw), "raw batch");
    no_error(mdb_env_set_flags(raw->env, MDB_NOMETASYNC, !sync), "raw write");
    no_error(mdb_txn_commit(raw->writing), "raw write");
}

static void read_begin(struct raw *raw) { no_error(mdb_txn_renew(raw->reading), "raw read"); }

static void read_end(struct raw *raw) { mdb_txn_reset(raw->reading); }

/* LMDB only says where the value is: who reads it touches each of its cache lines. */
static void touch(const MDB_val *value)
{
    const volatile uint8_t *bytes = value->mv_data;
    for (size_t at = 0; at < value->mv_size; at += 64) (void)bytes[at];
}

static size_t get(struct raw *raw, enum wf_cf cf, const void *key, size_t key_len, uint8_t *hash)
{
    MDB_val k = {.mv_size = key_len, .mv_data = (void *)(uintptr_t)key}, value;
    int rc = mdb_get(raw->reading, raw->families[cf], &k, &value);
    if (rc == MDB_NOTFOUND) return 0;
    no_error(rc, "raw read");
    touch(&value);
    if (hash != NULL) (void)crypto_generichash(hash, 32, value.mv_data, value.mv_size, NULL, 0);
    return value.mv_size;
}

static const struct raw_engine engine = {.name = "lmdb",
                                         .open = open_new,
                                         .close = close_env,
                                         .write = write_batch,
                                         .read_begin = read_begin,
                                         .read_end = read_end,
                                         .get = get};
const struct raw_engine *const raw_lmdb = &engine;
