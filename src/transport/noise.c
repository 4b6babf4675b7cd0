/* SPDX-License-Identifier: Apache-2.0
 * noise.c - Noise's hash, cipher and symmetric state on libsodium.
 * Called by: handshake.c, session.c. May touch: libsodium, and it alone does.
 * Never: knows patterns, identities or bytes on a wire. */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "log.h"
#include "noise_core.h"

#define BLOCK_BYTES 128u /* of BLAKE2b: what HMAC pads to (specification 12.8) */
#define HASH_BYTES WF_NOISE_HASH_BYTES
#define TAG_BYTES crypto_aead_chacha20poly1305_ietf_ABYTES
#define NONCE_LAST UINT64_MAX /* reserved for rekeying (5.1) */

static_assert(WF_NOISE_DH_BYTES == crypto_scalarmult_curve25519_BYTES, "X25519");
static_assert(WF_NOISE_KEY_BYTES == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "ChaCha20");
static_assert(WF_NOISE_HASH_BYTES == crypto_generichash_blake2b_BYTES_MAX, "BLAKE2b-512");

void *wf_secret_alloc(size_t size)
{
    /* Idempotent and thread-safe; sodium_malloc needs its page size and canary. */
    if (sodium_init() < 0) return NULL;
    /* The block ends at a guard page, so its start is aligned only if its size is. */
    size_t rounded = (size + 63u) & ~(size_t)63u;
    void *secret = sodium_malloc(rounded);
    if (secret != NULL) memset(secret, 0, rounded);
    return secret;
}

void wf_secret_free(void *secret) { sodium_free(secret); }

void wf_wipe(void *data, size_t len) { sodium_memzero(data, len); }

bool wf_equal_secret(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void wf_dh_public(const uint8_t secret[WF_NOISE_DH_BYTES], uint8_t out[WF_NOISE_DH_BYTES])
{
    int rc = crypto_scalarmult_curve25519_base(out, secret);
    WF_ASSERT(rc == 0); /* the base point has full order: it cannot yield zero */
}

static void hash_two(const void *a, size_t a_len, const void *b, size_t b_len,
                     uint8_t out[HASH_BYTES])
{
    crypto_generichash_blake2b_state st;
    crypto_generichash_blake2b_init(&st, NULL, 0, HASH_BYTES);
    crypto_generichash_blake2b_update(&st, a, a_len);
    crypto_generichash_blake2b_update(&st, b, b_len);
    crypto_generichash_blake2b_final(&st, out, HASH_BYTES);
    sodium_memzero(&st, sizeof st);
}

/* HMAC (RFC 2104) over the plain hash, with a key of one hash's length. BLAKE2b's own
 * keyed mode is another function and would not talk to anybody. */
static void hmac(const uint8_t key[HASH_BYTES], const void *a, size_t a_len, const void *b,
                 size_t b_len, uint8_t out[HASH_BYTES])
{
    crypto_generichash_blake2b_state st;
    uint8_t pad[BLOCK_BYTES], inner[HASH_BYTES];

    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < HASH_BYTES; i++) pad[i] = (uint8_t)(pad[i] ^ key[i]);
    crypto_generichash_blake2b_init(&st, NULL, 0, HASH_BYTES);
    crypto_generichash_blake2b_update(&st, pad, sizeof pad);
    crypto_generichash_blake2b_update(&st, a, a_len);
    crypto_generichash_blake2b_update(&st, b, b_len);
    crypto_generichash_blake2b_final(&st, inner, HASH_BYTES);

    memset(pad, 0x5c, sizeof pad);
    for (size_t i = 0; i < HASH_BYTES; i++) pad[i] = (uint8_t)(pad[i] ^ key[i]);
    hash_two(pad, sizeof pad, inner, sizeof inner, out);

    sodium_memzero(&st, sizeof st);
    sodium_memzero(pad, sizeof pad);
    sodium_memzero(inner, sizeof inner);
}

/* HKDF with two outputs (specification 4.3). */
static void hkdf(const uint8_t chain[HASH_BYTES], const void *input, size_t len,
                 uint8_t first[HASH_BYTES], uint8_t second[HASH_BYTES])
{
    uint8_t temp[HASH_BYTES];
    hmac(chain, input, len, "", 0, temp);
    hmac(temp, "\x01", 1, "", 0, first);
    hmac(temp, first, HASH_BYTES, "\x02", 1, second);
    sodium_memzero(temp, sizeof temp);
}

/* Four zero bytes and the counter, little-endian (specification 12.3). */
static void nonce_bytes(uint64_t n, uint8_t out[12])
{
    memset(out, 0, 4);
    for (unsigned i = 0; i < 8; i++) out[4 + i] = (uint8_t)(n >> (8 * i));
}

static void cipher_key(struct wf_cipher *c, const uint8_t key[WF_NOISE_KEY_BYTES])
{
    memcpy(c->key, key, WF_NOISE_KEY_BYTES);
    c->nonce = 0;
    c->keyed = true;
}

