/* SPDX-License-Identifier: Apache-2.0
 * test_frame.c - collecting frames, and the transport's own frames.
 * Called by: the test runner. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "frame.h"
#include "rig.h"

/* Feeds all of it in pieces of `piece`; the last answer. */
static weft_err feed(struct wf_frame_in *f, const uint8_t *data, size_t len, size_t piece)
{
    weft_err err = WEFT_AGAIN;
    for (size_t at = 0; at < len;) {
        size_t n = len - at < piece ? len - at : piece, used = 0;
        err = wf_frame_in_feed(f, data + at, n, &used);
        if (err != WEFT_OK && err != WEFT_AGAIN) return err;
        at += used;
        if (wf_frame_in_whole(f)) break;
    }
    return err;
}

static void whole(weft_buf *frame)
{
    uint8_t *data = weft_buf_data(frame);
    size_t body = weft_buf_len(frame) - WF_FRAME_HEAD;
    for (unsigned i = 0; i < 4; i++) data[i] = (uint8_t)(body >> (8 * (3 - i)));
}

Test(frame, a_frame_in_pieces_of_any_size_comes_out_whole)
{
    weft_buf *frame = rig_frame(WF_F_ENTRIES, 70000, 3, 5000);
    whole(frame);
    for (size_t piece = 1; piece <= 5000; piece = piece * 3 + 1) {
        struct wf_frame_in f = {0};
        cr_assert_eq(feed(&f, weft_buf_bytes(frame), 5000, piece), WEFT_OK);
        cr_assert(wf_frame_in_whole(&f) && f.type == WF_F_ENTRIES && f.stream == 70000);
        weft_buf *body = wf_frame_in_take(&f);
        cr_expect_eq(weft_buf_len(body), 4996);
        cr_expect_arr_eq(weft_buf_bytes(body), weft_buf_bytes(frame) + 4, 4996);
        weft_buf_unref(body);
        cr_expect(!wf_frame_in_begun(&f));
    }
    weft_buf_unref(frame);
}

Test(frame, a_frame_cut_at_any_byte_is_not_whole)
{
    weft_buf *frame = rig_frame(WF_F_OPEN, 5, 3, 300);
    whole(frame);
    for (size_t cut = 0; cut < 300; cut++) {
        struct wf_frame_in f = {0};
        (void)feed(&f, weft_buf_bytes(frame), cut, 300);
        cr_expect(!wf_frame_in_whole(&f), "cut at %zu", cut);
        wf_frame_in_fini(&f);
    }
    weft_buf_unref(frame);
}

Test(frame, memory_follows_what_has_arrived_and_not_what_was_declared)
{
    weft_buf *frame = rig_frame(WF_F_ENTRIES, 1, 0, WEFT_MESSAGE_BYTES_MAX + WF_FRAME_HEAD);
    whole(frame);
    struct wf_frame_in f = {0};
    (void)feed(&f, weft_buf_bytes(frame), 1000, 1000);
    cr_expect_leq(f.room, 2048);
    (void)feed(&f, weft_buf_bytes(frame) + 1000, 99000, 99000);
    cr_expect_leq(f.room, 200000);
    wf_frame_in_fini(&f);
    weft_buf_unref(frame);
}

struct bad {
    const char *what;
    uint8_t bytes[16];
    size_t len;
    weft_err err;
};

static const struct bad bad_frames[] = {
    {"no length", {0, 0, 0, 0}, 4, WEFT_PROTOCOL},
    {"too short for a type and a stream", {0, 0, 0, 2, 0x92, 2}, 6, WEFT_PROTOCOL},
    {"longer than a message may be", {0, 0x11, 0, 1, 0x92, 2, 1}, 7, WEFT_PROTOCOL},
    {"the largest length", {0xff, 0xff, 0xff, 0xff, 0x92}, 5, WEFT_PROTOCOL},
    {"no array", {0, 0, 0, 3, 0xc0, 2, 1}, 7, WEFT_SYNTAX},
    {"an empty array", {0, 0, 0, 3, 0x90, 2, 1}, 7, WEFT_SYNTAX},
    {"one field", {0, 0, 0, 3, 0x91, 2, 1}, 7, WEFT_SYNTAX},
    {"a type that is no number", {0, 0, 0, 3, 0x92, 0xc0, 1}, 7, WEFT_SYNTAX},
    {"a negative stream", {0, 0, 0, 3, 0x92, 2, 0xff}, 7, WEFT_SYNTAX},
    {"a type cut off", {0, 0, 0, 3, 0x92, 0xcf, 1}, 7, WEFT_SYNTAX},
    {"a stream beyond 32 bits",
     {0, 0, 0, 11, 0x92, 2, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0},
     15,
     WEFT_SYNTAX},
};

Test(frame, malformed_frames_are_refused)
{
    for (size_t i = 0; i < sizeof bad_frames / sizeof bad_frames[0]; i++) {
        const struct bad *b = &bad_frames[i];
        for (size_t piece = 1; piece <= 16; piece += 15) {
            struct wf_frame_in f = {0};
            weft_err err = feed(&f, b->bytes, b->len, piece);
            cr_expect_eq(err, b->err, "%s: %s", b->what, weft_errname(err));
            wf_frame_in_fini(&f);
        }
    }
}

Test(frame, short_memory_is_an_answer)
{
    weft_buf *frame = rig_frame(WF_F_ENTRIES, 1, 0, 60000);
    whole(frame);
    for (uint64_t nth = 1; nth < 8; nth++) {
        struct wf_frame_in f = {0};
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = feed(&f, weft_buf_bytes(frame), 60000, 1000);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect(err == WEFT_NO_MEMORY || err == WEFT_OK);
        cr_expect(nth > 1 || err == WEFT_NO_MEMORY);
        wf_frame_in_fini(&f);
    }
    weft_buf_unref(frame);
}

