/* SPDX-License-Identifier: Apache-2.0
 * test_faults.c - broken networks in the simulator: the secure channel notices every
 * lost, repeated, swapped or flipped segment, and nothing wrong is ever delivered.
 * Called by: the test runner. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "sim.h"

struct world {
    wf_sim *sim;
    weft_rt *rt;
    wf_net_hub *hub;
    struct rig_node a, b;
    uint64_t a_conn, b_conn;
    weft_err dialled;
    uint64_t seed;
};

static void world_up(struct world *w, uint64_t seed)
{
    wf_net *a, *b;
    memset(w, 0, sizeof *w);
    w->seed = seed;
    cr_assert_eq(wf_sim_create(seed, &w->sim), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(w->sim, &w->rt), WEFT_OK);
    cr_assert_eq(wf_net_hub_create(&w->hub), WEFT_OK);
    rig_start(&w->a, w->rt, &(struct rig_options){.identity = 1, .release = true});
    rig_start(&w->b, w->rt, &(struct rig_options){.identity = 2, .release = true});
    w->a.wait_ns = w->b.wait_ns = 200 * WEFT_SEC;
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, "a", &a), WEFT_OK);
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, "b", &b), WEFT_OK);
    cr_assert_eq(rig_add(&w->a, "net", a, "a:1"), WEFT_OK);
    cr_assert_eq(rig_add(&w->b, "net", b, ""), WEFT_OK);
    cr_assert_eq(rig_server(&w->a, "net", true), WEFT_OK);
}

static void world_down(struct world *w)
{
    rig_stop(&w->b);
    rig_stop(&w->a);
    cr_assert_eq(weft_rt_stop(w->rt, weft_rt_after(w->rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(w->rt), WEFT_OK);
    wf_net_hub_destroy(w->hub);
    wf_sim_destroy(w->sim);
}

static void pass(struct world *w, weft_ns time)
{
    wf_sim_run_until(w->sim, wf_sim_now(w->sim) + time);
    rig_look(&w->a);
    rig_look(&w->b);
}

static void join(struct world *w)
{
    w->dialled = rig_dial(&w->b, "mem:a:1", &w->a.identity.key, &w->b_conn);
    if (w->dialled != WEFT_OK || rig_wait(&w->a, RIG_UPS, 1) != WEFT_OK) return;
    w->a_conn = w->a.log->up[0].conn;
    (void)rig_stream(&w->a, w->a_conn, 1, true);
    (void)rig_stream(&w->b, w->b_conn, 1, true);
}

static uint64_t wrong(struct world *w)
{
    rig_look(&w->a);
    rig_look(&w->b);
    return w->a.log->count[RIG_WRONG] + w->b.log->count[RIG_WRONG];
}

static uint64_t downs(const struct world *w)
{
    return w->a.log->count[RIG_DOWNS] + w->b.log->count[RIG_DOWNS];
}

static const wf_net_faults calm = {
    .delay_min = WEFT_MS, .delay_max = 20 * WEFT_MS, .segment_max = 1400};

/* Traffic both ways over a network with one fault; it meets the fault for sure. */
static void broken(uint64_t seed, wf_net_faults faults)
{
    struct world w;
    world_up(&w, seed);
    wf_net_hub_faults(w.hub, &calm);
    join(&w);
    cr_assert_eq(w.dialled, WEFT_OK);
    wf_net_hub_faults(w.hub, &faults);
    rig_bulk(&w.b, w.b_conn, 1, 20, 100000);
    rig_bulk(&w.a, w.a_conn, 1, 20, 100000);
    pass(&w, 120 * WEFT_SEC);
    cr_expect_eq(wrong(&w), 0, "seed %llu", (unsigned long long)seed);
    cr_expect_eq(downs(&w), 2, "seed %llu: the fault was not noticed", (unsigned long long)seed);
    cr_expect_lt(w.a.log->count[RIG_BULKS] + w.b.log->count[RIG_BULKS], 40);
    world_down(&w);
}

#define SEEDS 8u

Test(faults, a_flipped_bit_ends_the_connection)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        wf_net_faults f = calm;
        f.corrupt_ppm = 20000;
        broken(seed, f);
    }
}

Test(faults, a_lost_segment_ends_the_connection)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        wf_net_faults f = calm;
        f.drop_ppm = 20000;
        broken(seed, f);
    }
}

Test(faults, a_repeated_segment_ends_the_connection)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        wf_net_faults f = calm;
        f.duplicate_ppm = 20000;
        broken(seed, f);
    }
}

Test(faults, a_swapped_segment_ends_the_connection)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        wf_net_faults f = calm;
        f.reorder_ppm = 20000;
        broken(seed, f);
    }
}

Test(faults, a_reset_ends_the_connection)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        wf_net_faults f = calm;
        f.reset_ppm = 20000;
        broken(seed, f);
    }
}

Test(faults, faults_during_the_handshake_never_let_a_wrong_peer_in)
{
    unsigned failed = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world w;
        world_up(&w, seed);
        wf_net_hub_faults(w.hub, &(wf_net_faults){.delay_max = WEFT_MS,
                                                  .segment_max = 50,
                                                  .corrupt_ppm = 60000,
                                                  .drop_ppm = 30000,
                                                  .reorder_ppm = 30000,
                                                  .dial_fail_ppm = 100000});
        join(&w);
        failed += w.dialled != WEFT_OK;
        for (uint64_t i = 0; i < w.a.log->count[RIG_UPS]; i++)
            cr_expect(weft_key_equal(&w.a.log->up[i].key, &w.b.identity.key));
        world_down(&w);
    }
    cr_expect(failed > 5 && failed < 40, "%u of 40 dials met a fault", failed);
}

