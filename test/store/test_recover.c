/* SPDX-License-Identifier: Apache-2.0
 * test_recover.c - a store whose disk fails and comes back, in virtual time.
 * Called by: meson test. May touch: the store actor, the failures of the memory engine.
 * Never: a real thread or disk (test_kv_rocksdb.c has one that fails). */
#include <criterion/criterion.h>
#include <string.h>

#include "block.h"
#include "layout.h"
#include "store_kit.h"

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static weft_err commit(uint32_t from, uint32_t count, uint64_t *seq)
{
    return sk_commit(&node, dag->bufs + from, dag->ids + from, count, true, seq);
}

static void setup(void)
{
    author = kit_pair(1);
    sk_node_open(&node, 1);
    dag = sk_dag_create(SK_CHAIN, 100, author, 3);
    cr_assert_eq(commit(0, 5, NULL), WEFT_OK);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(recover, .init = setup, .fini = teardown);

static void disk_fails(weft_err err) { wf_kv_memory_fail_at(node.kv, 1, err, true); }

/* What the disk did with the write that failed: it is there, or it is not. */
static void disk_works_and_has_it(void) { wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false); }
static void disk_works_and_lost_it(void) { wf_kv_memory_crash(node.kv, 0); }

static uint64_t count_here(void) { return sk_count(&node, &dag->tree); }

static uint64_t outages(void)
{
    struct wf_store_counters counters;
    wf_store_counters_read(node.store, &counters);
    return counters.outages;
}

static void expect_first(uint32_t count)
{
    bool have[100] = {false};
    for (uint32_t i = 0; i < count; i++) have[i] = true;
    sk_expect_dag(node.store, dag, have);
    sk_expect_clean(node.store);
}

static void run_for(weft_ns time) { wf_sim_run_until(node.sim, wf_sim_now(node.sim) + time); }

/* -- Commits ---------------------------------------------------------------------------------- */

Test(recover, a_store_whose_disk_failed_takes_commits_again)
{
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(5, 5, NULL), WEFT_IO);
    cr_assert_eq(commit(5, 5, NULL), WEFT_IO, "refused: the disk is still broken");
    cr_assert_eq(count_here(), 5);
    disk_works_and_has_it();
    sk_node_settle(&node);
    cr_assert_eq(commit(10, 90, NULL), WEFT_OK);
    cr_assert_eq(outages(), 1);
    expect_first(100);
}

Test(recover, a_batch_that_did_not_land_gives_its_numbers_to_the_next)
{
    uint64_t seq = 0;
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(5, 5, NULL), WEFT_IO);
    disk_works_and_lost_it();
    sk_node_settle(&node);
    cr_assert_eq(count_here(), 5);
    cr_assert_eq(commit(5, 1, &seq), WEFT_OK);
    cr_assert_eq(seq, 6);
    expect_first(6);
}

Test(recover, a_batch_that_landed_is_known_when_it_is_committed_again)
{
    uint64_t seq = 0;
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(5, 5, NULL), WEFT_IO);
    disk_works_and_has_it();
    sk_node_settle(&node);
    cr_assert_eq(commit(5, 5, &seq), WEFT_OK);
    cr_assert_eq(seq, 10);
    expect_first(10);
}

Test(recover, a_tree_that_only_the_failed_batch_has_is_there_afterwards)
{
    weft_id id;
    weft_buf *root = sk_root(author, 9, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &id);
    wf_tree_info info;
    disk_fails(WEFT_IO);
    cr_assert_eq(sk_commit(&node, &root, &id, 1, true, NULL), WEFT_IO);
    cr_assert_eq(wf_store_tree(node.store, &id, &info), WEFT_NOT_FOUND);
    disk_works_and_has_it();
    sk_node_settle(&node);
    cr_assert_eq(wf_store_tree(node.store, &id, &info), WEFT_OK);
    cr_assert_eq(info.count, 1);
    cr_assert_eq(commit(5, 5, NULL), WEFT_OK);
    expect_first(10);
    weft_buf_unref(root);
}

Test(recover, reads_go_on_while_writes_are_refused)
{
    weft_buf *got;
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(5, 5, NULL), WEFT_IO);
    expect_first(5);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(wf_store_get(node.store, &dag->ids[i], &got), WEFT_OK);
        weft_buf_unref(got);
    }
}

Test(recover, a_full_disk_is_an_answer_and_needs_no_opening)
{
    wf_kv_memory_fail_at(node.kv, 1, WEFT_NO_SPACE, false);
    cr_assert_eq(commit(5, 5, NULL), WEFT_NO_SPACE);
    cr_assert_eq(count_here(), 5);
    cr_assert_eq(commit(5, 5, NULL), WEFT_OK, "there is room again");
    cr_assert_eq(outages(), 0);
    expect_first(10);
}

/* -- When it is tried again --------------------------------------------------------------------- */

