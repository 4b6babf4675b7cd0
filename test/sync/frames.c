/* SPDX-License-Identifier: Apache-2.0
 * frames.c - one example of every frame of the sync protocol, from fixed bytes.
 * Called by: test_wire*.c. May touch: counted buffers.
 * Never: chance; these bytes are the golden ones of docs/wire.md. */
#include "frames.h"

#include <string.h>

#define STREAM 7u

const uint8_t *frame_body(const weft_buf *buf, size_t *len)
{
    *len = weft_buf_len(buf) - WF_FRAME_HEAD;
    return weft_buf_bytes(buf) + WF_FRAME_HEAD;
}

static weft_id id_of(uint8_t byte)
{
    weft_id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

static wf_mark mark_of(bool partial)
{
    wf_mark mark = {.seq = 300, .partial = partial};
    memset(mark.epoch, 0xe1, sizeof mark.epoch);
    memset(mark.id8, 0x18, sizeof mark.id8);
    if (partial) {
        mark.gen = 70000;
        mark.id = id_of(0x77);
    }
    return mark;
}

static struct wf_summary summary_of(uint32_t tips, uint32_t tip_bytes, bool cursor, bool partial)
{
    struct wf_summary s;
    memset(&s, 0, sizeof s);
    s.count = 200;
    s.max_gen = 100;
    memset(s.root, 0xd1, sizeof s.root);
    memset(s.epoch, 0xe0, sizeof s.epoch);
    s.seq = 200;
    memset(s.id8, 0x08, sizeof s.id8);
    s.has_cursor = cursor;
    if (cursor) s.cursor = mark_of(partial);
    s.tips_complete = tips < WEFT_OPEN_TIPS_MAX;
    s.tips_count = tips;
    s.tip_bytes = tip_bytes;
    for (uint32_t i = 0; i < tips * tip_bytes; i++) s.tips[i] = (uint8_t)(i / tip_bytes + 1);
    return s;
}

static weft_buf *open_with(uint32_t flags, struct wf_summary own)
{
    struct wf_open open = {.stream = STREAM, .tree = id_of(0xaa), .flags = flags, .own = own};
    return wf_open_encode(&open);
}

static weft_buf *open_first(void) { return open_with(WF_OPEN_SUBSCRIBE, summary_of(2, 32, 0, 0)); }
static weft_buf *open_cursor(void) { return open_with(WF_OPEN_SUBSCRIBE, summary_of(1, 8, 1, 0)); }
static weft_buf *open_partial(void) { return open_with(0, summary_of(32, 32, 1, 1)); }
static weft_buf *open_exact(void) { return open_with(WF_OPEN_EXACT, summary_of(3, 32, 0, 0)); }
static weft_buf *open_raw(void)
{
    struct wf_summary none;
    memset(&none, 0, sizeof none);
    return open_with(WF_OPEN_RAW, none);
}

static weft_err open_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_open open;
    weft_err err = wf_open_decode(bytes, len, &open);
    if (err == WEFT_OK) *again = wf_open_encode(&open);
    return err;
}

static weft_buf *state_with(uint32_t flags, uint32_t plan, struct wf_summary own)
{
    struct wf_state state = {.stream = STREAM, .flags = flags, .plan = plan, .own = own};
    return wf_state_encode(&state);
}

static weft_buf *state_ask(void)
{
    return state_with(WF_OPEN_SUBSCRIBE, WF_PLAN_ASK, summary_of(2, 32, 0, 0));
}
static weft_buf *state_exact(void)
{
    return state_with(WF_OPEN_EXACT, WF_PLAN_CLOSURE, summary_of(32, 32, 0, 0));
}

static weft_err state_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_state state;
    weft_err err = wf_state_decode(bytes, len, &state);
    if (err == WEFT_OK) *again = wf_state_encode(&state);
    return err;
}

static weft_buf *ids_with(uint32_t id_bytes, uint32_t count, bool last)
{
    uint8_t bytes[3 * 32];
    for (uint32_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i / id_bytes + 0x40);
    struct wf_ids ids = {.stream = STREAM,
                         .ref = 1,
                         .lo_gen = 5,
                         .hi_gen = 260,
                         .lo_id = id_of(0x50),
                         .hi_id = id_of(0x51),
                         .last = last,
                         .id_bytes = id_bytes,
                         .count = count,
                         .ids = bytes};
    return wf_ids_encode(&ids);
}

static weft_buf *ids_short(void) { return ids_with(8, 3, true); }
static weft_buf *ids_full(void) { return ids_with(32, 3, false); }

static weft_err ids_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_ids ids;
    weft_err err = wf_ids_decode(bytes, len, &ids);
    if (err == WEFT_OK) *again = wf_ids_encode(&ids);
    return err;
}

