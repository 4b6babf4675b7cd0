/* SPDX-License-Identifier: Apache-2.0
 * trees.c - the table of trees: what the writer knows, and what it has published.
 * Called by: any thread (reads), the writer (adds and publishes). May touch: the
 * table under the store's lock, the family `tree`. Never: entries. */
#include "alloc.h"
#include "block.h"
#include "dom_write.h"
#include "log.h"
#include "shelf.h"
#include "sketches.h"
#include "standing.h"
#include "trie_write.h"

static uint32_t index_place(const struct wf_trees *trees, const weft_id *id)
{
    uint64_t word;
    memcpy(&word, id->bytes, sizeof word);
    return (uint32_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (trees->index_room - 1);
}

struct wf_tree *wf_trees_find(const struct wf_trees *trees, const weft_id *id)
{
    if (trees->index_room == 0) return NULL;
    uint32_t at = index_place(trees, id);
    while (trees->index[at] != 0) {
        struct wf_tree *tree = trees->list[trees->index[at] - 1];
        if (weft_id_equal(&tree->now.tree, id)) return tree;
        at = (at + 1) & (trees->index_room - 1);
    }
    return NULL;
}

struct wf_tree *wf_trees_at(const struct wf_trees *trees, uint64_t t)
{
    return t == 0 || t > trees->count ? NULL : trees->list[t - 1];
}

static void index_put(struct wf_trees *trees, const struct wf_tree *tree)
{
    if (tree->life != WF_TREE_LIVES) return;
    uint32_t at = index_place(trees, &tree->now.tree);
    while (trees->index[at] != 0) at = (at + 1) & (trees->index_room - 1);
    trees->index[at] = (uint32_t)tree->now.t;
}

static void index_rebuild(struct wf_trees *trees)
{
    memset(trees->index, 0, trees->index_room * sizeof *trees->index);
    for (uint32_t i = 0; i < trees->count; i++) index_put(trees, trees->list[i]);
}

static weft_err reserve(struct wf_trees *trees)
{
    if (trees->count == trees->room) {
        uint32_t room = trees->room == 0 ? 8 : trees->room * 2;
        struct wf_tree **list = wf_realloc(trees->list, room * sizeof(*list));
        if (list == NULL) return WEFT_NO_MEMORY;
        trees->list = list;
        trees->room = room;
    }
    if ((trees->count + 1) * 2 > trees->index_room) {
        uint32_t room = trees->index_room == 0 ? 16 : trees->index_room * 2;
        uint32_t *index = wf_calloc(room, sizeof *index);
        if (index == NULL) return WEFT_NO_MEMORY;
        wf_free(trees->index);
        trees->index = index;
        trees->index_room = room;
        index_rebuild(trees);
    }
    return WEFT_OK;
}

static void tree_free(struct wf_tree *tree)
{
    wf_free(tree->readers);
    wf_free(tree->staged);
    wf_rights_destroy(tree->rights);
    wf_rights_destroy(tree->rights_staged);
    wf_standing_destroy(tree->standing);
    wf_free(tree->sketch);
    wf_dom_drop(tree);
    wf_free(tree);
}

static weft_err append(struct wf_trees *trees, const wf_tree_info *info, enum wf_tree_life life,
                       struct wf_tree **out)
{
    struct wf_tree *tree = wf_calloc(1, sizeof *tree);
    weft_err err = tree == NULL ? WEFT_NO_MEMORY : reserve(trees);
    if (err != WEFT_OK) {
        wf_free(tree);
        return err;
    }
    tree->now = *info;
    tree->life = life;
    tree->digest_seq = UINT64_MAX;
    trees->list[trees->count++] = tree;
    index_put(trees, tree);
    *out = tree;
    return WEFT_OK;
}

uint32_t wf_trees_room(const struct wf_trees *trees)
{
    return WEFT_TREES_MAX - trees->count + trees->free;
}

static struct wf_tree *next_free(struct wf_trees *trees)
{
    if (trees->free == 0) return NULL;
    while (trees->list[trees->free_at]->life != WF_TREE_FREE) trees->free_at++;
    return trees->list[trees->free_at];
}

/* Under the lock, if anybody reads already. Nothing else is left in it of the tree of before. */
static void reuse(struct wf_trees *trees, struct wf_tree *tree, const wf_tree_info *info)
{
    WF_ASSERT(tree->life == WF_TREE_FREE);
    tree->now = *info;
    tree->life = WF_TREE_LIVES;
    trees->free--;
    index_put(trees, tree);
}

weft_err wf_trees_add(wf_store *store, const weft_id *id, struct wf_tree **out)
{
    if (wf_trees_room(&store->trees) == 0) return WEFT_LIMIT;
    struct wf_tree *again = next_free(&store->trees);
    wf_tree_info info = {.tree = *id,
                         .t = again == NULL ? store->trees.count + UINT64_C(1) : again->now.t};
    wf_random(store->rt, info.epoch, sizeof info.epoch);
    weft_err err = store->has_shelf ? wf_shelf_count(store, id, &info.shelved) : WEFT_OK;
    if (err != WEFT_OK) return err;
    wf_rwlock_write(store->lock); /* readers walk the index */
    if (again == NULL) {
        err = append(&store->trees, &info, WF_TREE_LIVES, out);
    } else {
        reuse(&store->trees, again, &info);
        again->reused = true;
        store->trees.reused++;
        *out = again;
    }
    wf_rwlock_give(store->lock);
    return err;
}

void wf_trees_keep(wf_store *store)
{
    struct wf_trees *trees = &store->trees;
    store->trees_before = trees->count;
    for (uint32_t i = 0; trees->reused > 0; i++) {
        trees->reused -= trees->list[i]->reused;
        trees->list[i]->reused = false;
    }
}

/* A number that nobody was told of is free again. */
static void give_back(wf_store *store, struct wf_tree *tree)
{
    const wf_tree_info nothing = {.t = tree->now.t};
    struct wf_trees *trees = &store->trees;
    tree->reused = false;
    trees->reused--;
    wf_tree_let_go(store, tree, WF_TREE_FREE);
    tree->now = nothing;
    trees->free++;
    if (nothing.t - 1 < trees->free_at) trees->free_at = (uint32_t)nothing.t - 1;
}

void wf_trees_cut(wf_store *store)
{
    struct wf_trees *trees = &store->trees;
    if (trees->count == store->trees_before && trees->reused == 0) return;
    wf_rwlock_write(store->lock);
    while (trees->count > store->trees_before) {
        wf_sketches_forget(store, trees->list[trees->count - 1]);
        tree_free(trees->list[--trees->count]);
    }
    for (uint32_t i = 0; trees->reused > 0; i++)
        if (trees->list[i]->reused) give_back(store, trees->list[i]);
    index_rebuild(trees);
    wf_rwlock_give(store->lock);
}

void wf_trees_free_gone(wf_store *store)
{
    struct wf_trees *trees = &store->trees;
    for (uint32_t i = 0; i < trees->count; i++) {
        if (trees->list[i]->life != WF_TREE_GONE) continue;
        trees->list[i]->life = WF_TREE_FREE;
        trees->free++;
    }
}

void wf_trees_fini(struct wf_trees *trees)
{
    for (uint32_t i = 0; i < trees->count; i++) tree_free(trees->list[i]);
    wf_free(trees->list);
    wf_free(trees->index);
    *trees = (struct wf_trees){0};
}

/* -- Removal ------------------------------------------------------------------------ */

void wf_tree_let_go(wf_store *store, struct wf_tree *tree, enum wf_tree_life life)
{
    const wf_tree_info nothing = {.tree = tree->now.tree, .t = tree->now.t};
    WF_ASSERT(life != WF_TREE_LIVES);
    const bool listed = tree->life == WF_TREE_LIVES; /* at an opening none of them is */
    if (listed) wf_counter_add(&store->removed, 1);
    tree->life = life;
    wf_rights_publish(store, tree, NULL, WEFT_OK);
    wf_rights_destroy(tree->rights_staged);
    wf_standing_destroy(tree->standing);
    tree->rights_staged = NULL;
    tree->standing = NULL;
    wf_counter_sub(&store->counters.readers, tree->readers_count);
    wf_counter_sub(&store->counters.shelved, tree->pub.shelved);
    wf_free(tree->readers);
    wf_free(tree->staged);
    tree->readers = tree->staged = NULL;
    tree->readers_count = tree->staged_count = 0;
    wf_sketches_forget(store, tree);
    wf_dom_drop(tree);
    tree->now = nothing;
    tree->pub = (wf_tree_info){0};
    tree->trie_now = tree->trie_pub = (struct wf_trie_slot){0};
    tree->published = tree->mid_seq = tree->mid_batch = tree->durable_seq = 0;
    tree->digest_seq = UINT64_MAX;
    wf_tips_clear(&store->tips);
    if (listed) index_rebuild(&store->trees);
}

bool wf_store_is_removed(wf_store *store, uint64_t t)
{
    if (wf_counter_get(&store->removed) == 0) return false;
    wf_rwlock_read(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, t);
    bool removed = tree != NULL && tree->life != WF_TREE_LIVES;
    wf_rwlock_give(store->lock);
    return removed;
}

/* -- Loading ------------------------------------------------------------------------ */

struct loaded { /* a tree as the engine has it */
    wf_tree_info info;
    weft_key *readers;
    uint32_t readers_count;
    struct wf_rights *rights;
    struct wf_standing *standing;
    weft_err rights_err;
    struct wf_trie_slot trie;
};

static weft_err read_readers(wf_store *store, struct loaded *tree)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_value value;
    wf_key_tree(key, WF_TREE_READERS, tree->info.t);
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_TREE, key, sizeof key, &value);
    if (err == WEFT_NOT_FOUND) return WEFT_OK;
    if (err != WEFT_OK) return err;
    tree->readers_count = (uint32_t)(value.len / sizeof(weft_key));
    tree->readers = wf_memdup(value.data, value.len);
    if (value.len % sizeof(weft_key) != 0)
        err = wf_fail(WEFT_CORRUPT, "store", "readers: wrong length");
    else if (tree->readers == NULL) err = WEFT_NO_MEMORY;
    wf_value_release(store->kv, &value);
    return err;
}

