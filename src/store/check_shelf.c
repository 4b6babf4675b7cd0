/* SPDX-License-Identifier: Apache-2.0
 * check_shelf.c - what lies on the shelf (shelf.h), held against itself: each entry is what its id
 * says, and has a row for each of its parents.
 * Called by: check.c. May touch: rows of the shelf, reading; the report. Never: calls an entry
 * that waits a fault. */
#include "check.h"

#include "entry.h"
#include "shelf.h"

static weft_err check_waits(struct wf_check *c, const struct wf_shelved *item)
{
    uint32_t count = 0;
    weft_err err = wf_entry_union_parents(c->entry, c->parents, WEFT_ENTRY_UNION_PARENTS_MAX,
                                          &count);
    for (uint32_t i = 0; i < count && err == WEFT_OK; i++) {
        uint8_t key[WF_KEY_SHELF_WAIT_BYTES];
        wf_key_shelf_wait(key, &item->tree, &c->parents[i], &item->id);
        err = wf_check_expect(c, WF_CF_CHILD, key, sizeof key, "", 0);
        c->shelf_waits++;
    }
    return err;
}

static weft_err check_item(struct wf_check *c, const struct wf_scan *scan)
{
    struct wf_shelved item;
    c->report->shelved++;
    c->at = (wf_check_fault){0};
    if (scan->key_len == WF_KEY_SHELF_BYTES)
        memcpy(c->at.id.bytes, scan->key + WF_KEY_SHELF_BYTES - WEFT_ID_BYTES, WEFT_ID_BYTES);
    const char *wrong = NULL;
    if (wf_shelf_read(scan->key, scan->key_len, scan->value, scan->value_len, &item) != WEFT_OK)
        wrong = "its bytes on the shelf do not hash to its id";
    else if (wf_entry_parse(item.bytes, item.len, c->entry) != WEFT_OK ||
             !weft_id_equal(&c->entry->tree, &item.tree))
        wrong = "on the shelf is no entry of its tree";
    if (wrong == NULL) return check_waits(c, &item);
    wf_check_fail(c, WF_CHECK_ID, WF_CF_ENTRY, wrong);
    c->shelf_bad = true;
    return WEFT_OK;
}

weft_err wf_check_shelf_row(struct wf_check *c, enum wf_cf cf, const struct wf_scan *scan)
{
    weft_err err = WEFT_OK;
    if (cf == WF_CF_ENTRY) err = check_item(c, scan);
    else c->shelf_waits--;
    c->at = (wf_check_fault){0};
    return err;
}

/* Of one that is missing it was told before. */
void wf_check_shelf(struct wf_check *c)
{
    if ((int64_t)c->shelf_waits < 0 && !c->shelf_bad)
        wf_check_fail_of(c, WF_CHECK_INDEX, WF_CF_CHILD, 0, 0 - c->shelf_waits,
                         "records of the shelf belong to no entry there");
}
