/* SPDX-License-Identifier: Apache-2.0
 * topic.c - one event for all that subscribed: counted payloads, a bound per subscriber.
 * Called by: any thread (publish), the subscriber's (subscribe, end). May touch: the
 * topic's audience under its lock, the roster under its own. Never: waits for a
 * subscriber; sends or frees while it holds a lock. */
#include <string.h>

#include "alloc.h"
#include "atomic.h"
#include "log.h"
#include "roster.h"
#include "self.h"

#define AUDIENCE_FIRST 4u

/* One actor's interest in one topic. Counted: by the actor's own list, by each audience that
 * it stands in, by each event on its way. */
struct wf_subscription {
    uint32_t refs;
    uint32_t bound;               /* relaxed: its subscriber may change it       */
    uint32_t in_flight;           /* events sent and not dropped yet: any thread */
    uint32_t missed;              /* since the last that was sent: any thread    */
    uint32_t over;                /* nothing more is sent                        */
    weft_addr *addr;              /* counted                                     */
    weft_topic *topic;            /* counted, so a topic with subscribers lasts  */
    struct wf_subscription *next; /* of the same actor: its thread       */
};

/* Who subscribes, as one publisher sees it: copied before a change while somebody else looks
 * at it. `refs` is 1 for the topic and 1 for each publisher, under the topic's lock. */
struct audience {
    uint32_t refs;
    uint32_t count, room;
    struct wf_subscription *subs[];
};

struct weft_topic {
    struct wf_lookup_item item; /* first: the roster's           */
    struct wf_roster *roster;   /* counted                       */
    uint32_t refs;
    wf_lock *lock;             /* audience, stale, stats.subscribers */
    struct audience *audience; /* NULL: nobody ever subscribed  */
    bool stale;                /* it has some that are over     */
    weft_topic_stats stats;    /* relaxed counters; what was sent is in `delivered` ... */
    uint64_t trimmed;          /* ... and what was dropped after it, relaxed, here too */
    char name[];
};

/* -- A topic's life ----------------------------------------------------------------------- */

static bool same_name(const struct wf_lookup_item *item, const void *key)
{
    return strcmp(((const weft_topic *)item)->name, key) == 0;
}

/* A topic that nobody can find. */
static void topic_free(weft_topic *topic)
{
    if (topic == NULL) return;
    WF_ASSERT(topic->audience == NULL || topic->audience->count == 0);
    wf_free(topic->audience);
    wf_lock_destroy(topic->lock);
    wf_roster_put(topic->roster);
    wf_free(topic);
}

static weft_topic *topic_create(struct wf_roster *roster, const char *name, uint64_t hash)
{
    size_t len = strlen(name);
    weft_topic *topic = wf_calloc(1, sizeof *topic + len + 1);
    if (topic == NULL) return NULL;
    topic->item.hash = hash;
    topic->refs = 1;
    memcpy(topic->name, name, len + 1);
    topic->lock = wf_lock_create();
    if (topic->lock == NULL) {
        wf_free(topic);
        return NULL;
    }
    topic->roster = wf_roster_get(roster);
    return topic;
}

static weft_topic *topic_get(weft_topic *topic)
{
    (void)wf_add(&topic->refs, 1, WF_RELAXED); /* a reference or the roster's lock orders it */
    return topic;
}

static weft_topic *find(struct wf_roster *roster, const char *name, uint64_t hash)
{
    weft_topic *topic = (weft_topic *)wf_lookup_find(&roster->topics, hash, same_name, name);
    return topic == NULL ? NULL : topic_get(topic);
}

weft_err weft_topic_open_ref(weft_rt *rt, const char *name, weft_topic **out)
{
    uint64_t hash = wf_name_hash(name);
    if (hash == 0) return WEFT_INVALID;
    struct wf_roster *roster = rt->roster;
    wf_rwlock_read(roster->lock);
    weft_topic *topic = find(roster, name, hash);
    wf_rwlock_give(roster->lock);
    if (topic == NULL) {
        weft_topic *made = topic_create(roster, name, hash);
        if (made == NULL) return WEFT_NO_MEMORY;
        wf_rwlock_write(roster->lock);
        topic = find(roster, name, hash); /* somebody may have been faster */
        weft_err err = WEFT_OK;
        if (topic == NULL) {
            err = roster->topics.count >= WEFT_TOPICS_MAX ? WEFT_LIMIT
                                                          : wf_lookup_reserve(&roster->topics);
            if (err == WEFT_OK) {
                wf_lookup_add(&roster->topics, &made->item);
                topic = made;
                made = NULL;
            }
        }
        wf_rwlock_give(roster->lock);
        topic_free(made);
        if (err != WEFT_OK) return err;
    }
    *out = topic;
    return WEFT_OK;
}

