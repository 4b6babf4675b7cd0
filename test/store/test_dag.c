/* SPDX-License-Identifier: Apache-2.0
 * test_dag.c - queries about the history of a tree against a plain model.
 * Called by: meson test. May touch: the store through its actor, in the simulator.
 * Never: a real disk, the public node (test_dag_api.c does). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dag_kit.h"
#include "dag_walk.h"
#include "store_kit.h"

#define ENTRIES 48u
#define CUT 4u

static weft_keypair *author;
static void setup(void) { author = kit_pair(1); }
static void teardown(void) { weft_keypair_destroy(author); }
TestSuite(dag, .init = setup, .fini = teardown);

/* One view, and what is known of it. */
struct asked {
    struct wf_dag *dag;
    const struct dk *dk;
    uint32_t upto; /* entries in the view */
    int doc;       /* 1: of the store     */
    weft_height strategy;
    kit_random r;
    char what[64];
};

struct cut {
    uint32_t at[CUT], count;
};

static bool member(const struct asked *a, uint32_t i)
{
    return i < a->upto && (a->doc == 0 || a->dk->writes[i]);
}

static bool below(const struct asked *a, const struct cut *cut, uint32_t j)
{
    for (uint32_t i = 0; i < cut->count; i++)
        if (a->dk->below[a->doc][(size_t)cut->at[i] * a->dk->count + j]) return true;
    return false;
}

/* Some entries of the view, perhaps none and perhaps one twice. */
static struct cut any_cut(struct asked *a)
{
    struct cut cut = {.count = 0};
    for (uint32_t n = kit_below(&a->r, CUT + 1); n > 0; n--) {
        uint32_t i = kit_below(&a->r, a->upto);
        if (kit_below(&a->r, 3) == 0) i = a->upto - 1 - kit_below(&a->r, 3);
        if (member(a, i)) cut.at[cut.count++] = i;
    }
    return cut;
}

static struct wf_facts facts_of(struct asked *a, const struct cut *cut)
{
    weft_id ids[CUT];
    struct wf_facts facts = {0};
    for (uint32_t i = 0; i < cut->count; i++) ids[i] = a->dk->ids[cut->at[i]];
    cr_assert_eq(wf_dag_cut(a->dag, &(weft_cut){ids, cut->count}, &facts, NULL, NULL), WEFT_OK);
    return facts;
}

/* The walk gives exactly the entries of `want`, in order, with their facts. */
static void expect(struct asked *a, struct wf_dag_walk *walk, const bool *want, const char *query)
{
    const struct dk *dk = a->dk;
    weft_iter *it;
    weft_position got, last = {.height = 0};
    uint32_t wanted = 0, seen = 0;
    weft_err err;
    for (uint32_t i = 0; i < dk->count; i++) wanted += want[i];
    cr_assert_eq(wf_dag_iter_create(a->dag, walk, &it), WEFT_OK);
    while ((err = weft_iter_next(it, &got)) != WEFT_END) {
        if (err == WEFT_AGAIN) {
            cr_assert_neq(a->dag->budget, 0);
            continue;
        }
        cr_assert_eq(err, WEFT_OK, "%s %s: %s", a->what, query, weft_errname(err));
        uint32_t i = dk_find(dk, &got.id);
        cr_assert(i < dk->count && want[i], "%s %s: entry %u is not asked for", a->what, query, i);
        cr_assert(got.gen == dk->gens[i] && got.height == dk->heights[i] && got.seq == i + 1);
        bool later = seen == 0 || got.height > last.height ||
                     (got.height == last.height && weft_id_compare(&got.id, &last.id) > 0);
        cr_assert(later, "%s %s: not in order", a->what, query);
        last = got;
        seen++;
    }
    cr_assert_eq(seen, wanted, "%s %s: %u of %u", a->what, query, seen, wanted);
    cr_assert_eq(weft_iter_next(it, &got), WEFT_END);
    weft_iter_close(it);
}

/* -- One question of each kind ---------------------------------------------------------------- */

static void ask_all(struct asked *a)
{
    bool want[ENTRIES] = {false};
    struct wf_dag_walk *walk;
    for (uint32_t i = 0; i < ENTRIES; i++) want[i] = member(a, i);
    cr_assert_eq(wf_dag_order_create(a->dag, UINT64_MAX, NULL, NULL, &walk), WEFT_OK);
    expect(a, walk, want, "all");
}

