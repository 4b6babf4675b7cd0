/* SPDX-License-Identifier: Apache-2.0
 * test_store_actor.c - how the store's thread serves others: groups, order, bells.
 * Called by: meson test. May touch: the store actor, in the simulator.
 * Never: a real thread (test_store_rocksdb.c does). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "block.h"
#include "store_kit.h"

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
    dag = sk_dag_create(SK_CHAIN, 100, author, 3);
}

static void teardown(void)
{
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(store_actor, .init = setup, .fini = teardown);

static void follow(void) { cr_assert_eq(sk_follow(&node, &dag->tree, true, NULL, 0), WEFT_OK); }

static struct wf_ingest *frame_of(uint64_t n, uint32_t from, uint32_t count)
{
    return sk_frame(&node, 3, n, &dag->tree, dag->bufs + from, dag->ids + from, count);
}

static uint64_t count_here(void) { return sk_count(&node, &dag->tree); }

static struct wf_commit *commit_of(uint32_t from, uint32_t count)
{
    return sk_commit_of(dag, from, count);
}

/* -- Group commit ------------------------------------------------------------------------- */

static void ask_forty(weft_self *self, void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 40; i++) sk_ask(&node, self, &commit_of(i, 1)->req);
}

Test(store_actor, commits_that_wait_together_share_one_synced_write)
{
    struct wf_store_counters before, after;
    wf_store_counters_read(node.store, &before);
    sk_node_do(&node, ask_forty, NULL);
    sk_node_settle(&node);
    wf_store_counters_read(node.store, &after);
    cr_assert_eq(node.sink.replies_count, 40);
    for (uint32_t i = 0; i < 40; i++) {
        cr_assert_eq(node.sink.replies[i].err, WEFT_OK);
        cr_assert_eq(node.sink.replies[i].seq, i + 1);
    }
    cr_assert_eq(after.entries - before.entries, 40);
    cr_assert_leq(after.synced - before.synced, 3, "%llu writes",
                  (unsigned long long)(after.synced - before.synced));
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
}

Test(store_actor, a_commit_ends_at_its_first_bad_entry_and_keeps_what_was_before)
{
    struct wf_commit *commit = commit_of(0, 10);
    weft_buf *swap = commit->entries[5];
    commit->entries[5] = commit->entries[8]; /* its parent is not here yet */
    commit->entries[8] = swap;
    commit->ids[5] = dag->ids[8];
    commit->ids[8] = dag->ids[5];
    weft_request *back = NULL;
    weft_err err = weft_call(node.addr, &commit->req, WEFT_NEVER, &back, NULL);
    cr_assert_eq(err, WEFT_PENDING, "%s", weft_errname(err));
    cr_assert_eq(((struct wf_commit *)back)->applied, 5);
    cr_assert_eq(((struct wf_commit *)back)->seq, 5);
    weft_drop(&back->msg);
    cr_assert_eq(count_here(), 5);
}

Test(store_actor, a_root_makes_its_tree_only_when_it_is_asked_to)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 1, false, NULL), WEFT_TREE);
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &info), WEFT_NOT_FOUND);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 1, true, NULL), WEFT_OK);
    cr_assert_eq(wf_store_tree(node.store, &dag->tree, &info), WEFT_OK);
    cr_assert(info.has_root && info.followed);
}

