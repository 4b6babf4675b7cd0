/* SPDX-License-Identifier: Apache-2.0
 * session.c - two brains of sessions that talk to each other, while the input decides who
 * is heard next, what the store answers, and what a peer that lies puts in between.
 * Among honest ones nothing may stand still: in the end both are through.
 * Called by: libfuzzer.c, replay.c. May touch: tree_session.h. Never: a node. */
#include "tree_session.h"

#include <string.h>

#include "fuzz.h"

#define LINE 64u /* frames under way in one direction */
#define STEPS_MAX 400u
/* What the first byte of an input says. */
#define LIES 1u /* frames of the input's own, failures, stops */
#define SUBSCRIBES 2u
#define EXACT 4u
#define RAW 8u

enum ask {
    A_SUMMARY,
    A_PLAN,
    A_KNOWN,
    A_MATCH,
    A_ROOT,
    A_REGISTER,
    A_JOB,
    A_PAGE, /* of a job that lists ids: it waits for BITS */
    A_FETCH,
    A_RAW,
    A_PUSHED,
    ASKS
};

struct frame {
    enum { OPEN, STATE, BITS, IDS, DONE, RESULT, WANT, END, PUSH, FRAMES } type;
    uint32_t flags, plan, ref, round, code, count;
    bool complete, clean;
    uint8_t bits[4];
};

struct side {
    struct wf_session s;
    bool begun, registered, ended;
    uint32_t asked[ASKS];
    uint32_t pages, answered_ref; /* of the ids of our job, of the page that came */
    uint32_t synced, lives;
    uint64_t bulk;
    struct frame line[LINE]; /* to the other side */
    uint32_t first, count;
};

struct play {
    struct side side[2]; /* [0] opens */
    unsigned kind;
    struct fuzz_bytes in;
};

static void step(struct play *p, unsigned who, struct wf_session_event ev);

static void send(struct side *s, struct frame f)
{
    if (s->count == LINE) return; /* a peer that does not listen: the transport would wait */
    s->line[(s->first + s->count++) % LINE] = f;
}

static struct wf_summary summary(void)
{
    return (struct wf_summary){
        .count = 10, .seq = 10, .tips_complete = true, .tips_count = 3, .tip_bytes = WEFT_ID_BYTES};
}

/* -- Effects ------------------------------------------------------------------------------------ */

static void ask(struct side *s, enum ask what) { s->asked[what]++; }

static void on_done_sent(struct side *s, const struct wf_session_effect *x)
{
    send(s, (struct frame){.type = DONE, .round = 1, .clean = x->clean});
}

/* What an effect makes of the world; `ev` is what it followed from. */
static void effect(struct play *p, unsigned who, const struct wf_session_effect *x,
                   const struct wf_session_event *ev)
{
    struct side *s = &p->side[who];
    FUZZ_CHECK(!s->ended); /* nothing comes behind the end */
    switch (x->kind) {
    case WF_X_LOOK_SUMMARY: ask(s, A_SUMMARY); break;
    case WF_X_LOOK_PLAN: ask(s, A_PLAN); break;
    case WF_X_LOOK_KNOWN: ask(s, A_KNOWN); break;
    case WF_X_LOOK_MATCH: ask(s, A_MATCH); break;
    case WF_X_LOOK_ROOT: ask(s, A_ROOT); break;
    case WF_X_REGISTER: ask(s, A_REGISTER); break;
    case WF_X_SEND_OPEN: send(s, (struct frame){.type = OPEN, .flags = s->s.flags}); break;
    case WF_X_SEND_STATE:
        send(s, (struct frame){.type = STATE, .flags = s->s.flags, .plan = x->plan, .count = 3});
        break;
    case WF_X_SEND_BITS: {
        struct frame f = {.type = BITS, .ref = x->round, .count = ev->bits->count};
        if (ev->bits->count > 0) memcpy(f.bits, ev->bits->bits, (ev->bits->count + 7) / 8);
        send(s, f);
        break;
    }
    case WF_X_SEND_DONE: on_done_sent(s, x); break;
    case WF_X_SEND_RESULT:
        send(s, (struct frame){.type = RESULT, .round = 1, .code = x->code});
        break;
    case WF_X_SEND_WANT: send(s, (struct frame){.type = WANT}); break;
    case WF_X_JOB:
        FUZZ_CHECK(s->asked[A_JOB] == 0 && s->asked[A_PAGE] == 0); /* one at a time */
        ask(s, A_JOB);
        break;
    case WF_X_JOB_BITS: /* its page was answered */
        if (s->asked[A_PAGE] > 0) {
            s->asked[A_PAGE] = 0;
            ask(s, A_JOB);
        }
        break;
    case WF_X_FETCH: ask(s, A_FETCH); break;
    case WF_X_RAW: ask(s, A_RAW); break;
    case WF_X_LIVE: s->lives++; break;
    case WF_X_BARRIER:
        send(s, (struct frame){.type = DONE, .round = x->round, .clean = true});
        if (x->own) ask(s, A_PUSHED);
        break;
    case WF_X_SYNCED: s->synced++; break;
    case WF_X_ENDED:
        s->ended = true;
        if (x->tell) send(s, (struct frame){.type = END, .code = x->wire});
        break;
    case WF_X_AUTHORISED:
    case WF_X_THEIRS:
    case WF_X_EXACT:
    case WF_X_ROUND: break;
    }
    bool speaks = x->kind >= WF_X_SEND_STATE && x->kind <= WF_X_SEND_RESULT;
    FUZZ_CHECK(!speaks || s->registered); /* the transport knows the stream by then */
    FUZZ_CHECK(s->lives <= 1 && s->synced <= 1 && s->asked[A_FETCH] <= WF_FETCHES_MAX);
}

