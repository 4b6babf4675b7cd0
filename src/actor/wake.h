/* SPDX-License-Identifier: Apache-2.0
 * wake.h - when a worker has to look at an idle actor: a heap without allocation.
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan: The pairing heap) through nodes that
 * lie in the actors. Called by: worker.c. One thread for each heap. */
#ifndef WF_WAKE_H
#define WF_WAKE_H

#include <weft/actor.h>

struct wf_worker;

/* An actor may have left nodes behind on other workers, so it has more than one. */
#define WF_WAKES 3u

struct wf_wake {
    weft_ns at;
    weft_addr *task; /* counted while the node is in a heap */
    struct wf_wake *child, *next, *prev;
    struct wf_worker *worker; /* whose heap it is in; NULL: free. Atomic: see worker.c */
};

void wf_wake_push(struct wf_wake **top, struct wf_wake *node);
void wf_wake_remove(struct wf_wake **top, struct wf_wake *node);

#endif
