/* SPDX-License-Identifier: Apache-2.0
 * api_event.c - public calls about the event feed and statistics.
 * Called by: users (weft/node.h). May touch: counters, messages to notify.
 * Never: the state of an actor. */
#include "api_async.h"
#include "notify.h"
#include "transport.h"

static weft_err make_add(const weft_node *node, weft_on_event fn, void *arg,
                         struct wf_notify_sub **out)
{
    if (node == NULL || fn == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    struct wf_notify_sub *sub = (struct wf_notify_sub *)weft_new(&wf_notify_sub_kind);
    if (sub == NULL) return WEFT_NO_MEMORY;
    sub->add = true;
    sub->fn = fn;
    sub->arg = arg;
    *out = sub;
    return WEFT_OK;
}

static weft_err make_end(const weft_node *node, uint64_t handle, struct wf_notify_sub **out)
{
    if (node == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    struct wf_notify_sub *sub = (struct wf_notify_sub *)weft_new(&wf_notify_sub_kind);
    if (sub == NULL) return WEFT_NO_MEMORY;
    sub->handle = handle;
    *out = sub;
    return WEFT_OK;
}

/* *sub is the answered one afterwards, or NULL. */
static weft_err call(weft_node *node, struct wf_notify_sub **sub)
{
    weft_request *answer = NULL;
    weft_err err = WEFT_DEADLK;
    if (wf_in_actor()) weft_drop(&(*sub)->req.msg);
    else err = wf_node_call(node, node->table.notify, &(*sub)->req, WEFT_NEVER, &answer);
    *sub = (struct wf_notify_sub *)answer;
    return err;
}

weft_err weft_subscribe(weft_node *node, weft_on_event fn, void *arg, uint64_t *out_handle)
{
    struct wf_notify_sub *sub;
    weft_err err = out_handle == NULL ? WEFT_INVALID : make_add(node, fn, arg, &sub);
    if (err != WEFT_OK) return err;
    err = call(node, &sub);
    if (err == WEFT_OK) *out_handle = sub->handle;
    if (sub != NULL) weft_drop(&sub->req.msg);
    return err;
}

static void tell_handle(wf_api_done done, void *arg, weft_err err, weft_request *request)
{
    const struct wf_notify_sub *sub = (const struct wf_notify_sub *)request;
    ((weft_on_count)done)(arg, err, err == WEFT_OK ? sub->handle : 0);
}

weft_err weft_subscribe_async(weft_node *node, weft_on_event fn, void *fn_arg, weft_on_count done,
                              void *arg)
{
    struct wf_notify_sub *sub;
    weft_err err = make_add(node, fn, fn_arg, &sub);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.notify, &sub->req, WEFT_NEVER, tell_handle,
                        (wf_api_done)done, arg);
}

weft_err weft_unsubscribe(weft_node *node, uint64_t handle)
{
    struct wf_notify_sub *sub;
    weft_err err = make_end(node, handle, &sub);
    if (err != WEFT_OK) return err;
    err = call(node, &sub);
    if (sub != NULL) weft_drop(&sub->req.msg);
    return err;
}

weft_err weft_unsubscribe_async(weft_node *node, uint64_t handle, weft_on_result done, void *arg)
{
    struct wf_notify_sub *sub;
    weft_err err = make_end(node, handle, &sub);
    if (err != WEFT_OK) return err;
    return wf_api_later(node, node->table.notify, &sub->req, WEFT_NEVER, wf_api_tell_nothing,
                        (wf_api_done)done, arg);
}

weft_err weft_node_stats_get(weft_node *node, weft_node_stats *out)
{
    if (node == NULL || out == NULL) return WEFT_INVALID;
    if (!wf_node_is_ours(node)) return WEFT_FORKED;
    if (wf_in_actor()) return WEFT_DEADLK;
    const struct wf_node_counters *c = &node->counters;
    struct wf_store_counters store;
    wf_store_counters_read(node->table.wf_store, &store);
    weft_node_stats got = {
        .entries_stored = store.entries,
        .entries_received = wf_counter_get(&c->entries_received),
        .entries_sent = wf_counter_get(&c->entries_sent),
        .duplicates = wf_counter_get(&c->duplicates),
        .redundant = wf_counter_get(&c->redundant),
        .refused = wf_counter_get(&c->refused),
        .pending = store.pending_now,
        .round_trips = wf_counter_get(&c->round_trips),
        .sessions_ok = wf_counter_get(&c->sessions_ok),
        .sessions_failed = wf_counter_get(&c->sessions_failed),
        .sessions_exact = wf_counter_get(&c->sessions_exact),
        .connections = wf_counter_get(&c->connections),
        .batches = store.batches,
        .synced = store.synced,
        .verified = wf_counter_get(&c->verified),
        .live_pairs = wf_counter_get(&c->live_pairs),
        .offences = wf_counter_get(&c->offences),
        .penalised = wf_counter_get(&c->penalised),
        .joins_damaged = wf_counter_get(&c->joins_damaged),
        .peers_damaged = wf_counter_get(&c->peers_damaged),
    };
    struct wf_tp_stats *wire = wf_tp_new(&wf_tp_stats_kind);
    weft_request *answer = NULL;
    if (wire == NULL) return WEFT_NO_MEMORY;
    weft_err err = wf_node_call(node, node->table.transport, &wire->req, 5 * WEFT_SEC, &answer);
    if (err == WEFT_OK) {
        got.wire_in = ((struct wf_tp_stats *)answer)->wire_in;
        got.wire_out = ((struct wf_tp_stats *)answer)->wire_out;
    }
    if (answer != NULL) weft_drop(&answer->msg);
    if (err != WEFT_OK && err != WEFT_CLOSED) return err; /* closed: a stopped node still tells */
    *out = got;
    return WEFT_OK;
}
