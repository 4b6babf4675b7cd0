/* SPDX-License-Identifier: Apache-2.0
 * node.h - one weft node under the orders of the parent: the rooms that share it. */
#ifndef STRESS_NODE_H
#define STRESS_NODE_H

#include <pthread.h>

#include "control.h"

#define NODE_TIMEOUT_NS (120 * WEFT_SEC) /* of one call into weft */
#define NODE_STORE "commits"             /* the named store of a history */
#define NODE_LIVE_STORE "live"           /* the named store of live commits */

struct node {
    int fd;        /* to the parent; writing under `sending` */
    weft_hub *hub; /* NULL: tcp */
    struct control_open open;
    weft_node *weft;
    weft_id tree;
    pthread_mutex_t sending;
    bool gone;            /* nobody listens any more; under `sending` */
    pthread_mutex_t lock; /* guards everything below, for moments: weft's thread waits for it */
    pthread_cond_t wake;
    bool has_tree; /* `tree` does not change after it */
    bool stopping;
    uint64_t coalesced;
    uint32_t samples_count;
    struct control_sample samples[CONTROL_SAMPLES_MAX];
    uint32_t reports; /* of the reporting thread, and: */
    struct control_sample outgoing[CONTROL_SAMPLES_MAX];
};

/* Serves one parent until it says STOP or goes away. `hub`: in memory, inside the
 * parent's process; NULL: tcp. Takes `fd`. The process's exit code. */
int node_run(int fd, weft_hub *hub);

/* Has this process's weft write its warnings to a file instead of standard error. */
void node_log_to(const char *path);
/* The first error that it wrote, as "; store: write: No space left"; empty: none. */
const char *node_log_first(void);

/* -- between the rooms of a node ------------------------------------------------------ */
bool node_send(struct node *node, enum control_type type, const void *head, size_t head_len,
               const void *tail, size_t tail_len);
/* Tells the parent that `what` failed; always false. */
bool node_fail(struct node *node, weft_err err, const char *what);

/* What a signing key is for; every key of a run follows from its seed. */
enum node_key {
    NODE_KEY_ROOT = 'r',
    NODE_KEY_AUTHOR = 'a',
    NODE_KEY_LIVE = 'w',
    NODE_KEY_DEVICE = 'd'
};
weft_err node_keypair(uint64_t seed, enum node_key purpose, uint32_t number, weft_keypair **out);

/* history.c: adds the table at `path` to the node's tree. */
bool node_import(struct node *node, const char *path);
/* live.c: commits at a steady rate until the time is over. */
bool node_live(struct node *node, const struct control_live *order);
/* feed.c: reports progress and the delays of live commits, on a thread of its own. */
bool node_feed_start(struct node *node, pthread_t *thread, uint64_t *handle);
void node_feed_stop(struct node *node, pthread_t thread, uint64_t handle);
void node_feed_now(struct node *node, enum control_type type);

/* A live payload: who committed it as which of its own numbers, begun when. */
struct live_stamp {
    uint32_t magic, origin;
    uint64_t number, begun_ns;
};
#define LIVE_MAGIC UINT32_C(0x5654464c)
/* Reads the stamp of a live commit; false: it is none. */
bool live_stamp_read(const weft_entry *entry, struct live_stamp *out);

#endif
