/* SPDX-License-Identifier: Apache-2.0
 * test_net.c - the conformance suite of networks (weft/net.h): every claim holds over TCP,
 * over memory on the machine and in the simulator, and over one that a user could have written.
 * Called by: the test runner. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net.h"
#include "rig.h"
#include "sim.h"
#include "unix_net.h"

#define OVERS (rig_has_http() ? LAST : HTTP)

#define STREAM_BYTES (1u << 20)

enum over { TCP, MEM, SIM, UNIX, HTTP, LAST };
static const char *const over_name[] = {"tcp", "mem", "sim", "unix", "http"};

enum scene { STREAM, REFUSED, GONE, QUIET, CLOSED_SILENT, NOTHING_THERE, IN_USE, MALFORMED };

/* One actor plays both ends, so that all calls are on the owner's thread. */
struct stage {
    weft_request req;
    enum scene scene;
    wf_net *net;
    const char *listen;
    weft_err result; /* what the scene asks for */
    uint64_t sent, received, wrong, told;
    bool ended, done;
};
static const weft_kind stage_kind = {6, "stage", sizeof(struct stage), weft_free_msg};

struct player {
    struct stage *st;
    wf_sock *listener, *client, *server, *other;
    weft_timer timer;
};

static void finish(weft_self *self, struct player *p, weft_err result)
{
    struct stage *st = p->st;
    if (st == NULL) return;
    const struct weft_net_ops *ops = st->net->ops;
    st->result = result;
    wf_sock *all[] = {p->client, p->server, p->other, p->listener};
    for (unsigned i = 0; i < 4; i++)
        if (all[i] != NULL) ops->close(st->net, self, all[i]);
    weft_timer_stop(self, &p->timer);
    ops->destroy(st->net);
    st->net = NULL;
    memset(p, 0, sizeof *p);
    weft_reply(&st->req, WEFT_OK);
}

static uint8_t pattern(uint64_t at) { return (uint8_t)(at * 7 + (at >> 9)); }

static void on_server(weft_self *self, void *state, wf_sock *sock, uint32_t events, void *arg)
{
    struct player *p = state;
    struct stage *st = p->st;
    uint8_t data[3000];
    size_t moved;
    (void)arg;
    (void)events;
    st->told++;
    if (st->scene == QUIET) {
        finish(self, p, st->sent > 0 ? WEFT_OK : WEFT_INTERNAL);
        return;
    }
    weft_err err = st->net->ops->receive(st->net, sock, data, sizeof data, &moved);
    if (err == WEFT_AGAIN) return;
    if (err != WEFT_OK) {
        finish(self, p, err);
        return;
    }
    for (size_t i = 0; i < moved; i++)
        if (data[i] != pattern(st->received + i)) st->wrong++;
    st->received += moved;
}

static void pour(weft_self *self, struct player *p)
{
    struct stage *st = p->st;
    uint8_t data[5000];
    size_t moved;
    for (;;) {
        size_t n = st->scene == GONE ? sizeof data : STREAM_BYTES - st->sent;
        if (n > sizeof data) n = sizeof data;
        if (n == 0) { /* all is under way: the close must not lose it */
            st->net->ops->close(st->net, self, p->client);
            p->client = NULL;
            return;
        }
        for (size_t i = 0; i < n; i++) data[i] = pattern(st->sent + i);
        weft_err err = st->net->ops->send(st->net, p->client, data, n, &moved);
        if (err == WEFT_AGAIN) return;
        if (err != WEFT_OK) {
            finish(self, p, err);
            return;
        }
        st->sent += moved;
    }
}

static void on_quiet_over(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct player *p = state;
    struct stage *st = p->st;
    (void)timer;
    (void)missed;
    if (st->scene == CLOSED_SILENT) {
        finish(self, p, st->told == 0 ? WEFT_OK : WEFT_INTERNAL);
        return;
    }
    st->sent = 1; /* from now on it may be told */
    if (st->told > 0) finish(self, p, WEFT_INTERNAL);
    else (void)st->net->ops->interest(st->net, self, p->server, WF_NET_READ);
}

