/* SPDX-License-Identifier: Apache-2.0
 * test_penalties.c - keys that broke the rules: who counts as one, how long it is refused, in a
 * room of its own and between whole nodes in the simulator.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "frame.h"
#include "peers.h"
#include "penalties.h"
#include "raw.h"
#include "wire.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)
#define BEGIN (1000 * WEFT_SEC) /* the clock stands somewhere */

static weft_key key_of(uint32_t number)
{
    weft_key key = {{0}};
    for (unsigned i = 0; i < 4; i++) key.bytes[i] = key.bytes[28 + i] = (uint8_t)(number >> 8 * i);
    return key;
}

static weft_ns left(struct wf_penalties *all, uint32_t number, weft_ns now)
{
    weft_key key = key_of(number);
    return wf_penalties_left(all, &key, now);
}

static bool note(struct wf_penalties *all, uint32_t number, weft_ns now)
{
    weft_key key = key_of(number);
    return wf_penalties_note(all, &key, now);
}

/* -- How long ---------------------------------------------------------------------------- */

Test(penalties, the_first_offence_is_only_remembered_and_each_further_one_doubles_the_time)
{
    struct wf_penalties *all = wf_penalties_create();
    const weft_ns seconds[] = {0, 1, 2, 4, 8, 16, 32, 64, 64, 64};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        weft_ns now = BEGIN + i * 100 * WEFT_SEC;
        cr_assert(note(all, 7, now));
        cr_expect_eq(left(all, 7, now), seconds[i] * WEFT_SEC, "offence %zu", i + 1);
        cr_expect_eq(left(all, 7, now + seconds[i] * WEFT_SEC), 0, "and then it may come again");
        if (seconds[i] > 0) cr_expect_eq(left(all, 7, now + seconds[i] * WEFT_SEC - 1), 1);
        cr_expect_eq(left(all, 8, now), 0, "nobody else");
    }
    wf_penalties_destroy(all);
}

Test(penalties, are_forgotten_after_so_long_without_an_offence)
{
    struct wf_penalties *all = wf_penalties_create();
    weft_ns now = BEGIN;
    for (unsigned i = 0; i < 3; i++) cr_assert(note(all, 7, now));
    now += WEFT_PENALTY_MEMORY_NS - 1;
    cr_assert(note(all, 7, now));
    cr_expect_eq(left(all, 7, now), 4 * WEFT_SEC, "it is still remembered");
    now += WEFT_PENALTY_MEMORY_NS;
    cr_assert(note(all, 7, now));
    cr_expect_eq(left(all, 7, now), 0, "it is as if it were the first");
    wf_penalties_destroy(all);
}

/* -- How many ---------------------------------------------------------------------------- */

Test(penalties, are_kept_of_so_many_keys_and_the_one_that_was_good_for_longest_goes)
{
    struct wf_penalties *all = wf_penalties_create();
    for (uint32_t i = 0; i < WEFT_PENALTIES_MAX; i++)
        for (unsigned n = 0; n < 8; n++) cr_assert(note(all, i * 7919u, BEGIN + i));
    weft_ns now = BEGIN + WEFT_PENALTIES_MAX;
    cr_assert(note(all, 0, now)); /* the first one again: it is not the oldest any more */
    for (unsigned n = 0; n < 2; n++) cr_assert(note(all, 1, now));
    cr_expect_eq(left(all, 7919u, now), 0, "the oldest has gone");
    cr_expect_gt(left(all, 0, now), 0);
    cr_expect_eq(left(all, 1, now), WEFT_SEC);
    uint32_t kept = 0;
    for (uint32_t i = 2; i < WEFT_PENALTIES_MAX; i++) kept += left(all, i * 7919u, now) > 0;
    cr_expect_eq(kept, WEFT_PENALTIES_MAX - 2, "all others stay");
    wf_penalties_destroy(all);
}

