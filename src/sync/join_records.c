/* SPDX-License-Identifier: Apache-2.0
 * join_records.c - the records of joining as the store has them (join_records.h).
 * Called by: join_desk.c, weft-fsck. May touch: the desk, until it begins; the store (reads).
 * Never: writes; removes what it cannot read. */
#include "join_records.h"

#include <string.h>

#include "alloc.h"
#include "join_desk.h"
#include "log.h"
#include "records.h"

typedef void (*on_bad)(void *arg, const char *what, const uint8_t *key, size_t key_len);

/* Each of them reads one record; `desk` NULL: only whether that can be done. CORRUPT: it cannot. */
static weft_err read_request(struct wf_join_desk *desk, const uint8_t *key, size_t key_len,
                             const uint8_t *value, size_t value_len)
{
    struct wf_join_row *row;
    weft_join_request *r = wf_calloc(1, sizeof *r);
    if (r == NULL) return WEFT_NO_MEMORY;
    weft_err err = key_len == 1 + sizeof r->id ? WEFT_OK : WEFT_CORRUPT;
    if (err == WEFT_OK) {
        memcpy(r->id, key + 1, sizeof r->id);
        err = wf_join_record_decode(value, value_len, r);
    }
    if (err == WEFT_OK && desk != NULL) {
        err = wf_joins_add(&desk->joins, r, &row);
        if (err == WEFT_OK) row->saved = true;
    }
    wf_free(r);
    return err;
}

static weft_err read_mode(struct wf_join_desk *desk, const uint8_t *key, size_t key_len,
                          const uint8_t *value, size_t value_len)
{
    struct wf_join_mode mode = {0};
    if (key_len != 1 + sizeof mode.tree.bytes) return WEFT_CORRUPT;
    memcpy(mode.tree.bytes, key + 1, sizeof mode.tree.bytes);
    weft_err err = wf_join_mode_decode(value, value_len, &mode);
    return err != WEFT_OK || desk == NULL ? err : wf_join_modes_put_take(&desk->modes, &mode);
}

static weft_err read_spent(struct wf_join_desk *desk, const uint8_t *key, size_t key_len,
                           const uint8_t *value, size_t value_len)
{
    weft_id tree;
    uint32_t spent;
    int64_t ms;
    if (key_len != 1 + sizeof tree.bytes) return WEFT_CORRUPT;
    memcpy(tree.bytes, key + 1, sizeof tree.bytes);
    weft_err err = wf_join_spent_decode(value, value_len, &spent, &ms);
    return err != WEFT_OK || desk == NULL ? err
                                          : wf_join_modes_spent(&desk->modes, &tree, spent, ms);
}

static weft_err read_asked(struct wf_join_desk *desk, const uint8_t *key, size_t key_len,
                           const uint8_t *value, size_t value_len)
{
    struct wf_asked_row row = {0};
    const size_t tree_len = sizeof row.tree.bytes;
    if (key_len != 1 + tree_len + sizeof row.key.bytes) return WEFT_CORRUPT;
    memcpy(row.tree.bytes, key + 1, tree_len);
    memcpy(row.key.bytes, key + 1 + tree_len, sizeof row.key.bytes);
    weft_err err = wf_asked_record_decode(value, value_len, &row);
    row.saved = true;
    return err != WEFT_OK || desk == NULL ? err : wf_asked_put(&desk->asked, &row);
}

static weft_err read_clock(struct wf_join_desk *desk, const uint8_t *key, size_t key_len,
                           const uint8_t *value, size_t value_len)
{
    struct wf_join_saved saved;
    (void)key;
    if (key_len != 1) return WEFT_CORRUPT;
    weft_err err = wf_join_saved_decode(value, value_len, &saved);
    if (err == WEFT_OK && desk != NULL) desk->saved = saved;
    return err;
}

struct kind {
    uint8_t prefix;
    const char *what;
    weft_err (*read)(struct wf_join_desk *desk, const uint8_t *key, size_t key_len,
                     const uint8_t *value, size_t value_len);
};
static const struct kind kinds[] = {
    {WF_REC_JOIN, "a request to join", read_request},
    {WF_REC_JOIN_MODE, "who may ask to join a tree", read_mode},
    /* Behind the modes, which it belongs to. */
    {WF_REC_JOIN_SPENT, "how often a tree was joined without a decision", read_spent},
    {WF_REC_ASKED, "what was asked elsewhere", read_asked},
    {WF_REC_JOIN_CLOCK, "the clock of requests to join", read_clock},
};

struct reading {
    struct wf_join_desk *desk;
    const struct kind *kind;
    on_bad bad;
    void *arg;
};

static weft_err read_one(void *arg, const uint8_t *key, size_t key_len, const uint8_t *value,
                         size_t value_len)
{
    const struct reading *r = arg;
    weft_err err = r->kind->read(r->desk, key, key_len, value, value_len);
    if (err != WEFT_CORRUPT) return err;
    r->bad(r->arg, r->kind->what, key, key_len);
    return WEFT_OK;
}

static weft_err read_all(wf_store *store, struct wf_join_desk *desk, on_bad bad, void *arg)
{
    weft_err err = WEFT_OK;
    for (size_t i = 0; err == WEFT_OK && i < sizeof kinds / sizeof *kinds; i++) {
        struct reading reading = {desk, &kinds[i], bad, arg};
        err = wf_store_record_each(store, WF_CF_PEER, &kinds[i].prefix, 1, read_one, &reading);
    }
    return err;
}

static void note_bad(void *arg, const char *what, const uint8_t *key, size_t key_len)
{
    const struct wf_node_table *table = arg;
    char text[WF_KEY_SHOWN_TEXT];
    wf_counter_add(&table->counters->joins_damaged, 1);
    wf_log(WEFT_LOG_WARN, "access", "a record is damaged and left aside: %s, key %s..", what,
           wf_key_shown(key, key_len, text));
}

weft_err wf_join_records_load(struct wf_join_desk *desk, const struct wf_node_table *table)
{
    return read_all(table->wf_store, desk, note_bad, (void *)(uintptr_t)table);
}

weft_err wf_join_records_check(wf_store *store, on_bad fn, void *arg)
{
    return read_all(store, NULL, fn, arg);
}
