/* SPDX-License-Identifier: Apache-2.0
 * access_change.c - the changes of settings, one after the other: each is one batch of the store,
 * and only when that is answered it holds here, is published, told, and answered itself.
 * Called by: access_actor.c. May touch: the actor's state, messages to store, engine and queue.
 * Never: answers before the store's gate has. */
#include <string.h>

#include "access_state.h"
#include "alloc.h"
#include "log.h"
#include "records.h"

/* -- What the store is asked ------------------------------------------------------------ */

static struct wf_record_put *record_of(const struct wf_track_row *row)
{
    uint8_t bytes[WF_TRACK_RECORD_MAX];
    size_t len = row->gone ? 0 : wf_track_row_encode(row, bytes);
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return NULL;
    put->cf = WF_CF_PEER;
    put->remove = row->gone;
    wf_track_row_key(row, put->key);
    put->key_len = WF_TRACK_KEY_BYTES;
    memcpy(put->value, bytes, len);
    return put;
}

static struct wf_record_put *record_of_setting(const struct wf_access_req *req)
{
    size_t key_len = strlen(req->key), len = req->on ? strlen(req->value) : 0;
    struct wf_record_put *put = wf_record_create((uint32_t)len);
    if (put == NULL) return NULL;
    put->cf = WF_CF_PEER;
    put->remove = !req->on;
    put->key[0] = WF_REC_SETTING;
    memcpy(put->key + 1, req->key, key_len);
    put->key_len = 1 + (uint32_t)key_len;
    memcpy(put->value, req->value, len);
    return put;
}

static struct wf_records *records_of(const struct change *c)
{
    struct wf_records *all = wf_records_create(c->rows.count + c->setting);
    if (all == NULL) return NULL;
    bool made = true;
    for (uint32_t i = 0; i < all->count && made; i++) {
        all->records[i] = c->setting ? record_of_setting(c->req) : record_of(c->rows.rows[i]);
        made = all->records[i] != NULL;
    }
    if (made) return all;
    weft_drop(&all->req.msg);
    return NULL;
}

/* With the lists of readers as they are, or as the request gives that of its tree. */
static struct wf_follow *follow_of(const struct change *c)
{
    struct wf_access_req *req = c->req;
    if (c->listed) {
        struct wf_follow *msg = req->add ? wf_follow_create(&req->tree, NULL, 0)
                                         : wf_follow_create(&req->tree, req->readers,
                                                            req->readers_count);
        if (msg == NULL) return NULL;
        msg->follow = c->follows;
        msg->keep_readers = req->add;
        if (!req->add) return msg;
        msg->add = req->readers;
        msg->add_count = req->readers_count;
        req->readers = NULL;
        return msg;
    }
    struct wf_follow *msg = wf_follow_create(&c->flips[0].tree, NULL, 0);
    if (msg == NULL) return NULL;
    msg->follow = c->flips[0].follow;
    msg->keep_readers = true;
    if (c->flips_count == 1) return msg;
    msg->also_count = c->flips_count - 1;
    msg->also = wf_memdup(&c->flips[1], msg->also_count * sizeof *msg->also);
    if (msg->also != NULL) return msg;
    weft_drop(&msg->req.msg);
    return NULL;
}

/* Takes the records. NULL when memory is short. */
static weft_request *removal_of(struct access *a, const struct change *c, struct wf_records *all)
{
    const weft_id *tree = &c->req->tree;
    const uint32_t more = wf_join_desk_drop_records(&a->joins, tree, NULL);
    struct wf_remove *remove = wf_remove_create(tree);
    struct wf_record_put **list = wf_calloc(all->count + more + 1, sizeof(*list));
    if (remove == NULL || list == NULL) goto short_of_memory;
    if (wf_join_desk_drop_records(&a->joins, tree, list) != more) {
        wf_records_free(list, more);
        list = NULL;
        goto short_of_memory;
    }
    memcpy(list + more, all->records, all->count * sizeof(*list));
    remove->records = list;
    remove->records_count = more + all->count;
    all->count = 0;
    weft_drop(&all->req.msg);
    return &remove->req;
short_of_memory:
    wf_free(list);
    if (remove != NULL) weft_drop(&remove->req.msg);
    weft_drop(&all->req.msg);
    return NULL;
}

/* NULL when memory is short. */
static weft_request *message_of(struct access *a, const struct change *c)
{
    struct wf_records *all = records_of(c);
    if (all == NULL || (!c->listed && !c->drops && c->flips_count == 0))
        return all == NULL ? NULL : &all->req;
    if (c->drops) return removal_of(a, c, all);
    struct wf_follow *follow = follow_of(c);
    if (follow != NULL) {
        follow->records_count = all->count;
        follow->records = all->records;
        all->count = 0;
        all->records = NULL;
    }
    weft_drop(&all->req.msg);
    return follow == NULL ? NULL : &follow->req;
}

/* -- When it is there ------------------------------------------------------------------- */

static void tell(weft_addr *to, const struct wf_tracks_changed *what)
{
    struct wf_tracks_changed *msg = (struct wf_tracks_changed *)weft_new(&wf_tracks_changed_kind);
    if (msg == NULL) return; /* their ticks look at what is published */
    msg->tree = what->tree;
    msg->interval = what->interval;
    msg->served = what->served;
    msg->pushed = what->pushed;
    if (weft_send(to, &msg->msg) != WEFT_OK) weft_drop(&msg->msg);
}

