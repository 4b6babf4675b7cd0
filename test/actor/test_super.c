/* SPDX-License-Identifier: Apache-2.0
 * test_super.c - what a parent decides: tables of single cases, and random histories beside
 * a second, plainer account of the rules.
 * Called by: the test runner. Never: an actor, a clock, a thread. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "super.h"

#define S WEFT_SEC
#define MS WEFT_MS

enum { CHILDREN = 4 };

/* A supervisor by hand: children a, b, c, d and the words of what it did. */
struct bench {
    struct wf_super super;
    weft_ns restarts[8];
    struct wf_super_child child[CHILDREN];
    weft_ns now;
    char did[256];
};

static void note(struct bench *b, const struct wf_super_effects *out)
{
    static const char *const words[] = {"start", "halt", "stop", "report", "late", "fail", "done"};
    for (uint32_t i = 0; i < out->count; i++) {
        const struct wf_super_effect *e = &out->list[i];
        size_t len = strlen(b->did);
        char who[3] = {0};
        if (e->child != NULL) who[0] = ' ', who[1] = (char)('a' + (e->child - b->child));
        const char *word = e->what == WF_SUPER_CHILD && e->mode == WEFT_NOW ? "kill"
                                                                            : words[e->what];
        snprintf(b->did + len, sizeof b->did - len, "%s%s%s", len == 0 ? "" : ", ", word, who);
    }
}

static void step(struct bench *b, struct wf_super_event event)
{
    struct wf_super_effects out;
    event.now = b->now;
    wf_super_step(&b->super, &event, &out);
    note(b, &out);
}

static struct bench *bench(struct bench *b, weft_strategy strategy, uint32_t intensity)
{
    struct wf_super_rules rules = {strategy, intensity, 5 * S, 10 * MS, 1 * S};
    memset(b, 0, sizeof *b);
    wf_super_init(&b->super, &rules, b->restarts);
    b->now = 100 * S;
    for (int i = 0; i < CHILDREN; i++) {
        b->child[i].restart = WEFT_PERMANENT;
        b->child[i].grace = 2 * S;
        step(b, (struct wf_super_event){.what = WF_SUPER_SPAWNED, .child = &b->child[i]});
    }
    return b;
}

static void fails(struct bench *b, int i)
{
    step(b, (struct wf_super_event){
                .what = WF_SUPER_EXITED, .child = &b->child[i], .err = WEFT_IO, .random = 7});
}

static void halted(struct bench *b, int i)
{
    step(b, (struct wf_super_event){.what = WF_SUPER_EXITED, .child = &b->child[i]});
}

static void ready(struct bench *b, int i, weft_err err)
{
    step(b, (struct wf_super_event){.what = WF_SUPER_READY, .child = &b->child[i], .err = err});
}

static void gone(struct bench *b, int i)
{
    step(b, (struct wf_super_event){.what = WF_SUPER_GONE, .child = &b->child[i]});
}

static void stop(struct bench *b, weft_stop_mode mode)
{
    step(b, (struct wf_super_event){.what = WF_SUPER_STOP, .mode = mode});
}

static void due(struct bench *b)
{
    cr_assert_neq(wf_super_next(&b->super), WEFT_NEVER);
    if (wf_super_next(&b->super) > b->now) b->now = wf_super_next(&b->super);
    step(b, (struct wf_super_event){.what = WF_SUPER_DUE});
}

static void did(struct bench *b, const char *what)
{
    cr_assert_str_eq(b->did, what);
    b->did[0] = '\0';
}

/* -- Tables ------------------------------------------------------------------------ */

Test(super, one_for_one_starts_the_child_that_failed_and_no_other)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ONE, 3);
    fails(&b, 1);
    did(&b, "");
    due(&b);
    did(&b, "start b");
    ready(&b, 1, WEFT_OK);
    did(&b, "");
}

