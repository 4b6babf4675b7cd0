/* SPDX-License-Identifier: Apache-2.0
 * store_history.c - builds and signs the entries that the benchmarks of the store take.
 * Called by: those, before they measure. May touch: memory. Never: a store. */
#include "store_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_BYTES 200u

void must(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

void history_build(struct history *h, uint32_t count, uint32_t writers, bool joins)
{
    weft_keypair *author;
    uint8_t seed[32] = {7}, payload[PAYLOAD_BYTES];
    must(weft_keypair_from_seed(seed, &author), "key");
    h->count = count;
    h->bufs = calloc(count, sizeof *h->bufs);
    h->ids = calloc(count, sizeof *h->ids);
    uint64_t *heights = calloc(count, sizeof *heights);
    weft_root_spec root = {.height = WEFT_HEIGHT_INCREMENTAL};
    must(weft_root_build(&root, author, &h->bufs[0], &h->ids[0]), "root");
    for (uint32_t i = 1; i < count; i++) {
        uint32_t a = i <= writers ? 0 : i - writers;
        uint32_t b = joins && i > 2 * writers && i % 8 == 0 ? i - 5 : a;
        weft_id parents[2] = {h->ids[a], h->ids[b]};
        uint64_t state = i * UINT64_C(0x9e3779b97f4a7c15);
        for (uint32_t at = 0; at + 8 <= PAYLOAD_BYTES; at += 8, state *= state | 5)
            memcpy(payload + at, &state, 8);
        heights[i] = 1 + (heights[a] > heights[b] ? heights[a] : heights[b]);
        weft_store_part part = {.name = "main",
                                .parents = a == 0 ? NULL : parents,
                                .parents_count = a == 0 ? 0 : 1 + (a != b),
                                .payload = payload,
                                .payload_len = sizeof payload};
        weft_entry_spec spec = {.tree = h->ids[0],
                                .parents = parents,
                                .parents_count = 1 + (a != b),
                                .height = heights[i],
                                .stores = &part,
                                .stores_count = 1};
        must(weft_entry_build(&spec, author, &h->bufs[i], &h->ids[i]), "entry");
    }
    free(heights);
    weft_keypair_destroy(author);
}

void history_free(struct history *h)
{
    for (uint32_t i = 0; i < h->count; i++) weft_buf_unref(h->bufs[i]);
    free(h->bufs);
    free(h->ids);
    *h = (struct history){0};
}
