/* SPDX-License-Identifier: Apache-2.0
 * map.c - what reading a map costs: all of it, a small one beside it, after one more entry, one value.
 * Called by: a person: bench-map [--dir PATH] [ENTRIES...] (default 10000 100000).
 * May touch: one directory for each number of entries, which it creates under PATH; without
 * --dir the stores are in memory. Never: measures what commits cost. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/map.h>

#define BATCH 512u
#define ROUNDS 2001u
#define RARE 100u /* one entry of so many writes a second store, too */

static void must(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "%s: %s\n", what, weft_strerror(err));
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *list, uint32_t count)
{
    qsort(list, count, sizeof *list, by_size);
    return list[count / 2];
}

struct bench {
    uint32_t entries, paths;
    weft_node *node;
    weft_keypair *author;
    weft_id tree;
    uint64_t dice;
};

static uint32_t below(struct bench *b, uint32_t bound)
{
    b->dice = b->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((b->dice >> 33) % bound);
}

/* One of the paths, and a value that begins with `number`. */
static void fill(struct bench *b, weft_map_edit *edit, uint32_t number)
{
    char user[16], value[32];
    snprintf(user, sizeof user, "%u", below(b, b->paths));
    snprintf(value, sizeof value, "%u: some thirty bytes of text", number);
    weft_map_edit_clear(edit);
    must(weft_map_edit_set(edit, WEFT_MAP_PATH("users", user, "name"), weft_map_text(value)),
         "set");
}

/* A chain of edits, made outside the store. */
static void add_history(struct bench *b)
{
    weft_map_edit *edit;
    weft_buf *bufs[BATCH];
    weft_id last = b->tree;
    uint32_t count = 0;
    must(weft_map_edit_create(&edit), "edit");
    for (uint32_t i = 0; i < b->entries; i++) {
        weft_buf *payload;
        weft_id id;
        fill(b, edit, i);
        must(weft_map_edit_encode(edit, &payload), "encode");
        weft_store_part parts[2] = {{.name = "doc",
                                     .parents = &last,
                                     .parents_count = i > 0,
                                     .payload = weft_buf_bytes(payload),
                                     .payload_len = weft_buf_len(payload)}};
        parts[1] = parts[0];
        parts[1].name = "rare";
        parts[1].parents_count = 0;
        weft_entry_spec spec = {.tree = b->tree,
                                .parents = &last,
                                .parents_count = 1,
                                .height = i + 1,
                                .stores = parts,
                                .stores_count = i % RARE == 0 ? 2 : 1};
        must(weft_entry_build(&spec, b->author, &bufs[count++], &id), "build");
        last = id;
        weft_buf_unref(payload);
        if (count < BATCH && i + 1 < b->entries) continue;
        must(weft_add(b->node, bufs, count, true, WEFT_NEVER, NULL), "add");
        while (count > 0) weft_buf_unref(bufs[--count]);
    }
    weft_map_edit_destroy(edit);
}

/* The first refresh of the map of a store, and how many entries it has. */
static double time_first(struct bench *b, const char *store, weft_map **out, uint64_t *read)
{
    double start = now_us();
    must(weft_map_open(b->node, &b->tree, store, out), "open the map");
    must(weft_map_refresh(*out, read), "refresh");
    return now_us() - start;
}

static void time_reads(struct bench *b, const weft_map *map, double *list)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        char user[16];
        weft_map_value value;
        snprintf(user, sizeof user, "%u", below(b, b->paths));
        const weft_map_path *path = WEFT_MAP_PATH("users", user, "name");
        double start = now_us();
        weft_err err = weft_map_get(map, path, &value);
        list[i] = now_us() - start;
        if (err != WEFT_NOT_FOUND) must(err, "get");
    }
}

/* Times of a refresh after one more entry, and of one after none. */
static void time_refreshes(struct bench *b, weft_map *map, double *one, double *none)
{
    weft_writer *writer;
    weft_map_edit *edit;
    must(weft_writer_open(b->node, &b->tree, b->author, &writer), "writer");
    must(weft_map_edit_create(&edit), "edit");
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t read;
        fill(b, edit, i);
        must(weft_map_commit(writer, "doc", edit, WEFT_NEVER, NULL), "commit");
        double start = now_us();
        must(weft_map_refresh(map, &read), "refresh");
        double middle = now_us();
        one[i] = middle - start;
        if (read != 1) must(WEFT_INTERNAL, "a refresh after one entry reads one");
        must(weft_map_refresh(map, &read), "refresh");
        none[i] = now_us() - middle;
    }
    weft_map_edit_destroy(edit);
    weft_writer_close(writer);
}

struct result {
    double one, none, get;
};

static struct result run(const char *dir, uint32_t entries)
{
    static double one[ROUNDS], none[ROUNDS], get[ROUNDS];
    const weft_root_spec root = {.everyone = WEFT_RIGHT_READ, .entropy = {1}};
    struct bench b = {.entries = entries, .paths = entries / 2, .dice = entries};
    char path[512];
    weft_map *map, *rare;
    weft_map_info info;
    uint64_t read, rare_read;
    snprintf(path, sizeof path, "%s/map-%u", dir == NULL ? "" : dir, entries);
    const weft_node_options options = {.dir = dir == NULL ? NULL : path, .unsynced = true};
    must(weft_keypair_create(&b.author), "key pair");
    must(weft_node_open(&options, &b.node), "open");
    must(weft_tree_create(b.node, b.author, &root, WEFT_NEVER, &b.tree), "tree");
    add_history(&b);
    double all = time_first(&b, "doc", &map, &read);
    double few = time_first(&b, "rare", &rare, &rare_read);
    weft_map_close(rare);
    weft_map_info_get(map, &info);
    time_refreshes(&b, map, one, none);
    time_reads(&b, map, get);
    struct result r = {median(one, ROUNDS), median(none, ROUNDS), median(get, ROUNDS)};
    printf("%u entries, %llu paths: first_ms=%.1f per_entry_us=%.2f rare_first_ms=%.2f "
           "rare_per_entry_us=%.2f refresh_one_us=%.2f p99_us=%.2f refresh_none_us=%.2f "
           "get_us=%.2f bytes_per_path=%.0f\n",
           entries, (unsigned long long)info.paths, all / 1e3, all / (double)read, few / 1e3,
           few / (double)rare_read, r.one, one[ROUNDS * 99 / 100], r.none, r.get,
           (double)info.bytes / (double)info.paths);
    weft_map_close(map);
    weft_node_close(b.node);
    weft_keypair_destroy(b.author);
    return r;
}

int main(int argc, char **argv)
{
    static char *usual[] = {"10000", "100000"};
    const char *dir = NULL;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--dir") == 0) {
        dir = argv[2];
        first = 3;
    }
    char **sizes = argc > first ? argv + first : usual;
    int count = argc > first ? argc - first : 2;
    double before = 0, refresh_before = 0, get_before = 0;
    for (int i = 0; i < count; i++) {
        double entries = strtod(sizes[i], NULL);
        if (entries < 2 || entries > 1e8) must(WEFT_INVALID, sizes[i]);
        struct result r = run(dir, (uint32_t)entries);
        if (before > 0)
            printf("exponent: refresh_one=%.2f get=%.2f\n",
                   log(r.one / refresh_before) / log(entries / before),
                   log(r.get / get_before) / log(entries / before));
        before = entries;
        refresh_before = r.one;
        get_before = r.get;
    }
    return 0;
}
