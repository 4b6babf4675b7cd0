/* SPDX-License-Identifier: Apache-2.0
 * actor.h - one workload of actors, or of a store, while it runs, and what its rooms share.
 * A workload spawns its actors (start), is watched while they work, is told to stop, and says
 * afterwards what was wrong (judge). Everything that two threads touch is in `struct work`. */
#ifndef STRESS_ACTOR_H
#define STRESS_ACTOR_H

#include <stdio.h>

#include "actor_check.h"
#include "hist.h"
#include "kit.h"
#include "options.h"

#define LOAD_NOTES_MAX 12u
#define STORE_LIFE_NS (5 * WEFT_SEC) /* more for each kill that is not done when the time is over */

struct meter { /* of one actor, which alone writes it */
    _Alignas(64) uint64_t ops;
    uint64_t refused;    /* FULL                                         */
    struct hist latency; /* from the time at which it should have begun  */
    struct hist service; /* from its actual beginning (open loop only)   */
};
struct sample { /* one interval */
    double at_seconds, ops_per_second;
    uint64_t p50_ns, p99_ns, max_ns, pending;
    unsigned long rss_kb;
};
struct note { /* what only this workload has to say */
    const char *name;
    uint64_t value;
};
struct work {
    const struct options *options;
    const struct load *load;
    struct load_shape shape;
    uint64_t seed;
    weft_rt *rt;
    weft_group *group; /* --place group   */
    weft_addr *host;   /* --place parent: spawns the others */
    weft_kind kind;    /* load_msg and its payload */
    struct check check;
    struct meter *meters; /* shape.actors + shape.producers */
    uint32_t meters_count;
    void *own; /* the workload's */
    /* atomics, by the calls below */
    uint32_t stopping, measuring, producing;
    uint32_t sabotage_left; /* 1: the planted fault is still to come */
    uint32_t faults;
    int fault_code;  /* of kit.h: of the first one */
    char fault[300]; /* its words */
    /* by the watching thread */
    double seconds; /* measured */
    uint64_t ops;
    struct hist latency, service;
    uint64_t refused, pending_max;
    struct check_result checked;
    struct sample *samples;
    size_t samples_count, samples_room;
    struct note notes[LOAD_NOTES_MAX];
    uint32_t notes_count;
    int code; /* of kit.h */
    char why[300];
};
struct load {
    const char *name;
    const char *unit; /* of an operation, in the plural */
    const char *about;
    struct load_shape shape; /* defaults */
    bool may_die;            /* some of its messages become dead letters, each of them counted */
    bool stores;             /* loads a store: threads instead of actors, commits, no messages */
    void (*start)(struct work *w);
    uint64_t (*pending)(const struct work *w); /* NULL: messages under way */
    /* The actors have ended. Adds notes and faults. May be NULL. */
    void (*judge)(struct work *w);
    void (*end)(struct work *w); /* w->code is what it will be; frees w->own. May be NULL. */
};
extern const struct load load_pingpong, load_fanin, load_fanout, load_mesh, load_ring, load_big,
    load_spawn, load_bounded, load_timer, load_crash, load_priority, load_put, load_mixed,
    load_recover;
extern const struct load *const loads[OPTIONS_LOADS];

/* actor_run.c: every workload that was asked for, one after the other. An exit code. */
int loads_run(const struct options *o);

/* actor_work.c */
/* Makes where the actors are to be: a group, a host. */
void work_open(struct work *w);
/* Spawns; the address is the caller's. A failure is a fault, and *out stays. */
bool work_spawn(struct work *w, const weft_spec *spec, weft_addr **out);
/* Where it is to run, and what its mailbox is to do, as the options say; spawned by work_spawn or,
 * within an actor, by weft_spawn_child. */
void work_place(const struct work *w, weft_spec *spec);
bool work_stopping(const struct work *w);
void work_producing(struct work *w, int more); /* so many more (or fewer) go on producing */
bool work_measuring(const struct work *w);
/* Says once in words what is wrong; later ones are only counted. Any thread. */
void work_fault(struct work *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what is not an invariant that is broken: `code` is the exit code. */
void work_fail(struct work *w, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void work_note(struct work *w, const char *name, uint64_t value); /* in judge */
/* Counts one operation, and how long it took if its begin is known (0: not). */
void work_done(struct work *w, struct meter *m, uint64_t due_ns, uint64_t sent_ns);

/* A filled message of the pair's next number, or NULL when memory is short (a fault). */
struct load_msg *work_message(struct work *w, uint32_t from, uint32_t to, uint64_t due_ns);
/* Makes `m`, which its receiver holds, the next message of another pair. */
void work_reuse(struct work *w, struct load_msg *m, uint32_t from, uint32_t to);
/* Sends it, or does to it what --sabotage says. On other than OK it is still the caller's. */
weft_err work_send(struct work *w, weft_addr *to, struct load_msg *m);

/* actor_report.c */
void load_live(const struct work *w, double at_seconds, const struct sample *s, bool last);
void load_table_head(const struct options *o, FILE *to);
void load_table_row(const struct work *w, FILE *to);
void load_table_end(const struct work *works, uint32_t count, int code, FILE *to);
/* 0, or -1 with errno. */
int load_json(const struct options *o, const struct work *works, uint32_t count, int code,
              const char *path);
int load_hgrm(const struct work *w, const char *prefix);

#endif
