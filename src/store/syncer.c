/* SPDX-License-Identifier: Apache-2.0
 * syncer.c - the child of the store actor that waits for the disk.
 * Called by: group_commit.c (the ask), the scheduler (the handler). May touch: the engine (sync).
 * Never: writes; knows what it makes durable. */
#include "alloc.h"
#include "desk.h"

#include <weft/supervise.h>

struct sync_ask {
    weft_request req;
    wf_kv *kv;
};
static const weft_kind sync_kind = {
    .id = 0x0507, .name = "store.sync", .size = sizeof(struct sync_ask), .drop = weft_free_msg};

static weft_verdict sync_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct sync_ask *ask = (struct sync_ask *)msg;
    (void)self;
    (void)state;
    weft_reply(&ask->req, wf_kv_sync(ask->kv));
    return WEFT_KEPT;
}

/* It is made when it is needed first: most stores never have that many waiters. */
bool wf_desk_syncer_is_here(struct wf_desk *desk)
{
    if (desk->syncer != NULL) return desk->sync_req != NULL;
    static const weft_spec spec = {.name = "store.sync", .handle = sync_handle, .mailbox = 2};
    struct sync_ask *ask = (struct sync_ask *)weft_new(&sync_kind);
    if (ask == NULL) return false;
    if (weft_spawn_child(desk->self, &spec, &desk->syncer) != WEFT_OK) {
        weft_drop(&ask->req.msg);
        return false;
    }
    ask->kv = desk->store->kv;
    desk->sync_req = &ask->req;
    return true;
}
