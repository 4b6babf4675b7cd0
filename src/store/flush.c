/* SPDX-License-Identifier: Apache-2.0
 * flush.c - the open batch: what else goes in, and how it becomes the state.
 * Called by: the store actor's rooms (one thread). May touch: the engine (writes), the
 * published part of the trees under the store's lock. Never: judges an entry. */
#include <stdlib.h>

#include "alloc.h"
#include "damage.h"
#include "dom_write.h"
#include "log.h"
#include "sketches.h"
#include "trie_write.h"
#include "writer.h"

/* -- Records, cursors, trees that are followed ---------------------------------------- */

/* A stream may end after the tree that it was about is removed. */
weft_err wf_writer_cursor(wf_store *store, const weft_key *peer, uint64_t t, const wf_mark *mark)
{
    uint8_t key[WF_KEY_CURSOR_BYTES], value[WF_MARK_BYTES];
    if (wf_store_is_removed(store, t)) return WEFT_OK;
    wf_key_cursor(key, peer, t);
    wf_mark_write(mark, value);
    wf_batch_put(store->batch, WF_CF_PEER, key, sizeof key, value, sizeof value);
    return wf_batch_err(store->batch);
}

static bool record_is_valid(const struct wf_record_put *record)
{
    bool family = record->cf == WF_CF_PEER || record->cf == WF_CF_TREE;
    return family && record->key_len > 0 && record->key_len <= sizeof record->key &&
           record->key[0] >= WF_UPPER_KEYS;
}

weft_err wf_writer_record(wf_store *store, const struct wf_record_put *record)
{
    if (!record_is_valid(record)) return WEFT_INVALID;
    if (record->remove) wf_batch_delete(store->batch, record->cf, record->key, record->key_len);
    else
        wf_batch_put(store->batch, record->cf, record->key, record->key_len, record->value,
                     record->value_len);
    return wf_batch_err(store->batch);
}

bool wf_writer_records_valid(struct wf_record_put *const *records, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (records[i] == NULL || !record_is_valid(records[i])) return false;
    return true;
}

weft_err wf_writer_records(wf_store *store, struct wf_record_put *const *records, uint32_t count)
{
    if (!wf_writer_records_valid(records, count)) return WEFT_INVALID;
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < count && err == WEFT_OK; i++)
        err = wf_writer_record(store, records[i]);
    return err;
}

static int compare_keys(const void *a, const void *b) { return weft_key_compare(a, b); }

/* The list as it is to be: what there was or was given, and what is added. */
static weft_err list_readers(const struct wf_tree *tree, const struct wf_follow *follow,
                             weft_key **out, uint32_t *count)
{
    const weft_key *base = follow->readers;
    uint32_t base_count = follow->readers_count, kept = 0;
    if (follow->keep_readers) {
        bool staged = tree != NULL && tree->readers_touched; /* the open batch set it already */
        base = tree == NULL ? NULL : staged ? tree->staged : tree->readers;
        base_count = tree == NULL ? 0 : staged ? tree->staged_count : tree->readers_count;
    }
    if (base_count > WEFT_READERS_PER_TREE_MAX || follow->add_count > WEFT_READERS_PER_TREE_MAX)
        return WEFT_LIMIT;
    const uint32_t sum = base_count + follow->add_count;
    weft_key *readers = wf_malloc(sum == 0 ? 1 : sum * sizeof *readers);
    if (readers == NULL) return WEFT_NO_MEMORY;
    if (base_count > 0) memcpy(readers, base, base_count * sizeof *readers);
    if (follow->add_count > 0)
        memcpy(readers + base_count, follow->add, follow->add_count * sizeof *readers);
    qsort(readers, sum, sizeof *readers, compare_keys);
    for (uint32_t i = 0; i < sum; i++)
        if (kept == 0 || !weft_key_equal(&readers[kept - 1], &readers[i]))
            readers[kept++] = readers[i];
    if (kept > WEFT_READERS_PER_TREE_MAX) {
        wf_free(readers);
        return WEFT_LIMIT;
    }
    *out = readers;
    *count = kept;
    return WEFT_OK;
}

