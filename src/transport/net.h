/* SPDX-License-Identifier: Apache-2.0
 * net.h - a network: one of the three tables behind which everything that blocks
 * is kept. These comments are the specification of a transport;
 * test/transport/test_net.c is the conformance suite that every binding passes
 * (net_tcp.c: sockets; net_mem.c: in-process pipes, in the simulator with faults).
 *
 * A network gives ordered, reliable byte streams between addresses. It knows
 * nothing of frames, keys or peers. All calls but resolve are made on one actor's
 * thread (the transport manager's) and never block. Readiness is told to that actor:
 * `ready` runs on its thread, outside any other call of this table. */
#ifndef WF_NET_H
#define WF_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/actor.h>

typedef struct wf_net wf_net;
typedef struct wf_sock wf_sock;

#define WF_NET_READ 1u /* bytes, an end or an error can be received; a connection can be accepted */
#define WF_NET_WRITE 2u /* bytes can be sent; a dial has succeeded or failed */

/* One resolved address, in the network's own binary form. */
typedef struct wf_endpoint {
    uint8_t bytes[128];
    uint32_t len;
} wf_endpoint;

/* `sock` is ready for what was asked with interest(). May be spurious. */
typedef void (*wf_net_ready)(weft_self *self, void *state, wf_sock *sock, uint32_t events,
                             void *arg);

struct wf_net_ops {
    const char *type; /* the scheme of its addresses: "tcp", "mem" */

    /* Is `address` (without the scheme, for example "127.0.0.1:0", "[::1]:80",
     * "host.example:7000") well-formed? ADDRESS otherwise. Pure, any thread. */
    weft_err (*check)(wf_net *net, const char *address);

    /* Turns an address into at most `room` endpoints, best first. May block: called
     * on the resolver actor only. ADDRESS, UNREACHABLE (no such host). */
    weft_err (*resolve)(wf_net *net, const char *address, wf_endpoint *out, size_t room,
                        size_t *count);

    /* Listens. *bound receives the real address as text (port 0 replaced). ADDRESS,
     * EXISTS (address in use), NETWORK; AGAIN: the host is a name, and nothing is looked
     * up here: ask listen_name for the address first. */
    weft_err (*listen)(wf_net *net, weft_self *self, const char *address, wf_net_ready ready,
                       void *arg, wf_sock **out, char bound[WEFT_ADDRESS_BYTES_MAX]);
    /* The address, literal, of this machine that the name in `address` stands for. May block:
     * called on the resolver actor only. ADDRESS (malformed, or of another machine),
     * UNREACHABLE (no such host). Not called if listen never answers AGAIN. */
    weft_err (*listen_name)(wf_net *net, const char *address, char out[WEFT_ADDRESS_BYTES_MAX]);
    /* Takes the next connection from a listener; `from` is the other side's address as
     * text. AGAIN: none; LIMIT: no descriptors left (the listener stays usable); NETWORK. */
    weft_err (*accept)(wf_net *net, weft_self *self, wf_sock *listener, wf_net_ready ready,
                       void *arg, wf_sock **out, char from[WEFT_ADDRESS_BYTES_MAX]);
    /* Begins a connection; WRITE readiness ends the wait and connected() tells how. */
    weft_err (*dial)(wf_net *net, weft_self *self, const wf_endpoint *to, wf_net_ready ready,
                     void *arg, wf_sock **out);
    weft_err (*connected)(wf_net *net, wf_sock *sock); /* OK, AGAIN, UNREACHABLE, NETWORK */

    /* Moves what fits. OK with *moved > 0; AGAIN: nothing now; receive: END after an
     * orderly end, NETWORK after a reset. A short send is normal. */
    weft_err (*send)(wf_net *net, wf_sock *sock, const void *data, size_t len, size_t *moved);
    weft_err (*receive)(wf_net *net, wf_sock *sock, void *data, size_t room, size_t *moved);

    /* What ready() is wanted for from now on (level-triggered). */
    weft_err (*interest)(wf_net *net, weft_self *self, wf_sock *sock, uint32_t events);

    /* Ends and frees a socket or listener of any state; what was sent is still
     * delivered if the network can. ready() does not run for it any more. */
    void (*close)(wf_net *net, weft_self *self, wf_sock *sock);

    void (*destroy)(wf_net *net); /* after all its sockets were closed */
};
struct wf_net {
    const struct wf_net_ops *ops; /* the binding's own struct begins with this */
};

/* -- TCP: IPv4, IPv6, host names; TCP_NODELAY; CLOEXEC; port 0; SO_REUSEADDR for
 * listeners so that a restart gets its port back. */
weft_err wf_net_tcp_create(wf_net **out);

/* -- In memory. Nets made from one hub reach each other by name ("a:1"). Thread-safe:
 * each net is driven by its own transport's actor. */
typedef struct wf_net_hub wf_net_hub;
weft_err wf_net_hub_create(wf_net_hub **out);
/* After its nets and the actors that owned them; its simulator steps no more. */
void wf_net_hub_destroy(wf_net_hub *hub);
weft_err wf_net_mem_create(wf_net_hub *hub, weft_rt *rt, const char *host, wf_net **out);

/* Faults, in the simulator only. Rates are parts per million per segment. A stream
 * that loses, repeats, swaps or flips a segment is a broken network: the secure
 * channel must notice. `reset` breaks a connection as TCP would. */
typedef struct wf_net_faults {
    weft_ns delay_min, delay_max;
    uint32_t drop_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm, reset_ppm, dial_fail_ppm;
    size_t segment_max; /* largest piece delivered at once; 0: any */
} wf_net_faults;
void wf_net_hub_faults(wf_net_hub *hub, const wf_net_faults *faults);
/* Cuts or heals the pair of hosts, both directions: bytes are held back, dials fail. */
void wf_net_hub_partition(wf_net_hub *hub, const char *host_a, const char *host_b, bool cut);
/* Breaks all connections of a host, as when its process dies. */
void wf_net_hub_kill(wf_net_hub *hub, const char *host);
/* Every plaintext-free byte on the wire passes here (tests look for secrets). */
void wf_net_hub_tap(wf_net_hub *hub, void (*fn)(void *arg, const uint8_t *data, size_t len),
                    void *arg);

/* The owner of an in-memory net hands each message to this first. True: it was the net's
 * call for attention, and ready() has run for what is ready; the message is done with. */
bool wf_net_wake(weft_self *self, void *state, weft_msg *msg);

#endif
