/* SPDX-License-Identifier: Apache-2.0
 * engine.c - the sync engine's thread: hears everything, hands it to its rooms.
 * Called by: weft.c (spawn), the scheduler (handlers). May touch: struct engine.
 * Never: disk (but for its flags at the start), sockets; never waits. */
#include "engine.h"

#include <stddef.h>

#include "alloc.h"
#include "block.h"
#include "damage.h"
#include "declared.h"
#include "engine_state.h"
#include "identities.h"
#include "joining.h"
#include "log.h"

static void drop_cmd(weft_msg *msg)
{
    struct wf_cmd *cmd = (struct wf_cmd *)msg;
    if (cmd->net != NULL) cmd->net->ops->destroy(cmd->net);
    for (uint32_t i = 0; cmd->entries != NULL && i < cmd->entries_count; i++)
        weft_buf_unref(cmd->entries[i]);
    wf_free(cmd->entries);
    weft_buf_unref(cmd->message);
    wf_free(cmd->ids);
    wf_free(cmd->servers);
    if (cmd->record != NULL) weft_drop(&cmd->record->req.msg);
    wf_free(cmd->ticket);
    wf_free(cmd->addresses);
    if (cmd->end != NULL && (!cmd->declared || weft_send(cmd->home, &cmd->end->msg) != WEFT_OK))
        weft_drop(&cmd->end->msg);
    weft_addr_put(cmd->home);
    wf_join_cmd_free(cmd->join);
    if (cmd->ask != NULL) weft_drop(&cmd->ask->req.msg);
    weft_free_msg(msg);
}

const weft_kind wf_cmd_kind = {0x5501, "sync.command", sizeof(struct wf_cmd), drop_cmd};

const weft_kind wf_declared_note_kind = {0x5502, "sync.declared", sizeof(struct wf_declared_note),
                                         weft_free_msg};

struct wf_cmd *wf_cmd_create(enum wf_cmd_op op)
{
    struct wf_cmd *cmd = (struct wf_cmd *)weft_new(&wf_cmd_kind);
    if (cmd != NULL) cmd->op = op;
    return cmd;
}

/* -- Lists --------------------------------------------------------------------------- */

void wf_list_add(struct list *list, struct item *item)
{
    WF_ASSERT(item->in == NULL);
    item->in = list;
    item->prev = list->last;
    item->next = NULL;
    if (list->last == NULL) list->first = item;
    else list->last->next = item;
    list->last = item;
}

void wf_list_remove(struct item *item)
{
    struct list *list = item->in;
    if (list == NULL) return;
    if (item->prev == NULL) list->first = item->next;
    else item->prev->next = item->next;
    if (item->next == NULL) list->last = item->prev;
    else item->next->prev = item->prev;
    item->in = NULL;
    item->prev = item->next = NULL;
}

/* -- Sending ------------------------------------------------------------------------- */

bool wf_e_ask(struct engine *e, weft_addr *to, weft_request *req, weft_on_reply fn, void *arg)
{
    /* The actors of a node always answer, and end their asks when they stop. */
    weft_err err = weft_ask(e->self, to, req, WEFT_NEVER, fn, arg, NULL);
    if (err == WEFT_OK) return true;
    if (err != WEFT_CLOSED)
        wf_log(WEFT_LOG_WARN, "sync", "ask=%s err=%s", req->msg.kind->name, weft_errname(err));
    weft_drop(&req->msg);
    return false;
}

void wf_e_send(struct engine *e, weft_addr *to, weft_msg *msg)
{
    (void)e;
    if (msg == NULL) return;
    weft_err err = weft_send(to, msg);
    if (err == WEFT_OK) return;
    if (err != WEFT_CLOSED)
        wf_log(WEFT_LOG_WARN, "sync", "lost=%s err=%s", msg->kind->name, weft_errname(err));
    weft_drop(msg);
}

void wf_e_send_system(struct engine *e, weft_addr *to, weft_msg *msg)
{
    (void)e;
    if (msg != NULL && wf_send_system(to, msg) != WEFT_OK) weft_drop(msg);
}

void wf_e_control(struct engine *e, uint64_t conn, uint32_t stream, weft_buf *frame)
{
    struct wf_tp_send *send = frame == NULL ? NULL : wf_tp_new(&wf_tp_send_kind);
    if (send == NULL) {
        /* The session's deadline ends it on both sides. */
        wf_log(WEFT_LOG_WARN, "sync", "out of memory: a frame is not sent");
        weft_buf_unref(frame);
        return;
    }
    send->conn = conn;
    send->stream = stream;
    send->frame = frame;
    wf_e_send(e, e->table->transport, &send->msg);
}

void wf_e_event(struct engine *e, const weft_event *event)
{
    struct wf_notify_event *msg = (struct wf_notify_event *)weft_new(&wf_notify_event_kind);
    if (msg == NULL) return; /* the feed may coalesce, and this is its extreme */
    msg->event = *event;
    wf_e_send_system(e, e->table->notify, &msg->msg);
}

void wf_e_note_pair(struct engine *e, const weft_key *peer, const weft_id *tree,
                    enum wf_q_news what, uint64_t acked)
{
    struct wf_q_note *note = wf_q_new(&wf_q_note_kind);
    if (note == NULL) return;
    note->peer = *peer;
    if (tree != NULL) note->tree = *tree;
    note->what = what;
    note->acked_seq = acked;
    wf_e_send(e, e->table->queue, &note->msg);
}

