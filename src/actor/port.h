/* SPDX-License-Identifier: Apache-2.0
 * port.h - everything of the runtime that blocks or is not deterministic, as one
 * table of functions. Bound to the machine in port_machine.c, to one thread, a
 * seed and a virtual clock in sim.c. Called by: the rooms of src/actor only. */
#ifndef WF_PORT_H
#define WF_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/actor.h>

struct wf_driver;
struct wf_poll; /* the machine's: an epoll instance and the eventfd that wakes it */
struct wf_port;

/* How a thread is made. */
struct wf_thread_spec {
    const char *name;
    size_t stack_bytes;  /* 0: the platform's default            */
    const uint8_t *cpus; /* bit n: may run on CPU n; NULL: inherit */
    size_t cpus_bytes;
    int policy, priority; /* as in weft_thread_spec                */
};

struct wf_ready {
    int fd;
    uint32_t generation; /* as given to poll_set: tells stale events apart */
    uint32_t events;
};

struct wf_port_ops {
    weft_ns (*mono_ns)(struct wf_port *port);
    int64_t (*wall_ms)(struct wf_port *port);
    void (*random)(struct wf_port *port, void *out, size_t len);
    unsigned (*cpu_count)(struct wf_port *port);

    /* Runs main(arg) on a new thread, with all signals but faults blocked. NO_MEMORY;
     * FORBIDDEN: policy or priority are refused; INVALID: no such CPU. */
    weft_err (*thread_start)(struct wf_port *port, const struct wf_thread_spec *spec,
                             void (*main)(void *arg), void *arg, uintptr_t *out);
    /* Waits until that thread is gone. Once for each. */
    void (*thread_join)(struct wf_port *port, uintptr_t thread);
    /* fn(arg) runs when the calling thread ends. Few per thread; a later call with the same
     * `fn` replaces it. False: it cannot be arranged. */
    bool (*on_thread_end)(struct wf_port *port, void (*fn)(void *arg), void *arg);
    void (*yield)(struct wf_port *port);

    /* Sleeps while *word == seen, until `deadline`; may return early. */
    void (*wait)(struct wf_port *port, uint32_t *word, uint32_t seen, weft_ns deadline);
    /* Wakes all that wait on `word`. */
    void (*wake)(struct wf_port *port, uint32_t *word);
    /* Wakes the one that waits on `word`. */
    void (*wake_one)(struct wf_port *port, uint32_t *word);

    /* Watching descriptors. open: NO_MEMORY, LIMIT, UNSUPPORTED. set: INVALID,
     * LIMIT, NO_MEMORY. wait fills at most `max` and returns how many; a wake ends it. */
    weft_err (*poll_open)(struct wf_port *port, struct wf_poll **out);
    weft_err (*poll_set)(struct wf_port *port, struct wf_poll *poll, bool known,
                         const struct wf_ready *what);
    void (*poll_clear)(struct wf_port *port, struct wf_poll *poll, int fd);
    unsigned (*poll_wait)(struct wf_port *port, struct wf_poll *poll, struct wf_ready *out,
                          unsigned max, weft_ns deadline);
    void (*poll_wake)(struct wf_port *port, struct wf_poll *poll);
    void (*poll_close)(struct wf_port *port, struct wf_poll *poll);
    /* Watches a whole poll from another: while something is ready in `inner`, poll_wait of
     * `outer` gives `key` in generation (high half) and fd (low half). Ends with `inner`.
     * NO_MEMORY, LIMIT. */
    weft_err (*poll_nest)(struct wf_port *port, struct wf_poll *outer, struct wf_poll *inner,
                          uint64_t key);
    /* `inner` is watched no more: nothing with its key comes out of `outer`. */
    void (*poll_unnest)(struct wf_port *port, struct wf_poll *outer, struct wf_poll *inner);

    /* The reply box that this thread keeps between its calls: take gives it out, NULL if
     * there is none; keep stores it and says false if it cannot. The machine gives it
     * back when the thread ends; the simulator keeps none. */
    weft_addr *(*take_box)(struct wf_port *port);
    bool (*keep_box)(struct wf_port *port, weft_addr *box);

    /* Adds an event to the trace; NULL on the machine. */
    void (*trace)(struct wf_port *port, const weft_addr *task, uint32_t what, const char *name);
};

struct wf_port {
    const struct wf_port_ops *ops;
    struct weft_sim *sim;   /* NULL on the machine                           */
    struct wf_driver *own;  /* runs actors that have a thread of their own   */
    size_t stack_least;     /* a thread's stack, in bytes                    */
    uint32_t turn_messages; /* user messages per turn: fewer, finer schedule */
    bool may_spin;          /* more than one processor                       */
};

/* The machine. One for the process; never destroyed. */
struct wf_port *wf_port_machine(void);

static inline weft_ns wf_port_now(struct wf_port *port) { return port->ops->mono_ns(port); }

#endif
