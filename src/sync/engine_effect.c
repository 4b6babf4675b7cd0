/* SPDX-License-Identifier: Apache-2.0
 * engine_effect.c - carries out what a session decided: look-ups, jobs, frames.
 * Called by: engine_session.c. May touch: messages to reader, transport, queue.
 * Never: decides. Each asked thing comes back as one event of the session. */
#include <string.h>

#include "access.h"
#include "alloc.h"
#include "engine_state.h"
#include "log.h"

typedef const struct wf_session_event event;
typedef const struct wf_session_effect effect;

static bool is_exact(const struct esession *es) { return (es->s.flags & WF_OPEN_EXACT) != 0; }

/* Asks on behalf of a session, which lives until the answer. */
static weft_err ask(struct engine *e, struct esession *es, weft_addr *to, weft_request *req,
                    weft_on_reply fn)
{
    if (req == NULL) return WEFT_NO_MEMORY;
    es->refs++;
    if (wf_e_ask(e, to, req, fn, es)) return WEFT_OK;
    es->refs--;
    return WEFT_CLOSED;
}

/* The end of every answer: feeds the session, then lets go. */
static void answer(struct engine *e, struct esession *es, event *ev, weft_request *req)
{
    e->order++;
    wf_es_run(e, es, ev, NULL);
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_es_put(e, es);
}

/* -- Look-ups ------------------------------------------------------------------------ */

static void on_summary(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_look *look = (const struct wf_look *)req;
    if (look != NULL) wf_lean_looked(state, arg, look->shelved);
    answer(state, arg,
           &(event){.kind = WF_E_LOOKED, .err = err, .ours = look == NULL ? NULL : &look->ours},
           req);
}

static void on_root(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_look *look = (const struct wf_look *)req;
    if (look != NULL) ((struct esession *)arg)->in_vain = look->shelved > 0;
    answer(state, arg,
           &(event){.kind = WF_E_ROOT, .err = err, .ours = look == NULL ? NULL : &look->ours}, req);
}

static void on_plan(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_look *look = (const struct wf_look *)req;
    if (look != NULL) wf_lean_looked(state, arg, look->shelved);
    answer(state, arg,
           &(event){.kind = WF_E_PLANNED,
                    .err = err,
                    .ours = look == NULL ? NULL : &look->ours,
                    .plan = look == NULL ? WF_PLAN_ASK : look->plan,
                    .all_known = look != NULL && look->all_known,
                    .cursor_fits = look != NULL && look->cursor_fits},
           req);
}

static void on_known(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_look *look = (const struct wf_look *)req;
    struct wf_bits bits = {0};
    if (look != NULL) {
        bits.count = look->bits_count;
        bits.bits = look->bits;
    }
    answer(state, arg, &(event){.kind = WF_E_KNOWN, .err = err, .bits = &bits}, req);
}

static void on_match(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_look *look = (const struct wf_look *)req;
    const struct esession *es = arg;
    struct wf_bits bits = {0};
    wf_e_release(state, es->key.conn, es->s.stream, es->page_bytes);
    if (look != NULL) {
        bits.ref = look->ids.ref;
        bits.count = look->bits_count;
        bits.bits = look->bits;
    }
    answer(state, arg, &(event){.kind = WF_E_MATCHED, .err = err, .bits = &bits}, req);
}

static weft_err look(struct engine *e, struct esession *es, enum wf_look_op op, weft_on_reply fn,
                     const struct wf_tp_frame *page)
{
    struct wf_look *req = wf_look_create(op);
    if (req == NULL) return WEFT_NO_MEMORY;
    req->peer = es->s.peer;
    req->tree = es->s.tree;
    req->exact = is_exact(es);
    req->lean = es->looked ? es->leans : wf_lean_may(e, es);
    memcpy(req->salt, es->salt, sizeof req->salt);
    req->theirs = es->s.theirs;
    if (page != NULL) {
        weft_err err = wf_ids_decode(page->bytes, page->len, &req->ids);
        WF_ASSERT(err == WEFT_OK); /* engine_frame.c decoded it a moment ago */
        req->page = weft_buf_ref(page->buf);
        es->page_bytes = page->frame_bytes; /* one at a time: tree_session.c sees to it */
    }
    weft_err err = ask(e, es, e->table->reader, &req->req, fn);
    if (page != NULL && err == WEFT_OK) e->passed_on = true;
    return err;
}

/* What is told of the tree is looked up once all that earlier streams brought of it is
 * applied: else the peer would send that again. */
