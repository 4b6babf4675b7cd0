/* SPDX-License-Identifier: Apache-2.0
 * test_err.c - what an answer or failure is about, whether to try again, and what was said.
 * Called by: the test runner. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <weft/limits.h>
#include <weft/log.h>

#include "log.h"

static char logged[WEFT_LOG_LINE_BYTES_MAX];

static void keep(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    snprintf(logged, sizeof logged, "%s", line);
}

static void keep_and_fail(void *arg, weft_log_level level, const char *facility, const char *line)
{
    keep(NULL, level, facility, line);
    if (arg != NULL && strstr(line, "inner") == NULL) (void)wf_fail(WEFT_IO, "sink", "inner");
}

static void open_log(void) { weft_log_to(keep, NULL, WEFT_LOG_WARN); }
static void close_log(void) { weft_log_to(NULL, NULL, WEFT_LOG_WARN); }
TestSuite(err_detail, .init = open_log, .fini = close_log);

/* -- Classes ---------------------------------------------------------------------------------- */

#define ANSWER WEFT_CLASS_ANSWER
#define CONFIGURATION WEFT_CLASS_CONFIGURATION
#define SERVER WEFT_CLASS_SERVER
#define NETWORK WEFT_CLASS_NETWORK
#define PROTOCOL WEFT_CLASS_PROTOCOL
#define NOT_FOUND WEFT_CLASS_NOT_FOUND
#define VALIDATION WEFT_CLASS_VALIDATION
#define STORAGE WEFT_CLASS_STORAGE
#define PERMISSION WEFT_CLASS_PERMISSION
#define INTERNAL WEFT_CLASS_INTERNAL

/* The contract: a program decides by these, so a change of one is a change of the interface. */
static const struct {
    weft_err err;
    weft_err_class class;
    bool again;
} all[] = {
    {WEFT_OK, WEFT_CLASS_OK, false},
    {WEFT_FULL, ANSWER, true},
    {WEFT_NOT_FOUND, NOT_FOUND, false},
    {WEFT_CLOSED, SERVER, false},
    {WEFT_TIMED_OUT, ANSWER, true},
    {WEFT_CANCELED, ANSWER, false},
    {WEFT_DROPPED, ANSWER, true},
    {WEFT_RESTARTING, SERVER, true},
    {WEFT_EXISTS, ANSWER, false},
    {WEFT_BUSY, ANSWER, true},
    {WEFT_LIMIT, ANSWER, false},
    {WEFT_END, ANSWER, false},
    {WEFT_AGAIN, ANSWER, true},
    {WEFT_PENDING, ANSWER, true},
    {WEFT_UNREACHABLE, NETWORK, true},
    {WEFT_AWAITING, PERMISSION, true},
    {WEFT_REJECTED, PERMISSION, false},
    {WEFT_STATE, VALIDATION, false},
    {WEFT_EXPIRED, ANSWER, false},
    {WEFT_PENALISED, PERMISSION, true},
    {WEFT_NO_MEMORY, INTERNAL, true},
    {WEFT_INVALID, VALIDATION, false},
    {WEFT_DEADLK, VALIDATION, false},
    {WEFT_IO, STORAGE, false},
    {WEFT_CORRUPT, STORAGE, false},
    {WEFT_NO_SPACE, STORAGE, true},
    {WEFT_LOCKED, STORAGE, true},
    {WEFT_VERSION, STORAGE, false},
    {WEFT_NOT_STORE, CONFIGURATION, false},
    {WEFT_SYNTAX, VALIDATION, false},
    {WEFT_NOT_CANONICAL, VALIDATION, false},
    {WEFT_BAD_ID, VALIDATION, false},
    {WEFT_BAD_SIGNATURE, VALIDATION, false},
    {WEFT_BAD_ENTRY, VALIDATION, false},
    {WEFT_FORBIDDEN, PERMISSION, false},
    {WEFT_TREE, PERMISSION, false},
    {WEFT_NETWORK, NETWORK, true},
    {WEFT_ADDRESS, VALIDATION, false},
    {WEFT_PEER_KEY, PERMISSION, false},
    {WEFT_AUTH, PERMISSION, false},
    {WEFT_PROTOCOL, PROTOCOL, false},
    {WEFT_PEER_VERSION, PROTOCOL, false},
    {WEFT_UNSUPPORTED, CONFIGURATION, false},
    {WEFT_KEY_FILE, CONFIGURATION, false},
    {WEFT_INTERNAL, INTERNAL, false},
    {WEFT_FORKED, VALIDATION, false},
    {WEFT_BLOCKED, PERMISSION, false},
    {WEFT_NO_TRANSPORT, CONFIGURATION, false},
    {WEFT_PASSPHRASE, PERMISSION, false},
};

