/* SPDX-License-Identifier: Apache-2.0
 * test_grants.c - the public calls that change and show who may do what in a tree, on one node.
 * Called by: the test runner. May touch: a node in memory, on threads of its own.
 * Never: a peer (test_access.c has those), a disk. */
#include <criterion/criterion.h>
#include <string.h>

#include <weft/access.h>
#include <weft/dag.h>

#include "alloc.h"
#include "entry_kit.h"
#include "lone.h"

#define CALL (60 * WEFT_SEC)
#define ROOT_PATHS 2u /* of the settings of a root: the author's grant and everyone's */

static struct lone l;
static weft_keypair *pairs[4]; /* [0] is nobody's until it is granted something */
static weft_key keys[4], owner;

static void setup(void)
{
    lone_open(&l, NULL, NULL);
    weft_keypair_public(l.author, &owner);
    for (uint8_t i = 0; i < 4; i++) {
        pairs[i] = kit_pair((uint8_t)(i + 20));
        weft_keypair_public(pairs[i], &keys[i]);
    }
}

static void teardown(void)
{
    for (int i = 0; i < 4; i++) weft_keypair_destroy(pairs[i]);
    lone_close(&l);
}

TestSuite(grants, .init = setup, .fini = teardown);

static weft_grant of(int key, weft_right right, uint32_t priority)
{
    return (weft_grant){.key = keys[key], .right = right, .priority = priority};
}

static weft_err put(const weft_keypair *admin, const weft_grant *grants, uint32_t count)
{
    return weft_grant_put(l.node, &l.tree, admin, grants, count, CALL, NULL);
}

static weft_err put_one(const weft_keypair *admin, weft_grant grant)
{
    return put(admin, &grant, 1);
}

static weft_err writes(int key)
{
    weft_id tips[8];
    size_t count = 8;
    cr_assert_eq(weft_tree_tips(l.node, &l.tree, tips, &count), WEFT_OK);
    return weft_commit_at(l.node, pairs[key], &l.tree, &(weft_cut){tips, (uint32_t)count}, "log",
                          "x", 1, CALL, NULL);
}

static void expect_right(int key, weft_right right, uint32_t priority)
{
    weft_right now = WEFT_RIGHT_ADMIN;
    uint32_t strength = 77;
    cr_assert_eq(weft_right_of(l.node, &l.tree, &keys[key], &now, &strength), WEFT_OK);
    cr_expect_eq(now, right, "key %d: %d", key, (int)now);
    cr_expect_eq(strength, priority, "key %d: %d", key, (int)strength);
    cr_expect_eq(weft_right_of(l.node, &l.tree, &keys[key], &now, NULL), WEFT_OK);
}

/* The grant of a key as it is listed; false: it is not. */
static bool listed(int key, weft_grant *out)
{
    weft_grant list[16];
    size_t count = 16;
    cr_assert_eq(weft_grant_list(l.node, &l.tree, list, &count), WEFT_OK);
    for (size_t i = 0; i < count; i++) {
        if (list[i].everyone || !weft_key_equal(&list[i].key, &keys[key])) continue;
        *out = list[i];
        return true;
    }
    return false;
}

static uint64_t arrivals(void)
{
    weft_tree_info info;
    cr_assert_eq(weft_tree_info_get(l.node, &l.tree, &info), WEFT_OK);
    return info.arrivals;
}

/* -- What is said ------------------------------------------------------------------------------ */

Test(grants, a_key_may_do_what_was_granted_until_it_is_revoked)
{
    expect_right(1, WEFT_RIGHT_WRITE, 10); /* everyone's */
    cr_expect_eq(writes(1), WEFT_OK);
    cr_assert_eq(put_one(l.author, of(1, WEFT_RIGHT_ADMIN, 4)), WEFT_OK);
    expect_right(1, WEFT_RIGHT_ADMIN, 4);
    cr_expect_eq(put_one(pairs[1], of(2, WEFT_RIGHT_WRITE, 6)), WEFT_OK);
    expect_right(2, WEFT_RIGHT_WRITE, 6);
    cr_assert_eq(put_one(l.author, of(1, WEFT_RIGHT_NONE, 4)), WEFT_OK);
    expect_right(1, WEFT_RIGHT_NONE, 0);
    cr_expect_eq(writes(1), WEFT_FORBIDDEN);
    cr_expect_eq(put_one(pairs[1], of(3, WEFT_RIGHT_READ, 0)), WEFT_FORBIDDEN);
    cr_expect_eq(writes(2), WEFT_OK);
}

