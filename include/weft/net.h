/* SPDX-License-Identifier: Apache-2.0
 * weft/net.h - the named transports of a node, and networks of your own under them.
 *
 * A transport is a network under a name, with an address to listen at or none. Weft has TCP and
 * memory, libweft-http.a has HTTP (weft/http.h). What is said in weft/node.h of threads, timeouts
 * and asynchronous forms holds here too. docs/transports.md shows how a network is written. */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <weft/actor.h>
#include <weft/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- A network ------------------------------------------------------------------------- */

/* A network gives ordered, reliable byte streams between addresses. It knows nothing of frames,
 * keys or peers, and need not be secret or honest: what passes it is encrypted and checked above.
 *
 * These comments are the specification. All calls but check, resolve, listen_name and destroy are
 * made on the thread of one actor, `self`, and none of them may block. Readiness is told to that
 * actor: `ready` runs on its thread, outside any other call of this table. To get there a network
 * uses what weft/actor.h gives to who holds `self`: weft_fd_watch, weft_timer_set. */
typedef struct weft_net weft_net;
typedef struct weft_sock weft_sock; /* a listener or a connection; the network's own struct */

#define WEFT_NET_READ 1u  /* bytes, an end or an error can be received; somebody can be accepted */
#define WEFT_NET_WRITE 2u /* bytes can be sent; a dial has succeeded or failed */

/* One address that was looked up, in the network's own form, without pointers. */
typedef struct weft_endpoint {
    uint8_t bytes[WEFT_ENDPOINT_BYTES_MAX];
    uint32_t len;
} weft_endpoint;

/* `sock` is ready for what was asked with interest(). May be spurious. It may close `sock`, and
 * every other one, and with the last of them the network may be destroyed: whoever calls this
 * looks at nothing of them afterwards. */
typedef void (*weft_net_ready)(weft_self *self, void *state, weft_sock *sock, uint32_t events,
                               void *arg);

struct weft_net_ops {
    const char *type; /* the scheme of its addresses: 1 to 15 of a-z, 0-9, '+', '-' */

    /* Is `address` (without the scheme, for example "127.0.0.1:0", "[::1]:80",
     * "host.example:7000") well-formed? ADDRESS otherwise. Pure, any thread. */
    weft_err (*check)(weft_net *net, const char *address);

    /* Turns an address into at most `room` endpoints, best first. May block: called
     * on the resolver actor only. ADDRESS, UNREACHABLE (no such host). */
    weft_err (*resolve)(weft_net *net, const char *address, weft_endpoint *out, size_t room,
                        size_t *count);

    /* Listens. *bound receives the real address as text (port 0 replaced). ADDRESS,
     * EXISTS (address in use), NETWORK; AGAIN: the host is a name, and nothing is looked
     * up here: ask listen_name for the address first. */
    weft_err (*listen)(weft_net *net, weft_self *self, const char *address, weft_net_ready ready,
                       void *arg, weft_sock **out, char bound[WEFT_ADDRESS_BYTES_MAX]);
    /* The address, literal, of this machine that the name in `address` stands for. May block:
     * called on the resolver actor only. ADDRESS (malformed, or of another machine),
     * UNREACHABLE (no such host). May be NULL if listen never answers AGAIN. */
    weft_err (*listen_name)(weft_net *net, const char *address, char out[WEFT_ADDRESS_BYTES_MAX]);
    /* Takes the next connection from a listener; `from` is the other side's address as text:
     * what is before its last ':' is who it is, and bounds count by that. AGAIN: none; LIMIT: no
     * descriptors left (the listener stays usable); NETWORK. */
    weft_err (*accept)(weft_net *net, weft_self *self, weft_sock *listener, weft_net_ready ready,
                       void *arg, weft_sock **out, char from[WEFT_ADDRESS_BYTES_MAX]);
    /* Begins a connection; WRITE readiness ends the wait and connected() tells how. */
    weft_err (*dial)(weft_net *net, weft_self *self, const weft_endpoint *to, weft_net_ready ready,
                     void *arg, weft_sock **out);
    weft_err (*connected)(weft_net *net, weft_sock *sock); /* OK, AGAIN, UNREACHABLE, NETWORK */

    /* Moves what fits. OK with *moved > 0; AGAIN: nothing now; receive: END after an
     * orderly end, NETWORK after a reset. A short send is normal. */
    weft_err (*send)(weft_net *net, weft_sock *sock, const void *data, size_t len, size_t *moved);
    weft_err (*receive)(weft_net *net, weft_sock *sock, void *data, size_t room, size_t *moved);

    /* What ready() is wanted for from now on (level-triggered). */
    weft_err (*interest)(weft_net *net, weft_self *self, weft_sock *sock, uint32_t events);

    /* Ends and frees a socket or listener of any state; what was sent is still
     * delivered if the network can. ready() does not run for it any more. */
    void (*close)(weft_net *net, weft_self *self, weft_sock *sock);

    /* After all its sockets were closed; on any thread, that of the resolver too: a network
     * lets go of its actor's timers and descriptors when the last socket is closed. */
    void (*destroy)(weft_net *net);

