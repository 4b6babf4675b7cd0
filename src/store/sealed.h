/* SPDX-License-Identifier: Apache-2.0
 * sealed.h - named pairs of keys as bytes that only a passphrase opens (docs/keys.md).
 * Called by: keystore.c (a file of them), api_keys.c (one, to be carried elsewhere).
 * Never: touches a file, logs, holds a secret outside the memory it is given. */
#ifndef WF_SEALED_H
#define WF_SEALED_H

#include <weft/keys.h>

#include "crypto.h"

enum {
    WF_SEALED_SEED_BYTES = 32,
    WF_SEALED_LINE_BYTES_MAX = 160, /* of the first line, with its end */
    /* For each pair: an array, a name and a seed with their heads. */
    WF_SEALED_BYTES_MAX = WF_SEALED_LINE_BYTES_MAX + 3 + (int)WF_SEAL_TAG_BYTES +
                          (int)WEFT_KEYSTORE_KEYS_MAX *
                              (3 + (int)WEFT_KEY_NAME_BYTES_MAX + 2 + WF_SEALED_SEED_BYTES)
};

struct wf_sealed_pair {
    char name[WEFT_KEY_NAME_BYTES_MAX + 1]; /* "" only in an export */
    uint8_t seed[WF_SEALED_SEED_BYTES];
};

/* What seals. It and the pairs below are to be in memory of wf_locked_alloc. */
struct wf_sealed_key {
    uint64_t operations, memory_bytes;
    uint8_t salt[WF_SALT_BYTES];
    uint8_t key[WF_SEAL_KEY_BYTES];
};

struct wf_sealed {
    struct wf_sealed_key key;
    uint32_t count;
    struct wf_sealed_pair pairs[WEFT_KEYSTORE_KEYS_MAX]; /* by the bytes of the names */
};

/* Is it a passphrase at all, is it a cost? */
bool wf_sealed_passphrase_ok(const char *passphrase, size_t len);
/* A new salt, and the key that it and the passphrase make. `cost` NULL, zeroes: the default.
 * INVALID (out of range), NO_MEMORY. */
weft_err wf_sealed_key_make(const char *passphrase, size_t len, const weft_keystore_cost *cost,
                            struct wf_sealed_key *out);
/* NO_MEMORY. */
weft_err wf_sealed_write(const struct wf_sealed *sealed, weft_buf **out);
/* SYNTAX, VERSION, LIMIT (before any work is done), PASSPHRASE, NO_MEMORY. *out may be half
 * filled after a failure. */
weft_err wf_sealed_read(const uint8_t *data, size_t len, const char *passphrase,
                        size_t passphrase_len, struct wf_sealed *out);
/* How long the first line of what wf_sealed_write made is; it is another one each time. */
size_t wf_sealed_line_len(const uint8_t *data, size_t len);

#endif
