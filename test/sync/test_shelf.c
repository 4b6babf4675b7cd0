/* SPDX-License-Identifier: Apache-2.0
 * test_shelf.c - whole nodes of which one has lost entries in the middle of its history: a peer
 * sends those and no others, because what stood on them was saved.
 * Called by: the test runner. May touch: the engine of a node that is down.
 * Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "layout.h"
#include "reader.h"
#include "salvage.h"
#include "shelf.h"
#include "world.h"

#define COMMITS 60u

static wf_salvage_report report;

static wf_store *store_of(const struct world *w, uint32_t node)
{
    return w->nodes[node].node->table.wf_store;
}

static uint64_t shelved(const struct world *w, uint32_t node)
{
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(store_of(w, node), &w->tree, &info), WEFT_OK);
    return info.shelved;
}

static weft_node_stats stats_of(struct world *w, uint32_t node)
{
    weft_node_stats stats;
    cr_assert_eq(weft_node_stats_get(w->nodes[node].node, &stats), WEFT_OK);
    return stats;
}

static void remove_rows(wf_kv *kv, uint64_t from, uint64_t to)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (uint64_t seq = from; seq < to; seq++) {
        uint8_t key[WF_KEY_SEQ_BYTES];
        wf_key_seq(key, 1, seq);
        wf_batch_delete(batch, WF_CF_ENTRY, key, sizeof key);
    }
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

/* Of a node that is down: its arrivals [from, to) are lost, and it is salvaged as a renewal does. */
static void lose(struct world *w, uint32_t node, uint64_t from, uint64_t to)
{
    struct world_node *n = &w->nodes[node];
    wf_kv *fresh = NULL;
    remove_rows(n->kv, from, to);
    cr_assert_eq(wf_kv_memory_open(&fresh), WEFT_OK);
    cr_assert_eq(wf_salvage(n->kv, fresh, w->nodes[1].rt, NULL, &report), WEFT_OK);
    wf_kv_close(n->kv);
    n->kv = fresh;
}

static struct world *grown(uint64_t seed, uint32_t nodes, uint32_t kind)
{
    struct world *w = world_create(seed, WORLD_CHAIN, nodes, kind);
    for (uint32_t i = 0; i < COMMITS; i++) {
        cr_assert_eq(world_commit(w, i % 2), WEFT_OK);
        if (i % 5 == 0) world_run(w, 20 * WEFT_MS); /* now and then one sees the other's */
    }
    cr_assert(world_converges(w, 400 * WEFT_SEC));
    return w;
}

static void expect_whole(struct world *w)
{
    cr_expect_eq(shelved(w, 0), 0);
    cr_expect_eq(world_lost(w), 0);
    cr_expect_eq(world_damage(w), 0);
    for (uint32_t i = 0; i < 4; i++) cr_assert_eq(world_commit(w, i % 2), WEFT_OK);
    cr_expect(world_converges(w, 400 * WEFT_SEC), "and life goes on");
}

/* Whichever of both dials. */
Test(shelf, a_peer_sends_what_is_lost_and_nothing_else)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct world *w = grown(seed, 2, seed % 2 == 0 ? WORLD_PLAIN : WORLD_NO_PUSH);
        world_kill(w, 0);
        lose(w, 0, 10, 20);
        cr_assert_gt(report.shelved, 5, "seed %d", (int)seed);
        weft_node_stats before = stats_of(w, 1);
        world_start(w, 0);
        cr_assert(world_converges(w, 400 * WEFT_SEC), "seed %d", (int)seed);
        weft_node_stats here = stats_of(w, 0), there = stats_of(w, 1);
        cr_expect_eq(there.entries_sent - before.entries_sent, 10, "seed %d: %d sent", (int)seed,
                     (int)(there.entries_sent - before.entries_sent));
        cr_expect_eq(here.entries_received, 10);
        cr_expect_eq(here.duplicates + here.redundant, 0);
        cr_expect_eq(here.sessions_exact + there.sessions_exact, before.sessions_exact);
        expect_whole(w);
        world_destroy(w);
    }
}

