/* SPDX-License-Identifier: Apache-2.0
 * idset.h - a set of ids that numbers its members in the order of their coming.
 * Called by: diff.c, the sync layer's held.c. May touch: the heap.
 * Never: shows an order that depends on hashes. One thread. */
#ifndef WF_IDSET_H
#define WF_IDSET_H

#include <stdbool.h>

#include <weft/id.h>

struct wf_idset {
    weft_id *ids; /* members 0 .. count-1 */
    uint32_t count, room, max;
    uint32_t *table; /* member + 1; 0: free */
    uint32_t table_size;
    uint8_t key[16]; /* so that nobody can choose ids that collide */
};
/* Empty, for at most `max` members. Owns nothing until the first add. */
void wf_idset_init(struct wf_idset *set, uint32_t max, const uint8_t key[16]);
void wf_idset_fini(struct wf_idset *set);
/* *at is the member's number; *added tells whether it is new. LIMIT, NO_MEMORY. */
weft_err wf_idset_add(struct wf_idset *set, const weft_id *id, uint32_t *at, bool *added);
bool wf_idset_find(const struct wf_idset *set, const weft_id *id, uint32_t *at);

#endif
