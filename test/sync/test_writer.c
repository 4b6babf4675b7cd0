/* SPDX-License-Identifier: Apache-2.0
 * test_writer.c - what the commits of a writer stand on, with few tips and with very many.
 * Called by: the test runner. May touch: the simulator, and for what is counted at the engine a
 * node on threads of its own. Never: the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include "block.h"
#include "kv_faulty.h"
#include "lone.h"
#include "node_internal.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }

struct answer {
    int calls;
    weft_err err;
};

/* `count` branches of the tree, each one entry above its root. */
static void branch_out_at(weft_node *to, const weft_id *tree, const weft_keypair *author,
                          uint32_t from, uint32_t count)
{
    enum { BATCH = 200 };
    weft_buf *bufs[BATCH];
    for (uint32_t at = 0; at < count;) {
        uint32_t n = 0;
        for (; n < BATCH && at < count; n++, at++) {
            uint32_t number = from + at;
            weft_id id;
            weft_store_part part = {.name = "log", .payload = &number, .payload_len = 4};
            weft_entry_spec spec = {.tree = *tree,
                                    .parents = tree,
                                    .parents_count = 1,
                                    .height = 1,
                                    .stores = &part,
                                    .stores_count = 1};
            cr_assert_eq(weft_entry_build(&spec, author, &bufs[n], &id), WEFT_OK);
        }
        cr_assert_eq(weft_add(to, bufs, n, true, CALL, NULL), WEFT_OK);
        for (uint32_t i = 0; i < n; i++) weft_buf_unref(bufs[i]);
    }
}

static void branch_out(struct world *w, uint32_t count)
{
    branch_out_at(node(w, 0), &w->tree, w->author, 0, count);
}

static weft_entry *entry_of(struct world *w, const weft_id *id, weft_buf **buf)
{
    static weft_entry entry;
    cr_assert_eq(weft_get(node(w, 0), id, buf), WEFT_OK);
    cr_assert_eq(weft_entry_decode(weft_buf_bytes(*buf), weft_buf_len(*buf), &entry), WEFT_OK);
    return &entry;
}

static weft_entry *committed(struct world *w, weft_writer *writer, weft_id *id, weft_buf **buf)
{
    weft_err err = weft_commit(writer, "log", "x", 1, CALL, id);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return entry_of(w, id, buf);
}

static bool names(const weft_entry *entry, const weft_id *id)
{
    bool found = false;
    for (uint32_t i = 0; i < entry->parents_count; i++) {
        weft_id parent;
        weft_entry_parent(entry, i, &parent);
        found = found || weft_id_equal(&parent, id);
    }
    return found;
}

