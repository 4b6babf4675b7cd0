/* SPDX-License-Identifier: Apache-2.0
 * engine_state.h - what the engine's rooms share: connections, sessions, peers, wants.
 * Called by: engine*.c, commands*.c only. Only the engine's thread touches any of it.
 * Objects that asks point to are counted by `refs` and outlive their end until the last
 * answer came. */
#ifndef WF_ENGINE_STATE_H
#define WF_ENGINE_STATE_H

#include <assert.h>

#include "access_actor.h"
#include "engine.h"
#include "notify.h"
#include "peers.h"
#include "queue.h"
#include "reader.h"
#include "store_actor.h"
#include "table.h"
#include "transport.h"
#include "tree_session.h"

struct engine;
struct conn;

/* -- Lists: in the order in which things came ---------------------------------------- */
struct item {
    struct item *prev, *next;
    struct list *in; /* NULL: in none */
};
struct list {
    struct item *first, *last;
};
void wf_list_add(struct list *list, struct item *item);
void wf_list_remove(struct item *item); /* nothing if it is in none */

/* -- Peers and connections ----------------------------------------------------------- */
/* Somebody who waits for a connection to a peer. `conn` is NULL on failure. */
struct conn_wait {
    struct item item;
    void (*fn)(struct engine *e, struct conn_wait *wait, weft_err err, struct conn *conn);
};
struct peer { /* with a connection, a dial, or somebody who waits for one */
    struct wf_link link;
    weft_key key;
    uint32_t refs;
    bool gone; /* out of the table */
    struct list conns;
    struct list waits; /* conn_wait */
    bool dialling;
    bool wanted;          /* this dial is for a command: also to an inactive peer */
    weft_peer_info *info; /* while dialling */
    uint32_t address;     /* the one that is tried */
    uint32_t attempts;
    /* Counted here and not by connection: whoever breaks one off and comes again has not got
     * rid of what it asked for. */
    uint32_t sessions_count; /* also of ended ones that wait for answers */
    uint32_t offers;         /* look-ups for TREES_REQ under way */
    weft_ns next_dial;
    weft_timer timer; /* the next automatic dial */
};
#define STREAMS_BACK 2048u /* numbers: what a peer has under way at once comes in any order */
static_assert(STREAMS_BACK >= 2 * WEFT_SESSIONS_PER_CONNECTION_MAX, "all that may wait");

/* So many at once, and then one more each while. */
struct bucket {
    uint32_t spent;
    weft_ns since; /* what was spent is forgotten from here on */
};
struct conn {
    struct item item; /* of the peer */
    struct wf_link link;
    uint64_t id;
    struct peer *peer;   /* stays while something is under way for it */
    struct wf_tp_up *up; /* ours */
    uint32_t refs;
    bool gone;
    bool known;                            /* the peer is registered: it may leave traces */
    uint32_t next_stream, peer_stream;     /* the highest that the peer has opened       */
    uint64_t peer_used[STREAMS_BACK / 64]; /* of the last numbers up to that one: used    */
    uint32_t sessions_count;               /* also of ended ones that wait for answers */
    struct list sessions;                  /* by esession.of_conn */
    weft_timer open_rest;
    struct bucket proofs;    /* of the peer's, that were looked at */
    uint32_t refused_stream; /* of a PROVE that was not looked at: what follows on it is void */
    uint32_t shown_count;    /* our keys that the peer has been shown on it */
    struct shown {
        weft_key key;
        uint32_t stream;
    } shown[WEFT_PROVEN_KEYS_MAX];
    uint32_t judging;      /* JOINs of the peer's, with other keys than its own, that access has */
    uint32_t joining_next; /* where a decision of the peer's is waited for */
    struct joining {
        uint32_t stream; /* 0: free; a newer one takes the oldest's place */
        uint8_t id[16];
    } joining[WEFT_JOINS_PER_PEER_MAX];
};

