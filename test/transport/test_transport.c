/* SPDX-License-Identifier: Apache-2.0
 * test_transport.c - what the transport manager promises, over TCP, HTTP and memory, on the
 * machine and in the simulator. Called by: the test runner. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "frame.h"
#include "rig.h"
#include "sim.h"

enum over { TCP, MEM, SIM, HTTP, LAST };
#define OVERS (rig_has_http() ? LAST : HTTP)
static const char *const over_name[] = {"tcp", "mem", "sim", "http"};
static const char *const any_a[] = {"127.0.0.1:0", "a:0", "a:0", "127.0.0.1:0"};
static const char *const any_b2[] = {"127.0.0.1:0", "b2:0", "b2:0", "127.0.0.1:0"};

/* Two nodes, `a` listening; each claim below holds over every network. */
struct pair {
    enum over over;
    wf_sim *sim;
    weft_rt *rt;
    wf_net_hub *hub;
    struct rig_node a, b;
    char address[WEFT_ADDRESS_BYTES_MAX]; /* of a */
};

static wf_net *net_of(struct pair *p, const char *host)
{
    wf_net *net = NULL;
    if (p->over == TCP) cr_assert_eq(wf_net_tcp_create(&net), WEFT_OK);
    else if (p->over == HTTP) net = rig_http();
    else cr_assert_eq(wf_net_mem_create(p->hub, p->rt, host, &net), WEFT_OK);
    return net;
}

static void pair_up(struct pair *p, enum over over, struct rig_options a, struct rig_options b)
{
    memset(p, 0, sizeof *p);
    p->over = over;
    if (over == SIM) {
        cr_assert_eq(wf_sim_create(11, &p->sim), WEFT_OK);
        cr_assert_eq(wf_sim_rt_create(p->sim, &p->rt), WEFT_OK);
    } else {
        cr_assert_eq(weft_rt_create(&p->rt), WEFT_OK);
    }
    if (over == MEM || over == SIM) cr_assert_eq(wf_net_hub_create(&p->hub), WEFT_OK);
    rig_start(&p->a, p->rt, &a);
    rig_start(&p->b, p->rt, &b);
    cr_assert_eq(rig_add(&p->a, "net", net_of(p, "a"), any_a[over]), WEFT_OK);
    cr_assert_eq(rig_add(&p->b, "net", net_of(p, "b"), ""), WEFT_OK);
    cr_assert_eq(rig_server(&p->a, "net", true), WEFT_OK);
    rig_address(&p->a, p->address);
}

static void pair_default(struct pair *p, enum over over)
{
    pair_up(p, over, (struct rig_options){.identity = 1, .release = true},
            (struct rig_options){.identity = 2, .release = true});
}

static void pair_down(struct pair *p)
{
    rig_look(&p->a);
    rig_look(&p->b);
    cr_expect_eq(p->a.log->count[RIG_WRONG] + p->b.log->count[RIG_WRONG], 0, "over %s",
                 over_name[p->over]);
    rig_stop(&p->b);
    rig_stop(&p->a);
    cr_assert_eq(weft_rt_stop(p->rt, weft_rt_after(p->rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(p->rt), WEFT_OK);
    wf_net_hub_destroy(p->hub);
    wf_sim_destroy(p->sim);
}

Test(transport, a_dial_proves_both_keys_and_both_sides_hear_up)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t conn = 0;
        pair_default(&p, o);
        cr_assert_eq(rig_dial(&p.b, p.address, &p.a.identity.key, &conn), WEFT_OK);
        cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
        cr_assert_eq(rig_wait(&p.b, RIG_UPS, 1), WEFT_OK);
        cr_expect_eq(p.b.log->up[0].conn, conn);
        cr_expect(p.b.log->up[0].dialled && !p.a.log->up[0].dialled);
        cr_expect(weft_key_equal(&p.b.log->up[0].key, &p.a.identity.key));
        cr_expect(weft_key_equal(&p.a.log->up[0].key, &p.b.identity.key));
        cr_expect_arr_eq(p.a.log->up[0].channel, p.b.log->up[0].channel, 64);
        cr_expect_str_eq(p.b.log->up[0].peer_name, "rig");
        cr_expect_str_eq(p.b.log->up[0].listens[0], p.address);
        pair_down(&p);
    }
}

Test(transport, bulk_arrives_whole_and_in_order)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t conn = 0;
        pair_default(&p, o);
        cr_assert_eq(rig_dial(&p.b, p.address, NULL, &conn), WEFT_OK);
        cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
        cr_assert_eq(rig_stream(&p.a, p.a.log->up[0].conn, 1, true), WEFT_OK);
        rig_bulk(&p.b, conn, 1, 40, 256 << 10);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 40), WEFT_OK);
        cr_expect_eq(p.a.log->bulk_bytes, 40u * ((256u << 10) - WF_FRAME_HEAD));
        pair_down(&p);
    }
}

