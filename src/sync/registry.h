/* SPDX-License-Identifier: Apache-2.0
 * registry.h - the peers that are known, in memory: rows by key, relations, and the
 * bytes of their records. Pure: no messages, no clock, no disk.
 * Called by: peers_*.c. May touch: nothing else. Never: asks, sends. */
#ifndef WF_REGISTRY_H
#define WF_REGISTRY_H

#include <weft/node.h>

/* What is known of an address beside its text, by its place in info.addresses. */
struct wf_row_address {
    bool by_hand;      /* somebody here said it; else the peer told it, once proven */
    int64_t told_ms;   /* last, by the peer; 0: never                               */
    int64_t worked_ms; /* last, for us: the peer proved its key there; 0: never   */
};
struct wf_peer_row {
    weft_peer_info info;
    struct wf_row_address about[WEFT_ADDRESSES_PER_PEER_MAX];
    weft_id *trees; /* ascending; info.trees_count of them */
    uint32_t trees_room;
    bool dirty;   /* statistics changed since its record was written */
    bool unnamed; /* it came by a right of everyone's, and nobody has named it since */
    bool aside;   /* its record is damaged and stays as it is, until somebody writes it anew */
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

/* By hand, or told by the peer at that time. One that is there becomes so: EXISTS. When all places
 * are taken it takes that of a told one: of those that never worked the one that was told longest
 * ago, else the one that worked longest ago, but of none that was told as late as it is itself; never that
 * of one by hand. LIMIT. */
weft_err wf_row_add_address(struct wf_peer_row *row, const char *address);
weft_err wf_row_tell_address(struct wf_peer_row *row, const char *address, int64_t now_ms);
weft_err wf_row_remove_address(struct wf_peer_row *row, const char *address); /* NOT_FOUND */
/* The peer proved its key there. One that is not in the row is not put there. */
void wf_row_address_worked(struct wf_peer_row *row, const char *address, int64_t now_ms);
/* Takes out what was told, and neither told again nor worked for WEFT_ADDRESS_TTL_MS. True if any. */
bool wf_row_expire(struct wf_peer_row *row, int64_t now_ms);
/* The info with its addresses in the order in which they are to be tried: those that worked, the
 * last time first; then those by hand, then the others, each in the order in which they came. */
void wf_row_by_worth(const struct wf_peer_row *row, weft_peer_info *out);
/* EXISTS, LIMIT, NO_MEMORY. */
weft_err wf_row_relate(struct wf_peer_row *row, const weft_id *tree);
weft_err wf_row_unrelate(struct wf_peer_row *row, const weft_id *tree); /* NOT_FOUND */
bool wf_row_related(const struct wf_peer_row *row, const weft_id *tree);

/* The record of a row: everything but connection and relations. Those of before, which knew only
 * the texts of addresses, are read as if all were by hand. */
#define WF_ROW_RECORD_MAX 4096u
size_t wf_row_encode(const struct wf_peer_row *row, uint8_t out[WF_ROW_RECORD_MAX]);
weft_err wf_row_decode(const uint8_t *bytes, size_t len, struct wf_peer_row *row); /* CORRUPT */

#endif
