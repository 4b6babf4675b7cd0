/* SPDX-License-Identifier: Apache-2.0
 * test_join.c - asking to be let into a tree, in small worlds: node 0 serves, the others ask.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "join_desk.h"
#include "join_kit.h"

/* -- By approval ------------------------------------------------------------------------ */

Test(join, that_is_asked_for_is_listed_and_approved_and_syncs)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    weft_join_request *r = calloc(1, sizeof *r);
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_expect_eq(said.state, WEFT_JOIN_PENDING);
    cr_expect(weft_key_equal(&said.server, key(w, 0)));
    cr_assert_eq(join_listed(w, WEFT_JOIN_PENDING, r), 1);
    cr_expect_eq(memcmp(r->id, said.id, sizeof r->id), 0);
    cr_expect(weft_id_equal(&r->tree, &tree));
    cr_expect(weft_key_equal(&r->key, key(w, 1)) && weft_key_equal(&r->device, key(w, 1)));
    cr_expect_str_eq(r->name, "Ada");
    cr_expect(r->right == WEFT_RIGHT_READ && r->state == WEFT_JOIN_PENDING);
    cr_expect_eq(r->expires_ms - r->asked_ms, WEFT_JOIN_TTL_MS);
    cr_expect(r->meta_len == 9 && memcmp(r->meta, "let me in", 9) == 0);
    world_run(w, WEFT_SEC);
    cr_expect_eq(join_entries(w, 1, &tree), 0, "nothing is served before");
    cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_run(w, 5 * WEFT_SEC); /* much sooner than it would ask again */
    cr_expect_eq(join_entries(w, 1, &tree), 2);
    cr_expect_eq(join_right(w, 1, &tree, key(w, 1)), WEFT_RIGHT_READ);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 0);
    cr_assert_eq(weft_join_get(node(w, 0), said.id, CALL, r), WEFT_OK);
    cr_expect_eq(r->state, WEFT_JOIN_GRANTED);
    weft_key admin;
    weft_keypair_public(w->author, &admin);
    cr_expect(weft_key_equal(&r->decided_by, &admin));
    cr_expect_eq(weft_tree_join_check(node(w, 1), &tree, NULL, CALL, NULL), WEFT_NOT_FOUND);
    free(r);
    world_destroy(w);
}

Test(join, gives_the_key_its_name)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    weft_grant grants[8];
    size_t count = 8;
    bool found = false;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_WRITE, &said), WEFT_AWAITING);
    cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    cr_assert_eq(wf_store_grants(node(w, 0)->table.wf_store, &tree, grants, &count), WEFT_OK);
    for (size_t i = 0; i < count; i++) {
        if (grants[i].everyone || !weft_key_equal(&grants[i].key, key(w, 1))) continue;
        found = true;
        cr_expect_str_eq(grants[i].name, "Ada");
        cr_expect(grants[i].right == WEFT_RIGHT_WRITE && grants[i].priority == 10);
    }
    cr_expect(found);
    world_destroy(w);
}

/* Before, the server does not even know who asked. */
Test(join, that_is_granted_relates_both_sides)
{
    struct world *w = world_create(29, WORLD_CHAIN, 3, WORLD_PLAIN); /* 2 knows 1 alone */
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK), trees[4];
    weft_join_outcome said;
    size_t count = 4;
    cr_assert_eq(join_ask(w, 2, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_expect_eq(weft_peer_trees(node(w, 0), key(w, 2), CALL, trees, &count), WEFT_NOT_FOUND);
    cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_run(w, 5 * WEFT_SEC);
    for (uint32_t side = 0; side <= 2; side += 2) {
        count = 4;
        cr_assert_eq(weft_peer_trees(node(w, side), key(w, 2 - side), CALL, trees, &count),
                     WEFT_OK);
        cr_expect(count == 1 && weft_id_equal(&trees[0], &tree), "side %u", side);
    }
    world_destroy(w);
}

/* The decision falls while one of the two is down, or just before. */
static void restart(uint64_t seed, uint32_t who, bool decided_before)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    if (who == 0 && decided_before) world_cut(w, 0, 1, true);
    if (decided_before && who == 0)
        cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_kill(w, who);
    world_cut(w, 0, 1, false);
    if (who == 1) cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_run(w, WEFT_SEC);
    world_start(w, who);
    if (who == 0 && !decided_before)
        cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_run(w, 3 * WEFT_JOIN_POLL_NS);
    cr_expect_eq(join_entries(w, 1, &tree), 2, "seed %lu", seed);
    world_destroy(w);
}