Test(grants, one_entry_says_all_of_it_in_whatever_order)
{
    weft_grant grants[4] = {of(3, WEFT_RIGHT_WRITE, 7),
                            of(1, WEFT_RIGHT_READ, 99),
                            {.everyone = true, .right = WEFT_RIGHT_NONE},
                            of(2, WEFT_RIGHT_ADMIN, 1)},
               got;
    strcpy(grants[0].name, "Zo\xc3\xab");
    memset(grants[1].name, 'n', WEFT_KEY_NAME_BYTES_MAX);
    const uint64_t before = arrivals();
    weft_id id;
    cr_assert_eq(weft_grant_put(l.node, &l.tree, l.author, grants, 4, CALL, &id), WEFT_OK);
    cr_expect_eq(arrivals(), before + 1);
    weft_buf *entry = NULL;
    cr_expect_eq(weft_get(l.node, &id, &entry), WEFT_OK, "it is the entry");
    weft_buf_unref(entry);
    expect_right(0, WEFT_RIGHT_NONE, 0);
    for (int key = 1; key < 4; key++) cr_assert(listed(key, &got), "key %d", key);
    cr_expect_str_eq(got.name, "Zo\xc3\xab");
    cr_expect(got.right == WEFT_RIGHT_WRITE && got.priority == 7 && !got.revoked);
    cr_assert(listed(1, &got));
    cr_expect(got.right == WEFT_RIGHT_READ && got.priority == 0);
    cr_expect_str_eq(got.name, grants[1].name);
    /* Without a name the one that there is stays. */
    cr_assert_eq(put_one(l.author, of(3, WEFT_RIGHT_NONE, 0)), WEFT_OK);
    cr_assert(listed(3, &got));
    cr_expect(got.revoked);
    cr_expect_str_eq(got.name, "Zo\xc3\xab");
}

Test(grants, a_list_that_does_not_fit_says_how_long_it_is)
{
    weft_grant list[3];
    size_t count = 0;
    cr_assert_eq(put_one(l.author, of(1, WEFT_RIGHT_READ, 0)), WEFT_OK);
    cr_expect_eq(weft_grant_list(l.node, &l.tree, NULL, &count), WEFT_LIMIT);
    cr_expect_eq(count, ROOT_PATHS + 1);
    cr_assert_eq(weft_grant_list(l.node, &l.tree, list, &count), WEFT_OK);
    cr_expect(list[0].everyone && list[0].right == WEFT_RIGHT_WRITE && list[0].priority == 10);
    cr_expect_lt(weft_key_compare(&list[1].key, &list[2].key), 0);
}

/* -- Another key in the place of one ------------------------------------------------------------- */

Test(grants, a_key_that_was_rotated_hands_on_what_it_had_and_is_revoked)
{
    weft_grant first = of(1, WEFT_RIGHT_ADMIN, 3), got;
    strcpy(first.name, "desk");
    cr_assert_eq(put(l.author, &first, 1), WEFT_OK);
    const uint64_t before = arrivals();
    cr_assert_eq(weft_grant_replace(l.node, &l.tree, pairs[1], &keys[1], &keys[2], CALL, NULL),
                 WEFT_OK, "it may do so itself");
    cr_expect_eq(arrivals(), before + 1, "in one entry");
    expect_right(2, WEFT_RIGHT_ADMIN, 3);
    expect_right(1, WEFT_RIGHT_NONE, 0);
    cr_assert(listed(2, &got));
    cr_expect_str_eq(got.name, "desk");
    cr_assert(listed(1, &got));
    cr_expect(got.revoked);
}

Test(grants, only_what_a_key_was_granted_itself_is_handed_on)
{
    weft_id other = kit_id(9);
#define REPLACE(tree, admin, a, b) weft_grant_replace(l.node, tree, admin, a, b, CALL, NULL)
    cr_expect_eq(REPLACE(&l.tree, l.author, &keys[1], &keys[2]), WEFT_NOT_FOUND);
    cr_assert_eq(put_one(l.author, of(1, WEFT_RIGHT_NONE, 0)), WEFT_OK);
    cr_expect_eq(REPLACE(&l.tree, l.author, &keys[1], &keys[2]), WEFT_NOT_FOUND);
    cr_expect_eq(REPLACE(&l.tree, l.author, &keys[1], &keys[1]), WEFT_INVALID);
    cr_expect_eq(REPLACE(&other, l.author, &keys[1], &keys[2]), WEFT_TREE);
    cr_expect_eq(REPLACE(&l.tree, l.author, &owner, &keys[2]), WEFT_FORBIDDEN);
    expect_right(2, WEFT_RIGHT_WRITE, 10);
}

/* -- What counts ----------------------------------------------------------------------------------- */

static bool counts(const weft_id *entry)
{
    bool out = false;
    weft_err err = weft_entry_counts(l.node, entry, &out);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return out;
}

