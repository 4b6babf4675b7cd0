/* SPDX-License-Identifier: Apache-2.0
 * test_feed.c - change feeds: each arrival once, in its order, with a cursor that outlives the
 * process; waiting, callbacks, filters, what is damaged or stopped.
 * Called by: the test runner. May touch: the engine of a node behind its back. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <weft/feed.h>

#include "alloc.h"
#include "feed.h"
#include "layout.h"
#include "lone.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static weft_node *node(struct world *w, uint32_t i) { return w->nodes[i].node; }

static struct world *two_nodes(uint64_t seed)
{
    return world_create(seed, WORLD_CHAIN, 2, WORLD_PLAIN);
}

static weft_id commit(struct world *w, uint32_t at)
{
    cr_assert_eq(world_commit(w, at), WEFT_OK);
    return w->acked[w->acked_count - 1];
}

static weft_feed *open_feed(struct world *w, uint32_t at, const weft_feed_options *options)
{
    weft_feed *feed = NULL;
    cr_assert_eq(weft_feed_open(node(w, at), &w->tree, options, &feed), WEFT_OK);
    return feed;
}

static weft_feed_event next(weft_feed *feed)
{
    weft_feed_event event;
    weft_err err = weft_feed_next(feed, CALL, &event);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    return event;
}

static void expect_nothing(weft_feed *feed)
{
    weft_feed_event event;
    cr_expect_eq(weft_feed_next(feed, 0, &event), WEFT_TIMED_OUT);
}

/* An entry on `parent`, stored nowhere. `id` may be NULL. */
static weft_buf *child_of(struct world *w, const weft_id *parent, uint64_t height, weft_id *id)
{
    weft_buf *buf = NULL;
    weft_id made;
    weft_entry_spec spec = {
        .tree = w->tree, .parents = parent, .parents_count = 1, .height = height};
    cr_assert_eq(weft_entry_build(&spec, w->author, &buf, id == NULL ? &made : id), WEFT_OK);
    return buf;
}

/* -- Events --------------------------------------------------------------------------------- */

Test(feed, tells_each_arrival_once_and_in_its_order)
{
    struct world *w = two_nodes(1);
    weft_feed *feed = open_feed(w, 0, NULL);
    weft_id ids[20];
    for (uint32_t i = 0; i < 20; i++) ids[i] = commit(w, 0);
    for (uint32_t i = 0; i < 20; i++) {
        weft_feed_event event = next(feed);
        cr_expect(weft_id_equal(&event.id, &ids[i]));
        cr_expect_eq(event.err, WEFT_OK);
    }
    expect_nothing(feed);
    cr_assert_eq(weft_feed_close(feed), WEFT_OK);
    world_destroy(w);
}

