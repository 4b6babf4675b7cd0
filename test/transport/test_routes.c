/* SPDX-License-Identifier: Apache-2.0
 * test_routes.c - several transports of one type: who dials, what is told, what is removed.
 * Called by: the test runner. */
#include <string.h>

#include "rig.h"

static weft_rt *rt;
static struct rig_node a, b;

static void setup(void)
{
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    rig_start(&a, rt, &(struct rig_options){.identity = 1, .release = true});
    rig_start(&b, rt, &(struct rig_options){.identity = 2, .release = true});
}

static void teardown(void)
{
    rig_stop(&b);
    rig_stop(&a);
    cr_assert_eq(weft_rt_stop(rt, weft_rt_after(rt, 10 * WEFT_SEC)), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}

TestSuite(routes, .init = setup, .fini = teardown);

static void add(struct rig_node *n, const char *name, const char *listen)
{
    wf_net *net = NULL;
    cr_assert_eq(wf_net_tcp_create(&net), WEFT_OK);
    cr_assert_eq(rig_add(n, name, net, listen), WEFT_OK);
}

Test(routes, of_two_of_one_type_the_first_by_name_dials_and_both_are_told)
{
    char one[WEFT_ADDRESS_BYTES_MAX];
    add(&a, "net", "127.0.0.1:0");
    cr_assert_eq(rig_server(&a, "net", true), WEFT_OK);
    rig_address(&a, one);
    add(&a, "before", "127.0.0.1:0");
    cr_assert_eq(rig_server(&a, "before", true), WEFT_OK);
    add(&b, "net", "");
    add(&b, "b", "");
    add(&b, "after", "");
    cr_assert_eq(rig_dial(&b, one, NULL, NULL), WEFT_OK);
    cr_assert_eq(rig_wait(&b, RIG_UPS, 1), WEFT_OK);
    const struct wf_tp_up *up = &b.log->up[0];
    cr_expect_str_eq(up->transport, "after", "of after, b and net");
    cr_assert_eq(up->listens_count, 2);
    cr_expect_str_eq(up->listens[1], one, "by the names of their transports");
    cr_expect_str_neq(up->listens[0], one);
}

Test(routes, a_removed_one_leaves_its_place_to_the_next)
{
    char address[WEFT_ADDRESS_BYTES_MAX];
    add(&a, "net", "127.0.0.1:0");
    cr_assert_eq(rig_server(&a, "net", true), WEFT_OK);
    rig_address(&a, address);
    add(&b, "1", "");
    add(&b, "2", "");
    add(&b, "3", "");
    struct wf_tp_remove *req = wf_tp_new(&wf_tp_remove_kind);
    memcpy(req->name, "1", 2);
    weft_request *out = NULL;
    cr_assert_eq(weft_call(b.transport, &req->req, WEFT_NEVER, &out, NULL), WEFT_OK);
    weft_drop(&out->msg);
    cr_assert_eq(rig_dial(&b, address, NULL, NULL), WEFT_OK);
    cr_assert_eq(rig_wait(&b, RIG_UPS, 1), WEFT_OK);
    cr_expect_str_eq(b.log->up[0].transport, "2");
}
