/* SPDX-License-Identifier: Apache-2.0
 * declared.c - trees that somebody keeps with a peer by a handle (declared.h).
 * Called by: engine.c, commands_declare.c, engine_{over,dial,timer}.c. May touch: its table, ops.
 * Never: keeps anything on disk; syncs what was synced once by itself: relations do that. */
#include "declared.h"

#include <stddef.h>

#include "alloc.h"
#include "block.h"
#include "keyset.h"
#include "log.h"

#define BACKOFF_NS WEFT_SEC

static struct declared *of_link(struct wf_link *link) { return (struct declared *)link; }

static struct declared *find(struct engine *e, const weft_key *peer, const weft_id *tree)
{
    struct declared_key key = {*peer, *tree};
    return of_link(wf_table_find(&e->declared, &key));
}

static void put(struct declared *d)
{
    WF_ASSERT(d->refs > 0);
    if (--d->refs > 0) return;
    weft_drop(d->ask == NULL ? NULL : &d->ask->req.msg);
    wf_free(d);
}

void wf_declared_answer(struct engine *e, struct declared *d, weft_err err)
{
    while (d->waits.first != NULL) {
        struct op *op = (struct op *)((char *)d->waits.first - offsetof(struct op, of_declared));
        wf_op_finish(e, op, err); /* takes it out */
    }
}

/* -- Trying ----------------------------------------------------------------------------- */

static void on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

static void later(struct engine *e, struct declared *d)
{
    uint32_t exponent = d->attempts < WEFT_BACKOFF_EXPONENT_MAX ? d->attempts
                                                                : WEFT_BACKOFF_EXPONENT_MAX;
    d->attempts++;
    (void)weft_timer_set(e->self, &d->timer,
                         weft_now(e->self) + wf_e_jitter(e, BACKOFF_NS << exponent), 0, on_timer);
}

static bool is_to_be_tried(const struct declared *d)
{
    if (d->gone || wf_djoin_stands(d) != WEFT_OK) return false;
    return d->ask != NULL || !d->synced;
}

void wf_declared_try(struct engine *e, struct declared *d)
{
    if (d->trying || !is_to_be_tried(d)) {
        d->try_now = d->trying;
        return;
    }
    weft_timer_stop(e->self, &d->timer);
    if (d->ask != NULL) {
        d->trying = true;
        d->try_now = false;
        d->refs++;
        wf_djoin_ask(e, d);
        return;
    }
    struct op *op = wf_op_quiet(e);
    if (op == NULL) {
        later(e, d);
        return;
    }
    d->trying = true;
    d->try_now = false;
    d->refs++;
    op->declared = d;
    weft_err err = wf_op_want_room(op, 1);
    if (err != WEFT_OK) {
        wf_op_finish(e, op, err);
        return;
    }
    wf_op_want_add(op, &d->key.peer, &d->key.tree, false);
    wf_op_wants_start(e, op);
}

void wf_declared_tried(struct engine *e, struct declared *d, weft_err err)
{
    d->trying = false;
    if (err == WEFT_OK) wf_declared_synced(e, &d->key.peer, &d->key.tree);
    else if (wf_keyset_has(e->table->blocked, &d->key.peer)) d->last_error = WEFT_BLOCKED;
    else d->last_error = err;
    if (is_to_be_tried(d)) {
        if (d->try_now) d->attempts = 0;
        later(e, d);
    }
    put(d);
}

static void on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)missed;
    struct engine *e = state;
    e->order++;
    wf_declared_try(e, (struct declared *)((char *)timer - offsetof(struct declared, timer)));
}

/* -- Handles ---------------------------------------------------------------------------- */

void wf_declared_init(struct engine *e)
{
    wf_table_init(&e->declared, offsetof(struct declared, key), sizeof(struct declared_key),
                  e->salt);
}

weft_err wf_declared_open(struct engine *e, const weft_key *peer, const weft_id *tree,
                          struct wf_join_req **ask)
{
    struct declared *d = find(e, peer, tree);
    if (d == NULL) {
        if (e->declared.count >= WEFT_DECLARED_MAX) return WEFT_LIMIT;
        d = wf_calloc(1, sizeof *d);
        if (d == NULL) return WEFT_NO_MEMORY;
        d->key = (struct declared_key){*peer, *tree};
        if (wf_table_add(&e->declared, &d->link) != WEFT_OK) {
            wf_free(d);
            return WEFT_NO_MEMORY;
        }
        d->refs = 1;
    }
    d->handles++;
    wf_djoin_set(d, ask);
    wf_declared_try(e, d);
    return WEFT_OK;
}

