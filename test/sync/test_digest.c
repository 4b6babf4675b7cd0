/* SPDX-License-Identifier: Apache-2.0
 * test_digest.c - the digests of a tree and of ranges of its gens, as users ask for them.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>

#include "world.h"

#define CALL (20 * WEFT_SEC)

/* Two nodes' digests of a range, and how many entries each stands for. */
struct ranges {
    uint8_t digest[2][32];
    uint64_t count[2];
};

static struct ranges ask(struct world *w, uint64_t lo, uint64_t hi)
{
    struct ranges r;
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(
            weft_tree_range_digest(w->nodes[i].node, &w->tree, lo, hi, r.digest[i], &r.count[i]),
            WEFT_OK);
    return r;
}

static void commit(struct world *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
}

Test(digest, of_ranges_tell_where_histories_differ)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_PLAIN);
    commit(w, 20);
    cr_assert(world_converges(w, CALL));
    struct ranges all = ask(w, 0, UINT64_MAX);
    uint64_t before = world_info(w, 1).entries;
    cr_expect_eq(all.count[0], before);
    cr_expect_arr_eq(all.digest[0], all.digest[1], 32);
    world_cut(w, 0, 1, true);
    commit(w, 5);
    all = ask(w, 0, UINT64_MAX);
    cr_expect_eq(all.count[0], before + 5);
    cr_expect_eq(all.count[1], before);
    cr_expect_arr_neq(all.digest[0], all.digest[1], 32);
    struct ranges old = ask(w, 0, 15);
    cr_expect_eq(old.count[0], old.count[1]);
    cr_expect_arr_eq(old.digest[0], old.digest[1], 32);
    world_destroy(w);
}

Test(digest, of_a_tree_is_that_of_its_set_not_of_its_order)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_PLAIN);
    for (uint32_t i = 0; i < 20; i++) cr_assert_eq(world_commit(w, i % 2), WEFT_OK);
    cr_assert(world_converges(w, CALL));
    weft_tree_info here = world_info(w, 0), there = world_info(w, 1);
    cr_expect_arr_eq(here.root_digest, there.root_digest, 32);
    commit(w, 1);
    there = world_info(w, 0);
    cr_expect_arr_neq(here.root_digest, there.root_digest, 32);
    world_destroy(w);
}

Test(digest, of_a_range_looks_at_its_arguments)
{
    struct world *w = world_create(3, WORLD_CHAIN, 1, WORLD_PLAIN);
    uint8_t digest[32];
    weft_id unknown = {{9}};
    weft_node *n = w->nodes[0].node;
    cr_expect_eq(weft_tree_range_digest(n, &w->tree, 3, 2, digest, NULL), WEFT_INVALID);
    cr_expect_eq(weft_tree_range_digest(n, &w->tree, 2, 3, NULL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_tree_range_digest(n, &unknown, 2, 3, digest, NULL), WEFT_NOT_FOUND);
    cr_expect_eq(weft_tree_range_digest(n, &w->tree, 2, 2, digest, NULL), WEFT_OK);
    world_destroy(w);
}
