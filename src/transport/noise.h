/* SPDX-License-Identifier: Apache-2.0
 * noise.h - the secure session: Noise_XX_25519_ChaChaPoly_BLAKE2b (revision 34),
 * with the device key certified inside the handshake payload (THREATS.md).
 * Called by: conn.c. May touch: libsodium. Never: sockets, frames. */
#ifndef WF_NOISE_H
#define WF_NOISE_H

#include <stdbool.h>

#include <weft/id.h>

/* The device identity, lent by the layer above, which holds the secret. */
struct wf_identity {
    weft_key key;
    void *arg;
    /* Signs "weft/noise-static/v1" NUL || u64be(len) || data with the device key. */
    weft_err (*sign)(void *arg, const void *data, size_t len, uint8_t out[WEFT_SIGNATURE_BYTES]);
    weft_err (*verify)(void *arg, const weft_key *key, const void *data, size_t len,
                       const uint8_t signature[WEFT_SIGNATURE_BYTES]);
    void (*random)(void *arg, void *out, size_t len);
};

typedef struct wf_noise wf_noise; /* one handshake, then one session; not thread-safe */

#define WF_NOISE_TAG_BYTES 16u
#define WF_NOISE_PLAIN_MAX (WEFT_RECORD_BYTES_MAX - WF_NOISE_TAG_BYTES)
#define WF_NOISE_HANDSHAKE_MAX 512u

/* The process's static X25519 pair: one per start, shared by all sessions. */
typedef struct wf_noise_static wf_noise_static; /* locked memory */
weft_err wf_noise_static_create(const struct wf_identity *identity, wf_noise_static **out);
void wf_noise_static_destroy(wf_noise_static *s);

/* `expected` (initiator only, may be NULL): the key that the other side must prove. */
weft_err wf_noise_create(const struct wf_identity *identity, const wf_noise_static *s,
                         bool initiator, const weft_key *expected, wf_noise **out);
void wf_noise_destroy(wf_noise *n); /* wipes; NULL is fine */

/* The handshake: alternate write and read until done. read: AUTH, PEER_KEY, SYNTAX. */
bool wf_noise_my_turn(const wf_noise *n);
weft_err wf_noise_write(wf_noise *n, uint8_t out[WF_NOISE_HANDSHAKE_MAX], size_t *len);
weft_err wf_noise_read(wf_noise *n, const uint8_t *data, size_t len);
bool wf_noise_done(const wf_noise *n);
void wf_noise_peer(const wf_noise *n, weft_key *out);      /* the proven key     */
void wf_noise_channel(const wf_noise *n, uint8_t out[64]); /* the handshake hash */

/* Records after the handshake; rekeys both ways every 2^20 records. encrypt writes
 * len + 16 bytes; decrypt len - 16, in place allowed. decrypt: AUTH. */
weft_err wf_noise_encrypt(wf_noise *n, const uint8_t *plain, size_t len, uint8_t *out);
weft_err wf_noise_decrypt(wf_noise *n, const uint8_t *data, size_t len, uint8_t *out);

#endif
