/* SPDX-License-Identifier: Apache-2.0
 * git.c - reads the history of a local git repository with git's own programs.
 * Called by: run.c. May touch: the repository (reading), files in the scratch
 * directory, children of its own. Never: a shell, the network. */
#include "git.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/limits.h>

#include "kit.h"
#include "proc.h"

#define HASH_BYTES 32u /* SHA-1 takes 20 of them */

struct commit {
    uint8_t hash[HASH_BYTES];
    uint32_t index;
};
struct author {
    char *mail;
    uint32_t index;
};
struct table { /* open addressing; a power of two, at most half full */
    struct commit *slots;
    bool *used;
    size_t size;
};
struct import {
    struct table commits;
    struct author *authors; /* sorted by mail */
    size_t authors_count, authors_room;
    struct dag dag;
    char *why;
    size_t why_len;
};

static size_t slot_of(const struct table *t, const uint8_t *hash)
{
    uint64_t key;
    memcpy(&key, hash, sizeof key);
    size_t at = (size_t)key & (t->size - 1);
    while (t->used[at] && memcmp(t->slots[at].hash, hash, HASH_BYTES) != 0)
        at = (at + 1) & (t->size - 1);
    return at;
}

static void table_put(struct table *t, const uint8_t *hash, uint32_t index)
{
    if (t->size == 0 || index >= t->size / 2) {
        struct table old = *t;
        t->size = old.size == 0 ? 4096 : old.size * 2;
        t->slots = kit_alloc(t->size, sizeof *t->slots);
        t->used = kit_alloc(t->size, sizeof *t->used);
        for (size_t i = 0; i < old.size; i++)
            if (old.used[i]) {
                size_t at = slot_of(t, old.slots[i].hash);
                t->slots[at] = old.slots[i];
                t->used[at] = true;
            }
        free(old.slots);
        free(old.used);
    }
    size_t at = slot_of(t, hash);
    memcpy(t->slots[at].hash, hash, HASH_BYTES);
    t->slots[at].index = index;
    t->used[at] = true;
}

/* Authors are numbered in the order of their first commit. */
static uint32_t author_index(struct import *im, const char *mail)
{
    size_t low = 0, high = im->authors_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(im->authors[mid].mail, mail);
        if (order == 0) return im->authors[mid].index;
        if (order < 0) low = mid + 1;
        else high = mid;
    }
    im->authors = kit_grow(im->authors, &im->authors_room, im->authors_count + 1,
                           sizeof *im->authors);
    memmove(&im->authors[low + 1], &im->authors[low],
            (im->authors_count - low) * sizeof *im->authors);
    im->authors[low] = (struct author){.mail = kit_copy(mail),
                                       .index = (uint32_t)im->authors_count};
    return (uint32_t)im->authors_count++;
}

static bool hash_read(const char *text, size_t len, uint8_t out[HASH_BYTES])
{
    memset(out, 0, HASH_BYTES);
    return len % 2 == 0 && len / 2 <= HASH_BYTES && len >= 40 && kit_unhex(text, len / 2, out);
}

static int odd(struct import *im, const char *what, const char *line)
{
    snprintf(im->why, im->why_len, "git answered with %s: \"%.120s\"", what, line);
    return EXIT_HARNESS;
}

/* hash TAB parents, separated by blanks TAB time TAB mail */
static int log_line(struct import *im, char *line)
{
    char *parents = strchr(line, '\t');
    char *time = parents == NULL ? NULL : strchr(parents + 1, '\t');
    char *mail = time == NULL ? NULL : strchr(time + 1, '\t');
    if (mail == NULL) return odd(im, "a line that is no commit", line);
    *parents++ = *time++ = *mail++ = '\0';
    uint8_t hash[HASH_BYTES];
    if (!hash_read(line, strlen(line), hash)) return odd(im, "something that is no hash", line);
    uint32_t found[WEFT_ENTRY_PARENTS_MAX];
    uint32_t count = 0;
    char *save = NULL;
    for (char *p = strtok_r(parents, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save)) {
        uint8_t parent[HASH_BYTES];
        if (!hash_read(p, strlen(p), parent)) return odd(im, "something that is no hash", p);
        size_t at = im->commits.size == 0 ? 0 : slot_of(&im->commits, parent);
        if (im->commits.size == 0 || !im->commits.used[at])
            return odd(im, "a commit before its parent", line);
        bool twice = false;
        for (uint32_t i = 0; i < count; i++)
            twice = twice || found[i] == im->commits.slots[at].index;
        if (twice) continue; /* git lets a merge name a parent twice; an entry may not */
        if (count == WEFT_ENTRY_PARENTS_MAX) return odd(im, "too many parents", line);
        found[count++] = im->commits.slots[at].index;
    }
    if (im->dag.count == DAG_ENTRIES_MAX) return odd(im, "too many commits", line);
    long long seconds = strtoll(time, NULL, 10); /* some histories begin before 1970 */
    table_put(&im->commits, hash, im->dag.count);
    dag_append(&im->dag, found, count, author_index(im, mail), seconds < 0 ? 0 : (uint64_t)seconds,
               0);
    return EXIT_PASS;
}

