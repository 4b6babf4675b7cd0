/* SPDX-License-Identifier: Apache-2.0
 * alloc.h - the one way to memory.
 * Called by: everybody. All of weft's own allocations pass here, so that a test
 * can make the n-th one fail. Any thread. */
#ifndef WF_ALLOC_H
#define WF_ALLOC_H

#include <stddef.h>
#include <stdint.h>

void *wf_calloc(size_t count, size_t size); /* zeroed; NULL when short     */
void *wf_malloc(size_t size);               /* not zeroed                  */
void *wf_realloc(void *old, size_t size);   /* old stays valid on NULL     */
void wf_free(void *ptr);                    /* NULL is fine                */
char *wf_strdup(const char *text);          /* NULL when short             */
void *wf_memdup(const void *data, size_t len);

/* Tests: the n-th allocation from now (1 = the next) fails, and all after it if
 * `persistent`. 0 switches it off. Returns how many were asked since the last call. */
uint64_t wf_alloc_fail_at(uint64_t nth, int persistent);

#endif
