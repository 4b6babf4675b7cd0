/* SPDX-License-Identifier: Apache-2.0
 * test_dom.c - the trees of dominators that a store keeps: what they answer, what they cost,
 * and that they depend on the order of arrival and on nothing else.
 * Called by: meson test. May touch: memory engines behind the store's back.
 * Never: a disk, a second author. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "dag_kit.h"
#include "dag_walk.h"
#include "dom.h"
#include "kv_faulty.h"
#include "store_kit.h"
#include "writer.h"

static weft_keypair *author;
static sk_node node; /* lends its runtime */

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    weft_keypair_destroy(author);
}

TestSuite(dom, .init = setup, .fini = teardown);

/* -- Histories with several stores ------------------------------------------------------------ */

#define ENTRIES 90u
#define VIEWS 4u /* the tree, and three stores */
#define EDGES 12u

static const char *const names[VIEWS] = {NULL, "a", "bb", "ccc"};

struct edges {
    uint32_t at[EDGES], count;
};
struct history {
    weft_id ids[ENTRIES];
    weft_buf *bufs[ENTRIES];
    uint64_t heights[ENTRIES];
    bool in[VIEWS][ENTRIES];
    struct edges edges[VIEWS][ENTRIES];
};

static void add_edge(struct edges *edges, uint32_t parent)
{
    for (uint32_t i = 0; i < edges->count; i++)
        if (edges->at[i] == parent) return;
    if (edges->count < EDGES) edges->at[edges->count++] = parent;
}

/* Some of the last few, or of all, that are in the view. */
static void choose(struct history *h, kit_random *r, uint32_t view, uint32_t i, uint32_t most)
{
    for (uint32_t n = kit_below(r, most + 1); n > 0; n--) {
        uint32_t near = i < 6 ? i : 6;
        uint32_t at = kit_below(r, 6) == 0 ? kit_below(r, i) : i - 1 - kit_below(r, near);
        if (h->in[view][at]) add_edge(&h->edges[view][i], at);
    }
}

static void build(struct history *h, uint32_t i)
{
    weft_id parents[VIEWS][EDGES];
    weft_store_part parts[VIEWS];
    uint32_t parts_count = 0, own = h->edges[0][i].count;
    for (uint32_t view = 0; view < VIEWS; view++) {
        const struct edges *edges = &h->edges[view][i];
        for (uint32_t p = 0; p < edges->count; p++) parents[view][p] = h->ids[edges->at[p]];
        if (view == 0 || !h->in[view][i]) continue;
        parts[parts_count++] = (weft_store_part){
            .name = names[view], .parents = parents[view], .parents_count = edges->count};
        for (uint32_t p = 0; p < edges->count; p++) add_edge(&h->edges[0][i], edges->at[p]);
    }
    for (uint32_t p = 0; p < h->edges[0][i].count; p++) {
        uint64_t height = h->heights[h->edges[0][i].at[p]] + 1;
        if (height > h->heights[i]) h->heights[i] = height;
    }
    weft_entry_spec spec = {.tree = h->ids[0],
                            .parents = parents[0],
                            .parents_count = own,
                            .height = h->heights[i],
                            .metadata = &i,
                            .metadata_len = sizeof i,
                            .stores = parts,
                            .stores_count = parts_count};
    cr_assert_eq(weft_entry_build(&spec, author, &h->bufs[i], &h->ids[i]), WEFT_OK);
}

static struct history *history(uint64_t seed)
{
    kit_random r = {seed};
    struct history *h = calloc(1, sizeof *h);
    uint32_t wide = 1 + (uint32_t)(seed % 4);
    weft_root_spec root = {.height = WEFT_HEIGHT_INCREMENTAL, .entropy = {1, (uint8_t)seed}};
    cr_assert_eq(weft_root_build(&root, author, &h->bufs[0], &h->ids[0]), WEFT_OK);
    h->in[0][0] = true;
    for (uint32_t i = 1; i < ENTRIES; i++) {
        for (uint32_t view = 1; view < VIEWS; view++) {
            h->in[view][i] = kit_below(&r, 3) > 0;
            if (h->in[view][i] && kit_below(&r, 30) > 0) choose(h, &r, view, i, wide);
        }
        h->in[0][i] = true;
        choose(h, &r, 0, i, wide);
        if (h->edges[0][i].count == 0) add_edge(&h->edges[0][i], i - 1);
        build(h, i);
    }
    return h;
}

