/* SPDX-License-Identifier: Apache-2.0
 * test_notify.c - subscribers: what they hear of, from when on, and that each who asks to be
 * one is answered, whatever becomes of the store, of memory or of the node meanwhile.
 * Called by: the test runner. May touch: the messages of notify. Never: sleeps. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <weft/feed.h>

#include "alloc.h"
#include "lone.h"
#include "notify.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

/* -- In the simulator ------------------------------------------------------------------------- */

struct ear {
    uint32_t entries, store;
    weft_id last_tree;
    weft_err store_err;
};

static void listen_to(void *arg, const weft_event *event)
{
    struct ear *ear = arg;
    if (event->kind == WEFT_EV_ENTRIES) {
        ear->entries++;
        ear->last_tree = event->tree;
    } else if (event->kind == WEFT_EV_STORE) {
        ear->store++;
        ear->store_err = event->err;
    }
}

static struct world *one_node(uint64_t seed)
{
    return world_create(seed, WORLD_CHAIN, 1, WORLD_PLAIN);
}

static uint64_t join_in(struct world *w, struct ear *ear)
{
    uint64_t handle = 0;
    cr_assert_eq(weft_subscribe(w->nodes[0].node, listen_to, ear, &handle), WEFT_OK);
    return handle;
}

Test(notify, what_was_stored_while_nobody_listened_is_not_told)
{
    struct world *w = one_node(1);
    struct ear before = {0}, after = {0};
    uint64_t handle = join_in(w, &before);
    cr_assert_eq(weft_unsubscribe(w->nodes[0].node, handle), WEFT_OK);
    for (uint32_t i = 0; i < 3; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, WEFT_SEC);
    (void)join_in(w, &after);
    world_run(w, WEFT_SEC);
    cr_expect_eq(after.entries, 0);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_expect_eq(after.entries, 1);
    world_destroy(w);
}

Test(notify, who_comes_while_writes_are_refused_is_told_so)
{
    struct world *w = one_node(2);
    struct ear ears[2] = {0};
    wf_kv_memory_fail_at(w->nodes[0].kv, 1, WEFT_IO, true);
    cr_assert_eq(world_commit(w, 0), WEFT_IO);
    for (int i = 0; i < 2; i++) {
        (void)join_in(w, &ears[i]);
        world_run(w, WEFT_MS);
        cr_expect_eq(ears[i].store, 1);
        cr_expect_eq(ears[i].store_err, WEFT_IO);
    }
    wf_kv_memory_fail_at(w->nodes[0].kv, 0, WEFT_OK, false);
    world_run(w, 60 * WEFT_SEC);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(ears[i].store, 2);
        cr_expect_eq(ears[i].store_err, WEFT_OK);
    }
    world_destroy(w);
}

Test(notify, a_subscriber_is_refused_when_memory_is_short_or_hears_all, .timeout = 60)
{
    uint32_t refused = 0;
    for (uint64_t nth = 1;; nth++) {
        struct world *w = one_node(3);
        struct ear ear = {0};
        uint64_t handle = 0;
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = weft_subscribe(w->nodes[0].node, listen_to, &ear, &handle);
        world_run(w, WEFT_MS);
        uint64_t asked = wf_alloc_fail_at(0, 0);
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%s", weft_errname(err));
        refused += err != WEFT_OK;
        if (err != WEFT_OK) (void)join_in(w, &ear);
        cr_assert_eq(world_commit(w, 0), WEFT_OK);
        world_run(w, WEFT_SEC);
        cr_expect_gt(ear.entries, 0, "allocation %lu failed", (unsigned long)nth);
        world_destroy(w);
        if (asked < nth) break;
    }
    cr_expect_gt(refused, 0);
}

