/* SPDX-License-Identifier: Apache-2.0
 * check_dom.c - are the dominators of an entry what those of its parents make them?
 * Called by: check.c, check_made.c. May touch: the engine (reads).
 * Never: goes down a history. If each is what its parents make it, all of them are right. */
#include "check.h"
#include "dom.h"

static weft_err get(void *arg, struct wf_dom_at at, struct wf_dom *out)
{
    const struct wf_check *c = arg;
    return wf_dom_read(c->kv, c->snap, c->at.t, at, out);
}

static weft_err find(void *arg, const weft_id *parent, const weft_entry_store *store,
                     struct wf_dom_at *out)
{
    const struct wf_check *c = arg;
    struct wf_meta_record meta;
    wf_value value;
    weft_err err = wf_kv_get(c->kv, c->snap, WF_CF_META, parent->bytes, WEFT_ID_BYTES, &value);
    if (err != WEFT_OK) return err == WEFT_CORRUPT ? WEFT_NOT_FOUND : err;
    err = wf_meta_read(value.data, value.len, &meta);
    if (err == WEFT_OK) {
        *out = (struct wf_dom_at){meta.seq, 0};
        if (store != NULL)
            out->part = wf_names_find(meta.names, meta.names_len, store->name, store->name_len);
        bool here = meta.t == c->at.t && meta.seq > 0 && meta.seq < c->at.seq;
        if (!here || (store != NULL && out->part == 0)) err = WEFT_NOT_FOUND;
    }
    wf_value_release(c->kv, &value);
    return err == WEFT_CORRUPT ? WEFT_NOT_FOUND : err;
}

/* Its record as it is stored, in its page. */
static weft_err compare(struct wf_check *c, const uint8_t *want, size_t want_len)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    const uint8_t *record = NULL;
    size_t len = 0, at = 0;
    wf_value page;
    bool found, told;
    wf_key_dom(key, c->at.t, c->at.seq);
    weft_err err = wf_check_get(c, WF_CF_DOM, key, sizeof key, &page, &found, &told);
    if (err != WEFT_OK || told) return err;
    if (!found) {
        wf_check_fail(c, WF_CHECK_INDEX, WF_CF_DOM, "its dominators are missing");
        return WEFT_OK;
    }
    for (uint64_t i = 0; i <= (c->at.seq - 1) % WF_DOM_PAGE && err == WEFT_OK; i++)
        err = wf_dom_next(page.data, page.len, &at, &record, &len);
    if (err != WEFT_OK || len != want_len || memcmp(record, want, len) != 0)
        wf_check_fail(c, WF_CHECK_INDEX, WF_CF_DOM, "it has other dominators");
    wf_value_release(c->kv, &page);
    return WEFT_OK;
}

weft_err wf_check_dominators(struct wf_check *c, const struct wf_meta_record *meta)
{
    uint8_t want[WF_DOM_RECORD_BYTES_MAX];
    size_t len;
    struct wf_dom_source source = {get, find, c};
    struct wf_dom_entry entry = {.seq = meta->seq,
                                 .parents = c->parents,
                                 .parents_count = c->parents_count,
                                 .stores = c->entry->stores,
                                 .stores_count = c->entry->stores_count};
    if (c->store->format < WF_FORMAT_VERSION || meta->seq == 0) return WEFT_OK;
    weft_err err = wf_dom_record(&source, &entry, want, &len);
    if (err == WEFT_NOT_FOUND) return WEFT_OK; /* a parent, of which it was told */
    if (err == WEFT_OK) return compare(c, want, len);
    if (err != WEFT_CORRUPT) return err;
    wf_check_fail(c, WF_CHECK_INDEX, WF_CF_DOM, "the dominators of what it stands on are damaged");
    return WEFT_OK;
}

/* -- The pages of a tree --------------------------------------------------------------------- */

static uint64_t records_of(const uint8_t *page, size_t len)
{
    const uint8_t *record;
    size_t at = 0, record_len;
    uint64_t count = 0;
    weft_err err;
    while ((err = wf_dom_next(page, len, &at, &record, &record_len)) == WEFT_OK) count++;
    return err == WEFT_END ? count : 0;
}

/* What is behind the last record of an entry is nobody's. */
weft_err wf_check_pages(struct wf_check *c, uint64_t t)
{
    uint8_t key[WF_KEY_SEQ_BYTES];
    uint64_t count = c->totals[t - 1].count;
    for (uint64_t seq = 1; seq <= count; seq += WF_DOM_PAGE) {
        uint64_t want = count - seq < WF_DOM_PAGE ? count - seq + 1 : WF_DOM_PAGE;
        wf_value page;
        bool found, told;
        c->pages++;
        wf_key_dom(key, t, seq);
        weft_err err = wf_check_get(c, WF_CF_DOM, key, sizeof key, &page, &found, &told);
        if (err != WEFT_OK) return err;
        if (found && records_of(page.data, page.len) != want)
            wf_check_fail_of(c, WF_CHECK_INDEX, WF_CF_DOM, t, 1,
                             "a page of dominators is not that of %llu entries",
                             (unsigned long long)want);
        if (found) wf_value_release(c->kv, &page);
    }
    return WEFT_OK;
}
