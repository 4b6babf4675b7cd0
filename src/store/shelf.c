/* SPDX-License-Identifier: Apache-2.0
 * shelf.c - the rows of entries that cannot stand yet (shelf.h).
 * Called by: salvage.c, renew_copy.c, check_shelf.c, trees.c, writer.c, unshelve.c, match.c. May
 * touch: its rows in `entry` and `child`, the open batch. Never: rows of trees. */
#include "shelf.h"

#include "alloc.h"
#include "crypto.h"
#include "entry.h"
#include "writer.h"

#define ANY UINT64_MAX /* instead of a tree's number */

/* -- Rows ----------------------------------------------------------------------------------- */

bool wf_shelf_is_row(const uint8_t *key, size_t len) { return len >= 8 && wf_get64(key) == ANY; }

void wf_key_shelf(uint8_t out[WF_KEY_SHELF_BYTES], const weft_id *tree, const weft_id *id)
{
    uint8_t *at = wf_put64(out, ANY);
    at = wf_put_bytes(at, tree->bytes, WEFT_ID_BYTES);
    wf_put_bytes(at, id->bytes, WEFT_ID_BYTES);
}

void wf_key_shelf_wait(uint8_t out[WF_KEY_SHELF_WAIT_BYTES], const weft_id *tree,
                       const weft_id *parent, const weft_id *id)
{
    uint8_t *at = wf_put64(out, ANY);
    at = wf_put_bytes(at, tree->bytes, WEFT_ID_BYTES);
    at = wf_put_bytes(at, parent->bytes, WEFT_ID_BYTES);
    wf_put_bytes(at, id->bytes, WEFT_ID_BYTES);
}

weft_err wf_shelf_read(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len,
                       struct wf_shelved *out)
{
    weft_id hash;
    struct wf_shelved item = {0};
    if (key_len != WF_KEY_SHELF_BYTES || !wf_shelf_is_row(key, key_len) ||
        len < WF_SHELF_SOURCE_BYTES || len > WF_SHELF_SOURCE_BYTES + WEFT_ENTRY_BYTES_MAX)
        return WEFT_CORRUPT;
    memcpy(item.tree.bytes, key + 8, WEFT_ID_BYTES);
    memcpy(item.id.bytes, key + 8 + WEFT_ID_BYTES, WEFT_ID_BYTES);
    memcpy(item.source.peer.bytes, value, sizeof item.source.peer.bytes);
    memcpy(item.source.epoch, value + sizeof item.source.peer.bytes, sizeof item.source.epoch);
    item.bytes = value + WF_SHELF_SOURCE_BYTES;
    item.len = (uint32_t)(len - WF_SHELF_SOURCE_BYTES);
    wf_blake2b_256(item.bytes, item.len, hash.bytes);
    if (!weft_id_equal(&hash, &item.id)) return WEFT_CORRUPT;
    *out = item;
    return WEFT_OK;
}

weft_err wf_shelf_rows(wf_batch *batch, const struct wf_shelved *item, weft_entry *entry,
                       weft_id *parents)
{
    uint8_t key[WF_KEY_SHELF_BYTES], wait[WF_KEY_SHELF_WAIT_BYTES];
    uint32_t count = 0;
    weft_err err = wf_entry_parse(item->bytes, item->len, entry);
    if (err == WEFT_OK && entry->is_root) return WEFT_BAD_ENTRY; /* it waits for nothing */
    if (err == WEFT_OK)
        err = wf_entry_union_parents(entry, parents, WEFT_SHELF_PARENTS_MAX, &count);
    if (err != WEFT_OK) return err;
    uint8_t *value = wf_malloc(WF_SHELF_SOURCE_BYTES + (size_t)item->len);
    if (value == NULL) return WEFT_NO_MEMORY;
    uint8_t *at = wf_put_bytes(value, item->source.peer.bytes, sizeof item->source.peer.bytes);
    at = wf_put_bytes(at, item->source.epoch, sizeof item->source.epoch);
    wf_put_bytes(at, item->bytes, item->len);
    wf_key_shelf(key, &entry->tree, &item->id);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, value,
                 WF_SHELF_SOURCE_BYTES + (size_t)item->len);
    for (uint32_t i = 0; i < count; i++) {
        wf_key_shelf_wait(wait, &entry->tree, &parents[i], &item->id);
        wf_batch_put(batch, WF_CF_CHILD, wait, sizeof wait, "", 0);
    }
    wf_free(value);
    return wf_batch_err(batch);
}

