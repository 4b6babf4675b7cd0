/* SPDX-License-Identifier: Apache-2.0
 * test_settings.c - who tracks a tree and how, in small worlds: which trees are served, when their
 * entries are pushed, how often they are synced, and that this outlives crashes.
 * WEFT_SIM_SEEDS sets how many worlds close a gate, WEFT_SIM_SEED the first.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include <weft/access.h>

#include "access_actor.h"
#include "alloc.h"
#include "frame.h"
#include "wire.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)
#define DAY_S 86400u

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static const weft_key alice = {{0xa1}}, bob = {{0xb0}};
static const weft_sync_settings on = {.enabled = true, .on_commit = true}, off;

/* Not by their bytes: between the fields may be any. */
static bool same(const weft_sync_settings *a, const weft_sync_settings *b)
{
    bool is = a->enabled == b->enabled && a->on_commit == b->on_commit &&
              a->has_interval == b->has_interval && a->interval_s == b->interval_s &&
              a->properties_count == b->properties_count;
    for (uint32_t i = 0; is && i < a->properties_count; i++)
        is = strcmp(a->properties[i].key, b->properties[i].key) == 0 &&
             strcmp(a->properties[i].value, b->properties[i].value) == 0;
    return is;
}

static weft_err put(struct world *w, uint32_t i, const weft_key *who, weft_sync_settings s)
{
    return weft_settings_put(node(w, i), &w->tree, who, &s, CALL);
}

static weft_err put_interval(struct world *w, uint32_t i, const weft_key *who, uint64_t seconds)
{
    weft_sync_settings s = on;
    s.has_interval = true;
    s.interval_s = seconds;
    return put(w, i, who, s);
}

static weft_err leave(struct world *w, uint32_t i, const weft_key *who)
{
    return weft_settings_remove(node(w, i), &w->tree, who, CALL);
}

static weft_err combined(struct world *w, uint32_t i, weft_sync_settings *out)
{
    return weft_settings_combined(node(w, i), &w->tree, CALL, out);
}

/* Node 0 asks node 1 for the tree. */
static weft_err fetch(struct world *w)
{
    return weft_sync_tree(node(w, 0), key(w, 1), &w->tree, CALL, NULL);
}

/* -- The gate --------------------------------------------------------------------------- */

Test(settings, nobody_tracks_nobody_is_served)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_sync_settings s;
    cr_expect_eq(fetch(w), WEFT_OK);
    cr_assert_eq(leave(w, 1, NULL), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_TREE);
    cr_expect_eq(combined(w, 1, &s), WEFT_NOT_FOUND);
    cr_expect_eq(weft_settings_get(node(w, 1), &w->tree, NULL, CALL, &s), WEFT_NOT_FOUND);
    cr_expect_eq(weft_settings_enable(node(w, 1), &w->tree, NULL, true, CALL), WEFT_NOT_FOUND);
    cr_expect_eq(leave(w, 1, NULL), WEFT_NOT_FOUND);
    cr_assert_eq(put(w, 1, &alice, off), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_TREE, "somebody tracks it, disabled");
    cr_assert_eq(put(w, 1, &alice, on), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_OK, "and who may read it was not forgotten");
    world_destroy(w);
}

Test(settings, one_of_two_leaves_and_it_stays_served)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_sync_settings s;
    cr_assert_eq(put(w, 1, &alice, on), WEFT_OK);
    cr_assert_eq(weft_settings_get(node(w, 1), &w->tree, NULL, CALL, &s), WEFT_OK);
    cr_assert_eq(put(w, 1, &bob, on), WEFT_OK);
    cr_assert_eq(weft_tree_unfollow(node(w, 1), &w->tree, CALL), WEFT_OK);
    cr_expect_eq(weft_settings_get(node(w, 1), &w->tree, NULL, CALL, &s), WEFT_NOT_FOUND);
    cr_assert_eq(weft_tree_follow(node(w, 1), &w->tree, key(w, 0), 1, CALL), WEFT_OK);
    cr_assert_eq(leave(w, 1, NULL), WEFT_OK);
    cr_assert_eq(leave(w, 1, &alice), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_OK, "bob has it enabled");
    cr_assert_eq(weft_settings_enable(node(w, 1), &w->tree, &bob, false, CALL), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_TREE);
    cr_assert_eq(combined(w, 1, &s), WEFT_OK);
    cr_expect(!s.enabled && s.on_commit, "the rest stays as it was");
    cr_assert_eq(weft_settings_enable(node(w, 1), &w->tree, &bob, true, CALL), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_OK);
    cr_assert_eq(leave(w, 1, &bob), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_TREE, "nobody is left");
    cr_expect_eq(combined(w, 1, &s), WEFT_NOT_FOUND);
    world_destroy(w);
}

