/* SPDX-License-Identifier: Apache-2.0
 * test_dag_named.c - what questions about a named store cost that few entries write.
 * Called by: meson test. May touch: the memory engine. Never: a disk. */
#include <criterion/criterion.h>

#include "dag_walk.h"
#include "store_kit.h"

static weft_keypair *author;

static void setup(void) { author = kit_pair(1); }

static void teardown(void) { weft_keypair_destroy(author); }

TestSuite(dag_named, .init = setup, .fini = teardown);

/* Runs a walk to its end; how many reads that took. */
static uint64_t run(struct wf_dag *dag, struct wf_dag_walk *walk, uint32_t *entries)
{
    struct wf_fact fact;
    uint64_t before = dag->reads;
    weft_err err;
    wf_dag_begin(dag);
    *entries = 0;
    while ((err = walk->next(walk, &fact)) == WEFT_OK) (*entries)++;
    cr_assert_eq(err, WEFT_END, "%s", weft_errname(err));
    wf_dag_walk_destroy(walk);
    return dag->reads - before;
}

/* A chain in which one entry of so many writes the store "rare". */
static weft_id open_every(sk_node *node, uint32_t every, uint32_t count, uint32_t cut,
                          weft_id *tree)
{
    weft_id before, last = {{0}}, at = {{0}};
    sk_node_open(node, 3);
    weft_buf *buf = sk_root(author, 1, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &before);
    *tree = before;
    cr_assert_eq(sk_commit(node, &buf, &before, 1, true, NULL), WEFT_OK);
    weft_buf_unref(buf);
    for (uint32_t i = 1; i < count; i++) {
        bool rare = i % every == 0;
        weft_id id;
        sk_entry e = {.tree = *tree,
                      .parents = &before,
                      .parents_count = 1,
                      .height = i,
                      .name = rare ? "rare" : NULL,
                      .store_parents = &last,
                      .store_parents_count = rare && i > every ? 1 : 0};
        buf = sk_build(&e, author, &id);
        cr_assert_eq(sk_commit(node, &buf, &id, 1, false, NULL), WEFT_OK);
        weft_buf_unref(buf);
        if (rare) last = id;
        if (i == cut) at = id;
        before = id;
    }
    return at;
}

static weft_id open_rare(sk_node *node, uint32_t count, uint32_t cut, weft_id *tree)
{
    return open_every(node, 100, count, cut, tree);
}

Test(dag_named, the_order_of_a_store_costs_its_own_entries)
{
    sk_node node;
    weft_id tree;
    struct wf_dag *dag;
    struct wf_dag_walk *walk;
    uint32_t entries;
    open_rare(&node, 2001, 0, &tree);
    cr_assert_eq(wf_dag_open(node.store, &tree, "rare", &dag), WEFT_OK);
    cr_assert_eq(wf_dag_order_create(dag, UINT64_MAX, NULL, NULL, &walk), WEFT_OK);
    uint64_t reads = run(dag, walk, &entries);
    cr_expect_eq(entries, 20);
    cr_expect_leq(reads, 21, "%lu reads", (unsigned long)reads);
    wf_dag_unref(dag);
    sk_node_close(&node);
}

/* Deep down and near the top: beside the marking, what the store lists. */
Test(dag_named, past_tips_of_a_store_cost_no_more_than_it_lists)
{
    sk_node node;
    weft_id tree;
    for (uint32_t at = 450; at <= 1650; at += 600) {
        weft_id cut = open_rare(&node, 2001, at, &tree);
        struct wf_dag *dag, *whole;
        struct wf_dag_walk *walk;
        struct wf_dag_mark *mark;
        struct wf_facts facts = {0};
        uint32_t entries;
        cr_assert_eq(wf_dag_open(node.store, &tree, "rare", &dag), WEFT_OK);
        cr_assert_eq(wf_dag_whole(dag, &whole), WEFT_OK);
        cr_assert_eq(wf_dag_cut(whole, &(weft_cut){&cut, 1}, &facts, NULL, NULL), WEFT_OK);
        cr_assert_eq(wf_dag_mark_create(whole, &facts, &mark), WEFT_OK);
        while (wf_dag_mark_step(mark, UINT32_MAX) == WEFT_AGAIN) {}
        cr_assert_eq(wf_dag_tips_at_create(dag, &(weft_cut){&cut, 1}, &walk), WEFT_OK);
        uint64_t reads = run(dag, walk, &entries);
        cr_expect_eq(entries, 1);
        cr_expect_leq(reads, whole->reads + 150, "%lu reads, %lu for the marks",
                      (unsigned long)reads, (unsigned long)whole->reads);
        wf_dag_mark_destroy(mark);
        wf_facts_fini(&facts);
        wf_dag_unref(whole);
        wf_dag_unref(dag);
        sk_node_close(&node);
    }
}

/* Goes so far, loses the tree and goes on. False: it had come to its end before. */
static bool loses_its_tree(uint32_t cut_at, uint64_t reads)
{
    sk_node node;
    weft_id tree, cut = open_every(&node, 2, 61, cut_at, &tree);
    struct wf_dag *dag;
    struct wf_dag_walk *walk;
    struct wf_fact fact;
    weft_request *back = NULL;
    cr_assert_eq(wf_dag_open(node.store, &tree, "rare", &dag), WEFT_OK);
    cr_assert_eq(wf_dag_tips_at_create(dag, &(weft_cut){&cut, 1}, &walk), WEFT_OK);
    dag->until = dag->reads + reads;
    const bool more = walk->next(walk, &fact) == WEFT_AGAIN;
    struct wf_remove *remove = wf_remove_create(&tree);
    cr_assert_eq(weft_call(node.addr, &remove->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    weft_drop(&back->msg);
    sk_node_settle(&node);
    dag->until = UINT64_MAX;
    weft_err err = more ? walk->next(walk, &fact) : WEFT_NOT_FOUND;
    cr_assert(err == WEFT_NOT_FOUND || err == WEFT_OK, "after %lu reads: %s", (unsigned long)reads,
              weft_errname(err));
    wf_dag_walk_destroy(walk);
    wf_dag_unref(dag);
    sk_node_close(&node);
    return more;
}

/* In the middle, and so near the top that the arrivals are looked at one after the other. */
Test(dag_named, a_tree_that_is_removed_meanwhile_is_not_found)
{
    for (uint32_t cut_at = 30; cut_at <= 55; cut_at += 25) {
        uint64_t reads = 1;
        while (loses_its_tree(cut_at, reads)) reads++;
        cr_expect_geq(reads, 30);
    }
}
