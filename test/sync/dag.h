/* SPDX-License-Identifier: Apache-2.0
 * dag.h - random histories of real, signed entries in the shapes of PROTOCOL section 1.
 * Called by: the tests of diff, reader and verify. Never: the product. */
#ifndef DAG_H
#define DAG_H

#include <weft/entry.h>

enum dag_shape {
    DAG_CHAIN,
    DAG_WIDE,      /* 16 writers, 30 % merges                        */
    DAG_SCATTERED, /* each new entry hangs on a random old one       */
    DAG_STAR,      /* all children of the root                       */
    DAG_BEHIND,    /* a chain, and side branches merged much later   */
    DAG_OFFLINE,   /* a busy world, and a chain that hangs far back  */
    DAG_COMB,      /* chains that never merge, forked at any depth   */
    DAG_FORK,      /* one chain, in the last twentieth two       */
    DAG_SHAPES
};
extern const char *const dag_shape_names[DAG_SHAPES];

struct dag_random { /* SplitMix64 */
    uint64_t state;
};
uint64_t dag_next(struct dag_random *r);
uint32_t dag_below(struct dag_random *r, uint32_t bound);

struct dag {
    uint32_t count; /* entry 0 is the root; parents come before children */
    weft_buf **bufs;
    weft_id *ids;
    uint32_t *gens;
    uint32_t (*parents)[4];
    uint32_t *parents_count;
    weft_keypair *key;
    uint32_t *index; /* by the first bytes of the id */
    uint32_t index_size;
};
uint32_t dag_fork_at(uint32_t count); /* the last common entry of DAG_FORK */
struct dag *dag_create(enum dag_shape shape, uint32_t count, uint64_t seed);
struct dag *dag_create_fat(enum dag_shape shape, uint32_t count, uint64_t seed,
                           uint32_t metadata_bytes); /* 4 .. WEFT_METADATA_BYTES_MAX */
void dag_destroy(struct dag *dag);
uint32_t dag_find(const struct dag *dag, const weft_id *id); /* count: not in it */

/* set[i] != 0: entry i is a member. All that hang above one of `picks` random entries:
 * a random closed set; the root is always in it. */
void dag_close(const struct dag *dag, uint8_t *set);
void dag_random_set(const struct dag *dag, struct dag_random *r, uint32_t picks, uint8_t *set);

#endif
