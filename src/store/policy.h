/* SPDX-License-Identifier: Apache-2.0
 * policy.h - who may write what: the `_settings` of an entry's ancestry, resolved.
 * Called by: the door and the store (which numbers policies), weft.c. May touch: its
 * arguments, the heap. Never: a clock, a peer, this node's configuration: every
 * honest node comes to the same answer about every entry. */
#ifndef WF_POLICY_H
#define WF_POLICY_H

#include "settings.h"

typedef struct wf_policy wf_policy; /* opaque, immutable: any thread may read */

/* The policy of no settings at all: nobody may do anything. What a root starts from.
 * NO_MEMORY. */
weft_err wf_policy_create_empty(wf_policy **out);
void wf_policy_destroy(wf_policy *policy); /* NULL is fine */

/* Equal policies give equal bytes, whatever their history. *out is the caller's.
 * NO_MEMORY. */
weft_err wf_policy_encode(const wf_policy *policy, weft_buf **out);
/* Reads them back. CORRUPT, NO_MEMORY. */
weft_err wf_policy_decode(const void *bytes, size_t len, wf_policy **out);

/* The policy of an entry with parents of policies `a` and `b` that writes no settings.
 * Associative, commutative, idempotent. NO_MEMORY. */
weft_err wf_policy_join(const wf_policy *a, const wf_policy *b, wf_policy **out);
/* `policy` after the settings payload of the entry (gen, id). BAD_ENTRY: no payload of
 * settings; NO_MEMORY. */
weft_err wf_policy_apply(const wf_policy *policy, const void *payload, size_t len, uint64_t gen,
                         const weft_id *id, wf_policy **out);

/* What `key` may do: its own grant or that of "*", the stronger one. A key whose own
 * grant is "none" has no right at all. NONE has priority 0. */
void wf_policy_right(const wf_policy *policy, const weft_key *key, weft_right *right,
                     uint32_t *priority);

/* What was said last of a grant. */
typedef struct wf_said {
    wf_stamp at;
    bool set;       /* false: it was deleted */
    wf_grant grant; /* of a set one          */
} wf_said;
/* Of `key`'s own, or of everyone's (NULL). False: nothing was. */
bool wf_policy_said(const wf_policy *policy, const weft_key *key, wf_said *out);
/* The operations of the entry at `at`, by the policy that holds after it: nothing newer hides them.
 * What fn returns other than OK ends the walk and is returned. */
weft_err wf_policy_ops_of(const wf_policy *policy, const wf_stamp *at,
                          weft_err (*fn)(void *arg, const wf_map_op *op), void *arg);
/* Each grant that stands, NONE too: first that of everyone, with key NULL and only if it gives
 * anything, then by key, ascending. */
void wf_policy_each(const wf_policy *policy,
                    void (*fn)(void *arg, const weft_key *key, const wf_grant *grant), void *arg);
/* The name of a key: UTF-8 of `*len` bytes inside the policy. NULL: none. */
const char *wf_policy_name(const wf_policy *policy, const weft_key *key, size_t *len);

/* May this entry's author write it, where `policy` is the join of its parents'
 * policies (of a root: anything, it is judged by itself)? BAD_ENTRY: its settings break
 * a rule of the format; FORBIDDEN. Allocates nothing. */
weft_err wf_policy_allows(const wf_policy *policy, const weft_entry *entry);

#endif
