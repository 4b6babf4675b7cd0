/* SPDX-License-Identifier: Apache-2.0
 * catalog.h - every distinct entry of a run: expected ones, and those that were found. */
#ifndef STRESS_CATALOG_H
#define STRESS_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/entry.h>

struct item {
    weft_id id;
    bool expected;   /* acknowledged, or the tree's root                    */
    bool found;      /* its bytes were read at least once: then the rest holds */
    bool sound;      /* the signature verifies (after catalog_verify)       */
    uint64_t number; /* of a history's row; UINT64_MAX: it is none          */
    size_t bytes_at; /* into catalog.bytes                                  */
    uint32_t len;
    uint32_t parents_count; /* tree and store parents together, as they stand      */
    size_t parents_at;      /* into catalog.parents                                */
};
struct catalog {
    struct item *items;
    size_t count, room;
    uint32_t *slots; /* index and one, by id; a power of two, at most half full */
    size_t slots_size;
    uint8_t *bytes;
    size_t bytes_len, bytes_room;
    weft_id *parents;
    size_t parents_len, parents_room;
};

/* The index of an id, or -1. */
int64_t catalog_find(const struct catalog *cat, const weft_id *id);
/* The index of an id, which is put in if it is new. */
uint32_t catalog_put(struct catalog *cat, const weft_id *id);
/* Keeps the bytes and parents of a decoded entry, once. Its index. */
uint32_t catalog_found(struct catalog *cat, const weft_entry *entry);
/* Checks the signatures of all found entries on all cores. How many do not verify;
 * a signal ends it early. */
uint64_t catalog_verify(struct catalog *cat, uint32_t threads);
void catalog_free(struct catalog *cat);

#endif
