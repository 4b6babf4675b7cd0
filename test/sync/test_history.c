/* SPDX-License-Identifier: Apache-2.0
 * test_history.c - the syncs that are remembered: their order, their bounds, their sums, and the
 * bytes of their records.
 * Called by: the test runner. Never: a node. */
#include <criterion/criterion.h>
#include <string.h>

#include "alloc.h"
#include "history.h"

static struct wf_history h;

static void teardown(void) { wf_history_fini(&h); }
TestSuite(history, .fini = teardown);

static weft_key peer_of(uint32_t n)
{
    weft_key key = {{0}};
    memcpy(key.bytes, &n, sizeof n);
    return key;
}

static weft_sync_record sync_of(uint32_t peer, uint8_t tree, int64_t began_ms)
{
    return (weft_sync_record){.peer = peer_of(peer),
                              .tree = {{tree}},
                              .began_ms = began_ms,
                              .took_ns = 10 * WEFT_MS,
                              .sent = 3,
                              .received = 4,
                              .bytes_sent = 300,
                              .bytes_received = 400};
}

static void add(uint32_t peer, uint8_t tree, int64_t began_ms)
{
    weft_sync_record r = sync_of(peer, tree, began_ms);
    cr_assert_eq(wf_history_add(&h, &r), WEFT_OK);
}

/* How many, and the numbers of the first and the last in the list. */
static uint32_t list(uint32_t peer, uint64_t *first, uint64_t *last)
{
    static weft_sync_record out[WEFT_HISTORY_PER_PEER_MAX + 1];
    weft_key key = peer_of(peer);
    uint32_t count = wf_history_list(&h, &key, out, WEFT_HISTORY_PER_PEER_MAX + 1);
    for (uint32_t i = 1; i < count; i++) cr_assert_lt(out[i].number, out[i - 1].number);
    *first = count == 0 ? 0 : out[0].number;
    *last = count == 0 ? 0 : out[count - 1].number;
    return count;
}

Test(history, the_newest_comes_first_whatever_the_clock_does)
{
    uint64_t first, last;
    add(1, 1, 1000);
    add(2, 1, 2000);
    add(1, 2, 500); /* it was set back */
    cr_expect_eq(list(1, &first, &last), 2);
    cr_expect_eq(first, 3);
    cr_expect_eq(last, 1);
    cr_expect_eq(list(3, &first, &last), 0);
}

Test(history, of_a_peer_the_oldest_goes)
{
    uint64_t first, last;
    add(2, 1, 1);
    for (uint32_t i = 0; i < WEFT_HISTORY_PER_PEER_MAX + 10; i++) add(1, 1, i);
    cr_expect_eq(list(1, &first, &last), WEFT_HISTORY_PER_PEER_MAX);
    cr_expect_eq(first, WEFT_HISTORY_PER_PEER_MAX + 11);
    cr_expect_eq(last, 12);
    cr_expect_eq(list(2, &first, &last), 1, "another's stays");
}

Test(history, of_all_peers_the_oldest_goes)
{
    uint64_t first, last;
    for (uint32_t i = 0; i < WEFT_HISTORY_MAX + 10; i++) add(i, 1, i);
    cr_expect_eq(h.count, WEFT_HISTORY_MAX);
    cr_expect_eq(list(9, &first, &last), 0);
    cr_expect_eq(list(10, &first, &last), 1);
}

Test(history, what_is_old_is_trimmed)
{
    uint64_t first, last;
    for (int64_t i = 0; i < 10; i++) add((uint32_t)i % 2, 1, i);
    cr_expect_eq(wf_history_trim(&h, 0), 0);
    cr_expect_eq(wf_history_trim(&h, 5), 5);
    cr_expect_eq(list(0, &first, &last) + list(1, &first, &last), 5);
    cr_expect_eq(wf_history_trim(&h, INT64_MAX), 5);
    cr_expect_eq(h.count, 0);
    cr_expect_null(h.oldest);
    cr_expect_null(h.newest);
}

Test(history, the_sums_of_a_pair_are_those_of_its_syncs)
{
    weft_key key = peer_of(1);
    weft_id tree = {{7}};
    weft_sync_record r = sync_of(1, 7, 1000);
    r.took_ns = 10 * WEFT_MS;
    cr_assert_eq(wf_history_add(&h, &r), WEFT_OK);
    r.took_ns = 40 * WEFT_MS;
    r.began_ms = 2000;
    r.sent = 0;
    cr_assert_eq(wf_history_add(&h, &r), WEFT_OK);
    r.err = WEFT_TREE;
    r.took_ns = WEFT_SEC;
    r.began_ms = 3000;
    cr_assert_eq(wf_history_add(&h, &r), WEFT_OK);
    add(1, 8, 9999);
    const struct wf_past_pair *pair = wf_history_pair(&h, &key, &tree);
    cr_assert_not_null(pair);
    cr_expect_eq(pair->ok, 2);
    cr_expect_eq(pair->failed, 1);
    cr_expect_eq(pair->sent, 3);
    cr_expect_eq(pair->received, 12);
    cr_expect_eq(pair->mean_ns, 25 * WEFT_MS, "of those that succeeded");
    cr_expect_eq(pair->last_ms, 2040);
    cr_expect_eq(pair->last_count, 4);
    cr_expect_eq(wf_history_trim(&h, INT64_MAX), 4);
    cr_expect_eq(wf_history_pair(&h, &key, &tree)->ok, 2, "they do not forget");
}

