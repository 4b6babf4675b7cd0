/* SPDX-License-Identifier: Apache-2.0
 * net_tcp.h - what a network that is made of TCP but has something else speak on it first needs of it:
 * connections that change hands, and where a listener is reached.
 * Called by: src/http, net_tcp.c, routes.c. */
#ifndef WF_NET_TCP_H
#define WF_NET_TCP_H

#include "net.h"

/* Lets go of an accepted or connected socket: it is freed and *out is the caller's descriptor.
 * ready() does not run for it any more. */
void wf_net_tcp_take_fd(wf_net *net, weft_self *self, wf_sock *sock, int *out);
/* Takes a connected descriptor on OK. NO_MEMORY. */
weft_err wf_net_tcp_from_fd(wf_net *net, int fd, wf_net_ready ready, void *arg, wf_sock **out);
/* Reads and forgets what has come, within reason, so that closing does not reset the other side. */
void wf_net_tcp_drain(wf_net *net, wf_sock *sock);
/* As the table has it (weft/net.h). */
weft_err wf_net_tcp_reach(wf_net *net, const char *bound, bool all,
                          char (*out)[WEFT_ADDRESS_BYTES_MAX], size_t room, size_t *count);
/* Is it bound on all interfaces, so that its address is none that anybody could dial? */
bool wf_net_tcp_is_wildcard(const char *bound);
/* Ends both directions of a connection that somebody else holds: he finds its end there. */
void wf_net_tcp_hang_up(int fd);

#endif
