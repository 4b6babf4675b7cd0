/* SPDX-License-Identifier: Apache-2.0
 * store_grow.c - what a store costs as its history grows: each question, memory, disk.
 * Every size of every shape is taken in by a process of its own, whose peak of memory is what a
 * node needed for it, and asked by another, which finds the store as a restarted node does.
 *
 *     bench-store-grow [--engine rocksdb|lmdb] [--dir PATH] [--max N] [--shape NAME]
 *                      [--dag FILE]...
 *
 * Called by: a person. May touch: a directory that it creates and removes, its own children.
 * Never: judges; the exponents are printed. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "grow.h"

#define SIZES 3u
#define SHAPES_MAX 16u

struct cell { /* one shape of one size */
    uint32_t count;
    struct grow_taken taken;
    double us[ASK_QUESTIONS], rss_mib;
    uint64_t disk_bytes;
};

static char base[200];
static weft_engine engine = WEFT_ENGINE_ROCKSDB;

static uint64_t bytes_in(const char *dir)
{
    uint64_t sum = 0;
    DIR *handle = opendir(dir);
    grow_must(handle == NULL ? WEFT_IO : WEFT_OK, dir);
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        struct stat info;
        if (fstatat(dirfd(handle), item->d_name, &info, 0) == 0 && S_ISREG(info.st_mode))
            sum += (uint64_t)info.st_size;
    }
    closedir(handle);
    return sum;
}

static void remove_dir(const char *dir)
{
    char path[600];
    DIR *handle = opendir(dir);
    if (handle == NULL) return;
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", dir, item->d_name);
        if (item->d_name[0] != '.') (void)unlink(path);
    }
    closedir(handle);
    (void)rmdir(dir);
}

/* -- One cell, by two processes ------------------------------------------------------------------ */

/* Runs `work` in a child and reads `size` bytes that it writes; returns its peak of memory. */
static double in_child(void (*work)(int to, void *arg), void *arg, void *out, size_t size)
{
    int ends[2], status;
    struct rusage usage;
    fflush(stdout);
    grow_must(pipe(ends) != 0 ? WEFT_IO : WEFT_OK, "pipe");
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        work(ends[1], arg);
        _exit(0);
    }
    close(ends[1]);
    bool good = child > 0 && read(ends[0], out, size) == (ssize_t)size;
    close(ends[0]);
    good = child > 0 && wait4(child, &status, 0, &usage) == child && status == 0 && good;
    if (!good) exit(1); /* the child said why */
    return (double)usage.ru_maxrss / 1024;
}

struct job {
    const struct grow_shape *shape;
    uint32_t count;
    char dir[256], ids[256];
};

static void tell(int to, const void *what, size_t size)
{
    grow_must(write(to, what, size) == (ssize_t)size ? WEFT_OK : WEFT_IO, "pipe");
}

static void take(int to, void *arg)
{
    struct job *job = arg;
    struct grow_taken taken = grow_take(job->shape, job->count, engine, job->dir, job->ids);
    tell(to, &taken, sizeof taken);
}

static void ask(int to, void *arg)
{
    struct job *job = arg;
    double us[ASK_QUESTIONS];
    grow_ask(job->count, job->dir, job->ids, us);
    tell(to, us, sizeof us);
}

static void measure(const struct grow_shape *shape, struct cell *cell)
{
    struct job job = {.shape = shape, .count = cell->count};
    snprintf(job.dir, sizeof job.dir, "%s/%s-%u", base, shape->name, cell->count);
    snprintf(job.ids, sizeof job.ids, "%s/ids", base);
    cell->rss_mib = in_child(take, &job, &cell->taken, sizeof cell->taken);
    cell->disk_bytes = bytes_in(job.dir);
    (void)in_child(ask, &job, cell->us, sizeof cell->us);
    remove_dir(job.dir);
    (void)unlink(job.ids);
}

/* -- Showing --------------------------------------------------------------------------------------- */

/* The slope of log(us) over log(count), by least squares. */
static double exponent(const struct cell *cells, unsigned sizes, unsigned question)
{
    double x = 0, y = 0, xx = 0, xy = 0, n = sizes;
    for (unsigned i = 0; i < sizes; i++) {
        double lx = log(cells[i].count), ly = log(cells[i].us[question]);
        x += lx;
        y += ly;
        xx += lx * lx;
        xy += lx * ly;
    }
    return (n * xy - x * y) / (n * xx - x * x);
}