/* -- Records ------------------------------------------------------------------------------ */

Test(history, a_record_has_all_of_it)
{
    uint8_t key[WF_PAST_KEY_BYTES], bytes[WF_PAST_RECORD_MAX];
    weft_sync_record r = sync_of(5, 6, INT64_MAX), back;
    r.number = UINT64_MAX - 1;
    r.err = WEFT_NO_TRANSPORT;
    r.took_ns = r.sent = r.received = r.bytes_sent = r.bytes_received = UINT64_MAX;
    wf_past_key(&r, key);
    size_t len = wf_past_encode(&r, bytes);
    cr_assert_eq(wf_past_decode(key, sizeof key, bytes, len, &back), WEFT_OK);
    cr_expect(weft_key_equal(&r.peer, &back.peer) && weft_id_equal(&r.tree, &back.tree));
    cr_expect_eq(back.number, r.number);
    cr_expect_eq(back.began_ms, r.began_ms);
    cr_expect_eq(back.err, r.err);
    cr_expect_eq(back.took_ns, r.took_ns);
    cr_expect_eq(back.bytes_received, r.bytes_received);
    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(wf_past_decode(key, sizeof key, bytes, cut, &back), WEFT_CORRUPT);
    cr_expect_eq(wf_past_decode(key, sizeof key - 1, bytes, len, &back), WEFT_CORRUPT);
    key[35] ^= 1; /* the time */
    cr_expect_eq(wf_past_decode(key, sizeof key, bytes, len, &back), WEFT_CORRUPT);
}

Test(history, a_pairs_record_has_all_of_it)
{
    uint8_t bytes[WF_PAST_RECORD_MAX];
    struct wf_past_pair pair = {.last_ms = INT64_MAX,
                                .last_count = UINT64_MAX,
                                .sent = UINT64_MAX,
                                .received = 4,
                                .ok = 5,
                                .failed = 6,
                                .mean_ns = UINT64_MAX},
                        back = {.ok = 0};
    size_t len = wf_past_pair_encode(&pair, bytes);
    cr_assert_eq(wf_past_pair_decode(bytes, len, &back), WEFT_OK);
    cr_expect(back.last_ms == pair.last_ms && back.last_count == pair.last_count &&
              back.sent == pair.sent && back.received == 4 && back.ok == 5 && back.failed == 6 &&
              back.mean_ns == pair.mean_ns);
    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(wf_past_pair_decode(bytes, cut, &back), WEFT_CORRUPT);
}

Test(history, what_is_read_in_any_order_is_as_it_was_and_goes_on)
{
    uint8_t key[WF_PAST_KEY_BYTES], bytes[WF_PAST_RECORD_MAX];
    uint64_t first, last;
    for (uint64_t i = 0; i < 100; i++) {
        weft_sync_record r = sync_of((uint32_t)i % 3, 1, (int64_t)(i * 37 % 100));
        r.number = 1 + i * 37 % 100;
        wf_past_key(&r, key);
        size_t len = wf_past_encode(&r, bytes);
        cr_assert_eq(wf_history_load(&h, key, sizeof key, bytes, len), WEFT_OK);
    }
    cr_assert_eq(wf_history_loaded(&h), WEFT_OK);
    cr_expect_not(h.changed);
    cr_expect_eq(list(0, &first, &last), 34);
    cr_expect_eq(wf_history_trim(&h, 50), 50);
    cr_expect_eq(h.gone_count, 50, "they have to be removed");
    add(0, 1, 1);
    cr_expect_eq(h.newest->record.number, 101);
}

Test(history, short_memory_loses_one_and_breaks_nothing)
{
    weft_sync_record r = sync_of(1, 1, 1);
    for (uint64_t nth = 1; nth <= 6; nth++) {
        (void)wf_alloc_fail_at(nth, 0);
        weft_err err = wf_history_add(&h, &r);
        (void)wf_alloc_fail_at(0, 0);
        cr_expect(err == WEFT_OK || err == WEFT_NO_MEMORY);
    }
    uint64_t first, last;
    cr_expect_eq(list(1, &first, &last), h.count);
    cr_expect_geq(h.count, 2);
}
