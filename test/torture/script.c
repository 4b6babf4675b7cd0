/* SPDX-License-Identifier: Apache-2.0
 * script.c - lives of a store in the simulator, with one fault in each: every answer must be
 * one of those that the fault explains, and what is left must be what was promised.
 * Called by: alloc.c, ops.c, in a child. May touch: the store layer.
 * Never: the machine's disk, clock or threads: the n-th site is the same in every run. */
#include <stdio.h>
#include <string.h>

#include <weft/log.h>

#include "alloc.h"
#include "block.h"
#include "kv_faulty.h"
#include "salvage.h"
#include "sim.h"
#include "torture.h"

#define COMMITS 60u
#define LAZY_COMMITS 4u
#define FRAMES 6u /* of one commit's entries each, the later ones first */
#define CALL_NS (60 * WEFT_SEC)
#define KEPT_COMMITS 6u              /* of a store that is there already */
#define COME_BACK_NS (60 * WEFT_SEC) /* longer than any wait of the store between two tries */

struct life {
    const tt_history *h;
    const tt_fault *fault;
    tt_life *out;
    tt_ledger ledger;
    wf_sim *sim;
    weft_rt *rt;
    wf_kv *memory, *kv; /* kv: memory, or what makes its reads fail */
    wf_store *store;
    weft_addr *addr, *sink;
    bool outage;           /* the disk fails for a while, whatever else does */
    bool keeps;            /* a store that is there already is kept          */
    uint8_t old_epoch[16]; /* of its tree, before it was copied              */
};

/* -- Answers ---------------------------------------------------------------------------------- */

/* Also what follows from a refusal: the parents of what comes next are not there, the tree is
 * not, the actor has ended. */
static bool is_explained(const struct life *l, weft_err err)
{
    switch (err) {
    case WEFT_OK:
    case WEFT_END: return true;
    case WEFT_NO_MEMORY: return l->fault->kind == TT_ALLOC;
    case WEFT_IO: return l->outage || l->fault->kind == TT_READS || l->fault->kind == TT_WRITES;
    case WEFT_CLOSED:
    case WEFT_DROPPED:
    case WEFT_CANCELED:
    case WEFT_NOT_FOUND:
    case WEFT_PENDING:
    case WEFT_TREE: return l->fault->nth > 0;
    default: return false;
    }
}

static weft_err answer(struct life *l, const char *what, weft_err err)
{
    if (err != WEFT_OK && err != WEFT_END) l->out->refused++;
    if (!is_explained(l, err) && l->out->why[0] == '\0')
        snprintf(l->out->why, sizeof l->out->why, "%s answered %s", what, weft_errname(err));
    return err;
}

static void arm(struct life *l)
{
    const tt_fault *f = l->fault;
    if (f->kind == TT_ALLOC) (void)wf_alloc_fail_at(f->nth, f->persistent);
}

/* The engine's faults are set once it is there. */
static void arm_engine(struct life *l)
{
    const tt_fault *f = l->fault;
    if (f->kind == TT_READS) kv_faulty_fail_at(l->kv, f->nth, WEFT_IO);
    if (f->kind == TT_WRITES) wf_kv_memory_fail_at(l->memory, f->nth, WEFT_IO, f->persistent);
}

/* Between the steps: a read that failed fails again at once if the fault is to last. */
static void next_step(struct life *l)
{
    if (l->fault->kind != TT_READS || !kv_faulty_met(l->kv)) return;
    l->out->met = true;
    if (l->fault->persistent) kv_faulty_fail_at(l->kv, 1, WEFT_IO);
}

static void disarm(struct life *l)
{
    uint64_t asked = wf_alloc_fail_at(0, 0);
    if (l->fault->kind == TT_ALLOC) {
        l->out->sites = asked;
        l->out->met = l->fault->nth > 0 && asked >= l->fault->nth;
    }
    if (l->kv == NULL) return;
    if (l->fault->kind == TT_READS) {
        if (kv_faulty_met(l->kv)) l->out->met = true;
        kv_faulty_fail_at(l->kv, 0, WEFT_OK);
    }
    wf_kv_memory_fail_at(l->memory, 0, WEFT_OK, false);
}

