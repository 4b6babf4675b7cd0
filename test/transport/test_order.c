/* SPDX-License-Identifier: Apache-2.0
 * test_order.c - which frames of a stream may pass others that wait for credit. In the simulator.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <string.h>

#include "net.h"
#include "rig.h"
#include "sim.h"

static wf_sim *sim;
static weft_rt *rt;
static wf_net_hub *hub;
static struct rig_node a, b; /* a has dialled b */
static uint64_t conn;        /* of a */

static void node_up(struct rig_node *n, unsigned identity, const char *host, const char *listen)
{
    wf_net *net;
    rig_start(n, rt, &(struct rig_options){.identity = identity, .release = true});
    cr_assert_eq(wf_net_mem_create(hub, rt, host, &net), WEFT_OK);
    cr_assert_eq(rig_add(n, "net", net, listen), WEFT_OK);
}

static void setup(void)
{
    cr_assert_eq(wf_sim_create(3, &sim), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(sim, &rt), WEFT_OK);
    cr_assert_eq(wf_net_hub_create(&hub), WEFT_OK);
    node_up(&a, 1, "a", "");
    node_up(&b, 2, "b", "b:1");
    cr_assert_eq(rig_server(&b, "net", true), WEFT_OK);
    cr_assert_eq(rig_dial(&a, "mem:b:1", NULL, &conn), WEFT_OK);
    cr_assert_eq(rig_wait(&b, RIG_UPS, 1), WEFT_OK);
}

static void teardown(void)
{
    rig_stop(&a);
    rig_stop(&b);
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    wf_net_hub_destroy(hub);
    wf_sim_destroy(sim);
}

TestSuite(order, .init = setup, .fini = teardown);

Test(order, done_does_not_pass_what_its_stream_begins_with)
{
    cr_assert_eq(rig_stream(&b, b.log->up[0].conn, 1, true), WEFT_OK);
    rig_send(&a, conn, 1, WF_F_STATE, WEFT_WINDOW_BYTES + 1000); /* a loan is asked for */
    rig_send(&a, conn, 1, WF_F_DONE, 100);                       /* needs none */
    cr_assert_eq(rig_wait(&b, RIG_BULKS, 1), WEFT_OK);
    cr_expect_eq(b.log->count[RIG_FRAMES], 1);
}

Test(order, done_goes_on_when_what_it_waited_for_has_gone)
{
    cr_assert_eq(rig_stream(&b, b.log->up[0].conn, 1, true), WEFT_OK);
    for (uint32_t i = 0; i < 5; i++) {
        rig_send(&a, conn, 1, WF_F_STATE, 3 * WEFT_WINDOW_BYTES);
        rig_send(&a, conn, 1, WF_F_DONE, 100);
    }
    cr_assert_eq(rig_wait(&b, RIG_BULKS, 5), WEFT_OK);
    cr_expect_eq(b.log->count[RIG_FRAMES], 5);
}
