/* SPDX-License-Identifier: Apache-2.0
 * test_join_crash.c - asking and deciding while nodes die, connections break, disks fail, memory is
 * short, and rights are taken away.
 * WEFT_SIM_SEEDS sets how many worlds break at random, WEFT_SIM_SEED the first.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "join_desk.h"
#include "join_kit.h"
#include "kv.h"

/* -- Crashes and short memory ----------------------------------------------------------- */

/* Granted in the settings if and only if the request says so. */
static void whole(struct world *w, const weft_id *tree, const uint8_t id[16], uint64_t number)
{
    weft_join_request *r = calloc(1, sizeof *r);
    cr_assert_eq(weft_join_get(node(w, 0), id, CALL, r), WEFT_OK, "%lu", number);
    bool granted = join_right(w, 0, tree, key(w, 1)) == WEFT_RIGHT_READ;
    cr_expect_eq(r->state, granted ? WEFT_JOIN_GRANTED : WEFT_JOIN_PENDING, "%lu", number);
    free(r);
}

Test(join, is_approved_whole_or_not_at_all_when_a_write_fails)
{
    for (uint64_t nth = 1; nth <= 3; nth++) {
        struct world *w = world_create(24, WORLD_CHAIN, 2, WORLD_PLAIN);
        weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
        weft_join_outcome said;
        cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
        wf_kv_memory_fail_at(w->nodes[0].kv, nth, WEFT_NO_SPACE, false);
        weft_err err = weft_join_approve(node(w, 0), said.id, w->author, CALL);
        wf_kv_memory_fail_at(w->nodes[0].kv, 0, WEFT_OK, false);
        cr_expect_eq(err, nth == 1 ? WEFT_NO_SPACE : WEFT_OK, "%lu: %s", nth, weft_errname(err));
        whole(w, &tree, said.id, nth);
        if (err != WEFT_OK)
            cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
        world_destroy(w);
    }
}

/* The disk fails at a write and for good, and then the process dies. */
Test(join, is_approved_whole_or_not_at_all_at_every_crash)
{
    uint32_t told = 0;
    for (uint64_t nth = 1; nth <= 6; nth++) {
        struct world *w = world_create(40 + nth, WORLD_CHAIN, 2, WORLD_PLAIN);
        weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
        weft_join_outcome said;
        cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
        wf_kv_memory_fail_at(w->nodes[0].kv, (nth + 1) / 2, WEFT_IO, true);
        weft_err err = weft_join_approve(node(w, 0), said.id, w->author, CALL);
        if (nth % 2 == 0) world_run(w, 50 * WEFT_MS); /* other records are written, or are not */
        world_kill(w, 0);
        world_start(w, 0);
        whole(w, &tree, said.id, nth);
        told += err == WEFT_OK;
        bool granted = join_right(w, 0, &tree, key(w, 1)) == WEFT_RIGHT_READ;
        cr_expect(granted || err != WEFT_OK, "%lu: it was told so", nth);
        if (!granted) /* a write that failed may have landed all the same */
            cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
        world_run(w, 3 * WEFT_JOIN_POLL_NS);
        cr_expect_eq(join_entries(w, 1, &tree), 2, "%lu", nth);
        world_destroy(w);
    }
    cr_expect(told > 0 && told < 6, "%u of 6 were told: the crash is not where it should be", told);
}

/* What node 1 has of its request, now and after a new start. */
static void same_after_restart(struct world *w, const weft_id *tree, const uint8_t id[16],
                               uint64_t nth)
{
    for (int i = 0; i < 2; i++) {
        weft_join_outcome now = {0};
        weft_err err = weft_tree_join_check(node(w, 1), tree, NULL, CALL, &now);
        cr_expect_eq(err, WEFT_AWAITING, "%lu, %d: %s", nth, i, weft_errname(err));
        cr_expect_eq(memcmp(now.id, id, sizeof now.id), 0, "%lu, %d: of another request", nth, i);
        if (i > 0) break;
        world_kill(w, 1);
        world_start(w, 1);
    }
}

