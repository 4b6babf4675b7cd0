/* SPDX-License-Identifier: Apache-2.0
 * actor_work.c - what every workload of actors does: spawn, send, count, say what is wrong.
 * Called by: the workloads, from inside their actors too. May touch: struct work.
 * Never: waits. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <weft/group.h>
#include <weft/supervise.h>

#include "actor.h"

#define PLANTED_SEQ 20u /* the message that --sabotage breaks, of the first pair */

/* Children can be spawned by their parent alone, on its thread: it does so when asked. */
struct birth {
    weft_request req;
    const weft_spec *spec;
    weft_addr *addr;
};
static const weft_kind birth_kind = {0x6c03, "stress.birth", sizeof(struct birth), NULL};

static weft_verdict host_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)state;
    if (msg->kind != &birth_kind) return WEFT_DONE;
    struct birth *birth = (struct birth *)msg;
    weft_reply(&birth->req, weft_spawn_child(self, birth->spec, &birth->addr));
    return WEFT_KEPT;
}

static weft_err spawn_by_host(struct work *w, const weft_spec *spec, weft_addr **out)
{
    struct birth birth = {.spec = spec};
    weft_request *back = NULL;
    weft_msg_init(&birth.req.msg, &birth_kind);
    weft_err err = weft_call(w->host, &birth.req, WEFT_NEVER, &back, NULL);
    if (err == WEFT_OK) *out = birth.addr;
    return err;
}

void work_open(struct work *w)
{
    weft_err err = WEFT_OK;
    weft_group_spec group = {.name = "stress", .workers = w->options->workers};
    weft_spec host = {.name = "host", .handle = host_handle};
    if (w->options->place == PLACE_GROUP) err = weft_group_create(w->rt, &group, &w->group);
    if (w->options->place == PLACE_PARENT) err = weft_spawn(w->rt, &host, &w->host);
    if (err != WEFT_OK) work_fault(w, "no place for actors: %s", weft_strerror(err));
}

void work_place(const struct work *w, weft_spec *spec)
{
    static const weft_place places[PLACE_COUNT] = {WEFT_PLACE_THREAD, WEFT_PLACE_PARENT,
                                                   WEFT_PLACE_GROUP};
    static const weft_overflow overflows[OVERFLOW_COUNT] = {WEFT_REJECT, WEFT_REJECT, WEFT_DROP_NEW,
                                                            WEFT_DROP_OLD};
    spec->place = places[w->options->place];
    spec->group = w->group;
    spec->overflow = overflows[w->options->overflow];
    if (spec->mailbox == 0) spec->mailbox = w->shape.mailbox;
}

bool work_spawn(struct work *w, const weft_spec *spec, weft_addr **out)
{
    weft_spec copy = *spec;
    work_place(w, &copy);
    weft_err err = w->host != NULL ? spawn_by_host(w, &copy, out) : weft_spawn(w->rt, &copy, out);
    if (err != WEFT_OK) work_fault(w, "%s cannot be spawned: %s", spec->name, weft_strerror(err));
    return err == WEFT_OK;
}

bool work_stopping(const struct work *w)
{
    return __atomic_load_n(&w->stopping, __ATOMIC_ACQUIRE) != 0;
}

bool work_measuring(const struct work *w)
{
    return __atomic_load_n(&w->measuring, __ATOMIC_RELAXED) != 0;
}

/* Release: what a sender counted is seen by whoever sees that it has finished. */
void work_producing(struct work *w, int more)
{
    __atomic_fetch_add(&w->producing, (uint32_t)more, __ATOMIC_ACQ_REL);
}

static void fault(struct work *w, int code, const char *format, va_list args)
{
    if (__atomic_fetch_add(&w->faults, 1, __ATOMIC_ACQ_REL) > 0) return;
    w->fault_code = code; /* read when all threads have ended */
    vsnprintf(w->fault, sizeof w->fault, format, args);
}

void work_fault(struct work *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault(w, EXIT_BROKEN, format, args);
    va_end(args);
}

void work_fail(struct work *w, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fault(w, code, format, args);
    va_end(args);
}

void work_note(struct work *w, const char *name, uint64_t value)
{
    if (w->notes_count < LOAD_NOTES_MAX) w->notes[w->notes_count++] = (struct note){name, value};
}

