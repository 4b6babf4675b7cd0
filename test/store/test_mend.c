/* SPDX-License-Identifier: Apache-2.0
 * test_mend.c - rows that say where an entry stands are put right while the store is open, and
 * become byte for byte what they were.
 * Called by: meson test. May touch: the engine behind the store's back. Never: a real thread. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "block.h"
#include "compose.h"
#include "crypto.h"
#include "damage.h"
#include "kv_kit.h"
#include "layout.h"
#include "remake.h"
#include "rights_kit.h"

#define ENTRIES 700u
#define HERE 600u /* before the damage: more than a slice looks at */

enum { ALICE = 2, BOB };

static const enum wf_cf families[] = {WF_CF_META, WF_CF_GEN, WF_CF_CHILD, WF_CF_TIP};
#define FAMILIES (sizeof families / sizeof families[0])

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;
static rk_tree tree; /* a second one, in which rights change */
static uint8_t whole[FAMILIES][32];

static weft_err commit(uint32_t from, uint32_t count)
{
    return sk_commit(&node, dag->bufs + from, dag->ids + from, count, true, NULL);
}

static void run_for(weft_ns time) { wf_sim_run_until(node.sim, wf_sim_now(node.sim) + time); }

/* -- Rows ------------------------------------------------------------------------------------------ */

static void digest(enum wf_cf cf, uint8_t out[32])
{
    wf_hash hash;
    wf_kv_iter *it;
    wf_hash_init(&hash);
    cr_assert_eq(wf_kv_iter_create(node.kv, NULL, cf, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *at = wf_kv_iter_key(it, &len);
        wf_hash_update(&hash, at, len);
        at = wf_kv_iter_value(it, &len);
        wf_hash_update(&hash, at, len);
    }
    wf_kv_iter_destroy(it);
    wf_hash_final(&hash, out);
}

static void remember(void)
{
    for (uint32_t i = 0; i < FAMILIES; i++) digest(families[i], whole[i]);
}

static void expect_as_it_was(void)
{
    for (uint32_t i = 0; i < FAMILIES; i++) {
        uint8_t now[32];
        digest(families[i], now);
        cr_expect_arr_eq(now, whole[i], sizeof now, "family %s", wf_cf_names[families[i]]);
    }
    sk_expect_clean(node.store);
}

/* Each nth row of a family goes, or says something else. */
static void spoil(enum wf_cf cf, uint32_t nth, bool garble)
{
    wf_batch *batch;
    wf_kv_iter *it;
    uint32_t i = 0;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(node.kv, NULL, cf, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (++i % nth != 0) continue;
        if (garble) wf_batch_put(batch, cf, key, len, "gone", 4);
        else wf_batch_delete(batch, cf, key, len);
    }
    wf_kv_iter_destroy(it);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

/* The store knows nothing from before. */
static void damage(enum wf_cf cf, uint32_t nth, bool garble)
{
    sk_node_crash(&node, SIZE_MAX);
    spoil(cf, nth, garble);
}

/* As a reader that meets damage, and the next batch. */
static void note(void)
{
    cr_expect_eq(wf_mend_note(node.store, 1, WEFT_CORRUPT), WEFT_CORRUPT);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
}

static void mend(void)
{
    note();
    run_for(WEFT_SEC);
}

static uint64_t mended(void) { return wf_counter_get(&node.store->counters.mended); }

/* -- Life ------------------------------------------------------------------------------------------ */

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
    dag = sk_dag_create(SK_MERGES, ENTRIES, author, 3);
    cr_assert_eq(commit(0, HERE), WEFT_OK);
    rk_open(&node, &tree, 5, WEFT_RIGHT_NONE);
    cr_assert_eq(rk_grant(&node, &tree, BOB, "read"), WEFT_OK);
    cr_assert_eq(rk_grant(&node, &tree, ALICE, "admin:3"), WEFT_OK);
    /* Two beside each other, and one above both, whose policy joins theirs. */
    const rk_say a = {.key = 7, .text = "read"}, b = {.key = 8, .text = "write:4"};
    rk_tree beside = tree;
    weft_id ids[2];
    weft_buf *bufs[2] = {rk_next(&tree, RK_OWNER, &a, 1, &ids[0]),
                         rk_next(&beside, ALICE, &b, 1, &ids[1])};
    cr_assert_eq(sk_commit(&node, bufs, ids, 2, false, NULL), WEFT_OK);
    weft_buf_unref(bufs[0]);
    weft_buf_unref(bufs[1]);
    sk_quiet(true);
    sk_node_crash(&node, SIZE_MAX);
    remember();
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    rk_close(&tree);
    rk_end();
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(mend, .init = setup, .fini = teardown);

/* -- Put right --------------------------------------------------------------------------------------- */

Test(mend, rows_that_are_lost_are_made_again)
{
    for (uint32_t i = 0; i < FAMILIES; i++) {
        damage(families[i], 3, false);
        mend();
        expect_as_it_was();
        cr_expect_gt(mended(), 0);
    }
}

Test(mend, rows_that_say_something_else_are_made_again)
{
    for (uint32_t i = 0; i < FAMILIES; i++) {
        damage(families[i], 5, true);
        mend();
        expect_as_it_was();
    }
}

Test(mend, all_rows_of_all_four_families_are_made_again_of_bodies_and_arrivals)
{
    for (uint32_t i = 0; i < FAMILIES; i++) damage(families[i], 1, false);
    mend();
    expect_as_it_was();
    cr_assert_eq(commit(HERE, ENTRIES - HERE), WEFT_OK);
    bool have[ENTRIES];
    memset(have, 1, sizeof have);
    sk_expect_dag(node.store, dag, have);
    sk_expect_clean(node.store);
}

Test(mend, what_is_called_a_tip_and_is_followed_is_one_no_more)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX], gen[WF_GEN_BYTES];
    wf_batch *batch;
    sk_node_crash(&node, SIZE_MAX);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (uint32_t i = 1; i < 50; i += 7) {
        wf_put64(gen, dag->gens[i]);
        size_t len = wf_key_tip(key, 1, NULL, 0, &dag->ids[i]);
        wf_batch_put(batch, WF_CF_TIP, key, len, gen, sizeof gen);
    }
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    mend();
    expect_as_it_was();
}