Test(join, comes_to_its_end_by_asking_again_after_a_restart_of_either_side)
{
    restart(3, 1, true);
    restart(4, 0, true);
    restart(5, 0, false);
}

Test(join, comes_to_its_end_where_nothing_else_connects_the_two)
{
    struct world *w = world_create(27, WORLD_CHAIN, 3, WORLD_PLAIN); /* 2 knows 1 alone */
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    cr_assert_eq(join_ask(w, 2, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    world_kill(w, 2);
    cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_start(w, 2);
    world_run(w, 2 * WEFT_JOIN_POLL_NS);
    cr_expect_eq(join_entries(w, 2, &tree), 2);
    world_destroy(w);
}

Test(join, that_was_rejected_and_is_asked_for_again_is_a_new_request)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said, again;
    struct join_heard h = {0};
    uint64_t handle;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    world_run(w, WEFT_SEC);
    cr_assert_eq(weft_subscribe(node(w, 1), join_on_event, &h, &handle), WEFT_OK);
    cr_assert_eq(weft_join_reject(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    cr_expect_eq(join_listed(w, WEFT_JOIN_REJECTED, NULL), 1);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_NONE);
    world_run(w, WEFT_SEC);
    cr_expect_eq(weft_tree_join_check(node(w, 1), &tree, NULL, CALL, NULL), WEFT_NOT_FOUND);
    cr_assert_eq(h.count, 1);
    cr_expect_eq(h.events[0].err, WEFT_REJECTED, "it was told");
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &again), WEFT_AWAITING);
    cr_expect_neq(memcmp(said.id, again.id, sizeof said.id), 0);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1);
    world_destroy(w);
}

Test(join, that_is_asked_for_twice_is_one_request)
{
    struct world *w = world_create(7, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said, again;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &again), WEFT_AWAITING);
    cr_expect_eq(memcmp(said.id, again.id, sizeof said.id), 0);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1);
    cr_expect_eq(weft_tree_join_check(node(w, 1), &tree, NULL, CALL, &again), WEFT_AWAITING);
    cr_expect_eq(memcmp(said.id, again.id, sizeof said.id), 0);
    world_destroy(w);
}

/* What became of one request is asked for again just while another takes its place elsewhere. */
struct late {
    weft_ns polled; /* when the first one was asked for again */
    uint32_t awaiting, other;
};

static void on_second(void *arg, weft_err err, const weft_join_outcome *outcome)
{
    struct late *late = arg;
    late->awaiting += err == WEFT_AWAITING && outcome != NULL;
    late->other += err != WEFT_AWAITING;
}

static void hear_poll(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                      uint32_t type)
{
    struct late *late = w->judge_arg;
    (void)tree;
    if (from == 1 && type == WF_F_JOIN && weft_key_equal(to, key(w, 0)) && late->polled == 0)
        late->polled = wf_sim_now(w->sim);
}