static weft_err follow_one(wf_store *store, const struct wf_follow *follow)
{
    struct wf_tree *tree = wf_trees_find(&store->trees, &follow->tree);
    if (tree == NULL && !follow->follow) return WEFT_OK;
    weft_key *readers;
    uint32_t count;
    weft_err err = list_readers(tree, follow, &readers, &count);
    if (err != WEFT_OK) return err;
    if (tree == NULL) err = wf_trees_add(store, &follow->tree, &tree);
    if (err == WEFT_OK) err = wf_writer_touch(store, tree);
    if (err != WEFT_OK) {
        wf_free(readers);
        if (err == WEFT_NO_MEMORY) store->poison = err; /* the tree may be half there */
        return err;
    }
    wf_free(tree->staged);
    tree->staged = readers;
    tree->staged_count = count;
    tree->readers_touched = true;
    tree->record_touched = true;
    tree->now.followed = follow->follow;
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_key_tree(key, WF_TREE_READERS, tree->now.t);
    wf_batch_put(store->batch, WF_CF_TREE, key, sizeof key, readers, count * sizeof *readers);
    return WEFT_OK;
}

/* How many trees it is the first to name. */
static uint32_t new_trees(const wf_store *store, const struct wf_follow *follow)
{
    uint32_t count = follow->follow && wf_trees_find(&store->trees, &follow->tree) == NULL;
    for (uint32_t i = 0; i < follow->also_count; i++)
        count += follow->also[i].follow &&
                 wf_trees_find(&store->trees, &follow->also[i].tree) == NULL;
    return count;
}

weft_err wf_writer_follow(wf_store *store, const struct wf_follow *follow)
{
    if (store->poison != WEFT_OK) return store->poison;
    if (!wf_writer_records_valid(follow->records, follow->records_count)) return WEFT_INVALID;
    if (new_trees(store, follow) > wf_trees_room(&store->trees)) return WEFT_LIMIT;
    weft_err err = follow_one(store, follow);
    if (err != WEFT_OK) return err;
    for (uint32_t i = 0; i < follow->also_count && err == WEFT_OK; i++) {
        struct wf_follow one = {
            .tree = follow->also[i].tree, .follow = follow->also[i].follow, .keep_readers = true};
        err = follow_one(store, &one);
    }
    if (err == WEFT_OK) err = wf_writer_records(store, follow->records, follow->records_count);
    if (err != WEFT_OK) store->poison = err; /* all of it or nothing */
    return err;
}

/* -- The batch as a whole ---------------------------------------------------------------- */

bool wf_writer_is_open(const wf_store *store)
{
    return wf_batch_count(store->batch) > 0 || store->poison != WEFT_OK;
}

bool wf_writer_is_full(const wf_store *store)
{
    return wf_batch_bytes(store->batch) >= WEFT_GROUP_COMMIT_BYTES ||
           store->fresh_count >= WEFT_GROUP_COMMIT_ENTRIES ||
           store->briefs.pinned >= WEFT_STORE_BRIEFS_MAX / 2 || wf_policies_full(&store->policies);
}

/* The number is a living tree's again. */
static void delete_removed(wf_store *store, uint64_t t)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_key_tree(key, WF_TREE_REMOVED, t);
    wf_batch_delete(store->batch, WF_CF_TREE, key, sizeof key);
    wf_key_removed(key, t);
    wf_batch_delete(store->batch, WF_CF_PEER, key, sizeof key);
}

