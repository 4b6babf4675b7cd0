/* SPDX-License-Identifier: Apache-2.0
 * test_damage.c - bodies that do not verify: found by a read, never given out, healed by
 * the same bytes from somewhere else.
 * Called by: meson test. May touch: the engine behind the store's back. Never: a disk. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "alloc.h"
#include "damage.h"
#include "kv_faulty.h"
#include "layout.h"
#include "state.h"
#include "store_kit.h"

#define ENTRIES 40u
#define BAD 7u /* the entry that is damaged; it arrived as the eighth */

static weft_keypair *author;
static sk_node node;
static sk_dag *dag;

static void setup(void)
{
    author = kit_pair(1);
    dag = sk_dag_create(SK_MERGES, ENTRIES, author, 3);
    sk_node_open(&node, 1);
    cr_assert_eq(sk_commit(&node, dag->bufs, dag->ids, ENTRIES, true, NULL), WEFT_OK);
    sk_quiet(true);
}

static void teardown(void)
{
    sk_quiet(false);
    sk_node_close(&node);
    sk_dag_destroy(dag);
    weft_keypair_destroy(author);
}

TestSuite(damage, .init = setup, .fini = teardown);

/* Body `i` as it is, with one bit flipped, or gone. */
static void put_body(uint32_t i, bool flip, bool gone)
{
    uint8_t key[WF_KEY_SEQ_BYTES], body[2048];
    size_t len = weft_buf_len(dag->bufs[i]);
    wf_batch *batch;
    memcpy(body, weft_buf_bytes(dag->bufs[i]), len);
    body[len / 2] ^= flip;
    wf_key_seq(key, 1, i + 1);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    if (gone) wf_batch_delete(batch, WF_CF_ENTRY, key, sizeof key);
    else wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, body, len);
    cr_assert_eq(wf_kv_write(node.kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

/* A read then looks for the place first, and for the body there. */
static void forget_places(void)
{
    wf_places_fini(&node.store->places);
    memset(&node.store->places, 0, sizeof node.store->places);
    cr_assert_eq(wf_places_init(&node.store->places), WEFT_OK);
}

static weft_err get(uint32_t i)
{
    weft_buf *buf = NULL;
    weft_err err = wf_store_get(node.store, &dag->ids[i], &buf);
    weft_buf_unref(buf);
    return err;
}

static struct wf_store_counters counters(void)
{
    struct wf_store_counters c;
    wf_store_counters_read(node.store, &c);
    return c;
}

/* What a peer's frame with the entry comes to. */
static struct wf_ingest *from_peer(uint32_t i, uint32_t count)
{
    static uint64_t n;
    struct wf_ingest *frame = sk_frame(&node, 3, 1, &dag->tree, dag->bufs + i, dag->ids + i, count);
    frame->stream = (uint32_t)++n;
    frame->raw = true;
    return sk_ingest(&node, frame);
}

/* -- Found ------------------------------------------------------------------------------ */

Test(damage, a_flipped_body_is_noted_once_and_stays_in_quarantine)
{
    put_body(BAD, true, false);
    cr_expect_eq(counters().damaged, 0, "nobody has looked yet");
    for (int k = 0; k < 3; k++) cr_expect_eq(get(BAD), WEFT_CORRUPT);
    cr_expect_eq(counters().damaged, 1);
    put_body(BAD, false, false);
    cr_expect_eq(get(BAD), WEFT_CORRUPT, "the engine is not asked for it any more");
    cr_expect_eq(get(BAD + 1), WEFT_OK, "the others are given out");
}

Test(damage, a_missing_body_is_noted)
{
    put_body(BAD, false, true);
    cr_expect_eq(get(BAD), WEFT_CORRUPT);
    cr_expect_eq(counters().damaged, 1);
}

Test(damage, what_the_engine_calls_corrupt_is_noted_and_a_failed_read_is_not)
{
    wf_kv *faulty = kv_faulty_create(node.kv);
    node.store->kv = faulty;
    forget_places();
    kv_faulty_fail_at(faulty, 2, WEFT_IO); /* the first read is of the facts */
    cr_expect_eq(get(BAD), WEFT_IO);
    cr_expect_eq(counters().damaged, 0);
    cr_expect_eq(get(BAD), WEFT_OK);
    forget_places();
    kv_faulty_fail_at(faulty, 2, WEFT_CORRUPT);
    cr_expect_eq(get(BAD), WEFT_CORRUPT);
    cr_expect_eq(counters().damaged, 1);
}

Test(damage, a_body_that_was_healed_while_it_was_read_is_not_noted)
{
    uint64_t before = wf_damage_era(node.store);
    put_body(BAD, true, false);
    cr_assert_eq(get(BAD), WEFT_CORRUPT);
    from_peer(BAD, 1);
    cr_assert_eq(counters().damaged, 0);
    wf_place place = {.seq = BAD + 1, .id = dag->ids[BAD]};
    wf_damage_note(node.store, 1, &place, before); /* by a reader that began before */
    cr_expect_eq(get(BAD), WEFT_OK);
}

Test(damage, short_of_memory_it_is_found_again)
{
    put_body(BAD, true, false);
    weft_buf *buf = NULL;
    wf_place place = {.seq = BAD + 1, .id = dag->ids[BAD]};
    wf_alloc_fail_at(1, 1);
    weft_err err = wf_store_get_at(node.store, 1, &place, &buf);
    wf_alloc_fail_at(0, 0);
    cr_expect_eq(err, WEFT_CORRUPT);
    cr_expect_eq(counters().damaged, 0);
    cr_expect_eq(get(BAD), WEFT_CORRUPT);
    cr_expect_eq(counters().damaged, 1);
}

/* -- Healed ------------------------------------------------------------------------------- */

Test(damage, the_bytes_from_a_peer_heal_and_arrive_nowhere)
{
    wf_tree_info before, after;
    struct wf_store_counters known = counters();
    put_body(BAD, true, false);
    cr_assert_eq(get(BAD), WEFT_CORRUPT);
    wf_store_tree(node.store, &dag->tree, &before);
    struct wf_ingest *result = from_peer(BAD, 1);
    cr_expect_eq(result->err, WEFT_OK);
    cr_expect_eq(result->entries[0].result, WF_IN_HEALED);
    cr_expect(result->stored == 0 && result->known == 1);
    cr_expect_eq(get(BAD), WEFT_OK);
    cr_expect(counters().damaged == 0 && counters().healed == 1);
    cr_expect_eq(counters().known, known.known, "it was asked for: nothing came in vain");
    wf_store_tree(node.store, &dag->tree, &after);
    cr_expect(after.seq == before.seq && after.count == before.count);
    cr_expect_eq(wf_kv_memory_unsynced(node.kv), 0, "durable when it is told");
    sk_expect_clean(node.store);
}

Test(damage, the_bytes_added_here_heal)
{
    put_body(BAD, false, true);
    cr_assert_eq(get(BAD), WEFT_CORRUPT);
    cr_expect_eq(sk_commit(&node, dag->bufs + BAD, dag->ids + BAD, 1, false, NULL), WEFT_OK);
    cr_expect_eq(get(BAD), WEFT_OK);
    sk_expect_clean(node.store);
}

Test(damage, a_failed_batch_leaves_it_in_quarantine)
{
    put_body(BAD, true, false);
    cr_assert_eq(get(BAD), WEFT_CORRUPT);
    wf_kv_memory_fail_at(node.kv, 1, WEFT_IO, true);
    cr_expect_eq(from_peer(BAD, 1)->err, WEFT_IO);
    cr_expect(counters().damaged == 1 && counters().healed == 0);
    cr_expect_eq(get(BAD), WEFT_CORRUPT);
    /* The engine refuses all writes until it is opened again. */
    wf_kv_memory_fail_at(node.kv, 0, WEFT_OK, false);
    sk_node_crash(&node, 0);
    cr_expect_eq(counters().damaged, 0, "nothing of it is on the disk");
    cr_expect_eq(get(BAD), WEFT_CORRUPT);
    cr_expect_eq(from_peer(BAD, 1)->entries[0].result, WF_IN_HEALED);
    cr_expect_eq(get(BAD), WEFT_OK);
}

Test(damage, another_entry_heals_nothing)
{
    put_body(BAD, true, false);
    cr_assert_eq(get(BAD), WEFT_CORRUPT);
    cr_expect_eq(from_peer(BAD + 1, 1)->entries[0].result, WF_IN_KNOWN);
    cr_expect_eq(get(BAD), WEFT_CORRUPT);
    cr_expect_eq(counters().damaged, 1);
}

Test(damage, of_two_copies_in_one_batch_the_second_is_only_known)
{
    weft_buf *bufs[2] = {dag->bufs[BAD], dag->bufs[BAD]};
    weft_id ids[2] = {dag->ids[BAD], dag->ids[BAD]};
    put_body(BAD, true, false);
    cr_assert_eq(get(BAD), WEFT_CORRUPT);
    const struct wf_ingest *result = sk_ingest(&node,
                                               sk_frame(&node, 4, 1, &dag->tree, bufs, ids, 2));
    cr_expect_eq(result->entries[0].result, WF_IN_HEALED);
    cr_expect_eq(result->entries[1].result, WF_IN_KNOWN);
    cr_expect_eq(counters().healed, 1);
}

/* -- Asked for ------------------------------------------------------------------------------ */

static void note(uint64_t t, uint64_t seq)
{
    wf_place place = {.seq = seq};
    memcpy(place.id.bytes, &seq, sizeof seq);
    wf_damage_note(node.store, t, &place, wf_damage_era(node.store));
}

static uint64_t seq_of(const weft_id *id)
{
    uint64_t seq;
    memcpy(&seq, id->bytes, sizeof seq);
    return seq;
}

Test(damage, those_asked_for_least_often_come_first)
{
    weft_id ids[4];
    for (uint64_t seq = 1; seq <= 3; seq++) note(2, seq);
    note(3, 9);
    cr_assert_eq(wf_damage_take(node.store, 2, ids, 2), 2);
    cr_expect(seq_of(&ids[0]) == 1 && seq_of(&ids[1]) == 2);
    note(2, 4);
    cr_assert_eq(wf_damage_take(node.store, 2, ids, 3), 3);
    cr_expect(seq_of(&ids[0]) == 3 && seq_of(&ids[1]) == 4 && seq_of(&ids[2]) == 1);
    cr_assert_eq(wf_damage_take(node.store, 2, ids, 4), 4, "each once, the other tree's never");
    cr_assert_eq(wf_damage_take(node.store, 1, ids, 4), 0);
    cr_expect_eq(wf_damage_tree_after(node.store, 0), 2);
    cr_expect_eq(wf_damage_tree_after(node.store, 2), 3);
    cr_expect_eq(wf_damage_tree_after(node.store, 3), 0);
}

Test(damage, more_than_fit_are_healed_in_turns)
{
    enum { ALL = 5000 };
    static weft_id ids[WEFT_WANT_IDS_MAX];
    static bool healed[ALL + 1];
    uint32_t left = ALL, turns = 0;
    for (; left > 0 && turns < 8; turns++) {
        for (uint64_t seq = 1; seq <= ALL; seq++) /* as the reads that find them */
            if (!healed[seq]) note(2, seq);
        cr_assert_leq(wf_damage_count(node.store), WEFT_DAMAGED_MAX);
        uint32_t count = wf_damage_take(node.store, 2, ids, WEFT_WANT_IDS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert(wf_damage_heal(node.store, 2, seq_of(&ids[i])));
            healed[seq_of(&ids[i])] = true;
        }
        cr_assert_eq(wf_damage_settle(node.store, true), count);
        left -= count;
    }
    cr_expect_eq(left, 0);
    cr_expect_eq(turns, 5);
    cr_expect_eq(wf_damage_count(node.store), 0);
}

/* -- The bell ------------------------------------------------------------------------------- */

struct hearing {
    uint32_t rings;
    struct wf_damage_bell *bell; /* the last one; ours */
};

static weft_err ear_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct hearing **)state = arg;
    return WEFT_OK;
}

