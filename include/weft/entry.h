/* SPDX-License-Identifier: Apache-2.0
 * weft/entry.h - signed, content-addressed entries: keys, building, reading.
 * docs/entry.md fixes the encoding with golden bytes. Any thread may call. */
#ifndef WEFT_ENTRY_H
#define WEFT_ENTRY_H

#include <weft/buf.h>
#include <weft/id.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- Keys ---------------------------------------------------------------------- */

typedef struct weft_keypair weft_keypair; /* opaque; the secret is in locked memory,
                                           * wiped by destroy                       */

weft_err weft_keypair_create(weft_keypair **out); /* fresh        */
weft_err weft_keypair_from_seed(const uint8_t seed[32], weft_keypair **out);
/* Reads a key file: one line "weft-key-1 ed25519 <64 hex digits of the seed>".
 * KEY_FILE when it is unreadable, malformed, a symbolic link, another user's, or of a
 * mode other than 0600 or 0400; NOT_FOUND when it does not exist. */
weft_err weft_keypair_load(const char *path, weft_keypair **out);
/* Writes it with mode 0600, synced, never over an existing file (EXISTS). IO. */
weft_err weft_keypair_save(const weft_keypair *pair, const char *path);
void weft_keypair_destroy(weft_keypair *pair); /* NULL is fine */
void weft_keypair_public(const weft_keypair *pair, weft_key *out);

/* -- Building --------------------------------------------------------------------- */

typedef enum weft_height { WEFT_HEIGHT_INCREMENTAL = 0, WEFT_HEIGHT_TIMESTAMP = 1 } weft_height;

typedef struct weft_store_part { /* what an entry writes to one named store */
    const char *name;            /* UTF-8, 1 .. WEFT_STORE_NAME_BYTES_MAX bytes;
                                  * names that begin with '_' are weft's own  */
    const weft_id *parents;      /* entries of the same tree that write this store */
    uint32_t parents_count;      /* <= WEFT_ENTRY_PARENTS_MAX                      */
    const void *payload;         /* NULL: none                                     */
    size_t payload_len;
    bool has_height; /* false: inherits the entry's height             */
    uint64_t height;
} weft_store_part;

typedef struct weft_entry_spec {
    weft_id tree;
    const weft_id *parents; /* >= 1; any order, duplicates are removed        */
    uint32_t parents_count;
    uint64_t height;      /* by the tree's strategy                         */
    const void *metadata; /* NULL or no bytes: none                         */
    size_t metadata_len;
    const weft_store_part *stores; /* any order, names unique                 */
    uint32_t stores_count;
} weft_entry_spec;

/* Builds, signs and hashes an entry. *out is the caller's, *out_id its id.
 * INVALID (a rule of the format), LIMIT (too large), NO_MEMORY. */
weft_err weft_entry_build(const weft_entry_spec *spec, const weft_keypair *author, weft_buf **out,
                          weft_id *out_id);

typedef enum weft_right {
    WEFT_RIGHT_NONE,
    WEFT_RIGHT_READ,
    WEFT_RIGHT_WRITE,
    WEFT_RIGHT_ADMIN
} weft_right;

typedef struct weft_root_spec {
    weft_height height;  /* strategy of the tree                               */
    weft_right everyone; /* the grant for "*"; NONE: none. ADMIN is refused    */
    uint32_t everyone_priority;
    uint8_t entropy[16]; /* all zero: drawn at random                          */
} weft_root_spec;

/* Builds the root of a new tree: its `_settings` make the author Admin(0). */
weft_err weft_root_build(const weft_root_spec *spec, const weft_keypair *author, weft_buf **out,
                         weft_id *out_id);

/* -- Reading ------------------------------------------------------------------------- */

typedef struct weft_entry_store { /* points into the entry's bytes */
    const char *name;             /* not NUL-terminated             */
    uint32_t name_len;
    uint32_t parents_count;
    const uint8_t *parents; /* weft_entry_store_parent reads them */
    const uint8_t *payload; /* NULL: none                     */
    size_t payload_len;
    bool has_height;
    uint64_t height; /* the entry's when has_height is false */
} weft_entry_store;

/* A decoded entry; borrows the bytes that it was read from. */
typedef struct weft_entry {
    const uint8_t *bytes;
    size_t len;
    weft_id id;
    bool is_root;
    weft_id tree;         /* a root's own id if is_root */
    uint8_t entropy[16];  /* roots only                 */
    weft_height strategy; /* roots only                 */
    uint32_t parents_count;
    const uint8_t *parents;
    uint64_t height;
    const uint8_t *metadata; /* NULL: none */
    size_t metadata_len;
    uint32_t stores_count;
    weft_entry_store stores[WEFT_ENTRY_STORES_MAX];
    weft_key author;
    uint8_t signature[WEFT_SIGNATURE_BYTES];
} weft_entry;

/* Reads and checks everything that an entry shows by itself except the signature:
 * size, structure, canonical form, the rules of its version; computes the id. The
 * bytes must stay as long as *out is used. SYNTAX, NOT_CANONICAL, BAD_ENTRY, LIMIT,
 * UNSUPPORTED (version). Allocates nothing. */
weft_err weft_entry_decode(const void *bytes, size_t len, weft_entry *out);

/* The i-th tree parent, and the i-th parent of a store. */
void weft_entry_parent(const weft_entry *entry, uint32_t i, weft_id *out);
void weft_entry_store_parent(const weft_entry_store *store, uint32_t i, weft_id *out);

/* Checks the author's signature (RFC 8032, canonical S, A and R, no small-order
 * points). BAD_SIGNATURE. About 130 us. */
weft_err weft_entry_verify(const weft_entry *entry);

#ifdef __cplusplus
}
#endif
#endif
