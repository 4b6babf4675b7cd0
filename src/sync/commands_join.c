/* SPDX-License-Identifier: Apache-2.0
 * commands_join.c - the command that asks another node to let us into a tree.
 * Called by: commands.c, commands_raw.c. May touch: ops, requests to transport and peers.
 * Never: says what the answer means: access does. */
#include <string.h>

#include "crypto.h"
#include "engine_state.h"
#include "identities.h"
#include "joining.h"

#define TRIES_MAX 4u /* as many connections may give way to each other while they are dialled */

/* By the pair that came with it, or the one that the key is of here. */
static weft_err sign(const struct engine *e, const struct wf_join_cmd *join, const uint8_t *text,
                     size_t len, uint8_t out[WEFT_SIGNATURE_BYTES])
{
    const struct wf_node_table *t = e->table;
    weft_key key;
    if (join->pair != NULL) return wf_sign(join->pair, WF_PURPOSE_ACCESS, text, len, out);
    if (weft_key_equal(&join->ask.key, &t->self))
        return wf_sign(t->device, WF_PURPOSE_ACCESS, text, len, out);
    weft_err err = wf_identities_sign(t->identities, &join->ask.tree, text, len, &key, out);
    /* It is gone with a process of before: weft_tree_use_key has not been called since. */
    return err == WEFT_OK && !weft_key_equal(&key, &join->ask.key) ? WEFT_NOT_FOUND : err;
}

static void send_join(struct engine *e, struct op *op, struct conn *c)
{
    struct wf_join_cmd *join = op->cmd->join;
    uint8_t text[WF_JOIN_TEXT_MAX];
    size_t len;
    weft_buf *frame = NULL;
    weft_err err = (c->up->caps & WF_CAP_ACCESS) == 0 ? WEFT_UNSUPPORTED : WEFT_OK;
    op->cmd->result.peer = c->peer->key;
    if (join->idle && wf_join_is_waited_for(c, join->ask.id)) {
        join->said = (struct wf_joined){.state = WEFT_JOIN_PENDING};
        memcpy(join->said.id, join->ask.id, sizeof join->said.id);
        wf_op_finish(e, op, WEFT_OK);
        return;
    }
    if (err == WEFT_OK) {
        join->ask.stream = wf_econn_stream(c);
        if (join->ask.stream == 0) err = WEFT_LIMIT;
    }
    if (err == WEFT_OK) {
        wf_join_text(c->up->channel, &e->table->self, &c->peer->key, &join->ask, text, &len);
        err = sign(e, join, text, len, join->ask.sig);
    }
    if (err == WEFT_OK) {
        frame = wf_join_encode(&join->ask);
        err = frame == NULL ? WEFT_NO_MEMORY : wf_op_listen(e, op, c, join->ask.stream, frame);
    }
    if (err != WEFT_OK) wf_op_finish(e, op, err);
}

void wf_cmd_join_answer(struct engine *e, struct op *op, const struct wf_tp_frame *f)
{
    struct wf_joined *said = &op->cmd->join->said;
    struct wf_err_frame bad;
    weft_err err = wf_joined_decode(f->bytes, f->len, said);
    if (err != WEFT_OK) {
        err = wf_err_decode(f->bytes, f->len, &bad) == WEFT_OK ? wf_wire_err(bad.code)
                                                               : WEFT_PROTOCOL;
        if (err == WEFT_OK) err = WEFT_PROTOCOL;
    } else if (said->state == WEFT_JOIN_PENDING) {
        struct conn *c = wf_econn_find(e, f->conn);
        if (c != NULL) wf_join_wait(c, f->stream, said->id);
    }
    wf_op_finish(e, op, err);
}

/* -- To whom ---------------------------------------------------------------------------- */

static void on_connected(struct engine *e, struct conn_wait *wait, weft_err err, struct conn *c)
{
    struct op *op = (struct op *)wait;
    if (err != WEFT_OK) wf_op_finish(e, op, err);
    else send_join(e, op, c);
}

static void connect_to(struct engine *e, struct op *op)
{
    op->wait.fn = on_connected;
    wf_e_connect(e, &op->cmd->peer, &op->wait);
}

bool wf_cmd_join_again(struct engine *e, struct op *op, weft_err why)
{
    if (op->cmd->op != WF_CMD_JOIN || why != WEFT_CLOSED || op->tries == TRIES_MAX) return false;
    op->tries++;
    op->cmd->peer = op->cmd->result.peer;
    wf_table_remove(&e->requests, &op->by_stream);
    op->listening = false;
    connect_to(e, op);
    return true;
}

static void on_ensured(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    e->order++;
    weft_drop(req == NULL ? NULL : &req->msg);
    if (op->cmd != NULL) {
        struct conn *c = wf_peer_conn(e, &op->cmd->peer);
        if (c != NULL && err == WEFT_BLOCKED) wf_econn_close(e, c, WEFT_BLOCKED, "blocked");
        else if (c != NULL && err == WEFT_OK) wf_econn_registered(e, c);
        if (err == WEFT_OK) connect_to(e, op);
        else wf_op_finish(e, op, err);
    }
    wf_op_put(op);
}

/* The peer is to be found again: for what becomes of the request, and for the tree. */
static void ensure(struct engine *e, struct op *op, const weft_key *peer)
{
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_ENSURE);
    if (req == NULL) {
        wf_op_finish(e, op, WEFT_NO_MEMORY);
        return;
    }
    op->cmd->peer = *peer;
    req->peer = *peer;
    memcpy(req->text, op->cmd->text, sizeof req->text);
    op->refs++;
    if (wf_e_ask(e, e->table->peers, &req->req, on_ensured, op)) return;
    wf_op_finish(e, op, WEFT_CLOSED);
    wf_op_put(op);
}

static void on_dialled(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    const struct wf_tp_dial *dial = (const struct wf_tp_dial *)req;
    e->order++;
    if (op->cmd != NULL && err == WEFT_OK) ensure(e, op, &dial->key);
    else if (op->cmd != NULL) wf_op_finish(e, op, err);
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_put(op);
}

void wf_cmd_join(struct engine *e, struct op *op)
{
    struct wf_cmd *cmd = op->cmd;
    if (cmd->text[0] == '\0') {
        connect_to(e, op);
        return;
    }
    const struct conn *there = wf_econn_at(e, cmd->text);
    if (there != NULL && (!cmd->has_peer || weft_key_equal(&there->peer->key, &cmd->peer))) {
        ensure(e, op, &there->peer->key);
        return;
    }
    struct wf_tp_dial *dial = wf_tp_new(&wf_tp_dial_kind);
    if (dial == NULL) {
        wf_op_finish(e, op, WEFT_NO_MEMORY);
        return;
    }
    memcpy(dial->address, cmd->text, sizeof dial->address);
    dial->expect = cmd->has_peer;
    dial->key = cmd->peer;
    op->refs++;
    if (wf_e_ask(e, e->table->transport, &dial->req, on_dialled, op)) return;
    wf_op_finish(e, op, WEFT_CLOSED);
    wf_op_put(op);
}
