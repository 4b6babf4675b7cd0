/* SPDX-License-Identifier: Apache-2.0
 * msg.c - the body of one frame of the sync protocol. What a decoder takes, its encoder
 * writes, and that reads back as the same: no two readings of one frame.
 * Called by: libfuzzer.c, replay.c. May touch: wire.h by way of the examples of test_wire.
 * Never: a session. */
#include <string.h>

#include "cursor.h"
#include "frame.h"
#include "frames.h"
#include "fuzz.h"

typedef weft_err reader(const uint8_t *bytes, size_t len, weft_buf **again);

/* Who reads the frames of a type: that of an example, whose encoder tells the type. */
static reader *reader_of(uint64_t type)
{
    static reader *readers[WF_FRAME_SKIPPABLE];
    static bool known;
    for (int i = 0; i < FRAMES_COUNT && !known; i++) {
        weft_buf *buf = frame_examples[i].encode();
        uint64_t own;
        uint32_t stream;
        size_t len;
        FUZZ_CHECK(buf != NULL);
        const uint8_t *body = frame_body(buf, &len);
        FUZZ_CHECK(wf_frame_head(body, len, &own, &stream) == WEFT_OK && own < WF_FRAME_SKIPPABLE);
        readers[own] = frame_examples[i].decode;
        weft_buf_unref(buf);
    }
    known = true;
    return type < WF_FRAME_SKIPPABLE ? readers[type] : NULL;
}

/* A mistake made on purpose, in a build that shows that it would be found: one byte behind
 * the bits, when it is not the first page that they answer. */
static void plant(const uint8_t *data, size_t len)
{
#ifdef FUZZ_PLANT
    struct wf_bits bits;
    volatile uint8_t sink;
    if (wf_bits_decode(data, len, &bits) == WEFT_OK && bits.ref != 1)
        sink = bits.bits[(bits.count + 7) / 8];
    (void)sink;
#else
    (void)data;
    (void)len;
#endif
}

bool fuzz_msg(const uint8_t *data, size_t len)
{
    weft_buf *first = NULL, *second = NULL;
    uint64_t type;
    uint32_t stream;
    if (wf_scan(data, len, WF_FRAME_DEPTH_MAX, 2 * len) != WEFT_OK) return false;
    if (wf_frame_head(data, len, &type, &stream) != WEFT_OK) return false;
    reader *read = reader_of(type);
    if (read == NULL) return false;
    plant(data, len);
    if (read(data, len, &first) != WEFT_OK) return false;
    FUZZ_CHECK(first != NULL);
    size_t first_len, second_len;
    const uint8_t *body = frame_body(first, &first_len);
    FUZZ_CHECK(wf_scan(body, first_len, WF_FRAME_DEPTH_MAX, 2 * first_len) == WEFT_OK);
    FUZZ_CHECK(read(body, first_len, &second) == WEFT_OK && second != NULL);
    const uint8_t *again = frame_body(second, &second_len);
    FUZZ_CHECK(first_len == second_len && memcmp(body, again, first_len) == 0);
    weft_buf_unref(first);
    weft_buf_unref(second);
    return true;
}
