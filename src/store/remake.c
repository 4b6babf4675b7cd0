/* SPDX-License-Identifier: Apache-2.0
 * remake.c - indexes that are made of the entries, made again while the store is open.
 * Called by: group_commit.c and its own timer, on the store's thread. May touch: the engine, the
 * published roots of tries. Never: begins before everything that it reads was read once. */
#include "remake.h"

#include "block.h"
#include "dom_write.h"
#include "log.h"
#include "migrate.h"
#include "sketches.h"
#include "trie_write.h"

#define TRY_SOON_NS (5 * WEFT_MS)
#define TRIES_SOON 200u
#define TRY_LATER_NS WEFT_SEC
#define PATIENCE_NS (60 * WEFT_SEC) /* with bodies that peers may give back */
#define REST_NS (600 * WEFT_SEC)    /* what is still damaged then is something else */

/* -- Marks for readers ------------------------------------------------------------------------- */

uint64_t wf_made_mark(const wf_store *store) { return wf_counter_get(&store->made); }

/* Odd while something is being made. */
bool wf_made_holds(const wf_store *store, uint64_t mark)
{
    return mark % 2 == 0 && wf_counter_get(&store->made) == mark;
}

/* What is missing while it is being made is no damage. */
weft_err wf_made_note(wf_store *store, uint64_t t, uint64_t mark, weft_err err)
{
    if (err == WEFT_CORRUPT && wf_store_is_removed(store, t)) return WEFT_NOT_FOUND;
    if (err == WEFT_CORRUPT && wf_made_holds(store, mark)) wf_counter_add(&store->made_bad, 1);
    return err;
}

/* -- Is everything there that it is made of? ------------------------------------------------------ */

static weft_err read_order(wf_store *store, const wf_tree_info *info)
{
    wf_gen_walk *walk;
    wf_place place;
    uint64_t count = 0;
    weft_err err = wf_gen_walk_create(store, info->t, 0, NULL, &walk);
    if (err != WEFT_OK) return err;
    while ((err = wf_gen_walk_next(walk, &place)) == WEFT_OK) count++;
    wf_gen_walk_destroy(walk);
    if (err != WEFT_END) return err;
    return count == info->count ? WEFT_OK
                                : wf_fail(WEFT_CORRUPT, "store", "the order of a tree has a gap");
}

static weft_err read_entry(wf_store *store, uint64_t t, const wf_arrival *arrival, uint64_t *lost)
{
    wf_meta_brief brief;
    weft_buf *body = NULL;
    weft_err err = wf_store_meta_brief(store, &arrival->id, &brief);
    if (err == WEFT_NOT_FOUND) return WEFT_CORRUPT;
    if (err != WEFT_OK) return err;
    if (brief.t != t || brief.seq != arrival->seq) return WEFT_CORRUPT;
    wf_place place = {brief.gen, brief.seq, arrival->id};
    err = wf_store_get_at(store, t, &place, &body); /* which also has peers asked for it */
    weft_buf_unref(body);
    if (err != WEFT_CORRUPT) return err;
    ++*lost;
    return WEFT_OK;
}

static weft_err read_arrivals(wf_store *store, const wf_tree_info *info, uint64_t *lost)
{
    wf_arr_walk *walk;
    wf_arrival arrival;
    uint64_t seq = 0;
    weft_err err = wf_arr_walk_create(store, info->t, 0, &walk);
    if (err != WEFT_OK) return err;
    while ((err = wf_arr_walk_next(walk, &arrival)) == WEFT_OK) {
        if (arrival.seq != ++seq) err = WEFT_CORRUPT;
        if (err == WEFT_OK) err = read_entry(store, info->t, &arrival, lost);
        if (err != WEFT_OK) break;
    }
    wf_arr_walk_destroy(walk);
    if (err != WEFT_END) return err;
    return seq == info->seq ? WEFT_OK : WEFT_CORRUPT;
}

static weft_err read_all(wf_store *store, uint64_t *lost)
{
    weft_err err = WEFT_OK;
    *lost = 0;
    for (uint32_t i = 0; i < store->trees.count && err == WEFT_OK; i++) {
        const wf_tree_info *info = &store->trees.list[i]->pub;
        if (info->t == 0) continue; /* it was removed */
        err = read_order(store, info);
        if (err == WEFT_OK) err = read_arrivals(store, info, lost);
    }
    return err;
}

/* -- Making ----------------------------------------------------------------------------------------- */

static void forget(wf_store *store)
{
    wf_trie_forget(store->trie);
    wf_doms_forget(store);
    for (uint32_t i = 0; i < store->trees.count; i++)
        wf_sketches_forget(store, store->trees.list[i]);
}

