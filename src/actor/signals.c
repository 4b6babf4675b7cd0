/* SPDX-License-Identifier: Apache-2.0
 * signals.c - fatal signals: one look at what was going on, then their usual course.
 * Called by: flight.c. May touch: the process's handlers of five signals.
 * Never: survives a signal that would have ended the process. */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"

static const struct {
    int number;
    const char *name;
} fatal[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGILL, "SIGILL"},   {SIGABRT, "SIGABRT"},
};
#define FATAL (sizeof fatal / sizeof fatal[0])

static struct sigaction former[FATAL];
static void (*seen_fn)(int sig);
static uint32_t busy; /* 1: a handler tells what it sees */

static size_t index_of(int sig)
{
    size_t i = 0;
    while (i + 1 < FATAL && fatal[i].number != sig) i++;
    return i;
}

const char *wf_signal_name(int sig) { return fatal[index_of(sig)].name; }

void wf_raw_write(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return;
        bytes += done;
        len -= (size_t)done;
    }
}

/* The handler that was there before is put back first: whatever happens next, also while we
 * look, is its own. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    const struct sigaction *before = &former[index_of(sig)];
    (void)sigaction(sig, before, NULL);
    /* A second thread that dies meanwhile does not tell, but takes its course. */
    if (wf_xchg(&busy, 1, WF_ACQ_REL) == 0) {
        seen_fn(sig);
        wf_store(&busy, 0, WF_RELEASE);
    }
    errno = saved;
    if (before->sa_flags & SA_SIGINFO) before->sa_sigaction(sig, info, context);
    else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
        before->sa_handler(sig);
    else (void)raise(sig); /* delivered once we return; a fault happens again anyway */
}

void wf_signals_catch(void (*fn)(int sig))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    (void)sigemptyset(&action.sa_mask);
    seen_fn = fn;
    for (size_t i = 0; i < FATAL; i++) (void)sigaction(fatal[i].number, &action, &former[i]);
}

void wf_signals_release(void)
{
    for (size_t i = 0; i < FATAL; i++) {
        struct sigaction now;
        /* Somebody may have put a handler above ours: it stays, and ours below it. */
        if (sigaction(fatal[i].number, NULL, &now) != 0) continue;
        if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_signal)
            (void)sigaction(fatal[i].number, &former[i], NULL);
    }
}
