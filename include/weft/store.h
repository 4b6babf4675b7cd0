/* SPDX-License-Identifier: Apache-2.0
 * weft/store.h - looking after a node's store: copies of it while it is in use, and what it
 * counts.
 *
 * Threads: any thread but an actor's. weft-fsck(1) does the same, and more, for a store that
 * no node has open. */
#ifndef WEFT_STORE_H
#define WEFT_STORE_H

#include <weft/node.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Copies the store of `node`, as it is at one moment, to the directory `dir`, which must not be
 * there (its parent must). Commits and reads go on meanwhile. Tables are shared with the
 * original where both lie on one volume, so that a copy costs what is not in tables yet. A
 * directory of that name is whole: it is made as `dir`.part and renamed when it is durable.
 *
 * A copy has entries, trees, readers, peers and relations; the key of the device it has not.
 * Opened as a store (with its key beside it, or weft-fsck --restore --key) it gets new epochs,
 * so that peers send again what it lacks, whatever they had been told by the original. Only
 * one of both should be on the network under one key.
 *
 * Works on the calling thread until it is done. INVALID, DEADLK; EXISTS (`dir`, or what is
 * left of a copy that did not end: remove `dir`.part); UNSUPPORTED: a store in memory;
 * NO_SPACE, IO, NO_MEMORY: nothing of it is left. */
weft_err weft_store_checkpoint(weft_node *node, const char *dir);

/* -- Statistics ---------------------------------------------------------------------------- */

/* Counters run since the node was opened, the rest is of now. The figures are read one after
 * the other while the store works, so they need not fit together to the last unit. */
typedef struct weft_store_stats {
    const char *engine; /* "rocksdb", "lmdb", "memory": static text                     */
    /* What was done. */
    uint64_t entries;         /* stored, by any way                                     */
    uint64_t commits;         /* of them: committed or added here                       */
    uint64_t known;           /* came again                                             */
    uint64_t refused;         /* by the door                                            */
    uint64_t batches, synced; /* writes to the engine; of them: waited for the disk     */
    weft_ns write_ns;         /* in all writes                                          */
    weft_ns sync_ns_mean;     /* of one synced write; 0: there was none                 */
    double commits_per_batch; /* commits of one synced write in the mean                */
    /* Trouble. */
    uint64_t damaged; /* bodies in quarantine now                                       */
    uint64_t healed;  /* that were, and are written anew                                */
    uint64_t outages; /* times that writes were refused until the engine was opened again */
    uint64_t mended;  /* records of facts, orders, children and tips of entries that were lost or
                       * wrong, and were made again while the store was open               */
    /* Entries that a renewal or a salvage found above something that is lost: they are kept aside
     * until peers have sent that, and then stand again. Of `entries`, not of `commits`. */
    uint64_t shelved;   /* now                                                          */
    uint64_t unshelved; /* that stand again                                             */
    /* Waiting for parents. */
    uint64_t pending, pending_bytes;
    /* What readers hold of the engine: values are those in use at this moment. */
    uint64_t iterators, snapshots, values;
    /* Memory, in bytes. The first two are bounded together by store_memory_bytes, though the
     * engine may pass it for a moment; the others by limits.h. */
    uint64_t cache_bytes;    /* blocks, indexes and filters of tables; of LMDB its pages, which are
                              * the system's cache of files and not bounded             */
    uint64_t memtable_bytes; /* written and not in tables yet; of a store in memory: all */
    uint64_t writer_bytes;   /* facts of recent entries, nodes of tries, the open batch */
    uint64_t reader_bytes;   /* where entries lie that were written or read lately      */
    uint64_t tree_bytes;     /* the table of trees, their readers, tips asked for lately */
    uint64_t memory_bytes;   /* these five and pending_bytes                            */
    uint64_t disk_bytes;     /* of the files of the store; 0: it is in memory           */
} weft_store_stats;

/* Reads counters and asks the engine; the store goes on meanwhile. While the engine is being
 * opened again it waits for that. INVALID, DEADLK. */
weft_err weft_store_stats_get(weft_node *node, weft_store_stats *out);

/* Writes them in the text exposition format of Prometheus as weft_stats_prometheus
 * (weft/stats.h) does: returns the bytes needed, what does not fit is cut. 0: INVALID, DEADLK. */
size_t weft_store_prometheus(weft_node *node, char *out, size_t room);

/* What the engine tells of itself, for people: of RocksDB its levels, compactions and stalls.
 * Returns the bytes needed and cuts in the same way; 0: it tells nothing. */
size_t weft_store_engine_text(weft_node *node, char *out, size_t room);

/* -- Durability ---------------------------------------------------------------------------- */

/* Waits until all that was acknowledged here before is durable, whatever the level of its
 * commits was (weft_writer_durability). IO: then nobody knows how much of it is. TIMED_OUT,
 * FULL, NO_MEMORY, INVALID, DEADLK. */
weft_err weft_store_sync(weft_node *node, weft_ns timeout);
weft_err weft_store_sync_async(weft_node *node, weft_on_result done, void *arg);

#ifdef __cplusplus
}
#endif
#endif
