/* SPDX-License-Identifier: Apache-2.0
 * test_tips.c - sets of tips in memory: they say what the engine says, or nothing.
 * Called by: meson test. May touch: the sets, the engine behind the store's back. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "dag_view.h"
#include "kv_faulty.h"
#include "layout.h"
#include "state.h"
#include "store_kit.h"

#define ENTRIES 120u

static weft_keypair *author;
static sk_node node;

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    weft_keypair_destroy(author);
}

TestSuite(tips, .init = setup, .fini = teardown);

struct asked {
    weft_id ids[ENTRIES];
    size_t count;
    bool complete;
};

static struct asked ask(const char *name, size_t room)
{
    struct asked a = {0};
    weft_err err = name == NULL ? wf_store_tips(node.store, 1, a.ids, room, &a.count, &a.complete)
                                : wf_store_named_tips(node.store, 1, name, a.ids, room, &a.count,
                                                      &a.complete);
    cr_assert_eq(err, WEFT_OK);
    return a;
}

static void forget(void)
{
    wf_rwlock_write(node.store->lock);
    wf_tips_clear(&node.store->tips);
    wf_rwlock_give(node.store->lock);
}

static bool kept(const char *name)
{
    weft_id *ids;
    uint32_t count;
    wf_tree_info info;
    weft_err err = wf_store_kept_tips(node.store, 1, name, name == NULL ? 0 : strlen(name), &ids,
                                      &count, &info);
    if (err == WEFT_OK) wf_free(ids);
    return err == WEFT_OK;
}

static void same(const struct asked *a, const struct asked *b)
{
    cr_assert_eq(a->count, b->count);
    cr_assert_eq(a->complete, b->complete);
    cr_assert_eq(memcmp(a->ids, b->ids, a->count * sizeof a->ids[0]), 0);
}

static weft_err commit(const sk_dag *dag, uint32_t from, uint32_t count)
{
    return sk_commit(&node, dag->bufs + from, dag->ids + from, count, true, NULL);
}

/* -- They say what the engine says ------------------------------------------------------------- */

Test(tips, sets_in_memory_follow_every_batch)
{
    for (int shape = 0; shape < SK_SHAPES; shape++) {
        teardown();
        setup();
        sk_dag *dag = sk_dag_create((enum sk_shape)shape, ENTRIES, author, 5);
        kit_random r = {(uint64_t)shape + 1};
        for (uint32_t at = 0, n; at < ENTRIES; at += n) {
            n = 1 + kit_below(&r, 9);
            if (n > ENTRIES - at) n = ENTRIES - at;
            cr_assert_eq(commit(dag, at, n), WEFT_OK);
            struct asked tree = ask(NULL, ENTRIES), store = ask("main", ENTRIES);
            cr_assert(kept(NULL) && kept("main"), "asked for once, they are kept");
            if (kit_below(&r, 4) != 0) continue;
            forget();
            struct asked read_tree = ask(NULL, ENTRIES), read_store = ask("main", ENTRIES);
            same(&tree, &read_tree);
            same(&store, &read_store);
        }
        sk_expect_dag(node.store, dag, NULL);
        sk_expect_clean(node.store);
        sk_dag_destroy(dag);
    }
}

Test(tips, digests_of_kept_tips_and_of_read_ones_are_equal)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, ENTRIES, author, 5);
    uint8_t digest[2][32];
    wf_tree_info info[2];
    cr_assert_eq(commit(dag, 0, ENTRIES), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        forget();
        if (i == 1) (void)ask(NULL, ENTRIES);
        node.store->trees.list[0]->digest_seq = UINT64_MAX;
        cr_assert_eq(wf_store_root_digest(node.store, 1, digest[i], &info[i]), WEFT_OK);
    }
    cr_expect_arr_eq(digest[0], digest[1], 32);
    cr_expect_eq(info[0].seq, info[1].seq);
    sk_dag_destroy(dag);
}

