/* SPDX-License-Identifier: Apache-2.0
 * cluster.h - the parent's side: starts nodes, gives orders, listens, kills, restarts.
 *
 * One thread uses it. Every call that waits handles what all nodes say meanwhile, and
 * ends early when a node fails, the deadline passes or a signal arrives; it then
 * returns that exit code and cluster.why says what happened. */
#ifndef STRESS_CLUSTER_H
#define STRESS_CLUSTER_H

#include <pthread.h>
#include <sys/types.h>

#include "control.h"
#include "hist.h"
#include "kit.h"
#include "ledger.h"
#include "plan.h"

#define CLUSTER_ORDERS_MAX (PLAN_NODES_MAX + 8u)

struct order {
    enum control_type type;
    uint32_t arg; /* CONNECT: the node to dial */
};
struct member { /* one node as the parent sees it */
    uint32_t index;
    bool up;        /* told to open and not ended      */
    bool ready;     /* it answered                     */
    bool stopping;  /* it was told to end              */
    uint32_t fresh; /* reports since cluster_settle    */
    pid_t pid;      /* 0: a thread of this process     */
    pthread_t thread;
    int fd;
    struct control_in in;
    struct order orders[CLUSTER_ORDERS_MAX]; /* given and not answered, in order */
    uint32_t orders_count;
    char address[WEFT_ADDRESS_BYTES_MAX];
    char *dir;
    weft_key key;
    uint64_t open_ns; /* how long the last open took     */
    uint32_t restarts;
    struct control_progress now;  /* of this life               */
    struct control_progress past; /* counters of former lives   */
    uint64_t rss_peak_kb;
    uint64_t next; /* number of its next live commit  */
    uint64_t acks; /* live commits                    */
};

struct cluster {
    uint32_t count;
    struct member *members;
    struct plan *plan;
    bool mem, memory_store;
    weft_hub *hub;
    const char *dir; /* borrowed; the nodes' directories are in it */
    uint64_t seed, deadline_ns;
    weft_id tree;
    const weft_key *extra; /* readers that are no nodes, borrowed */
    uint32_t extra_count;
    const char *history; /* path of the table, borrowed */
    struct control_live live;
    struct ledger ledger;
    struct hist push[PLAN_NODES_MAX]; /* by hops between author and receiver */
    struct hist commit;
    uint64_t late_max_ns;
    /* Called after whatever a node said, if not NULL: progress lines, kills. An exit
     * code other than EXIT_PASS ends the wait. */
    int (*on_news)(void *arg);
    void (*on_ack)(void *arg, const struct control_op *op); /* of live commits; may be NULL */
    void *arg;
    weft_engine engine; /* of stores on disk; set it before cluster_start */
    bool wrong_keys;    /* sabotage: whoever dials expects another key */
    char why[1000];
};

/* Opens the ledger in `dir` and starts all nodes. Zero-initialise *c before. */
int cluster_start(struct cluster *c, struct plan *plan, const char *dir, bool mem,
                  bool memory_store, uint64_t seed, uint64_t deadline_ns);
/* Node 0 creates the tree; all follow it with all (and `extra`) as readers. */
int cluster_follow(struct cluster *c, const weft_key *extra, uint32_t extra_count);
/* Node 0 imports the table at `path` (borrowed). Waits until it is done. */
int cluster_import(struct cluster *c, const char *path);
/* The later node of each edge dials the earlier one. Waits until all answered. */
int cluster_connect(struct cluster *c);
/* All nodes commit until `end_ns`; does not wait. */
int cluster_live(struct cluster *c, uint64_t end_ns, uint32_t rate, uint32_t payload);
/* The same with all that can be ordered. */
int cluster_load(struct cluster *c, const struct control_live *live);
/* Handles news until all orders are answered / until `done` says so / until a time. */
int cluster_wait_orders(struct cluster *c);
int cluster_wait(struct cluster *c, bool (*done)(struct cluster *c, void *arg), void *arg);
int cluster_wait_until(struct cluster *c, uint64_t at_ns);
/* Do all nodes report the same digest, and at least this many entries? */
bool cluster_equal(const struct cluster *c, uint64_t entries);
/* Waits until they do, in reports made after this call began. */
int cluster_settle(struct cluster *c, uint64_t entries);
/* SIGKILL, now; reads what the victim still said. */
int cluster_kill(struct cluster *c, uint32_t index);
/* The same port and store; orders that it had not finished are given again. */
int cluster_restart(struct cluster *c, uint32_t index);
/* Ends all nodes in order; in memory each writes down what it holds first. */
int cluster_stop(struct cluster *c);
/* Ends at once what still runs, and frees. Threads of a node cannot be ended: a
 * program that still has some after ten seconds must leave by _exit. Returns whether there are any. */
bool cluster_abandon(struct cluster *c);

/* -- between cluster.c and cluster_news.c */
int cluster_drain(struct cluster *c, struct member *m);
void cluster_fold(struct member *m);

/* Paths inside dir; free the text. */
char *cluster_ledger_path(const char *dir);
char *cluster_dump_path(const char *dir, uint32_t index);
/* Counters over all lives of a node. */
weft_node_stats cluster_stats(const struct member *m);
/* Time on cores of all nodes, as last reported. */
uint64_t cluster_cpu_ns(const struct cluster *c);
int cluster_exit_code(weft_err err);

#endif
