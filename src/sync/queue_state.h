/* SPDX-License-Identifier: Apache-2.0
 * queue_state.h - what the queue actor's rooms share: pairs, streams, flights.
 * Called by: queue*.c only. Only the queue's thread touches any of it. */
#ifndef WF_QUEUE_STATE_H
#define WF_QUEUE_STATE_H

#include "access_actor.h"
#include "idlog.h"
#include "queue.h"
#include "reader.h"
#include "store_actor.h"
#include "table.h"

struct pair_key {
    weft_key peer;
    weft_id tree;
};
/* An entry that was stored a moment ago. */
struct q_recent {
    uint64_t seq;
    weft_id id;
    wf_source source;
    weft_buf *buf; /* counted; bytes live inside */
    const uint8_t *bytes;
    uint32_t len;
};
/* A tree that has pairs. */
struct q_tree {
    struct wf_link link;
    weft_id tree;
    uint64_t t; /* its number in the store when it was looked at last; 0: never */
    struct q_pair *first, *last; /* in the order in which they came */
    uint32_t streams;            /* of all its pairs */
    struct q_recent *recent;     /* without gaps, ascending; for pairs that lag a little */
    uint32_t recent_count, recent_room;
    size_t recent_bytes;
};
/* Somebody who waits until all up to `seq` was pushed. */
struct q_wait {
    struct q_wait *next;
    struct wf_q_barrier *req; /* ours until replied */
    uint64_t seq;
};
/* A (peer, tree). */
struct q_pair {
    struct wf_link link;
    struct pair_key key;
    struct q_tree *tree;
    struct q_pair *prev, *next; /* of the tree */
    uint32_t refs;              /* streams and asks that point here */
    uint32_t streams;
    uint32_t tails;     /* streams that are over */
    bool related, gone; /* gone: taken out, lives for its refs */
    /* live push: */
    bool live;
    bool job;         /* the reader catches up */
    uint32_t life;    /* number of the live phase: late answers know theirs */
    uint32_t flights; /* PUSH frames at transport */
    uint64_t conn;
    uint32_t stream;
    wf_mark pos;           /* all up to it was framed, or need not be */
    uint64_t need_seq;     /* of the newest mark on the wire: its ACK covers pos */
    uint64_t pushed;       /* entries on this stream */
    uint64_t pushed_bytes; /* of their frames */
    uint8_t peer_epoch[16];
    struct q_wait *waits, **waits_end;
    struct wf_idlog held; /* what the peer has shown to have: id -> our seq */
    struct wf_idlog told; /* what we pushed: id -> number of its frame */
    /* acknowledged: */
    uint64_t acked_seq, saved_seq;
    uint32_t attempts;
    weft_ns next_try;
};
struct stream_key { /* no padding: hashed as bytes */
    uint64_t conn;
    uint64_t stream;
};
struct q_stream {
    struct wf_link link;
    struct stream_key key;
    struct q_pair *pair;
    struct wf_q_applied *spare; /* to end the session with when memory is short */
    struct q_raw *raw;          /* C01: we send on it */
    uint64_t our_seq;
    bool tips_told;
    uint64_t n;        /* bulk frames applied */
    uint64_t mark_seq; /* of the newest mark written */
    uint64_t stored;   /* entries stored since it began */
    bool over;         /* its session has ended, and what it brought is still on the way */
    bool applied;      /* all that it brought is applied: nothing comes on it any more   */
};
/* Somebody who waits until nothing of a pair's ended streams is on the way. */
struct q_settle {
    struct q_settle *next;
    struct wf_q_settle *req; /* ours until replied */
    struct q_pair *pair;     /* counted */
    weft_ns until;
};
/* Entries to be sent by themselves. */
struct q_raw {
    struct wf_q_raw *req; /* ours until replied */
    uint32_t next;        /* entries framed */
    uint32_t flights;     /* at transport, or built */
    uint64_t frames, acked;
    uint64_t conn;
    uint32_t stream;
};
struct queue {
    weft_self *self;
    const struct wf_node_table *table; /* NULL: not wired yet */
    struct wf_table pairs, trees, streams;
    size_t recent_bytes;
    uint8_t salt[16];
    weft_timer tick, settle;
    struct q_settle *settles, **settles_end; /* all wait equally long: the first is due first */
};

