/* SPDX-License-Identifier: Apache-2.0
 * recover.c - after a failed write: stop, open the engine again, go on.
 * Called by: store_actor.c and its own timer, on the store's thread. May touch: the desk,
 * the engine (reopen). Never: writes, waits, or takes for lost what may be there. */
#include "block.h"
#include "desk.h"
#include "log.h"

#define TRY_SOON_NS (5 * WEFT_MS)
#define TRIES_SOON 6000u /* half a minute; from then on one try a second */
#define TRY_LATER_NS WEFT_SEC
#define WAIT_LEAST_NS (100 * WEFT_MS)
#define WAIT_MOST_NS (30 * WEFT_SEC)

static void on_recover(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

static void try_after(struct wf_desk *desk, weft_ns wait)
{
    weft_timer_set(desk->self, &desk->recover, weft_now(desk->self) + wait, 0, on_recover);
}

/* An actor's first timer allocates. A store that stops for want of memory would never try
 * again if that one were its first. */
weft_err wf_desk_prepare(struct wf_desk *desk)
{
    weft_err err = weft_timer_set(desk->self, &desk->recover, WEFT_NEVER, 0, on_recover);
    weft_timer_stop(desk->self, &desk->recover);
    return err;
}

/* What is told of the store goes by the bells: at once to whose bell is here. */
static void tell(struct wf_desk *desk)
{
    desk->bells.store_err = desk->failed;
    wf_bells_ring(&desk->bells, desk->store);
}

/* A disk that takes a write, is opened again and refuses the next is asked less and less
 * often too: only a write that is taken sets the wait back. */
static void wait_longer(struct wf_desk *desk)
{
    desk->wait = desk->wait == 0 ? WAIT_LEAST_NS : desk->wait * 2;
    if (desk->wait > WAIT_MOST_NS) desk->wait = WAIT_MOST_NS;
}

void wf_desk_stop(struct wf_desk *desk, weft_err err)
{
    if (desk->phase != WF_DESK_TAKING) return;
    desk->phase = WF_DESK_STOPPED;
    desk->failed = wf_fail(err, "store",
                           "a batch could not be written: writes are refused until the store "
                           "could be opened again, reads go on");
    desk->bells.outages = wf_counter_add(&desk->store->counters.outages, 1);
    desk->stopped_at = weft_now(desk->self);
    desk->tries = 0;
    weft_timer_stop(desk->self, &desk->lazy_timer);
    tell(desk);
    try_after(desk, desk->wait);
    wait_longer(desk);
}

static void go_on(struct wf_desk *desk)
{
    weft_ns away = weft_now(desk->self) - desk->stopped_at;
    desk->phase = WF_DESK_TAKING;
    desk->failed = WEFT_OK;
    wf_bells_reset(&desk->bells, desk->store);
    wf_gate_look(desk); /* a batch that had failed may be there */
    wf_desk_shelf_due(desk);
    desk->removal.t = 0; /* slices that the disk did not take are deleted again */
    wf_desk_reap(desk);  /* and it may have removed a tree */
    tell(desk);
    wf_log(WEFT_LOG_INFO, "store", "writes are taken again after %llu ms",
           (unsigned long long)(away / WEFT_MS));
}

static void end(struct wf_desk *desk, weft_err err)
{
    desk->phase = WF_DESK_ENDING;
    desk->failed = wf_fail(err, "store",
                           "the store cannot go on; weft-fsck --salvage saves what can be read");
    desk->flush_due = true; /* also when the mailbox is full now */
    wf_desk_ask_flush(desk);
}

/* Somebody reads at this moment. */
static void try_again(struct wf_desk *desk)
{
    desk->tries++;
    if (desk->tries == TRIES_SOON)
        wf_log(WEFT_LOG_WARN, "store", "a reader holds the store: it cannot be opened again");
    try_after(desk, desk->tries < TRIES_SOON ? TRY_SOON_NS : TRY_LATER_NS);
}

static void on_recover(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    (void)timer;
    (void)missed;
    desk->self = self;
    wf_desk_flush(desk); /* refuses what came meanwhile; nothing stays in the batch */
    /* As a reader does, a sync that is still under way holds the engine. */
    weft_err err = desk->syncing ? WEFT_AGAIN : wf_kv_reopen(desk->store->kv);
    if (err == WEFT_AGAIN) {
        try_again(desk);
        return;
    }
    desk->tries = 0;
    if (err == WEFT_OK) err = wf_store_reload(desk->store);
    switch ((int)err) {
    case WEFT_OK: go_on(desk); break;
    case WEFT_CORRUPT:
    case WEFT_VERSION:
    case WEFT_NOT_STORE:
    case WEFT_UNSUPPORTED: end(desk, err); break;
    default: try_after(desk, desk->wait); wait_longer(desk);
    }
}
