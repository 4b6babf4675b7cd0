/* SPDX-License-Identifier: Apache-2.0
 * pair_child.c - the pair seen from outside: started, let go, heard, and looked at once more.
 * Called by: eintr.c, faketime.c. May touch: its own children.
 * Never: a store; waits without an end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define LIFE_NS (90 * WEFT_SEC)

void tt_pair_start(tt_pair *p, const char *const *before, const char *how)
{
    const char *argv[24];
    const char *own[] = {p->t->self, "--pair", how, p->dir, p->count};
    int said[2], go[2], at = 0;
    while (before != NULL && *before != NULL && at < 16) argv[at++] = *before++;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) argv[at++] = own[i];
    argv[at] = NULL;
    if (pipe2(said, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0) tt_die("pipe");
    p->said = said[0];
    p->go = go[1];
    tt_spawn(p->t, argv, said[1], go[0], &p->pid);
    close(said[1]);
    close(go[0]);
}

static void reap(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0 && errno == EINTR) {}
}

/* What it says at its end. False: `why`. */
bool tt_pair_end(tt_pair *p, tt_pair_said *said, char *why)
{
    struct pollfd fd = {.fd = p->said, .events = POLLIN};
    int status = 0, ready = poll(&fd, 1, (int)(LIFE_NS / WEFT_MS));
    bool heard = ready == 1 && read(p->said, said, sizeof *said) == (ssize_t)sizeof *said;
    if (ready != 1) kill(p->pid, SIGKILL);
    reap(p->pid, &status);
    close(p->said);
    close(p->go);
    if (ready != 1) snprintf(why, 200, "they do not agree in the end");
    else if (WIFSIGNALED(status)) snprintf(why, 200, "they ended by signal %d", WTERMSIG(status));
    else if (!heard) snprintf(why, 200, "they ended by themselves");
    else if (said->err != WEFT_OK)
        snprintf(why, 200, "%s: %s", said->step, weft_errname(said->err));
    else return true;
    return false;
}

/* A process that nobody disturbs reads all that was acknowledged, on both sides. */
bool tt_pair_look(tt_pair *p, char *why)
{
    tt_pair_said said = {0};
    tt_pair_start(p, NULL, "look");
    if (!tt_pair_end(p, &said, why)) return false;
    if (said.lost + said.faults == 0) return true;
    snprintf(why, 200, "%u lost, %u faults", said.lost, said.faults);
    return false;
}

void tt_pair_init(tt_pair *p, tt_torture *t, const char *name, uint32_t commits)
{
    *p = (tt_pair){.t = t};
    tt_path(p->dir, sizeof p->dir, t->dir, name);
    tt_path(p->trace, sizeof p->trace, t->dir, "trace");
    snprintf(p->count, sizeof p->count, "%u", commits);
}
