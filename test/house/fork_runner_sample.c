/* SPDX-License-Identifier: Apache-2.0
 * fork_runner_sample.c - tests that must pass and tests that must fail, to see whether the runner notices.
 * Called by: fork_runner.py, which compiles it with each sanitizer and reads the TAP.
 * The name says what is expected: good_* passes, skip_* is skipped, asan_* and tsan_* fail under that
 * sanitizer only, everything else fails always. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int order; /* setup and teardown leave their marks here */
static void suite_in(void) { order = 1; }
static void suite_out(void)
{
    if (order != 2) abort();
}
static void test_in(void)
{
    cr_assert_eq(order, 1);
    order = 2;
}
static void fail_late(void) { cr_assert(0, "in teardown"); }
static void die_late(void) { abort(); }
TestSuite(fixture, .init = suite_in, .fini = suite_out);
TestSuite(off, .disabled = true);

Test(sample, good_asserts)
{
    char word[] = "a", *text = word;
    cr_assert_eq(1, 1, "with a message %d", 1);
    cr_expect_str_eq("a", "a");
    cr_assert(all(eq(int, 1, 1), eq(str, text, "a"), not(eq(sz, 1, 2))));
}
Test(fixture, good_order, .init = test_in) { cr_assert_eq(order, 2); }
Test(sample, good_signal, .signal = SIGABRT) { raise(SIGABRT); }
Test(sample, good_segv, .signal = SIGSEGV) { raise(SIGSEGV); }
Test(sample, good_exit, .exit_code = 3) { exit(3); }
Test(off, skip_disabled) { cr_assert(0); }
Test(sample, skip_itself) { cr_skip("not %s", "today"); }
ParameterizedTestParameters(sample, good_param)
{
    static int values[] = {3, 5};
    return cr_make_param_array(int, values, 2, NULL);
}
ParameterizedTest(int *value, sample, good_param)
{
    bool known = *value == 3 || *value == 5;
    cr_assert(known);
}
ParameterizedTestParameters(sample, bad_param)
{
    static int values[] = {1};
    return cr_make_param_array(int, values, 1, NULL);
}
ParameterizedTest(int *value, sample, bad_param) { cr_assert_eq(*value, 2); }

Test(sample, bad_assert) { cr_assert_eq(1, 2); }
Test(sample, bad_expect) { cr_expect(0, "soft"); }
Test(sample, bad_new_assert)
{
    int one = 1;
    cr_assert(eq(int, one, 2), "why");
}
Test(sample, bad_setup, .init = fail_late) {}
Test(sample, bad_teardown, .fini = fail_late) {}
Test(sample, bad_teardown_abort, .fini = die_late) {}
Test(sample, bad_signal) { raise(SIGTERM); }
Test(sample, bad_signal_missing, .signal = SIGABRT) {}
Test(sample, bad_exit) { exit(0); }
Test(sample, bad_exit_code) { exit(4); }
Test(sample, bad_exit_code_missing, .exit_code = 4) {}
Test(sample, bad_timeout, .timeout = 0.1)
{
    for (;;) pause();
}

static void *soft(void *arg)
{
    cr_expect(0, "from a thread");
    return arg;
}
static void *hard(void *arg)
{
    cr_assert(0, "from a thread");
    return arg;
}
static void in_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    pthread_create(&thread, NULL, body, arg);
    pthread_join(thread, NULL);
}
Test(sample, bad_expect_in_thread) { in_thread(soft, NULL); }
Test(sample, bad_assert_in_thread) { in_thread(hard, NULL); }

static int raced;
static void *race(void *arg)
{
    raced++;
    return arg;
}
Test(sample, tsan_race)
{
    pthread_t thread;
    pthread_create(&thread, NULL, race, NULL);
    raced++;
    pthread_join(thread, NULL);
}
static void *volatile lost;
Test(sample, asan_leak)
{
    lost = malloc(10);
    lost = NULL;
}
Test(sample, asan_overflow)
{
    volatile char *block = malloc(4); /* volatile, else the compiler drops a store before free */
    volatile int at = 4;
    block[at] = 1;
    free((char *)block);
}
Test(sample, asan_undefined)
{
    volatile int big = INT_MAX;
    volatile int more = big + 1;
    (void)more;
}
