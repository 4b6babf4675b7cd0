/* SPDX-License-Identifier: Apache-2.0
 * wire.c - the control frames of the sync protocol, to bytes and back (docs/wire.md).
 * Called by: engine, session, queue, reader, verify. May touch: a frame's bytes.
 * Never: I/O, time; allocates on reading; leaves a field or a bound unchecked. */
#include "wire.h"

#include <assert.h>
#include <string.h>

#include "log.h"
#include "wire_field.h"

enum {
    SHORT_BYTES = 8,
    SUMMARY_FIELDS = 9,
    SUMMARY_BYTES = 1 + 2 * 9 + 34 + 18 + 9 + 10 + WF_FIELD_MARK_BYTES + 1 + WF_FIELD_HEAD_BYTES +
                    WEFT_OPEN_TIPS_MAX * WEFT_ID_BYTES
};
static_assert(WEFT_IDS_PER_MESSAGE_MAX * WEFT_ID_BYTES + 1024 < WEFT_MESSAGE_BYTES_MAX,
              "a page of full ids fits in one message");

/* -- Summary --------------------------------------------------------------------------- */

static void put_summary(struct wf_frame_out *f, const struct wf_summary *s, bool exact)
{
    size_t size = exact ? WEFT_ID_BYTES : SHORT_BYTES;
    uint8_t tips[WEFT_OPEN_TIPS_MAX * WEFT_ID_BYTES];
    WF_ASSERT(s->tips_count <= WEFT_OPEN_TIPS_MAX);
    WF_ASSERT(s->tips_count == 0 || s->tip_bytes == WEFT_ID_BYTES || s->tip_bytes == size);
    for (uint32_t i = 0; i < s->tips_count; i++)
        memcpy(tips + i * size, s->tips + i * s->tip_bytes, size);

    wf_frame_out_array(f, SUMMARY_FIELDS);
    wf_frame_out_uint(f, s->count);
    wf_frame_out_uint(f, s->max_gen);
    wf_frame_out_bin(f, s->root, sizeof s->root);
    wf_frame_out_bin(f, s->epoch, sizeof s->epoch);
    wf_frame_out_uint(f, s->seq);
    wf_frame_out_bin(f, s->id8, sizeof s->id8);
    wf_frame_out_mark(f, s->has_cursor && !exact ? &s->cursor : NULL);
    wf_frame_out_bool(f, s->tips_complete);
    wf_frame_out_bin(f, tips, s->tips_count * size);
}

static void get_summary(wf_cursor *c, struct wf_summary *s, bool exact)
{
    size_t size = exact ? WEFT_ID_BYTES : SHORT_BYTES, len = 0;
    if (wf_cursor_array(c, SUMMARY_FIELDS) != SUMMARY_FIELDS) wf_frame_refuse(c);
    s->count = wf_cursor_uint(c, INT64_MAX);
    s->max_gen = wf_cursor_uint(c, INT64_MAX);
    wf_frame_read_fixed(c, s->root, sizeof s->root);
    wf_frame_read_fixed(c, s->epoch, sizeof s->epoch);
    s->seq = wf_cursor_uint(c, INT64_MAX);
    wf_frame_read_fixed(c, s->id8, sizeof s->id8);
    wf_frame_read_mark(c, &s->has_cursor, &s->cursor);
    if (exact && s->has_cursor) wf_frame_refuse(c);
    s->tips_complete = wf_cursor_bool(c);
    const uint8_t *tips = wf_cursor_bin(c, 0, WEFT_OPEN_TIPS_MAX * size, &len);
    if (len % size != 0) wf_frame_refuse(c);
    if (c->err != WEFT_OK) return;
    s->tip_bytes = (uint32_t)size;
    s->tips_count = (uint32_t)(len / size);
    if (len > 0) memcpy(s->tips, tips, len);
}

/* -- OPEN, STATE ----------------------------------------------------------------------- */

