/* SPDX-License-Identifier: Apache-2.0
 * tree_session.c - decides what one session does next (docs/wire.md, session flow).
 * Called by: engine_session.c, tests. May touch: its struct wf_session.
 * Never: I/O, clock, memory, threads; trusts a frame that comes out of turn. */
#include "tree_session.h"

#include <string.h>

#include "log.h"

typedef struct wf_session session;
typedef const struct wf_session_event event;
typedef struct wf_session_effects effects;

void wf_session_init(session *s, bool opener, uint32_t stream, const weft_key *peer,
                     const weft_id *tree, uint32_t flags)
{
    memset(s, 0, sizeof *s);
    s->opener = opener;
    s->stream = stream;
    s->peer = *peer;
    s->tree = *tree;
    s->flags = flags;
}

bool wf_session_waits(const session *s)
{
    if (s->phase == WF_S_ENDED) return false;
    /* Without live push only the opener's CLOSE is missing. */
    return s->phase != WF_S_LIVE || s->round_open || !s->live;
}

bool wf_session_skips_source(const session *s)
{
    /* A peer whose own seq is behind what we have from it was restored from a backup and
     * needs its entries back. One that has grown since finds that our cursor names none of
     * its arrivals, and ends the session. */
    return s->ours.has_cursor && s->theirs.seq >= s->ours.cursor.seq &&
           memcmp(s->ours.cursor.epoch, s->theirs.epoch, sizeof s->theirs.epoch) == 0;
}

/* -- Effects ------------------------------------------------------------------------- */

static struct wf_session_effect *add(effects *fx, enum wf_session_effect_kind kind)
{
    WF_ASSERT(fx->count < WF_EFFECTS_MAX);
    struct wf_session_effect *x = &fx->items[fx->count++];
    memset(x, 0, sizeof *x);
    x->kind = kind;
    return x;
}

static struct wf_session_effect *end(session *s, effects *fx, weft_err err)
{
    struct wf_session_effect *x = add(fx, WF_X_ENDED);
    x->err = err;
    s->phase = WF_S_ENDED;
    return x;
}

static struct wf_session_effect *end_telling(session *s, effects *fx, weft_err err, unsigned wire)
{
    struct wf_session_effect *x = end(s, fx, err);
    x->tell = true;
    x->wire = wire;
    return x;
}

static void fail(session *s, effects *fx, weft_err err)
{
    (void)end_telling(s, fx, err, wf_wire_code_of(err));
}

/* A body is damaged that has to be sent. While the peer is asked for damaged ones the
 * session stays: two nodes that only have each other could not heal otherwise. */
static void fail_for_job(session *s, effects *fx, weft_err err)
{
    if (err == WEFT_CORRUPT && s->healing) s->deferred = true;
    else fail(s, fx, err);
}

static void on_heal_over(session *s, const struct wf_session_event *ev, effects *fx)
{
    s->healing = false;
    if (!s->deferred) return;
    if (ev->err != WEFT_OK) fail(s, fx, ev->err);
    else end_telling(s, fx, WEFT_AGAIN, WF_W_BUSY)->healed = true;
}

static void violation(session *s, effects *fx, weft_err err) { end(s, fx, err)->penalty = true; }

/* Short ids or cursors have misled us: from now on the pair's sessions are exact. */
static void end_to_exact(session *s, effects *fx, weft_err err, bool tell)
{
    add(fx, WF_X_EXACT)->on = true;
    struct wf_session_effect *x = end(s, fx, err);
    x->tell = tell;
    x->wire = WF_W_EPOCH;
    x->again = s->opener && (s->flags & WF_OPEN_EXACT) == 0;
}

/* -- Our entries --------------------------------------------------------------------- */

static void start_job(session *s, effects *fx, enum wf_job_op job)
{
    s->job = job;
    s->out = WF_OUT_JOB;
    add(fx, WF_X_JOB);
}