/* The first is rejected where nobody can tell; the second is asked for `at`. WEFT_NEVER: never. */
static weft_err play_late(struct late *late, weft_ns at)
{
    struct world *w = world_create(34, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK), same;
    weft_root_spec root = {.entropy = {1, 33}};
    weft_join_spec spec = {.tree = tree, .name = "Ada", .right = WEFT_RIGHT_READ};
    weft_join_outcome said;
    weft_err err = WEFT_OK;
    cr_assert_eq(weft_tree_create(node(w, 2), w->author, &root, CALL, &same), WEFT_OK);
    cr_assert(weft_id_equal(&tree, &same));
    cr_assert_eq(weft_join_mode_set(node(w, 2), &tree, WEFT_JOIN_ASK, NULL, 0, 0, CALL), WEFT_OK);
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    world_run(w, WEFT_SEC);
    world_kill(w, 0);
    world_start(w, 0);
    w->judge_arg = late;
    w->judge = hear_poll;
    cr_assert_eq(weft_join_reject(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    cr_assert_eq(late->polled, 0, "it has been told too early for this");
    if (at != WEFT_NEVER) {
        cr_assert_gt(at, wf_sim_now(w->sim));
        world_run(w, at - wf_sim_now(w->sim));
        cr_assert_eq(
            weft_tree_join_async(node(w, 1), "mem:n2:1", NULL, &spec, CALL, on_second, late),
            WEFT_OK);
    }
    world_run(w, WEFT_JOIN_POLL_NS);
    if (late->awaiting > 0) err = weft_tree_join_check(node(w, 1), &tree, NULL, CALL, NULL);
    world_destroy(w);
    return err;
}

Test(join, that_took_the_place_of_another_outlives_a_late_answer_about_that)
{
    struct late first = {0};
    (void)play_late(&first, WEFT_NEVER);
    cr_assert_gt(first.polled, 0);
    for (int64_t ms = -12; ms <= 4; ms++) {
        struct late late = {0};
        weft_err err = play_late(&late, (weft_ns)((int64_t)first.polled + ms * (int64_t)WEFT_MS));
        cr_expect(late.awaiting == 1 && late.other == 0, "%ld ms", (long)ms);
        cr_expect_eq(err, WEFT_AWAITING, "%ld ms: %s", (long)ms, weft_errname(err));
    }
}

/* -- Many ------------------------------------------------------------------------------- */

struct asked {
    uint32_t awaiting, other;
};

static void on_asked(void *arg, weft_err err, const weft_join_outcome *outcome)
{
    struct asked *asked = arg;
    if (err == WEFT_AWAITING && outcome != NULL) asked->awaiting++;
    else asked->other++;
}

Test(join, is_asked_for_by_fourteen_at_once)
{
    struct world *w = world_create(8, WORLD_STAR, 8, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    struct asked asked = {0};
    for (uint32_t i = 0; i < 14; i++) {
        weft_keypair *user = i < 7 ? NULL : join_pair((uint8_t)(60 + i), NULL);
        weft_join_spec spec = {
            .tree = tree, .key = user, .name = "somebody", .right = WEFT_RIGHT_READ};
        cr_assert_eq(
            weft_tree_join_async(node(w, 1 + i % 7), HOST, NULL, &spec, CALL, on_asked, &asked),
            WEFT_OK);
        weft_keypair_destroy(user);
    }
    world_run(w, 5 * WEFT_SEC);
    cr_expect_eq(asked.awaiting, 14);
    cr_expect_eq(asked.other, 0);
    cr_assert_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 14);
    for (uint32_t i = 0; i < 14; i++) {
        weft_join_request *r = calloc(1, sizeof *r);
        (void)join_listed(w, WEFT_JOIN_PENDING, r);
        cr_expect_eq(weft_join_approve(node(w, 0), r->id, w->author, CALL), WEFT_OK);
        free(r);
    }
    world_run(w, 20 * WEFT_SEC);
    for (uint32_t i = 1; i < 8; i++) cr_expect_eq(join_entries(w, i, &tree), 15, "node %u", i);
    world_destroy(w);
}

Test(join, of_one_device_is_asked_for_so_often_and_then_it_hears_busy)
{
    struct world *w = world_create(9, WORLD_CHAIN, 2, WORLD_PLAIN);
    for (uint8_t i = 0; i <= WEFT_JOINS_PER_PEER_MAX; i++) {
        weft_id tree = join_tree(w, i, WEFT_JOIN_ASK);
        cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL),
                     i < WEFT_JOINS_PER_PEER_MAX ? WEFT_AWAITING : WEFT_BUSY, "%u", i);
    }
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), WEFT_JOINS_PER_PEER_MAX);
    world_destroy(w);
}

