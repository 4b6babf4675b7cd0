/* SPDX-License-Identifier: Apache-2.0
 * test_briefs.c - the cache of entries' facts: bounded, right, and true to its batch.
 * Called by: meson test. May touch: briefs.c over the memory engine. Never: a store. */
#include <criterion/criterion.h>
#include <string.h>

#include "briefs.h"
#include "entry_kit.h"
#include "kv_faulty.h"
#include "layout.h"

static wf_kv *kv;
static struct wf_briefs briefs;

static void setup(void)
{
    cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
    wf_briefs_init(&briefs, 99);
}

static void teardown(void)
{
    wf_briefs_fini(&briefs);
    wf_kv_close(kv);
}

TestSuite(briefs, .init = setup, .fini = teardown);

static weft_id numbered(uint64_t n)
{
    weft_id id = {{0}};
    wf_put64(id.bytes, n);
    return id;
}

static void add(uint64_t n, const char *names)
{
    struct wf_brief brief = {.id = numbered(n),
                             .t = 1,
                             .gen = n,
                             .names_len = (uint32_t)strlen(names)},
                    *out;
    cr_assert_eq(wf_briefs_add(&briefs, &brief, (const uint8_t *)names, &out), WEFT_OK);
    wf_briefs_pin(&briefs, out);
    out->fresh = (uint32_t)n;
}

static struct wf_brief *find(uint64_t n)
{
    weft_id id = numbered(n);
    struct wf_brief *out = NULL;
    weft_err err = wf_briefs_find(&briefs, kv, &id, &out);
    cr_assert(err == WEFT_OK || err == WEFT_NOT_FOUND);
    return out;
}

Test(briefs, the_cache_stays_within_its_bound_and_forgets_the_rest)
{
    for (uint64_t n = 1; n <= 3 * WEFT_STORE_BRIEFS_MAX; n++) {
        add(n, "\4main");
        if (n % 1000 == 0) wf_briefs_next_batch(&briefs);
    }
    cr_assert_eq(briefs.count, WEFT_STORE_BRIEFS_MAX);
    cr_assert_not_null(find(3 * WEFT_STORE_BRIEFS_MAX));
    cr_assert_null(find(1));
}

Test(briefs, what_the_open_batch_added_is_not_forgotten)
{
    for (uint64_t n = 1; n <= 30000; n++) add(n, "");
    for (uint64_t n = 100000; n <= 300000; n++) { /* others come and go beside them */
        struct wf_brief brief = {.id = numbered(n), .t = 1}, *out;
        cr_assert_eq(wf_briefs_add(&briefs, &brief, NULL, &out), WEFT_OK);
    }
    for (uint64_t n = 1; n <= 30000; n++) {
        struct wf_brief *brief = find(n);
        cr_assert_not_null(brief);
        cr_assert_eq(wf_brief_fresh(&briefs, brief), n);
    }
    wf_briefs_next_batch(&briefs);
    cr_assert_eq(wf_brief_fresh(&briefs, find(7)), WF_NOT_FRESH);
}

Test(briefs, names_of_any_length_are_kept)
{
    static const char many[] = "\x14"
                               "a_name_of_twenty_let"
                               "\4main";
    add(1, "\4main");
    add(2, many);
    add(3, "");
    struct wf_brief *brief = find(2);
    cr_assert_eq(brief->names_len, sizeof many - 1);
    cr_assert_arr_eq(wf_brief_names(brief), many, sizeof many - 1);
    cr_assert(wf_names_have(wf_brief_names(brief), brief->names_len, "main", 4));
    cr_assert_not(wf_names_have(wf_brief_names(brief), brief->names_len, "mai", 3));
    brief = find(1);
    cr_assert(wf_names_have(wf_brief_names(brief), brief->names_len, "main", 4));
}

static void put_meta(uint64_t n, uint64_t gen)
{
    struct wf_meta_record meta = {.t = 3,
                                  .gen = gen,
                                  .seq = 4,
                                  .height = 8,
                                  .policy = 2,
                                  .names = (const uint8_t *)"\1x",
                                  .names_len = 2};
    uint8_t value[256];
    wf_meta_write(&meta, value);
    weft_id id = numbered(n);
    wf_batch *batch;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_META, id.bytes, sizeof id.bytes, value, wf_meta_bytes(&meta));
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

Test(briefs, what_is_not_cached_comes_from_the_engine)
{
    put_meta(5, 9);
    struct wf_brief *brief = find(5);
    cr_assert_not_null(brief);
    cr_assert(brief->t == 3 && brief->gen == 9 && brief->seq == 4 && brief->policy == 2);
    cr_assert_eq(brief->tip, WF_TIP_UNKNOWN);
    cr_assert(wf_names_have(wf_brief_names(brief), brief->names_len, "x", 1));
}

/* -- Many at once ------------------------------------------------------------------------------ */

#define MANY 150u

/* Every third one is not here, every seventh is in the cache already. */
static void put_many(weft_id ids[MANY])
{
    for (uint32_t i = 0; i < MANY; i++) {
        ids[i] = numbered(i);
        if (i % 3 != 0) put_meta(i, 1000 + i);
        if (i % 3 != 0 && i % 7 == 0) find(i)->gen = 5;
    }
}

static void expect_many(void)
{
    for (uint32_t i = 0; i < MANY; i++) {
        struct wf_brief *brief = find(i);
        cr_assert_eq(brief == NULL, i % 3 == 0, "%u", i);
        if (brief != NULL) cr_assert_eq(brief->gen, i % 7 == 0 ? 5 : 1000 + i, "%u", i);
    }
}

Test(briefs, those_that_were_fetched_are_found_without_the_engine)
{
    weft_id ids[MANY];
    wf_kv *inner = kv;
    put_many(ids);
    kv = kv_faulty_create(inner);
    wf_briefs_fetch(&briefs, kv, ids, MANY);
    uint64_t before = kv_faulty_reads(kv);
    expect_many();
    cr_expect_eq(kv_faulty_reads(kv) - before, MANY / 3, "those that are not there alone");
}

Test(briefs, a_fetch_that_fails_leaves_it_to_the_finding)
{
    weft_id ids[MANY];
    wf_kv *inner = kv;
    put_many(ids);
    kv = kv_faulty_create(inner);
    for (uint32_t nth = 1; nth <= 3; nth++) {
        wf_briefs_clear(&briefs);
        kv_faulty_fail_at(kv, nth * 40, WEFT_IO);
        wf_briefs_fetch(&briefs, kv, ids, MANY);
        cr_expect(kv_faulty_met(kv));
        for (uint32_t i = 0; i < MANY; i++) cr_assert_eq(find(i) == NULL, i % 3 == 0);
    }
}

static bool is_three(void *arg, uint64_t t)
{
    (void)arg;
    return t == 3;
}

Test(briefs, what_stands_there_of_a_removed_tree_is_not_fetched)
{
    weft_id ids[MANY];
    put_many(ids);
    wf_briefs_clear(&briefs);
    briefs.is_removed = is_three;
    wf_briefs_fetch(&briefs, kv, ids, MANY);
    cr_expect_eq(briefs.count, 0);
}
