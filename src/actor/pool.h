/* SPDX-License-Identifier: Apache-2.0
 * pool.h - memory for messages and actors: slabs of the thread that asked for it.
 * What another thread frees travels home in batches, so that neither side waits for
 * the other and the heap is not asked per message.
 * Called by: msg.c, the rooms that make actors, whoever is about to sleep. Any thread. */
#ifndef WF_POOL_H
#define WF_POOL_H

#include <stddef.h>
#include <stdint.h>

/* At least `bytes` of memory, not zeroed. Aligned to 64 if `bytes` is a multiple of 64
 * and at most WEFT_POOL_BYTES_MAX, else to 16. NULL when memory is short. */
void *wf_pool_get(size_t bytes);
/* Gives memory back that came from wf_pool_get on any thread. Never fails. */
void wf_pool_put(void *memory);

/* This thread is about to sleep: what it freed for others goes home, and slabs that
 * nobody needs go back to the heap. A few loads when there is nothing to do. */
void wf_pool_flush(void);
/* This thread ends: its slabs wait for the next thread that needs some. */
void wf_pool_thread_end(void);

/* Bytes that all pools hold now, used or not, and larger pieces beside them. */
size_t wf_pool_bytes(void);
/* Requests that weft_pool_limit refused. */
uint64_t wf_pool_refused(void);

#endif
