/* SPDX-License-Identifier: Apache-2.0
 * peer_weft.h - what the cases of peer-weft share: its options, and how they spawn. */
#ifndef MAILBOX_PEER_WEFT_H
#define MAILBOX_PEER_WEFT_H
#include "bench.h"

#include <stdbool.h>
#include <weft/actor.h>

#define PRODUCERS_MAX 64

struct peer {
    options o;
    enum { PLACE_OWN, PLACE_PARENT, PLACE_GROUP } place;
    uint32_t workers;     /* of a group                                             */
    uint32_t mailbox;     /* of the receiver                                        */
    uint32_t batch;       /* messages that an outbox stages; 0: no outbox           */
    bool own_messages;    /* parts of their sender's memory, else from the library's pool */
    bool client_threads;  /* in ask: plain threads in weft_call                     */
    bool producer_actors; /* throughput, fanin-burst: senders are actors            */
    uint64_t *lat;        /* NULL: the case has no latencies                        */
    /* The case: spawns its actors, on the host's thread with PLACE_PARENT (else NULL), and once
     * all is asleep runs. */
    void (*setup)(weft_self *host);
    void (*run)(void);
};
extern struct peer peer;

struct item { /* what is sent in all cases but ask */
    weft_msg msg;
    payload p;
};
extern const weft_kind heap_item, own_item;
extern const weft_kind go_kind; /* tells an actor to begin */

void check(weft_err err, const char *what);
/* Where the case places its actors; `mailbox` 0: the library's default. */
weft_addr *spawn(weft_self *host, weft_spec spec);
void send_go(weft_addr *to);

void flow_setup(weft_self *host);
void flow_run(void);
void pingpong_setup(weft_self *host);
void pingpong_run(void);
void ask_setup(weft_self *host);
void ask_run(void);

#endif
