/* SPDX-License-Identifier: Apache-2.0
 * test_map_api.c - public maps on one node: edits, views, what a refresh costs, and errors.
 * Called by: meson test. May touch: a memory node, and its engine behind its back.
 * Never: a real disk, a peer (test_map.c has those). */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>
#include <weft/map.h>

#include "entry_kit.h"
#include "layout.h"
#include "node_internal.h"

#define DOC "doc"

static weft_keypair *author;
static weft_node *node;
static weft_writer *writer;
static weft_id tree;

static void setup(void)
{
    const weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    author = kit_pair(1);
    cr_assert_eq(weft_node_open(NULL, &node), WEFT_OK);
    cr_assert_eq(weft_tree_create(node, author, &root, WEFT_NEVER, &tree), WEFT_OK);
    cr_assert_eq(weft_writer_open(node, &tree, author, &writer), WEFT_OK);
}

static void teardown(void)
{
    weft_writer_close(writer);
    weft_node_close(node);
    weft_keypair_destroy(author);
}

TestSuite(map_api, .init = setup, .fini = teardown);

/* -- Short ways ----------------------------------------------------------------------------- */

static weft_map_edit *new_edit(void)
{
    weft_map_edit *edit = NULL;
    cr_assert_eq(weft_map_edit_create(&edit), WEFT_OK);
    return edit;
}

static void set(weft_map_edit *edit, const weft_map_path *path, weft_map_value value)
{
    weft_err err = weft_map_edit_set(edit, path, value);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
}

static weft_id commit(const weft_map_edit *edit)
{
    weft_id id;
    weft_err err = weft_map_commit(writer, DOC, edit, WEFT_NEVER, &id);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return id;
}

static weft_id commit_one(const weft_map_path *path, uint64_t number)
{
    weft_map_edit *edit = new_edit();
    set(edit, path, weft_map_uint(number));
    weft_id id = commit(edit);
    weft_map_edit_destroy(edit);
    return id;
}

static weft_map *open_map(const char *store)
{
    weft_map *map = NULL;
    weft_err err = weft_map_open(node, &tree, store, &map);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return map;
}

static uint64_t refresh(weft_map *map)
{
    uint64_t read;
    weft_err err = weft_map_refresh(map, &read);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return read;
}

struct text {
    char bytes[4096];
    size_t len;
};

static weft_err add_item(void *arg, const weft_map_item *item)
{
    struct text *t = arg;
    for (uint32_t i = 0; i < item->path.depth; i++)
        t->len += (size_t)snprintf(t->bytes + t->len, sizeof t->bytes - t->len, "/%.*s",
                                   (int)item->path.part[i].len, item->path.part[i].text);
    t->len += (size_t)snprintf(t->bytes + t->len, sizeof t->bytes - t->len, "=%d ",
                               (int)item->value.as.uint);
    cr_assert_lt(t->len, sizeof t->bytes);
    return WEFT_OK;
}

/* All leaves below a prefix, their values as numbers. Valid until the next call. */
static const char *leaves(const weft_map *map, const weft_map_path *prefix)
{
    static struct text text;
    text.len = 0;
    text.bytes[0] = '\0';
    cr_assert_eq(weft_map_each(map, prefix, add_item, &text), WEFT_OK);
    return text.bytes;
}

static weft_map_info info_of(const weft_map *map)
{
    weft_map_info info;
    weft_map_info_get(map, &info);
    return info;
}

static void quiet(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    (void)line;
}

/* -- Reading ---------------------------------------------------------------------------------- */

