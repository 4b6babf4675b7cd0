/* SPDX-License-Identifier: Apache-2.0
 * test_sync_peer.c - handles of trees that are kept with a peer, in small worlds.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <weft/history.h>
#include <weft/ticket.h>

#include "alloc.h"
#include "world.h"

#define CALL (60 * WEFT_SEC)

enum { SERVER = 0, GUEST = 2 }; /* of three in a row: they do not know each other */

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static weft_id tree_at(struct world *w, uint32_t at, weft_right everyone)
{
    weft_root_spec root = {.everyone = everyone, .everyone_priority = 10, .entropy = {55}};
    weft_id tree;
    cr_assert_eq(weft_tree_create(node(w, at), w->author, &root, CALL, &tree), WEFT_OK);
    return tree;
}

static weft_err open_at(struct world *w, const weft_id *tree, const char *address,
                        weft_sync_peer **out)
{
    weft_sync_peer_spec spec = {.peer = *key(w, SERVER),
                                .name = "server",
                                .tree = *tree,
                                .addresses = &address,
                                .addresses_count = address == NULL ? 0 : 1};
    return weft_sync_peer_open(node(w, GUEST), &spec, CALL, out);
}

static weft_sync_peer *opened(struct world *w, const weft_id *tree, const char *address)
{
    weft_sync_peer *handle = NULL;
    weft_err err = open_at(w, tree, address, &handle);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return handle;
}

static weft_sync_status status_of(weft_sync_peer *handle)
{
    weft_sync_status status;
    cr_assert_eq(weft_sync_peer_status(handle, CALL, &status), WEFT_OK);
    return status;
}

static bool related(struct world *w, const weft_id *tree)
{
    weft_id ids[8];
    size_t count = 8;
    weft_err err = weft_peer_trees(node(w, GUEST), key(w, SERVER), CALL, ids, &count);
    bool found = false;
    for (size_t i = 0; err == WEFT_OK && i < count; i++) found |= weft_id_equal(&ids[i], tree);
    return found;
}

/* -- It is tried --------------------------------------------------------------------------- */

