/* SPDX-License-Identifier: Apache-2.0
 * test_wire.c - the frames of the sync protocol: golden bytes, round trips, bad input.
 * Called by: meson test. Never: the network, a store. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "frames.h"

static uint64_t random_state = 20260;
static uint64_t next_random(void) /* SplitMix64 */
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t golden(const char *name, uint8_t *out, size_t room, const uint8_t *write, size_t len)
{
    char path[512];
    const char *dir = getenv("WEFT_TEST_DATA");
    (void)snprintf(path, sizeof path, "%s/wire_v1/%s.bin", dir == NULL ? "test/data" : dir, name);
    if (getenv("WEFT_WRITE_GOLDEN") != NULL) {
        FILE *file = fopen(path, "wb");
        cr_assert_not_null(file, "%s", path);
        cr_assert_eq(fwrite(write, 1, len, file), len);
        fclose(file);
    }
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    size_t got = fread(out, 1, room, file);
    fclose(file);
    return got;
}

Test(wire, every_frame_has_its_golden_bytes)
{
    static uint8_t want[80000];
    for (int i = 0; i < FRAMES_COUNT; i++) {
        const struct frame_example *f = &frame_examples[i];
        weft_buf *buf = f->encode();
        size_t len;
        const uint8_t *body = frame_body(buf, &len);
        size_t want_len = golden(f->name, want, sizeof want, body, len);
        cr_expect(want_len == len && memcmp(want, body, len) == 0, "%s", f->name);
        weft_buf_unref(buf);
    }
}

Test(wire, what_is_read_and_written_again_is_the_same)
{
    for (int i = 0; i < FRAMES_COUNT; i++) {
        const struct frame_example *f = &frame_examples[i];
        weft_buf *buf = f->encode(), *again = NULL;
        size_t len, again_len;
        const uint8_t *body = frame_body(buf, &len);
        cr_assert_eq(f->decode(body, len, &again), WEFT_OK, "%s", f->name);
        const uint8_t *second = frame_body(again, &again_len);
        cr_expect(len == again_len && memcmp(body, second, len) == 0, "%s", f->name);
        weft_buf_unref(buf);
        weft_buf_unref(again);
    }
}

Test(wire, every_frame_passes_the_transports_scan)
{
    for (int i = 0; i < FRAMES_COUNT; i++) {
        weft_buf *buf = frame_examples[i].encode();
        size_t len;
        const uint8_t *body = frame_body(buf, &len);
        cr_expect_eq(wf_scan(body, len, 8, 2 * len), WEFT_OK, "%s", frame_examples[i].name);
        weft_buf_unref(buf);
    }
}

/* A copy of exact size, so that a sanitizer sees a read behind the end. */
static weft_err decode_copy(const struct frame_example *f, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    weft_buf *again = NULL;
    if (len > 0) memcpy(copy, bytes, len);
    weft_err err = f->decode(copy, len, &again);
    weft_buf_unref(again);
    free(copy);
    return err;
}

Test(wire, every_truncation_is_refused)
{
    for (int i = 0; i < FRAMES_COUNT; i++) {
        weft_buf *buf = frame_examples[i].encode();
        size_t len;
        const uint8_t *body = frame_body(buf, &len);
        size_t step = len > 4000 ? 97 : 1;
        for (size_t cut = 0; cut < len; cut += step)
            cr_assert_eq(decode_copy(&frame_examples[i], body, cut), WEFT_SYNTAX, "%s cut at %zu",
                         frame_examples[i].name, cut);
        weft_buf_unref(buf);
    }
}

Test(wire, a_byte_behind_the_frame_is_refused)
{
    static uint8_t bytes[80000];
    for (int i = 0; i < FRAMES_COUNT; i++) {
        weft_buf *buf = frame_examples[i].encode();
        size_t len;
        const uint8_t *body = frame_body(buf, &len);
        memcpy(bytes, body, len);
        bytes[len] = 0xc0;
        cr_expect_eq(decode_copy(&frame_examples[i], bytes, len + 1), WEFT_SYNTAX, "%s",
                     frame_examples[i].name);
        weft_buf_unref(buf);
    }
}

