/* SPDX-License-Identifier: Apache-2.0
 * test_view.c - the map that takes in one payload at a time, against the join of all of them.
 * Called by: meson test. May touch: view.c, map.c. Never: a store, the machine's randomness. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "entry_kit.h"
#include "view.h"

#define ROOM 512u
#define EVENTS 10u

/* Few letters and depths, so that paths lie above and below each other often. */
static const char letters[] = "aabab";

static wf_map_path random_path(kit_random *r)
{
    wf_map_path p = {.depth = 1 + kit_below(r, 4)};
    for (uint32_t i = 0; i < p.depth; i++) {
        p.part[i].text = letters + kit_below(r, 4);
        p.part[i].len = 1 + kit_below(r, 2); /* a, aa, ab, b, ba */
    }
    return p;
}

static int by_path(const void *a, const void *b)
{
    return wf_map_path_compare(&((const wf_map_op *)a)->path, &((const wf_map_op *)b)->path);
}

struct event { /* one payload */
    wf_stamp at;
    uint8_t bytes[ROOM];
    size_t len;
};

static wf_map_value random_value(kit_random *r)
{
    static const char text[] = "a text that is longer than the others";
    if (kit_below(r, 2) == 0) return weft_map_uint(kit_below(r, 100));
    return weft_map_str(text, kit_below(r, sizeof text));
}

static void random_event(kit_random *r, uint8_t id, struct event *e)
{
    wf_map_op ops[5];
    uint32_t count = 1 + kit_below(r, 5), kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        ops[i] = (wf_map_op){.path = random_path(r), .set = kit_below(r, 3) > 0};
        if (ops[i].set) ops[i].value = random_value(r);
    }
    qsort(ops, count, sizeof ops[0], by_path);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || wf_map_path_compare(&ops[kept - 1].path, &ops[i].path) != 0)
            ops[kept++] = ops[i];
    e->at = (wf_stamp){1 + kit_below(r, 6), kit_id(id)}; /* many equal gens: the id decides */
    cr_assert_eq(wf_map_ops_encode(ops, kept, e->bytes, sizeof e->bytes, &e->len), WEFT_OK);
}

static wf_view *new_view(size_t bytes_max)
{
    wf_view *view = NULL;
    cr_assert_eq(wf_view_create(7, bytes_max, &view), WEFT_OK);
    return view;
}

static bool same_value(const wf_map_value *a, const wf_map_value *b)
{
    if (a->type != b->type) return false;
    if (a->type != WEFT_MAP_STR) return a->as.uint == b->as.uint;
    return a->as.bytes.len == b->as.bytes.len &&
           memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len) == 0;
}

/* The view shows exactly the visible leaves of the joined map, walked and asked for. */
static void expect_same(const wf_view *view, const wf_map *map, uint64_t seed)
{
    struct wf_view_walk walk;
    weft_map_item item;
    wf_view_walk_begin(view, NULL, NULL, &walk);
    for (uint32_t i = 0; i < wf_map_count(map); i++) {
        const wf_map_record *r = wf_map_at(map, i);
        weft_map_item found;
        weft_err want = wf_map_visible(map, i) ? WEFT_OK : WEFT_NOT_FOUND;
        cr_assert_eq(wf_view_get(view, &r->path, &found), want, "seed %d", (int)seed);
        if (want != WEFT_OK) continue;
        cr_assert(wf_view_walk_next(&walk, &item), "seed %d: a leaf is missing", (int)seed);
        cr_assert_eq(wf_map_path_compare(&item.path, &r->path), 0, "seed %d", (int)seed);
        cr_assert(same_value(&item.value, &r->value), "seed %d", (int)seed);
        cr_assert(same_value(&found.value, &r->value), "seed %d", (int)seed);
        cr_assert_eq(item.gen, r->at.gen);
        cr_assert(weft_id_equal(&item.entry, &r->at.id));
    }
    cr_assert_not(wf_view_walk_next(&walk, &item), "seed %d: a leaf too many", (int)seed);
}

static wf_map *join_event_take(wf_map *map, const struct event *e)
{
    wf_map *one = NULL, *both = NULL;
    cr_assert_eq(wf_map_create(e->bytes, e->len, &e->at, &one), WEFT_OK);
    cr_assert_eq(wf_map_join(map, one, &both), WEFT_OK);
    wf_map_destroy(map);
    wf_map_destroy(one);
    return both;
}

