/* SPDX-License-Identifier: Apache-2.0
 * places.h - where entries lie that were written or read lately: guesses that hashes confirm.
 * An entry's id leads to its body by two look-ups, id to place and place to body. A body that
 * hashes to the id is the right one wherever it was found, so a place that is remembered here
 * needs no proof: a wrong one costs a look-up and nothing else.
 * Called by: find.c, flush.c, any thread. Never: the engine; says what is there or damaged. */
#ifndef WF_PLACES_H
#define WF_PLACES_H

#include "lock.h"
#include "store.h"

#define WF_PLACES_SIZES 3u /* rooms for 2^12, 2^15 and WEFT_STORE_PLACES_MAX places of 8 bytes */

struct wf_places_table;

struct wf_places {
    wf_lock *lock;      /* held to make a table                                    */
    wf_counter current; /* address of the table in use; 0: there is none yet       */
    struct wf_places_table *made[WF_PLACES_SIZES]; /* under the lock; kept: somebody may read */
};
weft_err wf_places_init(struct wf_places *places); /* NO_MEMORY */
void wf_places_fini(struct wf_places *places);

/* A place where the entry may be. False: none is known. */
bool wf_places_guess(const struct wf_places *places, const weft_id *id, uint64_t *t, uint64_t *seq);
/* Takes the place of another entry, if its slot is the same; short of memory it does nothing.
 * The table grows with the trees: with a larger `seq` than it has room for, and is empty then. */
void wf_places_note(struct wf_places *places, const weft_id *id, uint64_t t, uint64_t seq);
size_t wf_places_bytes(const struct wf_places *places);

#endif