#define FLAGS_ALL (WF_OPEN_SUBSCRIBE | WF_OPEN_EXACT | WF_OPEN_RAW)

weft_buf *wf_open_encode(const struct wf_open *open)
{
    struct wf_frame_out f;
    WF_ASSERT((open->flags & ~FLAGS_ALL) == 0);
    wf_frame_out_begin(&f, 34 + WF_FIELD_UINT_BYTES + SUMMARY_BYTES, 5, WF_F_OPEN, open->stream);
    wf_frame_out_bin(&f, open->tree.bytes, sizeof open->tree.bytes);
    wf_frame_out_uint(&f, open->flags);
    put_summary(&f, &open->own, (open->flags & WF_OPEN_EXACT) != 0);
    return wf_frame_out_end(&f);
}

weft_err wf_open_decode(const uint8_t *bytes, size_t len, struct wf_open *out)
{
    struct wf_open o;
    memset(&o, 0, sizeof o);
    wf_cursor c = wf_frame_read(bytes, len, 5, WF_F_OPEN, &o.stream);
    wf_frame_read_fixed(&c, o.tree.bytes, sizeof o.tree.bytes);
    o.flags = (uint32_t)wf_cursor_uint(&c, FLAGS_ALL);
    get_summary(&c, &o.own, (o.flags & WF_OPEN_EXACT) != 0);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = o;
    return err;
}

weft_buf *wf_state_encode(const struct wf_state *state)
{
    struct wf_frame_out f;
    WF_ASSERT((state->flags & ~FLAGS_ALL) == 0 && state->plan <= WF_PLAN_RAW);
    wf_frame_out_begin(&f, 2 * WF_FIELD_UINT_BYTES + SUMMARY_BYTES, 5, WF_F_STATE, state->stream);
    wf_frame_out_uint(&f, state->flags);
    wf_frame_out_uint(&f, state->plan);
    put_summary(&f, &state->own, (state->flags & WF_OPEN_EXACT) != 0);
    return wf_frame_out_end(&f);
}

weft_err wf_state_decode(const uint8_t *bytes, size_t len, struct wf_state *out)
{
    struct wf_state s;
    memset(&s, 0, sizeof s);
    wf_cursor c = wf_frame_read(bytes, len, 5, WF_F_STATE, &s.stream);
    s.flags = (uint32_t)wf_cursor_uint(&c, FLAGS_ALL);
    s.plan = (uint32_t)wf_cursor_uint(&c, WF_PLAN_RAW);
    get_summary(&c, &s.own, (s.flags & WF_OPEN_EXACT) != 0);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = s;
    return err;
}

/* -- IDS, BITS, WANT, TREES ------------------------------------------------------------- */

weft_buf *wf_ids_encode(const struct wf_ids *ids)
{
    struct wf_frame_out f;
    size_t size = (size_t)ids->count * ids->id_bytes;
    WF_ASSERT(ids->count <= WEFT_IDS_PER_MESSAGE_MAX && ids->ref > 0);
    WF_ASSERT(ids->id_bytes == SHORT_BYTES || ids->id_bytes == WEFT_ID_BYTES);
    wf_frame_out_begin(&f, 4 * WF_FIELD_UINT_BYTES + 2 * 34 + 1 + WF_FIELD_HEAD_BYTES + size, 10,
                       WF_F_IDS, ids->stream);
    wf_frame_out_uint(&f, ids->ref);
    wf_frame_out_uint(&f, ids->lo_gen);
    wf_frame_out_bin(&f, ids->lo_id.bytes, sizeof ids->lo_id.bytes);
    wf_frame_out_uint(&f, ids->hi_gen);
    wf_frame_out_bin(&f, ids->hi_id.bytes, sizeof ids->hi_id.bytes);
    wf_frame_out_bool(&f, ids->last);
    wf_frame_out_uint(&f, ids->id_bytes);
    wf_frame_out_bin(&f, ids->ids, size);
    return wf_frame_out_end(&f);
}

