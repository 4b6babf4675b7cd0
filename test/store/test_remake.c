/* SPDX-License-Identifier: Apache-2.0
 * test_remake.c - indexes that are made of the entries are made again while the store is open.
 * Called by: meson test. May touch: the engine behind the store's back. Never: a real thread; a
 * disk but for the last test. */
#include <criterion/criterion.h>
#include <string.h>

#include "block.h"
#include "dag_walk.h"
#include "damage.h"
#include "layout.h"
#include "remake.h"
#include "rights_kit.h"

#define ENTRIES 300u
#define HERE 200u /* before the damage */

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static weft_err commit(uint32_t from, uint32_t count)
{
    return sk_commit(&node, dag->bufs + from, dag->ids + from, count, true, NULL);
}

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
    dag = sk_dag_create(SK_MERGES, ENTRIES, author, 3);
    cr_assert_eq(commit(0, HERE), WEFT_OK);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(remake, .init = setup, .fini = teardown);

/* -- Damage ---------------------------------------------------------------------------------------- */

static uint64_t rows_of(enum wf_cf cf)
{
    wf_kv_iter *it;
    uint64_t count = 0;
    cr_assert_eq(wf_kv_iter_create(node.kv, NULL, cf, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) count++;
    wf_kv_iter_destroy(it);
    return count;
}

static void lose(enum wf_cf cf, uint64_t count, bool last)
{
    wf_batch *batch;
    wf_kv_iter *it;
    sk_node_crash(&node, SIZE_MAX); /* it knows none of it from before */
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(node.kv, NULL, cf, NULL, 0, &it), WEFT_OK);
    if (last) wf_kv_iter_last(it);
    else wf_kv_iter_first(it);
    for (; count > 0 && wf_kv_iter_valid(it); count--) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        wf_batch_delete(batch, cf, key, len);
        if (last) wf_kv_iter_prev(it);
        else wf_kv_iter_next(it);
    }
    wf_kv_iter_destroy(it);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

static void lose_rows(enum wf_cf cf, uint64_t count) { lose(cf, count, true); }

static void run_for(weft_ns time) { wf_sim_run_until(node.sim, wf_sim_now(node.sim) + time); }

static void expect_first(uint32_t count)
{
    bool have[ENTRIES] = {false};
    for (uint32_t i = 0; i < count; i++) have[i] = true;
    sk_expect_dag(node.store, dag, have);
    sk_expect_clean(node.store);
}

/* -- Made again ---------------------------------------------------------------------------------- */

Test(remake, commits_go_on_after_one_that_met_a_damaged_trie)
{
    lose_rows(WF_CF_TRIE, 5);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT, "nothing is built on what is damaged");
    run_for(WEFT_SEC);
    cr_assert_eq(commit(HERE, 100), WEFT_OK);
    expect_first(ENTRIES);
}

Test(remake, commits_go_on_after_one_that_met_damaged_dominators)
{
    lose_rows(WF_CF_DOM, 3);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    run_for(WEFT_SEC);
    cr_assert_eq(commit(HERE, 100), WEFT_OK);
    expect_first(ENTRIES);
}

static weft_err base_of_two(const sk_dag *of)
{
    weft_id ids[2] = {of->ids[8], of->ids[9]}, got;
    struct wf_facts facts = {0};
    struct wf_dag *view;
    struct wf_dag_base *base;
    cr_assert_eq(wf_dag_open(node.store, &of->tree, NULL, &view), WEFT_OK);
    cr_assert_eq(wf_dag_cut(view, &(weft_cut){ids, 2}, &facts, NULL, NULL), WEFT_OK);
    weft_err err = wf_dag_base_create(view, &facts, &base);
    if (err == WEFT_OK) {
        err = wf_dag_base_step(base, &got);
        wf_dag_base_destroy(base);
    }
    wf_facts_fini(&facts);
    wf_dag_unref(view);
    return err;
}

Test(remake, a_page_that_no_commit_needs_is_made_again_after_somebody_read_it)
{
    sk_dag *other = sk_dag_create(SK_CHAIN, 20, author, 9);
    cr_assert_eq(sk_commit(&node, other->bufs, other->ids, 20, true, NULL), WEFT_OK);
    cr_assert_eq(base_of_two(other), WEFT_OK);
    lose_rows(WF_CF_DOM, 2); /* all pages of the other tree */
    cr_assert_eq(base_of_two(other), WEFT_CORRUPT);
    cr_assert_eq(commit(HERE, 1), WEFT_OK);
    run_for(WEFT_SEC);
    cr_expect_eq(base_of_two(other), WEFT_OK);
    sk_expect_clean(node.store);
    sk_dag_destroy(other);
}

