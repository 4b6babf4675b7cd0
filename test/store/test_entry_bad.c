/* SPDX-License-Identifier: Apache-2.0
 * test_entry_bad.c - bytes that are no entry, each with its exact answer.
 * Called by: meson test. May touch: entry_read.c. Never: the builder, which cannot make them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "entry_kit.h"

/* An entry in pieces; a mutation replaces one of them. */
enum { HEAD, VERSION, TREE, GENESIS, PARENTS, HEIGHT, METADATA, STORES, AUTHOR, SIGNATURE, PIECES };

static const char *const plain[PIECES] = {
    [HEAD] = "99",
    [VERSION] = "01",
    [TREE] = "c420 11*32",
    [GENESIS] = "c0",
    [PARENTS] = "92 c420 21*32 c420 22*32",
    [HEIGHT] = "07",
    [METADATA] = "c403 616263",
    [STORES] = "92 94 a161 91 c420 21*32 c402 ffff c0 94 a162 90 c0 ce 00010000",
    [AUTHOR] = "c420 31*32",
    [SIGNATURE] = "c440 41*64",
};
static const char *const root[PIECES] = {
    [HEAD] = "99",           [VERSION] = "01",
    [TREE] = "c0",           [GENESIS] = "92 c410 05*16 01",
    [PARENTS] = "90",        [HEIGHT] = "00",
    [METADATA] = "c0",       [STORES] = "91 94 a9 5f73657474696e6773 90 c401 90 c0",
    [AUTHOR] = "c420 31*32", [SIGNATURE] = "c440 41*64",
};

static size_t put_together(const char *const *base, int piece, const char *other, uint8_t *out,
                           size_t room)
{
    size_t len = 0;
    for (int i = 0; i < PIECES; i++) {
        len += kit_bytes(i == piece ? other : base[i], out + len, room - len);
    }
    return len;
}

