/* SPDX-License-Identifier: Apache-2.0
 * blocklist.h - the keys that may not connect, readable from any thread.
 * Called by: the peer manager's rooms (write), transport through wf_peers_may_connect (reads).
 * May touch: its own memory under its lock. Never: messages. */
#ifndef WF_BLOCKLIST_H
#define WF_BLOCKLIST_H

#include <weft/id.h>

struct wf_blocklist;
struct wf_blocklist *wf_blocklist_create(void); /* NULL when memory is short */
void wf_blocklist_destroy(struct wf_blocklist *list);
weft_err wf_blocklist_set(struct wf_blocklist *list, const weft_key *key, bool blocked);
bool wf_blocklist_has(struct wf_blocklist *list, const weft_key *key);

#endif
