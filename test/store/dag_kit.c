/* SPDX-License-Identifier: Apache-2.0
 * dag_kit.c - histories with a named store in them, and a plain model of them.
 * Called by: test_dag*.c. May touch: the heap.
 * Never: the machine's chance; a seed gives the same history everywhere. */
#include "dag_kit.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

const char *const dk_shape_names[DK_SHAPES] = {"chain",  "wide",     "scattered",   "star",
                                               "behind", "diamonds", "criss-cross", "octopus"};

static void add(struct dk_edges *edges, uint32_t parent)
{
    for (uint32_t i = 0; i < edges->count; i++)
        if (edges->at[i] == parent) return;
    cr_assert_lt(edges->count, DK_PARENTS_MAX);
    edges->at[edges->count++] = parent;
}

static void choose(struct dk_edges *edges, enum dk_shape shape, kit_random *r, uint32_t i)
{
    switch (shape) {
    case DK_CHAIN: add(edges, i - 1); return;
    case DK_WIDE:
        add(edges, i > 8 ? i - 8 : 0);
        if (i > 16 && kit_below(r, 10) < 3) add(edges, i - 1 - kit_below(r, 7));
        return;
    case DK_SCATTERED: add(edges, kit_below(r, i)); return;
    case DK_STAR: add(edges, 0); return;
    case DK_BEHIND:
        add(edges, i > 2 ? i - 2 : 0);
        if (kit_below(r, 12) == 0) add(edges, kit_below(r, i));
        return;
    case DK_DIAMONDS: /* 0, 1 and 2 on it, 3 on both, ... */
        if (i % 3 == 0) {
            add(edges, i - 1);
            add(edges, i - 2);
        } else {
            add(edges, i - i % 3);
        }
        return;
    case DK_CRISSCROSS: /* 1 2, 3 4, 5 6, ... */
        if (i <= 2) {
            add(edges, 0);
        } else {
            add(edges, i % 2 == 1 ? i - 1 : i - 2);
            add(edges, i % 2 == 1 ? i - 2 : i - 3);
        }
        return;
    default:
        for (uint32_t n = 1 + kit_below(r, 8); n > 0; n--) add(edges, kit_below(r, i));
        return;
    }
}

/* Up to two of the last ten that write the store; now and then none: the empty base. */
static void choose_doc(struct dk *dk, kit_random *r, uint32_t i)
{
    if (i > 1 && kit_below(r, 10) >= 6) return;
    dk->writes[i] = true;
    if (kit_below(r, 8) == 0) return;
    for (uint32_t n = 1 + kit_below(r, 2); n > 0; n--) {
        uint32_t back = 1 + kit_below(r, 10);
        if (back < i && dk->writes[i - back]) add(&dk->doc[i], i - back);
    }
}

static void build(struct dk *dk, uint32_t i, weft_height strategy, kit_random *r,
                  const weft_keypair *author)
{
    weft_id parents[DK_PARENTS_MAX], store_parents[DK_PARENTS_MAX];
    uint32_t parents_count = dk->tree[i].count;
    for (uint32_t p = 0; p < dk->tree[i].count; p++) parents[p] = dk->ids[dk->tree[i].at[p]];
    for (uint32_t p = 0; p < dk->doc[i].count; p++) {
        store_parents[p] = dk->ids[dk->doc[i].at[p]];
        add(&dk->tree[i], dk->doc[i].at[p]); /* from now on the union */
    }
    uint64_t gen = 0, height = 0;
    for (uint32_t p = 0; p < dk->tree[i].count; p++) {
        uint32_t at = dk->tree[i].at[p];
        if (dk->gens[at] + 1 > gen) gen = dk->gens[at] + 1;
        if (dk->heights[at] + 1 > height) height = dk->heights[at] + 1;
    }
    if (strategy == WEFT_HEIGHT_TIMESTAMP) height += kit_below(r, 12);
    dk->gens[i] = gen;
    dk->heights[i] = height;
    weft_store_part part = {.name = DK_DOC,
                            .parents = store_parents,
                            .parents_count = dk->doc[i].count,
                            .payload = &i,
                            .payload_len = sizeof i};
    weft_entry_spec spec = {.tree = dk->ids[0],
                            .parents = parents,
                            .parents_count = parents_count,
                            .height = height,
                            .metadata = &i,
                            .metadata_len = sizeof i,
                            .stores = &part,
                            .stores_count = dk->writes[i] ? 1 : 0};
    weft_err err = weft_entry_build(&spec, author, &dk->bufs[i], &dk->ids[i]);
    cr_assert_eq(err, WEFT_OK, "build: %s", weft_errname(err));
}

static uint8_t *closure(const struct dk *dk, const struct dk_edges *edges)
{
    size_t n = dk->count;
    uint8_t *below = calloc(n, n);
    for (size_t i = 0; i < n; i++) {
        below[i * n + i] = 1;
        for (uint32_t p = 0; p < edges[i].count; p++)
            for (size_t j = 0; j < n; j++) below[i * n + j] |= below[edges[i].at[p] * n + j];
    }
    return below;
}

struct dk *dk_create(enum dk_shape shape, uint32_t count, weft_height strategy, uint64_t seed,
                     bool doc, bool model, const weft_keypair *author)
{
    kit_random r = {seed};
    struct dk *dk = calloc(1, sizeof *dk);
    dk->count = count;
    dk->ids = calloc(count, sizeof *dk->ids);
    dk->bufs = calloc(count, sizeof *dk->bufs);
    dk->gens = calloc(count, sizeof *dk->gens);
    dk->heights = calloc(count, sizeof *dk->heights);
    dk->writes = calloc(count, sizeof *dk->writes);
    dk->tree = calloc(count, sizeof *dk->tree);
    dk->doc = calloc(count, sizeof *dk->doc);
    weft_root_spec root = {.height = strategy};
    kit_fill(&r, root.entropy, sizeof root.entropy);
    cr_assert_eq(weft_root_build(&root, author, &dk->bufs[0], &dk->ids[0]), WEFT_OK);
    for (uint32_t i = 1; i < count; i++) {
        choose(&dk->tree[i], shape, &r, i);
        if (doc) choose_doc(dk, &r, i);
        build(dk, i, strategy, &r, author);
    }
    if (model) {
        dk->below[0] = closure(dk, dk->tree);
        dk->below[1] = closure(dk, dk->doc);
    }
    return dk;
}

void dk_destroy(struct dk *dk)
{
    for (uint32_t i = 0; i < dk->count; i++) weft_buf_unref(dk->bufs[i]);
    free(dk->ids);
    free(dk->bufs);
    free(dk->gens);
    free(dk->heights);
    free(dk->writes);
    free(dk->tree);
    free(dk->doc);
    free(dk->below[0]);
    free(dk->below[1]);
    free(dk);
}

uint32_t dk_find(const struct dk *dk, const weft_id *id)
{
    uint32_t i = 0;
    while (i < dk->count && !weft_id_equal(&dk->ids[i], id)) i++;
    return i;
}
