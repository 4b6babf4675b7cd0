/* SPDX-License-Identifier: Apache-2.0
 * test_memtree.c - the ordered keys of the memory engine against a plain sorted table.
 * Called by: meson test. May touch: memtree.c and memmap.c. Never: an engine. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "entry_kit.h"
#include "memmap.h"

#define MODEL_MAX 6000u
#define KEY_MAX 48u

static struct wf_memmap map;
static struct key {
    uint8_t bytes[KEY_MAX];
    size_t len;
} model[MODEL_MAX]; /* ascending */
static size_t count;

static void setup(void)
{
    wf_memmap_init(&map);
    count = 0;
}

static void teardown(void) { wf_memmap_fini(&map); }

TestSuite(memtree, .init = setup, .fini = teardown);

/* The place of the first key of the model that is not less. */
static size_t model_find(const struct key *key, bool *equal)
{
    size_t low = 0, high = count;
    *equal = false;
    while (low < high) {
        size_t at = (low + high) / 2;
        size_t common = model[at].len < key->len ? model[at].len : key->len;
        int order = memcmp(model[at].bytes, key->bytes, common);
        if (order == 0) order = (model[at].len > key->len) - (model[at].len < key->len);
        if (order == 0) *equal = true;
        if (order < 0) low = at + 1;
        else high = at;
    }
    return low;
}

static weft_err put(const struct key *key)
{
    struct wf_mem_node *node = NULL;
    weft_err err = wf_memmap_push(&map, key->bytes, key->len, "value", key->len % 6, false, 1,
                                  &node);
    if (err != WEFT_OK) return err;
    bool equal;
    size_t at = model_find(key, &equal);
    if (equal) return err;
    memmove(&model[at + 1], &model[at], (count - at) * sizeof model[0]);
    model[at] = *key;
    count++;
    return err;
}

static void take(size_t at)
{
    struct wf_mem_node *node = wf_memtree_get(&map.tree, model[at].bytes, model[at].len);
    cr_assert_not_null(node);
    wf_memmap_remove(&map, node);
    count--;
    memmove(&model[at], &model[at + 1], (count - at) * sizeof model[0]);
}

static void expect(const struct wf_mem_node *node, size_t at)
{
    if (at >= count) {
        cr_assert_null(node);
        return;
    }
    cr_assert_not_null(node, "key %zu of %zu", at, count);
    cr_assert_eq(node->key_len, model[at].len);
    cr_assert_arr_eq(wf_mem_key(node), model[at].bytes, model[at].len);
}

static void expect_all(void)
{
    struct wf_tree_place place;
    struct wf_mem_node *node = wf_memtree_at_or_after(&map.tree, "", 0, &place);
    for (size_t i = 0; i < count; i++) {
        expect(node, i);
        node = wf_memtree_next(&map.tree, node, &place);
    }
    cr_assert_null(node);
    node = wf_memtree_last(&map.tree, &place);
    for (size_t i = count; i-- > 0;) {
        expect(node, i);
        node = wf_memtree_prev(&map.tree, node, &place);
    }
    cr_assert_null(node);
}

static void expect_around(const struct key *key)
{
    struct wf_tree_place place;
    bool equal;
    size_t at = model_find(key, &equal); /* at - 1 wraps to none below the first */
    const struct wf_memtree *tree = &map.tree;
    expect(wf_memtree_get(tree, key->bytes, key->len), equal ? at : SIZE_MAX);
    expect(wf_memtree_at_or_after(tree, key->bytes, key->len, &place), at);
    expect(wf_memtree_at_or_before(tree, key->bytes, key->len, false, &place), at - !equal);
    expect(wf_memtree_at_or_before(tree, key->bytes, key->len, true, &place), at - 1);
}

/* Long stems that many keys share, few different bytes, zeros at the end: what a number
 * made of eight bytes cannot tell apart. */
static struct key draw(kit_random *r)
{
    struct key key = {.len = kit_below(r, 12)};
    size_t stem = kit_below(r, 4) * 11;
    memset(key.bytes, (int)kit_below(r, 2) * 0x7f, stem);
    for (size_t i = 0; i < key.len; i++) {
        static const uint8_t few[] = {0, 0, 1, 0x80, 0xff};
        key.bytes[stem + i] = few[kit_below(r, sizeof few)];
    }
    key.len += stem;
    return key;
}

