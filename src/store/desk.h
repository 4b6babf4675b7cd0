/* SPDX-License-Identifier: Apache-2.0
 * desk.h - the state of the store actor, shared by the rooms that serve its messages:
 * store_actor.c (the loop), group_commit.c (when the batch is written, and the answers),
 * ingest.c (frames from peers), gate.c (answers that wait), recover.c (after a failed write).
 * Never: seen by anybody else; one thread. */
#ifndef WF_DESK_H
#define WF_DESK_H

#include "bells.h"
#include "gate.h"
#include "mend.h"
#include "order.h"
#include "pending.h"
#include "removal.h"
#include "shelf.h"
#include "writer.h"

enum wf_desk_phase {
    WF_DESK_TAKING,
    WF_DESK_STOPPED, /* the engine failed: reads go on, writes get `failed`  */
    WF_DESK_ENDING   /* the engine cannot go on: the actor fails with it    */
};

enum wf_remake_phase {
    WF_REMAKE_NONE,
    WF_REMAKE_DUE,
    WF_REMAKE_MENDING, /* what those are made of is looked through first */
    WF_REMAKE_GIVEN_UP /* until the store is opened again */
};

struct wf_desk {
    weft_self *self;
    wf_store *store;
    bool sync;
    struct wf_pending pool;
    struct wf_order order;
    struct wf_bells bells;
    struct wf_answers answers; /* of the open batch                         */
    struct wf_answers owed;    /* of what the disk is waited for            */
    struct wf_answers written; /* of what was written since, for the next   */
    struct wf_answers told;    /* empty; kept for its memory                */
    struct wf_gate_state gate; /* and those that may not be given yet       */
    weft_addr *syncer;         /* the child that waits; NULL: not made yet  */
    weft_request *sync_req;    /* NULL: it is with the child, or not made   */
    bool syncing;              /* the child waits for what `owed` is about  */
    weft_ns sync_began;        /* when the last write that is waited for began */
    uint64_t sync_commits;     /* that it had                               */
    uint64_t written_commits;  /* that the next one has already             */
    weft_ns sync_ns;           /* what a synced write takes, about          */
    uint32_t herd;             /* as in the options                         */
    bool must_sync;            /* somebody in the batch was promised durability */
    enum wf_desk_phase phase;
    weft_err failed; /* not TAKING: all that comes gets this answer            */
    uint64_t lost;   /* batches that failed so far, and why the last one did   */
    weft_err lost_err;
    weft_msg *flush; /* NULL: it is in the mailbox, behind what was queued     */
    bool flush_due;
    weft_id *woken; /* entries stored just now whose children may wait         */
    uint32_t woken_count, woken_room;
    weft_timer sweep, lazy_timer, recover;
    weft_ns stopped_at; /* since when writes are refused                       */
    weft_ns wait;       /* before the next try; 0 after a write that was taken */
    uint32_t tries;     /* in a row that found something still out             */
    weft_timer remake;  /* remake.c                                            */
    enum wf_remake_phase remake_phase;
    weft_ns remake_since, remake_rest;
    uint32_t remake_tries;
    uint64_t remake_noted; /* of store->made_bad, as seen last                  */
    uint64_t mend_noted;   /* of store->base_bad                                 */
    struct wf_mend mend;   /* how far it is, and after it:                       */
    bool mend_only;        /* nothing else is made again, unless                 */
    bool remake_asked;     /* a batch has met damage meanwhile                   */
    bool mended;           /* in this turn of a remake it was done already       */
    weft_ns mend_rest;     /* what a reader notes before is not looked for       */
    weft_ns mend_wait;     /* so long; twice as long when nothing was found      */
    weft_timer shelf;      /* unshelve.c: a look at all of it, so far:          */
    uint64_t shelf_t;
    struct wf_shelf_at shelf_at;
    weft_timer reap; /* reap.c                                            */
    struct wf_removal removal;
    bool reap_told;       /* why it does not get on                            */
    weft_addr *reclaimer; /* the child that gives room back; NULL: not made yet */
};

