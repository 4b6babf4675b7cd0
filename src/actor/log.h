/* SPDX-License-Identifier: Apache-2.0
 * log.h - how weft's own code logs, asserts and reports a failure where it arises.
 * Called by: everybody. Any thread. */
#ifndef WF_LOG_H
#define WF_LOG_H

#include <weft/err.h>
#include <weft/limits.h>
#include <weft/log.h>

void wf_log(weft_log_level level, const char *facility, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Logs `fmt` at ERROR with err's name, keeps it for weft_err_detail and returns err: the
 * one place where a failure is logged. `return wf_fail(WEFT_IO, "store", "write: %s", why);` */
weft_err wf_fail(weft_err err, const char *facility, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A failure that was logged before, and comes again: it is kept for weft_err_detail only. */
weft_err wf_fail_again(weft_err err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What weft_err_detail has of this thread: for work that one thread does in another's place. */
struct wf_failure {
    weft_err err; /* OK: nothing has failed */
    char line[WEFT_LOG_LINE_BYTES_MAX];
};
void wf_failure_get(struct wf_failure *out);
void wf_failure_set(const struct wf_failure *failure);

/* Stays on in release. For bugs only, never for bytes from outside. */
void wf_assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));
#define WF_ASSERT(cond) ((cond) ? (void)0 : wf_assert_failed(#cond, __FILE__, __LINE__))

#endif
