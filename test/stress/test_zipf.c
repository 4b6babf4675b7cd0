/* SPDX-License-Identifier: Apache-2.0
 * test_zipf.c - popular ranks are drawn as often as the distribution says.
 * Called by: meson test. May touch: memory. Never: draws from anything but a seed. */
#include <criterion/criterion.h>
#include <math.h>

#include "zipf.h"

#define RANKS 1000u
#define DRAWS 200000u

Test(zipf, draws_each_rank_as_often_as_it_should)
{
    static uint64_t drawn[RANKS];
    struct zipf z = {0};
    struct kit_rng rng = {1};
    for (uint32_t i = 0; i < DRAWS; i++) drawn[zipf_next(&z, &rng, RANKS)]++;
    uint64_t ten = 0;
    double zeta = 0, share = 0;
    for (uint32_t i = 1; i <= RANKS; i++) zeta += 1 / pow(i, ZIPF_THETA);
    for (uint32_t i = 0; i < 10; i++) {
        ten += drawn[i];
        share += 1 / pow(i + 1, ZIPF_THETA) / zeta;
    }
    cr_expect_float_eq((double)drawn[0] / DRAWS, 1 / zeta, 0.01);
    cr_expect_float_eq((double)ten / DRAWS, share, 0.02);
    cr_expect_gt(drawn[RANKS - 1] + drawn[RANKS - 2] + drawn[RANKS - 3], 0u,
                 "the rare ones come too");
}

Test(zipf, equal_seeds_draw_equal_ranks_while_the_ranks_grow)
{
    struct zipf a = {0}, b = {0};
    struct kit_rng one = {7}, two = {7};
    for (uint64_t n = 1; n <= 500; n++) {
        uint64_t rank = zipf_next(&a, &one, n);
        cr_assert_lt(rank, n);
        cr_assert_eq(rank, zipf_next(&b, &two, n));
    }
}
