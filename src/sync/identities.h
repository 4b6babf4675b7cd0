/* SPDX-License-Identifier: Apache-2.0
 * identities.h - the keys that this node acts with in trees, beside the device's.
 * Called by: api_access.c (writes), engine_prove.c (signs). Any thread.
 * May touch: its own memory under its lock; secrets stay in locked memory.
 * Never: messages, the disk: an identity is gone with the process. */
#ifndef WF_IDENTITIES_H
#define WF_IDENTITIES_H

#include <weft/actor.h>
#include <weft/entry.h>

struct wf_identities;
struct wf_identities *wf_identities_create(void); /* NULL when memory is short */
void wf_identities_destroy(struct wf_identities *ids);
/* Copies the pair; NULL takes away what is there. LIMIT (WEFT_IDENTITIES_MAX), NO_MEMORY. */
weft_err wf_identities_set(struct wf_identities *ids, const weft_id *tree,
                           const weft_keypair *pair);
bool wf_identities_key(struct wf_identities *ids, const weft_id *tree, weft_key *out);
/* By the tree's pair, with the purpose of access. NOT_FOUND: it has none. */
weft_err wf_identities_sign(struct wf_identities *ids, const weft_id *tree, const void *data,
                            size_t len, weft_key *key, uint8_t out[WEFT_SIGNATURE_BYTES]);

extern const weft_kind wf_identity_kind;
struct wf_identity_msg { /* api_access.c -> engine: one has changed, show it */
    weft_msg msg;
};

#endif
