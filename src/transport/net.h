/* SPDX-License-Identifier: Apache-2.0
 * net.h - a network: one of the three tables behind which everything that blocks
 * is kept. weft/net.h is its specification, since users write networks too;
 * test/transport/test_net.c is the conformance suite that every binding passes
 * (net_tcp.c: sockets; net_mem.c: in-process pipes, in the simulator with faults).
 * The actor that owns sockets is the transport manager. */
#ifndef WF_NET_H
#define WF_NET_H

#include <weft/net.h>
#include <weft/testing.h>

/* The public names are the specification; these are the same things as rooms call them. */
typedef weft_net wf_net;
typedef weft_sock wf_sock;
typedef weft_endpoint wf_endpoint;
typedef weft_net_ready wf_net_ready;
#define WF_NET_READ WEFT_NET_READ
#define WF_NET_WRITE WEFT_NET_WRITE

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

/* weft/testing.h has what they mean. */
typedef weft_net_faults wf_net_faults;
void wf_net_hub_faults(wf_net_hub *hub, const wf_net_faults *faults);
/* Cuts or heals the pair of hosts, both directions: bytes are held back (in the simulator), dials
 * fail. NO_MEMORY: nothing was cut. */
weft_err wf_net_hub_partition(wf_net_hub *hub, const char *host_a, const char *host_b, bool cut);
/* Breaks all connections of a host, as when its process dies. */
void wf_net_hub_kill(wf_net_hub *hub, const char *host);
/* Every plaintext-free byte on the wire passes here (tests look for secrets). */
void wf_net_hub_tap(wf_net_hub *hub, void (*fn)(void *arg, const uint8_t *data, size_t len),
                    void *arg);

/* The owner of an in-memory net hands each message to this first. True: it was the net's
 * call for attention, and ready() has run for what is ready; the message is done with. */
bool wf_net_wake(weft_self *self, void *state, weft_msg *msg);

#endif