/* -- Sessions ------------------------------------------------------------------------ */
struct session_key {
    uint64_t conn;
    uint64_t stream;
};
struct tree_key {
    uint64_t conn;
    weft_id tree;
};
struct esession {
    struct wf_session s;
    struct wf_link link; /* by (conn, stream) */
    struct session_key key;
    struct wf_link tree_link; /* by (conn, tree); raw sessions are not there */
    struct tree_key tree_key;
    bool by_tree;
    struct item of_conn;
    struct item of_due; /* while a deadline applies; in its order */
    weft_ns due;
    struct conn *conn; /* counted */
    uint32_t refs;
    uint8_t salt[16];
    uint64_t began; /* engine.order when our side was asked for; 0: not by us */
    uint64_t round_began;
    weft_ns started, round_started; /* when the session, and the round that we asked for, did */
    uint64_t bytes_sent, bytes_pushed, bytes_received; /* in frames that carry entries */
    weft_ns synced_at;
    bool looked;                       /* what is told of the tree was looked up          */
    bool leans;                        /* then something was on the shelf: engine_lean.c  */
    bool in_vain;                      /* and is, though all of the peer's was applied    */
    bool streaming;                    /* queue and transport know the stream */
    uint32_t jobs;                     /* with the reader */
    uint32_t page_bytes;               /* of the page of ids that the reader has */
    uint64_t told_sent, told_received; /* to the peer manager */
    uint64_t told_bytes_sent, told_bytes_received;
    struct list wants;
    struct item of_heal; /* while a WANT for damaged bodies is open; in its order */
    weft_ns heal_due;
    uint64_t heal_began;            /* engine.order when it was last sent; 0: never */
    uint32_t heal_asked, heal_left; /* ids in it, and of them not healed yet */
    struct op *raw;                 /* C01 */
    uint32_t raw_from, raw_count;   /* its entries */
    weft_err broken;                /* an effect could not be carried out */
    struct item of_gate;            /* the peer has lost the right: it is to end; counted */
};

/* Somebody who wants (peer, tree) synced as it is from now on. */
struct want {
    struct conn_wait wait; /* first */
    struct item of_session;
    struct op *op;
    weft_key peer;
    weft_id tree;
    uint64_t began;
    uint32_t tries;
    bool retry; /* flush: the pair was in back-off */
    uint64_t sent0, received0;
};

/* -- Commands ------------------------------------------------------------------------ */
struct declared;
struct op {                /* a command under way */
    struct conn_wait wait; /* first */
    struct item of_engine;
    struct wf_cmd *cmd; /* NULL: answered */
    weft_timer timer;
    uint32_t refs;
    struct want *wants;
    uint32_t wants_count, wants_open, wants_next;
    weft_err first_err;
    uint32_t raw_open;
    struct wf_q_pair *pairs; /* flush */
    uint32_t pairs_count;
    bool second_half;         /* flush: the pairs in back-off are through */
    uint32_t tries;           /* join: asked again because the connection went */
    bool quiet;               /* of a timer: nobody waits */
    struct wf_link by_stream; /* requests: the first frame on it is the answer */
    struct session_key key;
    bool listening;
    struct wf_record_put *record; /* of a transport under way; its caller may be gone by then */
    /* What waits for the answer of something that several commands need. */
    void (*then)(struct engine *e, struct op *op, weft_err err);
    uint32_t hints_open;       /* ticket: dials under way */
    bool hints_busy;           /* one of them is synced with */
    bool hints_spare;          /* and another has answered since */
    weft_err hints_err;        /* of the last that failed */
    struct declared *declared; /* whose try this is; counted */
    struct item of_declared;   /* who waits for its first sync */
};

