/* SPDX-License-Identifier: Apache-2.0
 * alloc.c - the one way to memory, with a switch that makes the n-th request fail.
 * Called by: everybody, any thread. May touch: the C library's allocator.
 * Never: logs, and never retries. */
#include "alloc.h"

#include <stdlib.h>
#include <string.h>

#include "atomic.h"

/* Requests since the last wf_alloc_fail_at. Counters only: no data depends on
 * their order, so all accesses are relaxed. */
static uint64_t asked;
static uint64_t fail_at;  /* 0: never */
static uint32_t persists; /* all after the n-th fail too */
static uint32_t armed;    /* counting costs an atomic add, so only tests pay for it */

bool wf_alloc_refused(void)
{
    if (wf_load(&armed, WF_RELAXED) == 0) return false;
    uint64_t n = wf_add(&asked, 1, WF_RELAXED) + 1;
    uint64_t at = wf_load(&fail_at, WF_RELAXED);
    if (at == 0 || n < at) return false;
    return n == at || wf_load(&persists, WF_RELAXED) != 0;
}

void *wf_calloc(size_t count, size_t size)
{
    if (wf_alloc_refused() || (size != 0 && count > SIZE_MAX / size)) return NULL;
    return count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size);
}

void *wf_malloc(size_t size) { return wf_alloc_refused() ? NULL : malloc(size == 0 ? 1 : size); }

void *wf_realloc(void *old, size_t size)
{
    return wf_alloc_refused() ? NULL : realloc(old, size == 0 ? 1 : size);
}

void *wf_alloc_raw(size_t align, size_t size)
{
    void *memory = NULL;
    return posix_memalign(&memory, align, size == 0 ? 1 : size) == 0 ? memory : NULL;
}

void wf_free(void *ptr) { free(ptr); }

void *wf_memdup(const void *data, size_t len)
{
    void *copy = wf_malloc(len);
    if (copy != NULL && len > 0) memcpy(copy, data, len);
    return copy;
}

char *wf_strdup(const char *text) { return wf_memdup(text, strlen(text) + 1); }

uint64_t wf_alloc_fail_at(uint64_t nth, int persistent)
{
    wf_store(&fail_at, nth, WF_RELAXED);
    wf_store(&persists, persistent != 0 ? 1u : 0u, WF_RELAXED);
    /* The first call switches the counting on for the rest of the process. */
    wf_store(&armed, 1u, WF_RELAXED);
    return wf_xchg(&asked, 0, WF_RELAXED);
}