/* A second server takes the first one's place, in memory and on the disk or in neither. */
Test(join, that_takes_the_place_of_another_is_kept_in_memory_and_on_the_disk_or_in_neither)
{
    uint32_t refused = 0;
    for (uint64_t nth = 1; nth <= 4; nth++) {
        struct world *w = world_create(70, WORLD_CHAIN, 3, WORLD_NO_PUSH);
        weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK), same;
        weft_root_spec root = {.entropy = {1, 33}};
        weft_join_spec spec = {.tree = tree, .name = "Ada", .right = WEFT_RIGHT_READ};
        weft_join_outcome first, second;
        cr_assert_eq(weft_tree_create(node(w, 2), w->author, &root, CALL, &same), WEFT_OK);
        cr_assert_eq(weft_join_mode_set(node(w, 2), &tree, WEFT_JOIN_ASK, NULL, 0, 0, CALL),
                     WEFT_OK);
        cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &first), WEFT_AWAITING);
        wf_kv_memory_fail_at(w->nodes[1].kv, nth, WEFT_NO_SPACE, false);
        weft_err err = weft_tree_join(node(w, 1), "mem:n2:1", NULL, &spec, CALL, &second);
        wf_kv_memory_fail_at(w->nodes[1].kv, 0, WEFT_OK, false);
        cr_expect(err == WEFT_AWAITING || err == WEFT_NO_SPACE, "%lu: %s", nth, weft_errname(err));
        refused += err == WEFT_NO_SPACE;
        same_after_restart(w, &tree, err == WEFT_AWAITING ? second.id : first.id, nth);
        world_destroy(w);
    }
    cr_expect(refused > 0, "no write failed");
}

struct seen { /* of one node's request */
    bool answered, approved, rejected;
    uint8_t id[16];
    struct join_heard heard;
};

static void on_storm(void *arg, weft_err err, const weft_join_outcome *outcome)
{
    struct seen *seen = arg;
    seen->answered = true;
    if (err == WEFT_AWAITING && outcome != NULL) memcpy(seen->id, outcome->id, sizeof seen->id);
}

/* An admin who looks now and then, and decides about half of what waits. */
static void decide_some(struct world *w, struct seen *seen)
{
    enum { ROOM = 16 };
    weft_join_request *all = calloc(ROOM, sizeof *all);
    size_t count = ROOM;
    if (node(w, 0) == NULL ||
        weft_join_list(node(w, 0), WEFT_JOIN_PENDING, CALL, all, &count) != WEFT_OK)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t who = 1;
        while (who < w->count && !weft_key_equal(&all[i].key, key(w, who))) who++;
        cr_assert_lt(who, w->count);
        uint32_t what = world_below(w, 4);
        if (what == 0 && weft_join_reject(node(w, 0), all[i].id, w->author, CALL) == WEFT_OK)
            seen[who].rejected = true;
        if (what == 1 && weft_join_approve(node(w, 0), all[i].id, w->author, CALL) == WEFT_OK)
            seen[who].approved = true;
    }
    free(all);
}

