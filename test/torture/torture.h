/* SPDX-License-Identifier: Apache-2.0
 * torture.h - what the rooms of weft-torture share: the history, the ledger of what was
 * promised, the victim that is killed, the judge, the kit.
 * Called by: the rooms of weft-torture. Never: the product. */
#ifndef TORTURE_H
#define TORTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "store_actor.h"

/* -- history.c: signed entries, built once per run -------------------------------------- */

#define TT_LANES 4u      /* writers beside each other, each with entries of its own */
#define TT_ROOT TT_LANES /* one more lane, of one commit: the root                  */
#define TT_ENTRIES_PER_LANE 1000u
#define TT_ENTRIES (1u + TT_LANES * TT_ENTRIES_PER_LANE)
#define TT_COMMIT_ENTRIES_MAX 8u
#define TT_COMMITS_MAX TT_ENTRIES_PER_LANE

typedef struct tt_history {
    uint64_t seed;
    weft_buf *bufs[TT_ENTRIES];
    weft_id ids[TT_ENTRIES]; /* 0: the root */
    uint32_t commits[TT_LANES + 1];
    /* Commit c of a lane holds the entries [begins[lane][c], begins[lane][c + 1]). */
    uint32_t begins[TT_LANES + 1][TT_COMMITS_MAX + 1];
} tt_history;
void tt_history_build(tt_history *h, uint64_t seed); /* ends the program if it cannot */
void tt_history_save(const tt_history *h, const char *path);
void tt_history_load(tt_history *h, const char *path);
struct wf_commit *tt_history_commit(const tt_history *h, uint32_t lane, uint32_t commit);

/* -- The ledger: what was announced and what was acknowledged ------------------------------ */

enum {
    TT_UNSAID,
    TT_LOOSE, /* announced, and a part of it may be there: a frame, or a commit that failed inside */
    TT_ANNOUNCED,
    TT_ACKED
};
typedef struct tt_ledger {
    uint8_t said[TT_LANES + 1][TT_COMMITS_MAX];
    uint32_t sound[TT_LANES + 1]; /* commits, from the first, that a judge has seen whole */
} tt_ledger;

/* -- judge.c: is what is there what was promised? ------------------------------------------- */

typedef struct tt_verdict {
    uint32_t lost;        /* acknowledged commits that are not there                  */
    uint32_t torn;        /* commits of which a part is there                         */
    uint32_t unannounced; /* commits that are there although nobody asked for them     */
    uint32_t faults;      /* that wf_store_check found, and counts that do not fit     */
    uint32_t entries;     /* that are there                                           */
    uint32_t acked;       /* commits that were promised                               */
    uint32_t sound[TT_LANES + 1];
} tt_verdict;
/* `whole`: every commit and every byte of the store, else what is new since ledger->sound.
 * Errors of the engine: then there is no verdict. */
weft_err tt_judge(wf_store *store, const tt_history *h, const tt_ledger *ledger, bool whole,
                  tt_verdict *out);
bool tt_verdict_good(const tt_verdict *v);

/* -- victim.c: a process that commits until something happens to it ------------------------- */

enum tt_what {
    TT_INTENT,
    TT_ACK,
    TT_FAILED,
    TT_NO_OPEN,
    TT_NO_VERDICT,
    TT_VERDICT,
    TT_READ,
    TT_END
};
typedef struct tt_note { /* victim -> torture, by a pipe that outlives the victim */
    uint32_t what, lane, commit;
    int32_t err;
    tt_verdict verdict;
    uint32_t read, unread; /* TT_READ: entries that could be read, and that could not */
} tt_note;

enum tt_leave { TT_CLOSE, TT_DROP };
typedef struct tt_plan { /* what a victim does: opens, judges, commits, leaves */
    const char *dir;
    bool whole;       /* the judge looks at everything                                */
    uint32_t level;   /* enum wf_durability of its commits                            */
    uint32_t herd;    /* of the store actor's options                                 */
    uint32_t lanes;   /* that commit beside each other; 0: it only looks              */
    uint32_t commits; /* at most so many of each lane                                 */
    enum tt_leave leave;
    bool refill; /* after its commits it reads everything, and for each byte on its standard
                  * input it commits and reads once more                                   */
    bool small;  /* its engine takes as little memory and disk as it can                       */
} tt_plan;
int tt_victim_main(int argc, char **argv); /* of the process that tt_child_start makes */

