/* SPDX-License-Identifier: Apache-2.0
 * weft/ticket.h - a tree and where to get it as one line of text; and trees that are kept with
 * a peer. docs/tickets.md has the form of the text. Any thread may call. */
#ifndef WEFT_TICKET_H
#define WEFT_TICKET_H

#include <weft/join.h>
#include <weft/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- Tickets ------------------------------------------------------------------------------ */

/* "weft:?db=<tree>&pk=<server's key>&pr=<address>&pr=<address>..." It says where something is,
 * and gives no right to it. */
typedef struct weft_ticket {
    weft_id tree;
    bool has_server;
    weft_key server; /* the device key that whoever answers has to prove */
    uint32_t hints_count;
    char hints[WEFT_TICKET_HINTS_MAX][WEFT_ADDRESS_BYTES_MAX]; /* "tcp:host:port" */
} weft_ticket;

/* Reads a ticket. What it does not know it passes over: other parameters, hints without a type,
 * with a blank or a control character, too long, or beyond WEFT_TICKET_HINTS_MAX. Of several
 * trees, or keys, the last one counts. ADDRESS: it is no ticket, or names no tree. SYNTAX: the id or the
 * key is none. LIMIT: longer than WEFT_TICKET_BYTES_MAX. *out is untouched then. */
weft_err weft_ticket_parse(const char *text, weft_ticket *out);

/* Writes the text of a ticket, with its NUL: what weft_ticket_parse reads as the same ticket.
 * `*len` in: room, out: what it takes, also when that is too much: LIMIT. INVALID: a hint that
 * would be passed over, or too many. `out` may be NULL if there is no room. */
weft_err weft_ticket_write(const weft_ticket *ticket, char *out, size_t *len);

/* A ticket for the tree with this node's key and the addresses of its running servers. Of a server
 * that listens on all addresses of the machine it takes those of the machine's interfaces, of which
 * weft_node_options.interfaces may say some; how others reach it from beyond these only you know. If none gives one the ticket has no hints, which is OK:
 * add what you know. Whether the tree
 * is here is not asked. */
weft_err weft_ticket_create(weft_node *node, const weft_id *tree, weft_ns timeout,
                            weft_ticket *out);
typedef void (*weft_on_ticket)(void *arg, weft_err err, const weft_ticket *ticket);
weft_err weft_ticket_create_async(weft_node *node, const weft_id *tree, weft_on_ticket done,
                                  void *arg);
/* A ticket for a tree that is offered from now on: as weft_ticket_create, and then the settings of
 * the principal (NULL: the node itself) for the tree become enabled; if it has none they are enabled
 * and on_commit. Its servers need not run. NOT_FOUND: the tree's root is not here. NO_TRANSPORT: the
 * node has none. LIMIT, IO, NO_SPACE. On a failure the settings are as they were. */
weft_err weft_share(weft_node *node, const weft_id *tree, const weft_key *principal,
                    weft_ns timeout, weft_ticket *out);
weft_err weft_share_async(weft_node *node, const weft_id *tree, const weft_key *principal,
                          weft_on_ticket done, void *arg);

/* Gets what the ticket names: dials all hints at once, each for WEFT_TICKET_TRY_NS at most, and
 * syncs the tree in both directions with the first who proves the server's key; the others end
 * by themselves, and the addresses that proved the key are remembered. The tree is followed here
 * from then on, with the server among its readers, and related to it. A tree of which there are
 * entries here, followed or not, gets no new reader: a ticket lets nobody read what is here already
 * (TREE, if nothing else lets the server read it). ADDRESS: no hints. PEER_KEY: no server's key, or nobody
 * proved it. TREE: the server does not serve the tree to us. BLOCKED. If all fail the answer is
 * the last failure. Result: peer, text (the address at which it was reached; empty if it had
 * called us before), sent, received. `out` may be NULL. */
weft_err weft_sync_with_ticket(weft_node *node, const weft_ticket *ticket, weft_ns timeout,
                               weft_result *out);
weft_err weft_sync_with_ticket_async(weft_node *node, const weft_ticket *ticket, weft_ns timeout,
                                     weft_on_result done, void *arg);
/* Connects by the hints as weft_sync_with_ticket does, and then asks as weft_tree_join: `spec`
 * says who asks for what, and the ticket which tree. What both of them answer; INVALID, before
 * anybody is dialled, for a spec that weft_tree_join would not take. */
