/* SPDX-License-Identifier: Apache-2.0
 * renew_copy.c - the rows of a damaged store, one by one, into a new engine.
 * Called by: renew.c. May touch: the old engine (reads), the new one. Never: a row that could
 * not be read, or a body that is not its id's. */
#include <weft/log.h>

#include "alloc.h"
#include "crypto.h"
#include "layout.h"
#include "log.h"
#include "removal.h"
#include "renew_files.h"
#include "scan.h"
#include "shelf.h"

#define BATCH_BYTES (UINT64_C(4) << 20)
#define ROWS_BETWEEN_LOOKS 4096u /* at the clock */

struct copying {
    wf_kv *from, *to;
    weft_rt *rt;
    wf_batch *batch;
    uint64_t rows, missing;
    weft_err (*lost)(void *arg, const weft_id *id);
    void *arg;
    weft_ns said;
    uint32_t format;
    uint64_t removed_t; /* the tree that was looked for last among those that were removed */
    bool removed;
};

static weft_err write_batch(struct copying *c)
{
    weft_err err = wf_batch_err(c->batch);
    if (err == WEFT_OK) err = wf_kv_write(c->to, c->batch, false);
    wf_batch_clear(c->batch);
    return err;
}

static void tell(struct copying *c)
{
    if (++c->rows % ROWS_BETWEEN_LOOKS != 0) return;
    weft_ns now = weft_rt_now(c->rt);
    if (now - c->said < WEFT_SEC) return;
    c->said = now;
    wf_log(WEFT_LOG_WARN, "store", "a damaged store is copied: %llu records so far",
           (unsigned long long)c->rows);
}

static weft_err put(struct copying *c, enum wf_cf cf, const void *key, size_t key_len,
                    const void *value, size_t len)
{
    wf_batch_put(c->batch, cf, key, key_len, value, len);
    tell(c);
    return wf_batch_bytes(c->batch) < BATCH_BYTES ? WEFT_OK : write_batch(c);
}

/* A repair of the engine needs a row in each family (store_copy.c); this one means nothing. */
static bool is_seed(const struct wf_scan *scan) { return scan->key_len == 1 && scan->key[0] == 0; }

/* CORRUPT: not all of the family can be read. */
static weft_err copy_family(struct copying *c, enum wf_cf cf)
{
    struct wf_scan scan;
    weft_err err;
    wf_scan_init(&scan, c->from, NULL, cf, true);
    while ((err = wf_scan_next(&scan)) == WEFT_OK && scan.gaps == 0) {
        if (is_seed(&scan)) continue;
        if (cf == WF_CF_CHILD && wf_shelf_is_row(scan.key, scan.key_len)) continue;
        bool format = cf == WF_CF_TREE && scan.key_len == 1 && scan.key[0] == WF_TREE_FORMAT;
        if (format && wf_format_read(scan.value, scan.value_len, &c->format) != WEFT_OK)
            err = WEFT_CORRUPT;
        if (err == WEFT_OK) err = put(c, cf, scan.key, scan.key_len, scan.value, scan.value_len);
        if (err != WEFT_OK) break;
    }
    if (scan.gaps > 0 && (err == WEFT_OK || err == WEFT_END)) err = WEFT_CORRUPT;
    wf_scan_fini(&scan);
    return err == WEFT_END ? WEFT_OK : err;
}

static bool is_removed(struct copying *c, uint64_t t)
{
    if (c->removed_t != t) {
        c->removed_t = t;
        c->removed = wf_removed_is(c->from, t);
    }
    return c->removed;
}

/* By its key, not by a walk: a walk cannot enter a block that is damaged, where a newer table may
 * have the row all the same. */
static weft_err copy_body(struct copying *c, const struct wf_scan *arr)
{
    wf_arrival arrival;
    wf_value body;
    weft_id hash;
    if (arr->key_len == WF_KEY_SEQ_BYTES && is_removed(c, wf_get64(arr->key)))
        return WEFT_OK; /* nobody misses it */
    if (wf_arrival_read(arr->key, arr->key_len, arr->value, arr->value_len, &arrival) != WEFT_OK)
        return WEFT_CORRUPT;
    weft_err err = wf_kv_get(c->from, NULL, WF_CF_ENTRY, arr->key, arr->key_len, &body);
    if (err == WEFT_CORRUPT || err == WEFT_NOT_FOUND) {
        c->missing++;
        return WEFT_OK;
    }
    if (err != WEFT_OK) return err; /* it may well be there */
    wf_blake2b_256(body.data, body.len, hash.bytes);
    if (weft_id_equal(&hash, &arrival.id))
        err = put(c, WF_CF_ENTRY, arr->key, arr->key_len, body.data, body.len);
    else c->missing++;
    wf_value_release(c->from, &body);
    return err;
}

