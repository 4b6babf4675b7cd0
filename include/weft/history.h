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
typedef void (*weft_on_addresses)(void *arg, weft_err err, const weft_address_info *addresses,
                                  size_t count);
/* Of all types. */
weft_err weft_peer_addresses_async(weft_node *node, const weft_key *peer, weft_on_addresses done,
                                   void *arg);

/* -- Syncs -------------------------------------------------------------------------------- */

typedef struct weft_sync_record { /* one sync of a tree that is followed here, with a peer */
    uint64_t number; /* of this node; grows                                              */
    weft_key peer;
    weft_id tree;
    int64_t began_ms; /* wall clock                                                       */
    weft_ns took_ns;
    weft_err err;            /* OK: both held what both had had                                 */
    uint64_t sent, received; /* entries, with those that were pushed since the last one */
    uint64_t bytes_sent, bytes_received; /* of the frames that they were in             */
} weft_sync_record;
/* The last syncs with a peer, whoever began them, newest first. At most WEFT_HISTORY_PER_PEER_MAX are
 * remembered, and WEFT_HISTORY_MAX of all peers; the oldest go. They are written to the disk within a few
 * seconds: a crash may take back the last ones. `*count` in: room, out: filled; LIMIT:
 * there are more. NOT_FOUND: no such peer. */
weft_err weft_history(weft_node *node, const weft_key *peer, weft_ns timeout, weft_sync_record *out,
                      size_t *count);
typedef void (*weft_on_syncs)(void *arg, weft_err err, const weft_sync_record *syncs, size_t count);
weft_err weft_history_async(weft_node *node, const weft_key *peer, weft_on_syncs done, void *arg);
/* Forgets the syncs of all peers that began before that time; *removed (may be NULL) says how many. */
weft_err weft_history_trim(weft_node *node, int64_t before_ms, weft_ns timeout, uint64_t *removed);
weft_err weft_history_trim_async(weft_node *node, int64_t before_ms, weft_on_count done, void *arg);
/* The peers, also blocked ones, of which a sync is remembered, by key; as weft_peer_list. */
weft_err weft_peers_with_history(weft_node *node, weft_ns timeout, weft_key *out, size_t *count);
weft_err weft_peers_with_history_async(weft_node *node, weft_on_keys done, void *arg);

typedef struct weft_pair_info { /* a tree with a peer */
    uint64_t acked_seq;         /* of our arrivals, up to which the peer holds them durably      */
    uint64_t their_seq;         /* of the peer's arrivals, up to which they are here             */
    int64_t last_sync_ms;       /* wall clock: when the last one succeeded; 0: none            */
    uint64_t last_count;        /* entries that it carried, both ways                          */
    uint64_t sent, received;
    uint64_t syncs_ok, syncs_failed;
    weft_ns took_ns_mean; /* of those that succeeded                                     */
    double success;       /* their share; 0 if there was none                            */
} weft_pair_info;
/* All syncs of the pair, not only the remembered ones; WEFT_PAIR_SUMS_MAX pairs are added up. NOT_FOUND: the peer
 * or the tree is not known here. CORRUPT, IO. */
weft_err weft_pair_get(weft_node *node, const weft_key *peer, const weft_id *tree, weft_ns timeout,
                       weft_pair_info *out);

#ifdef __cplusplus
}
#endif
#endif
