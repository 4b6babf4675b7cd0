/* SPDX-License-Identifier: Apache-2.0
 * manager.h - what the rooms of the transport actor share: its state, connections and
 * streams. All of it belongs to the actor's thread.
 * Called by: manager.c (the actor), routes.c, listen.c, serve.c, dial.c, conn.c (life of a connection), conn_in.c
 * (what arrives), conn_send.c (what leaves), streams.c. */
#ifndef WF_MANAGER_H
#define WF_MANAGER_H

#include "credit.h"
#include "frame.h"
#include "lock.h"
#include "transport.h"

#define WF_DIAL_ENDPOINTS_MAX WEFT_DIAL_ENDPOINTS_MAX
#define WF_STREAM_BUCKETS 64u
#define WF_STREAMS_MAX (2u * WEFT_SESSIONS_PER_CONNECTION_MAX) /* registered and passing ones */
#define WF_ENDED_STREAMS WEFT_ENDED_STREAMS_MAX
#define WF_OUT_BYTES WEFT_OUTBOUND_CIPHER_BYTES
#define WF_READ_BYTES WEFT_READ_TURN_BYTES
#define WF_URGENT_BYTES WEFT_OUTBOUND_URGENT_BYTES
#define WF_RECORD_HEAD 2u /* big-endian length of a record */

struct wf_manager;
struct wf_conn;
struct wf_stream;
struct wf_dial;

/* A network that outlives its name while connections and look-ups still use it. */
struct wf_tp_net {
    wf_counter refs;
    wf_net *net;
};
struct wf_tp_net *wf_tp_net_ref(struct wf_tp_net *n);
void wf_tp_net_put(struct wf_tp_net *n); /* NULL is fine */

struct wf_transport { /* a named one */
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    struct wf_tp_net *net;
    char listen[WEFT_ADDRESS_BYTES_MAX];
    wf_sock *listener; /* NULL: not running */
    char bound[WEFT_ADDRESS_BYTES_MAX];
    bool paused; /* out of descriptors; the timer listens again */
    struct wf_manager *m;
};

/* manager -> resolver */
struct wf_resolve {
    weft_request req;
    struct wf_tp_net *net; /* counted */
    char address[WEFT_ADDRESS_BYTES_MAX];
    wf_endpoint endpoints[WF_DIAL_ENDPOINTS_MAX];
    size_t count;
    bool to_listen; /* then `literal` is wanted instead, for the transport of that name */
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    char literal[WEFT_ADDRESS_BYTES_MAX];
};
extern const weft_kind wf_resolve_kind;

/* -- Streams --------------------------------------------------------------------------- */

struct wf_out { /* a frame that waits to be sent */
    struct wf_out *next;
    weft_buf *frame;        /* counted; the length word is filled in */
    struct wf_tp_bulk *req; /* to be answered; NULL: nobody asks */
    uint32_t len, stream, type;
    bool charged;
};

struct wf_lane { /* what waits on a stream: control, or what keeps its place behind bulk */
    struct wf_out *first, *last;
    struct wf_stream *stream;
    struct wf_lane *prev, *next; /* among the connection's lanes that may send */
    bool bulk;
    bool listed; /* in that list; else empty or waiting for credit */
};

struct wf_stream {
    struct wf_conn *conn;
    uint32_t number;
    struct wf_stream *chain;       /* in its bucket */
    struct wf_stream *prev, *next; /* of the connection, in order of creation */
    bool registered;
    bool send_dead; /* got no credit for too long: sends are answered CLOSED */
    void *cookie;
    weft_id cookie_id;
    bool cookie_bit;
    uint64_t n;                   /* the last number given to a verifier */
    struct wf_tp_bulk_in *ending; /* made when it was registered, so that its end cannot fail */
    struct wf_lane lanes[2];      /* control, bulk */
    uint64_t queued;              /* charged bytes in both */
    struct wf_credit_out_stream out;
    struct wf_credit_in_stream in;
    weft_ns stuck_since; /* WEFT_NEVER: not waiting for credit */
    weft_ns quiet_since; /* nothing was sent since, while a loan is held */
    weft_ns loan_since;  /* what we lent is unused since; WEFT_NEVER: nothing is */
};

/* -- Connections ------------------------------------------------------------------------ */

