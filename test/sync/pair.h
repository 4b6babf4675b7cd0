/* SPDX-License-Identifier: Apache-2.0
 * pair.h - two stores with their readers in the simulator, and in the place of the
 * transport an actor that records what one reader sends to the other.
 * Called by: test_diff.c, test_reader.c. Never: sockets, the machine's clock. */
#ifndef PAIR_H
#define PAIR_H

#include "dag.h"
#include "reader.h"
#include "sim.h"
#include "store_actor.h"

struct pair_side {
    wf_store *store;
    struct wf_node_counters counters;
    struct wf_node_table table;
    weft_key key;
    uint8_t *set; /* what of the dag is stored */
    uint32_t count;
};

struct pair {
    wf_sim *sim;
    weft_rt *rt;
    const struct dag *dag;
    struct pair_side a, b;     /* b sends to a */
    weft_addr *transport;      /* the recorder */
    struct recorder *recorder; /* its state: look only while the world stands still */
};
/* Both follow the dag's tree and let each other read. */
struct pair *pair_create(const struct dag *dag, uint64_t seed);
/* The same with readers whose walks find at most `walk_max` entries; 0: as usual. */
struct pair *pair_create_bounded(const struct dag *dag, uint64_t seed, uint32_t walk_max);
void pair_destroy(struct pair *p);
/* Commits entry i, whose parents are there. */
void pair_put(struct pair *p, struct pair_side *side, uint32_t i);
/* Commits all of `set`, parents first, siblings in random order. */
void pair_put_set(struct pair *p, struct pair_side *side, const uint8_t *set, struct dag_random *r);
/* As if `from` had sent entry i in a frame marked `seq`. */
void pair_receive(struct pair *p, struct pair_side *side, const struct pair_side *from, uint32_t i,
                  uint64_t seq);
void pair_follow(struct pair *p, struct pair_side *side, const weft_key *reader); /* NULL: none */
wf_tree_info pair_info(const struct pair *p, const struct pair_side *side);

/* What was sent, decoded. */
struct sent_frame {
    uint32_t type, flags, first, count; /* entries[first .. first+count-1] of sent */
    bool has_mark;
    wf_mark mark;
    uint64_t conn;
    uint32_t stream;
    size_t bytes;
};
struct recorder {
    struct pair *pair;
    bool hold;     /* keep bulk frames without an answer                */
    uint32_t held; /* how many are kept now                             */
    bool exact;
    uint8_t salt[16];
    uint32_t pages;
    uint64_t page_ids;
    weft_err bulk_err; /* what bulk is answered with                      */
    uint32_t frames_count, entries_count;
    struct sent_frame frames[4096];
    uint32_t *entries; /* indexes in the dag                              */
    struct wf_tp_bulk *kept[64];
};
void pair_forget(struct pair *p);  /* empties the record */
void pair_release(struct pair *p); /* answers what is held, and stops holding */

/* Asks and runs the world until the answer; the caller drops the request. */
weft_err pair_ask(struct pair *p, weft_addr *to, weft_request *req);

#endif
