/* SPDX-License-Identifier: Apache-2.0
 * trie_read.c - digests of a tree, of ranges of its gens, and of parts of these.
 * Called by: any thread. May touch: the engine (reads), the published root under the store's
 * lock. Never: the writer's side.
 *
 * A view is one snapshot of the engine. Batches are whole in it, so that the top, the nodes and
 * the index `gen` speak of the same entries, whatever the writer does meanwhile. */
#include "trie_read.h"

#include "alloc.h"
#include "crypto.h"
#include "log.h"
#include "remake.h"
#include "state.h"

enum { HASH_RANGE = 2 };
#define STEPS_MAX (1u + 2u * WF_GEN_BYTES) /* a range cuts through no id */

struct step { /* a node that one end of the range lies in */
    struct wf_trie_prefix prefix;
    struct wf_trie_node node;
    unsigned digit; /* the next one to look at */
};
struct wf_trie_view {
    wf_store *store;
    wf_kv_snapshot *snap;
    uint64_t t;
    struct wf_trie_slot top;
    wf_kv_iter *it; /* over the tree's `gen`; NULL: not needed yet */
    /* During a range: */
    uint64_t lo, last; /* the first gen and the last that are asked for */
    uint64_t count;
    wf_hash hash;
    struct step steps[STEPS_MAX];
};

/* -- From the engine ------------------------------------------------------------------------ */

weft_err wf_trie_scan(wf_kv_iter *it, uint64_t t, const struct wf_trie_prefix *prefix,
                      struct wf_trie_key *out, unsigned room, unsigned *found)
{
    uint8_t seek[WF_KEY_GEN_BYTES];
    struct wf_trie_key lowest;
    unsigned count = 0;
    wf_trie_lowest(prefix, &lowest);
    wf_key_gen(seek, t, lowest.gen, &lowest.id);
    for (wf_kv_iter_seek(it, seek, sizeof seek); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (len != WF_KEY_GEN_BYTES) return wf_fail(WEFT_CORRUPT, "store", "gen: wrong length");
        out[count].gen = wf_get64(key + 8);
        memcpy(out[count].id.bytes, key + 16, WEFT_ID_BYTES);
        if (!wf_trie_in(prefix, &out[count]) || ++count == room) break;
    }
    *found = count;
    return wf_kv_iter_err(it);
}

weft_err wf_trie_node_get(wf_kv *kv, const wf_kv_snapshot *snap, uint64_t t,
                          const struct wf_trie_prefix *prefix, wf_value *value,
                          struct wf_trie_node *out)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX];
    weft_err err = wf_kv_get(kv, snap, WF_CF_TRIE, key, wf_trie_record_key(key, t, prefix), value);
    if (err != WEFT_OK) return err;
    err = wf_trie_node_read(value->data, value->len, out);
    if (err != WEFT_OK) wf_value_release(kv, value);
    return err;
}

static weft_err node_get(wf_trie_view *view, const struct wf_trie_prefix *prefix,
                         struct wf_trie_node *out)
{
    wf_value value;
    wf_kv *kv = view->store->kv;
    weft_err err = wf_trie_node_get(kv, view->snap, view->t, prefix, &value, out);
    if (err == WEFT_OK) wf_value_release(kv, &value);
    return err;
}

static weft_err scan(wf_trie_view *view, const struct wf_trie_prefix *prefix,
                     struct wf_trie_key *out, unsigned room, unsigned *found)
{
    uint8_t of[8];
    wf_put64(of, view->t);
    weft_err err = WEFT_OK;
    if (view->it == NULL)
        err = wf_kv_iter_create(view->store->kv, view->snap, WF_CF_GEN, of, 8, &view->it);
    return err == WEFT_OK ? wf_trie_scan(view->it, view->t, prefix, out, room, found) : err;
}

/* -- Views ----------------------------------------------------------------------------------- */

weft_err wf_store_trie_root(wf_store *store, uint64_t t, struct wf_trie_slot *out,
                            wf_tree_info *info)
{
    if (store->format < WF_FORMAT_VERSION) return WEFT_VERSION; /* it is only read */
    wf_rwlock_read(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, t);
    bool known = tree != NULL && tree->pub.t != 0;
    bool whole = known && tree->trie_pub.count == tree->pub.count;
    if (whole) {
        *out = tree->trie_pub;
        *info = tree->pub;
    }
    wf_rwlock_give(store->lock);
    if (!known) return WEFT_NOT_FOUND;
    return whole ? WEFT_OK
                 : wf_fail(WEFT_CORRUPT, "store", "trie: it does not have what the tree has");
}

