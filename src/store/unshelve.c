/* SPDX-License-Identifier: Apache-2.0
 * unshelve.c - takes entries from the shelf (shelf.h) as soon as their parents stand.
 * Called by: store_actor.c, group_commit.c, recover.c, its own timer, on the store's thread.
 * May touch: the desk, the open batch. Never: waits for a peer, lets an entry past the door. */
#include "block.h"
#include "desk.h"
#include "log.h"
#include "shelf.h"

#define ROWS_AT_ONCE 256u /* of a look at all that is there; commits pass in between */
#define TRY_LATER_NS WEFT_SEC

struct trying {
    struct wf_desk *desk;
    uint64_t t;
    weft_id tree;
};

/* Written at once: until then the row would be met again, and counted twice. */
static weft_err drop(struct wf_desk *desk, uint64_t t, const weft_id *id, const char *why)
{
    struct wf_tree *tree = wf_trees_at(&desk->store->trees, t);
    weft_err err = wf_shelf_drop(desk->store, tree, id);
    if (err != WEFT_OK) return err;
    wf_log(WEFT_LOG_WARN, "store", "an entry on the shelf is dropped: %s", why);
    uint64_t lost = desk->lost;
    wf_desk_flush(desk);
    /* With a batch the tree may be gone. */
    return desk->lost != lost ? WEFT_CANCELED : desk->failed;
}

/* It is in the open batch, which takes it from the shelf, or was stored by one that should have. */
static weft_err look_at_known(struct wf_desk *desk, uint64_t t, const weft_id *id)
{
    wf_meta_brief brief;
    weft_err err = wf_store_meta_brief(desk->store, id, &brief);
    if (err == WEFT_OK) return drop(desk, t, id, "it is stored");
    return err == WEFT_NOT_FOUND ? WEFT_OK : err;
}

static weft_err try_one(void *arg, const weft_id *id)
{
    const struct trying *y = arg;
    struct wf_desk *desk = y->desk;
    struct wf_add add;
    uint64_t lost = desk->lost;
    if (wf_writer_is_full(desk->store)) wf_desk_flush(desk);
    /* With a batch the parent may be gone that this was called for. */
    if (desk->failed != WEFT_OK || desk->lost != lost) return WEFT_CANCELED;
    weft_err err = wf_shelf_try(desk->store, &y->tree, id, weft_now(desk->self), &add);
    switch (err) {
    case WEFT_OK:
        if (add.known) return look_at_known(desk, y->t, id);
        return wf_desk_push_woken(desk, id) ? WEFT_OK : WEFT_NO_MEMORY;
    case WEFT_PENDING: /* for another parent */
    case WEFT_TREE:    /* it is not followed now */
    case WEFT_NOT_FOUND: /* it has left */ return WEFT_OK;
    case WEFT_LIMIT:
    case WEFT_NO_MEMORY:
    case WEFT_IO:
    case WEFT_CORRUPT:
    case WEFT_NO_SPACE: return err; /* the store's */
    default:
        /* Sessions were told that it is here, and one of them may be under way yet. */
        wf_trees_at(&desk->store->trees, y->t)->unmarked = true;
        wf_counter_add(&desk->store->counters.refused, 1);
        return drop(desk, y->t, id, weft_errname(err)); /* peers are asked for it then */
    }
}

void wf_desk_unshelve(struct wf_desk *desk, uint64_t t, const weft_id *stored)
{
    struct wf_shelf_at at = {0};
    const struct wf_tree *tree = wf_trees_at(&desk->store->trees, t);
    if (tree == NULL || tree->now.shelved == 0) return;
    struct trying y = {desk, t, tree->now.tree};
    weft_err err = wf_shelf_each(desk->store, &y.tree, stored, &at, UINT32_MAX, try_one, &y);
    if (err != WEFT_OK) wf_desk_shelf_failed(desk, err);
}

/* -- All of it ------------------------------------------------------------------------------- */

static void on_shelf(weft_self *self, void *state, weft_timer *timer, uint32_t missed);

/* Returns AGAIN when there is more to look at. */
static weft_err look_on(struct wf_desk *desk)
{
    const struct wf_tree *tree = wf_trees_at(&desk->store->trees, desk->shelf_t);
    if (tree == NULL) return WEFT_END;
    struct trying y = {desk, desk->shelf_t, tree->now.tree};
    weft_err err = WEFT_OK;
    if (tree->now.shelved > 0)
        err = wf_shelf_each(desk->store, &y.tree, NULL, &desk->shelf_at, ROWS_AT_ONCE, try_one, &y);
    wf_desk_drain(desk, y.t);
    if (err == WEFT_OK) { /* the next tree */
        desk->shelf_t++;
        desk->shelf_at = (struct wf_shelf_at){0};
        return WEFT_AGAIN;
    }
    return err;
}

/* Trees without a shelf cost nothing, and there may be very many. */
static void skip_trees(struct wf_desk *desk)
{
    const struct wf_tree *tree;
    while ((tree = wf_trees_at(&desk->store->trees, desk->shelf_t)) != NULL &&
           tree->now.shelved == 0)
        desk->shelf_t++;
}

static void on_shelf(weft_self *self, void *state, weft_timer *timer, uint32_t missed)
{
    struct wf_desk *desk = *(struct wf_desk **)state;
    (void)timer;
    (void)missed;
    desk->self = self;
    if (desk->phase != WF_DESK_TAKING) return; /* recover.c asks again */
    skip_trees(desk);
    weft_err err = look_on(desk);
    if (err == WEFT_AGAIN) weft_timer_set(self, &desk->shelf, weft_now(self), 0, on_shelf);
    else if (err != WEFT_END) wf_desk_shelf_failed(desk, err);
    if (wf_writer_is_full(desk->store)) wf_desk_flush(desk);
    if (wf_desk_may_flush(desk)) wf_desk_ask_flush(desk);
}

static void look_after(struct wf_desk *desk, weft_ns wait)
{
    if (wf_counter_get(&desk->store->counters.shelved) == 0) return;
    desk->shelf_t = 1;
    desk->shelf_at = (struct wf_shelf_at){0};
    weft_timer_set(desk->self, &desk->shelf, weft_now(desk->self) + wait, 0, on_shelf);
}

void wf_desk_shelf_due(struct wf_desk *desk) { look_after(desk, 0); }

/* What is damaged stays so: that is not tried again, so that it does not spoil batch after batch. */
void wf_desk_shelf_failed(struct wf_desk *desk, weft_err err)
{
    if (err != WEFT_CORRUPT) look_after(desk, TRY_LATER_NS);
}