/* Who follows a tip that is not listed does not count it off. */
Test(mend, tips_that_were_lost_when_they_were_followed_are_counted_anew)
{
    bool have[ENTRIES] = {false};
    damage(WF_CF_TIP, 1, false);
    cr_assert_eq(commit(HERE, 20), WEFT_OK);
    mend();
    for (uint32_t i = 0; i < HERE + 20; i++) have[i] = true;
    sk_expect_dag(node.store, dag, have);
    sk_expect_clean(node.store);
    sk_node_crash(&node, SIZE_MAX);
    sk_expect_dag(node.store, dag, have);
}

Test(mend, a_batch_that_meets_damage_meanwhile_has_the_rest_made_again_after_it)
{
    bool have[ENTRIES] = {false};
    damage(WF_CF_CHILD, 2, false);
    damage(WF_CF_TRIE, 2, false);
    note();
    cr_expect_eq(commit(HERE, 50), WEFT_CORRUPT);
    run_for(WEFT_SEC);
    cr_assert_eq(commit(HERE, 50), WEFT_OK);
    for (uint32_t i = 0; i < HERE + 50; i++) have[i] = true;
    sk_expect_dag(node.store, dag, have);
    sk_expect_clean(node.store);
}

Test(mend, commits_go_on_between_its_slices)
{
    bool have[ENTRIES] = {false};
    damage(WF_CF_GEN, 2, false);
    damage(WF_CF_CHILD, 2, false);
    note();
    for (uint32_t i = HERE; i < ENTRIES; i++) cr_assert_neq(commit(i, 1), WEFT_IO);
    run_for(30 * WEFT_SEC); /* a batch that met a gap has the tries made again, too */
    cr_assert_eq(commit(0, ENTRIES), WEFT_OK);
    for (uint32_t i = 0; i < ENTRIES; i++) have[i] = true;
    sk_expect_dag(node.store, dag, have);
    sk_expect_clean(node.store);
}