Test(recover, a_disk_that_stays_broken_is_asked_less_and_less_often)
{
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(5, 1, NULL), WEFT_IO);
    run_for(60 * WEFT_SEC); /* the tries went from a tenth of a second to half a minute */
    disk_works_and_has_it();
    run_for(5 * WEFT_SEC);
    cr_assert_eq(commit(6, 1, NULL), WEFT_IO, "nobody has asked it since");
    run_for(30 * WEFT_SEC);
    cr_assert_eq(commit(6, 1, NULL), WEFT_OK);
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(7, 1, NULL), WEFT_IO);
    disk_works_and_has_it();
    run_for(WEFT_SEC);
    cr_assert_eq(commit(8, 1, NULL), WEFT_OK, "after a write that was taken it is asked at once");
    cr_assert_eq(outages(), 2);
}

Test(recover, a_reader_holds_the_opening_up_and_not_for_longer_than_it_reads)
{
    wf_gen_walk *walk;
    wf_place place;
    cr_assert_eq(wf_gen_walk_create(node.store, 1, 0, NULL, &walk), WEFT_OK);
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(5, 5, NULL), WEFT_IO);
    disk_works_and_has_it();
    run_for(60 * WEFT_SEC);
    cr_assert_eq(commit(10, 1, NULL), WEFT_IO);
    for (int i = 0; i < 5; i++) cr_assert_eq(wf_gen_walk_next(walk, &place), WEFT_OK);
    cr_assert_eq(wf_gen_walk_next(walk, &place), WEFT_END);
    wf_gen_walk_destroy(walk);
    run_for(2 * WEFT_SEC);
    cr_assert_eq(commit(10, 1, NULL), WEFT_OK);
}

/* -- When it cannot go on ------------------------------------------------------------------------- */

static void expect_end(weft_err want)
{
    weft_err reason = WEFT_OK;
    sk_node_settle(&node);
    cr_assert_eq(weft_join(node.addr, 0, &reason), WEFT_OK, "the store goes on");
    cr_assert_eq(reason, want, "%s", weft_errname(reason));
}

Test(recover, a_store_that_is_damaged_when_it_is_opened_again_ends)
{
    uint8_t key[WF_KEY_TREE_BYTES];
    wf_batch *batch;
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(5, 5, NULL), WEFT_IO);
    disk_works_and_lost_it();
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_key_tree(key, WF_TREE_COUNTS, 1);
    wf_batch_delete(batch, WF_CF_TREE, key, sizeof key);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    expect_end(WEFT_CORRUPT);
}

static weft_err commit_unsynced(uint32_t from, uint32_t count)
{
    struct wf_commit *commit = wf_commit_create(count);
    commit->durability = WF_WRITTEN;
    for (uint32_t i = 0; i < count; i++) {
        commit->entries[i] = weft_buf_ref(dag->bufs[from + i]);
        commit->ids[i] = dag->ids[from + i];
    }
    weft_request *back = NULL;
    weft_err err = weft_call(node.addr, &commit->req, WEFT_NEVER, &back, NULL);
    weft_drop(&back->msg);
    return err;
}

Test(recover, a_store_that_lost_what_was_read_already_ends)
{
    cr_assert_eq(commit_unsynced(5, 5), WEFT_OK);
    disk_fails(WEFT_IO); /* the sync that follows by itself */
    run_for(WEFT_LAZY_SYNC_NS + WEFT_MS);
    cr_assert_eq(count_here(), 10);
    disk_works_and_lost_it();
    expect_end(WEFT_CORRUPT);
}

/* -- Who is told ------------------------------------------------------------------------------------ */

static void subscribe(void)
{
    struct wf_stored *bell = wf_stored_create(node.sink_addr);
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    sk_node_settle(&node);
}

/* The one bell that has rung; `back` hands it on. */
static struct wf_stored *rung(void)
{
    cr_assert_eq(node.sink.bells_count, 1, "%u bells", node.sink.bells_count);
    node.sink.bells_count = 0;
    return node.sink.bells[0];
}

static void back(struct wf_stored *bell)
{
    wf_stored_clear(bell);
    cr_assert_eq(wf_send_system(node.addr, &bell->msg), WEFT_OK);
    run_for(WEFT_MS);
}

Test(recover, a_batch_that_landed_after_all_is_told_once)
{
    subscribe();
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(5, 5, NULL), WEFT_IO);
    run_for(WEFT_MS);
    struct wf_stored *bell = rung();
    cr_assert_eq(bell->store_err, WEFT_IO);
    cr_assert_eq(bell->outages, 1);
    cr_assert_eq(bell->trees_count, 0, "nobody knows yet whether it landed");
    back(bell);
    cr_assert_eq(node.sink.bells_count, 0);
    disk_works_and_has_it();
    sk_node_settle(&node);
    bell = rung();
    cr_assert_eq(bell->store_err, WEFT_OK);
    cr_assert_eq(bell->trees_count, 1);
    cr_assert_eq(bell->trees[0].from_seq, 5);
    cr_assert_eq(bell->trees[0].to_seq, 10);
    cr_assert_not(bell->trees[0].complete, "its bytes are for the reader to fetch");
    back(bell);
    sk_node_settle(&node);
    cr_assert_eq(node.sink.bells_count, 0);
    cr_assert_eq(commit(10, 1, NULL), WEFT_OK);
    run_for(WEFT_MS);
    bell = rung();
    cr_assert_eq(bell->trees[0].from_seq, 10);
    cr_assert(bell->trees[0].complete);
    weft_drop(&bell->msg);
}

