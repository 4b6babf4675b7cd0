/* SPDX-License-Identifier: Apache-2.0
 * dag.c - random histories of real, signed entries.
 * Called by: the tests of diff, reader and verify. May touch: the heap.
 * Never: the machine's chance; a seed gives the same history everywhere. */
#include "dag.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

const char *const dag_shape_names[DAG_SHAPES] = {"chain",  "wide",    "scattered", "star",
                                                 "behind", "offline", "comb",      "fork"};

uint64_t dag_next(struct dag_random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t dag_below(struct dag_random *r, uint32_t bound) { return (uint32_t)(dag_next(r) % bound); }

uint32_t dag_fork_at(uint32_t count) { return count - count / 20; }

static void add_parent(struct dag *d, uint32_t at, uint32_t parent)
{
    for (uint32_t i = 0; i < d->parents_count[at]; i++)
        if (d->parents[at][i] == parent) return;
    cr_assert_lt(d->parents_count[at], 4);
    d->parents[at][d->parents_count[at]++] = parent;
}

static void choose_parents(struct dag *d, enum dag_shape shape, struct dag_random *r, uint32_t at)
{
    uint32_t far = d->count / 10 + 1;
    switch (shape) {
    case DAG_CHAIN: add_parent(d, at, at - 1); return;
    case DAG_SCATTERED: add_parent(d, at, dag_below(r, at)); return;
    case DAG_STAR: add_parent(d, at, 0); return;
    case DAG_WIDE:
        add_parent(d, at, at > 16 ? at - 16 : 0);
        if (at > 16 && dag_below(r, 10) < 3) add_parent(d, at, at - 1 - dag_below(r, 15));
        return;
    case DAG_BEHIND:
        /* Two chains by turns; one entry in 50 joins an old place of the other. */
        add_parent(d, at, at > 2 ? at - 2 : 0);
        if (dag_below(r, 50) == 0) add_parent(d, at, dag_below(r, at));
        return;
    case DAG_OFFLINE:
        if (at % 8 == 7 && at > far) add_parent(d, at, at - 8 > far ? at - 8 : far);
        else add_parent(d, at, (at - 1) % 8 == 7 && at - 1 > far ? at - 2 : at - 1);
        return;
    case DAG_COMB:
        if (at <= 64) add_parent(d, at, at - 1);
        else add_parent(d, at, at - 64 < 64 ? dag_below(r, 64) : at - 64);
        return;
    case DAG_FORK:
        add_parent(d, at,
                   at > dag_fork_at(d->count) + 2 ? at - 2
                   : at > dag_fork_at(d->count)   ? dag_fork_at(d->count)
                                                  : at - 1);
        return;
    case DAG_SHAPES: break;
    }
}

static void build_entry(struct dag *d, uint32_t at, uint32_t metadata_bytes)
{
    uint8_t metadata[WEFT_METADATA_BYTES_MAX] = {0};
    weft_id parents[4];
    uint32_t gen = 0;
    for (uint32_t i = 0; i < d->parents_count[at]; i++) {
        uint32_t parent = d->parents[at][i];
        parents[i] = d->ids[parent];
        if (d->gens[parent] + 1 > gen) gen = d->gens[parent] + 1;
    }
    d->gens[at] = gen;
    weft_entry_spec spec = {.tree = d->ids[0],
                            .parents = parents,
                            .parents_count = d->parents_count[at],
                            .height = gen,
                            .metadata = metadata,
                            .metadata_len = metadata_bytes};
    memcpy(metadata, &at, sizeof at);
    cr_assert_eq(weft_entry_build(&spec, d->key, &d->bufs[at], &d->ids[at]), WEFT_OK);
}

static uint32_t slot_of(const struct dag *d, const weft_id *id)
{
    uint32_t slot;
    memcpy(&slot, id->bytes, sizeof slot);
    for (slot %= d->index_size; d->index[slot] != 0; slot = (slot + 1) % d->index_size)
        if (weft_id_equal(&d->ids[d->index[slot] - 1], id)) break;
    return slot;
}

struct dag *dag_create(enum dag_shape shape, uint32_t count, uint64_t seed)
{
    return dag_create_fat(shape, count, seed, sizeof count);
}

struct dag *dag_create_fat(enum dag_shape shape, uint32_t count, uint64_t seed,
                           uint32_t metadata_bytes)
{
    struct dag_random r = {seed};
    uint8_t secret[32];
    weft_root_spec root = {.height = WEFT_HEIGHT_INCREMENTAL};
    struct dag *d = calloc(1, sizeof *d);
    d->count = count;
    d->bufs = calloc(count, sizeof(*d->bufs));
    d->ids = calloc(count, sizeof *d->ids);
    d->gens = calloc(count, sizeof *d->gens);
    d->parents = calloc(count, sizeof(*d->parents));
    d->parents_count = calloc(count, sizeof *d->parents_count);
    for (size_t i = 0; i < sizeof secret; i++) secret[i] = (uint8_t)dag_next(&r);
    for (size_t i = 0; i < sizeof root.entropy; i++) root.entropy[i] = (uint8_t)dag_next(&r);
    cr_assert_eq(weft_keypair_from_seed(secret, &d->key), WEFT_OK);
    cr_assert_eq(weft_root_build(&root, d->key, &d->bufs[0], &d->ids[0]), WEFT_OK);
    for (uint32_t at = 1; at < count; at++) {
        choose_parents(d, shape, &r, at);
        build_entry(d, at, metadata_bytes);
    }
    d->index_size = 2 * count + 1;
    d->index = calloc(d->index_size, sizeof *d->index);
    for (uint32_t at = 0; at < count; at++) d->index[slot_of(d, &d->ids[at])] = at + 1;
    return d;
}

void dag_destroy(struct dag *d)
{
    for (uint32_t i = 0; i < d->count; i++) weft_buf_unref(d->bufs[i]);
    free(d->bufs);
    free(d->ids);
    free(d->gens);
    free(d->parents);
    free(d->parents_count);
    free(d->index);
    weft_keypair_destroy(d->key);
    free(d);
}

uint32_t dag_find(const struct dag *d, const weft_id *id)
{
    uint32_t found = d->index[slot_of(d, id)];
    return found == 0 ? d->count : found - 1;
}

void dag_close(const struct dag *d, uint8_t *set)
{
    set[0] = 1;
    for (uint32_t at = d->count; at-- > 1;)
        for (uint32_t i = 0; set[at] && i < d->parents_count[at]; i++) set[d->parents[at][i]] = 1;
}

void dag_random_set(const struct dag *d, struct dag_random *r, uint32_t picks, uint8_t *set)
{
    memset(set, 0, d->count);
    for (uint32_t i = 0; i < picks; i++) set[dag_below(r, d->count)] = 1;
    dag_close(d, set);
}
