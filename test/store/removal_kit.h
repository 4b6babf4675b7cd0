/* SPDX-License-Identifier: Apache-2.0
 * removal_kit.h - which rows of an engine belong to a tree's number, and what they come to.
 * Called by: tests of removal. Never: the product. */
#ifndef REMOVAL_KIT_H
#define REMOVAL_KIT_H

#include "kv.h"

struct rm_rows {
    uint64_t count;
    uint8_t digest[32]; /* over family, key and value of each, in their order */
};
/* The rows of tree `t`, of all families; 0: those of no tree's number (policies, records, but for
 * the record of the format). */
struct rm_rows rm_rows_of(wf_kv *kv, uint64_t t);
bool rm_same(const struct rm_rows *a, const struct rm_rows *b);
/* Of a removed tree just the row is left that says so. */
bool rm_is_gone(wf_kv *kv, uint64_t t);

#endif
