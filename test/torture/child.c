/* SPDX-License-Identifier: Apache-2.0
 * child.c - a victim seen from outside: started, listened to, stopped, killed by its pid;
 * and the healer, which is given stores.
 * Called by: the rooms. May touch: its own children, the ledger of a store.
 * Never: a store; waits without an end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

extern char **environ;

#define ARGS_MAX 40
#define LAST_WAIT_NS (60 * WEFT_SEC) /* for what a killed process leaves, and a look */

static void ledger_save(const tt_ledger *ledger, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(ledger, sizeof *ledger, 1, file) != 1) tt_die(path);
    if (fclose(file) != 0) tt_die(path);
}

void tt_spawn(tt_torture *t, const char *const *argv, int out, int in, pid_t *pid)
{
    char log[160];
    tt_path(log, sizeof log, t->dir, "log");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int failed = posix_spawnp(pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv,
                              environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        errno = failed;
        tt_die(argv[0]);
    }
}

void tt_child_start(tt_torture *t, const tt_plan *plan, tt_ledger *ledger,
                    const char *const *before, tt_child *out)
{
    char history[160], book[160], numbers[9][16];
    const char *argv[ARGS_MAX];
    int notes[2], go[2], at = 0;
    tt_path(history, sizeof history, t->dir, "history");
    tt_path(book, sizeof book, t->dir, "ledger");
    ledger_save(ledger, book);
    while (before != NULL && *before != NULL && at < ARGS_MAX - 15) argv[at++] = *before++;
    const uint32_t values[9] = {plan->whole,  plan->level, plan->lanes, plan->commits, plan->leave,
                                plan->refill, t->engine,   plan->herd,  plan->small};
    const char *head[] = {t->self, "--victim", plan->dir, history, book};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) argv[at++] = head[i];
    for (int i = 0; i < 9; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%u", values[i]);
        argv[at++] = numbers[i];
    }
    argv[at] = NULL;
    if (pipe2(notes, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0) tt_die("pipe");
    *out = (tt_child){.notes = notes[0], .go = go[1], .ledger = ledger};
    tt_spawn(t, argv, notes[1], go[0], &out->pid);
    close(notes[1]);
    close(go[0]);
}

/* -- Listening -------------------------------------------------------------------------------- */

static void take_commit(tt_child *c, const tt_note *note)
{
    if (note->lane > TT_ROOT || note->commit >= TT_COMMITS_MAX) return;
    uint8_t *said = &c->ledger->said[note->lane][note->commit];
    if (note->what == TT_ACK) {
        *said = TT_ACKED;
        c->acked++;
    } else if (note->what == TT_INTENT) {
        if (*said == TT_UNSAID) *said = TT_ANNOUNCED;
    } else {
        if (c->failed++ == 0) c->fail_err = note->err;
    }
}

static void take(tt_child *c, const tt_note *note)
{
    switch (note->what) {
    case TT_INTENT:
    case TT_ACK:
    case TT_FAILED: take_commit(c, note); break;
    case TT_READ:
        c->read = *note;
        c->was_read = true;
        break;
    case TT_VERDICT:
        memcpy(c->ledger->sound, note->verdict.sound, sizeof c->ledger->sound);
        c->open = true;
        c->last = *note;
        break;
    case TT_NO_OPEN:
    case TT_NO_VERDICT: c->last = *note; break;
    default: break; /* TT_END: the status says it, too */
    }
}

/* One note, if one comes before `at`. */
static bool listen_once(tt_child *c, uint64_t at)
{
    struct pollfd fd = {.fd = c->notes, .events = POLLIN};
    uint64_t now = tt_now();
    int wait = now >= at ? 0 : (int)((at - now + WEFT_MS - 1) / WEFT_MS);
    if (poll(&fd, 1, wait) <= 0) return false;
    tt_note note;
    ssize_t len = read(c->notes, &note, sizeof note); /* whole: a note is shorter than PIPE_BUF */
    if (len == (ssize_t)sizeof note) take(c, &note);
    else if (len == 0) c->ended = true;
    return true;
}

void tt_child_listen(tt_child *c, uint64_t at, bool (*until)(const tt_child *c))
{
    while (!c->ended && (until == NULL || !until(c))) {
        if (!listen_once(c, at) && tt_now() >= at) return;
        if (tt_now() >= at) return;
    }
}

