/* SPDX-License-Identifier: Apache-2.0
 * test_base.c - errors, memory, log, buffers, locks, the heap of what is due.
 * Called by: the test runner. */
#include "alloc.h"
#include "heap.h"
#include "lock.h"
#include "log.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <weft/buf.h>
#include <weft/limits.h>

Test(err, every_value_has_a_name_and_a_text)
{
#define X(name, value, text)                     \
    cr_assert_str_eq(weft_errname(name), #name); \
    cr_assert_str_eq(weft_strerror(name), text);
    WEFT_ERR_MAP(X)
#undef X
    cr_assert_str_eq(weft_errname(WEFT_OK), "WEFT_OK");
    cr_assert_not_null(weft_strerror((weft_err)-9999));
    cr_assert_not_null(weft_errname((weft_err)9999));
}

Test(alloc, the_nth_request_fails_and_only_it)
{
    (void)wf_alloc_fail_at(2, 0);
    void *a = wf_malloc(1), *b = wf_malloc(1), *c = wf_calloc(1, 1);
    cr_assert(a != NULL && b == NULL && c != NULL);
    cr_assert_eq(wf_alloc_fail_at(0, 0), 3);
    wf_free(a);
    wf_free(c);
}

Test(alloc, a_persistent_failure_stays)
{
    (void)wf_alloc_fail_at(1, 1);
    cr_assert_null(wf_malloc(1));
    cr_assert_null(wf_strdup("x"));
    cr_assert_null(wf_realloc(NULL, 8));
    (void)wf_alloc_fail_at(0, 0);
    char *text = wf_strdup("x");
    cr_assert_str_eq(text, "x");
    wf_free(text);
}

Test(alloc, a_product_that_overflows_is_refused)
{
    volatile size_t huge = SIZE_MAX / 2;
    cr_assert_null(wf_calloc(huge, 4));
}

/* -- Log -- */

struct lines {
    unsigned count;
    char last[WEFT_LOG_LINE_BYTES_MAX + 1], facility[32];
    weft_log_level level;
};

static void keep(void *arg, weft_log_level level, const char *facility, const char *line)
{
    struct lines *lines = arg;
    lines->count++;
    lines->level = level;
    snprintf(lines->last, sizeof lines->last, "%s", line);
    snprintf(lines->facility, sizeof lines->facility, "%s", facility);
}

Test(log, lines_below_the_level_do_not_reach_the_sink)
{
    struct lines lines = {0};
    weft_log_to(keep, &lines, WEFT_LOG_WARN);
    wf_log(WEFT_LOG_INFO, "t", "quiet");
    cr_assert_eq(lines.count, 0);
    wf_log(WEFT_LOG_WARN, "t", "loud n=%d", 3);
    cr_assert_eq(lines.count, 1);
    cr_assert_str_eq(lines.last, "loud n=3");
    cr_assert_str_eq(lines.facility, "t");
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

Test(log, a_line_is_bounded_and_stays_one_line)
{
    struct lines lines = {0};
    char text[2 * WEFT_LOG_LINE_BYTES_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    text[5] = '\n';
    weft_log_to(keep, &lines, WEFT_LOG_DEBUG);
    wf_log(WEFT_LOG_DEBUG, "t", "%s", text);
    cr_assert_eq(strlen(lines.last), WEFT_LOG_LINE_BYTES_MAX - 1);
    cr_assert_null(strchr(lines.last, '\n'));
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

Test(log, fail_returns_its_error_and_names_it)
{
    struct lines lines = {0};
    weft_log_to(keep, &lines, WEFT_LOG_ERROR);
    cr_assert_eq(wf_fail(WEFT_IO, "disk", "write n=%d", 1), WEFT_IO);
    cr_assert_str_eq(lines.last, "write n=1 err=WEFT_IO");
    cr_assert_eq(lines.level, WEFT_LOG_ERROR);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
}

/* -- Buffers -- */

Test(buf, holds_a_copy_of_its_bytes)
{
    weft_buf *buf = NULL;
    char bytes[] = "hello";
    cr_assert_eq(weft_buf_create_copy(bytes, 5, &buf), WEFT_OK);
    bytes[0] = 'j';
    cr_assert_eq(weft_buf_len(buf), 5);
    cr_assert_eq(memcmp(weft_buf_bytes(buf), "hello", 5), 0);
    weft_buf_truncate(buf, 2);
    cr_assert_eq(weft_buf_len(buf), 2);
    weft_buf_unref(buf);
}

Test(buf, may_be_empty)
{
    weft_buf *buf = NULL;
    cr_assert_eq(weft_buf_create_copy(NULL, 0, &buf), WEFT_OK);
    cr_assert_not_null(weft_buf_data(buf));
    cr_assert_eq(weft_buf_len(buf), 0);
    weft_buf_unref(buf);
    weft_buf_unref(NULL);
}

Test(buf, without_memory_out_is_untouched)
{
    weft_buf *buf = (weft_buf *)&buf;
    (void)wf_alloc_fail_at(1, 0);
    cr_assert_eq(weft_buf_create(8, &buf), WEFT_NO_MEMORY);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(weft_buf_create(SIZE_MAX, &buf), WEFT_NO_MEMORY);
    cr_assert_eq((void *)buf, (void *)&buf);
}

static void *juggle(void *arg)
{
    for (int i = 0; i < 20000; i++) weft_buf_unref(weft_buf_ref(arg));
    weft_buf_unref(arg);
    return NULL;
}

Test(buf, threads_may_count_at_the_same_time)
{
    pthread_t threads[4];
    weft_buf *buf = NULL;
    cr_assert_eq(weft_buf_create_copy("x", 1, &buf), WEFT_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, juggle, weft_buf_ref(buf)), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(weft_buf_bytes(buf)[0], 'x');
    weft_buf_unref(buf);
}

/* -- Locks -- */

struct shared {
    wf_lock *lock;
    wf_rwlock *rw;
    uint64_t locked, rw_locked;
    wf_counter counter;
};

static void *add_all(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 10000; i++) {
        wf_lock_take(s->lock);
        s->locked++;
        wf_lock_give(s->lock);
        wf_rwlock_write(s->rw);
        s->rw_locked++;
        wf_rwlock_give(s->rw);
        wf_rwlock_read(s->rw);
        uint64_t seen = s->rw_locked;
        wf_rwlock_give(s->rw);
        (void)wf_counter_add(&s->counter, seen > 0 ? 2 : 0);
        (void)wf_counter_sub(&s->counter, 1);
    }
    return NULL;
}

Test(lock, only_one_holder_writes)
{
    struct shared s = {.lock = wf_lock_create(), .rw = wf_rwlock_create()};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) cr_assert_eq(pthread_create(&threads[i], NULL, add_all, &s), 0);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    cr_assert_eq(s.locked, 30000);
    cr_assert_eq(s.rw_locked, 30000);
    cr_assert_eq(wf_counter_get(&s.counter), 30000);
    wf_counter_set(&s.counter, 4);
    cr_assert_eq(wf_counter_get(&s.counter), 4);
    wf_lock_destroy(s.lock);
    wf_rwlock_destroy(s.rw);
}

/* -- The heap -- */

struct thing {
    uint32_t place;
    weft_ns at;
};

Test(heap, gives_the_earliest_whatever_is_taken_out)
{
    enum { N = 300 };
    struct thing things[N] = {{0, 0}};
    struct wf_heap heap = {0};
    uint64_t seed = 12345;
    for (unsigned i = 0; i < N; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695;
        things[i].at = (seed >> 40) % 50;
        cr_assert_eq(
            wf_heap_push(&heap, (struct wf_due){things[i].at, i, &things[i], &things[i].place}),
            WEFT_OK);
    }
    for (unsigned i = 0; i < N; i += 2) wf_heap_remove(&heap, &things[i].place);
    weft_ns last_at = 0;
    uint64_t last_order = 0;
    unsigned left = 0;
    for (const struct wf_due *due; (due = wf_heap_top(&heap)) != NULL; left++) {
        cr_assert(due->at > last_at || left == 0 || due->order > last_order);
        cr_assert_eq(due->order % 2, 1);
        last_at = due->at;
        last_order = due->order;
        wf_heap_remove(&heap, due->place);
    }
    cr_assert_eq(left, N / 2);
    cr_assert_eq(wf_heap_next(&heap), WEFT_NEVER);
    wf_heap_fini(&heap);
}

/* What takes the place of a removed one may belong above its new parent. */
Test(heap, a_removal_in_the_middle_may_lift_the_last)
{
    static const weft_ns at[] = {1, 10, 2, 11, 12, 3, 4, 20, 21, 22, 23, 6, 7, 8, 5};
    static const weft_ns left[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 21, 22, 23};
    struct thing things[15] = {{0, 0}};
    struct wf_heap heap = {0};
    for (unsigned i = 0; i < 15; i++) {
        struct wf_due due = {at[i], i, &things[i], &things[i].place};
        cr_assert_eq(wf_heap_push(&heap, due), WEFT_OK);
    }
    wf_heap_remove(&heap, &things[7].place); /* 5 takes its place, below 11 and 10 */
    for (unsigned i = 0; i < 14; i++) {
        cr_assert_eq(wf_heap_next(&heap), left[i]);
        wf_heap_remove(&heap, wf_heap_top(&heap)->place);
    }
    wf_heap_fini(&heap);
}

Test(heap, without_memory_it_stays_as_it_was)
{
    struct thing things[9] = {{0, 0}};
    struct wf_heap heap = {0};
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(wf_heap_push(&heap, (struct wf_due){i, i, &things[i], &things[i].place}),
                     WEFT_OK);
    (void)wf_alloc_fail_at(1, 0);
    cr_assert_eq(wf_heap_push(&heap, (struct wf_due){9, 9, &things[8], &things[8].place}),
                 WEFT_NO_MEMORY);
    (void)wf_alloc_fail_at(0, 0);
    cr_assert_eq(things[8].place, 0);
    cr_assert_eq(heap.count, 8);
    wf_heap_fini(&heap);
}
