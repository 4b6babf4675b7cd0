/* SPDX-License-Identifier: Apache-2.0
 * crypto.h - hashes and signatures: the store layer's only door to libsodium.
 * Called by: entry, store, weft.c (which lends signing to the transport).
 * Never: signs bytes without a purpose. Any thread. */
#ifndef WF_CRYPTO_H
#define WF_CRYPTO_H

#include <weft/entry.h>

/* Purposes of signatures; each is the tag "weft/<purpose>/v1" and a NUL. */
enum wf_purpose { WF_PURPOSE_ENTRY, WF_PURPOSE_NOISE_STATIC, WF_PURPOSE_COUNT };
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

/* Signs tag || NUL || u64be(len) || data. NO_MEMORY (long data only), INTERNAL. */
weft_err wf_sign(const weft_keypair *pair, enum wf_purpose purpose, const void *data, size_t len,
                 uint8_t out[WEFT_SIGNATURE_BYTES]);
/* BAD_SIGNATURE also for non-canonical S, A, R and small-order A or R. The equation is
 * the one without the cofactor (RFC 8032, section 5.1.7, S*B == R + k*A) with every
 * version of the library. NO_MEMORY (long data only): nothing is known then. */
weft_err wf_verify(const weft_key *key, enum wf_purpose purpose, const void *data, size_t len,
                   const uint8_t signature[WEFT_SIGNATURE_BYTES]);

#endif
