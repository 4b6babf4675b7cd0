/* SPDX-License-Identifier: Apache-2.0
 * test_kv.c - what every engine must do: one suite, run over each of them.
 * Called by: meson test. May touch: engines through kv.h.
 * Never: what only one engine can do (test_kv_memory.c, test_kv_rocksdb.c, test_kv_lmdb.c), or
 * only those on disk (test_kv_disk.c). */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry_kit.h"
#include "kv_kit.h"
#include "lock.h"

static void run(const struct kk_engine *engine, void (*claim)(wf_kv *kv))
{
    char dir[64];
    kk_need(engine);
    kk_dir_create(dir);
    wf_kv *kv = kk_open(engine, dir);
    claim(kv);
    wf_kv_close(kv);
    kk_dir_remove(dir);
}

/* One claim, judged on all engines. */
#define CLAIM(name)                                    \
    static void name(wf_kv *kv);                       \
    Test(kv_memory, name) { run(&kk_memory, name); }   \
    Test(kv_rocksdb, name) { run(&kk_rocksdb, name); } \
    Test(kv_lmdb, name) { run(&kk_lmdb, name); }       \
    static void name(wf_kv *kv)

CLAIM(a_put_is_read_back)
{
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "(none)");
    kk_put(kv, WF_CF_ENTRY, "a", "1", false);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1");
    kk_put(kv, WF_CF_ENTRY, "a", "22", true);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "22");
}

CLAIM(a_delete_removes_and_may_meet_nothing)
{
    kk_delete(kv, WF_CF_TIP, "a");
    kk_put(kv, WF_CF_TIP, "a", "1", false);
    kk_delete(kv, WF_CF_TIP, "a");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "(none)");
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_TIP, "", false), "");
}

CLAIM(families_do_not_share_keys)
{
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++)
        kk_put(kv, (enum wf_cf)cf, "key", wf_cf_names[cf], false);
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++)
        cr_assert_str_eq(kk_get(kv, NULL, (enum wf_cf)cf, "key"), wf_cf_names[cf]);
}

CLAIM(an_empty_value_is_not_a_missing_one)
{
    kk_put(kv, WF_CF_GEN, "a", "", false);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_GEN, "a"), "");
}

CLAIM(in_one_batch_the_last_operation_on_a_key_counts)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_META, "a", 1, "1", 1);
    wf_batch_delete(batch, WF_CF_META, "a", 1);
    wf_batch_put(batch, WF_CF_META, "a", 1, "2", 1);
    wf_batch_put(batch, WF_CF_META, "b", 1, "1", 1);
    wf_batch_delete(batch, WF_CF_META, "b", 1);
    cr_assert_eq(wf_kv_write(kv, batch, false), WEFT_OK);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_META, "a"), "2");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_META, "b"), "(none)");
    cr_assert_eq(wf_batch_count(batch), 5, "writing does not clear the batch");
    wf_batch_destroy(batch);
}

CLAIM(an_empty_batch_may_be_written)
{
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    cr_assert_eq(wf_kv_sync(kv), WEFT_OK);
}

CLAIM(keys_are_ordered_by_unsigned_bytes)
{
    kk_put(kv, WF_CF_GEN, "a\xff", "", false);
    kk_put(kv, WF_CF_GEN, "a", "", false);
    kk_put(kv, WF_CF_GEN, "b", "", false);
    kk_put(kv, WF_CF_GEN, "a\x01", "", false);
    kk_put(kv, WF_CF_GEN, "\xff", "", false);
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_GEN, "", false), "a a\x01 a\xff b \xff");
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_GEN, "", true), "\xff b a\xff a\x01 a");
}

