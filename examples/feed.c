/* SPDX-License-Identifier: Apache-2.0
 * feed.c - hear of every change of a tree once, also of those that came while you were away.
 * Called by: you, and meson test. May touch: memory.
 * Never: more than weft's public headers.
 *
 *     cc feed.c $(pkg-config --cflags --libs --static weft) -o feed */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/feed.h>

#define TIMEOUT (10 * WEFT_SEC)

static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

static void commit(weft_writer *writer, const char *text)
{
    check(weft_commit(writer, "notes", text, strlen(text), TIMEOUT, NULL), "commit");
}

/* Reads until nothing is left and returns how many events there were. A program would write
 * the cursor down beside what it made of them: opened with it, the next feed goes on there. */
static int catch_up(weft_node *node, const weft_id *tree, weft_cursor *cursor, bool first)
{
    weft_feed *feed;
    weft_feed_event event;
    weft_feed_options options = {
        .after = first ? NULL : cursor, .from_start = first, .store = "notes"};
    int count = 0;
    weft_err err;
    check(weft_feed_open(node, tree, &options, &feed), "open the feed");
    while ((err = weft_feed_next(feed, 0, &event)) == WEFT_OK || err == WEFT_AGAIN) {
        if (err == WEFT_AGAIN) continue; /* it passes over what is in other stores */
        printf("arrival %llu: %zu bytes, %s\n", (unsigned long long)event.seq,
               weft_buf_len(event.entry), event.local ? "from here" : "from a peer");
        count++;
    }
    if (err != WEFT_TIMED_OUT) check(err, "read the feed");
    weft_feed_cursor(feed, cursor);
    check(weft_feed_close(feed), "close the feed");
    return count;
}

int main(void)
{
    weft_node *node;
    weft_keypair *author;
    weft_writer *writer;
    weft_root_spec root = {.everyone = WEFT_RIGHT_READ, .everyone_priority = 10};
    weft_id tree;
    weft_cursor cursor;
    check(weft_node_open(NULL, &node), "open");
    check(weft_keypair_create(&author), "key pair");
    check(weft_tree_create(node, author, &root, TIMEOUT, &tree), "create the tree");
    check(weft_writer_open(node, &tree, author, &writer), "open a writer");

    commit(writer, "one");
    commit(writer, "two");
    int before = catch_up(node, &tree, &cursor, true);
    commit(writer, "three"); /* nobody listens now */
    int after = catch_up(node, &tree, &cursor, false);
    printf("%d, then %d\n", before, after);

    weft_writer_close(writer);
    weft_node_close(node);
    weft_keypair_destroy(author);
    return before == 2 && after == 1 ? 0 : 1;
}