enum wf_conn_state {
    WF_CONN_DIALLING,  /* the network connects                    */
    WF_CONN_HANDSHAKE, /* keys                                    */
    WF_CONN_HELLO,     /* proven; waits for the other's HELLO     */
    WF_CONN_UP,        /* the owner knows it                      */
    WF_CONN_LINGER,    /* closed; the last bytes are on their way */
    WF_CONN_DEAD       /* freed at the end of the turn            */
};

struct wf_conn {
    struct wf_manager *m;
    uint64_t id;
    uint32_t slot;
    enum wf_conn_state state;
    bool dialled;
    bool heard;       /* the peer's first handshake message was good */
    bool in_accepted; /* counts among the pending handshakes */
    struct wf_tp_net *net;
    wf_sock *sock;
    uint32_t interest;
    char transport[WEFT_ACTOR_NAME_BYTES_MAX];
    char address[WEFT_ADDRESS_BYTES_MAX];  /* with its scheme: dialled, or observed */
    char observed[WEFT_ADDRESS_BYTES_MAX]; /* where an accepted one comes from */
    wf_noise *noise;
    weft_key key;            /* proven from HELLO on */
    struct wf_tp_down *down; /* made with the connection, so that DOWN cannot fail */
    struct wf_dial *dial;    /* whose attempt this is */
    struct wf_dial *waiters; /* dials that will be answered with this connection */

    /* Receiving. */
    struct wf_bytes in;    /* an incomplete record; all that was received, while paused */
    struct wf_bytes later; /* decrypted, not looked at: the rest of a record, while paused */
    uint32_t held;         /* frames with the layers above */
    bool paused;           /* too many of them: nothing is read until they are consumed */
    weft_ns paused_since;
    struct wf_frame_in frame;
    bool frame_refused; /* the frame under way belongs to an ended stream: dropped when whole */
    weft_ns in_since;   /* since when something incomplete is here; WEFT_NEVER */
    uint64_t in_bytes;  /* received since then */
    weft_ns last_in;

    /* Sending. */
    struct wf_bytes out;    /* encrypted */
    struct wf_bytes urgent; /* whole frames of the transport itself, in clear */
    struct wf_out *cur;     /* begun, must be ended */
    uint32_t cur_at;
    bool cur_named; /* for the judge: whose frame it is, also when the stream has ended since */
    weft_id cur_id;
    struct wf_lane *ready_first[2], *ready_last[2];
    uint64_t control_bytes; /* with WEFT_OUTBOUND_FRAME_COST for each frame */
    weft_ns last_out;       /* the network took something of `out`, or it was empty */
    bool dirty;             /* in the list of those to flush */
    weft_err doom;          /* close it instead of flushing; OK: no */
    const char *doom_text;
    struct wf_conn *dirty_next;

    /* Streams. */
    struct wf_stream **buckets;
    struct wf_stream *streams, *streams_last;
    uint32_t streams_count, registered_count;
    uint32_t own_stream; /* the greatest number of our parity that we have sent on */
    uint32_t *ended;     /* ring of numbers */
    uint32_t ended_count, ended_at;
    struct wf_credit_out credit_out;
    struct wf_credit_in credit_in;

    weft_timer timer;
    weft_ns armed_at; /* when it fires; WEFT_NEVER */
    weft_ns began;    /* the present state, before UP */
    weft_ns ping_at;  /* when the last was sent */
    bool ping_out;
    uint64_t ping_token, rtt_ns;
    uint64_t wire_in, wire_out, frames_in, frames_out;
    struct wf_conn *dead_next;
};

struct wf_debt { /* what a dead connection left above, until it is released or forgotten */
    struct wf_debt *next;
    uint64_t conn, bytes; /* bytes that it was lent */
    uint32_t frames;
    weft_ns until;
};

struct wf_dial {
    struct wf_manager *m;
    struct wf_tp_dial *req;
    struct wf_tp_net *net;
    char transport[WEFT_ACTOR_NAME_BYTES_MAX];
    wf_endpoint endpoints[WF_DIAL_ENDPOINTS_MAX];
    size_t count, at;
    struct wf_conn *conn;  /* the attempt under way */
    struct wf_conn *waits; /* for that one to come up; in its `waiters` */
    struct wf_dial *waits_next;
    bool resolving; /* the resolver's reply is still to come */
    uint64_t token; /* of that ask */
    weft_err worst; /* the most telling failure so far */
    bool proved;    /* an attempt has heard the peer prove the key */
    bool hoping;    /* the peer kept another connection, which we do not know yet */
    weft_key hoped; /* its key */
    weft_timer timer, hope;
    struct wf_dial *prev, *next;
};

