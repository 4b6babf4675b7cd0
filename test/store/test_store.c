/* SPDX-License-Identifier: Apache-2.0
 * test_store.c - what goes in comes out: histories, indexes, walks, crashes.
 * Called by: meson test. May touch: the store through its actor, in the simulator.
 * Never: a real disk (test_store_rocksdb.c does). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "kv_faulty.h"
#include "state.h"
#include "store_kit.h"

static weft_keypair *author;

static void setup(void) { author = kit_pair(1); }

static void teardown(void) { weft_keypair_destroy(author); }

TestSuite(store, .init = setup, .fini = teardown);

Test(store, a_committed_history_reads_back_as_it_was)
{
    sk_node node;
    for (enum sk_shape shape = 0; shape < SK_SHAPES; shape++) {
        sk_node_open(&node, 1);
        sk_dag *dag = sk_dag_create(shape, 120, author, 7);
        uint64_t seq = 0;
        weft_err err = sk_commit(&node, dag->bufs, dag->ids, dag->count, true, &seq);
        cr_assert_eq(err, WEFT_OK, "%s: %s", sk_shape_names[shape], weft_errname(err));
        cr_assert_eq(seq, dag->count);
        sk_expect_dag(node.store, dag, NULL);
        sk_expect_clean(node.store);
        weft_buf *buf;
        for (uint32_t i = 0; i < dag->count; i++) {
            cr_assert_eq(wf_store_get(node.store, &dag->ids[i], &buf), WEFT_OK);
            cr_assert_eq(weft_buf_len(buf), weft_buf_len(dag->bufs[i]));
            cr_assert_arr_eq(weft_buf_bytes(buf), weft_buf_bytes(dag->bufs[i]), weft_buf_len(buf));
            weft_buf_unref(buf);
        }
        sk_dag_destroy(dag);
        sk_node_close(&node);
    }
}

/* -- Any order ------------------------------------------------------------------------------ */

static void shuffle(kit_random *r, uint32_t *order, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = kit_below(r, i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

/* What a store that is closed below holds after `sent` of the order has arrived. */
static void close_below(const sk_dag *dag, const uint32_t *order, uint32_t sent, bool *have)
{
    bool *arrived = calloc(dag->count, sizeof *arrived);
    for (uint32_t i = 0; i < sent; i++) arrived[order[i]] = true;
    for (uint32_t i = 0; i < dag->count; i++) { /* parents have lower numbers */
        have[i] = arrived[i];
        for (uint32_t p = 0; p < dag->parents_count[i]; p++) have[i] &= have[dag->parents[i][p]];
    }
    free(arrived);
}

static void ingest_in_order(sk_node *node, const sk_dag *dag, const uint32_t *order, kit_random *r)
{
    bool *have = calloc(dag->count, sizeof *have);
    uint64_t n = 0;
    for (uint32_t at = 0; at < dag->count;) {
        weft_buf *bufs[16];
        weft_id ids[16];
        uint32_t count = 0, want = 1 + kit_below(r, 16);
        while (count < want && at < dag->count) {
            bufs[count] = dag->bufs[order[at]];
            ids[count++] = dag->ids[order[at++]];
        }
        struct wf_ingest *frame = sk_frame(node, 3, ++n, &dag->tree, bufs, ids, count);
        frame->raw = true;
        frame = sk_ingest(node, frame);
        cr_assert_eq(frame->err, WEFT_OK, "%s", weft_errname(frame->err));
        cr_assert_eq(frame->stored + frame->pending + frame->known, count);
        close_below(dag, order, at, have);
        sk_expect_dag(node->store, dag, have);
    }
    free(have);
}

Test(store, a_history_in_any_order_gives_the_same_tips_gens_and_digest)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        kit_random r = {seed};
        sk_dag *dag = sk_dag_create((enum sk_shape)(seed % SK_SHAPES), 80, author, seed);
        uint32_t order[80];
        shuffle(&r, order, dag->count);
        sk_node node;
        sk_node_open(&node, seed);
        cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
        ingest_in_order(&node, dag, order, &r);
        sk_expect_dag(node.store, dag, NULL);
        sk_expect_clean(node.store);
        sk_node_close(&node);
        sk_dag_destroy(dag);
    }
}

