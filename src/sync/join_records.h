/* SPDX-License-Identifier: Apache-2.0
 * join_records.h - the records of joining as the store has them: read when a node begins, and looked
 * over. One that is damaged is passed over and stays where it is, until another takes its place: what
 * one request says concerns no other.
 * Called by: join_desk.c, weft-fsck. */
#ifndef WF_JOIN_RECORDS_H
#define WF_JOIN_RECORDS_H

#include "store.h"

struct wf_join_desk;
struct wf_node_table;

/* All that can be read goes to the desk; of what cannot the log and the counters tell. IO,
 * NO_MEMORY; CORRUPT: the engine itself cannot read them. */
weft_err wf_join_records_load(struct wf_join_desk *desk, const struct wf_node_table *table);
/* Calls fn for each that is damaged: what it would be. */
weft_err wf_join_records_check(wf_store *store,
                               void (*fn)(void *arg, const char *what, const uint8_t *key,
                                          size_t key_len),
                               void *arg);

#endif