/* Against an array that nobody orders. */
Test(penalties, agree_with_a_list_of_all_that_happened)
{
    enum { KEYS = 50, STEPS = 20000 };
    struct wf_penalties *all = wf_penalties_create();
    uint32_t offences[KEYS] = {0}, dice = 12345;
    weft_ns last[KEYS] = {0}, until[KEYS] = {0}, now = BEGIN;
    for (uint32_t i = 0; i < STEPS; i++) {
        dice = dice * 1664525u + 1013904223u;
        uint32_t k = (dice >> 16) % KEYS;
        now += (dice >> 8) % (20 * WEFT_SEC);
        if ((dice >> 28) % 4 == 0) {
            if (now - last[k] >= WEFT_PENALTY_MEMORY_NS) offences[k] = 0;
            offences[k]++;
            uint32_t e = offences[k] < 2 ? 0 : offences[k] > 8 ? 6 : offences[k] - 2;
            last[k] = now;
            until[k] = offences[k] < 2 ? 0 : now + (WEFT_SEC << e);
            cr_assert(note(all, k * 104729u, now));
        }
        cr_assert_eq(left(all, k * 104729u, now), until[k] > now ? until[k] - now : 0, "step %u",
                     i);
    }
    wf_penalties_destroy(all);
}

Test(penalties, short_memory_forgets_the_offence_and_nothing_else)
{
    struct wf_penalties *all = NULL;
    for (uint64_t nth = 1; all == NULL; nth++) {
        cr_assert_lt(nth, 10);
        (void)wf_alloc_fail_at(nth, 0);
        all = wf_penalties_create();
        (void)wf_alloc_fail_at(0, 0);
    }
    (void)wf_alloc_fail_at(1, 0);
    cr_expect_not(note(all, 1, BEGIN));
    (void)wf_alloc_fail_at(0, 0);
    for (uint32_t i = 1; i <= 16; i++) cr_assert(note(all, i, BEGIN) && note(all, i, BEGIN));
    (void)wf_alloc_fail_at(1, 0);
    cr_expect_not(note(all, 17, BEGIN), "there is no room for it");
    (void)wf_alloc_fail_at(0, 0);
    for (uint32_t i = 1; i <= 16; i++) cr_expect_eq(left(all, i, BEGIN), WEFT_SEC);
    cr_expect_eq(left(all, 17, BEGIN), 0);
    wf_penalties_destroy(all);
    wf_penalties_destroy(NULL);
}

/* -- What is one ------------------------------------------------------------------------- */

Test(penalties, only_what_no_good_peer_does_is_an_offence)
{
    static const weft_err offences[] = {WEFT_PROTOCOL,      WEFT_SYNTAX,        WEFT_LIMIT,
                                        WEFT_NOT_CANONICAL, WEFT_BAD_ID,        WEFT_AUTH,
                                        WEFT_BAD_ENTRY,     WEFT_BAD_SIGNATURE, WEFT_FORBIDDEN};
    static const weft_err all[] = {
        WEFT_OK,
#define X(name, value, text) name,
        WEFT_ERR_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool is = false;
        for (size_t k = 0; k < sizeof offences / sizeof *offences; k++) is |= offences[k] == all[i];
        cr_expect_eq(wf_penalties_is_offence(all[i]), is, "%s", weft_errname(all[i]));
    }
}

/* -- One who does as it likes, and a node ------------------------------------------------ */

#define VICTIM 1u
#define PEER 700u

struct play {
    struct world *w;
    weft_rt *rt;
    struct raw raw;
};

static void play_up(struct play *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->w = world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
    cr_assert_eq(wf_sim_rt_create(p->w->sim, &p->rt), WEFT_OK);
}

