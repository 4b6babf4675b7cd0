/* SPDX-License-Identifier: Apache-2.0
 * net_tcp.h - connections of TCP that change hands: for a network that is made of TCP but has
 * something else speak on it first. Called by: src/http. Never: the transport's own rooms. */
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
/* Ends both directions of a connection that somebody else holds: he finds its end there. */
void wf_net_tcp_hang_up(int fd);

#endif
