/* SPDX-License-Identifier: Apache-2.0
 * buf.c - counted byte buffers: header and bytes in one allocation.
 * Called by: everybody, any thread. May touch: its own memory.
 * Never: writes to bytes after their creator shared them. */
#include <weft/buf.h>

#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "atomic.h"
#include "log.h"

struct weft_buf {
    size_t len;
    uint32_t refs;
    /* 16-byte aligned, as malloc's memory is: callers may keep structs in it. */
    uint8_t data[] __attribute__((aligned(16)));
};

weft_err weft_buf_create(size_t len, weft_buf **out)
{
    if (len > SIZE_MAX - sizeof(weft_buf)) return WEFT_NO_MEMORY;
    weft_buf *buf = wf_malloc(sizeof *buf + len);
    if (buf == NULL) return WEFT_NO_MEMORY;
    buf->len = len;
    buf->refs = 1;
    *out = buf;
    return WEFT_OK;
}

weft_err weft_buf_create_copy(const void *data, size_t len, weft_buf **out)
{
    weft_buf *buf = NULL;
    weft_err err = weft_buf_create(len, &buf);
    if (err != WEFT_OK) return err;
    if (len > 0) memcpy(buf->data, data, len);
    *out = buf;
    return WEFT_OK;
}

uint8_t *weft_buf_data(weft_buf *buf) { return buf->data; }

const uint8_t *weft_buf_bytes(const weft_buf *buf) { return buf->data; }

size_t weft_buf_len(const weft_buf *buf) { return buf->len; }

void weft_buf_truncate(weft_buf *buf, size_t len)
{
    WF_ASSERT(len <= buf->len);
    WF_ASSERT(wf_load(&buf->refs, WF_RELAXED) == 1);
    buf->len = len;
}

weft_buf *weft_buf_ref(weft_buf *buf)
{
    /* Relaxed: whoever hands us the pointer already ordered its bytes for us. */
    uint32_t before = wf_add(&buf->refs, 1, WF_RELAXED);
    WF_ASSERT(before > 0 && before < UINT32_MAX);
    return buf;
}

void weft_buf_unref(weft_buf *buf)
{
    if (buf == NULL) return;
    /* [BUF] release: our reads of the bytes happen-before the free; acquire: the
     * one that frees sees everybody's release. They are the same operation. */
    uint32_t before = wf_sub(&buf->refs, 1, WF_ACQ_REL);
    WF_ASSERT(before > 0);
    if (before == 1) wf_free(buf);
}