Test(map_api, every_kind_of_value_reads_back)
{
    weft_map_edit *edit = new_edit();
    weft_map_value got;
    int64_t number = 0;
    set(edit, WEFT_MAP_PATH("nil"), weft_map_nil());
    set(edit, WEFT_MAP_PATH("bool"), weft_map_bool(true));
    set(edit, WEFT_MAP_PATH("uint"), weft_map_uint(UINT64_MAX));
    set(edit, WEFT_MAP_PATH("int", "low"), weft_map_int(INT64_MIN));
    set(edit, WEFT_MAP_PATH("int", "high"), weft_map_int(INT64_MAX));
    set(edit, WEFT_MAP_PATH("float"), weft_map_float(-0.5));
    set(edit, WEFT_MAP_PATH("str"), weft_map_text("text"));
    set(edit, WEFT_MAP_PATH("str", "empty"), weft_map_text(""));
    set(edit, WEFT_MAP_PATH("bin"), weft_map_bin("\0\1", 2));
    commit(edit);
    weft_map_edit_destroy(edit);
    weft_map *map = open_map(DOC);
    cr_expect_eq(weft_map_get(map, WEFT_MAP_PATH("nil"), &got), WEFT_NOT_FOUND, "nothing read yet");
    cr_assert_eq(refresh(map), 1);
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("nil"), &got), WEFT_OK);
    cr_expect_eq(got.type, WEFT_MAP_NIL);
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("bool"), &got), WEFT_OK);
    cr_expect(got.type == WEFT_MAP_BOOL && got.as.truth);
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("uint"), &got), WEFT_OK);
    cr_expect(got.type == WEFT_MAP_UINT && got.as.uint == UINT64_MAX);
    cr_expect_not(weft_map_as_int(&got, &number));
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("int", "low"), &got), WEFT_OK);
    cr_expect(weft_map_as_int(&got, &number) && number == INT64_MIN);
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("int", "high"), &got), WEFT_OK);
    cr_expect(got.type == WEFT_MAP_UINT && weft_map_as_int(&got, &number) && number == INT64_MAX);
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("float"), &got), WEFT_OK);
    cr_expect(got.type == WEFT_MAP_FLOAT && got.as.real == -0.5);
    cr_expect_eq(weft_map_get(map, WEFT_MAP_PATH("str"), &got), WEFT_NOT_FOUND, "it has a branch");
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("str", "empty"), &got), WEFT_OK);
    cr_expect(got.type == WEFT_MAP_STR && got.as.bytes.len == 0 && got.as.bytes.data != NULL);
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("bin"), &got), WEFT_OK);
    cr_assert(got.type == WEFT_MAP_BIN && got.as.bytes.len == 2);
    cr_expect_eq(memcmp(got.as.bytes.data, "\0\1", 2), 0);
    weft_map_close(map);
}

Test(map_api, one_more_entry_costs_one_entry)
{
    for (int i = 0; i < 200; i++)
        commit_one(WEFT_MAP_PATH("a", i % 2 == 0 ? "b" : "c"), (uint64_t)i);
    weft_map *map = open_map(DOC);
    cr_expect_eq(refresh(map), 200);
    cr_expect_eq(refresh(map), 0);
    for (int i = 0; i < 5; i++) {
        commit_one(WEFT_MAP_PATH("a", "b"), 1000);
        cr_expect_eq(refresh(map), 1);
    }
    for (int i = 0; i < 5; i++)
        cr_assert_eq(weft_commit(writer, "other", "x", 1, WEFT_NEVER, NULL), WEFT_OK);
    cr_expect_eq(refresh(map), 0, "what writes other stores is not read");
    cr_expect_eq(info_of(map).entries, 205);
    cr_expect_eq(info_of(map).arrivals, 211);
    cr_expect_str_eq(leaves(map, NULL), "/a/b=1000 /a/c=199 ");
    weft_map_close(map);
}

