/* SPDX-License-Identifier: Apache-2.0
 * test_id.c - ids and keys as text, and the sorting of ids.
 * Called by: meson test. May touch: id.c. Never: more than one claim per test. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry_kit.h"
#include "ids.h"

/* Made with Python: 'b' + base64.b32encode(bytes.fromhex('018104a0e40220') + digest)
 * .decode().lower().rstrip('='), digest = hashlib.blake2b(b'', digest_size=32).digest(),
 * then 32 zeros and 32 times 0xff. */
static const struct {
    const char *digest, *text;
} known[] = {
    {"0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
     "bagaqjiheaiqa4v2ryatokq5s5cvs5mdathnkdupf35dxpd3xq75kwron6ex6hka"},
    {"00*32", "bagaqjiheaiqaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"ff*32", "bagaqjiheaiqp77777777777777777777777777777777777777777777777777y"},
};

Test(id, text_is_the_cid_that_others_compute)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        weft_id id;
        char text[WEFT_ID_TEXT_BYTES];
        kit_bytes(known[i].digest, id.bytes, sizeof id.bytes);
        weft_id_text(&id, text);
        cr_assert_str_eq(text, known[i].text);
    }
}

Test(id, text_reads_back_as_the_same_id)
{
    kit_random r = {1};
    for (int i = 0; i < 2000; i++) {
        weft_id id, back = kit_id(0);
        char text[WEFT_ID_TEXT_BYTES];
        kit_fill(&r, id.bytes, sizeof id.bytes);
        weft_id_text(&id, text);
        cr_assert_eq(weft_id_parse(text, &back), WEFT_OK);
        cr_assert(weft_id_equal(&id, &back));
    }
}

Test(id, every_other_text_is_refused_and_leaves_the_id_alone)
{
    const char *good = known[0].text;
    size_t len = strlen(good);
    char text[WEFT_ID_TEXT_BYTES + 8];
    weft_id id = kit_id(7), same = kit_id(7);

    for (size_t cut = 0; cut < len; cut++) { /* too short */
        memcpy(text, good, cut);
        text[cut] = '\0';
        cr_assert_eq(weft_id_parse(text, &id), WEFT_SYNTAX, "%s", text);
    }
    snprintf(text, sizeof text, "%sa", good); /* too long */
    cr_assert_eq(weft_id_parse(text, &id), WEFT_SYNTAX);
    for (size_t i = 0; i < len; i++) { /* no digit of this alphabet */
        for (const char *c = "0189=AZ \xc3"; *c != '\0'; c++) {
            strcpy(text, good);
            text[i] = *c;
            cr_assert_eq(weft_id_parse(text, &id), WEFT_SYNTAX, "%s", text);
        }
    }
    for (size_t i = 0; i <= 11; i++) { /* another base, version, codec, hash or length */
        strcpy(text, good);
        text[i] = text[i] == 'c' ? 'd' : 'c';
        cr_assert_eq(weft_id_parse(text, &id), WEFT_SYNTAX, "%s", text);
    }
    cr_assert(weft_id_equal(&id, &same));
}

Test(id, bits_behind_the_digest_must_be_zero)
{
    char text[WEFT_ID_TEXT_BYTES];
    weft_id id;
    strcpy(text, known[0].text);
    for (const char *c = "bcdefghi"; *c != '\0'; c++) { /* 'a' ends it: three spare bits */
        if (*c == 'i') break;                           /* 'i' is 8: another digest */
        text[strlen(text) - 1] = *c;
        cr_assert_eq(weft_id_parse(text, &id), WEFT_SYNTAX, "%s", text);
    }
}

Test(id, key_text_reads_back_and_other_forms_are_refused)
{
    kit_random r = {2};
    weft_key key, back, same;
    char text[WEFT_KEY_TEXT_BYTES], bad[WEFT_KEY_TEXT_BYTES + 8];
    kit_fill(&r, key.bytes, sizeof key.bytes);
    weft_key_text(&key, text);
    cr_assert_eq(weft_key_parse(text, &back), WEFT_OK);
    cr_assert(weft_key_equal(&key, &back));

    memset(&same, 0x5a, sizeof same);
    back = same;
    cr_assert_eq(weft_key_parse("", &back), WEFT_SYNTAX);
    cr_assert_eq(weft_key_parse(text + 8, &back), WEFT_SYNTAX);
    snprintf(bad, sizeof bad, "%s0", text);
    cr_assert_eq(weft_key_parse(bad, &back), WEFT_SYNTAX);
    strcpy(bad, text);
    bad[8] = 'A'; /* one text per key: lower case only */
    cr_assert_eq(weft_key_parse(bad, &back), WEFT_SYNTAX);
    strcpy(bad, text);
    bad[0] = 'E';
    cr_assert_eq(weft_key_parse(bad, &back), WEFT_SYNTAX);
    cr_assert(weft_key_equal(&back, &same));
}

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, WEFT_ID_BYTES); }

Test(id, sort_unique_equals_sorting_and_dropping_repeats)
{
    kit_random r = {3};
    for (int round = 0; round < 300; round++) {
        weft_id ids[200], expected[200];
        uint32_t n = kit_below(&r, 200), kept = 0;
        for (uint32_t i = 0; i < n; i++) { /* few distinct ones, so that there are repeats */
            ids[i] = kit_id((uint8_t)kit_below(&r, 60));
            ids[i].bytes[31] = (uint8_t)kit_below(&r, 3);
        }
        memcpy(expected, ids, sizeof ids);
        qsort(expected, n, sizeof ids[0], by_bytes);
        for (uint32_t i = 0; i < n; i++) {
            if (i == 0 || !weft_id_equal(&expected[i], &expected[kept - 1])) {
                expected[kept++] = expected[i];
            }
        }
        cr_assert_eq(wf_ids_sort_unique(ids, n), kept);
        cr_assert_eq(memcmp(ids, expected, kept * sizeof ids[0]), 0);
    }
}
