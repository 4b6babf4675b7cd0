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

/* Who follows whom. */
struct shape {
    uint32_t writers; /* 0: each follows one by chance */
    bool joins;
};

static uint64_t mix(uint64_t x) /* SplitMix64's output */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint32_t parents_of(const struct shape *shape, uint32_t i, uint32_t out[2])
{
    if (shape->writers == 0) {
        out[0] = (uint32_t)(mix(i) % i);
        return 1;
    }
    out[0] = i <= shape->writers ? 0 : i - shape->writers;
    if (!shape->joins || i <= 2 * shape->writers || i % 8 != 0) return 1;
    out[1] = i - 5;
    return out[1] == out[0] ? 1 : 2;
}

static void build(struct history *h, uint32_t count, const struct shape *shape)
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
        uint32_t at[2] = {0}, parents_count = parents_of(shape, i, at);
        weft_id parents[2] = {h->ids[at[0]], h->ids[at[1]]};
        uint64_t state = i * UINT64_C(0x9e3779b97f4a7c15);
        for (uint32_t k = 0; k + 8 <= PAYLOAD_BYTES; k += 8, state *= state | 5)
            memcpy(payload + k, &state, 8);
        for (uint32_t p = 0; p < parents_count; p++)
            if (heights[at[p]] >= heights[i]) heights[i] = heights[at[p]] + 1;
        weft_store_part part = {.name = "main",
                                .parents = at[0] == 0 ? NULL : parents,
                                .parents_count = at[0] == 0 ? 0 : parents_count,
                                .payload = payload,
                                .payload_len = sizeof payload};
        weft_entry_spec spec = {.tree = h->ids[0],
                                .parents = parents,
                                .parents_count = parents_count,
                                .height = heights[i],
                                .stores = &part,
                                .stores_count = 1};
        must(weft_entry_build(&spec, author, &h->bufs[i], &h->ids[i]), "entry");
    }
    free(heights);
    weft_keypair_destroy(author);
}

void history_build(struct history *h, uint32_t count, uint32_t writers, bool joins)
{
    build(h, count, &(struct shape){writers, joins});
}

bool history_build_shape(struct history *h, uint32_t count, const char *name)
{
    static const struct {
        const char *name;
        struct shape shape;
    } shapes[] = {{"chain", {1, false}},
                  {"wide", {16, true}},
                  {"scattered", {0, false}},
                  {"star", {UINT32_MAX / 2, false}}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(name, shapes[i].name) != 0) continue;
        build(h, count, &shapes[i].shape);
        return true;
    }
    return false;
}

void history_free(struct history *h)
{
    for (uint32_t i = 0; i < h->count; i++) weft_buf_unref(h->bufs[i]);
    free(h->bufs);
    free(h->ids);
    *h = (struct history){0};
}
