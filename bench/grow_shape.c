/* SPDX-License-Identifier: Apache-2.0
 * grow_shape.c - who follows whom, and the building and adding of a whole history.
 * Called by: store_grow.c. May touch: memory, a node in a directory of its own.
 * Never: more than two batches of entries at a time in memory. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "grow.h"

#define BATCH 1000u
#define PAYLOAD 200u
#define PAYLOAD_MAX 1000000u
#define WRITERS 8u

void grow_must(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "bench-store-grow: %s: %s\n", what, weft_strerror(err));
    exit(1);
}

double grow_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

weft_keypair *grow_author(void)
{
    weft_keypair *author;
    uint8_t seed[32] = {11};
    grow_must(weft_keypair_from_seed(seed, &author), "key");
    return author;
}

static void *need(void *memory)
{
    grow_must(memory == NULL ? WEFT_NO_MEMORY : WEFT_OK, "memory");
    return memory;
}

/* -- Shapes ------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x) /* SplitMix64's output */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint32_t real_parents(const struct grow_shape *s, uint32_t i, uint32_t *out)
{
    uint32_t from = s->parents_at[i], count = s->parents_at[i + 1] - from;
    memcpy(out, s->parents + from, count * sizeof *out);
    return count;
}

uint32_t grow_parents(const struct grow_shape *shape, uint32_t i, uint32_t out[GROW_PARENTS_MAX])
{
    uint64_t chance = mix(i);
    switch (shape->kind) {
    case GROW_CHAIN: out[0] = i - 1; return 1;
    case GROW_STAR: out[0] = 0; return 1;
    case GROW_SCATTERED: out[0] = (uint32_t)(chance % i); return 1;
    case GROW_WIDE: /* each writer goes on from its own; three of ten join another's */
        out[0] = i > WRITERS ? i - WRITERS : 0;
        if (i <= 2 * WRITERS || chance % 10 >= 3) return 1;
        out[1] = i - 1 - (uint32_t)(chance / 10 % (WRITERS - 1));
        return 2;
    default: return real_parents(shape, i, out);
    }
}

/* "parents<tab>author<tab>time<tab>bytes"; parents are numbers of rows, "-": none. Row k is
 * entry k + 1: below all lies the root. */
static bool read_row(struct grow_shape *s, uint32_t *parents_len, char *line)
{
    uint32_t from = *parents_len;
    char *at = line, *tab = strchr(line, '\t');
    if (tab == NULL) return false;
    while (at < tab && *at != '-') {
        s->parents[(*parents_len)++] = 1 + (uint32_t)strtoul(at, &at, 10);
        if (*at == ',') at++;
    }
    if (*parents_len == from) s->parents[(*parents_len)++] = 0;
    if (*parents_len - from > GROW_PARENTS_MAX) return false;
    char *last = strrchr(line, '\t');
    s->sizes[s->count] = (uint32_t)strtoul(last + 1, NULL, 10);
    s->parents_at[s->count++] = from;
    s->parents_at[s->count] = *parents_len;
    return s->sizes[s->count - 1] <= PAYLOAD_MAX;
}

bool grow_shape_load(struct grow_shape *shape, const char *path)
{
    FILE *in = fopen(path, "re");
    char *line = NULL;
    size_t line_room = 0, room = 0;
    uint32_t parents_len = 0;
    bool good = in != NULL;
    shape->count = 1; /* the root */
    while (good && getline(&line, &line_room, in) > 0) {
        if (line[0] == '#') continue;
        if (shape->count + 2 > room) {
            room = room == 0 ? 4096 : room * 2;
            shape->parents_at = need(realloc(shape->parents_at, room * sizeof(uint32_t)));
            shape->sizes = need(realloc(shape->sizes, room * sizeof(uint32_t)));
            /* Octopuses are rare: four times as many parents are enough for any line. */
            shape->parents = need(realloc(shape->parents, (4 * room + GROW_PARENTS_MAX) * 4));
        }
        if (shape->count == 1) shape->parents_at[0] = shape->parents_at[1] = 0;
        good = parents_len < 4 * room && read_row(shape, &parents_len, line);
    }
    free(line);
    if (in != NULL) fclose(in);
    return good && shape->count > 1;
}

void grow_shape_free(struct grow_shape *shape)
{
    free(shape->parents);
    free(shape->parents_at);
    free(shape->sizes);
}

/* -- Building, one batch ahead of adding ---------------------------------------------------- */

