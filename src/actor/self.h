/* SPDX-License-Identifier: Apache-2.0
 * self.h - what an actor, its address and its runtime are made of.
 * Called by: the rooms of src/actor only. Fields are grouped by the thread that
 * may touch them. */
#ifndef WF_SELF_H
#define WF_SELF_H

#include <weft/actor.h>
#include <weft/trace.h>

#include "asks.h"
#include "driver.h"
#include "heap.h"
#include "lock.h"
#include "mailbox.h"
#include "port.h"
#include "wake.h"

#define WF_READY_MAX 64u /* descriptors handled per turn */
#define WF_CLASS_BUCKETS 256u

/* weft_msg.state of a request; of any other message it stays IDLE. */
enum wf_request_state {
    WF_REQ_IDLE,     /* nobody waits                                     */
    WF_REQ_ASKED,    /* the asker waits; the holder must answer          */
    WF_REQ_REPLIED,  /* on its way back; the asker's                     */
    WF_REQ_ABANDONED /* the asker gave up; the holder's                  */
};

enum wf_phase {
    WF_PHASE_NEW,       /* init has not returned yet                           */
    WF_PHASE_RUNNING,   /*                                                     */
    WF_PHASE_ENDING,    /* nothing is handled any more; its children stop      */
    WF_PHASE_ENDED,     /*                                                     */
    WF_PHASE_RESTARTING /* between two lives: the mail is kept, the parent decides */
};

/* TAKEN: by a caller of weft_on_exit that has not said all yet. */
enum wf_exit_hook { WF_HOOK_NONE, WF_HOOK_TAKEN, WF_HOOK_SET, WF_HOOK_OVER };

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
    WF_TRACE_EVENT,
    WF_TRACE_RESTART,
    WF_TRACE_FAIL,
    WF_TRACE_KILL
};

struct wf_watch {
    weft_on_fd fn; /* NULL: not watched */
    void *arg;
    uint32_t generation;
};

/* What the actors of a class have counted together. rt->lock. */
struct wf_class_sums {
    uint32_t alive;
    struct weft_actor_stats gone; /* of those that have ended           */
    struct weft_actor_stats sum;  /* scratch of weft_stats_classes      */
};

/* What all actors of one kind share: the key is (name, init, handle, fini). Counted, by its
 * runtime and by each of its actors, because an address may outlive the runtime. */
struct wf_class {
    weft_err (*init)(weft_self *self, void *state, void *arg);
    weft_verdict (*handle)(weft_self *self, void *state, weft_msg *msg);
    void (*fini)(weft_self *self, void *state, weft_err reason);
    struct wf_class *same;  /* rt->lock: of the same hash             */
    struct wf_class *older; /* rt->lock: all of the runtime           */
    uint32_t refs;
    uint32_t hash;

    /* Who looks on (hooks.h). It stands here, not in the runtime, because a sender may hold the
     * address of an actor whose runtime is gone. */
    uint64_t hooks; /* relaxed: WF_HOOK_* */
    void (*trace_fn)(void *arg, const weft_trace_event *event);
    void *trace_arg;
    bool simulated;
    bool listed;              /* rt->lock: it is one of the runtime's table  */
    struct wf_class *by_name; /* rt->lock: the next in order of names        */
    struct wf_class_sums sums;
    char name[]; /* thread name and log facility */
};

/* What an actor needs only when it does more than to handle messages. Made by the first call
 * that needs it, on the actor's thread; freed with the address. */
struct wf_ext {
    struct wf_heap timers;
    struct wf_heap deadlines; /* of pending asks            */
    weft_ns due_now;          /* while the due ones are served: what they began with; else 0 */
    struct wf_asks asks;
    struct wf_lane stash;
    uint32_t units_max;       /* of bytes in the mailbox; 0: not counted                      */
    uint32_t stash_max;       /* 0: the default                                              */
    uint32_t stash_units;     /* of bytes that the stash holds, where they are counted       */
    uint32_t embedded;        /* given-up asks without a drop that callees hold: any thread */
    struct wf_watch *watches; /* by descriptor */
    int watch_room;
    uint32_t watch_count;
    uint32_t watch_generation;
    unsigned ready_count;
    struct wf_ready *ready;       /* WF_READY_MAX, from the first watch on */
    struct weft_actor_stats more; /* what few actors count, and what is measured; relaxed */
    weft_ns oldest_at;            /* measured: when the oldest message was sent; 0: none */
    bool was_idle;                /* measured: the last turn left nothing to do   */
    uint64_t ticks;               /* written by the actor, read anywhere: relaxed */
    uint64_t late;                /* replies that came too late: any thread       */
    weft_on_dead_letter dead_fn;  /* the runtime's hook, for senders that outlive it */
    void *dead_arg;
    struct wf_subscription *subscriptions; /* topic.c */
    struct wf_wake wakes[WF_WAKES];
    struct wf_child *child;      /* who supervises us; set before the first turn  */
    struct wf_supervisor *super; /* whom we supervise; others read it to make haste */
    struct weft_down **monitors; /* ours, by tag: chains of `same`             */
    uint32_t monitor_room, monitor_count;
    weft_ns grace; /* an actor without a parent: how long it may drain    */
    bool lost;     /* rt->lock: reported as one that did not stop in time */
};

