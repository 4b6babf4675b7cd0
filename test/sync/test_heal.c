/* SPDX-License-Identifier: Apache-2.0
 * test_heal.c - damaged bodies are asked for by WANT and healed by what a peer holds.
 * Called by: the test runner. May touch: the engine of a node behind its back.
 * Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <string.h>

#include "damage.h"
#include "engine_state.h"
#include "layout.h"
#include "self.h"
#include "world.h"

#define CALL (20 * WEFT_SEC)

static wf_store *store_of(const struct world *w, uint32_t node)
{
    return w->nodes[node].node->table.wf_store;
}

static const struct engine *engine_of(const struct world *w, uint32_t node)
{
    return (const void *)w->nodes[node].node->table.sync->self->state; /* the world stands still */
}

static weft_id commit(struct world *w, uint32_t node)
{
    cr_assert_eq(world_commit(w, node), WEFT_OK);
    return w->acked[w->acked_count - 1];
}

static weft_err get(struct world *w, uint32_t node, const weft_id *id)
{
    weft_buf *buf = NULL;
    weft_err err = weft_get(w->nodes[node].node, id, &buf);
    weft_buf_unref(buf);
    return err;
}

/* -- Whole nodes ------------------------------------------------------------------------ */

Test(heal, a_live_peer_gives_back_what_a_read_finds_damaged)
{
    struct world *w = world_create(41, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id id = commit(w, 1);
    for (uint32_t i = 0; i < 5; i++) (void)commit(w, i % 2);
    cr_assert(world_converges(w, 10 * WEFT_SEC));
    wf_tree_info before, after;
    weft_node_stats old = world_stats(w);
    cr_assert_eq(wf_store_tree(store_of(w, 0), &w->tree, &before), WEFT_OK);
    world_spoil(w, 0, &id);
    cr_expect_eq(get(w, 0, &id), WEFT_CORRUPT);
    world_run(w, WEFT_SEC);
    cr_expect_eq(get(w, 0, &id), WEFT_OK, "asked for at once");
    cr_assert_eq(wf_store_tree(store_of(w, 0), &w->tree, &after), WEFT_OK);
    weft_node_stats new = world_stats(w);
    cr_expect_eq(after.seq, before.seq, "it arrives no second time");
    cr_expect_eq(new.duplicates, old.duplicates);
    cr_expect_eq(new.redundant, old.redundant);
    cr_expect_eq(new.sessions_failed, old.sessions_failed);
    cr_expect_eq(new.sessions_ok, old.sessions_ok, "over the session that was there");
    cr_expect_eq(world_damage(w), 0);
    cr_expect_eq(engine_of(w, 0)->heal.heap_at, 0, "nothing is left to look for");
    world_destroy(w);
}

static void lose_family(struct world *w, uint32_t node, enum wf_cf cf)
{
    wf_batch *batch;
    wf_kv_iter *it;
    wf_kv *kv = w->nodes[node].kv;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(kv, NULL, cf, NULL, 0, &it), WEFT_OK);
    for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
        size_t len;
        const uint8_t *key = wf_kv_iter_key(it, &len);
        wf_batch_delete(batch, cf, key, len);
    }
    wf_kv_iter_destroy(it);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(heal, an_index_that_is_lost_is_made_again_and_the_nodes_converge)
{
    static const enum wf_cf made[] = {WF_CF_TRIE, WF_CF_DOM};
    for (uint32_t k = 0; k < 2; k++) {
        struct world *w = world_create(47 + k, WORLD_CHAIN, 2, WORLD_PLAIN);
        for (uint32_t i = 0; i < 40; i++) (void)commit(w, i % 2);
        cr_assert(world_converges(w, 10 * WEFT_SEC));
        world_kill(w, 0);
        lose_family(w, 0, made[k]);
        world_start(w, 0);
        for (uint32_t i = 0; i < 5; i++) (void)commit(w, 1); /* which it cannot build on */
        cr_expect(world_converges(w, 400 * WEFT_SEC), "without a salvage");
        (void)commit(w, 0);
        cr_expect(world_converges(w, 10 * WEFT_SEC));
        world_destroy(w);
    }
}

Test(heal, who_has_it_is_found_among_several)
{
    struct world *w = world_create(42, WORLD_STAR, 3, WORLD_PLAIN);
    weft_id id = commit(w, 0);
    cr_assert(world_converges(w, 10 * WEFT_SEC));
    uint32_t first = weft_key_compare(&w->nodes[1].key, &w->nodes[2].key) < 0 ? 1 : 2;
    world_spoil(w, 0, &id);
    world_spoil(w, first, &id); /* and whoever is asked first has lost it as well */
    cr_expect_eq(get(w, 0, &id), WEFT_CORRUPT);
    world_run(w, 2 * WEFT_SEC);
    cr_expect_eq(get(w, 0, &id), WEFT_CORRUPT);
    world_run(w, 30 * WEFT_SEC);
    cr_expect_eq(get(w, 0, &id), WEFT_OK);
    cr_expect_eq(get(w, first, &id), WEFT_OK, "which found it when it was asked");
    cr_expect_eq(world_damage(w), 0);
    world_destroy(w);
}

