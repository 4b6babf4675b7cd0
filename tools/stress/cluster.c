/* SPDX-License-Identifier: Apache-2.0
 * cluster.c - starts nodes, gives them orders, kills them, starts them again.
 * Called by: run.c, the demo. May touch: its children, their sockets and directories.
 * Never: opens a node's store; kills what it did not start. */
#include "cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node.h"
#include "proc.h"

#define ABANDON_SECONDS 10 /* for a node on a thread to end in order */

char *cluster_ledger_path(const char *dir) { return proc_path(dir, "ledger.log"); }

char *cluster_dump_path(const char *dir, uint32_t index)
{
    char leaf[32];
    snprintf(leaf, sizeof leaf, "node%u.dump", index);
    return proc_path(dir, leaf);
}

static int failed(struct cluster *c, const char *what)
{
    snprintf(c->why, sizeof c->why, "%s: %s", what, strerror(errno));
    return EXIT_HARNESS;
}

/* -- Orders ------------------------------------------------------------------------------- */

static void send_open(struct cluster *c, struct member *m)
{
    struct control_open open = {
        .seed = c->seed, .index = m->index, .memory = c->memory_store, .engine = c->engine};
    snprintf(open.dir, sizeof open.dir, "%s", m->dir);
    if (m->address[0] != '\0') snprintf(open.listen, sizeof open.listen, "%s", m->address);
    else if (c->mem) snprintf(open.listen, sizeof open.listen, "mem:n%u:1", m->index);
    else snprintf(open.listen, sizeof open.listen, "tcp:127.0.0.1:0");
    control_send(m->fd, CONTROL_OPEN, &open, sizeof open, NULL, 0);
}

static void send_follow(struct cluster *c, struct member *m)
{
    struct control_follow order = {.tree = c->tree, .count = c->count + c->extra_count};
    weft_key *keys = kit_alloc(order.count, sizeof *keys);
    for (uint32_t i = 0; i < c->count; i++) keys[i] = c->members[i].key;
    for (uint32_t i = 0; i < c->extra_count; i++) keys[c->count + i] = c->extra[i];
    control_send(m->fd, CONTROL_FOLLOW, &order, sizeof order, keys, order.count * sizeof *keys);
    free(keys);
}

/* A lost write means that the node is gone, which its socket tells soon enough. */
static void give(struct cluster *c, struct member *m, struct order order)
{
    struct control_link link = {0};
    struct control_import path = {0};
    struct control_live live = c->live;
    char *dump = NULL;
    if (m->orders_count == CLUSTER_ORDERS_MAX) return; /* no caller gives that many */
    m->orders[m->orders_count++] = order;
    switch (order.type) {
    case CONTROL_OPEN: send_open(c, m); break;
    case CONTROL_FOLLOW: send_follow(c, m); break;
    case CONTROL_CONNECT:
        link.key = c->members[order.arg].key;
        if (c->wrong_keys) link.key.bytes[0] ^= 1;
        memcpy(link.address, c->members[order.arg].address, sizeof link.address);
        control_send(m->fd, CONTROL_CONNECT, &link, sizeof link, NULL, 0);
        break;
    case CONTROL_IMPORT:
        snprintf(path.path, sizeof path.path, "%s", c->history);
        control_send(m->fd, CONTROL_IMPORT, &path, sizeof path, NULL, 0);
        break;
    case CONTROL_LIVE:
        live.first = m->next;
        control_send(m->fd, CONTROL_LIVE, &live, sizeof live, NULL, 0);
        break;
    case CONTROL_DUMP:
        dump = cluster_dump_path(c->dir, m->index);
        snprintf(path.path, sizeof path.path, "%s", dump);
        free(dump);
        control_send(m->fd, CONTROL_DUMP, &path, sizeof path, NULL, 0);
        break;
    default: control_send(m->fd, order.type, NULL, 0, NULL, 0); break;
    }
}

/* -- Starting and ending nodes -------------------------------------------------------------- */

