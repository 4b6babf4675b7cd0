/* SPDX-License-Identifier: Apache-2.0
 * leaks.h - how many messages of each kind were made and not dropped: in debug builds only.
 * A build for users has none of it; there the two calls of a runtime's life do nothing.
 * Called by: msg.c, rt.c. Any thread. */
#ifndef WF_LEAKS_H
#define WF_LEAKS_H

#include <weft/actor.h>

#ifndef WF_TRACK
#define WF_TRACK WF_DEBUG
#endif

#if WF_TRACK
void wf_leaks_made(const weft_kind *kind);
void wf_leaks_dropped(const weft_kind *kind);
#endif

/* A runtime of the process begins; one ends, and if it was the last, then what was not dropped
 * never will be: a line in the log, WARN, for each kind. */
void wf_leaks_begin(void);
void wf_leaks_end(void);

#endif
