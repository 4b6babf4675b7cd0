/* SPDX-License-Identifier: Apache-2.0
 * test_monitor.c - who watches an actor hears of its end, once, with the reason.
 * Called by: the test runner. */
#include "rig.h"

#include "alloc.h"
#include <weft/supervise.h>

/* A watcher does to the actors of its test what notes tell it, and writes down what it hears. */
enum { WATCH = 1, FORGET, FAIL };

struct watcher {
    weft_addr *target;
    uint64_t tag;
    weft_err err;
    unsigned downs;
    weft_err reason;
    uint64_t heard_tag;
    bool link, right_addr;
    weft_msg *kept;
    bool keeps;
};

static weft_verdict watch(weft_self *self, void *data, weft_msg *msg)
{
    struct watcher *w = data;
    if (msg->kind == &weft_kind_down) {
        weft_down *down = (weft_down *)msg;
        w->downs++;
        w->reason = down->reason;
        w->heard_tag = down->tag;
        w->link = down->link;
        w->right_addr = down->addr == w->target;
        if (!w->keeps) return WEFT_DONE;
        w->kept = msg;
        return WEFT_KEPT;
    }
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    switch (((struct note *)msg)->number) {
    case WATCH: w->err = weft_monitor(self, w->target, &w->tag); break;
    case FORGET: w->err = weft_demonitor(self, w->tag); break;
    case FAIL: return weft_fail(self, WEFT_IO);
    }
    return WEFT_DONE;
}

static void tell(struct rig *rig, weft_addr *to, uint64_t number)
{
    cr_assert_eq(weft_send(to, &note_new(0, number)->msg), WEFT_OK);
    if (number != FAIL) cr_assert_eq(rig_call(rig, to, 0), WEFT_OK);
}

struct pair {
    struct watcher watcher, target;
    weft_addr *from, *to;
};

static void pair_open(struct pair *p, struct rig *rig)
{
    *p = (struct pair){0};
    p->to = rig_spawn(rig, watch, &p->target, 0);
    p->watcher.target = p->to;
    p->from = rig_spawn(rig, watch, &p->watcher, 0);
}

static void pair_close(struct pair *p)
{
    weft_addr_put(p->from);
    weft_addr_put(p->to);
}

PLACES(monitor, brings_the_reason_of_a_failure_once)
{
    struct pair p;
    pair_open(&p, rig);
    tell(rig, p.from, WATCH);
    tell(rig, p.to, FAIL);
    cr_assert_eq(rig_join(rig, p.to), WEFT_IO);
    cr_assert_eq(rig_call(rig, p.from, 0), WEFT_OK);
    cr_assert_eq(p.watcher.err, WEFT_OK);
    cr_assert_eq(p.watcher.downs, 1);
    cr_assert_eq(p.watcher.reason, WEFT_IO);
    cr_assert_eq(p.watcher.heard_tag, p.watcher.tag);
    cr_assert(p.watcher.right_addr);
    cr_assert_not(p.watcher.link);
    pair_close(&p);
}

PLACES(monitor, brings_the_reason_of_a_stop)
{
    struct pair p;
    pair_open(&p, rig);
    tell(rig, p.from, WATCH);
    cr_assert_eq(weft_stop(p.to, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, p.to), WEFT_OK);
    cr_assert_eq(rig_call(rig, p.from, 0), WEFT_OK);
    cr_assert_eq(p.watcher.downs, 1);
    cr_assert_eq(p.watcher.reason, WEFT_OK);
    pair_close(&p);
}

PLACES(monitor, of_one_that_has_ended_speaks_at_once)
{
    struct pair p;
    pair_open(&p, rig);
    tell(rig, p.to, FAIL);
    cr_assert_eq(rig_join(rig, p.to), WEFT_IO);
    tell(rig, p.from, WATCH);
    cr_assert_eq(rig_call(rig, p.from, 0), WEFT_OK);
    cr_assert_eq(p.watcher.err, WEFT_OK);
    cr_assert_eq(p.watcher.downs, 1);
    cr_assert_eq(p.watcher.reason, WEFT_IO);
    pair_close(&p);
}

PLACES(monitor, twice_speaks_twice)
{
    struct pair p;
    pair_open(&p, rig);
    tell(rig, p.from, WATCH);
    uint64_t first = p.watcher.tag;
    tell(rig, p.from, WATCH);
    cr_assert_neq(p.watcher.tag, first);
    tell(rig, p.to, FAIL);
    (void)rig_join(rig, p.to);
    cr_assert_eq(rig_call(rig, p.from, 0), WEFT_OK);
    cr_assert_eq(p.watcher.downs, 2);
    pair_close(&p);
}

