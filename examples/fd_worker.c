/* SPDX-License-Identifier: Apache-2.0
 * fd_worker.c - an actor that owns a file descriptor and reads it without blocking.
 *
 * The descriptor is watched by the actor's own thread: between two messages it looks at its
 * descriptors, and while nothing comes it sleeps. Here it is the end of a pipe; a socket, a
 * terminal or a timerfd is the same. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft/actor.h>

struct reader {
    int fd; /* the actor's own: opened by who spawns, closed by fini */
    size_t lines;
};

static void reader_ready(weft_self *self, void *state, int fd, uint32_t events, void *arg)
{
    struct reader *reader = state;
    char bytes[64];
    (void)events, (void)arg;
    /* Level-triggered: one read a call is enough, what is left calls again. */
    ssize_t n = read(fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++) reader->lines += bytes[i] == '\n';
    if (n == 0) weft_stop(weft_self_addr(self), WEFT_DRAIN); /* the other end was closed */
}

static weft_err reader_init(weft_self *self, void *state, void *arg)
{
    struct reader *reader = state;
    reader->fd = *(int *)arg;
    return weft_fd_watch(self, reader->fd, WEFT_FD_READ, reader_ready, NULL);
}

static weft_verdict reader_handle(weft_self *self, void *state, weft_msg *msg)
{
    (void)self, (void)state, (void)msg;
    return WEFT_DONE; /* messages may come as to any other actor; this one needs none */
}

static void reader_fini(weft_self *self, void *state, weft_err reason)
{
    struct reader *reader = state;
    (void)reason;
    weft_fd_unwatch(self, reader->fd); /* before the close, else another file may get the number */
    close(reader->fd);
    printf("%zu lines\n", reader->lines);
}

int main(void)
{
    int ends[2];
    weft_rt *rt = NULL;
    weft_addr *reader = NULL;
    weft_spec spec = {.name = "reader",
                      .arg = &ends[0],
                      .state_size = sizeof(struct reader),
                      .init = reader_init,
                      .handle = reader_handle,
                      .fini = reader_fini};
    if (pipe(ends) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return 1;
    if (weft_rt_create(&rt) != WEFT_OK || weft_spawn(rt, &spec, &reader) != WEFT_OK) return 1;
    for (int i = 0; i < 1000; i++)
        if (write(ends[1], "one line\n", 9) != 9) return 1;
    close(ends[1]);
    weft_err err = weft_join(reader, weft_rt_after(rt, 10 * WEFT_SEC), NULL);
    weft_addr_put(reader);
    weft_rt_stop(rt, WEFT_NEVER);
    weft_rt_destroy(rt);
    return err == WEFT_OK ? 0 : 1;
}