static weft_id write_on(int key, const weft_id *below)
{
    static uint32_t number; /* two equal ones would be one */
    weft_id id;
    number++;
    cr_assert_eq(weft_commit_at(l.node, pairs[key], &l.tree, &(weft_cut){below, 1}, "log", &number,
                                sizeof number, CALL, &id),
                 WEFT_OK);
    return id;
}

Test(grants, what_a_revoked_key_writes_beside_that_does_not_count)
{
    const weft_grant none = of(1, WEFT_RIGHT_NONE, 0), again = of(1, WEFT_RIGHT_WRITE, 3);
    weft_id granted, nowhere = kit_id(9);
    bool out = true;
    weft_id before = write_on(1, &l.tree), beside = write_on(1, &before);
    cr_expect(counts(&before) && counts(&beside), "nobody is revoked");
    lone_commit(&l, 1, NULL);
    cr_assert_eq(weft_grant_put(l.node, &l.tree, l.author, &none, 1, CALL, NULL), WEFT_OK);
    weft_id late = write_on(1, &before), other = write_on(2, &before);
    cr_expect(counts(&before) && counts(&beside), "they were in sight");
    cr_expect_not(counts(&late));
    cr_expect(counts(&other) && counts(&l.tree));
    cr_assert_eq(weft_grant_put(l.node, &l.tree, l.author, &again, 1, CALL, &granted), WEFT_OK);
    weft_id after = write_on(1, &granted);
    cr_expect(counts(&after));
    cr_expect_not(counts(&late));
    cr_expect_eq(weft_entry_counts(l.node, &nowhere, &out), WEFT_NOT_FOUND);
    cr_expect_eq(weft_entry_counts(l.node, NULL, &out), WEFT_INVALID);
    cr_expect_eq(weft_entry_counts(l.node, &l.tree, NULL), WEFT_INVALID);
}

/* -- What is refused ------------------------------------------------------------------------------ */

Test(grants, what_cannot_be_said_changes_nothing)
{
    weft_grant full = of(1, WEFT_RIGHT_READ, 0), no_text = full, named = full;
    memset(full.name, 'n', sizeof full.name);
    strcpy(no_text.name, "\xff");
    strcpy(named.name, "all");
    named.everyone = true;
    const weft_grant twice[2] = {of(1, WEFT_RIGHT_READ, 0), of(1, WEFT_RIGHT_WRITE, 3)};
    const weft_grant all_admins = {.everyone = true, .right = WEFT_RIGHT_ADMIN};
    const weft_grant more = of(1, (weft_right)(WEFT_RIGHT_ADMIN + 1), 0);
    const uint64_t before = arrivals();
    cr_expect_eq(put(l.author, &full, 1), WEFT_INVALID);
    cr_expect_eq(put(l.author, &no_text, 1), WEFT_INVALID);
    cr_expect_eq(put(l.author, &named, 1), WEFT_INVALID);
    cr_expect_eq(put(l.author, twice, 2), WEFT_INVALID);
    cr_expect_eq(put(l.author, &all_admins, 1), WEFT_INVALID);
    cr_expect_eq(put(l.author, &more, 1), WEFT_INVALID);
    cr_expect_eq(put(l.author, twice, 0), WEFT_INVALID);
    cr_expect_eq(put(l.author, NULL, 1), WEFT_INVALID);
    cr_expect_eq(put(NULL, twice, 1), WEFT_INVALID);
    cr_expect_eq(put(l.author, twice, WEFT_MAP_OPS_MAX + 1), WEFT_LIMIT);
    cr_expect_eq(arrivals(), before);
}

Test(grants, nobody_says_more_than_it_may)
{
    weft_id other = kit_id(9), id = other;
    weft_grant one = of(1, WEFT_RIGHT_READ, 0);
    cr_assert_eq(put_one(l.author, of(1, WEFT_RIGHT_ADMIN, 4)), WEFT_OK);
    const uint64_t before = arrivals();
    cr_expect_eq(put_one(pairs[1], of(2, WEFT_RIGHT_ADMIN, 3)), WEFT_FORBIDDEN);
    cr_expect_eq(put_one(pairs[2], of(3, WEFT_RIGHT_READ, 0)), WEFT_FORBIDDEN);
    cr_expect_eq(put_one(l.author, of(2, WEFT_RIGHT_ADMIN, 0)), WEFT_FORBIDDEN);
    cr_expect_eq(weft_grant_put(l.node, &other, l.author, &one, 1, CALL, &id), WEFT_TREE);
    cr_expect(weft_id_equal(&id, &other), "nothing was set");
    cr_expect_eq(arrivals(), before);
}

