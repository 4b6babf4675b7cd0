/* SPDX-License-Identifier: Apache-2.0
 * weft/actor.h - actors on POSIX threads with lock-free mailboxes.
 *
 * Page one, the rules that hold everywhere:
 *
 *  1. *Consumed if and only if WEFT_OK.* A call that takes a message owns it when
 *     it returns WEFT_OK; on any other value the message is still yours.
 *  2. Inside `handle` you own the message until you return: WEFT_DONE, WEFT_STOP and
 *     WEFT_FAIL let the runtime drop it, WEFT_KEPT says that you replied to, forwarded
 *     or stored it, WEFT_STASH has the runtime keep it for later.
 *  3. An ask gets exactly one callback, on the asker's own thread: the reply, or
 *     TIMED_OUT, CANCELED, DROPPED, RESTARTING or CLOSED. A late reply is dropped and
 *     counted.
 *  4. weft_call, weft_send_wait, weft_join, weft_rt_stop (and _report, _now) and
 *     weft_group_destroy wait: they are for plain threads. From inside an actor they
 *     return WEFT_DEADLK at once.
 *  5. A message whose kind has no `drop` belongs to whoever embedded it and comes
 *     back by reply. Do not ask or call with one and a finite deadline: the callee
 *     may still hold it when the deadline passes. Use weft_new; or embed it in the
 *     asker's own state, which is kept for as long. A debug build of weft names who
 *     does it all the same, and aborts.
 *  6. System events (stop, timers, replies, room, the end of another) never fail, never
 *     allocate when they are delivered and never wait behind user messages.
 *  7. Order is first in, first out for each sender and receiver within a lane.
 *     Nothing is promised across senders.
 *  8. A handler never blocks and never waits for a reply.
 *  9. A restart (weft/supervise.h) keeps the address and the mailbox; the state begins
 *     anew, and the message in hand is not handled again.
 * 10. Errors are values. A crash of C code is a crash of the process.
 *
 * All times are weft_ns, nanoseconds of the monotonic clock, in units of WEFT_MS and WEFT_SEC. A
 * *deadline* is a point in time, not a length: weft_now(self) + 5 * WEFT_SEC inside an actor,
 * weft_rt_after(rt, 5 * WEFT_SEC) outside, or WEFT_NEVER.
 *
 * Sending is lock-free (one compare-and-swap, and one more for a bounded mailbox; it is
 * not wait-free: a sender may retry when others win) and allocates nothing. */
#ifndef WEFT_ACTOR_H
#define WEFT_ACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/err.h>
#include <weft/limits.h>
#include <weft/stats.h> /* weft_ns, weft_actor_stats */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_rt weft_rt;     /* a runtime: its clock, its actors          */
typedef struct weft_self weft_self; /* an actor from inside: valid only in its own
                                     * callbacks, on its own thread; a debug build of
                                     * weft aborts when it is used elsewhere     */
typedef struct weft_addr weft_addr; /* an actor from outside: counted, safe to use
                                     * from any thread also after the actor ended */
typedef struct weft_msg weft_msg;
typedef struct weft_request weft_request;

/* -- Messages --------------------------------------------------------------- */

/* What a message is. One const object per kind in the whole program, compared by address: where
 * several files use it, `extern` in the header and defined in one of them. */
typedef struct weft_kind {
    uint32_t id;              /* for logs and traces; free to choose          */
    const char *name;         /* "store.put"                                  */
    size_t size;              /* of the whole struct, for weft_new            */
    void (*drop)(weft_msg *); /* frees what the struct owns and the struct;
                               * weft_free_msg if it owns nothing else; NULL:
                               * the memory is not the runtime's to free      */
} weft_kind;

/* The header: the first member of the sender's own struct. Fields other than
 * `kind` belong to the runtime. 32 bytes on 64-bit machines. */
struct weft_msg {
    weft_msg *next;
    const weft_kind *kind;
    uint32_t state;
    uint32_t flags;
    void *ctx;
} __attribute__((aligned(8)));

/* The answer to an ask. `err` is WEFT_OK or the callee's error or one of
 * TIMED_OUT, CANCELED, DROPPED, CLOSED, RESTARTING. `req` is the request itself,
 * now yours (drop it with weft_drop or keep it), or NULL when the callee still
 * holds it (TIMED_OUT, CANCELED). */
