/* SPDX-License-Identifier: Apache-2.0
 * nodes.h - the addresses of a node's actors, as each of them learns them.
 * weft.c spawns all actors and then sends each of them one `wire` message with this
 * table; what arrives before it (nothing should) is dropped. */
#ifndef WF_NODES_H
#define WF_NODES_H

#include <weft/actor.h>

#include "noise.h"
#include "store.h"

struct wf_node_timers {
    weft_ns sync_interval, queue_tick, retry_tick, connection_tick, settings_tick;
    bool no_live_push;
};

struct wf_node_table { /* shared by all actors of a node; ends after all of them */
    weft_rt *rt;
    wf_store *wf_store; /* for reads; the store actor writes */
    weft_key self;
    struct wf_node_timers timers;
    weft_addr *store, *transport, *sync, *queue, *peers, *notify, *reader, *access;
    weft_addr *verify[64];
    uint32_t verify_count;
    struct wf_node_counters *counters;
    const weft_keypair *device;       /* signs where a peer is asked by the key of the node  */
    struct wf_keyset *blocked;        /* keyset.h: keys that may not connect */
    struct wf_keyset *known;          /* keyset.h: keys that are registered */
    struct wf_penalties *penalties;   /* penalties.h: those that may not for a time */
    struct wf_keyring *keyring;       /* keyring.h: keys that connected peers have proven */
    struct wf_identities *identities; /* identities.h: keys that we act with in trees */
    struct wf_tracks *tracks;         /* tracks.h: what sync settings come to */
    uint32_t walk_entries_max;        /* 0: WEFT_DIFF_ENTRIES_MAX; lower in tests */
};

/* Statistics of the sync layer; moved with wf_counter_add (lock.h). */
#include "lock.h"
struct wf_node_counters {
    wf_counter entries_received, entries_sent, duplicates, redundant, refused, verified;
    wf_counter round_trips, sessions_ok, sessions_failed, sessions_exact, connections;
    wf_counter live_pairs;
    wf_counter offences, penalised;
    wf_counter joins_damaged, peers_damaged;
};

extern const weft_kind wf_wire_kind;
struct wf_wire { /* weft.c -> every actor of src/sync, system lane */
    weft_msg msg;
    const struct wf_node_table *table;
};
struct wf_wire *wf_wire_create(const struct wf_node_table *table);

#endif
