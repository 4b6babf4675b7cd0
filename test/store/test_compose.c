/* SPDX-License-Identifier: Apache-2.0
 * test_compose.c - settings that the store builds itself, and records in the batch of what they
 * belong to.
 * Called by: meson test. May touch: the store actor, in the simulator; its engine fails.
 * Never: a real thread. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "rights_kit.h"
#include "state.h"

enum { ALICE = 2, BOB, CAROL, STRANGER };

static sk_node node;
static rk_tree tree;

static void setup(void)
{
    sk_node_open(&node, 1);
    rk_open(&node, &tree, 1, WEFT_RIGHT_NONE);
}

static void teardown(void)
{
    sk_node_close(&node);
    rk_close(&tree);
    rk_end();
}

TestSuite(compose, .init = setup, .fini = teardown);

/* -- Asking -------------------------------------------------------------------------------- */

#define RECORDS 3u

static struct wf_record_put *record(uint8_t number, bool remove)
{
    struct wf_record_put *r = wf_record_create(remove ? 0 : 1);
    r->cf = WF_CF_PEER;
    r->remove = remove;
    r->key[0] = 0x90;
    r->key[1] = number;
    r->key_len = 2;
    if (!remove) r->value[0] = number;
    return r;
}

static struct wf_record_put **records(bool remove)
{
    struct wf_record_put **list = wf_calloc(RECORDS, sizeof(*list));
    for (uint8_t i = 0; i < RECORDS; i++) list[i] = record(i, remove);
    return list;
}

/* How many of them are there: all or none is what is asked for. */
static uint32_t records_here(void)
{
    uint32_t here = 0;
    for (uint8_t i = 0; i < RECORDS; i++) {
        uint8_t key[] = {0x90, i}, value[4];
        size_t len = sizeof value;
        weft_err err = wf_store_record_get(node.store, WF_CF_PEER, key, sizeof key, value, &len);
        cr_assert(err == WEFT_OK || err == WEFT_NOT_FOUND);
        here += err == WEFT_OK;
    }
    return here;
}

static weft_err call(weft_request *req)
{
    weft_request *back = NULL;
    bool taken = false;
    weft_err err = weft_call(node.addr, req, WEFT_NEVER, &back, &taken);
    if (back != NULL) weft_drop(&back->msg);
    else if (!taken) weft_drop(&req->msg);
    return err;
}

static struct wf_settings_commit *settings(uint8_t admin, uint8_t key, const char *text)
{
    rk_say say = {.key = key, .text = text};
    weft_buf *payload = rk_payload(&say, 1);
    struct wf_settings_commit *commit = wf_settings_commit_create(&tree.tree, rk_pair(admin),
                                                                  payload);
    weft_buf_unref(payload);
    return commit;
}

static weft_err set(uint8_t admin, uint8_t key, const char *text)
{
    return call(&settings(admin, key, text)->req);
}

static uint64_t count_here(void)
{
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(node.store, &tree.tree, &info), WEFT_OK);
    return info.count;
}

/* -- The entry --------------------------------------------------------------------------------- */

Test(compose, settings_are_an_entry_like_any_other)
{
    struct wf_settings_commit *commit = settings(RK_OWNER, ALICE, "read");
    weft_request *back = NULL;
    static weft_entry entry;
    weft_buf *buf;
    cr_assert_eq(weft_call(node.addr, &commit->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    commit = (struct wf_settings_commit *)back;
    cr_assert_eq(commit->seq, 2);
    cr_assert_eq(wf_store_get(node.store, &commit->id, &buf), WEFT_OK);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &entry), WEFT_OK);
    cr_assert_eq(weft_entry_verify(&entry), WEFT_OK);
    cr_assert(weft_key_equal(&entry.author, rk_key(RK_OWNER)));
    cr_assert(rk_may(&node, &tree, ALICE));
    weft_buf_unref(buf);
    weft_drop(&back->msg);
    sk_expect_clean(node.store);
}