typedef void (*weft_on_reply)(weft_self *self, void *state, weft_err err, weft_request *req,
                              void *arg);

/* A message that can be asked and replied to; the first member of the sender's
 * own struct. Fields other than msg.kind belong to the runtime. */
struct weft_request {
    weft_msg msg;
    weft_addr *asker;
    weft_ns deadline;
    weft_on_reply fn;
    void *arg;
    uint64_t token;
    weft_request *prev, *next_pending;
    int32_t err;
    uint32_t heap_at;
};

/* Creates a zeroed message of `kind` on the heap; kind->drop must not be NULL.
 * Drop it with weft_drop or send it. NULL when memory is short, or weft_pool_limit is reached.
 * Any thread. */
weft_msg *weft_new(const weft_kind *kind);

/* Prepares a message or request that is embedded elsewhere. */
void weft_msg_init(weft_msg *msg, const weft_kind *kind);

/* A drop function for kinds that own nothing but their struct from weft_new. In a debug build of
 * weft what it frees is overwritten first: to send such a message again is INVALID, to drop it again
 * aborts. And when the last runtime of the process is destroyed, the log names, at WARN, the kinds
 * of which messages from weft_new were never dropped, and how many. */
void weft_free_msg(weft_msg *msg);

/* Drops a message that you own: an unanswered request answers DROPPED to its
 * asker, so that no ask hangs; then kind->drop runs. NULL is fine. One that you have sent or
 * answered is not yours: as far as its memory still tells it is left alone, and the log names
 * you, as for weft_send. */
void weft_drop(weft_msg *msg);

/* -- Sending -------------------------------------------------------------------- */

/* Sends to the user lane. Lock-free, never blocks, allocates nothing. OK: taken.
 * FULL (bounded mailbox), CLOSED: still yours. Any thread.
 * A message that was sent belongs to the receiver until its handler has it, or it comes back
 * by reply: INVALID from this call, and from all that send, when it is in flight already. The
 * log names who sent it and who sends it again; in a debug build of weft the process then
 * aborts. */
weft_err weft_send(weft_addr *to, weft_msg *msg);

/* Sends `first`..`last`, linked through `next` in sending order, with one
 * compare-and-swap and at most one wake. All or none. FULL, CLOSED, INVALID (one of them is in
 * flight already, or `last` is not behind `first`): all are yours, linked as they were. */
weft_err weft_send_chain(weft_addr *to, weft_msg *first, weft_msg *last);

/* Staging: many sends to one receiver for one compare-and-swap. An outbox belongs to one
 * thread or actor; embed it where you like, it owns no memory but the messages it holds. They
 * arrive in the order of staging; between them messages of the same sender that went past the
 * outbox may arrive. Fields belong to the runtime. */
typedef struct weft_outbox {
    weft_addr *to;
    weft_msg *first, *last;
    uint32_t count, batch; /* messages staged, and how many go together */
} weft_outbox;

/* Prepares an outbox that sends `batch` messages at a time, 1 to WEFT_OUTBOX_BATCH_MAX and at
 * most half the receiver's mailbox, if that is bounded: INVALID. UNSUPPORTED: the receiver counts
 * bytes (spec.mailbox_bytes). `to` is borrowed until the outbox is used for the last time. */
weft_err weft_outbox_init(weft_outbox *box, weft_addr *to, uint32_t batch);
/* Stages `msg`; sends all that is staged once it is `batch` messages. FULL, CLOSED, INVALID:
 * `msg` is still yours, what was staged before stays staged. */
weft_err weft_outbox_send(weft_outbox *box, weft_msg *msg);
/* Sends what is staged, all or none: before you wait for an answer, and at the end of a
 * handler. FULL, CLOSED: it stays staged. */
weft_err weft_outbox_flush(weft_outbox *box);
/* Hands out what is staged, the oldest first, linked through `next`, and empties the outbox:
 * for what can no longer be sent. NULL when there is nothing. */
weft_msg *weft_outbox_take(weft_outbox *box);

/* As weft_send, but waits for room until `deadline`. Plain threads only. Waiting (not
 * sending) allocates. TIMED_OUT, CLOSED, DEADLK, NO_MEMORY: still yours. */
weft_err weft_send_wait(weft_addr *to, weft_msg *msg, weft_ns deadline);

