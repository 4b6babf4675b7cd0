/* SPDX-License-Identifier: Apache-2.0
 * test_dag_api.c - the public questions about the history of a tree: answers and errors.
 * Called by: meson test. May touch: a memory node. Never: a real disk. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <weft/dag.h>

#include "alloc.h"
#include "dag_kit.h"

#define ENTRIES 31u

static weft_keypair *author;
static weft_node *node;
static struct dk *dk; /* diamonds: 0; 1 2 on it; 3 on both; 4 5 on 3; 6 on both; ... */

static struct dk *add_history(enum dk_shape shape, uint64_t seed)
{
    uint32_t applied = 0;
    struct dk *one = dk_create(shape, ENTRIES, WEFT_HEIGHT_INCREMENTAL, seed, true, true, author);
    cr_assert_eq(weft_tree_follow(node, &one->ids[0], NULL, 0, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_add(node, one->bufs, ENTRIES, true, WEFT_NEVER, &applied), WEFT_OK);
    cr_assert_eq(applied, ENTRIES);
    return one;
}

static void setup(void)
{
    author = kit_pair(1);
    cr_assert_eq(weft_node_open(NULL, &node), WEFT_OK);
    dk = add_history(DK_DIAMONDS, 4);
}

static void teardown(void)
{
    dk_destroy(dk);
    weft_node_close(node);
    weft_keypair_destroy(author);
}

TestSuite(dag_api, .init = setup, .fini = teardown);

static weft_dag *open_dag(const char *store)
{
    weft_dag *dag = NULL;
    weft_err err = weft_dag_open(node, &dk->ids[0], store, &dag);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return dag;
}

static uint32_t count_and_close(weft_iter *it)
{
    weft_position position;
    uint32_t count = 0;
    weft_err err;
    while ((err = weft_iter_next(it, &position)) == WEFT_OK || err == WEFT_AGAIN)
        count += err == WEFT_OK;
    cr_assert_eq(err, WEFT_END);
    weft_iter_close(it);
    return count;
}

Test(dag_api, every_query_gives_an_iterator)
{
    weft_dag *dag = open_dag(NULL);
    weft_iter *it;
    weft_position position;
    const weft_cut low = {&dk->ids[3], 1}, high = {&dk->ids[6], 1};
    cr_assert_eq(weft_dag_all(dag, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), ENTRIES);
    cr_assert_eq(weft_dag_below(dag, &low, &it), WEFT_OK);
    uint32_t below = 0, between = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        below += dk->below[0][3 * ENTRIES + i];
        between += dk->below[0][6 * ENTRIES + i] && !dk->below[0][3 * ENTRIES + i];
    }
    cr_expect_eq(count_and_close(it), below);
    cr_assert_eq(weft_dag_between(dag, &low, &high, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), between);
    cr_assert_eq(weft_dag_parents(dag, &dk->ids[6], &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), dk->tree[6].count);
    cr_assert_eq(weft_dag_tips(dag, &it), WEFT_OK);
    cr_expect_geq(count_and_close(it), 1);
    cr_assert_eq(weft_dag_place(dag, &dk->ids[7], &position), WEFT_OK);
    cr_expect(position.gen == dk->gens[7] && position.height == dk->heights[7] &&
              position.seq == 8);
    weft_dag_close(dag);
}

static weft_id commit_on(const weft_id *parents, uint32_t count, uint32_t payload)
{
    const weft_cut at = {parents, count};
    weft_id id;
    cr_assert_eq(weft_commit_at(node, author, &dk->ids[0], &at, "doc", &payload, sizeof payload,
                                WEFT_NEVER, &id),
                 WEFT_OK);
    return id;
}

