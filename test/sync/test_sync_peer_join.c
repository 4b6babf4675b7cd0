/* SPDX-License-Identifier: Apache-2.0
 * test_sync_peer_join.c - handles of trees into which somebody has to be let first.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include <weft/ticket.h>

#include "alloc.h"
#include "join_desk.h"
#include "join_kit.h"

enum { SERVER = 0, GUEST = 2 }; /* of three in a row: they do not know each other */
static const char *const at_host = HOST;

static weft_err open_as(struct world *w, const weft_id *tree, const weft_keypair *as,
                        weft_right right, weft_sync_peer **out)
{
    weft_join_spec join = {.key = as,
                           .name = "Ada",
                           .right = right,
                           .priority = 10,
                           .meta = "let me in",
                           .meta_len = 9};
    weft_sync_peer_spec spec = {.peer = *key(w, SERVER),
                                .tree = *tree,
                                .addresses = &at_host,
                                .addresses_count = 1,
                                .join = &join};
    return weft_sync_peer_open(node(w, GUEST), &spec, CALL, out);
}

static weft_sync_peer *opened(struct world *w, const weft_id *tree)
{
    weft_sync_peer *handle = NULL;
    cr_assert_eq(open_as(w, tree, NULL, WEFT_RIGHT_WRITE, &handle), WEFT_OK);
    return handle;
}

static weft_sync_status status_of(weft_sync_peer *handle)
{
    weft_sync_status status;
    cr_assert_eq(weft_sync_peer_status(handle, CALL, &status), WEFT_OK);
    return status;
}

static void expect_let_in(struct world *w, weft_sync_peer *handle, const weft_id *tree)
{
    world_run(w, 100 * WEFT_MS); /* the first sync may be faster than the word that it may be */
    weft_sync_status s = status_of(handle);
    cr_expect_eq(s.join, WEFT_JOIN_GRANTED);
    cr_expect_eq(s.last_error, WEFT_OK);
    cr_expect(s.has_local_data);
    cr_expect_eq(join_entries(w, GUEST, tree), join_entries(w, SERVER, tree));
    cr_expect_eq(join_right(w, SERVER, tree, key(w, GUEST)), WEFT_RIGHT_WRITE);
}

static void expect_waits(weft_sync_peer *handle)
{
    weft_sync_status s = status_of(handle);
    cr_expect_eq(s.join, WEFT_JOIN_PENDING);
    cr_expect_eq(s.last_error, WEFT_AWAITING, "%s", weft_errname(s.last_error));
    cr_expect_not(s.has_local_data);
}

