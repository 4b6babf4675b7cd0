/* SPDX-License-Identifier: Apache-2.0
 * run.h - one run of weft-stress and everything that is known about it. */
#ifndef STRESS_RUN_H
#define STRESS_RUN_H

#include "cluster.h"
#include "dag.h"
#include "judge.h"
#include "options.h"
#include "rate.h"

enum phase {                /* in order; what a phase did not reach took no time */
             PHASE_PREPARE, /* reading the history, starting the nodes                    */
             PHASE_IMPORT,  /* at node 0                                                  */
             PHASE_SYNC,    /* from the first dial until every node holds the history     */
             PHASE_LIVE,
             PHASE_SETTLE, /* kills that were left, until all nodes are equal            */
             PHASE_STOP,
             PHASE_VERIFY,
             PHASE_COUNT
};
extern const char *const run_phase_names[PHASE_COUNT];

struct run {
    const struct options *options;
    char *dir;
    struct dag dag;
    struct plan plan;
    struct cluster cluster;
    struct rate rate;
    struct judge_result judged;
    bool verified; /* the judge has spoken                             */
    enum phase phase;
    uint64_t begun_ns, phase_ns;
    double seconds[PHASE_COUNT];
    uint64_t received_in_sync; /* entries, all nodes together                      */
    uint64_t cpu_in_sync_ns;   /* time on cores, all nodes together                */
    uint32_t kills_done;
    uint64_t kill_at_ns; /* of the next kill, when the history is complete; 0: not drawn */
    uint64_t shown_ns;   /* progress */
    struct fired {       /* what became of plan.kills[] */
        bool done;
        enum phase phase;
        uint32_t held;     /* of the history, in thousandths, when the victim died */
        double at_seconds; /* since the run began */
    } * fired;
    int code;
    char why[1000]; /* the first thing that went wrong                  */
};

/* Runs it all; r->code is the answer. Leaves the nodes ended and the directory in place. */
void run_all(struct run *r);
/* Time on a core for each entry that a node received in the sync phase: sending and
 * receiving, all nodes together. */
double run_sync_cpu_us(const struct run *r);
/* Entries per second that all nodes together received and verified in the sync phase. */
double run_sync_rate(const struct run *r);

/* progress.c */
void progress_show(struct run *r);
void progress_end(struct run *r);
/* report.c */
void report_table(const struct run *r, FILE *to);
/* 0, or -1 with errno. */
int report_json(const struct run *r, const char *path);

#endif