/* What is accepted must be one form of something: encoding it gives the same bytes. */
Test(wire, a_changed_byte_is_refused_or_means_something_else)
{
    static uint8_t bytes[80000];
    for (int i = 0; i < FRAMES_COUNT; i++) {
        const struct frame_example *f = &frame_examples[i];
        weft_buf *buf = f->encode();
        size_t len;
        const uint8_t *body = frame_body(buf, &len);
        size_t step = len > 4000 ? 501 : 1;
        for (size_t at = 0; at < len; at += step) {
            for (int k = 0; k < 12; k++) {
                weft_buf *again = NULL;
                memcpy(bytes, body, len);
                bytes[at] = (uint8_t)next_random();
                /* Another type is another frame; the examples read their own. */
                if (at == 1 || f->decode(bytes, len, &again) != WEFT_OK) continue;
                size_t again_len;
                const uint8_t *second = frame_body(again, &again_len);
                bool same = again_len == len && memcmp(second, bytes, len) == 0;
                /* A TREES_REQ says nothing but its stream, which the example fixes. */
                if (strcmp(f->name, "trees_req") != 0)
                    cr_assert(same, "%s at %zu: %02x", f->name, at, bytes[at]);
                weft_buf_unref(again);
            }
        }
        weft_buf_unref(buf);
    }
}

Test(wire, random_bytes_never_pass_the_bounds)
{
    uint8_t bytes[300];
    for (int round = 0; round < 60000; round++) {
        const struct frame_example *f = &frame_examples[next_random() % FRAMES_COUNT];
        size_t len = next_random() % sizeof bytes;
        for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)next_random();
        if (len > 3 && round % 2 == 0) { /* let it come further than the first field */
            weft_buf *buf = f->encode();
            size_t body_len, keep = next_random() % len;
            const uint8_t *body = frame_body(buf, &body_len);
            memcpy(bytes, body, keep < body_len ? keep : body_len);
            weft_buf_unref(buf);
        }
        (void)decode_copy(f, bytes, len);
    }
}

Test(wire, encoding_answers_null_when_memory_is_short)
{
    for (int i = 0; i < FRAMES_COUNT; i++) {
        (void)wf_alloc_fail_at(1, 1);
        weft_buf *buf = frame_examples[i].encode();
        (void)wf_alloc_fail_at(0, 0);
        cr_expect_null(buf, "%s", frame_examples[i].name);
        weft_buf_unref(buf);
    }
}

/* -- What is signed ----------------------------------------------------------------------- */

static void texts(uint8_t channel, uint8_t prover, uint8_t other, const struct wf_join_ask *join,
                  uint8_t prove_text[WF_PROVE_TEXT_BYTES], uint8_t join_text[WF_JOIN_TEXT_MAX],
                  size_t *len)
{
    uint8_t hash[64] = {channel};
    weft_key one = {{prover}}, two = {{other}};
    wf_prove_text(hash, &one, &two, join->stream, prove_text);
    memset(join_text, 0, WF_JOIN_TEXT_MAX);
    wf_join_text(hash, &one, &two, join, join_text, len);
}

Test(wire, what_a_proof_signs_is_what_the_document_says)
{
    const struct wf_join_ask join = {.stream = 0x01020304,
                                     .tree = {{9}},
                                     .name = "me",
                                     .right = 2,
                                     .priority = 0x05060708,
                                     .has_id = true,
                                     .id = {7}};
    uint8_t prove[WF_PROVE_TEXT_BYTES], asked[WF_JOIN_TEXT_MAX], digest[32];
    const uint8_t stream[] = {1, 2, 3, 4}, middle[] = {2, 5, 6, 7, 8, 2, 'm', 'e', 7};
    size_t len;
    texts(1, 2, 3, &join, prove, asked, &len);
    cr_expect(prove[0] == 'P' && prove[1] == 1 && prove[65] == 2 && prove[97] == 3);
    cr_expect_arr_eq(prove + 129, stream, 4);
    cr_expect(asked[0] == 'J' && memcmp(asked + 1, prove + 1, sizeof prove - 1) == 0);
    cr_expect_eq(asked[133], 9);
    cr_expect_arr_eq(asked + 165, middle, sizeof middle);
    wf_blake2b_256(NULL, 0, digest);
    cr_assert_eq(len, 165 + 8 + 16 + 32);
    cr_expect_arr_eq(asked + len - 32, digest, 32);
}