/* Else the grant is durable, and who asked hears that it failed. */
Test(join, with_one_key_more_than_a_connection_proves_grants_nothing)
{
    struct world *w = world_create(37, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    uint64_t entries = 0;
    for (uint32_t i = 0; i <= WEFT_PROVEN_KEYS_MAX; i++) {
        weft_key of_user;
        weft_keypair *user = join_pair((uint8_t)(60 + i), &of_user);
        bool room = i < WEFT_PROVEN_KEYS_MAX;
        world_run(w, 2 * WEFT_PROOF_EVERY_NS); /* signatures are looked at so often */
        entries = join_entries(w, 0, &tree);
        weft_err err = join_ask_as(w, 1, &tree, user, WEFT_RIGHT_READ, NULL);
        cr_expect_eq(err, room ? WEFT_OK : WEFT_LIMIT, "%u: %s", i, weft_errname(err));
        cr_expect_eq(join_right(w, 0, &tree, &of_user), room ? WEFT_RIGHT_READ : WEFT_RIGHT_NONE);
        weft_keypair_destroy(user);
    }
    cr_expect_eq(join_entries(w, 0, &tree), entries);
    cr_expect_eq(join_listed(w, WEFT_JOIN_GRANTED, NULL), WEFT_PROVEN_KEYS_MAX);
    world_destroy(w);
}

/* -- Without approval ------------------------------------------------------------------- */

Test(join, is_granted_automatically_within_its_bounds_and_not_beyond)
{
    struct world *w = world_create(10, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO); /* up to Write(10) */
    weft_join_outcome said;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_WRITE, &said), WEFT_OK);
    cr_expect(said.state == WEFT_JOIN_GRANTED && said.right == WEFT_RIGHT_WRITE);
    cr_expect_eq(said.priority, 10);
    cr_expect_eq(join_entries(w, 1, &tree), 2, "it is here when the call returns");
    cr_expect_eq(join_listed(w, WEFT_JOIN_GRANTED, NULL), 1);
    cr_expect_eq(join_ask(w, 2, &tree, WEFT_RIGHT_ADMIN, &said), WEFT_AWAITING);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 2)), WEFT_RIGHT_NONE);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1);
    world_destroy(w);
}

/* The rows of a tree's settings are bounded, and are there for good. */
Test(join, is_granted_automatically_so_often_and_then_it_waits)
{
    struct world *w = world_create(36, WORLD_STAR, 8, WORLD_NO_PUSH);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    for (uint32_t i = 0; i < WEFT_JOIN_AUTO_BURST + 3; i++) {
        weft_keypair *user = join_pair((uint8_t)(60 + i), NULL);
        bool waits = i == WEFT_JOIN_AUTO_BURST || i == WEFT_JOIN_AUTO_BURST + 2;
        if (i == WEFT_JOIN_AUTO_BURST / 2) { /* a connection proves only so many keys */
            wf_net_hub_kill(w->hub->hub, w->nodes[0].host);
            world_run(w, 10 * WEFT_SEC);
        }
        if (i == WEFT_JOIN_AUTO_BURST + 1) world_run(w, WEFT_JOIN_AUTO_EVERY_NS);
        cr_expect_eq(join_ask_as(w, 1 + i % 7, &tree, user, WEFT_RIGHT_READ, NULL),
                     waits ? WEFT_AWAITING : WEFT_OK, "%u", i);
        weft_keypair_destroy(user);
    }
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 2);
    world_destroy(w);
}

/* To be kept out, a key has to be revoked. */
Test(join, that_is_automatic_gives_a_lowered_key_as_much_again_and_a_revoked_one_nothing)
{
    struct world *w = world_create(36, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    weft_grant less = {.key = *key(w, 1), .right = WEFT_RIGHT_READ};
    weft_grant none = {.key = *key(w, 1), .right = WEFT_RIGHT_NONE};
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_WRITE, NULL), WEFT_OK);
    cr_assert_eq(weft_grant_put(node(w, 0), &tree, w->author, &less, 1, CALL, NULL), WEFT_OK);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_READ);
    cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_WRITE, NULL), WEFT_OK);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_WRITE);
    cr_assert_eq(weft_grant_put(node(w, 0), &tree, w->author, &none, 1, CALL, NULL), WEFT_OK);
    cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_WRITE, NULL), WEFT_TREE);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_NONE);
    world_destroy(w);
}

Test(join, is_not_automatic_after_a_restart_until_it_is_set_again)
{
    struct world *w = world_create(11, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    world_kill(w, 0);
    world_start(w, 0);
    cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL), WEFT_AWAITING);
    cr_assert_eq(
        weft_join_mode_set(node(w, 0), &tree, WEFT_JOIN_AUTO, w->author, WEFT_RIGHT_READ, 0, CALL),
        WEFT_OK);
    cr_expect_eq(join_ask(w, 2, &tree, WEFT_RIGHT_READ, NULL), WEFT_OK);
    world_destroy(w);
}

Test(join, that_an_admin_of_no_weight_would_grant_automatically_waits)
{
    struct world *w = world_create(12, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_CLOSED);
    weft_keypair *nobody = join_pair(50, NULL);
    cr_expect_eq(
        weft_join_mode_set(node(w, 0), &tree, WEFT_JOIN_AUTO, nobody, WEFT_RIGHT_READ, 0, CALL),
        WEFT_FORBIDDEN);
    cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL), WEFT_TREE, "it is as it was");
    weft_keypair_destroy(nobody);
    world_destroy(w);
}