Test(map_api, a_refresh_within_a_budget_goes_on_where_it_stopped)
{
    uint64_t read, all = 0, turns = 0;
    for (uint64_t i = 0; i < 20; i++) commit_one(WEFT_MAP_PATH("a"), i);
    weft_map *map = open_map(DOC);
    weft_map_budget(map, 3);
    weft_err err;
    while ((err = weft_map_refresh(map, &read)) == WEFT_AGAIN) {
        cr_assert_leq(read, 3);
        all += read;
        turns++;
    }
    cr_expect_eq(err, WEFT_OK);
    cr_expect_eq(all + read, 20);
    cr_expect_eq(turns, 6, "the root and twenty edits, three at a time");
    cr_expect_str_eq(leaves(map, NULL), "/a=19 ");
    weft_map_close(map);
}

Test(map_api, leaves_below_a_prefix_come_in_order_and_say_who_set_them)
{
    weft_map_item item;
    commit_one(WEFT_MAP_PATH("b"), 1);
    commit_one(WEFT_MAP_PATH("users", "bob"), 2);
    weft_id ada = commit_one(WEFT_MAP_PATH("users", "ada", "age"), 3);
    commit_one(WEFT_MAP_PATH("users2"), 4);
    weft_map *map = open_map(DOC);
    refresh(map);
    cr_expect_str_eq(leaves(map, NULL), "/b=1 /users/ada/age=3 /users/bob=2 /users2=4 ");
    cr_expect_str_eq(leaves(map, WEFT_MAP_PATH("users")), "/users/ada/age=3 /users/bob=2 ");
    cr_expect_str_eq(leaves(map, WEFT_MAP_PATH("users", "bob")), "/users/bob=2 ");
    cr_expect_str_eq(leaves(map, WEFT_MAP_PATH("use")), "");
    cr_assert_eq(weft_map_next(map, WEFT_MAP_PATH("users"), NULL, &item), WEFT_OK);
    cr_expect(weft_id_equal(&item.entry, &ada));
    cr_expect_eq(item.gen, 3);
    cr_assert_eq(weft_map_next(map, WEFT_MAP_PATH("users"), &item.path, &item), WEFT_OK);
    cr_expect_eq(item.value.as.uint, 2);
    cr_expect_eq(weft_map_next(map, WEFT_MAP_PATH("users"), &item.path, &item), WEFT_END);
    weft_map_close(map);
}

static weft_err stop_at_second(void *arg, const weft_map_item *item)
{
    (void)item;
    return ++*(int *)arg == 2 ? WEFT_BUSY : WEFT_OK;
}

Test(map_api, a_walk_ends_with_what_its_function_returns)
{
    int calls = 0;
    for (uint64_t i = 0; i < 3; i++)
        commit_one(WEFT_MAP_PATH("a", i == 0 ? "x" : i == 1 ? "y" : "z"), i);
    weft_map *map = open_map(DOC);
    refresh(map);
    cr_expect_eq(weft_map_each(map, NULL, stop_at_second, &calls), WEFT_BUSY);
    cr_expect_eq(calls, 2);
    weft_map_close(map);
}

Test(map_api, settings_are_a_map_too)
{
    weft_map *map = open_map("_settings");
    weft_map_value got;
    cr_expect_eq(refresh(map), 1);
    cr_assert_eq(weft_map_get(map, WEFT_MAP_PATH("auth", "*", "grant"), &got), WEFT_OK);
    cr_assert(got.type == WEFT_MAP_STR && got.as.bytes.len == 8);
    cr_expect_eq(memcmp(got.as.bytes.data, "write:10", 8), 0);
    weft_map_close(map);
}