Test(wire, a_proof_of_anything_else_signs_something_else)
{
    const uint8_t meta[] = "m";
    struct wf_join_ask joins[9];
    uint8_t prove[12][WF_PROVE_TEXT_BYTES], asked[12][WF_JOIN_TEXT_MAX];
    size_t len;
    for (unsigned i = 0; i < 9; i++)
        joins[i] = (struct wf_join_ask){.stream = 1, .tree = {{9}}, .name = "me", .right = 1};
    joins[1].stream = 3;
    joins[2].tree.bytes[31] = 1;
    joins[3].name[1] = '\0';
    joins[4].right = 2;
    joins[5].priority = 1;
    joins[6].has_id = true;
    joins[6].id[15] = 1;
    joins[7].meta = meta;
    joins[7].meta_len = 1;
    joins[8].name[2] = 'x';
    for (unsigned i = 0; i < 9; i++) texts(1, 2, 3, &joins[i], prove[i], asked[i], &len);
    texts(9, 2, 3, &joins[0], prove[9], asked[9], &len);
    texts(1, 9, 3, &joins[0], prove[10], asked[10], &len);
    texts(1, 3, 2, &joins[0], prove[11], asked[11], &len);
    for (unsigned i = 0; i < 12; i++)
        for (unsigned k = 0; k < i; k++)
            cr_expect_neq(memcmp(asked[i], asked[k], WF_JOIN_TEXT_MAX), 0, "%u and %u", i, k);
    const unsigned bound[] = {0, 1, 9, 10, 11};
    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = 0; k < i; k++)
            cr_expect_neq(memcmp(prove[bound[i]], prove[bound[k]], WF_PROVE_TEXT_BYTES), 0);
}

/* -- Bounds of single fields -------------------------------------------------------------- */

static weft_err state_with_plan(uint8_t plan)
{
    struct wf_state out;
    struct wf_state s = {.stream = 1, .plan = WF_PLAN_RAW, .own.tip_bytes = 8};
    weft_buf *buf = wf_state_encode(&s);
    weft_buf_data(buf)[WF_FRAME_HEAD + 4] = plan; /* [type, stream, flags, plan, ...] */
    size_t len;
    const uint8_t *body = frame_body(buf, &len);
    weft_err err = wf_state_decode(body, len, &out);
    weft_buf_unref(buf);
    return err;
}

Test(wire, a_state_may_not_name_the_plan_ids)
{
    cr_expect_eq(state_with_plan(WF_PLAN_RAW), WEFT_OK);
    cr_expect_eq(state_with_plan(WF_PLAN_IDS), WEFT_SYNTAX);
}

Test(wire, an_exact_open_may_not_carry_a_cursor)
{
    struct wf_open out;
    weft_buf *buf = NULL;
    for (int i = 0; i < FRAMES_COUNT; i++)
        if (strcmp(frame_examples[i].name, "open_cursor") == 0) buf = frame_examples[i].encode();
    size_t len;
    const uint8_t *body = frame_body(buf, &len);
    cr_assert_eq(wf_open_decode(body, len, &out), WEFT_OK);
    weft_buf_data(buf)[WF_FRAME_HEAD + 3 + 34] = WF_OPEN_EXACT;
    cr_expect_eq(wf_open_decode(body, len, &out), WEFT_SYNTAX);
    weft_buf_unref(buf);
}

Test(wire, a_refused_frame_leaves_the_output_alone)
{
    struct wf_ack out, before;
    memset(&out, 0x5a, sizeof out);
    memcpy(&before, &out, sizeof before); /* padding too, which an assignment may leave out */
    cr_expect_eq(wf_ack_decode((const uint8_t *)"\x97\x0b", 2, &out), WEFT_SYNTAX);
    cr_expect_eq(memcmp(&out, &before, sizeof out), 0);
}

Test(wire, a_page_of_ids_must_be_in_order_and_say_something)
{
    struct wf_ids ids = {.stream = 1,
                         .ref = 1,
                         .lo_gen = 4,
                         .hi_gen = 3,
                         .id_bytes = 8,
                         .last = true,
                         .count = 0,
                         .ids = (const uint8_t *)""};
    struct wf_ids out;
    size_t len;
    weft_buf *buf = wf_ids_encode(&ids);
    const uint8_t *body = frame_body(buf, &len);
    cr_expect_eq(wf_ids_decode(body, len, &out), WEFT_SYNTAX, "from 4 to 3");
    weft_buf_unref(buf);
    ids.lo_gen = 3;
    buf = wf_ids_encode(&ids);
    body = frame_body(buf, &len);
    cr_expect_eq(wf_ids_decode(body, len, &out), WEFT_OK, "an empty last page");
    weft_buf_unref(buf);
    ids.last = false;
    buf = wf_ids_encode(&ids);
    body = frame_body(buf, &len);
    cr_expect_eq(wf_ids_decode(body, len, &out), WEFT_SYNTAX, "empty, and more to come");
    weft_buf_unref(buf);
}

Test(wire, the_largest_page_fits_in_a_message)
{
    static uint8_t bytes[WEFT_IDS_PER_MESSAGE_MAX * 32];
    struct wf_ids out;
    struct wf_ids ids = {.stream = UINT32_MAX,
                         .ref = UINT32_MAX,
                         .hi_gen = INT64_MAX,
                         .last = 1,
                         .id_bytes = 32,
                         .count = WEFT_IDS_PER_MESSAGE_MAX,
                         .ids = bytes};
    weft_buf *buf = wf_ids_encode(&ids);
    size_t len;
    const uint8_t *body = frame_body(buf, &len);
    cr_expect_leq(len, WEFT_MESSAGE_BYTES_MAX);
    cr_expect_eq(wf_ids_decode(body, len, &out), WEFT_OK);
    cr_expect_eq(out.count, WEFT_IDS_PER_MESSAGE_MAX);
    weft_buf_unref(buf);
}

