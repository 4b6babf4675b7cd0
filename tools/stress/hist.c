/* SPDX-License-Identifier: Apache-2.0
 * hist.c - a histogram of durations with constant memory.
 * Called by: cluster.c and the actors' workloads (add), the reports and the demo (read).
 * May touch: its struct. Never: allocates. */
#include "hist.h"

#include <stddef.h>

static size_t slot_of(uint64_t ns)
{
    if (ns < 128) return (size_t)ns;
    unsigned shift = 57u - (unsigned)__builtin_clzll(ns); /* leaves 7 bits: 64 to 127 */
    return (size_t)(64u * shift) + (size_t)(ns >> shift);
}

uint64_t hist_slot_top(size_t slot)
{
    if (slot < 128) return slot;
    unsigned shift = (unsigned)(slot / 64u) - 1u;
    uint64_t high = slot - 64u * (uint64_t)shift;
    return ((high + 1) << shift) - 1;
}

/* Cells are read while they are counted up: whole values, in no order. */
static uint64_t get(const uint64_t *cell) { return __atomic_load_n(cell, __ATOMIC_RELAXED); }

static void put(uint64_t *cell, uint64_t value) { __atomic_store_n(cell, value, __ATOMIC_RELAXED); }

void hist_add(struct hist *h, uint64_t ns)
{
    if (h->count == 0 || ns < h->min) put(&h->min, ns);
    if (ns > h->max) put(&h->max, ns);
    put(&h->count, h->count + 1);
    put(&h->sum, h->sum + ns);
    uint64_t *slot = &h->slots[slot_of(ns)];
    put(slot, *slot + 1);
}

void hist_merge(struct hist *into, const struct hist *from)
{
    uint64_t count = get(&from->count), min = get(&from->min), max = get(&from->max);
    if (count == 0) return;
    if (into->count == 0 || min < into->min) into->min = min;
    if (max > into->max) into->max = max;
    into->count += count;
    into->sum += get(&from->sum);
    for (size_t i = 0; i < HIST_SLOTS; i++) into->slots[i] += get(&from->slots[i]);
}

void hist_since(const struct hist *now, const struct hist *before, struct hist *out)
{
    *out = (struct hist){.sum = now->sum - before->sum};
    for (size_t i = 0; i < HIST_SLOTS; i++) {
        uint64_t n = now->slots[i] - before->slots[i];
        if (n == 0) continue;
        out->slots[i] = n;
        out->max = hist_slot_top(i) < now->max ? hist_slot_top(i) : now->max;
        if (out->count == 0) out->min = i == 0 ? 0 : hist_slot_top(i - 1) + 1;
        out->count += n;
    }
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
        uint64_t top = hist_slot_top(i);
        return top > h->max ? h->max : top;
    }
    return h->max;
}

double hist_ms(const struct hist *h, double share)
{
    return (double)hist_percentile(h, share) / 1e6;
}
