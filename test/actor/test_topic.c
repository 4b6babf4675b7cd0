/* SPDX-License-Identifier: Apache-2.0
 * test_topic.c - topics: shared payloads, a bound per subscriber, ends of all kinds.
 * Called by: the test runner. */
#include "rig.h"

#include <string.h>

#include <weft/log.h>
#include <weft/supervise.h>
#include <weft/topic.h>

#include "alloc.h"

/* -- A subscriber that a test can hold up -------------------------------------------------- */

/* Runs fn(self, arg) inside an actor and waits for it. */
struct task {
    weft_request req;
    void (*fn)(weft_self *self, void *arg);
    void *arg;
};

static const weft_kind TASK = {9, "task", sizeof(struct task), weft_free_msg};

struct listener {
    unsigned events, missed;
    uint8_t last;
    const weft_buf *payload;
    char topic[WEFT_ACTOR_NAME_BYTES_MAX + 1];
    bool hold;         /* keeps what comes instead of dropping it */
    weft_msg *held[8]; /* newest last */
    unsigned held_count;
};

static weft_verdict listen(weft_self *self, void *data, weft_msg *msg)
{
    struct listener *listener = data;
    if (msg->kind == &TASK) {
        struct task *task = (struct task *)msg;
        task->fn(self, task->arg);
        weft_reply(&task->req, WEFT_OK);
        return WEFT_KEPT;
    }
    cr_assert_eq(msg->kind, &weft_kind_event);
    weft_event_msg *event = (weft_event_msg *)msg;
    listener->events++;
    listener->missed += event->missed;
    listener->payload = event->payload;
    if (event->payload != NULL) listener->last = weft_buf_bytes(event->payload)[0];
    strcpy(listener->topic, weft_topic_name(event->topic));
    if (!listener->hold) return WEFT_DONE;
    cr_assert(listener->held_count < 8);
    listener->held[listener->held_count++] = msg;
    return WEFT_KEPT;
}

static void inside(struct rig *rig, weft_addr *addr, void (*fn)(weft_self *, void *), void *arg)
{
    struct task *task = (struct task *)weft_new(&TASK);
    weft_request *out = NULL;
    task->fn = fn;
    task->arg = arg;
    cr_assert_eq(weft_call(addr, &task->req, rig_soon(rig), &out, NULL), WEFT_OK);
    weft_drop(&out->msg);
}

struct wish {
    weft_topic *topic;
    uint32_t bound;
    weft_err err;
};

static void do_subscribe(weft_self *self, void *arg)
{
    struct wish *wish = arg;
    wish->err = weft_topic_subscribe(self, wish->topic, wish->bound);
}

static void do_unsubscribe(weft_self *self, void *arg)
{
    struct wish *wish = arg;
    wish->err = weft_topic_unsubscribe(self, wish->topic);
}

static void do_nothing(weft_self *self, void *arg) { (void)self, (void)arg; }

static void do_drop_all(weft_self *self, void *arg)
{
    struct listener *listener = arg;
    (void)self;
    while (listener->held_count > 0) weft_drop(listener->held[--listener->held_count]);
}

static weft_err subscribe(struct rig *rig, weft_addr *addr, weft_topic *topic, uint32_t bound)
{
    struct wish wish = {.topic = topic, .bound = bound};
    inside(rig, addr, do_subscribe, &wish);
    return wish.err;
}

static weft_err unsubscribe(struct rig *rig, weft_addr *addr, weft_topic *topic)
{
    struct wish wish = {.topic = topic};
    inside(rig, addr, do_unsubscribe, &wish);
    return wish.err;
}

static weft_topic *topic_of(struct rig *rig, const char *name)
{
    weft_topic *topic = NULL;
    cr_assert_eq(weft_topic_open_ref(rig->rt, name, &topic), WEFT_OK);
    return topic;
}

static weft_buf *byte(uint8_t value)
{
    weft_buf *buf = NULL;
    cr_assert_eq(weft_buf_create_copy(&value, 1, &buf), WEFT_OK);
    return buf;
}

