/* SPDX-License-Identifier: Apache-2.0
 * log.c - one bounded line per event, to the process's sink or standard error.
 * Called by: everybody, any thread. May touch: the sink, the levels, standard error.
 * Never: allocates, formats below the level (but a failure), prints secrets or payloads. */
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/limits.h>

#include "atomic.h"

#define CUT " ..." /* stands at the end of a line that lacks fields */
#define INHERITED (-1)

static weft_log_sink sink_fn;
static void *sink_arg;

/* Levels of facilities. Entries are only added, so that readers need no lock: an entry
 * below `count` has its name for good, and its level is one relaxed word. */
static struct {
    char name[WEFT_ACTOR_NAME_BYTES_MAX + 1];
    int level; /* weft_log_level or INHERITED */
} levels[WEFT_LOG_FACILITIES_MAX];
static uint32_t count;
static uint32_t writing; /* 1: somebody sets a level */
static int default_level = WEFT_LOG_WARN;
static int lowest_of_all = WEFT_LOG_WARN; /* the cheap first look */

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};

/* -- Levels ------------------------------------------------------------------------- */

/* The length of `entry` if it names `facility` or something that it is a part of, else 0. */
static size_t fits(const char *entry, const char *facility)
{
    size_t len = strlen(entry);
    if (strncmp(entry, facility, len) != 0) return 0;
    char next = facility[len];
    return next == '\0' || next == '.' || next == '-' ? len : 0;
}

static bool is_on(weft_log_level level, const char *facility)
{
    if ((int)level < wf_load(&lowest_of_all, WF_RELAXED) || level >= WEFT_LOG_OFF) return false;
    int lowest = wf_load(&default_level, WF_RELAXED);
    size_t longest = 0;
    /* Acquire: pairs with the release in level_slot; the names are written before. */
    uint32_t n = wf_load(&count, WF_ACQUIRE);
    for (uint32_t i = 0; i < n; i++) {
        int own = wf_load(&levels[i].level, WF_RELAXED);
        size_t len = own == INHERITED ? 0 : fits(levels[i].name, facility);
        if (len <= longest) continue;
        longest = len;
        lowest = own;
    }
    return (int)level >= lowest;
}

/* Setting a level is rare and short, so writers wait for each other by looking again. */
static void writer_begin(void)
{
    while (wf_xchg(&writing, 1, WF_ACQUIRE) != 0) {}
}

static void writer_end(void)
{
    int lowest = wf_load(&default_level, WF_RELAXED);
    for (uint32_t i = 0; i < count; i++) {
        int own = wf_load(&levels[i].level, WF_RELAXED);
        if (own != INHERITED && own < lowest) lowest = own;
    }
    wf_store(&lowest_of_all, lowest, WF_RELAXED);
    wf_store(&writing, 0, WF_RELEASE);
}

/* The entry of this very name, made if there is none; NULL: all are taken. */
static int *level_slot(const char *facility)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(levels[i].name, facility) == 0) return &levels[i].level;
    if (count == WEFT_LOG_FACILITIES_MAX) return NULL;
    int *level = &levels[count].level;
    memcpy(levels[count].name, facility, strlen(facility) + 1);
    wf_store(level, INHERITED, WF_RELAXED);
    wf_store(&count, count + 1, WF_RELEASE);
    return level;
}

weft_err weft_log_level_for(const char *facility, weft_log_level lowest)
{
    if (facility == NULL || strlen(facility) > WEFT_ACTOR_NAME_BYTES_MAX) return WEFT_INVALID;
    if (lowest < WEFT_LOG_DEBUG || lowest > WEFT_LOG_OFF) return WEFT_INVALID;
    writer_begin();
    int *level = *facility == '\0' ? &default_level : level_slot(facility);
    if (level != NULL) wf_store(level, (int)lowest, WF_RELAXED);
    writer_end();
    return level == NULL ? WEFT_LIMIT : WEFT_OK;
}

void weft_log_to(weft_log_sink sink, void *arg, weft_log_level lowest)
{
    sink_fn = sink;
    sink_arg = sink == NULL ? NULL : arg;
    writer_begin();
    wf_store(&default_level, sink == NULL ? WEFT_LOG_WARN : (int)lowest, WF_RELAXED);
    for (uint32_t i = 0; i < count && sink == NULL; i++)
        wf_store(&levels[i].level, INHERITED, WF_RELAXED);
    writer_end();
}

/* -- Lines ----------------------------------------------------------------------------- */

static void to_stderr(weft_log_level level, const char *facility, const char *line)
{
    /* One call, so that lines of several threads do not mix. */
    fprintf(stderr, "weft %s %s: %s\n", level_names[level], facility, line);
}

/* A line is a line: text from outside may not forge a second one. */
static void clean(char *line)
{
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
}

/* Callers format into `line`, which has WEFT_LOG_LINE_BYTES_MAX bytes. */
static void deliver(weft_log_level level, const char *facility, char *line)
{
    clean(line);
    if (sink_fn != NULL) sink_fn(sink_arg, level, facility, line);
    else to_stderr(level, facility, line);
}