Test(shelf, of_a_tree_that_lost_its_root_the_root_is_sent)
{
    struct world *w = grown(11, 2, WORLD_PLAIN);
    world_kill(w, 0);
    lose(w, 0, 1, 2);
    cr_assert_eq(report.shelved, COMMITS);
    weft_node_stats before = stats_of(w, 1);
    world_start(w, 0);
    cr_assert(world_converges(w, 400 * WEFT_SEC));
    cr_expect_eq(stats_of(w, 1).entries_sent - before.entries_sent, 1);
    expect_whole(w);
    world_destroy(w);
}

/* A list so long that the peer asks by a sample first. */
Test(shelf, in_a_long_history_too)
{
    struct world *w = grown(12, 2, WORLD_PLAIN);
    for (uint32_t i = 0; i < WEFT_PROBE_IDS_MIN + 100; i++)
        cr_assert_eq(world_commit(w, 1), WEFT_OK);
    cr_assert(world_converges(w, 400 * WEFT_SEC));
    world_kill(w, 0);
    lose(w, 0, 30, 40);
    cr_assert_gt(report.shelved, WEFT_PROBE_IDS_MIN);
    uint64_t before = stats_of(w, 1).entries_sent;
    world_start(w, 0);
    cr_assert(world_converges(w, 400 * WEFT_SEC));
    cr_expect_eq(stats_of(w, 1).entries_sent - before, 10);
    cr_expect_eq(shelved(w, 0), 0);
    world_destroy(w);
}

/* At each of its first writes. */
Test(shelf, a_node_that_dies_while_it_heals_goes_on_where_it_was)
{
    for (uint64_t nth = 1; nth <= 6; nth++) {
        struct world *w = grown(20 + nth, 2, WORLD_PLAIN);
        world_kill(w, 0);
        lose(w, 0, 20, 30);
        world_start(w, 0);
        wf_kv_memory_fail_at(w->nodes[0].kv, nth, WEFT_IO, true);
        world_run(w, 5 * WEFT_SEC);
        world_kill(w, 0);
        uint64_t before = stats_of(w, 1).entries_sent;
        world_start(w, 0);
        cr_assert(world_converges(w, 400 * WEFT_SEC), "write %d", (int)nth);
        uint64_t sent = stats_of(w, 1).entries_sent - before;
        cr_expect_leq(sent, 10, "write %d: %d sent", (int)nth, (int)sent);
        expect_whole(w);
        world_destroy(w);
    }
}

Test(shelf, what_nobody_can_complete_stays_and_hinders_nothing)
{
    struct world *w = grown(31, 3, WORLD_PLAIN);
    world_cut(w, 0, 1, true);
    for (uint32_t i = 0; i < 12; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
    w->acked_count -= 12; /* nobody else has them */
    world_kill(w, 0);
    lose(w, 0, COMMITS + 5, COMMITS + 8);
    cr_assert_eq(report.shelved, 6);
    world_cut(w, 0, 1, false);
    world_start(w, 0);
    for (uint32_t i = 0; i < 6; i++) cr_assert_eq(world_commit(w, i % 2), WEFT_OK);
    cr_assert(world_converges(w, 400 * WEFT_SEC));
    cr_expect_eq(shelved(w, 0), 6);
    uint64_t failed = world_stats(w).sessions_failed;
    world_run(w, 600 * WEFT_SEC);
    cr_expect_eq(world_stats(w).sessions_failed, failed);
    cr_expect_eq(shelved(w, 0), 6);
    cr_expect_eq(world_damage(w), 0);
    world_kill(w, 0);
    world_start(w, 0);
    cr_expect(world_converges(w, 400 * WEFT_SEC));
    cr_expect_eq(shelved(w, 0), 6, "a restart keeps it");
    world_destroy(w);
}

/* -- The end of asking ---------------------------------------------------------------------------- */

/* Six entries of node 0 wait for three that nobody has. */
static struct world *in_vain(uint64_t seed, uint32_t nodes, uint32_t kind)
{
    struct world *w = grown(seed, nodes, kind);
    world_cut(w, 0, 1, true);
    for (uint32_t i = 0; i < 12; i++) cr_assert_eq(world_commit(w, 0), WEFT_OK);
    w->acked_count -= 12;
    world_kill(w, 0);
    lose(w, 0, COMMITS + 5, COMMITS + 8);
    cr_assert_eq(report.shelved, 6);
    world_cut(w, 0, 1, false);
    world_start(w, 0);
    return w;
}

static bool has_cursor(const struct world *w, uint32_t into, wf_mark *out)
{
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(store_of(w, 0), &w->tree, &info), WEFT_OK);
    return wf_store_cursor(store_of(w, 0), &w->nodes[into].key, info.t, out) == WEFT_OK;
}

