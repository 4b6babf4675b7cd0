/* SPDX-License-Identifier: Apache-2.0
 * test_credit.c - the arithmetic of windows and loans, alone and under random traffic.
 * Called by: the test runner. */
#include <stdlib.h>
#include <string.h>

#include "credit.h"
#include "rig.h"

#define PEER WEFT_ACCOUNT_PEER_BYTES
#define NODE WEFT_ACCOUNT_NODE_BYTES

static void fresh(struct wf_credit_pool *pool, struct wf_credit_in *in)
{
    *pool = (struct wf_credit_pool){.limit = NODE};
    wf_credit_in_init(in, pool, PEER);
}

Test(credit, the_loan_is_used_before_the_window)
{
    struct wf_credit_out out = {.window = WEFT_WINDOW_BYTES};
    struct wf_credit_out_stream s = {.loan = 100};
    wf_credit_out_take(&out, &s, 150);
    cr_expect_eq(s.loan, 0);
    cr_expect_eq(out.window, WEFT_WINDOW_BYTES - 50);
}

Test(credit, more_than_granted_is_refused)
{
    struct wf_credit_pool pool;
    struct wf_credit_in in;
    struct wf_credit_in_stream s = {0};
    fresh(&pool, &in);
    cr_expect(wf_credit_in_take(&in, &s, WEFT_WINDOW_BYTES));
    cr_expect(!wf_credit_in_take(&in, &s, 1));
}

Test(credit, giving_back_more_than_was_lent_is_refused)
{
    struct wf_credit_pool pool;
    struct wf_credit_in in;
    struct wf_credit_in_stream s = {0};
    fresh(&pool, &in);
    cr_expect(!wf_credit_in_ask(&in, &s, 0, 1));
    cr_expect(!wf_credit_in_ask(&in, &s, WF_CREDIT_NEED_MAX + 1, 0));
    cr_expect(wf_credit_in_ask(&in, &s, WF_CREDIT_NEED_MAX, 0));
    cr_expect(!wf_credit_in_ask(&in, &s, 1, 0), "a second ask");
}

Test(credit, credit_that_nobody_asked_for_is_refused)
{
    struct wf_credit_out out = {.window = WEFT_WINDOW_BYTES};
    struct wf_credit_out_stream s = {0};
    cr_expect(!wf_credit_out_credit(&out, &s, 10));
    cr_expect(!wf_credit_out_credit(&out, NULL, 1));
}

Test(credit, the_window_returns_at_half_or_at_once_for_one_who_waits)
{
    struct wf_credit_pool pool;
    struct wf_credit_in in;
    struct wf_credit_in_stream s = {0};
    fresh(&pool, &in);
    cr_assert(wf_credit_in_take(&in, &s, WEFT_WINDOW_BYTES));
    wf_credit_in_release(&in, &s, WEFT_WINDOW_BYTES / 2 - 1);
    cr_expect_eq(wf_credit_in_window_back(&in), 0);
    wf_credit_in_release(&in, &s, 1);
    cr_expect_eq(wf_credit_in_window_back(&in), WEFT_WINDOW_BYTES / 2);
    wf_credit_in_release(&in, &s, 1);
    cr_expect_eq(wf_credit_in_window_back(&in), 0);
    cr_assert(wf_credit_in_ask(&in, &s, 10, 0));
    cr_expect_eq(wf_credit_in_window_back(&in), 1);
}

Test(credit, a_full_peer_waits_and_others_go_on)
{
    struct wf_credit_pool pool;
    struct wf_credit_in in[2], *got;
    struct wf_credit_in_stream s[2][6];
    uint64_t bytes;
    memset(s, 0, sizeof s);
    fresh(&pool, &in[0]);
    wf_credit_in_init(&in[1], &pool, PEER);
    for (unsigned i = 0; i < 6; i++)
        cr_assert(wf_credit_in_ask(&in[0], &s[0][i], WEFT_LOAN_BYTES, 0));
    unsigned granted = 0;
    while (wf_credit_pool_grant(&pool, &got, &bytes) != NULL) granted++;
    cr_expect_eq(granted, 4, "4 MiB for one peer");
    cr_assert(wf_credit_in_ask(&in[1], &s[1][0], 1000, 0));
    cr_expect_eq(wf_credit_pool_grant(&pool, &got, &bytes), &s[1][0]);
    cr_assert(wf_credit_in_take(&in[0], &s[0][0], WEFT_LOAN_BYTES));
    wf_credit_in_release(&in[0], &s[0][0], WEFT_LOAN_BYTES);
    cr_expect_eq(wf_credit_pool_grant(&pool, &got, &bytes), &s[0][4], "first come, first served");
}