/* Publishes one byte; the events that became of it are told as sent * 100 + dropped. */
static unsigned publish(weft_topic *topic, uint8_t value)
{
    weft_buf *buf = byte(value);
    uint32_t delivered = 77, dropped = 77;
    cr_assert_eq(weft_topic_publish(topic, buf, &delivered, &dropped), WEFT_OK);
    weft_buf_unref(buf);
    return delivered * 100 + dropped;
}

static uint32_t subscribers(weft_topic *topic)
{
    weft_topic_stats stats;
    weft_topic_stats_get(topic, &stats);
    return stats.subscribers;
}

static void finish(struct rig *rig, weft_addr *addr)
{
    (void)weft_stop(addr, WEFT_DRAIN);
    (void)rig_join(rig, addr);
    weft_addr_put(addr);
}

/* -- What everybody expects ----------------------------------------------------------------- */

BOTH(topic, an_event_reaches_all_that_subscribe_and_its_payload_is_shared)
{
    struct listener heard[3] = {{.events = 0}};
    weft_addr *addrs[3];
    weft_topic *news = topic_of(rig, "news"), *other = topic_of(rig, "other");
    for (int i = 0; i < 3; i++) addrs[i] = rig_spawn(rig, listen, &heard[i], 0);
    for (int i = 0; i < 2; i++) cr_assert_eq(subscribe(rig, addrs[i], news, 10), WEFT_OK);
    cr_assert_eq(subscribe(rig, addrs[2], other, 10), WEFT_OK);
    weft_buf *buf = byte(5);
    uint32_t delivered = 0, dropped = 9;
    cr_assert_eq(weft_topic_publish(news, buf, &delivered, &dropped), WEFT_OK);
    cr_assert_eq(delivered, 2);
    cr_assert_eq(dropped, 0);
    for (int i = 0; i < 3; i++) inside(rig, addrs[i], do_nothing, NULL);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(heard[i].events, 1);
        cr_assert_eq(heard[i].payload, buf, "no copy was made");
        cr_assert_str_eq(heard[i].topic, "news");
    }
    cr_assert_eq(heard[2].events, 0);
    weft_buf_unref(buf);
    weft_topic_put(other);
    weft_topic_put(news);
    for (int i = 0; i < 3; i++) finish(rig, addrs[i]);
}

BOTH(topic, one_name_is_one_topic_as_long_as_somebody_holds_it)
{
    weft_topic *one = topic_of(rig, "t"), *same = topic_of(rig, "t");
    cr_assert_eq(one, same);
    (void)publish(one, 1);
    weft_topic_put(one);
    weft_topic_stats stats;
    weft_topic_stats_get(same, &stats);
    cr_assert_eq(stats.published, 1);
    weft_topic_put(same);
    weft_topic *fresh = topic_of(rig, "t");
    weft_topic_stats_get(fresh, &stats);
    cr_assert_eq(stats.published, 0);
    weft_topic_put(fresh);
}

BOTH(topic, subscribers_keep_a_topic)
{
    struct listener heard = {.events = 0};
    weft_addr *addr = rig_spawn(rig, listen, &heard, 0);
    weft_topic *topic = topic_of(rig, "t");
    cr_assert_eq(subscribe(rig, addr, topic, 1), WEFT_OK);
    weft_topic_put(topic);
    topic = topic_of(rig, "t");
    cr_assert_eq(subscribers(topic), 1);
    cr_assert_eq(publish(topic, 1), 100);
    finish(rig, addr);
    cr_assert_eq(heard.events, 1);
    weft_topic_put(topic);
}

/* -- Bounds ------------------------------------------------------------------------------------ */