Test(super, rest_for_one_halts_backwards_what_came_after_and_starts_it_in_order)
{
    struct bench b;
    bench(&b, WEFT_REST_FOR_ONE, 3);
    fails(&b, 1);
    did(&b, "halt d");
    halted(&b, 3);
    did(&b, "halt c");
    halted(&b, 2);
    did(&b, "");
    due(&b);
    did(&b, "start b");
    ready(&b, 1, WEFT_OK);
    did(&b, "start c");
    ready(&b, 2, WEFT_OK);
    did(&b, "start d");
    ready(&b, 3, WEFT_OK);
    did(&b, "");
}

Test(super, a_restart_says_once_who_holds_it_up_and_waits_on)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ALL, 3);
    fails(&b, 3);
    did(&b, "halt c");
    weft_ns told = b.now;
    due(&b);
    cr_assert_eq(b.now, told + 2 * S, "its grace");
    did(&b, "late c");
    cr_assert_eq(wf_super_next(&b.super), WEFT_NEVER);
    halted(&b, 2);
    did(&b, "halt b");
    halted(&b, 1);
    did(&b, "halt a");
    halted(&b, 0);
    did(&b, "start a");
}

Test(super, one_for_all_halts_all_others_and_starts_all)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ALL, 3);
    fails(&b, 2);
    did(&b, "halt d");
    halted(&b, 3);
    did(&b, "halt b");
    halted(&b, 1);
    did(&b, "halt a");
    halted(&b, 0);
    due(&b);
    did(&b, "start a");
    ready(&b, 0, WEFT_OK);
    ready(&b, 1, WEFT_OK);
    ready(&b, 2, WEFT_OK);
    did(&b, "start b, start c, start d");
}

Test(super, nobody_starts_before_all_have_halted)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ALL, 3);
    fails(&b, 3);
    did(&b, "halt c");
    b.now += 60 * S;
    step(&b, (struct wf_super_event){.what = WF_SUPER_DUE});
    did(&b, "late c");
    halted(&b, 2);
    halted(&b, 1);
    halted(&b, 0);
    did(&b, "halt b, halt a, start a");
}

Test(super, an_earlier_failure_meanwhile_widens_the_rest)
{
    struct bench b;
    bench(&b, WEFT_REST_FOR_ONE, 3);
    fails(&b, 2);
    did(&b, "halt d");
    fails(&b, 0);
    halted(&b, 3);
    did(&b, "halt b");
    halted(&b, 1);
    due(&b);
    did(&b, "start a");
}

Test(super, a_failed_start_is_one_more_failure_and_begins_again_there)
{
    struct bench b;
    bench(&b, WEFT_REST_FOR_ONE, 3);
    fails(&b, 1);
    halted(&b, 3);
    halted(&b, 2);
    due(&b);
    did(&b, "halt d, halt c, start b");
    ready(&b, 1, WEFT_IO);
    did(&b, "");
    due(&b);
    did(&b, "start b");
    ready(&b, 1, WEFT_OK);
    ready(&b, 2, WEFT_IO); /* b stays up */
    did(&b, "start c");
    due(&b);
    did(&b, "start c");
}

Test(super, a_temporary_child_is_stopped_and_not_started_with_the_others)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ALL, 3);
    b.child[2].restart = WEFT_TEMPORARY;
    fails(&b, 3);
    did(&b, "kill c");
    gone(&b, 2);
    did(&b, "halt b");
    halted(&b, 1);
    halted(&b, 0);
    due(&b);
    ready(&b, 0, WEFT_OK);
    ready(&b, 1, WEFT_OK);
    did(&b, "halt a, start a, start b, start d");
}

Test(super, one_restart_more_than_the_intensity_within_the_period_fails_the_parent)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ONE, 3);
    for (int i = 0; i < 3; i++) {
        fails(&b, 0);
        due(&b);
        ready(&b, 0, WEFT_OK);
    }
    did(&b, "start a, start a, start a");
    fails(&b, 0);
    did(&b, "fail");
    fails(&b, 1);
    did(&b, ""); /* it fails once, and starts nobody any more */
    cr_assert_eq(wf_super_next(&b.super), WEFT_NEVER);
}

