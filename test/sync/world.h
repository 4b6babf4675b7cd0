/* SPDX-License-Identifier: Apache-2.0
 * world.h - a few whole nodes in the simulator, joined by an in-memory network with
 * faults: what the tests of the engine and the queue play in.
 * Called by: test_world.c, test_engine.c. Never: threads, the machine's clock. */
#ifndef WORLD_H
#define WORLD_H

#include <weft/node.h>

#include "net.h"
#include "node_internal.h"
#include "sim.h"

#define WORLD_NODES_MAX 8u
#define WORLD_ACKED_MAX 4096u

enum world_shape { WORLD_CHAIN, WORLD_STAR, WORLD_RING, WORLD_MESH };

struct world_node {
    struct world *world;
    uint32_t number;
    char host[16], listen[32];
    weft_keypair *device;
    weft_key key;
    weft_rt *rt;
    wf_kv *kv;       /* outlives crashes */
    weft_node *node; /* NULL: it is down */
    weft_writer *writer;
};
struct world {
    uint64_t seed;
    wf_sim *sim;
    weft_hub *hub;
    uint32_t count;
    struct world_node nodes[WORLD_NODES_MAX];
    bool links[WORLD_NODES_MAX][WORLD_NODES_MAX];
    bool no_live_push;
    bool near; /* the network takes no time: only who runs next says what comes when */
    bool old;  /* all but the first are as nodes that know nothing beyond version 1 */
    /* Hears of each piece of a frame just before it is encrypted; `tree` NULL: of no tree. */
    void (*judge)(struct world *w, uint32_t from, const weft_key *to, const weft_id *tree,
                  uint32_t type);
    void *judge_arg;
    bool forgetful; /* nodes acknowledge what the disk has not: crashes take it back */
    weft_keypair *author;
    weft_id tree;
    weft_id acked[WORLD_ACKED_MAX]; /* commits whose success somebody was told */
    uint32_t acked_count;
    uint64_t duplicates, redundant; /* of nodes that died since */
};

/* `count` nodes that listen, know their neighbours of `shape` and share one tree. The
 * clock has moved until all connections are up. */
struct world *world_create(uint64_t seed, enum world_shape shape, uint32_t count, uint32_t kind);
#define WORLD_PLAIN 0u
#define WORLD_NO_PUSH 1u
#define WORLD_FORGETFUL 2u
#define WORLD_UNEVEN 4u /* actors are late for long, while messages go round the nodes */
#define WORLD_OLD 8u
void world_destroy(struct world *w);

/* How many worlds a test plays, and the seed of the first: WEFT_SIM_SEEDS and WEFT_SIM_SEED, else
 * what the test says. */
uint64_t world_seeds(uint64_t fallback);
uint64_t world_first_seed(uint64_t fallback);

/* The world's dice. */
uint32_t world_below(struct world *w, uint32_t bound);
void world_run(struct world *w, weft_ns time);
/* Runs until all nodes that are up hold equal sets; false after `time`. */
bool world_converges(struct world *w, weft_ns time);
/* Runs until `done` says so; false after `time`. */
bool world_until(struct world *w, bool (*done)(struct world *w), weft_ns time);
bool world_equal(struct world *w);

/* Commits on a node and remembers the success. */
weft_err world_commit(struct world *w, uint32_t node);
weft_err world_commit_bytes(struct world *w, uint32_t node, size_t len);
/* As kill -9 and a new start; unsynced writes are torn at random. */
void world_kill(struct world *w, uint32_t node);
void world_start(struct world *w, uint32_t node);
void world_cut(struct world *w, uint32_t a, uint32_t b, bool cut);
void world_faults(struct world *w, const wf_net_faults *faults); /* NULL: none */

/* Flips a bit of what the node's disk has of an entry. */
void world_spoil(struct world *w, uint32_t node, const weft_id *id);

/* Puts one that only keeps what it hears in an actor's place: it counts, and drops all of it in
 * the end. Returns whose place it was. */
weft_addr *world_mute(struct world *w, uint32_t node, weft_addr **place, uint32_t *count);
void world_unmute(struct world *w, uint32_t node, weft_addr **place, weft_addr *was);

weft_tree_info world_info(struct world *w, uint32_t node);
weft_node_stats world_stats(struct world *w); /* of all nodes together, dead ones too */
/* What a person wants to know about a world that went wrong, to stderr. */
void world_describe(struct world *w);
/* Acknowledged commits that some node lacks. */
uint32_t world_lost(struct world *w);
/* Entries, indexes, tips and parents of all stores: what does not fit. */
uint64_t world_damage(struct world *w);

#endif
