/* SPDX-License-Identifier: Apache-2.0
 * super.c - what a parent decides about its children.
 * Called by: child.c with events, tests. May touch: the supervisor and its list.
 * Never: reads a clock, allocates, sends. Every step yields at most a few effects: children
 * are halted, started and stopped one after another, each when the one before has answered. */
#include "super.h"

#include <string.h>

#include "log.h"

void wf_super_init(struct wf_super *super, const struct wf_super_rules *rules, weft_ns *restarts)
{
    WF_ASSERT(rules->intensity > 0 && rules->backoff_min <= rules->backoff_max);
    memset(super, 0, sizeof *super);
    super->rules = *rules;
    super->restarts = restarts;
    super->due = WEFT_NEVER;
}

void wf_super_again(struct wf_super *super)
{
    WF_ASSERT(super->done && super->current == NULL);
    super->failed = super->stopping = super->done = false;
    super->mode = WEFT_DRAIN;
    super->phase = WF_SUPER_CALM;
    super->due = WEFT_NEVER;
    super->cursor = super->waiting = super->halting = NULL;
    super->answers = super->restart_count = super->restart_next = 0;
}

static void emit(struct wf_super_effects *out, enum wf_super_do what, struct wf_super_child *child,
                 weft_stop_mode mode)
{
    WF_ASSERT(out->count < WF_SUPER_EFFECTS_MAX);
    out->list[out->count++] = (struct wf_super_effect){.what = what, .child = child, .mode = mode};
}

static weft_ns later(weft_ns now, weft_ns wait)
{
    return wait > WEFT_NEVER - now ? WEFT_NEVER : now + wait;
}

/* Who is told to halt or to start owes an answer. */
static bool is_busy(enum wf_child_state state)
{
    return state == WF_CHILD_HALTING || state == WF_CHILD_STARTING;
}

static void move(struct wf_super *super, struct wf_super_child *child, enum wf_child_state state)
{
    if (is_busy(child->state)) super->answers--;
    if (is_busy(state)) super->answers++;
    if (super->halting == child) super->halting = NULL;
    child->state = state;
}

/* -- The list ------------------------------------------------------------------ */

static void append(struct wf_super *super, struct wf_super_child *child, weft_ns now)
{
    child->state = WF_CHILD_UP;
    child->failures = 0;
    child->up_since = now;
    child->order = ++super->spawned;
    child->prev = super->last;
    child->next = child->next_due = NULL;
    if (super->last == NULL) super->first = child;
    else super->last->next = child;
    super->last = child;
    super->count++;
}

static void forget_due(struct wf_super *super, struct wf_super_child *child)
{
    struct wf_super_child **at = &super->waiting;
    while (*at != NULL && *at != child) at = &(*at)->next_due;
    if (*at != NULL) *at = child->next_due;
    child->next_due = NULL;
}

static void take_out(struct wf_super *super, struct wf_super_child *child)
{
    forget_due(super, child);
    if (super->cursor == child)
        super->cursor = super->phase == WF_SUPER_HALTS ? child->prev : child->next;
    if (child->prev == NULL) super->first = child->next;
    else child->prev->next = child->next;
    if (child->next == NULL) super->last = child->prev;
    else child->next->prev = child->prev;
    child->prev = child->next = NULL;
    super->count--;
    if (is_busy(child->state)) super->answers--;
    if (super->current == child) super->current = NULL;
    if (super->halting == child) super->halting = NULL;
}

static void wait_due(struct wf_super *super, struct wf_super_child *child)
{
    struct wf_super_child **at = &super->waiting;
    while (*at != NULL && (*at)->due <= child->due) at = &(*at)->next_due;
    child->next_due = *at;
    *at = child;
}

/* -- Failures -------------------------------------------------------------------- */