static void play_down(struct play *p)
{
    cr_assert_eq(weft_rt_stop(p->rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(p->rt), WEFT_OK);
    world_destroy(p->w);
}

/* Always from the same address. False: it was refused without a word. */
static bool comes(struct play *p, unsigned identity)
{
    struct wf_bytes b = {0};
    struct wf_hello h = {.ver_min = 1, .ver_max = 1, .caps = WF_CAP_ACCESS};
    wf_net *net;
    cr_assert_eq(wf_net_mem_create(p->w->hub->hub, p->rt, "x", &net), WEFT_OK);
    raw_start(&p->raw, p->rt, net, "n1:1", identity, RAW_SECURE);
    world_run(p->w, 50 * WEFT_MS);
    cr_assert_eq(wf_frame_put_hello(&b, &h), WEFT_OK);
    if (!p->raw.seen.ended) raw_frames(&p->raw, wf_bytes_front(&b), wf_bytes_len(&b));
    wf_bytes_fini(&b);
    world_run(p->w, 50 * WEFT_MS);
    cr_assert_eq(p->raw.seen.hello, !p->raw.seen.ended);
    return p->raw.seen.hello;
}

static void goes(struct play *p)
{
    raw_stop(&p->raw, p->rt);
    world_run(p->w, 50 * WEFT_MS);
}

/* A frame that may not come there. */
static void offend(struct play *p)
{
    static const uint8_t malformed[] = {0, 0, 0, 3, 0x92, WF_F_OPEN, 1};
    raw_frames(&p->raw, malformed, sizeof malformed);
    world_run(p->w, 50 * WEFT_MS);
    cr_assert_eq(p->raw.seen.close_code, WF_W_FRAME);
    goes(p);
}

static weft_node_stats stats(struct play *p)
{
    weft_node_stats s;
    cr_assert_eq(weft_node_stats_get(p->w->nodes[VICTIM].node, &s), WEFT_OK);
    return s;
}

Test(penalties, a_key_that_breaks_the_rules_is_refused_and_comes_back)
{
    struct play p;
    play_up(&p, 1);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(comes(&p, PEER), "%u", i);
        offend(&p);
    }
    cr_expect_eq(stats(&p).offences, 2);
    cr_expect_eq(stats(&p).penalised, 0);
    cr_expect_not(comes(&p, PEER), "the second time it was");
    goes(&p);
    cr_expect_eq(stats(&p).penalised, 1);
    cr_assert(comes(&p, PEER + 1), "its address is anybody's");
    goes(&p);
    world_run(p.w, WEFT_SEC);
    cr_assert(comes(&p, PEER), "its time has passed");
    offend(&p);
    world_run(p.w, WEFT_SEC);
    cr_expect_not(comes(&p, PEER), "and now it is longer");
    goes(&p);
    world_run(p.w, WEFT_SEC);
    cr_expect(comes(&p, PEER));
    goes(&p);
    cr_expect_eq(stats(&p).offences, 3);
    cr_assert_eq(world_commit(p.w, 0), WEFT_OK);
    cr_expect(world_converges(p.w, WEFT_SEC), "the others are served all the time");
    play_down(&p);
}

Test(penalties, a_key_that_says_no_hello_is_one_that_breaks_the_rules)
{
    static const uint8_t ping[] = {0, 0, 0, 13, 0x93, 17, 0, 0xc4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
    struct play p;
    play_up(&p, 2);
    for (unsigned i = 0; i < 2; i++) {
        wf_net *net;
        cr_assert_eq(wf_net_mem_create(p.w->hub->hub, p.rt, "x", &net), WEFT_OK);
        raw_start(&p.raw, p.rt, net, "n1:1", PEER, RAW_SECURE);
        world_run(p.w, 50 * WEFT_MS);
        raw_frames(&p.raw, ping, sizeof ping);
        world_run(p.w, 50 * WEFT_MS);
        cr_expect_eq(p.raw.seen.close_code, WF_W_FRAME);
        goes(&p);
    }
    cr_expect_eq(stats(&p).offences, 2);
    cr_expect_not(comes(&p, PEER));
    goes(&p);
    play_down(&p);
}

Test(penalties, what_somebody_in_the_middle_or_a_slow_network_does_is_no_offence)
{
    struct play p;
    uint8_t noise[64] = {0, 62, 1, 2, 3};
    static const uint8_t half[] = {0, 0, 0, 90, 0x95, WF_F_OPEN, 1};
    static const uint8_t later[] = {0, 0, 0, 4, 0x92, 0xcc, 200, 1}; /* a type that is skipped */
    play_up(&p, 3);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert(comes(&p, PEER), "%u", i);
        if (i == 0) raw_wire(&p.raw, noise, sizeof noise); /* does not decrypt */
        if (i == 1) raw_frames(&p.raw, half, sizeof half); /* and no more */
        if (i == 2) raw_end(&p.raw);                       /* without CLOSE */
        if (i == 3) raw_frames(&p.raw, later, sizeof later);
        world_run(p.w, 40 * WEFT_SEC);
        if (i < 2) cr_expect(p.raw.seen.ended, "%u", i);
        goes(&p);
    }
    cr_expect_eq(stats(&p).offences, 0);
    play_down(&p);
}

