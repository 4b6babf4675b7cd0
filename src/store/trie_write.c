/* SPDX-License-Identifier: Apache-2.0
 * trie_write.c - what a batch changes in the tries of its trees, once and as a whole.
 * Called by: flush.c (the store's thread). May touch: the open batch, the engine (reads),
 * trie_now of the trees. Never: the published part, a body.
 *
 * A batch's entries are sorted and go down the trie together, so that each node is read,
 * hashed and put once whatever their number. Nothing is kept between batches but a cache. */
#include "trie_write.h"

#include <stdlib.h>

#include "alloc.h"
#include "log.h"
#include "trie_build.h"
#include "trie_cache.h"
#include "trie_read.h"

struct item { /* an entry that is new */
    uint64_t t;
    struct wf_trie_key key;
};
struct step { /* a node that the way down leads through */
    struct wf_trie_prefix prefix;
    struct wf_trie_node node;
    uint32_t at, end; /* the items that are still to be put below it */
};
struct wf_trie {
    struct wf_trie_cache nodes, buckets;
    struct wf_trie_build *build;
    struct item *items;
    uint32_t items_room;
    /* During an update: */
    wf_store *store;
    uint64_t t;
    wf_kv_iter *it; /* over the tree's `gen`; NULL: not needed yet */
    struct step steps[WF_TRIE_DIGITS];
};

/* -- Life ------------------------------------------------------------------------------- */

static weft_err put_record(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                           size_t len)
{
    struct wf_trie *trie = arg;
    wf_batch_put(trie->store->batch, WF_CF_TRIE, key, key_len, value, len);
    wf_trie_cache_put(&trie->nodes, key, key_len, value, len);
    return wf_batch_err(trie->store->batch);
}

static void keep_bucket(void *arg, const struct wf_trie_prefix *prefix,
                        const struct wf_trie_key *keys, unsigned count)
{
    struct wf_trie *trie = arg;
    uint8_t key[WF_KEY_TRIE_BYTES_MAX];
    size_t len = wf_trie_record_key(key, trie->t, prefix);
    wf_trie_cache_put(&trie->buckets, key, len, keys, count * sizeof *keys);
}

static weft_err create(struct wf_trie **out)
{
    struct wf_trie *trie = wf_malloc(sizeof *trie);
    if (trie == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_trie_build_create(0, put_record, trie, &trie->build);
    if (err != WEFT_OK) {
        wf_free(trie);
        return err;
    }
    wf_trie_build_watch(trie->build, keep_bucket);
    wf_trie_cache_init(&trie->nodes, WEFT_STORE_TRIE_NODES_BYTES);
    wf_trie_cache_init(&trie->buckets, WEFT_STORE_TRIE_BUCKETS_BYTES);
    trie->items = NULL;
    trie->items_room = 0;
    trie->it = NULL;
    *out = trie;
    return WEFT_OK;
}

void wf_trie_destroy(struct wf_trie *trie)
{
    if (trie == NULL) return;
    wf_trie_build_destroy(trie->build);
    wf_trie_cache_fini(&trie->nodes);
    wf_trie_cache_fini(&trie->buckets);
    wf_free(trie->items);
    wf_free(trie);
}

size_t wf_trie_bytes(const struct wf_trie *trie)
{
    if (trie == NULL) return 0;
    return sizeof *trie + wf_trie_build_bytes() + trie->items_room * sizeof *trie->items +
           wf_trie_cache_bytes(&trie->nodes) + wf_trie_cache_bytes(&trie->buckets);
}

void wf_trie_forget(struct wf_trie *trie)
{
    if (trie == NULL) return;
    wf_trie_cache_clear(&trie->nodes);
    wf_trie_cache_clear(&trie->buckets);
}

weft_err wf_trie_load(wf_kv *kv, uint64_t t, struct wf_trie_slot *out)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX];
    wf_value value;
    *out = (struct wf_trie_slot){0};
    weft_err err = wf_kv_get(kv, NULL, WF_CF_TRIE, key, wf_key_trie_top(key, t), &value);
    /* An index that is damaged is told by the check: the store opens without it. */
    if (err == WEFT_NOT_FOUND || err == WEFT_CORRUPT) return WEFT_OK;
    if (err != WEFT_OK) return err;
    (void)wf_trie_top_read(value.data, value.len, out);
    wf_value_release(kv, &value);
    return WEFT_OK;
}

/* -- What is there ------------------------------------------------------------------------ */

