/* SPDX-License-Identifier: Apache-2.0
 * head.c - taking the head of one msgpack value apart.
 * Called by: scan.c, cursor.c. May touch: up to nine bytes, never past `left`.
 * Never: follows what the head announces. */
#include "head.h"

/* What a code from 0xc0 to 0xdf means. */
struct code {
    uint8_t class;
    uint8_t known;
    uint8_t bytes; /* after the code */
};

static const struct code codes[32] = {
    [0xc0 - 0xc0] = {WF_CLASS_NIL, 1, 0},   [0xc2 - 0xc0] = {WF_CLASS_BOOL, 1, 0},
    [0xc3 - 0xc0] = {WF_CLASS_BOOL, 1, 0},  [0xc4 - 0xc0] = {WF_CLASS_BIN, 1, 1},
    [0xc5 - 0xc0] = {WF_CLASS_BIN, 1, 2},   [0xc6 - 0xc0] = {WF_CLASS_BIN, 1, 4},
    [0xca - 0xc0] = {WF_CLASS_FLOAT, 1, 4}, [0xcb - 0xc0] = {WF_CLASS_FLOAT, 1, 8},
    [0xcc - 0xc0] = {WF_CLASS_UINT, 1, 1},  [0xcd - 0xc0] = {WF_CLASS_UINT, 1, 2},
    [0xce - 0xc0] = {WF_CLASS_UINT, 1, 4},  [0xcf - 0xc0] = {WF_CLASS_UINT, 1, 8},
    [0xd0 - 0xc0] = {WF_CLASS_INT, 1, 1},   [0xd1 - 0xc0] = {WF_CLASS_INT, 1, 2},
    [0xd2 - 0xc0] = {WF_CLASS_INT, 1, 4},   [0xd3 - 0xc0] = {WF_CLASS_INT, 1, 8},
    [0xd9 - 0xc0] = {WF_CLASS_STR, 1, 1},   [0xda - 0xc0] = {WF_CLASS_STR, 1, 2},
    [0xdb - 0xc0] = {WF_CLASS_STR, 1, 4},   [0xdc - 0xc0] = {WF_CLASS_ARRAY, 1, 2},
    [0xdd - 0xc0] = {WF_CLASS_ARRAY, 1, 4},
};

static bool one_byte(uint8_t class, uint64_t value, struct wf_head *out)
{
    out->class = (enum wf_class) class;
    out->len = 1;
    out->shortest = true;
    out->value = value;
    return true;
}

/* The signed forms may also hold what the unsigned ones can: then they are UINT and
 * never the shortest form. */
static void read_signed(uint64_t value, unsigned bytes, struct wf_head *out)
{
    uint64_t sign = UINT64_C(1) << (8 * bytes - 1);
    if ((value & sign) == 0) {
        out->class = WF_CLASS_UINT;
        out->shortest = false;
        out->value = value;
        return;
    }
    value |= ~(sign | (sign - 1)); /* extend the sign */
    uint64_t size = ~value;        /* 0 for -1, 31 for -32 */
    out->value = value;
    out->shortest = bytes == 1   ? size >= 0x20
                    : bytes == 2 ? size >= 0x80
                    : bytes == 4 ? size >= 0x8000
                                 : size >= 0x80000000u;
}

static bool is_shortest(uint8_t class, unsigned bytes, uint64_t value)
{
    switch (class) {
    case WF_CLASS_UINT:
        if (bytes == 1) return value >= 0x80;
        break;
    case WF_CLASS_STR:
        if (bytes == 1) return value >= 32;
        break;
    case WF_CLASS_ARRAY:
        if (bytes == 2) return value >= 16;
        break;
    case WF_CLASS_BIN:
        if (bytes == 1) return true;
        break;
    default: return true; /* nil, bool, float */
    }
    return value >= (bytes == 2 ? 0x100u : bytes == 4 ? 0x10000u : UINT64_C(0x100000000));
}

bool wf_head_read(const uint8_t *at, size_t left, struct wf_head *out)
{
    if (left == 0) return false;
    uint8_t first = *at;
    if (first < 0x80) return one_byte(WF_CLASS_UINT, first, out);
    if (first >= 0xe0) return one_byte(WF_CLASS_INT, (uint64_t)(int64_t)(int8_t)first, out);
    if (first < 0x90) return false; /* a map */
    if (first < 0xa0) return one_byte(WF_CLASS_ARRAY, first & 0x0fu, out);
    if (first < 0xc0) return one_byte(WF_CLASS_STR, first & 0x1fu, out);
    struct code code = codes[first - 0xc0];
    if (!code.known || left < 1u + code.bytes) return false;
    uint64_t value = 0;
    for (unsigned i = 1; i <= code.bytes; i++) value = value << 8 | at[i];
    if (code.class == WF_CLASS_BOOL) value = first & 1u;
    out->class = (enum wf_class)code.class;
    out->len = (uint8_t)(1 + code.bytes);
    out->value = value;
    if (code.class == WF_CLASS_INT) read_signed(value, code.bytes, out);
    else out->shortest = is_shortest(code.class, code.bytes, value);
    return true;
}
