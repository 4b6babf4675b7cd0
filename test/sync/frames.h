/* SPDX-License-Identifier: Apache-2.0
 * frames.h - one example of every frame of the sync protocol, from fixed bytes.
 * Called by: test_wire*.c. Never: the product. */
#ifndef FRAMES_H
#define FRAMES_H

#include "wire.h"

enum { FRAMES_COUNT = 26 };
/* A frame by name, its encoder's output and how to read it again. */
struct frame_example {
    const char *name;
    weft_buf *(*encode)(void);
    /* Decodes and, on OK, encodes what was read once more: *again. */
    weft_err (*decode)(const uint8_t *bytes, size_t len, weft_buf **again);
};
extern const struct frame_example frame_examples[FRAMES_COUNT];

const uint8_t *frame_body(const weft_buf *buf, size_t *len); /* behind the length word */

#endif
