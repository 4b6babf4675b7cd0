/* SPDX-License-Identifier: Apache-2.0
 * grow.h - histories of any size in a few shapes, put into a store and asked about.
 * Called by: store_grow.c. Never: weft below its public interface. */
#ifndef WF_BENCH_GROW_H
#define WF_BENCH_GROW_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/dag.h>
#include <weft/node.h>

#define GROW_PARENTS_MAX 64u
#define GROW_TIMEOUT (600 * WEFT_SEC)

enum grow_kind { GROW_CHAIN, GROW_WIDE, GROW_SCATTERED, GROW_STAR, GROW_REAL };

/* Entry 0 is the root of the tree; parents come before children. */
struct grow_shape {
    const char *name;
    enum grow_kind kind;
    uint32_t count;       /* of a real one: all its entries; else 0 */
    uint32_t *parents;    /* of a real one: those of all entries... */
    uint32_t *parents_at; /* ...and where those of each begin       */
    uint32_t *sizes;      /* of payloads                            */
};
/* Reads the table of a real history (weft-stress --dag). False: it cannot be read. */
bool grow_shape_load(struct grow_shape *shape, const char *path);
void grow_shape_free(struct grow_shape *shape);
uint32_t grow_parents(const struct grow_shape *shape, uint32_t i, uint32_t out[GROW_PARENTS_MAX]);

/* What taking in a history came to. */
struct grow_taken {
    double seconds;
    uint64_t entry_bytes; /* canonical, of all */
};
/* Builds the first `count` entries and adds them to a new node in `dir`, on that engine, which is
 * closed then; their ids go to the file `ids`. Ends the process with a sentence if that fails. */
struct grow_taken grow_take(const struct grow_shape *shape, uint32_t count, weft_engine engine,
                            const char *dir, const char *ids);

enum grow_question {
    ASK_OPEN,      /* the node, closed cleanly before                               */
    ASK_GET,       /* one entry by its id, for the first time                       */
    ASK_TIPS,      /* at most 256                                                   */
    ASK_VIEW,      /* opening a weft_dag                                            */
    ASK_BASE,      /* merge base of the two newest entries                          */
    ASK_BETWEEN,   /* from the entry ten arrivals back to the newest                */
    ASK_PATH,      /* from the tenth ancestor to the newest                         */
    ASK_TIPS_AT,   /* as they were at the entry ten arrivals back                   */
    ASK_REACH,     /* is the tenth ancestor below the newest                        */
    ASK_REACH_FAR, /* is the entry that arrived 1,000 before it                          */
    ASK_DIGEST,    /* of the root, after a commit                                   */
    ASK_RANGE,     /* digest of the upper half of the gens                          */
    ASK_COMMIT,    /* durable, by a writer: each of the first joins what tips it may        */
    ASK_LATER,     /* the same after 100 more, when few tips may be left                    */
    ASK_QUESTIONS
};
extern const char *const grow_questions[ASK_QUESTIONS];
/* Median microseconds of each. */
void grow_ask(uint32_t count, const char *dir, const char *ids, double us[ASK_QUESTIONS]);

void grow_must(weft_err err, const char *what);
double grow_seconds(void); /* of the monotonic clock */
weft_keypair *grow_author(void);

#endif
