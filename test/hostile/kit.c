/* SPDX-License-Identifier: Apache-2.0
 * kit.c - time, chance, keys, and what the machine says of a process.
 * Called by: the rooms of weft-hostile. May touch: /proc, reading.
 * Never: sockets, nodes. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"

void ht_die(const char *what)
{
    fprintf(stderr, "weft-hostile: %s: %s\n", what, strerror(errno));
    exit(2);
}

uint64_t ht_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * WEFT_SEC + (uint64_t)now.tv_nsec;
}

static uint64_t chance;

void ht_seed(uint64_t seed) { chance = seed; }

uint64_t ht_random(void) /* SplitMix64 */
{
    uint64_t z = chance += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t ht_below(uint32_t bound) { return (uint32_t)(ht_random() % bound); }

weft_keypair *ht_pair(enum ht_whose whose, uint32_t n)
{
    uint8_t seed[32] = "hostile";
    weft_keypair *pair = NULL;
    seed[8] = (uint8_t)whose;
    memcpy(seed + 9, &n, sizeof n);
    if (weft_keypair_from_seed(seed, &pair) != WEFT_OK) ht_die("a key");
    return pair;
}

weft_key ht_key(enum ht_whose whose, uint32_t n)
{
    weft_keypair *pair = ht_pair(whose, n);
    weft_key key;
    weft_keypair_public(pair, &key);
    weft_keypair_destroy(pair);
    return key;
}

uint64_t ht_resident(pid_t pid)
{
    char path[64];
    unsigned long all = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%lu %lu", &all, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint32_t ht_descriptors(pid_t pid)
{
    char path[64];
    uint32_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) return 0;
    for (struct dirent *item; (item = readdir(dir)) != NULL;) count += item->d_name[0] != '.';
    closedir(dir);
    return count;
}

uint64_t ht_processor(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    fclose(file);
    const char *at = strrchr(text, ')'); /* the name may hold anything */
    if (at == NULL ||
        sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (user + system) * (WEFT_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

void ht_ok(ht_line *line, const char *format, ...)
{
    va_list args;
    if (line->bad) return;
    va_start(args, format);
    vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
}

void ht_bad(ht_line *line, const char *format, ...)
{
    va_list args;
    if (line->bad) return;
    line->bad = true;
    va_start(args, format);
    vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
}
