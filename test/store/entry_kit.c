/* SPDX-License-Identifier: Apache-2.0
 * entry_kit.c - what the tests of entries and keys share.
 * Called by: test_{id,crypto,entry,entry_bad,keys,map,policy}.c. May touch: its arguments.
 * Never: a clock or the machine's randomness: a run is the same everywhere. */
#include "entry_kit.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

uint64_t kit_next(kit_random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t kit_below(kit_random *r, uint32_t bound) { return (uint32_t)(kit_next(r) % bound); }

void kit_fill(kit_random *r, void *out, size_t len)
{
    uint8_t *at = out;
    for (size_t i = 0; i < len; i++) at[i] = (uint8_t)kit_next(r);
}

weft_id kit_id(uint8_t byte)
{
    weft_id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

weft_keypair *kit_pair(uint8_t byte)
{
    uint8_t seed[32];
    weft_keypair *pair = NULL;
    memset(seed, byte, sizeof seed);
    cr_assert_eq(weft_keypair_from_seed(seed, &pair), WEFT_OK);
    return pair;
}

static uint8_t digit(char c)
{
    cr_assert(isxdigit((unsigned char)c), "not a hex digit: %c", c);
    return (uint8_t)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

size_t kit_bytes(const char *text, uint8_t *out, size_t room)
{
    size_t len = 0;
    while (*text != '\0') {
        if (*text == ' ') {
            text++;
            continue;
        }
        uint8_t byte = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
        unsigned long times = 1;
        text += 2;
        if (*text == '*') times = strtoul(text + 1, (char **)&text, 10);
        cr_assert(times <= room - len, "kit_bytes: no room");
        memset(out + len, byte, times);
        len += times;
    }
    return len;
}