Test(feed, hands_over_the_bytes_of_the_entry)
{
    struct world *w = two_nodes(2);
    weft_feed *feed = open_feed(w, 0, NULL);
    weft_buf *stored = NULL;
    weft_id id = commit(w, 0);
    weft_feed_event event = next(feed);
    cr_assert_eq(weft_get(node(w, 0), &id, &stored), WEFT_OK);
    cr_assert_eq(weft_buf_len(event.entry), weft_buf_len(stored));
    cr_expect_arr_eq(weft_buf_bytes(event.entry), weft_buf_bytes(stored), weft_buf_len(stored));
    weft_buf_unref(stored);
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, says_who_an_entry_came_from)
{
    struct world *w = two_nodes(3);
    weft_feed *feed = open_feed(w, 0, NULL);
    (void)commit(w, 0);
    weft_feed_event mine = next(feed);
    cr_expect(mine.local);
    weft_id id = commit(w, 1);
    weft_feed_event theirs = next(feed);
    cr_expect_not(theirs.local);
    cr_expect(weft_id_equal(&theirs.id, &id));
    cr_expect(weft_key_equal(&theirs.peer, &w->nodes[1].key));
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, tells_nothing_of_what_was_refused_or_waits_for_its_parents)
{
    struct world *w = two_nodes(15);
    weft_feed *feed = open_feed(w, 0, NULL);
    weft_id first, second;
    weft_buf *bufs[3];
    uint32_t applied;
    bufs[0] = child_of(w, &w->tree, 1, &first);
    bufs[1] = child_of(w, &first, 2, &second);
    bufs[2] = child_of(w, &w->tree, 1, NULL);
    weft_buf_data(bufs[2])[weft_buf_len(bufs[2]) - 1] ^= 1;
    cr_expect_eq(weft_add(node(w, 0), &bufs[2], 1, false, CALL, &applied), WEFT_BAD_SIGNATURE);
    expect_nothing(feed);
    cr_expect_eq(weft_send_entries(node(w, 1), &w->nodes[0].key, &bufs[1], 1, CALL, NULL),
                 WEFT_PENDING);
    expect_nothing(feed);
    cr_expect_eq(weft_add(node(w, 0), &bufs[0], 1, true, CALL, &applied), WEFT_OK);
    weft_feed_event event = next(feed);
    cr_expect(weft_id_equal(&event.id, &first));
    event = next(feed);
    cr_expect(weft_id_equal(&event.id, &second));
    expect_nothing(feed);
    for (int i = 0; i < 3; i++) weft_buf_unref(bufs[i]);
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, tells_only_of_its_side_when_asked_to)
{
    struct world *w = two_nodes(4);
    weft_feed *local = open_feed(w, 0, &(weft_feed_options){.local_only = true});
    weft_feed *remote = open_feed(w, 0, &(weft_feed_options){.remote_only = true});
    weft_id here = commit(w, 0), there = commit(w, 1);
    cr_assert(world_converges(w, CALL));
    weft_feed_event event = next(local);
    cr_expect(weft_id_equal(&event.id, &here));
    expect_nothing(local);
    event = next(remote);
    cr_expect(weft_id_equal(&event.id, &there));
    expect_nothing(remote);
    weft_feed_close(local);
    weft_feed_close(remote);
    world_destroy(w);
}

static weft_id commit_to(struct world *w, const char *store)
{
    weft_writer *writer = NULL;
    weft_id id;
    cr_assert_eq(weft_writer_open(node(w, 0), &w->tree, w->author, &writer), WEFT_OK);
    cr_assert_eq(weft_commit(writer, store, "x", 1, CALL, &id), WEFT_OK);
    weft_writer_close(writer);
    return id;
}

Test(feed, tells_only_of_the_store_that_it_is_for)
{
    struct world *w = two_nodes(5);
    weft_feed *feed = open_feed(w, 0, &(weft_feed_options){.store = "apples"});
    (void)commit_to(w, "pears");
    weft_id id = commit_to(w, "apples");
    (void)commit_to(w, "apple");
    weft_feed_event event = next(feed);
    cr_expect(weft_id_equal(&event.id, &id));
    expect_nothing(feed);
    weft_feed_close(feed);
    world_destroy(w);
}

/* Behind `away` arrivals that it leaves out there is one that it tells of. */
static weft_feed *feed_that_leaves_out(struct world *w, uint32_t away, weft_id *told)
{
    weft_feed *feed = open_feed(w, 0, &(weft_feed_options){.store = "apples"});
    for (uint32_t i = 0; i < away; i++) (void)commit_to(w, "pears");
    *told = commit_to(w, "apples");
    return feed;
}