/* -- Who hears of frames and of growth --------------------------------------------------------- */

static weft_err sink_init(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(struct life **)state = arg;
    return WEFT_OK;
}

static weft_verdict sink_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct life *l = *(struct life **)state;
    (void)self;
    if (msg->kind == &wf_ingest_kind) {
        answer(l, "a frame", ((struct wf_ingest *)msg)->err);
        return WEFT_DONE;
    }
    wf_stored_clear((struct wf_stored *)msg); /* a bell: it goes back */
    return wf_send_system(l->addr, msg) == WEFT_OK ? WEFT_KEPT : WEFT_DONE;
}

static weft_err spawn_sink(struct life *l)
{
    weft_spec spec = {.name = "sink",
                      .arg = l,
                      .state_size = sizeof(struct life *),
                      .init = sink_init,
                      .handle = sink_handle};
    return weft_spawn(l->rt, &spec, &l->sink);
}

static void listen_to_growth(struct life *l)
{
    struct wf_stored *bell = wf_stored_create(l->sink);
    if (bell == NULL) answer(l, "a bell", WEFT_NO_MEMORY);
    else if (answer(l, "a bell", wf_send_system(l->addr, &bell->msg)) != WEFT_OK)
        weft_drop(&bell->msg);
}

/* -- Writing ------------------------------------------------------------------------------------- */

static weft_err call(struct life *l, const char *what, weft_request *req)
{
    weft_request *back = NULL;
    bool taken = false;
    if (req == NULL) return answer(l, what, WEFT_NO_MEMORY);
    weft_err err = weft_call(l->addr, req, wf_sim_now(l->sim) + CALL_NS, &back, &taken);
    if (back != NULL) weft_drop(&back->msg);
    else if (!taken) weft_drop(&req->msg);
    return answer(l, what, err);
}

static weft_err commit(struct life *l, uint32_t lane, uint32_t at, bool lazy)
{
    uint8_t *said = &l->ledger.said[lane][at];
    struct wf_commit *msg = tt_history_commit(l->h, lane, at);
    if (msg != NULL) msg->durability = lazy ? WF_WRITTEN : WF_SYNCED;
    next_step(l);
    *said = TT_ANNOUNCED;
    weft_err err = call(l, "a commit", msg == NULL ? NULL : &msg->req);
    if (err != WEFT_OK) *said = TT_LOOSE; /* what stood before the entry that failed is kept */
    else if (!lazy) *said = TT_ACKED;
    return err;
}

static void set_readers_and_record(struct life *l)
{
    weft_key keys[3] = {{{1}}, {{2}}, {{3}}};
    struct wf_follow *follow = wf_follow_create(&l->h->ids[0], keys, 3);
    if (follow != NULL) follow->follow = true;
    next_step(l);
    call(l, "a follow", follow == NULL ? NULL : &follow->req);
    struct wf_record_put *record = wf_record_create(100);
    if (record != NULL) {
        record->cf = WF_CF_PEER;
        record->key[0] = 0x90;
        record->key_len = 9;
        memset(record->value, 7, 100);
    }
    next_step(l);
    call(l, "a record", record == NULL ? NULL : &record->req);
}

/* The entries of one commit as a frame from a peer, entries without parents allowed. */
static void send_frame(struct life *l, uint32_t lane, uint32_t at, uint64_t n)
{
    uint32_t from = l->h->begins[lane][at], count = l->h->begins[lane][at + 1] - from;
    struct wf_ingest *frame = wf_ingest_create(count);
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) bytes += weft_buf_len(l->h->bufs[from + i]);
    if (frame == NULL || weft_buf_create(bytes, &frame->frame) != WEFT_OK) {
        answer(l, "a frame", WEFT_NO_MEMORY);
        if (frame != NULL) weft_drop(&frame->msg);
        return;
    }
    frame->results_to = weft_addr_get(l->sink);
    frame->conn = 1;
    frame->stream = 1;
    frame->n = n;
    frame->tree = l->h->ids[0];
    frame->raw = true;
    frame->source.peer.bytes[0] = 9;
    frame->has_mark = true;
    frame->mark.seq = n;
    uint8_t *to = weft_buf_data(frame->frame);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = (uint32_t)weft_buf_len(l->h->bufs[from + i]);
        memcpy(to, weft_buf_bytes(l->h->bufs[from + i]), len);
        frame->entries[i] = (struct wf_ingest_entry){.bytes = to, .len = len};
        frame->entries[i].id = l->h->ids[from + i];
        to += len;
    }
    l->ledger.said[lane][at] = TT_LOOSE;
    next_step(l);
    if (answer(l, "a frame", weft_send(l->addr, &frame->msg)) != WEFT_OK) weft_drop(&frame->msg);
}

