/* SPDX-License-Identifier: Apache-2.0
 * peers_actor.c - the peer manager's thread: who is known, how to reach them, how they
 * fare. Every change is in the store before it is answered.
 * Called by: weft.c (spawn), the scheduler (handlers), transport (its two hooks).
 * May touch: its state, which its rooms share (peers_state.h).
 * Never: sockets, sessions; it decides nothing about syncing. */
#include "alloc.h"
#include "keyset.h"
#include "log.h"
#include "peers_state.h"
#include "penalties.h"
#include "transport.h"

#define SAVE_INTERVAL_NS (5 * WEFT_SEC) /* statistics reach the disk at most this often */

static void drop_peer_req(weft_msg *msg)
{
    struct wf_peer_req *req = (struct wf_peer_req *)msg;
    for (uint32_t i = 0; req->views != NULL && i < req->count; i++) wf_free(req->views[i].trees);
    wf_free(req->views);
    wf_free(req->keys);
    wf_free(req->ids);
    wf_free(req->addresses);
    wf_free(req->about);
    wf_free(req->syncs);
    weft_free_msg(msg);
}

const weft_kind wf_peer_req_kind = {0x301, "peers.req", sizeof(struct wf_peer_req), drop_peer_req};
const weft_kind wf_peer_note_kind = {0x302, "peers.note", sizeof(struct wf_peer_note),
                                     weft_free_msg};
const weft_kind wf_peer_changed_kind = {0x303, "peers.changed", sizeof(struct wf_peer_changed),
                                        weft_free_msg};

static void drop_part(weft_msg *msg)
{
    struct wf_tp_part *close = ((struct wf_peer_part *)msg)->close;
    weft_drop(close == NULL ? NULL : &close->req.msg);
    weft_free_msg(msg);
}

const weft_kind wf_peer_part_kind = {0x304, "peers.part", sizeof(struct wf_peer_part), drop_part};

struct wf_peer_req *wf_peer_req_create(enum wf_peer_op op)
{
    struct wf_peer_req *req = (struct wf_peer_req *)weft_new(&wf_peer_req_kind);
    if (req != NULL) req->op = op;
    return req;
}

weft_err wf_peers_may_connect(void *table, const weft_key *key, weft_ns now)
{
    const struct wf_node_table *t = table;
    if (wf_keyset_has(t->blocked, key)) return WEFT_BLOCKED;
    if (wf_penalties_left(t->penalties, key, now) == 0) return WEFT_OK;
    wf_counter_add(&t->counters->penalised, 1);
    return WEFT_PENALISED;
}

void wf_peers_on_breach(void *table, const weft_key *key, weft_err why, weft_ns now)
{
    const struct wf_node_table *t = table;
    if (!wf_penalties_is_offence(why)) return;
    wf_counter_add(&t->counters->offences, 1);
    if (!wf_penalties_note(t->penalties, key, now))
        wf_log(WEFT_LOG_WARN, "peers", "out of memory: an offence is not remembered");
}

/* -- The actor ---------------------------------------------------------------------------- */

static void on_save(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)timer;
    (void)missed;
    wf_peers_save(state);
}

static weft_verdict on_wire(struct peers *p, const struct wf_wire *wire)
{
    p->table = wire->table;
    weft_err err = wf_peers_load(p);
    if (err != WEFT_OK)
        return weft_fail(p->self, wf_fail(err, "peers", "the peer records cannot be read"));
    for (uint32_t i = 0; i < p->reg.count; i++)
        for (uint32_t k = 0; k < p->reg.rows[i]->info.trees_count; k++)
            wf_peers_tell_sync(p, &p->reg.rows[i]->info.key, &p->reg.rows[i]->trees[k],
                               WF_CHANGED_RELATED);
    return WEFT_DONE;
}

static weft_verdict on_request(struct peers *p, struct wf_peer_req *req)
{
    return wf_peers_look(p, req) ? WEFT_KEPT : wf_peers_change(p, req);
}

static weft_err init(weft_self *self, void *state, void *arg)
{
    (void)arg;
    struct peers *p = state;
    p->self = self;
    return weft_timer_set(self, &p->save, weft_now(self) + SAVE_INTERVAL_NS, SAVE_INTERVAL_NS,
                          on_save);
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct peers *p = state;
    if (msg->kind == &wf_wire_kind) return on_wire(p, (const struct wf_wire *)msg);
    if (p->table == NULL) return WEFT_DONE; /* before the wire message nobody knows us */
    if (msg->kind == &wf_peer_req_kind) return on_request(p, (struct wf_peer_req *)msg);
    if (msg->kind == &wf_peer_note_kind) wf_peers_note(p, (const struct wf_peer_note *)msg);
    return WEFT_DONE;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    (void)reason;
    wf_peers_leave(state);
}

weft_err wf_peers_spawn(weft_rt *rt, weft_addr **out)
{
    weft_spec spec = {.name = "peers",
                      .state_size = sizeof(struct peers),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED};
    return weft_spawn(rt, &spec, out);
}