Test(store_actor, an_unsynced_commit_is_durable_soon_after)
{
    struct wf_commit *commit = commit_of(0, 3);
    commit->durability = WF_WRITTEN;
    weft_request *back = NULL;
    cr_assert_eq(weft_call(node.addr, &commit->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    weft_drop(&back->msg);
    cr_assert_eq(count_here(), 3);
    cr_assert_gt(wf_kv_memory_unsynced(node.kv), 0);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_LAZY_SYNC_NS);
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
}

Test(store_actor, a_batch_larger_than_its_bound_is_written_in_parts)
{
    struct wf_store_counters before, after;
    static uint8_t payload[900000];
    weft_id ids[9];
    weft_buf *bufs[9];
    bufs[0] = weft_buf_ref(dag->bufs[0]);
    ids[0] = dag->ids[0];
    for (uint32_t i = 1; i < 9; i++) {
        payload[0] = (uint8_t)i;
        sk_entry e = {.tree = dag->tree,
                      .parents = &ids[i - 1],
                      .parents_count = 1,
                      .height = i,
                      .payload = payload,
                      .payload_len = sizeof payload};
        bufs[i] = sk_build(&e, author, &ids[i]);
    }
    wf_store_counters_read(node.store, &before);
    cr_assert_eq(sk_commit(&node, bufs, ids, 9, true, NULL), WEFT_OK);
    wf_store_counters_read(node.store, &after);
    cr_assert_eq(after.batches - before.batches, 2);
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
    sk_expect_clean(node.store);
    for (uint32_t i = 0; i < 9; i++) weft_buf_unref(bufs[i]);
}

Test(store_actor, a_full_mailbox_keeps_the_message_with_its_sender)
{
    struct wf_commit *commit = commit_of(0, 1);
    weft_err err = WEFT_OK;
    uint32_t sent = 0;
    while (err == WEFT_OK && sent <= 2 * WEFT_MAILBOX_DEFAULT) {
        err = weft_send(node.addr, &commit->req.msg);
        if (err == WEFT_OK) {
            sent++;
            commit = commit_of(0, 1);
        }
    }
    cr_assert_eq(err, WEFT_FULL);
    cr_assert_geq(sent, WEFT_MAILBOX_DEFAULT);
    sk_node_settle(&node);
    cr_assert_eq(weft_send(node.addr, &commit->req.msg), WEFT_OK, "it can be sent later");
    sk_node_settle(&node);
    cr_assert_eq(count_here(), 1);
}

/* -- Streams in order ------------------------------------------------------------------------- */

Test(store_actor, frames_are_applied_in_the_order_of_their_numbers)
{
    follow();
    sk_send(&node, frame_of(3, 20, 10));
    sk_send(&node, frame_of(2, 10, 10));
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 0, "they wait for the first");
    sk_send(&node, frame_of(1, 0, 10));
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(node.sink.results[i]->n, i + 1);
        cr_assert_eq(node.sink.results[i]->err, WEFT_OK);
        cr_assert_eq(node.sink.results[i]->stored, 10);
        cr_assert_eq(node.sink.results[i]->tree_seq, 10 * (i + 1));
    }
}

Test(store_actor, an_end_in_its_turn_forgets_the_stream)
{
    follow();
    struct wf_ingest *end = wf_ingest_create(0);
    end->results_to = weft_addr_get(node.sink_addr);
    end->conn = 3;
    end->stream = 1;
    end->n = 2;
    end->end = true;
    sk_send(&node, end);
    sk_send(&node, frame_of(4, 10, 5)); /* behind the end: never applied */
    sk_send(&node, frame_of(1, 0, 10));
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 3);
    cr_assert_eq(node.sink.results[0]->n, 1);
    cr_assert(node.sink.results[1]->end);
    cr_assert_eq(node.sink.results[2]->n, 4);
    cr_assert_eq(node.sink.results[2]->err, WEFT_CANCELED);
    cr_assert_eq(count_here(), 10);
    sk_sink_clear(&node);
    sk_send(&node, frame_of(1, 10, 5)); /* the numbers begin anew */
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 1);
    cr_assert_eq(count_here(), 15);
}

Test(store_actor, an_end_without_a_number_gives_up_what_is_parked)
{
    follow();
    sk_send(&node, frame_of(2, 10, 5));
    sk_send(&node, frame_of(3, 15, 5));
    struct wf_ingest *end = wf_ingest_create(0);
    end->results_to = weft_addr_get(node.sink_addr);
    end->conn = 3;
    end->stream = 1;
    end->end = true;
    sk_send(&node, end);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 3);
    cr_assert_eq(node.sink.results[0]->n, 2);
    cr_assert_eq(node.sink.results[0]->err, WEFT_CANCELED);
    cr_assert_eq(node.sink.results[1]->n, 3);
    cr_assert(node.sink.results[2]->end);
}

