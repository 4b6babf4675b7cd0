/* SPDX-License-Identifier: Apache-2.0
 * lone.h - one node on threads of its own, with a tree and a writer; and a gate before the disk
 * of such nodes, at which their batches wait while it is shut.
 * Called by: test_{feed,fork,grants,map_revoked,notify,settings_api,settle}.c. Never: the simulator. */
#ifndef LONE_H
#define LONE_H

#include <weft/node.h>

#include "kv.h"

struct lone {
    weft_node *node;
    weft_keypair *author;
    weft_id tree;        /* everybody may write it */
    weft_writer *writer; /* the author's */
};
/* With `kv`, which is taken, or as the options say (NULL: in memory). Ends the test on failure. */
void lone_open(struct lone *l, const weft_node_options *options, wf_kv *kv);
void lone_close(struct lone *l); /* what the test has closed and set to NULL is left out */
void lone_commit(struct lone *l, uint32_t count, weft_id *last); /* `last` may be NULL */

/* -- The gate: one for the process ---------------------------------------------------------- */

/* An engine in memory whose writes pass the gate. */
wf_kv *gate_kv_create(void);
void gate_set(bool shut);
void gate_wait_met(void); /* until a batch waits there */
/* For callbacks: counted here, and waited for. */
void gate_note(void);
void gate_wait_noted(uint32_t least); /* until there were as many */

#endif
