/* SPDX-License-Identifier: Apache-2.0
 * test_answers.c - a node dials somebody who answers wrongly: what the caller hears. In the
 * simulator.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <string.h>

#include "frame.h"
#include "raw.h"
#include "sim.h"

#define LIAR 2u /* whose key */

struct world {
    wf_sim *sim;
    weft_rt *rt;
    wf_net_hub *hub;
    struct rig_node a;
    struct raw liar;
};

static void world_up(struct world *w, enum raw_stop stop)
{
    wf_net *net, *theirs;
    memset(w, 0, sizeof *w);
    cr_assert_eq(wf_sim_create(7, &w->sim), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(w->sim, &w->rt), WEFT_OK);
    cr_assert_eq(wf_net_hub_create(&w->hub), WEFT_OK);
    rig_start(&w->a, w->rt, &(struct rig_options){.identity = 1, .release = true});
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, "a", &net), WEFT_OK);
    cr_assert_eq(rig_add(&w->a, "net", net, ""), WEFT_OK);
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, "x", &theirs), WEFT_OK);
    raw_listen(&w->liar, w->rt, theirs, "x:1", LIAR, stop);
}

static void world_down(struct world *w)
{
    cr_expect_eq(w->a.log->count[RIG_UPS], 0, "nobody was to hear of it");
    raw_stop(&w->liar, w->rt);
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

static struct rig_dialling dial(struct world *w)
{
    struct rig_dialling d = rig_dial_begin(&w->a, "mem:x:1");
    pass(w, 10 * WEFT_MS);
    cr_assert(w->liar.seen.connected);
    return d;
}

/* HELLO with these versions. */
static void say_hello(struct world *w, uint64_t min, uint64_t max)
{
    struct wf_bytes b = {0};
    struct wf_hello h = {.ver_min = min, .ver_max = max};
    cr_assert(w->liar.seen.secure, "the handshake itself is right");
    cr_assert_eq(wf_frame_put_hello(&b, &h), WEFT_OK);
    raw_frames(&w->liar, wf_bytes_front(&b), wf_bytes_len(&b));
    wf_bytes_fini(&b);
}

Test(answers, of_another_version_are_told_as_that_to_who_dialled)
{
    static const uint64_t theirs[][2] = {{7, 9}, {0, 0}};
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        world_up(&w, RAW_SECURE);
        uint64_t conn;
        struct rig_dialling d = dial(&w);
        say_hello(&w, theirs[i][0], theirs[i][1]);
        cr_expect_eq(rig_dial_end(&w.a, &d, &conn), WEFT_PEER_VERSION, "case %u", i);
        pass(&w, WEFT_SEC);
        cr_expect_eq(w.liar.seen.close_code, WF_W_VERSION, "it is told, too");
        world_down(&w);
    }
}

Test(answers, that_are_none_fail_the_dial)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
        {"\xff\xff", 2},
        {"\0\0", 2},
        {"\0\x1x", 3},
        {"\0\x60"
         "000000000000000000000000000000000000000000000000"
         "000000000000000000000000000000000000000000000000",
         98}, /* as long as the handshake's second message, and no more than that */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w;
        world_up(&w, RAW_SILENT);
        uint64_t conn;
        struct rig_dialling d = dial(&w);
        raw_wire(&w.liar, rows[i].bytes, rows[i].len);
        weft_err err = rig_dial_end(&w.a, &d, &conn);
        cr_expect(err == WEFT_PROTOCOL || err == WEFT_AUTH, "case %zu: %s", i, weft_errname(err));
        pass(&w, WEFT_SEC);
        cr_expect(w.liar.seen.ended, "case %zu", i);
        world_down(&w);
    }
}

Test(answers, with_another_frame_than_hello_fail_the_dial)
{
    struct world w;
    world_up(&w, RAW_SECURE);
    uint64_t conn;
    struct rig_dialling d = dial(&w);
    struct wf_bytes b = {0};
    cr_assert_eq(wf_frame_put_credit(&b, 3, 1000, true), WEFT_OK);
    raw_frames(&w.liar, wf_bytes_front(&b), wf_bytes_len(&b));
    wf_bytes_fini(&b);
    cr_expect_eq(rig_dial_end(&w.a, &d, &conn), WEFT_PROTOCOL);
    world_down(&w);
}

Test(answers, that_never_come_fail_the_dial_in_time)
{
    static const enum raw_stop stops[] = {RAW_SILENT, RAW_SECURE}; /* and then says no HELLO */
    for (unsigned i = 0; i < 2; i++) {
        struct world w;
        world_up(&w, stops[i]);
        weft_ns begin = wf_sim_now(w.sim);
        uint64_t conn;
        struct rig_dialling d = dial(&w);
        cr_expect_eq(rig_dial_end(&w.a, &d, &conn), WEFT_TIMED_OUT, "case %u", i);
        cr_expect_leq(wf_sim_now(w.sim) - begin, WEFT_HANDSHAKE_TIMEOUT_NS + WEFT_SEC);
        world_down(&w);
    }
}