static void ask_below(struct asked *a)
{
    bool want[ENTRIES] = {false};
    struct wf_dag_walk *walk;
    struct cut cut = any_cut(a);
    struct wf_facts facts = facts_of(a, &cut);
    for (uint32_t i = 0; i < ENTRIES; i++) want[i] = below(a, &cut, i);
    cr_assert_eq(wf_dag_below_take(a->dag, &facts, &walk), WEFT_OK);
    expect(a, walk, want, "below");
}

static void ask_between(struct asked *a)
{
    bool want[ENTRIES] = {false};
    struct wf_dag_walk *walk;
    struct cut from = any_cut(a), to = any_cut(a);
    struct wf_facts lower = facts_of(a, &from), upper = facts_of(a, &to);
    for (uint32_t i = 0; i < ENTRIES; i++) want[i] = below(a, &to, i) && !below(a, &from, i);
    cr_assert_eq(wf_dag_between_take(a->dag, &lower, &upper, &walk), WEFT_OK);
    expect(a, walk, want, "between");
}

static void ask_reaches(struct asked *a)
{
    struct wf_dag_reach *reach;
    struct cut from = any_cut(a), targets = any_cut(a);
    if (from.count == 0 || targets.count == 0) return;
    if (kit_below(&a->r, 2) == 0) { /* one that can be reached */
        uint32_t under = kit_below(&a->r, a->upto);
        targets.count = 1;
        if (member(a, under) && below(a, &from, under)) targets.at[0] = under;
    }
    struct wf_facts upper = facts_of(a, &from), lower = facts_of(a, &targets);
    bool want = true, got = false;
    for (uint32_t i = 0; i < targets.count; i++) want &= below(a, &from, targets.at[i]);
    cr_assert_eq(wf_dag_reach_take(a->dag, &upper, &lower, &reach), WEFT_OK);
    weft_err err;
    do {
        wf_dag_begin(a->dag);
        err = wf_dag_reach_step(reach, &got);
    } while (err == WEFT_AGAIN && a->dag->budget != 0);
    cr_assert_eq(err, WEFT_OK, "%s reaches: %s", a->what, weft_errname(err));
    cr_assert_eq(got, want, "%s reaches: %d", a->what, got);
    wf_dag_reach_destroy(reach);
}

static void ask_path(struct asked *a)
{
    bool want[ENTRIES] = {false};
    struct wf_dag_walk *walk;
    struct wf_fact base;
    struct cut to = any_cut(a);
    uint32_t at = kit_below(&a->r, a->upto);
    if (!member(a, at)) return;
    struct wf_facts upper = facts_of(a, &to);
    const uint8_t *down = a->dk->below[a->doc];
    for (uint32_t i = 0; i < ENTRIES; i++)
        want[i] = i != at && below(a, &to, i) && down[(size_t)i * a->dk->count + at];
    cr_assert_eq(wf_dag_fact(a->dag, &a->dk->ids[at], &base), WEFT_OK);
    cr_assert_eq(wf_dag_path_take(a->dag, &base, &upper, &walk), WEFT_OK);
    expect(a, walk, want, "path");
}

/* Can a way down from `from` come to an entry that nothing lies below, without `without`? */
static bool ends_without(const struct asked *a, uint32_t from, uint32_t without)
{
    bool open[ENTRIES] = {false};
    const struct dk_edges *edges = a->doc ? a->dk->doc : a->dk->tree;
    open[from] = from != without;
    for (uint32_t i = from + 1; i-- > 0;) {
        if (open[i] && edges[i].count == 0) return true;
        for (uint32_t p = 0; open[i] && p < edges[i].count; p++)
            if (edges[i].at[p] != without) open[edges[i].at[p]] = true;
    }
    return false;
}