Test(join, of_an_open_tree_needs_nobody)
{
    struct world *w = world_create(13, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    weft_join_outcome said;
    weft_id tree;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &tree), WEFT_OK);
    cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_OK);
    cr_expect_eq(said.right, WEFT_RIGHT_READ);
    cr_expect_eq(join_entries(w, 1, &tree), 1);
    cr_expect_eq(join_listed(w, WEFT_JOIN_GRANTED, NULL), 0, "there was nothing to decide");
    world_destroy(w);
}

Test(join, without_a_right_finds_out_what_the_key_has)
{
    struct world *w = world_create(14, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    weft_join_outcome said;
    cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_NONE, &said), WEFT_TREE, "it has none");
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 0);
    cr_assert_eq(join_ask_as(w, 1, &tree, w->author, WEFT_RIGHT_NONE, &said), WEFT_OK);
    cr_expect(said.right == WEFT_RIGHT_ADMIN && said.priority == 0);
    cr_expect_eq(join_entries(w, 1, &tree), 1);
    world_destroy(w);
}

Test(join, with_a_key_of_a_user_lets_the_device_of_that_user_read)
{
    struct world *w = world_create(15, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_key of_user;
    weft_keypair *user = join_pair(50, &of_user);
    weft_join_outcome said;
    cr_assert_eq(join_ask_as(w, 1, &tree, user, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_run(w, 5 * WEFT_SEC);
    cr_expect_eq(join_entries(w, 1, &tree), 2);
    cr_expect_eq(join_right(w, 0, &tree, &of_user), WEFT_RIGHT_READ);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_NONE);
    wf_net_hub_kill(w->hub->hub, w->nodes[1].host); /* and again on the next connection */
    world_run(w, 10 * WEFT_SEC);
    cr_expect_eq(weft_sync_tree(node(w, 1), key(w, 0), &tree, CALL, NULL), WEFT_OK);
    weft_keypair_destroy(user);
    world_destroy(w);
}

/* -- Deciding --------------------------------------------------------------------------- */

Test(join, is_decided_once)
{
    struct world *w = world_create(16, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    uint8_t nothing[16] = {1};
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_expect_eq(weft_join_approve(node(w, 0), nothing, w->author, CALL), WEFT_NOT_FOUND);
    cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_STATE);
    cr_expect_eq(weft_join_reject(node(w, 0), said.id, w->author, CALL), WEFT_STATE);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_READ);
    world_destroy(w);
}

Test(join, that_two_decide_at_once_is_decided_by_one)
{
    struct world *w = world_create(17, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    struct join_decided d = {0};
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_assert_eq(weft_join_approve_async(node(w, 0), said.id, w->author, join_on_decided, &d),
                 WEFT_OK);
    cr_assert_eq(weft_join_reject_async(node(w, 0), said.id, w->author, join_on_decided, &d),
                 WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect(d.ok == 1 && d.state == 1, "%u OK, %u STATE", d.ok, d.state);
    world_destroy(w);
}

Test(join, that_a_weak_admin_decides_goes_on_waiting)
{
    struct world *w = world_create(18, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_keypair *nobody = join_pair(50, NULL);
    weft_join_outcome said;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_ADMIN, &said), WEFT_AWAITING);
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, nobody, CALL), WEFT_FORBIDDEN);
    cr_expect_eq(weft_join_reject(node(w, 0), said.id, nobody, CALL), WEFT_FORBIDDEN);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1);
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    weft_keypair_destroy(nobody);
    world_destroy(w);
}

/* Who wants the key back says so by a grant, and not by the way. */
Test(join, of_a_key_that_was_revoked_while_it_waited_is_not_approved)
{
    struct world *w = world_create(35, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_grant none = {.key = *key(w, 1), .right = WEFT_RIGHT_NONE};
    weft_grant back = {.key = *key(w, 1), .right = WEFT_RIGHT_READ};
    weft_join_outcome said;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_WRITE, &said), WEFT_AWAITING);
    cr_assert_eq(weft_grant_put(node(w, 0), &tree, w->author, &none, 1, CALL, NULL), WEFT_OK);
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_STATE);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_NONE);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1, "it goes on waiting");
    cr_assert_eq(weft_grant_put(node(w, 0), &tree, w->author, &back, 1, CALL, NULL), WEFT_OK);
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_WRITE);
    world_destroy(w);
}