CLAIM(a_prefix_bounds_an_iterator_on_both_sides)
{
    const char *keys[] = {"a", "ab", "ab\xff", "ab\xff\xff", "ac", "b", "\xff", "\xff\xff"};
    for (unsigned i = 0; i < 8; i++) kk_put(kv, WF_CF_ARR, keys[i], "", false);
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_ARR, "ab", false), "ab ab\xff ab\xff\xff");
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_ARR, "ab", true), "ab\xff\xff ab\xff ab");
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_ARR, "ab\xff", true), "ab\xff\xff ab\xff");
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_ARR, "\xff", true), "\xff\xff \xff");
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_ARR, "aa", false), "");
}

static const char *at(wf_kv_iter *it)
{
    static char text[16];
    if (!wf_kv_iter_valid(it)) return "(end)";
    size_t len;
    const uint8_t *key = wf_kv_iter_key(it, &len);
    memcpy(text, key, len);
    text[len] = '\0';
    return text;
}

CLAIM(seeks_land_on_the_nearest_key_within_the_prefix)
{
    const char *keys[] = {"a9", "b1", "b3", "b5", "c1"};
    for (unsigned i = 0; i < 5; i++) kk_put(kv, WF_CF_CHILD, keys[i], keys[i], false);
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_CHILD, "b", 1, &it), WEFT_OK);
    static const struct {
        const char *key, *forward, *back;
    } seeks[] = {{"b3", "b3", "b3"},    {"b2", "b3", "b1"},   {"b0", "b1", "(end)"},
                 {"b9", "(end)", "b5"}, {"a", "b1", "(end)"}, {"c9", "(end)", "b5"},
                 {"c", "(end)", "b5"},  {"b", "b1", "(end)"}};
    for (unsigned i = 0; i < sizeof seeks / sizeof *seeks; i++) {
        wf_kv_iter_seek(it, seeks[i].key, strlen(seeks[i].key));
        cr_expect_str_eq(at(it), seeks[i].forward, "seek %s: %s", seeks[i].key, at(it));
        wf_kv_iter_seek_back(it, seeks[i].key, strlen(seeks[i].key));
        cr_expect_str_eq(at(it), seeks[i].back, "seek back %s: %s", seeks[i].key, at(it));
    }
    size_t len;
    wf_kv_iter_seek(it, "b3", 2);
    cr_expect_arr_eq(wf_kv_iter_value(it, &len), "b3", 2);
    wf_kv_iter_destroy(it);
}

CLAIM(an_iterator_sees_what_was_there_when_it_was_made)
{
    kk_put(kv, WF_CF_TIP, "a", "old", false);
    kk_put(kv, WF_CF_TIP, "c", "old", false);
    wf_kv_iter *it;
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, NULL, 0, &it), WEFT_OK);
    wf_kv_iter_first(it);
    kk_put(kv, WF_CF_TIP, "a", "new", false);
    kk_put(kv, WF_CF_TIP, "b", "new", false);
    kk_delete(kv, WF_CF_TIP, "c");
    size_t len;
    cr_assert_str_eq(at(it), "a");
    cr_assert_arr_eq(wf_kv_iter_value(it, &len), "old", 3);
    wf_kv_iter_next(it);
    cr_assert_str_eq(at(it), "c");
    cr_assert_arr_eq(wf_kv_iter_value(it, &len), "old", 3);
    wf_kv_iter_next(it);
    cr_assert_not(wf_kv_iter_valid(it));
    cr_assert_eq(wf_kv_iter_err(it), WEFT_OK);
    wf_kv_iter_destroy(it);
    cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_TIP, "", false), "a b");
}

