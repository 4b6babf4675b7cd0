/* SPDX-License-Identifier: Apache-2.0
 * tips_read.c - the tips of trees and of named stores, and the digest over those of a tree.
 * Called by: any thread. May touch: the engine (reads), sets of tips and cached digests under the
 * store's lock. Never: the writer's side. */
#include "alloc.h"
#include "crypto.h"
#include "state.h"

struct tips { /* asked for */
    uint64_t t;
    uint8_t prefix[WF_KEY_TIP_BYTES_MAX];
    size_t prefix_len, room, count;
    weft_id *out;
    bool complete;
};

static bool tips_kept(wf_store *store, struct tips *ask, uint64_t *version)
{
    wf_rwlock_read(store->lock);
    const struct wf_tip_set *set = wf_tips_find(&store->tips, ask->prefix, ask->prefix_len);
    *version = store->tips.version;
    if (set != NULL) {
        ask->complete = set->count <= ask->room;
        ask->count = ask->complete ? set->count : ask->room;
        if (ask->count > 0) memcpy(ask->out, set->ids, ask->count * sizeof *ask->out);
    }
    wf_rwlock_give(store->lock);
    return set != NULL;
}

static weft_err tips_read(wf_store *store, const wf_kv_snapshot *snap, struct tips *ask)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(store->kv, snap, WF_CF_TIP, ask->prefix, ask->prefix_len, &it);
    if (err != WEFT_OK) return err;
    ask->count = 0;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && ask->count < ask->room;
         wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (len != ask->prefix_len + WEFT_ID_BYTES) continue;
        memcpy(ask->out[ask->count++].bytes, key + ask->prefix_len, WEFT_ID_BYTES);
    }
    ask->complete = !wf_kv_iter_valid(it);
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    return err;
}

/* Only if what was read is what is published: a batch may be written and not published yet. */
static void tips_keep(wf_store *store, const struct tips *ask, uint64_t seq, uint64_t version)
{
    wf_rwlock_write(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, ask->t);
    if (tree != NULL && tree->pub.t != 0 && tree->pub.seq == seq)
        wf_tips_keep(&store->tips, version, ask->prefix, ask->prefix_len, ask->out, ask->count);
    wf_rwlock_give(store->lock);
}

static weft_err tips_of(wf_store *store, uint64_t t, const char *name, size_t name_len,
                        weft_id *out, size_t room, size_t *count, bool *complete)
{
    struct tips ask = {.t = t, .out = out, .room = room};
    wf_tree_info info = {.t = t};
    uint64_t version;
    ask.prefix_len = wf_key_tip(ask.prefix, t, name, name_len, NULL);
    if (!tips_kept(store, &ask, &version)) {
        wf_kv_snapshot *snap;
        weft_err err = wf_kv_snapshot_create(store->kv, &snap);
        if (err != WEFT_OK) return err;
        err = tips_read(store, snap, &ask);
        weft_err known = err == WEFT_OK && ask.complete && ask.count <= WEFT_STORE_TIPS_SET_MAX
                             ? wf_counts_at(store, snap, &info)
                             : WEFT_NOT_FOUND;
        wf_kv_snapshot_destroy(store->kv, snap);
        if (err != WEFT_OK) return err;
        if (known == WEFT_OK) tips_keep(store, &ask, info.seq, version);
    }
    if (wf_store_is_removed(store, t)) return WEFT_NOT_FOUND;
    *count = ask.count;
    *complete = ask.complete;
    return WEFT_OK;
}

weft_err wf_store_kept_tips(wf_store *store, uint64_t t, const char *name, size_t name_len,
                            weft_id **out, uint32_t *count, wf_tree_info *info)
{
    uint8_t prefix[WF_KEY_TIP_BYTES_MAX];
    size_t prefix_len = wf_key_tip(prefix, t, name, name_len, NULL);
    weft_err err = WEFT_NOT_FOUND;
    wf_rwlock_read(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, t);
    const struct wf_tip_set *set = wf_tips_find(&store->tips, prefix, prefix_len);
    if (tree != NULL && tree->pub.t != 0 && set != NULL) {
        weft_id *ids = wf_malloc((set->count + UINT64_C(1)) * sizeof *ids);
        if (ids != NULL && set->count > 0) memcpy(ids, set->ids, set->count * sizeof *ids);
        err = ids == NULL ? WEFT_NO_MEMORY : WEFT_OK;
        if (ids != NULL) {
            *out = ids;
            *count = set->count;
            *info = tree->pub;
        }
    }
    wf_rwlock_give(store->lock);
    return err;
}

