/* SPDX-License-Identifier: Apache-2.0
 * transport.h - the transport manager: an actor that owns named transports,
 * listeners, connections, credits and byte accounts.
 * Upwards it speaks only of connections that have proven a key, of frames and of
 * bytes; it knows no entry and no tree. Everything below is a message.
 *
 * A frame is `u32 big-endian length | msgpack [type, stream, ...]`, length not
 * counting itself, <= WEFT_MESSAGE_BYTES_MAX. The transport reads type and stream,
 * handles HELLO, PING, PONG, CREDIT, BLOCKED and the closing of the connection
 * itself, and passes the others up after the bounded scan: bulk types to the
 * verifiers, the rest to the owner. docs/wire.md has every frame. */
#ifndef WF_TRANSPORT_H
#define WF_TRANSPORT_H

#include <weft/actor.h>
#include <weft/buf.h>
#include <weft/id.h>

#include "net.h"
#include "noise.h"

/* -- Frame types (docs/wire.md) -------------------------------------------------- */
enum wf_frame_type {
    WF_F_HELLO = 0,
    WF_F_OPEN = 2,
    WF_F_STATE = 3,
    WF_F_IDS = 6,
    WF_F_BITS = 8,
    WF_F_ENTRIES = 9, /* bulk */
    WF_F_PUSH = 10,   /* bulk */
    WF_F_ACK = 11,
    WF_F_CREDIT = 12,
    WF_F_WANT = 13,
    WF_F_DONE = 14,  /* bulk path, in order behind the entries; not charged */
    WF_F_CLOSE = 15, /* of a stream, or (stream 0) of the connection */
    WF_F_PING = 17,
    WF_F_PONG = 18,
    WF_F_RESULT = 19,
    WF_F_TREES_REQ = 20,
    WF_F_TREES = 23,
    WF_F_ERR = 21,
    WF_F_BLOCKED = 22,
    WF_F_PROVE = 24,
    WF_F_JOIN = 25,
    WF_F_JOINED = 26,
    WF_F_TYPES = 32
};
/* Codes on the wire (PROTOCOL section 4), in CLOSE and ERR. */
enum wf_wire_code {
    WF_W_OK = 0,
    WF_W_VERSION = 1,
    WF_W_FRAME,
    WF_W_SYNTAX,
    WF_W_AUTH,
    WF_W_TREE,
    WF_W_LIMIT,
    WF_W_BUDGET,
    WF_W_BUSY,
    WF_W_EPOCH,
    WF_W_PARENT,
    WF_W_BAD_ENTRY,
    WF_W_QUOTA,
    WF_W_SHUTDOWN,
    WF_W_INTERNAL,
    WF_W_UNSUPPORTED
};
weft_err wf_wire_err(uint64_t code);    /* the local error that a peer's code becomes */
unsigned wf_wire_code_of(weft_err err); /* and back */

/* -- Spawning ----------------------------------------------------------------------- */
struct wf_transport_options {
    struct wf_identity identity; /* noise.h: key and how to sign and verify; copied */
    uint64_t caps;               /* told to peers: what the layers above understand */
    const char *node_name;       /* shown to peers; may be NULL                     */
    const char *interfaces;      /* weft_node_options.interfaces; copied; may be NULL */
    weft_addr *events_to;        /* hears UP, DOWN, FRAME (system lane); counted    */
    weft_addr *const *verifiers; /* hear BULK; counted; chosen in turn              */
    uint32_t verifiers_count;
    weft_addr *resolver; /* wf_resolver_spawn                               */
    /* Decides about a proven key before any frame is read; any thread; may be NULL. OK, or what a
     * dial of ours answers: BLOCKED, PENALISED. Who dialled us hears nothing. */
    weft_err (*may_connect)(void *arg, const weft_key *key, weft_ns now);
    /* Hears of a connection that is closed because of what the peer said, here or in the layers
     * above: once, before it is closed. On the transport's thread; may be NULL. */
    void (*on_breach)(void *arg, const weft_key *key, weft_err why, weft_ns now);
    void *may_connect_arg; /* of both */
    /* A judge's seat, NULL otherwise: hears of each piece of a frame to `key` just before it is
     * encrypted. `cookie_id` is that of the frame's stream, NULL while it has none. */
    void (*on_encrypt)(void *arg, const weft_key *key, const weft_id *cookie_id, uint32_t type);
    void *on_encrypt_arg;
};
weft_err wf_transport_spawn(weft_rt *rt, const struct wf_transport_options *options,
                            weft_addr **out);