PLACES(monitor, that_was_ended_is_silent)
{
    struct pair p;
    pair_open(&p, rig);
    tell(rig, p.from, WATCH);
    tell(rig, p.from, FORGET);
    cr_assert_eq(p.watcher.err, WEFT_OK);
    tell(rig, p.to, FAIL);
    (void)rig_join(rig, p.to);
    cr_assert_eq(rig_call(rig, p.from, 0), WEFT_OK);
    cr_assert_eq(p.watcher.downs, 0);
    tell(rig, p.from, FORGET);
    cr_assert_eq(p.watcher.err, WEFT_NOT_FOUND);
    pair_close(&p);
}

/* Ends its monitor in the turn in which the message of it is queued already. */
static weft_verdict too_late(weft_self *self, void *data, weft_msg *msg)
{
    struct watcher *w = data;
    if (msg->kind == &NOTE && ((struct note *)msg)->number == WATCH) {
        weft_err err = weft_monitor(self, w->target, &w->tag); /* queued to ourselves */
        if (err == WEFT_OK) w->err = weft_demonitor(self, w->tag);
        return WEFT_DONE;
    }
    return watch(self, data, msg);
}

PLACES(monitor, that_was_ended_is_silent_even_if_its_message_is_queued)
{
    struct pair p;
    pair_open(&p, rig);
    weft_addr *late = rig_spawn(rig, too_late, &p.watcher, 0);
    tell(rig, p.to, FAIL);
    (void)rig_join(rig, p.to);
    tell(rig, late, WATCH);
    cr_assert_eq(rig_call(rig, late, 0), WEFT_OK);
    cr_assert_eq(p.watcher.err, WEFT_OK);
    cr_assert_eq(p.watcher.downs, 0);
    weft_addr_put(late);
    pair_close(&p);
}

