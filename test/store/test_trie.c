/* SPDX-License-Identifier: Apache-2.0
 * test_trie.c - the trie by itself: digits, digests, records, the building at once.
 * Called by: meson test. May touch: memory. Never: an engine. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "trie_build.h"
#include "trie_cache.h"
#include "trie_kit.h"

#define KEYS_MAX 3000u

static void setup(void) { cr_assert_eq(wf_crypto_init(), WEFT_OK); }

TestSuite(trie, .init = setup);

/* Gens that are dense, sparse, or all but equal; ids that are random or share a beginning. */
static uint32_t make_keys(kit_random *r, struct wf_trie_key *out)
{
    uint32_t count = 1 + kit_below(r, kit_below(r, 3) == 0 ? 40 : KEYS_MAX), kind = kit_below(r, 5);
    for (uint32_t i = 0; i < count; i++) {
        struct wf_trie_key *key = &out[i];
        kit_fill(r, &key->id, sizeof key->id);
        switch (kind) {
        case 0: key->gen = i; break;
        case 1: key->gen = kit_below(r, 1 + count / 8); break;
        case 2: key->gen = 1; break;
        case 3: key->gen = kit_next(r) >> kit_below(r, 64); break;
        default:
            key->gen = UINT64_MAX - kit_below(r, 3);
            memset(key->id.bytes, 7, kit_below(r, 30));
        }
    }
    tk_sort(out, count);
    return count;
}

/* -- Digits ------------------------------------------------------------------------------- */

Test(trie, digits_are_those_of_gen_and_id_in_the_order_of_keys)
{
    struct wf_trie_key *keys = calloc(KEYS_MAX, sizeof *keys);
    uint8_t mine[WF_TRIE_DIGITS], before[WF_TRIE_DIGITS];
    kit_random r = {1};
    for (unsigned round = 0; round < 10; round++) {
        uint32_t count = make_keys(&r, keys);
        for (uint32_t i = 0; i < count; i++) {
            unsigned len = tk_digits(&keys[i], mine);
            cr_assert_eq(wf_trie_digits(&keys[i]), len);
            for (unsigned d = 0; d < len; d++) cr_assert_eq(wf_trie_digit(&keys[i], d), mine[d]);
            if (i > 0 && wf_trie_compare(&keys[i - 1], &keys[i]) != 0) {
                unsigned same = 0;
                while (mine[same] == before[same]) same++;
                cr_assert_eq(wf_trie_common(&keys[i - 1], &keys[i]), same);
                cr_assert_gt(mine[same], before[same]);
            }
            memcpy(before, mine, sizeof mine);
        }
    }
    free(keys);
}

Test(trie, a_longer_prefix_begins_with_its_lowest_key)
{
    struct wf_trie_key *keys = calloc(KEYS_MAX, sizeof *keys);
    kit_random r = {2};
    for (unsigned round = 0; round < 20; round++) {
        uint32_t count = make_keys(&r, keys);
        const struct wf_trie_key *key = &keys[kit_below(&r, count)];
        struct wf_trie_prefix prefix = {0};
        for (unsigned d = 0; d < wf_trie_digits(key); d++) {
            struct wf_trie_key lowest;
            uint64_t first, last;
            wf_trie_longer(&prefix, wf_trie_digit(key, d), &prefix);
            cr_assert_eq(prefix.depth, d + 1);
            wf_trie_lowest(&prefix, &lowest);
            wf_trie_gens(&prefix, &first, &last);
            cr_assert(wf_trie_in(&prefix, key) && wf_trie_in(&prefix, &lowest));
            cr_assert_leq(wf_trie_compare(&lowest, key), 0);
            cr_assert_eq(first, lowest.gen);
            cr_assert(first <= key->gen && key->gen <= last);
            if (lowest.gen > 0) { /* the key before it is outside */
                struct wf_trie_key before = {lowest.gen - 1, kit_id(0xff)};
                uint8_t zero[32] = {0};
                bool at_gen = memcmp(lowest.id.bytes, zero, sizeof zero) == 0;
                if (at_gen) cr_assert_not(wf_trie_in(&prefix, &before));
            }
        }
        cr_assert_eq(wf_trie_compare(&prefix.key, key), 0);
    }
    free(keys);
}

/* -- Digests ------------------------------------------------------------------------------ */

Test(trie, what_is_built_at_once_has_the_digest_of_the_definition)
{
    struct wf_trie_key *keys = calloc(KEYS_MAX, sizeof *keys);
    kit_random r = {3};
    for (unsigned round = 0; round < 40; round++) {
        uint32_t count = make_keys(&r, keys);
        struct tk_records records;
        struct wf_trie_slot want;
        uint8_t root[32];
        tk_build(keys, count, 1, &records, root);
        tk_slot(keys, count, 0, &want);
        cr_assert_arr_eq(root, want.digest, sizeof root, "round %u, %u keys", round, count);
        tk_records_free(&records);
    }
    free(keys);
}