static weft_buf *bits(void)
{
    static const uint8_t answer[2] = {0x81, 0x03};
    struct wf_bits b = {.stream = STREAM, .ref = 1, .count = 10, .bits = answer};
    return wf_bits_encode(&b);
}

static weft_err bits_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_bits b;
    weft_err err = wf_bits_decode(bytes, len, &b);
    if (err == WEFT_OK) *again = wf_bits_encode(&b);
    return err;
}

/* Entries are opaque to a frame: three of the sizes whose heads differ. */
static weft_buf *entries_with(uint32_t type, uint32_t flags, const size_t *sizes, uint32_t count,
                              const wf_mark *mark)
{
    static uint8_t bytes[70000];
    struct wf_entries_builder b;
    weft_buf *out = NULL;
    memset(bytes, 0xee, sizeof bytes);
    if (wf_entries_begin(&b, type, STREAM, flags, 12) != WEFT_OK) return NULL;
    for (uint32_t i = 0; i < count; i++)
        if (wf_entries_add(&b, bytes, sizes[i]) != WEFT_OK) break;
    if (b.count != count || wf_entries_finish(&b, mark, &out) != WEFT_OK) wf_entries_abort(&b);
    return out;
}

static weft_buf *entries_marked(void)
{
    static const size_t sizes[] = {200, 300};
    wf_mark mark = mark_of(true);
    return entries_with(WF_F_ENTRIES, 0, sizes, 2, &mark);
}
static weft_buf *entries_raw(void)
{
    static const size_t sizes[] = {128};
    return entries_with(WF_F_ENTRIES, WF_ENTRIES_RAW, sizes, 1, NULL);
}
static weft_buf *entries_many(void)
{
    size_t sizes[17] = {[0] = 70000};
    for (int i = 1; i < 17; i++) sizes[i] = 128;
    return entries_with(WF_F_ENTRIES, 0, sizes, 17, NULL);
}
static weft_buf *push(void)
{
    static const size_t sizes[] = {256};
    wf_mark mark = mark_of(false);
    return entries_with(WF_F_PUSH, 0, sizes, 1, &mark);
}

static weft_err entries_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_entries e;
    struct wf_entries_builder b;
    const uint8_t *entry;
    size_t entry_len;
    weft_err err = wf_entries_decode(bytes, len, &e);
    if (err != WEFT_OK) return err;
    *again = NULL;
    if (wf_entries_begin(&b, bytes[1], e.stream, e.flags, e.seen) != WEFT_OK) return WEFT_OK;
    while (wf_entries_next(&e, &entry, &entry_len) == WEFT_OK)
        (void)wf_entries_add(&b, entry, entry_len);
    if (b.count != e.count || wf_entries_finish(&b, e.has_mark ? &e.mark : NULL, again) != WEFT_OK)
        wf_entries_abort(&b);
    return WEFT_OK;
}

static weft_buf *done(void)
{
    struct wf_done d = {
        .stream = STREAM, .round = 1, .mark = mark_of(false), .count = 200, .clean = true};
    memset(d.root, 0xd1, sizeof d.root);
    return wf_done_encode(&d);
}

static weft_err done_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_done d;
    weft_err err = wf_done_decode(bytes, len, &d);
    if (err == WEFT_OK) *again = wf_done_encode(&d);
    return err;
}

static weft_buf *result(void)
{
    struct wf_result r = {.stream = STREAM, .round = 1, .code = WF_RESULT_DIFFERENT};
    return wf_result_encode(&r);
}

static weft_err result_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_result r;
    weft_err err = wf_result_decode(bytes, len, &r);
    if (err == WEFT_OK) *again = wf_result_encode(&r);
    return err;
}

static weft_buf *ack(void)
{
    struct wf_ack a = {
        .stream = STREAM, .n = 3, .seq = 300, .stored = 2, .known = 1, .code = WF_W_BAD_ENTRY};
    return wf_ack_encode(&a);
}

static weft_err ack_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_ack a;
    weft_err err = wf_ack_decode(bytes, len, &a);
    if (err == WEFT_OK) *again = wf_ack_encode(&a);
    return err;
}

static weft_buf *want(void)
{
    static uint8_t ids[64];
    memset(ids, 0x33, sizeof ids);
    struct wf_want w = {.stream = STREAM, .count = 2, .ids = ids};
    return wf_want_encode(&w);
}

static weft_err want_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_want w;
    weft_err err = wf_want_decode(bytes, len, &w);
    if (err == WEFT_OK) *again = wf_want_encode(&w);
    return err;
}

static weft_buf *trees_req(void) { return wf_trees_req_encode(STREAM); }