static void history_free(struct history *h)
{
    for (uint32_t i = 0; i < ENTRIES; i++) weft_buf_unref(h->bufs[i]);
    free(h);
}

/* Down from the cut, the newest first: what comes out alone all ways pass. ENTRIES: there is
 * none, because a way has ended. */
static uint32_t walk_down(const struct history *h, uint32_t view, const uint32_t *cut,
                          uint32_t count)
{
    bool waits[ENTRIES] = {false};
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < count; i++) {
        waiting += !waits[cut[i]];
        waits[cut[i]] = true;
    }
    for (uint32_t at = ENTRIES; at-- > 0;) {
        const struct edges *edges = &h->edges[view][at];
        if (!waits[at]) continue;
        if (waiting == 1) return at;
        if (edges->count == 0) return ENTRIES;
        waiting--;
        for (uint32_t p = 0; p < edges->count; p++) {
            waiting += !waits[edges->at[p]];
            waits[edges->at[p]] = true;
        }
    }
    return ENTRIES;
}

/* -- Stores of them ------------------------------------------------------------------------------ */

/* Any order in which parents come first. */
static void shuffle(const struct history *h, kit_random *r, uint32_t order[ENTRIES])
{
    bool here[ENTRIES] = {false};
    for (uint32_t n = 0; n < ENTRIES; n++) {
        uint32_t ready[ENTRIES], count = 0;
        for (uint32_t i = 0; i < ENTRIES; i++) {
            bool all = !here[i];
            for (uint32_t p = 0; p < h->edges[0][i].count; p++) all &= here[h->edges[0][i].at[p]];
            if (all) ready[count++] = i;
        }
        order[n] = ready[kit_below(r, count)];
        here[order[n]] = true;
    }
}

static weft_err put(wf_store *store, const weft_buf *buf, const weft_id *id)
{
    struct wf_add one = {.bytes = weft_buf_bytes(buf),
                         .len = (uint32_t)weft_buf_len(buf),
                         .id = *id,
                         .create_tree = true};
    return wf_writer_add(store, &one);
}

static weft_err flush(wf_store *store, bool sync)
{
    weft_err err = wf_writer_flush(store, sync);
    wf_writer_clear(store);
    return err;
}

/* Entries order[from .. to), in batches of at most `batch`. */
static void fill(wf_store *store, const struct history *h, const uint32_t *order, uint32_t from,
                 uint32_t to, kit_random *r, uint32_t batch)
{
    for (uint32_t n = from; n < to; n++) {
        cr_assert_eq(put(store, h->bufs[order[n]], &h->ids[order[n]]), WEFT_OK);
        if (n + 1 < to && kit_below(r, batch) > 0) continue;
        cr_assert_eq(flush(store, true), WEFT_OK);
    }
}

static wf_store *open_store(wf_kv *kv)
{
    wf_store *store;
    if (kv == NULL) cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv, node.rt, &store), WEFT_OK);
    return store;
}

static weft_err base_of(struct wf_dag *dag, const weft_cut *cut, weft_id *out)
{
    struct wf_facts facts = {0};
    struct wf_dag_base *base;
    cr_assert_eq(wf_dag_cut(dag, cut, &facts, NULL, NULL), WEFT_OK);
    weft_err err = wf_dag_base_create(dag, &facts, &base);
    if (err == WEFT_OK) {
        do {
            wf_dag_begin(dag);
            err = wf_dag_base_step(base, out);
        } while (err == WEFT_AGAIN);
        wf_dag_base_destroy(base);
    }
    wf_facts_fini(&facts);
    return err;
}