    /* The addresses, without the scheme, under which others may reach the listener that is bound
     * at `bound`: at most `room`, the best first; *count 0: none that it knows. They are told to
     * peers and, with `all`, put into tickets; without `all` those that only the machine's
     * interfaces say, of a listener on all of them, are left out. Looks at the machine alone and
     * does not wait. NO_MEMORY, NETWORK. NULL: at `bound`, unless that is "0.0.0.0:..." or
     * "[::]:...". */
    weft_err (*reach)(weft_net *net, const char *bound, bool all,
                      char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room, size_t *count);
    /* Which of the machine's interfaces reach() may name, in the form of weft_node_options. Told when
     * the network is added to a node that says so, before it listens. May be NULL. */
    void (*interfaces)(weft_net *net, const char *interfaces);
};
struct weft_net {
    const struct weft_net_ops *ops; /* the network's own struct begins with this */
};

/* TCP over IPv4 and IPv6: "host:port", port 0 for any that is free. */
weft_err weft_net_tcp_create(weft_net **out);

/* -- Transports ------------------------------------------------------------------------ */

typedef struct weft_node weft_node;     /* weft/node.h */
typedef struct weft_result weft_result; /* likewise    */
typedef void (*weft_on_result)(void *arg, weft_err err, const weft_result *result);

/* Adds or replaces a named transport over `net`, which is taken whatever comes of it: one that is
 * not added is destroyed. It is not started. `listen` is "type:address", NULL: it only dials. As weft_add_transport: a running
 * transport of that name is stopped first, and its connections stay until they end. INVALID (also
 * a type of another form), ADDRESS, LIMIT (WEFT_TRANSPORTS_MAX). */
weft_err weft_add_transport_net(weft_node *node, const char *name, weft_net *net,
                                const char *listen, weft_ns timeout);
weft_err weft_add_transport_net_async(weft_node *node, const char *name, weft_net *net,
                                      const char *listen, weft_on_result done, void *arg);
/* Stops it and forgets it, the saved one of that name too; its connections stay until they end.
 * NOT_FOUND: there is neither. IO, NO_SPACE. */
weft_err weft_remove_transport(weft_node *node, const char *name, weft_ns timeout);
weft_err weft_remove_transport_async(weft_node *node, const char *name, weft_on_result done,
                                     void *arg);
/* Stops it, if it runs, and starts it at the address that it had, port included. NOT_FOUND, and
 * as weft_start_server: then it is stopped. */
weft_err weft_transport_restart(weft_node *node, const char *name, weft_ns timeout);
weft_err weft_transport_restart_async(weft_node *node, const char *name, weft_on_result done,
                                      void *arg);
/* Does the named one listen; NULL: does any? False also where a call would answer an error. */
bool weft_server_running(weft_node *node, const char *name);

typedef struct weft_transport_info {
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    char type[WEFT_TRANSPORT_TYPE_BYTES_MAX];
    char listen[WEFT_ADDRESS_BYTES_MAX]; /* as it was added, with its type; "": it only dials */
    char bound[WEFT_ADDRESS_BYTES_MAX];  /* where it listens; "": it does not run */
} weft_transport_info;
/* All that the node has, by name, which is also the order in which they are tried for an address.
 * `*count` in: room, out: filled; LIMIT: there are more. */
weft_err weft_transport_list(weft_node *node, weft_ns timeout, weft_transport_info *out,
                             size_t *count);
typedef void (*weft_on_transports)(void *arg, weft_err err, const weft_transport_info *list,
                                   size_t count);
weft_err weft_transport_list_async(weft_node *node, weft_on_transports done, void *arg);

/* -- What is remembered of them --------------------------------------------------------- */

/* A node remembers the transports of weft_add_transport if it was opened with
 * `restore_transports`. Networks of your own keep here, by the transport's name, what they need to
 * be made again: `state` is yours. Every transport proves the same key, the device's. */
typedef struct weft_transport_config {
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    char type[WEFT_TRANSPORT_TYPE_BYTES_MAX];
    char listen[WEFT_ADDRESS_BYTES_MAX]; /* with its type; "": it only dials */
    uint32_t state_len;
    uint8_t state[WEFT_TRANSPORT_STATE_BYTES_MAX];
} weft_transport_config;
/* Durable when it returns; replaces what was saved under that name. EXISTS: that is of another
 * type. INVALID (no name or type, a text that does not end, too much state), LIMIT
 * (WEFT_TRANSPORTS_SAVED_MAX), IO, NO_SPACE. */
weft_err weft_transport_save(weft_node *node, const weft_transport_config *config, weft_ns timeout);
weft_err weft_transport_save_async(weft_node *node, const weft_transport_config *config,
                                   weft_on_result done, void *arg);
/* A read. INVALID: it is of another type than `type`. NOT_FOUND, CORRUPT, IO. */
weft_err weft_transport_load(weft_node *node, const char *name, const char *type,
                             weft_transport_config *out);
/* A read: all that are saved, by name; one that is damaged is left out, and the log says so.
 * `*count` in: room, out: filled; LIMIT: there are more. */
weft_err weft_transport_saved(weft_node *node, weft_transport_config *out, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
