/* SPDX-License-Identifier: Apache-2.0
 * test_hostile.c - peers that stall, lie, exceed and forge, in the simulator's virtual
 * time: each is gone within its deadline and nothing of theirs is delivered.
 * Called by: the test runner. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "raw.h"
#include "sim.h"

struct world {
    wf_sim *sim;
    weft_rt *rt;
    wf_net_hub *hub;
    struct rig_node a;
};

static void world_of(struct world *w, bool release)
{
    wf_net *net;
    memset(w, 0, sizeof *w);
    cr_assert_eq(wf_sim_create(5, &w->sim), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(w->sim, &w->rt), WEFT_OK);
    cr_assert_eq(wf_net_hub_create(&w->hub), WEFT_OK);
    rig_start(&w->a, w->rt, &(struct rig_options){.identity = 1, .release = release});
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, "a", &net), WEFT_OK);
    cr_assert_eq(rig_add(&w->a, "net", net, "a:1"), WEFT_OK);
    cr_assert_eq(rig_server(&w->a, "net", true), WEFT_OK);
}

static void world_up(struct world *w) { world_of(w, true); }

static void world_down(struct world *w)
{
    rig_stop(&w->a);
    cr_assert_eq(weft_rt_stop(w->rt, weft_rt_after(w->rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(w->rt), WEFT_OK);
    wf_net_hub_destroy(w->hub);
    wf_sim_destroy(w->sim);
}

static void pass(struct world *w, weft_ns time)
{
    wf_sim_run_until(w->sim, wf_sim_now(w->sim) + time);
    rig_look(&w->a);
}

static void join(struct world *w, struct raw *r, unsigned identity, enum raw_stop stop)
{
    wf_net *net;
    char host[16];
    snprintf(host, sizeof host, "x%u", identity);
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, host, &net), WEFT_OK);
    raw_start(r, w->rt, net, "a:1", identity, stop);
    pass(w, 10 * WEFT_MS);
}

/* HELLO with these versions, as plain bytes. */
static size_t hello(uint8_t *out, uint64_t min, uint64_t max)
{
    struct wf_bytes b = {0};
    struct wf_hello h = {.ver_min = min, .ver_max = max};
    cr_assert_eq(wf_frame_put_hello(&b, &h), WEFT_OK);
    size_t len = wf_bytes_len(&b);
    memcpy(out, wf_bytes_front(&b), len);
    wf_bytes_fini(&b);
    return len;
}

static void up(struct world *w, struct raw *r)
{
    uint8_t data[4096];
    join(w, r, 2, RAW_SECURE);
    raw_frames(r, data, hello(data, 1, 1));
    cr_assert_eq(rig_wait(&w->a, RIG_UPS, 1), WEFT_OK);
}

/* -- Before the keys are proven ------------------------------------------------------------- */

Test(hostile, a_silent_dialler_is_gone_after_the_handshakes_time)
{
    static const enum raw_stop stops[] = {RAW_SILENT, RAW_AFTER_FIRST};
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        struct raw r;
        world_up(&w);
        weft_ns begin = wf_sim_now(w.sim);
        join(&w, &r, 2, stops[i]);
        pass(&w, 6 * WEFT_SEC);
        cr_expect(r.seen.connected && r.seen.ended);
        cr_expect_leq(r.seen.ended_ns - begin, WEFT_HANDSHAKE_TIMEOUT_NS + 100 * WEFT_MS);
        cr_expect_eq(w.a.log->count[RIG_UPS], 0);
        raw_stop(&r, w.rt);
        world_down(&w);
    }
}

