/* SPDX-License-Identifier: Apache-2.0
 * world.c - a few whole nodes in the simulator (world.h).
 * Called by: test_world.c, test_engine.c. May touch: nodes, their engines, the hub.
 * Never: threads, the machine's clock. */
#include "world.h"

#include <weft/log.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

#define CALL (30 * WEFT_SEC)
#define NEAR_NS (200 * UINT64_C(1000)) /* delays without faults: 0.2 to 2 ms */
#define FAR_NS (2 * WEFT_MS)

uint32_t world_below(struct world *w, uint32_t bound)
{
    return (uint32_t)wf_sim_below(w->sim, bound);
}

void world_run(struct world *w, weft_ns time)
{
    wf_sim_run_until(w->sim, wf_sim_now(w->sim) + time);
}

void world_faults(struct world *w, const wf_net_faults *faults)
{
    static const wf_net_faults none = {.delay_min = NEAR_NS, .delay_max = FAR_NS}, near = {0};
    wf_net_hub_faults(w->hub->hub, faults != NULL ? faults : w->near ? &near : &none);
}

void world_cut(struct world *w, uint32_t a, uint32_t b, bool cut)
{
    wf_net_hub_partition(w->hub->hub, w->nodes[a].host, w->nodes[b].host, cut);
}

/* -- Nodes --------------------------------------------------------------------------- */

static void open_writer(struct world_node *n)
{
    weft_tree_info info;
    if (n->writer != NULL || weft_tree_info_get(n->node, &n->world->tree, &info) != WEFT_OK) return;
    if (info.has_root)
        (void)weft_writer_open(n->node, &n->world->tree, n->world->author, &n->writer);
}

static void on_encrypt(void *arg, const weft_key *key, const weft_id *tree, uint32_t type)
{
    struct world_node *n = arg;
    if (n->world->judge != NULL) n->world->judge(n->world, n->number, key, tree, type);
}

void world_start(struct world *w, uint32_t number)
{
    struct world_node *n = &w->nodes[number];
    weft_node_options options = {.device = n->device,
                                 .name = n->host,
                                 .verifiers = 2,
                                 .unsynced = w->forgetful,
                                 .no_live_push = w->no_live_push};
    cr_assert_eq(wf_sim_rt_create(w->sim, &n->rt), WEFT_OK);
    options.rt = n->rt;
    struct wf_node_seat seat = {on_encrypt, n, w->old && number > 0};
    weft_err err = wf_node_open_seat(&options, n->kv, &seat, &n->node);
    cr_assert_eq(err, WEFT_OK, "seed %lu: node %u does not open: %s", w->seed, number,
                 weft_errname(err));
    weft_node_key(n->node, &n->key);
    cr_assert_eq(weft_add_transport_mem(n->node, "mem", w->hub, n->host, n->listen, CALL), WEFT_OK);
    cr_assert_eq(weft_start_server(n->node, NULL, CALL), WEFT_OK);
}

static void remember(struct world *w, const struct world_node *n)
{
    weft_node_stats stats;
    if (weft_node_stats_get(n->node, &stats) != WEFT_OK) return;
    w->duplicates += stats.duplicates;
    w->redundant += stats.redundant;
}

/* A process that dies takes its memory with it; a simulated one leaves it behind, and a leak
 * checker cannot tell. So most deaths are gentle: nothing more is written or sent, and then
 * the node goes in order. */
static void die_gently(struct world *w, struct world_node *n)
{
    wf_kv_memory_fail_at(n->kv, 1, WEFT_IO, true);
    (void)weft_shutdown(n->node, WEFT_NEVER);
    n->kv = wf_node_bury(n->node);
    cr_assert_eq(weft_rt_stop(n->rt, WEFT_NEVER), WEFT_OK, "seed %lu", w->seed);
    cr_assert_eq(weft_rt_destroy(n->rt), WEFT_OK);
}

static void die_at_once(struct world_node *n)
{
    wf_sim_kill(n->rt);
    n->kv = wf_node_bury(n->node);
}

void world_kill(struct world *w, uint32_t number)
{
    struct world_node *n = &w->nodes[number];
    bool gently = world_below(w, 4) != 0;
#ifdef __SANITIZE_ADDRESS__
    gently = true;
#endif
    remember(w, n);
    weft_writer_close(n->writer);
    n->writer = NULL;
    wf_net_hub_kill(w->hub->hub, n->host);
    if (gently) die_gently(w, n);
    else die_at_once(n);
    n->rt = NULL;
    n->node = NULL;
    wf_kv_memory_crash(n->kv, world_below(w, 1 + (uint32_t)wf_kv_memory_unsynced(n->kv)));
}

