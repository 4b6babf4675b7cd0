/* SPDX-License-Identifier: Apache-2.0
 * test_world.c - whole nodes in the simulator: what the engine and the queue promise
 * together, from many seeds. WEFT_SIM_SEEDS sets how many, WEFT_SIM_SEED the first. */
#include <criterion/criterion.h>

#include "alloc.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)
#ifdef __SANITIZE_THREAD__
#define SEEDS 60 /* a world has one thread: there is nothing for it to find, and it is slow */
#else
#define SEEDS 200
#endif
#define HEAL (240 * WEFT_SEC) /* after the last fault: back-off ends at 64 s and a quarter */

static uint64_t seeds(void) { return world_seeds(SEEDS); }
static uint64_t first_seed(void) { return world_first_seed(1); }

static void commit_some(struct world *w, uint32_t count, uint32_t pause_ms)
{
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_eq(world_commit(w, world_below(w, w->count)), WEFT_OK, "seed %lu", w->seed);
        world_run(w, world_below(w, pause_ms + 1) * WEFT_MS);
    }
}

/* -- Without faults ------------------------------------------------------------------ */

static void quiet(enum world_shape shape, uint32_t kind, uint64_t seed)
{
    struct world *w = world_create(seed, shape, 4, kind);
    commit_some(w, 20, 5);
    cr_expect(world_converges(w, 5 * WEFT_SEC), "seed %lu: not equal", seed);
    weft_node_stats s = world_stats(w);
    cr_expect_eq(s.duplicates + s.redundant, 0, "seed %lu: %lu copies", seed,
                 s.duplicates + s.redundant);
    cr_expect_eq(s.sessions_failed, 0, "seed %lu: %lu sessions failed", seed, s.sessions_failed);
    cr_expect_eq(s.entries_received, 21u * 3, "seed %lu: %lu received", seed, s.entries_received);
    world_destroy(w);
}

Test(world, in_a_chain_nothing_comes_twice)
{
    for (uint64_t i = 0; i < seeds() / 20; i++) quiet(WORLD_CHAIN, WORLD_PLAIN, first_seed() + i);
}

Test(world, in_a_star_nothing_comes_twice)
{
    for (uint64_t i = 0; i < seeds() / 20; i++) quiet(WORLD_STAR, WORLD_PLAIN, first_seed() + i);
}

Test(world, an_actor_that_is_late_for_long_loses_nothing)
{
    for (uint64_t i = 0; i < seeds() / 5; i++)
        quiet(i % 2 == 0 ? WORLD_CHAIN : WORLD_STAR, WORLD_UNEVEN, first_seed() + i);
}

Test(world, a_commit_is_pushed_at_once)
{
    struct world *w = world_create(3, WORLD_CHAIN, 2, WORLD_PLAIN);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(world_commit(w, 0), WEFT_OK);
        cr_expect(world_converges(w, 10 * WEFT_MS), "it waited for a tick");
    }
    world_destroy(w);
}

Test(world, copies_that_cross_in_a_ring_are_redundant_and_no_duplicates)
{
    for (uint64_t seed = first_seed(); seed < first_seed() + seeds() / 20; seed++) {
        struct world *w = world_create(seed, WORLD_RING, 4, WORLD_PLAIN);
        commit_some(w, 20, 2);
        cr_expect(world_converges(w, 5 * WEFT_SEC), "seed %lu", seed);
        weft_node_stats s = world_stats(w);
        cr_expect_eq(s.duplicates, 0, "seed %lu: %lu duplicates", seed, s.duplicates);
        world_destroy(w);
    }
}

/* -- With faults --------------------------------------------------------------------- */

static wf_net_faults dice_faults(struct world *w)
{
    wf_net_faults f = {.delay_min = 100 * 1000, .delay_max = 100 * 1000};
    f.delay_max += world_below(w, 50) * WEFT_MS;
    if (world_below(w, 3) == 0) f.drop_ppm = 2000;
    if (world_below(w, 3) == 0) f.duplicate_ppm = 2000;
    if (world_below(w, 3) == 0) f.reorder_ppm = 2000;
    if (world_below(w, 3) == 0) f.corrupt_ppm = 2000;
    if (world_below(w, 2) == 0) f.reset_ppm = 3000;
    if (world_below(w, 3) == 0) f.dial_fail_ppm = 200000;
    if (world_below(w, 2) == 0) f.segment_max = 1 + world_below(w, 700);
    return f;
}