static void write_all(struct life *l)
{
    listen_to_growth(l);
    commit(l, TT_ROOT, 0, false);
    set_readers_and_record(l);
    for (uint32_t i = 0; i < COMMITS; i++) commit(l, 0, i, false);
    for (uint32_t i = 0; i < LAZY_COMMITS; i++) commit(l, 2, i, true);
    for (uint32_t i = 0; i < FRAMES; i++) {
        send_frame(l, 1, FRAMES - 1 - i, i + 1);
        wf_sim_run_until(l->sim, wf_sim_now(l->sim) + WEFT_SEC / 100);
    }
    wf_sim_run_until(l->sim, wf_sim_now(l->sim) + WEFT_SEC);
}

/* -- Reading --------------------------------------------------------------------------------------- */

static weft_err ignore_child(void *arg, const weft_id *child, uint64_t seq)
{
    (void)arg, (void)child, (void)seq;
    return WEFT_OK;
}

static weft_err ignore_parent(void *arg, const weft_id *parent)
{
    (void)arg, (void)parent;
    return WEFT_OK;
}

static void read_one(struct life *l, uint64_t t, const wf_place *place)
{
    weft_buf *buf = NULL;
    wf_meta_brief brief;
    next_step(l);
    answer(l, "a get", wf_store_get_at(l->store, t, place, &buf));
    weft_buf_unref(buf);
    next_step(l);
    answer(l, "the parents", wf_store_parents(l->store, &place->id, &brief, ignore_parent, NULL));
    next_step(l);
    answer(l, "the children", wf_store_children(l->store, t, place->seq, ignore_child, NULL));
}

static void walk(struct life *l, uint64_t t)
{
    wf_gen_walk *gens = NULL;
    wf_place place;
    weft_err err = wf_gen_walk_create(l->store, t, 0, NULL, &gens);
    for (uint32_t i = 0; err == WEFT_OK && (err = wf_gen_walk_next(gens, &place)) == WEFT_OK; i++)
        if (i % 16 == 0) read_one(l, t, &place);
    wf_gen_walk_destroy(gens);
    answer(l, "a walk", err);
    next_step(l);
    wf_arr_walk *arrivals = NULL;
    wf_arrival arrival;
    err = wf_arr_walk_create(l->store, t, 0, &arrivals);
    while (err == WEFT_OK) err = wf_arr_walk_next(arrivals, &arrival);
    wf_arr_walk_destroy(arrivals);
    answer(l, "a walk of arrivals", err);
}

static void read_all(struct life *l)
{
    weft_id tips[8];
    size_t count;
    bool complete;
    uint8_t digest[32];
    wf_tree_info info;
    weft_err err = wf_store_tree(l->store, &l->h->ids[0], &info);
    if (answer(l, "the tree", err) != WEFT_OK) return;
    next_step(l);
    answer(l, "tips", wf_store_tips(l->store, info.t, tips, 8, &count, &complete));
    next_step(l);
    answer(l, "named tips",
           wf_store_named_tips(l->store, info.t, "main", tips, 8, &count, &complete));
    next_step(l);
    answer(l, "a digest", wf_store_root_digest(l->store, info.t, digest, &info));
    next_step(l);
    walk(l, info.t);
}

/* -- Keeping ---------------------------------------------------------------------------------------- */

static void fail(struct life *l, const char *what, weft_err err)
{
    if (l->out->why[0] == '\0')
        snprintf(l->out->why, sizeof l->out->why, "%s: %s", what, weft_errname(err));
}

