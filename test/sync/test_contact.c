/* SPDX-License-Identifier: Apache-2.0
 * test_contact.c - two nodes that had nothing to do with each other: what is known on both sides
 * after their first sync, and what is not said to somebody else in the place of a peer. In the
 * simulator.
 * Called by: the test runner. May touch: the engine of a node behind its back.
 * Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include "world.h"

#define CALL (20 * WEFT_SEC)
#define HERE 0u /* of a chain of three: neither knows the other */
#define THERE 2u

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

/* A tree of HERE that everybody may write, with so many entries, and THERE would take it. */
static weft_id tree_here(struct world *w, uint32_t count, weft_id *last)
{
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .entropy = {9}};
    weft_writer *writer = NULL;
    weft_id tree;
    cr_assert_eq(weft_tree_create(node(w, HERE), w->author, &root, CALL, &tree), WEFT_OK);
    cr_assert_eq(weft_writer_open(node(w, HERE), &tree, w->author, &writer), WEFT_OK);
    for (uint32_t i = 1; i < count; i++)
        cr_assert_eq(weft_commit(writer, "log", "x", 1, CALL, last), WEFT_OK);
    weft_writer_close(writer);
    cr_assert_eq(weft_tree_follow(node(w, THERE), &tree, key(w, HERE), 1, CALL), WEFT_OK);
    return tree;
}

static uint64_t entries(struct world *w, uint32_t at, const weft_id *tree)
{
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(node(w, at), tree, &info), WEFT_OK);
    return info.entries;
}

static void commit(struct world *w, uint32_t at, const weft_id *tree)
{
    weft_writer *writer = NULL;
    cr_assert_eq(weft_writer_open(node(w, at), tree, w->author, &writer), WEFT_OK);
    cr_assert_eq(weft_commit(writer, "log", "y", 1, CALL, NULL), WEFT_OK);
    weft_writer_close(writer);
}

static weft_err is_known(struct world *w, uint32_t at, uint32_t whom)
{
    weft_peer_info info;
    return weft_peer_get(node(w, at), key(w, whom), CALL, &info);
}

static void expect_shared(struct world *w, uint32_t at, uint32_t with, const weft_id *tree)
{
    weft_id trees[2];
    size_t count = 2;
    cr_expect_eq(weft_peer_trees(node(w, at), key(w, with), CALL, trees, &count), WEFT_OK,
                 "node %u has not registered the other", at);
    cr_expect(count == 1 && weft_id_equal(&trees[0], tree), "node %u", at);
}

Test(contact, a_first_sync_relates_both_sides_and_what_follows_goes_by_itself)
{
    struct world *w = world_create(1, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id last, tree = tree_here(w, 3, &last);
    cr_assert_eq(is_known(w, HERE, THERE), WEFT_NOT_FOUND);
    cr_assert_eq(is_known(w, THERE, HERE), WEFT_NOT_FOUND);
    cr_assert_eq(weft_connect(node(w, THERE), w->nodes[HERE].listen, NULL, CALL, NULL), WEFT_OK);
    cr_expect_eq(is_known(w, THERE, HERE), WEFT_OK, "who dials names whom it dials");
    cr_expect_eq(is_known(w, HERE, THERE), WEFT_NOT_FOUND, "and is named when it has a right");
    cr_assert_eq(weft_sync_tree(node(w, THERE), key(w, HERE), &tree, CALL, NULL), WEFT_OK);
    cr_assert_eq(entries(w, THERE, &tree), 3);
    expect_shared(w, HERE, THERE, &tree);
    expect_shared(w, THERE, HERE, &tree);
    commit(w, HERE, &tree);
    world_run(w, WEFT_SEC);
    cr_expect_eq(entries(w, THERE, &tree), 4);
    commit(w, THERE, &tree);
    world_run(w, WEFT_SEC);
    cr_expect_eq(entries(w, HERE, &tree), 5);
    world_destroy(w);
}

Test(contact, all_addresses_of_a_peer_are_tried)
{
    struct world *w = world_create(4, WORLD_CHAIN, 3, WORLD_PLAIN);
    static const char *const before[] = {"mem:nobody:1", "pigeon:loft", "mem:n1:1"};
    weft_id last, tree = tree_here(w, 2, &last);
    cr_assert_eq(weft_peer_register(node(w, THERE), key(w, HERE), "here", CALL), WEFT_OK);
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) /* the last one is another's */
        cr_assert_eq(weft_peer_add_address(node(w, THERE), key(w, HERE), before[i], CALL), WEFT_OK);
    cr_expect_neq(weft_sync_tree(node(w, THERE), key(w, HERE), &tree, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(node(w, THERE), key(w, HERE), w->nodes[HERE].listen, CALL),
                 WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, THERE), key(w, HERE), &tree, CALL, NULL), WEFT_OK);
    cr_expect_eq(entries(w, THERE, &tree), 2);
    world_destroy(w);
}

Test(contact, a_part_of_a_tree_is_not_taken_for_all_of_it)
{
    struct world *w = world_create(2, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id last, tree = tree_here(w, 3, &last);
    world_spoil(w, HERE, &last);
    cr_assert_eq(weft_connect(node(w, THERE), w->nodes[HERE].listen, NULL, CALL, NULL), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(weft_sync_tree(node(w, THERE), key(w, HERE), &tree, CALL, NULL), WEFT_INTERNAL,
                     "the server's disk, in its words to others");
        cr_expect_leq(entries(w, THERE, &tree), 2);
    }
    world_destroy(w);
}

/* -- Somebody else --------------------------------------------------------------------------- */

struct told {
    const weft_key *whom;
    uint32_t pieces;
};

static void count_told(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                       uint32_t type)
{
    struct told *told = w->judge_arg;
    (void)tree;
    (void)type;
    if (from == HERE && weft_key_equal(to, told->whom)) told->pieces++;
}

Test(contact, somebody_else_at_a_peers_address_is_told_nothing)
{
    struct world *w = world_create(3, WORLD_CHAIN, 4, WORLD_PLAIN);
    struct told told = {.whom = key(w, THERE)};
    w->judge = count_told;
    w->judge_arg = &told;
    cr_assert_eq(weft_peer_register(node(w, HERE), key(w, 3), "three", CALL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(node(w, HERE), key(w, 3), w->nodes[THERE].listen, CALL),
                 WEFT_OK);
    cr_assert_eq(weft_peer_relate(node(w, HERE), key(w, 3), &w->tree, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, HERE), key(w, 3), &w->tree, CALL, NULL), WEFT_PEER_KEY);
    world_run(w, 300 * WEFT_SEC); /* it is tried by itself, too */
    cr_expect_eq(told.pieces, 0, "%u pieces of frames", told.pieces);
    cr_expect_eq(is_known(w, THERE, HERE), WEFT_NOT_FOUND);
    cr_expect_eq(is_known(w, HERE, THERE), WEFT_NOT_FOUND);
    world_destroy(w);
}