struct thread_arg {
    int fd;
    weft_hub *hub;
};

static void *thread_main(void *arg)
{
    struct thread_arg a = *(struct thread_arg *)arg;
    free(arg);
    node_run(a.fd, a.hub);
    return NULL;
}

static int launch(struct cluster *c, struct member *m)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return failed(c, "socketpair");
    if (c->mem) {
        struct thread_arg *arg = kit_alloc(1, sizeof *arg);
        *arg = (struct thread_arg){pair[1], c->hub};
        errno = pthread_create(&m->thread, NULL, thread_main, arg);
        m->pid = 0;
    } else {
        errno = proc_spawn_self(pair[1], &m->pid);
        close(pair[1]);
    }
    if (errno != 0) {
        close(pair[0]);
        return failed(c, "starting a node");
    }
    m->fd = pair[0];
    m->up = true;
    m->ready = false;
    give(c, m, (struct order){.type = CONTROL_OPEN});
    return EXIT_PASS;
}

int cluster_start(struct cluster *c, struct plan *plan, const char *dir, bool mem,
                  bool memory_store, uint64_t seed, uint64_t deadline_ns)
{
    c->plan = plan;
    c->count = plan->nodes;
    c->dir = dir;
    c->mem = mem;
    c->memory_store = memory_store;
    c->seed = seed;
    c->deadline_ns = deadline_ns;
    c->members = kit_alloc(c->count, sizeof *c->members);
    char *path = cluster_ledger_path(dir);
    int opened = ledger_open(&c->ledger, path);
    free(path);
    if (opened != 0) return failed(c, "the ledger");
    if (mem && weft_hub_create(&c->hub) != WEFT_OK) return failed(c, "the hub");
    for (uint32_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        char leaf[16];
        snprintf(leaf, sizeof leaf, "node%u", i);
        m->index = i;
        m->dir = proc_path(dir, leaf);
        if (strlen(m->dir) >= CONTROL_PATH_BYTES) errno = ENAMETOOLONG;
        else if (memory_store || mkdir(m->dir, 0700) == 0) errno = 0;
        if (errno != 0) return failed(c, m->dir);
        int code = launch(c, m);
        if (code != EXIT_PASS) return code;
    }
    return cluster_wait_orders(c);
}

int cluster_kill(struct cluster *c, uint32_t index)
{
    struct member *m = &c->members[index];
    proc_kill(m->pid);
    int code = cluster_drain(c, m);
    close(m->fd);
    control_fini(&m->in);
    m->up = m->ready = false;
    cluster_fold(m);
    return code;
}

int cluster_restart(struct cluster *c, uint32_t index)
{
    struct member *m = &c->members[index];
    struct order again[CLUSTER_ORDERS_MAX];
    uint32_t count = m->orders_count;
    memcpy(again, m->orders, sizeof again);
    m->orders_count = 0;
    m->restarts++;
    int code = launch(c, m);
    if (code != EXIT_PASS) return code;
    for (uint32_t i = 0; i < count; i++)
        if (again[i].type != CONTROL_OPEN) give(c, m, again[i]);
    return EXIT_PASS;
}

/* -- What the scripts call -------------------------------------------------------------------- */

int cluster_follow(struct cluster *c, const weft_key *extra, uint32_t extra_count)
{
    c->extra = extra;
    c->extra_count = extra_count;
    give(c, &c->members[0], (struct order){.type = CONTROL_CREATE});
    int code = cluster_wait_orders(c);
    if (code != EXIT_PASS) return code;
    for (uint32_t i = 0; i < c->count; i++)
        give(c, &c->members[i], (struct order){.type = CONTROL_FOLLOW});
    return cluster_wait_orders(c);
}

int cluster_import(struct cluster *c, const char *path)
{
    c->history = path;
    give(c, &c->members[0], (struct order){.type = CONTROL_IMPORT});
    return cluster_wait_orders(c);
}

