/* SPDX-License-Identifier: Apache-2.0
 * batch.c - a list of puts and deletes that an engine applies as one.
 * Called by: the store's writer (fills it), the engines (walk it). One thread.
 * May touch: its own memory. Never: knows what a key means, or any engine. */
#include <string.h>

#include "alloc.h"
#include "kv.h"
#include "log.h"

/* One operation in `bytes`: this header, then the key, then the value. Headers are
 * copied in and out because nothing in the stream is aligned. */
struct op_head {
    uint32_t key_len, value_len;
    uint8_t cf, is_delete;
};

struct wf_batch {
    uint8_t *bytes;
    size_t len, room, count;
    bool makes_room;
    weft_err err; /* the first failed put: what is here is not what was asked */
};

weft_err wf_batch_create(wf_batch **out)
{
    wf_batch *batch = wf_calloc(1, sizeof *batch);
    if (batch == NULL) return WEFT_NO_MEMORY;
    *out = batch;
    return WEFT_OK;
}

void wf_batch_destroy(wf_batch *batch)
{
    if (batch == NULL) return;
    wf_free(batch->bytes);
    wf_free(batch);
}

void wf_batch_clear(wf_batch *batch)
{
    batch->len = 0;
    batch->count = 0;
    batch->makes_room = false;
    batch->err = WEFT_OK;
}

void wf_batch_make_room(wf_batch *batch) { batch->makes_room = true; }

bool wf_batch_makes_room(const wf_batch *batch) { return batch->makes_room; }

size_t wf_batch_bytes(const wf_batch *batch) { return batch->len; }

size_t wf_batch_count(const wf_batch *batch) { return batch->count; }

size_t wf_batch_room(const wf_batch *batch) { return batch->room; }

weft_err wf_batch_err(const wf_batch *batch) { return batch->err; }

static uint8_t *grow(wf_batch *batch, size_t more)
{
    if (batch->room - batch->len < more) {
        size_t room = batch->room < 4096 ? 4096 : batch->room;
        while (room - batch->len < more) room *= 2;
        uint8_t *bytes = wf_realloc(batch->bytes, room);
        if (bytes == NULL) {
            batch->err = WEFT_NO_MEMORY;
            return NULL;
        }
        batch->bytes = bytes;
        batch->room = room;
    }
    uint8_t *at = batch->bytes + batch->len;
    batch->len += more;
    return at;
}

static void append(wf_batch *batch, enum wf_cf cf, bool is_delete, const void *key, size_t key_len,
                   const void *value, size_t value_len)
{
    WF_ASSERT(cf < WF_CF_COUNT && key_len > 0 && key_len <= UINT16_MAX && value_len < UINT32_MAX);
    if (batch->err != WEFT_OK) return;
    struct op_head head = {.key_len = (uint32_t)key_len,
                           .value_len = (uint32_t)value_len,
                           .cf = (uint8_t)cf,
                           .is_delete = is_delete};
    uint8_t *at = grow(batch, sizeof head + key_len + value_len);
    if (at == NULL) return;
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, key, key_len);
    if (value_len > 0) memcpy(at + sizeof head + key_len, value, value_len);
    batch->count++;
}

void wf_batch_put(wf_batch *batch, enum wf_cf cf, const void *key, size_t key_len,
                  const void *value, size_t value_len)
{
    append(batch, cf, false, key, key_len, value, value_len);
}

void wf_batch_delete(wf_batch *batch, enum wf_cf cf, const void *key, size_t key_len)
{
    append(batch, cf, true, key, key_len, NULL, 0);
}

weft_err wf_batch_each(const wf_batch *batch, weft_err (*fn)(void *arg, const wf_batch_op *op),
                       void *arg)
{
    size_t at = 0;
    while (at < batch->len) {
        struct op_head head;
        memcpy(&head, batch->bytes + at, sizeof head);
        const uint8_t *key = batch->bytes + at + sizeof head;
        wf_batch_op op = {.cf = (enum wf_cf)head.cf,
                          .is_delete = head.is_delete != 0,
                          .key = key,
                          .key_len = head.key_len,
                          .value = key + head.key_len,
                          .value_len = head.value_len};
        weft_err err = fn(arg, &op);
        if (err != WEFT_OK) return err;
        at += sizeof head + head.key_len + head.value_len;
    }
    return WEFT_OK;
}
