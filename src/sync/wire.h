/* SPDX-License-Identifier: Apache-2.0
 * wire.h - the frames of the sync protocol: structs, encoders, decoders.
 * docs/wire.md is the specification. Decoders take bytes that passed wf_scan, check
 * every field and bound, and allocate nothing; pointers in the results point into the
 * frame. Encoders return a counted buffer with WF_FRAME_HEAD bytes of room in front,
 * or NULL when memory is short.
 * Called by: engine, session, queue, reader, verify. Never: I/O, time, threads. */
#ifndef WF_WIRE_H
#define WF_WIRE_H

#include <weft/buf.h>

#include "cursor.h"
#include "store.h"
#include "transport.h"

/* Facts of one side's copy of a tree at one moment. */
struct wf_summary {
    uint64_t count, max_gen;
    uint8_t root[32];
    uint8_t epoch[16];
    uint64_t seq;
    uint8_t id8[8];
    bool has_cursor; /* our mark into the other side */
    wf_mark cursor;
    bool tips_complete;
    uint32_t tips_count;
    uint32_t tip_bytes; /* 8, or 32 in exact mode and always in memory when ours */
    uint8_t tips[WEFT_OPEN_TIPS_MAX * 32];
};

#define WF_OPEN_SUBSCRIBE 1u /* go on with live push after DONE                     */
#define WF_OPEN_EXACT 2u     /* full ids, no cursors, no short ids                  */
#define WF_OPEN_RAW 4u       /* no negotiation: entries pushed by themselves (C01)  */
struct wf_open {
    uint32_t stream;
    weft_id tree;
    uint32_t flags;
    struct wf_summary own;
};

enum wf_plan {
    WF_PLAN_EQUAL = 0,   /* nothing to send: roots are equal                        */
    WF_PLAN_CURSOR = 1,  /* arrivals after the cursor follow                        */
    WF_PLAN_CLOSURE = 2, /* all but the closure of your tips follows                */
    WF_PLAN_RESUME = 3,  /* the rest of an interrupted transfer follows             */
    WF_PLAN_ASK = 4,     /* tell me by BITS (ref 0) which of my tips you have       */
    WF_PLAN_RAW = 5,     /* accepted: send                                          */
    WF_PLAN_IDS = 6      /* (never in STATE) pages of ids                           */
};
struct wf_state {
    uint32_t stream;
    uint32_t flags; /* as in OPEN: what the responder agrees to                */
    uint32_t plan;  /* enum wf_plan: responder -> opener                       */
    struct wf_summary own;
};

/* A page of ids in (gen, id) order from the one who wants to send. */
struct wf_ids {
    uint32_t stream;
    uint32_t ref;            /* 1, 2, 3 ...                                             */
    uint64_t lo_gen, hi_gen; /* the first and the last entry of the page: all of it  */
    weft_id lo_id, hi_id;    /* has (lo_gen, lo_id) <= (gen, id) <= (hi_gen, hi_id)  */
    bool last;
    uint32_t id_bytes; /* 8: SipHash-2-4 of the id under the session's salt; 32   */
    uint32_t count;
    const uint8_t *ids;
};
struct wf_bits {
    uint32_t stream;
    uint32_t ref;   /* of IDS, or 0: the tips of STATE */
    uint32_t count; /* bits; bit i = byte i/8, mask 1 << (i%8): "has"          */
    const uint8_t *bits;
};

#define WF_ENTRIES_RAW 1u /* outside of any order: parents may be missing            */
struct wf_entries {       /* ENTRIES and PUSH */
    uint32_t stream;
    uint32_t flags;
    uint64_t seen; /* bulk frames of this stream taken from the receiver so far */
    bool has_mark;
    wf_mark mark; /* `upto`: what of the sender's arrivals is held after this  */
    uint32_t count;
    wf_cursor at; /* internal: wf_entries_next                                */
};
struct wf_done {
    uint32_t stream;
    uint32_t round; /* 1 ends the negotiation; 2, 3 ... are barriers in live mode */
    wf_mark mark;   /* not partial: all arrivals up to seq are held               */
    uint8_t root[32];
    uint64_t count;
    bool clean; /* nothing came from outside this session since OPEN / STATE  */
};
enum wf_result_code { WF_RESULT_EQUAL, WF_RESULT_DIFFERENT, WF_RESULT_UNCLEAN };
struct wf_result {
    uint32_t stream;
    uint32_t round;
    uint32_t code;
};
struct wf_ack { /* durable */
    uint32_t stream;
    uint64_t n;   /* bulk frames of this stream applied so far                  */
    uint64_t seq; /* of the newest mark written; 0: none                        */
    uint32_t stored, known;
    uint32_t code; /* wire code of what stopped the frame; 0                     */
};
struct wf_want {
    uint32_t stream;
    uint32_t count;
    const uint8_t *ids; /* 32 bytes each */
};
struct wf_trees {
    uint32_t stream;
    uint32_t count;
    const uint8_t *ids; /* 32 bytes each */
};
/* What we understand beyond version 1, in HELLO: PROVE, JOIN and JOINED. */
#define WF_CAP_ACCESS 1u

