/* SPDX-License-Identifier: Apache-2.0
 * test_last_height.c - an author who fills the end of heights of a tree by time stops nobody.
 * Called by: meson test. May touch: a node in memory. Never: waits for a clock. */
#include <criterion/criterion.h>

#include <weft/dag.h>

#define CHAIN 20u

static weft_node *node;
static weft_keypair *admin, *other;
static weft_id tree, before;

static weft_id commit(weft_writer *writer, const char *payload)
{
    weft_id id;
    weft_err err = weft_commit(writer, "main", payload, 1, WEFT_NEVER, &id);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return id;
}

/* All may write. One has committed, and on that `other` has a chain up to the last height. */
static weft_writer *open_stopped(void)
{
    const weft_root_spec root = {.height = WEFT_HEIGHT_TIMESTAMP, .everyone = WEFT_RIGHT_WRITE};
    weft_writer *writer = NULL;
    weft_buf *entry = NULL;
    weft_id last;
    cr_assert_eq(weft_node_open(NULL, &node), WEFT_OK);
    cr_assert_eq(weft_keypair_create(&admin), WEFT_OK);
    cr_assert_eq(weft_keypair_create(&other), WEFT_OK);
    cr_assert_eq(weft_tree_create(node, admin, &root, WEFT_NEVER, &tree), WEFT_OK);
    cr_assert_eq(weft_writer_open(node, &tree, admin, &writer), WEFT_OK);
    before = commit(writer, "a");
    last = before;
    for (uint64_t left = CHAIN; left-- > 0;) {
        const weft_store_part part = {.name = "main", .parents = &last, .parents_count = 1};
        const weft_entry_spec spec = {.tree = tree,
                                      .parents = &last,
                                      .parents_count = 1,
                                      .height = WEFT_HEIGHT_MAX - left,
                                      .stores = &part,
                                      .stores_count = 1};
        weft_id id;
        cr_assert_eq(weft_entry_build(&spec, other, &entry, &id), WEFT_OK);
        cr_assert_eq(weft_add(node, &entry, 1, true, WEFT_NEVER, NULL), WEFT_OK);
        weft_buf_unref(entry);
        last = id;
    }
    weft_writer_close(writer); /* which would go on from its own entry */
    cr_assert_eq(weft_writer_open(node, &tree, admin, &writer), WEFT_OK);
    return writer;
}

static void close_all(weft_writer *writer)
{
    weft_writer_close(writer);
    weft_node_close(node);
    weft_keypair_destroy(other);
    weft_keypair_destroy(admin);
}

static bool stands_on(const weft_id *from, const weft_id *to)
{
    const weft_cut above = {from, 1}, below = {to, 1};
    weft_dag *dag = NULL;
    weft_reach reach = WEFT_REACH_UNKNOWN;
    cr_assert_eq(weft_dag_open(node, &tree, NULL, &dag), WEFT_OK);
    cr_assert_eq(weft_dag_reaches(dag, &above, &below, &reach, NULL, NULL), WEFT_OK);
    weft_dag_close(dag);
    return reach == WEFT_REACH_YES;
}

Test(last_height, commits_go_on_below_a_chain_of_a_far_future)
{
    weft_writer *writer = open_stopped(), *second = NULL;
    weft_id next = commit(writer, "b");
    cr_expect(stands_on(&next, &before));
    cr_assert_eq(weft_writer_open(node, &tree, other, &second), WEFT_OK);
    weft_id third = commit(second, "c");
    cr_expect(stands_on(&third, &next), "from then on on what the others committed");
    weft_writer_close(second);
    close_all(writer);
}
