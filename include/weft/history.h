/* SPDX-License-Identifier: Apache-2.0
 * weft/history.h - what a node remembers of its peers. Any thread may call. */
#ifndef WEFT_HISTORY_H
#define WEFT_HISTORY_H

#include <weft/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- Addresses ---------------------------------------------------------------------------- */

typedef struct weft_address_info {
    char text[WEFT_ADDRESS_BYTES_MAX];
    bool by_hand;    /* somebody here said it; else the peer told it, once it had proven its key */
    int64_t told_ms; /* wall clock: when the peer told it last; 0: never                         */
    int64_t
        worked_ms; /* when the peer last proved its key there to us; 0: never                  */
} weft_address_info;
/* The addresses of a peer, of one type ("tcp") or all (NULL), in the order in which they came.
 * Dials try those first that worked, the last time first, then those by hand. A peer's own word
 * takes the place of no address by hand, and is forgotten WEFT_ADDRESS_TTL_MS after it
 * was told or worked last; where a peer calls from is no address. `*count` in: room, out: filled;
 * LIMIT: there are more. NOT_FOUND: no such peer, or a blocked one. */
weft_err weft_peer_addresses(weft_node *node, const weft_key *peer, const char *type,
                             weft_ns timeout, weft_address_info *out, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
