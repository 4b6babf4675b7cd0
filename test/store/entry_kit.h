/* SPDX-License-Identifier: Apache-2.0
 * entry_kit.h - what the tests of entries and keys share: chance from a seed, keys, bytes.
 * Called by: test_{id,crypto,entry,entry_bad,keys,map,policy}.c. Never: the product. */
#ifndef ENTRY_KIT_H
#define ENTRY_KIT_H

#include <weft/entry.h>

/* SplitMix64: small, and equal on every machine. */
typedef struct kit_random {
    uint64_t state;
} kit_random;
uint64_t kit_next(kit_random *r);
uint32_t kit_below(kit_random *r, uint32_t bound);
void kit_fill(kit_random *r, void *out, size_t len);
weft_id kit_id(uint8_t byte); /* 32 times this byte */

/* The key pair of the seed that is 32 times `byte`; ends the test when it cannot be made. */
weft_keypair *kit_pair(uint8_t byte);

/* Bytes from a short notation: hex digits, blanks, and `xx*n` for n times the byte xx.
 * Ends the test when `room` is too small or the text is wrong. */
size_t kit_bytes(const char *text, uint8_t *out, size_t room);

#endif
