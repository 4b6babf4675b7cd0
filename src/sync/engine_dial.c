/* SPDX-License-Identifier: Apache-2.0
 * engine_dial.c - getting a connection to a peer: for a command, or because one broke.
 * Called by: engine_conn.c, engine_want.c, engine_timer.c, commands. May touch: peers.
 * Never: two dials to one peer at once. */
#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "declared.h"
#include "engine_state.h"
#include "log.h"

#define BACKOFF_NS WEFT_SEC

/* -- Peers that concern us now ------------------------------------------------------- */

static struct peer *peer_find(struct engine *e, const weft_key *key)
{
    return (struct peer *)wf_table_find(&e->peers, key->bytes);
}

struct peer *wf_peer_need(struct engine *e, const weft_key *key)
{
    struct peer *p = peer_find(e, key);
    if (p != NULL) return p;
    p = wf_calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->key = *key;
    if (wf_table_add(&e->peers, &p->link) == WEFT_OK) return p;
    wf_free(p);
    return NULL;
}

void wf_peer_settle(struct engine *e, struct peer *p)
{
    if (p->conns.first != NULL || p->waits.first != NULL || p->dialling || p->gone) return;
    if (p->timer.heap_at != 0 || p->sessions_count > 0 || p->offers > 0) return;
    p->gone = true;
    wf_table_remove(&e->peers, &p->link);
    wf_free(p->info);
    p->info = NULL;
    if (p->refs == 0) wf_free(p);
}

void wf_peer_put(struct engine *e, struct peer *p)
{
    WF_ASSERT(p->refs > 0);
    p->refs--;
    if (p->gone && p->refs == 0) wf_free(p);
    else wf_peer_settle(e, p);
}

struct conn *wf_peer_conn(struct engine *e, const weft_key *key)
{
    struct peer *p = peer_find(e, key);
    if (p == NULL) return NULL;
    /* Of two, the one that the lower key dialled stays (DESIGN section 4). */
    bool lower = weft_key_compare(&e->table->self, key) < 0;
    struct conn *last = NULL;
    for (struct item *at = p->conns.first; at != NULL; at = at->next) {
        struct conn *c = (struct conn *)at;
        last = c;
        if (c->up->dialled == lower) return c;
    }
    return last;
}

/* -- Dialling ------------------------------------------------------------------------ */

static void dial_next(struct engine *e, struct peer *p, weft_err err);

static void waits_run(struct engine *e, struct peer *p, weft_err err, struct conn *c)
{
    while (p->waits.first != NULL) {
        struct conn_wait *wait = (struct conn_wait *)p->waits.first;
        wf_list_remove(&wait->item);
        wait->fn(e, wait, err, c);
    }
}

static void note_failed(struct engine *e, struct peer *p, weft_err err)
{
    struct wf_peer_note *note = wf_e_note_peer(&p->key, WF_NOTE_FAILED, err);
    if (note != NULL) wf_e_send(e, e->table->peers, &note->msg);
    wf_e_note_pair(e, &p->key, NULL, WF_Q_FAILED, 0);
    wf_declared_reached(e, &p->key, err);
}

static void on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

/* The dial is over: with a connection (err is OK) or without one. */
static void dial_ended(struct engine *e, struct peer *p, weft_err err)
{
    bool again = p->info != NULL && p->info->status == WEFT_PEER_ACTIVE &&
                 p->info->addresses_count > 0 && p->info->trees_count > 0;
    bool tried = p->info != NULL && p->info->addresses_count > 0;
    p->dialling = false;
    p->wanted = false;
    wf_free(p->info);
    p->info = NULL;
    struct conn *c = wf_peer_conn(e, &p->key);
    if (c != NULL) {
        p->attempts = 0;
        p->next_dial = 0;
        waits_run(e, p, WEFT_OK, c);
        return;
    }
    if (err == WEFT_OK) err = WEFT_UNREACHABLE; /* it came up and broke at once */
    uint32_t exponent = ++p->attempts < WEFT_BACKOFF_EXPONENT_MAX ? p->attempts
                                                                  : WEFT_BACKOFF_EXPONENT_MAX;
    weft_ns wait = wf_e_jitter(e, BACKOFF_NS << exponent);
    p->next_dial = weft_now(e->self) + wait;
    if (tried) note_failed(e, p, err);
    waits_run(e, p, err, NULL);
    if (again) wf_dial_auto(e, &p->key, wait);
}

static void on_dialled(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct peer *p = arg;
    e->order++;
    weft_drop(req == NULL ? NULL : &req->msg);
    if (p->dialling) {
        if (err == WEFT_OK || wf_peer_conn(e, &p->key) != NULL) dial_ended(e, p, WEFT_OK);
        else dial_next(e, p, err);
    }
    wf_peer_put(e, p);
}