static void pair_joined(struct pair *p, enum over over, uint64_t *a_conn, uint64_t *b_conn)
{
    pair_default(p, over);
    cr_assert_eq(rig_dial(&p->b, p->address, NULL, b_conn), WEFT_OK);
    cr_assert_eq(rig_wait(&p->a, RIG_UPS, 1), WEFT_OK);
    *a_conn = p->a.log->up[0].conn;
}

/* -- Dialling ------------------------------------------------------------------------------ */

Test(transport, another_key_than_the_expected_is_refused_and_nobody_hears_up)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        struct wf_tp_stats stats;
        struct wf_identity other;
        rig_identity(9, &other);
        pair_default(&p, o);
        cr_expect_eq(rig_dial(&p.b, p.address, &other.key, NULL), WEFT_PEER_KEY);
        rig_stats(&p.b, 0, &stats);
        cr_expect_eq(stats.handshakes_failed, 1);
        cr_expect_eq(p.a.log->count[RIG_UPS] + p.b.log->count[RIG_UPS], 0);
        pair_down(&p);
        free(other.arg);
    }
}

Test(transport, an_address_where_nobody_listens_is_unreachable)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        pair_default(&p, o);
        cr_assert_eq(rig_server(&p.a, "net", false), WEFT_OK);
        cr_expect_eq(rig_dial(&p.b, p.address, NULL, NULL), WEFT_UNREACHABLE, "%s", over_name[o]);
        pair_down(&p);
    }
}

Test(transport, a_malformed_address_and_one_without_a_transport_are_told_apart)
{
    static const char *const bad[] = {"",
                                      ":",
                                      "tcp",
                                      "tcp:",
                                      "tcp:1.2.3.4",
                                      "tcp:1.2.3.4:x",
                                      "tcp:[::1:4",
                                      "tcp:a b:1",
                                      "tcp:1.2.3.4:65536",
                                      "tcp::1",
                                      "tcp:1.2.3.4:0"};
    struct pair p;
    pair_default(&p, TCP);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(rig_dial(&p.b, bad[i], NULL, NULL), WEFT_ADDRESS, "\"%s\"", bad[i]);
    cr_expect_eq(rig_dial(&p.b, "mem:a:1", NULL, NULL), WEFT_NO_TRANSPORT);
    pair_down(&p);
}

Test(transport, a_name_is_looked_up)
{
    struct pair p;
    char address[WEFT_ADDRESS_BYTES_MAX];
    struct addrinfo *known = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    if (getaddrinfo("localhost", NULL, &hints, &known) != 0)
        cr_skip("this system has no name for its loopback interface");
    freeaddrinfo(known);
    pair_default(&p, TCP);
    snprintf(address, sizeof address, "tcp:localhost:%s", strrchr(p.address, ':') + 1);
    cr_expect_eq(rig_dial(&p.b, address, &p.a.identity.key, NULL), WEFT_OK);
    pair_down(&p);
}

Test(transport, a_server_may_listen_at_a_name)
{
    struct pair p;
    char address[WEFT_ADDRESS_BYTES_MAX];
    struct addrinfo *known = NULL, hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo("localhost", NULL, &hints, &known) != 0)
        cr_skip("this system has no name for its loopback interface");
    freeaddrinfo(known);
    pair_default(&p, TCP);
    cr_assert_eq(rig_server(&p.a, "net", false), WEFT_OK);
    cr_assert_eq(rig_add(&p.a, "net", net_of(&p, "a"), "localhost:0"), WEFT_OK);
    for (int all = 0; all < 2; all++) {
        cr_assert_eq(rig_server(&p.a, all ? "" : "net", true), WEFT_OK);
        cr_expect_eq(rig_server(&p.a, "net", true), WEFT_EXISTS, "it runs");
        rig_address(&p.a, address);
        cr_expect(strncmp(address, "tcp:127.", 8) == 0 || strncmp(address, "tcp:[::1]:", 10) == 0,
                  "%s", address);
        cr_expect_neq(strtoul(strrchr(address, ':') + 1, NULL, 10), 0);
        cr_expect_eq(rig_dial(&p.b, address, &p.a.identity.key, NULL), WEFT_OK);
        cr_assert_eq(rig_server(&p.a, "net", false), WEFT_OK);
    }
    pair_down(&p);
}

