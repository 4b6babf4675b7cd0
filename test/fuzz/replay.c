/* SPDX-License-Identifier: Apache-2.0
 * replay.c - runs each target over the inputs that are kept in the tree, in every build: what
 * was found once is not found again. Speaks TAP; a target that crashes does not end the others.
 * Called by: meson test, as: fuzz-replay CORPORA, and by people, as: fuzz-replay TARGET FILE...
 * May touch: the corpora, reading. Never: makes inputs. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

struct target {
    const char *name;
    bool (*run)(const uint8_t *data, size_t len);
};
static const struct target targets[] = {
#define X(name) {#name, fuzz_##name},
    FUZZ_TARGETS(X)
#undef X
};
enum { TARGETS = sizeof targets / sizeof targets[0] };

/* Shared with the child, so that it is known what it died of. */
struct report {
    unsigned inputs, accepted;
    char now[256];
};

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* In memory of exactly its size: whoever reads behind it is seen. */
static bool run_file(const struct target *t, const char *path)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size < 0 || fseek(file, 0, SEEK_SET) != 0) {
        perror(path);
        exit(2);
    }
    uint8_t *data = malloc((size_t)size + (size == 0));
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        exit(2);
    }
    (void)fclose(file);
    bool accepted = t->run(data, (size_t)size);
    free(data);
    return accepted;
}

static void run_folder(const struct target *t, const char *folder, struct report *report)
{
    struct dirent **list;
    int count = scandir(folder, &list, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096 + 260];
        (void)snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
        if (is_file(path)) {
            (void)snprintf(report->now, sizeof report->now, "%.255s", list[i]->d_name);
            report->accepted += run_file(t, path);
            report->inputs++;
        }
        free(list[i]);
    }
    if (count >= 0) free(list);
}

/* A child for each, which also keeps what one allocates for good from the others. */
static bool run_target(const struct target *t, const char *corpora, struct report *report)
{
    char folder[4096];
    int status = -1;
    (void)snprintf(folder, sizeof folder, "%s/%s", corpora, t->name);
    memset(report, 0, sizeof *report);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        fuzz_start();
        run_folder(t, folder, report);
        exit(0); /* through the leak checker */
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    return status == 0;
}

static int run_by_hand(const char *name, char **paths)
{
    for (unsigned i = 0; i < TARGETS; i++) {
        if (strcmp(targets[i].name, name) != 0) continue;
        fuzz_start();
        for (; *paths != NULL; paths++)
            printf("%s %s\n", run_file(&targets[i], *paths) ? "accepted" : "refused ", *paths);
        return 0;
    }
    fprintf(stderr, "no such target: %s\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    bool good = true;
    if (argc > 2) return run_by_hand(argv[1], argv + 2);
    if (argc < 2) {
        fprintf(stderr, "usage: fuzz-replay CORPORA | fuzz-replay TARGET FILE...\n");
        return 2;
    }
    struct report *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) return 2;
    printf("1..%d\n", (int)TARGETS);
    for (unsigned i = 0; i < TARGETS; i++) {
        bool ended = run_target(&targets[i], argv[1], report);
        /* Inputs that are all refused at the door, or all let in, would show little. */
        bool both = report->accepted > 0 && report->accepted < report->inputs;
        printf("%sok %u - %s: %u inputs, %u accepted", ended && both ? "" : "not ", i + 1,
               targets[i].name, report->inputs, report->accepted);
        if (!ended) printf(", died of %s", report->now);
        printf("\n");
        good = good && ended && both;
    }
    return good ? 0 : 1;
}
