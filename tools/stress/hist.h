/* SPDX-License-Identifier: Apache-2.0
 * hist.h - a histogram of durations with constant memory: 64 steps per doubling, so a
 * percentile is at most 1.6 % above the sample that it stands for; minimum, maximum,
 * count and mean are exact. (The layout is that of HdrHistogram.)
 * One thread adds; others may merge or read meanwhile and see some of what was added. */
#ifndef STRESS_HIST_H
#define STRESS_HIST_H

#include <stddef.h>
#include <stdint.h>

#define HIST_SLOTS (64u * 59u)

struct hist {
    uint64_t count, sum, min, max;
    uint64_t slots[HIST_SLOTS];
};

void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *into, const struct hist *from);
/* What `now` has beyond `before`, an earlier state of the same histogram; minimum and maximum are
 * those of slots. */
void hist_since(const struct hist *now, const struct hist *before, struct hist *out);
/* The smallest value that at least `share` (0 to 1) of the samples do not exceed; 0
 * when there is none. */
uint64_t hist_percentile(const struct hist *h, double share);
/* The largest value that a slot stands for. */
uint64_t hist_slot_top(size_t slot);
double hist_ms(const struct hist *h, double share);

#endif
