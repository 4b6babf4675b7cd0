/* SPDX-License-Identifier: Apache-2.0
 * weft/topic.h - finding actors by name, and telling many at once.
 *
 * A name stands for one actor of a runtime. A topic stands for whoever subscribed to it:
 * what is published is a counted buffer that all of them share, and each has a bound of
 * its own, so that a slow subscriber loses events and nobody else notices.
 *
 * Names of actors and names of topics are apart. Both are 1 to WEFT_ACTOR_NAME_BYTES_MAX
 * bytes long, compared byte by byte. */
#ifndef WEFT_TOPIC_H
#define WEFT_TOPIC_H

#include <stdint.h>

#include <weft/actor.h>
#include <weft/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- Names -------------------------------------------------------------------------- */

/* Gives `addr` the name `name` in its runtime; an actor may have several. The name
 * survives a restart of the actor and is free again once it has ended. Any thread; in
 * init an actor may register itself. EXISTS: another actor has it. OK without
 * effect if `addr` has it already, so that init may register after a restart, too.
 * INVALID: no name, or an actor of another runtime. LIMIT (WEFT_NAMES_MAX), NO_MEMORY,
 * CLOSED: the actor has ended. */
weft_err weft_register(weft_rt *rt, const char *name, weft_addr *addr);

/* Makes the name free. Any thread. NOT_FOUND. */
weft_err weft_unregister(weft_rt *rt, const char *name);

/* The actor of that name; *out is a new reference (weft_addr_put). It may end at any time:
 * then sending to it answers CLOSED. Any thread. NOT_FOUND. */
weft_err weft_whereis_ref(weft_rt *rt, const char *name, weft_addr **out);

/* -- Topics -------------------------------------------------------------------------- */

typedef struct weft_topic weft_topic; /* opaque, counted; any thread may call */

/* The topic of that name, created if there is none; *out is a new reference
 * (weft_topic_put). A topic lasts as long as somebody holds a reference or subscribes.
 * INVALID (name), LIMIT (WEFT_TOPICS_MAX), NO_MEMORY. */
weft_err weft_topic_open_ref(weft_rt *rt, const char *name, weft_topic **out);
void weft_topic_put(weft_topic *topic); /* gives a reference back; NULL is fine */
const char *weft_topic_name(const weft_topic *topic);

/* An event as a subscriber's `handle` receives it: a message of weft_kind_event in the
 * user lane, dropped by WEFT_DONE like any other. Until then it counts towards the bound
 * of its subscription. The fields are read only. */
typedef struct weft_event_msg {
    weft_msg msg;
    weft_topic *topic; /* borrowed: valid as long as the message      */
    weft_buf *payload; /* likewise (weft_buf_ref to keep it); or NULL */
    void *sub;         /* the runtime's                               */
    uint32_t missed;   /* how many events of this topic this subscriber lost between the
                        * last one that it was handed and this one                      */
} weft_event_msg;
extern const weft_kind weft_kind_event;

/* From now on what is published in `topic` is sent to this actor, at most `bound` events
 * that it has not dropped yet; lasts until weft_topic_unsubscribe or the actor's end, also over
 * a restart. The topic may be put back at once. Subscribing again only changes the bound,
 * so that init may do so after a restart. INVALID: bound is 0, or a topic of another runtime.
 * LIMIT (WEFT_SUBSCRIBERS_PER_TOPIC_MAX), NO_MEMORY, CLOSED while the actor ends. */
weft_err weft_topic_subscribe(weft_self *self, weft_topic *topic, uint32_t bound);

/* Ends it. What was published before, or is at this moment, may still arrive. NOT_FOUND. */
weft_err weft_topic_unsubscribe(weft_self *self, weft_topic *topic);

/* Sends `payload` (may be NULL) to all that subscribe now, in the order in which they did;
 * each delivery takes a reference of its own, the caller keeps his. Waits for nobody. A
 * delivery is dropped, counted and told to that subscriber by `missed` when its bound is
 * reached, its mailbox is full, whatever its overflow policy, or memory is short. An event that a
 * subscriber with WEFT_DROP_OLD drops from its mailbox is missed, too: the next event of that topic
 * in the mailbox tells of it, or the next that is sent; it counts as dropped from then on. (As any message
 * that a policy drops, it goes to the dead-letter hook.) *delivered and *dropped (each may be
 * NULL) say how many there were when the call returned. Events of one publisher arrive in the order of their
 * publishing. Any thread. WEFT_OK, also when nobody listens. */
weft_err weft_topic_publish(weft_topic *topic, weft_buf *payload, uint32_t *delivered,
                            uint32_t *dropped);

/* What a topic counted since it was created. Any thread; exact when nobody publishes. */
typedef struct weft_topic_stats {
    uint64_t published;   /* calls of weft_topic_publish    */
    uint64_t delivered;   /* messages sent, and not dropped by the subscriber's overflow policy */
    uint64_t dropped;     /* those that were, and those that could not be sent */
    uint32_t subscribers; /* now                            */
} weft_topic_stats;
void weft_topic_stats_get(weft_topic *topic, weft_topic_stats *out);

#ifdef __cplusplus
}
#endif
#endif
