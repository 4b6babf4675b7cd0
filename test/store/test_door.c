/* SPDX-License-Identifier: Apache-2.0
 * test_door.c - each rule of the one door, by an entry that breaks only that one.
 * Called by: meson test. May touch: the store through its actor, in the simulator.
 * Never: signatures (test_entry.c judges those). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "map.h"
#include "settings.h"
#include "store_kit.h"

static weft_keypair *owner, *stranger;
static sk_node node;
static weft_id tree, first; /* a tree of the owner's, and its first entry */

static void commit_one(weft_buf *buf, const weft_id *id)
{
    weft_err err = sk_commit(&node, &buf, id, 1, true, NULL);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    weft_buf_unref(buf);
}

static void setup(void)
{
    owner = kit_pair(1);
    stranger = kit_pair(2);
    sk_node_open(&node, 1);
    commit_one(sk_root(owner, 1, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &tree), &tree);
    sk_entry e = {.tree = tree, .parents = &tree, .parents_count = 1, .height = 1};
    commit_one(sk_build(&e, owner, &first), &first);
}

static void teardown(void)
{
    sk_expect_clean(node.store);
    sk_node_close(&node);
    weft_keypair_destroy(owner);
    weft_keypair_destroy(stranger);
}

TestSuite(door, .init = setup, .fini = teardown);

static uint64_t count_here(void)
{
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(node.store, &tree, &info), WEFT_OK);
    return info.count;
}

/* The same entry is judged alike from here and from a peer, and leaves nothing. */
static void expect(const sk_entry *e, const weft_keypair *author, weft_err want)
{
    weft_id id;
    weft_buf *buf = sk_build(e, author, &id);
    uint64_t before = count_here();
    static uint8_t peer = 10;
    peer++;
    struct wf_ingest *frame = sk_ingest(&node, sk_frame(&node, peer, 1, &e->tree, &buf, &id, 1));
    weft_err remote = frame->err;
    cr_assert_eq(frame->entries[0].result, want == WEFT_OK ? WF_IN_STORED : WF_IN_REFUSED);
    weft_err local = sk_commit(&node, &buf, &id, 1, false, NULL);
    cr_assert_eq(remote, want, "%s", weft_errname(remote));
    cr_assert_eq(local, want, "%s", weft_errname(local));
    cr_assert_eq(count_here(), before + (want == WEFT_OK));
    weft_buf_unref(buf);
}

Test(door, an_entry_that_keeps_all_rules_is_stored)
{
    sk_entry e = {.tree = tree,
                  .parents = &first,
                  .parents_count = 1,
                  .height = 2,
                  .store_parents = &first,
                  .store_parents_count = 1};
    expect(&e, owner, WEFT_OK);
}

Test(door, a_tree_that_is_not_here_is_refused)
{
    weft_id other = kit_id(77);
    sk_entry e = {.tree = other, .parents = &first, .parents_count = 1, .height = 2};
    expect(&e, owner, WEFT_TREE);
}

Test(door, an_incremental_height_is_one_more_than_the_highest_parent)
{
    static const uint64_t wrong[] = {1, 3, WEFT_HEIGHT_MAX};
    for (unsigned i = 0; i < 3; i++) {
        sk_entry e = {.tree = tree, .parents = &first, .parents_count = 1, .height = wrong[i]};
        expect(&e, owner, WEFT_BAD_ENTRY);
    }
    weft_id both[] = {tree, first};
    sk_entry e = {.tree = tree, .parents = both, .parents_count = 2, .height = 1};
    expect(&e, owner, WEFT_BAD_ENTRY);
    e.height = 2;
    expect(&e, owner, WEFT_OK);
}

