/* SPDX-License-Identifier: Apache-2.0
 * test_map.c - the map against a naive model, its laws, and payloads that are none.
 * Called by: meson test. May touch: map.c, map_ops.c. Never: the machine's randomness. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "entry_kit.h"
#include "map.h"

/* A path of the letters in `text`: "ab" is ["a", "b"]. */
static wf_map_path path_of(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    wf_map_path p = {.depth = (uint32_t)strlen(text)};
    for (uint32_t i = 0; i < p.depth; i++) {
        p.part[i].text = strchr(letters, text[i]);
        p.part[i].len = 1;
    }
    return p;
}

static wf_map_op op_set(const char *path, uint64_t value)
{
    return (wf_map_op){path_of(path), true, {.type = WEFT_MAP_UINT, .as.uint = value}};
}

static wf_map_op op_delete(const char *path)
{
    return (wf_map_op){.path = path_of(path), .set = false};
}

static wf_map *map_of(const wf_map_op *ops, uint32_t count, uint64_t gen, uint8_t id)
{
    static uint8_t payload[65536];
    size_t len;
    wf_map *map = NULL;
    wf_stamp at = {gen, kit_id(id)};
    cr_assert_eq(wf_map_ops_encode(ops, count, payload, sizeof payload, &len), WEFT_OK);
    cr_assert_eq(wf_map_create(payload, len, &at, &map), WEFT_OK);
    return map;
}

static wf_map *join(const wf_map *a, const wf_map *b)
{
    wf_map *out = NULL;
    cr_assert_eq(wf_map_join(a, b, &out), WEFT_OK);
    return out;
}

/* Takes both. */
static wf_map *join_take(wf_map *a, wf_map *b)
{
    wf_map *out = join(a, b);
    wf_map_destroy(a);
    wf_map_destroy(b);
    return out;
}

static bool same(const wf_map *a, const wf_map *b)
{
    weft_buf *x, *y;
    cr_assert_eq(wf_map_encode(a, &x), WEFT_OK);
    cr_assert_eq(wf_map_encode(b, &y), WEFT_OK);
    bool equal = weft_buf_len(x) == weft_buf_len(y) &&
                 memcmp(weft_buf_bytes(x), weft_buf_bytes(y), weft_buf_len(x)) == 0;
    weft_buf_unref(x);
    weft_buf_unref(y);
    return equal;
}

/* What readers see: "path=value " for each leaf, ascending. */
static void show(const wf_map *map, char *out, size_t room)
{
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < wf_map_count(map); i++) {
        const wf_map_record *r = wf_map_at(map, i);
        if (!wf_map_visible(map, i)) continue;
        for (uint32_t k = 0; k < r->path.depth; k++) out[len++] = r->path.part[k].text[0];
        len += (size_t)snprintf(out + len, room - len, "=%d ", (int)r->value.as.uint);
    }
}

/* -- The model: one history applied in the order of (gen, id), to a list of leaves -- */

struct event { /* one payload */
    uint64_t gen;
    uint8_t id;
    uint32_t count;
    struct {
        char path[8];
        bool set;
        uint64_t value;
    } ops[4]; /* ascending by path */
};

struct leaf {
    char path[8];
    uint64_t value;
};
struct model {
    struct leaf leaves[256];
    size_t count;
};

static bool begins(const char *path, const char *start)
{
    return strncmp(path, start, strlen(start)) == 0;
}

static void model_apply(struct model *m, const char *path, bool set, uint64_t value)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++) {
        bool below_or_here = begins(m->leaves[i].path, path);
        bool above = begins(path, m->leaves[i].path);
        if (!below_or_here && !(set && above)) m->leaves[kept++] = m->leaves[i];
    }
    m->count = kept;
    if (!set) return;
    strcpy(m->leaves[m->count].path, path);
    m->leaves[m->count++].value = value;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct leaf *)a)->path, ((const struct leaf *)b)->path);
}

static int by_stamp(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->gen != y->gen) return x->gen < y->gen ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void model_show(struct model *m, char *out, size_t room)
{
    size_t len = 0;
    out[0] = '\0';
    qsort(m->leaves, m->count, sizeof m->leaves[0], by_path);
    for (size_t i = 0; i < m->count; i++) {
        len += (size_t)snprintf(out + len, room - len, "%s=%d ", m->leaves[i].path,
                                (int)m->leaves[i].value);
    }
}

