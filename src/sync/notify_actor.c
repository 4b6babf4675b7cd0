/* SPDX-License-Identifier: Apache-2.0
 * notify_actor.c - the thread on which callbacks of plain threads run: completions of
 * asynchronous calls and the event feed.
 * Called by: weft.c (spawn, asks), sync (events), store (doorbell).
 * May touch: its subscribers. Never: holds the engine up; it keeps one doorbell and
 * tells what did not fit as one coalesced event. */
#include <string.h>
#include <weft/supervise.h>

#include "alloc.h"
#include "block.h"
#include "log.h"
#include "notify.h"
#include "notify_feed.h"
#include "store_actor.h"

struct subscriber {
    uint64_t handle;
    weft_on_event fn;
    void *arg;
};

struct notify { /* only the handlers below touch this */
    const struct wf_node_table *table;
    struct subscriber subscribers[WEFT_SUBSCRIBERS_MAX];
    struct wf_notify_sub *pending[WEFT_SUBSCRIBERS_MAX]; /* new ones, until a bell has rung */
    uint32_t count, pending_count; /* never more than WEFT_SUBSCRIBERS_MAX together */
    uint64_t last_handle;
    struct wf_feeds feeds;
    bool watched;   /* notify hears of the store's end           */
    bool bell_sent; /* the doorbell is at the store              */
    bool confirmed; /* and rang before: the store has us noted   */
    bool heard;     /* a bell has said how the store is doing, which was: */
    weft_err store_err;
    uint64_t outages;
};

/* A completion on its way: what to call when the ask is over. */
struct completion {
    void (*done)(void *arg, weft_err err, weft_request *request);
    void *arg;
};

static void drop_ask(weft_msg *msg)
{
    struct wf_notify_ask *ask = (struct wf_notify_ask *)msg;
    /* Every begun call is answered: also when the node stops first. */
    if (ask->done != NULL) ask->done(ask->arg, WEFT_CLOSED, ask->request);
    weft_addr_put(ask->to);
    weft_free_msg(msg);
}

const weft_kind wf_notify_event_kind = {0x311, "notify.event", sizeof(struct wf_notify_event),
                                        weft_free_msg};
const weft_kind wf_notify_sub_kind = {0x312, "notify.sub", sizeof(struct wf_notify_sub),
                                      weft_free_msg};
const weft_kind wf_notify_feed_kind = {0x314, "notify.feed", sizeof(struct wf_notify_feed),
                                       weft_free_msg};
const weft_kind wf_notify_ask_kind = {0x313, "notify.ask", sizeof(struct wf_notify_ask), drop_ask};

/* -- Completions ------------------------------------------------------------------- */

static void on_answer(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    struct completion c = *(struct completion *)arg;
    wf_free(arg);
    c.done(c.arg, err, req);
}

static weft_verdict on_ask(weft_self *self, struct wf_notify_ask *ask)
{
    struct completion *c = wf_malloc(sizeof *c);
    weft_err err = WEFT_NO_MEMORY;
    if (c != NULL) {
        *c = (struct completion){ask->done, ask->arg};
        err = weft_ask(self, ask->to, ask->request, ask->deadline, on_answer, c, NULL);
    }
    if (err != WEFT_OK) {
        wf_free(c);
        ask->done(ask->arg, err, ask->request);
    }
    ask->done = NULL; /* answered, or on_answer's duty now */
    return WEFT_DONE;
}

/* -- The feed ------------------------------------------------------------------------ */

static void publish(struct notify *n, const weft_event *event)
{
    for (uint32_t i = 0; i < n->count; i++) n->subscribers[i].fn(n->subscribers[i].arg, event);
}

static bool is_local(const wf_source *source)
{
    static const wf_source nobody;
    return memcmp(source, &nobody, sizeof nobody) == 0;
}

