/* SPDX-License-Identifier: Apache-2.0
 * test_engine.c - the commands of the engine, in small worlds: what they answer, also
 * when something is in their way. */
#include <criterion/criterion.h>
#include <string.h>

#include "alloc.h"
#include "transport.h"
#include "wire.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }
static const weft_key *key(struct world *w, uint32_t i) { return &w->nodes[i].key; }

static weft_err sync_tree(struct world *w, uint32_t from, uint32_t to, weft_result *out)
{
    return weft_sync_tree(node(w, from), key(w, to), &w->tree, CALL, out);
}

/* A child of `parent`, built but stored nowhere. */
static weft_buf *child_of(struct world *w, const weft_id *parent, uint64_t height, weft_id *id)
{
    weft_buf *buf = NULL;
    weft_entry_spec spec = {
        .tree = w->tree, .parents = parent, .parents_count = 1, .height = height};
    cr_assert_eq(weft_entry_build(&spec, w->author, &buf, id), WEFT_OK);
    return buf;
}

struct answer {
    int calls;
    weft_err err;
};

static void on_answer(void *arg, weft_err err, const weft_result *result)
{
    struct answer *answer = arg;
    (void)result;
    answer->calls++;
    answer->err = err;
}

/* -- Sync ---------------------------------------------------------------------------- */

Test(engine, sync_tree_carries_both_directions)
{
    struct world *w = world_create(1, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_result r;
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    cr_assert_eq(sync_tree(w, 0, 1, &r), WEFT_OK);
    cr_expect_eq(r.sent, 1);
    cr_expect_eq(r.received, 2);
    cr_expect(world_equal(w));
    world_destroy(w);
}

Test(engine, sync_tree_on_a_live_session_is_a_barrier)
{
    struct world *w = world_create(2, WORLD_CHAIN, 2, WORLD_PLAIN);
    world_run(w, 100 * WEFT_MS);
    wf_net_faults slow = {.delay_min = 400 * WEFT_MS, .delay_max = 400 * WEFT_MS};
    world_faults(w, &slow);
    weft_node_stats before = world_stats(w);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    cr_assert_eq(sync_tree(w, 1, 0, NULL), WEFT_OK);
    cr_expect(world_equal(w), "it answered before both had the union");
    cr_expect_eq(world_stats(w).sessions_ok, before.sessions_ok, "it opened another session");
    world_destroy(w);
}

Test(engine, barriers_that_cross_are_not_taken_for_answers)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
        wf_net_faults slow = {.delay_min = 50 * WEFT_MS, .delay_max = 90 * WEFT_MS};
        world_faults(w, &slow);
        for (int i = 0; i < 3; i++) {
            uint32_t from = world_below(w, 2);
            cr_assert_eq(world_commit(w, 0), WEFT_OK);
            cr_assert_eq(world_commit(w, 1), WEFT_OK);
            struct answer other = {0};
            cr_assert_eq(weft_sync_tree_async(node(w, 1 - from), key(w, from), &w->tree, CALL,
                                              on_answer, &other),
                         WEFT_OK);
            world_run(w, world_below(w, 60) * WEFT_MS);
            cr_assert_eq(sync_tree(w, from, 1 - from, NULL), WEFT_OK);
            cr_expect(world_equal(w), "seed %lu", seed);
            world_run(w, WEFT_SEC);
            cr_expect_eq(other.calls, 1, "seed %lu", seed);
            cr_expect_eq(other.err, WEFT_OK, "seed %lu", seed);
        }
        world_destroy(w);
    }
}

/* Both sides dial at first. By then one of the connections has given way, and no command goes
 * over it. */
static void let_dials_cross(struct world *w) { world_run(w, WEFT_SEC / 5); }

