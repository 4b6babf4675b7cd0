/* SPDX-License-Identifier: Apache-2.0
 * block.h - small duties of the runtime that other layers may ask for.
 * Called by: weft.c, the transport's in-memory network, rooms of the store. */
#ifndef WF_BLOCK_H
#define WF_BLOCK_H

#include <weft/actor.h>

/* Sends to the system lane: never FULL, never behind user messages. For layers
 * whose messages are bounded by something else than a mailbox. CLOSED. */
weft_err wf_send_system(weft_addr *to, weft_msg *msg);

/* Wall clock in milliseconds since 1970, for display and records only. */
int64_t wf_wall_ms(weft_rt *rt);
/* Bytes from the runtime's source of randomness (the machine's, or the seed's). */
void wf_random(weft_rt *rt, void *out, size_t len);
/* Number of processors this process may use; 2 in the simulator. */
unsigned wf_cpu_count(weft_rt *rt);
/* Sleeps at least so long, by the machine's clock: between two looks at what nobody is woken for,
 * such as another process's lock. Plain threads only. */
void wf_nap(weft_ns ns);
/* Runs fn(arg) on a thread of its own, and about each `every` ns tick(tick_arg) on this one, until fn has
 * returned; weft_err_detail has what failed there. Where no thread can be had fn runs here, without a
 * tick. Plain threads only. */
void wf_run_aside(void (*fn)(void *arg), void *arg, weft_ns every, void (*tick)(void *arg),
                  void *tick_arg);
/* True on an actor thread, inside its callbacks. */
bool wf_in_actor(void);

#endif