static weft_err load_node(struct wf_trie *trie, const struct wf_trie_prefix *prefix, uint64_t count,
                          struct wf_trie_node *out)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX];
    size_t key_len = wf_trie_record_key(key, trie->t, prefix), len;
    const uint8_t *kept = wf_trie_cache_get(&trie->nodes, key, key_len, &len);
    weft_err err;
    if (kept != NULL) {
        err = wf_trie_node_read(kept, len, out);
    } else {
        wf_value value;
        err = wf_trie_node_get(trie->store->kv, NULL, trie->t, prefix, &value, out);
        if (err == WEFT_NOT_FOUND) return wf_fail(WEFT_CORRUPT, "store", "trie: a node is missing");
        if (err != WEFT_OK) return err;
        wf_trie_cache_put(&trie->nodes, key, key_len, value.data, value.len);
        wf_value_release(trie->store->kv, &value);
    }
    if (err != WEFT_OK) return err;
    return wf_trie_node_count(out) == count
               ? WEFT_OK
               : wf_fail(WEFT_CORRUPT, "store", "trie: a node has another count");
}

/* The `count` keys with this prefix that the engine has: those of the open batch are not
 * there yet. */
static weft_err scan_bucket(struct wf_trie *trie, const struct wf_trie_prefix *prefix,
                            struct wf_trie_key *out, uint64_t count)
{
    uint8_t of[8];
    wf_put64(of, trie->t);
    if (trie->it == NULL) {
        weft_err err = wf_kv_iter_create(trie->store->kv, NULL, WF_CF_GEN, of, 8, &trie->it);
        if (err != WEFT_OK) return err;
    }
    unsigned found;
    weft_err err = wf_trie_scan(trie->it, trie->t, prefix, out, (unsigned)count, &found);
    if (err == WEFT_OK && found < count)
        err = wf_fail(WEFT_CORRUPT, "store", "trie: it counts more than there is");
    return err;
}

static weft_err load_bucket(struct wf_trie *trie, const struct wf_trie_prefix *prefix,
                            struct wf_trie_key *out, uint64_t count)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX];
    size_t key_len = wf_trie_record_key(key, trie->t, prefix), len;
    const uint8_t *kept = wf_trie_cache_get(&trie->buckets, key, key_len, &len);
    if (kept == NULL || len != count * sizeof *out) return scan_bucket(trie, prefix, out, count);
    memcpy(out, kept, len);
    return WEFT_OK;
}

/* -- One tree ------------------------------------------------------------------------------ */

/* Below a prefix that has no node: what is there and what comes, made anew. */
static weft_err rebuild(struct wf_trie *trie, const struct wf_trie_prefix *prefix, uint32_t from,
                        uint32_t to, struct wf_trie_slot *slot)
{
    struct wf_trie_key old[WF_TRIE_BUCKET];
    uint64_t count = slot->count, want = count + (to - from);
    weft_err err = count == 0 ? WEFT_OK : load_bucket(trie, prefix, old, count);
    wf_trie_build_begin(trie->build, trie->t, prefix->depth);
    for (uint64_t i = 0; err == WEFT_OK && (i < count || from < to);) {
        const struct wf_trie_key *new = from < to ? &trie->items[from].key : NULL;
        const struct wf_trie_key *next = new;
        if (new == NULL || (i < count && wf_trie_compare(&old[i], new) < 0)) next = &old[i++];
        else from++;
        err = wf_trie_build_add(trie->build, next->gen, &next->id);
    }
    if (err == WEFT_OK) err = wf_trie_build_finish(trie->build, slot);
    WF_ASSERT(err != WEFT_OK || slot->count == want);
    return err;
}

static weft_err enter(struct wf_trie *trie, uint32_t *open, const struct wf_trie_prefix *prefix,
                      uint64_t count, uint32_t from, uint32_t to)
{
    if (*open == WF_TRIE_DIGITS)
        return wf_fail(WEFT_CORRUPT, "store", "trie: it is deeper than a key");
    struct step *step = &trie->steps[(*open)++];
    step->prefix = *prefix;
    step->at = from;
    step->end = to;
    return load_node(trie, prefix, count, &step->node);
}

static weft_err leave(struct wf_trie *trie, const struct step *step, struct wf_trie_slot *slot)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX], value[WF_TRIE_NODE_BYTES_MAX];
    wf_trie_node_slot(&step->node, slot);
    size_t key_len = wf_trie_record_key(key, trie->t, &step->prefix);
    return put_record(trie, key, key_len, value, wf_trie_node_write(&step->node, value));
}