static void ask_merge_base(struct asked *a)
{
    struct cut cut = any_cut(a);
    struct wf_dag_base *base;
    struct wf_facts facts = facts_of(a, &cut);
    weft_id got;
    weft_err err;
    uint32_t want = ENTRIES;
    if (cut.count == 0) return;
    for (uint32_t i = a->upto; i-- > 0 && want == ENTRIES;) { /* the newest is the nearest */
        bool all = member(a, i);
        for (uint32_t c = 0; c < cut.count && all; c++) all = !ends_without(a, cut.at[c], i);
        if (all) want = i;
    }
    a->dag->bounds.waiting = WEFT_DAG_WAITING_MAX;
    cr_assert_eq(wf_dag_base_create(a->dag, &facts, &base), WEFT_OK);
    do {
        wf_dag_begin(a->dag);
        err = wf_dag_base_step(base, &got);
    } while (err == WEFT_AGAIN && a->dag->budget != 0);
    wf_dag_base_destroy(base);
    wf_facts_fini(&facts);
    cr_assert_eq(err, want < ENTRIES ? WEFT_OK : WEFT_NOT_FOUND, "%s base: %s", a->what,
                 weft_errname(err));
    cr_assert(want == ENTRIES || weft_id_equal(&got, &a->dk->ids[want]), "%s base: %u, not %u",
              a->what, dk_find(a->dk, &got), want);
}

static void ask_tips_at(struct asked *a)
{
    bool inside[ENTRIES] = {false}, want[ENTRIES] = {false};
    weft_id ids[CUT];
    struct wf_dag_walk *walk;
    uint32_t count = kit_below(&a->r, CUT + 1), at[CUT];
    const struct dk_edges *edges = a->doc ? a->dk->doc : a->dk->tree;
    for (uint32_t i = 0; i < count; i++) { /* whatever they write */
        at[i] = kit_below(&a->r, a->upto);
        ids[i] = a->dk->ids[at[i]];
    }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < a->dk->count; j++)
            inside[j] |= a->dk->below[0][(size_t)at[i] * a->dk->count + j] != 0;
    for (uint32_t i = 0; i < a->upto; i++) want[i] = inside[i] && member(a, i);
    for (uint32_t i = 0; i < a->upto; i++)
        for (uint32_t p = 0; inside[i] && p < edges[i].count; p++) want[edges[i].at[p]] = false;
    a->dag->bounds.waiting = WEFT_DAG_WAITING_MAX;
    cr_assert_eq(wf_dag_tips_at_create(a->dag, &(weft_cut){ids, count}, &walk), WEFT_OK);
    expect(a, walk, want, "tips at");
}

static void ask_edges(struct asked *a)
{
    const struct wf_facts *parents;
    struct wf_fact fact;
    uint32_t i = kit_below(&a->r, a->dk->count);
    weft_err err = wf_dag_fact(a->dag, &a->dk->ids[i], &fact);
    cr_assert_eq(err, member(a, i) ? WEFT_OK : WEFT_NOT_FOUND);
    if (err != WEFT_OK) return;
    const struct dk_edges *want = a->doc ? &a->dk->doc[i] : &a->dk->tree[i];
    cr_assert_eq(wf_dag_parents(a->dag, &fact, &parents), WEFT_OK);
    cr_assert_eq(parents->count, want->count);
    for (uint32_t p = 0; p < want->count; p++) {
        uint32_t k = 0;
        while (k < want->count && !weft_id_equal(&parents->list[k].id, &a->dk->ids[want->at[p]]))
            k++;
        cr_assert_lt(k, want->count);
    }
}

static void ask_tips(struct asked *a)
{
    bool followed[ENTRIES] = {false};
    uint32_t tips = 0;
    for (uint32_t i = 0; i < a->upto; i++)
        for (uint32_t p = 0; p < a->dk->tree[i].count && !a->doc; p++)
            followed[a->dk->tree[i].at[p]] = true;
    for (uint32_t i = 0; i < a->upto; i++)
        for (uint32_t p = 0; p < a->dk->doc[i].count && a->doc; p++)
            followed[a->dk->doc[i].at[p]] = true;
    for (uint32_t i = 0; i < a->upto; i++) tips += member(a, i) && !followed[i];
    cr_assert_eq(wf_dag_tips(a->dag), WEFT_OK);
    cr_assert_eq(a->dag->tips_count, tips, "%s: %u tips of %u", a->what, a->dag->tips_count, tips);
    for (uint32_t i = 0; i < tips; i++) {
        uint32_t at = dk_find(a->dk, &a->dag->tips[i]);
        cr_assert(at < a->upto && member(a, at) && !followed[at]);
    }
}

