/* SPDX-License-Identifier: Apache-2.0
 * test_hostile.c - peers with a proven key that stall, flood and come again, against
 * whole nodes in the simulator: each costs no more than its bounds, ends by its deadline
 * with the error that fits, and the node goes on to serve the others.
 * Called by: the test runner. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "peers.h"
#include "raw.h"
#include "wire.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)
#define VICTIM 1u

/* Two nodes that share a tree, and one who may read it and does as it likes. */
struct play {
    struct world *w;
    weft_rt *rt;
    struct raw raw;
    uint64_t pongs;
};

static void up(struct play *p, unsigned identity)
{
    struct wf_bytes b = {0};
    struct wf_hello h = {.ver_min = 1, .ver_max = 1};
    wf_net *net;
    char host[16];
    snprintf(host, sizeof host, "x%u", identity);
    cr_assert_eq(wf_net_mem_create(p->w->hub->hub, p->rt, host, &net), WEFT_OK);
    raw_start(&p->raw, p->rt, net, "n1:1", identity, RAW_SECURE);
    world_run(p->w, 50 * WEFT_MS);
    cr_assert(p->raw.seen.secure);
    cr_assert_eq(wf_frame_put_hello(&b, &h), WEFT_OK);
    raw_frames(&p->raw, wf_bytes_front(&b), wf_bytes_len(&b));
    wf_bytes_fini(&b);
    world_run(p->w, 50 * WEFT_MS);
    cr_assert(p->raw.seen.hello && !p->raw.seen.ended);
    p->pongs = 0;
}

static void play_up(struct play *p, uint64_t seed)
{
    struct wf_identity id;
    memset(p, 0, sizeof *p);
    p->w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
    rig_identity(700, &id);
    weft_key readers[2] = {p->w->nodes[0].key, id.key};
    free(id.arg);
    cr_assert_eq(weft_tree_follow(p->w->nodes[VICTIM].node, &p->w->tree, readers, 2, CALL),
                 WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(p->w->sim, &p->rt), WEFT_OK);
    up(p, 700);
}