static void ignore(void *arg, weft_err err, const weft_result *result)
{
    (void)arg;
    (void)err;
    (void)result;
}

/* Begins a command that may fail or be cut short by whatever comes next. */
static void command(struct world *w, uint32_t a, uint32_t b)
{
    weft_node *node = w->nodes[a].node;
    const weft_key *peer = &w->nodes[b].key;
    weft_ns timeout = world_below(w, 2) == 0 ? WEFT_NEVER : world_below(w, 5000) * WEFT_MS;
    if (node == NULL || a == b) return;
    switch (world_below(w, 6)) {
    case 0: (void)weft_sync_tree_async(node, peer, &w->tree, timeout, ignore, NULL); break;
    case 1: (void)weft_sync_with_peer_async(node, peer, timeout, ignore, NULL); break;
    case 2: (void)weft_flush_async(node, timeout, ignore, NULL); break;
    case 3: (void)weft_connect_async(node, w->nodes[b].listen, NULL, timeout, ignore, NULL); break;
    case 4: (void)weft_stop_server(node, NULL, CALL); break;
    case 5: (void)weft_start_server(node, NULL, CALL); break;
    }
}

static void act(struct world *w)
{
    uint32_t a = world_below(w, w->count), b = world_below(w, w->count);
    switch (world_below(w, 15)) {
    case 12:
    case 13:
    case 14: command(w, a, b); break;
    case 0: world_cut(w, a, b, true); break;
    case 1: world_cut(w, a, b, false); break;
    case 2:
        if (w->nodes[a].node != NULL) world_kill(w, a);
        break;
    case 3:
        if (w->nodes[a].node == NULL) world_start(w, a);
        break;
    case 4: {
        wf_net_faults f = dice_faults(w);
        world_faults(w, &f);
        break;
    }
    case 5: world_run(w, world_below(w, 5000) * WEFT_MS); break;
    default:
        for (uint32_t i = world_below(w, 4); i > 0; i--) (void)world_commit(w, a);
        break;
    }
    world_run(w, world_below(w, 300) * WEFT_MS);
}

static void heal(struct world *w)
{
    world_faults(w, NULL);
    for (uint32_t a = 0; a < w->count; a++) {
        for (uint32_t b = 0; b < a; b++) world_cut(w, a, b, false);
        if (w->nodes[a].node == NULL) world_start(w, a);
        else (void)weft_start_server(w->nodes[a].node, NULL, CALL); /* EXISTS: it runs */
    }
}

/* Returns how many sessions were exact. */
static uint64_t storm(uint64_t seed, uint32_t kind)
{
    struct world *w = world_create(seed, (enum world_shape)(seed % 4), 2 + (uint32_t)(seed / 4 % 4),
                                   kind);
    for (int i = 0; i < 60; i++) act(w);
    heal(w);
    /* Without live push an entry goes one hop further with each periodic sync. */
    weft_ns hops = w->no_live_push ? w->count * WEFT_SYNC_INTERVAL_NS : 0;
    bool equal = world_converges(w, HEAL + hops);
    if (!equal) world_describe(w);
    uint32_t lost = equal && !w->forgetful ? world_lost(w) : 0;
    uint64_t damage = world_damage(w);
    cr_expect(equal && lost == 0 && damage == 0,
              "seed %lu: equal=%d, %u acknowledged commits lost, %lu things damaged", seed, equal,
              lost, damage);
    weft_node_stats s = world_stats(w);
    cr_expect_eq(s.offences, 0, "seed %lu: good peers were taken for others", seed);
    uint64_t exact = s.sessions_exact;
    world_destroy(w);
    return exact;
}

Test(world, all_hold_the_same_once_faults_end)
{
    for (uint64_t i = 0; i < seeds(); i++) storm(first_seed() + i, WORLD_PLAIN);
}

Test(world, all_hold_the_same_though_actors_are_late)
{
    for (uint64_t i = 0; i < seeds() / 4; i++) storm(first_seed() + i, WORLD_UNEVEN);
}

Test(world, all_hold_the_same_without_live_push)
{
    for (uint64_t i = 0; i < seeds() / 10; i++) storm(first_seed() + i, WORLD_NO_PUSH);
}

/* Like nodes that are restored from backups: others remember more of them than they do. */
Test(world, all_hold_the_same_though_some_forget)
{
    uint64_t exact = 0;
    for (uint64_t i = 0; i < seeds() / 4; i++) exact += storm(first_seed() + i, WORLD_FORGETFUL);
    cr_expect(exact > 0 || seeds() < 40, "nobody noticed");
}

