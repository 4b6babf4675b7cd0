/* SPDX-License-Identifier: Apache-2.0
 * wire_field.h - the fields that several frames share, written and read.
 * Called by: wire.c, wire_entries.c. May touch: a frame's bytes.
 * Never: allocates on reading, trusts a length. */
#ifndef WF_WIRE_FIELD_H
#define WF_WIRE_FIELD_H

#include "pack.h"
#include "wire.h"

#define WF_FIELD_UINT_BYTES 9u
#define WF_FIELD_HEAD_BYTES 5u /* of an array, bin or str */
#define WF_FIELD_MARK_BYTES (1u + 18u + 9u + 10u + 9u + 34u)

/* A frame in the making: room for `body_max` bytes behind the length word. */
struct wf_frame_out {
    weft_buf *buf; /* NULL: memory is short, and everything below does nothing */
    struct wf_pack pack;
    msgpack_packer pk;
};
/* Begins [type, stream, ...] with `fields` elements in all. */
void wf_frame_out_begin(struct wf_frame_out *f, size_t body_max, uint32_t fields, uint32_t type,
                        uint32_t stream);
/* The finished buffer, the caller's; NULL when memory was short. */
weft_buf *wf_frame_out_end(struct wf_frame_out *f);

static inline void wf_frame_out_uint(struct wf_frame_out *f, uint64_t v)
{
    if (f->buf != NULL) msgpack_pack_uint64(&f->pk, v);
}

static inline void wf_frame_out_bin(struct wf_frame_out *f, const void *data, size_t len)
{
    if (f->buf != NULL) wf_pack_bin(&f->pk, data, len);
}

static inline void wf_frame_out_array(struct wf_frame_out *f, uint32_t count)
{
    if (f->buf != NULL) msgpack_pack_array(&f->pk, count);
}

static inline void wf_frame_out_bool(struct wf_frame_out *f, bool v)
{
    if (f->buf == NULL) return;
    if (v) msgpack_pack_true(&f->pk);
    else msgpack_pack_false(&f->pk);
}

void wf_frame_out_mark(struct wf_frame_out *f, const wf_mark *mark); /* NULL: nil */

/* Opens a frame and checks that it is [type, stream, ...] with `fields` elements. */
wf_cursor wf_frame_read(const uint8_t *bytes, size_t len, uint32_t fields, uint32_t type,
                        uint32_t *stream);
/* A mark, or nil: then *has is false. */
void wf_frame_read_mark(wf_cursor *c, bool *has, wf_mark *out);
void wf_frame_read_fixed(wf_cursor *c, uint8_t *out, size_t len);
/* Refuses the frame: what follows reads as zero. */
void wf_frame_refuse(wf_cursor *c);
/* OK if all was read without an error; every error is SYNTAX to a peer. */
weft_err wf_frame_read_end(wf_cursor *c);

#endif
