/* SPDX-License-Identifier: Apache-2.0
 * self.h - what an actor, its address and its runtime are made of.
 * Called by: the rooms of src/actor only. Fields are grouped by the thread that
 * may touch them. */
#ifndef WF_SELF_H
#define WF_SELF_H

#include <weft/actor.h>

#include "heap.h"
#include "lock.h"
#include "mailbox.h"
#include "port.h"

#define WF_READY_MAX 64u /* descriptors handled per turn */

/* weft_msg.state of a request; of any other message it stays IDLE. */
enum wf_request_state {
    WF_REQ_IDLE,     /* nobody waits                                     */
    WF_REQ_ASKED,    /* the asker waits; the holder must answer          */
    WF_REQ_REPLIED,  /* on its way back; the asker's                     */
    WF_REQ_ABANDONED /* the asker gave up; the holder's                  */
};

enum wf_phase { WF_PHASE_NEW, WF_PHASE_RUNNING, WF_PHASE_ENDING, WF_PHASE_ENDED };

enum wf_exit_hook { WF_HOOK_NONE, WF_HOOK_SET, WF_HOOK_OVER };

/* What the simulator's trace is made of. */
enum wf_trace {
    WF_TRACE_BEGIN = 1,
    WF_TRACE_USER,
    WF_TRACE_SYSTEM,
    WF_TRACE_REPLY,
    WF_TRACE_ASK_OVER,
    WF_TRACE_TIMER,
    WF_TRACE_STOP,
    WF_TRACE_END,
    WF_TRACE_EVENT
};

struct wf_watch {
    weft_on_fd fn; /* NULL: not watched */
    void *arg;
    uint32_t generation;
};

struct weft_self {
    struct wf_loop loop; /* first: the port hands it back */
    weft_addr *addr;     /* holds us, so not counted      */
    weft_rt *rt;
    struct wf_port *port;
    weft_err (*init)(weft_self *self, void *state, void *arg);
    weft_verdict (*handle)(weft_self *self, void *state, weft_msg *msg);
    void (*fini)(weft_self *self, void *state, weft_err reason);
    void *arg;

    /* The actor's thread. */
    enum wf_phase phase;
    bool stopping; /* end after `drain_left` more user messages */
    bool failed;   /* the exit is worth a line in the log       */
    uint64_t drain_left;
    weft_err reason;
    weft_err fail_reason;
    uint64_t order; /* numbers timers and asks, for equal times  */
    struct wf_heap timers;
    struct wf_heap deadlines; /* of pending asks            */
    weft_request *oldest_ask, *newest_ask;
    uint32_t asks;
    struct wf_watch *watches; /* by descriptor */
    int watch_room;
    uint32_t watch_count;
    uint32_t watch_generation;
    bool polled; /* `ready` is fresh from the sleep */
    unsigned ready_count;
    struct wf_ready *ready;        /* WF_READY_MAX, from the first watch on */
    struct weft_actor_stats stats; /* written here, read anywhere: relaxed */

    /* At the end, so that it is aligned for any type; lives as long as the address,
     * because requests embedded in it may still be with a callee. */
    unsigned char state[] __attribute__((aligned(16)));
};

struct weft_addr {
    uint32_t refs;
    uint32_t stop_mode;  /* 0, or 1 + weft_stop_mode; only grows              */
    uint32_t started;    /* waited on: 1 once init has returned               */
    uint32_t ended;      /* waited on: 1 once nothing of the actor runs       */
    uint32_t joined;     /* 1 once the thread is gone: the runtime may be too */
    uint32_t exit_state; /* wf_exit_hook                                      */
    weft_err init_err;   /* before `started` */
    weft_err reason;     /* before `ended`   */
    void (*exit_fn)(void *arg, weft_addr *addr, weft_err reason);
    void *exit_arg;
    uint64_t late;          /* replies that came too late */
    weft_rt *rt;            /* until joined               */
    weft_self *self;        /* NULL: a plain thread's reply box */
    weft_addr *prev, *next; /* rt->lock */
    weft_msg stop_msg;      /* pushed once, by the one that raised stop_mode from 0 */
    char name[WEFT_ACTOR_NAME_BYTES_MAX + 1];
    struct wf_mailbox box;
};

struct weft_rt {
    struct wf_port *port;
    wf_lock *lock;           /* the lists             */
    wf_lock *join_lock;      /* who joins a thread    */
    weft_addr *first, *last; /* live, in order of spawning */
    weft_addr *gone;         /* ended, not yet joined      */
    bool stopping;
    weft_on_dead_letter dead_fn;
    void *dead_arg;
    uint64_t dead_letters;
};

extern const weft_kind wf_kind_stop;

/* The actor whose callback runs on this thread, or NULL. */
weft_self *wf_self_current(void);
/* For the simulator, which nests: returns what was there before. */
weft_self *wf_self_enter(weft_self *self);

/* actor.c */
enum wf_step wf_actor_step(struct wf_loop *loop);
void wf_actor_main(struct wf_loop *loop);
void wf_actor_trace(weft_self *self, enum wf_trace what, const char *name);
/* end.c: from the last turn on. */
void wf_actor_end(weft_self *self);
/* Answers or frees what is left in a closed mailbox. */
void wf_dead_letter(weft_addr *addr, weft_msg *msg);

/* send.c */
weft_err wf_push_system(weft_addr *to, weft_msg *msg);
/* Somebody wants to hear of room: tells at once or remembers. */
void wf_credit_wanted(weft_addr *addr, weft_msg *msg);
/* There is room, or there will never be: tells all who wait. */
void wf_credit_tell(weft_addr *addr);
void wf_credit_deliver(weft_msg *msg);

/* ask.c */
void wf_ask_replied(weft_self *self, weft_request *req);
void wf_ask_run_deadlines(weft_self *self, weft_ns now);
/* Ends all pending asks; their callbacks run with CANCELED unless `silent`. */
void wf_ask_cancel_all(weft_self *self, bool silent);
bool wf_request_answer(weft_request *req, weft_err err);
bool wf_request_abandon(weft_request *req);

/* timer.c, watch.c */
void wf_timer_run(weft_self *self, weft_ns now);
void wf_watch_run(weft_self *self);
void wf_watch_fini(weft_self *self);

/* addr.c */
weft_err wf_addr_create(struct wf_port *port, const char *name, uint32_t mailbox,
                        uint32_t spin_max_ns, weft_addr **out);
weft_err wf_addr_wait_end(weft_addr *addr, weft_ns deadline);

/* rt.c */
weft_err wf_rt_create_on(struct wf_port *port, weft_rt **out);
bool wf_rt_add(weft_rt *rt, weft_addr *addr); /* takes a reference; false: stopping */
void wf_rt_ended(weft_rt *rt, weft_addr *addr);
void wf_rt_join(weft_rt *rt, weft_addr *addr);
void wf_rt_reap(weft_rt *rt);
void wf_rt_forget_all(weft_rt *rt); /* the simulator's kill */

/* sim.c: the loop will never run again. */
void wf_sim_forget(struct wf_sim *sim, struct wf_loop *loop);

static inline void wf_count(uint64_t *counter)
{
    /* One writer: a relaxed load and store, no read-modify-write. */
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

#endif