static weft_err trees_req_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    weft_err err = wf_trees_req_decode(bytes, len);
    if (err == WEFT_OK) *again = wf_trees_req_encode(STREAM);
    return err;
}

static weft_buf *trees(void)
{
    static uint8_t ids[32];
    memset(ids, 0x44, sizeof ids);
    struct wf_trees t = {.stream = STREAM, .count = 1, .ids = ids};
    return wf_trees_encode(&t);
}

static weft_err trees_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_trees t;
    weft_err err = wf_trees_decode(bytes, len, &t);
    if (err == WEFT_OK) *again = wf_trees_encode(&t);
    return err;
}

static weft_buf *err_frame(void)
{
    struct wf_err_frame e = {.stream = STREAM, .code = WF_W_BUSY, .retry_ms = 1500, .text = "busy"};
    return wf_err_encode(WF_F_ERR, &e);
}

static weft_buf *close_frame(void)
{
    struct wf_err_frame e = {.stream = STREAM, .code = WF_W_OK, .text = ""};
    return wf_err_encode(WF_F_CLOSE, &e);
}

static weft_err err_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_err_frame e;
    weft_err err = wf_err_decode(bytes, len, &e);
    if (err == WEFT_OK) *again = wf_err_encode(bytes[1], &e);
    return err;
}

/* -- Keys and joining --------------------------------------------------------------------- */

static void fill(void *out, uint8_t byte, size_t len) { memset(out, byte, len); }

static weft_buf *prove(void)
{
    struct wf_prove p = {.stream = STREAM};
    fill(p.key.bytes, 0x6b, sizeof p.key.bytes);
    fill(p.sig, 0x51, sizeof p.sig);
    return wf_prove_encode(&p);
}

static weft_err prove_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_prove p;
    weft_err err = wf_prove_decode(bytes, len, &p);
    if (err == WEFT_OK) *again = wf_prove_encode(&p);
    return err;
}

static weft_buf *join_with(bool has_id, uint32_t meta_len)
{
    static uint8_t meta[300];
    struct wf_join_ask j = {.stream = STREAM,
                            .tree = id_of(0xaa),
                            .name = "a laptop",
                            .right = WEFT_RIGHT_WRITE,
                            .priority = 70000,
                            .has_id = has_id,
                            .meta = meta,
                            .meta_len = meta_len};
    fill(meta, 0x3e, sizeof meta);
    fill(j.key.bytes, 0x6b, sizeof j.key.bytes);
    if (has_id) fill(j.id, 0x1d, sizeof j.id);
    fill(j.sig, 0x51, sizeof j.sig);
    return wf_join_encode(&j);
}

static weft_buf *join_first(void) { return join_with(false, 300); }
static weft_buf *join_again(void) { return join_with(true, 0); }

static weft_err join_read(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_join_ask j;
    weft_err err = wf_join_decode(bytes, len, &j);
    if (err == WEFT_OK) *again = wf_join_encode(&j);
    return err;
}

static weft_buf *joined(void)
{
    struct wf_joined j = {.stream = STREAM,
                          .state = 1,
                          .right = WEFT_RIGHT_READ,
                          .priority = 9,
                          .expires_ms = UINT64_C(1900000000000),
                          .text = "it waits"};
    fill(j.id, 0x1d, sizeof j.id);
    return wf_joined_encode(&j);
}

static weft_err joined_again(const uint8_t *bytes, size_t len, weft_buf **again)
{
    struct wf_joined j;
    weft_err err = wf_joined_decode(bytes, len, &j);
    if (err == WEFT_OK) *again = wf_joined_encode(&j);
    return err;
}

const struct frame_example frame_examples[FRAMES_COUNT] = {
    {"open_first", open_first, open_again},
    {"open_cursor", open_cursor, open_again},
    {"open_partial", open_partial, open_again},
    {"open_exact", open_exact, open_again},
    {"open_raw", open_raw, open_again},
    {"state_ask", state_ask, state_again},
    {"state_exact", state_exact, state_again},
    {"ids_short", ids_short, ids_again},
    {"ids_full", ids_full, ids_again},
    {"bits", bits, bits_again},
    {"entries_marked", entries_marked, entries_again},
    {"entries_raw", entries_raw, entries_again},
    {"entries_many", entries_many, entries_again},
    {"push", push, entries_again},
    {"done", done, done_again},
    {"result", result, result_again},
    {"ack", ack, ack_again},
    {"want", want, want_again},
    {"trees_req", trees_req, trees_req_again},
    {"trees", trees, trees_again},
    {"err", err_frame, err_again},
    {"close", close_frame, err_again},
    {"prove", prove, prove_again},
    {"join", join_first, join_read},
    {"join_again", join_again, join_read},
    {"joined", joined, joined_again},
};
