/* SPDX-License-Identifier: Apache-2.0
 * engine_want.c - somebody wants a tree synced with a peer: by a connection, then by a
 * session that begins now, or by a barrier on a live one.
 * Called by: commands_sync.c, engine_over.c, engine_session.c. May touch: wants.
 * Never: takes what was agreed before the wish for its fulfilment. */
#include "engine_state.h"

void wf_want_done(struct engine *e, struct want *want, weft_err err, struct esession *es)
{
    struct op *op = want->op;
    if (es != NULL && op->cmd != NULL) {
        uint64_t sent = es->s.sent + es->s.pushed;
        op->cmd->result.sent += sent - (sent < want->sent0 ? sent : want->sent0);
        op->cmd->result.received += es->s.received - want->received0;
    }
    wf_op_want_ended(e, op, want, err);
}

void wf_want_attach(struct engine *e, struct want *want, struct esession *es)
{
    bool live = es->s.phase == WF_S_LIVE;
    want->sent0 = live ? es->s.sent + es->s.pushed : 0;
    want->received0 = live ? es->s.received : 0;
    wf_list_add(&es->wants, &want->of_session);
    if (live && es->s.live)
        wf_es_run(e, es, &(struct wf_session_event){.kind = WF_E_BARRIER}, NULL);
    /* Otherwise its success, or its end, looks at who waits. */
}

static void on_connected(struct engine *e, struct conn_wait *wait, weft_err err, struct conn *c)
{
    struct want *want = (struct want *)wait;
    if (c == NULL) {
        wf_want_done(e, want, err, NULL);
        return;
    }
    struct esession *es = wf_es_by_tree(e, c, &want->tree);
    if (es != NULL) {
        wf_want_attach(e, want, es);
        return;
    }
    /* Its answers come later, so no end of the session can miss the want. */
    err = wf_es_open(e, c, &want->tree, 0, &es);
    if (err != WEFT_OK) wf_want_done(e, want, err, NULL);
    else wf_want_attach(e, want, es);
}

void wf_want_start(struct engine *e, struct want *want)
{
    want->wait.fn = on_connected;
    wf_e_connect(e, &want->peer, &want->wait);
}

void wf_want_cancel(struct engine *e, struct want *want)
{
    wf_list_remove(&want->of_session);
    if (want->wait.item.in != NULL) wf_e_disconnect_wait(e, &want->peer, &want->wait);
}
