/* SPDX-License-Identifier: Apache-2.0
 * commands_declare.c - following a tree with a peer for a command, and declaring that it is kept
 * with one: followed, registered, related, tried.
 * Called by: commands.c, commands_ticket.c. May touch: ops, requests to access and peers.
 * Never: takes a right away. */
#include <string.h>

#include "access_actor.h"
#include "alloc.h"
#include "declared.h"
#include "engine_state.h"
#include "keyset.h"

/* -- Following -------------------------------------------------------------------------- */

/* Does the peer become a reader of the tree? Not of one that is somebody's already, unless `always`: also
 * not of one that is not followed any more, whose entries have stayed. */
static bool is_to_read(const struct engine *e, const struct wf_cmd *cmd, bool always)
{
    wf_tree_info info;
    return always || wf_store_tree(e->table->wf_store, &cmd->tree, &info) != WEFT_OK ||
           !info.has_root;
}

/* Nothing has to be written. */
static bool is_followed(const struct engine *e, const struct wf_cmd *cmd, bool reads)
{
    wf_tree_info info;
    struct wf_right_now now;
    wf_store *store = e->table->wf_store;
    if (wf_store_tree(store, &cmd->tree, &info) != WEFT_OK || !info.followed) return false;
    if (!reads) return true;
    return wf_store_right(store, &cmd->tree, &cmd->peer, &now) == WEFT_OK && now.listed;
}

static void on_followed(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    e->order++;
    weft_drop(req == NULL ? NULL : &req->msg);
    op->then(e, op, err);
    wf_op_put(op);
}

void wf_op_follow(struct engine *e, struct op *op, bool always,
                  void (*then)(struct engine *e, struct op *op, weft_err err))
{
    const bool reads = is_to_read(e, op->cmd, always);
    if (is_followed(e, op->cmd, reads)) {
        then(e, op, WEFT_OK);
        return;
    }
    struct wf_access_req *follow = wf_access_req_create(WF_ACC_FOLLOW);
    if (follow != NULL && reads) follow->readers = wf_memdup(&op->cmd->peer, sizeof op->cmd->peer);
    if (follow == NULL || (reads && follow->readers == NULL)) {
        weft_drop(follow == NULL ? NULL : &follow->req.msg);
        then(e, op, WEFT_NO_MEMORY);
        return;
    }
    follow->tree = op->cmd->tree;
    follow->add = true;
    follow->readers_count = reads;
    op->then = then;
    op->refs++;
    if (wf_e_ask(e, e->table->access, &follow->req, on_followed, op)) return;
    then(e, op, WEFT_CLOSED);
    wf_op_put(op);
}

/* -- Declaring -------------------------------------------------------------------------- */

static void on_registered(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    e->order++;
    if (op->cmd != NULL) {
        if (err == WEFT_OK)
            err = wf_declared_open(e, &op->cmd->peer, &op->cmd->tree, &op->cmd->ask);
        op->cmd->declared = err == WEFT_OK;
        wf_op_finish(e, op, err);
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_put(op);
}

static void on_declared_tree(struct engine *e, struct op *op, weft_err err)
{
    struct wf_cmd *cmd = op->cmd;
    if (cmd == NULL) return;
    struct wf_peer_req *req = err == WEFT_OK ? wf_peer_req_create(WF_PEER_DECLARE) : NULL;
    if (req == NULL) {
        wf_op_finish(e, op, err == WEFT_OK ? WEFT_NO_MEMORY : err);
        return;
    }
    req->peer = cmd->peer;
    req->tree = cmd->tree;
    memcpy(req->text, cmd->text, sizeof req->text);
    req->addresses_count = cmd->addresses_count;
    req->addresses = cmd->addresses;
    cmd->addresses = NULL;
    op->refs++;
    if (wf_e_ask(e, e->table->peers, &req->req, on_registered, op)) return;
    wf_op_finish(e, op, WEFT_CLOSED);
    wf_op_put(op);
}

void wf_cmd_declare(struct engine *e, struct op *op)
{
    switch (op->cmd->op) {
    case WF_CMD_DECLARED_STATUS: wf_declared_status(e, op); break;
    case WF_CMD_DECLARED_WAIT: wf_declared_wait(e, op); break;
    default:
        if (wf_keyset_has(e->table->blocked, &op->cmd->peer))
            wf_op_finish(e, op, WEFT_BLOCKED); /* before the tree is followed */
        else wf_op_follow(e, op, true, on_declared_tree);
        break;
    }
}