/* Any budget, and bounds so small that the second ways of asking are taken. */
static void choose_bounds(struct asked *a)
{
    static const uint64_t budgets[] = {0, 1, 5, 1000};
    a->dag->budget = budgets[kit_below(&a->r, 4)];
    a->dag->bounds.apart = kit_below(&a->r, 2) == 0 ? WEFT_DAG_APART_MAX : 1 + kit_below(&a->r, 5);
    a->dag->bounds.found = kit_below(&a->r, 2) == 0 ? WEFT_DIFF_ENTRIES_MAX
                                                    : 1 + kit_below(&a->r, 5);
    bool free_order = a->strategy == WEFT_HEIGHT_INCREMENTAL; /* the other one keeps a heap */
    a->dag->bounds.waiting = kit_below(&a->r, 2) == 0 || !free_order ? WEFT_DAG_WAITING_MAX
                                                                     : 1 + kit_below(&a->r, 5);
}

static void ask_everything(struct asked *a)
{
    ask_tips(a);
    for (int round = 0; round < 4; round++) {
        choose_bounds(a);
        ask_all(a);
        ask_below(a);
        ask_between(a);
        ask_between(a);
        ask_reaches(a);
        ask_reaches(a);
        ask_edges(a);
        ask_path(a);
        ask_merge_base(a);
        ask_tips_at(a);
    }
}

static void commit(sk_node *node, const struct dk *dk, uint32_t from, uint32_t to)
{
    uint64_t seq;
    for (uint32_t at = from, n; at < to; at += n) {
        n = to - at < 1000 ? to - at : 1000;
        cr_assert_eq(sk_commit(node, &dk->bufs[at], &dk->ids[at], n, true, &seq), WEFT_OK);
    }
}

static void every_shape(weft_height strategy, int doc, uint32_t seeds)
{
    sk_node node;
    sk_node_open(&node, 5);
    for (int shape = 0; shape < DK_SHAPES; shape++) {
        for (uint32_t seed = 0; seed < seeds; seed++) {
            uint64_t chance = (uint64_t)shape * 1000 + seed;
            struct dk *dk = dk_create((enum dk_shape)shape, ENTRIES, strategy, chance, true, true,
                                      author);
            struct asked a = {.dk = dk, .doc = doc, .strategy = strategy, .r = {chance + 7}};
            a.upto = ENTRIES - kit_below(&a.r, ENTRIES / 2);
            (void)snprintf(a.what, sizeof a.what, "%s, seed %u", dk_shape_names[shape], seed);
            commit(&node, dk, 0, a.upto);
            cr_assert_eq(wf_dag_open(node.store, &dk->ids[0], doc ? DK_DOC : NULL, &a.dag),
                         WEFT_OK);
            if (kit_below(&a.r, 2) == 0) ask_everything(&a);
            commit(&node, dk, a.upto, ENTRIES); /* the view does not show these */
            ask_everything(&a);
            wf_dag_unref(a.dag);
            dk_destroy(dk);
        }
    }
    sk_node_close(&node);
}

Test(dag, a_tree_with_incremental_heights_agrees_with_the_model)
{
    every_shape(WEFT_HEIGHT_INCREMENTAL, 0, 30);
}

Test(dag, a_tree_with_timestamps_agrees_with_the_model)
{
    every_shape(WEFT_HEIGHT_TIMESTAMP, 0, 30);
}

Test(dag, a_store_in_a_tree_with_incremental_heights_agrees_with_the_model)
{
    every_shape(WEFT_HEIGHT_INCREMENTAL, 1, 30);
}

Test(dag, a_store_in_a_tree_with_timestamps_agrees_with_the_model)
{
    every_shape(WEFT_HEIGHT_TIMESTAMP, 1, 30);
}

/* -- What it costs -------------------------------------------------------------------------------- */

static struct wf_dag *open_long(sk_node *node, struct dk **dk, enum dk_shape shape, uint32_t count)
{
    struct wf_dag *dag;
    sk_node_open(node, 3);
    *dk = dk_create(shape, count, WEFT_HEIGHT_INCREMENTAL, 11, false, false, author);
    commit(node, *dk, 0, count);
    cr_assert_eq(wf_dag_open(node->store, &(*dk)->ids[0], NULL, &dag), WEFT_OK);
    return dag;
}

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

static struct wf_dag_walk *between(struct wf_dag *dag, const weft_id *from, uint32_t from_count,
                                   const weft_id *to, uint32_t to_count)
{
    struct wf_facts lower = {0}, upper = {0};
    struct wf_dag_walk *walk;
    cr_assert_eq(wf_dag_cut(dag, &(weft_cut){from, from_count}, &lower, NULL, NULL), WEFT_OK);
    cr_assert_eq(wf_dag_cut(dag, &(weft_cut){to, to_count}, &upper, NULL, NULL), WEFT_OK);
    cr_assert_eq(wf_dag_between_take(dag, &lower, &upper, &walk), WEFT_OK);
    return walk;
}