static const struct {
    const char *why;
    const char *const *base;
    int piece;
    const char *other;
    weft_err expected;
} table[] = {
    {"the unchanged entry", plain, HEAD, "99", WEFT_OK},
    {"the unchanged root", root, HEAD, "99", WEFT_OK},
    /* the frame */
    {"a map", plain, HEAD, "89", WEFT_SYNTAX},
    {"eight fields announced", plain, HEAD, "98", WEFT_SYNTAX},
    {"ten fields announced", plain, HEAD, "9a", WEFT_SYNTAX},
    {"a longer array head", plain, HEAD, "dc0009", WEFT_NOT_CANONICAL},
    {"a byte behind the end", plain, SIGNATURE, "c440 41*64 00", WEFT_SYNTAX},
    {"version 0", plain, VERSION, "00", WEFT_UNSUPPORTED},
    {"version 2", plain, VERSION, "02", WEFT_UNSUPPORTED},
    {"version 127", plain, VERSION, "7f", WEFT_UNSUPPORTED},
    {"a longer version", plain, VERSION, "cc01", WEFT_NOT_CANONICAL},
    {"a version of another type", plain, VERSION, "c3", WEFT_SYNTAX},
    {"a negative version", plain, VERSION, "ff", WEFT_SYNTAX},
    {"an ext type", plain, METADATA, "d40100", WEFT_SYNTAX},
    /* tree and genesis */
    {"a short tree", plain, TREE, "c41f 11*31", WEFT_SYNTAX},
    {"a long tree", plain, TREE, "c421 11*33", WEFT_SYNTAX},
    {"a tree as text", plain, TREE, "d920 61*32", WEFT_SYNTAX},
    {"a tree with a longer head", plain, TREE, "c50020 11*32", WEFT_NOT_CANONICAL},
    {"a genesis without being a root", plain, GENESIS, "92 c410 05*16 01", WEFT_BAD_ENTRY},
    {"no tree but parents", plain, TREE, "c0", WEFT_BAD_ENTRY},
    {"a root with a tree", root, TREE, "c420 11*32", WEFT_BAD_ENTRY},
    {"a root without genesis", root, GENESIS, "c0", WEFT_BAD_ENTRY},
    {"a genesis of one field", root, GENESIS, "91 c410 05*16", WEFT_SYNTAX},
    {"a genesis of three fields", root, GENESIS, "93 c410 05*16 01 00", WEFT_SYNTAX},
    {"short entropy", root, GENESIS, "92 c40f 05*15 01", WEFT_SYNTAX},
    {"an unknown strategy", root, GENESIS, "92 c410 05*16 02", WEFT_BAD_ENTRY},
    {"a strategy as truth", root, GENESIS, "92 c410 05*16 c3", WEFT_SYNTAX},
    /* parents */
    {"no parents", plain, PARENTS, "90", WEFT_BAD_ENTRY},
    {"parents in descending order", plain, PARENTS, "92 c420 22*32 c420 21*32", WEFT_NOT_CANONICAL},
    {"a parent twice", plain, PARENTS, "92 c420 21*32 c420 21*32", WEFT_NOT_CANONICAL},
    {"a short parent", plain, PARENTS, "92 c420 21*32 c41f 22*31", WEFT_SYNTAX},
    {"an empty parent", plain, PARENTS, "91 c400", WEFT_SYNTAX},
    {"parents that are no list", plain, PARENTS, "c0", WEFT_SYNTAX},
    {"a longer list head", plain, PARENTS, "dc0001 c420 21*32", WEFT_NOT_CANONICAL},
    {"more parents announced than bytes", plain, PARENTS, "dd ffffffff", WEFT_SYNTAX},
    {"a root with a parent", root, PARENTS, "91 c420 21*32", WEFT_BAD_ENTRY},
    /* height */
    {"height 0", plain, HEIGHT, "00", WEFT_BAD_ENTRY},
    {"a longer height", plain, HEIGHT, "cc07", WEFT_NOT_CANONICAL},
    {"a negative height", plain, HEIGHT, "ff", WEFT_SYNTAX},
    {"a height as float", plain, HEIGHT, "cb 401c000000000000", WEFT_SYNTAX},
    {"the greatest height", plain, HEIGHT, "cf 0020000000000000", WEFT_OK},
    {"one above the greatest height", plain, HEIGHT, "cf 0020000000000001", WEFT_BAD_ENTRY},
    {"the greatest number as height", plain, HEIGHT, "cf ff*8", WEFT_BAD_ENTRY},
    {"a root of height 1", root, HEIGHT, "01", WEFT_BAD_ENTRY},
    /* metadata */
    {"no metadata", plain, METADATA, "c0", WEFT_OK},
    {"empty metadata", plain, METADATA, "c400", WEFT_NOT_CANONICAL},
    {"metadata as text", plain, METADATA, "a3 616263", WEFT_SYNTAX},
    {"the longest metadata", plain, METADATA, "c51000 00*4096", WEFT_OK},
    {"longer metadata", plain, METADATA, "c51001 00*4097", WEFT_BAD_ENTRY},
    /* stores */
    {"no stores", plain, STORES, "90", WEFT_OK},
    {"stores that are no list", plain, STORES, "c0", WEFT_SYNTAX},
    {"stores in descending order", plain, STORES, "92 94a16290c0c0 94a16190c0c0",
     WEFT_NOT_CANONICAL},
    {"a store twice", plain, STORES, "92 94a16190c0c0 94a16190c0c0", WEFT_NOT_CANONICAL},
    {"a longer name before its beginning", plain, STORES, "92 94a2616190c0c0 94a16190c0c0",
     WEFT_NOT_CANONICAL},
    {"a store without a name", plain, STORES, "91 94a090c0c0", WEFT_BAD_ENTRY},
    {"the longest name", plain, STORES, "91 94d940 61*64 90c0c0", WEFT_OK},
    {"a longer name", plain, STORES, "91 94d941 61*65 90c0c0", WEFT_BAD_ENTRY},
    {"a name with a longer head", plain, STORES, "91 94d9016190c0c0", WEFT_NOT_CANONICAL},
    {"a name with a NUL", plain, STORES, "91 94a2610090c0c0", WEFT_BAD_ENTRY},
    {"a name with a control character", plain, STORES, "91 94a17f90c0c0", WEFT_BAD_ENTRY},
    {"a name that is no UTF-8", plain, STORES, "91 94a2c0af90c0c0", WEFT_SYNTAX},
    {"a name as bytes", plain, STORES, "91 94c4016190c0c0", WEFT_SYNTAX},
    {"a store of three fields", plain, STORES, "91 93a16190c0", WEFT_SYNTAX},
    {"a store of five fields", plain, STORES, "91 95a16190c0c0c0", WEFT_SYNTAX},
    {"store parents in descending order", plain, STORES, "91 94a161 92 c420 22*32 c420 21*32 c0c0",
     WEFT_NOT_CANONICAL},
    {"a payload as text", plain, STORES, "91 94a16190a0c0", WEFT_SYNTAX},
    {"an empty payload", plain, STORES, "91 94a16190c400c0", WEFT_OK},
    {"a payload with a longer head", plain, STORES, "91 94a16190c50001ffc0", WEFT_NOT_CANONICAL},
    {"a store height equal to the entry's", plain, STORES, "91 94a16190c007", WEFT_NOT_CANONICAL},
    {"a store height of 0", plain, STORES, "91 94a16190c000", WEFT_OK},
    {"a store height too great", plain, STORES, "91 94a16190c0 cf 0020000000000001",
     WEFT_BAD_ENTRY},
    {"a root without stores", root, STORES, "90", WEFT_BAD_ENTRY},
    {"a root with another store", root, STORES, "91 94a16190c40190c0", WEFT_BAD_ENTRY},
    {"a root with two stores", root, STORES,
     "92 94 a9 5f73657474696e6773 90 c401 90 c0 94a16190c0c0", WEFT_BAD_ENTRY},
    {"a root without a payload", root, STORES, "91 94 a9 5f73657474696e6773 90 c0 c0",
     WEFT_BAD_ENTRY},
    {"a root whose store has parents", root, STORES,
     "91 94 a9 5f73657474696e6773 91 c420 21*32 c401 90 c0", WEFT_BAD_ENTRY},
    {"a root whose store has a height", root, STORES, "91 94 a9 5f73657474696e6773 90 c401 90 01",
     WEFT_BAD_ENTRY},
    /* author and signature */
    {"no author", plain, AUTHOR, "c0", WEFT_SYNTAX},
    {"a short author", plain, AUTHOR, "c41f 31*31", WEFT_SYNTAX},
    {"no signature", plain, SIGNATURE, "c0", WEFT_SYNTAX},
    {"a short signature", plain, SIGNATURE, "c43f 41*63", WEFT_SYNTAX},
    {"a long signature", plain, SIGNATURE, "c441 41*65", WEFT_SYNTAX},
    {"a signature as text", plain, SIGNATURE, "d940 41*64", WEFT_SYNTAX},
};

