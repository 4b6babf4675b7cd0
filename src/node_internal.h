/* SPDX-License-Identifier: Apache-2.0
 * node_internal.h - what the rooms of the public API share about a node.
 * Called by: weft.c, api_*.c, tests that crash and reopen nodes.
 * Never: included by a layer. */
#ifndef WF_NODE_INTERNAL_H
#define WF_NODE_INTERNAL_H

#include <weft/node.h>

#include "block.h"
#include "fork.h"
#include "net.h"
#include "nodes.h"
#include "peers.h"
#include "store_actor.h"

struct weft_hub {
    wf_net_hub *hub;
    uint64_t born; /* wf_fork_count() then */
};

/* Where a judge sits (transport.h, on_encrypt), and a node that is as one of before. */
struct wf_node_seat {
    void (*on_encrypt)(void *arg, const weft_key *key, const weft_id *cookie_id, uint32_t type);
    void *arg;
    bool plain; /* it says in HELLO that it understands nothing beyond version 1 */
};

struct weft_node {
    struct wf_node_table table; /* the actors see this one */
    struct wf_node_counters counters;
    uint64_t born; /* wf_fork_count() then: in a child of the process nothing of it is there */
    weft_rt *rt;
    bool own_rt;
    weft_addr *resolver;
    weft_keypair *device;
    bool rotated;        /* the opening ended a change of the key that had ended half way */
    wf_counter stopping; /* 1: shutdown has begun */
    wf_counter failed;   /* 1: an actor failed and the node stops */
    uint32_t stage;      /* of shutdown: actors below it have ended */
    wf_lock *shutting;   /* one shutdown at a time */
    struct wf_node_seat seat;
    bool remember; /* the transports of weft_add_transport */
};

/* False in a child process: each call that takes a lock or waits answers FORKED then. */
static inline bool wf_node_is_ours(const weft_node *node) { return node->born == wf_fork_count(); }

enum { WF_KEY_PATH_BYTES = 4096 };
/* Where the device key of a node with these options is. INVALID: in no file, or too long. */
weft_err wf_node_key_path(const weft_node_options *options, char out[WF_KEY_PATH_BYTES]);
/* Writes down whose the store is, for the next opening. */
weft_err wf_node_claim(weft_node *node, const weft_key *key);

/* node_engine.c. The engine of a node with these options; one that is marked as damaged is
 * renewed first, if the options say so. As weft_node_open. */
weft_err wf_node_engine_open(const weft_node_options *options, wf_kv **out);
/* renew.h, on the store of a node with these options, which nobody has open. `opens` as there. */
weft_err wf_node_renew(const weft_node_options *options, bool opens);

/* As weft_node_open on an engine that is open already (taken on OK). Tests keep memory
 * engines across simulated crashes with it. */
weft_err wf_node_open_kv(const weft_node_options *options, wf_kv *kv, weft_node **out);
weft_err wf_node_open_seat(const weft_node_options *options, wf_kv *kv,
                           const struct wf_node_seat *seat /* NULL: none */, weft_node **out);

/* After wf_sim_kill of the node's runtime: frees what is left without a message. The
 * store is not closed when `keep_kv`: its engine outlives the crash and is returned. */
wf_kv *wf_node_bury(weft_node *node);

/* Asks `to` from a plain thread and waits. *out (may be NULL: dropped) is the answered
 * request, set also when the answer is an error; NULL when there was none. */
weft_err wf_node_call(weft_node *node, weft_addr *to, weft_request *req, weft_ns timeout,
                      weft_request **out);

/* Has notify ask `to` and call done there. On anything but OK nothing was begun and the
 * request was dropped. */
weft_err wf_node_ask(weft_node *node, weft_addr *to, weft_request *req, weft_ns timeout,
                     void (*done)(void *arg, weft_err err, weft_request *request), void *arg);

/* Has the text a type that some transport knows, and the form that it wants? ADDRESS, INVALID. */
weft_err wf_api_check_address(const char *address);
/* Can somebody ask to join like that (weft/join.h)? INVALID. */
struct weft_join_spec;
weft_err wf_api_check_join(const struct weft_join_spec *spec);
/* The request to `access` that asks `server` (NULL: whoever answers) for it; where that is, the
 * caller adds. INVALID, FORKED, NO_MEMORY. */
struct wf_join_req;
weft_err wf_api_make_join(weft_node *node, const weft_key *server,
                          const struct weft_join_spec *spec, struct wf_join_req **out);

#endif