Test(store_actor, frames_that_wait_too_long_are_given_back)
{
    follow();
    sk_send(&node, frame_of(2, 10, 5));
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + WEFT_PENDING_TTL_NS + 2 * WEFT_SEC);
    cr_assert_eq(node.sink.results_count, 1);
    cr_assert_eq(node.sink.results[0]->err, WEFT_CANCELED);
}

Test(store_actor, a_number_that_was_there_is_refused)
{
    follow();
    sk_send(&node, frame_of(1, 0, 5));
    sk_send(&node, frame_of(1, 5, 5));
    sk_node_settle(&node);
    cr_assert_eq(count_here(), 5);
    bool refused = false;
    for (uint32_t i = 0; i < 2; i++) refused |= node.sink.results[i]->err == WEFT_INVALID;
    cr_assert(refused);
}

/* -- Cursors ---------------------------------------------------------------------------------- */

static struct wf_ingest *marked(struct wf_ingest *frame, uint64_t seq)
{
    frame->has_mark = true;
    frame->mark = (wf_mark){.seq = seq, .gen = 5};
    memset(frame->mark.epoch, 3, sizeof frame->mark.epoch);
    return frame;
}

static uint64_t cursor(void)
{
    weft_key peer;
    memset(&peer, 3, sizeof peer);
    wf_mark mark;
    return wf_store_cursor(node.store, &peer, 1, &mark) == WEFT_OK ? mark.seq : 0;
}

Test(store_actor, the_cursor_moves_with_the_entries_it_speaks_of)
{
    follow();
    cr_assert_eq(sk_ingest(&node, marked(frame_of(1, 0, 10), 10))->err, WEFT_OK);
    cr_assert_eq(cursor(), 10);
    sk_node_crash(&node, 0);
    cr_assert_eq(cursor(), 10);
    cr_assert_eq(sk_ingest(&node, marked(frame_of(1, 5, 10), 17))->err, WEFT_OK);
    cr_assert_eq(cursor(), 17, "known ones count as well");
}

Test(store_actor, no_cursor_passes_a_pending_entry_until_it_is_stored)
{
    follow();
    struct wf_ingest *frame = marked(frame_of(1, 2, 3), 30); /* 0 and 1 are missing */
    frame->raw = true;
    frame = sk_ingest(&node, frame);
    cr_assert_eq(frame->pending, 3);
    cr_assert_not(frame->has_mark);
    cr_assert_eq(cursor(), 0);
    frame = marked(frame_of(2, 0, 1), 31);
    frame->raw = true;
    frame = sk_ingest(&node, frame);
    cr_assert_eq(frame->stored, 1);
    cr_assert_not(frame->has_mark, "nobody is told of it");
    cr_assert_eq(cursor(), 0, "1 is still missing");
    sk_send(&node, sk_frame(&node, 4, 1, &dag->tree, dag->bufs + 1, dag->ids + 1, 1));
    sk_node_settle(&node);
    cr_assert_eq(count_here(), 5);
    cr_assert_eq(cursor(), 31, "the last mark holds as soon as nothing is pending");
}

Test(store_actor, no_cursor_passes_a_frame_that_was_cut_or_refused)
{
    follow();
    struct wf_ingest *frame = sk_ingest(&node, marked(frame_of(1, 2, 3), 30));
    cr_assert_eq(frame->err, WEFT_PENDING, "not raw: the frame ends");
    cr_assert_eq(frame->missing_count, 1);
    cr_assert(weft_id_equal(&frame->missing[0], &dag->ids[1]));
    cr_assert_not(frame->has_mark);
    frame = sk_ingest(&node, marked(frame_of(2, 0, 2), 31));
    cr_assert_eq(frame->err, WEFT_OK);
    cr_assert_not(frame->has_mark, "nobody is told of it");
    cr_assert_eq(cursor(), 0, "entry 4 was in the frame that was cut");
    frame = marked(sk_frame(&node, 5, 1, &dag->tree, dag->bufs, dag->ids, 2), 40);
    frame->verdict = WEFT_BAD_SIGNATURE; /* of an entry behind the two */
    frame = sk_ingest(&node, frame);
    cr_assert_eq(frame->err, WEFT_BAD_SIGNATURE);
    cr_assert_eq(frame->known, 2);
    weft_key peer;
    memset(&peer, 5, sizeof peer);
    wf_mark mark;
    cr_assert_eq(wf_store_cursor(node.store, &peer, 1, &mark), WEFT_NOT_FOUND);
}