static weft_verdict ear_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct hearing *h = *(struct hearing **)state;
    (void)self;
    cr_assert_eq(msg->kind, &wf_damage_kind);
    h->rings++;
    h->bell = (struct wf_damage_bell *)msg;
    return WEFT_KEPT;
}

Test(damage, the_bell_rings_once_until_it_is_handed_back)
{
    struct hearing h = {0};
    weft_addr *ear;
    weft_spec spec = {.name = "ear",
                      .arg = &h,
                      .state_size = sizeof(struct hearing *),
                      .init = ear_init,
                      .handle = ear_handle};
    cr_assert_eq(weft_spawn(node.rt, &spec, &ear), WEFT_OK);
    note(2, 1);
    cr_assert_eq(wf_damage_listen(node.store, ear), WEFT_OK);
    sk_node_settle(&node);
    cr_expect_eq(h.rings, 1, "of what was noted before");
    note(2, 2);
    note(2, 3);
    sk_node_settle(&node);
    cr_expect_eq(h.rings, 1);
    wf_damage_return_take(node.store, h.bell);
    sk_node_settle(&node);
    cr_expect_eq(h.rings, 2, "at once, for what came meanwhile");
    wf_damage_return_take(node.store, h.bell);
    note(2, 3);
    sk_node_settle(&node);
    cr_expect_eq(h.rings, 2, "nothing new");
    note(2, 4);
    sk_node_settle(&node);
    cr_expect_eq(h.rings, 3);
    cr_assert_eq(wf_damage_listen(node.store, NULL), WEFT_OK);
    wf_damage_return_take(node.store, h.bell); /* late: it is dropped */
    note(2, 5);
    sk_node_settle(&node);
    cr_expect_eq(h.rings, 3);
    weft_addr_put(ear);
}

/* -- Threads --------------------------------------------------------------------------------- */

static void *read_bad(void *arg)
{
    (void)arg;
    for (uint32_t k = 0; k < 200; k++)
        for (uint32_t i = 0; i < ENTRIES; i++) {
            weft_err err = get(i);
            cr_assert(err == WEFT_OK || err == WEFT_CORRUPT);
        }
    return NULL;
}

Test(damage, readers_may_find_it_while_the_writer_heals_it)
{
    pthread_t threads[2];
    for (uint32_t i = BAD; i < BAD + 5; i++) put_body(i, true, false);
    for (int i = 0; i < 2; i++) cr_assert_eq(pthread_create(&threads[i], NULL, read_bad, NULL), 0);
    for (int k = 0; k < 20; k++) from_peer(BAD, 5);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < ENTRIES; i++) (void)get(i);
    from_peer(BAD, 5);
    for (uint32_t i = 0; i < ENTRIES; i++) cr_expect_eq(get(i), WEFT_OK, "entry %u", i);
    sk_expect_clean(node.store);
}