struct engine {
    weft_self *self;
    const struct wf_node_table *table; /* NULL: not wired yet */
    uint64_t order;                    /* counts what happens: what came first */
    uint8_t salt[16];
    struct wf_table peers, conns, sessions, trees, requests, exact, leant, declared;
    struct list ops, due;
    uint32_t ops_count;
    uint32_t sessions_count, offers; /* of all peers */
    bool passed_on; /* the frame under way is released by who it was passed on to */
    weft_timer periodic, retry, check, settings, sweep, check_soon, heal;
    weft_ns interval;
    bool interval_changed; /* since the last periodic sync, or the start */
    struct list healing;   /* sessions with an open WANT for damaged bodies */
    weft_ns heal_next, heal_wait;
    uint64_t heal_tree; /* the next look begins behind this local number */
    bool retrying, checking;
    struct bucket proofs; /* of all connections */
    struct wf_gate *gate; /* ours until replied; NULL: nobody waits */
    struct list gated;    /* sessions that have to end before that */
    uint32_t gate_left;   /* streams whose end transport has not confirmed */
    bool gate_fenced;     /* and it was asked whether it is through with all before */
    weft_timer gate_again;
};

/* engine.c */
bool wf_e_ask(struct engine *e, weft_addr *to, weft_request *req, weft_on_reply fn, void *arg);
void wf_e_send(struct engine *e, weft_addr *to, weft_msg *msg);
void wf_e_send_system(struct engine *e, weft_addr *to, weft_msg *msg);
void wf_e_control(struct engine *e, uint64_t conn, uint32_t stream, weft_buf *frame);
void wf_e_event(struct engine *e, const weft_event *event);
void wf_e_note_pair(struct engine *e, const weft_key *peer, const weft_id *tree,
                    enum wf_q_news what, uint64_t acked);
struct wf_peer_note *wf_e_note_peer(const weft_key *peer, enum wf_peer_news what, weft_err err);
weft_ns wf_e_jitter(struct engine *e, weft_ns wait); /* and up to a quarter more */
void wf_e_check_soon(struct engine *e, weft_ns wait);

/* engine_dial.c */
struct peer *wf_peer_need(struct engine *e, const weft_key *key);
void wf_peer_put(struct engine *e, struct peer *p);
void wf_peer_settle(struct engine *e, struct peer *p); /* frees it if nothing keeps it */
struct conn *wf_peer_conn(struct engine *e, const weft_key *key);
/* Calls wait->fn now or later, exactly once, unless the wait is taken out before. */
void wf_e_connect(struct engine *e, const weft_key *key, struct conn_wait *wait);
void wf_e_disconnect_wait(struct engine *e, const weft_key *key, struct conn_wait *wait);
void wf_dial_auto(struct engine *e, const weft_key *key, weft_ns wait);
void wf_dial_up(struct engine *e, struct peer *p, struct conn *c);
void wf_dial_off(struct engine *e, struct peer *p); /* no automatic dials */

/* engine_conn.c */
struct conn *wf_econn_find(struct engine *e, uint64_t id);
void wf_econn_put(struct engine *e, struct conn *c);
void wf_econn_on_up(struct engine *e, struct wf_tp_up *up);
void wf_econn_on_down(struct engine *e, const struct wf_tp_down *down);
void wf_econn_drop(struct engine *e, struct conn *c, weft_err why);
void wf_econn_close(struct engine *e, struct conn *c, weft_err why, const char *text);
uint32_t wf_econn_stream(struct conn *c); /* a fresh number; 0: used up */
/* Opens what is related and has no session; shows the keys that it has not been shown. */
void wf_econn_open_related(struct engine *e, struct conn *c);
void wf_econn_registered(struct engine *e, struct conn *c);

/* engine_part.c */
weft_verdict wf_part_on_ask(struct engine *e, struct wf_peer_part *part);

/* engine_prove.c */
/* Shows the peer the key that we act with in the tree, before the first frame on `stream`. */
void wf_prove_before(struct engine *e, struct conn *c, const weft_id *tree, uint32_t stream);
void wf_prove_alone(struct engine *e, struct conn *c, const weft_id *tree); /* on its own stream */
void wf_prove_on_busy(struct conn *c, uint32_t stream); /* what was shown there was not looked at */
void wf_prove_on_frame(struct engine *e, struct conn *c, const struct wf_tp_frame *f);
void wf_prove_on_identity(struct engine *e); /* one has changed */
/* May one more signature of a stranger's choice be checked? */
bool wf_proof_room(struct engine *e, struct conn *c);