/* -- The pending pool ----------------------------------------------------------------------------- */

static uint64_t pending_now(void)
{
    struct wf_store_counters counters;
    wf_store_counters_read(node.store, &counters);
    return counters.pending_now;
}

Test(store_actor, a_chain_that_came_backwards_is_stored_when_its_root_comes)
{
    follow();
    for (uint32_t i = 99; i > 0; i--) {
        struct wf_ingest *frame = frame_of(100 - i, i, 1);
        frame->raw = true;
        frame = sk_ingest(&node, frame);
        cr_assert_eq(frame->entries[0].result, WF_IN_PENDING);
        cr_assert_eq(frame->missing_count, 1);
    }
    cr_assert_eq(pending_now(), 99);
    cr_assert_eq(count_here(), 0);
    cr_assert_eq(sk_ingest(&node, frame_of(100, 0, 1))->stored, 1);
    cr_assert_eq(pending_now(), 0);
    sk_expect_dag(node.store, dag, NULL);
    wf_arrival arrival;
    cr_assert_eq(wf_store_arrival(node.store, 1, 50, &arrival), WEFT_OK);
    cr_assert_eq(arrival.source.peer.bytes[0], 3, "each keeps its own source");
}

Test(store_actor, pending_entries_go_when_they_are_too_old)
{
    follow();
    struct wf_ingest *frame = frame_of(1, 5, 10);
    frame->raw = true;
    cr_assert_eq(sk_ingest(&node, frame)->pending, 10);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + WEFT_PENDING_TTL_NS / 2);
    cr_assert_eq(pending_now(), 10);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + WEFT_PENDING_TTL_NS);
    cr_assert_eq(pending_now(), 0);
    cr_assert_not(wf_sim_step(node.sim), "an idle store does not wake");
}

Test(store_actor, a_local_commit_wakes_what_waits_for_it)
{
    follow();
    struct wf_ingest *frame = frame_of(1, 1, 1);
    frame->raw = true;
    cr_assert_eq(sk_ingest(&node, frame)->pending, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 1, false, NULL), WEFT_OK);
    sk_node_settle(&node);
    cr_assert_eq(count_here(), 2);
}

Test(store_actor, an_orphan_that_proves_bad_leaves_the_pool)
{
    follow();
    sk_entry bad = {.tree = dag->tree, .parents = &dag->ids[1], .parents_count = 1, .height = 9};
    weft_id id;
    weft_buf *buf = sk_build(&bad, author, &id);
    struct wf_ingest *frame = sk_frame(&node, 3, 1, &dag->tree, &buf, &id, 1);
    frame->raw = true;
    cr_assert_eq(sk_ingest(&node, frame)->pending, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 2, false, NULL), WEFT_OK);
    sk_node_settle(&node);
    cr_assert_eq(pending_now(), 0);
    cr_assert_eq(count_here(), 2);
    weft_buf_unref(buf);
}

/* -- Doorbells --------------------------------------------------------------------------------------- */

static void subscribe(void)
{
    struct wf_stored *bell = wf_stored_create(node.sink_addr);
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    sk_node_settle(&node);
}

/* Takes the one bell that has rung. */
static struct wf_stored *rung(void)
{
    sk_node_settle(&node);
    cr_assert_eq(node.sink.bells_count, 1, "%u bells", node.sink.bells_count);
    node.sink.bells_count = 0;
    return node.sink.bells[0];
}

static void give_back(struct wf_stored *bell)
{
    wf_stored_clear(bell);
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    sk_node_settle(&node);
}