static weft_err first_look(struct engine *e, struct esession *es)
{
    return es->s.opener ? look(e, es, WF_LOOK_SUMMARY, on_summary, NULL)
                        : look(e, es, WF_LOOK_PLAN, on_plan, NULL);
}

static void on_settled(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct esession *es = arg;
    e->order++;
    if (err == WEFT_OK && es->s.phase != WF_S_ENDED) err = first_look(e, es);
    if (err != WEFT_OK) wf_es_stop(e, es, err, true, wf_wire_code_of(err));
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_es_put(e, es);
}

static weft_err settle(struct engine *e, struct esession *es)
{
    struct wf_q_settle *req = wf_q_new(&wf_q_settle_kind);
    if (req == NULL) return WEFT_NO_MEMORY;
    req->peer = es->s.peer;
    req->tree = es->s.tree;
    return ask(e, es, e->table->queue, &req->req, on_settled);
}

static weft_err look_summary(struct engine *e, struct esession *es)
{
    /* Entries by themselves: nothing of the tree is told. */
    if (es->s.flags & WF_OPEN_RAW) return look(e, es, WF_LOOK_SUMMARY, on_summary, NULL);
    return settle(e, es);
}

static weft_err look_plan(struct engine *e, struct esession *es)
{
    return es->s.opener ? look(e, es, WF_LOOK_PLAN, on_plan, NULL) : settle(e, es);
}

/* -- Streams ------------------------------------------------------------------------- */

/* The first time in the lane of the store's results, which must not come before it: the queue may
 * be late for long, and passes over what is for no stream that it knows. What the peer says it
 * holds comes behind the ACKs of earlier streams, which it replaces. */
static void tell_queue(struct engine *e, const struct esession *es, bool first)
{
    const struct wf_session *s = &es->s;
    struct wf_q_stream *msg = wf_q_new(&wf_q_stream_kind);
    if (msg == NULL) return; /* no ACK goes out: the peer's deadline ends the session */
    msg->conn = es->key.conn;
    msg->stream = s->stream;
    msg->open = true;
    msg->peer = s->peer;
    msg->tree = s->tree;
    msg->our_seq = s->ours.seq;
    msg->tips_told = s->ours.tips_complete && (s->flags & WF_OPEN_RAW) == 0;
    bool fits = s->theirs.has_cursor && !s->theirs.cursor.partial &&
                s->theirs.cursor.seq <= s->ours.seq &&
                memcmp(s->theirs.cursor.epoch, s->ours.epoch, sizeof s->ours.epoch) == 0;
    msg->has_peer_seq = !first && (s->flags & WF_OPEN_RAW) == 0;
    msg->peer_seq = fits ? s->theirs.cursor.seq : 0;
    if (first) wf_e_send_system(e, e->table->queue, &msg->msg);
    else wf_e_send(e, e->table->queue, &msg->msg);
}

/* The queue waits for no end of a stream that transport has never taken. */
static void tell_refused(struct engine *e, const struct esession *es)
{
    struct wf_q_stream *msg = wf_q_new(&wf_q_stream_kind);
    if (msg == NULL) return;
    msg->conn = es->key.conn;
    msg->stream = es->s.stream;
    msg->refused = true;
    wf_e_send(e, e->table->queue, &msg->msg);
}

static void on_registered(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    if (err != WEFT_OK) tell_refused(state, arg);
    answer(state, arg, &(event){.kind = WF_E_REGISTERED, .err = err}, req);
}

/* What this session was told of the tree, and tells, is about the one of this number. 0: there is
 * none; one that no tree has: it was removed since and is taken up again. */
static uintptr_t number_of(struct engine *e, const struct esession *es)
{
    static const uint8_t untold[sizeof es->s.ours.epoch];
    const uint8_t *epoch = es->s.ours.epoch;
    wf_tree_info info;
    if (wf_store_tree(e->table->wf_store, &es->s.tree, &info) != WEFT_OK) return 0;
    bool same = memcmp(epoch, untold, sizeof untold) == 0 ||
                memcmp(epoch, info.epoch, sizeof info.epoch) == 0;
    return same ? (uintptr_t)info.t : UINTPTR_MAX;
}

static weft_err do_register(struct engine *e, struct esession *es)
{
    struct wf_tp_stream *req = wf_tp_new(&wf_tp_stream_kind);
    if (req == NULL) return WEFT_NO_MEMORY;
    tell_queue(e, es, true);
    if (!es->s.opener) tell_queue(e, es, false); /* which knows theirs from OPEN */
    es->streaming = true;
    req->conn = es->key.conn;
    req->stream = es->s.stream;
    req->open = true;
    req->cookie_id = es->s.tree;
    req->cookie_bit = es->leans;
    req->cookie = (void *)number_of(e, es);
    weft_err err = ask(e, es, e->table->transport, &req->req, on_registered);
    if (err != WEFT_OK) tell_refused(e, es);
    return err;
}