static void storm(uint64_t seed)
{
    enum { NODES = 5 };
    const wf_net_faults faults = {.delay_min = WEFT_MS,
                                  .delay_max = 200 * WEFT_MS,
                                  .reset_ppm = 3000,
                                  .corrupt_ppm = 1000,
                                  .dial_fail_ppm = 200000};
    struct world *w = world_create(seed, WORLD_STAR, NODES, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    struct seen seen[NODES] = {{0}};
    world_faults(w, &faults);
    for (uint32_t step = 6 + world_below(w, 30); step > 0; step--) {
        uint32_t i = 1 + world_below(w, NODES - 1), dead = world_below(w, 4 * NODES);
        weft_join_spec spec = {.tree = tree, .name = "somebody", .right = WEFT_RIGHT_READ};
        if (!seen[i].approved)
            (void)weft_tree_join_async(node(w, i), HOST, key(w, 0), &spec, CALL, on_storm,
                                       &seen[i]);
        world_run(w, world_below(w, 8000) * WEFT_MS);
        decide_some(w, seen);
        if (dead >= NODES) continue;
        world_kill(w, dead);
        world_run(w, world_below(w, 3000) * WEFT_MS);
        world_start(w, dead);
    }
    world_faults(w, NULL);
    world_run(w, 200 * WEFT_SEC); /* back-off, then the next question */
    for (uint32_t i = 1; i < NODES; i++) {
        bool may = join_right(w, 0, &tree, key(w, i)) == WEFT_RIGHT_READ;
        cr_expect(may || !seen[i].approved, "seed %lu: node %u was approved", seed, i);
        weft_err err = weft_tree_join_check(node(w, i), &tree, NULL, CALL, NULL);
        cr_expect(err == WEFT_NOT_FOUND || err == WEFT_AWAITING, "seed %lu: node %u: %s", seed, i,
                  weft_errname(err));
        if (may && err == WEFT_NOT_FOUND && join_entries(w, i, &tree) == 0) {
            /* It never heard that its question was heard: who asks again is let in. */
            cr_expect_eq(join_ask(w, i, &tree, WEFT_RIGHT_READ, NULL), WEFT_OK, "seed %lu", seed);
        }
        if (may)
            cr_expect_eq(join_entries(w, i, &tree), join_entries(w, 0, &tree), "seed %lu: %u", seed,
                         i);
        else cr_expect_eq(join_entries(w, i, &tree), 0, "seed %lu: node %u has it", seed, i);
    }
    cr_expect_leq(join_listed(w, WEFT_JOIN_PENDING, NULL), NODES - 1, "one of each device");
    cr_expect_eq(world_damage(w), 0, "seed %lu", seed);
    world_destroy(w);
}

Test(join, comes_to_its_end_whatever_breaks_on_the_way)
{
    for (uint64_t i = 0; i < world_seeds(6); i++) storm(world_first_seed(100) + i);
}

Test(join, any_one_allocation_may_fail)
{
    struct world *w = world_create(25, WORLD_CHAIN, 2, WORLD_PLAIN);
    uint32_t refused = 0;
    for (uint64_t nth = 1; nth <= 60; nth++) {
        weft_id tree = join_tree(w, (uint8_t)nth, WEFT_JOIN_AUTO);
        (void)wf_alloc_fail_at(nth * 7, 0);
        weft_err err = join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL);
        (void)wf_alloc_fail_at(0, 0);
        refused += err != WEFT_OK;
        world_run(w, WEFT_SEC);
        if (err != WEFT_OK) err = join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL);
        cr_expect(err == WEFT_OK || err == WEFT_BUSY, "%lu: %s", nth, weft_errname(err));
    }
    cr_expect_gt(refused, 0, "none was met");
    world_destroy(w);
}

Test(join, that_memory_is_too_short_to_decide_goes_on_waiting)
{
    struct world *w = world_create(30, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    weft_err err = WEFT_NO_MEMORY;
    uint64_t nth = 1;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    for (; err != WEFT_OK; nth++) {
        cr_assert_lt(nth, 200);
        whole(w, &tree, said.id, nth);
        (void)wf_alloc_fail_at(nth, 0);
        err = weft_join_approve(node(w, 0), said.id, w->author, CALL);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect(err == WEFT_OK || err == WEFT_NO_MEMORY, "%lu: %s", nth, weft_errname(err));
    }
    cr_expect_gt(nth, 5, "fewer allocations than it needs");
    whole(w, &tree, said.id, nth);
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_STATE);
    world_destroy(w);
}

/* -- Beside other changes --------------------------------------------------------------- */

