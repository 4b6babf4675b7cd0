/* SPDX-License-Identifier: Apache-2.0
 * test_join_records.c - what of joining outlives a node: damaged records, the clock of requests, how
 * often was granted without a decision.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "join_clock.h"
#include "join_kit.h"
#include "join_modes.h"
#include "records.h"

#define DAY_MS INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)

static void restart(struct world *w)
{
    world_kill(w, 0);
    world_start(w, 0);
}

/* Into the store of node 0. */
static void put_record(struct world *w, uint8_t prefix, const void *key_bytes, uint32_t key_len,
                       const void *value, uint32_t len)
{
    struct wf_record_put *put = wf_record_create(len);
    put->cf = WF_CF_PEER;
    put->key[0] = prefix;
    memcpy(put->key + 1, key_bytes, key_len);
    put->key_len = 1 + key_len;
    memcpy(put->value, value, len);
    cr_assert_eq(wf_node_call(node(w, 0), node(w, 0)->table.store, &put->req, CALL, NULL), WEFT_OK);
}

/* -- Damage ----------------------------------------------------------------------------- */

static weft_err count_bad(void *arg, const uint8_t *key_bytes, size_t key_len, const uint8_t *value,
                          size_t len)
{
    (void)key_bytes;
    (void)key_len;
    *(uint32_t *)arg += len == 2 && memcmp(value, "\x9d\x01", 2) == 0;
    return WEFT_OK;
}

Test(join_records, that_are_damaged_are_left_aside_and_the_others_count)
{
    static const uint8_t prefixes[] = {WF_REC_JOIN, WF_REC_JOIN_MODE, WF_REC_ASKED,
                                       WF_REC_JOIN_SPENT, WF_REC_JOIN_CLOCK};
    static const uint32_t lens[] = {16, 32, 64, 32, 0};
    const uint8_t some[64] = {9, 9, 9};
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    weft_node_stats stats;
    uint32_t kept = 0;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    for (size_t i = 0; i < sizeof prefixes; i++)
        put_record(w, prefixes[i], some, lens[i], "\x9d\x01", 2);
    restart(w); /* it opens */
    cr_assert_eq(weft_node_stats_get(node(w, 0), &stats), WEFT_OK);
    cr_expect_eq(stats.joins_damaged, sizeof prefixes, "%lu", stats.joins_damaged);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1);
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_run(w, 3 * WEFT_JOIN_POLL_NS);
    cr_expect_eq(join_entries(w, 1, &tree), 2);
    for (size_t i = 0; i + 1 < sizeof prefixes; i++)
        cr_assert_eq(wf_store_record_each(node(w, 0)->table.wf_store, WF_CF_PEER, &prefixes[i], 1,
                                          count_bad, &kept),
                     WEFT_OK);
    cr_expect_eq(kept, 4, "%u are still there to be looked at", kept); /* the clock goes on */
    world_destroy(w);
}

/* -- The clock of requests -------------------------------------------------------------- */

Test(join_records, wait_on_though_the_wall_clock_jumps_by_a_month)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    for (int i = 0; i < 2; i++) { /* while both run, and while they are down */
        wf_sim_wall_shift(w->sim, (30 + i) * DAY_MS);
        if (i == 1) restart(w);
        world_run(w, 3 * WEFT_JOIN_POLL_NS);
        cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1, "%d", i);
        cr_expect_eq(weft_tree_join_check(node(w, 1), &tree, NULL, CALL, NULL), WEFT_AWAITING);
    }
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_destroy(w);
}

/* What passed while nobody was there counts, up to a day each time. */
Test(join_records, grow_old_while_the_node_is_down)
{
    struct world *w = world_create(3, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL), WEFT_AWAITING);
    for (int day = 1; day <= 7; day++) {
        cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1, "day %d", day);
        world_kill(w, 0);
        wf_sim_wall_shift(w->sim, day * (DAY_MS + HOUR_MS));
        world_start(w, 0);
        world_run(w, 2 * WEFT_JOIN_POLL_NS);
    }
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 0);
    cr_expect_eq(join_listed(w, WEFT_JOIN_EXPIRED, NULL), 1);
    world_destroy(w);
}

