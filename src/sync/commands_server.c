/* SPDX-License-Identifier: Apache-2.0
 * commands_server.c - transports, listeners, and connecting to an address (C04 to C09).
 * Called by: commands.c. May touch: ops, requests to transport and peers.
 * Never: waits. */
#include <string.h>

#include "alloc.h"
#include "engine_state.h"

#define CHECK_NS (100 * WEFT_MS) /* a new transport: look soon whom it can reach */

static void ask(struct engine *e, struct op *op, weft_addr *to, weft_request *req, weft_on_reply fn)
{
    op->refs++;
    if (wf_e_ask(e, to, req, fn, op)) return;
    wf_op_finish(e, op, WEFT_CLOSED);
    wf_op_put(op);
}

/* The end of each answer below. */
static void done(struct engine *e, struct op *op, weft_err err, weft_request *req)
{
    e->order++;
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_finish(e, op, err);
    wf_op_put(op);
}

/* Of an answer that leads to another ask. */
static void done_quietly(struct engine *e, struct op *op, weft_request *req)
{
    e->order++;
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_put(op);
}

static void on_plain(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    done(state, arg, err, req);
}

static void on_added(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    struct wf_tp_add *add = (struct wf_tp_add *)req;
    /* Not taken: it goes back to the command, which destroys it. */
    if (add != NULL && op->cmd != NULL && err != WEFT_OK) {
        op->cmd->net = add->net;
        add->net = NULL;
    }
    if (err == WEFT_OK) wf_e_check_soon(e, CHECK_NS);
    if (err == WEFT_OK && op->record != NULL) { /* there first, remembered after */
        weft_request *record = &op->record->req;
        op->record = NULL;
        ask(e, op, e->table->store, record, on_plain);
        done_quietly(e, op, req);
        return;
    }
    done(e, op, err, req);
}

static void on_addresses(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct op *op = arg;
    struct wf_cmd *cmd = op->cmd;
    const struct wf_tp_addresses *found = (const struct wf_tp_addresses *)req;
    if (err != WEFT_OK || cmd == NULL) {
        done(state, op, err, req);
        return;
    }
    if (cmd->op == WF_CMD_SERVER_ADDRESSES) {
        cmd->servers = wf_calloc(found->count == 0 ? 1 : found->count, sizeof *cmd->servers);
        if (cmd->servers == NULL) err = WEFT_NO_MEMORY;
        for (uint32_t i = 0; err == WEFT_OK && i < found->count; i++) {
            memcpy(cmd->servers[i].name, found->items[i].name, sizeof cmd->servers[i].name);
            memcpy(cmd->servers[i].address, found->items[i].address,
                   sizeof cmd->servers[i].address);
        }
        cmd->count = err == WEFT_OK ? found->count : 0;
    } else {
        err = WEFT_NOT_FOUND;
        for (uint32_t i = 0; err != WEFT_OK && i < found->count; i++) {
            if (strcmp(found->items[i].name, cmd->name) != 0) continue;
            memcpy(cmd->result.text, found->items[i].address, sizeof cmd->result.text);
            err = WEFT_OK;
        }
    }
    done(state, op, err, req);
}

void wf_cmd_server(struct engine *e, struct op *op)
{
    struct wf_cmd *cmd = op->cmd;
    weft_addr *to = e->table->transport;
    if (cmd->op == WF_CMD_ADD_TRANSPORT) {
        struct wf_tp_add *add = wf_tp_new(&wf_tp_add_kind);
        if (add == NULL) goto no_memory;
        memcpy(add->name, cmd->name, sizeof add->name);
        memcpy(add->listen, cmd->text, sizeof add->listen);
        add->net = cmd->net;
        cmd->net = NULL;
        op->record = cmd->record;
        cmd->record = NULL;
        ask(e, op, to, &add->req, on_added);
    } else if (cmd->op == WF_CMD_START_SERVER || cmd->op == WF_CMD_STOP_SERVER) {
        struct wf_tp_server *server = wf_tp_new(&wf_tp_server_kind);
        if (server == NULL) goto no_memory;
        memcpy(server->name, cmd->name, sizeof server->name);
        server->start = cmd->op == WF_CMD_START_SERVER;
        ask(e, op, to, &server->req, on_plain);
    } else {
        struct wf_tp_addresses *addresses = wf_tp_new(&wf_tp_addresses_kind);
        if (addresses == NULL) goto no_memory;
        ask(e, op, to, &addresses->req, on_addresses);
    }
    return;
no_memory:
    wf_op_finish(e, op, WEFT_NO_MEMORY);
}

/* -- C09: connect, prove, remember --------------------------------------------------- */

static void on_ensured(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    if (op->cmd != NULL) {
        struct conn *c = wf_peer_conn(e, &op->cmd->result.peer);
        if (c != NULL && err == WEFT_BLOCKED) wf_econn_close(e, c, WEFT_BLOCKED, "blocked");
        else if (c != NULL && err == WEFT_OK) wf_econn_registered(e, c);
    }
    done(e, op, err, req);
}

static void on_dialled(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    const struct wf_tp_dial *dial = (const struct wf_tp_dial *)req;
    struct wf_peer_req *ensure = NULL;
    if (err != WEFT_OK || op->cmd == NULL) {
        done(e, op, err, req);
        return;
    }
    ensure = wf_peer_req_create(WF_PEER_ENSURE);
    if (ensure == NULL) {
        done(e, op, WEFT_NO_MEMORY, req);
        return;
    }
    op->cmd->result.peer = dial->key;
    ensure->peer = dial->key;
    ensure->worked = dial->proved;
    memcpy(ensure->text, op->cmd->text, sizeof ensure->text);
    ask(e, op, e->table->peers, &ensure->req, on_ensured);
    done_quietly(e, op, req);
}

void wf_cmd_connect(struct engine *e, struct op *op)
{
    struct wf_tp_dial *dial = wf_tp_new(&wf_tp_dial_kind);
    if (dial == NULL) {
        wf_op_finish(e, op, WEFT_NO_MEMORY);
        return;
    }
    memcpy(dial->address, op->cmd->text, sizeof dial->address);
    dial->expect = op->cmd->has_peer;
    dial->key = op->cmd->peer;
    ask(e, op, e->table->transport, &dial->req, on_dialled);
}
