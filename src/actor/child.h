/* SPDX-License-Identifier: Apache-2.0
 * child.h - what a parent and its child keep of each other.
 * Both sides talk through their mailboxes only: the messages are made when the child is, so
 * that nothing can fail later. Called by: child.c, stop.c, monitor.c, link.c, end.c, rt.c,
 * kill.c, spawn.c. */
#ifndef WF_CHILD_H
#define WF_CHILD_H

#include <weft/supervise.h>

#include "self.h"
#include "super.h"

enum wf_child_message {
    WF_CHILD_EXIT,    /* child to parent: halted, with its mail        */
    WF_CHILD_READY,   /* child to parent: what its init answered       */
    WF_CHILD_GONE,    /* child to parent: it has ended                 */
    WF_CHILD_HALT,    /* parent to child                               */
    WF_CHILD_RESTART, /* parent to child                               */
    WF_CHILD_MESSAGES
};

/* In the child's ext. A message of it is under way once at a time: the parent sends RESTART
 * only after it has read EXIT or a failed READY, and HALT only after a good READY. */
struct wf_child {
    struct wf_super_child node; /* first; the parent's thread            */
    weft_addr *addr;            /* the child                             */
    weft_addr *parent;          /* counted, until the child has ended    */
    weft_ns told;               /* to stop, by the parent                */
    uint32_t depth;             /* parents above                         */

    /* The child's thread. */
    bool halting;       /* told to halt: that is no failure              */
    bool starting;      /* it was told to start again, and has not answered */
    bool never;         /* its first init failed: the parent knows nothing of it */
    size_t state_bytes; /* zeroed before each init                       */
    void *blocks[WEFT_RESTART_BLOCKS_MAX]; /* states after the first; callees may hold parts */
    uint32_t block_count;
    struct wf_lane kept; /* system messages for the next life             */

    /* Written by the sender before, read by the receiver after. */
    weft_err ready_err;
    weft_msg msg[WF_CHILD_MESSAGES];
};

/* In the parent's ext. */
struct wf_supervisor {
    struct wf_super super;
    bool over;      /* all children are gone or reported             */
    weft_msg haste; /* to itself: a stop was raised to NOW           */
    weft_ns restarts[];
};

/* child.c */
/* What a spec says to and about parents; `parent` may be NULL. INVALID, LIMIT, CLOSED. */
weft_err wf_family_check(const weft_self *parent, const weft_spec *spec);
/* Before the first turn: what the spec's words need. NO_MEMORY. */
weft_err wf_family_init(weft_self *self, weft_self *parent, const weft_spec *spec);
void wf_family_fini(struct wf_ext *ext); /* with the address */

/* Pushes a control message; the caller has a reference. CLOSED. */
weft_err wf_push_control(weft_addr *to, weft_msg *msg);
/* A message with CONTROL. True: served. False: it is for `handle`, once there is one. */
bool wf_child_control(weft_self *self, weft_msg *msg);
/* The same for what is left in a closed mailbox. */
void wf_control_closed(weft_self *self, weft_msg *msg);
/* The child will be started again, as things stand: its mail is kept. */
bool wf_child_restarts(const weft_self *self);
/* Ordered stop of all children; wf_children_over says when it is done. */
void wf_children_stop(weft_self *self, weft_stop_mode mode);
bool wf_children_over(const weft_self *self);
/* A new life: those reported stay left behind. */
void wf_children_again(weft_self *self);
weft_ns wf_children_due(const weft_self *self);
void wf_children_run(weft_self *self, weft_ns now);
/* The mailbox is closed and empty: gives the references back. */
void wf_children_forget(weft_self *self);
/* The end is over: the parent hears of it, if it knows us. */
void wf_child_gone(weft_self *self);

/* stop.c: the parent's words. */
void wf_child_halt(weft_self *self);
void wf_child_again(weft_self *self);

/* monitor.c */
extern const weft_kind wf_kind_cancel;
/* A weft_down has arrived: at the one it watches, or back at its watcher. True: served. */
bool wf_down_arrived(weft_self *self, weft_down *down);
void wf_down_canceled(weft_self *self, weft_down *down);
void wf_watchers_add(weft_self *self, weft_down *down);
void wf_watchers_remove(weft_self *self, weft_down *down);
/* Ends all own monitors. The mailbox is still open: once it is closed, whoever is watched
 * frees what it cannot send back. */
void wf_monitors_leave(weft_self *self);
/* The mailbox is closed and empty: tells all who watch. */
void wf_monitors_end(weft_self *self);

/* link.c */
extern const weft_kind wf_kind_link;
void wf_link_opened(weft_self *self, weft_msg *open);
/* The other's half has arrived: true if its end is felt. Drop it afterwards. */
bool wf_link_over(weft_self *self, weft_down *half);
void wf_link_put(weft_down *half);

#endif
