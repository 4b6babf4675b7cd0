/* SPDX-License-Identifier: Apache-2.0
 * job.h - inside the reader: tasks that are cut into slices, and the streams of
 * entries among them.
 * A stream has a source that names one entry after the other, parents first; job.c
 * packs them into frames and keeps at most WEFT_JOB_FRAMES_MAX of them at transport.
 * Called by: reader.c, match.c, job*.c. Never: included by other rooms. */
#ifndef WF_JOB_H
#define WF_JOB_H

#include "diff.h"
#include "held.h"
#include "plan.h"
#include "reader.h"

/* Index reads of one slice: short, so that a small job finishes beside a huge one. */
#define WF_SLICE_READS 4096u

struct reader;
struct wf_task {   /* a piece of work that comes back through the reader's own mailbox */
    weft_msg step; /* embedded: the mailbox is empty before the reader's memory goes */
    struct wf_task *prev, *next; /* all tasks of the reader, in the order of their coming */
    const struct wf_task_ops *ops;
    bool queued;
};
struct wf_task_ops {
    void (*run)(weft_self *self, struct reader *r, struct wf_task *task); /* one slice */
    void (*abort)(struct reader *r, struct wf_task *task); /* answers CLOSED and frees */
};

struct reader { /* the reader's state; only its own thread touches it */
    const struct wf_node_table *table;
    uint8_t key[16]; /* for hash sets; peers cannot know it */
    struct wf_task *oldest, *newest;
    uint32_t diffs;    /* difference walks held in memory, <= WEFT_DIFFS_MAX */
    uint32_t walk_max; /* entries that one walk may find */
};
void wf_task_add(struct reader *r, struct wf_task *task, const struct wf_task_ops *ops);
void wf_task_remove(struct reader *r, struct wf_task *task);
/* Has it run once more, behind everything that waits in the mailbox now. CLOSED. */
weft_err wf_task_again(weft_self *self, struct wf_task *task);

/* -- Look-ups (look.c), MATCH (match.c) -------------------------------------------------- */
void wf_look_answer(struct reader *r, struct wf_look *look); /* all but MATCH */
/* Takes the look and answers it, at once or after some slices. */
void wf_match_start(weft_self *self, struct reader *r, struct wf_look *look);

/* -- Streams ----------------------------------------------------------------------------- */
struct wf_order {  /* entries in (gen, id) order: a difference, or all of the tree */
    wf_diff *diff; /* NULL: all */
    bool ready;    /* the difference is found */
    uint32_t at;   /* in the difference */
    uint64_t upto; /* arrivals after it are passed over */
    bool begun;    /* `last` is the last one given */
    wf_place last;
    wf_gen_walk *walk; /* open within a slice only */
};

struct wf_page { /* one page of ids, from its making to the last entry sent */
    uint32_t ref, count, at, room;
    bool filled, answered;
    wf_place *places;
    uint8_t bits[WEFT_IDS_PER_MESSAGE_MAX / 8];
};

struct wf_feed { /* one wf_job while it runs */
    struct wf_task task;
    struct reader *reader;
    struct wf_job *job; /* NULL once it was answered: then only frames are waited for */
    wf_tree_info info;
    weft_err err; /* how it ended; OK while it runs */
    bool done;    /* everything was framed */

    /* What the next entry is, and what the peer holds once it has it. OK, END, AGAIN
     * (the slice is used up), PENDING (wait for BITS), or a failure. */
    weft_err (*next)(weft_self *self, struct wf_feed *s);
    void (*slice_end)(struct wf_feed *s);
    uint32_t reads; /* in this slice */
    bool has_item;  /* `item` waits for a frame */
    wf_place item;  /* its seq and id */
    wf_mark item_mark;
    wf_mark covered; /* after all that was framed or passed over so far */
    bool marked;     /* there is something in it */
    bool marks;      /* this job's frames carry marks at all */

    struct wf_entries_builder frame;
    bool framing;
    uint32_t type, flags;
    uint32_t frames_out;

    /* CURSOR, PUSH, second half of RESUME */
    uint64_t arr_seq, arr_upto;
    wf_arr_walk *arr;
    /* CLOSURE, IDS; first half of RESUME */
    struct wf_order order;
    wf_held *held;
    bool held_ready, resuming;
    /* IDS */
    struct wf_page *serving, *ahead;
    uint32_t next_ref;
    bool listed; /* the last page was made */
    enum { WF_PROBE_OPEN, WF_PROBE_ASKED, WF_PROBE_OVER } probe;
    /* FETCH */
    uint32_t fetch_at;
};

/* Takes the job and answers it when it has ended. */
void wf_feed_start(weft_self *self, struct reader *r, struct wf_job *job);
bool wf_feed_is(const struct wf_task *task, uint64_t conn, uint32_t stream);
/* False: it does not wait for BITS. */
bool wf_feed_bits(weft_self *self, struct wf_task *task, const struct wf_job_bits *bits);
void wf_feed_cancel(weft_self *self, struct wf_task *task);

/* True when the slice is used up; counts `n` reads. */
static inline bool wf_feed_spent(struct wf_feed *s, uint32_t n)
{
    s->reads += n;
    return s->reads > WF_SLICE_READS;
}

/* How each kind of stream begins: sets next, slice_end and what they need. */
weft_err wf_feed_init_arrivals(struct wf_feed *s); /* CURSOR, PUSH                  */
weft_err wf_feed_init_order(struct wf_feed *s);    /* CLOSURE, the beginning of IDS */
weft_err wf_feed_init_resume(struct wf_feed *s);   /* RESUME                        */
weft_err wf_feed_init_ids(struct wf_feed *s);      /* IDS                           */
weft_err wf_feed_init_fetch(struct wf_feed *s);    /* FETCH                         */
/* What the rooms of the sources use of each other: */
weft_err wf_arrivals_next(weft_self *self, struct wf_feed *s);
void wf_arrivals_slice_end(struct wf_feed *s);
/* OK once s->held, if there is any, can be asked; AGAIN, failures. */
weft_err wf_held_ready(struct wf_feed *s);
/* OK once it can be listed; AGAIN, LIMIT, failures. */
weft_err wf_order_ready(struct wf_feed *s);
weft_err wf_order_next(struct wf_feed *s, wf_place *out);
void wf_order_slice_end(struct wf_feed *s);
void wf_order_drop_diff(struct wf_feed *s); /* from here on: all of the tree */
/* The mark of an entry in (gen, id) order up to upto_seq. */
void wf_order_mark(const struct wf_feed *s, const wf_place *place, wf_mark *out);
weft_err wf_ids_bits(struct wf_feed *s, const struct wf_job_bits *bits);
void wf_page_destroy(struct wf_page *page);
bool wf_page_has(const struct wf_page *page, uint32_t i); /* does the peer, by its answer? */
/* A sample to ask about before listing; *out NULL: not worth a round trip. AGAIN. */
weft_err wf_probe_make(struct wf_feed *s, struct wf_page **out);
/* What was answered shortens the list. */
weft_err wf_probe_learn(struct wf_feed *s, const struct wf_page *page);

#endif
