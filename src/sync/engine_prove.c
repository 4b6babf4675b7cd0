/* SPDX-License-Identifier: Apache-2.0
 * engine_prove.c - keys beside the device's: shown to peers, and judged when they are shown.
 * Called by: engine.c, engine_frame.c, engine_effect.c, engine_conn.c.
 * May touch: connections, the keyring, who is known; signs through identities.c.
 * Never: checks a signature that nobody paid for; shows a key to who did not say that it would
 * understand; says more than that a signature is wrong. */
#include <stddef.h>

#include "crypto.h"
#include "engine_state.h"
#include "identities.h"
#include "keyring.h"
#include "keyset.h"
#include "log.h"

/* -- What it costs ---------------------------------------------------------------------- */

static bool has_room(struct bucket *b, weft_ns now, uint32_t most, weft_ns every)
{
    uint64_t back = (now - b->since) / every;
    if (b->spent == 0 || back >= b->spent) {
        b->spent = 0;
        b->since = now;
    } else {
        b->spent -= (uint32_t)back;
        b->since += back * every;
    }
    return b->spent < most;
}

bool wf_proof_room(struct engine *e, struct conn *c)
{
    weft_ns now = weft_now(e->self);
    if (!has_room(&c->proofs, now, WEFT_PROOFS_PER_CONNECTION, WEFT_PROOF_EVERY_NS)) return false;
    /* Strangers leave a part to those who are registered here, however many they are. */
    bool known = wf_keyset_has(e->table->known, &c->peer->key);
    uint32_t most = WEFT_PROOFS_NODE - (known ? 0 : WEFT_PROOFS_KNOWN);
    if (!has_room(&e->proofs, now, most, WEFT_PROOF_NODE_EVERY_NS)) return false;
    c->proofs.spent++;
    e->proofs.spent++;
    return true;
}

/* -- Ours ------------------------------------------------------------------------------- */

/* The tree's key, if the peer would understand it and has not been shown it yet. */
static bool to_show(struct engine *e, const struct conn *c, const weft_id *tree, weft_key *key)
{
    if ((c->up->caps & WF_CAP_ACCESS) == 0) return false;
    if (!wf_identities_key(e->table->identities, tree, key)) return false;
    if (weft_key_equal(key, &e->table->self)) return false; /* the channel has proven it */
    for (uint32_t i = 0; i < c->shown_count; i++)
        if (weft_key_equal(key, &c->shown[i].key)) return false;
    if (c->shown_count < WEFT_PROVEN_KEYS_MAX) return true;
    wf_log(WEFT_LOG_WARN, "sync", "a connection has been shown %u keys: the next is not shown",
           WEFT_PROVEN_KEYS_MAX);
    return false;
}

void wf_prove_before(struct engine *e, struct conn *c, const weft_id *tree, uint32_t stream)
{
    struct wf_prove prove = {.stream = stream};
    uint8_t text[WF_PROVE_TEXT_BYTES];
    if (c->gone || !to_show(e, c, tree, &prove.key)) return;
    wf_prove_text(c->up->channel, &e->table->self, &c->peer->key, stream, text);
    weft_err err = wf_identities_sign(e->table->identities, tree, text, sizeof text, &prove.key,
                                      prove.sig);
    weft_buf *frame = err == WEFT_OK ? wf_prove_encode(&prove) : NULL;
    if (frame == NULL) return; /* short memory, or it was taken away just now: it is not shown */
    c->shown[c->shown_count++] = (struct shown){prove.key, stream};
    wf_e_control(e, c->id, stream, frame);
}

void wf_prove_alone(struct engine *e, struct conn *c, const weft_id *tree)
{
    weft_key key;
    if (c->gone || !to_show(e, c, tree, &key)) return;
    uint32_t stream = wf_econn_stream(c);
    if (stream != 0) wf_prove_before(e, c, tree, stream);
}

void wf_prove_on_busy(struct conn *c, uint32_t stream)
{
    for (uint32_t i = 0; i < c->shown_count; i++) {
        if (c->shown[i].stream != stream) continue;
        c->shown[i] = c->shown[--c->shown_count]; /* with the next session it is shown again */
        return;
    }
}

void wf_prove_on_identity(struct engine *e)
{
    for (struct wf_link *at = e->conns.first; at != NULL; at = at->next) {
        struct conn *c = (struct conn *)((char *)at - offsetof(struct conn, link));
        if ((c->up->caps & WF_CAP_ACCESS) != 0) wf_econn_open_related(e, c);
    }
}

/* -- A peer's --------------------------------------------------------------------------- */

static weft_err judge(struct engine *e, const struct conn *c, const struct wf_prove *prove)
{
    uint8_t text[WF_PROVE_TEXT_BYTES];
    wf_prove_text(c->up->channel, &c->peer->key, &e->table->self, prove->stream, text);
    weft_err err = wf_verify(&prove->key, WF_PURPOSE_ACCESS, text, sizeof text, prove->sig);
    if (err != WEFT_OK) return err;
    return wf_keyring_add(e->table->keyring, &c->peer->key, &prove->key);
}

void wf_prove_on_frame(struct engine *e, struct conn *c, const struct wf_tp_frame *f)
{
    struct wf_prove prove;
    if (wf_prove_decode(f->bytes, f->len, &prove) != WEFT_OK ||
        !wf_e_stream_fits(c, prove.stream)) {
        wf_econn_close(e, c, WEFT_PROTOCOL, "PROVE");
        return;
    }
    weft_err err = wf_proof_room(e, c) ? judge(e, c, &prove) : WEFT_BUSY;
    switch (err) {
    case WEFT_OK: wf_econn_open_related(e, c); break; /* what it may read may have become more */
    case WEFT_EXISTS: break;
    case WEFT_BAD_SIGNATURE: wf_econn_close(e, c, WEFT_AUTH, "PROVE"); break;
    case WEFT_LIMIT: wf_econn_close(e, c, WEFT_LIMIT, "too many keys"); break;
    default:
        c->refused_stream = prove.stream;
        wf_e_refuse(e, c, prove.stream, err, 1000);
        break;
    }
}
