/* SPDX-License-Identifier: Apache-2.0
 * frame.c - what frame types are, and collecting frames out of a stream of bytes.
 * Called by: conn.c, conn_send.c. May touch: counted buffers, the bounded cursor.
 * Never: sockets, credit, or what a frame says beyond its type and stream. */
#include "frame.h"

#include <string.h>

#include "cursor.h"
#include "log.h"

/* Array header, type and stream take at most 5 + 9 + 9 bytes. */
#define HEAD_BYTES_MAX 23u
#define ROOM_FIRST 2048u
#define FIELDS_MAX 4096u

bool wf_frame_known(uint64_t type)
{
    switch (type) {
    case WF_F_HELLO:
    case WF_F_OPEN:
    case WF_F_STATE:
    case WF_F_IDS:
    case WF_F_BITS:
    case WF_F_ENTRIES:
    case WF_F_PUSH:
    case WF_F_ACK:
    case WF_F_CREDIT:
    case WF_F_WANT:
    case WF_F_DONE:
    case WF_F_CLOSE:
    case WF_F_PING:
    case WF_F_PONG:
    case WF_F_RESULT:
    case WF_F_TREES_REQ:
    case WF_F_TREES:
    case WF_F_ERR:
    case WF_F_BLOCKED:
    case WF_F_PROVE:
    case WF_F_JOIN:
    case WF_F_JOINED: return true;
    default: return false;
    }
}

bool wf_frame_charged(uint64_t type)
{
    switch (type) {
    case WF_F_HELLO:
    case WF_F_ACK:
    case WF_F_CREDIT:
    case WF_F_PING:
    case WF_F_PONG:
    case WF_F_DONE:
    case WF_F_CLOSE:
    case WF_F_ERR:
    case WF_F_RESULT:
    case WF_F_BLOCKED: return false;
    default: return true;
    }
}

bool wf_frame_is_bulk(uint64_t type)
{
    return type == WF_F_ENTRIES || type == WF_F_PUSH || type == WF_F_DONE;
}

bool wf_frame_in_place(uint64_t type) { return wf_frame_is_bulk(type) || type == WF_F_RESULT; }

weft_err wf_frame_head(const uint8_t *body, size_t len, uint64_t *type, uint32_t *stream)
{
    wf_cursor c = wf_cursor_open(body, len, false);
    uint32_t fields = wf_cursor_array(&c, FIELDS_MAX);
    uint64_t t = wf_cursor_uint(&c, UINT32_MAX);
    uint64_t s = wf_cursor_uint(&c, UINT32_MAX);
    if (c.err != WEFT_OK || fields < 2)
        return len < HEAD_BYTES_MAX ? WEFT_AGAIN : WEFT_SYNTAX; /* it may only be cut off */
    *type = t;
    *stream = (uint32_t)s;
    return WEFT_OK;
}

/* More room, doubling, and never more than the frame needs. */
static weft_err grow(struct wf_frame_in *f, size_t want)
{
    weft_buf *bigger;
    size_t room = f->room * 2 > ROOM_FIRST ? f->room * 2 : ROOM_FIRST;
    if (room < want) room = want;
    if (room > f->len) room = f->len;
    weft_err err = weft_buf_create(room, &bigger);
    if (err != WEFT_OK) return err;
    if (f->have > 0) memcpy(weft_buf_data(bigger), weft_buf_bytes(f->buf), f->have);
    weft_buf_unref(f->buf);
    f->buf = bigger;
    f->room = room;
    return WEFT_OK;
}

static weft_err length_word(struct wf_frame_in *f)
{
    uint32_t len = (uint32_t)f->word[0] << 24 | (uint32_t)f->word[1] << 16 |
                   (uint32_t)f->word[2] << 8 | f->word[3];
    if (len < 3 || len > WEFT_MESSAGE_BYTES_MAX) return WEFT_PROTOCOL; /* [type, stream] */
    f->len = len;
    return WEFT_OK;
}

weft_err wf_frame_in_feed(struct wf_frame_in *f, const uint8_t *data, size_t len, size_t *used)
{
    size_t at = 0;
    weft_err err;
    while (f->word_len < WF_FRAME_HEAD && at < len) {
        f->word[f->word_len++] = data[at++];
        if (f->word_len == WF_FRAME_HEAD && (err = length_word(f)) != WEFT_OK) return err;
    }
    *used = at;
    if (at == len) return wf_frame_in_whole(f) ? WEFT_OK : WEFT_AGAIN;

    size_t take = f->len - f->have;
    if (take > len - at) take = len - at;
    /* Until the head is known no more than the head is taken, so that the caller can
     * refuse a frame before it costs memory. */
    if (!f->head_known && f->have + take > HEAD_BYTES_MAX) take = HEAD_BYTES_MAX - f->have;
    if (f->have + take > f->room && (err = grow(f, f->have + take)) != WEFT_OK) return err;
    memcpy(weft_buf_data(f->buf) + f->have, data + at, take);
    f->have += (uint32_t)take;
    *used = at + take;
    if (!f->head_known) {
        err = wf_frame_head(weft_buf_bytes(f->buf), f->have, &f->type, &f->stream);
        if (err == WEFT_AGAIN && f->have == f->len) err = WEFT_SYNTAX;
        if (err == WEFT_OK) f->head_known = true;
        return err;
    }
    return wf_frame_in_whole(f) ? WEFT_OK : WEFT_AGAIN;
}

bool wf_frame_in_whole(const struct wf_frame_in *f) { return f->head_known && f->have == f->len; }

bool wf_frame_in_begun(const struct wf_frame_in *f) { return f->word_len > 0; }

weft_buf *wf_frame_in_take(struct wf_frame_in *f)
{
    WF_ASSERT(wf_frame_in_whole(f));
    weft_buf *buf = f->buf;
    weft_buf_truncate(buf, f->len);
    memset(f, 0, sizeof *f);
    return buf;
}

void wf_frame_in_fini(struct wf_frame_in *f)
{
    weft_buf_unref(f->buf);
    memset(f, 0, sizeof *f);
}
