/* SPDX-License-Identifier: Apache-2.0
 * scan.c - the bounded pass over a whole message before anybody reads it.
 * Called by: transport and store, on bytes from outside. May touch: those bytes.
 * Never: allocates, recurses, believes a declared size that cannot be true. */
#include "cursor.h"
#include "head.h"
#include "log.h"

#define SCAN_DEPTH_MAX 32u

weft_err wf_scan(const uint8_t *data, size_t len, unsigned depth, size_t nodes)
{
    WF_ASSERT(depth <= SCAN_DEPTH_MAX);
    uint64_t open[SCAN_DEPTH_MAX]; /* values still missing in each open array */
    unsigned level = 0;
    uint64_t owed = 1; /* values announced and not seen, over all levels: the running total
                        * that stops nested arrays from announcing the same bytes twice */
    uint64_t seen = 0;
    const uint8_t *at = data;
    uint64_t left = len;
    while (owed > 0) {
        struct wf_head head;
        if (++seen > nodes || !wf_head_read(at, (size_t)left, &head)) return WEFT_SYNTAX;
        at += head.len;
        left -= head.len;
        owed--;
        if (level > 0) open[level - 1]--;
        if (head.class == WF_CLASS_ARRAY) {
            if (level >= depth) return WEFT_SYNTAX;
            owed += head.value; /* no overflow: it was at most `left`, plus 32 bits */
            open[level++] = head.value;
        } else if (head.class == WF_CLASS_STR || head.class == WF_CLASS_BIN) {
            if (head.value > left) return WEFT_SYNTAX;
            at += head.value;
            left -= head.value;
        }
        if (owed > left) return WEFT_SYNTAX; /* each value takes a byte at least */
        while (level > 0 && open[level - 1] == 0) level--;
    }
    return left == 0 ? WEFT_OK : WEFT_SYNTAX;
}
