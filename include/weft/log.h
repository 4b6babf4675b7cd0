/* SPDX-License-Identifier: Apache-2.0
 * weft/log.h - where weft says what a person may have to act on.
 *
 * One line per event: level, facility (an actor's or module's name), text with
 * key=value fields. No secrets, no payloads, ids shortened. Silent below WARN by
 * default. */
#ifndef WEFT_LOG_H
#define WEFT_LOG_H

#include <stddef.h>
#include <stdint.h>

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

/* `line` has no line end and at most WEFT_LOG_LINE_BYTES_MAX - 1 bytes, and is valid only
 * during the call. Called from any thread, also from several at once. */
typedef void (*weft_log_sink)(void *arg, weft_log_level level, const char *facility,
                              const char *line);

/* Sets the sink and the lowest level that reaches it, for the process. NULL
 * restores the default: standard error, WARN, no facility with a level of its own. Call it
 * before other threads use weft. */
void weft_log_to(weft_log_sink sink, void *arg, weft_log_level lowest);

/* Sets the lowest level of one facility, whatever the default is; "" sets the default. It
 * also holds for facilities whose name goes on after a '.' or a '-' ("store" for
 * "store.disk" and "store-2"); of several that fit, the longest wins. Any thread, at any time; lines
 * that are being written may still go by the old level. INVALID: NULL or longer than
 * WEFT_ACTOR_NAME_BYTES_MAX. LIMIT: WEFT_LOG_FACILITIES_MAX have a level already. */
weft_err weft_log_level_for(const char *facility, weft_log_level lowest);

typedef enum weft_log_type {
    WEFT_LOG_STR,  /* v.s: quoted when needed; NULL is written as null         */
    WEFT_LOG_INT,  /* v.i                                                      */
    WEFT_LOG_UINT, /* v.u                                                      */
    WEFT_LOG_NS,   /* v.u: a span of nanoseconds, written as 17ns, 1.234us, 1.234ms or 1.234s */
    WEFT_LOG_ERR   /* v.i: a weft_err, written by its name                     */
} weft_log_type;

typedef struct weft_log_field {
    const char *key; /* letters, digits, '_', '.', '-'; anything else becomes '_' */
    weft_log_type type;
    union {
        const char *s;
        int64_t i;
        uint64_t u;
    } v;
} weft_log_field;

/* Writes the line "event key=value key=value": for users' own actors, by the same sink and
 * levels as weft's own lines. A string that is empty or holds a blank, '=', '"', '\' or a control
 * character is quoted: '"' and '\' with a '\' before them, a control character as \n, \r, \t
 * or \xHH. Fields that do not fit whole are left out, and the line then ends with " ...".
 * Costs a comparison when the level is off. `fields` may be NULL when `count` is 0. Any
 * thread; never allocates. */
void weft_log_write(weft_log_level level, const char *facility, const char *event,
                    const weft_log_field *fields, size_t count);

#ifdef __cplusplus
}
#endif
#endif