Test(join, is_remembered_with_so_many_others_and_then_the_oldest_goes)
{
    enum { ROOM = WEFT_JOINS_DECIDED_MAX + 8 };
    struct world *w = world_create(28, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_request *all = calloc(ROOM, sizeof *all);
    weft_join_outcome said;
    uint8_t first[16];
    for (uint32_t i = 0; i < WEFT_JOINS_DECIDED_MAX + 3; i++) {
        size_t count = ROOM;
        world_run(w, WEFT_PROOF_EVERY_NS);
        cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING, "%u", i);
        cr_assert_eq(weft_join_reject(node(w, 0), said.id, w->author, CALL), WEFT_OK);
        if (i == 0) memcpy(first, said.id, sizeof first);
        cr_assert_eq(weft_join_list(node(w, 0), WEFT_JOIN_REJECTED, CALL, all, &count), WEFT_OK);
        cr_assert_leq(count, WEFT_JOINS_DECIDED_MAX, "%u", i);
    }
    cr_expect_eq(weft_join_get(node(w, 0), first, CALL, all), WEFT_NOT_FOUND);
    cr_expect_eq(weft_join_get(node(w, 0), said.id, CALL, all), WEFT_OK);
    free(all);
    world_destroy(w);
}

/* A request that is as old as it may be: its record says so, and the node is opened anew. */
Test(join, that_nobody_decides_expires)
{
    struct world *w = world_create(19, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_outcome said;
    weft_join_request *r = calloc(1, sizeof *r);
    struct join_heard h = {0};
    uint64_t handle;
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_assert_eq(weft_join_get(node(w, 0), said.id, CALL, r), WEFT_OK);
    cr_assert_eq(weft_subscribe(node(w, 1), join_on_event, &h, &handle), WEFT_OK);
    r->asked_ms -= WEFT_JOIN_TTL_MS;
    struct wf_record_put *put = wf_join_row_record(r);
    cr_assert_eq(wf_node_call(node(w, 0), node(w, 0)->table.store, &put->req, CALL, NULL), WEFT_OK);
    world_kill(w, 0);
    world_start(w, 0);
    cr_expect_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_STATE,
                 "before anybody has looked");
    world_run(w, 3 * WEFT_JOIN_POLL_NS);
    cr_expect_eq(join_listed(w, WEFT_JOIN_EXPIRED, NULL), 1);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 0);
    cr_expect_eq(weft_tree_join_check(node(w, 1), &tree, NULL, CALL, NULL), WEFT_NOT_FOUND,
                 "it is forgotten");
    cr_assert_eq(h.count, 1);
    cr_expect_eq(h.events[0].err, WEFT_EXPIRED, "who asked has heard it");
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_NONE);
    free(r);
    world_destroy(w);
}

/* -- What it gives away ----------------------------------------------------------------- */

Test(join, of_a_closed_tree_is_answered_as_that_of_an_absent_one)
{
    struct world *w = world_create(20, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id closed = join_tree(w, 1, WEFT_JOIN_CLOSED), off = join_tree(w, 2, WEFT_JOIN_ASK);
    weft_id absent = {{9}};
    cr_assert_eq(weft_tree_unfollow(node(w, 0), &off, CALL), WEFT_OK);
    cr_expect_eq(join_ask(w, 1, &closed, WEFT_RIGHT_READ, NULL), WEFT_TREE);
    cr_expect_eq(join_ask(w, 1, &absent, WEFT_RIGHT_READ, NULL), WEFT_TREE);
    cr_expect_eq(join_ask(w, 1, &off, WEFT_RIGHT_READ, NULL), WEFT_TREE);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 0);
    world_destroy(w);
}

Test(join, with_a_revoked_key_is_answered_as_that_of_an_absent_tree)
{
    struct world *w = world_create(32, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    weft_grant none = {.key = *key(w, 1), .right = WEFT_RIGHT_NONE};
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL), WEFT_OK);
    cr_assert_eq(weft_grant_put(node(w, 0), &tree, w->author, &none, 1, CALL, NULL), WEFT_OK);
    cr_expect_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, NULL), WEFT_TREE);
    cr_expect_eq(join_right(w, 0, &tree, key(w, 1)), WEFT_RIGHT_NONE, "nor is it granted anew");
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 0);
    world_destroy(w);
}