Test(join_records, have_a_clock_that_no_wall_clock_leads_astray)
{
    struct wf_join_clock clock;
    int64_t wall = 1000 * DAY_MS, begin = wall, passed = 0, before = wall;
    weft_ns now = 5 * WEFT_SEC;
    srand(77);
    wf_join_clock_set(&clock, wall, now);
    for (int step = 0; step < 20000; step++) {
        int64_t ms = rand() % 3 == 0 ? rand() % 5 : rand() % 100000;
        now += (weft_ns)ms * WEFT_MS;
        passed += ms;
        wall += ms;
        if (rand() % 50 == 0) wall = (int64_t)rand() * 1000;
        int64_t shown = wf_join_clock_ms(&clock, wall, now);
        cr_assert_geq(shown, before, "step %d", step);
        cr_assert_leq(shown - begin, passed + passed / 10, "step %d: too fast", step);
        cr_assert_geq(shown - begin, passed - passed / 10 - 1, "step %d: too slow", step);
        before = shown;
    }
}

Test(join_records, have_a_clock_that_comes_back_to_a_wall_clock_that_is_right_again)
{
    struct wf_join_clock clock;
    int64_t wall = 1000 * DAY_MS;
    weft_ns now = WEFT_SEC;
    wf_join_clock_set(&clock, wall - HOUR_MS, now);
    for (int minute = 0; minute < 11 * 60; minute++) {
        now += 60 * WEFT_SEC;
        wall += 60000;
        (void)wf_join_clock_ms(&clock, wall, now);
    }
    cr_expect_eq(wf_join_clock_ms(&clock, wall, now), wall);
}

Test(join_records, have_a_clock_whose_record_comes_back)
{
    const struct wf_join_saved saved = {1000 * DAY_MS, 1001 * DAY_MS};
    struct wf_join_saved got;
    struct wf_join_clock clock;
    uint8_t bytes[WF_JOIN_CLOCK_RECORD_MAX];
    size_t len = wf_join_saved_encode(&saved, bytes);
    cr_assert_eq(wf_join_saved_decode(bytes, len, &got), WEFT_OK);
    cr_expect(got.ms == saved.ms && got.wall_ms == saved.wall_ms);
    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(wf_join_saved_decode(bytes, cut, &got), WEFT_CORRUPT);
    wf_join_clock_resume(&clock, &saved, saved.wall_ms + HOUR_MS, WEFT_SEC);
    cr_expect_eq(clock.ms, saved.ms + HOUR_MS);
    wf_join_clock_resume(&clock, &saved, saved.wall_ms + 90 * DAY_MS, WEFT_SEC);
    cr_expect_eq(clock.ms, saved.ms + WEFT_JOIN_DOWN_MAX_MS);
    wf_join_clock_resume(&clock, &saved, saved.wall_ms - 90 * DAY_MS, WEFT_SEC);
    cr_expect_eq(clock.ms, saved.ms);
}

/* -- What was granted without a decision ------------------------------------------------ */

static weft_err set_auto(struct world *w, const weft_id *tree)
{
    return weft_join_mode_set(node(w, 0), tree, WEFT_JOIN_AUTO, w->author, WEFT_RIGHT_WRITE, 10,
                              CALL);
}

static weft_err read_spent(void *arg, const uint8_t *key_bytes, size_t key_len,
                           const uint8_t *value, size_t len)
{
    int64_t ms;
    (void)key_bytes;
    (void)key_len;
    return wf_join_spent_decode(value, len, arg, &ms);
}

Test(join_records, say_how_often_was_granted_without_a_decision)
{
    const uint8_t prefix = WF_REC_JOIN_SPENT;
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    uint32_t spent = 0;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL), WEFT_OK);
    cr_assert_eq(wf_store_record_each(node(w, 0)->table.wf_store, WF_CF_PEER, &prefix, 1,
                                      read_spent, &spent),
                 WEFT_OK);
    cr_expect_eq(spent, 1, "with the grant itself");
    world_destroy(w);
}

/* As the disk has it after so many grants, and the node opens. */
static void spend_all(struct world *w, const weft_id *tree)
{
    uint8_t bytes[WF_JOIN_SPENT_RECORD_MAX];
    size_t len = wf_join_spent_encode(WEFT_JOIN_AUTO_BURST, wf_wall_ms(node(w, 0)->table.rt),
                                      bytes);
    put_record(w, WF_REC_JOIN_SPENT, tree->bytes, sizeof tree->bytes, bytes, (uint32_t)len);
    restart(w);
}