Test(sync_peer, a_declared_tree_is_synced_without_another_word)
{
    struct world *w = world_create(1, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ), of_handle;
    weft_key peer;
    weft_sync_peer *handle = opened(w, &tree, "mem:n0:1");
    weft_sync_status s = status_of(handle);
    cr_expect_eq(s.last_sync_ms, 0);
    cr_assert_eq(weft_sync_peer_wait(handle, CALL), WEFT_OK);
    world_run(w, WEFT_SEC);
    s = status_of(handle);
    cr_expect(s.has_local_data && s.live);
    cr_expect_eq(s.connection, WEFT_CONNECTED);
    cr_expect_eq(s.last_error, WEFT_OK);
    cr_expect_gt(s.last_sync_ms, 0);
    cr_expect_eq(weft_sync_peer_wait(handle, WEFT_MS), WEFT_OK, "that it was is no news");
    weft_sync_peer_key(handle, &peer);
    weft_sync_peer_tree(handle, &of_handle);
    cr_expect(weft_key_equal(&peer, key(w, SERVER)) && weft_id_equal(&of_handle, &tree));
    weft_peer_info info;
    cr_assert_eq(weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info), WEFT_OK);
    cr_expect_eq(info.addresses_count, 1);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer, the_wait_has_an_end_and_the_tries_have_none)
{
    struct world *w = world_create(2, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
    weft_sync_peer *handle = opened(w, &tree, "mem:nobody:1");
    cr_expect_eq(weft_sync_peer_wait(handle, 5 * WEFT_SEC), WEFT_TIMED_OUT);
    weft_sync_status s = status_of(handle);
    cr_expect_eq(s.last_error, WEFT_UNREACHABLE, "%s", weft_errname(s.last_error));
    cr_expect_neq(s.connection, WEFT_CONNECTED);
    cr_expect_not(s.has_local_data);
    cr_assert_eq(weft_sync_peer_add_address(handle, "mem:n0:1", CALL), WEFT_OK);
    cr_expect_eq(weft_sync_peer_wait(handle, 5 * WEFT_SEC), WEFT_OK);
    s = status_of(handle);
    cr_expect(s.has_local_data);
    cr_expect_eq(s.last_error, WEFT_OK);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer, a_right_that_comes_later_ends_the_wait)
{
    struct world *w = world_create(3, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_NONE);
    weft_sync_peer *handle = opened(w, &tree, "mem:n0:1");
    cr_expect_eq(weft_sync_peer_wait(handle, 10 * WEFT_SEC), WEFT_TIMED_OUT);
    cr_expect_eq(status_of(handle).last_error, WEFT_TREE);
    cr_expect_eq(status_of(handle).connection, WEFT_CONNECTED);
    cr_assert_eq(weft_tree_follow(node(w, SERVER), &tree, key(w, GUEST), 1, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_peer_wait(handle, 2 * WEFT_SEC << WEFT_BACKOFF_EXPONENT_MAX), WEFT_OK);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer, the_peer_may_read_what_is_declared)
{
    struct world *w = world_create(4, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = tree_at(w, GUEST, WEFT_RIGHT_NONE);
    weft_tree_info info = {0};
    cr_assert_eq(weft_tree_follow(node(w, SERVER), &tree, key(w, GUEST), 1, CALL), WEFT_OK);
    weft_sync_peer *handle = opened(w, &tree, "mem:n0:1");
    cr_assert_eq(weft_sync_peer_wait(handle, CALL), WEFT_OK);
    cr_expect_eq(weft_tree_info_get(node(w, SERVER), &tree, &info), WEFT_OK);
    cr_expect_eq(info.entries, 1);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

/* -- Blocked ------------------------------------------------------------------------------- */

/* Blocks the peer a second after it was spawned, while somebody waits. */
struct blocker {
    weft_timer timer;
    weft_node *node;
    weft_key peer;
};

static void on_done(void *arg, weft_err err, const weft_result *result)
{
    (void)arg;
    (void)result;
    cr_expect_eq(err, WEFT_OK);
}

static void on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)timer;
    (void)missed;
    struct blocker *b = state;
    cr_expect_eq(weft_peer_remove_async(b->node, &b->peer, on_done, NULL), WEFT_OK);
}

static weft_err blocker_init(weft_self *self, void *state, void *arg)
{
    struct blocker *b = state;
    const struct world *w = arg;
    b->node = w->nodes[GUEST].node;
    b->peer = w->nodes[SERVER].key;
    return weft_timer_set(self, &b->timer, weft_now(self) + WEFT_SEC, 0, on_timer);
}

static weft_verdict nothing(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(sync_peer, who_waits_hears_that_the_peer_was_blocked)
{
    struct world *w = world_create(5, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
    weft_sync_peer *handle = opened(w, &tree, "mem:nobody:1"), *second = NULL;
    weft_spec spec = {.name = "blocker",
                      .arg = w,
                      .state_size = sizeof(struct blocker),
                      .init = blocker_init,
                      .handle = nothing};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(w->nodes[GUEST].rt, &spec, &addr), WEFT_OK);
    cr_expect_eq(weft_sync_peer_wait(handle, CALL), WEFT_BLOCKED);
    cr_expect_eq(status_of(handle).last_error, WEFT_BLOCKED);
    cr_expect_eq(weft_sync_peer_wait(handle, CALL), WEFT_BLOCKED, "and later too");
    cr_expect_eq(open_at(w, &tree, "mem:n0:1", &second), WEFT_BLOCKED);
    cr_expect_null(second);
    weft_addr_put(addr);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

/* -- All of it or nothing ------------------------------------------------------------------ */

Test(sync_peer, what_was_answered_outlives_a_crash)
{
    struct world *w = world_create(6, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
    weft_tree_info info = {0};
    weft_sync_peer *handle = opened(w, &tree, "mem:n0:1");
    weft_sync_peer_close(handle);
    world_kill(w, GUEST);
    world_start(w, GUEST);
    cr_expect(related(w, &tree));
    world_run(w, 60 * WEFT_SEC);
    cr_expect_eq(weft_tree_info_get(node(w, GUEST), &tree, &info), WEFT_OK);
    cr_expect_eq(info.entries, 1, "relations go on with it");
    world_destroy(w);
}

Test(sync_peer, no_crash_leaves_a_peer_without_its_relation)
{
    weft_err err = WEFT_IO;
    for (uint64_t nth = 1; err != WEFT_OK; nth++) {
        struct world *w = world_create(7, WORLD_CHAIN, 3, WORLD_NO_PUSH);
        weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
        weft_sync_peer *handle = NULL;
        weft_peer_info info;
        cr_assert_lt(nth, 6);
        wf_kv_memory_fail_at(w->nodes[GUEST].kv, nth, WEFT_IO, true);
        err = open_at(w, &tree, "mem:nobody:1", &handle);
        cr_expect((err == WEFT_OK) == (handle != NULL));
        weft_sync_peer_close(handle);
        world_kill(w, GUEST);
        world_start(w, GUEST);
        bool known = weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info) == WEFT_OK;
        cr_expect_eq(known, related(w, &tree), "write %lu", (unsigned long)nth);
        if (err == WEFT_OK) cr_expect(known); /* IO: it may be on the disk all the same */
        if (known) cr_expect_eq(info.addresses_count, 1);
        world_destroy(w);
    }
}

Test(sync_peer, what_is_refused_changes_nothing)
{
    struct world *w = world_create(8, WORLD_CHAIN, 3, WORLD_NO_PUSH);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
    weft_peer_info info;
    weft_sync_peer *handle = NULL;
    const char *many[WEFT_ADDRESSES_PER_PEER_MAX + 1];
    weft_sync_peer_spec spec = {.peer = *key(w, SERVER), .tree = tree, .addresses = many};
    for (uint32_t i = 0; i <= WEFT_ADDRESSES_PER_PEER_MAX; i++) many[i] = "mem:a:1";
    spec.addresses_count = WEFT_ADDRESSES_PER_PEER_MAX + 1;
    cr_expect_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, &handle), WEFT_LIMIT);
    spec.addresses_count = 1;
    many[0] = "nothing";
    cr_expect_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, &handle), WEFT_ADDRESS);
    many[0] = NULL;
    cr_expect_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, &handle), WEFT_INVALID);
    spec.addresses = NULL;
    cr_expect_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, &handle), WEFT_INVALID);
    spec.addresses_count = 0;
    spec.peer = *key(w, GUEST);
    cr_expect_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, &handle), WEFT_INVALID);
    cr_expect_eq(weft_sync_peer_open(NULL, &spec, CALL, &handle), WEFT_INVALID);
    cr_expect_eq(weft_sync_peer_open(node(w, GUEST), NULL, CALL, &handle), WEFT_INVALID);
    cr_expect_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_sync_peer_status(NULL, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_sync_peer_wait(NULL, CALL), WEFT_INVALID);
    cr_expect_eq(weft_sync_peer_add_address(NULL, "mem:a:1", CALL), WEFT_INVALID);
    weft_sync_peer_close(NULL);
    cr_expect_eq(weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info), WEFT_NOT_FOUND);
    cr_expect_null(handle);
    world_destroy(w);
}

