/* SPDX-License-Identifier: Apache-2.0
 * ext.c - what an actor has beyond its mailbox: made when it is first needed.
 * Called by: timer.c, ask.c, watch.c on the actor's thread; addr.c at the very end.
 * May touch: the actor. Never: makes one for an actor that only handles messages. */
#include "alloc.h"
#include "child.h"

struct wf_ext *wf_ext(weft_self *self)
{
    if (self->ext != NULL) return self->ext;
    struct wf_ext *ext = wf_calloc(1, sizeof *ext);
    /* Release: others read the counters in it. */
    if (ext == NULL) return NULL;
    wf_store(&self->ext, ext, WF_RELEASE);
    (void)wf_add(&self->rt->memory, sizeof *ext, WF_RELAXED); /* given back by wf_rt_let_go */
    return ext;
}

void wf_ext_fini(weft_self *self)
{
    if (self->ext != NULL) wf_asks_fini(&self->ext->asks);
    if (self->ext != NULL) wf_family_fini(self->ext);
    wf_free(self->ext);
    self->ext = NULL;
}

weft_ns wf_ext_next(const weft_self *self)
{
    if (self->ext == NULL) return WEFT_NEVER;
    weft_ns timer = wf_heap_next(&self->ext->timers), ask = wf_heap_next(&self->ext->deadlines);
    weft_ns next = timer < ask ? timer : ask, child = wf_children_due(self);
    return next < child ? next : child;
}
