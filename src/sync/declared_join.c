/* SPDX-License-Identifier: Apache-2.0
 * declared_join.c - asking to be let into a tree before it is kept with a peer (declared.h).
 * Called by: declared.c, engine.c. May touch: one declared tree, requests to access.
 * Never: asks again what the peer has heard: access does, until it is decided. */
#include <string.h>

#include "declared.h"

/* By then the peer has answered and what follows is done, or another try is worth while. */
#define ASK_TIMEOUT_NS (120 * WEFT_SEC)

static weft_err end_of(weft_join_state state)
{
    switch (state) {
    case WEFT_JOIN_PENDING: return WEFT_AWAITING;
    case WEFT_JOIN_REJECTED: return WEFT_REJECTED;
    case WEFT_JOIN_EXPIRED: return WEFT_EXPIRED;
    default: return WEFT_OK;
    }
}

weft_err wf_djoin_stands(const struct declared *d)
{
    return d->joins && d->ask == NULL ? end_of(d->join) : WEFT_OK;
}

void wf_djoin_set(struct declared *d, struct wf_join_req **ask)
{
    weft_err stands = wf_djoin_stands(d);
    bool refused = stands == WEFT_REJECTED || stands == WEFT_EXPIRED;
    if (*ask == NULL || (d->joins && !refused)) return;
    d->ask = *ask;
    *ask = NULL;
    d->joins = true;
    d->join = WEFT_JOIN_PENDING;
    d->join_key = d->ask->key;
    d->attempts = 0;
}

static void heard(struct engine *e, struct declared *d, weft_join_state state)
{
    weft_drop(d->ask == NULL ? NULL : &d->ask->req.msg); /* with the pair, if it has one */
    d->ask = NULL;
    d->join = state;
    weft_err stands = wf_djoin_stands(d);
    if (stands != WEFT_OK) d->last_error = stands;
    if (stands == WEFT_REJECTED || stands == WEFT_EXPIRED) wf_declared_answer(e, d, stands);
}

static void on_asked(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct declared *d = arg;
    const struct wf_join_req *join = (const struct wf_join_req *)req;
    e->order++;
    if (err == WEFT_AWAITING) memcpy(d->join_id, join->outcome.id, sizeof d->join_id);
    switch (err) {
    case WEFT_OK: heard(e, d, WEFT_JOIN_GRANTED); break;
    case WEFT_AWAITING: heard(e, d, WEFT_JOIN_PENDING); break;
    case WEFT_REJECTED: heard(e, d, WEFT_JOIN_REJECTED); break;
    case WEFT_EXPIRED: heard(e, d, WEFT_JOIN_EXPIRED); break;
    default: break; /* it is asked again */
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_declared_tried(e, d, err);
}

void wf_djoin_ask(struct engine *e, struct declared *d)
{
    struct wf_join_req *ask = wf_join_req_copy(d->ask);
    weft_ns deadline = weft_now(e->self) + ASK_TIMEOUT_NS;
    weft_err err = WEFT_NO_MEMORY;
    if (ask != NULL)
        err = weft_ask(e->self, e->table->access, &ask->req, deadline, on_asked, d, NULL);
    if (err == WEFT_OK) return;
    weft_drop(ask == NULL ? NULL : &ask->req.msg);
    wf_declared_tried(e, d, err);
}

void wf_declared_on_over(struct engine *e, const struct wf_join_over *over)
{
    struct declared_key key = {over->server, over->tree};
    struct declared *d = (struct declared *)wf_table_find(&e->declared, &key);
    if (d == NULL || wf_djoin_stands(d) != WEFT_AWAITING ||
        !weft_key_equal(&d->join_key, &over->key) ||
        memcmp(d->join_id, over->id, sizeof d->join_id) != 0)
        return;
    heard(e, d, over->state);
    d->attempts = 0;
    wf_declared_try(e, d); /* granted: what is missing is the first sync */
}