static struct key numbered(uint64_t n)
{
    struct key key = {.len = 16};
    for (unsigned i = 16; i-- > 8; n >>= 8) key.bytes[i] = (uint8_t)n;
    return key;
}

Test(memtree, random_adds_and_removes_agree_with_a_sorted_table)
{
    kit_random r = {7};
    for (unsigned round = 0; round < 6; round++) { /* grows, shrinks to nothing, grows again */
        for (unsigned i = 0; i < 5000; i++) {
            struct key key = draw(&r);
            cr_assert_eq(put(&key), WEFT_OK);
            key = draw(&r);
            expect_around(&key);
            if (kit_below(&r, 3) == 0) take(kit_below(&r, (uint32_t)count));
        }
        cr_assert_gt(count, 1000, "too few keys for a tree of three levels");
        expect_all();
        while (count > (round % 2 == 0 ? 0 : 200)) {
            take(kit_below(&r, (uint32_t)count));
            if (count % 997 == 0) expect_all();
        }
        expect_all();
    }
}

Test(memtree, keys_that_grow_fill_their_pages)
{
    for (uint64_t n = 0; n < MODEL_MAX; n++) {
        struct key key = numbered(n);
        cr_assert_eq(put(&key), WEFT_OK);
    }
    expect_all();
    cr_assert_lt(map.tree.bytes, MODEL_MAX * 20, "sixteen bytes for a key, and a little more");
}

Test(memtree, pages_of_removed_keys_are_freed)
{
    for (uint64_t n = 0; n < MODEL_MAX; n++) {
        struct key key = numbered(n * 7919 % MODEL_MAX);
        cr_assert_eq(put(&key), WEFT_OK);
    }
    uint64_t full = map.tree.bytes;
    for (size_t at = 0; at < count; at++) /* one key in fifty stays */
        for (unsigned i = 0; i < 49 && at < count; i++) take(at);
    expect_all();
    cr_assert_lt(map.tree.bytes, full / 8);
    while (count > 0) take(0);
    cr_assert_eq(wf_memmap_bytes(&map), 0);
}

Test(memtree, a_place_follows_its_key_when_the_tree_changes)
{
    kit_random r = {11};
    struct wf_tree_place place;
    struct key middle = numbered(500000);
    cr_assert_eq(put(&middle), WEFT_OK);
    struct wf_mem_node *node = wf_memtree_get(&map.tree, middle.bytes, middle.len);
    cr_assert_eq(wf_memtree_at_or_after(&map.tree, middle.bytes, middle.len, &place), node);
    for (unsigned i = 0; i < 2000; i++) {
        struct key key = numbered(kit_below(&r, 1000000));
        cr_assert_eq(put(&key), WEFT_OK);
        bool equal;
        size_t at = model_find(&middle, &equal);
        struct wf_tree_place ahead = place, back = place;
        expect(wf_memtree_next(&map.tree, node, &ahead), at + 1);
        expect(wf_memtree_prev(&map.tree, node, &back), at - 1);
    }
}

Test(memtree, memory_that_runs_out_anywhere_loses_no_key)
{
    kit_random r = {13};
    unsigned failures = 0;
    for (unsigned i = 0; i < 6000; i++) {
        struct key key = draw(&r);
        wf_alloc_fail_at(1 + i % 5, 0); /* the record, the root, a page, a separator ... */
        weft_err err = put(&key);
        wf_alloc_fail_at(0, 0);
        failures += err != WEFT_OK;
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY);
        if (err != WEFT_OK) expect_around(&key);
    }
    cr_assert_gt(failures, 200);
    expect_all();
}

Test(memtree, a_value_outlives_its_key_while_a_reader_keeps_it)
{
    struct wf_mem_node *node;
    struct wf_mem_value *value;
    cr_assert_eq(wf_memmap_push(&map, "key", 3, "value", 5, false, 1, &node), WEFT_OK);
    cr_assert(wf_mem_read(node, 1, &value));
    wf_counter_add(&value->refs, 1);
    wf_memmap_remove(&map, node);
    cr_assert_arr_eq(value->data, "value", 5);
    wf_mem_value_unref(value);
}