static const struct wf_stored_tree *tree_of(const struct wf_stored *bell, uint64_t t)
{
    for (uint32_t i = 0; i < bell->trees_count; i++)
        if (bell->trees[i].t == t) return &bell->trees[i];
    return NULL;
}

static void tell_entries(struct notify *n, const struct wf_stored *bell)
{
    for (uint32_t i = 0; i < bell->entries_count; i++) {
        const struct wf_stored_entry *e = &bell->entries[i];
        const struct wf_stored_tree *tree = tree_of(bell, e->t);
        if (tree == NULL || !tree->complete) continue;
        weft_event event = {.kind = WEFT_EV_ENTRIES,
                            .tree = e->tree,
                            .peer = e->source.peer,
                            .local = is_local(&e->source),
                            .seq = e->seq,
                            .id = e->id,
                            .bytes = e->bytes,
                            .len = e->len};
        publish(n, &event);
    }
    for (uint32_t i = 0; i < bell->trees_count; i++) {
        if (bell->trees[i].complete) continue;
        weft_event event = {.kind = WEFT_EV_ENTRIES,
                            .tree = bell->trees[i].tree,
                            .coalesced = true,
                            .seq = bell->trees[i].to_seq};
        publish(n, &event);
    }
}

/* More trees grew than a bell holds, or memory was short: every tree is told, coalesced. Here
 * nothing is asked of memory. */
static void tell_all_trees(struct notify *n)
{
    wf_tree_info tree;
    const uint64_t max = wf_store_trees_max(n->table->wf_store);
    for (uint64_t t = 1; t <= max; t++) {
        if (wf_store_tree_by_number(n->table->wf_store, t, &tree) != WEFT_OK) continue;
        weft_event event = {
            .kind = WEFT_EV_ENTRIES, .tree = tree.tree, .coalesced = true, .seq = tree.seq};
        publish(n, &event);
    }
}

/* One that began and ended while the bell was away is told by its end. */
static void tell_store(struct notify *n, const struct wf_stored *bell)
{
    bool changed = bell->store_err != n->store_err || (n->heard && bell->outages != n->outages);
    n->heard = true;
    n->store_err = bell->store_err;
    n->outages = bell->outages;
    if (!changed) return;
    weft_event event = {.kind = WEFT_EV_STORE, .err = bell->store_err};
    publish(n, &event);
}

static void add(struct notify *n, struct wf_notify_sub *sub)
{
    weft_event event = {.kind = WEFT_EV_STORE, .err = n->store_err};
    if (n->store_err != WEFT_OK) sub->fn(sub->arg, &event);
    sub->handle = ++n->last_handle;
    n->subscribers[n->count++] = (struct subscriber){sub->handle, sub->fn, sub->arg};
    weft_reply(&sub->req, WEFT_OK);
}

/* What the bell told is from before them. */
static void add_pending(struct notify *n)
{
    for (uint32_t i = 0; i < n->pending_count; i++) {
        struct wf_notify_sub *sub = n->pending[i];
        /* Who has given up would never take it off. */
        if (weft_abandoned(&sub->req)) weft_reply(&sub->req, WEFT_TIMED_OUT);
        else add(n, sub);
    }
    n->pending_count = 0;
}

static void refuse_pending(struct notify *n, weft_err err)
{
    for (uint32_t i = 0; i < n->pending_count; i++) weft_reply(&n->pending[i]->req, err);
    n->pending_count = 0;
}

static weft_verdict on_bell(weft_self *self, struct notify *n, struct wf_stored *bell)
{
    tell_store(n, bell);
    tell_entries(n, bell);
    if (bell->more_trees) tell_all_trees(n);
    add_pending(n);
    wf_feeds_rung(self, &n->feeds);
    wf_stored_clear(bell);
    bool heard = n->count != 0 || n->feeds.count != 0;
    n->confirmed = n->bell_sent = heard && wf_send_system(n->table->store, &bell->msg) == WEFT_OK;
    return n->bell_sent ? WEFT_KEPT : WEFT_DONE;
}