/* -- kit.c: directories, children, chance, time ---------------------------------------------- */

typedef struct tt_torture {
    uint64_t seed, random;
    uint64_t deadline;     /* of the room that runs, by tt_now */
    uint64_t stop;         /* of all: from then on no second round begins, nor a room */
    uint32_t cut_short;    /* rounds that there was no time for all of; UINT32_MAX: of no number */
    char dir[128];         /* of this run; kept if something failed */
    const char *self;      /* this program */
    enum wf_engine engine; /* of the stores of the room that runs */
    tt_history history;
} tt_torture;

uint64_t tt_now(void); /* nanoseconds, monotonic */
void tt_sleep_until(uint64_t at);
uint64_t tt_random(tt_torture *t);
uint32_t tt_below(tt_torture *t, uint32_t bound);
/* True while the room should do one more round: fewer than `wanted` are done, and there is
 * time or fewer than `least` are done. If it is the time, that will be said. */
bool tt_go_on(tt_torture *t, uint32_t done, uint32_t wanted, uint32_t least);
_Noreturn void tt_die(const char *what); /* this program itself cannot go on; with errno */

void tt_path(char *out, size_t room, const char *dir, const char *name);
void tt_dir_make(const char *dir); /* removes what was there */
void tt_dir_remove(const char *dir);
void tt_dir_copy(const char *from, const char *to); /* plain files only */
/* Runs a program and waits; its standard output and error go to the run's log. The exit code,
 * or -1 if it could not be started or was killed. */
int tt_run(tt_torture *t, const char *const *argv);
bool tt_has_program(const char *name);
/* From now on this process mounts for itself and its children only. False: not allowed. */
bool tt_mounts_private(void);

typedef struct tt_child {
    pid_t pid;
    int notes; /* the end to read from */
    int go;    /* its standard input   */
    tt_ledger *ledger;
    bool ended;   /* the pipe is closed: nobody is left                */
    bool open;    /* TT_VERDICT came                                   */
    tt_note last; /* the last of VERDICT, NO_OPEN, NO_VERDICT          */
    tt_note read; /* the last READ                                     */
    bool was_read;
    uint32_t acked; /* commits acknowledged to us, of this child       */
    uint32_t failed;
    int32_t fail_err; /* of the first that failed                      */
    int status;       /* as of waitpid, after tt_child_wait            */
} tt_child;
/* Starts a program with those for its standard output and input; its errors go to the run's log. */
void tt_spawn(tt_torture *t, const char *const *argv, int out, int in, pid_t *pid);
/* Starts a victim; what it says goes to `ledger`. `before` (NULL: nothing) is a command line
 * that runs it, without the victim's own. */
void tt_child_start(tt_torture *t, const tt_plan *plan, tt_ledger *ledger,
                    const char *const *before, tt_child *out);
/* Listens until `at`, the end, or (if `until` says so after a note) earlier. */
void tt_child_listen(tt_child *c, uint64_t at, bool (*until)(const tt_child *c));
bool tt_child_said(const tt_child *c); /* an until: verdict or refusal */
void tt_child_kill(tt_child *c);       /* SIGKILL, listens to what is left, waits */
/* Listens to the end and waits; after `timeout` it is killed: false. */
bool tt_child_wait(tt_child *c, uint64_t timeout);

/* A victim that only looks, in a process of its own. True: it could open, and said OK. What is
 * wrong stands in `why` (at least 200 bytes). */
bool tt_look(tt_torture *t, const char *dir, tt_ledger *ledger, bool whole, char *why);
void tt_verdict_text(const tt_verdict *v, char *out, size_t room);

/* -- heal.c: a process that makes damaged stores whole again ---------------------------------- */

enum tt_heal_how { /* a whole store, closed */
                   TT_NOT_HEALED,
                   TT_HEALED_IN_PLACE, /* a node opened it as it was, and all could be read soon; a
                                        * block that is bad is gone since the next opening        */
                   TT_HEALED_AT_OPEN,  /* a node made it anew when it opened it                   */
                   TT_HEALED_BY_FSCK, /* what could be read is in a new store, the rest from the peer */
                   TT_HEALED_ANEW, /* nothing could be read: all is from the peer             */
                   TT_HEAL_HOWS
};
typedef struct tt_heal_order { /* torture -> healer */
    char dir[160];             /* the damaged store            */
    char work[160];            /* where new ones may be made   */
} tt_heal_order;
typedef struct tt_healed { /* healer -> torture */
    uint32_t how;
    int32_t err;      /* of the node on the store */
    bool readable;    /* every entry has its bytes */
    uint32_t missing; /* entries whose bytes were nowhere in the damaged store */
    uint32_t fetched; /* that the peer has sent                                */
    char why[120];    /* what is wrong with the store */
} tt_healed;
int tt_healer_main(int argc, char **argv);

