/* SPDX-License-Identifier: Apache-2.0
 * api_async.h - how the asynchronous calls of the public API begin, and how their answers are told.
 * Called by: the rooms api_*.c. Never: included by a layer. */
#ifndef WF_API_ASYNC_H
#define WF_API_ASYNC_H

#include "node_internal.h"

/* A callback of the user, whatever its type; only `tell` of the room that took it calls it. */
typedef void (*wf_api_done)(void);
/* Runs on the notify thread, once. `request` is the answered one, or NULL; it is dropped afterwards.
 * Calls `done` by its true type. */
typedef void (*wf_api_tell)(wf_api_done done, void *arg, weft_err err, weft_request *request);

/* Has notify ask `to`, and tell. Takes req, also when it fails: then nothing was begun. INVALID:
 * `done` is NULL. FORKED, NO_MEMORY, FULL, CLOSED. */
weft_err wf_api_later(weft_node *node, weft_addr *to, weft_request *req, weft_ns timeout,
                      wf_api_tell tell, wf_api_done done, void *arg);
/* To a weft_on_result, which has nothing in it. */
void wf_api_tell_nothing(wf_api_done done, void *arg, weft_err err, weft_request *request);

/* As weft_tree_info_get; reads the disk. */
weft_err wf_api_tree_info(wf_store *store, const weft_id *tree, weft_tree_info *out);

/* What is left of the time until `end`, of weft_rt_after. */
weft_ns wf_api_rest(weft_node *node, weft_ns end);

#endif
