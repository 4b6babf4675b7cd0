/* SPDX-License-Identifier: Apache-2.0
 * spoil.h - what --sabotage does to a run, so that each exit code is seen to come. */
#ifndef STRESS_SPOIL_H
#define STRESS_SPOIL_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/err.h>

enum spoil {
    SPOIL_NOTHING,
    SPOIL_LOSE,     /* an acknowledged entry is deleted before the verification: exit 5 */
    SPOIL_FLIP,     /* a byte of what a node left is changed before it: exit 7          */
    SPOIL_NEWER,    /* a store says that a later version wrote it: exit 8               */
    SPOIL_STRANGER, /* nodes expect keys that their peers do not have: exit 6           */
    SPOIL_COUNT
};
extern const char *const spoil_names[SPOIL_COUNT];

/* FLIP and NEWER, on what node `index` left in `dir`. NOT_FOUND: there is nothing to spoil. */
weft_err spoil_store(enum spoil what, const char *dir, uint32_t index, bool memory_store);

#endif