static void on_client(weft_self *self, void *state, wf_sock *sock, uint32_t events, void *arg)
{
    struct player *p = state;
    struct stage *st = p->st;
    const struct weft_net_ops *ops = st->net->ops;
    size_t moved;
    (void)arg;
    if (!(events & WF_NET_WRITE)) return;
    weft_err err = ops->connected(st->net, sock);
    if (err == WEFT_AGAIN) return;
    if (err != WEFT_OK || st->scene == REFUSED) {
        finish(self, p, err);
    } else if (st->scene == STREAM || st->scene == GONE) {
        pour(self, p);
    } else {
        (void)ops->send(st->net, sock, "x", 1, &moved);
        (void)ops->interest(st->net, self, sock, 0);
        (void)weft_timer_set(self, &p->timer, weft_now(self) + 20 * WEFT_MS, 0, on_quiet_over);
    }
}

static void on_listener(weft_self *self, void *state, wf_sock *sock, uint32_t events, void *arg)
{
    struct player *p = state;
    struct stage *st = p->st;
    const struct weft_net_ops *ops = st->net->ops;
    char from[WEFT_ADDRESS_BYTES_MAX] = "";
    (void)events;
    (void)arg;
    weft_err err = ops->accept(st->net, self, sock, on_server, NULL, &p->server, from);
    if (err == WEFT_AGAIN) return;
    cr_assert_eq(err, WEFT_OK);
    cr_expect(strchr(from, ':') != NULL, "\"%s\"", from);
    if (st->scene == GONE) {
        ops->close(st->net, self, p->server);
        p->server = NULL;
    } else if (st->scene == CLOSED_SILENT) {
        (void)ops->interest(st->net, self, p->server, WF_NET_READ | WF_NET_WRITE);
        ops->close(st->net, self, p->server);
        p->server = NULL;
    } else {
        (void)ops->interest(st->net, self, p->server, st->scene == QUIET ? 0 : WF_NET_READ);
    }
}

static void nothing_there(weft_self *self, struct player *p)
{
    struct stage *st = p->st;
    char from[WEFT_ADDRESS_BYTES_MAX];
    finish(self, p,
           st->net->ops->accept(st->net, self, p->listener, on_server, NULL, &p->server, from));
}

static void malformed(weft_self *self, struct player *p)
{
    static const char *const bad[] = {"",    ":",    "a",       "a:",    ":1",
                                      "a:b", "a:-1", "a:65536", "a:1:2", "a:1 "};
    const struct weft_net_ops *ops = p->st->net->ops;
    char bound[WEFT_ADDRESS_BYTES_MAX];
    weft_err result = WEFT_OK;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (ops->check(p->st->net, bad[i]) != WEFT_ADDRESS ||
            ops->listen(p->st->net, self, bad[i], on_listener, NULL, &p->other, bound) !=
                WEFT_ADDRESS) {
            fprintf(stderr, "\"%s\" was accepted\n", bad[i]);
            result = WEFT_INTERNAL;
        }
    }
    finish(self, p, result);
}

static void play(weft_self *self, struct player *p)
{
    struct stage *st = p->st;
    const struct weft_net_ops *ops = st->net->ops;
    char bound[WEFT_ADDRESS_BYTES_MAX];
    wf_endpoint to;
    size_t count = 0;
    if (st->scene == MALFORMED) {
        malformed(self, p);
        return;
    }
    cr_assert_eq(ops->listen(st->net, self, st->listen, on_listener, NULL, &p->listener, bound),
                 WEFT_OK);
    cr_assert(strcmp(bound, st->listen) != 0, "port 0 was replaced");
    cr_assert_eq(ops->check(st->net, bound), WEFT_OK);
    if (st->scene == IN_USE) {
        finish(self, p, ops->listen(st->net, self, bound, on_listener, NULL, &p->other, bound));
        return;
    }
    if (st->scene == NOTHING_THERE) {
        nothing_there(self, p);
        return;
    }
    cr_assert_eq(ops->resolve(st->net, bound, &to, 1, &count), WEFT_OK);
    cr_assert_eq(count, 1);
    if (st->scene == REFUSED) {
        ops->close(st->net, self, p->listener);
        p->listener = NULL;
    } else {
        cr_assert_eq(ops->interest(st->net, self, p->listener, WF_NET_READ), WEFT_OK);
    }
    cr_assert_eq(ops->dial(st->net, self, &to, on_client, NULL, &p->client), WEFT_OK);
    cr_assert_eq(ops->interest(st->net, self, p->client, WF_NET_WRITE), WEFT_OK);
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct player *p = state;
    if (wf_net_wake(self, state, msg)) return WEFT_KEPT;
    p->st = (struct stage *)msg;
    play(self, p);
    return WEFT_KEPT;
}

