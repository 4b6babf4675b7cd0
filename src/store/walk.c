/* SPDX-License-Identifier: Apache-2.0
 * walk.c - walks over a tree's indexes, and small records of the layers above.
 * Called by: any thread. May touch: the engine (reads).
 * Never: bodies of entries, the writer's side. */
#include "alloc.h"
#include "log.h"
#include "remake.h"
#include "state.h"

/* -- By (gen, id): parents first --------------------------------------------------------- */

struct wf_gen_walk {
    wf_kv_iter *it;
    uint8_t prefix[WF_KEY_SUB_BYTES_MAX]; /* what stands before gen and id */
    size_t prefix_len;
    bool down;
    wf_store *store;
    bool named; /* a list, which was whole at `mark` */
    uint64_t mark;
    uint64_t least, met; /* of the order of a tree, from its first: so many there are */
};

/* Takes the walk also when it fails. */
static weft_err gen_walk_open_take(wf_store *store, enum wf_cf cf, wf_gen_walk *walk,
                                   wf_gen_walk **out)
{
    weft_err err = wf_kv_iter_create(store->kv, NULL, cf, walk->prefix, walk->prefix_len,
                                     &walk->it);
    /* The view may lack what was deleted of a tree that was removed before. */
    if (err == WEFT_OK && wf_store_is_removed(store, wf_get64(walk->prefix))) {
        wf_kv_iter_destroy(walk->it);
        err = WEFT_NOT_FOUND;
    }
    if (err == WEFT_OK) *out = walk;
    else wf_free(walk);
    return err;
}

static weft_err gen_walk_create(wf_store *store, uint64_t t, bool down, wf_gen_walk **out)
{
    wf_gen_walk *walk = wf_calloc(1, sizeof *walk);
    if (walk == NULL) return WEFT_NO_MEMORY;
    wf_put64(walk->prefix, t);
    walk->prefix_len = 8;
    walk->down = down;
    walk->store = store;
    return gen_walk_open_take(store, WF_CF_GEN, walk, out);
}

static void step(wf_gen_walk *walk)
{
    if (walk->down) wf_kv_iter_prev(walk->it);
    else wf_kv_iter_next(walk->it);
}

/* To the first place strictly after (gen, id) in the walk's direction. */
static void seek(wf_gen_walk *walk, uint64_t gen, const weft_id *id)
{
    uint8_t key[WF_KEY_SUB_BYTES_MAX];
    size_t len, key_len = walk->prefix_len + WF_GEN_BYTES + WEFT_ID_BYTES;
    memcpy(key, walk->prefix, walk->prefix_len);
    wf_put_bytes(wf_put64(key + walk->prefix_len, gen), id->bytes, WEFT_ID_BYTES);
    if (walk->down) wf_kv_iter_seek_back(walk->it, key, key_len);
    else wf_kv_iter_seek(walk->it, key, key_len);
    if (!wf_kv_iter_valid(walk->it)) return;
    const uint8_t *at = wf_kv_iter_key(walk->it, &len);
    if (len == key_len && memcmp(at, key, len) == 0) step(walk);
}

weft_err wf_gen_walk_create(wf_store *store, uint64_t t, uint64_t gen, const weft_id *id,
                            wf_gen_walk **out)
{
    wf_gen_walk *walk;
    wf_tree_info info;
    bool known = id == NULL && gen == 0 && wf_store_tree_by_number(store, t, &info) == WEFT_OK;
    weft_err err = gen_walk_create(store, t, false, &walk);
    if (err != WEFT_OK) return err;
    if (known) walk->least = info.count; /* as of before the walk's view */
    if (id != NULL) {
        seek(walk, gen, id);
    } else {
        uint8_t key[WF_KEY_SEQ_BYTES];
        wf_key_seq(key, t, gen); /* the first of this gen */
        wf_kv_iter_seek(walk->it, key, sizeof key);
    }
    *out = walk;
    return WEFT_OK;
}

weft_err wf_gen_walk_create_down(wf_store *store, uint64_t t, wf_gen_walk **out)
{
    wf_gen_walk *walk;
    weft_err err = gen_walk_create(store, t, true, &walk);
    if (err != WEFT_OK) return err;
    wf_kv_iter_last(walk->it);
    *out = walk;
    return WEFT_OK;
}

