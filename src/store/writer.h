/* SPDX-License-Identifier: Apache-2.0
 * writer.h - the open batch of the store: entries and records go in, all of it is
 * written as one, and what readers see moves on only then.
 * Called by: the store actor's rooms (one thread). Never: a mailbox, a peer. */
#ifndef WF_WRITER_H
#define WF_WRITER_H

#include "state.h"

struct wf_add {
    weft_buf *holder; /* keeps bytes; the writer takes a reference of its own */
    const uint8_t *bytes;
    uint32_t len;
    weft_id id;           /* checked by the caller                              */
    const weft_id *asked; /* the tree that the sender named; NULL: any          */
    bool create_tree;
    bool shelved; /* it comes from the shelf (shelf.h) */
    wf_source source;
    uint64_t source_seq;
    uint64_t taken_ns;
    /* -- out: */
    bool known;  /* it was here already                                         */
    bool healed; /* and its damaged body is written anew                        */
    uint64_t t, seq, gen;
    wf_source known_from;
    weft_id *missing; /* the caller's room for parents that are not here        */
    uint32_t missing_room, missing_count;
};
/* Passes an entry through the door into the open batch. OK also if it is known.
 * PENDING: parents are missing. TREE, BAD_ENTRY, FORBIDDEN, SYNTAX, UNSUPPORTED..: it
 * is refused. LIMIT, NO_MEMORY, IO, CORRUPT: the store cannot take it now. */
weft_err wf_writer_add(wf_store *store, struct wf_add *add);
weft_err wf_writer_follow(wf_store *store,
                          const struct wf_follow *follow); /* INVALID, LIMIT, NO_MEMORY */
weft_err wf_writer_cursor(wf_store *store, const weft_key *peer, uint64_t t, const wf_mark *mark);
weft_err wf_writer_record(wf_store *store, const struct wf_record_put *record); /* INVALID */
/* Whether wf_writer_records takes them; and all of them, or INVALID and none. */
bool wf_writer_records_valid(struct wf_record_put *const *records, uint32_t count);
weft_err wf_writer_records(wf_store *store, struct wf_record_put *const *records, uint32_t count);

/* What `meta` is to say of an entry that is stored, by its body and the facts of its parents; but
 * for seq. With no batch open, which a policy may enter that nobody knew; *out points to what the
 * next call here changes. PENDING: of a parent there are none. CORRUPT, IO, NO_MEMORY. */
weft_err wf_writer_facts(wf_store *store, struct wf_tree *tree, struct wf_add *add,
                         struct wf_meta_record *out);
weft_err wf_writer_meta(wf_store *store, const struct wf_meta_record *meta, const weft_id *id);

/* Notes that the batch must write the counts of `tree`. NO_MEMORY. */
weft_err wf_writer_touch(wf_store *store, struct wf_tree *tree);
bool wf_writer_is_open(const wf_store *store); /* the batch holds something */
bool wf_writer_is_full(const wf_store *store); /* it must be written before more is added */

/* Writes the batch and publishes it. What fails is taken back wholly. fresh[] stays
 * for the doorbells until wf_writer_clear, which must follow either way. After a
 * failure other than NO_MEMORY the engine takes nothing any more. */
weft_err wf_writer_flush(wf_store *store, bool sync);
void wf_writer_clear(wf_store *store);

#endif