/* False if this restart is one too many: `intensity` others lie in the last `period`. */
static bool within_intensity(struct wf_super *super, weft_ns now)
{
    uint32_t room = super->rules.intensity;
    /* The ring holds the latest `intensity` restarts; where the next goes is the oldest. */
    weft_ns oldest = super->restarts[super->restart_next];
    if (super->restart_count == room && now - oldest < super->rules.period) return false;
    super->restarts[super->restart_next] = now;
    super->restart_next = (super->restart_next + 1) % room;
    if (super->restart_count < room) super->restart_count++;
    return true;
}

/* Doubled by each failure in a row, then moved by up to a quarter either way, so that children
 * that failed together do not come back together. Never above the greatest. */
static weft_ns backoff(const struct wf_super *super, uint32_t failures, uint64_t random)
{
    weft_ns wait = super->rules.backoff_min, most = super->rules.backoff_max;
    for (uint32_t n = 1; n < failures && wait < most; n++) wait = wait > most / 2 ? most : wait * 2;
    weft_ns quarter = wait / 4;
    wait = wait - quarter + (quarter == 0 ? 0 : random % (2 * quarter + 1));
    return wait < most ? wait : most;
}

static void failure(struct wf_super *super, struct wf_super_child *child,
                    const struct wf_super_event *event, struct wf_super_effects *out)
{
    bool was_up = child->state == WF_CHILD_UP;
    move(super, child, WF_CHILD_DOWN);
    if (super->stopping || super->failed) return;
    if (!within_intensity(super, event->now)) {
        super->failed = true;
        emit(out, WF_SUPER_FAIL, NULL, WEFT_DRAIN);
        return;
    }
    if (was_up && event->now - child->up_since >= super->rules.period) child->failures = 0;
    if (child->failures < UINT32_MAX) child->failures++;
    child->due = later(event->now, backoff(super, child->failures, event->random));
    if (super->rules.strategy == WEFT_ONE_FOR_ONE) {
        wait_due(super, child);
        return;
    }
    /* REST_FOR_ONE: the rest begins at the first that is not up. While they halt that is the
     * first of all that failed; once they start again, all before the cursor are up. */
    uint64_t from = super->rules.strategy == WEFT_ONE_FOR_ALL ? 0 : child->order;
    if (super->phase == WF_SUPER_STARTS && super->cursor != NULL && super->cursor->order < from)
        from = super->cursor->order;
    if (super->phase != WF_SUPER_HALTS || from < super->from) super->from = from;
    if (super->phase != WF_SUPER_HALTS || child->due > super->due) super->due = child->due;
    if (super->phase != WF_SUPER_HALTS) super->cursor = super->last;
    super->phase = WF_SUPER_HALTS;
}

/* -- What to do next ------------------------------------------------------------------ */

/* Backwards over all from `from` on. Whom we pass is down, or was spawned meanwhile. */
static void halt_next(struct wf_super *super, weft_ns now, struct wf_super_effects *out)
{
    struct wf_super_child *child = super->cursor;
    while (child != NULL && child->order >= super->from && child->state != WF_CHILD_UP)
        child = child->prev;
    super->cursor = child;
    if (child != NULL && child->order >= super->from) {
        move(super, child, WF_CHILD_HALTING);
        super->halting = child;
        super->late_at = child->grace == 0 ? WEFT_NEVER : later(now, child->grace);
        if (child->restart == WEFT_TEMPORARY) emit(out, WF_SUPER_CHILD, child, WEFT_NOW);
        else emit(out, WF_SUPER_HALT, child, WEFT_NOW);
        return;
    }
    if (super->due > now) return;
    super->phase = WF_SUPER_STARTS;
    super->cursor = child == NULL ? super->first : child->next;
}

/* Forwards, over all that are down. */
static void start_next(struct wf_super *super, struct wf_super_effects *out)
{
    struct wf_super_child *child = super->cursor;
    while (child != NULL && child->state != WF_CHILD_DOWN) child = child->next;
    super->cursor = child;
    if (child != NULL) {
        move(super, child, WF_CHILD_STARTING);
        emit(out, WF_SUPER_RESTART, child, WEFT_DRAIN);
        return;
    }
    super->phase = WF_SUPER_CALM;
    super->due = WEFT_NEVER;
}

