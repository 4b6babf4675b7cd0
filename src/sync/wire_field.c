/* SPDX-License-Identifier: Apache-2.0
 * wire_field.c - the fields that several frames share, written and read.
 * Called by: wire.c, wire_entries.c. May touch: a frame's bytes.
 * Never: allocates on reading, trusts a length. */
#include "wire_field.h"

#include <string.h>

#include "log.h"

void wf_frame_out_begin(struct wf_frame_out *f, size_t body_max, uint32_t fields, uint32_t type,
                        uint32_t stream)
{
    size_t size = WF_FRAME_HEAD + 1 + 2 * WF_FIELD_UINT_BYTES + body_max;
    WF_ASSERT(size <= WF_FRAME_HEAD + WEFT_MESSAGE_BYTES_MAX && fields < 16);
    f->buf = NULL;
    if (weft_buf_create(size, &f->buf) != WEFT_OK) return;
    uint8_t *data = weft_buf_data(f->buf);
    memset(data, 0, WF_FRAME_HEAD); /* the transport writes the length there */
    f->pack = (struct wf_pack){data + WF_FRAME_HEAD, data + size, false};
    msgpack_packer_init(&f->pk, &f->pack, wf_pack_write);
    wf_frame_out_array(f, fields);
    wf_frame_out_uint(f, type);
    wf_frame_out_uint(f, stream);
}

weft_buf *wf_frame_out_end(struct wf_frame_out *f)
{
    weft_buf *buf = f->buf;
    if (buf == NULL) return NULL;
    WF_ASSERT(!f->pack.overflow); /* the room was counted from the same fields */
    weft_buf_truncate(buf, (size_t)(f->pack.at - weft_buf_data(buf)));
    f->buf = NULL;
    return buf;
}

void wf_frame_out_mark(struct wf_frame_out *f, const wf_mark *mark)
{
    if (f->buf == NULL) return;
    if (mark == NULL) {
        msgpack_pack_nil(&f->pk);
        return;
    }
    wf_frame_out_array(f, mark->partial ? 5 : 3);
    wf_frame_out_bin(f, mark->epoch, sizeof mark->epoch);
    wf_frame_out_uint(f, mark->seq);
    wf_frame_out_bin(f, mark->id8, sizeof mark->id8);
    if (!mark->partial) return;
    wf_frame_out_uint(f, mark->gen);
    wf_frame_out_bin(f, mark->id.bytes, sizeof mark->id.bytes);
}

void wf_frame_refuse(wf_cursor *c)
{
    if (c->err == WEFT_OK) c->err = WEFT_SYNTAX;
}

wf_cursor wf_frame_read(const uint8_t *bytes, size_t len, uint32_t fields, uint32_t type,
                        uint32_t *stream)
{
    wf_cursor c = wf_cursor_open(bytes, len, true);
    if (wf_cursor_array(&c, fields) != fields) wf_frame_refuse(&c);
    if (wf_cursor_uint(&c, UINT32_MAX) != type) wf_frame_refuse(&c);
    *stream = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    return c;
}

void wf_frame_read_fixed(wf_cursor *c, uint8_t *out, size_t len)
{
    const uint8_t *bytes = wf_cursor_bin_fixed(c, len);
    if (bytes != NULL) memcpy(out, bytes, len);
}

void wf_frame_read_mark(wf_cursor *c, bool *has, wf_mark *out)
{
    memset(out, 0, sizeof *out);
    *has = !wf_cursor_nil(c);
    if (!*has) return;
    uint32_t fields = wf_cursor_array(c, 5);
    if (fields != 3 && fields != 5) wf_frame_refuse(c);
    wf_frame_read_fixed(c, out->epoch, sizeof out->epoch);
    out->seq = wf_cursor_uint(c, INT64_MAX);
    wf_frame_read_fixed(c, out->id8, sizeof out->id8);
    out->partial = fields == 5;
    if (!out->partial) return;
    out->gen = wf_cursor_uint(c, INT64_MAX);
    wf_frame_read_fixed(c, out->id.bytes, sizeof out->id.bytes);
}

weft_err wf_frame_read_end(wf_cursor *c)
{
    return wf_cursor_done(c) == WEFT_OK ? WEFT_OK : WEFT_SYNTAX;
}
