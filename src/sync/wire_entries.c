/* SPDX-License-Identifier: Apache-2.0
 * wire_entries.c - ENTRIES and PUSH frames: written in place, read one by one.
 * Called by: reader, queue (write), verify (read). May touch: a frame's buffer.
 * Never: allocates on reading, looks into an entry. */
#include <assert.h>
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "wire_field.h"

/* [type, stream, flags, seen, [entry, ...], mark | nil] */
#define FIELDS 6u

enum {
    ROOM_FIRST = 4096,
    LIST_HEAD = 3,  /* array of 16 bits: room for it stays open until the count is known */
    ENTRY_HEAD = 3, /* most entries have 256 to 65,535 bytes; others are moved a little */
    ENTRY_HEAD_MAX = 5,
    TAIL = WF_FIELD_MARK_BYTES,
    FRAME_MAX = WF_FRAME_HEAD + WEFT_MESSAGE_BYTES_MAX
};
static_assert(WEFT_FRAMED_ENTRIES_MAX <= UINT16_MAX, "the list's head has 16 bits");
static_assert(WEFT_ENTRY_BYTES_MAX + ENTRY_HEAD_MAX + TAIL + 64 < WEFT_MESSAGE_BYTES_MAX,
              "one entry of the largest size fits into a frame");

static size_t bin_head(uint8_t *at, size_t len)
{
    if (len <= UINT8_MAX) {
        at[0] = 0xc4;
        at[1] = (uint8_t)len;
        return 2;
    }
    if (len <= UINT16_MAX) {
        at[0] = 0xc5;
        at[1] = (uint8_t)(len >> 8);
        at[2] = (uint8_t)len;
        return 3;
    }
    at[0] = 0xc6;
    at[1] = (uint8_t)(len >> 24);
    at[2] = (uint8_t)(len >> 16);
    at[3] = (uint8_t)(len >> 8);
    at[4] = (uint8_t)len;
    return 5;
}

static size_t list_head(uint8_t *at, uint32_t count)
{
    if (count < 16) {
        at[0] = (uint8_t)(0x90u | count);
        return 1;
    }
    at[0] = 0xdc;
    at[1] = (uint8_t)(count >> 8);
    at[2] = (uint8_t)count;
    return LIST_HEAD;
}

weft_err wf_entries_begin(struct wf_entries_builder *b, uint32_t type, uint32_t stream,
                          uint32_t flags, uint64_t seen)
{
    memset(b, 0, sizeof *b);
    WF_ASSERT(type == WF_F_ENTRIES || type == WF_F_PUSH);
    b->err = weft_buf_create(ROOM_FIRST, &b->buf);
    if (b->err != WEFT_OK) return b->err;
    uint8_t *data = weft_buf_data(b->buf);
    memset(data, 0, WF_FRAME_HEAD);
    struct wf_pack pack = {data + WF_FRAME_HEAD, data + ROOM_FIRST, false};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &pack, wf_pack_write);
    msgpack_pack_array(&pk, FIELDS);
    msgpack_pack_uint64(&pk, type);
    msgpack_pack_uint64(&pk, stream);
    msgpack_pack_uint64(&pk, flags);
    msgpack_pack_uint64(&pk, seen);
    b->count_at = (size_t)(pack.at - data);
    b->at = b->count_at + LIST_HEAD;
    return WEFT_OK;
}

/* Room for `more` bytes and the tail. FULL, NO_MEMORY. */
static weft_err reserve(struct wf_entries_builder *b, size_t more)
{
    size_t need = b->at + more + TAIL, room = weft_buf_len(b->buf);
    if (need <= room) return WEFT_OK;
    if (need > FRAME_MAX) return WEFT_FULL;
    while (room < need) room *= 2;
    if (room > FRAME_MAX) room = FRAME_MAX;
    weft_buf *bigger;
    weft_err err = weft_buf_create(room, &bigger);
    if (err != WEFT_OK) return b->err = err;
    memcpy(weft_buf_data(bigger), weft_buf_bytes(b->buf), b->at);
    weft_buf_unref(b->buf);
    b->buf = bigger;
    return WEFT_OK;
}

weft_err wf_entries_add(struct wf_entries_builder *b, const void *bytes, size_t len)
{
    WF_ASSERT(len >= WEFT_FRAMED_ENTRY_BYTES_MIN && len <= WEFT_ENTRY_BYTES_MAX);
    if (b->err != WEFT_OK) return b->err;
    if (b->count == WEFT_FRAMED_ENTRIES_MAX) return WEFT_FULL;
    weft_err err = reserve(b, ENTRY_HEAD_MAX + len);
    if (err != WEFT_OK) return err;
    uint8_t *data = weft_buf_data(b->buf);
    b->at += bin_head(data + b->at, len);
    memcpy(data + b->at, bytes, len);
    b->at += len;
    b->count++;
    return WEFT_OK;
}