/* Few letters and depths, so that paths lie above and below each other often. */
static void random_path(kit_random *r, char *out)
{
    uint32_t depth = 1 + kit_below(r, 3);
    for (uint32_t i = 0; i < depth; i++) out[i] = (char)('a' + kit_below(r, 2));
    out[depth] = '\0';
}

static void random_event(kit_random *r, uint8_t id, struct event *e)
{
    memset(e, 0, sizeof *e);
    e->gen = 1 + kit_below(r, 6); /* many equal ones: the id decides */
    e->id = id;
    char last[8] = "";
    for (int tries = 0; tries < 4; tries++) {
        char path[8];
        random_path(r, path);
        if (strcmp(path, last) <= 0) continue;
        strcpy(last, path);
        strcpy(e->ops[e->count].path, path);
        e->ops[e->count].set = kit_below(r, 3) > 0;
        e->ops[e->count++].value = 1 + kit_below(r, 100);
    }
}

static wf_map *event_map(const struct event *e)
{
    wf_map_op ops[4];
    for (uint32_t i = 0; i < e->count; i++) {
        ops[i] = e->ops[i].set ? op_set(e->ops[i].path, e->ops[i].value)
                               : op_delete(e->ops[i].path);
    }
    return map_of(ops, e->count, e->gen, e->id);
}

Test(map, every_order_of_joins_shows_what_the_history_in_order_shows)
{
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        kit_random r = {seed};
        struct event events[8];
        struct model model = {.count = 0};
        char expected[512], got[512];
        wf_map *maps[8], *first = NULL;
        uint32_t n = 1 + kit_below(&r, 8);
        for (uint32_t i = 0; i < n; i++) random_event(&r, (uint8_t)(i + 1), &events[i]);
        for (uint32_t order = 0; order < 4; order++) {
            for (uint32_t i = 0; i < n; i++) maps[i] = event_map(&events[i]);
            for (uint32_t left = n; left > 1; left--) { /* any two, also twice the same */
                uint32_t a = kit_below(&r, left), b = kit_below(&r, left);
                if (a == b) b = (a + 1) % left;
                wf_map *again = join(maps[a], maps[b]);
                maps[a] = join_take(join_take(maps[a], maps[b]), again);
                maps[b] = maps[left - 1];
                if (a == left - 1) maps[b] = maps[a];
            }
            if (first == NULL) {
                first = maps[0];
            } else {
                cr_assert(same(first, maps[0]), "seed %d", (int)seed);
                wf_map_destroy(maps[0]);
            }
        }
        qsort(events, n, sizeof events[0], by_stamp);
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t k = 0; k < events[i].count; k++) {
                model_apply(&model, events[i].ops[k].path, events[i].ops[k].set,
                            events[i].ops[k].value);
            }
        }
        model_show(&model, expected, sizeof expected);
        show(first, got, sizeof got);
        cr_assert_str_eq(got, expected, "seed %d", (int)seed);
        wf_map_destroy(first);
    }
}

static wf_map *random_map(kit_random *r, uint8_t first_id)
{
    wf_map *map;
    cr_assert_eq(wf_map_create_empty(&map), WEFT_OK);
    for (uint32_t n = kit_below(r, 4); n > 0; n--) {
        struct event e;
        /* Equal stamps come from one entry only, so ids are not shared between maps. */
        random_event(r, (uint8_t)(first_id + n), &e);
        map = join_take(map, event_map(&e));
    }
    return map;
}

Test(map, join_is_associative_commutative_and_idempotent)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        kit_random r = {seed};
        wf_map *a = random_map(&r, 10), *b = random_map(&r, 20), *c = random_map(&r, 30);
        wf_map *ab = join(a, b), *ba = join(b, a), *bc = join(b, c);
        wf_map *left = join(ab, c), *right = join(a, bc), *twice = join(left, right);
        cr_assert(same(ab, ba), "seed %d", (int)seed);
        cr_assert(same(left, right), "seed %d", (int)seed);
        cr_assert(same(left, twice), "seed %d", (int)seed);
        wf_map *all[] = {a, b, c, ab, ba, bc, left, right, twice};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) wf_map_destroy(all[i]);
    }
}