Test(credit, a_full_node_serves_the_first_that_waits_first)
{
    enum { PEERS = 17 };
    struct wf_credit_pool pool = {.limit = NODE};
    struct wf_credit_in in[PEERS], *got;
    struct wf_credit_in_stream s[PEERS][4];
    uint64_t bytes;
    unsigned granted = 0;
    memset(s, 0, sizeof s);
    for (unsigned p = 0; p < PEERS; p++) {
        wf_credit_in_init(&in[p], &pool, PEER);
        for (unsigned i = 0; i < 4 && p < 16; i++)
            cr_assert(wf_credit_in_ask(&in[p], &s[p][i], WEFT_LOAN_BYTES, 0));
    }
    while (wf_credit_pool_grant(&pool, &got, &bytes) != NULL) granted++;
    cr_assert_eq(granted, 64, "64 MiB in all");
    cr_assert(wf_credit_in_ask(&in[16], &s[16][0], WEFT_LOAN_BYTES, 0));
    cr_expect_null(wf_credit_pool_grant(&pool, &got, &bytes));
    cr_assert(wf_credit_in_ask(&in[3], &s[3][3], 5, WEFT_LOAN_BYTES / 2)); /* not enough yet */
    cr_expect_null(wf_credit_pool_grant(&pool, &got, &bytes), "a small one may not pass the first");
    cr_assert(wf_credit_in_ask(&in[2], &s[2][3], 0, WEFT_LOAN_BYTES / 2));
    cr_expect_eq(wf_credit_pool_grant(&pool, &got, &bytes), &s[16][0]);
}

Test(credit, unknown_streams_share_a_small_part_and_known_ones_the_rest)
{
    enum {
        MANY = WEFT_OPENING_NODE_BYTES / WEFT_OPENING_PEER_BYTES + 1,
        EACH = WEFT_OPENING_PEER_BYTES / WEFT_OPENING_STREAM_BYTES + 1
    };
    static struct wf_credit_in in[MANY + 1];
    static struct wf_credit_in_stream s[MANY][EACH];
    struct wf_credit_in_stream known = {0};
    struct wf_credit_pool pool = {.limit = NODE};
    struct wf_credit_in *got;
    uint64_t bytes;
    memset(s, 0, sizeof s);
    for (unsigned p = 0; p < MANY; p++) {
        wf_credit_in_init(&in[p], &pool, PEER);
        for (unsigned i = 0; i < EACH; i++) {
            s[p][i].unknown = true;
            cr_assert(!wf_credit_in_ask(&in[p], &s[p][i], WEFT_OPENING_STREAM_BYTES + 1, 0));
            cr_assert(wf_credit_in_ask(&in[p], &s[p][i], WEFT_OPENING_STREAM_BYTES, 0));
        }
    }
    while (wf_credit_pool_grant(&pool, &got, &bytes) != NULL)
        cr_assert_leq(got->lent, WEFT_OPENING_PEER_BYTES);
    cr_expect_eq(pool.lent, WEFT_OPENING_NODE_BYTES);
    wf_credit_in_init(&in[MANY], &pool, PEER);
    cr_assert(wf_credit_in_ask(&in[MANY], &known, WEFT_LOAN_BYTES, 0));
    cr_expect_eq(wf_credit_pool_grant(&pool, &got, &bytes), &known, "it does not wait for them");
    /* One uses its loan, and one becomes known: what they had is there for the next two. */
    cr_assert(wf_credit_in_take(&in[0], &s[0][0], WEFT_OPENING_STREAM_BYTES));
    wf_credit_in_release(&in[0], &s[0][0], WEFT_OPENING_STREAM_BYTES);
    wf_credit_in_known(&in[1], &s[1][0]);
    unsigned more = 0;
    while (wf_credit_pool_grant(&pool, &got, &bytes) != NULL) more++;
    cr_expect_eq(more, 2);
    for (unsigned p = 0; p < MANY; p++) {
        for (unsigned i = 0; i < EACH; i++) wf_credit_in_stream_end(&in[p], &s[p][i]);
        cr_expect_eq(wf_credit_in_end(&in[p]), 0);
    }
    cr_expect_eq(pool.opening, 0);
    cr_expect_eq(pool.lent, WEFT_LOAN_BYTES);
}

/* -- Random traffic -------------------------------------------------------------------------- */

/* Both ends of several connections with queues of messages between them: nobody may ever
 * exceed, nobody may wait for ever. */
enum { PEERS = 6, STREAMS = 5, FRAMES = 60, QUEUE = 4096 };

struct note { /* on the wire */
    bool blocked, credit, loan;
    unsigned stream;
    uint64_t a, b;
};
struct wire {
    struct note notes[QUEUE];
    unsigned head, tail;
};
struct peer {
    struct wf_credit_out out;
    struct wf_credit_out_stream so[STREAMS];
    struct wf_credit_in in;
    struct wf_credit_in_stream si[STREAMS];
    uint32_t frames[STREAMS][FRAMES];
    unsigned sent[STREAMS];
    uint64_t unreleased[STREAMS];
    struct wire there, back;
};
static struct peer peers[PEERS];
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static void put(struct wire *w, struct note n)
{
    w->notes[w->tail++ % QUEUE] = n;
    cr_assert(w->tail - w->head < QUEUE);
}