Test(join, that_a_stranger_asks_for_leaves_only_its_request)
{
    struct world *w = world_create(21, WORLD_CHAIN, 3, WORLD_PLAIN); /* 2 knows 1 alone */
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_key peers[8];
    size_t count = 8;
    cr_assert_eq(join_ask(w, 2, &tree, WEFT_RIGHT_READ, NULL), WEFT_AWAITING);
    cr_assert_eq(weft_peer_list(node(w, 0), CALL, peers, &count), WEFT_OK);
    for (size_t i = 0; i < count; i++) cr_expect_not(weft_key_equal(&peers[i], key(w, 2)));
    cr_expect_eq(join_entries(w, 0, &tree), 1);
    world_destroy(w);
}

Test(join, of_a_node_that_does_not_know_how_is_unsupported)
{
    struct world *w = world_create(22, WORLD_CHAIN, 2, WORLD_OLD);
    weft_join_spec spec = {.tree = w->tree, .name = "Ada", .right = WEFT_RIGHT_READ};
    cr_expect_eq(weft_tree_join(node(w, 0), "mem:n1:1", NULL, &spec, CALL, NULL), WEFT_UNSUPPORTED);
    world_destroy(w);
}

/* -- Events ----------------------------------------------------------------------------- */

Test(join, is_told_where_it_is_asked_and_where_it_is_decided)
{
    struct world *w = world_create(23, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    struct join_heard h[2] = {{0}};
    const weft_err expected[2][2] = {{WEFT_OK, WEFT_EXISTS}, {WEFT_AWAITING, WEFT_EXISTS}};
    weft_join_outcome said;
    uint64_t handle;
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(weft_subscribe(node(w, i), join_on_event, &h[i], &handle), WEFT_OK);
    cr_assert_eq(join_ask(w, 1, &tree, WEFT_RIGHT_READ, &said), WEFT_AWAITING);
    cr_assert_eq(weft_join_approve(node(w, 0), said.id, w->author, CALL), WEFT_OK);
    world_run(w, 5 * WEFT_SEC);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(h[i].count, 2, "node %u: %u", i, h[i].count);
        for (uint32_t k = 0; k < 2; k++) {
            const weft_event *event = &h[i].events[k];
            cr_expect_eq(event->err, expected[i][k], "node %u, event %u", i, k);
            cr_expect(weft_id_equal(&event->tree, &tree));
            cr_expect(weft_key_equal(&event->peer, key(w, 1)));
            cr_expect_eq(memcmp(event->request, said.id, sizeof said.id), 0);
        }
    }
    world_destroy(w);
}

/* Else a made-up ticket would open what is private here. */
Test(join, that_is_granted_for_a_tree_that_is_kept_lets_nobody_new_read_it)
{
    struct world *w = world_create(33, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_root_spec root = {.entropy = {9, 33}};
    weft_id open = join_tree(w, 1, WEFT_JOIN_AUTO), own, kept[2];
    cr_assert_eq(weft_tree_create(node(w, 1), w->author, &root, CALL, &own), WEFT_OK);
    kept[0] = own;
    /* The other side says yes to it, as somebody would who lies. */
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &kept[1]), WEFT_OK);
    cr_assert(weft_id_equal(&kept[0], &kept[1]));
    cr_expect_eq(join_ask_as(w, 1, &own, w->author, WEFT_RIGHT_READ, NULL), WEFT_TREE,
                 "nor does it sync with who may not read it");
    cr_expect_not(wf_store_may_read(node(w, 1)->table.wf_store, &own, key(w, 0)));
    cr_assert_eq(weft_tree_unfollow(node(w, 1), &own, CALL), WEFT_OK);
    cr_expect_eq(join_ask_as(w, 1, &own, w->author, WEFT_RIGHT_READ, NULL), WEFT_TREE);
    cr_expect_not(wf_store_may_read(node(w, 1)->table.wf_store, &own, key(w, 0)),
                  "its entries had stayed");
    cr_expect_eq(join_ask(w, 1, &open, WEFT_RIGHT_READ, NULL), WEFT_OK);
    cr_expect(wf_store_may_read(node(w, 1)->table.wf_store, &open, key(w, 0)), "an empty one does");
    world_destroy(w);
}

/* -- How it may be called --------------------------------------------------------------- */

struct inside {
    weft_node *node;
    const weft_keypair *pair;
    weft_id tree;
    bool all;
    uint32_t calls;
};