Test(feed, looks_at_no_more_than_a_turn_when_it_has_no_time)
{
    struct world *w = world_create(21, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_id told;
    weft_feed *feed = feed_that_leaves_out(w, 3 * WEFT_FEED_TURN, &told);
    weft_feed_event event;
    uint64_t from = feed->at;
    for (uint32_t i = 1; i <= 3; i++) {
        cr_expect_eq(weft_feed_next(feed, 0, &event), WEFT_AGAIN);
        cr_expect_eq(feed->at, from + i * WEFT_FEED_TURN);
    }
    cr_assert_eq(weft_feed_next(feed, 0, &event), WEFT_OK);
    cr_expect(weft_id_equal(&event.id, &told));
    expect_nothing(feed);
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, passes_over_as_much_as_it_has_time_for)
{
    struct world *w = world_create(22, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_id told;
    weft_feed *feed = feed_that_leaves_out(w, 3 * WEFT_FEED_TURN, &told);
    weft_feed_event event;
    cr_assert_eq(weft_feed_next(feed, 1, &event), WEFT_OK, "no time passes meanwhile");
    cr_expect(weft_id_equal(&event.id, &told));
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, from_the_start_tells_of_all_that_is_here)
{
    struct world *w = two_nodes(6);
    for (uint32_t i = 0; i < 150; i++) (void)commit(w, 0);
    weft_tree_info info = world_info(w, 0);
    weft_feed *feed = open_feed(w, 0, &(weft_feed_options){.from_start = true});
    for (uint64_t seq = 1; seq <= info.arrivals; seq++) cr_assert_eq(next(feed).seq, seq);
    expect_nothing(feed);
    weft_feed_close(feed);
    world_destroy(w);
}

/* -- Waiting ----------------------------------------------------------------------------------- */

Test(feed, waits_no_longer_than_it_was_told)
{
    struct world *w = two_nodes(7);
    weft_feed *feed = open_feed(w, 0, NULL);
    weft_feed_event event;
    weft_ns before = weft_rt_now(w->nodes[0].rt);
    cr_expect_eq(weft_feed_next(feed, 3 * WEFT_SEC, &event), WEFT_TIMED_OUT);
    cr_expect_geq(weft_rt_now(w->nodes[0].rt) - before, 3 * WEFT_SEC);
    cr_expect_lt(weft_rt_now(w->nodes[0].rt) - before, 4 * WEFT_SEC);
    (void)commit(w, 0);
    (void)next(feed);
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, that_waits_hears_of_what_a_peer_sends)
{
    struct world *w = two_nodes(8);
    weft_feed *feed = open_feed(w, 0, NULL);
    weft_id id;
    world_cut(w, 0, 1, true);
    id = commit(w, 1);
    world_cut(w, 0, 1, false);
    weft_feed_event event;
    cr_assert_eq(weft_feed_next(feed, 300 * WEFT_SEC, &event), WEFT_OK);
    cr_expect(weft_id_equal(&event.id, &id));
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, of_a_node_that_stops_gives_what_it_has_and_is_closed)
{
    struct world *w = two_nodes(9);
    weft_feed *feed = open_feed(w, 0, NULL);
    weft_feed_event event;
    (void)commit(w, 0);
    cr_assert_eq(weft_shutdown(node(w, 0), CALL), WEFT_OK);
    (void)next(feed);
    cr_expect_eq(weft_feed_next(feed, CALL, &event), WEFT_CLOSED);
    cr_expect_eq(weft_feed_next(feed, 0, &event), WEFT_CLOSED);
    cr_expect_eq(weft_feed_close(feed), WEFT_OK);
    world_destroy(w);
}

/* -- Cursors --------------------------------------------------------------------------------------- */

/* The node dies at any moment, and takes what was not synced with it. */
Test(feed, goes_on_with_its_cursor_after_any_crash)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct world *w = two_nodes(seed);
        weft_cursor cursor;
        weft_feed *feed = open_feed(w, 0, &(weft_feed_options){.from_start = true});
        uint64_t seen = 0;
        weft_feed_cursor(feed, &cursor);
        for (uint32_t life = 0; life < 6; life++) {
            uint32_t commits = 1 + world_below(w, 12), reads = world_below(w, 12);
            for (uint32_t i = 0; i < commits; i++) (void)commit(w, world_below(w, 2));
            world_run(w, world_below(w, 20) * WEFT_MS);
            weft_feed_event event;
            for (uint32_t i = 0; i < reads; i++) {
                if (weft_feed_next(feed, 0, &event) != WEFT_OK) break;
                cr_assert_eq(event.seq, ++seen, "seed %lu", (unsigned long)seed);
                weft_feed_cursor(feed, &cursor);
            }
            weft_feed_close(feed);
            world_kill(w, 0);
            world_start(w, 0);
            feed = open_feed(w, 0, &(weft_feed_options){.after = &cursor});
        }
        cr_assert(world_converges(w, 300 * WEFT_SEC));
        weft_tree_info info = world_info(w, 0);
        world_run(w, WEFT_SEC); /* for what is synced later */
        while (seen < info.arrivals) cr_assert_eq(next(feed).seq, ++seen);
        expect_nothing(feed);
        weft_feed_close(feed);
        world_destroy(w);
    }
}