/* After FULL: have `when_room` delivered to `self` once `to` has room again.
 * Never FULL. CLOSED, INVALID (in flight). OK takes the message; if `to` closes first, the message is
 * delivered all the same and the next send answers CLOSED. */
weft_err weft_notify_credit(weft_self *self, weft_addr *to, weft_msg *when_room);

/* -- Asking ------------------------------------------------------------------------ */

/* Sends `req` and has `fn` called exactly once on this actor's thread, by
 * `deadline` at the latest (WEFT_NEVER only where the callee always answers).
 * `token`, if not NULL, receives a handle for weft_ask_cancel. FULL, CLOSED: no
 * callback, the request is still yours. The same for INVALID (fn is NULL, or somebody
 * waits for `req` already), LIMIT (WEFT_ASKS_MAX) and NO_MEMORY. An actor may ask
 * itself: the request waits its turn in the mailbox. An actor that ends hears
 * CANCELED for every pending ask, before its fini. */
weft_err weft_ask(weft_self *self, weft_addr *to, weft_request *req, weft_ns deadline,
                  weft_on_reply fn, void *arg, uint64_t *token);

/* Ends an ask now: its callback runs with CANCELED before the call returns, and
 * the callee can see it (weft_abandoned). NOT_FOUND if it is already over. */
weft_err weft_ask_cancel(weft_self *self, uint64_t token);

/* Answers `req` with `err`: sends it back in place. Never fails and never blocks;
 * return WEFT_KEPT from the handler. A request nobody waits for is dropped. */
void weft_reply(weft_request *req, weft_err err);

/* The actor that asked, borrowed until `req` is replied to or dropped: to compare, to monitor, or to
 * keep with weft_addr_get. NULL: a plain thread asked, or it was sent as a tell. For who holds
 * the request. */
weft_addr *weft_asker(const weft_request *req);

/* The deadline its asker gave, so that dead work can be skipped. */
weft_ns weft_deadline(const weft_request *req);
/* True once the asker gave up. */
bool weft_abandoned(const weft_request *req);

/* The blocking form of ask for plain threads. Sends `req` and waits. Three outcomes:
 *   *out = the request, yours again: it was answered, and what is returned is the answer's
 *     err (CLOSED: the callee ended with it);
 *   *out = NULL, *taken = true: TIMED_OUT; the callee has it, it is not yours any more;
 *   *out = NULL, *taken = false: it was not sent and is still yours: FULL, CLOSED, DEADLK,
 *     INVALID (in flight already), NO_MEMORY (a thread's first call allocates its box for
 *     replies).
 * `taken` may be NULL. */
weft_err weft_call(weft_addr *to, weft_request *req, weft_ns deadline, weft_request **out,
                   bool *taken);

/* -- Behaviour ------------------------------------------------------------------------ */

typedef enum weft_verdict {
    WEFT_DONE, /* the runtime drops the message                       */
    WEFT_KEPT, /* the handler replied to, forwarded or stored it      */
    WEFT_STOP, /* as DONE, then end at once: what is queued becomes
                * dead letters (exit reason WEFT_OK), or waits for the
                * next life of a child that is started again. To handle
                * it first, weft_stop(own address, WEFT_DRAIN) and DONE */
    WEFT_FAIL, /* as STOP, logged: the exit reason is what weft_fail
                * was given, else WEFT_INTERNAL. The message is dropped;
                * if it is not yours any more: weft_exit and KEPT     */
    WEFT_STASH /* the runtime keeps it for weft_unstash, as many as the
                * spec allows; one more is a dead letter (LIMIT). It
                * holds its place in a bounded mailbox meanwhile      */
} weft_verdict;

typedef enum weft_stop_mode {
    WEFT_DRAIN, /* handle what is queued now, not what comes later, then stop:
                 * its own asks that are unanswered by then hear CANCELED */
    WEFT_NOW    /* drop what is queued (asks answer CLOSED)           */
} weft_stop_mode;

#define WEFT_UNBOUNDED UINT32_MAX

typedef struct weft_group weft_group; /* a few threads that run many actors */

/* Where an actor runs. */
typedef enum weft_place {
    WEFT_PLACE_THREAD, /* on a thread of its own                            */
    WEFT_PLACE_PARENT, /* on its parent's thread, between the parent's turns */
    WEFT_PLACE_GROUP   /* on the threads of weft_spec.group                 */
} weft_place;