/* It rings as soon as the store has it. From then on nothing is missed; a feed that looked
 * before looks again, and a subscriber is not told before that it is one. */
static weft_err hang_bell(weft_self *self, struct notify *n)
{
    weft_err err = n->watched ? WEFT_OK : weft_monitor(self, n->table->store, NULL);
    if (err != WEFT_OK) return err;
    n->watched = true;
    struct wf_stored *bell = wf_stored_create(weft_self_addr(self));
    if (bell == NULL) return WEFT_NO_MEMORY;
    bell->at_once = true;
    err = wf_send_system(n->table->store, &bell->msg);
    if (err != WEFT_OK) weft_drop(&bell->msg);
    n->bell_sent = err == WEFT_OK;
    return err;
}

/* The bell went with it: nobody hears of anything any more. */
static void on_store_end(struct notify *n)
{
    n->bell_sent = n->confirmed = false;
    refuse_pending(n, WEFT_CLOSED);
    wf_feeds_end(&n->feeds);
}

static void subscribe(weft_self *self, struct notify *n, struct wf_notify_sub *sub)
{
    weft_err err = WEFT_OK;
    if (n->count + n->pending_count == WEFT_SUBSCRIBERS_MAX) err = WEFT_LIMIT;
    else if (!n->bell_sent) err = hang_bell(self, n);
    if (err != WEFT_OK) weft_reply(&sub->req, err);
    else if (n->confirmed) add(n, sub);
    else n->pending[n->pending_count++] = sub;
}

static weft_err take_off(struct notify *n, uint64_t handle)
{
    for (uint32_t i = 0; i < n->count; i++) {
        if (n->subscribers[i].handle != handle) continue;
        n->count--;
        memmove(&n->subscribers[i], &n->subscribers[i + 1],
                (n->count - i) * sizeof n->subscribers[0]);
        return WEFT_OK;
    }
    return WEFT_NOT_FOUND;
}

static weft_verdict on_feed(weft_self *self, struct notify *n, struct wf_notify_feed *msg)
{
    bool heard = n->bell_sent || msg->what == WF_FEED_CLOSE;
    weft_err err = heard ? WEFT_OK : hang_bell(self, n);
    if (err == WEFT_OK) wf_feeds_take(self, &n->feeds, msg);
    else weft_reply(&msg->req, err);
    return WEFT_KEPT;
}

/* -- The actor -------------------------------------------------------------------------- */

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct notify *n = state;
    if (msg->kind == &wf_wire_kind) {
        n->table = ((const struct wf_wire *)msg)->table;
        return WEFT_DONE;
    }
    if (msg->kind == &wf_notify_ask_kind) return on_ask(self, (struct wf_notify_ask *)msg);
    if (msg->kind == &wf_stored_kind) return on_bell(self, n, (struct wf_stored *)msg);
    if (msg->kind == &wf_notify_feed_kind) return on_feed(self, n, (struct wf_notify_feed *)msg);
    if (msg->kind == &weft_kind_down) {
        on_store_end(n);
    } else if (msg->kind == &wf_notify_event_kind) {
        publish(n, &((const struct wf_notify_event *)msg)->event);
    } else if (msg->kind == &wf_notify_sub_kind) {
        struct wf_notify_sub *sub = (struct wf_notify_sub *)msg;
        if (sub->add) subscribe(self, n, sub);
        else weft_reply(&sub->req, take_off(n, sub->handle));
        return WEFT_KEPT;
    }
    return WEFT_DONE;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    (void)reason;
    struct notify *n = state;
    refuse_pending(n, WEFT_CLOSED);
    wf_feeds_end(&n->feeds);
}

weft_err wf_notify_spawn(weft_rt *rt, weft_addr **out)
{
    weft_spec spec = {
        .name = "notify", .state_size = sizeof(struct notify), .handle = handle, .fini = fini};
    return weft_spawn(rt, &spec, out);
}
