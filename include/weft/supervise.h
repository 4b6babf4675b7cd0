/* SPDX-License-Identifier: Apache-2.0
 * weft/supervise.h - parents and children, monitors and links, the ordered stop.
 *
 * A *parent* is an actor that starts others with weft_spawn_child. It starts a child again when
 * that fails, as far as the child's `restart` and its own `strategy`, `intensity` and
 * `period_ns` allow (the rules are those of OTP's supervisor), and it outlives its children:
 * before it ends it stops them. A failure is WEFT_FAIL, a failed init at a restart, or what a
 * link brings; a crash of C code is still a crash of the process.
 *
 * What a restart keeps: the address and all who hold it, the mailbox with what is queued or was
 * stashed (that is in front then), its capacity, names, subscriptions, monitors and links. What
 * it does not keep: the state (zeroed, then init runs again with the same `arg`, which must stay
 * valid that long), timers, watched descriptors and pending asks (CANCELED). The message in hand
 * is not handled again: a request is answered RESTARTING, a tell is a dead letter (RESTARTING).
 * Between the end of one life and the init of the next nothing is handled; senders to a bounded
 * mailbox may hear FULL.
 *
 * A state that a callee still holds a request of is not used again but kept beside the new one;
 * with WEFT_RESTART_BLOCKS_MAX of them a restart fails with LIMIT. A failed init at a restart
 * is a failure like another: the parent counts it and decides.
 *
 * Messages without a `drop` that an actor embeds in its state and sends otherwise than by
 * weft_ask must not be under way when it can be restarted: its state is used again. */
#ifndef WEFT_SUPERVISE_H
#define WEFT_SUPERVISE_H

#include <weft/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- Children ----------------------------------------------------------------------- */

/* As weft_spawn, with the actor `parent` as the parent. Of `spec`, `restart` says when it is
 * started again and `grace_ns` (0: 5 s) how long it may drain when the parent stops it. *out is
 * a counted address, the caller's; `out` may be NULL, the parent holds one of its own. The
 * parent's thread only, its init included. Besides weft_spawn's errors: LIMIT
 * (WEFT_CHILDREN_MAX, WEFT_TREE_DEPTH_MAX), CLOSED while the parent ends.
 *
 * The parent's own spec says what happens when a child fails: `strategy`; at most `intensity`
 * restarts (0: 3; at most WEFT_INTENSITY_MAX) in `period_ns` (0: 5 s), one more fails the
 * parent with LIMIT, and so its own parent decides; waits between a failure and the restart
 * from `backoff_min_ns` (0: 10 ms), doubled by each failure in a row, to `backoff_max_ns` (0:
 * 10 s), each moved by up to a quarter at random. A child that ran for a whole period begins
 * with the least wait again.
 *
 * TEMPORARY children are never started again, TRANSIENT ones after a failure, PERMANENT ones
 * after WEFT_STOP too. A weft_stop from outside is obeyed and not undone. REST_FOR_ONE and
 * ONE_FOR_ALL first halt the children concerned, last spawned first (their fini hears
 * CANCELED), then start them in the order of spawning; TEMPORARY ones among them are stopped. A child
 * that does not halt holds the restart up, however long: after its grace_ns a WARN says so. */
weft_err weft_spawn_child(weft_self *parent, const weft_spec *spec, weft_addr **out);

/* -- Monitors ------------------------------------------------------------------------- */

/* What a watcher hears when an actor has ended. Sent to `handle`, in the system lane; dropped
 * like any message (WEFT_DONE). Fields from `cancel` on belong to the runtime. */
typedef struct weft_down {
    weft_msg msg;    /* kind: &weft_kind_down                                     */
    weft_addr *addr; /* who has ended; borrowed, valid until the message is dropped */
    weft_err reason; /* its exit reason                                           */
    uint64_t tag;    /* what weft_monitor gave; 0 for a link                      */
    weft_msg cancel;
    struct weft_down *prev, *next, *same;
    weft_addr *watcher;
    uint32_t state;
    bool link; /* of a link, to one who traps them */
} weft_down;
extern const weft_kind weft_kind_down;

/* Has one weft_down sent to `self` once `addr` has ended for good (after its fini; a restart
 * is no end). If it has ended already, the message is sent at once. Several monitors of one
 * actor are independent. All that can fail fails here: INVALID (oneself), NO_MEMORY, LIMIT
 * (WEFT_MONITORS_MAX), CLOSED while `self` ends. `tag` may be NULL. The actor's thread. */
weft_err weft_monitor(weft_self *self, weft_addr *addr, uint64_t *tag);

/* Ends a monitor: its message is not delivered any more, not even one that is queued.
 * NOT_FOUND if it was delivered or ended before. The actor's thread. */
weft_err weft_demonitor(weft_self *self, uint64_t tag);

/* -- Links ------------------------------------------------------------------------------ */

/* Links two actors, both ways: when one ends with a reason other than OK, the other fails with
 * that reason, as if its handler had returned WEFT_FAIL; so a parent may start it again.
 * Linking twice is one link. INVALID (oneself), CLOSED (`addr` has ended, or `self` ends),
 * NO_MEMORY, LIMIT (WEFT_MONITORS_MAX). The actor's thread. */
weft_err weft_link(weft_self *self, weft_addr *addr);

/* Ends the link from either side; nothing of the other's end is felt any more. NOT_FOUND. */
weft_err weft_unlink(weft_self *self, weft_addr *addr);

/* On: the end of a linked actor arrives as weft_down with `link` set, whatever its reason, and
 * does not fail `self`. Off at first; survives a restart. The actor's thread. */
void weft_trap_exits(weft_self *self, bool on);

/* -- The ordered stop --------------------------------------------------------------------- */

/* Who did not stop in time. */
typedef struct weft_straggler {
    char name[WEFT_ACTOR_NAME_BYTES_MAX + 1];
    weft_ns waited;   /* since it was told to stop; at the deadline: since the actor without a
                       * parent was that is stopped at that time                      */
    const char *kind; /* what it had in hand as it was reported: the name of the message's kind,
                       * or weft.init, weft.fini, weft.timer, weft.fd, weft.timeout; NULL: it was in
                       * no callback, so it waits for its children, or for a processor */
} weft_straggler;

/* As weft_rt_stop, and says who was in the way: `list` (room entries) receives every actor
 * that overran its grace twice, draining and then stopping, and those that were told to stop
 * and still run at `deadline` (who was never told, because others held the line, is only counted
 * in the log); *count is how many there were, also beyond `room`. Set whatever the call
 * returns, except DEADLK. Plain threads only.
 *
 * The order: actors without a parent, last spawned first; each first stops its children, last
 * spawned first, one after another. A child is told to drain; after `grace_ns` to stop now;
 * after as long again it is reported (a WARN in the log) and left behind, so that the next can
 * stop. An actor without a parent is treated so if its grace_ns is not 0; else it may drain
 * until the deadline. */
weft_err weft_rt_stop_report(weft_rt *rt, weft_ns deadline, weft_straggler *list, size_t room,
                             size_t *count);

/* The same in the same order, with WEFT_NOW from the start: nobody drains, what is queued becomes
 * dead letters, and asks among it hear CLOSED. Also after a stop that TIMED_OUT. At `deadline` all
 * that are left are told, those too that others held the line for; to wait for them call it again.
 * `list` and `count` may be NULL. */
weft_err weft_rt_stop_now(weft_rt *rt, weft_ns deadline, weft_straggler *list, size_t room,
                          size_t *count);

#ifdef __cplusplus
}
#endif
#endif
