/* SPDX-License-Identifier: Apache-2.0
 * store_kit.c - a simulated node of one store, and histories of entries.
 * Called by: the tests of the store. May touch: everything below the sync layer.
 * Never: a real clock, a real thread. */
#include "store_kit.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>

#include "alloc.h"
#include "block.h"
#include "crypto.h"
#include "ids.h"

/* -- Histories ------------------------------------------------------------------------------ */

const char *const sk_shape_names[SK_SHAPES] = {"chain", "wide", "star", "merges"};

weft_buf *sk_build(const sk_entry *e, const weft_keypair *author, weft_id *id)
{
    weft_store_part part = {.name = e->name == NULL ? "main" : e->name,
                            .parents = e->store_parents,
                            .parents_count = e->store_parents_count,
                            .payload = e->payload == NULL ? "x" : e->payload,
                            .payload_len = e->payload == NULL ? 1 : e->payload_len};
    weft_entry_spec spec = {.tree = e->tree,
                            .parents = e->parents,
                            .parents_count = e->parents_count,
                            .height = e->height,
                            .stores = &part,
                            .stores_count = 1};
    weft_buf *buf = NULL;
    weft_err err = weft_entry_build(&spec, author, &buf, id);
    cr_assert_eq(err, WEFT_OK, "build: %s", weft_errname(err));
    return buf;
}

weft_buf *sk_root(const weft_keypair *author, uint8_t entropy, weft_height strategy,
                  weft_right everyone, weft_id *id)
{
    weft_root_spec spec = {.height = strategy, .everyone = everyone, .everyone_priority = 10};
    memset(spec.entropy, entropy == 0 ? 1 : entropy, sizeof spec.entropy);
    weft_buf *buf = NULL;
    weft_err err = weft_root_build(&spec, author, &buf, id);
    cr_assert_eq(err, WEFT_OK, "root: %s", weft_errname(err));
    return buf;
}

static void choose_parents(sk_dag *dag, enum sk_shape shape, uint32_t i, kit_random *r)
{
    uint32_t *parents = dag->parents[i], count = 1;
    switch (shape) {
    case SK_CHAIN: parents[0] = i - 1; break;
    case SK_STAR: parents[0] = 0; break;
    case SK_WIDE: /* eight writers; now and then one joins the others */
        parents[0] = i <= 8 ? 0 : i - 8;
        if (i > 16 && kit_below(r, 3) == 0) parents[count++] = i - 1 - kit_below(r, 7);
        break;
    default: /* on random old ones */
        parents[0] = kit_below(r, i);
        while (count < SK_PARENTS_MAX && kit_below(r, 2) == 0) parents[count++] = kit_below(r, i);
        break;
    }
    dag->parents_count[i] = 0;
    for (uint32_t a = 0; a < count; a++) { /* without repeats */
        bool again = false;
        for (uint32_t b = 0; b < dag->parents_count[i]; b++) again |= parents[b] == parents[a];
        if (!again) parents[dag->parents_count[i]++] = parents[a];
    }
}

static void build_one(sk_dag *dag, uint32_t i, const weft_keypair *author)
{
    weft_id parents[SK_PARENTS_MAX], store_parents[SK_PARENTS_MAX];
    uint32_t writers = 0;
    for (uint32_t p = 0; p < dag->parents_count[i]; p++) {
        uint32_t at = dag->parents[i][p];
        parents[p] = dag->ids[at];
        if (at != 0) store_parents[writers++] = dag->ids[at]; /* the root writes no "main" */
        if (dag->gens[at] >= dag->gens[i]) dag->gens[i] = dag->gens[at] + 1;
        if (dag->heights[at] >= dag->heights[i]) dag->heights[i] = dag->heights[at] + 1;
    }
    uint32_t payload[2] = {i, 0x5eed};
    sk_entry e = {.tree = dag->tree,
                  .parents = parents,
                  .parents_count = dag->parents_count[i],
                  .height = dag->heights[i],
                  .store_parents = store_parents,
                  .store_parents_count = writers,
                  .payload = payload,
                  .payload_len = sizeof payload};
    dag->bufs[i] = sk_build(&e, author, &dag->ids[i]);
}

sk_dag *sk_dag_create(enum sk_shape shape, uint32_t count, const weft_keypair *author,
                      uint64_t seed)
{
    kit_random r = {seed};
    sk_dag *dag = calloc(1, sizeof *dag);
    dag->count = count;
    dag->bufs = calloc(count, sizeof *dag->bufs);
    dag->ids = calloc(count, sizeof *dag->ids);
    dag->gens = calloc(count, sizeof *dag->gens);
    dag->heights = calloc(count, sizeof *dag->heights);
    dag->parents = calloc(count, sizeof *dag->parents);
    dag->parents_count = calloc(count, sizeof *dag->parents_count);
    uint8_t entropy = (uint8_t)(1 + kit_below(&r, 255));
    dag->bufs[0] = sk_root(author, entropy, WEFT_HEIGHT_INCREMENTAL, WEFT_RIGHT_NONE, &dag->tree);
    dag->ids[0] = dag->tree;
    for (uint32_t i = 1; i < count; i++) {
        choose_parents(dag, shape, i, &r);
        build_one(dag, i, author);
    }
    return dag;
}

