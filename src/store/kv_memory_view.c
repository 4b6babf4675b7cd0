/* SPDX-License-Identifier: Apache-2.0
 * kv_memory_view.c - which versions are still needed, and by whom.
 * Called by: the rooms of kv_memory_state.h, which hold the lock. May touch: the maps.
 * Never: takes the lock. */
#include "kv_memory_state.h"

static bool version_needed(void *arg, uint64_t seq, uint64_t newer)
{
    const struct wf_memory *m = arg;
    if (newer > m->durable) return true;
    for (const struct wf_mem_view *v = m->newest; v != NULL && v->seq >= seq; v = v->prev)
        if (v->seq < newer) return true;
    return false;
}

bool wf_mem_tidy(struct wf_memory *m, enum wf_cf cf, struct wf_mem_node *node)
{
    wf_memmap_trim(&m->maps[cf], node, version_needed, m);
    if (node->older == NULL && node->seq <= m->durable) {
        node->listed = false;
        if (node->deleted) wf_memmap_remove(&m->maps[cf], node);
        return false;
    }
    return true;
}

/* What a sweep has to look at: nodes, and versions behind them. */
static uint64_t work(const struct wf_memory *m)
{
    uint64_t all = m->listed;
    for (unsigned cf = 0; cf < WF_CF_COUNT; cf++) all += m->maps[cf].older;
    return all;
}

void wf_mem_sweep(struct wf_memory *m)
{
    if (m->listed == 0 || work(m) < 2 * m->kept + 64) return;
    size_t kept = 0;
    for (size_t i = 0; i < m->listed; i++) {
        struct wf_mem_listed item = m->list[i];
        if (wf_mem_tidy(m, item.cf, item.node)) m->list[kept++] = item;
    }
    m->listed = kept;
    m->kept = work(m);
}

void wf_mem_view_add(struct wf_memory *m, struct wf_mem_view *view, uint64_t seq)
{
    struct wf_mem_view *at = m->newest;
    while (at != NULL && at->seq > seq) at = at->prev;
    view->seq = seq;
    view->alive = true;
    view->prev = at;
    view->next = at == NULL ? m->oldest : at->next;
    *(view->prev == NULL ? &m->oldest : &view->prev->next) = view;
    *(view->next == NULL ? &m->newest : &view->next->prev) = view;
}

void wf_mem_view_remove(struct wf_memory *m, struct wf_mem_view *view)
{
    if (!view->alive) return;
    *(view->prev == NULL ? &m->oldest : &view->prev->next) = view->next;
    *(view->next == NULL ? &m->newest : &view->next->prev) = view->prev;
    view->alive = false;
    wf_mem_sweep(m);
}

/* An iterator that a simulated kill left behind is never destroyed: it counts no more. */
void wf_mem_views_end(struct wf_memory *m)
{
    for (struct wf_mem_view *v = m->oldest; v != NULL; v = v->next) {
        v->alive = false;
        if (v->user == NULL || *v->user == NULL) continue;
        wf_counter_sub(&m->base.users, 1);
        wf_counter_sub(&m->base.iterators, 1);
        *v->user = NULL;
    }
    m->oldest = NULL;
    m->newest = NULL;
}