Test(store_actor, a_bell_carries_the_entries_of_a_small_commit)
{
    subscribe();
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    struct wf_stored *bell = rung();
    cr_assert_eq(bell->trees_count, 1);
    cr_assert_not(bell->more_trees);
    cr_assert(bell->trees[0].complete);
    cr_assert_eq(bell->trees[0].from_seq, 0);
    cr_assert_eq(bell->trees[0].to_seq, 5);
    cr_assert_eq(bell->entries_count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        const struct wf_stored_entry *entry = &bell->entries[i];
        cr_assert_eq(entry->seq, i + 1);
        cr_assert_eq(entry->gen, dag->gens[i]);
        cr_assert(weft_id_equal(&entry->id, &dag->ids[i]));
        cr_assert(weft_id_equal(&entry->tree, &dag->tree));
        cr_assert_eq(entry->len, weft_buf_len(dag->bufs[i]));
        cr_assert_arr_eq(entry->bytes, weft_buf_bytes(dag->bufs[i]), entry->len);
    }
    weft_drop(&bell->msg);
}

Test(store_actor, what_happens_while_a_bell_is_away_is_told_by_the_next_ring)
{
    subscribe();
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    struct wf_stored *bell = rung();
    cr_assert_eq(sk_commit(&node, dag->bufs + 5, dag->ids + 5, 3, true, NULL), WEFT_OK);
    cr_assert_eq(sk_commit(&node, dag->bufs + 8, dag->ids + 8, 4, true, NULL), WEFT_OK);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.bells_count, 0);
    give_back(bell);
    bell = rung();
    cr_assert_eq(bell->trees[0].from_seq, 5);
    cr_assert_eq(bell->trees[0].to_seq, 12);
    cr_assert(bell->trees[0].complete);
    cr_assert_eq(bell->entries_count, 7);
    give_back(bell);
    cr_assert_eq(node.sink.bells_count, 0, "nothing grew since");
}

Test(store_actor, growth_beyond_a_bell_is_told_without_entries)
{
    subscribe();
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 100, true, NULL), WEFT_OK);
    struct wf_stored *bell = rung();
    cr_assert_eq(bell->trees_count, 1);
    cr_assert_eq(bell->trees[0].to_seq, 100);
    cr_assert_not(bell->trees[0].complete);
    cr_assert_eq(bell->entries_count, 0);
    weft_drop(&bell->msg);
}

Test(store_actor, more_trees_than_a_bell_holds_come_with_the_next)
{
    subscribe();
    weft_id ids[WEFT_DOORBELL_TREES + 6];
    weft_buf *bufs[WEFT_DOORBELL_TREES + 6];
    uint32_t count = WEFT_DOORBELL_TREES + 6;
    for (uint32_t i = 0; i < count; i++)
        bufs[i] = sk_root(author, (uint8_t)(i + 1), WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE,
                          &ids[i]);
    cr_assert_eq(sk_commit(&node, bufs, ids, count, true, NULL), WEFT_OK);
    struct wf_stored *bell = rung();
    cr_assert_eq(bell->trees_count, WEFT_DOORBELL_TREES);
    cr_assert(bell->more_trees);
    give_back(bell);
    bell = rung();
    cr_assert_eq(bell->trees_count, 6);
    cr_assert_not(bell->more_trees);
    cr_assert(weft_id_equal(&bell->trees[0].tree, &ids[WEFT_DOORBELL_TREES]));
    weft_drop(&bell->msg);
    for (uint32_t i = 0; i < count; i++) weft_buf_unref(bufs[i]);
}

