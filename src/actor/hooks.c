/* SPDX-License-Identifier: Apache-2.0
 * hooks.c - what happens in the runtime, told to whoever looks on.
 * Called by: hooks.h's calls, on the thread where it happens, only while somebody looks.
 * May touch: the message that is pushed, the actor whose thread this is, this thread's track.
 * Never: blocks; the runtime of a receiver, which may be gone already: its class is not. */
#include "hooks.h"

/* A pointer of 32 bits holds microseconds, about, and differences of an hour. */
#define STAMP_SHIFT (sizeof(void *) < 8 ? 10 : 0)

uint64_t wf_hooks;
static uint32_t actors;

const weft_kind wf_kind_init = {.name = "weft.init", .size = sizeof(weft_msg)};
const weft_kind wf_kind_fini = {.name = "weft.fini", .size = sizeof(weft_msg)};
const weft_kind wf_kind_timer = {.name = "weft.timer", .size = sizeof(weft_msg)};
const weft_kind wf_kind_fd = {.name = "weft.fd", .size = sizeof(weft_msg)};
const weft_kind wf_kind_timeout = {.name = "weft.timeout", .size = sizeof(weft_msg)};

/* Relaxed: whoever wants to see an event for certain switches on before it begins. */
void wf_hooks_want(uint64_t which) { (void)wf_add(&wf_hooks, which & -which, WF_RELAXED); }

void wf_hooks_unwant(uint64_t which) { (void)wf_sub(&wf_hooks, which & -which, WF_RELAXED); }

uint32_t wf_actor_number(void)
{
    uint32_t number;
    do {
        number = wf_add(&actors, 1, WF_RELAXED) + 1;
    } while ((number & WF_FROM_MAX) == 0);
    return number;
}

static uint32_t from_of(const weft_msg *msg)
{
    return msg == NULL ? 0 : msg->flags >> WF_MSG_FROM_SHIFT;
}

/* -- Telling ------------------------------------------------------------------------- */

static void tell(const struct wf_class *class, struct wf_track *track, uint64_t on,
                 weft_trace_event *event, const weft_kind *kind)
{
    event->thread = track == NULL ? 0 : track->number;
    if (on & WF_HOOK_FLIGHT && track != NULL) wf_flight_record(track, event, kind);
    if (!(on & WF_HOOK_TRACE)) return;
    if (class->simulated) event->thread = 0; /* a replay tells the same */
    class->trace_fn(class->trace_arg, event);
}

/* What is wanted of actors of this class; of a plain thread's box only the recorder is. */
static uint64_t wanted(const struct wf_class *class)
{
    uint64_t on = wf_load(&wf_hooks, WF_RELAXED);
    uint64_t own = class == NULL ? 0 : wf_load(&class->hooks, WF_RELAXED);
    return on & (own | WF_HOOK_FLIGHT | WF_HOOK_WATCH);
}

static void push_one(weft_addr *to, weft_msg *msg, const struct wf_class *class, uint64_t on,
                     weft_trace_event *event)
{
    if (on & WF_HOOK_MEASURE && !(msg->flags & (WF_MSG_SYSTEM | WF_MSG_CREDIT))) {
        msg->ctx = (void *)(uintptr_t)(event->at >> STAMP_SHIFT);
        msg->flags |= WF_MSG_TIMED;
    }
    uint32_t from = event->from << WF_MSG_FROM_SHIFT;
    msg->flags = (msg->flags & ~(WF_FROM_MAX << WF_MSG_FROM_SHIFT)) | from;
    if (!(on & (WF_HOOK_TRACE | WF_HOOK_FLIGHT)) || msg->flags & WF_MSG_CREDIT) return;
    bool reply = wf_load(&msg->state, WF_RELAXED) == WF_REQ_REPLIED;
    event->what = reply ? WEFT_TRACE_REPLY : WEFT_TRACE_SEND;
    event->actor = to->self == NULL ? 0 : to->number;
    event->name = weft_addr_name(to);
    event->kind = msg->kind->name;
    event->msg = msg;
    tell(class, wf_track_mine(), on, event, msg->kind);
}

void wf_hooks_push(weft_addr *to, weft_msg *newest, weft_msg *oldest)
{
    /* It will be refused; and the world of a closed mailbox may be gone, its clock too. */
    if (wf_mailbox_is_closed(to)) return;
    const weft_self *self = wf_self_current();
    const struct wf_class *class = to->self != NULL ? to->self->class
                                   : self != NULL   ? self->class
                                                    : NULL;
    uint64_t on = wanted(class);
    weft_trace_event event = {.from = self == NULL ? 0 : self->addr->number & WF_FROM_MAX};
    if (on & WF_HOOK_CLOCK) event.at = wf_port_now(to->port);
    weft_msg *msg = newest;
    for (;; msg = msg->next) {
        push_one(to, msg, class, on, &event);
        if (msg == oldest) return;
    }
}