Test(hostile, one_that_proves_its_key_and_says_no_hello_is_gone_too)
{
    struct world w;
    struct raw r;
    world_up(&w);
    join(&w, &r, 2, RAW_SECURE);
    cr_expect(r.seen.secure && r.seen.hello, "ours comes at once");
    pass(&w, 8 * WEFT_SEC);
    cr_expect(r.seen.ended);
    cr_expect_eq(w.a.log->count[RIG_UPS] + w.a.log->count[RIG_DOWNS], 0);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, garbage_before_the_handshake_is_closed_in_silence)
{
    static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n", "\xff\xff", "\0\0", "\0\1x"};
    static const size_t len[] = {18, 2, 2, 3};
    for (unsigned i = 0; i < 4; i++) {
        struct world w;
        struct raw r;
        world_up(&w);
        join(&w, &r, 2, RAW_SILENT);
        raw_wire(&r, garbage[i], len[i]);
        pass(&w, WEFT_SEC);
        cr_expect(r.seen.ended, "case %u", i);
        cr_expect_eq(r.seen.bytes_in, 0, "an answer to garbage");
        raw_stop(&r, w.rt);
        world_down(&w);
    }
}

Test(hostile, before_the_keys_are_proven_the_answer_is_bounded)
{
    struct world w;
    struct raw r;
    world_up(&w);
    join(&w, &r, 2, RAW_AFTER_FIRST);
    pass(&w, WEFT_SEC);
    cr_expect_eq(r.seen.bytes_in, 2 + 193, "one handshake message and nothing else");
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, pending_handshakes_are_bounded_per_address)
{
    enum { DIALS = 12 };
    struct world w;
    struct raw r[DIALS];
    unsigned ended = 0;
    world_up(&w);
    for (unsigned i = 0; i < DIALS; i++) {
        wf_net *net;
        cr_assert_eq(wf_net_mem_create(w.hub, w.rt, "flood", &net), WEFT_OK);
        raw_start(&r[i], w.rt, net, "a:1", 2 + i, RAW_SILENT);
    }
    pass(&w, 100 * WEFT_MS);
    for (unsigned i = 0; i < DIALS; i++) ended += r[i].seen.ended;
    cr_expect_eq(ended, DIALS - WEFT_PENDING_HANDSHAKES_PER_ADDRESS_MAX);
    struct raw honest;
    up(&w, &honest);
    cr_expect(honest.seen.hello, "another address is served");
    raw_stop(&honest, w.rt);
    for (unsigned i = 0; i < DIALS; i++) raw_stop(&r[i], w.rt);
    world_down(&w);
}

Test(hostile, pending_handshakes_are_bounded_in_all)
{
    enum { DIALS = 80 };
    struct world w;
    static struct raw r[DIALS];
    unsigned ended = 0;
    world_up(&w);
    for (unsigned i = 0; i < DIALS; i++) join(&w, &r[i], 2 + i, RAW_SILENT);
    for (unsigned i = 0; i < DIALS; i++) ended += r[i].seen.ended;
    cr_expect_eq(ended, DIALS - WEFT_PENDING_HANDSHAKES_MAX);
    pass(&w, 6 * WEFT_SEC);
    for (unsigned i = 0; i < DIALS; i++) raw_stop(&r[i], w.rt);
    struct raw honest;
    up(&w, &honest);
    raw_stop(&honest, w.rt);
    world_down(&w);
}

Test(hostile, a_newcomer_takes_the_place_of_the_handshake_that_waits_longest)
{
    enum { DIALS = WEFT_PENDING_HANDSHAKES_MAX };
    struct world w;
    static struct raw r[DIALS];
    struct raw honest;
    world_up(&w);
    for (unsigned i = 0; i < DIALS; i++) join(&w, &r[i], 2 + i, RAW_SILENT);
    up(&w, &honest);
    cr_expect(r[0].seen.ended);
    for (unsigned i = 1; i < DIALS; i++) cr_expect_not(r[i].seen.ended, "%u", i);
    raw_stop(&honest, w.rt);
    for (unsigned i = 0; i < DIALS; i++) raw_stop(&r[i], w.rt);
    world_down(&w);
}

static void join_from(struct world *w, const char *host, struct raw *r, unsigned identity,
                      enum raw_stop stop)
{
    wf_net *net;
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, host, &net), WEFT_OK);
    raw_start(r, w->rt, net, "a:1", identity, stop);
    pass(w, 5 * WEFT_MS);
}