Test(recover, what_was_not_durable_is_told_when_it_is)
{
    subscribe();
    cr_assert_eq(commit_unsynced(5, 5), WEFT_OK);
    disk_fails(WEFT_IO);
    run_for(WEFT_LAZY_SYNC_NS + WEFT_MS);
    struct wf_stored *bell = rung();
    cr_assert_eq(bell->store_err, WEFT_IO);
    cr_assert_eq(bell->trees_count, 0);
    back(bell);
    cr_assert_eq(node.sink.bells_count, 0);
    disk_works_and_has_it();
    sk_node_settle(&node);
    bell = rung();
    cr_assert_eq(bell->trees_count, 1);
    cr_assert_eq(bell->trees[0].to_seq, 10);
    weft_drop(&bell->msg);
}

Test(recover, an_outage_while_the_bell_was_away_is_told_by_its_number)
{
    subscribe();
    cr_assert_eq(commit(5, 1, NULL), WEFT_OK);
    run_for(WEFT_MS);
    struct wf_stored *bell = rung();
    cr_assert_eq(bell->outages, 0);
    disk_fails(WEFT_IO);
    cr_assert_eq(commit(6, 1, NULL), WEFT_IO);
    disk_works_and_lost_it();
    sk_node_settle(&node);
    cr_assert_eq(node.sink.bells_count, 0, "there is none to ring");
    back(bell);
    bell = rung();
    cr_assert_eq(bell->store_err, WEFT_OK);
    cr_assert_eq(bell->outages, 1);
    cr_assert_eq(bell->trees_count, 0);
    back(bell);
    cr_assert_eq(node.sink.bells_count, 0);
}

/* -- Peers -------------------------------------------------------------------------------------------- */

static struct wf_ingest *frame_of(uint8_t peer, uint64_t n, uint32_t from, uint32_t count)
{
    struct wf_ingest *frame = sk_frame(&node, peer, n, &dag->tree, dag->bufs + from,
                                       dag->ids + from, count);
    frame->has_mark = true;
    frame->mark.seq = from + count;
    return frame;
}

static uint64_t cursor(uint8_t peer)
{
    weft_key key;
    wf_mark mark;
    memset(&key, peer, sizeof key);
    return wf_store_cursor(node.store, &key, 1, &mark) == WEFT_OK ? mark.seq : 0;
}

Test(recover, frames_get_the_error_and_a_later_stream_carries_them)
{
    disk_fails(WEFT_IO);
    cr_assert_eq(sk_ingest(&node, frame_of(3, 1, 5, 5))->err, WEFT_IO);
    cr_assert_eq(sk_ingest(&node, frame_of(3, 2, 10, 5))->err, WEFT_IO);
    disk_works_and_lost_it();
    sk_node_settle(&node);
    cr_assert_eq(sk_ingest(&node, frame_of(4, 1, 5, 10))->err, WEFT_OK);
    cr_assert_eq(cursor(3), 0);
    cr_assert_eq(cursor(4), 15);
    expect_first(15);
}

Test(recover, a_stream_from_before_the_failure_moves_no_cursor)
{
    cr_assert_eq(sk_ingest(&node, frame_of(3, 1, 5, 5))->err, WEFT_OK);
    cr_assert_eq(cursor(3), 10);
    disk_fails(WEFT_IO);
    cr_assert_eq(sk_ingest(&node, frame_of(3, 2, 10, 5))->err, WEFT_IO);
    disk_works_and_lost_it();
    sk_node_settle(&node);
    cr_assert_eq(sk_ingest(&node, frame_of(3, 3, 10, 5))->err, WEFT_OK);
    cr_assert_eq(count_here(), 15);
    cr_assert_eq(cursor(3), 10, "frame 2 is missing behind it");
}

Test(recover, a_stream_may_end_while_writes_are_refused)
{
    struct wf_ingest *end = frame_of(3, 0, 0, 0);
    disk_fails(WEFT_IO);
    cr_assert_eq(sk_ingest(&node, frame_of(3, 1, 5, 5))->err, WEFT_IO);
    end->end = true;
    end->has_mark = false;
    (void)sk_ingest(&node, end);
    disk_works_and_lost_it();
    sk_node_settle(&node);
    cr_assert_eq(sk_ingest(&node, frame_of(3, 1, 5, 5))->err, WEFT_OK, "it begins anew");
    cr_assert_eq(cursor(3), 10);
}
