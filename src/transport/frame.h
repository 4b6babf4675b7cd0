/* SPDX-License-Identifier: Apache-2.0
 * frame.h - frames: `u32 big-endian length | msgpack [type, stream, ...]`.
 * Called by: conn.c and conn_send.c. May touch: bytes. Never: sockets, keys, credit. */
#ifndef WF_FRAME_H
#define WF_FRAME_H

#include <stdbool.h>

#include "bytes.h"
#include "transport.h"

#define WF_FRAME_DEPTH_MAX 8u
#define WF_VERSION_MIN 1u
#define WF_VERSION_MAX 1u
/* A frame that needs no credit may not be used to fill memory. */
#define WF_FRAME_UNCHARGED_MAX WEFT_UNCHARGED_FRAME_BYTES_MAX
#define WF_FRAME_SKIPPABLE 128u /* unknown types from here on are skipped */

/* -- What a type is -------------------------------------------------------------------- */
bool wf_frame_known(uint64_t type);
bool wf_frame_charged(uint64_t type);  /* needs credit, the length word included */
bool wf_frame_is_bulk(uint64_t type);  /* goes to a verifier                     */
bool wf_frame_in_place(uint64_t type); /* sent behind the bulk of its stream     */

/* Reads type and stream from the first bytes of a body. AGAIN: not there yet; SYNTAX. */
weft_err wf_frame_head(const uint8_t *body, size_t len, uint64_t *type, uint32_t *stream);

/* -- Receiving ------------------------------------------------------------------------- */

/* Collects one frame. The buffer grows with what has arrived: a declared length alone
 * costs nothing. */
struct wf_frame_in {
    uint8_t word[WF_FRAME_HEAD];
    uint32_t word_len;
    uint32_t len;    /* of the body, once the word is complete           */
    uint32_t have;   /* of the body                                      */
    size_t room;     /* of buf                                           */
    weft_buf *buf;   /* the body; NULL until its first byte              */
    bool head_known; /* type and stream were read                        */
    uint64_t type;
    uint32_t stream;
};
/* Takes bytes until one of: all are used, the head became known, the frame is whole.
 * *used tells how many. AGAIN: more is needed; OK: `head_known` has just become true or
 * wf_frame_in_whole. PROTOCOL (length), SYNTAX (head), NO_MEMORY. */
weft_err wf_frame_in_feed(struct wf_frame_in *f, const uint8_t *data, size_t len, size_t *used);
bool wf_frame_in_whole(const struct wf_frame_in *f);
bool wf_frame_in_begun(const struct wf_frame_in *f);
weft_buf *wf_frame_in_take(struct wf_frame_in *f); /* the whole body; ready for the next */
void wf_frame_in_fini(struct wf_frame_in *f);

/* -- The transport's own frames, appended whole ------------------------------------------ */
struct wf_hello {
    uint64_t ver_min, ver_max;
    uint64_t caps; /* bits: what the layers above understand beyond this version */
    char name[WEFT_ACTOR_NAME_BYTES_MAX];
    uint32_t listens_count;
    char listens[WEFT_ADDRESSES_PER_PEER_MAX][WEFT_ADDRESS_BYTES_MAX];
};
weft_err wf_frame_put_hello(struct wf_bytes *b, const struct wf_hello *h);
/* A loan for `stream`, or (stream 0, not a loan) what the window gets back. */
weft_err wf_frame_put_credit(struct wf_bytes *b, uint32_t stream, uint64_t bytes, bool loan);
weft_err wf_frame_put_blocked(struct wf_bytes *b, uint32_t stream, uint64_t need, uint64_t back);
weft_err wf_frame_put_ping(struct wf_bytes *b, bool pong, const uint8_t token[8]);
weft_err wf_frame_put_close(struct wf_bytes *b, uint32_t stream, unsigned code, const char *text);
weft_err wf_frame_put_err(struct wf_bytes *b, uint32_t stream, unsigned code, const char *text);
/* The body of a CLOSE as a counted buffer: what a peer could have sent, made here. */
weft_err wf_frame_make_close(uint32_t stream, unsigned code, const char *text, weft_buf **out);

/* And read; the body was scanned. SYNTAX. Outputs only on OK. */
weft_err wf_frame_get_hello(const uint8_t *body, size_t len, struct wf_hello *out);
weft_err wf_frame_get_credit(const uint8_t *body, size_t len, uint64_t *bytes, bool *loan);
weft_err wf_frame_get_blocked(const uint8_t *body, size_t len, uint64_t *need, uint64_t *back);
weft_err wf_frame_get_ping(const uint8_t *body, size_t len, uint8_t token[8]);
/* CLOSE, and ERR with its retry_ms passed over. */
weft_err wf_frame_get_close(const uint8_t *body, size_t len, uint64_t *code,
                            char text[WEFT_ERROR_TEXT_BYTES_MAX]);

#endif