BOTH(topic, a_slow_subscriber_meets_its_own_bound_and_hears_what_it_missed)
{
    struct listener slow = {.hold = true}, fast = {.events = 0};
    weft_addr *a = rig_spawn(rig, listen, &slow, 0), *b = rig_spawn(rig, listen, &fast, 0);
    weft_topic *topic = topic_of(rig, "t");
    cr_assert_eq(subscribe(rig, a, topic, 2), WEFT_OK);
    cr_assert_eq(subscribe(rig, b, topic, 100), WEFT_OK);
    for (uint8_t i = 1; i <= 5; i++) cr_assert_eq(publish(topic, i), i <= 2 ? 200 : 101);
    inside(rig, a, do_nothing, NULL);
    inside(rig, b, do_nothing, NULL);
    cr_assert_eq(slow.events, 2);
    cr_assert_eq(fast.events, 5);
    cr_assert_eq(fast.missed, 0);
    inside(rig, a, do_drop_all, &slow); /* now there is room for two again */
    for (uint8_t i = 6; i <= 8; i++) cr_assert_eq(publish(topic, i), i <= 7 ? 200 : 101);
    inside(rig, a, do_nothing, NULL);
    inside(rig, b, do_nothing, NULL);
    cr_assert_eq(slow.events, 4);
    cr_assert_eq(slow.last, 7);
    cr_assert_eq(slow.missed, 3);
    cr_assert_eq(fast.events, 8);
    weft_topic_stats stats;
    weft_topic_stats_get(topic, &stats);
    cr_assert_eq(stats.published, 8);
    cr_assert_eq(stats.delivered, 12);
    cr_assert_eq(stats.dropped, 4);
    inside(rig, a, do_drop_all, &slow);
    finish(rig, a);
    finish(rig, b);
    weft_topic_put(topic);
}

Test(topic, a_full_mailbox_drops_too)
{
    struct rig rig = rig_open(true, 1);
    struct listener heard = {.events = 0};
    weft_addr *addr = rig_spawn(&rig, listen, &heard, 1);
    weft_topic *topic = topic_of(&rig, "t");
    cr_assert_eq(subscribe(&rig, addr, topic, 100), WEFT_OK);
    cr_assert_eq(publish(topic, 1), 100);
    cr_assert_eq(publish(topic, 2), 1);
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 1);
    cr_assert_eq(publish(topic, 3), 100);
    finish(&rig, addr);
    cr_assert_eq(heard.events, 2);
    cr_assert_eq(heard.missed, 1);
    weft_topic_put(topic);
    rig_close(&rig);
}

/* -- Overflow policies ------------------------------------------------------------------------- */

struct other {
    weft_msg msg;
};

static const weft_kind OTHER = {10, "other", sizeof(struct other), weft_free_msg};

/* What was missed before each event, as digits: "0 2" is "02". */
struct told {
    char missed[16], seen[16];
    weft_topic *topic;
    weft_addr *onward; /* where it sends events on to, or NULL */
};

static weft_err told_init(weft_self *self, void *state, void *arg)
{
    struct told *told = arg;
    *(struct told **)state = told;
    return told->topic == NULL ? WEFT_OK : weft_topic_subscribe(self, told->topic, 100);
}

static weft_verdict told_handle(weft_self *self, void *state, weft_msg *msg)
{
    struct told *told = *(struct told **)state;
    (void)self;
    if (msg->kind != &weft_kind_event) return WEFT_DONE;
    weft_event_msg *event = (weft_event_msg *)msg;
    size_t at = strlen(told->missed);
    told->missed[at] = (char)('0' + event->missed);
    told->seen[at] = (char)('0' + weft_buf_bytes(event->payload)[0]);
    if (told->onward == NULL) return WEFT_DONE;
    cr_assert_eq(weft_send(told->onward, msg), WEFT_OK);
    return WEFT_KEPT;
}

static weft_addr *spawn_told(struct rig *rig, struct told *told, weft_overflow policy,
                             uint32_t mailbox)
{
    weft_addr *addr = NULL;
    weft_spec spec = {.name = "told",
                      .arg = told,
                      .state_size = sizeof told,
                      .init = told_init,
                      .handle = told_handle,
                      .mailbox = mailbox,
                      .overflow = policy};
    cr_assert_eq(weft_spawn(rig->rt, &spec, &addr), WEFT_OK);
    return addr;
}

static void settle(struct rig *rig) { wf_sim_run_until(rig->sim, wf_sim_now(rig->sim) + 1); }

