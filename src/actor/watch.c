/* SPDX-License-Identifier: Apache-2.0
 * watch.c - descriptors that an actor waits for in its own loop.
 * Called by: the actor's thread. May touch: the actor's table of watches, the port.
 * Never: reads, writes or closes a watched descriptor. */
#include <string.h>

#include "alloc.h"
#include "log.h"
#include "self.h"

#define FD_MAX (1 << 20) /* the table is indexed by descriptor: at most 24 MiB */
#define EVENTS_ALL (WEFT_FD_READ | WEFT_FD_WRITE | WEFT_FD_HANGUP)

/* The first watch turns the actor's sleep from the futex to the poll. */
static weft_err open_poll(weft_self *self)
{
    if (self->ready == NULL) self->ready = wf_calloc(WF_READY_MAX, sizeof *self->ready);
    if (self->ready == NULL) return WEFT_NO_MEMORY;
    if (self->addr->box.poll != NULL) return WEFT_OK;
    return self->port->ops->poll_open(self->port, &self->addr->box.poll);
}

static weft_err make_room(weft_self *self, int fd)
{
    if (fd < self->watch_room) return WEFT_OK;
    int room = self->watch_room == 0 ? 64 : self->watch_room;
    while (room <= fd) room *= 2;
    struct wf_watch *watches = wf_realloc(self->watches, (size_t)room * sizeof *watches);
    if (watches == NULL) return WEFT_NO_MEMORY;
    memset(watches + self->watch_room, 0, (size_t)(room - self->watch_room) * sizeof *watches);
    self->watches = watches;
    self->watch_room = room;
    return WEFT_OK;
}

weft_err weft_fd_watch(weft_self *self, int fd, uint32_t events, weft_on_fd fn, void *arg)
{
    if (fd < 0 || fn == NULL || (events & ~EVENTS_ALL) != 0) return WEFT_INVALID;
    if (self->phase == WF_PHASE_ENDING) return WEFT_CLOSED;
    if (fd >= FD_MAX) return WEFT_LIMIT;
    weft_err err = open_poll(self);
    if (err == WEFT_OK) err = make_room(self, fd);
    if (err != WEFT_OK) return err;
    struct wf_watch *watch = &self->watches[fd];
    bool known = watch->fn != NULL;
    if (!known && self->watch_count >= WEFT_WATCHES_MAX) return WEFT_LIMIT;
    struct wf_ready what = {.fd = fd, .generation = ++self->watch_generation, .events = events};
    err = self->port->ops->poll_set(self->port, self->addr->box.poll, known, &what);
    if (err != WEFT_OK) return err;
    watch->fn = fn;
    watch->arg = arg;
    watch->generation = what.generation;
    self->watch_count += known ? 0 : 1;
    return WEFT_OK;
}

weft_err weft_fd_unwatch(weft_self *self, int fd)
{
    if (fd < 0 || fd >= self->watch_room || self->watches[fd].fn == NULL) return WEFT_NOT_FOUND;
    self->port->ops->poll_clear(self->port, self->addr->box.poll, fd);
    self->watches[fd].fn = NULL; /* events of this turn that are not served yet die here */
    self->watch_count--;
    return WEFT_OK;
}

void wf_watch_run(weft_self *self)
{
    if (self->watch_count == 0) return;
    if (!self->polled)
        self->ready_count = self->port->ops->poll_wait(self->port, self->addr->box.poll,
                                                       self->ready, WF_READY_MAX, 0);
    self->polled = false;
    for (unsigned i = 0; i < self->ready_count && !self->stopping; i++) {
        struct wf_ready ready = self->ready[i];
        struct wf_watch watch = self->watches[ready.fd];
        if (watch.fn != NULL && watch.generation == ready.generation)
            watch.fn(self, self->state, ready.fd, ready.events, watch.arg);
    }
    self->ready_count = 0;
}

void wf_watch_fini(weft_self *self)
{
    for (int fd = 0; fd < self->watch_room; fd++)
        if (self->watches[fd].fn != NULL) (void)weft_fd_unwatch(self, fd);
    wf_free(self->watches);
    self->watches = NULL;
    self->watch_room = 0;
    wf_free(self->ready);
    self->ready = NULL;
}
