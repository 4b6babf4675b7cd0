/* SPDX-License-Identifier: Apache-2.0
 * serve.c - requests to start, restart and stop listeners; names to listen at are looked up first.
 * Called by: manager.c (requests), the resolver's answers. May touch: named transports.
 * Never: waits; starts a listener of a transport that was replaced meanwhile. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "manager.h"

struct serving { /* a request to start, until all that it is about have an answer */
    struct wf_manager *m;
    struct wf_tp_server *req;
    uint32_t looking, good; /* look-ups under way; listeners that were started */
    weft_err first;         /* failure */
};

/* OK if one started, or there was none to start. */
static void settle(struct serving *s)
{
    if (s->looking > 0) return;
    weft_reply(&s->req->req, s->good > 0 ? WEFT_OK : s->first);
    wf_free(s);
}

static void note(struct serving *s, const char *name, weft_err err)
{
    if (err == WEFT_OK) s->good++;
    else if (s->first == WEFT_OK) s->first = err;
    if (err != WEFT_OK && s->req->name[0] == '\0')
        wf_log(WEFT_LOG_WARN, "transport", "start name=%s err=%s", name, weft_errname(err));
}

static weft_err start_looked_up(struct wf_manager *m, const struct wf_resolve *r)
{
    struct wf_transport *t = wf_route_named(m, r->name);
    if (t == NULL || strcmp(t->listen, r->address) != 0) return WEFT_CANCELED;
    return wf_listen_start(t, r->literal);
}

static void on_looked_up(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    struct serving *s = arg;
    const struct wf_resolve *r = (const struct wf_resolve *)req;
    (void)self;
    (void)state;
    if (err == WEFT_CANCELED) err = WEFT_CLOSED; /* this actor is ending */
    if (err == WEFT_OK) err = start_looked_up(s->m, r);
    note(s, r == NULL ? "" : r->name, err);
    s->looking--;
    settle(s);
    weft_drop(req == NULL ? NULL : &req->msg);
}

static weft_err look_up(struct serving *s, struct wf_transport *t)
{
    if (t->net->net->ops->listen_name == NULL) return WEFT_ADDRESS;
    struct wf_resolve *r = (struct wf_resolve *)weft_new(&wf_resolve_kind);
    if (r == NULL) return WEFT_NO_MEMORY;
    r->net = wf_tp_net_ref(t->net);
    r->to_listen = true;
    memcpy(r->address, t->listen, sizeof r->address);
    memcpy(r->name, t->name, sizeof r->name);
    weft_err err = weft_ask(s->m->self, s->m->options.resolver, &r->req, WEFT_NEVER, on_looked_up,
                            s, NULL);
    if (err == WEFT_OK) s->looking++;
    else weft_drop(&r->req.msg);
    return err;
}

static void start(struct serving *s, struct wf_transport *t)
{
    weft_err err = wf_listen_start(t, t->listen);
    if (err == WEFT_AGAIN) {
        err = look_up(s, t);
        if (err == WEFT_OK) return;
    }
    note(s, t->name, err);
}

/* Where it listened, so that who knows it finds it again. */
static void restart(struct serving *s, struct wf_transport *t)
{
    char at[WEFT_ADDRESS_BYTES_MAX];
    if (t->listener == NULL) {
        start(s, t);
        return;
    }
    memcpy(at, t->bound, sizeof at);
    (void)wf_listen_stop(t);
    note(s, t->name, wf_listen_start(t, at));
}

static weft_err stop(struct wf_manager *m, const char *name)
{
    struct wf_transport *t = wf_route_named(m, name);
    if (name[0] != '\0') return t == NULL ? WEFT_NOT_FOUND : wf_listen_stop(t);
    for (uint32_t i = 0; i < m->transports_count; i++) (void)wf_listen_stop(m->transports[i]);
    return WEFT_OK;
}

weft_verdict wf_serve(struct wf_manager *m, struct wf_tp_server *req)
{
    req->name[sizeof req->name - 1] = '\0';
    struct serving *s = NULL;
    if (req->start) s = wf_calloc(1, sizeof *s);
    if (s == NULL) {
        weft_reply(&req->req, req->start ? WEFT_NO_MEMORY : stop(m, req->name));
        return WEFT_KEPT;
    }
    s->m = m;
    s->req = req;
    struct wf_transport *one = wf_route_named(m, req->name);
    if (one != NULL && req->again) restart(s, one);
    else if (one != NULL) start(s, one);
    else if (req->name[0] != '\0') s->first = WEFT_NOT_FOUND;
    else
        for (uint32_t i = 0; i < m->transports_count; i++) start(s, m->transports[i]);
    settle(s);
    return WEFT_KEPT;
}
