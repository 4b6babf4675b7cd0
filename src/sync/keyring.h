/* SPDX-License-Identifier: Apache-2.0
 * keyring.h - the keys that a connected peer has proven beside its device's.
 * Called by: engine_prove.c, engine_join.c, engine_conn.c (write), access.c from any thread (reads).
 * May touch: its own memory under its lock. Never: messages, the store. */
#ifndef WF_KEYRING_H
#define WF_KEYRING_H

#include <weft/entry.h>
#include <weft/limits.h>

struct wf_keyring;
struct wf_keyring *wf_keyring_create(void); /* NULL when memory is short */
void wf_keyring_destroy(struct wf_keyring *ring);
/* `peer` has proven `key`. EXISTS: it had before; LIMIT: it has proven WEFT_PROVEN_KEYS_MAX. */
weft_err wf_keyring_add(struct wf_keyring *ring, const weft_key *peer, const weft_key *key);
/* Has the peer proven the key, or would it find room behind `others` more? */
bool wf_keyring_room(struct wf_keyring *ring, const weft_key *peer, const weft_key *key,
                     uint32_t others);
void wf_keyring_drop(struct wf_keyring *ring,
                     const weft_key *peer); /* its last connection is gone */
/* How many of `out` are filled, in the order in which they were proven. NULL: none. */
uint32_t wf_keyring_get(struct wf_keyring *ring, const weft_key *peer,
                        weft_key out[WEFT_PROVEN_KEYS_MAX]);

#endif
