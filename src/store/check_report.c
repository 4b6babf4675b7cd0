/* SPDX-License-Identifier: Apache-2.0
 * check_report.c - the faults of a store: counted by kind, told one by one.
 * Called by: the rooms of the check. May touch: the report, the caller's function.
 * Never: the engine. */
#include <stdarg.h>
#include <stdio.h>

#include "check.h"

static uint64_t *counter_of(wf_check_report *report, enum wf_check_kind kind, enum wf_cf cf)
{
    switch (kind) {
    case WF_CHECK_BYTES: return &report->bad_bytes;
    case WF_CHECK_ID: return &report->bad_ids;
    case WF_CHECK_SIGNATURE: return &report->bad_signatures;
    case WF_CHECK_PARENT: return &report->missing_parents;
    case WF_CHECK_TIP: return &report->bad_tips;
    case WF_CHECK_UNREADABLE:
        if (cf == WF_CF_ENTRY) return &report->bad_bytes;
        if (cf == WF_CF_TIP) return &report->bad_tips;
        return &report->bad_indexes;
    default: return &report->bad_indexes;
    }
}

static void tell(struct wf_check *c, wf_check_fault *fault, uint64_t times)
{
    *counter_of(c->report, fault->kind, fault->cf) += times;
    if (fault->cf == WF_CF_GEN) c->order_faults += times;
    if (c->options->fault != NULL) c->options->fault(c->options->arg, fault);
}

void wf_check_fail(struct wf_check *c, enum wf_check_kind kind, enum wf_cf cf, const char *what)
{
    wf_check_fault fault = c->at;
    fault.kind = kind;
    fault.cf = cf;
    snprintf(fault.what, sizeof fault.what, "%s", what);
    tell(c, &fault, 1);
}

void wf_check_fail_of(struct wf_check *c, enum wf_check_kind kind, enum wf_cf cf, uint64_t t,
                      uint64_t times, const char *fmt, ...)
{
    wf_check_fault fault = {.kind = kind, .cf = cf, .t = t};
    va_list args;
    va_start(args, fmt);
    vsnprintf(fault.what, sizeof fault.what, fmt, args);
    va_end(args);
    tell(c, &fault, times);
}

uint64_t wf_check_faults(const wf_check_report *report)
{
    return report->bad_bytes + report->bad_ids + report->bad_signatures + report->missing_parents +
           report->bad_tips + report->bad_indexes;
}

const char *wf_check_kind_name(enum wf_check_kind kind)
{
    switch (kind) {
    case WF_CHECK_BYTES: return "bytes";
    case WF_CHECK_ID: return "id";
    case WF_CHECK_SIGNATURE: return "signature";
    case WF_CHECK_PARENT: return "parent";
    case WF_CHECK_TIP: return "tip";
    case WF_CHECK_INDEX: return "index";
    case WF_CHECK_UNREADABLE: return "unreadable";
    }
    return "fault";
}