/* The store's list of trees is full when this one comes, and cannot grow. */
Test(notify, a_tree_is_told_of_also_when_memory_is_short_for_it, .timeout = 60)
{
    uint32_t created = 0;
    for (uint64_t nth = 1; created < 2; nth++) {
        struct world *w = one_node(4);
        struct ear ear = {0};
        weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
        weft_id tree;
        for (uint32_t i = 1; i < 16; i++)
            cr_assert_eq(weft_tree_create(w->nodes[0].node, w->author, &root, CALL, &tree),
                         WEFT_OK);
        (void)join_in(w, &ear);
        (void)wf_alloc_fail_at(nth, 1);
        weft_err err = weft_tree_create(w->nodes[0].node, w->author, &root, CALL, &tree);
        world_run(w, WEFT_MS);
        uint64_t asked = wf_alloc_fail_at(0, 0);
        if (err == WEFT_OK) {
            created++;
            cr_expect_gt(ear.entries, 0, "allocation %lu failed", (unsigned long)nth);
            cr_expect(weft_id_equal(&ear.last_tree, &tree));
        }
        world_destroy(w);
        if (asked < nth) break;
    }
    cr_expect_gt(created, 1, "else it was told for no other reason than that nothing failed");
}

Test(notify, a_store_that_ends_refuses_who_waits_for_it, .timeout = 60)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *w = one_node(seed);
        struct ear ear = {0};
        uint64_t handle;
        cr_assert_eq(weft_stop(w->nodes[0].node->table.store, WEFT_NOW), WEFT_OK);
        cr_expect_eq(weft_subscribe(w->nodes[0].node, listen_to, &ear, &handle), WEFT_CLOSED);
        world_destroy(w);
    }
}

Test(notify, a_feed_hears_that_the_store_has_ended, .timeout = 60)
{
    struct world *w = one_node(6);
    weft_feed *feed = NULL;
    weft_feed_event event;
    cr_assert_eq(weft_feed_open(w->nodes[0].node, &w->tree, NULL, &feed), WEFT_OK);
    world_run(w, WEFT_MS);
    cr_assert_eq(weft_stop(w->nodes[0].node->table.store, WEFT_NOW), WEFT_OK);
    cr_expect_eq(weft_feed_next(feed, CALL, &event), WEFT_CLOSED);
    cr_assert_eq(weft_feed_close(feed), WEFT_OK);
    world_destroy(w);
}

/* -- With a store that is held up at its disk ------------------------------------------------------ */

static struct lone lone;
static weft_node *other; /* its notify asks for us, and tells us in order */
static pthread_t committer;

static void setup(void)
{
    lone_open(&lone, NULL, gate_kv_create());
    cr_assert_eq(weft_node_open(NULL, &other), WEFT_OK);
}

static void teardown(void)
{
    weft_node_close(other);
    lone_close(&lone);
}

TestSuite(notify_held, .init = setup, .fini = teardown, .timeout = 120);

static void *commit_one(void *arg)
{
    weft_err err = weft_commit(arg, "s", "x", 1, WEFT_NEVER, NULL);
    return (void *)(intptr_t)err;
}

/* The store writes arrival 2 until the gate is opened. */
static void hold_up(void)
{
    gate_set(true);
    cr_assert_eq(pthread_create(&committer, NULL, commit_one, lone.writer), 0);
    gate_wait_met();
}

static void let_go(void)
{
    void *committed = NULL;
    gate_set(false);
    cr_assert_eq(pthread_join(committer, &committed), 0);
    cr_assert_eq((intptr_t)committed, WEFT_OK);
}

struct user {
    uint32_t answers;
    weft_err err;
    uint64_t saw;         /* arrivals that it found when it was answered */
    uint64_t from, until; /* the first and the last that it was told of; 0: none */
};

static void on_event(void *arg, const weft_event *event)
{
    struct user *user = arg;
    if (event->kind != WEFT_EV_ENTRIES) return;
    if (user->from == 0) user->from = event->seq;
    user->until = event->seq;
    gate_note();
}