/* -- Who notices it ------------------------------------------------------------------------------------ */

static uint64_t noted(void) { return wf_counter_get(&node.store->base_bad); }

Test(mend, who_reads_fewer_tips_than_there_are_has_them_mended)
{
    weft_id tips[8];
    size_t count;
    bool complete;
    damage(WF_CF_TIP, 1, false);
    uint64_t before = noted();
    cr_assert_eq(wf_store_tips(node.store, 1, tips, 8, &count, &complete), WEFT_OK);
    cr_expect_gt(noted(), before);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
    run_for(WEFT_SEC);
    expect_as_it_was();
    cr_assert_eq(wf_store_tips(node.store, 1, tips, 8, &count, &complete), WEFT_OK);
    cr_expect_gt(count, 0, "none is kept from before");
}

static bool mends; /* while it is told of damage */

static void mend_at_once(void *arg, weft_log_level level, const char *facility, const char *line)
{
    struct wf_mend m = {0};
    (void)arg;
    (void)level;
    (void)facility;
    (void)line;
    if (!mends) return;
    mends = false;
    while (wf_mend_slice(node.store, &m) == WEFT_AGAIN) continue;
    cr_expect_gt(m.changed, 0);
}

Test(mend, a_digest_of_what_was_listed_before_is_not_kept)
{
    uint8_t right[32], first[32], second[32];
    wf_tree_info info;
    cr_assert_eq(wf_store_root_digest(node.store, 1, right, &info), WEFT_OK);
    damage(WF_CF_TIP, 1, false);
    weft_log_to(mend_at_once, NULL, WEFT_LOG_WARN);
    mends = true;
    cr_assert_eq(wf_store_root_digest(node.store, 1, first, &info), WEFT_OK);
    sk_quiet(true);
    cr_expect_not(mends);
    cr_expect_neq(memcmp(first, right, sizeof first), 0);
    cr_assert_eq(wf_store_root_digest(node.store, 1, second, &info), WEFT_OK);
    cr_expect_arr_eq(second, right, sizeof second);
}

Test(mend, who_walks_an_order_with_a_gap_is_told_and_has_it_mended)
{
    wf_gen_walk *walk;
    wf_place place;
    weft_err err;
    uint32_t met = 0;
    damage(WF_CF_GEN, 10, false);
    cr_assert_eq(wf_gen_walk_create(node.store, 1, 0, NULL, &walk), WEFT_OK);
    while ((err = wf_gen_walk_next(walk, &place)) == WEFT_OK) met++;
    wf_gen_walk_destroy(walk);
    cr_expect_eq(err, WEFT_CORRUPT);
    cr_expect_gt(met, HERE / 2, "after all that is there");
    cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
    run_for(WEFT_SEC);
    expect_as_it_was();
}

Test(mend, also_where_no_batch_comes)
{
    damage(WF_CF_GEN, 10, false);
    cr_expect_eq(wf_mend_note(node.store, 1, WEFT_CORRUPT), WEFT_CORRUPT);
    run_for(20 * WEFT_SEC);
    expect_as_it_was();
}

