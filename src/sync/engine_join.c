/* SPDX-License-Identifier: Apache-2.0
 * engine_join.c - JOIN and JOINED: what peers ask and decide, passed on to access and back.
 * Called by: engine.c, engine_frame.c, engine_conn.c, commands_join.c.
 * May touch: connections, the keyring; asks to access.
 * Never: checks a signature that nobody paid for; looks at a tree before the signature. */
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "engine_state.h"
#include "joining.h"
#include "keyring.h"
#include "log.h"

/* -- A peer asks ------------------------------------------------------------------------ */

static bool is_device(const struct conn *c, const weft_key *key)
{
    return weft_key_equal(key, &c->peer->key);
}

/* What it signed it holds: since it was heard the key counts for the peer, as after PROVE. */
static weft_err prove(struct engine *e, struct conn *c, const weft_key *key)
{
    if (is_device(c, key)) return WEFT_OK;
    weft_err err = wf_keyring_add(e->table->keyring, &c->peer->key, key);
    if (err == WEFT_OK) wf_econn_open_related(e, c);
    return err == WEFT_EXISTS ? WEFT_OK : err;
}

/* A key that could not count would be granted a right in vain. */
static weft_err room_of(const struct engine *e, const struct conn *c, const weft_key *key)
{
    const weft_key *peer = &c->peer->key;
    if (is_device(c, key) || wf_keyring_room(e->table->keyring, peer, key, c->judging))
        return WEFT_OK;
    return wf_keyring_room(e->table->keyring, peer, key, 0) ? WEFT_BUSY : WEFT_LIMIT;
}

static void on_judged(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct conn *c = arg;
    struct wf_join_in *in = (struct wf_join_in *)req;
    e->order++;
    if (in != NULL && !weft_key_equal(&in->join.key, &in->device)) c->judging--;
    if (!c->gone && err == WEFT_OK) err = prove(e, c, &in->join.key);
    if (!c->gone && err == WEFT_OK) {
        in->said.stream = in->join.stream;
        wf_e_control(e, c->id, in->join.stream, wf_joined_encode(&in->said));
    } else if (!c->gone && in != NULL) {
        wf_e_refuse(e, c, in->join.stream, err, wf_wire_code_of(err) == WF_W_BUSY ? 1000 : 0);
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_econn_put(e, c);
}

static void pass_on(struct engine *e, struct conn *c, const struct wf_join_ask *join)
{
    struct wf_join_in *in = (struct wf_join_in *)weft_new(&wf_join_in_kind);
    if (in == NULL) {
        wf_e_refuse(e, c, join->stream, WEFT_NO_MEMORY, 1000);
        return;
    }
    in->conn = c->id;
    in->device = c->peer->key;
    memcpy(in->from, c->up->address, sizeof in->from);
    in->join = *join;
    in->join.meta = in->meta;
    if (join->meta_len > 0) memcpy(in->meta, join->meta, join->meta_len);
    c->refs++;
    if (wf_e_ask(e, e->table->access, &in->req, on_judged, c)) {
        if (!is_device(c, &join->key)) c->judging++;
        return;
    }
    wf_econn_put(e, c);
}

static weft_err judge(const struct engine *e, const struct conn *c, const struct wf_join_ask *join)
{
    uint8_t text[WF_JOIN_TEXT_MAX];
    size_t len;
    wf_join_text(c->up->channel, &c->peer->key, &e->table->self, join, text, &len);
    return wf_verify(&join->key, WF_PURPOSE_ACCESS, text, len, join->sig);
}

void wf_join_on_frame(struct engine *e, struct conn *c, const struct wf_tp_frame *f)
{
    struct wf_join_ask join;
    if (wf_join_decode(f->bytes, f->len, &join) != WEFT_OK || !wf_e_stream_fits(c, join.stream)) {
        wf_econn_close(e, c, WEFT_PROTOCOL, "JOIN");
        return;
    }
    wf_e_stream_used(c, join.stream);
    if (join.stream == c->refused_stream) return; /* it was told so already */
    weft_err err = wf_proof_room(e, c) ? judge(e, c, &join) : WEFT_BUSY;
    if (err == WEFT_OK) err = room_of(e, c, &join.key);
    switch (err) {
    case WEFT_OK: pass_on(e, c, &join); break;
    case WEFT_BAD_SIGNATURE: wf_econn_close(e, c, WEFT_AUTH, "JOIN"); break;
    default:
        wf_e_refuse(e, c, join.stream, err, wf_wire_code_of(err) == WF_W_BUSY ? 1000 : 0);
        break;
    }
}

void wf_join_on_said(struct engine *e, const struct wf_join_said *said)
{
    wf_e_control(e, said->conn, said->said.stream, wf_joined_encode(&said->said));
}

/* -- A peer decides --------------------------------------------------------------------- */

static struct joining *joining_of(const struct conn *c, const uint8_t id[16])
{
    for (uint32_t i = 0; i < WEFT_JOINS_PER_PEER_MAX; i++)
        if (c->joining[i].stream != 0 && memcmp(c->joining[i].id, id, sizeof c->joining[i].id) == 0)
            return (struct joining *)(uintptr_t)&c->joining[i];
    return NULL;
}

bool wf_join_is_waited_for(const struct conn *c, const uint8_t id[16])
{
    return joining_of(c, id) != NULL;
}

void wf_join_wait(struct conn *c, uint32_t stream, const uint8_t id[16])
{
    struct joining *at = joining_of(c, id);
    if (at == NULL) at = &c->joining[c->joining_next++ % WEFT_JOINS_PER_PEER_MAX];
    at->stream = stream;
    memcpy(at->id, id, sizeof at->id);
}

/* Once for each request that waits; what else comes is nothing that was asked for. */
void wf_joined_on_frame(struct engine *e, struct conn *c, const struct wf_tp_frame *f)
{
    struct wf_joined joined;
    if (wf_joined_decode(f->bytes, f->len, &joined) != WEFT_OK) {
        wf_econn_close(e, c, WEFT_PROTOCOL, "JOINED");
        return;
    }
    struct joining *at = joining_of(c, joined.id);
    if (at == NULL || at->stream != joined.stream) return;
    struct wf_join_said *said = (struct wf_join_said *)weft_new(&wf_join_said_kind);
    at->stream = 0; /* short memory: it is asked for later */
    if (said == NULL) return;
    said->conn = c->id;
    said->device = c->peer->key;
    said->said = joined;
    wf_e_send(e, e->table->access, &said->msg);
}

void wf_join_tell_up(struct engine *e, const struct conn *c)
{
    if ((c->up->caps & WF_CAP_ACCESS) == 0) return;
    struct wf_join_up *up = (struct wf_join_up *)weft_new(&wf_join_up_kind);
    if (up == NULL) return;
    up->peer = c->peer->key;
    wf_e_send(e, e->table->access, &up->msg);
}
