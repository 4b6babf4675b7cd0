/* SPDX-License-Identifier: Apache-2.0
 * head.h - the first bytes of one msgpack value: its class, its size or value.
 * Called by: scan.c, cursor.c. Rule: the MessagePack specification, section
 * "Formats"; maps, ext and the reserved code are not part of weft's subset. */
#ifndef WF_HEAD_H
#define WF_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wf_class {
    WF_CLASS_NIL,
    WF_CLASS_BOOL,
    WF_CLASS_UINT,
    WF_CLASS_INT, /* negative */
    WF_CLASS_FLOAT,
    WF_CLASS_STR,   /* value: bytes that follow  */
    WF_CLASS_BIN,   /* value: bytes that follow  */
    WF_CLASS_ARRAY, /* value: values that follow */
};

struct wf_head {
    enum wf_class class;
    uint8_t len;    /* bytes of the head itself, 1 to 9 */
    bool shortest;  /* no shorter form says the same    */
    uint64_t value; /* the value, its bits, or its size */
};

/* False if `left` bytes do not hold a whole head of weft's subset. */
bool wf_head_read(const uint8_t *at, size_t left, struct wf_head *out);

#endif
