/* SPDX-License-Identifier: Apache-2.0
 * sketch.h - 64 cells that stand for a set of entries: what two such differ by can be read
 * off their difference, if it is small.
 * Called by: sketches.c, migrate.c, check.c, tests. Never: an engine, the heap.
 *
 * An invertible Bloom lookup table whose cells thin out with their number (Yang, Gilad,
 * Alizadeh: Practical Rateless Set Reconciliation, 2024). All of it is integers, so that
 * the same set has the same cells on every machine. Ids can be ground to spoil it: it is a
 * hint, and nothing is ever dropped because of it. */
#ifndef WF_SKETCH_H
#define WF_SKETCH_H

#include <weft/entry.h>

#define WF_SKETCH_CELLS 64u
#define WF_SKETCH_BYTES (WF_SKETCH_CELLS * 16u)

struct wf_sketch_cell {
    uint64_t sum;   /* XOR of the first 8 bytes of each id (big-endian)   */
    uint32_t check; /* XOR of the low 32 bits of SipHash-2-4 of those       */
    uint32_t count; /* how many; of a difference: signed, two's complement */
};
struct wf_sketch {
    struct wf_sketch_cell cells[WF_SKETCH_CELLS];
};

/* An id that is added once. */
void wf_sketch_add(struct wf_sketch *sketch, const weft_id *id);
void wf_sketch_write(const struct wf_sketch *sketch, uint8_t out[WF_SKETCH_BYTES]);
weft_err wf_sketch_read(const void *data, size_t len, struct wf_sketch *out); /* CORRUPT */

/* `sketch` becomes the difference: what it alone has, less what `other` alone has. */
void wf_sketch_subtract(struct wf_sketch *sketch, const struct wf_sketch *other);

/* Short ids, each the number that the first 8 bytes of an id are. */
struct wf_sketch_ids {
    uint64_t mine[WF_SKETCH_CELLS], others[WF_SKETCH_CELLS];
    uint32_t mine_count, others_count;
};
/* Takes a difference apart. true: *out is all of it; false: it is too large, and *out is
 * what came off before it stuck. What is left stays in `sketch`. */
bool wf_sketch_peel(struct wf_sketch *sketch, struct wf_sketch_ids *out);

#endif
