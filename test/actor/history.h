/* SPDX-License-Identifier: Apache-2.0
 * history.h - what was sent and what arrived, for each pair of a sender and a receiver.
 * A message that was taken (WEFT_OK) has the next number of its pair. It must arrive once, handled or
 * as a dead letter, and those of one pair in the order of their numbers; so a receiver that sees
 * every number in turn, up to the last, proves both at once. Asks are counted by their callbacks.
 * Called by: tests. A pair's `sent` belongs to the sender, its `arrived` to whoever runs the receiver;
 * no lock and no atomic, so that ThreadSanitizer judges the runtime and not this file. */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_MAX 32u

struct history_receiver {
    uint64_t arrived[HISTORY_MAX]; /* by sender: how many, and so the next number */
    bool bad;                      /* the first that came out of turn: */
    uint64_t bad_from, bad_number, bad_wanted;
};

struct history {
    uint64_t sent[HISTORY_MAX][HISTORY_MAX]; /* sender, receiver */
    struct history_receiver at[HISTORY_MAX];
};

/* The number of the next message of the pair; the sender's thread. */
static inline uint64_t history_next(const struct history *h, uint64_t from, uint64_t to)
{
    return h->sent[from][to];
}

/* `n` messages were taken. */
static inline void history_sent(struct history *h, uint64_t from, uint64_t to, uint64_t n)
{
    h->sent[from][to] += n;
}

/* Handled, or a dead letter; the receiver's thread. */
static inline void history_arrived(struct history *h, uint64_t from, uint64_t to, uint64_t number)
{
    struct history_receiver *at = &h->at[to];
    if (number != at->arrived[from] && !at->bad) {
        at->bad = true;
        at->bad_from = from;
        at->bad_number = number;
        at->bad_wanted = at->arrived[from];
    }
    at->arrived[from]++;
}

/* After all have ended. False, and says why, if the history is not that of a mailbox. */
static inline bool history_holds(const struct history *h, uint64_t *messages)
{
    bool holds = true;
    *messages = 0;
    for (unsigned to = 0; to < HISTORY_MAX; to++) {
        const struct history_receiver *at = &h->at[to];
        if (at->bad) {
            (void)fprintf(stderr, "# from %u to %u: number %llu came when %llu was due\n",
                          (unsigned)at->bad_from, to, (unsigned long long)at->bad_number,
                          (unsigned long long)at->bad_wanted);
            holds = false;
        }
        for (unsigned from = 0; from < HISTORY_MAX; from++) {
            *messages += h->sent[from][to];
            if (h->sent[from][to] == at->arrived[from]) continue;
            (void)fprintf(stderr, "# from %u to %u: %llu sent, %llu arrived\n", from, to,
                          (unsigned long long)h->sent[from][to],
                          (unsigned long long)at->arrived[from]);
            holds = false;
        }
    }
    return holds;
}

#endif
