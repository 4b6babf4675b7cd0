/* SPDX-License-Identifier: Apache-2.0
 * pair.c - two nodes over TCP, each with a store on disk, that commit beside each other until they
 * hold the same; and a look at what they left.
 * Called by: main.c, in a process of its own (eintr.c has its calls interrupted, faketime.c has its
 * clocks run).
 * May touch: two stores, loopback. Never: says "acknowledged" before a node did. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <weft/log.h>
#include <weft/node.h>

#include "crypto.h"
#include "torture.h"

#define MEMORY_BYTES (UINT64_C(16) << 20)
#define CALL \
    (1000 * 3600 * WEFT_SEC) /* no call is late by a clock that runs: the torture's own counts */
#define PAUSE_NS (20 * WEFT_MS)

static struct side {
    char dir[160];
    weft_node *node;
    weft_writer *writer;
    weft_key key;
    uint32_t acked;
    weft_err err;
} sides[2];
static struct {
    uint32_t count; /* commits of each side */
    weft_keypair *author;
    weft_id tree, *ids; /* of what was acknowledged, those of a side together */
    tt_pair_said said;
} me;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * WEFT_SEC + (uint64_t)now.tv_nsec;
}

/* -- Whole files, whatever interrupts ------------------------------------------------------- */

static bool move_all(int fd, void *bytes, size_t len, bool out)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = out ? write(fd, (char *)bytes + at, len - at)
                        : read(fd, (char *)bytes + at, len - at);
        if (n > 0) at += (size_t)n;
        else if (n == 0 || errno != EINTR) return false;
    }
    return true;
}

static void acked_path(const char *dir, char out[200]) { tt_path(out, 200, dir, "acked"); }

static void acked_save(const char *dir)
{
    char path[200];
    acked_path(dir, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) tt_die(path);
    for (uint32_t i = 0; i < 2; i++)
        if (!move_all(fd, me.ids + i * me.count, sides[i].acked * sizeof *me.ids, true))
            tt_die(path);
    close(fd);
}

/* -- A life of both ---------------------------------------------------------------------------- */

static weft_err open_side(uint32_t i)
{
    struct side *s = &sides[i];
    uint8_t seed[32] = {(uint8_t)(i + 1), 0x25};
    weft_keypair *device = NULL;
    weft_err err = weft_keypair_from_seed(seed, &device);
    if (err != WEFT_OK) return err;
    weft_node_options options = {.dir = s->dir,
                                 .device = device,
                                 .name = i == 0 ? "a" : "b",
                                 .verifiers = 1,
                                 .store_memory_bytes = MEMORY_BYTES};
    err = weft_node_open(&options, &s->node);
    weft_keypair_destroy(device);
    if (err != WEFT_OK) return err;
    weft_node_key(s->node, &s->key);
    return weft_add_transport(s->node, "net", i == 0 ? "tcp:127.0.0.1:0" : NULL, CALL);
}

static weft_err open_both(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        weft_err err = open_side(i);
        if (err != WEFT_OK) return err;
    }
    return weft_start_server(sides[0].node, "net", CALL);
}

/* Everybody who holds the tree may write in it, so that both do. */
static weft_err share_tree(void)
{
    weft_root_spec root = {.everyone = WEFT_RIGHT_WRITE, .everyone_priority = 10};
    char address[WEFT_ADDRESS_BYTES_MAX];
    struct side *a = &sides[0], *b = &sides[1];
    weft_err err = weft_tree_create(a->node, me.author, &root, CALL, &me.tree);
    if (err == WEFT_OK) err = weft_tree_follow(a->node, &me.tree, &b->key, 1, CALL);
    if (err == WEFT_OK) err = weft_tree_follow(b->node, &me.tree, &a->key, 1, CALL);
    if (err == WEFT_OK) err = weft_server_address(a->node, "net", CALL, address);
    if (err == WEFT_OK) err = weft_peer_register(b->node, &a->key, "a", CALL);
    if (err == WEFT_OK) err = weft_peer_add_address(b->node, &a->key, address, CALL);
    return err;
}

static void *commit_all(void *arg)
{
    struct side *s = arg;
    weft_id *ids = me.ids + (size_t)(s - sides) * me.count;
    for (uint32_t i = 0; i < me.count && s->err == WEFT_OK; i++) {
        const uint32_t payload[2] = {(uint32_t)(s - sides), i}; /* of both, no two are the same */
        s->err = weft_commit(s->writer, "log", payload, sizeof payload, CALL, &ids[i]);
        if (s->err == WEFT_OK) s->acked++;
    }
    return NULL;
}

static weft_err commit_both(void)
{
    pthread_t threads[2];
    weft_err err = WEFT_OK;
    for (uint32_t i = 0; i < 2 && err == WEFT_OK; i++)
        err = weft_writer_open(sides[i].node, &me.tree, me.author, &sides[i].writer);
    if (err != WEFT_OK) return err;
    for (uint32_t i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, commit_all, &sides[i]) != 0) tt_die("a thread");
    for (uint32_t i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    return sides[0].err != WEFT_OK ? sides[0].err : sides[1].err;
}