static void play_down(struct play *p)
{
    raw_stop(&p->raw, p->rt);
    cr_assert_eq(weft_rt_stop(p->rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(p->rt), WEFT_OK);
    world_destroy(p->w);
}

/* A frame of wire.h's, with its length. */
static void say(struct play *p, weft_buf *frame)
{
    cr_assert_not_null(frame);
    uint8_t *data = weft_buf_data(frame);
    size_t body = weft_buf_len(frame) - WF_FRAME_HEAD;
    for (unsigned i = 0; i < WF_FRAME_HEAD; i++) data[i] = (uint8_t)(body >> (24 - 8 * i));
    raw_frames(&p->raw, data, weft_buf_len(frame));
    weft_buf_unref(frame);
}

/* Lets time pass, and answers the pings of whoever wants to know whether we live. */
static void live(struct play *p, weft_ns time)
{
    for (weft_ns end = wf_sim_now(p->w->sim) + time; wf_sim_now(p->w->sim) < end;) {
        world_run(p->w, WEFT_SEC);
        if (p->raw.seen.frames[WF_F_PING] == p->pongs || p->raw.seen.ended) continue;
        uint8_t pong[] = {0, 0, 0, 13, 0x93, 18, 0, 0xc4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
        p->pongs = p->raw.seen.frames[WF_F_PING];
        memcpy(pong + 9, &p->pongs, sizeof p->pongs);
        raw_frames(&p->raw, pong, sizeof pong);
    }
}

static void expect_served(struct play *p)
{
    cr_assert_eq(world_commit(p->w, 0), WEFT_OK);
    cr_expect(world_converges(p->w, WEFT_SEC), "the other peer has to wait");
}

static struct wf_open opening(const struct play *p, uint32_t stream)
{
    return (struct wf_open){.stream = stream,
                            .tree = p->w->tree,
                            .flags = WF_OPEN_SUBSCRIBE,
                            .own.tips_complete = true};
}

/* One whose tips the node does not know: it is asked about ids. */
static struct wf_open foreign(const struct play *p, uint32_t stream)
{
    struct wf_open open = opening(p, stream);
    open.own.count = 5;
    open.own.max_gen = 4;
    open.own.tips_complete = false;
    open.own.tips_count = 1;
    open.own.tip_bytes = 8;
    memset(open.own.tips, 0x5a, 8);
    return open;
}

/* -- Stalling ------------------------------------------------------------------------ */

Test(hostile, one_that_stalls_after_OPEN_loses_its_session)
{
    for (unsigned i = 0; i < 2; i++) {
        struct play p;
        play_up(&p, 41);
        struct wf_open open = i == 0 ? opening(&p, 1) : foreign(&p, 1);
        say(&p, wf_open_encode(&open));
        live(&p, WEFT_SEC);
        cr_expect_eq(p.raw.seen.frames[WF_F_STATE], 1);
        live(&p, 28 * WEFT_SEC);
        cr_expect_eq(p.raw.seen.frames[WF_F_ERR], 0, "not before its time");
        live(&p, 3 * WEFT_SEC);
        cr_expect_eq(p.raw.seen.err_code, WF_W_BUSY);
        cr_expect_not(p.raw.seen.ended, "it still answers pings");
        expect_served(&p);
        play_down(&p);
    }
}

Test(hostile, one_that_never_acknowledges_or_gives_credit_loses_its_stream)
{
    struct play p;
    play_up(&p, 42);
    struct wf_open open = opening(&p, 1);
    struct wf_done done = {.stream = 1, .round = 1};
    say(&p, wf_open_encode(&open));
    live(&p, WEFT_SEC);
    cr_assert_eq(p.raw.seen.frames[WF_F_DONE], 1);
    say(&p, wf_done_encode(&done));
    live(&p, WEFT_SEC);
    cr_assert_eq(p.raw.seen.frames[WF_F_RESULT], 1);
    for (unsigned i = 0; i < 5; i++) cr_assert_eq(world_commit_bytes(p.w, 0, 4000), WEFT_OK);
    live(&p, 28 * WEFT_SEC);
    cr_expect_gt(p.raw.seen.frames[WF_F_PUSH], 0);
    cr_expect_gt(p.raw.seen.frames[WF_F_BLOCKED], 0);
    cr_expect_eq(p.raw.seen.frames[WF_F_ERR], 0);
    live(&p, 5 * WEFT_SEC);
    cr_expect_eq(p.raw.seen.err_code, WF_W_LIMIT);
    uint64_t pushed = p.raw.seen.frames[WF_F_PUSH];
    expect_served(&p);
    live(&p, WEFT_SEC);
    cr_expect_eq(p.raw.seen.frames[WF_F_PUSH], pushed);
    play_down(&p);
}

Test(hostile, one_that_gives_credit_and_never_acknowledges_costs_nothing_more)
{
    struct play p;
    static const uint8_t credit[] = {0, 0, 0, 6, 0x93, 12, 0, 0xcd, 1, 0};
    play_up(&p, 43);
    struct wf_open open = opening(&p, 1);
    struct wf_done done = {.stream = 1, .round = 1};
    say(&p, wf_open_encode(&open));
    live(&p, WEFT_SEC);
    say(&p, wf_done_encode(&done));
    for (unsigned i = 0; i < 40; i++) {
        cr_assert_eq(world_commit(p.w, 0), WEFT_OK);
        live(&p, 5 * WEFT_SEC);
        if (i > 1) raw_frames(&p.raw, credit, sizeof credit);
    }
    cr_expect_not(p.raw.seen.ended);
    /* Nobody waits for ever for what it does not say. */
    weft_result result;
    weft_err err = weft_flush(p.w->nodes[VICTIM].node, 2 * WEFT_SEC, &result);
    cr_expect_eq(err, WEFT_TIMED_OUT, "%s", weft_errname(err));
    expect_served(&p);
    play_down(&p);
}

Test(hostile, half_a_frame_ends_the_connection)
{
    struct play p;
    play_up(&p, 44);
    struct wf_open open = opening(&p, 1);
    weft_buf *frame = wf_open_encode(&open);
    cr_assert_not_null(frame);
    uint8_t *data = weft_buf_data(frame);
    memset(data, 0, WF_FRAME_HEAD);
    data[3] = (uint8_t)(weft_buf_len(frame) - WF_FRAME_HEAD);
    weft_ns begin = wf_sim_now(p.w->sim);
    raw_frames(&p.raw, data, weft_buf_len(frame) / 2);
    weft_buf_unref(frame);
    live(&p, 20 * WEFT_SEC);
    expect_served(&p);
    cr_expect_not(p.raw.seen.ended);
    world_run(p.w, 15 * WEFT_SEC);
    cr_expect(p.raw.seen.ended && p.raw.seen.ended_ns - begin < 35 * WEFT_SEC);
    cr_expect_eq(p.raw.seen.close_code, WF_W_BUSY);
    expect_served(&p);
    play_down(&p);
}

/* -- Floods -------------------------------------------------------------------------- */

Test(hostile, acks_come_no_faster_than_the_queue_takes_them)
{
    struct play p;
    uint32_t heard;
    play_up(&p, 45);
    struct wf_open open = opening(&p, 1);
    say(&p, wf_open_encode(&open));
    live(&p, WEFT_SEC);
    weft_addr **place = &p.w->nodes[VICTIM].node->table.queue;
    weft_addr *queue = world_mute(p.w, VICTIM, place, &heard);
    for (uint32_t i = 0; i < 2000; i++) {
        struct wf_ack ack = {.stream = 1, .n = 1 + i};
        say(&p, wf_ack_encode(&ack));
    }
    live(&p, WEFT_SEC);
    cr_expect_gt(heard, WEFT_FRAMES_HELD_MAX / 2);
    cr_expect_leq(heard, WEFT_FRAMES_HELD_MAX + 8u, "%u", heard);
    world_unmute(p.w, VICTIM, place, queue);
    play_down(&p);
}

/* One entry and a mark, as if it came from `seq` of ours. */
static void say_entry(struct play *p, const weft_buf *entry, uint64_t seq)
{
    struct wf_entries_builder b;
    weft_buf *frame = NULL;
    wf_mark mark = {.seq = seq};
    memset(mark.epoch, 7, sizeof mark.epoch);
    cr_assert_eq(wf_entries_begin(&b, WF_F_ENTRIES, 1, 0, 0), WEFT_OK);
    cr_assert_eq(wf_entries_add(&b, weft_buf_bytes(entry), weft_buf_len(entry)), WEFT_OK);
    cr_assert_eq(wf_entries_finish(&b, &mark, &frame), WEFT_OK);
    say(p, frame);
}

static struct wf_ack last_ack(const struct play *p)
{
    struct wf_ack ack;
    cr_assert_eq(
        wf_ack_decode(p->raw.seen.last[WF_F_ACK].body, p->raw.seen.last[WF_F_ACK].len, &ack),
        WEFT_OK);
    return ack;
}

Test(hostile, no_mark_behind_an_entry_that_is_not_here_is_acknowledged)
{
    struct play p;
    weft_id ids[3];
    weft_buf *bufs[3]; /* of which 1 stands on 0, which never comes */
    play_up(&p, 48);
    for (uint32_t i = 0; i < 3; i++) {
        weft_entry_spec spec = {.tree = p.w->tree,
                                .parents = i == 1 ? &ids[0] : &p.w->tree,
                                .parents_count = 1,
                                .height = i == 1 ? 2 : 1,
                                .metadata = (const uint8_t[]){(uint8_t)i},
                                .metadata_len = 1};
        cr_assert_eq(weft_entry_build(&spec, p.w->author, &bufs[i], &ids[i]), WEFT_OK);
    }
    struct wf_open open = opening(&p, 1);
    say(&p, wf_open_encode(&open));
    live(&p, WEFT_SEC);
    say_entry(&p, bufs[1], 2);
    live(&p, WEFT_SEC);
    struct wf_ack ack = last_ack(&p);
    cr_expect(ack.n == 1 && ack.stored == 0 && ack.seq == 0);
    say_entry(&p, bufs[2], 3);
    live(&p, WEFT_SEC);
    ack = last_ack(&p);
    cr_expect(ack.n == 2 && ack.stored == 1, "it is stored: n %lu", (unsigned long)ack.n);
    cr_expect_eq(ack.seq, 0, "and says nothing of the one before: %lu", (unsigned long)ack.seq);
    for (uint32_t i = 0; i < 3; i++) weft_buf_unref(bufs[i]);
    play_down(&p);
}

Test(hostile, bits_come_no_faster_than_the_reader_takes_them)
{
    struct play p;
    uint32_t heard;
    play_up(&p, 46);
    struct wf_open open = foreign(&p, 1);
    say(&p, wf_open_encode(&open));
    live(&p, WEFT_SEC);
    uint8_t none = 0;
    struct wf_bits bits = {.stream = 1, .ref = 0, .count = 1, .bits = &none};
    say(&p, wf_bits_encode(&bits));
    live(&p, WEFT_SEC);
    cr_assert_eq(p.raw.seen.frames[WF_F_IDS], 1);
    weft_addr **place = &p.w->nodes[VICTIM].node->table.reader;
    weft_addr *reader = world_mute(p.w, VICTIM, place, &heard);
    for (uint32_t i = 0; i < 500; i++) { /* within the window */
        bits.ref = 1;
        say(&p, wf_bits_encode(&bits));
    }
    live(&p, WEFT_SEC);
    cr_expect_gt(heard, WEFT_FRAMES_HELD_MAX / 2);
    cr_expect_leq(heard, WEFT_FRAMES_HELD_MAX + 8u, "%u", heard);
    world_unmute(p.w, VICTIM, place, reader);
    play_down(&p);
}

Test(hostile, a_page_of_ids_costs_credit_until_the_reader_is_done_with_it)
{
    enum { IDS = 800 };
    struct play p;
    uint32_t heard;
    static uint8_t ids[IDS * 8];
    play_up(&p, 49);
    struct wf_open open = foreign(&p, 1);
    say(&p, wf_open_encode(&open));
    live(&p, WEFT_SEC);
    weft_addr **place = &p.w->nodes[VICTIM].node->table.reader;
    weft_addr *reader = world_mute(p.w, VICTIM, place, &heard);
    uint64_t credits = p.raw.seen.frames[WF_F_CREDIT];
    struct wf_ids page = {
        .stream = 1, .ref = 1, .hi_gen = 4, .id_bytes = 8, .count = IDS, .ids = ids};
    say(&p, wf_ids_encode(&page));
    live(&p, WEFT_SEC);
    cr_expect_eq(heard, 1);
    cr_expect_not(p.raw.seen.ended);
    cr_expect_eq(p.raw.seen.frames[WF_F_CREDIT], credits);
    world_unmute(p.w, VICTIM, place, reader); /* what it kept is answered: CLOSED */
    live(&p, WEFT_SEC);
    cr_expect_eq(p.raw.seen.frames[WF_F_CREDIT], credits + 1);
    play_down(&p);
}

Test(hostile, questions_count_over_the_connections_of_a_peer)
{
    struct play p;
    uint32_t heard;
    play_up(&p, 47);
    weft_addr **place = &p.w->nodes[VICTIM].node->table.reader;
    weft_addr *reader = world_mute(p.w, VICTIM, place, &heard);
    for (unsigned time = 0; time < 4; time++) {
        for (uint32_t i = 0; i < 20; i++) say(&p, wf_trees_req_encode(3 + 2 * i));
        world_run(p.w, 100 * WEFT_MS);
        raw_stop(&p.raw, p.rt);
        world_run(p.w, 100 * WEFT_MS);
        up(&p, 700);
    }
    cr_expect_eq(heard, WEFT_OFFERS_UNDER_WAY_MAX);
    world_unmute(p.w, VICTIM, place, reader);
    play_down(&p);
}

Test(hostile, sessions_count_over_the_connections_of_a_peer)
{
    enum { EACH = WEFT_SESSIONS_PER_CONNECTION_MAX, AT_ONCE = 40 };
    struct play p;
    uint32_t heard;
    play_up(&p, 48);
    weft_addr **place = &p.w->nodes[VICTIM].node->table.reader;
    weft_addr *reader = world_mute(p.w, VICTIM, place, &heard);
    for (unsigned time = 0; time < 4; time++) {
        for (uint32_t i = 0; i < EACH; i++) {
            struct wf_open open = opening(&p, 1 + 2 * i);
            memcpy(open.tree.bytes, &i, sizeof i); /* trees that nobody has */
            say(&p, wf_open_encode(&open));
            if (i % AT_ONCE == 0) world_run(p.w, 20 * WEFT_MS); /* the window comes back */
        }
        world_run(p.w, 100 * WEFT_MS);
        cr_assert_not(p.raw.seen.ended);
        raw_stop(&p.raw, p.rt);
        world_run(p.w, 100 * WEFT_MS);
        up(&p, 700);
    }
    cr_expect_eq(heard, WEFT_SESSIONS_PER_PEER_MAX);
    world_unmute(p.w, VICTIM, place, reader);
    world_run(p.w, WEFT_SEC);
    expect_served(&p);
    play_down(&p);
}

/* -- Places ------------------------------------------------------------------------------ */

static weft_err come(struct play *p, uint32_t number)
{
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_ENSURE);
    weft_node *node = p->w->nodes[VICTIM].node;
    cr_assert_not_null(req);
    memset(&req->peer, 0x77, sizeof req->peer);
    memcpy(req->peer.bytes, &number, sizeof number);
    req->came = true;
    return wf_node_call(node, node->table.peers, &req->req, CALL, NULL);
}

Test(hostile, who_comes_by_itself_leaves_places_for_who_is_named)
{
    struct play p;
    weft_key named = {{9}};
    size_t known = WEFT_PEERS_MAX;
    static weft_key keys[WEFT_PEERS_MAX];
    play_up(&p, 50);
    weft_node *node = p.w->nodes[VICTIM].node;
    cr_assert_eq(weft_peer_list(node, CALL, keys, &known), WEFT_OK);
    uint32_t came = 0;
    while (come(&p, came) == WEFT_OK) came++;
    cr_expect_eq(came + known, WEFT_PEERS_CAME_MAX);
    cr_expect_eq(come(&p, came), WEFT_LIMIT);
    cr_expect_eq(come(&p, 0), WEFT_OK, "who is known already stays so");
    cr_expect_eq(weft_peer_register(node, &named, NULL, CALL), WEFT_OK);
    expect_served(&p);
    play_down(&p);
}
