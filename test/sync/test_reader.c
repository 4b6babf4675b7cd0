/* SPDX-License-Identifier: Apache-2.0
 * test_reader.c - every plan sends exactly the difference: random pairs of closed sets
 * in every shape, both stores real, the transport a recorder.
 * Called by: meson test. Never: sockets. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

/* -- Checking what was sent --------------------------------------------------------------- */

static void check_mark(const struct pair *p, const uint8_t *has, const wf_mark *mark)
{
    const struct dag *d = p->dag;
    wf_tree_info info = pair_info(p, &p->b);
    wf_arrival at;
    cr_assert_eq(memcmp(mark->epoch, info.epoch, sizeof mark->epoch), 0);
    cr_assert_eq(wf_store_arrival(p->b.store, info.t, mark->seq, &at), WEFT_OK);
    cr_assert_eq(memcmp(at.id.bytes, mark->id8, sizeof mark->id8), 0, "another arrival");
    for (uint32_t i = 0; i < d->count; i++) {
        wf_meta_brief meta;
        if (!p->b.set[i] || has[i]) continue;
        cr_assert_eq(wf_store_meta_brief(p->b.store, &d->ids[i], &meta), WEFT_OK);
        if (meta.seq > mark->seq) continue;
        bool beyond = mark->partial &&
                      (meta.gen > mark->gen ||
                       (meta.gen == mark->gen && weft_id_compare(&d->ids[i], &mark->id) > 0));
        cr_assert(beyond, "a mark covers entry %u, which was not sent", i);
    }
}

static uint32_t copies; /* sent by readers whose walks are cut short */

/* Applies what was recorded to a copy of side a's set: parents first, nothing twice,
 * nothing but b's, every mark true. Returns how many entries came. Only a
 * reader whose walks are cut short may send what is there. */
static uint32_t apply(struct pair *p, uint8_t *has, bool check_marks)
{
    struct recorder *rec = p->recorder;
    const struct dag *d = p->dag;
    for (uint32_t f = 0; f < rec->frames_count; f++) {
        const struct sent_frame *frame = &rec->frames[f];
        for (uint32_t k = 0; k < frame->count; k++) {
            uint32_t at = rec->entries[frame->first + k];
            cr_assert_lt(at, d->count);
            cr_assert(p->b.set[at]);
            cr_assert(!has[at] || p->b.table.walk_entries_max != 0, "entry %u was there", at);
            copies += has[at];
            for (uint32_t i = 0; i < d->parents_count[at]; i++)
                cr_assert(has[d->parents[at][i]], "entry %u came before its parent", at);
            has[at] = 1;
        }
        if (frame->has_mark && check_marks) check_mark(p, has, &frame->mark);
        cr_assert_leq(frame->bytes, WEFT_FRAME_PAYLOAD_BYTES + 1024);
    }
    return rec->entries_count;
}

static void expect_union(struct pair *p, const uint8_t *has)
{
    for (uint32_t i = 0; i < p->dag->count; i++)
        cr_assert_eq(has[i] != 0, p->a.set[i] || p->b.set[i], "entry %u", i);
}

/* -- The two sides of a session ----------------------------------------------------------- */

static struct wf_summary summary(struct pair *p, struct pair_side *side, const weft_key *peer,
                                 bool exact)
{
    struct wf_look *look = wf_look_create(WF_LOOK_SUMMARY);
    look->tree = p->dag->ids[0];
    look->peer = *peer;
    look->exact = exact;
    cr_assert_eq(pair_ask(p, side->table.reader, &look->req), WEFT_OK);
    struct wf_summary s = look->ours;
    weft_drop(&look->req.msg);
    return s;
}

/* As it looks after the wire: short tips unless exact. */
static struct wf_summary over_the_wire(const struct wf_summary *s, bool exact)
{
    struct wf_open out, open = {.stream = 1, .flags = exact ? WF_OPEN_EXACT : 0, .own = *s};
    weft_buf *buf = wf_open_encode(&open);
    cr_assert_eq(wf_open_decode(weft_buf_bytes(buf) + WF_FRAME_HEAD,
                                weft_buf_len(buf) - WF_FRAME_HEAD, &out),
                 WEFT_OK);
    weft_buf_unref(buf);
    return out.own;
}