static enum wf_job_op job_of(enum wf_plan plan)
{
    return plan == WF_PLAN_CURSOR   ? WF_JOB_CURSOR
           : plan == WF_PLAN_RESUME ? WF_JOB_RESUME
                                    : WF_JOB_CLOSURE;
}

static void go_live(session *s, effects *fx)
{
    if (s->live || (s->flags & WF_OPEN_SUBSCRIBE) == 0) return;
    add(fx, WF_X_LIVE);
    s->live = true;
}

static void send_done(session *s, effects *fx, bool own, bool clean)
{
    struct wf_session_effect *x = add(fx, WF_X_SEND_DONE);
    x->own = own;
    x->clean = clean;
    s->out = WF_OUT_DONE;
    /* What the peer has told us it holds may still come to us from others; pushing waits
     * until all of that is here and known to be the peer's. */
    if (s->all_known || s->their_done) go_live(s, fx);
}

/* Opener: once both directions are through, DONE with the root of this moment. */
static void finish_if_ready(session *s, effects *fx)
{
    if (s->out != WF_OUT_SENT || !s->their_done) return;
    s->out = WF_OUT_ROOT;
    add(fx, WF_X_LOOK_ROOT);
}

static void sent_all(session *s, effects *fx)
{
    s->out = WF_OUT_SENT;
    /* Nobody compares the responder's DONE, so it may tell the root of STATE. */
    if (s->opener) finish_if_ready(s, fx);
    else send_done(s, fx, true, true);
}

/* Cuts theirs.tips to those whose bit is set. */
static void cut_to_known(session *s, const struct wf_bits *bits)
{
    struct wf_summary *t = &s->theirs;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->tips_count && i < bits->count; i++) {
        if ((bits->bits[i / 8] >> (i % 8) & 1) == 0) continue;
        if (kept != i)
            memcpy(t->tips + kept * t->tip_bytes, t->tips + i * t->tip_bytes, t->tip_bytes);
        kept++;
    }
    t->tips_count = kept;
    s->theirs_known = true;
}

/* Responder, once it knows which of our tips the peer has and which of theirs are here:
 * both lists are below what the peer holds. Of more than fit the first are as good. */
static void start_ids_if_ready(session *s, effects *fx)
{
    if (!s->asked || !s->theirs_known) return;
    struct wf_summary *t = &s->theirs;
    uint32_t size = s->flags & WF_OPEN_EXACT ? WEFT_ID_BYTES : 8;
    for (uint32_t i = 0; i < s->ours.tips_count && t->tips_count < WEFT_OPEN_TIPS_MAX; i++)
        if (s->held_bits >> i & 1)
            memcpy(t->tips + t->tips_count++ * size, s->ours.tips + i * s->ours.tip_bytes, size);
    t->tip_bytes = size;
    start_job(s, fx, WF_JOB_IDS);
}

static void serve(session *s, effects *fx)
{
    if (s->plan == WF_PLAN_EQUAL) {
        sent_all(s, fx);
    } else if (s->plan == WF_PLAN_ASK) {
        s->out = WF_OUT_ASKING;
        add(fx, WF_X_LOOK_KNOWN);
    } else {
        start_job(s, fx, job_of(s->plan));
    }
}

/* Opener, which could not tell before: what the peer told in STATE is here by now. */
static void decide_late(session *s, effects *fx)
{
    if (s->theirs_complete) {
        start_job(s, fx, WF_JOB_CLOSURE);
    } else {
        s->out = WF_OUT_KNOWING;
        add(fx, WF_X_LOOK_KNOWN);
    }
}

static void planned(session *s, event *ev)
{
    s->plan = ev->plan;
    s->all_known = ev->all_known || ev->plan == WF_PLAN_EQUAL;
    s->cursor_fits = ev->cursor_fits;
}

/* Their cursor names an arrival of this epoch that is not here: we were restored from a
 * backup, and they may pass over entries of ours that we have lost. */
