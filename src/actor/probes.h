/* SPDX-License-Identifier: Apache-2.0
 * probes.h - the points where tracers of the system (bpftrace, perf, SystemTap) may look in: USDT
 * probes of the provider `weft`, one instruction that does nothing and a note in the program each.
 * Without <sys/sdt.h> (-Dusdt) they are not there. Called by: hooks.h. Any thread.
 *
 * Their names and arguments are an interface: docs/actors.md lists them. */
#ifndef WF_PROBES_H
#define WF_PROBES_H

#if defined(WF_USDT) && WF_USDT
#include <sys/sdt.h>
#define WF_TEXT(name) ((const char *)(name)) /* an argument has a size, an open array has not */
#define WF_PROBE_SEND(number, kind, msg) DTRACE_PROBE3(weft, send, number, kind, msg)
#define WF_PROBE_BEGIN(number, name, kind, msg) \
    DTRACE_PROBE4(weft, begin, number, WF_TEXT(name), kind, msg)
#define WF_PROBE_END(number, name) DTRACE_PROBE2(weft, end, number, WF_TEXT(name))
#define WF_PROBE_SPAWN(number, name) DTRACE_PROBE2(weft, spawn, number, WF_TEXT(name))
#define WF_PROBE_EXIT(number, name) DTRACE_PROBE2(weft, exit, number, WF_TEXT(name))
#define WF_PROBE_RESTART(number, name) DTRACE_PROBE2(weft, restart, number, WF_TEXT(name))
#else
#define WF_PROBE_SEND(number, kind, msg) ((void)0)
#define WF_PROBE_BEGIN(number, name, kind, msg) ((void)0)
#define WF_PROBE_END(number, name) ((void)0)
#define WF_PROBE_SPAWN(number, name) ((void)0)
#define WF_PROBE_EXIT(number, name) ((void)0)
#define WF_PROBE_RESTART(number, name) ((void)0)
#endif

#endif