Test(transport, a_name_that_nobody_has_starts_nothing)
{
    struct pair p;
    pair_default(&p, TCP);
    cr_assert_eq(rig_server(&p.a, "net", false), WEFT_OK);
    /* No name has a part of 64 letters, so nobody is asked. */
    cr_assert_eq(rig_add(&p.a, "net", net_of(&p, "a"),
                         "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd:0"),
                 WEFT_OK);
    cr_expect_eq(rig_server(&p.a, "net", true), WEFT_UNREACHABLE);
    cr_expect_eq(rig_server(&p.a, "", true), WEFT_UNREACHABLE);
    cr_expect_eq(rig_server(&p.a, "net", false), WEFT_NOT_FOUND, "nothing runs");
    pair_down(&p);
}

Test(transport, stopping_answers_a_start_that_waits_for_a_name)
{
    struct pair p;
    pair_default(&p, TCP);
    cr_assert_eq(rig_server(&p.a, "net", false), WEFT_OK);
    cr_assert_eq(rig_add(&p.a, "net", net_of(&p, "a"), "localhost:0"), WEFT_OK);
    struct wf_tp_server *req = wf_tp_new(&wf_tp_server_kind);
    weft_request *out = NULL;
    bool taken = false;
    req->start = true;
    (void)weft_stop(p.a.resolver, WEFT_NOW); /* nobody will look it up */
    weft_err err = weft_call(p.a.transport, &req->req, weft_rt_after(p.a.rt, 10 * WEFT_SEC), &out,
                             &taken);
    cr_expect_eq(err, WEFT_CLOSED, "%s", weft_errname(err));
    weft_drop(out != NULL ? &out->msg : taken ? NULL : &req->req.msg);
    pair_down(&p);
}

Test(transport, ipv6_works)
{
    struct pair p;
    char address[WEFT_ADDRESS_BYTES_MAX];
    pair_default(&p, TCP);
    cr_assert_eq(rig_server(&p.a, "net", false), WEFT_OK);
    cr_assert_eq(rig_add(&p.a, "net", net_of(&p, "a"), "[::1]:0"), WEFT_OK);
    weft_err err = rig_server(&p.a, "net", true);
    if (err == WEFT_OK) { /* a machine may have no IPv6 at all */
        rig_address(&p.a, address);
        cr_expect_eq(strncmp(address, "tcp:[::1]:", 10), 0);
        cr_expect_eq(rig_dial(&p.b, address, &p.a.identity.key, NULL), WEFT_OK);
    }
    pair_down(&p);
}

Test(transport, a_node_does_not_connect_to_itself)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        pair_default(&p, o);
        cr_expect_eq(rig_dial(&p.a, p.address, NULL, NULL), WEFT_INVALID);
        cr_expect_eq(p.a.log->count[RIG_UPS], 0);
        pair_down(&p);
    }
}

static weft_err nobody(void *arg, const weft_key *key, weft_ns now)
{
    (void)arg, (void)key, (void)now;
    return WEFT_BLOCKED;
}

Test(transport, a_blocked_key_is_neither_dialled_nor_accepted)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        pair_up(&p, o, (struct rig_options){.identity = 1, .may_connect = nobody},
                (struct rig_options){.identity = 2});
        cr_expect_eq(rig_dial(&p.b, p.address, NULL, NULL), WEFT_AUTH, "refused silently");
        pair_down(&p);
        pair_up(&p, o, (struct rig_options){.identity = 1},
                (struct rig_options){.identity = 2, .may_connect = nobody});
        cr_expect_eq(rig_dial(&p.b, p.address, NULL, NULL), WEFT_BLOCKED);
        cr_expect_eq(p.a.log->count[RIG_UPS] + p.b.log->count[RIG_UPS], 0);
        pair_down(&p);
    }
}

/* -- Servers -------------------------------------------------------------------------------- */

Test(transport, servers_start_stop_and_get_their_address_back)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        char again[WEFT_ADDRESS_BYTES_MAX];
        pair_default(&p, o);
        cr_expect_eq(rig_server(&p.a, "net", true), WEFT_EXISTS, "it runs");
        cr_expect_eq(rig_server(&p.a, "none", true), WEFT_NOT_FOUND);
        cr_assert_eq(rig_dial(&p.b, p.address, NULL, NULL), WEFT_OK);
        cr_expect_eq(rig_server(&p.a, "net", false), WEFT_OK);
        cr_expect_eq(rig_server(&p.a, "net", false), WEFT_NOT_FOUND, "it does not run");
        cr_expect_eq(rig_server(&p.a, "", false), WEFT_OK, "all, though none runs");
        cr_assert_eq(rig_add(&p.a, "net", net_of(&p, "a"), strchr(p.address, ':') + 1), WEFT_OK);
        cr_assert_eq(rig_server(&p.a, "", true), WEFT_OK, "%s", over_name[o]);
        rig_address(&p.a, again);
        cr_expect_str_eq(again, p.address);
        pair_down(&p);
    }
}

