/* SPDX-License-Identifier: Apache-2.0
 * push.c - how long a commit takes until another node holds it, and where that time goes.
 * Two nodes in this process, over TCP on the loopback interface. One commits, waits until
 * the other one tells of the entry, and commits again. Beside it, in the same run: what one
 * hand-over between two sleeping threads costs here, and one signature and one check.
 *
 *     bench-push [--commits N] [--rocksdb DIR] */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/node.h>

#define TIMEOUT (20 * WEFT_SEC)

/* From the committing thread to the other node's notify thread: writer -> store -> queue ->
 * transport -> (kernel) transport -> verify -> store -> notify. */
#define HANDOVERS 7

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void check(weft_err err, const char *what)
{
    if (err == WEFT_OK) return;
    fprintf(stderr, "bench-push: %s: %s\n", what, weft_strerror(err));
    exit(1);
}

/* -- The other side ------------------------------------------------------------------ */

struct arrival {
    pthread_mutex_t lock;
    pthread_cond_t came;
    uint64_t count, at_ns;
};

static void on_event(void *arg, const weft_event *event)
{
    struct arrival *a = arg;
    if (event->kind != WEFT_EV_ENTRIES || event->local) return;
    uint64_t now = now_ns();
    pthread_mutex_lock(&a->lock);
    a->count++;
    a->at_ns = now;
    pthread_cond_signal(&a->came);
    pthread_mutex_unlock(&a->lock);
}

static uint64_t wait_arrival(struct arrival *a, uint64_t count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    int rc = 0;
    pthread_mutex_lock(&a->lock);
    while (a->count < count && rc == 0) rc = pthread_cond_timedwait(&a->came, &a->lock, &until);
    uint64_t at = a->at_ns;
    pthread_mutex_unlock(&a->lock);
    if (rc != 0) check(WEFT_TIMED_OUT, "an entry did not arrive");
    return at;
}

/* -- What the parts cost ---------------------------------------------------------------- */

struct ball {
    weft_msg msg;
    weft_addr *to[2];
    uint64_t left;
};
static const weft_kind BALL = {1, "ball", sizeof(struct ball), NULL};

static weft_verdict bounce(weft_self *self, void *state, weft_msg *msg)
{
    (void)state;
    struct ball *ball = (struct ball *)msg;
    if (ball->left == 0) return WEFT_STOP;
    ball->left--;
    weft_addr *other = weft_self_addr(self) == ball->to[0] ? ball->to[1] : ball->to[0];
    return weft_send(other, msg) == WEFT_OK ? WEFT_KEPT : WEFT_FAIL;
}

/* Nanoseconds of one hand-over between two threads that sleep when they have nothing. */
static double handover_ns(void)
{
    enum { COUNT = 20000 };
    weft_rt *rt = NULL;
    struct ball ball = {.left = COUNT};
    weft_spec spec = {.name = "bounce", .handle = bounce, .spin_max_ns = UINT32_MAX};
    check(weft_rt_create(&rt), "runtime");
    check(weft_spawn(rt, &spec, &ball.to[0]), "spawn");
    check(weft_spawn(rt, &spec, &ball.to[1]), "spawn");
    weft_msg_init(&ball.msg, &BALL);
    uint64_t begin = now_ns();
    check(weft_send(ball.to[0], &ball.msg), "send");
    weft_addr *last = COUNT % 2 == 0 ? ball.to[0] : ball.to[1];
    check(weft_join(last, WEFT_NEVER, NULL), "join");
    double each = (double)(now_ns() - begin) / COUNT;
    check(weft_rt_stop(rt, WEFT_NEVER), "stop");
    weft_addr_put(ball.to[0]);
    weft_addr_put(ball.to[1]);
    check(weft_rt_destroy(rt), "destroy");
    return each;
}

static void signature_ns(const weft_keypair *author, const weft_id *tree, double *sign,
                         double *verify)
{
    enum { COUNT = 500 };
    static weft_entry entry;
    weft_entry_spec spec = {.tree = *tree, .parents = tree, .parents_count = 1, .height = 1};
    weft_buf *buf = NULL;
    weft_id id;
    uint64_t begin = now_ns();
    for (int i = 0; i < COUNT; i++) {
        weft_buf_unref(buf);
        check(weft_entry_build(&spec, author, &buf, &id), "build");
    }
    *sign = (double)(now_ns() - begin) / COUNT;
    begin = now_ns();
    for (int i = 0; i < COUNT; i++) {
        check(weft_entry_decode(weft_buf_bytes(buf), weft_buf_len(buf), &entry), "decode");
        check(weft_entry_verify(&entry), "verify");
    }
    *verify = (double)(now_ns() - begin) / COUNT;
    weft_buf_unref(buf);
}

/* -- The run -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double ms(const uint64_t *sorted, int count, double share)
{
    int at = (int)(share * (count - 1) + 0.5);
    return (double)sorted[at] / 1e6;
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

static void run(const char *dir, int commits)
{
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

    struct arrival seen = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    uint64_t handle, count = 0;
    uint64_t *push = calloc((size_t)commits, sizeof *push),
             *own = calloc((size_t)commits, sizeof *own);
    weft_writer *writer = NULL;
    check(push == NULL || own == NULL ? WEFT_NO_MEMORY : WEFT_OK, "memory");
    check(weft_subscribe(b, on_event, &seen, &handle), "subscribe");
    check(weft_writer_open(a, &tree, author, &writer), "writer");
    for (int i = -20; i < commits; i++) { /* the first ones warm up */
        uint64_t begin = now_ns();
        check(weft_commit(writer, "notes", "0123456789abcdef", 16, TIMEOUT, NULL), "commit");
        uint64_t durable = now_ns();
        uint64_t arrived = wait_arrival(&seen, ++count);
        if (i < 0) continue;
        push[i] = arrived - begin;
        own[i] = durable - begin;
    }
    qsort(push, (size_t)commits, sizeof *push, by_value);
    qsort(own, (size_t)commits, sizeof *own, by_value);
    double sign, verify, handover = handover_ns();
    signature_ns(author, &tree, &sign, &verify);
    printf("%-8s commits=%d commit_ms p50=%.3f p99=%.3f push_ms p50=%.3f p90=%.3f p99=%.3f\n",
           dir == NULL ? "memory" : "rocksdb", commits, ms(own, commits, 0.5),
           ms(own, commits, 0.99), ms(push, commits, 0.5), ms(push, commits, 0.9),
           ms(push, commits, 0.99));
    printf("         handovers=%d handover_us=%.1f together_ms=%.3f sign_us=%.1f verify_us=%.1f\n",
           HANDOVERS, handover / 1e3, HANDOVERS * handover / 1e6, sign / 1e3, verify / 1e3);
    weft_writer_close(writer);
    weft_node_close(b);
    weft_node_close(a);
    weft_keypair_destroy(author);
    free(push);
    free(own);
}

int main(int argc, char **argv)
{
    int commits = 1000;
    const char *dir = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--commits") == 0) commits = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--rocksdb") == 0) dir = argv[i + 1];
    }
    if (commits < 10) {
        fprintf(stderr, "usage: bench-push [--commits N] [--rocksdb DIR]\n");
        return 2;
    }
    run(dir, commits);
    return 0;
}
