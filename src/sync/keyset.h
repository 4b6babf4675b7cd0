/* SPDX-License-Identifier: Apache-2.0
 * keyset.h - a set of keys of peers, readable from any thread: who is blocked, who is known.
 * Called by: the peer manager's rooms (write), transport through wf_peers_may_connect and the engine
 * (read). May touch: its own memory under its lock. Never: messages. */
#ifndef WF_KEYSET_H
#define WF_KEYSET_H

#include <weft/id.h>

struct wf_keyset;
struct wf_keyset *wf_keyset_create(void); /* NULL when memory is short */
void wf_keyset_destroy(struct wf_keyset *set);
weft_err wf_keyset_set(struct wf_keyset *set, const weft_key *key, bool in);
bool wf_keyset_has(struct wf_keyset *set, const weft_key *key);

#endif