Test(hostile, one_who_comes_once_does_not_make_room_for_those_who_come_often)
{
    enum { EACH = WEFT_PENDING_HANDSHAKES_PER_ADDRESS_MAX, HOSTS = 9, DIALS = HOSTS * EACH };
    struct world w;
    static struct raw r[DIALS];
    struct raw lone;
    world_up(&w);
    join_from(&w, "lone", &lone, 2, RAW_SILENT);
    for (unsigned i = 0; i < DIALS; i++) {
        char host[16];
        snprintf(host, sizeof host, "often%u", i % HOSTS);
        join_from(&w, host, &r[i], 3 + i, RAW_SILENT);
    }
    cr_expect_not(lone.seen.ended);
    unsigned there = 0;
    for (unsigned i = 0; i < DIALS; i++) there += !r[i].seen.ended;
    cr_expect_eq(there + 1, WEFT_PENDING_HANDSHAKES_MAX);
    raw_stop(&lone, w.rt);
    for (unsigned i = 0; i < DIALS; i++) raw_stop(&r[i], w.rt);
    world_down(&w);
}

Test(hostile, an_address_that_has_its_share_of_handshakes_gives_its_own)
{
    enum { EACH = WEFT_PENDING_HANDSHAKES_PER_ADDRESS_MAX };
    struct world w;
    struct raw other, r[EACH + 1];
    world_up(&w);
    join_from(&w, "other", &other, 2, RAW_SILENT);
    for (unsigned i = 0; i < EACH; i++) join_from(&w, "crowd", &r[i], 3 + i, RAW_SILENT);
    cr_expect_not(r[0].seen.ended);
    join_from(&w, "crowd", &r[EACH], 99, RAW_SECURE);
    cr_expect(r[EACH].seen.secure, "it is served");
    cr_expect(r[0].seen.ended && !r[1].seen.ended && !other.seen.ended);
    raw_stop(&other, w.rt);
    for (unsigned i = 0; i < EACH + 1; i++) raw_stop(&r[i], w.rt);
    world_down(&w);
}

/* -- HELLO ---------------------------------------------------------------------------------- */

Test(hostile, another_version_is_told_and_refused)
{
    struct world w;
    struct raw r;
    uint8_t data[4096];
    world_up(&w);
    join(&w, &r, 2, RAW_SECURE);
    raw_frames(&r, data, hello(data, 7, 9));
    pass(&w, WEFT_SEC);
    cr_expect_eq(r.seen.err_code, WF_W_VERSION);
    cr_expect_eq(r.seen.close_code, WF_W_VERSION);
    cr_expect_eq(w.a.log->count[RIG_UPS], 0);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, a_later_version_that_still_speaks_ours_is_welcome)
{
    struct world w;
    struct raw r;
    uint8_t data[4096];
    world_up(&w);
    join(&w, &r, 2, RAW_SECURE);
    raw_frames(&r, data, hello(data, 1, 9));
    cr_expect_eq(rig_wait(&w.a, RIG_UPS, 1), WEFT_OK);
    raw_stop(&r, w.rt);
    world_down(&w);
}

/* -- Frames ---------------------------------------------------------------------------------- */

