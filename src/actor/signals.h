/* SPDX-License-Identifier: Apache-2.0
 * signals.h - the few calls of a fatal signal's handler, bound to the machine.
 * Called by: flight.c. */
#ifndef WF_SIGNALS_H
#define WF_SIGNALS_H

#include <stddef.h>

/* Has `fn(sig)` called when a fatal signal arrives, on the thread that it hit, once at a time;
 * then the handler that was there before has its turn. */
void wf_signals_catch(void (*fn)(int sig));
/* Puts the former handlers back. */
void wf_signals_release(void);

/* "SIGSEGV". Async-signal-safe, as is the next. */
const char *wf_signal_name(int sig);
/* Writes all, or gives up on an error. */
void wf_raw_write(int fd, const char *bytes, size_t len);

#endif
