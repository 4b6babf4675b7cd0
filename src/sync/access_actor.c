/* SPDX-License-Identifier: Apache-2.0
 * access_actor.c - the access actor's thread: who tracks a tree here, and how.
 * Called by: weft.c (spawn), the scheduler (handlers). May touch: its rows, records through the
 * store actor, what tracks.h publishes.
 * Never: sessions, sockets; it reads the disk when it begins and after a change that failed. */
#include "access_actor.h"

#include "access_state.h"
#include "alloc.h"
#include "log.h"

static void drop_req(weft_msg *msg)
{
    struct wf_access_req *req = (struct wf_access_req *)msg;
    wf_free(req->tracked);
    wf_free(req->readers);
    wf_free(req->ids);
    weft_free_msg(msg);
}

const weft_kind wf_access_req_kind = {0x5601, "access.req", sizeof(struct wf_access_req), drop_req};
const weft_kind wf_tracks_changed_kind = {0x5602, "access.tracks", sizeof(struct wf_tracks_changed),
                                          weft_free_msg};

struct wf_access_req *wf_access_req_create(enum wf_access_op op)
{
    struct wf_access_req *req = (struct wf_access_req *)weft_new(&wf_access_req_kind);
    if (req != NULL) req->op = op;
    return req;
}

/* -- Requests --------------------------------------------------------------------------- */

static weft_err look(struct access *a, struct wf_access_req *req)
{
    weft_err err = a->stale ? wf_acc_load(a) : WEFT_OK;
    if (err != WEFT_OK) return err;
    switch (req->op) {
    case WF_ACC_GET: return wf_acc_get(a, &req->tree, &req->principal, &req->settings);
    case WF_ACC_COMBINED: return wf_acc_combined(a, &req->tree, &req->settings);
    default: return wf_acc_trees(a, &req->principal, &req->ids, &req->count);
    }
}

static weft_verdict on_request(struct access *a, struct wf_access_req *req)
{
    switch (req->op) {
    case WF_ACC_GET:
    case WF_ACC_COMBINED:
    case WF_ACC_TREES: weft_reply(&req->req, look(a, req)); break;
    default: wf_acc_change_take(a, req); break;
    }
    return WEFT_KEPT;
}

/* -- The actor -------------------------------------------------------------------------- */

static weft_err init(weft_self *self, void *state, void *arg)
{
    struct access *a = state;
    a->self = self;
    a->table = arg;
    weft_err err = wf_acc_load(a);
    if (err != WEFT_OK) return wf_fail(err, "access", "the sync settings cannot be read");
    err = wf_join_desk_start(&a->joins, self, a->table);
    if (err == WEFT_OK) return WEFT_OK;
    wf_join_desk_fini(&a->joins);
    wf_acc_unload(a);
    return err;
}

static weft_verdict handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self;
    struct access *a = state;
    weft_verdict verdict;
    if (wf_join_desk_handle(&a->joins, msg, &verdict)) return verdict;
    if (msg->kind == &wf_access_req_kind) return on_request(a, (struct wf_access_req *)msg);
    return WEFT_DONE;
}

static void fini(weft_self *self, void *state, weft_err reason)
{
    (void)self;
    (void)reason;
    struct access *a = state;
    wf_acc_change_end(a);
    wf_join_desk_fini(&a->joins);
    wf_acc_unload(a);
}

weft_err wf_access_spawn(weft_rt *rt, const struct wf_node_table *table, weft_addr **out)
{
    weft_spec spec = {.name = "access",
                      .arg = (void *)(uintptr_t)table,
                      .state_size = sizeof(struct access),
                      .init = init,
                      .handle = handle,
                      .fini = fini,
                      .mailbox = WEFT_UNBOUNDED};
    return weft_spawn(rt, &spec, out);
}
