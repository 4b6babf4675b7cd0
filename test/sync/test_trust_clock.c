/* SPDX-License-Identifier: Apache-2.0
 * test_trust_clock.c - a wall clock that jumps by years while small worlds sync, ask to be let in, look
 * back and restart.
 * WEFT_SIM_SEEDS sets how many worlds, WEFT_SIM_SEED the first.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>

#include <weft/access.h>
#include <weft/history.h>

#include "join_kit.h"

#define YEAR_MS INT64_C(31556952000)
#define POLLS (3 * WEFT_JOIN_POLL_NS)
#define LONG (2400 * WEFT_SEC)

enum { NODES = 4 };

static void each_seed(uint64_t fallback, void (*play)(uint64_t seed))
{
    for (uint64_t i = 0; i < world_seeds(fallback); i++) play(world_first_seed(1) + i);
}

/* Up to ten years in either direction from the right time. */
static void jump(struct world *w)
{
    int64_t ms = (int64_t)(wf_sim_random(w->sim) % (uint64_t)(20 * YEAR_MS)) - 10 * YEAR_MS;
    wf_sim_wall_shift(w->sim, ms);
}

static weft_err every(struct world *w, uint32_t i, uint64_t seconds)
{
    const weft_sync_settings s = {
        .enabled = true, .on_commit = true, .has_interval = true, .interval_s = seconds};
    return weft_settings_put(node(w, i), &w->tree, NULL, &s, CALL);
}

