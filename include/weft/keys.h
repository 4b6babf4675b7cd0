/* SPDX-License-Identifier: Apache-2.0
 * weft/keys.h - secret keys at rest: under a passphrase, by name, and a device's new one.
 *
 * What is sealed is sealed by XChaCha20-Poly1305 under a key that Argon2id (RFC 9106, one lane)
 * makes of the passphrase; docs/keys.md has the bytes. Making that key takes as long and as much
 * memory as its cost says, on the calling thread: from inside an actor these calls answer DEADLK.
 * A passphrase has 1 to WEFT_PASSPHRASE_BYTES_MAX bytes, whatever they are (INVALID); no copy of
 * it is kept. Secrets are held in memory that is locked, fenced and wiped, and are in no log. */
#ifndef WEFT_KEYS_H
#define WEFT_KEYS_H

#include <weft/buf.h>
#include <weft/entry.h>
#include <weft/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- One pair, to be carried elsewhere ------------------------------------------------ */

/* Seals `pair` at the default cost. *out is the caller's. NO_MEMORY, INVALID. Any thread. */
weft_err weft_keypair_export(const weft_keypair *pair, const char *passphrase, size_t len,
                             weft_buf **out);
/* Reads what weft_keypair_export made. PASSPHRASE (it is another one, or the bytes were changed:
 * nobody can tell which), SYNTAX, VERSION, LIMIT (it asks for more than the bounds below),
 * NO_MEMORY. Any thread. */
weft_err weft_keypair_import(const void *data, size_t len, const char *passphrase,
                             size_t passphrase_len, weft_keypair **out);

/* -- Many pairs in a file, by name ------------------------------------------------------- */

/* Belongs to one thread at a time. In a child process (fork) its calls answer FORKED. Two
 * programs may have the same file open; of their changes the later one is refused (KEY_FILE)
 * until that program has opened the file again, so none takes the other's back. */
typedef struct weft_keystore weft_keystore;

/* What one try of a passphrase costs: passes over so much memory. 0 means the default. At most
 * WEFT_KEYSTORE_OPERATIONS_MAX and WEFT_KEYSTORE_MEMORY_MAX, also of a file that is opened. */
typedef struct weft_keystore_cost {
    uint64_t operations;   /* 0: 3; at least 1           */
    uint64_t memory_bytes; /* 0: 256 MiB; at least 8 KiB */
} weft_keystore_cost;

/* Makes an empty one: a file of mode 0600, durable when it returns. `cost` may be NULL: the
 * default. EXISTS (something has that name: it is never overwritten), IO, NO_MEMORY, INVALID. */
weft_err weft_keystore_create(const char *path, const char *passphrase, size_t len,
                              const weft_keystore_cost *cost, weft_keystore **out);
/* NOT_FOUND; KEY_FILE (unreadable, malformed, a symbolic link, another user's, a mode other than
 * 0600 or 0400); PASSPHRASE (another one, or the file was changed); VERSION; LIMIT (it asks for
 * more than the bounds above); NO_MEMORY, INVALID. */
weft_err weft_keystore_open(const char *path, const char *passphrase, size_t len,
                            weft_keystore **out);
/* Adds a pair, which is copied, under a name of 1 to WEFT_KEY_NAME_BYTES_MAX bytes of UTF-8. The
 * file is written beside the old one and renamed: after any failure or crash it is the old or
 * the new one, whole. Durable when it returns. EXISTS (the name), LIMIT
 * (WEFT_KEYSTORE_KEYS_MAX), KEY_FILE (another program changed the file), IO, NO_MEMORY, INVALID.
 * IO from the last step, making the rename durable, leaves the new file: the handle says so. */
weft_err weft_keystore_put(weft_keystore *store, const char *name, const weft_keypair *pair);
/* A pair of the caller's. NOT_FOUND, NO_MEMORY. */
weft_err weft_keystore_get(weft_keystore *store, const char *name, weft_keypair **out);
/* As put; NOT_FOUND. The disk may keep the old bytes, which are sealed. */
weft_err weft_keystore_remove(weft_keystore *store, const char *name);
/* Calls fn for each, by the bytes of the names; fn may not change the store (DEADLK). */
weft_err weft_keystore_each(weft_keystore *store,
                            void (*fn)(void *arg, const char *name, const weft_key *key),
                            void *arg);
/* Seals all of it under another passphrase, at the same cost, with a new salt. As put. */
weft_err weft_keystore_passphrase(weft_keystore *store, const char *passphrase, size_t len);
void weft_keystore_close(weft_keystore *store); /* wipes; NULL is fine */

/* -- A device's new key --------------------------------------------------------------------- */

/* Gives a closed node a new device key. `where` are the options that the node is opened with
 * (INVALID without a key file: `device`, or neither `dir` nor `key_file`). The old pair stays
 * beside the new one in "<file>.before", and both are the caller's: to grant the new key what the
 * old one had, and to revoke that. What the store knows of trees and peers stays; peers know this
 * node by its old key until they are told the new one. All or nothing: what a crash leaves half
 * done the next opening of the node, or the next call, ends. NOT_FOUND (no key file), EXISTS
 * ("<file>.before" of an earlier change is still there: take it away first), LOCKED (the node is
 * open), KEY_FILE, and what weft_node_open answers. */
weft_err weft_device_rotate(const weft_node_options *where, weft_keypair **out_before,
                            weft_keypair **out_now);

#ifdef __cplusplus
}
#endif
#endif