/* A key that the sender holds beside its device's, proven on this connection. */
struct wf_prove {
    uint32_t stream; /* that the sender opens next, or one of its own that is spent by it */
    weft_key key;
    uint8_t sig[WEFT_SIGNATURE_BYTES]; /* by `key`, of wf_prove_text */
};
struct wf_join_ask {
    uint32_t stream;
    weft_id tree;
    weft_key key;                           /* that asks                               */
    char name[WEFT_KEY_NAME_BYTES_MAX + 1]; /* 1 to 63 bytes                           */
    uint32_t right, priority;               /* asked for; right 0: what the key has already */
    bool has_id;                            /* a look at what became of a request      */
    uint8_t id[16];
    const uint8_t *meta;
    uint32_t meta_len;
    uint8_t sig[WEFT_SIGNATURE_BYTES]; /* by `key`, of wf_join_text */
};
struct wf_joined {
    uint32_t stream, state /* weft_join_state */, right, priority;
    uint8_t id[16];
    uint64_t expires_ms;
    char text[WEFT_ERROR_TEXT_BYTES_MAX];
};
struct wf_err_frame { /* ERR and CLOSE */
    uint32_t stream;
    uint32_t code;
    uint32_t retry_ms; /* ERR only */
    char text[WEFT_ERROR_TEXT_BYTES_MAX];
};

weft_buf *wf_open_encode(const struct wf_open *open);
weft_err wf_open_decode(const uint8_t *bytes, size_t len, struct wf_open *out);
weft_buf *wf_state_encode(const struct wf_state *state);
weft_err wf_state_decode(const uint8_t *bytes, size_t len, struct wf_state *out);
weft_buf *wf_ids_encode(const struct wf_ids *ids);
weft_err wf_ids_decode(const uint8_t *bytes, size_t len, struct wf_ids *out);
weft_buf *wf_bits_encode(const struct wf_bits *bits);
weft_err wf_bits_decode(const uint8_t *bytes, size_t len, struct wf_bits *out);
weft_buf *wf_done_encode(const struct wf_done *done);
weft_err wf_done_decode(const uint8_t *bytes, size_t len, struct wf_done *out);
weft_buf *wf_result_encode(const struct wf_result *result);
weft_err wf_result_decode(const uint8_t *bytes, size_t len, struct wf_result *out);
weft_buf *wf_ack_encode(const struct wf_ack *ack);
weft_err wf_ack_decode(const uint8_t *bytes, size_t len, struct wf_ack *out);
weft_buf *wf_want_encode(const struct wf_want *want);
weft_err wf_want_decode(const uint8_t *bytes, size_t len, struct wf_want *out);
weft_buf *wf_trees_req_encode(uint32_t stream);
weft_err wf_trees_req_decode(const uint8_t *bytes, size_t len);
weft_buf *wf_trees_encode(const struct wf_trees *trees);
weft_err wf_trees_decode(const uint8_t *bytes, size_t len, struct wf_trees *out);
weft_buf *wf_err_encode(uint32_t type /* WF_F_ERR or WF_F_CLOSE */, const struct wf_err_frame *err);
weft_err wf_err_decode(const uint8_t *bytes, size_t len, struct wf_err_frame *out);

/* wire_access.c */
weft_buf *wf_prove_encode(const struct wf_prove *prove);
weft_err wf_prove_decode(const uint8_t *bytes, size_t len, struct wf_prove *out);
weft_buf *wf_join_encode(const struct wf_join_ask *join);
weft_err wf_join_decode(const uint8_t *bytes, size_t len, struct wf_join_ask *out);
weft_buf *wf_joined_encode(const struct wf_joined *joined);
weft_err wf_joined_decode(const uint8_t *bytes, size_t len, struct wf_joined *out);
/* What is signed: bound to the connection, to both devices and their roles. */
#define WF_PROVE_TEXT_BYTES (1u + 64u + 32u + 32u + 4u)
#define WF_JOIN_TEXT_MAX \
    (WF_PROVE_TEXT_BYTES + 32u + 1u + 4u + 1u + WEFT_KEY_NAME_BYTES_MAX + 16u + 32u)
void wf_prove_text(const uint8_t channel[64], const weft_key *prover, const weft_key *other,
                   uint32_t stream, uint8_t out[WF_PROVE_TEXT_BYTES]);
void wf_join_text(const uint8_t channel[64], const weft_key *prover, const weft_key *other,
                  const struct wf_join_ask *join, uint8_t out[WF_JOIN_TEXT_MAX], size_t *len);

/* ENTRIES and PUSH are written in place by the reader and the queue: */
struct wf_entries_builder {
    weft_buf *buf;       /* grows by doubling up to WEFT_MESSAGE_BYTES_MAX */
    size_t at, count_at; /* internal */
    uint32_t count;
    weft_err err;
};
/* `type` WF_F_ENTRIES or WF_F_PUSH. */
weft_err wf_entries_begin(struct wf_entries_builder *b, uint32_t type, uint32_t stream,
                          uint32_t flags, uint64_t seen);
/* FULL: does not fit any more (nothing was added). */
weft_err wf_entries_add(struct wf_entries_builder *b, const void *bytes, size_t len);
/* The same without a copy: *out is room for an entry of at most *room bytes, at least
 * `want`; write it there and tell its length, which may be 0 if nothing came of it.
 * FULL: `want` bytes do not fit any more. */
weft_err wf_entries_room(struct wf_entries_builder *b, size_t want, uint8_t **out, size_t *room);
void wf_entries_wrote(struct wf_entries_builder *b, size_t len);
/* Bytes of the frame so far. */
size_t wf_entries_bytes(const struct wf_entries_builder *b);
/* `mark` may be NULL. *out is the frame, the caller's; the builder is empty after. */
weft_err wf_entries_finish(struct wf_entries_builder *b, const wf_mark *mark, weft_buf **out);
void wf_entries_abort(struct wf_entries_builder *b);
/* Reading: header first, then one entry after the other. */
weft_err wf_entries_decode(const uint8_t *bytes, size_t len, struct wf_entries *out);
weft_err wf_entries_next(struct wf_entries *entries, const uint8_t **bytes, size_t *len); /* END */

#endif