/* -- The transport's own frames ------------------------------------------------------------ */

static const uint8_t *body_of(struct wf_bytes *b, size_t *len)
{
    struct wf_frame_in f = {0};
    const uint8_t *data = wf_bytes_front(b);
    cr_assert_eq(feed(&f, data, wf_bytes_len(b), 7), WEFT_OK);
    cr_assert_eq(wf_bytes_len(b), f.len + WF_FRAME_HEAD);
    *len = f.len;
    wf_frame_in_fini(&f);
    return data + WF_FRAME_HEAD;
}

Test(frame, hello_says_what_it_was_given)
{
    struct wf_bytes b = {0};
    struct wf_hello in = {
        .ver_min = 1, .ver_max = 300, .caps = UINT64_MAX, .name = "a name", .listens_count = 2};
    struct wf_hello out;
    size_t len;
    strcpy(in.listens[0], "tcp:127.0.0.1:4711");
    strcpy(in.listens[1], "tcp:[::1]:4712");
    cr_assert_eq(wf_frame_put_hello(&b, &in), WEFT_OK);
    const uint8_t *body = body_of(&b, &len);
    cr_assert_eq(wf_frame_get_hello(body, len, &out), WEFT_OK);
    cr_expect(out.ver_min == 1 && out.ver_max == 300 && out.listens_count == 2);
    cr_expect_eq(out.caps, UINT64_MAX);
    cr_expect_str_eq(out.name, "a name");
    cr_expect_str_eq(out.listens[1], "tcp:[::1]:4712");
    wf_bytes_fini(&b);
}

Test(frame, hello_cut_anywhere_is_malformed)
{
    struct wf_bytes b = {0};
    struct wf_hello in = {.ver_min = 1, .ver_max = 1, .listens_count = 1}, out;
    size_t len;
    strcpy(in.listens[0], "tcp:127.0.0.1:4711");
    cr_assert_eq(wf_frame_put_hello(&b, &in), WEFT_OK);
    const uint8_t *body = body_of(&b, &len);
    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(wf_frame_get_hello(body, cut, &out), WEFT_SYNTAX, "cut at %zu", cut);
    wf_bytes_fini(&b);
}

Test(frame, credit_tells_loans_from_the_window)
{
    static const struct {
        uint32_t stream;
        bool loan;
    } cases[] = {{0, false}, {0, true}, {7, true}};
    for (unsigned i = 0; i < 3; i++) {
        struct wf_bytes b = {0};
        uint64_t bytes = 0;
        bool loan = false;
        size_t len;
        cr_assert_eq(wf_frame_put_credit(&b, cases[i].stream, 70000, cases[i].loan), WEFT_OK);
        const uint8_t *body = body_of(&b, &len);
        cr_assert_eq(wf_frame_get_credit(body, len, &bytes, &loan), WEFT_OK);
        cr_expect(bytes == 70000 && loan == cases[i].loan, "case %u", i);
        wf_bytes_fini(&b);
    }
}

Test(frame, close_and_err_carry_code_and_text)
{
    struct wf_bytes b = {0};
    uint64_t code = 0;
    char text[WEFT_ERROR_TEXT_BYTES_MAX], longer[400];
    size_t len;
    cr_assert_eq(wf_frame_put_err(&b, 4, WF_W_BUSY, "later"), WEFT_OK);
    const uint8_t *body = body_of(&b, &len);
    cr_assert_eq(wf_frame_get_close(body, len, &code, text), WEFT_OK);
    cr_expect(code == WF_W_BUSY && strcmp(text, "later") == 0);
    wf_bytes_take(&b, wf_bytes_len(&b));
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    cr_assert_eq(wf_frame_put_close(&b, 0, WF_W_OK, longer), WEFT_OK);
    body = body_of(&b, &len);
    cr_assert_eq(wf_frame_get_close(body, len, &code, text), WEFT_OK);
    cr_expect_eq(strlen(text), WEFT_ERROR_TEXT_BYTES_MAX - 1, "cut to what a peer accepts");
    wf_bytes_fini(&b);
}

Test(frame, every_wire_code_has_a_meaning_and_the_way_back)
{
    for (unsigned code = 0; code <= WF_W_UNSUPPORTED; code++) {
        weft_err err = wf_wire_err(code);
        if (code == WF_W_QUOTA) cr_expect_eq(err, WEFT_LIMIT);
        else cr_expect_eq(wf_wire_code_of(err), code, "code %u", code);
    }
    cr_expect_eq(wf_wire_err(UINT64_MAX), WEFT_PROTOCOL);
    cr_expect_eq(wf_wire_code_of(WEFT_IO), WF_W_INTERNAL, "our disk is none of their business");
    cr_expect_eq(wf_wire_err(WF_W_VERSION), WEFT_PEER_VERSION);
    cr_expect_eq(wf_wire_err(WF_W_INTERNAL), WEFT_INTERNAL);
}

Test(frame, a_peer_hears_that_its_entry_is_bad_and_not_why)
{
    cr_expect_eq(wf_wire_code_of(WEFT_BAD_ID), WF_W_BAD_ENTRY);
    cr_expect_eq(wf_wire_code_of(WEFT_BAD_SIGNATURE), WF_W_BAD_ENTRY);
    cr_expect_eq(wf_wire_code_of(WEFT_BAD_ENTRY), WF_W_BAD_ENTRY);
}