Test(dag_api, parents_come_by_height_and_then_by_id)
{
    uint32_t inverted = 0;
    for (uint32_t i = 0; i < 12; i++) {
        weft_id low = commit_on(&dk->ids[0], 1, 3 * i),
                other = commit_on(&dk->ids[0], 1, 3 * i + 1);
        weft_id high = commit_on(&other, 1, 3 * i + 2);
        weft_id join = commit_on((weft_id[]){high, low}, 2, i);
        inverted += weft_id_compare(&low, &high) > 0;
        for (int k = 0; k < 2; k++) {
            weft_dag *dag = open_dag(k == 0 ? NULL : "doc");
            weft_position first, second, none;
            weft_iter *it;
            cr_assert_eq(weft_dag_parents(dag, &join, &it), WEFT_OK);
            cr_assert_eq(weft_iter_next(it, &first), WEFT_OK);
            cr_assert_eq(weft_iter_next(it, &second), WEFT_OK);
            cr_expect(weft_id_equal(&first.id, &low) && first.height == 1);
            cr_expect(weft_id_equal(&second.id, &high) && second.height == 2);
            cr_expect_eq(weft_iter_next(it, &none), WEFT_END);
            weft_iter_close(it);
            weft_dag_close(dag);
        }
    }
    cr_assert(inverted > 0 && inverted < 12, "ids alone would not have told");
}

Test(dag_api, a_store_shows_only_what_writes_it)
{
    weft_dag *dag = open_dag(DK_DOC);
    weft_iter *it;
    weft_position position;
    uint32_t writers = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        writers += dk->writes[i];
        cr_expect_eq(weft_dag_place(dag, &dk->ids[i], &position),
                     dk->writes[i] ? WEFT_OK : WEFT_NOT_FOUND);
    }
    cr_assert_eq(weft_dag_all(dag, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), writers);
    weft_dag_close(dag);
    dag = open_dag("never written");
    cr_assert_eq(weft_dag_all(dag, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 0);
    weft_dag_close(dag);
}

Test(dag_api, a_view_does_not_see_what_comes_later)
{
    weft_dag *dag = open_dag(NULL);
    weft_iter *it;
    weft_writer *writer;
    weft_position position;
    weft_id id;
    cr_assert_eq(weft_writer_open(node, &dk->ids[0], author, &writer), WEFT_OK);
    cr_assert_eq(weft_commit(writer, DK_DOC, "x", 1, WEFT_NEVER, &id), WEFT_OK);
    weft_writer_close(writer);
    cr_expect_eq(weft_dag_place(dag, &id, &position), WEFT_NOT_FOUND);
    cr_assert_eq(weft_dag_all(dag, &it), WEFT_OK);
    weft_dag_close(dag); /* the iterator keeps what it needs */
    cr_expect_eq(count_and_close(it), ENTRIES);
    dag = open_dag(NULL);
    cr_expect_eq(weft_dag_place(dag, &id, &position), WEFT_OK);
    weft_dag_close(dag);
}

Test(dag_api, an_iterator_gives_the_bytes_of_its_last_entry)
{
    weft_dag *dag = open_dag(NULL);
    weft_iter *it;
    weft_position position;
    weft_buf *buf = NULL;
    cr_assert_eq(weft_dag_all(dag, &it), WEFT_OK);
    cr_expect_eq(weft_iter_entry(it, &buf), WEFT_INVALID);
    for (uint32_t n = 0; n < 5; n++) {
        cr_assert_eq(weft_iter_next(it, &position), WEFT_OK);
        cr_assert_eq(weft_iter_entry(it, &buf), WEFT_OK);
        const weft_buf *want = dk->bufs[dk_find(dk, &position.id)];
        cr_assert_eq(weft_buf_len(buf), weft_buf_len(want));
        cr_expect_eq(memcmp(weft_buf_bytes(buf), weft_buf_bytes(want), weft_buf_len(buf)), 0);
        weft_buf_unref(buf);
    }
    weft_iter_close(it);
    weft_dag_close(dag);
}