/* Cuts of one to five of the entries that are here, of the tree and of each store. */
static void ask(wf_store *store, const struct history *h, const bool *here, kit_random *r,
                uint32_t times)
{
    for (uint32_t view = 0; view < VIEWS; view++) {
        struct wf_dag *dag;
        cr_assert_eq(wf_dag_open(store, &h->ids[0], names[view], &dag), WEFT_OK);
        for (uint32_t n = 0; n < times; n++) {
            uint32_t cut[5], count = 0, want;
            weft_id ids[5], got;
            for (uint32_t k = 1 + kit_below(r, 5); k > 0; k--) {
                uint32_t i = kit_below(r, ENTRIES);
                if (here[i] && h->in[view][i]) cut[count++] = i;
            }
            if (count == 0) continue;
            for (uint32_t k = 0; k < count; k++) ids[k] = h->ids[cut[k]];
            dag->budget = kit_below(r, 4);
            weft_err err = base_of(dag, &(weft_cut){ids, count}, &got);
            want = walk_down(h, view, cut, count);
            cr_assert_eq(err, want == ENTRIES ? WEFT_NOT_FOUND : WEFT_OK, "view %u: %s", view,
                         weft_errname(err));
            cr_assert(want == ENTRIES || weft_id_equal(&got, &h->ids[want]), "view %u: not %u",
                      view, want);
        }
        wf_dag_unref(dag);
    }
}

Test(dom, a_merge_base_is_what_the_walk_down_finds_in_any_order_of_arrival)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        kit_random r = {seed};
        uint32_t order[ENTRIES], some = 20 + kit_below(&r, ENTRIES - 20);
        bool here[ENTRIES] = {false};
        struct history *h = history(seed);
        wf_store *store = open_store(NULL);
        shuffle(h, &r, order);
        fill(store, h, order, 0, some, &r, 9);
        for (uint32_t n = 0; n < some; n++) here[order[n]] = true;
        ask(store, h, here, &r, 20);
        store = open_store(wf_store_detach(store)); /* restarted, it goes on from what is stored */
        fill(store, h, order, some, ENTRIES, &r, 9);
        memset(here, true, sizeof here);
        ask(store, h, here, &r, 60);
        sk_expect_clean(store);
        wf_store_close(store);
        history_free(h);
    }
}

Test(dom, a_view_does_not_see_what_came_later)
{
    kit_random r = {3};
    uint32_t order[ENTRIES];
    struct history *h = history(3);
    wf_store *store = open_store(NULL);
    struct wf_dag *dag;
    weft_id before, after;
    shuffle(h, &r, order);
    fill(store, h, order, 0, 40, &r, 9);
    const weft_id two[] = {h->ids[order[38]], h->ids[order[39]]};
    cr_assert_eq(wf_dag_open(store, &h->ids[0], NULL, &dag), WEFT_OK);
    cr_assert_eq(base_of(dag, &(weft_cut){two, 2}, &before), WEFT_OK);
    fill(store, h, order, 40, ENTRIES, &r, 9);
    cr_assert_eq(base_of(dag, &(weft_cut){two, 2}, &after), WEFT_OK);
    cr_assert(weft_id_equal(&before, &after));
    wf_dag_unref(dag);
    wf_store_close(store);
    history_free(h);
}

/* -- What is stored ------------------------------------------------------------------------------- */

static void digest_of(wf_kv *kv, uint8_t out[32], uint64_t *pages)
{
    wf_kv_iter *it;
    wf_hash hash;
    wf_hash_init(&hash);
    *pages = 0;
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_DOM, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it), ++*pages) {
        size_t key_len, len;
        const uint8_t *key = wf_kv_iter_key(it, &key_len);
        const uint8_t *value = wf_kv_iter_value(it, &len);
        wf_hash_update(&hash, key, key_len);
        wf_hash_update(&hash, value, len);
    }
    cr_assert_eq(wf_kv_iter_err(it), WEFT_OK);
    wf_kv_iter_destroy(it);
    wf_hash_final(&hash, out);
}

