/* SPDX-License-Identifier: Apache-2.0
 * asks.c - the asks of one actor that wait for their answers.
 * Called by: ask.c, on the actor's thread. May touch: the links and tokens of requests
 * that wait. Never: a request after it was taken out. */
#include "asks.h"

#include "alloc.h"
#include "log.h"

#define ROOM_FIRST 8u

static weft_err take_slot(struct wf_asks *asks, weft_request *req)
{
    if (asks->free == 0 && asks->used == asks->room) {
        uint32_t room = asks->room == 0 ? ROOM_FIRST : 2 * asks->room;
        struct wf_ask_slot *slots = wf_realloc(asks->slots, room * sizeof *slots);
        if (slots == NULL) return WEFT_NO_MEMORY;
        asks->slots = slots;
        asks->room = room;
    }
    uint32_t at = asks->free;
    if (at != 0) {
        asks->free = asks->slots[at - 1].next_free;
    } else {
        at = ++asks->used;
        asks->slots[at - 1].generation = 0;
    }
    struct wf_ask_slot *slot = &asks->slots[at - 1];
    slot->req = req;
    slot->next_free = 0;
    req->token = (uint64_t)slot->generation << 32 | at;
    return WEFT_OK;
}

static void give_slot(struct wf_asks *asks, uint64_t token)
{
    uint32_t at = (uint32_t)token;
    struct wf_ask_slot *slot = &asks->slots[at - 1];
    slot->req = NULL;
    if (slot->generation == UINT32_MAX) return; /* worn out: its tokens would come again */
    slot->generation++;
    slot->next_free = asks->free;
    asks->free = at;
}

weft_err wf_asks_add(struct wf_asks *asks, weft_request *req, bool with_token)
{
    if (asks->count >= WEFT_ASKS_MAX) return WEFT_LIMIT;
    req->token = 0;
    if (with_token) {
        weft_err err = take_slot(asks, req);
        if (err != WEFT_OK) return err;
    }
    req->prev = asks->newest;
    req->next_pending = NULL;
    if (asks->newest == NULL) asks->oldest = req;
    else asks->newest->next_pending = req;
    asks->newest = req;
    asks->count++;
    return WEFT_OK;
}

void wf_asks_remove(struct wf_asks *asks, weft_request *req)
{
    WF_ASSERT(asks->count > 0);
    if (req->prev == NULL) asks->oldest = req->next_pending;
    else req->prev->next_pending = req->next_pending;
    if (req->next_pending == NULL) asks->newest = req->prev;
    else req->next_pending->prev = req->prev;
    req->prev = req->next_pending = NULL;
    asks->count--;
    if (req->token != 0) give_slot(asks, req->token);
}

weft_request *wf_asks_find(const struct wf_asks *asks, uint64_t token)
{
    uint32_t at = (uint32_t)token;
    if (at == 0 || at > asks->used) return NULL;
    const struct wf_ask_slot *slot = &asks->slots[at - 1];
    return slot->generation == (uint32_t)(token >> 32) ? slot->req : NULL;
}

void wf_asks_fini(struct wf_asks *asks)
{
    WF_ASSERT(asks->count == 0);
    wf_free(asks->slots);
    *asks = (struct wf_asks){0};
}
