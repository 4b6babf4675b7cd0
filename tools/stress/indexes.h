/* SPDX-License-Identifier: Apache-2.0
 * indexes.h - the indexes of a store on disk, held against the entries themselves. */
#ifndef STRESS_INDEXES_H
#define STRESS_INDEXES_H

#include "catalog.h"
#include "evidence.h"

/* gen of every found item: 1 + the highest gen of its parents, 0 without any; free it.
 * Items whose parents were found nowhere, or that are their own ancestors: UINT64_MAX. */
uint64_t *indexes_gens(const struct catalog *cat);
/* Reads every index of the store from one end to the other. `here`: one byte for each
 * item, not 0 where the store has its bytes. *out_faults: records that are wrong, and
 * records that are missing. Several threads may do this for several stores. */
weft_err indexes_check(struct evidence *ev, const struct catalog *cat, const uint64_t *gens,
                       const uint8_t *here, uint64_t *out_faults);

#endif
