/* SPDX-License-Identifier: Apache-2.0
 * engine_session.c - the life of sessions: begun, stepped, watched, let go.
 * Called by: engine_frame.c, engine_conn.c, engine_want.c, commands. May touch: sessions.
 * Never: decides about the protocol; tree_session.c does. */
#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "crypto.h"
#include "engine_state.h"
#include "log.h"

struct esession *wf_es_by_stream(struct engine *e, uint64_t conn, uint32_t stream)
{
    struct session_key key = {conn, stream};
    struct wf_link *link = wf_table_find(&e->sessions, &key);
    return link == NULL ? NULL
                        : (struct esession *)((char *)link - offsetof(struct esession, link));
}

struct esession *wf_es_by_tree(struct engine *e, const struct conn *c, const weft_id *tree)
{
    struct tree_key key = {c->id, *tree};
    struct wf_link *link = wf_table_find(&e->trees, &key);
    return link == NULL ? NULL
                        : (struct esession *)((char *)link - offsetof(struct esession, tree_link));
}

void wf_es_put(struct engine *e, struct esession *es)
{
    WF_ASSERT(es->refs > 0);
    if (--es->refs > 0) return;
    /* Not when it ended: what was asked for it is under way until the answers are here. */
    struct peer *p = es->conn->peer;
    es->conn->sessions_count--;
    p->sessions_count--;
    e->sessions_count--;
    wf_peer_settle(e, p);
    wf_econn_put(e, es->conn);
    wf_free(es);
}

/* -- The deadline -------------------------------------------------------------------- */

static struct esession *first_due(const struct engine *e)
{
    return e->due.first == NULL
               ? NULL
               : (struct esession *)((char *)e->due.first - offsetof(struct esession, of_due));
}

/* All deadlines are equally long, so the list is in their order by itself. */
static void touch(struct engine *e, struct esession *es)
{
    wf_list_remove(&es->of_due);
    if (!wf_session_waits(&es->s)) return;
    es->due = weft_now(e->self) + WEFT_SESSION_TIMEOUT_NS;
    wf_list_add(&e->due, &es->of_due);
    if (e->sweep.heap_at == 0) (void)weft_timer_set(e->self, &e->sweep, es->due, 0, wf_es_on_sweep);
}

void wf_es_on_sweep(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)missed;
    struct engine *e = state;
    struct esession *es;
    e->order++;
    while ((es = first_due(e)) != NULL && es->due <= weft_now(self)) {
        wf_list_remove(&es->of_due);
        wf_es_run(e, es, &(struct wf_session_event){.kind = WF_E_TIMEOUT}, NULL);
    }
    if (es != NULL) (void)weft_timer_set(self, timer, es->due, 0, wf_es_on_sweep);
}

/* -- Stepping ------------------------------------------------------------------------ */

void wf_es_run(struct engine *e, struct esession *es, const struct wf_session_event *event,
               const void *msg)
{
    struct wf_session_effects fx;
    enum wf_session_phase before = es->s.phase;
    es->refs++;
    wf_session_step(&es->s, event, &fx);
    for (uint32_t i = 0; i < fx.count; i++) {
        weft_err err = wf_effect_do(e, es, event, &fx.items[i], msg);
        if (err != WEFT_OK && es->broken == WEFT_OK) es->broken = err;
    }
    if (es->broken != WEFT_OK && es->s.phase != WF_S_ENDED)
        wf_es_stop(e, es, es->broken, true, wf_wire_code_of(es->broken));
    if (es->s.phase != before) wf_heal_session(e, es);
    /* That we asked for something damaged says nothing of the peer. */
    bool progress = event->kind != WF_E_HEALING && event->kind != WF_E_HEAL_OVER;
    if (progress || es->s.phase == WF_S_ENDED) touch(e, es);
    wf_lean_anew(e, es);
    wf_es_put(e, es);
}

void wf_es_stop(struct engine *e, struct esession *es, weft_err err, bool tell, unsigned code)
{
    es->broken = WEFT_OK;
    wf_es_run(e, es,
              &(struct wf_session_event){.kind = WF_E_STOP, .err = err, .tell = tell, .code = code},
              NULL);
}

/* -- Beginning ----------------------------------------------------------------------- */

bool wf_es_room(const struct engine *e, const struct conn *c)
{
    return c->sessions_count < WEFT_SESSIONS_PER_CONNECTION_MAX &&
           c->peer->sessions_count < WEFT_SESSIONS_PER_PEER_MAX &&
           e->sessions_count < WEFT_SESSIONS_NODE_MAX;
}