CLAIM(a_snapshot_holds_for_every_way_of_reading)
{
    kk_put(kv, WF_CF_TREE, "a", "1", false);
    kk_put(kv, WF_CF_TREE, "b", "1", false);
    wf_kv_snapshot *snap;
    cr_assert_eq(wf_kv_snapshot_create(kv, &snap), WEFT_OK);
    for (int i = 0; i < 200; i++) kk_put(kv, WF_CF_TREE, "a", i % 2 == 0 ? "2" : "3", i % 50 == 0);
    kk_delete(kv, WF_CF_TREE, "b");
    kk_put(kv, WF_CF_TREE, "c", "2", false);
    cr_assert_str_eq(kk_get(kv, snap, WF_CF_TREE, "a"), "1");
    cr_assert_str_eq(kk_get(kv, snap, WF_CF_TREE, "b"), "1");
    cr_assert_str_eq(kk_get(kv, snap, WF_CF_TREE, "c"), "(none)");
    cr_assert_str_eq(kk_keys(kv, snap, WF_CF_TREE, "", false), "a b");
    wf_value values[3];
    weft_err errs[3];
    cr_assert_eq(wf_kv_multi_get(kv, snap, WF_CF_TREE, "abc", 1, 3, values, errs), WEFT_OK);
    cr_assert_eq(errs[0], WEFT_OK);
    cr_assert_eq(errs[1], WEFT_OK);
    cr_assert_eq(errs[2], WEFT_NOT_FOUND);
    wf_value_release(kv, &values[0]);
    wf_value_release(kv, &values[1]);
    wf_kv_snapshot_destroy(kv, snap);
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TREE, "a"), "3");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TREE, "b"), "(none)");
}

CLAIM(multi_get_answers_each_key_for_itself)
{
    char keys[200][4], key[8];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "%04d", i * 7 % 200);
        memcpy(keys[i], key, 4);
        if (i * 7 % 200 % 3 == 0) kk_put(kv, WF_CF_META, key, key, false);
    }
    wf_value values[200];
    weft_err errs[200];
    cr_assert_eq(wf_kv_multi_get(kv, NULL, WF_CF_META, keys, 4, 200, values, errs), WEFT_OK);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(errs[i], i * 7 % 200 % 3 == 0 ? WEFT_OK : WEFT_NOT_FOUND);
        if (errs[i] != WEFT_OK) continue;
        cr_assert_arr_eq(values[i].data, keys[i], 4);
        wf_value_release(kv, &values[i]);
    }
}

CLAIM(a_value_stays_until_it_is_released)
{
    kk_put(kv, WF_CF_ENTRY, "a", "first", false);
    wf_value value;
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, "a", 1, &value), WEFT_OK);
    kk_put(kv, WF_CF_ENTRY, "a", "other", true);
    kk_delete(kv, WF_CF_ENTRY, "a");
    cr_assert_eq(value.len, 5);
    cr_assert_arr_eq(value.data, "first", 5);
    wf_value_release(kv, &value);
}

CLAIM(a_mebibyte_is_a_value)
{
    size_t len = 1 << 20;
    uint8_t *data = malloc(len);
    kit_random r = {5};
    kit_fill(&r, data, len);
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, "big", 3, data, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
    wf_value value;
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, "big", 3, &value), WEFT_OK);
    cr_assert_eq(value.len, len);
    cr_assert_arr_eq(value.data, data, len);
    wf_value_release(kv, &value);
    free(data);
}

/* -- Against a model ---------------------------------------------------------------------- */

#define MODEL_KEYS 64u

struct model {
    int value[MODEL_KEYS]; /* -1: none */
};

static void check_model(wf_kv *kv, const wf_kv_snapshot *snap, const struct model *m)
{
    char want[MODEL_KEYS * 4] = "", key[4], text[8];
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        snprintf(key, sizeof key, "%02u", i);
        snprintf(text, sizeof text, "%d", m->value[i]);
        cr_assert_str_eq(kk_get(kv, snap, WF_CF_TIP, key), m->value[i] < 0 ? "(none)" : text);
        if (m->value[i] < 0) continue;
        if (want[0] != '\0') strcat(want, " ");
        strcat(want, key);
    }
    cr_assert_str_eq(kk_keys(kv, snap, WF_CF_TIP, "", false), want);
}

