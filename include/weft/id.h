/* SPDX-License-Identifier: Apache-2.0
 * weft/id.h - content ids and public keys, and their text forms. */
#ifndef WEFT_ID_H
#define WEFT_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>
#include <weft/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* BLAKE2b-256 of an entry's canonical bytes; the id of a tree is its root's. */
typedef struct weft_id {
    uint8_t bytes[WEFT_ID_BYTES];
} weft_id;

/* An Ed25519 public key (RFC 8032). */
typedef struct weft_key {
    uint8_t bytes[WEFT_KEY_BYTES];
} weft_key;

/* Room for the texts below with their final NUL. */
#define WEFT_ID_TEXT_BYTES 72u
#define WEFT_KEY_TEXT_BYTES 80u

/* The CIDv1 text of an id: multibase base32 lower case, codec messagepack
 * (0x0201), multihash blake2b-256 (0xb220). Any thread. */
void weft_id_text(const weft_id *id, char out[WEFT_ID_TEXT_BYTES]);
/* Reads exactly that form. SYNTAX; *out is untouched then. */
weft_err weft_id_parse(const char *text, weft_id *out);
/* "ed25519:" and 64 hexadecimal digits. */
void weft_key_text(const weft_key *key, char out[WEFT_KEY_TEXT_BYTES]);
weft_err weft_key_parse(const char *text, weft_key *out);

/* Order and equality by bytes. */
int weft_id_compare(const weft_id *a, const weft_id *b);
bool weft_id_equal(const weft_id *a, const weft_id *b);
int weft_key_compare(const weft_key *a, const weft_key *b);
bool weft_key_equal(const weft_key *a, const weft_key *b);

#ifdef __cplusplus
}
#endif
#endif