void weft_topic_put(weft_topic *topic)
{
    if (topic == NULL) return;
    uint32_t seen = wf_load(&topic->refs, WF_RELAXED);
    while (seen > 1) /* [REFS] release: our use happens-before the free. */
        if (wf_cas_weak(&topic->refs, &seen, seen - 1, WF_ACQ_REL)) return;
    /* The last one, it seems: only under the lock, where nobody can find it meanwhile. */
    wf_rwlock_write(topic->roster->lock);
    bool last = wf_sub(&topic->refs, 1, WF_ACQ_REL) == 1;
    if (last) wf_lookup_remove(&topic->roster->topics, &topic->item);
    wf_rwlock_give(topic->roster->lock);
    if (last) topic_free(topic);
}

const char *weft_topic_name(const weft_topic *topic) { return topic->name; }

/* -- Subscriptions and audiences ------------------------------------------------------------- */

static void sub_get(struct wf_subscription *sub) { (void)wf_add(&sub->refs, 1, WF_RELAXED); }

static void sub_put(struct wf_subscription *sub)
{
    if (wf_sub(&sub->refs, 1, WF_ACQ_REL) > 1) return; /* [REFS] */
    weft_addr_put(sub->addr);
    weft_topic_put(sub->topic);
    wf_free(sub);
}

static void audience_free(struct audience *audience)
{
    if (audience == NULL) return;
    for (uint32_t i = 0; i < audience->count; i++) sub_put(audience->subs[i]);
    wf_free(audience);
}

/* Under the lock: takes out those that are over, and returns them linked by `next`, which no
 * actor uses any more, with the audience's reference. Nobody else looks at it. */
static struct wf_subscription *sweep(weft_topic *topic)
{
    struct audience *audience = topic->audience;
    struct wf_subscription *gone = NULL;
    uint32_t kept = 0;
    if (audience == NULL || audience->refs > 1 || !topic->stale) return NULL;
    for (uint32_t i = 0; i < audience->count; i++) {
        struct wf_subscription *sub = audience->subs[i];
        if (wf_load(&sub->over, WF_RELAXED) == 0) {
            audience->subs[kept++] = sub;
        } else {
            sub->next = gone;
            gone = sub;
        }
    }
    audience->count = kept;
    topic->stale = false;
    return gone;
}

static void put_all(struct wf_subscription *gone)
{
    while (gone != NULL) {
        struct wf_subscription *next = gone->next;
        sub_put(gone);
        gone = next;
    }
}

/* Under the lock: makes the audience one that has room and that nobody else looks at. *old is
 * what the caller frees after the lock, or NULL. */
static weft_err make_room(weft_topic *topic, struct audience **old)
{
    struct audience *now = topic->audience;
    uint32_t count = now == NULL ? 0 : now->count, room = now == NULL ? 0 : now->room;
    if (now != NULL && now->refs == 1 && count < room) return WEFT_OK;
    if (count == room) room = room == 0 ? AUDIENCE_FIRST : room * 2;
    struct audience *more = wf_malloc(sizeof *more + room * sizeof(struct wf_subscription *));
    if (more == NULL) return WEFT_NO_MEMORY;
    *more = (struct audience){.refs = 1, .count = count, .room = room};
    if (now != NULL && now->refs == 1) {
        memcpy(more->subs, now->subs, count * sizeof(struct wf_subscription *));
        now->count = 0; /* the references moved */
        *old = now;
    } else if (now != NULL) {
        for (uint32_t i = 0; i < count; i++) sub_get(more->subs[i] = now->subs[i]);
        now->refs--; /* the last publisher frees it */
    }
    topic->audience = more;
    return WEFT_OK;
}