void sk_dag_destroy(sk_dag *dag)
{
    for (uint32_t i = 0; i < dag->count; i++) weft_buf_unref(dag->bufs[i]);
    free(dag->bufs);
    free(dag->ids);
    free(dag->gens);
    free(dag->heights);
    free(dag->parents);
    free(dag->parents_count);
    free(dag);
}

uint32_t sk_dag_tips(const sk_dag *dag, const bool *have, weft_id *out)
{
    uint32_t tips = 0;
    bool *followed = calloc(dag->count, sizeof *followed);
    for (uint32_t i = 0; i < dag->count; i++)
        for (uint32_t p = 0; p < dag->parents_count[i]; p++)
            if (have == NULL || have[i]) followed[dag->parents[i][p]] = true;
    for (uint32_t i = 0; i < dag->count; i++)
        if ((have == NULL || have[i]) && !followed[i]) out[tips++] = dag->ids[i];
    free(followed);
    return wf_ids_sort_unique(out, tips);
}

/* -- The listening actor ------------------------------------------------------------------------ */

struct sk_go { /* run this as an actor */
    weft_msg msg;
    void (*fn)(weft_self *self, void *arg);
    void *arg;
};
static const weft_kind go_kind = {
    .id = 1, .name = "test.go", .size = sizeof(struct sk_go), .drop = weft_free_msg};

struct sink_state {
    sk_node *node;
};

static weft_err sink_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    ((struct sink_state *)state)->node = arg;
    return WEFT_OK;
}

static weft_verdict sink_handle(weft_self *self, void *state, weft_msg *msg)
{
    sk_node *node = ((struct sink_state *)state)->node;
    sk_sink *sink = &node->sink;
    if (msg->kind == &go_kind) {
        struct sk_go *go = (struct sk_go *)msg;
        go->fn(self, go->arg);
        return WEFT_DONE;
    }
    if (msg->kind == &wf_ingest_kind) {
        cr_assert_lt(sink->results_count, SK_HEARD_MAX);
        sink->results[sink->results_count++] = (struct wf_ingest *)msg;
        return WEFT_KEPT;
    }
    cr_assert_eq(msg->kind, &wf_stored_kind);
    cr_assert_lt(sink->bells_count, SK_HEARD_MAX);
    sink->bells[sink->bells_count++] = (struct wf_stored *)msg;
    return WEFT_KEPT;
}

static void on_reply(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    (void)state;
    sk_sink *sink = &((sk_node *)arg)->sink;
    cr_assert_lt(sink->replies_count, SK_HEARD_MAX);
    sink->replies[sink->replies_count].err = err;
    if (req != NULL && req->msg.kind == &wf_commit_kind) {
        sink->replies[sink->replies_count].applied = ((struct wf_commit *)req)->applied;
        sink->replies[sink->replies_count].seq = ((struct wf_commit *)req)->seq;
    }
    sink->replies_count++;
    if (req != NULL) weft_drop(&req->msg);
}

void sk_ask(sk_node *node, weft_self *self, weft_request *req)
{
    weft_err err = weft_ask(self, node->addr, req, weft_now(self) + 3600 * WEFT_SEC, on_reply, node,
                            NULL);
    cr_assert_eq(err, WEFT_OK);
    node->asked++;
}

uint32_t sk_good_replies(const sk_node *node)
{
    uint32_t good = 0;
    for (uint32_t i = 0; i < node->sink.replies_count; i++)
        good += node->sink.replies[i].err == WEFT_OK;
    return good;
}

void sk_sink_clear(sk_node *node)
{
    sk_sink *sink = &node->sink;
    for (uint32_t i = 0; i < sink->results_count; i++) weft_drop(&sink->results[i]->msg);
    for (uint32_t i = 0; i < sink->bells_count; i++) weft_drop(&sink->bells[i]->msg);
    sink->results_count = 0;
    sink->bells_count = 0;
    sink->replies_count = 0;
}

/* -- The node -------------------------------------------------------------------------------------- */

