/* SPDX-License-Identifier: Apache-2.0
 * log.c - one bounded line per event, to the process's sink or standard error.
 * Called by: everybody, any thread. May touch: the sink, standard error.
 * Never: allocates, formats below the level, prints secrets or payloads. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/limits.h>

static weft_log_sink sink_fn;
static void *sink_arg;
static weft_log_level sink_lowest = WEFT_LOG_WARN;

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};

static void to_stderr(weft_log_level level, const char *facility, const char *line)
{
    /* One call, so that lines of several threads do not mix. */
    fprintf(stderr, "weft %s %s: %s\n", level_names[level], facility, line);
}

/* Callers format into `line`, which has WEFT_LOG_LINE_BYTES_MAX bytes. */
static void deliver(weft_log_level level, const char *facility, char *line)
{
    /* A line is a line: text from outside may not forge a second one. */
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
    if (sink_fn != NULL) sink_fn(sink_arg, level, facility, line);
    else to_stderr(level, facility, line);
}

void weft_log_to(weft_log_sink sink, void *arg, weft_log_level lowest)
{
    sink_fn = sink;
    sink_arg = sink == NULL ? NULL : arg;
    sink_lowest = sink == NULL ? WEFT_LOG_WARN : lowest;
}

void wf_log(weft_log_level level, const char *facility, const char *fmt, ...)
{
    if (level < sink_lowest || level >= WEFT_LOG_OFF) return;
    char line[WEFT_LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    deliver(level, facility, line);
}

weft_err wf_fail(weft_err err, const char *facility, const char *fmt, ...)
{
    if (WEFT_LOG_ERROR < sink_lowest) return err;
    char line[WEFT_LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof line)
        (void)snprintf(line + len, sizeof line - (size_t)len, " err=%s", weft_errname(err));
    deliver(WEFT_LOG_ERROR, facility, line);
    return err;
}

void wf_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "weft: assertion failed: %s (%s:%d)\n", what, file, line);
    abort();
}