Test(writer, many_tips_are_joined_by_a_few_commits)
{
    enum { TIPS = 300 };
    struct world *w = world_create(7, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_writer *writer = NULL;
    weft_id own, id;
    weft_buf *buf = NULL;
    cr_assert_eq(weft_writer_open(node(w, 0), &w->tree, w->author, &writer), WEFT_OK);
    (void)committed(w, writer, &own, &buf);
    weft_buf_unref(buf);
    branch_out(w, TIPS);
    cr_assert_eq(world_info(w, 0).tips, TIPS + 1);
    weft_entry *entry = committed(w, writer, &id, &buf);
    cr_expect_eq(entry->parents_count, WEFT_ENTRY_PARENTS_MAX);
    cr_expect_eq(entry->stores[0].parents_count, WEFT_ENTRY_PARENTS_MAX);
    cr_expect(names(entry, &own), "its own last entry comes first");
    weft_buf_unref(buf);
    cr_expect_eq(world_info(w, 0).tips, TIPS + 1 - WEFT_ENTRY_PARENTS_MAX + 1);
    entry = committed(w, writer, &id, &buf);
    cr_expect_eq(entry->parents_count, TIPS + 1 - WEFT_ENTRY_PARENTS_MAX + 1);
    weft_buf_unref(buf);
    cr_expect_eq(world_info(w, 0).tips, 1);
    weft_writer_close(writer);
    world_destroy(w);
}

Test(writer, its_commits_join_all_tips_one_after_another)
{
    enum { TIPS = 1000, COMMITS = 4 }; /* the first joins 256, each other one 255 and that before */
    struct world *w = world_create(8, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_writer *writer = NULL;
    weft_id id;
    branch_out(w, TIPS);
    cr_assert_eq(weft_writer_open(node(w, 0), &w->tree, w->author, &writer), WEFT_OK);
    for (uint32_t i = 0; i < COMMITS; i++)
        cr_assert_eq(weft_commit(writer, "log", "x", 1, CALL, &id), WEFT_OK);
    cr_expect_eq(world_info(w, 0).tips, 1);
    weft_writer_close(writer);
    world_destroy(w);
}

/* How many parents the two have in common. */
static uint32_t common(struct world *w, const weft_id *a, const weft_id *b)
{
    static weft_entry of_a;
    weft_buf *buf_a, *buf_b;
    uint32_t count = 0;
    of_a = *entry_of(w, a, &buf_a);
    const weft_entry *of_b = entry_of(w, b, &buf_b);
    for (uint32_t i = 0; i < of_a.parents_count; i++) {
        weft_id parent;
        weft_entry_parent(&of_a, i, &parent);
        count += names(of_b, &parent);
    }
    weft_buf_unref(buf_a);
    weft_buf_unref(buf_b);
    return count;
}

static void on_commit(void *arg, weft_err err, const weft_id *id)
{
    struct answer *a = arg;
    (void)id;
    a->calls++;
    if (a->err == WEFT_OK) a->err = err;
}

Test(writer, commits_that_are_begun_together_are_a_chain)
{
    struct world *w = world_create(8, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_writer *writer = NULL;
    weft_id ids[3];
    weft_buf *got = NULL;
    struct answer a = {0};
    cr_assert_eq(weft_writer_open(node(w, 0), &w->tree, w->author, &writer), WEFT_OK);
    cr_expect_eq(weft_commit_async(writer, "log", "x", 1, NULL, &a, NULL), WEFT_INVALID);
    for (uint8_t i = 0; i < 3; i++)
        cr_assert_eq(weft_commit_async(writer, "log", &i, 1, on_commit, &a, &ids[i]), WEFT_OK);
    cr_expect_eq(a.calls, 0);
    world_run(w, 10 * WEFT_MS);
    cr_expect_eq(a.calls, 3);
    cr_expect_eq(a.err, WEFT_OK);
    cr_expect_eq(world_info(w, 0).tips, 1, "each took the one before as its parent");
    cr_expect_eq(world_info(w, 0).max_gen, 3);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(weft_get(node(w, 0), &ids[i], &got), WEFT_OK);
        weft_buf_unref(got);
    }
    weft_writer_close(writer);
    world_destroy(w);
}

Test(writer, commits_under_way_do_not_join_the_same_tips)
{
    struct world *w = world_create(9, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_writer *writer = NULL;
    weft_id ids[2];
    struct answer a = {0};
    branch_out(w, 600);
    cr_assert_eq(weft_writer_open(node(w, 0), &w->tree, w->author, &writer), WEFT_OK);
    for (uint8_t i = 0; i < 2; i++)
        cr_assert_eq(weft_commit_async(writer, "log", &i, 1, on_commit, &a, &ids[i]), WEFT_OK);
    world_run(w, 10 * WEFT_MS);
    cr_assert(a.calls == 2 && a.err == WEFT_OK);
    cr_expect_eq(common(w, &ids[0], &ids[1]), 0);
    weft_buf *buf;
    cr_expect(names(entry_of(w, &ids[1], &buf), &ids[0]), "its own last entry is joined always");
    weft_buf_unref(buf);
    cr_expect_eq(world_info(w, 0).tips, 600 - 256 - 255 + 1);
    weft_writer_close(writer);
    world_destroy(w);
}

Test(writer, one_that_is_opened_anew_begins_with_other_tips)
{
    struct world *w = world_create(10, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_writer *writer[2];
    weft_id ids[2];
    struct answer a = {0};
    branch_out(w, 2000);
    cr_assert_eq(weft_writer_open(node(w, 0), &w->tree, w->author, &writer[0]), WEFT_OK);
    branch_out_at(node(w, 0), &w->tree, w->author, 2000, 1);
    cr_assert_eq(weft_writer_open(node(w, 0), &w->tree, w->author, &writer[1]), WEFT_OK);
    for (uint8_t i = 0; i < 2; i++)
        cr_assert_eq(weft_commit_async(writer[i], "log", &i, 1, on_commit, &a, &ids[i]), WEFT_OK);
    world_run(w, 10 * WEFT_MS);
    cr_assert(a.calls == 2 && a.err == WEFT_OK);
    cr_expect_lt(common(w, &ids[0], &ids[1]), WEFT_ENTRY_PARENTS_MAX / 2);
    for (uint8_t i = 0; i < 2; i++) weft_writer_close(writer[i]);
    world_destroy(w);
}

/* -- Heights that no clock has given -------------------------------------------------------------- */

/* A tree by time in a world, and the entry that somebody with a strange clock puts into it. */
static weft_id tree_by_time(struct world *w)
{
    weft_root_spec spec = {.height = WEFT_HEIGHT_TIMESTAMP, .everyone = WEFT_RIGHT_WRITE};
    weft_id tree;
    cr_assert_eq(weft_tree_create(node(w, 0), w->author, &spec, CALL, &tree), WEFT_OK);
    return tree;
}

static weft_id put_at(struct world *w, const weft_id *tree, const weft_id *parent, uint64_t height)
{
    weft_store_part part = {.name = "log", .payload = "late", .payload_len = 4};
    weft_entry_spec spec = {.tree = *tree,
                            .parents = parent,
                            .parents_count = 1,
                            .height = height,
                            .stores = &part,
                            .stores_count = 1};
    weft_buf *buf;
    weft_id id;
    cr_assert_eq(weft_entry_build(&spec, w->author, &buf, &id), WEFT_OK);
    cr_assert_eq(weft_add(node(w, 0), &buf, 1, true, CALL, NULL), WEFT_OK);
    weft_buf_unref(buf);
    return id;
}

/* Commits, which must be taken; its height, and whether it stands on that entry. */
static uint64_t height_beside(struct world *w, weft_writer *writer, const weft_id *far, bool *on)
{
    weft_buf *buf;
    weft_id id;
    const weft_entry *entry = committed(w, writer, &id, &buf);
    uint64_t height = entry->height;
    *on = names(entry, far);
    for (uint32_t i = 0; i < entry->stores[0].parents_count; i++) {
        weft_id parent;
        weft_entry_store_parent(&entry->stores[0], i, &parent);
        *on = *on || weft_id_equal(&parent, far);
    }
    weft_buf_unref(buf);
    return height;
}

Test(writer, an_entry_at_the_end_of_heights_is_not_stood_on)
{
    struct world *w = world_create(11, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = tree_by_time(w), far = put_at(w, &tree, &tree, WEFT_HEIGHT_MAX);
    weft_writer *writer;
    bool on;
    cr_assert_eq(weft_writer_open(node(w, 0), &tree, w->author, &writer), WEFT_OK);
    for (int i = 0; i < 3; i++) {
        cr_expect_lt(height_beside(w, writer, &far, &on), WEFT_HEIGHT_MAX / 2);
        cr_expect_not(on);
    }
    weft_writer_close(writer);
    world_destroy(w);
}

Test(writer, one_that_stands_on_all_others_is_not_stood_on_either)
{
    struct world *w = world_create(12, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = tree_by_time(w), mine, far;
    weft_writer *writer[2];
    weft_buf *buf;
    bool on;
    cr_assert_eq(weft_writer_open(node(w, 0), &tree, w->author, &writer[0]), WEFT_OK);
    (void)committed(w, writer[0], &mine, &buf);
    weft_buf_unref(buf);
    far = put_at(w, &tree, &mine, WEFT_HEIGHT_MAX - 5);
    cr_assert_eq(weft_writer_open(node(w, 0), &tree, w->author, &writer[1]), WEFT_OK);
    cr_expect_lt(height_beside(w, writer[1], &far, &on), WEFT_HEIGHT_MAX / 2);
    cr_expect_not(on);
    for (int i = 0; i < 2; i++) weft_writer_close(writer[i]);
    world_destroy(w);
}

Test(writer, where_all_is_high_only_the_end_is_left_out)
{
    struct world *w = world_create(13, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = tree_by_time(w), low = put_at(w, &tree, &tree, WEFT_HEIGHT_MAX - 2);
    weft_id far = put_at(w, &tree, &low, WEFT_HEIGHT_MAX - 1);
    weft_writer *writer;
    bool on;
    cr_assert_eq(weft_writer_open(node(w, 0), &tree, w->author, &writer), WEFT_OK);
    for (int i = 0; i < 3; i++) { /* the writer's own last one is at the end from then on */
        cr_expect_eq(height_beside(w, writer, &far, &on), WEFT_HEIGHT_MAX);
        cr_expect(on);
    }
    weft_writer_close(writer);
    world_destroy(w);
}

Test(writer, what_is_some_days_ahead_is_stood_on)
{
    struct world *w = world_create(14, WORLD_CHAIN, 2, WORLD_NO_PUSH);
    weft_id tree = tree_by_time(w);
    uint64_t ahead = (uint64_t)wf_wall_ms(node(w, 0)->rt) + 5 * UINT64_C(86400000);
    weft_id far = put_at(w, &tree, &tree, ahead);
    weft_writer *writer;
    bool on;
    cr_assert_eq(weft_writer_open(node(w, 0), &tree, w->author, &writer), WEFT_OK);
    cr_expect_eq(height_beside(w, writer, &far, &on), ahead + 1);
    cr_expect(on);
    weft_writer_close(writer);
    world_destroy(w);
}

/* -- What they cost --------------------------------------------------------------------------- */

/* Reads of the engine for one commit, beside `tips` tips. */
static uint64_t reads_beside(uint32_t tips)
{
    struct lone l;
    wf_kv *inner;
    cr_assert_eq(wf_kv_memory_open(&inner), WEFT_OK);
    wf_kv *kv = kv_faulty_create(inner);
    lone_open(&l, NULL, kv);
    branch_out_at(l.node, &l.tree, l.author, 0, tips);
    uint64_t before = kv_faulty_reads(kv);
    cr_assert_eq(weft_commit(l.writer, "log", "x", 1, CALL, NULL), WEFT_OK);
    uint64_t reads = kv_faulty_reads(kv) - before;
    lone_close(&l);
    return reads;
}

Test(writer, a_commit_reads_no_more_beside_ten_times_as_many_tips)
{
    uint64_t some = reads_beside(600), many = reads_beside(6000);
    cr_expect_gt(some, WEFT_ENTRY_PARENTS_MAX, "%lu: they were not counted", some);
    cr_expect_leq(many, some + some / 5, "%lu reads, then %lu", some, many);
}
