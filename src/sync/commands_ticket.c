/* SPDX-License-Identifier: Apache-2.0
 * commands_ticket.c - sync with a ticket: all hints are dialled at once, and the first who proves
 * the pinned key is synced with.
 * Called by: commands.c, commands_sync.c. May touch: ops, requests to transport, peers and store.
 * Never: speaks to another key; lets a hint wait for another. */
#include <string.h>

#include "alloc.h"
#include "engine_state.h"

static void settle(struct engine *e, struct op *op)
{
    if (op->cmd != NULL && !op->hints_busy && op->hints_open == 0)
        wf_op_finish(e, op, op->hints_err);
}

/* -- The one that answered ------------------------------------------------------------------ */

/* It was dialled by that address and proved the key, also when nobody waits any more. */
static struct wf_peer_req *remember(const struct wf_tp_dial *dial)
{
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_ENSURE);
    if (req == NULL) return NULL;
    req->peer = dial->key;
    req->worked = dial->proved;
    if (dial->proved) memcpy(req->text, dial->address, sizeof req->text);
    return req;
}

static void on_followed(struct engine *e, struct op *op, weft_err err)
{
    if (op->cmd == NULL) return;
    if (err == WEFT_OK) err = wf_op_want_room(op, 1);
    if (err != WEFT_OK) {
        wf_op_finish(e, op, err);
        return;
    }
    wf_op_want_add(op, &op->cmd->peer, &op->cmd->tree, false);
    wf_op_wants_start(e, op);
}

static void on_ensured(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    e->order++;
    if (op->cmd != NULL) {
        struct conn *c = wf_peer_conn(e, &op->cmd->peer);
        if (c != NULL && err == WEFT_BLOCKED) wf_econn_close(e, c, WEFT_BLOCKED, "blocked");
        else if (c != NULL && err == WEFT_OK) wf_econn_registered(e, c);
        if (err == WEFT_OK) wf_ticket_reached(e, op);
        if (err == WEFT_OK && op->cmd->op == WF_CMD_TICKET) wf_op_follow(e, op, false, on_followed);
        else wf_op_finish(e, op, err);
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_put(op);
}

/* The dial of a dead hint is answered, too, once there is a connection to the peer: so where that
 * leads only the connection says. */
void wf_ticket_reached(struct engine *e, struct op *op)
{
    const struct conn *c = wf_peer_conn(e, &op->cmd->peer);
    if (c != NULL && c->up->dialled)
        memcpy(op->cmd->result.text, c->up->address, sizeof op->cmd->result.text);
}

static void take(struct engine *e, struct op *op, const struct wf_tp_dial *dial)
{
    struct wf_peer_req *req = remember(dial);
    if (dial->proved) memcpy(op->cmd->result.text, dial->address, sizeof op->cmd->result.text);
    op->cmd->result.peer = dial->key;
    op->hints_busy = true;
    op->refs++;
    if (req != NULL && wf_e_ask(e, e->table->peers, &req->req, on_ensured, op)) return;
    wf_op_finish(e, op, req == NULL ? WEFT_NO_MEMORY : WEFT_CLOSED);
    wf_op_put(op);
}

/* Wants the tree once more: another hint has answered since. */
static void again(struct engine *e, struct op *op)
{
    op->hints_busy = true;
    op->hints_spare = false;
    op->first_err = WEFT_OK;
    op->second_half = false;
    op->wants[0].tries = 0;
    wf_op_wants_start(e, op);
}

bool wf_ticket_again(struct engine *e, struct op *op)
{
    if (op->cmd == NULL || op->cmd->op != WF_CMD_TICKET) return false;
    weft_err err = op->first_err;
    bool lost = err == WEFT_CLOSED || err == WEFT_TIMED_OUT || err == WEFT_UNREACHABLE ||
                err == WEFT_NETWORK;
    if (!lost || (op->hints_open == 0 && !op->hints_spare)) return false;
    op->hints_err = err;
    op->hints_busy = false;
    if (op->hints_spare) again(e, op); /* else the next one that answers */
    return true;
}

/* -- The hints ------------------------------------------------------------------------------ */

static void on_dialled(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    const struct wf_tp_dial *dial = (const struct wf_tp_dial *)req;
    e->order++;
    op->hints_open--;
    if (err != WEFT_OK) {
        op->hints_err = err;
    } else if (op->cmd != NULL && !op->hints_busy && op->wants == NULL) {
        take(e, op, dial);
    } else {
        struct wf_peer_req *more = dial->proved ? remember(dial) : NULL;
        wf_e_send(e, e->table->peers, more == NULL ? NULL : &more->req.msg);
        op->hints_spare = true;
        if (op->cmd != NULL && !op->hints_busy)
            again(e, op); /* the one before it broke off while it synced */
    }
    settle(e, op);
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_put(op);
}

static void dial(struct engine *e, struct op *op, const char *hint)
{
    struct wf_tp_dial *req = wf_tp_new(&wf_tp_dial_kind);
    if (req == NULL) {
        op->hints_err = WEFT_NO_MEMORY;
        return;
    }
    weft_ns until = weft_now(e->self) + WEFT_TICKET_TRY_NS, deadline = weft_deadline(&op->cmd->req);
    memcpy(req->address, hint, sizeof req->address);
    req->expect = true;
    req->key = op->cmd->peer;
    op->refs++;
    op->hints_open++;
    weft_err err = weft_ask(e->self, e->table->transport, &req->req,
                            deadline < until ? deadline : until, on_dialled, op, NULL);
    if (err == WEFT_OK) return;
    op->hints_err = err;
    op->hints_open--;
    weft_drop(&req->req.msg);
    wf_op_put(op);
}

static bool named_before(const weft_ticket *ticket, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (strcmp(ticket->hints[i], ticket->hints[at]) == 0) return true;
    return false;
}

void wf_cmd_ticket(struct engine *e, struct op *op)
{
    const weft_ticket *ticket = op->cmd->ticket;
    op->hints_err = WEFT_UNREACHABLE;
    for (uint32_t i = 0; op->cmd != NULL && i < ticket->hints_count; i++)
        if (!named_before(ticket, i)) dial(e, op, ticket->hints[i]);
    settle(e, op);
}