weft_err wf_cipher_encrypt(struct wf_cipher *c, const void *ad, size_t ad_len, const uint8_t *plain,
                           size_t len, uint8_t *out)
{
    uint8_t nonce[12];
    if (!c->keyed) {
        if (len > 0) memmove(out, plain, len);
        return WEFT_OK;
    }
    if (c->nonce == NONCE_LAST) return WEFT_LIMIT;
    nonce_bytes(c->nonce, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, len, ad, ad_len, NULL, nonce,
                                              c->key);
    c->nonce++;
    return WEFT_OK;
}

weft_err wf_cipher_decrypt(struct wf_cipher *c, const void *ad, size_t ad_len, const uint8_t *data,
                           size_t len, uint8_t *out)
{
    uint8_t nonce[12];
    if (!c->keyed) {
        if (len > 0) memmove(out, data, len);
        return WEFT_OK;
    }
    if (len < TAG_BYTES || c->nonce == NONCE_LAST) return WEFT_AUTH;
    nonce_bytes(c->nonce, nonce);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, data, len, ad, ad_len, nonce,
                                                  c->key) != 0)
        return WEFT_AUTH;
    c->nonce++;
    return WEFT_OK;
}

void wf_cipher_rekey(struct wf_cipher *c)
{
    static const uint8_t zeros[WF_NOISE_KEY_BYTES];
    uint8_t nonce[12], fresh[WF_NOISE_KEY_BYTES + TAG_BYTES];
    WF_ASSERT(c->keyed);
    nonce_bytes(NONCE_LAST, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(fresh, NULL, zeros, sizeof zeros, NULL, 0, NULL,
                                              nonce, c->key);
    memcpy(c->key, fresh, WF_NOISE_KEY_BYTES);
    sodium_memzero(fresh, sizeof fresh);
}

void wf_symmetric_init(struct wf_symmetric *s, const char *protocol)
{
    size_t len = strlen(protocol);
    WF_ASSERT(len <= HASH_BYTES); /* a longer name would have to be hashed (5.2) */
    memset(s, 0, sizeof *s);
    memcpy(s->hash, protocol, len);
    memcpy(s->chain, s->hash, HASH_BYTES);
}

void wf_symmetric_mix_hash(struct wf_symmetric *s, const void *data, size_t len)
{
    hash_two(s->hash, HASH_BYTES, data, len, s->hash);
}

void wf_symmetric_mix_key(struct wf_symmetric *s, const void *input, size_t len)
{
    uint8_t chain[HASH_BYTES], key[HASH_BYTES];
    hkdf(s->chain, input, len, chain, key);
    memcpy(s->chain, chain, HASH_BYTES);
    cipher_key(&s->cipher, key);
    sodium_memzero(chain, sizeof chain);
    sodium_memzero(key, sizeof key);
}

weft_err wf_symmetric_mix_dh(struct wf_symmetric *s, const uint8_t secret[WF_NOISE_DH_BYTES],
                             const uint8_t public[WF_NOISE_DH_BYTES])
{
    uint8_t shared[WF_NOISE_DH_BYTES];
    weft_err err = WEFT_AUTH;
    if (crypto_scalarmult_curve25519(shared, secret, public) != 0) goto done;
    wf_symmetric_mix_key(s, shared, sizeof shared);
    err = WEFT_OK;
done:
    sodium_memzero(shared, sizeof shared);
    return err;
}

weft_err wf_symmetric_encrypt(struct wf_symmetric *s, const uint8_t *plain, size_t len,
                              uint8_t *out, size_t *out_len)
{
    size_t sealed = len + (s->cipher.keyed ? TAG_BYTES : 0);
    weft_err err = wf_cipher_encrypt(&s->cipher, s->hash, HASH_BYTES, plain, len, out);
    if (err != WEFT_OK) return err;
    wf_symmetric_mix_hash(s, out, sealed);
    *out_len = sealed;
    return WEFT_OK;
}

weft_err wf_symmetric_decrypt(struct wf_symmetric *s, const uint8_t *data, size_t len, uint8_t *out,
                              size_t *out_len)
{
    uint8_t next[HASH_BYTES];
    size_t tag = s->cipher.keyed ? TAG_BYTES : 0;
    if (len < tag) return WEFT_SYNTAX;
    hash_two(s->hash, HASH_BYTES, data, len, next); /* before `out`, which may be `data` */
    weft_err err = wf_cipher_decrypt(&s->cipher, s->hash, HASH_BYTES, data, len, out);
    if (err != WEFT_OK) return err;
    memcpy(s->hash, next, HASH_BYTES);
    *out_len = len - tag;
    return WEFT_OK;
}

void wf_symmetric_split(const struct wf_symmetric *s, struct wf_cipher *first,
                        struct wf_cipher *second)
{
    uint8_t a[HASH_BYTES], b[HASH_BYTES];
    hkdf(s->chain, "", 0, a, b);
    cipher_key(first, a);
    cipher_key(second, b);
    sodium_memzero(a, sizeof a);
    sodium_memzero(b, sizeof b);
}
