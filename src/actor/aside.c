/* SPDX-License-Identifier: Apache-2.0
 * aside.c - work on a thread of its own, for a caller that has something to say meanwhile.
 * Called by: node_engine.c, on plain threads. May touch: the machine's threads and clock.
 * Never: returns before the work has ended. */
#include "atomic.h"
#include "block.h"
#include "log.h"
#include "port.h"

struct aside {
    void (*fn)(void *arg);
    void *arg;
    struct wf_failure failure; /* the last one of the work */
    uint32_t over;
};

static void run(void *arg)
{
    struct aside *work = arg;
    struct wf_port *port = wf_port_machine();
    work->fn(work->arg);
    wf_failure_get(&work->failure);
    /* [A] release: what the work wrote happens-before [B], the load that ends the wait. */
    wf_store(&work->over, 1, WF_RELEASE);
    port->ops->wake(port, &work->over); /* it is joined before `work` ends */
}

void wf_run_aside(void (*fn)(void *arg), void *arg, weft_ns every, void (*tick)(void *arg),
                  void *tick_arg)
{
    static const struct wf_thread_spec how = {.name = "weft-aside"};
    struct wf_port *port = wf_port_machine();
    struct aside work = {.fn = fn, .arg = arg};
    uintptr_t thread;
    if (port->ops->thread_start(port, &how, run, &work, &thread) != WEFT_OK) {
        fn(arg); /* in silence rather than not at all */
        return;
    }
    weft_ns next = wf_port_now(port) + every;
    while (wf_load(&work.over, WF_ACQUIRE) == 0) { /* [B] */
        if (wf_port_now(port) < next) {
            port->ops->wait(port, &work.over, 0, next);
            continue;
        }
        tick(tick_arg);
        next = wf_port_now(port) + every;
    }
    port->ops->thread_join(port, thread);
    if (work.failure.err != WEFT_OK) wf_failure_set(&work.failure);
}