/* group_commit.c. Room for one more answer. */
bool wf_desk_reserve(struct wf_desk *desk);
/* `msg` is answered when the open batch is durable (`sync`) or written. Takes it. */
void wf_desk_answer_take(struct wf_desk *desk, weft_msg *msg, weft_err err, bool sync);
/* Writes the open batch now and gives all answers. Of a failure before the engine was
 * touched only this batch dies, after any other desk->failed says why. */
void wf_desk_flush(struct wf_desk *desk);
/* Asks for a flush behind what is in the mailbox now; in phase ENDING for the end. */
void wf_desk_ask_flush(struct wf_desk *desk);
extern const weft_kind wf_flush_kind;
/* The flush that was asked for is due. */
void wf_desk_flush_due(struct wf_desk *desk);
/* Is there a batch to write, or an answer to give, and nothing that it had better wait for? */
bool wf_desk_may_flush(struct wf_desk *desk);
/* Drops what was not answered, and frees. */
void wf_desk_group_fini(struct wf_desk *desk);

/* syncer.c. The child that waits for the disk is there, and has nothing to do. */
bool wf_desk_syncer_is_here(struct wf_desk *desk);

/* store_actor.c */
/* Tries again what waited for an entry of tree `t` that was just stored, and so on. */
void wf_desk_wake(struct wf_desk *desk, uint64_t t, const weft_id *stored);
/* The same in two: what was stored, and all that waits for it. False: memory is short. */
bool wf_desk_push_woken(struct wf_desk *desk, const weft_id *stored);
void wf_desk_drain(struct wf_desk *desk, uint64_t t);
void wf_desk_arm_sweep(struct wf_desk *desk);

/* ingest.c. Takes the frame. */
void wf_desk_ingest_take(struct wf_desk *desk, struct wf_ingest *frame);
/* An item left the pool for good: what its stream may still write changes. */
void wf_desk_item_gone(struct wf_desk *desk, const struct wf_pending_item *item, bool stored);
/* Sends a frame back to whoever waits for its result. Takes it. */
void wf_desk_result_take(struct wf_ingest *frame);
/* Gives up frames that wait for one that does not come. */
void wf_desk_sweep_streams(struct wf_desk *desk, uint64_t now);
/* After a failed batch: no cursor of any stream may move any more. */
void wf_desk_break_streams(struct wf_desk *desk);

/* unshelve.c. What waited on the shelf for this entry goes through the door. */
void wf_desk_unshelve(struct wf_desk *desk, uint64_t t, const weft_id *stored);
/* All of it is looked at soon: after an opening, when a tree is followed; or later, when that could
 * not be done or a batch was lost. Nothing is there: does nothing. */
void wf_desk_shelf_due(struct wf_desk *desk);
void wf_desk_shelf_failed(struct wf_desk *desk, weft_err err);

/* reap.c. Begins to delete what is left of removed trees, unless it does already. */
void wf_desk_reap(struct wf_desk *desk);
void wf_desk_reap_fini(struct wf_desk *desk);

/* remake.c. A message comes when a reader has noted damage, one at a time. NO_MEMORY. */
extern const weft_kind wf_mend_kind;
weft_err wf_desk_listen(struct wf_desk *desk);
void wf_desk_on_noted_take(struct wf_desk *desk, weft_msg *msg);
void wf_desk_listen_end(struct wf_desk *desk);

/* recover.c. The engine refuses writes: so does the desk, until the engine could be opened
 * again. With no batch open. Idempotent. */
void wf_desk_stop(struct wf_desk *desk, weft_err err);
/* Makes room for the timers of the desk, which must not need memory once it stops. NO_MEMORY. */
weft_err wf_desk_prepare(struct wf_desk *desk);

#endif