static void start(sk_node *node)
{
    cr_assert_eq(wf_sim_rt_create(node->sim, &node->rt), WEFT_OK);
    weft_err err = wf_store_open(node->kv, node->rt, &node->store);
    cr_assert_eq(err, WEFT_OK, "open: %s", weft_errname(err));
    struct wf_store_actor_options options = {
        .store = node->store, .sync = true, .herd = node->herd};
    cr_assert_eq(wf_store_actor_spawn(node->rt, &options, &node->addr), WEFT_OK);
    weft_spec spec = {.name = "sink",
                      .arg = node,
                      .state_size = sizeof(struct sink_state),
                      .init = sink_init,
                      .handle = sink_handle};
    cr_assert_eq(weft_spawn(node->rt, &spec, &node->sink_addr), WEFT_OK);
}

void sk_node_open(sk_node *node, uint64_t seed) { sk_node_open_herd(node, seed, 0); }

static void open_on(sk_node *node, uint64_t seed, uint32_t herd, wf_kv *kv)
{
    memset(node, 0, sizeof *node);
    node->herd = herd;
    node->kv = kv;
    cr_assert_eq(wf_crypto_init(), WEFT_OK);
    cr_assert_eq(wf_sim_create(seed, &node->sim), WEFT_OK);
    if (kv == NULL) cr_assert_eq(wf_kv_memory_open(&node->kv), WEFT_OK);
    start(node);
}

void sk_node_open_herd(sk_node *node, uint64_t seed, uint32_t herd)
{
    open_on(node, seed, herd, NULL);
}

void sk_node_open_kv(sk_node *node, uint64_t seed, wf_kv *kv) { open_on(node, seed, 0, kv); }

static void put_addrs(sk_node *node)
{
    sk_sink_clear(node);
    weft_addr_put(node->addr);
    weft_addr_put(node->sink_addr);
}

void sk_node_close(sk_node *node)
{
    cr_assert_eq(weft_rt_stop(node->rt, WEFT_NEVER), WEFT_OK);
    put_addrs(node);
    cr_assert_eq(weft_rt_destroy(node->rt), WEFT_OK);
    wf_store_close(node->store);
    wf_sim_destroy(node->sim);
}

void sk_node_crash(sk_node *node, size_t keep)
{
    put_addrs(node);
    wf_sim_kill(node->rt);
    node->kv = wf_store_detach(node->store);
    wf_kv_memory_crash(node->kv, keep);
    start(node);
}

void sk_node_settle(sk_node *node)
{
    wf_sim_run_until(node->sim, wf_sim_now(node->sim) + WEFT_SEC);
}

void sk_node_do(sk_node *node, void (*fn)(weft_self *self, void *arg), void *arg)
{
    struct sk_go *go = (struct sk_go *)weft_new(&go_kind);
    go->fn = fn;
    go->arg = arg;
    cr_assert_eq(weft_send(node->sink_addr, &go->msg), WEFT_OK);
}

/* -- Commits and frames ------------------------------------------------------------------------------ */

struct wf_commit *sk_commit_of(const sk_dag *dag, uint32_t from, uint32_t count)
{
    struct wf_commit *commit = wf_commit_create(count);
    commit->create_trees = true;
    for (uint32_t i = 0; i < count; i++) {
        commit->entries[i] = weft_buf_ref(dag->bufs[from + i]);
        commit->ids[i] = dag->ids[from + i];
    }
    return commit;
}

struct each {
    sk_node *node;
    const sk_dag *dag;
    uint32_t from, count;
    enum wf_durability level;
};

static void ask_each(weft_self *self, void *arg)
{
    const struct each e = *(struct each *)arg;
    for (uint32_t i = 0; i < e.count; i++) {
        struct wf_commit *commit = sk_commit_of(e.dag, e.from + i, 1);
        commit->durability = (uint8_t)e.level;
        sk_ask(e.node, self, &commit->req);
    }
}

void sk_ask_each(sk_node *node, const sk_dag *dag, uint32_t from, uint32_t count,
                 enum wf_durability level)
{
    static struct each all[64]; /* it runs later */
    static uint32_t next;
    struct each *e = &all[next++ % 64];
    *e = (struct each){node, dag, from, count, level};
    sk_node_do(node, ask_each, e);
}

uint64_t sk_count(const sk_node *node, const weft_id *tree)
{
    wf_tree_info info = {0};
    wf_store_tree(node->store, tree, &info);
    return info.count;
}

static weft_err call(sk_node *node, weft_request *req, uint64_t *seq)
{
    weft_request *back = NULL;
    bool taken = false;
    weft_err err = weft_call(node->addr, req, WEFT_NEVER, &back, &taken);
    if (back == NULL) {
        if (!taken) weft_drop(&req->msg);
        return err;
    }
    if (seq != NULL) *seq = ((struct wf_commit *)back)->seq;
    weft_drop(&back->msg);
    return err;
}