/* The actor's thread, in the block of its address; `state` and its address live as long,
 * because requests embedded in the state may still be with a callee. */
struct weft_self {
    weft_addr *addr; /* holds us, so not counted      */
    weft_rt *rt;
    struct wf_port *port;
    struct wf_class *class;
    struct wf_ext *ext; /* NULL until needed; wf_ext() */
    void *state;
    void *arg; /* for init */
    struct wf_lanes lanes;

    uint8_t phase;     /* wf_phase                                          */
    bool stopping : 1; /* end after `drain_left` more user messages     */
    bool failed : 1;   /* the exit is worth a line in the log           */
    bool born : 1;     /* init returned OK, fini has not run: there is a state */
    bool trap : 1;     /* the ends of linked actors are messages        */
    bool polled;       /* ext->ready is fresh from the sleep                */
    uint8_t lines;     /* of the block, if the pool gave it               */
    uint32_t drain_left;
    weft_err reason; /* read by others after `ended` */
    weft_err fail_reason;
    uint64_t order;    /* numbers timers and asks, for equal times  */
    weft_msg stop_msg; /* pushed once, by the one that raised stop_mode from 0 */
    void (*exit_fn)(void *arg, weft_addr *addr, weft_err reason);
    void *exit_arg;
    struct weft_down *watchers; /* who hears of our end: a ring, the first in front */
    struct {                    /* written here, read anywhere: relaxed */
        uint64_t handled, system, dropped;
    } stats;
    const weft_kind *in_hand; /* of the callback that runs, or NULL: read anywhere, relaxed */
};

static_assert(sizeof(void *) != 8 || sizeof(weft_self) <= 4 * WF_CACHE_LINE,
              "an idle actor fits 512 bytes");

struct weft_rt {
    struct wf_port *port;
    wf_lock *lock;            /* the lists             */
    struct wf_roster *roster; /* actors and topics by name */
    weft_addr *first, *last;  /* live, in order of spawning */
    weft_addr *gone;          /* ended, not yet joined      */
    bool stopping;
    weft_on_dead_letter dead_fn;
    void *dead_arg;
    uint64_t dead_letters;
    size_t memory;                     /* relaxed: blocks and exts of the actors of both lists */
    size_t memory_max;                 /* relaxed; 0: no bound                     */
    uint64_t spawns_refused;           /* relaxed                                */
    uint32_t stops;                    /* calls of weft_rt_stop that run; relaxed */
    struct weft_straggler *stragglers; /* where a stop that runs reports them, or NULL */
    size_t straggler_room, straggler_count;
    struct wf_class *newest_class;
    uint32_t class_count;
    struct wf_class *by_name; /* sorted: the classes from `sorted_to` on */
    struct wf_class *sorted_to;
    struct wf_class_sums others; /* of actors whose class is not listed    */
    uint64_t hooks;              /* lock: WF_HOOK_* that this runtime wants */
    void (*trace_fn)(void *arg, const weft_trace_event *event);
    void *trace_arg;
    struct wf_watchdog *watchdog; /* watchdog.c                             */
    weft_group *groups;           /* the lock's */
    uint32_t group_count;
    struct wf_class *classes[WF_CLASS_BUCKETS];
};

extern const weft_kind wf_kind_stop;

/* The actor whose callback runs on this thread, or NULL. */
weft_self *wf_self_current(void);
/* For the simulator, which nests: returns what was there before. */
weft_self *wf_self_enter(weft_self *self);

/* actor.c */
/* One turn. IDLE leaves the next deadline in *wake_at. */
enum wf_step wf_actor_step(weft_addr *task, weft_ns *wake_at);
void wf_actor_trace(weft_self *self, enum wf_trace what, const char *name);
/* end.c: from the last turn on. */
void wf_actor_end(weft_self *self);
/* Announces the end: whoever joins may take the thread for over in a moment. */
void wf_actor_over(weft_addr *addr);
/* Answers or frees what is left in a closed mailbox. */
void wf_dead_letter(weft_addr *addr, weft_msg *msg, weft_err why);