static void try_send(struct peer *p, unsigned s)
{
    uint64_t need, back, queued = 0;
    if (p->sent[s] == FRAMES) {
        if (wf_credit_out_give_back(&p->so[s], &back))
            put(&p->there, (struct note){.blocked = true, .stream = s, .b = back});
        return;
    }
    for (unsigned i = p->sent[s]; i < FRAMES && i < p->sent[s] + 3; i++) queued += p->frames[s][i];
    uint64_t head = p->frames[s][p->sent[s]];
    if (wf_credit_out_fits(&p->out, &p->so[s], head)) {
        wf_credit_out_take(&p->out, &p->so[s], head);
        put(&p->there, (struct note){.stream = s, .a = head});
        p->sent[s]++;
        queued -= head;
        head = p->sent[s] < FRAMES ? p->frames[s][p->sent[s]] : 0;
    }
    if (head > 0 && queued >= head &&
        wf_credit_out_ask(&p->out, &p->so[s], head, queued, &need, &back))
        put(&p->there, (struct note){.blocked = true, .stream = s, .a = need, .b = back});
}

static void grants(struct wf_credit_pool *pool)
{
    struct wf_credit_in *in;
    uint64_t bytes;
    struct wf_credit_in_stream *s;
    while ((s = wf_credit_pool_grant(pool, &in, &bytes)) != NULL)
        for (unsigned i = 0; i < PEERS; i++)
            if (in == &peers[i].in)
                put(&peers[i].back, (struct note){.credit = true,
                                                  .loan = true,
                                                  .a = bytes,
                                                  .stream = (unsigned)(s - peers[i].si)});
}

static void window_back(struct peer *p)
{
    uint64_t back = wf_credit_in_window_back(&p->in);
    if (back > 0) put(&p->back, (struct note){.credit = true, .a = back});
}

static void receive(struct wf_credit_pool *pool, struct peer *p)
{
    if (p->there.head == p->there.tail) return;
    struct note n = p->there.notes[p->there.head++ % QUEUE];
    if (n.blocked) {
        cr_assert(wf_credit_in_ask(&p->in, &p->si[n.stream], n.a, n.b), "an honest peer exceeded");
        window_back(p);
        grants(pool);
    } else {
        cr_assert(wf_credit_in_take(&p->in, &p->si[n.stream], n.a), "an honest peer exceeded");
        p->unreleased[n.stream] += n.a;
    }
}

static void release(struct wf_credit_pool *pool, struct peer *p, unsigned s)
{
    uint64_t bytes = p->unreleased[s] == 0 ? 0 : draw(p->unreleased[s]) + 1;
    wf_credit_in_release(&p->in, &p->si[s], bytes);
    p->unreleased[s] -= bytes;
    window_back(p);
    grants(pool);
}

static void hear(struct peer *p)
{
    if (p->back.head == p->back.tail) return;
    struct note n = p->back.notes[p->back.head++ % QUEUE];
    cr_assert(wf_credit_out_credit(&p->out, n.loan ? &p->so[n.stream] : NULL, n.a));
}

static uint32_t frame_size(void)
{
    switch (draw(4)) {
    case 0: return (uint32_t)(1 + draw(200));
    case 1: return (uint32_t)(1 + draw(20000));
    case 2: return (uint32_t)(200000 + draw(100000));
    default: return (uint32_t)(WF_CREDIT_NEED_MAX - draw(3));
    }
}

static void world(uint64_t number, uint64_t limit)
{
    struct wf_credit_pool pool = {.limit = limit};
    unsigned left = PEERS * STREAMS * FRAMES;
    seed = number;
    memset(peers, 0, sizeof peers);
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i].out.window = WEFT_WINDOW_BYTES;
        wf_credit_in_init(&peers[i].in, &pool, PEER);
        for (unsigned s = 0; s < STREAMS; s++)
            for (unsigned f = 0; f < FRAMES; f++) peers[i].frames[s][f] = frame_size();
    }
    for (uint64_t step = 0; left > 0; step++) {
        cr_assert(step < 2000000, "seed %llu: %u frames never went", (unsigned long long)number,
                  left);
        struct peer *p = &peers[draw(PEERS)];
        unsigned s = (unsigned)draw(STREAMS), before = p->sent[s];
        switch (draw(4)) {
        case 0: try_send(p, s); break;
        case 1: receive(&pool, p); break;
        case 2: release(&pool, p, s); break;
        default: hear(p); break;
        }
        left -= p->sent[s] - before;
        cr_assert_leq(p->in.lent, PEER);
        cr_assert_leq(pool.lent, limit);
    }
}

Test(credit, random_traffic_never_exceeds_and_never_sticks)
{
    for (uint64_t n = 1; n <= 12; n++) world(n, NODE);
    for (uint64_t n = 13; n <= 24; n++)
        world(n, PEER); /* a node so small that its peers wait for each other */
}