Test(map_api, a_tree_of_which_nothing_has_come_yet_is_an_empty_map)
{
    weft_id other = kit_id(9);
    weft_map *map = NULL;
    cr_assert_eq(weft_tree_follow(node, &other, NULL, 0, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_map_open(node, &other, DOC, &map), WEFT_OK);
    cr_expect_eq(refresh(map), 0);
    cr_expect_str_eq(leaves(map, NULL), "");
    weft_map_close(map);
}

/* -- Edits -------------------------------------------------------------------------------------- */

static const char *const names[] = {"a", "b", "c"};

static weft_map_path random_path(kit_random *r)
{
    const char *texts[4] = {NULL};
    uint32_t depth = 1 + kit_below(r, 3);
    for (uint32_t i = 0; i < depth; i++) texts[i] = names[kit_below(r, 3)];
    return weft_map_path_of(texts);
}

/* Does the edit set something at or below the path? Then deleting it would say that it was
 * never set, which is not what one commit after the other says. */
struct sets {
    weft_map_path paths[16];
    uint32_t count;
};

static bool would_unsay(const struct sets *sets, const weft_map_path *path)
{
    for (uint32_t i = 0; i < sets->count; i++) {
        weft_map_path start = sets->paths[i];
        if (start.depth < path->depth) continue;
        start.depth = path->depth;
        if (weft_map_path_compare(&start, path) == 0) return true;
    }
    return false;
}

static void do_both(weft_map_edit *all, weft_map_edit *one, const weft_map_path *path, bool sets,
                    uint64_t number)
{
    weft_map_edit_clear(one);
    if (sets) {
        set(all, path, weft_map_uint(number));
        set(one, path, weft_map_uint(number));
    } else {
        cr_assert_eq(weft_map_edit_delete(all, path), WEFT_OK);
        cr_assert_eq(weft_map_edit_delete(one, path), WEFT_OK);
    }
    cr_assert_eq(weft_map_edit_count(one), 1);
}

/* `before`: something is there, and nothing that is set is deleted again. */
static void compare_edits(uint64_t seed, bool before)
{
    kit_random r = {seed};
    weft_map_edit *all = new_edit(), *one = new_edit();
    struct sets sets = {.count = 0};
    char at_once[24], one_by_one[24];
    snprintf(at_once, sizeof at_once, "once%d.%d", (int)seed, before);
    snprintf(one_by_one, sizeof one_by_one, "each%d.%d", (int)seed, before);
    for (int i = 0; before && i < 4; i++) {
        weft_map_path path = random_path(&r);
        do_both(all, one, &path, true, 100);
        cr_assert_eq(weft_map_commit(writer, at_once, one, WEFT_NEVER, NULL), WEFT_OK);
        cr_assert_eq(weft_map_commit(writer, one_by_one, one, WEFT_NEVER, NULL), WEFT_OK);
    }
    weft_map_edit_clear(all);
    for (uint64_t i = 0; i < 12; i++) {
        weft_map_path path = random_path(&r);
        bool is_set = kit_below(&r, 3) > 0;
        if (!is_set && before && would_unsay(&sets, &path)) continue;
        if (is_set) sets.paths[sets.count++] = path;
        do_both(all, one, &path, is_set, i);
        cr_assert_eq(weft_map_commit(writer, one_by_one, one, WEFT_NEVER, NULL), WEFT_OK);
    }
    cr_assert_eq(weft_map_commit(writer, at_once, all, WEFT_NEVER, NULL), WEFT_OK);
    weft_map *a = open_map(at_once), *b = open_map(one_by_one);
    refresh(a);
    refresh(b);
    char *want = strdup(leaves(b, NULL));
    cr_assert_str_eq(leaves(a, NULL), want, "seed %d", (int)seed);
    free(want);
    weft_map_close(a);
    weft_map_close(b);
    weft_map_edit_destroy(all);
    weft_map_edit_destroy(one);
}

Test(map_api, an_edit_of_many_calls_shows_what_a_commit_for_each_of_them_shows)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        compare_edits(seed, false);
        compare_edits(seed, true);
    }
}

Test(map_api, what_an_edit_sets_and_deletes_again_was_never_set)
{
    weft_map_edit *edit = new_edit();
    commit_one(WEFT_MAP_PATH("a"), 1);
    set(edit, WEFT_MAP_PATH("a", "b"), weft_map_uint(2));
    cr_assert_eq(weft_map_edit_delete(edit, WEFT_MAP_PATH("a", "b")), WEFT_OK);
    commit(edit);
    weft_map *map = open_map(DOC);
    refresh(map);
    cr_expect_str_eq(leaves(map, NULL), "/a=1 ");
    weft_map_close(map);
    weft_map_edit_destroy(edit);
}

