/* SPDX-License-Identifier: Apache-2.0
 * super.h - what a parent decides about its children: a pure state machine.
 * One event in, a few effects out; no clock, memory or thread of its own. The rules are those
 * of OTP's supervisor (restart types, strategies, intensity and period), with waits that
 * double between restarts and an ordered stop.
 * Called by: child.c; tests. */
#ifndef WF_SUPER_H
#define WF_SUPER_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/actor.h>

enum wf_child_state {
    WF_CHILD_UP,       /* runs                                            */
    WF_CHILD_HALTING,  /* told to halt, or to stop if it is TEMPORARY     */
    WF_CHILD_DOWN,     /* halted, by us or by a failure; keeps its mail   */
    WF_CHILD_STARTING, /* told to start again                             */
    WF_CHILD_DRAINING, /* told to stop                                    */
    WF_CHILD_STOPPING, /* told to stop now                                */
    WF_CHILD_LOST      /* reported: it did not stop in time               */
};

/* One child; the caller's memory, in the list from SPAWNED to GONE. */
struct wf_super_child {
    weft_restart restart;
    weft_ns grace;
    /* The rest belongs to super.c. */
    enum wf_child_state state;
    uint32_t failures; /* in a row                            */
    weft_ns up_since;
    weft_ns due;                        /* of its next start, while it waits   */
    uint64_t order;                     /* of spawning                         */
    struct wf_super_child *prev, *next; /* all children, in that order         */
    struct wf_super_child *next_due;    /* ONE_FOR_ONE: who waits, soonest first */
};

struct wf_super_rules {
    weft_strategy strategy;
    uint32_t intensity; /* 1.. */
    weft_ns period, backoff_min, backoff_max;
};

enum wf_super_phase { WF_SUPER_CALM, WF_SUPER_HALTS, WF_SUPER_STARTS };

struct wf_super {
    struct wf_super_rules rules;
    weft_ns *restarts; /* a ring of `intensity` times; the caller's memory */
    uint32_t restart_count, restart_next;
    struct wf_super_child *first, *last;
    uint32_t count;
    uint64_t spawned;
    struct wf_super_child *waiting; /* ONE_FOR_ONE */
    enum wf_super_phase phase;      /* REST_FOR_ONE, ONE_FOR_ALL: one restart of several */
    uint64_t from;                  /* of all children from this order on                */
    struct wf_super_child *cursor;  /* how far that has come                             */
    uint32_t answers;               /* children that were told to halt or to start       */
    weft_ns due;                    /* not started before; stopping: the current one's grace */
    struct wf_super_child *halting; /* who was told last, until it answers or is late    */
    weft_ns late_at;
    bool failed; /* the intensity was exceeded: nothing is restarted  */
    bool stopping, done;
    weft_stop_mode mode;
    struct wf_super_child *current; /* stopping: who is waited for */
};

enum wf_super_what {
    WF_SUPER_SPAWNED, /* child, now                                        */
    WF_SUPER_EXITED,  /* child, now, random: it has halted, by itself or because it was told */
    WF_SUPER_READY,   /* child, now, err: what its init answered; random   */
    WF_SUPER_GONE,    /* child, now: it has ended for good                 */
    WF_SUPER_DUE,     /* now                                               */
    WF_SUPER_STOP     /* now, mode: stop all children; again with NOW: make haste */
};

struct wf_super_event {
    enum wf_super_what what;
    struct wf_super_child *child;
    weft_err err;
    weft_stop_mode mode;
    weft_ns now;
    uint64_t random;
};

enum wf_super_do {
    WF_SUPER_RESTART, /* child                                       */
    WF_SUPER_HALT,    /* child                                       */
    WF_SUPER_CHILD,   /* stop it: child, mode                        */
    WF_SUPER_REPORT,  /* child: it did not stop in time              */
    WF_SUPER_LATE,    /* child: a restart of several waits for it, longer than its grace; once */
    WF_SUPER_FAIL,    /* the parent fails with LIMIT                 */
    WF_SUPER_DONE     /* every child is gone or reported             */
};

struct wf_super_effect {
    enum wf_super_do what;
    struct wf_super_child *child;
    weft_stop_mode mode;
};

#define WF_SUPER_EFFECTS_MAX 4u

struct wf_super_effects {
    struct wf_super_effect list[WF_SUPER_EFFECTS_MAX];
    uint32_t count;
};

/* `restarts` has room for rules->intensity times and outlives `super`. */
void wf_super_init(struct wf_super *super, const struct wf_super_rules *rules, weft_ns *restarts);

/* The parent begins a new life after DONE: who is still in the list was left behind. */
void wf_super_again(struct wf_super *super);

/* One event; *out is what has to be done for it, in that order. */
void wf_super_step(struct wf_super *super, const struct wf_super_event *event,
                   struct wf_super_effects *out);

/* When DUE is wanted; it may have passed already: then there is more to do. WEFT_NEVER. */
weft_ns wf_super_next(const struct wf_super *super);

#endif