/* A record of nobody's, decided as the store is asked to. */
static weft_err decide_at_the_store(struct world *w, const weft_id *tree, const weft_keypair *by,
                                    const weft_key *whom)
{
    struct wf_settings_commit *commit = wf_settings_commit_create(tree, by, NULL);
    commit->has_whom = whom != NULL;
    if (whom != NULL) commit->whom = *whom;
    commit->records = wf_calloc(1, sizeof(struct wf_record_put *));
    commit->records[0] = wf_record_create(1);
    commit->records_count = 1;
    wf_join_key(commit->records[0], 0xff, "x", 1, NULL, 0);
    return wf_node_call(node(w, 0), node(w, 0)->table.store, &commit->req, CALL, NULL);
}

static weft_err count_record(void *arg, const uint8_t *bytes, size_t len, const uint8_t *value,
                             size_t value_len)
{
    (void)bytes;
    (void)len;
    (void)value;
    (void)value_len;
    ++*(uint32_t *)arg;
    return WEFT_OK;
}

Test(join, is_judged_where_its_batch_stands)
{
    const uint8_t prefix = 0xff;
    struct world *w = world_create(37, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_grant deputy = {.right = WEFT_RIGHT_ADMIN, .priority = 50};
    weft_keypair *pair = join_pair(51, &deputy.key);
    uint32_t records = 0;
    wf_store *store = node(w, 0)->table.wf_store;
    cr_assert_eq(weft_grant_put(node(w, 0), &tree, w->author, &deputy, 1, CALL, NULL), WEFT_OK);
    deputy.right = WEFT_RIGHT_NONE;
    deputy.priority = 0;
    cr_assert_eq(weft_grant_put(node(w, 0), &tree, w->author, &deputy, 1, CALL, NULL), WEFT_OK);
    cr_expect_eq(decide_at_the_store(w, &tree, pair, NULL), WEFT_FORBIDDEN);
    cr_expect_eq(decide_at_the_store(w, &tree, w->author, &deputy.key), WEFT_STATE);
    cr_assert_eq(wf_store_record_each(store, WF_CF_PEER, &prefix, 1, count_record, &records),
                 WEFT_OK);
    cr_expect_eq(records, 0, "nothing of it is written");
    cr_expect_eq(decide_at_the_store(w, &tree, w->author, key(w, 1)), WEFT_OK);
    cr_assert_eq(wf_store_record_each(store, WF_CF_PEER, &prefix, 1, count_record, &records),
                 WEFT_OK);
    cr_expect_eq(records, 1);
    weft_keypair_destroy(pair);
    world_destroy(w);
}

static void on_told(void *arg, weft_err err, const weft_result *result)
{
    (void)result;
    *(weft_err *)arg = err;
}

/* Whichever of the two comes first: the key is revoked after both. */
Test(join, that_is_approved_beside_a_revocation_undoes_none)
{
    uint32_t refused = 0;
    for (uint64_t seed = 200; seed < 224; seed++) {
        struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_NO_PUSH);
        weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
        weft_grant none = {.key = *key(w, 1), .right = WEFT_RIGHT_NONE};
        weft_join_outcome said;
        weft_err revoked = WEFT_TIMED_OUT, approved = WEFT_TIMED_OUT;
        cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
        cr_assert_eq(
            weft_grant_put_async(node(w, 0), &tree, w->author, &none, 1, on_told, &revoked),
            WEFT_OK);
        cr_assert_eq(weft_join_approve_async(node(w, 0), said.id, w->author, on_told, &approved),
                     WEFT_OK);
        world_run(w, WEFT_SEC);
        cr_expect_eq(revoked, WEFT_OK, "seed %lu: %s", seed, weft_errname(revoked));
        cr_expect(approved == WEFT_OK || approved == WEFT_STATE, "seed %lu: %s", seed,
                  weft_errname(approved));
        refused += approved == WEFT_STATE;
        cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_NONE, "seed %lu", seed);
        world_destroy(w);
    }
    cr_expect_gt(refused, 0, "the revocation never came first");
}