Test(settings, the_node_unfollows_and_another_principal_keeps_the_tree)
{
    struct world *w = world_create(3, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    cr_assert_eq(put(w, 1, &alice, on), WEFT_OK);
    cr_assert_eq(weft_tree_unfollow(node(w, 1), &w->tree, CALL), WEFT_OK);
    cr_expect(world_info(w, 1).followed);
    cr_expect_eq(fetch(w), WEFT_TREE, "the node's own list is empty");
    cr_assert_eq(leave(w, 1, &alice), WEFT_OK);
    cr_expect_not(world_info(w, 1).followed);
    world_destroy(w);
}

Test(settings, what_is_combined_is_told)
{
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_sync_settings a = {.enabled = true,
                            .has_interval = true,
                            .interval_s = 60,
                            .properties_count = 2,
                            .properties = {{"colour", "red"}, {"shape", "round"}}},
                       b = {.on_commit = true,
                            .has_interval = true,
                            .interval_s = 20,
                            .properties_count = 1,
                            .properties = {{"colour", "blue"}}},
                       s;
    cr_assert_eq(leave(w, 1, NULL), WEFT_OK);
    cr_assert_eq(put(w, 1, &bob, b), WEFT_OK);
    cr_assert_eq(put(w, 1, &alice, a), WEFT_OK);
    cr_assert_eq(put(w, 1, &bob, b), WEFT_OK); /* equal: no later change than alice's */
    cr_assert_eq(combined(w, 1, &s), WEFT_OK);
    cr_expect(s.enabled && s.on_commit && s.has_interval && s.interval_s == 20);
    cr_expect_eq(s.properties_count, 2);
    cr_expect_str_eq(s.properties[0].value, "red");
    b.properties[0].value[0] = 'B';
    cr_assert_eq(put(w, 1, &bob, b), WEFT_OK);
    cr_assert_eq(combined(w, 1, &s), WEFT_OK);
    cr_expect_str_eq(s.properties[0].value, "Blue");
    cr_assert_eq(weft_settings_get(node(w, 1), &w->tree, &alice, CALL, &s), WEFT_OK);
    cr_expect(same(&s, &a));
    world_destroy(w);
}

Test(settings, writing_goes_on_where_nobody_is_served)
{
    struct world *w = world_create(5, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    cr_assert_eq(weft_settings_enable(node(w, 1), &w->tree, NULL, false, CALL), WEFT_OK);
    cr_expect_eq(world_commit(w, 1), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_TREE);
    cr_expect_eq(weft_flush(node(w, 1), CALL, NULL), WEFT_OK, "nobody is to have it now");
    cr_expect_eq(world_info(w, 0).entries, 2, "nothing of it came");
    cr_expect_eq(world_info(w, 1).entries, 2, "and nothing was taken");
    cr_assert_eq(weft_settings_enable(node(w, 1), &w->tree, NULL, true, CALL), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_OK);
    cr_expect(world_equal(w) && world_info(w, 0).entries == 3);
    world_destroy(w);
}

Test(settings, what_is_enabled_again_is_synced_at_once)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_eq(weft_settings_enable(node(w, 1), &w->tree, NULL, false, CALL), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    world_run(w, 20 * WEFT_SEC);
    cr_expect_not(world_equal(w));
    cr_assert_eq(weft_settings_enable(node(w, 1), &w->tree, NULL, true, CALL), WEFT_OK);
    cr_expect(world_converges(w, WEFT_SEC), "and not when a back-off ends");
    world_destroy(w);
}

static uint64_t failures(struct world *w, uint32_t i)
{
    weft_node_stats s;
    cr_assert_eq(weft_node_stats_get(node(w, i), &s), WEFT_OK);
    return s.sessions_failed;
}

Test(settings, a_tree_that_is_not_served_is_not_asked_for_either)
{
    struct world *w = world_create(39, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_eq(weft_settings_enable(node(w, 0), &w->tree, NULL, false, CALL), WEFT_OK);
    (void)weft_peer_unrelate(node(w, 1), key(w, 0), &w->tree, CALL); /* it asks for nothing */
    world_run(w, WEFT_SEC);
    uint64_t before = failures(w, 0);
    wf_net_hub_kill(w->hub->hub, w->nodes[0].host);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, 400 * WEFT_SEC); /* connected again, and each tick was there */
    cr_expect_eq(world_stats(w).connections, 2);
    cr_expect_eq(failures(w, 0), before);
    world_destroy(w);
}

/* -- At once ---------------------------------------------------------------------------- */

struct watch {
    bool closed; /* whoever closed the gate was answered */
    uint64_t before, after;
};

static void watch(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                  uint32_t type)
{
    struct watch *o = w->judge_arg;
    bool content = type == WF_F_ENTRIES || type == WF_F_PUSH || type == WF_F_IDS;
    (void)to;
    if (from != 0 || !content || tree == NULL || !weft_id_equal(tree, &w->tree)) return;
    if (o->closed) o->after++;
    else o->before++;
}

enum { BY_LEAVING, BY_DISABLING, BY_PUTTING, BY_LIST, WAYS };

static weft_err close_gate(struct world *w, uint32_t way)
{
    if (way == BY_LEAVING) return leave(w, 0, NULL);
    if (way == BY_DISABLING) return weft_settings_enable(node(w, 0), &w->tree, NULL, false, CALL);
    if (way == BY_PUTTING) return put(w, 0, NULL, off);
    return weft_principal_sync(node(w, 0), NULL, NULL, 0, CALL);
}

static void on_result(void *arg, weft_err err, const weft_result *result)
{
    (void)err;
    (void)result;
    if (arg != NULL) ++*(uint32_t *)arg;
}

/* Ten megabytes are on their way over a slow network when the gate closes. */
static void close_midway(uint64_t seed)
{
    bool push = seed / WAYS % 2 == 1;
    struct world *w = world_create(seed, WORLD_CHAIN, 2, push ? WORLD_PLAIN : WORLD_NO_PUSH);
    const wf_net_faults slow = {.delay_min = 50 * WEFT_MS, .delay_max = 80 * WEFT_MS};
    struct watch o = {0};
    if (push) world_faults(w, &slow);
    for (unsigned i = 0; i < 40; i++) cr_assert_eq(world_commit_bytes(w, 0, 250000), WEFT_OK);
    world_faults(w, &slow);
    w->judge = watch;
    w->judge_arg = &o;
    if (!push)
        cr_assert_eq(weft_sync_tree_async(node(w, 1), key(w, 0), &w->tree, CALL, on_result, NULL),
                     WEFT_OK);
    world_run(w, 600 * WEFT_MS + world_below(w, 1000) * WEFT_MS);
    cr_assert_eq(close_gate(w, (uint32_t)(seed % WAYS)), WEFT_OK, "seed %lu", seed);
    o.closed = true;
    world_run(w, 10 * WEFT_SEC);
    cr_expect_gt(o.before, 0, "seed %lu: nothing was on its way", seed);
    cr_expect_eq(o.after, 0, "seed %lu: %lu pieces came after the answer", seed, o.after);
    cr_expect_lt(world_info(w, 1).entries, 41, "seed %lu: all of it was through", seed);
    world_destroy(w);
}

Test(settings, untracking_closes_the_gate_at_once)
{
    for (uint64_t i = 0; i < world_seeds(16); i++) close_midway(world_first_seed(1) + i);
}

/* -- The interval ----------------------------------------------------------------------- */

/* A world in which node 1 syncs nothing by itself for days. */
static struct world *slow_world(uint64_t seed, uint32_t kind)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, kind);
    cr_assert_eq(put_interval(w, 1, NULL, DAY_S), WEFT_OK);
    world_run(w, 2 * WEFT_SEC); /* both have opened what they share */
    return w;
}