Test(heal, one_damaged_body_does_not_hide_the_others_of_a_want)
{
    struct world *w = world_create(43, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id first = commit(w, 0), second = commit(w, 0);
    cr_assert(world_converges(w, 10 * WEFT_SEC));
    world_spoil(w, 0, &first);
    world_spoil(w, 0, &second);
    world_spoil(w, 1, &first);
    cr_expect_eq(get(w, 0, &first), WEFT_CORRUPT);
    cr_expect_eq(get(w, 0, &second), WEFT_CORRUPT);
    world_run(w, 10 * WEFT_SEC);
    cr_expect_eq(get(w, 0, &second), WEFT_OK);
    cr_expect_eq(get(w, 0, &first), WEFT_CORRUPT, "nobody has it");
    world_destroy(w);
}

Test(heal, what_had_to_be_served_comes_from_a_third_and_the_next_session_passes)
{
    struct world *w = world_create(44, WORLD_CHAIN, 3, WORLD_PLAIN);
    world_kill(w, 0);
    weft_id id = commit(w, 1);
    (void)commit(w, 1);
    world_run(w, 2 * WEFT_SEC);
    cr_assert_eq(get(w, 2, &id), WEFT_OK);
    world_spoil(w, 1, &id);
    world_start(w, 0);
    cr_expect(world_converges(w, 200 * WEFT_SEC));
    cr_expect_eq(get(w, 0, &id), WEFT_OK);
    cr_expect_eq(get(w, 1, &id), WEFT_OK);
    cr_expect_eq(world_damage(w), 0);
    world_destroy(w);
}

Test(heal, two_that_only_have_each_other_heal_what_they_can)
{
    struct world *w = world_create(45, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id shared = commit(w, 0);
    cr_assert(world_converges(w, 10 * WEFT_SEC));
    world_kill(w, 1);
    weft_id lost = commit(w, 0);
    weft_buf *copy = NULL;
    cr_assert_eq(weft_get(w->nodes[0].node, &lost, &copy), WEFT_OK);
    world_spoil(w, 0, &shared);
    world_spoil(w, 0, &lost);
    cr_expect_eq(get(w, 0, &shared), WEFT_CORRUPT);
    world_start(w, 1); /* each session lacks the lost one, and ends */
    world_run(w, 60 * WEFT_SEC);
    cr_expect_eq(get(w, 0, &shared), WEFT_OK);
    cr_expect_eq(get(w, 0, &lost), WEFT_CORRUPT);
    cr_expect_not(world_equal(w));
    cr_assert_eq(weft_add(w->nodes[0].node, &copy, 1, false, CALL, NULL), WEFT_OK);
    cr_expect_eq(get(w, 0, &lost), WEFT_OK, "from a backup, say");
    cr_expect(world_converges(w, 200 * WEFT_SEC));
    weft_buf_unref(copy);
    world_destroy(w);
}

Test(heal, more_than_one_want_can_carry_is_healed_in_turns)
{
    enum { ALL = WEFT_WANT_IDS_MAX + 100 };
    struct world *w = world_create(46, WORLD_CHAIN, 2, WORLD_PLAIN);
    for (uint32_t i = 0; i < ALL; i++) (void)commit(w, 0);
    cr_assert(world_converges(w, 60 * WEFT_SEC));
    uint64_t duplicates = world_stats(w).duplicates;
    for (uint32_t i = 0; i < ALL; i++) {
        world_spoil(w, 0, &w->acked[i]);
        cr_assert_eq(get(w, 0, &w->acked[i]), WEFT_CORRUPT);
    }
    world_run(w, 4 * WEFT_SEC); /* a full WANT that is answered is followed by the next at once */
    cr_expect_eq(wf_damage_count(store_of(w, 0)), 0);
    cr_expect_eq(world_damage(w), 0);
    cr_expect_eq(world_stats(w).duplicates, duplicates);
    world_destroy(w);
}

Test(heal, what_nobody_has_is_asked_for_ever_less_often)
{
    struct world *w = world_create(47, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id id = commit(w, 0);
    cr_assert(world_converges(w, 10 * WEFT_SEC));
    weft_buf *copy = NULL;
    cr_assert_eq(weft_get(w->nodes[0].node, &id, &copy), WEFT_OK);
    world_spoil(w, 0, &id);
    world_spoil(w, 1, &id);
    cr_expect_eq(get(w, 0, &id), WEFT_CORRUPT);
    world_run(w, WEFT_SEC);
    cr_expect_eq(engine_of(w, 0)->heal_wait, 5 * WEFT_SEC);
    world_run(w, 3600 * WEFT_SEC);
    uint32_t open = 0;
    for (int second = 0; second < 1200; second++) {
        world_run(w, WEFT_SEC);
        open += engine_of(w, 0)->healing.first != NULL;
    }
    cr_expect(open > 0 && open < 50, "%u of 1200 seconds", open);
    cr_assert_eq(weft_add(w->nodes[1].node, &copy, 1, false, CALL, NULL), WEFT_OK);
    world_run(w, 660 * WEFT_SEC);
    cr_expect_eq(get(w, 0, &id), WEFT_OK);
    weft_buf_unref(copy);
    world_destroy(w);
}

static bool connected(struct world *w) { return world_stats(w).connections > 0; }

Test(heal, whoever_comes_is_asked_at_once)
{
    struct world *w = world_create(48, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id id = commit(w, 0);
    cr_assert(world_converges(w, 10 * WEFT_SEC));
    world_kill(w, 1);
    world_spoil(w, 0, &id);
    cr_expect_eq(get(w, 0, &id), WEFT_CORRUPT);
    world_run(w, 3600 * WEFT_SEC); /* by now it looks for somebody every five minutes */
    world_start(w, 1);
    cr_assert(world_until(w, connected, 300 * WEFT_SEC));
    world_run(w, WEFT_SEC);
    cr_expect_eq(get(w, 0, &id), WEFT_OK);
    world_destroy(w);
}

Test(heal, while_writes_are_refused_nobody_is_asked)
{
    struct world *w = world_create(49, WORLD_CHAIN, 2, WORLD_PLAIN);
    weft_id id = commit(w, 0);
    cr_assert(world_converges(w, 10 * WEFT_SEC));
    world_spoil(w, 0, &id);
    wf_kv_memory_fail_at(w->nodes[0].kv, 1, WEFT_IO, true);
    cr_assert_eq(world_commit(w, 0), WEFT_IO);
    uint64_t failed = world_stats(w).sessions_failed;
    cr_expect_eq(get(w, 0, &id), WEFT_CORRUPT);
    world_run(w, 20 * WEFT_SEC);
    cr_expect_eq(world_stats(w).sessions_failed, failed, "its sessions still send");
    wf_kv_memory_fail_at(w->nodes[0].kv, 0, WEFT_OK, false);
    world_run(w, 60 * WEFT_SEC);
    cr_expect_eq(get(w, 0, &id), WEFT_OK);
    world_destroy(w);
}

/* -- One session --------------------------------------------------------------------------- */

static struct wf_session running(void)
{
    weft_key peer = {{1}};
    weft_id tree = {{2}};
    struct wf_session s;
    wf_session_init(&s, true, 1, &peer, &tree, 0);
    s.phase = WF_S_RUNNING;
    s.out = WF_OUT_JOB;
    return s;
}

static struct wf_session_effects step(struct wf_session *s, enum wf_session_event_kind kind,
                                      weft_err err)
{
    struct wf_session_effects fx;
    wf_session_step(s, &(struct wf_session_event){.kind = kind, .err = err}, &fx);
    return fx;
}

Test(heal, a_session_that_lacks_a_body_ends_at_once_unless_it_asks_for_some)
{
    struct wf_session s = running();
    struct wf_session_effects fx = step(&s, WF_E_JOB_ENDED, WEFT_CORRUPT);
    cr_expect(fx.count == 1 && fx.items[0].kind == WF_X_ENDED && fx.items[0].err == WEFT_CORRUPT);
    s = running();
    (void)step(&s, WF_E_HEALING, WEFT_OK);
    cr_expect_eq(step(&s, WF_E_JOB_ENDED, WEFT_CORRUPT).count, 0);
    fx = step(&s, WF_E_HEAL_OVER, WEFT_CORRUPT);
    cr_expect(fx.count == 1 && fx.items[0].kind == WF_X_ENDED && fx.items[0].err == WEFT_CORRUPT);
    cr_expect(fx.items[0].tell && !fx.items[0].healed);
}

Test(heal, a_session_whose_body_was_healed_ends_to_begin_anew)
{
    struct wf_session s = running();
    (void)step(&s, WF_E_HEALING, WEFT_OK);
    (void)step(&s, WF_E_JOB_ENDED, WEFT_CORRUPT);
    struct wf_session_effects fx = step(&s, WF_E_HEAL_OVER, WEFT_OK);
    cr_expect(fx.count == 1 && fx.items[0].kind == WF_X_ENDED && fx.items[0].err == WEFT_AGAIN);
    cr_expect(fx.items[0].healed && fx.items[0].tell && fx.items[0].wire == WF_W_BUSY);
}

Test(heal, a_session_that_lacks_nothing_goes_on)
{
    struct wf_session s = running();
    (void)step(&s, WF_E_HEALING, WEFT_OK);
    cr_expect_eq(step(&s, WF_E_HEAL_OVER, WEFT_OK).count, 0);
    cr_expect_eq(s.phase, WF_S_RUNNING);
    struct wf_session_effects fx = step(&s, WF_E_JOB_ENDED, WEFT_CORRUPT);
    cr_expect(fx.count == 1 && fx.items[0].kind == WF_X_ENDED, "nobody is asked any more");
}