Test(dom, pages_depend_on_the_order_of_arrival_and_not_on_the_batches)
{
    uint8_t first[32], other[32];
    uint64_t pages;
    uint32_t order[ENTRIES];
    kit_random r = {9};
    struct history *h = history(9);
    shuffle(h, &r, order);
    for (uint32_t batch = 1; batch <= 64; batch *= 4) {
        wf_store *store = open_store(NULL);
        fill(store, h, order, 0, ENTRIES, &r, batch);
        digest_of(wf_store_kv(store), batch == 1 ? first : other, &pages);
        cr_expect_eq(pages, (ENTRIES + WF_DOM_PAGE - 1) / WF_DOM_PAGE);
        cr_expect(batch == 1 || memcmp(first, other, sizeof first) == 0, "batches of %u", batch);
        wf_store_close(store);
    }
    history_free(h);
}

/* Each batch in turn is refused, or fails with the power, which takes others with it. */
Test(dom, a_batch_that_fails_or_is_lost_leaves_no_trace)
{
    uint8_t whole[32], got[32];
    uint64_t pages, nth = 0;
    uint32_t order[ENTRIES];
    kit_random r = {5};
    struct history *h = history(5);
    shuffle(h, &r, order);
    wf_store *store = open_store(NULL);
    fill(store, h, order, 0, ENTRIES, &r, 5);
    digest_of(wf_store_kv(store), whole, &pages);
    wf_store_close(store);
    sk_quiet(true);
    for (bool met = true; met;) {
        wf_kv *kv;
        uint32_t n = 0;
        met = false;
        store = open_store(NULL);
        kv = wf_store_kv(store);
        nth++;
        wf_kv_memory_fail_at(kv, nth, WEFT_IO, nth % 2 == 0);
        while (n < ENTRIES) {
            weft_err err = put(store, h->bufs[order[n]], &h->ids[order[n]]);
            cr_assert_eq(err, WEFT_OK);
            if (++n % 4 != 0 && n < ENTRIES) continue;
            err = flush(store, n % 8 == 0);
            if (err == WEFT_OK) continue;
            cr_assert_eq(err, WEFT_IO);
            met = true;
            if (nth % 2 == 0) { /* the power fails too; else the same store goes on */
                kv = wf_store_detach(store);
                wf_kv_memory_crash(kv, kit_below(&r, (uint32_t)wf_kv_memory_unsynced(kv) + 1));
                wf_kv_memory_fail_at(kv, 0, WEFT_OK, false);
                store = open_store(kv);
            }
            wf_tree_info info = {0};
            (void)wf_store_tree(store, &h->ids[0], &info);
            n = (uint32_t)info.seq;
        }
        digest_of(wf_store_kv(store), got, &pages);
        cr_assert_eq(memcmp(whole, got, sizeof got), 0, "write %lu", (unsigned long)nth);
        wf_store_close(store);
    }
    cr_assert_gt(nth, 10);
    history_free(h);
}

