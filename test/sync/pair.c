/* SPDX-License-Identifier: Apache-2.0
 * pair.c - two stores with their readers in the simulator, and a recorder between them.
 * Called by: test_diff.c, test_reader.c. May touch: everything of the two.
 * Never: sockets, the machine's clock. */
#include "pair.h"

#include "kv_faulty.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"

#define SOON (600 * WEFT_SEC)

/* -- The recorder ------------------------------------------------------------------------ */

static void record(struct recorder *rec, const struct wf_tp_bulk *bulk)
{
    struct wf_entries e;
    const uint8_t *bytes = weft_buf_bytes(bulk->frame) + WF_FRAME_HEAD, *entry;
    size_t len = weft_buf_len(bulk->frame) - WF_FRAME_HEAD, entry_len;
    cr_assert_eq(wf_entries_decode(bytes, len, &e), WEFT_OK);
    cr_assert_eq(wf_scan(bytes, len, 8, 2 * len), WEFT_OK);
    cr_assert_lt(rec->frames_count, 4096);
    rec->frames[rec->frames_count++] = (struct sent_frame){.type = bytes[1],
                                                           .flags = e.flags,
                                                           .first = rec->entries_count,
                                                           .count = e.count,
                                                           .has_mark = e.has_mark,
                                                           .mark = e.mark,
                                                           .conn = bulk->conn,
                                                           .stream = bulk->stream,
                                                           .bytes = len};
    cr_assert_eq(e.stream, bulk->stream);
    while (wf_entries_next(&e, &entry, &entry_len) == WEFT_OK) {
        weft_entry decoded;
        cr_assert_eq(weft_entry_decode(entry, entry_len, &decoded), WEFT_OK);
        cr_assert_lt(rec->entries_count, 4 * rec->pair->dag->count + 1000);
        rec->entries[rec->entries_count++] = dag_find(rec->pair->dag, &decoded.id);
    }
}

static void on_match(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct recorder *rec = *(struct recorder **)state;
    struct wf_look *look = (struct wf_look *)req;
    (void)self;
    (void)arg;
    cr_assert_eq(err, WEFT_OK);
    struct wf_job_bits *bits = (struct wf_job_bits *)weft_new(&wf_job_bits_kind);
    bits->conn = 1;
    bits->stream = look->ids.stream;
    bits->ref = look->ids.ref;
    bits->count = look->bits_count;
    memcpy(bits->bits, look->bits, (look->bits_count + 7) / 8);
    cr_assert_eq(weft_send(rec->pair->b.table.reader, &bits->msg), WEFT_OK);
    weft_drop(&req->msg);
}

/* A page of ids: the other side's reader answers it. */
static void on_send(weft_self *self, struct recorder *rec, struct wf_tp_send *send)
{
    struct wf_look *look = wf_look_create(WF_LOOK_MATCH);
    const uint8_t *bytes = weft_buf_bytes(send->frame) + WF_FRAME_HEAD;
    look->page = weft_buf_ref(send->frame);
    cr_assert_eq(wf_ids_decode(bytes, weft_buf_len(send->frame) - WF_FRAME_HEAD, &look->ids),
                 WEFT_OK);
    rec->pages++;
    rec->page_ids += look->ids.count;
    look->tree = rec->pair->dag->ids[0];
    look->peer = rec->pair->b.key;
    look->exact = rec->exact;
    memcpy(look->salt, rec->salt, sizeof look->salt);
    cr_assert_eq(
        weft_ask(self, rec->pair->a.table.reader, &look->req, WEFT_NEVER, on_match, NULL, NULL),
        WEFT_OK);
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    struct recorder *rec = *(struct recorder **)state;
    if (msg->kind == &wf_tp_bulk_kind) {
        struct wf_tp_bulk *bulk = (struct wf_tp_bulk *)msg;
        record(rec, bulk);
        if (rec->hold) {
            cr_assert_lt(rec->held, 64);
            rec->kept[rec->held++] = bulk;
        } else {
            weft_reply(&bulk->req, rec->bulk_err);
        }
        return WEFT_KEPT;
    }
    if (msg->kind == &wf_tp_send_kind) on_send(self, rec, (struct wf_tp_send *)msg);
    return WEFT_DONE;
}

static weft_err init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(void **)state = arg;
    return WEFT_OK;
}

void pair_forget(struct pair *p)
{
    p->recorder->frames_count = p->recorder->entries_count = p->recorder->pages = 0;
    p->recorder->page_ids = 0;
}

void pair_release(struct pair *p)
{
    struct recorder *rec = p->recorder;
    rec->hold = false;
    for (uint32_t i = 0; i < rec->held; i++) weft_reply(&rec->kept[i]->req, rec->bulk_err);
    rec->held = 0;
}

/* -- Two sides ----------------------------------------------------------------------------- */

static void side_create(struct pair *p, struct pair_side *side, uint8_t key, uint32_t walk_max)
{
    wf_kv *kv = NULL;
    memset(side->key.bytes, key, sizeof side->key.bytes);
    cr_assert_eq(wf_kv_memory_open(&kv), WEFT_OK);
    cr_assert_eq(wf_store_open(kv_faulty_create(kv), p->rt, &side->store), WEFT_OK);
    struct wf_store_actor_options options = {.store = side->store, .sync = true};
    struct wf_node_table *t = &side->table;
    cr_assert_eq(wf_store_actor_spawn(p->rt, &options, &t->store), WEFT_OK);
    cr_assert_eq(wf_reader_spawn(p->rt, &t->reader), WEFT_OK);
    t->rt = p->rt;
    t->wf_store = side->store;
    t->self = side->key;
    t->transport = p->transport;
    t->counters = &side->counters;
    t->walk_entries_max = walk_max;
    side->set = calloc(p->dag->count, 1);
    struct wf_wire *wire = wf_wire_create(t);
    cr_assert_eq(wf_send_system(t->reader, &wire->msg), WEFT_OK);
}

