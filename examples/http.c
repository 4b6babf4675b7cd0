/* SPDX-License-Identifier: Apache-2.0
 * http.c - two nodes that keep one tree where nothing but HTTP passes.
 * Called by: you, and meson test. May touch: memory and the loopback interface.
 * Never: more than weft's public headers.
 *
 *     cc http.c $(pkg-config --cflags --libs --static weft-http) -o http */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/http.h>
#include <weft/node.h>

#define TIMEOUT (10 * WEFT_SEC)

/* Every call says what went wrong. An example may just give up. */
static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* Behind a reverse proxy it would listen where the proxy passes requests on to, and name the proxy
 * in the options, so that bounds count by who is behind it. Here nothing stands between. */
static void listen_http(weft_node *node, char address[WEFT_ADDRESS_BYTES_MAX])
{
    static const char *const proxies[] = {"127.0.0.1", "::1"};
    weft_http_options options = {.proxies = proxies, .proxies_count = 2};
    check(weft_add_transport_http(node, "web", "http:127.0.0.1:0/notes", &options, TIMEOUT),
          "add a transport");
    check(weft_start_server(node, "web", TIMEOUT), "listen");
    check(weft_server_address(node, "web", TIMEOUT, address), "address");
}

/* A tree with one greeting in it; the other node's key is on the list of its readers. */
static weft_id greet(weft_node *node, const weft_key *reader, weft_id *greeting)
{
    weft_keypair *author;
    weft_writer *writer;
    weft_id tree;
    check(weft_keypair_create(&author), "key pair");
    check(weft_tree_create(node, author, &(weft_root_spec){0}, TIMEOUT, &tree), "create the tree");
    check(weft_tree_follow(node, &tree, reader, 1, TIMEOUT), "let the other one read it");
    check(weft_writer_open(node, &tree, author, &writer), "open a writer");
    check(weft_commit(writer, "greetings", "Hello.", 6, TIMEOUT, greeting), "commit");
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    return tree;
}

int main(void)
{
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_node *host, *guest;
    weft_key key_host, key_guest, proven;
    weft_id greeting;
    weft_result moved;
    weft_buf *bytes;
    check(weft_node_open(NULL, &host), "open the host");
    check(weft_node_open(NULL, &guest), "open the guest");
    weft_node_key(host, &key_host);
    weft_node_key(guest, &key_guest);
    listen_http(host, address);
    weft_id tree = greet(host, &key_guest, &greeting);

    /* The guest only dials: it needs the transport, and nothing that listens. */
    check(weft_add_transport_http(guest, "web", NULL, NULL, TIMEOUT), "add a transport");
    check(weft_tree_follow(guest, &tree, &key_host, 1, TIMEOUT), "follow");
    check(weft_connect(guest, address, &key_host, TIMEOUT, &proven), "connect");
    check(weft_peer_relate(guest, &key_host, &tree, TIMEOUT), "relate");
    check(weft_sync_tree(guest, &key_host, &tree, TIMEOUT, &moved), "sync");
    check(weft_get(guest, &greeting, &bytes), "get");
    printf("%zu bytes of entry by %s\n", weft_buf_len(bytes), address);
    int wrong = strncmp(address, "http:127.0.0.1:", 15) != 0;

    weft_buf_unref(bytes);
    weft_node_close(guest);
    weft_node_close(host);
    return wrong;
}