/* Reads for the last ten entries of a history of `count`. */
static uint64_t last_ten(enum dk_shape shape, uint32_t count)
{
    sk_node node;
    struct dk *dk;
    struct wf_dag *dag = open_long(&node, &dk, shape, count);
    uint32_t entries;
    /* What stands just before them: eight writers, or less. */
    uint32_t below = shape == DK_STAR ? 0 : count - 18, n = shape == DK_STAR ? 1 : 8;
    uint64_t reads = run(dag, between(dag, &dk->ids[below], n, &dk->ids[count - 10], 10), &entries);
    cr_expect_eq(entries, 10);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
    return reads;
}

static void costs_the_same(enum dk_shape shape)
{
    uint64_t little = last_ten(shape, 2000), much = last_ten(shape, 20000);
    cr_expect_leq(much, little + 20, "%s: %lu reads, and %lu in ten times as many entries",
                  dk_shape_names[shape], (unsigned long)little, (unsigned long)much);
}

Test(dag, between_costs_the_difference_in_a_chain) { costs_the_same(DK_CHAIN); }
Test(dag, between_costs_the_difference_among_writers) { costs_the_same(DK_WIDE); }
Test(dag, between_costs_the_difference_in_a_star) { costs_the_same(DK_STAR); }

/* A chain, and one entry more on its entry `at`. */
static struct wf_dag *open_branched(sk_node *node, struct dk **dk, uint32_t count, uint32_t at,
                                    weft_id *branch)
{
    struct wf_dag *dag = open_long(node, dk, DK_CHAIN, count);
    uint64_t seq;
    sk_entry e = {.tree = (*dk)->ids[0],
                  .parents = &(*dk)->ids[at],
                  .parents_count = 1,
                  .height = at + 1,
                  .name = "x"};
    weft_buf *buf = sk_build(&e, author, branch);
    wf_dag_unref(dag);
    cr_assert_eq(sk_commit(node, &buf, branch, 1, false, &seq), WEFT_OK);
    cr_assert_eq(wf_dag_open(node->store, &(*dk)->ids[0], NULL, &dag), WEFT_OK);
    weft_buf_unref(buf);
    return dag;
}

Test(dag, an_old_branch_near_the_tips_is_found_without_the_history_between)
{
    sk_node node;
    struct dk *dk;
    weft_id branch;
    uint32_t entries;
    struct wf_dag *dag = open_branched(&node, &dk, 10000, 1, &branch);
    /* Painting would go down the whole chain; what is new is one entry. */
    uint64_t reads = run(dag, between(dag, &dk->ids[9999], 1, &branch, 1), &entries);
    cr_expect_eq(entries, 1);
    cr_expect_lt(reads, 3 * WEFT_DAG_TURN_READS, "%lu reads", (unsigned long)reads);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
}

/* The answer, and how many reads it took. */
static uint64_t reach(struct wf_dag *dag, const weft_id *from, const weft_id *target, bool *out)
{
    struct wf_facts upper = {0}, lower = {0};
    struct wf_dag_reach *question;
    cr_assert_eq(wf_dag_cut(dag, &(weft_cut){from, 1}, &upper, NULL, NULL), WEFT_OK);
    cr_assert_eq(wf_dag_cut(dag, &(weft_cut){target, 1}, &lower, NULL, NULL), WEFT_OK);
    uint64_t before = dag->reads;
    cr_assert_eq(wf_dag_reach_take(dag, &upper, &lower, &question), WEFT_OK);
    wf_dag_begin(dag);
    cr_assert_eq(wf_dag_reach_step(question, out), WEFT_OK);
    wf_dag_reach_destroy(question);
    return dag->reads - before;
}

Test(dag, reaching_looks_only_at_gens_in_between)
{
    sk_node node;
    struct dk *dk;
    weft_id branch;
    bool got = false;
    struct wf_dag *dag = open_branched(&node, &dk, 4000, 3990, &branch);
    cr_expect_leq(reach(dag, &dk->ids[20], &dk->ids[10], &got), 44);
    cr_expect(got);
    cr_expect_leq(reach(dag, &dk->ids[3999], &dk->ids[3989], &got), 44);
    cr_expect(got);
    cr_expect_leq(reach(dag, &dk->ids[3999], &branch, &got), 44);
    cr_expect_not(got);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
}