static void expect_stats(weft_topic *topic, uint64_t delivered, uint64_t dropped)
{
    weft_topic_stats stats;
    weft_topic_stats_get(topic, &stats);
    cr_expect_eq(stats.delivered, delivered, "%lu", (unsigned long)stats.delivered);
    cr_expect_eq(stats.dropped, dropped, "%lu", (unsigned long)stats.dropped);
}

static void other(weft_addr *to)
{
    weft_msg *msg = weft_new(&OTHER);
    cr_assert_not_null(msg);
    cr_assert_eq(weft_send(to, msg), WEFT_OK);
}

Test(topic, an_event_that_a_full_mailbox_drops_anew_is_missed)
{
    struct rig rig = rig_open(true, 1);
    struct told told = {.topic = topic_of(&rig, "t")};
    weft_addr *addr = spawn_told(&rig, &told, WEFT_DROP_NEW, 2);
    cr_expect_eq(publish(told.topic, 1), 100);
    cr_expect_eq(publish(told.topic, 2), 100);
    cr_expect_eq(publish(told.topic, 3), 1);
    cr_expect_eq(publish(told.topic, 4), 1);
    settle(&rig);
    cr_expect_eq(publish(told.topic, 5), 100);
    settle(&rig);
    cr_expect_str_eq(told.seen, "125");
    cr_expect_str_eq(told.missed, "002");
    expect_stats(told.topic, 3, 2);
    finish(&rig, addr);
    weft_topic_put(told.topic);
    rig_close(&rig);
}

Test(topic, the_oldest_that_a_full_mailbox_drops_are_missed_at_the_next_in_it)
{
    struct rig rig = rig_open(true, 1);
    struct told told = {.topic = topic_of(&rig, "t")};
    weft_addr *addr = spawn_told(&rig, &told, WEFT_DROP_OLD, 2);
    for (uint8_t i = 1; i <= 4; i++) cr_expect_eq(publish(told.topic, i), 100);
    settle(&rig);
    cr_expect_eq(publish(told.topic, 5), 100);
    settle(&rig);
    cr_expect_str_eq(told.seen, "345");
    cr_expect_str_eq(told.missed, "200");
    expect_stats(told.topic, 3, 2);
    finish(&rig, addr);
    weft_topic_put(told.topic);
    rig_close(&rig);
}

Test(topic, the_oldest_that_others_push_out_are_missed_at_the_next_that_is_sent)
{
    struct rig rig = rig_open(true, 1);
    struct told told = {.topic = topic_of(&rig, "t")};
    weft_addr *addr = spawn_told(&rig, &told, WEFT_DROP_OLD, 2);
    for (uint8_t i = 1; i <= 2; i++) cr_expect_eq(publish(told.topic, i), 100);
    for (int i = 0; i < 2; i++) other(addr);
    settle(&rig);
    cr_expect_str_eq(told.seen, "");
    expect_stats(told.topic, 0, 2);
    cr_expect_eq(publish(told.topic, 3), 100);
    settle(&rig);
    cr_expect_str_eq(told.missed, "2");
    expect_stats(told.topic, 1, 2);
    finish(&rig, addr);
    weft_topic_put(told.topic);
    rig_close(&rig);
}

Test(topic, what_a_dropped_event_had_to_tell_is_told_by_the_next)
{
    struct rig rig = rig_open(true, 1);
    struct told told = {.topic = topic_of(&rig, "t")};
    weft_addr *addr = spawn_told(&rig, &told, WEFT_DROP_OLD, 2);
    for (uint8_t i = 1; i <= 5; i++) (void)publish(told.topic, i); /* the fifth finds no room */
    settle(&rig);
    for (uint8_t i = 6; i <= 8; i++) (void)publish(told.topic, i); /* the sixth says so, and goes */
    settle(&rig);
    cr_expect_str_eq(told.seen, "3478");
    cr_expect_str_eq(told.missed, "2020");
    expect_stats(told.topic, 4, 4);
    finish(&rig, addr);
    weft_topic_put(told.topic);
    rig_close(&rig);
}