/* -- How many ------------------------------------------------------------------------ */

static uint64_t number_from(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text == NULL ? fallback : strtoull(text, NULL, 10);
}

uint64_t world_seeds(uint64_t fallback) { return number_from("WEFT_SIM_SEEDS", fallback); }
uint64_t world_first_seed(uint64_t fallback) { return number_from("WEFT_SIM_SEED", fallback); }

/* -- The world ----------------------------------------------------------------------- */

static bool linked(enum world_shape shape, uint32_t count, uint32_t a, uint32_t b)
{
    uint32_t low = a < b ? a : b, high = a < b ? b : a;
    if (low == high) return false;
    switch (shape) {
    case WORLD_CHAIN: return high == low + 1;
    case WORLD_STAR: return low == 0;
    case WORLD_RING: return high == low + 1 || (low == 0 && high == count - 1);
    case WORLD_MESH: return true;
    }
    return false;
}

/* Each pair has one side that knows the address; both name the other a reader. */
static void introduce(struct world *w, uint32_t a, uint32_t b)
{
    struct world_node *x = &w->nodes[a], *y = &w->nodes[b];
    cr_assert_eq(weft_peer_register(x->node, &y->key, y->host, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_add_address(x->node, &y->key, y->listen, CALL), WEFT_OK);
    cr_assert_eq(weft_peer_relate(x->node, &y->key, &w->tree, CALL), WEFT_OK);
}

static void follow(struct world *w, uint32_t a)
{
    weft_key readers[WORLD_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t b = 0; b < w->count; b++)
        if (w->links[a][b]) readers[count++] = w->nodes[b].key;
    cr_assert_eq(weft_tree_follow(w->nodes[a].node, &w->tree, readers, count, CALL), WEFT_OK);
}

/* The dying complain. */
static void no_log(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    (void)line;
}

struct world *world_create(uint64_t seed, enum world_shape shape, uint32_t count, uint32_t kind)
{
    struct world *w = calloc(1, sizeof *w);
    cr_assert_not_null(w);
    if (getenv("WEFT_SIM_LOG") == NULL) weft_log_to(no_log, NULL, WEFT_LOG_ERROR);
    w->seed = seed;
    w->count = count;
    w->no_live_push = (kind & WORLD_NO_PUSH) != 0;
    w->forgetful = (kind & WORLD_FORGETFUL) != 0;
    w->old = (kind & WORLD_OLD) != 0;
    w->near = (kind & WORLD_UNEVEN) != 0;
    weft_sim_spec spec = {.seed = seed,
                          .schedule = w->near ? WEFT_SCHEDULE_PCT : WEFT_SCHEDULE_UNIFORM};
    cr_assert_eq(weft_sim_create(&spec, &w->sim), WEFT_OK);
    cr_assert_eq(weft_hub_create(&w->hub), WEFT_OK);
    uint8_t author[32] = {99};
    cr_assert_eq(weft_keypair_from_seed(author, &w->author), WEFT_OK);
    for (uint32_t i = 0; i < count; i++) {
        struct world_node *n = &w->nodes[i];
        uint8_t device[32] = {(uint8_t)(i + 1), (uint8_t)seed};
        n->world = w;
        n->number = i;
        snprintf(n->host, sizeof n->host, "n%u", i);
        snprintf(n->listen, sizeof n->listen, "mem:n%u:1", i);
        cr_assert_eq(weft_keypair_from_seed(device, &n->device), WEFT_OK);
        cr_assert_eq(wf_kv_memory_open(&n->kv), WEFT_OK);
        world_start(w, i);
        for (uint32_t k = 0; k < count; k++) w->links[i][k] = linked(shape, count, i, k);
    }
    world_faults(w, NULL);
    weft_root_spec root = {.entropy = {7}}; /* who may read is what the nodes say by follow */
    cr_assert_eq(weft_tree_create(w->nodes[0].node, w->author, &root, CALL, &w->tree), WEFT_OK);
    for (uint32_t a = 0; a < count; a++) follow(w, a);
    for (uint32_t a = 0; a < count; a++)
        for (uint32_t b = 0; b < count; b++)
            if (w->links[a][b] && (a < b || world_below(w, 2) == 0)) introduce(w, a, b);
    weft_ns hops = w->no_live_push ? count * WEFT_SYNC_INTERVAL_NS : 0;
    cr_assert(world_converges(w, 120 * WEFT_SEC + hops), "seed %lu: no first sync", seed);
    for (uint32_t i = 0; i < count; i++) cr_assert_eq(wf_kv_sync(w->nodes[i].kv), WEFT_OK);
    return w;
}

void world_destroy(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        struct world_node *n = &w->nodes[i];
        weft_writer_close(n->writer);
        if (n->node != NULL) weft_node_close(n->node);
        else wf_kv_close(n->kv);
        if (n->rt != NULL) {
            cr_assert_eq(weft_rt_stop(n->rt, WEFT_NEVER), WEFT_OK);
            cr_assert_eq(weft_rt_destroy(n->rt), WEFT_OK);
        }
        weft_keypair_destroy(n->device);
    }
    weft_hub_destroy(w->hub);
    wf_sim_destroy(w->sim);
    weft_keypair_destroy(w->author);
    free(w);
}

