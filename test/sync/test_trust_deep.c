/* SPDX-License-Identifier: Apache-2.0
 * test_trust_deep.c - a history as deep as it is long goes from one node to another: what that costs
 * grows as its length, and no stack with it.
 * WEFT_DEEP sets the length of the longer one; with 1000000, which takes minutes, the stores are on
 * disk: beside an engine in memory nobody can say what is the engine's and what is weft's.
 * Called by: the test runner. Never: threads, the machine's clock. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "kv_faulty.h"
#include "kv_kit.h"
#include "node_internal.h"
#include "sim.h"

#define CALL (30 * WEFT_SEC)
#define HOURS (24 * 3600 * WEFT_SEC)
#define STACK_BYTES (8u << 20)
#define BEYOND_MAX (UINT64_C(64) << 20)
#define ON_DISK_FROM 100000u
#define ENGINE_BYTES (UINT64_C(16) << 20)

enum { BATCH = 128, BOTH = 2 };

struct side {
    weft_rt *rt;
    wf_kv *kv; /* counts reads */
    weft_node *node;
    weft_keypair *device;
    weft_key key;
    char listen[16], dir[64];
};
struct deep {
    wf_sim *sim;
    weft_hub *hub;
    struct side sides[BOTH];
    weft_keypair *author;
    weft_id tree, last;
    uint64_t beyond; /* bytes of the heap that are not the engines', at most */
};
struct cost {
    uint64_t reads, steps, beyond;
};

/* Whenever one of them writes. A sanitizer's heap does not tell, and is not asked. */
static void sample(void *arg)
{
    struct deep *d = arg;
    struct mallinfo2 heap = mallinfo2();
    uint64_t all = heap.uordblks + heap.hblkhd, engines = 0;
    for (int i = 0; i < BOTH; i++)
        if (d->sides[i].kv != NULL) engines += wf_kv_memory(d->sides[i].kv);
    if (all > engines + d->beyond) d->beyond = all - engines;
}

static wf_kv *engine_of(struct side *s, uint32_t count)
{
    wf_kv *kv = NULL;
    const wf_kv_disk_options options = {
        .engine = WF_ENGINE_ROCKSDB, .create = true, .memory_bytes = ENGINE_BYTES};
    s->dir[0] = '\0';
    if (count < ON_DISK_FROM) {
        cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
        return kv;
    }
    kk_dir_create(s->dir);
    cr_assert_eq(wf_kv_disk_open(s->dir, &options, &kv), WEFT_OK);
    return kv;
}