static void step(struct play *p, unsigned who, struct wf_session_event ev)
{
    struct side *s = &p->side[who];
    struct wf_session_effects fx;
    bool over = s->s.phase == WF_S_ENDED;
    wf_session_step(&s->s, &ev, &fx);
    FUZZ_CHECK(!over || fx.count == 0);
    for (uint32_t i = 0; i < fx.count; i++) effect(p, who, &fx.items[i], &ev);
    FUZZ_CHECK(s->ended == (s->s.phase == WF_S_ENDED));
    FUZZ_CHECK(s->s.fetches <= WF_FETCHES_MAX && s->s.theirs.tips_count <= WEFT_OPEN_TIPS_MAX);
}

/* -- Answers ------------------------------------------------------------------------------------- */

static weft_err any_err(struct play *p)
{
    static const weft_err errs[] = {WEFT_OK,     WEFT_OK,        WEFT_OK,
                                    WEFT_LIMIT,  WEFT_FORBIDDEN, WEFT_CORRUPT,
                                    WEFT_CLOSED, WEFT_TREE,      WEFT_NO_MEMORY};
    return p->kind & LIES ? errs[fuzz_below(&p->in, sizeof errs / sizeof errs[0])] : WEFT_OK;
}

static void answer_plan(struct play *p, unsigned who, const struct wf_summary *ours)
{
    struct wf_session_event ev = {.kind = WF_E_PLANNED, .err = any_err(p), .ours = ours};
    unsigned choice = fuzz_byte(&p->in);
    ev.plan = (enum wf_plan)(choice % (WF_PLAN_ASK + 1));
    ev.all_known = ev.plan != WF_PLAN_ASK && choice & 0x40;
    ev.cursor_fits = true;
    step(p, who, ev);
}

static void answer_job(struct play *p, unsigned who)
{
    struct side *s = &p->side[who];
    unsigned choice = fuzz_byte(&p->in);
    if (s->s.job == WF_JOB_IDS && s->pages < 3 && choice & 1) {
        s->asked[A_PAGE] = 1;
        send(s, (struct frame){.type = IDS, .ref = ++s->pages});
        return;
    }
    if (choice & 2) send(s, (struct frame){.type = PUSH, .round = WF_F_ENTRIES});
    weft_err err = any_err(p);
    if (choice & 4 && s->s.job == WF_JOB_CLOSURE) err = WEFT_LIMIT; /* too large for memory */
    step(p, who, (struct wf_session_event){.kind = WF_E_JOB_ENDED, .err = err, .entries = 1});
}

