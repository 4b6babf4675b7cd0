/* SPDX-License-Identifier: Apache-2.0
 * bytes.c - a queue of bytes in one piece (bytes.h).
 * Called by: the rooms that buffer what a socket gave or did not take.
 * May touch: memory. Never: decides how much is too much. */
#include "bytes.h"

#include <string.h>

#include "alloc.h"
#include "log.h"

#define ROOM_MIN 1024u

weft_err wf_bytes_reserve(struct wf_bytes *b, size_t len, uint8_t **out)
{
    size_t held = wf_bytes_len(b);
    if (b->room - b->end < len && b->start > 0) {
        if (held > 0) memmove(b->data, b->data + b->start, held);
        b->start = 0;
        b->end = held;
    }
    if (b->room - b->end < len) {
        size_t room = b->room * 2 > ROOM_MIN ? b->room * 2 : ROOM_MIN;
        if (room < held + len) room = held + len;
        uint8_t *data = wf_realloc(b->data, room);
        if (data == NULL) return WEFT_NO_MEMORY;
        b->data = data;
        b->room = room;
    }
    *out = b->data + b->end;
    return WEFT_OK;
}

void wf_bytes_added(struct wf_bytes *b, size_t len)
{
    WF_ASSERT(len <= b->room - b->end);
    b->end += len;
}

weft_err wf_bytes_append(struct wf_bytes *b, const void *data, size_t len)
{
    uint8_t *to;
    if (len == 0) return WEFT_OK;
    weft_err err = wf_bytes_reserve(b, len, &to);
    if (err != WEFT_OK) return err;
    memcpy(to, data, len);
    wf_bytes_added(b, len);
    return WEFT_OK;
}

void wf_bytes_take(struct wf_bytes *b, size_t len)
{
    WF_ASSERT(len <= wf_bytes_len(b));
    b->start += len;
    if (b->start == b->end) b->start = b->end = 0;
}

void wf_bytes_trim(struct wf_bytes *b)
{
    if (wf_bytes_len(b) == 0) wf_bytes_fini(b);
}

void wf_bytes_fini(struct wf_bytes *b)
{
    wf_free(b->data);
    memset(b, 0, sizeof *b);
}