Test(store, an_entry_that_is_here_already_changes_nothing)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 40, author, 5);
    sk_node node;
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 40, true, NULL), WEFT_OK);
    struct wf_ingest *frame = sk_ingest(&node,
                                        sk_frame(&node, 3, 1, &dag->tree, dag->bufs, dag->ids, 40));
    cr_assert_eq(frame->err, WEFT_OK);
    cr_assert_eq(frame->known, 40);
    cr_assert_eq(frame->entries[7].result, WF_IN_KNOWN);
    cr_assert_eq(frame->entries[7].seq, 8);
    cr_assert_eq(frame->entries[7].gen, dag->gens[7]);
    sk_expect_dag(node.store, dag, NULL);
    sk_expect_clean(node.store);
    sk_node_close(&node);
    sk_dag_destroy(dag);
}

Test(store, a_known_entry_tells_who_brought_it_first)
{
    sk_dag *dag = sk_dag_create(SK_CHAIN, 3, author, 5);
    sk_node node;
    sk_node_open(&node, 1);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK);
    weft_buf *twice[] = {dag->bufs[0], dag->bufs[0]};
    weft_id ids[] = {dag->ids[0], dag->ids[0]};
    struct wf_ingest *frame = sk_ingest(&node, sk_frame(&node, 3, 1, &dag->tree, twice, ids, 2));
    cr_assert_eq(frame->entries[1].result, WF_IN_KNOWN); /* within one batch */
    cr_assert_eq(frame->entries[1].known_from.peer.bytes[0], 3);
    frame = sk_ingest(&node, sk_frame(&node, 4, 1, &dag->tree, dag->bufs, dag->ids, 1));
    cr_assert_eq(frame->entries[0].result, WF_IN_KNOWN); /* from the engine */
    cr_assert_eq(frame->entries[0].known_from.peer.bytes[0], 3);
    cr_assert_eq(frame->entries[0].known_from.epoch[0], 3);
    sk_node_close(&node);
    sk_dag_destroy(dag);
}

/* -- Crashes and failures --------------------------------------------------------------------- */

Test(store, what_was_acknowledged_survives_a_crash_at_any_point)
{
    for (uint64_t seed = 1; seed <= 15; seed++) {
        kit_random r = {seed};
        sk_dag *dag = sk_dag_create((enum sk_shape)(seed % SK_SHAPES), 60, author, seed);
        sk_node node;
        sk_node_open(&node, seed);
        uint32_t acked = 0;
        while (acked < dag->count) {
            uint32_t count = 1 + kit_below(&r, 10);
            if (count > dag->count - acked) count = dag->count - acked;
            if (kit_below(&r, 3) != 0) {
                cr_assert_eq(
                    sk_commit(&node, dag->bufs + acked, dag->ids + acked, count, true, NULL),
                    WEFT_OK);
                acked += count;
                continue;
            }
            /* The node dies somewhere on the way of a commit. */
            struct wf_commit *commit = wf_commit_create(count);
            commit->create_trees = true;
            commit->durability = (uint8_t)kit_below(&r, 3);
            for (uint32_t i = 0; i < count; i++) {
                commit->entries[i] = weft_buf_ref(dag->bufs[acked + i]);
                commit->ids[i] = dag->ids[acked + i];
            }
            cr_assert_eq(weft_send(node.addr, &commit->req.msg), WEFT_OK);
            for (uint32_t steps = kit_below(&r, 6); steps > 0; steps--) wf_sim_step(node.sim);
            sk_node_crash(&node, kit_below(&r, 3));
            wf_tree_info info;
            if (acked == 0 && wf_store_tree(node.store, &dag->tree, &info) == WEFT_NOT_FOUND)
                continue;
            cr_assert_eq(wf_store_tree(node.store, &dag->tree, &info), WEFT_OK);
            cr_assert_geq(info.count, acked, "seed %llu", (unsigned long long)seed);
            cr_assert_leq(info.count, acked + count);
            acked = (uint32_t)info.count; /* all of the batch or nothing */
            bool have[60] = {false};
            for (uint32_t i = 0; i < acked; i++) have[i] = true;
            sk_expect_dag(node.store, dag, have);
            sk_expect_clean(node.store);
        }
        sk_expect_dag(node.store, dag, NULL);
        sk_node_close(&node);
        sk_dag_destroy(dag);
    }
}

