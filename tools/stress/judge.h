/* SPDX-License-Identifier: Apache-2.0
 * judge.h - reads what every node left on disk and says what is wrong with it. */
#ifndef STRESS_JUDGE_H
#define STRESS_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/id.h>

#include "dag.h"
#include "plan.h"
#include "spoil.h"

struct judge_case {
    const char *dir; /* with the ledger and the nodes' directories           */
    uint32_t nodes;
    bool memory_store;
    weft_id tree;
    const struct dag *dag; /* NULL: no history                                     */
    uint64_t seed;
    enum spoil sabotage; /* done to what is judged first                        */
    uint32_t threads;
};
struct judge_node {
    uint64_t entries; /* whole and in the tree                                */
    uint64_t lost;    /* expected and not there                               */
    uint64_t tips;
};
struct judge_result {
    uint64_t entries;             /* expected on each node                                */
    uint64_t acked_live, unacked; /* unacked: announced, never acknowledged, there */
    uint64_t bytes;               /* of all distinct entries                              */
    uint64_t lost;                /* (node, entry) pairs                                  */
    uint64_t unexpected;          /* distinct entries that nobody announced               */
    uint64_t bad_bytes;           /* cannot be decoded, or are of another tree            */
    uint64_t bad_ids;             /* stored under an id that is not theirs                */
    uint64_t bad_signatures;
    uint64_t bad_shapes; /* of the history: other parents, payload or number     */
    uint64_t missing_parents;
    uint64_t bad_tips;    /* the index of tips disagrees with the entries         */
    uint64_t bad_indexes; /* the other indexes disagree with them         */
    bool tips_equal;      /* on all nodes                                         */
    struct judge_node node[PLAN_NODES_MAX];
};

/* EXIT_PASS: it could be judged, and *out says what was found. */
int judge_run(const struct judge_case *jc, struct judge_result *out, char *why, size_t why_len);
/* Is nothing wrong? If something is, `why` gets the first fault in words. */
bool judge_clean(const struct judge_result *r, char *why, size_t why_len);

#endif