/* -- The builder of bulk frames ----------------------------------------------------------- */

Test(entries, the_builder_answers_full_and_keeps_what_it_has)
{
    static uint8_t entry[WEFT_ENTRY_BYTES_MAX];
    struct wf_entries_builder b;
    struct wf_entries out;
    weft_buf *buf = NULL;
    size_t len;
    cr_assert_eq(wf_entries_begin(&b, WF_F_ENTRIES, 1, 0, 0), WEFT_OK);
    cr_expect_eq(wf_entries_add(&b, entry, WEFT_ENTRY_BYTES_MAX), WEFT_OK);
    cr_expect_eq(wf_entries_add(&b, entry, 65536), WEFT_FULL);
    cr_expect_eq(wf_entries_add(&b, entry, 1000), WEFT_OK);
    cr_assert_eq(wf_entries_finish(&b, NULL, &buf), WEFT_OK);
    const uint8_t *body = frame_body(buf, &len);
    cr_expect_leq(len, WEFT_MESSAGE_BYTES_MAX);
    cr_expect_eq(wf_entries_decode(body, len, &out), WEFT_OK);
    cr_expect_eq(out.count, 2);
    weft_buf_unref(buf);
}

Test(entries, a_frame_holds_a_bounded_number_of_entries)
{
    static uint8_t entry[WEFT_FRAMED_ENTRY_BYTES_MIN];
    struct wf_entries_builder b;
    weft_err err = wf_entries_begin(&b, WF_F_ENTRIES, 1, 0, 0);
    uint32_t added = 0;
    while (err == WEFT_OK && (err = wf_entries_add(&b, entry, sizeof entry)) == WEFT_OK) added++;
    cr_expect_eq(err, WEFT_FULL);
    cr_expect_eq(added, WEFT_FRAMED_ENTRIES_MAX);
    wf_entries_abort(&b);
}

Test(entries, an_entry_that_is_too_short_refuses_the_frame)
{
    static const size_t at = WF_FRAME_HEAD + 6; /* behind the list's head, 16 or more */
    struct wf_entries out;
    weft_buf *buf = NULL;
    for (int i = 0; i < FRAMES_COUNT; i++)
        if (strcmp(frame_examples[i].name, "entries_raw") == 0) buf = frame_examples[i].encode();
    size_t len;
    const uint8_t *body = frame_body(buf, &len);
    cr_assert_eq(body[at - WF_FRAME_HEAD], 0xc4);
    uint8_t cut[200];
    memcpy(cut, body, len);
    cut[at - WF_FRAME_HEAD + 1] = 127; /* one byte less, and the mark one byte earlier */
    cut[len - 2] = 0xc0;
    cr_expect_eq(wf_entries_decode(cut, len - 1, &out), WEFT_SYNTAX);
    weft_buf_unref(buf);
}

Test(entries, written_in_place_is_the_same_as_added)
{
    static uint8_t entry[70000];
    static const size_t sizes[] = {128, 255, 256, 65535, 65536, 70000, 129};
    struct wf_entries_builder a, b;
    weft_buf *added = NULL, *written = NULL;
    for (size_t i = 0; i < sizeof entry; i++) entry[i] = (uint8_t)next_random();
    cr_assert_eq(wf_entries_begin(&a, WF_F_PUSH, 9, 0, 3), WEFT_OK);
    cr_assert_eq(wf_entries_begin(&b, WF_F_PUSH, 9, 0, 3), WEFT_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *at;
        size_t room;
        cr_assert_eq(wf_entries_add(&a, entry, sizes[i]), WEFT_OK);
        cr_assert_eq(wf_entries_room(&b, sizes[i], &at, &room), WEFT_OK);
        cr_assert_geq(room, sizes[i]);
        memcpy(at, entry, sizes[i]);
        wf_entries_wrote(&b, sizes[i]);
    }
    cr_assert_eq(wf_entries_finish(&a, NULL, &added), WEFT_OK);
    cr_assert_eq(wf_entries_finish(&b, NULL, &written), WEFT_OK);
    cr_assert_eq(weft_buf_len(added), weft_buf_len(written));
    cr_expect_eq(memcmp(weft_buf_bytes(added), weft_buf_bytes(written), weft_buf_len(added)), 0);
    weft_buf_unref(added);
    weft_buf_unref(written);
}
