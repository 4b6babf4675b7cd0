/* SPDX-License-Identifier: Apache-2.0
 * unix_nodes.c - two nodes over a network of one's own (unix_net.c).
 * Called by: you, and meson test. May touch: memory and sockets of this machine.
 * Never: more than weft's public headers.
 *
 *     cc unix_nodes.c unix_net.c $(pkg-config --cflags --libs --static weft) -o unix_nodes */
#include <stdio.h>
#include <stdlib.h>

#include <weft/node.h>

#include "unix_net.h"

#define TIMEOUT (10 * WEFT_SEC)

static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* The network is the node's from then on, whatever comes of it. */
static void add_unix(weft_node *node, const char *listen)
{
    weft_net *net;
    check(unix_net_create(&net), "create a network");
    check(weft_add_transport_net(node, "local", net, listen, TIMEOUT), "add a transport");
}

int main(void)
{
    weft_node *here, *there;
    weft_key key_there, proven;
    char address[WEFT_ADDRESS_BYTES_MAX];
    check(weft_node_open(NULL, &here), "open here");
    check(weft_node_open(NULL, &there), "open there");
    add_unix(here, NULL); /* it only dials */
    add_unix(there, "unix:example:0");
    check(weft_start_server(there, "local", TIMEOUT), "listen");
    check(weft_server_address(there, "local", TIMEOUT, address), "address");

    /* Who answers is proven by keys, as over any other network. */
    weft_node_key(there, &key_there);
    check(weft_connect(here, address, &key_there, TIMEOUT, &proven), "connect");
    printf("connected to %s\n", address);
    weft_node_close(here);
    weft_node_close(there);
    return 0;
}