/* Whether the sessions go on live or each for itself. */
Test(shelf, a_tree_has_cursors_again_once_its_peer_was_asked_in_vain)
{
    for (uint32_t kind = WORLD_PLAIN; kind <= WORLD_NO_PUSH; kind++) {
        struct world *w = in_vain(61 + kind, 2, kind);
        wf_mark before, after;
        uint64_t failed = world_stats(w).sessions_failed; /* while it was cut off */
        cr_assert(world_converges(w, 400 * WEFT_SEC));
        world_run(w, 700 * WEFT_SEC);
        cr_assert(has_cursor(w, 1, &before), "kind %u", (unsigned)kind);
        cr_assert_eq(world_commit(w, 1), WEFT_OK);
        cr_assert(world_converges(w, 400 * WEFT_SEC));
        world_run(w, 700 * WEFT_SEC);
        cr_assert(has_cursor(w, 1, &after));
        cr_expect_gt(after.seq, before.seq, "and it moves");
        cr_expect_eq(world_info(w, 0).shelved, 6, "what was saved is kept, and told");
        cr_expect_eq(world_stats(w).sessions_exact, 0);
        cr_expect_eq(world_stats(w).duplicates, 0);
        cr_expect_eq(world_stats(w).sessions_failed, failed);
        cr_expect_eq(world_lost(w), 0);
        cr_expect_eq(world_damage(w), 0);
        world_destroy(w);
    }
}

/* The cursor hides nothing from us, live or not. */
Test(shelf, what_a_peer_that_was_asked_in_vain_gets_later_comes_all_the_same)
{
    for (uint32_t kind = WORLD_PLAIN; kind <= WORLD_NO_PUSH; kind++) {
        struct world *w = world_create(71 + kind, WORLD_MESH, 3, kind);
        wf_mark mark;
        for (uint32_t i = 0; i < COMMITS; i++) cr_assert_eq(world_commit(w, i % 2), WEFT_OK);
        cr_assert(world_converges(w, 400 * WEFT_SEC));
        world_kill(w, 1);
        for (uint32_t i = 0; i < 12; i++) cr_assert_eq(world_commit(w, 2), WEFT_OK);
        cr_assert(world_converges(w, 400 * WEFT_SEC)); /* 0 and 2 */
        world_kill(w, 0);
        world_kill(w, 2);
        world_start(w, 1);
        wf_tree_info info;
        cr_assert_eq(wf_store_tree(store_of(w, 1), &w->tree, &info), WEFT_OK);
        lose(w, 0, info.seq + 3, info.seq + 6); /* which 1 does not have */
        cr_assert_eq(report.shelved, 7);
        world_cut(w, 0, 2, true);
        world_start(w, 0);
        world_run(w, 700 * WEFT_SEC);
        cr_assert(has_cursor(w, 1, &mark), "kind %u", (unsigned)kind);
        cr_assert_eq(shelved(w, 0), 7);
        world_start(w, 2);
        cr_assert(world_converges(w, 700 * WEFT_SEC), "kind %u", (unsigned)kind);
        cr_expect_eq(shelved(w, 0), 0);
        cr_expect_eq(world_lost(w), 0);
        cr_expect_eq(world_damage(w), 0);
        world_destroy(w);
    }
}