Test(door, a_height_that_is_a_time_only_has_to_grow)
{
    weft_id timed, id;
    commit_one(sk_root(owner, 9, WEFT_HEIGHT_TIMESTAMP, WEFT_RIGHT_NONE, &timed), &timed);
    sk_entry e = {.tree = timed, .parents = &timed, .parents_count = 1, .height = 1000};
    commit_one(sk_build(&e, owner, &id), &id);
    sk_entry same = {.tree = timed, .parents = &id, .parents_count = 1, .height = 1000};
    weft_buf *buf = sk_build(&same, owner, &first);
    cr_assert_eq(sk_commit(&node, &buf, &first, 1, false, NULL), WEFT_BAD_ENTRY);
    weft_buf_unref(buf);
    same.height = 1700000000000;
    commit_one(sk_build(&same, owner, &first), &first);
    wf_meta_brief brief;
    cr_assert_eq(wf_store_meta_brief(node.store, &first, &brief), WEFT_OK);
    cr_assert_eq(brief.gen, 2, "gen does not depend on what an entry claims");
}

Test(door, heights_of_store_parents_count_too)
{
    weft_id second;
    sk_entry e = {.tree = tree, .parents = &first, .parents_count = 1, .height = 2};
    commit_one(sk_build(&e, owner, &second), &second);
    sk_entry bad = {.tree = tree,
                    .parents = &first,
                    .parents_count = 1,
                    .height = 2,
                    .store_parents = &second,
                    .store_parents_count = 1,
                    .payload = "y",
                    .payload_len = 1};
    expect(&bad, owner, WEFT_BAD_ENTRY);
    bad.height = 3;
    expect(&bad, owner, WEFT_OK);
}

Test(door, a_parent_of_another_tree_is_refused)
{
    weft_id other;
    commit_one(sk_root(owner, 5, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &other), &other);
    weft_id both[] = {first, other};
    sk_entry e = {.tree = tree, .parents = both, .parents_count = 2, .height = 2};
    expect(&e, owner, WEFT_BAD_ENTRY);
    sk_entry by_store = {.tree = tree,
                         .parents = &first,
                         .parents_count = 1,
                         .height = 2,
                         .name = "other",
                         .store_parents = &other,
                         .store_parents_count = 1};
    expect(&by_store, owner, WEFT_BAD_ENTRY);
}

Test(door, a_store_parent_must_write_that_store)
{
    sk_entry e = {.tree = tree,
                  .parents = &first,
                  .parents_count = 1,
                  .height = 2,
                  .name = "notes",
                  .store_parents = &first,
                  .store_parents_count = 1};
    expect(&e, owner, WEFT_BAD_ENTRY);
    e.store_parents = &tree; /* the root writes only _settings */
    expect(&e, owner, WEFT_BAD_ENTRY);
}

Test(door, an_author_without_a_grant_is_forbidden)
{
    sk_entry e = {.tree = tree, .parents = &first, .parents_count = 1, .height = 2};
    expect(&e, stranger, WEFT_FORBIDDEN);
}

Test(door, an_entry_of_another_tree_than_the_frames_is_injected)
{
    weft_id other, id;
    commit_one(sk_root(owner, 5, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &other), &other);
    sk_entry e = {.tree = other, .parents = &other, .parents_count = 1, .height = 1};
    weft_buf *buf = sk_build(&e, owner, &id);
    struct wf_ingest *frame = sk_ingest(&node, sk_frame(&node, 3, 1, &tree, &buf, &id, 1));
    cr_assert_eq(frame->err, WEFT_BAD_ENTRY);
    cr_assert_eq(frame->stored, 0);
    weft_buf_unref(buf);
}

Test(door, a_root_that_nobody_follows_is_refused_from_a_peer)
{
    weft_id other;
    weft_buf *buf = sk_root(owner, 6, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &other);
    struct wf_ingest *frame = sk_ingest(&node, sk_frame(&node, 3, 1, &other, &buf, &other, 1));
    cr_assert_eq(frame->err, WEFT_TREE);
    cr_assert_eq(sk_follow(&node, &other, true, NULL, 0), WEFT_OK);
    frame = sk_ingest(&node, sk_frame(&node, 4, 1, &other, &buf, &other, 1));
    cr_assert_eq(frame->err, WEFT_OK);
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(node.store, &other, &info), WEFT_OK);
    cr_assert(info.has_root);
    weft_buf_unref(buf);
}