static weft_err read_counts(wf_store *store, struct loaded *tree)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_value value;
    wf_key_tree(key, WF_TREE_COUNTS, tree->info.t);
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_TREE, key, sizeof key, &value);
    if (err == WEFT_NOT_FOUND) return wf_fail(WEFT_CORRUPT, "store", "a tree has no counts");
    if (err != WEFT_OK) return err;
    err = wf_counts_read(value.data, value.len, &tree->info);
    wf_value_release(store->kv, &value);
    return err;
}

/* Is it the tree that was published, with everything that readers may have seen? */
static bool goes_on_from(const wf_tree_info *pub, const wf_tree_info *info)
{
    return weft_id_equal(&pub->tree, &info->tree) && info->seq >= pub->seq &&
           info->count >= pub->count && memcmp(pub->epoch, info->epoch, sizeof pub->epoch) == 0;
}

/* Into the table, as published. Takes the readers and the rights on OK. */
static weft_err settle(wf_store *store, struct loaded *loaded)
{
    struct wf_tree *tree = wf_trees_at(&store->trees, loaded->info.t);
    const bool claimed = tree != NULL && tree->life == WF_TREE_LIVES && tree->pub.t == 0;
    if (tree != NULL && !claimed && !goes_on_from(&tree->pub, &loaded->info))
        return wf_fail(WEFT_CORRUPT, "store", "a tree has lost what was read already");
    weft_err err = tree == NULL ? append(&store->trees, &loaded->info, WF_TREE_LIVES, &tree)
                                : WEFT_OK;
    if (err != WEFT_OK) return err;
    const struct wf_rights_view after = {.served = loaded->info.followed,
                                         .unknown = loaded->rights_err,
                                         .rights = loaded->rights,
                                         .readers = loaded->readers,
                                         .readers_count = loaded->readers_count};
    wf_rights_compare(store, tree, &after);
    wf_rights_publish(store, tree, loaded->rights, loaded->rights_err);
    loaded->rights = NULL;
    wf_standing_destroy(tree->standing);
    tree->standing = loaded->standing;
    loaded->standing = NULL;
    wf_counter_add(&store->counters.shelved, loaded->info.shelved - tree->pub.shelved);
    tree->now = loaded->info;
    tree->pub = loaded->info;
    tree->trie_now = tree->trie_pub = loaded->trie;
    tree->digest_seq = UINT64_MAX;
    wf_counter_add(&store->counters.readers, loaded->readers_count - (uint64_t)tree->readers_count);
    wf_sketches_forget(store, tree);
    wf_free(tree->readers);
    wf_free(tree->staged);
    tree->readers = loaded->readers;
    tree->readers_count = loaded->readers_count;
    tree->staged = NULL;
    loaded->readers = NULL;
    return WEFT_OK;
}