static weft_err top_get(wf_trie_view *view)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX];
    wf_value value;
    wf_kv *kv = view->store->kv;
    weft_err err = wf_kv_get(kv, view->snap, WF_CF_TRIE, key, wf_key_trie_top(key, view->t),
                             &value);
    if (err == WEFT_NOT_FOUND) return WEFT_OK; /* as long as there are no entries */
    if (err != WEFT_OK) return err;
    err = wf_trie_top_read(value.data, value.len, &view->top);
    wf_value_release(kv, &value);
    return err;
}

weft_err wf_trie_view_open(wf_store *store, uint64_t t, wf_tree_info *info, wf_trie_view **out)
{
    wf_tree_info here;
    if (store->format < WF_FORMAT_VERSION) return WEFT_VERSION;
    weft_err err = wf_store_tree_by_number(store, t, &here);
    if (err != WEFT_OK) return err;
    wf_trie_view *view = wf_calloc(1, sizeof *view);
    if (view == NULL) return WEFT_NO_MEMORY;
    view->store = store;
    view->t = t;
    err = wf_kv_snapshot_create(store->kv, &view->snap);
    if (err == WEFT_OK) err = wf_counts_at(store, view->snap, &here);
    if (err == WEFT_OK) err = top_get(view);
    if (err == WEFT_OK && view->top.count != here.count)
        err = wf_fail(WEFT_CORRUPT, "store", "trie: it does not have what the tree has");
    if (err == WEFT_OK) {
        *info = here;
        *out = view;
        view = NULL;
    }
    wf_trie_view_close(view);
    return err;
}

void wf_trie_view_close(wf_trie_view *view)
{
    if (view == NULL) return;
    wf_kv_iter_destroy(view->it);
    wf_kv_snapshot_destroy(view->store->kv, view->snap);
    wf_free(view);
}

void wf_trie_view_root(const wf_trie_view *view, struct wf_trie_slot *out) { *out = view->top; }

/* -- Ranges of gens ---------------------------------------------------------------------------- */

static void take(wf_trie_view *view, const struct wf_trie_slot *slot)
{
    view->count += slot->count;
    wf_hash_update(&view->hash, slot->digest, sizeof slot->digest);
}

/* Are all gens that the prefix can have asked for? *none: or not a single one. */
static bool inside(const wf_trie_view *view, const struct wf_trie_prefix *prefix, bool *none)
{
    uint64_t first, last;
    wf_trie_gens(prefix, &first, &last);
    *none = last < view->lo || first > view->last;
    return first >= view->lo && last <= view->last;
}

/* Keys of a bucket that one end of the range lies in: as if each of the longest prefixes that
 * are inside were looked up by itself. */
static void take_keys(wf_trie_view *view, const struct wf_trie_key *keys, unsigned count)
{
    for (unsigned from = 0, to; from < count; from = to) {
        struct wf_trie_prefix prefix = {1, keys[from]};
        struct wf_trie_slot slot;
        bool none;
        to = from + 1;
        if (prefix.key.gen < view->lo || prefix.key.gen > view->last) continue;
        while (!inside(view, &prefix, &none)) prefix.depth++; /* that of its gen is, at last */
        while (to < count && wf_trie_common(&prefix.key, &keys[to]) >= prefix.depth) to++;
        wf_trie_bucket_slot(keys + from, to - from, &slot);
        take(view, &slot);
    }
}

static weft_err take_bucket(wf_trie_view *view, const struct wf_trie_prefix *prefix, uint64_t count)
{
    struct wf_trie_key keys[WF_TRIE_BUCKET];
    unsigned found;
    weft_err err = scan(view, prefix, keys, (unsigned)count, &found);
    if (err != WEFT_OK) return err;
    if (found < count) return wf_fail(WEFT_CORRUPT, "store", "trie: it counts more than there is");
    take_keys(view, keys, found);
    return WEFT_OK;
}

static weft_err enter(wf_trie_view *view, unsigned *open, const struct wf_trie_prefix *prefix,
                      uint64_t count)
{
    if (count <= WF_TRIE_BUCKET) return take_bucket(view, prefix, count);
    WF_ASSERT(*open < STEPS_MAX); /* what is deeper has one gen: it is inside or it is not */
    struct step *step = &view->steps[*open];
    weft_err err = node_get(view, prefix, &step->node);
    if (err == WEFT_NOT_FOUND) err = wf_fail(WEFT_CORRUPT, "store", "trie: a node is missing");
    if (err != WEFT_OK) return err;
    step->prefix = *prefix;
    step->digit = 0;
    (*open)++;
    return WEFT_OK;
}

