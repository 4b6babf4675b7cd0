/* SPDX-License-Identifier: Apache-2.0
 * net_mem_sim.c - the in-memory network in the simulator: segments take virtual time
 * and meet faults drawn from the world's seed. Called by: net_mem.c, tests.
 * May touch: the hub's events, the simulator's clock and chance. Never: real time. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "net_mem.h"

#define REORDER_EXTRA_NS WEFT_MS
#define PPM 1000000u

static void pump(void *arg);

static bool happens(wf_net_hub *hub, uint32_t ppm)
{
    return ppm > 0 && wf_sim_below(hub->sim, PPM) < ppm;
}

static weft_ns delay(wf_net_hub *hub)
{
    const wf_net_faults *f = &hub->faults;
    if (f->delay_max <= f->delay_min) return f->delay_min;
    return f->delay_min + wf_sim_below(hub->sim, f->delay_max - f->delay_min + 1);
}

bool wf_mem_cut_between(const wf_net_hub *hub, const char *a, const char *b)
{
    for (const struct mem_cut *cut = hub->cuts; cut != NULL; cut = cut->next) {
        if (strcmp(cut->host[0], a) == 0 && strcmp(cut->host[1], b) == 0) return true;
        if (strcmp(cut->host[0], b) == 0 && strcmp(cut->host[1], a) == 0) return true;
    }
    return false;
}

static void arrange_pump(wf_net_hub *hub)
{
    if (hub->flying == NULL || hub->flying->due >= hub->pump_at) return;
    hub->pump_at = hub->flying->due;
    /* Without it what flies would never land; the next segment arranges another. */
    if (wf_sim_at(hub->sim, hub->pump_at, pump, hub) != WEFT_OK) hub->pump_at = WEFT_NEVER;
}

static void launch(wf_net_hub *hub, struct mem_event *ev)
{
    struct mem_event **at = &hub->flying;
    while (*at != NULL && (*at)->due <= ev->due) at = &(*at)->next;
    ev->next = *at;
    *at = ev;
    arrange_pump(hub);
}

static struct mem_event *event_create(enum mem_event_type type, const uint8_t *data, size_t len)
{
    struct mem_event *ev = wf_malloc(sizeof *ev + len);
    if (ev == NULL) return NULL;
    memset(ev, 0, sizeof *ev);
    ev->type = type;
    ev->len = len;
    if (len > 0) memcpy(ev->data, data, len);
    return ev;
}

static void event_free(struct mem_event *ev)
{
    if (ev->counted) ev->link->pipe[ev->from].flying -= ev->len;
    wf_free(ev);
}

/* One segment, with the seed's faults. */
static weft_err segment(wf_net_hub *hub, struct mem_link *link, unsigned side, const uint8_t *data,
                        size_t len)
{
    const wf_net_faults *f = &hub->faults;
    struct mem_pipe *p = &link->pipe[side];
    if (happens(hub, f->reset_ppm)) {
        wf_mem_break(link);
        return WEFT_OK;
    }
    if (happens(hub, f->drop_ppm)) return WEFT_OK;
    struct mem_event *ev = event_create(MEM_DATA, data, len);
    if (ev == NULL) return WEFT_NO_MEMORY;
    ev->link = link;
    ev->from = side;
    if (happens(hub, f->corrupt_ppm))
        ev->data[wf_sim_below(hub->sim, len)] ^= (uint8_t)(1u << wf_sim_below(hub->sim, 8));
    if (happens(hub, f->duplicate_ppm)) {
        struct mem_event *twin = event_create(MEM_DATA, ev->data, len);
        if (twin != NULL) {
            twin->link = link;
            twin->from = side;
            twin->due = wf_sim_now(hub->sim) + delay(hub) + f->delay_max;
            launch(hub, twin);
        }
    }
    ev->due = wf_sim_now(hub->sim) + delay(hub);
    if (happens(hub, f->reorder_ppm)) {
        ev->due += f->delay_max + REORDER_EXTRA_NS; /* and what follows overtakes it */
    } else {
        if (ev->due < p->last_due) ev->due = p->last_due;
        p->last_due = ev->due;
    }
    ev->counted = true;
    p->flying += len;
    launch(hub, ev);
    return WEFT_OK;
}

weft_err wf_mem_fly(wf_net_hub *hub, struct mem_link *link, unsigned side, const uint8_t *data,
                    size_t len)
{
    size_t piece = hub->faults.segment_max > 0 ? hub->faults.segment_max : len;
    for (size_t at = 0; at < len && !link->broken; at += piece) {
        weft_err err = segment(hub, link, side, data + at, len - at < piece ? len - at : piece);
        if (err != WEFT_OK) return err;
    }
    return WEFT_OK;
}

void wf_mem_fly_end(wf_net_hub *hub, struct mem_link *link, unsigned side)
{
    struct mem_pipe *p = &link->pipe[side];
    struct mem_event *ev = event_create(MEM_END, NULL, 0);
    if (ev == NULL) { /* then the other side sees a reset, which needs no memory */
        wf_mem_break(link);
        return;
    }
    ev->link = link;
    ev->from = side;
    ev->due = wf_sim_now(hub->sim) + delay(hub);
    if (ev->due < p->last_due) ev->due = p->last_due;
    launch(hub, ev);
}