bool tt_child_said(const tt_child *c) { return c->last.what != 0; }

static void wait_for(tt_child *c)
{
    while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR) {}
    close(c->notes);
    if (c->go >= 0) close(c->go);
}

void tt_child_kill(tt_child *c)
{
    kill(c->pid, SIGKILL);
    tt_child_listen(c, tt_now() + LAST_WAIT_NS, NULL);
    wait_for(c);
}

bool tt_child_wait(tt_child *c, uint64_t timeout)
{
    tt_child_listen(c, tt_now() + timeout, NULL);
    if (!c->ended) {
        tt_child_kill(c);
        return false;
    }
    wait_for(c); /* its pipe is closed, so it ends */
    return true;
}

/* -- A look -------------------------------------------------------------------------------------- */

bool tt_look(tt_torture *t, const char *dir, tt_ledger *ledger, bool whole, char *why)
{
    tt_plan plan = {.dir = dir, .whole = whole, .leave = TT_DROP};
    tt_child c;
    char text[160] = "";
    tt_child_start(t, &plan, ledger, NULL, &c);
    bool ended = tt_child_wait(&c, LAST_WAIT_NS);
    if (c.open) tt_verdict_text(&c.last.verdict, text, sizeof text);
    else if (c.last.what == TT_NO_OPEN || c.last.what == TT_NO_VERDICT)
        snprintf(text, sizeof text, "%s: %s",
                 c.last.what == TT_NO_OPEN ? "not opened" : "not judged", weft_errname(c.last.err));
    bool good = ended && WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0 && c.open &&
                tt_verdict_good(&c.last.verdict);
    if (!ended) snprintf(why, 200, "it hung");
    else if (WIFSIGNALED(c.status)) snprintf(why, 200, "ended by signal %d", WTERMSIG(c.status));
    else snprintf(why, 200, "%s", text);
    return good;
}

/* -- The healer ------------------------------------------------------------------------------------ */

static void healer_start(tt_torture *t, tt_healer *h, uint32_t commits)
{
    char history[160], number[16];
    int notes[2], go[2];
    tt_path(history, sizeof history, t->dir, "history");
    snprintf(number, sizeof number, "%u", commits);
    const char *argv[] = {t->self, "--healer", history, number, NULL};
    if (pipe2(notes, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0) tt_die("pipe");
    *h = (tt_healer){.to = go[1], .from = notes[0]};
    tt_spawn(t, argv, notes[1], go[0], &h->pid);
    close(notes[1]);
    close(go[0]);
}

/* Closes its input, which ends it; `kill_it`: it is not waited for. How it ended. */
static int healer_reap(tt_healer *h, bool kill_it)
{
    int status = 0;
    if (kill_it) kill(h->pid, SIGKILL);
    close(h->to);
    close(h->from);
    while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR) {}
    *h = (tt_healer){0};
    return status;
}

bool tt_heal(tt_torture *t, tt_healer *h, uint32_t commits, const char *dir, tt_healed *out,
             char *why)
{
    tt_heal_order order = {0};
    if (h->pid == 0) healer_start(t, h, commits);
    snprintf(order.dir, sizeof order.dir, "%s", dir);
    snprintf(order.work, sizeof order.work, "%s", t->dir);
    struct pollfd fd = {.fd = h->from, .events = POLLIN};
    bool asked = write(h->to, &order, sizeof order) == (ssize_t)sizeof order;
    int ready = asked ? poll(&fd, 1, (int)(LAST_WAIT_NS / WEFT_MS)) : 1;
    if (ready == 1 && read(h->from, out, sizeof *out) == (ssize_t)sizeof *out) {
        if (out->how == TT_NOT_HEALED)
            snprintf(why, 200, "not healed: %s", out->why[0] != '\0' ? out->why : "no reason");
        return out->how != TT_NOT_HEALED;
    }
    int status = healer_reap(h, ready == 0);
    if (ready == 0) snprintf(why, 200, "its healing hung");
    else if (WIFSIGNALED(status))
        snprintf(why, 200, "its healing ended by signal %d", WTERMSIG(status));
    else snprintf(why, 200, "its healing ended by itself, status %d", WEXITSTATUS(status));
    return false;
}

bool tt_healer_end(tt_healer *h)
{
    if (h->pid == 0) return true;
    int status = healer_reap(h, false);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
