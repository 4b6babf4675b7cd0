/* SPDX-License-Identifier: Apache-2.0
 * test_kv_memory.c - what only the engine in memory can do: crash and fail on demand.
 * Called by: meson test. May touch: kv_memory.c through kv.h. Never: a disk. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "entry_kit.h"
#include "kv_kit.h"

static wf_kv *kv;

static void setup(void) { kv = kk_open(&kk_memory, NULL); }

static void teardown(void) { wf_kv_close(kv); }

TestSuite(kv_memory_only, .init = setup, .fini = teardown);

Test(kv_memory_only, a_crash_forgets_what_was_not_synced)
{
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    kk_put(kv, WF_CF_TIP, "a", "2", false);
    kk_put(kv, WF_CF_TIP, "b", "2", false);
    cr_assert_eq(wf_kv_memory_unsynced(kv), 2);
    wf_kv_memory_crash(kv, 0);
    cr_assert_eq(wf_kv_memory_unsynced(kv), 0);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "1");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "b"), "(none)");
}

Test(kv_memory_only, a_crash_may_keep_the_oldest_unsynced_batches)
{
    for (int i = 0; i < 5; i++) {
        char text[2] = {(char)('0' + i), '\0'};
        kk_put(kv, WF_CF_TIP, "a", text, i == 0);
    }
    kk_delete(kv, WF_CF_TIP, "a");
    wf_kv_memory_crash(kv, 3);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "3");
    wf_kv_memory_crash(kv, 0);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "3", "what survived once is durable");
}

Test(kv_memory_only, a_sync_makes_all_before_it_durable)
{
    kk_put(kv, WF_CF_TIP, "a", "1", false);
    kk_delete(kv, WF_CF_TIP, "a");
    kk_put(kv, WF_CF_TIP, "b", "1", false);
    cr_assert_eq(wf_kv_sync(kv), WEFT_OK);
    wf_kv_memory_crash(kv, 0);
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_TIP, "", false), "b");
}

Test(kv_memory_only, a_crash_ends_the_views_of_before)
{
    kk_put(kv, WF_CF_TIP, "a", "1", false);
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &it), WEFT_OK);
    wf_kv_iter_first(it);
    cr_assert(wf_kv_iter_valid(it));
    wf_kv_memory_crash(kv, 0);
    cr_assert_not(wf_kv_iter_valid(it));
    cr_assert_eq(wf_kv_iter_err(it), WEFT_IO);
    wf_kv_iter_next(it);
    wf_kv_iter_destroy(it);
}

Test(kv_memory_only, random_crashes_leave_a_prefix_of_the_batches)
{
    kit_random r = {3};
    int history[400][16], count = 0; /* the state after each batch since the start */
    memset(history, 0xff, sizeof history);
    int durable = 0;
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (int round = 1; round < 400; round++) {
        memcpy(history[count + 1], history[count], sizeof *history);
        wf_batch_clear(batch);
        for (int n = 0; n < 4; n++) {
            uint32_t k = kit_below(&r, 16);
            char key = (char)('a' + k), value[8];
            int v = kit_below(&r, 3) == 0 ? -1 : (int)kit_below(&r, 100);
            history[count + 1][k] = v;
            snprintf(value, sizeof value, "%d", v);
            if (v < 0) wf_batch_delete(batch, WF_CF_TIP, &key, 1);
            else wf_batch_put(batch, WF_CF_TIP, &key, 1, value, strlen(value));
        }
        bool sync = kit_below(&r, 5) == 0;
        cr_assert_eq(wf_kv_write(kv, batch, sync), WEFT_OK);
        count++;
        if (sync) durable = count;
        if (kit_below(&r, 8) != 0) continue;
        int keep = (int)kit_below(&r, 4);
        if (keep > count - durable) keep = count - durable;
        wf_kv_memory_crash(kv, (size_t)keep);
        count = durable = durable + keep;
        for (uint32_t k = 0; k < 16; k++) {
            char key[2] = {(char)('a' + k), '\0'}, value[8];
            snprintf(value, sizeof value, "%d", history[count][k]);
            cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, key),
                             history[count][k] < 0 ? "(none)" : value, "round %d", round);
        }
    }
    wf_batch_destroy(batch);
}

Test(kv_memory_only, the_nth_write_fails_and_changes_nothing_that_is_read)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_TIP, "a", 1, "1", 1);
    wf_kv_memory_fail_at(kv, 2, WEFT_IO, true);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_clear(batch);
    wf_batch_put(batch, WF_CF_TIP, "a", 1, "2", 1);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_IO);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_IO, "the failure stays");
    cr_assert_eq(wf_kv_sync(kv), WEFT_IO);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "1");
    wf_batch_destroy(batch);
}