/* -- The actor --------------------------------------------------------------------------- */

struct wf_manager {
    weft_self *self;
    bool ending; /* fini runs: there are no timers any more */
    struct wf_transport_options options;
    char node_name[WEFT_ACTOR_NAME_BYTES_MAX];
    char interfaces[WEFT_INTERFACES_BYTES_MAX + 1]; /* "": nothing was said of them */
    wf_noise_static *noise_static;
    struct wf_transport *transports[WEFT_TRANSPORTS_MAX]; /* by name */
    uint32_t transports_count;
    struct wf_conn **conns; /* WEFT_CONNECTIONS_MAX slots */
    uint32_t conns_count, slot_hint;
    uint64_t conn_serial;
    uint32_t handshakes; /* accepted and not proven yet */
    struct wf_conn *dirty, *dead;
    struct wf_dial *dials;
    struct wf_credit_pool pool;
    struct wf_debt *debts;
    uint32_t debt_frames; /* of all of them */
    uint8_t *read_room;   /* one record's rest and WF_READ_BYTES */
    uint8_t *plain;       /* one record in the making */
    weft_timer flush, debt_timer, listen_timer;
    struct wf_tp_stats total; /* of connections that have ended */
    uint64_t handshakes_failed, connections;
};

/* manager.c */
struct wf_conn *wf_manager_conn(struct wf_manager *m, uint64_t id); /* UP ones only */
void wf_manager_reap(struct wf_manager *m);         /* frees dead connections; end of a turn */
void wf_manager_tell(weft_addr *to, weft_msg *msg); /* system lane; drops it if closed */
void wf_manager_flush_later(struct wf_manager *m, struct wf_conn *c);
void wf_manager_debt(struct wf_manager *m, uint64_t conn, uint64_t bytes, uint32_t frames);

/* routes.c */
struct wf_transport *wf_route_named(struct wf_manager *m, const char *name); /* or NULL */
/* The first by name whose type and grammar fit, and the address without its scheme. ADDRESS,
 * NO_TRANSPORT. */
weft_err wf_route(struct wf_manager *m, const char *address, struct wf_transport **out,
                  const char **rest);
weft_verdict wf_route_add(struct wf_manager *m, struct wf_tp_add *req);
weft_verdict wf_route_remove(struct wf_manager *m, struct wf_tp_remove *req);
weft_verdict wf_route_list(struct wf_manager *m, struct wf_tp_addresses *req);
/* Where others may reach it, with the scheme (weft/net.h); how many. 0 also if it does not run. */
size_t wf_route_reach(const struct wf_transport *t, bool all, char (*out)[WEFT_ADDRESS_BYTES_MAX],
                      size_t room);
void wf_route_fini(struct wf_manager *m); /* after all connections */

/* listen.c */
/* EXISTS, ADDRESS, NETWORK; AGAIN: `at` has a name that must be looked up. */
weft_err wf_listen_start(struct wf_transport *t, const char *at);
weft_err wf_listen_stop(struct wf_transport *t); /* NOT_FOUND: it does not run */

/* serve.c */
weft_verdict wf_serve(struct wf_manager *m, struct wf_tp_server *req);

/* dial.c */
weft_verdict wf_dial_start(struct wf_manager *m, struct wf_tp_dial *req);
/* The attempt `c` has failed; the next endpoint is tried, or the request answered. */
void wf_dial_failed(struct wf_dial *d, weft_err why);
void wf_dial_answer(struct wf_dial *d, weft_err err, const struct wf_conn *c); /* ends it */
void wf_dial_wait_for(struct wf_dial *d, struct wf_conn *c); /* answered when c is up or gone */
/* The peer ended the attempt because another connection of ours stands; it will show. */
void wf_dial_hope(struct wf_dial *d, const weft_key *key);
void wf_dial_came_up(struct wf_manager *m, struct wf_conn *c); /* answers who hoped for it */
void wf_dial_fini(struct wf_manager *m);

/* conn.c */
weft_err wf_conn_create(struct wf_manager *m, struct wf_tp_net *net, bool dialled,
                        struct wf_conn **out);