/* -- Putting there ---------------------------------------------------------------------------- */

weft_err wf_shelf_put(wf_store *store, const struct wf_add *add)
{
    struct wf_shelved item = {
        .id = add->id, .source = add->source, .bytes = add->bytes, .len = add->len};
    weft_id *parents = wf_malloc(WEFT_SHELF_PARENTS_MAX * sizeof *parents);
    if (parents == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_shelf_rows(store->batch, &item, store->entry, parents);
    wf_free(parents);
    return err;
}

/* -- Looking ------------------------------------------------------------------------------------ */

weft_err wf_shelf_any(wf_store *store, bool *out)
{
    uint8_t prefix[8];
    wf_kv_iter *it;
    wf_put64(prefix, ANY);
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_ENTRY, prefix, sizeof prefix, &it);
    if (err != WEFT_OK) return err;
    wf_kv_iter_first(it);
    *out = wf_kv_iter_valid(it);
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err == WEFT_CORRUPT ? WEFT_OK : err; /* then peers send what is there */
}

weft_err wf_shelf_count(wf_store *store, const weft_id *tree, uint64_t *out)
{
    uint8_t prefix[8 + WEFT_ID_BYTES];
    wf_kv_iter *it;
    uint64_t count = 0;
    wf_put_bytes(wf_put64(prefix, ANY), tree->bytes, WEFT_ID_BYTES);
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_ENTRY, prefix, sizeof prefix, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) count++;
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    if (err != WEFT_OK && err != WEFT_CORRUPT) return err;
    *out = count;
    return WEFT_OK;
}

static bool step(wf_kv_iter *it, struct wf_shelf_at *at)
{
    size_t len;
    const uint8_t *key = wf_kv_iter_valid(it) ? wf_kv_iter_key(it, &len) : NULL;
    if (key == NULL || len != sizeof at->key) return false;
    memcpy(at->key, key, sizeof at->key);
    at->begun = true;
    return true;
}

weft_err wf_shelf_each(wf_store *store, const weft_id *tree, const weft_id *parent,
                       struct wf_shelf_at *at, uint32_t most,
                       weft_err (*fn)(void *arg, const weft_id *id), void *arg)
{
    uint8_t prefix[8 + 2 * WEFT_ID_BYTES], last[WF_KEY_SHELF_WAIT_BYTES];
    size_t len = 8 + WEFT_ID_BYTES;
    wf_kv_iter *it;
    wf_put_bytes(wf_put64(prefix, ANY), tree->bytes, WEFT_ID_BYTES);
    if (parent != NULL) wf_put_bytes(prefix + len, parent->bytes, WEFT_ID_BYTES);
    if (parent != NULL) len += WEFT_ID_BYTES;
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_CHILD, prefix, len, &it);
    if (err != WEFT_OK) return err;
    if (at->begun) {
        memcpy(last, at->key, sizeof last);
        wf_kv_iter_seek(it, last, sizeof last);
        if (step(it, at) && memcmp(at->key, last, sizeof last) == 0) wf_kv_iter_next(it);
    } else {
        wf_kv_iter_first(it);
    }
    for (uint32_t n = 0; err == WEFT_OK && step(it, at); n++, wf_kv_iter_next(it)) {
        weft_id id;
        memcpy(id.bytes, at->key + sizeof at->key - WEFT_ID_BYTES, WEFT_ID_BYTES);
        err = fn(arg, &id);
        if (err == WEFT_OK && n + 1 == most) err = WEFT_AGAIN;
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

/* -- Taking away ---------------------------------------------------------------------------------- */

static weft_err note_gone(wf_store *store, struct wf_tree *tree)
{
    weft_err err = wf_writer_touch(store, tree);
    if (err != WEFT_OK) return err;
    if (tree->now.shelved > 0) tree->now.shelved--; /* of a damaged shelf the count is a guess */
    return wf_batch_err(store->batch);
}

weft_err wf_shelf_leave(wf_store *store, struct wf_tree *tree, const weft_id *id,
                        const weft_id *parents, uint32_t parents_count)
{
    uint8_t key[WF_KEY_SHELF_BYTES], wait[WF_KEY_SHELF_WAIT_BYTES];
    wf_value value;
    if (tree->now.shelved == 0) return WEFT_OK;
    wf_key_shelf(key, &tree->now.tree, id);
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_ENTRY, key, sizeof key, &value);
    if (err == WEFT_OK) wf_value_release(store->kv, &value);
    if (err == WEFT_NOT_FOUND) return WEFT_OK;
    if (err != WEFT_OK && err != WEFT_CORRUPT) return err;
    wf_batch_delete(store->batch, WF_CF_ENTRY, key, sizeof key);
    for (uint32_t i = 0; i < parents_count; i++) {
        wf_key_shelf_wait(wait, &tree->now.tree, &parents[i], id);
        wf_batch_delete(store->batch, WF_CF_CHILD, wait, sizeof wait);
    }
    return note_gone(store, tree);
}

