/* SPDX-License-Identifier: Apache-2.0
 * eintr.c - two nodes whose system calls are interrupted again and again: they agree all the same,
 * and nothing is lost.
 * Called by: main.c. May touch: strace, which does the interrupting, to a process of ours.
 * Never: interrupts a call whose loss no program could bear. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define ATTACH_NS (20 * WEFT_SEC)

/* Those that wait, so that a signal ends the wait, and are called again after it. Not here are
 *  - futex: strace cannot tell its wait from its wake, which no kernel interrupts, and a wake that
 *    is taken away is a sleeper lost;
 *  - close: Linux has closed the descriptor whatever it answers, and strace would keep it open;
 *  - connect and calls on plain files (openat, pread64, pwrite64, fdatasync, rename ...): on a
 *    socket that does not block and on a file system of this machine they are not interrupted. Read
 *    and write are in the list for pipes, sockets and eventfds; that plain files get it too is more
 *    than the kernel does, and is borne. */
static const char *const calls[] = {"epoll_wait", "epoll_pwait",     "epoll_pwait2", "poll",
                                    "read",       "write",           "recvfrom",     "recvmsg",
                                    "sendto",     "sendmsg",         "accept4",      "getrandom",
                                    "nanosleep",  "clock_nanosleep", "wait4"};
#define CALLS (sizeof calls / sizeof *calls)

static bool is_traced(pid_t pid)
{
    char path[64], line[128];
    int tracer = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "TracerPid: %d", &tracer) == 1) break;
    if (file != NULL) fclose(file);
    return tracer != 0;
}

/* Attached before the pair has a thread, and not at its start: the loader of programs is not written
 * for a read that is interrupted. */
static bool trace(tt_pair *p, const char *list, pid_t *strace)
{
    char inject[320], trace_list[320], pid[16];
    int none = open("/dev/null", O_RDWR | O_CLOEXEC), status;
    snprintf(trace_list, sizeof trace_list, "trace=%s", list);
    snprintf(inject, sizeof inject, "inject=%s:error=EINTR:when=1+7", list);
    snprintf(pid, sizeof pid, "%d", (int)p->pid);
    const char *argv[] = {"strace",   "-f", "-qq",  "-o", p->trace, "-e",
                          trace_list, "-e", inject, "-p", pid,      NULL};
    tt_spawn(p->t, argv, none, none, strace);
    close(none);
    uint64_t until = tt_now() + ATTACH_NS;
    while (!is_traced(p->pid) && tt_now() < until) {
        if (waitpid(*strace, &status, WNOHANG) == *strace) return false;
        tt_sleep_until(tt_now() + 5 * WEFT_MS);
    }
    return is_traced(p->pid);
}

/* "1234 read(5, ...) = -1 EINTR (Interrupted system call) (INJECTED)", or "<... read resumed>". */
static void count_line(const char *line, uint64_t hits[CALLS])
{
    if (strstr(line, "(INJECTED)") == NULL) return;
    const char *at = strchr(line, ' ');
    while (at != NULL && (*at == ' ' || *at == '<' || *at == '.')) at++;
    size_t len = at == NULL ? 0 : strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789");
    for (size_t i = 0; i < CALLS; i++)
        if (strlen(calls[i]) == len && strncmp(calls[i], at, len) == 0) hits[i]++;
}

static void count_hits(const char *path, uint64_t hits[CALLS])
{
    static char line[1 << 16];
    FILE *file = fopen(path, "r");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) count_line(line, hits);
    fclose(file);
}

static void join_calls(char *out, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < CALLS; i++)
        at += (size_t)snprintf(out + at, room - at, "%s%s", i == 0 ? "" : ",", calls[i]);
}

enum end { GOOD, BAD, NO_TRACE };

static enum end one_storm(tt_pair *p, uint32_t *acked, uint64_t hits[CALLS], char *why)
{
    char list[256];
    tt_pair_said said = {0};
    pid_t strace = 0;
    int status;
    join_calls(list, sizeof list);
    tt_dir_make(p->dir);
    tt_pair_start(p, NULL, "live");
    if (!trace(p, list, &strace)) {
        kill(p->pid, SIGKILL);
        (void)tt_pair_end(p, &said, why);
        return NO_TRACE;
    }
    if (write(p->go, "g", 1) != 1) tt_die("the pair");
    bool good = tt_pair_end(p, &said, why);
    while (waitpid(strace, &status, 0) < 0 && errno == EINTR) {
    } /* it ends with the last of those it traces */
    count_hits(p->trace, hits);
    *acked += said.acked;
    return good && tt_pair_look(p, why) ? GOOD : BAD;
}

static uint64_t hits_of(const uint64_t hits[CALLS], const char *begin)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < CALLS; i++)
        if (strncmp(calls[i], begin, strlen(begin)) == 0) sum += hits[i];
    return sum;
}

void tt_eintr(tt_torture *t, const tt_work *work, tt_line *line)
{
    static const char *const must[] = {"epoll", "read", "write", "recvfrom", "sendto", "accept4"};
    char why[200] = "", text[320] = "";
    uint64_t hits[CALLS] = {0}, all = 0;
    uint32_t done = 0, acked = 0;
    tt_pair p;
    enum end end = GOOD;
    if (!tt_has_program("strace")) {
        tt_skip(line, "there is no strace");
        return;
    }
    tt_pair_init(&p, t, "eintr", work->extra);
    while (end == GOOD && tt_go_on(t, done, work->rounds, work->least)) {
        end = one_storm(&p, &acked, hits, why);
        done += end == GOOD;
    }
    for (size_t i = 0, at = 0; i < CALLS; i++) {
        all += hits[i];
        if (hits[i] > 0)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %llu", at == 0 ? "" : ", ",
                                   calls[i], (unsigned long long)hits[i]);
    }
    for (size_t i = 0; end == GOOD && i < sizeof must / sizeof *must; i++)
        if (hits_of(hits, must[i]) == 0) {
            end = BAD;
            snprintf(why, sizeof why, "no %s was interrupted", must[i]);
        }
    if (end == NO_TRACE) tt_skip(line, "strace may not trace here");
    else if (end == BAD) tt_bad(line, "after %u rounds: %s", done, why);
    else
        tt_ok(line, "%u pairs, %u commits acknowledged, 0 lost; %llu calls interrupted: %s", done,
              acked, (unsigned long long)all, text);
}
