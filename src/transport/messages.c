/* SPDX-License-Identifier: Apache-2.0
 * messages.c - the kinds of messages that the transport hears and sends.
 * Called by: everybody who talks to it. May touch: the messages' own fields.
 * Never: the manager's state. Any thread. */
#include "alloc.h"
#include "manager.h"

static void drop_add(weft_msg *msg)
{
    struct wf_tp_add *add = (struct wf_tp_add *)msg;
    if (add->net != NULL) add->net->ops->destroy(add->net);
    weft_free_msg(msg);
}

static void drop_bulk(weft_msg *msg)
{
    weft_buf_unref(((struct wf_tp_bulk *)msg)->frame);
    weft_free_msg(msg);
}

static void drop_send(weft_msg *msg)
{
    weft_buf_unref(((struct wf_tp_send *)msg)->frame);
    weft_free_msg(msg);
}

static void drop_frame(weft_msg *msg)
{
    weft_buf_unref(((struct wf_tp_frame *)msg)->buf);
    weft_free_msg(msg);
}

static void drop_bulk_in(weft_msg *msg)
{
    weft_buf_unref(((struct wf_tp_bulk_in *)msg)->buf);
    weft_free_msg(msg);
}

static void drop_resolve(weft_msg *msg)
{
    wf_tp_net_put(((struct wf_resolve *)msg)->net);
    weft_free_msg(msg);
}

#define KIND(number, text, type, fn)                                              \
    {                                                                             \
        .id = (number), .name = (text), .size = sizeof(struct type), .drop = (fn) \
    }

const weft_kind wf_tp_add_kind = KIND(0x7401, "transport.add", wf_tp_add, drop_add);
const weft_kind wf_tp_remove_kind = KIND(0x740b, "transport.remove", wf_tp_remove, weft_free_msg);
const weft_kind wf_tp_server_kind = KIND(0x7402, "transport.server", wf_tp_server, weft_free_msg);
const weft_kind wf_tp_addresses_kind = KIND(0x7403, "transport.addresses", wf_tp_addresses,
                                            weft_free_msg);
const weft_kind wf_tp_dial_kind = KIND(0x7404, "transport.dial", wf_tp_dial, weft_free_msg);
const weft_kind wf_tp_stream_kind = KIND(0x7405, "transport.stream", wf_tp_stream, weft_free_msg);
const weft_kind wf_tp_bulk_kind = KIND(0x7406, "transport.bulk", wf_tp_bulk, drop_bulk);
const weft_kind wf_tp_send_kind = KIND(0x7407, "transport.send", wf_tp_send, drop_send);
const weft_kind wf_tp_release_kind = KIND(0x7408, "transport.release", wf_tp_release,
                                          weft_free_msg);
const weft_kind wf_tp_close_kind = KIND(0x7409, "transport.close", wf_tp_close, weft_free_msg);
const weft_kind wf_tp_part_kind = KIND(0x740c, "transport.part", wf_tp_part, weft_free_msg);
const weft_kind wf_tp_stats_kind = KIND(0x740a, "transport.stats", wf_tp_stats, weft_free_msg);

const weft_kind wf_tp_up_kind = KIND(0x7411, "transport.up", wf_tp_up, weft_free_msg);
const weft_kind wf_tp_down_kind = KIND(0x7412, "transport.down", wf_tp_down, weft_free_msg);
const weft_kind wf_tp_frame_kind = KIND(0x7413, "transport.frame", wf_tp_frame, drop_frame);
const weft_kind wf_tp_bulk_in_kind = KIND(0x7414, "transport.bulk_in", wf_tp_bulk_in, drop_bulk_in);

const weft_kind wf_resolve_kind = KIND(0x7421, "resolver.resolve", wf_resolve, drop_resolve);

void *wf_tp_new(const weft_kind *kind) { return weft_new(kind); }

struct wf_tp_net *wf_tp_net_ref(struct wf_tp_net *n)
{
    (void)wf_counter_add(&n->refs, 1);
    return n;
}

/* The last one may be let go by a look-up's end, on the resolver's thread. */
void wf_tp_net_put(struct wf_tp_net *n)
{
    if (n == NULL || wf_counter_sub(&n->refs, 1) > 0) return;
    n->net->ops->destroy(n->net);
    wf_free(n);
}