/* The items that share the next digit. */
static weft_err go_down(struct wf_trie *trie, uint32_t *open)
{
    struct step *step = &trie->steps[*open - 1];
    uint32_t from = step->at, to = from + 1;
    struct wf_trie_prefix child = {step->prefix.depth + 1, trie->items[from].key};
    while (to < step->end && wf_trie_common(&child.key, &trie->items[to].key) >= child.depth) to++;
    step->at = to;
    struct wf_trie_slot *slot = &step->node.slots[wf_trie_digit(&child.key, child.depth - 1)];
    return slot->count <= WF_TRIE_BUCKET ? rebuild(trie, &child, from, to, slot)
                                         : enter(trie, open, &child, slot->count, from, to);
}

/* Items [from, to) are the batch's in this tree. A list of steps instead of recursion. */
static weft_err merge(struct wf_trie *trie, uint32_t from, uint32_t to, struct wf_trie_slot *top)
{
    const struct wf_trie_prefix all = {0};
    uint32_t open = 0;
    if (top->count <= WF_TRIE_BUCKET) return rebuild(trie, &all, from, to, top);
    weft_err err = enter(trie, &open, &all, top->count, from, to);
    while (open > 0 && err == WEFT_OK) {
        struct step *step = &trie->steps[open - 1];
        if (step->at < step->end) {
            err = go_down(trie, &open);
            continue;
        }
        struct wf_trie_slot *slot = top;
        if (--open > 0) {
            unsigned digit = wf_trie_digit(&step->prefix.key, step->prefix.depth - 1);
            slot = &trie->steps[open - 1].node.slots[digit];
        }
        err = leave(trie, step, slot);
    }
    return err;
}

static weft_err update_tree(struct wf_trie *trie, struct wf_tree *tree, uint32_t from, uint32_t to)
{
    uint8_t key[WF_KEY_TRIE_BYTES_MAX], value[WF_TRIE_TOP_BYTES];
    if (tree->trie_now.count + (to - from) != tree->now.count)
        return wf_fail(WEFT_CORRUPT, "store", "trie: it does not have what the tree has");
    trie->t = tree->now.t;
    weft_err err = merge(trie, from, to, &tree->trie_now);
    wf_kv_iter_destroy(trie->it);
    trie->it = NULL;
    if (err != WEFT_OK) return err;
    wf_trie_top_write(&tree->trie_now, value);
    wf_batch_put(trie->store->batch, WF_CF_TRIE, key, wf_key_trie_top(key, tree->now.t), value,
                 sizeof value);
    return wf_batch_err(trie->store->batch);
}

/* -- The batch -------------------------------------------------------------------------------- */

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->t != y->t) return x->t < y->t ? -1 : 1;
    return wf_trie_compare(&x->key, &y->key);
}

static weft_err list_items(struct wf_trie *trie)
{
    const wf_store *store = trie->store;
    if (store->fresh_count > trie->items_room) {
        struct item *items = wf_realloc(trie->items, store->fresh_room * sizeof *items);
        if (items == NULL) return WEFT_NO_MEMORY;
        trie->items = items;
        trie->items_room = store->fresh_room;
    }
    bool sorted = true;
    for (uint32_t i = 0; i < store->fresh_count; i++) {
        const struct wf_fresh *fresh = &store->fresh[i];
        trie->items[i] = (struct item){fresh->t, {fresh->gen, fresh->id}};
        sorted &= i == 0 || compare_items(&trie->items[i - 1], &trie->items[i]) < 0;
    }
    if (!sorted) qsort(trie->items, store->fresh_count, sizeof *trie->items, compare_items);
    return WEFT_OK;
}

weft_err wf_trie_update(wf_store *store)
{
    if (store->fresh_count == 0) return WEFT_OK;
    weft_err err = store->trie == NULL ? create(&store->trie) : WEFT_OK;
    if (err != WEFT_OK) return err;
    struct wf_trie *trie = store->trie;
    trie->store = store;
    err = list_items(trie);
    for (uint32_t from = 0, to; from < store->fresh_count && err == WEFT_OK; from = to) {
        for (to = from + 1; to < store->fresh_count; to++)
            if (trie->items[to].t != trie->items[from].t) break;
        err = update_tree(trie, wf_trees_at(&store->trees, trie->items[from].t), from, to);
    }
    return err;
}