Test(map, bytes_read_back_as_the_same_map)
{
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        kit_random r = {seed};
        wf_map *map = random_map(&r, 10), *back = NULL;
        weft_buf *buf;
        cr_assert_eq(wf_map_encode(map, &buf), WEFT_OK);
        cr_assert_eq(wf_map_decode(weft_buf_bytes(buf), weft_buf_len(buf), &back), WEFT_OK);
        cr_assert(same(map, back));
        for (size_t cut = 0; cut < weft_buf_len(buf); cut++) {
            wf_map *none = NULL;
            cr_assert_neq(wf_map_decode(weft_buf_bytes(buf), cut, &none), WEFT_OK);
        }
        weft_buf_unref(buf);
        wf_map_destroy(map);
        wf_map_destroy(back);
    }
}

Test(map, damaged_bytes_read_as_nothing_or_as_one_map_with_these_bytes)
{
    kit_random r = {11};
    wf_map *map = random_map(&r, 10);
    while (wf_map_count(map) < 4) map = join_take(map, random_map(&r, (uint8_t)kit_next(&r)));
    weft_buf *buf, *again;
    cr_assert_eq(wf_map_encode(map, &buf), WEFT_OK);
    size_t len = weft_buf_len(buf);
    unsigned read = 0;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        uint8_t bytes[4096];
        wf_map *other = NULL;
        cr_assert_leq(len, sizeof bytes);
        memcpy(bytes, weft_buf_bytes(buf), len);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (wf_map_decode(bytes, len, &other) != WEFT_OK) continue;
        read++;
        cr_assert_eq(wf_map_encode(other, &again), WEFT_OK);
        cr_assert(weft_buf_len(again) == len && memcmp(weft_buf_bytes(again), bytes, len) == 0);
        weft_buf_unref(again);
        wf_map_destroy(other);
    }
    cr_assert_gt(read, 0);
    weft_buf_unref(buf);
    wf_map_destroy(map);
}

Test(map, a_leaf_that_was_covered_and_uncovered_stays_gone)
{
    /* set a; set a/b; delete a/b: the second removed the leaf a for good. */
    wf_map_op set_a = op_set("a", 1), set_ab = op_set("ab", 2), delete_ab = op_delete("ab");
    wf_map *map = join_take(join_take(map_of(&set_a, 1, 1, 1), map_of(&set_ab, 1, 2, 2)),
                            map_of(&delete_ab, 1, 3, 3));
    char text[64];
    show(map, text, sizeof text);
    cr_assert_str_eq(text, "");
    wf_map_destroy(map);
}

Test(map, deleting_below_a_leaf_leaves_the_leaf)
{
    wf_map_op set_a = op_set("a", 1), delete_ab = op_delete("ab");
    wf_map *map = join_take(map_of(&set_a, 1, 1, 1), map_of(&delete_ab, 1, 2, 2));
    wf_map_path path = path_of("a");
    wf_map_value value;
    cr_assert_eq(wf_map_get(map, &path, &value), WEFT_OK);
    cr_assert_eq(value.as.uint, 1);
    wf_map_destroy(map);
}

Test(map, one_payload_may_clear_a_branch_and_fill_it_again)
{
    wf_map_op old[] = {op_set("ab", 1), op_set("ac", 2)};
    wf_map_op new[] = {op_delete("a"), op_set("ac", 3)};
    wf_map *map = join_take(map_of(old, 2, 1, 1), map_of(new, 2, 2, 2));
    char text[64];
    show(map, text, sizeof text);
    cr_assert_str_eq(text, "ac=3 ");
    wf_map_destroy(map);
}