struct wf_peer_note *wf_e_note_peer(const weft_key *peer, enum wf_peer_news what, weft_err err)
{
    struct wf_peer_note *note = (struct wf_peer_note *)weft_new(&wf_peer_note_kind);
    if (note == NULL) return NULL;
    note->peer = *peer;
    note->what = what;
    note->err = err;
    return note;
}

weft_ns wf_e_jitter(struct engine *e, weft_ns wait)
{
    uint32_t random;
    weft_self_random(e->self, &random, sizeof random);
    return wait + wait / 4 * (random % 1024) / 1024;
}

/* -- The actor ----------------------------------------------------------------------- */

static weft_verdict on_wire(weft_self *self, struct engine *e, const struct wf_wire *wire)
{
    e->table = wire->table;
    wf_lean_init(e);
    weft_err err = wf_exact_load(e);
    if (err == WEFT_OK) err = wf_timers_start(e);
    if (err == WEFT_OK) err = wf_heal_start(e);
    if (err == WEFT_OK) return WEFT_DONE;
    return weft_fail(self, wf_fail(err, "sync", "the engine cannot start"));
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct engine *e = state;
    const weft_kind *kind = msg->kind;
    e->order++;
    if (kind == &wf_wire_kind) return on_wire(self, e, (struct wf_wire *)msg);
    if (e->table == NULL) return WEFT_DONE;
    if (kind == &wf_cmd_kind) return wf_cmd_on(e, (struct wf_cmd *)msg);
    if (kind == &wf_tp_up_kind) {
        wf_econn_on_up(e, (struct wf_tp_up *)msg);
        return WEFT_KEPT;
    }
    if (kind == &wf_peer_part_kind) return wf_part_on_ask(e, (struct wf_peer_part *)msg);
    if (kind == &wf_gate_kind) return wf_gate_on_ask(e, (struct wf_gate *)msg);
    if (kind == &wf_damage_kind) {
        wf_heal_on_bell_take(e, (struct wf_damage_bell *)msg);
        return WEFT_KEPT;
    }
    if (kind == &wf_tp_down_kind) wf_econn_on_down(e, (struct wf_tp_down *)msg);
    else if (kind == &wf_tp_frame_kind) wf_e_on_frame(e, (struct wf_tp_frame *)msg);
    else if (kind == &wf_q_applied_kind) wf_e_on_applied(e, (struct wf_q_applied *)msg);
    else if (kind == &wf_join_said_kind) wf_join_on_said(e, (struct wf_join_said *)msg);
    else if (kind == &wf_identity_kind) wf_prove_on_identity(e);
    else if (kind == &wf_tracks_changed_kind)
        wf_timer_on_tracks(e, (struct wf_tracks_changed *)msg);
    else if (kind == &wf_declared_note_kind) wf_declared_on_note(e, (struct wf_declared_note *)msg);
    else if (kind == &wf_join_over_kind) wf_declared_on_over(e, (struct wf_join_over *)msg);
    else if (kind == &wf_peer_changed_kind) wf_timer_on_changed(e, (struct wf_peer_changed *)msg);
    return WEFT_DONE;
}

static weft_err init(weft_self *self, void *state, void *arg)
{
    (void)arg;
    struct engine *e = state;
    e->self = self;
    weft_self_random(self, e->salt, sizeof e->salt);
    wf_table_init(&e->peers, offsetof(struct peer, key) - offsetof(struct peer, link),
                  sizeof(weft_key), e->salt);
    wf_table_init(&e->conns, offsetof(struct conn, id) - offsetof(struct conn, link),
                  sizeof(uint64_t), e->salt);
    wf_table_init(&e->sessions, offsetof(struct esession, key) - offsetof(struct esession, link),
                  sizeof(struct session_key), e->salt);
    wf_table_init(&e->trees,
                  offsetof(struct esession, tree_key) - offsetof(struct esession, tree_link),
                  sizeof(struct tree_key), e->salt);
    wf_table_init(&e->requests, offsetof(struct op, key) - offsetof(struct op, by_stream),
                  sizeof(struct session_key), e->salt);
    wf_declared_init(e);
    return WEFT_OK;
}

/* All asks are over: their callbacks ran with CANCELED. What is left is ours alone. */
static void fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    (void)reason;
    struct engine *e = state;
    wf_heal_stop(e);
    wf_gate_stop(e);
    wf_declared_fini(e);
    while (e->ops.first != NULL) {
        struct op *op = (struct op *)((char *)e->ops.first - offsetof(struct op, of_engine));
        wf_op_finish(e, op, WEFT_CLOSED);
    }
    while (e->conns.first != NULL) {
        struct conn *c = (struct conn *)((char *)e->conns.first - offsetof(struct conn, link));
        wf_econn_drop(e, c, WEFT_CLOSED);
    }
    while (e->peers.first != NULL) {
        struct peer *p = (struct peer *)e->peers.first;
        wf_dial_off(e, p);
        p->dialling = false;
        wf_peer_settle(e, p);
    }
    wf_exact_drop_all(e);
    wf_lean_drop_all(e);
    wf_table_fini(&e->peers);
    wf_table_fini(&e->conns);
    wf_table_fini(&e->sessions);
    wf_table_fini(&e->trees);
    wf_table_fini(&e->requests);
}

weft_err wf_engine_spawn(weft_rt *rt, weft_addr **out)
{
    weft_spec spec = {.name = "sync",
                      .state_size = sizeof(struct engine),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED};
    return weft_spawn(rt, &spec, out);
}
