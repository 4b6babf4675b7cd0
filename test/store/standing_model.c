/* SPDX-License-Identifier: Apache-2.0
 * standing_model.c - which entries count, told by sets of ancestors.
 * Called by: test_standing.c, test_rights.c. May touch: its arguments. Never: a store. */
#include "standing_model.h"

static bool has(uint64_t bits, uint32_t i) { return (bits >> i & 1) != 0; }

static bool is_none(const struct sm_entry *e)
{
    return e->says == SM_GRANTS && e->grant.right == WEFT_RIGHT_NONE;
}

/* The newest word of the key in the set; -1: none. */
static int newest(const struct sm_history *h, uint64_t set, uint32_t key)
{
    int last = -1;
    for (uint64_t left = set; left != 0; left &= left - 1) {
        const int i = __builtin_ctzll(left);
        const struct sm_entry *e = &h->list[i];
        if (e->says == SM_NOTHING || e->key != key) continue;
        if (last < 0 || wf_stamp_compare(&e->at, &h->list[last].at) > 0) last = i;
    }
    return last;
}

static wf_grant granted(const struct sm_history *h, uint64_t set, uint32_t key)
{
    const int last = newest(h, set, key);
    if (last < 0 || h->list[last].says == SM_DELETES) return (wf_grant){WEFT_RIGHT_NONE, 0};
    return h->list[last].grant;
}

static wf_grant right_below(const struct sm_history *h, uint32_t entry, uint32_t key)
{
    const uint64_t below = h->list[entry].below;
    const int last = newest(h, below, key);
    const wf_grant own = granted(h, below, key), all = granted(h, below, SM_EVERYONE);
    if (last >= 0 && is_none(&h->list[last])) return own;
    return wf_grant_compare(&own, &all) >= 0 ? own : all;
}

static bool revokes(const struct sm_history *h, uint32_t i)
{
    const struct sm_entry *e = &h->list[i];
    if (i == 0 || e->says == SM_NOTHING || e->key == SM_EVERYONE) return false;
    const wf_grant had = granted(h, e->below, e->key);
    return e->says == SM_DELETES || is_none(e) || wf_grant_compare(&e->grant, &had) < 0;
}

static bool permits(const struct sm_history *h, uint32_t word, uint32_t x)
{
    const struct sm_entry *w = &h->list[word];
    const weft_right need = h->list[x].settings ? WEFT_RIGHT_ADMIN : WEFT_RIGHT_WRITE;
    if (w->says == SM_GRANTS && w->grant.right >= need) return true;
    return !is_none(w) && granted(h, h->list[x].below, SM_EVERYONE).right >= need;
}

static bool has_authority(const struct sm_history *h, uint64_t counts, uint32_t x)
{
    const struct sm_entry *e = &h->list[x];
    const weft_right need = e->settings ? WEFT_RIGHT_ADMIN : WEFT_RIGHT_WRITE;
    if (x == 0 || granted(h, e->below, SM_EVERYONE).right >= need) return true;
    for (uint32_t w = 0; w < h->count; w++)
        if (has(counts & e->below, w) && h->list[w].says != SM_NOTHING &&
            h->list[w].key == e->author && permits(h, w, x))
            return true;
    return false;
}

/* Parents come first in the list, so what an entry needs to know of others is known. */
static uint64_t counting(const struct sm_history *h, uint64_t universe, uint64_t in_force)
{
    uint64_t counts = 0;
    for (uint32_t x = 0; x < h->count; x++) {
        bool stays = has(universe, x);
        for (uint32_t r = 0; r < h->count && stays; r++) {
            if (!has(in_force, r) || h->list[r].key != h->list[x].author) continue;
            stays = r == x || has(h->list[r].below, x) || permits(h, r, x);
            for (uint32_t w = 0; w < h->count && !stays; w++) {
                const struct sm_entry *e = &h->list[w];
                if (e->says == SM_NOTHING || e->key != h->list[x].author) continue;
                stays = has(counts, w) && has(e->below, r) && has(h->list[x].below, w) &&
                        permits(h, w, x);
            }
        }
        stays = stays && has_authority(h, counts, x);
        counts |= (uint64_t)stays << x;
    }
    return counts;
}

struct sm_verdict sm_judge(const struct sm_history *h, uint64_t universe)
{
    struct sm_verdict v = {0};
    uint64_t done = 0;
    for (uint32_t r = 0; r < h->count; r++)
        if (has(universe, r) && revokes(h, r)) v.revocations |= UINT64_C(1) << r;
    while (done != v.revocations) { /* a round: the strongest that are left, together */
        wf_grant most = {WEFT_RIGHT_NONE, 0};
        uint64_t round = 0;
        for (uint32_t r = 0; r < h->count; r++) {
            if (!has(v.revocations & ~done, r)) continue;
            const wf_grant strength = right_below(h, r, h->list[r].author);
            const int order = wf_grant_compare(&strength, &most);
            if (round != 0 && order < 0) continue;
            if (order > 0) round = 0;
            round |= UINT64_C(1) << r;
            most = strength;
        }
        v.in_force |= round & counting(h, universe, v.in_force);
        done |= round;
    }
    v.counts = counting(h, universe, v.in_force);
    return v;
}

wf_grant sm_right(const struct sm_history *h, const struct sm_verdict *v, uint32_t key,
                  bool *revoked)
{
    const int last = newest(h, v->counts, key);
    wf_grant own = granted(h, v->counts, key), all = granted(h, v->counts, SM_EVERYONE);
    *revoked = last >= 0 && is_none(&h->list[last]);
    for (uint32_t r = 0; r < h->count; r++) {
        const struct sm_entry *e = &h->list[r];
        if (!has(v->in_force, r) || e->key != key) continue;
        wf_grant left = e->says == SM_GRANTS ? e->grant : (wf_grant){WEFT_RIGHT_NONE, 0};
        bool lifted = !is_none(e);
        for (uint32_t w = 0; w < h->count; w++) {
            const struct sm_entry *above = &h->list[w];
            if (!has(v->counts, w) || above->says == SM_NOTHING || above->key != key) continue;
            if (!has(above->below, r) || is_none(above)) continue;
            lifted = true;
            if (above->says == SM_GRANTS && wf_grant_compare(&above->grant, &left) > 0)
                left = above->grant;
        }
        if (wf_grant_compare(&own, &left) > 0) own = left;
        *revoked |= !lifted;
    }
    if (*revoked) return (wf_grant){WEFT_RIGHT_NONE, 0};
    return wf_grant_compare(&own, &all) >= 0 ? own : all;
}
