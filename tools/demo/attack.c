/* SPDX-License-Identifier: Apache-2.0
 * attack.c - a reader that turned bad, a stranger and a raw client try their luck.
 * Called by: script.c. May touch: three weft nodes in this process, raw sockets.
 * Never: believes an error code alone: the node's own counters and bytes must agree. */
#include <stdlib.h>
#include <string.h>

#include "demo.h"
#include "hostile.h"
#include "node.h"

#define TIMEOUT_NS (10 * WEFT_SEC)

static weft_node *mallory; /* its key is among the readers of the tree */

/* `listen` NULL: it only dials. */
static weft_err node_open(const char *listen, weft_node **out)
{
    weft_node_options options = {.name = "hostile"};
    weft_node *node;
    weft_err err = weft_node_open(&options, &node);
    if (err != WEFT_OK) return err;
    err = weft_add_transport(node, "main", listen, TIMEOUT_NS);
    if (err == WEFT_OK) err = weft_start_server(node, "main", TIMEOUT_NS);
    if (err == WEFT_OK) *out = node;
    else weft_node_close(node);
    return err;
}

int demo_attacker_open(struct demo *d, weft_key *out)
{
    weft_err err = node_open(NULL, &mallory);
    if (err == WEFT_OK) {
        weft_node_key(mallory, out);
        return EXIT_PASS;
    }
    snprintf(d->why, sizeof d->why, "the hostile node cannot be opened: %s", weft_strerror(err));
    return EXIT_HARNESS;
}

void demo_attacker_close(void)
{
    weft_node_close(mallory);
    mallory = NULL;
}

static void act(struct demo *d, bool refused, const char *what, const char *how)
{
    d->acts++;
    if (refused) d->refused++;
    demo_line(d, refused, "      %-44s %s%s%s", what, refused ? "refused" : "NOT REFUSED",
              refused ? ": " : "", refused ? how : "");
}

/* An entry of the tree, signed well, and then one bit of the signature flipped. */
static weft_err forge(struct demo *d, weft_buf **out)
{
    weft_keypair *author = NULL;
    weft_id id;
    weft_store_part part = {.name = NODE_LIVE_STORE, .payload = "forged", .payload_len = 6};
    weft_entry_spec spec = {.tree = d->cluster.tree,
                            .parents = &d->cluster.tree,
                            .parents_count = 1,
                            .height = 1,
                            .stores = &part,
                            .stores_count = 1};
    weft_err err = node_keypair(d->seed, NODE_KEY_AUTHOR, 0, &author);
    if (err == WEFT_OK) err = weft_entry_build(&spec, author, out, &id);
    weft_keypair_destroy(author);
    if (err == WEFT_OK) weft_buf_data(*out)[weft_buf_len(*out) - 1] ^= 1;
    return err;
}

static bool refused_more(struct cluster *c, void *arg)
{
    const uint64_t *before = arg;
    return c->members[2].now.stats.refused > before[0] || kit_now_ns() > before[1];
}

/* The reader sends the forgery to a node that lets it read the tree. */
static int attack_forgery(struct demo *d)
{
    const struct member *victim = &d->cluster.members[2];
    weft_key proven;
    weft_buf *forged = NULL;
    weft_result result;
    weft_err err = weft_tree_follow(mallory, &d->cluster.tree, &victim->key, 1, TIMEOUT_NS);
    if (err == WEFT_OK)
        err = weft_connect(mallory, victim->address, &victim->key, TIMEOUT_NS, &proven);
    if (err == WEFT_OK) err = forge(d, &forged);
    if (err != WEFT_OK) {
        snprintf(d->why, sizeof d->why, "the forgery cannot be prepared: %s", weft_strerror(err));
        return EXIT_HARNESS;
    }
    uint64_t wait[2] = {victim->now.stats.refused, kit_now_ns() + TIMEOUT_NS};
    uint64_t entries = victim->now.entries;
    err = weft_send_entries(mallory, &victim->key, &forged, 1, TIMEOUT_NS, &result);
    int code = cluster_wait(&d->cluster, refused_more, wait);
    weft_buf_unref(forged);
    act(d, err != WEFT_OK && victim->now.stats.refused > wait[0] && victim->now.entries == entries,
        "an entry with a forged signature, by a reader", weft_strerror(err));
    return code;
}