Test(trie, one_key_more_less_or_moved_is_another_digest)
{
    struct wf_trie_key *keys = calloc(KEYS_MAX + 1, sizeof *keys);
    struct wf_trie_key *other = calloc(KEYS_MAX + 1, sizeof *other);
    struct tk_records records;
    kit_random r = {4};
    for (unsigned round = 0; round < 30; round++) {
        uint8_t root[32], changed[32];
        uint32_t count = make_keys(&r, keys), which = kit_below(&r, count), left = count - 1;
        tk_build(keys, count, 1, &records, root);
        tk_records_free(&records);
        memcpy(other, keys, which * sizeof *keys);
        memcpy(other + which, keys + which + 1, (left - which) * sizeof *keys);
        tk_build(other, left, 1, &records, changed);
        tk_records_free(&records);
        cr_assert_neq(memcmp(root, changed, sizeof root), 0, "one key less");
        other[left] = keys[which];
        other[left].gen ^= 1; /* nowhere further away than that */
        tk_sort(other, count);
        tk_build(other, count, 1, &records, changed);
        tk_records_free(&records);
        cr_assert_neq(memcmp(root, changed, sizeof root), 0, "one key moved");
    }
    free(keys);
    free(other);
}

/* The same keys as in docs/store.md: 1,000 with gen i / 3 and BLAKE2b-256 of i (8 bytes,
 * big-endian) for an id. */
static void golden_keys(struct wf_trie_key *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t text[8];
        keys[i].gen = i / 3;
        wf_put64(text, i);
        wf_blake2b_256(text, sizeof text, keys[i].id.bytes);
    }
    tk_sort(keys, count);
}

static void expect_golden(uint32_t count, const char *hex)
{
    struct wf_trie_key keys[1000];
    struct tk_records records;
    uint8_t root[32], want[32];
    golden_keys(keys, count);
    tk_build(keys, count, 1, &records, root);
    cr_assert_eq(kit_bytes(hex, want, sizeof want), 32);
    cr_assert_arr_eq(root, want, sizeof root, "%u keys", count);
    tk_records_free(&records);
}

Test(trie, golden_roots)
{
    expect_golden(1, "b95c72b7b64c9307ab7f3141252b4655c6c722727e00d1254d4e7f8b80f5ac28");
    expect_golden(32, "94094dfa566251ba3ecadce65f5d48242f8b3bc4a289d02ca9170bbcb3a3e5e3");
    expect_golden(33, "b3e8486767bd47c97682439826600de45c88ca577af5407f8ff282ba974383d3");
    expect_golden(1000, "adf6b370c47c35fb19e14dd4e62a5ccfdbf7302fbd09d4b48325c3354ead826c");
}

Test(trie, a_golden_range)
{
    struct wf_trie_key keys[1000];
    struct wf_trie_slot slot;
    uint8_t want[32];
    golden_keys(keys, 1000);
    tk_range(keys, 1000, 5, 300, &slot);
    cr_assert_eq(kit_bytes("4a3af27766e8d7468bdaa1475f85d48babb00721b74986c5ab8abcdd4b18671f", want,
                           sizeof want),
                 32);
    cr_assert_eq(slot.count, 885);
    cr_assert_arr_eq(slot.digest, want, sizeof want);
}

/* -- Building ----------------------------------------------------------------------------- */

Test(trie, nothing_puts_nothing_and_has_the_digest_zero)
{
    struct tk_records records;
    uint8_t root[32], zero[32] = {0};
    tk_build(NULL, 0, 1, &records, root);
    cr_assert_eq(records.count, 0);
    cr_assert_arr_eq(root, zero, sizeof zero);
}

static weft_err refuse(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                       size_t len)
{
    (void)key;
    (void)key_len;
    (void)value;
    (void)len;
    return (*(unsigned *)arg)-- > 0 ? WEFT_OK : WEFT_IO;
}

Test(trie, a_building_that_cannot_put_answers_why)
{
    struct wf_trie_key *keys = calloc(KEYS_MAX, sizeof *keys);
    golden_keys(keys, 1000);
    struct wf_trie_build *build;
    unsigned left = 3;
    uint8_t root[32];
    weft_err err = WEFT_OK;
    cr_assert_eq(wf_trie_build_create(1, refuse, &left, &build), WEFT_OK);
    for (uint32_t i = 0; i < 1000 && err == WEFT_OK; i++)
        err = wf_trie_build_add(build, keys[i].gen, &keys[i].id);
    cr_assert_eq(err, WEFT_IO);
    cr_assert_eq(wf_trie_build_end(build, root), WEFT_IO);
    wf_trie_build_destroy(build);
    free(keys);
}

