/* SPDX-License-Identifier: Apache-2.0
 * queue.h - the queue: live push, acknowledgements, back-off.
 * Owns, for each (peer, tree) that is related here: what the peer has acknowledged, the
 * live stream if there is one, the entries that the peer is known to hold, attempts and
 * the time of the next one. Nothing here is lost by a crash: the arrival log in the
 * store is the queue, this actor only remembers positions.
 * Receives the results of all ingests: sends ACK, releases credit, tells sync what was
 * applied. Called by: sync, store (results, doorbell), reader (job replies). */
#ifndef WF_QUEUE_H
#define WF_QUEUE_H

#include "nodes.h"
#include "wire.h"

weft_err wf_queue_spawn(weft_rt *rt, weft_addr **out);

extern const weft_kind wf_q_live_kind, wf_q_ack_kind, wf_q_stream_kind, wf_q_applied_kind,
    wf_q_barrier_kind, wf_q_raw_kind, wf_q_pairs_kind, wf_q_note_kind, wf_q_retry_kind,
    wf_q_settle_kind;

/* sync -> queue: a session's stream begins (before any bulk on it) or ends. */
struct wf_q_stream {
    weft_msg msg;
    uint64_t conn;
    uint32_t stream;
    bool open;
    weft_key peer;
    weft_id tree;
    uint64_t our_seq;  /* of the tree when OPEN / STATE told the peer what we hold;
                             * set by wf_q_live or a second wf_q_stream once known      */
    bool tips_told;    /* that telling was complete: what had arrived by our_seq
                             * and comes again is a duplicate                            */
    uint64_t peer_seq; /* second wf_q_stream: of ours, what the peer says it holds;
                             * replaces what was thought acknowledged                    */
    bool has_peer_seq;
    bool refused; /* transport did not take the stream: nothing comes on it       */
};
/* sync asks queue: answered once all that ended streams of the pair brought is applied, or
 * after WEFT_SETTLE_NS. Who tells a peer before that what is here asks for it again. */
struct wf_q_settle {
    weft_request req;
    weft_key peer;
    weft_id tree;
};
/* sync -> queue: from now on push what arrives after `from` (live mode). */
struct wf_q_live {
    weft_msg msg;
    uint64_t conn;
    uint32_t stream;
    weft_key peer;
    weft_id tree;
    wf_mark from;
    uint8_t peer_epoch[16];
    uint32_t tips_count, tip_bytes;        /* what the peer told of its set: came over others, it */
    uint8_t tips[WEFT_OPEN_TIPS_MAX * 32]; /* need not be pushed                           */
};
/* sync -> queue: an ACK frame of the peer; the queue releases it at transport. */
struct wf_q_ack {
    weft_msg msg;
    weft_key peer;
    uint64_t conn;
    struct wf_ack ack;
};
/* queue -> sync, in the order of the stream: what was applied (system lane). */
struct wf_q_applied {
    weft_msg msg;
    uint64_t conn;
    uint32_t stream;
    weft_key peer;
    weft_id tree;
    uint64_t n;
    uint32_t type; /* 0: none; the session cannot go on, err says why       */
    weft_err err;
    struct wf_done done; /* type WF_F_DONE                                        */
    uint32_t bytes;      /* of the frame */
    uint32_t stored, known;
    uint32_t healed;           /* of the known: damaged bodies that are written anew */
    uint64_t stored_in_stream; /* since it began                                     */
    uint64_t tree_seq;
    uint32_t missing_count; /* parents to WANT                                       */
    weft_id *missing;       /* wf_free'd with the message                            */
};
/* sync asks queue: send DONE{round} behind everything that is stored now and push first;
 * answered when the frame was handed to transport, with done filled as sent. CLOSED. */
struct wf_q_barrier {
    weft_request req;
    uint64_t conn;
    uint32_t stream;
    uint32_t round;
    uint64_t sent;  /* out: entries pushed on this stream so far */
    uint64_t bytes; /* out: in frames of that size together */
};
/* sync asks queue: send exactly these entries on a raw stream and wait for their ACK. */
struct wf_q_raw {
    weft_request req; /* OK; FORBIDDEN, PENDING, the peer's code, CLOSED */
    uint64_t conn;
    uint32_t stream;
    weft_key peer;
    weft_id tree;
    uint32_t count;
    weft_buf **entries; /* counted, freed with the message */
};
struct wf_q_raw *wf_q_raw_create(uint32_t count);
/* sync asks queue: the pairs and how they stand (flush, retry tick, statistics). */
struct wf_q_pair {
    weft_key peer;
    weft_id tree;
    bool live;
    bool in_backoff;
    bool behind; /* something stored here is not acknowledged there        */
    uint64_t acked_seq;
    uint32_t attempts;
    weft_ns next_try;
};
struct wf_q_pairs {
    weft_request req;
    bool due_only; /* only pairs that are behind, not live, and due now      */
    uint32_t count;
    struct wf_q_pair *pairs; /* by (peer, tree); wf_free'd with the message           */
};
/* sync -> queue: a pair exists or not any more; or an attempt for it failed or worked
 * (back-off 2^min(attempts, 6) s with jitter). FAILED and UNRELATED with a zero tree: all
 * pairs of the peer. */
enum wf_q_news { WF_Q_RELATED, WF_Q_UNRELATED, WF_Q_FAILED, WF_Q_WORKED };
struct wf_q_note {
    weft_msg msg;
    weft_key peer;
    weft_id tree;
    enum wf_q_news what;
    uint64_t acked_seq; /* WORKED: the peer holds everything up to it             */
};
/* Any of the above, zeroed. NULL when memory is short. */
void *wf_q_new(const weft_kind *kind);

#endif