/* actor.c: no callback is begun any more; the turn is over. */
bool wf_must_end(const weft_self *self);
/* actor.c: asks are cancelled (silently after a failed init), timers and watches ended. */
void wf_actor_clear(weft_self *self, bool silent);
/* stop.c: it fails with `reason` after what it is doing now, with a line in the log; WEFT_OK:
 * it stops, with the reason it has. */
void wf_actor_fail(weft_self *self, weft_err reason);
/* After a turn that ended a life: its children stop, then the actor ends or is halted. */
void wf_stop_begin(weft_self *self);
enum wf_step wf_stop_step(weft_self *self, weft_ns *wake_at);
/* The state's end, if there is a state. */
void wf_actor_fini(weft_self *self);
/* msg.c asks what an unanswered request hears that is dropped here. */
weft_err wf_drop_answer(void);

/* send.c */
/* The message is the runtime's from here on; false, and logged: it is already. */
bool wf_msg_claim(weft_addr *to, weft_msg *msg);
/* A claimed message that was not taken is its sender's again. */
static inline void wf_msg_release(weft_msg *msg) { msg->flags = 0; }
/* Sends a claimed message, or a claimed chain linked from the newest to the oldest. FULL,
 * CLOSED: it stays claimed. */
weft_err wf_send_claimed(weft_addr *to, weft_msg *msg);
weft_err wf_send_staged(weft_addr *to, weft_msg *newest, weft_msg *oldest, uint64_t cost);
/* As weft_send, of a message that is in no list; says whether OK meant the mailbox's policy, on this
 * thread, and not the mailbox. */
weft_err wf_send_or_drop(weft_addr *to, weft_msg *msg, bool *dropped);
weft_err wf_push_system(weft_addr *to, weft_msg *msg);
/* Somebody wants to hear of room: tells all who wait at once, or remembers. */
void wf_credit_wanted(weft_addr *addr, weft_msg *msg);
/* There is room, or there will never be: tells all who wait. */
void wf_credit_tell(weft_addr *addr);
void wf_credit_deliver(weft_msg *msg);

/* misuse.c: names who sent a message that is in flight and who sends it again; INVALID. */
weft_err wf_misuse_in_flight(weft_addr *to, const weft_msg *msg);
/* True: it was sent or answered, and has not come back. Only while its memory is there at all,
 * so this finds most mistakes and not all. */
static inline bool wf_msg_given(const weft_msg *msg)
{
    return (wf_load(&msg->flags, WF_RELAXED) & WF_MSG_QUEUED) != 0 ||
           wf_load(&msg->state, WF_RELAXED) == WF_REQ_REPLIED;
}
/* misuse.c: says who drops, answers or stashes such a message all the same. */
void wf_misuse_given(const weft_msg *msg);
extern bool wf_misuse_aborts; /* after the line in the log; debug builds begin with true */

/* What costs a look at each call is looked for in debug builds only. */
extern bool wf_misuse_checks;
/* misuse.c: `call` was given an actor whose callback does not run on this thread: logged, and in
 * debug builds the end. */
void wf_misuse_foreign(const weft_self *self, const char *call);
/* misuse.c: nobody can free the request, and it does not lie in the state of `asker` (NULL: a plain
 * thread), which would stay: logged, and in debug builds the end. */
bool wf_misuse_dangles(const weft_self *asker, const weft_request *req);

static inline bool wf_self_is_foreign(const weft_self *self, const char *call)
{
    if (__builtin_expect(!wf_misuse_checks, 1) || self == wf_self_current()) return false;
    wf_misuse_foreign(self, call);
    return true;
}

/* Page one, rule 5: when `deadline` has passed the callee may hold the request still. */
static inline bool wf_may_dangle(const weft_self *asker, const weft_request *req, weft_ns deadline)
{
    if (__builtin_expect(!wf_misuse_checks, 1) || deadline == WEFT_NEVER) return false;
    return req->msg.kind->drop == NULL && wf_misuse_dangles(asker, req);
}

/* overflow.c */
/* There is no credit for a claimed chain, linked from the newest to the oldest. OK: dropped;
 * FULL, CLOSED: it is still the sender's. */
weft_err wf_overflow(weft_addr *to, weft_msg *newest);
/* The actor has taken its mail in: drops the oldest beyond what the mailbox keeps. */
void wf_overflow_trim(weft_self *self);

/* topic.c: `self` drops the oldest of its queued messages, an event: the next one of the same
 * subscription tells of it. */
void wf_event_trimmed(weft_self *self, weft_msg *msg);

/* stash.c */
bool wf_stash_put(weft_self *self, weft_msg *msg); /* false: no room, the message is yours */
void wf_stash_fini(weft_self *self);               /* what is left becomes dead letters    */