/* It says that it has them, and has nothing that could stand. */
Test(shelf, one_that_lies_about_itself_costs_an_exact_session)
{
    struct world *w = grown(41, 2, WORLD_PLAIN);
    world_kill(w, 0);
    lose(w, 0, 20, 30);
    uint8_t prefix[8];
    wf_batch *batch;
    wf_kv_iter *it;
    uint32_t spoiled = 0;
    memset(prefix, 0xff, sizeof prefix);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(w->nodes[0].kv, NULL, WF_CF_ENTRY, prefix, sizeof prefix, &it),
                 WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        if (spoiled++ % 3 == 0) wf_batch_put(batch, WF_CF_ENTRY, key, len, "nothing", 7);
    }
    wf_kv_iter_destroy(it);
    cr_assert_eq(wf_kv_write(w->nodes[0].kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    world_start(w, 0);
    cr_assert(world_converges(w, 400 * WEFT_SEC));
    expect_whole(w);
    world_destroy(w);
}

/* -- Pages of ids ------------------------------------------------------------------------------- */

/* How many of the ids does the node say that it has? */
static uint32_t matched(struct world *w, const weft_id *ids, uint32_t count, uint32_t ref,
                        bool last, bool exact)
{
    uint32_t size = exact ? WEFT_ID_BYTES : 8, has = 0;
    struct world_node *n = &w->nodes[0];
    struct wf_look *look = wf_look_create(WF_LOOK_MATCH);
    weft_request *back = NULL;
    bool taken = false;
    uint8_t *room = calloc(count, size);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = wf_siphash(look->salt, ids[i].bytes, WEFT_ID_BYTES);
        if (exact) memcpy(room + (size_t)i * size, ids[i].bytes, size);
        else wf_put64(room + (size_t)i * size, value);
    }
    look->peer = w->nodes[1].key;
    look->tree = w->tree;
    look->exact = exact;
    look->lean = true;
    look->ids = (struct wf_ids){.ref = ref,
                                .hi_gen = UINT64_MAX,
                                .last = last,
                                .id_bytes = size,
                                .count = count,
                                .ids = room};
    cr_assert_eq(weft_call(n->node->table.reader, &look->req, WEFT_NEVER, &back, &taken), WEFT_OK);
    look = (struct wf_look *)back;
    cr_assert_eq(look->bits_count, count);
    for (uint32_t i = 0; i < count; i++) has += (uint32_t)look->bits[i / 8] >> (i % 8) & 1u;
    weft_drop(&back->msg);
    free(room);
    return has;
}

/* Of a sample it is said that what is here is here with its closure. */
Test(shelf, a_page_that_may_be_a_sample_is_not_answered_from_it)
{
    struct world *w = grown(51, 2, WORLD_PLAIN);
    weft_id ids[COMMITS];
    memcpy(ids, w->acked, sizeof ids);
    world_kill(w, 0);
    lose(w, 0, 20, 30);
    world_cut(w, 0, 1, true); /* nobody sends anything */
    world_start(w, 0);
    uint32_t kept = (uint32_t)report.kept - 1; /* the root is no commit */
    cr_expect_eq(matched(w, ids, COMMITS, 1, false, false), kept);
    cr_expect_eq(matched(w, ids, COMMITS, 1, true, false), COMMITS - 10);
    cr_expect_eq(matched(w, ids, COMMITS, 2, false, false), COMMITS - 10);
    cr_expect_eq(matched(w, ids, COMMITS, 1, true, true), kept, "an exact session trusts nothing");
    world_cut(w, 0, 1, false);
    world_destroy(w);
}
