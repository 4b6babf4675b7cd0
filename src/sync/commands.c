/* SPDX-License-Identifier: Apache-2.0
 * commands.c - commands under way: taken, timed, answered exactly once.
 * Called by: engine.c, the rooms of the commands. May touch: ops.
 * Never: lets a command's failure reach the engine. */
#include <stddef.h>

#include "alloc.h"
#include "declared.h"
#include "engine_state.h"
#include "log.h"

void wf_op_put(struct op *op)
{
    WF_ASSERT(op->refs > 0);
    if (--op->refs > 0) return;
    if (op->record != NULL) weft_drop(&op->record->req.msg);
    wf_free(op->wants);
    wf_free(op->pairs);
    wf_free(op);
}

/* Sessions that send for this command have nobody to report to. */
static void leave_raws(struct engine *e, struct op *op)
{
    for (struct wf_link *at = e->sessions.first; op->raw_open > 0 && at != NULL;) {
        struct esession *es = (struct esession *)((char *)at - offsetof(struct esession, link));
        at = at->next;
        if (es->raw != op) continue;
        es->raw = NULL;
        op->raw_open--;
        wf_op_put(op);
    }
}

void wf_op_finish(struct engine *e, struct op *op, weft_err err)
{
    if (op->of_engine.in == NULL) return; /* finished before */
    struct declared *declared = op->declared;
    op->refs++;
    wf_list_remove(&op->of_engine);
    wf_list_remove(&op->of_declared);
    e->ops_count--;
    weft_timer_stop(e->self, &op->timer);
    for (uint32_t i = 0; i < op->wants_count; i++) wf_want_cancel(e, &op->wants[i]);
    if (op->wait.item.in != NULL) wf_e_disconnect_wait(e, &op->cmd->peer, &op->wait);
    if (op->listening) {
        wf_table_remove(&e->requests, &op->by_stream);
        op->listening = false;
    }
    leave_raws(e, op);
    struct wf_cmd *cmd = op->cmd;
    op->cmd = NULL;
    op->declared = NULL;
    if (cmd != NULL) weft_reply(&cmd->req, err);
    if (declared != NULL) wf_declared_tried(e, declared, err);
    wf_op_put(op); /* the list's */
    wf_op_put(op);
}

static void on_deadline(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)missed;
    struct engine *e = state;
    e->order++;
    wf_op_finish(e, (struct op *)((char *)timer - offsetof(struct op, timer)), WEFT_TIMED_OUT);
}

static struct op *op_create(struct engine *e)
{
    if (e->ops_count >= WEFT_COMMANDS_MAX) return NULL;
    struct op *op = wf_calloc(1, sizeof *op);
    if (op == NULL) return NULL;
    op->refs = 1;
    wf_list_add(&e->ops, &op->of_engine);
    e->ops_count++;
    return op;
}

struct op *wf_op_quiet(struct engine *e)
{
    struct op *op = op_create(e);
    if (op != NULL) op->quiet = true;
    return op;
}

weft_verdict wf_cmd_on(struct engine *e, struct wf_cmd *cmd)
{
    struct op *op = op_create(e);
    if (op == NULL) {
        weft_reply(&cmd->req, e->ops_count >= WEFT_COMMANDS_MAX ? WEFT_FULL : WEFT_NO_MEMORY);
        return WEFT_KEPT;
    }
    op->cmd = cmd;
    weft_ns deadline = weft_deadline(&cmd->req);
    if (deadline != WEFT_NEVER &&
        weft_timer_set(e->self, &op->timer, deadline, 0, on_deadline) != WEFT_OK) {
        wf_op_finish(e, op, WEFT_LIMIT);
        return WEFT_KEPT;
    }
    op->refs++; /* it may be over before we return */
    switch (cmd->op) {
    case WF_CMD_SEND_ENTRIES: wf_cmd_send_entries(e, op); break;
    case WF_CMD_SYNC_PEER: wf_cmd_sync_peer(e, op); break;
    case WF_CMD_SYNC_TREE: wf_cmd_sync_tree(e, op); break;
    case WF_CMD_ADD_TRANSPORT:
    case WF_CMD_START_SERVER:
    case WF_CMD_STOP_SERVER:
    case WF_CMD_SERVER_ADDRESS:
    case WF_CMD_SERVER_ADDRESSES: wf_cmd_server(e, op); break;
    case WF_CMD_CONNECT: wf_cmd_connect(e, op); break;
    case WF_CMD_SEND_REQUEST: wf_cmd_send_request(e, op); break;
    case WF_CMD_FLUSH: wf_cmd_flush(e, op); break;
    case WF_CMD_OFFERS: wf_cmd_offers(e, op); break;
    case WF_CMD_TICKET:
    case WF_CMD_TICKET_CONNECT: wf_cmd_ticket(e, op); break;
    case WF_CMD_DECLARE:
    case WF_CMD_DECLARED_STATUS:
    case WF_CMD_DECLARED_WAIT: wf_cmd_declare(e, op); break;
    case WF_CMD_JOIN: wf_cmd_join(e, op); break;
    default: wf_op_finish(e, op, WEFT_INVALID); break;
    }
    wf_op_put(op);
    return WEFT_KEPT;
}
