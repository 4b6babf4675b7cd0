/* SPDX-License-Identifier: Apache-2.0
 * dag_kit.h - histories with a named store in them, and a plain model of what is asked
 * about them. Called by: test_dag*.c. Never: the product. */
#ifndef DAG_KIT_H
#define DAG_KIT_H

#include "entry_kit.h"

enum dk_shape {
    DK_CHAIN,
    DK_WIDE,       /* eight writers, some merges                    */
    DK_SCATTERED,  /* each hangs on a random old one                */
    DK_STAR,       /* all children of the root                      */
    DK_BEHIND,     /* two chains by turns that now and then join    */
    DK_DIAMONDS,   /* split in two and joined, again and again      */
    DK_CRISSCROSS, /* layers of two, each on both of the one below */
    DK_OCTOPUS,    /* random ones with up to eight parents          */
    DK_SHAPES
};
extern const char *const dk_shape_names[DK_SHAPES];

#define DK_PARENTS_MAX 12u
#define DK_DOC "doc" /* the store that a part of the entries write */

struct dk_edges {
    uint32_t at[DK_PARENTS_MAX], count;
};
struct dk {
    uint32_t count; /* entry 0 is the root; parents come before children */
    weft_id *ids;   /* ids[0] is the tree's                              */
    weft_buf **bufs;
    uint64_t *gens, *heights;
    bool *writes;          /* writes DK_DOC                           */
    struct dk_edges *tree; /* tree and store parents together         */
    struct dk_edges *doc;  /* store parents                           */
    uint8_t *below[2];     /* [doc][i * count + j]: j at or below i   */
};
/* `doc`: some entries write DK_DOC, with parents in it. Models only with `model`. */
struct dk *dk_create(enum dk_shape shape, uint32_t count, weft_height strategy, uint64_t seed,
                     bool doc, bool model, const weft_keypair *author);
void dk_destroy(struct dk *dk);
uint32_t dk_find(const struct dk *dk, const weft_id *id); /* count: not in it */

#endif