CLAIM(random_batches_and_views_agree_with_a_model)
{
    kit_random r = {42};
    struct model now, seen[3];
    wf_kv_snapshot *snaps[3] = {NULL};
    memset(&now, 0xff, sizeof now);
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (int round = 0; round < 150; round++) {
        wf_batch_clear(batch);
        for (uint32_t n = kit_below(&r, 12); n > 0; n--) {
            char key[4], value[8];
            uint32_t k = kit_below(&r, MODEL_KEYS);
            snprintf(key, sizeof key, "%02u", k);
            now.value[k] = kit_below(&r, 3) == 0 ? -1 : (int)kit_below(&r, 1000);
            snprintf(value, sizeof value, "%d", now.value[k]);
            if (now.value[k] < 0) wf_batch_delete(batch, WF_CF_TIP, key, 2);
            else wf_batch_put(batch, WF_CF_TIP, key, 2, value, strlen(value));
        }
        cr_assert_eq(wf_kv_write(kv, batch, kit_below(&r, 4) == 0), WEFT_OK);
        uint32_t s = kit_below(&r, 3);
        if (snaps[s] != NULL) check_model(kv, snaps[s], &seen[s]);
        wf_kv_snapshot_destroy(kv, snaps[s]);
        cr_assert_eq(wf_kv_snapshot_create(kv, &snaps[s]), WEFT_OK);
        seen[s] = now;
        if (round % 10 == 0) check_model(kv, NULL, &now);
    }
    for (int s = 0; s < 3; s++) wf_kv_snapshot_destroy(kv, snaps[s]);
    check_model(kv, NULL, &now);
    wf_batch_destroy(batch);
}

/* -- A writer beside readers ------------------------------------------------------------------ */

struct reading {
    wf_kv *kv;
    wf_counter stop, wrong, reads;
};

/* The writer keeps "a" and "b" equal; a reader that sees them differ saw half a batch. */
static void *read_pairs(void *arg)
{
    struct reading *r = arg;
    while (wf_counter_get(&r->stop) == 0) {
        wf_kv_iter *it;
        if (wf_kv_iter_create(r->kv, NULL, WF_CF_TIP, NULL, 0, &it) != WEFT_OK) break;
        uint8_t first[8] = {0};
        size_t len;
        wf_kv_iter_first(it);
        if (wf_kv_iter_valid(it)) memcpy(first, wf_kv_iter_value(it, &len), 4);
        wf_kv_iter_last(it);
        if (wf_kv_iter_valid(it) && memcmp(first, wf_kv_iter_value(it, &len), 4) != 0)
            wf_counter_add(&r->wrong, 1);
        wf_kv_iter_destroy(it);
        wf_counter_add(&r->reads, 1);
    }
    return NULL;
}

CLAIM(readers_beside_the_writer_never_see_half_a_batch)
{
    struct reading reading = {.kv = kv};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_pairs, &reading), 0);
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    for (int i = 0; i < 2000 || wf_counter_get(&reading.reads) < 20; i++) {
        char value[8], key[8];
        snprintf(value, sizeof value, "%04d", i % 10000);
        snprintf(key, sizeof key, "m%03d", i % 100);
        wf_batch_clear(batch);
        wf_batch_put(batch, WF_CF_TIP, "a", 1, value, 4);
        if (i % 3 == 0) wf_batch_delete(batch, WF_CF_TIP, key, 4);
        else wf_batch_put(batch, WF_CF_TIP, key, 4, value, 4);
        wf_batch_put(batch, WF_CF_TIP, "z", 1, value, 4);
        cr_assert_eq(wf_kv_write(kv, batch, false), WEFT_OK);
    }
    wf_counter_set(&reading.stop, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    wf_batch_destroy(batch);
    cr_assert_eq(wf_counter_get(&reading.wrong), 0);
}

/* -- Opened again in place ---------------------------------------------------------------------- */

