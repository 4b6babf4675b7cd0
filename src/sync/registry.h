/* SPDX-License-Identifier: Apache-2.0
 * registry.h - the peers that are known, in memory: rows by key, relations, and the
 * bytes of their records. Pure: no messages, no clock, no disk.
 * Called by: peers_actor.c. May touch: nothing else. Never: asks, sends. */
#ifndef WF_REGISTRY_H
#define WF_REGISTRY_H

#include <weft/node.h>

struct wf_peer_row {
    weft_peer_info info;
    weft_id *trees; /* ascending; info.trees_count of them */
    uint32_t trees_room;
    bool dirty; /* statistics changed since its record was written */
};

struct wf_registry {
    struct wf_peer_row **rows; /* ascending by key */
    uint32_t count, room;
};

void wf_registry_fini(struct wf_registry *reg);
struct wf_peer_row *wf_registry_find(const struct wf_registry *reg, const weft_key *key);
/* A new row, active and disconnected. LIMIT, NO_MEMORY. */
weft_err wf_registry_add(struct wf_registry *reg, const weft_key *key, struct wf_peer_row **out);
void wf_registry_remove(struct wf_registry *reg, struct wf_peer_row *row); /* and frees it */

/* EXISTS, LIMIT. */
weft_err wf_row_add_address(struct wf_peer_row *row, const char *address);
weft_err wf_row_remove_address(struct wf_peer_row *row, const char *address); /* NOT_FOUND */
/* EXISTS, LIMIT, NO_MEMORY. */
weft_err wf_row_relate(struct wf_peer_row *row, const weft_id *tree);
weft_err wf_row_unrelate(struct wf_peer_row *row, const weft_id *tree); /* NOT_FOUND */
bool wf_row_related(const struct wf_peer_row *row, const weft_id *tree);

/* The record of a row: everything but connection and relations. */
#define WF_ROW_RECORD_MAX 4096u
size_t wf_row_encode(const struct wf_peer_row *row, uint8_t out[WF_ROW_RECORD_MAX]);
weft_err wf_row_decode(const uint8_t *bytes, size_t len, struct wf_peer_row *row); /* CORRUPT */

#endif