static struct wf_subscription **find_own(weft_self *self, const weft_topic *topic)
{
    struct wf_subscription **at = &self->ext->subscriptions;
    while (*at != NULL && (*at)->topic != topic) at = &(*at)->next;
    return at;
}

weft_err weft_topic_subscribe(weft_self *self, weft_topic *topic, uint32_t bound)
{
    if (bound == 0 || topic->roster != self->rt->roster) return WEFT_INVALID;
    if (wf_self_is_foreign(self, "weft_topic_subscribe")) return WEFT_INVALID;
    if (self->phase == WF_PHASE_ENDING) return WEFT_CLOSED;
    if (wf_ext(self) == NULL) return WEFT_NO_MEMORY;
    struct wf_subscription *sub = *find_own(self, topic);
    if (sub != NULL) {
        wf_store(&sub->bound, bound, WF_RELAXED);
        return WEFT_OK;
    }
    sub = wf_calloc(1, sizeof *sub);
    if (sub == NULL) return WEFT_NO_MEMORY;
    sub->refs = 2; /* the actor's list, the audience */
    sub->bound = bound;
    struct audience *old = NULL;
    wf_lock_take(topic->lock);
    struct wf_subscription *gone = sweep(topic);
    weft_err err = topic->stats.subscribers >= WEFT_SUBSCRIBERS_PER_TOPIC_MAX
                       ? WEFT_LIMIT
                       : make_room(topic, &old);
    if (err == WEFT_OK) {
        sub->addr = weft_addr_get(self->addr);
        sub->topic = topic_get(topic);
        topic->audience->subs[topic->audience->count++] = sub;
        topic->stats.subscribers++;
    }
    wf_lock_give(topic->lock);
    audience_free(old);
    put_all(gone);
    if (err != WEFT_OK) {
        wf_free(sub);
        return err;
    }
    sub->next = self->ext->subscriptions;
    self->ext->subscriptions = sub;
    return WEFT_OK;
}

/* It is out of its actor's list. It leaves the audience now, or, while a publisher looks at
 * that, when the last of them is done: so this needs no memory and cannot fail. */
static void end_one(struct wf_subscription *sub)
{
    weft_topic *topic = sub->topic;
    wf_lock_take(topic->lock);
    wf_store(&sub->over, 1, WF_RELAXED); /* a publisher that misses it sends once more */
    topic->stats.subscribers--;
    topic->stale = true;
    struct wf_subscription *gone = sweep(topic);
    wf_lock_give(topic->lock);
    put_all(gone);
    sub_put(sub); /* the list's: it kept the topic until here */
}

weft_err weft_topic_unsubscribe(weft_self *self, weft_topic *topic)
{
    if (wf_self_is_foreign(self, "weft_topic_unsubscribe")) return WEFT_INVALID;
    struct wf_subscription **at = self->ext == NULL ? NULL : find_own(self, topic);
    if (at == NULL || *at == NULL) return WEFT_NOT_FOUND;
    struct wf_subscription *sub = *at;
    *at = sub->next;
    end_one(sub);
    return WEFT_OK;
}

void wf_subscriptions_end(weft_self *self)
{
    struct wf_subscription *sub;
    if (self->ext == NULL) return;
    while ((sub = self->ext->subscriptions) != NULL) {
        self->ext->subscriptions = sub->next;
        end_one(sub);
    }
}

/* -- Publishing -------------------------------------------------------------------------------- */

static void drop_event(weft_msg *msg)
{
    weft_event_msg *event = (weft_event_msg *)msg;
    struct wf_subscription *sub = event->sub;
    weft_buf_unref(event->payload);
    (void)wf_sub(&sub->in_flight, 1, WF_RELAXED); /* counts only: no data hangs on it */
    sub_put(sub);
    weft_free_msg(msg);
}

const weft_kind weft_kind_event = {
    .id = 0, .name = "weft.event", .size = sizeof(weft_event_msg), .drop = drop_event};

/* The gap is told where it is: by the next event in the mailbox, or by the next that is sent. */
void wf_event_trimmed(weft_self *self, weft_msg *msg)
{
    const weft_event_msg *event = (const weft_event_msg *)msg;
    struct wf_subscription *sub = event->sub;
    if (sub->addr != self->addr) return; /* its subscriber had it and sent it on */
    (void)wf_add(&sub->topic->trimmed, 1, WF_RELAXED);
    for (weft_msg *later = self->lanes.user.first; later != NULL; later = later->next) {
        weft_event_msg *next = (weft_event_msg *)later;
        if (later->kind != &weft_kind_event || next->sub != sub) continue;
        next->missed += event->missed + 1;
        return;
    }
    (void)wf_add(&sub->missed, event->missed + 1, WF_RELAXED);
}