/* Of more tips than an entry may join it looks at what stands beside them. */
Test(mend, who_chooses_among_many_tips_has_a_malformed_one_mended)
{
    enum { MANY = WEFT_ENTRY_PARENTS_MAX + 1 };
    static weft_buf *bufs[MANY];
    static weft_id ids[MANY];
    const rk_say say = {.key = 9, .text = "read"};
    for (uint32_t i = 0; i < MANY; i++) {
        char text[32];
        const rk_say one = {.key = 7, .text = text};
        rk_tree beside = tree;
        (void)snprintf(text, sizeof text, "write:%u", i + 1);
        bufs[i] = rk_next(&beside, RK_OWNER, &one, 1, &ids[i]);
    }
    cr_assert_eq(sk_commit(&node, bufs, ids, MANY, false, NULL), WEFT_OK);
    for (uint32_t i = 0; i < MANY; i++) weft_buf_unref(bufs[i]);
    damage(WF_CF_TIP, 5, true);
    uint64_t before = noted();
    weft_buf *payload = rk_payload(&say, 1), *entry = NULL;
    weft_id id;
    cr_expect_eq(
        wf_compose_settings(node.store, &tree.tree, rk_pair(RK_OWNER), payload, &entry, &id),
        WEFT_CORRUPT);
    cr_expect_gt(noted(), before);
    run_for(20 * WEFT_SEC);
    cr_expect_eq(
        wf_compose_settings(node.store, &tree.tree, rk_pair(RK_OWNER), payload, &entry, &id),
        WEFT_OK);
    weft_buf_unref(entry);
    weft_buf_unref(payload);
}

/* Its facts are lost, so it seems to be new; the order knows it. */
Test(mend, an_entry_that_comes_again_because_its_facts_are_lost_is_not_stored_twice)
{
    wf_tree_info info;
    damage(WF_CF_META, 4, false);
    cr_expect_eq(commit(0, HERE), WEFT_CORRUPT);
    run_for(WEFT_SEC);
    cr_expect_eq(commit(0, HERE), WEFT_OK);
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &info), WEFT_OK);
    cr_expect_eq(info.seq, HERE);
    cr_expect_eq(info.count, HERE);
    expect_as_it_was();
}

Test(mend, a_second_note_soon_after_costs_nothing)
{
    damage(WF_CF_GEN, 10, false);
    mend();
    expect_as_it_was();
    for (uint32_t i = 0; i < 5; i++) {
        note();
        cr_expect_eq(node.store->desk->remake_phase, WF_REMAKE_NONE);
    }
    run_for(700 * WEFT_SEC);
    note();
    cr_expect_eq(node.store->desk->remake_phase, WF_REMAKE_MENDING);
}

/* -- What cannot be ------------------------------------------------------------------------------------- */

Test(mend, of_an_entry_without_body_and_facts_nothing_is_made_up)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_batch *batch;
    uint8_t before[32], after[32];
    damage(WF_CF_GEN, 3, false);
    digest(WF_CF_ARR, before);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_key_seq(key, 1, 40);
    wf_batch_delete(batch, WF_CF_ENTRY, key, sizeof key);
    wf_batch_delete(batch, WF_CF_META, dag->ids[39].bytes, WEFT_ID_BYTES);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    mend();
    wf_meta_brief brief;
    cr_expect_eq(wf_store_meta_brief(node.store, &dag->ids[39], &brief), WEFT_NOT_FOUND);
    cr_expect_eq(wf_damage_count(node.store), 1, "its body is asked for");
    digest(WF_CF_ARR, after);
    cr_expect_arr_eq(after, before, sizeof after);
    for (uint32_t i = 0; i < HERE; i++)
        if (i != 39) cr_expect_eq(wf_store_meta_brief(node.store, &dag->ids[i], &brief), WEFT_OK);
}

/* A body says nothing while it is damaged; the facts do. */
Test(mend, a_damaged_body_does_not_keep_the_other_rows_from_being_mended)
{
    damage(WF_CF_ENTRY, 50, true);
    damage(WF_CF_GEN, 3, false);
    damage(WF_CF_CHILD, 3, false);
    mend();
    for (uint32_t i = 1; i <= 2; i++) {
        uint8_t now[32];
        digest(families[i], now);
        cr_expect_arr_eq(now, whole[i], sizeof now, "family %s", wf_cf_names[families[i]]);
    }
}

