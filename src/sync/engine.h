/* SPDX-License-Identifier: Apache-2.0
 * engine.h - the sync engine: the actor that owns sessions, timers and commands.
 * Hears commands (weft.c), connections and control frames (transport), what was applied
 * (queue), changes of peers. Tells transport, queue, reader, peers, notify.
 * It never touches disk or sockets and never waits. */
#ifndef WF_ENGINE_H
#define WF_ENGINE_H

#include <weft/ticket.h>

#include "nodes.h"
#include "wire.h"

weft_err wf_engine_spawn(weft_rt *rt, weft_addr **out);

extern const weft_kind wf_cmd_kind;
enum wf_cmd_op {
    WF_CMD_SEND_ENTRIES,
    WF_CMD_SYNC_PEER,
    WF_CMD_SYNC_TREE,
    WF_CMD_ADD_TRANSPORT,
    WF_CMD_START_SERVER,
    WF_CMD_STOP_SERVER,
    WF_CMD_SERVER_ADDRESS,
    WF_CMD_SERVER_ADDRESSES,
    WF_CMD_CONNECT,
    WF_CMD_SEND_REQUEST,
    WF_CMD_FLUSH,
    WF_CMD_OFFERS,
    WF_CMD_TICKET,
    WF_CMD_TICKET_CONNECT, /* as TICKET, but the connection is all that is wanted */
    WF_CMD_DECLARE,
    WF_CMD_DECLARED_STATUS,
    WF_CMD_DECLARED_WAIT,
    WF_CMD_JOIN
};
/* To the engine, of a handle that was declared: it ends, or there is something new to try. */
extern const weft_kind wf_declared_note_kind;
struct wf_declared_note {
    weft_msg msg;
    weft_key peer;
    weft_id tree;
    bool end;
};
struct wf_cmd { /* asked by weft.c or notify; answered once the command has ended */
    weft_request req;
    enum wf_cmd_op op;
    bool has_peer; /* CONNECT: expected key given */
    weft_key peer;
    weft_id tree;
    char name[WEFT_ACTOR_NAME_BYTES_MAX]; /* transport */
    char text[WEFT_ADDRESS_BYTES_MAX];    /* address, listen */
    wf_net *net; /* ADD_TRANSPORT: taken on OK, destroyed with the message otherwise */
    struct wf_record_put *record; /* ADD_TRANSPORT: written once it is there; may be NULL */
    uint32_t entries_count;
    weft_buf **entries;  /* counted, freed with the message */
    weft_buf *message;   /* SEND_REQUEST: in and out */
    weft_ticket *ticket; /* TICKET: freed with the message */
    uint32_t addresses_count;
    char (*addresses)
        [WEFT_ADDRESS_BYTES_MAX]; /* DECLARE: freed with the message; `text` is the name */
    /* DECLARE: the handle's end, until somebody takes it: a handle that nobody waited for is
     * ended with the message. `home` is the engine, counted. */
    struct wf_declared_note *end;
    weft_addr *home;
    struct wf_join_req
        *ask; /* DECLARE: what the peer is asked for first (joining.h); NULL: nothing;
                               * dropped with the message, until somebody takes it */
    struct wf_join_cmd *join; /* JOIN: joining.h; of the peer, or of who is at `text` if that is
                               * not empty; freed with the message. result.peer: who was asked */
    /* out: */
    weft_result result;
    uint32_t count;
    weft_id *ids;         /* OFFERS */
    weft_server *servers; /* SERVER_ADDRESSES */
    bool declared;        /* DECLARE: it has begun */
    weft_sync_status status;
};
struct wf_cmd *wf_cmd_create(enum wf_cmd_op op); /* drop frees what it owns */

#endif
