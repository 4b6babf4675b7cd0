/* SPDX-License-Identifier: Apache-2.0
 * frame_own.c - writing and reading the frames that the transport itself speaks:
 * HELLO, CREDIT, BLOCKED, PING, PONG, CLOSE and ERR. Called by: conn.c, conn_send.c,
 * streams.c. May touch: bytes, the bounded cursor. Never: acts on what it reads. */
#include <string.h>

#include "alloc.h"
#include "cursor.h"
#include "frame.h"
#include "log.h"

#define OWN_BYTES_MAX 4096u
#define FIELDS_MAX 64u /* later versions may append fields */
#define MAGIC "weft"

/* A frame in the making; all of these are small and their sizes are known, so room is
 * an invariant and not an error. */
struct pack {
    uint8_t data[OWN_BYTES_MAX];
    size_t len;
};

static void put(struct pack *p, const void *data, size_t len)
{
    WF_ASSERT(len <= sizeof p->data - p->len);
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

static void put_byte(struct pack *p, unsigned byte)
{
    uint8_t b = (uint8_t)byte;
    put(p, &b, 1);
}

static void put_be(struct pack *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;) put_byte(p, (unsigned)(v >> (8 * i)) & 0xffu);
}

static void put_uint(struct pack *p, uint64_t v)
{
    if (v < 0x80) {
        put_byte(p, (unsigned)v);
    } else if (v <= UINT8_MAX) {
        put_byte(p, 0xcc);
        put_be(p, v, 1);
    } else if (v <= UINT16_MAX) {
        put_byte(p, 0xcd);
        put_be(p, v, 2);
    } else if (v <= UINT32_MAX) {
        put_byte(p, 0xce);
        put_be(p, v, 4);
    } else {
        put_byte(p, 0xcf);
        put_be(p, v, 8);
    }
}

static void put_array(struct pack *p, unsigned count)
{
    WF_ASSERT(count < 16);
    put_byte(p, 0x90u | count);
}

/* Text, cut to `max` bytes at a character's edge. */
static void put_text(struct pack *p, const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    if (len == max)
        while (len > 0 && ((uint8_t)text[len] & 0xc0u) == 0x80u) len--;
    if (len < 32) {
        put_byte(p, 0xa0u | (unsigned)len);
    } else if (len <= UINT8_MAX) {
        put_byte(p, 0xd9);
        put_be(p, len, 1);
    } else {
        put_byte(p, 0xda);
        put_be(p, len, 2);
    }
    put(p, text, len);
}

static void begin(struct pack *p, unsigned fields, unsigned type, uint32_t stream)
{
    p->len = 0;
    put_be(p, 0, WF_FRAME_HEAD); /* the length, known at the end */
    put_array(p, fields);
    put_uint(p, type);
    put_uint(p, stream);
}

static void end(struct pack *p)
{
    size_t body = p->len - WF_FRAME_HEAD;
    for (unsigned i = 0; i < WF_FRAME_HEAD; i++)
        p->data[i] = (uint8_t)(body >> (8 * (WF_FRAME_HEAD - 1 - i)));
}

static weft_err finish(struct pack *p, struct wf_bytes *b)
{
    end(p);
    return wf_bytes_append(b, p->data, p->len);
}

weft_err wf_frame_put_hello(struct wf_bytes *b, const struct wf_hello *h)
{
    struct pack p;
    begin(&p, 10, WF_F_HELLO, 0);
    put_text(&p, MAGIC, 4);
    put_uint(&p, h->ver_min);
    put_uint(&p, h->ver_max);
    put_uint(&p, h->caps);
    put_uint(&p, WEFT_MESSAGE_BYTES_MAX);
    put_uint(&p, WEFT_SESSIONS_PER_CONNECTION_MAX);
    if (h->name[0] == '\0') put_byte(&p, 0xc0);
    else put_text(&p, h->name, sizeof h->name - 1);
    put_array(&p, h->listens_count);
    for (uint32_t i = 0; i < h->listens_count; i++)
        put_text(&p, h->listens[i], WEFT_ADDRESS_BYTES_MAX - 1);
    return finish(&p, b);
}

weft_err wf_frame_put_credit(struct wf_bytes *b, uint32_t stream, uint64_t bytes, bool loan)
{
    struct pack p;
    bool say = stream == 0 && loan; /* stream 0 alone would mean the window */
    WF_ASSERT(stream == 0 || loan);
    begin(&p, say ? 4 : 3, WF_F_CREDIT, stream);
    put_uint(&p, bytes);
    if (say) put_uint(&p, 1);
    return finish(&p, b);
}

weft_err wf_frame_put_blocked(struct wf_bytes *b, uint32_t stream, uint64_t need, uint64_t back)
{
    struct pack p;
    begin(&p, 4, WF_F_BLOCKED, stream);
    put_uint(&p, need);
    put_uint(&p, back);
    return finish(&p, b);
}

weft_err wf_frame_put_ping(struct wf_bytes *b, bool pong, const uint8_t token[8])
{
    struct pack p;
    begin(&p, 3, pong ? WF_F_PONG : WF_F_PING, 0);
    put_byte(&p, 0xc4);
    put_byte(&p, 8);
    put(&p, token, 8);
    return finish(&p, b);
}

static void pack_close(struct pack *p, uint32_t stream, unsigned code, const char *text)
{
    begin(p, 4, WF_F_CLOSE, stream);
    put_uint(p, code);
    put_text(p, text, WEFT_ERROR_TEXT_BYTES_MAX - 1);
}

weft_err wf_frame_put_close(struct wf_bytes *b, uint32_t stream, unsigned code, const char *text)
{
    struct pack p;
    pack_close(&p, stream, code, text);
    return finish(&p, b);
}