/* A batch that gave it a free number may have failed and be there. Before anything of it is read:
 * of a number that is free nothing is here. */
static void claim(wf_store *store, const wf_tree_info *record)
{
    wf_rwlock_write(store->lock);
    struct wf_tree *tree = wf_trees_at(&store->trees, record->t);
    if (tree != NULL && tree->life == WF_TREE_FREE) reuse(&store->trees, tree, record);
    wf_rwlock_give(store->lock);
}

static weft_err load_one(wf_store *store, const wf_tree_info *record)
{
    struct loaded tree = {.info = *record};
    claim(store, record);
    weft_err err = read_counts(store, &tree);
    if (err == WEFT_OK && store->has_shelf)
        err = wf_shelf_count(store, &tree.info.tree, &tree.info.shelved);
    if (err == WEFT_OK) err = read_readers(store, &tree);
    if (err == WEFT_OK) err = wf_trie_load(store->kv, tree.info.t, &tree.trie);
    if (err == WEFT_OK) {
        /* Who may read is not worth a store that does not open. */
        tree.rights_err = wf_rights_make(store, tree.info.t, &tree.info.tree, &tree.rights,
                                         &tree.standing);
        wf_rwlock_write(store->lock);
        err = settle(store, &tree);
        wf_rwlock_give(store->lock);
    }
    wf_rights_destroy(tree.rights);
    wf_standing_destroy(tree.standing);
    wf_free(tree.readers);
    return err;
}

