/* SPDX-License-Identifier: Apache-2.0
 * engine_conn.c - connections: what begins when one comes up, what ends when it goes.
 * Called by: engine.c, engine_frame.c. May touch: connections, their peers.
 * Never: dials. */
#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "engine_state.h"
#include "keyring.h"
#include "log.h"

#define OPEN_REST_NS (250 * WEFT_MS)    /* the side that was dialled opens what is left */
#define REDIAL_NS (100 * WEFT_MS)       /* after a loss, by the one who had dialled */
#define REDIAL_OTHER_NS (600 * WEFT_MS) /* and by the other, if nothing came */

static struct conn *of_link(struct wf_link *link)
{
    return link == NULL ? NULL : (struct conn *)((char *)link - offsetof(struct conn, link));
}

struct conn *wf_econn_find(struct engine *e, uint64_t id)
{
    return of_link(wf_table_find(&e->conns, &id));
}

void wf_econn_put(struct engine *e, struct conn *c)
{
    (void)e;
    WF_ASSERT(c->refs > 0);
    if (--c->refs > 0 || !c->gone) return;
    weft_drop(&c->up->msg);
    wf_free(c);
}

uint32_t wf_econn_stream(struct conn *c)
{
    if (c->next_stream > INT32_MAX) return 0;
    uint32_t stream = c->next_stream;
    c->next_stream += 2;
    return stream;
}

void wf_econn_close(struct engine *e, struct conn *c, weft_err why, const char *text)
{
    struct wf_tp_close *close = wf_tp_new(&wf_tp_close_kind);
    if (close == NULL) return;
    close->conn = c->id;
    close->why = why;
    strncpy(close->text, text, sizeof close->text - 1);
    wf_e_send(e, e->table->transport, &close->msg);
}

/* -- Up ------------------------------------------------------------------------------ */

static void note_connected(struct engine *e, const struct conn *c)
{
    struct wf_peer_note *note = wf_e_note_peer(&c->peer->key, WF_NOTE_CONNECTED, WEFT_OK);
    if (note == NULL) return;
    memcpy(note->name, c->up->peer_name, sizeof note->name);
    if (c->up->dialled) memcpy(note->worked, c->up->address, sizeof note->worked);
    note->addresses_count = c->up->listens_count;
    memcpy(note->addresses, c->up->listens, sizeof note->addresses);
    wf_e_send(e, e->table->peers, &note->msg);
}

void wf_econn_registered(struct engine *e, struct conn *c)
{
    if (c->known || c->gone) return;
    c->known = true;
    note_connected(e, c);
}

/* Opens a session for each tree that is related to the peer and has none. The key that we act
 * with in a tree is shown before its OPEN, and by itself where the peer was the first. */
static void on_trees(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct conn *c = arg;
    const struct wf_peer_req *trees = (const struct wf_peer_req *)req;
    e->order++;
    if (err == WEFT_OK && !c->gone) {
        c->known = true;
        for (uint32_t i = 0; i < trees->count; i++) {
            if (wf_es_by_tree(e, c, &trees->ids[i]) != NULL) {
                wf_prove_alone(e, c, &trees->ids[i]);
                continue;
            }
            if (!wf_e_serves(e, &trees->ids[i])) continue; /* it is opened when it is served */
            if (wf_es_open(e, c, &trees->ids[i], 0, NULL) != WEFT_OK) break; /* later ticks */
        }
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_econn_put(e, c);
}

void wf_econn_open_related(struct engine *e, struct conn *c)
{
    struct wf_peer_req *req = wf_peer_req_create(WF_PEER_TREES);
    if (req == NULL) return;
    req->peer = c->peer->key;
    c->refs++;
    if (!wf_e_ask(e, e->table->peers, &req->req, on_trees, c)) wf_econn_put(e, c);
}

static void on_open_rest(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)missed;
    struct engine *e = state;
    e->order++;
    wf_econn_open_related(e, (struct conn *)((char *)timer - offsetof(struct conn, open_rest)));
}

