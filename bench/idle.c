/* SPDX-License-Identifier: Apache-2.0
 * idle.c - what a node costs that has nothing to do: CPU time and wake-ups of each thread
 * over some seconds, with a listener, a connected peer and a tree in live sync. What
 * RocksDB's own threads do is listed apart, by their names.
 *
 *     bench-idle [--seconds N] [--rocksdb DIR] */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft/node.h>

#define TIMEOUT (20 * WEFT_SEC)
#define THREADS_MAX 256

static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "bench-idle: %s: %s\n", what, weft_strerror(err));
    exit(1);
}

struct thread {
    long id;
    char name[32];
    uint64_t cpu_ns, sleeps;
};

static void read_thread(long id, struct thread *out)
{
    char path[96], line[256];
    out->id = id;
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", id);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fgets(out->name, sizeof out->name, file) != NULL)
            out->name[strcspn(out->name, "\n")] = '\0';
        fclose(file);
    }
    snprintf(path, sizeof path, "/proc/self/task/%ld/schedstat", id);
    file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%" SCNu64, &out->cpu_ns) != 1) out->cpu_ns = 0;
        fclose(file);
    }
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", id);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &out->sleeps) == 1) break;
    if (file != NULL) fclose(file);
}

static int read_threads(struct thread out[THREADS_MAX])
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *item;
         dir != NULL && (item = readdir(dir)) != NULL && count < THREADS_MAX;) {
        long id = strtol(item->d_name, NULL, 10);
        if (id > 0) read_thread(id, &out[count++]);
    }
    if (dir != NULL) closedir(dir);
    return count;
}

static weft_node *open_node(const char *dir, const char *name)
{
    char path[512];
    weft_node_options options = {0};
    weft_node *node = NULL;
    if (dir != NULL) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        options.dir = path;
    }
    check(weft_node_open(&options, &node), "open");
    check(weft_add_transport(node, "net", "tcp:127.0.0.1:0", TIMEOUT), "transport");
    check(weft_start_server(node, "net", TIMEOUT), "listen");
    return node;
}

static void measure(int seconds)
{
    static struct thread before[THREADS_MAX], after[THREADS_MAX];
    struct timespec span = {.tv_sec = seconds};
    int count_before = read_threads(before);
    nanosleep(&span, NULL);
    int count = read_threads(after);
    uint64_t cpu = 0, sleeps = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < count_before; k++) {
            if (before[k].id != after[i].id || after[i].id == getpid()) continue;
            uint64_t d_cpu = after[i].cpu_ns - before[k].cpu_ns;
            uint64_t d_sleeps = after[i].sleeps - before[k].sleeps;
            cpu += d_cpu;
            sleeps += d_sleeps;
            if (d_sleeps != 0)
                printf("  %-16s cpu_us=%-8.1f wakes=%" PRIu64 "\n", after[i].name,
                       (double)d_cpu / 1e3, d_sleeps);
        }
    printf("two idle nodes: seconds=%d threads=%d cpu_ms=%.2f cpu_percent=%.4f wakes_per_s=%.1f\n",
           seconds, count - 1, (double)cpu / 1e6, (double)cpu / 1e7 / seconds,
           (double)sleeps / seconds);
}

int main(int argc, char **argv)
{
    int seconds = 10;
    const char *dir = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0) seconds = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--rocksdb") == 0) dir = argv[i + 1];
    }
    weft_node *a = open_node(dir, "a"), *b = open_node(dir, "b");
    weft_key key_a, key_b;
    weft_keypair *author = NULL;
    weft_id tree;
    char address[WEFT_ADDRESS_BYTES_MAX];
    weft_root_spec root = {.everyone = WEFT_RIGHT_NONE};
    weft_node_key(a, &key_a);
    weft_node_key(b, &key_b);
    check(weft_keypair_create(&author), "key");
    check(weft_tree_create(a, author, &root, TIMEOUT, &tree), "tree");
    check(weft_tree_follow(a, &tree, &key_b, 1, TIMEOUT), "follow");
    check(weft_tree_follow(b, &tree, &key_a, 1, TIMEOUT), "follow");
    check(weft_server_address(a, "net", TIMEOUT, address), "address");
    check(weft_connect(b, address, &key_a, TIMEOUT, NULL), "connect");
    check(weft_peer_relate(b, &key_a, &tree, TIMEOUT), "relate");
    check(weft_sync_tree(b, &key_a, &tree, TIMEOUT, NULL), "sync");
    measure(seconds > 0 ? seconds : 10);
    weft_node_close(b);
    weft_node_close(a);
    weft_keypair_destroy(author);
    return 0;
}