Test(store_actor, a_bell_does_not_ring_before_the_disk_has_it)
{
    subscribe();
    struct wf_commit *commit = commit_of(0, 3);
    commit->durability = WF_WRITTEN;
    weft_request *back = NULL;
    cr_assert_eq(weft_call(node.addr, &commit->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    weft_drop(&back->msg);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + WEFT_LAZY_SYNC_NS / 2);
    cr_assert_eq(node.sink.bells_count, 0);
    struct wf_stored *bell = rung();
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
    cr_assert_eq(bell->entries_count, 3);
    weft_drop(&bell->msg);
}

static void commit_unsynced(uint32_t from, uint32_t count)
{
    struct wf_commit *commit = commit_of(from, count);
    commit->durability = WF_WRITTEN;
    weft_request *back = NULL;
    cr_assert_eq(weft_call(node.addr, &commit->req, WEFT_NEVER, &back, NULL), WEFT_OK);
    weft_drop(&back->msg);
}

Test(store_actor, a_first_bell_tells_of_what_the_disk_has_only_after_it_came)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    commit_unsynced(5, 3);
    subscribe();
    struct wf_stored *bell = rung();
    cr_assert_eq(bell->trees_count, 1);
    cr_expect_eq(bell->trees[0].from_seq, 5);
    cr_expect_eq(bell->trees[0].to_seq, 8);
    weft_drop(&bell->msg);
}

Test(store_actor, a_bell_that_asks_for_it_rings_once_without_news)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    struct wf_stored *bell = wf_stored_create(node.sink_addr);
    bell->at_once = true;
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    bell = rung();
    cr_expect_eq(bell->trees_count, 0);
    give_back(bell);
    cr_expect_eq(node.sink.bells_count, 0);
}

/* Its record came with the bell; that of the trees does not fit, so it looks at all of them. */
Test(store_actor, a_bell_is_taken_also_when_memory_is_short)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    struct wf_stored *bell = wf_stored_create(node.sink_addr);
    (void)wf_alloc_fail_at(1, 1);
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    sk_node_settle(&node);
    cr_expect_gt(wf_alloc_fail_at(0, 0), 0, "else nothing was short");
    bell = rung();
    cr_expect(bell->more_trees);
    give_back(bell);
    cr_assert_eq(sk_commit(&node, dag->bufs + 5, dag->ids + 5, 3, true, NULL), WEFT_OK);
    bell = rung();
    cr_expect_eq(bell->trees_count, 1);
    cr_expect_eq(bell->trees[0].to_seq, 8);
    weft_drop(&bell->msg);
}

/* At its first bell: what the disk is still to have is told then, in whatever words. */
Test(store_actor, a_bell_that_memory_was_short_for_tells_of_what_is_synced_later)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    commit_unsynced(5, 3);
    struct wf_stored *bell = wf_stored_create(node.sink_addr);
    bell->at_once = true;
    (void)wf_alloc_fail_at(1, 1);
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + WEFT_LAZY_SYNC_NS / 2);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(node.sink.bells_count, 1);
    node.sink.bells_count = 0;
    cr_expect_not(node.sink.bells[0]->more_trees, "the disk does not have it yet");
    give_back(node.sink.bells[0]);
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_LAZY_SYNC_NS);
    bell = rung();
    cr_expect(bell->more_trees);
    weft_drop(&bell->msg);
}

Test(store_actor, it_is_known_how_far_a_tree_is_durable)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    cr_assert_eq(wf_store_durable(node.store, 1), 5);
    commit_unsynced(5, 3);
    cr_expect_eq(wf_store_durable(node.store, 1), 5);
    commit_unsynced(8, 2);
    cr_expect_eq(wf_store_durable(node.store, 1), 5, "not the first of two either");
    wf_sim_run_until(node.sim, wf_sim_now(node.sim) + 2 * WEFT_LAZY_SYNC_NS);
    cr_expect_eq(wf_store_durable(node.store, 1), 10);
    cr_expect_eq(wf_store_durable(node.store, 99), 0, "no such tree");
}

Test(store_actor, a_known_entry_rings_no_bell)
{
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    subscribe();
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.bells_count, 0);
}

Test(store_actor, a_subscriber_that_ended_is_forgotten)
{
    subscribe();
    weft_stop(node.sink_addr, WEFT_NOW);
    sk_node_settle(&node);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, 5, true, NULL), WEFT_OK);
    cr_assert_eq(sk_commit(&node, dag->bufs + 5, dag->ids + 5, 5, true, NULL), WEFT_OK);
    cr_assert_eq(count_here(), 10);
}