/* Room for all that has to be remembered, so that what the store has taken cannot fail here. */
static weft_err reserve(struct access *a, const struct change *c)
{
    weft_err err = wf_track_rows_reserve(&a->rows, c->rows.count);
    return err == WEFT_OK ? wf_tracks_reserve(a->table->tracks, c->rows.count) : err;
}

/* Are entries pushed at once of some tree whose entries waited before? */
static bool publish_trees(struct access *a, const struct change *c)
{
    bool pushed = false;
    for (uint32_t i = 0; i < c->rows.count; i++) {
        const weft_id *tree = &c->rows.rows[i]->tree;
        if (i > 0 && weft_id_equal(tree, &c->rows.rows[i - 1]->tree)) continue;
        struct wf_track_sum sum = wf_track_rows_sum(&a->rows, &c->rows, tree);
        bool on_commit = sum.rows == 0 || sum.on_commit;
        pushed |= wf_tracks_set(a->table->tracks, tree, on_commit) && on_commit;
    }
    return pushed;
}

static void hold_setting(struct access *a, struct change *c)
{
    bool found;
    uint32_t at = wf_acc_key_at(a, c->req->key, &found);
    if (c->key != NULL) {
        memmove(&a->keys[at + 1], &a->keys[at], (a->keys_count - at) * sizeof(*a->keys));
        a->keys[at] = c->key;
        a->keys_count++;
        c->key = NULL;
    } else if (!c->req->on && found) {
        wf_free(a->keys[at]);
        a->keys_count--;
        memmove(&a->keys[at], &a->keys[at + 1], (a->keys_count - at) * sizeof(*a->keys));
    }
}

static void hold(struct access *a, struct change *c)
{
    struct wf_tracks_changed what = {.tree = c->req->tree, .served = c->served};
    what.pushed = publish_trees(a, c);
    wf_track_rows_apply_take(&a->rows, &c->rows);
    what.interval = wf_acc_publish_interval(a);
    if (c->setting) hold_setting(a, c);
    if (c->drops) wf_join_desk_drop(&a->joins, &c->req->tree);
    if (what.interval || what.served) tell(a->table->sync, &what);
    if (what.pushed) tell(a->table->queue, &what);
}

/* -- One after the other ---------------------------------------------------------------- */

static void start_next(struct access *a);

static void on_stored(weft_self *self, void *state, weft_err err, weft_request *req, void *arg)
{
    (void)self;
    struct access *a = state;
    struct change *c = arg;
    a->change = NULL;
    wf_join_desk_leave(&a->joins, NULL);
    if (err == WEFT_OK) hold(a, c);
    else if (err != WEFT_LIMIT) a->stale = true; /* a batch that failed may be there after all */
    weft_drop(req == NULL ? NULL : &req->msg);
    weft_reply(&c->req->req, err == WEFT_CANCELED ? WEFT_CLOSED : err);
    wf_acc_change_free(c);
    if (err != WEFT_CANCELED) start_next(a);
}

/* True: it is on its way. */
static weft_err start(struct access *a, struct change *c, bool *begun)
{
    weft_err err = a->stale ? wf_acc_load(a) : WEFT_OK;
    if (err == WEFT_OK) err = wf_acc_plan(a, c);
    if (err != WEFT_OK) return err;
    if (c->rows.count == 0 && c->flips_count == 0 && !c->listed && !c->setting && !c->drops)
        return WEFT_OK;
    err = reserve(a, c);
    weft_request *req = err == WEFT_OK ? message_of(a, c) : NULL;
    if (req == NULL) return WEFT_NO_MEMORY;
    /* The store always answers; how long the disk takes is not for us to judge. */
    err = weft_ask(a->self, a->table->store, req, WEFT_NEVER, on_stored, c, NULL);
    *begun = err == WEFT_OK;
    if (err == WEFT_OK) return WEFT_OK;
    weft_drop(&req->msg);
    return err == WEFT_FULL ? WEFT_BUSY : err;
}

static void start_next(struct access *a)
{
    while (a->change == NULL && a->first != NULL) {
        struct wf_access_req *req = a->first;
        struct change *c = wf_calloc(1, sizeof *c);
        bool begun = false;
        a->first = req->next;
        a->waiting--;
        weft_err err = WEFT_NO_MEMORY;
        if (c != NULL) {
            c->req = req;
            err = start(a, c, &begun);
        }
        if (begun) {
            a->change = c;
            if (c->drops) wf_join_desk_leave(&a->joins, &c->req->tree);
        } else {
            weft_reply(&req->req, err);
            wf_acc_change_free(c);
        }
    }
}

void wf_acc_change_take(struct access *a, struct wf_access_req *req)
{
    if (a->waiting == WEFT_CHANGES_WAITING_MAX) {
        weft_reply(&req->req, WEFT_BUSY);
        return;
    }
    req->next = NULL;
    if (a->first == NULL) a->first = req;
    else a->last->next = req;
    a->last = req;
    a->waiting++;
    start_next(a);
}

void wf_acc_change_end(struct access *a)
{
    while (a->first != NULL) {
        struct wf_access_req *req = a->first;
        a->first = req->next;
        weft_reply(&req->req, WEFT_CLOSED);
    }
}