Test(store, a_failed_write_leaves_the_state_before_it_or_after_it)
{
    for (uint64_t nth = 1; nth <= 6; nth++) {
        for (size_t keep = 0; keep < 2; keep++) {
            sk_dag *dag = sk_dag_create(SK_WIDE, 30, author, nth);
            sk_node node;
            sk_node_open(&node, nth);
            sk_quiet(true);
            wf_kv_memory_fail_at(node.kv, nth, WEFT_IO, true);
            uint32_t acked = 0;
            weft_err err = WEFT_OK;
            while (acked < 30) {
                err = sk_commit(&node, dag->bufs + acked, dag->ids + acked, 5, true, NULL);
                if (err != WEFT_OK) break;
                acked += 5;
            }
            cr_assert_eq(err, WEFT_IO, "%s", weft_errname(err));
            cr_assert_eq(acked, (nth - 1) * 5);
            wf_tree_info info;
            err = wf_store_tree(node.store, &dag->tree, &info);
            cr_assert_eq(err == WEFT_OK ? info.count : 0, acked, "readers see what was published");
            sk_node_settle(&node);
            err = sk_commit(&node, dag->bufs, dag->ids, 1, true, NULL);
            cr_assert_eq(err, WEFT_IO, "nothing more is taken while the disk fails");
            sk_node_crash(&node, keep);
            uint32_t now = acked + (keep == 0 ? 0 : 5);
            bool have[30] = {false};
            for (uint32_t i = 0; i < now; i++) have[i] = true;
            if (now > 0) sk_expect_dag(node.store, dag, have);
            sk_expect_clean(node.store);
            err = sk_commit(&node, dag->bufs, dag->ids, 30, true, NULL);
            cr_assert_eq(err, WEFT_OK, "it goes on after a restart: %s", weft_errname(err));
            sk_expect_dag(node.store, dag, NULL);
            sk_quiet(false);
            sk_node_close(&node);
            sk_dag_destroy(dag);
        }
    }
}

Test(store, memory_that_runs_out_fails_one_commit_and_no_more)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 24, author, 9);
    uint64_t nth = 1;
    sk_quiet(true);
    for (;; nth++) {
        sk_node node;
        sk_node_open(&node, 1);
        cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 4, true, NULL), WEFT_OK);
        struct wf_commit *commit = wf_commit_create(20);
        for (uint32_t i = 0; i < 20; i++) {
            commit->entries[i] = weft_buf_ref(dag->bufs[4 + i]);
            commit->ids[i] = dag->ids[4 + i];
        }
        weft_request *back = NULL;
        bool taken = false;
        wf_alloc_fail_at(nth, 0);
        weft_err err = weft_call(node.addr, &commit->req, WEFT_NEVER, &back, &taken);
        uint64_t asked = wf_alloc_fail_at(0, 0);
        if (back != NULL) weft_drop(&back->msg);
        else if (!taken) weft_drop(&commit->req.msg);
        if (err == WEFT_OK && asked < nth) {
            sk_node_close(&node);
            break;
        }
        cr_assert(err == WEFT_OK || err == WEFT_NO_MEMORY, "%llu: %s", (unsigned long long)nth,
                  weft_errname(err));
        sk_node_settle(&node);
        weft_err again = sk_commit(&node, dag->bufs, dag->ids, 24, true, NULL);
        if (again == WEFT_OK) /* unless the engine itself was what failed */
            sk_expect_dag(node.store, dag, NULL);
        else cr_assert(again == WEFT_NO_MEMORY || again == WEFT_CLOSED, "%s", weft_errname(again));
        sk_expect_clean(node.store);
        sk_node_close(&node);
    }
    sk_quiet(false);
    cr_assert_gt(nth, 30, "the sweep met too few allocations");
    sk_dag_destroy(dag);
}

