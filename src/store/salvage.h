/* SPDX-License-Identifier: Apache-2.0
 * salvage.h - what can still be read of a damaged store, into a new one.
 * Called by: weft-fsck, tests; one thread, no actor on either store.
 * Never: writes to the old store; takes anything that does not verify. */
#ifndef WF_SALVAGE_H
#define WF_SALVAGE_H

#include "store.h"

#define WF_SALVAGE_ORPHANS 1024u

typedef struct wf_salvage_report {
    uint64_t read;     /* bodies found                                              */
    uint64_t kept;     /* entries in the new store                                  */
    uint64_t verified; /* of them, by their signature: no arrival vouched for them  */
    uint64_t bad;      /* bodies that are no entries, or not what their author signed */
    uint64_t refused;  /* that the door does not let in                             */
    uint64_t orphans;  /* whose parents are lost: no part of their tree              */
    uint64_t shelved;  /* of them, on the shelf (shelf.h) until those are here again;
                        * the others peers send again                               */
    uint64_t gaps;     /* ranges of keys that could not be read                     */
    uint64_t trees, records;
    weft_id orphan[WF_SALVAGE_ORPHANS]; /* the first of them */
} wf_salvage_report;

typedef struct wf_salvage_options {
    void (*progress)(void *arg, uint64_t read, uint64_t kept); /* may be NULL */
    uint32_t shelf_entries; /* at most so many on the shelf; 0: WEFT_SHELF_ENTRIES_MAX */
    /* Each entry that is left out because its parents are lost; may be NULL. OK goes on. */
    weft_err (*orphan)(void *arg, const weft_id *id);
    void *arg;
} wf_salvage_options;

/* Copies entries, trees with their readers, and the records of the layers above from
 * `from` (an engine, not a store: it need not open as one) into `to`, an engine that is
 * empty. Indexes and policies are made anew by the door, epochs are new, cursors are left
 * behind: peers negotiate afresh. Durable when it returns OK. EXISTS: `to` is not empty.
 * VERSION: a newer or older format. IO, NO_SPACE, NO_MEMORY: of `to`. *out is set
 * whatever the answer is. */
weft_err wf_salvage(wf_kv *from, wf_kv *to, weft_rt *rt, const wf_salvage_options *options,
                    wf_salvage_report *out);

#endif