struct dropping {
    wf_store *store;
    const struct wf_shelf_at *at; /* the row at hand */
    const weft_id *id;
};

static weft_err drop_row(void *arg, const weft_id *id)
{
    const struct dropping *d = arg;
    if (weft_id_equal(id, d->id))
        wf_batch_delete(d->store->batch, WF_CF_CHILD, d->at->key, sizeof d->at->key);
    return wf_batch_err(d->store->batch);
}

/* Its parents may be unknown, so all rows are looked at: this is for what is damaged. */
weft_err wf_shelf_drop(wf_store *store, struct wf_tree *tree, const weft_id *id)
{
    uint8_t key[WF_KEY_SHELF_BYTES];
    struct wf_shelf_at at = {0};
    struct dropping dropping = {store, &at, id};
    wf_key_shelf(key, &tree->now.tree, id);
    weft_err err = wf_shelf_each(store, &tree->now.tree, NULL, &at, UINT32_MAX, drop_row,
                                 &dropping);
    if (err != WEFT_OK && err != WEFT_CORRUPT) return err;
    wf_batch_delete(store->batch, WF_CF_ENTRY, key, sizeof key);
    return note_gone(store, tree);
}

weft_err wf_shelf_clear(wf_store *store, const weft_id *tree)
{
    static const enum wf_cf families[] = {WF_CF_ENTRY, WF_CF_CHILD};
    uint8_t prefix[8 + WEFT_ID_BYTES];
    weft_err err = WEFT_OK;
    wf_put_bytes(wf_put64(prefix, ANY), tree->bytes, WEFT_ID_BYTES);
    for (unsigned i = 0; err == WEFT_OK && i < sizeof families / sizeof families[0]; i++) {
        wf_kv_iter *it;
        err = wf_kv_iter_create(store->kv, NULL, families[i], prefix, sizeof prefix, &it);
        if (err != WEFT_OK) break;
        for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
            size_t len;
            const uint8_t *key = wf_kv_iter_key(it, &len);
            wf_batch_delete(store->batch, families[i], key, len);
        }
        err = wf_kv_iter_err(it);
        wf_kv_iter_destroy(it);
        if (err == WEFT_CORRUPT) err = WEFT_OK;
    }
    return err == WEFT_OK ? wf_batch_err(store->batch) : err;
}

/* -- Through the door ------------------------------------------------------------------------------ */

weft_err wf_shelf_try(wf_store *store, const weft_id *tree, const weft_id *id, uint64_t now,
                      struct wf_add *add)
{
    uint8_t key[WF_KEY_SHELF_BYTES];
    wf_value value;
    struct wf_shelved item;
    weft_buf *copy = NULL;
    wf_key_shelf(key, tree, id);
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_ENTRY, key, sizeof key, &value);
    if (err == WEFT_CORRUPT) return WEFT_BAD_ID;
    if (err != WEFT_OK) return err;
    err = wf_shelf_read(key, sizeof key, value.data, value.len, &item);
    if (err == WEFT_OK) err = weft_buf_create_copy(item.bytes, item.len, &copy);
    else err = WEFT_BAD_ID;
    wf_value_release(store->kv, &value);
    if (err != WEFT_OK) return err;
    *add = (struct wf_add){.holder = copy,
                           .bytes = weft_buf_bytes(copy),
                           .len = (uint32_t)weft_buf_len(copy),
                           .id = *id,
                           .asked = tree,
                           .shelved = true,
                           .source = item.source,
                           .taken_ns = now};
    err = wf_writer_add(store, add);
    add->holder = NULL;
    add->asked = NULL;
    weft_buf_unref(copy); /* the batch has a reference of its own */
    return err;
}
