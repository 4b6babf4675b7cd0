/* SPDX-License-Identifier: Apache-2.0
 * peers_load.h - the records of peers as the store has them: read when a node begins, and looked over.
 * One that is damaged is passed over and stays where it is, until another takes its place.
 * Called by: peers_actor.c (through peers_state.h), engine_exact.c, queue_pair.c, weft-fsck. */
#ifndef WF_PEERS_LOAD_H
#define WF_PEERS_LOAD_H

#include "store.h"

struct wf_node_table;

#define WF_WHAT_EXACT "that the next sync with a peer is exact"
#define WF_WHAT_ACKED "what a peer has of a tree"

/* Calls fn for each that is damaged: what it would be. IO, NO_MEMORY; CORRUPT: the engine itself cannot
 * read them. */
weft_err wf_peers_check(wf_store *store,
                        void (*fn)(void *arg, const char *what, const uint8_t *key, size_t key_len),
                        void *arg);
/* Log and counters tell of one that is left aside. Any thread. */
void wf_peers_damaged(const struct wf_node_table *table, const char *what, const uint8_t *key,
                      size_t key_len);

#endif