/* -- Reading ----------------------------------------------------------------------------------- */

static weft_err gather(void *arg, const weft_id *id)
{
    weft_id **at = arg;
    *(*at)++ = *id;
    return WEFT_OK;
}

static weft_err gather_child(void *arg, const weft_id *id, uint64_t seq)
{
    wf_place **at = arg;
    *(*at)++ = (wf_place){.seq = seq, .id = *id};
    return WEFT_OK;
}

/* As an engine does that has no more readers to give. */
Test(store, no_half_of_an_entry_is_written_when_a_read_is_refused)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 24, author, 5);
    uint64_t refused = 0;
    sk_quiet(true);
    for (uint64_t nth = 1; nth < 200; nth++) {
        sk_node small;
        sk_node_open(&small, 7);
        cr_assert_eq(sk_commit(&small, dag->bufs, dag->ids, 20, true, NULL), WEFT_OK);
        wf_kv *faulty = small.store->kv = kv_faulty_create(small.kv);
        wf_briefs_clear(&small.store->briefs);
        wf_tips_clear(&small.store->tips);
        kv_faulty_fail_at(faulty, nth, WEFT_LIMIT);
        sk_ask_each(&small, dag, 20, 4, WF_SYNCED);
        sk_node_settle(&small);
        bool met = kv_faulty_met(faulty);
        small.store->kv = small.kv;
        free(faulty); /* without the engine in it, which is the node's */
        refused += sk_good_replies(&small) < 4;
        sk_expect_clean(small.store);
        sk_node_close(&small);
        if (!met) break;
    }
    sk_quiet(false);
    cr_assert_gt(refused, 3);
    sk_dag_destroy(dag);
}

Test(store, walks_show_a_tree_parents_first_and_by_arrival)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 50, author, 11);
    sk_node node;
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 50, true, NULL), WEFT_OK);
    wf_gen_walk *walk;
    wf_place place, last = {0}, middle = {0};
    uint32_t seen = 0;
    cr_assert_eq(wf_gen_walk_create(node.store, 1, 0, NULL, &walk), WEFT_OK);
    while (wf_gen_walk_next(walk, &place) == WEFT_OK) {
        cr_assert(seen == 0 || place.gen > last.gen ||
                  (place.gen == last.gen && weft_id_compare(&place.id, &last.id) > 0));
        cr_assert(weft_id_equal(&place.id, &dag->ids[place.seq - 1]), "and says when it came");
        last = place;
        if (++seen == 20) middle = place;
    }
    cr_assert_eq(wf_gen_walk_next(walk, &place), WEFT_END);
    wf_gen_walk_destroy(walk);
    cr_assert_eq(seen, 50);
    cr_assert_eq(wf_gen_walk_create(node.store, 1, middle.gen, &middle.id, &walk), WEFT_OK);
    for (seen = 0; wf_gen_walk_next(walk, &place) == WEFT_OK; seen++) continue;
    wf_gen_walk_destroy(walk);
    cr_assert_eq(seen, 30, "strictly after the middle");
    cr_assert_eq(wf_gen_walk_create_down(node.store, 1, &walk), WEFT_OK);
    cr_assert_eq(wf_gen_walk_next(walk, &place), WEFT_OK);
    cr_assert(weft_id_equal(&place.id, &last.id), "downwards begins at the top");
    wf_gen_walk_destroy(walk);
    wf_arr_walk *arrivals;
    wf_arrival arrival;
    cr_assert_eq(wf_arr_walk_create(node.store, 1, 30, &arrivals), WEFT_OK);
    for (uint32_t i = 30; i < 50; i++) {
        cr_assert_eq(wf_arr_walk_next(arrivals, &arrival), WEFT_OK);
        cr_assert_eq(arrival.seq, i + 1);
        cr_assert(weft_id_equal(&arrival.id, &dag->ids[i]));
    }
    cr_assert_eq(wf_arr_walk_next(arrivals, &arrival), WEFT_END);
    wf_arr_walk_destroy(arrivals);
    sk_node_close(&node);
    sk_dag_destroy(dag);
}