int cluster_connect(struct cluster *c)
{
    for (uint32_t i = 0; i < c->plan->edges_count; i++) {
        const struct plan_edge *edge = &c->plan->edges[i];
        give(c, &c->members[edge->dialer], (struct order){CONTROL_CONNECT, edge->acceptor});
    }
    return cluster_wait_orders(c);
}

int cluster_live(struct cluster *c, uint64_t end_ns, uint32_t rate, uint32_t payload)
{
    struct control_live live = {.end_ns = end_ns, .rate = rate, .payload = payload};
    return cluster_load(c, &live);
}

int cluster_load(struct cluster *c, const struct control_live *live)
{
    c->live = *live;
    for (uint32_t i = 0; i < c->count; i++)
        give(c, &c->members[i], (struct order){.type = CONTROL_LIVE});
    return EXIT_PASS;
}

int cluster_stop(struct cluster *c)
{
    for (uint32_t i = 0; c->memory_store && i < c->count; i++)
        give(c, &c->members[i], (struct order){.type = CONTROL_DUMP});
    int code = cluster_wait_orders(c);
    if (code != EXIT_PASS) return code;
    for (uint32_t i = 0; i < c->count; i++) {
        c->members[i].stopping = true;
        give(c, &c->members[i], (struct order){.type = CONTROL_STOP});
    }
    code = cluster_wait_orders(c);
    if (code != EXIT_PASS) return code;
    for (uint32_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        int ended = 0;
        if (m->pid > 0) ended = proc_wait(m->pid);
        else pthread_join(m->thread, NULL);
        close(m->fd);
        control_fini(&m->in);
        m->up = m->ready = false;
        if (ended != 0) {
            snprintf(c->why, sizeof c->why, "node %u ended with %d after its last word", i, ended);
            code = EXIT_HARNESS;
        }
    }
    if (ledger_close(&c->ledger) != 0 && code == EXIT_PASS) code = failed(c, "the ledger");
    return code;
}

/* A node on a thread ends when its orders do. False: not within the time. */
static bool thread_ends(pthread_t thread, const struct timespec *until)
{
    return pthread_timedjoin_np(thread, NULL, until) == 0;
}

bool cluster_abandon(struct cluster *c)
{
    bool threads = false;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* what joining goes by */
    until.tv_sec += ABANDON_SECONDS;
    for (uint32_t i = 0; i < c->count && c->members != NULL; i++)
        if (c->members[i].up) shutdown(c->members[i].fd, SHUT_RDWR);
    for (uint32_t i = 0; i < c->count && c->members != NULL; i++) {
        struct member *m = &c->members[i];
        if (m->up && m->pid > 0) proc_kill(m->pid);
        else if (m->up && !thread_ends(m->thread, &until)) threads = true;
        if (m->up) {
            close(m->fd);
            control_fini(&m->in);
        }
        free(m->dir);
    }
    ledger_close(&c->ledger);
    if (!threads) weft_hub_destroy(c->hub);
    free(c->members);
    c->members = NULL;
    c->count = 0;
    return threads;
}

weft_node_stats cluster_stats(const struct member *m)
{
    struct member copy = *m;
    copy.in = (struct control_in){0};
    cluster_fold(&copy);
    return copy.past.stats;
}

int cluster_exit_code(weft_err err)
{
    switch (err) {
    case WEFT_NOT_FOUND:
    case WEFT_NOT_STORE: return EXIT_NOT_FOUND;
    case WEFT_UNREACHABLE:
    case WEFT_NETWORK:
    case WEFT_TIMED_OUT: return EXIT_UNREACHABLE;
    case WEFT_FORBIDDEN:
    case WEFT_TREE:
    case WEFT_AUTH:
    case WEFT_PEER_KEY:
    case WEFT_BLOCKED: return EXIT_REFUSED;
    case WEFT_CORRUPT: return EXIT_CORRUPT;
    case WEFT_VERSION:
    case WEFT_PEER_VERSION: return EXIT_VERSION;
    default: return EXIT_HARNESS;
    }
}
