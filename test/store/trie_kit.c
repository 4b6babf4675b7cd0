/* SPDX-License-Identifier: Apache-2.0
 * trie_kit.c - a plain model of the trie, by recursion over lists of keys.
 * Called by: test_trie*.c. May touch: hashes. Never: trie.c, but to compare. */
#include "trie_kit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "trie_build.h"

static int compare(const void *a, const void *b)
{
    const struct wf_trie_key *x = a, *y = b;
    if (x->gen != y->gen) return x->gen < y->gen ? -1 : 1;
    return memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

void tk_sort(struct wf_trie_key *keys, uint32_t count)
{
    qsort(keys, count, sizeof *keys, compare);
}

unsigned tk_digits(const struct wf_trie_key *key, uint8_t out[WF_TRIE_DIGITS])
{
    char text[100];
    int len = snprintf(text, sizeof text, "%llx", (unsigned long long)key->gen);
    out[0] = (uint8_t)(len - 1);
    for (unsigned i = 0; i < sizeof key->id.bytes; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%02x", key->id.bytes[i]);
    for (int i = 0; i < len; i++)
        out[1 + i] = (uint8_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
    return 1 + (unsigned)len;
}

/* One of them, which is asked for often. */
static unsigned digit(const struct wf_trie_key *key, unsigned at)
{
    unsigned of_gen = 1;
    while (of_gen < 16 && key->gen >> 4 * of_gen != 0) of_gen++;
    if (at == 0) return of_gen - 1;
    if (at <= of_gen) return (unsigned)(key->gen >> 4 * (of_gen - at)) & 15u;
    at -= of_gen + 1;
    cr_assert_lt(at, 2 * sizeof key->id.bytes);
    const unsigned byte = key->id.bytes[at / 2];
    return at % 2 == 0 ? byte >> 4 : byte & 15u;
}

static void put64(wf_hash *hash, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 7; i >= 0; i--, value >>= 8) bytes[i] = (uint8_t)value;
    wf_hash_update(hash, bytes, sizeof bytes);
}

void tk_slot(const struct wf_trie_key *keys, uint32_t count, unsigned depth,
             struct wf_trie_slot *out)
{
    wf_hash hash;
    uint8_t head = count > 32, bitmap[2] = {0};
    *out = (struct wf_trie_slot){.count = count};
    if (count == 0) return;
    wf_hash_init(&hash);
    wf_hash_update(&hash, &head, 1);
    if (count <= 32) {
        for (uint32_t i = 0; i < count; i++) {
            put64(&hash, keys[i].gen);
            wf_hash_update(&hash, keys[i].id.bytes, sizeof keys[i].id.bytes);
        }
        wf_hash_final(&hash, out->digest);
        return;
    }
    put64(&hash, count);
    for (uint32_t i = 0; i < count; i++) {
        unsigned d = digit(&keys[i], depth);
        bitmap[d < 8] |= (uint8_t)(1u << (d % 8));
    }
    wf_hash_update(&hash, bitmap, sizeof bitmap);
    for (uint32_t from = 0, to; from < count; from = to) {
        struct wf_trie_slot child;
        for (to = from; to < count && digit(&keys[to], depth) == digit(&keys[from], depth);) to++;
        tk_slot(keys + from, to - from, depth + 1, &child);
        wf_hash_update(&hash, child.digest, sizeof child.digest);
    }
    wf_hash_final(&hash, out->digest);
}

static bool are_alike(const struct wf_trie_key *a, const struct wf_trie_key *b, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        if (digit(a, i) != digit(b, i)) return false;
    return true;
}

/* Can every gen that begins as that of `key`, for depth - 1 digits, be of the range? */
static bool is_inside(const struct wf_trie_key *key, unsigned depth, uint64_t lo, uint64_t hi)
{
    char low[20], high[20];
    int len = snprintf(low, sizeof low, "%llx", (unsigned long long)key->gen);
    memcpy(high, low, sizeof high);
    for (int i = (int)depth - 1; i < len; i++) {
        low[i] = i == 0 && len > 1 ? '1' : '0';
        high[i] = 'f';
    }
    return strtoull(low, NULL, 16) >= lo && strtoull(high, NULL, 16) < hi;
}

void tk_range(const struct wf_trie_key *keys, uint32_t count, uint64_t lo, uint64_t hi,
              struct wf_trie_slot *out)
{
    wf_hash hash;
    uint8_t head = 2;
    uint64_t sum = 0;
    *out = (struct wf_trie_slot){0};
    wf_hash_init(&hash);
    wf_hash_update(&hash, &head, 1);
    put64(&hash, lo);
    put64(&hash, hi);
    for (uint32_t from = 0, to; from < count; from = to) {
        unsigned depth = 1;
        to = from + 1;
        if (keys[from].gen < lo || keys[from].gen >= hi) continue;
        while (!is_inside(&keys[from], depth, lo, hi)) depth++;
        while (to < count && are_alike(&keys[from], &keys[to], depth)) to++;
        struct wf_trie_slot part;
        tk_slot(keys + from, to - from, depth, &part);
        wf_hash_update(&hash, part.digest, sizeof part.digest);
        sum += part.count;
    }
    if (sum == 0) return;
    put64(&hash, sum);
    wf_hash_final(&hash, out->digest);
    out->count = sum;
}

void tk_expect_slot(const struct wf_trie_slot *got, const struct wf_trie_slot *want,
                    const char *what)
{
    cr_assert_eq(got->count, want->count, "%s: %llu entries, there are %llu", what,
                 (unsigned long long)got->count, (unsigned long long)want->count);
    cr_assert_arr_eq(got->digest, want->digest, sizeof want->digest, "%s: another digest", what);
}

static weft_err keep(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                     size_t len)
{
    struct tk_records *records = arg;
    if (records->count == records->room) {
        records->room = records->room == 0 ? 64 : records->room * 2;
        records->list = realloc(records->list, records->room * sizeof *records->list);
    }
    struct tk_record *record = &records->list[records->count++];
    record->key_len = key_len;
    record->len = len;
    memcpy(record->key, key, key_len);
    memcpy(record->value, value, len);
    return WEFT_OK;
}

void tk_build(const struct wf_trie_key *keys, uint32_t count, uint64_t t, struct tk_records *out,
              uint8_t root[32])
{
    struct wf_trie_build *build;
    *out = (struct tk_records){0};
    cr_assert_eq(wf_trie_build_create(t, keep, out, &build), WEFT_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(wf_trie_build_add(build, keys[i].gen, &keys[i].id), WEFT_OK);
    cr_assert_eq(wf_trie_build_end(build, root), WEFT_OK);
    wf_trie_build_destroy(build);
}

void tk_records_free(struct tk_records *records) { free(records->list); }
