/* SPDX-License-Identifier: Apache-2.0
 * trust_world.h - authors that lie and rights that come and go, in small worlds (world.h).
 * Called by: test_trust_world.c. Never: threads, the machine's clock. */
#ifndef TRUST_WORLD_H
#define TRUST_WORLD_H

#include <weft/access.h>
#include <weft/map.h>

#include "world.h"

#define TRUST_DOC "doc"
#define TRUST_LONG (2400 * WEFT_SEC)

/* A place in the history where somebody may write on, whatever has come since. */
struct trust_cut {
    weft_id id, doc; /* `doc`: the last below it that wrote the map */
    bool has_doc;
    uint64_t height;
};

weft_keypair *trust_pair(uint8_t number, weft_key *out); /* `out` may be NULL */
/* By the world's author; `out` (may be NULL) is where that entry stands. */
weft_err trust_say(struct world *w, uint32_t node, const weft_key *who, weft_right right,
                   struct trust_cut *out);
/* An entry on these places, and on no others, that sets `name` in the map to `number`. */
weft_buf *trust_entry(const struct world *w, const weft_keypair *author,
                      const struct trust_cut *places, uint32_t count, const char *name,
                      uint64_t number, struct trust_cut *out);
/* It comes through the door of the node. */
weft_err trust_add(struct world *w, uint32_t node, weft_buf *entry);
bool trust_has(struct world *w, uint32_t node, const weft_id *id);
bool trust_counts(struct world *w, uint32_t node, const weft_id *id);
/* What the map shows there; 0: nothing. Refreshes it. */
uint64_t trust_shows(weft_map *map, const char *name);
weft_map *trust_map(struct world *w, uint32_t node);
/* All that a node knows of who may do what, of what counts, and of the map; free() it. */
char *trust_told(struct world *w, uint32_t node);
/* All of them tell the same. */
void trust_expect_same(struct world *w);

void trust_cut_all(struct world *w, bool cut);
void trust_meet(struct world *w); /* nobody is cut off, and all hold the same */

/* -- A judge of who is sent what --------------------------------------------------------------- */

/* Node 0 alone says who may read, and the others pass on. */
struct trust_model {
    bool may_not[WORLD_NODES_MAX][WORLD_NODES_MAX]; /* whom that node may send nothing any more */
    weft_id revocation[WORLD_NODES_MAX];            /* the last that was answered, of that node */
    uint64_t right, wrong;                          /* pieces */
};
void trust_judge(struct world *w, struct trust_model *m);
/* Node 0 says it of node i; the model goes with it. */
weft_err trust_let(struct world *w, struct trust_model *m, uint32_t i, bool read);
/* Commits on a node. When it is answered all that came there before it holds, for others too. */
weft_err trust_commit(struct world *w, struct trust_model *m, uint32_t node, size_t len);

#endif
