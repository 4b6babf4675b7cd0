/* SPDX-License-Identifier: Apache-2.0
 * test_plan.c - links, kills, histograms and control frames of the harness.
 * Called by: meson test. May touch: memory, a socket pair. Never: nodes. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "hist.h"
#include "kit.h"
#include "plan.h"

static struct plan plan;

static void make(uint32_t nodes, enum topology topology)
{
    plan_free(&plan);
    plan_make(&plan, nodes, topology, 0, 0, 1);
    for (uint32_t i = 0; i < plan.edges_count; i++)
        cr_expect_gt(plan.edges[i].dialer, plan.edges[i].acceptor, "the later node dials");
}

Test(plan, each_topology_has_its_links)
{
    make(5, TOPOLOGY_CHAIN);
    cr_expect_eq(plan.edges_count, 4u);
    cr_expect_eq(plan.hops[0][4], 4);
    cr_expect(plan_is_tree(&plan));
    make(5, TOPOLOGY_RING);
    cr_expect_eq(plan.edges_count, 5u);
    cr_expect_eq(plan.hops[0][4], 1);
    cr_expect_eq(plan.hops[0][2], 2);
    cr_expect_not(plan_is_tree(&plan));
    make(5, TOPOLOGY_STAR);
    cr_expect_eq(plan.edges_count, 4u);
    cr_expect_eq(plan.hops[1][4], 2);
    cr_expect(plan_is_tree(&plan));
    make(5, TOPOLOGY_MESH);
    cr_expect_eq(plan.edges_count, 10u);
    cr_expect_eq(plan.hops_max, 1u);
    make(2, TOPOLOGY_RING);
    cr_expect_eq(plan.edges_count, 1u, "two nodes have one link, not two");
    plan_free(&plan);
}

Test(plan, kills_follow_from_the_seed_and_stay_between_10_and_90_percent)
{
    struct plan again;
    uint32_t hit[3] = {0};
    plan_make(&plan, 3, TOPOLOGY_CHAIN, 200, 0, 42);
    plan_make(&again, 3, TOPOLOGY_CHAIN, 200, 0, 42);
    for (uint32_t i = 0; i < 200; i++) {
        cr_expect_eq(plan.kills[i].victim, again.kills[i].victim);
        cr_expect_eq(plan.kills[i].permille, again.kills[i].permille);
        cr_expect(plan.kills[i].permille >= 100 && plan.kills[i].permille <= 900);
        cr_assert_lt(plan.kills[i].victim, 3u);
        hit[plan.kills[i].victim]++;
    }
    cr_expect(hit[0] > 0 && hit[1] > 0 && hit[2] > 0, "every node has its turn");
    plan_free(&plan);
    plan_make(&plan, 3, TOPOLOGY_CHAIN, 200, 0, 43);
    bool differs = false;
    for (uint32_t i = 0; i < 200; i++)
        differs = differs || plan.kills[i].permille != again.kills[i].permille;
    cr_expect(differs, "another seed draws other kills");
    plan_free(&plan);
    plan_free(&again);
}

Test(hist, percentiles_are_at_most_two_percent_above_the_sample)
{
    static struct hist h;
    for (uint64_t i = 1; i <= 10000; i++) hist_add(&h, i * 1000);
    cr_expect_eq(h.count, 10000u);
    cr_expect_eq(h.min, 1000u);
    cr_expect_eq(h.max, 10000000u);
    const double shares[] = {0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < 4; i++) {
        double exact = shares[i] * 1e7, got = (double)hist_percentile(&h, shares[i]);
        cr_expect(got >= exact && got <= exact * 1.02, "%f: %f of %f", shares[i], got, exact);
    }
    cr_expect_eq(hist_percentile(&h, 1.0), 10000000u, "the maximum is exact");
}

Test(hist, takes_the_smallest_and_the_largest)
{
    static struct hist h, sum;
    cr_expect_eq(hist_percentile(&h, 0.5), 0u, "no sample, no value");
    hist_add(&h, 0);
    hist_add(&h, UINT64_MAX);
    hist_merge(&sum, &h);
    cr_expect_eq(hist_percentile(&sum, 0.5), 0u);
    cr_expect_eq(hist_percentile(&sum, 1.0), UINT64_MAX);
}

Test(control, frames_arrive_whole_however_they_are_cut)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct control_op op = {.origin = CONTROL_HISTORY, .count = 2, .first = 7}, got;
    weft_id ids[2] = {{{1}}, {{2}}};
    cr_assert(control_send(pair[0], CONTROL_ACK, &op, sizeof op, ids, sizeof ids));
    cr_assert(control_send(pair[0], CONTROL_DONE, NULL, 0, NULL, 0));
    uint8_t bytes[512];
    ssize_t len = recv(pair[1], bytes, sizeof bytes, 0);
    struct control_in in = {0};
    struct control_frame frame;
    int frames = 0;
    for (ssize_t i = 0; i < len; i++) { /* one byte after the other */
        cr_assert_eq(send(pair[0], bytes + i, 1, 0), 1);
        cr_assert_eq(control_fill(&in, pair[1], true), 1);
        while (control_next(&in, &frame)) {
            if (frames++ == 0) {
                cr_assert_eq(frame.type, CONTROL_ACK);
                cr_assert_eq(frame.len, sizeof op + sizeof ids);
                memcpy(&got, frame.body, sizeof got);
                cr_assert_eq(got.first, 7u);
            } else {
                cr_assert_eq(frame.type, CONTROL_DONE);
            }
        }
    }
    cr_assert_eq(frames, 2);
    close(pair[0]);
    cr_assert_eq(control_fill(&in, pair[1], true), 0, "the end is seen");
    close(pair[1]);
    control_fini(&in);
}

Test(kit, hexadecimal_is_read_strictly)
{
    uint8_t bytes[2];
    char text[5];
    cr_assert(kit_unhex("0aff", 2, bytes));
    kit_hex(bytes, 2, text);
    cr_assert_str_eq(text, "0aff");
    cr_assert_not(kit_unhex("0aF0", 2, bytes));
    cr_assert_not(kit_unhex("0a", 2, bytes), "too short");
}
