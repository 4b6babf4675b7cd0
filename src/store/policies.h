/* SPDX-License-Identifier: Apache-2.0
 * policies.h - policies by number: equal ones are kept once.
 * Called by: the writer alone. May touch: the family `policy`, its cache.
 * Never: says what a policy allows (policy.h does). */
#ifndef WF_POLICIES_H
#define WF_POLICIES_H

#include <weft/limits.h>

#include "kv.h"
#include "policy.h"

struct wf_policy_slot {
    uint32_t number; /* 0: empty */
    uint32_t used;   /* when it was asked for last */
    bool pinned;     /* the open batch made it: the engine does not have it yet */
    uint8_t hash[32];
    wf_policy *policy;
};

struct wf_policies {
    struct wf_policy_slot slots[WEFT_STORE_POLICIES];
    uint32_t last;    /* highest number given, the open batch included */
    uint32_t durable; /* highest number that the engine has            */
    uint32_t clock, pinned;
};

weft_err wf_policies_init(struct wf_policies *p, wf_kv *kv); /* IO, CORRUPT */
void wf_policies_fini(struct wf_policies *p);
/* Borrowed until the next call here. CORRUPT, IO, NO_MEMORY. */
weft_err wf_policies_get(struct wf_policies *p, wf_kv *kv, uint32_t number, const wf_policy **out);
/* The number of a policy, a new one if it was never met; its bytes go to `batch`.
 * Takes `policy` on OK. */
weft_err wf_policies_intern_take(struct wf_policies *p, wf_kv *kv, wf_batch *batch,
                                 wf_policy *policy, uint32_t *number);
/* The open batch has as many new ones as it may. */
bool wf_policies_full(const struct wf_policies *p);
void wf_policies_written(struct wf_policies *p);
void wf_policies_forget(struct wf_policies *p); /* after a failed batch */

#endif
