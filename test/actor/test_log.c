/* SPDX-License-Identifier: Apache-2.0
 * test_log.c - levels per facility and lines made of fields.
 * Called by: the test runner. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft/limits.h>
#include <weft/log.h>

#include "log.h"

static unsigned lines;
static char last[WEFT_LOG_LINE_BYTES_MAX], last_facility[80];

static void keep(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    lines++;
    snprintf(last, sizeof last, "%s", line);
    snprintf(last_facility, sizeof last_facility, "%s", facility);
}

static void open_log(void)
{
    lines = 0;
    weft_log_to(keep, NULL, WEFT_LOG_WARN);
}

static void close_log(void) { weft_log_to(NULL, NULL, WEFT_LOG_WARN); }

static bool passes(weft_log_level level, const char *facility)
{
    unsigned before = lines;
    wf_log(level, facility, "x");
    return lines != before;
}

/* What the process writes to its standard error from now to log_read. */
static int keep_stderr(FILE *file)
{
    int before = dup(STDERR_FILENO);
    cr_assert_geq(before, 0);
    cr_assert_eq(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    return before;
}

Test(silence, a_process_that_chose_no_sink_hears_of_warnings_and_errors_only)
{
    char text[1024] = "";
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    int before = keep_stderr(file);
    wf_log(WEFT_LOG_DEBUG, "room", "one");
    wf_log(WEFT_LOG_INFO, "room", "two");
    wf_log(WEFT_LOG_WARN, "room", "three");
    wf_log(WEFT_LOG_ERROR, "room", "four");
    (void)fflush(stderr);
    cr_assert_eq(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    rewind(file);
    (void)fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    cr_assert_null(strstr(text, "one"), "%s", text);
    cr_assert_null(strstr(text, "two"), "%s", text);
    cr_assert_not_null(strstr(text, "three"), "%s", text);
    cr_assert_not_null(strstr(text, "four"), "%s", text);
}

TestSuite(levels, .init = open_log, .fini = close_log);
TestSuite(fields, .init = open_log, .fini = close_log);

Test(levels, one_facility_may_say_more_than_the_others)
{
    cr_assert_eq(weft_log_level_for("store", WEFT_LOG_DEBUG), WEFT_OK);
    cr_assert(passes(WEFT_LOG_DEBUG, "store"));
    cr_assert_not(passes(WEFT_LOG_INFO, "sync"));
    cr_assert(passes(WEFT_LOG_WARN, "sync"));
}

Test(levels, one_facility_may_say_less_than_the_others)
{
    cr_assert_eq(weft_log_level_for("store", WEFT_LOG_OFF), WEFT_OK);
    cr_assert_not(passes(WEFT_LOG_ERROR, "store"));
    cr_assert_eq(wf_fail(WEFT_IO, "store", "x"), WEFT_IO);
    cr_assert_eq(lines, 0);
    cr_assert(passes(WEFT_LOG_ERROR, "sync"));
}

Test(levels, the_empty_name_is_the_default)
{
    cr_assert_eq(weft_log_level_for("", WEFT_LOG_ERROR), WEFT_OK);
    cr_assert_not(passes(WEFT_LOG_WARN, "sync"));
    cr_assert_eq(weft_log_level_for("", WEFT_LOG_DEBUG), WEFT_OK);
    cr_assert(passes(WEFT_LOG_DEBUG, "sync"));
}

Test(levels, parts_of_a_facility_follow_it)
{
    cr_assert_eq(weft_log_level_for("store", WEFT_LOG_DEBUG), WEFT_OK);
    cr_assert(passes(WEFT_LOG_DEBUG, "store.disk"));
    cr_assert(passes(WEFT_LOG_DEBUG, "store-2"));
    cr_assert_not(passes(WEFT_LOG_DEBUG, "storekeeper"));
    cr_assert_not(passes(WEFT_LOG_DEBUG, "stor"));
}

Test(levels, the_longest_name_that_fits_wins)
{
    cr_assert_eq(weft_log_level_for("store.disk", WEFT_LOG_ERROR), WEFT_OK);
    cr_assert_eq(weft_log_level_for("store", WEFT_LOG_DEBUG), WEFT_OK);
    cr_assert_not(passes(WEFT_LOG_WARN, "store.disk.sync"));
    cr_assert(passes(WEFT_LOG_DEBUG, "store.net"));
}

Test(levels, a_new_level_replaces_the_old_one)
{
    cr_assert_eq(weft_log_level_for("store", WEFT_LOG_DEBUG), WEFT_OK);
    cr_assert_eq(weft_log_level_for("store", WEFT_LOG_ERROR), WEFT_OK);
    cr_assert_not(passes(WEFT_LOG_WARN, "store"));
}

Test(levels, the_default_sink_forgets_them)
{
    cr_assert_eq(weft_log_level_for("store", WEFT_LOG_DEBUG), WEFT_OK);
    weft_log_to(NULL, NULL, WEFT_LOG_WARN);
    weft_log_to(keep, NULL, WEFT_LOG_WARN);
    cr_assert_not(passes(WEFT_LOG_INFO, "store"));
}

Test(levels, a_name_too_many_is_refused)
{
    char name[16];
    for (unsigned i = 0; i < WEFT_LOG_FACILITIES_MAX; i++) {
        snprintf(name, sizeof name, "f%u", i);
        cr_assert_eq(weft_log_level_for(name, WEFT_LOG_DEBUG), WEFT_OK);
    }
    cr_assert_eq(weft_log_level_for("more", WEFT_LOG_DEBUG), WEFT_LIMIT);
    cr_assert_eq(weft_log_level_for("f7", WEFT_LOG_ERROR), WEFT_OK);
    cr_assert_not(passes(WEFT_LOG_INFO, "more"));
}

Test(levels, a_bad_name_or_level_is_refused)
{
    char name[WEFT_ACTOR_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_assert_eq(weft_log_level_for(name, WEFT_LOG_DEBUG), WEFT_INVALID);
    cr_assert_eq(weft_log_level_for(NULL, WEFT_LOG_DEBUG), WEFT_INVALID);
    cr_assert_eq(weft_log_level_for("x", (weft_log_level)(WEFT_LOG_OFF + 1)), WEFT_INVALID);
}

/* -- Fields -- */

static const char *line_of(weft_log_field field)
{
    weft_log_write(WEFT_LOG_WARN, "shop", "sold", &field, 1);
    return last;
}

#define STR(text) line_of((weft_log_field){"k", WEFT_LOG_STR, {.s = (text)}})
#define NS(ns) line_of((weft_log_field){"k", WEFT_LOG_NS, {.u = (ns)}})

Test(fields, each_type_has_its_form)
{
    const weft_log_field fields[] = {{"name", WEFT_LOG_STR, {.s = "tea"}},
                                     {"left", WEFT_LOG_INT, {.i = INT64_MIN}},
                                     {"sum", WEFT_LOG_UINT, {.u = UINT64_MAX}},
                                     {"took", WEFT_LOG_NS, {.u = 1234567}},
                                     {"err", WEFT_LOG_ERR, {.i = WEFT_IO}}};
    weft_log_write(WEFT_LOG_WARN, "shop", "sold", fields, 5);
    cr_assert_str_eq(last, "sold name=tea left=-9223372036854775808 sum=18446744073709551615 "
                           "took=1.234ms err=WEFT_IO");
    cr_assert_str_eq(last_facility, "shop");
}

Test(fields, an_event_may_stand_alone)
{
    weft_log_write(WEFT_LOG_WARN, "shop", "closed", NULL, 0);
    cr_assert_str_eq(last, "closed");
}

Test(fields, strings_are_quoted_when_needed)
{
    cr_assert_str_eq(STR("a b"), "sold k=\"a b\"");
    cr_assert_str_eq(STR(""), "sold k=\"\"");
    cr_assert_str_eq(STR("a=b"), "sold k=\"a=b\"");
    cr_assert_str_eq(STR("say \"hi\" \\"), "sold k=\"say \\\"hi\\\" \\\\\"");
    cr_assert_str_eq(STR("a\nb\x01"), "sold k=\"a\\nb\\x01\"");
    cr_assert_str_eq(STR(NULL), "sold k=null");
    cr_assert_str_eq(STR("plain-1.0/x:y"), "sold k=plain-1.0/x:y");
}

Test(fields, keys_cannot_forge_fields)
{
    cr_assert_str_eq(line_of((weft_log_field){"a b=c\n", WEFT_LOG_INT, {.i = 1}}), "sold a_b_c_=1");
}

Test(fields, spans_have_units)
{
    cr_assert_str_eq(NS(0), "sold k=0ns");
    cr_assert_str_eq(NS(999), "sold k=999ns");
    cr_assert_str_eq(NS(1000), "sold k=1.000us");
    cr_assert_str_eq(NS(999999), "sold k=999.999us");
    cr_assert_str_eq(NS(1500000), "sold k=1.500ms");
    cr_assert_str_eq(NS(UINT64_C(90061000000000)), "sold k=90061.000s");
}

Test(fields, what_does_not_fit_is_left_out_whole)
{
    char big[WEFT_LOG_LINE_BYTES_MAX];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    const weft_log_field fields[] = {{"a", WEFT_LOG_INT, {.i = 1}},
                                     {"big", WEFT_LOG_STR, {.s = big}},
                                     {"b", WEFT_LOG_INT, {.i = 2}}};
    weft_log_write(WEFT_LOG_WARN, "shop", "sold", fields, 3);
    cr_assert_str_eq(last, "sold a=1 ...");
}

Test(fields, a_long_event_is_cut)
{
    char big[2 * WEFT_LOG_LINE_BYTES_MAX];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    weft_log_write(WEFT_LOG_WARN, "shop", big, &(weft_log_field){"a", WEFT_LOG_INT, {.i = 1}}, 1);
    cr_assert_eq(strlen(last), WEFT_LOG_LINE_BYTES_MAX - 1);
    cr_assert_str_eq(last + strlen(last) - 5, "x ...");
}

Test(fields, below_the_level_nothing_is_written)
{
    weft_log_write(WEFT_LOG_INFO, "shop", "sold", NULL, 0);
    cr_assert_eq(lines, 0);
    cr_assert_eq(weft_log_level_for("shop", WEFT_LOG_INFO), WEFT_OK);
    weft_log_write(WEFT_LOG_INFO, "shop", "sold", NULL, 0);
    cr_assert_eq(lines, 1);
}