void wf_conn_ready(weft_self *self, void *state, wf_sock *sock, uint32_t events, void *arg);
weft_err wf_conn_begin(struct wf_conn *c, const weft_key *expected); /* the handshake */
weft_err wf_conn_handshake(struct wf_conn *c, const uint8_t *data, size_t len);
void wf_conn_hello(struct wf_conn *c, const struct wf_hello *hello); /* the peer's; UP */
/* Ends it with an authenticated CLOSE if the session stands. `why` is what the owner,
 * dials and the peer hear. Does nothing to one that has ended. */
void wf_conn_close(struct wf_conn *c, weft_err why, const char *text);
/* The same because of what the peer said. */
void wf_conn_breach(struct wf_conn *c, weft_err why, const char *text);
void wf_conn_drop(struct wf_conn *c, weft_err why, const char *text); /* silently */
/* As close, at the end of the turn: for those who are in the middle of its streams. */
void wf_conn_doom(struct wf_conn *c, weft_err why, const char *text);
void wf_conn_free(struct wf_conn *c);
void wf_conn_interest(struct wf_conn *c);
void wf_conn_arm(struct wf_conn *c);           /* looks at the clock within a second */
size_t wf_conn_host_len(const char *observed); /* without the port */
/* Another connection with the proven key `key`, in HELLO or UP. */
struct wf_conn *wf_conn_rival(struct wf_manager *m, const weft_key *key,
                              const struct wf_conn * not );
/* The peer has said something of the handshake that we could read. */
static inline bool wf_conn_heard(const struct wf_conn *c) { return c->heard; }
static inline bool wf_conn_open(const struct wf_conn *c)
{
    return c->state == WF_CONN_HELLO || c->state == WF_CONN_UP;
}

/* conn_in.c */
void wf_conn_receive(struct wf_conn *c);
void wf_conn_released(struct wf_conn *c); /* a frame; goes on reading when there is room */
/* A CLOSE made here, for the owner. */
void wf_conn_tell_close(struct wf_conn *c, uint32_t stream, weft_err why, const char *text);

/* conn_send.c */
void wf_conn_flush(struct wf_conn *c);
weft_err wf_conn_raw(struct wf_conn *c, const uint8_t *data, size_t len); /* one record */
void wf_conn_poke(struct wf_conn *c);     /* after appending to urgent */
void wf_send_drop_cur(struct wf_conn *c); /* answers its request; its bytes still go */
/* Encrypts the rest of the frame that is begun, however much waits for the network. */
weft_err wf_send_finish_cur(struct wf_conn *c);
void wf_out_free(struct wf_out *o, weft_err answer);

/* streams.c */
struct wf_stream *wf_stream_find(struct wf_conn *c, uint32_t number);
/* Finds or makes it. LIMIT, NO_MEMORY. */
weft_err wf_stream_get(struct wf_conn *c, uint32_t number, struct wf_stream **out);
bool wf_stream_was_ours(const struct wf_conn *c, uint32_t number); /* we have sent on it */
bool wf_stream_was_ended(const struct wf_conn *c, uint32_t number);
weft_err wf_stream_register(struct wf_conn *c, struct wf_tp_stream *req);
weft_err wf_stream_end(struct wf_conn *c, uint32_t number);
void wf_stream_idle(struct wf_stream *s);   /* frees it if nothing is left of it */
void wf_stream_free_all(struct wf_conn *c); /* ends them; the verifiers hear it */
weft_err wf_stream_queue(struct wf_stream *s, struct wf_out *o, bool in_place);
void wf_stream_drop_queue(struct wf_stream *s, bool charged_only);
void wf_stream_list(struct wf_lane *lane);
void wf_stream_unlist(struct wf_lane *lane);
void wf_stream_unstick(struct wf_stream *s);   /* credit came */
void wf_stream_give_back(struct wf_stream *s); /* its loan, if it has one */
void wf_stream_ask(struct wf_stream *s);       /* sends BLOCKED if it is time */
void wf_stream_release(struct wf_conn *c, uint32_t number, uint32_t bytes);
void wf_stream_grants(struct wf_manager *m); /* sends what there is room for now */
/* Looks at the clock for all streams; true while there is something to watch. */
bool wf_stream_tick(struct wf_conn *c, weft_ns now);

#endif
