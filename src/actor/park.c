/* SPDX-License-Identifier: Apache-2.0
 * park.c - spinning and sleeping on a tagged word.
 * Called by: the thread that takes from the word; wake: whoever took its tag away.
 * May touch: the word, the port. Never: what hangs on the word. */
#include "park.h"

#include "pool.h"
#include "word.h"

#define SPIN_LEAST_NS 200u   /* a few looks at the clock: not worth beginning      */
#define SPIN_PROBE_FIRST 32u /* idles without a spin before one is tried again ... */
#define SPIN_PROBE_LAST 256u /* ... and at most, after probes that failed          */

/* The kernel compares 32 bits: the half of the word that holds the tag. No
 * message's address has a tag in its low half, because it is aligned. */
static uint32_t *futex_of(uintptr_t *word)
{
    uint32_t *halves = (uint32_t *)word;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return halves + (sizeof *word / sizeof *halves - 1);
#else
    return halves;
#endif
}

/* Written by one thread, read anywhere. */
static void count(uint64_t *counter)
{
    wf_store(counter, wf_load(counter, WF_RELAXED) + 1, WF_RELAXED);
}

void wf_parker_init(struct wf_parker *parker, struct wf_port *port, uint32_t spin_max_ns)
{
    *parker = (struct wf_parker){
        .port = port, .spin_probe_every = SPIN_PROBE_FIRST, .turns_rest_next = WF_TURN_REST_FIRST};
    parker->spin_max_ns = spin_max_ns == 0 ? WF_SPIN_NS : spin_max_ns;
    if (spin_max_ns == UINT32_MAX || !port->may_spin) parker->spin_max_ns = 0;
    parker->spin_hit_ns = parker->spin_max_ns / 2;
}

/* Learns from a spin that paid: the recent hit time follows the longest ones and
 * decays slowly, with a floor, because a budget that just fits the usual hit turns every
 * small delay into a sleep, and a sleep costs both sides far more than the rest of the
 * budget. */
static void spin_paid(struct wf_parker *parker, weft_ns spent)
{
    uint32_t took = spent < parker->spin_max_ns ? (uint32_t)spent : parker->spin_max_ns;
    uint32_t hit = parker->spin_hit_ns - parker->spin_hit_ns / 16, least = parker->spin_max_ns / 8;
    parker->spin_hit_ns = took > hit ? took : hit > least ? hit : least;
    parker->spin_probe_every = SPIN_PROBE_FIRST;
}

/* After a turn that another program kept: none for a while, and for longer each time, because
 * one alone is chance (an interrupt, a program that ran once) and many are a program that stays.
 * Such a program takes only some of the turns, and one of them costs as much as a hundred sleeps:
 * so a turn or two that pay prove nothing yet. But where threads talk all the time it takes its next
 * one soon after the longest rest: where none was long for longer than that, it has gone. */
static void rest(struct wf_parker *parker, weft_ns now)
{
    if (now - parker->turn_long > WF_TURN_FORGET_NS) parker->turns_rest_next = WF_TURN_REST_FIRST;
    parker->turn_long = now;
    parker->turns_paid = 0;
    parker->turns_rest = parker->turns_rest_next;
    if (parker->turns_rest_next < WF_TURN_REST_LAST) parker->turns_rest_next *= 2;
}

/* After turns that brought nothing: none for a few idles, and for more each time, as with spins.
 * Where they had brought something until now the other side has got a processor of its own: it is
 * time to look again. */
static void turns_missed(struct wf_parker *parker, bool paid)
{
    if (paid) parker->spin_skipped = parker->spin_probe_every = SPIN_PROBE_FIRST;
    parker->turns_rest = parker->turns_miss;
    uint32_t next = parker->turns_miss == 0 ? 1 : parker->turns_miss * 2;
    if (next <= WF_TURN_MISS_LAST) parker->turns_miss = next;
}

/* Whoever is to send the next message may be waiting for this very processor. Giving it a turn
 * costs about one microsecond; a sleep and the wake from it cost the two sides twenty, and more
 * often than not leave them on that one processor. But a program that only computes keeps a turn
 * for a whole time slice, which a wake cuts short: where one turn was that long, none is given for
 * a while. A long turn does not pay, also if something came in it: it would have come to a
 * sleeper, too, and sooner. */