struct bad {
    const char *what;
    uint8_t bytes[24];
    size_t len;
    unsigned code;
};
static const struct bad bad[] = {
    {"a length beyond the largest message", {0, 0x20, 0, 0, 0x92, 2, 1}, 7, WF_W_FRAME},
    {"an unknown type", {0, 0, 0, 3, 0x92, 31, 1}, 7, WF_W_SYNTAX},
    {"bytes behind the array", {0, 0, 0, 4, 0x92, 2, 1, 1}, 8, WF_W_SYNTAX},
    {"an array that is cut off", {0, 0, 0, 3, 0x93, 2, 1}, 7, WF_W_SYNTAX},
    {"a declared count far beyond the bytes",
     {0, 0, 0, 8, 0x93, 2, 1, 0xdd, 0xff, 0xff, 0xff, 0xff},
     12,
     WF_W_SYNTAX},
    {"nesting beyond eight",
     {0, 0, 0, 13, 0x93, 2, 1, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x90},
     17,
     WF_W_SYNTAX},
    {"a map", {0, 0, 0, 4, 0x93, 2, 1, 0x80}, 8, WF_W_SYNTAX},
    {"bulk on a stream that is not registered", {0, 0, 0, 3, 0x92, 9, 5}, 7, WF_W_FRAME},
    {"DONE on a stream that is not registered", {0, 0, 0, 3, 0x92, 14, 5}, 7, WF_W_FRAME},
    {"a frame beyond the credit", {0, 0, 0x40, 0, 0x92, 2, 5}, 7, WF_W_LIMIT},
    {"a large frame of a kind that costs nothing", {0, 0, 0x50, 0, 0x92, 11, 5}, 7, WF_W_FRAME},
    {"credit that nobody asked for", {0, 0, 0, 4, 0x93, 12, 3, 9}, 8, WF_W_FRAME},
    {"a window larger than there is", {0, 0, 0, 4, 0x93, 12, 0, 9}, 8, WF_W_FRAME},
    {"credit of nothing", {0, 0, 0, 4, 0x93, 12, 0, 0}, 8, WF_W_FRAME},
    {"a large need on a stream that nobody knows",
     {0, 0, 0, 7, 0x94, 22, 3, 0xcd, 0x40, 1, 0},
     11,
     WF_W_LIMIT},
    {"a loan given back that was never lent", {0, 0, 0, 5, 0x94, 22, 3, 0, 9}, 9, WF_W_LIMIT},
    {"a need beyond the largest frame",
     {0, 0, 0, 9, 0x94, 22, 3, 0xce, 1, 0, 0, 0, 0},
     13,
     WF_W_LIMIT},
    {"a second HELLO", {0, 0, 0, 3, 0x92, 0, 0}, 7, WF_W_SYNTAX},
    {"a PING without its token", {0, 0, 0, 3, 0x92, 17, 0}, 7, WF_W_SYNTAX},
};

Test(hostile, frames_that_break_the_rules_close_the_connection_with_their_code)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct world w;
        struct raw r;
        world_up(&w);
        up(&w, &r);
        raw_frames(&r, bad[i].bytes, bad[i].len);
        pass(&w, WEFT_SEC);
        cr_expect_eq(r.seen.close_code, bad[i].code, "%s: %llu", bad[i].what,
                     (unsigned long long)r.seen.close_code);
        cr_expect_eq(w.a.log->count[RIG_DOWNS], 1, "%s", bad[i].what);
        cr_expect_eq(w.a.log->count[RIG_FRAMES] + w.a.log->count[RIG_BULKS], 0, "%s", bad[i].what);
        raw_stop(&r, w.rt);
        world_down(&w);
    }
}

Test(hostile, unknown_types_with_the_high_bit_are_skipped)
{
    static const uint8_t skip[] = {0, 0, 0, 4, 0x92, 0xcc, 200, 5};
    static const uint8_t ack[] = {0, 0, 0, 3, 0x92, 11, 5};
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    for (unsigned i = 0; i < 3000; i++) /* they cost credit, and it comes back */
        raw_frames(&r, skip, sizeof skip);
    raw_frames(&r, ack, sizeof ack);
    cr_expect_eq(rig_wait(&w.a, RIG_FRAMES, 1), WEFT_OK);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 0);
    cr_expect_gt(r.seen.frames[WF_F_CREDIT], 0);
    raw_stop(&r, w.rt);
    world_down(&w);
}

/* -- Stalling ---------------------------------------------------------------------------------- */