static bool was_restored(const session *s)
{
    const struct wf_summary *t = &s->theirs;
    /* A cursor at 0 names none: the peer met us when we were empty. */
    return t->has_cursor && t->cursor.seq != 0 && !s->cursor_fits && s->plan != WF_PLAN_EQUAL &&
           (s->flags & WF_OPEN_EXACT) == 0 &&
           memcmp(t->cursor.epoch, s->ours.epoch, sizeof s->ours.epoch) == 0;
}

/* -- Beginning ----------------------------------------------------------------------- */

static void on_open(session *s, event *ev, effects *fx)
{
    s->theirs = s->heard = ev->open->own;
    s->theirs_complete = s->theirs.tips_complete;
    add(fx, s->flags & WF_OPEN_RAW ? WF_X_LOOK_SUMMARY : WF_X_LOOK_PLAN);
}

static void on_looked(session *s, event *ev, effects *fx)
{
    if (ev->err != WEFT_OK) {
        if (s->opener) (void)end(s, fx, ev->err);
        else fail(s, fx, ev->err);
        return;
    }
    s->ours = *ev->ours;
    s->phase = WF_S_REGISTERING;
    if (!s->opener) add(fx, WF_X_AUTHORISED);
    add(fx, WF_X_REGISTER);
}

static void begin_sending(session *s, effects *fx)
{
    if (s->plan == WF_PLAN_EQUAL) {
        sent_all(s, fx);
    } else if (s->plan == WF_PLAN_ASK) {
        s->out = WF_OUT_WAITING;
        if (s->their_done) decide_late(s, fx);
    } else {
        start_job(s, fx, job_of(s->plan));
    }
}

static void on_planned(session *s, event *ev, effects *fx)
{
    if (ev->err != WEFT_OK) {
        fail(s, fx, ev->err);
        return;
    }
    planned(s, ev);
    if (!s->opener) {
        s->ours = *ev->ours;
        s->phase = WF_S_REGISTERING;
        add(fx, WF_X_AUTHORISED);
    }
    if (s->wants_exact || was_restored(s)) end_to_exact(s, fx, WEFT_AGAIN, true);
    else if (s->opener) begin_sending(s, fx);
    else add(fx, WF_X_REGISTER);
}

static void on_registered(session *s, event *ev, effects *fx)
{
    if (ev->err != WEFT_OK) {
        (void)end(s, fx, ev->err);
    } else if (s->opener) {
        s->phase = WF_S_OPENED;
        add(fx, WF_X_SEND_OPEN);
    } else if (s->flags & WF_OPEN_RAW) {
        s->phase = WF_S_RAW;
        add(fx, WF_X_SEND_STATE)->plan = WF_PLAN_RAW;
    } else {
        s->phase = WF_S_RUNNING;
        add(fx, WF_X_SEND_STATE)->plan = s->plan;
        serve(s, fx);
    }
}

static void on_state(session *s, event *ev, effects *fx)
{
    const struct wf_state *state = ev->state;
    uint32_t kind = WF_OPEN_EXACT | WF_OPEN_RAW;
    bool raw = (s->flags & WF_OPEN_RAW) != 0;
    if (!s->opener || s->phase != WF_S_OPENED || (state->flags & kind) != (s->flags & kind) ||
        raw != (state->plan == WF_PLAN_RAW) || state->plan > WF_PLAN_RAW) {
        violation(s, fx, WEFT_PROTOCOL);
        return;
    }
    s->flags &= kind | state->flags; /* it may decline to subscribe */
    s->theirs = s->heard = state->own;
    s->theirs_complete = s->theirs.tips_complete;
    if (raw) {
        s->phase = WF_S_RAW;
        add(fx, WF_X_RAW);
        return;
    }
    s->phase = WF_S_RUNNING;
    add(fx, WF_X_THEIRS);
    /* Also with CLOSURE: all that OPEN told is there, so nothing of it is missing there. */
    if (state->plan == WF_PLAN_EQUAL || state->plan == WF_PLAN_CLOSURE) {
        s->out = WF_OUT_SENT;
        return;
    }
    if (state->plan == WF_PLAN_ASK) add(fx, WF_X_LOOK_KNOWN);
    add(fx, WF_X_LOOK_PLAN);
}

