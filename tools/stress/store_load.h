/* SPDX-License-Identifier: Apache-2.0
 * store_load.h - one node whose store is loaded by threads, and what its workloads share.
 * Every producer is a thread with a writer of its own. Before a commit begins it is announced in
 * a ledger outside the store's directory, and when it is durable its id is written down there. */
#ifndef STRESS_STORE_LOAD_H
#define STRESS_STORE_LOAD_H

#include <pthread.h>

#include "actor.h"
#include "ledger.h"
#include "node.h"

#define STORE_TIMEOUT_NS (60 * WEFT_SEC) /* of one call */
#define STORE_PAYLOAD_MIN (sizeof(struct store_stamp))

struct store_stamp { /* begins each payload; bytes that follow from seed and number are behind it */
    struct live_stamp live;
    uint64_t key; /* of the record that it is a version of; put: the number */
};
struct store_load;
struct producer {
    struct store_load *load;
    struct meter *meter;
    weft_writer *writer; /* opened on its thread, to which it belongs */
    pthread_t thread;
    uint32_t me;
    struct kit_rng rng;
    uint8_t *payload;
    void *own; /* the workload's */
};
struct store_load { /* first in work.own */
    struct work *w;
    char *dir, *store_dir; /* the ledger is in dir */
    bool filled;           /* payloads are those of struct store_stamp */
    weft_node *node;       /* NULL: closed */
    weft_id tree;
    pthread_mutex_t lock; /* of the ledger */
    struct ledger ledger;
    uint64_t next;                    /* atomic: number of the next commit */
    uint32_t under_way;               /* atomic: operations               */
    uint64_t checked_at;              /* while verifying: entries read back */
    uint8_t *fill;                    /* shape.payload bytes              */
    size_t own_bytes;                 /* of each producer, zeroed         */
    bool (*step)(struct producer *p); /* one operation; false: a failure, which is told */
    struct producer *producers;
    uint32_t started;
    uint64_t unacked;
    bool may_lose;  /* a kill may take back what was acknowledged in memory */
    uint64_t lost;  /* that are missing among the bytes                      */
    uint64_t taken; /* that cannot be read                                   */
};

/* Makes a directory, with a ledger in it; nothing else. false: told. */
bool store_prepare(struct work *w, struct store_load *s);
/* Opens a node and creates a tree that everybody may write. false: told. */
bool store_open(struct store_load *s);
/* Commits one version of a record, by its producer. false: told. */
bool store_commit(struct producer *p, uint64_t key, weft_id *out);
/* Announces, and writes down, by any thread. */
uint64_t store_announce(struct store_load *s);
void store_acked(struct store_load *s, uint64_t number, const weft_id *id);
/* Fills `payload` (shape.payload bytes). */
void store_fill(const struct store_load *s, uint64_t number, uint64_t key, uint8_t *payload);
/* Reads an entry by its id and checks that it is that one and a version of `key` (UINT64_MAX: of
 * any record). *entry borrows *bytes, which are the caller's. false: told. */
bool store_read(struct store_load *s, const weft_id *id, uint64_t key, weft_buf **bytes,
                weft_entry *entry);
/* Starts shape.producers threads that make one operation after the other, or at --rate. */
void store_start(struct store_load *s);
/* After `start` returned, once: joins the threads. */
void store_join(struct store_load *s);
uint64_t store_pending(const struct work *w);
/* Notes how many writes the commits shared, and the store's memory and disk; while the node is
 * open. */
void store_note_batches(struct store_load *s);
void store_failed(struct work *w, const char *what, weft_err err);
/* The directory goes after a pass and stays after a failure; frees all but `s`. */
void store_end(struct work *w);

/* store_judge.c: what is there when the node has been closed: the bytes on the disk, the store's
 * own check, and once more through a node that opens it. Sets w->checked. */
void store_judge(struct store_load *s);

#endif
