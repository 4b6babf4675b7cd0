/* SPDX-License-Identifier: Apache-2.0
 * test_removal_beside.c - a tree is let go of beside other things, in small worlds: restarts that
 * free its number, a full disk, and people who ask to join it.
 * WEFT_SIM_SEEDS sets how many worlds are played at random, WEFT_SIM_SEED the first.
 * Called by: the test runner. Never: threads, a disk. */
#include <criterion/criterion.h>
#include <string.h>

#include "join_kit.h"
#include "records.h"
#include "removal_kit.h"

#define US (WEFT_MS / 1000)

static wf_store *store(struct world *w, uint32_t i) { return node(w, i)->table.wf_store; }

static weft_err let_go(struct world *w, uint32_t i)
{
    return weft_tree_remove(node(w, i), &w->tree, CALL);
}

static wf_tree_info tree_at(struct world *w, uint32_t i)
{
    wf_tree_info info = {0};
    (void)wf_store_tree(store(w, i), &w->tree, &info);
    return info;
}

/* Followed and filled by the other node; with a writer, as the world gave one before. */
static void take_up(struct world *w, uint32_t i)
{
    cr_assert_eq(weft_tree_follow(node(w, i), &w->tree, key(w, 1 - i), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_sync_tree(node(w, i), key(w, 1 - i), &w->tree, CALL, NULL), WEFT_OK);
    weft_writer_close(w->nodes[i].writer);
    w->nodes[i].writer = NULL;
    cr_assert_eq(weft_writer_open(node(w, i), &w->tree, w->author, &w->nodes[i].writer), WEFT_OK);
}

static void commit_some(struct world *w)
{
    for (uint32_t i = 0; i < 6; i++) cr_assert_eq(world_commit(w, i % 2), WEFT_OK);
    cr_assert(world_converges(w, 300 * WEFT_SEC));
}

static void restart(struct world *w, uint32_t i)
{
    world_kill(w, i);
    world_start(w, i);
    world_run(w, 5 * WEFT_SEC); /* until it is connected again */
}

/* -- Numbers -------------------------------------------------------------------------------- */

static void comes_back_by_its_number(uint64_t seed, uint32_t kind, uint32_t who)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, kind);
    commit_some(w);
    for (uint32_t round = 0; round < 3; round++) {
        const wf_tree_info before = tree_at(w, who);
        cr_assert_eq(let_go(w, who), WEFT_OK);
        world_run(w, 30 * WEFT_SEC);
        restart(w, who);
        cr_assert_eq(world_commit(w, 1 - who), WEFT_OK);
        take_up(w, who);
        const wf_tree_info after = tree_at(w, who);
        cr_assert_eq(after.t, before.t);
        cr_assert_neq(memcmp(before.epoch, after.epoch, sizeof after.epoch), 0);
        cr_assert(world_equal(w), "all of it is here again");
        commit_some(w);
        if (round == 1) restart(w, 1 - who); /* which remembers what it told the old one */
        commit_some(w);
        cr_assert_eq(world_lost(w), 0);
        cr_assert_eq(world_damage(w), 0);
    }
    cr_assert_eq(wf_store_trees_max(store(w, who)), 1);
    world_destroy(w);
}

Test(removal_beside, a_tree_comes_back_by_the_number_it_had_and_syncing_goes_on)
{
    for (uint32_t who = 0; who <= 1; who++) {
        comes_back_by_its_number(1 + who, WORLD_NO_PUSH, who);
        comes_back_by_its_number(3 + who, WORLD_PLAIN, who);
    }
}