static struct wf_job *job_for(struct pair *p, enum wf_job_op op, const struct wf_summary *ours,
                              const struct wf_summary *theirs, bool exact)
{
    struct wf_job *job = wf_job_create(op);
    job->conn = 1;
    job->stream = 3;
    job->peer = p->a.key;
    job->tree = p->dag->ids[0];
    job->exact = exact;
    job->cursor = theirs->cursor;
    job->upto_seq = ours->seq;
    memcpy(job->upto_id8, ours->id8, sizeof job->upto_id8);
    memcpy(job->salt, p->recorder->salt, sizeof job->salt);
    job->theirs = *theirs;
    return job;
}

/* Which of b's tips a has (BITS 0), and which of a's b has: the tips of an IDS job. */
static void common_tips(struct pair *p, const struct wf_summary *from_a,
                        const struct wf_summary *from_b, struct wf_summary *out, bool *all)
{
    struct wf_look *look = wf_look_create(WF_LOOK_KNOWN);
    look->tree = p->dag->ids[0];
    look->peer = p->b.key;
    look->theirs = *from_b;
    cr_assert_eq(pair_ask(p, p->a.table.reader, &look->req), WEFT_OK);
    cr_assert_eq(look->bits_count, from_b->tips_count);
    *all = look->all_known;
    *out = *from_a;
    for (uint32_t i = 0; i < from_b->tips_count; i++) {
        size_t used = (size_t)out->tips_count * out->tip_bytes;
        if (!(look->bits[i / 8] >> (i % 8) & 1) || used + out->tip_bytes > sizeof out->tips)
            continue;
        memcpy(out->tips + used, from_b->tips + i * from_b->tip_bytes, out->tip_bytes);
        out->tips_count++;
    }
    weft_drop(&look->req.msg);
}

static uint32_t limits; /* differences that were too large for memory */

/* b serves a. `cursor` (may be NULL) is a's cursor into b. Returns the plan. */
static enum wf_plan serve(struct pair *p, const wf_mark *cursor, bool exact, bool skip_source)
{
    enum wf_job_op op = WF_JOB_CLOSURE;
    struct wf_summary own = summary(p, &p->a, &p->b.key, exact);
    own.has_cursor = cursor != NULL;
    if (cursor != NULL) own.cursor = *cursor;
    struct wf_summary theirs = over_the_wire(&own, exact);
    struct wf_look *look = wf_look_create(WF_LOOK_PLAN);
    look->tree = p->dag->ids[0];
    look->peer = p->a.key;
    look->exact = exact;
    look->theirs = theirs;
    cr_assert_eq(pair_ask(p, p->b.table.reader, &look->req), WEFT_OK);
    enum wf_plan plan = look->plan;
    struct wf_summary ours = look->ours;
    weft_drop(&look->req.msg);
    p->recorder->exact = exact;
    if (plan == WF_PLAN_EQUAL) return plan;
    if (plan == WF_PLAN_CURSOR) op = WF_JOB_CURSOR;
    if (plan == WF_PLAN_RESUME) op = WF_JOB_RESUME;
    if (plan == WF_PLAN_ASK) {
        bool all;
        struct wf_summary from_b = over_the_wire(&ours, exact), tips;
        common_tips(p, &theirs, &from_b, &tips, &all);
        if (all) return plan; /* b has nothing for a */
        theirs = tips;
        op = WF_JOB_IDS;
    }
    struct wf_job *job = job_for(p, op, &ours, &theirs, exact);
    job->skip_source = skip_source;
    memcpy(job->peer_epoch, own.epoch, sizeof job->peer_epoch);
    weft_err err = pair_ask(p, p->b.table.reader, &job->req);
    if (err == WEFT_LIMIT && op == WF_JOB_CLOSURE) { /* as a session does */
        cr_assert_eq(p->recorder->entries_count, 0);
        weft_drop(&job->req.msg);
        job = job_for(p, WF_JOB_IDS, &ours, &theirs, exact);
        err = pair_ask(p, p->b.table.reader, &job->req);
        limits++;
    }
    cr_assert_eq(err, WEFT_OK, "plan %d: %s", plan, weft_errname(err));
    cr_assert_eq(job->entries, p->recorder->entries_count);
    weft_drop(&job->req.msg);
    return plan;
}