Test(dag, an_old_branch_that_nobody_joined_is_not_reached_without_the_history_above)
{
    sk_node node;
    struct dk *dk;
    weft_id branch;
    bool got = true;
    struct wf_dag *dag = open_branched(&node, &dk, 10000, 1, &branch);
    cr_expect_lt(reach(dag, &dk->ids[9999], &branch, &got), 3 * WEFT_DAG_TURN_READS);
    cr_expect_not(got);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
}

Test(dag, the_whole_order_costs_one_read_per_entry_and_a_budget_is_kept)
{
    sk_node node;
    struct dk *dk;
    struct wf_dag *dag = open_long(&node, &dk, DK_CHAIN, 5000);
    struct wf_dag_walk *walk;
    uint32_t entries;
    cr_assert_eq(wf_dag_order_create(dag, UINT64_MAX, NULL, NULL, &walk), WEFT_OK);
    uint64_t reads = run(dag, walk, &entries);
    cr_expect_eq(entries, 5000);
    cr_expect_leq(reads, 5001);
    /* Below the middle: marks for what is above it, then the index up to there. */
    struct wf_facts cut = {0};
    struct wf_fact fact;
    weft_err err;
    uint64_t before;
    dag->budget = 100;
    cr_assert_eq(wf_dag_cut(dag, &(weft_cut){&dk->ids[2500], 1}, &cut, NULL, NULL), WEFT_OK);
    cr_assert_eq(wf_dag_below_take(dag, &cut, &walk), WEFT_OK);
    entries = 0;
    do {
        before = dag->reads;
        wf_dag_begin(dag);
        err = walk->next(walk, &fact);
        entries += err == WEFT_OK;
        cr_assert_leq(dag->reads - before, 110);
    } while (err == WEFT_OK || err == WEFT_AGAIN);
    cr_expect_eq(err, WEFT_END);
    cr_expect_eq(entries, 2501);
    wf_dag_walk_destroy(walk);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
}

/* Reads for the merge base of the two newest of a history, and for what is above entry
 * `count` - 30. */
static uint64_t base_and_path(uint32_t count)
{
    sk_node node;
    struct dk *dk;
    struct wf_dag_base *base;
    struct wf_dag_walk *walk;
    struct wf_facts cut = {0};
    struct wf_fact low;
    weft_id got;
    uint32_t entries;
    struct wf_dag *dag = open_long(&node, &dk, DK_DIAMONDS, count);
    uint64_t before = dag->reads;
    cr_assert_eq(wf_dag_cut(dag, &(weft_cut){&dk->ids[count - 2], 2}, &cut, NULL, NULL), WEFT_OK);
    cr_assert_eq(wf_dag_base_create(dag, &cut, &base), WEFT_OK);
    cr_assert_eq(wf_dag_base_step(base, &got), WEFT_OK);
    cr_expect(weft_id_equal(&got, &dk->ids[count - 3]));
    wf_dag_base_destroy(base);
    cr_assert_eq(wf_dag_fact(dag, &dk->ids[count - 30], &low), WEFT_OK);
    cr_assert_eq(wf_dag_path_take(dag, &low, &cut, &walk), WEFT_OK);
    uint64_t reads = dag->reads - before + run(dag, walk, &entries);
    cr_expect_eq(entries, 29);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
    return reads;
}

Test(dag, a_merge_base_and_a_path_cost_what_is_above_the_base)
{
    uint64_t little = base_and_path(300), much = base_and_path(6000);
    cr_expect_eq(little, much, "%lu and %lu reads", (unsigned long)little, (unsigned long)much);
    cr_expect_lt(much, 300);
}

/* Reads for the tips of a cut ten entries back. */
static uint64_t tips_ten_back(const char *name, uint32_t count)
{
    sk_node node;
    struct dk *dk;
    struct wf_dag *dag;
    struct wf_dag_walk *walk;
    uint32_t entries;
    sk_node_open(&node, 3);
    dk = dk_create(DK_WIDE, count, WEFT_HEIGHT_INCREMENTAL, 11, true, false, author);
    commit(&node, dk, 0, count);
    cr_assert_eq(wf_dag_open(node.store, &dk->ids[0], name, &dag), WEFT_OK);
    uint64_t before = dag->reads;
    const weft_cut cut = {&dk->ids[count - 18], 8};
    cr_assert_eq(wf_dag_tips_at_create(dag, &cut, &walk), WEFT_OK);
    uint64_t reads = dag->reads - before - dag->tips_count + run(dag, walk, &entries);
    cr_expect_geq(entries, 1);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
    return reads;
}