/* engine_join.c */
struct wf_join_said;
void wf_join_on_frame(struct engine *e, struct conn *c, const struct wf_tp_frame *f);
void wf_joined_on_frame(struct engine *e, struct conn *c, const struct wf_tp_frame *f);
void wf_join_on_said(struct engine *e, const struct wf_join_said *said); /* by access */
void wf_join_tell_up(struct engine *e, const struct conn *c);
/* The peer decides about the request later, and says so there. */
void wf_join_wait(struct conn *c, uint32_t stream, const uint8_t id[16]);
bool wf_join_is_waited_for(const struct conn *c, const uint8_t id[16]);

/* engine_gate.c */
weft_verdict wf_gate_on_ask(struct engine *e, struct wf_gate *gate);
void wf_gate_stop(struct engine *e); /* the engine ends: answers CLOSED */

/* engine_frame.c */
bool wf_e_stream_fits(const struct conn *c, uint32_t stream); /* a new one of the peer's */
void wf_e_stream_used(struct conn *c, uint32_t stream);       /* it is no new one any more */
void wf_e_refuse(struct engine *e, struct conn *c, uint32_t stream, weft_err why, uint32_t ms);
void wf_e_release(struct engine *e, uint64_t conn, uint32_t stream, uint32_t bytes);
void wf_e_on_frame(struct engine *e, struct wf_tp_frame *frame);
void wf_e_on_applied(struct engine *e, const struct wf_q_applied *applied);

/* engine_session.c */
struct esession *wf_es_by_tree(struct engine *e, const struct conn *c, const weft_id *tree);
struct esession *wf_es_by_stream(struct engine *e, uint64_t conn, uint32_t stream);
bool wf_es_room(const struct engine *e, const struct conn *c); /* for one more */
/* Opens as the one who begins. `out` may be NULL. LIMIT, NO_MEMORY; CLOSED: it has ended
 * already, and nothing of it is left. */
weft_err wf_es_open(struct engine *e, struct conn *c, const weft_id *tree, uint32_t flags,
                    struct esession **out);
void wf_es_accept(struct engine *e, struct conn *c, const struct wf_open *open);
/* Steps the session; `msg` is what the event came with, if an effect needs it. */
void wf_es_run(struct engine *e, struct esession *es, const struct wf_session_event *event,
               const void *msg);
