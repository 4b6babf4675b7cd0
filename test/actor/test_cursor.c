/* SPDX-License-Identifier: Apache-2.0
 * test_cursor.c - msgpack from outside: what is taken, what is refused.
 * Called by: the test runner. */
#include "cursor.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

/* Bytes on the heap without a byte more, so that a sanitizer sees a read too far. */
static uint8_t *exact(const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, bytes, len);
    return copy;
}

static weft_err scan(const char *bytes, size_t len, unsigned depth, size_t nodes)
{
    uint8_t *copy = exact(bytes, len);
    weft_err err = wf_scan(copy, len, depth, nodes);
    free(copy);
    return err;
}

struct sample {
    const char *what, *bytes;
    size_t len;
};
#define S(what, text)                \
    {                                \
        what, text, sizeof(text) - 1 \
    }

Test(scan, takes_every_form_of_the_subset)
{
    static const struct sample good[] = {
        S("nil", "\xc0"),
        S("false", "\xc2"),
        S("fixint", "\x7f"),
        S("negative fixint", "\xe0"),
        S("uint8", "\xcc\x80"),
        S("uint16", "\xcd\x01\x00"),
        S("uint32", "\xce\x00\x01\x00\x00"),
        S("uint64", "\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
        S("int8", "\xd0\x80"),
        S("int16", "\xd1\x80\x00"),
        S("int32", "\xd2\x80\x00\x00\x00"),
        S("int64", "\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
        S("float32", "\xca\x00\x00\x00\x00"),
        S("float64", "\xcb\x00\x00\x00\x00\x00\x00\x00\x00"),
        S("fixstr", "\xa1\x61"),
        S("str8", "\xd9\x01\x61"),
        S("str16", "\xda\x00\x01\x61"),
        S("str32", "\xdb\x00\x00\x00\x01\x61"),
        S("bin8", "\xc4\x01\x00"),
        S("bin16", "\xc5\x00\x01\x00"),
        S("bin32", "\xc6\x00\x00\x00\x01\x00"),
        S("empty array", "\x90"),
        S("array16", "\xdc\x00\x01\xc0"),
        S("array32", "\xdd\x00\x00\x00\x01\xc0"),
        S("nested", "\x93\x91\x01\x92\xa1\x61\xc0\x90"),
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_assert_eq(scan(good[i].bytes, good[i].len, 8, 100), WEFT_OK, "%s", good[i].what);
}

Test(scan, refuses_what_is_malformed)
{
    static const struct sample bad[] = {
        S("nothing", ""),
        S("reserved", "\xc1"),
        S("fixmap", "\x80"),
        S("map16", "\xde\x00\x00"),
        S("map32", "\xdf\x00\x00\x00\x00"),
        S("ext8", "\xc7\x00\x01"),
        S("ext16", "\xc8\x00\x00\x01"),
        S("fixext1", "\xd4\x01\x00"),
        S("fixext16", "\xd8\x01"),
        S("two values", "\xc0\xc0"),
        S("trailing byte", "\x91\x01\x00"),
        S("cut uint", "\xcd\x01"),
        S("cut str", "\xa2\x61"),
        S("cut bin", "\xc4\x02\x00"),
        S("cut array", "\x92\x01"),
        S("cut float", "\xcb\x00"),
        S("bin of 4 GiB", "\xc6\xff\xff\xff\xff\x00"),
        S("array of 4 G", "\xdd\xff\xff\xff\xff\x00"),
        S("str of 4 GiB", "\xdb\xff\xff\xff\xff"),
        S("head only", "\xdd\x00\x00"),
        S("totals that fit only one by one", "\x94\x93\x01\x01\x01"),
        S("a string over the bytes of its siblings", "\x92\xa2\x61\x61"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(scan(bad[i].bytes, bad[i].len, 8, 100), WEFT_SYNTAX, "%s", bad[i].what);
}

Test(scan, depth_counts_arrays_around_a_scalar)
{
    cr_assert_eq(scan("\x01", 1, 0, 1), WEFT_OK);
    cr_assert_eq(scan("\x90", 1, 0, 1), WEFT_SYNTAX);
    cr_assert_eq(scan("\x91\x01", 2, 1, 2), WEFT_OK);
    cr_assert_eq(scan("\x91\x91\x01", 3, 1, 3), WEFT_SYNTAX);
    cr_assert_eq(scan("\x91\x91\x01", 3, 2, 3), WEFT_OK);
    cr_assert_eq(scan("\x92\x91\x90\x91\x90", 5, 3, 9), WEFT_OK); /* siblings are not nested */
}

Test(scan, nodes_are_counted_over_all_levels)
{
    cr_assert_eq(scan("\x92\x91\x01\x01", 4, 4, 4), WEFT_OK);
    cr_assert_eq(scan("\x92\x91\x01\x01", 4, 4, 3), WEFT_SYNTAX);
}

/* Nested arrays that each announce as many values as bytes remain: the check per level
 * alone would believe all of them. */
Test(scan, the_running_total_stops_nested_announcements)
{
    uint8_t bytes[3 * 8 + 40];
    memset(bytes, 0, sizeof bytes);
    for (size_t i = 0; i < 8; i++) {
        bytes[3 * i] = 0xdc;
        bytes[3 * i + 2] = 40;
    }
    cr_assert_eq(wf_scan(bytes, sizeof bytes, 8, 1000), WEFT_SYNTAX);
}

static uint64_t seed = UINT64_C(0x853c49e6748fea9b);

static uint32_t next_random(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1;
    return (uint32_t)(seed >> 33);
}

/* What wf_scan took, a cursor must be able to skip in whole, and nothing may be read past
 * the end (the buffer is exact, the sanitizer watches). */
Test(scan, agrees_with_skip_on_random_bytes)
{
    static const uint8_t likely[] = {0x90, 0x91, 0x92, 0x93, 0xa0, 0xa1, 0xc0, 0xc4,
                                     0xcc, 0xd0, 0xd9, 0xdc, 0xdd, 0x00, 0x01, 0x02};
    unsigned taken = 0;
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t bytes[24];
        size_t len = next_random() % (sizeof bytes + 1);
        for (size_t i = 0; i < len; i++) {
            uint32_t r = next_random();
            bytes[i] = (r & 0x300) != 0 ? likely[r & 15] : (uint8_t)r;
        }
        uint8_t *copy = exact(bytes, len);
        wf_cursor c = wf_cursor_open(copy, len, false);
        wf_cursor_skip(&c);
        weft_err skipped = wf_cursor_done(&c), scanned = wf_scan(copy, len, 32, len);
        if (scanned == WEFT_SYNTAX) cr_assert_eq(skipped, WEFT_SYNTAX, "round %u", round);
        taken += scanned == WEFT_OK;
        c = wf_cursor_open(copy, len, true);
        while (c.err == WEFT_OK && c.at < c.end) { /* every reader on every kind of byte */
            size_t got;
            switch (next_random() % 10) {
            case 0: (void)wf_cursor_array(&c, 20); break;
            case 1: (void)wf_cursor_uint(&c, UINT64_MAX); break;
            case 2: (void)wf_cursor_int(&c); break;
            case 3: (void)wf_cursor_bool(&c); break;
            case 4: (void)wf_cursor_float(&c); break;
            case 5: (void)wf_cursor_bin(&c, 0, 100, &got); break;
            case 6: (void)wf_cursor_str(&c, 0, 100, &got); break;
            case 7:
                if (wf_cursor_nil(&c)) break;
                wf_cursor_skip(&c);
                break;
            case 8: (void)wf_cursor_bin_fixed(&c, 4); break;
            default: wf_cursor_skip(&c); break;
            }
        }
        free(copy);
    }
    cr_assert_gt(taken, 1000, "random bytes that are never valid test nothing");
}

/* -- The cursor -- */

static wf_cursor on(const char *bytes, size_t len, bool strict)
{
    return wf_cursor_open((const uint8_t *)bytes, len, strict);
}
#define ON(text, strict) on(text, sizeof(text) - 1, strict)

Test(cursor, reads_fields_in_order)
{
    wf_cursor c = ON("\x96\x05\xe0\xc3\xa2hi\xc4\x02\x01\x02\xc0", true);
    size_t len = 0;
    cr_assert_eq(wf_cursor_array(&c, 6), 6);
    cr_assert_eq(wf_cursor_uint(&c, 5), 5);
    cr_assert_eq(wf_cursor_int(&c), -32);
    cr_assert(wf_cursor_bool(&c));
    cr_assert_eq(memcmp(wf_cursor_str(&c, 1, 2, &len), "hi", 2), 0);
    cr_assert_eq(len, 2);
    cr_assert_eq(memcmp(wf_cursor_bin_fixed(&c, 2), "\x01\x02", 2), 0);
    cr_assert(wf_cursor_nil(&c));
    cr_assert_eq(wf_cursor_done(&c), WEFT_OK);
}

Test(cursor, the_first_error_stays_and_stops_everything)
{
    wf_cursor c = ON("\x05\x06", false);
    cr_assert_eq(wf_cursor_uint(&c, 4), 0);
    cr_assert_eq(c.err, WEFT_SYNTAX);
    cr_assert_eq(wf_cursor_uint(&c, 10), 0);
    cr_assert_null(wf_cursor_bin_fixed(&c, 0));
    cr_assert_eq(wf_cursor_peek(&c), WF_T_NONE);
    cr_assert_not(wf_cursor_nil(&c));
    cr_assert_eq(wf_cursor_done(&c), WEFT_SYNTAX);
}

Test(cursor, done_refuses_bytes_that_are_left)
{
    wf_cursor c = ON("\x05\x06", false);
    cr_assert_eq(wf_cursor_uint(&c, 10), 5);
    cr_assert_eq(wf_cursor_done(&c), WEFT_SYNTAX);
}

Test(cursor, an_array_longer_than_its_bytes_is_refused)
{
    wf_cursor c = ON("\xdc\x00\x10\x01", false);
    cr_assert_eq(wf_cursor_array(&c, 100), 0);
    cr_assert_eq(c.err, WEFT_SYNTAX);
}

Test(cursor, bounds_are_kept)
{
    wf_cursor c = ON("\x93\x01\x02\x03", false);
    (void)wf_cursor_array(&c, 2);
    cr_assert_eq(c.err, WEFT_SYNTAX);
    c = ON("\xa3"
           "abc",
           false);
    cr_assert_null(wf_cursor_str(&c, 0, 2, NULL));
    c = ON("\xa3"
           "abc",
           false);
    cr_assert_null(wf_cursor_str(&c, 4, 9, NULL));
    c = ON("\xc4\x03"
           "abc",
           false);
    cr_assert_null(wf_cursor_bin_fixed(&c, 2));
    cr_assert_eq(c.err, WEFT_SYNTAX);
}

Test(cursor, strict_refuses_every_longer_form)
{
    static const struct sample longer[] = {
        S("uint8 of 127", "\xcc\x7f"),
        S("uint16 of 255", "\xcd\x00\xff"),
        S("uint32 of 65535", "\xce\x00\x00\xff\xff"),
        S("uint64 of 2^32-1", "\xcf\x00\x00\x00\x00\xff\xff\xff\xff"),
        S("int8 of 1", "\xd0\x01"),
        S("int8 of -32", "\xd0\xe0"),
        S("int16 of -128", "\xd1\xff\x80"),
        S("int16 of 300", "\xd1\x01\x2c"),
        S("int32 of -32768", "\xd2\xff\xff\x80\x00"),
        S("int64 of -2^31", "\xd3\xff\xff\xff\xff\x80\x00\x00\x00"),
        S("int64 of 2^40", "\xd3\x00\x00\x01\x00\x00\x00\x00\x00"),
        S("str8 of 1", "\xd9\x01\x61"),
        S("str16 of 1", "\xda\x00\x01\x61"),
        S("str32 of 1", "\xdb\x00\x00\x00\x01\x61"),
        S("bin16 of 1", "\xc5\x00\x01\x00"),
        S("bin32 of 1", "\xc6\x00\x00\x00\x01\x00"),
        S("array16 of 1", "\xdc\x00\x01\xc0"),
        S("array32 of 1", "\xdd\x00\x00\x00\x01\xc0"),
    };
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++) {
        wf_cursor c = on(longer[i].bytes, longer[i].len, true);
        wf_cursor_skip(&c);
        cr_assert_eq(c.err, WEFT_NOT_CANONICAL, "%s", longer[i].what);
        c = on(longer[i].bytes, longer[i].len, false);
        wf_cursor_skip(&c);
        cr_assert_eq(wf_cursor_done(&c), WEFT_OK, "%s", longer[i].what);
    }
}

Test(cursor, strict_takes_the_first_value_of_each_form)
{
    static const struct sample first[] = {
        S("127", "\x7f"),
        S("128", "\xcc\x80"),
        S("256", "\xcd\x01\x00"),
        S("65536", "\xce\x00\x01\x00\x00"),
        S("2^32", "\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
        S("-32", "\xe0"),
        S("-33", "\xd0\xdf"),
        S("-129", "\xd1\xff\x7f"),
        S("-32769", "\xd2\xff\xff\x7f\xff"),
        S("-2^31-1", "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"),
        S("empty bin", "\xc4\x00"),
    };
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        wf_cursor c = on(first[i].bytes, first[i].len, true);
        wf_cursor_skip(&c);
        cr_assert_eq(wf_cursor_done(&c), WEFT_OK, "%s", first[i].what);
    }
}

Test(cursor, integers_have_their_values)
{
    static const struct {
        const char *bytes;
        size_t len;
        int64_t value;
    } ints[] = {
        {"\xe0", 1, -32},
        {"\xff", 1, -1},
        {"\xd0\x80", 2, -128},
        {"\xd1\x80\x00", 3, -32768},
        {"\xd2\x80\x00\x00\x00", 5, INT32_MIN},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, INT64_MIN},
        {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, INT64_MAX},
        {"\x00", 1, 0},
    };
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        wf_cursor c = on(ints[i].bytes, ints[i].len, true);
        cr_assert_eq(wf_cursor_int(&c), ints[i].value, "case %zu", i);
        cr_assert_eq(wf_cursor_done(&c), WEFT_OK);
    }
    wf_cursor c = ON("\xcf\x80\x00\x00\x00\x00\x00\x00\x00", true);
    cr_assert_eq(wf_cursor_int(&c), 0);
    cr_assert_eq(c.err, WEFT_SYNTAX, "2^63 is no int64");
    c = ON("\xe0", true);
    cr_assert_eq(wf_cursor_uint(&c, UINT64_MAX), 0);
    cr_assert_eq(c.err, WEFT_SYNTAX, "a negative number is no uint");
}

Test(cursor, floats_are_float64_only)
{
    wf_cursor c = ON("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", true);
    cr_assert(wf_cursor_float(&c) == 1.5);
    c = ON("\xca\x3f\xc0\x00\x00", true);
    (void)wf_cursor_float(&c);
    cr_assert_eq(c.err, WEFT_SYNTAX);
}

static weft_err text(const char *bytes, size_t len)
{
    uint8_t packed[64];
    packed[0] = (uint8_t)(0xa0 | len);
    memcpy(packed + 1, bytes, len);
    uint8_t *copy = exact(packed, len + 1);
    wf_cursor c = wf_cursor_open(copy, len + 1, true);
    (void)wf_cursor_str(&c, 0, 64, NULL);
    free(copy);
    return c.err;
}

Test(cursor, strings_are_valid_utf8)
{
    static const struct sample good[] = {
        S("empty", ""),
        S("ascii", "hello, world! 12345"),
        S("two", "\xc2\x80"),
        S("two", "\xdf\xbf"),
        S("three", "\xe0\xa0\x80"),
        S("before surrogates", "\xed\x9f\xbf"),
        S("after surrogates", "\xee\x80\x80"),
        S("four", "\xf0\x90\x80\x80"),
        S("last", "\xf4\x8f\xbf\xbf"),
        S("mixed", "abcdefgh\xc3\xa4"
                   "bcdefghi"),
    };
    static const struct sample bad[] = {
        S("lone continuation", "\x80"),
        S("overlong two", "\xc0\x80"),
        S("overlong two", "\xc1\xbf"),
        S("overlong three", "\xe0\x9f\xbf"),
        S("surrogate", "\xed\xa0\x80"),
        S("surrogate", "\xed\xbf\xbf"),
        S("overlong four", "\xf0\x8f\xbf\xbf"),
        S("above the last", "\xf4\x90\x80\x80"),
        S("five", "\xf8\x88\x80\x80\x80"),
        S("0xff", "\xff"),
        S("cut two", "\xc3"),
        S("cut three", "\xe2\x82"),
        S("cut four", "\xf0\x9f\x98"),
        S("bad tail", "\xe2\x28\xa1"),
        S("bad last", "\xf0\x9f\x98\x28"),
        S("late", "abcdefghabcdefgh\xff"),
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_assert_eq(text(good[i].bytes, good[i].len), WEFT_OK, "%s %zu", good[i].what, i);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(text(bad[i].bytes, bad[i].len), WEFT_SYNTAX, "%s %zu", bad[i].what, i);
}

Test(cursor, peek_names_the_type_and_consumes_nothing)
{
    static const struct {
        const char *bytes;
        wf_type type;
    } types[] = {{"\xc0", WF_T_NIL},  {"\xc3", WF_T_BOOL},  {"\x05", WF_T_UINT},
                 {"\xff", WF_T_INT},  {"\x90", WF_T_ARRAY}, {"\xa0", WF_T_STR},
                 {"\x80", WF_T_NONE}, {"\xc1", WF_T_NONE}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        wf_cursor c = on(types[i].bytes, 1, true);
        cr_assert_eq(wf_cursor_peek(&c), types[i].type, "case %zu", i);
        cr_assert_eq(c.at, (const uint8_t *)types[i].bytes);
    }
    wf_cursor c = ON("\x05", true);
    cr_assert_not(wf_cursor_nil(&c));
    cr_assert_eq(c.err, WEFT_OK, "not nil is no error");
}