static weft_err copy_bodies(struct copying *c)
{
    struct wf_scan scan;
    weft_err err;
    wf_scan_init(&scan, c->from, NULL, WF_CF_ARR, true);
    while ((err = wf_scan_next(&scan)) == WEFT_OK && scan.gaps == 0) {
        if (!is_seed(&scan)) err = copy_body(c, &scan);
        if (err != WEFT_OK) break;
    }
    if (scan.gaps > 0 && (err == WEFT_OK || err == WEFT_END)) err = WEFT_CORRUPT;
    wf_scan_fini(&scan);
    return err == WEFT_END ? WEFT_OK : err;
}

struct shelf { /* room for one entry of it */
    weft_entry *entry;
    weft_id *parents;
};

static weft_err copy_shelved(struct copying *c, const struct shelf *shelf, const weft_id *tree,
                             const weft_id *id)
{
    uint8_t key[WF_KEY_SHELF_BYTES];
    wf_value value;
    struct wf_shelved item;
    wf_key_shelf(key, tree, id);
    weft_err err = wf_kv_get(c->from, NULL, WF_CF_ENTRY, key, sizeof key, &value);
    if (err == WEFT_CORRUPT || err == WEFT_NOT_FOUND) return c->lost(c->arg, id);
    if (err != WEFT_OK) return err; /* it may well be there */
    err = wf_shelf_read(key, sizeof key, value.data, value.len, &item);
    if (err == WEFT_OK) err = wf_shelf_rows(c->batch, &item, shelf->entry, shelf->parents);
    wf_value_release(c->from, &value);
    if (err == WEFT_NO_MEMORY) return err;
    if (err != WEFT_OK) return c->lost(c->arg, id);
    tell(c);
    return wf_batch_bytes(c->batch) < BATCH_BYTES ? WEFT_OK : write_batch(c);
}

/* By the rows of `child`, all of which can be read, and not by a walk over the bodies: behind a block that
 * is damaged others can be. One with several parents is copied as often, onto itself. */
static weft_err copy_shelf(struct copying *c)
{
    uint8_t prefix[8];
    wf_kv_iter *it = NULL;
    struct shelf shelf = {wf_malloc(sizeof *shelf.entry),
                          wf_malloc(WEFT_SHELF_PARENTS_MAX * sizeof *shelf.parents)};
    weft_err err = shelf.entry == NULL || shelf.parents == NULL ? WEFT_NO_MEMORY : WEFT_OK;
    memset(prefix, 0xff, sizeof prefix);
    if (err == WEFT_OK)
        err = wf_kv_iter_create(c->from, NULL, WF_CF_CHILD, prefix, sizeof prefix, &it);
    if (err != WEFT_OK) goto done;
    for (wf_kv_iter_first(it); err == WEFT_OK && wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        weft_id tree, id;
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (len != WF_KEY_SHELF_WAIT_BYTES) continue;
        memcpy(tree.bytes, key + 8, WEFT_ID_BYTES);
        memcpy(id.bytes, key + len - WEFT_ID_BYTES, WEFT_ID_BYTES);
        err = copy_shelved(c, &shelf, &tree, &id);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
done:
    wf_kv_iter_destroy(it);
    wf_free(shelf.parents);
    wf_free(shelf.entry);
    return err;
}

/* Made of the entries by a migration, so a store that lacks some is one of the format before. */
static weft_err copy_made(struct copying *c)
{
    static const enum wf_cf made[] = {WF_CF_TRIE, WF_CF_SKETCH, WF_CF_SUB, WF_CF_DOM};
    weft_err err = WEFT_OK;
    for (unsigned i = 0; err == WEFT_OK && i < sizeof made / sizeof *made; i++)
        err = copy_family(c, made[i]);
    if (err == WEFT_CORRUPT && c->format >= WF_FORMAT_VERSION) {
        wf_format_put(c->batch, WF_FORMAT_MADE_LATER);
        err = WEFT_OK;
    }
    return err;
}

static weft_err copy_all(struct copying *c)
{
    static const enum wf_cf truth[] = {WF_CF_TREE, WF_CF_PEER,  WF_CF_POLICY, WF_CF_META,
                                       WF_CF_ARR,  WF_CF_CHILD, WF_CF_GEN,    WF_CF_TIP};
    weft_err err = WEFT_OK;
    for (unsigned i = 0; err == WEFT_OK && i < sizeof truth / sizeof *truth; i++)
        err = copy_family(c, truth[i]);
    if (err == WEFT_OK) err = copy_made(c);
    if (err == WEFT_OK) err = copy_bodies(c);
    if (err == WEFT_OK) err = copy_shelf(c);
    if (err == WEFT_OK) err = write_batch(c);
    return err == WEFT_OK ? wf_kv_sync(c->to) : err;
}

weft_err wf_renew_copy(wf_kv *from, wf_kv *to, weft_rt *rt, uint64_t *missing,
                       weft_err (*lost)(void *arg, const weft_id *id), void *arg)
{
    struct copying c = {
        .from = from, .to = to, .rt = rt, .lost = lost, .arg = arg, .said = weft_rt_now(rt)};
    weft_err err = wf_batch_create(&c.batch);
    if (err == WEFT_OK) err = copy_all(&c);
    wf_batch_destroy(c.batch);
    if (err == WEFT_OK) *missing = c.missing;
    return err;
}
