/* SPDX-License-Identifier: Apache-2.0
 * unix_net.h - a network of one's own: the processes of one machine, over Unix sockets.
 * Called by: unix_nodes.c. May touch: nothing. Never: more than weft's public headers. */
#ifndef UNIX_NET_H
#define UNIX_NET_H

#include <weft/net.h>

/* Addresses are "name:number", number 0 for any that is free; the type is "unix". */
weft_err unix_net_create(weft_net **out);

#endif
