/* SPDX-License-Identifier: Apache-2.0
 * monitor.c - who hears of an actor's end: the message is made when it is ordered, travels to
 * the watched actor, waits there and comes back at its end.
 * Called by: actors, child.c, end.c, kill.c, on the thread of the actor concerned.
 * Never: allocates at an end; a weft_down is touched only by who has it, but for `state` and
 * `same`, which stay the watcher's. */
#include "alloc.h"
#include "child.h"
#include "log.h"

#define ROOM_FIRST 8u

enum { DOWN_SET, DOWN_OFF };

static void down_drop(weft_msg *msg)
{
    weft_down *down = (weft_down *)msg;
    if (down->link) {
        wf_link_put(down);
        return;
    }
    weft_addr_put(down->addr);
    weft_addr_put(down->watcher);
    wf_free(down);
}

const weft_kind weft_kind_down = {0, "weft.down", sizeof(weft_down), down_drop};
const weft_kind wf_kind_cancel = {0, "weft.cancel", sizeof(weft_msg), NULL};

/* -- The watcher's table: by tag, which only counts up ------------------------------------ */

static weft_down **bucket_of(const struct wf_ext *ext, uint64_t tag)
{
    return &ext->monitors[tag & (ext->monitor_room - 1)];
}

static void table_add(struct wf_ext *ext, weft_down *down)
{
    weft_down **bucket = bucket_of(ext, down->tag);
    down->same = *bucket;
    *bucket = down;
}

static weft_down *table_take(struct wf_ext *ext, uint64_t tag)
{
    if (ext == NULL || ext->monitor_room == 0) return NULL;
    weft_down **at = bucket_of(ext, tag);
    while (*at != NULL && (*at)->tag != tag) at = &(*at)->same;
    weft_down *down = *at;
    if (down == NULL) return NULL;
    *at = down->same;
    down->same = NULL;
    ext->monitor_count--;
    return down;
}

/* The first table must be had; a later one only keeps the chains short. */
static weft_err table_grow(struct wf_ext *ext)
{
    uint32_t room = ext->monitor_room, wanted = room == 0 ? ROOM_FIRST : room * 2;
    if (ext->monitor_count < room) return WEFT_OK;
    weft_down **before = ext->monitors, **after = wf_calloc(wanted, sizeof *after);
    if (after == NULL) return room == 0 ? WEFT_NO_MEMORY : WEFT_OK;
    ext->monitors = after;
    ext->monitor_room = wanted;
    for (uint32_t i = 0; i < room; i++) {
        while (before[i] != NULL) {
            weft_down *down = before[i];
            before[i] = down->same;
            table_add(ext, down);
        }
    }
    wf_free(before);
    return WEFT_OK;
}

/* -- The watched one's ring ------------------------------------------------------------------ */

void wf_watchers_add(weft_self *self, weft_down *down)
{
    weft_down *first = self->watchers;
    if (first == NULL) {
        down->prev = down->next = down;
        self->watchers = down;
        return;
    }
    down->prev = first->prev;
    down->next = first;
    first->prev->next = down;
    first->prev = down;
}

void wf_watchers_remove(weft_self *self, weft_down *down)
{
    if (self->watchers == down) self->watchers = down->next == down ? NULL : down->next;
    down->prev->next = down->next;
    down->next->prev = down->prev;
    down->prev = down->next = NULL;
}

/* -- Calls ------------------------------------------------------------------------------------- */

weft_err weft_monitor(weft_self *self, weft_addr *addr, uint64_t *tag)
{
    if (addr == self->addr || addr->self == NULL) return WEFT_INVALID;
    if (wf_self_is_foreign(self, "weft_monitor")) return WEFT_INVALID;
    if (self->phase != WF_PHASE_NEW && self->phase != WF_PHASE_RUNNING) return WEFT_CLOSED;
    struct wf_ext *ext = wf_ext(self);
    if (ext == NULL || table_grow(ext) != WEFT_OK) return WEFT_NO_MEMORY;
    if (ext->monitor_count >= WEFT_MONITORS_MAX) return WEFT_LIMIT;
    weft_down *down = wf_calloc(1, sizeof *down);
    if (down == NULL) return WEFT_NO_MEMORY;
    weft_msg_init(&down->msg, &weft_kind_down);
    weft_msg_init(&down->cancel, &wf_kind_cancel);
    down->addr = weft_addr_get(addr);
    down->watcher = weft_addr_get(self->addr);
    down->tag = ++self->order;
    table_add(ext, down);
    ext->monitor_count++;
    if (tag != NULL) *tag = down->tag;
    if (wf_push_control(addr, &down->msg) == WEFT_OK) return WEFT_OK;
    /* Acquire: pairs with [CLOSE]; the reason was there before it. */
    (void)wf_load(&addr->head, WF_ACQUIRE);
    down->reason = addr->self->reason;
    weft_err err = wf_push_control(self->addr, &down->msg);
    WF_ASSERT(err == WEFT_OK); /* we are running */
    return WEFT_OK;
}

/* Its message may be on the way back already; then it is dropped as it arrives. */
static void call_off(weft_down *down)
{
    weft_addr *addr = weft_addr_get(down->addr);
    down->state = DOWN_OFF;
    (void)wf_push_control(addr, &down->cancel);
    weft_addr_put(addr);
}

weft_err weft_demonitor(weft_self *self, uint64_t tag)
{
    if (wf_self_is_foreign(self, "weft_demonitor")) return WEFT_INVALID;
    weft_down *down = table_take(self->ext, tag);
    if (down == NULL) return WEFT_NOT_FOUND;
    call_off(down);
    return WEFT_OK;
}

/* -- Arrivals ------------------------------------------------------------------------------------ */

bool wf_down_arrived(weft_self *self, weft_down *down)
{
    bool awake = self->phase == WF_PHASE_NEW || self->phase == WF_PHASE_RUNNING;
    if (down->watcher != self->addr) {
        wf_watchers_add(self, down);
        return true;
    }
    if (!awake && wf_child_restarts(self)) return false; /* the next life hears it */
    bool felt;
    if (down->link) {
        felt = wf_link_over(self, down);
    } else {
        felt = down->state == DOWN_SET;
        if (felt) (void)table_take(self->ext, down->tag);
    }
    if (felt && awake) {
        if (!down->link || self->trap) {
            down->msg.flags &= ~WF_MSG_CONTROL; /* from here on a message like others */
            return false;
        }
        if (down->reason != WEFT_OK) wf_actor_fail(self, down->reason);
    }
    weft_drop(&down->msg);
    return true;
}

void wf_down_canceled(weft_self *self, weft_down *down)
{
    wf_watchers_remove(self, down);
    weft_drop(&down->msg);
}

void wf_monitors_leave(weft_self *self)
{
    struct wf_ext *ext = self->ext;
    for (uint32_t i = 0; ext != NULL && i < ext->monitor_room; i++) {
        while (ext->monitors[i] != NULL) {
            weft_down *down = ext->monitors[i];
            ext->monitors[i] = down->same;
            call_off(down);
        }
    }
    if (ext != NULL) ext->monitor_count = 0;
}

void wf_monitors_end(weft_self *self)
{
    weft_down *down;
    while ((down = self->watchers) != NULL) {
        wf_watchers_remove(self, down);
        down->reason = self->reason;
        if (down->link) down->state = 0; /* no longer held: see link.c */
        weft_addr *watcher = weft_addr_get(down->watcher);
        if (wf_push_control(watcher, &down->msg) != WEFT_OK) weft_drop(&down->msg);
        weft_addr_put(watcher);
    }
}
