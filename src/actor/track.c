/* SPDX-License-Identifier: Apache-2.0
 * track.c - one track per thread, found again through thread-local memory.
 * Called by: hooks.c, flight.c, watchdog.c. May touch: the list of tracks.
 * Never: frees a track, because somebody may be reading it. */
#include "track.h"

#include <string.h>

#include "alloc.h"
#include "port.h"
#include "self.h"

static struct wf_track *newest;
static uint32_t made;
static _Thread_local struct wf_track *mine;

static void thread_ends(void *arg)
{
    struct wf_track *track = arg;
    mine = NULL;
    /* [TRACK] release: our last words happen-before the next owner's acquire. */
    wf_store(&track->used, 0, WF_RELEASE);
}

static struct wf_track *reuse(void)
{
    for (struct wf_track *track = wf_track_first(); track != NULL; track = track->older) {
        uint32_t seen = 0;
        /* Acquire: pairs with [TRACK]. */
        if (wf_load(&track->used, WF_RELAXED) == 0 && wf_cas(&track->used, &seen, 1, WF_ACQUIRE))
            return track;
    }
    return NULL;
}

static struct wf_track *create(void)
{
    struct wf_track *track = wf_calloc(1, sizeof *track);
    if (track == NULL) return NULL;
    track->used = 1;
    track->number = wf_add(&made, 1, WF_RELAXED) + 1;
    track->older = wf_load(&newest, WF_RELAXED);
    /* Release: the track's bytes happen-before whoever walks the list. */
    while (!wf_cas_weak(&newest, &track->older, track, WF_RELEASE)) {}
    return track;
}

struct wf_track *wf_track_mine(void)
{
    if (mine != NULL) return mine;
    struct wf_track *track = reuse();
    if (track == NULL) track = create();
    if (track == NULL) return NULL;
    struct wf_port *port = wf_port_machine(); /* the thread is real, also in the simulator */
    mine = track;
    /* If it cannot be told of the thread's end the track is not used again, no more. */
    (void)port->ops->on_thread_end(port, thread_ends, track);
    return track;
}

struct wf_track *wf_track_have(void) { return mine; }

struct wf_track *wf_track_first(void)
{
    /* Acquire: pairs with the release in create. */
    return wf_load(&newest, WF_ACQUIRE);
}

static void write_name(struct wf_track *track, const char *name)
{
    union {
        uint64_t words[WF_TRACK_NAME_WORDS];
        char text[WF_TRACK_NAME_WORDS * 8];
    } copy = {.words = {0}};
    strncpy(copy.text, name, sizeof copy.text - 1);
    wf_words_write(track->name, copy.words, WF_TRACK_NAME_WORDS);
}

struct wf_seat wf_track_sit(struct wf_track *track, const struct wf_seat *seat)
{
    struct wf_seat before = track->seat;
    wf_store(&track->seat.kind, seat->kind, WF_RELAXED);
    if (seat->kind != NULL) { /* an empty seat remembers whose name is written */
        /* Memory of a class that is gone is used again, so its address alone does not say
         * whose name it is; the actor's number does. */
        if (seat->class != before.class || seat->actor != before.actor)
            write_name(track, seat->class->name);
        wf_store(&track->seat.rt, seat->rt, WF_RELAXED);
        wf_store(&track->seat.actor, seat->actor, WF_RELAXED);
        wf_store(&track->seat.from, seat->from, WF_RELAXED);
        track->seat.class = seat->class;
    }
    /* [SEAT] release: who sees the new turn sees the seat. */
    wf_store(&track->turn, track->turn + 1, WF_RELEASE);
    return before;
}
