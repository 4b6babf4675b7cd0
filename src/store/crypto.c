/* SPDX-License-Identifier: Apache-2.0
 * crypto.c - hashes, key pairs in locked memory, signatures with a purpose.
 * Called by: entries, keys, the store, weft.c. May touch: libsodium, the machine's randomness.
 * Never: signs bytes without a purpose, logs a secret, trusts the library's own idea of canonical. */
#include "crypto.h"

#include <assert.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "alloc.h"
#include "lock.h"
#include "log.h"

static_assert(sizeof(crypto_generichash_state) <= sizeof(struct wf_hash), "wf_hash is too small");
static_assert(crypto_sign_BYTES == WEFT_SIGNATURE_BYTES, "Ed25519");
static_assert(crypto_pwhash_SALTBYTES == WF_SALT_BYTES, "Argon2id");
static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == WF_SEAL_KEY_BYTES &&
                  crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == WF_SEAL_NONCE_BYTES &&
                  crypto_aead_xchacha20poly1305_ietf_ABYTES == WF_SEAL_TAG_BYTES,
              "XChaCha20-Poly1305");

/* What the known answers said about the library: 0 before the first test. */
enum { TESTED_EXACT = 1, TESTED_COFACTORED, TESTED_BROKEN };
static wf_counter tested;

enum { TAG_BYTES_MAX = 32, PREFIX_BYTES_MAX = TAG_BYTES_MAX + 8, ON_STACK_BYTES = 2048 };

static const char *const tags[WF_PURPOSE_COUNT] = {
    [WF_PURPOSE_ENTRY] = "weft/entry/v1",
    [WF_PURPOSE_NOISE_STATIC] = "weft/noise-static/v1",
    [WF_PURPOSE_ACCESS] = "weft/access/v1",
};

const char *wf_purpose_tag(enum wf_purpose purpose)
{
    WF_ASSERT((unsigned)purpose < WF_PURPOSE_COUNT);
    return tags[purpose];
}

/* -- Hashes and randomness ------------------------------------------------------ */

void wf_blake2b_256(const void *data, size_t len, uint8_t out[32])
{
    crypto_generichash(out, 32, data, len, NULL, 0);
}

void wf_hash_init(wf_hash *h) { crypto_generichash_init((void *)h->opaque, NULL, 0, 32); }

void wf_hash_update(wf_hash *h, const void *data, size_t len)
{
    crypto_generichash_update((void *)h->opaque, data, len);
}

void wf_hash_final(wf_hash *h, uint8_t out[32])
{
    crypto_generichash_final((void *)h->opaque, out, 32);
}

uint64_t wf_siphash(const uint8_t key[16], const void *data, size_t len)
{
    uint8_t out[crypto_shorthash_BYTES];
    crypto_shorthash(out, data, len, key);
    uint64_t value = 0;
    for (size_t i = sizeof out; i-- > 0;)
        value = value << 8 | out[i]; /* little-endian by definition */
    return value;
}

void wf_crypto_random(void *out, size_t len) { randombytes_buf(out, len); }

void wf_crypto_wipe(void *data, size_t len) { sodium_memzero(data, len); }

/* -- What a canonical signature looks like --------------------------------------- */

