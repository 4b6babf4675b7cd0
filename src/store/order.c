/* SPDX-License-Identifier: Apache-2.0
 * order.c - frames of a stream in the order in which its sender numbered them.
 * Called by: the store actor's rooms. May touch: its streams, the frames' links.
 * Never: looks into a frame. */
#include "order.h"

#include "alloc.h"
#include "log.h"

#define BUCKETS 1024u /* a power of two */

static uint32_t bucket(uint64_t conn, uint32_t stream)
{
    uint64_t word = (conn * 1024 + stream) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(word >> 54) & (BUCKETS - 1);
}

struct wf_stream *wf_order_find(struct wf_order *order, uint64_t conn, uint32_t stream)
{
    if (order->buckets == NULL) return NULL;
    struct wf_stream *at = order->buckets[bucket(conn, stream)];
    while (at != NULL && (at->conn != conn || at->stream != stream)) at = at->next;
    return at;
}

weft_err wf_order_stream(struct wf_order *order, uint64_t conn, uint32_t stream,
                         struct wf_stream **out)
{
    struct wf_stream *at = wf_order_find(order, conn, stream);
    if (at == NULL) {
        if (order->count >= WEFT_STREAMS_MAX) return WEFT_LIMIT;
        if (order->buckets == NULL) {
            order->buckets = wf_calloc(BUCKETS, sizeof(*order->buckets));
            if (order->buckets == NULL) return WEFT_NO_MEMORY;
        }
        at = wf_calloc(1, sizeof *at);
        if (at == NULL) return WEFT_NO_MEMORY;
        at->conn = conn;
        at->stream = stream;
        at->next_n = 1;
        struct wf_stream **head = &order->buckets[bucket(conn, stream)];
        at->next = *head;
        *head = at;
        at->older = order->newest;
        *(at->older == NULL ? &order->oldest : &at->older->newer) = at;
        order->newest = at;
        order->count++;
    }
    *out = at;
    return WEFT_OK;
}

static struct wf_ingest *after(const struct wf_ingest *frame)
{
    return (struct wf_ingest *)frame->msg.next;
}

weft_err wf_stream_park_take(struct wf_stream *stream, struct wf_ingest *frame, uint64_t now)
{
    struct wf_ingest *before = NULL, *at = stream->parked;
    while (at != NULL && at->n < frame->n) {
        before = at;
        at = after(at);
    }
    if (frame->n < stream->next_n || (at != NULL && at->n == frame->n)) return WEFT_INVALID;
    if (stream->parked == NULL) stream->parked_since_ns = now;
    frame->msg.next = (weft_msg *)at;
    if (before == NULL) stream->parked = frame;
    else before->msg.next = &frame->msg;
    return WEFT_OK;
}

struct wf_ingest *wf_stream_next(struct wf_stream *stream, bool any)
{
    struct wf_ingest *frame = stream->parked;
    if (frame == NULL || (!any && frame->n != stream->next_n)) return NULL;
    stream->parked = after(frame);
    frame->msg.next = NULL;
    return frame;
}

void wf_order_forget(struct wf_order *order, struct wf_stream *stream)
{
    WF_ASSERT(stream->parked == NULL);
    struct wf_stream **link = &order->buckets[bucket(stream->conn, stream->stream)];
    while (*link != stream) link = &(*link)->next;
    *link = stream->next;
    *(stream->older == NULL ? &order->oldest : &stream->older->newer) = stream->newer;
    *(stream->newer == NULL ? &order->newest : &stream->newer->older) = stream->older;
    order->count--;
    wf_free(stream);
}

void wf_order_fini(struct wf_order *order)
{
    while (order->oldest != NULL) {
        struct wf_ingest *frame;
        while ((frame = wf_stream_next(order->oldest, true)) != NULL) weft_drop(&frame->msg);
        wf_order_forget(order, order->oldest);
    }
    wf_free(order->buckets);
    *order = (struct wf_order){0};
}