static void restart_due(struct wf_super *super, weft_ns now, struct wf_super_effects *out)
{
    while (super->waiting != NULL && super->waiting->due <= now &&
           out->count < WF_SUPER_EFFECTS_MAX) {
        struct wf_super_child *child = super->waiting;
        forget_due(super, child);
        move(super, child, WF_CHILD_STARTING);
        emit(out, WF_SUPER_RESTART, child, WEFT_DRAIN);
    }
}

static void stop_one(struct wf_super *super, struct wf_super_child *child, weft_stop_mode mode,
                     weft_ns now, struct wf_super_effects *out)
{
    move(super, child, mode == WEFT_NOW ? WF_CHILD_STOPPING : WF_CHILD_DRAINING);
    super->current = child;
    super->due = later(now, child->grace);
    emit(out, WF_SUPER_CHILD, child, mode);
}

static void stop_next(struct wf_super *super, weft_ns now, struct wf_super_effects *out)
{
    struct wf_super_child *child = super->current;
    if (child != NULL && child->state == WF_CHILD_DRAINING &&
        (super->due <= now || super->mode == WEFT_NOW)) {
        stop_one(super, child, WEFT_NOW, now, out);
        return;
    }
    if (child != NULL && super->due > now) return;
    if (child != NULL) {
        child->state = WF_CHILD_LOST;
        super->current = NULL;
        emit(out, WF_SUPER_REPORT, child, WEFT_NOW);
    }
    for (child = super->last; child != NULL; child = child->prev) {
        if (child->state == WF_CHILD_LOST) continue;
        stop_one(super, child, super->mode, now, out);
        return;
    }
    super->due = WEFT_NEVER;
    if (!super->done) emit(out, WF_SUPER_DONE, NULL, WEFT_DRAIN);
    super->done = true;
}

static void advance(struct wf_super *super, weft_ns now, struct wf_super_effects *out)
{
    if (super->stopping) {
        stop_next(super, now, out);
        return;
    }
    if (super->failed) return;
    restart_due(super, now, out);
    if (super->halting != NULL && super->late_at <= now) {
        emit(out, WF_SUPER_LATE, super->halting, WEFT_NOW);
        super->halting = NULL; /* and waited for all the same */
    }
    if (super->phase == WF_SUPER_CALM || super->answers > 0) return;
    if (super->phase == WF_SUPER_HALTS) halt_next(super, now, out);
    if (super->phase == WF_SUPER_STARTS) start_next(super, out);
}

void wf_super_step(struct wf_super *super, const struct wf_super_event *event,
                   struct wf_super_effects *out)
{
    struct wf_super_child *child = event->child;
    out->count = 0;
    switch (event->what) {
    case WF_SUPER_SPAWNED: append(super, child, event->now); break;
    case WF_SUPER_EXITED:
        /* Whom we told to halt was to go down anyway: that is no failure of its own. */
        if (child->state == WF_CHILD_HALTING) move(super, child, WF_CHILD_DOWN);
        else if (child->state == WF_CHILD_UP) failure(super, child, event, out);
        break;
    case WF_SUPER_READY:
        if (child->state != WF_CHILD_STARTING) break;
        if (event->err != WEFT_OK) {
            failure(super, child, event, out);
            break;
        }
        move(super, child, WF_CHILD_UP);
        child->up_since = event->now;
        break;
    case WF_SUPER_GONE: take_out(super, child); break;
    case WF_SUPER_DUE: break;
    case WF_SUPER_STOP:
        super->stopping = true;
        super->mode = event->mode;
        break;
    }
    advance(super, event->now, out);
}

weft_ns wf_super_next(const struct wf_super *super)
{
    if (super->stopping) return super->current == NULL ? WEFT_NEVER : super->due;
    if (super->failed) return WEFT_NEVER;
    if (super->waiting != NULL) return super->waiting->due;
    if (super->phase != WF_SUPER_HALTS) return WEFT_NEVER;
    if (super->answers > 0) return super->halting == NULL ? WEFT_NEVER : super->late_at;
    return super->due;
}