Test(view, is_the_join_of_the_payloads_after_each_of_them_in_any_order)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        kit_random r = {seed};
        struct event events[EVENTS];
        uint32_t n = 1 + kit_below(&r, EVENTS);
        for (uint32_t i = 0; i < n; i++) random_event(&r, (uint8_t)(i + 1), &events[i]);
        for (int order = 0; order < 2; order++) {
            wf_view *view = new_view(SIZE_MAX);
            wf_map *map = NULL;
            cr_assert_eq(wf_map_create_empty(&map), WEFT_OK);
            for (uint32_t left = n; left > 0; left--) {
                uint32_t pick = kit_below(&r, left);
                struct event e = events[pick];
                events[pick] = events[left - 1];
                events[left - 1] = e;
                for (uint32_t times = 1 + kit_below(&r, 2); times > 0; times--)
                    cr_assert_eq(wf_view_apply(view, e.bytes, e.len, &e.at), WEFT_OK);
                map = join_event_take(map, &e);
                expect_same(view, map, seed);
            }
            wf_map_destroy(map);
            wf_view_destroy(view);
        }
    }
}

/* -- Walks -------------------------------------------------------------------------------- */

struct leaves {
    wf_map_path paths[256];
    uint32_t count;
};

static struct leaves leaves_of(const wf_view *view)
{
    struct leaves all = {.count = 0};
    struct wf_view_walk walk;
    weft_map_item item;
    wf_view_walk_begin(view, NULL, NULL, &walk);
    while (wf_view_walk_next(&walk, &item)) {
        cr_assert_lt(all.count, 256);
        all.paths[all.count++] = item.path;
    }
    return all;
}

/* What a walk should give, from the list of all leaves. */
static void expect_range(const wf_view *view, const struct leaves *all, const wf_map_path *prefix,
                         const wf_map_path *after, uint64_t seed)
{
    struct wf_view_walk walk;
    weft_map_item item;
    wf_view_walk_begin(view, prefix, after, &walk);
    for (uint32_t i = 0; i < all->count; i++) {
        const wf_map_path *path = &all->paths[i];
        if (prefix != NULL && wf_map_path_compare(path, prefix) != 0 &&
            !wf_map_path_below(path, prefix))
            continue;
        if (after != NULL && wf_map_path_compare(path, after) <= 0) continue;
        cr_assert(wf_view_walk_next(&walk, &item), "seed %d", (int)seed);
        cr_assert_eq(wf_map_path_compare(&item.path, path), 0, "seed %d", (int)seed);
    }
    cr_assert_not(wf_view_walk_next(&walk, &item), "seed %d", (int)seed);
}

Test(view, a_walk_gives_what_is_below_its_prefix_and_after_its_start)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        kit_random r = {seed};
        wf_view *view = new_view(SIZE_MAX);
        for (uint32_t i = 0; i < 30; i++) {
            struct event e;
            random_event(&r, (uint8_t)(i + 1), &e);
            cr_assert_eq(wf_view_apply(view, e.bytes, e.len, &e.at), WEFT_OK);
        }
        struct leaves all = leaves_of(view);
        for (int i = 0; i < 40; i++) {
            wf_map_path prefix = random_path(&r), after = random_path(&r);
            expect_range(view, &all, &prefix, NULL, seed);
            expect_range(view, &all, NULL, &after, seed);
            expect_range(view, &all, &prefix, &after, seed);
        }
        wf_view_destroy(view);
    }
}

Test(view, paths_in_ascending_order_leave_a_shallow_tree)
{
    enum { PATHS = 200000 };
    wf_view *view = new_view(SIZE_MAX);
    weft_map_item item;
    for (uint32_t i = 0; i < PATHS; i++) {
        const char text[8] = {(char)('a' + (i >> 16 & 15)), (char)('a' + (i >> 12 & 15)),
                              (char)('a' + (i >> 8 & 15)), (char)('a' + (i >> 4 & 15)),
                              (char)('a' + (i & 15))};
        wf_map_op op = {{1, {{text, 5}}}, true, weft_map_uint(i)};
        uint8_t bytes[64];
        size_t len;
        wf_stamp at = {i + 1, kit_id(1)};
        cr_assert_eq(wf_map_ops_encode(&op, 1, bytes, sizeof bytes, &len), WEFT_OK);
        /* A list instead of a tree would need 10^10 steps here, and the test's time. */
        cr_assert_eq(wf_view_apply(view, bytes, len, &at), WEFT_OK);
        cr_assert_eq(wf_view_get(view, &op.path, &item), WEFT_OK);
    }
    cr_expect_eq(wf_view_paths(view), PATHS);
    wf_view_destroy(view);
}

