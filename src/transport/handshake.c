/* SPDX-License-Identifier: Apache-2.0
 * handshake.c - a Noise handshake as a table of tokens.
 * Called by: session.c (XX), tests (XX and IK against published vectors).
 * May touch: noise_core.h. Never: libsodium, sockets, device keys. */
#include <string.h>

#include "log.h"
#include "noise_core.h"

#define TAG_BYTES 16u
#define TOKENS_MAX 4u
#define MESSAGES_MAX 3u

enum token { END, E, S, EE, ES, SE, SS };

struct pattern {
    const char *protocol;
    bool responder_known; /* "<- s" before the first message */
    unsigned messages;
    enum token tokens[MESSAGES_MAX][TOKENS_MAX + 1];
};

static const struct pattern patterns[] = {
    [WF_NOISE_XX] = {"Noise_XX_25519_ChaChaPoly_BLAKE2b",
                     false,
                     3,
                     {{E, END}, {E, EE, S, ES, END}, {S, SE, END}}},
    [WF_NOISE_IK] = {"Noise_IK_25519_ChaChaPoly_BLAKE2b",
                     true,
                     2,
                     {{E, ES, S, SS, END}, {E, EE, SE, END}}},
};

void wf_handshake_init(struct wf_handshake *hs, enum wf_noise_pattern pattern, bool initiator,
                       const void *prologue, size_t prologue_len,
                       const uint8_t s[WF_NOISE_DH_BYTES],
                       const uint8_t remote_static[WF_NOISE_DH_BYTES])
{
    const struct pattern *p = &patterns[pattern];
    memset(hs, 0, sizeof *hs);
    hs->pattern = pattern;
    hs->initiator = initiator;
    memcpy(hs->s, s, sizeof hs->s);
    wf_dh_public(hs->s, hs->s_public);
    if (remote_static != NULL) memcpy(hs->rs, remote_static, sizeof hs->rs);
    wf_symmetric_init(&hs->symmetric, p->protocol);
    wf_symmetric_mix_hash(&hs->symmetric, prologue, prologue_len);
    if (p->responder_known) {
        WF_ASSERT(!initiator || remote_static != NULL);
        wf_symmetric_mix_hash(&hs->symmetric, initiator ? hs->rs : hs->s_public, WF_NOISE_DH_BYTES);
    }
}

void wf_handshake_ephemeral(struct wf_handshake *hs, const uint8_t e[WF_NOISE_DH_BYTES])
{
    WF_ASSERT(!hs->ephemeral_set);
    memcpy(hs->e, e, sizeof hs->e);
    wf_dh_public(hs->e, hs->e_public);
    hs->ephemeral_set = true;
}

bool wf_handshake_done(const struct wf_handshake *hs)
{
    return hs->messages == patterns[hs->pattern].messages;
}

bool wf_handshake_my_turn(const struct wf_handshake *hs)
{
    return !wf_handshake_done(hs) && (hs->messages % 2 == 0) == hs->initiator;
}

/* "es" is the initiator's ephemeral with the responder's static key, so each side
 * takes another pair of its own keys for it; "se" the other way round. */
static weft_err mix_token(struct wf_handshake *hs, enum token t)
{
    switch (t) {
    case EE: return wf_symmetric_mix_dh(&hs->symmetric, hs->e, hs->re);
    case SS: return wf_symmetric_mix_dh(&hs->symmetric, hs->s, hs->rs);
    case ES:
        return hs->initiator ? wf_symmetric_mix_dh(&hs->symmetric, hs->e, hs->rs)
                             : wf_symmetric_mix_dh(&hs->symmetric, hs->s, hs->re);
    case SE:
        return hs->initiator ? wf_symmetric_mix_dh(&hs->symmetric, hs->s, hs->re)
                             : wf_symmetric_mix_dh(&hs->symmetric, hs->e, hs->rs);
    case END:
    case E:
    case S: break;
    }
    return WEFT_INTERNAL;
}

weft_err wf_handshake_write_begin(struct wf_handshake *hs, uint8_t *out, size_t *len)
{
    size_t at = 0, wrote;
    weft_err err = WEFT_OK;
    WF_ASSERT(wf_handshake_my_turn(hs) && hs->ephemeral_set);
    for (const enum token *t = patterns[hs->pattern].tokens[hs->messages]; *t != END; t++) {
        if (*t == E) {
            memcpy(out + at, hs->e_public, WF_NOISE_DH_BYTES);
            wf_symmetric_mix_hash(&hs->symmetric, hs->e_public, WF_NOISE_DH_BYTES);
            at += WF_NOISE_DH_BYTES;
        } else if (*t == S) {
            err = wf_symmetric_encrypt(&hs->symmetric, hs->s_public, WF_NOISE_DH_BYTES, out + at,
                                       &wrote);
            if (err == WEFT_OK) at += wrote;
        } else {
            err = mix_token(hs, *t);
        }
        if (err != WEFT_OK) return err;
    }
    *len = at;
    return WEFT_OK;
}

weft_err wf_handshake_write_end(struct wf_handshake *hs, const uint8_t *payload, size_t payload_len,
                                uint8_t *out, size_t *len)
{
    weft_err err = wf_symmetric_encrypt(&hs->symmetric, payload, payload_len, out, len);
    if (err == WEFT_OK) hs->messages++;
    return err;
}

weft_err wf_handshake_read_begin(struct wf_handshake *hs, const uint8_t *data, size_t len,
                                 size_t *used)
{
    size_t at = 0, got;
    weft_err err = WEFT_OK;
    WF_ASSERT(!wf_handshake_my_turn(hs) && !wf_handshake_done(hs));
    for (const enum token *t = patterns[hs->pattern].tokens[hs->messages]; *t != END; t++) {
        if (*t == E) {
            if (len - at < WF_NOISE_DH_BYTES) return WEFT_SYNTAX;
            memcpy(hs->re, data + at, WF_NOISE_DH_BYTES);
            wf_symmetric_mix_hash(&hs->symmetric, hs->re, WF_NOISE_DH_BYTES);
            at += WF_NOISE_DH_BYTES;
        } else if (*t == S) {
            size_t sealed = WF_NOISE_DH_BYTES + (hs->symmetric.cipher.keyed ? TAG_BYTES : 0);
            if (len - at < sealed) return WEFT_SYNTAX;
            err = wf_symmetric_decrypt(&hs->symmetric, data + at, sealed, hs->rs, &got);
            at += sealed;
        } else {
            err = mix_token(hs, *t);
        }
        if (err != WEFT_OK) return err;
    }
    *used = at;
    return WEFT_OK;
}

weft_err wf_handshake_read_end(struct wf_handshake *hs, const uint8_t *data, size_t len,
                               uint8_t *payload, size_t *payload_len)
{
    weft_err err = wf_symmetric_decrypt(&hs->symmetric, data, len, payload, payload_len);
    if (err == WEFT_OK) hs->messages++;
    return err;
}

void wf_handshake_split(const struct wf_handshake *hs, struct wf_cipher *send,
                        struct wf_cipher *receive)
{
    WF_ASSERT(wf_handshake_done(hs));
    if (hs->initiator) wf_symmetric_split(&hs->symmetric, send, receive);
    else wf_symmetric_split(&hs->symmetric, receive, send);
}