Test(engine, sessions_that_cross_become_one)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_NO_PUSH);
        struct answer answers[2] = {{0}};
        let_dials_cross(w);
        wf_net_faults slow = {.delay_min = 50 * WEFT_MS, .delay_max = 60 * WEFT_MS};
        world_faults(w, &slow);
        for (uint32_t i = 0; i < 2; i++) cr_assert_eq(world_commit(w, i), WEFT_OK);
        for (uint32_t i = 0; i < 2; i++)
            cr_assert_eq(weft_sync_tree_async(node(w, i), key(w, 1 - i), &w->tree, CALL, on_answer,
                                              &answers[i]),
                         WEFT_OK);
        world_run(w, 5 * WEFT_SEC);
        for (uint32_t i = 0; i < 2; i++)
            cr_expect(answers[i].calls == 1 && answers[i].err == WEFT_OK, "seed %lu: %s", seed,
                      weft_errname(answers[i].err));
        cr_expect(world_equal(w), "seed %lu", seed);
        cr_expect_eq(world_stats(w).sessions_failed, 0, "seed %lu", seed);
        world_destroy(w);
    }
}

Test(engine, more_than_the_windows_hold_passes_through_them)
{
    struct world *w = world_create(40, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    for (int i = 0; i < 24; i++) cr_assert_eq(world_commit_bytes(w, 0, 500000), WEFT_OK);
    weft_ns before = wf_sim_now(w->sim);
    cr_expect_eq(sync_tree(w, 0, 1, NULL), WEFT_OK);
    cr_expect(world_equal(w));
    cr_expect_leq(wf_sim_now(w->sim) - before, 5 * WEFT_SEC, "it waited for a deadline");
    world_destroy(w);
}

Test(engine, sync_with_peer_takes_all_its_trees)
{
    struct world *w = world_create(3, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .entropy = {8}};
    weft_id second;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &second), WEFT_OK);
    cr_assert_eq(weft_tree_follow(node(w, 0), &second, key(w, 1), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(node(w, 1), &second, key(w, 0), 1, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_relate(node(w, 0), key(w, 1), &second, CALL), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_assert_eq(weft_sync_with_peer(node(w, 0), key(w, 1), CALL, NULL), WEFT_OK);
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(node(w, 1), &second, &info), WEFT_OK);
    cr_expect_eq(info.entries, 1);
    cr_expect(world_equal(w));
    world_destroy(w);
}

Test(engine, a_tree_that_the_peer_does_not_serve_is_TREE)
{
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .entropy = {9}};
    weft_id mine;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &root, CALL, &mine), WEFT_OK);
    cr_assert_eq(weft_tree_follow(node(w, 0), &mine, key(w, 1), 1, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, 0), key(w, 1), &mine, CALL, NULL), WEFT_TREE);
    world_destroy(w);
}

Test(engine, an_unknown_peer_and_one_without_address_are_told_apart)
{
    struct world *w = world_create(5, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_key stranger = {{1, 2, 3}};
    cr_expect_eq(weft_sync_with_peer(node(w, 0), &stranger, CALL, NULL), WEFT_NOT_FOUND);
    cr_assert_eq(weft_peer_register(node(w, 0), &stranger, "s", CALL), WEFT_OK);
    cr_expect_eq(weft_sync_with_peer(node(w, 0), &stranger, CALL, NULL), WEFT_OK); /* no trees */
    cr_expect_eq(weft_sync_tree(node(w, 0), &stranger, &w->tree, CALL, NULL), WEFT_UNREACHABLE);
    world_destroy(w);
}

Test(engine, a_command_ends_at_its_deadline)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_PLAIN);
    world_kill(w, 1);
    world_run(w, 10 * WEFT_SEC);
    weft_ns before = wf_sim_now(w->sim);
    weft_err err = weft_sync_tree(node(w, 0), key(w, 1), &w->tree, 300 * WEFT_MS, NULL);
    cr_expect(err == WEFT_TIMED_OUT || err == WEFT_UNREACHABLE, "%s", weft_errname(err));
    cr_expect_leq(wf_sim_now(w->sim) - before, 400 * WEFT_MS);
    world_destroy(w);
}