static bool agree(void)
{
    weft_tree_info info[2] = {{.entries = 0}};
    for (uint32_t i = 0; i < 2; i++)
        if (weft_tree_info_get(sides[i].node, &me.tree, &info[i]) != WEFT_OK) return false;
    return info[0].has_root && info[0].entries == info[1].entries &&
           memcmp(info[0].root_digest, info[1].root_digest, sizeof info[0].root_digest) == 0;
}

/* Goes on until they do: who started us knows when that is too long. */
static void sync_both(void)
{
    const struct timespec pause = {0, PAUSE_NS};
    do {
        weft_err err = weft_sync_tree(sides[1].node, &sides[0].key, &me.tree, CALL, NULL);
        me.said.tries++;
        if (err != WEFT_OK) (void)nanosleep(&pause, NULL);
    } while (!agree());
}

static weft_err live(void)
{
    strcpy(me.said.step, "opening");
    weft_err err = open_both();
    if (err != WEFT_OK) return err;
    strcpy(me.said.step, "sharing a tree");
    err = share_tree();
    if (err != WEFT_OK) return err;
    sync_both();
    strcpy(me.said.step, "a commit");
    err = commit_both();
    if (err != WEFT_OK) return err;
    sync_both();
    for (uint32_t i = 0; i < 2; i++) {
        weft_writer_close(sides[i].writer);
        weft_node_close(sides[i].node);
    }
    return WEFT_OK;
}

static weft_err prepare(const char *dir)
{
    static const char *const names[2] = {"a", "b"};
    uint8_t seed[32] = {3, 0x25};
    for (uint32_t i = 0; i < 2; i++) tt_path(sides[i].dir, sizeof sides[i].dir, dir, names[i]);
    me.ids = calloc(2 * me.count, sizeof *me.ids);
    if (me.ids == NULL) return WEFT_NO_MEMORY;
    return weft_keypair_from_seed(seed, &me.author);
}

/* -- What they left ------------------------------------------------------------------------------ */

static weft_err look_at(const struct side *s, weft_rt *rt)
{
    wf_kv_disk_options options = {.engine = WF_ENGINE_ROCKSDB, .memory_bytes = MEMORY_BYTES};
    wf_check_report report = {0};
    wf_kv *kv = NULL;
    wf_store *store = NULL;
    weft_err err = wf_kv_disk_open(s->dir, &options, &kv);
    if (err != WEFT_OK) return err;
    err = wf_store_open(kv, rt, &store);
    if (err != WEFT_OK) {
        wf_kv_close(kv);
        return err;
    }
    err = wf_store_check(store, true, &report);
    for (uint32_t i = 0; err == WEFT_OK && i < 2 * me.count; i++) {
        weft_buf *buf = NULL;
        me.said.lost += wf_store_get(store, &me.ids[i], &buf) != WEFT_OK;
        weft_buf_unref(buf);
    }
    wf_store_close(store);
    me.said.faults += (uint32_t)wf_check_faults(&report);
    me.said.faults += report.entries != 2 * me.count + UINT64_C(1); /* and the root */
    return err;
}

static weft_err look(const char *dir)
{
    char path[200];
    weft_rt *rt = NULL;
    strcpy(me.said.step, "the look at what is there");
    acked_path(dir, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !move_all(fd, me.ids, 2 * me.count * sizeof *me.ids, false)) tt_die(path);
    close(fd);
    weft_err err = weft_rt_create(&rt);
    for (uint32_t i = 0; i < 2 && err == WEFT_OK; i++) err = look_at(&sides[i], rt);
    return err;
}

static void on_log(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level;
    fprintf(stderr, "%s: %s\n", facility, line); /* the run's log */
}

/* --pair live|look DIR commits */
int tt_pair_main(int argc, char **argv)
{
    char go;
    if (argc != 5) return 2;
    bool lives = strcmp(argv[2], "live") == 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* strace is no parent of ours */
    weft_log_to(on_log, NULL, WEFT_LOG_WARN);
    me.count = (uint32_t)atoi(argv[4]);
    /* No thread is there yet: who wants to trace us has them all. */
    if (lives && !move_all(0, &go, 1, false)) return 2;
    uint64_t wall = clock_ns(CLOCK_REALTIME), mono = clock_ns(CLOCK_MONOTONIC);
    if (wf_crypto_init() != WEFT_OK || prepare(argv[3]) != WEFT_OK) return 2;
    me.said.err = lives ? live() : look(argv[3]);
    me.said.wall_ns = clock_ns(CLOCK_REALTIME) - wall;
    me.said.mono_ns = clock_ns(CLOCK_MONOTONIC) - mono;
    me.said.acked = sides[0].acked + sides[1].acked;
    if (lives && me.said.err == WEFT_OK) acked_save(argv[3]);
    bool told = move_all(1, &me.said, sizeof me.said, true);
    _exit(told ? 0 : 1);
}
