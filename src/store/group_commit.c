/* SPDX-License-Identifier: Apache-2.0
 * group_commit.c - the group commit: when the open batch is written, who waits for the disk,
 * and who is answered then.
 * Called by: the store actor's rooms (one thread). May touch: the batch, the engine (writes),
 * a child that waits for the disk. Never: answers OK before it is true. */
#include "alloc.h"
#include "block.h"
#include "desk.h"
#include "log.h"
#include "remake.h"

/* Waiting for the disk on another thread costs two hand-overs between threads, and saves the
 * work that is done meanwhile: to answer those who waited, and to take in the next commits. */
#define HANDOVERS_NS 60000u
#define WORK_NS 5000u /* of one waiter, about */

const weft_kind wf_flush_kind = {
    .id = 0x0500, .name = "store.flush", .size = sizeof(weft_msg), .drop = weft_free_msg};

/* -- Answers -------------------------------------------------------------------------------- */

bool wf_desk_reserve(struct wf_desk *desk)
{
    uint32_t given = desk->answers.count + desk->owed.count + desk->written.count;
    return wf_gate_reserve(&desk->gate, given + desk->told.count + 1) &&
           wf_answers_reserve(&desk->answers, 1);
}

void wf_desk_answer_take(struct wf_desk *desk, weft_msg *msg, weft_err err, bool sync)
{
    WF_ASSERT(desk->answers.count < desk->answers.room);
    desk->answers.list[desk->answers.count++] = (struct wf_answer){
        .msg = msg, .err = err, .sync = sync};
    if (sync) desk->must_sync = true;
}

static void give_answer(struct wf_desk *desk, struct wf_answer *answer, weft_err failure)
{
    if (failure != WEFT_OK) {
        answer->err = failure;
        if (answer->msg->kind == &wf_commit_kind) ((struct wf_commit *)answer->msg)->applied = 0;
    }
    wf_gate_answer(desk, answer);
}

/* Replies run no code of ours, so nothing is added meanwhile. */
static void give_answers(struct wf_desk *desk, struct wf_answers *answers, weft_err failure)
{
    for (uint32_t i = 0; i < answers->count; i++) give_answer(desk, &answers->list[i], failure);
    answers->count = 0;
}

/* Those who need not wait for the disk are answered now, the others are owed an answer: in `to`,
 * where there is room. */
static void owe_answers(struct wf_desk *desk, struct wf_answers *to)
{
    WF_ASSERT(desk->answers.count <= to->room - to->count);
    for (uint32_t i = 0; i < desk->answers.count; i++) {
        struct wf_answer *answer = &desk->answers.list[i];
        if (answer->sync) to->list[to->count++] = *answer;
        else give_answer(desk, answer, WEFT_OK);
    }
    desk->answers.count = 0;
}

void wf_desk_group_fini(struct wf_desk *desk)
{
    wf_answers_fini(&desk->answers, 0);
    wf_answers_fini(&desk->owed, 0);
    wf_answers_fini(&desk->written, 0);
    wf_gate_fini(&desk->gate);
    wf_answers_fini(&desk->told, 0);
    if (desk->flush != NULL) weft_drop(desk->flush);
    if (desk->sync_req != NULL) weft_drop(&desk->sync_req->msg);
    weft_addr_put(desk->syncer);
}

/* -- The disk is waited for by the child ------------------------------------------------------ */

static void on_synced(weft_self *self, void *state, weft_err err, weft_request *req, void *arg);

static bool begin_sync(struct wf_desk *desk)
{
    weft_request *req = desk->sync_req;
    if (weft_ask(desk->self, desk->syncer, req, WEFT_NEVER, on_synced, NULL, NULL) != WEFT_OK)
        return false;
    desk->sync_req = NULL;
    desk->syncing = true;
    desk->store->sync_mark = desk->store->published;
    return true;
}

/* -- Writing ------------------------------------------------------------------------------------ */