static uint8_t *copy_of(const uint8_t *set, uint32_t count)
{
    uint8_t *copy = malloc(count);
    memcpy(copy, set, count);
    return copy;
}

/* Asks b's reader and expects a to end with the union, exactly. */
static enum wf_plan converge(struct pair *p, const wf_mark *cursor, bool exact)
{
    uint8_t *has = copy_of(p->a.set, p->dag->count);
    pair_forget(p);
    enum wf_plan plan = serve(p, cursor, exact, false);
    (void)apply(p, has, true);
    expect_union(p, has);
    for (uint32_t f = 0; f < p->recorder->frames_count; f++)
        cr_assert(!exact || !p->recorder->frames[f].has_mark, "a mark in an exact session");
    free(has);
    return plan;
}

/* -- Random pairs ------------------------------------------------------------------------- */

static void random_pairs(bool exact, uint32_t walk_max, uint32_t *plans)
{
    for (int shape = 0; shape < DAG_SHAPES; shape++) {
        struct dag *d = dag_create((enum dag_shape)shape, 260, 11);
        for (uint64_t seed = 1; seed <= 8; seed++) {
            struct dag_random r = {seed * 1000 + (uint64_t)shape};
            struct pair *p = pair_create_bounded(d, seed, walk_max);
            uint8_t *set = malloc(d->count);
            dag_random_set(d, &r, dag_below(&r, 8), set);
            if (seed % 4 != 0) pair_put_set(p, &p->a, set, &r); /* else a is empty */
            dag_random_set(d, &r, dag_below(&r, 40), set);
            pair_put_set(p, &p->b, set, &r);
            if (seed % 4 == 3) pair_put_set(p, &p->b, p->a.set, &r); /* a is behind */
            plans[converge(p, NULL, exact)]++;
            free(set);
            pair_destroy(p);
        }
        dag_destroy(d);
    }
}

Test(reader, sends_exactly_the_difference_to_a_stranger)
{
    uint32_t plans[8] = {0};
    random_pairs(false, 0, plans);
    cr_expect_gt(plans[WF_PLAN_CLOSURE], 5);
    cr_expect_gt(plans[WF_PLAN_ASK], 5);
}

Test(reader, sends_exactly_the_difference_in_exact_mode)
{
    uint32_t plans[8] = {0};
    random_pairs(true, 0, plans);
    cr_expect_gt(plans[WF_PLAN_CLOSURE], 5);
    cr_expect_gt(plans[WF_PLAN_ASK], 5);
}

Test(reader, sends_exactly_the_difference_when_no_walk_can_hold_it)
{
    uint32_t plans[8] = {0};
    random_pairs(false, 5, plans);
    random_pairs(true, 5, plans);
    cr_expect_gt(limits, 5);
    cr_expect_gt(plans[WF_PLAN_ASK], 5);
}

static wf_mark cursor_at(struct pair *p, uint64_t seq)
{
    wf_tree_info info = pair_info(p, &p->b);
    wf_arrival at;
    wf_mark mark = {.seq = seq};
    cr_assert_eq(wf_store_arrival(p->b.store, info.t, seq, &at), WEFT_OK);
    memcpy(mark.epoch, info.epoch, sizeof mark.epoch);
    memcpy(mark.id8, at.id.bytes, sizeof mark.id8);
    return mark;
}

/* a gets b's first `seq` arrivals, as far as they are at or before (gen, id) of `place`. */
static void give_prefix(struct pair *p, uint64_t seq, uint32_t place)
{
    const struct dag *d = p->dag;
    uint64_t t = pair_info(p, &p->b).t;
    for (uint64_t at = 1; at <= seq; at++) {
        wf_arrival arrival;
        cr_assert_eq(wf_store_arrival(p->b.store, t, at, &arrival), WEFT_OK);
        uint32_t i = dag_find(d, &arrival.id);
        bool beyond = place < d->count && (d->gens[i] > d->gens[place] ||
                                           (d->gens[i] == d->gens[place] &&
                                            weft_id_compare(&d->ids[i], &d->ids[place]) > 0));
        if (!beyond) pair_put(p, &p->a, i);
    }
}

