/* SPDX-License-Identifier: Apache-2.0
 * mailbox.c - the tagged-word mailbox.
 * Called by: every sender (push, credit) and the one consumer (the rest).
 * May touch: the messages' next, flags; the port to sleep and to wake.
 * Never: allocates, frees or looks into a message. */
#include "mailbox.h"

#include <assert.h>
#include <string.h>

#include "log.h"

static_assert(sizeof(weft_msg) == 32 || sizeof(void *) != 8, "the header is four words");
static_assert(_Alignof(weft_msg) >= 4, "tags need the two low bits of a message's address");

#define SPIN_DEFAULT_NS 20000u /* about what waking a sleeper costs the two sides    */
#define SPIN_LEAST_NS 200u     /* a few looks at the clock: not worth beginning      */
#define SPIN_PROBE_FIRST 32u   /* idles without a spin before one is tried again ... */
#define SPIN_PROBE_LAST 256u   /* ... and at most, after probes that failed          */
#define SPIN_CHECKS 8u         /* looks at the word between looks at the clock       */

static bool is_tag(uintptr_t word) { return word <= WF_BOX_CLOSED; }

/* The kernel compares 32 bits: the half of the word that holds the tag. No
 * message's address has a tag in its low half, because it is aligned. */
static uint32_t *futex_of(struct wf_mailbox *mb)
{
    uint32_t *halves = (uint32_t *)&mb->head;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return halves + (sizeof mb->head / sizeof *halves - 1);
#else
    return halves;
#endif
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Written by the consumer alone, read anywhere. */
static void count(uint64_t *counter)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

void wf_mailbox_init(struct wf_mailbox *mb, struct wf_port *port, struct wf_loop *loop,
                     uint32_t capacity, uint32_t spin_max_ns)
{
    memset(mb, 0, sizeof *mb);
    mb->port = port;
    mb->loop = loop;
    mb->capacity = capacity;
    mb->credit = capacity;
    mb->spin_max_ns = spin_max_ns == 0 ? SPIN_DEFAULT_NS : spin_max_ns;
    if (spin_max_ns == UINT32_MAX || !port->may_spin) mb->spin_max_ns = 0;
    mb->spin_hit_ns = mb->spin_max_ns / 2;
    mb->spin_probe_every = SPIN_PROBE_FIRST;
}

/* -- Credit ------------------------------------------------------------------ */

/* Relaxed everywhere: credits count, the word orders. A compare-and-swap, not a
 * subtraction that is undone, so that the count never lies to the consumer. */
bool wf_mailbox_credit_take(struct wf_mailbox *mb, uint32_t n)
{
    if (mb->capacity == WEFT_UNBOUNDED) return true;
    uint32_t seen = __atomic_load_n(&mb->credit, __ATOMIC_RELAXED);
    do {
        if (seen < n) return false;
    } while (!__atomic_compare_exchange_n(&mb->credit, &seen, seen - n, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

void wf_mailbox_credit_give(struct wf_mailbox *mb, uint32_t n)
{
    if (mb->capacity == WEFT_UNBOUNDED || n == 0) return;
    uint32_t after = __atomic_add_fetch(&mb->credit, n, __ATOMIC_RELAXED);
    WF_ASSERT(after <= mb->capacity);
}

bool wf_mailbox_settle(struct wf_mailbox *mb)
{
    if (mb->capacity == WEFT_UNBOUNDED) return false;
    mb->owed++;
    /* In halves, so that the line moves seldom. Who waits for room came when all was
     * taken and nothing owed, so a half is sure to come back. */
    if (mb->owed < mb->capacity - mb->capacity / 2) return false;
    wf_mailbox_credit_give(mb, mb->owed);
    mb->owed = 0;
    return true;
}

bool wf_mailbox_has_room(struct wf_mailbox *mb)
{
    if (mb->capacity == WEFT_UNBOUNDED) return true;
    wf_mailbox_credit_give(mb, mb->owed);
    mb->owed = 0;
    return __atomic_load_n(&mb->credit, __ATOMIC_RELAXED) > 0;
}

/* -- Producers ----------------------------------------------------------------- */

weft_err wf_mailbox_push(struct wf_mailbox *mb, weft_msg *newest, weft_msg *oldest)
{
    __builtin_prefetch(&mb->head, 1);
    uintptr_t seen = __atomic_load_n(&mb->head, __ATOMIC_RELAXED);
    do {
        if (seen == WF_BOX_CLOSED) return WEFT_CLOSED;
        oldest->next = is_tag(seen) ? NULL : (weft_msg *)seen; /* still private */
        /* [PUSH] release: the chain's bytes happen-before [DRAIN] and [CLOSE]; later
         * pushes are read-modify-writes and continue the release sequence.
         * acquire: pairs with [PARK], whose consumer wrote mb->poll before it. */
    } while (!__atomic_compare_exchange_n(&mb->head, &seen, (uintptr_t)newest, true,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    /* Our swap took the tag away, so this wake is ours alone. The caller's address
     * keeps the mailbox and its poll alive meanwhile. */
    if (seen == WF_BOX_PARK_FUTEX) mb->port->ops->wake_box(mb->port, mb->loop, futex_of(mb));
    else if (seen == WF_BOX_PARK_FD) mb->port->ops->poll_wake(mb->port, mb->poll);
    return WEFT_OK;
}

bool wf_mailbox_is_closed(const struct wf_mailbox *mb)
{
    return __atomic_load_n(&mb->head, __ATOMIC_RELAXED) == WF_BOX_CLOSED;
}

/* -- The consumer ----------------------------------------------------------------- */

weft_msg *wf_lane_pop(struct wf_lane *lane)
{
    weft_msg *msg = lane->first;
    if (msg == NULL) return NULL;
    lane->first = msg->next;
    if (lane->first == NULL) lane->last = NULL;
    lane->count--;
    msg->next = NULL;
    return msg;
}

void wf_lane_append(struct wf_lane *lane, weft_msg *msg)
{
    msg->next = NULL;
    if (lane->last == NULL) lane->first = msg;
    else lane->last->next = msg;
    lane->last = msg;
    lane->count++;
}

static void lane_prepend(struct wf_lane *lane, weft_msg *msg)
{
    msg->next = lane->first;
    lane->first = msg;
    if (lane->last == NULL) lane->last = msg;
    lane->count++;
}

static void lane_join(struct wf_lane *lane, const struct wf_lane *more)
{
    if (more->first == NULL) return;
    if (lane->last == NULL) lane->first = more->first;
    else lane->last->next = more->first;
    lane->last = more->last;
    lane->count += more->count;
}

/* `word` holds the newest first: turning it round gives the order of sending, and
 * sorting while we touch each message anyway gives priority for nothing. */
static void take_in(struct wf_mailbox *mb, uintptr_t word)
{
    struct wf_lane system = {0}, user = {0};
    weft_msg *msg = is_tag(word) ? NULL : (weft_msg *)word;
    while (msg != NULL) {
        weft_msg *older = msg->next;
        lane_prepend(msg->flags & WF_MSG_SYSTEM ? &system : &user, msg);
        msg = older;
    }
    lane_join(&mb->system, &system);
    lane_join(&mb->user, &user);
}

void wf_mailbox_drain(struct wf_mailbox *mb)
{
    if (__atomic_load_n(&mb->head, __ATOMIC_RELAXED) == WF_BOX_EMPTY) return;
    /* [DRAIN] acquire: pairs with [PUSH]. Only the consumer parks or closes, and it is
     * here, so the word is EMPTY or a message. */
    take_in(mb, __atomic_exchange_n(&mb->head, WF_BOX_EMPTY, __ATOMIC_ACQUIRE));
}

bool wf_mailbox_is_empty(const struct wf_mailbox *mb)
{
    return mb->system.first == NULL && mb->user.first == NULL &&
           __atomic_load_n(&mb->head, __ATOMIC_RELAXED) == WF_BOX_EMPTY;
}

void wf_mailbox_close(struct wf_mailbox *mb)
{
    /* [CLOSE] acquire: pairs with [PUSH]. A push is before it, and then in the lanes,
     * or after it, and then told CLOSED: nothing slips behind. */
    take_in(mb, __atomic_exchange_n(&mb->head, WF_BOX_CLOSED, __ATOMIC_ACQ_REL));
}

bool wf_mailbox_park_begin(struct wf_mailbox *mb, uintptr_t tag)
{
    uintptr_t seen = WF_BOX_EMPTY;
    /* [PARK] release: mb->poll happens-before the producer that takes the tag away. */
    return __atomic_compare_exchange_n(&mb->head, &seen, tag, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

void wf_mailbox_park_end(struct wf_mailbox *mb, uintptr_t tag)
{
    uintptr_t seen = tag;
    /* Losing means that a producer is waking us: its message is in the word. */
    (void)__atomic_compare_exchange_n(&mb->head, &seen, WF_BOX_EMPTY, false, __ATOMIC_ACQ_REL,
                                      __ATOMIC_RELAXED);
}

/* Learns from a spin that paid: the recent hit time follows the longest ones and
 * decays slowly, with a floor, because a budget that just fits the usual hit turns every
 * small delay into a sleep, and a sleep costs both sides far more than the rest of the
 * budget. */
static void spin_paid(struct wf_mailbox *mb, weft_ns spent)
{
    uint32_t took = spent < mb->spin_max_ns ? (uint32_t)spent : mb->spin_max_ns;
    uint32_t hit = mb->spin_hit_ns - mb->spin_hit_ns / 16, least = mb->spin_max_ns / 8;
    mb->spin_hit_ns = took > hit ? took : hit > least ? hit : least;
    mb->spin_probe_every = SPIN_PROBE_FIRST;
    count(&mb->spins);
}

/* True when mail came while spinning. The budget is twice the recent hit time, halved by
 * each miss, so an actor whose mail comes rarely soon stops spinning. One idle in
 * `spin_probe_every` tries again with the whole budget, so it can also start to; probes
 * that fail get rarer. */
static bool spin(struct wf_mailbox *mb, weft_ns deadline)
{
    if (mb->spin_max_ns == 0) return false;
    bool probe = ++mb->spin_skipped >= mb->spin_probe_every;
    weft_ns budget = 2 * (weft_ns)mb->spin_hit_ns;
    if (probe || budget > mb->spin_max_ns) budget = mb->spin_max_ns;
    if (budget < SPIN_LEAST_NS) return false;
    mb->spin_skipped = 0;
    weft_ns begin = wf_port_now(mb->port), spent;
    if (deadline <= begin) return false;
    if (budget > deadline - begin) budget = deadline - begin; /* timers are not late for it */
    do {
        for (unsigned i = 0; i < SPIN_CHECKS; i++) {
            if (__atomic_load_n(&mb->head, __ATOMIC_RELAXED) != WF_BOX_EMPTY) {
                spin_paid(mb, wf_port_now(mb->port) - begin);
                return true;
            }
            relax();
        }
        spent = wf_port_now(mb->port) - begin;
    } while (spent < budget);
    mb->spin_hit_ns /= 2;
    if (probe && mb->spin_probe_every < SPIN_PROBE_LAST) mb->spin_probe_every *= 2;
    return false;
}

void wf_mailbox_park(struct wf_mailbox *mb, weft_ns deadline)
{
    if (spin(mb, deadline) || !wf_mailbox_park_begin(mb, WF_BOX_PARK_FUTEX)) return;
    count(&mb->parks);
    mb->port->ops->wait(mb->port, futex_of(mb), (uint32_t)WF_BOX_PARK_FUTEX, deadline);
    wf_mailbox_park_end(mb, WF_BOX_PARK_FUTEX);
}

unsigned wf_mailbox_park_fd(struct wf_mailbox *mb, weft_ns deadline, struct wf_ready *out,
                            unsigned max)
{
    if (!wf_mailbox_park_begin(mb, WF_BOX_PARK_FD))
        return mb->port->ops->poll_wait(mb->port, mb->poll, out, max, 0);
    count(&mb->parks);
    unsigned count = mb->port->ops->poll_wait(mb->port, mb->poll, out, max, deadline);
    wf_mailbox_park_end(mb, WF_BOX_PARK_FD);
    return count;
}