/* -- Who the peer is, once it may leave a trace -------------------------------------- */

static void on_ensured(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct esession *es = arg;
    e->order++;
    if (err == WEFT_OK) wf_econn_registered(e, es->conn);
    if (err == WEFT_BLOCKED) wf_econn_close(e, es->conn, WEFT_BLOCKED, "blocked");
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_es_put(e, es);
}

static weft_err do_authorised(struct engine *e, struct esession *es)
{
    struct wf_peer_req *ensure = wf_peer_req_create(WF_PEER_ENSURE);
    struct wf_peer_req *relate = wf_peer_req_create(WF_PEER_RELATE);
    if (ensure == NULL || relate == NULL) {
        if (ensure != NULL) weft_drop(&ensure->req.msg);
        if (relate != NULL) weft_drop(&relate->req.msg);
        return WEFT_NO_MEMORY;
    }
    ensure->peer = relate->peer = es->s.peer;
    ensure->came = true;
    ensure->unnamed = relate->unnamed = !wf_access_is_named(e->table, &es->s.tree, &es->s.peer);
    relate->tree = es->s.tree;
    /* Both are handled in this order; what becomes of the relation is told by CHANGED. */
    weft_err err = ask(e, es, e->table->peers, &ensure->req, on_ensured);
    if (err == WEFT_OK) wf_e_send(e, e->table->peers, &relate->req.msg);
    else weft_drop(&relate->req.msg);
    return err;
}

/* -- Frames -------------------------------------------------------------------------- */

static weft_err send(struct engine *e, const struct esession *es, weft_buf *frame)
{
    if (frame == NULL) return WEFT_NO_MEMORY;
    wf_e_control(e, es->key.conn, es->s.stream, frame);
    return WEFT_OK;
}

static void tell_started(struct engine *e, const struct esession *es)
{
    if (es->s.flags & WF_OPEN_RAW) return;
    wf_e_event(e,
               &(weft_event){.kind = WEFT_EV_SYNC_STARTED, .tree = es->s.tree, .peer = es->s.peer});
}

static weft_err send_open(struct engine *e, const struct esession *es)
{
    struct wf_open open = {.stream = es->s.stream, .tree = es->s.tree, .flags = es->s.flags};
    if ((open.flags & WF_OPEN_RAW) == 0) open.own = es->s.ours;
    tell_started(e, es);
    wf_prove_before(e, es->conn, &es->s.tree, es->s.stream);
    return send(e, es, wf_open_encode(&open));
}

static weft_err send_state(struct engine *e, const struct esession *es, enum wf_plan plan)
{
    struct wf_state state = {.stream = es->s.stream, .flags = es->s.flags, .plan = plan};
    if ((state.flags & WF_OPEN_RAW) == 0) state.own = es->s.ours;
    tell_started(e, es);
    return send(e, es, wf_state_encode(&state));
}

static weft_err send_bits(struct engine *e, const struct esession *es, event *ev, effect *x)
{
    struct wf_bits bits = {
        .stream = es->s.stream, .ref = x->round, .count = ev->bits->count, .bits = ev->bits->bits};
    return send(e, es, wf_bits_encode(&bits));
}

static weft_err send_done(struct engine *e, const struct esession *es, event *ev, effect *x)
{
    const struct wf_session *s = &es->s;
    const struct wf_summary *root = x->own ? &s->ours : ev->ours;
    struct wf_done done = {.stream = s->stream,
                           .round = 1,
                           .mark = {.seq = s->ours.seq},
                           .count = root->count,
                           .clean = x->clean};
    memcpy(done.mark.epoch, s->ours.epoch, sizeof done.mark.epoch);
    memcpy(done.mark.id8, s->ours.id8, sizeof done.mark.id8);
    memcpy(done.root, root->root, sizeof done.root);
    return send(e, es, wf_done_encode(&done));
}

static weft_err send_want(struct engine *e, const struct esession *es,
                          const struct wf_q_applied *applied)
{
    struct wf_want want = {.stream = es->s.stream,
                           .count = applied->missing_count,
                           .ids = (const uint8_t *)applied->missing};
    return send(e, es, wf_want_encode(&want));
}

/* -- Jobs ---------------------------------------------------------------------------- */

