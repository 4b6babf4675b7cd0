/* SPDX-License-Identifier: Apache-2.0
 * frame.c - bytes behind the secure channel: frames are found in them, and the transport
 * reads its own. The first byte says into what pieces the rest is cut: that may change
 * nothing.
 * Called by: libfuzzer.c, replay.c. May touch: frame.h. Never: sockets. */
#include "frame.h"

#include <string.h>

#include "cursor.h"
#include "fuzz.h"

/* A stream of frames, in short. */
struct seen {
    weft_err err; /* that ended it; AGAIN: it goes on */
    uint32_t frames, good;
    uint64_t digest;
};

static void mix(struct seen *s, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) s->digest = (s->digest ^ p[i]) * UINT64_C(0x100000001b3);
}

static void check_hello(const uint8_t *body, size_t len)
{
    static struct wf_hello hello, again;
    struct wf_bytes b = {0};
    if (wf_frame_get_hello(body, len, &hello) != WEFT_OK) return;
    FUZZ_CHECK(hello.listens_count <= WEFT_ADDRESSES_PER_PEER_MAX);
    FUZZ_CHECK(wf_frame_put_hello(&b, &hello) == WEFT_OK);
    const uint8_t *p = wf_bytes_front(&b) + WF_FRAME_HEAD;
    size_t n = wf_bytes_len(&b) - WF_FRAME_HEAD;
    FUZZ_CHECK(wf_frame_get_hello(p, n, &again) == WEFT_OK);
    FUZZ_CHECK(again.ver_min == hello.ver_min && again.ver_max == hello.ver_max);
    FUZZ_CHECK(again.caps == hello.caps && strcmp(again.name, hello.name) == 0);
    FUZZ_CHECK(again.listens_count == hello.listens_count);
    for (uint32_t i = 0; i < hello.listens_count; i++)
        FUZZ_CHECK(strcmp(again.listens[i], hello.listens[i]) == 0);
    wf_bytes_fini(&b);
}

static void check_close(const uint8_t *body, size_t len, uint32_t stream)
{
    uint64_t code, same;
    char text[WEFT_ERROR_TEXT_BYTES_MAX], back[WEFT_ERROR_TEXT_BYTES_MAX];
    weft_buf *buf;
    if (wf_frame_get_close(body, len, &code, text) != WEFT_OK) return;
    FUZZ_CHECK(memchr(text, 0, sizeof text) != NULL);
    (void)wf_wire_err(code);
    if (code > UINT32_MAX) return;
    FUZZ_CHECK(wf_frame_make_close(stream, (unsigned)code, text, &buf) == WEFT_OK);
    FUZZ_CHECK(wf_frame_get_close(weft_buf_bytes(buf), weft_buf_len(buf), &same, back) == WEFT_OK);
    FUZZ_CHECK(same == code && strcmp(text, back) == 0);
    weft_buf_unref(buf);
}

/* As conn_in.c does it: nothing is read that the scan has not seen. */
static void own(uint64_t type, uint32_t stream, const uint8_t *body, size_t len)
{
    uint64_t a, b;
    bool loan;
    uint8_t token[8];
    switch (type) {
    case WF_F_HELLO: check_hello(body, len); break;
    case WF_F_CREDIT: (void)wf_frame_get_credit(body, len, &a, &loan); break;
    case WF_F_BLOCKED: (void)wf_frame_get_blocked(body, len, &a, &b); break;
    case WF_F_PING:
    case WF_F_PONG: (void)wf_frame_get_ping(body, len, token); break;
    case WF_F_CLOSE:
    case WF_F_ERR: check_close(body, len, stream); break;
    default: break;
    }
}

static void whole(struct seen *s, struct wf_frame_in *f)
{
    uint64_t type = f->type;
    uint32_t stream = f->stream;
    weft_buf *buf = wf_frame_in_take(f);
    const uint8_t *body = weft_buf_bytes(buf);
    size_t len = weft_buf_len(buf);
    s->frames++;
    mix(s, &type, sizeof type);
    mix(s, &stream, sizeof stream);
    mix(s, body, len);
    if (wf_scan(body, len, WF_FRAME_DEPTH_MAX, 2 * len) == WEFT_OK) {
        s->good++;
        own(type, stream, body, len);
    }
    weft_buf_unref(buf);
}

static struct seen collect(const uint8_t *data, size_t len, size_t step)
{
    struct seen s = {.err = WEFT_AGAIN};
    struct wf_frame_in f = {0};
    for (size_t at = 0, used; at < len; at += used) {
        size_t piece = len - at < step ? len - at : step;
        used = 0;
        weft_err err = wf_frame_in_feed(&f, data + at, piece, &used);
        FUZZ_CHECK(used <= piece);
        /* A declared length alone costs nothing. */
        FUZZ_CHECK(f.room <= 2048 || f.room <= 2 * (size_t)f.have);
        if (err != WEFT_OK && err != WEFT_AGAIN) {
            s.err = err;
            break;
        }
        FUZZ_CHECK(used > 0 || err == WEFT_OK);
        if (wf_frame_in_whole(&f)) whole(&s, &f);
    }
    wf_frame_in_fini(&f);
    return s;
}

bool fuzz_frame(const uint8_t *data, size_t len)
{
    if (len < 1) return false;
    struct seen once = collect(data + 1, len - 1, len);
    struct seen pieces = collect(data + 1, len - 1, (size_t)data[0] + 1);
    FUZZ_CHECK(once.err == pieces.err && once.frames == pieces.frames);
    FUZZ_CHECK(once.good == pieces.good && once.digest == pieces.digest);
    return once.good > 0;
}
