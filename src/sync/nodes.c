/* SPDX-License-Identifier: Apache-2.0
 * nodes.c - the message that tells every actor of a node where the others are.
 * Called by: weft.c, tests. May touch: the heap.
 * Never: keeps or frees the table, which outlives all actors. */
#include "nodes.h"

const weft_kind wf_wire_kind = {
    .id = 0x5301, .name = "node.wire", .size = sizeof(struct wf_wire), .drop = weft_free_msg};

struct wf_wire *wf_wire_create(const struct wf_node_table *table)
{
    struct wf_wire *wire = (struct wf_wire *)weft_new(&wf_wire_kind);
    if (wire != NULL) wire->table = table;
    return wire;
}
