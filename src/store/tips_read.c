/* SPDX-License-Identifier: Apache-2.0
 * tips_read.c - the tips of trees and of named stores, and the digest over those of a tree.
 * Called by: any thread. May touch: the engine (reads), sets of tips and cached digests under the
 * store's lock. Never: the writer's side. */
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "log.h"
#include "state.h"

struct tips { /* asked for */
    uint64_t t;
    uint8_t prefix[WF_KEY_TIP_BYTES_MAX];
    size_t prefix_len, room, count;
    const weft_id *from; /* NULL: the lowest */
    size_t lowest;       /* of those in `out` */
    weft_id *out;
    bool complete;
};

/* Does the room hold them? As many as it does are in it then. */
static void copy_set(const struct wf_tip_set *set, struct tips *ask)
{
    bool there;
    uint32_t at = ask->from == NULL ? 0 : wf_tips_place(set, ask->from, &there);
    ask->complete = set->count <= ask->room;
    ask->count = ask->complete ? set->count : ask->room;
    for (size_t i = 0; i < ask->count; i++, at++) {
        if (at == set->count) at = 0;
        ask->out[i] = set->ids[at];
    }
}

static bool tips_kept(wf_store *store, struct tips *ask, uint64_t *version)
{
    wf_rwlock_read(store->lock);
    const struct wf_tip_set *set = wf_tips_find(&store->tips, ask->prefix, ask->prefix_len);
    *version = store->tips.version;
    if (set != NULL) copy_set(set, ask);
    wf_rwlock_give(store->lock);
    return set != NULL;
}

/* From where the iterator stands to the end, or to below `end`. False: one had no room. */
static bool take(wf_kv_iter *it, struct tips *ask, const weft_id *end)
{
    for (; wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (len != ask->prefix_len + WEFT_ID_BYTES) continue;
        if (end != NULL && memcmp(key + ask->prefix_len, end->bytes, WEFT_ID_BYTES) >= 0) break;
        if (ask->count == ask->room) return false;
        memcpy(ask->out[ask->count++].bytes, key + ask->prefix_len, WEFT_ID_BYTES);
    }
    return true;
}

static weft_err tips_read(wf_store *store, const wf_kv_snapshot *snap, struct tips *ask)
{
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(store->kv, snap, WF_CF_TIP, ask->prefix, ask->prefix_len, &it);
    if (err != WEFT_OK) return err;
    ask->count = 0;
    ask->lowest = 0;
    if (ask->from == NULL) {
        wf_kv_iter_first(it);
    } else {
        memcpy(ask->prefix + ask->prefix_len, ask->from->bytes, WEFT_ID_BYTES);
        wf_kv_iter_seek(it, ask->prefix, ask->prefix_len + WEFT_ID_BYTES);
    }
    ask->complete = take(it, ask, NULL);
    err = wf_kv_iter_err(it);
    if (err == WEFT_OK && ask->complete && ask->from != NULL) {
        ask->lowest = ask->count;
        wf_kv_iter_first(it);
        ask->complete = take(it, ask, ask->from);
        err = wf_kv_iter_err(it);
    }
    wf_kv_iter_destroy(it);
    return wf_mend_note(store, ask->t, err);
}

/* Only if what was read is what is published: a batch may be written and not published yet. */
static void tips_keep(wf_store *store, const struct tips *ask, uint64_t seq, uint64_t version)
{
    wf_rwlock_write(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, ask->t);
    if (tree != NULL && tree->pub.t != 0 && tree->pub.seq == seq)
        wf_tips_keep(&store->tips, version, ask->prefix, ask->prefix_len, ask->out, ask->count,
                     ask->lowest);
    wf_rwlock_give(store->lock);
}

/* Those that are there are answered all the same: each is a tip. */
static void note_tips(wf_store *store, const wf_tree_info *info, uint64_t listed)
{
    if (listed == info->tips || wf_store_is_removed(store, info->t)) return;
    (void)wf_mend_note(store, info->t,
                       wf_fail(WEFT_CORRUPT, "store", "%llu tips of a tree are listed, it has %llu",
                               (unsigned long long)listed, (unsigned long long)info->tips));
}

static weft_err tips_of(wf_store *store, uint64_t t, const char *name, const weft_id *from,
                        weft_id *out, size_t room, size_t *count, bool *complete)
{
    struct tips ask = {.t = t, .from = from, .out = out, .room = room};
    size_t name_len = name == NULL ? 0 : strlen(name);
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
        if (known == WEFT_OK && name == NULL) note_tips(store, &info, ask.count);
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
    return tips_of(store, t, NULL, NULL, out, room, count, complete);
}

static bool is_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= WEFT_STORE_NAME_BYTES_MAX;
}

weft_err wf_store_named_tips(wf_store *store, uint64_t t, const char *name, weft_id *out,
                             size_t room, size_t *count, bool *complete)
{
    if (!is_name(name)) return WEFT_INVALID;
    return tips_of(store, t, name, NULL, out, room, count, complete);
}

weft_err wf_store_tips_from(wf_store *store, uint64_t t, const char *name, const weft_id *from,
                            weft_id *out, size_t room, size_t *count, bool *complete)
{
    if (name != NULL && !is_name(name)) return WEFT_INVALID;
    return tips_of(store, t, name, from, out, room, count, complete);
}

/* -- The digest over all of them ---------------------------------------------------------- */

static weft_err digest_at(wf_store *store, const wf_kv_snapshot *snap, const wf_tree_info *info,
                          uint8_t out[32])
{
    uint64_t t = info->t, listed = 0;
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
        if (len != prefix_len + WEFT_ID_BYTES) continue;
        wf_hash_update(&hash, key + prefix_len, WEFT_ID_BYTES);
        listed++;
    }
    err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    if (err != WEFT_OK) return wf_mend_note(store, t, err);
    note_tips(store, info, listed);
    wf_hash_final(&hash, out);
    return WEFT_OK;
}

/* Sessions of many peers ask for the same digest; it changes only with the tree. */
static bool digest_cached(wf_store *store, uint64_t t, uint8_t out[32], wf_tree_info *info,
                          uint64_t *version)
{
    wf_rwlock_read(store->lock);
    *version = store->tips.version;
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
    if (err == WEFT_OK) err = digest_at(store, snap, info, digest);
    wf_kv_snapshot_destroy(store->kv, snap);
    return err;
}

weft_err wf_store_root_digest(wf_store *store, uint64_t t, uint8_t out[32], wf_tree_info *info)
{
    uint64_t version;
    if (digest_cached(store, t, out, info, &version)) return WEFT_OK;
    wf_tree_info here;
    uint8_t digest[32];
    weft_err err = digest_kept(store, t, digest, &here);
    if (err == WEFT_NOT_FOUND) err = digest_read(store, t, digest, &here);
    if (err != WEFT_OK) return err;
    wf_rwlock_write(store->lock);
    struct wf_tree *tree = wf_trees_at(&store->trees, t);
    if (tree != NULL && version == store->tips.version) { /* else tips may have been mended */
        tree->digest_seq = here.seq;
        memcpy(tree->digest, digest, sizeof digest);
    }
    wf_rwlock_give(store->lock);
    memcpy(out, digest, sizeof digest);
    *info = here;
    return WEFT_OK;
}
