/* SPDX-License-Identifier: Apache-2.0
 * actor_flow.c - fanin, fanout, mesh, big, bounded: many messages one way.
 * Called by: actor_run.c; actor_time.c uses the senders. May touch: its actors.
 * Never: waits for room; a refused sender is told when there is some. */
#include "actor_flow.h"

#include <stdlib.h>

#define BATCH 256u    /* messages of a sender before others have a turn */
#define WORK_NS 2000u /* of the slow receiver of `bounded`, for each message */
#define GATE_NS (WEFT_MS)

const weft_kind flow_room = {0x6c01, "stress.room", sizeof(weft_msg), NULL};

struct flow_actor {
    struct flow_sender sender; /* first: see flow_on_room */
    struct meter *m;
    struct work *w;
    uint32_t to;
};

/* -- Sending ---------------------------------------------------------------------------- */

static void finish(struct flow_sender *s)
{
    if (s->held != NULL) weft_drop(&s->held->msg); /* it was never sent */
    s->held = NULL;
    work_producing(s->w, -1);
}

static uint32_t next_target(struct flow_sender *s)
{
    uint32_t count = s->flow->targets_count;
    if (!s->flow->random) return s->turn++ % count;
    uint32_t at = (uint32_t)kit_rng_below(&s->rng, count - 1);
    return at >= s->me ? at + 1 : at;
}

/* true: go on; false: the room message will. */
static bool refused(weft_self *self, struct flow_sender *s)
{
    struct work *w = s->w;
    __atomic_store_n(&s->m->refused, s->m->refused + 1, __ATOMIC_RELAXED);
    if (w->options->overflow == OVERFLOW_FAIL) {
        weft_drop(&s->held->msg);
        s->held = NULL;
        return true;
    }
    weft_msg_init(&s->room, &flow_room);
    weft_err err = weft_notify_credit(self, s->flow->targets[s->held->to], &s->room);
    if (err == WEFT_OK) return false;
    work_fault(w, "no word of room: %s", weft_strerror(err));
    return true;
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

static void produce(weft_self *self, struct flow_sender *s)
{
    struct work *w = s->w;
    uint64_t next = 0;
    for (uint32_t n = 0; n < BATCH; n++) {
        if (work_stopping(w)) {
            finish(s);
            return;
        }
        if (s->period_ns != 0 && s->due_ns > kit_now_ns()) {
            next = s->due_ns;
            break;
        }
        if (s->held == NULL) s->held = work_message(w, s->me, next_target(s), s->due_ns);
        if (s->held == NULL) break;
        weft_err err = work_send(w, s->flow->targets[s->held->to], s->held);
        if (err == WEFT_OK) s->held = NULL;
        else if (err == WEFT_FULL && !refused(self, s)) return;
        else if (err != WEFT_FULL) work_fault(w, "a send failed: %s", weft_strerror(err));
        if (s->held == NULL) s->due_ns += s->period_ns;
        else break;
        if (err == WEFT_FULL) break; /* refused and dropped: let the receiver work */
    }
    /* At once where no rate holds it back, but after what the mailbox holds. */
    weft_timer_set(self, &s->tick, next == 0 ? weft_now(self) : next, 0, on_tick);
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)timer, (void)missed;
    struct flow_sender *s = state;
    if (__atomic_load_n(&s->flow->ready, __ATOMIC_ACQUIRE) == 0) {
        weft_timer_set(self, &s->tick, weft_now(self) + GATE_NS, 0, on_tick);
        return;
    }
    if (s->period_ns != 0 && s->due_ns == 0)
        s->due_ns = kit_now_ns() + kit_rng_below(&s->rng, s->period_ns);
    produce(self, s);
}

void flow_on_room(weft_self *self, struct flow_sender *s) { produce(self, s); }

void flow_send_begin(weft_self *self, struct flow_sender *s, const struct flow_seat *seat)
{
    struct work *w = seat->w;
    *s = (struct flow_sender){.w = w,
                              .flow = seat->flow,
                              .m = &w->meters[seat->meter],
                              .me = seat->from,
                              .rng = kit_rng_for(w->seed, 'f', seat->from)};
    if (w->options->rate_given) s->period_ns = WEFT_SEC * w->check.senders / w->options->rate;
    work_producing(w, 1);
    weft_timer_set(self, &s->tick, weft_now(self), 0, on_tick);
}

/* -- Receiving --------------------------------------------------------------------------- */

static weft_err actor_init(weft_self *self, void *state, void *arg)
{
    struct flow_actor *a = state;
    const struct flow_seat *seat = arg;
    a->w = seat->w;
    a->m = &seat->w->meters[seat->meter];
    a->to = seat->to;
    if (seat->from != UINT32_MAX) flow_send_begin(self, &a->sender, seat);
    return WEFT_OK;
}

/* No more than the mailbox holds may be sent and not yet handled: this one included. One that
 * drops its oldest takes as many again before it does. */
static void slow(struct flow_actor *a)
{
    struct work *w = a->w;
    uint64_t most = w->shape.mailbox;
    if (w->options->overflow == OVERFLOW_DROP_OLD) most *= 2;
    if (check_pending_at(&w->check, a->to) > most)
        work_fault(w, "more than %llu messages were under way to one mailbox",
                   (unsigned long long)most);
    for (uint64_t until = kit_now_ns() + WORK_NS; kit_now_ns() < until;) {}
}

