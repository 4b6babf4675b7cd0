/* SPDX-License-Identifier: Apache-2.0
 * flight.c - the flight recorder: the last events of each thread, for the day it dies.
 * Called by: hooks.c (record), users (start, dump, stop), a fatal signal (dump).
 * May touch: its thread's ring, writing; all rings, reading. Never: in a dump, anything that
 * is not async-signal-safe. */
#include <string.h>

#include <weft/trace.h>

#include "alloc.h"
#include "hooks.h"
#include "signals.h"
#include "track.h"

static uint32_t started; /* 1: between start and stop */
static uint32_t ring_room;
static int signal_fd;
static bool caught;

/* -- Recording --------------------------------------------------------------------------- */

static struct wf_ring *ring_of(struct wf_track *track)
{
    uint32_t room = wf_load(&ring_room, WF_RELAXED);
    if (track->ring != NULL || room == 0) return track->ring;
    struct wf_ring *ring = wf_calloc(1, sizeof *ring + room * sizeof ring->records[0]);
    if (ring == NULL) return NULL;
    ring->room = room;
    /* Release: a dump reads it. */
    wf_store(&track->ring, ring, WF_RELEASE);
    return ring;
}

void wf_flight_record(struct wf_track *track, const weft_trace_event *event, const weft_kind *kind)
{
    struct wf_ring *ring = ring_of(track);
    if (ring == NULL) return;
    union {
        uint64_t words[WF_RECORD_NAME_WORDS];
        char text[WF_RECORD_NAME_WORDS * 8];
    } name = {.words = {0}};
    for (size_t i = 0; i + 1 < sizeof name.text && event->name[i] != '\0'; i++)
        name.text[i] = event->name[i];
    uint32_t seq = ring->next + 1;
    struct wf_record *record = &ring->records[ring->next & (ring->room - 1)];
    wf_store(&record->seq, 0, WF_RELAXED); /* a dump that comes now leaves it out */
    wf_store(&record->what, (uint32_t)event->what, WF_RELAXED);
    wf_store(&record->at, event->at, WF_RELAXED);
    wf_store(&record->kind, kind, WF_RELAXED);
    wf_store(&record->actor, event->actor, WF_RELAXED);
    wf_store(&record->from, event->from, WF_RELAXED);
    wf_words_write(record->name, name.words, WF_RECORD_NAME_WORDS);
    wf_store(&record->seq, seq == 0 ? 1 : seq, WF_RELEASE);
    wf_store(&ring->next, seq, WF_RELEASE);
}

/* -- Dumping ------------------------------------------------------------------------------- */

static const char *const what_names[] = {"send", "begin",   "end",   "spawn",
                                         "exit", "restart", "timer", "reply"};

/* A line on the stack; nothing of stdio is async-signal-safe. */
struct out {
    int fd;
    size_t len;
    char text[256];
};

static void flush(struct out *out)
{
    wf_raw_write(out->fd, out->text, out->len);
    out->len = 0;
}

static void put(struct out *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (out->len == sizeof out->text) flush(out);
        /* Names come from users: a line stays a line. */
        bool control = ((unsigned char)*text < 0x20 && *text != '\n') || *text == 0x7f;
        out->text[out->len++] = control ? '?' : *text;
    }
}

static void put_number(struct out *out, uint64_t number, unsigned digits)
{
    char text[24];
    size_t at = sizeof text - 1;
    text[at] = '\0';
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
        if (digits > 0) digits--;
    } while (number > 0 || digits > 0);
    put(out, text + at);
}

static void put_field(struct out *out, const char *key, uint64_t number)
{
    put(out, key);
    put_number(out, number, 0);
}

