/* SPDX-License-Identifier: Apache-2.0
 * bytes.h - a queue of bytes in one piece: appended behind, taken from the front.
 * Called by: frame.c, conn.c, conn_send.c. It grows with what is put into it, up to
 * the bound its owner checks, and keeps its memory until trimmed, so that a busy
 * connection allocates once and an idle one holds nothing. */
#ifndef WF_BYTES_H
#define WF_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>

struct wf_bytes {
    uint8_t *data;
    size_t start, end, room;
};

static inline size_t wf_bytes_len(const struct wf_bytes *b) { return b->end - b->start; }
static inline uint8_t *wf_bytes_front(struct wf_bytes *b) { return b->data + b->start; }

/* Makes room for `len` more bytes; *out points to it until the next call. The bytes
 * count only after wf_bytes_added. NO_MEMORY. */
weft_err wf_bytes_reserve(struct wf_bytes *b, size_t len, uint8_t **out);
void wf_bytes_added(struct wf_bytes *b, size_t len);
weft_err wf_bytes_append(struct wf_bytes *b, const void *data, size_t len); /* NO_MEMORY */
void wf_bytes_take(struct wf_bytes *b, size_t len); /* drops from the front */
void wf_bytes_trim(struct wf_bytes *b);             /* frees the memory if it is empty */
void wf_bytes_fini(struct wf_bytes *b);

#endif