/* Node 1 has something new; does node 0 fetch it between these two times from now? */
static void expect_between(struct world *w, uint64_t from_s, uint64_t to_s)
{
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    world_run(w, from_s * WEFT_SEC);
    cr_expect_not(world_equal(w), "before %lu s", from_s);
    world_run(w, (to_s - from_s) * WEFT_SEC);
    cr_expect(world_equal(w), "after %lu s", to_s);
}

Test(settings, an_interval_shrinks_grows_and_vanishes)
{
    struct world *w = slow_world(7, WORLD_NO_PUSH);
    cr_assert_eq(put_interval(w, 0, &alice, 20), WEFT_OK);
    expect_between(w, 19, 22);
    cr_assert_eq(put_interval(w, 0, &bob, 5), WEFT_OK);
    expect_between(w, 4, 6);
    expect_between(w, 0, 6);
    cr_assert_eq(put_interval(w, 0, &bob, 100), WEFT_OK); /* alice's is the least now */
    expect_between(w, 19, 22);
    cr_assert_eq(leave(w, 0, &alice), WEFT_OK);
    expect_between(w, 99, 102);
    cr_assert_eq(put(w, 0, &bob, on), WEFT_OK);
    expect_between(w, 298, 303); /* the node's own */
    world_destroy(w);
}