Test(map, every_kind_of_value_reads_back)
{
    uint8_t payload[512];
    size_t len;
    wf_map_op ops[8] = {
        {path_of("a"), true, {.type = WEFT_MAP_NIL}},
        {path_of("b"), true, {.type = WEFT_MAP_BOOL, .as.truth = true}},
        {path_of("c"), true, {.type = WEFT_MAP_UINT, .as.uint = UINT64_MAX}},
        {path_of("d"), true, {.type = WEFT_MAP_INT, .as.sint = INT64_MIN}},
        {path_of("e"), true, {.type = WEFT_MAP_INT, .as.sint = -1}},
        {path_of("f"), true, {.type = WEFT_MAP_FLOAT, .as.real = -0.5}},
        {path_of("g"), true, {.type = WEFT_MAP_STR, .as.bytes = {"text", 4}}},
        {path_of("h"), true, {.type = WEFT_MAP_BIN, .as.bytes = {"\0\1", 2}}},
    };
    cr_assert_eq(wf_map_ops_encode(ops, 8, payload, sizeof payload, &len), WEFT_OK);
    wf_stamp at = {1, kit_id(1)};
    wf_map *map = NULL;
    cr_assert_eq(wf_map_create(payload, len, &at, &map), WEFT_OK);
    for (uint32_t i = 0; i < 8; i++) {
        wf_map_value v;
        cr_assert_eq(wf_map_get(map, &ops[i].path, &v), WEFT_OK);
        cr_assert_eq(v.type, ops[i].value.type);
        if (v.type == WEFT_MAP_STR || v.type == WEFT_MAP_BIN) {
            cr_assert_eq(v.as.bytes.len, ops[i].value.as.bytes.len);
            cr_assert_eq(memcmp(v.as.bytes.data, ops[i].value.as.bytes.data, v.as.bytes.len), 0);
        } else if (v.type == WEFT_MAP_FLOAT) {
            cr_assert_eq(v.as.real, -0.5);
        } else if (v.type == WEFT_MAP_BOOL) {
            cr_assert(v.as.truth);
        } else if (v.type != WEFT_MAP_NIL) {
            cr_assert_eq(v.as.uint, ops[i].value.as.uint);
        }
    }
    wf_map_destroy(map);
}

static const struct {
    const char *why, *bytes;
    weft_err expected;
} payloads[] = {
    {"no operations", "90", WEFT_OK},
    {"a set", "91 93 91a161 01 05", WEFT_OK},
    {"a delete", "91 93 91a161 00 c0", WEFT_OK},
    {"nothing", "", WEFT_SYNTAX},
    {"no list", "c0", WEFT_SYNTAX},
    {"a byte behind the end", "90 00", WEFT_SYNTAX},
    {"a longer list head", "dc0000", WEFT_NOT_CANONICAL},
    {"two fields", "91 92 91a161 01", WEFT_SYNTAX},
    {"an unknown kind", "91 93 91a161 02 05", WEFT_BAD_ENTRY},
    {"a delete with a value", "91 93 91a161 00 05", WEFT_BAD_ENTRY},
    {"an empty path", "91 93 90 01 05", WEFT_BAD_ENTRY},
    {"the deepest path", "91 93 96a161a161a161a161a161a161 01 05", WEFT_OK},
    {"a deeper path", "91 93 97a161a161a161a161a161a161a161 01 05", WEFT_BAD_ENTRY},
    {"an empty component", "91 93 91a0 01 05", WEFT_BAD_ENTRY},
    {"the longest component", "91 93 91 d9ff 61*255 01 05", WEFT_OK},
    {"a longer component", "91 93 91 da0100 61*256 01 05", WEFT_BAD_ENTRY},
    {"a component as bytes", "91 93 91c40161 01 05", WEFT_SYNTAX},
    {"a component that is no UTF-8", "91 93 91a1ff 01 05", WEFT_SYNTAX},
    {"a list as value", "91 93 91a161 01 90", WEFT_SYNTAX},
    {"a map as value", "91 93 91a161 01 80", WEFT_SYNTAX},
    {"a longer number", "91 93 91a161 01 cc05", WEFT_NOT_CANONICAL},
    {"a signed form of a positive number", "91 93 91a161 01 d005", WEFT_NOT_CANONICAL},
    {"a float of half the size", "91 93 91a161 01 ca 3f000000", WEFT_SYNTAX},
    {"not a number", "91 93 91a161 01 cb 7ff8*1 000000000000", WEFT_NOT_CANONICAL},
    {"descending paths", "92 93 91a162 01 05 93 91a161 01 05", WEFT_NOT_CANONICAL},
    {"a path twice", "92 93 91a161 01 05 93 91a161 00 c0", WEFT_NOT_CANONICAL},
    {"a branch before its root", "92 93 92a161a161 01 05 93 91a161 01 05", WEFT_NOT_CANONICAL},
    {"ab after a/b", "92 93 92a161a162 01 05 93 91a26162 01 05", WEFT_OK},
};