static struct conn *conn_create(struct engine *e, struct wf_tp_up *up)
{
    struct conn *c = wf_calloc(1, sizeof *c);
    struct peer *p = c == NULL ? NULL : wf_peer_need(e, &up->key);
    if (p == NULL) {
        wf_free(c);
        return NULL;
    }
    c->id = up->conn;
    c->up = up;
    c->refs = 1;
    c->next_stream = up->dialled ? 1 : 2;
    if (wf_table_add(&e->conns, &c->link) != WEFT_OK) {
        wf_peer_settle(e, p);
        wf_free(c);
        return NULL;
    }
    c->peer = p;
    wf_list_add(&p->conns, &c->item);
    return c;
}

void wf_econn_on_up(struct engine *e, struct wf_tp_up *up)
{
    struct conn refused = {.id = up->conn};
    weft_err err = wf_peers_may_connect((void *)(uintptr_t)e->table, &up->key, weft_now(e->self));
    if (err != WEFT_OK) {
        wf_econn_close(e, &refused, err, err == WEFT_BLOCKED ? "blocked" : "refused");
        weft_drop(&up->msg);
        return;
    }
    struct conn *c = conn_create(e, up);
    if (c == NULL) {
        wf_econn_close(e, &refused, WEFT_NO_MEMORY, "out of memory");
        weft_drop(&up->msg);
        return;
    }
    wf_counter_add(&e->table->counters->connections, 1);
    note_connected(e, c);
    wf_e_event(e, &(weft_event){.kind = WEFT_EV_PEER_UP, .peer = up->key});
    wf_join_tell_up(e, c);
    if (up->dialled) wf_econn_open_related(e, c);
    else
        (void)weft_timer_set(e->self, &c->open_rest, weft_now(e->self) + OPEN_REST_NS, 0,
                             on_open_rest);
    c->refs++;
    wf_dial_up(e, c->peer, c);
    wf_econn_put(e, c);
}

/* -- Down ---------------------------------------------------------------------------- */

static bool worth_a_redial(weft_err why)
{
    return why != WEFT_BLOCKED && why != WEFT_PEER_KEY && why != WEFT_PEER_VERSION &&
           why != WEFT_AUTH;
}

void wf_econn_drop(struct engine *e, struct conn *c, weft_err why)
{
    struct peer *p = c->peer;
    if (c->gone) return;
    c->gone = true;
    p->refs++; /* whoever waits for a session may try to dial, fail, and let go of it */
    weft_timer_stop(e->self, &c->open_rest);
    wf_table_remove(&e->conns, &c->link);
    wf_list_remove(&c->item);
    if (p->conns.first == NULL) wf_keyring_drop(e->table->keyring, &p->key);
    while (c->sessions.first != NULL) {
        struct esession *es = (struct esession *)((char *)c->sessions.first -
                                                  offsetof(struct esession, of_conn));
        wf_es_stop(e, es, why, false, WF_W_OK);
    }
    wf_cmd_requests_down(e, c, why);
    wf_counter_sub(&e->table->counters->connections, 1);
    wf_peer_put(e, p);
    wf_econn_put(e, c);
}

void wf_econn_on_down(struct engine *e, const struct wf_tp_down *down)
{
    struct conn *c = wf_econn_find(e, down->conn);
    if (c == NULL) return;
    weft_key key = c->peer->key;
    bool dialled = c->up->dialled, known = c->known;
    weft_err why = down->why == WEFT_OK ? WEFT_CLOSED : down->why;
    wf_econn_drop(e, c, why);
    wf_e_event(e, &(weft_event){.kind = WEFT_EV_PEER_DOWN, .peer = key, .err = down->why});
    if (wf_peer_conn(e, &key) != NULL) return; /* another one lives */
    struct wf_peer_note *note = wf_e_note_peer(&key, WF_NOTE_DISCONNECTED, down->why);
    if (note != NULL) wf_e_send(e, e->table->peers, &note->msg);
    if (known && worth_a_redial(down->why))
        wf_dial_auto(e, &key, wf_e_jitter(e, dialled ? REDIAL_NS : REDIAL_OTHER_NS));
}