Test(settings, an_interval_that_is_changed_more_often_than_it_is_long_passes)
{
    struct world *w = slow_world(16, WORLD_NO_PUSH);
    const uint64_t asked[] = {20, 40, DAY_S}; /* in turn, for 5 s each */
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    for (uint64_t s = 0; s < 35; s += 5) {
        cr_expect_not(world_equal(w), "after %lu s", s);
        cr_assert_eq(put_interval(w, 0, &alice, asked[s / 5 % 3]), WEFT_OK);
        world_run(w, 5 * WEFT_SEC);
    }
    world_run(w, 2 * WEFT_SEC);
    cr_expect(world_equal(w), "15 s of 20 and 10 s of 40 are a whole period");
    world_destroy(w);
}

Test(settings, the_interval_of_a_tree_that_is_not_served_does_not_count)
{
    struct world *w = slow_world(8, WORLD_NO_PUSH);
    weft_sync_settings s = {.has_interval = true, .interval_s = 3};
    weft_id other = {{5}};
    cr_assert_eq(weft_settings_put(node(w, 0), &other, &alice, &s, CALL), WEFT_OK);
    cr_assert_eq(put_interval(w, 0, &alice, 20), WEFT_OK);
    expect_between(w, 19, 22);
    cr_assert_eq(weft_settings_enable(node(w, 0), &other, &alice, true, CALL), WEFT_OK);
    expect_between(w, 2, 4);
    world_destroy(w);
}

Test(settings, zero_is_refused)
{
    struct world *w = world_create(9, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_sync_settings s;
    cr_expect_eq(put_interval(w, 0, &alice, 0), WEFT_INVALID);
    cr_expect_eq(put_interval(w, 0, &alice, WEFT_INTERVAL_S_MAX + 1), WEFT_INVALID);
    weft_tracked list[2] = {{w->tree, on}, {{{5}}, on}};
    list[1].settings.has_interval = true;
    cr_expect_eq(weft_principal_sync(node(w, 0), &alice, list, 2, CALL), WEFT_INVALID);
    cr_expect_eq(weft_settings_get(node(w, 0), &w->tree, &alice, CALL, &s), WEFT_NOT_FOUND);
    world_destroy(w);
}

/* -- On commit -------------------------------------------------------------------------- */

static void expect_waits(struct world *w, weft_ns time)
{
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, time);
    cr_expect_not(world_equal(w));
}