Test(faults, delay_and_small_segments_alone_do_no_harm)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w;
        world_up(&w, seed);
        wf_net_hub_faults(w.hub, &(wf_net_faults){.delay_min = WEFT_MS,
                                                  .delay_max = 30 * WEFT_MS,
                                                  .segment_max = 1 + 100 * seed});
        join(&w);
        cr_assert_eq(w.dialled, WEFT_OK);
        rig_bulk(&w.b, w.b_conn, 1, 5, 50000);
        cr_expect_eq(rig_wait(&w.a, RIG_BULKS, 5), WEFT_OK);
        cr_expect_eq(wrong(&w) + downs(&w), 0);
        world_down(&w);
    }
}

Test(faults, a_short_cut_is_survived)
{
    struct world w;
    world_up(&w, 3);
    wf_net_hub_faults(w.hub, &calm);
    join(&w);
    wf_net_hub_partition(w.hub, "a", "b", true);
    rig_bulk(&w.b, w.b_conn, 1, 5, 50000);
    pass(&w, 10 * WEFT_SEC);
    cr_expect_eq(w.a.log->count[RIG_BULKS], 0);
    wf_net_hub_partition(w.hub, "a", "b", false);
    cr_expect_eq(rig_wait(&w.a, RIG_BULKS, 5), WEFT_OK);
    cr_expect_eq(wrong(&w) + downs(&w), 0);
    world_down(&w);
}

Test(faults, a_long_cut_is_noticed_on_both_sides_and_a_new_dial_joins_them)
{
    struct world w;
    world_up(&w, 4);
    wf_net_hub_faults(w.hub, &calm);
    join(&w);
    weft_ns begin = wf_sim_now(w.sim);
    wf_net_hub_partition(w.hub, "a", "b", true);
    cr_expect_eq(rig_wait(&w.a, RIG_DOWNS, 1), WEFT_OK);
    cr_expect_eq(rig_wait(&w.b, RIG_DOWNS, 1), WEFT_OK);
    cr_expect_eq(w.a.log->down[0].why, WEFT_TIMED_OUT);
    cr_expect_leq(wf_sim_now(w.sim) - begin, 63 * WEFT_SEC);
    cr_expect_eq(rig_dial(&w.b, "mem:a:1", NULL, NULL), WEFT_UNREACHABLE, "still cut");
    wf_net_hub_partition(w.hub, "a", "b", false);
    cr_expect_eq(rig_dial(&w.b, "mem:a:1", NULL, NULL), WEFT_OK);
    world_down(&w);
}

Test(faults, a_killed_host_breaks_its_connections)
{
    struct world w;
    world_up(&w, 5);
    join(&w);
    wf_net_hub_kill(w.hub, "a");
    cr_expect_eq(rig_wait(&w.b, RIG_DOWNS, 1), WEFT_OK);
    cr_expect_eq(w.b.log->down[0].why, WEFT_NETWORK);
    world_down(&w);
}

static void crossing(uint64_t seed)
{
    struct world w;
    wf_net *net;
    world_up(&w, seed);
    wf_net_hub_faults(w.hub, &calm);
    cr_assert_eq(wf_net_mem_create(w.hub, w.rt, "b2", &net), WEFT_OK);
    cr_assert_eq(rig_add(&w.b, "server", net, "b2:1"), WEFT_OK);
    cr_assert_eq(rig_server(&w.b, "server", true), WEFT_OK);
    /* Both at once: neither dial waits for the other. */
    struct rig_dialling ab = rig_dial_begin(&w.a, "mem:b2:1");
    struct rig_dialling ba = rig_dial_begin(&w.b, "mem:a:1");
    cr_expect_eq(rig_dial_end(&w.a, &ab, &w.a_conn), WEFT_OK, "seed %llu",
                 (unsigned long long)seed);
    cr_expect_eq(rig_dial_end(&w.b, &ba, &w.b_conn), WEFT_OK, "seed %llu",
                 (unsigned long long)seed);
    pass(&w, 5 * WEFT_SEC);
    struct rig_log *a = w.a.log, *b = w.b.log;
    cr_expect_eq(a->count[RIG_UPS] - a->count[RIG_DOWNS], 1, "seed %llu", (unsigned long long)seed);
    cr_expect_eq(b->count[RIG_UPS] - b->count[RIG_DOWNS], 1, "seed %llu", (unsigned long long)seed);
    const struct wf_tp_up *ua = &a->up[a->count[RIG_UPS] - 1], *ub = &b->up[b->count[RIG_UPS] - 1];
    cr_expect_arr_eq(ua->channel, ub->channel, 64, "seed %llu: two connections live",
                     (unsigned long long)seed);
    cr_expect_eq(ua->dialled, rig_lower(1, 2) == 1, "the lower key's stays");
    world_down(&w);
}

Test(faults, crossing_dials_leave_one_connection_the_same_on_both_sides)
{
    for (uint64_t seed = 1; seed <= 60; seed++) crossing(seed);
}

static uint64_t trace_of(uint64_t seed)
{
    struct world w;
    wf_net_faults f = calm;
    f.corrupt_ppm = 2000;
    world_up(&w, seed);
    wf_net_hub_faults(w.hub, &f);
    join(&w);
    if (w.dialled == WEFT_OK) rig_bulk(&w.b, w.b_conn, 1, 20, 60000);
    pass(&w, 60 * WEFT_SEC);
    uint64_t trace = wf_sim_trace(w.sim);
    world_down(&w);
    return trace;
}

Test(faults, one_seed_one_history)
{
    cr_expect_eq(trace_of(7), trace_of(7));
    cr_expect_neq(trace_of(7), trace_of(8));
}
