/* SPDX-License-Identifier: Apache-2.0
 * watch.c - descriptors that an actor waits for in its own loop.
 * Called by: the actor's thread. May touch: the actor's table of watches, the port.
 * Never: reads, writes or closes a watched descriptor. */
#include <string.h>

#include "alloc.h"
#include "hooks.h"
#include "log.h"
#include "self.h"

#define FD_MAX (1 << 20) /* the table is indexed by descriptor: at most 24 MiB */
#define EVENTS_ALL (WEFT_FD_READ | WEFT_FD_WRITE | WEFT_FD_HANGUP)

/* The first watch turns the actor's sleep from the futex to the poll. */
static weft_err open_poll(weft_self *self, struct wf_ext *ext)
{
    if (ext->ready == NULL) ext->ready = wf_calloc(WF_READY_MAX, sizeof *ext->ready);
    if (ext->ready == NULL) return WEFT_NO_MEMORY;
    if (self->addr->poll != NULL) return WEFT_OK;
    return self->port->ops->poll_open(self->port, &self->addr->poll);
}

static weft_err make_room(struct wf_ext *ext, int fd)
{
    if (fd < ext->watch_room) return WEFT_OK;
    int room = ext->watch_room == 0 ? 64 : ext->watch_room;
    while (room <= fd) room *= 2;
    struct wf_watch *watches = wf_realloc(ext->watches, (size_t)room * sizeof *watches);
    if (watches == NULL) return WEFT_NO_MEMORY;
    memset(watches + ext->watch_room, 0, (size_t)(room - ext->watch_room) * sizeof *watches);
    ext->watches = watches;
    ext->watch_room = room;
    return WEFT_OK;
}

weft_err weft_fd_watch(weft_self *self, int fd, uint32_t events, weft_on_fd fn, void *arg)
{
    if (fd < 0 || fn == NULL || (events & ~EVENTS_ALL) != 0) return WEFT_INVALID;
    if (wf_self_is_foreign(self, "weft_fd_watch")) return WEFT_INVALID;
    if (self->phase == WF_PHASE_ENDING) return WEFT_CLOSED;
    if (fd >= FD_MAX) return WEFT_LIMIT;
    struct wf_ext *ext = wf_ext(self);
    if (ext == NULL) return WEFT_NO_MEMORY;
    weft_err err = open_poll(self, ext);
    if (err == WEFT_OK) err = make_room(ext, fd);
    if (err != WEFT_OK) return err;
    struct wf_watch *watch = &ext->watches[fd];
    bool known = watch->fn != NULL;
    if (!known && ext->watch_count >= WEFT_WATCHES_MAX) return WEFT_LIMIT;
    struct wf_ready what = {.fd = fd, .generation = ++ext->watch_generation, .events = events};
    err = self->port->ops->poll_set(self->port, self->addr->poll, known, &what);
    if (err != WEFT_OK) return err;
    watch->fn = fn;
    watch->arg = arg;
    watch->generation = what.generation;
    ext->watch_count += known ? 0 : 1;
    return WEFT_OK;
}

weft_err weft_fd_unwatch(weft_self *self, int fd)
{
    struct wf_ext *ext = self->ext;
    if (wf_self_is_foreign(self, "weft_fd_unwatch")) return WEFT_INVALID;
    if (ext == NULL || fd < 0 || fd >= ext->watch_room || ext->watches[fd].fn == NULL)
        return WEFT_NOT_FOUND;
    self->port->ops->poll_clear(self->port, self->addr->poll, fd);
    ext->watches[fd].fn = NULL; /* events of this turn that are not served yet die here */
    ext->watch_count--;
    return WEFT_OK;
}

void wf_watch_run(weft_self *self)
{
    struct wf_ext *ext = self->ext;
    if (ext == NULL || ext->watch_count == 0) return;
    if (!self->polled)
        ext->ready_count = self->port->ops->poll_wait(self->port, self->addr->poll, ext->ready,
                                                      WF_READY_MAX, 0);
    self->polled = false;
    for (unsigned i = 0; i < ext->ready_count && !self->stopping; i++) {
        struct wf_ready ready = ext->ready[i];
        struct wf_watch watch = ext->watches[ready.fd];
        if (watch.fn == NULL || watch.generation != ready.generation) continue;
        struct wf_span span;
        wf_span_begin(&span, self, &wf_kind_fd, NULL);
        watch.fn(self, self->state, ready.fd, ready.events, watch.arg);
        wf_span_end(&span, self);
    }
    ext->ready_count = 0;
}

void wf_watch_fini(weft_self *self)
{
    struct wf_ext *ext = self->ext;
    for (int fd = 0; fd < ext->watch_room; fd++)
        if (ext->watches[fd].fn != NULL) (void)weft_fd_unwatch(self, fd);
    wf_free(ext->watches);
    ext->watches = NULL;
    ext->watch_room = 0;
    wf_free(ext->ready);
    ext->ready = NULL;
}