/* -- Payloads that are none ------------------------------------------------------------------ */

static const struct {
    const char *why, *bytes;
} hostile[] = {
    {"nothing", ""},
    {"no list", "c0"},
    {"a set, then a set of a path of seven",
     "92 93 91a162 01 05 93 97a163a161a161a161a161a161a161 01 05"},
    {"a path twice", "92 93 91a162 01 05 93 91a162 01 06"},
    {"descending paths", "92 93 91a163 01 05 93 91a162 01 05"},
    {"a set, then bytes behind the end", "91 93 91a162 01 05 00"},
    {"a set, then one without an end", "92 93 91a162 01 05 93 91a163 01"},
    {"lists in lists", "91*200"},
    {"a list of four thousand million", "dd ffffffff"},
    {"a text of four thousand million", "91 93 91db ffffffff 61"},
    {"a map", "81 a161 01"},
    {"not a number", "92 93 91a162 01 05 93 91a163 01 cb 7ff8*1 000000000000"},
};

Test(view, a_payload_that_is_none_changes_nothing)
{
    wf_view *view = new_view(SIZE_MAX);
    wf_map *map = NULL;
    struct event e;
    kit_random r = {3};
    cr_assert_eq(wf_map_create_empty(&map), WEFT_OK);
    for (uint8_t i = 1; i <= 6; i++) {
        random_event(&r, i, &e);
        cr_assert_eq(wf_view_apply(view, e.bytes, e.len, &e.at), WEFT_OK);
        map = join_event_take(map, &e);
    }
    const size_t bytes = wf_view_bytes(view);
    const wf_stamp late = {100, kit_id(9)};
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        uint8_t payload[ROOM];
        size_t len = kit_bytes(hostile[i].bytes, payload, sizeof payload);
        weft_err err = wf_view_apply(view, payload, len, &late);
        cr_expect(err == WEFT_SYNTAX || err == WEFT_NOT_CANONICAL || err == WEFT_BAD_ENTRY,
                  "%s: %s", hostile[i].why, weft_errname(err));
        expect_same(view, map, i);
        cr_expect_eq(wf_view_bytes(view), bytes, "%s", hostile[i].why);
    }
    wf_map_destroy(map);
    wf_view_destroy(view);
}

Test(view, more_operations_than_a_payload_may_have_are_none)
{
    const uint32_t count = WEFT_MAP_OPS_MAX + 1;
    uint8_t *payload = malloc(3 + count * 8), *at = payload;
    *at++ = 0xdc;
    *at++ = (uint8_t)(count >> 8);
    *at++ = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t op[] = {0x93,
                              0x91,
                              0xa3,
                              (uint8_t)('a' + i / 400),
                              (uint8_t)('a' + i / 20 % 20),
                              (uint8_t)('a' + i % 20),
                              0x01,
                              0x05};
        memcpy(at, op, sizeof op);
        at += sizeof op;
    }
    wf_view *view = new_view(SIZE_MAX);
    wf_stamp stamp = {1, kit_id(1)};
    cr_expect_eq(wf_view_apply(view, payload, (size_t)(at - payload), &stamp), WEFT_BAD_ENTRY);
    cr_expect_eq(wf_view_paths(view), 0);
    payload[2]--; /* one less, and the last one's bytes are gone */
    cr_expect_eq(wf_view_apply(view, payload, (size_t)(at - payload) - 8, &stamp), WEFT_OK);
    cr_expect_eq(wf_view_paths(view), WEFT_MAP_OPS_MAX);
    wf_view_destroy(view);
    free(payload);
}

/* -- Bounds and memory -------------------------------------------------------------------------- */