/* ask.c */
void wf_ask_replied(weft_self *self, weft_request *req);
void wf_ask_run_deadlines(weft_self *self, weft_ns now);
/* Ends all pending asks; their callbacks run with CANCELED unless `silent`. */
void wf_ask_cancel_all(weft_self *self, bool silent);
bool wf_request_answer(weft_request *req, weft_err err);
bool wf_request_abandon(weft_request *req);
/* True while a callee may hold a request of this actor that was given up and whose memory
 * is not the runtime's, so perhaps the state's. */
bool wf_ask_embedded(const weft_self *self);

/* timer.c, watch.c */
void wf_timer_run(weft_self *self, weft_ns now);
void wf_watch_run(weft_self *self);
void wf_watch_fini(weft_self *self);

/* ext.c: NULL when memory is short. */
struct wf_ext *wf_ext(weft_self *self);
void wf_ext_fini(weft_self *self);
/* What is set for the past while the due ones are served is due now, behind all that are: were it
 * in front it would end each turn's service, and nobody else would ever have any. */
static inline weft_ns wf_due_at(const struct wf_ext *ext, weft_ns at)
{
    return at < ext->due_now ? ext->due_now : at;
}
/* The earliest timer or ask's deadline, or WEFT_NEVER. */
weft_ns wf_ext_next(const weft_self *self);

/* class.c */
struct wf_class *wf_class_get(weft_rt *rt, const weft_spec *spec); /* counted; NULL: no memory */
void wf_class_put(struct wf_class *class);
void wf_class_forget_all(weft_rt *rt);

/* addr.c */
weft_err wf_addr_wait_end(weft_addr *addr, weft_ns deadline);
/* The block of an actor: address, self and `state_bytes`, zeroed. NULL: no memory. */
weft_addr *wf_block_create(size_t state_bytes);
size_t wf_block_bytes(const weft_addr *addr);
/* call.c: the reply box of a plain thread. */
void wf_caller_destroy(weft_addr *box);

/* spawn.c: as weft_spawn, and for children of `parent`, which runs on this thread. */
weft_err wf_spawn(weft_rt *rt, weft_self *parent, const weft_spec *spec, weft_addr **out);

/* group.c */
weft_rt *wf_group_rt(const weft_group *group);
struct wf_driver *wf_group_driver(weft_group *group);
/* A task of the group was started, or joined. False: the group is closed. */
bool wf_group_enter(weft_group *group);
void wf_group_leave(weft_group *group);
/* Gives a reference back that wf_group_enter took. */
void wf_group_put(weft_group *group);
/* Ends the groups that are left, whose actors have all ended. */
void wf_group_destroy_all(weft_rt *rt);

/* worker.c: an actor ends that may have nodes in the heaps of workers. */
void wf_worker_forget(weft_addr *task);
/* True: the thread of this actor, which ends, still runs children that it left behind, and
 * announces its end after theirs. */
bool wf_worker_outlives(const weft_addr *task);

/* rt.c */
weft_err wf_rt_create_on(struct wf_port *port, weft_rt **out);
bool wf_rt_add(weft_rt *rt, weft_addr *addr); /* takes a reference; false: stopping */
void wf_rt_ended(weft_rt *rt, weft_addr *addr);
/* A block is the runtime's: false, and counted, if that is beyond its bound. */
bool wf_rt_hold(weft_rt *rt, size_t bytes);
/* What the actor has is not the runtime's any more: nothing of it runs, or ever ran. */
void wf_rt_let_go(weft_rt *rt, const weft_addr *addr);
/* Joins the thread of one actor that has ended, or is about to, and gives the runtime's reference
 * back. The caller holds a reference of its own, and not the runtime: as long as the join is not
 * taken another thread may take it, do it and destroy the runtime. Who has taken it finds the
 * actor among the gone; a destroy finds it there, too, and waits. */
void wf_rt_join(weft_addr *addr);
void wf_rt_reap(weft_rt *rt);       /* joins all that have ended */
void wf_rt_forget_all(weft_rt *rt); /* the simulator's kill */
/* shutdown.c: `addr` did not stop in time: a line in the log, and in the report of a stop that
 * runs. */
void wf_rt_report(weft_rt *rt, weft_addr *addr, weft_ns waited);

/* sim.c: the task will never run again. */
void wf_sim_forget(struct weft_sim *sim, weft_addr *task);
/* Its turn is on the stack. */
bool wf_sim_is_running(const weft_addr *task);
/* It has something to do, though nothing was sent to it. */
void wf_sim_wake(struct weft_sim *sim, weft_addr *task);

static inline void wf_count(uint64_t *counter)
{
    /* One writer: a relaxed load and store, no read-modify-write. */
    wf_store(counter, wf_load(counter, WF_RELAXED) + 1, WF_RELAXED);
}

#endif
