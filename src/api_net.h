/* SPDX-License-Identifier: Apache-2.0
 * api_net.h - what is remembered of transports, for the rooms that add and remove them.
 * Called by: api_net*.c, api_peer.c, weft.c. Never: included by a layer. */
#ifndef WF_API_NET_H
#define WF_API_NET_H

#include <weft/net.h>

#include "node_internal.h"

/* 1 to 15 of a-z, 0-9, '+', '-'. */
bool wf_type_fits(const char *type, size_t len);

/* The record of a transport; `listen` (may be NULL) has its type. INVALID, NO_MEMORY. */
weft_err wf_saved_record(const char *name, const char *type, const char *listen, const void *state,
                         size_t state_len, struct wf_record_put **out);
/* To the store: forgets what is saved under that name; NOT_FOUND: nothing is. NULL when memory is
 * short. */
struct wf_record_put *wf_saved_forget(const char *name);
/* Adds the TCP ones that are saved. Those that cannot be are left out, and the log says so. */
weft_err wf_saved_restore(weft_node *node);

#endif