Test(topic, an_event_that_was_sent_on_is_not_missed_by_its_subscriber)
{
    struct rig rig = rig_open(true, 1);
    struct told told = {.topic = topic_of(&rig, "t")}, worker = {.topic = NULL};
    told.onward = spawn_told(&rig, &worker, WEFT_DROP_OLD, 1);
    weft_addr *addr = spawn_told(&rig, &told, WEFT_REJECT, 0);
    cr_expect_eq(publish(told.topic, 1), 100);
    while (told.seen[0] == '\0') cr_assert(wf_sim_step(rig.sim));
    other(told.onward);
    settle(&rig);
    cr_expect_str_eq(worker.seen, "");
    cr_expect_eq(publish(told.topic, 2), 100);
    settle(&rig);
    cr_expect_str_eq(told.missed, "00");
    expect_stats(told.topic, 2, 0);
    finish(&rig, addr);
    finish(&rig, told.onward);
    weft_topic_put(told.topic);
    rig_close(&rig);
}

BOTH(topic, subscribing_again_changes_the_bound)
{
    struct listener heard = {.hold = true};
    weft_addr *addr = rig_spawn(rig, listen, &heard, 0);
    weft_topic *topic = topic_of(rig, "t");
    cr_assert_eq(subscribe(rig, addr, topic, 1), WEFT_OK);
    cr_assert_eq(publish(topic, 1), 100);
    cr_assert_eq(publish(topic, 2), 1);
    cr_assert_eq(subscribe(rig, addr, topic, 2), WEFT_OK);
    cr_assert_eq(subscribers(topic), 1);
    cr_assert_eq(publish(topic, 3), 100);
    cr_assert_eq(publish(topic, 4), 1);
    inside(rig, addr, do_drop_all, &heard);
    finish(rig, addr);
    weft_topic_put(topic);
}

/* -- Ends ------------------------------------------------------------------------------------------ */

BOTH(topic, an_unsubscribed_actor_hears_no_more)
{
    struct listener heard = {.events = 0};
    weft_addr *addr = rig_spawn(rig, listen, &heard, 0);
    weft_topic *topic = topic_of(rig, "t");
    cr_assert_eq(unsubscribe(rig, addr, topic), WEFT_NOT_FOUND);
    cr_assert_eq(subscribe(rig, addr, topic, 10), WEFT_OK);
    cr_assert_eq(publish(topic, 1), 100);
    cr_assert_eq(unsubscribe(rig, addr, topic), WEFT_OK);
    cr_assert_eq(unsubscribe(rig, addr, topic), WEFT_NOT_FOUND);
    cr_assert_eq(publish(topic, 2), 0);
    cr_assert_eq(subscribers(topic), 0);
    inside(rig, addr, do_nothing, NULL);
    cr_assert_eq(heard.last, 1);
    finish(rig, addr);
    weft_topic_put(topic);
}

BOTH(topic, an_ended_actor_is_no_subscriber)
{
    struct listener heard[6] = {{.events = 0}};
    weft_addr *addrs[6];
    weft_topic *topic = topic_of(rig, "t"), *other = topic_of(rig, "other");
    for (int i = 0; i < 6; i++) {
        addrs[i] = rig_spawn(rig, listen, &heard[i], 0);
        cr_assert_eq(subscribe(rig, addrs[i], topic, 10), WEFT_OK);
        cr_assert_eq(subscribe(rig, addrs[i], other, 10), WEFT_OK);
    }
    finish(rig, addrs[0]);
    finish(rig, addrs[3]);
    cr_assert_eq(publish(topic, 1), 400);
    cr_assert_eq(subscribers(topic), 4);
    cr_assert_eq(subscribers(other), 4);
    finish(rig, addrs[5]);
    cr_assert_eq(publish(topic, 2), 300);
    for (int i = 0; i < 6; i++)
        if (i % 3 != 0 && i != 5) finish(rig, addrs[i]);
    for (int i = 0; i < 6; i++) cr_assert_eq(heard[i].events, i % 3 == 0 ? 0 : i == 5 ? 1 : 2);
    cr_assert_eq(subscribers(topic), 0);
    weft_topic_put(topic);
    weft_topic_put(other);
}