static bool take_place(struct wf_subscription *sub)
{
    uint32_t seen = wf_load(&sub->in_flight, WF_RELAXED);
    do {
        if (seen >= wf_load(&sub->bound, WF_RELAXED)) return false;
    } while (!wf_cas_weak(&sub->in_flight, &seen, seen + 1, WF_RELAXED));
    return true;
}

/* OK; CLOSED: the subscriber has ended; else the delivery was lost. */
static weft_err deliver(struct wf_subscription *sub, weft_buf *payload)
{
    if (!take_place(sub)) return WEFT_FULL;
    weft_event_msg *event = (weft_event_msg *)weft_new(&weft_kind_event);
    if (event == NULL) {
        (void)wf_sub(&sub->in_flight, 1, WF_RELAXED);
        return WEFT_NO_MEMORY;
    }
    sub_get(sub);
    event->sub = sub;
    event->topic = sub->topic;
    event->payload = payload == NULL ? NULL : weft_buf_ref(payload);
    uint32_t missed = wf_xchg(&sub->missed, 0, WF_RELAXED);
    event->missed = missed;
    bool dropped;
    weft_err err = wf_send_or_drop(sub->addr, &event->msg, &dropped);
    if (err == WEFT_OK && !dropped) return WEFT_OK;
    (void)wf_add(&sub->missed, missed, WF_RELAXED);
    if (dropped) return WEFT_FULL;
    weft_drop(&event->msg);
    return err;
}

static struct audience *look(weft_topic *topic)
{
    wf_lock_take(topic->lock);
    struct audience *audience = topic->audience;
    if (audience != NULL) audience->refs++;
    wf_lock_give(topic->lock);
    return audience;
}

static void look_away(weft_topic *topic, struct audience *audience)
{
    struct wf_subscription *gone = NULL;
    wf_lock_take(topic->lock);
    bool last = --audience->refs == 0; /* it was replaced meanwhile */
    if (audience == topic->audience) gone = sweep(topic);
    wf_lock_give(topic->lock);
    if (last) audience_free(audience);
    put_all(gone);
}

weft_err weft_topic_publish(weft_topic *topic, weft_buf *payload, uint32_t *delivered,
                            uint32_t *dropped)
{
    uint32_t sent = 0, lost = 0;
    struct audience *audience = look(topic);
    for (uint32_t i = 0; audience != NULL && i < audience->count; i++) {
        struct wf_subscription *sub = audience->subs[i];
        if (wf_load(&sub->over, WF_RELAXED) != 0) continue;
        weft_err err = deliver(sub, payload);
        if (err == WEFT_OK) {
            sent++;
        } else if (err != WEFT_CLOSED) {
            lost++;
            (void)wf_add(&sub->missed, 1, WF_RELAXED);
        }
    }
    if (audience != NULL) look_away(topic, audience);
    (void)wf_add(&topic->stats.published, 1, WF_RELAXED);
    (void)wf_add(&topic->stats.delivered, sent, WF_RELAXED);
    (void)wf_add(&topic->stats.dropped, lost, WF_RELAXED);
    if (delivered != NULL) *delivered = sent;
    if (dropped != NULL) *dropped = lost;
    return WEFT_OK;
}

void weft_topic_stats_get(weft_topic *topic, weft_topic_stats *out)
{
    uint64_t trimmed = wf_load(&topic->trimmed, WF_RELAXED);
    uint64_t sent = wf_load(&topic->stats.delivered, WF_RELAXED); /* counted after the sends */
    weft_topic_stats stats = {.published = wf_load(&topic->stats.published, WF_RELAXED),
                              .delivered = sent > trimmed ? sent - trimmed : 0,
                              .dropped = wf_load(&topic->stats.dropped, WF_RELAXED) + trimmed};
    wf_lock_take(topic->lock);
    stats.subscribers = topic->stats.subscribers;
    wf_lock_give(topic->lock);
    *out = stats;
}