Test(super, restarts_older_than_the_period_do_not_count)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ONE, 3);
    for (int i = 0; i < 20; i++) {
        fails(&b, 0);
        due(&b);
        ready(&b, 0, WEFT_OK);
        b.did[0] = '\0';
        b.now += 5 * S / 3 + 1;
    }
    cr_assert_not(b.super.failed);
}

static weft_ns wait_of(struct bench *b, uint64_t random)
{
    step(b,
         (struct wf_super_event){.what = WF_SUPER_EXITED, .child = &b->child[0], .random = random});
    weft_ns wait = b->child[0].due - b->now;
    due(b);
    ready(b, 0, WEFT_OK);
    return wait;
}

Test(super, waits_double_within_a_quarter_up_to_the_greatest)
{
    for (uint64_t random = 0; random < 1000; random += 37) {
        struct bench b;
        bench(&b, WEFT_ONE_FOR_ONE, 8);
        b.super.rules.period = 1; /* all restarts are old, and no run is long */
        weft_ns wait = 10 * MS;
        for (int i = 0; i < 12; i++) {
            b.super.rules.period = WEFT_NEVER; /* no run is long enough to forget */
            b.super.restart_count = 0;
            weft_ns got = wait_of(&b, random * UINT64_C(0x9e3779b97f4a7c15));
            cr_assert(got >= wait - wait / 4, "%d: %lu", i, (unsigned long)got);
            cr_assert(got <= wait + wait / 4 && got <= 1 * S, "%d: %lu", i, (unsigned long)got);
            wait = wait * 2 > 1 * S ? 1 * S : wait * 2;
        }
    }
}

Test(super, jitter_moves_the_wait_both_ways)
{
    bool less = false, more = false;
    for (uint64_t random = 0; random < 100; random++) {
        struct bench b;
        bench(&b, WEFT_ONE_FOR_ONE, 8);
        weft_ns got = wait_of(&b, random * UINT64_C(0x9e3779b97f4a7c15));
        less |= got < 10 * MS;
        more |= got > 10 * MS;
    }
    cr_assert(less && more);
}

Test(super, a_child_that_ran_for_the_period_begins_with_the_least_wait_again)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ONE, 8);
    for (int i = 0; i < 4; i++) (void)wait_of(&b, 0);
    b.now += 5 * S;
    cr_assert_leq(wait_of(&b, 0), 10 * MS);
}

Test(super, stop_goes_backwards_one_child_after_another)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ONE, 3);
    stop(&b, WEFT_DRAIN);
    did(&b, "stop d");
    gone(&b, 3);
    gone(&b, 2);
    gone(&b, 1);
    gone(&b, 0);
    did(&b, "stop c, stop b, stop a, done");
}

Test(super, who_overruns_its_grace_is_stopped_now_then_reported)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ONE, 3);
    weft_ns begin = b.now;
    stop(&b, WEFT_DRAIN);
    due(&b);
    cr_assert_eq(b.now, begin + 2 * S);
    did(&b, "stop d, kill d");
    due(&b);
    cr_assert_eq(b.now, begin + 4 * S);
    did(&b, "report d, stop c");
    gone(&b, 3); /* later after all */
    gone(&b, 2);
    gone(&b, 1);
    gone(&b, 0);
    did(&b, "stop b, stop a, done");
}

Test(super, a_stop_raised_to_now_makes_haste)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ONE, 3);
    stop(&b, WEFT_DRAIN);
    stop(&b, WEFT_NOW);
    did(&b, "stop d, kill d");
    gone(&b, 3);
    did(&b, "kill c");
}

Test(super, a_stop_during_a_restart_starts_nobody)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ALL, 3);
    fails(&b, 1);
    did(&b, "halt d");
    stop(&b, WEFT_DRAIN);
    halted(&b, 3);
    gone(&b, 3);
    gone(&b, 2);
    gone(&b, 1);
    gone(&b, 0);
    did(&b, "stop d, stop c, stop b, stop a, done");
}