Test(transport, an_address_in_use_is_an_answer)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        pair_default(&p, o);
        wf_net *net = net_of(&p, "a");
        cr_assert_eq(rig_add(&p.b, "second", net, strchr(p.address, ':') + 1), WEFT_OK);
        cr_expect_eq(rig_server(&p.b, "second", true), WEFT_EXISTS, "%s", over_name[o]);
        cr_expect_eq(rig_server(&p.b, "", true), WEFT_OK, "the client-only one starts");
        pair_down(&p);
    }
}

Test(transport, a_client_only_transport_starts_and_listens_nowhere)
{
    struct pair p;
    pair_default(&p, TCP);
    cr_expect_eq(rig_server(&p.b, "net", true), WEFT_OK);
    cr_expect_eq(rig_server(&p.b, "net", true), WEFT_OK);
    pair_down(&p);
}

/* -- Two connections ------------------------------------------------------------------------ */

Test(transport, a_second_dial_to_a_key_yields_the_connection_that_lives)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t first = 0, second = 0, third = 0;
        pair_default(&p, o);
        cr_assert_eq(rig_dial(&p.b, p.address, NULL, &first), WEFT_OK);
        cr_expect_eq(rig_dial(&p.b, p.address, &p.a.identity.key, &second), WEFT_OK);
        cr_expect_eq(rig_dial(&p.b, p.address, NULL, &third), WEFT_OK);
        cr_expect(first == second && first == third, "%s", over_name[o]);
        cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
        cr_expect_eq(p.a.log->count[RIG_UPS] + p.a.log->count[RIG_DOWNS], 1);
        pair_down(&p);
    }
}

/* `dialler` dials second: with the lower key its connection takes the place of the first. */
static void second_dial(enum over o, bool by_lower)
{
    struct pair p;
    uint64_t first = 0, second = 0;
    char address[WEFT_ADDRESS_BYTES_MAX];
    unsigned lower = rig_lower(1, 2), higher = 3 - lower;
    pair_up(&p, o, (struct rig_options){.identity = by_lower ? lower : higher},
            (struct rig_options){.identity = by_lower ? higher : lower});
    cr_assert_eq(rig_add(&p.b, "server", net_of(&p, "b2"), any_b2[o]), WEFT_OK);
    cr_assert_eq(rig_server(&p.b, "server", true), WEFT_OK);
    rig_address(&p.b, address);
    cr_assert_eq(rig_dial(&p.b, p.address, NULL, &first), WEFT_OK);
    cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
    cr_assert_eq(rig_dial(&p.a, address, NULL, &second), WEFT_OK);
    if (by_lower) {
        cr_assert_eq(rig_wait(&p.a, RIG_DOWNS, 1), WEFT_OK);
        cr_assert_eq(rig_wait(&p.b, RIG_DOWNS, 1), WEFT_OK);
        cr_assert_eq(rig_wait(&p.b, RIG_UPS, 2), WEFT_OK);
        cr_expect_eq(p.a.log->down[0].why, WEFT_OK);
        cr_expect_eq(p.b.log->down[0].why, WEFT_OK);
        cr_expect_eq(p.a.log->up[1].conn, second);
        cr_expect_arr_eq(p.a.log->up[1].channel, p.b.log->up[1].channel, 64);
    } else {
        cr_expect_eq(second, p.a.log->up[0].conn, "the first stays");
        cr_expect_eq(p.a.log->count[RIG_DOWNS] + p.b.log->count[RIG_DOWNS], 0);
    }
    pair_down(&p);
}

Test(transport, of_two_connections_the_one_dialled_by_the_lower_key_stays)
{
    for (enum over o = 0; o < OVERS; o++) {
        second_dial(o, true);
        second_dial(o, false);
    }
}

/* -- Frames ----------------------------------------------------------------------------------- */

Test(transport, the_largest_message_passes_and_a_larger_one_is_invalid)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
        rig_bulk(&p.b, b, 1, 6, WEFT_MESSAGE_BYTES_MAX + WF_FRAME_HEAD);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 6), WEFT_OK, "%s", over_name[o]);
        rig_bulk(&p.b, b, 1, 1, WEFT_MESSAGE_BYTES_MAX + WF_FRAME_HEAD + 1);
        rig_bulk(&p.b, b, 1, 1, 1000);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 7), WEFT_OK);
        cr_assert_eq(rig_wait(&p.b, RIG_REFUSED, 1), WEFT_OK);
        cr_expect_eq(p.b.log->sent_err, WEFT_INVALID);
        pair_down(&p);
    }
}

