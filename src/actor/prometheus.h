/* SPDX-License-Identifier: Apache-2.0
 * prometheus.h - the sums of classes as text for Prometheus.
 * Called by: prometheus.c's weft_stats_prometheus, tests. Pure. */
#ifndef WF_PROMETHEUS_H
#define WF_PROMETHEUS_H

#include <stddef.h>

#include <weft/stats.h>

/* Writes what fits into `room` bytes, with a final zero, and returns how long the whole is. */
size_t wf_prometheus_text(const weft_class_stats *classes, size_t count, const weft_memory *memory,
                          char *out, size_t room);

#endif