/* The order of the base point, little-endian. */
static const uint8_t group_order[32] = {
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
/* The field's prime, little-endian. */
static const uint8_t field_prime[32] = {
    0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
/* The y of the eight points whose order divides 8; the sign of x doubles three of
 * them. With the sign bit masked this also finds the forbidden "minus zero". */
static const uint8_t small_order_y[5][32] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

/* a < b as little-endian numbers. Everything compared here is public. */
static bool number_below(const uint8_t a[32], const uint8_t b[32])
{
    for (size_t i = 32; i-- > 0;) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

/* A point as weft accepts it: y below the prime and not of small order. Whether it
 * lies on the curve is left to the library, which all versions check alike. */
static bool point_allowed(const uint8_t point[32])
{
    uint8_t y[32];
    memcpy(y, point, sizeof y);
    y[31] &= 0x7f;
    if (!number_below(y, field_prime)) return false;
    for (size_t i = 0; i < sizeof small_order_y / sizeof small_order_y[0]; i++) {
        if (memcmp(y, small_order_y[i], sizeof y) == 0) return false;
    }
    return true;
}

/* Newer versions of the library accept 8*S*B == 8*(R + k*A). What they accept beyond
 * S*B == R + k*A differs by a point of order 8 at most, so R + k*A has such a part
 * exactly if R + (k mod 8)*A has one. */
static bool without_torsion(const uint8_t key[32], const uint8_t *message, size_t len,
                            const uint8_t signature[WEFT_SIGNATURE_BYTES])
{
    static const uint8_t identity[32] = {1};
    uint8_t digest[64], k[32], sum[32];

    crypto_hash_sha512_state state;
    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, signature, 32);
    crypto_hash_sha512_update(&state, key, 32);
    crypto_hash_sha512_update(&state, message, len);
    crypto_hash_sha512_final(&state, digest);
    crypto_core_ed25519_scalar_reduce(k, digest);

    memcpy(sum, signature, sizeof sum);
    for (unsigned i = k[0] & 7u; i > 0; i--) {
        if (crypto_core_ed25519_add(sum, sum, key) != 0) return false;
    }
    return memcmp(sum, identity, sizeof sum) == 0 || crypto_core_ed25519_is_valid_point(sum) == 1;
}

static bool verify_plain(const uint8_t key[32], const uint8_t *message, size_t len,
                         const uint8_t signature[WEFT_SIGNATURE_BYTES], bool cofactored)
{
    if (!number_below(signature + 32, group_order)) return false;
    if (!point_allowed(key) || !point_allowed(signature)) return false;
    if (crypto_sign_verify_detached(signature, message, len, key) != 0) return false;
    return !cofactored || without_torsion(key, message, len, signature);
}

/* -- The start-up test -------------------------------------------------------------- */

/* Made with an independent implementation from the seed 00 01 .. 1f. */
static const uint8_t known_message[] = "weft/entry/v1\0\0\0\0\0\0\0\0\x11weft known answer";
static const uint8_t known_key[32] = {
    0x03, 0xa1, 0x07, 0xbf, 0xf3, 0xce, 0x10, 0xbe, 0x1d, 0x70, 0xdd, 0x18, 0xe7, 0x4b, 0xc0, 0x99,
    0x67, 0xe4, 0xd6, 0x30, 0x9b, 0xa5, 0x0d, 0x5f, 0x1d, 0xdc, 0x86, 0x64, 0x12, 0x55, 0x31, 0xb8};
static const uint8_t known_signature[64] = {
    0x15, 0x36, 0xa8, 0x75, 0xa7, 0xb2, 0x43, 0x7a, 0x90, 0x5f, 0x84, 0x3e, 0xe6, 0x32, 0x37, 0xda,
    0xa6, 0x6a, 0xfd, 0x45, 0xb9, 0x39, 0xaf, 0x23, 0x13, 0x4f, 0x10, 0x91, 0xc9, 0x72, 0xe4, 0xa9,
    0x1c, 0x8a, 0x21, 0x9f, 0x0d, 0x6a, 0xbd, 0x5d, 0x37, 0x2e, 0x7c, 0x0c, 0xc2, 0xc5, 0x0a, 0x71,
    0x09, 0x26, 0x17, 0xab, 0xee, 0x58, 0x4a, 0x05, 0x68, 0x3c, 0x28, 0x22, 0x1c, 0xfe, 0x0b, 0x0d};
/* The same with a point of order 8 added to R before hashing: right with the
 * cofactor, wrong without it. */
static const uint8_t torsion_signature[64] = {
    0xad, 0xb0, 0x0a, 0x64, 0xca, 0xcc, 0x37, 0x87, 0x63, 0xcd, 0x84, 0x91, 0x3f, 0xc2, 0x55, 0x2b,
    0x61, 0x87, 0x55, 0x1f, 0x91, 0x16, 0xe2, 0x3c, 0x28, 0x82, 0x3b, 0x57, 0xac, 0xc6, 0xa5, 0xcf,
    0x1d, 0x4f, 0x41, 0x20, 0xc6, 0xca, 0xde, 0x65, 0x59, 0xc0, 0x28, 0x68, 0xa6, 0xfe, 0x22, 0x9f,
    0x10, 0x6a, 0xd1, 0x1b, 0xba, 0x3a, 0x59, 0x6e, 0x39, 0xd9, 0x70, 0xe4, 0x3d, 0xaa, 0x2c, 0x0a};

static uint64_t test_library(void)
{
    static const uint8_t digest[32] = {0xdb, 0xa6, 0x36, 0x29, 0x95, 0xfd, 0x43, 0x94,
                                       0xa7, 0x66, 0x5b, 0xfe, 0x8e, 0x75, 0x77, 0x2f,
                                       0xef, 0x8e, 0x62, 0x68, 0xc2, 0xa1, 0x60, 0x65,
                                       0x45, 0xc3, 0x9b, 0x3a, 0xbd, 0xa9, 0x8c, 0x08};
    const uint8_t *text = known_message + sizeof known_message - 1 - 17;
    const size_t len = sizeof known_message - 1;
    uint8_t wrong[64], hash[32];

    if (sodium_init() < 0) return TESTED_BROKEN;
    wf_blake2b_256(text, 17, hash);
    if (memcmp(hash, digest, sizeof hash) != 0) return TESTED_BROKEN;

    bool cofactored = crypto_sign_verify_detached(torsion_signature, known_message, len,
                                                  known_key) == 0;
    if (!verify_plain(known_key, known_message, len, known_signature, cofactored) ||
        verify_plain(known_key, known_message, len, torsion_signature, cofactored)) {
        return TESTED_BROKEN;
    }
    for (size_t i = 0; i < sizeof small_order_y / sizeof small_order_y[0]; i++) {
        /* With S = 0 the equation holds for some messages, so the point itself must tell. */
        memset(wrong, 0, sizeof wrong);
        memcpy(wrong, small_order_y[i], 32);
        if (verify_plain(wrong, known_message, len, wrong, cofactored)) return TESTED_BROKEN;
    }
    unsigned carry = 0;
    memcpy(wrong, known_signature, sizeof wrong);
    for (size_t i = 0; i < 32; i++) { /* S + L is the same number modulo L */
        carry += (unsigned)wrong[32 + i] + group_order[i];
        wrong[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    if (verify_plain(known_key, known_message, len, wrong, cofactored)) return TESTED_BROKEN;
    return cofactored ? TESTED_COFACTORED : TESTED_EXACT;
}

/* Two threads may test at once: both find the same. */
static uint64_t library_state(void)
{
    uint64_t state = wf_counter_get(&tested);
    if (state == 0) {
        state = test_library();
        wf_counter_set(&tested, state);
        if (state == TESTED_BROKEN) {
            (void)wf_fail(WEFT_INTERNAL, "crypto", "libsodium fails its known answers");
        }
    }
    return state;
}

weft_err wf_crypto_init(void) { return library_state() == TESTED_BROKEN ? WEFT_INTERNAL : WEFT_OK; }

/* -- Key pairs ------------------------------------------------------------------------ */

struct weft_keypair {
    weft_key key;
    uint8_t *secret; /* libsodium's 64 bytes, seed first; locked, guarded, read-only */
};

weft_err weft_keypair_from_seed(const uint8_t seed[32], weft_keypair **out)
{
    weft_err err = wf_crypto_init();
    if (err != WEFT_OK) return err;

    err = WEFT_NO_MEMORY;
    weft_keypair *pair = wf_calloc(1, sizeof *pair);
    if (pair == NULL) goto done;
    pair->secret = wf_locked_alloc(crypto_sign_SECRETKEYBYTES);
    if (pair->secret == NULL) goto done;
    crypto_sign_seed_keypair(pair->key.bytes, pair->secret, seed);
    (void)sodium_mprotect_readonly(pair->secret); /* a guard, not a promise */
    *out = pair;
    pair = NULL;
    err = WEFT_OK;
done:
    weft_keypair_destroy(pair);
    return err;
}

weft_err weft_keypair_create(weft_keypair **out)
{
    uint8_t seed[32];
    weft_err err = wf_crypto_init();
    if (err != WEFT_OK) return err;
    wf_crypto_random(seed, sizeof seed);
    err = weft_keypair_from_seed(seed, out);
    wf_crypto_wipe(seed, sizeof seed);
    return err;
}

void weft_keypair_destroy(weft_keypair *pair)
{
    if (pair == NULL) return;
    wf_locked_free(pair->secret);
    wf_free(pair);
}

void weft_keypair_public(const weft_keypair *pair, weft_key *out) { *out = pair->key; }

void wf_keypair_seed(const weft_keypair *pair, uint8_t out[32]) { memcpy(out, pair->secret, 32); }

/* -- Secrets at rest ---------------------------------------------------------------------- */

void *wf_locked_alloc(size_t size)
{
    /* Until it is initialised the library knows neither pages nor canaries. */
    if (library_state() == TESTED_BROKEN || wf_alloc_refused()) return NULL;
    return sodium_malloc(size);
}

void wf_locked_free(void *ptr) { sodium_free(ptr); /* makes it writable and wipes it first */ }

weft_err wf_passphrase_key(const char *passphrase, size_t len, const uint8_t salt[WF_SALT_BYTES],
                           uint64_t operations, uint64_t memory_bytes,
                           uint8_t out[WF_SEAL_KEY_BYTES])
{
    WF_ASSERT(operations >= crypto_pwhash_argon2id_OPSLIMIT_MIN &&
              memory_bytes >= crypto_pwhash_argon2id_MEMLIMIT_MIN);
    /* In that range only memory can be missing, which the library takes by itself. */
    bool short_of_it = wf_alloc_refused() ||
                       crypto_pwhash(out, WF_SEAL_KEY_BYTES, passphrase, len, salt, operations,
                                     (size_t)memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0;
    return short_of_it ? WEFT_NO_MEMORY : WEFT_OK;
}

void wf_seal(const uint8_t key[WF_SEAL_KEY_BYTES], const uint8_t nonce[WF_SEAL_NONCE_BYTES],
             const void *beside, size_t beside_len, const void *data, size_t len, uint8_t *out)
{
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, data, len, beside, beside_len, NULL,
                                                     nonce, key); /* cannot fail */
}

bool wf_unseal(const uint8_t key[WF_SEAL_KEY_BYTES], const uint8_t nonce[WF_SEAL_NONCE_BYTES],
               const void *beside, size_t beside_len, const uint8_t *data, size_t len, void *out)
{
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, data, len, beside,
                                                      beside_len, nonce, key) == 0;
}

/* -- Signatures --------------------------------------------------------------------------- */

/* The library wants one piece. Most entries fit on the stack; for longer ones
 * *heap is what the caller frees. NULL when memory is short. */
static const uint8_t *tagged(enum wf_purpose purpose, const void *data, size_t len, uint8_t *stack,
                             uint8_t **heap, size_t *out_len)
{
    const char *tag = wf_purpose_tag(purpose);
    const size_t tag_len = strlen(tag) + 1; /* with its NUL */
    WF_ASSERT(tag_len <= TAG_BYTES_MAX && len < SIZE_MAX - PREFIX_BYTES_MAX);

    uint8_t *at = stack;
    *heap = NULL;
    if (tag_len + 8 + len > ON_STACK_BYTES) {
        at = *heap = wf_malloc(tag_len + 8 + len);
        if (at == NULL) return NULL;
    }
    memcpy(at, tag, tag_len);
    for (size_t i = 0; i < 8; i++) at[tag_len + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
    if (len > 0) memcpy(at + tag_len + 8, data, len);
    *out_len = tag_len + 8 + len;
    return at;
}

weft_err wf_sign(const weft_keypair *pair, enum wf_purpose purpose, const void *data, size_t len,
                 uint8_t out[WEFT_SIGNATURE_BYTES])
{
    uint8_t stack[ON_STACK_BYTES], *heap;
    size_t message_len;
    const uint8_t *message = tagged(purpose, data, len, stack, &heap, &message_len);
    if (message == NULL) return WEFT_NO_MEMORY;
    int failed = crypto_sign_detached(out, NULL, message, message_len, pair->secret);
    wf_free(heap);
    return failed ? wf_fail(WEFT_INTERNAL, "crypto", "libsodium did not sign") : WEFT_OK;
}

weft_err wf_verify(const weft_key *key, enum wf_purpose purpose, const void *data, size_t len,
                   const uint8_t signature[WEFT_SIGNATURE_BYTES])
{
    uint8_t stack[ON_STACK_BYTES], *heap;
    size_t message_len;
    uint64_t state = library_state();
    if (state == TESTED_BROKEN) return WEFT_INTERNAL;
    const uint8_t *message = tagged(purpose, data, len, stack, &heap, &message_len);
    if (message == NULL) return WEFT_NO_MEMORY;
    bool good = verify_plain(key->bytes, message, message_len, signature,
                             state == TESTED_COFACTORED);
    wf_free(heap);
    return good ? WEFT_OK : WEFT_BAD_SIGNATURE;
}
