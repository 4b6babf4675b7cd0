/* SPDX-License-Identifier: Apache-2.0
 * names.c - order and equality of ids and keys, which are 32 bytes each to this layer.
 * Called by: everybody. May touch: its arguments.
 * Never: knows what a name stands for. Any thread. */
#include <string.h>

#include <weft/id.h>

int weft_id_compare(const weft_id *a, const weft_id *b)
{
    return memcmp(a->bytes, b->bytes, WEFT_ID_BYTES);
}

bool weft_id_equal(const weft_id *a, const weft_id *b) { return weft_id_compare(a, b) == 0; }

int weft_key_compare(const weft_key *a, const weft_key *b)
{
    return memcmp(a->bytes, b->bytes, WEFT_KEY_BYTES);
}

bool weft_key_equal(const weft_key *a, const weft_key *b) { return weft_key_compare(a, b) == 0; }
