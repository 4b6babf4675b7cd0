/* SPDX-License-Identifier: Apache-2.0
 * weft/buf.h - counted, immutable-once-shared byte buffers.
 *
 * A buffer is filled by whoever created it and must not be written after it was
 * given to anyone else. Counting is atomic: any thread may take and drop
 * references. */
#ifndef WEFT_BUF_H
#define WEFT_BUF_H

#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_buf weft_buf; /* opaque */

/* Creates a buffer of `len` bytes, uninitialised, with one reference, which is
 * the caller's. `len` may be 0. NO_MEMORY. */
weft_err weft_buf_create(size_t len, weft_buf **out);

/* Creates a buffer with a copy of `len` bytes at `data`. NO_MEMORY. */
weft_err weft_buf_create_copy(const void *data, size_t len, weft_buf **out);

/* The bytes; valid as long as the caller holds a reference. Never NULL. */
uint8_t *weft_buf_data(weft_buf *buf);
const uint8_t *weft_buf_bytes(const weft_buf *buf);
size_t weft_buf_len(const weft_buf *buf);

/* Shortens a buffer that nobody else holds yet; `len` must not grow. */
void weft_buf_truncate(weft_buf *buf, size_t len);

/* Adds a reference and returns `buf`. */
weft_buf *weft_buf_ref(weft_buf *buf);

/* Gives a reference back; the last one frees the buffer. NULL is fine. */
void weft_buf_unref(weft_buf *buf);

#ifdef __cplusplus
}
#endif
#endif