/* Tries the next address; `err` is what the one before it gave. */
static void dial_next(struct engine *e, struct peer *p, weft_err err)
{
    while (p->info != NULL && p->address < p->info->addresses_count) {
        const char *address = p->info->addresses[p->address++];
        struct wf_tp_dial *dial = wf_tp_new(&wf_tp_dial_kind);
        if (dial == NULL) {
            err = WEFT_NO_MEMORY;
            break;
        }
        memcpy(dial->address, address, sizeof dial->address);
        dial->expect = true;
        dial->key = p->key;
        p->refs++;
        weft_ns deadline = weft_now(e->self) + WEFT_DIAL_TIMEOUT_NS;
        err = weft_ask(e->self, e->table->transport, &dial->req, deadline, on_dialled, p, NULL);
        if (err == WEFT_OK) return;
        p->refs--;
        weft_drop(&dial->req.msg);
    }
    dial_ended(e, p, err);
}

static void on_info(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct engine *e = state;
    struct peer *p = arg;
    const struct wf_peer_req *found = (const struct wf_peer_req *)req;
    e->order++;
    if (p->dialling) {
        if (err == WEFT_OK) {
            p->info = wf_memdup(&found->info, sizeof found->info);
            if (p->info == NULL) err = WEFT_NO_MEMORY;
        }
        bool idle = err == WEFT_OK && !p->wanted &&
                    (p->info->status != WEFT_PEER_ACTIVE || p->info->trees_count == 0);
        if (err == WEFT_OK && p->info->addresses_count == 0) err = WEFT_UNREACHABLE;
        if (err == WEFT_OK && !idle) {
            struct wf_peer_note *note = wf_e_note_peer(&p->key, WF_NOTE_CONNECTING, WEFT_OK);
            if (note != NULL) wf_e_send(e, e->table->peers, &note->msg);
            dial_next(e, p, WEFT_UNREACHABLE);
        } else {
            dial_ended(e, p, err);
        }
    }
    weft_drop(req == NULL ? NULL : &req->msg);
    wf_peer_put(e, p);
}

static void dial_begin(struct engine *e, struct peer *p, bool wanted)
{
    p->wanted |= wanted;
    if (p->dialling) return;
    weft_timer_stop(e->self, &p->timer);
    struct wf_peer_req *get = wf_peer_req_create(WF_PEER_GET);
    p->dialling = true;
    p->address = 0;
    if (get != NULL) {
        get->peer = p->key;
        get->by_worth = true;
        p->refs++;
        if (wf_e_ask(e, e->table->peers, &get->req, on_info, p)) return;
        p->refs--;
    }
    dial_ended(e, p, get == NULL ? WEFT_NO_MEMORY : WEFT_CLOSED);
}

/* -- The doors ----------------------------------------------------------------------- */

void wf_e_connect(struct engine *e, const weft_key *key, struct conn_wait *wait)
{
    struct conn *c = wf_peer_conn(e, key);
    if (c != NULL) {
        wait->fn(e, wait, WEFT_OK, c);
        return;
    }
    struct peer *p = wf_peer_need(e, key);
    if (p == NULL) {
        wait->fn(e, wait, WEFT_NO_MEMORY, NULL);
        return;
    }
    wf_list_add(&p->waits, &wait->item);
    p->refs++;
    dial_begin(e, p, true);
    wf_peer_put(e, p);
}

void wf_e_disconnect_wait(struct engine *e, const weft_key *key, struct conn_wait *wait)
{
    wf_list_remove(&wait->item);
    struct peer *p = peer_find(e, key);
    if (p != NULL) wf_peer_settle(e, p);
}

void wf_dial_up(struct engine *e, struct peer *p, struct conn *c)
{
    p->attempts = 0;
    p->next_dial = 0;
    weft_timer_stop(e->self, &p->timer);
    wf_declared_reached(e, &p->key, WEFT_OK);
    waits_run(e, p, WEFT_OK, c);
}

static void on_timer(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    (void)self;
    (void)missed;
    struct engine *e = state;
    struct peer *p = (struct peer *)((char *)timer - offsetof(struct peer, timer));
    e->order++;
    p->refs++;
    if (p->conns.first == NULL) dial_begin(e, p, false);
    wf_peer_put(e, p);
}

void wf_dial_auto(struct engine *e, const weft_key *key, weft_ns wait)
{
    struct peer *p = wf_peer_need(e, key);
    if (p == NULL || p->dialling || p->conns.first != NULL) return;
    weft_ns at = weft_now(e->self) + wait;
    if (at < p->next_dial) at = p->next_dial;
    if (p->timer.heap_at != 0 && p->timer.at <= at) return;
    if (weft_timer_set(e->self, &p->timer, at, 0, on_timer) != WEFT_OK) wf_peer_settle(e, p);
}

void wf_dial_off(struct engine *e, struct peer *p) { weft_timer_stop(e->self, &p->timer); }
