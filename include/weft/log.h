/* SPDX-License-Identifier: Apache-2.0
 * weft/log.h - where weft says what a person may have to act on.
 *
 * One line per event: level, facility (an actor's or module's name), text with
 * key=value fields. No secrets, no payloads, ids shortened. Silent below WARN by
 * default. */
#ifndef WEFT_LOG_H
#define WEFT_LOG_H

#include <weft/err.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum weft_log_level {
    WEFT_LOG_DEBUG,
    WEFT_LOG_INFO,
    WEFT_LOG_WARN,
    WEFT_LOG_ERROR,
    WEFT_LOG_OFF
} weft_log_level;

/* `line` has no line end and is valid only during the call. Called from any
 * thread, also from several at once. */
typedef void (*weft_log_sink)(void *arg, weft_log_level level, const char *facility,
                              const char *line);

/* Sets the sink and the lowest level that reaches it, for the process. NULL
 * restores the default: standard error, WARN. Call it before other threads use
 * weft. */
void weft_log_to(weft_log_sink sink, void *arg, weft_log_level lowest);

#ifdef __cplusplus
}
#endif
#endif