/* Node 1 lets go and takes up, dies and starts, as the dice say. Node 0 never lets go. */
static void play(uint64_t seed)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, seed % 2 ? WORLD_PLAIN : WORLD_NO_PUSH);
    commit_some(w);
    for (uint32_t step = 0; step < 24; step++) {
        const bool here = tree_at(w, 1).t != 0;
        switch (world_below(w, 6)) {
        case 0:
            if (here) cr_assert(world_converges(w, 300 * WEFT_SEC));
            if (here) cr_assert_eq(let_go(w, 1), WEFT_OK);
            break;
        case 1:
        case 2:
            if (!here) take_up(w, 1);
            break;
        case 3: restart(w, world_below(w, 2)); break;
        case 4: world_run(w, world_below(w, 2000) * WEFT_MS); break;
        default: cr_assert_eq(world_commit(w, here ? world_below(w, 2) : 0), WEFT_OK);
        }
    }
    world_run(w, 5 * WEFT_SEC);
    if (tree_at(w, 1).t == 0) take_up(w, 1);
    commit_some(w);
    world_run(w, 90 * WEFT_SEC);
    cr_assert_eq(world_lost(w), 0, "seed %llu", (unsigned long long)seed);
    cr_assert_eq(world_damage(w), 0, "seed %llu", (unsigned long long)seed);
    const wf_tree_info now = tree_at(w, 1);
    for (uint64_t t = 1; t <= wf_store_trees_max(store(w, 1)); t++)
        cr_assert(t == now.t || rm_is_gone(w->nodes[1].kv, t), "seed %llu: rows of number %llu",
                  (unsigned long long)seed, (unsigned long long)t);
    world_destroy(w);
}

Test(removal_beside, whatever_comes_between_nothing_is_lost_and_nothing_is_left)
{
    const uint64_t first = world_first_seed(500), seeds = world_seeds(25);
    for (uint64_t seed = first; seed < first + seeds; seed++) play(seed);
}

/* -- A full disk ------------------------------------------------------------------------------ */

Test(removal_beside, a_node_whose_disk_is_nearly_full_makes_room)
{
    static const weft_key alice = {{0xa1}};
    static const weft_sync_settings on = {.enabled = true, .on_commit = true};
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_sync_settings s;
    commit_some(w);
    cr_assert_eq(weft_settings_put(node(w, 1), &w->tree, &alice, &on, CALL), WEFT_OK);
    const uint64_t t = tree_at(w, 1).t;
    wf_kv_memory_full(w->nodes[1].kv, true);
    cr_assert_eq(world_commit(w, 1), WEFT_NO_SPACE);
    cr_assert_eq(let_go(w, 1), WEFT_OK);
    world_run(w, 5 * WEFT_SEC);
    cr_expect(rm_is_gone(w->nodes[1].kv, t));
    cr_expect_eq(weft_settings_get(node(w, 1), &w->tree, &alice, CALL, &s), WEFT_NOT_FOUND);
    wf_kv_memory_full(w->nodes[1].kv, false);
    take_up(w, 1);
    commit_some(w);
    cr_expect_eq(world_damage(w), 0);
    world_destroy(w);
}

/* -- Joining ---------------------------------------------------------------------------------- */

/* Stands in the store's place and hands on what it gets, so much later. */
struct late {
    weft_addr *to;
    weft_ns wait;
    weft_msg *held[32];
    uint32_t count;
    weft_timer timer;
};

static weft_err late_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct late *)state = *(const struct late *)arg;
    return WEFT_OK;
}

static void hand_on(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct late *late = state;
    (void)self;
    (void)timer;
    (void)missed;
    for (uint32_t i = 0; i < late->count; i++)
        cr_assert_eq(weft_send(late->to, late->held[i]), WEFT_OK);
    late->count = 0;
}

static weft_verdict late_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct late *late = state;
    cr_assert_lt(late->count, 32);
    late->held[late->count++] = msg;
    if (late->count == 1)
        weft_timer_set(self, &late->timer, weft_now(self) + late->wait, 0, hand_on);
    return WEFT_KEPT;
}

static weft_addr *delay_store(struct world *w, weft_ns wait)
{
    weft_addr *was = node(w, 1)->table.store;
    const struct late late = {.to = was, .wait = wait};
    weft_spec spec = {.name = "late",
                      .arg = (void *)(uintptr_t)&late,
                      .state_size = sizeof late,
                      .init = late_init,
                      .handle = late_handle,
                      .mailbox = WEFT_UNBOUNDED};
    cr_assert_eq(weft_spawn(w->nodes[1].rt, &spec, &node(w, 1)->table.store), WEFT_OK);
    return was;
}

static void on_answer(void *arg, weft_err err, const weft_result *result)
{
    (void)result;
    *(weft_err *)arg = err;
}

static void on_join(void *arg, weft_err err, const weft_join_outcome *outcome)
{
    (void)outcome;
    *(weft_err *)arg = err;
}