static void answer(struct play *p, unsigned who, enum ask what)
{
    struct side *s = &p->side[who];
    struct wf_summary ours = summary();
    uint8_t set[4];
    for (unsigned i = 0; i < sizeof set; i++) set[i] = (uint8_t)fuzz_byte(&p->in);
    struct wf_bits bits = {.ref = s->answered_ref, .count = s->s.theirs.tips_count, .bits = set};
    s->asked[what]--;
    ours.seq += s->s.received; /* nothing comes from elsewhere */
    switch (what) {
    case A_SUMMARY:
        step(p, who,
             (struct wf_session_event){.kind = WF_E_LOOKED, .err = any_err(p), .ours = &ours});
        break;
    case A_PLAN: answer_plan(p, who, &ours); break;
    case A_KNOWN:
        step(p, who,
             (struct wf_session_event){.kind = WF_E_KNOWN, .err = any_err(p), .bits = &bits});
        break;
    case A_MATCH:
        bits.count = 8;
        step(p, who,
             (struct wf_session_event){.kind = WF_E_MATCHED, .err = any_err(p), .bits = &bits});
        break;
    case A_ROOT:
        step(p, who,
             (struct wf_session_event){.kind = WF_E_ROOT, .err = any_err(p), .ours = &ours});
        break;
    case A_REGISTER:
        s->registered = true;
        step(p, who, (struct wf_session_event){.kind = WF_E_REGISTERED, .err = any_err(p)});
        break;
    case A_JOB: answer_job(p, who); break;
    case A_FETCH:
        step(p, who, (struct wf_session_event){.kind = WF_E_FETCHED, .entries = 1});
        break;
    case A_RAW:
        step(p, who, (struct wf_session_event){.kind = WF_E_RAW_SENT, .err = any_err(p)});
        break;
    case A_PUSHED:
        step(p, who, (struct wf_session_event){.kind = WF_E_PUSHED, .err = any_err(p)});
        break;
    case A_PAGE: /* answered by the peer */
    case ASKS: s->asked[what]++; break;
    }
}

/* The n-th of what is asked, round about. False: nothing is. */
static bool answer_some(struct play *p, unsigned who, unsigned n)
{
    for (unsigned i = 0; i < ASKS; i++) {
        enum ask what = (enum ask)((n + i) % ASKS);
        if (what == A_PAGE || p->side[who].asked[what] == 0) continue;
        answer(p, who, what);
        return true;
    }
    return false;
}

/* -- Frames ---------------------------------------------------------------------------------------- */

/* The queue tells what it stored, in the order of the bulk. */
static void applied(struct play *p, unsigned who, const struct frame *f, uint32_t type)
{
    struct side *s = &p->side[who];
    struct wf_q_applied a = {.type = type, .n = ++s->bulk, .stored_in_stream = s->s.received};
    if (type == WF_F_DONE)
        a.done = (struct wf_done){.round = f->round, .count = 10 + f->count, .clean = f->clean};
    else a.stored_in_stream++;
    if (p->kind & LIES) {
        a.err = f->code % 3 == 1 ? WEFT_PENDING : f->code % 5 == 1 ? WEFT_BAD_ENTRY : WEFT_OK;
        a.missing_count = f->code % 7 == 1;
    }
    if (type == WF_F_DONE && a.done.round == 1) a.done.count = summary().count;
    step(p, who, (struct wf_session_event){.kind = WF_E_APPLIED, .applied = &a});
}

static void hear(struct play *p, unsigned who, const struct frame *f)
{
    struct side *s = &p->side[who];
    struct wf_open open = {.flags = f->flags, .own = summary()};
    struct wf_state state = {.flags = f->flags, .plan = f->plan, .own = summary()};
    struct wf_bits bits = {.ref = f->ref, .count = f->count, .bits = f->bits};
    if (f->type != OPEN && !s->begun) return; /* the engine has no such session */
    switch (f->type) {
    case OPEN:
        if (s->begun) return;
        s->begun = true;
        s->s.flags = f->flags;
        step(p, who, (struct wf_session_event){.kind = WF_E_OPEN, .open = &open});
        break;
    case STATE: step(p, who, (struct wf_session_event){.kind = WF_E_STATE, .state = &state}); break;
    case BITS: step(p, who, (struct wf_session_event){.kind = WF_E_BITS, .bits = &bits}); break;
    case IDS:
        s->answered_ref = f->ref;
        step(p, who, (struct wf_session_event){.kind = WF_E_IDS});
        break;
    case DONE: applied(p, who, f, WF_F_DONE); break;
    case PUSH: applied(p, who, f, f->round == WF_F_ENTRIES ? WF_F_ENTRIES : WF_F_PUSH); break;
    case RESULT:
        step(p, who,
             (struct wf_session_event){.kind = WF_E_RESULT, .code = f->code, .round = f->round});
        break;
    case WANT: step(p, who, (struct wf_session_event){.kind = WF_E_WANT}); break;
    case END:
    case FRAMES:
        step(p, who, (struct wf_session_event){.kind = WF_E_PEER_ENDED, .code = f->code});
        break;
    }
}

