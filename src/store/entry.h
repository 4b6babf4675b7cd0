/* SPDX-License-Identifier: Apache-2.0
 * entry.h - what the store needs of entries beyond the public calls.
 * Called by: the door, the store, policy.c, tests. May touch: an entry's bytes.
 * Never: allocates, reads a clock. Any thread. */
#ifndef WF_ENTRY_H
#define WF_ENTRY_H

#include <weft/entry.h>

#define WF_ENTRY_VERSION 1u
#define WF_SETTINGS_NAME "_settings"
/* The encoded signature: a msgpack bin head and 64 bytes, the last of an entry. */
#define WF_ENTRY_SIGNATURE_BYTES (2u + WEFT_SIGNATURE_BYTES)

/* weft_entry_decode without hashing, for bytes whose id the caller knows already:
 * out->id is zero, and out->tree too if it is a root. Same errors. */
weft_err wf_entry_parse(const void *bytes, size_t len, weft_entry *out);

/* How many parents the tree's list and the stores' lists name together, repeats
 * counted: the room that wf_entry_union_parents needs. At most
 * WEFT_ENTRY_UNION_PARENTS_MAX. */
uint32_t wf_entry_parents_sum(const weft_entry *entry);

/* The union of tree and store parents, ascending, without repeats. LIMIT when `room`
 * is below wf_entry_parents_sum; *count is untouched then. */
weft_err wf_entry_union_parents(const weft_entry *entry, weft_id *out, uint32_t room,
                                uint32_t *count);

/* What the entry writes to the store `name`; NULL: nothing. */
const weft_entry_store *wf_entry_find_store(const weft_entry *entry, const char *name);

#endif