static void fail_then_crash(size_t keep, const char *want)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_TIP, "a", 1, "2", 1);
    wf_kv_memory_fail_at(kv, 1, WEFT_IO, true);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_IO);
    wf_kv_memory_crash(kv, keep);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), want);
    kk_put(kv, WF_CF_TIP, "a", "3", true);
    wf_batch_destroy(batch);
}

Test(kv_memory_only, a_write_that_failed_may_be_there_after_a_crash)
{
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    fail_then_crash(0, "1");
    fail_then_crash(1, "2");
}

Test(kv_memory_only, a_write_that_failed_is_there_when_the_engine_was_opened_again)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_TIP, "a", 1, "2", 1);
    wf_kv_memory_fail_at(kv, 1, WEFT_IO, true);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_IO);
    cr_assert_eq(wf_kv_failed(kv), WEFT_IO);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_IO, "the disk is still broken");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "(none)");
    wf_kv_memory_fail_at(kv, 0, WEFT_OK, false);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_OK);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "2");
    cr_assert_eq(wf_kv_memory_unsynced(kv), 0);
    wf_batch_destroy(batch);
}

Test(kv_memory_only, a_refusal_that_touches_nothing_is_no_failure_of_the_engine)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_TIP, "a", 1, "2", 1);
    wf_kv_memory_fail_at(kv, 1, WEFT_NO_SPACE, false);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_NO_SPACE);
    cr_assert_eq(wf_kv_failed(kv), WEFT_OK);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(kv_memory_only, what_a_crash_left_behind_keeps_nobody_from_opening_again)
{
    wf_kv_iter *lost, *kept;
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &lost), WEFT_OK);
    wf_kv_memory_crash(kv, 0);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_OK);
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &kept), WEFT_OK);
    wf_kv_iter_destroy(lost);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_AGAIN, "the other one is still counted");
    wf_kv_iter_destroy(kept);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_OK);
}

Test(kv_memory_only, memory_that_runs_out_in_a_write_leaves_the_state_before_it)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (char c = 'a'; c < 'k'; c++) wf_batch_put(batch, WF_CF_TIP, &c, 1, "new", 3);
    wf_batch_delete(batch, WF_CF_TIP, "b", 1);
    for (uint64_t nth = 1; nth < 200; nth++) {
        wf_kv *fresh = kk_open(&kk_memory, NULL);
        kk_put(fresh, WF_CF_TIP, "a", "old", true);
        kk_put(fresh, WF_CF_TIP, "b", "old", false);
        wf_alloc_fail_at(nth, 0);
        weft_err err = wf_kv_write(fresh, batch, false);
        wf_alloc_fail_at(0, 0);
        if (err == WEFT_OK) {
            wf_kv_close(fresh);
            cr_assert_gt(nth, 5, "the sweep met no allocation");
            wf_batch_destroy(batch);
            return;
        }
        cr_assert_eq(err, WEFT_NO_MEMORY);
        cr_assert_str_eq(kk_keys(fresh, NULL, WF_CF_TIP, "", false), "a b");
        cr_assert_str_eq(kk_get(fresh, NULL, WF_CF_TIP, "a"), "old");
        wf_kv_memory_crash(fresh, 9);
        cr_assert_str_eq(kk_get(fresh, NULL, WF_CF_TIP, "b"), "old");
        wf_kv_close(fresh);
    }
    cr_assert_fail("the sweep does not end");
}

Test(kv_memory_only, versions_that_nobody_can_see_are_freed)
{
    for (int i = 0; i < 100; i++) kk_put(kv, WF_CF_TIP, "a", "value", true);
    uint64_t before = wf_kv_memory(kv);
    for (int i = 0; i < 20000; i++) kk_put(kv, WF_CF_TIP, "a", "value", i % 7 == 0);
    for (int i = 0; i < 5000; i++) {
        kk_put(kv, WF_CF_TIP, "b", "value", false);
        kk_delete(kv, WF_CF_TIP, "b");
        wf_kv_iter *it;
        cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &it), WEFT_OK);
        wf_kv_iter_destroy(it);
        if (i % 10 == 0) cr_assert_eq(wf_kv_sync(kv), WEFT_OK);
    }
    cr_assert_lt(wf_kv_memory(kv), before + 64 * 1024);
}

Test(kv_memory_only, a_checkpoint_is_not_supported)
{
    cr_assert_eq(wf_kv_checkpoint(kv, "/tmp/never"), WEFT_UNSUPPORTED);
}