void wf_es_stop(struct engine *e, struct esession *es, weft_err err, bool tell, unsigned code);
void wf_es_put(struct engine *e, struct esession *es);
void wf_es_on_sweep(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

/* engine_effect.c */
weft_err wf_effect_do(struct engine *e, struct esession *es, const struct wf_session_event *event,
                      const struct wf_session_effect *x, const void *msg);

/* engine_over.c */
void wf_over_synced(struct engine *e, struct esession *es);
void wf_over_round(struct engine *e, struct esession *es);
void wf_over_ended(struct engine *e, struct esession *es, const struct wf_session_effect *x);

/* engine_heal.c */
struct wf_damage_bell;
weft_err wf_heal_start(struct engine *e); /* NO_MEMORY */
void wf_heal_stop(struct engine *e);
void wf_heal_on_bell_take(struct engine *e, struct wf_damage_bell *bell);
/* The session can be asked from now on. */
void wf_heal_session(struct engine *e, struct esession *es);
void wf_heal_session_ended(struct engine *e, struct esession *es);
void wf_heal_on_applied(struct engine *e, uint64_t conn, uint32_t stream, uint32_t healed);

/* engine_want.c */
void wf_want_start(struct engine *e, struct want *want);
void wf_want_attach(struct engine *e, struct want *want, struct esession *es);
void wf_want_cancel(struct engine *e, struct want *want);
/* One of several: the op has to look at its sum. */
void wf_want_done(struct engine *e, struct want *want, weft_err err, struct esession *es);

/* engine_exact.c */
weft_err wf_exact_load(struct engine *e);
void wf_exact_drop_all(struct engine *e);
bool wf_exact_is(struct engine *e, const weft_key *peer, const weft_id *tree);
void wf_exact_set(struct engine *e, const weft_key *peer, const weft_id *tree, bool on);

/* engine_lean.c */
void wf_lean_init(struct engine *e);
void wf_lean_drop_all(struct engine *e);
bool wf_lean_may(const struct engine *e, const struct esession *es);
void wf_lean_looked(struct engine *e, struct esession *es, uint64_t shelved); /* the first time */
void wf_lean_synced(struct engine *e, const struct esession *es);
void wf_lean_anew(struct engine *e, struct esession *es);

/* engine_timer.c */
weft_err wf_timers_start(struct engine *e);
void wf_timer_on_changed(struct engine *e, const struct wf_peer_changed *changed);
bool wf_e_serves(const struct engine *e, const weft_id *tree); /* is it followed here? */
void wf_timer_on_tracks(struct engine *e, const struct wf_tracks_changed *changed);

/* commands.c */
weft_verdict wf_cmd_on(struct engine *e, struct wf_cmd *cmd);
/* Answers the command and lets go of everything. */
void wf_op_finish(struct engine *e, struct op *op, weft_err err);
void wf_op_put(struct op *op);
/* An op that nobody waits for: wants of a timer. NULL when memory is short. */
struct op *wf_op_quiet(struct engine *e);

/* commands_sync.c */
void wf_cmd_sync_peer(struct engine *e, struct op *op);
void wf_cmd_sync_tree(struct engine *e, struct op *op);
void wf_cmd_flush(struct engine *e, struct op *op);
weft_err wf_op_want_room(struct op *op, uint32_t count);
void wf_op_want_add(struct op *op, const weft_key *peer, const weft_id *tree, bool retry);
void wf_op_wants_start(struct engine *e, struct op *op);
void wf_op_want_ended(struct engine *e, struct op *op, struct want *want, weft_err err);

/* commands_raw.c */
void wf_cmd_send_entries(struct engine *e, struct op *op);
void wf_cmd_send_request(struct engine *e, struct op *op);
void wf_cmd_offers(struct engine *e, struct op *op);
struct conn *wf_econn_at(struct engine *e, const char *address); /* that was dialled; NULL: none */
/* Sends `frame` (taken) on a stream whose first frame back is the answer. LIMIT, NO_MEMORY. */
weft_err wf_op_listen(struct engine *e, struct op *op, struct conn *c, uint32_t stream,
                      weft_buf *frame);
void wf_cmd_raw_ended(struct engine *e, struct op *op, weft_err err, uint64_t sent);
void wf_cmd_request_answer(struct engine *e, struct op *op, const struct wf_tp_frame *frame);
void wf_cmd_requests_down(struct engine *e, const struct conn *c, weft_err why);

/* commands_ticket.c */
void wf_cmd_ticket(struct engine *e, struct op *op);
/* The sync has ended with first_err: does another hint go on with it? */
bool wf_ticket_again(struct engine *e, struct op *op);
/* Puts the address of the connection to the peer into the result. */
void wf_ticket_reached(struct engine *e, struct op *op);

/* commands_declare.c */
void wf_cmd_declare(struct engine *e, struct op *op);
/* Follows the command's tree with its peer among the readers; `then` hears how that went, maybe
 * before this returns. A tree that is followed and not empty stays as it is, unless `always`. */
void wf_op_follow(struct engine *e, struct op *op, bool always,
                  void (*then)(struct engine *e, struct op *op, weft_err err));

/* commands_join.c */
void wf_cmd_join(struct engine *e, struct op *op);
/* The connection is gone before the answer came, in favour of another perhaps: asks once more.
 * False: there is nothing to be gained by that, and nothing was done. */
bool wf_cmd_join_again(struct engine *e, struct op *op, weft_err why);
void wf_cmd_join_answer(struct engine *e, struct op *op, const struct wf_tp_frame *frame);

/* commands_server.c */
void wf_cmd_server(struct engine *e, struct op *op);
void wf_cmd_connect(struct engine *e, struct op *op);

#endif