static void on_inside(void *arg, const weft_event *event)
{
    struct inside *in = arg;
    weft_join_request *r = calloc(1, sizeof *r);
    weft_join_spec spec = {.tree = in->tree, .name = "Ada"};
    uint8_t id[16] = {0};
    size_t count = 1;
    if (event->kind == WEFT_EV_ENTRIES && in->calls++ == 0)
        in->all = weft_join_mode_set(in->node, &in->tree, WEFT_JOIN_ASK, NULL, 0, 0, CALL) ==
                      WEFT_DEADLK &&
                  weft_join_list(in->node, WEFT_JOIN_PENDING, CALL, r, &count) == WEFT_DEADLK &&
                  weft_join_get(in->node, id, CALL, r) == WEFT_DEADLK &&
                  weft_join_approve(in->node, id, in->pair, CALL) == WEFT_DEADLK &&
                  weft_join_reject(in->node, id, in->pair, CALL) == WEFT_DEADLK &&
                  weft_tree_join(in->node, HOST, NULL, &spec, CALL, NULL) == WEFT_DEADLK &&
                  weft_tree_join_check(in->node, &in->tree, NULL, CALL, NULL) == WEFT_DEADLK;
    free(r);
}

Test(join, calls_that_wait_are_not_for_the_inside_of_an_actor)
{
    struct world *w = world_create(31, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    struct inside in = {node(w, 0), w->author, w->tree, false, 0};
    uint64_t handle;
    cr_assert_eq(weft_subscribe(node(w, 0), on_inside, &in, &handle), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_gt(in.calls, 0);
    cr_expect(in.all);
    world_destroy(w);
}

Test(join, refuses_arguments_that_are_none)
{
    struct world *w = world_create(26, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_node *n = node(w, 0);
    weft_join_request *r = calloc(1, sizeof *r);
    weft_join_spec spec = {.tree = w->tree, .name = "Ada"}, bad = spec;
    uint8_t id[16] = {0};
    size_t count = 1;
    char longer[WEFT_KEY_NAME_BYTES_MAX + 2] = {0};
    memset(longer, 'n', sizeof longer - 1);
    cr_expect_eq(weft_join_mode_set(n, NULL, WEFT_JOIN_ASK, NULL, 0, 0, CALL), WEFT_INVALID);
    cr_expect_eq(weft_join_mode_set(n, &w->tree, WEFT_JOIN_AUTO, NULL, WEFT_RIGHT_READ, 0, CALL),
                 WEFT_INVALID);
    cr_expect_eq(weft_join_mode_set(n, &w->tree, WEFT_JOIN_AUTO, w->author, 0, 0, CALL),
                 WEFT_INVALID);
    cr_expect_eq(weft_join_mode_set(n, &spec.tree, (weft_join_mode)3, NULL, 0, 0, CALL),
                 WEFT_INVALID);
    cr_expect_eq(weft_join_mode_set(n, &(weft_id){{9}}, WEFT_JOIN_ASK, NULL, 0, 0, CALL),
                 WEFT_TREE);
    cr_expect_eq(weft_join_list(n, WEFT_JOIN_PENDING, CALL, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_join_list(n, (weft_join_state)4, CALL, r, &count), WEFT_INVALID);
    cr_expect_eq(weft_join_get(n, NULL, CALL, r), WEFT_INVALID);
    cr_expect_eq(weft_join_get(n, id, CALL, r), WEFT_NOT_FOUND);
    cr_expect_eq(weft_join_approve(n, id, NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_join_reject(n, NULL, w->author, CALL), WEFT_INVALID);
    cr_expect_eq(weft_tree_join(n, NULL, NULL, &spec, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_tree_join(n, HOST, NULL, NULL, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_tree_join(n, "", NULL, &spec, CALL, NULL), WEFT_ADDRESS);
    const char *names[] = {NULL, "", longer, "\xff"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bad.name = names[i];
        cr_expect_eq(weft_tree_join(n, HOST, NULL, &bad, CALL, NULL), WEFT_INVALID, "name %zu", i);
    }
    bad = spec;
    bad.meta = longer;
    bad.meta_len = WEFT_JOIN_META_BYTES_MAX + 1;
    cr_expect_eq(weft_tree_join(n, HOST, NULL, &bad, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_tree_join_check(n, NULL, NULL, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_tree_join_async(n, HOST, NULL, &spec, CALL, NULL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_join_approve_async(n, id, w->author, NULL, NULL), WEFT_INVALID);
    free(r);
    world_destroy(w);
}