/* -- Between nodes ----------------------------------------------------------------------- */

static void penalise(struct world *w, uint32_t at, uint32_t who, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        wf_peers_on_breach(&w->nodes[at].node->table, &w->nodes[who].key, WEFT_BAD_SIGNATURE,
                           wf_sim_now(w->sim));
}

Test(penalties, a_peer_is_refused_in_both_directions_and_an_operator_hears_why)
{
    struct world *w = world_create(4, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_node *node = w->nodes[VICTIM].node;
    const weft_key *peer = &w->nodes[0].key;
    weft_peer_info info;
    weft_node_stats s;
    weft_key proven;
    cr_assert_eq(weft_peer_get(node, peer, CALL, &info), WEFT_OK);
    cr_expect_eq(info.penalty_ns, 0);
    penalise(w, VICTIM, 0, 7); /* 32 s */
    world_kill(w, 0);
    world_start(w, 0);
    cr_assert_eq(weft_peer_get(node, peer, CALL, &info), WEFT_OK);
    cr_expect(info.penalty_ns > 30 * WEFT_SEC && info.penalty_ns <= 32 * WEFT_SEC);
    cr_expect_eq(weft_connect(node, w->nodes[0].listen, peer, CALL, &proven), WEFT_PENALISED);
    cr_expect_eq(weft_sync_tree(node, peer, &w->tree, CALL, NULL), WEFT_PENALISED);
    cr_expect_eq(weft_connect(w->nodes[0].node, w->nodes[VICTIM].listen, NULL, CALL, &proven),
                 WEFT_AUTH, "who is refused hears nothing");
    world_run(w, 20 * WEFT_SEC);
    cr_assert_eq(weft_node_stats_get(node, &s), WEFT_OK);
    cr_expect_eq(s.connections, 0);
    cr_expect_geq(s.penalised, 3);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect(world_converges(w, 200 * WEFT_SEC), "it comes back by itself");
    cr_assert_eq(weft_peer_get(node, peer, CALL, &info), WEFT_OK);
    cr_expect_eq(info.penalty_ns, 0);
    world_destroy(w);
}

Test(penalties, end_with_the_process)
{
    struct world *w = world_create(5, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_peer_info info;
    penalise(w, VICTIM, 0, 8);
    world_kill(w, VICTIM);
    world_start(w, VICTIM);
    cr_assert_eq(weft_peer_get(w->nodes[VICTIM].node, &w->nodes[0].key, CALL, &info), WEFT_OK);
    cr_expect_eq(info.penalty_ns, 0);
    cr_assert_eq(world_commit(w, 0), WEFT_OK);
    cr_expect(world_converges(w, 10 * WEFT_SEC));
    world_destroy(w);
}

/* The other word against a key stays what it is: relations are dropped for that one alone. */
Test(penalties, an_inactive_peer_with_a_penalty_is_not_taken_for_a_blocked_one)
{
    struct world *w = world_create(6, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_node *node = w->nodes[VICTIM].node;
    weft_node_stats s;
    penalise(w, VICTIM, 0, 8);
    cr_assert_eq(weft_peer_set_status(node, &w->nodes[0].key, WEFT_PEER_INACTIVE, CALL), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_assert_eq(weft_node_stats_get(node, &s), WEFT_OK);
    cr_expect_eq(s.connections, 1, "what is up stays");
    cr_assert_eq(weft_peer_remove(node, &w->nodes[0].key, CALL), WEFT_OK);
    world_run(w, WEFT_SEC);
    cr_assert_eq(weft_node_stats_get(node, &s), WEFT_OK);
    cr_expect_eq(s.connections, 0);
    world_destroy(w);
}
