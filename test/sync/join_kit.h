/* SPDX-License-Identifier: Apache-2.0
 * join_kit.h - asking and deciding in small worlds: node 0 serves, the others ask.
 * Called by: test_join.c, test_join_crash.c, test_trust_clock.c. Never: threads, the machine's clock. */
#ifndef JOIN_KIT_H
#define JOIN_KIT_H

#include <weft/join.h>

#include "world.h"

#define CALL (20 * WEFT_SEC)
#define HOST "mem:n0:1"

static inline weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static inline const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

/* `out` may be NULL. */
weft_keypair *join_pair(uint8_t number, weft_key *out);
/* A tree of node 0 that nobody else may read; AUTO is up to Write(10). */
weft_id join_tree(struct world *w, uint8_t number, weft_join_mode mode);
/* Node i asks node 0, as "Ada" and at priority 10, with words for who decides. */
weft_err join_ask_as(struct world *w, uint32_t i, const weft_id *tree, const weft_keypair *as,
                     weft_right right, weft_join_outcome *out);
weft_err join_ask(struct world *w, uint32_t i, const weft_id *tree, weft_right right,
                  weft_join_outcome *out);
/* At node i; 0: the tree is not here. */
uint64_t join_entries(struct world *w, uint32_t i, const weft_id *tree);
/* Requests at node 0; `first` may be NULL. */
size_t join_listed(struct world *w, weft_join_state state, weft_join_request *first);
weft_right join_right(struct world *w, uint32_t i, const weft_id *tree, const weft_key *who);

/* What was told of joining. */
struct join_heard {
    uint32_t count;
    weft_event events[16];
};
void join_on_event(void *arg, const weft_event *event);

/* How often decisions were answered so. */
struct join_decided {
    uint32_t ok, state;
};
void join_on_decided(void *arg, weft_err err, const weft_result *result);

#endif
