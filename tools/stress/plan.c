/* SPDX-License-Identifier: Apache-2.0
 * plan.c - draws links and kills from the seed.
 * Called by: run.c, the demo. May touch: its struct. Never: nodes, clocks. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "kit.h"

const char *const plan_topology_names[TOPOLOGY_COUNT] = {"chain", "ring", "star", "mesh"};

static void edge_add(struct plan *plan, uint32_t dialer, uint32_t acceptor)
{
    plan->edges[plan->edges_count++] = (struct plan_edge){dialer, acceptor};
}

static void edges_make(struct plan *plan)
{
    for (uint32_t i = 1; i < plan->nodes; i++) {
        switch (plan->topology) {
        case TOPOLOGY_STAR: edge_add(plan, i, 0); break;
        case TOPOLOGY_MESH:
            for (uint32_t j = 0; j < i; j++) edge_add(plan, i, j);
            break;
        default: edge_add(plan, i, i - 1); break;
        }
    }
    if (plan->topology == TOPOLOGY_RING && plan->nodes > 2) edge_add(plan, plan->nodes - 1, 0);
}

/* Shortest paths by relaxing every edge until nothing changes: at most 32 nodes. */
static void hops_make(struct plan *plan)
{
    memset(plan->hops, UINT8_MAX, sizeof plan->hops);
    for (uint32_t i = 0; i < plan->nodes; i++) plan->hops[i][i] = 0;
    for (uint32_t round = 0; round < plan->nodes; round++)
        for (uint32_t e = 0; e < plan->edges_count; e++)
            for (uint32_t i = 0; i < plan->nodes; i++) {
                uint8_t *a = &plan->hops[i][plan->edges[e].dialer];
                uint8_t *b = &plan->hops[i][plan->edges[e].acceptor];
                if (*a != UINT8_MAX && *a + 1 < *b) *b = (uint8_t)(*a + 1);
                if (*b != UINT8_MAX && *b + 1 < *a) *a = (uint8_t)(*b + 1);
            }
    plan->hops_max = 0;
    for (uint32_t i = 0; i < plan->nodes; i++)
        for (uint32_t j = 0; j < plan->nodes; j++)
            if (plan->hops[i][j] > plan->hops_max) plan->hops_max = plan->hops[i][j];
}

static int by_share(const void *a, const void *b)
{
    const struct plan_kill *x = a, *y = b;
    if (x->permille != y->permille) return x->permille < y->permille ? -1 : 1;
    return x->victim < y->victim ? -1 : x->victim > y->victim;
}

void plan_make(struct plan *plan, uint32_t nodes, enum topology topology, uint32_t kills,
               uint64_t live_ns, uint64_t seed)
{
    *plan = (struct plan){.nodes = nodes, .topology = topology};
    edges_make(plan);
    hops_make(plan);
    plan->kills = kit_alloc(kills, sizeof *plan->kills);
    plan->kills_count = kills;
    uint64_t mean_ns = kills == 0 ? 0 : live_ns / (kills + 1u);
    if (mean_ns < 50000000u) mean_ns = 50000000u;
    struct kit_rng rng = kit_rng_for(seed, 'k', 0);
    for (uint32_t i = 0; i < kills; i++) {
        plan->kills[i].victim = (uint32_t)kit_rng_below(&rng, nodes);
        plan->kills[i].permille = 100 + (uint32_t)kit_rng_below(&rng, 801);
        plan->kills[i].pause_ns = mean_ns / 2 + kit_rng_below(&rng, mean_ns);
    }
    qsort(plan->kills, kills, sizeof *plan->kills, by_share);
}

void plan_free(struct plan *plan)
{
    free(plan->kills);
    plan->kills = NULL;
}

bool plan_is_tree(const struct plan *plan) { return plan->edges_count == plan->nodes - 1; }
