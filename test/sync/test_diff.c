/* SPDX-License-Identifier: Apache-2.0
 * test_diff.c - the difference walk against a plain model, and what it costs.
 * Called by: meson test. Never: transport. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "diff.h"
#include "held.h"
#include "idset.h"
#include "pair.h"

static const uint8_t key[16] = {1, 2, 3};

static weft_err run(wf_diff *diff, uint32_t budget, uint32_t *slices)
{
    weft_err err;
    *slices = 0;
    do {
        err = wf_diff_step(diff, budget);
        (*slices)++;
    } while (err == WEFT_AGAIN);
    return err;
}

static bool before(const struct dag *d, uint32_t a, uint32_t b)
{
    if (d->gens[a] != d->gens[b]) return d->gens[a] < d->gens[b];
    return weft_id_compare(&d->ids[a], &d->ids[b]) < 0;
}

/* Checks the walk over what side b holds up to `upto`, if the peer holds the closure of
 * `held`. Returns how many reads it took; *edges: parents of what is missing. */
static uint64_t check(struct pair *p, const uint8_t *upto_set, uint64_t upto, const uint32_t *held,
                      uint32_t count, uint32_t *missing, uint32_t *edges)
{
    const struct dag *d = p->dag;
    uint8_t *theirs = calloc(d->count, 1);
    weft_id *ids = calloc(count + 1, sizeof *ids);
    uint32_t want = 0, slices, last = 0;
    for (uint32_t i = 0; i < count; i++) {
        theirs[held[i]] = 1;
        ids[i] = d->ids[held[i]];
    }
    if (count > 0) dag_close(d, theirs);
    *edges = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        if (!upto_set[i] || theirs[i]) continue;
        want++;
        *edges += d->parents_count[i];
    }
    wf_diff *diff = NULL;
    cr_assert_eq(wf_diff_create(p->b.store, pair_info(p, &p->b).t, upto, ids, count,
                                WEFT_DIFF_ENTRIES_MAX, key, &diff),
                 WEFT_OK);
    weft_err err = run(diff, 50, &slices);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_assert_eq(wf_diff_count(diff), want, "%u instead of %u", wf_diff_count(diff), want);
    for (uint32_t i = 0; i < want; i++) {
        wf_place place;
        wf_diff_at(diff, i, &place);
        uint32_t at = dag_find(d, &place.id);
        cr_assert(at < d->count && upto_set[at] && !theirs[at] && place.gen == d->gens[at]);
        cr_assert(i == 0 || before(d, last, at), "not ascending");
        last = at;
    }
    uint64_t reads = wf_diff_reads(diff);
    wf_diff_destroy(diff);
    free(theirs);
    free(ids);
    *missing = want;
    return reads;
}

static void every_shape(uint32_t entries, uint32_t rounds, bool small)
{
    for (int shape = 0; shape < DAG_SHAPES; shape++) {
        struct dag_random r = {(uint64_t)shape + 5};
        struct dag *d = dag_create((enum dag_shape)shape, entries, 31 + (uint64_t)shape);
        struct pair *p = pair_create(d, 1);
        uint8_t *all = malloc(d->count);
        memset(all, 1, d->count);
        pair_put_set(p, &p->b, all, &r);
        uint64_t upto = pair_info(p, &p->b).seq;
        for (uint32_t round = 0; round < rounds; round++) {
            uint32_t *held = calloc(d->count, sizeof *held), count = 0, missing, edges;
            if (small) { /* the tips of all but the last ten */
                uint8_t *has_child = calloc(d->count, 1);
                for (uint32_t i = 0; i + 10 < d->count; i++)
                    for (uint32_t k = 0; k < d->parents_count[i]; k++)
                        has_child[d->parents[i][k]] = 1;
                for (uint32_t i = 0; i + 10 < d->count; i++)
                    if (!has_child[i]) held[count++] = i;
                free(has_child);
            } else {
                for (uint32_t n = dag_below(&r, 6); n > 0; n--)
                    held[count++] = dag_below(&r, d->count);
            }
            uint64_t reads = check(p, all, upto, held, count, &missing, &edges);
            /* Each missing entry is looked up, its parents and its children read; each
             * edge below leads to one look at a parent and its children. */
            uint64_t fair = 8 * ((uint64_t)missing + edges) + 2 * (uint64_t)count + 20;
            cr_expect_leq(reads, fair, "%s: %lu reads for %u missing", dag_shape_names[shape],
                          (unsigned long)reads, missing);
            free(held);
        }
        free(all);
        pair_destroy(p);
        dag_destroy(d);
    }
}

Test(diff, finds_exactly_what_is_not_in_the_closure) { every_shape(600, 25, false); }

Test(diff, costs_what_is_missing_whatever_the_shape) { every_shape(1200, 1, true); }

