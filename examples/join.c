/* SPDX-License-Identifier: Apache-2.0
 * join.c - a guest asks to be let into a tree, and the host says yes: two nodes, over TCP.
 * Called by: you, and meson test. May touch: memory and the loopback interface.
 * Never: more than weft's public headers.
 *
 *     cc join.c $(pkg-config --cflags --libs --static weft) -o join */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/join.h>

#define TIMEOUT (10 * WEFT_SEC)

/* Every call says what went wrong. An example may just give up. */
static void check(weft_err err, weft_err expected, const char *what)
{
    printf("%-22s %s\n", what, weft_strerror(err));
    if (err == expected) return;
    exit(1);
}

/* A node without a directory keeps everything in memory. Port 0: any that is free. */
static weft_node *open_node(char address[WEFT_ADDRESS_BYTES_MAX])
{
    weft_node *node;
    if (weft_node_open(NULL, &node) != WEFT_OK ||
        weft_add_transport(node, "main", "tcp:127.0.0.1:0", TIMEOUT) != WEFT_OK ||
        weft_start_server(node, "main", TIMEOUT) != WEFT_OK ||
        weft_server_address(node, "main", TIMEOUT, address) != WEFT_OK)
        exit(1);
    return node;
}

int main(void)
{
    char at[WEFT_ADDRESS_BYTES_MAX], unused[WEFT_ADDRESS_BYTES_MAX];
    weft_node *host = open_node(at), *guest = open_node(unused);
    weft_key key;
    weft_node_key(host, &key);

    /* A tree that nobody but its author may read, but that may be asked for. */
    weft_keypair *author;
    weft_root_spec root = {.height = WEFT_HEIGHT_INCREMENTAL};
    weft_id tree;
    if (weft_keypair_create(&author) != WEFT_OK ||
        weft_tree_create(host, author, &root, TIMEOUT, &tree) != WEFT_OK)
        return 1;
    check(weft_join_mode_set(host, &tree, WEFT_JOIN_ASK, NULL, WEFT_RIGHT_NONE, 0, TIMEOUT),
          WEFT_OK, "host: may be asked");

    /* The guest knows the address, the host's key and the tree's id; it may have them by a letter. */
    weft_join_spec spec = {.tree = tree, .name = "guest", .right = WEFT_RIGHT_READ};
    weft_join_outcome outcome;
    check(weft_tree_join(guest, at, &key, &spec, TIMEOUT, &outcome), WEFT_AWAITING, "guest: asks");

    /* Somebody looks at who waits, and decides. */
    static weft_join_request waiting[WEFT_JOINS_MAX];
    size_t count = WEFT_JOINS_MAX;
    check(weft_join_list(host, WEFT_JOIN_PENDING, TIMEOUT, waiting, &count), WEFT_OK,
          "host: looks");
    if (count != 1) return 1;
    printf("%-22s %s from %s\n", "", waiting[0].name, waiting[0].from);
    check(weft_join_approve(host, waiting[0].id, author, TIMEOUT), WEFT_OK, "host: approves");

    /* The guest is told, and has the tree soon. It need not ask again; here it does, to be sure that
     * it is there: the request is not known any more once it has all that it was for. */
    weft_err err = weft_tree_join(guest, at, &key, &spec, TIMEOUT, &outcome);
    check(err, WEFT_OK, "guest: asks again");
    weft_tree_info info;
    check(weft_tree_info_get(guest, &tree, &info), WEFT_OK, "guest: has the tree");
    printf("%-22s %llu entries\n", "", (unsigned long long)info.entries);

    weft_keypair_destroy(author);
    weft_node_close(guest);
    weft_node_close(host);
    return info.entries == 2 ? 0 : 1;
}