Test(store, facts_of_many_at_once_are_those_of_each)
{
    enum { HERE = 150, ASKED = 170 };
    sk_dag *dag = sk_dag_create(SK_WIDE, ASKED, author, 12);
    sk_node node;
    wf_meta_brief briefs[ASKED], brief;
    weft_err errs[ASKED];
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, HERE, true, NULL), WEFT_OK);
    wf_store_meta_briefs(node.store, dag->ids, ASKED, briefs, errs);
    for (uint32_t i = 0; i < ASKED; i++) {
        cr_assert_eq(errs[i], wf_store_meta_brief(node.store, &dag->ids[i], &brief));
        cr_assert_eq(errs[i], i < HERE ? WEFT_OK : WEFT_NOT_FOUND);
        if (errs[i] != WEFT_OK) continue;
        cr_assert(briefs[i].t == brief.t && briefs[i].gen == brief.gen);
        cr_assert(briefs[i].seq == brief.seq && briefs[i].height == brief.height);
    }
    sk_node_close(&node);
    sk_dag_destroy(dag);
}

Test(store, parents_children_and_short_ids_are_found)
{
    sk_dag *dag = sk_dag_create(SK_MERGES, 50, author, 12);
    sk_node node;
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 50, true, NULL), WEFT_OK);
    wf_meta *meta = malloc(sizeof *meta);
    for (uint32_t i = 0; i < 50; i++) {
        weft_id found, parents[64], *at = parents;
        cr_assert_eq(wf_store_find_short(node.store, 1, dag->ids[i].bytes, &found), WEFT_OK);
        cr_assert(weft_id_equal(&found, &dag->ids[i]));
        cr_assert_eq(wf_store_find_short(node.store, 2, dag->ids[i].bytes, &found), WEFT_NOT_FOUND);
        wf_meta_brief brief;
        cr_assert_eq(wf_store_parents(node.store, &dag->ids[i], &brief, gather, &at), WEFT_OK);
        cr_assert_eq(at - parents, dag->parents_count[i]);
        cr_assert_eq(wf_store_meta(node.store, &dag->ids[i], meta), WEFT_OK);
        cr_assert_eq(meta->parents_count, dag->parents_count[i]);
        cr_assert_arr_eq(meta->parents, parents, meta->parents_count * sizeof *parents);
        cr_assert_eq(meta->height, dag->heights[i]);
        wf_place children[64], *child = children, *want = children;
        cr_assert_eq(wf_store_children(node.store, 1, brief.seq, gather_child, &child), WEFT_OK);
        for (uint32_t c = 0; c < 50; c++)
            for (uint32_t p = 0; p < dag->parents_count[c]; p++) {
                if (dag->parents[c][p] != i) continue;
                cr_assert_lt(want, child);
                cr_assert(weft_id_equal(&want->id, &dag->ids[c]));
                cr_assert_eq(want++->seq, c + 1);
            }
        cr_assert_eq(child, want);
    }
    free(meta);
    sk_node_close(&node);
    sk_dag_destroy(dag);
}

