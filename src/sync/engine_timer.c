/* SPDX-License-Identifier: Apache-2.0
 * engine_timer.c - what happens by itself: periodic sync, retries, reconnection, and
 * what follows from changes of peers. No first tick fires at the start.
 * Called by: engine.c. May touch: timers, wants of nobody.
 * Never: asks the same question twice at once. */
#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "engine_state.h"
#include "log.h"
#include "tracks.h"

#define LOST_NS (5 * WEFT_SEC)

/* -- Retry: pairs that are behind and due -------------------------------------------- */

static void retry_pair(struct engine *e, const struct wf_q_pair *pair)
{
    /* Without live push, entries travel by commands and the periodic sync. */
    bool pushed = !e->table->timers.no_live_push &&
                  wf_tracks_on_commit(e->table->tracks, &pair->tree);
    if (!pushed && !pair->in_backoff) return;
    struct conn *c = wf_peer_conn(e, &pair->peer);
    if (c == NULL) {
        wf_dial_auto(e, &pair->peer, 0);
        return;
    }
    struct esession *es = wf_es_by_tree(e, c, &pair->tree);
    /* A live session that nobody pushes on has lost its queue: a new one finds what is
     * missing. (One that has just begun to live may not have reached the queue yet.) */
    bool lost = es != NULL && es->s.live && es->s.phase == WF_S_LIVE &&
                weft_now(e->self) - es->synced_at > LOST_NS;
    if (lost) wf_es_stop(e, es, WEFT_CLOSED, true, WF_W_OK);
    /* Somebody who waited for the lost one may have opened another. LIMIT: the next tick. */
    if (wf_es_by_tree(e, c, &pair->tree) == NULL) (void)wf_es_open(e, c, &pair->tree, 0, NULL);
}

static void on_due(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)arg;
    struct engine *e = state;
    const struct wf_q_pairs *pairs = (const struct wf_q_pairs *)req;
    e->order++;
    e->retrying = false;
    for (uint32_t i = 0; err == WEFT_OK && i < pairs->count; i++) retry_pair(e, &pairs->pairs[i]);
    weft_drop(req == NULL ? NULL : &req->msg);
}

static void on_retry(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)timer;
    (void)missed;
    struct engine *e = state;
    struct wf_q_pairs *req = e->retrying ? NULL : wf_q_new(&wf_q_pairs_kind);
    e->order++;
    if (req == NULL) return;
    req->due_only = true;
    e->retrying = wf_e_ask(e, e->table->queue, &req->req, on_due, NULL);
}

/* -- Connection check: every active peer that shares a tree and can be reached ------- */

static void on_all(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)arg;
    struct engine *e = state;
    const struct wf_peer_req *all = (const struct wf_peer_req *)req;
    e->order++;
    e->checking = false;
    for (uint32_t i = 0; err == WEFT_OK && i < all->count; i++) {
        const weft_peer_info *info = &all->views[i].info;
        if (info->trees_count > 0 && info->addresses_count > 0) wf_dial_auto(e, &info->key, 0);
    }
    weft_drop(req == NULL ? NULL : &req->msg);
}

static void on_check(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)timer;
    (void)missed;
    struct engine *e = state;
    struct wf_peer_req *req = e->checking ? NULL : wf_peer_req_create(WF_PEER_ALL);
    e->order++;
    if (req != NULL) e->checking = wf_e_ask(e, e->table->peers, &req->req, on_all, NULL);
}

void wf_e_check_soon(struct engine *e, weft_ns wait)
{
    if (e->check_soon.heap_at != 0) return;
    (void)weft_timer_set(e->self, &e->check_soon, weft_now(e->self) + wf_e_jitter(e, wait), 0,
                         on_check);
}

/* -- Periodic sync: every active peer, both directions ------------------------------- */

bool wf_e_serves(const struct engine *e, const weft_id *tree)
{
    wf_tree_info info;
    return wf_store_tree(e->table->wf_store, tree, &info) == WEFT_OK && info.followed;
}