weft_err wf_resolver_spawn(weft_rt *rt, weft_addr **out);

/* -- Requests to the manager (asked; replies in place; drop frees) --------------------- */
extern const weft_kind wf_tp_add_kind, wf_tp_remove_kind, wf_tp_server_kind, wf_tp_addresses_kind,
    wf_tp_dial_kind, wf_tp_stream_kind, wf_tp_bulk_kind, wf_tp_send_kind, wf_tp_release_kind,
    wf_tp_close_kind, wf_tp_part_kind, wf_tp_stats_kind;

/* Adds or replaces a named transport; a running one of that name is stopped first.
 * The new one is not started. LIMIT, INVALID, ADDRESS. */
struct wf_tp_add {
    weft_request req;
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    wf_net *net;                         /* taken on OK */
    char listen[WEFT_ADDRESS_BYTES_MAX]; /* empty: client only, start does nothing */
};
/* Stops a named transport and forgets it; its connections stay. NOT_FOUND. */
struct wf_tp_remove {
    weft_request req;
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
};
/* Starts or stops the listener of one transport, or of all (empty name). Start:
 * NOT_FOUND, EXISTS (it runs already, or the address is in use), ADDRESS (malformed, or not
 * one of this machine), NETWORK, UNREACHABLE (no such host). All:
 * OK if one started or none are registered. Stop returns when the listener is closed:
 * NOT_FOUND (no such name or not running); all: OK also if none runs. */
struct wf_tp_server {
    weft_request req;
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    bool start;
    bool again; /* with start, of one: stops it first, and listens where it listened */
};
/* The bound addresses of running listeners, in the order of names. */
struct wf_tp_addresses {
    weft_request req;
    bool all; /* in: those that do not run too, with an empty address; and where they are reached */
    uint32_t hints_count;
    char hints[WEFT_TICKET_HINTS_MAX][WEFT_ADDRESS_BYTES_MAX]; /* for a ticket */
    uint32_t count;
    struct {
        char name[WEFT_ACTOR_NAME_BYTES_MAX];
        char type[WEFT_TRANSPORT_TYPE_BYTES_MAX];
        char listen[WEFT_ADDRESS_BYTES_MAX];  /* as it was added, with its scheme; or empty */
        char address[WEFT_ADDRESS_BYTES_MAX]; /* with its scheme: "tcp:127.0.0.1:4711" */
    } items[WEFT_TRANSPORTS_MAX];
};
/* Connects, proves both keys, exchanges HELLO. `address` has a scheme
 * ("tcp:host:port"); the first transport by name whose type fits is used. ADDRESS,
 * NO_TRANSPORT (none for it), UNREACHABLE, TIMED_OUT, PEER_KEY, AUTH, PEER_VERSION,
 * PROTOCOL, BLOCKED, PENALISED. If a connection to that key exists already, the rule of DESIGN 4
 * decides which one stays; either way *conn is the one that lives. UP comes before the
 * reply. BUSY: the other side has as many connections as it takes. */
struct wf_tp_dial {
    weft_request req;
    char address[WEFT_ADDRESS_BYTES_MAX];
    bool expect;   /* refuse another key than `key` */
    weft_key key;  /* in: the expected key; out: the proven one */
    uint64_t conn; /* out */
    bool proved;   /* out: at `address` itself, not only over a connection that there was */
};
/* Registers a stream before bulk may arrive on it, or ends it. Ending drops what is
 * queued and not yet encrypted (answers CLOSED) and sends the verifiers the stream's
 * end, behind everything that arrived before; a frame of it that is begun is encrypted to its
 * end first. Once that is answered nothing of the stream is encrypted any more but CLOSE, ERR
 * and ACK. NOT_FOUND: it is not registered; what waited on it is dropped as well. CLOSED: no such connection; EXISTS; LIMIT.
 * Stream numbers: odd by the side that dialled, even by the other, never reused. */
struct wf_tp_stream {
    weft_request req; /* may also be sent with weft_send: no reply then */
    uint64_t conn;
    uint32_t stream;
    bool open;
    void *cookie;      /* comes with every BULK of the stream */
    weft_id cookie_id; /* likewise: the layer above's name for it (a tree) */
    bool cookie_bit;   /* likewise                                         */
};
/* Sends one charged bulk frame in order; the reply comes when it has been encrypted
 * (that is the back-pressure) or with CLOSED. The frame buffer has WF_FRAME_HEAD bytes
 * of room in front for the length. */
