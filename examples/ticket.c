/* SPDX-License-Identifier: Apache-2.0
 * ticket.c - share a tree as one line of text, follow it elsewhere, and keep it from there.
 * Called by: you, and meson test. May touch: memory and the loopback interface.
 * Never: more than weft's public headers.
 *
 *     cc ticket.c $(pkg-config --cflags --libs --static weft) -o ticket */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/ticket.h>

#define TIMEOUT (10 * WEFT_SEC)

/* Every call says what went wrong. An example may just give up. */
static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* A node in memory that listens on a free port. */
static weft_node *open_node(void)
{
    weft_node *node;
    check(weft_node_open(NULL, &node), "open");
    check(weft_add_transport(node, "main", "tcp:127.0.0.1:0", TIMEOUT), "add a transport");
    check(weft_start_server(node, "main", TIMEOUT), "listen");
    return node;
}

/* A tree that everybody may read, with one greeting in it; its ticket as text. */
static weft_id share(weft_node *node, char *text, size_t len)
{
    weft_keypair *author;
    weft_writer *writer;
    weft_root_spec root = {.everyone = WEFT_RIGHT_READ};
    weft_ticket ticket;
    weft_id tree;
    check(weft_keypair_create(&author), "key pair");
    check(weft_tree_create(node, author, &root, TIMEOUT, &tree), "create the tree");
    check(weft_writer_open(node, &tree, author, &writer), "open a writer");
    check(weft_commit(writer, "greetings", "Hello.", 6, TIMEOUT, NULL), "commit");
    check(weft_share(node, &tree, NULL, TIMEOUT, &ticket), "share");
    check(weft_ticket_write(&ticket, text, &len), "write the ticket");
    weft_writer_close(writer);
    weft_keypair_destroy(author);
    return tree;
}

static uint64_t entries(weft_node *node, const weft_id *tree)
{
    weft_tree_info info;
    check(weft_tree_info_get(node, tree, &info), "look at the tree");
    return info.entries;
}

int main(void)
{
    static char text[WEFT_TICKET_BYTES_MAX];
    weft_node *host = open_node(), *guest = open_node(), *mirror = open_node();
    weft_id tree = share(host, text, sizeof text);
    puts(text);

    /* The guest has nothing but the text. A dead address in it costs no time: all are tried at
     * once, and whoever answers has to prove the key that the ticket names. */
    weft_ticket ticket;
    weft_result moved;
    check(weft_ticket_parse(text, &ticket), "read the ticket");
    strcpy(ticket.hints[ticket.hints_count++], "tcp:127.0.0.1:1");
    check(weft_sync_with_ticket(guest, &ticket, TIMEOUT, &moved), "follow the ticket");
    printf("guest: %lu entries by %s\n", (unsigned long)moved.received, moved.text);

    /* A program that is to keep the tree says so once, and waits or goes on. */
    const char *address = moved.text;
    weft_sync_peer_spec spec = {
        .peer = ticket.server, .tree = tree, .addresses = &address, .addresses_count = 1};
    weft_sync_peer *kept;
    weft_sync_status status;
    check(weft_sync_peer_open(mirror, &spec, TIMEOUT, &kept), "keep the tree");
    check(weft_sync_peer_wait(kept, TIMEOUT), "wait for the first sync");
    check(weft_sync_peer_status(kept, TIMEOUT, &status), "status");
    printf("mirror: %s\n", status.has_local_data ? "it is here" : "nothing is here");
    int wrong = entries(guest, &tree) != 2 || entries(mirror, &tree) != 2;

    weft_sync_peer_close(kept);
    weft_node_close(mirror);
    weft_node_close(guest);
    weft_node_close(host);
    return wrong;
}