/* -- Negotiation --------------------------------------------------------------------- */

static void on_known(session *s, event *ev, effects *fx)
{
    if (ev->err != WEFT_OK) {
        fail(s, fx, ev->err);
    } else if (s->out == WF_OUT_ASKING) {
        cut_to_known(s, ev->bits);
        start_ids_if_ready(s, fx);
    } else if (s->out == WF_OUT_KNOWING) {
        cut_to_known(s, ev->bits);
        start_job(s, fx, WF_JOB_IDS);
    } else if (s->opener) {
        add(fx, WF_X_SEND_BITS)->round = 0;
    }
}

/* Which of the tips that we told in STATE the peer has. */
static void on_tip_bits(session *s, const struct wf_bits *bits, effects *fx)
{
    if (s->out != WF_OUT_ASKING || s->asked || bits->count != s->ours.tips_count) {
        violation(s, fx, WEFT_PROTOCOL);
        return;
    }
    uint32_t held = 0;
    for (uint32_t i = 0; i < bits->count; i++) {
        bool has = (bits->bits[i / 8] >> (i % 8) & 1) != 0;
        if (has) s->held_bits |= 1u << i;
        held += has;
    }
    s->asked = true;
    if (held == bits->count && s->ours.tips_complete) sent_all(s, fx);
    else start_ids_if_ready(s, fx);
}

static void on_bits(session *s, event *ev, effects *fx)
{
    if (s->phase != WF_S_RUNNING) violation(s, fx, WEFT_PROTOCOL);
    else if (ev->bits->ref == 0) on_tip_bits(s, ev->bits, fx);
    else if (s->out == WF_OUT_JOB && s->job == WF_JOB_IDS) add(fx, WF_X_JOB_BITS);
    else violation(s, fx, WEFT_PROTOCOL);
}

static void on_ids(session *s, effects *fx)
{
    if (s->phase != WF_S_RUNNING || s->their_done || s->matching) {
        violation(s, fx, WEFT_PROTOCOL);
        return;
    }
    s->matching = true;
    add(fx, WF_X_LOOK_MATCH);
}

static void on_matched(session *s, event *ev, effects *fx)
{
    s->matching = false;
    if (ev->err != WEFT_OK) fail(s, fx, ev->err);
    else add(fx, WF_X_SEND_BITS)->round = ev->bits->ref;
}

static void on_job_ended(session *s, event *ev, effects *fx)
{
    s->sent += ev->entries;
    if (s->out != WF_OUT_JOB) return;
    if (ev->err == WEFT_OK) {
        sent_all(s, fx);
    } else if (ev->err == WEFT_LIMIT && s->job == WF_JOB_CLOSURE) {
        start_job(s, fx, WF_JOB_IDS); /* all tips that CLOSURE began from are known to both */
    } else {
        /* The peer lost the right to read: it learns no more than a stranger. */
        fail_for_job(s, fx, ev->err == WEFT_FORBIDDEN ? WEFT_TREE : ev->err);
    }
}

/* -- The end of the negotiation ------------------------------------------------------ */

static void settle(session *s, effects *fx, uint32_t code)
{
    s->told = true;
    if (code == WF_RESULT_DIFFERENT) {
        /* The responder's stream stays until the opener has read the result. */
        if (s->opener) end_to_exact(s, fx, WEFT_PROTOCOL, true);
        else add(fx, WF_X_EXACT)->on = true;
        return;
    }
    if (s->flags & WF_OPEN_EXACT) add(fx, WF_X_EXACT)->on = false;
    go_live(s, fx);
    s->phase = WF_S_LIVE;
    add(fx, WF_X_SYNCED)->code = code;
    if (s->opener && !s->live) (void)end_telling(s, fx, WEFT_OK, WF_W_OK);
}