Test(entry_bad, each_mutation_has_its_exact_answer)
{
    static uint8_t bytes[8192];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        weft_entry e;
        size_t len = put_together(table[i].base, table[i].piece, table[i].other, bytes,
                                  sizeof bytes);
        weft_err err = weft_entry_decode(bytes, len, &e);
        cr_expect_eq(err, table[i].expected, "%s: %s", table[i].why, weft_errname(err));
    }
}

Test(entry_bad, a_refused_entry_leaves_the_output_alone)
{
    static uint8_t bytes[8192];
    static weft_entry e, same;
    memset(&e, 0x77, sizeof e);
    memset(&same, 0x77, sizeof same);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].expected == WEFT_OK) continue;
        size_t len = put_together(table[i].base, table[i].piece, table[i].other, bytes,
                                  sizeof bytes);
        cr_assert_neq(weft_entry_decode(bytes, len, &e), WEFT_OK);
        cr_assert_eq(memcmp(&e, &same, sizeof e), 0, "%s", table[i].why);
    }
}

/* A list of `count` ids, ascending, with its head in the shortest form. */
static size_t put_ids(uint8_t *out, uint32_t count)
{
    size_t len = 0;
    if (count < 16) {
        out[len++] = (uint8_t)(0x90 | count);
    } else {
        out[len++] = 0xdc;
        out[len++] = (uint8_t)(count >> 8);
        out[len++] = (uint8_t)count;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[len++] = 0xc4;
        out[len++] = 0x20;
        memset(out + len, 0, 32);
        out[len + 30] = (uint8_t)(i >> 8);
        out[len + 31] = (uint8_t)i;
        len += 32;
    }
    return len;
}

/* A plain entry with `parents` parents and `stores` stores of `each` parents each. */
static weft_err decode_large(uint32_t parents, uint32_t stores, uint32_t each, size_t *out_len)
{
    static uint8_t bytes[2 << 20];
    static weft_entry e;
    size_t len = 0;
    for (int i = 0; i < PIECES; i++) {
        if (i == PARENTS) {
            len += put_ids(bytes + len, parents);
        } else if (i == STORES) {
            bytes[len++] = 0xdc;
            bytes[len++] = 0;
            bytes[len++] = (uint8_t)stores;
            cr_assert_geq(stores, 16);
            for (uint32_t s = 0; s < stores; s++) {
                len += kit_bytes("94 a2", bytes + len, 8);
                bytes[len++] = (uint8_t)('a' + s / 16);
                bytes[len++] = (uint8_t)('a' + s % 16);
                len += put_ids(bytes + len, each);
                len += kit_bytes("c0 c0", bytes + len, 8);
            }
        } else {
            len += kit_bytes(plain[i], bytes + len, sizeof bytes - len);
        }
    }
    *out_len = len;
    return weft_entry_decode(bytes, len, &e);
}