/* -- Records ---------------------------------------------------------------------------------------------- */

static weft_err put_record(enum wf_cf cf, uint8_t first, const char *value)
{
    uint32_t len = value == NULL ? 0 : (uint32_t)strlen(value);
    struct wf_record_put *record = wf_record_create(len);
    record->cf = cf;
    record->remove = value == NULL;
    record->key[0] = first;
    record->key[1] = 'k';
    record->key_len = 2;
    if (len > 0) memcpy(record->value, value, len);
    weft_request *back = NULL;
    weft_err err = weft_call(node.addr, &record->req, WEFT_NEVER, &back, NULL);
    weft_drop(&back->msg);
    return err;
}

static weft_err count_record(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                             size_t value_len)
{
    (void)key;
    (void)value;
    (void)value_len;
    cr_assert_eq(key_len, 2);
    ++*(int *)arg;
    return WEFT_OK;
}

Test(store_actor, records_of_upper_layers_are_kept_apart_from_the_stores_own)
{
    cr_assert_eq(put_record(WF_CF_PEER, 0x80, "hello"), WEFT_OK);
    cr_assert_eq(put_record(WF_CF_PEER, 0x81, "there"), WEFT_OK);
    cr_assert_eq(put_record(WF_CF_PEER, 0x01, "x"), WEFT_INVALID);
    cr_assert_eq(put_record(WF_CF_ENTRY, 0x80, "x"), WEFT_INVALID);
    sk_node_crash(&node, 0);
    uint8_t room[16];
    size_t len = 3;
    cr_assert_eq(wf_store_record_get(node.store, WF_CF_PEER, "\x80k", 2, room, &len), WEFT_LIMIT);
    cr_assert_eq(len, 5);
    cr_assert_eq(wf_store_record_get(node.store, WF_CF_PEER, "\x80k", 2, room, &len), WEFT_OK);
    cr_assert_arr_eq(room, "hello", 5);
    int count = 0;
    cr_assert_eq(wf_store_record_each(node.store, WF_CF_PEER, "\x80", 1, count_record, &count), 0);
    cr_assert_eq(count, 1);
    cr_assert_eq(put_record(WF_CF_PEER, 0x80, NULL), WEFT_OK);
    cr_assert_eq(wf_store_record_get(node.store, WF_CF_PEER, "\x80k", 2, room, &len),
                 WEFT_NOT_FOUND);
}

/* -- Failing ------------------------------------------------------------------------------------------------ */

Test(store_actor, a_failed_write_answers_everybody_in_the_batch)
{
    follow();
    sk_quiet(true);
    wf_kv_memory_fail_at(node.kv, 1, WEFT_NO_SPACE, true);
    sk_send(&node, marked(frame_of(1, 0, 3), 3));
    sk_node_do(&node, ask_forty, NULL);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.results_count, 1);
    cr_assert_eq(node.sink.results[0]->err, WEFT_NO_SPACE);
    cr_assert_eq(node.sink.replies_count, 40);
    for (uint32_t i = 0; i < 40; i++) {
        weft_err err = node.sink.replies[i].err;
        cr_assert_eq(err, WEFT_NO_SPACE, "%s", weft_errname(err));
        cr_assert_eq(node.sink.replies[i].applied, 0);
    }
    cr_assert_eq(count_here(), 0);
    cr_assert_eq(cursor(), 0);
    sk_quiet(false);
}

Test(store_actor, a_stop_writes_what_it_has_taken)
{
    struct wf_commit *commit = commit_of(0, 10);
    commit->durability = WF_WRITTEN;
    cr_assert_eq(weft_send(node.addr, &commit->req.msg), WEFT_OK);
    cr_assert_eq(weft_stop(node.addr, WEFT_DRAIN), WEFT_OK);
    cr_assert_eq(weft_join(node.addr, WEFT_NEVER, NULL), WEFT_OK);
    cr_assert_eq(wf_kv_memory_unsynced(node.kv), 0);
    cr_assert_eq(count_here(), 10);
}