weft_err sk_commit(sk_node *node, weft_buf *const *bufs, const weft_id *ids, uint32_t count,
                   bool create, uint64_t *seq)
{
    struct wf_commit *commit = wf_commit_create(count);
    commit->create_trees = create;
    for (uint32_t i = 0; i < count; i++) {
        commit->entries[i] = weft_buf_ref(bufs[i]);
        commit->ids[i] = ids[i];
    }
    return call(node, &commit->req, seq);
}

weft_err sk_follow(sk_node *node, const weft_id *tree, bool follow, const weft_key *readers,
                   uint32_t count)
{
    struct wf_follow *msg = wf_follow_create(tree, readers, count);
    msg->follow = follow;
    return call(node, &msg->req, NULL);
}

struct wf_ingest *sk_frame(sk_node *node, uint8_t peer, uint64_t n, const weft_id *tree,
                           weft_buf *const *bufs, const weft_id *ids, uint32_t count)
{
    struct wf_ingest *frame = wf_ingest_create(count);
    frame->results_to = weft_addr_get(node->sink_addr);
    frame->conn = peer;
    frame->stream = 1;
    frame->n = n;
    frame->tree = *tree;
    memset(frame->source.peer.bytes, peer, sizeof frame->source.peer.bytes);
    memset(frame->source.epoch, peer, sizeof frame->source.epoch);
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) bytes += weft_buf_len(bufs[i]);
    cr_assert_eq(weft_buf_create(bytes, &frame->frame), WEFT_OK);
    uint8_t *at = weft_buf_data(frame->frame);
    for (uint32_t i = 0; i < count; i++) {
        size_t len = weft_buf_len(bufs[i]);
        memcpy(at, weft_buf_bytes(bufs[i]), len);
        frame->entries[i].bytes = at;
        frame->entries[i].len = (uint32_t)len;
        frame->entries[i].id = ids[i];
        at += len;
    }
    return frame;
}

void sk_send(sk_node *node, struct wf_ingest *frame)
{
    cr_assert_eq(weft_send(node->addr, &frame->msg), WEFT_OK);
}

static bool heard(void *arg) { return ((sk_node *)arg)->sink.results_count > 0; }

struct wf_ingest *sk_ingest(sk_node *node, struct wf_ingest *frame)
{
    sk_sink_clear(node);
    sk_send(node, frame);
    cr_assert(wf_sim_run_while_not(node->sim, heard, node, wf_sim_now(node->sim) + WEFT_SEC),
              "the frame was not answered");
    return node->sink.results[0];
}

static void ignore_line(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg;
    (void)level;
    (void)facility;
    (void)line;
}

void sk_quiet(bool quiet) { weft_log_to(quiet ? ignore_line : NULL, NULL, WEFT_LOG_WARN); }

/* -- Judging -------------------------------------------------------------------------------------------- */

void sk_expect_dag(wf_store *store, const sk_dag *dag, const bool *have)
{
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(store, &dag->tree, &info), WEFT_OK);
    uint64_t count = 0, max_gen = 0;
    for (uint32_t i = 0; i < dag->count; i++) {
        wf_meta_brief brief;
        weft_err err = wf_store_meta_brief(store, &dag->ids[i], &brief);
        bool here = have == NULL || have[i];
        cr_assert_eq(err, here ? WEFT_OK : WEFT_NOT_FOUND, "entry %u: %s", i, weft_errname(err));
        if (!here) continue;
        cr_assert_eq(brief.gen, dag->gens[i], "gen of entry %u", i);
        count++;
        if (brief.gen > max_gen) max_gen = brief.gen;
    }
    cr_assert_eq(info.count, count);
    cr_assert_eq(info.max_gen, max_gen);
    cr_assert_eq(info.seq, count);
    weft_id *want = calloc(dag->count, sizeof *want), *got = calloc(dag->count, sizeof *got);
    uint32_t tips = sk_dag_tips(dag, have, want);
    size_t found;
    bool complete;
    cr_assert_eq(wf_store_tips(store, info.t, got, dag->count, &found, &complete), WEFT_OK);
    cr_assert(complete);
    cr_assert_eq(found, tips);
    cr_assert_eq(info.tips, tips);
    cr_assert_arr_eq(got, want, tips * sizeof *want);
    uint8_t digest[32], expected[32];
    wf_blake2b_256(want, tips * sizeof *want, expected);
    cr_assert_eq(wf_store_root_digest(store, info.t, digest, &info), WEFT_OK);
    cr_assert_arr_eq(digest, expected, sizeof digest);
    free(want);
    free(got);
}

void sk_expect_clean(wf_store *store)
{
    wf_check_report report;
    cr_assert_eq(wf_store_check(store, false, &report), WEFT_OK);
    cr_assert_eq(report.bad_bytes + report.bad_ids + report.missing_parents + report.bad_tips +
                     report.bad_indexes,
                 0);
}