static bool give_turns(struct wf_parker *parker, const uintptr_t *word, weft_ns deadline)
{
    if (parker->turns_rest > 0) {
        parker->turns_rest--;
        return false;
    }
    weft_ns begin = wf_port_now(parker->port);
    if (deadline <= begin || deadline - begin < parker->spin_max_ns) return false;
    bool paid = parker->turns_pay;
    for (unsigned i = 0; i < WF_SPIN_YIELDS; i++) {
        parker->port->ops->yield(parker->port);
        weft_ns now = wf_port_now(parker->port);
        bool came = wf_load(word, WF_RELAXED) != WF_BOX_EMPTY;
        bool rests = now - begin > WF_TURN_LONG_NS;
        if (rests) rest(parker, now);
        else if (came && ++parker->turns_paid == WF_TURNS_PAID)
            parker->turns_rest_next = WF_TURN_REST_FIRST;
        parker->turns_pay = came;
        if (came) parker->turns_miss = 0;
        if (came || rests) return came;
        begin = now;
    }
    turns_missed(parker, paid);
    return false;
}

/* True when something came while spinning. The budget is twice the recent hit time, halved by
 * each miss, so a thread whose mail comes rarely soon stops spinning. One idle in
 * `spin_probe_every` tries again with the whole budget, so it can also start to; probes
 * that fail get rarer. */
static bool spin(struct wf_parker *parker, const uintptr_t *word, weft_ns deadline)
{
    bool probe = ++parker->spin_skipped >= parker->spin_probe_every;
    weft_ns budget = 2 * (weft_ns)parker->spin_hit_ns;
    if (probe || budget > parker->spin_max_ns) budget = parker->spin_max_ns;
    if (budget < SPIN_LEAST_NS) return false;
    parker->spin_skipped = 0;
    weft_ns begin = wf_port_now(parker->port), spent;
    if (deadline <= begin) return false;
    if (budget > deadline - begin) budget = deadline - begin; /* timers are not late for it */
    do {
        for (unsigned i = 0; i < WF_SPIN_CHECKS; i++) {
            if (wf_load(word, WF_RELAXED) != WF_BOX_EMPTY) {
                spin_paid(parker, wf_port_now(parker->port) - begin);
                return true;
            }
            wf_relax();
        }
        spent = wf_port_now(parker->port) - begin;
    } while (spent < budget);
    parker->spin_hit_ns /= 2;
    if (probe && parker->spin_probe_every < SPIN_PROBE_LAST) parker->spin_probe_every *= 2;
    return false;
}

/* Spins and turns are learned of apart: on one processor the two sides get nothing by looking and
 * everything by a turn, on two it is the other way round. */
bool wf_spin(struct wf_parker *parker, const uintptr_t *word, weft_ns deadline)
{
    if (parker->spin_max_ns == 0) return false;
    if (!spin(parker, word, deadline) && !give_turns(parker, word, deadline)) return false;
    count(&parker->spins);
    return true;
}

/* After the park, whose acquire pairs with [CALL]. */
static bool is_called(const struct wf_parker *parker)
{
    return parker->call != NULL && wf_load(parker->call, WF_RELAXED) != 0;
}

void wf_sleep(struct wf_parker *parker, uintptr_t *word, weft_ns deadline)
{
    if (!wf_word_park(word, WF_BOX_PARK_FUTEX)) return;
    if (!is_called(parker)) {
        count(&parker->parks);
        parker->port->ops->wait(parker->port, futex_of(word), (uint32_t)WF_BOX_PARK_FUTEX,
                                deadline);
    }
    /* Losing means that somebody is waking us: its push is in the word. */
    (void)wf_word_unpark(word, WF_BOX_PARK_FUTEX);
}

void wf_park(struct wf_parker *parker, uintptr_t *word, weft_ns deadline)
{
    wf_pool_flush();
    if (!wf_spin(parker, word, deadline)) wf_sleep(parker, word, deadline);
}

unsigned wf_park_fd(struct wf_parker *parker, uintptr_t *word, struct wf_poll *poll,
                    weft_ns deadline, struct wf_ready *out, unsigned max)
{
    struct wf_port *port = parker->port;
    wf_pool_flush();
    if (!wf_word_park(word, WF_BOX_PARK_FD)) return port->ops->poll_wait(port, poll, out, max, 0);
    count(&parker->parks);
    if (is_called(parker)) deadline = 0;
    unsigned ready = port->ops->poll_wait(port, poll, out, max, deadline);
    (void)wf_word_unpark(word, WF_BOX_PARK_FD);
    return ready;
}

void wf_park_wake(struct wf_port *port, uintptr_t *word)
{
    port->ops->wake_one(port, futex_of(word));
}
