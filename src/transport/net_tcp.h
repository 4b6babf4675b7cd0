/* SPDX-License-Identifier: Apache-2.0
 * net_tcp.h - what a network that is made of TCP but has something else speak on it first needs of it:
 * connections that change hands, and where a listener is reached.
 * Called by: src/http, net_tcp.c, routes.c. */
#ifndef WF_NET_TCP_H
#define WF_NET_TCP_H

#include "net.h"

struct ifaddrs;
struct wf_net_tcp {
    wf_net net;
    char interfaces[WEFT_INTERFACES_BYTES_MAX + 1]; /* weft_node_options.interfaces */
};

/* Lets go of an accepted or connected socket: it is freed and *out is the caller's descriptor.
 * ready() does not run for it any more. */
void wf_net_tcp_take_fd(wf_net *net, weft_self *self, wf_sock *sock, int *out);
/* Takes a connected descriptor on OK. NO_MEMORY. */
weft_err wf_net_tcp_from_fd(wf_net *net, int fd, wf_net_ready ready, void *arg, wf_sock **out);
/* Reads and forgets what has come, within reason, so that closing does not reset the other side. */
void wf_net_tcp_drain(wf_net *net, wf_sock *sock);
/* As the table has them (weft/net.h). */
void wf_net_tcp_interfaces(wf_net *net, const char *interfaces);
weft_err wf_net_tcp_reach(wf_net *net, const char *bound, bool all,
                          char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room, size_t *count);
/* The same of these interfaces; how many. */
size_t wf_net_tcp_reach_of(const struct ifaddrs *list, const char *interfaces, const char *bound,
                           char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room);
/* Has it the form that weft_node_options says? */
bool wf_net_tcp_interfaces_fit(const char *interfaces);
/* Is it bound on all interfaces, so that its address is none that anybody could dial? */
bool wf_net_tcp_is_wildcard(const char *bound);
/* Ends both directions of a connection that somebody else holds: he finds its end there. */
void wf_net_tcp_hang_up(int fd);

#endif
