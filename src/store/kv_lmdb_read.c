/* SPDX-License-Identifier: Apache-2.0
 * kv_lmdb_read.c - reading through LMDB: transactions, values, snapshots, iterators.
 * Called by: kv.c through the table in kv_lmdb.c, any thread. May touch: LMDB, reading.
 * Never: copies a value; keeps a transaction open that nobody stands on. */
#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "kv_lmdb.h"
#include "lock.h"

struct iter {
    wf_kv_iter base;
    struct wf_lmdb *of;
    struct wf_lmdb_reader *reader;
    MDB_cursor *cursor; /* NULL: the store is older than the family, which is empty */
    MDB_val key, value;
    bool valid;
    weft_err err;
    size_t prefix_len, upper_len;
    uint8_t *upper; /* the first key after the prefix; inside bytes. Length 0: there is none */
    uint8_t bytes[];
};

/* -- Transactions ------------------------------------------------------------------- */

static void reader_free(struct wf_lmdb_reader *r)
{
    if (r->txn != NULL) mdb_txn_abort(r->txn);
    wf_lock_destroy(r->lock);
    wf_free(r);
}

static struct wf_lmdb_reader *take_idle(struct wf_lmdb *l)
{
    wf_lock_take(l->lock);
    struct wf_lmdb_reader *r = l->idle;
    if (r != NULL) {
        l->idle = r->next;
        l->idle_count--;
    }
    wf_lock_give(l->lock);
    return r;
}

/* A view of what is written now, for one. */
static weft_err reader_open(struct wf_lmdb *l, struct wf_lmdb_reader **out)
{
    if (l->env == NULL) return l->closed_err;
    struct wf_lmdb_reader *r = take_idle(l);
    int rc;
    if (r != NULL) {
        rc = mdb_txn_renew(r->txn);
    } else {
        r = wf_calloc(1, sizeof *r);
        if (r == NULL) return WEFT_NO_MEMORY;
        r->lock = wf_lock_create();
        rc = r->lock == NULL ? ENOMEM : mdb_txn_begin(l->env, NULL, MDB_RDONLY, &r->txn);
    }
    if (rc != 0) {
        reader_free(r);
        return wf_lmdb_fail(l, "begin to read", rc);
    }
    r->broken = r->shared = false;
    wf_counter_set(&r->refs, 1);
    *out = r;
    return WEFT_OK;
}

/* What a call reads from: the snapshot's transaction, or one of its own. */
static weft_err reader_of(struct wf_lmdb *l, const wf_kv_snapshot *snap,
                          struct wf_lmdb_reader **out)
{
    if (snap == NULL) return reader_open(l, out);
    *out = (struct wf_lmdb_reader *)snap; /* whose count moves, and nothing that was promised */
    wf_counter_add(&(*out)->refs, 1);
    return WEFT_OK;
}

static void reader_drop(struct wf_lmdb *l, struct wf_lmdb_reader *r)
{
    if (wf_counter_sub(&r->refs, 1) > 0) return;
    bool keep = !r->broken;
    if (keep) mdb_txn_reset(r->txn);
    wf_lock_take(l->lock);
    keep = keep && l->idle_count < WEFT_STORE_LMDB_READERS_IDLE;
    if (keep) {
        r->next = l->idle;
        l->idle = r;
        l->idle_count++;
    }
    wf_lock_give(l->lock);
    if (!keep) reader_free(r);
}

void wf_lmdb_forget_readers(struct wf_lmdb *l)
{
    for (struct wf_lmdb_reader *r; (r = take_idle(l)) != NULL;) reader_free(r);
}

static void reader_enter(struct wf_lmdb_reader *r)
{
    if (r->shared) wf_lock_take(r->lock);
}

static void reader_leave(struct wf_lmdb_reader *r)
{
    if (r->shared) wf_lock_give(r->lock);
}

/* -- Values ------------------------------------------------------------------------- */