/* -- With disks that fail and come back ---------------------------------------------------- */

static void restart_failed(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->nodes[i].node == NULL || wf_counter_get(&w->nodes[i].node->failed) == 0) continue;
        world_kill(w, i);
        world_start(w, i);
    }
}

static void act_on_a_disk(struct world *w)
{
    struct world_node *n = &w->nodes[world_below(w, w->count)];
    if (n->node == NULL) return;
    size_t unsynced = wf_kv_memory_unsynced(n->kv);
    switch (world_below(w, 4)) {
    case 0: wf_kv_memory_fail_at(n->kv, 1 + world_below(w, 4), WEFT_IO, true); break;
    case 1: wf_kv_memory_fail_at(n->kv, 1 + world_below(w, 4), WEFT_NO_SPACE, false); break;
    case 2: wf_kv_memory_fail_at(n->kv, 0, WEFT_OK, false); break; /* what failed is there */
    case 3: /* it is lost, or something else is that nobody was promised: then the node stops */
        if (wf_kv_failed(n->kv) != WEFT_OK && unsynced > 0) wf_kv_memory_crash(n->kv, unsynced - 1);
        break;
    }
}

static uint64_t disk_storm(uint64_t seed)
{
    struct world *w = world_create(seed, (enum world_shape)(seed % 4), 2 + (uint32_t)(seed / 4 % 3),
                                   WORLD_PLAIN);
    uint64_t outages = 0;
    for (int i = 0; i < 60; i++) {
        act(w);
        act_on_a_disk(w);
        if (world_below(w, 8) == 0) restart_failed(w);
    }
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].node != NULL) wf_kv_memory_fail_at(w->nodes[i].kv, 0, WEFT_OK, false);
    world_run(w, 31 * WEFT_SEC); /* the longest pause between two tries */
    restart_failed(w);
    heal(w);
    bool equal = world_converges(w, HEAL);
    if (!equal) world_describe(w);
    for (uint32_t i = 0; i < w->count; i++) {
        struct wf_store_counters counters;
        wf_store_counters_read(w->nodes[i].node->table.wf_store, &counters);
        outages += counters.outages;
    }
    uint32_t lost = equal ? world_lost(w) : 0;
    uint64_t damage = world_damage(w);
    cr_expect(equal && lost == 0 && damage == 0,
              "seed %lu: equal=%d, %u acknowledged commits lost, %lu things damaged", seed, equal,
              lost, damage);
    world_destroy(w);
    return outages;
}

Test(world, all_hold_the_same_once_disks_work_again)
{
    uint64_t outages = 0;
    for (uint64_t i = 0; i < seeds() / 4; i++) outages += disk_storm(first_seed() + i);
    cr_expect(outages > 0 || seeds() < 40, "no store went on after a failure");
}

/* -- Short of memory ----------------------------------------------------------------- */

static void starve(uint64_t seed, uint64_t nth)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 3, WORLD_PLAIN);
    wf_alloc_fail_at(nth, 0);
    for (int i = 0; i < 3; i++) (void)world_commit(w, world_below(w, 3));
    for (uint32_t i = 0; i < 3; i++)
        (void)weft_sync_tree_async(w->nodes[i].node, &w->nodes[i == 0].key, &w->tree,
                                   world_below(w, 5000) * WEFT_MS, ignore, NULL);
    world_run(w, 100 * WEFT_MS);
    wf_alloc_fail_at(0, 0);
    restart_failed(w); /* an actor that cannot go on stops its node: its owner starts it again */
    bool equal = world_converges(w, HEAL);
    if (!equal) world_describe(w);
    cr_expect(equal, "seed %lu: not equal after allocation %lu failed", seed, nth);
    cr_expect_eq(world_lost(w), 0, "seed %lu, allocation %lu", seed, nth);
    world_destroy(w);
}

Test(world, any_one_allocation_may_fail)
{
    for (uint64_t nth = 1; nth < 3 * seeds(); nth++) starve(1 + nth % 3, nth);
}

static uint64_t trace_of(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_RING, 3, WORLD_PLAIN);
    for (int i = 0; i < 10; i++) act(w);
    uint64_t trace = wf_sim_trace(w->sim);
    world_destroy(w);
    return trace;
}

Test(world, a_seed_replays_the_same_world)
{
    cr_expect_eq(trace_of(5), trace_of(5));
    cr_expect_neq(trace_of(5), trace_of(6));
}
