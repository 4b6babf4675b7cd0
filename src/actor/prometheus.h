/* SPDX-License-Identifier: Apache-2.0
 * prometheus.h - the sums of classes as text for Prometheus, and how such text is written.
 * Called by: prometheus.c's weft_stats_prometheus, the store's statistics, tests. Pure. */
#ifndef WF_PROMETHEUS_H
#define WF_PROMETHEUS_H

#include <stddef.h>
#include <stdint.h>

#include <weft/stats.h>

/* Text that goes on to be counted where there is no room for it. */
struct wf_metrics {
    char *out;
    size_t room, len;
};
/* Up to `room` bytes at `out`, a final zero among them; `out` may be NULL when `room` is 0. */
void wf_metrics_begin(struct wf_metrics *text, char *out, size_t room);
/* A metric without labels; `help` is one line. */
void wf_metrics_sum(struct wf_metrics *text, const char *name, const char *type, const char *help,
                    uint64_t value);
/* The same of nanoseconds, in seconds. */
void wf_metrics_seconds(struct wf_metrics *text, const char *name, const char *type,
                        const char *help, uint64_t ns);
size_t wf_metrics_end(struct wf_metrics *text); /* the bytes that the whole needs */

/* Writes what fits into `room` bytes, with a final zero, and returns how long the whole is. */
size_t wf_prometheus_text(const weft_class_stats *classes, size_t count, const weft_memory *memory,
                          char *out, size_t room);

#endif