struct late {
    weft_topic *topic;
    weft_err err;
};

static void subscribe_at_the_end(weft_self *self, void *state, weft_err reason)
{
    struct late *late = *(struct late **)state;
    (void)reason;
    late->err = weft_topic_subscribe(self, late->topic, 1);
}

static weft_err keep_arg(weft_self *self, void *state, void *arg)
{
    (void)self;
    *(void **)state = arg;
    return WEFT_OK;
}

BOTH(topic, bad_subscriptions_are_refused)
{
    struct listener heard = {.events = 0};
    weft_topic *topic = NULL;
    cr_assert_eq(weft_topic_open_ref(rig->rt, "", &topic), WEFT_INVALID);
    cr_assert_eq(weft_topic_open_ref(rig->rt, NULL, &topic), WEFT_INVALID);
    topic = topic_of(rig, "t");
    weft_addr *addr = rig_spawn(rig, listen, &heard, 0);
    cr_assert_eq(subscribe(rig, addr, topic, 0), WEFT_INVALID);
    struct rig other = rig_open(false, 0);
    weft_topic *foreign = topic_of(&other, "t");
    cr_assert_eq(subscribe(rig, addr, foreign, 1), WEFT_INVALID);
    weft_topic_put(foreign);
    rig_close(&other);
    struct late late = {.topic = topic};
    weft_spec spec = {.arg = &late,
                      .state_size = sizeof(void *),
                      .init = keep_arg,
                      .handle = rig_echo,
                      .fini = subscribe_at_the_end};
    weft_addr *ending = NULL;
    cr_assert_eq(weft_spawn(rig->rt, &spec, &ending), WEFT_OK);
    finish(rig, ending);
    cr_assert_eq(late.err, WEFT_CLOSED);
    cr_assert_eq(subscribers(topic), 0);
    weft_topic_put(topic);
    finish(rig, addr);
}

/* -- A restart is no end ---------------------------------------------------------------------- */

struct phoenix {
    unsigned lives, events;
    uint8_t last;
};

static weft_err rise(weft_self *self, void *state, void *arg)
{
    struct phoenix *phoenix = *(struct phoenix **)state = arg;
    weft_topic *topic = NULL;
    phoenix->lives++;
    cr_assert_eq(weft_register(weft_self_rt(self), "phoenix", weft_self_addr(self)), WEFT_OK);
    cr_assert_eq(weft_topic_open_ref(weft_self_rt(self), "t", &topic), WEFT_OK);
    cr_assert_eq(weft_topic_subscribe(self, topic, 10), WEFT_OK);
    weft_topic_put(topic);
    return WEFT_OK;
}

/* Burns at 13. */
static weft_verdict burn(weft_self *self, void *state, weft_msg *msg)
{
    struct phoenix *phoenix = *(struct phoenix **)state;
    phoenix->events++;
    phoenix->last = weft_buf_bytes(((weft_event_msg *)msg)->payload)[0];
    return phoenix->last == 13 ? weft_fail(self, WEFT_IO) : WEFT_DONE;
}

static weft_err hatch(weft_self *self, void *data)
{
    weft_spec spec = {.name = "phoenix",
                      .arg = data,
                      .state_size = sizeof(void *),
                      .init = rise,
                      .handle = burn,
                      .restart = WEFT_TRANSIENT};
    return weft_spawn_child(self, &spec, NULL);
}

static void silent(void *arg, weft_log_level level, const char *facility, const char *line)
{
    (void)arg, (void)level, (void)facility, (void)line;
}