typedef struct tt_healer {
    pid_t pid; /* 0: none runs */
    int to, from;
} tt_healer;
/* Has the store healed, by a process that lives on for the next one; a whole store holds the
 * root and `commits` of each lane. False: it could not be, and `why` (200 bytes) says why. */
bool tt_heal(tt_torture *t, tt_healer *h, uint32_t commits, const char *dir, tt_healed *out,
             char *why);
/* False: it did not end well. */
bool tt_healer_end(tt_healer *h);

/* -- pair.c: two nodes over TCP that commit and agree ----------------------------------------- */

typedef struct tt_pair_said {  /* pair -> torture, once */
    int32_t err;               /* of the step that failed      */
    uint32_t acked;            /* commits of both              */
    uint32_t tries;            /* syncs until they agreed      */
    uint32_t lost, faults;     /* by a look                    */
    uint64_t wall_ns, mono_ns; /* that its clocks went on     */
    char step[40];
} tt_pair_said;
int tt_pair_main(int argc, char **argv);

typedef struct tt_pair { /* that process from outside */
    tt_torture *t;
    char dir[160], trace[160], count[16];
    pid_t pid;
    int said, go; /* it begins when it reads a byte of `go` */
} tt_pair;
void tt_pair_init(tt_pair *p, tt_torture *t, const char *name, uint32_t commits);
/* `before`: as of tt_child_start; `how`: "live" or "look". */
void tt_pair_start(tt_pair *p, const char *const *before, const char *how);
/* What it says at its end. False: `why` (200 bytes). */
bool tt_pair_end(tt_pair *p, tt_pair_said *said, char *why);
/* A process that nobody disturbs reads all that was acknowledged, on both sides. */
bool tt_pair_look(tt_pair *p, char *why);

/* -- script.c: one life of a store in the simulator, with one fault -------------------------- */

enum tt_kind { TT_NONE, TT_ALLOC, TT_READS, TT_WRITES };
typedef struct tt_fault {
    enum tt_kind kind;
    uint64_t nth;    /* from 1; 0: nothing fails, only counts        */
    bool persistent; /* it and all after it, until the life has ended */
} tt_fault;
typedef struct tt_life {
    bool met;         /* the fault came                                            */
    uint64_t sites;   /* allocations, or writes, that a life has (nth 0)           */
    uint32_t acked;   /* commits that were acknowledged                            */
    uint32_t refused; /* answers that were not OK                                  */
    char why[200];    /* what was wrong: an answer that is not one, or a bad store */
} tt_life;
/* Lives once and judges what is left of it. False: out->why. `keeps`: not a new store, but
 * one that is there as a copy; it is restored, checked, salvaged, loses its disk for a while
 * and is opened again. */
bool tt_script_live(const tt_history *h, const tt_fault *fault, bool keeps, tt_life *out);

/* -- The rooms ------------------------------------------------------------------------------------ */

enum tt_outcome { TT_OK, TT_BAD, TT_SKIP };
typedef struct tt_line {
    enum tt_outcome outcome;
    char text[480];
} tt_line;
typedef struct tt_work {
    uint32_t rounds, least; /* how many; how many at least, whatever the time */
    uint32_t extra;         /* rounds of the control, or the size of a step   */
} tt_work;
void tt_bad(tt_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tt_ok(tt_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tt_skip(tt_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

void tt_kill9(tt_torture *t, const tt_work *work, tt_line *line);
void tt_powercut(tt_torture *t, const tt_work *work, tt_line *line);
void tt_syscalls(tt_torture *t, const tt_work *work, tt_line *line);
void tt_flip(tt_torture *t, const tt_work *work, tt_line *line);
void tt_full(tt_torture *t, const tt_work *work, tt_line *line);
void tt_alloc(tt_torture *t, const tt_work *work, tt_line *line);
void tt_ops(tt_torture *t, const tt_work *work, tt_line *line);
void tt_eintr(tt_torture *t, const tt_work *work, tt_line *line);
void tt_faketime(tt_torture *t, const tt_work *work, tt_line *line);

#endif