/* A value takes no reference of its own here. */
static weft_err find(struct wf_lmdb *l, struct wf_lmdb_reader *r, enum wf_cf cf, const void *key,
                     size_t key_len, wf_value *out)
{
    MDB_val k = {.mv_size = key_len, .mv_data = (void *)(uintptr_t)key}, v;
    if (key_len == 0 || !l->has[cf]) return WEFT_NOT_FOUND; /* LMDB has no empty keys */
    reader_enter(r);
    int rc = mdb_get(r->txn, l->families[cf], &k, &v);
    if (rc != 0 && rc != MDB_NOTFOUND) r->broken = true;
    reader_leave(r);
    if (rc == MDB_NOTFOUND) return WEFT_NOT_FOUND;
    if (rc != 0) return wf_lmdb_fail(l, "read", rc);
    *out = (wf_value){.data = v.mv_data, .len = v.mv_size, .pin = r};
    return WEFT_OK;
}

weft_err wf_lmdb_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *key,
                     size_t key_len, wf_value *out)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    struct wf_lmdb_reader *r;
    weft_err err = reader_of(l, snap, &r);
    if (err != WEFT_OK) return err;
    err = find(l, r, cf, key, key_len, out);
    if (err != WEFT_OK) reader_drop(l, r); /* else the value stands on it */
    return err;
}

weft_err wf_lmdb_multi_get(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf, const void *keys,
                           size_t key_len, size_t count, wf_value *out, weft_err *errs)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    struct wf_lmdb_reader *r;
    weft_err err = reader_of(l, snap, &r);
    if (err != WEFT_OK) return err;
    const uint8_t *key = keys;
    for (size_t i = 0; i < count; i++, key += key_len) {
        errs[i] = find(l, r, cf, key, key_len, &out[i]);
        if (errs[i] == WEFT_OK) wf_counter_add(&r->refs, 1);
    }
    reader_drop(l, r);
    return WEFT_OK;
}

void wf_lmdb_release(wf_kv *kv, wf_value *value)
{
    if (value->pin != NULL) reader_drop(wf_lmdb_of(kv), value->pin);
    *value = (wf_value){0};
}

/* -- Snapshots ---------------------------------------------------------------------- */

weft_err wf_lmdb_snapshot_create(wf_kv *kv, wf_kv_snapshot **out)
{
    struct wf_lmdb_reader *r;
    weft_err err = reader_open(wf_lmdb_of(kv), &r);
    if (err != WEFT_OK) return err;
    r->shared = true;
    *out = (wf_kv_snapshot *)r;
    return WEFT_OK;
}

void wf_lmdb_snapshot_destroy(wf_kv *kv, wf_kv_snapshot *snap)
{
    reader_drop(wf_lmdb_of(kv), (struct wf_lmdb_reader *)snap);
}

/* -- Iterators ---------------------------------------------------------------------- */

/* The first key after all that begin with `prefix`: its last byte that can grow, grown by
 * one. */
static size_t make_upper(uint8_t *upper, const void *prefix, size_t len)
{
    if (len > 0) memcpy(upper, prefix, len);
    while (len > 0 && upper[len - 1] == 0xff) len--;
    if (len > 0) upper[len - 1]++;
    return len;
}

static int compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t common = a_len < b_len ? a_len : b_len;
    int order = common == 0 ? 0 : memcmp(a, b, common);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

weft_err wf_lmdb_iter_create(wf_kv *kv, const wf_kv_snapshot *snap, enum wf_cf cf,
                             const void *prefix, size_t prefix_len, wf_kv_iter **out)
{
    struct wf_lmdb *l = wf_lmdb_of(kv);
    struct iter *it = wf_calloc(1, sizeof *it + 2 * prefix_len);
    if (it == NULL) return WEFT_NO_MEMORY;
    weft_err err = reader_of(l, snap, &it->reader);
    if (err != WEFT_OK) {
        wf_free(it);
        return err;
    }
    it->base.ops = kv->ops;
    it->of = l;
    it->prefix_len = prefix_len;
    if (prefix_len > 0) memcpy(it->bytes, prefix, prefix_len);
    it->upper = it->bytes + prefix_len;
    it->upper_len = make_upper(it->upper, prefix, prefix_len);
    reader_enter(it->reader);
    int rc = l->has[cf] ? mdb_cursor_open(it->reader->txn, l->families[cf], &it->cursor) : 0;
    reader_leave(it->reader);
    if (rc != 0) {
        reader_drop(l, it->reader);
        wf_free(it);
        return wf_lmdb_fail(l, "walk", rc);
    }
    *out = &it->base;
    return WEFT_OK;
}