Test(feed, refuses_a_cursor_of_another_history)
{
    struct world *w = two_nodes(11);
    weft_feed *feed = open_feed(w, 0, NULL), *none = NULL;
    weft_cursor cursor, other;
    (void)commit(w, 0);
    (void)next(feed);
    cr_assert(world_converges(w, CALL));
    weft_feed_cursor(feed, &cursor);
    weft_feed_options options = {.after = &other};
    other = cursor;
    cr_expect_eq(weft_feed_open(node(w, 1), &w->tree, &options, &none), WEFT_NOT_FOUND,
                 "another store's");
    other.bytes[0] ^= 1;
    cr_expect_eq(weft_feed_open(node(w, 0), &w->tree, &options, &none), WEFT_INVALID,
                 "another tree's");
    other = cursor;
    other.bytes[55]++;
    cr_expect_eq(weft_feed_open(node(w, 0), &w->tree, &options, &none), WEFT_NOT_FOUND,
                 "ahead of the store");
    other = cursor;
    other.bytes[63] ^= 1;
    cr_expect_eq(weft_feed_open(node(w, 0), &w->tree, &options, &none), WEFT_NOT_FOUND,
                 "another entry at its place");
    weft_feed_close(feed);
    world_destroy(w);
}

/* -- Callbacks --------------------------------------------------------------------------------------- */

struct heard {
    uint64_t count, last;
    uint64_t close_after; /* 0: never */
    weft_feed *other;     /* closed with it */
};

static void on_feed(void *arg, weft_feed *feed, const weft_feed_event *event)
{
    struct heard *heard = arg;
    cr_assert_gt(event->seq, heard->last);
    heard->last = event->seq;
    if (++heard->count != heard->close_after) return;
    if (heard->other != NULL) cr_assert_eq(weft_feed_close(heard->other), WEFT_OK);
    cr_assert_eq(weft_feed_close(feed), WEFT_OK);
}

Test(feed, calls_with_each_event)
{
    struct world *w = two_nodes(12);
    weft_feed *feed = open_feed(w, 0, &(weft_feed_options){.from_start = true});
    struct heard heard = {0};
    weft_feed_event event;
    cr_assert_eq(weft_feed_start(feed, on_feed, &heard), WEFT_OK);
    cr_expect_eq(weft_feed_start(feed, on_feed, &heard), WEFT_BUSY);
    cr_expect_eq(weft_feed_next(feed, 0, &event), WEFT_BUSY);
    for (uint32_t i = 0; i < 200; i++) (void)commit(w, i % 2);
    cr_assert(world_converges(w, CALL));
    world_run(w, WEFT_SEC);
    cr_expect_eq(heard.count, world_info(w, 0).arrivals);
    weft_feed_close(feed);
    uint64_t before = heard.count;
    (void)commit(w, 0);
    world_run(w, WEFT_SEC);
    cr_expect_eq(heard.count, before, "nothing after it was closed");
    world_destroy(w);
}