static void close_all(struct engine *e, struct declared *d)
{
    d->gone = true;
    wf_table_remove(&e->declared, &d->link);
    weft_timer_stop(e->self, &d->timer);
    wf_declared_answer(e, d, WEFT_CLOSED);
    put(d);
}

void wf_declared_fini(struct engine *e)
{
    while (e->declared.first != NULL) close_all(e, of_link(e->declared.first));
    wf_table_fini(&e->declared);
}

void wf_declared_on_note(struct engine *e, const struct wf_declared_note *note)
{
    struct declared *d = find(e, &note->peer, &note->tree);
    if (d == NULL) return;
    if (!note->end) {
        d->attempts = 0;
        wf_declared_try(e, d);
    } else if (--d->handles == 0) {
        close_all(e, d);
    }
}

/* -- Asked ------------------------------------------------------------------------------ */

static weft_connection connection_of(struct engine *e, const struct declared *d)
{
    if (wf_peer_conn(e, &d->key.peer) != NULL) return WEFT_CONNECTED;
    struct peer *p = (struct peer *)wf_table_find(&e->peers, d->key.peer.bytes);
    if (p != NULL && p->dialling) return WEFT_CONNECTING;
    return d->unreached ? WEFT_CONN_FAILED : WEFT_DISCONNECTED;
}

void wf_declared_status(struct engine *e, struct op *op)
{
    struct wf_cmd *cmd = op->cmd;
    const struct declared *d = find(e, &cmd->peer, &cmd->tree);
    if (d == NULL) {
        wf_op_finish(e, op, WEFT_NOT_FOUND);
        return;
    }
    wf_tree_info info;
    struct conn *c = wf_peer_conn(e, &cmd->peer);
    const struct esession *es = c == NULL ? NULL : wf_es_by_tree(e, c, &cmd->tree);
    bool here = wf_store_tree(e->table->wf_store, &cmd->tree, &info) == WEFT_OK;
    cmd->status = (weft_sync_status){.has_local_data = here && info.has_root,
                                     .live = es != NULL && es->s.phase == WF_S_LIVE && es->s.live,
                                     .connection = connection_of(e, d),
                                     .last_sync_ms = d->last_sync_ms,
                                     .last_error = d->last_error,
                                     .join = d->joins ? d->join : WEFT_JOIN_GRANTED};
    wf_op_finish(e, op, WEFT_OK);
}

void wf_declared_wait(struct engine *e, struct op *op)
{
    struct declared *d = find(e, &op->cmd->peer, &op->cmd->tree);
    if (d == NULL) wf_op_finish(e, op, WEFT_NOT_FOUND);
    else if (d->synced) wf_op_finish(e, op, WEFT_OK);
    else if (wf_keyset_has(e->table->blocked, &d->key.peer)) wf_op_finish(e, op, WEFT_BLOCKED);
    else if (d->joins && d->ask == NULL && d->join >= WEFT_JOIN_REJECTED)
        wf_op_finish(e, op, wf_djoin_stands(d));
    else wf_list_add(&d->waits, &op->of_declared);
}

/* -- Told ------------------------------------------------------------------------------- */

void wf_declared_synced(struct engine *e, const weft_key *peer, const weft_id *tree)
{
    struct declared *d = find(e, peer, tree);
    if (d == NULL) return;
    d->synced = true;
    d->unreached = false;
    d->attempts = 0;
    d->last_error = WEFT_OK;
    d->last_sync_ms = wf_wall_ms(e->table->rt);
    if (d->ask == NULL) weft_timer_stop(e->self, &d->timer);
    wf_declared_answer(e, d, WEFT_OK);
}

void wf_declared_failed(struct engine *e, const weft_key *peer, const weft_id *tree, weft_err err)
{
    struct declared *d = find(e, peer, tree);
    if (d != NULL && wf_djoin_stands(d) == WEFT_OK) d->last_error = err; /* that tells more */
}

void wf_declared_reached(struct engine *e, const weft_key *peer, weft_err err)
{
    for (struct wf_link *at = e->declared.first; at != NULL; at = at->next) {
        struct declared *d = of_link(at);
        if (!weft_key_equal(&d->key.peer, peer)) continue;
        d->unreached = err != WEFT_OK;
        if (err != WEFT_OK) d->last_error = err;
    }
}

void wf_declared_blocked(struct engine *e, const weft_key *peer)
{
    for (struct wf_link *at = e->declared.first; at != NULL; at = at->next) {
        struct declared *d = of_link(at);
        if (!weft_key_equal(&d->key.peer, peer)) continue;
        d->last_error = WEFT_BLOCKED;
        wf_declared_answer(e, d, WEFT_BLOCKED);
    }
}