/* What the three nodes share everybody may write and so read: this one is nobody else's. */
static weft_err closed_tree(weft_node *keeper, uint64_t seed, weft_id *out)
{
    weft_keypair *author = NULL;
    weft_root_spec root = {.everyone = WEFT_RIGHT_NONE};
    weft_err err = node_keypair(seed, NODE_KEY_ROOT, 1, &author);
    if (err == WEFT_OK) err = weft_tree_create(keeper, author, &root, TIMEOUT_NS, out);
    weft_keypair_destroy(author);
    return err;
}

static weft_err ask_as_stranger(struct demo *d, weft_node *keeper, weft_node *stranger)
{
    weft_id tree;
    weft_key key, proven;
    weft_result result;
    char at[WEFT_ADDRESS_BYTES_MAX];
    weft_node_key(keeper, &key);
    weft_err err = closed_tree(keeper, d->seed, &tree);
    if (err == WEFT_OK) err = weft_server_address(keeper, "main", TIMEOUT_NS, at);
    if (err == WEFT_OK) err = weft_tree_follow(stranger, &tree, &key, 1, TIMEOUT_NS);
    if (err == WEFT_OK) err = weft_connect(stranger, at, &key, TIMEOUT_NS, &proven);
    if (err != WEFT_OK) return err;
    err = weft_sync_tree(stranger, &key, &tree, TIMEOUT_NS, &result);
    weft_tree_info info;
    weft_err look = weft_tree_info_get(stranger, &tree, &info);
    act(d, err == WEFT_TREE && (look != WEFT_OK || info.entries == 0),
        "a stranger asks a node for its closed tree", weft_strerror(err));
    return WEFT_OK;
}

static int attack_stranger(struct demo *d)
{
    weft_node *keeper = NULL, *stranger = NULL;
    weft_err err = node_open("tcp:127.0.0.1:0", &keeper);
    if (err == WEFT_OK) err = node_open(NULL, &stranger);
    if (err == WEFT_OK) err = ask_as_stranger(d, keeper, stranger);
    if (err != WEFT_OK)
        snprintf(d->why, sizeof d->why, "the stranger cannot ask: %s", weft_strerror(err));
    weft_node_close(stranger);
    weft_node_close(keeper);
    return err == WEFT_OK ? EXIT_PASS : EXIT_HARNESS;
}

/* The reader talks through a tap, which then sends one record twice, and later the
 * whole recorded conversation to a new connection. */
static int attack_replay(struct demo *d)
{
    const struct member *victim = &d->cluster.members[2];
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_key proven;
    weft_node *talker = NULL;
    struct tap *tap = tap_open(victim->address, address, sizeof address);
    weft_err err = tap == NULL ? WEFT_NETWORK : node_open(NULL, &talker);
    if (err == WEFT_OK) err = weft_connect(talker, address, &victim->key, TIMEOUT_NS, &proven);
    if (err != WEFT_OK) {
        snprintf(d->why, sizeof d->why, "the tap cannot be set: %s", weft_strerror(err));
        weft_node_close(talker);
        tap_close(tap);
        return EXIT_HARNESS;
    }
    const uint8_t *record;
    act(d, tap_repeat(tap), "a frame that is sent a second time", "the connection is closed");
    size_t len = tap_record(tap, &record);
    act(d, len > 0 && hostile_send(victim->address, record, len, NULL),
        "a whole recorded conversation, replayed", "the handshake does not repeat");
    weft_node_close(talker);
    tap_close(tap);
    return EXIT_PASS;
}

static void attack_raw(struct demo *d)
{
    const char *address = d->cluster.members[2].address;
    size_t len = 65536;
    uint8_t *bytes = kit_alloc(len, 1);
    struct kit_rng rng = kit_rng_for(d->seed, 'x', 0);
    kit_rng_fill(&rng, bytes, len);
    bytes[0] = bytes[1] = 0xff; /* a record of 65,535 bytes, where 32 are due */
    size_t answered = 0;
    bool ended = hostile_send(address, bytes, len, &answered);
    act(d, ended && answered == 0, "an oversized frame", "closed without an answer");
    static const char http[] = "GET / HTTP/1.1\r\nHost: weft\r\n\r\n";
    ended = hostile_send(address, http, sizeof http - 1, &answered);
    act(d, ended && answered == 0, "something that is no weft at all", "closed without an answer");
    free(bytes);
}

int demo_attack(struct demo *d)
{
    int code = attack_forgery(d);
    if (code == EXIT_PASS) code = attack_stranger(d);
    if (code == EXIT_PASS) code = attack_replay(d);
    if (code == EXIT_PASS) attack_raw(d);
    return code;
}
