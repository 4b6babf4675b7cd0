/* SPDX-License-Identifier: Apache-2.0
 * session.c - weft's secure session (noise.h): the XX handshake whose payloads prove
 * the device keys, then records. Called by: conn.c. May touch: noise_core.h and the
 * identity that it is lent. Never: libsodium, sockets, frames, the peer's claims. */
#include "session.h"

#include <string.h>

#include "log.h"
#include "noise_core.h"

#define PROLOGUE "weft/1"
#define PAYLOAD_VERSION 1u
#define PAYLOAD_BYTES (1u + WEFT_KEY_BYTES + WEFT_SIGNATURE_BYTES)
/* What is signed: role, static key, transcript. */
#define SIGNED_BYTES (1u + WF_NOISE_DH_BYTES + WF_NOISE_HASH_BYTES)
enum { ROLE_INITIATOR = 1, ROLE_RESPONDER = 2 };

struct wf_noise_static {
    uint8_t secret[WF_NOISE_DH_BYTES];
};

struct wf_noise {
    struct wf_handshake handshake; /* wiped once it is done */
    struct wf_cipher send, receive;
    uint8_t channel[WF_NOISE_HASH_BYTES];
    struct wf_identity identity;
    weft_key expected, peer;
    uint64_t rekey_every;
    bool initiator, expects, done, failed;
};

weft_err wf_noise_static_create(const struct wf_identity *identity, wf_noise_static **out)
{
    wf_noise_static *s = wf_secret_alloc(sizeof *s);
    if (s == NULL) return wf_fail(WEFT_NO_MEMORY, "noise", "no locked memory for the static key");
    identity->random(identity->arg, s->secret, sizeof s->secret);
    *out = s;
    return WEFT_OK;
}

void wf_noise_static_destroy(wf_noise_static *s) { wf_secret_free(s); }

weft_err wf_noise_create(const struct wf_identity *identity, const wf_noise_static *s,
                         bool initiator, const weft_key *expected, wf_noise **out)
{
    uint8_t ephemeral[WF_NOISE_DH_BYTES];
    WF_ASSERT(initiator || expected == NULL);
    wf_noise *n = wf_secret_alloc(sizeof *n);
    if (n == NULL) return wf_fail(WEFT_NO_MEMORY, "noise", "no locked memory for a session");
    n->identity = *identity;
    n->initiator = initiator;
    n->rekey_every = WF_NOISE_REKEY_RECORDS;
    if (expected != NULL) {
        n->expects = true;
        n->expected = *expected;
    }
    wf_handshake_init(&n->handshake, WF_NOISE_XX, initiator, PROLOGUE, sizeof PROLOGUE - 1,
                      s->secret, NULL);
    identity->random(identity->arg, ephemeral, sizeof ephemeral);
    wf_handshake_ephemeral(&n->handshake, ephemeral);
    wf_wipe(ephemeral, sizeof ephemeral);
    *out = n;
    return WEFT_OK;
}

void wf_noise_destroy(wf_noise *n) { wf_secret_free(n); }

void wf_noise_rekey_every(wf_noise *n, uint64_t records)
{
    WF_ASSERT(records > 0 && n->send.nonce == 0 && n->receive.nonce == 0);
    n->rekey_every = records;
}

bool wf_noise_my_turn(const wf_noise *n)
{
    return !n->failed && !n->done && wf_handshake_my_turn(&n->handshake);
}

bool wf_noise_done(const wf_noise *n) { return n->done; }

void wf_noise_peer(const wf_noise *n, weft_key *out)
{
    WF_ASSERT(n->done || n->handshake.messages >= 2);
    *out = n->peer;
}

void wf_noise_channel(const wf_noise *n, uint8_t out[64])
{
    WF_ASSERT(n->done);
    memcpy(out, n->channel, WF_NOISE_HASH_BYTES);
}

/* The role keeps a payload of one side from being shown as the other's; the transcript
 * ties it to this session, so it is of no use in any other. */
static void signed_bytes(const wf_noise *n, bool initiator, const uint8_t *x25519,
                         uint8_t out[SIGNED_BYTES])
{
    out[0] = initiator ? ROLE_INITIATOR : ROLE_RESPONDER;
    memcpy(out + 1, x25519, WF_NOISE_DH_BYTES);
    memcpy(out + 1 + WF_NOISE_DH_BYTES, n->handshake.symmetric.hash, WF_NOISE_HASH_BYTES);
}

static weft_err payload_make(wf_noise *n, uint8_t out[PAYLOAD_BYTES])
{
    uint8_t data[SIGNED_BYTES];
    signed_bytes(n, n->initiator, n->handshake.s_public, data);
    out[0] = PAYLOAD_VERSION;
    memcpy(out + 1, n->identity.key.bytes, WEFT_KEY_BYTES);
    return n->identity.sign(n->identity.arg, data, sizeof data, out + 1 + WEFT_KEY_BYTES);
}

