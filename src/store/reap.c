/* SPDX-License-Identifier: Apache-2.0
 * reap.c - when the rows of removed trees are deleted: between other work.
 * Called by: store_actor.c, recover.c and its own timer, on the store's thread. May touch: the
 * desk, the engine through removal.c. Never: waits, or takes more than half of the thread's time. */
#include "block.h"
#include "desk.h"
#include "log.h"

#include <weft/supervise.h>

#define SLICE_KEYS 512u
#define AGAIN_NS WEFT_SEC        /* memory was short, or the engine failed     */
#define LATER_NS (60 * WEFT_SEC) /* the disk is full                         */

/* -- Room on the disk ------------------------------------------------------------------- */

struct reclaim {
    weft_msg msg;
    wf_kv *kv;
    uint64_t t;
};
static const weft_kind reclaim_kind = {
    .id = 0x050d, .name = "store.reclaim", .size = sizeof(struct reclaim), .drop = weft_free_msg};

static weft_verdict reclaim_handle(weft_self *self, void *state, weft_msg *msg)
{
    const struct reclaim *what = (const struct reclaim *)msg;
    (void)self;
    (void)state;
    wf_removal_reclaim(what->kv, what->t);
    return WEFT_DONE;
}

/* On a thread of its own, for it may take long. Where memory is short the engine comes to it by
 * itself, some day. */
static void reclaim(struct wf_desk *desk, uint64_t t)
{
    static const weft_spec spec = {.name = "store.reclaim", .handle = reclaim_handle};
    if (!wf_kv_keeps_room(desk->store->kv)) return;
    if (desk->reclaimer == NULL &&
        weft_spawn_child(desk->self, &spec, &desk->reclaimer) != WEFT_OK) {
        desk->reclaimer = NULL;
        return;
    }
    struct reclaim *what = (struct reclaim *)weft_new(&reclaim_kind);
    if (what == NULL) return;
    what->kv = desk->store->kv;
    what->t = t;
    if (weft_send(desk->reclaimer, &what->msg) != WEFT_OK) weft_drop(&what->msg);
}

void wf_desk_reap_fini(struct wf_desk *desk)
{
    weft_addr_put(desk->reclaimer);
    wf_removal_fini(&desk->removal);
}

/* -- When ------------------------------------------------------------------------------- */

static void on_reap(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

static void try_after(struct wf_desk *desk, weft_ns wait)
{
    weft_timer_set(desk->self, &desk->reap, weft_now(desk->self) + wait, 0, on_reap);
}

/* A failed engine is opened again, and goes on from there. While the disk is waited for, the end
 * of that says first who is to be told what. */
static void failed(struct wf_desk *desk, weft_err err)
{
    weft_err engine = wf_kv_failed(desk->store->kv);
    if (engine == WEFT_OK && !desk->reap_told)
        wf_log(WEFT_LOG_WARN, "store", "what is left of a removed tree cannot be deleted now: %s",
               weft_errname(err));
    desk->reap_told = true;
    if (engine != WEFT_OK && !desk->syncing) {
        wf_desk_flush(desk);
        wf_desk_stop(desk, engine);
    }
    bool soon = engine != WEFT_OK || err == WEFT_NO_MEMORY;
    try_after(desk, soon ? AGAIN_NS : LATER_NS);
}

static void on_reap(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    bool more = true;
    (void)timer;
    (void)missed;
    desk->self = self;
    if (desk->phase != WF_DESK_TAKING) {
        try_after(desk, AGAIN_NS);
        return;
    }
    weft_ns began = weft_rt_now(desk->store->rt);
    weft_err err = wf_removal_step(desk->store, &desk->removal, SLICE_KEYS, &more);
    if (err != WEFT_OK) {
        failed(desk, err);
        return;
    }
    desk->reap_told = false;
    if (desk->removal.done != 0) reclaim(desk, desk->removal.done);
    desk->removal.done = 0;
    if (more) try_after(desk, weft_rt_now(desk->store->rt) - began);
}

void wf_desk_reap(struct wf_desk *desk)
{
    if (desk->reap.heap_at == 0 && wf_removal_is_due(desk->store)) try_after(desk, 0);
}