/* Timers know nothing of the wall clock: what is due in 20 seconds comes then. */
static void jumping_timers(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    cr_assert_eq(every(w, 1, 86400), WEFT_OK); /* nothing comes from there by itself */
    world_run(w, 2 * WEFT_SEC);                /* both have opened what they share */
    jump(w);
    cr_assert_eq(every(w, 0, 20), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    for (int i = 0; i < 19; i++) {
        jump(w);
        world_run(w, WEFT_SEC);
    }
    cr_expect_not(world_equal(w), "seed %lu: before its time", seed);
    jump(w);
    world_run(w, 3 * WEFT_SEC);
    cr_expect(world_equal(w), "seed %lu: after its time", seed);
    world_destroy(w);
}

Test(trust_clock, what_is_due_in_20_seconds_comes_then_whatever_the_wall_clock_does)
{
    each_seed(6, jumping_timers);
}

struct jumping {
    struct world *w;
    weft_id tree; /* its heights are times; nodes ask node 0 to be let in */
    weft_writer *writer;
    bool approved[NODES];
};

static void open_times(struct jumping *j)
{
    weft_err err = weft_writer_open(node(j->w, 0), &j->tree, j->w->author, &j->writer);
    cr_assert_eq(err, WEFT_OK, "seed %lu: %s", j->w->seed, weft_errname(err));
}

/* Who decides may come too late: by its clock the request has expired. */
static void decide(struct jumping *j)
{
    static weft_join_request all[WEFT_JOINS_MAX];
    size_t count = WEFT_JOINS_MAX;
    struct world *w = j->w;
    cr_assert_eq(weft_join_list(node(w, 0), WEFT_JOIN_PENDING, CALL, all, &count), WEFT_OK);
    for (size_t k = 0; k < count; k++) {
        bool yes = world_below(w, 3) > 0;
        weft_err err = yes ? weft_join_approve(node(w, 0), all[k].id, w->author, CALL)
                           : weft_join_reject(node(w, 0), all[k].id, w->author, CALL);
        cr_expect(err == WEFT_OK || err == WEFT_STATE, "seed %lu: %s", w->seed, weft_errname(err));
        for (uint32_t i = 1; yes && err == WEFT_OK && i < NODES; i++)
            if (weft_key_equal(&all[k].key, key(w, i))) j->approved[i] = true;
    }
}

static void ask_in(struct jumping *j, uint32_t i)
{
    weft_err err = join_ask(j->w, i, &j->tree, WEFT_RIGHT_READ, NULL);
    cr_expect(err == WEFT_OK || err == WEFT_AWAITING, "seed %lu: node %u: %s", j->w->seed, i,
              weft_errname(err));
}

/* What is remembered of a peer stays in its order, and what is asked of it is answered. */
static void look_back(struct world *w, uint32_t i)
{
    static weft_sync_record records[WEFT_HISTORY_PER_PEER_MAX];
    static weft_address_info addresses[WEFT_ADDRESSES_PER_PEER_MAX];
    size_t count = WEFT_HISTORY_PER_PEER_MAX;
    const weft_key *peer = key(w, i == 0 ? 1 : 0);
    cr_expect_eq(weft_history(node(w, i), peer, CALL, records, &count), WEFT_OK);
    for (size_t k = 1; k < count; k++)
        cr_expect_lt(records[k].number, records[k - 1].number, "seed %lu: newest first", w->seed);
    for (size_t k = 0; k < count; k++)
        cr_expect_lt(records[k].took_ns, 3600 * WEFT_SEC, "seed %lu: %lu ns", w->seed,
                     records[k].took_ns);
    count = WEFT_ADDRESSES_PER_PEER_MAX;
    cr_expect_eq(weft_peer_addresses(node(w, i), peer, NULL, CALL, addresses, &count), WEFT_OK);
    if (i > 0) return; /* node 0 was told by hand, and that does not age */
    cr_expect_geq(count, 1, "seed %lu", w->seed);
}

static void live_on(struct jumping *j)
{
    struct world *w = j->w;
    uint32_t i = world_below(w, NODES);
    if (world_below(w, 2) == 0) jump(w);
    switch (world_below(w, 9)) {
    case 0:
        if (i > 0 && !j->approved[i]) ask_in(j, i);
        break;
    case 1: decide(j); break;
    case 2:
        cr_expect_eq(weft_commit(j->writer, "log", "x", 1, CALL, NULL), WEFT_OK, "seed %lu",
                     w->seed);
        break;
    case 3: cr_expect_eq(every(w, i, 5 + world_below(w, 50)), WEFT_OK); break;
    case 4: look_back(w, i); break;
    case 5:
        if (i == 0) weft_writer_close(j->writer);
        world_kill(w, i);
        world_start(w, i);
        if (i == 0) open_times(j);
        break;
    default: cr_expect_eq(world_commit(w, i), WEFT_OK, "seed %lu", w->seed); break;
    }
    world_run(w, world_below(w, 20000) * WEFT_MS);
}

static void jumping_years(uint64_t seed)
{
    struct jumping j = {.w = world_create(seed, WORLD_STAR, NODES, WORLD_PLAIN)};
    const weft_root_spec root = {.height = WEFT_HEIGHT_TIMESTAMP, .entropy = {44}};
    struct world *w = j.w;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &j.tree), WEFT_OK);
    cr_assert_eq(
        weft_join_mode_set(node(w, 0), &j.tree, WEFT_JOIN_ASK, NULL, WEFT_RIGHT_NONE, 0, CALL),
        WEFT_OK);
    open_times(&j);
    for (int i = 0; i < 60; i++) live_on(&j);
    wf_sim_wall_shift(w->sim, 0);
    cr_expect(world_converges(w, LONG), "seed %lu", seed);
    world_run(w, POLLS);
    for (uint32_t i = 1; i < NODES; i++) {
        /* By the clock of who asked, the question may have been forgotten. */
        if (!j.approved[i]) ask_in(&j, i);
        decide(&j);
        if (join_entries(w, i, &j.tree) == 0 && j.approved[i]) ask_in(&j, i);
        world_run(w, POLLS);
        bool may = join_right(w, 0, &j.tree, key(w, i)) == WEFT_RIGHT_READ;
        cr_expect_eq(may, j.approved[i], "seed %lu: node %u", seed, i);
        cr_expect_eq(join_entries(w, i, &j.tree), may ? join_entries(w, 0, &j.tree) : 0,
                     "seed %lu: node %u", seed, i);
    }
    cr_expect_eq(world_lost(w), 0, "seed %lu", seed);
    cr_expect_eq(world_damage(w), 0, "seed %lu", seed);
    weft_writer_close(j.writer);
    world_destroy(w);
}

Test(trust_clock, a_clock_that_jumps_by_years_breaks_nothing) { each_seed(6, jumping_years); }