Test(diff, leaves_out_what_arrived_later)
{
    for (int shape = 0; shape < DAG_SHAPES; shape++) {
        struct dag_random r = {(uint64_t)shape + 77};
        struct dag *d = dag_create((enum dag_shape)shape, 400, 3);
        struct pair *p = pair_create(d, 1);
        uint8_t *first = malloc(d->count), *all = malloc(d->count);
        memset(all, 1, d->count);
        dag_random_set(d, &r, 6, first);
        pair_put_set(p, &p->b, first, &r);
        uint64_t upto = pair_info(p, &p->b).seq;
        pair_put_set(p, &p->b, all, &r);
        for (uint32_t round = 0; round < 20; round++) {
            uint32_t held[5], count = dag_below(&r, 5), missing, edges;
            /* Also entries that arrived later: what they stand on is held. */
            for (uint32_t i = 0; i < count; i++) held[i] = dag_below(&r, d->count);
            (void)check(p, first, upto, held, count, &missing, &edges);
        }
        free(first);
        free(all);
        pair_destroy(p);
        dag_destroy(d);
    }
}

Test(diff, answers_no_memory_and_frees_all)
{
    struct dag_random r = {9};
    struct dag *d = dag_create(DAG_WIDE, 200, 3);
    struct pair *p = pair_create(d, 1);
    uint8_t all[200];
    memset(all, 1, sizeof all);
    pair_put_set(p, &p->b, all, &r);
    uint64_t t = pair_info(p, &p->b).t;
    for (uint64_t nth = 1; nth < 60; nth++) {
        wf_diff *diff = NULL;
        uint32_t slices;
        (void)wf_alloc_fail_at(nth, 1);
        weft_err err = wf_diff_create(p->b.store, t, 200, &d->ids[0], 1, WEFT_DIFF_ENTRIES_MAX, key,
                                      &diff);
        if (err == WEFT_OK) err = run(diff, 100, &slices);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect_eq(err, WEFT_NO_MEMORY, "%lu: %s", (unsigned long)nth, weft_errname(err));
        wf_diff_destroy(diff);
    }
    pair_destroy(p);
    dag_destroy(d);
}

Test(diff, is_cut_into_slices_by_its_budget)
{
    struct dag_random r = {9};
    struct dag *d = dag_create(DAG_CHAIN, 500, 3);
    struct pair *p = pair_create(d, 1);
    uint8_t all[500];
    uint32_t slices;
    wf_diff *diff = NULL;
    memset(all, 1, sizeof all);
    pair_put_set(p, &p->b, all, &r);
    cr_assert_eq(wf_diff_create(p->b.store, pair_info(p, &p->b).t, 500, &d->ids[0], 1,
                                WEFT_DIFF_ENTRIES_MAX, key, &diff),
                 WEFT_OK);
    cr_assert_eq(run(diff, 100, &slices), WEFT_OK);
    uint64_t reads = wf_diff_reads(diff);
    cr_expect_geq(slices, reads / 110);
    cr_expect_eq(wf_diff_count(diff), 499);
    wf_diff_destroy(diff);
    pair_destroy(p);
    dag_destroy(d);
}

/* -- What a peer holds beyond the point of an interruption -------------------------------- */

Test(held, knows_the_closure_above_the_place_and_nothing_else)
{
    struct dag_random r = {13};
    struct dag *d = dag_create(DAG_WIDE, 500, 8);
    struct pair *p = pair_create(d, 1);
    uint8_t all[500], closed[500];
    memset(all, 1, sizeof all);
    pair_put_set(p, &p->b, all, &r);
    for (int round = 0; round < 40; round++) {
        wf_held *held = NULL;
        uint32_t place = dag_below(&r, 500), tip = dag_below(&r, 500);
        memset(closed, 0, sizeof closed);
        closed[tip] = 1;
        dag_close(d, closed);
        cr_assert_eq(wf_held_create(p->b.store, d->gens[place], &d->ids[place], &d->ids[tip], 1,
                                    WEFT_DIFF_ENTRIES_MAX, key, &held),
                     WEFT_OK);
        weft_err err;
        while ((err = wf_held_step(held, 10)) == WEFT_AGAIN) continue;
        cr_assert_eq(err, WEFT_OK);
        for (uint32_t i = 0; i < 500; i++)
            cr_assert_eq(wf_held_has(held, &d->ids[i]), closed[i] && before(d, place, i));
        wf_held_destroy(held);
    }
    pair_destroy(p);
    dag_destroy(d);
}

/* -- The set of ids ----------------------------------------------------------------------- */

Test(idset, numbers_members_in_the_order_of_their_coming_and_stops_at_its_bound)
{
    struct wf_idset set;
    uint32_t at;
    bool added;
    weft_id id;
    memset(&id, 0, sizeof id);
    wf_idset_init(&set, 1000, key);
    cr_expect_not(wf_idset_find(&set, &id, &at));
    for (uint32_t i = 0; i < 1000; i++) {
        id.bytes[30] = (uint8_t)(i >> 8);
        id.bytes[31] = (uint8_t)i;
        cr_assert_eq(wf_idset_add(&set, &id, &at, &added), WEFT_OK);
        cr_assert(added && at == i);
        cr_assert_eq(wf_idset_add(&set, &id, &at, &added), WEFT_OK);
        cr_assert(!added && at == i);
    }
    id.bytes[0] = 1;
    cr_expect_eq(wf_idset_add(&set, &id, &at, &added), WEFT_LIMIT);
    cr_expect_not(wf_idset_find(&set, &id, &at));
    wf_idset_fini(&set);
}