/* -- Acting -------------------------------------------------------------------------- */

weft_err world_commit_bytes(struct world *w, uint32_t number, size_t len)
{
    struct world_node *n = &w->nodes[number];
    if (n->node == NULL) return WEFT_CLOSED;
    open_writer(n);
    if (n->writer == NULL) return WEFT_TREE; /* nothing of the tree is here yet */
    uint64_t *payload = calloc(1, len + sizeof *payload);
    cr_assert_not_null(payload);
    payload[0] = wf_sim_random(w->sim);
    weft_id id;
    weft_err err = weft_commit(n->writer, "log", payload, len, CALL, &id);
    if (err == WEFT_OK && w->acked_count < WORLD_ACKED_MAX) w->acked[w->acked_count++] = id;
    free(payload);
    return err;
}

weft_err world_commit(struct world *w, uint32_t number)
{
    return world_commit_bytes(w, number, 32);
}

void world_spoil(struct world *w, uint32_t number, const weft_id *id)
{
    uint8_t key[WF_KEY_SEQ_BYTES], body[4096];
    wf_meta_brief meta;
    wf_value value;
    wf_batch *batch = NULL;
    wf_kv *kv = w->nodes[number].kv;
    cr_assert_eq(wf_store_meta_brief(w->nodes[number].node->table.wf_store, id, &meta), WEFT_OK);
    wf_key_seq(key, meta.t, meta.seq);
    cr_assert_eq(wf_kv_get(kv, NULL, WF_CF_ENTRY, key, sizeof key, &value), WEFT_OK);
    size_t len = value.len;
    cr_assert(len <= sizeof body);
    memcpy(body, value.data, len);
    wf_value_release(kv, &value);
    body[len / 2] ^= 4;
    cr_assert_eq(wf_batch_create(&batch), WEFT_OK);
    wf_batch_put(batch, WF_CF_ENTRY, key, sizeof key, body, len);
    cr_assert_eq(wf_kv_write(kv, batch, true), WEFT_OK);
    wf_batch_destroy(batch);
}

/* -- Muting -------------------------------------------------------------------------- */

/* In the place of an actor that is slow: it keeps what it hears. */
struct mute {
    weft_msg *kept;
    uint32_t *count;
};

static weft_err mute_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    ((struct mute *)state)->count = arg;
    return WEFT_OK;
}

static weft_verdict mute_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct mute *m = state;
    (void)self;
    msg->next = m->kept;
    m->kept = msg;
    (*m->count)++;
    return WEFT_KEPT;
}

static void mute_fini(weft_self *self, void *state, weft_err reason)
{
    struct mute *m = state;
    (void)self;
    (void)reason;
    while (m->kept != NULL) {
        weft_msg *msg = m->kept;
        m->kept = msg->next;
        msg->next = NULL;
        weft_drop(msg);
    }
}

weft_addr *world_mute(struct world *w, uint32_t number, weft_addr **place, uint32_t *count)
{
    weft_addr *was = *place;
    weft_spec spec = {.name = "mute",
                      .arg = count,
                      .state_size = sizeof(struct mute),
                      .init = mute_init,
                      .handle = mute_handle,
                      .fini = mute_fini,
                      .mailbox = WEFT_UNBOUNDED};
    *count = 0;
    cr_assert_eq(weft_spawn(w->nodes[number].rt, &spec, place), WEFT_OK);
    return was;
}

