/* SPDX-License-Identifier: Apache-2.0
 * two_nodes.c - commit here, read there: two nodes that keep one tree, over TCP.
 * Called by: you, and meson test. May touch: memory and the loopback interface.
 * Never: more than weft's public headers.
 *
 *     cc two_nodes.c $(pkg-config --cflags --libs --static weft) -o two_nodes */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/node.h>

#define TIMEOUT (10 * WEFT_SEC)

/* Every call says what went wrong. An example may just give up. */
static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* A node without a directory keeps everything in memory. Port 0: any that is free. */
static weft_node *open_node(char address[WEFT_ADDRESS_BYTES_MAX])
{
    weft_node *node;
    check(weft_node_open(NULL, &node), "open");
    check(weft_add_transport(node, "main", "tcp:127.0.0.1:0", TIMEOUT), "add a transport");
    check(weft_start_server(node, "main", TIMEOUT), "listen");
    check(weft_server_address(node, "main", TIMEOUT, address), "address");
    return node;
}

int main(void)
{
    char address_here[WEFT_ADDRESS_BYTES_MAX], address_there[WEFT_ADDRESS_BYTES_MAX];
    weft_node *here = open_node(address_here), *there = open_node(address_there);
    weft_key key_here, key_there;
    weft_node_key(here, &key_here);
    weft_node_key(there, &key_there);

    /* A tree belongs to its author. Each node says which peers may read it there. */
    weft_keypair *author;
    weft_root_spec root = {.everyone = WEFT_RIGHT_READ, .everyone_priority = 10};
    weft_id tree;
    check(weft_keypair_create(&author), "key pair");
    check(weft_tree_create(here, author, &root, TIMEOUT, &tree), "create the tree");
    check(weft_tree_follow(here, &tree, &key_there, 1, TIMEOUT), "follow here");
    check(weft_tree_follow(there, &tree, &key_here, 1, TIMEOUT), "follow there");

    /* Committed means durable at home (on a disk, if the node has one). */
    static const char text[] = "Hello from here.";
    weft_writer *writer;
    weft_id id;
    check(weft_writer_open(here, &tree, author, &writer), "open a writer");
    check(weft_commit(writer, "greetings", text, strlen(text), TIMEOUT, &id), "commit");
    weft_writer_close(writer);

    /* Once connected, the two stay in sync by themselves; sync_tree waits until they are. */
    weft_key proven;
    weft_result moved;
    check(weft_connect(here, address_there, &key_there, TIMEOUT, &proven), "connect");
    check(weft_peer_relate(here, &key_there, &tree, TIMEOUT), "relate");
    check(weft_sync_tree(here, &key_there, &tree, TIMEOUT, &moved), "sync");

    weft_buf *bytes;
    weft_entry entry;
    char name[WEFT_ID_TEXT_BYTES];
    check(weft_get(there, &id, &bytes), "get");
    check(weft_entry_decode(weft_buf_bytes(bytes), weft_buf_len(bytes), &entry), "decode");
    check(weft_entry_verify(&entry), "verify");
    weft_id_text(&entry.id, name);
    printf("there: %.*s (%s)\n", (int)entry.stores[0].payload_len,
           (const char *)entry.stores[0].payload, name);
    int wrong = entry.stores[0].payload_len != strlen(text) ||
                memcmp(entry.stores[0].payload, text, strlen(text)) != 0;

    weft_buf_unref(bytes);
    weft_keypair_destroy(author);
    weft_node_close(here);
    weft_node_close(there);
    return wrong;
}
