/* SPDX-License-Identifier: Apache-2.0
 * test_registry.c - the rows of peers: which addresses they keep, in which order those are tried,
 * and what their records say.
 * Called by: the test runner. Never: a node. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "registry.h"

#define DAY_MS INT64_C(86400000)
#define NOW (1000 * DAY_MS)

static struct wf_peer_row row;

static void setup(void) { memset(&row, 0, sizeof row); }
TestSuite(registry, .init = setup);

/* The addresses of an info, one letter each. */
static const char *letters(const weft_peer_info *info)
{
    static char out[WEFT_ADDRESSES_PER_PEER_MAX + 1];
    memset(out, 0, sizeof out);
    for (uint32_t i = 0; i < info->addresses_count; i++) out[i] = info->addresses[i][2];
    return out;
}

static weft_err by_hand(const char *letter)
{
    char text[8];
    snprintf(text, sizeof text, "t:%s", letter);
    return wf_row_add_address(&row, text);
}

static weft_err told(const char *letter, int64_t ms)
{
    char text[8];
    snprintf(text, sizeof text, "t:%s", letter);
    return wf_row_tell_address(&row, text, ms);
}

static void worked(const char *letter, int64_t ms)
{
    char text[8];
    snprintf(text, sizeof text, "t:%s", letter);
    wf_row_address_worked(&row, text, ms);
}

Test(registry, what_is_told_takes_no_place_by_hand)
{
    for (const char *c = "abcdefgh"; *c != '\0'; c++)
        cr_assert_eq(by_hand((char[]){*c, '\0'}), WEFT_OK);
    cr_expect_eq(told("i", NOW), WEFT_LIMIT);
    cr_expect_eq(by_hand("i"), WEFT_LIMIT);
    cr_expect_str_eq(letters(&row.info), "abcdefgh");
}

Test(registry, what_is_by_hand_takes_the_place_that_is_worth_least)
{
    cr_assert_eq(by_hand("a"), WEFT_OK);
    for (const char *c = "bcdefgh"; *c != '\0'; c++)
        cr_assert_eq(told((char[]){*c, '\0'}, NOW + *c), WEFT_OK);
    worked("b", NOW + 500); /* told first, and good */
    cr_expect_eq(by_hand("x"), WEFT_OK);
    cr_expect_str_eq(letters(&row.info), "abdefghx",
                     "c was told longest ago of those that never worked");
    for (const char *c = "yzuvwr"; *c != '\0'; c++)
        cr_assert_eq(by_hand((char[]){*c, '\0'}), WEFT_OK);
    cr_expect_str_eq(letters(&row.info), "axyzuvwr");
    cr_expect_eq(by_hand("q"), WEFT_LIMIT);
}

Test(registry, who_tells_many_at_once_keeps_the_first)
{
    for (const char *c = "abcdefghij"; *c != '\0'; c++) (void)told((char[]){*c, '\0'}, NOW);
    cr_expect_str_eq(letters(&row.info), "abcdefgh");
    cr_expect_eq(told("k", NOW + 1), WEFT_OK, "later ones replace older ones");
    cr_expect_str_eq(letters(&row.info), "bcdefghk");
}

Test(registry, what_worked_is_tried_first_then_what_is_by_hand)
{
    weft_peer_info info;
    (void)told("a", NOW);
    (void)by_hand("b");
    (void)told("c", NOW);
    (void)by_hand("d");
    (void)told("e", NOW);
    wf_row_by_worth(&row, &info);
    cr_expect_str_eq(letters(&info), "bdace");
    worked("e", NOW + 1);
    worked("d", NOW + 2);
    wf_row_by_worth(&row, &info);
    cr_expect_str_eq(letters(&info), "debac");
    cr_expect_str_eq(letters(&row.info), "abcde", "the row itself keeps its order");
}

