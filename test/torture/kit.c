/* SPDX-License-Identifier: Apache-2.0
 * kit.c - directories, programs, mounts, chance and time for the rooms of weft-torture.
 * Called by: the rooms. May touch: the directory of the run, mounts of this process only.
 * Never: a store. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"

extern char **environ;

void tt_die(const char *what)
{
    fprintf(stderr, "weft-torture: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* -- Time and chance ---------------------------------------------------------------------- */

uint64_t tt_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * WEFT_SEC + (uint64_t)now.tv_nsec;
}

void tt_sleep_until(uint64_t at)
{
    struct timespec when = {(time_t)(at / WEFT_SEC), (long)(at % WEFT_SEC)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {}
}

uint64_t tt_random(tt_torture *t)
{
    uint64_t z = t->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t tt_below(tt_torture *t, uint32_t bound) { return (uint32_t)(tt_random(t) % bound); }

bool tt_go_on(tt_torture *t, uint32_t done, uint32_t wanted, uint32_t least)
{
    uint64_t now = tt_now();
    if (done >= wanted) return false;
    if (now < t->deadline || done == 0 || (done < least && now < t->stop)) return true;
    t->cut_short = wanted;
    return false;
}

/* -- Directories ----------------------------------------------------------------------------- */

void tt_path(char *out, size_t room, const char *dir, const char *name)
{
    int len = snprintf(out, room, "%s/%s", dir, name);
    if (len < 0 || (size_t)len >= room) {
        errno = ENAMETOOLONG;
        tt_die(name);
    }
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

void tt_dir_remove(const char *dir) { nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

void tt_dir_make(const char *dir)
{
    tt_dir_remove(dir);
    if (mkdir(dir, 0700) != 0) tt_die(dir);
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 20];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0) tt_die(from);
    ssize_t len;
    while ((len = read(in, bytes, sizeof bytes)) > 0)
        if (write(out, bytes, (size_t)len) != len) tt_die(to);
    if (len < 0) tt_die(from);
    close(in);
    close(out);
}

void tt_dir_copy(const char *from, const char *to)
{
    tt_dir_make(to);
    DIR *handle = opendir(from);
    if (handle == NULL) tt_die(from);
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        char a[512], b[512];
        struct stat info;
        tt_path(a, sizeof a, from, item->d_name);
        tt_path(b, sizeof b, to, item->d_name);
        if (stat(a, &info) == 0 && S_ISREG(info.st_mode)) copy_file(a, b);
    }
    closedir(handle);
}

/* -- Programs and mounts ------------------------------------------------------------------------ */

int tt_run(tt_torture *t, const char *const *argv)
{
    char log[160];
    tt_path(log, sizeof log, t->dir, "log");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid;
    int status = 0;
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv,
                              environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool tt_has_program(const char *name)
{
    const char *path = getenv("PATH");
    char copy[4096], place[4352], *save = NULL;
    snprintf(copy, sizeof copy, "%s:/usr/sbin:/sbin", path == NULL ? "/usr/bin:/bin" : path);
    for (char *dir = strtok_r(copy, ":", &save); dir != NULL; dir = strtok_r(NULL, ":", &save)) {
        snprintf(place, sizeof place, "%s/%s", dir, name);
        if (access(place, X_OK) == 0) return true;
    }
    return false;
}

bool tt_mounts_private(void)
{
    static bool done;
    if (done) return true;
    done = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return done;
}

/* -- Lines ------------------------------------------------------------------------------------------ */

static void say(tt_line *line, enum tt_outcome outcome, const char *format, va_list args)
{
    line->outcome = outcome;
    vsnprintf(line->text, sizeof line->text, format, args);
}

void tt_bad(tt_line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(line, TT_BAD, format, args);
    va_end(args);
}

void tt_ok(tt_line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(line, TT_OK, format, args);
    va_end(args);
}

void tt_skip(tt_line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(line, TT_SKIP, format, args);
    va_end(args);
}
