/* SPDX-License-Identifier: Apache-2.0
 * weft/trace.h - seeing every message: a hook, a writer for trace viewers, and a recorder
 * of the last events for the day when the process dies.
 *
 * All of it is off by default, and costs one load per message then. */
#ifndef WEFT_TRACE_H
#define WEFT_TRACE_H

#include <weft/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum weft_trace_what {
    WEFT_TRACE_SEND,    /* `from` hands a message to `actor`'s mailbox; if that closes at this
                         * moment, no BEGIN follows                                      */
    WEFT_TRACE_BEGIN,   /* `actor` begins to handle it; the kinds weft.init, weft.fini,
                         * weft.timer, weft.fd and weft.timeout are its other callbacks   */
    WEFT_TRACE_END,     /* and ends: one for each BEGIN of this actor, in turn            */
    WEFT_TRACE_SPAWN,   /* `actor` is about to run its init                               */
    WEFT_TRACE_EXIT,    /* `actor` has run its fini                                       */
    WEFT_TRACE_RESTART, /* `actor` begins again after a failure                           */
    WEFT_TRACE_TIMER,   /* a timer of `actor` is due                                      */
    WEFT_TRACE_REPLY    /* `from` answers a request of `actor`                            */
} weft_trace_what;

/* Pointers are valid during the call only, except `kind`, which is the kind's own name. */
typedef struct weft_trace_event {
    weft_ns at; /* of the runtime's clock                                    */
    weft_trace_what what;
    uint32_t actor;   /* number of the actor in the process; 0: a plain thread     */
    uint32_t from;    /* SEND, BEGIN, REPLY: the low 24 bits of the sender's number; 0: a
                       * plain thread or the runtime                              */
    uint32_t thread;  /* number of the thread that tells; threads that do not live at the
                       * same time may share one; 0 in the simulator              */
    const char *name; /* of `actor`                                               */
    const char *kind; /* of the message; NULL: SPAWN, EXIT, RESTART               */
    const void *msg;  /* tells messages in flight apart, for comparing only; NULL: none */
} weft_trace_event;

/* Has `fn` called for every event of this runtime, on the thread where it happens: on several at
 * once, so `fn` must be fit for that; it must not send, spawn or block. Events of different
 * threads come in no order; `at` orders them. `fn` and `arg` must stay valid until no thread
 * uses an address of the runtime any more. Call it before the first spawn: actors whose kind was
 * spawned before tell a new hook nothing. NULL: off. */
void weft_trace_to(weft_rt *rt, void (*fn)(void *arg, const weft_trace_event *event), void *arg);

/* -- Chrome trace ------------------------------------------------------------------------- */

/* Where text goes: the library opens no file. Called with whole pieces, one at a time. */
typedef void (*weft_write)(void *arg, const char *bytes, size_t len);

/* A writer of the Trace Event Format (JSON object form, as chrome://tracing and Perfetto read
 * it): one row per actor, a slice for each BEGIN and END, arrows from SEND to BEGIN. */
typedef struct weft_chrome weft_chrome;
/* `write` hears the beginning of the document within this call. NO_MEMORY, INVALID (write is
 * NULL). */
weft_err weft_chrome_create(weft_write write, void *arg, weft_chrome **out);
/* The function for weft_trace_to; `chrome` is the weft_chrome. Any thread; events of several are
 * written one after the other. Never allocates. */
void weft_chrome_event(void *chrome, const weft_trace_event *event);
/* Writes the end of the document, without which it is not JSON, and frees. NULL is fine. */
void weft_chrome_destroy(weft_chrome *chrome);

/* -- Flight recorder -------------------------------------------------------------------------- */

/* Starts to keep the last events of all runtimes of the process, those of weft_trace_event, in one
 * ring for each thread: `events_per_thread`, 1 .. WEFT_FLIGHT_EVENTS_MAX, rounded up to a
 * power of two, 64 bytes each; a thread that runs out of memory keeps none. On SIGSEGV, SIGBUS,
 * SIGFPE, SIGILL and SIGABRT the rings are written to `fd` (which must stay open; -1: install
 * no handlers), with write(2) only, and then the handler that was there before has its turn. A
 * stack overflow is seen only on a thread with an alternate signal stack. INVALID, EXISTS (it
 * has been started). Not beside other calls of start and stop. */
weft_err weft_flight_start(uint32_t events_per_thread, int fd);
/* Writes the rings to `fd` as text now: for each thread, what it has in hand and its events,
 * oldest first. Async-signal-safe; beside running threads the newest events may be torn. */
void weft_flight_dump(int fd);
/* Ends recording and puts the former handlers back. What was recorded can still be dumped; its
 * memory is kept for the next start. */
void weft_flight_stop(void);

#ifdef __cplusplus
}
#endif
#endif
