/* SPDX-License-Identifier: Apache-2.0
 * revoked_ways.c - what the history says of a revocation: who is below it and above it, what was
 * said before, how strong its author was.
 * Called by: revoked.c. May touch: the store, reading.
 * Never: judges; leaves anything of the engine open. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "revoked.h"
#include "state.h"

static weft_err missing(weft_err err)
{
    if (err != WEFT_NOT_FOUND) return err;
    return wf_fail(WEFT_CORRUPT, "map", "an entry that others stand on is missing");
}

/* -- Policies ------------------------------------------------------------------------------- */

/* Borrowed until the next call. */
static weft_err policy_at(struct wf_revoked *rv, uint32_t number, const wf_policy **out)
{
    if (rv->policy == NULL || rv->policy_number != number) {
        uint8_t key[WF_KEY_POLICY_BYTES] = {WF_POLICY_NUMBER};
        wf_value value;
        wf_policy *policy = NULL;
        wf_put32(key + 1, number);
        weft_err err = wf_kv_get(rv->store->kv, NULL, WF_CF_POLICY, key, sizeof key, &value);
        if (err != WEFT_OK) return missing(err);
        err = wf_policy_decode(value.data, value.len, &policy);
        wf_value_release(rv->store->kv, &value);
        if (err != WEFT_OK) return err;
        wf_policy_destroy(rv->policy);
        rv->policy = policy;
        rv->policy_number = number;
    }
    *out = rv->policy;
    return WEFT_OK;
}

/* The policy that holds after an entry. */
static weft_err policy_of(struct wf_revoked *rv, const weft_id *id, const wf_policy **out)
{
    wf_value value;
    struct wf_meta_record meta;
    weft_err err = wf_kv_get(rv->store->kv, NULL, WF_CF_META, id->bytes, WEFT_ID_BYTES, &value);
    if (err != WEFT_OK) return missing(err);
    err = wf_meta_read(value.data, value.len, &meta);
    const uint32_t number = err == WEFT_OK ? meta.policy : 0;
    wf_value_release(rv->store->kv, &value);
    return err == WEFT_OK ? policy_at(rv, number, out) : err;
}

weft_err wf_revoked_said(struct wf_revoked *rv, const weft_id *id, bool settings,
                         const weft_key *key, bool *any, wf_stamp *out)
{
    const wf_policy *policy;
    weft_err err = WEFT_OK;
    *any = false;
    if (!settings) { /* it says nothing itself, so it has what its parents have */
        err = policy_of(rv, id, &policy);
        if (err == WEFT_OK) *any = wf_policy_said(policy, key, out);
        return err;
    }
    err = wf_store_meta(rv->store, id, rv->meta);
    if (err != WEFT_OK) return missing(err);
    for (uint32_t i = 0; i < rv->meta->parents_count && err == WEFT_OK; i++) {
        wf_stamp said;
        err = policy_of(rv, &rv->meta->parents[i], &policy);
        if (err != WEFT_OK || !wf_policy_said(policy, key, &said)) continue;
        if (!*any || wf_stamp_compare(&said, out) > 0) *out = said;
        *any = true;
    }
    return err;
}

weft_err wf_revoked_right(struct wf_revoked *rv, const weft_id *id, const weft_key *key,
                          wf_grant *out)
{
    wf_policy *joined = NULL;
    weft_err err = wf_store_meta(rv->store, id, rv->meta);
    if (err != WEFT_OK) return missing(err);
    for (uint32_t i = 0; i < rv->meta->parents_count && err == WEFT_OK; i++) {
        const wf_policy *policy;
        wf_policy *both = NULL;
        err = policy_of(rv, &rv->meta->parents[i], &policy);
        if (err == WEFT_OK) err = wf_policy_join(joined == NULL ? policy : joined, policy, &both);
        if (err != WEFT_OK) break;
        wf_policy_destroy(joined);
        joined = both;
    }
    if (err == WEFT_OK && joined != NULL) wf_policy_right(joined, key, &out->right, &out->priority);
    wf_policy_destroy(joined);
    return err;
}

weft_err wf_revoked_subject(struct wf_revoked *rv, const weft_id *settings, struct wf_subject *out)
{
    weft_err err = wf_store_meta(rv->store, settings, rv->meta);
    if (err != WEFT_OK) return missing(err);
    *out = (struct wf_subject){{rv->meta->gen, rv->meta->seq, *settings}, rv->meta->author, true};
    return WEFT_OK;
}

/* -- A revocation below an entry --------------------------------------------------------------- */

