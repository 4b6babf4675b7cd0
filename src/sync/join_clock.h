/* SPDX-License-Identifier: Apache-2.0
 * join_clock.h - the clock by which requests to join grow old. It follows the wall clock, and no jump
 * of that leads it astray: while the node runs it goes at most a tenth faster or slower than time
 * does, and of the time that the node was down it counts at most WEFT_JOIN_DOWN_MAX_MS.
 * Pure: no messages, no clock of its own, no disk. Called by: join_desk.c, join_records.c. */
#ifndef WF_JOIN_CLOCK_H
#define WF_JOIN_CLOCK_H

#include <weft/actor.h>

struct wf_join_clock {
    int64_t ms; /* what it showed */
    weft_ns at; /* then           */
};
struct wf_join_saved { /* its record */
    int64_t ms;        /* what it showed; below 0: there is none */
    int64_t wall_ms;   /* when the wall clock showed this        */
};

/* With nothing that could grow old it simply is the wall clock. */
void wf_join_clock_set(struct wf_join_clock *clock, int64_t wall_ms, weft_ns now);
/* A node begins: goes on from what was saved, or else from the wall clock. */
void wf_join_clock_resume(struct wf_join_clock *clock, const struct wf_join_saved *saved,
                          int64_t wall_ms, weft_ns now);
/* What it shows. It never goes back. */
int64_t wf_join_clock_ms(struct wf_join_clock *clock, int64_t wall_ms, weft_ns now);

#define WF_JOIN_CLOCK_RECORD_MAX 32u
size_t wf_join_saved_encode(const struct wf_join_saved *saved,
                            uint8_t out[WF_JOIN_CLOCK_RECORD_MAX]);
weft_err wf_join_saved_decode(const uint8_t *bytes, size_t len,
                              struct wf_join_saved *out); /* CORRUPT */

#endif