Test(sync_peer_join, who_is_let_in_at_once_has_the_tree)
{
    struct world *w = world_create(1, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    weft_sync_peer *handle = opened(w, &tree);
    cr_assert_eq(weft_sync_peer_wait(handle, CALL), WEFT_OK);
    expect_let_in(w, handle, &tree);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer_join, who_waits_for_a_decision_is_synced_when_it_comes)
{
    struct world *w = world_create(2, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_request request;
    struct join_decided decided = {0};
    weft_sync_peer *handle = opened(w, &tree);
    cr_expect_eq(weft_sync_peer_wait(handle, 5 * WEFT_SEC), WEFT_TIMED_OUT);
    expect_waits(handle);
    cr_assert_eq(join_listed(w, WEFT_JOIN_PENDING, &request), 1);
    cr_expect(weft_key_equal(&request.key, key(w, GUEST)));
    cr_expect_eq(request.meta_len, 9);
    cr_assert_eq(
        weft_join_approve_async(node(w, SERVER), request.id, w->author, join_on_decided, &decided),
        WEFT_OK);
    cr_assert_eq(weft_sync_peer_wait(handle, 5 * WEFT_SEC), WEFT_OK);
    cr_expect_eq(decided.ok, 1);
    expect_let_in(w, handle, &tree);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer_join, who_is_rejected_hears_it_and_asks_no_more)
{
    struct world *w = world_create(3, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_request request;
    struct join_decided decided = {0};
    weft_sync_peer *handle = opened(w, &tree);
    world_run(w, 2 * WEFT_SEC);
    cr_assert_eq(join_listed(w, WEFT_JOIN_PENDING, &request), 1);
    cr_assert_eq(
        weft_join_reject_async(node(w, SERVER), request.id, w->author, join_on_decided, &decided),
        WEFT_OK);
    cr_expect_eq(weft_sync_peer_wait(handle, CALL), WEFT_REJECTED);
    cr_expect_eq(decided.ok, 1);
    world_run(w, 300 * WEFT_SEC);
    cr_expect_eq(weft_sync_peer_wait(handle, CALL), WEFT_REJECTED, "and later too");
    weft_sync_status s = status_of(handle);
    cr_expect_eq(s.join, WEFT_JOIN_REJECTED);
    cr_expect_eq(s.last_error, WEFT_REJECTED);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 0, "nobody asks by itself");
    weft_sync_peer *second = opened(w, &tree);
    cr_expect_eq(weft_sync_peer_wait(second, 2 * WEFT_SEC), WEFT_TIMED_OUT);
    expect_waits(second);
    expect_waits(handle);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 1, "a new handle does");
    weft_sync_peer_close(second);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

/* A request that is as old as it may be: its record says so, and the node is opened anew. */
Test(sync_peer_join, who_waited_for_too_long_hears_it)
{
    struct world *w = world_create(13, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_request *r = calloc(1, sizeof *r);
    weft_sync_peer *handle = opened(w, &tree);
    world_run(w, 2 * WEFT_SEC);
    cr_assert_eq(join_listed(w, WEFT_JOIN_PENDING, r), 1);
    r->asked_ms -= WEFT_JOIN_TTL_MS;
    struct wf_record_put *put = wf_join_row_record(r);
    cr_assert_eq(wf_node_call(node(w, SERVER), node(w, SERVER)->table.store, &put->req, CALL, NULL),
                 WEFT_OK);
    world_kill(w, SERVER);
    world_start(w, SERVER);
    cr_expect_eq(weft_sync_peer_wait(handle, 5 * WEFT_JOIN_POLL_NS), WEFT_EXPIRED);
    cr_expect_eq(status_of(handle).join, WEFT_JOIN_EXPIRED);
    weft_sync_peer_close(handle);
    free(r);
    world_destroy(w);
}

Test(sync_peer_join, a_server_that_is_not_there_is_asked_once_when_it_comes)
{
    struct world *w = world_create(4, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_request request;
    world_kill(w, SERVER);
    weft_sync_peer *handle = opened(w, &tree);
    cr_expect_eq(weft_sync_peer_wait(handle, 100 * WEFT_SEC), WEFT_TIMED_OUT);
    weft_sync_status s = status_of(handle);
    cr_expect_eq(s.join, WEFT_JOIN_PENDING);
    cr_expect(s.last_error == WEFT_UNREACHABLE || s.last_error == WEFT_TIMED_OUT, "%s",
              weft_errname(s.last_error));
    world_start(w, SERVER);
    cr_expect_eq(weft_sync_peer_wait(handle, 150 * WEFT_SEC), WEFT_TIMED_OUT);
    expect_waits(handle);
    cr_assert_eq(join_listed(w, WEFT_JOIN_PENDING, &request), 1);
    cr_assert_eq(weft_join_approve(node(w, SERVER), request.id, w->author, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_peer_wait(handle, 5 * WEFT_SEC), WEFT_OK);
    expect_let_in(w, handle, &tree);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer_join, a_decision_is_heard_though_the_server_was_away)
{
    struct world *w = world_create(5, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_request request;
    weft_sync_peer *handle = opened(w, &tree);
    world_run(w, 2 * WEFT_SEC);
    cr_assert_eq(join_listed(w, WEFT_JOIN_PENDING, &request), 1);
    world_cut(w, SERVER, GUEST, true);
    cr_assert_eq(weft_join_approve(node(w, SERVER), request.id, w->author, CALL), WEFT_OK);
    world_kill(w, SERVER);
    world_run(w, 90 * WEFT_SEC);
    cr_expect_eq(status_of(handle).join, WEFT_JOIN_PENDING);
    world_start(w, SERVER);
    world_cut(w, SERVER, GUEST, false);
    cr_expect_eq(weft_sync_peer_wait(handle, 200 * WEFT_SEC), WEFT_OK);
    expect_let_in(w, handle, &tree);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer_join, who_may_not_even_ask_goes_on_until_it_may)
{
    struct world *w = world_create(6, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_CLOSED);
    weft_sync_peer *handle = opened(w, &tree);
    cr_expect_eq(weft_sync_peer_wait(handle, 10 * WEFT_SEC), WEFT_TIMED_OUT);
    weft_sync_status s = status_of(handle);
    cr_expect_eq(s.join, WEFT_JOIN_PENDING);
    cr_expect_eq(s.last_error, WEFT_TREE);
    cr_assert_eq(weft_join_mode_set(node(w, SERVER), &tree, WEFT_JOIN_AUTO, w->author,
                                    WEFT_RIGHT_WRITE, 10, CALL),
                 WEFT_OK);
    cr_expect_eq(weft_sync_peer_wait(handle, 150 * WEFT_SEC), WEFT_OK);
    expect_let_in(w, handle, &tree);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer_join, asks_with_the_key_that_it_is_given)
{
    struct world *w = world_create(7, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
    weft_key user;
    weft_keypair *pair = join_pair(77, &user);
    weft_sync_peer *handle = NULL;
    cr_assert_eq(open_as(w, &tree, pair, WEFT_RIGHT_READ, &handle), WEFT_OK);
    weft_keypair_destroy(pair);
    cr_expect_eq(weft_sync_peer_wait(handle, CALL), WEFT_OK);
    cr_expect_eq(join_right(w, SERVER, &tree, &user), WEFT_RIGHT_READ);
    cr_expect_eq(join_right(w, SERVER, &tree, key(w, GUEST)), WEFT_RIGHT_NONE);
    world_run(w, 100 * WEFT_MS);
    cr_expect_eq(status_of(handle).join, WEFT_JOIN_GRANTED);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer_join, several_handles_of_a_pair_ask_once)
{
    struct world *w = world_create(8, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_join_request request;
    weft_sync_peer *a = opened(w, &tree), *b = opened(w, &tree);
    world_run(w, 100 * WEFT_SEC);
    cr_assert_eq(join_listed(w, WEFT_JOIN_PENDING, &request), 1);
    weft_sync_peer_close(a);
    cr_assert_eq(weft_join_approve(node(w, SERVER), request.id, w->author, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_peer_wait(b, 5 * WEFT_SEC), WEFT_OK);
    expect_let_in(w, b, &tree);
    weft_sync_peer_close(b);
    world_destroy(w);
}

Test(sync_peer_join, without_one_nothing_is_asked)
{
    struct world *w = world_create(9, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_sync_peer *handle = NULL;
    weft_sync_peer_spec spec = {
        .peer = *key(w, SERVER), .tree = tree, .addresses = &at_host, .addresses_count = 1};
    cr_assert_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, &handle), WEFT_OK);
    cr_expect_eq(weft_sync_peer_wait(handle, 10 * WEFT_SEC), WEFT_TIMED_OUT);
    cr_expect_eq(join_listed(w, WEFT_JOIN_PENDING, NULL), 0);
    weft_sync_status s = status_of(handle);
    cr_expect_eq(s.join, WEFT_JOIN_GRANTED);
    cr_expect_eq(s.last_error, WEFT_TREE);
    weft_sync_peer_close(handle);
    world_destroy(w);
}

Test(sync_peer_join, what_nobody_could_ask_changes_nothing)
{
    struct world *w = world_create(10, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id tree = join_tree(w, 1, WEFT_JOIN_ASK);
    weft_peer_info info;
    weft_sync_peer *handle = NULL;
    const weft_join_spec wrong[] = {
        {.name = NULL}, {.name = ""}, {.name = "\xff"}, {.name = "n", .meta_len = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        weft_sync_peer_spec spec = {.peer = *key(w, SERVER), .tree = tree, .join = &wrong[i]};
        cr_expect_eq(weft_sync_peer_open(node(w, GUEST), &spec, CALL, &handle), WEFT_INVALID, "%zu",
                     i);
    }
    cr_expect_null(handle);
    cr_expect_eq(weft_peer_get(node(w, GUEST), key(w, SERVER), CALL, &info), WEFT_NOT_FOUND);
    world_destroy(w);
}

/* While it is asked, and while the decision is waited for. */
Test(sync_peer_join, a_handle_and_its_node_may_end_at_any_time)
{
    for (unsigned i = 0; i < 24; i++) {
        struct world *w = world_create(20 + i, WORLD_CHAIN, 3, WORLD_PLAIN);
        weft_id tree = join_tree(w, 1, i % 3 == 0 ? WEFT_JOIN_AUTO : WEFT_JOIN_ASK);
        weft_sync_peer *handle = opened(w, &tree);
        world_run(w, i * i * WEFT_MS);
        if (i % 2 == 0) cr_assert_eq(weft_shutdown(node(w, GUEST), CALL), WEFT_OK);
        weft_sync_peer_close(handle);
        world_run(w, 5 * WEFT_SEC);
        world_destroy(w);
    }
}

Test(sync_peer_join, every_call_ends_though_memory_is_short)
{
    uint32_t count = 0, in = 0;
    for (uint64_t nth = 1; nth <= 70; nth++) {
        struct world *w = world_create(12, WORLD_CHAIN, 3, WORLD_NO_PUSH);
        weft_id tree = join_tree(w, 1, WEFT_JOIN_AUTO);
        weft_sync_peer *handle = NULL;
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = open_as(w, &tree, NULL, WEFT_RIGHT_WRITE, &handle);
        if (handle != NULL) (void)weft_sync_peer_wait(handle, 2 * WEFT_SEC);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect((err == WEFT_OK) == (handle != NULL), "%lu", (unsigned long)nth);
        count += handle != NULL;
        if (handle != NULL) in += weft_sync_peer_wait(handle, 300 * WEFT_SEC) == WEFT_OK;
        weft_sync_peer_close(handle);
        world_destroy(w);
    }
    cr_expect(count > 0 && count < 70, "%u", count);
    cr_expect_eq(in, count, "who was opened is let in in the end");
}