/* Into the table, under the lock: a batch that removed it may have failed and be there. */
static weft_err settle_removed(wf_store *store, const wf_tree_info *info, bool gone)
{
    static const struct wf_rights_view nobody;
    const enum wf_tree_life life = gone ? WF_TREE_GONE : WF_TREE_GOING;
    struct wf_tree *tree = wf_trees_at(&store->trees, info->t);
    if (tree != NULL && tree->life == WF_TREE_FREE && gone) return WEFT_OK;
    if (tree != NULL && !weft_id_equal(&tree->now.tree, &info->tree))
        return wf_fail(WEFT_CORRUPT, "store", "a tree has another number than before");
    if (tree == NULL) {
        weft_err err = append(&store->trees, info, WF_TREE_GOING, &tree);
        if (err != WEFT_OK) return err;
        wf_counter_add(&store->removed, 1);
    }
    wf_rights_compare(store, tree, &nobody);
    wf_tree_let_go(store, tree, life);
    store->has_removed = true;
    return WEFT_OK;
}

/* NOT_FOUND: no tree of that number was removed. */
static weft_err load_removed(wf_store *store, uint64_t t)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_tree_info info = {.t = t};
    wf_value value;
    bool gone = false;
    wf_key_tree(key, WF_TREE_REMOVED, t);
    weft_err err = wf_kv_get(store->kv, NULL, WF_CF_TREE, key, sizeof key, &value);
    if (err != WEFT_OK) return err;
    err = wf_removed_read(value.data, value.len, &info.tree, &gone);
    wf_value_release(store->kv, &value);
    if (err != WEFT_OK) return err;
    wf_rwlock_write(store->lock);
    err = settle_removed(store, &info, gone);
    wf_rwlock_give(store->lock);
    return err;
}

/* The numbers after `*met` and before `t`, which have no record. */
static weft_err load_gap(wf_store *store, uint64_t *met, uint64_t t)
{
    weft_err err = WEFT_OK;
    while (err == WEFT_OK && *met + 1 < t) err = load_removed(store, ++*met);
    return err == WEFT_NOT_FOUND ? wf_fail(WEFT_CORRUPT, "store", "the numbers of trees have a gap")
                                 : err;
}