static void look_over(struct life *l)
{
    wf_check_report r;
    next_step(l);
    weft_err err = answer(l, "a check", wf_store_check(l->store, false, &r));
    if (err == WEFT_OK && l->fault->kind == TT_ALLOC && wf_check_faults(&r) > 0)
        fail(l, "a check finds what is not there", WEFT_OK);
}

/* What is read is in the new store, or is told to be missing. */
static void salvage(struct life *l)
{
    static wf_salvage_report r; /* large */
    wf_tree_info info = {0};
    wf_kv *to = NULL;
    next_step(l);
    weft_err err = wf_kv_memory_open(&to);
    if (err == WEFT_OK) err = wf_salvage(l->kv, to, l->rt, NULL, &r);
    wf_kv_close(to);
    if (answer(l, "a salvage", err) != WEFT_OK) return;
    bool told = l->fault->kind == TT_READS && r.gaps + r.bad + r.orphans + r.refused > 0;
    if (wf_store_tree(l->store, &l->h->ids[0], &info) == WEFT_OK && r.kept != info.count && !told)
        fail(l, "a salvage loses something without a word", WEFT_OK);
}

/* The disk refuses a commit and is well again: the engine is opened again in place, and what
 * it holds is read anew. */
static void live_through_an_outage(struct life *l)
{
    next_step(l);
    wf_kv_memory_fail_at(l->memory, 1, WEFT_IO, true);
    l->outage = true;
    struct wf_commit *msg = tt_history_commit(l->h, 1, 0);
    l->ledger.said[1][0] = TT_LOOSE;
    uint32_t refused = l->out->refused;
    if (call(l, "a commit", msg == NULL ? NULL : &msg->req) == WEFT_OK)
        fail(l, "a commit that no disk took was acknowledged", WEFT_OK);
    l->out->refused = refused; /* the fault has no part in it */
    wf_kv_memory_fail_at(l->memory, 0, WEFT_OK, false);
    next_step(l);
    wf_sim_run_until(l->sim, wf_sim_now(l->sim) + COME_BACK_NS);
}

static void keep(struct life *l)
{
    look_over(l);
    salvage(l);
    for (uint32_t i = KEPT_COMMITS; i < 2 * KEPT_COMMITS; i++) commit(l, 0, i, false);
    if (l->fault->kind != TT_WRITES) live_through_an_outage(l); /* else that is the fault */
    commit(l, 2, 0, false);
    read_all(l);
    look_over(l);
}

/* Once the fault is gone the same process must commit again, after a while. */
static void come_back(struct life *l)
{
    if (l->addr == NULL) return; /* it never opened */
    wf_sim_run_until(l->sim, wf_sim_now(l->sim) + COME_BACK_NS);
    weft_err err = commit(l, TT_ROOT, 0, false); /* known already, in most lives */
    if (err == WEFT_OK) err = commit(l, 3, 0, false);
    if (err != WEFT_OK) fail(l, "it does not commit again", err);
}

/* -- A life and what is left of it -------------------------------------------------------------------- */

static weft_err make_engine(struct life *l)
{
    weft_err err = wf_kv_memory_open(&l->memory);
    if (err != WEFT_OK) return err;
    l->kv = l->fault->kind == TT_READS ? kv_faulty_create(l->memory) : l->memory;
    return WEFT_OK;
}

static weft_err open_store(struct life *l)
{
    weft_err err = WEFT_OK;
    if (l->kv == NULL) {
        err = make_engine(l);
        if (err == WEFT_OK) arm_engine(l);
    }
    return err == WEFT_OK ? wf_store_open(l->kv, l->rt, &l->store) : err;
}

static weft_err start(struct life *l)
{
    weft_err err = open_store(l);
    /* In every other run each commit has the disk waited for by the store's child. */
    struct wf_store_actor_options options = {
        .store = l->store, .sync = true, .herd = (uint32_t)(l->h->seed % 2)};
    if (err == WEFT_OK) err = wf_store_actor_spawn(l->rt, &options, &l->addr);
    if (err == WEFT_OK) err = spawn_sink(l);
    return err;
}