Test(super, a_parent_without_children_is_done_at_once)
{
    struct bench b;
    bench(&b, WEFT_ONE_FOR_ONE, 3);
    for (int i = 0; i < CHILDREN; i++) gone(&b, i);
    stop(&b, WEFT_DRAIN);
    did(&b, "done");
}

/* -- Random histories ------------------------------------------------------------------ */

enum { MOST = 6, LINE = 8 };

/* What the parent can know of a child, kept by this file alone. */
enum known { ABSENT, UP, TOLD_HALT, DOWN, TOLD_START, TOLD_STOP, TOLD_NOW, LOST };

struct actor {
    struct wf_super_child node;
    enum known known;
    uint64_t order;
    bool late;    /* spawned while several restart: not part of it */
    weft_ns told; /* to stop, last                                 */
    weft_ns least;
    /* The child itself: what it has sent and the parent has not read yet. */
    enum { RUNS, PARKED, ENDED } truth;
    struct wf_super_event line[LINE];
    int lines;
    bool stuck;
};

struct world {
    struct wf_super super;
    weft_ns restarts[4];
    struct actor actor[MOST];
    weft_ns now, failures[512];
    int failure_count;
    uint64_t rng, spawned, from;
    bool failed, stopping, done, several, starting;
};

static uint64_t chance(struct world *w, uint64_t bound)
{
    w->rng = w->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (w->rng >> 33) % bound;
}

static void says(struct actor *a, enum wf_super_what what, weft_err err)
{
    cr_assert_lt(a->lines, LINE);
    a->line[a->lines++] = (struct wf_super_event){.what = what, .child = &a->node, .err = err};
}

static bool all_above_have_left(const struct world *w, const struct actor *a)
{
    for (int i = 0; i < MOST; i++) {
        const struct actor *o = &w->actor[i];
        if (o->known != ABSENT && o->known != LOST && o->order > a->order) return false;
    }
    return true;
}

static void on_halt(struct world *w, struct actor *a)
{
    cr_assert(w->several && !w->stopping && !w->failed && !w->starting);
    cr_assert_neq(w->super.rules.strategy, WEFT_ONE_FOR_ONE);
    cr_assert_eq(a->known, UP);
    cr_assert_geq(a->order, w->from);
    for (int i = 0; i < MOST; i++) {
        const struct actor *o = &w->actor[i];
        cr_assert(o == a || (o->known != TOLD_HALT && o->known != TOLD_START), "one at a time");
        cr_assert(o->known != UP || o->late || o->order <= a->order, "the last one first");
    }
    a->known = TOLD_HALT;
    if (a->truth != RUNS) return; /* its own end is on the way */
    a->truth = a->node.restart == WEFT_TEMPORARY ? ENDED : PARKED;
    says(a, a->truth == ENDED ? WF_SUPER_GONE : WF_SUPER_EXITED, WEFT_OK);
}

static void on_start(struct world *w, struct actor *a)
{
    cr_assert(!w->stopping && !w->failed);
    cr_assert_eq(a->known, DOWN);
    cr_assert_neq(a->node.restart, WEFT_TEMPORARY);
    cr_assert_geq(w->now, a->least);
    if (w->super.rules.strategy != WEFT_ONE_FOR_ONE) {
        cr_assert(w->several);
        for (int i = 0; i < MOST; i++) {
            const struct actor *o = &w->actor[i];
            cr_assert(o == a || (o->known != TOLD_HALT && o->known != TOLD_START), "one at a time");
            cr_assert(o->known != DOWN || o->order >= a->order, "the first one first");
            cr_assert(w->starting || o->known != UP || o->late || o->order < w->from, "all down");
        }
        w->starting = true;
    }
    a->known = TOLD_START;
    a->late = false;
    if (a->truth == ENDED) return;
    bool good = chance(w, 4) != 0;
    a->truth = good ? RUNS : PARKED;
    says(a, WF_SUPER_READY, good ? WEFT_OK : WEFT_IO);
}