PLACES(monitor, of_a_watcher_that_ends_first_is_forgotten)
{
    struct pair p;
    pair_open(&p, rig);
    tell(rig, p.from, WATCH);
    tell(rig, p.from, WATCH);
    tell(rig, p.from, FAIL);
    (void)rig_join(rig, p.from);
    cr_assert_eq(rig_call(rig, p.to, 0), WEFT_OK);
    cr_assert_eq(weft_stop(p.to, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(rig_join(rig, p.to), WEFT_OK);
    cr_assert_eq(p.watcher.downs, 0);
    pair_close(&p);
}

PLACES(monitor, message_may_be_kept_and_its_address_is_valid)
{
    struct pair p;
    pair_open(&p, rig);
    p.watcher.keeps = true;
    tell(rig, p.from, WATCH);
    tell(rig, p.to, FAIL);
    (void)rig_join(rig, p.to);
    cr_assert_eq(rig_call(rig, p.from, 0), WEFT_OK);
    pair_close(&p);
    cr_assert_str_eq(weft_addr_name(((weft_down *)p.watcher.kept)->addr), "rig");
    weft_drop(p.watcher.kept);
}

PLACES(monitor, of_oneself_is_invalid)
{
    struct pair p;
    pair_open(&p, rig);
    p.watcher.target = p.from;
    tell(rig, p.from, WATCH);
    cr_assert_eq(p.watcher.err, WEFT_INVALID);
    pair_close(&p);
}

/* -- Many ----------------------------------------------------------------------------------- */

#define MANY 200

struct crowd {
    weft_addr *target[MANY];
    uint64_t tag[MANY];
    unsigned order[MANY], downs;
    uint64_t last_tag;
};

static weft_verdict watch_all(weft_self *self, void *data, weft_msg *msg)
{
    struct crowd *c = data;
    if (msg->kind == &weft_kind_down) {
        c->last_tag = ((weft_down *)msg)->tag;
        c->downs++;
        return WEFT_DONE;
    }
    if (msg->kind != &NOTE) return rig_echo(self, NULL, msg);
    if (((struct note *)msg)->number == WATCH)
        for (int i = 0; i < MANY; i++)
            cr_assert_eq(weft_monitor(self, c->target[i], &c->tag[i]), WEFT_OK);
    else /* every second one */
        for (int i = 0; i < MANY; i += 2) cr_assert_eq(weft_demonitor(self, c->tag[i]), WEFT_OK);
    return WEFT_DONE;
}

Test(monitor, many_are_told_apart_by_their_tags)
{
    struct rig rig = rig_open(true, 5);
    struct crowd c = {0};
    struct watcher none = {0};
    for (int i = 0; i < MANY; i++) c.target[i] = rig_spawn(&rig, watch, &none, 0);
    weft_addr *from = rig_spawn(&rig, watch_all, &c, 0);
    tell(&rig, from, WATCH);
    tell(&rig, from, FORGET);
    for (int i = MANY - 1; i >= 0; i--) {
        unsigned before = c.downs;
        cr_assert_eq(weft_stop(c.target[i], WEFT_NOW), WEFT_OK);
        cr_assert_eq(rig_join(&rig, c.target[i]), WEFT_OK);
        cr_assert_eq(rig_call(&rig, from, 0), WEFT_OK);
        cr_assert_eq(c.downs, before + (i % 2 == 1));
        if (i % 2 == 1) cr_assert_eq(c.last_tag, c.tag[i]);
        weft_addr_put(c.target[i]);
    }
    weft_addr_put(from);
    rig_close(&rig);
}

/* -- Bad luck --------------------------------------------------------------------------------- */

Test(monitor, without_memory_is_an_error_and_nothing_more)
{
    for (uint64_t nth = 1; nth < 8; nth++) {
        struct rig rig = rig_open(true, 1);
        struct pair p;
        pair_open(&p, &rig);
        cr_assert_eq(weft_send(p.from, &note_new(0, WATCH)->msg), WEFT_OK);
        wf_alloc_fail_at(nth, 0);
        while (wf_sim_step(rig.sim)) {}
        bool all = wf_alloc_fail_at(0, 0) < nth;
        cr_assert_eq(p.watcher.err, all ? WEFT_OK : WEFT_NO_MEMORY);
        tell(&rig, p.to, FAIL);
        (void)rig_join(&rig, p.to);
        cr_assert_eq(rig_call(&rig, p.from, 0), WEFT_OK);
        cr_assert_eq(p.watcher.downs, all ? 1 : 0);
        pair_close(&p);
        rig_close(&rig);
        if (all) return;
    }
    cr_assert_fail("more allocations than a monitor needs");
}

Test(monitor, of_a_node_that_crashes_brings_canceled)
{
    struct rig here = rig_open(true, 1), there = {.sim = here.sim};
    struct pair p = {0};
    cr_assert_eq(wf_sim_rt_create(here.sim, &there.rt), WEFT_OK);
    p.to = rig_spawn(&there, watch, &p.target, 0);
    p.target.target = p.watcher.target = p.to;
    p.from = rig_spawn(&here, watch, &p.watcher, 0);
    tell(&here, p.from, WATCH);
    wf_sim_kill(there.rt);
    cr_assert_eq(rig_call(&here, p.from, 0), WEFT_OK);
    cr_assert_eq(p.watcher.downs, 1);
    cr_assert_eq(p.watcher.reason, WEFT_CANCELED);
    pair_close(&p);
    rig_close(&here);
}

Test(monitor, by_a_node_that_crashes_is_forgotten)
{
    struct rig here = rig_open(true, 1), there = {.sim = here.sim};
    struct pair p = {0};
    cr_assert_eq(wf_sim_rt_create(here.sim, &there.rt), WEFT_OK);
    p.to = rig_spawn(&here, watch, &p.target, 0);
    p.watcher.target = p.to;
    p.from = rig_spawn(&there, watch, &p.watcher, 0);
    tell(&there, p.from, WATCH);
    wf_sim_kill(there.rt);
    cr_assert_eq(rig_call(&here, p.to, 0), WEFT_OK);
    tell(&here, p.to, FAIL);
    (void)rig_join(&here, p.to);
    cr_assert_eq(p.watcher.downs, 0);
    pair_close(&p);
    rig_close(&here);
}

Test(monitor, among_the_actors_of_a_node_that_crashes_is_freed_once)
{
    struct rig rig = rig_open(true, 1);
    struct pair p;
    pair_open(&p, &rig); /* the watched one is the first in the runtime's list */
    tell(&rig, p.from, WATCH);
    tell(&rig, p.from, WATCH);
    wf_sim_kill(rig.rt);
    cr_assert_eq(p.watcher.downs, 0);
    pair_close(&p);
    wf_sim_destroy(rig.sim);
}
