/* SPDX-License-Identifier: Apache-2.0
 * dag.h - a history as a table: who follows whom, by which author, of which size.
 *
 * The text form: lines that begin with '#' are comments; every other line is one
 * entry, parents before children, numbered from 0. Four columns, separated by one
 * tab: parents (indexes, comma-separated, '-' for none), author (index), Unix time
 * in seconds, payload size in bytes. */
#ifndef STRESS_DAG_H
#define STRESS_DAG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DAG_ENTRIES_MAX (16u << 20)
#define DAG_PAYLOAD_MAX 1000000u /* an entry of 1 MiB holds it with everything else */
#define DAG_AUTHORS_MAX (1u << 24)

struct dag_entry {
    uint64_t time;
    size_t parents_at; /* into dag.parents */
    uint32_t parents_count;
    uint32_t author;
    uint32_t size;
};
struct dag {
    struct dag_entry *entries;
    uint32_t count;
    uint32_t *parents;
    size_t parents_len;
    uint32_t authors;       /* highest author index and one */
    uint64_t payload_bytes; /* of all entries               */
    size_t entries_room, parents_room;
};

/* Reads a table. 0; or -1 with "name:line: reason" in `why`, and *out is empty. */
int dag_read(FILE *in, const char *name, struct dag *out, char *why, size_t why_len);
/* Opens and reads `path`. 0; -1 as above; -2 when it cannot be opened. */
int dag_load(const char *path, struct dag *out, char *why, size_t why_len);
/* Writes it in the text form. 0, or -1 with errno. */
int dag_save(const struct dag *dag, const char *path);
/* Appends one entry whose parents are checked already. */
void dag_append(struct dag *dag, const uint32_t *parents, uint32_t count, uint32_t author,
                uint64_t time, uint32_t size);
void dag_free(struct dag *dag); /* an empty one is fine */

#endif
