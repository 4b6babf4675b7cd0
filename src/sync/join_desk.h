/* SPDX-License-Identifier: Apache-2.0
 * join_desk.h - joining, as the actor `access` does it: requests of others and our own.
 * join_desk.c begins, ends and hands out; join_judge.c hears what others ask, join_decide.c what
 * becomes of it; join_mode_set.c who may ask; join_asking.c asks elsewhere, join_said.c follows what is said there.
 * Called by: access_actor.c, on its thread. May touch: its rows, records through the store.
 * Never: waits; sockets, sessions. */
#ifndef WF_JOIN_DESK_H
#define WF_JOIN_DESK_H

#include "asked.h"
#include "join_clock.h"
#include "join_modes.h"
#include "joining.h"
#include "joins.h"
#include "nodes.h"
#include "settings.h"
#include "store_actor.h"

struct wf_join_desk { /* part of the actor's state */
    weft_self *self;
    const struct wf_node_table *table; /* NULL: not begun */
    struct wf_joins joins;
    struct wf_join_modes modes;
    struct wf_asked asked;
    struct wf_join_clock clock;
    struct wf_join_saved saved; /* as the store had it at the beginning */
    weft_timer tick;
    uint64_t ticks;
    weft_id leaving; /* the store is just asked to let go of this tree; zero: of none */
};

/* Once the node is wired: reads the records. CORRUPT, IO, NO_MEMORY. */
weft_err wf_join_desk_start(struct wf_join_desk *desk, weft_self *self,
                            const struct wf_node_table *table);
/* False: the message is none of joining, and nothing was done with it. */
bool wf_join_desk_handle(struct wf_join_desk *desk, weft_msg *msg, weft_verdict *verdict);
void wf_join_desk_fini(struct wf_join_desk *desk); /* fine also if it never began */

/* The store lets go of a tree: who may ask to join it here, and what was asked of others about it,
 * goes too. Is somebody asked just now? */
bool wf_join_desk_is_asking(const struct wf_join_desk *desk, const weft_id *tree);
/* The store is asked for it; NULL: it has answered. */
void wf_join_desk_leave(struct wf_join_desk *desk, const weft_id *tree);
bool wf_join_desk_is_leaving(const struct wf_join_desk *desk, const weft_id *tree);
/* The records that go, into `out`, where there is room, and how many those are. NULL: only that.
 * Fewer than that: memory is short, and those are the caller's to free. */
uint32_t wf_join_desk_drop_records(const struct wf_join_desk *desk, const weft_id *tree,
                                   struct wf_record_put **out);
void wf_join_desk_drop(struct wf_join_desk *desk, const weft_id *tree); /* once they are gone */

/* -- Shared by the rooms ----------------------------------------------------------------- */

/* Its record, with the row's state or, for `decided`, with how it will be; NULL: short memory. */
struct wf_record_put *wf_join_row_record(const weft_join_request *request);
struct wf_record_put *wf_asked_row_record(const struct wf_asked_row *row);
void wf_join_key(struct wf_record_put *put, uint8_t prefix, const void *a, size_t a_len,
                 const void *b, size_t b_len);
/* The store always answers. False: `fn` is not called, and the request is dropped. */
bool wf_join_ask_store(struct wf_join_desk *desk, weft_request *req, weft_on_reply fn, void *arg);
void wf_join_event(struct wf_join_desk *desk, const weft_id *tree, const weft_key *key,
                   const uint8_t id[16], weft_err err);
int64_t wf_join_now(struct wf_join_desk *desk); /* by the clock of requests, never below 0 */
void wf_join_arm(struct wf_join_desk *desk);    /* there is something to look after */

/* join_judge.c */
struct wf_join_facts {
    bool served;
    struct wf_right_now now;
    wf_grant has;                    /* with the list of readers */
    const struct wf_join_mode *mode; /* NULL: closed */
};
struct wf_join_facts wf_join_facts_of(const struct wf_join_desk *desk, const weft_id *tree,
                                      const weft_key *key);
void wf_join_say(struct wf_joined *said, const weft_join_request *request);
weft_verdict wf_judge_on_in(struct wf_join_desk *desk, struct wf_join_in *in);
/* What came of a grant that was to be automatic; the row may be gone after that. */
void wf_judge_on_decided(struct wf_join_desk *desk, struct wf_join_row *row, struct wf_join_in *in,
                         weft_err err);

/* join_decide.c */
/* Ends with wf_judge_on_decided. On an error it has not begun. */
weft_err wf_decide_automatically(struct wf_join_desk *desk, struct wf_join_row *row,
                                 const weft_keypair *admin, struct wf_join_in *in);
weft_verdict wf_decide_on_req(struct wf_join_desk *desk, struct wf_join_req *req);
void wf_decide_on_tick(struct wf_join_desk *desk);

/* join_mode_set.c */
weft_verdict wf_join_mode_on_req(struct wf_join_desk *desk, struct wf_join_req *req);
/* Is the key an Admin of the tree, and not weaker than that? By what is published: the store judges
 * again where it writes. */
bool wf_join_is_admin(const struct wf_join_desk *desk, const weft_id *tree, const weft_key *key,
                      const wf_grant *at_least);

/* join_asking.c */
weft_verdict wf_asking_on_req(struct wf_join_desk *desk, struct wf_join_req *req);
void wf_asking_on_said(struct wf_join_desk *desk, const struct wf_join_said *said);
void wf_asking_on_up(struct wf_join_desk *desk, const weft_key *peer);
void wf_asking_on_tick(struct wf_join_desk *desk);

#endif