Test(settings, off_commit_pushes_nothing_until_flush_or_the_interval)
{
    struct world *w = slow_world(10, WORLD_PLAIN);
    weft_sync_settings s = {.enabled = true, .has_interval = true, .interval_s = DAY_S};
    cr_assert_eq(put(w, 0, NULL, s), WEFT_OK);
    expect_waits(w, 400 * WEFT_SEC); /* all ticks but the periodic one have passed */
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(world_info(w, 0).entries, 3, "what the other one pushes comes");
    cr_expect_eq(weft_flush(node(w, 0), CALL, NULL), WEFT_OK);
    cr_expect(world_equal(w));
    for (unsigned i = 0; i < 600; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
    expect_waits(w, WEFT_SEC);
    cr_expect_eq(weft_sync_tree(node(w, 1), key(w, 0), &w->tree, CALL, NULL), WEFT_OK);
    cr_expect(world_equal(w), "more than is kept in memory");
    s.interval_s = 30;
    cr_assert_eq(put(w, 0, NULL, s), WEFT_OK);
    expect_waits(w, 29 * WEFT_SEC);
    world_run(w, 2 * WEFT_SEC);
    cr_expect(world_equal(w));
    weft_node_stats stats = world_stats(w);
    cr_expect_eq(stats.duplicates + stats.redundant, 0);
    world_destroy(w);
}

Test(settings, on_commit_again_pushes_what_has_waited)
{
    struct world *w = slow_world(11, WORLD_PLAIN);
    weft_sync_settings s = on;
    s.on_commit = false;
    cr_assert_eq(put(w, 0, NULL, s), WEFT_OK);
    expect_waits(w, 2 * WEFT_SEC);
    cr_assert_eq(put(w, 0, &alice, on), WEFT_OK); /* one who wants it is enough */
    world_run(w, 100 * WEFT_MS);
    cr_expect(world_equal(w));
    cr_assert_eq(leave(w, 0, &alice), WEFT_OK);
    expect_waits(w, 2 * WEFT_SEC);
    world_destroy(w);
}

Test(settings, what_waits_is_not_synced_anew_with_a_peer_that_is_not_live)
{
    struct world *w = slow_world(38, WORLD_PLAIN);
    weft_sync_settings s = {.enabled = true, .has_interval = true, .interval_s = DAY_S};
    w->no_live_push = true; /* node 1's next life: its sessions end when both are equal */
    world_kill(w, 1);
    world_start(w, 1);
    cr_assert_eq(put(w, 0, NULL, s), WEFT_OK);
    world_run(w, 20 * WEFT_SEC);
    expect_waits(w, 40 * WEFT_SEC);
    cr_assert_eq(put(w, 0, NULL, on), WEFT_OK);
    world_run(w, 3 * WEFT_SEC);
    cr_expect(world_equal(w), "the retry tick finds who is behind");
    world_destroy(w);
}

/* -- Lists of principals ---------------------------------------------------------------- */

static uint64_t batches(struct world *w, uint32_t i)
{
    weft_node_stats s;
    cr_assert_eq(weft_node_stats_get(node(w, i), &s), WEFT_OK);
    return s.batches;
}

static uint32_t trees_of(struct world *w, const weft_key *who, weft_id out[8])
{
    size_t count = 8;
    cr_assert_eq(weft_principal_trees(node(w, 0), who, CALL, out, &count), WEFT_OK);
    return (uint32_t)count;
}

Test(settings, principal_sync_is_idempotent_and_one_batch)
{
    struct world *w = world_create(12, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_tracked list[3] = {{{{9}}, on}, {w->tree, off}, {{{5}}, on}};
    weft_id got[8];
    weft_tree_info info;
    weft_sync_settings s;
    for (unsigned round = 0; round < 2; round++) {
        uint64_t before = batches(w, 0);
        cr_assert_eq(weft_principal_sync(node(w, 0), &alice, list, 3, CALL), WEFT_OK);
        cr_expect_eq(batches(w, 0) - before, round == 0 ? 1 : 0);
    }
    cr_assert_eq(trees_of(w, &alice, got), 3);
    for (unsigned i = 1; i < 3; i++) cr_expect_lt(weft_id_compare(&got[i - 1], &got[i]), 0);
    cr_expect_eq(trees_of(w, &bob, got), 0);
    for (unsigned i = 0; i < 3; i += 2) {
        cr_assert_eq(weft_tree_info_get(node(w, 0), &list[i].tree, &info), WEFT_OK);
        cr_expect(info.followed && !info.has_root);
    }
    cr_assert_eq(combined(w, 0, &s), WEFT_OK);
    cr_expect(s.enabled, "the node has it enabled");
    list[1].tree = list[0].tree;
    cr_expect_eq(weft_principal_sync(node(w, 0), &alice, list, 2, CALL), WEFT_INVALID);
    uint64_t before = batches(w, 0);
    cr_assert_eq(weft_principal_sync(node(w, 0), &alice, list, 1, CALL), WEFT_OK);
    cr_expect_eq(batches(w, 0) - before, 1);
    cr_assert_eq(trees_of(w, &alice, got), 1);
    cr_expect(weft_id_equal(&got[0], &list[0].tree));
    cr_assert_eq(weft_tree_info_get(node(w, 0), &list[2].tree, &info), WEFT_OK);
    cr_expect_not(info.followed, "nobody is left there");
    cr_assert_eq(weft_principal_sync(node(w, 0), &alice, NULL, 0, CALL), WEFT_OK);
    cr_expect_eq(trees_of(w, &alice, got), 0);
    cr_expect_eq(fetch(w), WEFT_OK, "of the node's own tree nothing has changed");
    world_destroy(w);
}

Test(settings, the_node_is_a_principal_too)
{
    struct world *w = world_create(13, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id got[8];
    cr_assert_eq(trees_of(w, NULL, got), 1);
    cr_expect(weft_id_equal(&got[0], &w->tree), "it follows it, and no row says so");
    weft_tracked list[2] = {{{{9}}, on}, {w->tree, on}};
    uint64_t before = batches(w, 0);
    cr_assert_eq(weft_principal_sync(node(w, 0), NULL, &list[1], 1, CALL), WEFT_OK);
    cr_expect_eq(batches(w, 0), before, "it was so");
    cr_assert_eq(weft_principal_sync(node(w, 0), NULL, list, 1, CALL), WEFT_OK);
    cr_assert_eq(trees_of(w, NULL, got), 1);
    cr_expect(weft_id_equal(&got[0], &list[0].tree));
    cr_expect_not(world_info(w, 0).followed);
    size_t room = 0;
    cr_expect_eq(weft_principal_trees(node(w, 0), NULL, CALL, NULL, &room), WEFT_LIMIT);
    world_destroy(w);
}

static void count_ok(void *arg, weft_err err, weft_request *request)
{
    uint32_t *counts = arg;
    counts[err == WEFT_OK ? 0 : err == WEFT_BUSY ? 1 : 2]++;
    if (request != NULL) weft_drop(&request->msg);
}

Test(settings, changes_that_come_together_are_made_one_after_the_other)
{
    struct world *w = world_create(14, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    uint32_t counts[3] = {0}, asked = 0, heard;
    weft_addr **store = &node(w, 0)->table.store, *was = world_mute(w, 0, store, &heard);
    weft_sync_settings s;
    for (; asked < WEFT_CHANGES_WAITING_MAX + 10; asked++) {
        struct wf_access_req *req = wf_access_req_create(WF_ACC_PUT);
        cr_assert_not_null(req);
        req->tree = w->tree;
        req->principal.bytes[0] = 1;
        req->principal.bytes[1] = (uint8_t)(asked % 200);
        req->settings = on;
        req->settings.has_interval = true;
        req->settings.interval_s = 1 + asked;
        weft_err err = wf_node_ask(node(w, 0), node(w, 0)->table.access, &req->req, CALL, count_ok,
                                   counts);
        cr_assert_eq(err, WEFT_OK);
        world_run(w, 10 * UINT64_C(1000));
    }
    cr_expect_lt(heard, 10, "the second has to know what the first one left");
    cr_expect_eq(counts[1], 9, "one is under way, so many wait");
    world_unmute(w, 0, store, was); /* the first one is answered, and not by the store */
    world_run(w, 5 * WEFT_SEC);
    cr_expect_eq(counts[0], WEFT_CHANGES_WAITING_MAX);
    cr_expect_eq(counts[2], 1);
    cr_assert_eq(combined(w, 0, &s), WEFT_OK);
    cr_expect_eq(s.interval_s, WEFT_CHANGES_WAITING_MAX + 1 - 199, "the last ones count");
    world_destroy(w);
}

/* -- Crashes ---------------------------------------------------------------------------- */

Test(settings, rows_outlive_a_restart)
{
    struct world *w = slow_world(15, WORLD_PLAIN);
    weft_sync_settings s = {.enabled = true,
                            .has_interval = true,
                            .interval_s = 50,
                            .properties_count = 1,
                            .properties = {{"k", "v"}}},
                       got;
    weft_id trees[8];
    cr_assert_eq(put(w, 0, &alice, s), WEFT_OK);
    cr_assert_eq(leave(w, 0, NULL), WEFT_OK);
    cr_assert_eq(weft_setting_set(node(w, 0), "who", "me", CALL), WEFT_OK);
    for (unsigned round = 0; round < 4; round++) {
        world_kill(w, 0);
        world_run(w, WEFT_SEC);
        world_start(w, 0);
        cr_assert_eq(weft_settings_get(node(w, 0), &w->tree, &alice, CALL, &got), WEFT_OK);
        cr_expect(same(&s, &got));
        cr_expect_eq(trees_of(w, NULL, trees), 0);
        char text[8];
        size_t len = sizeof text;
        cr_assert_eq(weft_setting_get(node(w, 0), "who", text, &len), WEFT_OK);
        cr_expect_str_eq(text, "me");
        weft_ns start = wf_sim_now(w->sim);
        world_run(w, 20 * WEFT_SEC); /* reconnected, and synced so */
        cr_assert(world_equal(w));
        cr_assert_eq(world_commit(w, 0), WEFT_OK);
        world_run(w, start + 49 * WEFT_SEC - wf_sim_now(w->sim));
        cr_expect_not(world_equal(w), "it is not pushed");
        world_run(w, 3 * WEFT_SEC);
        cr_expect(world_equal(w), "its interval has passed");
    }
    world_destroy(w);
}

Test(settings, a_store_of_before_is_served_as_it_was)
{
    struct world *w = world_create(16, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_sync_settings s;
    uint8_t prefix = 0x86;
    world_kill(w, 1);
    world_start(w, 1); /* nothing in this store says who tracks what */
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_iter_create(w->nodes[1].kv, NULL, WF_CF_PEER, &prefix, 1, &it), WEFT_OK);
    wf_kv_iter_first(it);
    cr_assert_not(wf_kv_iter_valid(it));
    wf_kv_iter_destroy(it);
    cr_assert_eq(combined(w, 1, &s), WEFT_OK);
    cr_expect(s.enabled && s.on_commit && !s.has_interval);
    cr_expect_eq(fetch(w), WEFT_OK);
    cr_assert_eq(put(w, 1, &alice, off), WEFT_OK);
    cr_assert_eq(weft_settings_get(node(w, 1), &w->tree, NULL, CALL, &s), WEFT_OK);
    cr_expect(s.enabled, "and the node goes on when somebody else comes");
    cr_expect_eq(fetch(w), WEFT_OK);
    cr_assert_eq(leave(w, 1, &alice), WEFT_OK);
    cr_expect_eq(fetch(w), WEFT_OK);
    world_destroy(w);
}

/* Whatever was written: what the rows come to, and what is served. */
static void expect_sound(struct world *w, uint64_t at)
{
    weft_sync_settings s, after;
    weft_err err = combined(w, 0, &s);
    cr_assert(err == WEFT_OK || err == WEFT_NOT_FOUND, "%lu: %s", at, weft_errname(err));
    cr_expect_eq(err == WEFT_OK && s.enabled, world_info(w, 0).followed, "at %lu", at);
    world_kill(w, 0);
    world_start(w, 0);
    cr_expect_eq(combined(w, 0, &after), err, "at %lu", at);
    if (err == WEFT_OK) cr_expect(same(&s, &after), "at %lu", at);
}

Test(settings, a_change_is_there_as_a_whole_or_not_at_all)
{
    struct world *w = world_create(17, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    for (uint64_t i = 0; i < 24; i++) {
        wf_kv_memory_fail_at(w->nodes[0].kv, 1 + i % 2, WEFT_IO, i % 3 == 0);
        weft_sync_settings s = i % 4 < 2 ? off : on;
        s.properties_count = 1;
        s.properties[0].key[0] = (char)('a' + i);
        (void)put(w, 0, i % 8 < 4 ? NULL : &alice, s);
        if (i % 5 == 0) (void)leave(w, 0, NULL);
        if (i % 6 == 0) { /* nothing is written until it is started again */
            world_kill(w, 0);
            world_start(w, 0);
        } else {
            wf_kv_memory_fail_at(w->nodes[0].kv, 0, WEFT_OK, false);
            world_run(w, 30 * WEFT_SEC); /* writes are taken again, and what failed may be there */
        }
        expect_sound(w, i);
    }
    world_destroy(w);
}

Test(settings, a_node_that_closes_while_a_gate_closes_answers)
{
    for (uint64_t seed = 18; seed < 38; seed++) {
        struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
        uint32_t counts[3] = {0};
        for (unsigned i = 0; i < 3; i++) {
            struct wf_access_req *req = wf_access_req_create(WF_ACC_ENABLE);
            cr_assert_not_null(req);
            req->tree = w->tree;
            req->on = i == 1;
            cr_assert_eq(wf_node_ask(node(w, 0), node(w, 0)->table.access, &req->req, CALL,
                                     count_ok, counts),
                         WEFT_OK);
        }
        if (seed % 4 != 0) world_run(w, world_below(w, 2000) * UINT64_C(1000));
        world_destroy(w); /* closes its nodes: neither may wait for ever */
        cr_expect_eq(counts[0] + counts[2], 3, "seed %lu", seed);
    }
}

/* -- All of it under load --------------------------------------------------------------- */

struct flap {
    bool closed[2]; /* whoever closed the gate of a node was answered, and nobody opened it */
    uint64_t wrong;
};

static void judge_flap(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                       uint32_t type)
{
    struct flap *f = w->judge_arg;
    bool content = type == WF_F_ENTRIES || type == WF_F_PUSH || type == WF_F_IDS;
    (void)to;
    if (content && tree != NULL && weft_id_equal(tree, &w->tree) && f->closed[from]) f->wrong++;
}

/* A principal of a node changes its mind; the model is what the node says itself. */
static void flap_once(struct world *w, struct flap *f, uint32_t i)
{
    const weft_key *who[] = {NULL, &alice, &bob}, *one = who[world_below(w, 3)];
    weft_sync_settings s = {.enabled = world_below(w, 2) == 0, .on_commit = world_below(w, 2) == 0};
    f->closed[i] = false; /* while it is under way either is right */
    switch (world_below(w, 4)) {
    case 0: (void)leave(w, i, one); break;
    case 1: (void)weft_settings_enable(node(w, i), &w->tree, one, s.enabled, CALL); break;
    default: cr_expect_eq(put(w, i, one, s), WEFT_OK, "seed %lu", w->seed); break;
    }
    weft_err err = combined(w, i, &s);
    bool enabled = err == WEFT_OK && s.enabled;
    cr_expect_eq(world_info(w, i).followed, enabled, "seed %lu", w->seed);
    f->closed[i] = !enabled;
}

static void flap(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
    const wf_net_faults slow = {.delay_min = 5 * WEFT_MS, .delay_max = 40 * WEFT_MS};
    struct flap f = {0};
    world_faults(w, &slow);
    w->judge = judge_flap;
    w->judge_arg = &f;
    for (unsigned step = 0; step < 120; step++) {
        uint32_t i = world_below(w, 2);
        switch (world_below(w, 8)) {
        case 0: flap_once(w, &f, i); break;
        case 1:
            if (world_below(w, 4) > 0) break;
            world_kill(w, i);
            world_start(w, i);
            break;
        default: cr_expect_eq(world_commit_bytes(w, i, 1 + world_below(w, 60000)), WEFT_OK); break;
        }
        world_run(w, world_below(w, 60) * WEFT_MS);
    }
    cr_expect_eq(f.wrong, 0, "seed %lu: %lu pieces came through a closed gate", seed, f.wrong);
    for (uint32_t i = 0; i < 2; i++) {
        f.closed[i] = false;
        cr_assert_eq(put(w, i, NULL, on), WEFT_OK);
    }
    cr_expect(world_converges(w, 240 * WEFT_SEC), "seed %lu", seed);
    cr_expect_eq(world_lost(w), 0, "seed %lu", seed);
    world_destroy(w);
}

Test(settings, gates_that_open_and_close_under_load_let_nothing_through_and_lose_nothing)
{
    for (uint64_t i = 0; i < world_seeds(20); i++) flap(world_first_seed(1) + i);
}
