/* SPDX-License-Identifier: Apache-2.0
 * reader.h - the reader: looks things up and streams entries, under a budget.
 * Its handlers may wait for the disk. Long jobs are cut into slices (one frame, or
 * WEFT_WALK_STEPS_MAX index reads) and go to the back of the mailbox in between, so
 * that many streams share it fairly. Bulk goes straight to transport, at most four
 * frames of a job waiting there.
 * Called by: sync (plans, streams), queue (catching up), api_read.c (reads of users). */
#ifndef WF_READER_H
#define WF_READER_H

#include "nodes.h"
#include "wire.h"

weft_err wf_reader_spawn(weft_rt *rt, weft_addr **out);

extern const weft_kind wf_look_kind, wf_job_kind, wf_job_bits_kind, wf_job_cancel_kind,
    wf_read_kind;

/* -- Reads of users (asked; answered in place) ------------------------------------------ */
/* For who may not wait for the disk himself. One read, not a walk: others wait behind it. */
struct wf_read {
    weft_request req;                                       /* reply err: what `run` answered */
    weft_err (*run)(wf_store *store, struct wf_read *read); /* on the reader's thread */
    weft_id id;                                             /* an entry or a tree */
    weft_key key;
    /* out: */
    weft_buf *buf; /* counted, unref'd with the message  */
    size_t count;
    void *list; /* wf_free'd with the message */
};
struct wf_read *wf_read_create(weft_err (*run)(wf_store *store, struct wf_read *read));

/* -- Look-ups (asked; answered in place) ----------------------------------------------- */
enum wf_look_op {
    WF_LOOK_SUMMARY, /* summary: ours of `tree`, with our cursor into `peer` (not if exact) */
    WF_LOOK_PLAN,    /* responder: summary, and how to serve `theirs` (an OPEN)             */
    WF_LOOK_KNOWN,   /* bits: which of theirs.tips we have; all_known                       */
    WF_LOOK_MATCH,   /* bits: which of a page of ids we have                                */
    WF_LOOK_OFFERS   /* trees that `peer` may read                                          */
};
struct wf_look {
    weft_request req; /* reply err: TREE (unknown or forbidden to peer), IO, ... */
    enum wf_look_op op;
    weft_key peer;
    weft_id tree;
    bool exact;
    bool lean;                /* what is on the shelf need not be sent */
    uint8_t salt[16];         /* for MATCH with 8-byte ids */
    struct wf_summary theirs; /* PLAN, KNOWN */
    weft_buf *page;           /* MATCH: the IDS frame's buffer, counted */
    struct wf_ids ids;        /* MATCH: decoded, pointing into page */
    /* out: */
    struct wf_summary ours;
    uint64_t shelved;  /* SUMMARY, PLAN: with it; of one that leans only */
    enum wf_plan plan; /* PLAN: EQUAL, CURSOR, CLOSURE, RESUME or ASK */
    bool all_known;    /* PLAN, KNOWN: all of theirs, and their list is complete */
    bool cursor_fits;  /* PLAN: theirs names an arrival of ours */
    uint32_t bits_count;
    uint8_t *bits; /* wf_free'd with the message */
    uint32_t trees_count;
    weft_id *trees; /* OFFERS: wf_free'd with the message */
};
struct wf_look *wf_look_create(enum wf_look_op op);

/* -- Streams (asked; the reply comes when the job has ended) ------------------------------- */
enum wf_job_op {
    WF_JOB_CURSOR,  /* arrivals after `cursor` up to upto_seq, without those from peer   */
    WF_JOB_CLOSURE, /* entries up to upto_seq that are not in the closure of `theirs.tips` */
    WF_JOB_RESUME,  /* entries up to cursor.seq after cursor (gen, id), then as CURSOR    */
    WF_JOB_IDS,     /* pages of ids up to upto_seq; waits for BITS; sends what is missing */
    WF_JOB_FETCH,   /* the entries of `wanted` that belong to tree, raw                   */
    WF_JOB_PUSH     /* as CURSOR, as PUSH frames, up to the newest arrival                */
};
struct wf_job {
    weft_request req; /* reply err: OK; CLOSED (connection or stream gone); FORBIDDEN (may
                       * not read any more); CANCELED; LIMIT (difference too large for
                       * CLOSURE: take IDS); IO */
    enum wf_job_op op;
    uint64_t conn;
    uint32_t stream;
    weft_key peer;
    weft_id tree;
    uint64_t seen; /* for the frames' `seen` */
    bool exact;
    uint8_t salt[16];
    wf_mark cursor;   /* CURSOR, RESUME, PUSH: where the peer stands */
    bool skip_source; /* arrivals from peer in `peer_epoch` need not go back */
    uint8_t peer_epoch[16];
    uint64_t upto_seq; /* arrivals after it are left to live push */
    uint8_t upto_id8[8];
    struct wf_summary theirs; /* all but FETCH: tips that are held there; unknown ones do
                                * no harm, and CURSOR and PUSH may have none */
    uint32_t held_count;      /* PUSH: arrivals that the peer is known to have, ascending */
    weft_id *held;            /* wf_free'd with the message */
    uint32_t wanted_count;    /* FETCH */
    weft_id *wanted;          /* wf_free'd with the message */
    /* out: */
    uint64_t entries, bytes; /* sent */
    wf_mark reached;         /* PUSH: everything up to it was sent */
};
struct wf_job *wf_job_create(enum wf_job_op op);

/* sync -> reader: the answer to an IDS page of a running WF_JOB_IDS. The reader releases the
 * frame at transport. */
struct wf_job_bits {
    weft_msg msg;
    uint64_t conn;
    uint32_t stream;
    uint32_t frame_bytes;
    uint32_t ref, count;
    uint8_t bits[WEFT_IDS_PER_MESSAGE_MAX / 8];
};
/* sync, queue -> reader: end the jobs of a stream; each still replies (CANCELED). */
struct wf_job_cancel {
    weft_msg msg;
    uint64_t conn;
    uint32_t stream;
};

#endif