Test(map_api, an_edit_is_bounded_and_stays_as_it_was_when_it_is_refused)
{
    static char large[WEFT_ENTRY_BYTES_MAX];
    weft_map_edit *edit = new_edit();
    char name[16];
    const char *texts[2] = {name, NULL};
    for (uint32_t i = 0; i < WEFT_MAP_OPS_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        weft_map_path path = weft_map_path_of(texts);
        set(edit, &path, weft_map_uint(i));
    }
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("x"), weft_map_nil()), WEFT_LIMIT);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("7"), weft_map_nil()), WEFT_OK, "no more");
    cr_expect_eq(weft_map_edit_count(edit), WEFT_MAP_OPS_MAX);
    memset(large, 'x', sizeof large);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("7"), weft_map_str(large, sizeof large)),
                 WEFT_LIMIT);
    commit(edit);
    weft_map *map = open_map(DOC);
    refresh(map);
    cr_expect_eq(info_of(map).paths, WEFT_MAP_OPS_MAX);
    weft_map_edit_clear(edit);
    set(edit, WEFT_MAP_PATH("large"), weft_map_str(large, sizeof large - 4096));
    commit(edit);
    cr_expect_eq(refresh(map), 1);
    weft_map_edit_clear(edit);
    set(edit, WEFT_MAP_PATH("large"), weft_map_str(large, sizeof large - 64));
    cr_expect_eq(weft_map_commit(writer, DOC, edit, WEFT_NEVER, NULL), WEFT_LIMIT,
                 "the entry around it does not fit");
    weft_map_close(map);
    weft_map_edit_destroy(edit);
}

Test(map_api, what_is_no_path_and_no_value_is_refused)
{
    weft_map_edit *edit = new_edit();
    weft_map_value got;
    char long_name[WEFT_MAP_COMPONENT_BYTES_MAX + 2];
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    const weft_map_value number = weft_map_uint(1);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH(""), number), WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("a", ""), number), WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH(NULL), number), WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH(long_name), number), WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("\xff"), number), WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("a", "b", "c", "d", "e", "f"), number),
                 WEFT_OK);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("a", "b", "c", "d", "e", "f", "g"), number),
                 WEFT_INVALID);
    cr_expect_eq(weft_map_edit_delete(edit, WEFT_MAP_PATH("a", "")), WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("a"), weft_map_text("\xc3")), WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("a"), weft_map_str(NULL, 1)), WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("a"), weft_map_float(strtod("nan", NULL))),
                 WEFT_INVALID);
    cr_expect_eq(weft_map_edit_set(edit, WEFT_MAP_PATH("a"), (weft_map_value){.type = 9}),
                 WEFT_INVALID);
    cr_expect_eq(weft_map_edit_count(edit), 1);
    weft_map *map = open_map(DOC);
    cr_expect_eq(weft_map_get(map, WEFT_MAP_PATH(""), &got), WEFT_INVALID);
    cr_expect_eq(weft_map_each(map, WEFT_MAP_PATH("a", ""), add_item, NULL), WEFT_INVALID);
    weft_map_close(map);
    weft_map_edit_destroy(edit);
}

