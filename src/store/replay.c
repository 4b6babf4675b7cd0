/* SPDX-License-Identifier: Apache-2.0
 * replay.c - finds the log that this process reads, and how far it is (replay.h).
 * Called by: node_engine.c. May touch: names and sizes in the store's directory, what the system tells of
 * this process's descriptors. Never: reads, opens or changes a log. */
#include "replay.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"

#define LINK_BYTES 4096

/* RocksDB's interface has nothing that tells; its place in the file is the system's to tell. It reads
 * one log after the other, in the order of their numbers. */
struct place {
    uint64_t number, bytes;
    bool found;
};

/* The number of "000012.log"; false: it is called otherwise. */
static bool number_of(const char *name, uint64_t *out)
{
    char *end;
    if (*name < '0' || *name > '9') return false;
    *out = strtoull(name, &end, 10);
    return strcmp(end, ".log") == 0;
}

static uint64_t offset_of(const char *descriptor)
{
    char path[64], text[64] = "";
    unsigned long long at = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%.16s", descriptor);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    return len > 0 && sscanf(text, "pos: %llu", &at) == 1 ? at : 0;
}

/* The newest log in `dir` (an absolute path without links) that is open here. */
static struct place find(const char *dir)
{
    struct place best = {0};
    char target[LINK_BYTES];
    size_t dir_len = strlen(dir);
    DIR *handle = opendir("/proc/self/fd");
    if (handle == NULL) return best;
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        uint64_t number;
        ssize_t len = readlinkat(dirfd(handle), item->d_name, target, sizeof target - 1);
        if (len <= (ssize_t)dir_len || memcmp(target, dir, dir_len) != 0) continue;
        target[len] = '\0';
        if (target[dir_len] != '/' || !number_of(target + dir_len + 1, &number)) continue;
        if (best.found && number < best.number) continue;
        best = (struct place){number, offset_of(item->d_name), true};
    }
    closedir(handle);
    return best;
}

static uint64_t bytes_before(const char *dir, uint64_t number)
{
    uint64_t sum = 0, other;
    DIR *handle = opendir(dir);
    if (handle == NULL) return 0;
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        struct stat info;
        if (number_of(item->d_name, &other) && other < number &&
            fstatat(dirfd(handle), item->d_name, &info, 0) == 0)
            sum += (uint64_t)info.st_size;
    }
    closedir(handle);
    return sum;
}

uint64_t wf_replay_bytes(const char *dir)
{
    char *full = wf_malloc(LINK_BYTES);
    uint64_t sum = 0;
    if (full != NULL && realpath(dir, full) != NULL) {
        struct place place = find(full);
        if (place.found) sum = bytes_before(full, place.number) + place.bytes;
    }
    wf_free(full);
    return sum;
}
