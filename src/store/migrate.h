/* SPDX-License-Identifier: Apache-2.0
 * migrate.h - stores of older formats become stores of this one.
 * Called by: store.c, while a store is opened. Never: any thread but the opening one. */
#ifndef WF_MIGRATE_H
#define WF_MIGRATE_H

#include "state.h"

/* Brings a store of store->format, whose trees are loaded, to WF_FORMAT_VERSION, step by
 * step. A kill before the end of a step leaves the store as the step found it, but for
 * families that the older format does not know, and the next opening begins that step again.
 * OK also when the engine only reads: store->format stays. VERSION: nothing leads from it. */
weft_err wf_store_migrate(wf_store *store, const wf_store_options *options);

/* Of a store of this format, with no batch open, on the writer's thread: empties what is made of
 * entries and makes it again. Until it is done the record of the format is that of the one before,
 * so that an opening begins it again. AGAIN: a reader holds the engine. IO, CORRUPT, NO_MEMORY. */
weft_err wf_store_make_again(wf_store *store);

#endif