/* Sixty stores fill a page that no cache keeps, and their entries are added one by one. */
Test(dom, pages_that_are_too_large_to_be_kept_are_read_again)
{
    enum { STORES = 60, COUNT = 40 };
    weft_store_part parts[STORES];
    char named[STORES][8];
    weft_id ids[COUNT], got;
    weft_buf *buf;
    wf_store *store = open_store(NULL);
    weft_root_spec root = {.height = WEFT_HEIGHT_INCREMENTAL, .entropy = {4}};
    struct wf_dag *dag;
    cr_assert_eq(weft_root_build(&root, author, &buf, &ids[0]), WEFT_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i > 0) {
            uint32_t on = i > 2 ? i - 2 : i - 1; /* two chains */
            for (uint32_t s = 0; s < STORES; s++) {
                snprintf(named[s], sizeof named[s], "s%02u", s);
                parts[s] = (weft_store_part){
                    .name = named[s], .parents = &ids[on], .parents_count = i > 1 ? 1 : 0};
            }
            weft_entry_spec spec = {.tree = ids[0],
                                    .parents = &ids[on],
                                    .parents_count = 1,
                                    .height = (i + 2) / 2,
                                    .metadata = &i,
                                    .metadata_len = sizeof i,
                                    .stores = parts,
                                    .stores_count = STORES};
            cr_assert_eq(weft_entry_build(&spec, author, &buf, &ids[i]), WEFT_OK);
        }
        weft_err err = put(store, buf, &ids[i]);
        cr_assert_eq(err, WEFT_OK, "%u: %s", i, weft_errname(err));
        cr_assert_eq(flush(store, true), WEFT_OK);
        weft_buf_unref(buf);
    }
    cr_assert_eq(wf_dag_open(store, &ids[0], "s59", &dag), WEFT_OK);
    cr_assert_eq(base_of(dag, &(weft_cut){&ids[COUNT - 2], 2}, &got), WEFT_OK);
    cr_expect(weft_id_equal(&got, &ids[1]));
    sk_expect_clean(store);
    wf_dag_unref(dag);
    wf_store_close(store);
}

static void damage(wf_kv *kv, uint64_t seq)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_batch *batch;
    wf_key_dom(key, 1, seq);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_delete(batch, WF_CF_DOM, key, sizeof key);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(dom, a_page_that_is_gone_is_told_by_whoever_needs_it)
{
    kit_random r = {2};
    uint32_t order[ENTRIES];
    struct history *h = history(2);
    wf_store *store = open_store(NULL);
    struct wf_dag *dag;
    weft_id got;
    for (uint32_t i = 0; i < ENTRIES; i++) order[i] = i;
    fill(store, h, order, 0, ENTRIES - 2, &r, 9);
    damage(wf_store_kv(store), ENTRIES - 2);
    store = open_store(wf_store_detach(store));
    sk_quiet(true);
    cr_assert_eq(wf_dag_open(store, &h->ids[0], NULL, &dag), WEFT_OK);
    cr_expect_eq(base_of(dag, &(weft_cut){&h->ids[ENTRIES - 4], 2}, &got), WEFT_CORRUPT);
    cr_expect_eq(put(store, h->bufs[ENTRIES - 2], &h->ids[ENTRIES - 2]), WEFT_CORRUPT);
    cr_expect_eq(flush(store, true), WEFT_CORRUPT);
    wf_dag_unref(dag);
    wf_store_close(store);
    history_free(h);
}

/* -- Costs ------------------------------------------------------------------------------------------ */

static struct wf_dag *open_long(wf_store *store, const struct dk *dk)
{
    struct wf_dag *dag;
    for (uint32_t i = 0; i < dk->count; i++) {
        cr_assert_eq(put(store, dk->bufs[i], &dk->ids[i]), WEFT_OK);
        if (i % 1000 == 999 || i + 1 == dk->count) cr_assert_eq(flush(store, true), WEFT_OK);
    }
    cr_assert_eq(wf_dag_open(store, &dk->ids[0], NULL, &dag), WEFT_OK);
    return dag;
}

/* The most reads that the merge base of any of some pairs takes, but for naming them. */
static uint64_t dearest(enum dk_shape shape, uint32_t count)
{
    kit_random r = {7};
    uint64_t most = 0;
    weft_id got;
    wf_store *store = open_store(NULL);
    struct dk *dk = dk_create(shape, count, WEFT_HEIGHT_INCREMENTAL, 11, false, false, author);
    struct wf_dag *dag = open_long(store, dk);
    for (uint32_t n = 0; n < 200; n++) {
        const weft_id two[] = {dk->ids[n == 0 ? count - 2 : kit_below(&r, count)],
                               dk->ids[n < 20 ? count - 1 : kit_below(&r, count)]};
        uint64_t before = dag->reads;
        cr_assert_eq(base_of(dag, &(weft_cut){two, 2}, &got), WEFT_OK);
        uint64_t reads = dag->reads - before - 2;
        if (reads > most) most = reads;
    }
    wf_dag_unref(dag);
    wf_store_close(store);
    dk_destroy(dk);
    return most;
}