/* -- Interrupted ------------------------------------------------------------------------------------------ */

Test(mend, a_write_that_fails_is_done_again)
{
    uint64_t outages = 0;
    for (uint64_t nth = 1; nth <= 400; nth += 57) {
        damage(WF_CF_META, 2, false);
        note();
        wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
        run_for(WEFT_SEC);
        wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
        run_for(60 * WEFT_SEC);
        outages += wf_counter_get(&node.store->counters.outages);
        run_for(601 * WEFT_SEC); /* what was not synced may have gone with an outage */
        mend();
        expect_as_it_was();
    }
    cr_expect_gt(outages, 2);
}

Test(mend, a_tree_that_is_removed_meanwhile_leaves_nothing)
{
    damage(WF_CF_META, 2, false);
    note();
    struct wf_remove *msg = wf_remove_create(&dag->tree);
    cr_assert_eq(weft_send(node.addr, &msg->req.msg), WEFT_OK);
    run_for(60 * WEFT_SEC);
    for (uint32_t i = 1; i < FAMILIES; i++) { /* the facts that are left lie by their ids */
        wf_kv_iter *it;
        uint8_t prefix[8];
        wf_put64(prefix, 1);
        cr_assert_eq(wf_kv_iter_create(node.kv, NULL, families[i], prefix, sizeof prefix, &it),
                     WEFT_OK);
        wf_kv_iter_first(it);
        cr_expect_not(wf_kv_iter_valid(it), "family %s", wf_cf_names[families[i]]);
        wf_kv_iter_destroy(it);
    }
}

/* Else one who may write has the store's thread busy with hundreds of entries of many parents. */
Test(mend, a_slice_ends_after_many_looks_at_other_entries)
{
    enum { LOW = WEFT_ENTRY_PARENTS_MAX, WIDE = 64, LOOKS = 8192 };
    static weft_buf *bufs[LOW + WIDE];
    static weft_id ids[LOW + WIDE];
    struct wf_mend m = {0};
    weft_err err;
    uint64_t most = 0;
    for (uint32_t i = 0; i < LOW + WIDE; i++) {
        const bool low = i < LOW;
        sk_entry spec = {.tree = dag->tree,
                         .parents = low ? dag->ids : ids,
                         .parents_count = low ? 1 : LOW,
                         .height = low ? 1 : 2,
                         .payload = &i,
                         .payload_len = sizeof i};
        bufs[i] = sk_build(&spec, author, &ids[i]);
    }
    cr_assert_eq(sk_commit(&node, bufs, ids, LOW + WIDE, true, NULL), WEFT_OK);
    for (uint32_t i = 0; i < LOW + WIDE; i++) weft_buf_unref(bufs[i]);
    while ((err = wf_mend_slice(node.store, &m)) == WEFT_AGAIN) {
        cr_assert_leq(m.looks, LOOKS + 2 * LOW);
        if (m.looks > most) most = m.looks;
    }
    cr_expect_eq(err, WEFT_OK);
    cr_expect_geq(most, LOOKS);
    cr_expect_eq(m.changed, 0);
}

/* -- On disk ---------------------------------------------------------------------------------------------- */

static void on_disk(const struct kk_engine *engine)
{
    char dir[64];
    kk_need(engine);
    kk_dir_create(dir);
    sk_node_close(&node);
    sk_node_open_kv(&node, 1, kk_open(engine, dir));
    cr_assert_eq(commit(0, HERE), WEFT_OK);
    remember();
    for (uint32_t i = 0; i < FAMILIES; i++) spoil(families[i], 3, i % 2 == 0);
    mend();
    expect_as_it_was();
    sk_node_close(&node);
    kk_dir_remove(dir);
    sk_node_open(&node, 1);
}

Test(mend, in_rocksdb_too) { on_disk(&kk_rocksdb); }
Test(mend, in_lmdb_too) { on_disk(&kk_lmdb); }