/* Some events, the last of which is a large one. */
static struct event history(wf_view *view, wf_map **map)
{
    static char text[300];
    struct event e;
    kit_random r = {5};
    cr_assert_eq(wf_map_create_empty(map), WEFT_OK);
    for (uint8_t i = 1; i <= 5; i++) {
        random_event(&r, i, &e);
        cr_assert_eq(wf_view_apply(view, e.bytes, e.len, &e.at), WEFT_OK);
        *map = join_event_take(*map, &e);
    }
    memset(text, 'x', sizeof text);
    wf_map_op ops[] = {{{1, {{"aa", 2}}}, true, weft_map_text("over the old one")},
                       {{3, {{"n", 1}, {"e", 1}, {"w", 1}}}, true, weft_map_str(text, 300)},
                       {{1, {{"o", 1}}}, true, weft_map_text("more")},
                       {{1, {{"p", 1}}}, false, weft_map_nil()}};
    e.at = (wf_stamp){50, kit_id(6)};
    cr_assert_eq(wf_map_ops_encode(ops, 4, e.bytes, sizeof e.bytes, &e.len), WEFT_OK);
    return e;
}

Test(view, a_payload_beyond_the_bound_is_left_out_whole)
{
    wf_map *map = NULL;
    wf_view *view = new_view(SIZE_MAX);
    struct event e = history(view, &map);
    const size_t before = wf_view_bytes(view);
    cr_assert_eq(wf_view_apply(view, e.bytes, e.len, &e.at), WEFT_OK);
    const size_t after = wf_view_bytes(view);
    wf_view_destroy(view);
    wf_map_destroy(map);
    for (size_t bound = before + 200; bound < after; bound += 16) { /* replacing needs some room */
        view = new_view(bound);
        (void)history(view, &map);
        cr_assert_eq(wf_view_apply(view, e.bytes, e.len, &e.at), WEFT_LIMIT);
        expect_same(view, map, bound);
        cr_assert_leq(wf_view_bytes(view), bound);
        wf_map_destroy(map);
        wf_view_destroy(view);
    }
}

Test(view, what_was_replaced_is_not_counted_any_more)
{
    wf_view *view = new_view(SIZE_MAX);
    size_t first = 0;
    for (uint32_t i = 1; i <= 50; i++) {
        wf_map_op op = {{1, {{"a", 1}}}, true, weft_map_text(i % 2 == 0 ? "even" : "the odd ones")};
        uint8_t bytes[64];
        size_t len;
        wf_stamp at = {i, kit_id(1)};
        cr_assert_eq(wf_map_ops_encode(&op, 1, bytes, sizeof bytes, &len), WEFT_OK);
        cr_assert_eq(wf_view_apply(view, bytes, len, &at), WEFT_OK);
        if (i == 1) first = wf_view_bytes(view);
    }
    cr_expect_eq(wf_view_bytes(view), first - strlen("the odd ones") + strlen("even"));
    wf_view_destroy(view);
}

Test(view, short_memory_leaves_a_payload_out_whole_and_it_may_come_again)
{
    wf_map *map = NULL;
    uint64_t nth = 1;
    weft_err err = WEFT_NO_MEMORY;
    wf_view *never = new_view(SIZE_MAX);
    struct event e = history(never, &map);
    cr_assert_eq(wf_view_apply(never, e.bytes, e.len, &e.at), WEFT_OK);
    wf_map_destroy(map);
    for (; err == WEFT_NO_MEMORY && nth < 100; nth++) {
        wf_view *view = new_view(SIZE_MAX);
        (void)history(view, &map);
        wf_alloc_fail_at(nth, 1);
        err = wf_view_apply(view, e.bytes, e.len, &e.at);
        wf_alloc_fail_at(0, 0);
        if (err == WEFT_NO_MEMORY) {
            expect_same(view, map, nth);
            cr_assert_eq(wf_view_apply(view, e.bytes, e.len, &e.at), WEFT_OK);
        }
        map = join_event_take(map, &e);
        expect_same(view, map, nth);
        cr_expect_eq(wf_view_bytes(view), wf_view_bytes(never), "after failure %d", (int)nth);
        wf_map_destroy(map);
        wf_view_destroy(view);
    }
    wf_view_destroy(never);
    cr_assert_eq(err, WEFT_OK);
    cr_expect_gt(nth, 7, "four nodes and three texts have to be made");
    wf_alloc_fail_at(1, 1);
    wf_view *view = NULL;
    cr_expect_eq(wf_view_create(1, SIZE_MAX, &view), WEFT_NO_MEMORY);
    wf_alloc_fail_at(2, 1);
    cr_expect_eq(wf_view_create(1, SIZE_MAX, &view), WEFT_NO_MEMORY);
    wf_alloc_fail_at(0, 0);
    cr_expect_null(view);
}