Test(transport, many_streams_share_a_connection)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        for (uint32_t s = 1; s < 60; s += 2) cr_assert_eq(rig_stream(&p.a, a, s, true), WEFT_OK);
        for (uint32_t s = 1; s < 60; s += 2) rig_bulk(&p.b, b, s, 10, 100 + s * 1000);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 300), WEFT_OK, "%s", over_name[o]);
        cr_assert_eq(rig_wait(&p.b, RIG_SENT, 300), WEFT_OK);
        pair_down(&p);
    }
}

Test(transport, both_directions_carry_bulk_at_once)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
        cr_assert_eq(rig_stream(&p.b, b, 1, true), WEFT_OK);
        rig_bulk(&p.b, b, 1, 30, 200000);
        rig_bulk(&p.a, a, 1, 30, 200000);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 30), WEFT_OK);
        cr_assert_eq(rig_wait(&p.b, RIG_BULKS, 30), WEFT_OK);
        pair_down(&p);
    }
}

Test(transport, control_frames_reach_the_owner_with_what_they_cost)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        rig_send(&p.b, b, 3, WF_F_OPEN, 1000);
        rig_send(&p.b, b, 3, WF_F_ACK, 100);
        cr_assert_eq(rig_stream(&p.a, a, 5, true), WEFT_OK);
        rig_send(&p.b, b, 5, WF_F_TREES, 300000); /* far beyond the window */
        cr_assert_eq(rig_wait(&p.a, RIG_FRAMES, 3), WEFT_OK, "%s", over_name[o]);
        cr_expect(p.a.log->frame[0].type == WF_F_OPEN && p.a.log->frame[0].frame_bytes == 1000);
        cr_expect(p.a.log->frame[1].type == WF_F_ACK && p.a.log->frame[1].frame_bytes == 0);
        cr_expect(p.a.log->frame[2].type == WF_F_TREES && p.a.log->frame[2].frame_bytes == 300000);
        pair_down(&p);
    }
}

Test(transport, a_slow_owner_holds_the_sender_up_and_nothing_is_lost)
{
    enum { SENT = 1000 };
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t b, given = 0;
        pair_up(&p, o, (struct rig_options){.identity = 1},
                (struct rig_options){.identity = 2, .release = true});
        cr_assert_eq(rig_dial(&p.b, p.address, NULL, &b), WEFT_OK);
        cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
        for (unsigned i = 0; i < SENT; i++) rig_send(&p.b, b, 3, WF_F_ACK, 100);
        for (uint64_t got = 0; got < SENT;) {
            uint64_t more = given + WEFT_FRAMES_HELD_MAX;
            cr_assert_eq(rig_wait(&p.a, RIG_FRAMES, more < SENT ? more : SENT), WEFT_OK, "%s",
                         over_name[o]);
            got = p.a.log->count[RIG_FRAMES];
            cr_assert_leq(got, more);
            for (; given < got; given++) rig_release(&p.a, p.a.log->up[0].conn, 3, 0);
        }
        cr_expect_eq(p.a.log->count[RIG_DOWNS], 0);
        pair_down(&p);
    }
}

Test(transport, done_keeps_its_place_behind_the_bulk_and_is_not_charged)
{
    struct pair p;
    uint64_t a, b;
    pair_joined(&p, SIM, &a, &b);
    cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
    rig_bulk(&p.b, b, 1, 2, 500000);
    rig_send(&p.b, b, 1, WF_F_DONE, 100);
    rig_send(&p.b, b, 1, WF_F_ACK, 100);
    cr_assert_eq(rig_wait(&p.a, RIG_FRAMES, 1), WEFT_OK);
    cr_expect_eq(p.a.log->count[RIG_BULKS], 0, "control overtakes what waits for credit");
    cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 3), WEFT_OK);
    cr_expect_eq(p.a.log->last_n[1], 3);
    cr_expect_eq(p.a.log->bulk_bytes, 2u * 499996 + 96);
    pair_down(&p);
}

/* -- Back-pressure ---------------------------------------------------------------------------- */

Test(transport, a_receiver_that_releases_nothing_stops_the_sender_at_the_account)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_up(&p, o, (struct rig_options){.identity = 1},
                (struct rig_options){.identity = 2, .release = true});
        cr_assert_eq(rig_dial(&p.b, p.address, NULL, &b), WEFT_OK);
        cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
        a = p.a.log->up[0].conn;
        cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
        rig_bulk(&p.b, b, 1, 30, 250000);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 12), WEFT_OK, "%s", over_name[o]);
        p.a.wait_ns = 200 * WEFT_MS;
        cr_expect_eq(rig_wait(&p.a, RIG_BULKS, 18), WEFT_TIMED_OUT);
        p.a.wait_ns = 20 * WEFT_SEC;
        cr_expect_leq(p.a.log->held_bytes, WEFT_ACCOUNT_PEER_BYTES + WEFT_WINDOW_BYTES);
        while (p.a.log->count[RIG_BULKS] < 30) {
            uint64_t seen = p.a.log->count[RIG_BULKS];
            rig_release(&p.a, a, 1, (uint32_t)p.a.log->held_bytes);
            cr_assert_eq(rig_wait(&p.a, RIG_BULKS, seen + 1), WEFT_OK);
        }
        pair_down(&p);
    }
}

