/* SPDX-License-Identifier: Apache-2.0
 * removal.c - a tree leaves the store (removal.h): the batch that says so, and the slices that
 * delete its rows.
 * Called by: store_actor.c, reap.c, on the writer's thread. May touch: the open batch, the engine.
 * Never: a row of another tree. */
#include "removal.h"

#include "alloc.h"
#include "log.h"
#include "shelf.h"
#include "writer.h"

/* -- The batch that says so ------------------------------------------------------------- */

weft_err wf_writer_remove(wf_store *store, const struct wf_remove *remove)
{
    static const uint8_t kinds[] = {WF_TREE_RECORD, WF_TREE_COUNTS, WF_TREE_READERS};
    uint8_t key[WF_KEY_TREE_BYTES], row[WF_REMOVED_BYTES];
    struct wf_tree *tree = wf_trees_find(&store->trees, &remove->tree);
    WF_ASSERT(!wf_writer_is_open(store));
    if (!wf_writer_records_valid(remove->records, remove->records_count)) return WEFT_INVALID;
    if (tree == NULL || tree->pub.t == 0) return WEFT_NOT_FOUND;
    weft_err err = wf_writer_touch(store, tree);
    if (err != WEFT_OK) return err;
    tree->removed = true;
    tree->readers_touched = true; /* nobody is on the list, so who reads now is told to the gate */
    tree->now.followed = false;
    for (unsigned i = 0; i < sizeof kinds; i++) {
        wf_key_tree(key, kinds[i], tree->now.t);
        wf_batch_delete(store->batch, WF_CF_TREE, key, sizeof key);
    }
    wf_key_tree(key, WF_TREE_REMOVED, tree->now.t);
    wf_removed_write(&tree->now.tree, false, row);
    wf_batch_put(store->batch, WF_CF_TREE, key, sizeof key, row, sizeof row);
    wf_key_removed(key, tree->now.t);
    wf_batch_put(store->batch, WF_CF_PEER, key, sizeof key, &tree->now.tree, WEFT_ID_BYTES);
    wf_batch_make_room(store->batch);
    if (!store->has_removed) wf_format_put(store->batch, WF_FORMAT_REMOVED);
    if (tree->pub.shelved > 0) err = wf_shelf_clear(store, &tree->now.tree);
    if (err == WEFT_OK) err = wf_writer_records(store, remove->records, remove->records_count);
    if (err == WEFT_OK) err = wf_batch_err(store->batch);
    if (err != WEFT_OK) store->poison = err;
    return err;
}

/* A row that says that nothing was left lets the number be given again, and of the batch that did so
 * a damaged store may have lost all but what came after it. */
bool wf_removed_is(wf_kv *kv, uint64_t t)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_value value;
    weft_id tree;
    bool gone;
    wf_key_tree(key, WF_TREE_REMOVED, t);
    if (wf_kv_get(kv, NULL, WF_CF_TREE, key, sizeof key, &value) == WEFT_OK) {
        weft_err err = wf_removed_read(value.data, value.len, &tree, &gone);
        wf_value_release(kv, &value);
        if (err == WEFT_OK) return !gone;
    }
    wf_key_removed(key, t);
    if (wf_kv_get(kv, NULL, WF_CF_PEER, key, sizeof key, &value) != WEFT_OK) return false;
    wf_value_release(kv, &value);
    return true;
}

/* -- Slices ------------------------------------------------------------------------------- */

/* Those two first that name the ids under which `meta` has the tree's entries. */
static const enum wf_cf stages[] = {WF_CF_GEN,  WF_CF_ARR,    WF_CF_CHILD, WF_CF_TIP, WF_CF_PEER,
                                    WF_CF_TRIE, WF_CF_SKETCH, WF_CF_SUB,   WF_CF_DOM, WF_CF_ENTRY};
enum { STAGES = sizeof stages / sizeof stages[0] };

static struct wf_tree *next_going(const wf_store *store)
{
    for (uint32_t i = 0; i < store->trees.count; i++) {
        struct wf_tree *tree = store->trees.list[i];
        if (tree->life == WF_TREE_GOING && !tree->stuck) return tree;
    }
    return NULL;
}