Test(feed, that_ends_itself_stops_no_other)
{
    struct world *w = two_nodes(14);
    struct heard first = {0}, brief = {.close_after = 3}, last = {0};
    weft_feed *a = open_feed(w, 0, NULL), *b = open_feed(w, 0, NULL), *c = open_feed(w, 0, NULL);
    cr_assert_eq(weft_feed_start(a, on_feed, &first), WEFT_OK);
    cr_assert_eq(weft_feed_start(b, on_feed, &brief), WEFT_OK);
    cr_assert_eq(weft_feed_start(c, on_feed, &last), WEFT_OK);
    for (uint32_t i = 0; i < 10; i++) (void)commit(w, i % 2);
    cr_assert(world_converges(w, CALL));
    world_run(w, WEFT_SEC);
    cr_expect_eq(brief.count, 3);
    cr_expect_eq(first.count, 10);
    cr_expect_eq(last.count, 10);
    weft_feed_close(a);
    weft_feed_close(c);
    world_destroy(w);
}

Test(feed, may_be_closed_by_its_own_function)
{
    struct world *w = two_nodes(13);
    weft_feed *feed = open_feed(w, 0, NULL);
    struct heard heard = {.close_after = 3, .other = open_feed(w, 0, NULL)};
    cr_assert_eq(weft_feed_start(feed, on_feed, &heard), WEFT_OK);
    for (uint32_t i = 0; i < 10; i++) (void)commit(w, 0);
    world_run(w, WEFT_SEC);
    cr_expect_eq(heard.count, 3);
    world_destroy(w); /* the sanitizers see that nothing is left */
}

static void on_removed(void *arg, weft_err err, const weft_result *result)
{
    (void)err;
    (void)result;
    --*(uint32_t *)arg;
}

Test(feed, stays_open_when_nobody_could_be_told_that_it_is_closed)
{
    struct world *w = two_nodes(19);
    weft_feed *feed = open_feed(w, 0, NULL);
    struct heard heard = {0};
    const weft_key stranger = {{7}};
    uint32_t under_way = 0;
    cr_assert_eq(weft_feed_start(feed, on_feed, &heard), WEFT_OK);
    while (weft_peer_remove_async(node(w, 0), &stranger, on_removed, &under_way) == WEFT_OK)
        under_way++;
    cr_expect_eq(weft_feed_close(feed), WEFT_FULL);
    world_run(w, WEFT_SEC);
    cr_expect_eq(under_way, 0);
    (void)commit(w, 0);
    world_run(w, WEFT_SEC);
    cr_expect_eq(heard.count, 1);
    cr_expect_eq(weft_feed_close(feed), WEFT_OK);
    world_destroy(w);
}

/* -- Trouble --------------------------------------------------------------------------------------------- */

