/* SPDX-License-Identifier: Apache-2.0
 * introspect_sample.c - a little shop that is looked into: a pipeline of three actors on threads,
 * whose counters, trace or last events go to standard output.
 * Called by: introspect.py, as: introspect_sample prometheus|chrome|flight. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft/stats.h>
#include <weft/trace.h>

#define ORDERS 50u

struct order {
    weft_request req;
    uint64_t number;
};
static const weft_kind ORDER = {1, "shop.order \"large\"", sizeof(struct order), weft_free_msg};

static weft_verdict bake(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    ((struct order *)msg)->number++;
    weft_reply((weft_request *)msg, WEFT_OK);
    return WEFT_KEPT;
}

struct desk {
    weft_addr *baker;
    unsigned baked;
    weft_timer tick;
};

static void on_baked(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct desk *desk = state;
    (void)arg;
    if (err == WEFT_OK) desk->baked++;
    if (req != NULL) weft_drop(&req->msg);
    if (desk->baked == ORDERS) (void)weft_stop(weft_self_addr(self), WEFT_DRAIN);
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct desk *desk = state;
    (void)timer;
    (void)missed;
    for (unsigned i = 0; i < ORDERS; i++) {
        weft_request *order = (weft_request *)weft_new(&ORDER);
        if (order != NULL &&
            weft_ask(self, desk->baker, order, WEFT_NEVER, on_baked, NULL, NULL) != WEFT_OK)
            weft_drop(&order->msg);
    }
}

static weft_err open_desk(weft_self *self, void *state, void *arg)
{
    struct desk *desk = state;
    desk->baker = arg;
    return weft_timer_set(self, &desk->tick, weft_now(self), 0, on_tick);
}

static weft_verdict ignore(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

static void to_stdout(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)fwrite(bytes, 1, len, stdout);
}

static int run(weft_rt *rt)
{
    weft_addr *baker = NULL, *desk = NULL;
    weft_spec baking = {.name = "baker \\ 1", .handle = bake};
    weft_spec ordering = {
        .name = "desk", .state_size = sizeof(struct desk), .init = open_desk, .handle = ignore};
    if (weft_spawn(rt, &baking, &baker) != WEFT_OK) return 1;
    ordering.arg = baker;
    if (weft_spawn(rt, &ordering, &desk) != WEFT_OK) return 1;
    weft_err err = weft_join(desk, weft_rt_after(rt, 20 * WEFT_SEC), NULL);
    if (err == WEFT_OK) err = weft_rt_stop(rt, weft_rt_after(rt, 20 * WEFT_SEC));
    weft_addr_put(desk);
    weft_addr_put(baker);
    return err == WEFT_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    static char text[1 << 16];
    weft_rt *rt = NULL;
    weft_chrome *chrome = NULL;
    const char *what = argc == 2 ? argv[1] : "";
    if (weft_rt_create(&rt) != WEFT_OK) return 1;
    weft_rt_measure(rt, true);
    if (strcmp(what, "chrome") == 0) {
        if (weft_chrome_create(to_stdout, NULL, &chrome) != WEFT_OK) return 1;
        weft_trace_to(rt, weft_chrome_event, chrome);
    }
    if (strcmp(what, "flight") == 0 && weft_flight_start(64, -1) != WEFT_OK) return 1;
    int failed = run(rt);
    if (strcmp(what, "prometheus") == 0 && weft_stats_prometheus(rt, text, sizeof text) > 0)
        (void)fputs(text, stdout);
    if (strcmp(what, "flight") == 0) weft_flight_dump(STDOUT_FILENO);
    weft_flight_stop();
    (void)weft_rt_destroy(rt);
    weft_chrome_destroy(chrome);
    return failed;
}