weft_err weft_tree_join_with_ticket(weft_node *node, const weft_ticket *ticket,
                                    const weft_join_spec *spec, weft_ns timeout,
                                    weft_join_outcome *out);
weft_err weft_tree_join_with_ticket_async(weft_node *node, const weft_ticket *ticket,
                                          const weft_join_spec *spec, weft_ns timeout,
                                          weft_on_join done, void *arg);

/* -- Trees that are kept with a peer -------------------------------------------------------- */

/* A tree, a peer and its addresses, said once: while the handle is open the node tries, ever more
 * slowly up to about a minute, until the tree was synced with the peer; from then on it is kept in
 * sync as every related tree, also when the handle is closed and after a restart. Any thread may
 * call; close it before the node, when no other call on it runs. Several handles of one pair
 * share what they know. */
typedef struct weft_sync_peer weft_sync_peer;
typedef struct weft_sync_peer_spec {
    weft_key peer;
    const char *name; /* of a peer that is not known yet; may be NULL */
    weft_id tree;
    const char *const *addresses; /* added to those that are known */
    uint32_t addresses_count;
    /* What the peer is asked for first, as by weft_tree_join; `tree` in it is not looked at. NULL:
     * the right is there already. */
    const weft_join_spec *join;
} weft_sync_peer_spec;
/* Follows the tree, with the peer among its readers; then registers the peer if it is new, adds
 * its addresses and relates the tree to it, all in one batch; then begins to try, and returns
 * without waiting for that. With `join` it asks first, again and again until the peer has heard it,
 * and goes on once that is granted; of several handles of a pair the request of the first counts
 * until it was refused. BLOCKED; ADDRESS; LIMIT (WEFT_DECLARED_MAX, WEFT_ADDRESSES_PER_PEER_MAX
 * ...); INVALID: the node's own key, or a `join` that weft_tree_join would not take; IO, NO_SPACE. */
weft_err weft_sync_peer_open(weft_node *node, const weft_sync_peer_spec *spec, weft_ns timeout,
                             weft_sync_peer **out);
/* The handle is yours with OK. */
typedef void (*weft_on_sync_peer)(void *arg, weft_err err, weft_sync_peer *handle);
weft_err weft_sync_peer_open_async(weft_node *node, const weft_sync_peer_spec *spec,
                                   weft_on_sync_peer done, void *arg);
typedef struct weft_sync_status {
    bool has_local_data; /* the tree's root is here, whoever brought it        */
    bool live;           /* what is new travels between the two at once        */
    weft_connection connection;
    int64_t last_sync_ms; /* wall clock; 0: not since it was opened            */
    weft_err last_error;  /* why the last attempt failed; OK: it did not       */
    weft_join_state join; /* PENDING also while the peer has not answered; GRANTED also if nothing
                           * was to be asked                                   */
} weft_sync_status;
weft_err weft_sync_peer_status(weft_sync_peer *handle, weft_ns timeout, weft_sync_status *out);
typedef void (*weft_on_sync_status)(void *arg, weft_err err, const weft_sync_status *status);
weft_err weft_sync_peer_status_async(weft_sync_peer *handle, weft_on_sync_status done, void *arg);
/* As weft_peer_add_address, and it is tried at once. Without a twin: weft_peer_add_address_async
 * has it tried when the next time comes. */
weft_err weft_sync_peer_add_address(weft_sync_peer *handle, const char *address, weft_ns timeout);
/* Waits until both hold the union of what they had, once since it was opened; OK at once if that
 * was so before. Attempts that fail are no answer: weft_sync_peer_status has them. TIMED_OUT;
 * BLOCKED: the peer was blocked here. REJECTED, EXPIRED: so the request to join has ended; nothing
 * more is tried by itself, and a new handle asks anew. */
weft_err weft_sync_peer_wait(weft_sync_peer *handle, weft_ns timeout);
weft_err weft_sync_peer_wait_async(weft_sync_peer *handle, weft_ns timeout, weft_on_result done,
                                   void *arg);
void weft_sync_peer_key(const weft_sync_peer *handle, weft_key *out);
void weft_sync_peer_tree(const weft_sync_peer *handle, weft_id *out);
void weft_sync_peer_close(weft_sync_peer *handle); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