/* -- Flush --------------------------------------------------------------------------- */

Test(engine, flush_waits_for_every_acknowledgement)
{
    struct world *w = world_create(7, WORLD_STAR, 4, WORLD_PLAIN);
    wf_net_faults slow = {.delay_min = 200 * WEFT_MS, .delay_max = 300 * WEFT_MS};
    world_faults(w, &slow);
    for (int i = 0; i < 5; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect_eq(weft_flush(node(w, 0), CALL, NULL), WEFT_OK);
    cr_expect(world_equal(w));
    world_destroy(w);
}

Test(engine, flush_works_without_live_push)
{
    struct world *w = world_create(8, WORLD_STAR, 3, WORLD_NO_PUSH);
    for (int i = 0; i < 5; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect_not(world_equal(w));
    cr_expect_eq(weft_flush(node(w, 0), CALL, NULL), WEFT_OK);
    cr_expect(world_equal(w));
    world_destroy(w);
}

Test(engine, flush_counts_who_could_not_be_reached)
{
    struct world *w = world_create(9, WORLD_STAR, 3, WORLD_PLAIN);
    weft_result r;
    world_kill(w, 2);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK);
    cr_expect_eq(r.retry_failures + r.new_failures, 1);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_NETWORK);
    cr_expect_eq(r.retry_failures, 1, "by now it is in back-off");
    world_start(w, 2);
    cr_expect_eq(weft_flush(node(w, 0), CALL, &r), WEFT_OK, "flush does not wait for back-off");
    cr_expect(world_equal(w));
    world_destroy(w);
}

/* -- Exactly these entries ----------------------------------------------------------- */

Test(engine, send_entries_is_answered_when_the_peer_has_them)
{
    struct world *w = world_create(10, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id ids[3], parent = w->tree;
    weft_buf *bufs[3], *got = NULL;
    weft_result r;
    for (uint64_t i = 0; i < 3; i++) {
        bufs[i] = child_of(w, &parent, i + 1, &ids[i]);
        parent = ids[i];
    }
    cr_expect_eq(weft_send_entries(node(w, 0), key(w, 1), bufs, 3, CALL, &r), WEFT_OK);
    cr_expect_eq(r.sent, 3);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(weft_get(node(w, 1), &ids[i], &got), WEFT_OK);
        weft_buf_unref(got);
        weft_buf_unref(bufs[i]);
    }
    world_destroy(w);
}