bool wf_store_lists_named(const wf_store *store)
{
    return store->format >= WF_FORMAT_VERSION && wf_made_holds(store, wf_made_mark(store));
}

weft_err wf_gen_walk_create_named(wf_store *store, uint64_t t, const char *name, bool down,
                                  uint64_t gen, const weft_id *id, wf_gen_walk **out)
{
    size_t len = strlen(name);
    if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX) return WEFT_INVALID;
    if (store->format < WF_FORMAT_VERSION) return WEFT_VERSION;
    uint64_t mark = wf_made_mark(store);
    wf_gen_walk *walk = wf_calloc(1, sizeof *walk);
    if (walk == NULL) return WEFT_NO_MEMORY;
    walk->prefix_len = wf_key_sub(walk->prefix, t, name, len, 0, NULL);
    walk->down = down;
    weft_err err = gen_walk_open_take(store, WF_CF_SUB, walk, &walk);
    if (err != WEFT_OK) return err;
    walk->store = store;
    walk->named = true;
    walk->mark = mark;
    if (!wf_made_holds(store, mark)) { /* the view may have a part of the list */
        wf_gen_walk_destroy(walk);
        return wf_fail(WEFT_CORRUPT, "store", "lists of named stores are being made again");
    }
    if (id != NULL) seek(walk, gen, id);
    else if (down) wf_kv_iter_last(walk->it);
    else wf_kv_iter_first(walk->it);
    *out = walk;
    return WEFT_OK;
}

static weft_err gen_walk_note(const wf_gen_walk *walk, weft_err err)
{
    uint64_t t = wf_get64(walk->prefix);
    return walk->named ? wf_made_note(walk->store, t, walk->mark, err)
                       : wf_mend_note(walk->store, t, err);
}

static weft_err gen_walk_end(const wf_gen_walk *walk)
{
    weft_err err = wf_kv_iter_err(walk->it);
    if (err != WEFT_OK) return gen_walk_note(walk, err);
    if (walk->met >= walk->least) return WEFT_END;
    return gen_walk_note(walk, wf_fail(WEFT_CORRUPT, "store", "the order of a tree has a gap"));
}

weft_err wf_gen_walk_next(wf_gen_walk *walk, wf_place *out)
{
    if (!wf_kv_iter_valid(walk->it)) return gen_walk_end(walk);
    walk->met++;
    size_t key_len, len;
    const uint8_t *key = wf_kv_iter_key(walk->it, &key_len);
    const uint8_t *value = wf_kv_iter_value(walk->it, &len);
    if (key_len != walk->prefix_len + WF_GEN_BYTES + WEFT_ID_BYTES || len != WF_GEN_BYTES)
        return gen_walk_note(walk, wf_fail(WEFT_CORRUPT, "store", "gen: wrong length"));
    key += walk->prefix_len;
    out->gen = wf_get64(key);
    out->seq = wf_get64(value);
    memcpy(out->id.bytes, key + WF_GEN_BYTES, WEFT_ID_BYTES);
    step(walk);
    return WEFT_OK;
}

void wf_gen_walk_destroy(wf_gen_walk *walk)
{
    if (walk == NULL) return;
    wf_kv_iter_destroy(walk->it);
    wf_free(walk);
}

/* -- By arrival ----------------------------------------------------------------------------- */

struct wf_arr_walk {
    wf_kv_iter *it;
};

weft_err wf_arr_walk_create(wf_store *store, uint64_t t, uint64_t seq, wf_arr_walk **out)
{
    wf_arr_walk *walk = wf_calloc(1, sizeof *walk);
    if (walk == NULL) return WEFT_NO_MEMORY;
    uint8_t prefix[8], key[WF_KEY_SEQ_BYTES];
    wf_put64(prefix, t);
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_ARR, prefix, sizeof prefix, &walk->it);
    if (err == WEFT_OK && wf_store_is_removed(store, t)) {
        wf_kv_iter_destroy(walk->it);
        err = WEFT_NOT_FOUND;
    }
    if (err != WEFT_OK) {
        wf_free(walk);
        return err;
    }
    wf_key_seq(key, t, seq);
    wf_kv_iter_seek(walk->it, key, sizeof key);
    if (wf_kv_iter_valid(walk->it)) {
        size_t len;
        const uint8_t *at = wf_kv_iter_key(walk->it, &len);
        if (len == sizeof key && memcmp(at, key, sizeof key) == 0) wf_kv_iter_next(walk->it);
    }
    *out = walk;
    return WEFT_OK;
}