Test(map_api, what_cannot_be_opened_or_committed_says_why)
{
    weft_map_edit *edit = new_edit();
    weft_map *map = NULL;
    weft_id none = kit_id(7);
    char name[WEFT_STORE_NAME_BYTES_MAX + 2];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    cr_expect_eq(weft_map_commit(writer, DOC, edit, WEFT_NEVER, NULL), WEFT_INVALID,
                 "no operation");
    set(edit, WEFT_MAP_PATH("a"), weft_map_nil());
    cr_expect_eq(weft_map_commit(writer, "_settings", edit, WEFT_NEVER, NULL), WEFT_INVALID);
    cr_expect_eq(weft_map_commit(writer, name, edit, WEFT_NEVER, NULL), WEFT_INVALID);
    cr_expect_eq(weft_map_open(node, &none, DOC, &map), WEFT_TREE);
    cr_expect_eq(weft_map_open(node, &tree, "", &map), WEFT_INVALID);
    cr_expect_eq(weft_map_open(node, &tree, name, &map), WEFT_INVALID);
    cr_expect_eq(weft_map_open_at(node, &tree, DOC, &(weft_cut){&none, 1}, &map), WEFT_NOT_FOUND);
    cr_expect_null(map);
    weft_map_close(NULL);
    weft_map_edit_destroy(NULL);
    weft_map_edit_destroy(edit);
}

/* -- Histories that part and meet ------------------------------------------------------------------ */

static weft_id commit_above(const weft_id *parents, uint32_t count, const char *path,
                            uint64_t number)
{
    weft_map_edit *edit = new_edit();
    weft_buf *payload = NULL;
    weft_id id;
    set(edit, WEFT_MAP_PATH(path), weft_map_uint(number));
    set(edit, WEFT_MAP_PATH("last"), weft_map_uint(number));
    cr_assert_eq(weft_map_edit_encode(edit, &payload), WEFT_OK);
    cr_assert_eq(weft_commit_at(node, author, &tree, &(weft_cut){parents, count}, DOC,
                                weft_buf_bytes(payload), weft_buf_len(payload), WEFT_NEVER, &id),
                 WEFT_OK);
    weft_buf_unref(payload);
    weft_map_edit_destroy(edit);
    return id;
}

Test(map_api, two_that_create_one_store_have_made_one_map)
{
    weft_id both[2] = {commit_above(&tree, 1, "mine", 1), commit_above(&tree, 1, "yours", 2)};
    weft_map *map = open_map(DOC);
    cr_expect_eq(refresh(map), 2);
    bool second = weft_id_compare(&both[1], &both[0]) > 0; /* equal gens: the id decides */
    cr_expect_str_eq(leaves(map, NULL),
                     second ? "/last=2 /mine=1 /yours=2 " : "/last=1 /mine=1 /yours=2 ");
    weft_dag *dag = NULL;
    weft_id base;
    cr_assert_eq(weft_dag_open(node, &tree, DOC, &dag), WEFT_OK);
    cr_expect_eq(weft_dag_merge_base(dag, &(weft_cut){both, 2}, &base), WEFT_NOT_FOUND);
    weft_dag_close(dag);
    weft_id third = commit_one(WEFT_MAP_PATH("last"), 3); /* it has seen both */
    weft_iter *parents = NULL;
    weft_position position;
    cr_assert_eq(weft_dag_open(node, &tree, DOC, &dag), WEFT_OK);
    cr_assert_eq(weft_dag_parents(dag, &third, &parents), WEFT_OK);
    for (int i = 0; i < 2; i++) cr_expect_eq(weft_iter_next(parents, &position), WEFT_OK);
    cr_expect_eq(weft_iter_next(parents, &position), WEFT_END, "both are its parents in the store");
    weft_iter_close(parents);
    weft_dag_close(dag);
    cr_expect_eq(refresh(map), 1);
    cr_expect_str_eq(leaves(map, NULL), "/last=3 /mine=1 /yours=2 ");
    weft_map_close(map);
}