Test(map, each_malformed_payload_has_its_exact_answer)
{
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        uint8_t bytes[512];
        size_t len = kit_bytes(payloads[i].bytes, bytes, sizeof bytes);
        weft_err err = wf_map_ops_each(bytes, len, NULL, NULL);
        cr_expect_eq(err, payloads[i].expected, "%s: %s", payloads[i].why, weft_errname(err));
    }
}

static const struct {
    const char *why, *bytes;
    weft_err expected;
} stored[] = {
    {"no records", "90", WEFT_OK},
    {"a set", "91 95 91a161 01 05 01 c420 07*32", WEFT_OK},
    {"a delete", "91 95 91a161 00 c0 01 c420 07*32", WEFT_OK},
    {"a delete after a set", "91 97 91a161 00 c0 02 c420 07*32 01 c420 07*32", WEFT_OK},
    {"a delete before the set", "91 97 91a161 00 c0 01 c420 07*32 02 c420 07*32",
     WEFT_NOT_CANONICAL},
    {"a delete at the set", "91 97 91a161 00 c0 01 c420 07*32 01 c420 07*32", WEFT_NOT_CANONICAL},
    {"a set with two stamps", "91 97 91a161 01 05 02 c420 07*32 01 c420 07*32", WEFT_NOT_CANONICAL},
    {"six fields", "91 96 91a161 00 c0 02 c420 07*32 01", WEFT_SYNTAX},
    {"a delete with a value", "91 95 91a161 00 05 01 c420 07*32", WEFT_SYNTAX},
    {"a short id", "91 95 91a161 01 05 01 c41f 07*31", WEFT_SYNTAX},
    {"a path twice", "92 95 91a161 01 05 01 c420 07*32 95 91a161 01 05 01 c420 07*32",
     WEFT_NOT_CANONICAL},
};

Test(map, each_malformed_stored_map_has_its_exact_answer)
{
    for (size_t i = 0; i < sizeof stored / sizeof stored[0]; i++) {
        uint8_t bytes[512];
        wf_map *map = NULL;
        size_t len = kit_bytes(stored[i].bytes, bytes, sizeof bytes);
        weft_err err = wf_map_decode(bytes, len, &map);
        cr_expect_eq(err, stored[i].expected, "%s: %s", stored[i].why, weft_errname(err));
        cr_expect_eq(map == NULL, err != WEFT_OK);
        wf_map_destroy(map);
    }
}

Test(map, what_cannot_be_encoded_is_refused)
{
    uint8_t out[512];
    size_t len = 77;
    wf_map_op descending[] = {op_set("b", 1), op_set("a", 1)};
    cr_expect_eq(wf_map_ops_encode(descending, 2, out, sizeof out, &len), WEFT_INVALID);
    wf_map_op op = op_set("a", 1);
    cr_expect_eq(wf_map_ops_encode(&op, 1, out, 4, &len), WEFT_LIMIT);
    op.value = (wf_map_value){.type = WEFT_MAP_INT, .as.sint = 1};
    cr_expect_eq(wf_map_ops_encode(&op, 1, out, sizeof out, &len), WEFT_INVALID);
    op.value = (wf_map_value){.type = WEFT_MAP_FLOAT, .as.real = strtod("nan", NULL)};
    cr_expect_eq(wf_map_ops_encode(&op, 1, out, sizeof out, &len), WEFT_INVALID);
    op.value = (wf_map_value){.type = WEFT_MAP_STR, .as.bytes = {"\xff", 1}};
    cr_expect_eq(wf_map_ops_encode(&op, 1, out, sizeof out, &len), WEFT_INVALID);
    op = op_set("a", 1);
    op.path.depth = 0;
    cr_expect_eq(wf_map_ops_encode(&op, 1, out, sizeof out, &len), WEFT_INVALID);
    cr_expect_eq(len, 77);
}

Test(map, short_memory_is_reported_and_nothing_leaks_out)
{
    wf_map_op op = op_set("a", 1);
    wf_map *map = map_of(&op, 1, 1, 1), *out = NULL;
    wf_alloc_fail_at(1, 1);
    cr_assert_eq(wf_map_join(map, map, &out), WEFT_NO_MEMORY);
    cr_assert_eq(wf_map_create_empty(&out), WEFT_NO_MEMORY);
    cr_assert_null(out);
    wf_alloc_fail_at(0, 0);
    wf_map_destroy(map);
}