static bool read_record(const struct wf_ring *ring, uint32_t number, struct wf_record *copy)
{
    const struct wf_record *record = &ring->records[number & (ring->room - 1)];
    uint32_t seq = wf_load(&record->seq, WF_ACQUIRE);
    copy->what = wf_load(&record->what, WF_RELAXED);
    copy->at = wf_load(&record->at, WF_RELAXED);
    copy->kind = wf_load(&record->kind, WF_RELAXED);
    copy->actor = wf_load(&record->actor, WF_RELAXED);
    copy->from = wf_load(&record->from, WF_RELAXED);
    wf_words_read(copy->name, record->name, WF_RECORD_NAME_WORDS);
    ((char *)copy->name)[sizeof copy->name - 1] = '\0';
    return seq != 0 && wf_load(&record->seq, WF_RELAXED) == seq &&
           copy->what < sizeof what_names / sizeof what_names[0];
}

static void put_who(struct out *out, const struct wf_record *record)
{
    put_field(out, " actor=", record->actor);
    put(out, " name=");
    put(out, (const char *)record->name);
    if (record->kind != NULL) {
        put(out, " kind=");
        put(out, record->kind->name);
    }
    if (record->from != 0) put_field(out, " from=", record->from);
}

/* The last BEGIN that has no END after it. */
static bool in_hand(const struct wf_ring *ring, uint32_t end, uint32_t count,
                    struct wf_record *found)
{
    unsigned ended = 0;
    for (uint32_t i = 1; i <= count; i++) {
        if (!read_record(ring, end - i, found)) continue;
        if (found->what == WEFT_TRACE_END) ended++;
        if (found->what == WEFT_TRACE_BEGIN && ended-- == 0) return true;
    }
    return false;
}

static void dump_ring(struct out *out, const struct wf_track *track, const struct wf_ring *ring)
{
    struct wf_record record;
    uint32_t end = wf_load(&ring->next, WF_ACQUIRE);
    uint32_t count = end < ring->room ? end : ring->room;
    put_field(out, "thread ", track->number);
    if (track == wf_track_have()) put(out, " (this one)");
    put(out, ": in hand");
    if (in_hand(ring, end, count, &record)) put_who(out, &record);
    else put(out, " nothing");
    put(out, "\n");
    for (uint32_t i = end - count; i != end; i++) {
        if (!read_record(ring, i, &record)) continue;
        put(out, "  ");
        put_number(out, record.at / UINT64_C(1000000000), 0);
        put(out, ".");
        put_number(out, record.at % UINT64_C(1000000000), 9);
        put(out, " ");
        put(out, what_names[record.what]);
        put_who(out, &record);
        put(out, "\n");
    }
}

static void dump(int fd, const char *why)
{
    struct out out;
    out.fd = fd;
    out.len = 0;
    put(&out, "weft flight recorder: ");
    put(&out, why);
    put(&out, "\n");
    for (struct wf_track *track = wf_track_first(); track != NULL; track = track->older) {
        const struct wf_ring *ring = wf_load(&track->ring, WF_ACQUIRE);
        if (ring != NULL) dump_ring(&out, track, ring);
    }
    put(&out, "end of flight recorder\n");
    flush(&out);
}

static void on_signal(int sig) { dump(signal_fd, wf_signal_name(sig)); }

void weft_flight_dump(int fd) { dump(fd, "dump"); }

/* -- Start, stop ----------------------------------------------------------------------------- */

weft_err weft_flight_start(uint32_t events_per_thread, int fd)
{
    if (events_per_thread == 0 || events_per_thread > WEFT_FLIGHT_EVENTS_MAX) return WEFT_INVALID;
    if (started != 0) return WEFT_EXISTS;
    uint32_t room = 1;
    while (room < events_per_thread) room *= 2;
    /* Threads that have a ring of an earlier start keep its size. */
    wf_store(&ring_room, room, WF_RELAXED);
    started = 1;
    signal_fd = fd;
    caught = fd >= 0;
    if (caught) wf_signals_catch(on_signal);
    wf_hooks_want(WF_HOOK_FLIGHT);
    return WEFT_OK;
}

void weft_flight_stop(void)
{
    if (started == 0) return;
    wf_hooks_unwant(WF_HOOK_FLIGHT);
    if (caught) wf_signals_release();
    started = 0;
}