void pair_follow(struct pair *p, struct pair_side *side, const weft_key *reader)
{
    struct wf_follow *follow = wf_follow_create(&p->dag->ids[0], reader, reader == NULL ? 0 : 1);
    cr_assert_eq(pair_ask(p, side->table.store, &follow->req), WEFT_OK);
    weft_drop(&follow->req.msg);
}

struct pair *pair_create(const struct dag *dag, uint64_t seed)
{
    return pair_create_bounded(dag, seed, 0);
}

struct pair *pair_create_bounded(const struct dag *dag, uint64_t seed, uint32_t walk_max)
{
    struct pair *p = calloc(1, sizeof *p);
    p->dag = dag;
    p->recorder = calloc(1, sizeof *p->recorder);
    p->recorder->pair = p;
    p->recorder->entries = calloc(4 * dag->count + 1000, sizeof *p->recorder->entries);
    memset(p->recorder->salt, 0x5a, sizeof p->recorder->salt);
    cr_assert_eq(wf_sim_create(seed, &p->sim), WEFT_OK);
    cr_assert_eq(wf_sim_rt_create(p->sim, &p->rt), WEFT_OK);
    weft_spec spec = {.name = "recorder",
                      .arg = p->recorder,
                      .state_size = sizeof(void *),
                      .init = init,
                      .handle = handle,
                      .mailbox = WEFT_UNBOUNDED};
    cr_assert_eq(weft_spawn(p->rt, &spec, &p->transport), WEFT_OK);
    side_create(p, &p->a, 0xa1, walk_max);
    side_create(p, &p->b, 0xb2, walk_max);
    pair_follow(p, &p->a, &p->b.key);
    pair_follow(p, &p->b, &p->a.key);
    return p;
}

static void side_destroy(struct pair_side *side)
{
    weft_addr_put(side->table.reader);
    weft_addr_put(side->table.store);
    wf_store_close(side->store);
    free(side->set);
}

void pair_destroy(struct pair *p)
{
    pair_release(p);
    cr_assert_eq(weft_rt_stop(p->rt, weft_rt_after(p->rt, SOON)), WEFT_OK);
    weft_addr_put(p->transport);
    side_destroy(&p->a);
    side_destroy(&p->b);
    cr_assert_eq(weft_rt_destroy(p->rt), WEFT_OK);
    wf_sim_destroy(p->sim);
    free(p->recorder->entries);
    free(p->recorder);
    free(p);
}

weft_err pair_ask(struct pair *p, weft_addr *to, weft_request *req)
{
    weft_request *back = NULL;
    weft_err err = weft_call(to, req, weft_rt_after(p->rt, SOON), &back, NULL);
    cr_assert_eq(back, req, "no answer: %s", weft_errname(err));
    return err;
}

void pair_put(struct pair *p, struct pair_side *side, uint32_t i)
{
    if (side->set[i]) return;
    struct wf_commit *commit = wf_commit_create(1);
    commit->entries[0] = weft_buf_ref(p->dag->bufs[i]);
    commit->ids[0] = p->dag->ids[i];
    weft_err err = pair_ask(p, side->table.store, &commit->req);
    cr_assert_eq(err, WEFT_OK, "%s", weft_errname(err));
    weft_drop(&commit->req.msg);
    side->set[i] = 1;
    side->count++;
}

void pair_put_set(struct pair *p, struct pair_side *side, const uint8_t *set, struct dag_random *r)
{
    const struct dag *d = p->dag;
    /* Rounds over what may come next: each is taken or left to the next round by chance,
     * so that arrival is a random order with parents first. */
    for (bool left = true; left;) {
        left = false;
        for (uint32_t i = 0; i < d->count; i++) {
            if (!set[i] || side->set[i]) continue;
            bool ready = true;
            for (uint32_t k = 0; k < d->parents_count[i]; k++)
                ready = ready && side->set[d->parents[i][k]];
            if (ready && dag_below(r, 4) > 0) pair_put(p, side, i);
            else left = true;
        }
    }
}

void pair_receive(struct pair *p, struct pair_side *side, const struct pair_side *from, uint32_t i,
                  uint64_t seq)
{
    static uint64_t conn = 1000; /* a stream of its own for each */
    struct wf_ingest *in = wf_ingest_create(1);
    const uint8_t *bytes = weft_buf_bytes(p->dag->bufs[i]);
    in->conn = ++conn;
    in->stream = 1;
    in->n = 1;
    in->tree = p->dag->ids[0];
    in->source.peer = from->key;
    wf_tree_info info = pair_info(p, from);
    memcpy(in->source.epoch, info.epoch, sizeof in->source.epoch);
    in->source_seq = seq;
    in->frame = weft_buf_ref(p->dag->bufs[i]);
    in->entries[0] = (struct wf_ingest_entry){
        .bytes = bytes, .len = (uint32_t)weft_buf_len(p->dag->bufs[i]), .id = p->dag->ids[i]};
    cr_assert_eq(weft_send(side->table.store, &in->msg), WEFT_OK);
    wf_sim_run_until(p->sim, wf_sim_now(p->sim) + WEFT_SEC);
    side->set[i] = 1;
    side->count++;
    cr_assert_eq(pair_info(p, side).count, side->count);
}

wf_tree_info pair_info(const struct pair *p, const struct pair_side *side)
{
    wf_tree_info info;
    cr_assert_eq(wf_store_tree(side->store, &p->dag->ids[0], &info), WEFT_OK);
    return info;
}