Test(reader, sends_what_arrived_after_a_cursor)
{
    for (int shape = 0; shape < DAG_SHAPES; shape++) {
        struct dag *d = dag_create((enum dag_shape)shape, 200, 12);
        for (uint64_t seed = 1; seed <= 5; seed++) {
            struct dag_random r = {seed * 77 + (uint64_t)shape};
            struct pair *p = pair_create(d, seed);
            uint8_t *set = malloc(d->count);
            dag_random_set(d, &r, 20, set);
            pair_put_set(p, &p->b, set, &r);
            uint64_t seq = 1 + dag_below(&r, p->b.count);
            give_prefix(p, seq, d->count);
            /* And something of its own that b does not know, nor will send. */
            for (uint32_t i = 1; i < d->count; i++) {
                if (p->b.set[i] || !p->a.set[d->parents[i][0]] || d->parents_count[i] > 1) continue;
                pair_put(p, &p->a, i);
            }
            wf_mark cursor = cursor_at(p, seq);
            enum wf_plan plan = converge(p, &cursor, false);
            cr_assert(plan == WF_PLAN_CURSOR || plan == WF_PLAN_EQUAL);
            free(set);
            pair_destroy(p);
        }
        dag_destroy(d);
    }
}

/* b, which a has followed up to some arrival, got one more entry; a has it too, and one that
 * b does not know. How is a served? */
static enum wf_plan served_after(bool from_a_third)
{
    struct dag *d = dag_create(DAG_STAR, 30, 12);
    struct pair *p = pair_create(d, 3);
    for (uint32_t i = 0; i <= 10; i++) pair_put(p, &p->b, i);
    give_prefix(p, p->b.count, d->count);
    wf_mark cursor = cursor_at(p, p->b.count);
    pair_put(p, &p->a, 15);
    pair_put(p, &p->a, 20);
    struct pair_side third = p->a;
    third.key.bytes[0] ^= 1;
    if (from_a_third) pair_receive(p, &p->b, &third, 15, 1);
    else pair_put(p, &p->b, 15);
    uint8_t *has = copy_of(p->a.set, d->count);
    enum wf_plan plan = serve(p, &cursor, false, false);
    cr_expect_eq(apply(p, has, true), 0, "what a has is not sent");
    free(has);
    pair_destroy(p);
    dag_destroy(d);
    return plan;
}

Test(reader, a_cursor_is_not_followed_over_what_others_may_have_brought)
{
    cr_expect_eq(served_after(true), WF_PLAN_ASK);
}

Test(reader, a_cursor_of_another_epoch_or_arrival_is_not_followed)
{
    struct dag *d = dag_create(DAG_CHAIN, 30, 12);
    struct dag_random r = {5};
    struct pair *p = pair_create(d, 1);
    uint8_t set[30];
    memset(set, 1, sizeof set);
    pair_put_set(p, &p->b, set, &r);
    give_prefix(p, 10, d->count);
    wf_mark cursor = cursor_at(p, 10);
    cr_expect_eq(converge(p, &cursor, false), WF_PLAN_CURSOR);
    cursor.epoch[0] ^= 1;
    cr_expect_eq(converge(p, &cursor, false), WF_PLAN_CLOSURE);
    cursor.epoch[0] ^= 1;
    cursor.id8[7] ^= 1;
    cr_expect_eq(converge(p, &cursor, false), WF_PLAN_CLOSURE);
    cursor.id8[7] ^= 1;
    cursor.seq = 31;
    cr_expect_eq(converge(p, &cursor, false), WF_PLAN_CLOSURE);
    pair_destroy(p);
    dag_destroy(d);
}

/* a has b's entries up to some place, and one of its own and one that b knows on top of
 * them, so that its tips are not all known; b has grown since. Was it resumed? */