Test(engine, send_entries_without_parents_is_PENDING)
{
    struct world *w = world_create(11, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    let_dials_cross(w);
    weft_id first, second;
    weft_buf *a = child_of(w, &w->tree, 1, &first), *b = child_of(w, &first, 2, &second);
    cr_expect_eq(weft_send_entries(node(w, 0), key(w, 1), &b, 1, CALL, NULL), WEFT_PENDING);
    cr_expect_eq(weft_send_entries(node(w, 0), key(w, 1), &a, 1, CALL, NULL), WEFT_OK);
    weft_buf *got = NULL;
    cr_expect_eq(weft_get(node(w, 1), &second, &got), WEFT_OK, "the pool did not give it up");
    weft_buf_unref(got);
    weft_buf_unref(a);
    weft_buf_unref(b);
    world_destroy(w);
}

Test(engine, send_entries_to_who_may_not_read_is_FORBIDDEN)
{
    struct world *w = world_create(12, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_id id;
    weft_buf *a = child_of(w, &w->tree, 1, &id);
    cr_assert_eq(weft_connect(node(w, 0), w->nodes[2].listen, NULL, CALL, NULL), WEFT_OK);
    cr_expect_eq(weft_send_entries(node(w, 0), key(w, 2), &a, 1, CALL, NULL), WEFT_FORBIDDEN);
    weft_buf_unref(a);
    world_destroy(w);
}

/* -- Raw requests and offers --------------------------------------------------------- */

Test(engine, a_raw_request_gets_the_first_answer)
{
    struct world *w = world_create(13, WORLD_CHAIN, 2, WORLD_PLAIN);
    const uint8_t trees_req[] = {0x92, WF_F_TREES_REQ, 0x00};
    weft_buf *answer = NULL;
    cr_assert_eq(weft_send_request(node(w, 0), w->nodes[1].listen, trees_req, sizeof trees_req,
                                   CALL, &answer),
                 WEFT_OK);
    cr_expect_eq(weft_buf_bytes(answer)[1], WF_F_TREES);
    weft_buf_unref(answer);
    world_destroy(w);
}

Test(engine, a_raw_request_is_canonical_whatever_its_stream)
{
    struct world *w = world_create(24, WORLD_CHAIN, 2, WORLD_PLAIN);
    struct wf_open open = {.stream = 1, .tree = {{1}}}; /* nobody has it */
    weft_buf *frame = wf_open_encode(&open);
    cr_assert_not_null(frame);
    /* Stream numbers of one, two and three bytes. */
    for (uint32_t i = 0; i < 200; i++) {
        weft_buf *answer = NULL;
        cr_assert_eq(weft_send_request(node(w, 0), w->nodes[1].listen,
                                       weft_buf_bytes(frame) + WF_FRAME_HEAD,
                                       weft_buf_len(frame) - WF_FRAME_HEAD, CALL, &answer),
                     WEFT_OK, "request %u", i);
        cr_expect_eq(weft_buf_bytes(answer)[1], WF_F_ERR);
        weft_buf_unref(answer);
    }
    weft_buf_unref(frame);
    world_destroy(w);
}

Test(engine, a_malformed_raw_request_is_refused_here)
{
    struct world *w = world_create(14, WORLD_CHAIN, 2, WORLD_PLAIN);
    static const struct {
        uint8_t bytes[4];
        size_t len;
    } bad[] = {{{0x91, 20}, 2},           {{0x92, 20}, 2},       {{0xa1, 'x'}, 2},
               {{0x92, 0xa1, 'x', 0}, 4}, {{0x92, 20, 0xc0}, 3}, {{0x92, 20, 0, 0}, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weft_buf *answer = NULL;
        cr_expect_eq(weft_send_request(node(w, 0), w->nodes[1].listen, bad[i].bytes, bad[i].len,
                                       CALL, &answer),
                     WEFT_INVALID, "row %zu", i);
    }
    world_destroy(w);
}

Test(engine, offers_name_only_what_we_may_read)
{
    struct world *w = world_create(15, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_root_spec root = {.entropy = {5}};
    weft_id secret, offered[4];
    size_t count = 4;
    cr_assert_eq(weft_tree_create(node(w, 1), w->author, &root, CALL, &secret), WEFT_OK);
    cr_assert_eq(weft_peer_offers(node(w, 0), key(w, 1), CALL, offered, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_expect(weft_id_equal(&offered[0], &w->tree));
    world_destroy(w);
}

/* -- What a peer may cost ------------------------------------------------------------- */

/* In the place of a reader whose disk does not answer. */
struct mute {
    weft_msg *kept;
    uint32_t *count;
};

static weft_err mute_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    ((struct mute *)state)->count = arg;
    return WEFT_OK;
}

static weft_verdict mute_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct mute *m = state;
    (void)self;
    msg->next = m->kept;
    m->kept = msg;
    (*m->count)++;
    return WEFT_KEPT;
}

static void mute_fini(weft_self *self, void *state, weft_err reason)
{
    struct mute *m = state;
    (void)self;
    (void)reason;
    while (m->kept != NULL) {
        weft_msg *msg = m->kept;
        m->kept = msg->next;
        msg->next = NULL;
        weft_drop(msg);
    }
}

Test(engine, sessions_that_ended_count_until_their_questions_are_answered)
{
    struct world *w = world_create(25, WORLD_CHAIN, 2, WORLD_PLAIN);
    struct wf_node_table *victim = &node(w, 1)->table;
    weft_addr *reader = victim->reader;
    uint32_t asked = 0;
    weft_spec spec = {.name = "mute",
                      .arg = &asked,
                      .state_size = sizeof(struct mute),
                      .init = mute_init,
                      .handle = mute_handle,
                      .fini = mute_fini,
                      .mailbox = WEFT_UNBOUNDED};
    cr_assert_eq(weft_spawn(w->nodes[1].rt, &spec, &victim->reader), WEFT_OK);
    /* Each replaces the one before it, so never more than one of them is open. */
    struct wf_open open = {.stream = 1, .tree = w->tree};
    weft_buf *frame = wf_open_encode(&open);
    cr_assert_not_null(frame);
    for (uint32_t i = 0; i < 2 * WEFT_SESSIONS_PER_CONNECTION_MAX; i++) {
        weft_buf *answer = NULL; /* ERR, once there are too many */
        (void)weft_send_request(node(w, 0), w->nodes[1].listen,
                                weft_buf_bytes(frame) + WF_FRAME_HEAD,
                                weft_buf_len(frame) - WF_FRAME_HEAD, WEFT_MS, &answer);
        weft_buf_unref(answer);
    }
    world_run(w, 10 * WEFT_MS);
    cr_expect_gt(asked, 0);
    cr_expect_leq(asked, WEFT_SESSIONS_PER_CONNECTION_MAX, "%u look-ups at once", asked);
    weft_buf_unref(frame);
    (void)weft_stop(victim->reader, WEFT_NOW);
    cr_assert_eq(weft_join(victim->reader, weft_rt_after(w->nodes[1].rt, CALL), NULL), WEFT_OK);
    weft_addr_put(victim->reader);
    victim->reader = reader;
    world_destroy(w);
}

/* -- Who is let in ------------------------------------------------------------------- */

Test(engine, a_stranger_leaves_no_trace)
{
    struct world *w = world_create(16, WORLD_CHAIN, 3, WORLD_PLAIN);
    weft_peer_info info;
    weft_key peers[4];
    size_t count = 4;
    /* 2 knows the tree and 0's address, but is no reader of 0's. */
    cr_assert_eq(weft_connect(node(w, 2), w->nodes[0].listen, NULL, CALL, NULL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(node(w, 2), &w->tree, key(w, 0), 1, CALL), WEFT_OK);
    cr_expect_eq(weft_sync_tree(node(w, 2), key(w, 0), &w->tree, CALL, NULL), WEFT_TREE);
    cr_expect_eq(weft_peer_get(node(w, 0), key(w, 2), CALL, &info), WEFT_NOT_FOUND);
    cr_assert_eq(weft_tree_peers(node(w, 0), &w->tree, CALL, peers, &count), WEFT_OK);
    cr_expect_eq(count, 1);
    world_destroy(w);
}

Test(engine, an_authorised_peer_is_related)
{
    struct world *w = world_create(17, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id trees[2];
    size_t count = 2;
    cr_assert_eq(weft_peer_trees(node(w, 1), key(w, 0), CALL, trees, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_expect(weft_id_equal(&trees[0], &w->tree));
    world_destroy(w);
}

static bool no_connections(struct world *w) { return world_stats(w).connections == 0; }

Test(engine, blocking_a_peer_closes_its_connection_for_good)
{
    struct world *w = world_create(18, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_eq(weft_peer_set_status(node(w, 1), key(w, 0), WEFT_PEER_BLOCKED, CALL), WEFT_OK);
    cr_expect(world_until(w, no_connections, WEFT_SEC));
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, 200 * WEFT_SEC);
    cr_expect_not(world_equal(w));
    cr_assert_eq(weft_peer_set_status(node(w, 1), key(w, 0), WEFT_PEER_ACTIVE, CALL), WEFT_OK);
    cr_expect(world_converges(w, 90 * WEFT_SEC), "unblocking did not let it in again");
    world_destroy(w);
}

static void count_frames(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                         uint32_t type)
{
    (void)tree;
    if (from == 1 && weft_key_equal(to, key(w, 0)) && type != WF_F_CLOSE)
        ++*(uint32_t *)w->judge_arg;
}

/* While both have much to say to each other, and whoever is late. */
static void block_amid_traffic(uint64_t seed, bool remove)
{
    struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_UNEVEN);
    uint32_t frames = 0;
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_eq(world_commit_bytes(w, 1, 20000), WEFT_OK);
        cr_assert_eq(world_commit_bytes(w, 0, 20000), WEFT_OK);
    }
    weft_err err = remove ? weft_peer_remove(node(w, 1), key(w, 0), CALL)
                          : weft_peer_set_status(node(w, 1), key(w, 0), WEFT_PEER_BLOCKED, CALL);
    cr_assert_eq(err, WEFT_OK);
    cr_expect_eq(wf_counter_get(&node(w, 1)->table.counters->connections), 0, "seed %lu", seed);
    w->judge_arg = &frames;
    w->judge = count_frames;
    cr_assert_eq(world_commit(w, 1), WEFT_OK);
    world_run(w, 5 * WEFT_SEC);
    cr_expect_eq(frames, 0, "seed %lu: %u frames after the answer", seed, frames);
    w->judge = NULL;
    world_destroy(w);
}

Test(engine, blocking_a_peer_is_answered_when_nothing_of_it_is_left)
{
    for (uint64_t seed = 30; seed < 42; seed++) block_amid_traffic(seed, seed % 2 == 0);
}

/* Transport has not confirmed that it closed what there was. */
Test(engine, blocking_a_peer_is_not_answered_before_transport_has_closed_its_connection)
{
    struct world *w = world_create(43, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_addr **place = &node(w, 1)->table.transport;
    uint32_t heard;
    weft_addr *transport = world_mute(w, 1, place, &heard);
    cr_expect_eq(weft_peer_set_status(node(w, 1), key(w, 0), WEFT_PEER_BLOCKED, WEFT_SEC),
                 WEFT_TIMED_OUT);
    world_unmute(w, 1, place, transport);
    cr_expect_eq(weft_peer_set_status(node(w, 1), key(w, 0), WEFT_PEER_BLOCKED, CALL), WEFT_OK);
    cr_expect_eq(wf_counter_get(&node(w, 1)->table.counters->connections), 0);
    world_destroy(w);
}

Test(engine, blocking_a_peer_ends_well_though_memory_is_short)
{
    struct world *w = world_create(44, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_err err = WEFT_NO_MEMORY;
    uint64_t nth = 1;
    for (; err != WEFT_OK; nth++) {
        cr_assert_lt(nth, 100);
        (void)wf_alloc_fail_at(nth, 0);
        err = weft_peer_set_status(node(w, 1), key(w, 0), WEFT_PEER_BLOCKED, CALL);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect(err == WEFT_OK || err == WEFT_NO_MEMORY, "%lu: %s", nth, weft_errname(err));
        if (err != WEFT_OK) world_run(w, 2 * WEFT_SEC); /* a store that had none opens again */
    }
    cr_expect_gt(nth, 4, "fewer allocations than it needs");
    cr_expect_eq(wf_counter_get(&node(w, 1)->table.counters->connections), 0);
    world_destroy(w);
}

Test(engine, a_reader_who_is_removed_gets_nothing_more)
{
    struct world *w = world_create(19, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_eq(weft_tree_follow(node(w, 0), &w->tree, NULL, 0, CALL), WEFT_OK);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_run(w, 400 * WEFT_SEC);
    cr_expect_eq(world_info(w, 1).entries, 1);
    world_destroy(w);
}

/* -- Connections --------------------------------------------------------------------- */

static bool all_live(struct world *w) { return world_stats(w).live_pairs == 2; }

Test(engine, a_broken_connection_is_back_within_a_second)
{
    struct world *w = world_create(20, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert(world_until(w, all_live, WEFT_SEC));
    wf_net_faults broken = {.reset_ppm = 1000000};
    world_faults(w, &broken);
    (void)world_commit(w, 0);
    world_run(w, 20 * WEFT_MS);
    world_faults(w, NULL);
    cr_expect_not(all_live(w));
    cr_expect(world_until(w, all_live, WEFT_SEC), "%lu live", world_stats(w).live_pairs);
    cr_expect(world_converges(w, 10 * WEFT_MS));
    world_destroy(w);
}

Test(engine, a_lost_connection_is_dialled_at_once_though_nothing_waits)
{
    struct world *w = world_create(23, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert(world_until(w, all_live, WEFT_SEC));
    world_run(w, 10 * WEFT_SEC);
    wf_net_hub_kill(w->hub->hub, w->nodes[1].host);
    world_run(w, 20 * WEFT_MS);
    cr_expect_not(all_live(w));
    cr_expect(world_until(w, all_live, 400 * WEFT_MS), "%lu live", world_stats(w).live_pairs);
    world_destroy(w);
}

Test(engine, a_connection_may_break_while_memory_is_short)
{
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct world *w = world_create(26, WORLD_CHAIN, 2, WORLD_NO_PUSH);
        struct answer answer = {0};
        cr_assert_eq(
            weft_sync_tree_async(node(w, 0), key(w, 1), &w->tree, CALL, on_answer, &answer),
            WEFT_OK);
        world_run(w, WEFT_MS / 2); /* its OPEN is on the way */
        wf_net_hub_kill(w->hub->hub, w->nodes[1].host);
        wf_alloc_fail_at(nth, 0);
        world_run(w, 20 * WEFT_MS);
        wf_alloc_fail_at(0, 0);
        world_run(w, CALL);
        cr_expect_eq(answer.calls, 1, "allocation %lu", nth);
        world_destroy(w);
    }
}

Test(engine, a_restarted_node_is_found_by_who_knows_its_address)
{
    struct world *w = world_create(21, WORLD_CHAIN, 2, WORLD_PLAIN);
    world_kill(w, 1);
    world_run(w, 30 * WEFT_SEC);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    world_start(w, 1);
    cr_expect(world_converges(w, 81 * WEFT_SEC));
    world_destroy(w);
}

Test(engine, both_may_dial_at_once)
{
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct world *w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
        (void)weft_peer_register(node(w, 1), key(w, 0), "0", CALL); /* EXISTS: by its OPEN */
        cr_assert_eq(weft_peer_add_address(node(w, 1), key(w, 0), w->nodes[0].listen, CALL),
                     WEFT_OK);
        world_cut(w, 0, 1, true);
        world_run(w, 100 * WEFT_SEC); /* until pings have noticed */
        world_cut(w, 0, 1, false);
        cr_expect(world_until(w, all_live, 100 * WEFT_SEC), "seed %lu: %lu live", seed,
                  world_stats(w).live_pairs);
        cr_assert_eq(world_commit(w, 0), WEFT_OK);
        cr_expect(world_converges(w, WEFT_SEC), "seed %lu", seed);
        world_destroy(w);
    }
}

Test(engine, shutdown_answers_what_is_under_way)
{
    struct world *w = world_create(22, WORLD_CHAIN, 2, WORLD_PLAIN);
    struct answer answer = {0};
    world_cut(w, 0, 1, true);
    cr_assert_eq(
        weft_sync_tree_async(node(w, 0), key(w, 1), &w->tree, WEFT_NEVER, on_answer, &answer),
        WEFT_OK);
    world_run(w, 100 * WEFT_MS);
    cr_expect_eq(answer.calls, 0);
    cr_assert_eq(weft_shutdown(node(w, 0), 10 * WEFT_SEC), WEFT_OK);
    cr_expect_eq(answer.calls, 1);
    cr_expect_eq(answer.err, WEFT_CLOSED);
    world_destroy(w);
}