static void expect_tips(const char *name, size_t want)
{
    static weft_id ids[1000];
    size_t count;
    bool complete;
    weft_err err = name == NULL
                       ? wf_store_tips(node.store, 1, ids, 1000, &count, &complete)
                       : wf_store_named_tips(node.store, 1, name, ids, 1000, &count, &complete);
    cr_assert_eq(err, WEFT_OK);
    cr_assert_eq(count, want);
}

/* `count` children of the root, each a branch of its own, every second one in the settings. */
static void branch_out(uint32_t count)
{
    weft_id root = tree.tree;
    for (uint32_t i = 0; i < count; i++) {
        rk_tree branch = tree;
        weft_id id;
        weft_buf *buf;
        branch.tip = branch.settings_tip = root;
        branch.height = 0;
        if (i % 2 == 0) {
            char name[16]; /* so that no two are equal */
            uint8_t key = (uint8_t)(10 + i % 200);
            snprintf(name, sizeof name, "%u", i);
            rk_say says[] = {{.key = key, .text = i % 4 == 0 ? "read" : "none"},
                             {.key = key, .name = name}};
            buf = rk_next(&branch, RK_OWNER, says, 2, &id);
        } else {
            sk_entry e = {.tree = root, .parents = &root, .parents_count = 1, .height = 1};
            e.payload = &i;
            e.payload_len = sizeof i;
            buf = sk_build(&e, rk_pair(RK_OWNER), &id);
        }
        cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_OK);
        weft_buf_unref(buf);
    }
}

Test(compose, settings_stand_on_all_tips)
{
    branch_out(9);
    expect_tips(NULL, 9);
    expect_tips("_settings", 5);
    cr_assert_eq(set(RK_OWNER, ALICE, "read"), WEFT_OK);
    expect_tips(NULL, 1);
    expect_tips("_settings", 1);
    cr_assert_eq(set(RK_OWNER, ALICE, "none"), WEFT_OK);
    cr_assert_not(rk_may(&node, &tree, ALICE));
    sk_expect_clean(node.store);
}

/* A deeper branch that grants the key, by an entry whose id is among the last ones. */
static void grow_deep_branch(uint8_t key)
{
    rk_tree branch = tree;
    rk_say says[] = {{.key = key, .text = "read"}, {.key = key}};
    weft_id id = {{0}};
    weft_buf *buf = NULL;
    branch.tip = branch.settings_tip = tree.tree;
    branch.height = 0;
    for (int i = 0; i < 4; i++) {
        buf = rk_next(&branch, RK_OWNER, says, 1, &id);
        cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_OK);
        weft_buf_unref(buf);
    }
    for (uint32_t i = 0; id.bytes[0] < 0xf8; i++) {
        rk_tree last = branch;
        char name[16];
        if (i > 0) weft_buf_unref(buf);
        snprintf(name, sizeof name, "%u", i);
        says[1].name = name;
        buf = rk_next(&last, RK_OWNER, says, 2, &id);
        if (id.bytes[0] < 0xf8) continue;
        cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_OK);
        weft_buf_unref(buf);
    }
}

Test(compose, settings_come_after_all_that_is_here_with_more_tips_than_an_entry_may_name)
{
    branch_out(2 * WEFT_ENTRY_PARENTS_MAX + 100);
    grow_deep_branch(10);
    expect_tips(NULL, 2 * WEFT_ENTRY_PARENTS_MAX + 101);
    cr_assert(rk_may(&node, &tree, 10));
    cr_assert_eq(set(RK_OWNER, 10, "none"), WEFT_OK);
    cr_assert_not(rk_may(&node, &tree, 10));
    cr_assert_eq(set(RK_OWNER, 10, "read"), WEFT_OK);
    cr_assert_eq(set(RK_OWNER, 10, "none"), WEFT_OK);
    cr_assert_not(rk_may(&node, &tree, 10));
    expect_tips("_settings", 1);
    sk_expect_clean(node.store);
}