static bool interrupted(struct dag *d, uint64_t seed, uint32_t walk_max)
{
    struct dag_random r = {seed};
    struct pair *p = pair_create_bounded(d, seed, walk_max);
    uint8_t *set = malloc(d->count);
    uint32_t place, own = d->count, extra = d->count;
    dag_random_set(d, &r, 30, set);
    pair_put_set(p, &p->b, set, &r);
    do place = dag_below(&r, d->count) / (1 + dag_below(&r, 8)); /* mostly early */
    while (!p->b.set[place]);
    wf_mark cursor = cursor_at(p, p->b.count);
    cursor.partial = true;
    cursor.gen = d->gens[place];
    cursor.id = d->ids[place];
    give_prefix(p, p->b.count, place);
    for (uint32_t i = 1; i < d->count; i++) {
        bool ready = true;
        for (uint32_t k = 0; k < d->parents_count[i]; k++)
            ready = ready && p->a.set[d->parents[i][k]];
        if (ready && !p->a.set[i] && !p->b.set[i] && own == d->count) own = i;
        if (!ready || p->a.set[i] || !p->b.set[i]) continue;
        if (walk_max == 0) extra = i;
        else pair_put(p, &p->a, i); /* more than the walk can hold */
    }
    if (own < d->count) pair_put(p, &p->a, own);
    if (extra < d->count) pair_put(p, &p->a, extra);
    dag_random_set(d, &r, 12, set);
    if (own < d->count) set[own] = 0;
    for (uint32_t i = 1; i < d->count; i++) { /* nor anything above it */
        for (uint32_t k = 0; k < d->parents_count[i]; k++)
            if (!set[d->parents[i][k]]) set[i] = 0;
    }
    pair_put_set(p, &p->b, set, &r);
    bool resumed = converge(p, &cursor, false) == WF_PLAN_RESUME;
    free(set);
    pair_destroy(p);
    return resumed;
}

Test(reader, goes_on_with_an_interrupted_transfer)
{
    uint32_t resumed = 0;
    for (int shape = 0; shape < DAG_SHAPES; shape++) {
        struct dag *d = dag_create((enum dag_shape)shape, 220, 14);
        for (uint64_t seed = 1; seed <= 6; seed++)
            resumed += interrupted(d, seed * 55 + (uint64_t)shape, seed % 2 == 0 ? 0 : 3);
        dag_destroy(d);
    }
    cr_expect_gt(resumed, 10);
    cr_expect_gt(copies, 0, "no walk was cut short");
}

/* Entries so large that every job takes many frames: each mark is looked at. */
Test(reader, the_mark_of_every_frame_is_true)
{
    static const enum dag_shape shapes[] = {DAG_WIDE, DAG_BEHIND, DAG_COMB, DAG_SCATTERED};
    uint32_t resumed = 0, asked = 0, closed = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct dag *d = dag_create_fat(shapes[i], 400, 14, 4000);
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct dag_random r = {seed};
            struct pair *p = pair_create(d, seed);
            uint8_t *set = malloc(d->count);
            resumed += interrupted(d, seed * 19, 0);
            dag_random_set(d, &r, seed == 1 ? 0 : seed == 2 ? 1 : 6, set);
            pair_put_set(p, &p->a, set, &r);
            dag_random_set(d, &r, 60, set);
            pair_put_set(p, &p->b, set, &r);
            enum wf_plan plan = converge(p, NULL, false);
            asked += plan == WF_PLAN_ASK;
            closed += plan == WF_PLAN_CLOSURE;
            for (uint32_t f = 0; f < p->recorder->frames_count; f++)
                cr_expect(p->recorder->frames[f].has_mark);
            free(set);
            pair_destroy(p);
        }
        dag_destroy(d);
    }
    cr_expect(resumed > 3 && asked > 2 && closed > 2, "%u %u %u", resumed, asked, closed);
}

Test(reader, does_not_send_back_what_came_from_the_peer)
{
    struct dag *d = dag_create(DAG_CHAIN, 12, 12);
    struct dag_random r = {5};
    struct pair *p = pair_create(d, 1);
    uint8_t set[12];
    memset(set, 1, sizeof set);
    pair_put_set(p, &p->a, set, &r);
    pair_put(p, &p->b, 0);
    wf_mark cursor = cursor_at(p, 1);
    for (uint32_t i = 1; i < 12; i++) pair_receive(p, &p->b, &p->a, i, i + 1);
    cursor.seq = 1;
    /* The peer lost them and says so by skip_source = false: they are sent again. */
    struct wf_summary ours = summary(p, &p->b, &p->a.key, false), theirs = {0};
    theirs.cursor = cursor;
    struct wf_summary epoch = summary(p, &p->a, &p->b.key, false);
    for (int skip = 0; skip < 2; skip++) {
        struct wf_job *job = job_for(p, WF_JOB_CURSOR, &ours, &theirs, false);
        pair_forget(p);
        job->skip_source = skip == 1;
        memcpy(job->peer_epoch, epoch.epoch, sizeof job->peer_epoch);
        cr_assert_eq(pair_ask(p, p->b.table.reader, &job->req), WEFT_OK);
        cr_expect_eq(p->recorder->entries_count, skip ? 0u : 11u);
        cr_expect_eq(job->reached.seq, 12u, "what is passed over counts as held");
        weft_drop(&job->req.msg);
    }
    pair_destroy(p);
    dag_destroy(d);
}