static void perform(enum over over, enum scene scene, weft_err expected, struct stage *copy)
{
    wf_sim *sim = NULL;
    weft_rt *rt;
    wf_net_hub *hub = NULL;
    weft_addr *actor;
    weft_request *out = NULL;
    weft_spec spec = {.name = "player", .state_size = sizeof(struct player), .handle = handle};
    if (over == SIM) {
        cr_assert_eq(wf_sim_create(3, &sim), WEFT_OK);
        cr_assert_eq(wf_sim_rt_create(sim, &rt), WEFT_OK);
    } else {
        cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    }
    cr_assert_eq(wf_net_hub_create(&hub), WEFT_OK);
    struct stage *st = (struct stage *)weft_new(&stage_kind);
    st->scene = scene;
    char own[32]; /* the whole machine shares those names */
    snprintf(own, sizeof own, "process-%ld:0", (long)getpid());
    st->listen = over == TCP || over == HTTP ? "127.0.0.1:0" : over == UNIX ? own : "a:0";
    if (over == TCP) cr_assert_eq(wf_net_tcp_create(&st->net), WEFT_OK);
    else if (over == HTTP) st->net = rig_http();
    else if (over == UNIX) cr_assert_eq(unix_net_create(&st->net), WEFT_OK);
    else cr_assert_eq(wf_net_mem_create(hub, rt, "a", &st->net), WEFT_OK);
    cr_assert_eq(weft_spawn(rt, &spec, &actor), WEFT_OK);
    cr_assert_eq(weft_call(actor, &st->req, weft_rt_after(rt, 20 * WEFT_SEC), &out, NULL), WEFT_OK,
                 "%s scene %d", over_name[over], scene);
    *copy = *(struct stage *)out;
    cr_expect_eq(copy->result, expected, "%s: %s", over_name[over], weft_errname(copy->result));
    weft_drop(&out->msg);
    weft_addr_put(actor);
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    wf_net_hub_destroy(hub);
    wf_sim_destroy(sim);
}

Test(net, a_stream_arrives_whole_in_order_and_ends_after_its_last_byte)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct stage st;
        perform(o, STREAM, WEFT_END, &st);
        cr_expect_eq(st.received, STREAM_BYTES, "%s", over_name[o]);
        cr_expect_eq(st.wrong, 0);
    }
}

Test(net, a_dial_to_nobody_is_unreachable)
{
    struct stage st;
    for (enum over o = 0; o < OVERS; o++) perform(o, REFUSED, WEFT_UNREACHABLE, &st);
}

Test(net, sending_to_one_who_left_fails)
{
    struct stage st;
    for (enum over o = 0; o < OVERS; o++) perform(o, GONE, WEFT_NETWORK, &st);
}

Test(net, nothing_is_told_that_is_not_wanted_and_what_waited_is_told_later)
{
    struct stage st;
    for (enum over o = 0; o < OVERS; o++) {
        perform(o, QUIET, WEFT_OK, &st);
        cr_expect_eq(st.told, 1);
    }
}

Test(net, a_closed_socket_is_told_nothing)
{
    struct stage st;
    for (enum over o = 0; o < OVERS; o++) perform(o, CLOSED_SILENT, WEFT_OK, &st);
}

Test(net, accepting_when_nobody_came_is_again)
{
    struct stage st;
    for (enum over o = 0; o < OVERS; o++) perform(o, NOTHING_THERE, WEFT_AGAIN, &st);
}