Test(sync_peer, too_many_addresses_leave_the_known_ones)
{
    struct world *w = world_create(9, WORLD_CHAIN, 3, WORLD_NO_PUSH);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
    char text[WEFT_ADDRESSES_PER_PEER_MAX][16];
    const char *list[WEFT_ADDRESSES_PER_PEER_MAX];
    weft_peer_info info;
    weft_sync_peer *handle = NULL;
    for (uint32_t i = 0; i < WEFT_ADDRESSES_PER_PEER_MAX; i++) {
        snprintf(text[i], sizeof text[i], "mem:x%u:1", i);
        list[i] = text[i];
    }
    cr_assert_eq(weft_peer_register(node(w, GUEST), key(w, SERVER), NULL, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(node(w, GUEST), key(w, SERVER), "mem:known:1", CALL),
                 WEFT_OK);
    weft_sync_peer_spec spec = {
        .peer = *key(w, SERVER), .tree = tree, .addresses = list, .addresses_count = 8};
    cr_expect_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, &handle), WEFT_LIMIT);
    cr_assert_eq(weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info), WEFT_OK);
    cr_expect_eq(info.addresses_count, 1);
    cr_expect_not(related(w, &tree));
    world_destroy(w);
}

/* -- Handles ------------------------------------------------------------------------------- */