weft_err wf_ids_decode(const uint8_t *bytes, size_t len, struct wf_ids *out)
{
    struct wf_ids ids;
    size_t size = 0;
    memset(&ids, 0, sizeof ids);
    wf_cursor c = wf_frame_read(bytes, len, 10, WF_F_IDS, &ids.stream);
    ids.ref = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    ids.lo_gen = wf_cursor_uint(&c, INT64_MAX);
    wf_frame_read_fixed(&c, ids.lo_id.bytes, sizeof ids.lo_id.bytes);
    ids.hi_gen = wf_cursor_uint(&c, INT64_MAX);
    wf_frame_read_fixed(&c, ids.hi_id.bytes, sizeof ids.hi_id.bytes);
    ids.last = wf_cursor_bool(&c);
    ids.id_bytes = (uint32_t)wf_cursor_uint(&c, WEFT_ID_BYTES);
    if (ids.id_bytes != SHORT_BYTES && ids.id_bytes != WEFT_ID_BYTES) {
        wf_frame_refuse(&c);
        return WEFT_SYNTAX;
    }
    ids.ids = wf_cursor_bin(&c, 0, (size_t)WEFT_IDS_PER_MESSAGE_MAX * ids.id_bytes, &size);
    ids.count = (uint32_t)(size / ids.id_bytes);
    if (size % ids.id_bytes != 0 || ids.ref == 0) wf_frame_refuse(&c);
    if (ids.count == 0 && !ids.last) wf_frame_refuse(&c); /* a page that says nothing */
    if (ids.lo_gen > ids.hi_gen ||
        (ids.lo_gen == ids.hi_gen && weft_id_compare(&ids.lo_id, &ids.hi_id) > 0))
        wf_frame_refuse(&c);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = ids;
    return err;
}

weft_buf *wf_bits_encode(const struct wf_bits *bits)
{
    struct wf_frame_out f;
    size_t size = (bits->count + 7) / 8;
    WF_ASSERT(bits->count <= WEFT_IDS_PER_MESSAGE_MAX);
    wf_frame_out_begin(&f, 2 * WF_FIELD_UINT_BYTES + WF_FIELD_HEAD_BYTES + size, 5, WF_F_BITS,
                       bits->stream);
    wf_frame_out_uint(&f, bits->ref);
    wf_frame_out_uint(&f, bits->count);
    wf_frame_out_bin(&f, bits->bits, size);
    return wf_frame_out_end(&f);
}

weft_err wf_bits_decode(const uint8_t *bytes, size_t len, struct wf_bits *out)
{
    struct wf_bits bits;
    memset(&bits, 0, sizeof bits);
    wf_cursor c = wf_frame_read(bytes, len, 5, WF_F_BITS, &bits.stream);
    bits.ref = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    bits.count = (uint32_t)wf_cursor_uint(&c, WEFT_IDS_PER_MESSAGE_MAX);
    bits.bits = wf_cursor_bin_fixed(&c, (bits.count + 7) / 8);
    if (bits.bits != NULL && bits.count % 8 != 0 &&
        bits.bits[bits.count / 8] >> (bits.count % 8) != 0)
        wf_frame_refuse(&c); /* one answer has one form */
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = bits;
    return err;
}

/* WANT and TREES: nothing but full ids. */
static weft_buf *put_list(uint32_t type, uint32_t stream, const uint8_t *ids, uint32_t count)
{
    struct wf_frame_out f;
    size_t size = (size_t)count * WEFT_ID_BYTES;
    wf_frame_out_begin(&f, WF_FIELD_HEAD_BYTES + size, 3, type, stream);
    wf_frame_out_bin(&f, ids, size);
    return wf_frame_out_end(&f);
}