static void on_lazy(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

/* Is something written and not durable? */
static bool is_lazy(const struct wf_desk *desk)
{
    return desk->store->durable != desk->store->published;
}

static bool has_work(const struct wf_desk *desk)
{
    return desk->answers.count > 0 || wf_writer_is_open(desk->store);
}

void wf_desk_ask_flush(struct wf_desk *desk)
{
    if (desk->flush == NULL) return;
    /* FULL: then more messages are queued, and each of them tries again. */
    if (weft_send(weft_self_addr(desk->self), desk->flush) == WEFT_OK) desk->flush = NULL;
}

/* Of a write from its beginning until the disk had it. */
static void note_sync(struct wf_desk *desk, weft_ns took)
{
    desk->sync_ns = desk->sync_ns == 0 ? took : desk->sync_ns - desk->sync_ns / 8 + took / 8;
}

/* Nothing to write, but what was written before may have been promised. */
static weft_err flush_engine(struct wf_desk *desk, bool sync)
{
    weft_err err = WEFT_OK;
    if (wf_writer_is_open(desk->store)) err = wf_writer_flush(desk->store, sync);
    else if (sync && is_lazy(desk)) err = wf_kv_sync(desk->store->kv);
    else return WEFT_OK;
    if (sync) note_sync(desk, weft_rt_now(desk->store->rt) - desk->sync_began);
    return err;
}

/* What was written is durable soon: by the sync that is under way, the one after that, or this
 * timer. */
static void mind_lazy(struct wf_desk *desk)
{
    if (desk->syncing || desk->failed != WEFT_OK || !is_lazy(desk))
        weft_timer_stop(desk->self, &desk->lazy_timer);
    else if (desk->lazy_timer.heap_at == 0)
        weft_timer_set(desk->self, &desk->lazy_timer, weft_now(desk->self) + WEFT_LAZY_SYNC_NS, 0,
                       on_lazy);
}

static void is_durable(struct wf_desk *desk)
{
    wf_store_settle(desk->store, desk->store->published);
    mind_lazy(desk);
}

static void was_written(struct wf_desk *desk, bool wrote, bool sync)
{
    if (wrote) desk->wait = 0;
    wf_bells_gather(&desk->bells, desk->store);
    if (sync || !desk->sync) is_durable(desk);
    else if (wrote) mind_lazy(desk);
}

static void was_lost(struct wf_desk *desk, weft_err err)
{
    desk->lost++;
    desk->lost_err = err;
    wf_desk_break_streams(desk);
    wf_desk_shelf_failed(desk, err);
    mind_lazy(desk); /* what was written before is still owed */
}

/* -- The next batch gathers while the disk is waited for ------------------------------------------- */

/* Is it worth it? In the simulator nothing takes time, so only who asks for it has it. */
static bool is_herd(const struct wf_desk *desk)
{
    uint32_t waiters = desk->answers.count;
    if (desk->herd != 0) return waiters >= desk->herd;
    return desk->sync_ns > 2 * HANDOVERS_NS && waiters > HANDOVERS_NS / WORK_NS;
}

/* So many wait for the open batch that it need not be this thread that waits for the disk. */
static bool is_worth_it(const struct wf_desk *desk)
{
    return desk->must_sync && desk->sync && desk->failed == WEFT_OK &&
           desk->remake_phase != WF_REMAKE_DUE && /* that waits for a moment without a sync */
           wf_writer_is_open(desk->store) && is_herd(desk);
}

static bool may_overlap(struct wf_desk *desk)
{
    return is_worth_it(desk) && !desk->syncing && wf_desk_syncer_is_here(desk) &&
           wf_answers_reserve(&desk->owed, desk->answers.count);
}

/* One batch, so that each has its own sync; what comes then gathers on. And not before as many
 * wait for it as for the disk: a smaller one costs as much to make, and more soon come. */
static bool may_write_ahead(struct wf_desk *desk)
{
    bool none = desk->store->published == desk->store->sync_mark;
    return is_worth_it(desk) && desk->syncing && none && desk->answers.count >= desk->owed.count &&
           wf_answers_reserve(&desk->written, desk->answers.count);
}

bool wf_desk_may_flush(struct wf_desk *desk)
{
    return has_work(desk) && (!desk->syncing || may_write_ahead(desk));
}

/* Has the child make durable what was written; where that cannot be, waits for the disk here. */
static weft_err sync_beside(struct wf_desk *desk, bool *beside)
{
    *beside = begin_sync(desk);
    if (*beside) {
        mind_lazy(desk);
        return WEFT_OK;
    }
    give_answers(desk, &desk->told, WEFT_OK); /* who came before is answered before */
    weft_err err = wf_kv_sync(desk->store->kv);
    if (err == WEFT_OK) is_durable(desk);
    return err;
}

static void give_owed(struct wf_desk *desk, weft_err err)
{
    give_answers(desk, &desk->owed, err);
    give_answers(desk, &desk->written, err);
    desk->written_commits = 0;
}

/* Whoever comes later is not answered first: what the child waits for, or would have next, is
 * waited for here. */
static void settle(struct wf_desk *desk)
{
    if (desk->owed.count == 0 && desk->written.count == 0) return;
    weft_err err = desk->failed == WEFT_OK ? wf_kv_sync(desk->store->kv) : desk->failed;
    if (err == WEFT_OK) is_durable(desk);
    else if (desk->failed == WEFT_OK) was_lost(desk, err);
    give_owed(desk, err);
}

enum way {
    HERE,   /* this thread waits for the disk                        */
    BESIDE, /* the child does                                        */
    AHEAD   /* the child will, once the sync that it waits for ended */
};

/* Writes the open batch. The engine says how it went. */
static weft_err write_open(struct wf_desk *desk, enum way way)
{
    wf_store *store = desk->store;
    if (desk->failed != WEFT_OK) return desk->failed;
    bool sync = desk->must_sync && desk->sync && way == HERE;
    bool wrote = wf_writer_is_open(store);
    uint64_t commits = wf_counter_get(&store->counters.commits);
    if (way != AHEAD) desk->sync_began = weft_rt_now(store->rt);
    weft_err err = flush_engine(desk, sync);
    commits = wf_counter_get(&store->counters.commits) - commits;
    if (way == AHEAD) desk->written_commits += commits;
    else desk->sync_commits = commits;
    if (err == WEFT_OK) was_written(desk, wrote, sync);
    wf_gate_look(desk); /* before an answer of what was just published */
    return err;
}

static void flush(struct wf_desk *desk, enum way way)
{
    desk->flush_due = desk->phase == WF_DESK_ENDING;
    if (way != AHEAD) settle(desk);
    wf_store *store = desk->store;
    bool beside = way != HERE;
    weft_err err = write_open(desk, way);
    if (err == WEFT_OK && way == BESIDE) err = sync_beside(desk, &beside);
    if (err != WEFT_OK && desk->failed == WEFT_OK) was_lost(desk, err);
    /* Where the engine was not touched only this batch is lost: memory was short, the disk is
     * nearly full, what was read for it is damaged. */
    weft_err engine = err == WEFT_OK || desk->failed != WEFT_OK ? WEFT_OK : wf_kv_failed(store->kv);
    if (engine != WEFT_OK) { /* before an answer makes anybody ask again */
        desk->failed = engine;
        settle(desk);
    }
    if (err == WEFT_OK && beside) owe_answers(desk, way == AHEAD ? &desk->written : &desk->owed);
    else give_answers(desk, &desk->answers, err);
    desk->must_sync = false;
    wf_writer_clear(store);
    if (engine != WEFT_OK) wf_desk_stop(desk, engine);
    else if (err == WEFT_CORRUPT && desk->failed == WEFT_OK) wf_desk_remake(desk);
    else if (err == WEFT_OK) wf_bells_ring(&desk->bells, store);
    wf_desk_remake_noted(desk);
    wf_counter_set(&store->counters.pending_now, desk->pool.count);
    wf_counter_set(&store->counters.pending_bytes, desk->pool.bytes);
}

void wf_desk_flush(struct wf_desk *desk) { flush(desk, HERE); }

void wf_desk_flush_due(struct wf_desk *desk)
{
    if (!desk->syncing || desk->phase != WF_DESK_TAKING)
        flush(desk, may_overlap(desk) ? BESIDE : HERE);
    else if (may_write_ahead(desk)) flush(desk, AHEAD);
    /* else on_synced will */
}

static void on_lazy(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    (void)timer;
    (void)missed;
    desk->self = self;
    desk->must_sync = true;
    wf_desk_flush(desk);
}

/* As flush.c counts a write that waits for the disk itself. */
static void count_sync(struct wf_desk *desk)
{
    wf_store *store = desk->store;
    weft_ns took = weft_rt_now(store->rt) - desk->sync_began;
    note_sync(desk, took);
    wf_counter_add(&store->counters.synced, 1);
    wf_counter_add(&store->counters.synced_commits, desk->sync_commits);
    wf_counter_add(&store->counters.sync_ns, took);
}

/* Nobody knows what the disk has of the batch, nor of those after it; and the open one cannot be
 * written either. */
static void sync_failed(struct wf_desk *desk, weft_err err)
{
    was_lost(desk, err);
    give_owed(desk, err);
    weft_err engine = wf_kv_failed(desk->store->kv);
    if (engine == WEFT_OK) return; /* it is tried again soon */
    if (has_work(desk)) flush(desk, HERE);
    wf_desk_stop(desk, engine);
}

/* What was written while the disk was busy is next; else what has gathered. */
static void sync_next(struct wf_desk *desk)
{
    if (desk->failed != WEFT_OK) return;
    if (is_lazy(desk)) {
        wf_answers_swap(&desk->written, &desk->owed);
        desk->sync_began = weft_rt_now(desk->store->rt);
        desk->sync_commits = desk->written_commits;
        desk->written_commits = 0;
        if (!begin_sync(desk)) {
            give_answers(desk, &desk->told, WEFT_OK);
            settle(desk);
        }
        mind_lazy(desk);
    } else if (may_overlap(desk)) {
        flush(desk, BESIDE);
    }
}

static void on_synced(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    (void)arg;
    desk->self = self;
    desk->syncing = false;
    if (req == NULL) return; /* this actor ends, and so it flushes once more */
    desk->sync_req = req;
    bool open = desk->store->durable < desk->store->sync_mark; /* not settled meanwhile */
    WF_ASSERT(open || desk->owed.count == 0);
    bool over = err != WEFT_OK && wf_kv_failed(desk->store->kv) != WEFT_OK;
    if (over || (open && err != WEFT_OK)) {
        if (over || desk->owed.count > 0 || desk->written.count > 0) sync_failed(desk, err);
        else mind_lazy(desk); /* nobody waited for it, so it is still owed */
    } else {
        if (open) {
            count_sync(desk);
            wf_store_settle(desk->store, desk->store->sync_mark);
        }
        /* The disk first: the answers are given while it works. */
        wf_answers_swap(&desk->owed, &desk->told);
        sync_next(desk);
        wf_bells_ring(&desk->bells, desk->store);
        give_answers(desk, &desk->told, WEFT_OK);
    }
    if (wf_desk_may_flush(desk)) wf_desk_ask_flush(desk);
}
