/* SPDX-License-Identifier: Apache-2.0
 * test_pending.c - the pool of entries that wait: its bounds, its order, its ends.
 * Called by: meson test. May touch: pending.c. Never: a store. */
#include <criterion/criterion.h>
#include <string.h>

#include "entry_kit.h"
#include "pending.h"

static struct wf_pending pool;
static uint32_t dropped;
static uint64_t last_dropped;
static uint8_t bytes[1 << 20];

static void on_drop(void *arg, const struct wf_pending_item *item)
{
    (void)arg;
    dropped++;
    last_dropped = item->source_seq;
}

static void setup(void)
{
    dropped = 0;
    wf_pending_init(&pool, 12345, on_drop, NULL);
}

static void teardown(void) { wf_pending_fini(&pool); }

TestSuite(pending, .init = setup, .fini = teardown);

static weft_id numbered(uint64_t n)
{
    weft_id id = {{0}};
    memcpy(id.bytes, &n, sizeof n);
    return id;
}

static weft_err put(uint64_t n, uint64_t waits_for, uint8_t peer, size_t len, uint64_t now)
{
    struct wf_pending_item like = {
        .id = numbered(n), .waits_for = numbered(waits_for), .source_seq = n};
    memset(like.source.peer.bytes, peer, sizeof like.source.peer.bytes);
    return wf_pending_put(&pool, &like, bytes, len, now);
}

static uint64_t take(uint64_t parent)
{
    weft_id id = numbered(parent);
    struct wf_pending_item *item = wf_pending_take(&pool, &id);
    uint64_t n = item == NULL ? 0 : item->source_seq;
    wf_pending_item_free(item);
    return n;
}

Test(pending, those_that_wait_for_one_parent_leave_in_the_order_they_came)
{
    for (uint64_t n = 1; n <= 6; n++)
        cr_assert_eq(put(n, n % 2 == 0 ? 100 : 101, 1, 50, 0), WEFT_OK);
    cr_assert_eq(take(100), 2);
    cr_assert_eq(take(100), 4);
    cr_assert_eq(take(101), 1);
    cr_assert_eq(take(100), 6);
    cr_assert_eq(take(100), 0);
    cr_assert_eq(pool.count, 2);
    cr_assert_eq(dropped, 0);
}

Test(pending, an_entry_waits_only_once)
{
    cr_assert_eq(put(1, 100, 1, 50, 0), WEFT_OK);
    cr_assert_eq(put(1, 100, 2, 50, 0), WEFT_EXISTS);
    cr_assert_eq(pool.count, 1);
}

Test(pending, a_peer_has_room_for_so_many_entries_and_its_oldest_goes)
{
    for (uint64_t n = 1; n <= WEFT_PENDING_PEER_ENTRIES; n++)
        cr_assert_eq(put(n, 1000000, 1, 10, 0), WEFT_OK);
    cr_assert_eq(put(500000, 1000000, 2, 10, 0), WEFT_OK);
    cr_assert_eq(dropped, 0, "another peer has room of its own");
    cr_assert_eq(put(600000, 1000000, 1, 10, 0), WEFT_OK);
    cr_assert_eq(dropped, 1);
    cr_assert_eq(last_dropped, 1);
}

Test(pending, a_peer_has_room_for_so_many_bytes)
{
    for (uint64_t n = 1; n <= 20; n++) {
        cr_assert_eq(put(n, 1000000, 1, sizeof bytes, 0), WEFT_OK);
        cr_assert_leq(pool.bytes, WEFT_PENDING_PEER_BYTES);
    }
    cr_assert_eq(pool.count, 3);
    cr_assert_eq(dropped, 17);
}

Test(pending, the_node_has_room_for_so_many_bytes_of_all_peers)
{
    for (uint64_t n = 1; n <= 120; n++) {
        cr_assert_eq(put(n, 1000000, (uint8_t)n, sizeof bytes, n), WEFT_OK);
        cr_assert_leq(pool.bytes, WEFT_PENDING_NODE_BYTES);
    }
    cr_assert_eq(pool.count + dropped, 120);
    cr_assert_eq(pool.count, 63);
    cr_assert_eq(last_dropped, dropped, "the oldest of all went first");
}

Test(pending, what_is_too_old_goes_and_the_rest_says_when)
{
    put(1, 100, 1, 10, 0);
    put(2, 100, 2, 10, WEFT_SEC);
    cr_assert_eq(wf_pending_expire(&pool, WEFT_PENDING_TTL_NS - 1), WEFT_PENDING_TTL_NS);
    cr_assert_eq(dropped, 0);
    cr_assert_eq(wf_pending_expire(&pool, WEFT_PENDING_TTL_NS), WEFT_PENDING_TTL_NS + WEFT_SEC);
    cr_assert_eq(dropped, 1);
    cr_assert_eq(wf_pending_expire(&pool, WEFT_PENDING_TTL_NS + WEFT_SEC), WEFT_NEVER);
    cr_assert_eq(pool.count, 0);
    cr_assert_eq(pool.bytes, 0);
}

Test(pending, an_item_that_is_given_back_keeps_its_age)
{
    put(1, 100, 1, 10, 0);
    put(2, 200, 1, 10, 5);
    put(3, 300, 1, 10, 9);
    weft_id parent = numbered(200);
    struct wf_pending_item *item = wf_pending_take(&pool, &parent);
    item->waits_for = numbered(300);
    wf_pending_return(&pool, item);
    wf_pending_expire(&pool, WEFT_PENDING_TTL_NS + 4);
    cr_assert_eq(last_dropped, 1);
    wf_pending_expire(&pool, WEFT_PENDING_TTL_NS + 5);
    cr_assert_eq(last_dropped, 2);
    cr_assert_eq(take(300), 3);
    cr_assert_eq(pool.count, 0);
}

Test(pending, random_use_agrees_with_a_plain_list)
{
    enum { ROOM = 400 };
    struct {
        uint64_t n, waits_for, at;
        uint8_t peer;
    } model[ROOM];
    uint32_t count = 0;
    uint64_t now = 0;
    kit_random r = {17};
    for (uint64_t n = 1; n <= 20000; n++) {
        now += kit_below(&r, 400) * WEFT_MS;
        uint32_t expired = 0; /* the list is in order of age */
        while (expired < count && model[expired].at + WEFT_PENDING_TTL_NS <= now) expired++;
        memmove(model, model + expired, (count - expired) * sizeof *model);
        count -= expired;
        wf_pending_expire(&pool, now);
        if (kit_below(&r, 2) == 0 && count < ROOM) {
            model[count].n = n;
            model[count].waits_for = 1000000 + kit_below(&r, 20);
            model[count].at = now;
            model[count].peer = (uint8_t)kit_below(&r, 5);
            cr_assert_eq(put(n, model[count].waits_for, model[count].peer, 10, now), WEFT_OK);
            count++;
        } else {
            uint64_t parent = 1000000 + kit_below(&r, 20), want = 0;
            for (uint32_t i = 0; i < count && want == 0; i++) {
                if (model[i].waits_for != parent) continue;
                want = model[i].n;
                memmove(&model[i], &model[i + 1], (count - i - 1) * sizeof *model);
                count--;
            }
            cr_assert_eq(take(parent), want);
        }
        cr_assert_eq(pool.count, count);
    }
}