weft_err wf_frame_put_err(struct wf_bytes *b, uint32_t stream, unsigned code, const char *text)
{
    struct pack p;
    begin(&p, 5, WF_F_ERR, stream);
    put_uint(&p, code);
    put_uint(&p, 0); /* retry_ms: no advice */
    put_text(&p, text, WEFT_ERROR_TEXT_BYTES_MAX - 1);
    return finish(&p, b);
}

weft_err wf_frame_make_close(uint32_t stream, unsigned code, const char *text, weft_buf **out)
{
    struct pack p;
    pack_close(&p, stream, code, text);
    end(&p);
    return weft_buf_create_copy(p.data + WF_FRAME_HEAD, p.len - WF_FRAME_HEAD, out);
}

/* -- Reading --------------------------------------------------------------------------- */

static uint32_t open_fields(wf_cursor *c, const uint8_t *body, size_t len)
{
    *c = wf_cursor_open(body, len, false);
    uint32_t fields = wf_cursor_array(c, FIELDS_MAX);
    (void)wf_cursor_uint(c, UINT32_MAX);
    (void)wf_cursor_uint(c, UINT32_MAX);
    return fields;
}

static void get_text(wf_cursor *c, char *out, size_t room)
{
    size_t len = 0;
    const char *text = wf_cursor_str(c, 0, room - 1, &len);
    if (text == NULL || memchr(text, 0, len) != NULL) len = 0; /* a NUL would hide the rest */
    if (len > 0) memcpy(out, text, len);
    out[len] = '\0';
}

weft_err wf_frame_get_hello(const uint8_t *body, size_t len, struct wf_hello *out)
{
    wf_cursor c;
    size_t magic_len = 0;
    uint32_t fields = open_fields(&c, body, len);
    struct wf_hello *h = wf_calloc(1, sizeof *h);
    if (h == NULL) return WEFT_NO_MEMORY;
    const char *magic = wf_cursor_str(&c, 4, 4, &magic_len);
    h->ver_min = wf_cursor_uint(&c, UINT32_MAX);
    h->ver_max = wf_cursor_uint(&c, UINT32_MAX);
    h->caps = wf_cursor_uint(&c, UINT64_MAX);
    (void)wf_cursor_uint(&c, UINT32_MAX);
    (void)wf_cursor_uint(&c, UINT32_MAX);
    if (!wf_cursor_nil(&c)) get_text(&c, h->name, sizeof h->name);
    h->listens_count = wf_cursor_array(&c, WEFT_ADDRESSES_PER_PEER_MAX);
    for (uint32_t i = 0; i < h->listens_count && c.err == WEFT_OK; i++)
        get_text(&c, h->listens[i], WEFT_ADDRESS_BYTES_MAX);
    bool good = c.err == WEFT_OK && fields >= 10 && magic != NULL && memcmp(magic, MAGIC, 4) == 0 &&
                h->ver_min <= h->ver_max;
    if (good) *out = *h;
    wf_free(h);
    return good ? WEFT_OK : WEFT_SYNTAX;
}

weft_err wf_frame_get_credit(const uint8_t *body, size_t len, uint64_t *bytes, bool *loan)
{
    wf_cursor c;
    uint64_t type;
    uint32_t stream;
    if (wf_frame_head(body, len, &type, &stream) != WEFT_OK) return WEFT_SYNTAX;
    uint32_t fields = open_fields(&c, body, len);
    uint64_t v = wf_cursor_uint(&c, UINT32_MAX);
    uint64_t kind = fields > 3 ? wf_cursor_uint(&c, 1) : 0;
    if (c.err != WEFT_OK || fields < 3) return WEFT_SYNTAX;
    *bytes = v;
    *loan = stream != 0 || kind == 1;
    return WEFT_OK;
}

weft_err wf_frame_get_blocked(const uint8_t *body, size_t len, uint64_t *need, uint64_t *back)
{
    wf_cursor c;
    uint32_t fields = open_fields(&c, body, len);
    uint64_t n = wf_cursor_uint(&c, UINT32_MAX);
    uint64_t b = wf_cursor_uint(&c, UINT32_MAX);
    if (c.err != WEFT_OK || fields < 4) return WEFT_SYNTAX;
    *need = n;
    *back = b;
    return WEFT_OK;
}

weft_err wf_frame_get_ping(const uint8_t *body, size_t len, uint8_t token[8])
{
    wf_cursor c;
    uint32_t fields = open_fields(&c, body, len);
    const uint8_t *bytes = wf_cursor_bin_fixed(&c, 8);
    if (c.err != WEFT_OK || fields < 3) return WEFT_SYNTAX;
    memcpy(token, bytes, 8);
    return WEFT_OK;
}

weft_err wf_frame_get_close(const uint8_t *body, size_t len, uint64_t *code,
                            char text[WEFT_ERROR_TEXT_BYTES_MAX])
{
    wf_cursor c;
    uint64_t type;
    uint32_t stream;
    char found[WEFT_ERROR_TEXT_BYTES_MAX];
    if (wf_frame_head(body, len, &type, &stream) != WEFT_OK) return WEFT_SYNTAX;
    (void)open_fields(&c, body, len);
    uint64_t value = wf_cursor_uint(&c, UINT32_MAX);
    if (type == WF_F_ERR) (void)wf_cursor_uint(&c, UINT64_MAX);
    get_text(&c, found, sizeof found);
    if (c.err != WEFT_OK) return WEFT_SYNTAX;
    *code = value;
    memcpy(text, found, sizeof found);
    return WEFT_OK;
}