Test(transport, a_stream_without_credit_ends_after_its_time)
{
    struct pair p;
    uint64_t a, b;
    pair_up(&p, SIM, (struct rig_options){.identity = 1}, (struct rig_options){.identity = 2});
    cr_assert_eq(rig_dial(&p.b, p.address, NULL, &b), WEFT_OK);
    cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
    a = p.a.log->up[0].conn;
    cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
    rig_bulk(&p.b, b, 1, 30, 1 << 20);
    p.b.wait_ns = 60 * WEFT_SEC;
    cr_assert_eq(rig_wait(&p.b, RIG_FRAMES, 1), WEFT_OK);
    cr_expect(p.b.log->frame[0].type == WF_F_CLOSE && p.b.log->frame[0].code == WF_W_LIMIT);
    cr_assert_eq(rig_wait(&p.b, RIG_REFUSED, 1), WEFT_OK);
    cr_expect_eq(p.b.log->sent_err, WEFT_CLOSED);
    cr_assert_eq(rig_wait(&p.a, RIG_FRAMES, 1), WEFT_OK);
    cr_expect(p.a.log->frame[0].type == WF_F_ERR && p.a.log->frame[0].code == WF_W_LIMIT);
    cr_expect_eq(p.b.log->count[RIG_DOWNS], 0, "the connection stays");
    pair_down(&p);
}

Test(transport, a_quiet_stream_gives_its_loan_back_and_stays)
{
    struct pair p;
    uint64_t a, b;
    pair_joined(&p, SIM, &a, &b);
    cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
    rig_bulk(&p.b, b, 1, 3, 300000);
    cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 3), WEFT_OK);
    wf_sim_run_until(p.sim, wf_sim_now(p.sim) + 100 * WEFT_SEC);
    rig_look(&p.a);
    rig_look(&p.b);
    cr_expect_eq(p.a.log->count[RIG_FRAMES] + p.b.log->count[RIG_FRAMES], 0, "nobody complains");
    rig_bulk(&p.b, b, 1, 3, 300000);
    cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 6), WEFT_OK);
    pair_down(&p);
}

/* -- Streams ------------------------------------------------------------------------------------ */

Test(transport, a_streams_end_reaches_the_verifiers_behind_its_bulk)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        cr_expect_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
        cr_expect_eq(rig_stream(&p.a, a, 1, true), WEFT_EXISTS);
        rig_bulk(&p.b, b, 1, 3, 5000);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 3), WEFT_OK);
        cr_expect_eq(rig_stream(&p.a, a, 1, false), WEFT_OK);
        cr_assert_eq(rig_wait(&p.a, RIG_ENDS, 1), WEFT_OK);
        cr_expect_eq(p.a.log->last_n[1], 4);
        cr_expect_eq(rig_stream(&p.a, a, 1, true), WEFT_EXISTS, "numbers are not used again");
        cr_expect_eq(rig_stream(&p.a, a, 1, false), WEFT_NOT_FOUND);
        pair_down(&p);
    }
}

Test(transport, bulk_that_comes_after_the_end_is_dropped_and_its_credit_returns)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
        cr_assert_eq(rig_stream(&p.a, a, 3, true), WEFT_OK);
        cr_assert_eq(rig_stream(&p.a, a, 1, false), WEFT_OK);
        rig_bulk(&p.b, b, 1, 60, 250000); /* more than the account holds */
        cr_assert_eq(rig_wait(&p.b, RIG_SENT, 60), WEFT_OK, "%s", over_name[o]);
        rig_bulk(&p.b, b, 3, 1, 5000);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 1), WEFT_OK);
        cr_expect_eq(p.a.log->count[RIG_DOWNS], 0);
        pair_down(&p);
    }
}