static void show(const struct grow_shape *shape, const struct cell *cells, unsigned sizes)
{
    printf("%s\n  %-18s", shape->name, "entries");
    for (unsigned i = 0; i < sizes; i++) printf(" %11u", cells[i].count);
    printf("    exponent\n");
    for (unsigned q = 0; q < ASK_QUESTIONS; q++) {
        printf("  %-15s us", grow_questions[q]);
        for (unsigned i = 0; i < sizes; i++) printf(" %11.1f", cells[i].us[q]);
        if (sizes > 1) printf("       %5.2f", exponent(cells, sizes, q));
        printf("\n");
    }
    printf("  %-18s", "taken in, per s");
    for (unsigned i = 0; i < sizes; i++) printf(" %11.0f", cells[i].count / cells[i].taken.seconds);
    printf("\n  %-18s", "peak memory MiB");
    for (unsigned i = 0; i < sizes; i++) printf(" %11.0f", cells[i].rss_mib);
    printf("\n  %-18s", "of the bench MiB"); /* ids and heights */
    for (unsigned i = 0; i < sizes; i++) printf(" %11.0f", cells[i].count * 40.0 / (1 << 20));
    printf("\n  %-18s", "entry bytes each");
    for (unsigned i = 0; i < sizes; i++)
        printf(" %11.0f", (double)cells[i].taken.entry_bytes / cells[i].count);
    printf("\n  %-18s", "disk bytes each");
    for (unsigned i = 0; i < sizes; i++)
        printf(" %11.0f", (double)cells[i].disk_bytes / cells[i].count);
    printf("\n\n");
    fflush(stdout);
}

static void grow(const struct grow_shape *shape, uint32_t most)
{
    static const uint32_t sizes[SIZES] = {10000, 100000, 1000000};
    struct cell cells[SIZES] = {0};
    unsigned made = 0;
    if (shape->kind == GROW_REAL && shape->count < most) most = shape->count;
    for (unsigned i = 0; i < SIZES && sizes[i] <= most; i++) cells[made++].count = sizes[i];
    /* A real one has the size that it has, and one tenth of that. */
    if (shape->kind == GROW_REAL) {
        cells[0].count = most / 10;
        cells[1].count = most;
        made = 2;
    }
    if (made == 0) cells[made++].count = most;
    for (unsigned i = 0; i < made; i++) measure(shape, &cells[i]);
    show(shape, cells, made);
}

static bool is_engine(const char *name)
{
    bool lmdb = strcmp(name, "lmdb") == 0;
    if (lmdb) engine = WEFT_ENGINE_LMDB;
    return lmdb || strcmp(name, "rocksdb") == 0;
}

int main(int argc, char **argv)
{
    struct grow_shape shapes[SHAPES_MAX] = {{.name = "chain", .kind = GROW_CHAIN},
                                            {.name = "wide", .kind = GROW_WIDE},
                                            {.name = "scattered", .kind = GROW_SCATTERED},
                                            {.name = "star", .kind = GROW_STAR}};
    unsigned count = 4;
    const char *only = NULL;
    long most = 1000000;
    snprintf(base, sizeof base, "%s", "bench-store-grow.dir");
    for (int i = 1; i < argc; i += 2) {
        bool more = i + 1 < argc;
        if (more && strcmp(argv[i], "--dir") == 0) snprintf(base, sizeof base, "%s", argv[i + 1]);
        else if (more && strcmp(argv[i], "--max") == 0) most = atol(argv[i + 1]);
        else if (more && strcmp(argv[i], "--shape") == 0) only = argv[i + 1];
        else if (more && strcmp(argv[i], "--engine") == 0 && is_engine(argv[i + 1])) continue;
        else if (more && strcmp(argv[i], "--dag") == 0 && count < SHAPES_MAX) {
            const char *name = strrchr(argv[i + 1], '/');
            shapes[count] = (struct grow_shape){.name = name == NULL ? argv[i + 1] : name + 1,
                                                .kind = GROW_REAL};
            if (!grow_shape_load(&shapes[count++], argv[i + 1])) grow_must(WEFT_IO, argv[i + 1]);
        } else most = 0;
    }
    if (most < 5000 || most > 1000000) {
        fprintf(
            stderr,
            "usage: %s [--engine rocksdb|lmdb] [--dir PATH] [--max 5000..1000000] [--shape NAME] "
            "[--dag FILE]\n",
            argv[0]);
        return 2;
    }
    if (mkdir(base, 0700) != 0) {
        perror(base); /* only what was made here is removed */
        return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        if (only == NULL || strcmp(only, shapes[i].name) == 0) grow(&shapes[i], (uint32_t)most);
        grow_shape_free(&shapes[i]);
    }
    return rmdir(base) == 0 ? 0 : 1;
}
