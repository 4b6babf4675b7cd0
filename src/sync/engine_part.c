/* SPDX-License-Identifier: Apache-2.0
 * engine_part.c - a peer was blocked: nothing of it may come or go any more before whoever blocked it
 * hears that it is done.
 * Called by: engine.c. May touch: the peer's dials and handles; asks to transport.
 * Never: waits for the network, or for the peer to read that it is over. */
#include <string.h>

#include "declared.h"
#include "engine_state.h"

/* DOWN of what was up came before this, on the same way: no session of the peer is left. */
static void on_parted(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct wf_peer_part *part = arg;
    e->order++;
    weft_drop(req == NULL ? NULL : &req->msg);
    weft_reply(&part->req, err == WEFT_CANCELED ? WEFT_CLOSED : err);
}

weft_verdict wf_part_on_ask(struct engine *e, struct wf_peer_part *part)
{
    struct peer *p = (struct peer *)wf_table_find(&e->peers, part->peer.bytes);
    struct wf_tp_part *close = part->close;
    wf_e_note_pair(e, &part->peer, NULL, WF_Q_UNRELATED, 0);
    wf_declared_blocked(e, &part->peer);
    if (p != NULL) {
        wf_dial_off(e, p);
        wf_peer_settle(e, p);
    }
    part->close = NULL;
    close->key = part->peer;
    close->why = WEFT_BLOCKED;
    memcpy(close->text, "blocked", sizeof "blocked");
    weft_err err = weft_ask(e->self, e->table->transport, &close->req, WEFT_NEVER, on_parted, part,
                            NULL);
    if (err == WEFT_OK) return WEFT_KEPT;
    weft_drop(&close->req.msg);
    weft_reply(&part->req, err);
    return WEFT_KEPT;
}