weft_err wf_trees_load(wf_store *store)
{
    const uint8_t prefix = WF_TREE_RECORD;
    uint64_t met = 0;
    wf_kv_iter *it;
    weft_err err = wf_shelf_any(store, &store->has_shelf);
    if (err == WEFT_OK) err = wf_kv_iter_create(store->kv, NULL, WF_CF_TREE, &prefix, 1, &it);
    if (err != WEFT_OK) return err;
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it) && err == WEFT_OK; wf_kv_iter_next(it)) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *data = wf_kv_iter_value(it, &len);
        wf_tree_info info = {0};
        err = wf_tree_read(data, len, &info);
        info.t = key_len == WF_KEY_TREE_BYTES ? wf_get64(key + 1) : 0;
        if (err == WEFT_OK && info.t <= met)
            err = wf_fail(WEFT_CORRUPT, "store", "the number of a tree is none");
        if (err == WEFT_OK) err = load_gap(store, &met, info.t);
        if (err == WEFT_OK) err = load_one(store, &info);
        met++;
    }
    if (err == WEFT_OK) err = wf_kv_iter_err(it);
    wf_kv_iter_destroy(it);
    while (err == WEFT_OK) err = load_removed(store, ++met); /* behind the last */
    if (err == WEFT_NOT_FOUND) {
        err = WEFT_OK;
        met--;
    }
    if (err == WEFT_OK && met < store->trees.count)
        err = wf_fail(WEFT_CORRUPT, "store", "a tree is gone that was there");
    return err;
}

weft_err wf_store_reload(wf_store *store)
{
    WF_ASSERT(store->touched_count == 0 && store->fresh_count == 0); /* no batch is open */
    wf_rwlock_write(store->lock);
    wf_tips_clear(&store->tips);
    wf_rwlock_give(store->lock);
    wf_briefs_clear(&store->briefs);
    wf_trie_forget(store->trie);
    wf_doms_forget(store);
    wf_policies_fini(&store->policies);
    weft_err err = wf_policies_init(&store->policies, store->kv);
    if (err == WEFT_OK) err = wf_trees_load(store);
    if (err == WEFT_OK) store->trees_before = store->trees.count;
    /* An engine that opens makes its log durable. */
    if (err == WEFT_OK) wf_store_settle(store, store->published);
    return err;
}

void wf_store_settle(wf_store *store, uint64_t mark)
{
    WF_ASSERT(mark <= store->published);
    wf_rwlock_write(store->lock);
    if (mark > store->durable) store->durable = mark;
    wf_rwlock_give(store->lock);
}

uint64_t wf_tree_durable(const wf_store *store, const struct wf_tree *tree)
{
    if (tree->published <= store->durable) return tree->pub.seq;
    bool mid = tree->mid_batch != 0 && tree->mid_batch <= store->durable;
    return mid ? tree->mid_seq : tree->durable_seq;
}

/* -- Reading ------------------------------------------------------------------------- */

weft_err wf_store_tree(wf_store *store, const weft_id *id, wf_tree_info *out)
{
    wf_rwlock_read(store->lock);
    const struct wf_tree *tree = wf_trees_find(&store->trees, id);
    bool known = tree != NULL && tree->pub.t != 0;
    if (known) *out = tree->pub;
    wf_rwlock_give(store->lock);
    return known ? WEFT_OK : WEFT_NOT_FOUND;
}

weft_err wf_store_tree_by_number(wf_store *store, uint64_t t, wf_tree_info *out)
{
    wf_rwlock_read(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, t);
    bool known = tree != NULL && tree->pub.t != 0;
    if (known) *out = tree->pub;
    wf_rwlock_give(store->lock);
    return known ? WEFT_OK : WEFT_NOT_FOUND;
}

uint64_t wf_store_durable(wf_store *store, uint64_t t)
{
    wf_rwlock_read(store->lock);
    const struct wf_tree *tree = wf_trees_at(&store->trees, t);
    uint64_t seq = tree == NULL ? 0 : wf_tree_durable(store, tree);
    wf_rwlock_give(store->lock);
    return seq;
}

uint64_t wf_store_trees_max(wf_store *store)
{
    wf_rwlock_read(store->lock);
    uint64_t max = store->trees.count;
    wf_rwlock_give(store->lock);
    return max;
}

weft_err wf_store_trees(wf_store *store, wf_tree_info *out, size_t *count)
{
    size_t room = *count, filled = 0;
    weft_err err = WEFT_OK;
    wf_rwlock_read(store->lock);
    for (uint32_t i = 0; i < store->trees.count && err == WEFT_OK; i++) {
        const struct wf_tree *tree = store->trees.list[i];
        if (tree->pub.t == 0) continue;
        if (filled == room) err = WEFT_LIMIT;
        else out[filled++] = tree->pub;
    }
    wf_rwlock_give(store->lock);
    *count = filled;
    return err;
}