static void sync_all(struct engine *e, const struct wf_peer_req *all)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < all->count; i++)
        if (all->views[i].info.addresses_count > 0 || wf_peer_conn(e, &all->views[i].info.key))
            count += all->views[i].info.trees_count;
    struct op *op = count == 0 ? NULL : wf_op_quiet(e);
    if (op == NULL) return;
    if (wf_op_want_room(op, count) != WEFT_OK) {
        wf_op_finish(e, op, WEFT_NO_MEMORY);
        return;
    }
    for (uint32_t i = 0; i < all->count; i++) {
        const struct wf_peer_view *view = &all->views[i];
        if (view->info.addresses_count == 0 && wf_peer_conn(e, &view->info.key) == NULL) continue;
        for (uint32_t k = 0; k < view->info.trees_count; k++)
            if (wf_e_serves(e, &view->trees[k]))
                wf_op_want_add(op, &view->info.key, &view->trees[k], false);
    }
    wf_op_wants_start(e, op);
}

static void on_all_for_sync(weft_self *self, void *state, weft_err err, weft_request *req,
                            void *arg)
{
    (void)self;
    (void)arg;
    struct engine *e = state;
    e->order++;
    if (err == WEFT_OK) sync_all(e, (const struct wf_peer_req *)req);
    weft_drop(req == NULL ? NULL : &req->msg);
}

static void on_periodic(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)timer;
    (void)missed;
    struct engine *e = state;
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_ALL);
    e->order++;
    e->interval_changed = false;
    if (req != NULL) (void)wf_e_ask(e, e->table->peers, &req->req, on_all_for_sync, NULL);
}

/* -- Settings: the interval follows them --------------------------------------------- */

/* The shortest that somebody has asked for, else the node's own. */
static weft_ns interval_now(const struct engine *e)
{
    weft_ns asked = wf_tracks_interval(e->table->tracks);
    return asked != 0 ? asked : e->table->timers.sync_interval;
}

/* The first change since the last sync begins a new period. From then on changes leave what has passed
 * of it: of half the old interval there is half the new one to come. Else one that is changed
 * more often than it is long would never end. */
static void follow_interval(struct engine *e)
{
    weft_ns interval = interval_now(e), now = weft_now(e->self), left = interval;
    if (interval == e->interval) return;
    if (e->interval_changed) {
        left = e->periodic.at > now ? e->periodic.at - now : 0;
        const double part = (double)left / (double)e->interval;
        left = part < 1 ? (weft_ns)(part * (double)interval) : interval;
    }
    e->interval = interval;
    e->interval_changed = true;
    const weft_ns at = left < WEFT_NEVER - now ? now + left : WEFT_NEVER;
    (void)weft_timer_set(e->self, &e->periodic, at, interval, on_periodic);
}

/* They are told at once; this is for when memory was short for that. */
static void on_settings(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)timer;
    (void)missed;
    struct engine *e = state;
    e->order++;
    follow_interval(e);
}

/* A tree is served that was not: whoever is connected and shares it syncs it now. */
static void on_its_peers(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)arg;
    struct engine *e = state;
    const struct wf_peer_req *peers = (const struct wf_peer_req *)req;
    e->order++;
    for (uint32_t i = 0; err == WEFT_OK && i < peers->count; i++) {
        struct conn *c = wf_peer_conn(e, &peers->keys[i]);
        if (c != NULL && wf_es_by_tree(e, c, &peers->tree) == NULL)
            (void)wf_es_open(e, c, &peers->tree, 0, NULL);
    }
    weft_drop(req == NULL ? NULL : &req->msg);
}