Test(store, get_into_says_what_room_it_needs)
{
    sk_dag *dag = sk_dag_create(SK_CHAIN, 2, author, 1);
    sk_node node;
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 2, true, NULL), WEFT_OK);
    uint8_t room[4096];
    size_t len = 10;
    wf_place place = {.seq = 2, .id = dag->ids[1]};
    cr_assert_eq(wf_store_get_into(node.store, 1, &place, room, &len), WEFT_LIMIT);
    cr_assert_eq(len, weft_buf_len(dag->bufs[1]));
    cr_assert_eq(wf_store_get_into(node.store, 1, &place, room, &len), WEFT_OK);
    cr_assert_arr_eq(room, weft_buf_bytes(dag->bufs[1]), len);
    place.id = kit_id(9);
    cr_assert_eq(wf_store_get_into(node.store, 1, &place, room, &len), WEFT_CORRUPT,
                 "another's bytes are not given out");
    weft_buf *buf = NULL;
    cr_assert_eq(wf_store_get(node.store, &place.id, &buf), WEFT_NOT_FOUND);
    sk_node_close(&node);
    sk_dag_destroy(dag);
}

Test(store, named_tips_follow_the_parents_of_their_store)
{
    sk_node node;
    sk_node_open(&node, 1);
    weft_id ids[4], tips[8];
    weft_buf *bufs[4];
    bufs[0] = sk_root(author, 1, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &ids[0]);
    sk_entry a = {.tree = ids[0], .parents = &ids[0], .parents_count = 1, .height = 1};
    bufs[1] = sk_build(&a, author, &ids[1]);
    /* b follows a in the tree, but writes another store; c follows b, and a in "main". */
    sk_entry b = {
        .tree = ids[0], .parents = &ids[1], .parents_count = 1, .height = 2, .name = "other"};
    bufs[2] = sk_build(&b, author, &ids[2]);
    sk_entry c = {.tree = ids[0],
                  .parents = &ids[2],
                  .parents_count = 1,
                  .height = 3,
                  .store_parents = &ids[1],
                  .store_parents_count = 1};
    bufs[3] = sk_build(&c, author, &ids[3]);
    size_t count;
    bool complete;
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(sk_commit(&node, &bufs[i], &ids[i], 1, true, NULL), WEFT_OK);
        if (i != 2) continue;
        cr_assert_eq(wf_store_named_tips(node.store, 1, "main", tips, 8, &count, &complete), 0);
        cr_assert_eq(count, 1);
        cr_assert(weft_id_equal(&tips[0], &ids[1]), "b does not write main");
    }
    cr_assert_eq(wf_store_named_tips(node.store, 1, "main", tips, 8, &count, &complete), WEFT_OK);
    cr_assert_eq(count, 1);
    cr_assert(weft_id_equal(&tips[0], &ids[3]));
    cr_assert_eq(wf_store_named_tips(node.store, 1, "other", tips, 8, &count, &complete), WEFT_OK);
    cr_assert(count == 1 && weft_id_equal(&tips[0], &ids[2]));
    cr_assert_eq(wf_store_named_tips(node.store, 1, "none", tips, 8, &count, &complete), WEFT_OK);
    cr_assert_eq(count, 0);
    sk_expect_clean(node.store);
    for (uint32_t i = 0; i < 4; i++) weft_buf_unref(bufs[i]);
    sk_node_close(&node);
}

Test(store, a_list_of_tips_that_is_cut_says_so)
{
    sk_dag *dag = sk_dag_create(SK_STAR, 20, author, 1);
    sk_node node;
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 20, true, NULL), WEFT_OK);
    weft_id tips[20];
    size_t count;
    bool complete;
    cr_assert_eq(wf_store_tips(node.store, 1, tips, 18, &count, &complete), WEFT_OK);
    cr_assert(count == 18 && !complete);
    cr_assert_eq(wf_store_tips(node.store, 1, tips, 19, &count, &complete), WEFT_OK);
    cr_assert(count == 19 && complete);
    sk_node_close(&node);
    sk_dag_destroy(dag);
}

/* -- Opening -------------------------------------------------------------------------------------- */

