/* SPDX-License-Identifier: Apache-2.0
 * remake.h - what is made of the entries, made again while the store is open: tries, sketches,
 * lists of named stores, dominators. Called by: the store actor's rooms (one thread), readers
 * (wf_made_mark). Never: touches entries, or begins what it could not end for want of them. */
#ifndef WF_REMAKE_H
#define WF_REMAKE_H

#include "desk.h"
#include "state.h"

/* With no batch open. All that it needs is read first: CORRUPT says that facts or orders are
 * damaged too, and nothing was touched. BUSY: `lost` bodies cannot be read, which say what
 * dominators in named stores are; nothing was touched; `without` true: goes on without them.
 * AGAIN: a reader holds the engine. AGAIN, IO, NO_SPACE, NO_MEMORY: to be called again, and a
 * store that is closed instead is made whole by its next opening. Durable when it returns OK. */
weft_err wf_store_remake(wf_store *store, bool without, uint64_t *lost);

/* Lists of named stores have no counts that would tell a part from the whole. So a reader takes a
 * mark before its view, and after it asks whether nothing was being made in between. */
uint64_t wf_made_mark(const wf_store *store);
bool wf_made_holds(const wf_store *store, uint64_t mark);
/* Any thread: the answer of a read of tree `t` that began at `mark`, which is returned. Damage is
 * made good with one of the next batches; of a tree that was removed meanwhile it is NOT_FOUND. */
weft_err wf_made_note(wf_store *store, uint64_t t, uint64_t mark, weft_err err);

/* A batch could not be written because what it builds on is damaged: that is made again soon, as
 * often as it takes, once the bodies that it needs are healed or a minute has passed. */
void wf_desk_remake(struct wf_desk *desk);
/* The same, if a reader has noted damage since the last call. */
void wf_desk_remake_noted(struct wf_desk *desk);

#endif