static void on_served(struct engine *e, const weft_id *tree)
{
    static const weft_id several;
    if (weft_id_equal(tree, &several)) {
        for (struct wf_link *at = e->conns.first; at != NULL; at = at->next)
            wf_econn_open_related(e, (struct conn *)((char *)at - offsetof(struct conn, link)));
        return;
    }
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_TREE_PEERS);
    if (req == NULL) return; /* the next tick of those that are behind */
    req->tree = *tree;
    (void)wf_e_ask(e, e->table->peers, &req->req, on_its_peers, NULL);
}

void wf_timer_on_tracks(struct engine *e, const struct wf_tracks_changed *changed)
{
    if (changed->interval) follow_interval(e);
    if (changed->served) on_served(e, &changed->tree);
}

weft_err wf_timers_start(struct engine *e)
{
    const struct wf_node_timers *t = &e->table->timers;
    weft_ns now = weft_now(e->self);
    WF_ASSERT(t->sync_interval > 0 && t->retry_tick > 0 && t->connection_tick > 0 &&
              t->settings_tick > 0);
    e->interval = interval_now(e);
    weft_err err = weft_timer_set(e->self, &e->periodic, now + e->interval, e->interval,
                                  on_periodic);
    if (err == WEFT_OK)
        err = weft_timer_set(e->self, &e->retry, now + t->retry_tick, t->retry_tick, on_retry);
    if (err == WEFT_OK)
        err = weft_timer_set(e->self, &e->check, now + t->connection_tick, t->connection_tick,
                             on_check);
    if (err == WEFT_OK)
        err = weft_timer_set(e->self, &e->settings, now + t->settings_tick, t->settings_tick,
                             on_settings);
    return err;
}

/* -- Changes of peers ---------------------------------------------------------------- */

/* It is only left alone: what there is of connections stays. */
static void on_inactive(struct engine *e, const weft_key *key)
{
    struct peer *p = (struct peer *)wf_table_find(&e->peers, key->bytes);
    if (p == NULL) return;
    wf_dial_off(e, p);
    wf_peer_settle(e, p);
}

static void on_unrelated(struct engine *e, const weft_key *key, const weft_id *tree)
{
    struct conn *c = wf_peer_conn(e, key);
    struct esession *es = c == NULL ? NULL : wf_es_by_tree(e, c, tree);
    if (es != NULL) wf_es_stop(e, es, WEFT_CANCELED, true, WF_W_OK);
    wf_e_note_pair(e, key, tree, WF_Q_UNRELATED, 0);
}

static void on_related(struct engine *e, const weft_key *key, const weft_id *tree)
{
    struct conn *c = wf_peer_conn(e, key);
    wf_e_note_pair(e, key, tree, WF_Q_RELATED, 0);
    if (c == NULL) wf_e_check_soon(e, 50 * WEFT_MS);
    else if (wf_e_serves(e, tree) && wf_es_by_tree(e, c, tree) == NULL)
        (void)wf_es_open(e, c, tree, 0, NULL);
}

static void on_its_trees(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)arg;
    struct engine *e = state;
    const struct wf_peer_req *trees = (const struct wf_peer_req *)req;
    e->order++;
    for (uint32_t i = 0; err == WEFT_OK && i < trees->count; i++)
        on_related(e, &trees->peer, &trees->ids[i]);
    weft_drop(req == NULL ? NULL : &req->msg);
}

/* Its relations count again, if it was blocked. */
static void on_active(struct engine *e, const weft_key *key)
{
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_TREES);
    if (req == NULL) return;
    req->peer = *key;
    (void)wf_e_ask(e, e->table->peers, &req->req, on_its_trees, NULL);
}

void wf_timer_on_changed(struct engine *e, const struct wf_peer_changed *changed)
{
    switch (changed->what) {
    case WF_CHANGED_INACTIVE: on_inactive(e, &changed->peer); break;
    case WF_CHANGED_ACTIVE: on_active(e, &changed->peer); break;
    case WF_CHANGED_RELATED: on_related(e, &changed->peer, &changed->tree); break;
    case WF_CHANGED_UNRELATED: on_unrelated(e, &changed->peer, &changed->tree); break;
    }
}