/* What becomes of a message to the user lane of a full mailbox. Messages of the system lane
 * are never refused nor dropped. A dropped ask answers DROPPED; every dropped message is
 * counted and goes to the dead-letter hook with FULL. */
typedef enum weft_overflow {
    WEFT_REJECT,   /* the send answers FULL                             */
    WEFT_DROP_NEW, /* the send answers OK, the new message is dropped   */
    WEFT_DROP_OLD  /* the send answers OK, the oldest queued is dropped: by the
                    * receiver, as it takes its mail in. Until then senders may
                    * be ahead by as much again; beyond that they hear FULL */
} weft_overflow;

/* When a parent starts a child again. */
typedef enum weft_restart {
    WEFT_TEMPORARY, /* never                                        */
    WEFT_TRANSIENT, /* when it ended with a reason other than OK    */
    WEFT_PERMANENT  /* always, but not after a stop from outside    */
} weft_restart;

/* Whom a parent starts again when one of its children is. */
typedef enum weft_strategy {
    WEFT_ONE_FOR_ONE,  /* that child                       */
    WEFT_REST_FOR_ONE, /* and all that were spawned after it */
    WEFT_ONE_FOR_ALL   /* all its children                 */
} weft_strategy;

#define WEFT_SCHED_OTHER 0
#define WEFT_SCHED_FIFO 1
#define WEFT_SCHED_RR 2
#define WEFT_SCHED_BATCH 3

/* How a thread is made. Zero-initialise it: what is zero is inherited. */
typedef struct weft_thread_spec {
    const uint8_t *cpus; /* bit n % 8 of byte n / 8: may run on CPU n; NULL: on all that
                          * the process may use. No CPU of the machine: INVALID      */
    size_t cpus_bytes;
    int policy;   /* WEFT_SCHED_*; FORBIDDEN if the system refuses it    */
    int priority; /* 1..99 with FIFO and RR, else 0; other values: INVALID */
} weft_thread_spec;

/* What to spawn. Zero-initialise it; copied by weft_spawn except `arg`. A field that this
 * version does not serve must be zero: else UNSUPPORTED. */
typedef struct weft_spec {
    const char *name;  /* thread name and log facility; copied              */
    void *arg;         /* handed to init, again at each restart: it must last so long */
    size_t state_size; /* zeroed before init; freed after fini, once the last address
                        * is given back, because requests embedded in it may still
                        * be with a callee                                   */
    weft_err (*init)(weft_self *self, void *state, void *arg); /* may be NULL */
    /* Each message, by msg->kind; those whose kind it does not know: WEFT_DONE. Never
     * NULL: INVALID. */
    weft_verdict (*handle)(weft_self *self, void *state, weft_msg *msg);
    /* Runs once, on the actor's thread, if init returned OK. May send.       */
    void (*fini)(weft_self *self, void *state, weft_err reason); /* may be NULL */
    uint32_t mailbox;     /* capacity of the user lane; 0: WEFT_MAILBOX_DEFAULT;
                           * WEFT_UNBOUNDED                                   */
    size_t stack_bytes;   /* of a thread of its own; 0: the platform's default; INVALID
                           * below the platform's minimum (PTHREAD_STACK_MIN) */
    uint32_t spin_max_ns; /* how long to look for mail before sleeping, at most and
                           * only while that pays, and then a few turns for other
                           * threads, while these do; 0: the default of 20 us,
                           * about what a wake costs; UINT32_MAX: never          */
    weft_place place;
    weft_group *group;              /* with WEFT_PLACE_GROUP, else NULL: INVALID   */
    const weft_thread_spec *thread; /* with WEFT_PLACE_THREAD; copied; NULL: inherit */
    weft_overflow overflow;
    size_t mailbox_bytes;   /* bytes that the user lane holds, 0: no such bound. A message
                             * counts as its kind's size, in units of 64, what it points to
                             * does not count; one larger than half the bound counts as half.
                             * A chain that is larger than the bound is always FULL.
                             * UNSUPPORTED with WEFT_DROP_OLD                      */
    uint32_t stash;         /* messages that WEFT_STASH keeps, at most half the mailbox, else
                           * INVALID; 0: WEFT_STASH_DEFAULT or half the mailbox, whichever is
                           * less. Of mailbox_bytes half, too. With WEFT_DROP_OLD
                           * what is handed out again is the oldest, and so dropped
                           * first                                            */
    weft_restart restart;   /* as a child; without a parent TEMPORARY, else INVALID  */
    weft_strategy strategy; /* as a parent                      */
    uint32_t intensity;     /* as a parent: more restarts than this ... */
    weft_ns period_ns;      /* ... in so long fail it. 0: 3 in 5 s */
    weft_ns backoff_min_ns, backoff_max_ns; /* as a parent: waits before a restart, doubled
                                              * by each failure; 0: 10 ms, 10 s  */
    weft_ns grace_ns; /* as a child: so long it may DRAIN when its parent ends; 0: 5 s */
} weft_spec;