static weft_err reaches(struct wf_revoked *rv, const weft_id *from, const weft_id *target,
                        bool *out)
{
    struct wf_dag *dag = NULL;
    struct wf_dag_reach *reach = NULL;
    struct wf_facts above = {0}, below = {0};
    weft_err err = wf_dag_open(rv->store, &rv->tree, NULL, &dag);
    if (err == WEFT_OK) err = missing(wf_dag_cut(dag, &(weft_cut){from, 1}, &above, NULL, NULL));
    if (err == WEFT_OK) err = missing(wf_dag_cut(dag, &(weft_cut){target, 1}, &below, NULL, NULL));
    if (err == WEFT_OK) err = wf_dag_reach_take(dag, &above, &below, &reach);
    if (err == WEFT_OK) do
            err = wf_dag_reach_step(reach, out);
        while (err == WEFT_AGAIN);
    wf_dag_reach_destroy(reach);
    wf_facts_fini(&above);
    wf_facts_fini(&below);
    wf_dag_unref(dag);
    return err;
}

/* If it is below, what was said last there is the revocation or newer: nearly always that
 * decides. Only what was said of one key on both sides of a fork has to be asked for. */
weft_err wf_revocation_is_below(struct wf_revoked *rv, struct wf_revocation *r,
                                const wf_stamp *entry, bool *out)
{
    const wf_stamp at = {r->place.gen, r->place.id};
    bool any = false, below = false;
    wf_stamp said;
    if (r->asked && wf_stamp_compare(&r->about, entry) == 0) {
        *out = r->answer;
        return WEFT_OK;
    }
    weft_err err = WEFT_OK;
    if (entry->gen > at.gen) err = wf_revoked_said(rv, &entry->id, true, &r->key, &any, &said);
    const int order = any ? wf_stamp_compare(&said, &at) : -1;
    below = order == 0;
    if (err == WEFT_OK && order > 0) err = reaches(rv, &entry->id, &at.id, &below);
    if (err != WEFT_OK) return err;
    r->asked = true;
    r->answer = *out = below;
    r->about = *entry;
    return WEFT_OK;
}

/* -- A revocation above an entry ------------------------------------------------------------------ */

static void forget_marks(struct wf_revoked *rv, struct wf_revocation *r)
{
    if (r->below.words == NULL) return;
    rv->marks_bytes -= (r->below.count + 63) / 64 * 8;
    wf_dag_bits_fini(&r->below);
}

static void end_marking(struct wf_revocation *r)
{
    wf_dag_mark_destroy(r->mark);
    wf_dag_unref(r->dag);
    r->mark = NULL;
    r->dag = NULL;
}

void wf_revocation_fini(struct wf_revoked *rv, struct wf_revocation *r)
{
    end_marking(r);
    forget_marks(rv, r);
}

static weft_err begin_marking(struct wf_revoked *rv, struct wf_revocation *r)
{
    struct wf_facts cut = {0};
    weft_err err = wf_dag_open(rv->store, &rv->tree, NULL, &r->dag);
    if (err == WEFT_OK)
        err = missing(wf_dag_cut(r->dag, &(weft_cut){&r->place.id, 1}, &cut, NULL, NULL));
    if (err == WEFT_OK) err = wf_dag_mark_create(r->dag, &cut, &r->mark);
    wf_facts_fini(&cut);
    if (err != WEFT_OK) end_marking(r);
    return err;
}

/* Nothing that arrived after it is below it, so its marks end there. */
static weft_err keep_marks(struct wf_revoked *rv, struct wf_revocation *r)
{
    const uint64_t bytes = (r->place.seq / 64 + 1) * 8;
    for (uint32_t i = 0; i < rv->count && rv->marks_bytes + bytes > WEFT_DAG_MARKS_BYTES; i++)
        forget_marks(rv, &rv->list[i]); /* to be marked again if anybody asks */
    weft_err err = wf_dag_bits_create(r->place.seq, &r->below);
    if (err == WEFT_OK) {
        memcpy(r->below.words, wf_dag_mark_bits(r->mark)->words, bytes);
        rv->marks_bytes += bytes;
    }
    end_marking(r);
    return err;
}

weft_err wf_revocation_is_above(struct wf_revoked *rv, struct wf_revocation *r,
                                const wf_place *entry, uint64_t *left, bool *out)
{
    *out = false;
    if (entry->gen >= r->place.gen) return WEFT_OK;
    weft_err err = WEFT_OK;
    if (r->below.words == NULL && r->mark == NULL) err = begin_marking(rv, r);
    while (r->below.words == NULL && err == WEFT_OK) {
        const uint64_t before = r->dag->reads, may = *left == 0 ? 1 : *left;
        err = wf_dag_mark_step(r->mark, may > UINT32_MAX ? UINT32_MAX : (uint32_t)may);
        const uint64_t reads = r->dag->reads - before;
        *left -= reads < *left ? reads : *left;
        if (err == WEFT_OK) err = keep_marks(rv, r);
        else if (err != WEFT_AGAIN) end_marking(r); /* it cannot go on */
        else if (*left > 0) err = WEFT_OK;
    }
    if (err == WEFT_OK) *out = wf_dag_bits_has(&r->below, entry->seq);
    return err;
}