Test(reader, lists_many_ids_in_pages)
{
    enum { COUNT = WEFT_IDS_PER_MESSAGE_MAX + 3000 };
    struct dag *d = dag_create(DAG_STAR, COUNT, 15);
    struct pair *p = pair_create(d, 3);
    struct dag_random r = {8};
    for (uint32_t i = 0; i < COUNT; i++) {
        pair_put(p, &p->b, i);
        if (i == 0 || dag_below(&r, 3) == 0) pair_put(p, &p->a, i);
    }
    cr_expect_eq(converge(p, NULL, false), WF_PLAN_ASK);
    cr_expect_eq(p->recorder->pages, 3); /* a sample first */
    pair_destroy(p);
    dag_destroy(d);
}

Test(reader, asks_about_the_difference_only)
{
    struct dag *d = dag_create(DAG_WIDE, 600, 15);
    struct pair *p = pair_create(d, 3);
    struct dag_random r = {8};
    uint8_t set[600];
    memset(set, 1, sizeof set);
    memset(set + 560, 0, 40);
    pair_put_set(p, &p->a, set, &r);
    pair_put_set(p, &p->b, set, &r);
    /* Each goes on for itself: a's tips are unknown to b, but most of b's are known to a. */
    for (uint32_t i = 560; i < 600; i++) {
        struct pair_side *side = i % 2 ? &p->a : &p->b;
        bool ready = true;
        for (uint32_t k = 0; k < d->parents_count[i]; k++)
            ready = ready && side->set[d->parents[i][k]];
        if (ready) pair_put(p, side, i);
    }
    cr_expect_eq(converge(p, NULL, false), WF_PLAN_ASK);
    cr_expect_leq(p->recorder->page_ids, 300, "%lu of 600 were listed",
                  (unsigned long)p->recorder->page_ids);
    pair_destroy(p);
    dag_destroy(d);
}

/* Two sides with a long common history and entries of their own. Returns the ids listed. */
static uint64_t listed_of_a_fork(bool exact, uint32_t walk_max, uint64_t *own)
{
    enum { COMMON = 8000, OWN = 150, COUNT = COMMON + 2 * OWN };
    struct dag *d = dag_create(DAG_FORK, COUNT, 16);
    struct pair *p = pair_create_bounded(d, 3, walk_max);
    for (uint32_t i = 0; i < COUNT; i++) {
        bool common = i <= dag_fork_at(COUNT);
        if (common || i % 2 == 0) pair_put(p, &p->a, i);
        if (common || i % 2 == 1) pair_put(p, &p->b, i);
    }
    cr_expect_eq(converge(p, NULL, exact), WF_PLAN_ASK);
    *own = p->b.count - dag_fork_at(COUNT);
    uint64_t ids = p->recorder->page_ids;
    pair_destroy(p);
    dag_destroy(d);
    return ids;
}

Test(reader, a_fork_of_a_long_history_is_found_by_a_sample)
{
    for (int exact = 0; exact < 2; exact++) {
        uint64_t own, ids = listed_of_a_fork(exact, 0, &own);
        cr_expect_leq(ids, 2 * own + 150, "%lu ids for %lu entries", (unsigned long)ids,
                      (unsigned long)own);
    }
}

Test(reader, a_fork_that_no_walk_can_hold_is_found_by_listing_all)
{
    uint64_t own, ids = listed_of_a_fork(false, 5, &own);
    cr_expect_gt(ids, 8000);
}
