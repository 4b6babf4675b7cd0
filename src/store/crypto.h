/* SPDX-License-Identifier: Apache-2.0
 * crypto.h - hashes and signatures: the store layer's only door to libsodium.
 * Called by: entry, store, weft.c (which lends signing to the transport).
 * Never: signs bytes without a purpose. Any thread. */
#ifndef WF_CRYPTO_H
#define WF_CRYPTO_H

#include <stdbool.h>

#include <weft/entry.h>

/* Purposes of signatures; each is the tag "weft/<purpose>/v1" and a NUL. */
enum wf_purpose { WF_PURPOSE_ENTRY, WF_PURPOSE_NOISE_STATIC, WF_PURPOSE_ACCESS, WF_PURPOSE_COUNT };
const char *wf_purpose_tag(enum wf_purpose purpose); /* without the NUL */

/* Loads and tests the library (known answers for small-order and non-canonical
 * keys). The first use of a key does it too; calling it early lets a program fail
 * at its start. Idempotent, any thread. INTERNAL. */
weft_err wf_crypto_init(void);

void wf_blake2b_256(const void *data, size_t len, uint8_t out[32]);
typedef struct wf_hash wf_hash; /* incremental BLAKE2b-256 */
struct wf_hash {
    uint8_t opaque[384];
} __attribute__((aligned(64)));
void wf_hash_init(wf_hash *h);
void wf_hash_update(wf_hash *h, const void *data, size_t len);
void wf_hash_final(wf_hash *h, uint8_t out[32]);
/* SipHash-2-4 with a 16-byte key: salted short ids. */
uint64_t wf_siphash(const uint8_t key[16], const void *data, size_t len);

/* Bytes that nobody can guess, from the machine. */
void wf_crypto_random(void *out, size_t len);
/* Overwrites a secret in a way that the compiler may not leave out. */
void wf_crypto_wipe(void *data, size_t len);
/* The seed that a pair was made from, for the key file; wipe it after use. */
void wf_keypair_seed(const weft_keypair *pair, uint8_t out[32]);

/* -- Secrets at rest ---------------------------------------------------------------------- */

#define WF_SALT_BYTES 16u
#define WF_SEAL_KEY_BYTES 32u
#define WF_SEAL_NONCE_BYTES 24u
#define WF_SEAL_TAG_BYTES 16u

/* Memory for secrets: locked as far as the machine allows, left out of core dumps, fenced, and
 * wiped when it is freed. Whole pages: for few and large things. NULL when short. */
void *wf_locked_alloc(size_t size);
void wf_locked_free(void *ptr); /* NULL is fine */

/* Argon2id (RFC 9106), version 1.3, one lane: `operations` passes over `memory_bytes`, which the
 * caller has bounded. NO_MEMORY. */
weft_err wf_passphrase_key(const char *passphrase, size_t len, const uint8_t salt[WF_SALT_BYTES],
                           uint64_t operations, uint64_t memory_bytes,
                           uint8_t out[WF_SEAL_KEY_BYTES]);
/* XChaCha20-Poly1305; `out` has room for len + WF_SEAL_TAG_BYTES. A nonce is used once. */
void wf_seal(const uint8_t key[WF_SEAL_KEY_BYTES], const uint8_t nonce[WF_SEAL_NONCE_BYTES],
             const void *beside, size_t beside_len, const void *data, size_t len, uint8_t *out);
/* `out` has room for len - WF_SEAL_TAG_BYTES. False: another key, or some byte was changed. */
bool wf_unseal(const uint8_t key[WF_SEAL_KEY_BYTES], const uint8_t nonce[WF_SEAL_NONCE_BYTES],
               const void *beside, size_t beside_len, const uint8_t *data, size_t len, void *out);

/* Signs tag || NUL || u64be(len) || data. NO_MEMORY (long data only), INTERNAL. */
weft_err wf_sign(const weft_keypair *pair, enum wf_purpose purpose, const void *data, size_t len,
                 uint8_t out[WEFT_SIGNATURE_BYTES]);
/* BAD_SIGNATURE also for non-canonical S, A, R and small-order A or R. The equation is
 * the one without the cofactor (RFC 8032, section 5.1.7, S*B == R + k*A) with every
 * version of the library. NO_MEMORY (long data only): nothing is known then. */
weft_err wf_verify(const weft_key *key, enum wf_purpose purpose, const void *data, size_t len,
                   const uint8_t signature[WEFT_SIGNATURE_BYTES]);

#endif