Test(compose, settings_of_a_tree_by_time_have_its_time)
{
    sk_node_close(&node);
    rk_close(&tree);
    sk_node_open(&node, 2);
    tree = (rk_tree){0};
    tree.root = sk_root(rk_pair(RK_OWNER), 2, WEFT_HEIGHT_TIMESTAMP, WEFT_RIGHT_NONE, &tree.tree);
    cr_assert_eq(sk_commit(&node, &tree.root, &tree.tree, 1, true, NULL), WEFT_OK);
    struct wf_settings_commit *commit = settings(RK_OWNER, ALICE, "read");
    weft_request *back = NULL;
    wf_meta_brief meta;
    cr_assert_eq(weft_call(node.addr, &commit->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    commit = (struct wf_settings_commit *)back;
    cr_assert_eq(wf_store_meta_brief(node.store, &commit->id, &meta), WEFT_OK);
    cr_assert_geq(meta.height, 1);
    cr_assert_leq(meta.height, (uint64_t)wf_wall_ms(node.rt) + 1);
    weft_drop(&back->msg);
}

Test(compose, settings_are_written_beside_an_entry_at_the_end_of_heights)
{
    sk_node_close(&node);
    rk_close(&tree);
    sk_node_open(&node, 2);
    tree = (rk_tree){0};
    tree.root = sk_root(rk_pair(RK_OWNER), 2, WEFT_HEIGHT_TIMESTAMP, WEFT_RIGHT_WRITE, &tree.tree);
    cr_assert_eq(sk_commit(&node, &tree.root, &tree.tree, 1, true, NULL), WEFT_OK);
    weft_store_part part = {.name = "log", .payload = "x", .payload_len = 1};
    weft_entry_spec spec = {.tree = tree.tree,
                            .parents = &tree.tree,
                            .parents_count = 1,
                            .height = WEFT_HEIGHT_MAX,
                            .stores = &part,
                            .stores_count = 1};
    weft_buf *buf;
    weft_id id;
    cr_assert_eq(weft_entry_build(&spec, rk_pair(STRANGER), &buf, &id), WEFT_OK);
    cr_assert_eq(sk_commit(&node, &buf, &id, 1, true, NULL), WEFT_OK);
    weft_buf_unref(buf);
    cr_assert_eq(set(RK_OWNER, STRANGER, "none"), WEFT_OK);
    cr_assert_eq(set(RK_OWNER, ALICE, "read"), WEFT_OK);
    cr_expect(rk_may(&node, &tree, ALICE));
    sk_expect_clean(node.store);
}

Test(compose, what_waits_in_the_open_batch_is_stood_on_too)
{
    rk_say say = {.key = BOB, .text = "read"};
    struct wf_commit *commit = wf_commit_create(1);
    commit->entries[0] = rk_next(&tree, RK_OWNER, &say, 1, &commit->ids[0]);
    commit->durability = WF_WRITTEN;
    cr_assert_eq(weft_send(node.addr, &commit->req.msg), WEFT_OK); /* nobody waits for it */
    cr_assert_eq(set(RK_OWNER, ALICE, "read"), WEFT_OK);
    expect_tips(NULL, 1);
    cr_assert(rk_may(&node, &tree, BOB) && rk_may(&node, &tree, ALICE));
}

/* -- Refusals ------------------------------------------------------------------------------------- */

Test(compose, forbidden_changes_nothing)
{
    cr_assert_eq(set(RK_OWNER, ALICE, "admin:5"), WEFT_OK);
    cr_assert_eq(set(RK_OWNER, BOB, "write:5"), WEFT_OK);
    const uint64_t count = count_here();
    const struct {
        uint8_t admin, key;
        const char *text;
    } tries[] = {{STRANGER, STRANGER, "read"},
                 {BOB, CAROL, "read"},
                 {ALICE, RK_OWNER, "none"},
                 {ALICE, CAROL, "admin:4"}};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        struct wf_settings_commit *commit = settings(tries[i].admin, tries[i].key, tries[i].text);
        commit->records = records(false);
        commit->records_count = RECORDS;
        cr_assert_eq(call(&commit->req), WEFT_FORBIDDEN, "try %zu", i);
    }
    cr_assert_eq(count_here(), count);
    cr_assert_eq(records_here(), 0);
    expect_tips(NULL, 1);
    cr_assert_eq(set(ALICE, CAROL, "admin:5"), WEFT_OK);
    sk_expect_clean(node.store);
}

Test(compose, a_tree_that_is_not_here_is_TREE)
{
    rk_tree keep = tree;
    tree.tree = kit_id(77);
    cr_assert_eq(set(RK_OWNER, ALICE, "read"), WEFT_TREE);
    cr_assert_eq(sk_follow(&node, &tree.tree, true, NULL, 0), WEFT_OK);
    cr_assert_eq(set(RK_OWNER, ALICE, "read"), WEFT_TREE, "its root is missing");
    tree = keep;
    cr_assert_eq(sk_follow(&node, &tree.tree, false, NULL, 0), WEFT_OK);
    cr_assert_eq(set(RK_OWNER, ALICE, "read"), WEFT_TREE, "not served");
}

Test(compose, what_is_no_settings_is_BAD_ENTRY)
{
    weft_buf *junk;
    cr_assert_eq(weft_buf_create(3, &junk), WEFT_OK);
    memcpy(weft_buf_data(junk), "xyz", 3);
    struct wf_settings_commit *commit = wf_settings_commit_create(&tree.tree, rk_pair(RK_OWNER),
                                                                  junk);
    weft_buf_unref(junk);
    cr_assert_eq(call(&commit->req), WEFT_BAD_ENTRY);
    cr_assert_eq(count_here(), 1);
}

/* -- Records ---------------------------------------------------------------------------------------- */

/* Power goes after each number of batches: never one without the other. */
Test(compose, records_are_in_the_batch_or_nothing_is)
{
    bool met[2] = {false, false};
    for (size_t keep = 0; keep < 3; keep++) {
        for (uint32_t steps = 0; steps < 40; steps++) {
            sk_node_close(&node);
            rk_close(&tree);
            sk_node_open(&node, steps + 1);
            rk_open(&node, &tree, 1, WEFT_RIGHT_NONE);
            struct wf_settings_commit *commit = settings(RK_OWNER, ALICE, "read");
            commit->records = records(false);
            commit->records_count = RECORDS;
            cr_assert_eq(weft_send(node.addr, &commit->req.msg), WEFT_OK);
            for (uint32_t i = 0; i < steps; i++) wf_sim_step(node.sim);
#ifdef __SANITIZE_ADDRESS__
            if (steps % 2 == 0) sk_node_settle(&node); /* who is killed leaves its messages */
            else continue;
#endif
            sk_node_crash(&node, keep);
            bool granted = rk_may(&node, &tree, ALICE);
            cr_assert_eq(records_here(), granted ? RECORDS : 0, "steps %u keep %zu", steps, keep);
            met[granted] = true;
        }
    }
#ifndef __SANITIZE_ADDRESS__
    cr_assert(met[0]);
#endif
    cr_assert(met[1]);
}

Test(compose, a_failed_write_leaves_neither)
{
    sk_quiet(true);
    struct wf_settings_commit *commit = settings(RK_OWNER, ALICE, "read");
    commit->records = records(false);
    commit->records_count = RECORDS;
    wf_kv_memory_fail_at(node.kv, 1, WEFT_NO_SPACE, false);
    cr_assert_eq(call(&commit->req), WEFT_NO_SPACE);
    sk_quiet(false);
    cr_assert_not(rk_may(&node, &tree, ALICE));
    cr_assert_eq(records_here(), 0);
}

Test(compose, records_of_a_commit_come_with_its_last_entry)
{
    for (int refused = 1; refused >= 0; refused--) {
        struct wf_commit *commit = wf_commit_create(2);
        rk_say say = {.key = ALICE, .text = "read"};
        commit->entries[0] = rk_next(&tree, RK_OWNER, &say, 1, &commit->ids[0]);
        say.key = BOB;
        commit->entries[1] = rk_next(&tree, refused ? STRANGER : RK_OWNER, &say, 1,
                                     &commit->ids[1]);
        commit->records = records(false);
        commit->records_count = RECORDS;
        weft_id first = commit->ids[0];
        cr_assert_eq(call(&commit->req), refused ? WEFT_FORBIDDEN : WEFT_OK);
        cr_assert(rk_may(&node, &tree, ALICE), "entries before it are kept");
        cr_assert_eq(records_here(), refused ? 0 : RECORDS);
        tree.tip = tree.settings_tip = first;
        tree.height--;
    }
}

Test(compose, a_key_that_is_not_theirs_stops_all_of_it)
{
    struct wf_settings_commit *commit = settings(RK_OWNER, ALICE, "read");
    commit->records = records(false);
    commit->records_count = RECORDS;
    commit->records[RECORDS - 1]->key[0] = 0x02; /* the store's own */
    cr_assert_eq(call(&commit->req), WEFT_INVALID);
    struct wf_follow *follow = wf_follow_create(&tree.tree, rk_key(ALICE), 1);
    follow->records = records(false);
    follow->records_count = RECORDS;
    follow->records[RECORDS - 1]->key_len = 0;
    cr_assert_eq(call(&follow->req), WEFT_INVALID);
    struct wf_records *several = wf_records_create(RECORDS);
    several->records[0] = record(0, false); /* the others are not there */
    cr_assert_eq(call(&several->req), WEFT_INVALID);
    struct wf_commit *entries = wf_commit_create(1);
    rk_say say = {.key = ALICE, .text = "read"};
    entries->entries[0] = rk_next(&tree, RK_OWNER, &say, 1, &entries->ids[0]);
    entries->records = records(false);
    entries->records_count = RECORDS;
    entries->records[0]->cf = WF_CF_ENTRY;
    cr_assert_eq(call(&entries->req), WEFT_INVALID);
    cr_assert_eq(records_here(), 0);
    cr_assert_eq(count_here(), 1);
    cr_assert_not(rk_may(&node, &tree, ALICE));
}

Test(compose, several_records_are_written_and_removed_at_once)
{
    for (int remove = 0; remove < 2; remove++) {
        struct wf_records *several = wf_records_create(RECORDS);
        for (uint8_t i = 0; i < RECORDS; i++) several->records[i] = record(i, remove);
        cr_assert_eq(call(&several->req), WEFT_OK);
        cr_assert_eq(records_here(), remove ? 0 : RECORDS);
    }
}

/* -- Following ------------------------------------------------------------------------------------------ */

static struct wf_follow *add_reader(uint8_t key)
{
    struct wf_follow *follow = wf_follow_create(&tree.tree, NULL, 0);
    follow->keep_readers = true;
    follow->add_count = 1;
    follow->add = wf_memdup(rk_key(key), sizeof(weft_key));
    return follow;
}

Test(compose, a_follow_may_keep_the_list_and_add_to_it)
{
    cr_assert_eq(sk_follow(&node, &tree.tree, true, rk_key(ALICE), 1), WEFT_OK);
    cr_assert_eq(call(&add_reader(BOB)->req), WEFT_OK);
    cr_assert(rk_may(&node, &tree, ALICE) && rk_may(&node, &tree, BOB));
    cr_assert_not(rk_may(&node, &tree, CAROL));
    cr_assert_eq(call(&add_reader(BOB)->req), WEFT_OK);
    cr_assert_eq(wf_trees_at(&node.store->trees, 1)->readers_count, 2, "once is enough");
    /* Two in one batch: the second keeps what the first one added. */
    cr_assert_eq(weft_send(node.addr, &add_reader(CAROL)->req.msg), WEFT_OK);
    cr_assert_eq(call(&add_reader(STRANGER)->req), WEFT_OK);
    for (uint8_t key = ALICE; key <= STRANGER; key++) cr_assert(rk_may(&node, &tree, key));
    struct wf_follow *unfollow = wf_follow_create(&tree.tree, NULL, 0);
    unfollow->follow = false;
    unfollow->keep_readers = true;
    cr_assert_eq(call(&unfollow->req), WEFT_OK);
    cr_assert_not(rk_may(&node, &tree, ALICE));
    sk_node_crash(&node, 0);
    struct wf_follow *again = wf_follow_create(&tree.tree, NULL, 0);
    again->keep_readers = true;
    cr_assert_eq(call(&again->req), WEFT_OK);
    for (uint8_t key = ALICE; key <= STRANGER; key++) cr_assert(rk_may(&node, &tree, key));
}

Test(compose, a_full_list_takes_no_more)
{
    static weft_key list[WEFT_READERS_PER_TREE_MAX];
    for (uint32_t i = 0; i < WEFT_READERS_PER_TREE_MAX; i++) memcpy(list[i].bytes, &i, sizeof i);
    cr_assert_eq(sk_follow(&node, &tree.tree, true, list, WEFT_READERS_PER_TREE_MAX), WEFT_OK);
    cr_assert_eq(call(&add_reader(ALICE)->req), WEFT_LIMIT);
    cr_assert_not(rk_may(&node, &tree, ALICE));
    struct wf_follow *known = add_reader(ALICE);
    *known->add = list[5];
    cr_assert_eq(call(&known->req), WEFT_OK, "it is there already");
}

Test(compose, a_follow_brings_its_records)
{
    for (int follow = 1; follow >= 0; follow--) {
        struct wf_follow *msg = wf_follow_create(&tree.tree, rk_key(ALICE), 1);
        msg->follow = follow;
        msg->records = records(!follow);
        msg->records_count = RECORDS;
        cr_assert_eq(call(&msg->req), WEFT_OK);
        cr_assert_eq(records_here(), follow ? RECORDS : 0);
    }
    weft_id nowhere = kit_id(88); /* of a tree that was never here too */
    struct wf_follow *msg = wf_follow_create(&nowhere, NULL, 0);
    msg->follow = false;
    msg->records = records(false);
    msg->records_count = RECORDS;
    cr_assert_eq(call(&msg->req), WEFT_OK);
    cr_assert_eq(records_here(), RECORDS);
}

/* Of the first tree its list is emptied; the others keep theirs. */
static struct wf_follow *follow_several(const weft_id *trees, bool follow)
{
    struct wf_follow *msg = wf_follow_create(&trees[0], NULL, 0);
    msg->follow = follow;
    msg->also = wf_calloc(2, sizeof *msg->also);
    msg->also_count = 2;
    for (unsigned i = 0; i < 2; i++) msg->also[i] = (struct wf_follow_also){trees[1 + i], follow};
    msg->records = records(!follow);
    msg->records_count = RECORDS;
    return msg;
}

Test(compose, a_follow_takes_other_trees_along_or_nothing_is_done)
{
    weft_id trees[3] = {kit_id(88), tree.tree, kit_id(89)};
    wf_tree_info info;
    uint32_t failed = 0;
    sk_quiet(true);
    cr_assert_eq(sk_follow(&node, &tree.tree, true, rk_key(ALICE), 1), WEFT_OK);
    for (bool done = false; !done; failed += !done) {
        struct wf_follow *msg = follow_several(trees, true);
        cr_assert_lt(failed, 100);
        (void)wf_alloc_fail_at(failed + 1, 0);
        weft_err err = call(&msg->req);
        (void)wf_alloc_fail_at(0, 0);
        if (err != WEFT_OK) wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
        done = wf_store_tree(node.store, &trees[0], &info) == WEFT_OK;
        cr_assert(done || err != WEFT_OK);
        cr_assert_eq(wf_store_tree(node.store, &trees[2], &info) == WEFT_OK, done);
        cr_assert_eq(records_here(), done ? RECORDS : 0);
    }
    cr_assert_gt(failed, 5);
    sk_quiet(false);
    cr_assert_eq(call(&follow_several(trees, false)->req), WEFT_OK);
    cr_assert_eq(records_here(), 0);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(wf_store_tree(node.store, &trees[i], &info), WEFT_OK);
        cr_assert_not(info.followed);
    }
    cr_assert_not(rk_may(&node, &tree, ALICE));
    cr_assert_eq(call(&follow_several(trees, true)->req), WEFT_OK);
    cr_assert(rk_may(&node, &tree, ALICE), "its list is as it was");
}