Test(dag_api, refuses_what_is_unknown_or_foreign)
{
    struct dk *other = add_history(DK_CHAIN, 9);
    weft_dag *dag = open_dag(NULL), *none = NULL;
    weft_iter *it = NULL;
    weft_position position;
    weft_id nowhere = kit_id(7);
    weft_id mixed[] = {dk->ids[1], nowhere}, foreign[] = {other->ids[1], dk->ids[1]};
    const weft_cut lost = {mixed, 2}, strange = {foreign, 2}, empty = {NULL, 0};
    char name[WEFT_STORE_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    cr_expect_eq(weft_dag_open(node, &nowhere, NULL, &none), WEFT_TREE);
    cr_expect_eq(weft_dag_open(node, &dk->ids[0], name, &none), WEFT_INVALID);
    cr_expect_eq(weft_dag_open(node, &dk->ids[0], "", &none), WEFT_INVALID);
    cr_expect_null(none);
    cr_expect_eq(weft_dag_place(dag, &nowhere, &position), WEFT_NOT_FOUND);
    cr_expect_eq(weft_dag_place(dag, &other->ids[1], &position), WEFT_TREE);
    cr_expect_eq(weft_dag_parents(dag, &nowhere, &it), WEFT_NOT_FOUND);
    cr_expect_eq(weft_dag_below(dag, &lost, &it), WEFT_NOT_FOUND);
    cr_expect_eq(weft_dag_below(dag, &strange, &it), WEFT_TREE);
    cr_expect_eq(weft_dag_below(dag, &(weft_cut){NULL, 1}, &it), WEFT_INVALID);
    cr_expect_eq(weft_dag_below(dag, &(weft_cut){mixed, WEFT_DAG_CUT_MAX + 1}, &it), WEFT_LIMIT);
    cr_expect_eq(weft_dag_between(dag, &lost, &empty, &it), WEFT_NOT_FOUND);
    cr_expect_eq(weft_dag_between(dag, &empty, &strange, &it), WEFT_TREE);
    cr_expect_null(it);
    weft_dag_close(dag);
    dk_destroy(other);
}

/* -- Reachability --------------------------------------------------------------------------------- */

static weft_reach reaches(weft_dag *dag, const weft_cut *from, const weft_cut *targets)
{
    weft_reach out = WEFT_REACH_UNKNOWN;
    weft_err err;
    do err = weft_dag_reaches(dag, from, targets, &out, NULL, NULL);
    while (err == WEFT_AGAIN);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return out;
}

Test(dag_api, reachability_has_three_answers)
{
    weft_dag *dag = open_dag(NULL);
    weft_id sides[] = {dk->ids[1], dk->ids[2]}, lost[] = {kit_id(9), dk->ids[1], kit_id(8)};
    const weft_cut both = {sides, 2}, one = {sides, 1}, joined = {&dk->ids[3], 1};
    const weft_cut empty = {NULL, 0}, unknown = {lost, 3};
    weft_id missing[4];
    size_t count = 1;
    weft_reach out;
    cr_expect_eq(reaches(dag, &joined, &both), WEFT_REACH_YES);
    cr_expect_eq(reaches(dag, &one, &both), WEFT_REACH_NO);
    cr_expect_eq(reaches(dag, &one, &joined), WEFT_REACH_NO);
    cr_expect_eq(reaches(dag, &both, &both), WEFT_REACH_YES);
    cr_expect_eq(reaches(dag, &empty, &empty), WEFT_REACH_YES);
    cr_expect_eq(reaches(dag, &one, &empty), WEFT_REACH_YES);
    cr_expect_eq(reaches(dag, &empty, &one), WEFT_REACH_NO);
    cr_assert_eq(weft_dag_reaches(dag, &joined, &unknown, &out, missing, &count), WEFT_OK);
    cr_expect_eq(out, WEFT_REACH_UNKNOWN);
    cr_expect_eq(count, 2, "both are told, though there was room for one");
    cr_expect(weft_id_equal(&missing[0], &lost[2]), "the lowest id comes first");
    cr_assert_eq(weft_dag_reaches(dag, &unknown, &one, &out, NULL, NULL), WEFT_OK);
    cr_expect_eq(out, WEFT_REACH_UNKNOWN);
    weft_dag_close(dag);
}

Test(dag_api, a_question_goes_on_when_it_is_repeated_and_another_begins_anew)
{
    weft_dag *dag = open_dag(NULL);
    const weft_cut top = {&dk->ids[30], 1}, root = {&dk->ids[0], 1}, side = {&dk->ids[29], 1};
    weft_reach out = WEFT_REACH_UNKNOWN;
    uint32_t calls = 0;
    weft_dag_budget(dag, 2);
    cr_expect_eq(weft_dag_reaches(dag, &top, &root, &out, NULL, NULL), WEFT_AGAIN);
    cr_expect_eq(out, WEFT_REACH_UNKNOWN);
    cr_expect_eq(reaches(dag, &side, &top), WEFT_REACH_NO);
    while (weft_dag_reaches(dag, &top, &root, &out, NULL, NULL) == WEFT_AGAIN) calls++;
    cr_expect_eq(out, WEFT_REACH_YES);
    cr_expect_gt(calls, 5);
    weft_dag_budget(dag, 0);
    cr_expect_eq(weft_dag_reaches(dag, &top, &root, &out, NULL, NULL), WEFT_OK);
    weft_dag_close(dag);
}

/* -- Bases, paths and past tips -------------------------------------------------------------------- */

Test(dag_api, a_merge_base_is_passed_by_every_way)
{
    weft_dag *dag = open_dag(NULL);
    weft_id sides[] = {dk->ids[2], dk->ids[1], dk->ids[2]}, got, foreign = kit_id(3);
    weft_iter *it;
    const weft_cut both = {sides, 3}, one = {sides, 1}, none = {NULL, 0}, lost = {&foreign, 1};
    cr_assert_eq(weft_dag_merge_base(dag, &both, &got), WEFT_OK);
    cr_expect(weft_id_equal(&got, &dk->ids[0]));
    cr_assert_eq(weft_dag_merge_base(dag, &one, &got), WEFT_OK);
    cr_expect(weft_id_equal(&got, &dk->ids[2]), "of one entry it is that entry");
    cr_expect_eq(weft_dag_merge_base(dag, &none, &got), WEFT_INVALID);
    cr_expect_eq(weft_dag_merge_base(dag, &lost, &got), WEFT_NOT_FOUND);
    cr_expect(weft_id_equal(&got, &dk->ids[2]), "it changes only on success");
    cr_expect_eq(weft_dag_path(dag, &foreign, &both, &it), WEFT_NOT_FOUND);
    cr_expect_eq(weft_dag_path(dag, &dk->ids[0], &lost, &it), WEFT_NOT_FOUND);
    cr_expect_eq(weft_dag_tips_at(dag, &lost, &it), WEFT_NOT_FOUND);
    weft_dag_close(dag);
}

Test(dag_api, a_merge_base_goes_on_when_it_is_asked_for_again_and_another_begins_anew)
{
    weft_dag *dag = open_dag(NULL);
    const weft_id many[] = {dk->ids[30], dk->ids[29], dk->ids[28], dk->ids[27],
                            dk->ids[26], dk->ids[25], dk->ids[2],  dk->ids[1]};
    const weft_cut far = {many, 8}, near = {&dk->ids[28], 2};
    weft_id got, far_base;
    uint32_t calls = 1;
    weft_dag_budget(dag, 1);
    cr_expect_eq(weft_dag_merge_base(dag, &far, &got), WEFT_AGAIN);
    weft_err err;
    do err = weft_dag_merge_base(dag, &near, &got);
    while (err == WEFT_AGAIN);
    cr_expect_eq(err, WEFT_OK);
    while ((err = weft_dag_merge_base(dag, &far, &far_base)) == WEFT_AGAIN) calls++;
    cr_expect_eq(err, WEFT_OK);
    cr_expect(weft_id_equal(&far_base, &dk->ids[0]));
    cr_expect_not(weft_id_equal(&got, &far_base));
    cr_expect_gt(calls, 5);
    weft_dag_close(dag);
}

Test(dag_api, a_path_has_both_sides_of_a_diamond)
{
    weft_dag *dag = open_dag(NULL);
    weft_iter *it;
    const weft_cut top = {&dk->ids[3], 1}, none = {NULL, 0};
    cr_assert_eq(weft_dag_path(dag, &dk->ids[0], &top, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 3, "1, 2 and 3");
    cr_assert_eq(weft_dag_path(dag, NULL, &top, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 4, "from the empty base the root too");
    cr_assert_eq(weft_dag_path(dag, &dk->ids[3], &top, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 0);
    cr_assert_eq(weft_dag_path(dag, &dk->ids[0], &none, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 0);
    weft_dag_close(dag);
}

/* Two writers who did not know of each other begin the store "two" on 1 and on 2. */
Test(dag_api, a_store_that_begins_twice_has_the_empty_base)
{
    weft_id ids[2], got;
    for (uint32_t i = 0; i < 2; i++) {
        weft_store_part part = {.name = "two", .payload = "x", .payload_len = 1};
        weft_entry_spec spec = {.tree = dk->ids[0],
                                .parents = &dk->ids[1 + i],
                                .parents_count = 1,
                                .height = dk->heights[1 + i] + 1,
                                .stores = &part,
                                .stores_count = 1};
        weft_buf *buf;
        uint32_t applied = 0;
        cr_assert_eq(weft_entry_build(&spec, author, &buf, &ids[i]), WEFT_OK);
        cr_assert_eq(weft_add(node, &buf, 1, true, WEFT_NEVER, &applied), WEFT_OK);
        cr_assert_eq(applied, 1);
        weft_buf_unref(buf);
    }
    weft_dag *dag = open_dag("two");
    weft_iter *it;
    const weft_cut both = {ids, 2}, below = {&dk->ids[30], 1}, side = {&ids[1], 1};
    cr_expect_eq(weft_dag_merge_base(dag, &both, &got), WEFT_NOT_FOUND);
    cr_assert_eq(weft_dag_path(dag, NULL, &both, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 2);
    cr_assert_eq(weft_dag_tips_at(dag, &below, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 0, "nobody had written it there");
    cr_assert_eq(weft_dag_tips_at(dag, &side, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 1);
    weft_dag_close(dag);
}

/* -- Commits at chosen parents --------------------------------------------------------------------- */

/* Each time with another payload. */
static weft_err commit_at(const weft_id *ids, uint32_t count, const char *store, weft_id *out)
{
    static uint32_t times;
    const weft_cut cut = {ids, count};
    times++;
    return weft_commit_at(node, author, &dk->ids[0], &cut, store, &times, sizeof times, WEFT_NEVER,
                          out);
}

/* The parents of an entry, in the tree or in a store, in order. */
static uint32_t parents_of(const char *store, const weft_id *id, weft_id *out, uint32_t room)
{
    weft_dag *dag = open_dag(store);
    weft_iter *it;
    weft_position position;
    uint32_t count = 0;
    cr_assert_eq(weft_dag_parents(dag, id, &it), WEFT_OK);
    while (weft_iter_next(it, &position) == WEFT_OK) {
        cr_assert_lt(count, room);
        out[count++] = position.id;
    }
    weft_iter_close(it);
    weft_dag_close(dag);
    return count;
}

Test(dag_api, a_commit_stands_on_the_parents_that_were_chosen)
{
    weft_id sides[] = {dk->ids[2], dk->ids[1], dk->ids[2]}, got[4], id;
    weft_position position;
    cr_assert_eq(commit_at(sides, 3, "new", &id), WEFT_OK);
    cr_expect_eq(parents_of(NULL, &id, got, 4), 2);
    cr_expect(weft_id_equal(&got[0], &dk->ids[1]) || weft_id_equal(&got[1], &dk->ids[1]));
    cr_expect(weft_id_equal(&got[0], &dk->ids[2]) || weft_id_equal(&got[1], &dk->ids[2]));
    cr_expect_eq(parents_of("new", &id, got, 4), 0, "the store begins with it");
    weft_dag *dag = open_dag(NULL);
    cr_assert_eq(weft_dag_place(dag, &id, &position), WEFT_OK);
    cr_expect_eq(position.gen, position.height);
    weft_dag_close(dag);
}

Test(dag_api, a_commit_follows_in_its_store_what_lies_below_its_parents_only)
{
    weft_id first, left, right, other, joined, got[4];
    cr_assert_eq(commit_at(&dk->ids[3], 1, "new", &first), WEFT_OK);
    cr_assert_eq(commit_at(&first, 1, "new", &left), WEFT_OK);
    cr_assert_eq(commit_at(&first, 1, "new", &right), WEFT_OK);
    cr_assert_eq(parents_of("new", &right, got, 4), 1);
    cr_expect(weft_id_equal(&got[0], &first), "not the tip beside it");
    cr_assert_eq(commit_at(&left, 1, "else", &other), WEFT_OK);
    cr_assert_eq(commit_at((weft_id[]){other, right}, 2, "new", &joined), WEFT_OK);
    cr_assert_eq(parents_of("new", &joined, got, 4), 2);
    cr_expect(weft_id_equal(&got[0], &left) || weft_id_equal(&got[1], &left));
    cr_expect(weft_id_equal(&got[0], &right) || weft_id_equal(&got[1], &right));
}

Test(dag_api, the_same_commit_at_the_same_parents_is_one_entry)
{
    const weft_cut cut = {&dk->ids[5], 1};
    weft_id one, again;
    cr_assert_eq(weft_commit_at(node, author, &dk->ids[0], &cut, "new", "x", 1, WEFT_NEVER, &one),
                 WEFT_OK);
    cr_assert_eq(weft_commit_at(node, author, &dk->ids[0], &cut, "new", "x", 1, WEFT_NEVER, &again),
                 WEFT_OK);
    cr_expect(weft_id_equal(&one, &again));
    weft_dag *dag = open_dag("new");
    weft_iter *it;
    cr_assert_eq(weft_dag_all(dag, &it), WEFT_OK);
    cr_expect_eq(count_and_close(it), 1);
    weft_dag_close(dag);
}

Test(dag_api, a_commit_at_parents_by_timestamp_is_higher_than_they)
{
    uint32_t applied = 0;
    struct dk *timed = dk_create(DK_WIDE, ENTRIES, WEFT_HEIGHT_TIMESTAMP, 77, true, false, author);
    weft_dag *dag;
    weft_position position;
    weft_id id;
    const weft_cut cut = {&timed->ids[9], 3};
    cr_assert_eq(weft_tree_follow(node, &timed->ids[0], NULL, 0, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_add(node, timed->bufs, ENTRIES, true, WEFT_NEVER, &applied), WEFT_OK);
    cr_assert_eq(
        weft_commit_at(node, author, &timed->ids[0], &cut, DK_DOC, "x", 1, WEFT_NEVER, &id),
        WEFT_OK);
    cr_assert_eq(weft_dag_open(node, &timed->ids[0], NULL, &dag), WEFT_OK);
    cr_assert_eq(weft_dag_place(dag, &id, &position), WEFT_OK);
    for (uint32_t i = 9; i < 12; i++) cr_expect_gt(position.height, timed->heights[i]);
    weft_dag_close(dag);
    dk_destroy(timed);
}

Test(dag_api, a_commit_at_parents_refuses_what_cannot_be_its_ground)
{
    struct dk *other = add_history(DK_CHAIN, 9);
    weft_id nowhere = kit_id(7), id = nowhere, many[WEFT_ENTRY_PARENTS_MAX + 1];
    const weft_cut root = {&dk->ids[0], 1};
    cr_expect_eq(commit_at(dk->ids, 0, "new", &id), WEFT_INVALID);
    cr_expect_eq(commit_at(NULL, 1, "new", &id), WEFT_INVALID);
    cr_expect_eq(commit_at(dk->ids, 1, "_settings", &id), WEFT_INVALID);
    cr_expect_eq(commit_at(dk->ids, 1, "", &id), WEFT_INVALID);
    cr_expect_eq(commit_at((weft_id[]){dk->ids[1], nowhere}, 2, "new", &id), WEFT_NOT_FOUND);
    cr_expect_eq(commit_at(&other->ids[1], 1, "new", &id), WEFT_TREE);
    cr_expect_eq(weft_commit_at(node, author, &nowhere, &root, "new", "x", 1, WEFT_NEVER, &id),
                 WEFT_TREE);
    for (uint32_t i = 0; i <= WEFT_ENTRY_PARENTS_MAX; i++)
        cr_assert_eq(commit_at(&dk->ids[0], 1, "many", &many[i]), WEFT_OK);
    cr_expect_eq(commit_at(many, WEFT_ENTRY_PARENTS_MAX + 1, "new", &id), WEFT_LIMIT);
    cr_expect(weft_id_equal(&id, &nowhere), "it changes only on success");
    cr_expect_eq(commit_at(many, WEFT_ENTRY_PARENTS_MAX, "new", &id), WEFT_OK);
    dk_destroy(other);
}

/* Too much payload, which is noticed last on this side: the store has no part in it. */
Test(dag_api, a_commit_at_parents_answers_no_memory_at_each_of_its_allocations)
{
    static uint8_t payload[WEFT_ENTRY_BYTES_MAX];
    const weft_cut cut = {&dk->ids[28], 3};
    weft_id id;
    weft_err err = WEFT_NO_MEMORY;
    uint64_t nth = 0;
    while (err == WEFT_NO_MEMORY && nth < 500) {
        (void)wf_alloc_fail_at(++nth, 1);
        err = weft_commit_at(node, author, &dk->ids[0], &cut, DK_DOC, payload, sizeof payload,
                             WEFT_NEVER, &id);
        (void)wf_alloc_fail_at(0, 0);
    }
    cr_expect_eq(err, WEFT_LIMIT, "%s after %lu", weft_errname(err), (unsigned long)nth);
    cr_expect_gt(nth, 20);
}

Test(dag_api, more_tips_of_a_store_than_an_entry_may_name_leave_the_lowest)
{
    weft_id tips[WEFT_ENTRY_PARENTS_MAX + 1], low, high, id;
    weft_id got[WEFT_ENTRY_PARENTS_MAX];
    cr_assert_eq(commit_at(&dk->ids[0], 1, "many", &low), WEFT_OK);
    for (uint32_t i = 0; i < WEFT_ENTRY_PARENTS_MAX; i++)
        cr_assert_eq(commit_at(&dk->ids[30], 1, "many", &tips[i]), WEFT_OK);
    cr_assert_eq(commit_at((weft_id[]){low, tips[0]}, 2, "else", &high), WEFT_OK);
    tips[0] = high; /* low and tips[0] lie below it */
    cr_assert_eq(commit_at(tips, WEFT_ENTRY_PARENTS_MAX, "many", &id), WEFT_OK);
    cr_expect_eq(parents_of("many", &id, got, WEFT_ENTRY_PARENTS_MAX), WEFT_ENTRY_PARENTS_MAX);
    for (uint32_t i = 0; i < WEFT_ENTRY_PARENTS_MAX; i++)
        cr_expect_not(weft_id_equal(&got[i], &low));
}

Test(dag_api, roots_are_those_of_all_trees_by_id)
{
    struct dk *others[3];
    weft_iter *it;
    weft_position position, last;
    weft_id rootless = kit_id(5);
    weft_buf *buf;
    uint32_t count = 0;
    for (uint64_t i = 0; i < 3; i++) others[i] = add_history(DK_CHAIN, 20 + i);
    cr_assert_eq(weft_tree_follow(node, &rootless, NULL, 0, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_roots(node, &it), WEFT_OK);
    for (; weft_iter_next(it, &position) == WEFT_OK; count++) {
        cr_expect(count == 0 || weft_id_compare(&position.id, &last.id) > 0);
        cr_expect(position.gen == 0 && position.height == 0 && position.seq == 1);
        last = position;
        cr_assert_eq(weft_iter_entry(it, &buf), WEFT_OK);
        weft_buf_unref(buf);
    }
    cr_expect_eq(count, 4);
    weft_iter_close(it);
    for (int i = 0; i < 3; i++) dk_destroy(others[i]);
}