Test(remake, what_is_damaged_otherwise_costs_one_try_and_a_rest)
{
    lose_rows(WF_CF_TRIE, 5);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    uint64_t mark = wf_made_mark(node.store);
    wf_made_note(node.store, 1, mark, WEFT_CORRUPT);
    for (uint32_t i = 0; i < 5; i++) cr_expect_eq(commit(HERE + i, 1), WEFT_OK);
    cr_expect_eq(wf_made_mark(node.store), mark, "it was made once");
    run_for(700 * WEFT_SEC);
    wf_made_note(node.store, 1, mark, WEFT_CORRUPT);
    cr_expect_eq(commit(HERE + 5, 1), WEFT_OK);
    run_for(WEFT_SEC);
    cr_expect_eq(wf_made_mark(node.store), mark + 2);
}

Test(remake, it_is_durable_and_the_format_is_the_one_it_was)
{
    lose_rows(WF_CF_TRIE, 5);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    run_for(WEFT_SEC);
    sk_node_crash(&node, 0);
    cr_assert_eq(wf_store_format(node.store), WF_FORMAT_VERSION);
    cr_assert_eq(commit(HERE, 1), WEFT_OK);
    expect_first(HERE + 1);
}

/* Facts and orders are made of these. */
Test(remake, nothing_is_touched_where_an_arrival_is_lost_too)
{
    lose_rows(WF_CF_TRIE, 5);
    uint64_t tries = rows_of(WF_CF_TRIE), lists = rows_of(WF_CF_SUB);
    lose_rows(WF_CF_ARR, 1);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    run_for(120 * WEFT_SEC);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    cr_expect_eq(rows_of(WF_CF_TRIE), tries);
    cr_expect_eq(rows_of(WF_CF_SUB), lists);
    sk_node_crash(&node, 0);
    cr_expect_eq(wf_store_format(node.store), WF_FORMAT_VERSION, "it opens, and can be read");
}

Test(remake, an_order_and_facts_that_are_damaged_too_are_mended_first)
{
    lose_rows(WF_CF_TRIE, 5);
    lose_rows(WF_CF_GEN, 7);
    lose_rows(WF_CF_META, 7);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    run_for(WEFT_SEC);
    cr_assert_eq(commit(HERE, 100), WEFT_OK);
    expect_first(ENTRIES);
}

Test(remake, it_waits_a_minute_for_bodies_that_peers_may_give_back)
{
    lose_rows(WF_CF_TRIE, 5);
    lose_rows(WF_CF_ENTRY, 1);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    run_for(50 * WEFT_SEC);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    cr_expect_eq(wf_damage_count(node.store), 1, "it is asked for");
    run_for(15 * WEFT_SEC);
    cr_expect_eq(commit(HERE, 1), WEFT_OK, "what stands on it in its stores has no merge base");
}

Test(remake, a_body_that_comes_back_ends_the_waiting_and_costs_nothing)
{
    lose_rows(WF_CF_TRIE, 5);
    lose_rows(WF_CF_ENTRY, 1);
    cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
    run_for(5 * WEFT_SEC);
    cr_expect_eq(commit(HERE - 1, 1), WEFT_OK, "known, and healed");
    run_for(5 * WEFT_SEC);
    cr_assert_eq(commit(HERE, 100), WEFT_OK);
    expect_first(ENTRIES);
}

/* -- Interrupted ---------------------------------------------------------------------------------- */

Test(remake, a_write_that_fails_half_way_is_made_good_by_the_next_try)
{
    for (uint64_t nth = 1; nth <= 4; nth++) {
        lose_rows(WF_CF_TRIE, 5);
        wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
        cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
        run_for(WEFT_SEC);
        cr_expect_neq(wf_kv_failed(node.kv), WEFT_OK, "write %u was met", (unsigned)nth);
        wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        run_for(60 * WEFT_SEC);
        expect_first(HERE);
    }
    cr_assert_eq(commit(HERE, 100), WEFT_OK);
    expect_first(ENTRIES);
}