Test(compose, any_one_allocation_of_a_follow_may_fail)
{
    uint64_t asked = UINT64_MAX;
    uint32_t failed = 0;
    sk_quiet(true);
    cr_assert_eq(sk_follow(&node, &tree.tree, true, rk_key(BOB), 1), WEFT_OK);
    for (uint64_t nth = 1; asked >= nth; nth++) {
        struct wf_follow *follow = add_reader((uint8_t)(CAROL + nth));
        follow->records = records(nth % 2 == 0);
        follow->records_count = RECORDS;
        wf_alloc_fail_at(nth, 0);
        weft_err err = call(&follow->req);
        asked = wf_alloc_fail_at(0, 0) + 1; /* fewer: it was not met */
        failed += err != WEFT_OK;
        if (err != WEFT_OK) wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
        bool added = rk_may(&node, &tree, (uint8_t)(CAROL + nth));
        cr_assert(err != WEFT_OK || added);
        cr_assert(rk_may(&node, &tree, BOB), "the others stay");
        if (added) cr_assert_eq(records_here(), nth % 2 == 0 ? 0 : RECORDS);
    }
    cr_assert_gt(failed, 5);
    sk_quiet(false);
}

/* -- Memory ------------------------------------------------------------------------------------------------ */

Test(compose, any_one_allocation_may_fail)
{
    uint64_t asked = UINT64_MAX;
    uint32_t failed = 0;
    sk_quiet(true);
    for (uint64_t nth = 1; asked >= nth; nth++) {
        const char *text = nth % 2 == 0 ? "none" : "read";
        struct wf_settings_commit *commit = settings(RK_OWNER, ALICE, text);
        bool before = rk_may(&node, &tree, ALICE);
        commit->records = records(nth % 2 == 0);
        commit->records_count = RECORDS;
        wf_alloc_fail_at(nth, 0);
        weft_err err = call(&commit->req);
        asked = wf_alloc_fail_at(0, 0) + 1; /* fewer: it was not met */
        failed += err != WEFT_OK;
        if (err != WEFT_OK) wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 60 * WEFT_SEC);
        bool now = rk_may(&node, &tree, ALICE);
        if (err == WEFT_OK) cr_assert_eq(now, nth % 2 != 0);
        else cr_assert(now == before || now == (nth % 2 != 0)); /* a lost answer, not a lost rule */
        cr_assert_eq(records_here(), now ? RECORDS : 0, "allocation %llu", (unsigned long long)nth);
    }
    cr_assert_gt(failed, 10);
    sk_quiet(false);
    weft_buf *payload = rk_payload(&(rk_say){.key = ALICE, .text = "read"}, 1);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        wf_alloc_fail_at(nth, 0);
        cr_assert_null(wf_settings_commit_create(&tree.tree, rk_pair(RK_OWNER), payload));
        wf_alloc_fail_at(nth, 0);
        cr_assert_null(wf_records_create(3));
    }
    wf_alloc_fail_at(0, 0);
    weft_buf_unref(payload);
}