Test(err, each_is_of_its_class)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        cr_expect_eq(weft_err_class_of(all[i].err), all[i].class, "%s", weft_errname(all[i].err));
    cr_expect_eq(weft_err_class_of((weft_err)9999), WEFT_CLASS_INTERNAL);
}

Test(err, only_what_may_pass_by_itself_is_to_be_tried_again)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        cr_expect_eq(weft_err_is_retryable(all[i].err), all[i].again, "%s",
                     weft_errname(all[i].err));
    cr_expect_not(weft_err_is_retryable((weft_err)9999));
}

Test(err, the_table_of_this_test_has_all_of_them)
{
    size_t count = 1; /* OK */
#define X(name, value, text) count++;
    WEFT_ERR_MAP(X)
#undef X
    cr_assert_eq(count, sizeof all / sizeof all[0]);
}

/* -- What was said ---------------------------------------------------------------------------- */

Test(err_detail, is_what_the_log_said)
{
    cr_assert_eq(wf_fail(WEFT_IO, "room", "path=%s: torn", "/x"), WEFT_IO);
    cr_expect_str_eq(weft_err_detail(WEFT_IO), "path=/x: torn err=WEFT_IO");
    cr_expect_str_eq(weft_err_detail(WEFT_IO), logged);
}

Test(err_detail, of_another_failure_is_empty)
{
    cr_expect_str_eq(weft_err_detail(WEFT_IO), "");
    (void)wf_fail(WEFT_IO, "room", "torn");
    cr_expect_str_eq(weft_err_detail(WEFT_CORRUPT), "", "it would be told of a wrong one");
    cr_expect_str_eq(weft_err_detail(WEFT_OK), "");
    (void)wf_fail(WEFT_CORRUPT, "room", "rotten");
    cr_expect_str_eq(weft_err_detail(WEFT_CORRUPT), "rotten err=WEFT_CORRUPT");
    cr_expect_str_eq(weft_err_detail(WEFT_IO), "", "only the last one is kept");
}

Test(err_detail, is_there_though_the_log_takes_nothing)
{
    weft_log_to(keep, NULL, WEFT_LOG_OFF);
    (void)wf_fail(WEFT_IO, "room", "torn");
    cr_expect_str_eq(logged, "");
    cr_expect_str_eq(weft_err_detail(WEFT_IO), "torn err=WEFT_IO");
}

Test(err_detail, is_one_bounded_line)
{
    char text[2 * WEFT_LOG_LINE_BYTES_MAX];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    (void)wf_fail(WEFT_IO, "room", "two\nlines");
    cr_expect_str_eq(weft_err_detail(WEFT_IO), "two lines err=WEFT_IO");
    (void)wf_fail(WEFT_IO, "room", "%s", text);
    cr_expect_eq(strlen(weft_err_detail(WEFT_IO)), WEFT_LOG_LINE_BYTES_MAX - 1);
}

Test(err_detail, may_be_that_of_a_failure_in_the_sink)
{
    weft_log_to(keep_and_fail, logged, WEFT_LOG_WARN);
    (void)wf_fail(WEFT_CORRUPT, "room", "outer");
    cr_expect_str_eq(weft_err_detail(WEFT_CORRUPT), "");
    cr_expect_str_eq(weft_err_detail(WEFT_IO), "inner err=WEFT_IO");
}

static void *fail_there(void *arg)
{
    cr_expect_str_eq(weft_err_detail(WEFT_IO), "");
    (void)wf_fail(WEFT_IO, "room", "there");
    return arg;
}

Test(err_detail, belongs_to_its_thread)
{
    pthread_t thread;
    (void)wf_fail(WEFT_IO, "room", "here");
    cr_assert_eq(pthread_create(&thread, NULL, fail_there, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_str_eq(weft_err_detail(WEFT_IO), "here err=WEFT_IO");
}