static void on_job(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_job *job = (const struct wf_job *)req;
    ((struct esession *)arg)->jobs--;
    ((struct esession *)arg)->bytes_sent += job == NULL ? 0 : job->bytes;
    answer(state, arg,
           &(event){.kind = WF_E_JOB_ENDED, .err = err, .entries = job == NULL ? 0 : job->entries},
           req);
}

static void on_fetched(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_job *job = (const struct wf_job *)req;
    ((struct esession *)arg)->jobs--;
    ((struct esession *)arg)->bytes_sent += job == NULL ? 0 : job->bytes;
    answer(state, arg,
           &(event){.kind = WF_E_FETCHED, .err = err, .entries = job == NULL ? 0 : job->entries},
           req);
}

static struct wf_job *new_job(const struct esession *es, enum wf_job_op op)
{
    const struct wf_session *s = &es->s;
    struct wf_job *job = wf_job_create(op);
    if (job == NULL) return NULL;
    job->conn = es->key.conn;
    job->stream = s->stream;
    job->peer = s->peer;
    job->tree = s->tree;
    job->seen = s->seen;
    job->exact = is_exact(es);
    memcpy(job->salt, es->salt, sizeof job->salt);
    return job;
}

static weft_err start_job(struct engine *e, struct esession *es)
{
    const struct wf_session *s = &es->s;
    struct wf_job *job = new_job(es, s->job);
    if (job == NULL) return WEFT_NO_MEMORY;
    job->cursor = s->theirs.cursor;
    job->skip_source = wf_session_skips_source(s);
    memcpy(job->peer_epoch, s->theirs.epoch, sizeof job->peer_epoch);
    job->upto_seq = s->ours.seq;
    memcpy(job->upto_id8, s->ours.id8, sizeof job->upto_id8);
    job->theirs = s->theirs;
    weft_err err = ask(e, es, e->table->reader, &job->req, on_job);
    if (err == WEFT_OK) es->jobs++;
    return err;
}

static weft_err start_fetch(struct engine *e, struct esession *es, const struct wf_tp_frame *f)
{
    struct wf_want want;
    weft_err err = wf_want_decode(f->bytes, f->len, &want);
    struct wf_job *job = err == WEFT_OK ? new_job(es, WF_JOB_FETCH) : NULL;
    if (job == NULL) return WEFT_NO_MEMORY;
    job->wanted = wf_memdup(want.ids, (size_t)want.count * WEFT_ID_BYTES);
    if (job->wanted == NULL) {
        weft_drop(&job->req.msg);
        return WEFT_NO_MEMORY;
    }
    job->wanted_count = want.count;
    err = ask(e, es, e->table->reader, &job->req, on_fetched);
    if (err == WEFT_OK) es->jobs++;
    return err;
}

static weft_err pass_bits(struct engine *e, const struct esession *es, const struct wf_bits *bits,
                          const struct wf_tp_frame *f)
{
    struct wf_job_bits *msg = (struct wf_job_bits *)weft_new(&wf_job_bits_kind);
    if (msg == NULL) return WEFT_NO_MEMORY;
    msg->conn = es->key.conn;
    msg->stream = es->s.stream;
    msg->frame_bytes = f->frame_bytes;
    msg->ref = bits->ref;
    msg->count = bits->count;
    e->passed_on = true;
    memcpy(msg->bits, bits->bits, (bits->count + 7u) / 8u);
    wf_counter_add(&e->table->counters->round_trips, 1);
    wf_e_send(e, e->table->reader, &msg->msg);
    return WEFT_OK;
}

/* -- By the queue -------------------------------------------------------------------- */

static weft_err go_live(struct engine *e, const struct esession *es)
{
    const struct wf_session *s = &es->s;
    struct wf_q_live *msg = wf_q_new(&wf_q_live_kind);
    if (msg == NULL) return WEFT_NO_MEMORY;
    msg->conn = es->key.conn;
    msg->stream = s->stream;
    msg->peer = s->peer;
    msg->tree = s->tree;
    msg->from.seq = s->ours.seq;
    memcpy(msg->from.epoch, s->ours.epoch, sizeof msg->from.epoch);
    memcpy(msg->from.id8, s->ours.id8, sizeof msg->from.id8);
    memcpy(msg->peer_epoch, s->theirs.epoch, sizeof msg->peer_epoch);
    /* All that they told is here by now, also what was unknown when ids were compared. */
    msg->tips_count = s->heard.tips_count;
    msg->tip_bytes = s->heard.tip_bytes;
    memcpy(msg->tips, s->heard.tips, sizeof msg->tips);
    wf_e_send(e, e->table->queue, &msg->msg);
    return WEFT_OK;
}

