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

#define SPIN_DEFAULT_NS 5000u
#define SPIN_PROBE_EVERY 32u /* idles without a spin before one is tried again */
#define SPIN_CHECKS 8u       /* looks at the word between looks at the clock   */

static bool is_tag(uintptr_t word)
{
    return word <= WF_BOX_CLOSED;
}

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
    if (spin_max_ns == UINT32_MAX || !port->may_spin)
        mb->spin_max_ns = 0;
    mb->spin_ewma_ns = mb->spin_max_ns / 2;
}

/* -- Credit ------------------------------------------------------------------ */

/* Relaxed everywhere: credits count, the word orders. A compare-and-swap, not a
 * subtraction that is undone, so that the count never lies to the consumer. */
bool wf_mailbox_credit_take(struct wf_mailbox *mb, uint32_t n)
{
    if (mb->capacity == WEFT_UNBOUNDED)
        return true;
    uint32_t seen = __atomic_load_n(&mb->credit, __ATOMIC_RELAXED);
    do {
        if (seen < n)
            return false;
    } while (!__atomic_compare_exchange_n(&mb->credit, &seen, seen - n, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

void wf_mailbox_credit_give(struct wf_mailbox *mb, uint32_t n)
{
    if (mb->capacity == WEFT_UNBOUNDED || n == 0)
        return;
    uint32_t after = __atomic_add_fetch(&mb->credit, n, __ATOMIC_RELAXED);
    WF_ASSERT(after <= mb->capacity);
}

bool wf_mailbox_settle(struct wf_mailbox *mb)
{
    if (mb->capacity == WEFT_UNBOUNDED)
        return false;
    mb->owed++;
    /* In halves, so that the line moves seldom; at once if somebody waits. */
    if (mb->owed < mb->capacity - mb->capacity / 2 && mb->waiters.first == NULL)
        return false;
    wf_mailbox_credit_give(mb, mb->owed);
    mb->owed = 0;
    return true;
}

bool wf_mailbox_has_room(struct wf_mailbox *mb)
{
    if (mb->capacity == WEFT_UNBOUNDED)
        return true;
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
        if (seen == WF_BOX_CLOSED)
            return WEFT_CLOSED;
        oldest->next = is_tag(seen) ? NULL : (weft_msg *)seen; /* still private */
        /* [PUSH] release: the chain's bytes happen-before [DRAIN] and [CLOSE]; later
         * pushes are read-modify-writes and continue the release sequence.
         * acquire: pairs with [PARK], whose consumer wrote mb->poll before it. */
    } while (!__atomic_compare_exchange_n(&mb->head, &seen, (uintptr_t)newest, true,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    /* Our swap took the tag away, so this wake is ours alone. The caller's address
     * keeps the mailbox and its poll alive meanwhile. */
    if (seen == WF_BOX_PARK_FUTEX)
        mb->port->ops->wake_box(mb->port, mb->loop, futex_of(mb));
    else if (seen == WF_BOX_PARK_FD)
        mb->port->ops->poll_wake(mb->port, mb->poll);
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
    if (msg == NULL)
        return NULL;
    lane->first = msg->next;
    if (lane->first == NULL)
        lane->last = NULL;
    lane->count--;
    msg->next = NULL;
    return msg;
}

void wf_lane_append(struct wf_lane *lane, weft_msg *msg)
{
    msg->next = NULL;
    if (lane->last == NULL)
        lane->first = msg;
    else
        lane->last->next = msg;
    lane->last = msg;
    lane->count++;
}

static void lane_prepend(struct wf_lane *lane, weft_msg *msg)
{
    msg->next = lane->first;
    lane->first = msg;
    if (lane->last == NULL)
        lane->last = msg;
    lane->count++;
}

static void lane_join(struct wf_lane *lane, const struct wf_lane *more)
{
    if (more->first == NULL)
        return;
    if (lane->last == NULL)
        lane->first = more->first;
    else
        lane->last->next = more->first;
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
    if (__atomic_load_n(&mb->head, __ATOMIC_RELAXED) == WF_BOX_EMPTY)
        return;
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

/* True when mail came while spinning. The budget is twice what a hit took lately,
 * halved by each miss, so an actor whose mail comes rarely soon stops spinning; one
 * idle in SPIN_PROBE_EVERY tries again, so it can also start to. */
static bool spin(struct wf_mailbox *mb)
{
    if (mb->spin_max_ns == 0)
        return false;
    uint64_t budget = 2 * (uint64_t)mb->spin_ewma_ns;
    bool probe = ++mb->spin_skipped >= SPIN_PROBE_EVERY;
    if (probe || budget > mb->spin_max_ns)
        budget = mb->spin_max_ns;
    if (probe)
        mb->spin_skipped = 0;
    if (budget < 100) /* less than two looks at the clock cost */
        return false;
    weft_ns begin = wf_port_now(mb->port), spent = 0;
    do {
        for (unsigned i = 0; i < SPIN_CHECKS; i++) {
            if (__atomic_load_n(&mb->head, __ATOMIC_RELAXED) != WF_BOX_EMPTY) {
                spent = wf_port_now(mb->port) - begin;
                if (spent > mb->spin_max_ns)
                    spent = mb->spin_max_ns;
                mb->spin_ewma_ns = (uint32_t)((7 * (uint64_t)mb->spin_ewma_ns + spent) / 8);
                if (probe && spent > mb->spin_ewma_ns)
                    mb->spin_ewma_ns = (uint32_t)spent;
                count(&mb->spins);
                return true;
            }
            relax();
        }
        spent = wf_port_now(mb->port) - begin;
    } while (spent < budget);
    mb->spin_ewma_ns /= 2;
    return false;
}

void wf_mailbox_park(struct wf_mailbox *mb, weft_ns deadline)
{
    if (spin(mb) || !wf_mailbox_park_begin(mb, WF_BOX_PARK_FUTEX))
        return;
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