Test(transport, ending_a_stream_answers_what_waits_on_it)
{
    struct pair p;
    uint64_t a, b;
    pair_up(&p, SIM, (struct rig_options){.identity = 1}, (struct rig_options){.identity = 2});
    cr_assert_eq(rig_dial(&p.b, p.address, NULL, &b), WEFT_OK);
    cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
    a = p.a.log->up[0].conn;
    cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
    cr_assert_eq(rig_stream(&p.b, b, 1, true), WEFT_OK);
    rig_bulk(&p.b, b, 1, 30, 1 << 20);
    cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 3), WEFT_OK);
    cr_assert_eq(rig_stream(&p.b, b, 1, false), WEFT_OK);
    cr_assert_eq(rig_wait(&p.b, RIG_ENDS, 1), WEFT_OK);
    cr_assert_eq(rig_wait(&p.b, RIG_REFUSED, 1), WEFT_OK);
    cr_expect_eq(p.b.log->sent_err, WEFT_CLOSED);
    pair_down(&p);
}

/* Hears what is encrypted, and knows whether the stream is over by then. */
struct judge {
    bool over;
    uint64_t before, after, nameless;
};

static void on_encrypt(void *arg, const weft_key *key, const weft_id *cookie_id, uint32_t type)
{
    struct judge *j = arg;
    (void)key;
    if (type != WF_F_ENTRIES) return;
    if (cookie_id == NULL) j->nameless++;
    if (j->over) j->after++;
    else j->before++;
}

Test(transport, nothing_of_a_stream_is_encrypted_once_its_end_is_answered)
{
    /* A megabyte takes the network several delays: the frame is half out at most of these moments. */
    for (unsigned i = 0; i < 12; i++) {
        const wf_net_faults slow = {.delay_min = 40 * WEFT_MS, .delay_max = 40 * WEFT_MS};
        struct judge j = {0};
        struct pair p;
        uint64_t a, b;
        pair_up(&p, SIM, (struct rig_options){.identity = 1, .release = true},
                (struct rig_options){
                    .identity = 2, .release = true, .on_encrypt = on_encrypt, .arg = &j});
        wf_net_hub_faults(p.hub, &slow);
        cr_assert_eq(rig_dial(&p.b, p.address, NULL, &b), WEFT_OK);
        cr_assert_eq(rig_wait(&p.a, RIG_UPS, 1), WEFT_OK);
        a = p.a.log->up[0].conn;
        for (uint32_t stream = 1; stream <= 3; stream += 2) {
            cr_assert_eq(rig_stream(&p.a, a, stream, true), WEFT_OK);
            cr_assert_eq(rig_stream(&p.b, b, stream, true), WEFT_OK);
        }
        rig_bulk(&p.b, b, 1, 30, 1 << 20);
        cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 2), WEFT_OK);
        wf_sim_run_until(p.sim, wf_sim_now(p.sim) + i * 17 * WEFT_MS);
        cr_assert_eq(rig_stream(&p.b, b, 1, false), WEFT_OK);
        j.over = true;
        wf_sim_run_until(p.sim, wf_sim_now(p.sim) + 5 * WEFT_SEC);
        cr_expect_gt(j.before, 0);
        cr_expect_eq(j.after, 0, "%u: %lu pieces", i, j.after);
        cr_expect_eq(j.nameless, 0);
        j.over = false;
        rig_look(&p.a);
        uint64_t had = p.a.log->count[RIG_BULKS];
        rig_bulk(&p.b, b, 3, 2, 100000); /* what was begun has come to its end: frames are whole */
        cr_expect_eq(rig_wait(&p.a, RIG_BULKS, had + 2), WEFT_OK);
        cr_expect_eq(p.a.log->count[RIG_DOWNS], 0);
        pair_down(&p);
    }
}

Test(transport, what_waits_on_a_stream_without_an_answer_goes_with_it)
{
    const wf_net_faults slow = {.delay_min = 100 * WEFT_MS, .delay_max = 100 * WEFT_MS};
    struct pair p;
    uint64_t a, b;
    pair_joined(&p, SIM, &a, &b);
    (void)a;
    wf_net_hub_faults(p.hub, &slow);
    rig_send(&p.b, b, 3, WF_F_OPEN, 12000); /* beyond the window: it asks, and waits */
    wf_sim_run_until(p.sim, wf_sim_now(p.sim) + 50 * WEFT_MS);
    cr_expect_eq(rig_stream(&p.b, b, 3, false), WEFT_NOT_FOUND);
    wf_sim_run_until(p.sim, wf_sim_now(p.sim) + 60 * WEFT_SEC);
    rig_look(&p.a);
    rig_look(&p.b);
    cr_expect_eq(p.a.log->count[RIG_FRAMES], 0);
    cr_expect_eq(p.a.log->count[RIG_DOWNS] + p.b.log->count[RIG_DOWNS], 0, "the loan was returned");
    pair_down(&p);
}