/* Starts an actor and waits until its init has returned. Returns init's error
 * and then no actor exists; asks that a failed init made are given up without their
 * callbacks. On OK *out is a counted address, the caller's
 * (weft_addr_put). Any thread; from inside an actor too. The init of an actor with
 * a thread of its own runs on that thread and must not ask the spawner; that of one in a group
 * or on its parent's thread runs here, before the call returns (LIMIT: WEFT_TREE_DEPTH_MAX inits
 * within one another). LIMIT also beyond weft_rt_memory_limit. NO_MEMORY, INVALID, FORBIDDEN (its thread's
 * policy), UNSUPPORTED, CLOSED once the runtime is stopping. */
weft_err weft_spawn(weft_rt *rt, const weft_spec *spec, weft_addr **out);

weft_addr *weft_addr_get(weft_addr *addr); /* adds a reference, returns addr   */
void weft_addr_put(weft_addr *addr);       /* gives one back; NULL is fine     */
const char *weft_addr_name(const weft_addr *addr);

/* Asks an actor to stop. OK at once, also when it is already stopping (NOW wins
 * over DRAIN). CLOSED when it has ended. Any thread, the actor itself too. */
weft_err weft_stop(weft_addr *addr, weft_stop_mode mode);

/* Waits until the actor has ended and its thread is joined; *reason (may be NULL)
 * is its exit reason. May be called by several threads and again, also while another stops and
 * destroys the runtime. TIMED_OUT, DEADLK from inside an actor. */
weft_err weft_join(weft_addr *addr, weft_ns deadline, weft_err *reason);

/* Calls `fn(arg, addr, reason)` on the ending actor's thread after its fini, for
 * FAIL as for STOP. One hook per address, normally set right after weft_spawn; if the
 * actor has ended already the call runs at once here. EXISTS if there is one, INVALID: fn is
 * NULL. */
weft_err weft_on_exit(weft_addr *addr, void (*fn)(void *arg, weft_addr *addr, weft_err reason),
                      void *arg);

/* -- Inside an actor ----------------------------------------------------------------- */

weft_ns weft_now(weft_self *self);          /* monotonic                          */
weft_addr *weft_self_addr(weft_self *self); /* borrowed                          */
weft_rt *weft_self_rt(weft_self *self);
void weft_self_random(weft_self *self, void *out, size_t len); /* the runtime's source */
/* Sets the exit reason of a WEFT_FAIL that the caller returns next. */
weft_verdict weft_fail(weft_self *self, weft_err reason);
/* Ends the actor when the callback returns that calls it: as WEFT_FAIL with that reason, as
 * WEFT_STOP with WEFT_OK. For timers, replies and descriptors, which have no verdict; and for a
 * handler that has answered its message or sent it on, and so returns WEFT_KEPT. Of several
 * failures the first counts; once the actor ends, and so in its fini, it does nothing. */
void weft_exit(weft_self *self, weft_err reason);

/* Hands up to `max` messages, the oldest first, that the handler put back with WEFT_STASH to
 * it again, before all that is queued. Returns how many. What is put back when the actor ends
 * becomes dead letters. */
uint32_t weft_unstash(weft_self *self, uint32_t max);
uint32_t weft_stashed(const weft_self *self); /* how many are put back now */

/* -- Timers ----------------------------------------------------------------------------- */

/* Embed it in the actor's state; zero-initialise. Fields belong to the runtime. */
typedef struct weft_timer weft_timer;
/* What a periodic timer does about ticks that it could not serve in time. */
typedef enum weft_missed {
    WEFT_MISSED_SKIP,  /* one call for all; the next at the next multiple of the period     */
    WEFT_MISSED_DELAY, /* one call for all; the next a whole period after this one began    */
    WEFT_MISSED_BURST  /* one call for each, at most WEFT_BURST_MAX of a timer in one turn  */
} weft_missed;

