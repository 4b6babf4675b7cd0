/* SPDX-License-Identifier: Apache-2.0
 * peers.h - the peer manager: who is known, how to reach them, how they fare.
 * Owns the registry (records in the store's `peer` family, written through the store
 * actor and answered once durable), relations of peers and trees, connection states,
 * statistics. Called by: weft.c (requests of the public API), sync (notes, look-ups). */
#ifndef WF_PEERS_H
#define WF_PEERS_H

#include <weft/history.h>
#include <weft/node.h>

#include "nodes.h"

weft_err wf_peers_spawn(weft_rt *rt, weft_addr **out);

extern const weft_kind wf_peer_req_kind, wf_peer_note_kind;

enum wf_peer_op {
    WF_PEER_REGISTER,
    WF_PEER_REMOVE,
    WF_PEER_STATUS,
    WF_PEER_ADD_ADDRESS,
    WF_PEER_REMOVE_ADDRESS,
    WF_PEER_GET,
    WF_PEER_HISTORY,    /* syncs, newest first                                            */
    WF_PEER_TRIM,       /* forgets what began before `before_ms`; count: how many         */
    WF_PEER_REMEMBERED, /* keys of peers with history                                  */
    WF_PEER_PAIR,       /* the sums of (peer, tree); NOT_FOUND: no such peer                */
    WF_PEER_ADDRESSES,  /* what is known of them, in the order in which they came       */
    WF_PEER_LIST,
    WF_PEER_RELATE,
    WF_PEER_UNRELATE,
    WF_PEER_TREES,
    WF_PEER_TREE_PEERS,
    WF_PEER_ALL,    /* for sync: every active peer with its addresses and trees */
    WF_PEER_ENSURE, /* register if unknown, unblocked only: BLOCKED otherwise; adds address */
    WF_PEER_DECLARE /* likewise, with a name if it is new, several addresses and a relation: in one
                     * batch. BLOCKED, LIMIT: nothing has changed */
};
struct wf_peer_view { /* one row of WF_PEER_ALL */
    weft_peer_info info;
    weft_id *trees; /* info.trees_count of them */
};
struct wf_peer_req {
    weft_request req;
    enum wf_peer_op op;
    weft_key peer;
    weft_id tree;
    weft_peer_status status;
    int64_t before_ms; /* TRIM */
    bool worked;       /* ENSURE: the peer has just proven its key at the address */
    bool by_worth;     /* GET: addresses in the order in which they are to be tried */
    bool came;         /* ENSURE: nobody here has asked for it. LIMIT (WEFT_PEERS_CAME_MAX) */
    bool
        unnamed; /* ENSURE, RELATE: it came, and by a right of everyone's alone. All else names it */
    char text[WEFT_ADDRESS_BYTES_MAX]; /* name or address */
    uint32_t addresses_count;
    char (*addresses)[WEFT_ADDRESS_BYTES_MAX]; /* DECLARE: freed with the request */
    /* out: */
    weft_peer_info info;
    uint32_t count;
    weft_key *keys;             /* LIST, TREE_PEERS */
    weft_id *ids;               /* TREES            */
    struct wf_peer_view *views; /* ALL              */
    weft_address_info *about;   /* ADDRESSES        */
    weft_sync_record *syncs;    /* HISTORY          */
    weft_pair_info pair;        /* PAIR: all but the two positions */
};
struct wf_peer_req *wf_peer_req_create(enum wf_peer_op op); /* drop frees the arrays */

/* sync -> peers: something happened; unknown peers leave no trace. */
enum wf_peer_news {
    WF_NOTE_CONNECTING,
    WF_NOTE_CONNECTED,
    WF_NOTE_DISCONNECTED,
    WF_NOTE_FAILED,
    WF_NOTE_SYNCED,
    WF_NOTE_SYNC_FAILED
};
struct wf_peer_note {
    weft_msg msg;
    weft_key peer;
    enum wf_peer_news what;
    weft_err err;
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    char worked[WEFT_ADDRESS_BYTES_MAX]; /* CONNECTED: the address that we dialled */
    uint32_t addresses_count;            /* CONNECTED: advertised by the proven peer itself */
    char addresses[WEFT_ADDRESSES_PER_PEER_MAX][WEFT_ADDRESS_BYTES_MAX];
    uint64_t sent, received, bytes_sent, bytes_received;
    bool sync; /* SYNCED, SYNC_FAILED: one of `tree` has ended */
    weft_id tree;
    weft_ns took_ns;
};

/* peers -> sync, system lane: a peer is left alone, active again, related or unrelated, so that
 * dials and sessions follow. */
extern const weft_kind wf_peer_changed_kind;
enum wf_peer_change {
    WF_CHANGED_INACTIVE,
    WF_CHANGED_ACTIVE,
    WF_CHANGED_RELATED,
    WF_CHANGED_UNRELATED
};
struct wf_peer_changed {
    weft_msg msg;
    weft_key peer;
    weft_id tree;
    enum wf_peer_change what;
};

/* peers asks sync, once the key is among those that may not connect: the peer is blocked. Answered when transport has
 * closed what there was of connections, and sync knows of none. */
extern const weft_kind wf_peer_part_kind;
struct wf_peer_part {
    weft_request req;
    weft_key peer;
    struct wf_tp_part *close; /* for transport, made with it; dropped with the message */
};

/* Transport's hooks; any thread; table: struct wf_node_table. May the key connect? BLOCKED,
 * PENALISED. And: its connection is closed because of what it said. */
weft_err wf_peers_may_connect(void *table, const weft_key *key, weft_ns now);
void wf_peers_on_breach(void *table, const weft_key *key, weft_err why, weft_ns now);

#endif
