/* SPDX-License-Identifier: Apache-2.0
 * prometheus.c - the text exposition format of Prometheus, version 0.0.4
 * (prometheus.io/docs/instrumenting/exposition_formats), without any HTTP.
 * Called by: users, any thread. May touch: the caller's buffer.
 * Never: keeps anything. */
#include "prometheus.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "utf8.h"

enum form { ACTORS, COUNT64, COUNT32, SECONDS };

static const struct metric {
    const char *name, *type, *help;
    enum form form;
    size_t at; /* in weft_actor_stats */
} metrics[] = {
#define AT(field) offsetof(weft_actor_stats, field)
    {"weft_actors", "gauge", "Actors alive.", ACTORS, 0},
    {"weft_messages_handled_total", "counter", "User messages handled.", COUNT64, AT(handled)},
    {"weft_messages_system_total", "counter", "System messages handled.", COUNT64, AT(system)},
    {"weft_messages_dropped_total", "counter", "Dead letters and late replies.", COUNT64,
     AT(dropped)},
    {"weft_messages_overflowed_total", "counter", "Messages dropped by an overflow policy.",
     COUNT64, AT(overflow)},
    {"weft_messages_stashed_total", "counter", "Messages put back for later.", COUNT64,
     AT(stashed)},
    {"weft_mailbox_depth", "gauge", "User messages queued.", COUNT32, AT(depth)},
    {"weft_mailbox_depth_max", "gauge", "Most user messages queued at the beginning of a turn.",
     COUNT32, AT(depth_max)},
    {"weft_message_wait_seconds_total", "counter",
     "Time between the sending and the handling of user messages, while measured.", SECONDS,
     AT(wait_sum)},
    {"weft_message_wait_seconds_max", "gauge", "The longest such time.", SECONDS, AT(wait_max)},
    {"weft_message_oldest_seconds", "gauge", "Age of the oldest user message that waits.", SECONDS,
     AT(oldest)},
    {"weft_actor_busy_seconds_total", "counter", "Time inside callbacks, while measured.", SECONDS,
     AT(busy)},
    {"weft_actor_timer_ticks_total", "counter", "Timers fired.", COUNT64, AT(timer_ticks)},
    {"weft_actor_turns_total", "counter", "Turns on a processor, while measured.", COUNT64,
     AT(turns)},
    {"weft_actor_wakes_total", "counter", "Times that mail found an actor idle, while measured.",
     COUNT64, AT(wakes)},
    {"weft_actor_parks_total", "counter", "Times an actor's thread went to sleep.", COUNT64,
     AT(parks)},
    {"weft_actor_spins_total", "counter", "Times a spin saved a sleep.", COUNT64, AT(spins)},
    {"weft_actor_restarts_total", "counter", "Restarts by a parent.", COUNT64, AT(restarts)},
#undef AT
};

static void put(struct wf_metrics *text, const char *bytes, size_t n)
{
    if (text->len < text->room) {
        size_t left = text->room - text->len;
        memcpy(text->out + text->len, bytes, n < left ? n : left);
    }
    text->len += n;
}

static void put_text(struct wf_metrics *text, const char *string)
{
    put(text, string, strlen(string));
}

/* In a label's value '\', '"' and the line end are escaped. It is UTF-8: other bytes become
 * U+FFFD. */
static void put_label(struct wf_metrics *text, const char *value)
{
    size_t left = strlen(value), n;
    for (; left > 0; value += n, left -= n) {
        n = wf_utf8_next((const uint8_t *)value, left);
        if (n == 0) put_text(text, "\xef\xbf\xbd");
        else if (*value == '\n') put_text(text, "\\n");
        else if (*value == '\\' || *value == '"') put(text, (const char[]){'\\', *value}, 2);
        else put(text, value, n);
        if (n == 0) n = 1;
    }
}

static void put_head(struct wf_metrics *text, const char *name, const char *type, const char *help)
{
    put_text(text, "# HELP ");
    put_text(text, name);
    put_text(text, " ");
    put_text(text, help);
    put_text(text, "\n# TYPE ");
    put_text(text, name);
    put_text(text, " ");
    put_text(text, type);
    put_text(text, "\n");
}