Test(sync_peer, several_handles_of_a_pair_share_what_they_know)
{
    struct world *w = world_create(10, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
    weft_sync_peer *a = opened(w, &tree, "mem:n0:1"), *b = opened(w, &tree, NULL);
    cr_assert_eq(weft_sync_peer_wait(a, CALL), WEFT_OK);
    weft_sync_peer_close(a);
    cr_expect_eq(weft_sync_peer_wait(b, WEFT_MS), WEFT_OK);
    cr_expect(status_of(b).has_local_data);
    weft_sync_peer_close(b);
    weft_sync_peer *c = opened(w, &tree, NULL);
    cr_expect_eq(status_of(c).last_sync_ms, 0, "the first one again");
    cr_assert_eq(weft_sync_peer_wait(c, CALL), WEFT_OK);
    weft_sync_peer_close(c);
    world_destroy(w);
}

Test(sync_peer, a_handle_may_be_closed_after_the_shutdown)
{
    struct world *w = world_create(11, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
    weft_sync_peer *handle = opened(w, &tree, "mem:nobody:1");
    weft_sync_status s;
    world_run(w, 10 * WEFT_MS);
    cr_assert_eq(weft_shutdown(node(w, GUEST), CALL), WEFT_OK);
    cr_expect_eq(weft_sync_peer_status(handle, CALL, &s), WEFT_CLOSED);
    cr_expect_eq(weft_sync_peer_wait(handle, CALL), WEFT_CLOSED);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

struct within {
    weft_node *node;
    weft_sync_peer *handle;
    bool all;
};

static weft_err inside(weft_self *self, void *state, void *arg)
{
    (void)self;
    (void)state;
    struct within *in = arg;
    weft_ticket t = {.has_server = true, .hints = {"mem:a:1"}, .hints_count = 1}, made;
    weft_sync_peer_spec spec = {.peer = {{9}}};
    weft_join_spec join = {.name = "n"};
    weft_pair_info pair;
    size_t none = 0;
    weft_sync_peer *other = NULL;
    weft_sync_status s;
    in->all = weft_sync_with_ticket(in->node, &t, CALL, NULL) == WEFT_DEADLK &&
              weft_ticket_create(in->node, &t.tree, CALL, &made) == WEFT_DEADLK &&
              weft_tree_join_with_ticket(in->node, &t, &join, CALL, NULL) == WEFT_DEADLK &&
              weft_share(in->node, &t.tree, NULL, CALL, &made) == WEFT_DEADLK &&
              weft_history(in->node, &spec.peer, CALL, NULL, &none) == WEFT_DEADLK &&
              weft_history_trim(in->node, 0, CALL, NULL) == WEFT_DEADLK &&
              weft_peers_with_history(in->node, CALL, NULL, &none) == WEFT_DEADLK &&
              weft_pair_get(in->node, &spec.peer, &t.tree, CALL, &pair) == WEFT_DEADLK &&
              weft_sync_peer_open(in->node, &spec, CALL, &other) == WEFT_DEADLK &&
              weft_sync_peer_status(in->handle, CALL, &s) == WEFT_DEADLK &&
              weft_sync_peer_add_address(in->handle, "mem:a:1", CALL) == WEFT_DEADLK &&
              weft_sync_peer_wait(in->handle, CALL) == WEFT_DEADLK;
    return WEFT_OK;
}

Test(sync_peer, calls_from_inside_an_actor_answer_deadlk)
{
    struct world *w = world_create(13, WORLD_CHAIN, 3, WORLD_NO_PUSH);
    weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
    struct within in = {.node = node(w, GUEST), .handle = opened(w, &tree, NULL)};
    weft_spec spec = {.name = "inside", .arg = &in, .init = inside, .handle = nothing};
    weft_addr *addr = NULL;
    cr_assert_eq(weft_spawn(w->nodes[GUEST].rt, &spec, &addr), WEFT_OK);
    cr_expect(in.all);
    weft_addr_put(addr);
    weft_sync_peer_close(in.handle);
    world_destroy(w);
}

/* One world each: what could not be written is tried again by the store, but not at once. */
Test(sync_peer, every_call_ends_though_memory_is_short)
{
    uint32_t opened_count = 0;
    for (uint64_t nth = 1; nth <= 60; nth++) {
        struct world *w = world_create(12, WORLD_CHAIN, 3, WORLD_NO_PUSH);
        weft_id tree = tree_at(w, SERVER, WEFT_RIGHT_READ);
        weft_sync_peer *handle = NULL;
        weft_sync_status s;
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = open_at(w, &tree, "mem:n0:1", &handle);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect((err == WEFT_OK) == (handle != NULL), "%lu", (unsigned long)nth);
        opened_count += handle != NULL;
        if (handle != NULL) {
            (void)wf_alloc_fail_at(nth, 0);
            (void)weft_sync_peer_status(handle, CALL, &s);
            (void)weft_sync_peer_add_address(handle, "mem:nobody:1", CALL);
            (void)weft_sync_peer_wait(handle, 2 * WEFT_SEC);
            (void)wf_alloc_fail_at(0, 0);
            weft_sync_peer_close(handle);
        }
        world_destroy(w);
    }
    cr_expect(opened_count > 0 && opened_count < 60, "%u", opened_count);
}