Test(dag, past_tips_of_a_tree_cost_what_the_cut_spans)
{
    cr_expect_leq(tips_ten_back(NULL, 6000), tips_ten_back(NULL, 600) + 20);
}

Test(dag, past_tips_of_a_store_cost_what_came_since_beside_its_tips)
{
    cr_expect_leq(tips_ten_back(DK_DOC, 6000), tips_ten_back(DK_DOC, 600) + 50);
}

/* -- What can go wrong ------------------------------------------------------------------------------- */

/* One run of everything, in which an allocation may fail. */
static weft_err use(sk_node *node, const struct dk *dk, int way)
{
    struct wf_dag *dag = NULL;
    struct wf_dag_walk *walk = NULL;
    struct wf_dag_reach *reach = NULL;
    struct wf_facts lower = {0}, upper = {0};
    struct wf_fact fact;
    bool reached;
    weft_err err = wf_dag_open(node->store, &dk->ids[0], way % 2 == 1 ? DK_DOC : NULL, &dag);
    if (err == WEFT_OK) err = wf_dag_tips(dag);
    if (err == WEFT_OK && way >= 6) dag->bounds.found = dag->bounds.apart = 2;
    const weft_cut from = {way % 2 == 1 ? NULL : &dk->ids[3], way % 2 == 1 ? 0 : 1};
    if (err == WEFT_OK) err = wf_dag_cut(dag, &from, &lower, NULL, NULL);
    if (err == WEFT_OK)
        err = wf_dag_cut(dag, &(weft_cut){dag->tips, dag->tips_count}, &upper, NULL, NULL);
    if (err == WEFT_OK && way % 6 / 2 == 0) err = wf_dag_below_take(dag, &upper, &walk);
    if (err == WEFT_OK && way % 6 / 2 == 1) err = wf_dag_between_take(dag, &lower, &upper, &walk);
    while (err == WEFT_OK && walk != NULL) err = walk->next(walk, &fact);
    if (err == WEFT_OK && way % 2 == 0) err = wf_dag_reach_take(dag, &upper, &lower, &reach);
    if (err == WEFT_OK && reach != NULL) err = wf_dag_reach_step(reach, &reached);
    wf_dag_reach_destroy(reach);
    wf_dag_walk_destroy(walk);
    wf_facts_fini(&lower);
    wf_facts_fini(&upper);
    wf_dag_unref(dag);
    return err == WEFT_END ? WEFT_OK : err;
}

/* The same for paths (0, 1: above entry 3, kept or marked), merge bases and tips of a cut. */
static weft_err use_more(sk_node *node, const struct dk *dk, int way)
{
    struct wf_dag *dag = NULL;
    struct wf_dag_walk *walk = NULL;
    struct wf_dag_base *base = NULL;
    struct wf_facts cut = {0};
    struct wf_fact fact, root;
    weft_id id;
    const weft_cut old = {&dk->ids[way == 4 ? 12 : 36], way == 5 ? 3 : 1};
    weft_err err = wf_dag_open(node->store, &dk->ids[0], way == 3 || way == 4 ? DK_DOC : NULL,
                               &dag);
    if (err == WEFT_OK && way < 3) err = wf_dag_tips(dag);
    if (err == WEFT_OK && way == 1) dag->bounds.found = 2;
    if (err == WEFT_OK && way < 3)
        err = wf_dag_cut(dag, &(weft_cut){dag->tips, dag->tips_count}, &cut, NULL, NULL);
    if (err == WEFT_OK && way < 3) err = wf_dag_fact(dag, &dk->ids[3], &root);
    if (err == WEFT_OK && way < 2) err = wf_dag_path_take(dag, &root, &cut, &walk);
    if (err == WEFT_OK && way == 2) err = wf_dag_base_create(dag, &cut, &base);
    if (err == WEFT_OK && base != NULL) err = wf_dag_base_step(base, &id);
    if (err == WEFT_OK && way > 2) err = wf_dag_tips_at_create(dag, &old, &walk);
    while (err == WEFT_OK && walk != NULL) err = walk->next(walk, &fact);
    wf_dag_base_destroy(base);
    wf_dag_walk_destroy(walk);
    wf_facts_fini(&cut);
    wf_dag_unref(dag);
    return err == WEFT_END ? WEFT_OK : err;
}

