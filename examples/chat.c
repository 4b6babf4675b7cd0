/* SPDX-License-Identifier: Apache-2.0
 * chat.c - a room for people: a tree that everybody may write, a ticket to get in, and a program that
 * serves it until it is told to end, and then ends in order.
 * Called by: you, and meson test (chat.py). May touch: the folder that it is given, the network.
 * Never: more than weft's public headers.
 *
 *     cc chat.c $(pkg-config --cflags --libs --static weft) -o chat
 *     ./chat here tcp:127.0.0.1:0              # prints the ticket of a new room
 *     ./chat there tcp:127.0.0.1:0 'weft:...'  # enters it
 *
 * What you write is a commit, durable before it is shown to anybody, and pushed to who is connected at
 * once; who is away gets it later. The end of the input, SIGINT and SIGTERM end the program: it waits
 * up to ten seconds for the others to have everything. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <weft/feed.h>
#include <weft/ticket.h>

#define TIMEOUT (30 * WEFT_SEC)
#define ROOM "chat"

/* Every call says what went wrong. An example may just give up. */
static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* -- The room ------------------------------------------------------------------------------ */

/* The one that is here, the one of the ticket, or a new one. */
static weft_id enter(weft_node *node, const weft_keypair *self, const char *text)
{
    const weft_root_spec everybody = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 1};
    weft_ticket ticket;
    weft_id tree;
    size_t count = 1;
    if (text != NULL) {
        check(weft_ticket_parse(text, &ticket), "read the ticket");
        check(weft_sync_with_ticket(node, &ticket, TIMEOUT, NULL), "follow the ticket");
        return ticket.tree;
    }
    check(weft_tree_list(node, &tree, &count), "look for the room");
    if (count == 0) check(weft_tree_create(node, self, &everybody, TIMEOUT, &tree), "make a room");
    return tree;
}

static void print_ticket(weft_node *node, const weft_id *tree)
{
    static char text[WEFT_TICKET_BYTES_MAX];
    size_t len = sizeof text;
    weft_ticket ticket;
    check(weft_share(node, tree, NULL, TIMEOUT, &ticket), "share");
    check(weft_ticket_write(&ticket, text, &len), "write the ticket");
    printf("%s\n", text);
}

/* -- Hearing ------------------------------------------------------------------------------- */

/* An author is called by the first digits of its key. Payloads come from others: what is no text
 * is not printed as it is. */
static void print_entry(const weft_entry *entry)
{
    for (uint32_t i = 0; i < entry->stores_count; i++) {
        const weft_entry_store *store = &entry->stores[i];
        if (store->name_len != strlen(ROOM) || memcmp(store->name, ROOM, store->name_len) != 0)
            continue;
        printf("%02x%02x: ", entry->author.bytes[0], entry->author.bytes[1]);
        for (size_t at = 0; at < store->payload_len; at++) {
            unsigned char c = store->payload[at];
            putchar(c < ' ' || c == 0x7f ? '?' : c);
        }
        putchar('\n');
    }
    fflush(stdout);
}

/* A thread of its own, so that it may wait: what is written comes here once it is durable, each line
 * once. */
static void *hear(void *arg)
{
    weft_feed *feed = arg;
    weft_feed_event event;
    weft_entry *entry = malloc(sizeof *entry);
    weft_err err = entry == NULL ? WEFT_NO_MEMORY : WEFT_OK;
    while (err == WEFT_OK || err == WEFT_AGAIN) {
        err = weft_feed_next(feed, WEFT_NEVER, &event);
        if (err == WEFT_OK && event.entry != NULL &&
            weft_entry_decode(weft_buf_bytes(event.entry), weft_buf_len(event.entry), entry) ==
                WEFT_OK)
            print_entry(entry);
    }
    free(entry);
    return NULL;
}

/* -- Saying -------------------------------------------------------------------------------- */

/* Commits the lines that have ended, and keeps the rest. False: this is the last input. */
static bool say(weft_writer *writer, char *line, size_t room, size_t *len)
{
    ssize_t got = read(STDIN_FILENO, line + *len, room - *len);
    if (got <= 0) return false;
    *len += (size_t)got;
    for (char *end; (end = memchr(line, '\n', *len)) != NULL || *len == room;) {
        size_t take = end == NULL ? *len : (size_t)(end - line);
        if (take > 0) check(weft_commit(writer, ROOM, line, take, TIMEOUT, NULL), "commit");
        size_t skip = end == NULL ? take : take + 1;
        *len -= skip;
        memmove(line, line + skip, *len);
    }
    return true;
}

static void talk(weft_writer *writer, int signals)
{
    char line[4096];
    size_t len = 0;
    struct pollfd fds[] = {{signals, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 || fds[0].revents != 0) return;
        if (fds[1].revents != 0 && !say(writer, line, sizeof line, &len)) return;
    }
}

/* -- The whole ----------------------------------------------------------------------------- */

/* What was not heard by somebody goes to him when he is there again: nothing is lost by this. */
static void flush(weft_node *node)
{
    weft_result result = {0};
    weft_err err = weft_flush(node, 10 * WEFT_SEC, &result);
    if (err == WEFT_OK) printf("everybody has everything\n");
    else if (err == WEFT_NETWORK)
        printf("%lu will hear the rest later\n",
               (unsigned long)(result.retry_failures + result.new_failures));
    else printf("flush: %s\n", weft_strerror(err));
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: chat FOLDER tcp:HOST:PORT [TICKET]\n");
        return 2;
    }
    /* Before any thread is: so the signals come to the descriptor, and to nobody else. */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    if (signals < 0) return 1;

    char path[4096];
    weft_node *node;
    weft_keypair *self;
    weft_writer *writer;
    weft_feed *feed;
    pthread_t ear;
    const weft_node_options options = {.dir = argv[1]};
    check(weft_node_open(&options, &node), "open");
    snprintf(path, sizeof path, "%s/device.key", argv[1]);
    check(weft_keypair_load(path, &self), "read the key");
    check(weft_add_transport(node, "main", argv[2], TIMEOUT), "add a transport");
    check(weft_start_server(node, "main", TIMEOUT), "listen");
    weft_id tree = enter(node, self, argc > 3 ? argv[3] : NULL);
    check(weft_feed_open(node, &tree, NULL, &feed), "open a feed");
    check(weft_writer_open(node, &tree, self, &writer), "open a writer");
    print_ticket(node, &tree);
    fflush(stdout);
    if (pthread_create(&ear, NULL, hear, feed) != 0) return 1;

    talk(writer, signals);

    flush(node);
    weft_writer_close(writer);
    check(weft_shutdown(node, TIMEOUT), "shut down");
    pthread_join(ear, NULL); /* the feed has ended with the node */
    check(weft_feed_close(feed), "close the feed");
    weft_node_close(node);
    weft_keypair_destroy(self);
    close(signals);
    return 0;
}
