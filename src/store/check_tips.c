/* SPDX-License-Identifier: Apache-2.0
 * check_tips.c - is an entry a tip where it is called one, and called one where it is?
 * Called by: check.c, for each entry. May touch: the engine (reads).
 * Never: trusts `tip`: children and what their bodies name are the truth. */
#include "check.h"
#include "entry.h"

/* What the children of an entry say of it. */
struct followers {
    uint32_t count;
    uint64_t named; /* bit s: one names it as a parent within its s-th store */
    bool unknown;   /* not all of them could be asked */
};

/* Which of the stores that the entry at hand writes does this child follow it in? */
static uint64_t follows_in(const struct wf_check *c)
{
    uint64_t named = 0;
    for (uint32_t s = 0; s < c->entry->stores_count; s++) {
        const weft_entry_store *part = &c->entry->stores[s];
        for (uint32_t o = 0; o < c->child->stores_count; o++) {
            const weft_entry_store *other = &c->child->stores[o];
            if (other->name_len != part->name_len ||
                memcmp(other->name, part->name, part->name_len) != 0)
                continue;
            for (uint32_t i = 0; i < other->parents_count; i++) {
                weft_id parent;
                weft_entry_store_parent(other, i, &parent);
                if (weft_id_equal(&parent, &c->at.id)) named |= UINT64_C(1) << s;
            }
        }
    }
    return named;
}

/* A child that cannot be read is told where it is looked at itself. */
static weft_err ask_child(struct wf_check *c, const uint8_t *key, size_t len, struct followers *f)
{
    uint8_t at[WF_KEY_SEQ_BYTES];
    wf_value value;
    f->count++;
    if (len != WF_KEY_CHILD_BYTES) return WEFT_OK;
    wf_key_seq(at, c->at.t, wf_get64(key + WF_KEY_SEQ_BYTES));
    weft_err err = wf_kv_get(c->kv, c->snap, WF_CF_ENTRY, at, sizeof at, &value);
    if (err == WEFT_NOT_FOUND || err == WEFT_CORRUPT) {
        f->unknown = true;
        return WEFT_OK;
    }
    if (err != WEFT_OK) return err;
    if (wf_entry_parse(value.data, value.len, c->child) == WEFT_OK) f->named |= follows_in(c);
    else f->unknown = true;
    wf_value_release(c->kv, &value);
    return WEFT_OK;
}

static weft_err ask_children(struct wf_check *c, struct followers *out)
{
    uint8_t prefix[WF_KEY_SEQ_BYTES];
    wf_key_seq(prefix, c->at.t, c->at.seq);
    *out = (struct followers){0};
    uint64_t all = c->entry->stores_count == 64 ? UINT64_MAX
                                                : (UINT64_C(1) << c->entry->stores_count) - 1;
    wf_kv_iter *it;
    weft_err err = wf_kv_iter_create(c->kv, c->snap, WF_CF_CHILD, prefix, sizeof prefix, &it);
    if (err == WEFT_OK) {
        /* One child is enough to know that it is no tip of the tree. */
        for (wf_kv_iter_first(it); wf_kv_iter_valid(it); wf_kv_iter_next(it)) {
            size_t len;
            const uint8_t *key = wf_kv_iter_key(it, &len);
            err = ask_child(c, key, len, out);
            if (err != WEFT_OK || out->named == all) break;
        }
        if (err == WEFT_OK) err = wf_kv_iter_err(it);
        wf_kv_iter_destroy(it);
    }
    if (err != WEFT_CORRUPT) return err;
    out->unknown = true;
    wf_check_fail(c, WF_CHECK_UNREADABLE, WF_CF_CHILD, "its children cannot be read");
    return WEFT_OK;
}

static weft_err expect(struct wf_check *c, const weft_entry_store *part, uint64_t gen, bool is_tip)
{
    uint8_t key[WF_KEY_TIP_BYTES_MAX], want[WF_GEN_BYTES];
    size_t len = wf_key_tip(key, c->at.t, part == NULL ? NULL : part->name,
                            part == NULL ? 0 : part->name_len, &c->at.id);
    wf_value value;
    bool found, told;
    weft_err err = wf_check_get(c, WF_CF_TIP, key, len, &value, &found, &told);
    if (err != WEFT_OK || told) return err;
    wf_put64(want, gen);
    if (found && !is_tip)
        wf_check_fail(c, WF_CHECK_TIP, WF_CF_TIP, "it is called a tip and is followed");
    if (!found && is_tip) wf_check_fail(c, WF_CHECK_TIP, WF_CF_TIP, "it is a tip and not listed");
    if (found && is_tip && (value.len != sizeof want || memcmp(value.data, want, value.len) != 0))
        wf_check_fail(c, WF_CHECK_TIP, WF_CF_TIP, "the tip has another generation");
    if (found) wf_value_release(c->kv, &value);
    return WEFT_OK;
}

weft_err wf_check_tips(struct wf_check *c, const struct wf_meta_record *meta)
{
    struct followers followers;
    weft_err err = ask_children(c, &followers);
    if (err != WEFT_OK) return err;
    bool known = followers.count > 0 || !followers.unknown;
    if (followers.count == 0 && known) c->totals[meta->t - 1].tips++;
    if (known) err = expect(c, NULL, meta->gen, followers.count == 0);
    for (uint32_t s = 0; s < c->entry->stores_count && err == WEFT_OK; s++) {
        bool followed = (followers.named >> s & 1) != 0;
        if (!followed && followers.unknown) continue; /* one of those may follow it there */
        if (!followed) c->named_tips++;
        err = expect(c, &c->entry->stores[s], meta->gen, !followed);
    }
    return err;
}