static weft_err get_list(const uint8_t *bytes, size_t len, uint32_t type, uint32_t max,
                         uint32_t *stream, const uint8_t **ids, uint32_t *count)
{
    size_t size = 0;
    wf_cursor c = wf_frame_read(bytes, len, 3, type, stream);
    *ids = wf_cursor_bin(&c, 0, (size_t)max * WEFT_ID_BYTES, &size);
    if (size % WEFT_ID_BYTES != 0) wf_frame_refuse(&c);
    *count = (uint32_t)(size / WEFT_ID_BYTES);
    return wf_frame_read_end(&c);
}

weft_buf *wf_want_encode(const struct wf_want *want)
{
    WF_ASSERT(want->count > 0 && want->count <= WEFT_WANT_IDS_MAX);
    return put_list(WF_F_WANT, want->stream, want->ids, want->count);
}

weft_err wf_want_decode(const uint8_t *bytes, size_t len, struct wf_want *out)
{
    struct wf_want w;
    weft_err err = get_list(bytes, len, WF_F_WANT, WEFT_WANT_IDS_MAX, &w.stream, &w.ids, &w.count);
    if (err == WEFT_OK && w.count == 0) err = WEFT_SYNTAX;
    if (err == WEFT_OK) *out = w;
    return err;
}

weft_buf *wf_trees_req_encode(uint32_t stream)
{
    struct wf_frame_out f;
    wf_frame_out_begin(&f, 0, 2, WF_F_TREES_REQ, stream);
    return wf_frame_out_end(&f);
}

weft_err wf_trees_req_decode(const uint8_t *bytes, size_t len)
{
    uint32_t stream;
    wf_cursor c = wf_frame_read(bytes, len, 2, WF_F_TREES_REQ, &stream);
    return wf_frame_read_end(&c);
}

weft_buf *wf_trees_encode(const struct wf_trees *trees)
{
    WF_ASSERT(trees->count <= WEFT_IDS_PER_MESSAGE_MAX);
    return put_list(WF_F_TREES, trees->stream, trees->ids, trees->count);
}

weft_err wf_trees_decode(const uint8_t *bytes, size_t len, struct wf_trees *out)
{
    struct wf_trees t;
    weft_err err = get_list(bytes, len, WF_F_TREES, WEFT_IDS_PER_MESSAGE_MAX, &t.stream, &t.ids,
                            &t.count);
    if (err == WEFT_OK) *out = t;
    return err;
}

/* -- DONE, RESULT, ACK ------------------------------------------------------------------- */

weft_buf *wf_done_encode(const struct wf_done *done)
{
    struct wf_frame_out f;
    WF_ASSERT(done->round > 0 && !done->mark.partial);
    wf_frame_out_begin(&f, 2 * WF_FIELD_UINT_BYTES + WF_FIELD_MARK_BYTES + 34 + 1, 7, WF_F_DONE,
                       done->stream);
    wf_frame_out_uint(&f, done->round);
    wf_frame_out_mark(&f, &done->mark);
    wf_frame_out_bin(&f, done->root, sizeof done->root);
    wf_frame_out_uint(&f, done->count);
    wf_frame_out_bool(&f, done->clean);
    return wf_frame_out_end(&f);
}

weft_err wf_done_decode(const uint8_t *bytes, size_t len, struct wf_done *out)
{
    struct wf_done d;
    bool has_mark = false;
    memset(&d, 0, sizeof d);
    wf_cursor c = wf_frame_read(bytes, len, 7, WF_F_DONE, &d.stream);
    d.round = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    wf_frame_read_mark(&c, &has_mark, &d.mark);
    wf_frame_read_fixed(&c, d.root, sizeof d.root);
    d.count = wf_cursor_uint(&c, INT64_MAX);
    d.clean = wf_cursor_bool(&c);
    if (d.round == 0 || !has_mark || d.mark.partial) wf_frame_refuse(&c);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = d;
    return err;
}