Test(map_api, a_map_at_a_cut_is_what_its_ancestors_make_and_stays_so)
{
    weft_id a = commit_above(&tree, 1, "a", 1), b = commit_above(&a, 1, "b", 2);
    weft_id c = commit_above(&a, 1, "c", 3), cuts[3] = {a, b, c};
    weft_map *maps[4];
    cr_assert_eq(weft_map_open_at(node, &tree, DOC, &(weft_cut){&b, 1}, &maps[0]), WEFT_OK);
    cr_assert_eq(weft_map_open_at(node, &tree, DOC, &(weft_cut){cuts, 3}, &maps[1]), WEFT_OK);
    cr_assert_eq(weft_map_open_at(node, &tree, DOC, &(weft_cut){&tree, 1}, &maps[2]), WEFT_OK);
    cr_assert_eq(weft_map_open_at(node, &tree, DOC, &(weft_cut){NULL, 0}, &maps[3]), WEFT_OK);
    weft_id both[2] = {b, c};
    commit_above(both, 2, "d", 4);
    for (int again = 0; again < 2; again++) {
        cr_expect_eq(refresh(maps[0]), again ? 0 : 2);
        cr_expect_str_eq(leaves(maps[0], NULL), "/a=1 /b=2 /last=2 ");
        cr_expect_eq(refresh(maps[1]), again ? 0 : 3);
        bool second = weft_id_compare(&c, &b) > 0;
        cr_expect_str_eq(leaves(maps[1], NULL),
                         second ? "/a=1 /b=2 /c=3 /last=3 " : "/a=1 /b=2 /c=3 /last=2 ");
        cr_expect_eq(refresh(maps[2]), 0);
        cr_expect_eq(refresh(maps[3]), 0);
        cr_expect_str_eq(leaves(maps[3], NULL), "");
    }
    for (int i = 0; i < 4; i++) weft_map_close(maps[i]);
}

/* -- What goes wrong ----------------------------------------------------------------------------------- */

Test(map_api, a_payload_that_is_none_is_skipped_and_counted)
{
    static const char set_and_end[] = "\x91\x93\x91\xa1\x61\x01\x05\x00";
    commit_one(WEFT_MAP_PATH("a"), 1);
    cr_assert_eq(weft_commit(writer, DOC, "hello", 5, WEFT_NEVER, NULL), WEFT_OK);
    cr_assert_eq(weft_commit(writer, DOC, NULL, 0, WEFT_NEVER, NULL), WEFT_OK);
    cr_assert_eq(weft_commit(writer, DOC, set_and_end, 8, WEFT_NEVER, NULL), WEFT_OK);
    weft_map *map = open_map(DOC);
    cr_expect_eq(refresh(map), 4);
    cr_expect_eq(info_of(map).skipped, 3);
    cr_expect_eq(info_of(map).entries, 1);
    cr_expect_str_eq(leaves(map, NULL), "/a=1 ");
    cr_assert_eq(weft_commit(writer, DOC, set_and_end, 7, WEFT_NEVER, NULL), WEFT_OK);
    cr_expect_eq(refresh(map), 1);
    cr_expect_str_eq(leaves(map, NULL), "/a=5 ");
    weft_map_close(map);
}