static void on_stop(struct world *w, struct actor *a, weft_stop_mode mode)
{
    if (!w->stopping) {
        cr_assert(a->node.restart == WEFT_TEMPORARY && mode == WEFT_NOW);
        on_halt(w, a);
        return;
    }
    cr_assert(all_above_have_left(w, a));
    if (mode == WEFT_NOW && w->super.mode != WEFT_NOW) {
        cr_assert_eq(a->known, TOLD_STOP);
        cr_assert_geq(w->now, a->told + a->node.grace);
    }
    a->known = mode == WEFT_NOW ? TOLD_NOW : TOLD_STOP;
    a->told = w->now;
    a->stuck = chance(w, 4) == 0;
    if (a->truth == ENDED || a->stuck) return;
    a->truth = ENDED;
    says(a, WF_SUPER_GONE, WEFT_OK);
}

static void effects(struct world *w, const struct wf_super_effects *out, bool fail_expected)
{
    bool fail = false;
    for (uint32_t i = 0; i < out->count; i++) {
        struct actor *a = (struct actor *)out->list[i].child;
        switch (out->list[i].what) {
        case WF_SUPER_RESTART: on_start(w, a); break;
        case WF_SUPER_HALT:
            cr_assert_neq(a->node.restart, WEFT_TEMPORARY);
            on_halt(w, a);
            break;
        case WF_SUPER_CHILD: on_stop(w, a, out->list[i].mode); break;
        case WF_SUPER_REPORT:
            cr_assert(w->stopping && a->known == TOLD_NOW);
            cr_assert_geq(w->now, a->told + a->node.grace);
            a->known = LOST;
            break;
        case WF_SUPER_LATE: cr_assert(!w->stopping && a->known == TOLD_HALT); break;
        case WF_SUPER_FAIL: fail = true; break;
        case WF_SUPER_DONE:
            cr_assert(w->stopping && !w->done);
            w->done = true;
            for (int n = 0; n < MOST; n++)
                cr_assert(w->actor[n].known == ABSENT || w->actor[n].known == LOST);
            break;
        }
    }
    cr_assert_eq(fail, fail_expected);
    w->failed |= fail;
}

/* The plain account of a failure: counts all of them, keeps the reach of the restart. */
static bool failed(struct world *w, struct actor *a)
{
    a->known = DOWN;
    if (w->stopping || w->failed) return false;
    int recent = 1;
    for (int i = 0; i < w->failure_count; i++)
        if (w->now - w->failures[i] < w->super.rules.period) recent++;
    w->failures[w->failure_count++] = w->now;
    if (recent > (int)w->super.rules.intensity) return true;
    a->least = w->now + w->super.rules.backoff_min - w->super.rules.backoff_min / 4;
    if (w->super.rules.strategy == WEFT_ONE_FOR_ONE) return false;
    uint64_t from = w->super.rules.strategy == WEFT_ONE_FOR_ALL ? 0 : a->order;
    bool halting = w->several && !w->starting;
    for (int i = 0; i < MOST; i++) {
        const struct actor *o = &w->actor[i];
        if ((o->known == DOWN || o->known == TOLD_START) && o->order < from) from = o->order;
    }
    if (!halting || from < w->from) w->from = from;
    if (!halting)
        for (int i = 0; i < MOST; i++) w->actor[i].late = false;
    w->several = true;
    w->starting = false;
    return false;
}

static void tell(struct world *w, struct wf_super_event event)
{
    struct wf_super_effects out;
    struct actor *a = (struct actor *)event.child;
    bool fail = false;
    event.now = w->now;
    event.random = chance(w, UINT64_MAX);
    if (event.what == WF_SUPER_EXITED) {
        if (a->known == TOLD_HALT) a->known = DOWN;
        else if (a->known == UP) fail = failed(w, a);
    } else if (event.what == WF_SUPER_READY && a->known == TOLD_START) {
        if (event.err == WEFT_OK) a->known = UP;
        else fail = failed(w, a);
    } else if (event.what == WF_SUPER_GONE) {
        a->known = ABSENT;
        a->lines = 0;
    } else if (event.what == WF_SUPER_STOP) {
        w->stopping = true;
    }
    wf_super_step(&w->super, &event, &out);
    effects(w, &out, fail);
    bool open = false;
    for (int i = 0; i < MOST; i++)
        open |= w->actor[i].known == DOWN || w->actor[i].known == TOLD_HALT ||
                w->actor[i].known == TOLD_START;
    if (!open && wf_super_next(&w->super) == WEFT_NEVER) w->several = w->starting = false;
}