static void spoil(struct world *w, uint32_t at, const weft_id *id)
{
    wf_store *store = node(w, at)->table.wf_store;
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_meta_brief meta;
    wf_batch *batch;
    cr_assert_eq(wf_store_meta_brief(store, id, &meta), WEFT_OK);
    wf_key_seq(key, meta.t, meta.seq);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, "spoiled", 7);
    cr_assert_eq(wf_kv_write(w->nodes[at].kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(feed, says_so_when_the_bytes_of_an_entry_do_not_verify_and_goes_on)
{
    struct world *w = world_create(14, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_feed *feed = open_feed(w, 0, NULL);
    weft_id bad = commit(w, 0), good = commit(w, 0);
    spoil(w, 0, &bad);
    weft_feed_event event = next(feed);
    cr_expect_eq(event.err, WEFT_CORRUPT);
    cr_expect_null(event.entry);
    cr_expect(weft_id_equal(&event.id, &bad));
    event = next(feed);
    cr_expect_eq(event.err, WEFT_OK);
    cr_expect(weft_id_equal(&event.id, &good));
    weft_feed_close(feed);
    world_destroy(w);
}

/* Takes the arrival out of the index, or puts it back. */
static wf_value arrival_of(struct world *w, const weft_id *id, uint8_t key[WF_KEY_SEQ_BYTES])
{
    wf_meta_brief meta;
    wf_value value;
    cr_assert_eq(wf_store_meta_brief(node(w, 0)->table.wf_store, id, &meta), WEFT_OK);
    wf_key_seq(key, meta.t, meta.seq);
    cr_assert_eq(wf_kv_get(w->nodes[0].kv, NULL, WF_CF_ARR, key, WF_KEY_SEQ_BYTES, &value),
                 WEFT_OK);
    return value;
}

Test(feed, passes_over_no_arrival_that_is_missing)
{
    struct world *w = world_create(20, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_feed *feed = open_feed(w, 0, NULL);
    weft_feed_event event;
    uint8_t key[WF_KEY_SEQ_BYTES];
    wf_batch *batch;
    weft_id first = commit(w, 0), gone = commit(w, 0), last = commit(w, 0);
    wf_value value = arrival_of(w, &gone, key);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_delete(batch, WF_CF_ARR, key, sizeof key);
    cr_assert_eq(wf_kv_write(w->nodes[0].kv, batch, true), WEFT_OK);
    event = next(feed);
    cr_expect(weft_id_equal(&event.id, &first));
    cr_expect_eq(weft_feed_next(feed, CALL, &event), WEFT_CORRUPT);
    cr_expect_eq(weft_feed_next(feed, 0, &event), WEFT_CORRUPT);
    wf_batch_clear(batch);
    wf_batch_put(batch, WF_CF_ARR, key, sizeof key, value.data, value.len);
    cr_assert_eq(wf_kv_write(w->nodes[0].kv, batch, true), WEFT_OK);
    wf_value_release(w->nodes[0].kv, &value);
    wf_batch_destroy(batch);
    event = next(feed);
    cr_expect(weft_id_equal(&event.id, &gone));
    event = next(feed);
    cr_expect(weft_id_equal(&event.id, &last));
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, goes_on_when_the_store_was_opened_again)
{
    struct world *w = two_nodes(15);
    weft_feed *feed = open_feed(w, 0, NULL);
    struct heard heard = {0};
    cr_assert_eq(weft_feed_start(feed, on_feed, &heard), WEFT_OK);
    (void)commit(w, 0);
    wf_kv_memory_fail_at(w->nodes[0].kv, 1, WEFT_IO, false);
    cr_expect_neq(world_commit(w, 0), WEFT_OK);
    world_run(w, 10 * WEFT_SEC);
    (void)commit(w, 0);
    world_run(w, 10 * WEFT_SEC);
    cr_assert(world_converges(w, 300 * WEFT_SEC));
    cr_expect_eq(heard.last, world_info(w, 0).arrivals);
    weft_feed_close(feed);
    world_destroy(w);
}

Test(feed, arguments_are_looked_at)
{
    struct world *w = world_create(16, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_feed *feed = NULL;
    weft_id unknown = {{9}};
    char name[WEFT_STORE_NAME_BYTES_MAX + 2];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 0;
    cr_expect_eq(weft_feed_open(node(w, 0), &unknown, NULL, &feed), WEFT_NOT_FOUND);
    weft_feed_options both = {.local_only = true, .remote_only = true};
    cr_expect_eq(weft_feed_open(node(w, 0), &w->tree, &both, &feed), WEFT_INVALID);
    cr_expect_eq(weft_feed_open(node(w, 0), &w->tree, &(weft_feed_options){.store = ""}, &feed),
                 WEFT_INVALID);
    cr_expect_eq(weft_feed_open(node(w, 0), &w->tree, &(weft_feed_options){.store = name}, &feed),
                 WEFT_INVALID);
    cr_expect_eq(weft_feed_open(node(w, 0), &w->tree, &(weft_feed_options){.store = "\xff"}, &feed),
                 WEFT_INVALID, "no UTF-8");
    cr_expect_null(feed);
    cr_expect_eq(weft_feed_close(NULL), WEFT_OK);
    world_destroy(w);
}

Test(feed, there_is_a_bound_to_how_many_are_open)
{
    struct world *w = world_create(17, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_feed *feeds[WEFT_FEEDS_MAX], *one_more = NULL;
    for (uint32_t i = 0; i < WEFT_FEEDS_MAX; i++) feeds[i] = open_feed(w, 0, NULL);
    cr_expect_eq(weft_feed_open(node(w, 0), &w->tree, NULL, &one_more), WEFT_LIMIT);
    weft_feed_close(feeds[7]);
    feeds[7] = open_feed(w, 0, NULL);
    (void)commit(w, 0);
    for (uint32_t i = 0; i < WEFT_FEEDS_MAX; i++) {
        (void)next(feeds[i]);
        weft_feed_close(feeds[i]);
    }
    world_destroy(w);
}

Test(feed, memory_that_runs_out_skips_nothing)
{
    struct world *w = world_create(18, WORLD_CHAIN, 1, WORLD_PLAIN);
    weft_feed *feed = open_feed(w, 0, NULL);
    for (uint32_t i = 0; i < 40; i++) (void)commit(w, 0);
    weft_feed_event event;
    uint64_t last = world_info(w, 0).arrivals - 40;
    uint32_t failed = 0, got = 0;
    for (uint64_t nth = 1; got < 40; nth++) {
        (void)wf_alloc_fail_at(nth % 12 + 1, 0);
        weft_err err = weft_feed_next(feed, 0, &event);
        (void)wf_alloc_fail_at(0, 0);
        if (err == WEFT_NO_MEMORY) {
            failed++;
            continue;
        }
        cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
        cr_assert_eq(event.seq, last + ++got);
    }
    cr_expect_gt(failed, 0);
    weft_feed_close(feed);
    world_destroy(w);
}

/* -- On threads ---------------------------------------------------------------------------------------------- */

static void *read_until_closed(void *arg)
{
    weft_feed *feed = arg;
    weft_feed_event event;
    uint64_t count = 0;
    while (weft_feed_next(feed, WEFT_NEVER, &event) == WEFT_OK) count++;
    return (void *)(uintptr_t)count;
}

Test(feed, a_thread_reads_what_another_commits)
{
    struct lone l;
    weft_feed *feed = NULL;
    pthread_t reader;
    void *count = NULL;
    lone_open(&l, NULL, NULL);
    cr_assert_eq(weft_feed_open(l.node, &l.tree, NULL, &feed), WEFT_OK);
    cr_assert_eq(pthread_create(&reader, NULL, read_until_closed, feed), 0);
    lone_commit(&l, 300, NULL);
    weft_writer_close(l.writer);
    l.writer = NULL;
    cr_assert_eq(weft_shutdown(l.node, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(pthread_join(reader, &count), 0);
    cr_expect_eq((uintptr_t)count, 300);
    cr_assert_eq(weft_feed_close(feed), WEFT_OK);
    lone_close(&l);
}

static void note_at_gate(void *arg, weft_feed *feed, const weft_feed_event *event)
{
    (void)arg;
    (void)feed;
    (void)event;
    gate_note();
}

static void *commit_one(void *arg)
{
    weft_err err = weft_commit(arg, "s", "x", 1, WEFT_NEVER, NULL);
    return (void *)(intptr_t)err;
}

/* The store is at its disk when notify asks it for news the first time: what comes of that
 * was no news then, and is durable once the store hears the question. */
Test(feed, hears_of_what_was_being_written_when_it_was_opened)
{
    struct lone l;
    weft_feed *feed = NULL;
    pthread_t committer;
    void *committed = NULL;
    lone_open(&l, NULL, gate_kv_create());
    gate_set(true);
    cr_assert_eq(pthread_create(&committer, NULL, commit_one, l.writer), 0);
    gate_wait_met();
    cr_assert_eq(weft_feed_open(l.node, &l.tree, NULL, &feed), WEFT_OK);
    cr_assert_eq(weft_feed_start(feed, note_at_gate, NULL), WEFT_OK);
    weft_feed *other = NULL; /* notify has looked for the first one by then, as good as always */
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(weft_feed_open(l.node, &l.tree, NULL, &other), WEFT_OK);
        cr_assert_eq(weft_feed_close(other), WEFT_OK);
    }
    gate_set(false);
    gate_wait_noted(1);
    cr_assert_eq(pthread_join(committer, &committed), 0);
    cr_expect_eq((intptr_t)committed, WEFT_OK);
    cr_assert_eq(weft_feed_close(feed), WEFT_OK);
    lone_close(&l);
}
