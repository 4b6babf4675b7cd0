/* SPDX-License-Identifier: Apache-2.0
 * hist.c - a histogram of durations with constant memory.
 * Called by: cluster.c (adds), report.c and the demo (read). May touch: its struct.
 * Never: allocates. */
#include "hist.h"

#include <stddef.h>

static size_t slot_of(uint64_t ns)
{
    if (ns < 128) return (size_t)ns;
    unsigned shift = 57u - (unsigned)__builtin_clzll(ns); /* leaves 7 bits: 64 to 127 */
    return (size_t)(64u * shift) + (size_t)(ns >> shift);
}

/* The largest value of a slot. */
static uint64_t slot_top(size_t slot)
{
    if (slot < 128) return slot;
    unsigned shift = (unsigned)(slot / 64u) - 1u;
    uint64_t high = slot - 64u * (uint64_t)shift;
    return ((high + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t ns)
{
    if (h->count == 0 || ns < h->min) h->min = ns;
    if (ns > h->max) h->max = ns;
    h->count++;
    h->sum += ns;
    h->slots[slot_of(ns)]++;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    if (from->count == 0) return;
    if (into->count == 0 || from->min < into->min) into->min = from->min;
    if (from->max > into->max) into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (size_t i = 0; i < HIST_SLOTS; i++) into->slots[i] += from->slots[i];
}

uint64_t hist_percentile(const struct hist *h, double share)
{
    if (h->count == 0) return 0;
    uint64_t need = (uint64_t)(share * (double)h->count);
    if ((double)need < share * (double)h->count) need++;
    if (need == 0) need = 1;
    uint64_t seen = 0;
    for (size_t i = 0; i < HIST_SLOTS; i++) {
        seen += h->slots[i];
        if (seen < need) continue;
        uint64_t top = slot_top(i);
        return top > h->max ? h->max : top;
    }
    return h->max;
}

double hist_ms(const struct hist *h, double share)
{
    return (double)hist_percentile(h, share) / 1e6;
}