static weft_verdict on_message(weft_self *self, void *state, weft_msg *msg)
{
    struct flow_actor *a = state;
    if (msg->kind == &flow_room) {
        flow_on_room(self, &a->sender);
        return WEFT_KEPT;
    }
    const struct load_msg *m = (const struct load_msg *)msg;
    if (a->w->load == &load_bounded) slow(a);
    check_received(&a->w->check, a->to, m);
    work_done(a->w, a->m, m->due_ns, m->sent_ns);
    return WEFT_DONE;
}

/* -- The workloads ------------------------------------------------------------------------ */

static bool spawn(struct work *w, struct flow *flow, const char *name, struct flow_seat seat,
                  weft_addr **out)
{
    seat.w = w;
    seat.flow = flow;
    weft_spec spec = {.name = name,
                      .handle = on_message,
                      .init = actor_init,
                      .arg = &seat, /* init has read it when work_spawn returns */
                      .state_size = sizeof(struct flow_actor)};
    return work_spawn(w, &spec, out);
}

void flow_spawn_senders(struct work *w, struct flow *flow, uint32_t first_meter)
{
    for (uint32_t i = 0; i < w->shape.producers; i++) {
        weft_addr *sender;
        struct flow_seat seat = {.from = i, .to = UINT32_MAX, .meter = first_meter + i};
        if (!spawn(w, flow, "sender", seat, &sender)) return;
        weft_addr_put(sender);
    }
    __atomic_store_n(&flow->ready, 1, __ATOMIC_RELEASE);
}

void flow_fini(struct flow *flow)
{
    if (flow == NULL) return;
    for (uint32_t i = 0; i < flow->targets_count; i++) weft_addr_put(flow->targets[i]);
    free(flow->targets);
    free(flow);
}

static struct flow *flow_new(struct work *w)
{
    struct flow *flow = w->own = kit_alloc(1, sizeof *flow);
    flow->targets = kit_alloc(w->shape.actors, sizeof(weft_addr *));
    return flow;
}

static void start_one_way(struct work *w)
{
    struct flow *flow = flow_new(w);
    check_init(&w->check, w->shape.producers, w->shape.actors);
    for (uint32_t i = 0; i < w->shape.actors; i++) {
        struct flow_seat seat = {.from = UINT32_MAX, .to = i, .meter = i};
        if (!spawn(w, flow, "receiver", seat, &flow->targets[i])) return;
        flow->targets_count++;
    }
    flow_spawn_senders(w, flow, w->shape.actors);
}

static void start_mesh(struct work *w)
{
    struct flow *flow = flow_new(w);
    if (w->shape.actors < 2) w->shape.actors = 2;
    flow->random = true;
    check_init(&w->check, w->shape.actors, w->shape.actors);
    for (uint32_t i = 0; i < w->shape.actors; i++) {
        struct flow_seat seat = {.from = i, .to = i, .meter = i};
        if (!spawn(w, flow, "mesh", seat, &flow->targets[i])) return;
        flow->targets_count++;
    }
    __atomic_store_n(&flow->ready, 1, __ATOMIC_RELEASE);
}

static void end_flow(struct work *w)
{
    flow_fini(w->own);
    w->own = NULL;
}

static void end_big(struct work *w)
{
    double bytes = (double)w->ops * (double)w->shape.payload;
    if (w->seconds > 0) work_note(w, "MB/s", (uint64_t)(bytes / w->seconds / 1e6));
    end_flow(w);
}

/* Without a refusal there was no back-pressure to be tested. */
static void end_bounded(struct work *w)
{
    if (w->refused + w->checked.dead == 0 && !w->options->rate_given)
        work_fault(w, "no mailbox was ever full");
    end_flow(w);
}

const struct load load_fanin = {.name = "fanin",
                                .unit = "messages",
                                .about = "several senders, one receiver",
                                .shape = {.actors = 1, .producers = 4, .payload = 64},
                                .start = start_one_way,
                                .judge = end_flow};
const struct load load_fanout = {.name = "fanout",
                                 .unit = "messages",
                                 .about = "one sender, several receivers in turn",
                                 .shape = {.actors = 8, .producers = 1, .payload = 64},
                                 .start = start_one_way,
                                 .judge = end_flow};
const struct load load_mesh = {.name = "mesh",
                               .unit = "messages",
                               .about = "everybody sends to everybody, drawn at random",
                               .shape = {.actors = 8, .payload = 64},
                               .start = start_mesh,
                               .judge = end_flow};
const struct load load_big = {
    .name = "big",
    .unit = "messages",
    .about = "payloads of 1 MiB, every byte checked",
    .shape = {.actors = 1, .producers = 2, .payload = 1u << 20, .mailbox = 8},
    .start = start_one_way,
    .judge = end_big};
const struct load load_bounded = {
    .name = "bounded",
    .unit = "messages",
    .about = "senders faster than a receiver with a small mailbox",
    .shape = {.actors = 1, .producers = 4, .payload = 64, .mailbox = 64},
    .start = start_one_way,
    .judge = end_bounded};
