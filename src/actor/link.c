/* SPDX-License-Identifier: Apache-2.0
 * link.c - two actors that end together: two weft_down in one piece of memory, each waiting
 * at one of them for the other.
 * Called by: actors, monitor.c, child.c, on the thread of the actor concerned.
 * Never: touches the other's half but for what was written before it arrived.
 *
 * Each side has one of the two references. It gives it away with its half, once: when it ends
 * or unlinks the half travels to the other side, which drops it. Halves that cross each other
 * on the way are dropped at both ends, and the second frees the link. */
#include "alloc.h"
#include "child.h"
#include "log.h"

/* weft_down.state of a half. */
enum {
    HALF_OVER, /* its side has ended or unlinked  */
    HALF_HELD  /* in its side's ring of watchers  */
};

#define UNLINKED 1u /* the tag of a half that says so, not an end */

struct link {
    weft_down half[2];
    weft_msg open; /* brings the second half to its side */
    uint32_t refs;
};

const weft_kind wf_kind_link = {0, "weft.link", sizeof(weft_msg), NULL};

/* The other half, and the link, through fields that a monitor uses otherwise. */
static weft_down *other_of(const weft_down *half) { return half->same; }

static void half_init(struct link *link, int which, weft_addr *ours, weft_addr *theirs)
{
    weft_down *half = &link->half[which];
    weft_msg_init(&half->msg, &weft_kind_down);
    weft_msg_init(&half->cancel, &wf_kind_cancel);
    half->addr = weft_addr_get(ours);
    half->watcher = weft_addr_get(theirs);
    half->same = &link->half[1 - which];
    half->cancel.ctx = link;
    half->link = true;
}

void wf_link_put(weft_down *half)
{
    struct link *link = half->cancel.ctx;
    /* [REFS] as for addresses. */
    if (wf_sub(&link->refs, 1, WF_ACQ_REL) > 1) return;
    for (int i = 0; i < 2; i++) {
        weft_addr_put(link->half[i].addr);
        weft_addr_put(link->half[i].watcher);
    }
    wf_free(link);
}

static weft_down *find(const weft_self *self, const weft_addr *addr, uint32_t *links)
{
    weft_down *first = self->watchers, *down = first;
    *links = 0;
    if (first == NULL) return NULL;
    do {
        if (down->link && down->watcher == addr) return down;
        if (down->link) ++*links;
        down = down->next;
    } while (down != first);
    return NULL;
}

static void hold(weft_self *self, weft_down *half)
{
    half->state = HALF_HELD;
    wf_watchers_add(self, half);
}

static void let_go(weft_self *self, weft_down *half)
{
    half->state = HALF_OVER;
    wf_watchers_remove(self, half);
}

weft_err weft_link(weft_self *self, weft_addr *addr)
{
    uint32_t links;
    if (addr == self->addr || addr->self == NULL) return WEFT_INVALID;
    if (wf_self_is_foreign(self, "weft_link")) return WEFT_INVALID;
    if (self->phase != WF_PHASE_NEW && self->phase != WF_PHASE_RUNNING) return WEFT_CLOSED;
    if (find(self, addr, &links) != NULL) return WEFT_OK;
    if (links >= WEFT_MONITORS_MAX) return WEFT_LIMIT;
    struct link *link = wf_calloc(1, sizeof *link);
    if (link == NULL) return WEFT_NO_MEMORY;
    link->refs = 2;
    half_init(link, 0, self->addr, addr);
    half_init(link, 1, addr, self->addr);
    weft_msg_init(&link->open, &wf_kind_link);
    hold(self, &link->half[0]);
    if (wf_push_control(addr, &link->open) == WEFT_OK) return WEFT_OK;
    let_go(self, &link->half[0]);
    wf_link_put(&link->half[1]);
    wf_link_put(&link->half[0]);
    return WEFT_CLOSED;
}

void wf_link_opened(weft_self *self, weft_msg *open)
{
    struct link *link = (struct link *)(void *)((char *)open - offsetof(struct link, open));
    hold(self, &link->half[1]);
}

bool wf_link_over(weft_self *self, weft_down *half)
{
    weft_down *mine = other_of(half);
    uint32_t links;
    if (mine->state != HALF_HELD) return false; /* ours is on its way to them */
    let_go(self, mine);
    wf_link_put(mine);
    if (half->tag == UNLINKED) return false;
    /* Both sides may have linked at once: that was one link, and its end is felt once. */
    while ((mine = find(self, half->addr, &links)) != NULL) {
        let_go(self, mine);
        wf_link_put(mine);
    }
    return true;
}

weft_err weft_unlink(weft_self *self, weft_addr *addr)
{
    uint32_t links;
    if (wf_self_is_foreign(self, "weft_unlink")) return WEFT_INVALID;
    weft_down *half = find(self, addr, &links);
    if (half == NULL) return WEFT_NOT_FOUND;
    weft_addr *there = weft_addr_get(addr);
    for (; half != NULL; half = find(self, addr, &links)) {
        let_go(self, half);
        half->tag = UNLINKED;
        if (wf_push_control(there, &half->msg) != WEFT_OK) wf_link_put(half);
    }
    weft_addr_put(there);
    return WEFT_OK;
}

void weft_trap_exits(weft_self *self, bool on)
{
    if (!wf_self_is_foreign(self, "weft_trap_exits")) self->trap = on;
}
