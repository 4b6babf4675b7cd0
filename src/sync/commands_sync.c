/* SPDX-License-Identifier: Apache-2.0
 * commands_sync.c - sync with a peer, sync a tree, flush: commands made of wants.
 * Called by: commands.c, engine_want.c, engine_timer.c. May touch: ops.
 * Never: stops at the first failure; the others are still tried. */
#include "alloc.h"
#include "engine_state.h"

/* -- Wants --------------------------------------------------------------------------- */

weft_err wf_op_want_room(struct op *op, uint32_t count)
{
    op->wants = wf_calloc(count == 0 ? 1 : count, sizeof *op->wants);
    return op->wants == NULL ? WEFT_NO_MEMORY : WEFT_OK;
}

void wf_op_want_add(struct op *op, const weft_key *peer, const weft_id *tree, bool retry)
{
    struct want *want = &op->wants[op->wants_count++];
    want->op = op;
    want->peer = *peer;
    want->tree = *tree;
    want->retry = retry;
}

/* Starts those of the present half: a flush takes the pairs in back-off first. */
static void start_half(struct engine *e, struct op *op, bool retry)
{
    op->wants_open = 1; /* until all are started */
    for (uint32_t i = 0; i < op->wants_count; i++) {
        struct want *want = &op->wants[i];
        if (want->retry != retry) continue;
        want->began = e->order;
        op->wants_open++;
        op->refs++;
        wf_want_start(e, want);
        wf_op_put(op);
        if (op->of_engine.in == NULL) return;
    }
    wf_op_want_ended(e, op, NULL, WEFT_OK);
}

static void finish(struct engine *e, struct op *op)
{
    weft_err err = op->first_err;
    if (err != WEFT_OK && wf_ticket_again(e, op)) return;
    if (op->cmd != NULL && op->cmd->op == WF_CMD_FLUSH && err != WEFT_OK) err = WEFT_NETWORK;
    wf_op_finish(e, op, err);
}

static void on_related(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)err; /* a peer that is not registered has no relations */
    struct op *op = arg;
    weft_drop(req == NULL ? NULL : &req->msg);
    finish(state, op);
    wf_op_put(op);
}

/* What was synced once is related from then on (REFERENCE S16). */
static bool relate(struct engine *e, struct op *op)
{
    if (op->cmd == NULL || op->first_err != WEFT_OK) return false;
    if (op->cmd->op != WF_CMD_SYNC_TREE && op->cmd->op != WF_CMD_TICKET) return false;
    if (op->cmd->op == WF_CMD_TICKET) wf_ticket_reached(e, op);
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_RELATE);
    if (req == NULL) return false;
    req->peer = op->cmd->peer;
    req->tree = op->cmd->tree;
    op->refs++;
    if (wf_e_ask(e, e->table->peers, &req->req, on_related, op)) return true;
    op->refs--;
    return false;
}

void wf_op_want_ended(struct engine *e, struct op *op, struct want *want, weft_err err)
{
    if (op->of_engine.in == NULL) return;
    if (err != WEFT_OK && op->first_err == WEFT_OK) op->first_err = err;
    if (err != WEFT_OK && op->cmd != NULL && want != NULL) {
        if (want->retry) op->cmd->result.retry_failures++;
        else op->cmd->result.new_failures++;
    }
    if (--op->wants_open > 0) return;
    if (!op->second_half) {
        op->second_half = true;
        start_half(e, op, false);
    } else if (!relate(e, op)) {
        finish(e, op);
    }
}

void wf_op_wants_start(struct engine *e, struct op *op) { start_half(e, op, true); }

/* -- C02: all trees of a peer -------------------------------------------------------- */

static void on_trees(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    const struct wf_peer_req *trees = (const struct wf_peer_req *)req;
    e->order++;
    if (op->cmd == NULL) goto done;
    if (err == WEFT_OK) err = wf_op_want_room(op, trees->count);
    if (err != WEFT_OK) {
        wf_op_finish(e, op, err);
        goto done;
    }
    for (uint32_t i = 0; i < trees->count; i++)
        wf_op_want_add(op, &op->cmd->peer, &trees->ids[i], false);
    wf_op_wants_start(e, op);
done:
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_put(op);
}

void wf_cmd_sync_peer(struct engine *e, struct op *op)
{
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_TREES);
    if (req == NULL) {
        wf_op_finish(e, op, WEFT_NO_MEMORY);
        return;
    }
    req->peer = op->cmd->peer;
    op->refs++;
    if (wf_e_ask(e, e->table->peers, &req->req, on_trees, op)) return;
    wf_op_finish(e, op, WEFT_CLOSED);
    wf_op_put(op);
}

void wf_cmd_sync_tree(struct engine *e, struct op *op)
{
    weft_err err = wf_op_want_room(op, 1);
    if (err != WEFT_OK) {
        wf_op_finish(e, op, err);
        return;
    }
    wf_op_want_add(op, &op->cmd->peer, &op->cmd->tree, false);
    wf_op_wants_start(e, op);
}

/* -- C11: everything that somebody has not acknowledged ------------------------------ */

static void on_pairs(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct op *op = arg;
    const struct wf_q_pairs *pairs = (const struct wf_q_pairs *)req;
    e->order++;
    if (op->cmd == NULL) goto done;
    if (err == WEFT_OK) err = wf_op_want_room(op, pairs->count);
    if (err != WEFT_OK) {
        wf_op_finish(e, op, err);
        goto done;
    }
    for (uint32_t i = 0; i < pairs->count; i++)
        if (pairs->pairs[i].behind)
            wf_op_want_add(op, &pairs->pairs[i].peer, &pairs->pairs[i].tree,
                           pairs->pairs[i].in_backoff);
    wf_op_wants_start(e, op);
done:
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_op_put(op);
}

void wf_cmd_flush(struct engine *e, struct op *op)
{
    struct wf_q_pairs *req = wf_q_new(&wf_q_pairs_kind);
    if (req == NULL) {
        wf_op_finish(e, op, WEFT_NO_MEMORY);
        return;
    }
    op->refs++;
    if (wf_e_ask(e, e->table->queue, &req->req, on_pairs, op)) return;
    wf_op_finish(e, op, WEFT_CLOSED);
    wf_op_put(op);
}
