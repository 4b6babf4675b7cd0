/* SPDX-License-Identifier: Apache-2.0
 * joining.h - the messages about joining that the actor `access` hears and sends.
 * Called by: api_join.c (requests), engine_join.c, commands_join.c, join_*.c. */
#ifndef WF_JOINING_H
#define WF_JOINING_H

#include <weft/join.h>

#include "wire.h"

extern const weft_kind wf_join_req_kind, wf_join_in_kind, wf_join_said_kind, wf_join_up_kind,
    wf_join_over_kind;

enum wf_join_op {
    WF_JOIN_MODE,
    WF_JOIN_LIST,
    WF_JOIN_GET,
    WF_JOIN_APPROVE,
    WF_JOIN_REJECT,
    WF_JOIN_ASK,  /* of another node */
    WF_JOIN_CHECK /* what became of that */
};
struct wf_join_req { /* api_join.c asks access */
    weft_request req;
    enum wf_join_op op;
    weft_id tree;
    weft_join_mode mode; /* MODE */
    weft_right right;
    uint32_t priority;
    weft_keypair *pair;    /* a copy, destroyed with the message: the admin's (MODE, APPROVE,
                            * REJECT), or that asks (ASK); NULL there: the device's          */
    uint8_t id[16];        /* GET, APPROVE, REJECT */
    weft_join_state state; /* LIST */
    /* ASK; CHECK: the key */
    char address[WEFT_ADDRESS_BYTES_MAX];
    bool has_server;
    weft_key server, key;
    char name[WEFT_KEY_NAME_BYTES_MAX + 1];
    uint32_t meta_len;
    uint8_t meta[WEFT_JOIN_META_BYTES_MAX];
    /* out: */
    weft_join_outcome outcome; /* ASK, CHECK: with OK and AWAITING */
    uint32_t count;
    weft_join_request *joins; /* LIST, GET; freed with the message */
};
struct wf_join_req *wf_join_req_create(enum wf_join_op op);
/* What asks the same once more; NULL: memory is short. */
struct wf_join_req *wf_join_req_copy(const struct wf_join_req *ask);

struct wf_join_in {   /* the engine asks access about a peer's JOIN, whose signature is checked */
    weft_request req; /* OK: `said` is the answer. TREE, BUSY, and what the disk says */
    uint64_t conn;
    weft_key device;
    char from[WEFT_ADDRESS_BYTES_MAX];
    struct wf_join_ask join; /* its meta points to `meta` */
    uint8_t meta[WEFT_JOIN_META_BYTES_MAX];
    struct wf_joined said; /* out */
};

/* access -> engine: the decision for a stream where somebody waits; nobody needs be there.
 * engine -> access: that of a server, on a stream where we waited. */
struct wf_join_said {
    weft_msg msg;
    uint64_t conn;
    weft_key device; /* the server's */
    struct wf_joined said;
};
struct wf_join_over { /* access -> engine: a request of ours that waited is decided, and that is
                       * durable here; what a grant brings is done, but for the first sync */
    weft_msg msg;
    weft_key server, key;
    weft_id tree;
    uint8_t id[16];
    weft_join_state state;
};
struct wf_join_up { /* engine -> access: the peer is connected and would understand a JOIN */
    weft_msg msg;
    weft_key peer;
};

/* Part of an engine's command (engine.h, WF_CMD_JOIN). */
struct wf_join_cmd {
    struct wf_join_ask ask; /* stream and signature are the engine's; meta points to `meta` */
    weft_keypair *pair;     /* a copy that signs; NULL: the device's, or that of the tree */
    bool idle;              /* where the decision is waited for already nobody is asked */
    uint8_t meta[WEFT_JOIN_META_BYTES_MAX];
    struct wf_joined said; /* out */
};
void wf_join_cmd_free(struct wf_join_cmd *join); /* NULL is fine */

/* A copy in locked memory. NO_MEMORY. */
weft_err wf_join_pair_copy(const weft_keypair *pair, weft_keypair **out);

#endif
