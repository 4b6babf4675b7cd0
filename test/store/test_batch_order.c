/* SPDX-License-Identifier: Apache-2.0
 * test_batch_order.c - a batch in the order of its keys: what comes out is what went in.
 * Called by: meson test. May touch: batches. Never: an engine. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "batch_order.h"
#include "entry_kit.h"

#define KEY_MAX 20u

struct seen { /* what the walk gives, copied */
    uint32_t count, room;
    struct seen_op {
        enum wf_cf cf;
        bool is_delete;
        uint8_t key[KEY_MAX];
        size_t key_len;
        uint32_t number; /* of the operation in the batch; 0 of a delete */
        uint32_t at;     /* where the walk came to it                    */
    } * ops;
};

static wf_batch *batch;
static struct wf_batch_order order;
static kit_random chance;

static void setup(void)
{
    chance = (kit_random){11};
    memset(&order, 0, sizeof order);
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
}

static void teardown(void)
{
    wf_batch_order_fini(&order);
    wf_batch_destroy(batch);
}

TestSuite(batch_order, .init = setup, .fini = teardown);

static weft_err see(void *arg, const wf_batch_op *op)
{
    struct seen *seen = arg;
    cr_assert_lt(seen->count, seen->room);
    struct seen_op *to = &seen->ops[seen->count];
    *to = (struct seen_op){
        .cf = op->cf, .is_delete = op->is_delete, .key_len = op->key_len, .at = seen->count++};
    memcpy(to->key, op->key, op->key_len);
    cr_assert_eq(op->value_len, op->is_delete ? 0 : sizeof to->number);
    if (!op->is_delete) memcpy(&to->number, op->value, sizeof to->number);
    return WEFT_OK;
}

/* `count` operations on keys of any length in three families; a small alphabet makes equal ones. */
static void fill(uint32_t count, uint32_t letters)
{
    static const enum wf_cf families[] = {WF_CF_META, WF_CF_SUB, WF_CF_TIP};
    for (uint32_t i = 1; i <= count; i++) {
        enum wf_cf cf = families[kit_below(&chance, 3)];
        uint8_t key[KEY_MAX] = "tree0000";
        size_t len = 8 + kit_below(&chance, KEY_MAX - 7);
        for (size_t k = 8; k < len; k++) key[k] = (uint8_t)(255 - kit_below(&chance, letters));
        if (kit_below(&chance, 4) == 0) wf_batch_delete(batch, cf, key, len);
        else wf_batch_put(batch, cf, key, len, &i, sizeof i);
    }
}

static struct seen walk(bool in_order)
{
    struct seen seen = {.room = (uint32_t)wf_batch_count(batch)};
    seen.ops = calloc(seen.room, sizeof *seen.ops);
    cr_assert_not_null(seen.ops);
    cr_assert_eq(in_order ? wf_batch_each_ordered(batch, &order, see, &seen)
                          : wf_batch_each(batch, see, &seen),
                 WEFT_OK);
    cr_assert_eq(seen.count, seen.room);
    return seen;
}

static int by_key(const struct seen_op *a, const struct seen_op *b)
{
    if (a->cf != b->cf) return a->cf < b->cf ? -1 : 1;
    size_t len = a->key_len < b->key_len ? a->key_len : b->key_len;
    int order_of_bytes = memcmp(a->key, b->key, len);
    return order_of_bytes != 0 ? order_of_bytes
                               : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static int by_key_and_age(const void *x, const void *y)
{
    const struct seen_op *a = x, *b = y;
    int keys = by_key(a, b);
    return keys != 0 ? keys : (a->at > b->at) - (a->at < b->at);
}

/* The same operations as in the batch, and each key's in the order of the batch. */
static void assert_same(struct seen *seen)
{
    struct seen all = walk(false);
    qsort(all.ops, all.count, sizeof *all.ops, by_key_and_age);
    qsort(seen->ops, seen->count, sizeof *seen->ops, by_key_and_age);
    for (uint32_t i = 0; i < all.count; i++) {
        cr_assert_eq(by_key(&seen->ops[i], &all.ops[i]), 0, "operation %u", i);
        cr_assert_eq(seen->ops[i].is_delete, all.ops[i].is_delete, "operation %u", i);
        cr_assert_eq(seen->ops[i].number, all.ops[i].number, "operation %u", i);
    }
    free(all.ops);
}

Test(batch_order, operations_come_by_family_and_key_and_those_on_one_key_as_they_were_put)
{
    for (uint32_t count = 0; count < 3000; count += 1 + count / 2) {
        wf_batch_clear(batch);
        fill(count, count % 2 == 0 ? 2 : 200);
        struct seen seen = walk(true);
        for (uint32_t i = 1; i < seen.count; i++)
            cr_assert_leq(by_key(&seen.ops[i - 1], &seen.ops[i]), 0, "operation %u", i);
        assert_same(&seen);
        free(seen.ops);
    }
}

Test(batch_order, a_batch_beyond_the_list_keeps_the_order_of_operations_on_one_key)
{
    fill(100000, 2);
    struct seen seen = walk(true);
    assert_same(&seen);
    cr_assert_leq(wf_batch_order_bytes(&order), 2u << 20, "the list is bounded");
    free(seen.ops);
}

Test(batch_order, short_memory_changes_no_outcome)
{
    fill(5000, 2);
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct seen seen = {.room = 5000};
        seen.ops = calloc(seen.room, sizeof *seen.ops);
        cr_assert_not_null(seen.ops);
        wf_batch_order_fini(&order);
        (void)wf_alloc_fail_at(nth, 1);
        weft_err err = wf_batch_each_ordered(batch, &order, see, &seen);
        (void)wf_alloc_fail_at(0, 0);
        cr_assert_eq(err, WEFT_OK);
        cr_assert_eq(seen.count, seen.room);
        assert_same(&seen);
        free(seen.ops);
    }
}

static weft_err stop_at_third(void *arg, const wf_batch_op *op)
{
    (void)op;
    return ++*(uint32_t *)arg == 3 ? WEFT_AGAIN : WEFT_OK;
}

Test(batch_order, an_answer_that_is_not_ok_ends_the_walk_and_the_next_begins_anew)
{
    uint32_t calls = 0;
    fill(50, 200);
    cr_assert_eq(wf_batch_each_ordered(batch, &order, stop_at_third, &calls), WEFT_AGAIN);
    cr_assert_eq(calls, 3);
    struct seen seen = walk(true);
    assert_same(&seen);
    free(seen.ops);
}
