/* SPDX-License-Identifier: Apache-2.0
 * log.h - how weft's own code logs, asserts and reports a failure where it arises.
 * Called by: everybody. Any thread. */
#ifndef WF_LOG_H
#define WF_LOG_H

#include <weft/err.h>
#include <weft/log.h>

void wf_log(weft_log_level level, const char *facility, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Logs `fmt` at ERROR with err's name, keeps it for weft_err_detail and returns err: the
 * one place where a failure is logged. `return wf_fail(WEFT_IO, "store", "write: %s", why);` */
weft_err wf_fail(weft_err err, const char *facility, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Stays on in release. For bugs only, never for bytes from outside. */
void wf_assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));
#define WF_ASSERT(cond) ((cond) ? (void)0 : wf_assert_failed(#cond, __FILE__, __LINE__))

#endif
