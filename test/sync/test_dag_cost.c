/* SPDX-License-Identifier: Apache-2.0
 * test_dag_cost.c - what questions about a history read grows at most as its logarithm does.
 * Called by: the test runner. May touch: a node in memory whose reads are counted.
 * Never: a clock: times grow with every level of caches, reads do not. */
#include <criterion/criterion.h>
#include <weft/dag.h>

#include "dag_kit.h"
#include "kv_faulty.h"
#include "node_internal.h"

#define FEW 400u
#define MANY 12800u /* 32 times as many: the logarithm is 1.58 times that of FEW */
#define SAMPLES 40u
#define BACK 10u

static weft_keypair *author;

static void setup(void) { author = kit_pair(1); }
static void teardown(void) { weft_keypair_destroy(author); }
TestSuite(dag_cost, .init = setup, .fini = teardown);

struct asked {
    weft_node *node;
    const struct dk *dk;
    weft_dag *dag;
    uint32_t newest; /* a little older for each sample */
};

static void walk(weft_iter *it)
{
    weft_position at;
    weft_err err;
    while ((err = weft_iter_next(it, &at)) == WEFT_OK || err == WEFT_AGAIN) continue;
    cr_assert_eq(err, WEFT_END);
    weft_iter_close(it);
}

static void ask_between(struct asked *a)
{
    weft_cut from = {&a->dk->ids[a->newest - BACK], 1}, to = {&a->dk->ids[a->newest], 1};
    weft_iter *it;
    cr_assert_eq(weft_dag_between(a->dag, &from, &to, &it), WEFT_OK);
    walk(it);
}

static void ask_base(struct asked *a)
{
    weft_id two[2] = {a->dk->ids[a->newest], a->dk->ids[a->newest - 1]}, base;
    cr_assert_eq(weft_dag_merge_base(a->dag, &(weft_cut){two, 2}, &base), WEFT_OK);
}

static void ask_tips_at(struct asked *a)
{
    weft_cut cut = {&a->dk->ids[a->newest - BACK], 1};
    weft_iter *it;
    cr_assert_eq(weft_dag_tips_at(a->dag, &cut, &it), WEFT_OK);
    walk(it);
}

static void ask_reach(struct asked *a)
{
    weft_cut from = {&a->dk->ids[a->newest], 1}, to = {&a->dk->ids[a->newest - BACK], 1};
    weft_reach answer;
    cr_assert_eq(weft_dag_reaches(a->dag, &from, &to, &answer, NULL, NULL), WEFT_OK);
}

static void ask_range(struct asked *a)
{
    uint8_t digest[32];
    cr_assert_eq(weft_tree_range_digest(a->node, &a->dk->ids[0], a->dk->gens[a->newest] / 2,
                                        UINT64_MAX, digest, NULL),
                 WEFT_OK);
}

static const struct question {
    const char *name;
    void (*ask)(struct asked *a);
} questions[] = {{"between", ask_between},
                 {"merge base", ask_base},
                 {"tips as of a cut", ask_tips_at},
                 {"reaches", ask_reach},
                 {"digest of a range", ask_range}};
#define QUESTIONS (sizeof questions / sizeof questions[0])

/* Reads of SAMPLES answers to each question, from a node that has just been opened. */
static void count_reads(enum dk_shape shape, uint32_t count, uint64_t reads[QUESTIONS])
{
    struct dk *dk = dk_create(shape, count, WEFT_HEIGHT_INCREMENTAL, 5, false, false, author);
    wf_kv *inner;
    uint32_t applied;
    cr_assert_eq(wf_kv_memory_open(&inner), WEFT_OK);
    wf_kv *kv = kv_faulty_create(inner);
    struct asked a = {.dk = dk};
    cr_assert_eq(wf_node_open_kv(NULL, kv, &a.node), WEFT_OK);
    cr_assert_eq(weft_tree_follow(a.node, &dk->ids[0], NULL, 0, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_add(a.node, dk->bufs, count, true, WEFT_NEVER, &applied), WEFT_OK);
    cr_assert_eq(applied, count);
    for (size_t q = 0; q < QUESTIONS; q++) {
        reads[q] = 0;
        for (uint32_t i = 0; i < SAMPLES; i++) {
            a.newest = count - 1 - 7 * i;
            cr_assert_eq(weft_dag_open(a.node, &dk->ids[0], NULL, &a.dag), WEFT_OK);
            uint64_t before = kv_faulty_reads(kv);
            questions[q].ask(&a);
            reads[q] += kv_faulty_reads(kv) - before;
            weft_dag_close(a.dag);
        }
    }
    weft_node_close(a.node);
    dk_destroy(dk);
}

static void expect_logarithm(enum dk_shape shape)
{
    uint64_t few[QUESTIONS], many[QUESTIONS];
    count_reads(shape, FEW, few);
    count_reads(shape, MANY, many);
    for (size_t q = 0; q < QUESTIONS; q++) {
        cr_expect_leq(many[q], few[q] * 7 / 4, "%s: %lu reads, then %lu", questions[q].name, few[q],
                      many[q]);
    }
}

Test(dag_cost, of_a_chain_is_flat) { expect_logarithm(DK_CHAIN); }
Test(dag_cost, of_a_history_of_eight_writers_is_a_logarithm) { expect_logarithm(DK_WIDE); }
Test(dag_cost, of_a_scattered_history_is_a_logarithm) { expect_logarithm(DK_SCATTERED); }
Test(dag_cost, of_a_star_is_flat) { expect_logarithm(DK_STAR); }