Test(door, one_bad_entry_ends_a_frame_and_the_prefix_is_kept)
{
    weft_id ids[3];
    weft_buf *bufs[3];
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t payload = (uint8_t)i;
        sk_entry e = {.tree = tree,
                      .parents = &first,
                      .parents_count = 1,
                      .height = i == 1 ? 7 : 2,
                      .payload = &payload,
                      .payload_len = 1};
        bufs[i] = sk_build(&e, owner, &ids[i]);
    }
    struct wf_ingest *frame = sk_ingest(&node, sk_frame(&node, 3, 1, &tree, bufs, ids, 3));
    cr_assert_eq(frame->err, WEFT_BAD_ENTRY);
    cr_assert_eq(frame->stored, 1);
    cr_assert_eq(frame->entries[0].result, WF_IN_STORED);
    cr_assert_eq(frame->entries[1].result, WF_IN_REFUSED);
    cr_assert_eq(frame->entries[2].result, WF_IN_REFUSED);
    cr_assert_eq(count_here(), 3);
    for (uint32_t i = 0; i < 3; i++) weft_buf_unref(bufs[i]);
}

/* -- Permissions along the ancestry ------------------------------------------------------------ */

/* An entry by `author` that gives `to` a grant. */
static weft_buf *grant(const weft_keypair *author, const weft_id *parent, uint64_t height,
                       const weft_keypair *to, wf_grant what, weft_id *id)
{
    weft_key key;
    weft_keypair_public(to, &key);
    struct wf_settings_text text;
    wf_map_op op;
    uint8_t payload[256];
    size_t len;
    wf_settings_grant(&key, &what, &text, &op);
    cr_assert_eq(wf_map_ops_encode(&op, 1, payload, sizeof payload, &len), WEFT_OK);
    sk_entry e = {.tree = tree,
                  .parents = parent,
                  .parents_count = 1,
                  .height = height,
                  .name = WF_SETTINGS_NAME,
                  .payload = payload,
                  .payload_len = len};
    return sk_build(&e, author, id);
}

Test(door, a_grant_holds_for_those_that_have_it_in_their_ancestry)
{
    weft_id granted, id;
    wf_grant write = {WEFT_RIGHT_WRITE, 5};
    commit_one(grant(owner, &first, 2, stranger, write, &granted), &granted);
    sk_entry beside = {.tree = tree, .parents = &first, .parents_count = 1, .height = 2};
    expect(&beside, stranger, WEFT_FORBIDDEN); /* concurrent with the grant */
    sk_entry after = {.tree = tree, .parents = &granted, .parents_count = 1, .height = 3};
    expect(&after, stranger, WEFT_OK);
    weft_id both[] = {first, granted};
    sk_entry joined = {.tree = tree,
                       .parents = both,
                       .parents_count = 2,
                       .height = 3,
                       .payload = "j",
                       .payload_len = 1};
    expect(&joined, stranger, WEFT_OK);
    weft_buf *buf = grant(stranger, &granted, 3, stranger, (wf_grant){WEFT_RIGHT_ADMIN, 1}, &id);
    cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_FORBIDDEN);
    weft_buf_unref(buf);
}

Test(door, what_one_tree_grants_says_nothing_about_another)
{
    weft_id other, id;
    commit_one(sk_root(stranger, 5, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &other), &other);
    sk_entry e = {.tree = other, .parents = &other, .parents_count = 1, .height = 1};
    weft_buf *buf = sk_build(&e, owner, &id);
    cr_assert_eq(sk_commit(&node, &buf, &id, 1, false, NULL), WEFT_FORBIDDEN);
    weft_buf_unref(buf);
    commit_one(sk_build(&e, stranger, &id), &id);
    sk_entry here = {.tree = tree, .parents = &first, .parents_count = 1, .height = 2};
    expect(&here, stranger, WEFT_FORBIDDEN);
}