static void on_root(session *s, event *ev, effects *fx)
{
    if (ev->err != WEFT_OK) {
        fail(s, fx, ev->err);
        return;
    }
    bool clean = ev->ours->seq - s->ours.seq == s->stored_by_done;
    if (s->opener) {
        send_done(s, fx, false, clean);
        return;
    }
    const struct wf_done *d = &s->their_done_frame;
    bool equal = d->count == ev->ours->count && memcmp(d->root, ev->ours->root, 32) == 0;
    uint32_t code = !clean || !d->clean ? WF_RESULT_UNCLEAN
                    : equal             ? WF_RESULT_EQUAL
                                        : WF_RESULT_DIFFERENT;
    add(fx, WF_X_SEND_RESULT)->code = code;
    settle(s, fx, code);
}

static void on_result(session *s, event *ev, effects *fx)
{
    if (!s->opener || s->out != WF_OUT_DONE || s->told || ev->round != 1 ||
        ev->code > WF_RESULT_UNCLEAN)
        violation(s, fx, WEFT_PROTOCOL);
    else settle(s, fx, ev->code);
}

/* -- What the peer sent was applied -------------------------------------------------- */

static void on_first_done(session *s, const struct wf_done *done, effects *fx)
{
    bool in_turn = s->opener || s->out == WF_OUT_DONE;
    if (s->phase != WF_S_RUNNING || s->their_done || !in_turn) {
        violation(s, fx, WEFT_PROTOCOL);
        return;
    }
    s->their_done = true;
    s->their_done_frame = *done;
    s->stored_by_done = s->received;
    if (s->holes) {
        end_to_exact(s, fx, WEFT_PENDING, true);
    } else if (!s->opener) {
        add(fx, WF_X_LOOK_ROOT);
    } else if (s->out == WF_OUT_WAITING) {
        decide_late(s, fx);
    } else {
        finish_if_ready(s, fx);
    }
}

/* The opener's barriers are even, the responder's odd, so that two that cross are not
 * taken for each other's answers. */
static void on_later_done(session *s, uint32_t round, effects *fx)
{
    bool ours = (round % 2 == 0) == s->opener;
    if (s->phase != WF_S_LIVE || !s->live || (ours && round > s->round)) {
        violation(s, fx, WEFT_PROTOCOL);
    } else if (!ours) {
        add(fx, WF_X_BARRIER)->round = round;
    } else if (s->round_open && round == s->round) {
        s->round_open = false;
        add(fx, WF_X_ROUND)->round = round;
    }
}

static bool is_penalty(weft_err err)
{
    return err == WEFT_PROTOCOL || err == WEFT_SYNTAX || err == WEFT_NOT_CANONICAL ||
           err == WEFT_BAD_ID || err == WEFT_BAD_SIGNATURE || err == WEFT_BAD_ENTRY ||
           err == WEFT_FORBIDDEN;
}

static void on_applied(session *s, event *ev, effects *fx)
{
    const struct wf_q_applied *a = ev->applied;
    if (a->type == 0) {
        fail_for_job(s, fx, a->err);
        return;
    }
    s->received = a->stored_in_stream;
    s->seen = a->n;
    if (is_penalty(a->err)) {
        violation(s, fx, a->err);
    } else if (a->err == WEFT_PENDING || (a->err == WEFT_OK && a->missing_count > 0)) {
        if (s->phase == WF_S_RAW) return;
        s->holes = true;
        if (s->phase == WF_S_LIVE) end_to_exact(s, fx, WEFT_PENDING, true);
        else if (a->missing_count > 0) add(fx, WF_X_SEND_WANT);
    } else if (a->err != WEFT_OK) {
        fail(s, fx, a->err);
    } else if (a->type == WF_F_DONE && a->done.round == 1) {
        on_first_done(s, &a->done, fx);
    } else if (a->type == WF_F_DONE) {
        on_later_done(s, a->done.round, fx);
    } else if (a->type == WF_F_PUSH && s->phase != WF_S_LIVE && !s->their_done) {
        violation(s, fx, WEFT_PROTOCOL);
    }
}