struct builder {
    const struct grow_shape *shape;
    uint32_t count, next;
    weft_id *ids;
    uint64_t *heights;
    uint8_t *payload;
    weft_keypair *author;
    uint64_t entry_bytes;
    weft_buf *bufs[2][BATCH]; /* one is being filled, the other added */
    uint32_t filled[2];
    unsigned side;
};

static void build_one(struct builder *b, weft_buf **out)
{
    uint32_t i = b->next++, at[GROW_PARENTS_MAX];
    weft_id parents[GROW_PARENTS_MAX];
    uint32_t count = grow_parents(b->shape, i, at);
    uint32_t size = b->shape->kind == GROW_REAL ? b->shape->sizes[i] : PAYLOAD;
    uint64_t height = 0;
    for (uint32_t p = 0; p < count; p++) {
        parents[p] = b->ids[at[p]];
        if (b->heights[at[p]] > height) height = b->heights[at[p]];
    }
    uint64_t word = i;
    for (uint32_t k = 0; k + 8 <= size; k += 8) {
        word = mix(word);
        memcpy(b->payload + k, &word, 8);
    }
    weft_store_part part = {.name = "main",
                            .parents = parents,
                            .parents_count = at[0] == 0 ? 0 : count, /* the root writes nothing */
                            .payload = b->payload,
                            .payload_len = size};
    weft_entry_spec spec = {.tree = b->ids[0],
                            .parents = parents,
                            .parents_count = count,
                            .height = b->heights[i] = height + 1,
                            .stores = &part,
                            .stores_count = 1};
    grow_must(weft_entry_build(&spec, b->author, out, &b->ids[i]), "entry");
    b->entry_bytes += weft_buf_len(*out);
}

static void *build(void *arg)
{
    struct builder *b = arg;
    uint32_t n = 0;
    while (n < BATCH && b->next < b->count) build_one(b, &b->bufs[b->side][n++]);
    b->filled[b->side] = n;
    return NULL;
}

static void add(struct builder *b, weft_node *node, unsigned side)
{
    uint32_t n = b->filled[side];
    grow_must(weft_add(node, b->bufs[side], n, true, GROW_TIMEOUT, NULL), "adding");
    for (uint32_t i = 0; i < n; i++) weft_buf_unref(b->bufs[side][i]);
}

static void add_all(struct builder *b, weft_node *node)
{
    build(b);
    while (b->filled[b->side] > 0) {
        unsigned ready = b->side;
        pthread_t thread;
        b->side ^= 1;
        grow_must(pthread_create(&thread, NULL, build, b) != 0 ? WEFT_NO_MEMORY : WEFT_OK,
                  "thread");
        add(b, node, ready);
        pthread_join(thread, NULL);
    }
}

static void save_ids(const struct builder *b, const char *path)
{
    FILE *out = fopen(path, "we");
    bool good = out != NULL && fwrite(b->ids, sizeof *b->ids, b->count, out) == b->count;
    if (out != NULL) good = fclose(out) == 0 && good;
    grow_must(good ? WEFT_OK : WEFT_IO, path);
}

struct grow_taken grow_take(const struct grow_shape *shape, uint32_t count, weft_engine engine,
                            const char *dir, const char *ids)
{
    struct builder *b = need(calloc(1, sizeof *b));
    weft_node_options options = {.dir = dir, .engine = engine};
    weft_root_spec root = {.height = WEFT_HEIGHT_INCREMENTAL};
    weft_node *node;
    b->shape = shape;
    b->count = count;
    b->next = 1;
    b->ids = need(calloc(count, sizeof *b->ids));
    b->heights = need(calloc(count, sizeof *b->heights));
    b->payload = need(calloc(1, PAYLOAD_MAX));
    b->author = grow_author();
    grow_must(weft_node_open(&options, &node), "opening the node");
    grow_must(weft_tree_create(node, b->author, &root, GROW_TIMEOUT, &b->ids[0]), "tree");
    double began = grow_seconds();
    add_all(b, node);
    struct grow_taken taken = {.seconds = grow_seconds() - began, .entry_bytes = b->entry_bytes};
    grow_must(weft_shutdown(node, GROW_TIMEOUT), "closing");
    weft_node_close(node);
    save_ids(b, ids);
    weft_keypair_destroy(b->author);
    free(b->ids);
    free(b->heights);
    free(b->payload);
    free(b);
    return taken;
}