Test(transport, nothing_is_taken_for_a_stream_that_has_ended)
{
    struct pair p;
    uint64_t a, b;
    pair_joined(&p, SIM, &a, &b);
    for (unsigned open = 2; open-- > 0;) cr_assert_eq(rig_stream(&p.b, b, 1, open != 0), WEFT_OK);
    for (uint32_t stream = 1; stream < 5; stream += 2) rig_send(&p.b, b, stream, WF_F_IDS, 1000);
    wf_sim_run_until(p.sim, wf_sim_now(p.sim) + WEFT_SEC);
    rig_look(&p.a);
    cr_expect(p.a.log->count[RIG_FRAMES] == 1 && p.a.log->frame[0].stream == 3);
    pair_down(&p);
}

Test(transport, bulk_on_a_stream_that_was_never_registered_closes_the_connection)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        rig_bulk(&p.b, b, 5, 1, 1000);
        cr_assert_eq(rig_wait(&p.a, RIG_DOWNS, 1), WEFT_OK);
        cr_assert_eq(rig_wait(&p.b, RIG_DOWNS, 1), WEFT_OK);
        cr_expect_eq(p.a.log->down[0].why, WEFT_PROTOCOL);
        cr_expect_eq(p.b.log->down[0].why, WEFT_PROTOCOL, "the peer was told: %s",
                     weft_errname(p.b.log->down[0].why));
        cr_expect_eq(p.a.log->count[RIG_BULKS], 0);
        pair_down(&p);
    }
}

/* -- Ending ---------------------------------------------------------------------------------------- */

Test(transport, an_ordinary_close_is_down_ok_on_both_sides)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
        rig_close(&p.b, b, WEFT_OK);
        cr_assert_eq(rig_wait(&p.a, RIG_DOWNS, 1), WEFT_OK);
        cr_assert_eq(rig_wait(&p.b, RIG_DOWNS, 1), WEFT_OK);
        cr_expect_eq(p.a.log->down[0].why, WEFT_OK, "%s %s", over_name[o],
                     weft_errname(p.a.log->down[0].why));
        cr_expect_eq(p.b.log->down[0].why, WEFT_OK);
        cr_expect_str_eq(p.a.log->down[0].text, "the test says so");
        cr_expect_eq(p.a.log->count[RIG_ENDS], 1, "its streams ended first");
        cr_expect_eq(rig_stream(&p.a, a, 3, true), WEFT_CLOSED);
        pair_down(&p);
    }
}

Test(transport, a_node_that_stops_tells_its_peers)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b;
        pair_joined(&p, o, &a, &b);
        cr_assert_eq(weft_stop(p.b.transport, WEFT_NOW), WEFT_OK);
        cr_assert_eq(rig_wait(&p.a, RIG_DOWNS, 1), WEFT_OK);
        cr_expect_eq(p.a.log->down[0].why, WEFT_CLOSED, "%s %s", over_name[o],
                     weft_errname(p.a.log->down[0].why));
        pair_down(&p);
    }
}

Test(transport, a_connection_can_be_made_again_after_it_ended)
{
    for (enum over o = 0; o < OVERS; o++) {
        struct pair p;
        uint64_t a, b, again;
        pair_joined(&p, o, &a, &b);
        rig_close(&p.a, a, WEFT_OK);
        cr_assert_eq(rig_wait(&p.b, RIG_DOWNS, 1), WEFT_OK);
        cr_assert_eq(rig_dial(&p.b, p.address, NULL, &again), WEFT_OK);
        cr_expect_neq(again, b, "numbers of connections are not used again");
        pair_down(&p);
    }
}

Test(transport, statistics_count_both_ways)
{
    struct pair p;
    struct wf_tp_stats s;
    uint64_t a, b;
    pair_joined(&p, SIM, &a, &b);
    cr_assert_eq(rig_stream(&p.a, a, 1, true), WEFT_OK);
    rig_bulk(&p.b, b, 1, 4, 100000);
    cr_assert_eq(rig_wait(&p.a, RIG_BULKS, 4), WEFT_OK);
    wf_net_hub_faults(p.hub, &(wf_net_faults){.delay_min = 5 * WEFT_MS, .delay_max = 5 * WEFT_MS});
    wf_sim_run_until(p.sim, wf_sim_now(p.sim) + 60 * WEFT_SEC);
    rig_stats(&p.a, a, &s);
    cr_expect(s.wire_in > 400000 && s.wire_in < 410000 && s.frames_in > 4);
    cr_expect_eq(s.rtt_ns, 10 * WEFT_MS);
    rig_close(&p.a, a, WEFT_OK);
    cr_assert_eq(rig_wait(&p.b, RIG_DOWNS, 1), WEFT_OK);
    wf_sim_run_until(p.sim, wf_sim_now(p.sim) + 5 * WEFT_SEC);
    rig_stats(&p.a, 0, &s);
    cr_expect(s.wire_in > 400000 && s.connections == 1, "also of connections that have ended");
    pair_down(&p);
}