/* -- Live ---------------------------------------------------------------------------- */

static void on_barrier(session *s, effects *fx)
{
    if (s->phase != WF_S_LIVE || !s->live || s->round_open) return;
    s->round = s->round != 0 ? s->round + 2 : s->opener ? 2 : 3;
    s->round_open = true;
    struct wf_session_effect *x = add(fx, WF_X_BARRIER);
    x->round = s->round;
    x->own = true;
}

static void on_want(session *s, effects *fx)
{
    if (s->phase != WF_S_RUNNING && s->phase != WF_S_LIVE) return;
    if (s->fetches >= WF_FETCHES_MAX) return; /* it asks again by an exact session */
    s->fetches++;
    add(fx, WF_X_FETCH);
}

static void on_peer_ended(session *s, event *ev, effects *fx)
{
    weft_err err = ev->code == WF_W_OK ? WEFT_OK : wf_wire_err(ev->code);
    /* A quiet close before the end: a session of the peer's own counts instead. */
    if (ev->code == WF_W_OK && s->phase < WF_S_LIVE) err = WEFT_CANCELED;
    if (ev->code == WF_W_EPOCH) end_to_exact(s, fx, WEFT_AGAIN, false);
    else (void)end(s, fx, err);
}

static void on_stop(session *s, event *ev, effects *fx)
{
    struct wf_session_effect *x = end(s, fx, ev->err);
    x->tell = ev->tell;
    x->wire = ev->code;
}

void wf_session_step(session *s, event *ev, effects *fx)
{
    fx->count = 0;
    if (s->phase == WF_S_ENDED) return;
    switch (ev->kind) {
    case WF_E_START: add(fx, WF_X_LOOK_SUMMARY); break;
    case WF_E_OPEN: on_open(s, ev, fx); break;
    case WF_E_LOOKED: on_looked(s, ev, fx); break;
    case WF_E_PLANNED: on_planned(s, ev, fx); break;
    case WF_E_KNOWN: on_known(s, ev, fx); break;
    case WF_E_MATCHED: on_matched(s, ev, fx); break;
    case WF_E_ROOT: on_root(s, ev, fx); break;
    case WF_E_REGISTERED: on_registered(s, ev, fx); break;
    case WF_E_STATE: on_state(s, ev, fx); break;
    case WF_E_BITS: on_bits(s, ev, fx); break;
    case WF_E_IDS: on_ids(s, fx); break;
    case WF_E_WANT: on_want(s, fx); break;
    case WF_E_JOB_ENDED: on_job_ended(s, ev, fx); break;
    case WF_E_FETCHED:
        s->fetches--;
        s->sent += ev->entries;
        break;
    case WF_E_APPLIED: on_applied(s, ev, fx); break;
    case WF_E_RESULT: on_result(s, ev, fx); break;
    case WF_E_RAW_SENT:
        s->sent += ev->entries;
        (void)end_telling(s, fx, ev->err, WF_W_OK);
        break;
    case WF_E_BARRIER: on_barrier(s, fx); break;
    case WF_E_PUSHED:
        if (ev->err == WEFT_OK) s->pushed = ev->entries;
        else fail(s, fx, ev->err);
        break;
    case WF_E_PEER_ENDED: on_peer_ended(s, ev, fx); break;
    case WF_E_STOP: on_stop(s, ev, fx); break;
    case WF_E_HEALING: s->healing = true; break;
    case WF_E_HEAL_OVER: on_heal_over(s, ev, fx); break;
    case WF_E_PROGRESS: break;
    case WF_E_TIMEOUT:
        if (wf_session_waits(s)) (void)end_telling(s, fx, WEFT_TIMED_OUT, WF_W_BUSY);
        break;
    }
}