/* All is spent, and neither a restart nor the mode that is set again gives any of it back. */
Test(join_records, of_what_was_granted_count_after_a_restart)
{
    struct world *w = world_create(5, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    spend_all(w, &tree);
    cr_assert_eq(set_auto(w, &tree), WEFT_OK);
    cr_assert_eq(set_auto(w, &tree), WEFT_OK);
    cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL), WEFT_AWAITING);
    world_run(w, WEFT_JOIN_AUTO_EVERY_NS);
    cr_assert_eq(set_auto(w, &tree), WEFT_OK);
    cr_expect_eq(join_ask(w, 2, &tree, WEFT_RIGHT_READ, NULL), WEFT_OK, "one came back");
    world_destroy(w);
}

/* Closed and opened, before and after a restart: what was granted counts as if it had been open. */
Test(join_records, of_what_was_granted_count_after_the_tree_was_closed_and_opened)
{
    struct world *w = world_create(6, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    spend_all(w, &tree);
    for (unsigned again = 0; again < 2; again++) {
        cr_assert_eq(
            weft_join_mode_set(node(w, 0), &tree, WEFT_JOIN_CLOSED, NULL, WEFT_RIGHT_NONE, 0, CALL),
            WEFT_OK);
        if (again) restart(w);
        cr_assert_eq(set_auto(w, &tree), WEFT_OK);
        cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL), WEFT_AWAITING, "%u", again);
    }
    world_run(w, WEFT_JOIN_AUTO_EVERY_NS);
    cr_expect_eq(join_ask(w, 2, &tree, WEFT_RIGHT_READ, NULL), WEFT_OK, "one came back");
    world_destroy(w);
}

Test(join_records, trees_that_are_closed_have_spent_what_they_had_until_it_has_come_back)
{
    struct wf_join_modes modes = {0};
    struct wf_join_mode mode = {.tree = {{1}}, .mode = WEFT_JOIN_AUTO, .right = WEFT_RIGHT_READ};
    const weft_ns later = WEFT_SEC + 2 * WEFT_JOIN_AUTO_EVERY_NS;
    cr_assert_eq(wf_join_modes_put_take(&modes, &mode), WEFT_OK);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(wf_join_modes_spend(&modes, &mode.tree, WEFT_SEC), "%u", i);
    mode.mode = WEFT_JOIN_CLOSED;
    cr_assert_eq(wf_join_modes_put_take(&modes, &mode), WEFT_OK);
    cr_expect_null(wf_join_modes_find(&modes, &mode.tree));
    cr_expect_not(wf_join_modes_spend(&modes, &mode.tree, WEFT_SEC));
    cr_expect_eq(wf_join_modes_left(&modes, &mode.tree, WEFT_SEC), 3);
    cr_expect_eq(wf_join_modes_left(&modes, &mode.tree, later), 1);
    wf_join_modes_resume(&modes, INT64_C(1000000000), later); /* all has */
    cr_expect_eq(modes.count, 0, "of a closed tree nothing is kept for ever");
    wf_join_modes_fini(&modes);
}

Test(join_records, modes_that_are_set_again_have_spent_what_they_had)
{
    struct wf_join_modes modes = {0};
    struct wf_join_mode mode = {.tree = {{1}}, .mode = WEFT_JOIN_AUTO, .right = WEFT_RIGHT_READ};
    cr_assert_eq(wf_join_modes_put_take(&modes, &mode), WEFT_OK);
    for (uint32_t i = 0; i < WEFT_JOIN_AUTO_BURST; i++) {
        cr_assert(wf_join_modes_spend(&modes, &mode.tree, WEFT_SEC), "%u", i);
        if (i % 7 == 0) cr_assert_eq(wf_join_modes_put_take(&modes, &mode), WEFT_OK);
    }
    cr_expect_not(wf_join_modes_spend(&modes, &mode.tree, WEFT_SEC));
    mode.mode = WEFT_JOIN_ASK;
    cr_assert_eq(wf_join_modes_put_take(&modes, &mode), WEFT_OK);
    mode.mode = WEFT_JOIN_AUTO;
    cr_assert_eq(wf_join_modes_put_take(&modes, &mode), WEFT_OK);
    cr_expect_not(wf_join_modes_spend(&modes, &mode.tree, WEFT_SEC));
    cr_expect(wf_join_modes_spend(&modes, &mode.tree, WEFT_SEC + WEFT_JOIN_AUTO_EVERY_NS));
    wf_join_modes_fini(&modes);
}