/* queue_pair.c */
struct q_pair *wf_pair_find(struct queue *q, const weft_key *peer, const weft_id *tree);
/* Finds or creates one. NULL: LIMIT or memory, logged. */
struct q_pair *wf_pair_need(struct queue *q, const weft_key *peer, const weft_id *tree);
/* The store has the tree by this number now. Another one than before: it was removed and is taken
 * up again, and what is known of its arrivals is about others. */
void wf_q_tree_is(struct queue *q, struct q_tree *tree, uint64_t t);
void wf_pair_put(struct queue *q, struct q_pair *pair); /* gives a reference back */
void wf_pair_drop_all(struct queue *q);
void wf_pair_on_note(struct queue *q, const struct wf_q_note *note);
weft_verdict wf_pair_on_list(struct queue *q, struct wf_q_pairs *req);
/* The peer holds everything up to `seq`. */
void wf_pair_acked(struct queue *q, struct q_pair *pair, uint64_t seq);
weft_err wf_pair_load(struct queue *q);
void wf_pair_save(struct queue *q); /* what changed, as a hint for the next start */

/* queue_push.c */
void wf_push_begin(struct queue *q, const struct wf_q_live *live);
void wf_push_end(struct queue *q, struct q_pair *pair);  /* not live any more */
void wf_push_more(struct queue *q, struct q_pair *pair); /* frames what is new */
void wf_push_ring(struct queue *q, const struct wf_stored *bell);
void wf_push_on_tracks(struct queue *q, const struct wf_tracks_changed *changed);
weft_verdict wf_push_on_barrier(struct queue *q, struct wf_q_barrier *req);

/* queue_recent.c */
/* Keeps what the bell brings for one of its trees, if anybody may push it on. */
void wf_recent_add(struct queue *q, struct q_tree *tree, const struct wf_stored *bell,
                   const struct wf_stored_tree *grown);
/* Lets go of what all pairs have behind them. */
void wf_recent_trim(struct queue *q, struct q_tree *tree);
void wf_recent_clear(struct queue *q, struct q_tree *tree);

/* queue_result.c */
weft_verdict wf_result_on_ingest(struct queue *q, struct wf_ingest *in);
void wf_result_on_ack(struct queue *q, const struct wf_q_ack *ack);
void wf_q_stream_on_note(struct queue *q, const struct wf_q_stream *note);
/* Has sync end the session: something of it is lost. */
void wf_q_stream_break(struct queue *q, struct q_stream *st, weft_err err);

/* queue_stream.c */
/* NULL: it is over, or there never was one. */
struct q_stream *wf_q_stream_find(struct queue *q, uint64_t conn, uint32_t stream);
struct q_stream *wf_q_stream_add(struct queue *q, const struct wf_q_stream *note); /* or NULL */
void wf_q_stream_over(struct queue *q, struct q_stream *st); /* its session has ended */
/* All that came on it is applied, or nothing ever comes. */
void wf_q_stream_applied(struct queue *q, uint64_t conn, uint32_t stream);
void wf_q_stream_drop_all(struct queue *q);
weft_verdict wf_settle_on_request(struct queue *q, struct wf_q_settle *req);

/* queue_raw.c */
weft_verdict wf_raw_on_request(struct queue *q, struct wf_q_raw *req);
void wf_raw_on_ack(struct queue *q, struct q_stream *st, const struct wf_ack *ack);
void wf_raw_end(struct queue *q, struct q_stream *st, weft_err err);

/* queue.c */
void wf_queue_send(struct queue *q, weft_addr *to, weft_msg *msg);        /* user lane */
void wf_queue_send_system(struct queue *q, weft_addr *to, weft_msg *msg); /* system lane */
void wf_queue_control(struct queue *q, uint64_t conn, uint32_t stream, weft_buf *frame);

#endif