static void on_pushed(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_q_barrier *barrier = (const struct wf_q_barrier *)req;
    if (barrier != NULL && err == WEFT_OK) ((struct esession *)arg)->bytes_pushed = barrier->bytes;
    answer(
        state, arg,
        &(event){.kind = WF_E_PUSHED, .err = err, .entries = barrier == NULL ? 0 : barrier->sent},
        req);
}

static weft_err barrier(struct engine *e, struct esession *es, effect *x)
{
    struct wf_q_barrier *req = wf_q_new(&wf_q_barrier_kind);
    if (req == NULL) return WEFT_NO_MEMORY;
    req->conn = es->key.conn;
    req->stream = es->s.stream;
    req->round = x->round;
    if (x->own) {
        es->round_began = e->order;
        es->round_started = weft_now(e->self);
    }
    return ask(e, es, e->table->queue, &req->req, on_pushed);
}

static void on_raw(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    const struct wf_q_raw *raw = (const struct wf_q_raw *)req;
    answer(state, arg,
           &(event){.kind = WF_E_RAW_SENT,
                    .err = err,
                    .entries = raw != NULL && err == WEFT_OK ? raw->count : 0},
           req);
}

static weft_err send_raw(struct engine *e, struct esession *es)
{
    struct wf_cmd *cmd = es->raw == NULL ? NULL : es->raw->cmd;
    if (cmd == NULL) return WEFT_CANCELED; /* its command was given up */
    struct wf_q_raw *raw = wf_q_raw_create(es->raw_count);
    if (raw == NULL) return WEFT_NO_MEMORY;
    raw->conn = es->key.conn;
    raw->stream = es->s.stream;
    raw->peer = es->s.peer;
    raw->tree = es->s.tree;
    for (uint32_t i = 0; i < es->raw_count; i++)
        raw->entries[i] = weft_buf_ref(cmd->entries[es->raw_from + i]);
    return ask(e, es, e->table->queue, &raw->req, on_raw);
}

/* -- The list ------------------------------------------------------------------------ */

static weft_err theirs_known(struct engine *e, const struct esession *es)
{
    wf_counter_add(&e->table->counters->round_trips, 1);
    tell_queue(e, es, false);
    return WEFT_OK;
}

weft_err wf_effect_do(struct engine *e, struct esession *es, event *ev, effect *x, const void *msg)
{
    struct wf_result result = {.stream = es->s.stream, .round = 1, .code = x->code};
    switch (x->kind) {
    case WF_X_LOOK_SUMMARY: return look_summary(e, es);
    case WF_X_LOOK_ROOT: return look(e, es, WF_LOOK_SUMMARY, on_root, NULL);
    case WF_X_LOOK_PLAN: return look_plan(e, es);
    case WF_X_LOOK_KNOWN: return look(e, es, WF_LOOK_KNOWN, on_known, NULL);
    case WF_X_LOOK_MATCH: return look(e, es, WF_LOOK_MATCH, on_match, msg);
    case WF_X_AUTHORISED: return do_authorised(e, es);
    case WF_X_REGISTER: return do_register(e, es);
    case WF_X_THEIRS: return theirs_known(e, es);
    case WF_X_SEND_OPEN: return send_open(e, es);
    case WF_X_SEND_STATE: return send_state(e, es, x->plan);
    case WF_X_SEND_BITS: return send_bits(e, es, ev, x);
    case WF_X_SEND_DONE: return send_done(e, es, ev, x);
    case WF_X_SEND_RESULT: return send(e, es, wf_result_encode(&result));
    case WF_X_SEND_WANT: return send_want(e, es, msg);
    case WF_X_JOB: return start_job(e, es);
    case WF_X_JOB_BITS: return pass_bits(e, es, ev->bits, msg);
    case WF_X_FETCH: return start_fetch(e, es, msg);
    case WF_X_RAW: return send_raw(e, es);
    case WF_X_LIVE: return go_live(e, es);
    case WF_X_BARRIER: return barrier(e, es, x);
    case WF_X_EXACT: wf_exact_set(e, &es->s.peer, &es->s.tree, x->on); return WEFT_OK;
    case WF_X_SYNCED: wf_over_synced(e, es); return WEFT_OK;
    case WF_X_ROUND: wf_over_round(e, es); return WEFT_OK;
    case WF_X_ENDED: wf_over_ended(e, es, x); return WEFT_OK;
    }
    return WEFT_INTERNAL;
}