Test(topic, names_and_subscriptions_survive_a_restart)
{
    weft_log_to(silent, NULL, WEFT_LOG_ERROR);
    struct rig rig = rig_open(true, 1);
    struct phoenix phoenix = {.lives = 0};
    weft_addr *nest = rig_spawn_init(&rig, rig_echo, hatch, &phoenix, 0), *before = NULL,
              *after = NULL;
    weft_topic *topic = topic_of(&rig, "t");
    cr_assert_eq(weft_whereis_ref(rig.rt, "phoenix", &before), WEFT_OK);
    cr_assert_eq(publish(topic, 13), 100);
    cr_assert_eq(publish(topic, 14), 100); /* waits in the mailbox until the next life */
    wf_sim_run_until(rig.sim, wf_sim_now(rig.sim) + 10 * WEFT_SEC);
    cr_assert_eq(phoenix.lives, 2);
    cr_assert_eq(phoenix.events, 2);
    cr_assert_eq(phoenix.last, 14);
    cr_assert_eq(subscribers(topic), 1);
    cr_assert_eq(publish(topic, 15), 100);
    cr_assert_eq(weft_whereis_ref(rig.rt, "phoenix", &after), WEFT_OK);
    cr_assert_eq(before, after);
    weft_addr_put(before);
    weft_addr_put(after);
    finish(&rig, nest);
    cr_assert_eq(phoenix.last, 15);
    cr_assert_eq(subscribers(topic), 0);
    cr_assert_eq(weft_whereis_ref(rig.rt, "phoenix", &after), WEFT_NOT_FOUND);
    weft_topic_put(topic);
    rig_close(&rig);
}

Test(topic, may_outlive_its_runtime_and_so_may_an_event)
{
    struct rig rig = rig_open(true, 1);
    struct listener heard = {.hold = true};
    weft_addr *addr = rig_spawn(&rig, listen, &heard, 0);
    weft_topic *topic = topic_of(&rig, "t");
    cr_assert_eq(subscribe(&rig, addr, topic, 10), WEFT_OK);
    cr_assert_eq(publish(topic, 1), 100);
    finish(&rig, addr);
    rig_close(&rig);
    cr_assert_eq(publish(topic, 2), 0);
    weft_topic_put(topic);
    cr_assert_str_eq(weft_topic_name(((weft_event_msg *)heard.held[0])->topic), "t");
    weft_drop(heard.held[0]);
}

Test(topic, a_killed_runtime_leaves_nothing)
{
    struct rig rig = rig_open(true, 1);
    weft_rt *doomed = NULL;
    cr_assert_eq(wf_sim_rt_create(rig.sim, &doomed), WEFT_OK);
    struct rig other = {.rt = doomed, .sim = rig.sim};
    struct listener heard = {.events = 0};
    weft_addr *addr = rig_spawn(&other, listen, &heard, 0);
    weft_topic *topic = topic_of(&other, "t");
    cr_assert_eq(subscribe(&other, addr, topic, 10), WEFT_OK);
    cr_assert_eq(publish(topic, 1), 100);
    wf_sim_kill(doomed);
    cr_assert_eq(publish(topic, 2), 0);
    weft_topic_put(topic);
    weft_addr_put(addr);
    rig_close(&rig);
}

Test(topic, short_memory_is_told_and_leaves_nothing)
{
    struct rig rig = rig_open(true, 1);
    for (uint64_t nth = 1, failures = 0;; nth++) {
        struct listener heard = {.events = 0};
        weft_addr *addr = rig_spawn(&rig, listen, &heard, 0);
        struct wish wish = {.bound = 4};
        struct task *task = (struct task *)weft_new(&TASK);
        weft_request *out = NULL;
        task->fn = do_subscribe;
        task->arg = &wish;
        wf_alloc_fail_at(nth, 0);
        wish.err = weft_topic_open_ref(rig.rt, "t", &wish.topic);
        weft_err called = WEFT_OK;
        bool taken = false;
        if (wish.err == WEFT_OK) called = weft_call(addr, &task->req, rig_soon(&rig), &out, &taken);
        uint32_t dropped = 0;
        if (called == WEFT_OK && wish.err == WEFT_OK)
            cr_assert_eq(weft_topic_publish(wish.topic, NULL, NULL, &dropped), WEFT_OK);
        wf_alloc_fail_at(0, 0);
        weft_drop(taken ? &out->msg : &task->req.msg);
        weft_topic_put(wish.topic);
        finish(&rig, addr);
        if (called == WEFT_OK && wish.err == WEFT_OK && dropped == 0) {
            cr_assert(failures >= 7, "%u", (unsigned)failures);
            cr_assert_eq(heard.events, 1);
            break;
        }
        cr_assert(called == WEFT_NO_MEMORY || wish.err == WEFT_NO_MEMORY || dropped == 1);
        cr_assert_eq(heard.events, 0);
        failures++;
    }
    rig_close(&rig);
}

