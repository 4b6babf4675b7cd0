/* SPDX-License-Identifier: Apache-2.0
 * test_view_source.c - where a map's payloads come from: by the store's list or by arrivals, the
 * same map, and what it costs.
 * Called by: meson test. May touch: the memory engine. Never: a disk, a real thread. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kv_faulty.h"
#include "state.h"
#include "store_kit.h"
#include "view.h"

#define ENTRIES_MAX 1200u

static weft_keypair *author;
static sk_node node;
static struct {
    weft_id ids[ENTRIES_MAX];
    uint64_t gens[ENTRIES_MAX];
    uint32_t count;
} made;

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
    weft_buf *buf = sk_root(author, 1, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &made.ids[0]);
    cr_assert_eq(sk_commit(&node, &buf, &made.ids[0], 1, true, NULL), WEFT_OK);
    weft_buf_unref(buf);
    made.count = 1;
}

static void teardown(void)
{
    if (node.store->kv != node.kv) free(node.store->kv);
    node.store->kv = node.kv;
    sk_node_close(&node);
    weft_keypair_destroy(author);
}

TestSuite(view_source, .init = setup, .fini = teardown);

/* One more entry above these, which sets the path `key` to its own number. */
static uint32_t add(const char *store, const uint32_t *above, uint32_t count, char key)
{
    weft_id parents[2], *id = &made.ids[made.count];
    uint64_t gen = 0;
    uint8_t payload[64];
    size_t len;
    wf_map_op op = {.path = {1, {{&key, 1}}}, .set = true, .value = weft_map_uint(made.count)};
    cr_assert_lt(made.count, ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        parents[i] = made.ids[above[i]];
        if (made.gens[above[i]] >= gen) gen = made.gens[above[i]] + 1;
    }
    if (count == 2 && weft_id_compare(&parents[0], &parents[1]) > 0) {
        parents[1] = parents[0];
        parents[0] = made.ids[above[1]];
    }
    cr_assert_eq(wf_map_ops_encode(&op, 1, payload, sizeof payload, &len), WEFT_OK);
    sk_entry e = {.tree = made.ids[0],
                  .parents = parents,
                  .parents_count = count,
                  .height = gen,
                  .name = store,
                  .payload = key == '!' ? "none" : (const char *)payload,
                  .payload_len = key == '!' ? 4 : len};
    weft_buf *buf = sk_build(&e, author, id);
    cr_assert_eq(sk_commit(&node, &buf, id, 1, false, NULL), WEFT_OK);
    weft_buf_unref(buf);
    made.gens[made.count] = gen;
    return made.count++;
}

/* A chain in which each hundredth entry writes "rare". */
static void chain_to(uint32_t count)
{
    while (made.count < count) {
        uint32_t above = made.count - 1;
        add(made.count % 100 == 0 ? "rare" : "common", &above, 1, 'a');
    }
}

/* On a random old one or two, so that what arrives late often stands early in the order; now and
 * then its payload is none. */
static void add_random(kit_random *r)
{
    static const char *const stores[] = {"doc", "doc", "other", "third"};
    uint32_t above[2] = {kit_below(r, made.count), kit_below(r, made.count)};
    uint32_t count = above[0] != above[1] && kit_below(r, 3) == 0 ? 2 : 1;
    char key = kit_below(r, 8) == 0 ? '!' : (char)('a' + kit_below(r, 5));
    add(stores[kit_below(r, 4)], above, count, key);
}

/* -- A map ---------------------------------------------------------------------------------- */

struct read_map {
    wf_view *view;
    struct wf_view_source source;
};

static struct read_map new_map(const char *store)
{
    struct read_map m = {.view = NULL};
    cr_assert_eq(wf_view_create(7, SIZE_MAX, &m.view), WEFT_OK);
    cr_assert_eq(wf_view_source_init(node.store, &made.ids[0], store, &m.source), WEFT_OK);
    return m;
}

static void end_map(struct read_map *m)
{
    wf_view_source_fini(&m->source);
    wf_view_destroy(m->view);
}

static uint64_t read_all(struct read_map *m)
{
    uint64_t read = 0;
    weft_err err = wf_view_source_read(&m->source, m->view, &read);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return read;
}

/* By arrivals, as they came. */
static struct read_map by_arrivals(const char *store, const weft_cut *cut)
{
    struct read_map m = new_map(store);
    if (cut != NULL) cr_assert_eq(wf_view_source_fix(&m.source, &made.ids[0], cut), WEFT_OK);
    m.source.by_arrivals = true;
    read_all(&m);
    return m;
}

