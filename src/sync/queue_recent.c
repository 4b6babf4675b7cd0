/* SPDX-License-Identifier: Apache-2.0
 * queue_recent.c - what was stored a moment ago, kept while somebody has yet to push it:
 * most lags last a round trip, and the disk need not be asked.
 * Called by: queue_push.c, queue_pair.c. May touch: trees' recent entries.
 * Never: keeps more than its bounds, or a list with a gap. */
#include <string.h>

#include "alloc.h"
#include "queue_state.h"

static void drop_first(struct queue *q, struct q_tree *t, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        t->recent_bytes -= t->recent[i].len;
        q->recent_bytes -= t->recent[i].len;
        weft_buf_unref(t->recent[i].buf);
    }
    t->recent_count -= count;
    memmove(t->recent, t->recent + count, t->recent_count * sizeof *t->recent);
}

void wf_recent_clear(struct queue *q, struct q_tree *t)
{
    if (t->recent == NULL) return;
    drop_first(q, t, t->recent_count);
    wf_free(t->recent);
    t->recent = NULL;
    t->recent_room = 0;
}

static bool room_for(struct q_tree *t)
{
    if (t->recent_count < t->recent_room) return true;
    uint32_t room = t->recent_room == 0 ? 8 : t->recent_room * 2;
    struct q_recent *recent = wf_realloc(t->recent, room * sizeof *recent);
    if (recent == NULL) return false;
    t->recent = recent;
    t->recent_room = room;
    return true;
}

/* Whoever is further back than what is kept is caught up by the reader. */
static void make_room(struct queue *q, struct q_tree *t, uint32_t len)
{
    while (t->recent_count > 0 && (t->recent_count >= WEFT_RECENT_ENTRIES ||
                                   t->recent_bytes + len > WEFT_RECENT_TREE_BYTES))
        drop_first(q, t, 1);
}

void wf_recent_add(struct queue *q, struct q_tree *t, const struct wf_stored *bell,
                   const struct wf_stored_tree *grown)
{
    bool follows = t->recent_count == 0 || t->recent[t->recent_count - 1].seq == grown->from_seq;
    if (!follows || !grown->complete || t->streams == 0) wf_recent_clear(q, t);
    if (!grown->complete || t->streams == 0) return;
    for (uint32_t i = 0; i < bell->entries_count; i++) {
        const struct wf_stored_entry *e = &bell->entries[i];
        if (!weft_id_equal(&e->tree, &t->tree)) continue;
        make_room(q, t, e->len);
        if (q->recent_bytes + e->len > WEFT_RECENT_NODE_BYTES || !room_for(t)) {
            wf_recent_clear(q, t);
            return;
        }
        t->recent[t->recent_count++] = (struct q_recent){.seq = e->seq,
                                                         .id = e->id,
                                                         .source = e->source,
                                                         .buf = weft_buf_ref(e->buf),
                                                         .bytes = e->bytes,
                                                         .len = e->len};
        t->recent_bytes += e->len;
        q->recent_bytes += e->len;
    }
}

void wf_recent_trim(struct queue *q, struct q_tree *t)
{
    uint64_t least = UINT64_MAX;
    if (t->recent_count == 0) return;
    for (const struct q_pair *p = t->first; p != NULL; p = p->next) {
        if (p->streams == 0) continue;
        if (!p->live) return; /* its session has begun: it will push from before this */
        if (p->pos.seq < least) least = p->pos.seq;
    }
    uint32_t passed = 0;
    while (passed < t->recent_count && t->recent[passed].seq <= least) passed++;
    if (passed > 0) drop_first(q, t, passed);
}