static weft_err open_with(wf_kv *kv, const void *key, size_t key_len, const void *value, size_t len)
{
    wf_sim *sim;
    weft_rt *rt;
    wf_store *store = NULL;
    cr_assert_eq(wf_sim_create(1, &sim), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(sim, &rt), WEFT_OK);
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_TREE, key, key_len, value, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    sk_quiet(true);
    weft_err err = wf_store_open(kv, rt, &store);
    sk_quiet(false);
    if (err == WEFT_OK) wf_store_detach(store);
    weft_rt_stop(rt, WEFT_NEVER);
    weft_rt_destroy(rt);
    wf_sim_destroy(sim);
    return err;
}

Test(store, a_format_of_another_version_is_refused)
{
    wf_kv *kv;
    cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
    cr_assert_eq(open_with(kv, "\x01", 1, "weft\0\0\0\x03", 8), WEFT_OK);
    cr_assert_eq(open_with(kv, "\x01", 1, "weft\0\0\0\x04", 8), WEFT_OK, "a tree was removed");
    cr_assert_eq(open_with(kv, "\x01", 1, "weft\0\0\0\x05", 8), WEFT_VERSION, "newer");
    cr_assert_eq(open_with(kv, "\x01", 1, "weft\0\0\0\x01", 8), WEFT_VERSION, "older");
    cr_assert_eq(open_with(kv, "\x01", 1, "wefx\0\0\0\x03", 8), WEFT_CORRUPT);
    wf_kv_close(kv);
}

Test(store, something_without_a_format_record_is_no_store)
{
    wf_kv *kv;
    cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
    cr_assert_eq(open_with(kv, "\x90", 1, "x", 1), WEFT_CORRUPT);
    wf_kv_close(kv);
}

Test(store, trees_and_their_epochs_outlive_a_restart)
{
    sk_dag *dag = sk_dag_create(SK_CHAIN, 5, author, 1);
    sk_node node;
    sk_node_open(&node, 1);
    weft_key readers[2];
    memset(&readers[0], 9, sizeof readers[0]);
    memset(&readers[1], 4, sizeof readers[1]);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, readers, 2), WEFT_OK);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, false, NULL), WEFT_OK);
    wf_tree_info before, after;
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &before), WEFT_OK);
    sk_node_crash(&node, 0);
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &after), WEFT_OK);
    cr_assert_arr_eq(&before, &after, sizeof before);
    cr_assert(wf_store_may_read(node.store, &dag->tree, &readers[0]));
    cr_assert(wf_store_may_read(node.store, &dag->tree, &readers[1]));
    readers[0].bytes[5] = 1;
    cr_assert_not(wf_store_may_read(node.store, &dag->tree, &readers[0]));
    sk_node_close(&node);
    sk_dag_destroy(dag);
}

Test(store, a_tree_that_is_not_followed_is_not_read_by_anybody)
{
    sk_dag *dag = sk_dag_create(SK_CHAIN, 5, author, 1);
    sk_node node;
    sk_node_open(&node, 1);
    weft_key reader;
    memset(&reader, 9, sizeof reader);
    cr_assert_eq(sk_follow(&node, &dag->tree, true, &reader, 1), WEFT_OK);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 3, false, NULL), WEFT_OK);
    cr_assert_eq(sk_follow(&node, &dag->tree, false, &reader, 1), WEFT_OK);
    cr_assert_not(wf_store_may_read(node.store, &dag->tree, &reader));
    struct wf_ingest *frame = sk_ingest(
        &node, sk_frame(&node, 3, 1, &dag->tree, dag->bufs + 3, dag->ids + 3, 1));
    cr_assert_eq(frame->err, WEFT_TREE);
    cr_assert_eq(sk_commit(&node, dag->bufs + 3, dag->ids + 3, 1, true, NULL), WEFT_TREE);
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &info), WEFT_OK);
    cr_assert_eq(info.count, 3, "its entries stay");
    sk_node_close(&node);
    sk_dag_destroy(dag);
}