/* Down along both ends, everything between them by its digest. */
static weft_err walk(wf_trie_view *view)
{
    const struct wf_trie_prefix all = {0};
    unsigned open = 0;
    weft_err err = view->top.count == 0 ? WEFT_OK : enter(view, &open, &all, view->top.count);
    while (open > 0 && err == WEFT_OK) {
        struct step *step = &view->steps[open - 1];
        if (step->digit == 16) {
            open--;
            continue;
        }
        struct wf_trie_prefix child;
        unsigned digit = step->digit++;
        const struct wf_trie_slot *slot = &step->node.slots[digit];
        bool none;
        if (slot->count == 0) continue;
        wf_trie_longer(&step->prefix, digit, &child);
        if (inside(view, &child, &none)) take(view, slot);
        else if (!none) err = enter(view, &open, &child, slot->count);
    }
    return err;
}

weft_err wf_trie_view_range(wf_trie_view *view, uint64_t lo, uint64_t hi, struct wf_trie_slot *out)
{
    uint8_t head[1 + 2 * 8], count[8];
    *out = (struct wf_trie_slot){0};
    if (lo >= hi) return WEFT_OK;
    view->lo = lo;
    view->last = hi - 1;
    view->count = 0;
    head[0] = HASH_RANGE;
    wf_put64(wf_put64(head + 1, lo), hi);
    wf_hash_init(&view->hash);
    wf_hash_update(&view->hash, head, sizeof head);
    weft_err err = walk(view);
    if (err != WEFT_OK || view->count == 0) return err;
    wf_put64(count, view->count);
    wf_hash_update(&view->hash, count, sizeof count);
    wf_hash_final(&view->hash, out->digest);
    out->count = view->count;
    return WEFT_OK;
}

weft_err wf_store_range(wf_store *store, uint64_t t, uint64_t lo, uint64_t hi,
                        struct wf_trie_slot *out)
{
    wf_trie_view *view;
    wf_tree_info info;
    uint64_t mark = wf_made_mark(store);
    weft_err err = wf_trie_view_open(store, t, &info, &view);
    if (err != WEFT_OK) return wf_made_note(store, t, mark, err);
    err = wf_trie_view_range(view, lo, hi, out);
    wf_trie_view_close(view);
    return wf_made_note(store, t, mark, err);
}

/* -- The parts of a prefix ----------------------------------------------------------------------- */

static void split_keys(const struct wf_trie_key *keys, unsigned count, unsigned depth,
                       struct wf_trie_slot out[16])
{
    for (unsigned from = 0, to; from < count; from = to) {
        unsigned digit = wf_trie_digit(&keys[from], depth);
        for (to = from + 1; to < count; to++)
            if (wf_trie_digit(&keys[to], depth) != digit) break;
        wf_trie_bucket_slot(keys + from, to - from, &out[digit]);
    }
}

weft_err wf_trie_view_split(wf_trie_view *view, const struct wf_trie_prefix *prefix,
                            struct wf_trie_slot out[16])
{
    struct wf_trie_key keys[WF_TRIE_BUCKET + 1];
    struct wf_trie_node node;
    unsigned found = 0;
    if (prefix->depth >= wf_trie_digits(&prefix->key)) return WEFT_INVALID;
    weft_err err = view->top.count > WF_TRIE_BUCKET ? node_get(view, prefix, &node)
                                                    : WEFT_NOT_FOUND;
    if (err == WEFT_OK) memcpy(out, node.slots, sizeof node.slots);
    if (err != WEFT_NOT_FOUND) return err;
    err = scan(view, prefix, keys, WF_TRIE_BUCKET + 1, &found);
    if (err != WEFT_OK) return err;
    if (found > WF_TRIE_BUCKET) return wf_fail(WEFT_CORRUPT, "store", "trie: a node is missing");
    memset(out, 0, 16 * sizeof *out);
    split_keys(keys, found, prefix->depth, out);
    return WEFT_OK;
}

weft_err wf_store_range_split(wf_store *store, uint64_t t, const struct wf_trie_prefix *prefix,
                              struct wf_trie_slot out[16])
{
    wf_trie_view *view;
    wf_tree_info info;
    uint64_t mark = wf_made_mark(store);
    weft_err err = wf_trie_view_open(store, t, &info, &view);
    if (err != WEFT_OK) return wf_made_note(store, t, mark, err);
    err = wf_trie_view_split(view, prefix, out);
    wf_trie_view_close(view);
    return wf_made_note(store, t, mark, err);
}
