/* SPDX-License-Identifier: Apache-2.0
 * syscalls.c - a short life of a store that ends at its n-th writing system call, for each n.
 * Called by: main.c. May touch: a new store for each n; strace, which does the killing.
 * Never: decides by itself which calls matter: all that change the disk are in the list. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "torture.h"

#define CALLS \
    "write,pwrite64,writev,pwritev,fdatasync,fsync,rename,ftruncate,unlink,openat,mkdir,fallocate"
#define COMMITS 6u /* of one lane: open, root, commits, close */
#define LIFE_NS (60 * WEFT_SEC)
#define END_MAX 20000u

enum end { CUT, WHOLE, WRONG };

/* One life that is cut at call `nth`. WHOLE: it has fewer calls and ended by itself. */
static enum end live(tt_torture *t, const char *dir, uint32_t nth, uint32_t *acked, char *why)
{
    char inject[160];
    tt_ledger ledger = {0};
    tt_plan plan = {.dir = dir, .lanes = 1, .commits = COMMITS, .leave = TT_CLOSE};
    tt_child c;
    snprintf(inject, sizeof inject, "inject=" CALLS ":signal=KILL:when=%u", nth);
    const char *before[] = {"strace", "-f",           "-qq", "-o",   "/dev/null",
                            "-e",     "trace=" CALLS, "-e",  inject, NULL};
    tt_dir_remove(dir);
    tt_child_start(t, &plan, &ledger, before, &c);
    if (!tt_child_wait(&c, LIFE_NS)) return snprintf(why, 200, "it hung"), WRONG;
    *acked += c.acked;
    bool whole = WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0;
    if (c.failed > 0)
        return snprintf(why, 200, "a commit failed: %s", weft_errname(c.fail_err)), WRONG;
    if (whole && c.acked != COMMITS + 1)
        return snprintf(why, 200, "it ended with %u commits", c.acked), WRONG;
    if (c.last.what == TT_NO_OPEN)
        return snprintf(why, 200, "a new store: %s", weft_errname(c.last.err)), WRONG;
    if (!tt_look(t, dir, &ledger, true, why)) return WRONG;
    why[0] = '\0';
    return whole ? WHOLE : CUT;
}

void tt_syscalls(tt_torture *t, const tt_work *work, tt_line *line)
{
    const char *probe[] = {
        "strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=chdir:signal=KILL", "true", NULL};
    char dir[160], why[200] = "";
    uint32_t cuts = 0, acked = 0, nth = 1 + tt_below(t, work->extra);
    enum end end = CUT;
    if (!tt_has_program("strace") || tt_run(t, probe) != 0) {
        tt_skip(line, "there is no strace, or it may not trace here");
        return;
    }
    tt_path(dir, sizeof dir, t->dir, "syscalls");
    while (end == CUT && nth < END_MAX && tt_go_on(t, cuts, UINT32_MAX, work->least)) {
        end = live(t, dir, nth, &acked, why);
        cuts += end == CUT;
        nth += end == CUT ? work->extra : 0;
    }
    if (end == WRONG) tt_bad(line, "killed at call %u of a thread: %s", nth, why);
    else if (cuts == 0) tt_bad(line, "nothing was killed");
    else
        tt_ok(line,
              "killed at %u calls (of a thread, each %u-th)%s, %u commits acknowledged, 0 lost, 0 "
              "torn",
              cuts, work->extra, end == WHOLE ? ", to the end" : "", acked);
}