Test(remake, a_crash_half_way_is_made_good_by_the_next_opening)
{
    for (uint64_t nth = 1; nth <= 4; nth++) {
        lose_rows(WF_CF_TRIE, 5);
        wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
        cr_expect_eq(commit(HERE, 1), WEFT_CORRUPT);
        sk_node_crash(&node, SIZE_MAX);
        run_for(WEFT_SEC);
        if (nth > 1) expect_first(HERE); /* 1: it had not begun */
    }
    cr_expect_eq(commit(HERE, 1), WEFT_OK);
}

/* -- Readers --------------------------------------------------------------------------------------- */

Test(remake, a_list_that_is_being_made_is_read_by_nobody)
{
    wf_gen_walk *walk;
    uint64_t before = wf_made_mark(node.store);
    cr_expect(wf_made_holds(node.store, before));
    wf_counter_add(&node.store->made, 1);
    cr_expect_not(wf_store_lists_named(node.store), "other ways are gone meanwhile");
    cr_expect_eq(wf_gen_walk_create_named(node.store, 1, "main", false, 0, NULL, &walk),
                 WEFT_CORRUPT);
    cr_expect_not(wf_made_holds(node.store, wf_made_mark(node.store)));
    wf_counter_add(&node.store->made, 1);
    cr_expect_not(wf_made_holds(node.store, before), "a view from before may have a part");
    cr_expect(wf_store_lists_named(node.store));
}

/* -- Rights ----------------------------------------------------------------------------------------- */

enum { ALICE = 2, BOB, CAROL };

/* ALICE, an Admin, lets BOB read. `revocation`, made beside that, takes her right away, and all that she
 * said with it; but no word of it is about BOB. CAROL may read all the time. */
static void let_in(rk_tree *tree, weft_buf **revocation, weft_id *id)
{
    const rk_say bob = {.key = BOB, .text = "read"}, out = {.key = ALICE, .text = "none"};
    weft_id said;
    rk_open(&node, tree, 5, WEFT_RIGHT_NONE);
    cr_assert_eq(rk_grant(&node, tree, CAROL, "read"), WEFT_OK);
    cr_assert_eq(rk_grant(&node, tree, ALICE, "admin:3"), WEFT_OK);
    rk_tree beside = *tree;
    weft_buf *buf = rk_next(tree, ALICE, &bob, 1, &said);
    *revocation = rk_next(&beside, RK_OWNER, &out, 1, id);
    cr_assert_eq(sk_commit(&node, &buf, &said, 1, false, NULL), WEFT_OK);
    weft_buf_unref(buf);
    cr_assert(rk_may(&node, tree, BOB));
}

static void end_rights(rk_tree *tree, weft_buf *revocation)
{
    weft_buf_unref(revocation);
    rk_close(tree);
    rk_end();
}

Test(remake, whom_a_revocation_shuts_out_is_not_let_in_while_lists_are_being_made)
{
    rk_tree tree;
    weft_buf *revocation;
    weft_id id;
    let_in(&tree, &revocation, &id);
    wf_counter_add(&node.store->made, 1);
    cr_assert_eq(sk_commit(&node, &revocation, &id, 1, false, NULL), WEFT_OK);
    cr_expect_not(rk_may(&node, &tree, BOB));
    wf_counter_add(&node.store->made, 1);
    run_for(2 * WEFT_SEC);
    cr_assert_eq(commit(HERE, 1), WEFT_OK);
    cr_expect(rk_may(&node, &tree, CAROL));
    cr_expect_not(rk_may(&node, &tree, BOB));
    end_rights(&tree, revocation);
}

Test(remake, whom_a_revocation_shuts_out_is_not_let_in_by_a_try_that_fails)
{
    rk_tree tree;
    weft_buf *revocation;
    weft_id id;
    let_in(&tree, &revocation, &id);
    cr_assert_eq(sk_commit(&node, &revocation, &id, 1, false, NULL), WEFT_OK);
    for (uint64_t nth = 1; nth <= 4; nth++) {
        lose_rows(WF_CF_TRIE, 5);
        wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
        (void)commit(HERE, 1);
        run_for(WEFT_SEC);
        cr_expect_neq(wf_kv_failed(node.kv), WEFT_OK, "write %u was met", (unsigned)nth);
        wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        for (int i = 0; i < 600; i++) {
            run_for(100 * WEFT_MS);
            cr_assert_not(rk_may(&node, &tree, BOB), "step %d of try %u", i, (unsigned)nth);
        }
        cr_expect(rk_may(&node, &tree, CAROL), "it is known again, with no batch since");
    }
    end_rights(&tree, revocation);
}