weft_err wf_arr_walk_next(wf_arr_walk *walk, wf_arrival *out)
{
    if (!wf_kv_iter_valid(walk->it)) {
        weft_err err = wf_kv_iter_err(walk->it);
        return err == WEFT_OK ? WEFT_END : err;
    }
    size_t key_len, len;
    const uint8_t *key = wf_kv_iter_key(walk->it, &key_len);
    const uint8_t *value = wf_kv_iter_value(walk->it, &len);
    weft_err err = wf_arrival_read(key, key_len, value, len, out);
    if (err == WEFT_OK) wf_kv_iter_next(walk->it);
    return err;
}

void wf_arr_walk_destroy(wf_arr_walk *walk)
{
    if (walk == NULL) return;
    wf_kv_iter_destroy(walk->it);
    wf_free(walk);
}

weft_err wf_store_arrival(wf_store *store, uint64_t t, uint64_t seq, wf_arrival *out)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_key_seq(key, t, seq);
    wf_value value;
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_ARR, key, sizeof key, &value);
    if (err != WEFT_OK) return err;
    err = wf_arrival_read(key, sizeof key, value.data, value.len, out);
    wf_value_release(store->kv, &value);
    return err;
}

/* -- Children --------------------------------------------------------------------------------- */

weft_err wf_store_children(wf_store *store, uint64_t t, uint64_t seq,
                           weft_err (*fn)(void *arg, const weft_id *child, uint64_t child_seq),
                           void *arg)
{
    wf_kv_iter *it;
    uint8_t prefix[WF_KEY_SEQ_BYTES];
    wf_key_seq(prefix, t, seq);
    weft_err err = wf_kv_iter_create(store->kv, NULL, WF_CF_CHILD, prefix, sizeof prefix, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && err == WEFT_OK; wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        weft_id child;
        if (key_len != WF_KEY_CHILD_BYTES || len != WEFT_ID_BYTES) {
            err = wf_mend_note(store, t, wf_fail(WEFT_CORRUPT, "store", "child: wrong length"));
            break;
        }
        memcpy(child.bytes, value, WEFT_ID_BYTES);
        err = fn(arg, &child, wf_get64(key + WF_KEY_SEQ_BYTES));
    }
    if (err == WEFT_OK) err = wf_mend_note(store, t, wf_kv_iter_err(it));
    wf_kv_iter_destroy(it);
    return err;
}

/* -- Records of the layers above ---------------------------------------------------------------- */

weft_err wf_store_record_get(wf_store *store, enum wf_cf cf, const void *key, size_t key_len,
                             uint8_t *out, size_t *len)
{
    wf_value value;
    weft_err err = wf_kv_get(store->kv, NULL, cf, key, key_len, &value);
    if (err != WEFT_OK) return err;
    if (value.len > *len) err = WEFT_LIMIT;
    else if (value.len > 0) memcpy(out, value.data, value.len);
    *len = value.len;
    wf_value_release(store->kv, &value);
    return err;
}

weft_err wf_store_record_each(wf_store *store, enum wf_cf cf, const void *prefix, size_t prefix_len,
                              weft_err (*fn)(void *arg, const uint8_t *key, size_t key_len,
                                             const uint8_t *value, size_t value_len),
                              void *arg)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(store->kv, NULL, cf, prefix, prefix_len, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && err == WEFT_OK; wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        err = fn(arg, key, key_len, value, len);
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

weft_err wf_store_cursor(wf_store *store, const weft_key *peer, uint64_t t, wf_mark *out)
{
    uint8_t key[WF_KEY_CURSOR_BYTES];
    wf_key_cursor(key, peer, t);
    wf_value value;
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_PEER, key, sizeof key, &value);
    if (err != WEFT_OK) return err;
    err = wf_mark_read(value.data, value.len, out);
    wf_value_release(store->kv, &value);
    return err;
}