/* `missed`: how many periods passed unserved (0 normally); with BURST how many calls are still
 * owed after this one. */
typedef void (*weft_on_timer)(weft_self *self, void *state, weft_timer *timer, uint32_t missed);
struct weft_timer {
    weft_ns at, every;
    weft_on_timer fn;
    uint64_t order;
    uint32_t heap_at; /* 1-based position; 0: not armed */
    uint32_t missed;  /* weft_missed                 */
    weft_self *owner;
};

/* Arms or re-arms: fires at `at`, then every `every` ns (0: once). A first tick
 * never fires inside the call. INVALID if
 * another actor armed it, LIMIT when WEFT_TIMERS_MAX are armed, NO_MEMORY, CLOSED
 * while the actor ends. Timers that are due at one time fire in the order of setting. */
weft_err weft_timer_set(weft_self *self, weft_timer *timer, weft_ns at, weft_ns every,
                        weft_on_timer fn);
/* The same with a choice about missed ticks; weft_timer_set is SKIP. INVALID also for a
 * `missed` that is none of the three. */
weft_err weft_timer_set_missed(weft_self *self, weft_timer *timer, weft_ns at, weft_ns every,
                               weft_missed missed, weft_on_timer fn);
/* After it returns OK the callback does not run any more. Idempotent. INVALID: another actor
 * armed it, and it stays as it was. */
weft_err weft_timer_stop(weft_self *self, weft_timer *timer);

/* -- File descriptors --------------------------------------------------------------------- */

#define WEFT_FD_READ 1u
#define WEFT_FD_WRITE 2u
#define WEFT_FD_HANGUP 4u /* reported always, with READ and WRITE */
typedef void (*weft_on_fd)(weft_self *self, void *state, int fd, uint32_t events, void *arg);

/* Level-triggered: `fn` runs on this actor's thread while `fd` is ready for
 * `events`. Watching an fd again replaces events, fn and arg. The fd stays the
 * caller's: unwatch before closing it. LIMIT, INVALID, NO_MEMORY, CLOSED while the
 * actor ends; UNSUPPORTED in the simulator, which has no descriptors. */
weft_err weft_fd_watch(weft_self *self, int fd, uint32_t events, weft_on_fd fn, void *arg);
/* After it returns the callback does not run any more. NOT_FOUND. */
weft_err weft_fd_unwatch(weft_self *self, int fd);

/* -- Runtime ------------------------------------------------------------------------------- */

/* Creates a runtime bound to this machine. NO_MEMORY. */
weft_err weft_rt_create(weft_rt **out);
/* Stops all actors that still run (DRAIN, reverse order of spawning) and joins
 * them. TIMED_OUT names the stragglers in the log and may be called again.
 * weft/supervise.h: with a report, and at once (weft_rt_stop_now). */
weft_err weft_rt_stop(weft_rt *rt, weft_ns deadline);
/* Frees a stopped runtime. NULL is fine. BUSY if actors still run. */
weft_err weft_rt_destroy(weft_rt *rt);
weft_ns weft_rt_now(weft_rt *rt); /* any thread */
/* A deadline `timeout` from now; saturates to WEFT_NEVER. */
weft_ns weft_rt_after(weft_rt *rt, weft_ns timeout);

/* Takes every message that reached nobody. `why`: CLOSED (its actor closed before it was
 * handled), FULL (the overflow policy), LIMIT (the stash was full), RESTARTING. The hook owns
 * the message and must weft_drop it; without a hook it is dropped and counted. It runs on the
 * receiver's thread, with WEFT_DROP_NEW on the sender's, so on several at once. Set it before
 * the first spawn. */
typedef void (*weft_on_dead_letter)(void *arg, weft_addr *to, weft_msg *msg, weft_err why);
void weft_rt_on_dead_letter(weft_rt *rt, weft_on_dead_letter fn, void *arg);

/* What was counted of an actor (weft/stats.h). Any thread. */
void weft_addr_stats(weft_addr *addr, weft_actor_stats *out);

#ifdef __cplusplus
}
#endif
#endif
