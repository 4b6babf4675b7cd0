/* SPDX-License-Identifier: Apache-2.0
 * utf8.c - is it well-formed UTF-8?
 * Called by: cursor.c. May touch: the bytes it was given.
 * Never: reads past the end, changes or normalises anything. */
#include "utf8.h"

#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Bytes of the sequence that starts at `at`, or 0 if it is malformed. The range of
 * the second byte depends on the first; that is where overlong forms, surrogates and
 * too large code points are. */
static size_t sequence(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    uint8_t low = 0x80, high = 0xbf;
    size_t len;
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    if (first < 0xe0) len = 2;
    else if (first < 0xf0) len = 3;
    else len = 4;
    if (first == 0xe0) low = 0xa0;
    else if (first == 0xed) high = 0x9f;
    else if (first == 0xf0) low = 0x90;
    else if (first == 0xf4) high = 0x8f;
    if (left < len || at[1] < low || at[1] > high) return 0;
    for (size_t i = 2; i < len; i++)
        if ((at[i] & 0xc0) != 0x80) return 0;
    return len;
}

bool wf_utf8_valid(const uint8_t *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        uint64_t word;
        if (len - at >= sizeof word) { /* mostly it is plain ASCII */
            memcpy(&word, text + at, sizeof word);
            if ((word & HIGH_BITS) == 0) {
                at += sizeof word;
                continue;
            }
        }
        size_t step = sequence(text + at, len - at);
        if (step == 0) return false;
        at += step;
    }
    return true;
}

size_t wf_utf8_next(const uint8_t *text, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left; n++)
        if (wf_utf8_valid(text, n)) return n;
    return 0;
}