weft_buf *wf_result_encode(const struct wf_result *result)
{
    struct wf_frame_out f;
    WF_ASSERT(result->round > 0 && result->code <= WF_RESULT_UNCLEAN);
    wf_frame_out_begin(&f, 2 * WF_FIELD_UINT_BYTES, 4, WF_F_RESULT, result->stream);
    wf_frame_out_uint(&f, result->round);
    wf_frame_out_uint(&f, result->code);
    return wf_frame_out_end(&f);
}

weft_err wf_result_decode(const uint8_t *bytes, size_t len, struct wf_result *out)
{
    struct wf_result r;
    wf_cursor c = wf_frame_read(bytes, len, 4, WF_F_RESULT, &r.stream);
    r.round = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    r.code = (uint32_t)wf_cursor_uint(&c, WF_RESULT_UNCLEAN);
    if (r.round == 0) wf_frame_refuse(&c);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = r;
    return err;
}

weft_buf *wf_ack_encode(const struct wf_ack *ack)
{
    struct wf_frame_out f;
    wf_frame_out_begin(&f, 5 * WF_FIELD_UINT_BYTES, 7, WF_F_ACK, ack->stream);
    wf_frame_out_uint(&f, ack->n);
    wf_frame_out_uint(&f, ack->seq);
    wf_frame_out_uint(&f, ack->stored);
    wf_frame_out_uint(&f, ack->known);
    wf_frame_out_uint(&f, ack->code);
    return wf_frame_out_end(&f);
}

weft_err wf_ack_decode(const uint8_t *bytes, size_t len, struct wf_ack *out)
{
    struct wf_ack a;
    wf_cursor c = wf_frame_read(bytes, len, 7, WF_F_ACK, &a.stream);
    a.n = wf_cursor_uint(&c, INT64_MAX);
    a.seq = wf_cursor_uint(&c, INT64_MAX);
    a.stored = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    a.known = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    a.code = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    weft_err err = wf_frame_read_end(&c);
    if (err == WEFT_OK) *out = a;
    return err;
}

/* -- ERR and CLOSE ------------------------------------------------------------------------ */

weft_buf *wf_err_encode(uint32_t type, const struct wf_err_frame *err)
{
    struct wf_frame_out f;
    bool is_err = type == WF_F_ERR;
    size_t len = strnlen(err->text, sizeof err->text - 1);
    WF_ASSERT(is_err || type == WF_F_CLOSE);
    wf_frame_out_begin(&f, 2 * WF_FIELD_UINT_BYTES + WF_FIELD_HEAD_BYTES + len, is_err ? 5 : 4,
                       type, err->stream);
    wf_frame_out_uint(&f, err->code);
    if (is_err) wf_frame_out_uint(&f, err->retry_ms);
    if (f.buf != NULL) wf_pack_str(&f.pk, err->text, len);
    return wf_frame_out_end(&f);
}

weft_err wf_err_decode(const uint8_t *bytes, size_t len, struct wf_err_frame *out)
{
    struct wf_err_frame e;
    size_t text_len = 0;
    memset(&e, 0, sizeof e);
    wf_cursor c = wf_cursor_open(bytes, len, true);
    uint32_t fields = wf_cursor_array(&c, 5);
    uint64_t type = wf_cursor_uint(&c, UINT32_MAX);
    if (!(type == WF_F_ERR && fields == 5) && !(type == WF_F_CLOSE && fields == 4))
        wf_frame_refuse(&c);
    e.stream = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    e.code = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    if (type == WF_F_ERR) e.retry_ms = (uint32_t)wf_cursor_uint(&c, UINT32_MAX);
    const char *text = wf_cursor_str(&c, 0, sizeof e.text - 1, &text_len);
    if (text_len > 0 && memchr(text, 0, text_len) != NULL) wf_frame_refuse(&c);
    weft_err err = wf_frame_read_end(&c);
    if (err != WEFT_OK) return err;
    if (text_len > 0) memcpy(e.text, text, text_len);
    *out = e;
    return WEFT_OK;
}