/* Ends the runtime: as one should, or by a crash that takes what was not synced. */
static void stop(struct life *l, bool crash)
{
    if (!crash) answer(l, "the stop", weft_rt_stop(l->rt, WEFT_NEVER));
    weft_addr_put(l->addr); /* the sink had it until here */
    weft_addr_put(l->sink);
    l->addr = NULL;
    l->sink = NULL;
    if (crash) wf_sim_kill(l->rt);
    else answer(l, "the end", weft_rt_destroy(l->rt));
    l->rt = NULL;
    if (l->store != NULL) wf_store_detach(l->store);
    l->store = NULL;
}

/* A store as a copy of it is found: its next opening gives it new epochs. */
static void make_copy(struct life *l)
{
    wf_tree_info info = {0};
    weft_err err = make_engine(l);
    if (err == WEFT_OK) err = start(l);
    if (err == WEFT_OK) err = commit(l, TT_ROOT, 0, false);
    for (uint32_t i = 0; err == WEFT_OK && i < KEPT_COMMITS; i++) err = commit(l, 0, i, false);
    if (err == WEFT_OK) err = wf_store_tree(l->store, &l->h->ids[0], &info);
    memcpy(l->old_epoch, info.epoch, sizeof l->old_epoch);
    stop(l, false);
    if (err == WEFT_OK) err = wf_copy_mark(l->memory);
    if (err == WEFT_OK) err = wf_sim_rt_create(l->sim, &l->rt);
    if (err != WEFT_OK) fail(l, "the store that is to be kept", err);
    arm_engine(l);
}

static bool has_new_epoch(struct life *l)
{
    wf_tree_info info;
    return wf_store_tree(l->store, &l->h->ids[0], &info) == WEFT_OK &&
           memcmp(info.epoch, l->old_epoch, sizeof info.epoch) != 0;
}

/* Opens what is left, without faults now, and holds it against the ledger. */
static void judge(struct life *l)
{
    tt_verdict v;
    if (l->memory != NULL) wf_kv_memory_crash(l->memory, 0);
    weft_err err = wf_sim_rt_create(l->sim, &l->rt);
    if (err == WEFT_OK) err = open_store(l);
    if (err != WEFT_OK) fail(l, "it does not open again", err);
    else if ((err = tt_judge(l->store, l->h, &l->ledger, true, &v)) != WEFT_OK)
        fail(l, "it cannot be judged", err);
    else if (!tt_verdict_good(&v) && l->out->why[0] == '\0')
        tt_verdict_text(&v, l->out->why, sizeof l->out->why);
    else l->out->acked = v.acked;
    if (err == WEFT_OK && l->keeps && !has_new_epoch(l))
        fail(l, "a copy has the epochs of its original", WEFT_OK);
    stop(l, false);
}

bool tt_script_live(const tt_history *h, const tt_fault *fault, bool keeps, tt_life *out)
{
    static struct life life; /* the ledger is large */
    memset(out, 0, sizeof *out);
    memset(&life, 0, sizeof life);
    struct life *l = &life;
    l->h = h;
    l->fault = fault;
    l->out = out;
    if (wf_sim_create(1, &l->sim) != WEFT_OK || wf_sim_rt_create(l->sim, &l->rt) != WEFT_OK)
        return fail(l, "no simulator", WEFT_NO_MEMORY), false;
    l->keeps = keeps;
    if (keeps) make_copy(l);
    arm(l);
    if (l->rt != NULL && answer(l, "the opening", start(l)) == WEFT_OK) {
        if (keeps) {
            keep(l);
        } else {
            write_all(l);
            read_all(l);
        }
    }
    struct wf_store_counters counters = {0};
    if (l->store != NULL) wf_store_counters_read(l->store, &counters);
    out->sites = counters.batches + LAZY_COMMITS + 1; /* syncs, and the record of the format */
    if (h->seed % 2 != 0) out->sites += counters.synced;
    disarm(l);
    come_back(l);
    stop(l, fault->nth % 2 == 0);
    judge(l);
    wf_kv_close(l->kv);
    wf_sim_destroy(l->sim);
    return out->why[0] == '\0';
}