static void put_count(struct wf_metrics *text, uint64_t value)
{
    char number[32];
    (void)snprintf(number, sizeof number, " %" PRIu64 "\n", value);
    put_text(text, number);
}

static void put_seconds(struct wf_metrics *text, uint64_t ns)
{
    char number[48];
    (void)snprintf(number, sizeof number, " %" PRIu64 ".%09" PRIu64 "\n", ns / UINT64_C(1000000000),
                   ns % UINT64_C(1000000000));
    put_text(text, number);
}

static void put_value(struct wf_metrics *text, const struct metric *metric,
                      const weft_class_stats *of)
{
    const char *field = (const char *)&of->sum + metric->at;
    uint64_t value = of->actors;
    uint32_t narrow;
    if (metric->form == COUNT32) {
        memcpy(&narrow, field, sizeof narrow);
        value = narrow;
    } else if (metric->form != ACTORS) {
        memcpy(&value, field, sizeof value);
    }
    if (metric->form == SECONDS) put_seconds(text, value);
    else put_count(text, value);
}

static void put_metric(struct wf_metrics *text, const struct metric *metric,
                       const weft_class_stats *classes, size_t count)
{
    put_head(text, metric->name, metric->type, metric->help);
    for (size_t i = 0; i < count; i++) {
        put_text(text, metric->name);
        put_text(text, "{class=\"");
        put_label(text, classes[i].name);
        put_text(text, "\"}");
        put_value(text, metric, &classes[i]);
    }
}

void wf_metrics_begin(struct wf_metrics *text, char *out, size_t room)
{
    *text = (struct wf_metrics){.out = room == 0 ? NULL : out, .room = room == 0 ? 0 : room - 1};
}

void wf_metrics_sum(struct wf_metrics *text, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    put_head(text, name, type, help);
    put_text(text, name);
    put_count(text, value);
}

void wf_metrics_seconds(struct wf_metrics *text, const char *name, const char *type,
                        const char *help, uint64_t ns)
{
    put_head(text, name, type, help);
    put_text(text, name);
    put_seconds(text, ns);
}

size_t wf_metrics_end(struct wf_metrics *text)
{
    if (text->out != NULL) text->out[text->len < text->room ? text->len : text->room] = '\0';
    return text->len;
}

static void put_memory(struct wf_metrics *text, const weft_memory *memory)
{
    wf_metrics_sum(text, "weft_actors_memory_bytes", "gauge", "Memory of this runtime's actors.",
                   memory->actors);
    wf_metrics_sum(text, "weft_spawns_refused_total", "counter",
                   "Spawns refused by the bound of that memory.", memory->actors_refused);
    wf_metrics_sum(text, "weft_pools_memory_bytes", "gauge",
                   "Memory that the process's pools hold for messages and small actors.",
                   memory->pools);
    wf_metrics_sum(text, "weft_pools_refused_total", "counter",
                   "Requests refused by the bound of the pools.", memory->pools_refused);
}

size_t wf_prometheus_text(const weft_class_stats *classes, size_t count, const weft_memory *memory,
                          char *out, size_t room)
{
    struct wf_metrics text;
    wf_metrics_begin(&text, out, room);
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        put_metric(&text, &metrics[i], classes, count);
    put_memory(&text, memory);
    return wf_metrics_end(&text);
}

size_t weft_stats_prometheus(weft_rt *rt, char *out, size_t room)
{
    size_t have = weft_stats_classes(rt, NULL, 0);
    weft_class_stats *classes = wf_calloc(have + 1, sizeof *classes);
    if (classes == NULL) return 0;
    size_t count = weft_stats_classes(rt, classes, have);
    /* Classes that came since then wait for the next look. */
    weft_memory memory;
    weft_rt_memory(rt, &memory);
    size_t len = wf_prometheus_text(classes, count < have ? count : have, &memory, out, room);
    wf_free(classes);
    return len;
}
