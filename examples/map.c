/* SPDX-License-Identifier: Apache-2.0
 * map.c - two nodes edit one map apart, and merge it when they meet.
 * Called by: you, and meson test. May touch: memory and the loopback interface.
 * Never: more than weft's public headers.
 *
 *     cc map.c $(pkg-config --cflags --libs --static weft) -o map */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/map.h>

#define TIMEOUT (10 * WEFT_SEC)

static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

struct side {
    const char *name;
    weft_node *node;
    weft_key key;
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_keypair *author;
    weft_writer *writer;
    weft_map *map;
};

static void open_side(struct side *s, const char *name)
{
    s->name = name;
    check(weft_keypair_create(&s->author), "key pair");
    check(weft_node_open(NULL, &s->node), "open");
    weft_node_key(s->node, &s->key);
    check(weft_add_transport(s->node, "main", "tcp:127.0.0.1:0", TIMEOUT), "add a transport");
    check(weft_start_server(s->node, "main", TIMEOUT), "listen");
    check(weft_server_address(s->node, "main", TIMEOUT, s->address), "address");
}

static void close_side(struct side *s)
{
    weft_map_close(s->map);
    weft_writer_close(s->writer);
    weft_node_close(s->node);
    weft_keypair_destroy(s->author);
}

/* One edit is one entry: all of it is there, or nothing. */
static void edit(struct side *s, const char *item, uint64_t count, const char *note)
{
    weft_map_edit *edit;
    check(weft_map_edit_create(&edit), "edit");
    check(weft_map_edit_set(edit, WEFT_MAP_PATH("shopping", item, "count"), weft_map_uint(count)),
          "set");
    check(weft_map_edit_set(edit, WEFT_MAP_PATH("shopping", item, "note"), weft_map_text(note)),
          "set");
    check(weft_map_commit(s->writer, "list", edit, TIMEOUT, NULL), "commit");
    weft_map_edit_destroy(edit);
}

static void take_off(struct side *s, const char *item)
{
    weft_map_edit *edit;
    check(weft_map_edit_create(&edit), "edit");
    check(weft_map_edit_delete(edit, WEFT_MAP_PATH("shopping", item)), "delete");
    check(weft_map_commit(s->writer, "list", edit, TIMEOUT, NULL), "commit");
    weft_map_edit_destroy(edit);
}

static weft_err print_leaf(void *arg, const weft_map_item *item)
{
    int64_t number;
    (void)arg;
    printf("  ");
    for (uint32_t i = 0; i < item->path.depth; i++)
        printf("/%.*s", (int)item->path.part[i].len, item->path.part[i].text);
    if (weft_map_as_int(&item->value, &number)) printf(" = %lld\n", (long long)number);
    else
        printf(" = %.*s\n", (int)item->value.as.bytes.len, (const char *)item->value.as.bytes.data);
    return WEFT_OK;
}

static void show(struct side *s)
{
    uint64_t read;
    check(weft_map_refresh(s->map, &read), "refresh");
    printf("%s (%llu entries read):\n", s->name, (unsigned long long)read);
    check(weft_map_each(s->map, NULL, print_leaf, NULL), "each");
}

static uint64_t count_of(struct side *s, const char *item)
{
    weft_map_value value;
    check(weft_map_get(s->map, WEFT_MAP_PATH("shopping", item, "count"), &value), "get");
    return value.as.uint;
}

static void sync(struct side *from, struct side *to, const weft_id *tree)
{
    weft_key proven;
    weft_result moved;
    check(weft_connect(from->node, to->address, &to->key, TIMEOUT, &proven), "connect");
    check(weft_peer_relate(from->node, &to->key, tree, TIMEOUT), "relate");
    check(weft_sync_tree(from->node, &to->key, tree, TIMEOUT, &moved), "sync");
}

int main(void)
{
    struct side ada = {0}, bob = {0};
    open_side(&ada, "ada");
    open_side(&bob, "bob");

    /* A tree that everybody may write, and that each lets the other read. */
    const weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    weft_id tree;
    weft_buf *first;
    check(weft_tree_create(ada.node, ada.author, &root, TIMEOUT, &tree), "create the tree");
    check(weft_tree_follow(ada.node, &tree, &bob.key, 1, TIMEOUT), "follow");
    check(weft_tree_follow(bob.node, &tree, &ada.key, 1, TIMEOUT), "follow");
    check(weft_get(ada.node, &tree, &first), "get the root");
    check(weft_add(bob.node, &first, 1, false, TIMEOUT, NULL), "add the root");
    weft_buf_unref(first);
    check(weft_writer_open(ada.node, &tree, ada.author, &ada.writer), "open a writer");
    check(weft_writer_open(bob.node, &tree, bob.author, &bob.writer), "open a writer");
    check(weft_map_open(ada.node, &tree, "list", &ada.map), "open the map");
    check(weft_map_open(bob.node, &tree, "list", &bob.map), "open the map");

    /* Nobody created the map, and they are not connected: both begin it. */
    edit(&ada, "apples", 3, "red ones");
    edit(&ada, "milk", 1, "for the cat");
    edit(&bob, "bread", 1, "dark");
    edit(&bob, "milk", 2, "for us");
    show(&ada);
    show(&bob);

    sync(&ada, &bob, &tree);
    printf("they meet\n");
    show(&ada);
    show(&bob);
    int wrong = count_of(&ada, "milk") != count_of(&bob, "milk") || count_of(&ada, "bread") != 1 ||
                count_of(&bob, "apples") != 3;

    /* Who has seen the others' edits wins over them. */
    take_off(&bob, "apples");
    edit(&bob, "milk", 5, "for all");
    sync(&ada, &bob, &tree);
    printf("bob changed his mind\n");
    show(&ada);
    weft_map_value value;
    wrong |= count_of(&ada, "milk") != 5;
    wrong |= weft_map_get(ada.map, WEFT_MAP_PATH("shopping", "apples", "count"), &value) !=
             WEFT_NOT_FOUND;

    close_side(&ada);
    close_side(&bob);
    return wrong;
}