weft_err wf_entries_room(struct wf_entries_builder *b, size_t want, uint8_t **out, size_t *room)
{
    if (b->err != WEFT_OK) return b->err;
    if (b->count == WEFT_FRAMED_ENTRIES_MAX) return WEFT_FULL;
    weft_err err = reserve(b, ENTRY_HEAD_MAX + want);
    if (err != WEFT_OK) return err;
    *out = weft_buf_data(b->buf) + b->at + ENTRY_HEAD;
    *room = weft_buf_len(b->buf) - TAIL - ENTRY_HEAD_MAX - b->at;
    return WEFT_OK;
}

void wf_entries_wrote(struct wf_entries_builder *b, size_t len)
{
    if (len == 0) return;
    WF_ASSERT(len >= WEFT_FRAMED_ENTRY_BYTES_MIN && len <= WEFT_ENTRY_BYTES_MAX);
    uint8_t *at = weft_buf_data(b->buf) + b->at, head[ENTRY_HEAD_MAX];
    WF_ASSERT(b->at + ENTRY_HEAD_MAX + len + TAIL <= weft_buf_len(b->buf));
    size_t head_len = bin_head(head, len);
    if (head_len != ENTRY_HEAD) memmove(at + head_len, at + ENTRY_HEAD, len);
    memcpy(at, head, head_len);
    b->at += head_len + len;
    b->count++;
}

size_t wf_entries_bytes(const struct wf_entries_builder *b) { return b->at; }

static void put_mark(struct wf_entries_builder *b, const wf_mark *mark)
{
    uint8_t *data = weft_buf_data(b->buf);
    struct wf_frame_out f = {.buf = b->buf,
                             .pack = {data + b->at, data + weft_buf_len(b->buf), false}};
    msgpack_packer_init(&f.pk, &f.pack, wf_pack_write);
    wf_frame_out_mark(&f, mark);
    WF_ASSERT(!f.pack.overflow);
    b->at = (size_t)(f.pack.at - data);
}

weft_err wf_entries_finish(struct wf_entries_builder *b, const wf_mark *mark, weft_buf **out)
{
    if (b->err != WEFT_OK) return b->err;
    uint8_t *data = weft_buf_data(b->buf), head[LIST_HEAD];
    size_t head_len = list_head(head, b->count), body_at = b->count_at + LIST_HEAD;
    if (head_len != LIST_HEAD) { /* few entries: the list's short head, and they move up */
        memmove(data + b->count_at + head_len, data + body_at, b->at - body_at);
        b->at -= LIST_HEAD - head_len;
    }
    memcpy(data + b->count_at, head, head_len);
    put_mark(b, mark);
    weft_buf_truncate(b->buf, b->at);
    *out = b->buf;
    memset(b, 0, sizeof *b);
    return WEFT_OK;
}

void wf_entries_abort(struct wf_entries_builder *b)
{
    weft_buf_unref(b->buf);
    memset(b, 0, sizeof *b);
}

weft_err wf_entries_decode(const uint8_t *bytes, size_t len, struct wf_entries *out)
{
    struct wf_entries e;
    memset(&e, 0, sizeof e);
    wf_cursor c = wf_cursor_open(bytes, len, true);
    if (wf_cursor_array(&c, FIELDS) != FIELDS) wf_frame_refuse(&c);
    uint64_t type = wf_cursor_uint(&c, UINT32_MAX);
    if (type != WF_F_ENTRIES && type != WF_F_PUSH) wf_frame_refuse(&c);
    e.stream = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    e.flags = (uint32_t)wf_cursor_uint(&c, WF_ENTRIES_RAW);
    e.seen = wf_cursor_uint(&c, INT64_MAX);
    e.count = wf_cursor_array(&c, WEFT_FRAMED_ENTRIES_MAX);
    e.at = c;
    for (uint32_t i = 0; i < e.count && c.err == WEFT_OK; i++)
        (void)wf_cursor_bin(&c, WEFT_FRAMED_ENTRY_BYTES_MIN, WEFT_ENTRY_BYTES_MAX, NULL);
    e.at.end = c.at; /* so that wf_entries_next stops behind the last entry */
    wf_frame_read_mark(&c, &e.has_mark, &e.mark);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = e;
    return err;
}

weft_err wf_entries_next(struct wf_entries *entries, const uint8_t **bytes, size_t *len)
{
    if (entries->at.at == entries->at.end) return WEFT_END;
    size_t got = 0;
    const uint8_t *at = wf_cursor_bin(&entries->at, 1, WEFT_ENTRY_BYTES_MAX, &got);
    if (at == NULL) return WEFT_END; /* it was read before: only a broken caller comes here */
    *bytes = at;
    *len = got;
    return WEFT_OK;
}