Test(tips, kept_tips_cost_no_read)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, ENTRIES, author, 5);
    cr_assert_eq(commit(dag, 0, ENTRIES), WEFT_OK);
    struct asked before = ask(NULL, ENTRIES);
    wf_kv *faulty = kv_faulty_create(node.kv);
    node.store->kv = faulty;
    kv_faulty_fail_at(faulty, 1, WEFT_IO);
    struct asked after = ask(NULL, ENTRIES);
    same(&before, &after);
    struct asked some = ask(NULL, 2);
    cr_expect(some.count == 2 && !some.complete);
    cr_expect_not(kv_faulty_met(faulty));
    node.store->kv = node.kv;
    free(faulty);
    sk_dag_destroy(dag);
}

/* One that names `count` entries as its parents, at the height that it must have. */
static weft_err join(const sk_dag *dag, const weft_id *parents, uint32_t count, uint64_t height)
{
    weft_buf *buf;
    weft_id id;
    weft_store_part part = {.name = "main", .payload = "x", .payload_len = 1};
    weft_entry_spec spec = {.tree = dag->tree,
                            .parents = parents,
                            .parents_count = count,
                            .height = height,
                            .stores = &part,
                            .stores_count = 1};
    cr_assert_eq(weft_entry_build(&spec, author, &buf, &id), WEFT_OK);
    weft_err err = sk_commit(&node, &buf, &id, 1, true, NULL);
    weft_buf_unref(buf);
    return err;
}

Test(tips, one_that_joins_many_is_the_tip_in_the_place_of_those_that_were)
{
    enum { JOINED = 100, FOLLOWED = 30 };
    sk_dag *dag = sk_dag_create(SK_STAR, ENTRIES, author, 5);
    cr_assert_eq(commit(dag, 0, JOINED + 1), WEFT_OK);
    for (uint32_t i = 1; i <= FOLLOWED; i++)
        cr_assert_eq(join(dag, &dag->ids[i], 1, dag->heights[i] + 1), WEFT_OK);
    wf_briefs_clear(&node.store->briefs); /* as after an opening: nothing is known of them */
    cr_assert_eq(join(dag, dag->ids + 1, JOINED, 2), WEFT_OK);
    wf_tree_info info;
    cr_assert_eq(wf_store_tree_by_number(node.store, 1, &info), WEFT_OK);
    cr_expect_eq(info.tips, FOLLOWED + 1);
    cr_expect_eq(ask(NULL, ENTRIES).count, FOLLOWED + 1);
    sk_expect_clean(node.store);
    sk_dag_destroy(dag);
}

/* -- Or nothing -------------------------------------------------------------------------------- */

Test(tips, a_failed_batch_leaves_no_trace_in_them)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, ENTRIES, author, 5);
    cr_assert_eq(commit(dag, 0, 60), WEFT_OK);
    struct asked before = ask(NULL, ENTRIES);
    wf_kv_memory_fail_at(node.kv, 1, WEFT_NO_SPACE, false); /* nothing is touched */
    cr_assert_eq(commit(dag, 60, 30), WEFT_NO_SPACE);
    struct asked after = ask(NULL, ENTRIES);
    same(&before, &after);
    wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
    cr_assert_eq(commit(dag, 60, 30), WEFT_IO);
    wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false); /* it has landed after all */
    sk_node_settle(&node);
    cr_expect_not(kept(NULL), "after an opening nothing is taken for known");
    cr_assert_eq(commit(dag, 60, 60), WEFT_OK);
    sk_expect_dag(node.store, dag, NULL);
    sk_dag_destroy(dag);
}

/* As the engine has it while the writer is about to publish: one more arrival, one more tip. */
static void write_ahead(void)
{
    uint8_t key[WF_KEY_TREE_BYTES], counts[WF_COUNTS_BYTES], tip[WF_KEY_TIP_BYTES_MAX],
        gen[8] = {0};
    const weft_id id = {{0xff, 0xff}};
    wf_tree_info info;
    wf_batch *batch;
    cr_assert_eq(wf_store_tree_by_number(node.store, 1, &info), WEFT_OK);
    info.seq++;
    wf_key_tree(key, WF_TREE_COUNTS, 1);
    wf_counts_write(&info, counts);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_TREE, key, sizeof key, counts, sizeof counts);
    wf_batch_put(batch, WF_CF_TIP, tip, wf_key_tip(tip, 1, NULL, 0, &id), gen, sizeof gen);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(tips, what_is_written_and_not_published_is_not_kept)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, ENTRIES, author, 5);
    cr_assert_eq(commit(dag, 0, ENTRIES), WEFT_OK);
    write_ahead();
    forget();
    (void)ask(NULL, ENTRIES);
    cr_expect_not(kept(NULL));
    sk_dag_destroy(dag);
}