static void put_trees(wf_store *store)
{
    uint8_t key[WF_KEY_TREE_BYTES], record[WF_TREE_RECORD_BYTES], counts[WF_COUNTS_BYTES];
    for (uint32_t i = 0; i < store->touched_count; i++) {
        const struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        if (tree->removed) continue;
        if (tree->reused) delete_removed(store, tree->now.t);
        if (tree->record_touched) {
            wf_key_tree(key, WF_TREE_RECORD, tree->now.t);
            wf_tree_write(&tree->now, record);
            wf_batch_put(store->batch, WF_CF_TREE, key, sizeof key, record, sizeof record);
        }
        wf_key_tree(key, WF_TREE_COUNTS, tree->now.t);
        wf_counts_write(&tree->now, counts);
        wf_batch_put(store->batch, WF_CF_TREE, key, sizeof key, counts, sizeof counts);
    }
}

/* Only what is a tip at the end of the batch is written: a chain of a thousand new
 * entries costs one tip. */
static void put_tips(wf_store *store)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX], gen[8];
    for (uint32_t i = 0; i < store->fresh_count; i++) {
        const struct wf_fresh *fresh = &store->fresh[i];
        wf_put64(gen, fresh->gen);
        if (fresh->tip)
            wf_batch_put(store->batch, WF_CF_TIP, key,
                         wf_key_tip(key, fresh->t, NULL, 0, &fresh->id), gen, sizeof gen);
        const uint8_t *names = store->arena + fresh->names;
        uint64_t named = fresh->named;
        for (uint32_t at = 0; named != 0; at += 1u + names[at], named >>= 1) {
            if ((named & 1) == 0) continue;
            size_t len = wf_key_tip(key, fresh->t, names + at + 1, names[at], &fresh->id);
            wf_batch_put(store->batch, WF_CF_TIP, key, len, gen, sizeof gen);
        }
    }
}

/* Before a tree grows by one more batch. Two may lack the disk: the one that a sync is under way
 * for, and what was written since. Of the second kind any number is one to a tree. */
static void keep_durable(const wf_store *store, struct wf_tree *tree)
{
    tree->durable_seq = wf_tree_durable(store, tree);
    if (tree->mid_batch <= store->durable) tree->mid_batch = 0;
    if (tree->published <= store->durable || tree->published > store->sync_mark) return;
    tree->mid_seq = tree->pub.seq;
    tree->mid_batch = tree->published;
}

static void publish(wf_store *store)
{
    wf_rwlock_write(store->lock);
    store->published++;
    for (uint32_t i = 0; i < store->touched_count; i++) {
        struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        if (tree->removed) {
            wf_tree_let_go(store, tree, WF_TREE_GOING);
            continue;
        }
        keep_durable(store, tree);
        tree->published = store->published;
        wf_counter_add(&store->counters.shelved, tree->now.shelved - tree->pub.shelved);
        tree->pub = tree->now;
        tree->trie_pub = tree->trie_now;
        if (tree->settings_touched) {
            wf_rights_publish(store, tree, tree->rights_staged, tree->staged_err);
            tree->rights_staged = NULL;
        }
        if (!tree->readers_touched) continue;
        wf_counter_add(&store->counters.readers,
                       tree->staged_count - (uint64_t)tree->readers_count);
        wf_free(tree->readers);
        tree->readers = tree->staged;
        tree->readers_count = tree->staged_count;
        tree->staged = NULL;
    }
    wf_tips_publish(&store->tips, store->batch);
    wf_rwlock_give(store->lock);
    for (uint32_t i = 0; i < store->fresh_count; i++) /* what is new is asked for soonest */
        wf_places_note(&store->places, &store->fresh[i].id, store->fresh[i].t, store->fresh[i].seq);
    uint32_t healed = wf_damage_settle(store, true);
    if (healed == 0) return;
    wf_counter_add(&store->counters.healed, healed);
    wf_log(WEFT_LOG_INFO, "store", "healed=%u damaged=%llu", healed,
           (unsigned long long)wf_damage_count(store));
}

/* What readers see has not moved, so it is where the writer goes back to. */
static void roll_back(wf_store *store)
{
    for (uint32_t i = 0; i < store->touched_count; i++) {
        struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        if (tree->pub.t != 0) tree->now = tree->pub;
        tree->trie_now = tree->trie_pub;
        wf_free(tree->staged);
        tree->staged = NULL;
    }
    (void)wf_damage_settle(store, false);
    wf_sketches_settle(store, false);
    wf_doms_settle(store, false);
    wf_briefs_clear(&store->briefs);
    wf_trie_forget(store->trie);
    wf_doms_forget(store);
    wf_policies_forget(&store->policies);
}