Test(trie, keys_out_of_order_are_refused)
{
    struct wf_trie_build *build;
    unsigned left = 100;
    weft_id a = kit_id(1), b = kit_id(2);
    cr_assert_eq(wf_trie_build_create(1, refuse, &left, &build), WEFT_OK);
    cr_assert_eq(wf_trie_build_add(build, 5, &b), WEFT_OK);
    cr_assert_eq(wf_trie_build_add(build, 5, &a), WEFT_CORRUPT);
    wf_trie_build_destroy(build);
}

/* -- Records ------------------------------------------------------------------------------ */

Test(trie, a_node_is_read_as_it_was_written_and_nothing_else_is_one)
{
    kit_random r = {5};
    for (unsigned round = 0; round < 200; round++) {
        struct wf_trie_node node = {0}, back;
        uint8_t bytes[WF_TRIE_NODE_BYTES_MAX + 1] = {0};
        for (unsigned i = 0; i < 16; i++) {
            if (kit_below(&r, 3) == 0) continue;
            node.slots[i].count = 1 + (kit_next(&r) >> (8 + kit_below(&r, 56)));
            kit_fill(&r, node.slots[i].digest, sizeof node.slots[i].digest);
        }
        size_t len = wf_trie_node_write(&node, bytes);
        cr_assert_eq(wf_trie_node_read(bytes, len, &back), WEFT_OK);
        cr_assert_eq(memcmp(&node, &back, sizeof node), 0);
        cr_assert_eq(wf_trie_node_read(bytes, len + 1, &back), WEFT_CORRUPT);
        if (len > 3) cr_assert_eq(wf_trie_node_read(bytes, len - 1, &back), WEFT_CORRUPT);
        cr_assert_eq(wf_trie_node_read(bytes, 2, &back), WEFT_CORRUPT);
    }
}

/* -- The cache ---------------------------------------------------------------------------- */

Test(trie, the_cache_answers_with_what_was_put_last_or_not_at_all)
{
    struct wf_trie_cache cache;
    uint64_t newest[200] = {0}, found = 0;
    kit_random r = {6};
    wf_trie_cache_init(&cache, 40 << 10); /* about 150 such records */
    for (uint64_t i = 1; i < 20000; i++) {
        uint64_t key = kit_below(&r, 200);
        size_t len;
        const uint8_t *value = wf_trie_cache_get(&cache, &key, sizeof key, &len);
        if (value != NULL) {
            cr_assert_eq(len, 8);
            cr_assert_eq(memcmp(value, &newest[key], 8), 0);
            found++;
        }
        newest[key] = i;
        wf_trie_cache_put(&cache, &key, sizeof key, &i, sizeof i);
    }
    cr_assert_gt(found, 5000, "it keeps little: %llu", (unsigned long long)found);
    wf_trie_cache_clear(&cache);
    for (uint64_t key = 0; key < 200; key++) {
        size_t len;
        cr_assert_null(wf_trie_cache_get(&cache, &key, sizeof key, &len));
    }
    wf_trie_cache_fini(&cache);
}

Test(trie, the_cache_without_memory_keeps_nothing_and_does_no_harm)
{
    struct wf_trie_cache cache;
    uint64_t key = 1;
    size_t len;
    wf_trie_cache_init(&cache, 40 << 10);
    (void)wf_alloc_fail_at(1, 1);
    wf_trie_cache_put(&cache, &key, sizeof key, &key, sizeof key);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_null(wf_trie_cache_get(&cache, &key, sizeof key, &len));
    wf_trie_cache_fini(&cache);
}

/* Values of any length, of which those of one key grow and shrink. */
Test(trie, the_cache_stays_within_its_bytes_and_its_records_whole)
{
    enum { KEYS = 3000, LONGEST = 1280, MOST = 200 << 10 };
    struct wf_trie_cache cache;
    static uint32_t lens[KEYS];
    uint8_t bytes[LONGEST];
    uint64_t found = 0;
    kit_random r = {7};
    wf_trie_cache_init(&cache, MOST);
    for (uint32_t i = 1; i < 40000; i++) {
        uint64_t key = kit_below(&r, i % 2 == 0 ? KEYS : 64); /* some are asked for often */
        size_t len;
        const uint8_t *value = wf_trie_cache_get(&cache, &key, sizeof key, &len);
        if (value != NULL) {
            cr_assert_eq(len, lens[key]);
            for (size_t k = 0; k < len; k++) cr_assert_eq(value[k], (uint8_t)(key + len));
            found += i % 2;
        }
        lens[key] = (uint32_t)kit_below(&r, LONGEST + 1);
        memset(bytes, (int)(uint8_t)(key + lens[key]), sizeof bytes);
        wf_trie_cache_put(&cache, &key, sizeof key, bytes, lens[key]);
        cr_assert_leq(cache.bytes, MOST);
    }
    cr_assert_gt(found, 15000, "what is asked for often went: %llu", (unsigned long long)found);
    wf_trie_cache_clear(&cache);
    cr_assert_eq(cache.bytes, 0);
    cr_assert_eq(cache.count, 0);
    wf_trie_cache_fini(&cache);
}