weft_err wf_store_tips(wf_store *store, uint64_t t, weft_id *out, size_t room, size_t *count,
                       bool *complete)
{
    return tips_of(store, t, NULL, 0, out, room, count, complete);
}

weft_err wf_store_named_tips(wf_store *store, uint64_t t, const char *name, weft_id *out,
                             size_t room, size_t *count, bool *complete)
{
    size_t len = strlen(name);
    if (len == 0 || len > WEFT_STORE_NAME_BYTES_MAX) return WEFT_INVALID;
    return tips_of(store, t, name, len, out, room, count, complete);
}

/* -- The digest over all of them ---------------------------------------------------------- */

static weft_err digest_at(wf_store *store, const wf_kv_snapshot *snap, uint64_t t, uint8_t out[32])
{
    uint8_t prefix[WF_KEY_TIP_BYTES_MAX];
    size_t prefix_len = wf_key_tip(prefix, t, NULL, 0, NULL);
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(store->kv, snap, WF_CF_TIP, prefix, prefix_len, &it);
    if (err != WEFT_OK) return err;
    wf_hash hash;
    wf_hash_init(&hash);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (len == prefix_len + WEFT_ID_BYTES)
            wf_hash_update(&hash, key + prefix_len, WEFT_ID_BYTES);
    }
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    if (err == WEFT_OK) wf_hash_final(&hash, out);
    return err;
}

/* Sessions of many peers ask for the same digest; it changes only with the tree. */
static bool digest_cached(wf_store *store, uint64_t t, uint8_t out[32], wf_tree_info *info)
{
    wf_rwlock_read(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, t);
    bool hit = tree != NULL && tree->pub.t != 0 && tree->digest_seq == tree->pub.seq;
    if (hit) {
        memcpy(out, tree->digest, 32);
        *info = tree->pub;
    }
    wf_rwlock_give(store->lock);
    return hit;
}

static weft_err digest_kept(wf_store *store, uint64_t t, uint8_t digest[32], wf_tree_info *info)
{
    weft_id *tips;
    uint32_t count;
    weft_err err = wf_store_kept_tips(store, t, NULL, 0, &tips, &count, info);
    if (err != WEFT_OK) return err;
    wf_blake2b_256(tips, count * sizeof *tips, digest);
    wf_free(tips);
    return WEFT_OK;
}

static weft_err digest_read(wf_store *store, uint64_t t, uint8_t digest[32], wf_tree_info *info)
{
    weft_err err = wf_store_tree_by_number(store, t, info);
    if (err != WEFT_OK) return err;
    wf_kv_snapshot *snap;
    err = wf_kv_snapshot_create(store->kv, &snap);
    if (err != WEFT_OK) return err;
    err = wf_counts_at(store, snap, info);
    if (err == WEFT_OK) err = digest_at(store, snap, t, digest);
    wf_kv_snapshot_destroy(store->kv, snap);
    return err;
}

weft_err wf_store_root_digest(wf_store *store, uint64_t t, uint8_t out[32], wf_tree_info *info)
{
    if (digest_cached(store, t, out, info)) return WEFT_OK;
    wf_tree_info here;
    uint8_t digest[32];
    weft_err err = digest_kept(store, t, digest, &here);
    if (err == WEFT_NOT_FOUND) err = digest_read(store, t, digest, &here);
    if (err != WEFT_OK) return err;
    wf_rwlock_write(store->lock);
    struct wf_tree *tree = wf_trees_at(&store->trees, t);
    if (tree != NULL) {
        tree->digest_seq = here.seq;
        memcpy(tree->digest, digest, sizeof digest);
    }
    wf_rwlock_give(store->lock);
    memcpy(out, digest, sizeof digest);
    *info = here;
    return WEFT_OK;
}
