/* SPDX-License-Identifier: Apache-2.0
 * engine_heal.c - damaged bodies are asked for: one WANT per tree at a time, from the
 * session that was asked longest ago, until a peer's copy has healed them.
 * Called by: engine.c, engine_session.c, engine_frame.c, engine_over.c. May touch: the
 * store's table of damage. Never: dials for it, reads a body. */
#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "damage.h"
#include "engine_state.h"
#include "log.h"

#define ANSWER_NS (5 * WEFT_SEC)     /* a WANT is open for so long              */
#define WAIT_MAX_NS (300 * WEFT_SEC) /* between looks, once everybody was asked */
#define TREES_MAX 64u                /* looked at in one turn                   */

static struct esession *of_heal(struct item *item)
{
    return item == NULL ? NULL
                        : (struct esession *)((char *)item - offsetof(struct esession, of_heal));
}

static wf_store *store_of(const struct engine *e) { return e->table->wf_store; }

/* -- The clock --------------------------------------------------------------------------- */

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

/* All WANTs are open equally long, so the first of the list ends first. */
static void arm(struct engine *e)
{
    const struct esession *first = of_heal(e->healing.first);
    weft_ns next = wf_damage_count(store_of(e)) > 0 ? e->heal_next : WEFT_NEVER;
    if (first != NULL && first->heal_due < next) next = first->heal_due;
    if (next == WEFT_NEVER) weft_timer_stop(e->self, &e->heal);
    else (void)weft_timer_set(e->self, &e->heal, next, 0, on_tick);
}

/* -- Asking ------------------------------------------------------------------------------ */

static bool may_ask(const struct esession *es)
{
    const struct wf_session *s = &es->s;
    bool ready = s->phase == WF_S_RUNNING || s->phase == WF_S_LIVE;
    return ready && es->of_heal.in == NULL && es->by_tree;
}

static void ask(struct engine *e, struct esession *es, uint64_t t)
{
    /* While writes are refused an answer could only fail, and end the session with it. */
    if (wf_kv_failed(wf_store_kv(store_of(e))) != WEFT_OK) return;
    weft_id *ids = wf_malloc(WEFT_WANT_IDS_MAX * sizeof *ids);
    if (ids == NULL) return; /* the next tick */
    struct wf_want want = {.stream = es->s.stream, .ids = (const uint8_t *)ids};
    want.count = wf_damage_take(store_of(e), t, ids, WEFT_WANT_IDS_MAX);
    if (want.count > 0) {
        wf_e_control(e, es->key.conn, es->s.stream, wf_want_encode(&want));
        es->heal_asked = es->heal_left = want.count;
        es->heal_began = e->order;
        es->heal_due = weft_now(e->self) + ANSWER_NS;
        wf_list_add(&e->healing, &es->of_heal);
        wf_es_run(e, es, &(struct wf_session_event){.kind = WF_E_HEALING}, NULL);
    }
    wf_free(ids);
}

/* The one that was asked longest ago; of those that never were, the one of the lowest key. */
static bool comes_before(const struct esession *a, const struct esession *b)
{
    if (a->heal_began != b->heal_began) return a->heal_began < b->heal_began;
    return weft_key_compare(&a->s.peer, &b->s.peer) < 0;
}

/* True: somebody was asked who had not been asked before. */
static bool look_at(struct engine *e, uint64_t t)
{
    wf_tree_info info;
    struct esession *best = NULL;
    if (wf_store_tree_by_number(store_of(e), t, &info) != WEFT_OK) return false;
    for (struct wf_link *at = e->conns.first; at != NULL; at = at->next) {
        const struct conn *c = (const struct conn *)((char *)at - offsetof(struct conn, link));
        struct esession *es = wf_es_by_tree(e, c, &info.tree);
        if (es == NULL) continue;
        if (es->of_heal.in != NULL) return false; /* its answer is on the way */
        if (may_ask(es) && (best == NULL || comes_before(es, best))) best = es;
    }
    if (best == NULL) return false;
    bool fresh = best->heal_began == 0;
    ask(e, best, t);
    return fresh;
}

static void look_at_all(struct engine *e)
{
    bool fresh = false;
    uint64_t t = e->heal_tree;
    for (uint32_t i = 0; i < TREES_MAX; i++) {
        t = wf_damage_tree_after(store_of(e), t);
        if (t == 0) break; /* the next turn begins with the first again */
        fresh |= look_at(e, t);
    }
    e->heal_tree = t;
    if (fresh || t != 0) e->heal_wait = ANSWER_NS;
    else if (e->heal_wait < WAIT_MAX_NS) e->heal_wait *= 2;
    e->heal_next = weft_now(e->self) + e->heal_wait;
}

/* -- Answers ------------------------------------------------------------------------------- */

/* A session that was about to end for want of a body ends now. */
static void close(struct engine *e, struct esession *es)
{
    bool some = es->heal_left < es->heal_asked;
    wf_list_remove(&es->of_heal);
    wf_es_run(
        e, es,
        &(struct wf_session_event){.kind = WF_E_HEAL_OVER, .err = some ? WEFT_OK : WEFT_CORRUPT},
        NULL);
}

static void on_tick(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)timer;
    (void)missed;
    struct engine *e = state;
    struct esession *es;
    weft_ns now = weft_now(self);
    e->order++;
    while ((es = of_heal(e->healing.first)) != NULL && es->heal_due <= now) close(e, es);
    if (e->heal_next <= now) look_at_all(e);
    arm(e);
}

/* Looks at once, and as often as in the beginning. */
static void begin_anew(struct engine *e)
{
    e->heal_wait = ANSWER_NS / 2; /* the look doubles it */
    e->heal_tree = 0;
    look_at_all(e);
    arm(e);
}

void wf_heal_on_applied(struct engine *e, uint64_t conn, uint32_t stream, uint32_t healed)
{
    struct esession *es = wf_es_by_stream(e, conn, stream);
    if (es == NULL || es->of_heal.in == NULL) return;
    es->heal_left -= healed < es->heal_left ? healed : es->heal_left;
    if (es->heal_left > 0) return; /* more is on the way, or the peer has no more */
    close(e, es);
    begin_anew(e);
}

/* -- Occasions ----------------------------------------------------------------------------- */

weft_err wf_heal_start(struct engine *e)
{
    e->heal_wait = ANSWER_NS;
    return wf_damage_listen(store_of(e), weft_self_addr(e->self));
}

void wf_heal_on_bell_take(struct engine *e, struct wf_damage_bell *bell)
{
    begin_anew(e);
    wf_damage_return_take(store_of(e), bell);
}

void wf_heal_session(struct engine *e, struct esession *es)
{
    wf_tree_info info;
    if (wf_damage_count(store_of(e)) == 0 || !may_ask(es)) return;
    if (wf_store_tree(store_of(e), &es->s.tree, &info) != WEFT_OK) return;
    ask(e, es, info.t); /* also while others are asked: it may end before their answers */
    arm(e);
}

void wf_heal_session_ended(struct engine *e, struct esession *es)
{
    if (es->of_heal.in == NULL) return;
    wf_list_remove(&es->of_heal);
    /* When the timer fires, somebody else is asked. */
    if (es->heal_due < e->heal_next) e->heal_next = es->heal_due;
}

void wf_heal_stop(struct engine *e)
{
    if (e->table != NULL) (void)wf_damage_listen(store_of(e), NULL);
}
