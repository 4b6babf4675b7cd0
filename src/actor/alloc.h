/* SPDX-License-Identifier: Apache-2.0
 * alloc.h - the one way to memory.
 * Called by: everybody. All of weft's own allocations pass here, so that a test
 * can make the n-th one fail. Any thread. */
#ifndef WF_ALLOC_H
#define WF_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *wf_calloc(size_t count, size_t size); /* zeroed; NULL when short     */
void *wf_malloc(size_t size);               /* not zeroed                  */
void *wf_realloc(void *old, size_t size);   /* old stays valid on NULL     */
void wf_free(void *ptr);                    /* NULL is fine                */
char *wf_strdup(const char *text);          /* NULL when short             */
void *wf_memdup(const void *data, size_t len);

/* For pool.c, which counts what it hands out and not what it asks for: memory that is
 * aligned to `align`, a power of two of at least a pointer's size; not zeroed; NULL when
 * short. No test can make it fail. */
void *wf_alloc_raw(size_t align, size_t size);
/* Counts one request as the calls above do; true if a test wants it to fail. */
bool wf_alloc_refused(void);

/* Tests: the n-th allocation from now (1 = the next) fails, and all after it if
 * `persistent`. 0 switches it off. Returns how many were asked since the last call. */
uint64_t wf_alloc_fail_at(uint64_t nth, int persistent);

#endif