Test(door, a_revocation_ends_a_grant_and_policies_outlive_a_restart)
{
    weft_id granted, revoked;
    wf_grant write = {WEFT_RIGHT_WRITE, 5}, none = {WEFT_RIGHT_NONE, 0};
    commit_one(grant(owner, &first, 2, stranger, write, &granted), &granted);
    commit_one(grant(owner, &granted, 3, stranger, none, &revoked), &revoked);
    sk_node_crash(&node, 0);
    sk_entry after = {.tree = tree, .parents = &revoked, .parents_count = 1, .height = 4};
    expect(&after, stranger, WEFT_FORBIDDEN);
    sk_entry before = {.tree = tree, .parents = &granted, .parents_count = 1, .height = 3};
    expect(&before, stranger, WEFT_OK); /* at an old cut, as the design says */
}

Test(door, equal_policies_have_one_number)
{
    weft_id ids[4];
    wf_meta *meta = NULL;
    uint32_t numbers[4];
    cr_assert_not_null(meta = malloc(sizeof *meta));
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t payload = (uint8_t)(i + 3);
        sk_entry e = {.tree = tree,
                      .parents = &first,
                      .parents_count = 1,
                      .height = 2,
                      .payload = &payload,
                      .payload_len = 1};
        commit_one(sk_build(&e, owner, &ids[i]), &ids[i]);
        cr_assert_eq(wf_store_meta(node.store, &ids[i], meta), WEFT_OK);
        numbers[i] = meta->policy;
        cr_assert_eq(numbers[i], numbers[0]);
    }
    /* Two branches that differ join to one policy, whichever entry joins them. */
    weft_id a, b, joins[2];
    commit_one(grant(owner, &ids[0], 3, stranger, (wf_grant){WEFT_RIGHT_READ, 0}, &a), &a);
    commit_one(grant(owner, &ids[1], 3, owner, (wf_grant){WEFT_RIGHT_ADMIN, 0}, &b), &b);
    weft_id both[] = {a, b};
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t payload = (uint8_t)i;
        sk_entry e = {.tree = tree,
                      .parents = both,
                      .parents_count = 2,
                      .height = 4,
                      .payload = &payload,
                      .payload_len = 1};
        commit_one(sk_build(&e, owner, &joins[i]), &joins[i]);
        cr_assert_eq(wf_store_meta(node.store, &joins[i], meta), WEFT_OK);
        numbers[i] = meta->policy;
    }
    cr_assert_eq(numbers[0], numbers[1]);
    free(meta);
}

Test(door, a_long_history_of_settings_fits_a_small_cache)
{
    weft_id at = first, next;
    uint64_t height = 2;
    for (uint32_t i = 0; i < 150; i++, height++) { /* more policies than are cached */
        wf_grant g = {WEFT_RIGHT_WRITE, i + 1};
        commit_one(grant(owner, &at, height, stranger, g, &next), &next);
        at = next;
    }
    sk_entry old = {.tree = tree, .parents = &first, .parents_count = 1, .height = 2};
    expect(&old, stranger, WEFT_FORBIDDEN);
    sk_entry new = {.tree = tree, .parents = &at, .parents_count = 1, .height = height};
    expect(&new, stranger, WEFT_OK);
}

Test(door, many_settings_in_one_commit_are_written_in_parts)
{
    weft_id ids[200];
    weft_buf *bufs[200];
    for (uint32_t i = 0; i < 200; i++) {
        wf_grant g = {WEFT_RIGHT_WRITE, i + 1};
        bufs[i] = grant(owner, i == 0 ? &first : &ids[i - 1], 2 + i, stranger, g, &ids[i]);
    }
    cr_assert_eq(sk_commit(&node, bufs, ids, 200, false, NULL), WEFT_OK);
    cr_assert_eq(count_here(), 202);
    for (uint32_t i = 0; i < 200; i++) weft_buf_unref(bufs[i]);
}