/* Node 1 has the tree, waits to be let in, lets go, and asks whether it is let in; its store is so
 * slow. `behind`: that it lets go waits for another change of settings. */
static void is_told_late(weft_ns wait, bool behind)
{
    static const weft_key alice = {{0xa1}};
    static const weft_sync_settings on = {.enabled = true, .on_commit = true};
    struct world *w = world_create(30, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_tree_info info;
    weft_join_outcome said;
    weft_err approved = WEFT_INTERNAL, removed = WEFT_INTERNAL, asked = WEFT_INTERNAL;
    cr_assert_eq(weft_tree_follow(node(w, 1), &tree, NULL, 0, CALL), WEFT_OK);
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    world_run(w, WEFT_SEC);
    weft_addr *was = delay_store(w, wait);
    weft_err put = WEFT_OK;
    if (behind)
        cr_assert_eq(weft_settings_put_async(node(w, 1), &w->tree, &alice, &on, on_answer, &put),
                     WEFT_OK);
    cr_assert_eq(weft_tree_remove_async(node(w, 1), &tree, on_answer, &removed), WEFT_OK);
    cr_assert_eq(weft_tree_join_check_async(node(w, 1), &tree, NULL, CALL, on_join, &asked),
                 WEFT_OK);
    cr_assert_eq(weft_join_approve_async(node(w, 0), said.id, w->author, on_answer, &approved),
                 WEFT_OK);
    world_run(w, 3 * WEFT_JOIN_POLL_NS);
    world_unmute(w, 1, &node(w, 1)->table.store, was);
    cr_expect_eq(asked, WEFT_NOT_FOUND);
    cr_assert_eq(put, WEFT_OK);
    cr_assert_eq(removed, WEFT_OK);
    cr_assert_eq(approved, WEFT_OK);
    cr_assert_eq(weft_tree_info_get(node(w, 1), &tree, &info), WEFT_NOT_FOUND,
                 "after %llu us it came back", (unsigned long long)(wait / US));
    world_destroy(w);
}

Test(removal_beside, a_join_that_is_told_after_it_does_not_bring_the_tree_back)
{
    for (uint32_t i = 0; i < 40; i++) is_told_late(i * 100 * US, false);
}

Test(removal_beside, a_join_that_is_told_while_it_waits_does_not_bring_the_tree_back)
{
    for (uint32_t i = 0; i < 40; i++) is_told_late(i * 100 * US, true);
}

static bool has_mode(struct world *w)
{
    uint8_t at[33] = {WF_REC_JOIN_MODE}, value[128];
    size_t len = sizeof value;
    memcpy(at + 1, w->tree.bytes, sizeof w->tree.bytes);
    return wf_store_record_get(store(w, 1), WF_CF_PEER, at, sizeof at, value, &len) !=
           WEFT_NOT_FOUND;
}

/* Whichever of the two comes first. */
static void sets_a_mode(bool before)
{
    struct world *w = world_create(40, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_err removed = WEFT_INTERNAL, set = WEFT_INTERNAL;
    weft_addr *was = delay_store(w, WEFT_MS);
    for (uint32_t turn = 0; turn < 2; turn++) {
        if ((turn == 0) == before)
            cr_assert_eq(weft_join_mode_set_async(node(w, 1), &w->tree, WEFT_JOIN_ASK, NULL,
                                                  WEFT_RIGHT_NONE, 0, on_answer, &set),
                         WEFT_OK);
        else
            cr_assert_eq(weft_tree_remove_async(node(w, 1), &w->tree, on_answer, &removed),
                         WEFT_OK);
        world_run(w, WEFT_MS / 4);
    }
    world_run(w, WEFT_SEC);
    world_unmute(w, 1, &node(w, 1)->table.store, was);
    cr_expect_eq(removed, WEFT_OK);
    cr_expect_eq(set, before ? WEFT_OK : WEFT_TREE);
    cr_expect_not(has_mode(w));
    take_up(w, 1);
    cr_expect_not(has_mode(w));
    world_destroy(w);
}

Test(removal_beside, a_mode_of_joining_that_is_set_just_before_goes_with_the_tree)
{
    sets_a_mode(true);
}

Test(removal_beside, a_mode_of_joining_that_is_set_while_it_goes_is_refused) { sets_a_mode(false); }