CLAIM(an_engine_that_is_opened_again_has_all_and_takes_writes)
{
    kk_put(kv, WF_CF_ENTRY, "a", "1", true);
    kk_put(kv, WF_CF_TIP, "b", "2", false);
    cr_assert_eq(wf_kv_failed(kv), WEFT_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(wf_kv_reopen(kv), WEFT_OK);
        cr_assert_str_eq(kk_get(kv, NULL, WF_CF_ENTRY, "a"), "1");
        cr_assert_str_eq(kk_keys(kv, NULL, WF_CF_TIP, "", false), i == 0 ? "b" : "b c");
        kk_put(kv, WF_CF_TIP, "c", "3", true);
    }
}

CLAIM(nothing_is_opened_again_while_something_is_out)
{
    wf_value value;
    wf_kv_iter *it;
    wf_kv_snapshot *snap;
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_TIP, "a", 1, &value), WEFT_OK);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_AGAIN, "a value");
    cr_assert_arr_eq(value.data, "1", 1);
    wf_value_release(kv, &value);
    cr_assert_eq(wf_kv_iter_create(kv, NULL, WF_CF_TIP, "a", 1, &it), WEFT_OK);
    wf_kv_iter_first(it);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_AGAIN, "an iterator");
    cr_assert_str_eq(kk_get(kv, NULL, WF_CF_TIP, "a"), "1", "who holds one may read on");
    cr_assert(wf_kv_iter_valid(it));
    wf_kv_iter_destroy(it);
    cr_assert_eq(wf_kv_snapshot_create(kv, &snap), WEFT_OK);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_AGAIN, "a snapshot");
    wf_kv_snapshot_destroy(kv, snap);
    wf_value values[3];
    weft_err errs[3];
    cr_assert_eq(wf_kv_multi_get(kv, NULL, WF_CF_TIP, "abc", 1, 3, values, errs), WEFT_OK);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_AGAIN, "one value of three");
    wf_value_release(kv, &values[0]);
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_TIP, "b", 1, &value), WEFT_NOT_FOUND);
    cr_assert_eq(wf_kv_reopen(kv), WEFT_OK, "nothing is out any more");
}

/* Both keys are always there: whoever misses one, or is told of an error, saw the engine
 * while it was away. */
static void *read_always(void *arg)
{
    struct reading *r = arg;
    wf_value value;
    while (wf_counter_get(&r->stop) == 0) {
        wf_kv_iter *it = NULL;
        bool right = wf_kv_iter_create(r->kv, NULL, WF_CF_TIP, NULL, 0, &it) == WEFT_OK;
        if (right) wf_kv_iter_first(it);
        right = right && wf_kv_iter_valid(it);
        if (right && wf_kv_get(r->kv, NULL, WF_CF_TIP, "z", 1, &value) == WEFT_OK)
            wf_value_release(r->kv, &value);
        else right = false;
        wf_kv_iter_destroy(it);
        wf_counter_add(right ? &r->reads : &r->wrong, 1);
        for (int i = 0; i < 4; i++) sched_yield(); /* so that it may lose the core out here */
    }
    return NULL;
}

CLAIM(readers_notice_nothing_of_an_engine_that_is_opened_again)
{
    struct reading reading = {.kv = kv};
    pthread_t threads[2];
    kk_put(kv, WF_CF_TIP, "a", "1", true);
    kk_put(kv, WF_CF_TIP, "z", "1", true);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_always, &reading), 0);
    for (int done = 0; done < 20;) {
        weft_err err = wf_kv_reopen(kv);
        cr_assert(err == WEFT_OK || err == WEFT_AGAIN, "%s", weft_errname(err));
        if (err == WEFT_OK) { /* else a reader is inside: nothing was done */
            kk_put(kv, WF_CF_TIP, "a", "2", done % 2 == 0);
            done++;
        }
        uint64_t seen = wf_counter_get(&reading.reads);
        while (wf_counter_get(&reading.reads) == seen) sched_yield();
    }
    wf_counter_set(&reading.stop, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(wf_counter_get(&reading.wrong), 0);
}