Test(grants, null_arguments_are_invalid_and_an_unknown_tree_is_told)
{
    weft_grant one = of(1, WEFT_RIGHT_READ, 0);
    weft_id other = kit_id(9);
    weft_right right;
    size_t count = 1;
    cr_expect_eq(weft_grant_put(NULL, &l.tree, l.author, &one, 1, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_grant_put(l.node, NULL, l.author, &one, 1, CALL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_grant_put_async(l.node, &l.tree, l.author, &one, 1, NULL, NULL),
                 WEFT_INVALID);
    cr_expect_eq(weft_grant_replace(l.node, &l.tree, l.author, NULL, &owner, CALL, NULL),
                 WEFT_INVALID);
    cr_expect_eq(weft_grant_list(l.node, &l.tree, NULL, &count), WEFT_INVALID);
    cr_expect_eq(weft_grant_list(l.node, &l.tree, &one, NULL), WEFT_INVALID);
    cr_expect_eq(weft_grant_list(l.node, &other, &one, &count), WEFT_TREE);
    cr_expect_eq(weft_right_of(l.node, &l.tree, NULL, &right, NULL), WEFT_INVALID);
    cr_expect_eq(weft_right_of(l.node, &l.tree, &owner, NULL, NULL), WEFT_INVALID);
    cr_expect_eq(weft_right_of(l.node, &other, &owner, &right, NULL), WEFT_TREE);
}

Test(grants, without_memory_nothing_is_begun)
{
    weft_id other = kit_id(9);
    weft_grant one = of(1, WEFT_RIGHT_READ, 0);
    strcpy(one.name, "n");
    weft_err err = WEFT_NO_MEMORY;
    uint64_t nth = 1;
    for (; err == WEFT_NO_MEMORY && nth < 60; nth++) {
        (void)wf_alloc_fail_at(nth, 0);
        err = weft_grant_put(l.node, &other, l.author, &one, 1, CALL, NULL);
        (void)wf_alloc_fail_at(0, 0);
    }
    cr_expect_eq(err, WEFT_TREE, "%s", weft_errname(err));
    cr_expect_gt(nth, 5);
}

/* -- Asynchronously ---------------------------------------------------------------------------------- */

static weft_err said[2];

static void on_done(void *arg, weft_err err, const weft_result *result)
{
    *(weft_err *)arg = err;
    cr_assert_not_null(result);
    gate_note();
}

Test(grants, asked_for_asynchronously_it_calls_back)
{
    const weft_grant good = of(1, WEFT_RIGHT_ADMIN, 4), bad = of(2, WEFT_RIGHT_ADMIN, 0);
    said[0] = said[1] = WEFT_INTERNAL;
    cr_assert_eq(weft_grant_put_async(l.node, &l.tree, l.author, &good, 1, on_done, &said[0]),
                 WEFT_OK);
    cr_assert_eq(weft_grant_put_async(l.node, &l.tree, l.author, &bad, 1, on_done, &said[1]),
                 WEFT_OK);
    gate_wait_noted(2);
    cr_expect_eq(said[0], WEFT_OK);
    cr_expect_eq(said[1], WEFT_FORBIDDEN);
    expect_right(1, WEFT_RIGHT_ADMIN, 4);
}

/* -- From inside an actor ---------------------------------------------------------------------------- */

static weft_err inside(weft_self *self, void *state, void *arg)
{
    weft_grant grant = of(1, WEFT_RIGHT_READ, 0);
    size_t count = 1;
    (void)self;
    (void)state;
    (void)arg;
    bool all = put(l.author, &grant, 1) == WEFT_DEADLK &&
               weft_grant_replace(l.node, &l.tree, l.author, &keys[1], &keys[2], CALL, NULL) ==
                   WEFT_DEADLK &&
               weft_grant_list(l.node, &l.tree, &grant, &count) == WEFT_DEADLK &&
               weft_right_of(l.node, &l.tree, &owner, &grant.right, NULL) == WEFT_DEADLK &&
               weft_entry_counts(l.node, &l.tree, &grant.revoked) == WEFT_DEADLK;
    return all ? WEFT_OK : WEFT_INTERNAL;
}

static weft_verdict nothing(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return WEFT_DONE;
}

Test(grants, calls_from_inside_an_actor_answer_deadlk)
{
    weft_rt *rt = NULL;
    weft_addr *addr = NULL;
    const weft_spec spec = {.name = "inside", .init = inside, .handle = nothing};
    cr_assert_eq(weft_rt_create(&rt), WEFT_OK);
    cr_expect_eq(weft_spawn(rt, &spec, &addr), WEFT_OK);
    cr_assert_eq(weft_rt_stop(rt, WEFT_NEVER), WEFT_OK);
    weft_addr_put(addr);
    cr_assert_eq(weft_rt_destroy(rt), WEFT_OK);
}