static weft_err payload_check(wf_noise *n, const uint8_t before[SIGNED_BYTES],
                              const uint8_t *payload, size_t len)
{
    weft_key key;
    if (len != PAYLOAD_BYTES || payload[0] != PAYLOAD_VERSION) return WEFT_SYNTAX;
    memcpy(key.bytes, payload + 1, WEFT_KEY_BYTES);
    if (n->identity.verify(n->identity.arg, &key, before, SIGNED_BYTES,
                           payload + 1 + WEFT_KEY_BYTES) != WEFT_OK)
        return WEFT_AUTH;
    if (n->expects && !wf_equal_secret(key.bytes, n->expected.bytes, WEFT_KEY_BYTES))
        return WEFT_PEER_KEY;
    n->peer = key;
    return WEFT_OK;
}

static void finish_if_done(wf_noise *n)
{
    if (!wf_handshake_done(&n->handshake)) return;
    wf_handshake_split(&n->handshake, &n->send, &n->receive);
    memcpy(n->channel, n->handshake.symmetric.hash, sizeof n->channel);
    wf_wipe(&n->handshake, sizeof n->handshake);
    n->done = true;
}

weft_err wf_noise_write(wf_noise *n, uint8_t out[WF_NOISE_HANDSHAKE_MAX], size_t *len)
{
    uint8_t payload[PAYLOAD_BYTES];
    size_t keys = 0, sealed = 0;
    bool first = n->handshake.messages == 0; /* goes in clear: it says nothing about us */
    weft_err err;
    WF_ASSERT(wf_noise_my_turn(n));
    err = wf_handshake_write_begin(&n->handshake, out, &keys);
    if (err != WEFT_OK) goto done;
    if (!first) err = payload_make(n, payload);
    if (err != WEFT_OK) goto done;
    err = wf_handshake_write_end(&n->handshake, payload, first ? 0 : PAYLOAD_BYTES, out + keys,
                                 &sealed);
    if (err != WEFT_OK) goto done;
    WF_ASSERT(keys + sealed <= WF_NOISE_HANDSHAKE_MAX);
    *len = keys + sealed;
    finish_if_done(n);
done:
    if (err != WEFT_OK) n->failed = true;
    return err;
}

weft_err wf_noise_read(wf_noise *n, const uint8_t *data, size_t len)
{
    uint8_t payload[WF_NOISE_HANDSHAKE_MAX], before[SIGNED_BYTES];
    size_t keys = 0, opened = 0;
    weft_err err = WEFT_AUTH;
    if (n->failed || n->done) return WEFT_AUTH;
    WF_ASSERT(!wf_handshake_my_turn(&n->handshake));
    bool first = n->handshake.messages == 0;
    err = WEFT_SYNTAX;
    if (len > WF_NOISE_HANDSHAKE_MAX) goto done;
    err = wf_handshake_read_begin(&n->handshake, data, len, &keys);
    if (err != WEFT_OK) goto done;
    signed_bytes(n, !n->initiator, n->handshake.rs, before);
    err = wf_handshake_read_end(&n->handshake, data + keys, len - keys, payload, &opened);
    if (err != WEFT_OK) goto done;
    if (first) err = opened == 0 ? WEFT_OK : WEFT_SYNTAX;
    else err = payload_check(n, before, payload, opened);
    if (err != WEFT_OK) goto done;
    finish_if_done(n);
done:
    if (err != WEFT_OK) n->failed = true;
    return err;
}

weft_err wf_noise_encrypt(wf_noise *n, const uint8_t *plain, size_t len, uint8_t *out)
{
    WF_ASSERT(n->done && len <= WF_NOISE_PLAIN_MAX);
    weft_err err = wf_cipher_encrypt(&n->send, NULL, 0, plain, len, out);
    if (err == WEFT_OK && n->send.nonce % n->rekey_every == 0) wf_cipher_rekey(&n->send);
    return err;
}

weft_err wf_noise_decrypt(wf_noise *n, const uint8_t *data, size_t len, uint8_t *out)
{
    WF_ASSERT(n->done);
    if (n->failed || len > WEFT_RECORD_BYTES_MAX) return WEFT_AUTH;
    weft_err err = wf_cipher_decrypt(&n->receive, NULL, 0, data, len, out);
    /* One bad record ends the session: what follows it could only be a forgery, too. */
    if (err != WEFT_OK) n->failed = true;
    if (err == WEFT_OK && n->receive.nonce % n->rekey_every == 0) wf_cipher_rekey(&n->receive);
    return err;
}