Test(entry_bad, bounds_hold_exactly)
{
    size_t len;
    cr_expect_eq(decode_large(256, 16, 1, &len), WEFT_OK);
    cr_expect_eq(decode_large(257, 16, 1, &len), WEFT_BAD_ENTRY);
    cr_expect_eq(decode_large(1, 64, 1, &len), WEFT_OK);
    cr_expect_eq(decode_large(1, 65, 1, &len), WEFT_BAD_ENTRY);
    cr_expect_eq(decode_large(1, 16, 257, &len), WEFT_BAD_ENTRY);
    cr_expect_eq(decode_large(256, 16, 240, &len), WEFT_OK); /* 4096 together */
    cr_expect_eq(decode_large(256, 17, 240, &len), WEFT_BAD_ENTRY);
    cr_expect_eq(decode_large(1, 16, 256, &len), WEFT_BAD_ENTRY); /* 4097 */
}

Test(entry_bad, an_entry_of_a_mebibyte_is_read_and_one_byte_more_is_limit)
{
    static uint8_t bytes[(1 << 20) + 1];
    static weft_entry e;
    for (size_t size = sizeof bytes - 1; size <= sizeof bytes; size++) {
        uint8_t tail[256];
        size_t len = 0, tail_len = 0;
        for (int i = 0; i < STORES; i++) len += kit_bytes(plain[i], bytes + len, 1000);
        len += kit_bytes("91 94 a161 90 c6", bytes + len, 100);
        tail_len = kit_bytes("c0", tail, sizeof tail);
        tail_len += kit_bytes(plain[AUTHOR], tail + tail_len, sizeof tail - tail_len);
        tail_len += kit_bytes(plain[SIGNATURE], tail + tail_len, sizeof tail - tail_len);
        size_t payload = size - len - 4 - tail_len;
        for (int shift = 24; shift >= 0; shift -= 8) bytes[len++] = (uint8_t)(payload >> shift);
        memset(bytes + len, 0xee, payload);
        memcpy(bytes + len + payload, tail, tail_len);
        cr_assert_eq(weft_entry_decode(bytes, size, &e),
                     size <= WEFT_ENTRY_BYTES_MAX ? WEFT_OK : WEFT_LIMIT);
    }
}

/* A copy that ends where its memory ends, so that a sanitizer sees one byte too many. */
static weft_err decode_exactly(const uint8_t *bytes, size_t len)
{
    static weft_entry e;
    uint8_t *copy = malloc(len > 0 ? len : 1);
    cr_assert_not_null(copy);
    memcpy(copy, bytes, len);
    weft_err err = weft_entry_decode(copy, len, &e);
    free(copy);
    return err;
}

Test(entry_bad, every_truncation_is_malformed)
{
    uint8_t bytes[1024];
    const char *const *bases[] = {plain, root};
    for (size_t b = 0; b < 2; b++) {
        size_t len = put_together(bases[b], -1, NULL, bytes, sizeof bytes);
        for (size_t cut = 0; cut < len; cut++) {
            cr_assert_eq(decode_exactly(bytes, cut), WEFT_SYNTAX, "cut at %zu of %zu", cut, len);
        }
        cr_assert_eq(decode_exactly(bytes, len), WEFT_OK);
    }
}

Test(entry_bad, random_bytes_are_never_an_entry)
{
    kit_random r = {7};
    for (int round = 0; round < 100000; round++) {
        uint8_t bytes[300];
        size_t len = kit_below(&r, sizeof bytes);
        kit_fill(&r, bytes, len);
        if (len > 2 && kit_below(&r, 2)) { /* half of them begin well */
            bytes[0] = 0x99;
            bytes[1] = 0x01;
        }
        cr_assert_neq(decode_exactly(bytes, len), WEFT_OK);
    }
}

Test(entry_bad, damaged_entries_never_read_out_of_bounds)
{
    kit_random r = {8};
    uint8_t good[1024], bytes[1024];
    size_t len = put_together(plain, -1, NULL, good, sizeof good);
    for (int round = 0; round < 100000; round++) {
        memcpy(bytes, good, len);
        for (uint32_t n = 1 + kit_below(&r, 4); n > 0; n--) {
            bytes[kit_below(&r, (uint32_t)len)] = (uint8_t)kit_next(&r);
        }
        (void)decode_exactly(bytes, len - kit_below(&r, 2));
    }
}
