/* SPDX-License-Identifier: Apache-2.0
 * judge.c - holds a store against the ledger: acknowledged is there, a commit is whole or
 * absent, nothing is there that nobody asked for.
 * Called by: victim.c, script.c. May touch: the store, reading. Never: writes, repairs. */
#include <stdio.h>

#include "torture.h"

/* How many entries of a commit are there. */
static weft_err count_here(wf_store *store, const tt_history *h, uint32_t lane, uint32_t commit,
                           uint32_t *out)
{
    *out = 0;
    for (uint32_t i = h->begins[lane][commit]; i < h->begins[lane][commit + 1]; i++) {
        wf_meta_brief brief;
        weft_err err = wf_store_meta_brief(store, &h->ids[i], &brief);
        if (err == WEFT_OK) (*out)++;
        else if (err != WEFT_NOT_FOUND) return err;
    }
    return WEFT_OK;
}

static weft_err judge_lane(wf_store *store, const tt_history *h, const tt_ledger *ledger,
                           uint32_t lane, bool whole, tt_verdict *v)
{
    bool sound = true;
    for (uint32_t c = v->sound[lane]; c < h->commits[lane]; c++) {
        uint32_t here, all = h->begins[lane][c + 1] - h->begins[lane][c];
        weft_err err = count_here(store, h, lane, c, &here);
        if (err != WEFT_OK) return err;
        uint8_t said = ledger->said[lane][c];
        v->entries += here;
        v->lost += said == TT_ACKED && here < all;
        v->torn += here > 0 && here < all && said != TT_LOOSE;
        v->unannounced += here > 0 && said == TT_UNSAID;
        sound = sound && here == all;
        if (sound) v->sound[lane] = c + 1;
        if (!whole && here == 0 && said == TT_UNSAID) break; /* lanes go on in order */
    }
    return WEFT_OK;
}

static weft_err count_faults(wf_store *store, tt_verdict *v)
{
    wf_check_report r;
    weft_err err = wf_store_check(store, false, &r);
    if (err != WEFT_OK) return err;
    v->faults += (uint32_t)(r.bad_bytes + r.bad_ids + r.bad_signatures + r.missing_parents +
                            r.bad_tips + r.bad_indexes);
    v->faults += r.entries != v->entries;
    return WEFT_OK;
}

weft_err tt_judge(wf_store *store, const tt_history *h, const tt_ledger *ledger, bool whole,
                  tt_verdict *out)
{
    tt_verdict v = {0};
    for (uint32_t lane = 0; lane <= TT_ROOT; lane++) {
        uint32_t from = whole ? 0 : ledger->sound[lane];
        v.sound[lane] = from;
        v.entries += h->begins[lane][from] - h->begins[lane][0];
        for (uint32_t c = 0; c < h->commits[lane]; c++)
            v.acked += ledger->said[lane][c] == TT_ACKED;
        weft_err err = judge_lane(store, h, ledger, lane, whole, &v);
        if (err != WEFT_OK) return err;
    }
    /* What the tree says of itself counts what nobody knows of, too. */
    wf_tree_info info = {0};
    weft_err err = wf_store_tree(store, &h->ids[0], &info);
    if (err != WEFT_OK && err != WEFT_NOT_FOUND) return err;
    v.faults += info.count != v.entries || info.seq != v.entries;
    if (whole) err = count_faults(store, &v);
    if (whole && err != WEFT_OK) return err;
    *out = v;
    return WEFT_OK;
}

bool tt_verdict_good(const tt_verdict *v)
{
    return v->lost + v->torn + v->unannounced + v->faults == 0;
}

void tt_verdict_text(const tt_verdict *v, char *out, size_t room)
{
    snprintf(out, room, "%u lost, %u torn, %u unannounced, %u faults; %u entries, %u acknowledged",
             v->lost, v->torn, v->unannounced, v->faults, v->entries, v->acked);
}
