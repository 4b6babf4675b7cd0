/* SPDX-License-Identifier: Apache-2.0
 * store_kit.h - what the tests of the store share: a simulated node of one store, an
 * actor that hears its answers, and histories of entries in several shapes.
 * Called by: test_store*.c, test_door.c, test_check.c. Never: the product. */
#ifndef STORE_KIT_H
#define STORE_KIT_H

#include "entry_kit.h"
#include "sim.h"
#include "store_actor.h"

/* -- Histories ------------------------------------------------------------------------- */

enum sk_shape { SK_CHAIN, SK_WIDE, SK_STAR, SK_MERGES, SK_SHAPES };
extern const char *const sk_shape_names[SK_SHAPES];

#define SK_PARENTS_MAX 4u
typedef struct sk_dag {
    uint32_t count;
    weft_buf **bufs; /* entry 0 is the root; parents come before children */
    weft_id *ids;
    uint64_t *gens, *heights;
    uint32_t (*parents)[SK_PARENTS_MAX];
    uint32_t *parents_count;
    weft_id tree;
} sk_dag;
/* `count` entries by one author, each writing the store "main" with its parents. */
sk_dag *sk_dag_create(enum sk_shape shape, uint32_t count, const weft_keypair *author,
                      uint64_t seed);
void sk_dag_destroy(sk_dag *dag);
/* The tips of the entries for which `have` is true, ascending; have NULL: of all. */
uint32_t sk_dag_tips(const sk_dag *dag, const bool *have, weft_id *out);

/* One entry with everything chosen by the test. */
typedef struct sk_entry {
    weft_id tree;
    const weft_id *parents;
    uint32_t parents_count;
    uint64_t height;
    const char *name; /* of the one store it writes; NULL: "main" */
    const weft_id *store_parents;
    uint32_t store_parents_count;
    const void *payload;
    size_t payload_len;
} sk_entry;
weft_buf *sk_build(const sk_entry *spec, const weft_keypair *author, weft_id *id);
weft_buf *sk_root(const weft_keypair *author, uint8_t entropy, weft_height strategy,
                  weft_right everyone, weft_id *id);

/* -- A node of one store in the simulator ------------------------------------------------ */

#define SK_HEARD_MAX 256u
typedef struct sk_sink { /* what the listening actor has heard */
    struct wf_ingest *results[SK_HEARD_MAX];
    uint32_t results_count;
    struct wf_stored *bells[SK_HEARD_MAX];
    uint32_t bells_count;
    bool keep_bells; /* do not hand them back by itself */
    struct {
        weft_err err;
        uint32_t applied;
        uint64_t seq;
    } replies[SK_HEARD_MAX];
    uint32_t replies_count;
} sk_sink;

typedef struct sk_node {
    wf_sim *sim;
    weft_rt *rt;
    wf_kv *kv;
    wf_store *store;
    weft_addr *addr; /* of the store actor */
    weft_addr *sink_addr;
    sk_sink sink;
    uint32_t herd;  /* of the store actor's options */
    uint32_t asked; /* requests, since it was opened */
} sk_node;
void sk_node_open(sk_node *node, uint64_t seed);
void sk_node_open_herd(sk_node *node, uint64_t seed, uint32_t herd);
void sk_node_open_kv(sk_node *node, uint64_t seed, wf_kv *kv); /* on this engine, which is taken */
void sk_node_close(sk_node *node);
/* kill -9: what was not synced is lost but for `keep` batches; then it starts again. */
void sk_node_crash(sk_node *node, size_t keep);
void sk_node_settle(sk_node *node); /* runs until nothing is left to do now */
void sk_sink_clear(sk_node *node);

/* Runs `fn` as an actor, which may ask and send. */
void sk_node_do(sk_node *node, void (*fn)(weft_self *self, void *arg), void *arg);
/* Asks from the sink; the answer goes to sink.replies. */
void sk_ask(sk_node *node, weft_self *self, weft_request *req);
uint32_t sk_good_replies(const sk_node *node);

/* `count` entries from `from` on; not yet sent. */
struct wf_commit *sk_commit_of(const sk_dag *dag, uint32_t from, uint32_t count);
/* Commits of one entry each, asked for in order, soon. */
void sk_ask_each(sk_node *node, const sk_dag *dag, uint32_t from, uint32_t count,
                 enum wf_durability level);
uint64_t sk_count(const sk_node *node, const weft_id *tree); /* of entries; 0: no such tree */

/* One commit of `count` entries, waited for. */
weft_err sk_commit(sk_node *node, weft_buf *const *bufs, const weft_id *ids, uint32_t count,
                   bool create, uint64_t *seq);
weft_err sk_follow(sk_node *node, const weft_id *tree, bool follow, const weft_key *readers,
                   uint32_t count);

/* A frame of entries from peer number `peer`; not yet sent. */
struct wf_ingest *sk_frame(sk_node *node, uint8_t peer, uint64_t n, const weft_id *tree,
                           weft_buf *const *bufs, const weft_id *ids, uint32_t count);
void sk_send(sk_node *node, struct wf_ingest *frame);
/* Sends it, waits, and returns its result (the sink's). */
struct wf_ingest *sk_ingest(sk_node *node, struct wf_ingest *frame);

/* Failures that the test provokes are not worth a reader's attention. */
void sk_quiet(bool quiet);

/* -- Judging a store ------------------------------------------------------------------------ */

/* The store's tips, gens, count and root digest against the plain model. */
void sk_expect_dag(wf_store *store, const sk_dag *dag, const bool *have);
void sk_expect_clean(wf_store *store); /* wf_store_check finds nothing */

#endif