Test(hostile, a_message_that_does_not_come_on_ends_the_connection)
{
    static const uint8_t begun[] = {0, 0, 0x10, 0, 0x92, 2, 5};
    static const uint8_t ping[] = {0, 0, 0, 13, 0x93, 18, 0, 0xc4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
    struct world w;
    struct raw r;
    (void)ping;
    world_up(&w);
    up(&w, &r);
    weft_ns begin = wf_sim_now(w.sim);
    raw_frames(&r, begun, sizeof begun);
    for (unsigned i = 0; i < 8; i++) { /* one byte in five seconds */
        pass(&w, 5 * WEFT_SEC);
        if (!r.seen.ended) raw_frames(&r, "", 1);
    }
    pass(&w, 5 * WEFT_SEC);
    cr_expect(r.seen.ended && r.seen.ended_ns - begin < 35 * WEFT_SEC);
    cr_expect_eq(w.a.log->down[0].why, WEFT_TIMED_OUT);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, a_record_that_does_not_come_on_ends_the_connection)
{
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    weft_ns begin = wf_sim_now(w.sim);
    raw_wire(&r, "\x01\x00", 2);
    pass(&w, 40 * WEFT_SEC);
    cr_expect(r.seen.ended && r.seen.ended_ns - begin < 35 * WEFT_SEC);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, one_that_answers_no_ping_is_gone)
{
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    weft_ns begin = wf_sim_now(w.sim);
    pass(&w, 70 * WEFT_SEC);
    cr_expect_eq(r.seen.frames[WF_F_PING], 1);
    cr_expect(r.seen.ended);
    cr_expect_leq(r.seen.ended_ns - begin,
                  WEFT_PING_INTERVAL_NS + WEFT_PING_TIMEOUT_NS + 3 * WEFT_SEC);
    cr_expect_eq(w.a.log->down[0].why, WEFT_TIMED_OUT);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, a_loan_that_is_kept_ends_its_stream_and_then_the_connection)
{
    static const uint8_t blocked[] = {0, 0, 0, 9, 0x94, 22, 5, 0xce, 0, 0x10, 0, 0, 0};
    static const uint8_t alive[] = {0, 0, 0, 3, 0x92, 11, 5};
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    cr_assert_eq(rig_stream(&w.a, w.a.log->up[0].conn, 5, true), WEFT_OK);
    raw_frames(&r, blocked, sizeof blocked);
    pass(&w, WEFT_SEC);
    cr_expect_eq(r.seen.granted, 1 << 20);
    pass(&w, 32 * WEFT_SEC);
    cr_expect_eq(r.seen.err_code, WF_W_LIMIT);
    cr_expect(w.a.log->frame[0].type == WF_F_CLOSE && w.a.log->frame[0].code == WF_W_LIMIT);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 0);
    raw_frames(&r, alive, sizeof alive);
    cr_assert_eq(rig_stream(&w.a, w.a.log->up[0].conn, 5, false), WEFT_OK);
    pass(&w, 32 * WEFT_SEC);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 1);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, a_loan_for_nobodys_stream_ends_though_it_is_nibbled_at)
{
    static const uint8_t blocked[] = {0, 0, 0, 7, 0x94, 22, 5, 0xcd, 0x40, 0, 0};
    static const uint8_t skipped[] = {0, 0, 0, 4, 0x92, 0xcc, 200, 5};
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    raw_frames(&r, blocked, sizeof blocked);
    pass(&w, 20 * WEFT_SEC);
    cr_expect_eq(r.seen.granted, WEFT_OPENING_STREAM_BYTES);
    raw_frames(&r, skipped, sizeof skipped);
    pass(&w, 12 * WEFT_SEC);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 1);
    raw_stop(&r, w.rt);
    world_down(&w);
}

/* -- Ends --------------------------------------------------------------------------------------- */