static void on_subscribed(void *arg, weft_err err, weft_request *request)
{
    struct user *user = arg;
    wf_tree_info info = {0};
    user->answers++;
    user->err = err;
    if (wf_store_tree(lone.node->table.wf_store, &lone.tree, &info) == WEFT_OK)
        user->saw = info.seq;
    if (request != NULL) weft_drop(&request->msg);
    gate_note();
}

static void ask_to_subscribe(struct user *user, weft_ns timeout)
{
    struct wf_notify_sub *sub = (struct wf_notify_sub *)weft_new(&wf_notify_sub_kind);
    cr_assert_not_null(sub);
    sub->add = true;
    sub->fn = on_event;
    sub->arg = user;
    cr_assert_eq(
        wf_node_ask(other, lone.node->table.notify, &sub->req, timeout, on_subscribed, user),
        WEFT_OK);
}

/* Whatever was asked before has been dealt with as far as it can be. */
static void catch_up(void)
{
    cr_assert_eq(weft_unsubscribe(other, 1), WEFT_NOT_FOUND); /* the asks were sent,  */
    (void)weft_unsubscribe(lone.node, UINT64_MAX);            /* were looked at,      */
    cr_assert_eq(weft_unsubscribe(other, 1), WEFT_NOT_FOUND); /* and so were answers  */
}

/* The gate is open: the store answers every question. */
static void catch_up_with_the_store(void)
{
    cr_assert_eq(weft_tree_follow(lone.node, &lone.tree, NULL, 0, CALL), WEFT_OK);
    catch_up();
}

Test(notify_held, nobody_is_a_subscriber_before_the_store_knows_of_it)
{
    struct user user = {0};
    hold_up();
    ask_to_subscribe(&user, WEFT_NEVER);
    catch_up();
    cr_expect_eq(user.answers, 0);
    let_go();
    catch_up_with_the_store();
    cr_expect_eq(user.answers, 1);
    cr_expect_eq(user.err, WEFT_OK);
}

Test(notify_held, what_a_new_subscriber_does_not_find_it_is_told_of)
{
    struct user user = {0};
    hold_up();
    ask_to_subscribe(&user, WEFT_NEVER);
    catch_up();
    let_go();
    catch_up_with_the_store();
    cr_assert_eq(weft_commit(lone.writer, "s", "y", 1, CALL, NULL), WEFT_OK);
    gate_wait_noted(2); /* its answer, its first event */
    cr_expect(user.saw >= 2 || user.from <= 2, "saw %lu, was told from %lu on",
              (unsigned long)user.saw, (unsigned long)user.from);
}

Test(notify_held, those_who_wait_count_among_the_subscribers)
{
    struct user users[WEFT_SUBSCRIBERS_MAX] = {0}, one_more = {0};
    hold_up();
    for (uint32_t i = 0; i < WEFT_SUBSCRIBERS_MAX; i++) ask_to_subscribe(&users[i], WEFT_NEVER);
    ask_to_subscribe(&one_more, WEFT_NEVER);
    catch_up();
    cr_expect_eq(one_more.answers, 1);
    cr_expect_eq(one_more.err, WEFT_LIMIT);
    let_go();
    catch_up_with_the_store();
    for (uint32_t i = 0; i < WEFT_SUBSCRIBERS_MAX; i++) cr_expect_eq(users[i].answers, 1);
}

Test(notify_held, who_has_given_up_does_not_become_a_subscriber)
{
    struct user gone = {0}, users[WEFT_SUBSCRIBERS_MAX] = {0};
    uint64_t handle;
    hold_up();
    ask_to_subscribe(&gone, 1);
    gate_wait_noted(1);
    cr_expect_eq(gone.err, WEFT_TIMED_OUT);
    let_go();
    for (uint32_t i = 0; i < WEFT_SUBSCRIBERS_MAX; i++)
        cr_assert_eq(weft_subscribe(lone.node, on_event, &users[i], &handle), WEFT_OK);
    cr_assert_eq(weft_commit(lone.writer, "s", "y", 1, CALL, NULL), WEFT_OK);
    gate_wait_noted(1 + WEFT_SUBSCRIBERS_MAX);
    catch_up();
    cr_expect_eq(gone.until, 0);
}