static bool deliver(struct play *p, unsigned from)
{
    struct side *s = &p->side[from];
    if (s->count == 0) return false;
    struct frame f = s->line[s->first];
    s->first = (s->first + 1) % LINE;
    s->count--;
    hear(p, 1 - from, &f);
    return true;
}

static void lie(struct play *p, unsigned who)
{
    struct frame f = {.type = fuzz_below(&p->in, FRAMES)};
    f.flags = fuzz_below(&p->in, 8);
    f.plan = fuzz_below(&p->in, 8);
    f.ref = fuzz_below(&p->in, 4);
    f.round = fuzz_below(&p->in, 8);
    f.code = fuzz_below(&p->in, 20);
    f.count = fuzz_below(&p->in, WEFT_OPEN_TIPS_MAX + 1);
    f.clean = fuzz_byte(&p->in) & 1;
    for (unsigned i = 0; i < sizeof f.bits; i++) f.bits[i] = (uint8_t)fuzz_byte(&p->in);
    hear(p, who, &f);
}

static void trouble(struct play *p, unsigned who)
{
    static const enum wf_session_event_kind kinds[] = {WF_E_STOP,    WF_E_TIMEOUT,   WF_E_PROGRESS,
                                                       WF_E_HEALING, WF_E_HEAL_OVER, WF_E_BARRIER};
    struct wf_session_event ev = {.kind = kinds[fuzz_below(&p->in, 6)]};
    ev.err = any_err(p);
    ev.tell = fuzz_byte(&p->in) & 1;
    if (p->side[who].begun) step(p, who, ev);
}

/* -- A run ------------------------------------------------------------------------------------------- */

static void act(struct play *p)
{
    unsigned what = fuzz_byte(&p->in), who = what & 1;
    switch (what >> 1 & 7) {
    case 0:
    case 1:
    case 2: (void)deliver(p, who); break;
    case 3:
    case 4: (void)answer_some(p, who, what >> 4); break;
    case 5: step(p, who, (struct wf_session_event){.kind = WF_E_BARRIER}); break;
    case 6:
        if (p->kind & LIES) lie(p, who);
        break;
    case 7:
        if (p->kind & LIES) trouble(p, who);
        break;
    }
}

/* All that is under way arrives, all that is asked is answered. */
static void settle(struct play *p)
{
    bool more = true;
    for (unsigned i = 0; i < STEPS_MAX && more; i++) {
        more = false;
        for (unsigned who = 0; who < 2; who++) {
            if (deliver(p, who)) more = true;
            if (answer_some(p, who, 0)) more = true;
        }
    }
    FUZZ_CHECK(!more);
}

static void judge(const struct play *p)
{
    bool raw = (p->kind & RAW) != 0, subscribes = (p->kind & SUBSCRIBES) != 0;
    for (unsigned who = 0; who < 2; who++) {
        const struct side *s = &p->side[who];
        if (raw) {
            FUZZ_CHECK(s->ended);
        } else if (subscribes) {
            FUZZ_CHECK(s->synced == 1 && s->s.phase == WF_S_LIVE && s->lives == 1);
            FUZZ_CHECK(!wf_session_waits(&s->s));
        } else {
            FUZZ_CHECK(s->synced == 1 && s->ended);
        }
    }
}

bool fuzz_session(const uint8_t *data, size_t len)
{
    static const weft_key peer = {{1}};
    static const weft_id tree = {{2}};
    static struct play p;
    memset(&p, 0, sizeof p);
    p.in = (struct fuzz_bytes){data, data + len};
    p.kind = fuzz_byte(&p.in);
    uint32_t flags = p.kind & RAW ? WF_OPEN_RAW
                                  : (p.kind & SUBSCRIBES ? WF_OPEN_SUBSCRIBE : 0u) |
                                        (p.kind & EXACT ? WF_OPEN_EXACT : 0u);
    for (unsigned who = 0; who < 2; who++)
        wf_session_init(&p.side[who].s, who == 0, 1, &peer, &tree, flags);
    p.side[0].begun = true;
    step(&p, 0, (struct wf_session_event){.kind = WF_E_START});
    for (unsigned i = 0; i < STEPS_MAX && fuzz_more(&p.in); i++) act(&p);
    if (p.kind & LIES) return p.side[0].synced + p.side[1].synced > 0;
    settle(&p);
    judge(&p);
    return true;
}