/* Runs git with its standard output in `out`; its complaint, if any, is the reason. */
static int run_git(char *const argv[], const char *in, const char *out, const char *err, char *why,
                   size_t why_len)
{
    int result = EXIT_HARNESS;
    pid_t pid;
    int fd_in = in == NULL ? -1 : open(in, O_RDONLY | O_CLOEXEC);
    int fd_out = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int fd_err = open(err, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_out < 0 || fd_err < 0 || (in != NULL && fd_in < 0)) {
        snprintf(why, why_len, "cannot write to the working directory: %s", strerror(errno));
        goto done;
    }
    int failed = proc_spawn(argv, fd_in, fd_out, fd_err, &pid);
    if (failed != 0) {
        snprintf(why, why_len, "cannot start git: %s", strerror(failed));
        goto done;
    }
    if (proc_wait(pid) == 0) {
        result = EXIT_PASS;
        goto done;
    }
    char said[256] = "no reason given";
    FILE *complaint = fopen(err, "re");
    if (complaint != NULL) {
        if (fgets(said, sizeof said, complaint) != NULL) said[strcspn(said, "\n")] = '\0';
        fclose(complaint);
    }
    snprintf(why, why_len, "git: %s", said);
    result = EXIT_NOT_FOUND;
done:
    if (fd_in >= 0) close(fd_in);
    if (fd_out >= 0) close(fd_out);
    if (fd_err >= 0) close(fd_err);
    return result;
}

static int read_log(struct import *im, const char *path, const char *hashes)
{
    char *line = NULL;
    size_t room = 0;
    int code = EXIT_HARNESS;
    FILE *in = fopen(path, "re"), *to = fopen(hashes, "we");
    if (in == NULL || to == NULL) {
        snprintf(im->why, im->why_len, "%s: %s", in == NULL ? path : hashes, strerror(errno));
        goto done;
    }
    for (ssize_t got; (got = getline(&line, &room, in)) > 0;) {
        if (line[got - 1] == '\n') line[got - 1] = '\0';
        if ((code = log_line(im, line)) != EXIT_PASS) goto done;
        fprintf(to, "%s\n", line); /* log_line ended it after the hash */
    }
    code = EXIT_PASS;
done:
    free(line);
    if (in != NULL) fclose(in);
    if (to != NULL && fclose(to) != 0 && code == EXIT_PASS) {
        snprintf(im->why, im->why_len, "%s: %s", hashes, strerror(errno));
        code = EXIT_HARNESS;
    }
    return code;
}

static int read_sizes(struct import *im, const char *path)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        snprintf(im->why, im->why_len, "%s: %s", path, strerror(errno));
        return EXIT_HARNESS;
    }
    char line[64];
    uint32_t at = 0;
    while (at < im->dag.count && fgets(line, sizeof line, in) != NULL) {
        unsigned long long size = strtoull(line, NULL, 10);
        if (size > DAG_PAYLOAD_MAX) size = DAG_PAYLOAD_MAX;
        im->dag.entries[at++].size = (uint32_t)size;
        im->dag.payload_bytes += size;
    }
    fclose(in);
    if (at == im->dag.count) return EXIT_PASS;
    snprintf(im->why, im->why_len, "git gave %u sizes for %u commits", at, im->dag.count);
    return EXIT_HARNESS;
}

int git_load(const char *dir, const char *scratch, struct dag *out, char *why, size_t why_len)
{
    struct import im = {.why = why, .why_len = why_len};
    char *log = proc_path(scratch, "git.log"), *hashes = proc_path(scratch, "git.hashes");
    char *sizes = proc_path(scratch, "git.sizes"), *err = proc_path(scratch, "git.err");
    char *const list[] = {"git",
                          "-C",
                          (char *)dir,
                          "log",
                          "--topo-order",
                          "--reverse",
                          "--no-show-signature",
                          "--no-mailmap",
                          "--format=%H%x09%P%x09%at%x09%ae",
                          "HEAD",
                          "--",
                          NULL};
    char *const measure[] = {"git", "-C", (char *)dir, "cat-file", "--batch-check=%(objectsize)",
                             NULL};
    int code = run_git(list, NULL, log, err, why, why_len);
    if (code == EXIT_PASS) code = read_log(&im, log, hashes);
    if (code == EXIT_PASS) code = run_git(measure, hashes, sizes, err, why, why_len);
    if (code == EXIT_PASS) code = read_sizes(&im, sizes);
    if (code == EXIT_PASS) {
        *out = im.dag;
        im.dag = (struct dag){0};
    }
    char *const files[] = {log, hashes, sizes, err};
    for (size_t i = 0; i < 4; i++) {
        unlink(files[i]);
        free(files[i]);
    }
    for (size_t i = 0; i < im.authors_count; i++) free(im.authors[i].mail);
    free(im.authors);
    free(im.commits.slots);
    free(im.commits.used);
    dag_free(&im.dag);
    return code;
}