Test(registry, what_was_told_expires_unless_it_works)
{
    (void)by_hand("a");
    (void)told("b", NOW);
    (void)told("c", NOW);
    (void)told("d", NOW);
    worked("c", NOW + 5 * DAY_MS);
    cr_expect_eq(told("d", NOW + 6 * DAY_MS), WEFT_EXISTS);
    cr_expect_not(wf_row_expire(&row, NOW + WEFT_ADDRESS_TTL_MS));
    cr_expect(wf_row_expire(&row, NOW + WEFT_ADDRESS_TTL_MS + 1));
    cr_expect_str_eq(letters(&row.info), "acd");
    cr_expect(wf_row_expire(&row, NOW + 100 * DAY_MS));
    cr_expect_str_eq(letters(&row.info), "a");
    (void)told("b", NOW);
    cr_expect_eq(by_hand("b"), WEFT_EXISTS);
    cr_expect_not(wf_row_expire(&row, NOW + 100 * DAY_MS), "it is by hand now");
}

Test(registry, a_record_has_all_of_it)
{
    static struct wf_peer_row back;
    uint8_t bytes[WF_ROW_RECORD_MAX];
    (void)by_hand("a");
    (void)told("b", NOW);
    worked("b", NOW + 7);
    row.info.last_error = WEFT_UNREACHABLE;
    size_t len = wf_row_encode(&row, bytes);
    memset(&back, 0, sizeof back);
    cr_assert_eq(wf_row_decode(bytes, len, &back), WEFT_OK);
    cr_expect_str_eq(letters(&back.info), "ab");
    cr_expect(back.about[0].by_hand && !back.about[1].by_hand);
    cr_expect_eq(back.about[0].told_ms, 0);
    cr_expect_eq(back.about[1].told_ms, NOW);
    cr_expect_eq(back.about[1].worked_ms, NOW + 7);
    cr_expect_eq(back.info.last_error, WEFT_UNREACHABLE);
    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(wf_row_decode(bytes, cut, &back), WEFT_CORRUPT, "%zu bytes", cut);
}

Test(registry, the_largest_record_fits)
{
    static struct wf_peer_row back;
    uint8_t bytes[WF_ROW_RECORD_MAX];
    weft_peer_info *info = &row.info;
    memset(info->name, 'n', sizeof info->name - 1);
    info->first_seen_ms = info->last_seen_ms = info->last_success_ms = INT64_MAX;
    info->attempts = info->failures = info->entries_sent = info->entries_received = UINT64_MAX;
    info->bytes_sent = info->bytes_received = info->syncs_ok = info->syncs_failed = UINT64_MAX;
    info->addresses_count = WEFT_ADDRESSES_PER_PEER_MAX;
    for (uint32_t i = 0; i < WEFT_ADDRESSES_PER_PEER_MAX; i++) {
        memset(info->addresses[i], 'a' + (int)i, WEFT_ADDRESS_BYTES_MAX - 1);
        row.about[i] = (struct wf_row_address){true, INT64_MAX, INT64_MAX};
    }
    size_t len = wf_row_encode(&row, bytes);
    memset(&back, 0, sizeof back);
    cr_expect_eq(wf_row_decode(bytes, len, &back), WEFT_OK);
    cr_expect_eq(back.info.addresses_count, WEFT_ADDRESSES_PER_PEER_MAX);
}

/* As version 1 wrote it: [1, "n", 0, 1, 2, 3, 4, 5, 14, ["t:a", "t:b"], 6, 7, 8, 9, 10, 11, nil, nil] */
Test(registry, a_record_of_before_is_read)
{
    static const uint8_t before[] = {0xdc, 0x00, 0x12, 0x01, 0xa1, 'n',  0x00, 0x01, 0x02, 0x03,
                                     0x04, 0x05, 0x0e, 0x92, 0xa3, 't',  ':',  'a',  0xa3, 't',
                                     ':',  'b',  0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0xc0, 0xc0};
    cr_assert_eq(wf_row_decode(before, sizeof before, &row), WEFT_OK);
    cr_expect_str_eq(row.info.name, "n");
    cr_expect_str_eq(letters(&row.info), "ab");
    cr_expect(row.about[0].by_hand && row.about[1].by_hand);
    cr_expect_eq(row.info.last_error, WEFT_UNREACHABLE);
    cr_expect_eq(row.info.syncs_failed, 11);
    uint8_t other[sizeof before];
    memcpy(other, before, sizeof before);
    other[3] = 3;
    cr_expect_eq(wf_row_decode(other, sizeof other, &row), WEFT_CORRUPT, "of a version to come");
}