bool wf_removal_is_due(const wf_store *store)
{
    return store->has_removed && next_going(store) != NULL;
}

/* All keys that begin with the tree's number, and hardly any other. */
enum { FROM_BYTES = 8, TO_BYTES = FROM_BYTES + 9 };
static void range_of(uint64_t t, uint8_t from[FROM_BYTES], uint8_t to[TO_BYTES])
{
    wf_put64(from, t);
    memset(to, 0xff, TO_BYTES);
    memcpy(to, from, FROM_BYTES);
}

/* Whole files of what nobody needs to find the rest: those that are left are deleted one by one,
 * and so is what an engine brings to light again that way. */
static void drop_files(wf_store *store, uint64_t t)
{
    static const enum wf_cf families[] = {WF_CF_CHILD, WF_CF_TIP, WF_CF_TRIE,
                                          WF_CF_SUB,   WF_CF_DOM, WF_CF_ENTRY};
    uint8_t from[FROM_BYTES], to[TO_BYTES];
    range_of(t, from, to);
    for (unsigned i = 0; i < sizeof families / sizeof families[0]; i++)
        wf_kv_drop_files(store->kv, families[i], from, sizeof from, to, sizeof to);
}

/* The facts of an entry, unless the tree was taken up again and they are that one's. */
static weft_err delete_meta(wf_store *store, struct wf_removal *r, const void *id)
{
    wf_value value;
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_META, id, WEFT_ID_BYTES, &value);
    if (err != WEFT_OK) return err == WEFT_NOT_FOUND ? WEFT_OK : err;
    bool whole = value.len >= 8, its = whole && wf_get64(value.data) == r->t;
    wf_value_release(store->kv, &value);
    if (!whole) return wf_fail(WEFT_CORRUPT, "store", "the facts of an entry: malformed");
    if (its) wf_batch_delete(r->batch, WF_CF_META, id, WEFT_ID_BYTES);
    return WEFT_OK;
}

static weft_err delete_row(wf_store *store, struct wf_removal *r, const wf_kv_iter *it)
{
    size_t len, value_len;
    weft_err err = WEFT_OK;
    const enum wf_cf cf = stages[r->stage];
    const uint8_t *key = wf_kv_iter_key(it, &len);
    const uint8_t *value = wf_kv_iter_value(it, &value_len);
    if (cf == WF_CF_PEER && (len != WF_KEY_CURSOR_BYTES || wf_get64(key + len - 8) != r->t))
        return WEFT_OK;
    if (cf == WF_CF_GEN && len == WF_KEY_GEN_BYTES)
        err = delete_meta(store, r, key + len - WEFT_ID_BYTES);
    if (cf == WF_CF_ARR && value_len >= WEFT_ID_BYTES) err = delete_meta(store, r, value);
    if (err == WEFT_OK) wf_batch_delete(r->batch, cf, key, len);
    return err;
}

/* Into the batch. *next is where the following slice begins; *ended: there is none. */
static weft_err list_slice(wf_store *store, struct wf_removal *r, uint32_t keys, uint8_t *next,
                           size_t *next_len, bool *ended)
{
    uint8_t prefix[8] = {WF_PEER_CURSOR};
    const size_t prefix_len = stages[r->stage] == WF_CF_PEER ? 1 : sizeof prefix;
    wf_kv_iter *it;
    if (prefix_len > 1) wf_put64(prefix, r->t);
    weft_err err = wf_kv_iter_create(store->kv, NULL, stages[r->stage], prefix, prefix_len, &it);
    if (err != WEFT_OK) return err;
    if (r->from_len > 0) wf_kv_iter_seek(it, r->from, r->from_len);
    else wf_kv_iter_first(it);
    for (uint32_t i = 0; err == WEFT_OK && i < keys && wf_kv_iter_valid(it); i++) {
        err = delete_row(store, r, it);
        wf_kv_iter_next(it);
    }
    *ended = !wf_kv_iter_valid(it);
    if (err == WEFT_OK && *ended) err = wf_kv_iter_err(it);
    if (!*ended) {
        const uint8_t *key = wf_kv_iter_key(it, next_len);
        if (*next_len > sizeof r->from) *next_len = 0; /* no key of ours: from the beginning */
        memcpy(next, key, *next_len);
    }
    wf_kv_iter_destroy(it);
    return err;
}