void wf_log(weft_log_level level, const char *facility, const char *fmt, ...)
{
    if (!is_on(level, facility)) return;
    char line[WEFT_LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    deliver(level, facility, line);
}

/* The last failure that arose on this thread. */
static _Thread_local struct wf_failure failed;

static void keep(weft_err err, const char *fmt, va_list args)
{
    char *line = failed.line;
    int len = vsnprintf(line, sizeof failed.line, fmt, args);
    if (len >= 0 && (size_t)len < sizeof failed.line)
        (void)snprintf(line + len, sizeof failed.line - (size_t)len, " err=%s", weft_errname(err));
    failed.err = err;
    clean(line);
}

weft_err wf_fail(weft_err err, const char *facility, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    keep(err, fmt, args);
    va_end(args);
    if (!is_on(WEFT_LOG_ERROR, facility)) return err;
    char copy[WEFT_LOG_LINE_BYTES_MAX]; /* a sink may call weft, and fail */
    memcpy(copy, failed.line, sizeof copy);
    deliver(WEFT_LOG_ERROR, facility, copy);
    return err;
}

weft_err wf_fail_again(weft_err err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    keep(err, fmt, args);
    va_end(args);
    return err;
}

void wf_failure_get(struct wf_failure *out) { *out = failed; }

void wf_failure_set(const struct wf_failure *failure) { failed = *failure; }

const char *weft_err_detail(weft_err err)
{
    return err != WEFT_OK && failed.err == err ? failed.line : "";
}

/* -- Fields ------------------------------------------------------------------------------ */

/* A text that grows up to a bound; once something did not fit it stays cut. */
struct line {
    char *text;
    size_t len, room; /* with the final zero */
    bool cut;
};

static void add(struct line *line, const char *bytes, size_t n)
{
    if (line->cut || n >= line->room - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->len, bytes, n);
    line->len += n;
    line->text[line->len] = '\0';
}

static void add_text(struct line *line, const char *text) { add(line, text, strlen(text)); }

static void add_key(struct line *line, const char *key)
{
    for (; *key != '\0'; key++) {
        bool plain = (*key >= 'a' && *key <= 'z') || (*key >= 'A' && *key <= 'Z') ||
                     (*key >= '0' && *key <= '9') || strchr("_.-", *key) != NULL;
        add(line, plain ? key : "_", 1);
    }
}

static bool is_control(char c) { return (unsigned char)c < 0x20 || c == 0x7f; }

static void add_escaped(struct line *line, char c)
{
    static const char names[] = "\nn\rr\tt\"\"\\\\";
    char text[8] = {c, '\0'};
    for (const char *name = names; *name != '\0'; name += 2)
        if (*name == c) (void)snprintf(text, sizeof text, "\\%c", name[1]);
    if (text[0] != '\\' && is_control(c))
        (void)snprintf(text, sizeof text, "\\x%02X", (unsigned)(unsigned char)c);
    add_text(line, text);
}

static void add_string(struct line *line, const char *text)
{
    bool plain = *text != '\0';
    for (const char *c = text; *c != '\0'; c++)
        if (is_control(*c) || strchr(" =\"\\", *c) != NULL) plain = false;
    if (plain) {
        add_text(line, text);
        return;
    }
    add(line, "\"", 1);
    for (; *text != '\0'; text++) add_escaped(line, *text);
    add(line, "\"", 1);
}

static void add_span(struct line *line, uint64_t ns)
{
    static const char *const units[] = {"us", "ms", "s"};
    char text[32];
    uint64_t unit = 1000;
    unsigned i = 0;
    while (i < 2 && ns / unit >= 1000) {
        unit *= 1000;
        i++;
    }
    if (ns < 1000) (void)snprintf(text, sizeof text, "%" PRIu64 "ns", ns);
    else
        (void)snprintf(text, sizeof text, "%" PRIu64 ".%03" PRIu64 "%s", ns / unit,
                       ns % unit / (unit / 1000), units[i]);
    add_text(line, text);
}

static void add_field(struct line *line, const weft_log_field *field)
{
    char number[24];
    add(line, " ", 1);
    add_key(line, field->key);
    add(line, "=", 1);
    switch (field->type) {
    case WEFT_LOG_STR:
        if (field->v.s == NULL) add_text(line, "null");
        else add_string(line, field->v.s);
        break;
    case WEFT_LOG_INT:
        (void)snprintf(number, sizeof number, "%" PRId64, field->v.i);
        add_text(line, number);
        break;
    case WEFT_LOG_UINT:
        (void)snprintf(number, sizeof number, "%" PRIu64, field->v.u);
        add_text(line, number);
        break;
    case WEFT_LOG_NS: add_span(line, field->v.u); break;
    case WEFT_LOG_ERR: add_text(line, weft_errname((weft_err)field->v.i)); break;
    }
}

void weft_log_write(weft_log_level level, const char *facility, const char *event,
                    const weft_log_field *fields, size_t n)
{
    if (!is_on(level, facility)) return;
    char text[WEFT_LOG_LINE_BYTES_MAX] = "";
    struct line line = {.text = text, .room = sizeof text - strlen(CUT)};
    /* The event itself is cut in the middle, rather than missing. */
    line.len = strlen(event) < line.room ? strlen(event) : line.room - 1;
    memcpy(text, event, line.len);
    line.cut = event[line.len] != '\0';
    for (size_t i = 0; i < n && !line.cut; i++) {
        size_t whole = line.len;
        add_field(&line, &fields[i]);
        if (line.cut) line.len = whole;
    }
    memcpy(text + line.len, line.cut ? CUT : "", line.cut ? sizeof CUT : 1);
    deliver(level, facility, text);
}

void wf_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "weft: assertion failed: %s (%s:%d)\n", what, file, line);
    abort();
}
