/* SPDX-License-Identifier: Apache-2.0
 * spoil.c - damages what a node left behind, on request (spoil.h).
 * Called by: judge.c. May touch: the files of nodes that have ended.
 * Never: anything unless --sabotage asked for it. */
#include "spoil.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cluster.h"
#include "evidence.h"
#include "proc.h"

const char *const spoil_names[SPOIL_COUNT] = {"none", "lose", "flip", "newer", "stranger"};

static weft_err flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+e");
    int byte = file == NULL || fseek(file, at, SEEK_SET) != 0 ? EOF : fgetc(file);
    bool done = byte != EOF && fseek(file, at, SEEK_SET) == 0 && fputc(byte ^ 0x40, file) != EOF;
    if (file != NULL && fclose(file) != 0) done = false;
    return done ? WEFT_OK : WEFT_IO;
}

/* In the middle of the largest table: that of the entries. */
static weft_err flip_table(const char *dir)
{
    DIR *handle = opendir(dir);
    char *largest = NULL;
    off_t size = 0;
    if (handle == NULL) return WEFT_NOT_FOUND;
    for (struct dirent *item; (item = readdir(handle)) != NULL;) {
        size_t len = strlen(item->d_name);
        struct stat info;
        if (len < 4 || strcmp(item->d_name + len - 4, ".sst") != 0) continue;
        char *path = proc_path(dir, item->d_name);
        bool larger = stat(path, &info) == 0 && info.st_size > size;
        if (larger) size = info.st_size;
        free(larger ? largest : path);
        if (larger) largest = path;
    }
    closedir(handle);
    weft_err err = largest == NULL ? WEFT_NOT_FOUND : flip(largest, (long)size / 2);
    free(largest);
    return err;
}

weft_err spoil_store(enum spoil what, const char *dir, uint32_t index, bool memory_store)
{
    if (what == SPOIL_NEWER) return evidence_age(dir, index);
    char *path = memory_store ? cluster_dump_path(dir, index) : evidence_store_path(dir, index);
    /* A dump begins with the length of its first record, the low byte first. */
    weft_err err = memory_store ? flip(path, 3) : flip_table(path);
    free(path);
    return err;
}