static void expect_same(const struct read_map *a, const struct read_map *b, uint64_t seed)
{
    struct wf_view_walk x, y;
    weft_map_item left, right;
    wf_view_walk_begin(a->view, NULL, NULL, &x);
    wf_view_walk_begin(b->view, NULL, NULL, &y);
    while (wf_view_walk_next(&x, &left)) {
        cr_assert(wf_view_walk_next(&y, &right), "seed %d", (int)seed);
        cr_assert_eq(wf_map_path_compare(&left.path, &right.path), 0, "seed %d", (int)seed);
        cr_assert_eq(left.value.as.uint, right.value.as.uint, "seed %d", (int)seed);
        cr_assert(weft_id_equal(&left.entry, &right.entry), "seed %d", (int)seed);
    }
    cr_assert_not(wf_view_walk_next(&y, &right), "seed %d", (int)seed);
    cr_assert_eq(a->source.entries, b->source.entries, "seed %d", (int)seed);
    cr_assert_eq(a->source.skipped, b->source.skipped, "seed %d", (int)seed);
    cr_assert_eq(a->source.seq, b->source.seq, "seed %d", (int)seed);
}

/* -- The same map ------------------------------------------------------------------------------ */

Test(view_source, by_the_list_in_turns_between_arrivals_is_what_all_arrivals_make)
{
    uint64_t in_turns = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        kit_random r = {seed};
        uint32_t from = made.count; /* the tree goes on: later seeds begin with more in it */
        struct read_map m = new_map("doc");
        while (made.count < from + 15) {
            uint64_t read = 0;
            add_random(&r);
            if (kit_below(&r, 3) > 0) continue;
            m.source.budget = 1 + kit_below(&r, 12);
            weft_err err = wf_view_source_read(&m.source, m.view, &read);
            cr_assert(err == WEFT_OK || err == WEFT_AGAIN, "seed %d", (int)seed);
            cr_assert_leq(read, m.source.budget);
            in_turns += m.source.list.under_way;
        }
        m.source.budget = 0;
        read_all(&m);
        struct read_map want = by_arrivals("doc", NULL);
        expect_same(&m, &want, seed);
        end_map(&want);
        end_map(&m);
    }
    cr_expect_gt(in_turns, 60, "the list was gone through in several turns");
}

Test(view_source, at_a_cut_the_list_gives_what_arrivals_give)
{
    kit_random r = {3};
    for (uint32_t i = 0; i < 150; i++) add_random(&r);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        weft_id ids[2] = {made.ids[kit_below(&r, made.count)], made.ids[kit_below(&r, made.count)]};
        weft_cut cut = {ids, 2};
        struct read_map m = new_map("doc"), want = by_arrivals("doc", &cut);
        uint64_t read = 0;
        cr_assert_eq(wf_view_source_fix(&m.source, &made.ids[0], &cut), WEFT_OK);
        m.source.budget = 1 + kit_below(&r, 20);
        while (wf_view_source_read(&m.source, m.view, &read) == WEFT_AGAIN) {}
        expect_same(&m, &want, seed);
        cr_assert_leq(m.source.looked, 2 * want.source.looked + 1, "seed %d", (int)seed);
        end_map(&want);
        end_map(&m);
    }
}

/* -- What it costs -------------------------------------------------------------------------------- */

Test(view_source, the_first_reading_costs_the_entries_of_the_store_and_not_of_the_tree)
{
    chain_to(1001);
    node.store->kv = kv_faulty_create(node.kv);
    struct read_map m = new_map("rare");
    uint64_t before = kv_faulty_reads(node.store->kv);
    cr_expect_eq(read_all(&m), 10);
    uint64_t reads = kv_faulty_reads(node.store->kv) - before;
    cr_expect_leq(reads, 40, "%d reads for 10 entries of 1000", (int)reads);
    cr_expect_eq(m.source.looked, 11, "and the root, in the list of settings");
    cr_expect_eq(m.source.seq, 1001);
    end_map(&m);
    m = new_map("nobody writes it");
    before = kv_faulty_reads(node.store->kv);
    cr_expect_eq(read_all(&m), 0);
    cr_expect_leq(kv_faulty_reads(node.store->kv) - before, 10);
    end_map(&m);
}

/* Its author revokes itself at the top of the chain, so everything below stays. */
static void revoke_at_the_top(void)
{
    const wf_grant none = {WEFT_RIGHT_NONE, 0};
    struct wf_settings_text text;
    weft_key key;
    wf_map_op op;
    uint8_t payload[256];
    size_t len;
    weft_keypair_public(author, &key);
    wf_settings_grant(&key, &none, &text, &op);
    cr_assert_eq(wf_map_ops_encode(&op, 1, payload, sizeof payload, &len), WEFT_OK);
    sk_entry e = {.tree = made.ids[0],
                  .parents = &made.ids[made.count - 1],
                  .parents_count = 1,
                  .height = made.count,
                  .name = "_settings",
                  .payload = payload,
                  .payload_len = len};
    weft_buf *buf = sk_build(&e, author, &made.ids[made.count]);
    cr_assert_eq(sk_commit(&node, &buf, &made.ids[made.count], 1, false, NULL), WEFT_OK);
    weft_buf_unref(buf);
}