weft_err wf_mem_fly_dial(wf_net_hub *hub, wf_sock *sock)
{
    struct mem_event *ev = event_create(MEM_DIAL, NULL, 0);
    if (ev == NULL) return WEFT_NO_MEMORY;
    ev->sock = sock;
    ev->due = wf_sim_now(hub->sim) + delay(hub);
    launch(hub, ev);
    return WEFT_OK;
}

static void forget(struct mem_event **list, const struct mem_link *link, const wf_sock *sock)
{
    while (*list != NULL) {
        struct mem_event *ev = *list;
        if ((link != NULL && ev->link == link) || (sock != NULL && ev->sock == sock)) {
            *list = ev->next;
            event_free(ev);
        } else {
            list = &ev->next;
        }
    }
}

void wf_mem_forget_link(wf_net_hub *hub, const struct mem_link *link)
{
    forget(&hub->flying, link, NULL);
    forget(&hub->held, link, NULL);
}

void wf_mem_forget_dial(wf_net_hub *hub, const wf_sock *sock) { forget(&hub->flying, NULL, sock); }

/* It has arrived. A repeated segment that finds no room is lost, which a network that
 * repeats segments may do as well. */
static void land(wf_net_hub *hub, struct mem_event *ev)
{
    struct mem_link *link = ev->link;
    if (ev->type == MEM_DIAL) {
        if (happens(hub, hub->faults.dial_fail_ppm)) {
            ev->sock->state = MEM_REFUSED;
            wf_mem_wake(ev->sock);
        } else {
            wf_mem_join(hub, ev->sock);
        }
        event_free(ev);
        return;
    }
    struct mem_pipe *p = &link->pipe[ev->from];
    size_t room = MEM_PIPE_BYTES - p->len - (p->flying - (ev->counted ? ev->len : 0));
    wf_sock *to = link->side[1 - ev->from];
    if (link->broken || to == NULL) {
        /* nobody is there to read it */
    } else if (ev->type == MEM_END) {
        p->ended = true;
    } else if (!p->ended && ev->len <= room) {
        wf_mem_put(p, ev->data, ev->len);
    }
    unsigned from = ev->from;
    event_free(ev);
    wf_mem_wake(to);
    wf_mem_wake(link->side[from]); /* a lost segment leaves room behind, too */
}

static void pump(void *arg)
{
    wf_net_hub *hub = arg;
    wf_lock_take(hub->lock);
    weft_ns now = wf_sim_now(hub->sim);
    if (hub->pump_at <= now) hub->pump_at = WEFT_NEVER;
    while (hub->flying != NULL && hub->flying->due <= now) {
        struct mem_event *ev = hub->flying;
        hub->flying = ev->next;
        if (ev->link != NULL && wf_mem_cut_between(hub, ev->link->host[0], ev->link->host[1])) {
            struct mem_event **at = &hub->held;
            while (*at != NULL) at = &(*at)->next;
            ev->next = NULL;
            *at = ev;
        } else {
            land(hub, ev);
        }
    }
    arrange_pump(hub);
    wf_lock_give(hub->lock);
}

void wf_net_hub_faults(wf_net_hub *hub, const wf_net_faults *faults)
{
    wf_lock_take(hub->lock);
    hub->faults = *faults;
    wf_lock_give(hub->lock);
}

/* What waited at the cut goes on in its order. */
static void release_held(wf_net_hub *hub)
{
    struct mem_event *list = hub->held, *stay = NULL, **stay_end = &stay;
    hub->held = NULL;
    while (list != NULL) {
        struct mem_event *ev = list;
        list = ev->next;
        ev->next = NULL;
        if (wf_mem_cut_between(hub, ev->link->host[0], ev->link->host[1])) {
            *stay_end = ev;
            stay_end = &ev->next;
        } else {
            ev->due = wf_sim_now(hub->sim);
            launch(hub, ev);
        }
    }
    hub->held = stay;
}

weft_err wf_net_hub_partition(wf_net_hub *hub, const char *host_a, const char *host_b, bool cut)
{
    weft_err err = WEFT_OK;
    wf_lock_take(hub->lock);
    bool is_cut = wf_mem_cut_between(hub, host_a, host_b);
    if (cut && !is_cut) {
        struct mem_cut *c = wf_calloc(1, sizeof *c);
        err = WEFT_NO_MEMORY;
        if (c == NULL) goto done;
        err = WEFT_OK;
        strncpy(c->host[0], host_a, MEM_HOST_BYTES - 1);
        strncpy(c->host[1], host_b, MEM_HOST_BYTES - 1);
        c->next = hub->cuts;
        hub->cuts = c;
    } else if (!cut && is_cut) {
        for (struct mem_cut **at = &hub->cuts; *at != NULL;) {
            struct mem_cut *c = *at;
            if ((strcmp(c->host[0], host_a) == 0 && strcmp(c->host[1], host_b) == 0) ||
                (strcmp(c->host[0], host_b) == 0 && strcmp(c->host[1], host_a) == 0)) {
                *at = c->next;
                wf_free(c);
            } else {
                at = &c->next;
            }
        }
        if (hub->sim != NULL) release_held(hub);
    }
done:
    wf_lock_give(hub->lock);
    return err;
}