void world_unmute(struct world *w, uint32_t number, weft_addr **place, weft_addr *was)
{
    (void)weft_stop(*place, WEFT_NOW);
    cr_assert_eq(weft_join(*place, weft_rt_after(w->nodes[number].rt, CALL), NULL), WEFT_OK);
    weft_addr_put(*place);
    *place = was;
}

/* -- Looking ------------------------------------------------------------------------- */

weft_tree_info world_info(struct world *w, uint32_t number)
{
    weft_tree_info info = {0};
    if (w->nodes[number].node != NULL)
        (void)weft_tree_info_get(w->nodes[number].node, &w->tree, &info);
    return info;
}

bool world_equal(struct world *w)
{
    weft_tree_info first = {0};
    bool any = false;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->nodes[i].node == NULL) continue;
        weft_tree_info info = world_info(w, i);
        if (!info.has_root) return false;
        if (!any) first = info;
        any = true;
        if (info.entries != first.entries ||
            memcmp(info.root_digest, first.root_digest, sizeof first.root_digest) != 0)
            return false;
    }
    return any;
}

bool world_until(struct world *w, bool (*done)(struct world *w), weft_ns time)
{
    weft_ns end = wf_sim_now(w->sim) + time;
    while (!done(w)) {
        weft_ns now = wf_sim_now(w->sim);
        if (now >= end) return false;
        wf_sim_run_until(w->sim, now + 10 * WEFT_MS < end ? now + 10 * WEFT_MS : end);
    }
    return true;
}

bool world_converges(struct world *w, weft_ns time) { return world_until(w, world_equal, time); }

weft_node_stats world_stats(struct world *w)
{
    weft_node_stats sum = {.duplicates = w->duplicates, .redundant = w->redundant};
    for (uint32_t i = 0; i < w->count; i++) {
        weft_node_stats s;
        if (w->nodes[i].node == NULL) continue;
        cr_assert_eq(weft_node_stats_get(w->nodes[i].node, &s), WEFT_OK);
        sum.duplicates += s.duplicates;
        sum.redundant += s.redundant;
        sum.refused += s.refused;
        sum.entries_received += s.entries_received;
        sum.entries_sent += s.entries_sent;
        sum.sessions_ok += s.sessions_ok;
        sum.sessions_failed += s.sessions_failed;
        sum.sessions_exact += s.sessions_exact;
        sum.round_trips += s.round_trips;
        sum.connections += s.connections;
        sum.live_pairs += s.live_pairs;
        sum.offences += s.offences;
    }
    return sum;
}

void world_describe(struct world *w)
{
    fprintf(stderr, "world of seed %lu at %lu ms\n", w->seed,
            (unsigned long)(wf_sim_now(w->sim) / WEFT_MS));
    for (uint32_t i = 0; i < w->count; i++) {
        weft_node_stats s;
        if (w->nodes[i].node == NULL) continue;
        weft_tree_info info = world_info(w, i);
        cr_assert_eq(weft_node_stats_get(w->nodes[i].node, &s), WEFT_OK);
        fprintf(stderr,
                "  node %u: entries %lu tips %lu root %02x connections %lu live %lu "
                "sessions %lu ok %lu failed %lu exact\n",
                i, info.entries, info.tips, info.root_digest[0], s.connections, s.live_pairs,
                s.sessions_ok, s.sessions_failed, s.sessions_exact);
    }
}

uint32_t world_lost(struct world *w)
{
    uint32_t lost = 0;
    for (uint32_t i = 0; i < w->count; i++)
        for (uint32_t k = 0; w->nodes[i].node != NULL && k < w->acked_count; k++) {
            weft_buf *buf = NULL;
            if (weft_get(w->nodes[i].node, &w->acked[k], &buf) != WEFT_OK) lost++;
            weft_buf_unref(buf);
        }
    return lost;
}

uint64_t world_damage(struct world *w)
{
    uint64_t damage = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        wf_check_report r = {0};
        if (w->nodes[i].node == NULL) continue;
        cr_assert_eq(wf_store_check(w->nodes[i].node->table.wf_store, false, &r), WEFT_OK);
        damage += r.bad_bytes + r.bad_ids + r.missing_parents + r.bad_tips + r.bad_indexes;
    }
    return damage;
}