static weft_err publish_roots(wf_store *store)
{
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < store->trees.count && err == WEFT_OK; i++) {
        struct wf_tree *tree = store->trees.list[i];
        struct wf_trie_slot root;
        if (tree->life != WF_TREE_LIVES) continue;
        err = wf_trie_load(store->kv, tree->now.t, &root);
        if (err != WEFT_OK) break;
        wf_rwlock_write(store->lock);
        tree->trie_now = tree->trie_pub = root;
        wf_rwlock_give(store->lock);
    }
    return err;
}

weft_err wf_store_remake(wf_store *store, bool without, uint64_t *lost)
{
    WF_ASSERT(store->touched_count == 0 && store->fresh_count == 0); /* no batch is open */
    weft_err err = read_all(store, lost);
    if (err == WEFT_OK && *lost > 0 && !without) err = WEFT_BUSY;
    if (err != WEFT_OK) return err;
    if (wf_made_mark(store) % 2 == 0) wf_counter_add(&store->made, 1); /* else it goes on */
    forget(store);
    err = wf_store_make_again(store);
    if (err == WEFT_OK) err = publish_roots(store);
    forget(store); /* what was read on the way of what is gone */
    if (err != WEFT_OK) return err;
    wf_counter_add(&store->made, 1);
    store->rights_retry = 0;
    wf_rights_retry(store); /* those that could not be made while their lists were not whole */
    return WEFT_OK;
}

/* -- When --------------------------------------------------------------------------------------------- */

static void on_remake(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

static void try_after(struct wf_desk *desk, weft_ns wait)
{
    weft_timer_set(desk->self, &desk->remake, weft_now(desk->self) + wait, 0, on_remake);
}

static void go_on(struct wf_desk *desk, weft_err err, uint64_t lost)
{
    desk->remake_phase = WF_REMAKE_NONE;
    desk->remake_rest = weft_now(desk->self) + REST_NS;
    if (err == WEFT_OK) {
        wf_log(WEFT_LOG_WARN, "store",
               "tries, sketches, lists and dominators are made again, %llu bodies were missing",
               (unsigned long long)lost);
        return;
    }
    desk->remake_phase = WF_REMAKE_GIVEN_UP;
    wf_log(WEFT_LOG_WARN, "store",
           "what tries, sketches, lists and dominators are made of is damaged too: %s",
           weft_errname(err));
}

static void on_remake(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    uint64_t lost = 0;
    (void)timer;
    (void)missed;
    desk->self = self;
    wf_desk_flush(desk); /* nothing stays in the batch */
    if (desk->phase != WF_DESK_TAKING) {
        try_after(desk, TRY_LATER_NS);
        return;
    }
    bool without = weft_now(self) - desk->remake_since >= PATIENCE_NS;
    weft_ns began = weft_rt_now(desk->store->rt);
    weft_err err = desk->syncing ? WEFT_AGAIN : wf_store_remake(desk->store, without, &lost);
    weft_err engine = wf_kv_failed(desk->store->kv);
    if (engine != WEFT_OK) wf_desk_stop(desk, engine);
    if (err == WEFT_OK || (err == WEFT_CORRUPT && engine == WEFT_OK)) go_on(desk, err, lost);
    else {
        bool soon = err == WEFT_AGAIN && desk->remake_tries++ < TRIES_SOON;
        weft_ns wait = soon ? TRY_SOON_NS : TRY_LATER_NS;
        /* A try reads all entries on this thread: four fifths of the time are for commits. */
        weft_ns took = weft_rt_now(desk->store->rt) - began;
        try_after(desk, wait > 4 * took ? wait : 4 * took);
    }
}

void wf_desk_remake(struct wf_desk *desk)
{
    if (desk->remake_phase != WF_REMAKE_NONE) return; /* it is on its way, or was in vain */
    if (weft_now(desk->self) < desk->remake_rest) return;
    desk->remake_phase = WF_REMAKE_DUE;
    desk->remake_since = weft_now(desk->self);
    desk->remake_tries = 0;
    wf_log(WEFT_LOG_WARN, "store", "an index is damaged: what can be is made again");
    try_after(desk, 0);
}

void wf_desk_remake_noted(struct wf_desk *desk)
{
    uint64_t noted = wf_counter_get(&desk->store->made_bad);
    if (noted == desk->remake_noted) return;
    desk->remake_noted = noted;
    wf_desk_remake(desk); /* who finds it damaged after a rest notes it again */
}