#define WF_FRAME_HEAD 4u
struct wf_tp_bulk {
    weft_request req;
    uint64_t conn;
    uint32_t stream;
    weft_buf *frame; /* counted, taken */
    uint64_t n;      /* out: its number among the stream's bulk frames */
};
/* Sends a control frame; nobody answers. Charged types wait for credit like bulk; more
 * than WEFT_OUTBOUND_CONTROL_BYTES waiting closes the connection (BUSY). Also for DONE,
 * which keeps its place behind the stream's bulk. */
struct wf_tp_send {
    weft_msg msg;
    uint64_t conn;
    uint32_t stream;
    weft_buf *frame; /* counted, taken */
};
/* A frame was consumed: exactly one for each FRAME, and each BULK that is no end, charged or
 * not. Its bytes may be lent again. A connection of which WEFT_FRAMES_HELD_MAX frames are not
 * released is not read: so whoever passes on what came passes this duty on with it. */
struct wf_tp_release {
    weft_msg msg;
    uint64_t conn;
    uint32_t stream;
    uint32_t bytes; /* as told in BULK.frame_bytes or FRAME.frame_bytes; 0: not charged */
};
/* Closes a connection in order (authenticated CLOSE). */
struct wf_tp_close {
    weft_msg msg;
    uint64_t conn;
    weft_err why; /* WEFT_OK: ordinary */
    char text[64];
};
/* Closes all connections with the key, also those that are not up yet. Answered, OK also if there
 * were none, when nothing of them is encrypted any more but CLOSE, nothing that they send is passed
 * on, and DOWN was sent for those that were up. Who keeps the key out from then on says may_connect. */
struct wf_tp_part {
    weft_request req;
    weft_key key;
    weft_err why;
    char text[64];
};
struct wf_tp_stats {
    weft_request req;
    uint64_t conn; /* 0: all connections together, ended ones too */
    uint64_t wire_in, wire_out, frames_in, frames_out, connections, handshakes_failed;
    uint64_t rtt_ns; /* smoothed, from PING; 0: unknown */
};
/* Creates any of the above, zeroed, with its kind's size. NULL when memory is short. */
void *wf_tp_new(const weft_kind *kind);

/* -- Events (system lane) ----------------------------------------------------------------- */
extern const weft_kind wf_tp_up_kind, wf_tp_down_kind, wf_tp_frame_kind, wf_tp_bulk_in_kind;
struct wf_tp_up {
    weft_msg msg;
    uint64_t conn;       /* never reused */
    weft_key key;        /* proven */
    bool dialled;        /* by us: our streams are odd */
    uint8_t channel[64]; /* the handshake hash: equal on both sides, unique */
    char transport[WEFT_ACTOR_NAME_BYTES_MAX];
    char address[WEFT_ADDRESS_BYTES_MAX]; /* dialled: the address that worked; else observed */
    char peer_name[WEFT_ACTOR_NAME_BYTES_MAX];
    uint64_t caps;          /* the peer's, of HELLO */
    uint32_t listens_count; /* the peer's own advertised addresses */
    char listens[WEFT_ADDRESSES_PER_PEER_MAX][WEFT_ADDRESS_BYTES_MAX];
};
struct wf_tp_down {
    weft_msg msg;
    uint64_t conn;
    weft_key key;
    weft_err why; /* OK: an authenticated close */
    char text[WEFT_ERROR_TEXT_BYTES_MAX];
};
/* A CLOSE with the code LIMIT may also be made here: the stream got no credit for too
 * long, or a loan on it was never used. The owner ends the stream then. */
struct wf_tp_frame { /* a control frame for the owner */
    weft_msg msg;
    uint64_t conn;
    weft_key key;
    uint32_t stream;
    uint32_t type;
    weft_buf *buf;        /* counted */
    const uint8_t *bytes; /* the msgpack array, scanned, whole */
    size_t len;
    uint32_t frame_bytes; /* to be told in the release; 0: not charged */
};
struct wf_tp_bulk_in { /* a bulk frame, or a stream's end, for a verifier */
    weft_msg msg;
    uint64_t conn;
    weft_key key;
    uint32_t stream;
    uint64_t n; /* 1, 2, 3 ... per stream, the end included */
    bool end;   /* no frame: the stream is over */
    uint32_t type;
    void *cookie;
    weft_id cookie_id;
    bool cookie_bit;
    weft_buf *buf;
    const uint8_t *bytes;
    size_t len;
    uint32_t frame_bytes; /* to be told in the release, once applied; 0: not charged */
    weft_ns arrived_ns;
};

#endif