/* -- All at once: publishers, and subscribers that come and go ------------------------------------- */

enum { PUBLISHERS = 2, SUBSCRIBERS = 3, EVENTS = 1000 };

struct crowd {
    weft_topic *topic;
    struct {
        uint64_t events, lost;
        uint32_t last[PUBLISHERS];
    } heard[SUBSCRIBERS];
    uint64_t delivered[PUBLISHERS];
};

struct member {
    struct crowd *crowd;
    unsigned number;
    uint32_t next;
};

static const weft_kind GO = {10, "go", sizeof(weft_msg), weft_free_msg};

static weft_verdict publish_all(weft_self *self, void *data, weft_msg *msg)
{
    struct member *me = data;
    uint32_t words[2] = {me->number, ++me->next}, delivered = 0;
    weft_buf *buf = NULL;
    cr_assert_eq(weft_buf_create_copy(words, sizeof words, &buf), WEFT_OK);
    cr_assert_eq(weft_topic_publish(me->crowd->topic, buf, &delivered, NULL), WEFT_OK);
    me->crowd->delivered[me->number] += delivered;
    weft_buf_unref(buf);
    if (me->next == EVENTS) return WEFT_STOP;
    return weft_send(weft_self_addr(self), msg) == WEFT_OK ? WEFT_KEPT : WEFT_FAIL;
}

/* Leaves and comes back at every seventh event. */
static weft_verdict come_and_go(weft_self *self, void *data, weft_msg *msg)
{
    struct member *me = data;
    struct crowd *crowd = me->crowd;
    if (msg->kind == &GO) {
        cr_assert_eq(weft_topic_subscribe(self, crowd->topic, 16), WEFT_OK);
        return WEFT_DONE;
    }
    uint32_t words[2];
    memcpy(words, weft_buf_bytes(((weft_event_msg *)msg)->payload), sizeof words);
    cr_assert(words[1] > crowd->heard[me->number].last[words[0]], "out of order, or twice");
    crowd->heard[me->number].last[words[0]] = words[1];
    if (++crowd->heard[me->number].events % 7 == 0) {
        cr_assert_eq(weft_topic_unsubscribe(self, crowd->topic), WEFT_OK);
        cr_assert_eq(weft_topic_subscribe(self, crowd->topic, 16), WEFT_OK);
    }
    return WEFT_DONE;
}

BOTH(topic, what_was_delivered_arrives_once_and_in_order_in_any_crowd)
{
    struct crowd crowd = {.topic = topic_of(rig, "crowd")};
    struct member subscribers_[SUBSCRIBERS], publishers[PUBLISHERS];
    weft_addr *listening[SUBSCRIBERS], *telling[PUBLISHERS];
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        subscribers_[i] = (struct member){.crowd = &crowd, .number = i};
        listening[i] = rig_spawn(rig, come_and_go, &subscribers_[i], 0);
        cr_assert_eq(weft_send(listening[i], weft_new(&GO)), WEFT_OK);
    }
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct member){.crowd = &crowd, .number = i};
        telling[i] = rig_spawn(rig, publish_all, &publishers[i], 0);
        cr_assert_eq(weft_send(telling[i], weft_new(&GO)), WEFT_OK);
    }
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        cr_assert_eq(rig_join(rig, telling[i]), WEFT_OK);
        weft_addr_put(telling[i]);
    }
    for (unsigned i = 0; i < SUBSCRIBERS; i++) finish(rig, listening[i]);
    uint64_t heard = 0, delivered = 0;
    for (unsigned i = 0; i < SUBSCRIBERS; i++) heard += crowd.heard[i].events;
    for (unsigned i = 0; i < PUBLISHERS; i++) delivered += crowd.delivered[i];
    cr_assert_eq(heard, delivered);
    cr_assert(heard > 0);
    weft_topic_put(crowd.topic);
}