static weft_err delete_slice(wf_store *store, struct wf_removal *r, uint32_t keys)
{
    uint8_t next[sizeof r->from];
    size_t next_len = 0;
    bool ended = false;
    wf_batch_clear(r->batch);
    wf_batch_make_room(r->batch);
    weft_err err = list_slice(store, r, keys, next, &next_len, &ended);
    if (err == WEFT_OK) err = wf_batch_err(r->batch);
    if (err == WEFT_OK && wf_batch_count(r->batch) > 0)
        err = wf_kv_write(store->kv, r->batch, false);
    if (err != WEFT_OK) return err;
    memcpy(r->from, next, next_len);
    r->from_len = next_len;
    if (ended) r->stage++;
    return WEFT_OK;
}

/* Durable, and all slices with it: what is written later is never on disk before them. */
static weft_err finish(wf_store *store, struct wf_removal *r)
{
    uint8_t key[WF_KEY_TREE_BYTES], row[WF_REMOVED_BYTES];
    struct wf_tree *tree = wf_trees_at(&store->trees, r->t);
    wf_batch_clear(r->batch);
    wf_batch_make_room(r->batch);
    wf_key_tree(key, WF_TREE_REMOVED, r->t);
    wf_removed_write(&tree->now.tree, true, row);
    wf_batch_put(r->batch, WF_CF_TREE, key, sizeof key, row, sizeof row);
    wf_key_removed(key, r->t); /* there is no rest that it could be said of */
    wf_batch_delete(r->batch, WF_CF_PEER, key, sizeof key);
    weft_err err = wf_kv_write(store->kv, r->batch, true);
    if (err != WEFT_OK) return err;
    wf_rwlock_write(store->lock);
    tree->life = WF_TREE_GONE;
    wf_rwlock_give(store->lock);
    wf_log(WEFT_LOG_INFO, "store", "nothing of the removed tree number %llu is left",
           (unsigned long long)r->t);
    r->done = r->t;
    r->t = 0;
    return WEFT_OK;
}

static weft_err choose(wf_store *store, struct wf_removal *r)
{
    const struct wf_tree *tree = next_going(store);
    weft_err err = r->batch == NULL ? wf_batch_create(&r->batch) : WEFT_OK;
    if (err != WEFT_OK || tree == NULL) return err;
    r->t = tree->now.t;
    r->stage = 0;
    r->from_len = 0;
    drop_files(store, r->t);
    return WEFT_OK;
}

/* Of what cannot be read nobody knows what else is to go with it, so the rest of the tree stays, and
 * so does its number. */
static void leave(wf_store *store, struct wf_removal *r)
{
    struct wf_tree *tree = wf_trees_at(&store->trees, r->t);
    tree->stuck = true;
    wf_log(
        WEFT_LOG_WARN, "store",
        "what is left of the removed tree number %llu is damaged (weft-fsck tells where): it stays "
        "until the next opening tries again",
        (unsigned long long)r->t);
    r->t = 0;
}

weft_err wf_removal_step(wf_store *store, struct wf_removal *r, uint32_t keys, bool *more)
{
    weft_err err = WEFT_OK;
    WF_ASSERT(keys > 0);
    if (r->t == 0) err = choose(store, r);
    else if (r->stage < STAGES) err = delete_slice(store, r, keys);
    else err = finish(store, r);
    if (err == WEFT_CORRUPT && r->t != 0 && wf_kv_failed(store->kv) == WEFT_OK) {
        leave(store, r);
        err = WEFT_OK;
    }
    *more = err != WEFT_OK || r->t != 0 || next_going(store) != NULL;
    return err;
}

void wf_removal_reclaim(wf_kv *kv, uint64_t t)
{
    uint8_t from[FROM_BYTES], to[TO_BYTES];
    range_of(t, from, to);
    for (unsigned i = 0; i < STAGES; i++)
        if (stages[i] != WF_CF_PEER) wf_kv_reclaim(kv, stages[i], from, sizeof from, to, sizeof to);
}

void wf_removal_fini(struct wf_removal *r)
{
    wf_batch_destroy(r->batch);
    *r = (struct wf_removal){0};
}