Test(tips, a_view_of_what_is_not_published_has_its_own_tips)
{
    sk_dag *dag = sk_dag_create(SK_WIDE, ENTRIES, author, 5);
    struct wf_dag *view;
    cr_assert_eq(commit(dag, 0, ENTRIES), WEFT_OK);
    struct asked published = ask(NULL, ENTRIES);
    write_ahead();
    cr_assert(kept(NULL));
    cr_assert_eq(wf_dag_open(node.store, &dag->tree, NULL, &view), WEFT_OK);
    cr_assert_eq(wf_dag_tips(view), WEFT_OK);
    cr_expect_eq(view->tips_count, published.count + 1);
    wf_dag_unref(view);
    sk_dag_destroy(dag);
}

Test(tips, a_part_of_the_tips_is_not_kept)
{
    sk_dag *dag = sk_dag_create(SK_STAR, ENTRIES, author, 5);
    cr_assert_eq(commit(dag, 0, ENTRIES), WEFT_OK);
    forget();
    struct asked some = ask(NULL, 5);
    cr_expect(some.count == 5 && !some.complete);
    cr_expect_not(kept(NULL));
    sk_dag_destroy(dag);
}

/* -- From anywhere ------------------------------------------------------------------------------- */

/* What a reading from `from` gives of `all`, by the words of store.h. */
static void expect_round(const struct asked *all, const char *name, const weft_id *from,
                         size_t room)
{
    struct asked some = {0};
    size_t first = 0;
    while (first < all->count && weft_id_compare(&all->ids[first], from) < 0) first++;
    cr_assert_eq(
        wf_store_tips_from(node.store, 1, name, from, some.ids, room, &some.count, &some.complete),
        WEFT_OK);
    cr_assert_eq(some.count, room < all->count ? room : all->count);
    cr_assert_eq(some.complete, all->count <= room);
    for (size_t i = 0; i < some.count; i++)
        cr_assert(weft_id_equal(&some.ids[i], &all->ids[(first + i) % all->count]));
}

Test(tips, they_are_read_from_anywhere_round_to_there)
{
    sk_dag *dag = sk_dag_create(SK_STAR, ENTRIES, author, 5);
    cr_assert_eq(commit(dag, 0, ENTRIES), WEFT_OK);
    struct asked all = ask(NULL, ENTRIES), named = ask("main", ENTRIES);
    cr_assert_gt(all.count, 50);
    for (uint32_t i = 0; i < 200; i++) {
        weft_id from = {{(uint8_t)(i * 37), (uint8_t)i}};
        if (i % 3 == 0) from = all.ids[i % all.count];
        if (i == 100) memset(from.bytes, 0xff, sizeof from.bytes);
        if (i % 2 == 0) forget(); /* else from memory, if all of them were read before */
        size_t room = i % 5 == 0 ? all.count : 1 + i * 7 % ENTRIES;
        expect_round(&all, NULL, &from, room);
        expect_round(&named, "main", &from, room);
    }
    sk_dag_destroy(dag);
}

Test(tips, all_of_them_read_from_anywhere_are_kept_in_their_order)
{
    sk_dag *dag = sk_dag_create(SK_STAR, ENTRIES, author, 5);
    weft_id from = {{0x80}};
    struct asked round = {0};
    cr_assert_eq(commit(dag, 0, ENTRIES), WEFT_OK);
    struct asked all = ask(NULL, ENTRIES);
    forget();
    cr_assert_eq(wf_store_tips_from(node.store, 1, NULL, &from, round.ids, ENTRIES, &round.count,
                                    &round.complete),
                 WEFT_OK);
    cr_assert(kept(NULL));
    struct asked again = ask(NULL, ENTRIES);
    same(&all, &again);
    sk_dag_destroy(dag);
}

