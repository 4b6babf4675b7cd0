/* SPDX-License-Identifier: Apache-2.0
 * kill9.c - kill -9 at random moments, again and again on the same store; each time it is
 * opened again, nothing that was acknowledged may be missing and no commit may be torn.
 * Called by: main.c. May touch: one store. Never: the machine's other processes. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "torture.h"

#define STORE_KILLS_MAX 100u /* then a new directory */
#define WHOLE_EVERY 50u
#define OPEN_TIMEOUT_NS (60 * WEFT_SEC)

static bool any_intent(const tt_child *c)
{
    return tt_child_said(c) && (c->acked > 0 || c->failed > 0);
}

/* Near its end a history gives too little to kill. */
static bool used_up(const tt_torture *t, const tt_ledger *ledger)
{
    for (uint32_t lane = 0; lane < TT_LANES; lane++)
        if (ledger->sound[lane] + 60 > t->history.commits[lane]) return true;
    return false;
}

enum end { KILLED, ENDED, WRONG }; /* ENDED: it had nothing more to commit before it was killed */

/* One life and its end. WRONG: `why` says what was. */
static enum end live_and_die(tt_torture *t, tt_ledger *ledger, const char *dir, bool whole,
                             enum wf_durability level, uint64_t *acked, char *why)
{
    tt_plan plan = {.dir = dir,
                    .whole = whole,
                    .lanes = TT_LANES,
                    .commits = TT_COMMITS_MAX,
                    .level = level,
                    .herd = tt_below(t, 2) * 2}; /* or the disk is waited for where they commit */
    tt_child c;
    tt_child_start(t, &plan, ledger, NULL, &c);
    /* One of eight dies at any moment of its opening; the others while they commit. */
    bool early = tt_below(t, 8) == 0;
    if (!early) tt_child_listen(&c, tt_now() + OPEN_TIMEOUT_NS, any_intent);
    uint64_t ms = early ? tt_below(t, 40) : 5 + tt_below(t, 101);
    tt_child_listen(&c, tt_now() + ms * WEFT_MS, NULL);
    tt_child_kill(&c);
    *acked += c.acked;
    if (c.open && !tt_verdict_good(&c.last.verdict)) tt_verdict_text(&c.last.verdict, why, 200);
    else if (c.last.what == TT_NO_OPEN || c.last.what == TT_NO_VERDICT)
        snprintf(why, 200, "refused: %s", weft_errname(c.last.err));
    else if (c.failed > 0) snprintf(why, 200, "a commit failed: %s", weft_errname(c.fail_err));
    else if (WIFSIGNALED(c.status) && WTERMSIG(c.status) != 9)
        snprintf(why, 200, "ended by signal %d", WTERMSIG(c.status));
    else if (!c.open && !early) snprintf(why, 200, "it did not open");
    else if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0) return ENDED;
    else if (WIFEXITED(c.status))
        snprintf(why, 200, "it ended by itself, status %d", c.status >> 8);
    else return KILLED;
    return WRONG;
}

void tt_kill9(tt_torture *t, const tt_work *work, tt_line *line)
{
    tt_ledger ledger = {0};
    char dir[160], why[200] = "";
    uint32_t kills = 0, here = 0, stores = 1, written = 0;
    uint64_t acked = 0;
    enum end end = KILLED;
    tt_path(dir, sizeof dir, t->dir, "kill9");
    tt_dir_remove(dir); /* another engine's */
    while (end != WRONG && tt_go_on(t, kills, work->rounds, work->least)) {
        if (end == ENDED || here == STORE_KILLS_MAX || used_up(t, &ledger)) {
            if (!tt_look(t, dir, &ledger, true, why)) break;
            memset(&ledger, 0, sizeof ledger);
            tt_dir_remove(dir);
            why[0] = '\0';
            here = 0;
            stores++;
        }
        bool whole = kills % WHOLE_EVERY == WHOLE_EVERY - 1;
        /* A kill takes no pages away: what was only written has to be there as well. */
        enum wf_durability level = tt_below(t, 2) == 0 ? WF_WRITTEN : WF_SYNCED;
        end = live_and_die(t, &ledger, dir, whole, level, &acked, why);
        kills += end == KILLED;
        written += end == KILLED && level == WF_WRITTEN;
        here++;
    }
    if (why[0] == '\0' && tt_look(t, dir, &ledger, true, why)) why[0] = '\0';
    if (why[0] != '\0') tt_bad(line, "after %u kills: %s", kills, why);
    else if (acked == 0) tt_bad(line, "nothing was ever acknowledged");
    else
        tt_ok(line,
              "%u kills (%u of what is only written), %u stores, %llu commits acknowledged, 0 "
              "lost, 0 torn",
              kills, written, stores, (unsigned long long)acked);
}
