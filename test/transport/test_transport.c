/* SPDX-License-Identifier: Apache-2.0
 * test_transport.c - what the transport manager promises, over TCP, over memory on the
 * machine and over memory in the simulator. Called by: the test runner. */
#include <stdio.h>
#include <stdlib.h>

#include "frame.h"
#include "rig.h"
#include "sim.h"

enum over { TCP, MEM, SIM, OVERS };
static const char *const over_name[] = {"tcp", "mem", "sim"};

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
    if (over != TCP) cr_assert_eq(wf_net_hub_create(&p->hub), WEFT_OK);
    rig_start(&p->a, p->rt, &a);
    rig_start(&p->b, p->rt, &b);
    cr_assert_eq(rig_add(&p->a, "net", net_of(p, "a"), over == TCP ? "127.0.0.1:0" : "a:0"),
                 WEFT_OK);
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