void work_done(struct work *w, struct meter *m, uint64_t due_ns, uint64_t sent_ns)
{
    __atomic_store_n(&m->ops, m->ops + 1, __ATOMIC_RELAXED);
    if (due_ns == 0 || !work_measuring(w)) return;
    uint64_t now = kit_now_ns();
    hist_add(&m->latency, now > due_ns ? now - due_ns : 0);
    if (w->options->rate_given) hist_add(&m->service, now > sent_ns ? now - sent_ns : 0);
}

static void number(struct work *w, struct load_msg *m, uint32_t from, uint32_t to)
{
    m->from = from;
    m->to = to;
    m->seq = check_next(&w->check, from, to);
}

struct load_msg *work_message(struct work *w, uint32_t from, uint32_t to, uint64_t due_ns)
{
    struct load_msg *m = (struct load_msg *)weft_new(&w->kind);
    if (m == NULL) {
        work_fault(w, "no memory for a message");
        return NULL;
    }
    number(w, m, from, to);
    m->sent_ns = kit_now_ns();
    m->due_ns = due_ns == 0 ? m->sent_ns : due_ns;
    m->len = w->kind.size - sizeof *m;
    for (uint64_t i = 0; i < m->len / 8; i++) m->payload[i] = m->seq + i;
    check_seal(m);
    return m;
}

void work_reuse(struct work *w, struct load_msg *m, uint32_t from, uint32_t to)
{
    number(w, m, from, to);
    m->sent_ns = m->due_ns = kit_now_ns();
    check_seal(m);
}

static struct load_msg *copy_of(struct work *w, const struct load_msg *m)
{
    struct load_msg *copy = (struct load_msg *)weft_new(&w->kind);
    if (copy == NULL) return NULL;
    size_t head = sizeof copy->msg;
    memcpy((uint8_t *)copy + head, (const uint8_t *)m + head, w->kind.size - head);
    return copy;
}

/* Two numbers change places: the later message seems to come first. */
static void relabel(struct load_msg *m, uint64_t seq)
{
    m->seq = seq == PLANTED_SEQ ? PLANTED_SEQ + 1 : PLANTED_SEQ;
    check_seal(m);
}

/* As weft_send, after doing what was asked to the one message. A refused one can be sent again. */
static weft_err send_broken(struct work *w, weft_addr *to, struct load_msg *m, uint64_t seq)
{
    enum sabotage what = w->options->broken;
    struct load_msg *twin = NULL;
    if (what == SABOTAGE_REORDER) relabel(m, seq);
    if (seq != PLANTED_SEQ) return weft_send(to, &m->msg);
    if (what == SABOTAGE_LOSE) {
        weft_drop(&m->msg);
        __atomic_store_n(&w->sabotage_left, 0, __ATOMIC_RELEASE);
        return WEFT_OK;
    }
    if (what == SABOTAGE_CORRUPT) m->check ^= 1;
    if (what == SABOTAGE_DUP) twin = copy_of(w, m);
    weft_err err = weft_send(to, &m->msg);
    if (err != WEFT_OK && what == SABOTAGE_CORRUPT) m->check ^= 1;
    bool done = err == WEFT_OK && what != SABOTAGE_DUP;
    if (twin != NULL) {
        done = err == WEFT_OK && weft_send(to, &twin->msg) == WEFT_OK;
        if (!done) weft_drop(&twin->msg);
    }
    if (done) __atomic_store_n(&w->sabotage_left, 0, __ATOMIC_RELEASE);
    return err;
}

weft_err work_send(struct work *w, weft_addr *to, struct load_msg *m)
{
    uint32_t from = m->from, target = m->to;
    uint64_t seq = check_next(&w->check, from, target); /* m->seq may be a changed one */
    uint32_t first = w->check.receivers > 1 ? 1 : 0;
    bool broken = w->options->broken != SABOTAGE_NONE && from == 0 && target == first &&
                  (seq == PLANTED_SEQ || seq == PLANTED_SEQ + 1);
    weft_err err = broken ? send_broken(w, to, m, seq) : weft_send(to, &m->msg);
    if (err == WEFT_OK) check_sent(&w->check, from, target, seq);
    return err;
}