Test(hostile, an_end_without_close_is_an_error)
{
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    raw_end(&r);
    cr_assert_eq(rig_wait(&w.a, RIG_DOWNS, 1), WEFT_OK);
    cr_expect_eq(w.a.log->down[0].why, WEFT_NETWORK);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, a_connection_cut_at_any_byte_of_a_frame_delivers_nothing_of_it)
{
    for (size_t cut = 1; cut < 60; cut++) {
        struct world w;
        struct raw r;
        world_up(&w);
        up(&w, &r);
        weft_buf *frame = rig_frame(WF_F_OPEN, 5, 1, 60);
        weft_buf_data(frame)[3] = 56;
        weft_buf_data(frame)[0] = weft_buf_data(frame)[1] = weft_buf_data(frame)[2] = 0;
        raw_frames(&r, weft_buf_bytes(frame), cut);
        raw_end(&r);
        cr_assert_eq(rig_wait(&w.a, RIG_DOWNS, 1), WEFT_OK);
        cr_expect_eq(w.a.log->down[0].why, WEFT_NETWORK);
        cr_expect_eq(w.a.log->count[RIG_FRAMES], 0);
        weft_buf_unref(frame);
        raw_stop(&r, w.rt);
        world_down(&w);
    }
}

Test(hostile, a_forged_record_ends_the_connection_in_silence)
{
    struct world w;
    struct raw r;
    uint8_t forged[2 + 30] = {0, 30};
    world_up(&w);
    up(&w, &r);
    uint64_t before = r.seen.bytes_in;
    raw_wire(&r, forged, sizeof forged);
    pass(&w, WEFT_SEC);
    cr_expect(r.seen.ended);
    cr_expect_eq(r.seen.bytes_in, before);
    cr_expect_eq(w.a.log->down[0].why, WEFT_AUTH);
    raw_stop(&r, w.rt);
    world_down(&w);
}

/* -- Floods ------------------------------------------------------------------------------------- */

/* `count` times the same frame, as few records as they fit in. */
static void flood(struct raw *r, const uint8_t *frame, size_t len, size_t count)
{
    size_t most = 60000 / len;
    uint8_t *record = malloc(most * len);
    for (size_t i = 0; i < most; i++) memcpy(record + i * len, frame, len);
    for (size_t n; count > 0; count -= n) {
        n = count < most ? count : most;
        raw_frames(r, record, n * len);
    }
    free(record);
}

struct free_frame {
    const char *what;
    uint8_t bytes[12];
    size_t len;
};
static const struct free_frame free_frames[] = {
    {"ACK", {0, 0, 0, 3, 0x92, 11, 5}, 7},
    {"RESULT", {0, 0, 0, 3, 0x92, 19, 5}, 7},
    {"CLOSE", {0, 0, 0, 5, 0x94, 15, 5, 0, 0xa0}, 9},
    {"ERR", {0, 0, 0, 6, 0x95, 21, 5, 8, 0, 0xa0}, 10},
    {"DONE", {0, 0, 0, 3, 0x92, 14, 5}, 7},
    {"OPEN, which costs credit but little of it", {0, 0, 0, 3, 0x92, 2, 5}, 7},
};

Test(hostile, no_kind_of_frame_is_read_faster_than_it_is_consumed)
{
    enum { SENT = 1000 };
    for (size_t i = 0; i < sizeof free_frames / sizeof free_frames[0]; i++) {
        struct world w;
        struct raw r;
        const struct free_frame *f = &free_frames[i];
        world_of(&w, false);
        up(&w, &r);
        uint64_t conn = w.a.log->up[0].conn, got = 0, given = 0;
        cr_assert_eq(rig_stream(&w.a, conn, 5, true), WEFT_OK);
        flood(&r, f->bytes, f->len, SENT);
        for (uint64_t part = 1; got < SENT; part++) {
            pass(&w, WEFT_SEC);
            cr_assert_eq(w.a.log->count[RIG_DOWNS], 0, "%s", f->what);
            cr_assert_leq(w.a.log->held_frames - given, WEFT_FRAMES_HELD_MAX, "%s", f->what);
            got = w.a.log->count[RIG_FRAMES] + w.a.log->count[RIG_BULKS];
            cr_assert_geq(got, part * WEFT_FRAMES_HELD_MAX / 2, "%s: it goes on", f->what);
            for (; given < got; given++) rig_release(&w.a, conn, 5, i == 5 ? 7 : 0);
        }
        cr_expect_eq(got, SENT, "%s", f->what);
        raw_stop(&r, w.rt);
        world_down(&w);
    }
}

