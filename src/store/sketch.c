/* SPDX-License-Identifier: Apache-2.0
 * sketch.c - 64 cells that stand for a set of entries.
 * Called by: sketches.c, migrate.c, check.c, tests. May touch: its arguments.
 * Never: an engine, the heap, a floating-point number. */
#include "sketch.h"

#include <string.h>

#include "crypto.h"
#include "layout.h"
#include "log.h"

/* -- Which cells an id is in -------------------------------------------------------------- */

/* The root of n, rounded down. With n scaled to at least 2^62, 2^32 * (2/3 * n / 2^64 + 0.354)
 * is within 5 % of its root, and each of Newton's steps squares that: three leave less than
 * one, and none of them ends below the root. */
static uint64_t root_of(uint64_t n)
{
    if (n == 0) return 0;
    unsigned half = (unsigned)__builtin_clzll(n) / 2;
    uint64_t m = n << 2 * half;
    uint64_t x = (m >> 32) / 3 * 2 + UINT64_C(1520418422);
    for (unsigned i = 0; i < 3; i++) x = (x + m / x) / 2;
    x >>= half;
    return x > UINT32_MAX || x * x > n ? x - 1 : x;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* The cell after cell i, so that cell i has an id with the chance 1 / (1 + i / 2): with r
 * uniform below 2^64, i + ceil((i + 3/2) * (2^32 / sqrt(r) - 1)). */
static uint64_t cell_after(uint64_t i, uint64_t r)
{
    uint64_t root = root_of(r);
    if (root == 0) root = 1;
    uint64_t ratio = (UINT64_C(1) << 48) / root - (UINT64_C(1) << 16);
    uint64_t step = ((2 * i + 3) * ratio + (UINT64_C(1) << 17) - 1) >> 17;
    return i + (step == 0 ? 1 : step);
}

static uint32_t check_of(uint64_t short_id)
{
    static const uint8_t key[17] = "weft/sketch/v1\0\0";
    uint8_t bytes[8];
    wf_put64(bytes, short_id);
    return (uint32_t)wf_siphash(key, bytes, sizeof bytes);
}

/* times: 1, or -1 as two's complement. */
static void mix(struct wf_sketch *sketch, uint64_t short_id, uint32_t check, uint32_t times)
{
    uint64_t state = short_id;
    for (uint64_t i = 0; i < WF_SKETCH_CELLS; i = cell_after(i, next_random(&state))) {
        struct wf_sketch_cell *cell = &sketch->cells[i];
        cell->sum ^= short_id;
        cell->check ^= check;
        cell->count += times;
    }
}

void wf_sketch_add(struct wf_sketch *sketch, const weft_id *id)
{
    uint64_t short_id = wf_get64(id->bytes);
    mix(sketch, short_id, check_of(short_id), 1);
}

/* -- As bytes --------------------------------------------------------------------------------- */

void wf_sketch_write(const struct wf_sketch *sketch, uint8_t out[WF_SKETCH_BYTES])
{
    for (uint32_t i = 0; i < WF_SKETCH_CELLS; i++) {
        const struct wf_sketch_cell *cell = &sketch->cells[i];
        out = wf_put32(wf_put32(wf_put64(out, cell->sum), cell->check), cell->count);
    }
}

weft_err wf_sketch_read(const void *data, size_t len, struct wf_sketch *out)
{
    const uint8_t *at = data;
    if (len != WF_SKETCH_BYTES) return wf_fail(WEFT_CORRUPT, "store", "sketch: wrong length");
    for (uint32_t i = 0; i < WF_SKETCH_CELLS; i++, at += 16)
        out->cells[i] = (struct wf_sketch_cell){wf_get64(at), wf_get32(at + 8), wf_get32(at + 12)};
    return WEFT_OK;
}

/* -- Differences ---------------------------------------------------------------------------------- */

void wf_sketch_subtract(struct wf_sketch *sketch, const struct wf_sketch *other)
{
    for (uint32_t i = 0; i < WF_SKETCH_CELLS; i++) {
        sketch->cells[i].sum ^= other->cells[i].sum;
        sketch->cells[i].check ^= other->cells[i].check;
        sketch->cells[i].count -= other->cells[i].count;
    }
}

static bool is_single(const struct wf_sketch_cell *cell)
{
    return (cell->count == 1 || cell->count == UINT32_MAX) && cell->check == check_of(cell->sum);
}

/* The last cells have the fewest ids, so singles are looked for from there. An id that comes
 * off leaves at least one cell for good, unless somebody made the cells up: hence the bound. */
bool wf_sketch_peel(struct wf_sketch *sketch, struct wf_sketch_ids *out)
{
    static const struct wf_sketch none;
    out->mine_count = out->others_count = 0;
    while (out->mine_count + out->others_count < WF_SKETCH_CELLS) {
        uint32_t i = WF_SKETCH_CELLS;
        while (i > 0 && !is_single(&sketch->cells[i - 1])) i--;
        if (i == 0) break;
        struct wf_sketch_cell cell = sketch->cells[i - 1];
        if (cell.count == 1) out->mine[out->mine_count++] = cell.sum;
        else out->others[out->others_count++] = cell.sum;
        mix(sketch, cell.sum, cell.check, 0u - cell.count);
    }
    return memcmp(sketch, &none, sizeof none) == 0;
}
