/* SPDX-License-Identifier: Apache-2.0
 * proc.c - child processes and working directories.
 * Called by: cluster.c, git.c, run.c, the demo. May touch: children of its own, the
 * directory that it made. Never: a process that it did not start; a shell. */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit.h"

extern char **environ;

/* A child starts with the signals that its parent catches or ignores set back. */
static int spawn(const char *file, bool search, char *const argv[],
                 posix_spawn_file_actions_t *actions, pid_t *out)
{
    posix_spawnattr_t attr;
    sigset_t all;
    posix_spawnattr_init(&attr);
    sigemptyset(&all);
    sigaddset(&all, SIGINT);
    sigaddset(&all, SIGTERM);
    sigaddset(&all, SIGPIPE);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
    int err = search ? posix_spawnp(out, file, actions, &attr, argv, environ)
                     : posix_spawn(out, file, actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    return err;
}

int proc_spawn_self(int fd, pid_t *out)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 3);
    char name[64];
    snprintf(name, sizeof name, "%s", kit_program);
    char flag[] = PROC_NODE_FLAG, parent[24];
    snprintf(parent, sizeof parent, "%ld", (long)getpid());
    char *argv[] = {name, flag, parent, NULL};
    int err = spawn("/proc/self/exe", false, argv, &actions, out);
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

/* The parent may have ended before the kernel was asked to tell of it; who adopts the child
 * then may have any number, and in a container the parent itself may be number 1. */
bool proc_is_node(int argc, char *const argv[], bool *orphan)
{
    if (argc != 3 || strcmp(argv[1], PROC_NODE_FLAG) != 0) return false;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    *orphan = (long)getppid() != strtol(argv[2], NULL, 10);
    return true;
}

static void redirect(posix_spawn_file_actions_t *actions, int fd, int to)
{
    if (fd >= 0) posix_spawn_file_actions_adddup2(actions, fd, to);
    else posix_spawn_file_actions_addopen(actions, to, "/dev/null", O_RDWR, 0);
}

int proc_spawn(char *const argv[], int in, int out, int err, pid_t *out_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    redirect(&actions, in, 0);
    redirect(&actions, out, 1);
    redirect(&actions, err, 2);
    int result = spawn(argv[0], true, argv, &actions, out_pid);
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

static int code_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void proc_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    proc_wait(pid);
}

int proc_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return code_of(status);
}

int proc_poll(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, WNOHANG) == pid ? code_of(status) : -1;
}

char *proc_path(const char *dir, const char *leaf)
{
    size_t len = strlen(dir) + strlen(leaf) + 2;
    char *path = kit_alloc(len, 1);
    snprintf(path, len, "%s/%s", dir, leaf);
    return path;
}

char *proc_dir_make(const char *base, const char *name)
{
    if (base == NULL) base = getenv("TMPDIR");
    if (base == NULL || *base == '\0') base = "/tmp";
    char leaf[64];
    snprintf(leaf, sizeof leaf, "%s.XXXXXX", name);
    char *path = proc_path(base, leaf);
    if (mkdtemp(path) == NULL) {
        int saved = errno;
        free(path);
        errno = saved;
        return NULL;
    }
    return path;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    remove(path);
    return 0;
}

void proc_dir_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

unsigned long proc_peak_rss_kb(void)
{
    /* Not getrusage: across exec it keeps the peak of the program before. */
    FILE *in = fopen("/proc/self/status", "re");
    if (in == NULL) return 0;
    char line[256];
    unsigned long kb = 0;
    while (fgets(line, sizeof line, in) != NULL)
        if (sscanf(line, "VmHWM: %lu", &kb) == 1) break;
    fclose(in);
    return kb;
}