Test(hostile, a_pause_that_is_ours_is_not_held_against_the_peer)
{
    static const uint8_t blocked[] = {0, 0, 0, 9, 0x94, 22, 5, 0xce, 0, 0x10, 0, 0, 0};
    struct world w;
    struct raw r;
    world_of(&w, false);
    up(&w, &r);
    uint64_t conn = w.a.log->up[0].conn;
    cr_assert_eq(rig_stream(&w.a, conn, 5, true), WEFT_OK);
    raw_frames(&r, blocked, sizeof blocked);
    pass(&w, WEFT_SEC);
    flood(&r, free_frames[0].bytes, free_frames[0].len, WEFT_FRAMES_HELD_MAX + 1);
    pass(&w, WEFT_IDLE_TIMEOUT_NS - 5 * WEFT_SEC);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 0);
    cr_expect_eq(w.a.log->count[RIG_FRAMES], WEFT_FRAMES_HELD_MAX, "nor is its loan");
    for (unsigned i = 0; i < WEFT_FRAMES_HELD_MAX; i++) rig_release(&w.a, conn, 5, 0);
    pass(&w, WEFT_SEC);
    cr_expect_eq(w.a.log->count[RIG_FRAMES], WEFT_FRAMES_HELD_MAX + 1);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 0);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, a_pause_without_an_end_ends_the_connection)
{
    struct world w;
    struct raw r;
    world_of(&w, false);
    up(&w, &r);
    flood(&r, free_frames[0].bytes, free_frames[0].len, WEFT_FRAMES_HELD_MAX + 1);
    pass(&w, WEFT_IDLE_TIMEOUT_NS + 5 * WEFT_SEC);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 1);
    cr_expect_eq(w.a.log->down[0].why, WEFT_TIMED_OUT);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, coming_again_does_not_escape_the_bound_of_frames)
{
    enum { TIMES = WEFT_FRAMES_HELD_ENDED_MAX / WEFT_FRAMES_HELD_MAX };
    struct world w;
    struct raw r;
    uint8_t data[4096];
    world_of(&w, false);
    for (unsigned i = 0; i <= TIMES; i++) { /* each takes the place of the one before it */
        join(&w, &r, 2, RAW_SECURE);
        cr_assert(r.seen.secure, "the %u. time", i);
        raw_frames(&r, data, hello(data, 1, 1));
        flood(&r, free_frames[0].bytes, free_frames[0].len, WEFT_FRAMES_HELD_MAX);
        pass(&w, 10 * WEFT_MS);
        raw_stop(&r, w.rt);
        pass(&w, 10 * WEFT_MS);
    }
    cr_expect_eq(w.a.log->count[RIG_FRAMES], WEFT_FRAMES_HELD_ENDED_MAX + WEFT_FRAMES_HELD_MAX);
    join(&w, &r, 2, RAW_SECURE);
    pass(&w, 4 * WEFT_SEC);
    cr_expect_not(r.seen.secure, "nobody is let in while so much is not consumed");
    pass(&w, 61 * WEFT_SEC);
    cr_expect(r.seen.secure, "what is never released is forgotten in time");
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, one_who_asks_and_does_not_listen_is_closed_before_the_answers_pile_up)
{
    static const uint8_t ping[] = {0, 0, 0, 13, 0x93, 17, 0, 0xc4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    raw_deaf(&r);
    flood(&r, ping, sizeof ping, 60000);
    pass(&w, WEFT_SEC);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 1);
    cr_expect_eq(w.a.log->down[0].why, WEFT_BUSY);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, one_who_reads_nothing_is_gone_though_it_answers_every_ping)
{
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    uint64_t conn = w.a.log->up[0].conn;
    raw_deaf(&r);
    for (unsigned i = 0; i < 300; i++) rig_send(&w.a, conn, 6, WF_F_ACK, 4000);
    weft_ns begin = wf_sim_now(w.sim);
    while (w.a.log->count[RIG_DOWNS] == 0 && wf_sim_now(w.sim) - begin < 300 * WEFT_SEC) {
        uint8_t pong[] = {0, 0, 0, 13, 0x93, 18, 0, 0xc4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
        pass(&w, 5 * WEFT_SEC);
        for (uint64_t token = 1; token < 20; token++) {
            memcpy(pong + 9, &token, sizeof token); /* it can be guessed */
            raw_frames(&r, pong, sizeof pong);
        }
    }
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 1);
    cr_expect_eq(w.a.log->down[0].why, WEFT_TIMED_OUT);
    cr_expect_leq(wf_sim_now(w.sim) - begin, WEFT_IDLE_TIMEOUT_NS + 10 * WEFT_SEC);
    raw_stop(&r, w.rt);
    world_down(&w);
}

