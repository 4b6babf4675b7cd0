/* SPDX-License-Identifier: Apache-2.0
 * noise_core.h - Noise as the specification (revision 34) has it, without weft's
 * identities: symmetric state, cipher state and handshakes by pattern.
 * Called by: session.c, and by tests that run published vectors or talk to other
 * implementations. Never: sockets, frames, device keys. */
#ifndef WF_NOISE_CORE_H
#define WF_NOISE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#define WF_NOISE_HASH_BYTES 64u
#define WF_NOISE_DH_BYTES 32u
#define WF_NOISE_KEY_BYTES 32u

/* -- On libsodium (noise.c): the only calls that leave weft ------------------------ */

void *wf_secret_alloc(size_t size); /* zeroed, locked, between guard pages; NULL when short */
void wf_secret_free(void *secret);  /* wipes; NULL is fine */
void wf_wipe(void *data, size_t len);
bool wf_equal_secret(const void *a, const void *b, size_t len); /* constant time */
void wf_dh_public(const uint8_t secret[WF_NOISE_DH_BYTES], uint8_t out[WF_NOISE_DH_BYTES]);

/* One direction's key and nonce (specification 5.1). Without a key, bytes pass in clear. */
struct wf_cipher {
    uint8_t key[WF_NOISE_KEY_BYTES];
    uint64_t nonce;
    bool keyed;
};

/* Writes len + 16 bytes (len without a key). LIMIT once the nonces are used up. */
weft_err wf_cipher_encrypt(struct wf_cipher *c, const void *ad, size_t ad_len, const uint8_t *plain,
                           size_t len, uint8_t *out);
/* Writes len - 16 bytes; in place allowed. AUTH, and then nothing was changed. */
weft_err wf_cipher_decrypt(struct wf_cipher *c, const void *ad, size_t ad_len, const uint8_t *data,
                           size_t len, uint8_t *out);
void wf_cipher_rekey(struct wf_cipher *c); /* 4.2: the nonce goes on */

/* The chaining key, the transcript hash and the handshake's cipher (5.2). */
struct wf_symmetric {
    uint8_t chain[WF_NOISE_HASH_BYTES];
    uint8_t hash[WF_NOISE_HASH_BYTES];
    struct wf_cipher cipher;
};

void wf_symmetric_init(struct wf_symmetric *s, const char *protocol);
void wf_symmetric_mix_hash(struct wf_symmetric *s, const void *data, size_t len);
void wf_symmetric_mix_key(struct wf_symmetric *s, const void *input, size_t len);
/* Mixes DH(secret, public). AUTH when the result is all zero: only a hostile key does that. */
weft_err wf_symmetric_mix_dh(struct wf_symmetric *s, const uint8_t secret[WF_NOISE_DH_BYTES],
                             const uint8_t public[WF_NOISE_DH_BYTES]);
weft_err wf_symmetric_encrypt(struct wf_symmetric *s, const uint8_t *plain, size_t len,
                              uint8_t *out, size_t *out_len);
weft_err wf_symmetric_decrypt(struct wf_symmetric *s, const uint8_t *data, size_t len, uint8_t *out,
                              size_t *out_len);
void wf_symmetric_split(const struct wf_symmetric *s, struct wf_cipher *first,
                        struct wf_cipher *second);

/* -- Handshakes (handshake.c) -------------------------------------------------------- */

enum wf_noise_pattern { WF_NOISE_XX, WF_NOISE_IK };

/* Lives in memory from wf_secret_alloc; wiped by its owner. Copies what it is given. */
struct wf_handshake {
    struct wf_symmetric symmetric;
    uint8_t s[WF_NOISE_DH_BYTES], s_public[WF_NOISE_DH_BYTES]; /* our static pair    */
    uint8_t e[WF_NOISE_DH_BYTES], e_public[WF_NOISE_DH_BYTES]; /* our ephemeral pair */
    uint8_t rs[WF_NOISE_DH_BYTES], re[WF_NOISE_DH_BYTES];      /* the other side's   */
    enum wf_noise_pattern pattern;
    bool initiator;
    bool ephemeral_set;
    unsigned messages; /* written and read so far */
};

/* `remote_static` is needed by the initiator of IK, else NULL. */
void wf_handshake_init(struct wf_handshake *hs, enum wf_noise_pattern pattern, bool initiator,
                       const void *prologue, size_t prologue_len,
                       const uint8_t s[WF_NOISE_DH_BYTES],
                       const uint8_t remote_static[WF_NOISE_DH_BYTES]);
/* The ephemeral secret: 32 random bytes; a published vector's own in a test. Once,
 * before this side's first message. */
void wf_handshake_ephemeral(struct wf_handshake *hs, const uint8_t e[WF_NOISE_DH_BYTES]);
bool wf_handshake_my_turn(const struct wf_handshake *hs);
bool wf_handshake_done(const struct wf_handshake *hs);

/* A message is written and read in two steps, so that the payload can sign the
 * transcript (hs->symmetric.hash) as it stands just before it is encrypted. `begin`
 * handles the keys, `end` the payload; nothing else may happen in between.
 * write: `out` has room for 96 bytes plus the payload and its tag. read: SYNTAX (too
 * short), AUTH. */
weft_err wf_handshake_write_begin(struct wf_handshake *hs, uint8_t *out, size_t *len);
weft_err wf_handshake_write_end(struct wf_handshake *hs, const uint8_t *payload, size_t payload_len,
                                uint8_t *out, size_t *len);
weft_err wf_handshake_read_begin(struct wf_handshake *hs, const uint8_t *data, size_t len,
                                 size_t *used);
weft_err wf_handshake_read_end(struct wf_handshake *hs, const uint8_t *data, size_t len,
                               uint8_t *payload, size_t *payload_len);
/* After the last message: the ciphers for sending and receiving. */
void wf_handshake_split(const struct wf_handshake *hs, struct wf_cipher *send,
                        struct wf_cipher *receive);

#endif
