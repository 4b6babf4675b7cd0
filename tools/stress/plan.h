/* SPDX-License-Identifier: Apache-2.0
 * plan.h - what a run will do, drawn before it begins: links and kills. */
#ifndef STRESS_PLAN_H
#define STRESS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define PLAN_NODES_MAX 32u
#define PLAN_EDGES_MAX (PLAN_NODES_MAX * (PLAN_NODES_MAX - 1u) / 2u)
#define PLAN_KILLS_MAX 10000u

enum topology { TOPOLOGY_CHAIN, TOPOLOGY_RING, TOPOLOGY_STAR, TOPOLOGY_MESH, TOPOLOGY_COUNT };
extern const char *const plan_topology_names[TOPOLOGY_COUNT];

struct plan_edge { /* the later node dials the earlier one */
    uint32_t dialer, acceptor;
};
struct plan_kill {
    uint32_t victim;
    uint32_t permille; /* of the history that it must hold: 100 to 900 */
    uint64_t pause_ns; /* when the history is complete: wait that long */
};
struct plan {
    uint32_t nodes;
    enum topology topology;
    struct plan_edge edges[PLAN_EDGES_MAX];
    uint32_t edges_count;
    uint8_t hops[PLAN_NODES_MAX][PLAN_NODES_MAX]; /* links between two nodes */
    uint32_t hops_max;
    struct plan_kill *kills; /* each victim's in the order of its shares */
    uint32_t kills_count;
};

/* `live_ns`: the kills that fall after the history are spread over this time. */
void plan_make(struct plan *plan, uint32_t nodes, enum topology topology, uint32_t kills,
               uint64_t live_ns, uint64_t seed);
void plan_free(struct plan *plan);
/* No copies can cross where each pair of nodes has one path. */
bool plan_is_tree(const struct plan *plan);

#endif
