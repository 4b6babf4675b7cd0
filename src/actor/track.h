/* SPDX-License-Identifier: Apache-2.0
 * track.h - what each thread leaves behind for those who look from outside: what it has in
 * hand, and the ring of its last events. Made by a thread's first event while somebody
 * listens; never freed, but handed to the next thread.
 * Called by: hooks.c, flight.c, watchdog.c. One writer, any readers: all words relaxed. */
#ifndef WF_TRACK_H
#define WF_TRACK_H

#include <weft/trace.h>

#include "atomic.h"

#define WF_TRACK_NAME_WORDS (WEFT_ACTOR_NAME_BYTES_MAX / 8 + 1)
#define WF_RECORD_NAME_WORDS 4

struct wf_class;

/* What a thread has in hand. */
struct wf_seat {
    const weft_kind *kind; /* NULL: nothing                                    */
    const weft_rt *rt;     /* for comparing only                               */
    uint32_t actor, from;
    const struct wf_class *class; /* the owner's alone                         */
};

/* One event: a cache line. The name is cut, and always ends with a zero. */
struct wf_record {
    uint32_t seq; /* 0: never written, or being written                         */
    uint32_t what;
    uint64_t at;
    const weft_kind *kind;
    uint32_t actor, from;
    uint64_t name[WF_RECORD_NAME_WORDS];
};

struct wf_ring {
    uint32_t room; /* a power of two                                            */
    uint32_t next; /* events so far                                             */
    struct wf_record records[];
};

struct wf_track {
    struct wf_track *older; /* the list of all; only grows                      */
    struct wf_ring *ring;   /* NULL: nothing recorded                           */
    uint32_t number;        /* from 1                                           */
    uint32_t used;          /* 1: some thread's                                 */
    uint64_t turn;          /* changes with the seat                            */
    struct wf_seat seat;
    uint64_t name[WF_TRACK_NAME_WORDS]; /* of seat.class, for readers           */
};

/* This thread's; NULL: no memory. */
struct wf_track *wf_track_mine(void);
/* The same, but NULL if it has none yet: for signal handlers. */
struct wf_track *wf_track_have(void);
/* All of the process, newest first; go on with ->older. */
struct wf_track *wf_track_first(void);

/* Owner. Takes a seat and returns what was there before. */
struct wf_seat wf_track_sit(struct wf_track *track, const struct wf_seat *seat);

/* Copies `count` words out of or into what one thread writes and others read. */
static inline void wf_words_read(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) to[i] = wf_load(&from[i], WF_RELAXED);
}

static inline void wf_words_write(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) wf_store(&to[i], from[i], WF_RELAXED);
}

#endif
