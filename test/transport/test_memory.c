/* SPDX-License-Identifier: Apache-2.0
 * test_memory.c - short memory: whichever allocation fails, the transport answers, keeps
 * its books and goes on. Called by: the test runner. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "rig.h"
#include "sim.h"

struct world {
    wf_sim *sim;
    weft_rt *rt;
    wf_net_hub *hub;
    struct rig_node a, b;
};

static void world_up(struct world *w)
{
    wf_net *a, *b;
    memset(w, 0, sizeof *w);
    cr_assert_eq(wf_sim_create(3, &w->sim), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(w->sim, &w->rt), WEFT_OK);
    cr_assert_eq(wf_net_hub_create(&w->hub), WEFT_OK);
    rig_start(&w->a, w->rt, &(struct rig_options){.identity = 1});
    rig_start(&w->b, w->rt, &(struct rig_options){.identity = 2});
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, "a", &a), WEFT_OK);
    cr_assert_eq(wf_net_mem_create(w->hub, w->rt, "b", &b), WEFT_OK);
    cr_assert_eq(rig_add(&w->a, "net", a, "a:1"), WEFT_OK);
    cr_assert_eq(rig_add(&w->b, "net", b, ""), WEFT_OK);
    cr_assert_eq(rig_server(&w->a, "net", true), WEFT_OK);
}

static void world_down(struct world *w)
{
    rig_stop(&w->b);
    rig_stop(&w->a);
    cr_assert_eq(weft_rt_stop(w->rt, weft_rt_after(w->rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(w->rt), WEFT_OK);
    wf_net_hub_destroy(w->hub);
    wf_sim_destroy(w->sim);
}

/* Calls with the nth allocation from here failing. How many were asked for. */
static uint64_t call_short(struct world *w, weft_addr *to, weft_request *req, uint64_t nth,
                           weft_err *err)
{
    weft_request *out = NULL;
    bool taken = false;
    (void)wf_alloc_fail_at(nth, 0);
    *err = weft_call(to, req, weft_rt_after(w->rt, 20 * WEFT_SEC), &out, &taken);
    wf_sim_run_until(w->sim, wf_sim_now(w->sim) + WEFT_SEC);
    uint64_t asked = wf_alloc_fail_at(0, 0);
    if (out != NULL) weft_drop(&out->msg);
    else if (!taken) weft_drop(&req->msg);
    return asked;
}

static void quiet(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    (void)line;
}

Test(memory, a_dial_survives_any_failed_allocation)
{
    uint64_t asked = 1, nth;
    unsigned failed = 0;
    weft_log_to(quiet, NULL, WEFT_LOG_ERROR);
    for (nth = 1; asked >= nth - 1; nth++) { /* until it is so late that none fails */
        struct world w;
        weft_err err;
        world_up(&w);
        struct wf_tp_dial *d = wf_tp_new(&wf_tp_dial_kind);
        strcpy(d->address, "mem:a:1");
        asked = call_short(&w, w.b.transport, &d->req, nth, &err);
        failed += err != WEFT_OK;
        wf_sim_run_until(w.sim, wf_sim_now(w.sim) + 10 * WEFT_SEC);
        cr_expect_eq(rig_dial(&w.b, "mem:a:1", NULL, NULL), WEFT_OK, "after allocation %llu",
                     (unsigned long long)nth);
        world_down(&w);
    }
    cr_expect(nth > 15 && failed > 5, "%llu allocations, %u failures", (unsigned long long)nth,
              failed);
}

Test(memory, bulk_survives_any_failed_allocation)
{
    uint64_t asked = 1, nth, arrived = 0;
    weft_log_to(quiet, NULL, WEFT_LOG_ERROR);
    for (nth = 1; asked >= nth - 1; nth++) { /* until it is so late that none fails */
        struct world w;
        weft_err err;
        uint64_t conn;
        world_up(&w);
        cr_assert_eq(rig_dial(&w.b, "mem:a:1", NULL, &conn), WEFT_OK);
        cr_assert_eq(rig_wait(&w.a, RIG_UPS, 1), WEFT_OK);
        cr_assert_eq(rig_stream(&w.a, w.a.log->up[0].conn, 1, true), WEFT_OK);
        struct wf_tp_bulk *bulk = wf_tp_new(&wf_tp_bulk_kind);
        bulk->conn = conn;
        bulk->stream = 1;
        bulk->frame = rig_frame(9, 1, 5, 200000);
        asked = call_short(&w, w.b.transport, &bulk->req, nth, &err);
        wf_sim_run_until(w.sim, wf_sim_now(w.sim) + 100 * WEFT_SEC);
        rig_look(&w.a);
        rig_look(&w.b);
        arrived += w.a.log->count[RIG_BULKS];
        cr_expect(err != WEFT_OK || w.a.log->count[RIG_BULKS] + w.b.log->count[RIG_DOWNS] > 0,
                  "allocation %llu: a bulk was lost without a word", (unsigned long long)nth);
        cr_expect_eq(w.a.log->count[RIG_WRONG], 0);
        cr_expect_eq(rig_dial(&w.b, "mem:a:1", NULL, NULL), WEFT_OK, "after allocation %llu",
                     (unsigned long long)nth);
        world_down(&w);
    }
    cr_expect(arrived > 0 && arrived < nth);
}