static void side_up(struct deep *d, uint8_t i, uint32_t count)
{
    struct side *s = &d->sides[i];
    const uint8_t seed[32] = {(uint8_t)(i + 1), 0x99};
    char host[8];
    snprintf(host, sizeof host, "d%u", i);
    snprintf(s->listen, sizeof s->listen, "mem:%s:1", host);
    cr_assert_eq(weft_keypair_from_seed(seed, &s->device), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(d->sim, &s->rt), WEFT_OK);
    s->kv = kv_faulty_create(engine_of(s, count));
    kv_faulty_on_write(s->kv, sample, d);
    const weft_node_options options = {.rt = s->rt, .device = s->device, .verifiers = 1};
    cr_assert_eq(wf_node_open_kv(&options, s->kv, &s->node), WEFT_OK);
    weft_node_key(s->node, &s->key);
    cr_assert_eq(weft_add_transport_mem(s->node, "mem", d->hub, host, s->listen, CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(s->node, NULL, CALL), WEFT_OK);
}

static void side_down(struct side *s)
{
    weft_node_close(s->node);
    s->kv = NULL;
    if (s->dir[0] != '\0') kk_dir_remove(s->dir);
    cr_assert_eq(weft_rt_stop(s->rt, WEFT_NEVER), WEFT_OK);
    cr_assert_eq(weft_rt_destroy(s->rt), WEFT_OK);
    weft_keypair_destroy(s->device);
}

/* Each entry stands on the one before. */
static void grow(struct deep *d, uint32_t count)
{
    weft_buf *batch[BATCH];
    for (uint32_t at = 1; at <= count;) {
        uint32_t n = 0;
        for (; n < BATCH && at <= count; n++, at++) {
            const weft_entry_spec spec = {.tree = d->tree,
                                          .parents = &d->last,
                                          .parents_count = 1,
                                          .height = at,
                                          .metadata = &at,
                                          .metadata_len = sizeof at};
            cr_assert_eq(weft_entry_build(&spec, d->author, &batch[n], &d->last), WEFT_OK);
        }
        cr_assert_eq(weft_add(d->sides[0].node, batch, n, true, CALL, NULL), WEFT_OK);
        for (uint32_t i = 0; i < n; i++) weft_buf_unref(batch[i]);
    }
}

static uint64_t sessions(const struct deep *d)
{
    weft_node_stats stats;
    cr_assert_eq(weft_node_stats_get(d->sides[1].node, &stats), WEFT_OK);
    cr_expect_eq(stats.sessions_failed, 0);
    return stats.sessions_ok;
}

static struct cost cost_now(const struct deep *d)
{
    struct cost cost = {.steps = wf_sim_steps(d->sim)};
    for (int i = 0; i < BOTH; i++) cost.reads += kv_faulty_reads(d->sides[i].kv);
    return cost;
}

struct walked {
    uint64_t entries, wrong;
};

static weft_err walk(void *arg, const weft_entry *entry)
{
    struct walked *w = arg;
    w->wrong += entry->height != w->entries++; /* parents first */
    return WEFT_OK;
}

static void expect_whole(const struct deep *d, uint32_t count)
{
    struct walked walked = {0};
    weft_tree_info info[BOTH];
    wf_check_report report = {0};
    for (int i = 0; i < BOTH; i++)
        cr_assert_eq(weft_tree_info_get(d->sides[i].node, &d->tree, &info[i]), WEFT_OK);
    cr_expect_eq(info[1].entries, count + UINT64_C(1));
    cr_expect_eq(info[1].max_gen, count);
    cr_expect_eq(memcmp(info[0].root_digest, info[1].root_digest, sizeof info[0].root_digest), 0);
    cr_expect_eq(weft_tree_walk(d->sides[1].node, &d->tree, walk, &walked), WEFT_OK);
    cr_expect(walked.entries == count + UINT64_C(1) && walked.wrong == 0);
    cr_expect_eq(wf_store_check(d->sides[1].node->table.wf_store, false, &report), WEFT_OK);
    cr_expect_eq(report.bad_bytes + report.bad_ids + report.missing_parents + report.bad_tips +
                     report.bad_indexes,
                 0);
}

/* What it costs both nodes together until the second has the whole chain. */
static struct cost carry(uint32_t count)
{
    const weft_net_faults near = {.delay_min = WEFT_MS / 5, .delay_max = 2 * WEFT_MS};
    const weft_root_spec root = {.entropy = {55}};
    const uint8_t seed[32] = {98};
    struct deep d = {0};
    weft_result result = {0};
    cr_assert_eq(wf_sim_create(1, &d.sim), WEFT_OK);
    cr_assert_eq(weft_hub_create(&d.hub), WEFT_OK);
    cr_assert_eq(weft_hub_faults(d.hub, &near), WEFT_OK);
    cr_assert_eq(weft_keypair_from_seed(seed, &d.author), WEFT_OK);
    for (uint8_t i = 0; i < BOTH; i++) side_up(&d, i, count);
    struct side *a = &d.sides[0], *b = &d.sides[1];
    cr_assert_eq(weft_tree_create(a->node, d.author, &root, CALL, &d.tree), WEFT_OK);
    d.last = d.tree;
    grow(&d, count);
    cr_assert_eq(weft_tree_follow(a->node, &d.tree, &b->key, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_tree_follow(b->node, &d.tree, &a->key, 1, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_register(b->node, &a->key, "deep", CALL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(b->node, &a->key, a->listen, CALL), WEFT_OK);
    struct cost before = cost_now(&d);
    weft_err err = weft_sync_tree(b->node, &a->key, &d.tree, HOURS, &result);
    struct cost after = cost_now(&d);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    cr_expect_eq(result.received, count + UINT64_C(1));
    cr_expect_eq(sessions(&d), 1);
    expect_whole(&d, count);
    sample(&d);
    for (int i = 0; i < BOTH; i++) side_down(&d.sides[i]);
    weft_keypair_destroy(d.author);
    weft_hub_destroy(d.hub);
    wf_sim_destroy(d.sim);
    return (struct cost){after.reads - before.reads, after.steps - before.steps, d.beyond};
}

static uint32_t deeper(void)
{
    const char *wish = getenv("WEFT_DEEP");
    return wish == NULL ? 24000 : (uint32_t)strtoul(wish, NULL, 10);
}

/* The simulator runs all actors on this one. */
static void bound_stack(void)
{
    struct rlimit stack;
    cr_assert_eq(getrlimit(RLIMIT_STACK, &stack), 0);
    stack.rlim_cur = STACK_BYTES;
    cr_assert_eq(setrlimit(RLIMIT_STACK, &stack), 0);
}

static void expect_little_memory(uint32_t length, const struct cost *cost)
{
    cr_expect_leq(cost->beyond, BEYOND_MAX, "%u entries take %lu bytes beside the engines", length,
                  cost->beyond);
}

Test(trust_deep, a_chain_twice_as_deep_costs_at_most_a_little_more_than_twice)
{
    uint32_t length = deeper();
    bound_stack();
    struct cost once = carry(length / 2), twice = carry(length);
    if (getenv("WEFT_DEEP") != NULL)
        fprintf(
            stderr,
            "%u entries: %lu reads, %lu steps, %lu bytes; %u: %lu reads, %lu steps, %lu bytes\n",
            length / 2, once.reads, once.steps, once.beyond, length, twice.reads, twice.steps,
            twice.beyond);
    cr_expect_gt(once.reads, length / 2, "they were not counted");
    cr_expect_leq(10 * twice.reads, 21 * once.reads, "%lu reads, then %lu", once.reads,
                  twice.reads);
    cr_expect_leq(10 * twice.steps, 21 * once.steps, "%lu steps, then %lu", once.steps,
                  twice.steps);
    expect_little_memory(length, &twice);
}
