/* SPDX-License-Identifier: Apache-2.0
 * test_mend.c - whole nodes of which one has lost rows of its indexes: it goes on with the others,
 * and they are put right while it runs.
 * Called by: the test runner. May touch: the engine of a node that is down.
 * Never: threads, the machine's clock. */
#include <criterion/criterion.h>

#include <weft/dag.h>

#include "state.h"
#include "world.h"

#define COMMITS 80u

static const enum wf_cf families[] = {WF_CF_META, WF_CF_GEN, WF_CF_CHILD, WF_CF_TIP};

/* One of `of` rows in the mean. */
static void damage(struct world *w, uint32_t number, enum wf_cf cf, uint32_t of)
{
    wf_kv *kv = w->nodes[number].kv;
    wf_batch *batch;
    wf_kv_iter *it;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(kv, NULL, cf, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (world_below(w, of) == 0) wf_batch_delete(batch, cf, key, len);
    }
    wf_kv_iter_destroy(it);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

static uint64_t mended(const struct world *w, uint32_t node)
{
    return wf_counter_get(&w->nodes[node].node->table.wf_store->counters.mended);
}

static struct world *grown(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_RING, 3,
                                   seed % 2 == 0 ? WORLD_PLAIN : WORLD_NO_PUSH);
    for (uint32_t i = 0; i < COMMITS; i++) {
        cr_assert_eq(world_commit(w, i % 3), WEFT_OK);
        if (i % 5 == 0) world_run(w, 20 * WEFT_MS);
    }
    cr_assert(world_converges(w, 400 * WEFT_SEC));
    return w;
}

/* An application reads the history in its order, and asks each entry for its parents. */
static void look(struct world *w, uint32_t node)
{
    weft_dag *dag;
    weft_iter *all, *parents;
    weft_position place, parent;
    if (weft_dag_open(w->nodes[node].node, &w->tree, NULL, &dag) != WEFT_OK) return;
    cr_assert_eq(weft_dag_all(dag, &all), WEFT_OK);
    while (weft_iter_next(all, &place) == WEFT_OK) {
        if (weft_dag_parents(dag, &place.id, &parents) != WEFT_OK) continue;
        while (weft_iter_next(parents, &parent) == WEFT_OK) {}
        weft_iter_close(parents);
    }
    weft_iter_close(all);
    weft_dag_close(dag);
}

static void heals(uint64_t seed, const enum wf_cf *which, uint32_t count)
{
    struct world *w = grown(seed);
    world_kill(w, 0);
    /* Tips of named stores are not counted, so nobody misses one of them alone: all are lost. */
    for (uint32_t i = 0; i < count; i++) damage(w, 0, which[i], which[i] == WF_CF_TIP ? 1 : 3);
    for (uint32_t i = 0; i < 6; i++) cr_assert_eq(world_commit(w, 1 + i % 2), WEFT_OK);
    world_start(w, 0);
    look(w, 0);
    for (uint32_t i = 0; i < 6; i++) {
        (void)world_commit(w, i % 3); /* one that meets damage is refused */
        world_run(w, WEFT_SEC);
    }
    cr_assert(world_converges(w, 900 * WEFT_SEC), "seed %lu", (unsigned long)seed);
    world_run(w, 30 * WEFT_SEC);
    for (uint32_t i = 0; i < 6; i++) cr_assert_eq(world_commit(w, i % 3), WEFT_OK);
    cr_assert(world_converges(w, 400 * WEFT_SEC), "seed %lu", (unsigned long)seed);
    bool facts = which[0] == WF_CF_META || which[0] == WF_CF_GEN; /* a tip may be followed first */
    cr_expect(mended(w, 0) > 0 || !facts, "seed %lu", (unsigned long)seed);
    cr_expect_eq(mended(w, 1) + mended(w, 2), 0);
    cr_expect_eq(world_lost(w), 0, "seed %lu", (unsigned long)seed);
    cr_expect_eq(world_damage(w), 0, "seed %lu", (unsigned long)seed);
    world_destroy(w);
}

Test(mend, a_node_that_lost_rows_of_one_family_is_whole_again)
{
    uint64_t first = world_first_seed(1), seeds = world_seeds(9);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        enum wf_cf one =
            families[seed % 3 == 2 ? 3 : seed % 3]; /* a lost child is seen by nobody */
        heals(seed, &one, 1);
    }
}

Test(mend, a_node_that_lost_rows_of_all_families_is_whole_again)
{
    uint64_t first = world_first_seed(101), seeds = world_seeds(6);
    for (uint64_t seed = first; seed < first + seeds; seed++) heals(seed, families, 4);
}
