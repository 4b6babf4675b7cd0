/* SPDX-License-Identifier: Apache-2.0
 * dag.c - reads and writes a history as a table, strictly.
 * Called by: run.c, git.c, import.c, demo. May touch: the file it is given.
 * Never: weft; accepts a line that it does not understand whole. */
#include "dag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <weft/limits.h>

#include "kit.h"

struct reader {
    const char *name;
    unsigned long line;
    char *why;
    size_t why_len;
    uint32_t parents[WEFT_ENTRY_PARENTS_MAX];
    uint32_t parents_count;
};

static int refuse(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct reader *r, const char *format, ...)
{
    int used = snprintf(r->why, r->why_len, "%s:%lu: ", r->name, r->line);
    if (used < 0 || (size_t)used >= r->why_len) return -1;
    va_list args;
    va_start(args, format);
    vsnprintf(r->why + used, r->why_len - (size_t)used, format, args);
    va_end(args);
    return -1;
}

/* Digits only, at least one, at most `max`. */
static bool number(const char *text, size_t len, uint64_t max, uint64_t *out)
{
    if (len == 0 || len > 19) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value > max) return false;
    *out = value;
    return true;
}

static int read_parents(struct reader *r, const char *text, size_t len, uint32_t self)
{
    r->parents_count = 0;
    if (len == 1 && text[0] == '-') return 0;
    size_t at = 0;
    while (at <= len) {
        const char *comma = memchr(text + at, ',', len - at);
        size_t end = comma == NULL ? len : (size_t)(comma - text);
        uint64_t parent;
        if (!number(text + at, end - at, UINT32_MAX, &parent))
            return refuse(r, "\"%.*s\" is not the index of a parent", (int)(end - at), text + at);
        if (parent == self) return refuse(r, "entry %u names itself as a parent", self);
        if (parent > self)
            return refuse(r, "entry %u names parent %llu, which does not come before it", self,
                          (unsigned long long)parent);
        for (uint32_t i = 0; i < r->parents_count; i++)
            if (r->parents[i] == parent)
                return refuse(r, "entry %u names parent %llu twice", self,
                              (unsigned long long)parent);
        if (r->parents_count == WEFT_ENTRY_PARENTS_MAX)
            return refuse(r, "entry %u has more than %u parents", self, WEFT_ENTRY_PARENTS_MAX);
        r->parents[r->parents_count++] = (uint32_t)parent;
        at = end + 1;
    }
    return 0;
}

static int read_line(struct reader *r, const char *text, size_t len, struct dag *dag)
{
    const char *column[4];
    size_t width[4];
    size_t columns = 0, at = 0;
    for (;;) {
        const char *tab = memchr(text + at, '\t', len - at);
        size_t end = tab == NULL ? len : (size_t)(tab - text);
        if (columns < 4) {
            column[columns] = text + at;
            width[columns] = end - at;
        }
        columns++;
        if (tab == NULL) break;
        at = end + 1;
    }
    if (columns != 4)
        return refuse(r, "%zu column%s instead of 4 (parents, author, time, size)", columns,
                      columns == 1 ? "" : "s");
    uint64_t author, time, size;
    if (read_parents(r, column[0], width[0], dag->count) != 0) return -1;
    if (!number(column[1], width[1], DAG_AUTHORS_MAX - 1, &author))
        return refuse(r, "\"%.*s\" is not the index of an author (0 to %u)", (int)width[1],
                      column[1], DAG_AUTHORS_MAX - 1);
    if (!number(column[2], width[2], WEFT_HEIGHT_MAX, &time))
        return refuse(r, "\"%.*s\" is not a time in seconds", (int)width[2], column[2]);
    if (!number(column[3], width[3], DAG_PAYLOAD_MAX, &size))
        return refuse(r, "\"%.*s\" is not a payload size (0 to %u bytes)", (int)width[3], column[3],
                      DAG_PAYLOAD_MAX);
    if (dag->count == DAG_ENTRIES_MAX) return refuse(r, "more than %u entries", DAG_ENTRIES_MAX);
    dag_append(dag, r->parents, r->parents_count, (uint32_t)author, time, (uint32_t)size);
    return 0;
}

void dag_append(struct dag *dag, const uint32_t *parents, uint32_t count, uint32_t author,
                uint64_t time, uint32_t size)
{
    dag->entries = kit_grow(dag->entries, &dag->entries_room, dag->count + 1u,
                            sizeof *dag->entries);
    dag->parents = kit_grow(dag->parents, &dag->parents_room, dag->parents_len + count + 1,
                            sizeof *dag->parents);
    for (uint32_t i = 0; i < count; i++) dag->parents[dag->parents_len + i] = parents[i];
    dag->entries[dag->count++] = (struct dag_entry){.time = time,
                                                    .parents_at = dag->parents_len,
                                                    .parents_count = count,
                                                    .author = author,
                                                    .size = size};
    dag->parents_len += count;
    if (author >= dag->authors) dag->authors = author + 1;
    dag->payload_bytes += size;
}

int dag_read(FILE *in, const char *name, struct dag *out, char *why, size_t why_len)
{
    struct reader r = {.name = name, .why = why, .why_len = why_len};
    struct dag dag = {0};
    char *text = NULL;
    size_t room = 0;
    int result = -1;
    errno = 0;
    for (ssize_t got; (got = getline(&text, &room, in)) >= 0;) {
        r.line++;
        size_t len = (size_t)got;
        if (len > 0 && text[len - 1] == '\n') len--;
        if (len > 0 && text[0] == '#') continue;
        if (read_line(&r, text, len, &dag) != 0) goto done;
    }
    if (ferror(in)) {
        snprintf(why, why_len, "%s cannot be read: %s", name, strerror(errno));
        goto done;
    }
    *out = dag;
    dag = (struct dag){0}; /* the caller's now */
    result = 0;
done:
    free(text);
    dag_free(&dag);
    return result;
}

int dag_load(const char *path, struct dag *out, char *why, size_t why_len)
{
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        snprintf(why, why_len, "%s: %s", path, strerror(errno));
        return -2;
    }
    int result = dag_read(in, path, out, why, why_len);
    fclose(in);
    return result;
}

int dag_save(const struct dag *dag, const char *path)
{
    FILE *to = fopen(path, "we");
    if (to == NULL) return -1;
    for (uint32_t i = 0; i < dag->count; i++) {
        const struct dag_entry *e = &dag->entries[i];
        for (uint32_t p = 0; p < e->parents_count; p++)
            fprintf(to, "%s%u", p == 0 ? "" : ",", dag->parents[e->parents_at + p]);
        fprintf(to, "%s\t%u\t%llu\t%u\n", e->parents_count == 0 ? "-" : "", e->author,
                (unsigned long long)e->time, e->size);
    }
    bool failed = ferror(to) != 0;
    return fclose(to) != 0 || failed ? -1 : 0;
}

void dag_free(struct dag *dag)
{
    free(dag->entries);
    free(dag->parents);
    *dag = (struct dag){0};
}
