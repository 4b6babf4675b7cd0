/* SPDX-License-Identifier: Apache-2.0
 * alloc.c - each allocation of a store's life fails, and each operation of its
 * engine: a clean error then, and afterwards a store that has all it promised.
 * Called by: main.c. May touch: children of its own. Never: a disk. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/log.h>

#include "torture.h"

#define LIVES_PER_CHILD 50u
#define CHILD_SECONDS 120u
#define SWEEPS 4u /* of a kind: two lives, one failing or all after it */

struct sweep {
    tt_torture *t;
    tt_line *line;
    bool keeps;                   /* the lives of a store that is there already */
    uint32_t lives, met, refused; /* so far */
    uint32_t to_come;             /* sweeps, which share the time that is left */
    bool bad;
};

struct report { /* from a child */
    uint32_t lives, met, refused;
    bool past; /* the last site was passed */
    char why[256];
};

static const char *const kind_names[] = {"nothing", "allocation", "read", "write"};

static void ignore_line(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level, (void)facility, (void)line;
}

/* In the child: lives with the faults first, first + step, ... */
static void live_some(const struct sweep *s, tt_fault fault, uint32_t step, uint64_t last, int to)
{
    struct report report = {0};
    tt_life life;
    weft_log_to(ignore_line, NULL, WEFT_LOG_OFF); /* refusals are what is asked for */
    alarm(CHILD_SECONDS);
    for (uint32_t i = 0; i < LIVES_PER_CHILD && !report.past; i++, fault.nth += step) {
        bool good = tt_script_live(&s->t->history, &fault, s->keeps, &life);
        report.lives++;
        report.met += life.met || fault.kind == TT_WRITES;
        report.refused += life.refused > 0;
        if (!good)
            snprintf(report.why, sizeof report.why, "%s%s %llu%s: %s", s->keeps ? "keeping, " : "",
                     kind_names[fault.kind], (unsigned long long)fault.nth,
                     fault.persistent ? " and all after it" : "", life.why);
        report.past = !good || fault.nth + step > last || (fault.kind == TT_READS && !life.met);
    }
    if (write(to, &report, sizeof report) != (ssize_t)sizeof report) _exit(1);
    _exit(0);
}

/* One child. False: there is nothing left to do, or something was wrong. */
static bool one_child(struct sweep *s, const tt_fault *fault, uint32_t step, uint64_t last)
{
    int pipes[2], status = 0;
    struct report report = {0};
    fflush(stdout);
    if (pipe(pipes) != 0) tt_die("pipe");
    pid_t pid = fork();
    if (pid < 0) tt_die("fork");
    if (pid == 0) live_some(s, *fault, step, last, pipes[1]);
    close(pipes[1]);
    bool told = read(pipes[0], &report, sizeof report) == (ssize_t)sizeof report;
    close(pipes[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    s->lives += report.lives;
    s->met += report.met;
    s->refused += report.refused;
    s->bad = !told || report.why[0] != '\0';
    if (!told)
        tt_bad(s->line, "a life with %s %llu to %llu of step %u failing ended by signal %d",
               kind_names[fault->kind], (unsigned long long)fault->nth,
               (unsigned long long)(fault->nth + (LIVES_PER_CHILD - 1) * step), step,
               WTERMSIG(status));
    else if (s->bad) tt_bad(s->line, "%s", report.why);
    return !s->bad && !report.past;
}

/* All sites of a kind. `last` UINT64_MAX: until a life meets none. */
static void sweep(struct sweep *s, enum tt_kind kind, bool persistent, uint32_t step, uint64_t last)
{
    tt_fault fault = {.kind = kind, .nth = 1 + tt_below(s->t, step), .persistent = persistent};
    uint64_t now = tt_now(), end = s->t->deadline;
    end = now < end ? now + (end - now) / s->to_come : now;
    s->to_come--;
    while (!s->bad && one_child(s, &fault, step, last)) {
        fault.nth += (uint64_t)step * LIVES_PER_CHILD;
        if (tt_now() < end) continue;
        s->t->cut_short = UINT32_MAX;
        break;
    }
}

/* How many sites a life without faults has. */
static uint64_t count_sites(struct sweep *s, enum tt_kind kind)
{
    tt_fault none = {.kind = kind};
    tt_life life;
    weft_log_to(ignore_line, NULL, WEFT_LOG_OFF);
    bool good = tt_script_live(&s->t->history, &none, s->keeps, &life) &&
                tt_script_live(&s->t->history, &none, s->keeps, &life); /* the first fills pools */
    if (good && life.refused == 0 && life.acked > 10) return life.sites;
    tt_bad(s->line, "without any fault: %u refused, %u acknowledged; %s", life.refused, life.acked,
           life.why);
    s->bad = true;
    return 0;
}

/* Both kinds of lives, with one site failing and with all after it. How many sites. */
static uint64_t sweep_both(struct sweep *s, enum tt_kind kind, uint32_t step)
{
    uint64_t all = 0;
    for (int keeps = 0; keeps < 2 && !s->bad; keeps++) {
        s->keeps = keeps;
        uint64_t last = count_sites(s, kind);
        all += last;
        if (kind == TT_READS) last = UINT64_MAX;
        if (!s->bad) sweep(s, kind, false, step, last);
        if (!s->bad) sweep(s, kind, true, step, last);
    }
    return all;
}

void tt_alloc(tt_torture *t, const tt_work *work, tt_line *line)
{
    struct sweep s = {.t = t, .line = line, .to_come = SWEEPS};
    uint64_t sites = sweep_both(&s, TT_ALLOC, work->extra);
    if (s.bad) return;
    if (s.met == 0 || s.refused < s.met / 2)
        tt_bad(line, "only %u of %u were noticed", s.refused, s.met);
    else
        tt_ok(line, "%llu sites, %u lives with one failing (or all after it), 0 crashed, 0 lost",
              (unsigned long long)sites, s.met);
}

void tt_ops(tt_torture *t, const tt_work *work, tt_line *line)
{
    struct sweep s = {.t = t, .line = line, .to_come = 2 * SWEEPS};
    (void)sweep_both(&s, TT_WRITES, 1);
    uint32_t of_writes = s.met;
    if (!s.bad) (void)sweep_both(&s, TT_READS, work->extra);
    if (s.bad) return;
    if (s.refused < s.met / 2) tt_bad(line, "only %u of %u were noticed", s.refused, s.met);
    else
        tt_ok(line,
              "%u lives with a write failing, %u with a read (once, and from then on), 0 lost",
              of_writes, s.met - of_writes);
}