Test(dag, paths_bases_and_past_tips_answer_no_memory_at_every_allocation)
{
    sk_node node;
    sk_node_open(&node, 3);
    struct dk *dk = dk_create(DK_BEHIND, 40, WEFT_HEIGHT_INCREMENTAL, 11, true, false, author);
    commit(&node, dk, 0, dk->count);
    for (int way = 0; way < 6; way++) {
        uint64_t nth = 0;
        weft_err err;
        do {
            (void)wf_alloc_fail_at(++nth, 1);
            err = use_more(&node, dk, way);
            (void)wf_alloc_fail_at(0, 0);
            cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "way %d, %lu: %s", way,
                      (unsigned long)nth, weft_errname(err));
        } while (err != WEFT_OK && nth < 2000);
        cr_expect(err == WEFT_OK && nth > 5, "way %d: %s after %lu", way, weft_errname(err),
                  (unsigned long)nth);
    }
    dk_destroy(dk);
    sk_node_close(&node);
}

Test(dag, answers_no_memory_at_every_allocation_and_frees_all)
{
    sk_node node;
    sk_node_open(&node, 3);
    for (int strategy = 0; strategy < 2; strategy++) {
        struct dk *dk = dk_create(DK_BEHIND, 40, (weft_height)strategy, 11, true, false, author);
        commit(&node, dk, 0, dk->count);
        for (int way = 0; way < 12; way++) {
            uint64_t nth = 0;
            weft_err err;
            do {
                (void)wf_alloc_fail_at(++nth, 1);
                err = use(&node, dk, way);
                (void)wf_alloc_fail_at(0, 0);
                cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "way %d, %lu: %s", way,
                          (unsigned long)nth, weft_errname(err));
            } while (err != WEFT_OK && nth < 2000);
            cr_expect(err == WEFT_OK && nth > 5, "way %d: %s after %lu", way, weft_errname(err),
                      (unsigned long)nth);
        }
        dk_destroy(dk);
    }
    sk_node_close(&node);
}

Test(dag, too_many_waiting_entries_end_a_walk_by_timestamps_with_limit)
{
    sk_node node;
    struct wf_dag *dag;
    struct wf_dag_walk *walk;
    struct wf_fact fact;
    sk_node_open(&node, 3);
    struct dk *dk = dk_create(DK_STAR, 40, WEFT_HEIGHT_TIMESTAMP, 11, false, false, author);
    commit(&node, dk, 0, dk->count);
    cr_assert_eq(wf_dag_open(node.store, &dk->ids[0], NULL, &dag), WEFT_OK);
    dag->bounds.waiting = 38;
    cr_assert_eq(wf_dag_order_create(dag, UINT64_MAX, NULL, NULL, &walk), WEFT_OK);
    cr_expect_eq(walk->next(walk, &fact), WEFT_OK);
    cr_expect_eq(walk->next(walk, &fact), WEFT_LIMIT);
    wf_dag_walk_destroy(walk);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
}

struct shared {
    weft_iter *it;
    weft_err next, entry;
};

static void next_in_actor(weft_self *self, void *arg)
{
    (void)self;
    struct shared *shared = arg;
    weft_position position;
    weft_buf *buf;
    shared->next = weft_iter_next(shared->it, &position);
    shared->entry = weft_iter_entry(shared->it, &buf);
}

Test(dag, an_iterator_does_not_block_an_actor)
{
    sk_node node;
    struct wf_dag_walk *walk;
    struct dk *dk;
    struct wf_dag *dag = open_long(&node, &dk, DK_CHAIN, 3);
    struct shared shared = {0};
    weft_position position;
    cr_assert_eq(wf_dag_order_create(dag, UINT64_MAX, NULL, NULL, &walk), WEFT_OK);
    cr_assert_eq(wf_dag_iter_create(dag, walk, &shared.it), WEFT_OK);
    cr_assert_eq(weft_iter_next(shared.it, &position), WEFT_OK);
    sk_node_do(&node, next_in_actor, &shared);
    sk_node_settle(&node);
    cr_expect(shared.next == WEFT_DEADLK && shared.entry == WEFT_DEADLK);
    weft_iter_close(shared.it);
    wf_dag_unref(dag);
    dk_destroy(dk);
    sk_node_close(&node);
}