static uint64_t writer_bytes(const wf_store *store)
{
    return wf_briefs_bytes(&store->briefs) + wf_batch_room(store->batch) +
           store->fresh_room * sizeof *store->fresh + store->arena_room +
           store->touched_room * sizeof *store->touched + wf_trie_bytes(store->trie) +
           wf_dom_cache_bytes(&store->doms);
}

static void count(wf_store *store, bool sync, uint64_t took_ns)
{
    static const wf_source here = {0};
    uint64_t commits = 0, unshelved = 0;
    for (uint32_t i = 0; i < store->fresh_count; i++) {
        const struct wf_fresh *fresh = &store->fresh[i];
        unshelved += fresh->shelved; /* committed or received before */
        commits += !fresh->shelved && memcmp(&fresh->source, &here, sizeof here) == 0;
    }
    wf_counter_add(&store->counters.write_ns, took_ns);
    wf_counter_add(&store->counters.batches, 1);
    wf_counter_add(&store->counters.entries, store->fresh_count);
    wf_counter_add(&store->counters.commits, commits);
    wf_counter_add(&store->counters.unshelved, unshelved);
    wf_counter_set(&store->counters.writer_bytes, writer_bytes(store));
    if (!sync) return;
    wf_counter_add(&store->counters.synced, 1);
    wf_counter_add(&store->counters.synced_commits, commits);
    wf_counter_add(&store->counters.sync_ns, took_ns);
}

/* What is kept by ids or by the way to them may be of a tree that is not here any more. */
static void forget_removed(wf_store *store)
{
    bool some = false;
    for (uint32_t i = 0; i < store->touched_count; i++) {
        const struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        if (!tree->removed) continue;
        wf_damage_forget(store, tree->now.t);
        some = true;
    }
    if (!some) return;
    wf_briefs_clear(&store->briefs);
    wf_trie_forget(store->trie);
    wf_doms_forget(store);
    store->has_removed = true;
}

weft_err wf_writer_flush(wf_store *store, bool sync)
{
    weft_err err = store->poison;
    if (err == WEFT_OK) {
        put_trees(store);
        put_tips(store);
        wf_sketches_put(store);
        wf_doms_put(store);
        err = wf_trie_update(store);
        if (err == WEFT_OK) err = wf_batch_err(store->batch);
    }
    uint64_t began = weft_rt_now(store->rt);
    if (err == WEFT_OK) err = wf_kv_write(store->kv, store->batch, sync);
    if (err != WEFT_OK) {
        roll_back(store);
        return err;
    }
    count(store, sync, weft_rt_now(store->rt) - began);
    wf_rights_stage(store);
    publish(store);
    wf_sketches_settle(store, true);
    wf_doms_settle(store, true);
    wf_policies_written(&store->policies);
    forget_removed(store);
    wf_trees_keep(store);
    wf_rights_retry(store);
    return WEFT_OK;
}

void wf_writer_clear(wf_store *store)
{
    for (uint32_t i = 0; i < store->touched_count; i++) {
        struct wf_tree *tree = wf_trees_at(&store->trees, store->touched[i]);
        tree->touched = false;
        tree->record_touched = false;
        tree->removed = false;
        tree->readers_touched = false;
        tree->settings_touched = false;
    }
    wf_trees_cut(store); /* none, unless the batch failed */
    for (uint32_t i = 0; i < store->fresh_count; i++) weft_buf_unref(store->fresh[i].holder);
    store->touched_count = 0;
    store->fresh_count = 0;
    store->arena_len = 0;
    store->poison = WEFT_OK;
    wf_batch_clear(store->batch);
    wf_briefs_next_batch(&store->briefs);
}