/* -- Bounds -------------------------------------------------------------------------------------- */

static struct wf_tips *fresh_sets(void)
{
    struct wf_tips *tips = calloc(1, sizeof *tips);
    cr_assert_not_null(tips);
    wf_tips_init(tips, 77);
    return tips;
}

Test(tips, sets_have_bounds)
{
    struct wf_tips *tips = fresh_sets();
    weft_id *ids = calloc(WEFT_STORE_TIPS_SET_MAX + 1, sizeof *ids);
    for (uint32_t i = 0; i <= WEFT_STORE_TIPS_SET_MAX; i++) wf_put32(ids[i].bytes, i);
    uint8_t prefix[9] = {0};
    wf_tips_keep(tips, tips->version, prefix, sizeof prefix, ids, WEFT_STORE_TIPS_SET_MAX + 1, 0);
    cr_expect_null(wf_tips_find(tips, prefix, sizeof prefix), "too large");
    for (uint32_t t = 1; t < 3000; t++) {
        wf_put64(prefix, t);
        wf_tips_keep(tips, tips->version, prefix, sizeof prefix, ids, t % 300, 0);
        cr_assert_leq(wf_tips_bytes(tips), (WEFT_STORE_TIPS_MAX * 32 + WEFT_STORE_TIPS_SETS * 100));
        const struct wf_tip_set *set = wf_tips_find(tips, prefix, sizeof prefix);
        cr_assert(set != NULL && set->count == t % 300);
    }
    uint64_t version = tips->version;
    wf_tips_clear(tips);
    wf_tips_keep(tips, version, prefix, sizeof prefix, ids, 3, 0);
    cr_expect_null(wf_tips_find(tips, prefix, sizeof prefix), "read before all was forgotten");
    cr_expect_eq(tips->rooms, 0);
    free(ids);
    free(tips);
}

Test(tips, a_set_that_grows_too_large_goes_as_a_whole)
{
    struct wf_tips *tips = fresh_sets();
    uint8_t key[9 + 32] = {0};
    wf_batch *batch;
    wf_tips_keep(tips, tips->version, key, 9, NULL, 0, 0);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (uint32_t i = 0; i < WEFT_STORE_TIPS_SET_MAX; i++) {
        wf_put32(key + 9, i * 7919);
        wf_batch_put(batch, WF_CF_TIP, key, sizeof key, "", 0);
        wf_batch_put(batch, WF_CF_META, key, sizeof key, "", 0);
    }
    wf_tips_publish(tips, batch);
    wf_tips_publish(tips, batch); /* once more changes nothing */
    const struct wf_tip_set *set = wf_tips_find(tips, key, 9);
    cr_assert(set != NULL && set->count == WEFT_STORE_TIPS_SET_MAX);
    for (uint32_t i = 1; i < set->count; i++)
        cr_assert_lt(weft_id_compare(&set->ids[i - 1], &set->ids[i]), 0);
    memset(key + 9, 0xff, 32);
    wf_batch_put(batch, WF_CF_TIP, key, sizeof key, "", 0);
    wf_tips_publish(tips, batch);
    cr_expect_null(wf_tips_find(tips, key, 9));
    wf_batch_destroy(batch);
    wf_tips_clear(tips);
    free(tips);
}

Test(tips, short_of_memory_a_set_is_not_kept_or_goes)
{
    sk_dag *dag = sk_dag_create(SK_STAR, ENTRIES, author, 5);
    cr_assert_eq(commit(dag, 0, ENTRIES / 2), WEFT_OK);
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct asked a = {0};
        forget();
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = wf_store_tips(node.store, 1, a.ids, ENTRIES, &a.count, &a.complete);
        (void)wf_alloc_fail_at(0, 0);
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY);
        if (err == WEFT_OK) cr_assert_eq(a.count, ENTRIES / 2 - 1);
    }
    cr_assert_eq(commit(dag, ENTRIES / 2, ENTRIES / 2), WEFT_OK);
    sk_expect_dag(node.store, dag, NULL);
    sk_dag_destroy(dag);
}