/* At most seven for each binary digit of 10,000, and one for the name. */
static void costs_a_logarithm(enum dk_shape shape)
{
    uint64_t reads = dearest(shape, 10000);
    cr_expect_leq(reads, 7 * 14 + 1, "%s: %lu reads", dk_shape_names[shape], (unsigned long)reads);
}

Test(dom, a_merge_base_costs_a_logarithm_among_writers_who_never_all_meet)
{
    costs_a_logarithm(DK_WIDE);
}
Test(dom, a_merge_base_costs_a_logarithm_in_a_chain) { costs_a_logarithm(DK_CHAIN); }
Test(dom, a_merge_base_costs_a_logarithm_of_two_chains_that_now_and_then_join)
{
    costs_a_logarithm(DK_BEHIND);
}
Test(dom, a_merge_base_costs_a_logarithm_on_diamonds) { costs_a_logarithm(DK_DIAMONDS); }

/* Both of them, and one step from the newer to the older, whose name is known. */
Test(dom, a_merge_base_that_is_one_of_the_cut_is_not_looked_up)
{
    weft_id got;
    wf_store *store = open_store(NULL);
    struct dk *dk = dk_create(DK_CHAIN, 100, WEFT_HEIGHT_INCREMENTAL, 11, false, false, author);
    struct wf_dag *dag = open_long(store, dk);
    uint64_t before = dag->reads;
    cr_assert_eq(base_of(dag, &(weft_cut){&dk->ids[98], 2}, &got), WEFT_OK);
    cr_expect(weft_id_equal(&got, &dk->ids[98]));
    cr_expect_eq(dag->reads - before, 2 + 3, "two to name them, and three");
    wf_dag_unref(dag);
    wf_store_close(store);
    dk_destroy(dk);
}

Test(dom, a_jump_leads_where_the_rule_of_two_equal_ones_leads)
{
    static uint64_t jump[5000];
    for (uint64_t depth = 1; depth < 5000; depth++) {
        uint64_t up = depth - 1, first = jump[up], second = jump[first];
        jump[depth] = up - first == first - second ? second : up;
        cr_assert_eq(wf_dom_jump_depth(depth), jump[depth], "%lu", (unsigned long)depth);
    }
    cr_expect_eq(wf_dom_jump_depth(UINT64_MAX), 0);
}

/* Reads of the engine for one entry that joins an old and a new one, by a store that has
 * nothing in memory. */
static uint64_t reads_of_a_merge(uint32_t count)
{
    wf_kv *inner;
    cr_assert_eq(wf_kv_memory_open(&inner), WEFT_OK);
    wf_kv *kv = kv_faulty_create(inner);
    wf_store *store = open_store(kv);
    struct dk *dk = dk_create(DK_CHAIN, count, WEFT_HEIGHT_INCREMENTAL, 11, false, false, author);
    weft_id id;
    wf_dag_unref(open_long(store, dk));
    weft_id parents[] = {dk->ids[count / 3], dk->ids[count - 1]};
    sk_entry e = {.tree = dk->ids[0], .parents = parents, .parents_count = 2, .height = count};
    weft_buf *buf = sk_build(&e, author, &id);
    store = open_store(wf_store_detach(store));
    uint64_t before = kv_faulty_reads(kv);
    cr_assert_eq(put(store, buf, &id), WEFT_OK);
    uint64_t reads = kv_faulty_reads(kv) - before;
    wf_writer_clear(store);
    weft_buf_unref(buf);
    wf_store_close(store);
    dk_destroy(dk);
    return reads;
}

Test(dom, an_arrival_costs_the_store_a_logarithm_of_reads)
{
    uint64_t reads = reads_of_a_merge(8000);
    cr_expect_leq(reads, 3 * 13 + 12, "%lu reads", (unsigned long)reads);
}
