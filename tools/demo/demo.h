/* SPDX-License-Identifier: Apache-2.0
 * demo.h - one showing of weft-demo and what it found out. */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include "cluster.h"
#include "dag.h"
#include "judge.h"

struct demo {
    bool fast, keep;
    const char *dag_path, *json;
    uint64_t seed;
    FILE *out; /* the lines                                      */
    char *dir;
    struct dag dag;
    struct plan plan;
    struct cluster cluster;
    struct judge_result judged;
    uint64_t begun_ns, shown_ns;
    bool terminal;
    bool bar;          /* a bar of progress is wanted now                */
    uint64_t bar_from; /* entries that the nodes held when it began      */
    uint64_t acked_before_kill;
    uint32_t refused; /* hostile acts that were refused                 */
    uint32_t acts;    /* ... that were tried                            */
    bool untrue;      /* a line that was shown is not true              */
    int code;
    char why[1000];
};

/* Prints a line, and remembers if it is not true. Returns `holds`. */
bool demo_line(struct demo *d, bool holds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* script.c: everything up to the last table; d->code is the answer. */
void demo_play(struct demo *d);
/* attack.c: bad things are tried on one node. An exit code. */
int demo_attack(struct demo *d);
/* actors.c: messages without a node. An exit code. */
int demo_actors(struct demo *d);
/* The key of the reader that turns bad; it opens its node. */
int demo_attacker_open(struct demo *d, weft_key *out);
void demo_attacker_close(void);

#endif