void wf_hooks_note(weft_self *self, weft_trace_what what, const weft_kind *kind)
{
    uint64_t on = wanted(self->class);
    if (!(on & (WF_HOOK_TRACE | WF_HOOK_FLIGHT))) return;
    weft_trace_event event = {.at = wf_port_now(self->port),
                              .what = what,
                              .actor = self->addr->number,
                              .name = self->class->name,
                              .kind = kind == NULL ? NULL : kind->name};
    tell(self->class, wf_track_mine(), on, &event, kind);
}

/* -- Measuring ------------------------------------------------------------------------- */

static void store_max(weft_ns *max, weft_ns value)
{
    if (value > wf_load(max, WF_RELAXED)) wf_store(max, value, WF_RELAXED);
}

static void add_ns(weft_ns *sum, weft_ns value)
{
    wf_store(sum, wf_load(sum, WF_RELAXED) + value, WF_RELAXED);
}

/* When it was sent, by today's clock; 0: nobody took the time. */
static weft_ns sent_at(const weft_msg *msg, weft_ns now)
{
    if (msg == NULL || !(msg->flags & WF_MSG_TIMED)) return 0;
    uintptr_t stamp = (uintptr_t)msg->ctx, today = (uintptr_t)(now >> STAMP_SHIFT);
    return now - ((weft_ns)(today - stamp) << STAMP_SHIFT);
}

static void measure_begin(weft_self *self, const weft_msg *msg, weft_ns now)
{
    struct wf_ext *ext = wf_ext(self);
    weft_ns sent = sent_at(msg, now);
    if (ext == NULL || sent == 0) return;
    add_ns(&ext->more.wait_sum, now - sent);
    store_max(&ext->more.wait_max, now - sent);
    wf_store(&ext->oldest_at, sent, WF_RELAXED);
}

static void measure_end(weft_self *self, weft_ns began, weft_ns now)
{
    struct wf_ext *ext = self->ext;
    if (ext == NULL) return;
    add_ns(&ext->more.busy, now - began);
    wf_store(&ext->oldest_at, sent_at(self->lanes.user.first, now), WF_RELAXED);
}

void wf_hooks_turn(weft_self *self)
{
    struct wf_ext *ext = wanted(self->class) & WF_HOOK_MEASURE ? wf_ext(self) : NULL;
    if (ext == NULL) return;
    wf_count(&ext->more.turns);
    if (ext->was_idle && wf_load(&self->addr->head, WF_RELAXED) != WF_BOX_EMPTY)
        wf_count(&ext->more.wakes);
    ext->was_idle = false;
}

void wf_hooks_idle(weft_self *self)
{
    if (self->ext != NULL) self->ext->was_idle = true;
}

/* -- Callbacks --------------------------------------------------------------------------- */

void wf_hooks_begin(struct wf_span *span, weft_self *self, const weft_kind *kind,
                    const weft_msg *msg)
{
    uint64_t on = wanted(self->class);
    weft_ns now = on & WF_HOOK_CLOCK ? wf_port_now(self->port) : 0;
    *span = (struct wf_span){.on = on, .kind = kind, .msg = msg, .began = now};
    if (on & ~WF_HOOK_MEASURE) span->track = wf_track_mine();
    if (on & WF_HOOK_MEASURE) measure_begin(self, msg, now);
    if (on & WF_HOOK_WATCH && span->track != NULL) {
        const struct wf_seat seat = {.kind = kind,
                                     .rt = self->rt,
                                     .actor = self->addr->number,
                                     .from = from_of(msg),
                                     .class = self->class};
        span->before = wf_track_sit(span->track, &seat);
    }
    if (!(on & (WF_HOOK_TRACE | WF_HOOK_FLIGHT))) return;
    weft_trace_event event = {.at = now,
                              .what = WEFT_TRACE_BEGIN,
                              .actor = self->addr->number,
                              .from = from_of(msg),
                              .name = self->class->name,
                              .kind = kind->name,
                              .msg = msg};
    tell(self->class, span->track, on, &event, kind);
}

void wf_hooks_end(struct wf_span *span, weft_self *self)
{
    uint64_t on = span->on;
    weft_ns now = on & WF_HOOK_CLOCK ? wf_port_now(self->port) : 0;
    if (on & WF_HOOK_MEASURE) measure_end(self, span->began, now);
    if (on & WF_HOOK_WATCH && span->track != NULL) (void)wf_track_sit(span->track, &span->before);
    if (!(on & (WF_HOOK_TRACE | WF_HOOK_FLIGHT))) return;
    weft_trace_event event = {.at = now,
                              .what = WEFT_TRACE_END,
                              .actor = self->addr->number,
                              .name = self->class->name,
                              .kind = span->kind->name,
                              .msg = span->msg};
    tell(self->class, span->track, on, &event, span->kind);
}
