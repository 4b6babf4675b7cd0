/* SPDX-License-Identifier: Apache-2.0
 * test_actor_check.c - the checks over messages between actors see each kind of fault.
 * Called by: meson test. May touch: memory. Never: actors. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "actor_check.h"
#include "hist.h"

#define WORDS 4

static struct check c;
static struct check_result result;
static char why[200];

static struct load_msg *message(uint32_t from, uint32_t to, uint64_t seq)
{
    struct load_msg *m = calloc(1, sizeof *m + WORDS * 8);
    m->from = from;
    m->to = to;
    m->seq = seq;
    m->sent_ns = m->due_ns = 1000 + seq;
    m->len = WORDS * 8;
    for (uint64_t i = 0; i < WORDS; i++) m->payload[i] = seq * 31 + i;
    check_seal(m);
    return m;
}

static void send_one(uint32_t from, uint32_t to)
{
    check_sent(&c, from, to, check_next(&c, from, to));
}

static bool receive(uint32_t from, uint32_t to, uint64_t seq)
{
    struct load_msg *m = message(from, to, seq);
    bool whole = check_received(&c, to, m);
    free(m);
    return whole;
}

static bool clean(void)
{
    check_total(&c, &result);
    return check_clean(&result, why, sizeof why);
}

static void begin(uint64_t sent)
{
    check_init(&c, 2, 2);
    for (uint64_t i = 0; i < sent; i++) send_one(0, 1);
}

Test(actor_check, passes_what_came_once_and_in_order)
{
    begin(100);
    for (int i = 0; i < 50; i++) send_one(1, 0);
    for (uint64_t i = 0; i < 50; i++) cr_assert(receive(0, 1, i) && receive(1, 0, i));
    cr_expect_eq(check_pending(&c), 50u);
    cr_expect_eq(check_pending_at(&c, 1), 50u);
    cr_expect_eq(check_pending_at(&c, 0), 0u);
    for (uint64_t i = 50; i < 100; i++) receive(0, 1, i);
    cr_expect(clean(), "%s", why);
    cr_expect(result.sent == 150 && result.received == 150);
    check_fini(&c);
}

Test(actor_check, sees_one_lost_message)
{
    begin(100);
    for (uint64_t i = 0; i < 100; i++)
        if (i != 41) receive(0, 1, i);
    cr_expect_not(clean());
    cr_expect_eq(result.lost, 1u);
    cr_expect_str_eq(why, "1: messages are lost");
    check_fini(&c);
}

Test(actor_check, a_dead_letter_is_not_lost)
{
    begin(3);
    receive(0, 1, 0);
    struct load_msg *m = message(0, 1, 1);
    check_dead(&c, m);
    free(m);
    receive(0, 1, 2);
    cr_expect(clean(), "%s", why);
    cr_expect_eq(result.dead, 1u);
    check_fini(&c);
}

Test(actor_check, sees_a_message_that_comes_twice)
{
    begin(3);
    for (uint64_t i = 0; i < 3; i++) receive(0, 1, i);
    receive(0, 1, 2);
    cr_expect_not(clean());
    cr_expect(result.duplicated == 1 && result.lost == 0 && result.reordered == 0);
    check_fini(&c);
}

Test(actor_check, a_lost_one_does_not_hide_behind_one_that_comes_twice)
{
    begin(3);
    receive(0, 1, 0);
    receive(0, 1, 1);
    receive(0, 1, 1);
    cr_expect_not(clean());
    cr_expect(result.duplicated == 1 && result.lost == 1);
    check_fini(&c);
}

Test(actor_check, sees_messages_that_change_places)
{
    begin(4);
    const uint64_t order[] = {0, 2, 1, 3};
    for (int i = 0; i < 4; i++) receive(0, 1, order[i]);
    cr_expect_not(clean());
    cr_expect(result.reordered == 1 && result.lost == 0 && result.duplicated == 0);
    check_fini(&c);
}

Test(actor_check, sees_every_changed_bit)
{
    begin(0);
    struct load_msg *m = message(0, 1, 0);
    size_t from = offsetof(struct load_msg, check), all = sizeof *m + WORDS * 8;
    for (size_t bit = 0; bit < (all - from) * 8; bit++) {
        size_t at = from + bit / 8;
        if (at >= offsetof(struct load_msg, len) && at < offsetof(struct load_msg, payload))
            continue; /* it says how far to read: the sender's kind fixes it */
        ((uint8_t *)m)[at] ^= (uint8_t)(1u << bit % 8);
        cr_expect_not(check_received(&c, 1, m), "bit %zu", bit);
        ((uint8_t *)m)[at] ^= (uint8_t)(1u << bit % 8);
    }
    cr_expect(check_received(&c, 1, m));
    check_total(&c, &result);
    cr_expect_gt(result.corrupt, 300u);
    free(m);
    check_fini(&c);
}

Test(actor_check, sees_a_message_of_another_number_in_place_of_one)
{
    begin(3);
    receive(0, 1, 0);
    receive(0, 1, 1);
    receive(0, 1, 7);
    cr_expect_not(clean());
    cr_expect(result.sums_differ && result.lost == 0);
    check_fini(&c);
}

Test(hist, what_came_since_is_what_was_added)
{
    static struct hist h, before, since;
    for (uint64_t i = 1; i <= 100; i++) hist_add(&h, i * 1000);
    before = h;
    for (uint64_t i = 1; i <= 10; i++) hist_add(&h, 5000000);
    hist_since(&h, &before, &since);
    cr_expect_eq(since.count, 10u);
    cr_expect_eq(since.max, 5000000u);
    cr_expect(since.min > 4900000 && since.min <= 5000000);
    cr_expect_eq(since.sum, 50000000u);
}