/* The body of an arrival, with one bit flipped. */
static void damage(uint64_t seq)
{
    uint8_t key[WF_KEY_SEQ_BYTES], body[1024];
    wf_kv *kv = wf_store_kv(node->table.wf_store);
    wf_value value;
    wf_batch *batch;
    wf_key_seq(key, 1, seq);
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, key, sizeof key, &value), WEFT_OK);
    size_t len = value.len;
    cr_assert_leq(len, sizeof body);
    memcpy(body, value.data, len);
    wf_value_release(kv, &value);
    body[len / 2] ^= 1;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, body, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(map_api, a_damaged_body_is_left_out_until_it_is_healed)
{
    weft_buf *whole = NULL;
    uint64_t read = 99;
    weft_log_to(quiet, NULL, WEFT_LOG_ERROR);
    commit_one(WEFT_MAP_PATH("a"), 1);
    weft_id id = commit_one(WEFT_MAP_PATH("b"), 2);
    commit_one(WEFT_MAP_PATH("c"), 3);
    cr_assert_eq(weft_get(node, &id, &whole), WEFT_OK);
    damage(3); /* the root, a, b */
    weft_map *map = open_map(DOC);
    for (int again = 0; again < 2; again++) {
        cr_expect_eq(weft_map_refresh(map, &read), WEFT_CORRUPT);
        cr_expect_eq(read, again ? 0 : 2);
        cr_expect_eq(info_of(map).damaged, 1);
        cr_expect_str_eq(leaves(map, NULL), "/a=1 /c=3 ");
    }
    cr_assert_eq(weft_add(node, &whole, 1, true, WEFT_NEVER, NULL), WEFT_OK);
    cr_expect_eq(refresh(map), 1);
    cr_expect_eq(info_of(map).damaged, 0);
    cr_expect_str_eq(leaves(map, NULL), "/a=1 /b=2 /c=3 ");
    weft_map_close(map);
    weft_buf_unref(whole);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

/* -- From inside an actor --------------------------------------------------------------------------------- */

static weft_err inside[3];
static weft_map *map_inside;

static weft_err try_inside(weft_self *self, void *state, void *arg)
{
    weft_map *map = NULL;
    weft_map_value got;
    (void)self;
    (void)state;
    (void)arg;
    inside[0] = weft_map_open(node, &tree, DOC, &map);
    inside[1] = weft_map_refresh(map_inside, NULL);
    inside[2] = weft_map_get(map_inside, WEFT_MAP_PATH("a"), &got);
    return WEFT_BUSY;
}

static weft_verdict ignore(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(map_api, what_waits_for_the_disk_is_refused_inside_an_actor)
{
    weft_rt *rt = NULL;
    weft_addr *addr = NULL;
    commit_one(WEFT_MAP_PATH("a"), 1);
    map_inside = open_map(DOC);
    refresh(map_inside);
    const weft_spec spec = {.name = "inside", .init = try_inside, .handle = ignore};
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_assert_eq(weft_spawn(rt, &spec, &addr), WEFT_BUSY);
    cr_expect_eq(inside[0], WEFT_DEADLK);
    cr_expect_eq(inside[1], WEFT_DEADLK);
    cr_expect_eq(inside[2], WEFT_OK);
    cr_assert_eq(weft_rt_stop(rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
    weft_map_close(map_inside);
}

/* -- Beside commits ------------------------------------------------------------------------------------------ */

enum { WRITERS = 3, EDITS = 60 };

static void *write_many(void *arg)
{
    uint32_t number = *(uint32_t *)arg;
    weft_writer *mine = NULL;
    weft_map_edit *edit = new_edit();
    cr_assert_eq(weft_writer_open(node, &tree, author, &mine), WEFT_OK);
    for (uint64_t i = 1; i <= EDITS; i++) {
        weft_map_edit_clear(edit);
        set(edit, WEFT_MAP_PATH("writers", names[number]), weft_map_uint(i));
        cr_assert_eq(weft_map_commit(mine, DOC, edit, WEFT_NEVER, NULL), WEFT_OK);
    }
    weft_writer_close(mine);
    weft_map_edit_destroy(edit);
    return NULL;
}

Test(map_api, threads_write_while_one_reads_and_nothing_goes_backwards)
{
    pthread_t threads[WRITERS];
    uint32_t numbers[WRITERS];
    uint64_t last[WRITERS] = {0}, read = 0, all = 0;
    weft_map *map = open_map(DOC);
    for (uint32_t i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
    }
    while (all < WRITERS * EDITS) {
        cr_assert_eq(weft_map_refresh(map, &read), WEFT_OK);
        all += read;
        for (uint32_t i = 0; i < WRITERS; i++) {
            weft_map_value got;
            if (weft_map_get(map, WEFT_MAP_PATH("writers", names[i]), &got) != WEFT_OK) continue;
            cr_assert_geq(got.as.uint, last[i]);
            last[i] = got.as.uint;
        }
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        cr_expect_eq(last[i], EDITS);
    }
    weft_map_close(map);
}