/* -- Strangers ---------------------------------------------------------------------------------- */

Test(hostile, one_whom_nobody_knows_borrows_little)
{
    struct world w;
    struct raw r;
    world_up(&w);
    up(&w, &r);
    for (uint8_t stream = 1; stream < 60; stream += 2) {
        uint8_t blocked[] = {0, 0, 0, 7, 0x94, 22, stream, 0xcd, 0x40, 0, 0};
        raw_frames(&r, blocked, sizeof blocked);
    }
    pass(&w, WEFT_SEC);
    cr_expect_eq(r.seen.granted, WEFT_OPENING_PEER_BYTES);
    cr_expect_eq(w.a.log->count[RIG_DOWNS], 0);
    raw_stop(&r, w.rt);
    world_down(&w);
}

Test(hostile, connections_are_bounded_per_address)
{
    enum { MOST = WEFT_CONNECTIONS_PER_ADDRESS_MAX };
    struct world w;
    static struct raw r[MOST + 2];
    uint8_t data[4096];
    world_up(&w);
    for (unsigned i = 0; i < MOST + 2; i++) {
        wf_net *net;
        cr_assert_eq(wf_net_mem_create(w.hub, w.rt, "crowd", &net), WEFT_OK);
        raw_start(&r[i], w.rt, net, "a:1", 100 + i, RAW_SECURE);
        pass(&w, 5 * WEFT_MS);
        if (i == MOST) break;
        raw_frames(&r[i], data, hello(data, 1, 1));
        pass(&w, 5 * WEFT_MS);
    }
    cr_expect_eq(w.a.log->count[RIG_UPS], MOST);
    cr_expect_eq(r[MOST].seen.close_code, WF_W_BUSY, "told, and by whom it meant to reach");
    struct raw honest;
    join(&w, &honest, 2, RAW_SECURE);
    raw_frames(&honest, data, hello(data, 1, 1));
    cr_expect_eq(rig_wait(&w.a, RIG_UPS, MOST + 1), WEFT_OK, "another address is served");
    raw_stop(&r[0], w.rt);
    pass(&w, 10 * WEFT_MS);
    wf_net *net;
    cr_assert_eq(wf_net_mem_create(w.hub, w.rt, "crowd", &net), WEFT_OK);
    raw_start(&r[MOST + 1], w.rt, net, "a:1", 99, RAW_SECURE);
    pass(&w, 5 * WEFT_MS);
    raw_frames(&r[MOST + 1], data, hello(data, 1, 1));
    cr_expect_eq(rig_wait(&w.a, RIG_UPS, MOST + 2), WEFT_OK, "and so is this one, in its turn");
    raw_stop(&honest, w.rt);
    for (unsigned i = 1; i < MOST + 2; i++) raw_stop(&r[i], w.rt);
    world_down(&w);
}