Test(net, an_address_in_use_is_told)
{
    struct stage st;
    for (enum over o = 0; o < OVERS; o++) perform(o, IN_USE, WEFT_EXISTS, &st);
}

Test(net, malformed_addresses_are_refused)
{
    struct stage st;
    for (enum over o = 0; o < OVERS; o++) perform(o, MALFORMED, WEFT_OK, &st);
}

enum { REACH_ROOM = 16 };

static size_t reach(wf_net *net, const char *bound, bool all,
                    char out[REACH_ROOM][WEFT_ADDRESS_BYTES_MAX])
{
    size_t count = 99;
    cr_assert_eq(net->ops->reach(net, bound, all, out, REACH_ROOM, &count), WEFT_OK, "%s", bound);
    cr_assert_leq(count, REACH_ROOM);
    return count;
}

Test(net, a_listener_of_tcp_on_all_interfaces_is_reached_at_theirs)
{
    static const char *const bound[] = {"0.0.0.0:4711", "[::]:4711"};
    char out[REACH_ROOM][WEFT_ADDRESS_BYTES_MAX];
    wf_net *net;
    cr_assert_eq(wf_net_tcp_create(&net), WEFT_OK);
    for (unsigned i = 0; i < 2; i++) {
        size_t count = reach(net, bound[i], true, out), loopback = 0;
        if (i == 0) cr_expect_gt(count, 0, "a machine has a loopback at least");
        for (size_t k = 0; k < count; k++) {
            cr_expect_eq(net->ops->check(net, out[k]), WEFT_OK, "%s", out[k]);
            cr_expect_neq(strcmp(out[k], bound[i]), 0);
            cr_expect_str_eq(strrchr(out[k], ':'), ":4711");
            cr_expect_eq(strncmp(out[k], "[fe80", 5) == 0, false, "%s", out[k]);
            loopback += strncmp(out[k], "127.", 4) == 0 || strncmp(out[k], "[::1]", 5) == 0;
        }
        cr_expect(loopback == 0 || loopback == count, "a loopback beside others");
        cr_expect_eq(reach(net, bound[i], false, out), 0, "peers are not told");
    }
    cr_expect_eq(reach(net, "127.0.0.1:4711", false, out), 1);
    cr_expect_str_eq(out[0], "127.0.0.1:4711");
    cr_expect_eq(net->ops->reach(net, "0.0.0.0:1", true, out, 0, &(size_t){9}), WEFT_OK);
    net->ops->destroy(net);
}

static void see(void *arg, const uint8_t *data, size_t len)
{
    (void)data;
    *(uint64_t *)arg += len;
}

Test(net, a_tap_sees_every_byte)
{
    wf_sim *sim;
    weft_rt *rt;
    wf_net_hub *hub;
    wf_net *a, *b;
    struct rig_node x, y;
    struct wf_tp_stats stats;
    uint64_t seen = 0;
    cr_assert_eq(wf_sim_create(3, &sim), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(sim, &rt), WEFT_OK);
    cr_assert_eq(wf_net_hub_create(&hub), WEFT_OK);
    wf_net_hub_tap(hub, see, &seen);
    rig_start(&x, rt, &(struct rig_options){.identity = 1});
    rig_start(&y, rt, &(struct rig_options){.identity = 2});
    cr_assert_eq(wf_net_mem_create(hub, rt, "a", &a), WEFT_OK);
    cr_assert_eq(wf_net_mem_create(hub, rt, "b", &b), WEFT_OK);
    cr_assert_eq(rig_add(&x, "net", a, "a:1"), WEFT_OK);
    cr_assert_eq(rig_add(&y, "net", b, ""), WEFT_OK);
    cr_assert_eq(rig_server(&x, "net", true), WEFT_OK);
    cr_assert_eq(rig_dial(&y, "mem:a:1", NULL, NULL), WEFT_OK);
    cr_assert_eq(rig_wait(&x, RIG_UPS, 1), WEFT_OK);
    rig_stats(&y, 0, &stats);
    cr_expect_eq(seen, stats.wire_in + stats.wire_out);
    rig_stop(&x);
    rig_stop(&y);
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    wf_net_hub_destroy(hub);
    wf_sim_destroy(sim);
}