static void deliver(struct world *w, struct actor *a)
{
    struct wf_super_event event = a->line[0];
    memmove(a->line, a->line + 1, sizeof a->line - sizeof *a->line);
    a->lines--;
    tell(w, event);
}

static void spawn(struct world *w, struct actor *a)
{
    *a = (struct actor){.known = UP, .order = ++w->spawned, .late = w->several, .truth = RUNS};
    a->node.restart = (weft_restart)chance(w, 3);
    a->node.grace = (1 + chance(w, 3)) * S;
    tell(w, (struct wf_super_event){.what = WF_SUPER_SPAWNED, .child = &a->node});
}

static void ends(struct world *w, struct actor *a)
{
    bool outside = chance(w, 4) == 0; /* a stop from outside is not undone */
    a->truth = outside || a->node.restart == WEFT_TEMPORARY ? ENDED : PARKED;
    says(a, a->truth == ENDED ? WF_SUPER_GONE : WF_SUPER_EXITED, WEFT_IO);
}

static void random_step(struct world *w)
{
    struct actor *a = &w->actor[chance(w, MOST)];
    weft_ns next = wf_super_next(&w->super);
    if (next <= w->now || (next != WEFT_NEVER && chance(w, 4) == 0)) {
        if (next > w->now) w->now = next;
        tell(w, (struct wf_super_event){.what = WF_SUPER_DUE});
    } else if (a->known == ABSENT) {
        if (!w->stopping && !w->failed && chance(w, 2) == 0) spawn(w, a);
    } else if (a->lines > 0) {
        deliver(w, a);
    } else if (a->truth == RUNS && chance(w, 3) == 0) {
        ends(w, a);
    } else if (a->truth == PARKED && chance(w, 12) == 0) {
        a->truth = ENDED; /* stopped from outside while it waited */
        says(a, WF_SUPER_GONE, WEFT_OK);
    } else {
        w->now += chance(w, 2 * S);
    }
}

static bool settle(struct world *w)
{
    bool any = false;
    for (int i = 0; i < MOST; i++)
        for (; w->actor[i].lines > 0; any = true) deliver(w, &w->actor[i]);
    weft_ns next = wf_super_next(&w->super);
    if (next == WEFT_NEVER) return any;
    if (next > w->now) w->now = next;
    tell(w, (struct wf_super_event){.what = WF_SUPER_DUE});
    return true;
}

static void history(uint64_t seed)
{
    struct world w = {.rng = seed, .now = 1000 * S};
    struct wf_super_rules rules = {.period = 5 * S, .backoff_min = 10 * MS, .backoff_max = 10 * S};
    rules.strategy = (weft_strategy)chance(&w, 3);
    rules.intensity = 1 + (uint32_t)chance(&w, 4);
    wf_super_init(&w.super, &rules, w.restarts);
    for (int i = 0; i < 60; i++) random_step(&w);
    for (int i = 0; i < 500 && settle(&w); i++) {}
    cr_assert_not(settle(&w), "seed %lu: it comes to rest", (unsigned long)seed);
    for (int i = 0; i < MOST; i++)
        cr_assert(w.failed || w.actor[i].known == UP || w.actor[i].known == ABSENT,
                  "seed %lu: all are up again", (unsigned long)seed);
    tell(&w, (struct wf_super_event){.what = WF_SUPER_STOP, .mode = WEFT_DRAIN});
    for (int i = 0; i < 500 && settle(&w); i++) {}
    cr_assert(w.done, "seed %lu: all were stopped or reported", (unsigned long)seed);
}

Test(super, random_histories_keep_the_rules)
{
    for (uint64_t seed = 1; seed <= 100000; seed++) history(seed * UINT64_C(0x9e3779b97f4a7c15));
}