void wf_lmdb_iter_destroy(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (it->cursor != NULL) {
        reader_enter(it->reader);
        mdb_cursor_close(it->cursor);
        reader_leave(it->reader);
    }
    reader_drop(it->of, it->reader);
    wf_free(it);
}

/* Moves the cursor. True: it stands on a key, of the prefix or not. */
static bool move(struct iter *it, MDB_cursor_op op, const void *key, size_t key_len)
{
    it->valid = false;
    if (it->cursor == NULL || it->err != WEFT_OK) return false;
    it->key = (MDB_val){.mv_size = key_len, .mv_data = (void *)(uintptr_t)key};
    reader_enter(it->reader);
    int rc = mdb_cursor_get(it->cursor, &it->key, &it->value, op);
    if (rc != 0 && rc != MDB_NOTFOUND) it->reader->broken = true;
    reader_leave(it->reader);
    if (rc != 0 && rc != MDB_NOTFOUND) it->err = wf_lmdb_fail(it->of, "walk", rc);
    return rc == 0;
}

static void judge(struct iter *it, bool found)
{
    it->valid = found && it->key.mv_size >= it->prefix_len &&
                (it->prefix_len == 0 || memcmp(it->key.mv_data, it->bytes, it->prefix_len) == 0);
}

void wf_lmdb_iter_first(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    judge(it, it->prefix_len == 0 ? move(it, MDB_FIRST, NULL, 0)
                                  : move(it, MDB_SET_RANGE, it->bytes, it->prefix_len));
}

/* To the last key that is smaller than this one, or `equal` to it. */
static bool to_before(struct iter *it, const void *key, size_t key_len, bool equal)
{
    if (!move(it, MDB_SET_RANGE, key, key_len))
        return it->err == WEFT_OK && move(it, MDB_LAST, NULL, 0);
    if (equal && compare(it->key.mv_data, it->key.mv_size, key, key_len) == 0) return true;
    return move(it, MDB_PREV, NULL, 0);
}

void wf_lmdb_iter_last(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    judge(it, it->upper_len == 0 ? move(it, MDB_LAST, NULL, 0)
                                 : to_before(it, it->upper, it->upper_len, false));
}

void wf_lmdb_iter_seek(wf_kv_iter *base, const void *key, size_t key_len)
{
    struct iter *it = (struct iter *)base;
    if (key_len == 0 || compare(key, key_len, it->bytes, it->prefix_len) < 0)
        wf_lmdb_iter_first(base);
    else judge(it, move(it, MDB_SET_RANGE, key, key_len));
}

void wf_lmdb_iter_seek_back(wf_kv_iter *base, const void *key, size_t key_len)
{
    struct iter *it = (struct iter *)base;
    if (it->upper_len > 0 && compare(key, key_len, it->upper, it->upper_len) >= 0)
        wf_lmdb_iter_last(base);
    else judge(it, key_len > 0 && to_before(it, key, key_len, true));
}

void wf_lmdb_iter_next(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (it->valid) judge(it, move(it, MDB_NEXT, NULL, 0));
}

void wf_lmdb_iter_prev(wf_kv_iter *base)
{
    struct iter *it = (struct iter *)base;
    if (it->valid) judge(it, move(it, MDB_PREV, NULL, 0));
}

bool wf_lmdb_iter_valid(const wf_kv_iter *base) { return ((const struct iter *)base)->valid; }

const uint8_t *wf_lmdb_iter_key(const wf_kv_iter *base, size_t *len)
{
    const struct iter *it = (const struct iter *)base;
    *len = it->key.mv_size;
    return it->key.mv_data;
}

const uint8_t *wf_lmdb_iter_value(const wf_kv_iter *base, size_t *len)
{
    const struct iter *it = (const struct iter *)base;
    *len = it->value.mv_size;
    return it->value.mv_data;
}

weft_err wf_lmdb_iter_err(const wf_kv_iter *base) { return ((const struct iter *)base)->err; }
