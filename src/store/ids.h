/* SPDX-License-Identifier: Apache-2.0
 * ids.h - small work on lists of ids that entries and the store share.
 * Called by: entry_build.c, entry_read.c, the store. May touch: the list given.
 * Never: allocates. Any thread. */
#ifndef WF_IDS_H
#define WF_IDS_H

#include <weft/id.h>

/* Sorts ascending by bytes and removes duplicates, in place. Returns how many are
 * left. O(n log n); a list that is sorted already costs one pass. */
uint32_t wf_ids_sort_unique(weft_id *ids, uint32_t count);

/* `len` bytes as lower-case hexadecimal digits, without a NUL. */
void wf_hex_write(const uint8_t *data, size_t len, char *out);
/* Exactly 2 * len lower-case digits. SYNTAX; *out is untouched then. */
weft_err wf_hex_read(const char *text, size_t len, uint8_t *out);

#endif
