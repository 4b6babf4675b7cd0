/* SPDX-License-Identifier: Apache-2.0
 * chrome.c - events as Trace Event Format, for chrome://tracing and Perfetto.
 * Called by: the trace hook, any thread. May touch: the writer's function, under its lock.
 * Never: allocates per event, opens a file. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/trace.h>

#include "alloc.h"
#include "lock.h"
#include "utf8.h"

/* One name of NAME_BYTES, each byte at most six when escaped, and the rest. */
#define EVENT_BYTES 1024u
#define NAME_BYTES 64u /* of a name; the rest is cut */

struct weft_chrome {
    weft_write write;
    void *arg;
    wf_lock *lock;
};

struct text {
    char bytes[EVENT_BYTES];
    size_t len;
};

/* The bound holds by construction; a snprintf that would not fit is left out. */
static void put(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text->bytes + text->len, EVENT_BYTES - text->len, fmt, args);
    va_end(args);
    if (len > 0 && (size_t)len < EVENT_BYTES - text->len) text->len += (size_t)len;
}

/* A JSON string (RFC 8259, section 7). Bytes that are no UTF-8 become U+FFFD. */
static void put_string(struct text *text, const char *string)
{
    size_t left = strlen(string);
    put(text, "\"");
    for (size_t used = 0; left > 0 && used < NAME_BYTES;) {
        size_t n = wf_utf8_next((const uint8_t *)string, left);
        if (n == 0) put(text, "\\ufffd");
        else if (*string == '"' || *string == '\\') put(text, "\\%c", *string);
        else if ((unsigned char)*string < 0x20) put(text, "\\u%04x", (unsigned)*string);
        else put(text, "%.*s", (int)n, string);
        n = n == 0 ? 1 : n;
        string += n;
        left -= n;
        used += n;
    }
    put(text, "\"");
}

static void put_head(struct text *text, const char *phase, uint32_t row, weft_ns at)
{
    put(text, "{\"ph\":\"%s\",\"pid\":1,\"tid\":%" PRIu32 ",\"ts\":%" PRIu64 ".%03" PRIu64, phase,
        row, at / 1000, at % 1000);
}

/* An arrow's end: both ends name the message by its address. It is used again by later messages;
 * viewers pair each beginning with the next end. */
static void put_arrow(struct text *text, const weft_trace_event *event, const char *phase,
                      uint32_t row)
{
    put_head(text, phase, row, event->at);
    put(text, ",\"cat\":\"message\",\"name\":\"message\",\"id\":\"%" PRIxPTR "\"%s}",
        (uintptr_t)event->msg, *phase == 'f' ? ",\"bp\":\"e\"" : "");
}

static void put_slice(struct text *text, const weft_trace_event *event, const char *phase,
                      uint32_t row)
{
    put_head(text, phase, row, event->at);
    put(text, ",\"cat\":\"actor\",\"name\":");
    put_string(text, event->kind == NULL ? event->name : event->kind);
    if (*phase == 'B')
        put(text, ",\"args\":{\"from\":%" PRIu32 ",\"thread\":%" PRIu32 "}", event->from,
            event->thread);
    put(text, "}");
}

/* Something that takes no time. */
static void put_instant(struct text *text, const weft_trace_event *event, const char *name)
{
    put_head(text, "i", event->actor, event->at);
    put(text, ",\"s\":\"t\",\"cat\":\"actor\",\"name\":\"%s\"}", name);
}

/* The row's title. */
static void put_row(struct text *text, uint32_t row, const char *name)
{
    put(text,
        "{\"ph\":\"M\",\"pid\":1,\"tid\":%" PRIu32 ",\"name\":\"thread_name\",\"args\":{\"name\":",
        row);
    put_string(text, name);
    put(text, "}}");
}

static void put_event(struct text *text, const weft_trace_event *event)
{
    switch (event->what) {
    case WEFT_TRACE_SEND:
    case WEFT_TRACE_REPLY: put_arrow(text, event, "s", event->from); break;
    case WEFT_TRACE_BEGIN:
        if (event->msg != NULL) {
            put_arrow(text, event, "f", event->actor);
            put(text, ",\n");
        }
        put_slice(text, event, "B", event->actor);
        break;
    case WEFT_TRACE_END: put_slice(text, event, "E", event->actor); break;
    case WEFT_TRACE_SPAWN:
        put_row(text, event->actor, event->name);
        put(text, ",\n");
        put_instant(text, event, "spawn");
        break;
    case WEFT_TRACE_EXIT: put_instant(text, event, "exit"); break;
    case WEFT_TRACE_RESTART: put_instant(text, event, "restart"); break;
    case WEFT_TRACE_TIMER: put_instant(text, event, "timer"); break;
    }
}

static void write_out(weft_chrome *chrome, const struct text *text)
{
    wf_lock_take(chrome->lock);
    chrome->write(chrome->arg, ",\n", 2); /* the list began with the title of row 0 */
    chrome->write(chrome->arg, text->bytes, text->len);
    wf_lock_give(chrome->lock);
}

void weft_chrome_event(void *arg, const weft_trace_event *event)
{
    struct text text;
    text.len = 0;
    put_event(&text, event);
    if (text.len > 0) write_out(arg, &text);
}

weft_err weft_chrome_create(weft_write write, void *arg, weft_chrome **out)
{
    static const char head[] = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
    struct text text;
    if (write == NULL) return WEFT_INVALID;
    weft_chrome *chrome = wf_calloc(1, sizeof *chrome);
    if (chrome == NULL) return WEFT_NO_MEMORY;
    *chrome = (weft_chrome){.write = write, .arg = arg, .lock = wf_lock_create()};
    if (chrome->lock == NULL) {
        wf_free(chrome);
        return WEFT_NO_MEMORY;
    }
    write(arg, head, sizeof head - 1);
    text.len = 0;
    put_row(&text, 0, "threads"); /* senders that are no actors */
    write(arg, text.bytes, text.len);
    *out = chrome;
    return WEFT_OK;
}

void weft_chrome_destroy(weft_chrome *chrome)
{
    if (chrome == NULL) return;
    chrome->write(chrome->arg, "\n]}\n", 4);
    wf_lock_destroy(chrome->lock);
    wf_free(chrome);
}
