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
#define REST_MOST_NS (86400 * WEFT_SEC)

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

/* Four fifths of the time are for commits. */
static void try_later(struct wf_desk *desk, weft_ns wait, weft_ns began)
{
    weft_ns took = weft_rt_now(desk->store->rt) - began;
    try_after(desk, wait > 4 * took ? wait : 4 * took);
}

static void begin_mending(struct wf_desk *desk, bool only)
{
    desk->remake_phase = WF_REMAKE_MENDING;
    desk->mend_only = only;
    desk->mended = true;
    desk->remake_asked = false;
    desk->mend = (struct wf_mend){0};
    wf_log(WEFT_LOG_WARN, "store",
           "facts, orders, children or tips of entries are damaged: all are looked at");
    try_after(desk, 0);
}

static void end_mending(struct wf_desk *desk)
{
    const struct wf_mend *m = &desk->mend;
    wf_log(WEFT_LOG_WARN, "store",
           "%llu records of facts, orders, children and tips are made again; of %llu entries too "
           "little is left for that",
           (unsigned long long)m->changed, (unsigned long long)m->lost);
    if (m->changed > 0) {
        desk->store->rights_retry = 0;
        wf_rights_retry(desk->store); /* those that needed one of them */
    }
    if (!desk->mend_only && m->changed == 0) {
        go_on(desk, WEFT_CORRUPT, 0); /* it is something else */
    } else if (!desk->mend_only) {
        desk->remake_phase = WF_REMAKE_DUE;
        try_after(desk, 0);
    } else {
        desk->remake_phase = WF_REMAKE_NONE;
        /* Peers, too, can make us doubt ourselves: in vain ever more seldom. */
        bool longer = m->changed == 0 && desk->mend_wait != 0;
        desk->mend_wait = longer ? 2 * desk->mend_wait : REST_NS;
        if (desk->mend_wait > REST_MOST_NS) desk->mend_wait = REST_MOST_NS;
        desk->mend_rest = weft_now(desk->self) + desk->mend_wait;
        if (desk->remake_asked) wf_desk_remake(desk);
    }
}

static void mend_on(struct wf_desk *desk)
{
    weft_ns began = weft_rt_now(desk->store->rt);
    uint64_t before = desk->mend.changed;
    weft_err err = wf_mend_slice(desk->store, &desk->mend);
    wf_counter_add(&desk->store->counters.mended, desk->mend.changed - before);
    weft_err engine = wf_kv_failed(desk->store->kv);
    if (engine != WEFT_OK) wf_desk_stop(desk, engine);
    else if (wf_writer_is_open(desk->store)) wf_desk_flush(desk);
    if (err == WEFT_OK) end_mending(desk);
    else try_later(desk, err == WEFT_AGAIN ? 0 : TRY_LATER_NS, began);
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
    if (desk->remake_phase == WF_REMAKE_MENDING) {
        mend_on(desk);
        return;
    }
    bool without = weft_now(self) - desk->remake_since >= PATIENCE_NS;
    weft_ns began = weft_rt_now(desk->store->rt);
    weft_err err = desk->syncing ? WEFT_AGAIN : wf_store_remake(desk->store, without, &lost);
    weft_err engine = wf_kv_failed(desk->store->kv);
    if (engine != WEFT_OK) wf_desk_stop(desk, engine);
    bool damaged = err == WEFT_CORRUPT && engine == WEFT_OK;
    if (damaged && !desk->mended) {
        begin_mending(desk, false);
    } else if (err == WEFT_OK || damaged) {
        go_on(desk, err, lost);
    } else {
        bool soon = err == WEFT_AGAIN && desk->remake_tries++ < TRIES_SOON;
        try_later(desk, soon ? TRY_SOON_NS : TRY_LATER_NS, began); /* it reads all entries */
    }
}

void wf_desk_remake(struct wf_desk *desk)
{
    desk->remake_asked = true;
    if (desk->remake_phase != WF_REMAKE_NONE) return; /* it is on its way, or was in vain */
    if (weft_now(desk->self) < desk->remake_rest) return;
    desk->remake_phase = WF_REMAKE_DUE;
    desk->mended = false;
    desk->remake_since = weft_now(desk->self);
    desk->remake_tries = 0;
    wf_log(WEFT_LOG_WARN, "store", "an index is damaged: what can be is made again");
    try_after(desk, 0);
}

void wf_desk_remake_noted(struct wf_desk *desk)
{
    uint64_t made = wf_counter_get(&desk->store->made_bad);
    uint64_t base = wf_counter_get(&desk->store->base_bad);
    bool remake = made != desk->remake_noted, mend = base != desk->mend_noted;
    desk->remake_noted = made;
    desk->mend_noted = base;
    if (remake) wf_desk_remake(desk); /* who finds it damaged after a rest notes it again */
    bool rests = weft_now(desk->self) < desk->mend_rest;
    if (mend && desk->remake_phase == WF_REMAKE_NONE && !rests) begin_mending(desk, true);
}

/* -- Who tells --------------------------------------------------------------------------------------- */

const weft_kind wf_mend_kind = {
    .id = 0x050e, .name = "store.noted", .size = sizeof(weft_msg), .drop = weft_free_msg};

static void listen_by(struct wf_desk *desk, weft_addr *to, weft_msg *msg)
{
    wf_store *store = desk->store;
    wf_rwlock_write(store->lock);
    weft_addr *old_to = store->noted_to;
    weft_msg *old = store->noted;
    store->noted_to = to;
    store->noted = msg;
    wf_rwlock_give(store->lock);
    weft_addr_put(old_to);
    if (old != NULL) weft_drop(old);
}

weft_err wf_desk_listen(struct wf_desk *desk)
{
    weft_msg *msg = weft_new(&wf_mend_kind);
    if (msg == NULL) return WEFT_NO_MEMORY;
    listen_by(desk, weft_addr_get(weft_self_addr(desk->self)), msg);
    return WEFT_OK;
}

void wf_desk_listen_end(struct wf_desk *desk) { listen_by(desk, NULL, NULL); }

/* It is back in its place first: what is noted from then on is told again. */
void wf_desk_on_noted_take(struct wf_desk *desk, weft_msg *msg)
{
    wf_rwlock_write(desk->store->lock);
    desk->store->noted = msg;
    wf_rwlock_give(desk->store->lock);
    if (desk->phase == WF_DESK_TAKING) wf_desk_remake_noted(desk);
}