Test(view_source, a_revocation_costs_what_is_not_below_it_once_and_not_the_tree)
{
    chain_to(1001);
    revoke_at_the_top();
    node.store->kv = kv_faulty_create(node.kv);
    struct read_map m = new_map("rare");
    uint64_t before = kv_faulty_reads(node.store->kv);
    cr_expect_eq(read_all(&m), 10);
    uint64_t reads = kv_faulty_reads(node.store->kv) - before;
    cr_expect_leq(reads, 80, "%d reads for 10 entries of 1000", (int)reads);
    cr_expect_eq(m.source.entries, 10);
    cr_expect_eq(m.source.standing->revocations, 1);
    end_map(&m);
}

Test(view_source, after_a_pause_it_costs_what_arrived_or_the_store_whichever_is_less)
{
    chain_to(501);
    struct read_map m = new_map("rare");
    read_all(&m);
    chain_to(504);
    uint64_t looked = m.source.looked;
    cr_expect_eq(read_all(&m), 0);
    cr_expect_eq(m.source.looked - looked, 3, "three arrivals are fewer than five entries");
    chain_to(1001);
    looked = m.source.looked;
    cr_expect_eq(read_all(&m), 5);
    cr_expect_eq(m.source.looked - looked, 11, "ten entries and the root, not 497 arrivals");
    struct read_map want = by_arrivals("rare", NULL);
    expect_same(&m, &want, 0);
    end_map(&want);
    end_map(&m);
}

Test(view_source, a_budget_bounds_each_turn_through_the_list)
{
    chain_to(1001);
    struct read_map m = new_map("common");
    uint64_t read = 0, turns = 1;
    m.source.budget = 50;
    for (uint64_t looked = 0; wf_view_source_read(&m.source, m.view, &read) == WEFT_AGAIN;
         turns++) {
        cr_assert_leq(m.source.looked - looked, 50);
        cr_assert_eq(m.source.seq, 0, "nobody may count on arrivals before the list is through");
        looked = m.source.looked;
    }
    cr_expect_eq(read, 990);
    cr_expect_eq(turns, 20, "990 entries, 50 at a time");
    end_map(&m);
}

/* -- What goes wrong ------------------------------------------------------------------------------- */

Test(view_source, each_read_may_fail_once_and_nothing_is_lost_or_taken_twice)
{
    kit_random r = {9};
    sk_quiet(true);
    for (uint32_t i = 0; i < 40; i++) add_random(&r);
    struct read_map want = by_arrivals("doc", NULL);
    node.store->kv = kv_faulty_create(node.kv);
    uint64_t nth = 0;
    for (bool met = true; met; nth++) {
        struct read_map m = new_map("doc");
        uint64_t read = 0;
        kv_faulty_fail_at(node.store->kv, nth + 1, WEFT_IO);
        weft_err err = wf_view_source_read(&m.source, m.view, &read);
        met = kv_faulty_met(node.store->kv);
        kv_faulty_fail_at(node.store->kv, 0, WEFT_OK);
        cr_assert_eq(err, met ? WEFT_IO : WEFT_OK, "read %d: %s", (int)nth + 1, weft_errname(err));
        read_all(&m);
        expect_same(&m, &want, nth);
        end_map(&m);
    }
    cr_expect_gt(nth, 40);
    end_map(&want);
    sk_quiet(false);
}

Test(view_source, each_allocation_may_fail_and_nothing_is_lost_or_taken_twice)
{
    kit_random r = {11};
    for (uint32_t i = 0; i < 40; i++) add_random(&r);
    struct read_map want = by_arrivals("doc", NULL);
    weft_err err = WEFT_NO_MEMORY;
    uint64_t nth = 1;
    for (; err == WEFT_NO_MEMORY && nth < 500; nth++) {
        struct read_map m = {.view = NULL};
        uint64_t read = 0;
        cr_assert_eq(wf_view_create(7, SIZE_MAX, &m.view), WEFT_OK);
        wf_alloc_fail_at(nth, 1);
        err = wf_view_source_init(node.store, &made.ids[0], "doc", &m.source);
        bool begun = err == WEFT_OK;
        if (begun) err = wf_view_source_read(&m.source, m.view, &read);
        wf_alloc_fail_at(0, 0);
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%s", weft_errname(err));
        if (begun) {
            read_all(&m);
            expect_same(&m, &want, nth);
        }
        end_map(&m);
    }
    cr_expect_eq(err, WEFT_OK);
    cr_expect_gt(nth, 20);
    end_map(&want);
}