/* docs/wire.md: short ids are salted per session. */
static void set_salt(struct esession *es)
{
    static const char tag[] = "weft/salt/v1";
    uint8_t text[sizeof tag + 64 + 4], digest[32];
    uint32_t stream = es->s.stream;
    memcpy(text, tag, sizeof tag); /* with its NUL */
    memcpy(text + sizeof tag, es->conn->up->channel, 64);
    for (unsigned i = 0; i < 4; i++) text[sizeof tag + 64 + i] = (uint8_t)(stream >> (24 - 8 * i));
    wf_blake2b_256(text, sizeof text, digest);
    memcpy(es->salt, digest, sizeof es->salt);
}

static struct esession *create(struct engine *e, struct conn *c, bool opener, uint32_t stream,
                               const weft_id *tree, uint32_t flags)
{
    struct esession *es = wf_calloc(1, sizeof *es);
    if (es == NULL) return NULL;
    wf_session_init(&es->s, opener, stream, &c->peer->key, tree, flags);
    es->key = (struct session_key){c->id, stream};
    es->tree_key = (struct tree_key){c->id, *tree};
    es->refs = 1;
    es->conn = c;
    es->started = weft_now(e->self);
    if (wf_table_add(&e->sessions, &es->link) != WEFT_OK) goto failed;
    if ((flags & WF_OPEN_RAW) == 0) {
        if (wf_table_add(&e->trees, &es->tree_link) != WEFT_OK) {
            wf_table_remove(&e->sessions, &es->link);
            goto failed;
        }
        es->by_tree = true;
    }
    c->refs++;
    c->sessions_count++;
    c->peer->sessions_count++;
    e->sessions_count++;
    wf_list_add(&c->sessions, &es->of_conn);
    set_salt(es);
    return es;
failed:
    wf_free(es);
    return NULL;
}

weft_err wf_es_open(struct engine *e, struct conn *c, const weft_id *tree, uint32_t flags,
                    struct esession **out)
{
    if (c->gone) return WEFT_CLOSED;
    if (!wf_es_room(e, c)) return WEFT_LIMIT;
    uint32_t stream = wf_econn_stream(c);
    if (stream == 0) return WEFT_LIMIT;
    if ((flags & WF_OPEN_RAW) == 0) {
        if (!e->table->timers.no_live_push) flags |= WF_OPEN_SUBSCRIBE;
        if (wf_exact_is(e, &c->peer->key, tree)) flags |= WF_OPEN_EXACT;
    }
    struct esession *es = create(e, c, true, stream, tree, flags);
    if (es == NULL) return WEFT_NO_MEMORY;
    es->began = e->order;
    es->refs++; /* it may end before we return */
    wf_es_run(e, es, &(struct wf_session_event){.kind = WF_E_START}, NULL);
    weft_err err = es->s.phase == WF_S_ENDED ? WEFT_CLOSED : WEFT_OK;
    wf_es_put(e, es);
    if (err == WEFT_OK && out != NULL) *out = es;
    return err;
}

/* The peer's session replaces ours of the same tree, and inherits who waits for it. */
static void inherit(struct engine *e, struct esession *old, struct list *wants)
{
    while (old->wants.first != NULL) {
        struct item *item = old->wants.first;
        wf_list_remove(item);
        wf_list_add(wants, item);
    }
    wf_es_stop(e, old, WEFT_CANCELED, old->s.phase >= WF_S_OPENED, WF_W_OK);
}

void wf_es_accept(struct engine *e, struct conn *c, const struct wf_open *open)
{
    bool raw = (open->flags & WF_OPEN_RAW) != 0;
    struct esession *old = raw ? NULL : wf_es_by_tree(e, c, &open->tree);
    struct list wants = {0};
    if (old != NULL) inherit(e, old, &wants);
    uint32_t flags = open->flags;
    if (e->table->timers.no_live_push) flags &= ~WF_OPEN_SUBSCRIBE;
    struct esession *es = create(e, c, false, open->stream, &open->tree, flags);
    if (es == NULL) {
        struct wf_err_frame busy = {.stream = open->stream, .code = WF_W_BUSY, .retry_ms = 1000};
        wf_e_control(e, c->id, open->stream, wf_err_encode(WF_F_ERR, &busy));
    } else {
        es->s.wants_exact = !raw && (flags & WF_OPEN_EXACT) == 0 &&
                            wf_exact_is(e, &c->peer->key, &open->tree);
        es->refs++;
        wf_es_run(e, es, &(struct wf_session_event){.kind = WF_E_OPEN, .open = open}, NULL);
    }
    while (wants.first != NULL) {
        struct want *want = (struct want *)((char *)wants.first -
                                            offsetof(struct want, of_session));
        wf_list_remove(&want->of_session);
        if (es == NULL || es->s.phase == WF_S_ENDED) wf_want_done(e, want, WEFT_BUSY, NULL);
        else wf_want_attach(e, want, es);
    }
    if (es != NULL) wf_es_put(e, es);
}