Test(notify_held, a_feed_and_a_subscriber_share_the_first_bell)
{
    struct user user = {0};
    weft_feed *before = NULL, *after = NULL;
    weft_feed_event event;
    hold_up();
    cr_assert_eq(weft_feed_open(lone.node, &lone.tree, NULL, &before), WEFT_OK);
    ask_to_subscribe(&user, WEFT_NEVER);
    catch_up();
    cr_assert_eq(weft_feed_open(lone.node, &lone.tree, NULL, &after), WEFT_OK);
    let_go();
    cr_assert_eq(weft_feed_next(before, CALL, &event), WEFT_OK);
    cr_expect_eq(event.seq, 2);
    cr_assert_eq(weft_feed_next(after, CALL, &event), WEFT_OK);
    cr_expect_eq(event.seq, 2);
    catch_up_with_the_store();
    cr_expect_eq(user.answers, 1);
    cr_assert_eq(weft_commit(lone.writer, "s", "y", 1, CALL, NULL), WEFT_OK);
    gate_wait_noted(2); /* its answer, its first event */
    cr_expect_eq(user.until, 3);
    cr_assert_eq(weft_feed_close(before), WEFT_OK);
    cr_assert_eq(weft_feed_close(after), WEFT_OK);
}

Test(notify_held, a_feed_that_is_closed_takes_no_bell_from_a_subscriber_that_waits)
{
    struct user user = {0};
    weft_feed *feed = NULL;
    hold_up();
    cr_assert_eq(weft_feed_open(lone.node, &lone.tree, NULL, &feed), WEFT_OK);
    ask_to_subscribe(&user, WEFT_NEVER);
    catch_up();
    cr_assert_eq(weft_feed_close(feed), WEFT_OK);
    let_go();
    catch_up_with_the_store();
    cr_expect_eq(user.answers, 1);
    cr_assert_eq(weft_commit(lone.writer, "s", "y", 1, CALL, NULL), WEFT_OK);
    gate_wait_noted(2); /* its answer, its first event */
}

Test(notify_held, that_ends_answers_who_waits)
{
    struct user user = {0};
    hold_up();
    ask_to_subscribe(&user, WEFT_NEVER);
    catch_up();
    cr_assert_eq(weft_stop(lone.node->table.notify, WEFT_NOW), WEFT_OK);
    cr_assert_eq(weft_join(lone.node->table.notify, WEFT_NEVER, NULL), WEFT_OK);
    catch_up();
    cr_expect_eq(user.answers, 1);
    cr_expect_eq(user.err, WEFT_CLOSED);
    let_go();
}

static void *stop_node(void *arg)
{
    weft_err err = weft_shutdown(arg, WEFT_NEVER);
    return (void *)(intptr_t)err;
}

Test(notify_held, a_node_that_stops_answers_all_who_wait)
{
    struct user users[5] = {0};
    pthread_t stopper;
    void *stopped = NULL;
    hold_up();
    for (uint32_t i = 0; i < 5; i++) ask_to_subscribe(&users[i], WEFT_NEVER);
    catch_up();
    cr_assert_eq(pthread_create(&stopper, NULL, stop_node, lone.node), 0);
    let_go();
    cr_assert_eq(pthread_join(stopper, &stopped), 0);
    cr_assert_eq((intptr_t)stopped, WEFT_OK);
    catch_up();
    for (uint32_t i = 0; i < 5; i++) {
        cr_expect_eq(users[i].answers, 1);
        cr_expect(users[i].err == WEFT_OK || users[i].err == WEFT_CLOSED);
    }
}
