/* SPDX-License-Identifier: Apache-2.0
 * compose.h - an entry of settings that stands on all that is here.
 * Called by: store_actor.c. Never: says who may: the door judges it like any other. */
#ifndef WF_COMPOSE_H
#define WF_COMPOSE_H

#include "writer.h"

/* Builds and signs the entry by `admin` that writes `payload` to `_settings`, with the tips of the
 * tree and those of the store as its parents; of more than an entry may name the highest ones, so
 * that it comes after all of them in the order of the tree. No batch is open. *out is the
 * caller's. TREE: it is unknown, not followed, or its root is not here. LIMIT, NO_MEMORY, IO. */
weft_err wf_compose_settings(wf_store *store, const weft_id *tree, const weft_keypair *admin,
                             const weft_buf *payload, weft_buf **out, weft_id *id);

#endif
